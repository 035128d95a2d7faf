"""Swaps in a pool of concentrated liquidity: the walk from one initialised tick to the next (Adams et al., 2021).

Swaps, quotations, depth and arbitrage are one walk. It looks before it leaps: the walk itself changes nothing, and its
result is carried out once it is known that nothing stands in the way. If it crossed ticks they must be turned over,
each with the growth of the fees at that moment, and it is walked a second time for that.

A swap stops at its price limit (``PARTIAL``), where emptiness between ranges is crossed for nothing. Without a limit it
stops at the end of the last range.
"""

from typing import NamedTuple

import numpy as np

from blockspace.markets.bitmap import occupied_above, occupied_below
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.pools.liquidity_ranges import base_between, quote_between, swap_in_range
from blockspace.markets.pools.swaps import (
    AMOUNT_NOT_POSITIVE,
    BASE,
    BEYOND_BOUND,
    DONE,
    LARGEST_AMOUNT,
    LIMIT_BEHIND_PRICE,
    PARTIAL,
    QUOTE,
    TOO_LARGE,
    TOO_MANY_TICKS,
    UNKNOWN_SIDE,
    Arbitrage,
    Swap,
    refused,
)
from blockspace.markets.pools.ticks import HIGHEST_SQRT_PRICE, LOWEST_SQRT_PRICE, TICKS, sqrt_price_of
from blockspace.markets.pools.wide_integers import add, divide_down, subtract
from blockspace.network.compilation import kernel

MOST_CROSSINGS = 1_024
"""Initialised ticks that one swap may cross; a swap that would cross more is refused (``TOO_MANY_TICKS``)."""

NO_LIMIT = np.uint64(0)
"""Price limit of a swap that goes as far as there is liquidity."""

_ZERO = np.uint64(0)
_LARGEST = np.uint64(LARGEST_AMOUNT)


class Walk(NamedTuple):
    """Where a swap leads: its amounts, and the state of the pool after it. Amounts and words are unsigned."""

    status: int
    amount_in: int  # without the fee
    amount_out: int
    fee: int
    sqrt_price: int
    liquidity: int
    below: int
    above: int
    growth_high: int  # of the token that goes in
    growth_low: int
    crossings: int


@kernel
def _token_in(side):
    return QUOTE if side > 0 else BASE


@kernel
def _add_fee(high, low, fee, liquidity):
    """Growth (two words) when a fee has been shared among the active liquidity, rounded down."""
    whole = fee // liquidity
    return add(high, low, whole, divide_down(_ZERO, fee - whole * liquidity, _ZERO, _ZERO, liquidity))


@kernel
def _turn_over(pool, place, token, high, low):
    """Cross a tick: what was outside is inside and the reverse. ``high`` and ``low`` are the growth of ``token``."""
    pool.growth[token, 0], pool.growth[token, 1] = high, low
    outside = pool.ticks[place].outside
    for each in range(2):
        outside[each, 0], outside[each, 1] = subtract(
            pool.growth[each, 0], pool.growth[each, 1], outside[each, 0], outside[each, 1]
        )


@kernel
def _walk(pool, side, amount, exact_in, limit, turns_over):
    """Follow a swap; see :func:`swap_exact_in` for the arguments.

    The pool stays as it is, unless ``turns_over``: then the ticks that are crossed are turned over.
    """
    rising = side > 0
    token = _token_in(side)
    fee_ppm = np.uint64(pool.fee_ppm)
    price = pool.sqrt_price
    liquidity = pool.liquidity
    below, above = pool.below, pool.above
    high, low = pool.growth[token, 0], pool.growth[token, 1]
    remaining = np.uint64(amount)
    total_in = total_out = total_fee = _ZERO
    crossings = np.int64(0)
    status = np.int64(DONE)
    while remaining > _ZERO and price != limit:
        place = above if rising else below
        if place == (TICKS if rising else 0):
            # There is no liquidity from here on.
            if limit != NO_LIMIT:
                price = limit
            break
        tick_price = pool.ticks[place].sqrt_price
        target = tick_price
        if limit != NO_LIMIT:
            target = min(target, limit) if rising else max(target, limit)
        active = np.uint64(liquidity)
        price, step_in, step_out, fee = swap_in_range(price, target, active, remaining, fee_ppm, rising, exact_in)
        if step_in > _LARGEST - total_in - total_fee or fee > _LARGEST - total_in - total_fee - step_in:
            status = np.int64(TOO_LARGE)
            break
        total_in += step_in
        total_out += step_out
        total_fee += fee
        remaining -= step_in + fee if exact_in else step_out
        if active > _ZERO:
            high, low = _add_fee(high, low, fee, active)
        if price == tick_price:
            if crossings == MOST_CROSSINGS:
                status = np.int64(TOO_MANY_TICKS)
                break
            crossings += 1
            if turns_over:
                _turn_over(pool, place, token, high, low)
            if rising:
                liquidity += pool.ticks[place].net
                below, above = place, occupied_above(pool, place, np.int64(TICKS))
            else:
                liquidity -= pool.ticks[place].net
                below, above = np.int64(occupied_below(pool, place)), place
    if status == DONE and remaining > _ZERO:
        status = np.int64(PARTIAL)
    return Walk(status, total_in, total_out, total_fee, price, liquidity, below, above, high, low, crossings)


