"""The results folder: readable by anybody, whole, and the same when it is read again."""

import json
import sys
import time
import types

import duckdb
import pandas as pd
import polars
import pytest

from blockspace.experiments import files as files_module
from blockspace.experiments.files import scenario_toml, write_whole
from blockspace.experiments.results import load_results
from blockspace.experiments.results.folder import changed_files
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.conduct import conduct
from blockspace.experiments.sweeps.progress import Progress
from blockspace.network.presets import preset_names

from .small import small_sweep

ABOUT = {"kind": "sweep", "name": "small", "question": "Does it work?"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return conduct(small_sweep(), tmp_path_factory.mktemp("results"), ABOUT, jobs=1, keep="blocks", quiet=True)


def test_results_hold_frames_statistics_and_figures(results):
    assert results.points == ["5 M", "60 M"]
    assert results.swept == ["gas_limit"]
    assert results.value("60 M", "gas_limit") == 60e6
    assert results.is_complete
    assert results.scenario == small_sweep().scenario
    fees = results.curve("base_fee_gwei")
    by_point = results.runs.groupby("point")["base_fee_gwei"]
    assert fees["mean"].to_dict() == pytest.approx(by_point.mean().to_dict())
    assert fees["median"].to_dict() == pytest.approx(by_point.median().to_dict())
    assert fees.loc["60 M", "difference"] == pytest.approx(by_point.mean()["60 M"] - by_point.mean()["5 M"])
    assert [path.name for path in results.figures] == ["small.png", "small.svg"]
    with pytest.raises(KeyError, match="there is no measure 'profit'"):
        results.curve("profit")
    with pytest.raises(ValueError, match="series is 'orders'; it may be blocks, trades, transactions"):
        results.series("orders")


def test_duckdb_reads_it_without_us(results):
    runs, index = f"{results.folder}/runs/*.parquet", f"{results.folder}/index.parquet"
    means = duckdb.sql(
        f"SELECT point, avg(value) AS mean FROM '{runs}' WHERE measure = 'base_fee_gwei' GROUP BY point ORDER BY point"
    ).fetchall()
    expected = results.runs.groupby("point")["base_fee_gwei"].mean()
    assert dict(means) == pytest.approx(expected.to_dict())
    same = duckdb.sql(f"SELECT point, avg(base_fee_gwei) FROM '{index}' GROUP BY point").fetchall()
    assert dict(same) == pytest.approx(expected.to_dict())
    ((blocks,),) = duckdb.sql(f"SELECT count(*) FROM '{results.folder}/blocks/*.parquet' WHERE seed = 3").fetchall()
    assert blocks == 50


def test_polars_reads_it_without_us(results):
    frame = polars.read_parquet(results.folder / "index.parquet")
    assert frame.height == 4
    assert frame["base_fee_gwei"].to_list() == results.runs["base_fee_gwei"].tolist()
    long = polars.scan_parquet(results.folder / "runs" / "*.parquet")
    wide = long.filter(polars.col("measure") == "utilisation").sort("point", "seed").collect()
    assert wide["value"].to_list() == results.runs.sort_values(["point", "seed"])["utilisation"].tolist()
    assert {"point", "gas_limit", "seed", "fingerprint", "error", "measure", "value"} == set(wide.columns)


def test_runs_and_index_say_the_same(results):
    for file in results.runs["file"]:
        run = pd.read_parquet(results.folder / file)
        row = results.runs[results.runs["file"] == file].iloc[0]
        assert run["seed"].unique().tolist() == [row["seed"]]
        assert run["fingerprint"].unique().tolist() == [row["fingerprint"]]
        known = run.set_index("measure")["value"]
        pd.testing.assert_series_equal(known, row[known.index].astype(float), check_names=False)


def test_manifest_lists_every_file_and_changes_are_noticed(tmp_path):
    results = conduct(small_sweep(seeds=(1,)), tmp_path, ABOUT, jobs=1, quiet=True)
    assert changed_files(tmp_path) == []
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there - set(manifest["sha256"]) == {"manifest.json", "report.html", "log.txt", ".lock"}
    assert manifest["seeds"] == [1]
    assert {"numpy", "numba", "mesa", "blockspace"} <= manifest["versions"].keys()
    (tmp_path / "table.csv").write_text("")
    (tmp_path / "study.json").unlink()
    assert changed_files(tmp_path) == ["study.json", "table.csv"]
    assert results.points == ["5 M", "60 M"]


def test_a_folder_without_a_study_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"holds no study: study\.json cannot be found"):
        load_results(tmp_path)
    write_whole(tmp_path / "study.json", "{")
    with pytest.raises(ValueError, match=r"study\.json cannot be read: it is damaged or cut short"):
        load_results(tmp_path)


@pytest.mark.parametrize("preset", preset_names())
def test_written_scenario_is_the_same_scenario(preset, tmp_path):
    overrides = {"description": 'a "quoted" \\ description: é', "price.script": [[0, 1.0], [60, 0.9]]}
    scenario = load_scenario(preset, overrides)
    (tmp_path / "scenario.toml").write_text(scenario_toml(scenario), encoding="utf-8")
    assert load_scenario(tmp_path / "scenario.toml") == scenario


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", "before")

    def full_disk(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(files_module.Path, "replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


# Progress.


class Terminal:
    """Standard error of a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_terminal_gets_a_bar_with_rate_and_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(total=4, finished=1, quiet=False)
    for _ in range(3):
        time.sleep(0.11)
        progress.advance()
    progress.close()
    assert "4/4" in terminal.text
    assert "run/s" in terminal.text
    assert "<" in terminal.text


def test_a_notebook_gets_the_bar_as_well(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    progress = Progress(total=1, finished=0, quiet=False)
    progress.advance()
    progress.close()
    assert "1/1" in capsys.readouterr().err


def test_a_pipe_gets_a_line_now_and_then_and_quiet_gets_nothing(capfd):
    for quiet in (False, True):
        progress = Progress(total=2, finished=0, quiet=quiet)
        progress.advance()
        progress.advance()
        progress.close()
        told = capfd.readouterr().err
        assert told == "" if quiet else told.startswith("2 of 2 runs, ")
