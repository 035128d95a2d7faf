"""Blocks of a rollup that are undone: everybody owns what he owned, and the tape says so."""

import numpy as np
import pandas as pd
import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.scenario import ScenarioError, scenario_from

START_S, LASTS_S, END_S = 400.0, 60.0, 800.0
POSITIONS = ["cash_micro_usd", "ether_wei", "ETH-PERP_lots"]


def stack(kind="optimistic", faults=(), bridge=(), **tables):
    """A small rollup with leverage, on a small parent."""
    parent = {
        "name": "parent",
        "chain": {"block_time_s": 12.0, "gas_limit": 20_000_000, "blobs": "bpo2", "checkpoint_blocks": 3},
        "fee_market": {"initial_base_fee_wei": 10**9},
        "topology": {"validators": 20},
        "background_users": {"arrivals_per_s": 12.0, "value_gwei": 5.0},
    }
    return {
        "name": "rollup",
        "duration_s": END_S,
        "warm_up_s": 0.0,
        "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
        "fee_market": {"elasticity": 6, "denominator": 50, "initial_base_fee_wei": 10**7},
        "topology": {"validators": 1},
        "background_users": {"arrivals_per_s": 5.0, "value_gwei": 1.0},
        "noise_traders": {"orders_per_s": 1.0},
        "margin": {"liquidations": True},
        "leveraged_traders": {"count": 30, "openings_per_h": 60.0, "holding_mean_s": 300.0},
        "rollup": {
            "kind": kind,
            "claim_interval_s": 120.0,
            "posting": {"rule": "interval", "interval_s": 60.0},
            "proofs": {"fixed_s": 20.0, "gas_per_s": 5e6},
            "challenges": {"window_s": 200.0},
            "bridge": dict(bridge),
        },
        "faults": list(faults),
        "chains": [parent],
        **tables,
    }


def fault(kind, start_s=START_S, lasts_s=LASTS_S):
    return {"kind": kind, "start_s": start_s, "duration_s": lasts_s}


def run(seconds=END_S, **changes):
    market = Market(scenario_from(stack(**changes)), seed=1)
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def crashed():
    return run(faults=[fault("crash")])


@pytest.fixture(scope="module")
def stopped():
    return run(faults=[fault("outage")])


@pytest.fixture(scope="module")
def broken():
    return run(faults=[fault("invalid_batch")])


def test_accounts_own_after_a_crash_what_they_owned_after_the_last_block_that_stands(crashed):
    since = crashed.losses()["since_s"].item()
    assert START_S - 70.0 < since < START_S
    then = run(since + 1.0, faults=[fault("crash")]).ledger()
    after = run(START_S + 30.0, faults=[fault("crash")]).ledger()
    pd.testing.assert_frame_equal(then, after)


def test_what_the_oracle_was_told_in_a_lost_block_is_forgotten():
    tables = {"faults": [fault("crash")], "venue": {"oracle": "on_chain"}, "oracle_keeper": {"deviation_bps": 1.0}}
    after = run(START_S + 30.0, **tables)
    since = after.losses()["since_s"].item()
    then, last = (run(seconds, **tables) for seconds in (since + 1.0, START_S - 1.0))
    prices = [int(market.world.venues["reported"][0]) for market in (then, last, after)]
    assert prices[0] == prices[2] != prices[1]


def test_until_the_crash_nothing_is_different(crashed, stopped):
    early = [market.trades()[market.trades()["time_s"] < START_S] for market in (crashed, stopped)]
    early = [trades[trades["cause"] != "undone"] for trades in early]
    assert len(early[0]) > 100
    pd.testing.assert_frame_equal(*early)


def test_the_tape_has_every_lost_trade_the_other_way_round(crashed):
    trades, loss = crashed.trades(), crashed.losses().iloc[0]
    undone = trades[trades["cause"] == "undone"].iloc[::-1].reset_index(drop=True)
    since = trades["time_s"] > loss["since_s"]
    lost = trades[since & (trades["time_s"] < START_S) & (trades["cause"] != "undone")].reset_index(drop=True)
    assert len(lost) == len(undone) == loss["trades"] > 10
    for name in ("maker", "taker", "size", "external_price_usd"):
        assert (lost[name] == undone[name]).all()
    assert (lost["side"] != undone["side"]).all()
    np.testing.assert_allclose(undone["price_usd"], lost["price_usd"])
    np.testing.assert_allclose(undone["taker_fee_usd"], -lost["taker_fee_usd"])
    assert loss["value_usd"] == pytest.approx((lost["price_usd"] * lost["size"]).sum())


