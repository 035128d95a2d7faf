"""Margin across chains: the rules themselves, and what credit does on one chain."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from blockspace.markets.collateral import free_collateral
from blockspace.markets.ledger import GENESIS
from blockspace.markets.liquidation import settle_debt
from blockspace.markets.margin import backing, scan_margin
from blockspace.markets.unified_margin import UnifiedMarginSettings, credit_for, top_up, unified_requirement
from tests.markets.test_liquidation import START, Stage, with_debtor

RATES = np.array([0.025, 0.05, 0.1])


def slow_requirement(values, rates, correlation, buffers):
    weighted = [value * rate for value, rate in zip(values, rates, strict=True)]
    squares = sum(
        one * other * (1.0 if i == j else correlation)
        for i, one in enumerate(weighted)
        for j, other in enumerate(weighted)
    )
    buffer = sum(abs(value) * rate for value, rate in zip(values, buffers, strict=True))
    return min(math.sqrt(max(squares, 0.0)) + buffer, sum(map(abs, weighted)))


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_requirement_is_the_norm_and_the_buffers(correlation):
    generator = np.random.default_rng(1)
    values, buffers = generator.normal(0.0, 1e9, (200, 3)), np.array([0.001, 0.004, 0.0])
    found = unified_requirement(values, RATES, correlation, buffers)
    expected = [slow_requirement(row, RATES, correlation, buffers) for row in values.tolist()]
    assert found == pytest.approx(expected, rel=1e-9)


def test_buffer_grows_with_the_root_of_the_age():
    settings = UnifiedMarginSettings(risk_multiple=3.0, volatility_per_day=0.04)
    assert settings.buffer_rate(86_400 * 10**9) == pytest.approx(0.12)
    assert settings.buffer_rate(864 * 10**9) == pytest.approx(0.012)
    assert settings.buffer_rate(0) == 0.0


def test_enough_here_just_when_it_is_enough_together():
    generator = np.random.default_rng(2)
    values, equities = generator.normal(0.0, 1e9, (500, 3)), generator.normal(3e7, 3e7, (500, 3))
    together = unified_requirement(values, RATES, 0.5, np.zeros(3))
    enough = equities.sum(axis=1) >= together
    assert 100 < enough.sum() < 400
    for here in range(3):
        elsewhere = equities.sum(axis=1) - equities[:, here]
        credit = credit_for(here, elsewhere, values, RATES, together)
        assert ((equities[:, here] + credit >= np.abs(values[:, here]) * RATES[here] - 1.0) == enough).all()


def test_top_up_makes_both_sides_equally_safe_and_leaves_what_is_needed():
    here, there = np.array([100.0, 100.0, 10.0]), np.array([0.0, 200.0, -500.0])
    needed_here, needed_there = np.array([20.0, 20.0, 20.0]), np.array([20.0, 20.0, 20.0])
    assert top_up(here, needed_here, there, needed_there).tolist() == [50, 0, 0]
    assert top_up(np.array([100.0]), np.array([20.0]), np.array([-500.0]), np.array([20.0])).tolist() == [80]


def test_messages_older_than_what_is_kept_are_refused():
    with pytest.raises(ValidationError, match="message_delay_s is 5000; with messages every 10 seconds"):
        UnifiedMarginSettings(message_delay_s=5_000.0)


# Credit on one chain.


@pytest.mark.parametrize("mode", ["cross", "portfolio", "isolated"])
def test_credit_counts_as_equity_but_not_where_positions_stand_alone(mode):
    stage = Stage(mode)
    account = stage.account(100.0)
    before = free_collateral(stage.venue, account)
    stage.margin["credit"][account] = 7_000_000
    assert free_collateral(stage.venue, account) - before == (0 if mode == "isolated" else 7_000_000)


def test_credit_keeps_an_account_off_the_list_to_the_micro_dollar():
    stage, debtor, *_ = with_debtor()
    stage.mark(START * 92 // 100)
    stage.scan()
    assert stage.margin["due_count"] == 1
    missing = stage.needed(debtor) - stage.equity(debtor)
    for credit, due in ((missing, 0), (missing - 1, 1)):
        stage.margin["credit"][debtor] = credit
        scan_margin(stage.venues, stage.blocks)
        assert stage.margin["due_count"] == due
        assert backing(stage.venue, np.int64(debtor), np.int64(0)) == stage.needed(debtor) - due


def test_who_has_credit_owes_what_is_missing_here_and_the_fund_pays_nothing():
    stage, debtor, liquidator, *_ = with_debtor()
    stage.mark(START * 80 // 100)  # insolvent here
    equity = stage.equity(debtor)
    assert equity < 0
    stage.margin["credit"][debtor] = -equity + 1_000_000
    fund = stage.cash(stage.fund)
    assert stage.liquidate(liquidator, debtor)
    entry = stage.last()
    assert entry["insurance"] == entry["socialised"] == 0
    assert entry["bonus"] + entry["penalty"] == 1_000_000, "no more than what credit leaves"
    assert stage.cash(debtor) == equity - 1_000_000
    assert stage.cash(stage.fund) == fund + entry["penalty"]
    stage.check()


def test_credit_below_zero_brings_a_liquidation_on_but_nobody_pays_for_the_solvent():
    stage, debtor, liquidator, *_ = with_debtor()
    stage.scan()
    assert stage.margin["due_count"] == 0
    stage.margin["credit"][debtor] = -10 * stage.equity(debtor)
    fund = stage.cash(stage.fund)
    assert stage.liquidate(liquidator, debtor)
    assert stage.last()["insurance"] == 0
    assert stage.cash(stage.fund) >= fund
    stage.check()


@pytest.mark.parametrize("owed_usd", [400.0, 1_300.0, 10_000.0])
def test_a_bad_debt_is_the_funds_and_then_theirs_who_gained_in_proportion(owed_usd):
    stage = Stage("cross", insurance_usd=1_000.0)
    winners, loser, debtor = [stage.account(5_000.0) for _ in range(2)], stage.account(5_000.0), stage.account(0.0)
    assert stage.trade(winners[0], loser, 300)
    assert stage.trade(winners[1], loser, 600)
    stage.mark(START + 1_000_000)  # gains of 300 and 600 dollars
    owed = round(owed_usd * 1e6)
    stage.ledger["accounts"]["cash"][debtor] -= owed
    stage.ledger["accounts"]["cash"][GENESIS] += owed
    before = [stage.cash(account) for account in (*winners, loser)]
    insured, socialised = settle_debt(stage.venues, np.int64(debtor))
    assert insured == min(owed, 1_000_000_000)
    assert socialised == min(owed - insured, 900_000_000)
    assert stage.cash(debtor) == -(owed - insured - socialised)
    paid = [was - stage.cash(account) for was, account in zip(before, (*winners, loser), strict=True)]
    assert paid[2] == 0
    assert paid[1] == pytest.approx(2 * paid[0], abs=2)
    assert sum(paid) == socialised
    stage.check()
