"""The results folder: what a study leaves behind, and the statistics over its seeds.

========================  ===============================================================================
``scenario.toml``         the exact base scenario, every setting written out
``study.json``            points, seeds, reference point, whether it was the quick version
``runs/``                 one file per finished run, from which an interrupted study continues
``runs.parquet``          one row per run: point, swept values, seed, fingerprint, every summary measure
``table.csv``             one row per point and measure: mean, interval, difference to the reference point
``NAME.png``, ``.svg``    the figure
``findings.md``           what the study says in words
``manifest.json``         versions, commit, command, and the SHA-256 of every file above
========================  ===============================================================================

Intervals are Student-t at 95 % over the seeds. Every point sees the same seeds, so differences between points are taken
seed by seed, which removes what the runs have in common.
"""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from blockspace.experiments.scenario import Scenario, load_scenario

CONFIDENCE = 0.95
NOT_MEASURES = ("point", "seed", "fingerprint", "error")
LIBRARIES = ("blockspace", "numpy", "numba", "mesa", "networkx", "pandas", "scipy", "pydantic", "joblib")


# Statistics.


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % confidence interval.

    Attributes
    ----------
    mean, low, high
        Mean and ends of the interval; NaN where there is too little to say (no run, or one run for the interval).
    count
        Seeds at which there was something to measure.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0.0 or self.high < 0.0