def test_what_one_loses_another_gains(crashed):
    gains = crashed.losses().filter(regex="_gain_usd$")
    assert gains.to_numpy().sum() == pytest.approx(0.0, abs=1e-6)
    summary = crashed.summary()
    assert summary["undone_moved_usd"] > 0.0
    assert summary["undone_moved_usd"] == pytest.approx(gains.clip(lower=0.0).to_numpy().sum())
    assert summary["maker_undone_gain_usd"] == gains["maker_gain_usd"].item() != 0.0


def require_positions_that_the_tape_adds_up_to(market):
    trades = market.trades()
    bought = np.where(trades["side"] == "buy", 1.0, -1.0) * trades["size"]
    lots = pd.Series(0.0, market.ledger().index)
    lots = lots.add(bought.groupby(trades["taker"]).sum(), fill_value=0.0)
    lots = lots.sub(bought.groupby(trades["maker"]).sum(), fill_value=0.0)
    held = market.ledger()["ETH-PERP_lots"] * market.settings.instruments[0].lot_size
    np.testing.assert_allclose(lots, held, atol=1e-9)


def test_positions_are_what_the_tape_adds_up_to(crashed):
    require_positions_that_the_tape_adds_up_to(crashed)


def test_a_batch_under_way_in_a_crash_may_break_the_rules(crashed):
    batch = crashed.batches().query("sent_s > 300").iloc[0]
    between_s = 0.5 * (batch["sent_s"] + batch["posted_s"])
    market = run(600.0, faults=[fault("invalid_batch", batch["sent_s"] - 1.0, 2.0), fault("crash", between_s, 4.0)])
    losses, trades = market.losses(), market.trades()
    assert losses["cause"].tolist() == ["crash", "invalid_batch"]
    assert losses["since_s"].iloc[1] < losses["since_s"].iloc[0]
    assert losses["trades"].iloc[1] > 10
    assert (trades["cause"] == "undone").sum() == losses["trades"].sum()
    require_positions_that_the_tape_adds_up_to(market)


def test_agents_learn_what_they_own(crashed):
    venue, world = crashed.world.venues[0], crashed.world
    position = venue["ledger"]["accounts"]["position"][:, 0]
    latest = crashed.trades()
    busy = latest[latest["time_s"] > END_S - 6.0][["maker", "taker"]].to_numpy()  # what they have not seen yet
    for rows, name in ((world.makers, "position"), (world.leveraged, "lots")):
        quiet = ~np.isin(rows["account"], busy)
        assert quiet.any()
        assert (rows[name][quiet] == position[rows["account"][quiet]]).all()


def test_a_lost_trade_teaches_a_maker_nothing():
    at_restart = START_S + LASTS_S + 3.0
    rows = [run(at_restart, faults=[fault(kind)]).world.makers for kind in ("crash", "outage")]
    assert (rows[0]["trades"] <= rows[1]["trades"] + 5).all()
    assert (rows[0]["fill_count"] <= rows[1]["fill_count"] + 5).all()


def test_costs_are_measured_of_trades_that_somebody_chose(crashed):
    blocks, trades = crashed.blocks(), crashed.trades()
    assert blocks["trades"].sum() == (trades["cause"] == "order").sum()


def test_batches_hold_what_stands_once_and_in_order(crashed):
    batches = crashed.batches()
    since = crashed.losses()["since_s"].item()
    assert not batches["void"].any()
    after = batches[batches["opened_s"] > since]
    assert (after["opened_s"] >= START_S + LASTS_S).all()
    assert (batches["opened_s"].to_numpy()[1:] > batches["closed_s"].to_numpy()[:-1]).all()


def test_a_batch_that_breaks_the_rules_is_posted_and_void(broken):
    batches, losses = broken.batches(), broken.losses()
    void = batches[batches["void"]]
    assert len(void) >= 1
    assert len(losses) == 1
    assert losses["cause"].item() == "invalid_batch"
    assert losses["time_s"].item() == void["posted_s"].iloc[0]
    assert (void["cost_usd"] > 0.0).all()
    assert (void["transactions"] == 0).all()
    assert losses["since_s"].item() == batches[~batches["void"] & (batches.index < void.index[0])]["closed_s"].max()
    later = batches[batches.index > void.index[-1]]
    assert (later["transactions"] > 0).all()
    assert later["claimed_s"].notna().any()
    assert np.isfinite(broken.summary()["posted_after_s"])


