import numpy as np
import pytest

from blockspace.experiments.validation import premium, run_validation
from blockspace.experiments.validation.premium import (
    fee_autocorrelation,
    gas_variance,
    part_errors,
    simulate,
    simulated_path,
    value_after_gas,
)


@pytest.fixture(scope="module")
def rows():
    return run_validation(["V25"], quick=True)


def test_parts_of_the_premium_are_those_of_theory(rows):
    assert len(rows) >= 15
    assert [row.what for row in rows if not row.passed] == []


def test_what_is_compared_is_not_trivial(rows):
    assert [row for row in rows if "covariance part" in row.what and row.high > row.low]
    assert all(row.simulation != 0.0 for row in rows if row.theory != 0.0)


def test_a_wrong_risk_of_gas_is_noticed(monkeypatch):
    monkeypatch.setattr(premium, "gas_variance", lambda *case: 1.2 * gas_variance(*case))
    assert len([row for row in premium._clock_rows(True) if not row.passed]) == 1


def test_golden_values_of_a_call_with_gas():
    assert value_after_gas(0.0) == pytest.approx(7.06806, abs=5e-6)
    assert [round(value_after_gas(variation), 2) for variation in (1.0, 2.0)] == [7.23, 7.49]


def test_variance_of_gas_between_its_limits():
    assert gas_variance(10, 2.0, 0.8, 0.0) == pytest.approx(10 * 4.0)
    assert gas_variance(10, 2.0, 0.8, 1.0) == pytest.approx(100 * 4.0)
    assert fee_autocorrelation(0, 0.8, 0.9) == 1.0
    assert fee_autocorrelation(3, 1e-6, 0.9) == pytest.approx(0.9**3)


def test_simulated_options_share_their_draws_whatever_the_number():
    few, many = (simulated_path(count, 24, 1.0, 0.5, 0.9) for count in (3, 6))
    assert few.prices_usd.tolist() == many.prices_usd[: 3 * 25].tolist()
    assert few.fees_usd.tolist() == many.fees_usd[: 3 * 25].tolist()
    assert set(few.prices_usd[::25]) == {100.0}


def test_bands_trade_most_when_hedging_loses_most_whatever_fees_do():
    path = simulated_path(1_000, 720, 0.01)
    by_clock, by_band = (
        part_errors(simulate(path, 1_000, policy)[:, 0])["covariance_usd"]
        for policy in (premium.clock(path, 6), np.array([(0, 1.0, 0)], premium.POLICY))
    )
    assert by_band.value > 5 * by_band.error
    assert abs(by_clock.value) < 0.2 * by_band.value


def test_standard_errors_shrink_with_the_root_of_the_number():
    errors = []
    for count in (500, 8_000):
        path = simulated_path(count, 24, 0.1, 0.5, 0.9)
        errors.append(part_errors(simulate(path, count, premium.clock(path, 2))[:, 0])["premium_usd"].error)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)
