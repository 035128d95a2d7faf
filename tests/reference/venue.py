"""The venue: executes a block's transactions one after the other."""

import copy
from itertools import count

from blockspace.markets.ledger import SYSTEM_ACCOUNTS

from .batch import Batch, BatchOrder
from .clearing import Clearing, can_settle, execute_settlement, settle_trade
from .combinations import execute_combination
from .constants import (
    AFTER_TARGET,
    BACKGROUND,
    BEFORE_TARGET,
    BURNED,
    BUY,
    CANCEL,
    COMBINATION,
    FAILED,
    HANDLES,
    IMMEDIATE_OR_CANCEL,
    LADDER,
    LARGEST_VALUE,
    LEFT_OUT,
    LIMIT,
    LIQUIDATE,
    MARKET,
    PLACE,
    POST_ONLY,
    QUOTE,
    REPLACE,
    REPORT,
    SELL,
    SETTLE,
    SUCCEEDED,
    TRANSFER,
    UNFUNDED,
)
from .duplicate import duplicate
from .ledger import Ledger
from .margin import SCENARIO_MOVES, Margin, liquidate, unsettled_loss, worst_loss
from .order_book import PRICES, OrderBook, TradeTape
from .perpetual import report
from .pools import execute_in_pool


class Instrument:
    """What is traded: terms, book and valuation. Index and mark are in micro-dollars per lot."""

    option = False

    def __init__(self, settings, number, tape):
        self.number = number
        self.perpetual = settings.kind == "perpetual"
        self.tick = settings.tick_usd
        self.lot_size = settings.lot_size
        self.tick_lot_value = settings.tick_lot_value
        self.taker_fee = settings.taker_fee_bps * 1e-4
        self.margin_ppm = round(settings.initial_margin * 1e6)
        self.impact_lots = max(round(settings.impact_size / settings.lot_size), 1)
        maker_fee_ppm, taker_fee_ppm = round(settings.maker_fee_bps * 100), round(settings.taker_fee_bps * 100)
        self.book = OrderBook(tape, number, maker_fee_ppm, taker_fee_ppm, self.tick_lot_value)
        self.batch = Batch(self.book)
        self.index = 0
        self.mark = 0
        self.basis = 0.0
        self.basis_time = 0
        self.premium_sum = 0.0
        self.premium_samples = 0
        self.next_sample = 0
        self.next_funding = 0
        self.changes = [0] * len(SCENARIO_MOVES)  # of the value of a lot, scenario by scenario
        self.funding_rate = 0.0

    def initial_margin(self, lots):
        return lots * self.mark * self.margin_ppm // 10**6

    def loss(self, side, price, lots):
        """Micro-dollars by which lots at a price are worse than the mark."""
        return max(side * (price * self.tick_lot_value - self.mark), 0) * lots

    def resting_lots(self, account):
        """Lots of an account's bids and asks, resting or waiting for a batch."""
        lots = {BUY: 0, SELL: 0}
        orders = self.book.orders
        for handle in range(account * HANDLES, (account + 1) * HANDLES):
            if handle in orders:
                lots[orders[handle].side] += orders[handle].size
        waiting_bids, waiting_asks = self.batch.lots(account)
        return lots[BUY] + waiting_bids, lots[SELL] + waiting_asks


