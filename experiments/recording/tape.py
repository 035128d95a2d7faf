"""A tape: a stream of records, kept in memory or streamed to a Parquet file.

A Parquet file cannot be added to once it has been finished. A tape on disk is therefore written in parts, hidden beside
its place, ``.trades-000001.parquet`` and so on: a part ends where somebody reads the tape or a checkpoint is taken.
:meth:`Tape.close` copies them into one file. Every drain of the ring is a row group, whatever the parts, so that the
one file is the same byte for byte however often the run was stopped.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from blockspace.experiments.files import whole_file
from blockspace.network.state import Pieces, StateError, Stateful


class Tape(Stateful):
    """A stream of records, in memory or in a Parquet file.

    Parameters
    ----------
    columns
        Makes a frame of records.
    dtype
        Type of a record.
    file
        Parquet file to be written; None keeps the tape in memory.
    """

    CONSTANTS: ClassVar = ("_columns", "_dtype", "_file", "_schema", "_parts", "_writer")

    def __init__(self, columns: Callable[[Any], pd.DataFrame], dtype: np.dtype[Any], file: Path | None) -> None:
        self._columns = columns
        self._dtype = dtype
        self._file = file
        self._schema = self._table(np.zeros(1, dtype), None).schema  # text has no type where there are no rows
        self._pieces = Pieces()
        self._parts: list[Path] = []
        self._groups = 0
        self._writer: pq.ParquetWriter | None = None

    def _table(self, rows: npt.NDArray[Any], schema: pa.Schema | None) -> pa.Table:
        return pa.Table.from_pandas(self._columns(rows), schema=schema, preserve_index=False)

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows to the end."""
        if not len(rows):
            return
        if self._file is None:
            self._pieces.append(rows)
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._next_part(self._file), self._schema)
        self._writer.write_table(self._table(rows, self._schema), row_group_size=len(rows))
        self._groups += 1

    def _next_part(self, file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not self._parts:
            _remove([file, *_parts_of(file)])  # of an earlier run
        elif self._parts == [file]:  # it was closed, and goes on
            self._parts = [file.rename(_part(file, 1))]
        self._parts.append(_part(file, len(self._parts) + 1))
        return self._parts[-1]

    def frame(self) -> pd.DataFrame:
        """Everything so far, with units in the column names."""
        if self._file is None:
            return self._columns(np.concatenate([np.zeros(0, self._dtype), *self._pieces.arrays]))
        self._finish_part()
        frames = [pd.read_parquet(part) for part in self._parts]
        return pd.concat(frames, ignore_index=True) if frames else self._schema.empty_table().to_pandas()

    def close(self) -> None:
        """Make one file of the parts, if the tape is one on disk; it is there even where there is nothing to say."""
        if self._file is None or self._parts == [self._file]:
            return
        self._finish_part()
        _copy_groups(self._parts, self._groups, self._schema, self._file)
        _remove(_parts_of(self._file))
        self._parts = [self._file]

    def _finish_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def state(self) -> dict[str, Any]:
        """How far the tape has come; what is on disk is finished up to there."""
        self._finish_part()
        return super().state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where the tape was, and forget what was written afterwards.

        Raises
        ------
        StateError
            If a part is missing or damaged.
        """
        self._finish_part()
        super().restore(state)
        if self._file is not None:
            self._cut(self._file)

    def _cut(self, file: Path) -> None:
        """Leave the row groups on disk that there were at the checkpoint."""
        parts = _parts_of(file)
        if file.exists():  # the run had come to its end: this file holds all, and its parts may be gone
            _copy_groups([file], self._groups, self._schema, _part(file, 1))
            _remove([*parts[1:], file])
            parts = _parts_of(file)
        self._parts = []
        found = 0
        while found < self._groups and len(self._parts) < len(parts):
            self._parts.append(parts[len(self._parts)])
            found += _groups_in(self._parts[-1])
        if found != self._groups:
            raise StateError(f"the parts of {file} are damaged or missing: {found} of {self._groups} pieces are there")
        _remove(parts[len(self._parts) :])


def _part(file: Path, number: int) -> Path:
    return file.with_name(f".{file.stem}-{number:06d}{file.suffix}")


def _parts_of(file: Path) -> list[Path]:
    """Parts on disk, in order."""
    return sorted(file.parent.glob(f".{file.stem}-{'[0-9]' * 6}{file.suffix}"))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _groups_in(file: Path) -> int:
    try:
        with pq.ParquetFile(file) as part:
            return int(part.num_row_groups)
    except (OSError, pa.ArrowException):
        raise StateError(f"{file} is damaged or missing") from None


def _copy_groups(sources: list[Path], count: int, schema: pa.Schema, target: Path) -> None:
    """Copy the first row groups of Parquet files into another, one at a time."""
    with whole_file(target) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for source in sources:
            with pq.ParquetFile(source) as part:
                for number in range(min(part.num_row_groups, count)):
                    table = part.read_row_group(number)
                    writer.write_table(table, row_group_size=len(table))
                count -= min(part.num_row_groups, count)
