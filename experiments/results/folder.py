"""The results folder: how what was computed is kept, so that nothing finished is lost and anybody can read it.

============================  =========================================================================================
``study.json``                what was asked: question, points, seeds, reference point, and the version of this layout
``scenario.toml``             the exact base scenario, every setting written out
``runs/NAME.parquet``         one file per finished run, one row per measure: ``point``, the swept values, ``seed``,
                              ``fingerprint``, ``error`` (why the run failed, else null), ``measure``, ``value``
``index.parquet``             the same with one row per run and a column per measure, each with its unit in its name
``blocks/NAME.parquet``       if asked for: one row per block of a run, ``point`` and ``seed`` first
``trades/NAME.parquet``       if asked for: one row per trade; ``transactions/`` likewise
``failures/NAME.toml``        scenario of a run that failed, with its traceback: ``blockspace run`` reproduces it
``table.csv``                 one row per measure and point: mean, median, intervals, difference to the reference point
``STUDY.png``, ``.svg``       the figure
``findings.md``               what the study says in words
``report.html``               all of it on one page, which needs no network
``log.txt``                   what was done when
``manifest.json``             versions, commit, command, and the SHA-256 of every file above but page and log
============================  =========================================================================================

NAME is that of the point and the seed. Every file is written under a temporary name and moved into place. A run's file
carries an identity: a hash of the whole scenario, the seed and the source of the simulator. The same command therefore
continues where it was stopped, a larger sweep makes use of what a smaller one has done, and a result of other settings
or of older code is never taken for a new one.
"""

import hashlib
import json
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock

from blockspace.experiments.errors import UserError
from blockspace.experiments.files import write_scenario, write_whole
from blockspace.experiments.scenario import Scenario, differences, load_scenario
from blockspace.experiments.sweeps.points import Sweep

SCHEMA = 1
"""Version of the layout; it goes up with every change that an older reader would misunderstand."""

SERIES = ("blocks", "trades", "transactions")
"""Folders of what can be kept of a run besides its measures."""

LIBRARIES = ("blockspace", "numpy", "numba", "mesa", "networkx", "pandas", "scipy", "pydantic", "joblib")

NOT_LISTED = ("manifest.json", "report.html", "log.txt")
"""Files of a folder that its manifest does not list."""

_FOLDERS = ("runs", "failures", "unfinished", *SERIES)
_FILES = (
    "study.json",
    "scenario.toml",
    "index.parquet",
    "table.csv",
    "findings.md",
    "report.html",
    "manifest.json",
    "log.txt",
)
LOCK = ".lock"
_SHOWN_DIFFERENCES = 4


class StoreError(UserError):
    """A results folder that cannot be used as it was asked for, said in one sentence."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder for oneself.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            yield
    except filelock.Timeout:
        raise StoreError(f"{folder} is in use by another sweep; wait for it, or choose another folder") from None


def require_schema(folder: Path) -> dict[str, Any]:
    """Read ``study.json`` of a results folder.

    Raises
    ------
    StoreError
        If there is none, it cannot be read, or it was written in a layout that this version does not read.
    """
    file = folder / "study.json"
    if not file.is_file():
        raise StoreError(f"{folder} holds no study: study.json cannot be found")
    try:
        study: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        schema = study.get("schema", 0)
    except (ValueError, AttributeError):
        raise StoreError(f"{file} cannot be read: it is damaged or cut short") from None
    if schema > SCHEMA:
        raise StoreError(
            f"{folder} was written by a newer version, {study.get('version', 'unknown')}, in layout {schema}; this is "
            f"{version()}, which reads layout {SCHEMA}: update blockspace to read it"
        )
    if schema < SCHEMA:
        raise StoreError(
            f"{folder} was written by an older version in layout {schema}; this is {version()}, which reads layout "
            f"{SCHEMA}: make it again with --fresh, or in another folder"
        )
    return study


def begin(folder: Path, sweep: Sweep, about: Mapping[str, Any], fresh: bool) -> Scenario:
    """Make a folder ready for a sweep, or for more of the one that it holds.

    Parameters
    ----------
    folder
        Results folder.
    sweep
        What is to be run.
    about
        What else ``study.json`` says: name, question and the like.
    fresh
        Whether to remove what an earlier sweep has left.

    Returns
    -------
    Scenario
        The base scenario as it stands in the folder.

    Raises
    ------
    StoreError
        If the folder holds another sweep, with what is different.
    """
    if not (folder / "study.json").exists():
        if any(path.name != LOCK for path in folder.iterdir()):
            raise StoreError(f"{folder} is no results folder, but not empty; it must be a new or an empty one")
    elif fresh:
        clear(folder)
    else:
        _require_same(folder, sweep, require_schema(folder))
    remove_leftovers(folder)
    write_scenario(sweep.scenario, folder)
    study = {"schema": SCHEMA, "version": version(), **about, **sweep.describe()}
    write_whole(folder / "study.json", json.dumps(study, indent=2, ensure_ascii=False) + "\n")
    return load_scenario(folder / "scenario.toml")


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left under temporary names."""
    shutil.rmtree(folder / "unfinished", ignore_errors=True)
    for name in _FOLDERS:
        for file in (folder / name).glob(".*"):
            file.unlink(missing_ok=True)
    for name in _FILES:
        for file in folder.glob(f".{name}.*"):
            file.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove what a sweep has left in a results folder, and nothing else."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    listed: Iterable[str] = ()
    if (folder / "manifest.json").exists():
        listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["sha256"]
    for name in (*_FILES, *listed):
        (folder / name).unlink(missing_ok=True)


