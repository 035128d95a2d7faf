"""Rents close to the last unit, under every preset and policy, and the ledger agrees."""

import numpy as np
import pytest

from blockspace.experiments.market import Market
from blockspace.experiments.recording import gas_purposes, rows
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.scenario import load_scenario, scenario_from
from blockspace.markets.ledger import BURNED, VENUE_FEES
from blockspace.network.compilation import kernel
from blockspace.network.ordering import ORDERING_POLICIES
from blockspace.network.presets import preset_names

BUILT_IN = ("priority_fee", "first_come_first_served", "random_order", "cancels_first")
VARIANTS = {
    "protected": {"chain.revert_protection": True},
    "batch": {"venue.matching": "batch"},
    "express lane": {"express_lane.round_s": 60.0, "chain.ordering": "first_come_first_served"},
    "builders": {"builders.count": 3, "builders.exclusive_share": 0.5, "express_lane.round_s": 0.0},
    "batch every 3 s": {"venue.matching": "batch", "venue.batch_interval_s": 3.0},
    **{policy: {"chain.ordering": policy} for policy in BUILT_IN},
}


SEARCHING = ("arbitrageur", "pool_arbitrageur", "sandwicher", "extractor")


def assert_closed(market, ledger_before):
    """Both sides of every account are equal, and what the ledger says of gas and fees is what they say."""
    found, after = rents(market), market.ledger()
    paid = found["paid_by_others_wei"] + found["paid_by_searchers_wei"]
    assert (
        paid
        == found["burned_wei"]
        + found["sequencer_base_fee_wei"]
        + found["tips_wei"]
        + found["data_wei"]
        + found["blobs_wei"]
        + found["auction_revenue_wei"]
    )
    purposes = found["plain_space_wei"] + found["congestion_wei"] + found["place_wei"]
    assert paid == purposes + found["data_wei"] + found["blobs_wei"]
    assert found["failed_gas_of_searchers_wei"] <= min(found["failed_gas_wei"], found["place_wei"])
    assert found["venue_fees_micro_usd"] == found["fees_of_others_micro_usd"] + found["searcher_fees_micro_usd"]
    lost = found["loss_to_arbitrage_micro_usd"] + found["loss_to_sandwiches_micro_usd"]
    assert lost == found["searcher_fees_micro_usd"] + found["searcher_cash_micro_usd"]
    change = after["ether_wei"] - ledger_before["ether_wei"]
    role = after["role"]
    assert change[BURNED] == found["burned_wei"] + found["blobs_wei"]
    assert found["tips_wei"] == found["tips_of_proposers_wei"] + found["builders_margin_wei"]
    producers = found["sequencer_base_fee_wei"] + found["tips_of_proposers_wei"] + found["auction_revenue_wei"]
    producers += found["data_wei"]
    assert change[role == "producer"].sum() == producers
    assert change[role == "builder"].sum() == found["builders_margin_wei"]
    assert -change[role.isin(SEARCHING)].sum() == found["paid_by_searchers_wei"]
    others = ~role.isin(["producer", "builder", "burned", *SEARCHING])
    assert -change[others].sum() == found["paid_by_others_wei"]
    assert after["cash_micro_usd"][VENUE_FEES] == found["venue_fees_micro_usd"]
    return found


def run(scenario, seconds, seed=3):
    market = Market(scenario, seed=seed)
    before = market.ledger()
    market.run_for(seconds)
    market.check()
    return market, assert_closed(market, before)


def test_the_table_of_policies_has_the_built_in_ones():
    assert set(BUILT_IN) <= set(ORDERING_POLICIES)


def cases():
    """Every preset under every variant; of those with several chains, most are left to the slow suite."""
    for preset in preset_names():
        stack = bool(load_scenario(preset).chains)
        for variant in VARIANTS:
            quick = not stack or variant in ("builders", "priority_fee")
            yield pytest.param(preset, variant, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("preset", "variant"), list(cases()))
def test_rents_close_under_every_preset_and_policy(preset, variant):
    scenario = load_scenario(preset, {"price.jumps_per_day": 5_000.0, "warm_up_s": 0, **VARIANTS[variant]})
    _, found = run(scenario, max(150 * scenario.chain.block_time_s, 2.0))
    costs_nothing = scenario.fee_market.rule == "fixed" and scenario.fee_market.base_fee_wei == 0
    assert (found["paid_by_others_wei"] > 0) != costs_nothing


