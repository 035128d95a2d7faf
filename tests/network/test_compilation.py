import os
import subprocess
import sys

import numba
import pytest

from blockspace.network import compilation
from blockspace.network.compilation import cache_folder, dependencies, is_compiled, kernel, mark_compiled

FILES = {
    "network/constants.py": "FACTOR = {factor}\n",
    "network/helper.py": """
        from blockspace.network.compilation import kernel
        from blockspace.network.constants import FACTOR

        @kernel
        def scaled(value):
            return FACTOR * value{extra}
        """,
    "network/caller.py": """
        from blockspace.network.compilation import kernel
        from blockspace.network.helper import scaled

        @kernel
        def answer(value):
            return scaled(value) + 1
        """,
    "network/bystander.py": """
        from blockspace.network.compilation import kernel

        @kernel
        def nothing():
            return 0
        """,
}

SCRIPT = """
import sys
from pathlib import Path
import blockspace.network
from blockspace.network import compilation
root = Path(sys.argv[1])
compilation.ROOT = root
blockspace.network.__path__.append(str(root / "network"))
from blockspace.network.bystander import nothing
from blockspace.network.caller import answer
nothing()
print(answer(10), sum(answer.stats.cache_hits.values()), sum(nothing.stats.cache_hits.values()))
"""


def write(root, files=FILES, **values):
    """Write a small package below ``root``; ``values`` fill in its blanks."""
    for name, text in files.items():
        lines = [line.removeprefix(" " * 8) for line in text.splitlines()]
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines).format(**values) + "\n")


def run(root):
    """Call the kernels in a fresh process: (answer, hits of its cache, hits of the bystander's)."""
    environment = {**os.environ, "BLOCKSPACE_CACHE": str(root / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)], env=environment, capture_output=True, text=True, check=True
    )
    return tuple(int(word) for word in run.stdout.split())


@pytest.fixture
def no_memory(monkeypatch, tmp_path):
    """Let the module look at ``tmp_path`` as if it were the project, and forget what it knows of the files."""

    def forget():
        compilation._content.cache_clear()
        compilation._imported.cache_clear()
        compilation.source_hash.cache_clear()

    monkeypatch.setattr(compilation, "ROOT", tmp_path)
    monkeypatch.setenv("BLOCKSPACE_CACHE", str(tmp_path / "cache"))
    forget()
    yield forget
    forget()


def test_editing_a_helper_or_a_constant_in_another_file_changes_the_result(tmp_path):
    write(tmp_path, factor=2, extra="")
    assert run(tmp_path) == (21, 0, 0)
    assert run(tmp_path) == (21, 1, 1)  # nothing was edited: all comes from the cache
    write(tmp_path, factor=2, extra=" + 100")
    assert run(tmp_path) == (121, 0, 1)  # what does not depend on the helper is not compiled again
    write(tmp_path, factor=3, extra=" + 100")
    assert run(tmp_path) == (131, 0, 1)
    write(tmp_path, factor=2, extra="")
    assert run(tmp_path) == (21, 1, 1)  # going back finds the first cache again


def test_the_cache_folder_follows_every_dependency(tmp_path, no_memory):
    write(tmp_path, factor=2, extra="")
    caller, bystander = tmp_path / "network/caller.py", tmp_path / "network/bystander.py"
    before = cache_folder(caller), cache_folder(bystander)
    write(tmp_path, factor=3, extra="")
    assert (cache_folder(caller), cache_folder(bystander)) == before  # as long as the process lives
    no_memory()
    assert cache_folder(caller) != before[0]
    assert cache_folder(bystander) == before[1]
    assert cache_folder(caller).parent == tmp_path / "cache" / "kernels"


IMPORTS = [
    ("from blockspace.network.a import x", ["a"]),
    ("from blockspace.network import a", ["a"]),
    ("from blockspace.network import a as short, b", ["a", "b"]),
    ("from blockspace.network import (\n    a,  # first\n    b,\n)", ["a", "b"]),
    ("from blockspace.network.a import (\n    x,\n    y,\n)", ["a"]),
    ("import blockspace.network.a", ["a"]),
    ("import blockspace.network.a as short, blockspace.network.b", ["a", "b"]),
    ("def late():\n    from blockspace.network.a import x", ["a"]),
    (
        "try:\n    pass\nexcept OSError:\n    import blockspace.network.a\nelse:\n    import blockspace.network.b",
        ["a", "b"],
    ),
    ("match 1:\n    case 1:\n        import blockspace.network.a", ["a"]),
    ("if 1:\n    pass\nelif 2:\n    with x:\n        import blockspace.network.b", ["b"]),
    ("from blockspace.network.presets.c import x", ["presets/c"]),
    ("import numpy\nfrom math import sqrt\nfrom blockspace.network.missing import x", []),
    ("'''\nfrom blockspace.network.a import x\n'''  # words, not an import", []),
]


@pytest.mark.parametrize(("line", "found"), IMPORTS)
def test_dependencies_are_found_however_they_are_imported(tmp_path, no_memory, line, found):
    write(tmp_path, {"network/a.py": "", "network/b.py": "", "network/presets/c.py": "", "network/start.py": ""})
    start = tmp_path / "network/start.py"
    start.write_text(line)
    assert dependencies(start) == sorted([start, *(tmp_path / f"network/{name}.py" for name in found)])


def test_dependencies_of_dependencies_are_found_once_and_circles_end(tmp_path, no_memory):
    write(
        tmp_path,
        {
            "network/a.py": "from blockspace.network.b import x",
            "network/b.py": "from blockspace.markets.c import x",
            "markets/c.py": "from blockspace.network import a",
        },
    )
    every = sorted([tmp_path / "markets/c.py", tmp_path / "network/a.py", tmp_path / "network/b.py"])
    for path in every:
        assert dependencies(path) == every


def test_the_real_dependencies_of_the_venue_are_complete():
    venue = compilation.ROOT / "markets/venue.py"
    names = {str(path.relative_to(compilation.ROOT)) for path in dependencies(venue)}
    assert names >= {
        "markets/venue.py",
        "markets/ledger.py",
        "markets/matching.py",
        "markets/trade_log.py",
        "network/compilation.py",
        "network/transaction.py",
    }
    assert not any(name.startswith(("agents", "experiments", "tests")) for name in names)


def test_a_kernel_leaves_numbas_own_setting_alone(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "somewhere else")

    @kernel
    def compiled():
        return 1

    assert numba.config.CACHE_DIR == "somewhere else"


def test_a_failing_decoration_puts_the_setting_back(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "somewhere else")

    def refuse(**options):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(numba, "njit", refuse)
    with pytest.raises(RuntimeError, match="no compiler"):
        kernel(lambda: None)
    assert numba.config.CACHE_DIR == "somewhere else"


def test_a_whole_run_is_remembered_until_a_dependency_changes(tmp_path, no_memory):
    write(tmp_path, factor=2, extra="")
    caller = tmp_path / "network/caller.py"
    assert not is_compiled(caller)
    mark_compiled(caller)
    assert is_compiled(caller)
    write(tmp_path, factor=3, extra="")
    no_memory()
    assert not is_compiled(caller)
