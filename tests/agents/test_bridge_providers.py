"""Who pays out a transfer early, and for how much."""

import numpy as np
import pytest

from blockspace.agents.bridge_providers import BRIDGE_PROVIDER, choose_provider, expect, new_bridge_providers
from blockspace.network.rollups.settings import BridgeSettings

WEEK_S = 7 * 86_400.0
AMOUNT = 1_000_000_000


def providers(*costs):
    rows = np.zeros(len(costs), BRIDGE_PROVIDER)
    rows["cost_per_year"] = costs
    return rows


def test_the_cheapest_wins_and_gets_what_the_second_cheapest_asks():
    number, fee = choose_provider(providers(0.3, 0.1, 0.2), [AMOUNT] * 3, AMOUNT, WEEK_S)
    assert number == 1
    assert fee / AMOUNT == pytest.approx(0.2 * 7 / 365, rel=1e-6)


def test_a_week_at_ten_per_cent_a_year_is_nineteen_basis_points():
    assert choose_provider(providers(0.1), [AMOUNT], AMOUNT, WEEK_S)[1] / AMOUNT == pytest.approx(19.18e-4, rel=1e-3)


def test_who_has_not_the_capital_does_not_ask():
    assert choose_provider(providers(0.1, 0.2), [AMOUNT - 1, AMOUNT], AMOUNT, WEEK_S)[0] == 1
    assert choose_provider(providers(0.1, 0.2), [AMOUNT - 1] * 2, AMOUNT, WEEK_S) == (-1, 0)
    assert choose_provider(providers(), [], AMOUNT, WEEK_S) == (-1, 0)


def test_the_first_delay_replaces_what_was_thought_and_later_ones_move_it():
    assert expect(100.0, 1, 40.0) == 40.0
    assert expect(40.0, 2, 60.0) == 50.0
    assert expect(40.0, 1_000, 60.0) == 41.0


def test_costs_of_capital_are_drawn_for_each_provider():
    few, many = (
        new_bridge_providers(BridgeSettings(capital_cost_spread=0.5), [(1, 2)] * count, seed=3) for count in (2, 5)
    )
    assert len(set(many["cost_per_year"])) == 5
    assert few["cost_per_year"].tolist() == many["cost_per_year"][:2].tolist()
