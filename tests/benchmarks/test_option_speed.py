"""Speed of a surface of 200 series with all Greeks, beside the textbook's formulas vectorised with NumPy and SciPy.

Each round values the surface at other prices and times. Implied volatilities are found for the same 200 series.
"""

import math
from itertools import count

import numpy as np
import pytest
from scipy.special import ndtr

from blockspace.markets.options.black_scholes import CALL, PUT, SERIES, YEAR_NS, revalue
from blockspace.markets.options.implied_volatility import imply

SERIES_COUNT = 200
SPOT = 2_000.0
GREEKS = ("value", "delta", "gamma", "vega", "theta", "vanna", "volga")


def make_surface():
    """Ten expiries from a day to a year, ten strikes around the price, calls and puts, with a smile."""
    surface = np.zeros(SERIES_COUNT, SERIES)
    log_strikes = np.tile(np.linspace(-0.5, 0.5, 10), 20)
    surface["strike"] = SPOT * np.exp(log_strikes)
    surface["expiry"] = np.repeat(np.geomspace(1 / 365, 1.0, 10) * YEAR_NS, 20).astype(np.int64)
    surface["kind"] = np.where(np.arange(SERIES_COUNT) // 10 % 2, CALL, PUT)
    surface["volatility"] = 0.7 + 0.4 * log_strikes**2
    return surface


def vectorised(surface, spot, now):
    """All Greeks with arrays, as a data scientist would write them; interest and carry are 0."""
    strike, volatility, kind = surface["strike"], surface["volatility"], surface["kind"]
    years = (surface["expiry"] - now) / YEAR_NS
    root = np.sqrt(years)
    deviation = volatility * root
    first = np.log(spot / strike) / deviation + 0.5 * deviation
    second = first - deviation
    density = np.exp(-0.5 * first * first) / math.sqrt(2.0 * math.pi)
    chance = ndtr(kind * first)
    vega = spot * density * root
    return (
        kind * (spot * chance - strike * ndtr(kind * second)),
        kind * chance,
        density / (spot * deviation),
        vega,
        -0.5 * spot * density * volatility / root,
        -density * second / volatility,
        vega * first * second / volatility,
    )


def moments():
    """Prices and times that are never the same twice."""
    return ((SPOT * (1.0 + 1e-4 * (number % 97)), number * 10**9) for number in count())


@pytest.fixture(scope="module")
def numpy_us(request):
    return {}


def measure(benchmark, run, group):
    """Time ``run(spot, now)`` over changing moments, and say how many microseconds a surface takes."""
    benchmark.group = group
    stream = moments()
    benchmark.pedantic(run, setup=lambda: (next(stream), {}), rounds=5_000, warmup_rounds=50)
    return benchmark.stats["median"] * 1e6


def test_numpy_and_scipy(benchmark, numpy_us):
    surface = make_surface()
    numpy_us["surface"] = measure(benchmark, lambda spot, now: vectorised(surface, spot, now), "a surface of options")


def test_kernel(benchmark, numpy_us):
    surface = make_surface()
    taken = measure(benchmark, lambda spot, now: revalue(surface, spot, now, 0.0, 0.0), "a surface of options")
    benchmark.extra_info["microseconds a surface"] = taken
    if numpy_us:
        benchmark.extra_info["times as fast as NumPy and SciPy"] = numpy_us["surface"] / taken
    revalue(surface, SPOT, 0, 0.0, 0.0)
    for name, column in zip(GREEKS, vectorised(surface, SPOT, 0), strict=True):
        scale = np.abs(column).max()
        assert surface[name] == pytest.approx(column, rel=1e-7, abs=1e-12 * scale)


def test_implied_volatilities(benchmark):
    surface = make_surface()
    years = surface["expiry"] / YEAR_NS
    volatilities = np.empty(SERIES_COUNT)
    strikes, kinds = surface["strike"].copy(), surface["kind"].copy()
    revalue(surface, SPOT, 0, 0.0, 0.0)
    prices = surface["value"].copy()

    def run(_spot, _now):
        imply(prices, strikes, years, kinds, SPOT, 0.0, 0.0, volatilities)

    taken = measure(benchmark, run, "implied volatilities of a surface")
    benchmark.extra_info["microseconds a surface"] = taken
    assert (volatilities >= 0.0).all()
