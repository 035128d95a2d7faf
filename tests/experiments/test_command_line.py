"""The command line: what it prints where, what it writes, and what it leaves behind when it is stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from blockspace.experiments import Market, command_line, load_scenario
from blockspace.experiments.command_line import app
from blockspace.experiments.commands.common import read_assignments, read_value
from blockspace.experiments.commands.run import _simulate
from blockspace.experiments.results import load_results
from blockspace.experiments.results.folder import changed_files
from blockspace.experiments.sweeps import conduct
from blockspace.experiments.validation import Row
from blockspace.network.presets import preset_names

SHORT = ["run", "ethereum", "--set", "warm_up_s=60", "--duration", "600", "--seed", "5"]
COMMAND = [sys.executable, "-c", "from blockspace.experiments.command_line import main; main()"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_run_prints_a_table_with_units():
    result = invoke(*SHORT)
    assert result.exit_code == 0, result.output
    for text in ("ethereum, seed 5", "base fee", "gwei", "quoted spread", "bp", "ETH-PERP"):
        assert text in result.stdout


def test_run_names_every_instrument_in_its_table():
    two = 'instruments=[{name="ETH-PERP"}, {name="ETH", kind="spot"}]'
    result = invoke(*SHORT, "--set", two)
    assert result.exit_code == 0, result.output
    assert "ETH-PERP" in result.stdout
    assert re.search(r"│ ETH ", result.stdout)


def test_json_is_one_object_and_nothing_else():
    result = invoke(*SHORT, "--set", "noise_traders.count=0", "--json")
    summary = json.loads(result.stdout)
    overrides = {"warm_up_s": 60, "duration_s": 600, "noise_traders.count": 0}
    market = Market(load_scenario("ethereum", overrides), seed=5, tapes="none")
    market.run_for(600)
    expected = market.summary()
    assert list(summary) == list(expected)
    assert summary["base_fee_gwei"] == expected["base_fee_gwei"]
    # What could not be measured is null, since JSON knows no NaN.
    unknown = [name for name, value in expected.items() if value != value]
    assert unknown
    assert all(summary[name] is None for name in unknown)


def test_later_assignments_win_and_options_win_over_them():
    arguments = ["--set", "chain.gas_limit=40_000_000", "--set", "chain.gas_limit=50e6", "--set", "duration_s=9e5"]
    overrides = read_assignments(arguments[1::2])
    assert overrides == {"chain.gas_limit": 50e6, "duration_s": 9e5}
    result = invoke(*SHORT, *arguments, "--json")
    assert json.loads(result.stdout)["hours"] < 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1_000", 1000),
        ("2.5", 2.5),
        ("true", True),
        ("poisson", "poisson"),
        ('"a b"', "a b"),
        ("[[0, 1], [5, 0.5]]", [[0, 1], [5, 0.5]]),
        ("2024-01-01", "2024-01-01"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_value_of_an_assignment(text, value):
    assert read_value(text) == value


def test_out_leaves_a_folder_that_can_be_run_again(tmp_path):
    out = tmp_path / "new" / "results"
    result = invoke(*SHORT, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    names = ["blocks.parquet", "manifest.json", "scenario.toml", "summary.json", "trades.parquet"]
    assert sorted(path.name for path in out.iterdir()) == [*names, "transactions.parquet"]
    assert json.loads((out / "summary.json").read_text()) == json.loads(result.stdout)
    assert changed_files(out) == []
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["seeds"] == [5]
    assert set(manifest["sha256"]) == {path.name for path in out.iterdir()} - {"manifest.json"}
    assert len(pd.read_parquet(out / "blocks.parquet")) == 50
    assert len(pd.read_parquet(out / "transactions.parquet")) > 1_000
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    again = invoke("run", out / "scenario.toml", "--seed", 5, "--json")
    assert again.stdout == result.stdout


def test_out_takes_the_price_file_along(tmp_path):
    prices = tmp_path / "mine.csv"
    rows = [f"{minute * 60},{3000 + minute % 7}" for minute in range(30)]
    prices.write_text("\n".join(["time_s,price_usd", *rows]))
    out = tmp_path / "results"
    result = invoke(*SHORT, "--set", "price.source=file", "--set", f"price.file={prices}", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert "has a price every 60 s" in result.stderr
    prices.unlink()
    again = invoke("run", out / "scenario.toml", "--seed", 5, "--json")
    assert again.stdout == result.stdout


def test_out_may_be_an_empty_folder_but_no_other(tmp_path):
    (tmp_path / "empty").mkdir()
    assert invoke(*SHORT, "--out", tmp_path / "empty").exit_code == 0
    result = invoke(*SHORT, "--out", tmp_path / "empty")
    assert result.exit_code == 2
    assert "it must be a new or an empty folder" in result.stderr


def test_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(market, until):
        raise KeyboardInterrupt

    monkeypatch.setattr(Market, "run_until", interrupt)
    result = invoke(*SHORT, "--out", tmp_path / "a" / "b")
    assert result.exit_code == 130
    assert result.stderr == "blockspace: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_real_interruption_leaves_nothing_behind(tmp_path):
    arguments = ["run", "hyperliquid-like", "--duration", "1e8", "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".out-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("blockspace: interrupted; nothing was written\n")
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_slices_of_the_progress_bar_change_nothing():
    scenario = load_scenario("arbitrum-one", {"warm_up_s": 5, "duration_s": 30})
    whole = Market(scenario, seed=2, tapes="none")
    whole.run_for(30)
    sliced = Market(scenario, seed=2, tapes="none")
    _simulate(sliced, shows_progress=False)
    assert sliced.fingerprint() == whole.fingerprint()


def test_help_needs_none_of_the_heavy_libraries():
    heavy = ["mesa", "numba", "numpy", "pandas", "pydantic", "scipy", "matplotlib", "networkx"]
    code = (
        "import sys; from blockspace.experiments import command_line; from typer.testing import CliRunner; "
        "assert CliRunner().invoke(command_line.app, ['--help']).exit_code == 0; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_presets_are_listed_and_printed():
    result = invoke("presets")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in preset_names())
    printed = invoke("presets", "monad")
    assert printed.stdout == Path(command_line.__file__).parent.parent.joinpath(
        "network", "presets", "monad.toml"
    ).read_text(encoding="utf-8")


def test_settings_are_listed_by_prefix():
    result = invoke("settings", "chain.")
    assert result.exit_code == 0
    assert "chain.gas_limit" in result.stdout
    assert "30000000" in result.stdout
    assert "topology" not in result.stdout


@pytest.mark.parametrize(
    ("words", "completed"), [("run ethereum-3", "ethereum-30m"), ("presets mon", "monad"), ("study cap", "capacity")]
)
def test_shell_completion(words, completed):
    environment = {**os.environ, "_BLOCKSPACE_COMPLETE": "complete_bash", "COMP_WORDS": f"blockspace {words}"}
    environment["COMP_CWORD"] = "2"
    code = "import sys; sys.argv[0] = 'blockspace'; from blockspace.experiments.command_line import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.stdout.split() == [completed]


def test_study_is_run_with_its_options(monkeypatch, tmp_path):
    asked = {}

    def run_study(name, **options):
        asked.update(options, name=name)

    monkeypatch.setattr(conduct, "run_study", run_study)
    until = ["--until", "base_fee_gwei: 2%", "--until", "cost_bps: 1", "--most-seeds", 9]
    result = invoke("study", "capacity", "--quick", "--seeds", 3, "--out", tmp_path, "--fresh", "--quiet", *until)
    assert result.exit_code == 0, result.output
    assert asked == {
        "name": "capacity",
        "quick": True,
        "seeds": 3,
        "jobs": None,
        "scheduler": None,
        "out": tmp_path,
        "until": ["base_fee_gwei: 2%", "cost_bps: 1"],
        "most_seeds": 9,
        "keep": "summary",
        "fresh": True,
        "retry_failed": False,
        "quiet": True,
        "printed": True,
    }


BRIEF = ["--set", "duration_s=300", "--set", "warm_up_s=60", "--seeds", 2, "--jobs", 1, "--quiet"]


@pytest.mark.parametrize(
    ("varied", "points"),
    [
        (["--grid", "chain.gas_limit=15e6,60e6", "--grid", "market_makers.count=[2, 4]"], 4),
        (["--zip", "chain.gas_limit=15e6,60e6", "--zip", "chain.block_time_s=6,12"], 2),
        (
            ["--sample", "chain.gas_limit=1e7:1e8:log", "--sample", "price.volatility_per_day=0.02:0.1", "--points", 3],
            3,
        ),
        (["--against", "base"], 2),
    ],
)
def test_sweep_takes_grids_lists_ranges_and_other_scenarios(varied, points, tmp_path):
    result = invoke("sweep", "ethereum-30m", *varied, *BRIEF, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    results = load_results(tmp_path)
    assert len(results.points) == points
    assert len(results.runs) == 2 * points
    assert "base fee" in result.stdout
    assert (tmp_path / "report.html").exists()
    # The same command does nothing again, another one is refused.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert invoke("sweep", "ethereum-30m", *varied, *BRIEF, "--out", tmp_path).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == before
    other = invoke("sweep", "base", *varied[:2], *BRIEF, "--out", tmp_path)
    assert other.exit_code == 2
    assert len(other.stderr.splitlines()) == 1


def test_sensitivity_says_how_many_runs_it_takes(tmp_path):
    varied = ["--vary", "chain.gas_limit=1e7:1e8:log", "--vary", "price.volatility_per_day=0.02:0.1"]
    arguments = [*varied, "--method", "morris", "--points", 2, *BRIEF[:-1]]
    result = invoke("sensitivity", "ethereum-30m", *arguments, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "6 points with 2 seeds: 12 runs" in result.stderr
    assert "chain.gas_limit, mean absolute effect" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing is given that varies; a sweep takes one of --grid, --zip, --sample, --against"),
        (["--grid", "a=1", "--against", "base"], "--grid and --against are given together"),
        (["--grid", "chain.gas_limit"], "--grid is 'chain.gas_limit'; it must be PATH=V1,V2,…"),
        (["--grid", "chain.gas_limt=1"], "there is no setting 'chain.gas_limt' (did you mean 'gas_limit'?)"),
        (["--sample", "chain.gas_limit=5"], "--sample is 'chain.gas_limit=5'; it must be PATH=LOW:HIGH"),
        (["--sample", "chain.gas_limit=5:4"], "a range is 5 to 4"),
        (["--sample", "chain.gas_limit=1e7:5e7", "--method", "sobbol"], "method is 'sobbol' (did you mean 'sobol'?)"),
        (["--grid", "chain.gas_limit=5e7", "--keep", "all"], "keep is 'all'; it may be summary, blocks, tapes"),
        (["--grid", "chain.gas_limit=5e7", "--until", "nothing: 2%"], "there is no measure 'nothing'"),
        (["--against", "ethereum-30m"], "ethereum-30m and ethereum-30m do not differ in any setting"),
    ],
)
def test_sweeps_that_are_none_are_refused_in_a_sentence(arguments, sentence, tmp_path):
    result = invoke("sweep", "ethereum-30m", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "runs").exists()


def rows(passed):
    return [
        Row("V1", "clearing price, gwei", 1.0, 1.01, 1.0, 1.02, "2 %", True),
        Row("V2", "a ratio", 2.0, float("nan"), 2.9, 3.1, "exact", passed, note="a note"),
    ]


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_validation_prints_rows_and_fails_if_one_does(monkeypatch, passed, code):
    from blockspace.experiments import validation

    asked = []
    monkeypatch.setattr(validation, "run_validation", lambda names, quick: asked.append((names, quick)) or rows(passed))
    result = invoke("validate", "V1", "V2", "--quick")
    assert result.exit_code == code
    assert asked == [(["V1", "V2"], True)]
    assert "clearing price" in result.stdout
    assert ("no" in result.stdout.split()) is not passed
    printed = invoke("validate", "--json")
    assert printed.exit_code == code
    assert asked[1] == (None, False)
    first, second = json.loads(printed.stdout)
    assert first["theory"] == 1.0
    assert second["simulation"] is None
    assert second["passed"] is passed
