"""The stopping rule: seeds until means are as precise as was asked for."""

import math

import numpy as np
import pandas as pd
import pytest

from blockspace.experiments.results import load_results
from blockspace.experiments.results.statistics import tabulate
from blockspace.experiments.sweeps import conduct as conduct_module
from blockspace.experiments.sweeps.conduct import conduct, measures_of_runs
from blockspace.experiments.sweeps.precision import Precision, Shortfall, read_precisions, seeds_wanted, shortfalls

from .small import small_sweep

MEASURES = ["base_fee_gwei", "quoted_spread_bps", "median_quoted_spread_bps", "effective_spread_bps"]
ABOUT = {"kind": "sweep", "name": "small", "question": "Does it work?"}


def test_precision_is_a_share_or_an_amount():
    assert read_precisions(["base_fee_gwei: 2%", "effective_spread_bps:0.5"], MEASURES) == [
        Precision("base_fee_gwei", 0.02, relative=True),
        Precision("effective_spread_bps", 0.5, relative=False),
    ]


def test_the_end_of_a_name_stands_for_all_that_end_so():
    found = read_precisions(["spread_bps: 2%"], MEASURES)
    assert [one.measure for one in found] == MEASURES[1:]
    # A whole name is that measure alone.
    assert [one.measure for one in read_precisions(["quoted_spread_bps: 2%"], MEASURES)] == ["quoted_spread_bps"]


@pytest.mark.parametrize("text", ["base_fee_gwei", "base_fee_gwei: ", "base_fee_gwei: -1", "base_fee_gwei: 0%", ": 2%"])
def test_what_is_no_precision_is_refused(text):
    with pytest.raises(ValueError, match=r"until is .*; it must be MEASURE: NUMBER or MEASURE: NUMBER%, above 0"):
        read_precisions([text], MEASURES)


def test_an_unknown_measure_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"there is no measure 'base_fee_gwie' \(did you mean 'base_fee_gwei'\?\)"):
        read_precisions(["base_fee_gwie: 2%"], MEASURES)


def table_of(samples):
    rows = [
        {"point": point, "seed": seed, "m": value}
        for point, values in samples.items()
        for seed, value in enumerate(values)
    ]
    return tabulate(pd.DataFrame(rows), [], next(iter(samples)))


def test_shortfalls_come_worst_first_and_leave_out_points_without_a_market():
    generator = np.random.default_rng(1)
    samples = {
        "precise": 100 + generator.normal(0, 0.1, 8),
        "rough": 100 + generator.normal(0, 10, 8),
        "rougher": 10 + generator.normal(0, 10, 8),
        "empty": [1.0, *[math.nan] * 7],
    }
    found = shortfalls(table_of(samples), [Precision("m", 0.01, relative=True)], seeds=8)
    assert [one.point for one in found] == ["rougher", "rough"]
    absolute = shortfalls(table_of(samples), [Precision("m", 1.0, relative=False)], seeds=8)
    assert {one.point for one in absolute} == {"rough", "rougher"}
    assert "where ±1 % is asked for" in str(found[0])


def test_a_mean_of_zero_that_varies_is_never_known_to_a_share_of_itself():
    (found,) = shortfalls(table_of({"zero": [-1.0, 1.0] * 4}), [Precision("m", 0.5, relative=True)], seeds=8)
    assert found.ratio == math.inf
    assert shortfalls(table_of({"zero": [0.0] * 8}), [Precision("m", 0.5, relative=True)], seeds=8) == []


@pytest.mark.parametrize(
    ("ratio", "seeds", "most", "wanted"),
    # Four times the seeds for half the width, but not more than twice as many at a time, nor than the most.
    [(1.1, 10, 100, 13), (2.0, 10, 100, 20), (1.01, 10, 100, 11), (3.0, 10, 15, 15), (math.inf, 10, 100, 20)],
)
def test_seeds_grow_as_the_width_demands(ratio, seeds, most, wanted):
    shortfall = Shortfall("p", Precision("m", 0.1, relative=True), ratio)
    assert seeds_wanted([shortfall], seeds, most) == wanted


def test_rule_reaches_the_precision_with_about_as_many_seeds_as_are_needed():
    # Of normal values with a deviation of a fifth of the mean, 5 % need (1.96 × 0.2 / 0.05)² = 61 seeds.
    used, hits = [], 0
    for trial in range(200):
        values = np.random.default_rng(trial).normal(1.0, 0.2, 400)
        seeds = 6
        while lacking := shortfalls(table_of({"p": values[:seeds]}), [Precision("m", 0.05, relative=True)], seeds):
            seeds = seeds_wanted(lacking, seeds, 400)
        row = table_of({"p": values[:seeds]}).iloc[0]
        hits += row["low"] <= 1.0 <= row["high"]
        used.append(seeds)
    assert 50 <= np.median(used) <= 75
    assert hits / 200 >= 0.88  # a little less often than 95 %: the price of looking again and again


def test_seeds_are_added_until_it_is_reached(tmp_path, capfd):
    sweep = small_sweep(seeds=(1, 2), duration_s=900)
    results = conduct(sweep, tmp_path, ABOUT, until=["base_fee_gwei: 10%"], jobs=2)
    seeds = results.study["seeds"]
    assert seeds == list(range(1, len(seeds) + 1))
    assert len(seeds) >= 6
    fees = results.curve("base_fee_gwei")
    assert ((fees["high"] - fees["low"]) / 2 <= 0.10 * fees["mean"]).all()
    errors = capfd.readouterr().err
    assert errors.count("going on with") == errors.count("base_fee_gwei is known to ±")
    assert results.study["until"] == ["base_fee_gwei: 10%"]


def test_rule_gives_up_at_the_most_seeds_and_says_so(tmp_path, capfd):
    conduct(
        small_sweep(seeds=(1,)),
        tmp_path,
        ABOUT,
        until=["effective_spread_bps: 0.001%"],
        most_seeds=7,
        jobs=1,
        quiet=True,
    )
    assert load_results(tmp_path).study["seeds"] == list(range(1, 8))
    assert "7 seeds are the most that may be used" in capfd.readouterr().err


def test_what_may_not_be_is_said_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="there is no measure 'profit'"):
        conduct(small_sweep(), tmp_path / "out", ABOUT, until=["profit: 2%"])
    with pytest.raises(ValueError, match="most_seeds is 3; it must be at least 6"):
        conduct(small_sweep(), tmp_path / "out", ABOUT, until=["base_fee_gwei: 2%"], most_seeds=3)
    assert not (tmp_path / "out").exists()


def test_measures_are_known_before_a_run(tmp_path):
    sweep = small_sweep(seeds=(1,))
    results = conduct(sweep, tmp_path, ABOUT, jobs=1, quiet=True)
    assert set(measures_of_runs(sweep.scenario)) == set(results.measures)


def test_all_runs_failed_is_an_error(tmp_path, monkeypatch):
    def nothing(*_, **__):
        return pd.DataFrame({"point": ["a"], "seed": [1], "error": ["Traceback: why"]})

    monkeypatch.setattr(conduct_module, "run_sweep", nothing)
    with pytest.raises(RuntimeError, match="every run failed; the first one said:\nTraceback: why"):
        conduct(small_sweep(), tmp_path, ABOUT)
