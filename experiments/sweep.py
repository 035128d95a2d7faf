"""Sweeps: one scenario at several points, with the same seeds at each, on every core.

Each finished run is kept in a file of its own whose name holds a hash of all that the run depends on: the whole
scenario, the seed, and the source of the simulator. The same command therefore continues where it was stopped, a
larger sweep makes use of what a smaller one has done, and a result of other settings or of older code is never
taken for a new one.

The processes are joblib's: on one machine its own, on a cluster those of the backend that the caller has chosen with
:func:`joblib.parallel_config`.
"""

import hashlib
import json
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from blockspace.experiments.market import Market
from blockspace.experiments.results import scenario_toml, write_whole
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.network.compilation import is_compiled, mark_compiled, source_hash

ATTEMPTS = 3
"""How often a run is handed out before it is given up because the processes that try it die."""

_HERE = Path(__file__).resolve().parent
_WORLD = _HERE / "world.py"
_MARKET = _HERE / "market.py"


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Attributes
    ----------
    name
        What it is called, with its unit.
    values
        Swept values by column name; the first is what figures have on their horizontal axis.
    overrides
        Settings by dotted path, as :func:`~blockspace.experiments.scenario.load_scenario` takes them.
    """

    name: str
    values: Mapping[str, float]
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A scenario, the points at which it is run, and the seeds that all of them share.

    Attributes
    ----------
    scenario
        Base scenario.
    points
        In the order in which they are shown.
    seeds
        The same at every point, so that points can be compared seed by seed.
    reference
        Name of the point that others are compared with.
    """

    scenario: Scenario
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    reference: str

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if len(set(names)) < len(names):
            raise ValueError("two points of the sweep have the same name; each must have its own")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds is {list(self.seeds)}; it must hold at least one seed, and none twice")
        if self.reference not in names:
            raise ValueError(f"reference is {self.reference!r}; it may be {', '.join(names)}")

    def describe(self) -> dict[str, Any]:
        """Points, seeds and reference as plain data."""
        return {
            "points": [asdict(point) for point in self.points],
            "seeds": list(self.seeds),
            "reference": self.reference,
        }


@dataclass(frozen=True)
class _Run:
    """One run to be made: a point's scenario with one seed, and the file that keeps its result."""

    point: Point
    scenario: Scenario
    seed: int
    file: Path

    @property
    def effort(self) -> float:
        """Roughly how long it takes, for the order in which runs are handed out: blocks and users."""
        scenario = self.scenario
        return scenario.duration_s * (1 / scenario.chain.block_time_s + scenario.background_users.arrivals_per_s)

    def record(self, outcome: Mapping[str, Any]) -> None:
        """Keep the outcome of the run."""
        known = {"point": self.point.name, "seed": self.seed, **outcome}
        write_whole(self.file, json.dumps(known, indent=1) + "\n")

    def row(self) -> dict[str, Any]:
        """The run as a row of the table of runs."""
        known = json.loads(self.file.read_text(encoding="utf-8"))
        head = {"point": self.point.name, **self.point.values, "seed": self.seed}
        return head | {"fingerprint": known["fingerprint"], "error": known["error"]} | known["summary"]

    def is_done(self) -> bool:
        """Whether it has been made already, and did not fail."""
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))["error"] is None
        except (OSError, ValueError, KeyError):
            return False


