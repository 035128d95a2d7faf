"""Sandwichers and extracting producers in a whole market: who sees what, what they earn, what they learn."""

import numpy as np
import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.scenario import ScenarioError, load_scenario, scenario_from

SPOT = {"name": "ETH-SPOT", "kind": "spot", "lot_size": 0.0001}
NOBODY = {"count": 0}
SWAPPERS = {"count": 20, "orders_per_s": 1.0, "size_mean": 10.0, "value_bps": 300.0}


def scenario(**tables):
    """A pool with swappers who are worth to be sandwiched, and two who do it."""
    return scenario_from({
        "warm_up_s": 0,
        "duration_s": 7_200,
        "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000, **tables.pop("chain", {})},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**8},
        "topology": {"validators": 4, "regions": ["london", "tokyo"]},
        "background_users": {"arrivals_per_s": 0.0},
        "instruments": [SPOT],
        "pools": [{"fee_ppm": 500, "initial_liquidity_usd": 2e6}],
        "swappers": SWAPPERS,
        "sandwichers": {"count": 2},
        **dict.fromkeys(("market_makers", "noise_traders", "informed_traders", "arbitrageurs"), NOBODY),
        **tables,
    })  # fmt: skip


def run(seconds=1_000, seed=3, **tables):
    market = Market(scenario(**tables), seed=seed)
    market.run_for(seconds)
    market.check()
    return market


def tries(rows):
    return int(rows["tries"].sum())


def sandwiched(market):
    return int(market.world.records.pool_rows(0)["sandwiched"].sum())


@pytest.fixture(scope="module")
def public():
    return run(producers={"extracting_share": 0.0}, pool_arbitrageurs={"count": 1})


def test_swaps_are_sandwiched_in_a_public_mempool_and_it_pays(public):
    summary = public.summary()
    assert sandwiched(public) > 20
    assert 0.0 < summary["ETH-POOL.sandwich_rate"] < 1.0
    assert summary["ETH-POOL.lost_to_sandwiches_usd_per_h"] > 0
    assert summary["rent_lost_to_sandwiches_usd_per_h"] == pytest.approx(
        summary["ETH-POOL.lost_to_sandwiches_usd_per_h"]
    )
    assert 0.0 < summary["sandwich_success"] <= 1.0
    assert 0.0 < summary["back_run_success"] <= 1.0
    assert summary["gas_sandwicher_usd_per_h"] > 0 == summary["gas_extractor_usd_per_h"]


def test_the_loss_to_sandwiches_is_what_the_pairs_on_the_tape_gained(public):
    accounts = public.world.sandwichers["account"].tolist()
    trades = public.trades()
    gained, pairs, victims = 0.0, 0, set()
    for _, block in trades.groupby("block"):
        for account in accounts:
            own = block[block["taker"] == account]
            if list(own["side"]) not in (["buy", "sell"], ["sell", "buy"]):
                continue
            between = block.loc[own.index[0] : own.index[-1]]
            between = between[(between["taker"] != account) & (between["side"] == own["side"].iloc[0])]
            if len(between):
                sign = np.where(own["side"] == "sell", 1.0, -1.0)
                gained += (sign * own["price_usd"] * own["size"] - own["taker_fee_usd"]).sum()
                assert own["size"].nunique() == 1, "just as many lots are traded back"
                pairs += 1
                victims |= set(between.index) - set(trades.index[trades["taker"].isin(accounts)])
    assert pairs > 20
    assert gained == pytest.approx(public.world.records.pool_rows(0)["loss_to_sandwiches_usd"].sum(), abs=1e-3)
    found = rents(public)
    assert found["loss_to_sandwiches_micro_usd"] == pytest.approx(gained * 1e6, abs=1e3)
    assert len(victims) <= sandwiched(public), "searchers whose swaps lie between count as well"


