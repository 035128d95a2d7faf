"""Where do faster blocks, and sooner finality, stop mattering?

One market on a chain whose gas per second is always the same and more than anybody wants, so that time alone is left.
The time between blocks goes from Ethereum's 12 s down to a microsecond. Three chains are told apart: a sequencer in one
place with agents all over the world; 24 validators all over the world, of whom two thirds have to agree on every
block; and a sequencer with everybody in the same place, where no network is left to wait for. On the first there is
the same market once more with leveraged traders, and a price that falls by a tenth in a minute: down to 10 ms only,
because those who watch marks may act in any block, so that none can be passed over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure

from blockspace.experiments.market import Market
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep
from blockspace.network.transaction import KINDS, PLACE

QUESTION = "Where do faster blocks, and sooner finality, stop mattering?"
SEEDS = 4
QUICK_SEEDS = 2
X = "block_time_s"
CHAIN = "chain"
TABLE = {
    X: "block\ntime s",
    CHAIN: "chain",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "depth_25bps_usd": "depth in\n25 bp $",
    "cost_bps": "cost of an\norder bp",
    "rent_lost_to_arbitrage_usd_per_h": "lost to\narbitrage $/h",
    "liquidation_delay_median_s": "liquidated\nafter s",
    "shortfall_usd": "shortfall\n$",
    "order_delay_median_s": "order in a\nblock after s",
    "hedging_error_bps": "hedge's\nerror bp",
    "final_after_s": "final\nafter s",
    "value_at_risk_usd": "traded and\nnot final $",
}

GAS_PER_SECOND = 8e11
"""So much that a block of a microsecond holds a market maker's whole ladder, and a liquidation."""

WORLD, COMMITTEE, ONE_PLACE, CRASHING = "sequencer", "24 validators", "all in one place", "sequencer, crash"

SECONDS = 3_600.0
CRASH_AT, CRASH_LASTS_S, CRASH = 0.75, 60.0, 0.9

LEVERAGED: Mapping[str, Any] = {
    "price.source": "script",
    "price.script": [[CRASH_AT * SECONDS, 1.0], [CRASH_AT * SECONDS + CRASH_LASTS_S, CRASH]],
    "margin.liquidations": True,
    "venue.oracle": "on_chain",
    "leveraged_traders.count": 400,
    "leveraged_traders.openings_per_h": 6.0,
    "leveraged_traders.long_share": 0.7,
    "leveraged_traders.leverage_mean": 10.0,
    "leveraged_traders.equity_mean_usd": 3_000.0,
    "liquidators.count": 4,
}

CHAINS: Mapping[str, Mapping[str, Any]] = {
    WORLD: {"topology.validators": 1},
    COMMITTEE: {"topology.validators": 24, "topology.home_validator_share": 0.0},
    ONE_PLACE: {"topology.validators": 1, "topology.latency_scale": 0.0},
    CRASHING: {"topology.validators": 1, **LEVERAGED},
}
BLOCK_TIMES_S: Mapping[str, tuple[float, ...]] = {
    WORLD: (12.0, 6.0, 2.0, 1.0, 0.25, 0.07, 0.01, 0.001, 1e-6),
    COMMITTEE: (12.0, 2.0, 0.25, 0.07),
    ONE_PLACE: (12.0, 2.0, 0.25, 0.07, 0.01),
    CRASHING: (12.0, 6.0, 2.0, 1.0, 0.25, 0.07, 0.01),
}
"""Validators who agree on every block cannot do so in less than it takes them to hear of each other."""

QUICK_BLOCK_TIMES_S: Mapping[str, tuple[float, ...]] = {
    WORLD: (12.0, 1.0, 0.07, 0.01),
    COMMITTEE: (12.0, 0.25),
    ONE_PLACE: (12.0, 0.25),
    CRASHING: (12.0, 1.0, 0.07),
}

