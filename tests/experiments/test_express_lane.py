"""What the express lane is worth comes out of what its holders earn with it."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from


def run(seconds=14_400, seed=1, **tables):
    """A fast chain that serves who comes first, a price that jumps, and a lane that is sold every minute."""
    settings = {
        "warm_up_s": seconds / 4,
        "duration_s": seconds,
        "chain": {"block_time_s": 0.25, "gas_limit": 30_000_000, "ordering": "first_come_first_served"},
        "fee_market": {"rule": "fixed", "base_fee_wei": 20_000_000, "wallet_tip_wei": 0},
        "topology": {"validators": 1},
        "price": {"volatility_per_day": 0.1, "jumps_per_day": 3_000.0},
        "background_users": {"arrivals_per_s": 5.0},
        "express_lane": {"round_s": 60.0},
        **tables,
    }
    market = Market(scenario_from(settings), seed=seed, tapes="none")
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def with_delay():
    return run()


@pytest.fixture(scope="module")
def without_delay():
    return run(express_lane={"round_s": 60.0, "delay_s": 0.0})


def test_the_lane_is_sold_round_by_round_and_its_price_is_much_of_what_arbitrage_brings(with_delay):
    rounds, summary = with_delay.rounds(), with_delay.summary()
    assert rounds["number"].tolist() == list(range(1, 241))
    assert (rounds["price_gwei"] <= rounds["highest_gwei"]).all()
    assert summary["lane_rounds"] == (rounds["start_s"] > 3_600).sum()
    late = rounds[rounds["start_s"] > 3_600]
    sold = late[late["holder"] >= 0]
    assert summary["lane_price_usd"] == pytest.approx(sold["price_usd"].mean())
    largest = late["holder"][late["holder"] >= 0].value_counts().iloc[0]
    assert summary["lane_share_of_largest_holder"] == pytest.approx(largest / len(late))
    assert summary["rent_auction_usd_per_h"] > 0.4 * summary["rent_lost_to_arbitrage_usd_per_h"]


def test_the_holder_alone_sits_on_the_express_twin(with_delay):
    world = with_delay.world
    lane, rows = world.lanes[0], world.arbitrageurs
    moved = np.flatnonzero(rows["access"] != world.bidders["home"])
    assert moved.tolist() == [int(lane["holder"])]
    assert rows["access"][moved] == world.bidders["home"][moved] + len(world.chain.access_points)


def test_a_lane_without_delay_is_worth_next_to_nothing(with_delay, without_delay):
    cheap, dear = without_delay.summary(), with_delay.summary()
    assert cheap["rent_auction_usd_per_h"] < 0.25 * dear["rent_auction_usd_per_h"]
    shares = [
        one["rent_auction_usd_per_h"] / (one["rent_auction_usd_per_h"] + one["rent_searchers_usd_per_h"])
        for one in (cheap, dear)
    ]
    assert shares[0] < 0.2
    assert shares[1] > 0.6


def test_delayed_makers_ask_for_more(with_delay, without_delay):
    assert with_delay.summary()["median_quoted_spread_bps"] > without_delay.summary()["median_quoted_spread_bps"]


def test_a_reserve_beyond_its_worth_leaves_the_lane_unsold():
    market = run(600, express_lane={"round_s": 60.0, "reserve_usd": 1e6})
    assert (market.rounds()["holder"] == -1).all()
    assert market.summary()["rent_auction_usd_per_h"] == market.summary()["lane_sold_share"] == 0
    assert np.array_equal(market.world.arbitrageurs["access"], market.world.bidders["home"])
    assert (market.world.bidders["bid"] > 0).any()


def test_without_arbitrageurs_nobody_bids():
    market = run(600, arbitrageurs={"count": 0})
    assert len(market.rounds()) == 10
    assert not market.rounds()["bids"].any()


def rounds_of_those_far_and_near(delay_s, block_time_s, seconds):
    """Rounds held by two in Sydney, 102 ms away from the sequencer, and by two next to it, after half an hour."""
    chain = {"block_time_s": block_time_s, "gas_limit": 30_000_000, "ordering": "first_come_first_served"}
    scenario = run(30, chain=chain, express_lane={"round_s": 60.0, "delay_s": delay_s}).world.scenario
    market = Market(scenario, seed=2, tapes="none")
    world = market.world
    sydney = world.chain.access_points.index("access/sydney")
    world.arbitrageurs["access"][:2] = world.bidders["home"][:2] = sydney
    market.run_for(seconds)
    rounds = market.rounds()
    holders = rounds.loc[rounds["start_s"] > 1_800, "holder"]
    far, near = (holders.isin(accounts).sum() for accounts in np.split(world.bidders["account"], 2))
    return far, near


def test_a_lane_that_saves_less_than_the_way_goes_to_those_who_are_near():
    far, near = rounds_of_those_far_and_near(0.05, block_time_s=0.05, seconds=5_400)
    assert near > 2 * far


def test_a_lane_that_saves_more_than_the_way_goes_to_those_who_earn_nothing_without_it():
    far, near = rounds_of_those_far_and_near(0.2, block_time_s=0.25, seconds=7_200)
    assert far > 5 * near
