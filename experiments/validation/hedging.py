"""V20 to V24: what an option is worth, and what hedging it costs, where theory knows it.

One option is written at the money and hedged in a spot market without end; gas, or a fraction of what is traded, is paid
for each re-hedge, and the variance of what hedging misses costs ``RISK_AVERSION / 2`` per dollar squared. The best
clock and the best band for each cost are found by search among simulated ones, not by a formula; the formulas that
agents use, in :mod:`blockspace.agents.hedging`, are then compared with what the search has found.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from blockspace.agents.hedging import no_trade_band
from blockspace.experiments.validation import Row, compare, target
from blockspace.experiments.validation.hedging_paths import (
    RISK_AVERSION,
    SPOT_USD,
    VOLATILITY,
    YEARS,
    bands,
    clocks,
    hedge,
    walk_gaps,
)
from blockspace.markets.options.black_scholes import Greeks, price_option

DERMAN_KAMAL = "Derman and Kamal (1999)"
LELAND = "Leland (1985)"
WHALLEY_WILMOTT = "Whalley and Wilmott (1997)"
FIXED_COST = "Whalley and Wilmott (1999)"

GAS_SHARES = (4e-5, 1.6e-4, 6.4e-4, 2.56e-3)
"""Gas of a re-hedge as shares of the option's value."""

FRACTIONS = (5e-4, 1e-3, 2e-3, 4e-3)
"""Costs per dollar traded."""

OCTAVES = 3
"""A search goes so many doublings below the least and above the largest cost."""


def at_the_money(years: float = YEARS, volatility: float = VOLATILITY) -> Greeks:
    """Value and Greeks of the option that is written."""
    return price_option("call", SPOT_USD, SPOT_USD, years, volatility)


def textbook(years: float) -> dict[str, float]:
    """Value, delta, gamma and vega of the call at the money, by the formulas of Black and Scholes (1973)."""
    deviation = VOLATILITY * math.sqrt(years)
    density = norm.pdf(deviation / 2.0)
    return {
        "value": SPOT_USD * (2.0 * norm.cdf(deviation / 2.0) - 1.0),
        "delta": norm.cdf(deviation / 2.0),
        "gamma": density / (SPOT_USD * deviation),
        "vega": SPOT_USD * density * math.sqrt(years),
    }


def error_deviation(vega: float, rehedges: float) -> float:
    """Standard deviation of the error of so many re-hedges: ``sqrt(pi / 4) vega sigma / sqrt(N)``."""
    return math.sqrt(math.pi / 4.0) * vega * VOLATILITY / math.sqrt(rehedges)


def leland_volatility(fraction: float, rehedges: float) -> float:
    """Volatility at which an option pays for its hedging, at a cost of ``fraction`` for a sale and a purchase."""
    number = math.sqrt(2.0 / math.pi) * fraction / (VOLATILITY * math.sqrt(YEARS / rehedges))
    return VOLATILITY * math.sqrt(1.0 + number)


def gap_cost(fixed: float, unit_cost: float, risk: float, edge: float, back_to: float) -> float:
    """Cost per step of a band around a gap that moves by one unit a step; ``risk`` is per squared unit of gap."""
    between = edge * edge - back_to * back_to
    holding = risk * (edge * edge + back_to * back_to) / 6.0
    if between == 0.0:
        return unit_cost / (2.0 * edge) + holding
    return (fixed + unit_cost * (edge - back_to)) / between + holding


