"""Trades that wait for settlement: the same run as the twin, exact claims through a crash, and what waiting does."""

import numpy as np
import pandas as pd
import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments import Market, load_checkpoint, save_checkpoint
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.scenario import ScenarioError, scenario_from
from blockspace.network.transaction import SETTLE
from tests.reference.fidgets import CompiledOptionFidget, PlainOptionFidget
from tests.reference.runs import SPOT, run_both

TIMER = {"settlement": "timer", "settlement_interval_s": 60.0}

CRASH = {
    "chain": {"block_time_s": 4.0, "gas_limit": 4_000_000},
    "topology": {"validators": 2},
    "fee_market": {"initial_base_fee_wei": 10**9},
    "background_users": {"arrivals_per_s": 3.0},
    "price": {"source": "script", "script": [[400.0, 1.0], [520.0, 0.86]]},
    "noise_traders": {"count": 10, "orders_per_s": 0.2},
    "informed_traders": {"count": 2, "orders_per_s": 0.05},
    "market_makers": {"count": 3, "position_limit": 300.0},
    "arbitrageurs": {"count": 2},
    "margin": {"liquidations": True, "insurance_usd": 20_000.0},
    "leveraged_traders": {
        "count": 60,
        "openings_per_h": 20.0,
        "holding_mean_s": 300.0,
        "leverage_mean": 10.0,
        "long_share": 0.8,
        "value_bps": 150.0,
        "equity_mean_usd": 4_000.0,
    },
    "liquidators": {"count": 2},
}


def crash(seed, seconds=900, **tables):
    return run_both({**CRASH, **tables}, seconds=seconds, seed=seed)


@pytest.fixture(scope="module")
def clocked():
    """A crash in which trades settle every minute."""
    return crash(41, venue={**TIMER, "oracle": "on_chain"}, gas={"settle_account": 60_000})


def test_by_the_clock(clocked):
    summary, entries = clocked.summary(), clocked.transactions().query("kind == 'settle' and status == 'succeeded'")
    assert len(entries) == summary["settlements"] > 5
    assert summary["accounts_per_settlement"] < 2 * summary["trades_per_settlement"]
    assert 0 < summary["netting_percent"] < 100
    assert len(clocked.liquidations()) > 5
    assert entries["gas_used"].max() <= 0.25 * 4_000_000, "a settlement takes a part of a block"
    fees = (clocked.trades().query("cause == 'order'")[["maker_fee_usd", "taker_fee_usd"]].sum().sum()) * 0.5
    assert 0 < summary["clearing_fees_usd"] <= fees


def test_rents_close(clocked):
    accounts = rents(clocked)
    paid = accounts["paid_by_others_wei"] + accounts["paid_by_searchers_wei"]
    assert paid == accounts["burned_wei"] + accounts["sequencer_base_fee_wei"] + accounts["tips_wei"]


def test_liquidations_of_what_is_not_settled_wait(clocked):
    """A position is liquidated only once a settlement has put it on the ledger."""
    trades = clocked.trades()
    settled = clocked.transactions().query("kind == 'settle' and status == 'succeeded'")["time_s"].to_numpy()
    for entry in clocked.liquidations().itertuples():
        mine = trades[(trades["cause"] == "order") & (trades[["maker", "taker"]] == entry.account).any(axis=1)]
        first = mine["time_s"].min()
        assert settled[settled > first].min() <= entry.time_s


def test_by_count_in_batches():
    """Trades that clear in auctions, settled once forty wait, first come first served at a fixed fee."""
    market = crash(
        42,
        topology={"validators": 1},
        chain={"block_time_s": 2.0, "gas_limit": 3_000_000, "ordering": "first_come_first_served"},
        fee_market={"rule": "fixed", "base_fee_wei": 10**8},
        venue={"settlement": "count", "settlement_trades": 40, "matching": "batch", "batch_interval_s": 6.0},
    )
    assert market.summary()["trades_per_settlement"] >= 40


def test_expensive_space_spot_and_revert_protection():
    """Settlements wait while space costs more than the trades are worth, and spot is sold once it is settled."""
    market = crash(
        43,
        instruments=[{}, SPOT],
        chain={"block_time_s": 4.0, "gas_limit": 3_000_000, "revert_protection": True},
        endowment={"spot": 2.0},
        venue={"settlement": "timer", "settlement_interval_s": 20.0, "clearing_fee_share": 1.0},
        clearing_keeper={"most_usd_per_trade": 1.0, "patience_s": 8.0},
        background_users={"arrivals_per_s": 12.0, "value_gwei": 60.0},
    )
    delays = market.summary()
    assert delays["settlement_delay_p95_s"] > 2 * 20.0


def test_debts_at_a_settlement():
    """Who bought and sold between two settlements, at a loss beyond what it owned, leaves a debt to the others."""
    traders = {**CRASH["leveraged_traders"], "stop_loss_share": 0.9}
    market = crash(
        46,
        seconds=700,
        price={"source": "script", "script": [[400.0, 1.0], [520.0, 0.8]]},
        leveraged_traders=traders,
        venue={"settlement": "timer", "settlement_interval_s": 600.0},
    )
    summary = market.summary()
    assert summary["failed_settlements"] > 3
    assert summary["settlement_shortfall_usd"] > 100.0


