"""Measures of concentration, known answers and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockspace.network.decentralisation import (
    decentralisation_measures,
    keeps_up,
    parties_needed,
    share_that_keeps_up,
)

BUILDERS_MARCH_2025 = [44.46, 42.53, 9.98, 1.88, 1.18]


@pytest.mark.parametrize(
    ("stake", "hhi", "gini", "third", "half"),
    [
        ([5.0], 1.0, 0.0, 1, 1),
        ([1, 1, 1], 1 / 3, 0.0, 2, 2),
        ([0.1] * 10, 0.1, 0.0, 4, 6),  # exactly half is not more than half
        ([1] * 18, 1 / 18, 0.0, 7, 10),  # in floating point, nine shares of 1/18 add up to more than a half
        ([1, 0, 0, 0], 1.0, 0.75, 1, 1),
        ([3, 1], 0.625, 0.25, 1, 1),
        ([32] * 6 + [0] * 6, 1 / 6, 0.5, 3, 4),
    ],
)
def test_decentralisation_known_answers(stake: list[float], hhi: float, gini: float, third: int, half: int) -> None:
    assert decentralisation_measures(stake) == pytest.approx(
        {
            "hhi": hhi,
            "effective_number": 1 / hhi,
            "gini": gini,
            "nakamoto_third": third,
            "nakamoto_half": half,
        },
        abs=1e-12,
    )


def test_concentration_of_ethereum_block_builders() -> None:
    measures = decentralisation_measures(BUILDERS_MARCH_2025)
    # Published as 3,892; the rounded shares, which add up to 100.03 %, give a thousandth less.
    assert 10_000 * measures["hhi"] == pytest.approx(3_887.687, abs=1e-3)
    assert 10_000 * measures["hhi"] == pytest.approx(3_892, rel=1.2e-3)
    assert measures["nakamoto_third"] == 1
    assert measures["nakamoto_half"] == 2


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60).filter(any), st.integers(1, 1_000))
def test_decentralisation_bounds_and_scale(stake: list[int], scale: int) -> None:
    measures = decentralisation_measures(stake)
    assert 1 / len(stake) - 1e-12 <= measures["hhi"] <= 1 + 1e-12
    assert -1e-12 <= measures["gini"] <= 1 - 1 / len(stake) + 1e-12
    assert 1 <= measures["nakamoto_third"] <= measures["nakamoto_half"] <= len(stake)
    assert decentralisation_measures([scale * value for value in stake]) == pytest.approx(measures, abs=1e-9)
    largest = sorted(stake, reverse=True)
    for name, parts in (("nakamoto_third", 3), ("nakamoto_half", 2)):
        count = int(measures[name])
        assert parts * sum(largest[:count]) > sum(stake) >= parts * sum(largest[: count - 1])


@pytest.mark.parametrize("stake", [[], [0, 0], [1, -1]])
def test_impossible_stakes_are_refused(stake: list[float]) -> None:
    with pytest.raises(ValueError, match=r"stake was .*; it must be 0 or more for all parties"):
        decentralisation_measures(stake)


@pytest.mark.parametrize(
    ("stake", "share", "parties"),
    [
        ([1, 1, 1], 1 / 3, 2),
        ([1, 1, 1], 2 / 3, 3),
        ([40, 30, 20, 10], 0.0, 1),
        ([40, 30, 20, 10], 0.9, 4),
        ([40, 30, 20, 10], 1.0, 5),
    ],
)
def test_parties_who_hold_more_than_a_share(stake, share, parties):
    assert parties_needed(stake, share) == parties


def test_who_keeps_up_with_a_block():
    lines = np.array([10.0, 25.0, 100.0])
    # A megabyte takes 0.8, 0.32 and 0.08 s; 36 million units of gas take 0.18 s.
    deadlines = (0.25, 0.27, 0.49, 0.51, 0.97, 0.99)
    counts = [keeps_up(lines, 1e6, 36e6, deadline, 5.0).sum() for deadline in deadlines]
    assert counts == [0, 1, 1, 2, 2, 3]
    assert share_that_keeps_up([5, 3, 2], lines, 1e6, 36e6, 0.6, 5.0) == pytest.approx(0.5)
    assert share_that_keeps_up([5, 3, 2], lines, 0.0, 0.0, 0.0, 5.0) == 1.0
