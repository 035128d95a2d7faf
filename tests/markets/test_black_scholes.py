import itertools
import math

import numpy as np
import pytest
import QuantLib as ql
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.options.black_scholes import (
    CALL,
    PUT,
    SERIES,
    YEAR_NS,
    Greeks,
    greeks,
    log_moneyness,
    mills,
    price_option,
    revalue,
)
from tests.markets.slow_black_scholes import slow_greeks

SPOT = 100.0
YEARS = (1e-10, 1e-7, 1e-4, 7 / 365, 30 / 365, 1.0, 30.0)
VOLATILITIES = (1e-4, 0.05, 0.8, 5.0)
DISTANCES = (0.0, 1e-9, -1e-3, 0.02, -0.5, 1.0, -3.0, 5.0, -12.0, 30.0, -37.0)
RATES = ((0.0, 0.0), (0.05, 0.02), (-0.03, 0.04))
KINDS = {CALL: ql.Option.Call, PUT: ql.Option.Put}

prices = st.floats(1e-50, 1e50)
signs = st.sampled_from((CALL, PUT))


def grid():
    """Options whose strike is so many deviations of the log price from the spot."""
    for years, volatility, distance, kind, rates in itertools.product(YEARS, VOLATILITIES, DISTANCES, KINDS, RATES):
        log_distance = distance * volatility * math.sqrt(years)
        if abs(log_distance) < 100.0:
            yield SPOT, SPOT * math.exp(log_distance), years, volatility, kind, *rates


def test_every_digit_holds_against_400_of_them():
    """To 1e-11, from -37 to 30 deviations, where the textbook's difference of two tails has lost every digit."""
    worst = dict.fromkeys(Greeks._fields, 0.0)
    for option in itertools.islice(grid(), 0, None, 5):
        slow, ours = Greeks(*slow_greeks(*option)), Greeks(*greeks(*option))
        for name, exact, found in zip(Greeks._fields, slow, ours, strict=True):
            # vanna, volga and, with rates, theta pass through 0: their parts are exact, not what is left of them
            parts = {"vanna": slow.vega / SPOT, "volga": slow.vega, "theta": slow.vega}
            scale = max(abs(exact), 1e-2 * parts.get(name, 0.0))
            if scale > 1e-290:
                worst[name] = max(worst[name], abs(found - exact) / scale)
    assert max(worst.values()) < 1e-11, worst


def test_quantlib_agrees():
    """To 1e-10 of the result where QuantLib's own difference of tails keeps so many digits, elsewhere of the spot."""
    closely = 0
    for spot, strike, years, volatility, kind, rate, carry in grid():
        forward = spot * math.exp((rate - carry) * years)
        deviation, discount = volatility * math.sqrt(years), math.exp(-rate * years)
        payoff = ql.PlainVanillaPayoff(KINDS[kind], strike)
        theirs = ql.BlackCalculator(payoff, forward, deviation, discount)
        ours = Greeks(*greeks(spot, strike, years, volatility, kind, rate, carry))
        assert abs(ours.value - theirs.value()) <= 1e-13 * max(spot, strike)
        if 0.01 < deviation < 2.0 and abs(math.log(forward / strike)) < 3.1 * deviation:
            closely += 1
            assert ours.value == pytest.approx(theirs.value(), rel=1e-10)
            assert ours.delta == pytest.approx(theirs.delta(spot), rel=1e-10)
            assert ours.gamma == pytest.approx(theirs.gamma(spot), rel=1e-10)
            assert ours.vega == pytest.approx(theirs.vega(years), rel=1e-10)
    assert closely > 300


def test_quantlib_agrees_on_theta():
    today = ql.Date(1, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    days = ql.Actual365Fixed()
    for strike, kind in itertools.product((50.0, 90.0, 100.0, 130.0, 200.0), KINDS):
        spot = ql.QuoteHandle(ql.SimpleQuote(SPOT))
        curves = (ql.YieldTermStructureHandle(ql.FlatForward(today, rate, days)) for rate in (0.02, 0.05))
        surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), 0.8, days))
        process = ql.BlackScholesMertonProcess(spot, *curves, surface)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(KINDS[kind], strike), ql.EuropeanExercise(today + 30))
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
        ours = Greeks(*greeks(SPOT, strike, 30 / 365, 0.8, kind, 0.05, 0.02))
        assert ours.theta == pytest.approx(option.theta(), rel=1e-10)
        assert ours.value == pytest.approx(option.NPV(), rel=1e-10)


