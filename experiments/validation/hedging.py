"""V23 and V24: what a hedger who chooses when to trade pays for gas, or for a fraction of what is traded.

One option is written at the money and hedged in an infinitely deep spot market; the variance of what hedging misses
costs ``RISK_AVERSION / 2`` per dollar squared. The best clock and the best band for each cost are found by search among
simulated ones, not by a formula; the formulas of :mod:`blockspace.agents.hedging` are then compared with what the
search has found.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blockspace.agents.hedging import no_trade_band
from blockspace.experiments.validation import Row, compare, target
from blockspace.experiments.validation.hedging_paths import (
    RISK_AVERSION,
    VOLATILITY,
    at_the_money,
    bands,
    clocks,
    hedge,
    walk_gaps,
)

DERMAN_KAMAL = "Derman and Kamal (1999)"
WHALLEY_WILMOTT = "Whalley and Wilmott (1997)"
FIXED_COST = "Whalley and Wilmott (1999)"

GAS_SHARES = (4e-5, 1.6e-4, 6.4e-4, 2.56e-3)
"""Gas of a re-hedge as shares of the option's value."""

FRACTIONS = (5e-4, 1e-3, 2e-3, 4e-3)
"""Costs per dollar traded."""

OCTAVES = 3
"""A search goes so many doublings below the least and above the largest cost."""


def gap_cost(fixed: float, unit_cost: float, risk: float, edge: float, back_to: float) -> float:
    """Cost per step of a band around a gap that moves by one unit a step; ``risk`` is per squared unit of gap."""
    between = edge * edge - back_to * back_to
    holding = risk * (edge * edge + back_to * back_to) / 6.0
    if between == 0.0:
        return unit_cost / (2.0 * edge) + holding
    return (fixed + unit_cost * (edge - back_to)) / between + holding


class Searched(NamedTuple):
    """The cheapest of many policies."""

    cost_usd: float
    belief: float  # the cost that the cheapest believes in, over the true one
    charged_usd: npt.NDArray[np.float64]  # cost of each path, whose mean is the cost
    formula_usd: float  # cost of the policy that knows the true cost


def cheapest(charged: npt.NDArray[np.float64], beliefs: npt.NDArray[np.float64], truth: float) -> Searched:
    """Search the costs of paths (rows) under policies (columns), by a parabola through the best three.

    ``beliefs`` grow geometrically.
    """
    costs = charged.mean(axis=0)
    best = int(np.clip(costs.argmin(), 1, len(costs) - 2))
    left, middle, right = costs[best - 1 : best + 2]
    shift = 0.5 * (left - right) / (left - 2.0 * middle + right)
    cost = middle - 0.25 * (left - right) * shift
    belief = beliefs[best] * (beliefs[best + 1] / beliefs[best]) ** shift
    own = float(np.interp(math.log(truth), np.log(beliefs), costs))
    return Searched(float(cost), float(belief / truth), charged[:, best], own)


def elasticity(costs: list[Searched], prices: npt.ArrayLike) -> tuple[float, float]:
    """Elasticity of the last cost against the first in what trading costs, with its standard error."""
    first, last = costs[0], costs[-1]
    log_ratio = math.log(np.asarray(prices)[-1] / np.asarray(prices)[0])
    deviations = last.charged_usd / last.charged_usd.mean() - first.charged_usd / first.charged_usd.mean()
    error = float(deviations.std()) / math.sqrt(len(deviations)) / log_ratio
    return math.log(last.cost_usd / first.cost_usd) / log_ratio, error


def doublings(least: float, most: float) -> npt.NDArray[np.float64]:
    """Costs, each twice the one before, that reach ``OCTAVES`` beyond the least and the largest."""
    count = round(math.log2(most / least)) + 1 + 2 * OCTAVES
    return np.asarray(least * 2.0 ** (np.arange(count) - OCTAVES), dtype=np.float64)


def charge(hedged: npt.NDArray[Any], gas_usd: float = 0.0, fraction: float = 0.0) -> npt.NDArray[np.float64]:
    """Cost of each path (rows) under each policy (columns): gas, what trading costs, and the dislike of variance."""
    errors = hedged["error_usd"]
    risk = RISK_AVERSION / 2.0 * (errors - errors.mean(axis=0)) ** 2
    charged: npt.NDArray[np.float64] = gas_usd * hedged["trades"] + fraction * hedged["turnover_usd"] + risk
    return charged


