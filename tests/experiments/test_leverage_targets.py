"""The targets of margin and liquidations agree, and would notice if they did not."""

import pytest

from blockspace.experiments.recording.liquidations import cascade_sizes
from blockspace.experiments.validation import (
    anchoring,
    announced_moves,
    liquidations,
    margin,
    run_validation,
    unified_margin,
)
from blockspace.experiments.validation.liquidations import barrier_probability, expected_shortfall


@pytest.mark.parametrize("target", ["V26", "V32", "V33", "V34", "V34b", "V35"])
def test_leverage_follows_theory(target):
    rows = run_validation([target], quick=True)
    assert rows
    assert [row.what for row in rows if not row.passed] == []


def test_closed_forms():
    assert barrier_probability(0.04, 86_400.0) == pytest.approx(0.3463, abs=5e-5)
    assert barrier_probability(0.04, 86_400.0, 300.0) == pytest.approx(0.3291, abs=5e-5)
    golden = {(600, 0.0025): 4.848, (600, 0.005): 1.190, (600, 0.01): 0.0213}
    golden |= {(3600, 0.0025): 23.05, (3600, 0.005): 14.77, (3600, 0.01): 5.10}
    for (delay_s, buffer), expected in golden.items():
        assert 1e4 * expected_shortfall(buffer, delay_s) == pytest.approx(expected, rel=3e-3)


def test_a_wrong_shortfall_is_noticed(monkeypatch):
    right = expected_shortfall
    monkeypatch.setattr(liquidations, "expected_shortfall", lambda buffer, delay_s: right(buffer, 1.5 * delay_s))
    assert not all(row.passed for row in run_validation(["V33"], quick=True))


def test_a_wrong_buffer_is_noticed(monkeypatch):
    monkeypatch.setattr(unified_margin, "HORIZON_S", 0.9 * unified_margin.HORIZON_S)
    assert not all(row.passed for row in run_validation(["V34b"], quick=True))


def test_a_wrong_maintenance_is_noticed(monkeypatch):
    monkeypatch.setattr(margin, "LEVERAGES", (2.0, 4.99))
    assert all(row.passed for row in run_validation(["V26"], quick=True))
    monkeypatch.setattr(margin, "MAINTENANCE", 0.026)
    assert not all(row.passed for row in run_validation(["V26"], quick=True))


def test_nothing_anchors_a_perpetual_where_nobody_earns_its_basis(monkeypatch):
    premium, rates = anchoring.run(anchoring.pushed_market(262), 1_200)
    assert premium.min() > 25.0
    assert rates[-1] > 5.0 * rates[rates != 0.0][0] > 0.0
    monkeypatch.setattr(anchoring, "CLAMP_BPS", 4.0)
    assert not all(row.passed for row in anchoring.anchoring(quick=True))


def test_the_basis_halves_at_the_pace_of_funding(monkeypatch):
    """Another pace would be noticed, and where nobody learns there is no basis at all."""
    assert [row.passed for row in announced_moves.announced_moves(quick=True)] == [True]
    monkeypatch.setattr(announced_moves, "PACE_PER_H", 1.0 / 7.0)
    assert [row.passed for row in announced_moves.announced_moves(quick=True)] == [False]
    monkeypatch.setattr(announced_moves, "LEARNING_RATE", 0.0)
    assert not announced_moves.half_life(announced_moves.market_of_moves(4), 4) < 100.0, "nobody has learned anything"


@pytest.mark.parametrize(
    ("times", "below_since", "sizes"),
    [
        ([], [], []),
        ([10], [5], [1]),
        ([10, 22], [10, 22], [2]),  # one update after the one before
        ([10, 22.1], [10, 22.1], [1, 1]),
        ([10, 400], [10, 11], [2]),  # it fell with the first and had to wait
        ([10, 20, 30, 90, 91], [9, 20, 12, 80, 80], [3, 2]),
    ],
)
def test_cascades(times, below_since, sizes):
    assert cascade_sizes(times, below_since, 12.0) == sizes
