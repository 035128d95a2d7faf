"""Means, medians, intervals and paired differences over seeds."""

import math

import numpy as np
import pandas as pd
import pytest

from blockspace.experiments.results.statistics import estimate, measures_of, tabulate


def table_of(samples, reference="a"):
    """Table of one measure from its values by point; seeds are numbered from 1."""
    rows = [
        {"point": point, "x": float(number), "seed": seed, "fingerprint": "", "error": None, "measure": value}
        for number, (point, values) in enumerate(samples.items())
        for seed, value in enumerate(values, start=1)
    ]
    return tabulate(pd.DataFrame(rows), ["x"], reference).set_index("point")


def test_confidence_interval_known_answers():
    # Student's t at 97.5 %: 12.706 with one degree of freedom, 2.776 with four.
    two = estimate([1.0, 3.0])
    assert (two.mean, two.count) == (2.0, 2)
    assert two.high - two.mean == pytest.approx(12.7062, rel=1e-5)
    five = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert five.mean - five.low == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert five.half_width == pytest.approx(five.mean - five.low)


def test_values_that_could_not_be_measured_are_left_out_and_counted():
    assert estimate([1.0, math.nan, 3.0]) == estimate([1.0, 3.0])
    one = estimate([math.nan, 7.0])
    assert (one.mean, one.count) == (7.0, 1)
    assert math.isnan(one.low)
    assert not one.is_clear
    assert estimate([math.nan]).count == 0
    assert estimate([]).count == 0


def test_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(2_000):
        interval = estimate(generator.normal(3.0, 2.0, size=6))
        hits += interval.low <= 3.0 <= interval.high
    assert hits / 2_000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # From the binomial law: the narrowest symmetric order statistics with at least 95 % (David & Nagaraja, 2003).
    [(5, math.nan, math.nan), (6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10), (17, 5, 13), (20, 6, 15), (30, 10, 21)],
)
def test_interval_of_a_median_lies_between_order_statistics(count, low, high):
    values = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    row = table_of({"a": values}).loc["a"]
    assert row["median"] == pytest.approx((count + 1) / 2)
    assert row[["median_low", "median_high"]].tolist() == pytest.approx([low, high], nan_ok=True)


def test_interval_of_a_median_covers_at_least_as_often_as_it_says_even_for_heavy_tails():
    generator = np.random.default_rng(8)
    samples = {f"p{number}": generator.standard_cauchy(12) for number in range(2_000)}
    table = table_of(samples, reference="p0")
    covered = ((table["median_low"] <= 0.0) & (0.0 <= table["median_high"])).mean()
    assert 0.95 <= covered <= 0.98


def test_medians_leave_out_what_could_not_be_measured():
    row = table_of({"a": [math.nan, 3.0, 1.0, math.nan, 2.0], "b": [math.nan] * 5}).loc["a"]
    assert (row["median"], row["seeds"]) == (2.0, 3)


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
    b = table_of({"a": [1.0, 2.0], "b": [5.0, math.nan]}).loc["b"]
    assert (b["seeds"], b["pairs"], b["difference"]) == (1, 1, 4.0)


def test_equal_values_have_no_spread_to_the_last_bit():
    row = table_of({"a": [0.1] * 7, "b": [0.1] * 7}).loc["b"]
    assert (row["low"], row["mean"], row["high"], row["difference"]) == (0.1, 0.1, 0.1, 0.0)


def test_measures_are_what_is_neither_label_nor_swept():
    columns = ["point", "x", "seed", "fingerprint", "error", "identity", "file", "file_bytes", "spread_bps"]
    assert measures_of(pd.DataFrame(columns=columns), ["x"]) == ["spread_bps"]
