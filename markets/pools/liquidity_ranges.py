"""Amounts and prices within one range of concentrated liquidity (Adams, Zinsmeister, Salem, Keefer and Robinson, 2021).

Where the liquidity is L, a move of the square root s of the price from a to b changes hands

    quote  L (b - a)         base  L (1 / a - 1 / b).

All numbers are unsigned; square roots of prices have 32 bits after the point. Amounts that do not fit into 64 bits are
``OVERFLOW``, which is more than anybody may ask for: such a move is simply out of reach.
"""

import numpy as np

from blockspace.markets.pools.swaps import fee_on_top, without_fee
from blockspace.markets.pools.wide_integers import (
    OVERFLOW,
    add,
    divide,
    divide_down,
    divide_up,
    multiply,
    multiply_two_words,
    subtract,
)
from blockspace.network.compilation import kernel

_ZERO = np.uint64(0)
_POINT = np.uint64(32)  # bits after the point


@kernel
def _up_32(number):
    """A number of 64 bits moved up by 32, as two words."""
    return number >> _POINT, number << _POINT


@kernel
def base_between(low, high, liquidity, round_up):
    """Lots between two square roots of the price, the lower one first."""
    top, middle, last = multiply_two_words(*_up_32(liquidity), high - low)
    divisor_high, divisor_low = multiply(low, high)
    if round_up:
        return divide_up(top, middle, last, divisor_high, divisor_low)
    return divide_down(top, middle, last, divisor_high, divisor_low)


@kernel
def quote_between(low, high, liquidity, round_up):
    """Micro-dollars between two square roots of the price, the lower one first."""
    upper, lower = multiply(liquidity, high - low)
    if upper >> _POINT:
        return OVERFLOW
    quotient = (upper << _POINT) | (lower >> _POINT)
    return quotient + np.uint64(round_up and (lower << _POINT) != _ZERO and quotient != OVERFLOW)


@kernel
def liquidity_of_base(low, high, lots):
    """Most liquidity that ``lots`` can provide between two square roots of the price; ``OVERFLOW`` if they meet."""
    top, middle, last = multiply_two_words(*multiply(low, high), lots)
    return divide_down(top, middle, last, *_up_32(high - low))


@kernel
def liquidity_of_quote(low, high, micro_dollars):
    """Most liquidity that ``micro_dollars`` can provide; ``OVERFLOW`` if the square roots meet."""
    return divide_down(_ZERO, *_up_32(micro_dollars), _ZERO, high - low)


@kernel
def _after_base(price, liquidity, lots, goes_in):
    """Square root of the price when lots have gone in or come out: ``L s / (L + lots s)``, with minus when out.

    Rounded up, which moves the price too little when base goes in and too much when it comes out.
    """
    high, low = _up_32(liquidity)
    top, middle, last = multiply_two_words(high, low, price)
    moved_high, moved_low = multiply(lots, price)
    if goes_in:
        high, low = add(high, low, moved_high, moved_low)
    else:
        high, low = subtract(high, low, moved_high, moved_low)
    return divide_up(top, middle, last, high, low)


@kernel
def _after_quote(price, liquidity, micro_dollars, goes_in):
    """Square root of the price when micro-dollars have gone in or come out: ``s + amount / L``, or minus.

    Rounded down, which moves the price too little when quote goes in and too much when it comes out.
    """
    quotient, remains = divide(_ZERO, *_up_32(micro_dollars), _ZERO, liquidity)
    if goes_in:
        return price + quotient
    return price - quotient - np.uint64(remains)


@kernel
def swap_in_range(price, target, liquidity, remaining, fee_ppm, rising, exact_in):
    """Swap towards a target within one range.

    Parameters
    ----------
    price, target
        Square roots of the price, now and at the farthest.
    liquidity
        Active liquidity.
    remaining
        What is left to go in, fee included, or to come out; at least 1.
    fee_ppm
        Fee in millionths of what goes in.
    rising
        Whether quote goes in and the price rises.
    exact_in
        Whether ``remaining`` is what goes in.

    Returns
    -------
    tuple of numpy.uint64
        The square root of the price afterwards, what goes in apart from the fee, what comes out, and the fee. The
        target is reached unless all that remains is used up.
    """
    low, high = (price, target) if rising else (target, price)
    if exact_in:
        usable = without_fee(remaining, fee_ppm)
        needed = quote_between(low, high, liquidity, True) if rising else base_between(low, high, liquidity, True)
        reaches = usable >= needed
        if reaches:
            after = target
        elif rising:
            after = _after_quote(price, liquidity, usable, True)
        else:
            after = _after_base(price, liquidity, usable, True)
    else:
        there = base_between(low, high, liquidity, False) if rising else quote_between(low, high, liquidity, False)
        if remaining >= there:
            after = target
        elif rising:
            after = _after_base(price, liquidity, remaining, False)
        else:
            after = _after_quote(price, liquidity, remaining, False)
    if rising:
        amount_in = quote_between(price, after, liquidity, True)
        amount_out = base_between(price, after, liquidity, False)
    else:
        amount_in = base_between(after, price, liquidity, True)
        amount_out = quote_between(after, price, liquidity, False)
    if exact_in and after != target:
        return after, amount_in, amount_out, remaining - amount_in
    if not exact_in:
        amount_out = min(amount_out, remaining)
    return after, amount_in, amount_out, fee_on_top(amount_in, fee_ppm)
