"""Swaps tried, one after another, on what can be seen of a pool: exact to the unit, and nothing is touched.

A :class:`Sketch` is what swaps change of a pool. It starts from a view, and each trial gives another one. A pool of
constant product is seen as it is. Of one of concentrated liquidity the nearest ticks are seen, with roots and liquidity
that a view holds exactly below 2^53; a trial that would leave what is seen is not ``complete``.
"""

from typing import NamedTuple

import numpy as np

from blockspace.markets.matching import BUY, SELL
from blockspace.markets.pools import constant_product
from blockspace.markets.pools.concentrated_swaps import NO_LIMIT
from blockspace.markets.pools.liquidity_ranges import swap_in_range
from blockspace.markets.pools.listing import CONSTANT_PRODUCT
from blockspace.markets.pools.swaps import BASE, LARGEST_AMOUNT, QUOTE
from blockspace.markets.pools.ticks import sqrt_price_of
from blockspace.markets.pools.view import TICKS_SEEN, TO_32, Estimate, nothing
from blockspace.network.compilation import kernel

_ZERO = np.uint64(0)
_LARGEST = np.uint64(LARGEST_AMOUNT)
_UP, _DOWN = np.int64(BUY), np.int64(SELL)


class Sketch(NamedTuple):
    """A pool as trials have left it; of its fields, those that a kind of pool does not use stay as they are."""

    reserves: tuple[int, int]  # lots, micro-dollars
    fees: tuple[int, int]
    total_shares: int
    fee_ppm: int
    sqrt_price: int  # 32 bits after the point
    liquidity: int  # active
    above: int  # place of the next tick upwards: 0 is the first above the view's price, -1 the first at or below


@kernel
def sketch(view):
    """A sketch of a pool as its view shows it."""
    return Sketch(
        (view.reserves[BASE], view.reserves[QUOTE]),
        (view.fees[BASE], view.fees[QUOTE]),
        view.total_shares,
        view.fee_ppm,
        np.uint64(view.sqrt_price * TO_32),
        np.int64(view.liquidity),
        np.int64(0),
    )


@kernel
def _tick(view, place):
    """Root of the price at a tick, 0 if none is seen, and how the liquidity changes when it is crossed upwards."""
    if 0 <= place < TICKS_SEEN:
        return np.uint64(view.above[place] * TO_32), np.int64(view.above_net[place])
    if -TICKS_SEEN <= place < 0:
        return np.uint64(view.below[-1 - place] * TO_32), np.int64(view.below_net[-1 - place])
    return _ZERO, np.int64(0)


@kernel
def _after_transfers(drawn, side, amount_in, amount_out, fee):
    """Reserves and fees after a swap."""
    base, quote = drawn.reserves
    lots_fee, cash_fee = drawn.fees
    if side > 0:
        return (base - amount_out, quote + amount_in), (lots_fee, cash_fee + fee)
    return (base + amount_in, quote - amount_out), (lots_fee + fee, cash_fee)


@kernel
def _try_ranges(view, drawn, side, amount, exact_in, limit):
    """Follow a swap from one tick that is seen to the next, as the pool itself would."""
    rising = side > 0
    fee_ppm = np.uint64(drawn.fee_ppm)
    price, liquidity, above = drawn.sqrt_price, drawn.liquidity, drawn.above
    remaining = np.uint64(amount)
    total_in = total_out = total_fee = _ZERO
    crossings = np.int64(0)
    in_sight = True
    while remaining > _ZERO and price != limit:
        tick_price, net = _tick(view, above if rising else above - 1)
        if tick_price == _ZERO:
            in_sight = False
            break
        target = tick_price
        if limit != NO_LIMIT:
            target = min(target, limit) if rising else max(target, limit)
        price, step_in, step_out, fee = swap_in_range(
            price, target, np.uint64(liquidity), remaining, fee_ppm, rising, exact_in
        )
        if step_in > _LARGEST - total_in - total_fee or fee > _LARGEST - total_in - total_fee - step_in:
            in_sight = False
            break
        total_in += step_in
        total_out += step_out
        total_fee += fee
        remaining -= step_in + fee if exact_in else step_out
        if price == tick_price:
            crossings += 1
            if rising:
                liquidity += net
                above += 1
            else:
                liquidity -= net
                above -= 1
    amount_in, amount_out = np.int64(total_in + total_fee), np.int64(total_out)
    reserves, fees = _after_transfers(drawn, side, amount_in, amount_out, np.int64(total_fee))
    after = Sketch(reserves, fees, drawn.total_shares, drawn.fee_ppm, price, liquidity, above)
    return Estimate(amount_in, amount_out, crossings, in_sight and amount_out > 0), after


@kernel
def try_swap(view, kind, drawn, side, amount, exact_in):
    """Try a swap without a price limit on a sketch.

    Parameters
    ----------
    view
        Record of what is seen of the pool.
    kind
        Kind of the pool.
    drawn
        The sketch.
    side
        +1 buys lots, -1 sells them.
    amount
        What goes in, fee included, or what comes out: lots or micro-dollars.
    exact_in
        Whether ``amount`` is what goes in.

    Returns
    -------
    tuple of Estimate and Sketch
        What would be exchanged, and the pool afterwards; where the estimate is not complete both are of no use.
    """
    side, amount = np.int64(side), np.int64(amount)
    if kind != CONSTANT_PRODUCT:
        return _try_ranges(view, drawn, side, amount, exact_in, NO_LIMIT)
    if exact_in:
        swap = constant_product.quote_exact_in(drawn, side, amount)
    else:
        swap = constant_product.quote_exact_out(drawn, side, amount)
    reserves, fees = _after_transfers(drawn, side, swap.amount_in, swap.amount_out, swap.fee)
    after = Sketch(reserves, fees, drawn.total_shares, drawn.fee_ppm, drawn.sqrt_price, drawn.liquidity, drawn.above)
    return Estimate(swap.amount_in, swap.amount_out, np.int64(0), swap.status >= 0), after


@kernel
def try_arbitrage(view, kind, drawn, price):
    """The swap that earns most on a sketch against a price in micro-dollars per lot, after the fee of the pool.

    Returns its side, 0 if there is nothing to earn or it leads beyond what is seen, and the estimate.
    """
    if kind == CONSTANT_PRODUCT:
        found = constant_product.arbitrage(drawn, price)
        return np.int64(found.side), Estimate(found.amount_in, found.amount_out, np.int64(0), found.side != 0)
    kept = 1.0 - drawn.fee_ppm * 1e-6
    side = np.int64(0)
    limit = np.uint64(sqrt_price_of(price * kept))
    if limit > drawn.sqrt_price:
        side = _UP
    else:
        limit = np.uint64(sqrt_price_of(price / kept))
        if limit < drawn.sqrt_price:
            side = _DOWN
    if side == 0:
        return side, nothing()
    token = QUOTE if side > 0 else BASE
    room = LARGEST_AMOUNT - max(drawn.reserves[token], drawn.fees[token])
    estimate, _ = _try_ranges(view, drawn, side, np.int64(room), True, limit)
    if not estimate.complete:
        return np.int64(0), nothing()
    return side, estimate
