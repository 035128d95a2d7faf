"""What can be seen, from where, and when."""

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import islice

from blockspace.agents.sight import VisibleOption

from .constants import (
    BACKGROUND,
    BUY,
    DUE_SEEN,
    IMMEDIATE_OR_CANCEL,
    LEVELS_SEEN,
    MARKET,
    PLACE,
    SELL,
    SUCCEEDED,
    SWAP,
    VIEWS,
)
from .pools import PoolView

WEI = 1e18


@dataclass(slots=True)
class Quotes:
    """Price and volume of the best levels of a book, best first."""

    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]

    def opposite(self, side):
        return self.asks if side > 0 else self.bids

    def lots_within(self, side, limit):
        """Lots, and their cost, that an order of this side finds at ``limit`` or better."""
        lots = cost = 0
        for price, size in self.opposite(side):
            if (price - limit) * side > 0:
                break
            lots += size
            cost += price * size
        return lots, cost

    def average_price(self, side, size):
        """Lots of ``size`` that can be filled, and their average price."""
        lots = cost = 0
        for price, there in self.opposite(side):
            taken = min(there, size - lots)
            lots += taken
            cost += price * taken
        return (lots, cost / lots) if lots else (0, 0.0)


@dataclass(slots=True)
class View:
    """State of the chain after a block, and when it is known at each access point."""

    number: int
    base_fee: int  # of the next block
    marginal_tip: int
    trades: int  # so far
    settled: int  # last block whose orders have all met their fate
    visible: list[int]  # ns
    quotes: list[Quotes]
    pools: list[PoolView]
    options: list[VisibleOption]
    time: int  # ns
    races: dict[
        tuple[str, int, int], list[tuple[int, int, bool]]
    ]  # bidder, tip and success of those who take, in order
    marks: list[int]
    indexes: list[int]
    insurance: int
    due: list  # accounts below maintenance that are shown
    cleared: int  # first trade that may still wait for settlement
    waiting: int  # trades that wait
    oldest: int  # ns: when the first of them was made


@dataclass(slots=True)
class Outlook:
    """The last moment at which a decision can still make the coming block, and what is seen then."""

    access: int
    decision: int = 0
    seen: bool = False  # whether there has been a decision
    fresh: bool = False
    external_price: float | None = None
    view: View | None = None


@dataclass(slots=True)
class Receipt:
    """Of an account's last executed transaction, and sums over all that it sent with that decision into the block."""

    decided: int
    block: int
    status: int
    gas_used: int
    gas_price: int
    landed: int  # that paid
    landed_gas: int
    successes: int


@dataclass(slots=True)
class Statement:
    """What an account owned after the last block in which it sent something or was closed out."""

    block: int
    cash: int
    lots: int
    about: int  # instrument whose lots these are
    claims: int  # trades so far, if some of the account's may still wait


