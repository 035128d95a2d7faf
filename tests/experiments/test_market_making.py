import pytest

from blockspace.experiments.validation import run_validation
from blockspace.experiments.validation.market_making import (
    gas_law_half_spread,
    sniping_half_spread,
    stale_quote_half_spread,
)


@pytest.mark.parametrize(
    ("ratio", "half_spread"), [(0.1, 0.0913), (0.5, 0.3517), (1, 0.5671), (2, 0.8526), (5, 1.3267)]
)
def test_half_spread_of_a_maker_who_is_sniped(ratio, half_spread):
    assert sniping_half_spread(1.0, ratio) == pytest.approx(half_spread, abs=1e-4)


@pytest.mark.parametrize(
    ("flow", "half_spread"), [(10, 0.0727), (3, 0.2036), (1, 0.4363), (0.3, 0.8006), (0.1, 1.1767), (0.001, 2.6332)]
)
def test_half_spread_of_a_quote_that_rests_for_a_block(flow, half_spread):
    assert stale_quote_half_spread(flow) == pytest.approx(half_spread, abs=1e-4)


def test_half_spread_of_a_maker_who_pays_for_quotes():
    assert gas_law_half_spread(8.0, 1.0, 1.0) == pytest.approx(2.0)
    assert gas_law_half_spread(1.0, 8.0, 1.0) == pytest.approx(4.0)
    assert gas_law_half_spread(1.0, 1.0, 8.0) == pytest.approx(0.5)


@pytest.mark.parametrize("target", [pytest.param("V14", marks=pytest.mark.slow), "V15", "V16"])
def test_makers_arrive_at_the_spread_of_theory(target):
    wrong = [row for row in run_validation([target], quick=True) if not row.passed]
    assert not wrong
