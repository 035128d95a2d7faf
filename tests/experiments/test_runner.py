"""The runner: every run once, whatever happens to processes, files and disks."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from blockspace.experiments import compiling
from blockspace.experiments.results import load_results, run_files
from blockspace.experiments.scenario import ScenarioError, load_scenario
from blockspace.experiments.sweeps import runner
from blockspace.experiments.sweeps.points import Point, Sweep, grid
from blockspace.experiments.sweeps.runner import run_sweep
from blockspace.network.ordering import ORDERING_POLICIES, register_policy

from .small import begin_many, content, make_many, modified, small_sweep, wait_for_runs

ABOUT = {"kind": "sweep", "name": "small", "question": "Does it work?"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep made in this process, with its folder."""
    folder = tmp_path_factory.mktemp("swept")
    sweep = small_sweep()
    return sweep, folder, run_sweep(sweep, folder, jobs=1, about=ABOUT, quiet=True)


@pytest.fixture
def copied(swept, tmp_path):
    """The same sweep in a folder of its own."""
    sweep, folder, runs = swept
    for name, data in content(folder).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return sweep, tmp_path, runs


@pytest.fixture
def made(monkeypatch):
    """Runs that are made in this process, as (gas limit, seed)."""
    seen = []
    simulate = runner._simulate

    def counted(task):
        seen.append((json.loads(task.scenario)["chain"]["gas_limit"], task.seed))
        return simulate(task)

    monkeypatch.setattr(runner, "_simulate", counted)
    return seen


# What comes out.


def test_rows_come_in_order_with_everything_that_was_measured(swept):
    _, folder, runs = swept
    assert runs["point"].tolist() == ["5 M", "5 M", "60 M", "60 M"]
    assert runs["seed"].tolist() == [3, 4, 3, 4]
    assert runs["error"].isna().all()
    assert runs["fingerprint"].nunique() == 4
    assert {"base_fee_gwei", "quoted_spread_bps", "gas_maker_usd_per_h"} <= set(runs.columns)
    assert all((folder / file).exists() for file in runs["file"])
    log = (folder / "log.txt").read_text()
    assert len(re.findall(r"INFO made (5|60) M, seed [34], in [\d.]+ s", log)) == 4


def test_processes_change_nothing(swept, tmp_path):
    sweep, folder, _ = swept
    run_sweep(sweep, tmp_path, jobs=2, about=ABOUT, quiet=True)
    assert content(tmp_path) == content(folder)


def test_long_runs_are_handed_out_first(made, tmp_path):
    sweep = small_sweep(seeds=(1,))
    slow = Point("slow", {"gas_limit": 1.0}, {"chain.block_time_s": 2, "chain.gas_limit": 20_000_000})
    run_sweep(replace(sweep, points=(*sweep.points, slow)), tmp_path, jobs=1, quiet=True)
    assert made[0] == (20_000_000, 1)


@pytest.mark.parametrize("keep", ["blocks", "tapes"])
def test_series_are_kept_if_asked_for(keep, tmp_path):
    sweep = small_sweep(seeds=(3,))
    run_sweep(sweep, tmp_path, jobs=1, keep=keep, quiet=True)
    results = load_results(tmp_path)
    blocks = results.series("blocks")
    assert blocks["point"].unique().tolist() == ["5 M", "60 M"]
    assert len(blocks) == 50
    if keep == "tapes":
        transactions = results.series("transactions")
        busy = transactions[transactions["point"] == "60 M"]
        assert len(busy) == blocks[blocks["point"] == "60 M"]["transactions"].sum()
        trades = results.series("trades")
        assert len(trades[trades["point"] == "60 M"]) == blocks[blocks["point"] == "60 M"]["trades"].sum()
    else:
        with pytest.raises(ValueError, match="holds no trades"):
            results.series("trades")
    assert not (tmp_path / "unfinished").exists()


def test_series_that_are_asked_for_later_are_made_then(made, tmp_path):
    sweep = small_sweep(seeds=(3,))
    run_sweep(sweep, tmp_path, jobs=1, quiet=True)
    run_sweep(sweep, tmp_path, jobs=1, keep="blocks", quiet=True)
    assert len(made) == 4


# Continuing.


