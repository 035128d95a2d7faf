"""Pools of concentrated liquidity: who provides it, where, and what it earns (Adams et al., 2021).

A position provides liquidity between two ticks, the *range* lower <= price < upper. A tick at an end of some range is
*initialised*: it knows by how much the active liquidity changes when the price crosses it upwards. As in the order
book, a bitmap finds the next one, and the pool keeps its neighbours: ``below``, the highest initialised tick at or
below the price, and ``above``, the next one. Between them a swap touches nothing else.

Fees belong to the active liquidity. ``growth`` is what one unit of liquidity that was always active would have earned,
of each token, with 64 bits after the point; a tick keeps the part of it that was earned on its other side, which gives
the growth inside any range by two subtractions modulo 2^128. Rounding down leaves dust, which stays in the pool.

Positions lie in slots that the caller chooses, like the orders of a book. This module changes them;
:mod:`blockspace.markets.pools.concentrated_swaps` trades against them.
"""

from typing import Any

import numpy as np

from blockspace.markets.bitmap import BITMAP_LAYERS, mark_empty, mark_occupied, occupied_above, occupied_below
from blockspace.markets.matching import whole_number
from blockspace.markets.pools.liquidity_ranges import base_between, liquidity_of_base, liquidity_of_quote, quote_between
from blockspace.markets.pools.swaps import (
    AMOUNT_NOT_POSITIVE,
    BAD_RANGE,
    BASE,
    DONE,
    LARGEST_AMOUNT,
    LARGEST_FEE_PPM,
    NOT_OWNER,
    POSITION_IN_USE,
    QUOTE,
    TOO_LARGE,
    TOO_LITTLE_LIQUIDITY,
    UNKNOWN_POSITION,
    Exchange,
    exchange_refused,
)
from blockspace.markets.pools.ticks import (
    HIGHEST_SQRT_PRICE,
    LOWEST_SQRT_PRICE,
    MAXIMUM_TICK,
    MINIMUM_TICK,
    TICK_OFFSET,
    TICKS,
    sqrt_price_at,
)
from blockspace.markets.pools.wide_integers import multiply_two_words, subtract
from blockspace.network.compilation import kernel

POSITIONS = 4096
LARGEST_TICK_SPACING = 16_384

FEE_TIERS = {100: 1, 500: 10, 3_000: 60, 10_000: 200}
"""Tick spacing of each usual fee in millionths (Adams et al., 2021; the lowest fee followed by a vote)."""

