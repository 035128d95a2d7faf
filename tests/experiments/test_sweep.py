"""Sweeps, the results folder and the statistics over seeds."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from blockspace.experiments import results as results_module
from blockspace.experiments import sweep as sweep_module
from blockspace.experiments.results import (
    changed_files,
    estimate,
    load_results,
    scenario_toml,
    tabulate,
    write_manifest,
    write_results,
    write_whole,
)
from blockspace.experiments.scenario import ScenarioError, load_scenario, preset_names
from blockspace.experiments.sweep import Point, Sweep, run_files, run_sweep
from blockspace.network.ordering import ORDERING_POLICIES, register_policy


def small_sweep(**overrides):
    scenario = load_scenario("ethereum-30m", {"duration_s": 300, "warm_up_s": 60, **overrides})
    points = tuple(
        Point(f"{gas_limit / 1e6:g} M", {"gas_limit": float(gas_limit)}, {"chain.gas_limit": gas_limit})
        for gas_limit in (5_000_000, 60_000_000)
    )
    return Sweep(scenario, points, seeds=(3, 4), reference="5 M")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep made in this process, with its folder."""
    folder = tmp_path_factory.mktemp("swept")
    sweep = small_sweep()
    return sweep, folder, run_sweep(sweep, folder, jobs=1)


# Statistics.


def test_confidence_interval_known_answers():
    # Student's t at 97.5 %: 12.706 with one degree of freedom, 2.776 with four.
    two = estimate([1.0, 3.0])
    assert (two.mean, two.count) == (2.0, 2)
    assert two.high - two.mean == pytest.approx(12.7062, rel=1e-5)
    five = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert five.mean - five.low == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_values_that_could_not_be_measured_are_left_out_and_counted():
    assert estimate([1.0, math.nan, 3.0]) == estimate([1.0, 3.0])
    one = estimate([math.nan, 7.0])
    assert (one.mean, one.count) == (7.0, 1)
    assert math.isnan(one.low)
    assert not one.is_clear
    assert estimate([math.nan]).count == 0


def test_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(2_000):
        interval = estimate(generator.normal(3.0, 2.0, size=6))
        hits += interval.low <= 3.0 <= interval.high
    assert hits / 2_000 == pytest.approx(0.95, abs=0.02)


def test_paired_differences_of_a_known_table():
    # Large differences between seeds, and one of 1 ± 0.1 between points, which pairing brings out.
    runs = pd.DataFrame(
        {
            "point": ["a"] * 3 + ["b"] * 3,
            "x": [1.0] * 3 + [2.0] * 3,
            "seed": [1, 2, 3, 3, 1, 2],
            "fingerprint": "",
            "error": None,
            "measure": [10.0, 20.0, 30.0, 31.0, 11.1, 20.9],
        }
    )
    table = tabulate(runs, ["x"], reference="a").set_index("point")
    b = table.loc["b"]
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert b["difference"] == pytest.approx(1.0)
    assert b["difference_low"] == pytest.approx(1.0 - half, rel=1e-6)
    assert b["difference_high"] == pytest.approx(1.0 + half, rel=1e-6)
    assert b["low"] < 0 < b["high"]
    assert table.loc["a", ["difference", "difference_low", "difference_high"]].tolist() == [0.0, 0.0, 0.0]
    assert b["pairs"] == 3


def test_a_seed_that_failed_at_one_point_is_no_pair():
    runs = pd.DataFrame(
        {
            "point": ["a", "a", "b", "b"],
            "seed": [1, 2, 1, 2],
            "fingerprint": "",
            "error": None,
            "measure": [1.0, 2.0, 5.0, math.nan],
        }
    )
    b = tabulate(runs, [], reference="a").set_index("point").loc["b"]
    assert (b["seeds"], b["pairs"], b["difference"]) == (1, 1, 4.0)


# Running.


def test_rows_come_in_order_with_everything_that_was_measured(swept):
    sweep, folder, runs = swept
    assert runs["point"].tolist() == ["5 M", "5 M", "60 M", "60 M"]
    assert runs["seed"].tolist() == [3, 4, 3, 4]
    assert runs["error"].isna().all()
    assert runs["fingerprint"].nunique() == 4
    assert {"base_fee_gwei", "quoted_spread_bps", "gas_maker_usd_per_h"} <= set(runs.columns)
    assert all(file.exists() for file in run_files(sweep, folder))


