"""What does it do to let trades wait, and to settle many of them together?

One market with leveraged longs, makers of options and desks that hedge them, on blocks of two seconds with the gas per
second of Ethereum in early 2024, and with four times as much. Its trades settle at once, by the clock, or once enough
of them wait. Whoever settles pays for the space, account by account and net; orders take less gas then. Three quarters
into the run the price falls by a tenth in five minutes.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import Change, change, format_interval, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep
from blockspace.markets.settings import GasSettings

QUESTION = "What does it do to settle trades later, and many of them together?"
SEEDS = 16
QUICK_SEEDS = 2
X = "wait"
CAPACITY, SETTLED = "capacity", "settled"
TABLE = {
    X: "every s,\nor trades",
    CAPACITY: "capacity",
    SETTLED: "settled",
    "gas_per_trade": "gas per\ntrade",
    "gas_usd_per_trade": "gas $\nper trade",
    "base_fee_gwei": "base fee\ngwei",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "depth_25bps_usd": "depth in\n25 bp $",
    "total_cost_bps": "cost of an\norder bp",
    "netting_percent": "netting\n%",
    "settlement_delay_median_s": "settled\nafter s",
    "margin_per_exposure_percent": "margin, %\nof risk",
    "delta_hedger_gap_share": "unhedged\nshare",
    "liquidation_delay_p95_s": "liquidated\nin s, 95 %",
    "total_shortfall_usd": "shortfall\n$",
}

AT_ONCE, TIMER, COUNT = "at once", "by the clock", "by count"
INTERVALS_S = (2.0, 10.0, 60.0, 300.0, 1_200.0, 3_600.0)
QUICK_INTERVALS_S = (10.0, 300.0)
TRADES = (10, 100, 1_000)
QUICK_TRADES = (20, 200)
BLOCK_TIME_S = 2.0
CAPACITIES = {"scarce": 5_000_000, "ample": 20_000_000}
"""Gas of a block."""

CRASH_LASTS_S, CRASH = 300.0, 0.9

SETTINGS: dict[str, Any] = {
    "name": "trades that wait",
    "description": "leverage, options and desks that hedge them, where trades settle at once or later",
    "chain.block_time_s": BLOCK_TIME_S,
    "fee_market.denominator": 48,
    "background_users.value_gwei": 4.0,
    "topology.validators": 1,
    "margin.liquidations": True,
    "margin.insurance_usd": 50_000.0,
    "venue.oracle": "on_chain",
    "leveraged_traders.count": 400,
    "leveraged_traders.openings_per_h": 3.0,
    "leveraged_traders.holding_mean_s": 3_600.0,
    "leveraged_traders.long_share": 0.7,
    "leveraged_traders.leverage_mean": 10.0,
    "leveraged_traders.equity_mean_usd": 10_000.0,
    "leveraged_traders.value_bps": 100.0,
    "liquidators.count": 4,
    "options.expiries_days": [0.25],
    "options.strikes_per_expiry": 3,
    "option_makers.count": 2,
    "option_traders.count": 5,
    "delta_hedgers.count": 8,
}


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """At once, by the clock and by count, on a chain with little space and on one with plenty."""
    seconds, warm_up = (4_000.0, 1_000.0) if quick else (11_400.0, 2_400.0)
    crash_at = 0.75 * seconds
    script = [[crash_at, 1.0], [crash_at + CRASH_LASTS_S, CRASH]]
    scenario = load_scenario(
        "ethereum-30m",
        {**SETTINGS, "duration_s": seconds, "warm_up_s": warm_up, "price.source": "script", "price.script": script},
    )
    ways: list[tuple[str, float, dict[str, Any]]] = [(AT_ONCE, 1.0, {})]
    for interval in QUICK_INTERVALS_S if quick else INTERVALS_S:
        ways.append((TIMER, interval, {"venue.settlement": "timer", "venue.settlement_interval_s": interval}))
    for trades in QUICK_TRADES if quick else TRADES:
        ways.append((COUNT, trades, {"venue.settlement": "count", "venue.settlement_trades": trades}))
    points = [
        Point(_name(capacity, how, wait), {CAPACITY: capacity, SETTLED: how, X: wait}, {"chain.gas_limit": gas, **rule})
        for capacity, gas in CAPACITIES.items()
        for how, wait, rule in ways
    ]
    return Sweep(scenario, tuple(points), seeds, reference=points[0].name)


def _name(capacity: str, how: str, wait: float) -> str:
    unit = {AT_ONCE: "", TIMER: f" every {wait:g} s", COUNT: f" of {wait:g} trades"}[how]
    return f"{capacity} space, settled {how}{unit}"


def complete(runs: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Return the runs with what settling adds to orders and shortfalls, and with what it comes to at once."""
    del quick
    scenario_margin = 100.0 * load_scenario("ethereum-30m", SETTINGS).instruments[0].initial_margin
    at_once = runs["point"].str.contains(f"settled {AT_ONCE}")
    without_delay = {
        "netting_percent": 0.0,
        "settlement_delay_median_s": 0.0,
        "settlement_delay_p95_s": 0.0,
        "settlement_gas_per_trade": 0.0,
        "settlement_gas_usd_per_trade": 0.0,
        "settlement_cost_bps": 0.0,
        "settlement_percent_of_gas": 0.0,
        "settlement_shortfall_usd": 0.0,
        "unsettled_usd": 0.0,
        "margin_per_exposure_percent": scenario_margin,
    }
    measures = ("order_fee_usd", "cost_bps", "shortfall_usd")
    known = runs.reindex(columns=[*without_delay, *measures]).astype(float)
    for name, value in without_delay.items():
        known.loc[at_once, name] = value
    gas = GasSettings()
    of_order = np.where(at_once, gas.place, gas.place - gas.settle_at_once)
    return runs.assign(
        **{name: known[name] for name in without_delay},
        gas_per_trade=of_order + known["settlement_gas_per_trade"],
        gas_usd_per_trade=known["order_fee_usd"] + known["settlement_gas_usd_per_trade"],
        total_cost_bps=known["cost_bps"] + known["settlement_cost_bps"],
        total_shortfall_usd=known["shortfall_usd"] + known["settlement_shortfall_usd"],
    )