@pytest.mark.parametrize(
    ("days", "value", "delta", "gamma", "vega"),
    [
        (7, 4.41754, 0.52209, 0.035954, 5.51628),
        (30, 9.12984, 0.54565, 0.017280, 11.36236),
        (180, 22.12119, 0.61061, 0.0068265, 26.93184),
    ],
)
def test_known_answers(days, value, delta, gamma, vega):
    option = price_option("call", SPOT, SPOT, days / 365, 0.8)
    assert (option.value, option.delta, option.vega) == pytest.approx((value, delta, vega), abs=5e-6)
    assert option.gamma == pytest.approx(gamma, abs=5e-7)
    assert option.gamma * SPOT**2 * 0.8 * days / 365 == pytest.approx(option.vega, rel=1e-12)


@settings(max_examples=500, deadline=None)
@given(
    spot=prices,
    strike=prices,
    years=st.floats(0, 1e10) | st.floats(0, 1),
    volatility=st.floats(0, 1e10) | st.floats(0, 5),
    kind=signs,
    growth=st.floats(-100, 100),
    income=st.floats(-100, 100),
)
def test_nothing_is_ever_infinite_or_not_a_number(spot, strike, years, volatility, kind, growth, income):
    time = max(years, 1.0)
    option = Greeks(*greeks(spot, strike, years, volatility, kind, growth / time, income / time))
    assert all(map(math.isfinite, option))
    assert option.value >= 0.0
    assert option.gamma >= 0.0
    assert option.vega >= 0.0


@settings(max_examples=300, deadline=None)
@given(
    distance=st.floats(-5, 5),
    years=st.floats(1e-9, 10),
    volatility=st.floats(1e-3, 5),
    rate=st.floats(-0.2, 0.2),
    carry=st.floats(-0.2, 0.2),
)
def test_calls_and_puts_agree(distance, years, volatility, rate, carry):
    strike = SPOT * math.exp(distance * volatility * math.sqrt(years))
    terms = strike, years, volatility
    call, put = (Greeks(*greeks(SPOT, *terms, kind, rate, carry)) for kind in (CALL, PUT))
    forward, bond = SPOT * math.exp(-carry * years), strike * math.exp(-rate * years)
    assert call.value - put.value == pytest.approx(forward - bond, rel=1e-10, abs=1e-10 * max(forward, bond))
    assert call.delta - put.delta == pytest.approx(forward / SPOT, rel=1e-10)
    assert (call.gamma, call.vega, call.vanna, call.volga) == (put.gamma, put.vega, put.vanna, put.volga)
    assert call.theta - put.theta == pytest.approx(
        carry * forward - rate * bond, rel=1e-9, abs=1e-10 * (abs(call.theta) + forward)
    )


