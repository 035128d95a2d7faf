"""Desks between chains go on where they were put aside, with trades and cash on their way."""

import pytest

from blockspace.experiments.checkpoint import load_checkpoint, restore_checkpoint, save_checkpoint
from blockspace.experiments.market import Market
from tests.experiments.checkpoints.runs import market_until
from tests.experiments.checkpoints.sameness import require_same
from tests.experiments.small import two_markets, two_rollups


def short_of_cash():
    """Desks with little capital, and a price that rises by a tenth: what one leg gains has to follow the other one."""
    price = {"source": "script", "script": [[100.0, 1.0], [700.0, 1.1]]}
    desks = {"capital_usd": 3_000.0, "largest_leverage": 15.0}
    return two_markets(800.0, desks=desks, price=price, window_s=100.0)


@pytest.fixture(scope="module")
def put_aside(tmp_path_factory):
    """A market in the middle, and the folder where it was put aside."""
    folder = tmp_path_factory.mktemp("desks")
    market = market_until(500.3, short_of_cash())
    save_checkpoint(market, folder)
    return market, folder


def test_desks_remember_what_they_have_learnt_and_what_is_on_its_way(put_aside):
    market, folder = put_aside
    assert any(desk.pair for desk in market.cross_chain), "no pair of trades is on its way"
    assert any(hand.order for desk in market.cross_chain for hand in desk.hands), "no order is on its way"
    assert any(route.is_busy for desk in market.cross_chain for route in desk.routes), "no cash is on its way"
    continued = load_checkpoint(folder)
    for desk, other in zip(market.cross_chain, continued.cross_chain, strict=True):
        assert desk.executions.count == other.executions.count > 3
        for name in ("pair", "variance", "shortfall", "income_usd_per_s", "missed_usd", "forgone_usd"):
            assert getattr(desk, name) == getattr(other, name), name
        for hand, its in zip(desk.hands, other.hands, strict=True):
            assert (hand.cash, hand.lots, hand.order) == (its.cash, its.lots, its.order)
        for route, its in zip(desk.routes, other.routes, strict=True):
            assert (route.hop, route.is_leaving, route.sent) == (its.hop, its.is_leaving, its.sent)


def test_desks_put_aside_with_trades_and_cash_on_their_way_end_the_same(put_aside):
    market, folder = put_aside
    continued = load_checkpoint(folder)
    continued.run_until(800.0)
    sent = sum(route.sent for desk in market.cross_chain for route in desk.routes)
    pairs = sum(desk.pairs for desk in market.cross_chain)
    market.run_until(800.0)
    assert sum(desk.pairs for desk in market.cross_chain) > pairs
    assert sum(route.sent for desk in market.cross_chain for route in desk.routes) > sent
    require_same(market, continued)


def test_cash_put_aside_on_the_parent_of_two_rollups_goes_on_to_the_second(tmp_path):
    market = market_until(100.0, two_rollups(300.0, window_s=20.0, desks=1))
    desk = market.cross_chain[0]
    route = desk.routes[0]
    route.send(desk.last_ns, 1_000_000_000, 1e-3)
    while route.hop != 1 and market.time < 300.0:
        market.run_for(2.0)
    assert route.hop == 1, "cash did not reach the parent"
    save_checkpoint(market, tmp_path)
    continued = Market(market.settings, seed=3)
    restore_checkpoint(continued, tmp_path)
    for each in (market, continued):
        each.run_until(300.0)
        assert not each.cross_chain[0].routes[0].is_busy
    require_same(market, continued)
