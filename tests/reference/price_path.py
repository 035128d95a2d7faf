"""The external price: nodes from the package's source, and the dyadic bridge between them in plain Python."""

import math
from typing import NamedTuple

from blockspace.markets.price_path import NODES

from .draws import draw_normal

CELL_NS = 2**30
CELL_S = CELL_NS * 1e-9


class Node(NamedTuple):
    """Where the log price starts and ends in a cell, before jumps."""

    start: float
    end: float
    variance: float  # per second
    jumps: tuple[tuple[int, float], ...]  # time and size


class ReferencePath:
    def __init__(self, path):
        self.source = path
        self.key = int(path.record["bridge_key"][0])
        self.resolution = path.resolution_ns
        self.nodes = []

    def extend(self, until_ns):
        """Read every cell up to that of ``until_ns``, as the source fills them."""
        self.source.extend(until_ns)
        record = self.source.record[0]
        for cell in range(len(self.nodes), int(record["filled"])):
            node = record["nodes"][cell % NODES]
            times, sizes = node["jump_time"].tolist(), node["jump_size"].tolist()
            jumps = tuple(zip(times, sizes, strict=True))[: int(node["jumps"])]
            ends = float(node["log_price"]), float(node["log_price_end"])
            self.nodes.append(Node(*ends, float(node["variance"]), jumps))

    def node_at(self, time):
        return self.nodes[time // CELL_NS]

    def price_at(self, time):
        """Price in dollars at ``time`` (ns), rounded down to the resolution."""
        time = max(time, 0) // self.resolution * self.resolution
        cell, place_in_cell = divmod(time, CELL_NS)
        node = self.nodes[cell]
        log_price = self.bridge(cell, node, place_in_cell)
        for jump_time, size in node.jumps:
            if jump_time <= time:
                log_price += size
        return math.exp(log_price)

    def bridge(self, cell, node, time):
        """Halve the interval that holds ``time`` until it is as short as the resolution (Lévy, 1948)."""
        left, right = node.start, node.end
        deviation = 0.5 * math.sqrt(node.variance * CELL_S)
        width, place = CELL_NS, 1
        while width > self.resolution:
            width //= 2
            middle = 0.5 * (left + right) + deviation * draw_normal(self.key, cell, place)
            if time & width:
                left, place = middle, 2 * place + 1
            else:
                right, place = middle, 2 * place
            deviation *= math.sqrt(0.5)
        return left
