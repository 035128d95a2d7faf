"""What the documentation says is run: docstrings' examples, the README's Python, and the example scripts."""

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

import blockspace.agents
import blockspace.experiments
import blockspace.markets
import blockspace.network

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (blockspace.network, blockspace.markets, blockspace.agents, blockspace.experiments)
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_python_in_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)


@pytest.mark.parametrize("script", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_scripts(script, capsys):
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    expected = script.with_suffix(".txt")
    assert printed == expected.read_text(encoding="utf-8")
