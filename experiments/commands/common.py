"""What the commands share: how errors are told, and how names, numbers and settings are read.

What the user can put right is said in one sentence on standard error, with exit code 2.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from blockspace.experiments.errors import DISK_IS_FULL, NothingFinished, UserError
from blockspace.network.presets import preset_names

INTERRUPTED = 130
USER_ERROR = 2
FAILURE = 1


def complain(sentence: str) -> None:
    """Say on standard error what is wrong."""
    typer.echo(f"blockspace: {' '.join(sentence.split())}", err=True)


@contextmanager
def one_sentence(if_stopped: str = "nothing was written") -> Iterator[None]:
    """Turn what the user can put right, and an interruption, into one sentence and an exit code.

    What a stop leaves is said by ``if_stopped``, or by the interruption itself.
    """
    try:
        yield
    except UserError as error:
        complain(str(error))
        raise typer.Exit(USER_ERROR) from None
    except NothingFinished as error:
        typer.echo(f"blockspace: {error}", err=True)
        raise typer.Exit(FAILURE) from None
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        raise
    except OSError as error:
        where = error.filename or "a file"
        if error.errno in DISK_IS_FULL:
            complain(f"the disk is full: {where} could not be written; {if_stopped}")
        else:
            complain(f"{where} cannot be used: {error.strerror or error}")
        raise typer.Exit(USER_ERROR) from None
    except KeyboardInterrupt as interruption:
        complain(f"interrupted; {str(interruption) or if_stopped}")
        raise typer.Exit(INTERRUPTED) from None


# What the user names.


def complete_preset(incomplete: str) -> list[str]:
    """Names of presets that begin like this."""
    return [name for name in preset_names() if name.startswith(incomplete)]


def study_names() -> list[str]:
    """Names of the studies: one file each, found without importing any."""
    files = (Path(__file__).parent.parent / "studies").glob("[a-z]*.py")
    return sorted(file.stem for file in files)


def complete_study(incomplete: str) -> list[str]:
    """Names of studies that begin like this."""
    return [name for name in study_names() if name.startswith(incomplete)]


def whole_number(lowest: int) -> Callable[[str], int]:
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


def read_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Values by dotted path from ``path=value``; of several for one path the last counts."""
    from blockspace.experiments.scenario import ScenarioError

    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not (equals and path.strip()):
            raise ScenarioError(f"--set is {assignment!r}; it must be PATH=VALUE, such as chain.gas_limit=60_000_000")
        values.pop(path.strip(), None)
        values[path.strip()] = read_value(text.strip())
    return values


def read_value(text: str) -> Any:
    """A TOML value; text that is none, and a date, stand for themselves."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    plain = len(parsed) == 1 and isinstance(parsed["value"], bool | int | float | str | list | dict)
    return parsed["value"] if plain else text


def json_text(value: Any) -> str:
    """JSON text of plain data, in which what could not be measured is null."""

    def known(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {name: known(inner) for name, inner in item.items()}
        if isinstance(item, list):
            return [known(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(known(value), indent=2, allow_nan=False, ensure_ascii=False)
