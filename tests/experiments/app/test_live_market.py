"""The market behind the page: changes between blocks, flat memory, what its panels are told, and what goes wrong."""

import numpy as np
import pytest
import solara

from blockspace.experiments import Market
from blockspace.experiments.app.charts import short
from blockspace.experiments.app.controls import wanted
from blockspace.experiments.app.emergence import Curves
from blockspace.experiments.app.history import History
from blockspace.experiments.app.live import GROUPS, Failure
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.live_price import FALL_LASTS_S
from blockspace.experiments.app.paired_sweep import Curve, sweep_capacity
from blockspace.experiments.app.panels.headline import trend
from blockspace.experiments.app.sampling import (
    book_steps,
    latest_block,
    margin_ratios,
    option_surface,
    pending_by_fee,
    profits_by_role,
    rents_by_part,
    rounded,
    validators,
)
from blockspace.experiments.app.settings import AS_PRESET, live_scenario
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.recording.rows import BLOCK_ROW, MARKET_ROW

CHOSEN = {"preset": "ethereum-30m", "additions": "nothing else", "ordering": AS_PRESET}


def played(blocks=60, **parameters):
    market = LiveMarket(**parameters)
    for _ in range(blocks):
        market.step()
    assert market.failure is None
    return market


@pytest.fixture(scope="module")
def everything():
    """A market with options and leverage, a while after its start."""
    return played(300, additions="options and leveraged traders", volatility_per_day=0.1)


def test_watching_changes_nothing():
    market = played(80)
    other = Market(live_scenario("ethereum-30m"), seed=7)
    for _ in range(80):
        other.step()
    assert market.fingerprint() == other.fingerprint()
    market.check()


def test_memory_is_flat():
    market = played(0)
    records = market.world.records
    for _ in range(9_000):
        market.step()
    assert records.rows > 8_000
    assert len(records.block_rows()) < 8_200
    assert market.history.count <= 240
    assert not len(market.trades())
    assert not len(market.transactions())


def test_each_of_several_chains_can_be_looked_at():
    market = played(120, preset="base-on-ethereum")
    rollup = (market.history.count, market.history.blocks()["block"].tolist(), profits_by_role(market))
    assert rollup[1] == sorted(set(rollup[1]))
    market.shown_number = 1
    assert market.shown.scenario.name == "ethereum-with-blobs"
    blocks = market.history.blocks()["block"].tolist()
    assert blocks == sorted(set(blocks))
    assert 5 < market.history.count < rollup[0] / 4
    assert "maker" not in [role for role, _, _ in profits_by_role(market)]
    assert len(validators(market.shown)) == 1_000
    assert rents_by_part(market)["burned"] > 0
    assert latest_block(market.shown)


def test_a_pool_and_those_who_search_it():
    market = played(100, additions="a pool, and those who search it")
    market.check()
    assert market.world.swappers["wakes"].sum() > 0
    assert rents_by_part(market)["searchers"] != 0


def test_capacity_and_demand_change_in_flight():
    market = played(40)
    market.change("gas_limit", 5_000_000)
    market.change("demand_per_s", 200.0)
    for _ in range(40):
        market.step()
    rows = market.world.records.block_rows()
    assert rows["gas_used"][:40].max() > 5_000_000 >= rows["gas_used"][40:].max()
    came = (rows["arrived_total"] + rows["balked_total"])[[0, 39, 79]]
    assert came[2] - came[1] > 2.5 * (came[1] - came[0])
    assert rows["base_fee_gwei"][-1] > 2 * rows["base_fee_gwei"][39]
    assert rows["utilisation"].max() <= 1.0
    market.check()


def test_volatility_changes_moves_and_nothing_that_was_seen():
    calm, wild = played(30), played(30)
    now_s = wild.time
    wild.change("volatility_per_day", 10 * wild.volatility_per_day)
    for market in (calm, wild):
        for _ in range(200):
            market.step()
    seen = np.linspace(0.0, now_s + 12.0, 50)
    np.testing.assert_array_equal(calm.path.prices(seen), wild.path.prices(seen))
    later = np.arange(now_s + 100.0, wild.time, 12.0)
    moves = [np.diff(np.log(market.path.prices(later))).std() for market in (calm, wild)]
    assert moves[1] == pytest.approx(10 * moves[0], rel=0.02)


