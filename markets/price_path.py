"""The external price: one path per seed, seen alike by every run at whatever time it looks.

Time is cut into base cells of 2^30 ns. A *source* says where the log price starts and ends in each cell;
inside a cell the path is Lévy's dyadic construction of a Brownian bridge (Lévy, 1948; Glasserman, 2004,
section 3.1): the value in the middle of an interval of length :math:`h` between :math:`x_0` and :math:`x_1`
is

.. math:: (x_0 + x_1) / 2 + \\sqrt{\\sigma^2 h / 4}\\; Z,

with :math:`Z` a keyed draw of (cell, place in the tree of midpoints). Nothing is remembered and nothing
depends on who looked first: a look-up walks from the cell down to the resolution, and a coarser resolution
stops earlier on the same walk.
"""

import copy
import math
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_normal, stream_key
from blockspace.network.state import Stateful

CELL_BITS = 30
CELL_NS = 1 << CELL_BITS
CELL_SECONDS = CELL_NS * 1e-9
NODES = 4096  # cells in the ring, a power of two: look-ups reach back more than an hour
CHUNK = 256  # cells asked of a source at a time
MAX_JUMPS = 4
BRIDGE_STREAM = "price/bridge"

_RING = NODES - 1
_SQRT_HALF = math.sqrt(0.5)

NODE = np.dtype(
    [
        ("log_price", "f8"),  # natural logarithm of dollars at the cell's start
        ("log_price_end", "f8"),  # the same at its end, before the jumps of this cell are added
        ("variance", "f8"),  # of the log price, per second
        ("jumps", "u1"),
        ("jump_time", "i8", (MAX_JUMPS,)),  # nanoseconds from the start of the run
        ("jump_size", "f8", (MAX_JUMPS,)),  # added to the log price
    ],
    align=True,
)

PRICE_PATH = np.dtype(
    [
        ("nodes", NODE, (NODES,)),  # cell k lies at k modulo NODES
        ("filled", "i8"),  # cells 0 to filled - 1 have been filled, the last NODES of them are kept
        ("bridge_key", "u8"),
        ("resolution", "i8"),  # nanoseconds, a power of two of at most CELL_NS
    ],
    align=True,
)


@kernel
def bridge_at(key, cell, left, right, variance, time, resolution):
    """Value at ``time`` of the bridge of ``cell`` from ``left`` to ``right``.

    ``variance`` is per second; ``time`` is in nanoseconds and only its place within the cell matters.
    """
    deviation = 0.5 * math.sqrt(variance * CELL_SECONDS)
    place = np.uint64(1)  # in the tree of midpoints: the children of i are 2i and 2i + 1
    width = np.int64(CELL_NS)
    while width > resolution:
        width >>= 1
        middle = 0.5 * (left + right) + deviation * draw_normal(key, cell, np.int64(place))
        place += place
        if time & width:
            left = middle
            place += np.uint64(1)
        else:
            right = middle
        deviation *= _SQRT_HALF
    return left


@kernel
def log_price_at(path, time):
    """Natural logarithm of the price, in dollars, at ``time`` rounded down to the path's resolution.

    ``path`` is a record of ``PRICE_PATH``; ``time`` is in integer nanoseconds from the start, and what lies
    before the start is the start. The cell of ``time`` must be below ``path.filled`` and among the last
    ``NODES`` filled: nothing is checked here.
    """
    time = max(np.int64(time), np.int64(0)) & -path.resolution
    cell = time >> CELL_BITS
    node = path.nodes[np.uint64(cell & _RING)]
    log_price = bridge_at(
        path.bridge_key, cell, node.log_price, node.log_price_end, node.variance, time, path.resolution
    )
    for jump in range(node.jumps):
        if node.jump_time[jump] <= time:
            log_price += node.jump_size[jump]
    return log_price


@kernel
def price_at(path, time):
    """Price in dollars at ``time``, under the conditions of :func:`log_price_at`."""
    return math.exp(log_price_at(path, time))


@kernel
def _price_at(paths, time):
    return price_at(paths[0], time)


@kernel
def _prices_at(paths, times, prices):
    for index in range(times.size):
        prices[index] = price_at(paths[0], times[index])


