"""Timing games: how long to wait before closing a block, and whether it still arrives in time."""

import networkx as nx

from blockspace.network.draws import stream_key

from .draws import draw_exponential, draw_uniform


def reach(graph, producer, needed_share, scale):
    """Nanoseconds until validators with a share of the stake have a block, passed on by the producer's hub."""
    hub = f"region/{graph.nodes[producer]['region']}"
    way = nx.single_source_dijkstra_path_length(graph, hub, weight="latency_ms")
    held = 0.0
    for node in sorted((node for node, kind in graph.nodes(data="kind") if kind == "validator"), key=way.get):
        held += graph.nodes[node]["stake_share"]
        if held >= needed_share - 1e-12:
            break
    return round(round((way[producer] + way[node]) * 1e6) * scale)


class TimingGames:
    def __init__(self, settings, graph, scale, seed):
        self.deadline = round(settings.deadline_s * 1e9)
        self.jitter = settings.jitter_s * 1e9
        producers = [node for node, kind in graph.nodes(data="kind") if kind == "validator"]
        self.reach = [reach(graph, producer, settings.needed_share, scale) for producer in producers]
        key = stream_key(seed, "timing_games/players")
        self.plays = [draw_uniform(key, number, 0) < settings.share for number in range(len(producers))]
        self.delay_key = stream_key(seed, "timing_games/delay")
        self.jitter_key = stream_key(seed, "timing_games/jitter")
        self.usual_delay_ns = 0.0
        self.usual_revenue_gwei = 0.0

    def delay(self, slot, producer):
        if not self.plays[producer]:
            return 0
        tilt = 1.0 if draw_uniform(self.delay_key, 0, slot) < 0.5 else -1.0
        return int(self.bounded(self.usual_delay_ns + tilt * 0.1 * self.deadline))

    def bounded(self, delay):
        return min(max(delay, 0.0), float(self.deadline))

    def is_missed(self, slot, producer, delay):
        return delay + self.reach[producer] + self.jitter * draw_exponential(self.jitter_key, 0, slot) > self.deadline

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
