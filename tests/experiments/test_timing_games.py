"""Timing games in a market: what waiting brings, and what becomes of a slot whose block comes too late."""

import numpy as np
import pytest

from blockspace.experiments import Market, load_scenario
from tests.network.slow_mempool import check_mempool


@pytest.fixture(scope="module")
def market():
    """Ethereum with a fifth of the stake that waits, for a day of which half is warm-up."""
    scenario = load_scenario(
        "ethereum-30m",
        {"duration_s": 86_400, "warm_up_s": 43_200, "timing_games.share": 0.2, "attestation.deadline_s": 4.0},
    )
    market = Market(scenario, seed=1)
    market.run_for(86_400)
    market.check()
    return market


def test_who_waits_earns_more_and_misses_some(market):
    summary = market.summary()
    assert 1.0 < summary["player_delay_s"] < 3.5
    assert summary["other_delay_s"] == 0
    assert summary["player_revenue_per_slot_gwei"] > 1.05 * summary["other_revenue_per_slot_gwei"]
    assert summary["player_missed_share"] > summary["other_missed_share"]
    assert 0 < summary["slots_missed_share"] < 0.1


def test_a_missed_slot_leaves_no_block_and_changes_no_fee(market):
    blocks = market.blocks()
    numbers = blocks["block"].to_numpy()
    missed = np.setdiff1d(np.arange(1, numbers[-1] + 1), numbers)
    assert len(missed) > 10
    assert not market.transactions()["block"].isin(missed).any()
    assert not market.trades()["block"].isin(missed).any()
    check_mempool(market.world.chain.pools[0])
    fees = blocks.set_index("block")[["base_fee_gwei", "gas_used"]]
    target = market.world.scenario.chain.gas_limit // 2
    for number in set(missed) - set(missed + 1) - {numbers[-1]}:
        if number + 1 in fees.index:
            rose = fees.loc[number + 1, "base_fee_gwei"] > fees.loc[number - 1, "base_fee_gwei"]
            assert rose == (fees.loc[number - 1, "gas_used"] > target)


def test_slots_stay_where_they_are(market):
    blocks = market.blocks()
    into_slot = blocks["time_s"] - 12.0 * blocks["block"]
    assert into_slot.min() == pytest.approx(0, abs=1e-6)
    assert 0.5 < into_slot.max() <= 4.0
    assert (into_slot > 1e-6).mean() == pytest.approx(0.2275, abs=0.03)  # the players' stake with this seed


def test_without_players_nothing_is_reported():
    market = Market(load_scenario("ethereum-30m", {"duration_s": 120, "warm_up_s": 0}), seed=1)
    market.run_for(120)
    assert market.world.chain.timing is None
    assert market.world.chain.attestation is None
    assert "player_delay_s" not in market.summary()