RACE = {
    "warm_up_s": 0,
    "chain.block_time_s": 2.0,
    "chain.gas_limit": 8_000_000,
    "topology.validators": 1,
    "price.volatility_per_day": 0.3,
    "price.jumps_per_day": 3_000.0,
    "venue.gas_token": "fixed",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_the_summary_says_in_dollars_is_what_the_integers_say(variant):
    market, found = run(load_scenario("ethereum-30m", {**RACE, **VARIANTS[variant]}), 3_000)
    summary, dollars_per_wei = market.summary(), market.world.scenario.venue.gas_token_usd * 1e-18

    def per_hour(name):
        return summary[f"rent_{name}_usd_per_h"] * summary["hours"]

    def close_to(value):
        return pytest.approx(value, rel=1e-9, abs=1e-6)

    assert per_hour("tips") == close_to(found["tips_of_proposers_wei"] * dollars_per_wei)
    assert per_hour("builder") == close_to(found["builders_margin_wei"] * dollars_per_wei)
    assert per_hour("burned") == close_to(found["burned_wei"] * dollars_per_wei)
    assert per_hour("congestion") == close_to(found["congestion_wei"] * dollars_per_wei)
    assert per_hour("ordering") == close_to(found["place_wei"] * dollars_per_wei)
    assert per_hour("lost_to_arbitrage") == close_to(found["loss_to_arbitrage_micro_usd"] * 1e-6)
    kept = found["searcher_cash_micro_usd"] * 1e-6 - found["paid_by_searchers_wei"] * dollars_per_wei
    assert per_hour("searchers") == close_to(kept)
    parts = ("burned", "sequencer", "tips", "builder", "auction", "venue", "searchers")
    assert sum(per_hour(part) for part in parts) == close_to(per_hour("whole"))
    assert sum(summary[f"rent_{part}_share"] for part in parts) == close_to(1.0)
    assert per_hour("auction") == close_to(found["auction_revenue_wei"] * dollars_per_wei)
    assert (found["auction_revenue_wei"] > 0) == (variant == "express lane")
    if variant in ("first_come_first_served", "random_order"):
        assert summary["copies_per_try"] > 1
        assert summary["spam_share_of_gas"] > 0
    if variant == "builders":
        assert 0.0 < summary["builder_share_of_tips"] < 1.0
    else:
        assert found["builders_margin_wei"] == 0
    if variant == "protected":
        assert summary["spam_share_of_gas"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_searchers_nothing_is_paid_for_order(variant):
    settings = {**RACE, **VARIANTS[variant], "arbitrageurs.count": 0, "chain.gas_limit": 3_000_000}
    market, found = run(load_scenario("ethereum-30m", settings), 1_000)
    assert found["place_wei"] == found["loss_to_arbitrage_micro_usd"] == 0
    assert found["congestion_wei"] > 0, "space should be short"
    assert market.summary()["rent_ordering_usd_per_h"] == 0.0


SANDWICHES = {
    **RACE,
    "instruments.0.kind": "spot",
    "instruments.0.name": "ETH-SPOT",
    "instruments.0.lot_size": 0.0001,
    "pools.0.fee_ppm": 500,
    "pools.0.initial_liquidity_usd": 2e6,
    "pool_arbitrageurs.count": 1,
    "swappers.count": 20,
    "swappers.orders_per_s": 1.0,
    "swappers.size_mean": 10.0,
    "swappers.value_bps": 300.0,
    "sandwichers.count": 2,
    "producers.extracting_share": 0.5,
    "topology.validators": 4,
    "fee_market.initial_base_fee_wei": 10**8,
    "background_users.arrivals_per_s": 1.0,
}


@pytest.mark.parametrize("variant", ["priority_fee", "random_order", "protected"])
def test_rents_close_where_swaps_are_sandwiched(variant):
    market, found = run(load_scenario("ethereum-30m", {**SANDWICHES, **VARIANTS[variant]}), 600)
    assert market.world.sandwichers["tries"].sum() > 20 < market.world.extractors["tries"].sum()
    assert (found["loss_to_sandwiches_micro_usd"] > 0) or variant == "random_order"
    summary = market.summary()
    lost = summary["rent_lost_to_sandwiches_usd_per_h"] * summary["hours"]
    assert lost == pytest.approx(found["loss_to_sandwiches_micro_usd"] * 1e-6, rel=1e-9, abs=1e-6)
    kept = found["searcher_cash_micro_usd"] * 1e-6
    kept -= found["paid_by_searchers_wei"] * market.world.scenario.venue.gas_token_usd * 1e-18
    assert summary["rent_searchers_usd_per_h"] * summary["hours"] == pytest.approx(kept, rel=1e-9, abs=1e-6)


def test_on_an_empty_chain_nothing_is_paid_for_congestion():
    settings = {
        "warm_up_s": 0,
        "chain": {"block_time_s": 2.0, "gas_limit": 10**9},
        "fee_market": {"initial_base_fee_wei": 10**8, "minimum_base_fee_wei": 10**8},
        "topology": {"validators": 1},
    }
    _, found = run(scenario_from(settings), 600)
    assert found["congestion_wei"] == 0
    assert found["plain_space_wei"] > 0


def test_the_parts_are_told_by_who_paid():
    market, found = run(load_scenario("ethereum-30m", RACE), 1_000)
    meter = market.world.records.meters[0]
    ether = dict.fromkeys(ROLES, 0)
    for number, role in enumerate(ROLES):
        for column in ("base_fees", "tips"):
            ether[role] += int(meter[column][number]["gwei"]) * 10**9 + int(meter[column][number]["wei"])
    assert ether["arbitrageur"] == found["paid_by_searchers_wei"]
    assert ether["maker"] > 0
    assert sum(ether.values()) == found["paid_by_others_wei"] + found["paid_by_searchers_wei"]


@kernel
def _added(amounts, gas, price):
    gas_purposes._add(amounts[0], gas, price)


@pytest.mark.parametrize("price", [0, 1, 7, 10**9 - 1, 10**9, 123_456_789_012, 10**15])
@pytest.mark.parametrize("gas", [0, 21_000, 10**9 - 1, 10**9, 549_755_813_888])
def test_amounts_of_gas_are_added_to_the_wei(gas, price):
    amounts = np.zeros(1, rows.WEI)
    for times in range(1, 4):
        _added(amounts, gas, price)
        assert int(amounts[0]["gwei"]) * 10**9 + int(amounts[0]["wei"]) == times * gas * price
        assert 0 <= amounts[0]["wei"] < 10**9
