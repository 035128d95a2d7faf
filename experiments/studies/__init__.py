"""Studies: each file is a question, the swept settings, the measures, the figure and what they say in words."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from blockspace.experiments.figures import save_figure
from blockspace.experiments.files import write_whole
from blockspace.experiments.results import Results, load_results
from blockspace.experiments.results_folder import write_manifest
from blockspace.experiments.runner import run_sweep
from blockspace.experiments.scenario import did_you_mean
from blockspace.experiments.sweep import Sweep
from blockspace.experiments.tables import format_number


class Study(Protocol):
    """What the file of a study has.

    Attributes
    ----------
    QUESTION
        What the study asks, in one sentence.
    SEEDS, QUICK_SEEDS
        Number of seeds of the full and of the quick study.
    X
        Column of the swept value.
    TABLE
        What is printed, with headings: the swept value first, then measures.
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


def run_study(
    name: str,
    quick: bool = False,
    seeds: int | Sequence[int] | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
) -> Path:
    """Run a study, print its table and findings, and leave a results folder.

    A study that was interrupted continues where it stopped when it is run again with the same folder.

    Parameters
    ----------
    name
        Name of the study.
    quick
        Whether to make shorter runs with fewer seeds.
    seeds
        Number of seeds, or the seeds themselves; by default the study's own number.
    jobs
        Number of processes; by default one per core.
    out
        Results folder; by default ``results/NAME``, or ``results/NAME-quick``.

    Returns
    -------
    pathlib.Path
        The results folder.

    Raises
    ------
    ValueError
        If there is no such study, or a setting may not be what it is.
    RuntimeError
        If no run at all succeeded.
    """
    if name not in STUDIES:
        raise ValueError(
            f"there is no study {name!r}{did_you_mean(name, list(STUDIES))}; there are {', '.join(STUDIES)}"
        )
    study = STUDIES[name]
    if seeds is None:
        seeds = study.QUICK_SEEDS if quick else study.SEEDS
    chosen = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    folder = Path(out) if out is not None else Path("results") / (f"{name}-quick" if quick else name)
    sweep = study.sweep(quick, chosen)
    runs = run_sweep(sweep, folder, jobs)
    failed = runs[runs["error"].notna()]
    if len(failed) == len(runs):
        raise RuntimeError(f"every run of the study failed; the first one said:\n{runs['error'].iloc[0]}")
    about = {"name": name, "question": study.QUESTION, "quick": quick, **sweep.describe()}
    write_results(folder, about, runs)
    results = load_results(folder)
    figures = save_figure(study.figure(results), folder, name)
    findings = study.findings(results)
    if len(failed):
        findings.append(f"{len(failed)} of {len(runs)} runs failed; runs.parquet holds what they said.")
    bullets = "".join(f"- {finding}\n" for finding in findings)
    write_whole(folder / "findings.md", f"# {study.QUESTION}\n\n{bullets}")
    files = ["scenario.toml", "study.json", "runs.parquet", "table.csv", "findings.md"]
    write_manifest(folder, [*(folder / file for file in files), *figures, *run_files(sweep, folder)], chosen)
    _print(study, results, figures, findings)
    return folder


def _print(study: Study, results: Results, figures: Sequence[Path], findings: Sequence[str]) -> None:
    """Print the table, where the figures are, and the findings."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=110)
    console.print(f"\n[bold]{study.QUESTION}[/bold]")
    console.print(_table(study, results))
    console.print("Means over seeds, ± half of their 95 % confidence intervals. Figures:")
    for path in figures:
        # Never broken into lines: a path is there to be copied.
        console.print(f"  {path}", soft_wrap=True, markup=False)
    console.print()
    for finding in findings:
        console.print(f"• {finding}", markup=False)
    console.print()


def _table(study: Study, results: Results) -> Table:
    table = Table(*study.TABLE.values(), box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in table.columns:
        column.justify = "right"
    curves = [results.curve(measure) for measure in study.TABLE if measure != study.X]
    for point in results.points:
        cells = [format_number(results.value(point, study.X))]
        for curve in curves:
            mean, low, high = (float(curve.loc[point, name]) for name in ("mean", "low", "high"))
            half = f" ±{format_number(float(f'{(high - low) / 2:.1g}'))}" if high > low else ""
            cells.append(format_number(mean) + half)
        table.add_row(*cells, style="bold" if point == results.study["reference"] else "")
    return table
