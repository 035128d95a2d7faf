import itertools
import math

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.options.black_scholes import CALL, PUT, greeks, price_option
from blockspace.markets.options.implied_volatility import (
    TOO_HIGH,
    TOO_LOW,
    implied_volatilities,
    implied_volatility,
    implied_volatility_of,
)

SPOT = 100.0


@settings(max_examples=1_000, deadline=None)
@given(
    distance=st.floats(-38, 38),
    years=st.floats(1e-10, 30),
    deviation=st.floats(1e-9, 12),
    kind=st.sampled_from((CALL, PUT)),
    rate=st.sampled_from((0.0, 0.05)),
)
def test_the_price_comes_back(distance, years, deviation, kind, rate):
    log_distance = max(-100.0, min(100.0, distance * deviation))
    strike, volatility = SPOT * math.exp(log_distance), deviation / math.sqrt(years)
    price = greeks(SPOT, strike, years, volatility, kind, rate, 0.01)[0]
    implied = implied_volatility_of(price, SPOT, strike, years, kind, rate, 0.01)
    if implied == TOO_HIGH:
        bound = SPOT * math.exp(-0.01 * years) if kind == CALL else strike * math.exp(-rate * years)
        assert price >= bound * (1.0 - 1e-15)  # all digits of the price are those of its bound
        return
    assert implied >= 0.0
    back = greeks(SPOT, strike, years, implied, kind, rate, 0.01)[0]
    assert back == pytest.approx(price, rel=1e-10, abs=1e-290)


@pytest.mark.parametrize("kind", ["call", "put"])
@pytest.mark.parametrize("strike", [20.0, 80.0, 100.0, 100.0001, 125.0, 500.0])
@pytest.mark.parametrize("volatility", [0.3, 0.8, 3.0])
def test_the_volatility_comes_back_where_the_price_tells_it(kind, strike, volatility):
    option = price_option(kind, SPOT, strike, 30 / 365, volatility)
    implied = implied_volatility(kind, option.value, SPOT, strike, 30 / 365)
    rounding = 1e-15 * option.value / max(option.vega, 1e-300)
    assert implied == pytest.approx(volatility, rel=1e-12, abs=10 * rounding)


def test_quantlib_agrees():
    for strike, volatility in itertools.product((70.0, 100.0, 140.0), (0.3, 0.8, 2.0)):
        price = price_option("call", SPOT, strike, 0.25, volatility).value
        theirs = ql.blackFormulaImpliedStdDev(ql.Option.Call, strike, SPOT, price, 1.0, 0.0, 0.1, 1e-14, 1_000) / 0.5
        assert implied_volatility("call", price, SPOT, strike, 0.25) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("price", [1e-300, 1e-100, 1e-20, 1e-3, 1.0, 50.0, 99.0, 99.999999])
@pytest.mark.parametrize("strike", [1e-3, 99.9, 100.0, 101.0, 1e6])
def test_any_price_within_its_bounds_has_a_volatility(price, strike):
    intrinsic = max(0.0, SPOT - strike)
    if price <= intrinsic:
        return
    implied = implied_volatility("call", price, SPOT, strike, 0.1)
    assert 0.0 < implied < math.inf
    assert price_option("call", SPOT, strike, 0.1, implied).value == pytest.approx(price, rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "price", "strike", "years", "found"),
    [
        (CALL, -1e-9, 100.0, 0.1, TOO_LOW),
        (CALL, 9.999, 90.0, 0.1, TOO_LOW),
        (PUT, 9.999, 110.0, 0.1, TOO_LOW),
        (CALL, 10.0, 90.0, 0.1, 0.0),
        (CALL, 0.0, 110.0, 0.1, 0.0),
        (CALL, 5e-324, 110.0, 0.1, 0.0),
        (CALL, 100.0, 90.0, 0.1, TOO_HIGH),
        (PUT, 110.0, 110.0, 0.1, TOO_HIGH),
        (CALL, 1.0, 110.0, 0.0, TOO_HIGH),
        (CALL, 10.0, 90.0, 0.0, 0.0),
    ],
)
def test_outside_the_bounds(kind, price, strike, years, found):
    assert implied_volatility_of(price, SPOT, strike, years, kind, 0.0, 0.0) == found


def test_many_at_once():
    strikes = np.array([80.0, 100.0, 120.0])
    kinds = np.array([[CALL], [PUT]])
    values = [[price_option(name, SPOT, strike, 0.1, 0.8).value for strike in strikes] for name in ("call", "put")]
    found = implied_volatilities(kinds, values, SPOT, strikes, 0.1)
    assert found.shape == (2, 3)
    assert found == pytest.approx(np.full((2, 3), 0.8), rel=1e-10)
    assert implied_volatilities(CALL, [-1.0, 101.0], SPOT, 100.0, 0.1).tolist() == [TOO_LOW, TOO_HIGH]


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (9.0, "price is 9.0, but must be a number from 10 to below 100."),
        (100.0, "price is 100.0, but must be a number from 10 to below 100."),
        (math.nan, "price is nan, but must be a number from 10 to below 100."),
    ],
)
def test_a_price_without_a_volatility_gets_one_clear_sentence(price, message):
    with pytest.raises(ValueError, match=message):
        implied_volatility("call", price, SPOT, 90.0, 0.1)
