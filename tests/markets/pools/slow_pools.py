"""The slow, obvious twins of the pools, in exact rational arithmetic from the published formulas.

Nothing is kept that could be worked out: the concentrated pool has no ticks, only positions, and looks at all of them
for the active liquidity and for the next price where it changes.
"""

from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from math import ceil, floor, isqrt

from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.pools.concentrated_liquidity import POSITIONS
from blockspace.markets.pools.constant_product import LOCKED_SHARES
from blockspace.markets.pools.swaps import (
    AMOUNT_NOT_POSITIVE,
    BAD_RANGE,
    BEYOND_BOUND,
    DONE,
    LARGEST_AMOUNT,
    LIMIT_BEHIND_PRICE,
    NOT_OWNER,
    NOTHING_OUT,
    PARTIAL,
    POSITION_IN_USE,
    TOO_LARGE,
    TOO_LITTLE_LIQUIDITY,
    UNKNOWN_POSITION,
    UNKNOWN_SIDE,
)
from blockspace.markets.pools.ticks import MAXIMUM_TICK, MINIMUM_TICK

MILLION = 1_000_000
UNIT = 2**32  # of the square root of a price
GROWTH = 2**64  # of the fees that a unit of liquidity earns


def refused(status):
    return status, 0, 0, 0


class SlowConstantProduct:
    def __init__(self, fee_ppm):
        self.reserves = [0, 0]
        self.fees = [0, 0]
        self.shares = {}
        self.total = 0
        self.kept = Fraction(MILLION - fee_ppm, MILLION)

    def quote(self, exact_in, side, amount):
        if side not in (1, -1):
            return refused(UNKNOWN_SIDE)
        if amount <= 0:
            return refused(AMOUNT_NOT_POSITIVE)
        token = 1 if side > 0 else 0
        there, here = self.reserves[token], self.reserves[1 - token]
        if exact_in:
            if self.total == 0:
                return refused(TOO_LITTLE_LIQUIDITY)
            cost, out = amount, 0
        else:
            if amount >= here:
                return refused(TOO_LITTLE_LIQUIDITY)
            cost, out = ceil(Fraction(there * amount, here - amount) / self.kept), amount
        if max(there, self.fees[token]) + cost > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        if exact_in:
            usable = amount * self.kept
            out = floor(usable * here / (there + usable))
            if out == 0:
                return refused(NOTHING_OUT)
        return DONE, cost, out, ceil(cost * (1 - self.kept))

    def swap(self, exact_in, side, amount, bound):
        status, cost, out, fee = outcome = self.quote(exact_in, side, amount)
        if status < 0:
            return outcome
        if out < bound if exact_in else cost > bound:
            return refused(BEYOND_BOUND)
        token = 1 if side > 0 else 0
        self.reserves[token] += cost
        self.reserves[1 - token] -= out
        self.fees[token] += fee
        return outcome

    def mint(self, account, *amounts):
        if not 0 <= account < ACCOUNTS:
            return refused(UNKNOWN_POSITION)
        if min(amounts) <= 0:
            return refused(AMOUNT_NOT_POSITIVE)
        if max(amounts) > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        if self.total == 0:
            created, locked = isqrt(amounts[0] * amounts[1]), LOCKED_SHARES
        else:
            ratios = [Fraction(amount, reserve) for amount, reserve in zip(amounts, self.reserves, strict=True)]
            created, locked = min(floor(self.total * min(ratios)), LARGEST_AMOUNT), 0
            amounts = [ceil(Fraction(created * reserve, self.total)) for reserve in self.reserves]
        if created <= locked:
            return refused(NOTHING_OUT)
        sums = [self.total + created, self.reserves[0] + amounts[0], self.reserves[1] + amounts[1]]
        if max(sums) > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        self.total, *self.reserves = sums
        self.shares[account] = self.shares.get(account, 0) + created - locked
        return DONE, created - locked, *amounts

    def burn(self, account, shares):
        if not 0 <= account < ACCOUNTS:
            return refused(UNKNOWN_POSITION)
        if shares <= 0:
            return refused(AMOUNT_NOT_POSITIVE)
        if shares > self.shares.get(account, 0):
            return refused(TOO_LITTLE_LIQUIDITY)
        amounts = [floor(Fraction(shares * reserve, self.total)) for reserve in self.reserves]
        if 0 in amounts:
            return refused(NOTHING_OUT)
        self.shares[account] -= shares
        self.total -= shares
        self.reserves = [reserve - amount for reserve, amount in zip(self.reserves, amounts, strict=True)]
        return DONE, shares, *amounts


