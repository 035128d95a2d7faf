"""Two results folders side by side: what differs in their settings, and what differs in what came out.

Points are matched by their names. Where all seeds of one folder are among those of the other, differences are taken
seed by seed, over the seeds that both have: the same seed has the same users, prices and arrivals in both. Otherwise
the interval is Welch's, which takes the two for samples that have nothing in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blockspace.experiments.reports.forest import draw_differences
from blockspace.experiments.reports.incomplete import what_is_there
from blockspace.experiments.reports.overview import main_measures
from blockspace.experiments.reports.presentation import MOST_ROWS
from blockspace.experiments.reports.run_report import Run, is_run_folder, load_run
from blockspace.experiments.reports.tables import summary_groups
from blockspace.experiments.reports.timelines import draw_timelines
from blockspace.experiments.results import Results, load_results
from blockspace.experiments.results.folder import StoreError, read_manifest, settings_apart
from blockspace.experiments.results.statistics import Estimate, estimate, estimate_apart, relative
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.studies import STUDIES

FEW_POINTS = 3
"""Points up to which each has a panel of the figure; of more points, each measure has one."""

NAMES = ("name", "description")
"""Settings that only say what a scenario is called."""


@dataclass(frozen=True)
class Row:
    """A measure at a point in both folders.

    Attributes
    ----------
    point, measure, label
        Where, which, and what it is called, with its unit.
    first, second
        Means over the seeds that are compared.
    apart
        Second less first, with its interval.
    paired
        Whether differences were taken seed by seed.
    """

    point: str
    measure: str
    label: str
    first: float
    second: float
    apart: Estimate
    paired: bool


@dataclass(frozen=True)
class Comparison:
    """Two folders side by side.

    Attributes
    ----------
    names
        What the two are called.
    rows
        What came out.
    only
        Names of the points that are in one folder only, for each.
    settings
        Settings in which the base scenarios differ, both values by dotted path.
    points
        Points whose settings differ although their names do not, with both.
    made
        In what the making differs (version, commit, platform), both values by what it is.
    unknown
        Names of those of which it is not known how they were made.
    seeds
        Seeds of both.
    figure
        The differences, or two runs through time.
    """

    names: tuple[str, str]
    rows: Sequence[Row]
    only: tuple[Sequence[str], Sequence[str]]
    settings: Mapping[str, tuple[Any, Any]]
    points: Mapping[str, tuple[Any, Any]]
    made: Mapping[str, tuple[Any, Any]]
    unknown: Sequence[str]
    seeds: tuple[Sequence[int], Sequence[int]]
    figure: Figure

    @property
    def of_runs(self) -> bool:
        """Whether single runs are compared, which have no intervals."""
        return not any(row.apart.count > 1 for row in self.rows)

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.names[0]} against {self.names[1]}"


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare two folders of studies or sweeps, or two of runs.

    Raises
    ------
    ValueError
        If one of them holds neither, or they have no point or no measure in common.
    """
    folders = (Path(first), Path(second))
    runs = [is_run_folder(folder) for folder in folders]
    if all(runs):
        return _compare_runs(load_run(first), load_run(second))
    if any(runs):
        run, sweep = folders if runs[0] else folders[::-1]
        raise StoreError(f"{run} holds one run and {sweep} a sweep; two of a kind can be compared")
    return _compare_sweeps(*(what_is_there(load_results(folder)) for folder in folders))


def _compare_sweeps(first: Results, second: Results) -> Comparison:
    common = [point for point in first.points if point in second.points]
    if not common:
        raise StoreError(
            f"{first.folder} and {second.folder} have no point in common: the first has {_few(first.points)}, the "
            f"second {_few(second.points)}"
        )
    measures = {name: label for name, label in _measures(first).items() if name in _measures(second)}
    if not measures:
        raise StoreError(f"{first.folder} and {second.folder} have no main measure in common")
    pairs = [(point, name) for name in measures for point in common]
    if len(common) <= FEW_POINTS:
        pairs = [(point, name) for point in common for name in measures]
    rows = [_row(first, second, point, name, measures[name]) for point, name in pairs]
    names = names_of(first.folder, second.folder)
    manifests = read_manifest(first.folder), read_manifest(second.folder)
    overrides = [
        {point["name"]: point["overrides"] for point in results.study["points"]} for results in (first, second)
    ]
    return Comparison(
        names,
        rows,
        (
            [point for point in first.points if point not in common],
            [point for point in second.points if point not in common],
        ),
        _settings_apart(first.scenario, second.scenario),
        {
            point: (overrides[0][point], overrides[1][point])
            for point in common
            if overrides[0][point] != overrides[1][point]
        },
        _made_apart(*manifests),
        _unknown(names, *manifests),
        (first.study["seeds"], second.study["seeds"]),
        _draw(names, rows),
    )


