"""Who should order the block?

One market on a chain with one sequencer and the users of Ethereum, under each way of ordering a block, at three
capacities: half the gas that users demand, twice as much (what the fee rule aims at then just holds them), and eight
times as much. There is a perpetual future on an order book, and a pool with its own traders, providers, arbitrageurs
and sandwichers. The seeds are the same everywhere, so that all see the same prices, users and arrivals.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import Change, change, format_interval, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies.capacity import POOL_BESIDE, demand_mgas_per_s
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "Who gets what, under each way of ordering a block?"
SEEDS = 8
QUICK_SEEDS = 3
X = "gas_per_second_mgas"
POLICY = "ordering"
TABLE = {
    X: "capacity\nMgas/s",
    POLICY: "ordering",
    "rent_congestion_usd_per_h": "congestion\n$ per h",
    "rent_ordering_usd_per_h": "ordering\n$ per h",
    "rent_lost_to_arbitrage_usd_per_h": "lost to\narbitrage $",
    "rent_searchers_usd_per_h": "kept by\nsearchers $",
    "POOL.loss_to_arbitrage_bps_per_day": "pool's loss\nbp per day",
    "POOL.sandwich_rate": "swaps\nsandwiched",
    "rent_lost_to_sandwiches_usd_per_h": "lost to\nsandwiches $",
    "spam_share_of_gas": "spam in\nthe gas",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "cost_bps": "cost of an\norder bp",
}

POLICIES: Mapping[str, Mapping[str, Any]] = {
    "priority fee": {},
    "protected": {"chain.revert_protection": True},
    "builders": {"builders.count": 5, "builders.exclusive_share": 0.2},
    "encrypted": {"chain.mempool": "encrypted"},
    "first come": {"chain.ordering": "first_come_first_served"},
    "express lane": {"chain.ordering": "first_come_first_served", "express_lane.round_s": 60.0},
    "random": {"chain.ordering": "random_order"},
    "cancels first": {"chain.ordering": "cancels_first"},
    "batch": {"venue.matching": "batch"},
}
"""What each is called in the study, and its settings.

``protected`` is the priority fee with revert protection, ``encrypted`` the priority fee on transactions that nobody can
read before they are ordered, and the ``express lane`` goes past those who are served first come, first served.
"""

CAPACITIES = (0.5, 2.0, 8.0)
"""In the gas that users demand; policies are compared at the middle one."""

BLOCK_TIME_S = 2.0


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every policy at every capacity."""
    hours = 2 if quick else 4
    scenario = load_scenario(
        "ethereum-30m",
        {
            "name": "one sequencer",
            "description": "the users and traders of Ethereum on a chain with one sequencer",
            "duration_s": hours * 3600.0,
            "warm_up_s": hours * 1800.0,
            "chain.block_time_s": BLOCK_TIME_S,
            "topology.validators": 1,
            "fee_market.initial_base_fee_wei": 10**9,
            "price.jumps_per_day": 500.0,
            **POOL_BESIDE,
        },
    )
    demand = demand_mgas_per_s(scenario)
    points = []
    for policy, settings in POLICIES.items():
        for factor in CAPACITIES:
            capacity = factor * demand
            values = {X: capacity, POLICY: policy}
            overrides = {"chain.gas_limit": round(capacity * BLOCK_TIME_S * 1e6), **settings}
            points.append(Point(_name(policy, capacity), values, overrides))
    return Sweep(scenario, tuple(points), seeds, reference=_name("priority fee", CAPACITIES[1] * demand))


def _name(policy: str, capacity: float) -> str:
    return f"{policy}, {format_number(capacity)} Mgas/s"


def _points_of(results: Results, policy: str) -> list[str]:
    return [point["name"] for point in results.study["points"] if point["values"][POLICY] == policy]


def _by_policy(results: Results, measure: str, factor: float = 1.0) -> tuple[Curve, ...]:
    """A curve for each policy."""
    return tuple(Curve(measure, policy, factor, points=_points_of(results, policy)) for policy in POLICIES)


def figure(results: Results) -> Figure:
    """Twelve panels over capacity, a curve for each policy."""

    def panel(title: str, unit: str, measure: str, factor: float = 1.0, **how: Any) -> Panel:
        return Panel(title, unit, _by_policy(results, measure, factor), **how)

    panels = [
        panel("Congestion rent", "dollars per hour", "rent_congestion_usd_per_h", log=True, floor=1.0),
        panel("Ordering rent", "dollars per hour", "rent_ordering_usd_per_h"),
        panel("Kept by searchers, net of gas", "dollars per hour", "rent_searchers_usd_per_h"),
        panel("Lost to arbitrage", "dollars per hour", "rent_lost_to_arbitrage_usd_per_h"),
        panel("Lost to arbitrage by the pool", "bp of its value per day", "POOL.loss_to_arbitrage_bps_per_day"),
        panel("Swaps that are sandwiched", "per cent", "POOL.sandwich_rate", 100.0),
        panel("Lost to sandwiches", "dollars per hour", "rent_lost_to_sandwiches_usd_per_h"),
        panel("Tips that reach the proposer", "dollars per hour", "rent_tips_usd_per_h", log=True, floor=1.0),
        panel("Spam in the gas used", "per cent", "spam_share_of_gas", 100.0),
        panel("Quoted spread, median", "basis points", "median_quoted_spread_bps", log=True),
        panel("Cost of an order", "basis points of the order", "cost_bps", log=True),
        panel("Copies of a searcher's order", "number", "copies_per_try"),
    ]
    marks = {"demand": demand_mgas_per_s(results.scenario)}
    return draw_page(results, QUESTION, X, "capacity of the chain, million gas per second", panels, marks)


