"""``blockspace sweep`` and ``blockspace sensitivity``: any settings, at any values, without a file of their own."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blockspace.experiments.commands.common import one_sentence, read_assignments, read_value, whole_number
from blockspace.experiments.commands.options import (
    Assignments,
    Fresh,
    Jobs,
    Keep,
    MostSeeds,
    Out,
    Quiet,
    RetryFailed,
    Scheduler,
    Seeds,
    Source,
    Until,
)
from blockspace.experiments.commands.study import CONTINUES

if TYPE_CHECKING:
    from blockspace.experiments.sweeps.points import Point, Range

SEEDS = 8
SAMPLED_POINTS = 64

Values = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=V1,V2,…", help="Every combination of these values; may be repeated."),
]
Together = Annotated[
    list[str] | None,
    typer.Option("--zip", metavar="PATH=V1,V2,…", help="The first values together, the second ones, and so on."),
]
Ranges = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH=LOW:HIGH[:log]", help="Points spread evenly over these ranges; may be repeated. See --points."
    ),
]
Against = Annotated[
    str | None, typer.Option(metavar="PRESET|FILE", help="A second scenario, to be compared with the first.")
]
Points = Annotated[
    int, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Size of the sample; of Sobol's a power of two.")
]
SampleMethod = Annotated[str, typer.Option(metavar="NAME", help="'latin hypercube' or 'sobol'.")]
Varied = Annotated[
    list[str] | None, typer.Option("--vary", metavar="PATH=LOW:HIGH[:log]", help="A setting to vary; two or more.")
]
SensitivityMethod = Annotated[str, typer.Option(metavar="NAME", help="'sobol' or 'morris'.")]


def sweep(
    source: Source = "ethereum",
    assignments: Assignments = None,
    grid: Values = None,
    together: Together = None,
    sample: Ranges = None,
    points: Points = SAMPLED_POINTS,
    method: SampleMethod = "latin hypercube",
    against: Against = None,
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
    """Run a scenario at several values of its settings, or against another scenario, on the same seeds."""
    with one_sentence(CONTINUES):
        from blockspace.experiments.scenario import ScenarioError, load_scenario
        from blockspace.experiments.sweeps.points import Sweep, zipped
        from blockspace.experiments.sweeps.points import against as points_of_two
        from blockspace.experiments.sweeps.points import grid as grid_of
        from blockspace.experiments.sweeps.points import sample as sample_of

        given = [name for name, value in zip(KINDS, (grid, together, sample, against), strict=True) if value]
        if len(given) != 1:
            told = f"{' and '.join(given)} are given together" if given else "nothing is given that varies"
            raise ScenarioError(f"{told}; a sweep takes one of {', '.join(KINDS)}")
        scenario = load_scenario(source, read_assignments(assignments or []))
        chosen: Mapping[str, Callable[[], Sequence[Point]]] = {
            "--grid": lambda: grid_of(_values(grid or [], "--grid")),
            "--zip": lambda: zipped(_values(together or [], "--zip")),
            "--sample": lambda: sample_of(_ranges(sample or [], "--sample"), points, method),  # type: ignore[arg-type]
            "--against": lambda: points_of_two(
                scenario, load_scenario(against or "", read_assignments(assignments or []))
            ),
        }
        where = tuple(chosen[given[0]]())
        swept = ", ".join(where[0].values) if not against else f"{where[0].name} and {where[1].name}"
        question = f"How does {scenario.name} change with {swept}?" if not against else f"How do {swept} differ?"
        what = Sweep(scenario, where, tuple(range(1, (seeds or SEEDS) + 1)), where[0].name)
        name = f"{Path(source).stem}-{given[0].removeprefix('--')}"
        _conduct(
            what,
            out or Path("results") / name,
            {"kind": "sweep", "name": name, "question": question},
            until=until or (),
            most_seeds=most_seeds,
            jobs=jobs,
            scheduler=scheduler,
            keep=keep,
            fresh=fresh,
            retry_failed=retry_failed,
            quiet=quiet,
        )


KINDS = ("--grid", "--zip", "--sample", "--against")


def sensitivity(
    source: Source = "ethereum",
    vary: Varied = None,
    assignments: Assignments = None,
    method: SensitivityMethod = "sobol",
    points: Points = 32,
    seeds: Seeds = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    out: Out = None,
    fresh: Fresh = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Find out which of several settings moves the market most, over the whole of their ranges."""
    with one_sentence(CONTINUES):
        from blockspace.experiments.scenario import load_scenario
        from blockspace.experiments.sweeps.sensitivity import describe, sensitivity_sweep

        scenario = load_scenario(source, read_assignments(assignments or []))
        ranges = _ranges(vary or [], "--vary")
        chosen = tuple(range(1, (seeds or SEEDS // 2) + 1))
        what = sensitivity_sweep(scenario, ranges, points, method, chosen)  # type: ignore[arg-type]
        if not quiet:
            told = f"{len(what.points)} points with {len(chosen)} seeds: {len(what.points) * len(chosen)} runs"
            typer.echo(told, err=True)
        _conduct(
            what,
            out or Path("results") / f"{Path(source).stem}-sensitivity",
            describe(ranges, points, method),  # type: ignore[arg-type]
            jobs=jobs,
            scheduler=scheduler,
            fresh=fresh,
            retry_failed=retry_failed,
            quiet=quiet,
        )


def _conduct(what: Any, folder: Path, about: Mapping[str, Any], most_seeds: int | None = None, **options: Any) -> None:
    from blockspace.experiments.sweeps.conduct import MOST_SEEDS, conduct

    conduct(what, folder, about, most_seeds=most_seeds or MOST_SEEDS, printed=True, **options)


def _values(texts: Iterable[str], option: str) -> dict[str, list[Any]]:
    """Lists of values by dotted path, from ``path=1,2,3`` or ``path=[1, 2, 3]``."""
    from blockspace.experiments.scenario import ScenarioError

    values: dict[str, list[Any]] = {}
    for text in texts:
        path, equals, listed = text.partition("=")
        if not (equals and path.strip() and listed.strip()):
            raise ScenarioError(f"{option} is {text!r}; it must be PATH=V1,V2,…, such as chain.block_time_s=2,6,12")
        whole = read_value(listed.strip() if listed.strip().startswith("[") else f"[{listed}]")
        parts = whole if isinstance(whole, list) else [read_value(part.strip()) for part in listed.split(",")]
        values[path.strip()] = parts
    return values


def _ranges(texts: Iterable[str], option: str) -> "dict[str, Range]":
    """Ranges by dotted path, from ``path=low:high`` or ``path=low:high:log``."""
    from blockspace.experiments.scenario import ScenarioError
    from blockspace.experiments.sweeps.points import Range

    ranges = {}
    for text in texts:
        path, _, ends = text.partition("=")
        low, high, *rest = [part.strip() for part in ends.split(":")] + ["", ""]
        try:
            first, last = float(low), float(high)
        except ValueError:
            first = last = math.nan
        if math.isnan(first) or not path.strip() or rest[0] not in ("", "log") or any(rest[1:]):
            raise ScenarioError(
                f"{option} is {text!r}; it must be PATH=LOW:HIGH or PATH=LOW:HIGH:log, such as "
                "price.volatility_per_day=0.02:0.1"
            )
        ranges[path.strip()] = Range(first, last, log=rest[0] == "log")
    return ranges
