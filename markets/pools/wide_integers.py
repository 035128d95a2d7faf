"""Integers wider than 64 bits, for the products that pools form: exact, without branches where there is a choice.

A wide integer is a few unsigned 64-bit words, the most significant first. Division multiplies by a reciprocal
instead of dividing (Möller and Granlund, 2011): three words by two words cost some ten multiplications. What does
not fit into the result is reported as ``OVERFLOW``, never wrapped: it compares as larger than every amount, so that
a caller who takes a minimum or checks a limit needs no case of its own for it.

Every argument is a ``np.uint64``: Numba would turn a mixture with signed integers into floating point.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.cpython.unsafe.numbers import leading_zeros
from numba.extending import intrinsic

from blockspace.network.compilation import kernel

OVERFLOW = np.uint64(2**64 - 1)
"""Result of a division whose quotient is 2^64 - 1 or more, or whose divisor is 0."""

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_WORD = np.uint64(64)
_TO_64 = 2.0**64


@intrinsic
def multiply_high(_context, first, second):
    """Upper word of the product of two words: one instruction on today's processors."""
    if (first, second) != (types.uint64, types.uint64):
        return None

    def generate(_context, builder, _signature, arguments):
        wide = ir.IntType(128)
        first, second = (builder.zext(argument, wide) for argument in arguments)
        product = builder.mul(first, second)
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@kernel
def multiply(first, second):
    """Product of two words, as two words."""
    return multiply_high(first, second), first * second


@kernel
def multiply_two_words(high, low, factor):
    """Product of two words and one, as three words."""
    carry, last = multiply(low, factor)
    top, middle = multiply(high, factor)
    middle += carry
    return top + np.uint64(middle < carry), middle, last


@kernel
def add(high, low, other_high, other_low):
    """Sum of two wide integers of two words, modulo 2^128."""
    total = low + other_low
    return high + other_high + np.uint64(total < low), total


@kernel
def subtract(high, low, other_high, other_low):
    """Difference of two wide integers of two words, modulo 2^128."""
    return high - other_high - np.uint64(low < other_low), low - other_low


@kernel
def less(high, low, other_high, other_low):
    """Whether one wide integer of two words is below another."""
    return high < other_high or (high == other_high and low < other_low)


@kernel
def _reciprocal_of_word(divisor):
    """``(2^128 - 1) // divisor - 2^64`` for a divisor with its top bit set (Möller and Granlund, 2011, algorithm 2).

    Newton's iteration from 11 to 21, 34 and 64 bits. All arithmetic is modulo 2^64.
    """
    odd = divisor & _ONE
    top_40 = (divisor >> np.uint64(24)) + _ONE
    half = (divisor >> _ONE) + odd
    estimate = np.uint64((2**19 - 3 * 2**8) // np.uint32(divisor >> np.uint64(55)))
    estimate = (estimate << np.uint64(11)) - (estimate * estimate * top_40 >> np.uint64(40)) - _ONE
    residue = np.uint64(2**60) - estimate * top_40
    estimate = (estimate << np.uint64(13)) + (estimate * residue >> np.uint64(47))
    residue = ((estimate >> _ONE) & (_ZERO - odd)) - estimate * half
    estimate = (estimate << np.uint64(31)) + (multiply_high(estimate, residue) >> _ONE)
    high, low = multiply(estimate, divisor)
    return estimate - (high + divisor + np.uint64(low + divisor < low))


@kernel
def _reciprocal_of_two_words(high, low):
    """``(2^192 - 1) // divisor - 2^64`` for a divisor of two words with its top bit set (ibid., algorithm 6)."""
    reciprocal = _reciprocal_of_word(high)
    rest = high * reciprocal + low
    if rest < low:
        reciprocal -= _ONE
        if rest >= high:
            reciprocal -= _ONE
            rest -= high
        rest -= high
    carry, last = multiply(reciprocal, low)
    rest += carry
    if rest < carry:
        reciprocal -= _ONE
        if not less(rest, last, high, low):
            reciprocal -= _ONE
    return reciprocal


@kernel
def _divide_normalised(top, middle, last, high, low):
    """Quotient and whether a remainder is left, of three words by two with their top bit set (ibid., algorithm 5).

    The two upper words of the dividend are below the divisor.
    """
    guess, fraction = multiply(_reciprocal_of_two_words(high, low), top)
    guess, fraction = add(guess, fraction, top, middle)
    rest_high = middle - guess * high
    carry, carried = multiply(low, guess)
    rest_high, rest_low = subtract(rest_high, last, carry, carried)
    rest_high, rest_low = subtract(rest_high, rest_low, high, low)
    guess += _ONE
    if rest_high >= fraction:
        guess -= _ONE
        rest_high, rest_low = add(rest_high, rest_low, high, low)
    if not less(rest_high, rest_low, high, low):
        guess += _ONE
        rest_high, rest_low = subtract(rest_high, rest_low, high, low)
    return guess, (rest_high | rest_low) != _ZERO


@kernel
def _shift_left(high, low, bits):
    """Two words moved left by 0 to 63 bits, the upper one of the result. Shifting in two steps, bits may be 0."""
    return (high << bits) | (low >> _ONE >> (np.uint64(63) - bits))


@kernel
def divide(top, middle, last, high, low):
    """Divide three words by two.

    Parameters
    ----------
    top, middle, last
        Dividend, the most significant word first.
    high, low
        Divisor.

    Returns
    -------
    tuple of (numpy.uint64, bool)
        The quotient, rounded down, and whether a remainder is left; or ``OVERFLOW`` and False if the quotient is
        2^64 or more, or the divisor is 0.
    """
    if not less(top, middle, high, low):
        return OVERFLOW, False
    # A divisor of one word moves up by a word, and the dividend, which is then shorter than three, with it.
    if high == _ZERO:
        high, low = low, _ZERO
        top, middle, last = middle, last, _ZERO
    bits = np.uint64(leading_zeros(high))
    return _divide_normalised(
        _shift_left(top, middle, bits),
        _shift_left(middle, last, bits),
        last << bits,
        _shift_left(high, low, bits),
        low << bits,
    )


@kernel
def divide_down(top, middle, last, high, low):
    """Quotient of three words by two, rounded down, or ``OVERFLOW``."""
    quotient, _ = divide(top, middle, last, high, low)
    return quotient


@kernel
def divide_up(top, middle, last, high, low):
    """Quotient of three words by two, rounded up, or ``OVERFLOW``."""
    quotient, remains = divide(top, middle, last, high, low)
    return quotient + np.uint64(remains and quotient != OVERFLOW)


@kernel
def multiply_divide_down(first, second, divisor):
    """``first * second // divisor``, or ``OVERFLOW``."""
    high, low = multiply(first, second)
    return divide_down(_ZERO, high, low, _ZERO, divisor)


@kernel
def multiply_divide_up(first, second, divisor):
    """``first * second / divisor``, rounded up, or ``OVERFLOW``."""
    high, low = multiply(first, second)
    return divide_up(_ZERO, high, low, _ZERO, divisor)


@kernel
def square_root(high, low):
    """Square root of two words, rounded down.

    Newton's iteration from above, which decreases until it is there; from the floating-point root it takes two or
    three steps.
    """
    estimate = math.sqrt(np.float64(high) * _TO_64 + np.float64(low)) * (1.0 + 2.0**-50) + 1.0
    root = np.uint64(estimate) if estimate < _TO_64 else OVERFLOW
    while True:
        quotient = divide_down(_ZERO, high, low, _ZERO, root)
        if quotient >= root:
            return root
        root = quotient + ((root - quotient) >> _ONE)
