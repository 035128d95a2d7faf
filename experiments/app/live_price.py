"""An external price whose volatility can be changed, and that can be made to fall, while a market runs."""

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.markets.price_path import CELL_BITS, CELL_SECONDS, NODES, PricePath, PriceSource
from blockspace.network.state import Stateful

FALL_LASTS_S = 120.0
"""Seconds that a crash takes."""


class LivePrice(Stateful):
    """A source of prices whose moves are those of another one, stretched, and with a fall now and then.

    Parameters
    ----------
    source
        The other one, at wherever it has come to.
    log_price
        Logarithm of the price in dollars with which the next cell begins.
    """

    PARTS: ClassVar = ("source",)

    def __init__(self, source: PriceSource, log_price: float) -> None:
        self.source = source
        self.log_price = log_price
        self.factor = 1.0
        self.falls = np.zeros(0)  # of the log price, in the cells to come

    @property
    def initial_price(self) -> float:
        """Price at time 0, in dollars."""
        return self.source.initial_price

    def fill(self, first_cell: int, count: int) -> npt.NDArray[Any]:
        """Return the next cells."""
        nodes = self.source.fill(first_cell, count)
        falls, self.falls = self.falls[: len(nodes)], self.falls[len(nodes) :]
        self.log_price = stretch(nodes, self.log_price, self.factor, falls)
        return nodes


def stretch(nodes: npt.NDArray[Any], log_price: float, factor: float, falls: npt.NDArray[np.float64]) -> float:
    """Change cells in place: they begin at ``log_price``, all moves are multiplied, and some cells fall.

    Returns the logarithm of the price after the last of them.
    """
    used = np.arange(nodes["jump_size"].shape[1]) < nodes["jumps"][:, None]
    nodes["jump_size"] *= factor
    jumps = np.where(used, nodes["jump_size"], 0.0).sum(axis=1)
    moves = factor * (nodes["log_price_end"] - nodes["log_price"])
    moves[: len(falls)] += falls
    after = log_price + np.cumsum(moves + jumps)
    nodes["log_price"] = np.concatenate([[log_price], after[:-1]])
    nodes["log_price_end"] = nodes["log_price"] + moves
    nodes["variance"] *= factor**2
    return float(after[-1]) if len(after) else log_price


def make_live(path: PricePath) -> LivePrice:
    """Let a path's coming moves be changed; nothing changes until they are."""
    record = path.record[0]
    last = record["nodes"][(int(record["filled"]) - 1) % NODES]
    jumps = float(last["jump_size"][: int(last["jumps"])].sum())
    live = LivePrice(path._running_source, float(last["log_price_end"]) + jumps)
    path._running_source = live
    return live


def change_moves(
    path: PricePath, live: LivePrice, from_ns: int, factor: float | None = None, fall: float | None = None
) -> None:
    """Change the moves of the price from a time on.

    Parameters
    ----------
    path, live
        The path, and what :func:`make_live` made of its source.
    from_ns
        When. What anybody can have seen already must come before it: the change begins with the next cell.
    factor
        By which the moves of the other source are multiplied.
    fall
        Share of its value that the price loses over the next :data:`FALL_LASTS_S` seconds.
    """
    record = path.record[0]
    first, filled = (from_ns >> CELL_BITS) + 1, int(record["filled"])
    count = max(filled - first, 0)
    places = np.arange(filled - count, filled) % NODES
    nodes = record["nodes"][places]
    falls = np.zeros(0)
    if fall is not None:
        cells = math.ceil(FALL_LASTS_S / CELL_SECONDS)
        falls = np.full(cells, math.log1p(-fall) / cells)
    ratio = 1.0 if factor is None else factor / live.factor
    if count:
        last = stretch(nodes, float(nodes["log_price"][0]), ratio, falls[:count])
        record["nodes"][places] = nodes
        live.log_price = last
    length = max(len(live.falls), len(falls) - count, 0)
    live.falls = np.pad(live.falls, (0, length - len(live.falls)))
    later = falls[count:]
    live.falls[: len(later)] += later
    live.factor *= ratio