def test_what_is_finished_is_not_made_again(copied, swept, made, capfd):
    sweep, folder, before = copied
    # A run whose file was cut off is no finished run.
    cut = folder / before["file"][2]
    cut.write_bytes(cut.read_bytes()[:-40])
    pd.testing.assert_frame_equal(run_sweep(sweep, folder, jobs=1, about=ABOUT, quiet=True), before)
    assert made == [(60_000_000, 3)]
    assert f"{cut} is damaged or cut short; that run is made again" in capfd.readouterr().err
    assert content(folder) == content(swept[1])


def test_a_lost_or_cut_index_is_no_loss(copied, made):
    sweep, folder, before = copied
    for damage in (lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:999])):
        damage(folder / "index.parquet")
        pd.testing.assert_frame_equal(load_results(folder).runs, before)
        pd.testing.assert_frame_equal(run_sweep(sweep, folder, jobs=1, about=ABOUT, quiet=True), before)
    assert made == []


def test_more_seeds_and_points_build_on_what_is_there(copied, made):
    sweep, folder, before = copied
    third = Point("9 M", {"gas_limit": 9e6}, {"chain.gas_limit": 9_000_000})
    runs = run_sweep(
        replace(sweep, points=(*sweep.points, third), seeds=(3, 4, 5)), folder, jobs=1, about=ABOUT, quiet=True
    )
    assert len(made) == 5
    assert len(runs) == 9
    again = runs[runs["seed"].isin([3, 4]) & (runs["point"] != "9 M")].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, before)
    # And back to fewer: the files of the others stay, but the results are of what was asked for.
    pd.testing.assert_frame_equal(run_sweep(sweep, folder, jobs=1, about=ABOUT, quiet=True), before)
    pd.testing.assert_frame_equal(load_results(folder).runs, before)


def test_another_scenario_in_the_same_folder_is_refused_with_what_differs(copied, made):
    sweep, folder, _ = copied
    before = content(folder)
    other = small_sweep(**{"price.volatility_per_day": 0.05})
    with pytest.raises(ValueError, match=r"price\.volatility_per_day is 0\.035 there and 0\.05 here.*--fresh"):
        run_sweep(other, folder, jobs=1, quiet=True)
    moved = replace(sweep, points=(replace(sweep.points[0], overrides={"chain.gas_limit": 7_000_000}), sweep.points[1]))
    with pytest.raises(ValueError, match=r"point '5 M' is .*5000000.* there and .*7000000.* here"):
        run_sweep(moved, folder, jobs=1, quiet=True)
    assert content(folder) == before
    assert made == []


def test_fresh_starts_over_and_touches_nothing_else(copied, made):
    _, folder, _ = copied
    (folder / "mine.txt").write_text("notes")
    other = small_sweep(seeds=(1,), **{"price.volatility_per_day": 0.05})
    runs = run_sweep(other, folder, jobs=1, fresh=True, quiet=True)
    assert len(runs) == len(made) == 2
    assert len(list((folder / "runs").iterdir())) == 2
    assert (folder / "mine.txt").read_text() == "notes"


def test_results_of_other_code_are_made_again_and_it_is_said(copied, made, monkeypatch, capfd):
    sweep, folder, _ = copied
    monkeypatch.setattr(runner, "source_hash", lambda file: "edited")
    run_sweep(sweep, folder, jobs=1, quiet=True)
    assert len(made) == 4
    assert "4 runs" in (err := capfd.readouterr().err)
    assert "another version of the simulator" in err


def test_a_price_file_counts_by_what_it_holds(made, tmp_path):
    rows = [f"{minute * 60},{3000 + minute % 7}" for minute in range(30)]
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("\n".join(["time_s,price_usd", *rows]))

    def sweep_of(name):
        price = {"price.source": "file", "price.file": str(tmp_path / name)}
        return small_sweep(seeds=(1,), **price)

    out = tmp_path / "out"
    run_sweep(sweep_of("a.csv"), out, jobs=1, quiet=True)
    run_sweep(sweep_of("b.csv"), out, jobs=1, quiet=True)
    assert len(made) == 2
    (tmp_path / "b.csv").write_text("\n".join(["time_s,price_usd", *rows[:-1], "1740,2999"]))
    with pytest.raises(ValueError, match=r"price\.file is"):
        run_sweep(sweep_of("b.csv"), out, jobs=1, quiet=True)


