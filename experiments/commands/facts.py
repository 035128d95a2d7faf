"""``blockspace facts``: the stylised facts of markets, looked for in a run."""

from pathlib import Path
from typing import Annotated

import typer

from blockspace.experiments.commands.common import one_sentence


def facts(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of `run --out`, or of a sweep that kept tapes.")
    ],
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds between two observations.")] = 60.0,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Which run of a sweep, such as 5-M-seed1.")] = None,
    instrument: Annotated[str | None, typer.Option(metavar="NAME", help="Which; by default the first.")] = None,
) -> None:
    """Look for the stylised facts of markets in a run; adds facts.csv, facts.png and facts.svg to its folder."""
    with one_sentence():
        from blockspace.experiments.facts.report import report_facts
        from blockspace.experiments.reports.tables import print_table

        print_table(report_facts(folder, interval, instrument, run=run))