def _cases(results: Results) -> dict[tuple[str, str], list[str]]:
    """Points by capacity and by what makes trades settle, that at once first in each."""
    cases: dict[tuple[str, str], list[str]] = {}
    for capacity in CAPACITIES:
        for how in (TIMER, COUNT):
            cases[capacity, how] = [
                point["name"]
                for point in results.study["points"]
                if point["values"][CAPACITY] == capacity and point["values"][SETTLED] in (AT_ONCE, how)
            ]
    return cases


def figure(results: Results) -> Figure:
    """Fifteen panels over how long, or how many, trades wait; a curve for each capacity and each way."""

    def panel(title: str, unit: str, measure: str, factor: float = 1.0, **how: Any) -> Panel:
        cases = _cases(results).items()
        curves = [Curve(measure, f"{capacity}, {way}", factor, points=points) for (capacity, way), points in cases]
        return Panel(title, unit, tuple(curves), **how)

    panels = [
        panel("Gas of a trade, order and settlement", "thousand", "gas_per_trade", 1e-3),
        panel("The same in money", "dollars", "gas_usd_per_trade", log=True),
        panel("Base fee", "gwei", "base_fee_gwei", log=True),
        panel("Quoted spread, median", "basis points", "median_quoted_spread_bps"),
        panel("Depth within 25 bp", "thousand dollars", "depth_25bps_usd", 1e-3),
        panel("Cost of an order, settlement included", "basis points", "total_cost_bps"),
        panel("Netting", "% of the value traded", "netting_percent"),
        panel("Settled", "seconds after the trade, median", "settlement_delay_median_s", log=True, floor=1.0),
        panel("Settlement's share of gas used", "%", "settlement_percent_of_gas"),
        panel("Value that waits, mean", "million dollars", "unsettled_usd", 1e-6, log=True, floor=1e-3),
        panel("Margin demanded", "% of positions at risk", "margin_per_exposure_percent"),
        panel("Options' delta without hedge", "share", "delta_hedger_gap_share"),
        panel("Delay of a liquidation", "seconds, 95 % within", "liquidation_delay_p95_s", log=True, floor=1.0),
        panel("Shortfall", "thousand dollars", "total_shortfall_usd", 1e-3),
        panel("Trades", "per hour", "trades_per_h"),
    ]
    note = f"1 stands for settlement at once. The price falls by {100 * (1 - CRASH):.0f} % in {CRASH_LASTS_S:g} s"
    return draw_page(results, QUESTION, X, "seconds between settlements, or trades in one", panels, note=note)


def findings(results: Results) -> list[str]:
    """Say what waiting saves and what it costs, by capacity and way, and where a trade is cheapest."""
    said = []
    for (capacity, how), points in _cases(results).items():

        def over(measure: str, what: str, unit: str = "", names: list[str] = points) -> Change:
            return change(results, measure, what, unit, names)

        def later(measure: str, what: str, unit: str = "", names: list[str] = points[1:]) -> Change:
            return change(results, measure, what, unit, names)

        at = f"{capacity.capitalize()} space, {how}"
        claims = [
            weigh(
                "settling later saves gas",
                False,
                over("gas_per_trade", "The gas of a trade, order and settlement,"),
                over("gas_usd_per_trade", "What it costs", "dollars"),
            ),
            weigh("it makes trading cheaper", False, over("total_cost_bps", "The cost of an order", "bp")),
            weigh("waiting longer makes trading dearer", True, later("total_cost_bps", "The cost of an order", "bp")),
            weigh("it ties up capital", True, later("margin_per_exposure_percent", "Margin", "% of what is at risk")),
            weigh("hedges come late", True, later("delta_hedger_gap_share", "The share of delta without hedge")),
            weigh("liquidations come late", True, later("liquidation_delay_p95_s", "Their delay, 95 % within,", "s")),
            weigh("they leave debts", True, later("total_shortfall_usd", "The shortfall", "dollars")),
        ]
        said.append(f"{at}: " + " ".join(claims))
        said.append(f"{at}: " + _cheapest(results, points))
    return said


def _cheapest(results: Results, points: list[str]) -> str:
    """Where an order costs least, and whether that is clearly less than at either end."""
    means = results.curve("total_cost_bps")["mean"].loc[points].dropna()
    best = str(means.idxmin())
    sentence = f"an order costs least, {format_number(means[best])} bp, {best.split(', ')[1]}"
    verdicts = []
    for end in dict.fromkeys((points[0], points[-1])):
        if end != best:
            apart = results.difference("total_cost_bps", end, best)
            clear = "clearly" if apart.is_clear else "not clearly"
            verdicts.append(f"{clear} less than {end.split(', ')[1]} ({format_interval(apart)} bp)")
    inside = best not in (points[0], points[-1])
    return f"{sentence}, {' and '.join(verdicts)}: {'inside the range' if inside else 'at its end'}."
