"""Sweeps: one scenario at several points, with the same seeds at each.

A sweep is data: what is varied is a list of points, each a name, the swept values and the settings that they stand
for. The points of a study are written out in its file; :func:`grid`, :func:`zipped` and :func:`sample` make them from
values or ranges of settings, and :func:`against` from a second scenario.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from blockspace.experiments.errors import UserError
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario, differences, is_whole_number
from blockspace.network.settings import did_you_mean

Method = Literal["latin hypercube", "sobol"]


class Measurement(Protocol):
    """What a sweep measures of each finished run besides its summary: a frozen dataclass that can be called.

    It is called in the process that made the run. Its ``repr`` and the code of its module say what it depends on: runs
    are made again if either has changed. One that reads trades or transactions has an attribute ``reads_tapes`` that is
    true: tapes are kept for it then, on disk, until it has been called.
    """

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Further measures of a finished run, by name."""


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Attributes
    ----------
    name
        What it is called, with its unit.
    values
        Swept values by column name; the first is what figures have on their horizontal axis.
    overrides
        Settings by dotted path, as :func:`~blockspace.experiments.scenario.load_scenario` takes them.
    """

    name: str
    values: Mapping[str, Any]
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A scenario, the points at which it is run, and the seeds that all of them share.

    Attributes
    ----------
    scenario
        Base scenario.
    points
        In the order in which they are shown.
    seeds
        The same at every point, so that points can be compared seed by seed.
    reference
        Name of the point that others are compared with.
    measurement
        What is measured of each run besides its summary.
    """

    scenario: Scenario
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    reference: str
    measurement: Measurement | None = None

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if len(set(names)) < len(names):
            raise UserError("two points of the sweep have the same name; each must have its own")
        if len({tuple(point.values) for point in self.points}) > 1:
            raise UserError("the points of the sweep have values of different names; all must have the same")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds is {list(self.seeds)}; it must hold at least one seed, and none twice")
        if self.reference not in names:
            raise UserError(f"reference is {self.reference!r}; it may be {', '.join(names)}")

    @property
    def swept(self) -> list[str]:
        """Names of the columns of swept values."""
        return list(self.points[0].values)

    def describe(self) -> dict[str, Any]:
        """Points, seeds and reference as plain data."""
        return {
            "points": [asdict(point) for point in self.points],
            "seeds": list(self.seeds),
            "reference": self.reference,
        }


