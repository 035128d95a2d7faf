"""Ticks: the prices 1.0001^tick, between which concentrated liquidity lies, and their square roots.

A pool keeps the square root of its price as an unsigned 64-bit number with 32 bits after the point, which keeps every
product of a swap within three words. One unit of it is a relative change of the price of 3 * 10^-13 at two million
micro-dollars per lot, and of 5 * 10^-10 at one, where a tick is 10^-4. A move of one unit is worth 2^-32 micro-dollars
per unit of liquidity: 0.0002 dollars where fifty million dollars lie within 4 % of the higher of these prices, much
less than the lot to which base is rounded. Lots should be worth a tenth of a cent or more. Prices run from 2 * 10^-6
to 1.2 * 10^17 micro-dollars per lot.

``sqrt_price_at`` is exact: the root of 1.0001^tick, rounded down, for every tick. It is the product of two table
entries of 128 bits, and so much longer than its result that rounding cannot go wrong (the tests go through all ticks
with 512 bits).
"""

import math

import numpy as np
import numpy.typing as npt

from blockspace.markets.pools.swaps import fixed_point
from blockspace.markets.pools.wide_integers import add, less, multiply_two_words, square_root
from blockspace.network.compilation import kernel

TICKS = 2**19
TICK_OFFSET = 2**17
"""A tick's place in the arrays of a pool is the tick plus this; place 0 is free, and means "none below"."""

MINIMUM_TICK = 1 - TICK_OFFSET
MAXIMUM_TICK = TICKS - 1 - TICK_OFFSET

_FINE_BITS = 10
_FINE_TICKS = 2**_FINE_BITS
_TABLE_BITS = 320  # of the powers that the tables are rounded from


def _nearest(number: int, bits: int) -> int:
    """Drop bits, rounding to the nearest: the root of 1.0001^0 stays exactly one."""
    return (number + (1 << (bits - 1))) >> bits


def _powers(ratio: int, count: int) -> list[int]:
    """``ratio^k`` for k from 0 to ``count - 1``, with ``_TABLE_BITS`` bits after the point."""
    powers = [1 << _TABLE_BITS]
    while len(powers) < count:
        powers.append(powers[-1] * ratio >> _TABLE_BITS)
    return powers


def _roots() -> tuple[list[int], list[int]]:
    """Roots at every 1,024th place with 96 bits after the point, and at 1,024 ticks from 0 on with 127 bits."""
    one = 1 << _TABLE_BITS
    fine = _powers(math.isqrt(10_001 * one * one // 10_000), _FINE_TICKS + 1)
    up = _powers(fine[_FINE_TICKS], (TICKS - TICK_OFFSET) // _FINE_TICKS)
    down = _powers(one * one // fine[_FINE_TICKS], TICK_OFFSET // _FINE_TICKS + 1)
    return (
        [_nearest(power, _TABLE_BITS - 96) for power in down[:0:-1] + up],
        [_nearest(power, _TABLE_BITS - 127) for power in fine[:_FINE_TICKS]],
    )


def _words(numbers: list[int]) -> npt.NDArray[np.uint64]:
    """Wide integers as rows of two words."""
    return np.array([(number >> 64, number & (2**64 - 1)) for number in numbers], np.uint64)


_COARSE_ROOTS, _FINE_ROOTS = _roots()
_COARSE, _FINE = _words(_COARSE_ROOTS), _words(_FINE_ROOTS)

LOWEST_SQRT_PRICE = np.uint64(_COARSE_ROOTS[0] * _FINE_ROOTS[1] >> 191)
HIGHEST_SQRT_PRICE = np.uint64(_COARSE_ROOTS[-1] * _FINE_ROOTS[-1] >> 191)
"""Square roots of the price at the first and the last tick."""

_TICKS_PER_UNIT = 2.0 / math.log(1.0001)
_TO_32 = 2.0**32


@kernel
def sqrt_price_at(tick):
    """Square root of 1.0001^tick with 32 bits after the point, rounded down; from ``MINIMUM_TICK`` on."""
    place = np.uint64(tick + TICK_OFFSET)
    coarse = place >> np.uint64(_FINE_BITS)
    fine = place & np.uint64(_FINE_TICKS - 1)
    # The product has 223 bits after the point, in four words, of which the lowest is not needed.
    high, low = _COARSE[coarse, 0], _COARSE[coarse, 1]
    top, second, third = multiply_two_words(high, low, _FINE[fine, 0])
    lower_top, lower_middle, _ = multiply_two_words(high, low, _FINE[fine, 1])
    second, third = add(second, third, lower_top, lower_middle)
    top += np.uint64(less(second, third, lower_top, lower_middle))
    return (top << np.uint64(1)) | (second >> np.uint64(63))


@kernel
def tick_at(sqrt_price):
    """Highest tick whose square root of the price is at most ``sqrt_price``: a logarithm, put right exactly."""
    tick = np.int64(math.floor(math.log(np.float64(sqrt_price) / _TO_32) * _TICKS_PER_UNIT))
    tick = min(max(tick, MINIMUM_TICK), MAXIMUM_TICK)
    while tick > MINIMUM_TICK and sqrt_price_at(tick) > sqrt_price:
        tick -= 1
    while tick < MAXIMUM_TICK and sqrt_price_at(tick + 1) <= sqrt_price:
        tick += 1
    return tick


@kernel
def sqrt_price_of(price):
    """Square root of a price in micro-dollars per lot with 32 bits after the point, rounded down.

    Exact for every price that is a multiple of 2^-64. Prices beyond the first or last tick move to it.
    """
    high, low = fixed_point(price)
    return min(max(square_root(high, low), LOWEST_SQRT_PRICE), HIGHEST_SQRT_PRICE)


@kernel
def price_of(sqrt_price):
    """Price in micro-dollars per lot."""
    root = np.float64(sqrt_price) / _TO_32
    return root * root
