"""Facts of orders: the memory of their signs, and what metaorders do to the price."""

import numpy as np

from blockspace.experiments.facts.estimators import FIRST_FITTED_LAG, UNKNOWN, decay_of, last_lag
from blockspace.experiments.facts.fact import FEWEST, FEWEST_FOR_MEMORY, Accepted, Fact, judge
from blockspace.experiments.facts.metaorders import ImpactCurve, impact_curve
from blockspace.experiments.facts.observations import Observations

SIGNS = "Lillo, Mike and Farmer (2005)"
IMPACT = "Tóth et al. (2011); Sato and Kanazawa (2024)"

NEGLIGIBLE = 0.001
"""Autocorrelation of order signs that counts as none, however clear; in markets it is ten and more times that."""

SQUARE_ROOT = Accepted(0.4, 0.65, FEWEST)
FACTOR = Accepted(0.3, 1.5, FEWEST)


def facts_of_order_signs(seen: Observations, seed: int) -> list[Fact]:
    """Where large orders are split, buys follow buys for long."""
    signs = seen.orders["sign"].to_numpy(dtype=float)
    decay = decay_of(signs, seed)
    memory = decay.memory.mean(axis=1)
    return [
        judge(
            "memory of order signs",
            f"mean autocorrelation of order signs, lags {FIRST_FITTED_LAG} to {last_lag(signs):,} in orders",
            memory,
            len(signs),
            Accepted(0.0, fewest=FEWEST_FOR_MEMORY),
            unless=f"below {NEGLIGIBLE:g} is small, however clear" if memory[0] < NEGLIGIBLE else "",
            note="one sign per taker, side and block",
            source=SIGNS,
        ),
        judge(
            "slow decay of order signs",
            "exponent of its decay",
            decay.exponent,
            len(signs),
            Accepted(0.4, 0.8, FEWEST_FOR_MEMORY),
            unless=decay.unless,
            source=SIGNS,
        ),
    ]


def curve_of_impact(seen: Observations, seed: int) -> ImpactCurve:
    """Impact of the metaorders in units of the daily volatility, by size as a share of the daily volume."""
    return impact_curve(seen.metaorder_sizes, seen.impact / (seen.daily_volatility or np.nan), seed)


def facts_of_impact(seen: Observations, seed: int) -> list[Fact]:
    """Metaorders move the price with the square root of their size."""
    curve = curve_of_impact(seen, seed)
    exponent = factor = UNKNOWN
    note, presumed = "too few sizes for a curve", ""
    if curve.fit is not None:
        exponent, factor = curve.fit.parameter, curve.fit.factor
        single = float((seen.metaorders["orders"] == 1).mean())
        positive = int((curve.impact[0] > 0.0).sum())
        decades = np.log10(curve.size[-1] / curve.size[0])
        note = (
            f"{positive} of {len(curve.size)} classes of size with positive mean, over {decades:.1f} decades; "
            f"{single:.0%} are single orders"
        )
        if not SQUARE_ROOT.holds(float(exponent[0]), np.nan):
            presumed = "it presumes the square root"
        if exponent[0] > SQUARE_ROOT.highest:
            note += "; 1 is that of a linear book"
    return [
        judge(
            "square-root impact",
            "exponent of the impact of metaorders in their size",
            exponent,
            curve.count,
            SQUARE_ROOT,
            unless=curve.unless,
            note=note,
            source=IMPACT,
        ),
        judge(
            "factor of impact",
            "what that law gives for the volume of a day",
            factor,
            curve.count,
            FACTOR,
            unit="σ a day",
            unless=curve.unless or presumed,
            source=IMPACT,
        ),
    ]
