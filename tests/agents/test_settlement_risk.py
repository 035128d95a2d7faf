"""What waiting is worth to somebody averse to risk, and which sizes are tried."""

import math

import numpy as np
import pytest

from blockspace.agents.settlement_risk import REMEMBERED, Waits, cost_of, risk_price_usd, sizes_to_try

ASKS = np.array([[100.0, 1.0], [101.0, 2.0]])
BIDS = np.array([[102.0, 2.0], [101.5, 5.0]])


def test_the_price_of_risk_is_the_logarithm_of_the_mean_exponential():
    waits, notional, variance, aversion = [1.0, 3.0, 8.0], 5_000.0, 1e-5, 2e-4
    rate = 0.5 * (aversion * notional) ** 2 * variance
    slow = math.log(sum(math.exp(rate * wait) for wait in waits) / 3.0) / aversion
    assert float(risk_price_usd(waits, notional, variance, aversion)) == pytest.approx(slow)
    assert float(risk_price_usd(waits, -notional, variance, aversion)) == pytest.approx(slow)
    assert risk_price_usd(waits, [0.0, notional], variance, aversion).tolist() == pytest.approx([0.0, slow])


def test_a_week_does_not_overflow():
    assert math.isfinite(float(risk_price_usd([604_800.0, 1.0], 1e9, 1e-6, 1e-3)))


def test_sizes_end_at_levels_and_at_the_most():
    assert set(sizes_to_try(ASKS, BIDS, math.inf)) >= {1.0, 2.0, 3.0}
    assert sizes_to_try(ASKS, BIDS, 1.5).max() == 1.5
    assert len(sizes_to_try(ASKS, BIDS[:0], math.inf)) == 0


def test_what_sizes_cost_along_the_levels():
    assert cost_of(ASKS, np.array([0.5, 1.0, 2.0])).tolist() == pytest.approx([50.0, 100.0, 201.0])


def test_the_latest_waits_are_remembered():
    waits = Waits()
    assert waits.seen(7.0).tolist() == [7.0]
    for number in range(REMEMBERED + 3):
        waits.add(float(number))
    assert len(waits.seen(7.0)) == REMEMBERED
    assert waits.seen(7.0).min() == 3.0
