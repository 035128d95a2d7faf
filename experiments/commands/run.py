"""``blockspace run``: one run, a table of what came out, and a folder of tapes if asked for."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blockspace.experiments.commands.common import (
    complete_preset,
    json_text,
    one_sentence,
    read_assignments,
    read_value,
    whole_number,
)

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario

SLICES = 400
"""Parts into which a run is cut for its progress bar; the blocks are the same whatever their number."""


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[PRESET|FILE]",
            help="A preset, or a TOML file of settings.",
            autocompletion=complete_preset,
            show_default=True,
        ),
    ] = "ethereum",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; may be repeated, and the last counts."),
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole_number(0), metavar="NUMBER", help="Seed of every random draw.")] = 0,
    duration: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Seconds to simulate, warm-up included.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to be made for scenario, summary and tapes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Run a scenario and print what came out."""
    with one_sentence():
        from blockspace.experiments.scenario import load_scenario

        overrides = read_assignments(assignments or [])
        if duration is not None:
            overrides["duration_s"] = read_value(duration)
        scenario = load_scenario(source, overrides)
        shows_progress = not (quiet or as_json) and sys.stderr.isatty()
        if out is None:
            summary = _simulate(scenario, seed, "none", shows_progress).summary()
        else:
            with _folder_in_the_making(out) as folder:
                market = _simulate(scenario, seed, folder, shows_progress)
                summary = market.summary()
                _write(market, summary, folder)
    if as_json:
        typer.echo(json_text(summary))
    else:
        from blockspace.experiments.tables import print_table, summary_table

        print_table(summary_table(summary, scenario, seed))


def _simulate(scenario: "Scenario", seed: int, tapes: str | Path, shows_progress: bool) -> "Market":
    """Run a scenario to its end and check the ledger."""
    from tqdm import tqdm

    from blockspace.experiments.compiling import compile_kernels
    from blockspace.experiments.market import Market

    market = Market(scenario, seed, tapes)
    for note in market.notes:
        typer.echo(note, err=True)
    compile_kernels(scenario)
    with tqdm(
        total=scenario.duration_s,
        desc=scenario.name,
        disable=not shows_progress,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:,.0f} of {total:,.0f} simulated s, {remaining} left",
    ) as bar:
        for part in range(1, SLICES + 1):
            market.run_until(scenario.duration_s * part / SLICES)
            bar.update(market.time - bar.n)
    market.close()
    market.check()
    return market


@contextmanager
def _folder_in_the_making(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end, or vanishes if there is none."""
    from blockspace.experiments.scenario import ScenarioError

    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ScenarioError(f"--out is {out}, which is there already; it must be a new or an empty folder")
    # On the same disk as its place, without making folders above it that an interruption would leave behind.
    nearest = next(folder for folder in out.parents if folder.exists())
    folder = nearest / f".{out.name}-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise ScenarioError(f"--out is {out}, which cannot be made: {error.strerror}") from None
    try:
        yield folder
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(market: "Market", summary: Mapping[str, Any], folder: Path) -> None:
    """Write what a run leaves behind beside the tapes of trades and transactions, which are there already."""
    from blockspace.experiments.files import write_scenario
    from blockspace.experiments.results_folder import write_manifest

    scenario = market.world.scenario
    write_scenario(scenario, folder)
    (folder / "summary.json").write_text(json_text(summary) + "\n", encoding="utf-8")
    market.blocks().to_parquet(folder / "blocks.parquet", index=False)
    write_manifest(folder, list(folder.iterdir()), [market.seed])
