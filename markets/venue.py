"""The venue: the state machine that executes an ordered list of transactions.

A venue holds the ledger, the instruments with one order book for each, and the pools. The chain hands it a block;
it charges gas, carries each transaction out or fails it, settles every trade at once, and leaves a receipt. It
never looks at the network.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets import ledger as books_of_account
from blockspace.markets.batch import BATCH, enter, uncross, withdraw
from blockspace.markets.ledger import (
    BACKGROUND,
    INSTRUMENTS,
    LEDGER,
    VENUE_FEES,
    can_pay_gas,
    pay_gas,
    transfer_cash,
    transfer_position,
)
from blockspace.markets.listed_pools import POOL_FIELDS
from blockspace.markets.matching import (
    BOOK,
    BUY,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    MILLION,
    POST_ONLY,
    SELL,
    cancel,
    cost_to_fill,
    finds_others,
    open_book,
    place,
    replace,
    take_from,
)
from blockspace.markets.pool_execution import execute_in_pool
from blockspace.markets.trade_log import TRADES
from blockspace.network.block import effective_tip
from blockspace.network.compilation import kernel
from blockspace.network.transaction import (
    CANCEL,
    FAILED,
    LADDER,
    LEFT_OUT,
    PLACE,
    QUOTE,
    REPLACE,
    SUCCEEDED,
    SWAP,
    TRANSFER,
    UNFUNDED,
)

SPOT, PERPETUAL = range(2)
INSTRUMENT_KINDS = ("spot", "perpetual")

HANDLES = 16
"""Orders that one account can have resting in a book: its handles are ``HANDLES * account`` and the next ones."""

TAKER_HANDLE = HANDLES - 1
"""Last handle of an account, by convention free for orders that never rest."""

LARGEST_VALUE = 2.0**60
"""Micro-dollars at mark (10^12 dollars) beyond which orders are out of every margin: sums stay within 64 bits."""

INSTRUMENT = np.dtype(
    [
        ("kind", "u1"),
        ("tick_lot_value", "i8"),  # micro-dollars per tick and lot
        ("lot_size", "f8"),  # units of the underlying per lot
        ("initial_margin_ppm", "i8"),  # of the position's value at mark
        ("index", "i8"),  # micro-dollars per lot: external price as the venue's oracle reports it
        ("mark", "i8"),  # micro-dollars per lot: what positions are valued at
        ("basis", "f8"),  # moving average of (mid - index) / index
        ("basis_time", "i8"),  # ns, of the last update of the basis
        ("premium_sum", "f8"),  # premium samples since the last funding
        ("premium_samples", "i8"),
        ("next_sample", "i8"),  # ns
        ("next_funding", "i8"),  # ns
        ("funding_rate", "f8"),  # last rate paid, per funding interval
        ("impact_lots", "i8"),  # lots for which the premium's impact prices are taken
    ],
    align=True,
)

VENUE = np.dtype(
    [
        ("ledger", LEDGER),
        ("instruments", INSTRUMENT, (INSTRUMENTS,)),
        ("books", BOOK, (INSTRUMENTS,)),
        ("count", "i8"),  # instruments in use
        ("oracle_delay", "i8"),  # ns by which the index lags the external price
        ("funding_interval", "i8"),  # ns
        # Batch auctions.
        ("batching", "u1"),  # 1 if orders wait for a batch
        ("batch_interval", "i8"),  # ns between two batches; 0 for one in every block
        ("next_batch", "i8"),  # ns
        ("last_batch", "i8"),  # number of the block in which the last batch cleared
        ("batches", BATCH, (INSTRUMENTS,)),
        ("swap_gas", "i8"),  # gas of a swap, and of each tick that it crosses
        ("swap_tick_gas", "i8"),
        *POOL_FIELDS,
    ],
    align=True,
)

MARKET_REACH = 10
"""Per cent beyond the mark up to which a market order is good in a batch, where nothing else bounds its price."""


def new_venue() -> npt.NDArray[Any]:
    """Make a venue without instruments: a one-element record array of type ``VENUE``. Untouched parts use no memory."""
    venues = np.zeros(1, VENUE)
    venues[0]["ledger"]["count"] = books_of_account.FIRST_FREE_ACCOUNT
    return venues


def list_instrument(
    venues: npt.NDArray[Any],
    kind: str,
    tick_lot_value: int,
    lot_size: float,
    initial_margin_ppm: int,
    maker_fee_ppm: int,
    taker_fee_ppm: int,
    impact_lots: int,
) -> int:
    """Add an instrument with an empty book and return its number.

    Raises
    ------
    ValueError
        If all ``INSTRUMENTS`` places are taken.
    """
    venue = venues[0]
    number = int(venue["count"])
    if number >= INSTRUMENTS:
        raise ValueError(f"a venue lists at most {INSTRUMENTS} instruments; ask for fewer")
    open_book(
        venue["books"][number],
        maker_fee_ppm=maker_fee_ppm,
        taker_fee_ppm=taker_fee_ppm,
        tick_lot_value=tick_lot_value,
        instrument=number,
    )
    instrument = venue["instruments"][number]
    instrument["kind"] = INSTRUMENT_KINDS.index(kind)
    instrument["tick_lot_value"] = tick_lot_value
    instrument["lot_size"] = lot_size
    instrument["initial_margin_ppm"] = initial_margin_ppm
    instrument["impact_lots"] = impact_lots
    venue["count"] = number + 1
    return number


@kernel
def initial_margin(instrument, lots):
    """Initial margin of ``lots`` (0 or more) of a perpetual at mark, in micro-dollars, rounded down.

    Whole millions are split off first, so that nothing overflows where the value at mark fits.
    """
    value = lots * instrument.mark
    ppm = instrument.initial_margin_ppm
    return value // MILLION * ppm + value % MILLION * ppm // MILLION


@kernel
def free_collateral(venue, account):
    """Cash and marked perpetual positions, less the initial margin of positions and resting orders (micro-dollars)."""
    holder = venue.ledger.accounts[account]
    free = holder.cash
    for number in range(venue.count):
        instrument = venue.instruments[number]
        bids, asks = committed_lots(venue, number, account)
        if venue.batching != 0:
            free -= venue.batches[number].loss[account]
        if instrument.kind == PERPETUAL:
            position = holder.position[number]
            free += position * instrument.mark
            worst = max(abs(position + bids), abs(position - asks))
            free -= initial_margin(instrument, worst)
        else:
            free -= bids * instrument.mark
    return free


@kernel
def resting_lots(book, account):
    """Lots that an account has resting in a book, as (bids, asks)."""
    bids = 0
    asks = 0
    for handle in range(account * HANDLES, account * HANDLES + HANDLES):
        order = book.orders[handle]
        if order.size > 0:
            if order.price <= book.best_bid:
                bids += order.size
            else:
                asks += order.size
    return bids, asks


@kernel
def committed_lots(venue, number, account):
    """Lots that an account has resting in a book or waiting for a batch, as (bids, asks)."""
    bids, asks = resting_lots(venue.books[number], account)
    if venue.batching != 0:
        bids += venue.batches[number].bids[account]
        asks += venue.batches[number].asks[account]
    return bids, asks


@kernel
def loss_at_limit(venue, number, side, price, size):
    """Micro-dollars by which ``size`` lots at ``price`` ticks are worse than the mark; 0 if they are better."""
    instrument = venue.instruments[number]
    return max(side * (price * instrument.tick_lot_value - instrument.mark), 0) * size


@kernel
def loss_at_market(venue, number, side, size):
    """The same for what the book could fill of a market order now."""
    instrument = venue.instruments[number]
    lots, cost = cost_to_fill(venue.books[number], side, size)
    return max(side * (cost * instrument.tick_lot_value - lots * instrument.mark), 0)


@kernel
def within_margin(venue, account, number, bids, asks, loss):
    """Whether an account may add orders of ``bids`` and ``asks`` lots to an instrument, all of them filled or none.

    A perpetual needs its initial margin on the larger of the two positions that could result, a spot purchase
    needs the cash, a spot sale needs the lots; and ``loss``, the micro-dollars by which the orders' prices are worse
    than the mark, must be there as well. Orders that make a position smaller always pass.
    """
    instrument = venue.instruments[number]
    if np.float64(max(bids, asks)) * np.float64(instrument.mark) > LARGEST_VALUE:
        return False
    position = venue.ledger.accounts[account].position[number]
    resting_bids, resting_asks = committed_lots(venue, number, account)
    if instrument.kind != PERPETUAL:
        if resting_asks + asks > position:
            return False
        return bids == 0 or bids * instrument.mark + loss <= free_collateral(venue, account)
    now = max(abs(position + resting_bids), abs(position - resting_asks))
    then = max(abs(position + resting_bids + bids), abs(position - resting_asks - asks))
    more = then - now
    if more <= 0:
        return True
    return initial_margin(instrument, more) + loss <= free_collateral(venue, account)


@kernel
def settle_trades(venue, log, number, first):
    """Move cash, fees and lots for the trades of an instrument from number ``first`` on."""
    value = venue.instruments[number].tick_lot_value
    ledger = venue.ledger
    for n in range(first, log.count):
        trade = log.trades[n & (TRADES - 1)]
        notional = np.int64(trade.price) * np.int64(trade.size) * value
        maker, taker = np.int64(trade.maker), np.int64(trade.taker)
        buyer, seller = (taker, maker) if trade.side > 0 else (maker, taker)
        transfer_cash(ledger, buyer, seller, notional)
        transfer_position(ledger, seller, buyer, number, np.int64(trade.size))
        transfer_cash(ledger, maker, np.int64(VENUE_FEES), trade.maker_fee)
        transfer_cash(ledger, taker, np.int64(VENUE_FEES), trade.taker_fee)


@kernel
def _enter_batch(venue, block, slot, transaction, order, side, price, size, kind, loss):
    """Let an order of a transaction wait for the batch; whether it may. The batch notes where it comes from."""
    batch = venue.batches[transaction.instrument]
    book = venue.books[transaction.instrument]
    outcome = enter(book, batch, np.uint64(order), transaction.sender, side, price, size, kind, transaction.tie, loss)
    if outcome < 0:
        transaction.filled = outcome
        return False
    waiting = batch.orders[batch.count - 1]
    waiting.slot = slot
    waiting.block = block.number
    waiting.decided = transaction.decided
    waiting.gas = transaction.gas
    waiting.gas_price = block.base_fee + effective_tip(transaction, block.base_fee)
    return True


@kernel
def _place_in_batch(venue, block, slot, transaction):
    """Let an order wait for the batch; a market order gets a limit beyond the mark, and needs its margin there."""
    number = transaction.instrument
    instrument = venue.instruments[number]
    side, size, price = np.int64(transaction.side), np.int64(transaction.size), np.int64(transaction.price)
    kind = np.int64(transaction.style)
    if kind == MARKET:
        kind = np.int64(IMMEDIATE_OR_CANCEL)
        top = np.int64(len(venue.books[number].levels) - 1)
        reach = instrument.mark // 100 * (100 + side * MARKET_REACH) // instrument.tick_lot_value
        price = min(max(reach, np.int64(1)), top)
    loss = loss_at_limit(venue, number, side, price, size)
    bids = size if side > 0 else np.int64(0)
    if not within_margin(venue, transaction.sender, number, bids, size - bids, loss):
        return False
    return _enter_batch(venue, block, slot, transaction, transaction.order, side, price, size, kind, loss)


@kernel
def _quote_in_batch(venue, block, slot, transaction):
    """Withdraw the sender's whole ladder at once, from the book and from the batch, and let the new one wait."""
    number = transaction.instrument
    book, batch = venue.books[number], venue.batches[number]
    sender, size = transaction.sender, np.int64(transaction.size)
    first_handle = np.uint64(sender) * np.uint64(HANDLES)
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(2 * LADDER):
        handle = first_handle + np.uint64(level)
        if book.orders[handle].size > 0:
            cancel(book, handle, sender)
        withdraw(batch, handle, sender)
        bids += size * (level < LADDER and transaction.ladder[level] > 0)
        asks += size * (level >= LADDER and transaction.ladder[level] > 0)
    if not within_margin(venue, sender, number, bids, asks, _ladder_loss(venue, transaction)):
        return False
    kind = np.int64(POST_ONLY if transaction.style == POST_ONLY else LIMIT)
    for level in range(2 * LADDER):
        price = np.int64(transaction.ladder[level])
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            loss = loss_at_limit(venue, number, side, price, size)
            handle = first_handle + np.uint64(level)
            _enter_batch(venue, block, slot, transaction, handle, side, price, size, kind, loss)
    transaction.filled = 0
    return True


