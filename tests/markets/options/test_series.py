"""Series: listing, settlement by hand, and what is left of a series that has expired."""

import math
import random

import numpy as np
import pytest

from blockspace.markets.instruments import HANDLES
from blockspace.markets.matching import LIMIT
from tests.markets.options.stage import LOT, NS, Stage

CALLS, PUTS = (1, 3, 5), (2, 4, 6)


def rising(second):
    """2,000 dollars until 3,000 s, then two cents a second."""
    return 2_000.0 + 0.02 * max(second - 3_000.0, 0.0)


def settlement_price(stage, expiry_s, seconds):
    """Mean of the index of each second in micro-dollars per lot, half of one rounded up."""
    index = [round(price * LOT * 1e6) for price in stage.path.prices(expiry_s - np.arange(seconds))]
    return math.floor(sum(index) / len(index) + 0.5)


def test_first_listing():
    stage = Stage(expiries_days=(1 / 24, 30.0), strikes_per_expiry=5, strike_step_usd=5.0)
    width = 0.5 * 0.8 * math.sqrt(30 / 365)
    expected = [5 * round(2_000 * math.exp(width * place) / 5) for place in range(-2, 3)]
    strikes = [stage.instrument(number)["strike"] / (LOT * 1e6) for number in range(11, 21)]
    assert strikes == pytest.approx(np.repeat(expected, 2))
    assert [stage.instrument(number)["right"] for number in range(11, 21)] == [1, -1] * 5
    assert [stage.instrument(number)["series"] for number in range(1, 21)] == list(range(20))
    assert stage.instrument(11)["expiry"] == 30 * 86_400 * NS


def test_strikes_never_meet():
    """Where the price or the volatility has fallen so far that strikes would, they lie one step apart, from one on."""
    stage = Stage(lambda second: 2_000.0 * math.exp(-second / 500.0), strike_step_usd=100.0, strikes_per_expiry=7)
    stage.block(3_600.0)
    strikes = [stage.instrument(number)["strike"] / (LOT * 1e6) for number in range(1, 15, 2)]
    assert strikes == pytest.approx([100.0 * step for step in range(1, 8)])


def test_settlement_by_hand():
    stage = Stage(rising)
    long, short = stage.account(), stage.account()
    for number in (*CALLS, *PUTS):
        assert stage.trade(long, short, number, 10 * number)
    before = stage.cash(long), stage.cash(short)
    strikes = [int(stage.instrument(number)["strike"]) for number in range(1, 7)]
    stage.block(3_599.0 - stage.time_s)
    assert stage.position(long, 1) == 10, "a second before the expiry nothing has happened"
    stage.block(1.0)
    price = settlement_price(stage, 3_600.0, 900)
    assert price == pytest.approx(2_003.0 * LOT * 1e6, abs=1e5), "the mean, not the last price, 2,012 dollars"
    paid = sum(
        10 * number * max(price - strike if number in CALLS else strike - price, 0)
        for number, strike in enumerate(strikes, 1)
    )
    assert paid > 0
    assert (stage.cash(long) - before[0], stage.cash(short) - before[1]) == (paid, -paid)
    settled = stage.venue["options"]["settled"][:6]
    assert settled["price"].tolist() == [price] * 6
    assert settled["lots"].tolist() == [10, 20, 30, 40, 50, 60]
    assert (settled["payoff"][::2] - settled["payoff"][1::2]).tolist() == [price - strike for strike in strikes[::2]]


