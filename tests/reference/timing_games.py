"""Timing games: how long to wait before closing a block, and whether it still arrives in time."""

import networkx as nx

from blockspace.network.draws import stream_key

from .draws import draw_exponential, draw_uniform


class Gossip:
    """When a block has got to whom, by NetworkX from its producer to everybody."""

    def __init__(self, graph, verification_ns_per_gas, scale):
        self.verification = verification_ns_per_gas if scale > 0 else 0.0
        self.stake = {node: share for node, share in graph.nodes(data="stake_share") if share is not None}
        peers = [edge for edge in graph.edges if self.stake.keys() >= set(edge)]
        edges = peers or [edge for edge in graph.edges if not any(node.startswith("access/") for node in edge)]
        fellows = nx.Graph(edges).degree
        self.ways = nx.DiGraph()
        for edge in edges:
            data = graph.edges[edge]
            for sender, receiver in (edge, edge[::-1]):
                mbps = data["bandwidth_mbps"]
                if peers:
                    upload = graph.nodes[sender]["bandwidth_mbps"] / fellows[sender]
                    mbps = min(upload, graph.nodes[receiver]["download_mbps"])
                byte = 8e3 / mbps if scale > 0 else 0.0
                self.ways.add_edge(sender, receiver, latency=round(1e6 * scale * data["latency_ms"]), byte=byte)

    def arrival(self, producer, size, gas):
        """Nanoseconds until each node has a block."""

        def hop(sender, receiver, way):
            return way["latency"] + int(way["byte"] * size + gas * self.verification)

        return nx.single_source_dijkstra_path_length(self.ways, f"validator/{producer}", weight=hop)


class Forks:
    """Whether who finds a block has got the newest one."""

    def __init__(self, gossip):
        self.gossip = gossip
        self.newest = 0
        self.arrival = {}

    def is_stale(self, time, producer):
        return time < self.newest + self.arrival.get(f"validator/{producer}", 0)

    def extend(self, time, producer, size, gas):
        self.newest = time
        self.arrival = self.gossip.arrival(producer, size, gas)


class Attestation:
    """Whether a block has reached enough stake by the deadline."""

    def __init__(self, settings, graph, verification_ns_per_gas, scale, seed):
        self.settings = settings
        self.deadline = round(settings.deadline_s * 1e9)
        self.gossip = Gossip(graph, verification_ns_per_gas, scale)
        self.key = stream_key(seed, "attestation/jitter")

    def reach(self, producer, size, gas):
        """Nanoseconds until validators with the needed share of the stake have a block."""
        arrival = self.gossip.arrival(producer, size, gas)
        held = 0.0
        for node in sorted(self.gossip.stake, key=arrival.get):
            held += self.gossip.stake[node]
            if held >= self.settings.needed_share - 1e-12:
                break
        return arrival[node]

    def is_late(self, slot, producer, delay, size, gas):
        jitter = self.settings.jitter_s * 1e9 * draw_exponential(self.key, 0, slot)
        return delay + self.reach(producer, size, gas) + jitter > self.deadline


class TimingGames:
    def __init__(self, settings, validators, deadline, seed):
        self.deadline = deadline
        key = stream_key(seed, "timing_games/players")
        self.plays = [draw_uniform(key, number, 0) < settings.share for number in range(validators)]
        self.delay_key = stream_key(seed, "timing_games/delay")
        self.usual_delay_ns = 0.0
        self.usual_revenue_gwei = 0.0

    def delay(self, slot, producer):
        if not self.plays[producer]:
            return 0
        tilt = 1.0 if draw_uniform(self.delay_key, 0, slot) < 0.5 else -1.0
        return int(self.bounded(self.usual_delay_ns + tilt * 0.1 * self.deadline))

    def bounded(self, delay):
        return min(max(delay, 0.0), float(self.deadline))

    def learn(self, producer, delay, revenue):
        if not self.plays[producer]:
            return
        if self.usual_revenue_gwei == 0.0:
            self.usual_revenue_gwei = float(revenue)
            return
        surprise = min(revenue / self.usual_revenue_gwei - 1.0, 3.0)
        tilt = (delay - self.usual_delay_ns) / (0.1 * self.deadline)
        self.usual_delay_ns = self.bounded(self.usual_delay_ns + 0.02 * self.deadline * tilt * surprise)
        self.usual_revenue_gwei += 0.05 * (revenue - self.usual_revenue_gwei)