@cache
def searches(quick: bool) -> dict[str, list[Searched]]:
    """Cheapest clocks and bands for each gas and each fraction, on the same paths."""
    paths, steps = (4_000, 5_760) if quick else (20_000, 5_760)
    gas = np.array(GAS_SHARES) * at_the_money().value
    every = np.unique(np.round(steps / 1_440 * 2.0 ** np.arange(1.0, 8.6, 0.25)).astype(int))
    believed_gas = doublings(gas[0], gas[-1])
    believed_fractions = doublings(FRACTIONS[0], FRACTIONS[-1])
    policies = [clocks(every), bands(believed_gas), bands(0.0, believed_fractions)]
    hedged = hedge(paths, steps, np.concatenate(policies))
    by_clock, by_gas, by_fraction = np.split(hedged, np.cumsum([len(some) for some in policies])[:-1], axis=1)
    return {
        # A clock believes in no cost: its "belief" is its interval, in units of the shortest.
        "clock": [cheapest(charge(by_clock, gas_usd=cost), every.astype(float), every[0]) for cost in gas],
        "band": [cheapest(charge(by_gas, gas_usd=cost), believed_gas, cost) for cost in gas],
        "proportional": [cheapest(charge(by_fraction, fraction=cost), believed_fractions, cost) for cost in FRACTIONS],
    }


def _formula_rows(name: str, cost: str, costs: list[Searched], prices: npt.ArrayLike, source: str) -> list[Row]:
    """Compare the policy that agents use with the best that the search has found."""
    return [
        compare(
            name,
            f"cost of the agents' band over the cheapest found, {cost} {price:g}",
            1.0,
            found.formula_usd / found.cost_usd,
            absolute=0.05,
            source=source,
            note=f"the cheapest believes in {found.belief:.2f} times the cost",
        )
        for found, price in zip(costs, np.asarray(prices).tolist(), strict=True)
    ]


def gap_risk(gamma: float) -> float:
    """Dislike of a squared gap of one unit over the time in which the gap moves by one unit, in dollars."""
    return RISK_AVERSION / (2.0 * gamma * gamma)


@target("V23")
def proportional_band(quick: bool) -> list[Row]:
    """With a cost per dollar traded, trades go to the edge of a band, and the best width costs as theory says."""
    fineness, walks, steps = (50, 16, 2_000_000) if quick else (80, 24, 4_000_000)
    unit_cost, gamma = 0.1, at_the_money().gamma
    best, _ = no_trade_band(0.0, unit_cost, gamma, RISK_AVERSION)
    widths = best * 2.0 ** np.arange(-1.0, 1.01, 0.25)
    deviation = widths[0] / fineness
    _, turnover, squares = walk_gaps(widths, widths, walks, steps, deviation)
    turnover /= deviation**2
    costs = unit_cost * turnover + gap_risk(gamma) * squares
    rows = []
    for number in (0, 4, 8):
        theory = gap_cost(0.0, unit_cost, gap_risk(gamma), widths[number], widths[number])
        rows.append(
            compare(
                "V23",
                f"cost of a band {widths[number] / best:g} times the best, constant gamma, over theory",
                1.0,
                float(costs[:, number].mean() / theory),
                relative=0.03,
                standard_error=float(costs[:, number].std() / math.sqrt(walks) / theory),
                source=WHALLEY_WILMOTT,
            )
        )
    found = []
    for factor in (0.5, 1.0, 2.0):
        charged = factor * unit_cost * turnover + gap_risk(gamma) * squares
        found.append(cheapest(charged, widths**3, float(best**3 * factor)))
    middle = found[1]
    rows += [
        compare(
            "V23",
            "cheapest band found, constant gamma, over that of theory",
            1.0,
            middle.belief ** (1.0 / 3.0),
            relative=0.05,
            source=WHALLEY_WILMOTT,
        ),
        compare(
            "V23",
            "its cost over 3/4 of the cost per unit, squared speed and inverse width",
            1.0,
            middle.cost_usd / (0.75 * unit_cost / best),
            relative=0.03,
            standard_error=float(middle.charged_usd.std() / math.sqrt(walks) / middle.cost_usd),
            source=WHALLEY_WILMOTT,
        ),
    ]
    exponent, error = elasticity([found[0], found[2]], [0.5, 2.0])
    what = "elasticity of the lowest cost in the cost per dollar, constant gamma"
    rows.append(compare("V23", what, 2.0 / 3.0, exponent, relative=0.03, standard_error=error, source=WHALLEY_WILMOTT))
    searched = searches(quick)["proportional"]
    return rows + _formula_rows("V23", "cost per dollar", searched, FRACTIONS, WHALLEY_WILMOTT)


