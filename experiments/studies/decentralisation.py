"""What does capacity cost in decentralisation, and what does the market get for it?

A chain as Ethereum is in 2026, but with fewer and larger transactions that stand for ten each, and with 300 validators,
half of them at home, who pass on blocks to eight peers each. Its gas per second goes up by two ways: larger blocks, or
the same blocks more often, by a deadline that is always a third of the slot. A block that less than two fifths of the
stake have by then is missed. Every half hour validators ask themselves whether it still pays. Demand is elastic and
four times what the largest chain is meant to carry.

Prices of machines and lines are round figures, and stakes are small enough that they matter: what can be read off is
the shape, who goes first and when.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blockspace.experiments.market import Market
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Point, Sweep
from blockspace.network.decentralisation import decentralisation_measures
from blockspace.network.topology import nodes_of_kind

QUESTION = "What does capacity cost in decentralisation, and what does the market get for it?"
SEEDS = 12
QUICK_SEEDS = 2
X = "capacity_mgas_per_s"
WAY = "way"
TABLE = {
    X: "capacity\nMgas/s",
    WAY: "by",
    "validators_that_keep_up_percent": "keep\nup %",
    "slots_missed_percent": "slots\nmissed %",
    "home_slots_missed_percent": "made at\nhome %",
    "validators_active": "valid-\nators",
    "home_stake_percent": "stake at\nhome %",
    "validator_nakamoto_half": "more than\nhalf",
    "validator_gini": "Gini,\nstake",
    "validator_hhi": "HHI,\nstake",
    "profit_hhi": "HHI,\nprofit",
    "gas_used_per_s": "gas used\nper s",
    "base_fee_gwei": "base fee\ngwei",
    "median_quoted_spread_bps": "quoted\nspread bp",
    "depth_25bps_usd": "depth in\n25 bp $",
    "cost_bps": "cost of an\norder bp",
}

AS_IT_IS, LARGER, FASTER = "as it is", "larger blocks", "faster blocks"
FACTORS: Mapping[str, tuple[int, ...]] = {AS_IT_IS: (1,), LARGER: (2, 4, 6, 8, 12, 16), FASTER: (2, 4, 6, 8, 12)}
QUICK_FACTORS: Mapping[str, tuple[int, ...]] = {AS_IT_IS: (1,), LARGER: (4, 16), FASTER: (4,)}
LARGEST = 16
BLOCK_TIME_S, GAS_LIMIT = 12.0, 60_000_000
DEADLINE_SHARE = 1.0 / 3.0
BYTES_PER_GAS = 0.0025
"""Of users' transactions: 250 bytes in 100,000 gas."""

GAS_OF_USERS = 1_000_000

SETTINGS: Mapping[str, Any] = {
    "name": "capacity and validators",
    "description": "a market on a chain whose validators stay as long as it pays",
    "duration_s": 7_200.0,
    "warm_up_s": 3_600.0,
    "chain.verification_ns_per_gas": 1.0,
    "topology.validators": 300,
    "topology.home_validator_share": 0.5,
    "topology.stake_concentration": 1.0,
    "topology.peers": 8,
    "validators.review_s": 1_800.0,
    "validators.total_stake_ether": 30_000.0,
    "validators.minimum_stake_ether": 0.0,
    "validators.usd_per_mgas_per_s_month": 5.0,
    "background_users.arrivals_per_s": 4.0 * LARGEST * GAS_LIMIT / 2 / BLOCK_TIME_S / GAS_OF_USERS,
    "background_users.gas_mean": GAS_OF_USERS,
    "background_users.bytes": round(BYTES_PER_GAS * GAS_OF_USERS),
    "background_users.patience_s": 24.0,
}


