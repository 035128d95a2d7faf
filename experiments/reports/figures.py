"""Figures: pages of panels over one swept setting, each curve a mean over seeds with its 95 % band."""

import io
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from blockspace.experiments.files import write_whole
from blockspace.experiments.recording.rows import DEPTHS_BPS
from blockspace.experiments.results import Results

STYLE = Path(__file__).with_name("blockspace.mplstyle")
MANY = 4
"""Curves in a panel from which on its legend takes two lines."""

COLUMNS = 3
PANEL_INCHES = (3.7, 2.9)
LEGEND_LINE_POINTS = 10.5
TITLE_INCHES = 0.35
FEW = 6
"""Swept values up to which each has a tick of its own."""

WIDE = 3.0
"""Ratio of the largest to the smallest swept value above which their axis is logarithmic."""


NARROW = 50.0
"""Ratio of the ends of a logarithmic axis below which powers of ten alone would be too few ticks."""


@dataclass(frozen=True)
class Curve:
    """One measure in a panel, multiplied by ``factor`` to come to the panel's unit.

    By default it has the next colour and goes through all points of its panel. A dashed one has neither marks nor band:
    what theory says, beside what was found. A label that begins with ``_`` is not in the legend.
    """

    measure: str
    label: str
    factor: float = 1.0
    colour: str | None = None
    points: Sequence[str] | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis.

    Attributes
    ----------
    title, unit
        Heading, and label of the vertical axis.
    curves
        What it shows.
    log
        Whether the vertical axis is logarithmic.
    floor
        Lower end of a logarithmic axis, where what is smaller does not matter.
    ordered
        Whether the curves are steps of one scale (distances, sizes): their colours are, too.
    points
        Points to be shown; by default all.
    """

    title: str
    unit: str
    curves: tuple[Curve, ...]
    log: bool = False
    floor: float = 0.0
    ordered: bool = False
    points: Sequence[str] | None = None


# Curves that every study of the market shows.

SPREADS = (
    Curve("median_quoted_spread_bps", "quoted, median"),
    Curve("effective_spread_bps", "effective"),
    Curve("realised_spread_bps", "realised, 10 s"),
)
"""In basis points."""

DEPTHS = tuple(Curve(f"depth_{bps}bps_usd", f"within {bps} bp", 1e-3) for bps in DEPTHS_BPS)
"""In thousand dollars a side."""

COSTS = (
    Curve("cost_half_spread_bps", "half-spread"),
    Curve("cost_impact_bps", "impact"),
    Curve("cost_delay_bps", "delay"),
    Curve("cost_fee_bps", "venue's fee"),
    Curve("cost_gas_bps", "gas"),
    Curve("cost_bps", "total", colour="black"),
)
"""Parts of what an order costs, in basis points of it."""

ACTIVITY = (
    Curve("trades_per_h", "trades"),
    Curve("quotes_per_h", "quotes"),
    Curve("volume_usd_per_h", "volume, $1000", 1e-3),
)
"""Per hour."""

RENTS = Panel(
    "Who gets what is paid",
    "dollars per hour",
    (
        Curve("rent_burned_usd_per_h", "burned"),
        Curve("rent_tips_usd_per_h", "block makers' tips"),
        Curve("rent_searchers_usd_per_h", "searchers, net"),
        Curve("rent_ordering_usd_per_h", "for a place ahead"),
    ),
    log=True,
    floor=1.0,
)
SEARCHERS = Panel(
    "Searchers in the gas used",
    "per cent",
    (
        Curve("searcher_share_of_gas", "searchers", 100.0),
        Curve("spam_share_of_gas", "their failures", 100.0),
    ),
)
POOL_LOSS = Panel(
    "Providers of the pool",
    "bp of its value per day",
    (
        Curve("POOL.fees_bps_per_day", "fees"),
        Curve("POOL.loss_to_arbitrage_bps_per_day", "lost to arbitrage"),
    ),
)


def draw_page(
    results: Results,
    title: str,
    x: str,
    x_label: str,
    panels: Sequence[Panel],
    marks: Mapping[str, float] | None = None,
    note: str = "",
) -> Figure:
    """Draw panels over a shared axis, logarithmic if the swept values span more than a factor of three.

    Parameters
    ----------
    results
        What the study found.
    title
        Heading of the page.
    x, x_label
        Column of the swept value, and its label with the unit.
    panels
        Filled in row by row.
    marks
        Values to be marked by a vertical line, by what they are.
    note
        What else must be known to read the page.
    """
    rows = -(-len(panels) // COLUMNS)
    shared = _share_a_legend(panels)
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(COLUMNS * PANEL_INCHES[0], rows * PANEL_INCHES[1] + 0.6), layout="constrained")
        axes = list(figure.subplots(rows, COLUMNS, sharex=True, squeeze=False).flat)
        for number, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
            _draw_panel(axis, results, x, panel)
            if not shared:
                # Above the axes, where it cannot hide anything.
                legend = axis.legend(
                    ncols=_legend_columns(panel), loc="lower left", bbox_to_anchor=(-0.02, 0.99), borderaxespad=0.0
                )
                legend.set_in_layout(False)
            row = panels[number // COLUMNS * COLUMNS :][:COLUMNS]
            lines = 0 if shared else max(1 if len(other.curves) < MANY else 2 for other in row)
            heading = f"{string.ascii_lowercase[number]}  {panel.title}"
            axis.set_title(heading, pad=6 + LEGEND_LINE_POINTS * lines)
            _draw_marks(axis, marks or {}, named=number == 0)
            axis.tick_params(labelbottom=number >= len(panels) - COLUMNS)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        seeds = len(results.study["seeds"])
        figure.suptitle(f"{title}\n \n " if shared else title)  # the legend has two lines below it
        if shared:
            handles, labels = axes[0].get_legend_handles_labels()
            below = 1.0 - TITLE_INCHES / figure.get_figheight()
            legend = figure.legend(
                handles, labels, loc="upper center", bbox_to_anchor=(0.5, below), ncols=-(-len(labels) // 2)
            )
            legend.set_in_layout(False)
        figure.supxlabel(f"{x_label}\nMeans over {seeds} seeds with 95 % confidence bands. {note}", fontsize="medium")
        # The layout is worked out once, not again for each file.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _draw_panel(axis: Axes, results: Results, x: str, panel: Panel) -> None:
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(panel.curves)))
    alpha = 0.18 if len(panel.curves) <= MANY else 0.07
    extent = []
    for number, curve in enumerate(panel.curves):
        rows = results.curve(curve.measure)
        for points in (panel.points, curve.points):
            if points is not None:
                rows = rows.loc[[point for point in rows.index if point in points]]
        colour = colours[number] if panel.ordered else curve.colour
        mean, low, high = (curve.factor * rows[name].to_numpy(float) for name in ("mean", "low", "high"))
        style: dict[str, Any] = {"linestyle": "--", "marker": "", "linewidth": 1.0, "zorder": 3} if curve.dashed else {}
        (line,) = axis.plot(rows[x], mean, label=curve.label, color=colour, **style)
        if panel.log:
            low = np.where(low > 0, low, np.where(np.isnan(low), np.nan, np.finfo(float).tiny))
        if not curve.dashed:
            axis.fill_between(rows[x], low, high, color=line.get_color(), alpha=alpha, linewidth=0)
        extent.append(mean)
    if not any((means > 0).any() for means in extent):
        panel = replace(panel, log=False)  # of nothing, there is no logarithm
    across = results.table[x].to_numpy(float)
    log = bool(across.min() > 0 and across.max() > WIDE * across.min())
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        if across.max() < NARROW * across.min():
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    places = np.unique(across)
    if len(places) <= FEW:
        axis.set_xticks(places)
    axis.xaxis.set_major_formatter(FuncFormatter(tick_label))
    axis.set_xlim(_room(across, log=log, share=0.04))
    if panel.log:
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    # Means decide what is shown: where a market hardly exists, the bands alone would fill the panel.
    means = np.concatenate(extent)
    means = means[means > panel.floor] if panel.log else means[~np.isnan(means)]
    if len(means):
        axis.set_ylim(_room(means, log=panel.log, share=0.12))
        if panel.log and means.max() < NARROW * means.min():
            axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.yaxis.set_major_formatter(FuncFormatter(tick_label))
        if not panel.log and (means >= 0).all():
            axis.set_ylim(0.0, 1.12 * max(means.max(), np.finfo(float).tiny))
    if not panel.log:
        axis.yaxis.set_major_formatter(FuncFormatter(tick_label))
    axis.set_ylabel(panel.unit)


def tick_label(value: float, _: int = 0) -> str:
    """Label of a tick, without exponents for what people meet.

    Examples
    --------
    >>> [tick_label(value) for value in (0.25, 12_000.0, 30e6)]
    ['0.25', '12,000', '30M']
    """
    return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value:,.6g}"


def _share_a_legend(panels: Sequence[Panel]) -> bool:
    """Whether one legend serves all panels: they show the same curves, and too many for one of each panel's own."""
    labels = [[curve.label for curve in panel.curves] for panel in panels]
    return len(labels[0]) > 2 * MANY and all(other == labels[0] for other in labels)


