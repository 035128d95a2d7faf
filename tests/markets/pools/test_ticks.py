from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.pools.swaps import (
    LARGEST_AMOUNT,
    LARGEST_FEE_PPM,
    fee_on_top,
    fixed_point,
    value_at,
    without_fee,
)
from blockspace.markets.pools.ticks import (
    HIGHEST_SQRT_PRICE,
    LOWEST_SQRT_PRICE,
    MAXIMUM_TICK,
    MINIMUM_TICK,
    TICK_OFFSET,
    TICKS,
    price_of,
    sqrt_price_at,
    sqrt_price_of,
    tick_at,
)
from blockspace.markets.pools.wide_integers import OVERFLOW
from blockspace.network.compilation import kernel

BITS = 512


@kernel
def _every_root(roots):
    for tick in range(MINIMUM_TICK, MAXIMUM_TICK + 1):
        roots[tick + TICK_OFFSET] = sqrt_price_at(tick)


@kernel
def _wrong_ticks(roots):
    """Number of ticks that are not found from their own root, the one below it and the one above it."""
    wrong = 0
    for tick in range(MINIMUM_TICK, MAXIMUM_TICK + 1):
        root = roots[tick + TICK_OFFSET]
        wrong += tick_at(root) != tick
        wrong += tick_at(root + np.uint64(1)) != tick
        wrong += tick_at(root - np.uint64(1)) != max(tick - 1, MINIMUM_TICK)
    return wrong


@pytest.fixture(scope="module")
def roots():
    roots = np.zeros(TICKS, np.uint64)
    _every_root(roots)
    return roots


def exact_roots(step, count):
    """Roots of the powers of a ratio in units of 2^-32, rounded down, from powers of its root with ``BITS`` bits.

    The powers are rounded down ``count`` times at most: their relative error is below 2^-490, so a root that is
    farther than that from a whole number is rounded as the exact one would be.
    """
    power = 1 << BITS
    rest = (1 << (BITS - 32)) - 1
    for number in range(count):
        assert number == 0 or (1 << 100) < (power & rest) < rest - (1 << 100)
        yield power >> (BITS - 32)
        power = power * step >> BITS


def test_every_tick_has_the_exact_root_of_its_price(roots):
    up = exact_roots(isqrt((10_001 << (2 * BITS)) // 10_000), MAXIMUM_TICK + 1)
    down = exact_roots(isqrt((10_000 << (2 * BITS)) // 10_001), 1 - MINIMUM_TICK)
    assert roots[TICK_OFFSET:].tolist() == list(up)
    assert roots[TICK_OFFSET:0:-1].tolist() == list(down)


def test_roots_rise_from_the_lowest_to_the_highest(roots):
    assert (np.diff(roots[1:].astype(np.int64)) > 300).all()
    assert (roots[1], roots[-1]) == (LOWEST_SQRT_PRICE, HIGHEST_SQRT_PRICE)
    assert roots[TICK_OFFSET] == 2**32


def test_every_tick_is_found_from_the_roots_around_its_own(roots):
    assert _wrong_ticks(roots) == 0


@settings(deadline=None)
@given(price=st.floats(3e-6, 1e17))
def test_the_root_of_a_price_is_exact(price):
    high, low = fixed_point(price)
    number = (int(high) << 64) + int(low)
    assert number == int(Fraction(price) * 2**64)
    assert sqrt_price_of(price) == isqrt(number)
    # A unit of the root is a relative change of the price of 2^-31 over the root.
    assert price_of(sqrt_price_of(price)) == pytest.approx(price, rel=2**-31 / price**0.5 + 1e-15)


@pytest.mark.parametrize(
    ("price", "root"),
    [
        (-1.0, LOWEST_SQRT_PRICE),
        (0.0, LOWEST_SQRT_PRICE),
        (1e-6, LOWEST_SQRT_PRICE),
        (1.0, 2**32),
        (4.0, 2**33),
        (1e18, HIGHEST_SQRT_PRICE),
        (float("inf"), HIGHEST_SQRT_PRICE),
    ],
)
def test_prices_beyond_the_ends_move_to_them(price, root):
    assert sqrt_price_of(price) == root


amounts = st.integers(0, LARGEST_AMOUNT)
fees = st.integers(0, LARGEST_FEE_PPM)


@settings(deadline=None)
@given(amount=amounts, fee_ppm=fees)
def test_fees_are_exact(amount, fee_ppm):
    kept = 10**6 - fee_ppm
    assert without_fee(np.uint64(amount), np.uint64(fee_ppm)) == amount * kept // 10**6
    assert fee_on_top(np.uint64(amount), np.uint64(fee_ppm)) == -(-amount * fee_ppm // kept)


@settings(deadline=None)
@given(lots=amounts, price=st.floats(0, 1e17))
def test_values_are_exact_or_overflow(lots, price):
    high, low = (np.uint64(word) for word in fixed_point(price))
    exact = lots * int(Fraction(price) * 2**64) >> 64
    assert value_at(np.uint64(lots), high, low) == min(exact, OVERFLOW)
