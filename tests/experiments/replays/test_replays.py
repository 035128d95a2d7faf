"""Replays of days: shortened ones from small files, verdicts, and what is said of files that cannot be used."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from blockspace.experiments import replays
from blockspace.experiments.command_line import app
from blockspace.experiments.replays import Anchor, black_thursday, october_2025
from blockspace.experiments.replays.conduct import replay
from blockspace.experiments.replays.verdicts import compare, judge
from blockspace.experiments.results.statistics import Estimate
from blockspace.experiments.scenario import ScenarioError, load_scenario

HOURS = 6
SMALL = {"leveraged_traders.count": 300, "background_users.arrivals_per_s": 30.3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Six hours of prices and gas prices: calm until four o'clock, then a fall by 45 % in an hour at thrice the fee."""
    folder = tmp_path_factory.mktemp("files")
    times = np.arange(0, HOURS * 3_600 + 1, 300)
    log_fall = math.log(0.55) * np.clip((times - 14_400) / 3_600, 0, 1)
    wobble = 0.001 * np.resize([1.0, -1.0], len(times))
    prices = pd.DataFrame({"time_s": times, "open_usd": 200.0 * np.exp(log_fall + wobble)})
    gas = pd.DataFrame({"time_s": times, "mean_gwei": np.where(times < 14_400, 40.0, 120.0)})
    for name, frame in (("prices", prices), ("gas", gas)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def thursday(files):
    return replay("black-thursday", files / "prices.csv", files / "gas.csv", seeds=2, overrides=SMALL)


def test_calibration_uses_the_calm_and_nothing_else(thursday):
    runs = thursday.runs
    assert (runs["calm_over_recorded"] - 1.0).abs().max() < 0.25
    assert runs["calm_gwei"].mean() > 30.0, "the preset alone gives a third of it"
    assert (runs["gas_ratio"] != 3.0).all()
    np.testing.assert_allclose(runs["crash_over_recorded"], runs["crash_gwei"] / 120.0)
    assert runs["fee_correlation"].between(-1.0, 1.0).all()


def test_a_fall_by_45_percent_liquidates_vaults(thursday):
    runs = thursday.runs
    assert (runs["liquidations"] > 5).all()
    assert runs["liquidated_accounts_share"].between(0.01, 0.5).all()
    assert (runs["delay_p95_s"] >= runs["delay_median_s"]).all()
    for share in ("without_rival_share", "usual_price_share", "uncovered_share"):
        assert runs[share].between(0.0, 1.0).all()


def test_what_has_no_published_number_is_not_judged(thursday):
    verdicts = thursday.table.set_index("what")["verdict"]
    assert len(verdicts) == len(black_thursday.ANCHORS)
    unknown = thursday.table["match_from"].isna()
    assert unknown.any()
    assert set(verdicts[unknown.to_numpy()]) == {"cannot be compared", "calibrated to it"}
    assert set(verdicts[~unknown.to_numpy()]) <= {"matches", "does not match", "not clear"}


def test_the_crash_of_october_deleverages_once_the_fund_is_empty():
    smaller = {"duration_s": 45_000.0, "leveraged_traders.count": 800, "margin.insurance_usd": 20_000.0}
    replayed = replay("october-2025", seeds=1, overrides=smaller)
    run = replayed.runs.iloc[0]
    assert run["insurance_left_share"] < 0.05
    assert 0 < run["seconds_to_deleveraging"] < 300
    assert 0 < run["deleveraged_share"] < 1
    assert run["burst_share"] >= run["minute_share"] > 0
    assert run["negative_accounts"] > 0
    assert "script" in replayed.notes[0]


def test_where_nothing_is_deleveraged_nothing_is_made_up():
    overrides = {"duration_s": 45_000.0, "price.script": [[21_600.0, 1.0]], "leveraged_traders.count": 50}
    replayed = replay("october-2025", seeds=1, overrides=overrides)
    assert replayed.runs["seconds_to_deleveraging"].isna().all()
    judged = replayed.table.query("measure == 'seconds_to_deleveraging'")
    assert set(judged["verdict"]) == {"not clear"}


def test_rivals_are_counted_block_by_block():
    tries = pd.DataFrame(
        {
            "block": [1, 2, 2, 3, 3],
            "sender": [7, 7, 8, 7, 7],
            "status": ["succeeded", "succeeded", "failed", "succeeded", "succeeded"],
            "base_fee_wei": 0,
            "tip_wei": [10e9, 13e9, 10e9, 12e9, 20e9],
        }
    )
    paid = pd.DataFrame({"block": [1, 2, 3], "gwei": 10.0})
    assert black_thursday.shares_without_contest(tries, paid) == {"without_rival_share": 0.75, "usual_price_share": 0.5}
    nothing = black_thursday.shares_without_contest(tries.iloc[2:3], paid)
    assert all(math.isnan(share) for share in nothing.values())


def test_busiest_window_against_every_window():
    times = np.sort(np.random.default_rng(3).uniform(0, 1_000, 200))
    amounts = np.random.default_rng(4).exponential(size=200)
    slow = max(amounts[(times >= start) & (times < start + 60)].sum() for start in times)
    assert october_2025.busiest(times, amounts, 60.0) == pytest.approx(slow)
    assert october_2025.busiest(times[:0], amounts[:0], 60.0) == 0.0


def test_verdicts_at_the_ends_of_the_range():
    anchor = Anchor("mean", "2", "mean", 1.5, 2.5)
    assert judge(anchor, Estimate(2.0, 1.5, 2.5, 4)) == "matches"
    assert judge(anchor, Estimate(2.6, 2.5, 2.7, 4)) == "not clear"
    assert judge(anchor, Estimate(2.7, 2.51, 2.9, 4)) == "does not match"
    assert judge(anchor, Estimate(2.0, math.nan, math.nan, 1)) == "not clear"
    assert compare([anchor], pd.DataFrame({"other": [1.0]})).empty


@pytest.mark.parametrize("name", ["black_thursday", "october_2025"])
def test_scenarios_stand_alone(name):
    scenario = load_scenario(Path(replays.__file__).with_name(f"{name}.toml"))
    day = {"black_thursday": black_thursday, "october_2025": october_2025}[name]
    assert scenario.duration_s > day.SHORTEST_S
    assert scenario.margin.liquidations


def invoke(*arguments):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_command_prints_a_table_and_leaves_a_folder(files, tmp_path):
    changed = [f"--set={path}={value}" for path, value in SMALL.items()]
    result = invoke(
        "black-thursday", "--prices", files / "prices.csv", "--seeds", 2, "--out", tmp_path / "day", *changed
    )
    assert result.exit_code == 0, result.output
    assert "does not match" in result.stdout
    assert "prices come from" in result.stdout
    assert len(pd.read_csv(tmp_path / "day" / "runs.csv")) == 2
    table = pd.read_csv(tmp_path / "day" / "table.csv")
    assert not table["measure"].str.contains("recorded").any()
    assert load_scenario(tmp_path / "day" / "scenario.toml").price.source == "file"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["black-friday"], "there is no replay 'black-friday'"),
        (["black-thursday", "--prices", "none.csv"], "--prices: price_file is none.csv, but there is no such file"),
        (["black-thursday", "--prices", "prices.csv", "--price-column", "open"], "the nearest is 'open_usd'"),
        (["black-thursday", "--prices", "prices.csv", "--time-column", "when"], "time_column is 'when'"),
        (["black-thursday", "--gas", "prices.csv"], "--gas: price_column is 'mean_gwei', but prices.csv has"),
        (["black-thursday", "--gas", "gas.csv"], "--gas is gas.csv, which ends after 21600 s; it must last as long"),
        (["black-thursday", "--prices", "short.csv"], "--prices is short.csv, which ends after 600 s"),
        (["black-thursday", "--set", "duration_s=7200"], "duration_s is 7200; it must be at least 18000"),
        (["october-2025", "--prices", "prices.csv"], "it must be at least 44820 for october-2025"),
        (["october-2025", "--gas", "gas.csv"], "--gas is gas.csv; it must be left out for october-2025"),
        (["black-thursday", "--set", "chain.gas=1"], "there is no setting 'chain.gas'"),
    ],
)
def test_bad_input_gets_one_sentence(files, monkeypatch, arguments, sentence):
    monkeypatch.chdir(files)
    pd.DataFrame({"time_s": [0, 300, 600], "open_usd": 200.0}).to_csv("short.csv", index=False)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_python_raises_what_the_command_says():
    with pytest.raises(ScenarioError, match=r"there is no replay 'october'.*october-2025"):
        replay("october")
