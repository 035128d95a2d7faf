"""What does the same market become on each architecture?

One market, with its makers, traders, leveraged longs and makers of options, and the users of a rollup in 2026, moves
unchanged from Ethereum's main chain to bigger and to faster blocks, to rollups of both kinds, to a stack that keeps its
data apart, to a chain for one application, and to a sequencer with blocks of a millisecond. What is below a rollup is
Ethereum in January 2026, with users of its own. Three quarters into the run the price falls by a tenth in five minutes.

Nothing about an architecture is assigned. How long until nothing can be undone is counted on the blocks, votes, claims
and proofs of the run; who could stop or undo it is counted on the stakes of its topology and on who has to agree.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.points import PointPanel, draw_points
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does the same derivatives market become on each architecture?"
SEEDS = 4
QUICK_SEEDS = 2
X = "architecture"
TABLE = {
    X: "architecture",
    "gas_used_per_s": "gas used\nper s",
    "base_fee_gwei": "base fee\ngwei",
    "order_fee_usd": "an order's\nfee $",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "depth_25bps_usd": "depth in\n25 bp $",
    "cost_bps": "cost of an\norder bp",
    "rent_lost_to_arbitrage_usd_per_h": "lost to\narbitrage $/h",
    "rent_ordering_usd_per_h": "ordering\n$ per h",
    "option_spread_percent_of_mark": "options'\nspread %",
    "shortfall_usd": "shortfall\n$",
    "market_delay_median_s": "in a block\nafter s",
    "final_after_s": "final\nafter s",
    "parties_to_halt": "parties\nto halt",
    "parties_to_undo": "parties\nto undo",
}

ETHEREUM: Mapping[str, Any] = {"extends": "ethereum-with-blobs", "name": "ethereum"}
"""The parent of rollups, with the blobs of others; see the preset."""

SEQUENCER: Mapping[str, Any] = {
    "topology.validators": 1,
    "chain.mempool": "private",
    "chain.checkpoint_blocks": 1,
    "chain.final_checkpoints": 1,
    "fee_market.base_fee_recipient": "producer",
}

ROLLUP: Mapping[str, Any] = {
    **SEQUENCER,
    "chain.block_time_s": 2.0,
    "chain.gas_limit": 360_000_000,
    "fee_market.elasticity": 6,
    "fee_market.denominator": 50,
    "fee_market.minimum_base_fee_wei": 1_000_000,
    "fee_market.initial_base_fee_wei": 1_000_000,
    "fee_market.wallet_tip_wei": 1_000_000,
    "rollup.claim_interval_s": 900.0,
    "rollup.proofs.gas_per_s": 2e7,
}

STORAGE: Mapping[str, Any] = {
    "extends": "ethereum-60m",
    "name": "storage",
    "chain": {"block_time_s": 6.0, "gas_limit": 400_000_000, "checkpoint_blocks": 1, "final_checkpoints": 1},
    "fee_market": {"rule": "fixed", "base_fee_wei": 2_000_000, "wallet_tip_wei": 0},
    "topology": {"validators": 100},
    "background_users": {"arrivals_per_s": 2.0},
}
"""A chain that keeps data and does nothing else; sizes are round numbers of the order of Celestia's in 2025."""

ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "main chain": {},
    "blocks six times as big": {"chain.gas_limit": 360_000_000},
    "blocks six times as fast": {"chain.block_time_s": 2.0, "chain.gas_limit": 10_000_000},
    "optimistic rollup": {**ROLLUP, "rollup.kind": "optimistic", "chains": [ETHEREUM]},
    "validity rollup": {**ROLLUP, "rollup.kind": "validity", "chains": [ETHEREUM]},
    "modular stack": {
        **ROLLUP,
        "rollup.kind": "validity",
        "rollup.data": "calldata",
        "rollup.data_chain": "storage",
        "chains": [ETHEREUM, STORAGE],
    },
    "application chain": {
        "chain.block_time_s": 0.07,
        "chain.gas_limit": 35_000_000,
        "chain.verification_ns_per_gas": 1.0,
        "chain.mempool": "private",
        "chain.checkpoint_blocks": 1,
        "chain.final_checkpoints": 1,
        "topology.validators": 24,
        "topology.home_validator_share": 0.0,
        "fee_market": {"rule": "fixed", "base_fee_wei": 1_000_000, "wallet_tip_wei": 1_000_000},
    },
    "accelerated sequencer": {
        **SEQUENCER,
        "chain.block_time_s": 0.001,
        "chain.gas_limit": 20_000_000,
        "chain.verification_ns_per_gas": 0.05,
        "fee_market": {"rule": "fixed", "base_fee_wei": 1_000_000, "wallet_tip_wei": 1_000_000},
    },
}
"""What each is called, and its settings on top of Ethereum's main chain with the market."""

CRASH_AT, CRASH_LASTS_S, CRASH = 0.75, 300.0, 0.9

