"""Margin of options: the formula, what accounts may do with it, and what becomes of those who have too little."""

import random

import numpy as np
import pytest

from blockspace.markets.collateral import free_collateral
from blockspace.markets.margin import (
    account_equity,
    backing,
    maintenance_of,
    option_margin,
    scan_margin,
    short_margin,
    worst_loss,
)
from blockspace.markets.options.black_scholes import price_option
from blockspace.network.transaction import LIQUIDATE
from tests.markets.options.stage import LOT, PERPETUAL, Stage

LOW_CALL, CALL, PUT = 1, 3, 4  # the latter two at the money


def account_of(stage, cash_usd=1e6):
    return stage.account(cash_usd)


@pytest.mark.parametrize(
    ("right", "strike", "expected"),
    [
        # Index 2,000 dollars, 15 % and at least 10 %; dollars per unit beyond the mark.
        (1, 2_000, 300),  # at the money
        (1, 2_050, 250),
        (1, 2_100, 200),  # where the minimum begins
        (1, 2_101, 200),
        (1, 9_000, 200),
        (1, 1_000, 300),  # in the money
        (-1, 2_000, 300),
        (-1, 1_950, 250),
        (-1, 1_900, 200),
        (-1, 100, 200),
        (-1, 3_000, 300),
    ],
)
def test_formula(right, strike, expected):
    stage = Stage()
    instrument = stage.instrument(CALL)
    instrument["right"], instrument["strike"] = right, strike * round(LOT * 1e6)
    assert short_margin(instrument, 150_000, 100_000) == expected * round(LOT * 1e6)
    assert option_margin(instrument, -7) == 7 * expected * round(LOT * 1e6)
    assert option_margin(instrument, 7) == 7 * instrument["mark"]


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_long_options_need_their_premium(mode):
    """Cash buys options to the last dollar and no more, and what they are worth buys no others."""
    stage = Stage(mode=mode)
    seller, buyer = account_of(stage), account_of(stage, 100.0)
    ticks = int(stage.instrument(CALL)["mark"]) // 1_000 + 1
    most = int(100e6 // (ticks * 1_000))
    assert not stage.trade(buyer, seller, CALL, most + 1, ticks)
    assert stage.trade(buyer, seller, CALL, most, ticks)
    assert 0 <= stage.cash(buyer) < ticks * 1_000
    assert not stage.trade(buyer, seller, PUT, 50)


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_short_options_within_margin(mode):
    """The last lot for which there is margin can be sold, and the next one not."""
    stage = Stage(mode=mode)
    buyer, seller = account_of(stage), account_of(stage, 1_000.0)
    per_lot = int(short_margin(stage.instrument(CALL), 150_000, 100_000))
    slack = max(int(stage.instrument(CALL)["mark"]) - stage.mark_ticks(CALL) * 1_000, 0)
    most = 1_000 * 10**6 // (per_lot + slack)
    assert not stage.trade(buyer, seller, CALL, most + 1)
    assert stage.trade(buyer, seller, CALL, most)
    assert stage.position(seller, CALL) == -most
    assert not stage.trade(buyer, seller, PUT, 2)
    assert stage.trade(seller, buyer, CALL, most), "what makes a position smaller always passes"


def test_resting_orders_need_margin():
    stage = Stage()
    account = account_of(stage, 1_000.0)
    free = free_collateral(stage.venue, account)
    stage.block(1.0, stage.order(account, CALL, -1, 100, price=stage.mark_ticks(CALL) + 5))
    per_lot = int(short_margin(stage.instrument(CALL), 150_000, 100_000))
    assert free - free_collateral(stage.venue, account) == 100 * per_lot
    stage.block(1.0, stage.order(account, CALL, 1, 100, price=1, slot=1))
    assert free - free_collateral(stage.venue, account) == 100 * per_lot, "one side or the other"


def test_equity_holds_marked_options():
    stage = Stage()
    long, short = account_of(stage, 1_000.0), account_of(stage, 10_000.0)
    stage.trade(long, short, CALL, 20)
    mark = int(stage.instrument(CALL)["mark"])
    assert account_equity(stage.venue, long) == stage.cash(long) + 20 * mark
    assert account_equity(stage.venue, short) == stage.cash(short) - 20 * mark
    assert maintenance_of(stage.venue, long, CALL) == 0
    assert maintenance_of(stage.venue, short, CALL) == 20 * short_margin(stage.instrument(CALL), 75_000, 50_000)


def test_scenarios_of_a_portfolio():
    """What lots would be worth: by hand, at seven prices and two volatilities; a hedge needs little."""
    stage = Stage(mode="portfolio", expiries_days=(30.0,))
    years = (30 * 86_400 - stage.time_s) / (365 * 86_400)
    strike = stage.instrument(CALL)["strike"] / (LOT * 1e6)
    for scenario in range(14):
        spot = 2_000.0 * (1 + 0.15 * (scenario // 2 - 3) / 3)
        volatility = 0.8 * (1.25 if scenario % 2 else 0.75)
        expected = price_option("call", spot, strike, years, volatility).value * LOT * 1e6
        found = stage.instrument(CALL)["mark"] + stage.instrument(CALL)["changes"][scenario]
        assert found == pytest.approx(expected, abs=1.0)
    long, short = account_of(stage), account_of(stage)
    stage.trade(long, short, CALL, 100)
    naked = worst_loss(stage.venue, short, np.int64(0), np.int64(0))
    stage.trade(short, long, PERPETUAL, 55, price=20_000)
    hedged = worst_loss(stage.venue, short, np.int64(0), np.int64(0))
    assert hedged < 0.5 * naked


def test_least_of_short_options_in_a_portfolio():
    """Short options of which no scenario shows a loss still need a hundredth of the index each."""
    stage = Stage(mode="portfolio", expiries_days=(1 / 24,), strikes_per_expiry=3, strike_spacing=5.0, volatility=5.0)
    stage.venue["margin"]["price_moves"] = 0.001 * np.repeat(np.arange(-3, 4) / 3.0, 2)
    stage.venue["instruments"]["volatility"][5] = 0.05
    long, short = account_of(stage), account_of(stage)
    assert stage.trade(long, short, 5, 100, price=1)
    loss = worst_loss(stage.venue, short, np.int64(0), np.int64(0))
    assert loss >= 100 * int(stage.instrument(5)["index"]) // 100


def jumping(second):
    return 2_000.0 if second < 100.0 else 2_190.0


def test_liquidation_of_a_short_option():
    """The liquidator takes the position over, with its mark and a bonus; the rest stays the debtor's."""
    stage = Stage(jumping)
    long, short, liquidator = account_of(stage), account_of(stage, 1_000.0), account_of(stage)
    assert stage.trade(long, short, CALL, 300)
    seize = {
        "kind": LIQUIDATE, "sender": liquidator, "order": short, "instrument": CALL, "size": 1_000,
    }  # fmt: skip
    assert stage.block(1.0, seize) == ["failed"]
    stage.block(102.0 - stage.time_s)
    equity, mark = int(account_equity(stage.venue, short)), int(stage.instrument(CALL)["mark"])
    assert 0 < equity < maintenance_of(stage.venue, short, CALL)
    cash = stage.cash(liquidator)
    assert stage.block(0.0, seize) == ["succeeded"]
    assert stage.position(liquidator, CALL) == -300
    assert stage.position(short, CALL) == 0
    bonus = 300 * mark * 5 // 1_000
    assert stage.cash(liquidator) - cash == 300 * mark + bonus
    assert account_equity(stage.venue, short) == equity - 2 * bonus


def test_deleveraging_of_options():
    """A debtor without equity and a fund without money: the winners are closed, and nobody is left in debt."""
    stage = Stage(lambda second: 2_000.0 if second < 100.0 else 2_600.0)
    stage.ledger["accounts"]["cash"][0] += stage.cash(stage.fund)
    stage.ledger["accounts"]["cash"][stage.fund] = 0
    long, short, liquidator = account_of(stage), account_of(stage, 1_000.0), account_of(stage)
    assert stage.trade(long, short, CALL, 300)
    stage.block(102.0 - stage.time_s)
    assert account_equity(stage.venue, short) < 0
    seize = {
        "kind": LIQUIDATE, "sender": liquidator, "order": short, "instrument": CALL, "size": 1_000,
    }  # fmt: skip
    assert stage.block(0.0, seize) == ["succeeded"]
    assert stage.position(long, CALL) == stage.position(short, CALL) == 0
    assert stage.cash(short) == 0
    assert stage.venue["liquidations"]["entries"][0]["deleveraged"] == 1


def test_what_is_listed_to_be_liquidated():
    """Of an account that has too little: the short option that needs margin, not the long one that is worth more."""
    stage = Stage()
    other, debtor = account_of(stage), account_of(stage, 1_200.0)
    assert stage.trade(debtor, other, LOW_CALL, 300)
    assert stage.trade(other, debtor, CALL, 30)
    taken = int(account_equity(stage.venue, debtor)) - 1
    stage.ledger["accounts"]["cash"][debtor] -= taken
    stage.ledger["accounts"]["cash"][other] += taken
    stage.block(0.001)
    margin = stage.venue["margin"]
    assert margin["due_count"] == 1
    due = margin["due"][0]
    assert (due["account"], due["instrument"], due["lots"]) == (debtor, CALL, -30)
    assert due["equity"] < due["maintenance"]


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_who_is_due_is_found_to_the_micro_dollar(mode):
    """The scan passes over those who are safe whatever happens; it must never pass over anybody else."""
    dice = random.Random(3)
    stage = Stage(mode=mode)
    holders, margin = stage.ledger["accounts"], stage.venue["margin"]
    stage.venue["instruments"]["mark"] += 19  # a mark whose shares are not whole micro-dollars
    expected = set()
    for account in [account_of(stage, 0.0) for _ in range(200)]:
        margin["credit"][account] = dice.choice([-(10**9), 0, 10**9])
        stage.venue["options"]["touched"][account] = 0b1111110
        held = dice.sample(range(7), dice.randint(1, 4))
        for number in held:
            lots = dice.choice([-1, 1]) * dice.randint(1, 200)
            for owner, sign in ((account, 1), (0, -1)):
                holders["position"][owner, number] += sign * lots
        for number in held if mode == "isolated" else held[:1]:
            spare = dice.choice([-1, 0, 1, 10**8])
            needed, behind = (f(stage.venue, account, np.int64(number)) for f in (maintenance_of, backing))
            if mode == "isolated":
                margin["set_aside"][account, number] += needed + spare - behind
            for owner, sign in ((account, 1), (0, -1)):
                holders["cash"][owner] += sign * (needed + spare - behind)
            if spare < 0:
                expected.add((account, number if mode == "isolated" else -1))
    scan_margin(stage.venues, stage.blocks)
    due = margin["due"][: int(margin["due_count"])]
    assert {(int(one["account"]), int(one["instrument"]) if mode == "isolated" else -1) for one in due} == expected
    assert len(expected) > 20
