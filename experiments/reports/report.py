"""The report of a study or a sweep: a table, figures and findings in its folder, and all of it on one page."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable

from blockspace.experiments.files import write_whole
from blockspace.experiments.reports.figures import save_figure
from blockspace.experiments.reports.incomplete import UNNAMED, what_is_missing, what_is_there
from blockspace.experiments.reports.page import render
from blockspace.experiments.reports.presentation import Presentation
from blockspace.experiments.reports.run_report import FILES, is_run_folder
from blockspace.experiments.reports.sweep_page import sweep_page
from blockspace.experiments.results import Results, load_results
from blockspace.experiments.results.folder import StoreError, listed_files, read_manifest, write_manifest
from blockspace.experiments.studies import STUDIES

PRESENTERS = {
    "study": ("studies", "present_study"),
    "sweep": ("reports.overview", "present_sweep"),
    "sensitivity": ("sweeps.sensitivity", "present_sensitivity"),
}
"""Who presents results of a kind: module and function."""


def require_folder(folder: Path) -> None:
    """Refuse what is no results folder of any kind.

    Raises
    ------
    StoreError
        With what is wrong with it.
    """
    if not folder.is_dir():
        raise StoreError(f"there is no folder {folder}")
    if not (folder / "study.json").exists() and not is_run_folder(folder):
        raise StoreError(
            f"{folder} holds neither a sweep (study.json, runs) nor a run ({', '.join(FILES)}); it must be the folder "
            "of one"
        )


def write_report(folder: str | Path, *, made_here: bool = True, printed: bool = False) -> Path:
    """Write table, figures, findings, manifest and page of a results folder; the same results give the same bytes.

    Parameters
    ----------
    folder
        Results folder of a study, a sweep or a sensitivity analysis, finished or not.
    made_here
        Whether it was this process that made the runs. If not, the manifest keeps what it says of how they were made.
    printed
        Whether to print the table, the findings, and where figures and page are, as well.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ValueError
        If the folder holds none of these, or no finished run.
    """
    results = load_results(folder)
    presentation = present(results)
    page = _write(results, presentation, made_here)
    if printed:
        _print(results, presentation)
    return page


def _write(results: Results, presentation: Presentation, made_here: bool) -> Path:
    folder = results.folder
    write_whole(folder / "table.csv", what_is_there(results).table.to_csv(index=False, lineterminator="\n"))
    for name, frame in presentation.data.items():
        write_whole(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    for name, figure in presentation.figures.items():
        save_figure(figure, folder, name)
    bullets = "".join(f"- {finding}\n" for finding in presentation.findings)
    write_whole(folder / "findings.md", f"# {presentation.question}\n\n{bullets}")
    made = None if made_here else read_manifest(folder) or _unknown(results)
    manifest = write_manifest(folder, listed_files(folder), results.study["seeds"], made)
    named = replace(results, study={**UNNAMED, **results.study})
    page = folder / "report.html"
    write_whole(page, render(sweep_page(named, presentation, manifest)))
    return page


def _print(results: Results, presentation: Presentation) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(f"\n[bold]{escape(presentation.question)}[/bold]")
    if len(presentation.headings) > 1:
        console.print(_terminal_table(presentation))
        console.print(presentation.note, markup=False)
    console.print()
    for finding in presentation.findings:
        console.print(f"• {finding}", markup=False)
    files = [*(path for path in results.figures if path.suffix == ".png"), results.folder / "report.html"]
    for path in files:
        if path.exists():
            # Never broken into lines: a path is there to be copied.
            console.print(str(path), soft_wrap=True, markup=False)


def present(results: Results) -> Presentation:
    """Results as their kind presents them, with what is missing told among the findings."""
    shown = what_is_there(results)
    presenter = _presenter(shown)
    nothing = Presentation(shown.study["question"], [], [], [], "", {}, [])
    presentation = presenter(shown) if shown.measures else nothing
    return replace(presentation, findings=[*presentation.findings, *what_is_missing(results)])


def _presenter(results: Results) -> Callable[[Results], Presentation]:
    kind = results.study["kind"]
    if kind not in PRESENTERS:
        raise StoreError(f"{results.folder} holds a {kind}, which this version cannot show")
    if kind == "study" and results.study["name"] not in STUDIES:
        kind = "sweep"  # a study of somebody else's: what every sweep shows, it shows too
    module, function = PRESENTERS[kind]
    presenter: Callable[[Results], Presentation] = getattr(
        importlib.import_module(f"blockspace.experiments.{module}"), function
    )
    return presenter


def _unknown(results: Results) -> dict[str, Any]:
    """What is known of how runs were made that have no manifest yet."""
    versions = {"blockspace": results.study["version"]}
    return {"command": None, "python": None, "platform": None, "versions": versions, "commit": None}


def _terminal_table(presentation: Presentation) -> TerminalTable:
    headings = [escape(heading) for heading in presentation.headings]
    table = TerminalTable(*headings, box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in table.columns:
        column.justify = "right"
    for number, row in enumerate(presentation.rows):
        table.add_row(*map(escape, row), style="bold" if number in presentation.emphasised else "")
    return table
