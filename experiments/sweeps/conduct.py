"""Conducting a study or a sweep from the question to the report."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockspace.experiments.compiling import compile_kernels
from blockspace.experiments.errors import NothingFinished, UserError
from blockspace.experiments.market import Market
from blockspace.experiments.reports.report import write_report
from blockspace.experiments.results import Results, load_results
from blockspace.experiments.results.statistics import tabulate
from blockspace.experiments.scenario import Scenario, change_settings
from blockspace.experiments.studies import STUDIES
from blockspace.experiments.sweeps.points import Sweep
from blockspace.experiments.sweeps.precision import FEWEST_SEEDS, read_precisions, seeds_wanted, shortfalls
from blockspace.experiments.sweeps.runner import run_sweep
from blockspace.network.settings import did_you_mean

MOST_SEEDS = 128
"""Seeds after which a sweep that is to reach a precision stops without it, unless another number is asked for."""


def conduct(
    sweep: Sweep,
    folder: str | Path,
    about: Mapping[str, Any],
    *,
    until: Iterable[str] = (),
    most_seeds: int = MOST_SEEDS,
    fresh: bool = False,
    printed: bool = False,
    **options: Any,
) -> Results:
    """Make the runs of a sweep, with more seeds until it is precise enough if asked, and leave a report.

    Parameters
    ----------
    sweep
        What to run.
    folder
        Results folder.
    about
        What ``study.json`` says besides points and seeds: ``kind`` (``"study"``, ``"sweep"`` or ``"sensitivity"``),
        ``name``, ``question``.
    until
        Precisions to be reached, such as ``"effective_spread_bps: 2%"``; see
        :func:`~blockspace.experiments.sweeps.precision.read_precisions`.
    most_seeds
        Seeds after which to stop all the same.
    printed
        Whether to print the table and the findings.
    fresh, options
        See :func:`~blockspace.experiments.sweeps.runner.run_sweep`.

    Raises
    ------
    ValueError
        If an option or a setting may not be what it is.
    NothingFinished
        If every run failed.
    """
    until = list(until)
    precisions = read_precisions(until, measures_of_runs(sweep.scenario)) if until else []
    if precisions and len(sweep.seeds) < FEWEST_SEEDS:
        sweep = _with_seeds(sweep, FEWEST_SEEDS)
    if precisions and most_seeds < len(sweep.seeds):
        raise UserError(f"most_seeds is {most_seeds}; it must be at least {len(sweep.seeds)}, the seeds to begin with")
    while True:
        runs = run_sweep(sweep, folder, about={**about, "until": until}, fresh=fresh, **options)
        fresh = False
        if runs["error"].notna().all():
            raise NothingFinished(f"every run failed; the first one said:\n{runs['error'].iloc[0]}")
        if not precisions:
            break
        wanted = ["point", *sweep.swept, "seed", *{precision.measure for precision in precisions}]
        lacking = shortfalls(tabulate(runs[wanted], sweep.swept, sweep.reference), precisions, len(sweep.seeds))
        if not lacking:
            break
        told = f"with {len(sweep.seeds)} seeds {lacking[0]}"
        if len(sweep.seeds) >= most_seeds:
            print(f"{told}; {most_seeds} seeds are the most that may be used", file=sys.stderr, flush=True)
            break
        sweep = _with_seeds(sweep, seeds_wanted(lacking, len(sweep.seeds), most_seeds))
        if not options.get("quiet"):
            print(f"{told}: going on with {len(sweep.seeds)} seeds", file=sys.stderr, flush=True)
    write_report(folder, printed=printed)
    return load_results(folder)


def run_study(
    name: str,
    quick: bool = False,
    seeds: int | Sequence[int] | None = None,
    out: str | Path | None = None,
    **options: Any,
) -> Results:
    """Run a study and leave a results folder.

    A study that was interrupted continues where it stopped when it is run again with the same folder.

    Parameters
    ----------
    name
        Name of the study.
    quick
        Whether to make shorter runs with fewer seeds.
    seeds
        Number of seeds, or the seeds themselves; by default the study's own number.
    out
        Results folder; by default ``results/NAME``, or ``results/NAME-quick``.
    options
        See :func:`conduct` and :func:`~blockspace.experiments.sweeps.runner.run_sweep`.

    Raises
    ------
    ValueError
        If there is no such study, or a setting may not be what it is.
    NothingFinished
        If every run failed.
    """
    if name not in STUDIES:
        raise UserError(
            f"there is no study {name!r}{did_you_mean(name, list(STUDIES))}; there are {', '.join(STUDIES)}"
        )
    study = STUDIES[name]
    if seeds is None:
        seeds = study.QUICK_SEEDS if quick else study.SEEDS
    chosen = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    folder = Path(out) if out is not None else Path("results") / (f"{name}-quick" if quick else name)
    about = {"kind": "study", "name": name, "question": study.QUESTION, "quick": quick}
    return conduct(study.sweep(quick, chosen), folder, about, **options)


def measures_of_runs(scenario: Scenario) -> list[str]:
    """Names of everything that a run of a scenario measures; it takes a few blocks to find out."""
    compile_kernels(scenario)
    market = Market(change_settings(scenario, {"warm_up_s": 0.0}), tapes="none")
    for _ in range(3):
        market.step()
    return list(market.summary())


def _with_seeds(sweep: Sweep, count: int) -> Sweep:
    """The sweep with further seeds, the next whole numbers."""
    first = max(sweep.seeds) + 1
    return replace(sweep, seeds=(*sweep.seeds, *range(first, first + count - len(sweep.seeds))))