def _legend_columns(panel: Panel) -> int:
    count = len(panel.curves)
    return count if count < MANY else -(-count // 2)


def _room(values: npt.NDArray[np.float64], *, log: bool, share: float) -> tuple[float, float]:
    """Ends of an axis that shows all values, with a share of their range to spare on both sides."""
    low, high = float(values.min()), float(values.max())
    if log:
        spare = max(high / low, 1.5) ** share
        return low / spare, high * spare
    spare = share * ((high - low) or abs(high) or 1.0)
    return low - spare, high + spare


def _draw_marks(axis: Axes, marks: Mapping[str, float], *, named: bool) -> None:
    for style, (name, value) in zip(("--", ":", "-."), marks.items(), strict=False):
        axis.axvline(value, color="0.45", linestyle=style, linewidth=0.9, marker="", zorder=1)
        if named:
            axis.annotate(
                name, (value, 0.02), xycoords=("data", "axes fraction"), xytext=(-2, 0), textcoords="offset points",
                rotation=90, ha="right", va="bottom", fontsize="small", color="0.3", annotation_clip=True,
            )  # fmt: skip


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG."""
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        write_whole(path, figure_bytes(figure, path.suffix[1:]))
    return paths


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as PNG or SVG, without dates, so that the same results give the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.style.context(STYLE):
        figure.savefig(buffer, format=kind, metadata={"Software": None} if kind == "png" else {"Date": None})
    return buffer.getvalue()
