"""``blockspace validate``: theory against simulation."""

from dataclasses import asdict
from typing import Annotated

import typer

from blockspace.experiments.commands.common import json_text, one_sentence


def validate(
    names: Annotated[list[str] | None, typer.Argument(help="Targets, such as V1; all by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds rather than minutes, with wider intervals.")] = False,
) -> None:
    """Compare the simulator with closed forms and published results; exit code 1 if it disagrees with one."""
    with one_sentence():
        from rich.table import Table

        from blockspace.experiments.reports.tables import format_number, print_table
        from blockspace.experiments.scenario import ScenarioError
        from blockspace.experiments.validation import all_targets, run_validation
        from blockspace.network.settings import did_you_mean

        known = list(all_targets())
        for name in names or ():
            if name not in known:
                hint = did_you_mean(name.upper(), known)
                raise ScenarioError(f"there is no target {name!r}{hint}; there are {', '.join(known)}")
        rows = run_validation(names or None, quick=quick)
        if as_json:
            typer.echo(json_text([asdict(row) for row in rows]))
        else:
            table = Table("target", "what", "theory", "simulation", "95 % interval", "tolerance", "agrees", "note")
            for row in rows:
                verdict = "[green]yes[/green]" if row.passed else "[bold red]no[/bold red]"
                interval = f"{format_number(row.low, 4)} to {format_number(row.high, 4)}"
                numbers = (format_number(row.theory, 4), format_number(row.simulation, 4), interval)
                table.add_row(row.target, row.what, *numbers, row.tolerance, verdict, row.note)
            print_table(table)
        if not all(row.passed for row in rows):
            raise typer.Exit(1)
