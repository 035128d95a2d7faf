"""The command line: ``blockspace run``, ``presets``, ``settings``, ``study`` and ``validate``.

What the user can put right is said in one sentence on standard error, with exit code 2; results go to standard output.
Libraries that are slow to import are left to the commands that need them, so that ``--help`` is quick.
"""

import json
import math
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
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

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command and leave with its exit code."""
        standalone_mode = options.pop("standalone_mode", True)
        options["standalone_mode"] = False
        try:
            code = super().main(*arguments, **options)
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
    try:
        from blockspace.experiments.scenario import ScenarioError

        try:
            yield
        except ScenarioError as error:
            _complain(str(error))
            raise typer.Exit(USER_ERROR) from None
        except BrokenPipeError:
            # Whoever read the output has seen enough.
            raise
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


def _whole_number(lowest: int) -> Callable[[str], int]:
    """Parser of an option that takes a whole number from ``lowest`` to 2^63 - 1."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if not lowest <= number < 2**63:
            raise typer.BadParameter(f"it is {text!r}; it must be a whole number, {lowest} to 2^63 - 1")
        return number

    return parse


def _overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Values by dotted path from ``path=value``; of several for one path the last counts."""
    from blockspace.experiments.scenario import ScenarioError

    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not (equals and path.strip()):
            raise ScenarioError(f"--set is {assignment!r}; it must be PATH=VALUE, such as chain.gas_limit=60_000_000")
        values.pop(path.strip(), None)
        values[path.strip()] = _value(text.strip())
    return values


def _value(text: str) -> Any:
    """A TOML value; text that is none, and a date, stand for themselves."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    plain = len(parsed) == 1 and isinstance(parsed["value"], bool | int | float | str | list | dict)
    return parsed["value"] if plain else text


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
    seed: Annotated[
        int, typer.Option(parser=_whole_number(0), metavar="NUMBER", help="Seed of every random draw.")
    ] = 0,
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
    with _one_sentence():
        from blockspace.experiments.scenario import load_scenario

        overrides = _overrides(assignments or [])
        if duration is not None:
            overrides["duration_s"] = _value(duration)
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
    from blockspace.experiments.results import scenario_toml, write_manifest

    scenario = market.world.scenario
    if scenario.price.source == "file":
        # A file that the scenario needs goes with it, so that the folder can be handed on.
        copied = folder / f"prices{Path(scenario.price.file).suffix}"
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


# Tables.


def _print(table: "Table") -> None:
    """Print a table, as wide as the terminal or, for a file or a pipe, as wide as it needs."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _number(value: Any) -> str:
    """A number for people: four significant digits, no exponent where it can be avoided."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.3e}"
    return f"{value:,.0f}" if size >= 1_000 else f"{value:.4g}"


NETWORK = (
    ("base fee and marginal tip, mean", "base_fee_gwei", "gwei"),
    ("base fee and marginal tip, median", "median_base_fee_gwei", "gwei"),
    ("standard deviation of its logarithm", "base_fee_log_sd", ""),
    ("utilisation", "utilisation", "share of the gas limit"),
    ("transactions", "transactions_per_s", "per s"),
    ("users whom the fee keeps out", "balked_share", "share"),
    ("failed transactions", "failed_share", "share"),
    ("pending transactions", "pending", ""),
    ("delay of users, median", "background_delay_median_s", "s"),
    ("delay of users, 95th percentile", "background_delay_p95_s", "s"),
    ("delay of the market, median", "market_delay_median_s", "s"),
    ("delay of the market, 95th percentile", "market_delay_p95_s", "s"),
)
MARKET = (
    ("quoted spread, mean", "quoted_spread_bps", "bp"),
    ("quoted spread, median", "median_quoted_spread_bps", "bp"),
    ("effective spread", "effective_spread_bps", "bp"),
    ("realised spread after 10 s", "realised_spread_bps", "bp"),
    ("time with an empty side", "one_sided_share", "share"),
    ("depth within 10 bp", "depth_10bps_usd", "$ a side"),
    ("depth within 100 bp", "depth_100bps_usd", "$ a side"),
    ("slippage of $10,000", "slippage_10000usd_bps", "bp"),
    ("trades", "trades_per_h", "per h"),
    ("volume", "volume_usd_per_h", "$ per h"),
    ("arbitrage in it", "arbitrage_volume_share", "share"),
)
COSTS = (
    ("total", "cost_bps", "bp of the order"),
    ("half-spread", "cost_half_spread_bps", "bp"),
    ("impact", "cost_impact_bps", "bp"),
    ("delay", "cost_delay_bps", "bp"),
    ("venue's fee", "cost_fee_bps", "bp"),
    ("gas", "cost_gas_bps", "bp"),
    ("orders not filled", "orders_unfilled_share", "share"),
)
MONEY = (
    ("burned", "burned_usd_per_h", "$ per h"),
    ("base fees to the sequencer", "sequencer_fee_usd_per_h", "$ per h"),
    ("tips", "tips_usd_per_h", "$ per h"),
    ("venue's fees", "venue_fees_usd_per_h", "$ per h"),
    ("arbitrage before gas", "arbitrage_profit_usd_per_h", "$ per h"),
    ("makers at the end", "makers_active", ""),
    ("quotes", "quotes_per_h", "per h"),
)


