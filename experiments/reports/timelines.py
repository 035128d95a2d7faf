"""Figures of runs through time: what the blocks of a run say, in few enough points to look at."""

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blockspace.experiments.reports.figures import COLUMNS, LEGEND_LINE_POINTS, PANEL_INCHES, STYLE
from blockspace.experiments.scenario import Scenario

MOST_POINTS = 600
"""Points of a curve: blocks are averaged over stretches of equal length if there are more."""

MOST_STRETCHES = 60
"""Stretches over which flows are summed up: of fewer trades each, a rate would be noise."""

WIDE = 30.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""

Columns = Callable[[str], npt.NDArray[np.float64]]
"""Reader of a column of the blocks."""


@dataclass(frozen=True)
class Blocks:
    """The blocks of a run, a column at a time: there may be millions."""

    file: Path
    scenario: Scenario

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return the values of a column."""
        return pq.read_table(self.file, columns=[name])[name].to_numpy().astype(float)


@dataclass(frozen=True)
class Line:
    """A curve: its label, and how it is read from the columns of the blocks."""

    label: str
    read: Callable[[Columns], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TimePanel:
    """Curves that share an axis; ``flow`` if they are amounts per block, which are shown per hour."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    flow: bool = False


def draw_timelines(title: str, runs: Mapping[str, Blocks]) -> Figure:
    """Draw nine panels through time, of one run or of several.

    Parameters
    ----------
    title
        Heading of the page.
    runs
        Blocks by what their run is called.
    """
    end_s = max(blocks.column("time_s")[-1] for blocks in runs.values())
    unit, seconds = next(
        (unit, seconds) for unit, seconds, longest in _UNITS if end_s <= longest * seconds or unit == _UNITS[-1][0]
    )
    with matplotlib.style.context(STYLE):
        panels = {name: _panels(blocks.scenario, several=len(runs) > 1) for name, blocks in runs.items()}
        first = next(iter(panels.values()))
        rows = -(-len(first) // COLUMNS)
        figure = Figure(figsize=(COLUMNS * PANEL_INCHES[0], rows * PANEL_INCHES[1] * 0.85 + 0.6), layout="constrained")
        axes = list(figure.subplots(rows, COLUMNS, sharex=True, squeeze=False).flat)
        for number, (axis, panel) in enumerate(zip(axes, first, strict=False)):
            for name, blocks in runs.items():
                _draw(axis, blocks, panels[name][number], seconds, name if len(runs) > 1 else None)
            axis.set_title(f"{string.ascii_lowercase[number]}  {panel.title}", pad=6 + LEGEND_LINE_POINTS)
            axis.set_ylabel(panel.unit)
            axis.tick_params(labelbottom=number >= len(first) - COLUMNS)
            _scale(axis)
            _mark_warm_up(axis, runs, seconds)
            if len(axis.get_lines()) > 1:
                place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.99), "borderaxespad": 0.0}
                axis.legend(ncols=3, **place).set_in_layout(False)
        figure.suptitle(title)
        figure.supxlabel(f"{unit} since the start, warm-up shaded", fontsize="medium")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


_UNITS = (("seconds", 1.0, 600), ("minutes", 60.0, 180), ("hours", 3600.0, 0))


def _panels(scenario: Scenario, *, several: bool) -> list[TimePanel]:
    """What is shown of a run; of one among several the first instrument alone."""
    prefixes = {instrument.name: f"{instrument.name}." for instrument in scenario.instruments}
    if len(prefixes) == 1:
        prefixes = dict.fromkeys(prefixes, "")
    if several:
        prefixes = dict(list(prefixes.items())[:1])
    distances = (25,) if several or len(prefixes) > 1 else (10, 25, 100)
    mids = [Line(f"mid of {name}", _mid(prefix)) for name, prefix in prefixes.items()]
    return [
        TimePanel("Base fee", "gwei per gas", (_line("base fee", "base_fee_gwei"),)),
        TimePanel("Utilisation", "per cent of the gas limit", (_line("used", "utilisation", 100.0),)),
        TimePanel("Pending transactions", "number", (_line("pending", "pending"),)),
        TimePanel(
            "Quoted spread", "basis points", tuple(_line(name, f"{p}quoted_spread_bps") for name, p in prefixes.items())
        ),
        TimePanel(
            "Depth, mean of both sides",
            "thousand dollars",
            tuple(
                _line(
                    f"{name} within {bps} bp" if len(prefixes) > 1 else f"within {bps} bp",
                    f"{p}depth_{bps}bps_usd",
                    1e-3,
                )
                for name, p in prefixes.items()
                for bps in distances
            ),
        ),
        TimePanel("Price", "dollars", (_line("external", "external_price_usd"), *mids)),
        TimePanel(
            "Mid away from the external price",
            "basis points",
            tuple(Line(name, _away(prefix)) for name, prefix in prefixes.items()),
        ),
        TimePanel(
            "Volume",
            "thousand dollars per hour",
            tuple(_line(name, f"{prefix}volume_usd", 1e-3) for name, prefix in prefixes.items()),
            flow=True,
        ),
        TimePanel(
            "What everybody pays for space",
            "dollars per hour",
            (_line("base fees", "base_fee_usd"), _line("tips", "tips_usd"))
            if not several
            else (Line("fees", lambda column: column("base_fee_usd") + column("tips_usd")),),
            flow=True,
        ),
    ]