SETTINGS: Mapping[str, Any] = {
    "name": "fast and final",
    "description": "a market on a chain with more gas per second than anybody wants",
    "duration_s": SECONDS,
    "warm_up_s": SECONDS / 2.0,
    "chain.byte_limit": 10**9,  # gas is to be the only limit
    "chain.mempool": "private",
    "chain.verification_ns_per_gas": 0.05,
    "chain.checkpoint_blocks": 1,
    "chain.final_checkpoints": 1,
    "fee_market": {"rule": "fixed", "base_fee_wei": 1_000_000, "wallet_tip_wei": 1_000_000},
    "background_users.arrivals_per_s": 2.0,
}


@dataclass(frozen=True)
class Lateness:
    """What a run says of orders that are late, and of trades that could still be undone.

    ``order_delay_median_s`` is from the decision of those who hold no place near the sequencer (noise and informed
    traders) to the block. ``hedging_error_bps`` is the root mean square move of the external price in that time: what a
    hedge misses that was right when it was decided. ``value_at_risk_usd`` is what changed hands in trades that were not
    final, averaged over time.
    """

    reads_tapes: ClassVar[bool] = True

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Measures of a finished run, behind its warm-up."""
        world = market.worlds[0]
        warm_up_s, end_s = world.scenario.warm_up_s, market.time
        tape = market.transactions()
        patient = np.concatenate([world.noise["account"], world.informed["account"]])
        orders = tape[(tape["kind"] == KINDS[PLACE]) & tape["sender"].isin(patient) & (tape["decided_s"] > warm_up_s)]
        moves = np.log(market.external_prices(orders["time_s"]) / market.external_prices(orders["decided_s"]))
        blocks = market.blocks()
        traded = blocks[(blocks["time_s"] > warm_up_s) & (blocks["volume_usd"] > 0)]
        final_s = np.array([1e-9 * world.chain.final_at_ns(round(1e9 * time)) for time in traded["time_s"]])
        at_risk = float((traded["volume_usd"] * (final_s - traded["time_s"])).sum())
        return {
            "order_delay_median_s": float((orders["time_s"] - orders["decided_s"]).median()),
            "hedging_error_bps": 1e4 * float(np.sqrt(np.mean(moves**2))) if len(orders) else math.nan,
            "value_at_risk_usd": at_risk / (end_s - warm_up_s),
        }


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every chain at its block times, the gas limit shrinking in proportion."""
    points = []
    for chain, times in (QUICK_BLOCK_TIMES_S if quick else BLOCK_TIMES_S).items():
        for block_time in times:
            overrides = {
                **CHAINS[chain],
                "chain.block_time_s": block_time,
                "chain.gas_limit": round(GAS_PER_SECOND * block_time),
            }
            points.append(Point(f"{chain}, {block_time:g} s", {X: block_time, CHAIN: chain}, overrides))
    scenario = load_scenario("ethereum-60m", SETTINGS)
    return Sweep(scenario, tuple(points), seeds, points[0].name, Lateness())


def _cases(results: Results) -> dict[str, list[str]]:
    """Points of every chain, from the longest block time to the shortest."""
    cases: dict[str, list[str]] = {}
    for point in results.study["points"]:
        cases.setdefault(point["values"][CHAIN], []).append(point["name"])
    return cases


def figure(results: Results) -> Figure:
    """Twelve panels over the time between blocks, a curve for each chain."""
    cases = _cases(results)

    def panel(title: str, unit: str, measure: str, factor: float = 1.0, **how: Any) -> Panel:
        curves = tuple(Curve(measure, chain, factor, points=points) for chain, points in cases.items())
        return Panel(title, unit, curves, **how)

    panels = [
        panel("Quoted spread, median", "basis points", "median_quoted_spread_bps"),
        panel("Depth within 25 bp", "thousand dollars", "depth_25bps_usd", 1e-3),
        panel("Cost of an order", "basis points of it", "cost_bps"),
        panel("Lost to arbitrage", "dollars per hour", "rent_lost_to_arbitrage_usd_per_h", log=True),
        panel("Orders in a block", "seconds from decision, median", "order_delay_median_s", log=True),
        panel("Error of a hedge", "basis points, root mean square", "hedging_error_bps", log=True),
        panel("Delay of a liquidation", "seconds, median", "liquidation_delay_median_s", log=True),
        panel("Shortfall in the crash", "thousand dollars", "shortfall_usd", 1e-3),
        panel("Unfilled orders", "per cent", "orders_unfilled_share", 100.0),
        panel("Quotes", "per hour", "quotes_per_h", log=True),
        panel("Final", "seconds from the block, mean", "final_after_s", log=True),
        panel("Traded and not yet final", "dollars, mean over time", "value_at_risk_usd", log=True),
    ]
    note = f"The price falls by {100 * (1 - CRASH):.0f} % in {CRASH_LASTS_S:g} s."
    return draw_page(results, QUESTION, X, "time between blocks, seconds", panels, note=note)


