"""The report of one run: what ``blockspace run --out`` left, with a figure through time, on one page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from blockspace.experiments.files import write_whole
from blockspace.experiments.reports.figures import save_figure
from blockspace.experiments.reports.page import Bullets, Code, Page, Picture, Section, Table, Text, describe, render
from blockspace.experiments.reports.sections import (
    reproduction_section,
    settings_section,
    version_facts,
    versions_section,
)
from blockspace.experiments.reports.tables import (
    format_number,
    print_table,
    summary_groups,
    summary_table,
    summary_title,
)
from blockspace.experiments.reports.timelines import Blocks, draw_timelines
from blockspace.experiments.results.folder import StoreError, listed_files, read_manifest, write_manifest
from blockspace.experiments.scenario import Scenario, load_scenario

FILES = ("scenario.toml", "summary.json", "blocks.parquet", "manifest.json")
"""What the folder of a run holds at least."""

FIGURE = "run"

TAPES = {
    "blocks.parquet": "one row per block, the state of the market after it",
    "trades.parquet": "one row per trade",
    "transactions.parquet": "one row per transaction",
    "liquidations.parquet": "one row per liquidation",
    "series.parquet": "one row per series of options: its terms and how it was settled",
    "options.parquet": "the books of options, one row per series every so often",
}


@dataclass(frozen=True)
class Run:
    """What a run left in its folder: scenario, seed, summary measures, and how it was made."""

    folder: Path
    scenario: Scenario
    seed: int
    summary: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def blocks(self) -> Blocks:
        """Its blocks."""
        return Blocks(self.folder / "blocks.parquet", self.scenario)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder looks like that of a run."""
    return all((folder / name).is_file() for name in FILES)


def load_run(folder: str | Path) -> Run:
    """Load what a run left.

    Raises
    ------
    ValueError
        If something of it is missing or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except ValueError:
        summary = None
    if manifest is None or not isinstance(summary, dict):
        raise StoreError(f"{folder} holds a run whose manifest.json or summary.json is damaged or cut short")
    return Run(folder, load_scenario(folder / "scenario.toml"), int(manifest["seeds"][0]), summary, manifest)


def write_run_report(folder: str | Path) -> Path:
    """Write the figure and the page of a run into its folder; the same run gives the same bytes.

    Raises
    ------
    ValueError
        If the folder holds no run.
    """
    run = load_run(folder)
    figure = draw_timelines(summary_title(run.scenario, run.seed), {run.scenario.name: run.blocks})
    save_figure(figure, run.folder, FIGURE)
    write_manifest(run.folder, listed_files(run.folder), [run.seed], run.manifest)
    svg = (run.folder / f"{FIGURE}.svg").read_text(encoding="utf-8")
    picture = Picture(svg, describe(figure), f"{FIGURE}.png and {FIGURE}.svg in this folder.")
    hours = (run.scenario.duration_s - run.scenario.warm_up_s) / 3600
    page = Page(
        f"{run.scenario.name}, seed {run.seed}",
        "Blockspace · run",
        [f"{run.summary['blocks_recorded']:,} blocks in {hours:.3g} h after the warm-up", *version_facts(run.manifest)],
        [
            Section("Through time", [picture]),
            Section("Measures", [summary_rows(run)]),
            settings_section(run.scenario),
            versions_section(run.manifest),
            reproduction_section(run.manifest, f"blockspace run scenario.toml --seed {run.seed}", [_same(run)]),
            _data(run.folder),
        ],
    )
    path = run.folder / "report.html"
    write_whole(path, render(page))
    return path


def print_run_report(folder: str | Path) -> None:
    """Print the table of a run, and where its figure and its page are."""
    run = load_run(folder)
    print_table(summary_table(run.summary, run.scenario, run.seed))
    console = Console(highlight=False)
    for path in (run.folder / f"{FIGURE}.png", run.folder / "report.html"):
        if path.exists():
            console.print(str(path), soft_wrap=True, markup=False)


def summary_rows(run: Run) -> Table:
    """The main measures of a run as a table, in groups."""
    rows: list[tuple[str, str, str]] = []
    titles = []
    for title, measures in summary_groups(run.scenario):
        titles.append(len(rows))
        rows.append((title, "", ""))
        rows += [(label, format_number(run.summary.get(name), 4), unit) for label, name, unit in measures]
    note = "One run: what is chance in it, only more seeds tell. summary.json has every measure."
    return Table(("measure", "value", "unit"), rows, titles, note)


def _same(run: Run) -> str:
    return (
        f"blockspace run scenario.toml --seed {run.seed} in this folder makes the same run: scenario.toml has every "
        "setting."
    )


def _data(folder: Path) -> Section:
    there = {name: told for name, told in TAPES.items() if (folder / name).exists()}
    files = [f"{name}: {told}" for name, told in there.items()]
    files += ["summary.json: every measure", "manifest.json: SHA-256 of every file"]
    snippets = [
        'import pandas as pd\n\nblocks = pd.read_parquet("blocks.parquet")\n'
        'print(blocks[["base_fee_gwei", "utilisation", "pending"]].describe())',
        "import duckdb\n\nprint(duckdb.sql(\"SELECT count(*) AS blocks, max(time_s) FROM 'blocks.parquet'\"))",
        'import polars as pl\n\nprint(pl.scan_parquet("blocks.parquet").select(pl.col("gas_used").sum()).collect())',
    ]
    if "transactions.parquet" in there:
        snippets[1] = (
            'import duckdb\n\nquery = """\n'
            "    SELECT kind, status, count(*) AS number, avg(time_s - decided_s) AS delay_s\n"
            '    FROM \'transactions.parquet\' GROUP BY kind, status ORDER BY kind, status\n"""\n'
            "print(duckdb.sql(query))"
        )
    if "trades.parquet" in there:
        snippets[2] = (
            'import polars as pl\n\ntrades = pl.scan_parquet("trades.parquet")\n'
            'print(trades.group_by("instrument", "side").agg(pl.col("size").sum()).collect())'
        )
    return Section("Data", [Text("In this folder:"), Bullets(files), *(Code(snippet) for snippet in snippets)])
