"""What does a full chain do to liquidations when the price falls?

A rollup with one sequencer, who serves the first come first at a fixed fee, so that a full block means a queue. Crowded
longs hold leveraged positions, the price falls in five minutes, and users crowd in because it falls. Capacity is
counted in the gas that users demand in quiet times; in the steeper crash they come to demand five times as much. What
is swept is the crash, the leverage and the capacity; the oracle, the stops and the liquidators all wait in the same
queue.
"""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import linregress

from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies.capacity import demand_mgas_per_s
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does a full chain do to liquidations in a crash?"
SEEDS = 8
QUICK_SEEDS = 2
X = "capacity_per_demand"
CRASH, LEVERAGE = "crash_percent", "leverage"
TABLE = {
    X: "capacity,\ndemands",
    CRASH: "crash\n%",
    LEVERAGE: "mean\nleverage",
    "liquidations": "liqui-\ndations",
    "liquidation_delay_median_s": "delay s,\nmedian",
    "liquidation_delay_p95_s": "delay s,\n95 %",
    "shortfall_usd": "shortfall\n$",
    "shortfall_bps": "shortfall,\nbp liquidated",
    "deleveraged_accounts": "deleveraged\naccounts",
    "cascade_size_largest": "largest\ncascade",
    "worst_equity_usd": "worst\nequity $",
}

CASES = ((10.0, 5.0), (10.0, 10.0), (20.0, 5.0), (20.0, 10.0))
"""Crashes in per cent, and mean leverages."""

CAPACITIES = (1.25, 2.0, 4.0, 6.0, 8.0, 16.0)
QUICK_CAPACITIES = (2.0, 4.0, 6.0, 16.0)

BLOCK_TIME_S = 2.0
CRASH_AT_S, CRASH_LASTS_S = 5_400.0, 300.0
PATIENCE_S = 600.0