CLAIMS = (
    ("shorter blocks tighten spreads", False, "median_quoted_spread_bps", "The median quoted spread", "bp"),
    ("shorter blocks deepen books", True, "depth_25bps_usd", "Depth within 25 bp", "dollars"),
    ("shorter blocks make trading cheaper", False, "cost_bps", "The cost of an order", "bp"),
    (
        "shorter blocks leave less to arbitrage",
        False,
        "rent_lost_to_arbitrage_usd_per_h",
        "The loss",
        "dollars per hour",
    ),
    ("shorter blocks make hedges better", False, "hedging_error_bps", "The error of a hedge that is late", "bp"),
    ("sooner finality leaves less at risk", False, "value_at_risk_usd", "What is traded and not final", "dollars"),
)
CLAIMS_OF_CRASH = (
    ("shorter blocks make liquidations prompt", False, "liquidation_delay_median_s", "The median delay", "s"),
    ("shorter blocks protect from shortfalls", False, "shortfall_usd", "The shortfall in the crash", "dollars"),
)
"""What people say, whether it says that the measure rises, the measure, and what it is called."""


def findings(results: Results) -> list[str]:
    """Say which claims hold from 12 s down, where each is done, and what there is to gain below the network's delay."""
    cases = _cases(results)
    points = cases[WORLD]
    delay = results.curve("order_delay_median_s")["mean"]
    said = [
        f"Around the world half of the orders are in a block {format_number(delay[points[-1]])} s after they were "
        f"decided with blocks of {format_number(results.value(points[-1], X))} s, against "
        f"{format_number(delay[points[0]])} s with blocks of {format_number(results.value(points[0], X))} s."
    ]
    for claim, rising, measure, what, unit in CLAIMS:
        said.append(
            weigh(claim, rising, change(results, measure, what, unit, points)) + _below(results, measure, points)
        )
    for chain, others in cases.items():
        if chain != WORLD and len(others) > 1:
            lost = change(
                results, "rent_lost_to_arbitrage_usd_per_h", "The loss to arbitrage", "dollars per hour", others
            )
            at_risk = change(results, "value_at_risk_usd", "What is traded and not final", "dollars", others)
            said.append(
                f"{chain}: {change(results, 'cost_bps', 'The cost of an order', 'bp', others)} {lost} {at_risk}"
            )
    return said


def _below(results: Results, measure: str, points: list[str]) -> str:
    """What is left to gain from the first block time that is shorter than orders take anyway, to the shortest."""
    delay = results.curve("order_delay_median_s")["mean"]
    below = [point for point in points if results.value(point, X) < delay[point]]
    if len(below) < 2 or not {below[0], below[-1]} <= set(results.measurable(measure)):
        return ""
    apart = results.difference(measure, below[0], below[-1])
    ends = f"from {format_number(results.value(below[0], X))} s to {format_number(results.value(below[-1], X))} s"
    if not apart.is_clear:
        return f" Below the delay of the network, {ends}, nothing clearly changes any more."
    means = results.curve(measure)["mean"]
    return (
        f" Below the delay of the network, {ends}, it still goes from {format_number(means[below[0]])} to "
        f"{format_number(means[below[-1]])}."
    )