class PriceSource(Protocol):
    """What a :class:`PricePath` needs of a source; :mod:`blockspace.markets.price_sources` has some.

    A source may be written in plain vectorised Python. This one moves with the tide, without noise:

    >>> class Tide:
    ...     initial_price = 2_000.0
    ...
    ...     def fill(self, first_cell, count):
    ...         edges_s = np.arange(first_cell, first_cell + count + 1) * CELL_SECONDS
    ...         level = np.log(self.initial_price) + 0.1 * np.sin(edges_s / 7_000.0)
    ...         nodes = np.zeros(count, NODE)
    ...         nodes["log_price"], nodes["log_price_end"] = level[:-1], level[1:]
    ...         return nodes
    >>> round(PricePath(Tide(), resolution_ns=2**20, seed=1).price(7_000.0), 2)
    2175.58
    """

    @property
    def initial_price(self) -> float:
        """Price at time 0, in dollars."""

    def fill(self, first_cell: int, count: int) -> npt.NDArray[Any]:
        """Return the next cells, an array of ``NODE``.

        Parameters
        ----------
        first_cell
            0 in the first call, then the cell after the last that was returned.
        count
            Number of cells wanted. A source that ends returns fewer, and then none.
        """


class PricePath(Stateful):
    """The external price of one run.

    Parameters
    ----------
    source
        Where the price goes from cell to cell. The path works on a copy, so one source may serve many paths.
    resolution_ns
        The path is constant over steps of this many nanoseconds, a power of two of at most 2^30. Every
        halving costs a look-up one more midpoint. Paths that differ in resolution alone agree wherever both
        have a step.
    seed
        Seed of the run, and of the source.

    Attributes
    ----------
    record
        One-element array of ``PRICE_PATH``, for kernels.
    """

    CONSTANTS: ClassVar = ("source",)
    PARTS: ClassVar = ("_running_source",)

    def __init__(self, source: PriceSource, resolution_ns: int, seed: int) -> None:
        if not 1 <= resolution_ns <= CELL_NS or resolution_ns & (resolution_ns - 1):
            allowed = f"a power of two from 1 to {CELL_NS}"
            raise ValueError(f"resolution_ns is {resolution_ns}, but must be {allowed}.")
        self.source = source
        self.resolution_ns = resolution_ns
        self.seed = seed
        self.record = np.zeros(1, PRICE_PATH)
        self.record["bridge_key"] = stream_key(seed, BRIDGE_STREAM)
        self.record["resolution"] = resolution_ns
        self._running_source = copy.deepcopy(source)
        self._covered_ns = 0

    def extend(self, until_ns: int) -> None:
        """Make sure that look-ups up to and including ``until_ns`` find their cell.

        The ring forgets what lies more than 68 minutes before the latest time asked for.
        """
        while until_ns >= self._covered_ns:
            first_cell = self._covered_ns >> CELL_BITS
            nodes = self._running_source.fill(first_cell, CHUNK)
            if not len(nodes):
                name = getattr(self.source, "name", "The source of prices")
                end_s, until_s = first_cell * CELL_SECONDS, until_ns * 1e-9
                raise ValueError(f"{name} ends at {end_s:.10g} s, but is asked for {until_s:.10g} s.")
            filled = first_cell + len(nodes)
            self.record["nodes"][0, np.arange(first_cell, filled) & _RING] = nodes
            self.record["filled"] = filled
            self._covered_ns = filled << CELL_BITS

    def price(self, time_s: float) -> float:
        """Price in dollars at ``time_s`` seconds; see :meth:`prices`."""
        time_ns = round(time_s * 1e9)
        if max(0, self._covered_ns - (NODES << CELL_BITS)) <= time_ns < self._covered_ns:
            return float(_price_at(self.record, np.int64(time_ns)))
        return float(self.prices(np.array([time_s]))[0])

    def prices(self, times_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Prices in dollars at any times, in seconds and in any order.

        A run under way is not disturbed: times outside the ring are read from a second path, filled from the
        start.
        """
        times_ns = np.rint(np.asarray(times_s, np.float64) * 1e9).astype(np.int64)
        prices = np.empty(times_ns.shape)
        oldest_ns = max(0, self._covered_ns - (NODES << CELL_BITS))
        if times_ns.size and oldest_ns <= times_ns.min() and times_ns.max() < self._covered_ns:
            _prices_at(self.record, times_ns.ravel(), prices.ravel())
            return prices
        reader = PricePath(self.source, self.resolution_ns, self.seed)
        order = np.argsort(times_ns, axis=None)
        ascending = times_ns.ravel()[order]
        found = np.empty(ascending.size)
        start = 0
        while start < ascending.size:
            reader.extend(int(ascending[start]))
            stop = int(np.searchsorted(ascending, reader._covered_ns))
            _prices_at(reader.record, ascending[start:stop], found[start:stop])
            start = stop
        prices.ravel()[order] = found
        return prices
