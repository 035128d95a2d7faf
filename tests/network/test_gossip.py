"""Blocks that are passed on from peer to peer, against shortest paths of NetworkX."""

import math
import time

import networkx as nx
import numpy as np
import pytest

from blockspace.network.gossip import gossip_network
from blockspace.network.topology import UNREACHABLE_NS, build_topology, nodes_of_kind, path_tables, stake_reach_ns

V = 5.0


def slow_arrivals(graph, producer, size_bytes, gas):
    """Arrival at each validator in ns, by NetworkX on a graph with directions."""
    validators = nodes_of_kind(graph, "validator")
    among = set(validators)
    peers = [edge for edge in graph.edges if among.issuperset(edge)]
    ways = nx.DiGraph()
    for first, second in peers or graph.edges:
        edge = graph.edges[first, second]
        for sender, receiver in ((first, second), (second, first)):
            bandwidth = edge["bandwidth_mbps"]
            if peers:
                fellows = sum(node in among for node in graph[sender])
                bandwidth = min(graph.nodes[sender]["bandwidth_mbps"] / fellows, graph.nodes[receiver]["download_mbps"])
            ways.add_edge(sender, receiver, ns=1e6 * edge["latency_ms"] + 8e3 * size_bytes / bandwidth + V * gas)
    found = nx.single_source_dijkstra_path_length(ways, producer, weight="ns")
    return np.array([found[node] for node in validators])


@pytest.fixture(scope="module", params=[0, 2, 6])
def graph(request):
    return build_topology(60, stake_concentration=0.6, home_validator_share=0.4, seed=3, peers=request.param)


@pytest.mark.parametrize(("size_bytes", "gas"), [(0, 0), (120_000, 15_000_000), (3_000_000, 0)])
@pytest.mark.parametrize("producer", [0, 17, 59])
def test_arrivals_are_shortest_paths(graph, producer, size_bytes, gas):
    found = gossip_network(graph, V).arrival_ns(producer, size_bytes, gas)
    np.testing.assert_allclose(found, slow_arrivals(graph, f"validator/{producer}", size_bytes, gas), atol=50)


@pytest.mark.parametrize("needed", [0.01, 0.4, 2 / 3, 1.0])
def test_a_share_is_reached_when_enough_have_the_block(graph, needed):
    network = gossip_network(graph, V)
    for producer in (0, 30, 59):
        arrival = network.arrival_ns(producer, 200_000, 10_000_000)
        order = np.argsort(arrival)
        held = np.cumsum(network.stake[: network.validators][order])
        expected = arrival[order[int(np.argmax(held >= needed - 1e-9))]]
        assert network.reach_ns(producer, 200_000, 10_000_000, needed) == expected


def test_without_peers_an_empty_block_takes_the_latency_of_the_paths():
    graph = build_topology(40, home_validator_share=0.3, seed=5)
    network = gossip_network(graph, V)
    reach = [network.reach_ns(producer, 0, 0, 1.0) for producer in range(40)]
    np.testing.assert_allclose(reach, stake_reach_ns(graph, 1.0), atol=10)


def test_validators_have_the_peers_that_were_asked_for_and_are_all_joined():
    graph = build_topology(500, seed=1, peers=8)
    validators = nodes_of_kind(graph, "validator")
    among = graph.subgraph(validators)
    degrees = np.array([degree for _, degree in among.degree])
    assert degrees.max() == 8
    assert degrees.mean() > 7.9  # two rings may have a pair in common
    assert nx.is_connected(among)
    again = build_topology(500, seed=1, peers=8)
    assert set(again.edges) == set(graph.edges)
    assert set(build_topology(500, seed=2, peers=8).subgraph(validators).edges) != set(among.edges)


def test_peers_leave_everything_else_in_place():
    with_peers, without = (build_topology(80, home_validator_share=0.2, seed=4, peers=peers) for peers in (6, 0))
    assert dict(with_peers.nodes(data=True)) == dict(without.nodes(data=True))
    first, second = path_tables(with_peers), path_tables(without)
    for name in ("latency_ns", "seconds_per_byte", "hops", "between_ns"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_home_producer_shares_its_upload_among_its_peers():
    settings = {"regions": ["london"], "home_validator_share": 0.5, "seed": 2, "peers": 4}
    network = gossip_network(build_topology(200, **settings), 0.0)
    needed = 1e-9 + float(network.stake[199])  # its own and one more
    first = network.reach_ns(199, 1_000_000, 0, needed) - network.reach_ns(199, 0, 0, needed)
    assert first == pytest.approx(8e9 / (25.0 / 4), rel=1e-3, abs=30_000_000)
    assert network.reach_ns(0, 1_000_000, 0, 0.4) < network.reach_ns(199, 1_000_000, 0, 0.4)


def test_a_home_line_downloads_no_faster_than_it_can():
    settings = {"regions": ["london"], "home_validator_share": 1.0, "home_download_mbps": 2.0, "peers": 2}
    network = gossip_network(build_topology(3, **settings), 0.0)
    assert set(8e3 / network.ns_per_byte) == {2.0}


def test_nobody_is_reached_across_a_gap():
    graph = build_topology(2, regions=["virginia", "tokyo"], seed=2)
    assert {graph.nodes[node]["region"] for node in nodes_of_kind(graph, "validator")} == {"virginia", "tokyo"}
    graph.remove_edge("region/virginia", "region/tokyo")
    network = gossip_network(graph, V)
    assert network.arrival_ns(0, 10, 10).tolist() == [0, UNREACHABLE_NS]
    assert network.reach_ns(0, 10, 10, 0.5) == 0
    assert network.reach_ns(0, 10, 10, 0.51) == UNREACHABLE_NS


def test_in_one_place_nothing_takes_time():
    network = gossip_network(build_topology(50, seed=1, peers=4), V, latency_scale=0.0)
    assert not network.arrival_ns(3, 10**6, 10**8).any()


def test_ten_thousand_validators_take_seconds_to_build_and_milliseconds_a_block():
    start = time.perf_counter()
    network = gossip_network(build_topology(10_000, home_validator_share=0.3, seed=1, peers=8), V)
    assert time.perf_counter() - start < 10.0
    network.arrival_ns(0, 0, 0)  # compiled or loaded
    times = []
    for producer in range(20):
        start = time.perf_counter()
        arrival = network.arrival_ns(500 * producer, 100_000, 15_000_000)
        times.append(time.perf_counter() - start)
        assert arrival.max() < UNREACHABLE_NS
    assert np.median(times) < 0.010


def test_hops_grow_with_the_logarithm_of_the_network():
    for count in (100, 1_000, 10_000):
        network = gossip_network(build_topology(count, regions=["london"], seed=1, peers=8), 1.0)
        # A second of verification a hop, beside which nothing else counts.
        hops = np.median(network.arrival_ns(0, 0, 10**9)) / 1e9
        assert hops == pytest.approx(math.ceil(math.log(count) / math.log(7)), abs=0.1)