@kernel
def _replace_in_batch(venue, block, slot, transaction):
    """Withdraw an order and let one of the same side and handle wait; in the book it may shrink in its place."""
    number = transaction.instrument
    book, batch = venue.books[number], venue.batches[number]
    sender, order = transaction.sender, np.uint64(transaction.order)
    price, size = np.int64(transaction.price), np.int64(transaction.size)
    rests = book.orders[order].size > 0
    if not rests and batch.place[order] == 0:
        return False
    if rests:
        there, at = np.int64(book.orders[order].size), np.int64(book.orders[order].price)
        side = np.int64(BUY if at <= book.best_bid else SELL)
    else:
        waiting = batch.orders[batch.place[order] - np.uint32(1)]
        there, at, side = waiting.size, waiting.price, waiting.side
    loss = loss_at_limit(venue, number, side, price, size)
    more = max(size - there, np.int64(0))
    bids = more if side > 0 else np.int64(0)
    if not within_margin(venue, sender, number, bids, more - bids, loss):
        return False
    if size <= 0 or size > book.largest_size or not 1 <= price <= len(book.levels) - 1:
        return False
    if rests and price == at and size <= there:
        take_from(book, order, there - size)
        return True
    if rests:
        cancel(book, order, sender)
    else:
        withdraw(batch, order, sender)
    return _enter_batch(venue, block, slot, transaction, order, side, price, size, np.int64(LIMIT), loss)


