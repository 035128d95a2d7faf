"""The files of a results folder that keep its runs: one for each, an index of all, and series of blocks and trades."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from blockspace.experiments.files import scenario_toml, whole_file, write_whole
from blockspace.experiments.results.folder import SCHEMA, StoreError, require_schema, version
from blockspace.experiments.scenario import Scenario

_LABELS = ("point", "seed", "fingerprint", "error", "identity")


@dataclass
class RunRecord:
    """What is kept of one run.

    Attributes
    ----------
    name
        Of its files, without ending.
    point, values, seed
        Where in the sweep it belongs.
    identity
        Hash of all that it depends on.
    fingerprint
        Hash of its tape; None if it failed.
    error
        Traceback of a run that failed.
    measures
        Summary measures, each with its unit in the name.
    """

    name: str
    point: str
    values: Mapping[str, Any]
    seed: int
    identity: str
    fingerprint: str | None = None
    error: str | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


def run_file(folder: Path, name: str, of: str = "runs") -> Path:
    """File that keeps a run, or one of its series."""
    return folder / of / f"{name}.parquet"


def write_run(folder: Path, run: RunRecord, scenario: Scenario | None = None) -> None:
    """Keep a run that has been made; of one that failed also the scenario, to look into it."""
    rows = len(run.measures) or 1
    columns: dict[str, pa.Array] = {"point": _repeated(run.point, rows)}
    columns |= {name: _repeated(value, rows) for name, value in run.values.items()}
    columns |= {
        "seed": _repeated(run.seed, rows),
        "fingerprint": _repeated(run.fingerprint, rows),
        "error": _repeated(run.error, rows),
        "measure": pa.array(run.measures or [None], pa.string()),
        "value": _values(run.measures.values()) if run.measures else pa.array([None], pa.float64()),
    }
    table = pa.table(columns).replace_schema_metadata(
        {"blockspace_schema": str(SCHEMA), "blockspace_version": version(), "identity": run.identity}
    )
    with whole_file(run_file(folder, run.name)) as temporary:
        pq.write_table(table, temporary)
    failure = folder / "failures" / f"{run.name}.toml"
    if run.error is None or scenario is None:
        failure.unlink(missing_ok=True)
    else:
        told = "\n".join(f"# {line}".rstrip() for line in run.error.splitlines())
        write_whole(failure, f"# point {run.point}, seed {run.seed}\n{told}\n\n{scenario_toml(scenario)}")


def _values(values: Iterable[float | None]) -> pa.Array:
    """Numbers as a column, in which what could not be measured is null."""
    # Of NumPy's and Python's numbers alike, NaN included, pandas' convention makes nulls.
    return pa.array(np.array(list(values), dtype=float), pa.float64(), from_pandas=True)


def _repeated(value: Any, times: int) -> pa.Array:
    kind = pa.string() if value is None or isinstance(value, str) else None
    return pa.array([value] * times, kind)


def read_run(file: Path) -> RunRecord:
    """Read the file of a run.

    Raises
    ------
    StoreError
        If it is damaged or cut short.
    """
    try:
        table = pq.ParquetFile(file).read()
        identity = table.schema.metadata[b"identity"].decode()
        columns = table.to_pydict()
        first = {name: column[0] for name, column in columns.items()}
        measures = {
            sys.intern(name): math.nan if value is None else value
            for name, value in zip(columns["measure"], columns["value"], strict=True)
            if name is not None
        }
        values = {name: first[name] for name in first if name not in (*_LABELS, "measure", "value")}
        return RunRecord(
            file.stem,
            first["point"],
            values,
            first["seed"],
            identity,
            first["fingerprint"],
            first["error"],
            measures,
        )
    except (OSError, pa.ArrowException, KeyError, IndexError, TypeError):
        raise StoreError(f"{file} is damaged or cut short") from None


def known_runs(folder: Path) -> tuple[dict[str, RunRecord], list[str]]:
    """Runs that a folder holds, by the name of their files, and a sentence on each file that is of no use.

    What the index knows is taken from there if the file of the run still has the size that it had; the rest is read
    from the files.
    """
    indexed = _indexed_runs(folder)
    runs, complaints = {}, []
    for entry in (
        sorted(os.scandir(folder / "runs"), key=lambda entry: entry.name) if (folder / "runs").exists() else ()
    ):
        if not entry.name.endswith(".parquet") or entry.name.startswith("."):
            continue
        name = entry.name.removesuffix(".parquet")
        run, size = indexed.get(name, (None, -1))
        if run is None or entry.stat().st_size != size:
            try:
                run = read_run(Path(entry.path))
            except StoreError as error:
                complaints.append(f"{error}; that run is made again")
                continue
        runs[name] = run
    return runs, complaints


def _indexed_runs(folder: Path) -> dict[str, tuple[RunRecord, int]]:
    try:
        table = pq.read_table(folder / "index.parquet")
    except (OSError, pa.ArrowException):
        return {}
    swept = json.loads((table.schema.metadata or {}).get(b"swept", b"[]"))
    columns = table.to_pydict()
    measures = [name for name in columns if name not in (*_LABELS, *swept, "file", "file_bytes")]
    runs = {}
    for row in range(table.num_rows):
        failed = columns["error"][row] is not None
        record = RunRecord(
            Path(columns["file"][row]).stem,
            columns["point"][row],
            {name: columns[name][row] for name in swept},
            columns["seed"][row],
            columns["identity"][row],
            columns["fingerprint"][row],
            columns["error"][row],
            {}
            if failed
            else {name: math.nan if columns[name][row] is None else columns[name][row] for name in measures},
        )
        runs[record.name] = record, columns["file_bytes"][row]
    return runs


def write_index(folder: Path, runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Write ``index.parquet``, one row per run, and return it as a frame."""
    table = _index(folder, runs)
    with whole_file(folder / "index.parquet") as temporary:
        pq.write_table(table, temporary)
    return _frame(table)


