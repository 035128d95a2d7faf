"""What does the gas per second of a chain do to a market on it?

One chain with Ethereum's slots and one population of users, traders and makers. Only the gas that a block can hold is
changed, from a thirty-second of what users demand to thirty-two times as much, so that scarcity is met on one side and
plenty on the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blockspace.experiments.recording.rows import SIZE_BUCKETS_USD
from blockspace.experiments.recording.summary import bucket_names
from blockspace.experiments.reports.figures import (
    ACTIVITY,
    COSTS,
    DEPTHS,
    POOL_LOSS,
    RENTS,
    SEARCHERS,
    SPREADS,
    Curve,
    Panel,
    draw_page,
)
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does a chain's gas per second do to a derivatives market on it?"
SEEDS = 16
QUICK_SEEDS = 8
TRADES_OF_A_MARKET_PER_H = 10
X = "gas_per_second_mgas"
TABLE = {
    X: "capacity\nMgas/s",
    "base_fee_gwei": "base fee\ngwei",
    "base_fee_log_sd": "log fee\nsd",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "effective_spread_bps": "effective\nspread bp",
    "cost_bps": "cost of an\norder bp",
    "trades_per_h": "trades\nper h",
    "balked_share": "users\nkept out",
    "arbitrage_profit_usd_per_h": "arbitrage\n$ per h",
    "rent_ordering_usd_per_h": "ordering\nrent $ per h",
    "POOL.loss_to_arbitrage_bps_per_day": "pool's loss\nbp per day",
}

POOL_BESIDE: Mapping[str, Any] = {
    "instruments": [{"name": "ETH-PERP"}, {"name": "ETH-SPOT", "kind": "spot", "share_of_traders": 1e-6}],
    "pools": [{"name": "POOL", "instrument": "ETH-SPOT", "fee_ppm": 500, "initial_liquidity_usd": 2e7}],
    "pool_arbitrageurs.count": 4,
    "swappers.count": 60,
    "swappers.orders_per_s": 0.2,
    "liquidity_providers.count": 4,
    "sandwichers.count": 3,
}
"""A pool beside the book of the perpetual future, with its own traders, providers, arbitrageurs and sandwichers."""


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Gas limits from 1/32 to 32 times the gas that users demand, a factor of two or of its root apart."""
    hours = 6 if quick else 16
    scenario = load_scenario("ethereum-30m", {"duration_s": hours * 3600.0, "warm_up_s": hours * 1800.0, **POOL_BESIDE})
    steps = np.arange(-4, 6.1, 1.0 if quick else 0.5)
    points = [_point(scenario, round(scenario.chain.gas_limit * 2.0**step)) for step in steps]
    return Sweep(scenario, tuple(points), seeds, reference=_point(scenario, scenario.chain.gas_limit).name)


def _point(scenario: Scenario, gas_limit: int) -> Point:
    capacity = gas_limit / scenario.chain.block_time_s / 1e6
    return Point(f"{format_number(capacity)} Mgas/s", {X: capacity}, {"chain.gas_limit": gas_limit})


def demand_mgas_per_s(scenario: Scenario) -> float:
    """Gas per second that background users would use if it cost nothing, in millions."""
    users = scenario.background_users
    return users.arrivals_per_s * users.gas_mean / 1e6


def figure(results: Results) -> Figure:
    """Twelve panels over gas per second."""
    alive = with_market(results)
    absent = len(alive) < len(results.points)
    sizes = [f"to {_dollars(end)}" for end in SIZE_BUCKETS_USD] + [f"above {_dollars(SIZE_BUCKETS_USD[-1])}"]
    # Of the smallest class there are too few orders for a curve.
    by_size = list(zip(bucket_names(), sizes, strict=True))[1:]
    panels = [
        Panel(
            "Spread",
            "basis points",
            SPREADS,
            log=True,
            points=alive,
        ),
        Panel(
            "Depth, mean of both sides",
            "thousand dollars",
            DEPTHS,
            ordered=True,
        ),
        Panel(
            "Cost of an order, by part",
            "basis points of the order",
            COSTS,
            points=alive,
        ),
        Panel(
            "Cost of an order, by its size",
            "basis points of the order",
            tuple(Curve(f"{bucket}.cost_bps", size) for bucket, size in by_size),
            log=True,
            ordered=True,
            points=alive,
        ),
        Panel(
            "Base fee",
            "gwei per gas",
            (
                Curve("base_fee_gwei", "mean"),
                Curve("base_fee_sd_gwei", "standard deviation"),
            ),
            log=True,
            floor=1e-3,
        ),
        Panel(
            "Relative volatility of the base fee",
            "standard deviation of its logarithm",
            (
                Curve("base_fee_log_sd", "level"),
                Curve("base_fee_step_sd", "step from block to block"),
            ),
        ),
        Panel(
            "Inclusion delay",
            "seconds from decision to block",
            (
                Curve("background_delay_median_s", "users, median"),
                Curve("background_delay_p95_s", "users, 95 % within"),
                Curve("market_delay_median_s", "market, median"),
                Curve("market_delay_p95_s", "market, 95 % within"),
            ),
        ),
        Panel(
            "Who gets paid",
            "dollars per hour",
            (
                Curve("burned_usd_per_h", "burned"),
                Curve("tips_usd_per_h", "tips"),
                Curve("gas_maker_usd_per_h", "makers' gas"),
                Curve("gas_noise_usd_per_h", "traders' gas"),
                Curve("gas_arbitrageur_usd_per_h", "arbitrageurs' gas"),
                Curve("arbitrage_profit_usd_per_h", "arbitrage profit"),
            ),
            log=True,
            floor=1.0,
        ),
        Panel(
            "Activity",
            "per hour",
            ACTIVITY,
            log=True,
        ),
        RENTS,
        SEARCHERS,
        POOL_LOSS,
    ]
    marks = {"demand": demand_mgas_per_s(results.scenario), "preset": results.scenario.gas_per_second / 1e6}
    note = f"Spreads and costs are shown where there are {TRADES_OF_A_MARKET_PER_H} trades an hour." if absent else ""
    return draw_page(results, QUESTION, X, "capacity of the chain, million gas per second", panels, marks, note)


