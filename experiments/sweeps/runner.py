"""The runner: makes the runs of a sweep on every core, or on every machine of a cluster, and keeps each as it comes.

The processes are joblib's: on one machine its own, on a cluster those of a Dask scheduler. A worker sends back the
summary of its run and this process writes it, so that the machines of a cluster need no common folder; only the series
of blocks and the tapes, which may be large, are written by the worker itself.
"""

import functools
import hashlib
import inspect
import os
import re
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from joblib.externals.loky.process_executor import BrokenProcessPool

from blockspace.experiments.compiling import compile_kernels
from blockspace.experiments.errors import DISK_IS_FULL, UserError
from blockspace.experiments.market import Market
from blockspace.experiments.results.folder import SERIES, begin, locked, remove_leftovers, version, write_manifest
from blockspace.experiments.results.run_files import (
    RunRecord,
    known_runs,
    label_series,
    run_file,
    write_index,
    write_run,
)
from blockspace.experiments.scenario import Scenario, change_settings
from blockspace.experiments.sweeps.points import Measurement, Sweep
from blockspace.experiments.sweeps.progress import Progress, log_file
from blockspace.network.compilation import source_hash

ATTEMPTS = 3
"""How often a run may be under way when a process dies before it is given up: the last times it runs alone."""

CONNECT_WITHIN_S = 10
"""Seconds in which a scheduler must answer."""

KEEP = {"summary": (), "blocks": ("blocks",), "tapes": SERIES}
"""What is kept of each run besides its measures."""

_MARKET = Path(__file__).resolve().parents[1] / "market.py"


@dataclass(frozen=True)
class _Task:
    """What a worker is told: which run to make, of which source, and what of it to keep where."""

    scenario: str  # JSON: a tenth of the memory of the scenario itself
    seed: int
    source: str
    folder: Path
    name: str
    labels: Mapping[str, Any]
    series: tuple[str, ...]
    measurement: Measurement | None
    parent: int  # process that hands out the runs


@dataclass(frozen=True)
class _Outcome:
    """What a worker sends back; a failure is an outcome too."""

    fingerprint: str | None
    measures: Mapping[str, float]
    error: str | None
    seconds: float


@dataclass(frozen=True)
class _Planned:
    """A run of a sweep: its place in the results, its task, and roughly how long it takes."""

    run: RunRecord
    task: _Task
    effort: float


