"""Figures of points without an order: a row for each, its mean over seeds and the 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from blockspace.experiments.reports.figures import COLUMNS, NARROW, STYLE, tick_label
from blockspace.experiments.results import Results

PANEL_WIDTH_INCHES, ROW_INCHES = 3.4, 0.26


@dataclass(frozen=True)
class PointPanel:
    """A measure at every point.

    Attributes
    ----------
    title, unit
        Heading, and label of the axis.
    measure, factor
        What is shown, and what it is multiplied by to come to the unit.
    log
        Whether the axis is logarithmic.
    """

    title: str
    unit: str
    measure: str
    factor: float = 1.0
    log: bool = False


def draw_points(results: Results, title: str, panels: Sequence[PointPanel]) -> Figure:
    """Draw the panels, with a row for each point of the results in the order in which they were swept."""
    lines = -(-len(panels) // COLUMNS)
    names = list(results.points)
    with matplotlib.style.context(STYLE):
        size = (COLUMNS * PANEL_WIDTH_INCHES + 1.2, lines * (len(names) * ROW_INCHES + 0.85) + 0.6)
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(lines, COLUMNS, sharey=True, squeeze=False).flat)
        for axis, panel in zip(axes, panels, strict=False):
            _draw_panel(axis, results, names, panel)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        figure.suptitle(title)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _draw_panel(axis: Axes, results: Results, names: list[str], panel: PointPanel) -> None:
    curve = results.curve(panel.measure)
    if panel.log:
        axis.set_xscale("log")
    drawn = []
    for place, name in enumerate(names):
        mean, low, high = (panel.factor * float(curve[column][name]) for column in ("mean", "low", "high"))
        if np.isnan(mean) or (panel.log and mean <= 0.0):
            continue
        low = max(low, mean / 10.0) if panel.log else low
        drawn += [low, high]
        axis.plot([low, high], [place, place], color="C0", marker="", linewidth=1.6)
        axis.plot([mean], [place], color="C0", marker="o", markersize=4.5, linestyle="")
    if panel.log:
        narrow = bool(drawn) and max(drawn) < NARROW * min(drawn)
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=5))
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axis.xaxis.set_major_formatter(FuncFormatter(tick_label))
    axis.set_title(panel.title)
    axis.set_xlabel(panel.unit)
    axis.tick_params(axis="y", length=0)
