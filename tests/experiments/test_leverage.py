"""Runs with leverage: the compiled market and its twin agree, and a crash does what crashes do."""

import pytest

from tests.experiments.test_reference import SPOT, run_both

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


def test_crash_where_the_first_come_is_served_first():
    """A sequencer with a queue: tips buy nothing, and liquidators wait in it like everybody."""
    market = crash(
        35,
        topology={"validators": 1},
        chain={"ordering": "first_come_first_served", "gas_limit": 2_500_000},
        fee_market={"rule": "fixed", "base_fee_wei": 10**8},
        background_users={"patience_s": 120.0},
    )
    tape = market.liquidations()
    assert (tape["time_s"] - tape["below_since_s"]).max() > 30.0