SETTINGS: dict[str, Any] = {
    "name": "crowded longs on a rollup",
    "description": "leveraged traders, most of them long, on a chain with one sequencer and a queue",
    "duration_s": 9_000.0,
    "warm_up_s": 3_600.0,
    "chain.block_time_s": BLOCK_TIME_S,
    "chain.ordering": "first_come_first_served",
    "topology.validators": 1,
    "fee_market": {"rule": "fixed", "base_fee_wei": 10**8, "wallet_tip_wei": 0},
    "background_users.patience_s": PATIENCE_S,
    "background_users.surge": 0.1,
    "endowment.cash_usd": 1e8,
    "market_makers.count": 8,
    "market_makers.position_limit": 300.0,
    "margin.liquidations": True,
    "margin.insurance_usd": 200_000.0,
    "venue.oracle": "on_chain",
    "oracle_keeper.patience_s": PATIENCE_S,
    "leveraged_traders.count": 1_500,
    "leveraged_traders.openings_per_h": 2.0,
    "leveraged_traders.long_share": 0.7,
    "leveraged_traders.equity_mean_usd": 3_000.0,
    "leveraged_traders.value_bps": 150.0,
    "leveraged_traders.patience_s": PATIENCE_S,
    "liquidators.count": 4,
    "liquidators.patience_s": PATIENCE_S,
}


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every case at every capacity."""
    scenario = load_scenario("ethereum-30m", SETTINGS)
    points = []
    for crash, leverage in CASES[-1:] if quick else CASES:
        for capacity in QUICK_CAPACITIES if quick else CAPACITIES:
            gas_limit = round(capacity * demand_mgas_per_s(scenario) * 1e6 * BLOCK_TIME_S)
            script = [[CRASH_AT_S, 1.0], [CRASH_AT_S + CRASH_LASTS_S, 1.0 - crash / 100.0]]
            overrides = {
                "chain.gas_limit": gas_limit,
                "leveraged_traders.leverage_mean": leverage,
                "price.source": "script",
                "price.script": script,
            }
            values = {X: capacity, CRASH: crash, LEVERAGE: leverage}
            points.append(Point(_name(crash, leverage, capacity), values, overrides))
    return Sweep(scenario, tuple(points), seeds, reference=points[-1].name)


def _name(crash: float, leverage: float, capacity: float) -> str:
    return f"-{crash:g} %, leverage {leverage:g}, {capacity:g} demands"


def _cases(results: Results) -> dict[str, list[str]]:
    """Points of every case, by its name."""
    cases: dict[str, list[str]] = {}
    for point in results.study["points"]:
        case = f"-{point['values'][CRASH]:g} %, leverage {point['values'][LEVERAGE]:g}"
        cases.setdefault(case, []).append(point["name"])
    return cases


def figure(results: Results) -> Figure:
    """Nine panels over capacity, a curve for each crash and leverage."""

    def panel(title: str, unit: str, measure: str, factor: float = 1.0, **how: Any) -> Panel:
        curves = tuple(Curve(measure, case, factor, points=points) for case, points in _cases(results).items())
        return Panel(title, unit, curves, **how)

    panels = [
        panel("Delay of a liquidation, median", "seconds", "liquidation_delay_median_s", log=True, floor=1.0),
        panel("Delay, 95 % within", "seconds", "liquidation_delay_p95_s", log=True, floor=1.0),
        panel("Shortfall", "thousand dollars", "shortfall_usd", 1e-3, log=True, floor=0.1),
        panel("Shortfall, in what is liquidated", "basis points", "shortfall_bps", log=True, floor=0.1),
        panel("Accounts deleveraged", "number", "deleveraged_accounts"),
        panel("Insurance fund at the end", "thousand dollars", "insurance_usd", 1e-3),
        panel("Liquidations", "number", "liquidations"),
        panel("Largest cascade", "liquidations", "cascade_size_largest"),
        panel("Worst equity of an account", "thousand dollars", "worst_equity_usd", 1e-3),
    ]
    marks = {"demand in a 20 % crash": _surged_demand(results)}
    return draw_page(results, QUESTION, X, "capacity of the chain, in what users demand in quiet times", panels, marks)


def _surged_demand(results: Results) -> float:
    """Demand while the price falls by 20 %, in what it is in quiet times: what the surge of users makes of the move."""
    scenario = results.scenario
    usual = scenario.price.volatility_per_day / math.sqrt(1_440.0)
    move = -math.log(0.8) * 60.0 / CRASH_LASTS_S
    return 1.0 + scenario.background_users.surge * (move / usual - 1.0)


def shortfall_exponent(results: Results, points: list[str]) -> tuple[float, float]:
    """Exponent of the power of the median delay that the shortfall follows best, and its standard error.

    Runs without liquidations or a shortfall have no logarithm and are left out; NaN if fewer than five are left.
    """
    runs = results.runs[results.runs["point"].isin(points)]
    runs = runs[(runs["shortfall_usd"] > 0) & (runs["liquidation_delay_median_s"] > 0)]
    if len(runs) < 5 or runs["liquidation_delay_median_s"].nunique() < 3:
        return math.nan, math.nan
    fit = linregress(np.log(runs["liquidation_delay_median_s"]), np.log(runs["shortfall_usd"]))
    return float(fit.slope), float(fit.stderr)


def findings(results: Results) -> list[str]:
    """Say what capacity does to delay, shortfall, deleveraging and cascades in each case."""
    said = [
        f"While the price falls by 20 % in five minutes, users demand {format_number(_surged_demand(results))} times "
        "what they demand in quiet times: below that capacity there is a queue, for all the same.",
    ]
    for case, points in _cases(results).items():
        said.append(
            f"{case}: "
            + weigh(
                "more capacity makes liquidations prompt",
                False,
                change(results, "liquidation_delay_median_s", "Their median delay", "s", points),
            )
            + " "
            + str(change(results, "shortfall_usd", "The shortfall", "dollars", points))
            + " "
            + str(change(results, "deleveraged_accounts", "The number of accounts deleveraged", "", points))
            + _growth(*shortfall_exponent(results, points))
        )
    return said


def _growth(exponent: float, error: float) -> str:
    """Say how the shortfall grows with the delay, if enough runs tell."""
    if math.isnan(exponent):
        return ""
    clearly = abs(exponent - 1.0) > 2.0 * error
    how = ("more than" if exponent > 1.0 else "less than") if clearly else "not clearly other than"
    return (
        f" Over its runs the shortfall goes as the power {exponent:.2f} (standard error {error:.2f}) of the median "
        f"delay, {how} in proportion."
    )