@pytest.mark.parametrize(("years", "volatility"), [(0.0, 0.8), (0.5, 0.0), (0.0, 0.0), (1e-320, 1e-320)])
@pytest.mark.parametrize(
    ("kind", "strike", "value", "delta"),
    [
        ("call", 90.0, 10.0, 1.0),
        ("call", 100.0, 0.0, 0.5),
        ("call", 110.0, 0.0, 0.0),
        ("put", 90.0, 0.0, 0.0),
        ("put", 100.0, 0.0, -0.5),
        ("put", 110.0, 10.0, -1.0),
    ],
)
def test_at_expiry_and_without_volatility(years, volatility, kind, strike, value, delta):
    option = price_option(kind, SPOT, strike, years, volatility)
    assert option.value == pytest.approx(value, rel=1e-14)
    assert option[1:] == (delta, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_without_volatility_the_forward_decides():
    option = price_option("call", SPOT, 100.5, 1.0, 0.0, rate=0.05)
    assert option.value == pytest.approx(SPOT - 100.5 * math.exp(-0.05))
    assert option.theta == pytest.approx(-0.05 * 100.5 * math.exp(-0.05))


@settings(max_examples=200, deadline=None)
@given(
    strike=st.floats(60, 160), years=st.floats(0.02, 2), volatility=st.floats(0.2, 1.5), kind=signs,
    rate=st.floats(-0.1, 0.1), carry=st.floats(-0.1, 0.1),
)  # fmt: skip
def test_greeks_are_derivatives_of_the_value(strike, years, volatility, kind, rate, carry):
    def at(spot=SPOT, time=years, sigma=volatility):
        return Greeks(*greeks(spot, strike, time, sigma, kind, rate, carry))

    option, step = at(), 1e-4
    close = {"rel": 1e-5, "abs": 1e-5}
    assert option.delta == pytest.approx((at(SPOT + step).value - at(SPOT - step).value) / (2 * step), **close)
    assert option.gamma == pytest.approx((at(SPOT + step).delta - at(SPOT - step).delta) / (2 * step), **close)
    up, down = at(sigma=volatility + step), at(sigma=volatility - step)
    assert option.vega == pytest.approx((up.value - down.value) / (2 * step), **close)
    assert option.vanna == pytest.approx((up.delta - down.delta) / (2 * step), **close)
    assert option.volga == pytest.approx((up.vega - down.vega) / (2 * step), rel=1e-4, abs=1e-4)
    step *= 0.01
    passed = (at(time=years - step).value - at(time=years + step).value) / (2 * step)
    assert option.theta == pytest.approx(passed, rel=1e-4, abs=1e-4)


def test_both_ways_to_subtract_meet():
    """Where the series takes over, the value neither jumps nor bends."""
    for centre in (0.0, 0.5, 3.0, 20.0):
        half = 1e-3 * (1.0 + centre)
        options = [
            greeks(SPOT, SPOT * math.exp(2.0 * centre * near), 1.0, 2.0 * near, CALL, 0.0, 0.0)[0]
            / slow_greeks(SPOT, SPOT * math.exp(2.0 * centre * near), 1.0, 2.0 * near, CALL)[0]
            for near in (half * (1 - 1e-9), half * (1 + 1e-9))
        ]
        assert options == pytest.approx([1.0, 1.0], rel=2e-12)


def test_the_ratio_of_mills_and_the_log():
    assert mills(0.0) == pytest.approx(math.sqrt(math.pi / 2), rel=5e-16)
    assert mills(1.0) == pytest.approx(0.6556795424187985, rel=1e-15)
    assert mills(1e8) == pytest.approx(1e-8, rel=1e-15)
    assert log_moneyness(1.0 + 2**-50, 1.0) == pytest.approx(2**-50, rel=1e-14)
    assert log_moneyness(8.0, 2.0) == math.log(4.0)


def test_a_surface_is_its_series():
    surface = np.zeros(60, SERIES)
    surface["strike"] = np.tile(np.linspace(50.0, 150.0, 6), 10)
    surface["expiry"] = np.repeat(np.linspace(0, YEAR_NS, 10).astype(np.int64), 6)
    surface["kind"] = np.where(np.arange(60) % 2, CALL, PUT)
    surface["volatility"] = np.linspace(0.2, 1.5, 60)
    now = YEAR_NS // 3
    revalue(surface, SPOT, now, 0.01, 0.02)
    for series in surface:
        kind = "call" if series["kind"] == CALL else "put"
        years = max(0, int(series["expiry"]) - now) / YEAR_NS
        one = price_option(kind, SPOT, series["strike"], years, series["volatility"], rate=0.01, carry=0.02)
        assert tuple(series[name] for name in Greeks._fields) == one
    assert (surface["gamma"][surface["expiry"] <= now] == 0.0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "Call"}, "kind is 'Call', but must be 'call' or 'put'"),
        ({"spot": 0.0}, "spot is 0.0, but must be a number from 1e-50 to 1e\\+50"),
        ({"strike": -1.0}, "strike is -1.0, but must be a number from"),
        ({"years": -1e-9}, "years is -1e-09, but must be a number from 0 to"),
        ({"volatility": math.nan}, "volatility is nan, but must be a number from 0 to"),
        ({"rate": math.inf}, "rate \\* years is inf, but must be a number from -100 to 100"),
    ],
)
def test_bad_input_gets_one_clear_sentence(changes, message):
    terms = {"kind": "call", "spot": 100.0, "strike": 100.0, "years": 0.1, "volatility": 0.8} | changes
    with pytest.raises(ValueError, match=message):
        price_option(**terms)
