"""Gossip: how a block gets from its producer to everybody else, hop by hop.

Who has received and verified a block passes it on. Where the topology has peers, validators pass it on to theirs, to
all of them at once: each gets an equal part of the upload, and no more than it can download. Without peers the hubs of
the regions pass it on, as they do on the paths of :func:`~blockspace.network.topology.path_tables`. A hop takes::

    latency + bytes / bandwidth + gas * verification

and the time until a share of all stake has the block is that of a few hops: among ``n`` validators with ``d`` peers
about ``log(n) / log(d - 1)`` of them.
"""

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from blockspace.network.compilation import kernel
from blockspace.network.topology import UNREACHABLE_NS, nodes_of_kind


@dataclass(frozen=True)
class GossipNetwork:
    """Who passes on blocks to whom: validators first, in the order of the graph, then hubs if there are no peers.

    The neighbours of node ``i`` are ``targets[starts[i]:starts[i + 1]]``.

    Parameters
    ----------
    validators
        How many of the nodes are validators.
    starts
        Shape (nodes + 1,).
    targets, latency_ns, ns_per_byte
        Of each direction of each edge: who receives, the one-way latency, and what a byte adds; shape (edges,).
    stake
        Share of all stake of each node, shape (nodes,); hubs have none.
    verification_ns_per_gas
        Nanoseconds that a node takes to verify a unit of gas.
    """

    validators: int
    starts: NDArray[np.int64]
    targets: NDArray[np.uint32]
    latency_ns: NDArray[np.int64]
    ns_per_byte: NDArray[np.float64]
    stake: NDArray[np.float64]
    verification_ns_per_gas: float

    def arrival_ns(self, producer: int, size_bytes: int, gas: int) -> NDArray[np.int64]:
        """Time until each validator has received and verified a block.

        Parameters
        ----------
        producer
            Number of the validator that made it; it has the block at 0.
        size_bytes, gas
            Of the block.

        Returns
        -------
        numpy.ndarray
            Nanoseconds, shape (validators,); ``UNREACHABLE_NS`` without a path.
        """
        arrival, _ = self._spread(producer, size_bytes, gas, 2.0, self.stake)
        return np.asarray(arrival[: self.validators])

    def reach_ns(
        self,
        producer: int,
        size_bytes: int,
        gas: int,
        needed_share: float,
        stake: NDArray[np.float64] | None = None,
    ) -> int:
        """Time until validators with a share of all stake have received and verified a block, in nanoseconds.

        ``UNREACHABLE_NS`` if they never do. Another ``stake`` of each node than in the topology may be given.
        """
        _, reached = self._spread(producer, size_bytes, gas, needed_share, self.stake if stake is None else stake)
        return int(reached)

    def _spread(
        self, producer: int, size_bytes: int, gas: int, needed: float, stake: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], int]:
        return spread(
            self.starts,
            self.targets,
            self.latency_ns,
            self.ns_per_byte,
            stake,
            np.int64(producer),
            np.float64(size_bytes),
            np.float64(gas * self.verification_ns_per_gas),
            np.float64(needed),
        )


