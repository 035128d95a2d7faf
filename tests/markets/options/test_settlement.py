"""Debts that a settlement leaves: who bears them, to the micro-dollar."""

import random

import numpy as np
import pytest

from blockspace.markets.liquidation import LIQUIDATIONS, deleveraging_rank
from blockspace.markets.margin import account_equity, equity_behind
from blockspace.network.transaction import LIQUIDATE
from tests.markets.options.stage import PERPETUAL, Stage

PUT = 4  # at the money
FALL_S = 2_000.0
EXPIRY_S = 3_600.0
PAYOFF = 500 * 10_000  # micro-dollars per lot: the put's strike is 2,000 dollars, the price 1,500


def falling(second):
    return 2_000.0 if second < FALL_S else 1_500.0


def make(mode="cross", fund_usd=1_000.0, price=falling, **settings):
    stage = Stage(price, mode=mode, **settings)
    given = stage.cash(stage.fund) - round(fund_usd * 1e6)
    stage.ledger["accounts"]["cash"][stage.fund] -= given
    stage.ledger["accounts"]["cash"][0] += given
    return stage


def settle(stage):
    """Let the expiry come in one block; what was noted of debts."""
    stage.block(EXPIRY_S - stage.time_s)
    log = stage.venue["liquidations"]
    return log["entries"][: int(log["count"])]


def sold(stage, short_usd, *longs, number=PUT):
    """An account with these dollars that is short, and accounts that are long so many lots of it."""
    short, buyers = stage.account(short_usd), [stage.account() for _ in longs]
    for buyer, lots in zip(buyers, longs, strict=True):
        assert stage.trade(buyer, short, number, lots)
    return short, buyers


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_the_fund_pays_while_it_can(mode):
    stage = make(mode, fund_usd=5_000.0)
    short, [long] = sold(stage, 1_000.0, 300)
    before = stage.cash(long), stage.cash(stage.fund)
    own = stage.cash(short)
    if mode == "isolated":
        own = int(stage.venue["margin"]["set_aside"][short, PUT])
    [entry] = settle(stage)
    missing = 300 * PAYOFF - own
    assert 0 < missing < 5_000 * 10**6
    assert (entry["account"], entry["liquidator"], entry["instrument"]) == (short, stage.fund, PUT)
    assert (entry["equity"], entry["insurance"], entry["socialised"]) == (-missing, missing, 0)
    assert (entry["lots"], entry["deleveraged"], entry["mark"]) == (0, 0, PAYOFF)
    assert stage.cash(long) - before[0] == 300 * PAYOFF
    assert before[1] - stage.cash(stage.fund) == missing
    assert account_equity(stage.venue, short) >= 0
    if mode != "isolated":
        assert stage.cash(short) == 0


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_what_the_fund_cannot_pay_is_borne_in_proportion(mode):
    """By those on the other side, each by its lots; what is left of a division falls to the last."""
    stage = make(mode, fund_usd=7.0)
    short, longs = sold(stage, 500.0, 100, 31)
    before = [stage.cash(long) for long in longs]
    own = int(stage.venue["margin"]["set_aside"][short, PUT]) if mode == "isolated" else stage.cash(short)
    count = int(stage.logs["count"][0])
    [entry] = settle(stage)
    missing = 131 * PAYOFF - own - 7 * 10**6
    assert (entry["insurance"], entry["socialised"], entry["deleveraged"]) == (7 * 10**6, missing, 2)
    assert entry["lots"] == -131
    assert stage.cash(stage.fund) == 0
    got = [stage.cash(long) - cash for long, cash in zip(longs, before, strict=True)]
    paid = [100 * PAYOFF - got[0], 31 * PAYOFF - got[1]]
    assert sum(paid) == missing
    assert abs(paid[0] - missing * 100 / 131) <= 1
    assert stage.logs["count"][0] == count, "what ends in a settlement is no trade"
    assert not stage.venue["margin"]["cost"][:, PUT].any()


def test_who_gained_most_is_closed_first_and_only_as_many_as_needed():
    stage = make(fund_usd=0.0)
    ticks = stage.mark_ticks(PUT)
    cheap, dear = stage.account(2_000.0), stage.account()
    debtor, sound = stage.account(400.0), stage.account()
    assert stage.trade(dear, sound, PUT, 100, 2 * ticks)
    assert stage.trade(cheap, debtor, PUT, 60, ticks)
    assert stage.trade(dear, debtor, PUT, 40, ticks)
    stage.block(EXPIRY_S - 1.0 - stage.time_s)
    ranks = [deleveraging_rank(stage.venue, np.int64(one), np.int64(PUT)) for one in (cheap, dear)]
    assert ranks[0] > ranks[1]
    missing = 100 * PAYOFF - stage.cash(debtor)
    before = stage.cash(cheap), stage.cash(dear), stage.cash(sound)
    assert missing > 0
    [entry] = settle(stage)
    share = missing * 60 // 100
    assert stage.cash(cheap) - before[0] == 60 * PAYOFF - share
    assert stage.cash(dear) - before[1] == 140 * PAYOFF - (missing - share)
    assert stage.cash(sound) - before[2] == -100 * PAYOFF
    assert entry["socialised"] == missing


def test_what_stands_by_itself_takes_nothing_else():
    """In isolated margin the debt of a position is none of the account's other money."""
    stage = make("isolated", fund_usd=50_000.0)
    short, _ = sold(stage, 100_000.0, 300)
    free = stage.cash(short) - int(stage.venue["margin"]["set_aside"][short, PUT])
    settle(stage)
    assert stage.cash(short) == free > 0