def _index(folder: Path, runs: Sequence[RunRecord]) -> pa.Table:
    swept = list(runs[0].values) if runs else []
    # Most runs have the same measures: columns are built from whole lists, not row by row.
    measures = list(dict.fromkeys(name for run in runs for name in run.measures))
    columns: dict[str, pa.Array] = {"point": pa.array([run.point for run in runs], pa.string())}
    columns |= {name: pa.array([run.values[name] for run in runs]) for name in swept}
    columns["seed"] = pa.array([run.seed for run in runs], pa.int64())
    for name in ("fingerprint", "error", "identity"):
        columns[name] = pa.array([getattr(run, name) for run in runs], pa.string())
    files = [run_file(Path(), run.name) for run in runs]
    columns["file"] = pa.array([file.as_posix() for file in files], pa.string())
    columns["file_bytes"] = pa.array([(folder / file).stat().st_size for file in files], pa.int64())
    for name in measures:
        columns[name] = _values(run.measures.get(name) for run in runs)
    return pa.table(columns).replace_schema_metadata(
        {"blockspace_schema": str(SCHEMA), "blockspace_version": version(), "swept": json.dumps(swept)}
    )


def read_index(folder: Path) -> pd.DataFrame:
    """Runs of a results folder, one row each.

    Where the index is damaged or does not know all runs, as after an interruption, the files of the runs are read.

    Raises
    ------
    StoreError
        If no run can be read.
    """
    present = {entry.name for entry in os.scandir(folder / "runs")} if (folder / "runs").is_dir() else set()
    try:
        frame = _frame(pq.read_table(folder / "index.parquet"))
        if len(frame) == sum(name.endswith(".parquet") and not name.startswith(".") for name in present):
            return frame
    except (OSError, pa.ArrowException):
        pass
    runs, _ = known_runs(folder)
    wanted = _in_order(folder, runs)
    if not wanted:
        raise StoreError(f"{folder} holds no finished run")
    return _frame(_index(folder, wanted))


def _in_order(folder: Path, runs: Mapping[str, RunRecord]) -> list[RunRecord]:
    study = require_schema(folder)
    places = {point["name"]: number for number, point in enumerate(study["points"])}
    wanted = [run for run in runs.values() if run.point in places and run.seed in study["seeds"]]
    return sorted(wanted, key=lambda run: (places[run.point], run.seed))


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas()
    for name in ("fingerprint", "error"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def label_series(source: Path, target: Path, labels: Mapping[str, Any]) -> None:
    """Move a Parquet file into place with a column for each label in front; it streams, whatever its size."""
    with whole_file(target) as temporary:
        read = pq.ParquetFile(source)
        fields = [pa.field(name, _repeated(value, 1).type) for name, value in labels.items()]
        schema = pa.schema([*fields, *read.schema_arrow])
        with pq.ParquetWriter(temporary, schema) as writer:
            for batch in read.iter_batches():
                columns = [_repeated(value, len(batch)) for value in labels.values()]
                writer.write_batch(pa.record_batch([*columns, *batch.columns], schema=schema))
    source.unlink()