@kernel
def _refusal_of(pool, side, amount, limit):
    """Why there can be no such swap, or 0 if there can."""
    if side != BUY and side != SELL:
        return UNKNOWN_SIDE
    if amount <= 0:
        return AMOUNT_NOT_POSITIVE
    if amount > LARGEST_AMOUNT:
        return TOO_LARGE
    if limit != NO_LIMIT and (limit <= pool.sqrt_price if side > 0 else limit >= pool.sqrt_price):
        return LIMIT_BEHIND_PRICE
    return 0


@kernel
def _within_range(limit):
    """A price limit, moved to the first or last tick if it lies beyond."""
    return limit if limit == NO_LIMIT else min(max(limit, LOWEST_SQRT_PRICE), HIGHEST_SQRT_PRICE)


@kernel
def look(pool, side, amount, exact_in, limit):
    """A walk that changes nothing, and its status after all checks."""
    side, amount, limit = np.int64(side), np.int64(amount), _within_range(np.uint64(limit))
    refusal = _refusal_of(pool, side, amount, limit)
    # A walk of nothing ends where it starts.
    walk = _walk(pool, side, np.int64(0) if refusal else amount, exact_in, limit, False)
    if refusal or walk.status < 0:
        return walk, np.int64(refusal if refusal else walk.status)
    token = _token_in(side)
    # The fee is part of what goes in, so that one limit serves the reserves and the sum of the fees.
    room = np.uint64(LARGEST_AMOUNT - max(pool.reserves[token], pool.fees[token]))
    if walk.amount_in + walk.fee > room:
        return walk, np.int64(TOO_LARGE)
    return walk, walk.status


@kernel
def _as_swap(walk, status):
    if status < 0:
        return refused(status)
    return Swap(status, np.int64(walk.amount_in + walk.fee), np.int64(walk.amount_out), np.int64(walk.fee))


@kernel
def carry_out(pool, side, amount, exact_in, limit, walk):
    """Make a swap that :func:`look` followed, and that the pool has not changed since."""
    side, amount, limit = np.int64(side), np.int64(amount), _within_range(np.uint64(limit))
    token = _token_in(side)
    if walk.crossings > 0:
        _walk(pool, side, amount, exact_in, limit, True)
    pool.growth[token, 0], pool.growth[token, 1] = walk.growth_high, walk.growth_low
    pool.sqrt_price = walk.sqrt_price
    pool.liquidity = walk.liquidity
    pool.below = walk.below
    pool.above = walk.above
    pool.reserves[token] += np.int64(walk.amount_in + walk.fee)
    pool.reserves[1 - token] -= np.int64(walk.amount_out)
    pool.fees[token] += np.int64(walk.fee)


@kernel
def quote_exact_in(pool, side, amount, limit):
    """What :func:`swap_exact_in` would do now."""
    walk, status = look(pool, side, amount, True, limit)
    return _as_swap(walk, status)


@kernel
def quote_exact_out(pool, side, amount, limit):
    """What :func:`swap_exact_out` would do now."""
    walk, status = look(pool, side, amount, False, limit)
    return _as_swap(walk, status)


@kernel
def swap_exact_in(pool, side, amount, least_out, limit):
    """Swap up to ``amount`` in.

    Parameters
    ----------
    pool
        Record of the pool.
    side
        +1 buys base with ``amount`` micro-dollars, -1 sells ``amount`` lots.
    amount
        What goes in, fee included.
    least_out
        Refuse the swap if less came out.
    limit
        Square root of the price (32 bits after the point, unsigned) to stop at, or ``NO_LIMIT``.

    Returns
    -------
    Swap
        Its status is ``DONE``, ``PARTIAL`` if less than ``amount`` went in, or a refusal.
    """
    walk, status = look(pool, side, amount, True, limit)
    if status >= 0 and np.int64(walk.amount_out) < np.int64(least_out):
        status = np.int64(BEYOND_BOUND)
    if status >= 0:
        carry_out(pool, side, amount, True, limit, walk)
    return _as_swap(walk, status)


