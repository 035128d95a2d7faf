"""Facts of returns: of their memory, their tails, and of how large ones come in clusters (Cont, 2001)."""

import numpy as np

from blockspace.experiments.facts.estimators import (
    FIRST_FITTED_LAG,
    Floats,
    decay_of,
    excess_kurtosis,
    known_count,
    lagged_correlation,
    last_lag,
    resampled_means,
    tail_index,
)
from blockspace.experiments.facts.fact import FEWEST, FEWEST_FOR_MEMORY, Accepted, Fact, judge
from blockspace.experiments.facts.observations import Observations

BOUND = 0.05
"""Autocorrelation of returns that counts as none."""

NEGLIGIBLE = 0.01
"""Autocorrelation of absolute returns that counts as none, however clear; in markets it is several times that."""

LAST_LINEAR_LAG = 10
LONG_LAG = 100
AGGREGATIONS = (1, 5, 15)
TAIL, WIDER_TAIL = 0.02, 0.05
"""Shares of the returns that count as the tail."""

CONT, HILL = "Cont (2001)", "Hill (1975)"


def facts_of_the_grid(seen: Observations, seed: int) -> list[Fact]:
    """What to know before believing the rest: it is reported, not judged."""
    returns = seen.returns()
    missing = resampled_means([np.isnan(seen.log_mid)], seed)[:, 0]
    still = resampled_means([returns == 0.0], seed)[:, 0]
    return [
        judge("no mid price", "share of times with an empty side", missing, len(seen.log_mid)),
        judge("no move", "share of returns that are exactly zero", still, len(returns)),
    ]


def linear_memory(returns: Floats, seed: int) -> Floats:
    """Autocorrelation of returns at the lags 1 to 10."""
    return lagged_correlation(returns, returns, np.arange(1, LAST_LINEAR_LAG + 2), seed)


def facts_of_linear_memory(seen: Observations, seed: int) -> list[Fact]:
    """Returns hardly remember each other, but for the bounce between bid and ask."""
    returns = seen.returns()
    memory, count = linear_memory(returns, seed), known_count(returns)
    furthest = 1 + int(np.abs(np.nan_to_num(memory[0, 1:])).argmax())
    return [
        judge("bounce", "autocorrelation of returns, lag 1", memory[:, 0], count, source=CONT),
        judge(
            "no linear memory",
            f"autocorrelation of returns furthest from 0, lags 2 to {LAST_LINEAR_LAG}",
            memory[:, furthest],
            count,
            Accepted(-BOUND, BOUND, FEWEST),
            note=f"at lag {furthest + 1}",
            source=CONT,
        ),
    ]


def facts_of_tails(seen: Observations, seed: int) -> list[Fact]:
    """Large returns are more frequent than under a normal law, less so over longer intervals, and follow a power."""
    returns, count = seen.returns(), known_count(seen.returns())
    kurtosis = [excess_kurtosis(seen.returns(steps), seed) for steps in AGGREGATIONS]
    fat = judge(
        "fat tails",
        "excess kurtosis of returns",
        kurtosis[0],
        count,
        Accepted(3.0, fewest=FEWEST_FOR_MEMORY),
        source=CONT,
    )
    values = ", ".join(f"{one[0]:.3g}" for one in kurtosis)
    intervals = ", ".join(f"{steps * seen.interval_s:g}" for steps in AGGREGATIONS)
    wider = tail_index(returns, WIDER_TAIL, seed)[0]
    return [
        fat,
        judge(
            "tails thin out",
            f"fall of the excess kurtosis over {AGGREGATIONS[-1]} intervals",
            kurtosis[0] - kurtosis[-1],
            count,
            Accepted(0.0, fewest=FEWEST_FOR_MEMORY),
            unless="there are no fat tails to thin out" if fat.found is False else "",
            note=f"{values} over {intervals} s",
            source=CONT,
        ),
        judge(
            "tail index",
            f"Hill's index of the top {TAIL:.0%} of absolute returns",
            tail_index(returns, TAIL, seed),
            count,
            Accepted(2.0, 5.0, FEWEST_FOR_MEMORY),
            note=f"{wider:.3g} in the top {WIDER_TAIL:.0%}",
            source=HILL,
        ),
    ]


def facts_of_clustering(seen: Observations, seed: int) -> list[Fact]:
    """Large returns follow large ones, for long, and come with volume."""
    returns, size = seen.returns(), np.abs(seen.returns())
    count, last = known_count(returns), max(last_lag(size), LONG_LAG + 1)
    far = lagged_correlation(size, size, np.array([LONG_LAG + 1, last + 1]), seed)[:, 0]
    decay = decay_of(size, seed)
    with_volume = lagged_correlation(size, seen.volume_usd, np.array([0, 1]), seed)[:, 0]
    leverage = lagged_correlation(returns, size, np.array([1, LAST_LINEAR_LAG + 1]), seed)[:, 0]
    return [
        judge(
            "clustering",
            f"mean autocorrelation of absolute returns, lags {LONG_LAG + 1} to {last}",
            far,
            count,
            Accepted(0.0, fewest=FEWEST_FOR_MEMORY),
            unless=f"below {NEGLIGIBLE:g} is small, however clear" if far[0] < NEGLIGIBLE else "",
            source=CONT,
        ),
        judge(
            "slow decay",
            f"exponent of its decay, lags {FIRST_FITTED_LAG} to {last}",
            decay.exponent,
            count,
            Accepted(0.1, 0.4, FEWEST_FOR_MEMORY),
            unless=decay.unless,
            source=CONT,
        ),
        judge(
            "volume and volatility",
            "correlation of absolute returns and volume",
            with_volume,
            count,
            Accepted(0.3, 0.8, FEWEST),
            source=CONT,
        ),
        judge(
            "leverage",
            f"correlation of returns with later absolute returns, lags 1 to {LAST_LINEAR_LAG}",
            leverage,
            count,
            source=CONT,
        ),
    ]
