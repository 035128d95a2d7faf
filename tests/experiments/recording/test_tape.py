"""Tapes on disk: parts while the run goes on, one file at its end, and the same file however often it was stopped."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blockspace.experiments.recording.tape import Tape
from blockspace.network.state import StateError

ROW = np.dtype([("number", "i8"), ("side", "i1")], align=True)


def columns(rows):
    return pd.DataFrame({"number": rows["number"], "side": np.where(rows["side"] > 0, "buy", "sell")})


def rows(first, last):
    made = np.zeros(last - first, ROW)
    made["number"] = np.arange(first, last)
    made["side"] = made["number"] % 2
    return made


def new_tape(folder):
    return Tape(columns, ROW, folder / "tape.parquet")


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def numbers(tape):
    return tape.frame()["number"].tolist()


@pytest.fixture
def whole(tmp_path):
    """File of a tape of three drains that nobody looked at."""
    tape = new_tape(tmp_path / "whole")
    for first in (0, 10, 20):
        tape.append(rows(first, first + 10))
    tape.close()
    assert names(tmp_path / "whole") == ["tape.parquet"]
    return (tmp_path / "whole" / "tape.parquet").read_bytes()


def test_parts_become_the_file_that_is_written_at_once(tmp_path, whole):
    tape = new_tape(tmp_path / "parts")
    for first in (0, 10, 20):
        tape.append(rows(first, first + 10))
        assert numbers(tape) == list(range(first + 10))
    assert names(tmp_path / "parts") == [f".tape-00000{number}.parquet" for number in (1, 2, 3)]
    tape.close()
    tape.close()
    assert names(tmp_path / "parts") == ["tape.parquet"]
    assert (tmp_path / "parts" / "tape.parquet").read_bytes() == whole
    assert numbers(tape) == list(range(30))


def test_one_drain_is_one_row_group_whatever_its_size(tmp_path):
    tape = new_tape(tmp_path)
    tape.append(rows(0, 2_000_000))
    tape.close()
    assert pq.ParquetFile(tmp_path / "tape.parquet").num_row_groups == 1


def test_a_closed_tape_goes_on(tmp_path, whole):
    tape = new_tape(tmp_path / "on")
    tape.append(rows(0, 10))
    tape.close()
    tape.append(rows(10, 20))
    assert numbers(tape) == list(range(20))
    tape.close()
    tape.append(rows(20, 30))
    tape.close()
    assert (tmp_path / "on" / "tape.parquet").read_bytes() == whole


@pytest.mark.parametrize("written_after", [0, 1, 2])
@pytest.mark.parametrize("closed", ["no", "half", "yes"])
def test_a_restored_tape_forgets_what_came_after(tmp_path, whole, written_after, closed):
    tape = new_tape(tmp_path / "tape")
    tape.append(rows(0, 10))
    state = tape.state()
    for number in range(written_after):
        tape.append(rows(100 * number, 100 * number + 7))
        tape.state()
    if closed == "half":  # killed after the one file was made and before its parts were removed
        parts = {part: part.read_bytes() for part in (tmp_path / "tape").iterdir()}
    if closed != "no":
        tape.close()
    if closed == "half":
        for part, content in parts.items():
            part.write_bytes(content)
    continued = new_tape(tmp_path / "tape")
    continued.restore(state)
    assert names(tmp_path / "tape") == [".tape-000001.parquet"]
    for first in (10, 20):
        continued.append(rows(first, first + 10))
    continued.close()
    assert (tmp_path / "tape" / "tape.parquet").read_bytes() == whole


def test_a_part_that_a_killed_process_left_without_its_end_is_removed(tmp_path, whole):
    tape = new_tape(tmp_path / "tape")
    tape.append(rows(0, 10))
    state = tape.state()
    (tmp_path / "tape" / ".tape-000002.parquet").write_bytes(b"PAR1 and no end")
    continued = new_tape(tmp_path / "tape")
    continued.restore(state)
    for first in (10, 20):
        continued.append(rows(first, first + 10))
    continued.close()
    assert (tmp_path / "tape" / "tape.parquet").read_bytes() == whole


@pytest.mark.parametrize("damage", ["missing", "cut short", "another"])
def test_a_tape_without_its_parts_is_refused(tmp_path, damage):
    tape = new_tape(tmp_path)
    tape.append(rows(0, 10))
    tape.append(rows(10, 20))
    state = tape.state()
    part = tmp_path / ".tape-000001.parquet"
    if damage == "missing":
        part.unlink()
    elif damage == "cut short":
        part.write_bytes(part.read_bytes()[:-9])
    else:
        part.unlink()
        other = new_tape(tmp_path)
        other.append(rows(0, 10))
        other.state()
    with pytest.raises(StateError, match="damaged or missing"):
        new_tape(tmp_path).restore(state)


def test_a_new_tape_removes_what_an_earlier_run_left(tmp_path):
    earlier = new_tape(tmp_path)
    earlier.append(rows(0, 10))
    earlier.state()
    tape = new_tape(tmp_path)
    tape.append(rows(50, 60))
    assert numbers(tape) == list(range(50, 60))
    tape.close()
    assert names(tmp_path) == ["tape.parquet"]


def test_an_empty_tape_has_types(tmp_path):
    tape = new_tape(tmp_path)
    assert tape.frame().dtypes.to_dict() == columns(rows(0, 5)).dtypes.to_dict()
    tape.close()
    assert pq.read_schema(tmp_path / "tape.parquet").types[0] == pa.int64()
    assert pq.read_schema(tmp_path / "tape.parquet").types[1] in (pa.string(), pa.large_string())
    tape.append(rows(0, 5))
    assert numbers(tape) == list(range(5))


def test_a_tape_in_memory_is_never_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tape = Tape(columns, ROW, None)
    assert len(tape.frame()) == 0
    tape.append(rows(0, 10))
    tape.append(rows(10, 10))
    tape.append(rows(10, 12))
    assert numbers(tape) == list(range(12))
    tape.close()
    assert list(tmp_path.iterdir()) == []