# Wide integers are rows of two words, the upper one first.
TICK = np.dtype(
    [
        ("gross", "i8"),  # liquidity of all positions that start or end here; 0 if not initialised
        ("net", "i8"),  # change of the active liquidity when the price crosses upwards
        ("outside", "u8", (2, 2)),  # growth of each token on the side where the price is not, 2^-64
        ("sqrt_price", "u8"),  # 32 bits after the point
    ],
    align=True,
)
POSITION = np.dtype(
    [
        ("owner", "u4"),
        ("lower", "i4"),  # ticks
        ("upper", "i4"),
        ("liquidity", "i8"),
        ("inside", "u8", (2, 2)),  # growth of each token inside the range when fees were last credited, 2^-64
        ("owed", "i8", (2,)),  # lots and micro-dollars to be collected
    ],
    align=True,
)
CONCENTRATED_POOL = np.dtype(
    [
        ("positions", POSITION, (POSITIONS,)),
        ("ticks", TICK, (TICKS,)),  # tick t is at place t + TICK_OFFSET
        ("occupied", "u8", (BITMAP_LAYERS, TICKS // 64)),
        ("growth", "u8", (2, 2)),  # of each token, 2^-64 for a unit of liquidity
        ("reserves", "i8", (2,)),  # lots, micro-dollars, with all that is owed
        ("fees", "i8", (2,)),  # ever paid
        ("credited", "i8", (2,)),  # fees ever credited to positions
        ("sqrt_price", "u8"),  # 32 bits after the point
        ("liquidity", "i8"),  # active
        ("provided", "i8"),  # liquidity of all positions
        ("below", "i8"),  # place of the highest initialised tick at or below the price, or 0
        ("above", "i8"),  # place of the next one, or TICKS
        ("fee_ppm", "i8"),  # millionths of what goes in
        ("tick_spacing", "i8"),
    ],
    align=True,
)


def open_concentrated_pool(pool: Any, sqrt_price: int, fee_ppm: int, tick_spacing: int) -> None:
    """Prepare a pool of zeros for its first position.

    Parameters
    ----------
    pool
        Record of type ``CONCENTRATED_POOL``, holding zeros only.
    sqrt_price
        Square root of the price, with 32 bits after the point.
    fee_ppm
        Fee in millionths of what goes in, 0 to ``LARGEST_FEE_PPM``.
    tick_spacing
        Positions start and end at multiples of this, 1 to ``LARGEST_TICK_SPACING``.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    lowest, highest = int(LOWEST_SQRT_PRICE), int(HIGHEST_SQRT_PRICE)
    pool["sqrt_price"] = whole_number("sqrt_price", sqrt_price, lowest, highest)
    pool["fee_ppm"] = whole_number("fee_ppm", fee_ppm, 0, LARGEST_FEE_PPM)
    pool["tick_spacing"] = whole_number("tick_spacing", tick_spacing, 1, LARGEST_TICK_SPACING)
    pool["above"] = TICKS


@kernel
def growth_inside(pool, lower, upper, token):
    """Growth of a token inside a range of two initialised ticks: two words, modulo 2^128."""
    lower += TICK_OFFSET
    upper += TICK_OFFSET
    total_high, total_low = pool.growth[token, 0], pool.growth[token, 1]
    below_high, below_low = pool.ticks[lower].outside[token, 0], pool.ticks[lower].outside[token, 1]
    above_high, above_low = pool.ticks[upper].outside[token, 0], pool.ticks[upper].outside[token, 1]
    if lower > pool.below:
        below_high, below_low = subtract(total_high, total_low, below_high, below_low)
    if upper <= pool.below:
        above_high, above_low = subtract(total_high, total_low, above_high, above_low)
    high, low = subtract(total_high, total_low, below_high, below_low)
    return subtract(high, low, above_high, above_low)


@kernel
def pending_fee(pool, position, token):
    """Fees of a token that a position (its record) has earned since they were last credited, rounded down."""
    high, low = growth_inside(pool, np.int64(position.lower), np.int64(position.upper), token)
    high, low = subtract(high, low, position.inside[token, 0], position.inside[token, 1])
    _, earned, _ = multiply_two_words(high, low, np.uint64(position.liquidity))
    return np.int64(earned)


@kernel
def _credit(pool, position):
    """Credit a position with the fees that it has earned."""
    for token in range(2):
        earned = pending_fee(pool, position, token)
        position.owed[token] += earned
        pool.credited[token] += earned
        high, low = growth_inside(pool, np.int64(position.lower), np.int64(position.upper), token)
        position.inside[token, 0], position.inside[token, 1] = high, low


@kernel
def amounts_within(pool, lower, upper, liquidity, round_up):
    """Lots and micro-dollars, unsigned, that liquidity between two ticks consists of at the price of the pool."""
    low = sqrt_price_at(lower)
    high = sqrt_price_at(upper)
    price = min(max(pool.sqrt_price, low), high)
    liquidity = np.uint64(liquidity)
    return base_between(price, high, liquidity, round_up), quote_between(low, price, liquidity, round_up)


@kernel
def is_range(pool, lower, upper):
    """Whether a position may lie between these ticks."""
    spacing = pool.tick_spacing
    return MINIMUM_TICK <= lower < upper <= MAXIMUM_TICK and lower % spacing == 0 and upper % spacing == 0


@kernel
def liquidity_for(pool, lower, upper, base, quote):
    """Most liquidity between two ticks that costs no more than ``base`` lots and ``quote`` micro-dollars now.

    Returns 0 if the range is not one of the pool or an amount is negative.
    """
    lower, upper, base, quote = np.int64(lower), np.int64(upper), np.int64(base), np.int64(quote)
    if not is_range(pool, lower, upper) or base < 0 or quote < 0:
        return np.int64(0)
    low = sqrt_price_at(lower)
    high = sqrt_price_at(upper)
    price = min(max(pool.sqrt_price, low), high)
    most = min(
        liquidity_of_base(price, high, np.uint64(base)),
        liquidity_of_quote(low, price, np.uint64(quote)),
        np.uint64(LARGEST_AMOUNT),
    )
    return np.int64(most)


@kernel
def _add_to_tick(pool, tick, liquidity, net):
    """Change the liquidity that starts or ends at a tick, and initialise it if it is new."""
    place = tick + TICK_OFFSET
    record = pool.ticks[place]
    if record.gross == 0:
        record.sqrt_price = sqrt_price_at(tick)
        mark_occupied(pool, place)
        # By convention all growth so far happened below a new tick.
        if record.sqrt_price <= pool.sqrt_price:
            pool.below = max(pool.below, place)
            for token in range(2):
                record.outside[token, 0] = pool.growth[token, 0]
                record.outside[token, 1] = pool.growth[token, 1]
        else:
            pool.above = min(pool.above, place)
    record.gross += liquidity
    record.net += net


@kernel
def _forget_tick(pool, tick):
    """Clear a tick where no position starts or ends any more."""
    place = tick + TICK_OFFSET
    record = pool.ticks[place]
    if record.gross > 0:
        return
    mark_empty(pool, place)
    for token in range(2):
        record.outside[token, 0] = 0
        record.outside[token, 1] = 0
    record.sqrt_price = 0
    if place == pool.below:
        pool.below = occupied_below(pool, place)
    elif place == pool.above:
        pool.above = occupied_above(pool, place, np.int64(TICKS))


@kernel
def _change(pool, position, liquidity):
    """Add liquidity (negative to take it away) to a position whose owner and range are set, and credit its fees."""
    lower = np.int64(position.lower)
    upper = np.int64(position.upper)
    _add_to_tick(pool, lower, liquidity, liquidity)
    _add_to_tick(pool, upper, liquidity, -liquidity)
    _credit(pool, position)
    position.liquidity += liquidity
    pool.provided += liquidity
    if lower + TICK_OFFSET <= pool.below < upper + TICK_OFFSET:
        pool.liquidity += liquidity


@kernel
def _refusal_of(pool, slot, owner):
    """Why ``owner`` may not change the position of a slot, or 0 if it may."""
    if not 0 <= slot < POSITIONS or is_free(pool.positions[slot]):
        return UNKNOWN_POSITION
    if pool.positions[slot].owner != owner:
        return NOT_OWNER
    return 0


@kernel
def is_free(position):
    """Whether the slot of a position is free: it has no liquidity and is owed nothing."""
    return position.liquidity == 0 and position.owed[BASE] == 0 and position.owed[QUOTE] == 0


@kernel
def mint(pool, slot, owner, lower, upper, liquidity):
    """Provide liquidity in a new position, or more of it in one that has the same owner and range.

    Parameters
    ----------
    pool
        Record of the pool.
    slot
        Slot of the position, 0 to ``POSITIONS - 1``.
    owner
        Account, unsigned 32-bit.
    lower, upper
        Ticks of the range, multiples of the tick spacing, the lower one first.
    liquidity
        At least 1.

    Returns
    -------
    Exchange
        Status, liquidity, and the lots and micro-dollars that the provider pays, rounded up.
    """
    slot, owner, liquidity = np.int64(slot), np.int64(owner), np.int64(liquidity)
    lower, upper = np.int64(lower), np.int64(upper)
    if not 0 <= slot < POSITIONS:
        return exchange_refused(UNKNOWN_POSITION)
    if not is_range(pool, lower, upper):
        return exchange_refused(BAD_RANGE)
    if liquidity <= 0:
        return exchange_refused(AMOUNT_NOT_POSITIVE)
    position = pool.positions[slot]
    free = is_free(position)
    if not free:
        if position.owner != owner:
            return exchange_refused(NOT_OWNER)
        if position.lower != lower or position.upper != upper:
            return exchange_refused(POSITION_IN_USE)
    if liquidity > LARGEST_AMOUNT - pool.provided:
        return exchange_refused(TOO_LARGE)
    base, quote = amounts_within(pool, lower, upper, liquidity, True)
    if base > np.uint64(LARGEST_AMOUNT - pool.reserves[BASE]) or quote > np.uint64(
        LARGEST_AMOUNT - pool.reserves[QUOTE]
    ):
        return exchange_refused(TOO_LARGE)
    if free:
        position.owner = owner
        position.lower = lower
        position.upper = upper
    _change(pool, position, liquidity)
    pool.reserves[BASE] += np.int64(base)
    pool.reserves[QUOTE] += np.int64(quote)
    return Exchange(np.int64(DONE), liquidity, np.int64(base), np.int64(quote))


@kernel
def burn(pool, slot, owner, liquidity):
    """Take liquidity out of a position; what it consists of and its fees are owed until they are collected.

    Parameters
    ----------
    pool
        Record of the pool.
    slot, owner
        Slot of the position and its owner.
    liquidity
        0 to the liquidity of the position; 0 credits the fees alone.

    Returns
    -------
    Exchange
        Status, liquidity, and the lots and micro-dollars that it consisted of, rounded down.
    """
    slot, owner, liquidity = np.int64(slot), np.int64(owner), np.int64(liquidity)
    refusal = _refusal_of(pool, slot, owner)
    if refusal:
        return exchange_refused(refusal)
    if liquidity < 0:
        return exchange_refused(AMOUNT_NOT_POSITIVE)
    position = pool.positions[slot]
    if liquidity > position.liquidity:
        return exchange_refused(TOO_LITTLE_LIQUIDITY)
    lower = np.int64(position.lower)
    upper = np.int64(position.upper)
    base, quote = amounts_within(pool, lower, upper, liquidity, False)
    if position.liquidity > 0:
        _change(pool, position, -liquidity)
        _forget_tick(pool, lower)
        _forget_tick(pool, upper)
    position.owed[BASE] += np.int64(base)
    position.owed[QUOTE] += np.int64(quote)
    return Exchange(np.int64(DONE), liquidity, np.int64(base), np.int64(quote))


@kernel
def collect(pool, slot, owner):
    """Pay out all that a position is owed, fees until now included. The slot is free afterwards if nothing is left.

    Returns
    -------
    Exchange
        Status, 0, and the lots and micro-dollars that are paid.
    """
    slot, owner = np.int64(slot), np.int64(owner)
    refusal = _refusal_of(pool, slot, owner)
    if refusal:
        return exchange_refused(refusal)
    position = pool.positions[slot]
    if position.liquidity > 0:
        _credit(pool, position)
    base, quote = position.owed[BASE], position.owed[QUOTE]
    for token in range(2):
        pool.reserves[token] -= position.owed[token]
        position.owed[token] = 0
    return Exchange(np.int64(DONE), np.int64(0), base, quote)
