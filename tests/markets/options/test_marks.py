"""Marks: Black and Scholes at the volatility that the books say."""

import math

import pytest

from blockspace.markets.options.black_scholes import price_option
from blockspace.markets.options.implied_volatility import implied_volatility
from tests.markets.options.stage import LOT, Stage


def quote(stage, account, number, mid_ticks):
    """Quote an option one tick around a mid."""
    return [
        stage.order(account, number, 1, 10, mid_ticks - 1, slot=0),
        stage.order(account, number, -1, 10, mid_ticks + 1, slot=1),
    ]


def test_first_marks():
    stage = Stage(expiries_days=(7.0,))
    for number, kind in ((1, "call"), (2, "put"), (3, "call"), (6, "put")):
        instrument = stage.instrument(number)
        years = (7 * 86_400 - 1) / (365 * 86_400)
        value = price_option(kind, 2_000.0, instrument["strike"] / (LOT * 1e6), years, 0.8).value
        assert instrument["mark"] == pytest.approx(value * LOT * 1e6, abs=1.0)
    for call in (1, 3, 5):
        parity = stage.instrument(call)["index"] - stage.instrument(call)["strike"]
        assert stage.instrument(call)["mark"] - stage.instrument(call + 1)["mark"] == pytest.approx(parity, abs=1.0)


def test_volatility_follows_the_books():
    """It goes to what mids imply with a memory of a minute; strikes without quotes lie between their neighbours."""
    stage = Stage(expiries_days=(30.0,), strikes_per_expiry=5)
    maker = stage.account(1e8)
    years = 30 / 365
    orders = []
    for number, volatility in ((4, 0.9), (9, 0.7)):  # a put below the price, a call above it
        kind = "call" if number % 2 else "put"
        strike = stage.instrument(number)["strike"] / (LOT * 1e6)
        orders += quote(stage, maker, number, round(price_option(kind, 2_000.0, strike, years, volatility).value / 0.1))
    assert set(stage.block(1.0, *orders)) == {"succeeded"}
    stage.block(60.0)
    assert stage.instrument(3)["volatility"] == pytest.approx(0.8 + 0.1 * (1 - math.exp(-1)), abs=2e-3)
    for _ in range(20):
        stage.block(60.0)
    volatilities = [float(stage.instrument(number)["volatility"]) for number in range(1, 11, 2)]
    strikes = [float(stage.instrument(number)["strike"]) for number in range(1, 11, 2)]
    assert volatilities[1] == pytest.approx(0.9, abs=3e-3)
    assert volatilities[4] == pytest.approx(0.7, abs=3e-3)
    share = (strikes[2] - strikes[1]) / (strikes[4] - strikes[1])
    assert volatilities[2] == pytest.approx(0.9 - 0.2 * share, abs=3e-3)
    assert volatilities[0] == pytest.approx(volatilities[1], abs=1e-3)
    assert stage.instrument(4)["volatility"] == stage.instrument(3)["volatility"], "call and put have one"


def test_a_quote_moves_a_mark_only_so_far():
    """A quote of thrice the value moves the volatility as one a quarter away would."""
    stage = Stage(expiries_days=(30.0,))
    maker = stage.account(1e8)
    stage.block(1.0, *quote(stage, maker, 3, 3 * stage.mark_ticks(3)))
    before = float(stage.instrument(3)["volatility"])
    stage.block(60.0)
    assert stage.instrument(3)["volatility"] == pytest.approx(before * (1 + 0.25 * (1 - math.exp(-1))), rel=1e-9)


def test_realised_volatility_where_nothing_is_quoted():
    """A price that does not move takes the volatility down, to a hundredth at the least; one that moves takes it up."""
    still = Stage(expiries_days=(30.0,))
    moving = Stage(lambda second: 2_000.0 * math.exp(0.01 * math.sin(second / 60.0)), expiries_days=(30.0,))
    for _ in range(100):
        still.block(600.0)
        moving.block(600.0)
    assert still.instrument(1)["volatility"] < 0.25 < 0.8 < moving.instrument(1)["volatility"]
    for _ in range(100):
        still.block(3_600.0)
    assert still.instrument(1)["volatility"] == pytest.approx(0.01)


def test_mark_volatility_is_that_of_the_mid():
    stage = Stage(expiries_days=(7.0,))
    maker = stage.account(1e8)
    stage.block(1.0, *quote(stage, maker, 5, 400))
    for _ in range(60):
        stage.block(60.0)
    years = (7 * 86_400 - stage.time_s) / (365 * 86_400)
    strike = stage.instrument(5)["strike"] / (LOT * 1e6)
    expected = implied_volatility("call", 40.0, 2_000.0, strike, years)
    assert stage.instrument(5)["volatility"] == pytest.approx(expected, rel=2e-3)
    assert stage.instrument(5)["mark"] == pytest.approx(40.0 * LOT * 1e6, rel=2e-3)


def test_small_moves_in_a_moment_change_nothing():
    """Within a second options are valued anew if the index has moved by a tenth of a basis point, else not."""
    stage = Stage(lambda second: 2_000.0 * (1.0 + 4e-6 * second), expiries_days=(7.0,))
    stage.block(1.0)
    marks = [int(stage.instrument(3)["mark"])]
    for _ in range(2):
        stage.block(0.4)
        marks.append(int(stage.instrument(3)["mark"]))
    stage.block(0.3)
    marks.append(int(stage.instrument(3)["mark"]))
    assert marks[0] == marks[1] == marks[2] != marks[3]