def test_a_folder_in_use_is_refused(copied):
    sweep, folder, _ = copied
    code = (
        "import sys, time; from pathlib import Path; from blockspace.experiments.results.folder import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="is in use by another sweep"):
            run_sweep(sweep, folder, jobs=1, quiet=True)
        other.kill()
    run_sweep(sweep, folder, jobs=1, quiet=True)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("do not lose this")
    with pytest.raises(ValueError, match="is no results folder, but not empty"):
        run_sweep(small_sweep(), tmp_path, jobs=1, quiet=True)


@pytest.mark.parametrize(
    ("schema", "sentence"), [(99, "newer version, 0.1.0, in layout 99"), (0, "older version in layout 0.*--fresh")]
)
def test_another_layout_is_refused_in_a_sentence(copied, schema, sentence):
    sweep, folder, _ = copied
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**study, "schema": schema}))
    with pytest.raises(ValueError, match=sentence):
        load_results(folder)
    with pytest.raises(ValueError, match=sentence):
        run_sweep(sweep, folder, jobs=1, quiet=True)
    assert len(run_sweep(sweep, folder, jobs=1, fresh=True, quiet=True)) == 4


# Failing.


@pytest.fixture
def failing():
    """An ordering policy that raises, and a sweep with a point that uses it."""

    @register_policy("fails")
    def fails(pending, base_fee):
        raise ZeroDivisionError("on purpose")

    sweep = small_sweep()
    bad = Point("bad", {"gas_limit": 1.0}, {"chain.ordering": "fails"})
    yield replace(sweep, points=(bad, *sweep.points))
    ORDERING_POLICIES.pop("fails")


def test_a_failure_is_recorded_with_its_scenario_and_the_others_go_on(failing, tmp_path, made):
    runs = run_sweep(failing, tmp_path, jobs=1, quiet=True).set_index("point")
    assert runs.loc["bad", "error"].str.contains("ZeroDivisionError: on purpose").all()
    assert runs.loc["bad", "base_fee_gwei"].isna().all()
    assert runs.loc[["5 M", "60 M"], "error"].isna().all()
    kept = (tmp_path / "failures" / "bad-seed3.toml").read_text()
    assert "# point bad, seed 3" in kept
    assert "# ZeroDivisionError: on purpose" in kept
    assert load_scenario(tmp_path / "failures" / "bad-seed3.toml").chain.ordering == "fails"
    results = load_results(tmp_path)
    assert len(results.failed) == 2
    assert results.table[results.table["point"] == "bad"]["seeds"].eq(0).all()


def test_failures_are_retried_only_if_asked(failing, tmp_path, made):
    run_sweep(failing, tmp_path, jobs=1, quiet=True)
    run_sweep(failing, tmp_path, jobs=1, quiet=True)
    assert len(made) == 6
    register_policy("fails")(lambda pending, base_fee: np.zeros(len(pending)))
    runs = run_sweep(failing, tmp_path, jobs=1, retry_failed=True, quiet=True)
    assert len(made) == 8
    assert runs["error"].isna().all()
    assert not list((tmp_path / "failures").iterdir())


def test_a_full_disk_stops_the_sweep_and_loses_nothing(tmp_path, monkeypatch, made, swept):
    sweep, folder, _ = swept
    write = run_files.pq.write_table
    room = [2]

    def full(table, where):
        if "runs" in str(where):
            room[0] -= 1
            if room[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(where))
        write(table, where)

    with monkeypatch.context() as patch:
        patch.setattr(run_files.pq, "write_table", full)
        with pytest.raises(OSError, match="No space left on device"):
            run_sweep(sweep, tmp_path, jobs=1, about=ABOUT, quiet=True)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert len(load_results(tmp_path).runs) == 2
    run_sweep(sweep, tmp_path, jobs=1, about=ABOUT, quiet=True)
    assert len(made) == 3 + 2  # the third could not be written
    assert content(tmp_path) == content(folder)


