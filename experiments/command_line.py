"""The command line: ``blockspace`` and its commands, a file each in :mod:`blockspace.experiments.commands`.

What the user can put right is said in one sentence on standard error, with exit code 2; results go to standard output.
Libraries that are slow to import are left to the commands that need them, so that ``--help`` is quick.
"""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from blockspace.experiments.commands.browser import app as browser
from blockspace.experiments.commands.catalogue import presets, settings
from blockspace.experiments.commands.common import USER_ERROR, complain
from blockspace.experiments.commands.facts import facts
from blockspace.experiments.commands.replay import replay
from blockspace.experiments.commands.run import run
from blockspace.experiments.commands.show import compare, show
from blockspace.experiments.commands.study import study
from blockspace.experiments.commands.sweep import sensitivity, sweep
from blockspace.experiments.commands.validate import validate


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
            complain(error.format_message())
            code = USER_ERROR
        if standalone_mode:
            sys.exit(code)
        return code


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")
for command in (run, study, sweep, sensitivity, show, compare, facts, replay, presets, settings, validate):
    app.command()(command)
app.command("app")(browser)


@app.callback()
def _describe() -> None:
    """A laboratory for one question: what does network capacity do to a derivatives market?"""


def main() -> None:
    """Entry of the console script ``blockspace``."""
    app(prog_name="blockspace")
