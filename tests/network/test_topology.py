import doctest
import os
import subprocess
import sys
from itertools import combinations, permutations
from typing import Any

import networkx as nx
import numpy as np
import pytest

from blockspace.network import regions
from blockspace.network.draws import stream_key
from blockspace.network.regions import REGIONS, one_way_latency_ms
from blockspace.network.topology import (
    COLOCATED,
    UNREACHABLE_NS,
    block_visible_ns,
    build_topology,
    nodes_of_kind,
    path_tables,
    pick_proposer,
    stake_reach_ns,
    stake_shares,
)


def test_region_table_is_complete_and_plausible() -> None:
    assert doctest.testmod(regions).failed == 0
    for position, region in enumerate(REGIONS):
        assert len(regions.ROUND_TRIP_MS[region]) == position
    for first, second in combinations(REGIONS, 2):
        assert 5 < one_way_latency_ms(first, second) < 180
        assert one_way_latency_ms(first, second) == one_way_latency_ms(second, first)
    assert one_way_latency_ms("tokyo", "tokyo") == 0


def test_no_measured_route_is_much_slower_than_a_detour() -> None:
    slack = [
        one_way_latency_ms(first, second) / (one_way_latency_ms(first, middle) + one_way_latency_ms(middle, second))
        for first, second, middle in permutations(REGIONS, 3)
    ]
    assert max(slack) == pytest.approx(258 / 247)  # London to Sydney is quicker by way of Singapore


def test_unknown_region_is_named() -> None:
    with pytest.raises(ValueError, match="region was 'atlantis'; it must be one of virginia, california"):
        one_way_latency_ms("tokyo", "atlantis")


def test_single_sequencer_sits_in_the_first_region() -> None:
    graph = build_topology(validators=1, regions=["frankfurt", "tokyo"], seed=5)
    assert list(graph) == [
        "region/frankfurt",
        "region/tokyo",
        "access/frankfurt",
        "access/tokyo",
        COLOCATED,
        "validator/0",
    ]
    assert graph.nodes["validator/0"] == {
        "kind": "validator",
        "region": "frankfurt",
        "stake_share": 1.0,
        "bandwidth_mbps": 1_000.0,
        "download_mbps": 1_000.0,
        "home": False,
    }
    tables = path_tables(graph)
    assert tables.access == ("access/frankfurt", "access/tokyo", COLOCATED)
    assert tables.validators == ("validator/0",)
    assert tables.latency_ns[:, 0].tolist() == [2_250_000, 113_750_000, 500_000]
    assert tables.hops[:, 0].tolist() == [2, 3, 2]


def test_every_pair_of_hubs_is_joined_and_leaves_hang_on_their_hub() -> None:
    graph = build_topology(validators=50, seed=1)
    for first, second in combinations(REGIONS, 2):
        edge = graph.edges[f"region/{first}", f"region/{second}"]
        assert edge["latency_ms"] == one_way_latency_ms(first, second)
    for node, attributes in graph.nodes(data=True):
        if attributes["kind"] != "region":
            assert list(graph[node]) == [f"region/{attributes['region']}"]
    assert all(edge["latency_ms"] > 0 < edge["bandwidth_mbps"] for *_, edge in graph.edges(data=True))


def test_home_validators_are_the_small_ones_with_slow_lines() -> None:
    graph = build_topology(
        validators=200,
        stake_concentration=1.0,
        validator_bandwidth_mbps=500.0,
        home_validator_share=0.25,
        home_bandwidth_mbps=20.0,
        seed=3,
    )
    validators = [graph.nodes[node] for node in nodes_of_kind(graph, "validator")]
    assert [validator["home"] for validator in validators] == [False] * 150 + [True] * 50
    assert {(validator["home"], validator["bandwidth_mbps"]) for validator in validators} == {
        (False, 500.0),
        (True, 20.0),
    }
    tables = path_tables(graph)
    assert tables.seconds_per_byte[:, 150:].min() > tables.seconds_per_byte[:, :150].max()
    last_mile = [
        graph.edges[f"validator/{number}", f"region/{validator['region']}"]["latency_ms"]
        for number, validator in enumerate(validators)
    ]
    assert np.median(last_mile[:150]) == pytest.approx(0.25, rel=0.1)
    assert np.median(last_mile[150:]) == pytest.approx(10.0, rel=0.2)


@pytest.mark.parametrize(("concentration", "expected"), [(0.0, [1, 1, 1]), (1.0, [6, 3, 2]), (2.0, [36, 9, 4])])
def test_stakes_follow_zipf(concentration: float, expected: list[float]) -> None:
    shares = stake_shares(build_topology(validators=3, stake_concentration=concentration))
    np.testing.assert_allclose(shares, np.array(expected) / sum(expected), rtol=1e-15)