def test_a_run_with_which_processes_keep_dying_is_given_up_and_the_others_go_on(swept, tmp_path, monkeypatch):
    sweep, _, before = swept
    handed_out = []

    class Dying:
        """Stands in for joblib with two processes: the pool breaks whenever a certain run is handed out."""

        def __init__(self, **_):
            pass

        def __call__(self, calls):
            calls = list(calls)
            handed_out.append(len(calls))
            for function, arguments, _ in calls:
                if arguments[0].name == "5-M-seed4":
                    raise runner.BrokenProcessPool("died")
                yield function(*arguments)

    monkeypatch.setattr(runner.joblib, "Parallel", Dying)
    runs = run_sweep(sweep, tmp_path, jobs=2, quiet=True)
    died = (runs["point"] == "5 M") & (runs["seed"] == 4)
    assert runs[died]["error"].tolist() == ["the process that made this run died"]
    assert runs[~died]["error"].isna().all()
    assert runs[~died]["fingerprint"].tolist() == before[~died]["fingerprint"].tolist()
    # All at first; then, one at a time, what was under way.
    assert handed_out[0] == 4
    assert set(handed_out[1:]) == {1}


def test_what_may_not_be_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "CONNECT_WITHIN_S", 1)
    sweep = small_sweep()
    wrong = Point("wrong", {"gas_limit": 1.0}, {"chain.gas_limit": 1})
    with pytest.raises(ScenarioError, match=r"chain\.gas_limit is 1"):
        run_sweep(Sweep(sweep.scenario, (*sweep.points, wrong), (1,), "5 M"), tmp_path)
    twin = Point("5/M", {"gas_limit": 1.0}, {})
    with pytest.raises(ValueError, match="points '5 M' and '5/M' would share the file 5-M"):
        run_sweep(replace(sweep, points=(*sweep.points, twin)), tmp_path)
    with pytest.raises(ValueError, match="jobs is 0; it must be at least 1"):
        run_sweep(sweep, tmp_path, jobs=0)
    with pytest.raises(ValueError, match="keep is 'all'; it may be summary, blocks, tapes"):
        run_sweep(sweep, tmp_path, keep="all")
    with pytest.raises(ValueError, match=r"scheduler is 'tcp://127\.0\.0\.1:9'; no Dask scheduler answers there"):
        run_sweep(sweep, tmp_path, scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "runs").exists()


def test_a_worker_of_another_version_is_refused():
    sweep = small_sweep()
    task = runner._plan(sweep, Path("nowhere"), ())[0].task
    with pytest.raises(RuntimeError, match="a worker has another version of blockspace"):
        runner._simulate(replace(task, source="older"))


def test_compiling_is_announced_and_remembered(swept, monkeypatch, capfd):
    sweep, _, _ = swept
    marked = []
    monkeypatch.setattr(compiling, "is_compiled", lambda file: bool(marked))
    monkeypatch.setattr(compiling, "mark_compiled", marked.append)
    compiling.compile_kernels(sweep.scenario)
    compiling.compile_kernels(sweep.scenario)
    assert [file.name for file in marked] == ["world.py"]
    assert capfd.readouterr().err.count("compiling the simulator") == 1


# Killed.


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killing_the_parent_loses_and_repeats_nothing(undisturbed, tmp_path):
    out = tmp_path / "out"
    with begin_many(out) as process:
        wait_for_runs(out, process, 3)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    kept = modified(out)
    assert 3 <= len(kept) < 12
    assert len(load_results(out).runs) == len(kept)
    make_many(out, jobs=1)
    after = modified(out)
    assert {name: after[name] for name in kept} == kept
    assert content(out) == undisturbed


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killing_a_worker_loses_and_repeats_nothing(undisturbed, tmp_path):
    out = tmp_path / "out"
    with begin_many(out) as process:
        wait_for_runs(out, process, 3)
        kept = modified(out)
        workers = [
            child for child in psutil.Process(process.pid).children() if "popen_loky_posix" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        os.kill(workers[0].pid, signal.SIGKILL)
        assert process.wait(timeout=300) == 0, process.stderr.read()
    after = modified(out)
    assert {name: after[name] for name in kept} == kept
    assert content(out) == undisturbed


# Grids of many points cost little to plan.


def test_a_plan_of_ten_thousand_runs_holds_no_scenarios(tmp_path):
    sweep = small_sweep()
    points = grid({"price.volatility_per_day": np.linspace(0.01, 0.1, 5_000).tolist()})
    planned = runner._plan(Sweep(sweep.scenario, points, (1, 2), points[0].name), tmp_path, ())
    assert len({one.run.identity for one in planned}) == 10_000
    assert all(isinstance(one.task.scenario, str) for one in planned)