def _line(label: str, name: str, factor: float = 1.0) -> Line:
    return Line(label, lambda column: factor * column(name))


def _mid(prefix: str) -> Callable[[Columns], npt.NDArray[np.float64]]:
    return lambda column: (column(f"{prefix}best_bid_usd") + column(f"{prefix}best_ask_usd")) / 2


def _away(prefix: str) -> Callable[[Columns], npt.NDArray[np.float64]]:
    mid = _mid(prefix)
    return lambda column: 1e4 * (mid(column) / column("external_price_usd") - 1)


def _draw(axis: Axes, blocks: Blocks, panel: TimePanel, seconds: float, run: str | None) -> None:
    """Draw the curves of a panel; of several runs each has a colour of its own, and its price no second curve."""
    times = blocks.column("time_s")
    count = min(MOST_STRETCHES if panel.flow else MOST_POINTS, max(len(times) - 1, 1))
    edges = np.linspace(times[0], times[-1], count + 1) if len(times) > 1 else np.array([0.0, times[-1]])
    reduce = rates_per_hour if panel.flow else means_over_time
    for line in panel.lines[-1:] if run is not None else panel.lines:
        values = reduce(times, line.read(blocks.column), edges)
        label = line.label if run is None else run
        axis.plot(
            (edges[:-1] + edges[1:]) / 2 / seconds, values, label=label, marker="", linewidth=1.1,
            drawstyle="steps-mid" if panel.flow else "default",
        )  # fmt: skip


def means_over_time(
    times: npt.NDArray[np.float64], values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Means between edges of what lasts from each time to the next; NaN where it was never known.

    Examples
    --------
    >>> means_over_time(np.array([0.0, 1.0, 4.0]), np.array([2.0, 6.0, 0.0]), np.array([0.0, 2.0, 4.0])).tolist()
    [4.0, 6.0]
    """
    lasts = np.diff(times, append=times[-1])
    known = ~np.isnan(values)
    # The integral of a step function is a broken line: read off at the edges, whatever lies between them.
    integrals = [
        np.interp(edges, times, np.concatenate([[0.0], np.cumsum(weights * lasts)[:-1]]))
        for weights in (np.where(known, values, 0.0), known.astype(float))
    ]
    total, known_s = (np.diff(integral) for integral in integrals)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known_s > 0, total / known_s, np.nan))


def rates_per_hour(
    times: npt.NDArray[np.float64], amounts: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sums of amounts after each edge and up to the next, per hour.

    Examples
    --------
    >>> rates_per_hour(np.array([60.0, 90.0, 7200.0]), np.array([3.0, 1.0, 5.0]), np.array([0.0, 3600.0, 7200.0]))
    array([4., 5.])
    """
    running = np.concatenate([[0.0], np.cumsum(np.nan_to_num(amounts))])
    at = running[np.searchsorted(times, edges, side="right")]
    return np.diff(at) / np.diff(edges) * 3600.0


def _scale(axis: Axes) -> None:
    """Choose a logarithmic axis for values that span decades, and zero as the lower end where nothing is below."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axis.get_lines()])
    values = values[~np.isnan(values)]
    if not len(values):
        return
    if values.min() == values.max() == 0.0:
        axis.set_ylim(0.0, 1.0)
    elif values.min() > 0 and values.max() > WIDE * values.min():
        axis.set_yscale("log")
    elif values.min() >= 0 and values.min() < values.max() / 2:
        axis.set_ylim(bottom=0.0)


def _mark_warm_up(axis: Axes, runs: Mapping[str, Blocks], seconds: float) -> None:
    warm_up_s = min(blocks.scenario.warm_up_s for blocks in runs.values())
    axis.set_xlim(left=0.0)
    axis.axvspan(0.0, warm_up_s / seconds, color="0.95", zorder=0)
