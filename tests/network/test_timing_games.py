"""Who waits how long before closing a block, and which blocks come too late."""

import networkx as nx
import numpy as np
import pytest

from blockspace.network.settings import TimingGameSettings
from blockspace.network.timing_games import OTHERS, PLAYERS, TimingGames
from blockspace.network.topology import build_topology, nodes_of_kind, stake_reach_ns

REACH_NS = np.array([100_000_000, 300_000_000])


def games(seed=1, count_from_ns=0, reach_ns=REACH_NS, **settings):
    return TimingGames(TimingGameSettings(**settings), reach_ns, seed, count_from_ns)


@pytest.mark.parametrize("needed_share", [0.1, 0.4, 0.66, 1.0])
def test_a_block_has_reached_the_share_when_the_shortest_paths_say_so(needed_share):
    graph = build_topology(30, stake_concentration=0.7, home_validator_share=0.3, seed=2)
    validators = nodes_of_kind(graph, "validator")
    found = stake_reach_ns(graph, needed_share)
    for number, producer in enumerate(validators):
        way = nx.single_source_dijkstra_path_length(graph, producer, weight="latency_ms")
        # A block comes back to its own producer by way of the hub.
        way[producer] = 2 * graph.edges[producer, f"region/{graph.nodes[producer]['region']}"]["latency_ms"]
        times = sorted((way[node], graph.nodes[node]["stake_share"]) for node in validators)
        held = np.cumsum([share for _, share in times])
        reached = times[int(np.argmax(held >= needed_share - 1e-12))][0]
        assert found[number] == pytest.approx(reached * 1e6, abs=1)


def test_more_stake_takes_longer_to_reach():
    graph = build_topology(50, seed=3)
    times = [stake_reach_ns(graph, share) for share in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert (np.diff(times, axis=0) >= 0).all()
    assert (times[-1] > times[0]).all()


def test_the_share_of_players_is_the_share_of_the_stake():
    assert not games(share=0.0).players.any()
    assert games(share=1.0).players.all()
    assert games(share=0.3, reach_ns=np.zeros(4_000, np.int64)).players.mean() == pytest.approx(0.3, abs=0.03)
    few, many = (games(share=share, reach_ns=np.zeros(100, np.int64)).players for share in (0.2, 0.5))
    assert (many | ~few).all(), "who plays with a few plays with many"


@pytest.mark.parametrize(
    ("delay_s", "producer", "missed"), [(0, 0, False), (3.9, 0, False), (3.9 + 1e-9, 0, True), (3.8, 1, True)]
)
def test_a_block_is_missed_if_it_arrives_after_the_deadline(delay_s, producer, missed):
    timing = games(share=1.0, jitter_s=0.0)
    assert timing.is_missed(7, producer, round(delay_s * 1e9)) is missed


def test_blocks_are_missed_as_often_as_the_random_part_says():
    timing = games(share=1.0, jitter_s=0.5)
    missed = np.mean([timing.is_missed(slot, 0, 3_000_000_000) for slot in range(20_000)])
    expected = np.exp(-(4.0 - 3.0 - 0.1) / 0.5)
    assert missed == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


def test_who_does_not_play_does_not_wait():
    timing = games(share=0.0)
    timing.usual_delay_ns = 1e9
    assert [timing.delay_ns(slot, 0) for slot in range(10)] == [0] * 10
    timing.learn(1, 0, 0, 5, False)
    assert (timing.usual_revenue_gwei, timing.tallies["slots"].tolist()) == (0.0, [1, 0])


def play(timing, slots, revenue, seed=1):
    """Usual delays in seconds, slot after slot, where a block earns what a function of its delay says, with noise."""
    noise = np.exp(np.random.default_rng(seed).normal(0.0, 0.4, slots))
    found = np.empty(slots)
    for slot in range(1, slots + 1):
        delay = timing.delay_ns(slot, 0)
        missed = timing.is_missed(slot, 0, delay)
        earned = 0 if missed else round(1e9 * revenue(delay * 1e-9) * noise[slot - 1])
        timing.learn(slot * 12_000_000_000, 0, delay, earned, missed)
        found[slot - 1] = timing.usual_delay_ns * 1e-9
    return found


def test_players_wait_until_one_more_moment_costs_as_much_as_it_brings():
    delays = np.linspace(0, 4, 4_001)

    def revenue(delay):
        return 1.0 + 0.2 * delay

    arrives = 1.0 - np.exp(-np.maximum(4.0 - 0.1 - delays, 0.0) / 0.3)
    # A block waits 0.4 s longer or shorter than usual, with equal chance.
    expected = [np.interp(delays + tilt, delays, revenue(delays) * arrives) for tilt in (-0.4, 0.4)]
    best = delays[np.argmax(np.sum(expected, axis=0))]
    found = play(games(share=1.0), 20_000, revenue)[5_000:].mean()
    assert found == pytest.approx(best, abs=0.35)


def test_players_do_not_wait_where_waiting_costs():
    found = play(games(share=1.0), 8_000, lambda delay: 1.0 - 0.1 * delay)
    assert found[3_000:].mean() < 0.4


def test_slots_are_tallied_after_the_warm_up():
    timing = games(share=1.0, count_from_ns=24_000_000_000)
    for slot in range(1, 6):
        timing.learn(slot * 12_000_000_000, 0, 10**9, 0 if slot == 4 else 7, slot == 4)
    assert timing.tallies[PLAYERS].tolist() == (3, 1, 3 * 10**9, 14)
    assert timing.tallies[OTHERS]["slots"] == 0
