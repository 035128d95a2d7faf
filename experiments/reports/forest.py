"""Figures of differences: a row for each, with its interval, and zero marked."""

from collections.abc import Mapping

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blockspace.experiments.reports.figures import COLUMNS, STYLE
from blockspace.experiments.results.statistics import Estimate

CLEAR, UNCLEAR = "C0", "0.55"
PANEL_WIDTH_INCHES, ROW_INCHES = 3.7, 0.24


def draw_differences(title: str, x_label: str, panels: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Draw differences with their intervals: full marks where an interval excludes zero, hollow ones elsewhere.

    Parameters
    ----------
    title
        Heading of the page.
    x_label
        What the differences are, with their unit.
    panels
        Differences by row, by the heading of their panel; the panels have the same rows.
    """
    columns = min(len(panels), COLUMNS)
    lines = -(-len(panels) // columns)
    names = list(next(iter(panels.values())))
    with matplotlib.style.context(STYLE):
        size = (max(columns * PANEL_WIDTH_INCHES, 7.5), lines * (len(names) * ROW_INCHES + 0.75) + 0.9)
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
        for axis, (heading, rows) in zip(axes, panels.items(), strict=False):
            _draw_rows(axis, names, rows)
            if len(panels) > 1:
                axis.set_title(heading)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -0.6)
        figure.suptitle(title)
        figure.supxlabel(f"{x_label}\nFull marks: the interval excludes zero.", fontsize="medium")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _draw_rows(axis: Axes, names: list[str], rows: Mapping[str, Estimate]) -> None:
    axis.axvline(0.0, color="0.45", linewidth=0.9, marker="", zorder=1)
    for place, name in enumerate(names):
        apart = rows[name]
        colour = CLEAR if apart.is_clear else UNCLEAR
        axis.plot([apart.low, apart.high], [place, place], color=colour, marker="")
        axis.plot(
            [apart.mean], [place], color=colour, marker="o", markersize=4.5, linestyle="",
            markerfacecolor=colour if apart.is_clear else "white",
        )  # fmt: skip
    axis.tick_params(axis="y", length=0)
