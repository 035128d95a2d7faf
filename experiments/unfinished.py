"""The folder in which a run with ``--out`` is made: hidden beside its place, and found again if it was stopped.

===============  =======================================================================================================
``results``      what the run leaves behind; in the end this folder is moved to its place
``checkpoint``   from which it continues; see :mod:`blockspace.experiments.checkpoint`
===============  =======================================================================================================
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from blockspace.experiments.scenario import ScenarioError

_LOCK = ".lock"


@contextmanager
def unfinished_run(out: Path, resume: bool, fresh: bool) -> Iterator[Path]:
    """Hold the folder in which a run is made; its ``results`` take their place at the end.

    What is left when the run is stopped is kept if it holds a checkpoint, and removed if it does not.

    Parameters
    ----------
    out
        Where the results will be.
    resume, fresh
        Whether to go on with an unfinished run, or to throw it away.

    Raises
    ------
    ScenarioError
        If the place is taken, another process makes the run, or there is an unfinished one or none against what was
        asked.
    """
    folder = _folder_of(out.absolute())
    if resume and not folder.exists():
        _require_free(out)
        raise ScenarioError(f"there is no unfinished run of {out} to resume")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ScenarioError(f"--out is {out}, which cannot be made: {error.strerror}") from None
    try:
        lock = filelock.FileLock(folder / _LOCK, timeout=0).acquire()
    except filelock.Timeout:
        raise ScenarioError(f"{out} is being made by another process; wait for it, or choose another folder") from None
    with lock:
        try:
            _require_free(out)
            _prepare(folder, out, resume, fresh)
            yield folder
        except BaseException:
            if not is_resumable(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        _move(folder / "results", out)
        shutil.rmtree(folder, ignore_errors=True)


def is_resumable(folder: Path) -> bool:
    """Whether an unfinished run can go on. One without results has finished, and was killed while it tidied up."""
    from blockspace.experiments.checkpoint import has_checkpoint

    return has_checkpoint(folder / "checkpoint") and (folder / "results").is_dir()


def _prepare(folder: Path, out: Path, resume: bool, fresh: bool) -> None:
    """Make the folder ready for a new run, or for more of the one in it."""
    if resume:
        if not is_resumable(folder):
            raise ScenarioError(
                f"there is no unfinished run of {out} to resume: it was stopped before its first checkpoint"
            )
        return
    if is_resumable(folder) and not fresh:
        raise ScenarioError(f"there is an unfinished run of {out}: --resume continues it, --fresh starts over")
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (folder / "results").mkdir()


def _require_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScenarioError(f"--out is {out}, which is there already; it must be a new or an empty folder")


def _folder_of(out: Path) -> Path:
    """Folder in which a run is made: on the disk of its place, without making folders above it before there is need."""
    above = [folder for folder in out.parents if folder.exists()]
    places = [folder / f".{'-'.join(out.relative_to(folder).parts)}-unfinished" for folder in above]
    return next((place for place in places if place.is_dir()), places[0])


def _move(results: Path, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
        results.rename(out)
    except OSError as error:
        raise ScenarioError(f"the results are in {results}; they cannot be moved to {out}: {error.strerror}") from None
