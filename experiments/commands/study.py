"""``blockspace study``: a question, a sweep, and what came out."""

from typing import Annotated

import typer

from blockspace.experiments.commands.common import complete_study, one_sentence, study_names
from blockspace.experiments.commands.options import (
    Fresh,
    Jobs,
    Keep,
    MostSeeds,
    Out,
    Quiet,
    RetryFailed,
    Scheduler,
    Seeds,
    Until,
)

CONTINUES = "the runs that were finished are kept, and the same command continues"


def study(
    name: Annotated[str, typer.Argument(help="Which study.", autocompletion=complete_study)],
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes rather than hours: shorter runs, fewer seeds.")
    ] = False,
    seeds: Seeds = None,
    until: Until = None,
    most_seeds: MostSeeds = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    keep: Keep = "summary",
    out: Out = None,
    fresh: Fresh = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: a sweep with paired seeds that ends in a table, a figure and a folder to reproduce it."""
    with one_sentence(CONTINUES):
        from blockspace.experiments.scenario import ScenarioError
        from blockspace.network.settings import did_you_mean

        names = study_names()
        if name not in names:
            raise ScenarioError(f"there is no study {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
        from blockspace.experiments.sweeps.conduct import MOST_SEEDS, run_study

        run_study(
            name,
            quick=quick,
            seeds=seeds,
            out=out,
            until=until or (),
            most_seeds=most_seeds or MOST_SEEDS,
            jobs=jobs,
            scheduler=scheduler,
            keep=keep,
            fresh=fresh,
            retry_failed=retry_failed,
            quiet=quiet,
            printed=True,
        )
