"""Files of plain data and arrays: a line of JSON that says what is in it, and the arrays, compressed.

Nothing in such a file is code and nothing is unpickled. The first line names the layout, the second is a hash of all
that follows, so that a file of another version, a truncated and a damaged one are each told apart.
"""

import ast
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from blockspace.experiments.files import whole_file
from blockspace.network.state import Part, Pieces, StateError

MAGIC = b"blockspace checkpoint "
LAYOUT = 2
"""Version of the layout; it goes up with every change that an older reader would misunderstand."""

PIECE_BYTES = 2**25
"""Pieces are gathered in files of about this size before compression."""

PAGE_BYTES = 2**16
"""Of an array, pages that hold nothing but zeros are left out: a venue has room for far more than most runs use."""

_CODEC = pa.Codec("zstd", compression_level=1)
_HASH_BYTES = 20


def write_state(file: Path, about: dict[str, Any], state: Any) -> list[str]:
    """Write plain data and arrays, whole or not at all.

    Parameters
    ----------
    file
        Where to.
    about
        What :func:`read_about` tells of the file: names and values that JSON knows.
    state
        What :func:`read_state` returns, as :mod:`blockspace.network.state` makes it.

    Returns
    -------
    list of str
        Names of the files beside it that hold the pieces of streams. Those that were there are not written again.
    """
    arrays: list[npt.NDArray[Any]] = []
    names: list[str] = []

    def store(pieces: Pieces) -> str | None:
        _store_pieces(pieces, file.parent)
        names.extend(name for name, _ in pieces.stored)
        return pieces.stored[-1][0] if pieces.stored else None

    tree = _to_json(state, arrays, store)
    _write(file, _pack({"about": about, "state": tree}, arrays))
    return names


def read_about(file: Path) -> dict[str, Any]:
    """What was said about a file when it was written.

    Raises
    ------
    StateError
        If it is of another layout, truncated or damaged.
    """
    about: dict[str, Any] = _unpack(file)[0]["about"]
    return about


def read_state(file: Path) -> Any:
    """Plain data and arrays of a file, the pieces of streams included.

    Raises
    ------
    StateError
        If it or a file that it needs is missing, of another layout, truncated or damaged.
    """
    header, arrays = _unpack(file)
    return _from_json(header["state"], _unfold(header, arrays), lambda name: _fetch_pieces(name, file.parent))


# Streams.


def _store_pieces(pieces: Pieces, folder: Path) -> None:
    """Write the pieces that a folder does not hold yet; each file names the one before it."""
    while pieces.stored and not (folder / pieces.stored[-1][0]).is_file():
        pieces.stored.pop()
    previous, done = pieces.stored[-1] if pieces.stored else (None, 0)
    while done < len(pieces.arrays):
        stop = done + 1
        size = pieces.arrays[done].nbytes
        while stop < len(pieces.arrays) and size + pieces.arrays[stop].nbytes <= PIECE_BYTES:
            size += pieces.arrays[stop].nbytes
            stop += 1
        content = _pack({"previous": previous, "pieces": stop}, [np.concatenate(pieces.arrays[done:stop])])
        previous = f"rows-{hashlib.blake2b(content, digest_size=_HASH_BYTES).hexdigest()}"
        if not (folder / previous).is_file():
            _write(folder / previous, content)
        pieces.stored.append((previous, stop))
        done = stop


def _fetch_pieces(name: str | None, folder: Path) -> Pieces:
    pieces = Pieces()
    while name is not None:
        header, arrays = _unpack(folder / name)
        pieces.arrays.append(_unfold(header, arrays)[0])
        pieces.stored.append((name, 0))
        name = header["previous"]
    pieces.arrays.reverse()
    pieces.stored = [(stored, number + 1) for number, (stored, _) in enumerate(reversed(pieces.stored))]
    return pieces


# Bytes.


def _write(file: Path, content: bytes) -> None:
    with whole_file(file) as temporary, open(temporary, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())  # on the disk before it takes the place of the last good one