@pytest.mark.parametrize("relies_on", [pytest.param("settlements", marks=pytest.mark.slow), "trades"])
def test_options_through_an_expiry(relies_on):
    """What waits is settled before a series expires; desks hedge what is settled, or what they have traded."""
    market = run_both(
        {
            "chain": {"block_time_s": 5.0, "gas_limit": 12_000_000},
            "fee_market": {"initial_base_fee_wei": 2 * 10**8},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 1.0, "value_gwei": 3.0},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "venue": {"settlement": "timer", "settlement_interval_s": 450.0},
            "options": {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3},
            "option_makers": {"count": 2, "risk_aversion": 1e-2, "initial_half_spread_points": 2.0},
            "option_traders": {"count": 10, "orders_per_s": 0.5, "value_mean": 20.0, "combination_share": 0.4},
            "option_vaults": {"count": 1},
            "delta_hedgers": {"count": 3, "size_mean": 5.0, "relies_on": relies_on},
        },
        seconds=3_900,
        seed=44,
        agents=[(CompiledOptionFidget, PlainOptionFidget)] * 2,
    )
    summary = market.summary()
    assert summary["trades_settled_at_expiry"] > 0
    assert market.world.delta_hedgers["hedges_sent"].sum() > 3


def small(**tables):
    scenario = {
        "duration_s": 900,
        "warm_up_s": 60,
        "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
        "topology": {"validators": 1},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**8, "wallet_tip_wei": 0},
        "background_users": {"arrivals_per_s": 5.0},
        "noise_traders": {"orders_per_s": 0.5},
    }
    return scenario_from({**scenario, **tables})


def test_claims_are_exact_after_every_block_of_a_crash():
    """The ledger sums to zero, and claims are what the trades that wait come to, at every moment."""
    scenario = scenario_from({"duration_s": 900, "warm_up_s": 0, **CRASH, "venue": TIMER})
    market = Market(scenario, seed=45)
    most = 0
    while market.time < 900.0:
        market.step()
        market.check()
        most = max(most, int(market.world.venues[0]["clearing"]["waiting"]))
    assert most > 10
    assert len(market.liquidations()) > 5


def test_longer_intervals_net_more_and_tie_up_more():
    runs = {}
    for interval in (2.0, 30.0, 300.0):
        market = Market(small(venue={"settlement": "timer", "settlement_interval_s": interval}), seed=3)
        market.run_for(900)
        runs[interval] = market.summary()
    measures = pd.DataFrame(runs).T
    for name in ("netting_percent", "unsettled_usd", "margin_per_exposure_percent", "settlement_delay_median_s"):
        assert measures[name].is_monotonic_increasing, name
    assert measures["settlement_gas_per_trade"].is_monotonic_decreasing
    assert measures.loc[2.0, "margin_per_exposure_percent"] >= 5.0, "the initial margin is the least"


def test_a_run_goes_on_where_it_was_put_aside(tmp_path):
    scenario = small(venue={"settlement": "count", "settlement_trades": 25})
    whole, market = Market(scenario, seed=4), Market(scenario, seed=4)
    whole.run_for(900)
    market.run_for(401)
    save_checkpoint(market, tmp_path / "aside")
    continued = load_checkpoint(tmp_path / "aside")
    continued.run_for(499)
    assert continued.fingerprint() == whole.fingerprint()
    assert continued.summary() == pytest.approx(whole.summary(), nan_ok=True)


class Intruder(Trader):
    """Sends settlements that it has no business to send."""

    def act(self):
        self.world.send(
            self, kind=SETTLE, instrument=0, order=0, side=0, style=0, price=0, size=1_000, max_fee=10**10, tip=0,
            expires=self.decision_ns + 10**10,
        )  # fmt: skip


def test_only_the_operator_settles(monkeypatch):
    market = Market(small(venue=TIMER), seed=5)
    monkeypatch.setitem(market.world._gas_of, SETTLE, 1_000_000)
    intruder = Intruder(market)
    market.run_for(120)
    entries = market.transactions().query("kind == 'settle'")
    assert (entries[entries["sender"] == intruder.account]["status"] == "failed").all()
    assert set(entries["status"]) == {"succeeded", "failed"}


def test_runs_that_settle_at_once_say_nothing_of_it():
    market = Market(small(), seed=1)
    market.run_for(900)
    assert "unsettled_usd" not in market.blocks()
    assert "settlements" not in market.summary()
    assert not len(market.world.clearing_keepers)
    assert not np.asarray(market.world.venues[0]["clearing"]["cash"]).any()


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"venue": TIMER, "margin": {"mode": "isolated"}}, "margin.mode is 'isolated'; it must be 'cross' where"),
        ({"venue": TIMER, "gas": {"settle_at_once": 100_000}}, "gas.settle_at_once is 100000; it may be at most 99000"),
        ({"venue": TIMER, "gas": {"settle": 2_000_000}, "chain": {"gas_limit": 1_000_000}}, "chain.gas_limit is"),
        (
            {"venue": {"settlement": "hourly"}},
            "venue.settlement is 'hourly'; it may be 'immediate' or 'timer' or 'count'",
        ),
        (
            {"venue": {"settlement_interval_s": 0.0}},
            "venue.settlement_interval_s is 0.0; it must be a number, at least",
        ),
        ({"venue": {"settlement_trades": 0}}, "venue.settlement_trades is 0; it must be a whole number, at least 1"),
        ({"delta_hedgers": {"relies_on": "hope"}}, "delta_hedgers.relies_on is 'hope'; it may be"),
    ],
)
def test_refusals(tables, sentence):
    with pytest.raises(ScenarioError, match=sentence):
        scenario_from(tables)