def test_the_two_trades_around_a_swap_never_lose(public):
    accounts = public.world.sandwichers["account"].tolist()
    trades = public.trades()
    trades = trades[trades["taker"].isin(accounts)]
    for _, own in trades.groupby(["block", "taker"]):
        if set(own["side"]) == {"buy", "sell"}:
            sign = np.where(own["side"] == "sell", 1.0, -1.0)
            assert (sign * own["price_usd"] * own["size"] - own["taker_fee_usd"]).sum() > -1e-6


def test_a_sandwich_holds_a_swap_that_had_reached_the_searcher(public):
    world = public.world
    access = {int(row["account"]): int(row["access"]) for name in ("swappers", "pool_arbitrageurs", "sandwichers")
              for row in getattr(world, name)}  # fmt: skip
    # The swap itself may have failed, if somebody else was ahead of both.
    sent = public.transactions().query("kind == 'swap'")
    between = world.chain.between_ns
    checked = 0
    for _, block in sent.groupby("block"):
        for account in world.sandwichers["account"].tolist():
            own = block[(block["sender"] == account) & (block["status"] == "succeeded")]
            if len(own) != 2:
                continue
            inside = block.loc[own.index[0] : own.index[-1]]
            inside = inside[(inside["sender"] != account) & (inside["side"] == own["side"].iloc[0])]
            if len(inside):
                ways = [between[access[sender], access[account]] for sender in inside["sender"]]
                known = np.rint(inside["decided_s"] * 1e9) + ways
                assert known.min() <= round(own["decided_s"].iloc[0] * 1e9)
                checked += 1
    assert checked > 20


class LastMoment(Trader):
    """Buys a lot of the pool at any price, once, as late as it can for the block."""

    sent = False

    def act(self):
        if self.time_s > 20.0 and not self.sent:
            self.sent = True
            self.swap("buy", 1.1 * self.external_price, size=10.0, max_fee=10**10, tip=10**9)


@pytest.mark.parametrize(
    ("tables", "caught"),
    [
        ({"topology": {"validators": 1, "regions": ["london", "tokyo"]}}, False),  # it is on its way when they decide
        ({"topology": {"validators": 1, "latency_scale": 0.0}}, True),
        ({"topology": {"validators": 1, "latency_scale": 0.0}, "chain": {"mempool": "private"}}, False),
        ({"topology": {"validators": 1, "latency_scale": 0.0}, "chain": {"mempool": "encrypted"}}, False),
        (
            {
                "topology": {"validators": 1, "regions": ["london", "tokyo"]},
                "chain": {"mempool": "private"},
                "producers": {"extracting_share": 1.0},
            },
            True,
        ),
    ],
)
def test_a_swap_that_cannot_have_arrived_is_not_sandwiched(tables, caught):
    market = Market(scenario(swappers=NOBODY, **tables), seed=1)
    victim = LastMoment(market, access=market.world.chain.access_points[1])
    market.run_for(40.0)
    market.check()
    assert (market.trades()["taker"] == victim.account).sum() == 1
    assert (tries(market.world.sandwichers) + tries(market.world.extractors) > 0) == caught
    assert (sandwiched(market) > 0) == caught


def test_swaps_that_go_to_the_producer_alone_are_seen_by_nobody_else():
    market = run(300, swappers={**SWAPPERS, "private_share": 1.0})
    assert market.world.records.pool_rows(0)["swaps"].sum() > 50
    assert tries(market.world.sandwichers) == 0


def test_some_wallets_send_to_the_producer_alone():
    world = Market(scenario(swappers={**SWAPPERS, "count": 400, "private_share": 0.25}), seed=1).world
    private = world.swappers["route"] != 0
    assert private.mean() == pytest.approx(0.25, abs=0.07)
    more = Market(scenario(swappers={**SWAPPERS, "count": 400, "private_share": 0.5}), seed=1).world
    assert (more.swappers["route"] != 0)[private].all(), "a larger share keeps those of the smaller one"


