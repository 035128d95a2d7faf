"""What does the time between blocks do to a market, if the gas per second stays the same?

The users and traders of Ethereum, on a chain with one sequencer. It holds 60 million gas per second: twelve
times what users demand, so that the fee stays at its floor and time alone is left to matter, and enough for a
block of 10 ms (600,000 gas) to hold a market maker's whole ladder and a trade or two. It cannot hold the few users
whose transactions are larger than that, who wait in vain.
"""

import math

from matplotlib.figure import Figure

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
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies.capacity import POOL_BESIDE
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does the time between blocks do to a derivatives market, at the same gas per second?"
SEEDS = 8
QUICK_SEEDS = 4
X = "block_time_s"
GAS_PER_SECOND = 60_000_000
BLOCK_TIMES_S = (12.0, 6.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
QUICK_BLOCK_TIMES_S = (12.0, 4.0, 1.0, 0.25, 0.05)
TABLE = {
    X: "block\ntime s",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "effective_spread_bps": "effective\nspread bp",
    "cost_bps": "cost of an\norder bp",
    "background_delay_median_s": "delay\nof users s",
    "arbitrage_volume_share": "arbitrage\nof volume",
    "arbitrage_profit_usd_per_h": "arbitrage\n$ per h",
    "quotes_per_h": "quotes\nper h",
    "POOL.loss_to_arbitrage_bps_per_day": "pool's loss\nbp per day",
}


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Block times from 12 s down, the gas limit shrinking in proportion."""
    hours = 1 if quick else 2
    scenario = load_scenario(
        "ethereum-30m",
        {
            "name": "one sequencer",
            "description": "the users and traders of Ethereum on a chain with one sequencer and space to spare",
            "duration_s": hours * 3600.0,
            "warm_up_s": hours * 1800.0,
            "chain.gas_limit": round(GAS_PER_SECOND * BLOCK_TIMES_S[0]),
            "chain.block_time_s": BLOCK_TIMES_S[0],
            "chain.byte_limit": 1_000_000_000,  # gas is to be the only limit
            "topology.validators": 1,
            "fee_market.initial_base_fee_wei": 1_000_000,
            **POOL_BESIDE,
        },
    )
    points = [
        Point(
            f"{block_time:g} s",
            {X: block_time},
            {"chain.block_time_s": block_time, "chain.gas_limit": round(GAS_PER_SECOND * block_time)},
        )
        for block_time in (QUICK_BLOCK_TIMES_S if quick else BLOCK_TIMES_S)
    ]
    return Sweep(scenario, tuple(points), seeds, reference=points[0].name)


def figure(results: Results) -> Figure:
    """Twelve panels over block time."""
    panels = [
        Panel(
            "Spread",
            "basis points",
            SPREADS,
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
        ),
        Panel(
            "Arbitrage profit before gas",
            "dollars per hour",
            (Curve("arbitrage_profit_usd_per_h", "profit"),),
            log=True,
        ),
        Panel("Arbitrage in the volume", "per cent", (Curve("arbitrage_volume_share", "share", 100.0),)),
        Panel(
            "Inclusion delay of users",
            "seconds from decision to block",
            (
                Curve("background_delay_median_s", "median"),
                Curve("background_delay_p95_s", "95th percentile"),
            ),
            log=True,
        ),
        Panel(
            "Activity",
            "per hour",
            ACTIVITY,
            log=True,
        ),
        Panel(
            "What the market pays for space",
            "dollars per hour",
            (
                Curve("gas_maker_usd_per_h", "makers"),
                Curve("gas_noise_usd_per_h", "traders"),
                Curve("gas_arbitrageur_usd_per_h", "arbitrageurs"),
            ),
            log=True,
            floor=0.01,
        ),
        Panel(
            "Failures",
            "per cent",
            (
                Curve("failed_share", "failed", 100.0),
                Curve("orders_unfilled_share", "unfilled orders", 100.0),
                Curve("one_sided_share", "empty side", 100.0),
            ),
        ),
    ]
    return draw_page(results, QUESTION, X, "time between blocks, seconds", [*panels, RENTS, SEARCHERS, POOL_LOSS])


def findings(results: Results) -> list[str]:
    """Say which usual claims hold, where latency takes over, and what does not follow."""
    last = results.points[-1]
    return [
        f"The chain holds {GAS_PER_SECOND / 1e6:g} Mgas/s throughout, so that space is never short; a block of "
        f"{last} holds {GAS_PER_SECOND * results.value(last, X):,.0f} gas.",
        weigh(
            "shorter blocks tighten spreads",
            False,
            change(results, "median_quoted_spread_bps", "The median quoted spread", "bp"),
            change(results, "effective_spread_bps", "The effective spread", "bp"),
        ),
        weigh(
            "shorter blocks take profit from arbitrage",
            False,
            change(results, "arbitrage_profit_usd_per_h", "Before gas it", "dollars per hour"),
            change(results, "arbitrage_volume_share", "Its share of the volume"),
        )
        + _powers(results, "arbitrage_profit_usd_per_h"),
        weigh(
            "shorter blocks spare the providers of a pool",
            False,
            change(results, "POOL.loss_to_arbitrage_bps_per_day", "What they lose to arbitrage", "bp per day"),
        )
        + _powers(results, "POOL.loss_to_arbitrage_bps_per_day"),
        weigh(
            "shorter blocks dilute what is paid for a place in the block",
            False,
            change(results, "rent_ordering_usd_per_h", "Ordering rent", "dollars per hour"),
        ),
        weigh("shorter blocks make trading cheaper", False, change(results, "cost_bps", "The cost of an order", "bp")),
        weigh(
            "shorter blocks mean faster trades",
            False,
            change(results, "background_delay_median_s", "The median delay of users", "s"),
        )
        + _floor_of_delay(results),
        weigh("shorter blocks deepen books", True, change(results, "depth_25bps_usd", "Depth within 25 bp", "dollars")),
    ]


def _powers(results: Results, measure: str) -> str:
    """With which power of the block time a measure moves, from each point to the next but one."""
    means = results.curve(measure)["mean"]
    points = [point for point in results.measurable(measure) if means[point] > 0]
    parts = []
    for first, second in zip(points[:-2:2], points[2::2], strict=False):
        power = math.log(means[first] / means[second]) / math.log(results.value(first, X) / results.value(second, X))
        parts.append(f"{format_number(power)} from {first} to {second}")
    return (
        f" It moves with the power {', '.join(parts)} of the block time, where the square root is 0.5." if parts else ""
    )


def _floor_of_delay(results: Results) -> str:
    delays = results.curve("background_delay_median_s")["mean"]
    bound = [
        point for point in results.measurable("background_delay_median_s") if delays[point] > results.value(point, X)
    ]
    if not bound:
        return ""
    return f" From {bound[0]} on it is longer than a block: what is waited for is the network, not the next block."
