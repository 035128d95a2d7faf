"""Compiled kernels and the cache that keeps them.

Numba's own on-disk cache looks at the file of the compiled function alone: editing a helper or a constant in another
file silently keeps the old machine code. Here the cache folder is named after a hash of every file that a kernel can
reach, of Numba's version and of the processor, so that a stale kernel cannot be loaded.
"""

import hashlib
import os
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs

KERNEL_FOLDERS = ("network", "markets", "agents")
EXTRA_KERNEL_FILES = ("experiments/recorder.py",)


def kernel_sources() -> list[Path]:
    """Every source file that compiled code may depend on, sorted by path."""
    root = Path(__file__).resolve().parent.parent
    files = [path for folder in KERNEL_FOLDERS for path in (root / folder).glob("*.py")]
    files += [root / name for name in EXTRA_KERNEL_FILES if (root / name).exists()]
    return sorted(files)


def source_hash(files: list[Path]) -> str:
    """Hash the contents of ``files`` together with Numba's version and the processor (hexadecimal, 16 digits)."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{numba.__version__} {platform.machine()} {platform.python_version()}".encode())
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def cache_folder() -> Path:
    """Folder of the compiled kernels of exactly these sources.

    ``BLOCKSPACE_CACHE`` names another parent folder.
    """
    parent = os.environ.get("BLOCKSPACE_CACHE") or platformdirs.user_cache_dir("blockspace")
    return Path(parent) / "kernels" / source_hash(kernel_sources())


def is_compiled() -> bool:
    """Whether a run has already filled the kernel cache of these sources."""
    return (cache_folder() / "complete").exists()


def mark_compiled() -> None:
    """Remember that a whole run has been compiled, so that the next one need not announce it."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "complete").touch()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba, release the interpreter lock, and cache it under :func:`cache_folder`.

    Numba's global cache setting is put back at once, so that other libraries in the process keep their own.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
