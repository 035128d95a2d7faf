"""Does the system hold when everything happens at once?

The market of the study ``architectures`` on five of its architectures. The price falls by a fifth in ten minutes, users
crowd in because it falls, and just as it does something breaks for ten minutes: the sequencer stops where there is one,
and half of the world is cut off from the other half where there are validators everywhere. On the rollups it also
happens that the sequencer, when it comes back, has lost what it had not yet handed in for posting. Beside each run with
a fault stands one without it. Leverage is swept. What is asked is who loses what: debtors, those whose gains are taken
back to cover them, the insurance fund, and those whose trades are undone.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.points import PointPanel, draw_points
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies.architectures import ARCHITECTURES, MARKET
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "Does the system hold in a crash, a rush of users and a fault at once?"
SEEDS = 6
QUICK_SEEDS = 2
X, LEVERAGE, FAULT = "architecture", "leverage", "fault"
TABLE = {
    X: "architecture",
    LEVERAGE: "mean\nleverage",
    FAULT: "fault",
    "liquidations": "liqui-\ndations",
    "liquidation_delay_median_s": "delay s,\nmedian",
    "shortfall_usd": "shortfall\n$",
    "insurance_usd": "left in the\nfund $",
    "deleveraged_accounts": "accounts\ndeleveraged",
    "worst_equity_usd": "worst\nequity $",
    "orders_unfilled_share": "orders\nunfilled",
    "value_not_posted_usd": "not yet\nposted $",
    "undone_value_usd": "trades\nundone $",
    "undone_moved_usd": "moved by\nthat $",
    "final_after_s": "final\nafter s",
}

CRASH_AT_S, CRASH_LASTS_S, CRASH = 2_400.0, 600.0, 0.8
FAULT_AT_S, FAULT_LASTS_S = 2_406.0, 600.0
"""Half-way between two blocks of the main chain, where what a sequencer has not handed in is neither most nor least."""

LEVERAGES = (3.0, 10.0)

OUTAGE: Mapping[str, Any] = {"kind": "outage", "start_s": FAULT_AT_S, "duration_s": FAULT_LASTS_S}
LOST: Mapping[str, Any] = {**OUTAGE, "kind": "crash"}
PARTITION: Mapping[str, Any] = {
    "kind": "partition",
    "start_s": FAULT_AT_S,
    "duration_s": FAULT_LASTS_S,
    "regions": ["singapore", "tokyo", "sydney", "mumbai"],
}

OF_ROLLUPS: Mapping[str, Mapping[str, Any]] = {"sequencer stops": OUTAGE, "sequencer stops, blocks lost": LOST}
FAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "main chain": {"partition": PARTITION},
    "optimistic rollup": OF_ROLLUPS,
    "validity rollup": OF_ROLLUPS,
    "application chain": {"outage": OUTAGE},
    "accelerated sequencer": {"sequencer stops": OUTAGE},
}
"""What breaks on each, and what that is called."""


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every architecture without a fault and with each of its own, at each leverage."""
    scenario = load_scenario(
        "ethereum-60m",
        {
            **MARKET,
            "name": "market under stress",
            "duration_s": 4_200.0,
            "warm_up_s": 1_200.0,
            "price.source": "script",
            "price.script": [[CRASH_AT_S, 1.0], [CRASH_AT_S + CRASH_LASTS_S, CRASH]],
            "background_users.surge": 0.1,
            "option_makers.count": 0,
            "option_traders.count": 0,
            "options.expiries_days": [],
            "margin.insurance_usd": 100_000.0,
        },
    )
    points = []
    for name in list(FAULTS)[::2] if quick else FAULTS:
        for leverage in LEVERAGES[-1:] if quick else LEVERAGES:
            for fault in ("none", *FAULTS[name]):
                values = {X: name, LEVERAGE: leverage, FAULT: fault}
                overrides = {**ARCHITECTURES[name], "leveraged_traders.leverage_mean": leverage}
                overrides["faults"] = [] if fault == "none" else [FAULTS[name][fault]]
                points.append(Point(_name(name, leverage, fault), values, overrides))
    return Sweep(scenario, tuple(points), seeds, reference=points[0].name)


def _name(architecture: str, leverage: float, fault: str) -> str:
    return f"{architecture}, leverage {leverage:g}" + ("" if fault == "none" else f", {fault}")


def figure(results: Results) -> Figure:
    """Nine panels with a row for each case."""
    panels = [
        PointPanel("Liquidations", "number", "liquidations"),
        PointPanel("Delay of a liquidation", "seconds, median", "liquidation_delay_median_s", log=True),
        PointPanel("Shortfall", "thousand dollars", "shortfall_usd", 1e-3),
        PointPanel("Left in the insurance fund", "thousand dollars", "insurance_usd", 1e-3),
        PointPanel("Accounts deleveraged", "number", "deleveraged_accounts"),
        PointPanel("Unfilled orders", "per cent", "orders_unfilled_share", 100.0),
        PointPanel("Traded and not yet posted", "thousand dollars", "value_not_posted_usd", 1e-3),
        PointPanel("Moved by undoing blocks", "thousand dollars", "undone_moved_usd", 1e-3),
        PointPanel("Final", "seconds from the block, mean", "final_after_s", log=True),
    ]
    return draw_points(results, QUESTION, panels)


def findings(results: Results) -> list[str]:
    """Say for each architecture and leverage what the fault adds to the crash, and what lost blocks add to that."""
    cases: dict[tuple[str, float], list[str]] = {}
    for point in results.study["points"]:
        cases.setdefault((point["values"][X], point["values"][LEVERAGE]), []).append(point["name"])
    said = []
    for (name, leverage), (without, stopped, *lost) in cases.items():
        points = [without, stopped]
        said.append(
            f"{name}, leverage {leverage:g}: "
            + weigh(
                "the fault makes the crash costlier",
                True,
                change(results, "shortfall_usd", "The shortfall", "dollars", points),
            )
            + f" {change(results, 'deleveraged_accounts', 'The number of accounts deleveraged', '', points)}"
            + f" {change(results, 'liquidation_delay_median_s', 'The median delay of a liquidation', 's', points)}"
        )
        said += [_undone(results, stopped, point) for point in lost]
    return said


def _undone(results: Results, stopped: str, point: str) -> str:
    """Say what was undone at a point, what that was worth to those who gained by it, and what else it adds."""
    value, moved = (results.curve(measure).loc[point] for measure in ("undone_value_usd", "undone_moved_usd"))
    return (
        f"{point}: trades of {format_number(value['mean'])} dollars are undone, by which "
        f"{format_number(moved['mean'])} dollars (95 % interval {format_number(moved['low'])} to "
        f"{format_number(moved['high'])}) change their owner. "
        + str(change(results, "shortfall_usd", "The shortfall", "dollars", [stopped, point]))
    )