class Venue:
    def __init__(self, scenario):
        self.tape = TradeTape()
        self.instruments = [
            Instrument(settings, number, self.tape) for number, settings in enumerate(scenario.instruments)
        ]
        self.options = None
        self.ledger = Ledger(SYSTEM_ACCOUNTS, len(self.instruments) + scenario.options.count)
        self.gas = scenario.charged_gas
        self.clearing = Clearing(scenario.venue)
        self.data_price = round(1_000 * scenario.fee_market.data_fee_wei_per_byte)
        self.pools = []
        self.margin = Margin(scenario.margin)
        self.on_chain_oracle = scenario.venue.oracle == "on_chain"
        self.keeper = None
        self.reported = None
        self.oracle_delay = int(scenario.venue.oracle_delay_s * 10**9)
        self.batching = scenario.venue.matching == "batch"
        self.batch_interval = int(scenario.venue.batch_interval_s * 10**9)
        self.next_batch = 0
        self.last_batch = 0
        self.revert_protection = scenario.chain.revert_protection
        self.funding_interval = int(scenario.venue.funding_interval_s * 10**9)

    def execute(self, block, burns_base_fee):
        """Carry out a block, charge the gas and write the receipts.

        Failed transactions pay in full, or are left out if they are protected.
        """
        base_fee_account = BURNED if burns_base_fee else block.producer.account
        self.tape.time = block.time
        self.tape.block = block.number
        for place, transaction in enumerate(block.transactions):
            sender = transaction.sender
            data_fee = transaction.bytes * self.data_price // 1_000
            tip = transaction.effective_tip(block.base_fee)
            price = block.base_fee + tip
            if sender != BACKGROUND and self.ledger.accounts[sender].wei < transaction.gas * price + data_fee:
                transaction.status = UNFUNDED
                continue
            protected = self.revert_protection or (block.protects_on_demand and transaction.protected)
            if protected and (self.lost_its_first(block, place) or not self.would_succeed(transaction)):
                transaction.status = LEFT_OUT
                continue
            transaction.status = SUCCEEDED if self.carry_out(transaction) else FAILED
            transaction.gas_used = transaction.gas
            block.gas_used += transaction.gas
            self.ledger.transfer_wei(sender, base_fee_account, transaction.gas * block.base_fee)
            self.ledger.transfer_wei(sender, block.maker.account, transaction.gas * tip)
            self.ledger.transfer_wei(sender, block.producer.account, data_fee)
        if self.batching and block.time >= self.next_batch:
            self.clear_batches(block)

    def lost_its_first(self, block, place):
        """Whether the transaction before the target, of the same bundle as the one here after it, was left out."""
        last = block.transactions[place]
        if last.placement != AFTER_TARGET or place < 2:
            return False
        first = block.transactions[place - 2]
        same = (first.placement, first.sender, first.target) == (BEFORE_TARGET, last.sender, last.target)
        return same and first.status in (LEFT_OUT, UNFUNDED)

    def clear_batches(self, block):
        if self.batch_interval:
            self.next_batch = (block.time // self.batch_interval + 1) * self.batch_interval
        self.last_batch = block.number
        for instrument in self.instruments:
            first = len(self.tape.trades)
            instrument.batch.clear(round(instrument.mark / instrument.tick_lot_value), block.number)
            self.settle(first)

    def would_succeed(self, transaction):
        """Whether a transaction would do what its sender wants: it is tried on a copy of the market."""
        if transaction.kind == TRANSFER:
            return True
        if transaction.kind == SETTLE:
            return can_settle(self, transaction)
        tape, self.tape.trades = self.tape.trades, []
        trial = duplicate(self)
        self.tape.trades = tape
        return trial.carry_out(copy.copy(transaction))

    def carry_out(self, transaction):
        """Whether a transaction did what its sender wanted."""
        if transaction.kind == TRANSFER:
            return True
        if transaction.pool is not None:
            return execute_in_pool(self, self.pools[transaction.pool], transaction)
        if transaction.kind == LIQUIDATE:
            return liquidate(self, transaction)
        if transaction.kind == SETTLE:
            return execute_settlement(self, transaction)
        if transaction.kind == REPORT:
            return report(self, transaction)
        if transaction.kind == COMBINATION:
            return execute_combination(self, transaction)
        instrument = self.instruments[transaction.instrument]
        if instrument.option and not instrument.is_tradable(transaction.decided):
            return False
        if transaction.kind == QUOTE:
            return self.quote(transaction, instrument)
        if transaction.handle // HANDLES != transaction.sender:
            return False
        actions = {PLACE: self.place, CANCEL: self.cancel, REPLACE: self.replace}
        return actions[transaction.kind](transaction, instrument)

    def place(self, transaction, instrument):
        side, size = transaction.side, transaction.size
        bids = size if side > 0 else 0
        if self.batching:
            return self.place_in_batch(transaction, instrument, bids)
        if transaction.style == MARKET:
            lots, cost = instrument.book.cost_to_fill(side, size)
            loss = max(side * (cost * instrument.tick_lot_value - lots * instrument.mark), 0)
        else:
            loss = instrument.loss(side, transaction.price, size)
        if not self.within_margin(transaction.sender, instrument, bids, size - bids, loss):
            return False
        first = len(self.tape.trades)
        filled = transaction.filled = instrument.book.place(
            transaction.handle, transaction.sender, transaction.side, transaction.price, transaction.size,
            transaction.style,
        )  # fmt: skip
        self.settle(first)
        return filled > 0 or (filled == 0 and transaction.style in (LIMIT, POST_ONLY))

    def place_in_batch(self, transaction, instrument, bids):
        style, side, price = transaction.style, transaction.side, transaction.price
        if style == MARKET:
            style = IMMEDIATE_OR_CANCEL
            reach = instrument.mark // 100 * (100 + 10 * side) // instrument.tick_lot_value
            price = min(max(reach, 1), PRICES - 1)
        loss = instrument.loss(side, price, transaction.size)
        if not self.within_margin(transaction.sender, instrument, bids, transaction.size - bids, loss):
            return False
        return self.enter(transaction, instrument, transaction.handle, side, price, style, loss)

    def enter(self, transaction, instrument, handle, side, price, style, loss):
        block, size = self.tape.block, transaction.size
        order = BatchOrder(handle, transaction.sender, side, price, size, style, loss, transaction, block)
        return instrument.batch.enter(order) == 0

    def cancel(self, transaction, instrument):
        cancelled = instrument.book.cancel(transaction.handle, transaction.sender)
        if cancelled < 0 and self.batching:
            cancelled = instrument.batch.withdraw(transaction.handle) or cancelled
        transaction.filled = min(cancelled, 0)
        return cancelled > 0

    def replace(self, transaction, instrument):
        resting = instrument.book.orders.get(transaction.handle) or instrument.batch.find(transaction.handle)
        if resting is None:
            return False
        more = max(transaction.size - resting.size, 0)
        bids = more if resting.side == BUY else 0
        loss = instrument.loss(resting.side, transaction.price, transaction.size)
        if not self.within_margin(transaction.sender, instrument, bids, more - bids, loss):
            return False
        if self.batching:
            return self.replace_in_batch(transaction, instrument, resting, loss)
        if loss > 0 and loss > self.free_collateral(transaction.sender):
            return False
        first = len(self.tape.trades)
        transaction.filled = instrument.book.replace(
            transaction.handle, transaction.sender, transaction.price, transaction.size
        )
        self.settle(first)
        return transaction.filled >= 0

    def replace_in_batch(self, transaction, instrument, order, loss):
        book, price, size = instrument.book, transaction.price, transaction.size
        rests = order.handle in book.orders
        if rests and price == order.price and size <= order.size:
            return book.replace(order.handle, order.owner, price, size) == 0
        side = order.side
        if rests:
            book.cancel(order.handle, order.owner)
        else:
            instrument.batch.withdraw(order.handle)
        return self.enter(transaction, instrument, transaction.handle, side, price, LIMIT, loss)

    def quote(self, transaction, instrument):
        """Cancel the sender's ladder and, if its margin allows, put up the new one."""
        sender, book = transaction.sender, instrument.book
        first_handle = sender * HANDLES
        for handle in range(first_handle, first_handle + 2 * LADDER):
            if handle in book.orders:
                book.cancel(handle, sender)
            instrument.batch.withdraw(handle)
        bids = transaction.size * sum(price > 0 for price in transaction.ladder[:LADDER])
        asks = transaction.size * sum(price > 0 for price in transaction.ladder[LADDER:])
        sides = [BUY] * LADDER + [SELL] * LADDER
        quotes = [quote for quote in zip(count(first_handle), sides, transaction.ladder) if quote[-1] > 0]
        loss = sum(instrument.loss(side, price, transaction.size) for _, side, price in quotes)
        if not self.within_margin(sender, instrument, bids, asks, loss):
            return False
        first = len(self.tape.trades)
        for handle, side, price in quotes:
            style = POST_ONLY if transaction.style == POST_ONLY else LIMIT
            if self.batching:
                self.enter(
                    transaction, instrument, handle, side, price, style, instrument.loss(side, price, transaction.size)
                )
                continue
            transaction.filled += max(book.place(handle, sender, side, price, transaction.size, style), 0)
        self.settle(first)
        return True

    def settle(self, first):
        """Move cash, fees and lots for the trades from number ``first`` on, or let them wait."""
        for number in range(first, len(self.tape.trades)):
            if self.clearing.immediate:
                settle_trade(self, self.tape.trades[number])
            else:
                self.clearing.waiting.append(number)
                self.clearing.add(self, self.tape.trades[number], 1)

    def committed_lots(self, account, instrument):
        """Lots of bids and asks, and what has been bought and sold on balance without being settled."""
        bids, asks = instrument.resting_lots(account)
        claimed = self.clearing.lots(account, instrument.number)
        if instrument.perpetual or instrument.option:
            bids += max(claimed, 0)
        return bids, asks + max(-claimed, 0)

    def within_margin(self, account, instrument, bids, asks, loss):
        """Whether an account may add orders of these lots, all of them filled or none."""
        if max(bids, asks) * (instrument.index if instrument.option else instrument.mark) > LARGEST_VALUE:
            return False
        position = self.ledger.accounts[account].positions[instrument.number]
        resting_bids, resting_asks = self.committed_lots(account, instrument)
        if instrument.option:
            now = instrument.needed_with(position, resting_bids, resting_asks)
            then = instrument.needed_with(position, resting_bids + bids, resting_asks + asks)
            needed = self.netted(account, instrument.number, bids, asks, then - now)
            return then <= now or needed + loss <= self.free_collateral(account)
        if not instrument.perpetual:
            if resting_asks + asks > position:
                return False
            return bids == 0 or bids * instrument.mark + loss <= self.free_collateral(account)
        now = max(abs(position + resting_bids), abs(position - resting_asks))
        then = max(abs(position + resting_bids + bids), abs(position - resting_asks - asks))
        if then <= now:
            return True
        needed = self.netted(account, instrument.number, bids, asks, instrument.initial_margin(then - now))
        return needed + loss <= self.free_collateral(account)

    def netted(self, account, number, bids, asks, needed):
        """What orders need, or add to the loss of the whole portfolio if that counts and is less."""
        if self.margin.mode != "portfolio":
            return needed
        after = max(worst_loss(self, account, number, lots) for lots in (bids, -asks))
        return min(needed, after - worst_loss(self, account))

    def free_collateral(self, account):
        """Cash and marked positions less what positions and resting orders need, in micro-dollars."""
        holder = self.ledger.accounts[account]
        mode = self.margin.mode
        free = holder.cash + unsettled_loss(self, account)
        free += self.margin.credit.get(account, 0) if mode != "isolated" else 0
        if mode == "portfolio":
            free -= worst_loss(self, account)
        for instrument in self.instruments:
            bids, asks = self.committed_lots(account, instrument)
            free -= instrument.batch.reserved.get(account, 0)
            if instrument.option:
                position = holder.positions[instrument.number]
                free -= instrument.needed_with(position, bids, asks)
                if mode == "isolated":
                    free -= self.margin.position(account, instrument.number).set_aside
                else:
                    free += position * instrument.mark
                if mode != "cross":
                    free += instrument.needed(position)
                continue
            if instrument.perpetual:
                position = holder.positions[instrument.number]
                worst = max(abs(position + bids), abs(position - asks))
                if mode == "isolated":
                    free -= self.margin.position(account, instrument.number).set_aside
                else:
                    free += position * instrument.mark
                free -= instrument.initial_margin(worst if mode == "cross" else worst - abs(position))
            else:
                free -= bids * instrument.mark
        return free
