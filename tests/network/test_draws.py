import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blockspace.network.compilation import kernel
from blockspace.network.draws import (
    draw_bits,
    draw_exponential,
    draw_normal,
    draw_uniform,
    normal_quantile,
    stream_key,
)

MASK = 2**64 - 1
words = st.integers(0, MASK)


# The same generator in Python integers.


def slow_mix(value):
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def slow_bits(key, entity, index):
    inner = slow_mix((key + entity * 0x9E3779B97F4A7C15) & MASK)
    return slow_mix((inner + index * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & MASK)


def slow_uniform(key, entity, index):
    return ((slow_bits(key, entity, index) >> 12) + 0.5) / 2**52


def horner(coefficients, x):
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


CENTRE_TOP = (
    -3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02, 1.383577518672690e02,
    -3.066479806614716e01, 2.506628277459239e00,
)  # fmt: skip
CENTRE_BOTTOM = (
    -5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02, 6.680131188771972e01,
    -1.328068155288572e01, 1.0,
)  # fmt: skip
TAIL_TOP = (
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00, -2.549732539343734e00,
    4.374664141464968e00, 2.938163982698783e00,
)  # fmt: skip
TAIL_BOTTOM = (
    7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0,
)  # fmt: skip


def slow_quantile(probability):
    if probability < 0.02425:
        root = math.sqrt(-2.0 * math.log(probability))
        return horner(TAIL_TOP, root) / horner(TAIL_BOTTOM, root)
    if probability > 0.97575:
        root = math.sqrt(-2.0 * math.log(1.0 - probability))
        return -(horner(TAIL_TOP, root) / horner(TAIL_BOTTOM, root))
    centred = probability - 0.5
    square = centred * centred
    return horner(CENTRE_TOP, square) * centred / horner(CENTRE_BOTTOM, square)


@kernel
def fill_uniforms(key, first_entity, first_index, uniforms):
    for row in range(uniforms.shape[0]):
        for column in range(uniforms.shape[1]):
            uniforms[row, column] = draw_uniform(key, first_entity + row, first_index + column)


@kernel
def fill_quantiles(probabilities, quantiles):
    for number in range(probabilities.size):
        quantiles[number] = normal_quantile(probabilities[number])


def uniforms(key, entities, indexes, first_index=0):
    """Draws of the first entities (rows) at the first indexes (columns)."""
    table = np.empty((entities, indexes))
    fill_uniforms(np.uint64(key), 0, first_index, table)
    return table


@settings(max_examples=300, deadline=None)
@given(words, words, words)
def test_draws_equal_their_recomputation_in_python_integers_bit_for_bit(key, entity, index):
    arguments = np.uint64(key), np.uint64(entity), np.uint64(index)
    uniform = slow_uniform(key, entity, index)
    assert draw_bits(*arguments) == slow_bits(key, entity, index)
    assert draw_uniform(*arguments) == uniform
    assert draw_exponential(*arguments) == -math.log(uniform)
    assert draw_normal(*arguments) == slow_quantile(uniform)


@pytest.mark.parametrize(
    ("key", "entity", "index", "bits"),
    # The generator never changes: with it would change every run ever made.
    [
        (0, 0, 0, 0xE220A8397B1DCDAF),
        (1, 0, 0, 0xBFEF8030DDC2D772),
        (0, 1, 0, 0xA706DD2F4D197E6F),
        (0, 0, 1, 0x2D0F28C7E7E786B2),
        (MASK, MASK, MASK, 0x553F59AE48786187),
    ],
)
def test_the_generator_has_known_values(key, entity, index, bits):
    assert slow_bits(key, entity, index) == bits
    assert draw_bits(np.uint64(key), np.uint64(entity), np.uint64(index)) == bits


def test_integer_arguments_of_any_width_name_the_same_draw():
    wanted = draw_bits(np.uint64(5), np.uint64(200), np.uint64(3))
    for kind in (int, np.int64, np.uint32, np.uint8):
        assert draw_bits(np.uint64(5), kind(200), kind(3)) == wanted


@pytest.mark.parametrize(("bits", "uniform"), [(0, 0.5 / 2**52), (MASK, 1 - 0.5 / 2**52), (1 << 63, 0.5 + 0.5 / 2**52)])
def test_uniform_draws_never_reach_zero_or_one(bits, uniform):
    assert 0.0 < ((bits >> 12) + 0.5) / 2**52 == uniform < 1.0
    assert math.isfinite(slow_quantile(uniform))


def test_draws_do_not_depend_on_what_was_drawn_before():
    table = uniforms(stream_key(1, "a"), 20, 20)
    again = np.empty((1, 1))
    fill_uniforms(np.uint64(stream_key(1, "a")), 17, 13, again)
    assert again[0, 0] == table[17, 13]


def test_uniform_draws_are_uniform_along_entities_and_along_indexes():
    for table in (uniforms(stream_key(3, "flat"), 100_000, 1), uniforms(stream_key(4, "flat"), 1, 100_000)):
        assert stats.kstest(table.ravel(), "uniform").pvalue > 0.001


def pairs_of_draws():
    """Draws that share all but one of seed, stream, entity and index."""
    table = uniforms(stream_key(6, "pairs"), 40_000, 2)
    square = uniforms(stream_key(6, "pairs"), 300, 300)
    above = np.triu_indices(300, 1)
    return {
        "an entity and the next": (table[:-1, 0], table[1:, 0]),
        "an index and the next": (table[:, 0], table[:, 1]),
        "a stream and another": (table[:, 0], uniforms(stream_key(6, "other"), 40_000, 1)[:, 0]),
        "a seed and the next": (table[:, 0], uniforms(stream_key(7, "pairs"), 40_000, 1)[:, 0]),
        "entity and index exchanged": (square[above], square.T[above]),
    }


def test_draws_with_neighbouring_keys_are_independent():
    for name, (left, right) in pairs_of_draws().items():
        counts, _, _ = np.histogram2d(left, right, bins=16, range=((0, 1), (0, 1)))
        assert stats.chisquare(counts.ravel()).pvalue > 0.001, name


def test_normal_quantile_is_accurate_to_nine_digits():
    tails = 10.0 ** -np.linspace(1, 15, 500)
    probabilities = np.concatenate([np.linspace(1e-3, 0.999, 20_001), tails, 1.0 - tails[tails > 1e-9]])
    quantiles = np.empty(probabilities.size)
    fill_quantiles(probabilities, quantiles)
    exact = stats.norm.ppf(probabilities)
    away_from_zero = np.abs(exact) > 1e-12
    error = np.abs(quantiles / np.where(away_from_zero, exact, 1.0) - 1.0)[away_from_zero]
    assert error.max() < 1.2e-9
    assert np.abs(quantiles[~away_from_zero]).max() < 1e-12


def test_normal_and_exponential_draws_have_their_law():
    table = uniforms(stream_key(8, "laws"), 100_000, 1).ravel()
    quantiles = np.empty(table.size)
    fill_quantiles(table, quantiles)
    assert stats.kstest(quantiles, "norm").pvalue > 0.001
    assert stats.kstest(-np.log(table), "expon").pvalue > 0.001


def test_every_seed_and_every_name_has_a_stream_of_its_own():
    names = ["price/diffusion", "price/jumps", "traders/1", "traders/10", "traders/11", ""]
    keys = {stream_key(seed, name) for seed in (0, 1, 2, 2**63 - 1) for name in names}
    assert len(keys) == 4 * len(names)
    assert all(0 <= key <= MASK for key in keys)


def test_stream_keys_are_the_same_in_every_process():
    known = [4833693241307917475, 4140081212062236290]
    code = "from blockspace.network.draws import stream_key as k; print(k(0, 'price/diffusion'), k(7, 'traders'))"
    here = [stream_key(0, "price/diffusion"), stream_key(7, "traders")]
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert [int(word) for word in run.stdout.split()] == here == known