@cache
def root_at(tick):
    """Square root of 1.0001^tick in units of 2^-32, rounded down."""
    with localcontext(prec=80):
        return floor((Decimal("1.0001") ** tick).sqrt() * UNIT)


@dataclass
class Range:
    """A position. ``growth`` is what a unit of its liquidity has earned since fees were last credited."""

    owner: int
    lower: int
    upper: int
    liquidity: int = 0
    owed: list = field(default_factory=lambda: [0, 0])
    growth: list = field(default_factory=lambda: [0, 0])
    exact_fees: list = field(default_factory=lambda: [Fraction(0), Fraction(0)])

    @property
    def low(self):
        return root_at(self.lower)

    @property
    def high(self):
        return root_at(self.upper)

    def pending(self, token):
        return self.growth[token] * self.liquidity // GROWTH

    def credit(self):
        for token in (0, 1):
            self.owed[token] += self.pending(token)
        self.growth = [0, 0]

    def worth(self, root, liquidity):
        """Lots and micro-dollars, as fractions, that liquidity in this range consists of."""
        middle = min(max(root, self.low), self.high)
        return Fraction(UNIT * liquidity, middle) - Fraction(UNIT * liquidity, self.high), Fraction(
            liquidity * (middle - self.low), UNIT
        )


class SlowConcentrated:
    def __init__(self, root, fee_ppm, tick_spacing, keeps_exact_fees=False):
        self.root = root
        self.fee = Fraction(fee_ppm, MILLION)
        self.spacing = tick_spacing
        self.ranges = {}
        self.reserves = [0, 0]
        self.fees = [0, 0]
        self.keeps_exact_fees = keeps_exact_fees

    def is_range(self, lower, upper):
        ends = MINIMUM_TICK <= lower < upper <= MAXIMUM_TICK
        return ends and lower % self.spacing == 0 and upper % self.spacing == 0

    def active(self, root, rising):
        """Positions whose range a price that moves on from ``root`` is in."""
        live = (position for position in self.ranges.values() if position.liquidity)
        if rising:
            return [position for position in live if position.low <= root < position.high]
        return [position for position in live if position.low < root <= position.high]

    def next_end(self, root, rising):
        """Next price where a range starts or ends, or None."""
        ends = {end for position in self.ranges.values() if position.liquidity for end in (position.low, position.high)}
        if rising:
            return min((end for end in ends if end > root), default=None)
        return max((end for end in ends if end < root), default=None)

    def step(self, root, target, liquidity, remaining, rising, exact_in):
        """Swap within a range: the root afterwards, what goes in without fee, what comes out, and the fee."""

        def base(low, high):
            return Fraction(UNIT * liquidity, low) - Fraction(UNIT * liquidity, high)

        def quote(low, high):
            return Fraction(liquidity * (high - low), UNIT)

        def amounts(end):
            return (quote(root, end), base(root, end)) if rising else (base(end, root), quote(end, root))

        needed, there = amounts(target)
        usable = floor(remaining * (1 - self.fee))
        reaches = usable >= ceil(needed) if exact_in else remaining >= floor(there)
        if reaches:
            after = target
        elif exact_in and rising:
            after = floor(root + Fraction(UNIT * usable, liquidity))
        elif exact_in:
            after = ceil(1 / (Fraction(1, root) + Fraction(usable, UNIT * liquidity)))
        elif rising:
            after = ceil(1 / (Fraction(1, root) - Fraction(remaining, UNIT * liquidity)))
        else:
            after = floor(root - Fraction(UNIT * remaining, liquidity))
        cost, out = amounts(after)
        cost, out = ceil(cost), floor(out)
        if exact_in and after != target:
            return after, cost, out, remaining - cost
        return after, cost, out if exact_in else min(out, remaining), ceil(cost * self.fee / (1 - self.fee))

    def swap(self, exact_in, side, amount, bound, limit=0):
        """Swap, towards a square root of the price as the limit (0 for none)."""
        rising = side > 0
        if side not in (1, -1):
            return refused(UNKNOWN_SIDE)
        if amount <= 0:
            return refused(AMOUNT_NOT_POSITIVE)
        if amount > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        if limit:
            limit = min(max(limit, root_at(MINIMUM_TICK)), root_at(MAXIMUM_TICK))
            if limit <= self.root if rising else limit >= self.root:
                return refused(LIMIT_BEHIND_PRICE)
        root, remaining, total_in, total_out, total_fee = self.root, amount, 0, 0, 0
        earned = []
        while remaining and root != limit:
            target = self.next_end(root, rising)
            if target is None:
                root = limit or root
                break
            if limit:
                target = min(target, limit) if rising else max(target, limit)
            active = self.active(root, rising)
            liquidity = sum(position.liquidity for position in active)
            root, cost, out, fee = self.step(root, target, liquidity, remaining, rising, exact_in)
            total_in, total_out, total_fee = total_in + cost + fee, total_out + out, total_fee + fee
            if total_in > LARGEST_AMOUNT:
                return refused(TOO_LARGE)
            remaining -= cost + fee if exact_in else out
            earned += [(position, fee, liquidity) for position in active]
        token = 1 if rising else 0
        if max(self.reserves[token], self.fees[token]) + total_in > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        if total_out < bound if exact_in else total_in > bound:
            return refused(BEYOND_BOUND)
        self.root = root
        self.reserves[token] += total_in
        self.reserves[1 - token] -= total_out
        self.fees[token] += total_fee
        for position, fee, liquidity in earned:
            position.growth[token] += fee * GROWTH // liquidity
            if self.keeps_exact_fees:
                position.exact_fees[token] += Fraction(fee * position.liquidity, liquidity)
        return PARTIAL if remaining else DONE, total_in, total_out, total_fee

    def mint(self, slot, owner, lower, upper, liquidity):
        if not 0 <= slot < POSITIONS:
            return refused(UNKNOWN_POSITION)
        if not self.is_range(lower, upper):
            return refused(BAD_RANGE)
        if liquidity <= 0:
            return refused(AMOUNT_NOT_POSITIVE)
        position = self.ranges.get(slot, Range(owner, lower, upper))
        if position.owner != owner:
            return refused(NOT_OWNER)
        if (position.lower, position.upper) != (lower, upper):
            return refused(POSITION_IN_USE)
        if liquidity + sum(position.liquidity for position in self.ranges.values()) > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        amounts = [ceil(part) for part in position.worth(self.root, liquidity)]
        sums = [reserve + amount for reserve, amount in zip(self.reserves, amounts, strict=True)]
        if max(sums) > LARGEST_AMOUNT:
            return refused(TOO_LARGE)
        position.credit()
        position.liquidity += liquidity
        self.reserves = sums
        self.ranges[slot] = position
        return DONE, liquidity, *amounts

    def burn(self, slot, owner, liquidity):
        if slot not in self.ranges:
            return refused(UNKNOWN_POSITION)
        position = self.ranges[slot]
        if position.owner != owner:
            return refused(NOT_OWNER)
        if liquidity < 0:
            return refused(AMOUNT_NOT_POSITIVE)
        if liquidity > position.liquidity:
            return refused(TOO_LITTLE_LIQUIDITY)
        amounts = [floor(part) for part in position.worth(self.root, liquidity)]
        position.credit()
        position.liquidity -= liquidity
        position.owed = [owed + amount for owed, amount in zip(position.owed, amounts, strict=True)]
        self.forget(slot)
        return DONE, liquidity, *amounts

    def collect(self, slot, owner):
        if slot not in self.ranges:
            return refused(UNKNOWN_POSITION)
        position = self.ranges[slot]
        if position.owner != owner:
            return refused(NOT_OWNER)
        position.credit()
        paid, position.owed = position.owed, [0, 0]
        self.reserves = [reserve - amount for reserve, amount in zip(self.reserves, paid, strict=True)]
        self.forget(slot)
        return DONE, 0, *paid

    def forget(self, slot):
        if not self.ranges[slot].liquidity and self.ranges[slot].owed == [0, 0]:
            del self.ranges[slot]
