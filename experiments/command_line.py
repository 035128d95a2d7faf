"""The command line: ``blockspace run``, ``presets``, ``settings``, ``study`` and ``validate``.

What the user can put right is said in one sentence on standard error, with exit code 2; results go to standard output. The
libraries that take long to import are imported by the commands that need them, so that ``--help`` is quick.
"""

import json
import math
import os
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from blockspace.network.presets import preset_names

if TYPE_CHECKING:
    from rich.table import Table

    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario

SLICES = 400
"""Parts into which a run is cut for its progress bar; the blocks are the same whatever their number."""

INTERRUPTED = 130
USER_ERROR = 2


class _Commands(TyperGroup):
    """Commands whose errors of usage are one sentence, without the box around it."""

    def main(self, *arguments: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command and leave with its exit code."""
        try:
            code = super().main(*arguments, standalone_mode=False, **options)
        except Exception as error:
            if not (standalone_mode and hasattr(error, "format_message")):
                raise
            _complain(error.format_message())
            code = USER_ERROR
        if standalone_mode:
            sys.exit(code)
        return code


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def _describe() -> None:
    """A laboratory for one question: what does network capacity do to a derivatives market?"""


def main() -> None:
    """Entry of the console script ``blockspace``."""
    app(prog_name="blockspace")


# What goes wrong.


def _complain(sentence: str) -> None:
    typer.echo(f"blockspace: {' '.join(sentence.split())}", err=True)


@contextmanager
def _one_sentence(if_interrupted: str = "nothing was written") -> Iterator[None]:
    """Turn what the user can put right, and an interruption, into one sentence and an exit code."""
    from blockspace.experiments.scenario import ScenarioError

    try:
        yield
    except ScenarioError as error:
        _complain(str(error))
        raise typer.Exit(USER_ERROR) from None
    except OSError as error:
        _complain(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}")
        raise typer.Exit(USER_ERROR) from None
    except KeyboardInterrupt:
        _complain(f"interrupted; {if_interrupted}")
        raise typer.Exit(INTERRUPTED) from None


# What the user names.


def _complete_preset(incomplete: str) -> list[str]:
    return [name for name in preset_names() if name.startswith(incomplete)]


def _study_names() -> list[str]:
    """Names of the studies: one file each, found without importing any."""
    files = (Path(__file__).parent / "studies").glob("[a-z]*.py")
    return sorted(file.stem for file in files)


def _complete_study(incomplete: str) -> list[str]:
    return [name for name in _study_names() if name.startswith(incomplete)]


def _overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Values by dotted path from ``path=value``; of several for one path the last counts."""
    from blockspace.experiments.scenario import ScenarioError

    values = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not (equals and path.strip()):
            raise ScenarioError(f"--set is {assignment!r}; it must be PATH=VALUE, such as chain.gas_limit=60_000_000")
        values.pop(path.strip(), None)
        values[path.strip()] = _value(text.strip())
    return values


def _value(text: str) -> Any:
    """A TOML value; text that is none stands for itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 and isinstance(parsed["value"], _PLAIN) else text


_PLAIN = (bool, int, float, str, list, dict)


# blockspace run.


@app.command()
def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[PRESET|FILE]",
            help="A preset, or a TOML file of settings.",
            autocompletion=_complete_preset,
            show_default=True,
        ),
    ] = "ethereum",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; may be repeated, and the last counts."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of every random draw.")] = 0,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Seconds to simulate, warm-up included.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to be made for scenario, summary and tapes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Run a scenario and print what came out."""
    with _one_sentence():
        from blockspace.experiments.scenario import load_scenario

        last = {} if duration is None else {"duration_s": duration}
        scenario = load_scenario(source, _overrides(assignments or []) | last)
        shows_progress = not (quiet or as_json) and sys.stderr.isatty()
        if out is None:
            summary = _simulate(scenario, seed, "none", shows_progress).summary()
        else:
            with _folder_in_the_making(out) as folder:
                market = _simulate(scenario, seed, folder, shows_progress)
                summary = market.summary()
                _write(market, summary, folder)
    if as_json:
        typer.echo(_json(summary))
    else:
        _print(_summary_table(summary, scenario, seed))


def _simulate(scenario: "Scenario", seed: int, tapes: str | Path, shows_progress: bool) -> "Market":
    """Run a scenario to its end and check the ledger."""
    from tqdm import tqdm

    from blockspace.experiments.market import Market
    from blockspace.experiments.sweep import compile_kernels

    market = Market(scenario, seed, tapes)
    for note in market.notes:
        typer.echo(note, err=True)
    compile_kernels(scenario)
    with tqdm(
        total=scenario.duration_s,
        desc=scenario.name,
        disable=not shows_progress,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:,.0f} of {total:,.0f} simulated s [{elapsed}<{remaining}]",
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
    # On the same disk as its place, and without making folders above it that an interruption would leave behind.
    nearest = next(folder for folder in out.parents if folder.exists())
    folder = nearest / f".{out.name}-{os.getpid()}"
    folder.mkdir()
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
    from blockspace.experiments.results import scenario_toml, write_manifest

    scenario = market.world.scenario
    if scenario.price.file:
        # A file that the scenario needs goes with it, so that the folder can be handed on.
        copied = folder / Path(scenario.price.file).name
        shutil.copyfile(scenario.price.file, copied)
        price = scenario.price.model_copy(update={"file": copied.name})
        scenario = scenario.model_copy(update={"price": price})
    (folder / "scenario.toml").write_text(scenario_toml(scenario), encoding="utf-8")
    (folder / "summary.json").write_text(_json(summary) + "\n", encoding="utf-8")
    market.blocks().to_parquet(folder / "blocks.parquet", index=False)
    write_manifest(folder, list(folder.iterdir()), [market.seed])


def _json(value: Any) -> str:
    """JSON text of plain data, in which what could not be measured is null."""

    def known(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {name: known(inner) for name, inner in item.items()}
        if isinstance(item, list):
            return [known(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(known(value), indent=2, allow_nan=False, ensure_ascii=False)
