"""Validators in a market: larger blocks drive out those on slow lines, and stake concentrates."""

import numpy as np
import pytest

from blockspace.experiments import Market, load_checkpoint, load_scenario, save_checkpoint


def run(kilobytes, seconds=14_400, **settings):
    scenario = load_scenario(
        "ethereum-30m",
        {
            "duration_s": 14_400,
            "warm_up_s": 0,
            "topology.validators": 300,
            "topology.home_validator_share": 0.5,
            "topology.stake_concentration": 1.0,
            "topology.peers": 8,
            "attestation.deadline_s": 4.0,
            "validators.review_s": 3_600,
            "validators.total_stake_ether": 30_000.0,
            "validators.minimum_stake_ether": 0.0,
            # Transactions of ordinary gas, and as many bytes as fill a block with so many kilobytes.
            "background_users.bytes": max(1_000 * kilobytes // 150, 100),
            **settings,
        },
    )
    market = Market(scenario, seed=3)
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def small():
    return run(15)


@pytest.fixture(scope="module")
def large():
    return run(3_000)


def test_larger_blocks_miss_more_slots_and_votes_and_drive_out_home_validators(small, large):
    before, after = small.summary(), large.summary()
    assert after["slots_missed_share"] > before["slots_missed_share"]
    assert after["home_slots_missed_share"] > after["data_centre_slots_missed_share"]
    assert after["votes_in_time_share"] < before["votes_in_time_share"]
    assert after["validators_left"] > before["validators_left"]
    assert after["home_stake_share"] < before["home_stake_share"]
    assert after["validator_hhi"] > before["validator_hhi"]


def test_who_could_keep_up_with_the_largest_block(small):
    # Eight mebibytes take 1.34 s at 50 megabits per second, and 30 million gas 0.15 s.
    assert small.summary()["stake_that_keeps_up_share"] == pytest.approx(1.0)
    slow = run(15, 2_400, **{"topology.home_download_mbps": 15.0})
    at_home = slow.world.validators.rows["at_home"] != 0
    keeps_up = slow.summary()["stake_that_keeps_up_share"]
    assert keeps_up == pytest.approx(slow.world.chain.stake[~at_home].sum())


def test_who_has_left_makes_no_blocks(large):
    rows, chain = large.world.validators.rows, large.world.chain
    left = rows["active"] == 0
    assert 0 < left.sum() < 300
    assert chain.stake[left].sum() == 0.0
    assert chain.stake.sum() == pytest.approx(1.0)
    reviews = large.validator_reviews()
    assert reviews["time_s"].diff().iloc[1:].min() >= 3_600
    assert reviews["active"].iloc[-1] == 300 - reviews["left"].sum() == (~left).sum()
    slots = chain.attestation.slots.copy()
    large.run_for(1_200)
    assert (chain.attestation.slots[left] == slots[left]).all()


def test_stakes_outlive_a_checkpoint(tmp_path):
    straight = run(3_000, 9_000)
    halved = run(3_000, 5_000)
    assert (halved.world.validators.rows["active"] == 0).any()
    save_checkpoint(halved, tmp_path / "aside")
    continued = load_checkpoint(tmp_path / "aside")
    continued.run_for(4_000)
    assert continued.fingerprint() == straight.fingerprint()
    np.testing.assert_array_equal(continued.world.chain.stake, straight.world.chain.stake)
    assert continued.world.validators.reviews == straight.world.validators.reviews


def test_nobody_leaves_unless_asked_to():
    market = Market(load_scenario("ethereum-30m", {"duration_s": 120, "warm_up_s": 0}), seed=1)
    market.run_for(120)
    assert market.world.validators is None
    assert market.validator_reviews().empty
    assert "validators_left" not in market.summary()
