"""Pools on the venue: a ledger account around each slow pool, what is seen of it, and what that tells a trader."""

import math
from dataclasses import dataclass
from fractions import Fraction

from tests.markets.pools.slow_pools import UNIT, SlowConcentrated, SlowConstantProduct, root_at

from .constants import BURN, EXACT_IN, LARGEST_AMOUNT, MAXIMUM_TICK, MINIMUM_TICK, MINT, POSITIONS, SWAP, TICKS_SEEN
from .duplicate import duplicate
from .order_book import Trade

MILLION = 10**6
LARGEST_SIZE = 2**31 - 1
NOTHING = 0, 0, 0, False


def exact_root(price):
    """Square root of a price in micro-dollars per lot, in units of 2^-32, rounded down."""
    return math.isqrt(math.floor(Fraction(price) * 2**64))


def tick_below(price):
    """Highest tick whose square root of the price is at most that of ``price``."""
    root = exact_root(price)
    tick = math.floor(math.log(price) / math.log(1.0001))
    while root_at(tick) > root:
        tick -= 1
    while root_at(tick + 1) <= root:
        tick += 1
    return tick


class Pool:
    """A pool with its account. Amounts are lots and micro-dollars."""

    def __init__(self, settings, number, instrument, account, price):
        self.number = number
        self.instrument = instrument
        self.account = account
        self.concentrated = settings.kind == "concentrated"
        self.fee_ppm = settings.fee_ppm
        self.spacing = settings.spacing
        if self.concentrated:
            self.slow = SlowConcentrated(exact_root(price), settings.fee_ppm, settings.spacing)
        else:
            self.slow = SlowConstantProduct(settings.fee_ppm)

    @property
    def price(self):
        """Micro-dollars per lot."""
        if self.concentrated:
            root = self.slow.root / 2.0**32
            return root * root
        lots, cash = self.slow.reserves
        return cash / lots

    @property
    def liquidity(self):
        if self.concentrated:
            return sum(position.liquidity for position in self.slow.active(self.slow.root, True))
        return self.slow.total

    def full_range(self):
        return -(-MINIMUM_TICK // self.spacing) * self.spacing, MAXIMUM_TICK // self.spacing * self.spacing

    def range_around(self, distance_bps):
        """Ticks of the narrowest range that reaches as far on either side; 0 for all prices."""
        lowest, highest = self.full_range()
        if distance_bps == 0.0:
            return lowest, highest
        ratio = 1.0 + distance_bps * 1e-4
        lower, upper = tick_below(self.price / ratio), tick_below(self.price * ratio)
        spacing = self.spacing
        return max(lower // spacing * spacing, lowest), min((upper // spacing + 1) * spacing, highest)

    def find(self, owner, lower, upper):
        """Slot of a position, or None."""
        wanted = owner, lower, upper
        for slot, position in self.slow.ranges.items():
            if (position.owner, position.lower, position.upper) == wanted:
                return slot
        return None

    def mint(self, account, lots, cash, lower, upper):
        """Provide as much as so many lots and micro-dollars allow; lots and micro-dollars that went in, or None."""
        if not self.concentrated:
            status, _, base, quote = self.slow.mint(account, lots, cash)
        elif not self.slow.is_range(lower, upper):
            return None
        else:
            slot = self.find(account, lower, upper)
            if slot is None:
                slot = next(free for free in range(POSITIONS) if free not in self.slow.ranges)
            liquidity = self.liquidity_for(lower, upper, lots, cash)
            status, _, base, quote = self.slow.mint(slot, account, lower, upper, liquidity)
        return (base, quote) if status >= 0 else None

    def liquidity_for(self, lower, upper, lots, cash):
        low, high = root_at(lower), root_at(upper)
        root = min(max(self.slow.root, low), high)
        most = LARGEST_AMOUNT
        if root < high:
            most = min(most, lots * root * high // ((high - root) * UNIT))
        if root > low:
            most = min(most, cash * UNIT // (root - low))
        return most

    def burn(self, account, amount, lower, upper):
        """Take out liquidity and fees; lots and micro-dollars that come out, or None."""
        if not self.concentrated:
            shares = min(amount, self.slow.shares.get(account, 0))
            status, _, base, quote = self.slow.burn(account, shares)
            return (base, quote) if status >= 0 else None
        slot = self.find(account, lower, upper)
        if slot is None:
            return None
        self.slow.burn(slot, account, min(amount, self.slow.ranges[slot].liquidity))
        if slot not in self.slow.ranges:
            return 0, 0
        _, _, base, quote = self.slow.collect(slot, account)
        return base, quote

    def crossings(self, before, after):
        """Initialised ticks that a move from one root of the price to another crosses."""
        ends = {end for position in self.slow.ranges.values() for end in (position.low, position.high)}
        return sum(before < end <= after or after <= end < before for end in ends)

    def view(self):
        slow = self.slow
        below, above = [], []
        root = 0.0
        if self.concentrated:
            net = {}
            for position in slow.ranges.values():
                for end, change in ((position.low, position.liquidity), (position.high, -position.liquidity)):
                    net[end] = net.get(end, 0) + change
            ticks = [(end / 2.0**32, float(net[end])) for end in sorted(net)]
            root = slow.root / 2.0**32
            below = [tick for tick in reversed(ticks) if tick[0] <= root][:TICKS_SEEN]
            above = [tick for tick in ticks if tick[0] > root][:TICKS_SEEN]
        elif slow.total:
            root = math.sqrt(slow.reserves[1] / slow.reserves[0])
        liquidity = float(self.liquidity) if self.concentrated else 0.0
        shares = 0 if self.concentrated else slow.total
        return PoolView(self, list(slow.reserves), list(slow.fees), shares, root, liquidity, below, above)


@dataclass(slots=True)
class PoolView:
    """What is seen of a pool after a block."""

    pool: Pool
    reserves: list[int]
    fees: list[int]
    total_shares: int
    root: float  # of the price
    liquidity: float
    below: list[tuple[float, float]]  # root and net liquidity of the next ticks, the nearest first
    above: list[tuple[float, float]]

    def as_constant_product(self):
        pool = SlowConstantProduct(self.pool.fee_ppm)
        pool.reserves, pool.fees, pool.total = self.reserves, self.fees, self.total_shares
        return pool

    def estimate_lots(self, side, lots):
        """Amounts in and out, ticks crossed, and whether all of it is in sight."""
        if not self.pool.concentrated:
            status, cost, out, _ = self.as_constant_product().quote(side < 0, side, lots)
            return cost, out, 0, status >= 0
        kept = 1.0 - self.pool.fee_ppm * 1e-6
        if side > 0:
            base, quote, crossings, complete = self.walk(1, math.inf, float(lots))
            return whole(math.ceil(quote / kept), float(lots) if complete else base, crossings, complete)
        base, quote, crossings, complete = self.walk(-1, 0.0, float(lots * (MILLION - self.pool.fee_ppm) // MILLION))
        return whole(float(lots) if complete else base / kept, quote, crossings, complete)

    def estimate_arbitrage(self, price):
        """Side of the swap that earns most against a price, and its amounts."""
        kept = 1.0 - self.pool.fee_ppm * 1e-6
        if not self.pool.concentrated:
            return self.exact_arbitrage(price, kept)
        highest, lowest = math.sqrt(price * kept), math.sqrt(price / kept)
        if highest > self.root:
            base, quote, crossings, complete = self.walk(1, highest, math.inf)
            return 1, whole(quote / kept, base, crossings, complete)
        if lowest < self.root:
            base, quote, crossings, complete = self.walk(-1, lowest, math.inf)
            usable = math.floor(min(base, float(LARGEST_AMOUNT)))
            if usable < 1:
                return 0, NOTHING
            fee = -(-usable * self.pool.fee_ppm // (MILLION - self.pool.fee_ppm))
            return -1, whole(float(usable + fee), quote * (usable / base), crossings, complete)
        return 0, NOTHING

    def exact_arbitrage(self, price, kept):
        lots, cash = self.reserves
        for side in (1, -1):
            wanted = Fraction(price * kept if side > 0 else price / kept)
            reserve = cash if side > 0 else lots
            moved = math.isqrt(int(lots * wanted) * cash if side > 0 else int(cash / wanted) * lots)
            if moved > reserve:
                amount = (moved - reserve) * MILLION // (MILLION - self.pool.fee_ppm)
                status, cost, out, _ = self.as_constant_product().quote(True, side, amount)
                if status >= 0:
                    return side, (cost, out, 0, True)
        return 0, NOTHING

    def walk(self, direction, target, lots):
        """Lots and micro-dollars, fee apart, until a root of the price or a number of lots; ticks crossed."""
        root, liquidity = self.root, self.liquidity
        base = quote = 0.0
        crossings = 0
        for end, net in self.above if direction > 0 else self.below:
            stop = min(end, target) if direction > 0 else max(end, target)
            if liquidity > 0.0:
                if direction > 0:
                    inverse = 1.0 / root - (lots - base) / liquidity
                    last = inverse > 0.0 and 1.0 / inverse <= stop
                    stop = 1.0 / inverse if last else stop
                    base += liquidity * (1.0 / root - 1.0 / stop)
                    quote += liquidity * (stop - root)
                else:
                    least = 1.0 / (1.0 / root + (lots - base) / liquidity)
                    last = least >= stop
                    stop = least if last else stop
                    base += liquidity * (1.0 / stop - 1.0 / root)
                    quote += liquidity * (root - stop)
                if last:
                    return base, quote, crossings, True
            root = stop
            if target < end if direction > 0 else target > end:
                return base, quote, crossings, True
            liquidity += net if direction > 0 else -net
            crossings += 1
        return base, quote, crossings, False


def whole(amount_in, amount_out, crossings, complete):
    if not 1.0 <= amount_out <= amount_in * LARGEST_AMOUNT or not 1.0 <= amount_in < LARGEST_AMOUNT:
        return NOTHING
    return int(amount_in), int(amount_out), crossings, complete


def execute_in_pool(venue, pool, transaction):
    """Whether a transaction with a pool did what its sender wanted."""
    sender = transaction.sender
    instrument = venue.instruments[pool.instrument]
    lots = venue.ledger.accounts[sender].positions[pool.instrument] - instrument.resting_lots(sender)[1]
    cash = venue.free_collateral(sender)
    if transaction.kind == SWAP:
        return swap(venue, pool, instrument, transaction, lots, cash)
    if transaction.kind == MINT:
        if transaction.amount > lots or transaction.bound > cash:
            return False
        paid = pool.mint(sender, transaction.amount, transaction.bound, *transaction.range)
    else:
        assert transaction.kind == BURN
        paid = pool.burn(sender, transaction.amount, *transaction.range)
        paid = paid and (-paid[0], -paid[1])
    if paid is None:
        return False
    move(venue, pool, sender, *paid)
    return True


def move(venue, pool, sender, lots, cash):
    venue.ledger.transfer_position(sender, pool.account, pool.instrument, lots)
    venue.ledger.transfer_cash(sender, pool.account, cash)


def swap(venue, pool, instrument, transaction, lots, cash):
    side, exact_in = transaction.side, transaction.style == EXACT_IN
    tried = duplicate(pool.slow)
    limit = ()
    if transaction.price and not pool.concentrated:
        return False
    if transaction.price:
        limit = (exact_root(transaction.price * float(instrument.tick_lot_value)),)
    status, cost, out, fee = tried.swap(exact_in, side, transaction.amount, transaction.bound, *limit)
    size = out if side > 0 else cost
    if status < 0 or out == 0 or cost > (cash if side > 0 else lots) or not 0 < size <= LARGEST_SIZE:
        return False
    if pool.concentrated:
        ticks = pool.crossings(pool.slow.root, tried.root)
        if venue.gas.swap + ticks * venue.gas.swap_tick > transaction.gas:
            return False
    pool.slow = tried
    if side > 0:
        move(venue, pool, transaction.sender, -out, cost)
        notional = cost - fee
    else:
        move(venue, pool, transaction.sender, cost, -out)
        fee = -(-out * pool.fee_ppm // (MILLION - pool.fee_ppm))
        notional = out + fee
    tape = venue.tape
    tape.trades.append(
        Trade(
            tape.time, tape.block, pool.instrument, 0, size, side, pool.account, transaction.sender,
            0, -fee, fee, tape.external_price, pool.number, notional,
        )
    )  # fmt: skip
    transaction.filled = size
    return True