def test_crash_takes_its_share_of_the_price():
    calm, crashed = played(30), played(30)
    crashed.change("crash", 0.25)
    blocks = int(FALL_LASTS_S / 12) + 30
    for market in (calm, crashed):
        for _ in range(blocks):
            market.step()
    assert crashed.failure is None
    assert crashed.path.price(crashed.time) == pytest.approx(0.75 * calm.path.price(calm.time), rel=1e-9)
    assert crashed.path.price(12.0 * 31) == calm.path.price(12.0 * 31)


def test_price_goes_on_beyond_what_was_filled_when_it_changed():
    market, other = played(3), played(3)
    market.change("volatility_per_day", market.volatility_per_day * 2)
    market.change("crash", 0.1)
    for one in (market, other):
        for _ in range(200):
            one.step()
    # Twice the moves of the other since then, and the fall.
    start, end = 60.0, market.time
    moved = np.log(market.path.price(end) / market.path.price(start))
    usual = np.log(other.path.price(end) / other.path.price(start))
    assert moved == pytest.approx(2 * usual + np.log(0.9), abs=2e-3)


def test_what_goes_wrong_is_kept_and_stops_the_market():
    def fail():
        raise RuntimeError("the dog ate the block")

    market = played(3)
    market.world.insert_phase("fail", fail)
    market.step()
    number = market.world.chain.number
    market.step()
    assert market.world.chain.number == number
    assert not market.running
    assert "RuntimeError: the dog ate the block" in market.failure
    box, context = solara.render(Failure(market), handle_error=False)
    assert "the dog ate the block" in _text(box)
    context.close()


def _text(box):
    """All text in a tree of widgets."""
    found = []
    for child in getattr(box, "children", None) or ():
        found.append(child if isinstance(child, str) else _text(child))
    found += [str(getattr(box, name)) for name in ("option", "label") if isinstance(getattr(box, name, None), str)]
    return " ".join(found)


def test_history_keeps_the_whole_run_in_few_points():
    history = History(BLOCK_ROW, MARKET_ROW, most=8)
    block, market = np.zeros(1, BLOCK_ROW), np.zeros(1, MARKET_ROW)
    for number in range(1_000):
        block["block"] = number
        history.add(block[0], market[0])
        kept = history.blocks()["block"]
        assert len(kept) <= 8
        assert kept[0] == 0
        assert set(np.diff(kept)) <= {history.stride}
        assert number - kept[-1] < history.stride
    assert history.stride == 128


def test_panels_are_told_what_the_records_say(everything):
    world = everything.world
    while not (world.venues[0]["books"][0]["resting"]):
        everything.step()
    row = world.records.latest()[0]
    boxes = latest_block(world)
    assert sum(box["gas"] for box in boxes) == row["gas_used"]
    assert sum(box["count"] for box in boxes) == row["transactions"]
    steps = book_steps(world)
    book = world.venues[0]["books"][0]
    for side, best in (("bids", "best_bid"), ("asks", "best_ask")):
        prices, sizes, depths = (steps[side][name] for name in ("prices", "sizes", "depths"))
        if not prices:
            assert int(book[best]) in (0, len(book["levels"]))
            continue
        assert prices[0] == pytest.approx(int(book[best]) * world.tick_usd(0))
        assert depths[-1] == pytest.approx(sum(sizes), rel=1e-3)
    pending = pending_by_fee(world)
    gas = sum(pending["pay"]) + sum(pending["wait"])
    pool = world.chain.pools[0]
    assert gas == pytest.approx(pool["transactions"]["gas"][pool["pending"][: pool["count"]]].sum() * 1e-6, rel=1e-3)
    nodes = validators(world)
    assert len(nodes) == len(world.chain.stake)
    assert sum(node["stake"] for node in nodes) == pytest.approx(1.0)


def test_rents_profits_and_margin_close(everything):
    accounts = rents(everything)
    parts = rents_by_part(everything)
    assert parts["venue (fees)"] == pytest.approx(accounts["venue_fees_micro_usd"] * 1e-6)
    by_role = {role: profit for role, _, profit in profits_by_role(everything)}
    profits = everything.profits_usd()
    # Nothing comes from anywhere: all accounts together have gained nothing.
    assert profits.sum() == pytest.approx(0.0, abs=1e-3 * np.abs(profits).max() + 1.0)
    assert by_role["producer"] > 0
    ratios, values = margin_ratios(everything.world)
    assert len(ratios) > 10
    due = int(everything.world.records.latest()[0]["due_accounts"])
    assert (ratios < 1.0).sum() >= due
    assert (values > 0).all()


