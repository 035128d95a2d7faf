"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from blockspace.experiments.commands.common import complete_preset, whole_number

Source = Annotated[
    str,
    typer.Argument(
        metavar="[PRESET|FILE]",
        help="A preset, or a TOML file of settings.",
        autocompletion=complete_preset,
        show_default=True,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; may be repeated, and the last counts."),
]
Seeds = Annotated[
    int | None, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Seeds at every point, shared by all.")
]
Until = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'MEASURE: 2%'",
        help="Add seeds until the 95 % interval of a mean is ± so much at every point, in per cent or in its own unit.",
    ),
]
MostSeeds = Annotated[
    int | None, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Seeds at which --until gives up: 128.")
]
Jobs = Annotated[
    int | None, typer.Option(parser=whole_number(1), metavar="NUMBER", help="Processes; by default one per core.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://10.0.0.1:8786, whose workers make the runs."),
]
Keep = Annotated[
    str,
    typer.Option(
        metavar="WHAT", help="What to keep of each run: summary, blocks too, or tapes (of trades and transactions) too."
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over, whatever the folder holds.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Make the runs again that have failed.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