def test_validators_spread_over_all_regions_and_move_with_the_seed() -> None:
    first, second = (
        [graph.nodes[node]["region"] for node in nodes_of_kind(graph, "validator")]
        for graph in (build_topology(validators=900, seed=seed) for seed in (1, 2))
    )
    counts = [first.count(region) for region in REGIONS]
    assert min(counts) > 60  # 100 expected, standard deviation 9.4
    assert max(counts) < 140
    assert first[0] == second[0] == REGIONS[0]
    assert first != second


def test_more_validators_leave_the_first_ones_in_place() -> None:
    few, many = (path_tables(build_topology(validators=count, seed=9)) for count in (10, 300))
    assert (few.latency_ns == many.latency_ns[:, :10]).all()


def test_same_seed_gives_the_same_tables_in_every_process() -> None:
    program = (
        "import hashlib\n"
        "from blockspace.network.topology import build_topology, path_tables\n"
        "graph = build_topology(40, stake_concentration=0.8, home_validator_share=0.3, seed=11)\n"
        "tables = path_tables(graph)\n"
        "print(hashlib.sha256(repr(list(graph.nodes(data=True))).encode()\n"
        "    + repr(list(graph.edges(data=True))).encode() + tables.latency_ns.tobytes()\n"
        "    + tables.seconds_per_byte.tobytes() + tables.hops.tobytes()).hexdigest())\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"validators": 0}, "validators was 0; it must be 1 or more"),
        ({"regions": []}, r"regions was \[\]; it must name one or more regions, each once"),
        ({"regions": ["tokyo", "tokyo"]}, "regions was .*; it must name one or more regions, each once"),
        ({"regions": ["mars"]}, "regions had 'mars'; they must be among virginia, california"),
        ({"stake_concentration": -1.0}, "stake_concentration was -1.0; it must be 0 or more"),
        ({"validator_bandwidth_mbps": 0.0}, "validator_bandwidth_mbps was 0.0; it must be above 0"),
        ({"home_bandwidth_mbps": -5.0}, "home_bandwidth_mbps was -5.0; it must be above 0"),
        ({"home_download_mbps": 0.0}, "home_download_mbps was 0.0; it must be above 0"),
        ({"peers": 3}, "peers was 3; it must be an even number from 0 to less than validators, 4"),
        ({"peers": 4}, "peers was 4; it must be an even number from 0 to less than validators, 4"),
        ({"home_validator_share": 1.5}, "home_validator_share was 1.5; it must be from 0 to 1"),
    ],
)
def test_impossible_topologies_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_topology(**{"validators": 4, **parameters})


def random_graph(seed: int) -> nx.Graph:
    """A random graph of six hubs, two access points and three validators, joined at random."""
    generator = np.random.default_rng(seed)
    graph = nx.Graph()
    names = [f"hub/{number}" for number in range(6)] + ["access/0", "access/1"]
    names += [f"validator/{number}" for number in range(3)]
    for name in names:
        graph.add_node(name, kind=name.split("/")[0])
    for first, second in combinations(names, 2):
        if generator.random() < 0.5:
            latency_ms, bandwidth_mbps = generator.exponential(10.0), generator.uniform(1.0, 100.0)
            graph.add_edge(first, second, latency_ms=latency_ms, bandwidth_mbps=bandwidth_mbps)
    return graph


@pytest.mark.parametrize("seed", range(8))
def test_path_tables_against_all_simple_paths(seed: int) -> None:
    graph = random_graph(seed)
    tables = path_tables(graph)
    for row, access in enumerate(tables.access):
        for column, validator in enumerate(tables.validators):
            paths = list(nx.all_simple_edge_paths(graph, access, validator))
            if not paths:
                assert tables.latency_ns[row, column] == UNREACHABLE_NS
                continue
            best = min(paths, key=lambda path: sum(graph.edges[edge]["latency_ms"] for edge in path))
            latency_ms = sum(graph.edges[edge]["latency_ms"] for edge in best)
            seconds = sum(8 / (1e6 * graph.edges[edge]["bandwidth_mbps"]) for edge in best)
            assert tables.latency_ns[row, column] == pytest.approx(1e6 * latency_ms, abs=1)
            assert tables.seconds_per_byte[row, column] == pytest.approx(seconds, rel=1e-12)
            assert tables.hops[row, column] == len(best)


