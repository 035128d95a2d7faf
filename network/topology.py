"""Where everybody sits: regions, access points and validators on a graph, and the paths between them.

Three kinds of nodes, each with the attributes ``kind`` and ``region``:

- ``"region/NAME"``: the internet hub of a region; every pair of hubs is joined.
- ``"access/NAME"``: where the agents of a region connect. ``"access/colocated"`` is a rack next to
  validator 0: the sequencer where there is one validator, and the largest staker otherwise.
- ``"validator/NUMBER"``: makes blocks. Further attributes are ``stake_share`` (of the total stake),
  ``bandwidth_mbps`` (that it sends), ``download_mbps`` and ``home`` (whether it runs on a domestic line). The
  numbers go from the largest stake to the smallest.

Every edge carries ``latency_ms`` (one way, the same in both directions) and ``bandwidth_mbps``. Validators may have
edges to each other, as peers who pass on blocks (:mod:`blockspace.network.gossip`). Their latency is that of the way
by the hubs, so that no path of least latency between other nodes uses them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.regions import REGIONS, one_way_latency_ms

COLOCATED = "access/colocated"

BACKBONE_BANDWIDTH_MBPS = 10_000.0
ACCESS_BANDWIDTH_MBPS = 1_000.0

# Last-mile latencies are approximate: 0.5 ms of round trip within a data centre, 20 ms on a domestic line.
ACCESS_LATENCY_MS = 2.0
COLOCATED_LATENCY_MS = 0.25
DATA_CENTRE_LATENCY_MS = 0.25
HOME_LATENCY_MS = 10.0
LATENCY_SPREAD = 0.5
"""Standard deviation of the logarithm of validators' last-mile latencies, whose medians stand above."""

UNREACHABLE_NS = 2**61
"""Latency in nanoseconds (73 years) where no path exists, as in a partitioned graph."""