def _dollars(amount: int) -> str:
    return f"${amount / 1000:g}k" if amount >= 1000 else f"${amount}"


def with_market(results: Results) -> list[str]:
    """Points at which there is a market worth the name; elsewhere there is no spread to speak of."""
    # Medians over seeds, since one lively run does not make a market.
    usual = results.runs.groupby("point")[["one_sided_share", "trades_per_h"]].median()
    exists = (usual["one_sided_share"] <= 0.5) & (usual["trades_per_h"] >= TRADES_OF_A_MARKET_PER_H)
    return [point for point in results.points if exists[point]]


def findings(results: Results) -> list[str]:
    """Say which usual claims hold, where they saturate, and what does not follow."""
    demand, alive = demand_mgas_per_s(results.scenario), with_market(results)
    target = 1 / results.scenario.fee_market.elasticity
    fee_sd = change(results, "base_fee_sd_gwei", "Its standard deviation", "gwei")
    log_fee_sd = change(results, "base_fee_log_sd", "The standard deviation of its logarithm")
    return [
        f"Users would use {format_number(demand)} Mgas/s if space cost nothing, and the fee rule aims at "
        f"{100 * target:.0f} % of capacity: up to {format_number(demand / target)} Mgas/s space is scarce.",
        *_where_there_is_none(results, alive),
        weigh("more capacity lowers fees", False, change(results, "base_fee_gwei", "The mean base fee", "gwei")),
        weigh("more capacity steadies fees in gwei", False, fee_sd),
        weigh("more capacity steadies fees in proportion", False, log_fee_sd),
        weigh(
            "more capacity tightens spreads",
            False,
            change(results, "median_quoted_spread_bps", "The median quoted spread", "bp", alive),
            change(results, "effective_spread_bps", "The effective spread", "bp", alive),
        ),
        weigh(
            "more capacity deepens books",
            True,
            change(results, "depth_25bps_usd", "Depth within 25 bp", "dollars"),
        ),
        weigh(
            "more capacity makes trading cheaper",
            False,
            change(results, "cost_bps", "The cost of an order", "bp", alive),
            change(results, "cost_gas_bps", "Gas in it", "bp", alive),
        ),
        weigh(
            "more capacity takes away what is paid for space",
            False,
            change(results, "fees_usd_per_h", "What everybody pays for it", "dollars per hour"),
        ),
        weigh(
            "more capacity takes away the profit of arbitrage",
            False,
            change(results, "arbitrage_profit_usd_per_h", "Before gas it", "dollars per hour", alive),
            change(results, "arbitrage_volume_share", "Its share of the volume", "", alive),
        ),
        weigh(
            "more capacity dilutes what is paid for a place in the block",
            False,
            change(results, "rent_ordering_usd_per_h", "Ordering rent", "dollars per hour"),
        ),
        weigh(
            "more capacity spares the providers of a pool",
            False,
            change(results, "POOL.loss_to_arbitrage_bps_per_day", "What they lose to arbitrage", "bp per day"),
        ),
        weigh(
            "more capacity shortens the wait",
            False,
            change(results, "background_delay_p95_s", "The 95th percentile of users' delays", "s"),
        )
        + " Whoever gets in waits for the next block, however large; the fee keeps the others out. "
        + str(change(results, "balked_share", "Their share")),
    ]


def _where_there_is_none(results: Results, alive: list[str]) -> list[str]:
    absent = [point for point in results.points if point not in alive]
    if not absent:
        return []
    below = absent == results.points[: len(absent)]
    where = f"up to {absent[-1]}" if below else f"at {', '.join(absent)}"
    return [
        f"Where gas is dear there is no market to speak of: {where} there are fewer than {TRADES_OF_A_MARKET_PER_H} "
        "trades an hour, or a side of the book is mostly empty. Spreads, costs and arbitrage are compared where there "
        "is one."
    ]