def _few(points: Sequence[str]) -> str:
    return ", ".join(points[:3]) + (f" and {len(points) - 3} more" if len(points) > 3 else "")


def names_of(first: Path, second: Path) -> tuple[str, str]:
    """What two folders are called: by their own names or, where these are the same, by their paths."""
    names = tuple(folder.resolve().name for folder in (first, second))
    return (names[0], names[1]) if names[0] != names[1] else (f"{first} (A)", f"{second} (B)")


def _measures(results: Results) -> dict[str, str]:
    """Main measures: those of the study's own table, or those that every sweep shows."""
    study = results.study
    if study["kind"] == "study" and study["name"] in STUDIES:
        table = STUDIES[study["name"]].TABLE
        return {
            name: heading.replace("\n", " ")
            for name, heading in table.items()
            if name in results.measures and name not in results.swept
        }
    return {one.name: f"{one.title}, {one.unit}" for one in main_measures(results)} if results.measures else {}


def _row(first: Results, second: Results, point: str, measure: str, label: str) -> Row:
    values = [results.per_seed(measure, point).dropna() for results in (first, second)]
    seeds = [set(results.study["seeds"]) for results in (first, second)]
    paired = seeds[0] <= seeds[1] or seeds[1] <= seeds[0]
    if paired:
        both = values[0].index.intersection(values[1].index)
        values = [series.loc[both] for series in values]
        apart = estimate((values[1] - values[0]).to_numpy())
    else:
        apart = estimate_apart(values[0].to_numpy(), values[1].to_numpy())
    means = [float(series.mean()) if len(series) else np.nan for series in values]
    return Row(point, measure, label, means[0], means[1], apart, paired)


def _draw(names: tuple[str, str], rows: Sequence[Row]) -> Figure:
    """Draw differences in per cent: a panel for each point if they are few, otherwise one for each measure."""
    points = list(dict.fromkeys(row.point for row in rows))
    by_point, shown = len(points) <= FEW_POINTS, points[:MOST_ROWS]
    panels: dict[str, dict[str, Estimate]] = {}
    for row in (row for row in rows if row.point in shown):
        panel, line = (row.point, row.label) if by_point else (row.label, row.point)
        panels.setdefault(panel, {})[line] = relative(row.apart, row.first)
    how = "over paired seeds" if all(row.paired for row in rows) else "(Welch)"
    label = f"{names[1]} less {names[0]}, per cent of {names[0]}, with 95 % intervals {how}"
    if len(points) > len(shown):
        label += f", at the first {len(shown)} of {len(points)} points"
    return draw_differences(f"{names[0]} against {names[1]}", label, panels)


def _compare_runs(first: Run, second: Run) -> Comparison:
    labels = {
        measure: f"{title}: {label}" + (f", {unit}" if unit else "")
        for title, measures in summary_groups(first.scenario)
        for label, measure, unit in measures
    }
    names = names_of(first.folder, second.folder)
    paired = first.seed == second.seed
    rows = []
    for measure, label in labels.items():
        before, after = (run.summary.get(measure) for run in (first, second))
        if before is None or after is None:
            continue
        rows.append(Row("run", measure, label, before, after, estimate([after - before]), paired))
    if not rows:
        raise StoreError(f"{first.folder} and {second.folder} have no main measure in common")
    return Comparison(
        names,
        rows,
        ([], []),
        _settings_apart(first.scenario, second.scenario),
        {},
        _made_apart(first.manifest, second.manifest),
        [],
        ([first.seed], [second.seed]),
        draw_timelines(f"{names[0]} against {names[1]}", {names[0]: first.blocks, names[1]: second.blocks}),
    )


def _settings_apart(first: Scenario, second: Scenario) -> dict[str, tuple[Any, Any]]:
    return {path: values for path, values in settings_apart(first, second).items() if path not in NAMES}


def _unknown(names: tuple[str, str], *manifests: Mapping[str, Any] | None) -> list[str]:
    return [
        name for name, manifest in zip(names, manifests, strict=True) if manifest is None or manifest["python"] is None
    ]


def _made_apart(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    """In what two manifests differ of how the runs were made; what is known of one alone is no difference."""
    sides: list[dict[str, Any]] = []
    for manifest in (first, second):
        known = manifest or {"versions": {}}
        sides.append({**known["versions"], **{name: known.get(name) for name in ("python", "platform", "commit")}})
    both = {name: (sides[0][name], sides[1].get(name)) for name in sides[0]}
    return {name: values for name, values in both.items() if None not in values and values[0] != values[1]}
