"""Runs with leverage: the compiled market and its twin agree, and a crash does what crashes do."""

import pandas as pd
import pytest

from blockspace.experiments import Market, load_checkpoint, save_checkpoint
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.scenario import ScenarioError, scenario_from
from tests.reference.runs import SPOT, run_both

CRASH = {
    "chain": {"block_time_s": 4.0, "gas_limit": 4_000_000},
    "topology": {"validators": 5},
    "price": {"source": "script", "script": [[700.0, 1.0], [760.0, 0.85]]},
    "background_users": {"arrivals_per_s": 5.0, "value_gwei": 5.0},
    "noise_traders": {"count": 20, "orders_per_s": 0.6},
    "market_makers": {"memory_s": 60.0},
    "margin": {"liquidations": True, "insurance_usd": 20_000.0},
    "leveraged_traders": {
        "count": 120,
        "openings_per_h": 12.0,
        "holding_mean_s": 600.0,
        "leverage_mean": 10.0,
        "long_share": 0.8,
        "value_bps": 100.0,
    },
    "liquidators": {"count": 3},
}
"""Crowded longs, a price that falls by 15 % in a minute, and an insurance fund that is too small for that."""


def crash(seed, **tables):
    merged = {name: {**CRASH.get(name, {}), **table} for name, table in tables.items() if isinstance(table, dict)}
    lists = {name: table for name, table in tables.items() if not isinstance(table, dict)}
    return run_both({**CRASH, **merged, **lists}, 1_000, seed)


@pytest.fixture(scope="module")
def cross():
    return crash(31)


def test_crash_with_cross_margin(cross):
    tape = cross.liquidations()
    assert len(tape) > 20
    assert (tape["deleveraged_accounts"] > 0).any()
    assert tape["penalty_usd"].sum() > 0 or tape["insurance_usd"].sum() > 0
    assert cross.world.leveraged["stopped"].sum() > 0


def test_crash_with_isolated_margin_and_reports():
    """Two perpetuals, each position by itself, and an index that comes by transactions."""
    market = crash(
        32,
        venue={"oracle": "on_chain", "funding_interval_s": 120.0},
        margin={"mode": "isolated"},
        instruments=[{"maker_fee_bps": -0.2}, {"name": "ETH-PERP-2", "taker_fee_bps": 1.0, "initial_margin": 0.1}],
        liquidators={"count": 4},
    )
    assert (market.liquidations()["instrument"].value_counts() > 3).all()
    assert market.world.keepers["included"][0] >= 5


def test_crash_with_portfolio_margin_in_batches():
    """Orders wait for auctions while liquidations do not."""
    market = crash(
        33,
        venue={"matching": "batch", "batch_interval_s": 8.0},
        margin={"mode": "portfolio", "price_shock": 0.1, "insurance_usd": 1e6},
        instruments=[{}, SPOT],
    )
    assert len(market.liquidations()) > 5


def test_crash_with_revert_protection_and_expensive_space():
    """What comes too late costs nothing, the keeper's budget runs out, and small accounts are left to the backstop."""
    market = crash(
        34,
        chain={"revert_protection": True, "gas_limit": 2_000_000},
        venue={"oracle": "on_chain"},
        oracle_keeper={"most_usd_per_report": 6.0, "patience_s": 6.0},
        background_users={"arrivals_per_s": 12.0, "value_gwei": 60.0},
    )
    assert len(market.liquidations()) > 5
    keeper = market.world.keepers[0]
    assert keeper["sent"] > keeper["included"]


def test_crash_on_fast_blocks_of_which_many_are_idle():
    """Blocks in which nothing can happen pass at once, and marks are struck anew every second all the same."""
    market = crash(
        36,
        chain={"block_time_s": 0.25, "gas_limit": 4_000_000},
        background_users={"arrivals_per_s": 0.2},
        noise_traders={"count": 20, "orders_per_s": 0.2},
        market_makers={"count": 2, "look_interval_s": 2.0, "memory_s": 60.0},
        arbitrageurs={"count": 1, "look_interval_s": 2.0},
        liquidators={"count": 3, "look_interval_s": 1.0},
        margin={"watch_interval_s": 1.0},
    )
    blocks = market.blocks()
    assert blocks["block"].iloc[-1] > len(blocks) + 500
    assert blocks["elapsed_s"].max() < 1.2
    assert len(market.liquidations()) > 20


def test_crash_where_the_first_come_is_served_first():
    """A sequencer with a queue: tips buy nothing, and liquidators wait in it like everybody."""
    market = crash(
        35,
        topology={"validators": 1},
        chain={"ordering": "first_come_first_served", "gas_limit": 2_500_000},
        fee_market={"rule": "fixed", "base_fee_wei": 10**8},
        background_users={"patience_s": 40.0},
    )
    tape = market.liquidations()
    assert (tape["time_s"] - tape["below_since_s"]).max() > 12.0


