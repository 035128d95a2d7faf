"""Statistics over seeds: means and medians with 95 % intervals, and paired differences.

Intervals of means are Student-t. Intervals of medians are exact and free of assumptions: they run between order
statistics that enclose the median with at least 95 % (David & Nagaraja, 2003, section 7.1), which takes six seeds.
Every point sees the same seeds, so differences between points are taken seed by seed, which removes what the runs have
in common.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

CONFIDENCE = 0.95
NOT_MEASURES = ("point", "seed", "fingerprint", "error", "identity", "file", "file_bytes")
"""Columns of a table of runs that are neither swept values nor measures."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % confidence interval.

    Attributes
    ----------
    mean, low, high
        Mean and ends of the interval; NaN where there is too little to say (no run, or one run for the interval).
    count
        Seeds at which there was something to measure.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0.0 or self.high < 0.0

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2.0


def estimate(values: npt.ArrayLike) -> Estimate:
    """Mean of ``values`` with its Student-t 95 % interval; NaN values were not measurable and are left out.

    Examples
    --------
    >>> estimate([1.0, 2.0, 3.0, float("nan")])
    Estimate(mean=2.0, low=-0.484..., high=4.484..., count=3)
    """
    samples = np.asarray(values, dtype=float).reshape(-1, 1)
    if not len(samples):
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean, half, count = _means(samples)
    return Estimate(float(mean[0]), float(mean[0] - half[0]), float(mean[0] + half[0]), int(count[0]))


def estimate_apart(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """Difference of the means of two samples that have nothing in common, the second less the first.

    The interval is Welch's (1947), which lets the samples differ in spread and in size. ``count`` is the size of the
    smaller one.

    Examples
    --------
    >>> apart = estimate_apart([1.0, 2.0, 3.0], [3.0, 5.0, 7.0, 9.0])
    >>> [round(value, 3) for value in (apart.mean, apart.low, apart.high)]
    [4.0, 0.102, 7.898]
    """
    from scipy.special import stdtrit

    samples = [np.asarray(values, dtype=float) for values in (first, second)]
    samples = [values[~np.isnan(values)] for values in samples]
    count = min(map(len, samples))
    if not count:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(samples[1].mean() - samples[0].mean())
    if count < 2:
        return Estimate(mean, np.nan, np.nan, count)
    shares = [float(values.var(ddof=1)) / len(values) for values in samples]
    squares = sum(share**2 / (len(values) - 1) for share, values in zip(shares, samples, strict=True))
    if not squares:
        return Estimate(mean, mean, mean, count)
    freedom = sum(shares) ** 2 / squares
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * sum(shares) ** 0.5
    return Estimate(mean, mean - half, mean + half, count)


def relative(apart: Estimate, base: float) -> Estimate:
    """Return a difference in per cent of the size of what it is taken to; NaN where that is nothing."""
    scale = 100.0 / abs(base) if abs(base) > 1e-12 else np.nan  # what is left of a rounding error is nothing
    return Estimate(apart.mean * scale, apart.low * scale, apart.high * scale, apart.count)


def _means(samples: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Mean, half-width of its interval and number of known values of each column."""
    from scipy.special import stdtrit  # takes a third of a second, which commands that need no interval are spared

    known = ~np.isnan(samples)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Of equal values the mean is that value to the last bit, so that no difference is made of rounding.
        first = samples[np.argmax(known, axis=0), np.arange(samples.shape[1])]
        apart = np.where(known, samples - first, 0.0)
        mean = first + apart.sum(axis=0) / count
        squares = (np.where(known, samples - mean, 0.0) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
        half = stdtrit(np.maximum(count - 1, 1), 0.5 + CONFIDENCE / 2) * deviation / np.sqrt(count)
    return mean, half, count


def _medians(samples: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Median and ends of its interval for each column."""
    from scipy.special import bdtr

    count = (~np.isnan(samples)).sum(axis=0)
    # NaN sorts to the end: the first `count` of a column are its known values in order.
    ordered = np.sort(samples, axis=0)
    columns = np.arange(samples.shape[1])

    def at(rank: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(ordered[np.clip(rank, 0, len(samples) - 1), columns])

    # The largest number of values that can be dropped from each end.
    ranks = np.arange(len(samples) // 2 + 1)
    tails = 2.0 * bdtr(ranks[:, None], np.maximum(count, 1)[None, :], 0.5)
    dropped = (tails <= 1.0 - CONFIDENCE).sum(axis=0)
    median = np.where(count > 0, 0.5 * (at((count - 1) // 2) + at(count // 2)), np.nan)
    low = np.where(dropped > 0, at(dropped - 1), np.nan)
    high = np.where(dropped > 0, at(count - dropped), np.nan)
    return median, low, high


def measures_of(runs: pd.DataFrame, swept: Iterable[str]) -> list[str]:
    """Names of the columns of ``runs`` that are measures."""
    others = {*NOT_MEASURES, *swept}
    return [name for name in runs.columns if name not in others]


def tabulate(runs: pd.DataFrame, swept: Iterable[str], reference: str) -> pd.DataFrame:
    """Reduce runs to one row per measure and point.

    Parameters
    ----------
    runs
        One row per run, with the columns ``point`` and ``seed``, the swept values and the measures.
    swept
        Names of the columns of swept values.
    reference
        Name of the point to which paired differences are taken.

    Returns
    -------
    pandas.DataFrame
        Columns ``point``, the swept values, ``measure``, ``seeds`` (at which it was measurable), ``mean``, ``low``,
        ``high``, ``median``, ``median_low``, ``median_high``, then ``pairs``, ``difference``, ``difference_low``,
        ``difference_high`` against the reference point.
    """
    swept = list(swept)
    points = runs.drop_duplicates("point")[["point", *swept]].reset_index(drop=True)
    names = list(points["point"])
    places = {name: number for number, name in enumerate(names)}
    seeds, of_seed = np.unique(runs["seed"].to_numpy(), return_inverse=True)
    of_point = runs["point"].map(places).to_numpy(int)
    measures = measures_of(runs, swept)
    if not measures:
        return pd.DataFrame()
    # A column for each measure and point: all of them are reduced at once.
    samples = np.full((len(seeds), len(measures), len(names)), np.nan)
    samples[of_seed, :, of_point] = np.column_stack([runs[measure].to_numpy(float) for measure in measures])
    apart = samples - samples[:, :, [places[reference]]]
    mean, half, count = _means(samples.reshape(len(seeds), -1))
    median, median_low, median_high = _medians(samples.reshape(len(seeds), -1))
    difference, difference_half, pairs = _means(apart.reshape(len(seeds), -1))
    return pd.concat([points] * len(measures), ignore_index=True).assign(
        measure=np.repeat(measures, len(names)),
        seeds=count,
        mean=mean,
        low=mean - half,
        high=mean + half,
        median=median,
        median_low=median_low,
        median_high=median_high,
        pairs=pairs,
        difference=difference,
        difference_low=difference - difference_half,
        difference_high=difference + difference_half,
    )
