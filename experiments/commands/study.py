"""``blockspace study``: a question, a sweep, and what came out."""

from pathlib import Path
from typing import Annotated

import typer

from blockspace.experiments.commands.common import complete_study, one_sentence, study_names, whole_number


def study(
    name: Annotated[str, typer.Argument(help="Which study.", autocompletion=complete_study)],
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes rather than hours: shorter runs, fewer seeds.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Seeds at every point.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(parser=whole_number(1), metavar="NUMBER", help="Processes; by default one per core."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder.")] = None,
) -> None:
    """Run a study: a sweep with paired seeds that ends in a table, a figure and a folder to reproduce it."""
    with one_sentence("the runs that were finished are kept, and the same command continues"):
        from blockspace.experiments.scenario import ScenarioError, did_you_mean

        names = study_names()
        if name not in names:
            raise ScenarioError(f"there is no study {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
        from blockspace.experiments.studies import run_study

        typer.echo(f"results are in {run_study(name, quick=quick, seeds=seeds, jobs=jobs, out=out)}")