def run_sweep(sweep: Sweep, folder: str | Path, jobs: int | None = None, progress: bool | None = None) -> pd.DataFrame:
    """Make every run of a sweep that has not been made yet.

    Parameters
    ----------
    sweep
        What to run.
    folder
        Results folder. The base scenario goes to ``scenario.toml``, each finished run to ``runs/``.
    jobs
        Number of processes; by default one per core.
    progress
        Whether to show a progress bar on standard error; by default only if that is a terminal.

    Returns
    -------
    pandas.DataFrame
        One row per run, in the order of points and seeds: ``point``, the swept values, ``seed``, ``fingerprint``,
        ``error`` (the traceback of a run that failed, otherwise None) and every summary measure.

    Raises
    ------
    ValueError
        If a point's settings or the number of jobs may not be what they are; before anything runs.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; it must be at least 1")
    folder = Path(folder)
    write_whole(folder / "scenario.toml", scenario_toml(sweep.scenario))
    runs = _runs(sweep, folder)
    waiting = [run for run in runs if not run.is_done()]
    if waiting:
        compile_kernels(sweep.scenario)
        # Longest first, so that no long run is left over at the end for one core alone.
        waiting.sort(key=lambda run: -run.effort)
        bar = tqdm(
            total=len(runs),
            initial=len(runs) - len(waiting),
            unit="run",
            disable=None if progress is None else not progress,
            smoothing=0,
        )
        with bar, warnings.catch_warnings():
            # A process whose memory has grown is replaced by joblib; there is nothing to be done about it.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
            _make(waiting, joblib.cpu_count() if jobs is None else jobs, bar)
    return pd.DataFrame([run.row() for run in runs])


def run_files(sweep: Sweep, folder: str | Path) -> list[Path]:
    """Files that keep the runs of a sweep, in the order of points and seeds."""
    return [run.file for run in _runs(sweep, Path(folder))]


def compile_kernels(scenario: Scenario) -> None:
    """Compile the simulator, if that is still to be done, and say so on standard error.

    Two processes do it: this one goes through the phases of a block from the front, another from the back, and each
    loads what the other has finished. Processes that start afterwards load all of it.
    """
    if is_compiled(_WORLD):
        return
    print("compiling the simulator: once, for about a quarter of a minute", file=sys.stderr, flush=True)
    command = "from blockspace.experiments.sweep import compile_from_the_back; compile_from_the_back()"
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        market = Market(scenario, tapes="none")
        market.run_for(20 * scenario.chain.block_time_s)
        market.summary()
    mark_compiled(_WORLD)


def compile_from_the_back() -> None:
    """Call the phases of a block of a default scenario in reverse, for the sake of compiling what they call."""
    for _, step in reversed(Market(Scenario(), tapes="none").world.phases):
        step()


def _runs(sweep: Sweep, folder: Path) -> list[_Run]:
    """All runs of a sweep; every scenario is checked here, before the first run."""
    runs = []
    for point in sweep.points:
        scenario = load_scenario(folder / "scenario.toml", point.overrides)
        stem = re.sub(r"[^\w.]+", "-", point.name).strip("-")
        for seed in sweep.seeds:
            name = f"{stem}-seed{seed}-{_identity(scenario, seed)}.json"
            runs.append(_Run(point, scenario, seed, folder / "runs" / name))
    return runs


def _identity(scenario: Scenario, seed: int) -> str:
    """Hash of all that a run depends on, 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{source_hash(_MARKET)} {seed} {scenario.model_dump_json()}".encode())
    if scenario.price.source == "file":
        digest.update(Path(scenario.price.file).read_bytes())
    return digest.hexdigest()


def _make(waiting: list[_Run], jobs: int, bar: "tqdm[Any]") -> None:
    """Make the runs and record each as it comes back.

    A process that dies, for want of memory say, takes the pool of processes with it: what is left is handed out
    to a new one, and a run that is left over every time is recorded as failed.
    """
    for _ in range(ATTEMPTS):
        left = list(waiting)
        try:
            parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
            tasks = (joblib.delayed(_simulate)(number, run.scenario, run.seed) for number, run in enumerate(left))
            for number, outcome in parallel(tasks):
                left[number].record(outcome)
                waiting.remove(left[number])
                bar.update()
        except BrokenProcessPool:
            continue
        return
    for run in waiting:
        run.record({"fingerprint": None, "summary": {}, "error": "the process that made this run died"})
        bar.update()


def _simulate(number: int, scenario: Scenario, seed: int) -> tuple[int, dict[str, Any]]:
    """Make one run in whatever process this is; a failure is an outcome too."""
    try:
        market = Market(scenario, seed, tapes="none")
        market.run_for(scenario.duration_s)
        market.check()
        return number, {"fingerprint": market.fingerprint(), "summary": market.summary(), "error": None}
    except Exception:
        return number, {"fingerprint": None, "summary": {}, "error": traceback.format_exc()}