class Feed:
    def __init__(self, scenario, access_points, path):
        self.path = path
        self.usual_tip = scenario.fee_market.wallet_tip_wei
        self.bytes_per_transaction = scenario.gas.bytes_per_transaction
        self.data_price = round(1_000 * scenario.fee_market.data_fee_wei_per_byte)  # thousandths of a wei
        self.gas_token_usd = scenario.venue.gas_token_usd if scenario.venue.gas_token == "fixed" else None
        self.access_points = range(access_points)
        self.outlooks = [Outlook(access) for access in self.access_points]
        self.views = deque(maxlen=VIEWS)
        self.receipts = {}
        self.statements = {}

    def view_at(self, access, time):
        """Newest view that is visible at an access point at ``time``."""
        for view in reversed(self.views):
            if view.visible[access] <= time:
                return view
        return self.views[0]

    def survey(self, block):
        """Work out until when agents at each access point can wait; what they see is looked up when asked for."""
        for outlook, latency in zip(self.outlooks, block.producer.latency, strict=True):
            decision = block.time - latency
            outlook.fresh = decision > outlook.decision
            if outlook.fresh:
                outlook.decision = decision
                outlook.seen = True
                outlook.view = outlook.external_price = None

    def outlook_at(self, access):
        """Outlook of an access point, or None if an earlier block already had a later decision."""
        outlook = self.outlooks[access]
        if not outlook.fresh:
            return None
        if outlook.view is None:
            outlook.view = self.view_at(access, outlook.decision)
            outlook.external_price = self.path.price_at(outlook.decision)
        return outlook

    def last_price(self, access):
        """External price at the last decision that was possible at an access point; None before the first."""
        outlook = self.outlooks[access]
        return self.path.price_at(outlook.decision) if outlook.seen else None

    def publish(self, block, venue, next_base_fee, verification_ns_per_gas):
        """Publish the view and the receipts after a block."""
        producer = block.producer
        visible = []
        for access in self.access_points:
            transfer = int(block.bytes * producer.seconds_per_byte[access] * 1e9)
            verification = int(producer.hops[access] * block.gas_used * verification_ns_per_gas)
            visible.append(block.time + producer.latency_out[access] + transfer + verification)
        quotes = [self.best_quotes(instrument.book) for instrument in venue.instruments]
        trades = len(venue.tape.trades)
        settled = venue.last_batch if venue.batching else block.number
        pools = [pool.view() for pool in venue.pools]
        self.views.append(
            View(
                block.number,
                next_base_fee,
                block.marginal_tip,
                trades,
                settled,
                visible,
                quotes,
                pools,
                self.options_of(venue),
                block.time,
                self.races_in(block),
                [instrument.mark for instrument in venue.instruments],
                [instrument.index for instrument in venue.instruments],
                venue.ledger.accounts[venue.margin.insurance].cash if venue.margin.liquidates else 0,
                self.next_due(venue.margin.due, block.number),
                trades if venue.clearing.immediate else venue.clearing.cleared,
                len(venue.clearing.waiting),
                venue.tape.trades[venue.clearing.waiting[0]].time if venue.clearing.waiting else 0,
            )
        )
        self.state(block, venue)
        for transaction in block.transactions:
            if transaction.sender != BACKGROUND:
                gas_price = block.base_fee + transaction.effective_tip(block.base_fee)
                gas_price += -(-self.data_fee(transaction.bytes) // transaction.gas)
                gas_used, successes = transaction.gas_used, int(transaction.status == SUCCEEDED)
                last = self.receipts.get(transaction.sender)
                if last and (last.decided, last.block) == (transaction.decided, block.number):
                    landed, landed_gas, before = last.landed, last.landed_gas, last.successes
                else:
                    landed = landed_gas = before = 0
                landed += gas_used > 0
                self.receipts[transaction.sender] = Receipt(
                    transaction.decided, block.number, transaction.status, gas_used, gas_price,
                    landed, landed_gas + gas_used, before + successes,
                )  # fmt: skip

    @staticmethod
    def races_in(block):
        """Who took what, or tried to: transactions for each side of a book and each direction through a pool."""
        races = defaultdict(list)
        for one in block.transactions:
            bid = one.sender, one.effective_tip(block.base_fee), one.status == SUCCEEDED
            if one.kind == PLACE and one.style in (IMMEDIATE_OR_CANCEL, MARKET):
                races["book", one.instrument, one.side].append(bid)
            elif one.kind == SWAP:
                races["pool", one.pool, one.side].append(bid)
        return races

    def race(self, block, key):
        """Bids of a race in a block, first come first; None if it is forgotten."""
        return next((view.races.get(key, []) for view in reversed(self.views) if view.number == block), None)

    @staticmethod
    def next_due(due, number):
        """All accounts below maintenance, or the next ones in turn if there are too many to show."""
        if len(due) <= DUE_SEEN:
            return list(due)
        return [due[(number * DUE_SEEN + place) % len(due)] for place in range(DUE_SEEN)]

    def state(self, block, venue):
        """Let accounts know what they own, if they sent something or their positions changed without it."""
        changed = [(one.sender, one.instrument) for one in block.transactions if one.sender != BACKGROUND]
        tape = venue.tape
        for trade in reversed(tape.trades):
            if trade.block != tape.block:
                break
            if trade.cause != "order" or venue.batching:
                changed += [(trade.maker, trade.instrument), (trade.taker, trade.instrument)]
        for account, instrument in changed:
            holder = venue.ledger.accounts[account]
            cash, lots = venue.clearing.cash(account), venue.clearing.lots(account, instrument)
            self.statements[account] = Statement(
                block.number,
                holder.cash + cash,
                holder.positions[instrument] + lots,
                instrument,
                len(tape.trades) if cash or lots else 0,
            )

    @staticmethod
    def options_of(venue):
        """Terms and marks of what is listed, in dollars per unit."""
        seen = []
        for option in venue.options.all if venue.options else []:
            per_unit = 1.0 / (option.lot_size * 10**6)
            if not option.closed:
                seen.append(
                    VisibleOption(
                        option.number, option.series, "call" if option.right > 0 else "put", option.strike * per_unit,
                        option.expiry * 1e-9, option.mark * per_unit, option.index * per_unit, option.volatility,
                    )
                )  # fmt: skip
        return seen

    @staticmethod
    def best_quotes(book):
        return Quotes(*(list(islice(book.best_levels(side), LEVELS_SEEN)) for side in (BUY, SELL)))

    def wallet_tip(self, view):
        """The usual tip, or an eighth above the lowest of the last full block."""
        return max(self.usual_tip, view.marginal_tip + view.marginal_tip // 8)

    def ether_usd(self, external_price):
        return external_price if self.gas_token_usd is None else self.gas_token_usd

    def data_fee(self, size):
        """Wei that the data of a transaction of ``size`` bytes cost."""
        return size * self.data_price // 1_000

    def gas_paid_usd(self, gas, fee, external_price):
        return gas * fee / WEI * self.ether_usd(external_price)

    def data_cost_usd(self, external_price):
        return self.data_fee(self.bytes_per_transaction) / WEI * self.ether_usd(external_price)

    def gas_cost_usd(self, gas, fee, external_price):
        return self.gas_paid_usd(gas, fee, external_price) + self.data_cost_usd(external_price)

    def fee_worth(self, gas, dollars, external_price):
        """Fee in wei per gas at which a transaction of ``gas`` units costs ``dollars`` with its data."""
        return self.tip_worth(gas, dollars - self.data_cost_usd(external_price), external_price)

    def tip_worth(self, gas, dollars, external_price):
        """Fee in wei per gas at which ``gas`` units cost ``dollars``."""
        fee = dollars / (gas * self.ether_usd(external_price)) * WEI
        return int(min(max(fee, 0.0), 1e15))