def test_blocks_after_a_void_batch_are_posted_anew_from_there(broken):
    batches, losses = broken.batches(), broken.losses()
    later = batches[batches.index > batches[batches["void"]].index[-1]]
    assert later["opened_s"].iloc[0] >= losses["time_s"].item()


def test_a_validity_rollup_loses_the_same_blocks(crashed):
    other = run(kind="validity", faults=[fault("crash")])
    columns = ["time_s", "since_s", "blocks", "trades", "value_usd"]
    pd.testing.assert_frame_equal(crashed.losses()[columns], other.losses()[columns])


def test_two_crashes_before_anything_is_posted_undo_each_trade_once():
    market = run(600.0, faults=[fault("crash", 400.0, 4.0), fault("crash", 420.0, 4.0)])
    losses, trades = market.losses(), market.trades()
    assert len(losses) == 2
    assert losses["since_s"].nunique() == 1
    undone = trades[trades["cause"] == "undone"]
    assert len(undone) == losses["trades"].sum()
    assert losses["trades"].iloc[1] < losses["trades"].iloc[0]


def test_a_crash_that_is_over_before_the_next_block_loses_as_much():
    scenario = stack(faults=[fault("crash", 401.0, 0.2)])
    scenario["chain"]["block_time_s"], scenario["chains"][0]["chain"]["block_time_s"] = 12.0, 2.0
    scenario["rollup"]["posting"]["interval_s"] = 5.0
    market = Market(scenario_from(scenario), seed=1)
    market.run_for(430.0)
    assert market.losses()["since_s"].tolist() == [384.0]
    opened = market.batches()["opened_s"]
    assert 384.0 in opened.to_numpy()
    assert 396.0 not in opened.to_numpy()


def test_a_crash_before_the_first_batch_undoes_everything():
    market = run(60.0, faults=[fault("crash", 30.0, 10.0)])
    losses = market.losses()
    assert losses["since_s"].item() == 0.0
    after = run(36.0, faults=[fault("crash", 30.0, 10.0)])
    pd.testing.assert_frame_equal(Market(scenario_from(stack()), seed=1).ledger()[POSITIONS], after.ledger()[POSITIONS])


def test_providers_pay_out_once_what_was_on_its_way_when_everything_was_undone():
    faults, bridge = [fault("crash", 60.5, 5.0)], {"users_per_h": 8_000.0, "deposit_s": 60.0}
    providers, rows = (
        getattr(run(120.0, faults=faults, bridge=bridge).bridges[0], name) for name in ("providers", "rows")
    )
    early = rows[(rows["provider"] >= 0) & (rows["paid"] > 0)]
    assert len(early) > 10
    assert providers["transfers"].sum() == len(early)
    assert providers["earned"].sum() == early["fee"].sum()


def test_the_same_after_a_checkpoint(crashed):
    scenario = scenario_from(stack(faults=[fault("crash")]))
    for moment in (START_S - 15.0, START_S + LASTS_S / 2):
        first, second = Market(scenario, seed=1), Market(scenario, seed=1)
        first.run_for(moment)
        second.restore(first.state())
        second.run_for(END_S - moment)
        assert second.fingerprint() == crashed.fingerprint()
        pd.testing.assert_frame_equal(second.losses(), crashed.losses())


class Onlooker(Trader):
    """Looks on."""

    kind = "noise"

    def act(self):
        """Do nothing."""


@pytest.mark.parametrize("joins_s", [380.0, 399.0])
def test_who_joins_before_a_crash_stays(joins_s):
    faults = [fault("crash", 399.5, 10.0)]
    market = Market(scenario_from(stack(faults=faults, bridge={"users_per_h": 400.0})), seed=1)
    market.run_for(joins_s)
    account = Onlooker(market).account
    endowed = market.ledger().iloc[account]
    market.run_for(430.0 - joins_s)
    market.check()
    require_positions_that_the_tape_adds_up_to(market)
    assert market.losses()["trades"].item() > 0
    assert market.ledger().iloc[account].equals(endowed)


