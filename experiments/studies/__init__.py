"""Studies: each file is a question, the swept settings, the measures, the figure and what they say in words."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.reports.presentation import Presentation, table_of_points
from blockspace.experiments.results import Results
from blockspace.experiments.sweeps.points import Sweep


class Study(Protocol):
    """What the file of a study has.

    Attributes
    ----------
    QUESTION
        What the study asks, in one sentence.
    SEEDS, QUICK_SEEDS
        Number of seeds of the full and of the quick study.
    X
        Column of the swept value on the horizontal axis.
    TABLE
        What is printed, with headings: the swept values first, then measures.
    """

    QUESTION: str
    SEEDS: int
    QUICK_SEEDS: int
    X: str
    TABLE: Mapping[str, str]

    def sweep(self, quick: bool, seeds: tuple[int, ...]) -> Sweep:
        """Return the swept settings."""

    def figure(self, results: Results) -> Figure:
        """Draw the figure."""

    def findings(self, results: Results) -> list[str]:
        """Say what came out, a sentence or two each."""


class Completed(Protocol):
    """What the file of a study also has whose measures take more than one run."""

    def complete(self, runs: pd.DataFrame, quick: bool) -> pd.DataFrame:
        """Return the table of runs with measures in place of what each run has kept for them."""


class _Studies(Mapping[str, Study]):
    """The studies by name, one file each; a study is imported when it is asked for."""

    def __getitem__(self, name: str) -> Study:
        if name not in list(self):
            raise KeyError(name)
        return cast(Study, importlib.import_module(f"{__name__}.{name}"))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")))

    def __len__(self) -> int:
        return len(list(iter(self)))


STUDIES: Mapping[str, Study] = _Studies()
"""Every study by its name, loaded when it is asked for."""


def present_study(results: Results) -> Presentation:
    """Results of a study as its file presents them."""
    name = results.study["name"]
    study = STUDIES[name]
    labels = [study.TABLE[column] for column in results.swept]
    columns = {measure: heading for measure, heading in study.TABLE.items() if measure not in results.swept}
    table = table_of_points(results, columns, labels)
    return Presentation(study.QUESTION, *table, {name: study.figure(results)}, study.findings(results))


def complete_runs(study: Mapping[str, Any], runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of a study, one row each, with the measures that take more than one run; others as they are."""
    if study.get("kind") != "study" or study["name"] not in STUDIES:
        return runs
    file = STUDIES[study["name"]]
    return cast(Completed, file).complete(runs, study["quick"]) if hasattr(file, "complete") else runs
