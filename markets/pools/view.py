"""What can be seen of a pool: its price, its reserves, its liquidity and the next ticks; and what that tells a trader.

A view of a constant-product pool is all there is to know, and its quotations are those of the pool, to the last unit.
Of a pool of concentrated liquidity the nearest ``TICKS_SEEN`` initialised ticks on each side are seen. Quotations
follow the liquidity from one to the next in floating point and end at the last of them: they are estimates, and what
lies beyond is not known.
"""

import math
from typing import NamedTuple

import numpy as np

from blockspace.markets.bitmap import occupied_above, occupied_below
from blockspace.markets.pools import constant_product
from blockspace.markets.pools.listing import CONSTANT_PRODUCT
from blockspace.markets.pools.swaps import LARGEST_AMOUNT, fee_on_top, without_fee
from blockspace.markets.pools.ticks import TICKS
from blockspace.network.compilation import kernel

TICKS_SEEN = 8

POOL_VIEW = np.dtype(
    [
        ("reserves", "i8", (2,)),  # lots, micro-dollars
        ("fees", "i8", (2,)),  # ever paid, lots and micro-dollars
        ("fee_ppm", "i8"),
        ("total_shares", "i8"),  # of a constant product
        ("sqrt_price", "f8"),  # root of the price in micro-dollars per lot
        ("liquidity", "f8"),  # that is active at the price (concentrated)
        # The next initialised ticks, the nearest first: roots of their prices, 0 where there is none, and by how much
        # the liquidity changes when the price crosses them upwards.
        ("below", "f8", (TICKS_SEEN,)),
        ("below_net", "f8", (TICKS_SEEN,)),
        ("above", "f8", (TICKS_SEEN,)),
        ("above_net", "f8", (TICKS_SEEN,)),
    ],
    align=True,
)

POOL_TERMS = np.dtype([("kind", "u1"), ("instrument", "u1"), ("fee", "f8"), ("tick_spacing", "i8")], align=True)
"""Public terms of a pool; the fee is a fraction of what goes in."""

TO_32 = 2.0**32


class Estimate(NamedTuple):
    """What a swap would exchange on what can be seen."""

    amount_in: int  # lots or micro-dollars, fee included
    amount_out: int
    crossings: int  # ticks that it would cross
    complete: bool  # whether all that was asked for can be seen to be there


@kernel
def publish_pool(venue, number, view):
    """Write down what can be seen of a pool now."""
    if venue.pools[number].kind == CONSTANT_PRODUCT:
        pool = venue.constant_products[number]
        for token in range(2):
            view.reserves[token] = pool.reserves[token]
            view.fees[token] = pool.fees[token]
        view.fee_ppm = pool.fee_ppm
        view.total_shares = pool.total_shares
        view.sqrt_price = 0.0
        if pool.total_shares > 0:
            view.sqrt_price = math.sqrt(np.float64(pool.reserves[1]) / np.float64(pool.reserves[0]))
    else:
        _publish_ranges(venue.concentrated[number], view)


@kernel
def _publish_ranges(pool, view):
    for token in range(2):
        view.reserves[token] = pool.reserves[token]
        view.fees[token] = pool.fees[token]
    view.fee_ppm = pool.fee_ppm
    view.sqrt_price = np.float64(pool.sqrt_price) / TO_32
    view.liquidity = np.float64(pool.liquidity)
    place = np.int64(pool.below)
    for level in range(TICKS_SEEN):
        view.below[level] = 0.0
        view.below_net[level] = 0.0
        if place > 0:
            view.below[level] = np.float64(pool.ticks[place].sqrt_price) / TO_32
            view.below_net[level] = np.float64(pool.ticks[place].net)
            place = np.int64(occupied_below(pool, place))
    place = np.int64(pool.above)
    for level in range(TICKS_SEEN):
        view.above[level] = 0.0
        view.above_net[level] = 0.0
        if place < TICKS:
            view.above[level] = np.float64(pool.ticks[place].sqrt_price) / TO_32
            view.above_net[level] = np.float64(pool.ticks[place].net)
            place = np.int64(occupied_above(pool, place, np.int64(TICKS)))


