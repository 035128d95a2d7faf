"""Files that are there whole or not at all, and scenarios written down."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from blockspace.experiments.scenario import Scenario


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and move it into place: it is there whole, or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place at the end, or vanishes if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # temporary files are born private
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def scenario_toml(scenario: Scenario) -> str:
    """TOML text of a scenario with every setting written out; :func:`load_scenario` gives back an equal one."""
    return "\n".join(_toml_table(scenario, "")) + "\n"


def _toml_table(settings: BaseModel, path: str) -> list[str]:
    lines, tables = [], []
    for name, value in settings:
        inner = f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            tables += ["", f"[{inner}]", *_toml_table(value, inner)]
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for item in value:
                tables += ["", f"[[{inner}]]", *_toml_table(item, inner)]
        else:
            # For strings, numbers, truth values and lists of them JSON is TOML.
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    return lines + tables


def write_scenario(scenario: Scenario, folder: Path) -> None:
    """Write ``scenario.toml``, with the file of prices that it needs beside it, so that the folder can be handed on."""
    if scenario.price.source == "file":
        copied = folder / f"prices{Path(scenario.price.file).suffix}"
        content = Path(scenario.price.file).read_bytes()
        if not copied.is_file() or copied.read_bytes() != content:
            write_whole(copied, content)
        price = scenario.price.model_copy(update={"file": copied.name})
        scenario = scenario.model_copy(update={"price": price})
    write_whole(folder / "scenario.toml", scenario_toml(scenario))