def run_sweep(
    sweep: Sweep,
    folder: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    keep: str = "summary",
    fresh: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    about: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Make every run of a sweep that has not been made yet.

    Parameters
    ----------
    sweep
        What to run.
    folder
        Results folder; see :mod:`blockspace.experiments.results.folder`.
    jobs
        Number of processes; by default one per core.
    scheduler
        Address of a Dask scheduler, such as ``"tcp://10.0.0.1:8786"``, whose workers make the runs instead.
    keep
        ``"summary"``, ``"blocks"`` for the blocks of each run too, or ``"tapes"`` for trades and transactions as well.
        The machines of a cluster must have the folder in common for that.
    fresh
        Whether to begin anew, whatever the folder holds.
    retry_failed
        Whether runs that have failed are made again.
    quiet
        Whether to show no progress.
    about
        What else ``study.json`` says.

    Returns
    -------
    pandas.DataFrame
        One row per run, in the order of points and seeds, as in ``index.parquet``: ``point``, the swept values,
        ``seed``, ``fingerprint``, ``error`` (the traceback of a run that failed, otherwise None) and every measure.

    Raises
    ------
    ValueError
        If an option or a point's settings may not be what they are, or the folder holds another sweep; before anything
        runs.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; it must be at least 1")
    if keep not in KEEP:
        raise UserError(f"keep is {keep!r}; it may be {', '.join(KEEP)}")
    folder = Path(folder).absolute()
    planned = _plan(sweep, folder, KEEP[keep])
    with locked(folder):
        begin(folder, sweep, about or {}, fresh)
        write_manifest(folder, (), sweep.seeds)  # so that a page knows how they were made, even if they are interrupted
        with log_file(folder / "log.txt") as log:
            finished, waiting, complaints = _sort(planned, folder, retry_failed)
            for complaint in complaints:
                log.warning(complaint)
                print(complaint, file=sys.stderr, flush=True)
            log.info("blockspace %s: %d runs, of which %d are to be made", version(), len(planned), len(waiting))
            progress = Progress(len(planned), len(finished), quiet)
            try:
                for one, outcome in _make(waiting, jobs, scheduler):
                    run = one.run
                    run.fingerprint, run.measures, run.error = outcome.fingerprint, outcome.measures, outcome.error
                    write_run(folder, run, Scenario.model_validate_json(one.task.scenario) if run.error else None)
                    finished[run.name] = run
                    progress.advance()
                    how = "failed" if run.error else "made"
                    log.info("%s %s, seed %d, in %.2f s", how, run.point, run.seed, outcome.seconds)
            finally:
                progress.close()
            remove_leftovers(folder)
            frame = write_index(folder, [finished[one.run.name] for one in planned])
            log.info("finished: %d runs, of which %d failed", len(frame), frame["error"].notna().sum())
    return frame


# What is to be done.


def _plan(sweep: Sweep, folder: Path, series: tuple[str, ...]) -> list[_Planned]:
    """All runs of a sweep in the order of points and seeds; every scenario is checked here, before the first run."""
    source = _source(sweep.measurement)
    hash_of = functools.cache(_hash_of_file)
    planned = []
    stems: dict[str, str] = {}
    for point in sweep.points:
        scenario = change_settings(sweep.scenario, point.overrides)
        stem = re.sub(r"[^\w.=]+", "-", point.name).strip("-")
        if stems.setdefault(stem.lower(), point.name) != point.name:
            raise UserError(
                f"points {stems[stem.lower()]!r} and {point.name!r} would share the file {stem}; names of points must "
                "differ in letters or digits"
            )
        text = described = scenario.model_dump_json()
        if scenario.price.source == "file":
            # Prices are part of a run by what they are, not by where their file lies.
            price = scenario.price.model_copy(update={"file": hash_of(scenario.price.file)})
            described = scenario.model_copy(update={"price": price}).model_dump_json()
        effort = scenario.duration_s * (1 / scenario.chain.block_time_s + scenario.background_users.arrivals_per_s)
        for seed in sweep.seeds:
            identity = hashlib.blake2b(f"{source} {described} {seed}".encode(), digest_size=8).hexdigest()
            run = RunRecord(f"{stem}-seed{seed}", point.name, point.values, seed, identity)
            labels = {"point": point.name, "seed": seed}
            task = _Task(text, seed, source, folder, run.name, labels, series, sweep.measurement, os.getpid())
            planned.append(_Planned(run, task, effort))
    return planned


def _source(measurement: Measurement | None) -> str:
    """Hash of all code that the measures of a run depend on, and what else is measured."""
    if measurement is None:
        return source_hash(_MARKET)
    module = Path(inspect.getfile(type(measurement))).resolve()
    return f"{source_hash(_MARKET)} {source_hash(module)} {measurement!r}"


def _hash_of_file(file: str) -> str:
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()


def _sort(
    planned: Sequence[_Planned], folder: Path, retry_failed: bool
) -> tuple[dict[str, RunRecord], list[_Planned], list[str]]:
    """Part what has been made already from what has not, with a sentence on everything that has to be made again."""
    known, complaints = known_runs(folder)
    finished, waiting, outdated = {}, [], 0
    for one in planned:
        before = known.get(one.run.name)
        if before is not None and before.identity != one.run.identity:
            outdated += 1
        elif before is not None and _is_done(before, one.task, retry_failed):
            finished[one.run.name] = before
            continue
        waiting.append(one)
    if outdated:
        complaints.append(
            f"{outdated} runs in {folder} were made by another version of the simulator, of Numba or of Python, and "
            "are made again"
        )
    return finished, waiting, complaints


def _is_done(before: RunRecord, task: _Task, retry_failed: bool) -> bool:
    """Whether a run is there with all that is to be kept of it, or has failed and is to be left at that."""
    if before.error is not None:
        return not retry_failed
    return all(run_file(task.folder, task.name, series).exists() for series in task.series)


# Making it.


def _make(waiting: Sequence[_Planned], jobs: int | None, scheduler: str | None) -> Iterator[tuple[_Planned, _Outcome]]:
    """Make runs, and give each as it comes back.

    A process that dies, for want of memory say, takes the pool of processes with it. The runs that were under way are
    then made one at a time, after all others; one with which processes keep dying has failed.
    """
    if not waiting:
        return
    compile_kernels(Scenario.model_validate_json(waiting[0].task.scenario))
    # Longest first, so that no long run is left over at the end for one core alone.
    left = {one.run.name: one for one in sorted(waiting, key=lambda one: -one.effort)}
    deaths: Counter[str] = Counter()
    while left:
        batch = [one.task for one in left.values() if not deaths[one.run.name]] or [next(iter(left.values())).task]
        under_way: set[str] = set()
        try:
            for name, outcome in _hand_out(batch, jobs, scheduler, under_way):
                under_way.discard(name)
                yield left.pop(name), outcome
        except _died(scheduler):
            for name in under_way:
                deaths[name] += 1
                if deaths[name] == ATTEMPTS:
                    yield left.pop(name), _Outcome(None, {}, "the process that made this run died", 0.0)


def _hand_out(
    tasks: Sequence[_Task], jobs: int | None, scheduler: str | None, under_way: set[str]
) -> Iterator[tuple[str, _Outcome]]:
    """Let the processes of this machine, or the workers of a scheduler, make runs; the outcomes come unordered."""

    def calls() -> Iterator[Any]:
        for task in tasks:
            under_way.add(task.name)
            yield joblib.delayed(_simulate)(task)

    with warnings.catch_warnings(), _backend(scheduler):
        # A process whose memory has grown is replaced by joblib; there is nothing to be done about it.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        processes = -1 if scheduler is not None and jobs is None else jobs or joblib.cpu_count()
        yield from joblib.Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)(calls())