@kernel
def _carry_to_batch(venue, log, block, slot, transaction):
    """Carry out a transaction where orders wait for a batch; what withdraws, or trades with a pool, does so at once."""
    if transaction.kind == TRANSFER:
        return True
    if transaction.instrument >= venue.count:
        return False
    if transaction.kind >= SWAP:
        return _execute_in_pool(venue, log, transaction)
    if transaction.kind == QUOTE:
        return _quote_in_batch(venue, block, slot, transaction)
    if transaction.order // HANDLES != transaction.sender:
        return False
    if transaction.kind == PLACE:
        return _place_in_batch(venue, block, slot, transaction)
    if transaction.kind == CANCEL:
        order = np.uint64(transaction.order)
        cancelled = cancel(venue.books[transaction.instrument], order, transaction.sender)
        if cancelled < 0:
            cancelled = withdraw(venue.batches[transaction.instrument], order, transaction.sender)
        transaction.filled = min(cancelled, 0)
        return cancelled > 0
    if transaction.kind == REPLACE:
        return _replace_in_batch(venue, block, slot, transaction)
    return False


@kernel
def _clear_batches(venue, log, pool, block):
    """Clear the batch of every instrument if its time has come, settle it, and tell transactions what they got."""
    if block.time < venue.next_batch:
        return
    if venue.batch_interval > 0:
        venue.next_batch = (block.time // venue.batch_interval + 1) * venue.batch_interval
    venue.last_batch = block.number
    for number in range(venue.count):
        batch = venue.batches[number]
        instrument = venue.instruments[number]
        first = log.count
        uncross(venue.books[number], log, batch, np.int64(round(instrument.mark / instrument.tick_lot_value)))
        settle_trades(venue, log, number, first)
        for index in range(batch.cleared):
            waiting = batch.orders[index]
            if waiting.filled > 0 and waiting.block == block.number:
                pool.transactions[waiting.slot].filled += np.int32(waiting.filled)


@kernel
def _execute_place(venue, log, transaction):
    number = transaction.instrument
    book = venue.books[number]
    size = np.int64(transaction.size)
    bids = size if transaction.side > 0 else np.int64(0)
    side = np.int64(transaction.side)
    price = np.int64(transaction.price)
    if transaction.style == MARKET:
        loss = loss_at_market(venue, number, side, size)
    else:
        loss = loss_at_limit(venue, number, side, price, size)
    if not within_margin(venue, transaction.sender, number, bids, size - bids, loss):
        return False
    first = log.count
    filled = place(
        book,
        log,
        np.uint64(transaction.order),
        transaction.sender,
        side,
        price,
        size,
        np.int64(transaction.style),
    )
    transaction.filled = filled
    settle_trades(venue, log, number, first)
    return filled > 0 or (filled == 0 and transaction.style in (LIMIT, POST_ONLY))


@kernel
def _ladder_loss(venue, transaction):
    loss = np.int64(0)
    for level in range(2 * LADDER):
        price = np.int64(transaction.ladder[level])
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            loss += loss_at_limit(venue, transaction.instrument, side, price, np.int64(transaction.size))
    return loss


@kernel
def _execute_quote(venue, log, transaction):
    """Replace the sender's whole ladder in one stroke; a ladder beyond its margin leaves it without quotes."""
    number = transaction.instrument
    book = venue.books[number]
    sender = transaction.sender
    size = np.int64(transaction.size)
    first_handle = np.uint64(sender) * np.uint64(HANDLES)
    for level in range(2 * LADDER):
        handle = first_handle + np.uint64(level)
        if book.orders[handle].size > 0:
            cancel(book, handle, sender)
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(LADDER):
        bids += size * (transaction.ladder[level] > 0)
        asks += size * (transaction.ladder[LADDER + level] > 0)
    if not within_margin(venue, sender, number, bids, asks, _ladder_loss(venue, transaction)):
        return False
    first = log.count
    filled = 0
    style = np.int64(POST_ONLY if transaction.style == POST_ONLY else LIMIT)
    for level in range(2 * LADDER):
        price = transaction.ladder[level]
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            handle = first_handle + np.uint64(level)
            filled += max(place(book, log, handle, sender, side, np.int64(price), size, style), 0)
    transaction.filled = filled
    settle_trades(venue, log, number, first)
    return True


@kernel
def _ladder_fits(venue, transaction):
    """Whether a quote is within its sender's margin once the orders that it replaces, all in this book, are gone."""
    number = np.int64(transaction.instrument)
    instrument = venue.instruments[number]
    sender = transaction.sender
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(LADDER):
        bids += np.int64(transaction.size) * (transaction.ladder[level] > 0)
        asks += np.int64(transaction.size) * (transaction.ladder[LADDER + level] > 0)
    if np.float64(max(bids, asks)) * np.float64(instrument.mark) > LARGEST_VALUE:
        return False
    position = venue.ledger.accounts[sender].position[number]
    resting_bids, resting_asks = resting_lots(venue.books[number], sender)
    free = free_collateral(venue, sender)
    loss = _ladder_loss(venue, transaction)
    if instrument.kind != PERPETUAL:
        free += resting_bids * instrument.mark
        return asks <= position and (bids == 0 or bids * instrument.mark + loss <= free)
    released = max(abs(position + resting_bids), abs(position - resting_asks))
    free += initial_margin(instrument, released) - initial_margin(instrument, abs(position))
    more = max(abs(position + bids), abs(position - asks)) - abs(position)
    return more <= 0 or initial_margin(instrument, more) + loss <= free


@kernel
def _would_leave_a_trace(venue, transaction):
    """Whether a transaction would fail and yet change the book, which revert protection must know beforehand.

    A ladder beyond its margin takes the old one down, and an order that meets none but its sender's own cancels them.
    """
    if transaction.instrument >= venue.count:
        return False
    if transaction.kind == QUOTE:
        return not _ladder_fits(venue, transaction)
    if transaction.kind != PLACE or transaction.style == LIMIT or transaction.style == POST_ONLY or venue.batching != 0:
        return False
    book = venue.books[transaction.instrument]
    side = np.int64(transaction.side)
    limit = np.int64(transaction.price)
    if transaction.style == MARKET:
        limit = np.int64(len(book.levels) - 1 if side > 0 else 1)
    return not finds_others(book, transaction.sender, side, limit)


@kernel
def _execute_in_pool(venue, log, transaction):
    """Let the sender trade with a pool what it has: lots that no resting order sells, and cash that no margin needs."""
    if transaction.order >= venue.pool_count or venue.pools[transaction.order].instrument != transaction.instrument:
        return False
    number, sender = transaction.instrument, transaction.sender
    _, asks = committed_lots(venue, number, sender)
    lots = venue.ledger.accounts[sender].position[number] - asks
    return execute_in_pool(venue, log, transaction, lots, free_collateral(venue, sender))


@kernel
def _carry_out(venue, log, transaction):
    if transaction.kind == TRANSFER:
        return True
    if transaction.instrument >= venue.count:
        return False
    if transaction.kind >= SWAP:
        return _execute_in_pool(venue, log, transaction)
    if transaction.kind == QUOTE:
        return _execute_quote(venue, log, transaction)
    if transaction.order // HANDLES != transaction.sender:
        return False
    if transaction.kind == PLACE:
        return _execute_place(venue, log, transaction)
    book = venue.books[transaction.instrument]
    if transaction.kind == CANCEL:
        cancelled = cancel(book, np.uint64(transaction.order), transaction.sender)
        transaction.filled = min(cancelled, 0)
        return cancelled > 0
    if transaction.kind == REPLACE:
        resting = np.int64(book.orders[transaction.order].size)
        size = np.int64(transaction.size)
        more = max(size - resting, 0)
        buys = book.orders[transaction.order].price <= book.best_bid
        bids = more if buys else np.int64(0)
        side = np.int64(BUY if buys else SELL)
        number = transaction.instrument
        loss = loss_at_limit(venue, number, side, np.int64(transaction.price), size)
        if resting == 0 or not within_margin(venue, transaction.sender, number, bids, more - bids, loss):
            return False
        if loss > 0 and loss > free_collateral(venue, transaction.sender):
            return False
        first = log.count
        transaction.filled = replace(
            book, log, transaction.order, transaction.sender, transaction.price, transaction.size
        )
        settle_trades(venue, log, transaction.instrument, first)
        return transaction.filled >= 0
    return False


@kernel
def execute(venues, logs, pools, blocks):
    """Execute a block's transactions in their order, charge their gas and write their receipts.

    Parameters
    ----------
    venues, logs, pools, blocks
        One-element record arrays. The block has been filled; its transactions lie in the mempool's slots.

    Notes
    -----
    Where orders wait for a batch it clears last, if its time has come.

    A sender who cannot pay for the gas that it declared is left out (``UNFUNDED``). Failed transactions pay
    in full, unless the chain protects from reverts: then they are left out as well, change nothing and pay nothing. The
    space that a transaction held that is left out stays empty, and its nonce counts as used.
    """
    venue = venues[0]
    log = logs[0]
    pool = pools[0]
    block = blocks[0]
    log.time = block.time
    log.block = block.number
    block.gas_used = 0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        tip = effective_tip(transaction, block.base_fee)
        sender = transaction.sender
        if sender != BACKGROUND and not can_pay_gas(
            venue.ledger, sender, np.int64(transaction.gas), block.base_fee + tip
        ):
            transaction.status = UNFUNDED
            continue
        gas = np.int64(transaction.gas)
        if block.revert_protection != 0 and _would_leave_a_trace(venue, transaction):
            transaction.status = LEFT_OUT
            continue
        if venue.batching != 0:
            done = _carry_to_batch(venue, log, block, block.order[position], transaction)
        else:
            done = _carry_out(venue, log, transaction)
        if done:
            transaction.status = SUCCEEDED
        elif block.revert_protection != 0:
            transaction.status = LEFT_OUT
            continue
        else:
            transaction.status = FAILED
        transaction.gas_used = gas
        block.gas_used += gas
        pay_gas(venue.ledger, sender, block.base_fee_account, gas, block.base_fee)
        pay_gas(venue.ledger, sender, block.producer_account, gas, tip)
    if venue.batching != 0:
        _clear_batches(venue, log, pool, block)
