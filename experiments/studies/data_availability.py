"""What does room for data do to the market on a rollup?

The market of a rollup as Base is in 2026, whose batches lie in Ethereum's blobs, in its calldata, or on a third chain
that sells nothing else. The blobs are those of the forks of 2024 to 2026. Other rollups want as many of them as the
largest fork targets, so that the smaller ones are contested; twice they want only what they do in 2026. What is posted
is compressed in batches, not at all, or as differences of state. Once the operator posts nothing for half an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blockspace.experiments.market import Market
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.points import PointPanel, draw_points
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does room for data do to the market on a rollup?"
SEEDS = 8
QUICK_SEEDS = 2
X = "data"
COMPRESSION, OTHERS = "compression", "others"
TABLE = {
    X: "data lie in",
    COMPRESSION: "compression",
    OTHERS: "other\nrollups",
    "posted_bytes_per_transaction": "bytes per\ntransaction",
    "blob_base_fee_gwei": "blob fee\ngwei",
    "blob_fee_log_sd": "sd of\nits log",
    "posting_usd_per_transaction": "posting,\n$ each",
    "order_fee_usd": "an order's\nfee $",
    "data_percent_of_order_fee": "data\nin it %",
    "posted_after_s": "posted\nafter s",
    "value_not_posted_usd": "traded and\nnot posted $",
    "balked_percent": "users who\nstay out %",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "depth_25bps_usd": "depth in\n25 bp $",
    "cost_bps": "cost of an\norder bp",
}

SECONDS, WARM_UP_S = 7_200.0, 3_600.0
CROWDED, AS_IN_2026, WITHHELD = "crowded", "as in 2026", "crowded, data withheld"
ARRIVALS_PER_S: Mapping[str, float] = {CROWDED: 0.6, AS_IN_2026: 0.055, WITHHELD: 0.6}
"""Postings of two blobs each that other rollups want to make: 14.4 blobs per slot, or 1.3."""

WITHHOLDING: Mapping[str, Any] = {"kind": "withholding", "start_s": 4_200.0, "duration_s": 1_800.0}

FORKS: Mapping[str, str] = {
    "blobs 3/6": "cancun",
    "blobs 6/9": "osaka",
    "blobs 10/15": "bpo1",
    "blobs 14/21": "bpo2",
}
"""Blobs targeted and held by a block, and the fork that says so."""

CALLDATA, APART = "calldata", "a third chain"
SMALL, LARGE = "blobs 3/6", "blobs 14/21"

STORAGE: Mapping[str, Any] = {
    "name": "storage",
    "chain": {
        "block_time_s": 6.0,
        "gas_limit": 67_108_864,
        "byte_limit": 8_388_608,
        "checkpoint_blocks": 1,
        "final_checkpoints": 1,
    },
    "fee_market": {"rule": "fixed", "base_fee_wei": 2_000_000_000, "wallet_tip_wei": 0},
    "topology": {"validators": 100},
    "price": {"initial_usd": 3_000.0},
    "venue": {"gas_token": "fixed", "gas_token_usd": 0.5},
    "background_users": {"arrivals_per_s": 0.5},
    **{name: {"count": 0} for name in ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")},
}
"""A chain that keeps data and does nothing else, as in the preset ``modular-stack``, with the prices of Celestia."""

CASES: tuple[tuple[str, str, str], ...] = (
    (CALLDATA, "batch", CROWDED),
    (SMALL, "none", CROWDED),
    (SMALL, "batch", CROWDED),
    (SMALL, "state_differences", CROWDED),
    ("blobs 6/9", "batch", CROWDED),
    ("blobs 10/15", "batch", CROWDED),
    (LARGE, "none", CROWDED),
    (LARGE, "batch", CROWDED),
    (LARGE, "state_differences", CROWDED),
    (APART, "batch", CROWDED),
    (SMALL, "batch", AS_IN_2026),
    (LARGE, "batch", AS_IN_2026),
    (LARGE, "batch", WITHHELD),
)
"""Where data lie, what of them is posted, and what others do."""

QUICK_CASES = tuple(CASES[number] for number in (2, 3, 7, 9, 12))


@dataclass(frozen=True)
class DataFees:
    """What data are in the fee of an order, who stays out, and how the price of blobs moves.

    Shares are in per cent: of what noise traders pay for space, and of users who arrive. ``blob_fee_log_sd`` is the
    standard deviation of the logarithm of the base fee of blobs over blocks of Ethereum, behind the warm-up.
    """

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Measures of a finished run."""
        meter, summary = market.worlds[0].records.since_warm_up(), market.summary()
        noise = ROLES.index("noise")
        paid = {
            name: float(meter[name]["gwei"][noise]) + 1e-9 * float(meter[name]["wei"][noise])
            for name in ("base_fees", "tips", "data_fees")
        }
        below = market.blocks(1)
        below = below[below["time_s"] > market.worlds[0].scenario.warm_up_s]
        return {
            "data_percent_of_order_fee": 100.0 * paid["data_fees"] / max(sum(paid.values()), 1e-9),
            "balked_percent": 100.0 * summary["balked_share"],
            "blob_base_fee_gwei": float(below["blob_base_fee_gwei"].mean()),
            "blob_fee_log_sd": float(np.log(below["blob_base_fee_gwei"]).std()),
        }


