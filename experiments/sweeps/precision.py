"""A stopping rule: seeds are added until means are as precise as was asked for.

The interval of a mean shrinks with the root of the number of seeds, so that what has been made so far tells how many
are needed. Looking at intervals again and again until they are narrow enough makes them a little too narrow; with the
fewest seeds below, the error of their coverage is small (Chow & Robbins, 1965; Glynn & Whitt, 1992).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from blockspace.experiments.errors import UserError
from blockspace.experiments.reports.tables import format_number
from blockspace.network.settings import did_you_mean

FEWEST_SEEDS = 6
"""Seeds with which to begin: of fewer, an interval says little of its own width."""


@dataclass(frozen=True)
class Precision:
    """How well a mean is to be known.

    Attributes
    ----------
    measure
        Name of a measure.
    half_width
        Half of the width that the 95 % interval of the mean may have at every point, in the unit of the measure or,
        if ``relative``, as a share of the mean.
    """

    measure: str
    half_width: float
    relative: bool

    def __str__(self) -> str:
        return (
            f"{self.measure}: {100 * self.half_width:g}%" if self.relative else f"{self.measure}: {self.half_width:g}"
        )


@dataclass(frozen=True)
class Shortfall:
    """A mean that is not known well enough: where, its half-width over the one asked for, and what was asked for."""

    point: str
    precision: Precision
    ratio: float

    def __str__(self) -> str:
        scale, unit = (100, " %") if self.precision.relative else (1, "")
        wanted = scale * self.precision.half_width
        known = format_number(wanted * self.ratio)
        return (
            f"{self.precision.measure} is known to ±{known}{unit} at {self.point}, "
            f"where ±{format_number(wanted)}{unit} is asked for"
        )


def read_precisions(texts: Iterable[str], measures: Sequence[str]) -> list[Precision]:
    """Precisions from text such as ``"effective_spread_bps: 2%"`` or ``"base_fee_gwei: 0.1"``.

    Parameters
    ----------
    texts
        Each a measure, a colon, and a share of the mean in per cent or a number in the measure's own unit. The end of
        a name stands for all measures that end so: ``spread_bps`` for every spread.
    measures
        Names of the measures that there are.

    Raises
    ------
    ValueError
        If a text is not of that form, or names no measure.
    """
    precisions = []
    for text in texts:
        name, colon, amount = (part.strip() for part in text.partition(":"))
        number = amount.removesuffix("%")
        try:
            half_width = float(number) / (100 if amount.endswith("%") else 1)
        except ValueError:
            half_width = math.nan
        if not (colon and name and 0 < half_width < math.inf):
            raise UserError(f"until is {text!r}; it must be MEASURE: NUMBER or MEASURE: NUMBER%, above 0")
        meant = [measure for measure in measures if measure == name] or [
            measure for measure in measures if measure.endswith(f"_{name}")
        ]
        if not meant:
            raise UserError(f"until is {text!r}; there is no measure {name!r}{did_you_mean(name, measures)}")
        precisions += [Precision(measure, half_width, amount.endswith("%")) for measure in meant]
    return precisions


def shortfalls(table: pd.DataFrame, precisions: Iterable[Precision], seeds: int) -> list[Shortfall]:
    """Means that are not known well enough, the worst first.

    Points at which a measure could be taken in less than half of the seeds are left out: there is no market to speak
    of, and no number of seeds would make one.
    """
    lacking = []
    for precision in precisions:
        for row in table[table["measure"] == precision.measure].itertuples():
            if 2 * row.seeds < seeds:
                continue
            half_width = (row.high - row.low) / 2
            wanted = precision.half_width * (abs(row.mean) if precision.relative else 1.0)
            ratio = half_width / wanted if wanted > 0 else (math.inf if half_width > 0 else 0.0)
            if not ratio <= 1:
                lacking.append(Shortfall(row.point, precision, ratio))
    return sorted(lacking, key=lambda one: -one.ratio)


def seeds_wanted(lacking: Sequence[Shortfall], seeds: int, most: int) -> int:
    """How many seeds to go on with: as many as should be enough, but at most twice as many at a time."""
    ratio = lacking[0].ratio
    enough = math.ceil(seeds * ratio**2) if ratio < 1e3 else most
    return min(max(enough, seeds + 1), 2 * seeds, most)
