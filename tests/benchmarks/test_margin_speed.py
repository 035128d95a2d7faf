"""Speed of the margin check of a full ledger, and of leveraged traders to whom nothing happens.

The ledger has room for 16,384 accounts, so the check is timed on that many, nearly all with a position, and quoted per
account; 100,000 accounts take about six times as long.
"""

import numpy as np
import pytest

from blockspace.agents.leveraged_traders import HOLDING, trade_with_leverage
from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.markets.ledger import ACCOUNTS, GENESIS, open_account
from blockspace.markets.margin import scan_margin

TRADERS = 2_000


@pytest.fixture(scope="module")
def world():
    settings = {
        "duration_s": 60,
        "warm_up_s": 0,
        "margin": {"liquidations": True},
        "leveraged_traders": {"count": TRADERS, "openings_per_h": 1e-3},
        "topology": {"validators": 5},
    }
    world = Market(scenario_from(settings), seed=1).world
    for _ in range(3):
        world.make_block()
    return world


def test_margin_check_of_a_full_ledger(benchmark, world):
    venue = world.venues[0]
    accounts = venue["ledger"]["accounts"]
    while int(venue["ledger"]["count"]) < ACCOUNTS:
        account = open_account(venue["ledger"], 1_000.0)
        lots = 500 if account % 2 else -500
        accounts["position"][account, 0] += lots
        accounts["position"][GENESIS, 0] -= lots
    benchmark(scan_margin, world.venues, world.chain.blocks)
    benchmark.extra_info["ns_per_account"] = 1e9 * benchmark.stats["median"] / ACCOUNTS
    assert 1e5 * benchmark.stats["median"] / ACCOUNTS < 2e-3, "100,000 accounts would take more than 2 ms"


def test_leveraged_traders_to_whom_nothing_happens(benchmark, world):
    rows = world.leveraged.copy()
    rows["status"], rows["next_wake"] = HOLDING, 2**62
    rows["stop_below"], rows["lots"] = 1, 1
    world.feeds[0]["outlooks"]["fresh"] = 1
    benchmark(trade_with_leverage, rows, world.feeds, world.chain.pools, world.chain.blocks)
    assert (rows["next_wake"] == 2**62).all()
    assert np.isfinite(benchmark.stats["median"])