def test_liquidations_are_recorded(cross):
    tape, blocks, summary = cross.liquidations(), cross.blocks(), cross.summary()
    assert blocks["liquidations"].sum() == len(tape) == summary["liquidations"]
    value = (tape["size"].abs() * tape["mark_usd"]).sum()
    assert blocks["liquidated_usd"].sum() == pytest.approx(value)
    assert summary["liquidated_usd"] == pytest.approx(value)
    assert (tape["time_s"] >= tape["below_since_s"]).all()
    assert (tape["equity_usd"] >= 0)[tape["penalty_usd"] > 0].all(), "a penalty was taken from nothing"
    assert blocks["due_accounts"].max() == summary["most_due_accounts"] > 0


def test_the_insurance_fund_is_what_the_tape_says(cross):
    """What it had, and penalties, less what it paid: to the micro-dollar."""
    tape, ledger = cross.liquidations(), cross.ledger()
    fund = ledger.loc[ledger["role"] == "insurance", "cash_micro_usd"].item()
    micro = {name: (tape[f"{name}_usd"] * 1e6).round().astype(int).sum() for name in ("penalty", "insurance")}
    assert fund == 20_000 * 10**6 + micro["penalty"] - micro["insurance"] >= 0


def test_positions_that_change_hands_by_force_are_no_trades_to_measure(cross):
    trades, blocks = cross.trades(), cross.blocks()
    assert set(trades["cause"]) == {"order", "liquidation", "deleveraging"}
    assert blocks["trades"].sum() == (trades["cause"] == "order").sum()
    volume = trades.query("cause == 'order'").eval("price_usd * size").sum()
    assert blocks["volume_usd"].sum() == pytest.approx(volume)


def test_rents_close(cross):
    accounts = rents(cross)
    paid = accounts["paid_by_others_wei"] + accounts["paid_by_searchers_wei"]
    assert paid == accounts["burned_wei"] + accounts["sequencer_base_fee_wei"] + accounts["tips_wei"]
    assert paid == accounts["plain_space_wei"] + accounts["congestion_wei"] + accounts["place_wei"]


def test_no_tapes_but_liquidations(cross):
    scenario = cross.world.scenario
    market = Market(scenario, seed=31, tapes="none")
    market.run_for(1_000)
    assert market.fingerprint() == cross.fingerprint()
    assert market.trades().empty
    assert market.liquidations().equals(cross.liquidations())


def test_tape_on_disk_and_a_run_that_was_put_aside(cross, tmp_path):
    scenario = cross.world.scenario
    market = Market(scenario, seed=31, tapes=tmp_path / "tapes")
    market.run_for(730)
    save_checkpoint(market, tmp_path / "aside")
    continued = load_checkpoint(tmp_path / "aside")
    continued.run_for(270)
    continued.close()
    assert continued.fingerprint() == cross.fingerprint()
    frame = pd.read_parquet(tmp_path / "tapes" / "liquidations.parquet")
    pd.testing.assert_frame_equal(frame, cross.liquidations())


def test_runs_without_liquidations_have_no_such_columns():
    market = Market(scenario_from({"duration_s": 60, "warm_up_s": 0}), seed=1)
    market.run_for(60)
    assert not {"liquidations", "due_accounts"} & set(market.blocks())
    assert "cause" not in market.trades()
    assert "liquidations" not in market.summary()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"leveraged_traders": {"count": 1, "leverage_mean": 30.0}}, "leverage_mean is 30; it may be at most 20"),
        ({"liquidators": {"count": 2}}, "liquidators.count is 2; it must be 0 where margin.liquidations is false"),
        (
            {"leveraged_traders": {"count": 1}, "instruments": [{"kind": "spot"}]},
            "leveraged_traders.count is 1; it must be 0 where there is no perpetual",
        ),
        (
            {"margin": {"liquidations": True}, "liquidators": {"count": 1_000, "capital_usd": 1e10}},
            "liquidators.capital_usd is 1e\\+10 for each of 1000",
        ),
        (
            {"leveraged_traders": {"count": 10_000, "equity_mean_usd": 1e9}},
            "leveraged_traders.equity_mean_usd is 1e\\+09 for each of 10000",
        ),
        ({"venue": {"oracle": "on_chain"}, "chain": {"gas_limit": 21_000}}, "chain.gas_limit is 21000"),
    ],
)
def test_refusals(settings, sentence):
    with pytest.raises(ScenarioError, match=sentence):
        scenario_from(settings)