def _against_priority_fee(results: Results, policy: str, measure: str, what: str, unit: str = "") -> Change:
    """How a measure differs between the priority fee and another policy at the middle capacity."""
    points = [_points_of(results, name)[1] for name in ("priority fee", policy)]
    return change(results, measure, what, unit, points)


def findings(results: Results) -> list[str]:
    """Say what each policy does to rents, spreads and spam, and what capacity does to them."""
    fees, first = _points_of(results, "priority fee"), _points_of(results, "first come")

    def against(policy: str, measure: str, what: str, unit: str = "") -> Change:
        return _against_priority_fee(results, policy, measure, what, unit)

    return [
        f"Users would use {format_number(demand_mgas_per_s(results.scenario))} Mgas/s if space cost nothing. Policies "
        "are compared with the priority fee where the chain holds twice that.",
        weigh(
            "more capacity takes away congestion rent",
            False,
            change(results, "rent_congestion_usd_per_h", "Under the priority fee it", "dollars per hour", fees),
        ),
        weigh(
            "more capacity takes away ordering rent",
            False,
            change(results, "rent_ordering_usd_per_h", "Under the priority fee it", "dollars per hour", fees),
        ),
        weigh(
            "more capacity brings more spam where the first come is served first",
            True,
            change(results, "spam_share_of_gas", "Spam's share of the gas used", "", first),
            change(results, "copies_per_try", "The number of copies of an order", "", first),
        ),
        weigh(
            "first come, first served leaves searchers more than an auction of tips",
            True,
            against("first come", "rent_searchers_usd_per_h", "What they keep", "dollars per hour"),
        ),
        weigh(
            "revert protection takes profit from searchers",
            False,
            against("protected", "rent_searchers_usd_per_h", "What they keep", "dollars per hour"),
        ),
        weigh(
            "cancellations that go first take the rent of arbitrage away",
            False,
            against("cancels first", "rent_lost_to_arbitrage_usd_per_h", "What is lost to it", "dollars per hour"),
        )
        + " "
        + str(against("cancels first", "median_quoted_spread_bps", "The median quoted spread", "bp")),
        weigh(
            "batches at one price take the rent of arbitrage away",
            False,
            against("batch", "rent_lost_to_arbitrage_usd_per_h", "What is lost to it", "dollars per hour"),
        )
        + " "
        + str(against("batch", "cost_bps", "The cost of an order", "bp")),
        weigh(
            "pending transactions that nobody can read end sandwiches",
            False,
            against("encrypted", "POOL.sandwich_rate", "The share of swaps that are sandwiched"),
            against("first come", "POOL.sandwich_rate", "Where the first come is served first it"),
        ),
        weigh(
            "builders who take bundles make sandwiches more frequent",
            True,
            against("builders", "POOL.sandwich_rate", "The share of swaps that are sandwiched"),
        ),
        weigh(
            "an auctioned express lane takes profit from searchers",
            False,
            change(
                results,
                "rent_searchers_usd_per_h",
                "What they keep",
                "dollars per hour",
                [first[1], _points_of(results, "express lane")[1]],
            ),
        ),
        weigh(
            "the order of arrival spares the providers of a pool",
            False,
            against("first come", "POOL.loss_to_arbitrage_bps_per_day", "What they lose to arbitrage", "bp per day"),
        ),
        _largest_difference(results),
    ]


def _largest_difference(results: Results) -> str:
    """Which policy makes orders cheapest at the middle capacity, against the priority fee."""
    costs = results.curve("cost_bps")["mean"]
    cheapest = min(POLICIES, key=lambda policy: costs[_points_of(results, policy)[1]])
    point, reference = (_points_of(results, policy)[1] for policy in (cheapest, "priority fee"))
    apart = results.difference("cost_bps", reference, point)
    return (
        f"Orders are cheapest under {cheapest}: {format_number(costs[point])} bp, against "
        f"{format_number(costs[reference])} bp under the priority fee (difference {format_number(apart.mean)}, 95 % "
        f"interval {format_interval(apart)})."
    )