def test_processes_change_nothing(swept, tmp_path):
    sweep, _, alone = swept
    pd.testing.assert_frame_equal(run_sweep(sweep, tmp_path, jobs=2), alone)


def test_what_is_finished_is_not_made_again(swept, tmp_path, monkeypatch):
    sweep, folder, before = swept
    lost = run_files(sweep, folder)[2]
    for file in run_files(sweep, folder):
        if file != lost:
            write_whole(tmp_path / "runs" / file.name, file.read_bytes())
    # A run that was cut off while it was being written is no finished run.
    (tmp_path / "runs" / lost.name).write_text(lost.read_text()[:50])
    made = []
    simulate = sweep_module._simulate

    def counted(number, scenario, seed):
        made.append((scenario.chain.gas_limit, seed))
        return simulate(number, scenario, seed)

    monkeypatch.setattr(sweep_module, "_simulate", counted)
    pd.testing.assert_frame_equal(run_sweep(sweep, tmp_path, jobs=1), before)
    assert made == [(60_000_000, 3)]


def test_a_result_is_not_taken_for_one_of_other_settings_seeds_or_code(swept, monkeypatch):
    sweep, folder, _ = swept
    files = set(run_files(sweep, folder))
    other = small_sweep(**{"price.volatility_per_day": 0.05})
    write_whole(folder / "other" / "scenario.toml", scenario_toml(other.scenario))
    assert not {file.name for file in files} & {file.name for file in run_files(other, folder / "other")}
    monkeypatch.setattr(sweep_module, "source_hash", lambda file: "edited")
    assert not files & set(run_files(sweep, folder))


def test_a_failure_is_recorded_and_the_others_go_on(tmp_path):
    @register_policy("fails_when_large")
    def fails_when_large(pending, base_fee):
        raise ZeroDivisionError("on purpose")

    try:
        sweep = small_sweep()
        bad = Point("bad", {"gas_limit": 1.0}, {"chain.ordering": "fails_when_large"})
        sweep = Sweep(sweep.scenario, (bad, *sweep.points), sweep.seeds, sweep.reference)
        runs = run_sweep(sweep, tmp_path, jobs=1).set_index("point")
        assert runs.loc["bad", "error"].str.contains("ZeroDivisionError: on purpose").all()
        assert runs.loc["bad", "base_fee_gwei"].isna().all()
        assert runs.loc[["5 M", "60 M"], "error"].isna().all()
        # A table can be made of it, and the next attempt tries again what failed.
        table = tabulate(runs.reset_index(), ["gas_limit"], "5 M")
        assert table[table["point"] == "bad"]["seeds"].eq(0).all()
        first = json.loads(run_files(sweep, tmp_path)[0].read_text())
        assert first["error"].startswith("Traceback")
    finally:
        del ORDERING_POLICIES["fails_when_large"]


def test_a_process_that_dies_is_replaced_and_the_run_given_up_in_the_end(swept, tmp_path, monkeypatch):
    sweep, _, before = swept

    class Dying:
        """Stands in for joblib: the pool breaks whenever a run of seed 4 of the smaller chain is handed out."""

        def __init__(self, **_):
            pass

        def __call__(self, tasks):
            for function, arguments, _ in tasks:
                if arguments[1].chain.gas_limit == 5_000_000 and arguments[2] == 4:
                    raise sweep_module.BrokenProcessPool("died")
                yield function(*arguments)

    monkeypatch.setattr(sweep_module.joblib, "Parallel", Dying)
    runs = run_sweep(sweep, tmp_path, jobs=1)
    died = (runs["point"] == "5 M") & (runs["seed"] == 4)
    assert runs[died]["error"].tolist() == ["the process that made this run died"]
    assert runs[~died]["error"].isna().sum() >= 1
    pd.testing.assert_series_equal(
        runs[runs["error"].isna()]["fingerprint"], before[runs["error"].isna()]["fingerprint"]
    )


