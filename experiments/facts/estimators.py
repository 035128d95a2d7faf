"""Estimators with bootstrap intervals for series that remember.

Every estimator here is a function of means over the series: of powers, of products at a lag, of logarithms beyond a
threshold. A resample of the series in blocks then needs the sums over its blocks alone, and these are differences of
running sums. So a thousand resamples of 50,000 observations take a fraction of a second, and products at a lag are
resampled whole (Künsch, 1989): no lag ever reaches across the seam between two blocks, as it would if the series were
resampled first and measured afterwards. That is why no library is used: those resample the series.

Blocks are circular (Politis and Romano, 1992) and :data:`BLOCKS` of them make a resample. Their length, a fiftieth of
the series, is chosen for series with long memory, where the usual rules for the length do not hold; no lag beyond half
a block should be asked for.

What is not known is NaN, and drops out of every mean.

An estimate is an array whose first value is that of the series itself; the others are those of its resamples.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCKS = 50
RESAMPLES = 1_000
CONFIDENCE = 0.95

FEWEST_TO_ESTIMATE = 4 * BLOCKS
"""Values with fewer of which nothing is estimated."""

UNKNOWN: Floats = np.full(1 + RESAMPLES, np.nan)
"""Estimates of what cannot be estimated."""

EXPONENTS = np.arange(0.0, 2.0001, 0.005)
"""Exponents among which the fits look for the best."""

DECAY_TIMES = 150
"""How many times of an exponential are tried, a tenth of the first lag to ten times the last."""

FIRST_FITTED_LAG = 10
"""Decays are fitted from this lag on, past what single quotes and orders do."""

LAG_BINS = 12
DECADE = 10

ROUNDING = 1e-8


def resampled_means(columns: Iterable[npt.NDArray[np.generic]], seed: int, resamples: int = RESAMPLES) -> Floats:
    """Means of equally long columns and of resamples of their rows in blocks.

    Returns
    -------
    numpy.ndarray
        Shape ``(1 + resamples, columns)``. The first row holds the means of the columns themselves; the blocks of a
        resample are the same for all columns.

    Examples
    --------
    >>> resampled_means([np.arange(100.0), np.ones(100)], seed=1)[0].tolist()
    [49.5, 1.0]
    """
    starts: npt.NDArray[np.int64] | None = None
    means = []
    for column in columns:
        length = max(len(column) // BLOCKS, 1)
        if starts is None:
            starts = np.random.default_rng(seed).integers(len(column), size=(resamples, BLOCKS))
        running = np.concatenate([[0.0], np.cumsum(np.concatenate([column, column[:length]]))])
        sums = (running[starts + length] - running[starts]).sum(axis=1)
        means.append(np.concatenate([[column.mean()], sums / (BLOCKS * length)]))
    return np.stack(means, axis=-1)


def known_count(series: Floats) -> int:
    """How many values are known."""
    return int((~np.isnan(series)).sum())


def interval(estimates: Floats) -> tuple[float, float]:
    """Ends of the 95 % percentile interval; NaN if too many resamples had nothing to measure."""
    known = estimates[1:][np.isfinite(estimates[1:])]
    if len(known) == 0 or len(known) < CONFIDENCE * (len(estimates) - 1):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def lag_edges(first: int, last: int, bins: int) -> npt.NDArray[np.int64]:
    """Edges of at most ``bins`` bins of whole lags, ``first`` to ``last``, each about as wide on a logarithmic scale.

    Examples
    --------
    >>> lag_edges(1, 10, 4).tolist()
    [1, 2, 3, 6, 11]
    """
    return np.unique(np.rint(np.geomspace(first, last + 1, bins + 1)).astype(np.int64))


def centres(edges: npt.NDArray[np.int64]) -> Floats:
    """Geometric means of the lags at the ends of each bin."""
    return np.sqrt(edges[:-1] * (edges[1:] - 1.0))


def lagged_correlation(first: Floats, second: Floats, edges: npt.NDArray[np.int64], seed: int) -> Floats:
    """Correlation of ``first`` at a time with ``second`` later, averaged over bins of lags.

    Bin ``b`` holds the lags ``edges[b]`` to ``edges[b + 1] - 1``. Means over a bin are differences of running sums, so
    that wide bins cost no more than narrow ones. Pairs of which one is NaN are left out (Parzen, 1963).

    Returns
    -------
    numpy.ndarray
        Estimates, shape ``(1 + resamples, bins)``.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=10_000)
    >>> bool(abs(lagged_correlation(noise, noise, np.array([1, 11]), seed=1)[0, 0]) < 0.01)
    True
    """
    rows = len(first) - int(edges[-1] - 1)
    if rows < FEWEST_TO_ESTIMATE or min(known_count(first), known_count(second)) < FEWEST_TO_ESTIMATE:
        return np.tile(UNKNOWN[:, None], len(edges) - 1)
    (x, x_known), (y, y_known) = (_centred(series) for series in (first, second))
    x, x_known = x[:rows], x_known[:rows]
    y_running, known_running = (np.concatenate([[0.0], np.cumsum(series)]) for series in (y, y_known))

    def columns() -> Iterable[Floats]:
        yield from (x_known, x, x * x, y_known[:rows], y[:rows], y[:rows] ** 2)
        for low, high in pairwise(edges):
            for here, running in ((x_known, known_running), (x, y_running)):
                yield here * (running[high : high + rows] - running[low : low + rows])

    means = resampled_means(columns(), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_mean, x_square = means[:, 1:3].T / means[:, 0]
        y_mean, y_square = means[:, 4:6].T / means[:, 3]
        covariance = means[:, 7::2] / means[:, 6::2] - (x_mean * y_mean)[:, None]
        variance = unless_rounding(x_square - x_mean**2) * unless_rounding(y_square - y_mean**2)
        return np.asarray(covariance / np.sqrt(variance)[:, None])


def _centred(series: Floats) -> tuple[Floats, Floats]:
    """A series about its mean, zero where it is not known, and whether it is known."""
    known = ~np.isnan(series)
    return np.where(known, series - series[known].mean(), 0.0), known.astype(np.float64)


def unless_rounding(variance: Floats) -> Floats:
    """Estimates of a variance, NaN for resamples in which nothing varies but the last digits of running sums."""
    return np.where(variance > ROUNDING * variance[0], variance, np.nan)


def excess_kurtosis(values: Floats, seed: int) -> Floats:
    """Fourth central moment over the squared variance, less the 3 of a normal law."""
    if known_count(values) < FEWEST_TO_ESTIMATE:
        return UNKNOWN
    x, known = _centred(values)
    means = resampled_means((known, x, x**2, x**3, x**4), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, second, third, fourth = means[:, 1:].T / means[:, 0]
        variance = unless_rounding(second - mean**2)
        return np.asarray((fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4) / variance**2 - 3.0)


def tail_index(values: Floats, share: float, seed: int) -> Floats:
    """Index of the power law that the largest absolute values follow (Hill, 1975).

    It is the inverse of the mean logarithm of what lies beyond a threshold, relative to it. Clusters of large values
    leave it consistent but make it less certain, which resampling in blocks accounts for; the threshold is kept.

    Parameters
    ----------
    share
        Share of the values that count as the tail.
    """
    size = np.abs(values[~np.isnan(values)])
    threshold = np.quantile(size, 1.0 - share) if len(size) >= FEWEST_TO_ESTIMATE else 0.0
    if threshold <= 0.0:
        return UNKNOWN
    excess = np.log(np.maximum(size / threshold, 1.0))
    means = resampled_means((size > threshold, excess), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(means[:, 0] / means[:, 1])


@dataclass(frozen=True)
class Fit:
    """A law fitted to each row of estimates.

    Attributes
    ----------
    parameter, factor
        Estimates of the exponent or time of the law, and of what it is multiplied by.
    fitted
        The law at the bins, as fitted to the first row.
    misfit
        Weighted sum of squares that is left in the first row.
    """

    parameter: Floats
    factor: Floats
    fitted: Floats
    misfit: float


def fit_power(x: Floats, estimates: Floats) -> Fit:
    """Fit ``factor * x**exponent`` over the bins of each row by weighted least squares.

    The fit is in the values, not in their logarithms: bins whose mean came out negative count like the others, where
    leaving them out would bend the curve upwards. Weights are the inverse variances of the bins over the resamples,
    so that, where noise is small, it is the fit in logarithms with weights by relative error.

    Examples
    --------
    >>> x = np.geomspace(1, 100, 8)
    >>> noisy = 3 * x**0.5 * np.random.default_rng(1).normal(1.0, 0.001, size=(200, 8))
    >>> fit = fit_power(x, noisy)
    >>> round(float(fit.parameter[0]), 2), round(float(fit.factor[0]), 1)
    (0.5, 3.0)
    """
    return _fit(EXPONENTS, x ** EXPONENTS[:, None], estimates)


def fit_power_decay(lag: Floats, memory: Floats, length: int) -> Fit:
    """Fit ``factor * lag**-exponent`` to the autocorrelation of a series of some length, as :func:`fit_power` does.

    An autocorrelation is measured about the mean of the series, which takes away the variance of that mean from every
    lag (Hosking, 1996). With long memory that is much of what there is at long lags, so the law that is fitted has it
    taken away too.
    """
    return _fit(EXPONENTS, _about_the_mean(lambda lags: lags ** -EXPONENTS[:, None], lag, length), memory)


def fit_exponential_decay(lag: Floats, memory: Floats, length: int) -> Fit:
    """Fit ``factor * exp(-lag / time)`` as :func:`fit_power_decay` fits a power."""
    times = np.geomspace(lag[0] / 10.0, lag[-1] * 10.0, DECAY_TIMES)
    return _fit(times, _about_the_mean(lambda lags: np.exp(-lags / times[:, None]), lag, length), memory)


def _about_the_mean(decays: Callable[[Floats], Floats], lag: Floats, length: int) -> Floats:
    """Decays at the lags, less the variance that they give the mean of so long a series."""
    steps = np.geomspace(1.0, length, 400)
    pairs = (1.0 - steps / length) * decays(steps) * steps
    variance = np.atleast_1d(2.0 / length * np.trapezoid(pairs, np.log(steps), axis=1))
    return decays(lag) - variance[:, None]


def _fit(parameters: Floats, shapes: Floats, estimates: Floats) -> Fit:
    """Choose for each row the shape that, times a factor of at least 0, is nearest to it."""
    known = np.isfinite(estimates)
    values = np.where(known, estimates, 0.0)
    spread = np.std(values[1:], axis=0)
    weights = known / np.maximum(spread, 1e-9 * (np.abs(values[0]).max() or 1.0)) ** 2
    overlap = np.maximum((values * weights) @ shapes.T, 0.0)
    norm = np.maximum(weights @ (shapes**2).T, np.finfo(float).tiny)
    best = (overlap**2 / norm).argmax(axis=1)
    rows = np.arange(len(best))
    factor = overlap[rows, best] / norm[rows, best]
    fitted = factor[0] * shapes[best[0]]
    return Fit(parameters[best], factor, fitted, float((weights[0] * (values[0] - fitted) ** 2).sum()))


@dataclass(frozen=True)
class Decay:
    """Autocorrelation at long lags, and the power law fitted to it.

    Attributes
    ----------
    lag
        Geometric centres of the bins of lags.
    memory
        Estimates of the autocorrelation, shape ``(1 + resamples, bins)``.
    fit
        The power law; None if the series is too short for one.
    is_clear
        Whether the autocorrelation, averaged over the bins, is clearly positive.
    is_power
        Whether the power law fits better than an exponential.
    """

    lag: Floats
    memory: Floats
    fit: Fit | None
    is_clear: bool
    is_power: bool

    @property
    def exponent(self) -> Floats:
        """Estimates of the exponent; unknown where there is nothing to fit."""
        return self.fit.parameter if self.fit is not None and self.is_clear else UNKNOWN

    @property
    def unless(self) -> str:
        """Why there is no power law; empty if there is one, or nothing to measure."""
        if np.isnan(self.memory[0]).all():
            return ""
        if not self.is_clear:
            return "there is no memory to fit"
        return "" if self.is_power else "an exponential fits better"


def last_lag(series: Floats) -> int:
    """Longest lag to ask for: half a block."""
    return len(series) // (2 * BLOCKS)


def decay_of(series: Floats, seed: int) -> Decay:
    """Autocorrelation of a series in logarithmic bins from lag 10 to the longest, with its fits.

    Unknown if that is less than a decade.
    """
    if last_lag(series) < DECADE * FIRST_FITTED_LAG:
        return Decay(np.full(1, np.nan), UNKNOWN[:, None], None, False, False)
    edges = lag_edges(FIRST_FITTED_LAG, last_lag(series), LAG_BINS)
    lag = centres(edges)
    memory = lagged_correlation(series, series, edges, seed)
    power = fit_power_decay(lag, memory, len(series))
    exponential = fit_exponential_decay(lag, memory, len(series))
    is_clear = interval(memory.mean(axis=1))[0] > 0.0
    return Decay(lag, memory, power, is_clear, power.misfit <= exponential.misfit)