def _summary_table(summary: Mapping[str, Any], scenario: "Scenario", seed: int) -> "Table":
    from rich.table import Table

    hours = (scenario.duration_s - scenario.warm_up_s) / 3600
    table = Table("", "", "", title=f"{scenario.name}, seed {seed}, {hours:.3g} h after the warm-up", show_header=False)
    table.columns[1].justify = "right"
    several = len(scenario.instruments) > 1
    groups: list[tuple[str, tuple[tuple[str, str, str], ...], str]] = [("Network", NETWORK, "")]
    for instrument in scenario.instruments:
        groups.append((instrument.name, MARKET, f"{instrument.name}." if several else ""))
    groups += [("Cost of an order", COSTS, ""), ("Money", MONEY, "")]
    for title, measures, prefix in groups:
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]")
        for label, measure, unit in measures:
            value = summary.get(prefix + measure, summary.get(measure))
            table.add_row(f"  {label}", _number(value), unit)
    return table


# blockspace presets and settings.


@app.command()
def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Preset to be printed with its sources.", autocompletion=_complete_preset),
    ] = None,
) -> None:
    """List the calibrated networks, or print one as TOML, with the sources of its numbers."""
    with _one_sentence():
        from blockspace.experiments.scenario import load_scenario, preset_text

        if name is not None:
            typer.echo(preset_text(name).rstrip())
            return
        from rich.table import Table

        table = Table("preset", "block, s", "Mgas", "Mgas/s", "demand, Mgas/s", "fee rule", "validators", "what it is")
        for column in table.columns[1:5] + table.columns[6:7]:
            column.justify = "right"
        for preset in preset_names():
            scenario = load_scenario(preset)
            users = scenario.background_users
            table.add_row(
                preset,
                f"{scenario.chain.block_time_s:g}",
                _number(scenario.chain.gas_limit / 1e6),
                _number(scenario.gas_per_second / 1e6),
                _number(users.arrivals_per_s * users.gas_mean / 1e6),
                scenario.fee_market.rule,
                str(scenario.topology.validators),
                scenario.description,
            )
        _print(table)


@app.command()
def settings(
    prefix: Annotated[str, typer.Argument(help="Beginning of the settings' names, such as chain.")] = "",
) -> None:
    """List every setting with its default and its unit."""
    with _one_sentence():
        from rich.table import Table

        from blockspace.experiments.scenario import ScenarioError, describe_settings, did_you_mean

        table = Table("setting", "default", "what it is")
        paths = []
        for path, default, description in describe_settings():
            paths.append(path)
            if path.startswith(prefix):
                table.add_row(path, json.dumps(default), description)
        if not table.rows:
            known = {*paths, *(path.split(".")[0] for path in paths)}
            raise ScenarioError(f"no setting begins with {prefix!r}{did_you_mean(prefix, known)}")
        _print(table)


# blockspace study and validate.


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="Which study.", autocompletion=_complete_study)],
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes rather than hours: shorter runs, fewer seeds.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(parser=_whole_number(1), metavar="NUMBER", help="Seeds at every point.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(parser=_whole_number(1), metavar="NUMBER", help="Processes; by default one per core."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder.")] = None,
) -> None:
    """Run a study: a sweep with paired seeds that ends in a table, a figure and a folder to reproduce it."""
    with _one_sentence("the runs that were finished are kept, and the same command continues"):
        from blockspace.experiments.scenario import ScenarioError, did_you_mean

        names = _study_names()
        if name not in names:
            raise ScenarioError(f"there is no study {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
        from blockspace.experiments.studies import run_study

        typer.echo(f"results are in {run_study(name, quick=quick, seeds=seeds, jobs=jobs, out=out)}")


@app.command()
def validate(
    names: Annotated[list[str] | None, typer.Argument(help="Targets, such as V1; all by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds rather than minutes, with wider intervals.")] = False,
) -> None:
    """Compare the simulator with closed forms and published results; exit code 1 if it disagrees with one."""
    with _one_sentence():
        from rich.table import Table

        from blockspace.experiments.scenario import ScenarioError, did_you_mean
        from blockspace.experiments.validation import all_targets, run_validation

        known = list(all_targets())
        for name in names or ():
            if name not in known:
                hint = did_you_mean(name.upper(), known)
                raise ScenarioError(f"there is no target {name!r}{hint}; there are {', '.join(known)}")
        rows = run_validation(names or None, quick=quick)
        if as_json:
            typer.echo(_json([asdict(row) for row in rows]))
        else:
            table = Table("target", "what", "theory", "simulation", "95 % interval", "tolerance", "agrees", "note")
            for row in rows:
                verdict = "[green]yes[/green]" if row.passed else "[bold red]no[/bold red]"
                interval = f"{_number(row.low)} to {_number(row.high)}"
                numbers = (_number(row.theory), _number(row.simulation), interval)
                table.add_row(row.target, row.what, *numbers, row.tolerance, verdict, row.note)
            _print(table)
        if not all(row.passed for row in rows):
            raise typer.Exit(1)