def test_shortest_paths_obey_the_triangle_inequality_and_have_no_direction() -> None:
    graph = build_topology(validators=30, home_validator_share=0.5, seed=4)
    tables = path_tables(graph)
    between_access = {
        source: nx.single_source_dijkstra_path_length(graph, source, weight="latency_ms") for source in tables.access
    }
    for first, second in permutations(range(len(tables.access)), 2):
        detour_ns = 1e6 * between_access[tables.access[first]][tables.access[second]]
        assert (tables.latency_ns[first] <= tables.latency_ns[second] + detour_ns + 1).all()
    for column, validator in enumerate(tables.validators):
        back = nx.single_source_dijkstra_path_length(graph, validator, weight="latency_ms")
        expected = [1e6 * back[node] for node in tables.access]
        assert tables.latency_ns[:, column] == pytest.approx(expected, abs=1)


def test_latencies_between_access_points_are_those_of_the_graph() -> None:
    graph = build_topology(validators=20, seed=5)
    tables = path_tables(graph)
    for row, first in enumerate(tables.access):
        for column, second in enumerate(tables.access):
            latency_ms = nx.dijkstra_path_length(graph, first, second, weight="latency_ms")
            assert tables.between_ns[row, column] == round(latency_ms * 1e6)
    # Nobody is heard of sooner by way of another access point.
    assert (tables.latency_ns[:, None] <= tables.between_ns[:, :, None] + tables.latency_ns[None] + 2).all()


def test_partitioned_graph_has_unreachable_validators() -> None:
    graph = build_topology(validators=1, regions=["virginia", "tokyo"])
    graph.remove_edge("region/virginia", "region/tokyo")
    tables = path_tables(graph)
    assert tables.latency_ns[:, 0].tolist() == [2_250_000, UNREACHABLE_NS, 500_000]
    assert block_visible_ns(tables, 0, 10**9, 10**9, 1.0)[1] == UNREACHABLE_NS


def test_block_visible_known_answer() -> None:
    graph = build_topology(validators=1, regions=["frankfurt", "tokyo"], validator_bandwidth_mbps=50.0, seed=5)
    seen = block_visible_ns(
        path_tables(graph), producer=0, size_bytes=125_000, gas_used=30_000_000, verification_ns_per_gas=2.0
    )
    # A megabit takes 20 ms at 50 Mbit/s, 1 ms at 1 Gbit/s and 0.1 ms at 10 Gbit/s; a hop verifies for 60 ms.
    to_frankfurt = 2_250_000 + 20_000_000 + 1_000_000 + 2 * 60_000_000
    to_tokyo = 113_750_000 + 20_000_000 + 100_000 + 1_000_000 + 3 * 60_000_000
    to_colocated = 500_000 + 20_000_000 + 100_000 + 2 * 60_000_000
    assert seen.tolist() == [to_frankfurt, to_tokyo, to_colocated]
    assert seen.dtype == np.int64


def test_block_visible_is_linear_in_bytes_and_gas() -> None:
    tables = path_tables(build_topology(validators=20, home_validator_share=0.5, seed=2))
    for producer in range(20):
        empty, single, double = (
            block_visible_ns(tables, producer, scale * 400_000, scale * 36_000_000, 5.0) for scale in range(3)
        )
        assert (empty == tables.latency_ns[:, producer]).all()
        np.testing.assert_allclose(double - empty, 2 * (single - empty), atol=2)


def test_proposers_are_drawn_by_stake() -> None:
    stake = np.array([0.0, 5.0, 0.0, 3.0, 2.0, 0.0])
    key = np.uint64(stream_key(7, "proposer"))
    slots = 20_000
    picks = [pick_proposer(np.cumsum(stake), key, slot) for slot in range(slots)]
    share = np.bincount(picks, minlength=6) / slots
    # Four standard deviations of a share are below 0.0142; those without stake never propose.
    np.testing.assert_allclose(share, stake / 10, atol=0.0142)
    assert (share[stake == 0] == 0).all()


def test_proposer_depends_on_key_and_slot_alone() -> None:
    cumulative = np.cumsum(np.full(1_000, 0.001))
    key = np.uint64(stream_key(7, "proposer"))
    forward = [int(pick_proposer(cumulative, key, slot)) for slot in range(100)]
    backward = [int(pick_proposer(32 * cumulative, key, slot)) for slot in reversed(range(100))]
    assert forward == backward[::-1]
    assert len(set(forward)) > 80
    assert pick_proposer(np.ones(1), key, 3) == 0


def test_tables_are_frozen() -> None:
    tables = path_tables(build_topology(validators=2))
    with pytest.raises(AttributeError):
        tables.hops = tables.hops  # type: ignore[misc]


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