def _mixed_costs(quick: bool) -> list[Row]:
    """Bands of fixed and of mixed costs while gamma does not change."""
    fineness, walks, steps = (50, 16, 1_000_000) if quick else (80, 24, 4_000_000)
    gamma = at_the_money().gamma
    cases = [(0.01, 0.0), (0.01, 0.1), (0.001, 0.1)]
    edges, backs_to = np.array([no_trade_band(*case, gamma, RISK_AVERSION) for case in cases]).T
    deviation = float((edges - backs_to).min()) / fineness
    trades, turnover, squares = walk_gaps(edges, backs_to, walks, steps, deviation)
    rows = []
    for number, (fixed, unit_cost) in enumerate(cases):
        charged = (fixed * trades + unit_cost * turnover)[:, number] / deviation**2
        charged = charged + gap_risk(gamma) * squares[:, number]
        theory = gap_cost(fixed, unit_cost, gap_risk(gamma), edges[number], backs_to[number])
        rows.append(
            compare(
                "V24",
                f"cost of the band for {fixed:g} dollars a trade and {unit_cost:g} a unit, constant gamma, over theory",
                1.0,
                float(charged.mean() / theory),
                relative=0.03,
                standard_error=float(charged.std() / math.sqrt(walks) / theory),
                source=FIXED_COST,
            )
        )
    return rows


def _maturities(quick: bool) -> list[Row]:
    """Lowest cost of bands as a share of the option's value, at short and long expiry."""
    paths, steps, gas = (2_000, 2_880, 1e-3) if quick else (10_000, 2_880, 1e-3)
    believed = doublings(gas, gas)
    rows = []
    for days in (7, 180):
        years = days / 365.0
        found = cheapest(charge(hedge(paths, steps, bands(believed), years=years), gas_usd=gas), believed, gas)
        value = at_the_money(years).value
        rows.append(
            compare(
                "V24",
                f"lowest cost with gas of {gas:g} dollars over the option's value, {days} days",
                math.sqrt(RISK_AVERSION * gas / 3.0),
                found.cost_usd / value,
                relative=0.1,
                standard_error=float(found.charged_usd.std() / math.sqrt(paths) / value),
                source=FIXED_COST,
                note="theory is the limit of small gas, the same for every expiry and volatility",
            )
        )
    return rows


@target("V24")
def gas_of_hedging(quick: bool) -> list[Row]:
    """The cost of hedging grows with the root of gas for who chooses when to hedge, one to one for who does not."""
    option, searched = at_the_money(), searches(quick)
    gas = np.array(GAS_SHARES) * option.value
    paths = len(searched["clock"][0].charged_usd)
    spread = option.vega * VOLATILITY
    by_clock, by_band = searched["clock"], searched["band"]
    rows = []
    slope, error = elasticity(by_clock, gas)
    what = "elasticity of cost in gas, best clock"
    rows.append(compare("V24", what, 0.5, slope, absolute=0.03, standard_error=error, source=DERMAN_KAMAL))
    for first in (0, len(gas) - 2):
        slope, error = elasticity(by_band[first:], gas[first:])
        rows.append(
            compare(
                "V24",
                f"elasticity of cost in gas, best band, gas of {GAS_SHARES[first]:g} to {GAS_SHARES[-1]:g}",
                0.56,
                slope,
                absolute=0.06,
                standard_error=error,
                source=FIXED_COST,
                note="0.50 as gas goes to nothing, more where bands are wide; gas as a share of the option's value",
            )
        )
    fixed = hedge(2_000, 720, clocks(6))
    premiums = [float((charge(fixed, gas_usd=cost) - charge(fixed)).mean()) for cost in gas]
    slope = math.log(premiums[-1] / premiums[0]) / math.log(gas[-1] / gas[0])
    rows.append(compare("V24", "elasticity of cost beyond that without gas, fixed clock", 1.0, slope, absolute=0.02))
    slope, error = elasticity(searched["proportional"], FRACTIONS)
    what = "elasticity of cost in the cost per dollar traded, best band"
    rows.append(compare("V24", what, 2.0 / 3.0, slope, absolute=0.06, standard_error=error, source=WHALLEY_WILMOTT))
    least = by_clock[0]
    rows.append(
        compare(
            "V24",
            f"cost of the best clock, gas of {GAS_SHARES[0]:g} (dollars)",
            spread * math.sqrt(math.pi * RISK_AVERSION * gas[0] / 2.0),
            least.cost_usd,
            relative=0.05,
            standard_error=float(least.charged_usd.std() / math.sqrt(paths)),
            source=DERMAN_KAMAL,
            note="theory is the limit of many re-hedges; there are some three hundred",
        )
    )
    rows.append(
        compare(
            "V24",
            f"cost of the best band over that of the best clock, gas of {GAS_SHARES[0]:g}",
            math.sqrt(2.0 / (3.0 * math.pi)),
            by_band[0].cost_usd / least.cost_usd,
            absolute=0.05,
            source=FIXED_COST,
            note="theory is the limit of small gas",
        )
    )
    rows += _formula_rows("V24", "gas over the option's value", by_band, GAS_SHARES, FIXED_COST)
    return rows + _mixed_costs(quick) + _maturities(quick)
