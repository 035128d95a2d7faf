"""``blockspace app``: a live market in the browser."""

from typing import Annotated

import typer

from blockspace.experiments.commands.common import complete_preset, one_sentence


def app(
    source: Annotated[
        str, typer.Argument(metavar="[PRESET|FILE]", help="What the market begins as.", autocompletion=complete_preset)
    ] = "ethereum-30m",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page; 0 for any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; others than this machine see the page then.")
    ] = "127.0.0.1",
) -> None:
    """Open a live market, sweeps and results in the browser; it talks to this machine alone."""
    with one_sentence():
        from blockspace.experiments.app.serve import serve

        serve(source, port, host)