@dataclass(frozen=True)
class Range:
    """Values of a setting between two ends.

    Attributes
    ----------
    low, high
        Ends, in the unit of the setting.
    log
        Whether equal ratios, rather than equal distances, are equally likely.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UserError(f"a range is {self.low:g} to {self.high:g}; its lower end must be below its upper end")
        if self.log and self.low <= 0:
            raise UserError(f"a logarithmic range begins at {self.low:g}; it must begin above 0")

    def at(self, share: float) -> float:
        """Value at a share of the way, 0 to 1."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + share * (self.high - self.low))

    def share_of(self, value: float) -> float:
        """Share of the way at which a value lies: the inverse of :meth:`at`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def grid(settings: Mapping[str, Sequence[Any]]) -> tuple[Point, ...]:
    """Make a point of every combination of the values; the last setting varies fastest.

    Parameters
    ----------
    settings
        Values by the dotted path of the setting.

    Examples
    --------
    >>> [point.name for point in grid({"chain.gas_limit": [15_000_000, 30_000_000], "chain.block_time_s": [6, 12]})]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['gas_limit=15000000, block_time_s=6', 'gas_limit=15000000, block_time_s=12',
     'gas_limit=30000000, block_time_s=6', 'gas_limit=30000000, block_time_s=12']
    """
    _require_values(settings)
    return tuple(_point(dict(zip(settings, row, strict=True))) for row in itertools.product(*settings.values()))


def zipped(settings: Mapping[str, Sequence[Any]]) -> tuple[Point, ...]:
    """Make a point of the first values of all settings, one of the second ones, and so on.

    Raises
    ------
    ValueError
        If the settings do not all have the same number of values.
    """
    _require_values(settings)
    counts = {path: len(values) for path, values in settings.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{path} {count}" for path, count in counts.items())
        raise UserError(f"settings that go together must have equally many values; there are of {told}")
    return tuple(_point(dict(zip(settings, row, strict=True))) for row in zip(*settings.values(), strict=True))


def sample(
    ranges: Mapping[str, Range], count: int, method: Method = "latin hypercube", seed: int = 0
) -> tuple[Point, ...]:
    """Spread points evenly over ranges of settings.

    Parameters
    ----------
    ranges
        By the dotted path of the setting. Values of settings that are whole numbers are rounded.
    count
        Number of points; of a Sobol sequence (Sobol', 1967) best a power of two.
    method
        ``"latin hypercube"`` (McKay, Beckman & Conover, 1979) or ``"sobol"``, scrambled (Owen, 1998).
    seed
        Of the sample; the runs have seeds of their own.

    Raises
    ------
    ValueError
        If there is nothing to vary, too few points, or no such method.
    """
    if method not in get_args(Method):
        raise UserError(f"method is {method!r}{did_you_mean(method, get_args(Method))}; it may be {_methods()}")
    if not ranges or count < 1:
        raise UserError(f"a sample has {count} points over {len(ranges)} ranges; there must be at least one of each")
    from scipy.stats import qmc  # takes half a second, which sweeps that draw nothing are spared

    engine: Any
    if method == "sobol":
        engine = qmc.Sobol(len(ranges), rng=np.random.default_rng(seed))
        # All of the next power of two: SciPy warns of any other number, and the first of them are what was asked for.
        shares = engine.random_base2(max(count - 1, 0).bit_length())[:count]
    else:
        shares = qmc.LatinHypercube(len(ranges), rng=np.random.default_rng(seed)).random(count)
    return points_at(ranges, shares)


def points_at(ranges: Mapping[str, Range], shares: Any) -> tuple[Point, ...]:
    """Points at shares of the way through ranges.

    Parameters
    ----------
    ranges
        By the dotted path of the setting.
    shares
        Array of shape (points, ranges) with values from 0 to 1.
    """
    digits = len(str(len(shares)))
    points = []
    for number, row in enumerate(shares, start=1):
        values = {}
        for (path, reach), share in zip(ranges.items(), row, strict=True):
            value = reach.at(float(share))
            values[path] = round(value) if is_whole_number(path) else value
        points.append(Point(f"sample {number:0{digits}d}", values, values))
    return tuple(points)


def against(first: Scenario, second: Scenario) -> tuple[Point, Point]:
    """Make two points of two scenarios: the first as it is, and the first with all in which the second differs.

    Raises
    ------
    ValueError
        If the two do not differ.
    """
    apart = {path: there for path, (_, there) in differences(first, second).items()}
    if not apart.keys() - {"name", "description"}:
        raise UserError(f"{first.name} and {second.name} do not differ in any setting; there is nothing to compare")
    names = (first.name, second.name) if first.name != second.name else (first.name, f"{second.name} (second)")
    return Point(names[0], {"scenario": names[0]}, {}), Point(names[1], {"scenario": names[1]}, apart)


def _methods() -> str:
    return " or ".join(repr(method) for method in get_args(Method))


def _require_values(settings: Mapping[str, Sequence[Any]]) -> None:
    empty = [path for path, values in settings.items() if not len(values)]
    if empty or not settings:
        raise UserError(f"{empty[0] if empty else 'a sweep'} has no values; there must be at least one")


def _point(given: dict[str, Any]) -> Point:
    # 30e6 is a whole number where a setting must be one.
    values = {
        path: round(v) if isinstance(v, float) and v == round(v) and is_whole_number(path) else v
        for path, v in given.items()
    }
    leaves = {path: path.rpartition(".")[2] for path in values}
    if len(set(leaves.values())) < len(leaves):
        leaves = {path: path for path in values}
    return Point(", ".join(f"{leaves[path]}={value}" for path, value in values.items()), values, values)