def estimate(values: npt.ArrayLike) -> Estimate:
    """Mean of ``values`` with its Student-t 95 % interval; NaN values were not measurable and are left out.

    Examples
    --------
    >>> estimate([1.0, 2.0, 3.0, float("nan")])
    Estimate(mean=2.0, low=-0.48413771175033027, high=4.48413771175033, count=3)
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    count = len(known)
    if count == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(known.mean())
    if count == 1:
        return Estimate(mean, np.nan, np.nan, 1)
    from scipy.special import stdtrit  # takes a third of a second, which commands that need no interval are spared

    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2) * known.std(ddof=1) / np.sqrt(count))
    return Estimate(mean, mean - half, mean + half, count)


def measures_of(runs: pd.DataFrame, swept: Iterable[str]) -> list[str]:
    """Names of the columns of ``runs`` that are measures."""
    others = {*NOT_MEASURES, *swept}
    return [name for name in runs.columns if name not in others]


def tabulate(runs: pd.DataFrame, swept: Iterable[str], reference: str) -> pd.DataFrame:
    """Reduce runs to one row per point and measure.

    Parameters
    ----------
    runs
        One row per run, with the columns ``point`` and ``seed``, the swept values and the measures.
    swept
        Names of the columns of swept values.
    reference
        Name of the point to which paired differences are taken.

    Returns
    -------
    pandas.DataFrame
        Columns ``point``, the swept values, ``measure``, ``seeds`` (at which it was measurable), ``mean``, ``low``,
        ``high``, then ``pairs``, ``difference``, ``difference_low``, ``difference_high`` against the reference point.
    """
    swept = list(swept)
    points = runs.drop_duplicates("point").set_index("point")[swept]
    rows = []
    for measure in measures_of(runs, swept):
        by_seed = runs.pivot(index="seed", columns="point", values=measure).astype(float)
        for point in points.index:
            here = estimate(by_seed[point])
            apart = estimate(by_seed[point] - by_seed[reference])
            rows.append(
                {"point": point, **points.loc[point].to_dict(), "measure": measure}
                | {"seeds": here.count, "mean": here.mean, "low": here.low, "high": here.high}
                | {"pairs": apart.count, "difference": apart.mean}
                | {"difference_low": apart.low, "difference_high": apart.high}
            )
    return pd.DataFrame(rows)


# A study's results.


@dataclass(frozen=True)
class Results:
    """What a study found.

    Attributes
    ----------
    folder
        Where it is kept.
    study
        Name, question, points, seeds, reference point and more, as in ``study.json``.
    scenario
        The base scenario.
    runs, table
        One row per run, and one row per point and measure; see :func:`tabulate`.
    """

    folder: Path
    study: dict[str, Any]
    scenario: Scenario
    runs: pd.DataFrame
    table: pd.DataFrame

    @property
    def points(self) -> list[str]:
        """Names of the points, in the order of the study."""
        return [point["name"] for point in self.study["points"]]

    def value(self, point: str, name: str) -> float:
        """Swept value of a point by its column name."""
        return float(next(one["values"][name] for one in self.study["points"] if one["name"] == point))

    def curve(self, measure: str) -> pd.DataFrame:
        """Rows of the table for one measure, a point each, indexed by point.

        Raises
        ------
        KeyError
            If there is no such measure.
        """
        rows = self.table[self.table["measure"] == measure].set_index("point")
        if rows.empty:
            raise KeyError(f"there is no measure {measure!r} in {self.folder}")
        return rows.reindex([point for point in self.points if point in rows.index])

    def per_seed(self, measure: str, point: str) -> pd.Series:
        """A measure at a point, by seed."""
        return self.runs[self.runs["point"] == point].set_index("seed")[measure].astype(float)

    def difference(self, measure: str, first: str, second: str) -> Estimate:
        """Paired difference of a measure: at the second point less at the first."""
        return estimate(self.per_seed(measure, second) - self.per_seed(measure, first))

    def measurable(self, measure: str) -> list[str]:
        """Points at which a measure could be taken in at least half of the seeds, in the order of the study."""
        curve = self.curve(measure)
        return [point for point in curve.index if 2 * curve["seeds"][point] >= len(self.study["seeds"])]


# The folder.


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and move it into place: it is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).chmod(0o644)  # temporary files are born private
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def scenario_toml(scenario: Scenario) -> str:
    """TOML text of a scenario with every setting written out; :func:`load_scenario` gives back an equal one."""
    return "\n".join(_toml_table(scenario, "")) + "\n"


def _toml_table(settings: BaseModel, path: str) -> list[str]:
    lines, tables = [], []
    for name, value in settings:
        inner = f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            tables += ["", f"[{inner}]", *_toml_table(value, inner)]
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for item in value:
                tables += ["", f"[[{inner}]]", *_toml_table(item, inner)]
        else:
            # For strings, numbers, truth values and lists of them JSON is TOML.
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    return lines + tables


def write_results(folder: Path, study: Mapping[str, Any], runs: pd.DataFrame) -> None:
    """Write what a study is, its runs and its table; scenario, figures and the rest are written elsewhere."""
    swept = list(study["points"][0]["values"])
    table = tabulate(runs, swept, study["reference"])
    write_whole(folder / "study.json", json.dumps(study, indent=2, ensure_ascii=False) + "\n")
    write_whole(folder / "runs.parquet", runs.to_parquet(index=False))
    write_whole(folder / "table.csv", table.to_csv(index=False))


def load_results(folder: str | Path) -> Results:
    """Load what a study left in its results folder.

    Raises
    ------
    ValueError
        If the folder holds no finished study.
    """
    folder = Path(folder)
    missing = [
        name for name in ("scenario.toml", "study.json", "runs.parquet", "table.csv") if not (folder / name).is_file()
    ]
    if missing:
        raise ValueError(f"{folder} holds no finished study: {' and '.join(missing)} cannot be found")
    return Results(
        folder,
        json.loads((folder / "study.json").read_text(encoding="utf-8")),
        load_scenario(folder / "scenario.toml"),
        pd.read_parquet(folder / "runs.parquet"),
        pd.read_csv(folder / "table.csv", dtype={"point": str}),
    )


def write_manifest(folder: Path, files: Iterable[Path], seeds: Iterable[int]) -> None:
    """Write what someone else needs to reproduce a study and to see that they did."""
    manifest = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seeds": list(seeds),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": _commit(),
        "sha256": {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(files)},
    }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def changed_files(folder: str | Path) -> list[str]:
    """Files of a results folder that are missing or not what its manifest says, by name."""
    folder = Path(folder)
    expected = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["sha256"]
    return [
        name for name, digest in expected.items() if not (folder / name).is_file() or _sha256(folder / name) != digest
    ]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _commit() -> str | None:
    """Commit of the source, marked if there are changes on top; None where the package is not in its own repository."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + (" with changes" if changes.stdout.strip() else "")
