"""Validators who stay or leave: what they count, and what becomes of the stake of those who left."""

import numpy as np
import pytest

from blockspace.agents.validators import COUNTS, MONTH_S, Validators, ValidatorSettings, new_validators
from blockspace.network.decentralisation import decentralisation_measures

FREE = {
    "machine_usd_per_month": 0.0,
    "usd_per_mgas_per_s_month": 0.0,
    "home_line_usd_per_month": 0.0,
    "usd_per_mbps_month": 0.0,
    "issuance_per_year": 0.0,
    "minimum_stake_ether": 0.0,
    "total_stake_ether": 1_000.0,
    "review_s": 3_600.0,
}
STAKE = np.array([0.5, 0.3, 0.15, 0.05])


def validators(peers=4, at_home=(False, False, True, True), stake=STAKE, **settings):
    rows = new_validators([10, 11, 12, 13], stake, list(at_home))
    return Validators(ValidatorSettings(**{**FREE, **settings}), rows, peers)


def review(all_of_them, tips_gwei=0, month=1, votes=0, voted=0, slots=0, missed=0):
    counts = np.zeros(4, COUNTS)
    counts["votes"], counts["slots"], counts["missed"] = votes, slots, missed
    return all_of_them.review(round(month * MONTH_S * 1e9), tips_gwei, 2_000.0, counts, voted)


def test_where_nothing_costs_anything_all_stay():
    free = validators()
    assert not review(free)
    assert free.rows["active"].all()
    assert free.rows["profit_usd_per_month"].tolist() == [0.0] * 4


def test_who_does_not_earn_its_costs_leaves_and_its_stake_goes_to_the_rest():
    # A month's tips of one ether are 2,000 dollars: shares of 1,000, 600, 300 and 100.
    dear = validators(machine_usd_per_month=300.0 - 1e-6)
    assert review(dear, tips_gwei=10**9)
    assert dear.rows["profit_usd_per_month"] == pytest.approx([700, 300, 0, -200], abs=1e-3)
    assert dear.rows["active"].tolist() == [1, 1, 1, 0]
    assert dear.rows["stake_share"] == pytest.approx(np.array([0.5, 0.3, 0.15, 0.0]) / 0.95)
    assert dear.rows["left_at"].tolist()[:3] == [0, 0, 0]
    assert dear.rows["left_at"][3] > 0
    assert not review(dear, tips_gwei=2 * 10**9, month=2)


def test_costs_follow_gas_and_bytes_and_peers():
    month_ns_gas, month_bytes = round(5e6 * MONTH_S), round(125_000 * MONTH_S)
    busy = validators(
        machine_usd_per_month=7.0,
        usd_per_mgas_per_s_month=2.0,
        usd_per_mbps_month=3.0,
        home_line_usd_per_month=40.0,
        required_return_per_year=0.0,
    )
    busy.note_block(month_ns_gas // 2, month_bytes)
    busy.note_block(month_ns_gas - month_ns_gas // 2, 0)
    # A line of one megabit per second, loaded once and sent on four times.
    review(busy, tips_gwei=0)
    assert busy.rows["profit_usd_per_month"] == pytest.approx([-32.0, -32.0, -57.0, -57.0], abs=1e-3)
    assert busy.rows["active"].tolist() == [1, 0, 0, 0], "the largest stays, whatever it loses"
    assert busy.rows["stake_share"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_issuance_is_earned_by_votes_in_time():
    paid = validators(issuance_per_year=0.12, machine_usd_per_month=500.0)
    # One per cent of 2,000,000 dollars a month: 10,000, 6,000, 3,000, 1,000.
    votes = np.array([100, 100, 50, 40])
    review(paid, votes=votes, voted=100)
    assert paid.rows["profit_usd_per_month"] == pytest.approx([9_500, 5_500, 1_000, -100], abs=1e-3)
    assert paid.rows["active"].tolist() == [1, 1, 1, 0]
    review(paid, month=2, votes=votes + np.array([100, 100, 100, 0]), voted=200)
    assert paid.rows["profit_usd_per_month"][2] == pytest.approx(20_000 * 0.15 / 0.95 - 500, abs=1e-3)


def test_tips_are_earned_by_those_whose_blocks_count():
    paid = validators()
    # At home no block counts at first, and a quarter of them later; in data centres all do.
    review(paid, tips_gwei=10**9, slots=[100, 60, 3, 1], missed=[0, 0, 3, 1])
    assert paid.rows["profit_usd_per_month"] == pytest.approx([1_250, 750, 0, 0], abs=1e-3)
    review(paid, tips_gwei=2 * 10**9, month=2, slots=[100, 60, 5, 3], missed=[0, 0, 4, 3])
    kept = np.array([1.0, 1.0, 0.25, 0.25])
    expected = 2_000 * STAKE * kept / (STAKE @ kept)
    assert paid.rows["profit_usd_per_month"] == pytest.approx(expected, abs=1e-3)


def test_the_required_return_and_the_least_stake():
    wanting = validators(issuance_per_year=0.03, required_return_per_year=0.05)
    assert review(wanting)
    assert wanting.rows["active"].tolist() == [1, 0, 0, 0]
    small = validators(minimum_stake_ether=150.0 + 1e-6)
    assert review(small)
    assert small.rows["active"].tolist() == [1, 1, 0, 0]
    assert not review(validators(minimum_stake_ether=50.0))


def test_reviews_say_who_is_left():
    dear = validators(machine_usd_per_month=299.0)
    review(dear, tips_gwei=10**9)
    [found] = dear.table()
    measures = decentralisation_measures(dear.rows["stake_share"][:3])
    assert (found["active"], found["left"]) == (3, 1)
    assert found["gini"] == pytest.approx(measures["gini"])
    assert found["hhi"] == pytest.approx(measures["hhi"])
    assert (found["nakamoto_third"], found["nakamoto_half"]) == (1, 1)
    assert found["home_stake_share"] == pytest.approx(0.15 / 0.95)
    assert found["votes_in_time_share"] == pytest.approx(1.0)


def test_it_is_due_after_so_many_seconds():
    all_of_them = validators()
    assert not all_of_them.is_due(3_600 * 10**9 - 1)
    assert all_of_them.is_due(3_600 * 10**9)