def _require_same(folder: Path, sweep: Sweep, study: Mapping[str, Any]) -> None:
    """Refuse a sweep of another scenario, or of points that only have the same names."""
    there = load_scenario(folder / "scenario.toml")
    apart = {
        f"{path} is {was!r} there and {now!r} here"
        for path, (was, now) in settings_apart(there, sweep.scenario).items()
    }
    points = {point["name"]: point for point in study["points"]}
    for point in sweep.points:
        known = points.get(point.name)
        if known is not None and known["overrides"] != json.loads(json.dumps(point.overrides)):
            apart.add(f"point {point.name!r} is {known['overrides']} there and {dict(point.overrides)} here")
    if not apart:
        return
    shown = sorted(apart)[:_SHOWN_DIFFERENCES]
    more = f", and {len(apart) - len(shown)} more differences" if len(apart) > len(shown) else ""
    raise StoreError(
        f"{folder} holds a sweep of another scenario: {', '.join(shown)}{more}; choose another folder, or --fresh to "
        "start over"
    )


def settings_apart(there: Scenario, here: Scenario) -> dict[str, tuple[Any, Any]]:
    """Settings in which two scenarios differ; files of prices differ if their contents do."""
    apart = differences(there, here)
    if "price.file" in apart and Path(there.price.file).read_bytes() == Path(here.price.file).read_bytes():
        del apart["price.file"]
    return apart


def version() -> str:
    """Version of the simulator."""
    return metadata.version("blockspace")


# The manifest.


def write_manifest(
    folder: Path, files: Iterable[Path], seeds: Iterable[int], made: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write what someone else needs to reproduce a study and to see that they did, and return it.

    Parameters
    ----------
    folder
        Where it is written.
    files
        What is listed with its hash.
    seeds
        Of the runs.
    made
        By which command, on which platform, with which versions and at which commit the runs were made; by default by
        this process.
    """
    made = made if made is not None else _made_here()
    manifest = {
        "command": made["command"],
        "seeds": list(seeds),
        **{name: made[name] for name in ("python", "platform", "versions", "commit")},
        "sha256": {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(files)},
    }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


def _made_here() -> dict[str, Any]:
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the manifest of a folder says; None if there is none.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    file = folder / "manifest.json"
    if not file.is_file():
        return None
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or "sha256" not in manifest:
        raise StoreError(f"{file} cannot be read: it is damaged or cut short")
    return manifest


def listed_files(folder: Path) -> list[Path]:
    """Files that the manifest of a folder lists: all but itself, the page, the log, and what is being written."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in NOT_LISTED and not path.name.startswith(".")
    ]


def changed_files(folder: str | Path) -> list[str]:
    """Files of a results folder that are missing or not what its manifest says, by name."""
    folder = Path(folder)
    expected = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["sha256"]
    return [
        name for name, digest in expected.items() if not (folder / name).is_file() or _sha256(folder / name) != digest
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit() -> str | None:
    """Commit of the source, marked if there are changes on top; None where the package is not in its own repository."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + (" with changes" if changes.stdout.strip() else "")
