"""``blockspace run``: one run, a table of what came out, and a folder of tapes if asked for."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blockspace.experiments.commands.common import (
    complain,
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

LONGEST_SLICE_S = 1.0
"""Slices become shorter if one takes longer than this many seconds."""

CHECKPOINT_S = 300.0
"""Seconds between two checkpoints, if nothing else is said."""


def run(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRESET|FILE]",
            help="A preset, or a TOML file of settings.",
            autocompletion=complete_preset,
            show_default="ethereum",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; may be repeated, and the last counts."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(parser=whole_number(0), metavar="NUMBER", help="Seed of every random draw.", show_default="0"),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Seconds to simulate, warm-up included.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to be made for scenario, summary and tapes.")
    ] = None,
    checkpoint: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Seconds on the clock between two checkpoints of a run with --out; 0 for none.",
            show_default=f"{CHECKPOINT_S:g}",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the unfinished run of --out.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, whatever is unfinished.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Run a scenario and print what came out."""
    with one_sentence():
        _require_sense(out, checkpoint, resume, fresh)
        overrides = read_assignments(assignments or [])
        if duration is not None:
            overrides["duration_s"] = read_value(duration)
        shows_progress = not (quiet or as_json) and sys.stderr.isatty()
        if out is None:
            market = _new_market(_scenario(source, overrides), seed, "none")
            _simulate(market, shows_progress)
            summary = market.summary()
        else:
            scenario = None if resume else _scenario(source, overrides)
            every_s = CHECKPOINT_S if checkpoint is None else checkpoint
            with _unfinished(out, resume, fresh) as folder:
                if scenario is None:
                    market = _continued_market(folder, source, overrides, seed)
                else:
                    market = _new_market(scenario, seed, folder / "results")
                _simulate(market, shows_progress, every_s, folder / "checkpoint")
                summary = market.summary()
                _write(market, summary, folder / "results")
    if as_json:
        typer.echo(json_text(summary))
    else:
        from blockspace.experiments.reports.tables import print_table, summary_table

        print_table(summary_table(summary, market.world.scenario, market.seed))


def _require_sense(out: Path | None, checkpoint: float | None, resume: bool, fresh: bool) -> None:
    """Refuse options that do not go together."""
    from blockspace.experiments.scenario import ScenarioError

    given = {"--checkpoint": checkpoint is not None, "--resume": resume, "--fresh": fresh}
    for option in given:
        if given[option] and out is None:
            raise ScenarioError(f"{option} needs --out, the folder that the run is to leave")
    if resume and fresh:
        raise ScenarioError("--resume continues an unfinished run and --fresh throws it away; it may be one of them")


def _scenario(source: str | None, overrides: Mapping[str, Any]) -> "Scenario":
    from blockspace.experiments.scenario import load_scenario

    return load_scenario("ethereum" if source is None else source, overrides)


def _new_market(scenario: "Scenario", seed: int | None, tapes: str | Path) -> "Market":
    from blockspace.experiments.market import Market

    market = Market(scenario, seed or 0, tapes)
    for note in market.notes:
        typer.echo(note, err=True)
    return market


def _continued_market(folder: Path, source: str | None, overrides: Mapping[str, Any], seed: int | None) -> "Market":
    """The market of an unfinished run, which must be the one that is asked for as far as anything is said of it."""
    from blockspace.experiments.checkpoint import outline_of, require_same, restore_checkpoint
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import change_settings

    outline = outline_of(folder / "checkpoint")
    scenario = change_settings(outline.scenario, overrides) if source is None else _scenario(source, overrides)
    seed = outline.seed if seed is None else seed
    require_same(outline, scenario, seed, other_duration="duration_s" in overrides)
    market = Market(scenario, seed, folder / "results")
    restore_checkpoint(market, folder / "checkpoint")
    return market


def _simulate(market: "Market", shows_progress: bool, every_s: float = 0.0, checkpoint: Path | None = None) -> None:
    """Run a market to the end of its scenario and check the ledger; save it every so many seconds, if any."""
    from tqdm import tqdm

    from blockspace.experiments.checkpoint import save_checkpoint
    from blockspace.experiments.compiling import compile_kernels

    scenario = market.world.scenario
    compile_kernels(scenario)
    slice_s = scenario.duration_s / SLICES
    saved = time.monotonic()
    with tqdm(
        total=scenario.duration_s,
        initial=market.time,
        desc=scenario.name,
        disable=not shows_progress,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:,.0f} of {total:,.0f} simulated s, {remaining} left",
    ) as bar:
        while market.time < scenario.duration_s:
            began = time.monotonic()
            market.run_until(min(market.time + slice_s, scenario.duration_s))
            bar.update(market.time - bar.n)
            now = time.monotonic()
            if now - began > LONGEST_SLICE_S:
                slice_s = max(slice_s / 2, scenario.chain.block_time_s)
            if checkpoint is not None and 0 < every_s <= now - saved:
                save_checkpoint(market, checkpoint)
                saved = time.monotonic()
    market.close()
    market.check()


@contextmanager
def _unfinished(out: Path, resume: bool, fresh: bool) -> Iterator[Path]:
    """The folder in which a run is made; whoever stops the run is told how it continues."""
    # With all that is slow to import, before anything lies on disk: an interruption half-way through an import is ugly.
    import blockspace.experiments.checkpoint  # noqa: F401
    from blockspace.experiments.errors import UserError
    from blockspace.experiments.unfinished import is_resumable, unfinished_run

    with unfinished_run(out, resume, fresh) as folder:
        try:
            yield folder
        except UserError:
            raise  # nothing was lost that the sentence does not speak of
        except BaseException as error:
            if is_resumable(folder):
                kept = f"the run is kept up to its last checkpoint: blockspace run --out {out} --resume continues it"
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(kept) from None
                complain(kept)
            raise


def _write(market: "Market", summary: Mapping[str, Any], folder: Path) -> None:
    """Write what a run leaves behind beside the tapes of trades and transactions, which are there already."""
    from blockspace.experiments.files import write_scenario
    from blockspace.experiments.results.folder import write_manifest

    for stray in folder.glob(".*"):
        stray.unlink()  # what a killed process was writing
    scenario = market.world.scenario
    write_scenario(scenario, folder)
    (folder / "summary.json").write_text(json_text(summary) + "\n", encoding="utf-8")
    market.blocks().to_parquet(folder / "blocks.parquet", index=False)
    if scenario.options.count:
        market.series().to_parquet(folder / "series.parquet", index=False)
        market.options().to_parquet(folder / "options.parquet", index=False)
    write_manifest(folder, list(folder.iterdir()), [market.seed])