def test_what_may_not_be_is_said_before_anything_runs(tmp_path):
    sweep = small_sweep()
    wrong = Point("wrong", {"gas_limit": 1.0}, {"chain.gas_limit": 1})
    with pytest.raises(ScenarioError, match=r"chain\.gas_limit is 1"):
        run_sweep(Sweep(sweep.scenario, (*sweep.points, wrong), (1,), "5 M"), tmp_path)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="jobs is 0; it must be at least 1"):
        run_sweep(sweep, tmp_path, jobs=0)
    with pytest.raises(ValueError, match="two points"):
        Sweep(sweep.scenario, (sweep.points[0], sweep.points[0]), (1,), "5 M")
    with pytest.raises(ValueError, match=r"seeds is \[1, 1\]"):
        Sweep(sweep.scenario, sweep.points, (1, 1), "5 M")
    with pytest.raises(ValueError, match="reference is '7 M'; it may be 5 M, 60 M"):
        Sweep(sweep.scenario, sweep.points, (1,), "7 M")


def test_progress_bar_is_shown_only_when_asked(swept, tmp_path, capfd):
    sweep, _, _ = swept
    one = Sweep(sweep.scenario, sweep.points[:1], (3,), "5 M")
    run_sweep(one, tmp_path / "quiet", jobs=1)
    assert capfd.readouterr().err == ""
    run_sweep(one, tmp_path / "asked", jobs=1, progress=True)
    assert "1/1" in capfd.readouterr().err


def test_compiling_is_announced_and_remembered(swept, monkeypatch, capfd):
    sweep, _, _ = swept
    marked = []
    monkeypatch.setattr(sweep_module, "is_compiled", lambda file: bool(marked))
    monkeypatch.setattr(sweep_module, "mark_compiled", marked.append)
    sweep_module.compile_kernels(sweep.scenario)
    sweep_module.compile_kernels(sweep.scenario)
    assert [file.name for file in marked] == ["world.py"]
    assert capfd.readouterr().err.count("compiling the simulator") == 1


# The results folder.


@pytest.mark.parametrize("preset", preset_names())
def test_written_scenario_is_the_same_scenario(preset, tmp_path):
    overrides = {"description": 'a "quoted" \\ description: é', "price.script": [[0, 1.0], [60, 0.9]]}
    scenario = load_scenario(preset, overrides)
    (tmp_path / "scenario.toml").write_text(scenario_toml(scenario), encoding="utf-8")
    assert load_scenario(tmp_path / "scenario.toml") == scenario


def test_results_can_be_loaded_and_changes_are_noticed(swept, tmp_path):
    sweep, folder, runs = swept
    write_whole(tmp_path / "scenario.toml", (folder / "scenario.toml").read_bytes())
    write_results(tmp_path, {"name": "test", **sweep.describe()}, runs)
    files = [tmp_path / name for name in ("scenario.toml", "study.json", "runs.parquet", "table.csv")]
    write_manifest(tmp_path, files, sweep.seeds)
    results = load_results(tmp_path)
    assert results.scenario == sweep.scenario
    assert results.points == ["5 M", "60 M"]
    assert results.value("60 M", "gas_limit") == 60e6
    pd.testing.assert_frame_equal(results.runs, runs, check_dtype=False)
    fees = results.curve("base_fee_gwei")
    assert fees.index.tolist() == ["5 M", "60 M"]
    by_point = runs.groupby("point")["base_fee_gwei"].mean()
    assert fees["mean"].to_dict() == pytest.approx(by_point.to_dict())
    assert fees.loc["60 M", "difference"] == pytest.approx(by_point["60 M"] - by_point["5 M"])
    with pytest.raises(KeyError, match="there is no measure 'profit'"):
        results.curve("profit")

    assert changed_files(tmp_path) == []
    (tmp_path / "table.csv").write_text("")
    (tmp_path / "study.json").unlink()
    assert changed_files(tmp_path) == ["study.json", "table.csv"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["seeds"] == [3, 4]
    assert {"numpy", "numba", "mesa", "blockspace"} <= manifest["versions"].keys()


def test_a_folder_without_a_study_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"holds no finished study: scenario\.toml and study\.json"):
        load_results(tmp_path)


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", "before")

    def full_disk(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(results_module.Path, "replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"
