"""The page of a study or a sweep: question, findings, figures, table, what was varied, and how to do it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blockspace.experiments.reports.incomplete import what_is_there
from blockspace.experiments.reports.page import (
    Block,
    Bullets,
    Code,
    Folded,
    Page,
    Picture,
    Section,
    Table,
    Text,
    describe,
)
from blockspace.experiments.reports.presentation import Presentation
from blockspace.experiments.reports.sections import (
    count_of,
    in_words,
    plain,
    reproduction_section,
    settings_section,
    version_facts,
    versions_section,
)
from blockspace.experiments.results import Results
from blockspace.experiments.results.folder import SERIES
from blockspace.experiments.scenario import Scenario, describe_settings
from blockspace.experiments.sweeps.precision import read_precisions, shortfalls

KINDS = {"study": "study", "sweep": "sweep", "sensitivity": "sensitivity analysis"}
MOST_POINTS = 12
"""Points that are listed openly; more of them are folded away."""

MOST_COLUMNS = 6
"""Settings that have a column each in the list of points; more of them are listed in one."""

MOST_TRACEBACKS = 20


def sweep_page(results: Results, presentation: Presentation, manifest: Mapping[str, Any]) -> Page:
    """Lay out what a study or a sweep found.

    Parameters
    ----------
    results
        What was found, in whatever state.
    presentation
        The same for people; its figures lie in the folder as SVG files.
    manifest
        How it was made.
    """
    study = results.study
    sections = [
        Section("What came out", [Bullets(presentation.findings)]),
        *_pictures(results.folder, presentation),
        *_table(presentation, None if study["kind"] == "sensitivity" else study["reference"]),
        _varied(study, results.scenario),
        settings_section(results.scenario),
        _seeds(results),
        *_failures(results),
        versions_section(manifest),
        reproduction_section(manifest, _command(study), _what_changes_nothing(results)),
        _data(results, presentation),
    ]
    points, seeds = len(study["points"]), len(study["seeds"])
    facts = [count_of(points, "point"), count_of(seeds, "seed"), count_of(len(results.runs), "run")]
    above = [KINDS[study["kind"]], study["name"] if study["kind"] != study["name"] else ""]
    above += ["quick"] if study.get("quick") else []
    return Page(
        presentation.question,
        "Blockspace · " + " · ".join(part for part in above if part),
        [*facts, *version_facts(manifest)],
        sections,
    )


def _pictures(folder: Path, presentation: Presentation) -> list[Section]:
    pictures = [
        Picture(
            (folder / f"{name}.svg").read_text(encoding="utf-8"),
            describe(figure),
            f"{name}.png and {name}.svg in this folder.",
        )
        for name, figure in presentation.figures.items()
    ]
    return [Section("Figures" if len(pictures) > 1 else "Figure", pictures)] if pictures else []


def _table(presentation: Presentation, reference: str | None) -> list[Section]:
    if len(presentation.headings) < 2:
        return []  # nothing was measured
    note = presentation.note
    if presentation.emphasised and reference is not None:
        note = f"{note} In bold {reference}, the point that others are compared with.".strip()
    table = Table(presentation.headings, presentation.rows, presentation.emphasised, note)
    return [Section("Table", [table])]


# What was done.


def _varied(study: Mapping[str, Any], scenario: Scenario) -> Section:
    """Which settings were varied, over which values, and every point with its settings."""
    points: Sequence[Mapping[str, Any]] = study["points"]
    paths = list(dict.fromkeys(path for point in points for path in point["overrides"]))
    described = {path: description for path, _, description in describe_settings()}
    settings = scenario.model_dump(mode="json")
    blocks: list[Block] = []
    if "method" in study:
        blocks.append(Text(f"By the method {study['method']}, with a sample of {study['count']}."))
    rows = []
    for path in paths:
        values = [point["overrides"][path] for point in points if path in point["overrides"]]
        rows.append((path, _spread(values), plain(_value_at(settings, path)), described.get(path, "")))
    if rows:
        blocks.append(Table(("setting", "values", "base scenario", "what it is"), rows))
    together = len(paths) > MOST_COLUMNS or any(list(point["overrides"]) != paths for point in points)
    if together:
        listed = Table(
            ("point", "settings"),
            [
                (point["name"], ", ".join(f"{path} = {plain(value)}" for path, value in point["overrides"].items()))
                for point in points
            ],
        )
    else:
        listed = Table(
            ("point", *(path.replace(".", ".\n", 1) for path in paths)),
            [(point["name"], *(plain(value) for value in point["overrides"].values())) for point in points],
        )
    folded = Folded(f"All {len(points)} points with their settings", [listed])
    blocks.append(folded if len(points) > MOST_POINTS else listed)
    return Section("What was varied", blocks)


def _spread(values: Sequence[Any]) -> str:
    """Values in a few words: all of them if they are few, otherwise the ends."""
    distinct = list(dict.fromkeys(map(plain, values)))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if len(distinct) <= MOST_COLUMNS or not numbers:
        return ", ".join(distinct)
    low, high = (value if value == int(value) else float(f"{value:.4g}") for value in (min(values), max(values)))
    return f"{plain(low)} to {plain(high)}, {len(distinct)} values"


def _value_at(settings: Any, path: str) -> Any:
    """Value of a setting by its dotted path; None where a point adds to a list."""
    for name in path.split("."):
        if isinstance(settings, list):
            settings = settings[int(name)] if name.isdigit() and int(name) < len(settings) else None
        else:
            settings = settings.get(name) if isinstance(settings, dict) else None
    return settings


def _seeds(results: Results) -> Section:
    seeds, until = results.study["seeds"], results.study.get("until", [])
    blocks: list[Block] = [
        Text(
            f"{count_of(len(seeds), 'seed')}, {in_words(seeds)}, the same at every point: users, prices and arrivals "
            "of one seed are the same everywhere, so that points are compared seed by seed."
        )
    ]
    if until and results.measures:
        precisions = read_precisions(until, results.measures)
        lacking = shortfalls(what_is_there(results).table, precisions, len(seeds))
        outcome = f"Not reached: {lacking[0]}." if lacking else "It was reached at every point."
        blocks.append(Text(f"The precision that was asked for is {', '.join(map(str, precisions))}. {outcome}"))
    elif not until:
        blocks.append(Text("No precision was asked for: the number of seeds was fixed."))
    return Section("Seeds and precision", blocks)


def _failures(results: Results) -> list[Section]:
    failed = results.failed
    if failed.empty:
        return []
    rows, folded = [], []
    for run in failed.to_dict("records"):
        rows.append((run["point"], str(run["seed"]), run["error"].strip().splitlines()[-1]))
        name = Path(run["file"]).stem
        again = f"blockspace run failures/{name}.toml --seed {run['seed']}"
        folded.append(Folded(f"{run['point']}, seed {run['seed']}", [Code(f"{again}\n\n{run['error'].rstrip()}")]))
    blocks: list[Block] = [
        Table(("point", "seed", "what it said"), rows[:MOST_TRACEBACKS]),
        *folded[:MOST_TRACEBACKS],
    ]
    if len(failed) > MOST_TRACEBACKS:
        blocks.append(Text(f"The first {MOST_TRACEBACKS} of {len(failed)}; the column error has them all."))
    return [Section("Failed runs", blocks)]


# How to do it again, and where the data is.


def _command(study: Mapping[str, Any]) -> str:
    """What is known of the command of a sweep that has not been finished."""
    if study["kind"] == "study":
        return f"blockspace study {study['name']}{' --quick' if study.get('quick') else ''}, with the options it had"
    return "the command that began it, which continues"


def _what_changes_nothing(results: Results) -> list[str]:
    return [
        "The same command continues where it was stopped, and makes again only what another version of the simulator "
        "had made. Same settings and seed give the same fingerprint in index.parquet, whatever the number of processes."
    ]


def _data(results: Results, presentation: Presentation) -> Section:
    measure = _usual_measure(results)
    there = [name for name in SERIES if (results.folder / name).is_dir()]
    files = [
        "table.csv: one row per measure and point, with mean, median, intervals and the difference to the reference"
    ]
    files += [f"{name}.csv" for name in presentation.data]
    files += ["runs/: one Parquet file for each run, one row per measure"]
    indexed = (results.folder / "index.parquet").exists()
    if indexed:
        files.insert(0, "index.parquet: one row per run, a column per measure with its unit in its name")
    files += [f"{name}/: one Parquet file for each run" for name in there]
    files += ["manifest.json: SHA-256 of every file"]
    snippets = [_pandas(indexed, measure), _duckdb(measure), _polars(results.folder, there, indexed, measure)]
    return Section("Data", [Text("In this folder:"), Bullets(files), *(Code(snippet) for snippet in snippets)])


def _usual_measure(results: Results) -> str:
    """A measure to show how measures are read."""
    for name in ("effective_spread_bps", *results.measures):
        if name in results.measures:
            return name
    return "effective_spread_bps"


def _pandas(indexed: bool, measure: str) -> str:
    if indexed:
        return (
            "import pandas as pd\n\n"
            'runs = pd.read_parquet("index.parquet")\n'
            f'print(runs.pivot(index="seed", columns="point", values="{measure}"))'
        )
    return (
        "from pathlib import Path\n\nimport pandas as pd\n\n"
        'runs = pd.concat(map(pd.read_parquet, sorted(Path("runs").glob("*.parquet"))))\n'
        f'chosen = runs[runs["measure"] == "{measure}"]\n'
        'print(chosen.pivot(index="seed", columns="point", values="value"))'
    )


def _duckdb(measure: str) -> str:
    return (
        "import duckdb\n\n"
        'query = """\n'
        "    SELECT point, count(value) AS seeds, avg(value) AS mean, stddev_samp(value) AS deviation\n"
        "    FROM 'runs/*.parquet'\n"
        f"    WHERE measure = '{measure}' GROUP BY point ORDER BY point\n"
        '"""\n'
        "print(duckdb.sql(query))"
    )


def _polars(folder: Path, there: Sequence[str], indexed: bool, measure: str) -> str:
    if "blocks" in there:
        return (
            "import polars as pl\n\n"
            'blocks = pl.scan_parquet("blocks/*.parquet")\n'
            'print(blocks.group_by("point", "seed").agg(pl.col("base_fee_gwei").mean()).collect())'
        )
    if indexed:
        return (
            "import polars as pl\n\n"
            'runs = pl.scan_parquet("index.parquet").filter(pl.col("error").is_null())\n'
            f'print(runs.group_by("point").agg(pl.col("{measure}").mean()).sort("point").collect())'
        )
    return (
        "import polars as pl\n\n"
        f'runs = pl.scan_parquet("runs/*.parquet").filter(pl.col("measure") == "{measure}")\n'
        'print(runs.group_by("point").agg(pl.col("value").mean()).sort("point").collect())'
    )