def _pack(header: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> bytes:
    """Content of a file."""
    blobs, described = [], []
    for array in arrays:
        kept = _occupied_pages(_bytes_of(array))
        content = _bytes_of(array)[: len(kept) * PAGE_BYTES].reshape(-1, PAGE_BYTES)[kept]
        content = np.concatenate([content.reshape(-1), _bytes_of(array)[len(kept) * PAGE_BYTES :]])
        blobs.append(_CODEC.compress(content, asbytes=True) if content.size else b"")
        pages = np.flatnonzero(kept).tolist() if not kept.all() else None
        described.append([repr(np.lib.format.dtype_to_descr(array.dtype)), array.shape, len(blobs[-1]), pages])
    text = json.dumps({**header, "arrays": described}).encode()
    rest = b"".join([b"%d\n" % len(text), text, b"\n", *blobs])
    digest = hashlib.blake2b(rest, digest_size=_HASH_BYTES).hexdigest()
    return b"%s%d\n%s\n%s" % (MAGIC, LAYOUT, digest.encode(), rest)


def _bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _occupied_pages(content: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Of each whole page of bytes, whether it holds anything but zeros."""
    whole = len(content) // PAGE_BYTES
    words = content[: whole * PAGE_BYTES].view(np.uint64).reshape(whole, PAGE_BYTES // 8)
    return np.asarray(words.any(axis=1))


def _unpack(file: Path) -> tuple[dict[str, Any], memoryview]:
    """Header of a file, and what comes after it."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise StateError(f"{file} is missing") from None
    first, _, after = content.partition(b"\n")
    layout = first.removeprefix(MAGIC)
    if first.startswith(MAGIC) and layout.isdigit() and int(layout) != LAYOUT:
        raise StateError(f"{file} has layout {int(layout)} and this version of blockspace reads layout {LAYOUT}")
    digest, _, rest = after.partition(b"\n")
    if hashlib.blake2b(rest, digest_size=_HASH_BYTES).hexdigest().encode() != digest:
        raise StateError(f"{file} is damaged or cut short")
    length, _, _ = rest[:32].partition(b"\n")
    start = len(length) + 1
    stop = start + int(length)
    return json.loads(rest[start:stop]), memoryview(rest)[stop + 1 :]


def _unfold(header: dict[str, Any], blobs: memoryview) -> list[npt.NDArray[Any]]:
    """Arrays of a file; they cannot be written to. Pages without content take no memory."""
    arrays = []
    for described, shape, size, pages in header["arrays"]:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(described))
        length = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        whole = length // PAGE_BYTES
        kept = length if pages is None else len(pages) * PAGE_BYTES + length - whole * PAGE_BYTES
        content = np.frombuffer(_CODEC.decompress(blobs[:size], kept) if kept else b"", np.uint8)
        if pages is not None:
            found, content = content, np.zeros(length, np.uint8)
            content[: whole * PAGE_BYTES].reshape(whole, PAGE_BYTES)[pages] = found[: len(pages) * PAGE_BYTES].reshape(
                -1, PAGE_BYTES
            )
            content[whole * PAGE_BYTES :] = found[len(pages) * PAGE_BYTES :]
            content.flags.writeable = False
        arrays.append(content.view(dtype).reshape(shape))
        blobs = blobs[size:]
    return arrays


# Plain data as JSON. What JSON does not know is a table of one entry that says what it is.


def _to_json(value: Any, arrays: list[npt.NDArray[Any]], store: Callable[[Pieces], str | None]) -> Any:
    def known(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            arrays.append(item)
            return {"array": len(arrays) - 1}
        if isinstance(item, np.generic):
            return {"scalar": [item.dtype.str, item.item()]}
        if isinstance(item, Pieces):
            return {"pieces": store(item)}
        if isinstance(item, Part):
            return {"part": [item.kind, known(item.state)]}
        if isinstance(item, tuple):
            return {"tuple": [known(inner) for inner in item]}
        if isinstance(item, list):
            return [known(inner) for inner in item]
        if isinstance(item, dict):
            return {"dict": [[known(name), known(inner)] for name, inner in item.items()]}
        return item

    return known(value)


def _from_json(value: Any, arrays: list[npt.NDArray[Any]], fetch: Callable[[str | None], Pieces]) -> Any:
    def meant(item: Any) -> Any:
        if isinstance(item, list):
            return [meant(inner) for inner in item]
        if not isinstance(item, dict):
            return item
        ((kind, content),) = item.items()
        if kind == "array":
            return arrays[content]
        if kind == "scalar":
            return np.dtype(content[0]).type(content[1])
        if kind == "pieces":
            return fetch(content)
        if kind == "part":
            return Part(content[0], meant(content[1]))
        if kind == "tuple":
            return tuple(meant(inner) for inner in content)
        return {meant(name): meant(inner) for name, inner in content}

    return meant(value)
