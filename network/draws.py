"""Exogenous randomness, keyed and never drawn in call order.

A draw is a pure function of (stream, entity, index): two runs that differ in capacity see the same users, prices and
arrivals, whatever order the agents act in (common random numbers; Glasserman and Yao, 1992). The generator is
counter-based, in the manner of Salmon, Moraes, Dror and Shaw (2011), with the finaliser of SplitMix64 (Steele, Lea and
Flood, 2014) applied once for the entity and once for the index.
"""

import hashlib
import math

import numpy as np

from blockspace.network.compilation import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1B54A32D192ED03)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 4503599627370496.0  # 2^-52: with 53 bits the half below would round up to 1


def stream_key(seed: int, name: str) -> int:
    """Key of a named random stream of a run.

    Parameters
    ----------
    seed
        Seed of the run, 0 or more.
    name
        Path of the stream, for example ``"noise_traders/size"``.

    Returns
    -------
    int
        64-bit key, derived through ``numpy.random.SeedSequence`` from the seed and a hash of the name.
    """
    words = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), np.uint32)
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=tuple(int(word) for word in words))
    return int(sequence.generate_state(1, np.uint64)[0])


@kernel
def _mix(value):
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@kernel
def draw_bits(key, entity, index):
    """64 random bits of the stream ``key`` for an entity and an index (all unsigned 64-bit)."""
    inner = _mix(np.uint64(key) + np.uint64(entity) * _GOLDEN)
    return _mix(inner + np.uint64(index) * _ODD + _GOLDEN)


@kernel
def draw_uniform(key, entity, index):
    """Uniform draw strictly inside (0, 1)."""
    return (np.float64(draw_bits(key, entity, index) >> np.uint64(12)) + 0.5) * _TO_UNIT


@kernel
def draw_exponential(key, entity, index):
    """Exponential draw with mean 1."""
    return -math.log(draw_uniform(key, entity, index))


@kernel
def normal_quantile(probability):
    """Quantile of the standard normal law, relative error below 1.15e-9 (Acklam, 2003)."""
    if probability < 0.02425:
        root = math.sqrt(-2.0 * math.log(probability))
        return _tail(root)
    if probability > 0.97575:
        root = math.sqrt(-2.0 * math.log(1.0 - probability))
        return -_tail(root)
    centred = probability - 0.5
    square = centred * centred
    numerator = (
        (
            ((-3.969683028665376e01 * square + 2.209460984245205e02) * square - 2.759285104469687e02) * square
            + 1.383577518672690e02
        )
        * square
        - 3.066479806614716e01
    ) * square + 2.506628277459239e00
    denominator = (
        (
            ((-5.447609879822406e01 * square + 1.615858368580409e02) * square - 1.556989798598866e02) * square
            + 6.680131188771972e01
        )
        * square
        - 1.328068155288572e01
    ) * square + 1.0
    return numerator * centred / denominator


@kernel
def _tail(root):
    numerator = (
        (
            ((-7.784894002430293e-03 * root - 3.223964580411365e-01) * root - 2.400758277161838e00) * root
            - 2.549732539343734e00
        )
        * root
        + 4.374664141464968e00
    ) * root + 2.938163982698783e00
    denominator = (
        ((7.784695709041462e-03 * root + 3.224671290700398e-01) * root + 2.445134137142996e00) * root
        + 3.754408661907416e00
    ) * root + 1.0
    return numerator / denominator


@kernel
def draw_normal(key, entity, index):
    """Standard normal draw."""
    return normal_quantile(draw_uniform(key, entity, index))
