"""What any sweep looks like that has no file of its own: main measures, and the figure that fits what was varied."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from blockspace.experiments.reports.figures import COLUMNS, PANEL_INCHES, STYLE, Curve, Panel, draw_page, tick_label
from blockspace.experiments.reports.findings import change, format_interval
from blockspace.experiments.reports.forest import draw_differences
from blockspace.experiments.reports.presentation import Presentation, table_of_points
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.results.statistics import Estimate, relative

FEWEST_CLEAR_POINTS = 8
"""Points below which a rank correlation is not worth telling."""

MOST_CURVES = 7


@dataclass(frozen=True)
class Measure:
    """A measure as tables and figures name it; ``heading`` with its unit and line breaks."""

    name: str
    heading: str
    title: str
    unit: str


MAIN = (
    Measure("base_fee_gwei", "base fee\ngwei", "Base fee", "gwei"),
    Measure("median_quoted_spread_bps", "quoted\nspread bp", "Quoted spread, median", "bp"),
    Measure("effective_spread_bps", "effective\nspread bp", "Effective spread", "bp"),
    Measure("depth_25bps_usd", "depth\n25 bp, $", "Depth within 25 bp", "dollars a side"),
    Measure("cost_bps", "cost of an\norder bp", "Cost of an order", "bp"),
    Measure("trades_per_h", "trades\nper h", "Trades", "per hour"),
    Measure("background_delay_p95_s", "delay of\nusers p95 s", "Delay of users, 95th percentile", "s"),
    Measure("fees_usd_per_h", "fees\n$ per h", "What everybody pays for space", "dollars per hour"),
    Measure("arbitrage_profit_usd_per_h", "arbitrage\n$ per h", "Arbitrage before gas", "dollars per hour"),
)
"""What every sweep shows."""


def main_measures(results: Results) -> list[Measure]:
    """Return the main measures that a sweep has; of several instruments those of the first."""
    first = results.scenario.instruments[0].name
    found = []
    for measure in MAIN:
        for name in (measure.name, f"{first}.{measure.name}"):
            if name in results.runs and results.runs[name].notna().any():
                found.append(Measure(name, measure.heading, measure.title, measure.unit))
    return found


def present_sweep(results: Results) -> Presentation:
    """Results of a sweep as a table, one figure and a sentence on each main measure."""
    measures = main_measures(results)
    figure: Figure | None
    numeric = [name for name in results.swept if pd.api.types.is_numeric_dtype(results.runs[name])]
    if len(results.points) < 2:
        figure, findings = None, ["There is one point alone, and nothing to compare it with."]
    elif not numeric:
        figure, findings = _draw_differences(results, measures), _differences(results, measures)
    elif len(numeric) > 1 and all(results.runs.drop_duplicates("point")[name].is_unique for name in numeric):
        figure, findings = _draw_scatter(results, measures, numeric), _correlations(results, measures, numeric)
    else:
        figure = _draw_curves(results, measures, numeric)
        along = _along_first(results, numeric)
        findings = [str(change(results, one.name, one.title, one.unit, along)) for one in measures]
    labels = [name.replace("_", "\n", 1) if "." not in name else name.replace(".", "\n", 1) for name in results.swept]
    columns = {measure.name: measure.heading for measure in measures}
    table = table_of_points(results, columns, labels)
    figures = {} if figure is None else {results.study["name"]: figure}
    return Presentation(results.study["question"], *table, figures, findings)


def _along_first(results: Results, numeric: list[str]) -> list[str]:
    """Points in which all settings but the first are those of the reference; all points if settings go together."""
    values = {point["name"]: point["values"] for point in results.study["points"]}
    reference = values[results.study["reference"]]
    along = [name for name, here in values.items() if all(here[path] == reference[path] for path in numeric[1:])]
    return along if len(along) > 1 else results.points


def _draw_curves(results: Results, measures: list[Measure], numeric: list[str]) -> Figure:
    """Panels over the first setting, with a curve for each combination of the others."""
    x, *others = numeric
    groups: dict[str, list[str]] = {}
    for point in results.study["points"]:
        label = ", ".join(f"{name.rpartition('.')[2]} {format_number(point['values'][name])}" for name in others)
        groups.setdefault(label, []).append(point["name"])
    if all(len(points) == 1 for points in groups.values()):  # they go together: one curve through all
        groups = {"mean": results.points}
    shown = dict(list(groups.items())[:MOST_CURVES])
    panels = []
    for measure in measures:
        curves = tuple(Curve(measure.name, label or "mean", points=points) for label, points in shown.items())
        means = results.curve(measure.name)["mean"]
        known = means[means.notna()]
        log = bool(len(known) and known.min() > 0 and known.max() > 30 * known.min())
        panels.append(Panel(measure.title, measure.unit, curves, log=log, ordered=len(shown) > 1))
    note = f"The first {MOST_CURVES} of {len(groups)} curves." if len(groups) > MOST_CURVES else ""
    return draw_page(results, results.study["question"], x, x, panels, note=note)


def _draw_differences(results: Results, measures: list[Measure]) -> Figure | None:
    """Relative differences to the reference point, a panel for each other point and a row for each measure."""
    reference = results.study["reference"]
    panels: dict[str, dict[str, Estimate]] = {}
    for point in results.points:
        rows = {
            measure.title: relative(
                results.difference(measure.name, reference, point), results.curve(measure.name)["mean"][reference]
            )
            for measure in measures
        }
        if point != reference and any(apart.count for apart in rows.values()):
            panels[point] = rows
    if not panels:
        return None
    label = f"difference to {reference}, per cent of its mean, with 95 % intervals over paired seeds"
    return draw_differences(results.study["question"], label, panels)


def _draw_scatter(results: Results, measures: list[Measure], numeric: list[str]) -> Figure:
    """Every main measure against every setting, a dot for each point."""
    shown = numeric[: COLUMNS + 1]
    with matplotlib.style.context(STYLE):
        size = (COLUMNS * PANEL_INCHES[0], len(measures) * PANEL_INCHES[1] / 2 + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(measures), len(shown), sharex="col", sharey="row", squeeze=False)
        for row, measure in enumerate(measures):
            curve = results.curve(measure.name)
            for column, setting in enumerate(shown):
                axis = axes[row][column]
                axis.plot(curve[setting], curve["mean"], linestyle="", marker="o", color=f"C{column}")
                if column == 0:
                    axis.set_ylabel(f"{measure.heading}")
                if row == len(measures) - 1:
                    axis.set_xlabel(setting)
                axis.xaxis.set_major_formatter(FuncFormatter(tick_label))
                axis.yaxis.set_major_formatter(FuncFormatter(tick_label))
                values = curve[setting].to_numpy(float)
                if values.min() > 0 and values.max() > 10 * values.min():
                    axis.set_xscale("log")
        figure.suptitle(results.study["question"])
    return figure


def _differences(results: Results, measures: list[Measure]) -> list[str]:
    reference = results.study["reference"]
    sentences: list[str] = []
    for point in results.points:
        if point == reference:
            continue
        told_before = len(sentences)
        for measure in measures:
            row = results.curve(measure.name).loc[point]
            apart = results.difference(measure.name, reference, point)
            if not apart.count:
                continue
            before = results.curve(measure.name)["mean"][reference]
            told = "differs" if apart.is_clear else "does not clearly differ"
            sentences.append(
                f"{measure.title} {told}: {format_number(before)} {measure.unit} with {reference}, "
                f"{format_number(row['mean'])} with {point} (difference {format_number(apart.mean)}, 95 % interval "
                f"{format_interval(apart)}, {apart.count} pairs)."
            )
        if len(sentences) == told_before:
            sentences.append(f"{point} cannot be compared with {reference}: nothing was measured at both.")
    return sentences


def _correlations(results: Results, measures: list[Measure], numeric: list[str]) -> list[str]:
    """With which setting each measure moves most, by rank correlation (Spearman, 1904)."""
    sentences = []
    for measure in measures:
        curve = results.curve(measure.name)
        known = curve[curve["mean"].notna()]
        if len(known) < FEWEST_CLEAR_POINTS:
            continue
        ranks: Mapping[str, float] = {
            name: float(known[name].astype(float).corr(known["mean"], method="spearman")) for name in numeric
        }
        strongest = max(ranks, key=lambda name: abs(ranks[name]) if not math.isnan(ranks[name]) else -1.0)
        if math.isnan(ranks[strongest]):
            continue
        others = ", ".join(f"{name} {format_number(value)}" for name, value in ranks.items() if name != strongest)
        sentences.append(
            f"{measure.title} moves most with {strongest}: rank correlation {format_number(ranks[strongest])} over "
            f"{len(known)} points" + (f" ({others})." if others else ".")
        )
    return sentences
