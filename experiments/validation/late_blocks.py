"""V38: blocks that come too late to count, by their size and by the line of who made them."""

import math

import networkx as nx
import numpy as np

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, target
from blockspace.network.topology import nodes_of_kind

SOURCE = "shortest paths, exponential delays"
ORDER = "Schwarz-Schilling and others (2023)"
SLOT_S, DEADLINE_S, JITTER_S, NEEDED_SHARE = 12.0, 4.0, 0.5, 0.6
VERIFICATION_NS_PER_GAS = 5.0
TRANSACTIONS, GAS = 40, 500_000
KILOBYTES = (250, 500, 750, 1_000)


def reach_s(graph: nx.Graph, producer: str, size: int, gas: int, needed_share: float) -> float:
    """Seconds until validators with a share of the stake have a block, all peers being served at once."""
    validators = graph.subgraph(nodes_of_kind(graph, "validator"))

    def hop(sender: str, receiver: str, edge: dict[str, float]) -> float:
        upload = validators.nodes[sender]["bandwidth_mbps"] / validators.degree[sender]
        bandwidth = min(upload, validators.nodes[receiver]["download_mbps"])
        return 1e-3 * edge["latency_ms"] + 8e-6 * size / bandwidth + 1e-9 * VERIFICATION_NS_PER_GAS * gas

    ways = nx.DiGraph()
    for first, second, edge in validators.edges(data=True):
        ways.add_edge(first, second, way=hop(first, second, edge))
        ways.add_edge(second, first, way=hop(second, first, edge))
    arrival = nx.single_source_dijkstra_path_length(ways, producer, weight="way")
    held = 0.0
    for node, time_s in sorted(arrival.items(), key=lambda item: item[1]):
        held += validators.nodes[node]["stake_share"]
        if held >= needed_share:
            return float(time_s)
    return math.inf


def missed_share(reaches_s: np.ndarray, weights: np.ndarray) -> float:
    """Chance that a block misses the deadline, averaged over producers, where its way has a random part."""
    chances = np.exp(-np.maximum(DEADLINE_S - reaches_s, 0.0) / JITTER_S)
    return float(chances @ weights / weights.sum())


def _run(kilobytes: int, slots: int) -> Market:
    """A chain whose blocks are full of transactions that take so many kilobytes together."""
    size = 1_000 * kilobytes // TRANSACTIONS
    scenario = bare_scenario(
        {
            "chain": {
                "block_time_s": SLOT_S,
                "gas_limit": TRANSACTIONS * GAS,
                "byte_limit": 10**9,
                "verification_ns_per_gas": VERIFICATION_NS_PER_GAS,
            },
            "fee_market": {"rule": "fixed", "base_fee_wei": 0},
            "topology": {"validators": 100, "home_validator_share": 0.4, "peers": 8, "latency_scale": 1.0},
            "attestation": {"deadline_s": DEADLINE_S, "jitter_s": JITTER_S, "needed_share": NEEDED_SHARE},
            "background_users": {
                "arrivals_per_s": 4.0 * TRANSACTIONS / SLOT_S,
                "gas_mean": GAS,
                "bytes": size,
                "patience_s": 24.0,
            },
        }
    )
    market = Market(scenario, seed=38, tapes="none")
    market.run_for((slots + 0.5) * SLOT_S)
    return market


@target("V38")
def late_blocks(quick: bool) -> list[Row]:
    """Missed slots by size and by line, against shortest paths; their convexity in size; who is hit first."""
    rows, shares, by_line = [], [], []
    for kilobytes in KILOBYTES:
        market = _run(kilobytes, 6_000 if quick else 40_000)
        chain = market.world.chain
        attestation, graph = chain.attestation, chain.graph
        assert attestation is not None
        carried = market.blocks()["transactions"]
        size, gas = 1_000 * kilobytes, TRANSACTIONS * GAS
        what = f"blocks of {kilobytes} kB with room left"
        rows.append(compare("V38", what, 0, int((carried.iloc[5:] < TRANSACTIONS).sum()), source="identity"))
        validators = nodes_of_kind(graph, "validator")
        reaches = np.array([reach_s(graph, node, size, gas, NEEDED_SHARE) for node in validators])
        at_home = np.array([graph.nodes[node]["home"] for node in validators])
        for line, chosen in (("home", at_home), ("data centre", ~at_home)):
            theory = missed_share(reaches[chosen], chain.stake[chosen])
            slots = int(attestation.slots[chosen].sum())
            error = math.sqrt(theory * (1.0 - theory) / slots)
            what = f"share of slots missed: blocks of {kilobytes} kB made at {line}"
            found = attestation.missed_share(chosen)
            rows.append(compare("V38", what, theory, found, relative=0.02, standard_error=error, source=SOURCE))
        by_line.append((attestation.missed_share(at_home), attestation.missed_share(~at_home)))
        shares.append(attestation.missed_share())
    what = "sizes at which home validators miss more than those in data centres"
    more = sum(home > centre for home, centre in by_line)
    rows.append(compare("V38", what, len(KILOBYTES), more, source=ORDER))
    what = "steps in size after which another one adds more missed slots than the one before"
    rows.append(compare("V38", what, len(KILOBYTES) - 2, int((np.diff(shares, 2) > 0).sum()), source=ORDER))
    return rows