@dataclass(frozen=True)
class Concentration:
    """Who keeps up with the blocks, and what is missed and left, in per cent; who earns what remains.

    Those keep up who had nine tenths of all blocks by the deadline, whether they have left since or not.
    ``profit_hhi`` is the sum of the squared shares in what validators earn beyond their costs at the last review.
    """

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Measures of a finished run."""
        world = market.worlds[0]
        attestation, validators = world.chain.attestation, world.validators
        assert attestation is not None
        assert validators is not None
        graph = world.chain.graph
        nodes = nodes_of_kind(graph, "validator")
        at_home = np.array([graph.nodes[node]["home"] for node in nodes])
        in_time = attestation.votes >= 0.9 * attestation.voted
        profit = np.maximum(validators.rows["profit_usd_per_month"][validators.rows["active"] != 0], 0.0)
        return {
            "validators_that_keep_up_percent": 100.0 * float(in_time.mean()),
            "slots_missed_percent": 100.0 * attestation.missed_share(),
            "home_slots_missed_percent": 100.0 * attestation.missed_share(at_home),
            "data_centre_slots_missed_percent": 100.0 * attestation.missed_share(~at_home),
            "home_stake_percent": 100.0 * float(validators.rows["stake_share"][at_home].sum()),
            "left_at_first": float(validators.table()["left"][0]),
            "profit_hhi": decentralisation_measures(profit)["hhi"] if profit.any() else 1.0,
        }


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """The chain as it is, and both ways to every capacity."""
    points = []
    for way, factors in (QUICK_FACTORS if quick else FACTORS).items():
        for factor in factors:
            block_time = BLOCK_TIME_S / (factor if way == FASTER else 1)
            gas_limit = GAS_LIMIT * (factor if way == LARGER else 1)
            capacity = gas_limit / block_time * 1e-6
            overrides = {
                "chain.block_time_s": block_time,
                "chain.gas_limit": gas_limit,
                "chain.byte_limit": round(2.0 * BYTES_PER_GAS * gas_limit),
                "attestation.deadline_s": DEADLINE_SHARE * block_time,
            }
            name = f"{capacity:g} Mgas/s" + ("" if way == AS_IT_IS else f", {way}")
            points.append(Point(name, {X: capacity, WAY: way}, overrides))
    scenario = load_scenario("ethereum-60m", SETTINGS)
    return Sweep(scenario, tuple(points), seeds, points[0].name, Concentration())


def _ways(results: Results) -> dict[str, list[str]]:
    """Points of each way, from the chain as it is to the largest capacity."""
    first, *others = results.study["points"]
    ways: dict[str, list[str]] = {}
    for point in others:
        ways.setdefault(point["values"][WAY], [first["name"]]).append(point["name"])
    return ways


def figure(results: Results) -> Figure:
    """Twelve panels over capacity, a curve for each way to it."""
    ways = _ways(results)

    def panel(title: str, unit: str, measure: str, factor: float = 1.0, **how: Any) -> Panel:
        curves = tuple(Curve(measure, way, factor, points=points) for way, points in ways.items())
        return Panel(title, unit, curves, **how)

    panels = [
        panel("Have nine tenths of the blocks in time", "% of validators", "validators_that_keep_up_percent"),
        panel("Slots missed, made at home", "%", "home_slots_missed_percent"),
        panel("Slots missed, made in data centres", "%", "data_centre_slots_missed_percent"),
        panel("Validators who stay", "number", "validators_active"),
        panel("Stake at home", "% of all", "home_stake_percent"),
        panel("More than half of the stake", "validators", "validator_nakamoto_half"),
        panel("Concentration of stake", "sum of squared shares", "validator_hhi"),
        panel("Concentration of profit", "sum of squared shares", "profit_hhi"),
        panel("Gas used", "million per second", "gas_used_per_s", 1e-6, log=True),
        panel("Quoted spread, median", "basis points", "median_quoted_spread_bps", log=True),
        panel("Depth within 25 bp", "thousand dollars", "depth_25bps_usd", 1e-3),
        panel("Cost of an order", "basis points of it", "cost_bps", log=True),
    ]
    return draw_page(results, QUESTION, X, "capacity, million gas per second", panels)


def findings(results: Results) -> list[str]:
    """Say for each way to capacity what it costs, who goes first, and what the market gets."""
    said = []
    for way, points in _ways(results).items():

        def moved(measure: str, what: str, unit: str = "", over: list[str] = points) -> Any:
            return change(results, measure, what, unit, over)

        said += [
            f"{way}: "
            + weigh(
                "capacity shuts out validators",
                False,
                moved(
                    "validators_that_keep_up_percent",
                    "The share of those who have nine tenths of the blocks in time",
                    "%",
                ),
                moved("validators_active", "The number of those who stay"),
            ),
            f"{way}: "
            + weigh(
                "capacity makes blocks come too late",
                True,
                moved("slots_missed_percent", "The share of slots missed", "%"),
            )
            + f" {_first(results, points)}",
            f"{way}: "
            + weigh(
                "capacity concentrates stake",
                True,
                moved("validator_hhi", "Herfindahl's index of stake"),
                moved("profit_hhi", "Herfindahl's index of profit"),
            )
            + f" {moved('validator_nakamoto_half', 'The least number of validators with more than half of it')}"
            + f" {moved('validator_gini', 'Its coefficient of Gini among those who stay')}",
            f"{way}: "
            + weigh(
                "capacity makes trading cheaper",
                False,
                moved("cost_bps", "The cost of an order", "bp"),
                moved("median_quoted_spread_bps", "The median quoted spread", "bp"),
            )
            + f" {moved('depth_25bps_usd', 'Depth within 25 bp', 'dollars')}",
            f"{way}: {_price(results, points)}",
        ]
    return said


def _first(results: Results, points: list[str]) -> str:
    """Whose blocks are missed first."""
    home, centre = (
        results.curve(f"{line}_slots_missed_percent")["mean"].loc[points] for line in ("home", "data_centre")
    )
    for point in points:
        if home[point] > 5.0:
            return (
                f"At {point} those made at home pass 5 %: {format_number(home[point])} % of them are missed, and "
                f"{format_number(centre[point])} % of those made in data centres."
            )
    return "Nowhere are 5 % of the blocks missed that are made at home."


def _price(results: Results, points: list[str]) -> str:
    """What each doubling bought the market, and how many validators left over it."""
    cost, stay = (results.curve(measure)["mean"] for measure in ("cost_bps", "validators_active"))
    parts = []
    for before, after in pairwise(points):
        saved, left = cost[before] - cost[after], stay[before] - stay[after]
        parts.append(
            f"to {format_number(results.value(after, X))} Mgas/s {format_number(saved)} bp for {format_number(left)}"
        )
    last = points[-1]
    left, at_once = stay[points[0]] - stay[last], results.curve("left_at_first")["mean"][last]
    return (
        "What an order saves for each step in capacity, for how many validators who leave: "
        + "; ".join(parts)
        + f". Of the {format_number(left)} who leave at {last}, {format_number(at_once)} do so after half an hour."
    )
