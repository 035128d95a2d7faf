"""Sources of the external price: a diffusion, a scripted path on top of one, and a table of prices."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from blockspace.markets.price_path import (
    BRIDGE_STREAM,
    CELL_BITS,
    CELL_NS,
    CELL_SECONDS,
    MAX_JUMPS,
    NODE,
    PriceSource,
    bridge_at,
)
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_normal, draw_uniform, stream_key
from blockspace.network.state import StateError, Stateful

DAY_SECONDS = 86_400.0
MAX_JUMPS_PER_DAY = 20_000.0  # a quarter of a jump per cell: 7 cells in a million would have over MAX_JUMPS
LONGEST_GAP = 5  # times the median step of a table
ROW_ONE = "the first row of data is row 1"
WINDOW = 11  # intervals that a local volatility is estimated from
_NORMAL_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal draw

_DIFFUSION = np.dtype(
    [
        ("log_price", "f8"),  # state: at the start of the next cell
        ("log_volatility", "f8"),  # state: relative to its mean
        ("drift", "f8"),  # of the log price, per cell
        ("variance", "f8"),  # per second, where log_volatility is 0
        ("decay", "f8"),  # of log_volatility, per cell
        ("shock", "f8"),  # standard deviation of its innovation, per cell
        ("jump_rate", "f8"),  # per cell
        ("jump_scale", "f8"),  # mean size (exponential) or standard deviation (normal)
        ("normal_jumps", "u1"),
        ("diffusion_key", "u8"),
        ("volatility_key", "u8"),
        ("jump_key", "u8"),
    ],
    align=True,
)

_BAR = np.dtype(
    [
        ("time", "i8"),  # nanoseconds
        ("cell", "i8"),  # the cell of that time
        ("log_price", "f8"),
        ("variance", "f8"),  # per second, in this cell and up to that of the next bar
        ("arrive", "f8"),  # log price at the start of the cell
        ("leave", "f8"),  # and at its end
    ],
    align=True,
)
_TABLE_STATE = np.dtype([("next_bar", "i8"), ("log_price", "f8")], align=True)


@kernel
def _draw_jumps(process, node, cell):
    """Draw the jumps of a cell: number by inversion of the Poisson law, times uniform. Returns their sum."""
    uniform = draw_uniform(process.jump_key, cell, 0)
    probability = math.exp(-process.jump_rate)
    total = 0.0
    count = 0
    while uniform > probability and count < MAX_JUMPS:
        uniform -= probability
        time = draw_uniform(process.jump_key, cell, 1 + 2 * count)
        if process.normal_jumps:
            size = draw_normal(process.jump_key, cell, 2 + 2 * count)
        else:
            side = 2.0 * draw_uniform(process.jump_key, cell, 2 + 2 * count)
            size = math.log(side) if side < 1.0 else -math.log(2.0 - side)
        node.jump_time[count] = cell * CELL_NS + np.int64(time * CELL_NS)
        node.jump_size[count] = process.jump_scale * size
        total += node.jump_size[count]
        count += 1
        probability *= process.jump_rate / count
    node.jumps = count
    return total


@kernel
def _fill_diffusion(processes, first_cell, nodes):
    process = processes[0]
    for offset in range(nodes.size):
        node = nodes[offset]
        cell = np.int64(first_cell + offset)
        node.log_price = process.log_price
        node.variance = process.variance * math.exp(2.0 * process.log_volatility)
        deviation = math.sqrt(node.variance * CELL_SECONDS)
        step = process.drift + deviation * draw_normal(process.diffusion_key, cell, 0)
        node.log_price_end = process.log_price + step
        process.log_price = node.log_price_end + _draw_jumps(process, node, cell)
        innovation = process.shock * draw_normal(process.volatility_key, cell, 0)
        process.log_volatility = process.decay * process.log_volatility + innovation


@dataclass(frozen=True)
class Diffusion(Stateful):
    """A log price that diffuses, with stochastic volatility and jumps if asked for.

    .. math::

        d \\ln S = \\mu\\,dt + \\sigma e^{y - v}\\,dW + J\\,dN, \\qquad dy = -\\kappa y\\,dt + \\xi\\,dB,

    with :math:`v = \\xi^2 / 2\\kappa` the stationary variance of :math:`y`, so that the mean variance is
    :math:`\\sigma^2`. :math:`y` starts from its stationary law and is constant within a cell (Scott, 1987).
    Jumps are symmetric and come as a Poisson process (Merton, 1976; Kou, 2002).

    Parameters
    ----------
    initial_price
        Price at time 0, in dollars.
    volatility_per_day
        :math:`\\sigma`, per square-root day: 0.05 moves the price by about 5 % a day.
    seed
        Seed of the run.
    drift_per_day
        :math:`\\mu` of the log price, per day.
    volatility_of_volatility_per_sqrt_day
        :math:`\\xi`, of the log volatility, per square-root day.
    volatility_half_life_s
        :math:`\\ln 2 / \\kappa`, in seconds.
    jumps_per_day
        Rate of jumps, at most 20,000.
    jump_mean_bps
        Mean absolute size of a jump, in basis points of log price.
    jump_law
        ``"exponential"`` (double-sided) or ``"normal"``.
    """

    initial_price: float
    volatility_per_day: float
    seed: int
    drift_per_day: float = 0.0
    volatility_of_volatility_per_sqrt_day: float = 0.0
    volatility_half_life_s: float = 21_600.0
    jumps_per_day: float = 0.0
    jump_mean_bps: float = 20.0
    jump_law: Literal["exponential", "normal"] = "exponential"
    _process: npt.NDArray[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("initial_price", "volatility_half_life_s"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} is {value}, but must be a number above 0.")
        for name in ("volatility_per_day", "volatility_of_volatility_per_sqrt_day", "jump_mean_bps"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{name} is {value}, but must be a number of 0 or more.")
        if not math.isfinite(self.drift_per_day):
            raise ValueError(f"drift_per_day is {self.drift_per_day}, but must be a finite number.")
        if not 0.0 <= self.jumps_per_day <= MAX_JUMPS_PER_DAY:
            limit = f"{MAX_JUMPS_PER_DAY:.0f}"
            raise ValueError(f"jumps_per_day is {self.jumps_per_day}, but must be from 0 to {limit}.")
        if self.jump_law not in ("exponential", "normal"):
            raise ValueError(f'jump_law is {self.jump_law!r}, but must be "exponential" or "normal".')
        reversion = math.log(2.0) / self.volatility_half_life_s
        stationary = self.volatility_of_volatility_per_sqrt_day**2 / DAY_SECONDS / (2.0 * reversion)
        volatility_key = np.uint64(stream_key(self.seed, "price/volatility"))
        jump_scale = self.jump_mean_bps * 1e-4
        process = np.zeros(1, _DIFFUSION)
        process["log_price"] = math.log(self.initial_price)
        process["log_volatility"] = math.sqrt(stationary) * draw_normal(volatility_key, 0, 1)
        process["drift"] = self.drift_per_day * CELL_SECONDS / DAY_SECONDS
        process["variance"] = self.volatility_per_day**2 / DAY_SECONDS * math.exp(-2.0 * stationary)
        process["decay"] = math.exp(-reversion * CELL_SECONDS)
        process["shock"] = math.sqrt(-stationary * math.expm1(-2.0 * reversion * CELL_SECONDS))
        process["jump_rate"] = self.jumps_per_day * CELL_SECONDS / DAY_SECONDS
        process["normal_jumps"] = self.jump_law == "normal"
        # the mean absolute value of a normal law is its standard deviation times sqrt(2 / pi)
        process["jump_scale"] = jump_scale * (math.sqrt(math.pi / 2.0) if self.jump_law == "normal" else 1.0)
        process["diffusion_key"] = stream_key(self.seed, "price/diffusion")
        process["volatility_key"] = volatility_key
        process["jump_key"] = stream_key(self.seed, "price/jumps")
        object.__setattr__(self, "_process", process)

    def fill(self, first_cell: int, count: int) -> npt.NDArray[Any]:
        """Return the next ``count`` cells, an array of ``NODE``."""
        nodes = np.zeros(count, NODE)
        _fill_diffusion(self._process, first_cell, nodes)
        return nodes


@dataclass(frozen=True)
class ScriptedPath(Stateful):
    """Another source, multiplied by a script: a crash of 40 % between one hour and one and a half, say.

    >>> calm = Diffusion(initial_price=2_000.0, volatility_per_day=0.05, seed=1)
    >>> crash = ScriptedPath(calm, knots=((3_600.0, 1.0), (5_400.0, 0.6)))

    Parameters
    ----------
    base
        The source that is multiplied.
    knots
        Pairs (time in seconds, multiplier), times rising from above 0. The multiplier starts from 1, is
        log-linear between knots and stays at the last. Corners are cut within their cell, of 1.07 s.
    """

    base: PriceSource
    knots: Sequence[tuple[float, float]]
    PARTS: ClassVar = ("base",)

    def __post_init__(self) -> None:
        previous = 0.0
        for time_s, multiplier in self.knots:
            if not previous < time_s < math.inf:
                raise ValueError(f"knots has {time_s} s after {previous} s, but times must rise above 0.")
            if not 0.0 < multiplier < math.inf:
                raise ValueError(f"knots has {multiplier} at {time_s} s, but multipliers must be above 0.")
            previous = time_s

    @property
    def initial_price(self) -> float:
        """Price at time 0, in dollars: that of the base."""
        return self.base.initial_price

    def fill(self, first_cell: int, count: int) -> npt.NDArray[Any]:
        """Return the next cells, an array of ``NODE``: up to ``count``, as the base has them."""
        nodes = self.base.fill(first_cell, count)
        edges_s = np.arange(first_cell, first_cell + len(nodes) + 1) * CELL_SECONDS
        times_s = [0.0] + [time_s for time_s, _ in self.knots]
        logs = [0.0] + [math.log(multiplier) for _, multiplier in self.knots]
        script = np.interp(edges_s, times_s, logs)
        nodes["log_price"] += script[:-1]
        nodes["log_price_end"] += script[1:]
        return nodes


def check_table(times_s: npt.NDArray[np.float64], prices: npt.NDArray[np.float64], name: str) -> None:
    """Raise a ValueError that names the first row of a table of prices that cannot be used."""

    def refuse(bad: npt.NDArray[np.bool_], sentence: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            found = sentence.format(time=times_s[row], before=times_s[row - 1], price=prices[row])
            raise ValueError(f"{name}, row {row + 1} ({ROW_ONE}): {found}.")

    if len(prices) < 2:
        raise ValueError(f"{name} has too few prices, {len(prices)}, but must have two or more.")
    refuse(np.isnan(prices), "the price is missing, but must be a number above 0")
    refuse(~(prices > 0.0) | np.isinf(prices), "the price is {price:.10g}, but must be a number above 0")
    steps_s = np.diff(times_s, prepend=-math.inf)
    refuse(steps_s == 0.0, "the time {time:.10g} s is the same as in the row before, but times must rise")
    refuse(steps_s < 0.0, "the time {time:.10g} s comes after {before:.10g} s, but times must rise")
    steps_s[0] = 0.0
    longest_s = LONGEST_GAP * float(np.median(steps_s[1:]))
    refuse(
        steps_s > longest_s,
        f"there is a gap from {{before:.10g}} s to {{time:.10g}} s, but a step may be at most "
        f"{longest_s:.10g} s, {LONGEST_GAP} times the median",
    )


def local_variance(times_s: npt.NDArray[np.float64], prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Variance of the log price per second, in each interval between two neighbouring bars.

    The median of :math:`|r| / \\sqrt{\\Delta t}` over the interval and the five on either side, divided by
    the median of :math:`|Z|`, and squared: a jump or two among them do not raise it (compare the MedRV of
    Andersen, Dobrev and Schaumburg, 2012). At the ends of the table the nearest such window is taken.
    """
    moves = np.abs(np.diff(_logarithms(prices))) / np.sqrt(np.diff(times_s))
    window = min(WINDOW, moves.size)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(moves, window), axis=1)
    first = np.clip(np.arange(moves.size) - window // 2, 0, medians.size - 1)
    return (medians[first] / _NORMAL_MEDIAN) ** 2


def _logarithms(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # numpy's vectorised logarithm differs from one processor to the next
    return np.array([math.log(price) for price in prices.tolist()])


@kernel
def _anchor(bars, keys):
    """Place the edges of every bar's cell so that the path inside it passes through the bar.

    At the fraction f of its cell, where the bar lies, the bridge from 0 to 0 has some value b. An increment d
    over the cell then puts the edges at bar - b - f d and bar - b + (1 - f) d. It is drawn from its law given
    the bars on either side: a Gaussian, with remaining distances measured in cells.
    """
    for index in range(bars.size):
        bar = bars[index]
        fraction = (bar.time - bar.cell * CELL_NS) / CELL_NS
        bridge = bridge_at(keys[0], bar.cell, 0.0, 0.0, bar.variance, bar.time, 1)
        precision = 1.0
        pull = 0.0
        if index > 0:
            distance = (bar.time - bars[index - 1].time) / CELL_NS - fraction
            precision += fraction * fraction / distance
            pull += fraction * (bar.log_price - bars[index - 1].log_price - bridge) / distance
        if index < bars.size - 1:
            rest = 1.0 - fraction
            distance = (bars[index + 1].time - bar.time) / CELL_NS - rest
            precision += rest * rest / distance
            pull += rest * (bars[index + 1].log_price - bar.log_price + bridge) / distance
        deviation = math.sqrt(bar.variance * CELL_SECONDS / precision)
        increment = pull / precision + deviation * draw_normal(keys[1], bar.cell, 0)
        bar.arrive = bar.log_price - bridge - fraction * increment
        bar.leave = bar.arrive + increment


@kernel
def _fill_table(bars, keys, states, first_cell, nodes):
    state = states[0]
    for offset in range(nodes.size):
        node = nodes[offset]
        cell = np.int64(first_cell + offset)
        bar = bars[state.next_bar]
        if cell == bar.cell:
            node.log_price = bar.arrive
            node.log_price_end = bar.leave
            node.variance = bar.variance
            state.next_bar += 1
        else:
            remaining = bar.cell - cell
            node.log_price = state.log_price
            node.variance = bars[state.next_bar - 1].variance
            deviation = math.sqrt(node.variance * CELL_SECONDS * (remaining - 1) / remaining)
            step = (bar.arrive - node.log_price) / remaining + deviation * draw_normal(keys[1], cell, 0)
            node.log_price_end = node.log_price + step
        state.log_price = node.log_price_end


class PriceTable(Stateful):
    """Prices at given times, from a file for instance, and a Brownian bridge between them.

    The path passes through every bar, and a look-up sees it to within its resolution. In between it has the
    volatility of the bars nearby (:func:`local_variance`). Tables finer than two or three seconds are thinned
    so that a whole cell lies between one bar's and the next.

    Parameters
    ----------
    times_s
        Times of the bars in seconds, the first 0.
    prices
        Prices in dollars.
    seed
        Seed of the run, which must be that of the path.
    name
        What messages call the table, for example the name of the file.

    Attributes
    ----------
    initial_price
        Price of the first bar, in dollars.
    last_time_s
        Time of the last bar, in seconds.
    """

    CONSTANTS: ClassVar = ("name", "_bars", "_keys")

    def __init__(self, times_s: npt.ArrayLike, prices: npt.ArrayLike, seed: int, name: str = "The table") -> None:
        times = np.asarray(times_s, np.float64)
        values = np.asarray(prices, np.float64)
        check_table(times, values, name)
        if times[0] != 0.0:
            raise ValueError(f"{name} starts at {times[0]:.10g} s, but must start at 0 s.")
        times_ns = np.rint(times * 1e9).astype(np.int64)
        cells = times_ns >> CELL_BITS
        if cells[-1] < 2:
            shortest_s = 2 * CELL_SECONDS
            raise ValueError(f"{name} lasts {times[-1]:.10g} s, but must last {shortest_s:.4g} s or more.")
        kept = [0]
        for bar, cell in enumerate(cells.tolist()):
            if cell >= cells[kept[-1]] + 2:
                kept.append(bar)
        kept[-1] = len(times) - 1
        variance = local_variance(times[kept], values[kept])
        self.name = name
        self.initial_price = float(values[0])
        self.last_time_s = float(times[-1])
        self._keys = np.array([stream_key(seed, BRIDGE_STREAM), stream_key(seed, "price/table")], np.uint64)
        self._bars = np.zeros(len(kept), _BAR)
        self._bars["time"] = times_ns[kept]
        self._bars["cell"] = cells[kept]
        self._bars["log_price"] = _logarithms(values[kept])
        self._bars["variance"] = np.append(variance, variance[-1])
        self._state = np.zeros(1, _TABLE_STATE)
        _anchor(self._bars, self._keys)
        self._digest = hashlib.blake2b(self._bars.tobytes(), digest_size=16).hexdigest()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on in the middle of the same table.

        Raises
        ------
        StateError
            If the table has other prices.
        """
        if state["_digest"] != self._digest:
            raise StateError(f"{self.name} does not hold the prices that the checkpoint was made with")
        super().restore(state)

    def fill(self, first_cell: int, count: int) -> npt.NDArray[Any]:
        """Return the next cells, an array of ``NODE``: up to ``count``, none beyond that of the last bar."""
        left = int(self._bars["cell"][-1]) + 1 - first_cell
        nodes = np.zeros(min(count, left), NODE)
        _fill_table(self._bars, self._keys, self._state, first_cell, nodes)
        return nodes