def test_only_who_makes_the_block_sees_a_private_mempool():
    market = run(600, chain={"mempool": "private"}, producers={"extracting_share": 0.7})
    assert 1 <= len(market.world.extractors) < 4
    assert tries(market.world.sandwichers) == 0 < tries(market.world.extractors)
    assert sandwiched(market) > 20
    trades, ledger = market.trades(), market.ledger()
    makers = market.transactions().drop_duplicates("block")["block"]
    assert len(makers) > 100
    producers = dict(zip(market.world.extractors["account"], market.world.extractors["producer"], strict=True))
    own = trades[trades["taker"].isin(producers)]
    assert own.groupby("block")["taker"].nunique().max() == 1, "nobody extracts from somebody else's block"
    assert ledger.loc[ledger["role"] == "extractor", "ether_wei"].nunique() > 1


def test_an_operator_pays_its_tips_to_itself():
    """What the searcher inside a producer bids arrives on the account of the producer, to the wei."""
    market = run(300, topology={"validators": 1}, producers={"extracting_share": 1.0}, swappers=SWAPPERS)
    tape = market.transactions()
    inside = int(market.world.extractors["account"][0])
    paid = tape["gas_used"] * tape["tip_wei"]
    assert paid[tape["sender"] == inside].sum() > 0.5 * paid.sum()
    found = rents(market)
    assert found["tips_wei"] == sum(
        int(gas) * int(tip) for gas, tip in zip(tape["gas_used"], tape["tip_wei"], strict=True)
    )
    change = {row.role: row.ether_wei for row in market.ledger().itertuples()}["producer"]
    assert change == found["tips_wei"] + found["sequencer_base_fee_wei"]


@pytest.mark.parametrize("ordering", ["first_come_first_served", "random_order"])
def test_they_stop_where_nobody_can_get_ahead(ordering):
    costly = {"rule": "fixed", "base_fee_wei": 10**10}
    market = run(1_500, chain={"ordering": ordering}, fee_market=costly, swappers={**SWAPPERS, "orders_per_s": 2.0})
    rows = market.world.sandwichers
    assert rows["hope"][:, 0].max() < 0.35
    auction = run(1_500, fee_market=costly, swappers={**SWAPPERS, "orders_per_s": 2.0})
    assert sandwiched(market) < 0.2 * sandwiched(auction)


def test_without_searchers_nothing_is_listed_and_nothing_lost():
    market = run(200, sandwichers=NOBODY)
    assert market.world.feeds[0]["pending_count"] == 0
    assert sandwiched(market) == 0
    found = rents(market)
    assert found["place_wei"] == found["loss_to_sandwiches_micro_usd"] == found["loss_to_arbitrage_micro_usd"] == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chain.mempool": "secret"}, "chain.mempool is 'secret'; it may be 'public' or 'private' or 'encrypted'"),
        ({"sandwichers.count": 1}, "sandwichers.count is 1; it must be 0 where there are no pools"),
        (
            {"producers.extracting_share": 0.5},
            "producers.extracting_share is 0.5; it must be 0 where there are no",
        ),
        ({"producers.extracting_share": 2}, "producers.extracting_share is 2; it must be a number, at least 0 and at"),
        ({"swappers.private_share": -1}, "swappers.private_share is -1; it must be a number, at least 0 and at most 1"),
        ({"sandwichers.most_victims": 65}, "sandwichers.most_victims is 65; it must be a whole number, at least 1 and"),
        ({"sandwichers.learning_rate": 0}, "sandwichers.learning_rate is 0; it must be a number, above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ScenarioError) as error:
        load_scenario("base", changes)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_producers_who_may_extract_count_as_accounts():
    pool = {"instruments.0.kind": "spot", "instruments.0.name": "ETH-SPOT", "pools.0.fee_ppm": 500}
    pool |= {"topology.validators": 4_000, "noise_traders.count": 10_000, "producers.extracting_share": 0.1}
    with pytest.raises(ScenarioError, match="they may be at most"):
        load_scenario("ethereum", pool)