@contextmanager
def _backend(scheduler: str | None) -> Iterator[None]:
    """Where joblib finds its processes: on this machine, or with the workers of a scheduler."""
    if scheduler is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise UserError("a scheduler needs Dask: pip install 'blockspace[cluster]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT_WITHIN_S)
    except (OSError, ValueError) as error:
        told = str(error).splitlines()[0]
        raise UserError(f"scheduler is {scheduler!r}; no Dask scheduler answers there: {told}") from None
    with client, joblib.parallel_config("dask", client=client):
        yield


def _died(scheduler: str | None) -> tuple[type[BaseException], ...]:
    """Errors that say that a process has died, not that a run has failed."""
    if scheduler is None:
        return (BrokenProcessPool,)
    from distributed import KilledWorker

    return (KilledWorker,)


def _simulate(task: _Task) -> tuple[str, _Outcome]:
    """Make one run in whatever process this is."""
    if _source(task.measurement) != task.source:
        raise RuntimeError("a worker has another version of blockspace than the process that hands out the runs")
    if os.getppid() == task.parent:
        _end_with(task.parent)
    began = time.perf_counter()
    scenario = Scenario.model_validate_json(task.scenario)
    compile_kernels(scenario)
    unfinished = task.folder / "unfinished" / task.name
    fingerprint, measures, failure = None, {}, None
    try:
        with_tapes = "trades" in task.series or getattr(task.measurement, "reads_tapes", False)
        market = Market(scenario, task.seed, unfinished if with_tapes else "none")
        market.run_for(scenario.duration_s)
        market.check()
        market.close()
        further = task.measurement(market) if task.measurement is not None else {}
        if task.series:
            _keep_series(market, task, unfinished)
        fingerprint, measures = market.fingerprint(), {**market.summary(), **further}
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
            raise  # it says nothing about the run, and every other one would fail likewise
        failure = traceback.format_exc()
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return task.name, _Outcome(fingerprint, measures, failure, time.perf_counter() - began)


@functools.cache
def _end_with(parent: int) -> None:
    """Let this process end when the one that started it is gone: nobody would take what it makes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _keep_series(market: Market, task: _Task, unfinished: Path) -> None:
    unfinished.mkdir(parents=True, exist_ok=True)
    market.blocks().to_parquet(unfinished / "blocks.parquet", index=False)
    for series in task.series:
        label_series(unfinished / f"{series}.parquet", run_file(task.folder, task.name, series), task.labels)