def test_an_account_with_other_positions_is_left_to_liquidation():
    stage = make(fund_usd=50_000.0)
    short, _ = sold(stage, 400.0, 100)
    other = stage.account()
    assert stage.trade(short, other, PERPETUAL, 10)
    assert len(settle(stage)) == 0
    assert account_equity(stage.venue, short) < 0
    assert stage.venue["margin"]["due_count"] == 1
    seize = {"kind": LIQUIDATE, "sender": other, "order": short, "instrument": PERPETUAL, "size": 100}
    assert stage.block(1.0, seize) == ["succeeded"]
    assert stage.cash(short) == stage.position(short, PERPETUAL) == 0


def test_a_debt_in_several_series_takes_from_each_no_more_than_was_owed_there():
    stage = make(fund_usd=0.0)
    short = stage.account(560.0)
    buyers = {number: stage.account() for number in (2, 4, 6)}
    for number, buyer in buyers.items():
        assert stage.trade(buyer, short, number, 60)
    before = {number: stage.cash(buyer) for number, buyer in buyers.items()}
    own = stage.cash(short)
    entries = settle(stage)
    payoffs = {int(row["instrument"]): int(row["payoff"]) for row in stage.venue["options"]["settled"][:6]}
    owed = {number: 60 * payoffs[number] for number in buyers}
    missing = sum(owed.values()) - own
    assert missing > owed[2], "one series should not suffice"
    expected = {2: owed[2], 4: min(missing - owed[2], owed[4])}
    expected[6] = missing - sum(expected.values())
    assert {int(row["instrument"]): int(row["socialised"]) for row in entries} == {
        number: part for number, part in expected.items() if part
    }
    for number, buyer in buyers.items():
        assert stage.cash(buyer) - before[number] == owed[number] - expected[number] >= 0
    assert stage.cash(short) == 0


def test_who_comes_into_debt_by_being_closed_has_that_borne_as_well():
    """A chain: a debtor's loss eats up what a holder needs for its own short series."""
    stage = make(fund_usd=0.0)
    debtor, middle, last = stage.account(350.0), stage.account(2_000.0), stage.account()
    assert stage.trade(middle, debtor, PUT, 100)
    assert stage.trade(last, middle, 2, 100)  # the lower put
    taken = stage.cash(middle)
    stage.ledger["accounts"]["cash"][middle] -= taken
    stage.ledger["accounts"]["cash"][last] += taken
    stage.block(EXPIRY_S - 1.0 - stage.time_s)
    assert stage.cash(middle) == 0
    entries = settle(stage)
    assert [int(row["account"]) for row in entries] == [debtor, middle]
    assert entries["socialised"].min() > 0
    assert stage.cash(debtor) == stage.cash(middle) == 0


def test_without_liquidations_debts_stay_where_they_are():
    stage = make()
    stage.venue["margin"]["liquidates"] = 0
    short, _ = sold(stage, 1_000.0, 300)
    assert len(settle(stage)) == 0
    assert stage.cash(short) < 0


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
@pytest.mark.parametrize("seed", [2, 6])
def test_random_trading_through_a_crash_and_an_expiry_loses_nothing(mode, seed):
    """Sums are zero after every block (`Stage.check`), and after the expiry nobody is in debt who has nothing left."""
    dice = random.Random(seed)
    level = {0: 2_000.0}
    for step in range(1, 400):
        level[step] = level[step - 1] * np.exp(dice.gauss(0.0, 0.004)) * (0.6 if step == 230 else 1.0)
    stage = make(mode, dice.choice([0.0, 100.0, 20_000.0]), lambda second: level[int(second / 10)], volatility=1.2)
    accounts = [stage.account(dice.choice([600.0, 2_000.0, 50_000.0])) for _ in range(8)]
    liquidators = [stage.account(1e6), stage.account(900.0)]
    margin, log = stage.venue["margin"], stage.venue["liquidations"]
    while stage.time_s < EXPIRY_S - 15.0:
        number = dice.choice([PERPETUAL, 1, 2, 3, 4, 5, 6])
        buyer, seller = dice.sample(accounts, 2)
        stage.trade(buyer, seller, number, dice.randint(1, 400), max(stage.mark_ticks(number) + dice.randint(-2, 2), 1))
        stage.block(24.0)
        due = margin["due"][: int(margin["due_count"])]
        if len(due) and dice.random() < 0.3:
            row = due[dice.randrange(len(due))]
            debtor, number = np.int64(row["account"]), np.int64(row["instrument"])
            had = int(equity_behind(stage.venue, debtor, number))
            count = int(log["count"])
            seize = {"kind": LIQUIDATE, "sender": dice.choice(liquidators), "order": debtor, "instrument": number}
            if stage.block(0.0, seize | {"size": dice.randint(1, 200)}) == ["succeeded"]:
                entry = log["entries"][count & (LIQUIDATIONS - 1)]
                assert entry["equity"] == had
                assert entry["insurance"] <= max(-had, 0) + entry["bonus"]
                assert entry["socialised"] == 0 or stage.cash(stage.fund) == 0
                assert stage.cash(stage.fund) >= 0
    before = int(log["count"])
    stage.block(EXPIRY_S - stage.time_s)
    settled = log["entries"][before : int(log["count"])]
    assert (settled["insurance"] + settled["socialised"] == -settled["equity"]).all()
    assert stage.cash(stage.fund) >= 0
    left = [account for account in [*accounts, *liquidators] if not stage.position(account, PERPETUAL)]
    if mode != "isolated":
        assert all(stage.cash(account) >= 0 for account in left)
    assert log["entries"]["deleveraged"].max() > 0, "the crash should be worse than that"
