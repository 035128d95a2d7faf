"""What arbitrageurs learn from races."""

import numpy as np
import pytest

from blockspace.agents.arbitrageurs import CLASSES, ArbitrageurSettings, learn, new_arbitrageurs, race_class
from blockspace.experiments.validation.ordering import BLOCK_TIME_S, WORTH_USD, race_market
from blockspace.markets.feed import new_feed
from blockspace.markets.trade_log import TRADE_LOG
from blockspace.network.compilation import kernel


@pytest.mark.parametrize(
    ("profit", "cost", "number"),
    [(1.0, 0.9, 0), (8.0, 1.0, 0), (8.1, 1.0, 1), (64.0, 1.0, 1), (65.0, 1.0, 2), (513.0, 1.0, 3), (1e9, 1.0, 3)],
)
def test_class_of_a_race(profit, cost, number):
    assert race_class(profit, cost) == number


def test_races_that_cost_nothing_are_in_the_last_class():
    assert race_class(1.0, 0.0) == CLASSES - 1


@pytest.fixture(scope="module")
def race():
    """Five searchers of whom some stay out of each race for the bait."""
    market = race_market(5, WORTH_USD / 20, 3_000, 0.05, {}, {}, tapes="none")
    market.run_for(3_000 * BLOCK_TIME_S)
    return market.world.arbitrageurs


def test_who_stays_out_learns_as_well(race):
    """All see the same races, and come to believe the same."""
    assert (race["tries"] < race["races"]).all()
    beliefs = race["beliefs"][:, race_class(20.0, 1.0)]
    assert (beliefs["races"] > 1_000).all()
    assert (race["class_races"][:, race_class(20.0, 1.0)] == beliefs["races"]).all()
    assert np.ptp(beliefs["races"]) == 0
    assert np.ptp(beliefs["rival"], axis=0).max() == 0.0


def test_nothing_withdraws_the_bait(race):
    assert (race["success"] > 0.99).all()
    assert (race["realised"] > 0.99).all()


@kernel
def learn_now(rows, feeds, logs):
    learn(rows[0], feeds[0], logs[0], feeds[0].views[0], 100.0)


@pytest.mark.parametrize(("settled", "pending"), [(4, 1), (5, 0)])
def test_a_race_is_learned_of_when_its_block_is_visible(settled, pending):
    rows = new_arbitrageurs(ArbitrageurSettings(), [9], [0], [0], seed=1)
    for name, value in {"pending": 1, "landing": 5, "sent_at": -1, "room": 1.0, "gas": 1, "price": 100.0}.items():
        rows[name] = value
    feeds = new_feed()
    feeds[0]["count"] = 1
    feeds[0]["views"]["settled"][0] = settled
    feeds[0]["views"]["number"][0] = 5
    feeds[0]["races"]["bidder"][0] = -1
    feeds[0]["races"]["tip"][0] = -1
    feeds[0]["races"]["second"][0] = -1
    learn_now(rows, feeds, np.zeros(1, TRADE_LOG))
    assert rows["pending"] == pending
    assert rows["class_races"].sum() == 1 - pending
    assert (rows["beliefs"]["races"] == 1 - pending).all(), "other classes learn from it as well until one is seen"