@kernel
def swap_exact_out(pool, side, amount, most_in, limit):
    """Swap for up to ``amount`` out: lots for +1, micro-dollars for -1; refuse if it cost more than ``most_in``.

    The other arguments and the result are those of :func:`swap_exact_in`; ``PARTIAL`` if less came out.
    """
    walk, status = look(pool, side, amount, False, limit)
    if status >= 0 and np.int64(walk.amount_in + walk.fee) > np.int64(most_in):
        status = np.int64(BEYOND_BOUND)
    if status >= 0:
        carry_out(pool, side, amount, False, limit, walk)
    return _as_swap(walk, status)


@kernel
def apply_swaps(pools, swaps, outcomes):
    """Make a batch of swaps in order: one-element array of pools, arrays of ``SWAP`` and ``OUTCOME``."""
    pool = pools[0]
    for number in range(len(swaps)):
        sent = swaps[number]
        side = np.int64(sent.side)
        if sent.exact_in:
            swap = swap_exact_in(pool, side, sent.amount, sent.bound, NO_LIMIT)
        else:
            swap = swap_exact_out(pool, side, sent.amount, sent.bound, NO_LIMIT)
        outcome = outcomes[number]
        outcome.status = swap.status
        outcome.amount_in = swap.amount_in
        outcome.amount_out = swap.amount_out
        outcome.fee = swap.fee


@kernel
def depth_within(pool, side, price):
    """What changes hands, fees apart, until the price of the pool has moved to ``price``.

    Parameters
    ----------
    pool
        Record of the pool.
    side
        +1 for what the pool buys as the price falls, -1 for what it sells as it rises, like the sides of a book.
    price
        Micro-dollars per lot.

    Returns
    -------
    tuple of int
        Lots and micro-dollars, rounded down in each range; zeros if the price is there already.
    """
    limit = sqrt_price_of(price)
    rising = side < 0
    here = pool.sqrt_price
    liquidity = pool.liquidity
    place = pool.above if rising else pool.below
    base = quote = _ZERO
    while (here < limit if rising else here > limit) and place != (TICKS if rising else 0):
        tick_price = pool.ticks[place].sqrt_price
        there = min(tick_price, limit) if rising else max(tick_price, limit)
        low, high = (here, there) if rising else (there, here)
        # Sums stop growing at the limit: a range that is too deep to be counted is not reached by anybody.
        base = min(base + min(base_between(low, high, np.uint64(liquidity), False), _LARGEST), _LARGEST)
        quote = min(quote + min(quote_between(low, high, np.uint64(liquidity), False), _LARGEST), _LARGEST)
        here = there
        if rising:
            liquidity += pool.ticks[place].net
            place = occupied_above(pool, place, np.int64(TICKS))
        else:
            liquidity -= pool.ticks[place].net
            place = np.int64(occupied_below(pool, place))
    return np.int64(base), np.int64(quote)


@kernel
def arbitrage(pool, external_price):
    """The swap that earns most against an external price, fees of the pool included.

    It stops where the last unit that goes in, fee included, is worth what comes out for it: at the external price
    times (buying) or over (selling) the part that the fee leaves.

    Parameters
    ----------
    pool
        Record of the pool.
    external_price
        Micro-dollars per lot.

    Returns
    -------
    Arbitrage
        Side 0 and zeros if the fee is more than the difference of the prices, or nothing can be had.
    """
    kept = 1.0 - np.float64(pool.fee_ppm) * 1e-6
    highest = sqrt_price_of(external_price * kept)
    lowest = sqrt_price_of(external_price / kept)
    side = np.int64(0)
    if highest > pool.sqrt_price:
        side = np.int64(BUY)
    elif lowest < pool.sqrt_price:
        side = np.int64(SELL)
    if side != 0:
        token = _token_in(side)
        room = np.int64(LARGEST_AMOUNT) - max(pool.reserves[token], pool.fees[token])
        swap = quote_exact_in(pool, side, room, highest if side > 0 else lowest)
        if swap.status >= 0 and swap.amount_out > 0:
            return Arbitrage(side, swap.amount_in, swap.amount_out)
    return Arbitrage(np.int64(0), np.int64(0), np.int64(0))
