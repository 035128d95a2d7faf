import math

import numpy as np
import pytest
from scipy import stats

from blockspace.experiments.validation import hedging, options, run_validation
from blockspace.experiments.validation.hedging import charge, cheapest, doublings, gap_cost
from blockspace.experiments.validation.hedging_paths import (
    POLICY,
    VOLATILITY,
    YEARS,
    at_the_money,
    bands,
    clocks,
    hedge,
    walk_gaps,
)
from blockspace.experiments.validation.options import leland_volatility


@pytest.mark.parametrize("target", ["V20", "V21", "V22", "V23", "V24"])
def test_hedging_costs_what_theory_says(target):
    rows = run_validation([target], quick=True)
    assert rows
    assert [row.what for row in rows if not row.passed] == []


def failed(target):
    return [row.what for row in run_validation([target], quick=True) if not row.passed]


def test_a_wrong_volatility_of_errors_is_noticed(monkeypatch):
    right = options.error_deviation
    monkeypatch.setattr(options, "error_deviation", lambda *case: 0.93 * right(*case))
    assert len(failed("V21")) == 2


def test_a_wrong_premium_is_noticed(monkeypatch):
    right = options.leland_volatility
    monkeypatch.setattr(options, "leland_volatility", lambda fraction, rehedges: right(1.2 * fraction, rehedges))
    assert len(failed("V22")) == 4


def test_a_wrong_cost_of_bands_is_noticed(monkeypatch):
    monkeypatch.setattr(hedging, "gap_cost", lambda *case: 1.1 * gap_cost(*case))
    assert len([what for what in failed("V23") if "over theory" in what]) == 3
    assert len([what for what in failed("V24") if "over theory" in what]) == 3


def test_a_policy_that_misjudges_its_costs_pays_more():
    believed = doublings(0.01, 0.01)
    charged = charge(hedge(1_000, 1_440, bands(believed)), gas_usd=0.01)
    found = cheapest(charged, believed, 0.01)
    assert 0.5 < found.belief < 2.0
    assert found.formula_usd < 1.02 * found.cost_usd
    assert (charged.mean(axis=0)[[0, -1]] > 1.2 * found.cost_usd).all()


def test_leland_add_on():
    premium = at_the_money().value
    add_ons = [at_the_money(volatility=leland_volatility(0.002, count)).value - premium for count in (30, 120)]
    assert add_ons == pytest.approx([0.1716, 0.3400], abs=5e-5)


def test_cost_of_bands_that_are_known():
    assert gap_cost(2.0, 0.0, 3.0, 0.5, 0.0) == pytest.approx(2.0 / 0.25 + 3.0 * 0.25 / 6.0)
    assert gap_cost(0.0, 2.0, 3.0, 0.5, 0.5) == pytest.approx(2.0 / 1.0 + 3.0 * 0.25 / 3.0)


def test_a_search_finds_the_bottom_of_a_parabola():
    beliefs = doublings(1.0, 8.0)
    assert beliefs.tolist() == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    bottom = math.log(3.0)
    charged = np.array(
        [[1.0 + (math.log(belief) - bottom) ** 2 + noise for belief in beliefs] for noise in (-0.1, 0.1)]
    )
    found = cheapest(charged, beliefs, 2.0)
    assert found.cost_usd == pytest.approx(1.0)
    assert found.belief == pytest.approx(1.5)
    assert found.formula_usd == pytest.approx(1.0 + math.log(1.5) ** 2, rel=1e-12)


# The simulated paths.


def test_all_policies_see_the_same_paths():
    both = hedge(600, 60, np.concatenate([clocks(1), bands(0.01)]))
    assert both[:, 0].tolist() == hedge(600, 60, clocks(1))[:, 0].tolist()
    assert both[:, 1].tolist() == hedge(600, 60, bands(0.01))[:, 0].tolist()


def test_who_never_trades_has_the_error_of_the_first_hedge():
    never = hedge(20_000, 30, clocks(1_000))[:, 0]
    assert (never["trades"] == 0).all()
    assert (never["turnover_usd"] == 0).all()
    option = at_the_money()
    deviation = VOLATILITY * math.sqrt(YEARS)
    normal = stats.norm(-(deviation**2) / 2.0, deviation)
    spots = 100.0 * np.exp(normal.ppf((np.arange(200_000) + 0.5) / 200_000))
    errors = option.value + option.delta * (spots - 100.0) - np.maximum(0.0, spots - 100.0)
    assert errors.mean() == pytest.approx(0.0, abs=1e-3)
    assert never["error_usd"].std() == pytest.approx(errors.std(), rel=0.05)


def test_a_clock_trades_at_every_look_but_the_last():
    hedged = hedge(10, 60, clocks([1, 6, 7]))
    assert hedged["trades"].max(axis=0).tolist() == [59, 9, 8]  # fewer where delta has come to be exactly 1


def test_late_trades_are_executed_at_the_price_of_their_time():
    on_time, late = (hedge(500, 60, clocks(10), latency=latency)[:, 0] for latency in (0, 4))
    assert late["trades"].tolist() == on_time["trades"].tolist()
    assert (late["turnover_usd"] != on_time["turnover_usd"]).all()
    too_late = hedge(500, 60, clocks(10), latency=15)[:, 0]
    assert set(too_late["trades"]) == {4.0}  # the last order would come after expiry


def test_bands_that_believe_in_dearer_trades_trade_less():
    trades = hedge(200, 500, bands([1e-4, 1e-3, 1e-2]))["trades"].mean(axis=0)
    assert trades[0] > 1.5 * trades[1] > 2.0 * trades[2]
    turnover = hedge(200, 500, bands(0.0, [1e-4, 1e-3, 1e-2]))["turnover_usd"].mean(axis=0)
    assert turnover[0] > turnover[1] > turnover[2]


def test_walks_between_reflecting_edges_are_uniform():
    trades, turnover, squares = walk_gaps([1.0], [1.0], 20, 400_000, 0.02)
    assert squares.mean() == pytest.approx(1 / 3, rel=0.1)
    assert turnover.mean() / 0.02**2 == pytest.approx(1 / 2, rel=0.1)
    assert (trades > turnover).all()


def test_policies_are_what_they_say():
    assert clocks(5).tolist() == [(5, 0.0, 0.0)]
    assert bands([0.1, 0.2]).tolist() == [(1, 0.1, 0.0), (1, 0.2, 0.0)]
    assert clocks(5).dtype == POLICY
