"""Desks between two chains: what they trade, what they learn, how their cash moves, and that none of it gets lost."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.recording.cross_chain_summary import own_transfers, price_gaps
from blockspace.experiments.scenario import ScenarioError, change_settings
from tests.experiments.small import two_markets, two_rollups

SECONDS = 900.0


def run(seconds=SECONDS, seed=1, **settings):
    market = Market(two_markets(seconds, **settings), seed=seed)
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def market():
    return run()


@pytest.fixture(scope="module")
def moving():
    """Desks with little capital, and a price that rises by a tenth: the short leg runs short."""
    price = {"source": "script", "script": [[100.0, 1.0], [700.0, 1.1]]}
    return run(1_200.0, desks={"capital_usd": 3_000.0, "largest_leverage": 15.0}, price=price, window_s=100.0)


def test_desks_trade_on_both_chains_and_their_legs_match(market):
    for desk in market.cross_chain:
        assert desk.pairs > 0
    trades = [market.trades(world) for world in (0, 1)]
    for desk in market.cross_chain:
        for tape, hand in zip(trades, desk.hands, strict=True):
            own = tape[tape["taker"] == hand.account]
            assert len(own) > 0
            lots = np.where(own["side"] == "buy", own["size"], -own["size"]).sum() / hand.lot_size
            held = hand.world.venues[0]["ledger"]["accounts"]["position"][hand.account, 0]
            assert round(lots) == held
        if not any(hand.order for hand in desk.hands) and not desk.pair:
            assert desk.hands[0].lots == -desk.hands[1].lots


def test_desks_close_gaps(market):
    without = run(desks={"count": 0})
    assert "cross_chain_trades" not in without.summary()
    assert without.fingerprint() != market.fingerprint()
    assert len(without.bridges) == 1  # its users want it


def test_what_a_desk_sees_has_reached_it(market):
    for desk in market.cross_chain:
        for hand in desk.stops:
            assert int(hand.view["visible"][hand.access]) <= desk.last_ns


def test_waits_are_those_of_the_tape(market):
    tape = [market.transactions(world) for world in (0, 1)]
    for desk in market.cross_chain:
        assert desk.executions.count > 3
        decided = np.intersect1d(
            *(rows["decided_s"][rows["sender"] == hand.account] for rows, hand in zip(tape, desk.hands, strict=True))
        )
        waits = desk.executions.seen(0.0)
        first = [
            max(
                rows["time_s"][(rows["sender"] == hand.account) & (rows["decided_s"] == decided[0])].max() - decided[0]
                for rows, hand in zip(tape, desk.hands, strict=True)
            )
        ]
        assert waits[0] >= first[0] - 1e-6


def test_gaps_are_recomputed_from_the_books(market):
    gaps = price_gaps(market)
    rows = [market.blocks(world) for world in (0, 1)]
    at = gaps.iloc[len(gaps) // 2]
    mids = []
    for blocks in rows:
        last = blocks[blocks["time_s"] <= at["time_s"]].iloc[-1]
        mids.append(0.5 * (last["best_bid_usd"] + last["best_ask_usd"]))
    assert at["gap_bps"] == pytest.approx(1e4 * np.log(mids[0] / mids[1]))
    known = gaps[gaps["gap_bps"].notna()]
    mean = np.average(known["gap_bps"].abs(), weights=known["lasts_s"])
    assert market.summary()["cross_chain_gap_bps"] == pytest.approx(mean)


def test_cash_follows_the_losing_leg(moving):
    transfers = own_transfers(moving)
    assert transfers["included_s"].notna().sum() > 0
    summary = moving.summary()
    assert summary["cross_chain_transfers"] == transfers["included_s"].notna().sum()
    assert summary["cross_chain_capital_locked_usd"] > 0.0
    arrived = [route for desk in moving.cross_chain for route in desk.routes if route.slow.count + route.quick.count]
    assert arrived


def test_a_resumed_run_is_the_run_that_never_stopped(moving):
    first = Market(moving.settings, seed=1)
    first.run_for(650.0)
    second = Market(moving.settings, seed=1)
    second.restore(first.state())
    second.run_for(550.0)
    assert second.fingerprint() == moving.fingerprint()
    assert second.summary() == pytest.approx(moving.summary(), nan_ok=True)


def window_moves(seeds, seconds, providers):
    """Mean differences of measures between a withdrawal window of a week and one of ten minutes, on the same seeds."""
    found = []
    for seed in seeds:
        pair = []
        for window_s in (7 * 86_400.0, 600.0):
            market = Market(two_rollups(seconds, window_s=window_s, providers=providers), seed=seed, tapes="none")
            market.run_for(seconds)
            market.check()
            pair.append(market.summary())
        names = ("cross_chain_gap_bps", "quoted_spread_bps", "withdrawal_bridge_fee_bps")
        found.append([pair[0][name] - pair[1][name] for name in names])
    return np.mean(found, axis=0)


@pytest.mark.slow
def test_a_longer_window_moves_gaps_between_rollups_and_hardly_their_spreads():
    gap, spread, _ = window_moves((1, 2), 2_700.0, providers=0)
    assert gap > 0.5
    assert abs(spread) < 0.5 * gap


@pytest.mark.slow
def test_a_longer_window_moves_fees_and_gaps_where_cash_can_be_had_early():
    gap, spread, fee = window_moves(range(1, 7), 3_600.0, providers=3)
    assert gap > 0.3
    assert fee > 10.0
    assert abs(spread) < 0.5 * gap


def test_cash_goes_from_one_rollup_to_another_by_way_of_their_parent():
    market = Market(two_rollups(400.0, window_s=20.0, desks=1), seed=1, tapes="none")
    market.run_for(100.0)
    desk = market.cross_chain[0]
    route = desk.routes[0]
    before = [hand.cash for hand in desk.hands]
    route.send(desk.last_ns, 1_000_000_000, 1e-3)
    market.run_for(300.0)
    market.check()
    assert len(desk.stops) == 3
    assert not route.is_busy
    assert route.quick.count == 1  # its providers pay both ways out at once
    moved = route.arrived_micro_usd + route.fees_micro_usd
    assert moved == 1_000_000_000
    assert desk.hands[1].cash != before[1]


def test_desks_differ_and_are_drawn_one_by_one(market):
    one = Market(two_markets(10.0, desks={"count": 1}), seed=1).cross_chain
    assert one[0].aversion == market.cross_chain[0].aversion != market.cross_chain[1].aversion


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cross_chain_arbitrageurs.between", ["rollup", "rollup"], "it must name two chains, or none"),
        ("cross_chain_arbitrageurs.between", ["rollup", "nowhere"], "it must name two of rollup, parent"),
        ("cross_chain_arbitrageurs.instrument", "BTC-PERP", "it must be the name of a perpetual on rollup and parent"),
        ("chains.0.cross_chain_arbitrageurs.count", 1, "it must be 0 on further chains"),
        ("chains.0.margin.mode", "isolated", "margin.mode of parent is 'isolated'; it must be 'cross'"),
        ("chains.0.venue.matching", "batch", "venue.matching of parent is 'batch'; it must be 'continuous'"),
        ("rollup.kind", "none", "they must be a rollup and its parent, or two rollups of one parent"),
        ("cross_chain_arbitrageurs.risk_aversion_per_usd", 0.0, "it must be a number, above 0"),
        ("chains.0.instruments.0.lot_size", 0.01, "lot_size of ETH-PERP is 0.001 and 0.01"),
    ],
)
def test_what_cannot_be_traded_between_is_refused(path, value, message):
    with pytest.raises(ScenarioError, match=message):
        change_settings(two_markets(10.0), {path: value})


def test_desks_need_a_second_chain():
    data = two_markets(10.0).model_copy(update={"rollup": two_markets(10.0).chains[0].rollup})
    with pytest.raises(ScenarioError, match="must be 0 where there is only one chain"):
        change_settings(data, {"chains": []})