MARKET: dict[str, Any] = {
    "description": "one market with leverage and options, and users of block space",
    "background_users.value_gwei": 0.13,
    "margin.liquidations": True,
    "venue.oracle": "on_chain",
    "leveraged_traders.count": 400,
    "leveraged_traders.openings_per_h": 2.0,
    "leveraged_traders.long_share": 0.7,
    "leveraged_traders.leverage_mean": 10.0,
    "leveraged_traders.equity_mean_usd": 3_000.0,
    "liquidators.count": 4,
    "options.expiries_days": [7.0, 30.0],
    "options.strikes_per_expiry": 3,
    "option_makers.count": 2,
    "option_traders.count": 10,
}


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """The same market on every architecture."""
    seconds = 2_400.0 if quick else 7_200.0
    crash_at = CRASH_AT * seconds
    scenario = load_scenario(
        "ethereum-60m",
        {
            **MARKET,
            "name": "market",
            "duration_s": seconds,
            "warm_up_s": seconds / 4.0,
            "price.source": "script",
            "price.script": [[crash_at, 1.0], [crash_at + CRASH_LASTS_S, CRASH]],
        },
    )
    points = tuple(Point(name, {X: name}, settings) for name, settings in ARCHITECTURES.items())
    return Sweep(scenario, points, seeds, reference=points[0].name)


def figure(results: Results) -> Figure:
    """Fifteen panels with a row for each architecture."""
    panels = [
        PointPanel("Gas used", "million per second", "gas_used_per_s", 1e-6, log=True),
        PointPanel("Fee of an order", "dollars", "order_fee_usd", log=True),
        PointPanel("Volatility of the base fee", "standard deviation of its log", "base_fee_log_sd"),
        PointPanel("Quoted spread, median", "basis points", "median_quoted_spread_bps", log=True),
        PointPanel("Depth within 25 bp", "thousand dollars", "depth_25bps_usd", 1e-3, log=True),
        PointPanel("Cost of an order", "basis points of it", "cost_bps", log=True),
        PointPanel("Lost to arbitrage", "dollars per hour", "rent_lost_to_arbitrage_usd_per_h", log=True),
        PointPanel("Paid for a place", "dollars per hour", "rent_ordering_usd_per_h"),
        PointPanel("Spread of options", "per cent of their marks", "option_spread_percent_of_mark", log=True),
        PointPanel("Delay of a liquidation", "seconds, median", "liquidation_delay_median_s", log=True),
        PointPanel("Shortfall in a crash", "dollars", "shortfall_usd"),
        PointPanel("In a block", "seconds from decision, median", "market_delay_median_s", log=True),
        PointPanel("Final", "seconds from the block, mean", "final_after_s", log=True),
        PointPanel("Parties to halt", "number", "parties_to_halt", log=True),
        PointPanel("Parties to undo", "number", "parties_to_undo", log=True),
    ]
    return draw_points(results, QUESTION, panels)


def findings(results: Results) -> list[str]:
    """Say what each architecture does to the market, and what it costs in finality and in parties."""

    def against(name: str, measure: str, what: str, unit: str = "") -> Any:
        return change(results, measure, what, unit, ["main chain", name])

    said = []
    for name, claim in (
        ("blocks six times as big", "bigger blocks tighten spreads"),
        ("blocks six times as fast", "faster blocks of the same gas per second tighten spreads"),
        ("optimistic rollup", "an optimistic rollup tightens spreads"),
        ("validity rollup", "a validity rollup tightens spreads"),
        ("application chain", "a chain of its own tightens spreads"),
        ("accelerated sequencer", "blocks of a millisecond tighten spreads"),
    ):
        said.append(
            weigh(
                claim,
                False,
                against(name, "median_quoted_spread_bps", "The median quoted spread", "bp"),
                against(name, "cost_bps", "The cost of an order", "bp"),
            )
            + f" {against(name, 'rent_lost_to_arbitrage_usd_per_h', 'What is lost to arbitrage', 'dollars per hour')}"
        )
    said.append(
        weigh(
            "keeping data apart from the parent makes trading cheaper than a rollup on it",
            False,
            change(results, "order_fee_usd", "The fee of an order", "dollars", ["validity rollup", "modular stack"]),
        )
    )
    return [*said, _finality(results)]


def _finality(results: Results) -> str:
    """What each architecture gives up or gains in finality and in parties."""
    final, halt, undo = (
        results.curve(name)["mean"] for name in ("final_after_s", "parties_to_halt", "parties_to_undo")
    )
    parts = []
    for name in results.points:
        when = f"after {format_number(final[name])} s" if final[name] == final[name] else "not within the run"
        parts.append(f"{name}: final {when}, {format_number(halt[name])} to halt, {format_number(undo[name])} to undo")
    return "Finality, and the parties that it rests on: " + "; ".join(parts) + "."
