"""Results of a study or a sweep: frames, statistics and figures, loaded from its folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from blockspace.experiments.errors import UserError
from blockspace.experiments.results.folder import SERIES, require_schema
from blockspace.experiments.results.run_files import read_index
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.experiments.results.statistics import Estimate, estimate, measures_of, tabulate


@dataclass(frozen=True)
class Results:
    """What a study or a sweep found.

    Attributes
    ----------
    folder
        Where it is kept.
    study
        Name, question, points, seeds, reference point and more, as in ``study.json``.
    scenario
        The base scenario.
    runs
        One row per run; see ``index.parquet`` in :mod:`~blockspace.experiments.results.folder`. Of a study that
        completes its measures when all runs are there, the completed ones.
    """

    folder: Path
    study: dict[str, Any]
    scenario: Scenario
    runs: pd.DataFrame

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per measure and point: means and medians with intervals, paired differences to the reference."""
        return tabulate(self.runs, self.swept, self.study["reference"])

    @cached_property
    def _rows_of(self) -> dict[str, pd.DataFrame]:
        """Rows of the table by measure, each indexed by point."""
        return dict(iter(self.table.set_index("point").groupby("measure", sort=False))) if len(self.table) else {}

    @property
    def swept(self) -> list[str]:
        """Names of the columns of swept values."""
        return list(self.study["points"][0]["values"])

    @property
    def measures(self) -> list[str]:
        """Names of everything that was measured, each with its unit."""
        return measures_of(self.runs, self.swept)

    @property
    def points(self) -> list[str]:
        """Names of the points, in the order of the study."""
        return [point["name"] for point in self.study["points"]]

    @property
    def is_complete(self) -> bool:
        """Whether every run of the study has been made."""
        return len(self.runs) == len(self.points) * len(self.study["seeds"])

    @property
    def failed(self) -> pd.DataFrame:
        """Runs that failed, with their tracebacks in ``error``."""
        return self.runs[self.runs["error"].notna()]

    @property
    def figures(self) -> list[Path]:
        """Files of the figures, PNG and SVG."""
        return sorted(path for path in self.folder.iterdir() if path.suffix in (".png", ".svg"))

    def series(self, name: str) -> pd.DataFrame:
        """Rows of all runs of a series that was kept: ``"blocks"``, ``"trades"`` or ``"transactions"``.

        Raises
        ------
        ValueError
            If there is no such series, or it was not kept.
        """
        if name not in SERIES:
            raise UserError(f"series is {name!r}; it may be {', '.join(SERIES)}")
        files = sorted((self.folder / name).glob("[!.]*.parquet"))
        if not files:
            raise UserError(f"{self.folder} holds no {name}; keep='tapes' (--keep tapes) keeps them")
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)

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
        rows = self._rows_of.get(measure)
        if rows is None:
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


def load_results(folder: str | Path) -> Results:
    """Load what a study or a sweep left in its folder, finished or not.

    Raises
    ------
    ValueError
        If the folder holds none, or one in a layout that this version does not read.
    """
    from blockspace.experiments.studies import complete_runs  # they know of results themselves

    folder = Path(folder)
    study = require_schema(folder)
    runs = complete_runs(study, read_index(folder))
    return Results(folder, study, load_scenario(folder / "scenario.toml"), runs)