def test_option_surface_lies_around_the_volatility_of_the_price(everything):
    rows = option_surface(everything.world, everything.volatility_per_day)
    assert len(rows) >= 6
    yearly = everything.volatility_per_day * np.sqrt(365.0)
    assert 0.3 * yearly < np.median([row["volatility"] for row in rows]) < 3 * yearly
    assert all((row["premium"] or 0.0) > -1.0 for row in rows)


@pytest.mark.parametrize("group", list(GROUPS))
def test_panels_say_something_before_and_after_the_first_block(everything, group):
    for market in (LiveMarket(), everything):
        for component in GROUPS[group]:
            box, context = solara.render(component(market), handle_error=False)
            assert len(_text(box)) > 40
            context.close()


def test_panels_of_one_sequencer():
    market = played(20, preset="base")
    for group in GROUPS.values():
        for component in group:
            box, context = solara.render(component(market), handle_error=False)
            assert "NaN" not in _text(box)
            context.close()


@pytest.mark.parametrize(
    ("typed", "seed", "about", "words"),
    [
        ({"gas_limit": "much"}, "7", "gas_limit", "not a number"),
        ({"gas_limit": "0.01"}, "7", "gas_limit", "at least"),
        ({"block_time_s": "0"}, "7", "block_time_s", "chain.block_time_s"),
        ({"makers": "2.5"}, "7", "makers", "market_makers.count"),
        ({"volatility_per_day": "nan"}, "7", "volatility_per_day", "finite"),
        ({"demand_per_s": "-1"}, "7", "demand_per_s", "background_users.arrivals_per_s"),
        ({}, "1.5", "seed", "whole number"),
    ],
)
def test_wrong_input_is_answered_beside_the_control(typed, seed, about, words):
    parameters, complaints = wanted(CHOSEN, typed, seed)
    assert parameters is None
    assert list(complaints) == [about]
    assert words in complaints[about]


def test_right_input_makes_the_market_that_was_asked_for():
    typed = {"gas_limit": "12.5", "makers": "6", "volatility_per_day": "5", "block_time_s": "2"}
    parameters, complaints = wanted({**CHOSEN, "ordering": "random_order"}, typed, "11")
    assert not complaints
    market = LiveMarket(**parameters)
    scenario = market.world.scenario
    assert (scenario.chain.gas_limit, scenario.market_makers.count) == (12_500_000, 6)
    assert (scenario.price.volatility_per_day, scenario.chain.block_time_s) == (0.05, 2.0)
    assert (scenario.chain.ordering, market.seed) == ("random_order", 11)


def test_paired_sweep_builds_up_and_stops():
    scenario = live_scenario("ethereum-30m")
    scenario = scenario.model_copy(update={"duration_s": 300.0, "warm_up_s": 60.0})
    curve = Curve("small")
    for capacity, seed, measures in sweep_capacity(scenario, (0.5, 2.0), (1, 2, 3), lambda: False):
        curve.samples[capacity][seed] = measures
    assert list(curve.samples) == [1_250_000.0, 5_000_000.0]
    fees = curve.estimates("base fee")
    assert [one.count for _, one in fees] == [3, 3]
    assert fees[0][1].mean > fees[1][1].mean
    assert list(sweep_capacity(scenario, (1.0,), (1,), lambda: True)) == []
    box, context = solara.render(Curves([curve], "base fee", "Base fee", "gwei", "", 6), handle_error=False)
    assert "small" in _text(box)
    context.close()


def test_numbers_for_people():
    assert [short(value) for value in (None, float("nan"), 0.01234, 12.345, 5_432.1, 12_345.0, 3.2e6, 4e9)] == [
        "–", "–", "0.0123", "12.3", "5,432", "12.3k", "3.2m", "4bn",
    ]  # fmt: skip
    assert rounded([1.23456789, float("nan"), float("inf")], 3) == [1.23, None, None]
    assert trend(np.ones(20)) == "→ steady"
    assert trend(np.arange(20.0)).startswith("▲")
    assert trend(-np.arange(20.0)).startswith("▼")
    assert trend(np.ones(2)) == "–"
