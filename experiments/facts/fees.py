"""Facts of the base fee: how unevenly it moves, and whether it follows the hours of the day."""

import numpy as np

from blockspace.experiments.facts.estimators import (
    FEWEST_TO_ESTIMATE,
    UNKNOWN,
    Floats,
    excess_kurtosis,
    known_count,
    resampled_means,
    unless_rounding,
)
from blockspace.experiments.facts.fact import FEWEST, Accepted, Fact, judge
from blockspace.experiments.facts.observations import DAY_S, Observations

FEWEST_DAYS = 3


def facts_of_fees(seen: Observations, seed: int) -> list[Fact]:
    """The base fee moves unevenly; its daily rhythm is reported, not judged."""
    changes, fee = seen.base_fee_changes, seen.log_base_fee
    return [
        judge(
            "fat tails of fees",
            "excess kurtosis of changes of the log base fee, block to block",
            excess_kurtosis(changes, seed),
            len(changes),
            Accepted(3.0, fewest=FEWEST),
            note=f"{(changes == 0.0).mean():.0%} of the blocks leave it as it is" if len(changes) else "",
        ),
        judge(
            "daily rhythm of fees",
            "share of the variance of the log base fee that a daily wave explains",
            daily_rhythm(fee, seen.interval_s, seed),
            known_count(fee),
            note="" if seen.days >= FEWEST_DAYS else f"not measured on less than {FEWEST_DAYS} days",
        ),
    ]


def daily_rhythm(log_fee: Floats, interval_s: float, seed: int) -> Floats:
    """Share of the variance of a series that a wave of one day explains, by its projection on sine and cosine."""
    whole = int(len(log_fee) * interval_s // DAY_S * DAY_S / interval_s)
    fee = log_fee[:whole]
    if known_count(fee) < FEWEST_TO_ESTIMATE or whole * interval_s < FEWEST_DAYS * DAY_S:
        return UNKNOWN
    known = ~np.isnan(fee)
    fee = np.where(known, fee - fee[known].mean(), 0.0)
    angle = 2.0 * np.pi * np.arange(whole) * interval_s / DAY_S
    means = resampled_means((known, fee * np.cos(angle), fee * np.sin(angle), fee**2, fee), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine, sine, square, mean = means[:, 1:].T / means[:, 0]
        return np.asarray(2.0 * (cosine**2 + sine**2) / unless_rounding(square - mean**2))
