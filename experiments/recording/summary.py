"""Summary measures of a run: what is read off, with the unit in each name.

Prices and depths are averaged over calendar time, a state of the book counting until the next block; flows are sums per
hour. The warm-up is left out.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.recording.builder_summary import summarise_builders
from blockspace.experiments.recording.clearing_summary import summarise_clearing
from blockspace.experiments.recording.delays import delay_quantile
from blockspace.experiments.recording.liquidations import summarise_liquidations
from blockspace.experiments.recording.option_summary import (
    summarise_delta_hedgers,
    summarise_option_makers,
    summarise_options,
    summarise_vaults,
)
from blockspace.experiments.recording.pool_summary import summarise_pools
from blockspace.experiments.recording.rents import rent_measures
from blockspace.experiments.recording.rows import DEPTHS_BPS, NOTIONALS_USD, ROLES, SIZE_BUCKETS_USD
from blockspace.markets.express_lane import VACANT, recent_rounds
from blockspace.network.decentralisation import share_that_keeps_up
from blockspace.network.timing_games import OTHERS, PLAYERS
from blockspace.network.topology import nodes_of_kind

if TYPE_CHECKING:
    from blockspace.experiments.world import World

CHAIN_MEASURES = (
    "base_fee_gwei",
    "base_fee_log_sd",
    "blob_base_fee_gwei",
    "blobs_per_block",
    "utilisation",
    "gas_used_per_s",
    "transactions_per_s",
    "balked_share",
    "background_delay_median_s",
    "background_delay_p95_s",
    "rent_burned_usd_per_h",
    "rent_blobs_usd_per_h",
    "rent_sequencer_usd_per_h",
    "rent_tips_usd_per_h",
    "final_after_s",
    "parties_to_halt",
    "parties_to_censor",
    "parties_to_undo",
)
"""Measures that say something of a chain on which nobody trades."""

COST_PARTS = ("half_spread", "impact", "delay", "fee", "gas")


def bucket_names() -> list[str]:
    """Names of the classes of order size, by their upper ends in dollars."""
    return [f"to_{end}usd" for end in SIZE_BUCKETS_USD] + [f"above_{SIZE_BUCKETS_USD[-1]}usd"]


def _weighted(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> float:
    known = ~np.isnan(values)
    total = weights[known].sum()
    return float((values[known] * weights[known]).sum() / total) if total > 0 else math.nan


def _weighted_median(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> float:
    known = ~np.isnan(values)
    if not known.any() or weights[known].sum() == 0:
        return math.nan
    order = np.argsort(values[known], kind="stable")
    running = np.cumsum(weights[known][order])
    return float(values[known][order][np.searchsorted(running, running[-1] / 2)])


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else math.nan


def summarise(world: "World") -> dict[str, Any]:
    """Summary measures of a world's run so far.

    Returns
    -------
    dict
        Plain numbers by name; NaN where there was nothing to measure. Measures of the market are those of the first
        instrument; those of others carry their name as a prefix.
    """
    records, scenario = world.records, world.scenario
    rows = records.block_rows()
    kept = rows["time_s"] > scenario.warm_up_s
    rows = rows[kept]
    summary: dict[str, Any] = {"blocks_recorded": len(rows)}
    if len(rows) < 2:
        return summary
    # A state lasts until the next row; the last one is given the usual time between blocks.
    lasts = np.append(np.diff(rows["time_s"]), scenario.chain.block_time_s)
    hours = lasts.sum() / 3600.0
    meter = records.since_warm_up()
    summary |= _chain_measures(rows, lasts, hours, scenario.fee_market.rule)
    if scenario.chain.blobs != "none":
        summary |= _blobs(rows, lasts)
    summary |= _delays(meter)
    volume = 0.0
    markets = []
    for number, instrument in enumerate(scenario.instruments):
        market = records.market_rows(number)[kept]
        markets.append(market)
        volume += float(market["volume_usd"].sum())
        measures = _market_measures(market, lasts, hours)
        summary |= {f"{instrument.name}.{name}" if number else name: value for name, value in measures.items()}
    summary |= _costs(meter)
    summary |= _rents(rows, meter, world, hours, volume)
    pools = [records.pool_rows(number)[kept] for number in range(len(scenario.pools))]
    option_fees = float(meter["option_fees"]) * 1e-6
    summary |= rent_measures(rows, markets, pools, hours, world.chain.fee_rule.burns_base_fee, option_fees)
    summary |= summarise_builders(rows, scenario.builders.count)
    summary |= _makers(world, hours)
    summary |= _searchers(world)
    summary |= _lane(world)
    summary |= _attestation(world) | _forks(world) | _timing_games(world) | _validators(world)
    summary |= summarise_options(world, hours, meter)
    summary |= summarise_option_makers(world, hours, meter)
    summary |= summarise_vaults(world, hours, meter)
    summary |= summarise_delta_hedgers(world, hours, meter)
    summary |= summarise_pools(world, kept, lasts, meter)
    summary |= summarise_liquidations(world, rows)
    summary |= summarise_clearing(world, rows, lasts, meter)
    return summary


def _chain_measures(rows: npt.NDArray[Any], lasts: npt.NDArray[Any], hours: float, rule: str) -> dict[str, float]:
    fee = rows["base_fee_gwei"] + (rows["marginal_tip_gwei"] if rule != "eip1559" else 0.0)
    positive = np.maximum(fee, 1e-9)
    steps = np.diff(np.log(positive))
    first, last = rows[0], rows[-1]
    arrived = float(last["arrived_total"] - first["arrived_total"])
    balked = float(last["balked_total"] - first["balked_total"])
    return {
        "hours": hours,
        "base_fee_gwei": _weighted(fee, lasts),
        "median_base_fee_gwei": _weighted_median(fee, lasts),
        "base_fee_log_sd": float(np.log(positive).std()),
        "base_fee_sd_gwei": float(fee.std()),
        "base_fee_step_sd": float(steps.std()),
        "utilisation": float(rows["utilisation"].sum())
        / (int(last["block"] - first["block"]) + 1),  # idle blocks as well
        "gas_used_per_s": _ratio(float(rows["gas_used"].sum()), hours * 3600.0),
        "transactions_per_s": _ratio(float(rows["transactions"].sum()), hours * 3600.0),
        "failed_share": _ratio(float(rows["failed_transactions"].sum()), float(rows["transactions"].sum())),
        "left_out_per_h": float(rows["left_out_transactions"].sum()) / hours,
        "balked_share": _ratio(balked, arrived + balked),
        "expired_per_h": float(last["expired_total"] - first["expired_total"]) / hours,
        "evicted_per_h": float(last["evicted_total"] - first["evicted_total"]) / hours,
        "pending": _weighted(rows["pending"].astype(float), lasts),
    }


def _blobs(rows: npt.NDArray[Any], lasts: npt.NDArray[Any]) -> dict[str, float]:
    """Use and price of blobs."""
    return {
        "blob_base_fee_gwei": _weighted(rows["blob_base_fee_gwei"], lasts),
        "blobs_per_block": _ratio(float(rows["blobs"].sum()), len(rows)),
    }


def _delays(meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    return {
        f"{kind}_delay_{name}_s": delay_quantile(meter[f"{kind}_delays"], share)
        for kind in ("background", "market")
        for name, share in (("median", 0.5), ("p95", 0.95))
    }


def _market_measures(market: npt.NDArray[Any], lasts: npt.NDArray[Any], hours: float) -> dict[str, float]:
    volume = float(market["volume_usd"].sum())
    arbitrage = float(market["arbitrage_volume_usd"].sum())
    patient = volume - arbitrage
    spread = market["quoted_spread_bps"]
    measures = {
        "quoted_spread_bps": _weighted(spread, lasts),
        "median_quoted_spread_bps": _weighted_median(spread, lasts),
        "one_sided_share": float(lasts[np.isnan(spread)].sum() / lasts.sum()),
        "effective_spread_bps": _ratio(1e4 * float(market["effective_spread_usd"].sum()), patient),
        "realised_spread_bps": _ratio(1e4 * float(market["realised_spread_usd"].sum()), patient),
    }
    for distance in DEPTHS_BPS:
        measures[f"depth_{distance}bps_usd"] = _weighted(market[f"depth_{distance}bps_usd"], lasts)
    for notional in NOTIONALS_USD:
        measures[f"slippage_{notional}usd_bps"] = _weighted(market[f"slippage_{notional}usd_bps"], lasts)
    return measures | {
        "trades_per_h": float(market["trades"].sum()) / hours,
        "volume_usd_per_h": volume / hours,
        "arbitrage_volume_share": _ratio(arbitrage, volume),
        "arbitrage_profit_usd_per_h": float(market["arbitrage_profit_usd"].sum()) / hours,
        "venue_fees_usd_per_h": float((market["maker_fees_usd"] + market["taker_fees_usd"]).sum()) / hours,
        "funding_rate": float(market["funding_rate"][-1]),
    }


def _costs(meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    """What orders of noise traders cost, in basis points of their notional, by part and by size."""
    costs = meter["order_costs"]
    measures: dict[str, float] = {}
    for prefix, group in [("", costs)] + [(f"{name}.", costs[[k]]) for k, name in enumerate(bucket_names())]:
        notional = float(group["notional_usd"].sum())
        measures[f"{prefix}orders_filled"] = float(group["orders"].sum())
        measures[f"{prefix}orders_unfilled_share"] = _ratio(
            float(group["unfilled"].sum()), float((group["orders"] + group["unfilled"]).sum())
        )
        total = 0.0
        for part in COST_PARTS:
            paid = float(group[f"{part}_usd"].sum())
            total += paid
            measures[f"{prefix}cost_{part}_bps"] = _ratio(1e4 * paid, notional)
        measures[f"{prefix}cost_bps"] = _ratio(1e4 * total, notional)
    gas, orders = float(costs["gas_usd"].sum()), float(costs["orders"].sum())
    return measures | {"order_fee_usd": _ratio(gas, orders)}


def _rents(
    rows: npt.NDArray[Any], meter: dict[str, npt.NDArray[Any]], world: "World", hours: float, volume: float
) -> dict[str, float]:
    """Who gets what users pay for space, in dollars per hour."""
    base_fee = float(rows["base_fee_usd"].sum()) / hours
    tips = float(rows["tips_usd"].sum()) / hours
    burns = world.chain.fee_rule.burns_base_fee
    measures = {
        "burned_usd_per_h": base_fee if burns else 0.0,
        "sequencer_fee_usd_per_h": 0.0 if burns else base_fee,
        "tips_usd_per_h": tips,
        "fees_usd_per_h": base_fee + tips,
        "failed_gas_usd_per_h": float(rows["failed_gas_usd"].sum()) / hours,
        "tips_per_volume_bps": _ratio(1e4 * tips * hours, volume),
    }
    for role in ("background", "maker", "noise", "informed", "arbitrageur"):
        measures[f"gas_{role}_usd_per_h"] = float(meter["gas_usd"][ROLES.index(role)]) / hours
    return measures


def _searchers(world: "World") -> dict[str, float]:
    searchers = world.arbitrageurs
    tries = float(searchers["tries"].sum())
    return {
        "copies_per_try": _ratio(float(searchers["copies_sent"].sum()), tries),
        "won_share_of_tries": _ratio(float(searchers["wins"].sum()), tries),
    }


def _lane(world: "World") -> dict[str, float]:
    """Who held the express lane and what a round of it cost, of the rounds that are remembered; nothing without one."""
    if not len(world.lanes):
        return {}
    rounds = recent_rounds(world.lanes)
    rounds = rounds[rounds["start"] > world.scenario.warm_up_s * 1e9]
    sold = rounds[rounds["holder"] != VACANT]
    _, held = np.unique(sold["holder"], return_counts=True)
    return {
        "lane_rounds": float(len(rounds)),
        "lane_sold_share": _ratio(len(sold), len(rounds)),
        "lane_price_usd": _ratio(float(sold["price_usd"].sum()), len(sold)),
        "lane_share_of_largest_holder": _ratio(float(held.max(initial=0)), len(rounds)),
    }


def _attestation(world: "World") -> dict[str, float]:
    """Slots whose block came too late, by kind of line, and who could keep up; nothing where every block counts."""
    attestation, graph = world.chain.attestation, world.chain.graph
    if attestation is None:
        return {}
    validators, chain = nodes_of_kind(graph, "validator"), world.chain.settings
    at_home = _at_home(world)
    download_mbps = np.array([graph.nodes[node]["download_mbps"] for node in validators])
    return {
        "stake_that_keeps_up_share": share_that_keeps_up(
            world.chain.stake,
            download_mbps,
            chain.byte_limit,
            chain.gas_limit,
            attestation.settings.deadline_s,
            chain.verification_ns_per_gas,
        ),
        "slots_missed_share": attestation.missed_share(),
        "home_slots_missed_share": attestation.missed_share(at_home),
        "data_centre_slots_missed_share": attestation.missed_share(~at_home),
    }


def _at_home(world: "World") -> npt.NDArray[np.bool_]:
    """Which validators are on lines at home."""
    graph = world.chain.graph
    return np.array([graph.nodes[node]["home"] for node in nodes_of_kind(graph, "validator")])


def _forks(world: "World") -> dict[str, float]:
    """Blocks found beside another one, by kind of line; nothing where blocks come in slots."""
    forks = world.chain.forks
    if forks is None:
        return {}
    at_home = _at_home(world)
    return {
        "blocks_stale_share": forks.stale_share(),
        "home_blocks_stale_share": forks.stale_share(at_home),
        "data_centre_blocks_stale_share": forks.stale_share(~at_home),
    }


def _timing_games(world: "World") -> dict[str, float]:
    """How long players wait, whose blocks are missed, and what a slot earns its producer; nothing without players."""
    timing = world.chain.timing
    if timing is None:
        return {}
    tallies = timing.tallies
    measures = {}
    for name, number in (("player", PLAYERS), ("other", OTHERS)):
        tally = tallies[number]
        measures[f"{name}_delay_s"] = 1e-9 * _ratio(float(tally["delay_ns"]), float(tally["slots"]))
        measures[f"{name}_missed_share"] = _ratio(float(tally["missed"]), float(tally["slots"]))
        measures[f"{name}_revenue_per_slot_gwei"] = _ratio(float(tally["revenue_gwei"]), float(tally["slots"]))
    return measures


def _validators(world: "World") -> dict[str, float]:
    """Who is left of the validators, and how concentrated they are, at the last review; nothing if all stay."""
    if world.validators is None or not world.validators.reviews:
        return {}
    reviews = world.validators.table()
    last = reviews[-1]
    return {
        "validators_active": float(last["active"]),
        "validators_left": float(reviews["left"].sum()),
        "validator_nakamoto_third": float(last["nakamoto_third"]),
        "validator_nakamoto_half": float(last["nakamoto_half"]),
        "validator_gini": float(last["gini"]),
        "validator_hhi": float(last["hhi"]),
        "home_stake_share": float(last["home_stake_share"]),
        "votes_in_time_share": float(last["votes_in_time_share"]),
    }


def _makers(world: "World", hours: float) -> dict[str, float]:
    makers = world.makers
    taking_part = makers[makers["withdrawn"] == 0]
    return {
        "makers_active": float(len(taking_part)),
        "maker_levels": float(taking_part["levels"].mean()) if len(taking_part) else 0.0,
        "quotes_per_h": float(makers["quotes_sent"].sum()) / (hours + world.scenario.warm_up_s / 3600.0),
        "maker_revenue_usd": float(makers["total_revenue"].sum()),
        "maker_gas_usd": float(makers["total_gas"].sum()),
    }