def name_of(data: str, compression: str, others: str) -> str:
    """What a case is called."""
    rest = "" if others == CROWDED else f", {others.removeprefix(f'{CROWDED}, ')}"
    return f"{data}, {compression.replace('_', ' ')}{rest}"


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every case on the same rollup."""
    scenario = load_scenario(
        "base-on-ethereum",
        {"name": "rollup", "duration_s": SECONDS, "warm_up_s": WARM_UP_S, "background_users.surge": 0.0},
    )
    points = []
    for data, compression, others in QUICK_CASES if quick else CASES:
        chain = {"blobs": FORKS.get(data, FORKS[LARGE]), "initial_blob_base_fee_wei": 15_000_000}
        ethereum = {
            "extends": "ethereum-with-blobs",
            "name": "ethereum",
            "chain": chain,
            "other_rollups": {"arrivals_per_s": ARRIVALS_PER_S[others]},
        }
        overrides: dict[str, Any] = {
            "rollup.posting.compression": compression,
            "rollup.data": "blobs" if data in FORKS else "calldata",
            "chains": [ethereum, STORAGE] if data == APART else [ethereum],
            "faults": [WITHHOLDING] if others == WITHHELD else [],
        }
        if data == APART:
            overrides |= {
                "rollup.parent": "ethereum",
                "rollup.data_chain": "storage",
                "rollup.posting.gas_per_byte": 8.0,
                "rollup.posting.fixed_gas": 65_000,
                "rollup.posting.batch_bytes": 500_000,
            }
        values = {X: data, COMPRESSION: compression, OTHERS: others}
        points.append(Point(name_of(data, compression, others), values, overrides))
    reference = next(point.name for point in points if point.values[X] == LARGE)
    return Sweep(scenario, tuple(points), seeds, reference, DataFees())


def figure(results: Results) -> Figure:
    """Twelve panels with a row for each case."""
    panels = [
        PointPanel("Posted", "bytes per transaction", "posted_bytes_per_transaction"),
        PointPanel("Base fee of blobs", "gwei", "blob_base_fee_gwei", log=True),
        PointPanel("Its volatility", "standard deviation of its log", "blob_fee_log_sd"),
        PointPanel("Posting", "thousandths of a dollar each", "posting_usd_per_transaction", 1e3, log=True),
        PointPanel("Fee of an order", "thousandths of a dollar", "order_fee_usd", 1e3, log=True),
        PointPanel("Data in the fee of an order", "per cent", "data_percent_of_order_fee"),
        PointPanel("Posted", "seconds from the block, mean", "posted_after_s", log=True),
        PointPanel("Traded and not yet posted", "thousand dollars", "value_not_posted_usd", 1e-3, log=True),
        PointPanel("Users who stay out", "per cent", "balked_percent"),
        PointPanel("Quoted spread, median", "basis points", "median_quoted_spread_bps"),
        PointPanel("Depth within 25 bp", "thousand dollars", "depth_25bps_usd", 1e-3),
        PointPanel("Cost of an order", "basis points of it", "cost_bps"),
    ]
    return draw_points(results, QUESTION, panels)


def findings(results: Results) -> list[str]:
    """Say what more room, compression, other places and silence do to fees, to delay and to the market."""
    known = set(results.points)

    def moved(points: list[str], measure: str, what: str, unit: str = "") -> Any:
        return change(results, measure, what, unit, points)

    small, large = (name_of(data, "batch", CROWDED) for data in (SMALL, LARGE))
    room = [name for data in FORKS if (name := name_of(data, "batch", CROWDED)) in known]
    said = [
        weigh(
            "more blobs make data cheap where others crowd in",
            False,
            moved(room, "blob_base_fee_gwei", "The base fee of blobs", "gwei"),
            moved(room, "data_percent_of_order_fee", "The share of data in the fee of an order", "%"),
        )
        + f" {moved(room, 'blob_fee_log_sd', 'The standard deviation of its log')}",
        weigh(
            "more blobs get batches posted sooner",
            False,
            moved(room, "posted_after_s", "The delay of posting", "s"),
        ),
        weigh(
            "more blobs make trading cheaper",
            False,
            moved(room, "cost_bps", "The cost of an order", "bp"),
            moved(room, "median_quoted_spread_bps", "The median quoted spread", "bp"),
        )
        + f" {moved(room, 'depth_25bps_usd', 'Depth within 25 bp', 'dollars')}",
    ]
    for data in (SMALL, LARGE):
        ends = [name_of(data, compression, CROWDED) for compression in ("none", "batch", "state_differences")]
        ends = [name for name in ends if name in known]
        if len(ends) > 1:
            said.append(
                f"{data}: "
                + weigh(
                    "compression makes orders cheaper",
                    False,
                    moved(ends, "order_fee_usd", "The fee of an order", "dollars"),
                )
                + f" {moved(ends, 'posted_bytes_per_transaction', 'What is posted', 'bytes per transaction')}"
                + f" {moved(ends, 'blob_base_fee_gwei', 'The base fee of blobs', 'gwei')}"
                + f" {moved(ends, 'cost_bps', 'The cost of an order', 'bp')}"
            )
    for data in (CALLDATA, APART):
        other = name_of(data, "batch", CROWDED)
        if other in known:
            posting = moved([large, other], "posting_usd_per_transaction", "Posting", "dollars each")
            said.append(
                f"{data} beside {LARGE}: {posting} "
                f"{moved([large, other], 'order_fee_usd', 'The fee of an order', 'dollars')} "
                f"{moved([large, other], 'posted_after_s', 'The delay of posting', 's')}"
            )
    for data, crowded in ((SMALL, small), (LARGE, large)):
        quiet = name_of(data, "batch", AS_IN_2026)
        if quiet in known:
            said.append(
                f"{data}, others who crowd in beside others as in 2026: "
                f"{moved([quiet, crowded], 'blob_base_fee_gwei', 'The base fee of blobs', 'gwei')} "
                f"{moved([quiet, crowded], 'order_fee_usd', 'The fee of an order', 'dollars')} "
                f"{moved([quiet, crowded], 'cost_bps', 'The cost of an order', 'bp')}"
            )
    return [*said, _silence(results, large, name_of(LARGE, "batch", WITHHELD))]


def _silence(results: Results, posted: str, withheld: str) -> str:
    """What it does that no data are posted for half an hour."""
    at_risk = change(results, "value_not_posted_usd", "What is traded and not posted", "dollars", [posted, withheld])
    cost = change(results, "cost_bps", "The cost of an order", "bp", [posted, withheld])
    minutes = format_number(WITHHOLDING["duration_s"] / 60.0)
    return f"Data withheld for {minutes} minutes: {at_risk} Nobody on the rollup waits for that: {cost}"
