import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from blockspace.agents.hedging import best_interval, clock_due, hedge_trade, no_trade_band
from blockspace.experiments.validation.hedging import gap_cost

costs = st.floats(1e-6, 1e3)
gammas = st.floats(1e-6, 1.0)
aversions = st.floats(1e-4, 1e2)


def test_a_clock_is_due_after_its_interval():
    assert not clock_due(99, 0, 100)
    assert clock_due(100, 0, 100)
    assert clock_due(250, 100, 100)


def test_known_bands():
    gamma, aversion = 0.02, 2.0
    edge, back_to = no_trade_band(0.3, 0.0, gamma, aversion)
    assert (edge, back_to) == (pytest.approx((12 * 0.3 * gamma**2 / aversion) ** 0.25), 0.0)
    edge, back_to = no_trade_band(0.0, 0.1, gamma, aversion)
    assert edge == back_to == pytest.approx((3 * 0.1 * gamma**2 / (2 * aversion)) ** (1 / 3))


@settings(max_examples=300, deadline=None)
@given(fixed=costs, unit_cost=costs, gamma=gammas, aversion=aversions)
def test_mixed_costs_satisfy_both_conditions(fixed, unit_cost, gamma, aversion):
    edge, back_to = no_trade_band(fixed, unit_cost, gamma, aversion)
    assert edge > back_to >= 0.0
    scale = aversion / gamma**2
    assert scale * edge * back_to * (edge + back_to) / 3 == pytest.approx(unit_cost, rel=1e-7)
    # the gap of a small fixed cost is a difference of two nearly equal numbers
    lost = 1e-12 * edge / (edge - back_to)
    assert scale * (edge - back_to) ** 3 * (edge + back_to) / 12 == pytest.approx(fixed, rel=1e-9 + lost)


@pytest.mark.parametrize(("fixed", "unit_cost"), [(0.01, 0.1), (0.3, 0.1), (0.3, 1e-3), (1e-4, 1.0)])
def test_no_other_band_costs_less(fixed, unit_cost):
    gamma, aversion = 0.02, 1.5
    risk = aversion / (2.0 * gamma**2)

    def cost(logs):
        back_to = math.exp(logs[1])
        return gap_cost(fixed, unit_cost, risk, back_to + math.exp(logs[0]), back_to)

    best = minimize(cost, [-3.0, -3.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 0.0, "maxiter": 2_000})
    back_to = math.exp(best.x[1])
    assert no_trade_band(fixed, unit_cost, gamma, aversion) == pytest.approx(
        (back_to + math.exp(best.x[0]), back_to), rel=1e-4
    )


def test_mixed_costs_go_over_into_pure_ones():
    assert no_trade_band(0.3, 1e-12, 0.02, 2.0) == pytest.approx(no_trade_band(0.3, 0.0, 0.02, 2.0), abs=1e-9)
    assert no_trade_band(1e-18, 0.1, 0.02, 2.0) == pytest.approx(no_trade_band(0.0, 0.1, 0.02, 2.0), rel=1e-4)


def test_without_costs_or_gamma_there_is_no_band():
    assert no_trade_band(0.0, 0.0, 0.02, 2.0) == (0.0, 0.0)
    for fixed, unit_cost in ((0.3, 0.0), (0.0, 0.1), (0.3, 0.1)):
        assert no_trade_band(fixed, unit_cost, 0.0, 2.0) == (0.0, 0.0)


def test_the_sign_of_gamma_does_not_matter():
    assert no_trade_band(0.3, 0.1, -0.02, 2.0) == no_trade_band(0.3, 0.1, 0.02, 2.0)


def test_dearer_trades_are_rarer():
    edges = [no_trade_band(gas, 0.1, 0.02, 2.0)[0] for gas in (0.0, 0.01, 0.1, 1.0)]
    assert edges == sorted(edges)
    assert edges[0] < edges[-1]


@pytest.mark.parametrize(
    ("gap", "edge", "back_to", "trade"),
    [
        (0.3, 0.3, 0.1, 0.0),
        (-0.3, 0.3, 0.1, 0.0),
        (0.5, 0.3, 0.125, 0.375),
        (-0.5, 0.3, 0.125, -0.375),
        (0.5, 0.25, 0.25, 0.25),
        (0.5, 0.0, 0.0, 0.5),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_trades_go_from_beyond_the_edge_to_where_they_should(gap, edge, back_to, trade):
    assert hedge_trade(gap, edge, back_to) == trade


@settings(max_examples=200, deadline=None)
@given(fixed=costs, unit_cost=st.just(0.0) | costs, gamma=gammas, aversion=aversions)
def test_no_other_clock_costs_less(fixed, unit_cost, gamma, aversion):
    price, variance = 2_000.0, 0.4
    speed = gamma**2 * variance * price**2

    def cost(interval):
        traded = math.sqrt(2.0 * speed / (math.pi * interval))
        return fixed / interval + unit_cost * traded + 0.25 * aversion * variance * price**2 * speed * interval

    best = best_interval(fixed, unit_cost, gamma, variance, price, aversion)
    assert cost(best) <= min(cost(0.99 * best), cost(1.01 * best))


def test_clocks_without_costs_or_without_gamma():
    assert best_interval(0.3, 0.1, 0.0, 0.4, 2_000.0, 1e-3) == 0.0
    assert best_interval(0.0, 0.0, 0.02, 0.4, 2_000.0, 1e-3) == 0.0
    slow, fast = (best_interval(gas, 0.0, 0.02, 0.4, 2_000.0, 1e-3) for gas in (4.0, 1.0))
    assert slow == pytest.approx(2.0 * fast)  # the root of the gas