def gossip_network(graph: nx.Graph, verification_ns_per_gas: float, latency_scale: float = 1.0) -> GossipNetwork:
    """Tabulate who passes on blocks to whom.

    Parameters
    ----------
    graph
        A graph made by :func:`~blockspace.network.topology.build_topology`.
    verification_ns_per_gas
        Nanoseconds that a node takes to verify a unit of gas.
    latency_scale
        Factor on every latency; 0 puts all in one place, where neither bytes nor gas take time.
    """
    validators = nodes_of_kind(graph, "validator")
    number = {node: place for place, node in enumerate(validators)}
    of_peers = [edge for edge in graph.edges(validators, data=True) if edge[0] in number and edge[1] in number]
    if not of_peers:
        number |= {hub: len(validators) + place for place, hub in enumerate(nodes_of_kind(graph, "region"))}
    edges = of_peers or [edge for edge in graph.edges(data=True) if edge[0] in number and edge[1] in number]
    nodes = len(number)
    first = np.array([number[one] for one, _, _ in edges], np.int64)
    second = np.array([number[other] for _, other, _ in edges], np.int64)
    source, target = np.concatenate([first, second]), np.concatenate([second, first])
    latency_ns = np.tile(np.rint([1e6 * latency_scale * data["latency_ms"] for _, _, data in edges]), 2)
    if of_peers:
        upload = np.array([graph.nodes[node]["bandwidth_mbps"] for node in validators])
        download = np.array([graph.nodes[node]["download_mbps"] for node in validators])
        sent_mbps = (upload / np.maximum(np.bincount(source, minlength=nodes), 1))[source]
        bandwidth_mbps = np.minimum(sent_mbps, download[target])
    else:
        bandwidth_mbps = np.tile([data["bandwidth_mbps"] for _, _, data in edges], 2)
    in_order = np.argsort(source, kind="stable")
    stake = np.zeros(nodes)
    stake[: len(validators)] = [graph.nodes[node]["stake_share"] for node in validators]
    return GossipNetwork(
        validators=len(validators),
        starts=np.searchsorted(source[in_order], np.arange(nodes + 1)).astype(np.int64),
        targets=target[in_order].astype(np.uint32),
        latency_ns=latency_ns[in_order].astype(np.int64),
        ns_per_byte=8e3 / bandwidth_mbps[in_order] if latency_scale > 0 else np.zeros(len(source)),
        stake=stake,
        verification_ns_per_gas=verification_ns_per_gas if latency_scale > 0 else 0.0,
    )


@kernel
def _sink(times, nodes, count):
    """Take the first entry out of a heap of ``count`` entries, which then has one less."""
    last = count - np.uint64(1)
    time = times[last]
    node = nodes[last]
    place = np.uint64(0)
    while True:
        child = np.uint64(2) * place + np.uint64(1)
        if child >= last:
            break
        if child + np.uint64(1) < last and times[child + np.uint64(1)] < times[child]:
            child += np.uint64(1)
        if times[child] >= time:
            break
        times[place] = times[child]
        nodes[place] = nodes[child]
        place = child
    times[place] = time
    nodes[place] = node


@kernel
def _rise(times, nodes, count, time, node):
    """Put an entry into a heap of ``count`` entries."""
    place = count
    while place > np.uint64(0):
        parent = (place - np.uint64(1)) >> np.uint64(1)
        if times[parent] <= time:
            break
        times[place] = times[parent]
        nodes[place] = nodes[parent]
        place = parent
    times[place] = time
    nodes[place] = node


@kernel
def spread(starts, targets, latency_ns, ns_per_byte, stake, producer, size_bytes, verification_ns, needed):
    """Pass a block on from its producer until enough stake has it, nearest first (Dijkstra, 1959).

    Parameters
    ----------
    starts, targets, latency_ns, ns_per_byte, stake
        Of a :class:`GossipNetwork`.
    producer
        Node that has the block at 0.
    size_bytes
        Size of the block.
    verification_ns
        Time that each node takes to verify it.
    needed
        Share of all stake with which to stop; with more than there is, everybody gets it.

    Returns
    -------
    tuple
        Arrivals of shape (nodes,) in ns, final for all who have the block by then, and the time at which the needed
        share had it; ``UNREACHABLE_NS`` if it never did.
    """
    arrival = np.full(stake.size, UNREACHABLE_NS, np.int64)
    times = np.empty(targets.size + 1, np.int64)
    nodes = np.empty(targets.size + 1, np.uint32)
    arrival[producer] = 0
    times[0] = 0
    nodes[0] = producer
    count = np.uint64(1)
    held = 0.0
    while count > np.uint64(0):
        now = times[0]
        node = np.uint64(nodes[0])
        _sink(times, nodes, count)
        count -= np.uint64(1)
        if now > arrival[node]:
            continue  # it has had the block from somebody else before
        held += stake[node]
        # What adds up to all of the stake may fall short of it by a rounding.
        if held >= needed - 1e-12:
            return arrival, now
        for edge in range(np.uint64(starts[node]), np.uint64(starts[node + np.uint64(1)])):
            target = np.uint64(targets[edge])
            there = now + latency_ns[edge] + np.int64(ns_per_byte[edge] * size_bytes + verification_ns)
            if there < arrival[target]:
                arrival[target] = there
                _rise(times, nodes, count, there, targets[edge])
                count += np.uint64(1)
    return arrival, np.int64(UNREACHABLE_NS)
