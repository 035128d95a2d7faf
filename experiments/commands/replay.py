"""``blockspace replay``: a day that was much written about, published numbers beside simulated ones."""

from pathlib import Path
from typing import Annotated

import typer

from blockspace.experiments.commands.common import one_sentence, read_assignments, whole_number
from blockspace.experiments.commands.options import Assignments, Out
from blockspace.experiments.replays import REPLAYS


def _complete(incomplete: str) -> list[str]:
    return [name for name in REPLAYS if name.startswith(incomplete)]


def replay(
    name: Annotated[str, typer.Argument(help=f"Which day: {' or '.join(REPLAYS)}.", autocompletion=_complete)],
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or Parquet file of the day's prices; a script without one."),
    ] = None,
    gas: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of the day's gas prices in gwei, to calibrate to and compare with."),
    ] = None,
    time_column: Annotated[str, typer.Option(metavar="NAME", help="Column of times in both files.")] = "time_s",
    price_column: Annotated[str, typer.Option(metavar="NAME", help="Column of prices in dollars.")] = "open_usd",
    gas_column: Annotated[str, typer.Option(metavar="NAME", help="Column of gas prices in gwei.")] = "mean_gwei",
    assignments: Assignments = None,
    seeds: Annotated[int, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Number of runs.")] = 4,
    out: Out = None,
) -> None:
    """Replay a day and say which published numbers it matches, which it does not, and which cannot be compared."""
    with one_sentence():
        from rich.table import Table

        from blockspace.experiments.replays.conduct import replay as replay_day
        from blockspace.experiments.replays.conduct import save
        from blockspace.experiments.reports.tables import format_number, print_table

        columns = {"time": time_column, "price": price_column, "gas": gas_column}
        replayed = replay_day(name, prices, gas, columns, seeds, read_assignments(assignments or ()))
        table = Table("", "published", "simulated", "95 % interval", "verdict", "note", title=REPLAYS[name])
        for row in replayed.table.itertuples():
            interval = f"{format_number(row.low)} to {format_number(row.high)}"
            table.add_row(row.what, row.published, format_number(row.simulated), interval, row.verdict, row.note)
        print_table(table)
        for note in replayed.notes:
            typer.echo(note)
        if out is not None:
            save(replayed, out)
            typer.echo(f"written to {out}")
