"""``blockspace show`` and ``blockspace compare``: what a folder holds, and two of them side by side."""

import shlex
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from blockspace.experiments.commands.common import one_sentence

Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def show(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that a study, a sweep or `run --out` has left.")
    ],
    in_browser: Open = False,
) -> None:
    """Print the table of a results folder, finished or not, and write its page, report.html."""
    with one_sentence():
        page = _show(folder)
    if in_browser:
        webbrowser.open(page.resolve().as_uri())


def _show(folder: Path) -> Path:
    """Write the page of a folder and print its table, whatever the folder holds."""
    from blockspace.experiments.reports.report import require_folder, write_report
    from blockspace.experiments.reports.run_report import is_run_folder, print_run_report, write_run_report

    require_folder(folder)
    if not is_run_folder(folder):
        return write_report(folder, made_here=False, printed=True)
    page = write_run_report(folder)
    print_run_report(folder)
    return page


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a study, a sweep or a run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same kind.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="The page; by default compare-A-B.html in this folder.")
    ] = None,
    in_browser: Open = False,
) -> None:
    """Compare two results folders point by point, with intervals: print the table and write one page."""
    with one_sentence():
        page = _compare(first, second, out)
    if in_browser:
        webbrowser.open(page.resolve().as_uri())


def _compare(first: Path, second: Path, out: Path | None) -> Path:
    from blockspace.experiments.reports.comparison import compare as compare_folders
    from blockspace.experiments.reports.comparison_page import print_comparison, write_comparison
    from blockspace.experiments.reports.report import require_folder

    for folder in (first, second):
        require_folder(folder)
    page = out or Path("-".join(["compare", *(folder.resolve().name for folder in (first, second))]) + ".html")
    comparison = compare_folders(first, second)
    command = ["blockspace", "compare", str(first), str(second), *(["--out", str(out)] if out else [])]
    write_comparison(comparison, page, shlex.join(command))
    print_comparison(comparison)
    typer.echo(str(page))
    return page
