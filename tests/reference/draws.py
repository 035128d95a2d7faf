"""Keyed draws in Python integers of 64 bits."""

import math

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
ODD = 0xD1B54A32D192ED03
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


def draw_bits(key, entity, index):
    """SplitMix64's finaliser, applied once for the entity and once for the index."""
    value = (key + entity * GOLDEN) & MASK
    value = (value ^ value >> 30) * FIRST & MASK
    value = (value ^ value >> 27) * SECOND & MASK
    value = ((value ^ value >> 31) + index * ODD + GOLDEN) & MASK
    value = (value ^ value >> 30) * FIRST & MASK
    value = (value ^ value >> 27) * SECOND & MASK
    return value ^ value >> 31


def draw_uniform(key, entity, index):
    return ((draw_bits(key, entity, index) >> 12) + 0.5) / 2**52


def draw_exponential(key, entity, index):
    return -math.log(draw_uniform(key, entity, index))


def draw_normal(key, entity, index):
    return normal_quantile(draw_uniform(key, entity, index))


def normal_quantile(probability):
    """Acklam's rational approximation, by Horner's scheme."""
    if probability < 0.02425:
        return tail(math.sqrt(-2.0 * math.log(probability)))
    if probability > 0.97575:
        return -tail(math.sqrt(-2.0 * math.log(1.0 - probability)))
    x = probability - 0.5
    r = x * x
    a = -3.969683028665376e01 * r + 2.209460984245205e02
    a = ((a * r - 2.759285104469687e02) * r + 1.383577518672690e02) * r - 3.066479806614716e01
    b = -5.447609879822406e01 * r + 1.615858368580409e02
    b = ((b * r - 1.556989798598866e02) * r + 6.680131188771972e01) * r - 1.328068155288572e01
    return (a * r + 2.506628277459239e00) * x / (b * r + 1.0)


def tail(r):
    c = -7.784894002430293e-03 * r - 3.223964580411365e-01
    c = ((c * r - 2.400758277161838e00) * r - 2.549732539343734e00) * r + 4.374664141464968e00
    d = (7.784695709041462e-03 * r + 3.224671290700398e-01) * r + 2.445134137142996e00
    return (c * r + 2.938163982698783e00) / ((d * r + 3.754408661907416e00) * r + 1.0)
