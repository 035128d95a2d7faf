"""Cash between a rollup and its parent: when it arrives, who pays it out early, and that none of it gets lost."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.validation.bridges import fee_bps

from .test_settlement import ROLLUP, SECONDS, run, stack

BRIDGE = {"users_per_h": 300.0, "deposit_s": 30.0, "capital_cost_spread": 0.0}


def bridged(bridge=None, rollup=None, seconds=SECONDS, **changes):
    return run(stack({"bridge": {**BRIDGE, **(bridge or {})}, **(rollup or {})}, **changes), seconds)


@pytest.fixture(scope="module")
def market():
    return bridged()


def test_a_withdrawal_arrives_once_its_batch_is_final_on_the_parent(market):
    transfers, batches = market.transfers(), market.batches()
    settled = transfers[(transfers["direction"] == "withdrawal") & transfers["settled_s"].notna()]
    assert len(settled) > 20
    for _, transfer in settled.iterrows():
        [final] = batches["final_s"][
            (batches["opened_s"] <= transfer["included_s"]) & (transfer["included_s"] <= batches["closed_s"])
        ]
        assert final <= transfer["settled_s"] < final + 12.0


def test_a_deposit_arrives_some_seconds_after_the_rollup_has_seen_it(market):
    transfers = market.transfers()
    settled = transfers[(transfers["direction"] == "deposit") & transfers["settled_s"].notna()]
    assert (settled["settled_s"] - settled["included_s"]).between(30.0, 34.0).all()


def test_fees_pay_for_the_time_that_capital_is_locked(market):
    transfers = market.transfers()
    early = transfers[(transfers["direction"] == "withdrawal") & (transfers["provider"] >= 0)]
    early = early[early["settled_s"].notna()]
    fee = 1e4 * early["fee_usd"].sum() / early["amount_usd"].sum()
    lock = (early["settled_s"] - early["paid_s"]).mean()
    assert fee == pytest.approx(fee_bps(lock, 0.1), rel=0.2)
    assert (early["paid_s"] < early["settled_s"] - 300.0).all()


def test_escrows_hold_what_is_on_its_way_and_nobody_else_gains(market):
    bridge = market.bridges[0]
    transfers = market.transfers()
    moving = transfers["included_s"].notna() & transfers["settled_s"].isna()
    assert bridge.moving_micro_usd == pytest.approx(1e6 * transfers["amount_usd"][moving].sum(), abs=1)
    earned = 1e6 * transfers["fee_usd"][(transfers["provider"] >= 0) & transfers["paid_s"].notna()].sum()
    assert bridge.providers["earned"].sum() == pytest.approx(earned, abs=1)
    world = market.worlds[1]
    world.venues[0]["ledger"]["accounts"]["cash"][int(world.venues[0]["escrow"])] += 1
    world.venues[0]["ledger"]["accounts"]["cash"][0] -= 1
    try:
        with pytest.raises(RuntimeError, match="the escrows of rollup and parent hold"):
            market.check()
    finally:
        world.venues[0]["ledger"]["accounts"]["cash"][int(world.venues[0]["escrow"])] -= 1
        world.venues[0]["ledger"]["accounts"]["cash"][0] += 1


def test_the_window_moves_fees_and_delays_and_leaves_the_market_alone(market):
    longer = bridged(rollup={"challenges": {"window_s": 2 * ROLLUP["challenges"]["window_s"]}})
    before, after = market.summary(), longer.summary()
    assert after["withdrawal_slow_bridge_delay_s"] > before["withdrawal_slow_bridge_delay_s"] + 300.0
    assert after["withdrawal_bridge_fee_bps"] > 1.5 * before["withdrawal_bridge_fee_bps"]
    assert after["deposit_bridge_fee_bps"] == before["deposit_bridge_fee_bps"]
    assert market.trades().equals(longer.trades())


def test_without_providers_everybody_waits():
    market = bridged({"providers": 0}, seconds=300.0)
    transfers = market.transfers()
    assert (transfers["provider"] == -1).all()
    assert transfers["paid_s"].equals(transfers["settled_s"])


def test_a_resumed_run_is_the_run_that_never_stopped(market):
    scenario = market.settings
    first = Market(scenario, seed=1)
    first.run_for(500.0)
    second = Market(scenario, seed=1)
    second.restore(first.state())
    second.run_for(SECONDS - 500.0)
    assert second.transfers().equals(market.transfers())
    assert second.fingerprint() == market.fingerprint()


def test_amounts_and_wishes_do_not_depend_on_the_rollup(market):
    other = bridged({"capital_cost_per_year": 0.4}, seconds=300.0).transfers()
    known = market.transfers()
    for direction in ("withdrawal", "deposit"):
        amounts = [frame["amount_usd"][frame["direction"] == direction].to_numpy() for frame in (other, known)]
        assert len(amounts[0]) > 5
        assert np.array_equal(amounts[0], amounts[1][: len(amounts[0])])
