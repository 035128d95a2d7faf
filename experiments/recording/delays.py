"""Delays from decision to block, counted by class."""

import math

import numpy as np

from blockspace.experiments.recording.rows import DELAY_BINS
from blockspace.network.compilation import kernel

_STEPS_PER_OCTAVE = 4
_SHORTEST_DELAY_S = 1e-6


@kernel
def delay_class(delay_s):
    """Class of a delay in the meter's histogram: four to the octave, from a microsecond."""
    if delay_s <= _SHORTEST_DELAY_S:
        return 0
    return min(int(_STEPS_PER_OCTAVE * math.log2(delay_s / _SHORTEST_DELAY_S)) + 1, DELAY_BINS - 1)


def delay_quantile(histogram: np.ndarray, share: float) -> float:
    """Delay in seconds below which ``share`` of the transactions lie; NaN where there are none.

    Interpolated within the class, which is a fifth wide.
    """
    total = int(histogram.sum())
    if total == 0:
        return math.nan
    running = np.cumsum(histogram)
    found = int(np.searchsorted(running, share * total))
    if found == 0:
        return _SHORTEST_DELAY_S
    before = int(running[found - 1])
    within = (share * total - before) / max(int(histogram[found]), 1)
    return float(_SHORTEST_DELAY_S * 2.0 ** ((found - 1 + within) / _STEPS_PER_OCTAVE))
