"""Forks of proof of work, against a simulation with an inbox for each miner."""

import heapq

import numpy as np
import pytest

from blockspace.network.draws import draw_exponential, stream_key
from blockspace.network.forks import mine
from blockspace.network.gossip import gossip_network
from blockspace.network.topology import build_topology, pick_proposer, stake_shares

SECOND = 1_000_000_000


def slow_parents(shares, delays, block_time_s, blocks, seed):
    """Parent of each block: every miner takes in what arrives, in the order in which it arrives."""
    gaps, miners = (np.uint64(stream_key(seed, f"forks/{name}")) for name in ("gap", "miner"))
    tips = [-1] * len(shares)
    heights, parents, arrivals, now = [], [], [], 0
    for number in range(blocks):
        now += int(draw_exponential(gaps, 0, number) * block_time_s * 1e9) + 1
        finder = int(pick_proposer(np.cumsum(shares), miners, number))
        while arrivals and arrivals[0][0] <= now:
            _, block, miner = heapq.heappop(arrivals)
            if tips[miner] < 0 or heights[block] > heights[tips[miner]]:
                tips[miner] = block
        parents.append(tips[finder])
        heights.append(heights[tips[finder]] + 1 if tips[finder] >= 0 else 0)
        for miner in range(len(shares)):
            way = 0 if miner == finder else int(delays[finder][miner])
            heapq.heappush(arrivals, (now + way, number, miner))
    return parents, heights


@pytest.mark.parametrize("seed", range(4))
def test_blocks_are_built_on_what_their_miners_have_seen_first(seed):
    generator = np.random.default_rng(seed)
    shares = generator.random(6)
    delays = generator.integers(0, 8 * SECOND, (6, 6))
    found = mine(shares, delays, 5.0, 3_000, seed)
    parents, heights = slow_parents(shares, delays, 5.0, 3_000, seed)
    assert found.parent.tolist() == parents
    assert found.height.tolist() == heights
    assert 0.1 < found.stale_share < 0.7


def test_the_longest_chain_is_a_chain():
    found = mine([3, 2, 1], SECOND, 4.0, 5_000, seed=3)
    kept = np.flatnonzero(~found.stale)
    assert found.height[kept].tolist() == list(range(len(kept)))
    assert found.parent[kept[1:]].tolist() == kept[:-1].tolist()
    assert found.height.max() == len(kept) - 1


def test_without_delay_or_rivals_nothing_is_stale():
    assert mine([1, 2, 3], 0, 10.0, 2_000).stale_share == 0.0
    alone = mine([1.0], 100 * SECOND, 10.0, 2_000)
    assert alone.stale_share == 0.0
    assert alone.revenue_shares(1).tolist() == [1.0]


def test_the_same_blocks_are_found_whatever_the_delay():
    fast, slow = (mine([2, 1], delay, 10.0, 1_000, seed=4) for delay in (0, 3 * SECOND))
    np.testing.assert_array_equal(fast.time_ns, slow.time_ns)
    np.testing.assert_array_equal(fast.miner, slow.miner)
    assert slow.stale_share > fast.stale_share


def test_who_has_more_work_wastes_less():
    found = mine([0.5, 0.2, 0.1, 0.1, 0.1], SECOND, 10.0, 100_000, seed=1)
    shares = found.stale_share_by_miner(5)
    assert shares[0] < shares[1] < shares[2:].min()
    assert found.revenue_shares(5)[0] > 0.5
    assert np.isnan(mine([1, 0], 0, 1.0, 10).stale_share_by_miner(2)[1])


def test_larger_blocks_become_stale_more_often():
    graph = build_topology(30, home_validator_share=0.5, stake_concentration=0.5, seed=2, peers=6)
    network = gossip_network(graph, 5.0)
    stale = []
    for size in (0, 1_000_000, 4_000_000):
        delays = np.array([network.arrival_ns(miner, size, 30_000_000) for miner in range(30)])
        stale.append(mine(stake_shares(graph), delays, 12.0, 100_000, seed=5).stale_share)
    assert 0.01 < stale[0] < stale[1] < stale[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0, 1.0, 0), "blocks was 0; it must be 1 or more"),
        (([1.0, -1.0], 0, 1.0, 5), "shares was .*; it must be 0 or more"),
        (([0.0], 0, 1.0, 5), "shares was .*; it must be 0 or more for all miners and above 0"),
        (([1.0, 1.0], -5, 1.0, 5), "delay_ns had -5; it must be 0 or more"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mine(*arguments)