def deviation_with_error(errors: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviation of independent values, and its standard error."""
    deviation = float(errors.std())
    squares = (errors - errors.mean()) ** 2
    return deviation, float(squares.std()) / (2.0 * deviation * math.sqrt(len(errors)))


@target("V20")
def black_scholes(quick: bool) -> list[Row]:
    """Values and Greeks are those of the textbook, and calls and puts agree with each other."""
    rows = []
    for days in (7, 30, 180):
        ours = at_the_money(days / 365.0)._asdict()
        for name, theory in textbook(days / 365.0).items():
            what = f"{name} of a call at the money, {days} days"
            rows.append(compare("V20", what, theory, ours[name], relative=1e-6, source="Black and Scholes (1973)"))
    parity, identity = 0.0, 0.0
    for strike in np.geomspace(10.0, 1_000.0, 21 if quick else 201).tolist():
        for years in (1e-4, YEARS, 2.0):
            call, put = (price_option(kind, SPOT_USD, strike, years, VOLATILITY) for kind in ("call", "put"))
            parity = max(parity, abs(call.value - put.value - SPOT_USD + strike) / SPOT_USD)
            scaled = call.gamma * SPOT_USD**2 * VOLATILITY * years
            identity = max(identity, abs(scaled - call.vega) / SPOT_USD)
    rows.append(compare("V20", "put-call parity, largest deviation per dollar of spot", 0.0, parity, absolute=1e-10))
    what = "gamma S^2 sigma T less vega, largest per dollar of spot"
    rows.append(compare("V20", what, 0.0, identity, absolute=1e-10))
    return rows


@target("V21")
def discrete_hedging(quick: bool) -> list[Row]:
    """What hedging at intervals misses, what it trades, and how late execution adds to it."""
    paths = 50_000 if quick else 100_000
    option = at_the_money()
    rows = []
    for rehedges in (120, 480) if quick else (120, 480, 720):
        hedged = hedge(paths, rehedges, clocks(1))[:, 0]
        found, error = deviation_with_error(hedged["error_usd"])
        turnover = hedged["turnover_usd"]
        traded = math.sqrt(2.0 / math.pi * rehedges / YEARS) * VOLATILITY * YEARS * option.gamma * SPOT_USD**2
        for what, theory, value, deviation in (
            ("standard deviation of the error", error_deviation(option.vega, rehedges), found, error),
            ("traded", traded, turnover.mean(), turnover.std() / math.sqrt(paths)),
        ):
            what = f"{what} with {rehedges} re-hedges (dollars)"
            rows.append(
                compare(
                    "V21", what, theory, float(value), relative=0.03, standard_error=deviation, source=DERMAN_KAMAL
                )
            )
        mean, what = float(hedged["error_usd"].mean()), f"mean error with {rehedges} re-hedges (dollars)"
        rows.append(compare("V21", what, 0.0, mean, absolute=1e-3, standard_error=found / math.sqrt(paths)))
    on_time = hedge(paths, 480, clocks(2))["error_usd"][:, 0]
    for late in (1, 2, 4):
        errors = hedge(paths, 480, clocks(2), latency=late)["error_usd"][:, 0]
        rows.append(
            compare(
                "V21",
                f"its growth when execution is late by {late / 2:g} intervals",
                math.sqrt(1.0 + late),
                float(errors.std() / on_time.std()),
                relative=0.06,
                source="sqrt(1 + 2 latency / interval)",
            )
        )
    return rows


@target("V22")
def leland(quick: bool) -> list[Row]:
    """A hedger who pays a fraction of each trade breaks even at Leland's volatility."""
    paths, fraction = 20_000 if quick else 200_000, 0.002
    rows = []
    for rehedges in (30, 120):
        volatility = leland_volatility(fraction, rehedges)
        hedged = hedge(paths, rehedges, clocks(1), hedging_volatility=volatility)[:, 0]
        costs = fraction / 2.0 * hedged["turnover_usd"]
        profits = hedged["error_usd"] - costs
        add_on = at_the_money(volatility=volatility).value - at_the_money().value
        for what, theory, values, tolerance in (
            ("mean profit", 0.0, profits, 1e-4 * add_on),
            ("mean costs, which the premium covers", add_on, costs, 0.05 * add_on),
        ):
            rows.append(
                compare(
                    "V22",
                    f"{what}, {rehedges} re-hedges, 0.2 % a round trip (dollars)",
                    theory,
                    float(values.mean()),
                    absolute=round(tolerance, 6),
                    standard_error=float(values.std() / math.sqrt(paths)),
                    source=LELAND,
                )
            )
    return rows


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
    return least * 2.0 ** (np.arange(count) - OCTAVES)


def charge(hedged: npt.NDArray[Any], gas_usd: float = 0.0, fraction: float = 0.0) -> npt.NDArray[np.float64]:
    """Cost of each path (rows) under each policy (columns): gas, what trading costs, and the dislike of variance."""
    errors = hedged["error_usd"]
    risk = RISK_AVERSION / 2.0 * (errors - errors.mean(axis=0)) ** 2
    return gas_usd * hedged["trades"] + fraction * hedged["turnover_usd"] + risk


@cache
def searches(quick: bool) -> dict[str, list[Searched]]:
    """Cheapest clocks and bands for each gas and each fraction, on the same paths."""
    paths, steps = (4_000, 5_760) if quick else (20_000, 8_640)
    gas = np.array(GAS_SHARES) * at_the_money().value
    every = np.unique(np.round(steps / 1_440 * 2.0 ** np.arange(1.0, 8.6, 0.25)).astype(int))
    believed_gas = doublings(gas[0], gas[-1])
    believed_fractions = doublings(FRACTIONS[0], FRACTIONS[-1])
    policies = [clocks(every), bands(believed_gas), bands(0.0, believed_fractions)]
    hedged = hedge(paths, steps, np.concatenate(policies))
    by_clock, by_gas, by_fraction = np.split(hedged, np.cumsum([len(some) for some in policies])[:-1], axis=1)
    return {
        "clock": [cheapest(charge(by_clock, gas_usd=cost), every.astype(float), every[0]) for cost in gas],
        "band": [cheapest(charge(by_gas, gas_usd=cost), believed_gas, cost) for cost in gas],
        "proportional": [
            cheapest(charge(by_fraction, fraction=cost), believed_fractions, cost) for cost in FRACTIONS
        ],
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
    fineness, walks, steps = (50, 16, 2_000_000) if quick else (100, 24, 10_000_000)
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
    rows.append(
        compare("V23", what, 2.0 / 3.0, exponent, relative=0.03, standard_error=error, source=WHALLEY_WILMOTT)
    )
    searched = searches(quick)["proportional"]
    return rows + _formula_rows("V23", "cost per dollar", searched, FRACTIONS, WHALLEY_WILMOTT)


def _mixed_costs(quick: bool) -> list[Row]:
    """Bands of fixed and of mixed costs while gamma does not change."""
    fineness, walks, steps = (50, 16, 1_000_000) if quick else (100, 24, 8_000_000)
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
    rows.append(
        compare("V24", what, 2.0 / 3.0, slope, absolute=0.06, standard_error=error, source=WHALLEY_WILMOTT)
    )
    least = by_clock[0]
    rows.append(
        compare(
            "V24",
            f"cost of the best clock, gas of {GAS_SHARES[0]:g} (dollars)",
            spread * math.sqrt(math.pi * RISK_AVERSION * gas[0] / 2.0),
            least.cost_usd,
            relative=0.03,
            standard_error=float(least.charged_usd.std() / math.sqrt(paths)),
            source=DERMAN_KAMAL,
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