@pytest.fixture(scope="module")
def bridged():
    bridge = {"users_per_h": 400.0, "deposit_s": 20.0}
    return run(faults=[fault("crash")], bridge=bridge)


def test_a_withdrawal_in_a_lost_block_has_never_left(bridged):
    transfers, loss = bridged.transfers(), bridged.losses().iloc[0]
    lost = transfers[(transfers["direction"] == "withdrawal") & (transfers["lost_s"] == loss["time_s"])]
    lost = lost[lost["included_s"].notna()]
    assert len(lost) > 0
    assert ((lost["included_s"] > loss["since_s"]) & (lost["included_s"] < START_S)).all()
    assert lost["settled_s"].isna().all()
    early = lost[lost["paid_s"].notna()]
    assert len(early) > 0, "somebody should have paid out what has then never left"


def test_what_has_never_left_has_not_crossed(bridged):
    transfers, summary = bridged.transfers(), bridged.summary()
    left = transfers[transfers["included_s"].notna() & (transfers["direction"] == "withdrawal")]
    lost = left["lost_s"].notna()
    assert lost.any()
    assert summary["withdrawal_bridged_usd"] == pytest.approx(left["amount_usd"][~lost].sum())


def test_a_deposit_in_a_lost_block_comes_again(bridged):
    transfers, loss = bridged.transfers(), bridged.losses().iloc[0]
    deposits = transfers[(transfers["direction"] == "deposit") & transfers["settled_s"].notna()]
    lost = (deposits["settled_s"] > loss["since_s"]) & (deposits["settled_s"] < START_S)
    assert not lost.any()
    without = run(faults=[fault("outage")], bridge={"users_per_h": 400.0, "deposit_s": 20.0}).transfers()
    settled = without[(without["direction"] == "deposit") & (without["settled_s"] > loss["since_s"])]
    settled = settled[settled["settled_s"] < START_S]["transfer"]
    assert len(settled) > 0
    again = deposits[deposits["transfer"].isin(settled)]
    assert len(again) == len(settled)
    assert (again["settled_s"] >= START_S + LASTS_S).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"venue": {"settlement": "timer"}}, "faults.0.kind is 'crash'; it may be so only where venue.settlement is"),
        ({"rollup": {"kind": "none"}}, "faults.0.kind is 'crash'; it may be so only where rollup.kind is not 'none'"),
        (
            {"options": {"expiries_days": [1.0]}},
            "faults.0.kind is 'crash'; it may be so only where options.expiries_days is empty",
        ),
        (
            {"instruments": [{"name": "ETH", "kind": "spot"}], "margin": {}, "leveraged_traders": {"count": 0},
             "pools": [{"name": "pool", "instrument": "ETH"}]},
            "faults.0.kind is 'crash'; it may be so only where pools is empty",
        ),
        (
            {"chain": {"block_time_s": 2.0, "gas_limit": 20_000_000}, "attestation": {"deadline_s": 1.0},
             "timing_games": {"share": 0.5}},
            "faults.0.kind is 'crash'; it may be so only where timing_games.share is 0",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_undone_is_refused(changes, said):
    with pytest.raises(ScenarioError, match=said):
        scenario_from({**stack(faults=[fault("crash")]), **changes})


def test_nobody_may_settle_on_what_can_be_undone():
    scenario = stack(faults=[fault("crash")])
    above = {"name": "above", "rollup": {"kind": "optimistic", "parent": "rollup"}, "topology": {"validators": 1}}
    scenario["chains"] = [*scenario["chains"], above]
    scenario["rollup"]["parent"] = "parent"
    with pytest.raises(ScenarioError, match="only where no chain settles on it, and above does"):
        scenario_from(scenario)


@pytest.mark.parametrize("named", [True, False])
def test_nor_may_the_first_chain(named):
    middle = stack(faults=[fault("crash")])
    parent = middle.pop("chains")
    middle |= {"name": "middle", "rollup": {**middle["rollup"], "parent": "parent"}}
    top = {**stack(), "chains": [{k: v for k, v in middle.items() if k not in ("duration_s", "warm_up_s")}, *parent]}
    top["rollup"] |= {"data_chain": "parent"} | ({"parent": "middle"} if named else {})
    with pytest.raises(ScenarioError, match="only where no chain settles on it, and rollup does"):
        scenario_from(top)
