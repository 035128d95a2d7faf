import numpy as np
import pandas as pd
import pytest

from blockspace.experiments.premium.book import OptionBook
from blockspace.experiments.premium.completion import complete_premiums, intervals_of
from blockspace.experiments.premium.parts import HOLDER_MOMENTS, MOMENTS, PARTS, moments

from .test_parts import some_outcomes

BOOK = OptionBook(
    (("a", 600.0),), 10, (60.0, 120.0), (1.0, 4.0), strikes=("atm",), size=100.0, holder_size=2.0, risk_aversion=1e-3
)
NAMES = ["clock_60s", "clock_120s", "band_1", "band_4"]


def runs_of(seeds=4, gas=None):
    """Runs of one point; ``gas[seed, policy]`` scales what each policy pays with each seed."""
    rows = []
    for seed in range(seeds):
        row = {"point": "p", "x": 1.0, "seed": seed, "error": None, "base_fee_gwei": 5.0}
        for number, policy in enumerate(NAMES):
            outcomes = some_outcomes(10, seed=100 + 10 * seed + number)
            outcomes["gas_usd"] *= 1.0 if gas is None else gas[seed][number]
            row |= dict(zip((f"options.a.atm.{policy}.{name}" for name in MOMENTS), moments(outcomes), strict=True))
        row |= dict(zip((f"options.a.atm.{name}" for name in HOLDER_MOMENTS), (6.0, 1.0, 2.0), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def test_policies_are_chosen_on_the_other_half_of_the_seeds():
    dear, cheap = 100.0, 0.01
    # With even seeds the first clock is cheap, with odd ones the second.
    gas = [[cheap, dear, 1, 1], [dear, cheap, 1, 1]] * 2
    completed = complete_premiums(runs_of(gas=gas), BOOK)
    assert completed["a.atm.clock.chosen"].tolist() == [120.0, 60.0, 120.0, 60.0]
    assert (completed["a.atm.clock.gas_usd"] > 500.0).all()  # each pays for what suited the others


def test_measures_are_contributions_that_add_up():
    completed = complete_premiums(runs_of(), BOOK, fixed=(120.0,))
    assert not [name for name in completed.columns if name.startswith("options.")]
    for hedger in ("clock", "band", "formula", "clock_120s"):
        parts = sum(completed[f"a.atm.{hedger}.{part}"] for part in PARTS)
        assert completed[f"a.atm.{hedger}.premium_usd"].to_numpy() == pytest.approx(parts.to_numpy(), rel=1e-12)
        value = 6.0 * 100.0 / 2.0
        share = completed[f"a.atm.{hedger}.premium_pct"].to_numpy()
        assert share == pytest.approx((100.0 * parts / value).to_numpy())
    assert completed["a.atm.value_usd"].tolist() == [300.0] * 4
    assert completed["a.atm.discount_usd"].tolist() == pytest.approx([1.0 + 1e-3 / 2] * 4)
    assert completed["base_fee_gwei"].tolist() == [5.0] * 4


def test_every_policy_by_itself_if_asked():
    completed = complete_premiums(runs_of(), BOOK, every_policy=True)
    assert {f"a.atm.{name}.premium_usd" for name in NAMES} <= set(completed.columns)
    formula, band = (completed[f"a.atm.{name}.premium_usd"].tolist() for name in ("formula", "band_1"))
    assert formula == band


def test_one_seed_leaves_nobody_to_choose_a_policy():
    completed = complete_premiums(runs_of(seeds=1), BOOK)
    assert np.isnan(completed["a.atm.clock.premium_usd"]).all()
    assert completed["a.atm.formula.premium_usd"].notna().all()


def test_runs_that_failed_stay_in_the_table_and_out_of_the_premiums():
    runs = runs_of()
    whole = complete_premiums(runs.iloc[:2], BOOK)
    runs.loc[2:, "error"] = "it broke"
    runs.loc[2:, [name for name in runs.columns if name.startswith("options.")]] = np.nan
    completed = complete_premiums(runs, BOOK)
    assert len(completed) == 4
    assert completed["a.atm.clock.premium_usd"].isna().tolist() == [False, False, True, True]
    assert completed["a.atm.clock.premium_usd"].tolist()[:2] == whole["a.atm.clock.premium_usd"].tolist()
    runs["error"] = "it broke"
    assert len(complete_premiums(runs, BOOK)) == 4


def test_runs_without_options_are_left_alone():
    runs = pd.DataFrame({"point": ["p"], "seed": [1], "error": [None], "base_fee_gwei": [3.0]})
    assert complete_premiums(runs, BOOK) is runs


def test_intervals_are_around_the_means():
    completed = complete_premiums(runs_of(), BOOK)
    intervals = intervals_of(completed, "a.atm.formula")
    assert set(intervals) == {*PARTS, "premium_usd"}
    for part, (low, high) in intervals.items():
        assert low <= completed[f"a.atm.formula.{part}"].mean() <= high