def build_topology(
    validators: int,
    regions: Sequence[str] = REGIONS,
    stake_concentration: float = 0.0,
    validator_bandwidth_mbps: float = 1_000.0,
    home_validator_share: float = 0.0,
    seed: int = 0,
    *,
    home_bandwidth_mbps: float = 25.0,
    home_download_mbps: float = 50.0,
    peers: int = 0,
) -> nx.Graph:
    """Build the graph of a network.

    The stake of the validator ranked ``r = 1, 2, …`` is proportional to ``r ** -stake_concentration`` (Zipf,
    1949). Validator 0 sits in the first region, the others in regions drawn uniformly. Adding validators does
    not move those already there. Home validators are those with the least stake.

    Parameters
    ----------
    validators
        Number of validators, 1 or more. With one, it is the sequencer of a rollup or an application's chain.
    regions
        Regions with users and validators, from :data:`blockspace.network.regions.REGIONS`.
    stake_concentration
        0 for equal stakes, 1 for Zipf's law, more for fewer giants.
    validator_bandwidth_mbps
        Bandwidth of a validator in a data centre, in Mbit/s.
    home_validator_share
        Share of the validators, by number, that run at home: low bandwidth and high latency.
    seed
        Seed of the run.
    home_bandwidth_mbps
        Bandwidth of a home validator in Mbit/s; 25 is the upload that EIP-7870 (Jayanthi and others, 2025)
        recommends to attesters.
    home_download_mbps
        What a home validator receives from peers, in Mbit/s; 50 is the recommendation of the same EIP.
    peers
        Peers of each validator, an even number below that of the validators; 0 for none. They are its neighbours on
        ``peers / 2`` rings on which all validators stand in random order, which joins them all, with few hops
        (Law and Siu, 2003). A pair that is next to each other on two rings counts twice.

    Returns
    -------
    networkx.Graph
        Regions, access points in the order of ``regions`` with the colocated one last, then validators.

    Raises
    ------
    ValueError
        If a parameter is out of its range or a region is unknown or named twice.
    """
    if validators < 1:
        raise ValueError(f"validators was {validators}; it must be 1 or more")
    if not regions or len(set(regions)) < len(regions):
        raise ValueError(f"regions was {list(regions)}; it must name one or more regions, each once")
    for region in regions:
        if region not in REGIONS:
            raise ValueError(f"regions had {region!r}; they must be among {', '.join(REGIONS)}")
    if stake_concentration < 0:
        raise ValueError(f"stake_concentration was {stake_concentration}; it must be 0 or more")
    for name, bandwidth in (
        ("validator_bandwidth_mbps", validator_bandwidth_mbps),
        ("home_bandwidth_mbps", home_bandwidth_mbps),
        ("home_download_mbps", home_download_mbps),
    ):
        if bandwidth <= 0:
            raise ValueError(f"{name} was {bandwidth}; it must be above 0")
    if not 0 <= home_validator_share <= 1:
        raise ValueError(f"home_validator_share was {home_validator_share}; it must be from 0 to 1")
    if peers < 0 or peers % 2 or peers >= max(validators, 1):
        raise ValueError(f"peers was {peers}; it must be an even number from 0 to less than validators, {validators}")

    graph = nx.Graph()
    for region in regions:
        graph.add_node(f"region/{region}", kind="region", region=region)
    for first, second in combinations(regions, 2):
        _link(graph, f"region/{first}", second, one_way_latency_ms(first, second), BACKBONE_BANDWIDTH_MBPS)
    for region in regions:
        graph.add_node(f"access/{region}", kind="access", region=region)
        _link(graph, f"access/{region}", region, ACCESS_LATENCY_MS, ACCESS_BANDWIDTH_MBPS)
    graph.add_node(COLOCATED, kind="access", region=regions[0])
    _link(graph, COLOCATED, regions[0], COLOCATED_LATENCY_MS, BACKBONE_BANDWIDTH_MBPS)

    # One stream per attribute: the first draws stay the same however many validators follow.
    place = _generator(seed, "topology/region").random(validators)
    spread = np.exp(LATENCY_SPREAD * _generator(seed, "topology/latency").standard_normal(validators))
    # The colocated access point is built around validator 0, so neither moves with the seed.
    place[0], spread[0] = 0.0, 1.0
    weight = np.arange(1, validators + 1) ** -float(stake_concentration)
    stake = weight / weight.sum()
    first_home = validators - round(home_validator_share * validators)
    for number in range(validators):
        home = number >= first_home
        region = regions[int(place[number] * len(regions))]
        latency_ms = (HOME_LATENCY_MS if home else DATA_CENTRE_LATENCY_MS) * float(spread[number])
        bandwidth_mbps = home_bandwidth_mbps if home else validator_bandwidth_mbps
        node = f"validator/{number}"
        graph.add_node(
            node,
            kind="validator",
            region=region,
            stake_share=float(stake[number]),
            bandwidth_mbps=bandwidth_mbps,
            download_mbps=home_download_mbps if home else validator_bandwidth_mbps,
            home=home,
        )
        _link(graph, node, region, latency_ms, bandwidth_mbps)
    for ring in range(peers // 2):
        order = _generator(seed, f"topology/peers/{ring}").permutation(validators).tolist()
        for first, second in zip(order, order[1:] + order[:1], strict=True):
            _introduce(graph, f"validator/{first}", f"validator/{second}")
    return graph


def _introduce(graph: nx.Graph, first: str, second: str) -> None:
    """Make two validators peers, as far apart as by way of their hubs."""
    regions = [graph.nodes[node]["region"] for node in (first, second)]
    ways = zip((first, second), regions, strict=True)
    last_miles_ms = sum(graph.edges[node, f"region/{region}"]["latency_ms"] for node, region in ways)
    graph.add_edge(
        first,
        second,
        latency_ms=last_miles_ms + one_way_latency_ms(*regions),
        bandwidth_mbps=min(graph.nodes[node]["bandwidth_mbps"] for node in (first, second)),
    )


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(stream_key(seed, name)))


def _link(graph: nx.Graph, node: str, region: str, latency_ms: float, bandwidth_mbps: float) -> None:
    graph.add_edge(node, f"region/{region}", latency_ms=latency_ms, bandwidth_mbps=bandwidth_mbps)


def nodes_of_kind(graph: nx.Graph, kind: str) -> tuple[str, ...]:
    """Names of the nodes of a kind (``"region"``, ``"access"`` or ``"validator"``), in the graph's order."""
    return tuple(node for node, kind_of_node in graph.nodes(data="kind") if kind_of_node == kind)


def stake_shares(graph: nx.Graph) -> NDArray[np.float64]:
    """Share of the total stake of each validator, shape (validators,), in the order of the graph."""
    validators = nodes_of_kind(graph, "validator")
    return np.array([graph.nodes[node]["stake_share"] for node in validators], np.float64)


def stake_reach_ns(graph: nx.Graph, needed_share: float) -> NDArray[np.int64]:
    """Time until a block of each validator has reached validators who hold a share of all stake, by latency alone.

    Parameters
    ----------
    graph
        A graph made by :func:`build_topology`.
    needed_share
        Share of the stake, above 0 and at most 1. The producer's own counts as if it sat across its hub.

    Returns
    -------
    numpy.ndarray
        Nanoseconds, shape (validators,).
    """
    validators = nodes_of_kind(graph, "validator")
    hubs = [f"region/{graph.nodes[node]['region']}" for node in validators]
    last_mile = np.array([graph.edges[node, hub]["latency_ms"] for node, hub in zip(validators, hubs, strict=True)])
    stake = stake_shares(graph)
    reach = np.empty(len(validators))
    for hub in sorted(set(hubs)):
        distances = nx.single_source_dijkstra_path_length(graph, hub, weight="latency_ms")
        arrival = np.array([distances[node] for node in validators])
        order = np.argsort(arrival, kind="stable")
        held = np.cumsum(stake[order])
        # What adds up to all of the stake may fall short of it by a rounding.
        last = min(int(np.searchsorted(held, needed_share - 1e-12)), len(order) - 1)
        here = np.array([name == hub for name in hubs])
        reach[here] = last_mile[here] + arrival[order[last]]
    return np.rint(reach * 1e6).astype(np.int64)


