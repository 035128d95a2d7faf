from math import isqrt

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blockspace.markets.pools.wide_integers import (
    OVERFLOW,
    add,
    divide,
    divide_down,
    divide_up,
    less,
    multiply,
    multiply_divide_down,
    multiply_divide_up,
    multiply_two_words,
    square_root,
    subtract,
)
from blockspace.network.compilation import kernel

WORD = 2**64
EDGES = (0, 1, 2, 3, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1)
words = st.sampled_from(EDGES) | st.integers(0, WORD - 1)
rows = st.tuples(words, words, words, words, words)
COUNT = 1_000_000


def joined(*parts):
    """One Python integer of words, the most significant first."""
    number = 0
    for part in parts:
        number = number * WORD + int(part)
    return number


def u64(*numbers):
    return [np.uint64(number) for number in numbers]


def expected_quotient(dividend, divisor):
    """Quotient and whether a remainder is left, as ``divide`` gives them."""
    if divisor == 0 or dividend // divisor >= WORD:
        return int(OVERFLOW), False
    return dividend // divisor, dividend % divisor != 0


@settings(deadline=None)
@given(rows)
def test_sums_and_products_are_exact(row):
    a, b, c, d, _ = row
    first, second = joined(a, b), joined(c, d)
    assert joined(*multiply(*u64(a, b))) == a * b
    assert joined(*multiply_two_words(*u64(a, b, c))) == first * c
    assert joined(*add(*u64(a, b, c, d))) == (first + second) % WORD**2
    assert joined(*subtract(*u64(a, b, c, d))) == (first - second) % WORD**2
    assert less(*u64(a, b, c, d)) == (first < second)


@settings(deadline=None)
@given(rows)
@example((2**64 - 2, 2**64 - 1, 2**64 - 1, 2**64 - 1, 0))
@example((2**63 - 1, 2**64 - 1, 2**64 - 1, 2**63, 0))
@example((0, 2**64 - 2, 2**64 - 1, 0, 2**64 - 1))
def test_quotients_are_exact_or_overflow(row):
    top, middle, last, high, low = row
    quotient, remains = expected_quotient(joined(top, middle, last), joined(high, low))
    assert divide(*u64(*row)) == (quotient, remains)
    assert divide_down(*u64(*row)) == quotient
    assert divide_up(*u64(*row)) == min(quotient + remains, OVERFLOW)
    quotient, remains = expected_quotient(top * middle, last)
    assert multiply_divide_down(*u64(top, middle, last)) == quotient
    assert multiply_divide_up(*u64(top, middle, last)) == min(quotient + remains, OVERFLOW)


@settings(deadline=None)
@given(high=words, low=words)
def test_square_roots_are_exact(high, low):
    assert square_root(*u64(high, low)) == isqrt(joined(high, low))


@settings(deadline=None)
@given(root=words.filter(bool), below=st.integers(0, 2))
def test_square_roots_round_down_just_below_a_square(root, below):
    number = max(root * root - below, 0)
    assert square_root(*u64(number // WORD, number % WORD)) == isqrt(number)


@kernel
def _of_each(rows, results):
    for number in range(len(rows)):
        row = rows[number]
        quotient, remains = divide(row[0], row[1], row[2], row[3], row[4])
        results[number, 0] = quotient
        results[number, 1] = np.uint64(remains)
        results[number, 2] = multiply_divide_down(row[0], row[1], row[2])
        results[number, 3] = multiply_divide_up(row[0], row[1], row[2])
        results[number, 4] = square_root(row[3], row[4])


def random_rows(seed):
    """Rows of five words of every length, with a third of them at an edge."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, WORD, (COUNT, 5), dtype=np.uint64)
    rows >>= generator.integers(0, 64, rows.shape, dtype=np.uint64)
    at_edge = generator.random(rows.shape) < 1 / 3
    rows[at_edge] = generator.choice(np.array(EDGES, np.uint64), np.count_nonzero(at_edge))
    return rows


def test_a_million_rows_of_words():
    rows = random_rows(seed=1)
    results = np.zeros_like(rows)
    _of_each(rows, results)
    overflows = 0
    for (top, middle, last, high, low), result in zip(rows.tolist(), results.tolist(), strict=True):
        quotient, remains = expected_quotient((top << 128) + (middle << 64) + last, (high << 64) + low)
        product, rest = expected_quotient(top * middle, last)
        root = isqrt((high << 64) + low)
        assert result == [quotient, remains, product, min(product + rest, int(OVERFLOW)), root]
        overflows += quotient == OVERFLOW
    assert COUNT / 10 < overflows < COUNT * 9 / 10
