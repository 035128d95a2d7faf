"""What is shown of the stylised facts of a run: a table, a page of panels, and files beside its tapes."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from blockspace.experiments.facts import Fact, Observations, facts_of_observations, load_run, observe
from blockspace.experiments.facts.estimators import (
    FEWEST_TO_ESTIMATE,
    LAG_BINS,
    Floats,
    centres,
    decay_of,
    interval,
    known_count,
    lag_edges,
    lagged_correlation,
    last_lag,
    tail_index,
)
from blockspace.experiments.facts.orders import curve_of_impact
from blockspace.experiments.facts.returns import LAST_LINEAR_LAG, TAIL, linear_memory
from blockspace.experiments.files import write_whole
from blockspace.experiments.reports.figures import LEGEND_LINE_POINTS, PANEL_INCHES, STYLE, save_figure
from blockspace.experiments.reports.tables import format_number

VERDICTS = {True: "[green]yes[/green]", False: "[bold red]no[/bold red]", None: "–"}
FITTED: dict[str, Any] = {"color": "black", "marker": "", "linewidth": 1.0, "zorder": 3}
BETWEEN_STEPS = 0.25
"""Width of a class of returns in the histogram, in standard deviations."""


def facts_table(facts: Iterable[Fact], title: str = "") -> Table:
    """One row per fact; the verdict is a dash where there is none."""
    table = Table("fact", "what", "value", "95 % interval", "accepted", "found", "of", "note", title=title or None)
    for column in (*table.columns[2:4], table.columns[6]):
        column.justify = "right"
    for fact in facts:
        unknown = np.isnan(fact.low)
        ends = "–" if unknown else f"{format_number(fact.low)} to {format_number(fact.high)}"
        value = f"{format_number(fact.value)} {fact.unit}".rstrip()
        count = f"{fact.observations:,}"
        table.add_row(fact.name, fact.what, value, ends, fact.accepted, VERDICTS[fact.found], count, fact.note)
    return table


def report_facts(
    folder: str | Path,
    interval_s: float = 60.0,
    instrument: str | None = None,
    seed: int = 0,
    run: str | None = None,
) -> Table:
    """Look for the stylised facts in a run and add table and figure to its folder.

    Writes ``facts.csv``, ``facts.png`` and ``facts.svg``; of a run of a sweep ``facts-RUN.csv`` and so on. See
    :func:`~blockspace.experiments.facts.observations.load_run` for ``folder`` and ``run``.

    Returns
    -------
    rich.table.Table
        The facts, to be printed.

    Raises
    ------
    ValueError
        If the folder does not hold the tapes of a run, there is no such instrument, or nothing to observe after the
        warm-up.
    """
    folder = Path(folder)
    blocks, trades, scenario = load_run(folder, run)
    seen = observe(blocks, trades, interval_s, scenario.warm_up_s, instrument)
    facts = facts_of_observations(seen, seed)
    title = f"{scenario.name}, {seen.instrument}, every {interval_s:g} s for {seen.days:.3g} days"
    name = "facts" if run is None else f"facts-{run}"
    write_whole(folder / f"{name}.csv", pd.DataFrame([asdict(fact) for fact in facts]).to_csv(index=False))
    save_figure(facts_figure(seen, title, seed), folder, name)
    return facts_table(facts, title)


def facts_figure(seen: Observations, title: str, seed: int = 0) -> Figure:
    """Draw the law of returns, their memory, their tail, and the impact; without data panels stay empty."""
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(2 * PANEL_INCHES[0], 2 * PANEL_INCHES[1] + 0.6), layout="constrained")
        law, memory, tail, impact = figure.subplots(2, 2).flat
        returns = seen.returns()
        if known_count(returns) >= FEWEST_TO_ESTIMATE and np.nanstd(returns) > 0.0:
            _draw_law(law, returns)
            _draw_memory(memory, returns, seed)
            _draw_tail(tail, returns, seed)
        _draw_impact(impact, seen, seed)
        _label(law, f"a  Returns over {seen.interval_s:g} s", "standard deviations", "density")
        _label(memory, "b  Memory", f"lag, intervals of {seen.interval_s:g} s", "autocorrelation")
        _label(tail, "c  Tail index", "share of returns that count as the tail", "Hill's index")
        _label(impact, "d  Impact of metaorders", "size, share of daily volume", "move of mid, daily volatilities")
        figure.suptitle(title)
        figure.supxlabel("Bands and bars are 95 % bootstrap intervals.", fontsize="medium")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, pad=6 + LEGEND_LINE_POINTS)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    handles, _ = axis.get_legend_handles_labels()
    if handles:
        axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 0.99), borderaxespad=0.0).set_in_layout(False)


def _draw_law(axis: Axes, returns: Floats) -> None:
    known = returns[~np.isnan(returns)]
    scaled = (known - known.mean()) / known.std()
    furthest = np.ceil(np.abs(scaled).max() / BETWEEN_STEPS) * BETWEEN_STEPS
    edges = np.arange(-furthest, furthest + BETWEEN_STEPS, BETWEEN_STEPS)
    counts, _ = np.histogram(scaled, edges)
    density = counts / (len(scaled) * BETWEEN_STEPS)
    middle = 0.5 * (edges[1:] + edges[:-1])
    some = counts > 0
    axis.plot(middle[some], density[some], linestyle="", label="mid price")
    normal = np.linspace(-5.0, 5.0, 201)
    axis.plot(normal, np.exp(-0.5 * normal**2) / np.sqrt(2.0 * np.pi), label="normal law", **FITTED)
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.5 * density[some].min())


def _draw_memory(axis: Axes, returns: Floats, seed: int) -> None:
    size = np.abs(returns)
    linear = linear_memory(returns, seed)
    _draw_band(axis, np.arange(1.0, linear.shape[1] + 1.0), linear, "returns")
    edges = lag_edges(1, max(last_lag(size), LAST_LINEAR_LAG), 2 * LAG_BINS)
    _draw_band(axis, centres(edges), lagged_correlation(size, size, edges, seed), "absolute returns")
    decay = decay_of(size, seed)
    if decay.fit is not None and decay.is_clear:
        axis.plot(decay.lag, decay.fit.fitted, label=f"power {decay.fit.parameter[0]:.2f}", **FITTED)
    axis.axhline(0.0, color="0.45", linewidth=0.9, marker="", zorder=1)
    axis.set_xscale("log")


def _draw_tail(axis: Axes, returns: Floats, seed: int) -> None:
    shares = np.geomspace(0.005, 0.1, 14)
    index = np.stack([tail_index(returns, share, seed) for share in shares], axis=-1)
    axis.axhspan(2.0, 5.0, color="0.93", zorder=0)
    _draw_band(axis, shares, index, "mid price")
    axis.axvline(TAIL, color="0.45", linestyle="--", linewidth=0.9, marker="", zorder=1)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0.0)


def _draw_band(axis: Axes, x: Floats | Sequence[float], estimates: Floats, label: str) -> None:
    low, high = np.array([interval(column) for column in estimates.T]).T
    (line,) = axis.plot(x, estimates[0], label=label)
    axis.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def _draw_impact(axis: Axes, seen: Observations, seed: int) -> None:
    curve = curve_of_impact(seen, seed)
    positive = curve.impact[0] > 0.0
    if not positive.any():
        return
    size, mean = curve.size[positive], curve.impact[0][positive]
    low, high = np.array([interval(column) for column in curve.impact.T[positive]]).T
    bars = [mean - np.maximum(low, 1e-3 * mean), high - mean]  # what reaches zero reaches the bottom
    axis.errorbar(size, mean, bars, linestyle="", marker="o", label="mean, if positive")
    if curve.fit is not None:
        axis.plot(curve.size, curve.fit.fitted, label=f"power {curve.fit.parameter[0]:.2f}", **FITTED)
    axis.plot(size, mean[-1] * np.sqrt(size / size[-1]), ":", color="0.45", marker="", label="square root", zorder=1)
    axis.set_xscale("log")
    axis.set_yscale("log")
