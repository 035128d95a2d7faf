"""Compiled kernels and the cache that keeps them.

Numba's own on-disk cache looks at the file of the compiled function alone: editing a helper or a constant in another
file silently keeps the old machine code. Here each module's kernels are cached in a folder named after a hash of that
module, of every module of ours that it imports, directly or not, and of the versions of Numba and Python. A stale
kernel cannot be loaded, and an edit recompiles only what depends on it.
"""

import ast
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs

ROOT = Path(__file__).resolve().parent.parent


@cache
def _content(file: Path) -> bytes:
    return file.read_bytes()


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below a node. Expressions, most of a file, are not looked into: they import nothing."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        below = getattr(node, block, ())
        if isinstance(below, list):
            for statement in below:
                yield statement
                yield from _statements(statement)


@cache
def _imported(file: Path) -> frozenset[Path]:
    """Files of ours that a file imports by name."""
    names: set[str] = set()
    for node in _statements(ast.parse(_content(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ours = (name.split(".")[1:] for name in names if name.startswith("blockspace."))
    folders = (ROOT.joinpath(*parts) for parts in ours)
    paths = (path for folder in folders for path in (folder.with_suffix(".py"), folder / "__init__.py"))
    return frozenset(path for path in paths if path.exists())


def dependencies(file: Path) -> list[Path]:
    """Return a file and every file of ours that it imports, directly or not, sorted by path."""
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _imported(current)
    return sorted(seen)


@cache
def source_hash(file: Path) -> str:
    """Hash of everything that the kernels of a file depend on (16 hexadecimal digits)."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{numba.__version__} {platform.machine()} {platform.python_version()}".encode())
    for path in dependencies(file):
        digest.update(path.name.encode())
        digest.update(_content(path))
    return digest.hexdigest()


def cache_folder(file: Path) -> Path:
    """Folder of the compiled kernels of a file. ``BLOCKSPACE_CACHE`` names another parent folder."""
    parent = os.environ.get("BLOCKSPACE_CACHE") or platformdirs.user_cache_dir("blockspace")
    return Path(parent) / "kernels" / source_hash(file)


def is_compiled(file: Path) -> bool:
    """Whether a whole run has already compiled everything that ``file`` depends on."""
    return (cache_folder(file) / "complete").exists()


def mark_compiled(file: Path) -> None:
    """Remember that a whole run of ``file`` has been compiled, so that the next one need not announce it."""
    folder = cache_folder(file)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "complete").touch()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba, release the interpreter lock, and cache it under :func:`cache_folder`.

    Numba's global cache setting is put back at once, so that other libraries in the process keep their own.
    """
    before = numba.config.CACHE_DIR
    # The same file can be imported under another name (doctest runners do): its kernels refer to themselves by name.
    numba.config.CACHE_DIR = str(cache_folder(Path(function.__code__.co_filename)) / function.__module__)
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