@pytest.mark.parametrize(("days", "window", "seconds"), [(1 / 24, 1_800, 900), (0.5, 1_800, 1_800), (1 / 24, 1, 1)])
def test_settlement_window(days, window, seconds):
    stage = Stage(lambda second: 2_000.0 + math.sin(second / 100.0), expiries_days=(days,), settlement_window_s=window)
    expiry_s = days * 86_400.0
    for share in (0.4, 0.3, 0.25, 0.06):  # blocks within the window or not make no difference
        stage.block(share * expiry_s - 0.3)
    assert stage.venue["options"]["settled_count"] in (0, 6)
    stage.block(expiry_s - stage.time_s if stage.time_s < expiry_s else 1.0)
    assert stage.venue["options"]["settled"][0]["price"] == settlement_price(stage, expiry_s, seconds)


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_random_positions_through_an_expiry(mode):
    """Nothing is lost, nothing is left, and everybody gets what the lots were worth."""
    dice = random.Random(5)
    stage = Stage(rising, mode=mode, expiries_days=(1 / 24, 1.0))
    accounts = [stage.account(dice.choice([2e3, 1e5])) for _ in range(6)]
    succeeded = 0
    for _ in range(150):
        number, account = dice.randint(1, 12), dice.choice(accounts)
        price = max(stage.mark_ticks(number) + dice.randint(-3, 3), 1)
        side, lots, slot = dice.choice([-1, 1]), dice.randint(1, 400), dice.randint(0, 15)
        order = stage.order(account, number, side, lots, price, LIMIT, slot)
        succeeded += stage.block(dice.choice([1.0, 10.0]), order).count("succeeded")
    assert 50 < succeeded < 150
    assert stage.time_s < 2_700.0
    positions = stage.ledger["accounts"]["position"][:, 1:7].copy()
    cash = stage.ledger["accounts"]["cash"].copy()
    assert np.abs(positions).sum(0).min() > 0
    assert sum(int(stage.venue["books"][number]["resting"]) for number in range(1, 7)) > 0
    stage.block(3_600.0 - stage.time_s)
    payoffs = stage.venue["options"]["settled"]["payoff"][:6]
    assert (stage.ledger["accounts"]["cash"] - cash == positions @ payoffs).all()
    assert not stage.ledger["accounts"]["position"][:, 1:7].any()
    assert not stage.venue["margin"]["cost"][:, 1:7].any()
    assert not stage.venue["margin"]["set_aside"][:, 1:7].any()
    assert not (stage.venue["options"]["touched"] & np.uint64(0b1111110)).any()
    assert (stage.venue["options"]["touched"] != 0).any(), "the other expiry goes on"
    assert not any(stage.venue["books"][number]["resting"] for number in range(1, 7))


def test_next_series_in_the_same_place():
    stage = Stage(rising)
    account = stage.account()
    assert stage.block(0.0, stage.order(account, 1, 1, 5, price=3)) == ["succeeded"]
    stage.block(3_599.5 - stage.time_s)
    late = stage.order(account, 1, 1, 5, price=3) | {"decided": round(3_599.9 * NS)}
    new = stage.order(account, 2, 1, 5, price=3)
    assert stage.block(0.5, late, new) == ["failed", "succeeded"], "what was meant for the old series must not trade"
    instrument = stage.instrument(1)
    assert (instrument["series"], instrument["opened"], instrument["expiry"]) == (6, 3_600 * NS, 7_200 * NS)
    assert stage.instrument(3)["strike"] == round(2_012.0) * round(LOT * 1e6)
    assert stage.venue["books"][1]["resting"] == 0


def test_expiry_without_successor():
    stage = Stage(rising, roll=False)
    account = stage.account()
    stage.block(3_600.0)
    assert stage.venue["options"]["settled_count"] == 6
    assert stage.block(1.0, stage.order(account, 1, 1, 5, price=3)) == ["failed"]
    assert stage.instrument(1)["mark"] == 0
    stage.block(3_600.0)
    assert stage.venue["options"]["settled_count"] == 6


def test_expiries_that_were_slept_through():
    """A block that comes hours late settles once, and lists for the next expiry of the tenor to come."""
    stage = Stage(rising, settlement_window_s=1)
    stage.block(4_000.0)
    stage.block(3 * 3_600.0 + 100.0)
    assert stage.venue["options"]["settled_count"] == 12
    assert stage.instrument(1)["expiry"] == 5 * 3_600 * NS


def test_orders_that_wait_for_a_batch_are_withdrawn():
    stage = Stage(rising, batching=True)
    stage.venue["batch_interval"] = 10_000 * NS
    stage.venue["next_batch"] = 10_000 * NS
    account = stage.account()
    assert stage.block(1.0, stage.order(account, 1, 1, 5, price=3)) == ["succeeded"]
    assert stage.venue["batches"][1]["bids"][account] == 5
    stage.block(3_600.0)
    assert stage.venue["batches"][1]["bids"][account] == 0
    assert stage.venue["batches"][1]["place"][account * HANDLES] == 0