@dataclass(frozen=True)
class PathTables:
    """Fastest paths between access points and validators. Arrays have the shape (access points, validators).

    Parameters
    ----------
    access
        Names of the access points, one a row.
    validators
        Names of the validators, one a column.
    latency_ns
        One-way latency in nanoseconds, the least over all paths; :data:`UNREACHABLE_NS` without a path.
    seconds_per_byte
        Time that each byte adds: every hop receives the whole block before it passes the block on.
    hops
        Number of edges of the path; each receiving node verifies the block.
    between_ns
        One-way latency in nanoseconds between two access points, shape (access points, access points).
    """

    access: tuple[str, ...]
    validators: tuple[str, ...]
    latency_ns: NDArray[np.int64]
    seconds_per_byte: NDArray[np.float64]
    hops: NDArray[np.int64]
    between_ns: NDArray[np.int64]


def path_tables(graph: nx.Graph) -> PathTables:
    """Tabulate the paths of least latency from every validator to every access point.

    It takes one run of Dijkstra's algorithm (1959) for each access point.

    Parameters
    ----------
    graph
        A graph made by :func:`build_topology`, or any other with the same attributes.

    Returns
    -------
    PathTables
        Latency, time per byte and hops.
    """
    access = nodes_of_kind(graph, "access")
    validators = nodes_of_kind(graph, "validator")
    shape = (len(access), len(validators))
    latency_ns = np.full(shape, UNREACHABLE_NS, np.int64)
    seconds_per_byte = np.zeros(shape)
    hops = np.zeros(shape, np.int64)
    between_ns = np.full((len(access), len(access)), UNREACHABLE_NS, np.int64)
    for row, source in enumerate(access):
        latencies_ms, paths = nx.single_source_dijkstra(graph, source, weight="latency_ms")
        adds = {source: 0.0}  # seconds per byte; nodes come in the order of their latency, each after the one before it
        for node in latencies_ms:
            if node != source:
                before = paths[node][-2]
                adds[node] = adds[before] + 8e-6 / graph.adj[before][node]["bandwidth_mbps"]
        for column, validator in enumerate(validators):
            if validator in paths:
                latency_ns[row, column] = round(latencies_ms[validator] * 1e6)
                seconds_per_byte[row, column] = adds[validator]
                hops[row, column] = len(paths[validator]) - 1
        for column, other in enumerate(access):
            if other in paths:
                between_ns[row, column] = round(latencies_ms[other] * 1e6)
    return PathTables(access, validators, latency_ns, seconds_per_byte, hops, between_ns)


def block_visible_ns(
    tables: PathTables, producer: int, size_bytes: int, gas_used: int, verification_ns_per_gas: float
) -> NDArray[np.int64]:
    """Time from the making of a block to its being seen at each access point.

    On a path of latency ``l``, ``h`` hops and ``s`` seconds per byte, it is ``l + s bytes + h gas v`` with
    ``v`` the time to verify a unit of gas: nobody passes on a block that it has not received and verified.

    Parameters
    ----------
    tables
        Paths from :func:`path_tables`.
    producer
        Number of the validator that made the block.
    size_bytes
        Size of the block in bytes.
    gas_used
        Gas that the block used.
    verification_ns_per_gas
        Nanoseconds that a node takes to verify a unit of gas.

    Returns
    -------
    numpy.ndarray
        Nanoseconds, shape (access points,).
    """
    transfer_ns = tables.seconds_per_byte[:, producer] * (1e9 * size_bytes)
    verification_ns = tables.hops[:, producer] * (gas_used * verification_ns_per_gas)
    return tables.latency_ns[:, producer] + np.rint(transfer_ns + verification_ns).astype(np.int64)


@kernel
def pick_proposer(cumulative_stake, key, slot):
    """Number of the validator that proposes in ``slot``, with a chance proportional to its stake.

    ``cumulative_stake`` is the running total of the stakes, in any unit, and ``key`` the key of a stream. The
    draw is a function of key and slot alone, and a validator without stake is never drawn.
    """
    target = draw_uniform(key, np.int64(0), slot) * cumulative_stake[-1]
    low = 0
    high = cumulative_stake.size
    while low < high:
        middle = (low + high) // 2
        if cumulative_stake[middle] < target:
            low = middle + 1
        else:
            high = middle
    return low