@kernel
def _walk_up(view, target, lots):
    """Lots that come out and micro-dollars that go in, fee apart, until a root of the price or a number of lots.

    Returns them with the ticks crossed, and whether the target or the number was reached within sight.
    """
    root, liquidity = view.sqrt_price, view.liquidity
    base = quote = 0.0
    crossings = 0
    for level in range(TICKS_SEEN):
        end = view.above[level]
        if end == 0.0:
            break
        stop = min(end, target)
        if liquidity > 0.0:
            # Where the lots that are left end: 1 / s falls by lots / L.
            inverse = 1.0 / root - (lots - base) / liquidity
            last = inverse > 0.0 and 1.0 / inverse <= stop
            if last:
                stop = 1.0 / inverse
            base += liquidity * (1.0 / root - 1.0 / stop)
            quote += liquidity * (stop - root)
            if last:
                return base, quote, crossings, True
        root = stop
        if target < end:
            return base, quote, crossings, True
        liquidity += view.above_net[level]
        crossings += 1
    return base, quote, crossings, False


@kernel
def _walk_down(view, target, lots):
    """Lots that go in, fee apart, and micro-dollars that come out; see :func:`_walk_up`."""
    root, liquidity = view.sqrt_price, view.liquidity
    base = quote = 0.0
    crossings = 0
    for level in range(TICKS_SEEN):
        end = view.below[level]
        if end == 0.0:
            break
        stop = max(end, target)
        if liquidity > 0.0:
            least = 1.0 / (1.0 / root + (lots - base) / liquidity)
            last = least >= stop
            if last:
                stop = least
            base += liquidity * (1.0 / stop - 1.0 / root)
            quote += liquidity * (root - stop)
            if last:
                return base, quote, crossings, True
        root = stop
        if target > end:
            return base, quote, crossings, True
        liquidity -= view.below_net[level]
        crossings += 1
    return base, quote, crossings, False


@kernel
def nothing():
    """An estimate of no swap."""
    return Estimate(np.int64(0), np.int64(0), np.int64(0), False)


@kernel
def _estimate(amount_in, amount_out, crossings, complete):
    """An estimate of whole units, which asks for no more than it gives."""
    if not 1.0 <= amount_out <= amount_in * LARGEST_AMOUNT or not 1.0 <= amount_in < LARGEST_AMOUNT:
        return nothing()
    return Estimate(np.int64(amount_in), np.int64(amount_out), np.int64(crossings), complete)


@kernel
def estimate_lots(view, kind, side, lots):
    """What it would cost to buy (side +1) or bring to sell (-1) a number of lots."""
    side, lots = np.int64(side), np.int64(lots)
    if kind == CONSTANT_PRODUCT:
        if side > 0:
            swap = constant_product.quote_exact_out(view, side, lots)
        else:
            swap = constant_product.quote_exact_in(view, side, lots)
        return Estimate(swap.amount_in, swap.amount_out, np.int64(0), swap.status >= 0)
    kept = 1.0 - view.fee_ppm * 1e-6
    if side > 0:
        base, quote, crossings, complete = _walk_up(view, np.inf, np.float64(lots))
        cost = np.float64(math.ceil(quote / kept))
        return _estimate(cost, np.float64(lots) if complete else base, crossings, complete)
    # The fee of a sale is a whole number of lots.
    usable = np.float64(without_fee(np.uint64(lots), np.uint64(view.fee_ppm)))
    base, quote, crossings, complete = _walk_down(view, 0.0, usable)
    return _estimate(np.float64(lots) if complete else base / kept, quote, crossings, complete)


@kernel
def estimate_arbitrage(view, kind, price):
    """The swap that earns most against a price in micro-dollars per lot, after the fee of the pool.

    Returns its side (0 if there is nothing to earn) and the estimate.
    """
    if kind == CONSTANT_PRODUCT:
        found = constant_product.arbitrage(view, price)
        return found.side, Estimate(found.amount_in, found.amount_out, np.int64(0), found.side != 0)
    kept = 1.0 - view.fee_ppm * 1e-6
    highest, lowest = math.sqrt(price * kept), math.sqrt(price / kept)
    if highest > view.sqrt_price:
        base, quote, crossings, complete = _walk_up(view, highest, np.inf)
        return np.int64(1), _estimate(quote / kept, base, crossings, complete)
    if lowest < view.sqrt_price:
        base, quote, crossings, complete = _walk_down(view, lowest, np.inf)
        # Whole lots, for which no more comes out than their part of it at the least.
        usable = math.floor(min(base, np.float64(LARGEST_AMOUNT)))
        if usable < 1.0:
            return np.int64(0), nothing()
        fee = fee_on_top(np.uint64(usable), np.uint64(view.fee_ppm))
        return np.int64(-1), _estimate(
            np.float64(np.uint64(usable) + fee), quote * (usable / base), crossings, complete
        )
    return np.int64(0), nothing()
