"""Blocks found by who does not have the newest one."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.network.forks import mine
from blockspace.network.gossip import gossip_network
from blockspace.network.settings import TopologySettings
from blockspace.network.stale_blocks import StaleBlocks
from blockspace.network.topology import build_topology

NS = 10**9


def network(validators=20, verification_ns_per_gas=0.0):
    settings = TopologySettings(validators=validators, home_validator_share=0.0)
    graph = build_topology(validators, settings.regions, 1.0, settings.validator_bandwidth_mbps, 0.0, seed=1)
    return gossip_network(graph, verification_ns_per_gas)


def test_who_has_the_newest_block_builds_on_it():
    forks = StaleBlocks(network())
    assert not forks.is_stale(0, 3)
    forks.note(5 * NS, 3, 1_000, 0, stale=False)
    arrival = forks.network.arrival_ns(3, 1_000, 0)
    other = int(arrival.argmax())
    assert not forks.is_stale(5 * NS, 3)
    assert forks.is_stale(5 * NS + int(arrival[other]) - 1, other)
    assert not forks.is_stale(5 * NS + int(arrival[other]), other)


def test_a_stale_block_is_nobodys_newest():
    forks = StaleBlocks(network())
    forks.note(5 * NS, 3, 1_000, 0, stale=False)
    forks.note(5 * NS + 1, 7, 1_000, 0, stale=True)
    assert not forks.is_stale(5 * NS + 1, 3)
    assert (forks.found[3], forks.stale[3], forks.found[7], forks.stale[7]) == (1, 0, 1, 1)
    assert forks.stale_share() == 0.5
    assert forks.stale_share(np.arange(20) == 3) == 0.0
    assert np.isnan(forks.stale_share(np.arange(20) == 4))


def test_blocks_of_the_warm_up_are_not_counted():
    forks = StaleBlocks(network(), count_from_ns=6 * NS)
    forks.note(6 * NS, 3, 1_000, 0, stale=False)
    assert forks.found.sum() == 0
    assert forks.is_stale(6 * NS + 1, 7)
    forks.note(6 * NS + 1, 7, 1_000, 0, stale=True)
    assert (forks.found.sum(), forks.stale.sum()) == (1, 1)


def test_as_many_blocks_are_stale_as_where_both_branches_are_followed():
    """Empty blocks four times as long apart as the slowest takes, in a market and by themselves."""
    gossip = network()
    delays = np.array([gossip.arrival_ns(producer, 0, 0) for producer in range(20)])
    block_time_s = float(delays.max()) * 4e-9
    mined = mine(gossip.stake[:20], delays, block_time_s, 40_000, seed=2)
    nobody = {"count": 0}
    market = Market(
        scenario_from(
            {
                "duration_s": 1e6,
                "warm_up_s": 0.0,
                "chain": {"block_time_s": block_time_s, "block_arrivals": "poisson", "verification_ns_per_gas": 0.0},
                "topology": {"validators": 20, "home_validator_share": 0.0},
                "background_users": {"arrivals_per_s": 0.0},
                **dict.fromkeys(("noise_traders", "informed_traders", "market_makers", "arbitrageurs"), nobody),
            }
        ),
        seed=1,
    )
    market.run_for(20_000 * block_time_s)
    forks = market.world.chain.forks
    assert forks.found.sum() > 15_000
    error = np.sqrt(2.0 * mined.stale_share / forks.found.sum())
    assert mined.stale_share > 0.03
    assert market.summary()["blocks_stale_share"] == pytest.approx(mined.stale_share, abs=4.0 * error + 0.01)


def test_what_was_in_a_stale_block_waits_for_the_next_one():
    """Nothing is lost: whoever is in time gets in, and the rest stays pending."""
    market = Market(
        scenario_from(
            {
                "warm_up_s": 0.0,
                "chain": {"block_time_s": 0.5, "block_arrivals": "poisson"},
                "topology": {"validators": 50},
            }
        ),
        seed=1,
    )
    market.run_for(120)
    market.check()
    forks, blocks = market.world.chain.forks, market.blocks()
    assert forks.stale.sum() > 5
    assert len(blocks) == forks.found.sum() - forks.stale.sum()
    assert blocks["transactions"].sum() + blocks["pending"].iloc[-1] > 0.9 * blocks["arrived_total"].iloc[-1]
