"""``blockspace presets`` and ``blockspace settings``: what there is to choose from."""

import json
from typing import Annotated

import typer

from blockspace.experiments.commands.common import complete_preset, one_sentence
from blockspace.network.presets import preset_names


def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Preset to be printed with its sources.", autocompletion=complete_preset),
    ] = None,
) -> None:
    """List the calibrated networks, or print one as TOML, with the sources of its numbers."""
    with one_sentence():
        from blockspace.experiments.scenario import load_scenario, preset_text

        if name is not None:
            typer.echo(preset_text(name).rstrip())
            return
        from rich.table import Table

        from blockspace.experiments.reports.tables import format_number, print_table

        table = Table("preset", "block, s", "Mgas", "Mgas/s", "demand, Mgas/s", "fee rule", "validators", "what it is")
        for column in table.columns[1:5] + table.columns[6:7]:
            column.justify = "right"
        for preset in preset_names():
            scenario = load_scenario(preset)
            users = scenario.background_users
            table.add_row(
                preset,
                f"{scenario.chain.block_time_s:g}",
                format_number(scenario.chain.gas_limit / 1e6, 4),
                format_number(scenario.gas_per_second / 1e6, 4),
                format_number(users.arrivals_per_s * users.gas_mean / 1e6, 4),
                scenario.fee_market.rule,
                str(scenario.topology.validators),
                scenario.description,
            )
        print_table(table)


def settings(
    prefix: Annotated[str, typer.Argument(help="Beginning of the settings' names, such as chain.")] = "",
) -> None:
    """List every setting with its default and its unit."""
    with one_sentence():
        from rich.table import Table

        from blockspace.experiments.reports.tables import print_table
        from blockspace.experiments.scenario import ScenarioError, describe_settings
        from blockspace.network.settings import did_you_mean

        table = Table("setting", "default", "what it is")
        paths = []
        for path, default, description in describe_settings():
            paths.append(path)
            if path.startswith(prefix):
                table.add_row(path, json.dumps(default), description)
        if not table.rows:
            known = {*paths, *(path.split(".")[0] for path in paths)}
            raise ScenarioError(f"no setting begins with {prefix!r}{did_you_mean(prefix, known)}")
        print_table(table)
