"""Pools in a whole market: scenarios, agents in Python, what is recorded, and what everybody learns."""

import json

import numpy as np
import pytest

from blockspace.agents.beliefs import NOBODY_BIDS
from blockspace.agents.liquidity_providers import IN, OUT
from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.reports.tables import summary_groups
from blockspace.experiments.scenario import ScenarioError, load_scenario, scenario_from

SPOT = {"name": "ETH-SPOT", "kind": "spot", "lot_size": 0.0001}
NOBODY = {"count": 0}


def scenario(*pools, **tables):
    """A spot market with pools and nobody in it."""
    return scenario_from({
        "warm_up_s": 0,
        "duration_s": 7_200,
        "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**7},
        "topology": {"validators": 1, "latency_scale": 0.0},
        "background_users": {"arrivals_per_s": 0.0},
        "instruments": [SPOT],
        "pools": pools or [{"fee_ppm": 500}],
        **dict.fromkeys(("market_makers", "noise_traders", "informed_traders", "arbitrageurs"), NOBODY),
        **tables,
    })  # fmt: skip


def run(seconds, *pools, seed=1, **tables):
    market = Market(scenario(*pools, **tables), seed=seed)
    market.run_for(seconds)
    market.check()
    return market


CONCENTRATED = {"kind": "concentrated", "fee_ppm": 500, "initial_range_bps": 1_000.0}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pools.0.instrument": "ETH-PERP"}, "the instrument of the pool ETH-POOL is 'ETH-PERP'; it must be the name"),
        ({"instruments.0.kind": "perpetual"}, "is 'ETH-SPOT'; it must be the name of a spot instrument, of which"),
        ({"pools.0.fee_ppm": 100_001}, "pools.0.fee_ppm is 100001; it must be a whole number, at least 0 and at most"),
        ({"pools.0.kind": "curve"}, "pools.0.kind is 'curve'; it may be 'constant_product' or 'concentrated'"),
        ({"pools.0.kind": "concentrated", "pools.0.fee_ppm": 400}, "tick_spacing is 0; it must be at least 1 where"),
        ({"pools.0.name": "ETH-SPOT"}, "the pool ETH-SPOT is called like an instrument"),
        ({"pools.1.fee_ppm": 100}, "the pools are called ETH-POOL, ETH-POOL; each must have a name of its own"),
        ({"pools.2.fee_ppm": 100}, "'pools.2.fee_ppm' does not exist; its list has the items 0 to 0"),
        ({"pools.0.fee": 100}, "there is no setting 'pools.0.fee'"),
        ({"pools.0.initial_liquidity_usd": 0}, "pools.0.initial_liquidity_usd is 0; it must be a number, at least 1"),
        ({"chain.gas_limit": 200_000, "gas.quote_level": 0}, "it must be at least 250000, the gas of the largest"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(changes, sentence, tmp_path):
    file = tmp_path / "pools.toml"
    file.write_text('[[instruments]]\nname = "ETH-SPOT"\nkind = "spot"\n[[pools]]\n')
    load_scenario(file)
    with pytest.raises(ScenarioError) as error:
        load_scenario(file, changes)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("population", ["pool_arbitrageurs", "swappers", "liquidity_providers"])
def test_without_pools_nobody_deals_with_them(population):
    with pytest.raises(ScenarioError, match=f"{population}.count is 1; it must be 0 where there are no pools"):
        load_scenario("base", {f"{population}.count": 1})


def test_a_pool_is_switched_on_by_settings_alone():
    made = load_scenario(
        "base", {"instruments.0.kind": "spot", "instruments.0.name": "ETH-SPOT", "pools.0.fee_ppm": 500}
    )
    assert [pool.name for pool in made.pools] == ["ETH-POOL"]
    assert scenario_from(json.loads(made.model_dump_json())) == made


def test_a_pool_opens_at_the_external_price_with_its_providers_money():
    market = run(2.0, {"name": "A", "initial_liquidity_usd": 1e6}, {"name": "B", **CONCENTRATED})
    blocks, ledger = market.blocks(), market.ledger()
    for name, dollars in (("A", 1e6), ("B", 25e6)):
        assert blocks[f"{name}.price_usd"].iloc[0] == pytest.approx(market.external_prices([0.0])[0], rel=1e-6)
        assert blocks[f"{name}.reserve_usd"].iloc[0] == pytest.approx(dollars, rel=0.01)
        assert blocks[f"{name}.reserve"].iloc[0] * 2_000.0 == pytest.approx(dollars, rel=0.06)
    assert (ledger["role"] == "pool").sum() == (ledger["role"] == "provider").sum() == 2
    assert (ledger.loc[ledger["role"] == "pool", "cash_micro_usd"] > 0).all()


def test_pools_cost_nothing_where_there_are_none():
    market = Market(load_scenario("base", {"warm_up_s": 0}), seed=1)
    market.run_for(10.0)
    assert not [name for name in market.blocks() if "pool" in name.lower()]
    assert not [name for name in market.summary() if "pool" in name or "swapper" in name or "provider" in name]
    assert "pool" not in market.trades()
    assert set(market.ledger()["role"]).isdisjoint({"pool", "provider"})


class Hand(Trader):
    """Does what a list of calls says, one a block."""

    def __init__(self, model, *calls):
        super().__init__(model)
        self.calls = list(calls)

    def act(self):
        if self.calls:
            name, options = self.calls.pop(0)
            getattr(self, name)(**options)


def money(market, hand):
    row = market.ledger().loc[hand.account]
    return row["ETH-SPOT_lots"], row["cash_micro_usd"]


@pytest.mark.parametrize("pool", [{"fee_ppm": 500}, CONCENTRATED])
def test_an_agent_in_python_swaps_and_provides(pool):
    market = Market(scenario(pool, price={"volatility_per_day": 0.0}), seed=1)
    bounds = {"lower_usd": 1_900.0, "upper_usd": 2_100.0}
    hand = Hand(
        market,
        ("swap", {"side": "buy", "price_usd": 2_010.0, "size": 2.0}),
        ("swap", {"side": "sell", "price_usd": 1_990.0, "size": 1.0}),
        ("swap", {"side": "buy", "price_usd": 2_010.0, "amount_usd": 4_000.0}),
        ("swap", {"side": "sell", "price_usd": 1_990.0, "amount_usd": 4_000.0}),
        ("swap", {"side": "buy", "price_usd": 2_000.0, "size": 1.0}),  # below what it costs
        ("add_liquidity", {"size": 10.0, "amount_usd": 20_000.0, **bounds}),
        ("remove_liquidity", bounds),
    )
    start = money(market, hand)
    changes = []
    for _ in range(7):
        before = money(market, hand)
        market.step()
        changes.append([now - then for now, then in zip(money(market, hand), before, strict=True)])
    assert changes[0][0] == 20_000
    assert changes[1][0] == -10_000
    assert changes[2][1] == -4_000_000_000
    assert changes[3][1] == 4_000_000_000
    assert changes[4] == [0, 0]
    assert 90_000 < -changes[5][0] <= 100_000
    assert 19e9 < -changes[5][1] <= 20e9
    assert [sum(pair) for pair in zip(*changes[5:], strict=True)] == pytest.approx([0, 0], abs=1)
    assert market.transactions()["status"].tolist() == ["succeeded"] * 4 + ["failed"] + ["succeeded"] * 2
    assert market.transactions()["kind"].tolist() == ["swap"] * 5 + ["mint", "burn"]
    assert hand.pool_price() == pytest.approx(2_000.0, rel=1e-3)
    assert start[1] > money(market, hand)[1]
    market.check()


def test_a_swap_may_stop_at_a_price():
    market = Market(scenario(CONCENTRATED, price={"volatility_per_day": 0.0}), seed=1)
    Hand(market, ("swap", {"side": "buy", "price_usd": 2_100.0, "size": 2_000.0, "stop_usd": 2_004.0}))
    market.step()
    assert market.blocks()["ETH-POOL.price_usd"].iloc[-1] == pytest.approx(2_004.0, rel=1e-6)
    assert 0 < market.trades()["size"].item() < 2_000.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"side": "long", "size": 1.0}, "side is 'long'; it may be buy or sell"),
        ({"side": "buy"}, "one of the two must be above 0"),
        ({"side": "buy", "size": 1.0, "amount_usd": 1.0}, "one of the two must be above 0"),
        ({"side": "buy", "size": 1.0, "pool": 1}, "pool is 1; it may be 0 to 0"),
        ({"side": "buy", "size": 1.0, "stop_usd": 2_000.0}, "has no such limit"),
    ],
)
def test_a_swap_that_makes_no_sense_is_refused(options, sentence):
    hand = Hand(Market(scenario(), seed=1))
    with pytest.raises(ValueError, match=sentence):
        hand.swap(price_usd=2_000.0, **options)


def test_nobody_sees_a_pool_before_its_block_arrives():
    """Far from the producer, the price of the pool before a swap is seen until the block has travelled."""

    chain = {"block_time_s": 0.05, "gas_limit": 20_000_000}
    topology = {"validators": 1, "regions": ["london", "sydney"]}
    market = Market(scenario(chain=chain, topology=topology, price={"volatility_per_day": 0.0}), seed=1)
    names = market.world.chain.access_points
    far = max(range(len(names) - 1), key=lambda access: int(market.world.chain.latency_ns(access).min()))

    class Watcher(Trader):
        def __init__(self, model, access):
            super().__init__(model, access=access)
            self.seen = []

        def act(self):
            self.seen.append((self.time_s, self.pool_price()))

    watcher = Watcher(market, names[far])
    Hand(market, *[("pool_price", {})] * 20, ("swap", {"side": "buy", "price_usd": 2_100.0, "size": 500.0}))
    market.run_for(3.0)
    swapped = market.trades()["time_s"].item()
    latency = int(market.world.chain.latency_ns(far).min()) * 1e-9
    assert latency > 0.05
    before = {price for time, price in watcher.seen if time < swapped + latency}
    after = {price for time, price in watcher.seen if time > swapped + latency + 0.1}
    assert len(before) == len(after) == 1
    assert max(before) < min(after)


# What is recorded.


@pytest.fixture(scope="module", params=["constant_product", "concentrated"])
def busy(request):
    """An hour with everybody who deals with a pool."""
    return run(
        3_600.0,
        {"kind": request.param, "fee_ppm": 500, "initial_range_bps": 1_000.0},
        price={"volatility_per_day": 0.1},
        pool_arbitrageurs={"count": 2},
        swappers={"count": 20, "orders_per_s": 0.3},
        liquidity_providers={"count": 4, "review_interval_s": 300.0, "rest_s": 100.0, "exploration": 0.3},
    )


def test_rows_agree_with_the_tape(busy):
    blocks, trades, ledger = busy.blocks(), busy.trades(), busy.ledger()
    rows = blocks.filter(like="ETH-POOL.").rename(columns=lambda name: name.removeprefix("ETH-POOL."))
    assert rows["swaps"].sum() == len(trades) > 500
    notional = trades["price_usd"] * trades["size"]
    assert rows["volume_usd"].sum() == pytest.approx(notional.sum(), rel=1e-9)
    assert rows["fees_usd"].sum() == pytest.approx(trades["taker_fee_usd"].sum(), rel=1e-9)
    arbitrage = ledger.loc[trades["taker"], "role"].to_numpy() == "pool_arbitrageur"
    side = np.where(trades["side"] == "buy", 1.0, -1.0)
    profit = side * (trades["external_price_usd"] * trades["size"] - notional) - trades["taker_fee_usd"]
    assert rows["arbitrage_profit_usd"].sum() == pytest.approx(profit[arbitrage].sum(), rel=1e-9)
    assert rows["arbitrage_volume_usd"].sum() == pytest.approx(notional[arbitrage].sum(), rel=1e-9)
    assert rows["providers_gain_usd"].sum() == pytest.approx(-profit.sum(), rel=1e-9)
    assert (profit[arbitrage] > -0.01).mean() > 0.99
    # Without trades of the book, nothing of the pool is in the columns of the instrument.
    assert blocks["trades"].sum() == blocks["volume_usd"].sum() == 0


def test_the_value_of_a_pool_is_rebalancing_and_the_gain_of_swaps():
    """Where liquidity does not come and go; the benchmark of Milionis et al. (2022)."""
    for kind in ("constant_product", "concentrated"):
        market = run(
            3_600.0,
            {"kind": kind, "fee_ppm": 500},
            price={"volatility_per_day": 0.1},
            pool_arbitrageurs={"count": 2},
            swappers={"count": 20, "orders_per_s": 0.3},
        )
        rows = market.world.records.pool_rows(0)
        change = rows["value_usd"][-1] - rows["value_usd"][0]
        explained = (rows["rebalancing_usd"] + rows["providers_gain_usd"])[1:].sum()
        assert change == pytest.approx(explained, abs=1e-3)
        assert abs(rows["rebalancing_usd"]).sum() > 1e5


def test_summary_of_a_pool(busy):
    summary, rows = busy.summary(), busy.world.records.pool_rows(0)
    assert summary["ETH-POOL.fees_usd_per_h"] == pytest.approx(rows["fees_usd"].sum(), rel=1e-2)
    assert summary["ETH-POOL.loss_to_arbitrage_usd_per_h"] == pytest.approx(
        rows["arbitrage_profit_usd"].sum(), rel=1e-2
    )
    expected = 24e4 * rows["arbitrage_profit_usd"].sum() / rows["value_usd"].mean()
    assert summary["ETH-POOL.loss_to_arbitrage_bps_per_day"] == pytest.approx(expected, rel=1e-2)
    assert 0.0 < summary["ETH-POOL.price_gap_bps"] < 10.0
    assert summary["ETH-POOL.gain_over_rebalancing_usd_per_h"] == pytest.approx(
        rows["providers_gain_usd"].sum(), rel=1e-2
    )
    assert 0.0 < summary["gas_pool_arbitrageur_usd_per_h"]
    assert summary["swappers_to_pool_share"] == 1.0  # there is nobody on the book
    assert 0.0 < summary["pool_arbitrage_success"] < 1.0


def test_the_table_of_a_run_shows_its_pools(busy):
    groups, summary = dict(summary_groups(busy.world.scenario)), busy.summary()
    assert "ETH-POOL" in groups
    assert all(np.isfinite(summary[measure]) for _, measure, _ in groups["ETH-POOL"])


# What everybody does.


def test_arbitrage_keeps_the_price_within_the_fee():
    somebody = {"price": {"volatility_per_day": 0.1}, "swappers": {"count": 1, "orders_per_s": 0.1, "size_mean": 0.1}}
    with_them = run(3_600.0, pool_arbitrageurs={"count": 2}, **somebody)
    without = run(3_600.0, **somebody)
    gap = [abs(market.blocks()["ETH-POOL.price_gap_bps"].iloc[50:]) for market in (with_them, without)]
    assert gap[0].mean() < 5.0 < 30.0 < gap[1].mean()


def test_arbitrageurs_bid_more_where_they_compete():
    alone = run(7_200.0, price={"volatility_per_day": 0.1}, pool_arbitrageurs={"count": 1})
    many = run(7_200.0, price={"volatility_per_day": 0.1}, pool_arbitrageurs={"count": 4})
    tips = [market.transactions().query("kind == 'swap'")["tip_wei"].median() for market in (alone, many)]
    assert tips[1] > 10 * tips[0]
    beliefs = [market.world.pool_arbitrageurs["beliefs"] for market in (alone, many)]
    nobody = [np.average(belief["rival"][..., NOBODY_BIDS], weights=belief["races"]) for belief in beliefs]
    assert nobody[1] < 0.3 < 0.9 < nobody[0]
    assert many.transactions()["status"].eq("failed").sum() > 100


def test_pool_arbitrageurs_look_at_the_book_as_well():
    market = run(
        3_600.0,
        price={"volatility_per_day": 0.1},
        pool_arbitrageurs={"count": 2},
        market_makers={"count": 2},
        noise_traders={"count": 5, "orders_per_s": 0.2},
    )
    trades, roles = market.trades(), market.ledger()["role"]
    takers = roles[trades["taker"]].to_numpy() == "pool_arbitrageur"
    assert set(trades["pool"][takers]) == {"", "ETH-POOL"}
    assert market.blocks()["arbitrage_volume_usd"].sum() > 0


def test_swappers_balk_where_it_costs_too_much_and_fail_beyond_their_tolerance():
    def swapped(volatility=0.4, **settings):
        swappers = {"count": 10, "orders_per_s": 0.5, **settings}
        market = run(3_600.0, {"fee_ppm": 3_000}, price={"volatility_per_day": volatility}, swappers=swappers)
        return market.world.swappers, market.transactions()

    rows, all_of_it = swapped(value_bps=300.0, tolerance_bps=500.0)
    assert rows["balked"].sum() < rows["swaps_sent"].sum()
    poor, _ = swapped(0.01, value_bps=10.0)
    assert poor["swaps_sent"].sum() < 0.2 * poor["balked"].sum()
    _, strict = swapped(value_bps=300.0, tolerance_bps=0.0)
    assert (strict["status"] == "failed").sum() > (all_of_it["status"] == "failed").sum()


def test_swappers_trade_where_it_costs_less():
    def share(fee_ppm):
        market = run(
            1_800.0,
            {"fee_ppm": fee_ppm},
            market_makers={"count": 3},
            noise_traders={"count": 20, "orders_per_s": 2.0, "size_mean": 0.5},
            swappers={"count": 10, "orders_per_s": 0.5, "size_mean": 0.5},
            pool_arbitrageurs={"count": 2},
        )
        return market.summary()["swappers_to_pool_share"]

    assert share(100) > 0.5 > share(10_000)


def providers(pool, seconds=3 * 3_600.0, **tables):
    settings = {"count": 8, "review_interval_s": 600.0, "rest_s": 600.0, **tables.pop("liquidity_providers", {})}
    return run(seconds, pool, liquidity_providers=settings, pool_arbitrageurs={"count": 2}, **tables)


def test_providers_stay_where_fees_pay_and_leave_where_arbitrage_takes_more():
    pool = {"fee_ppm": 500, "initial_liquidity_usd": 5e6}
    careful = {"exploration": 0.0}
    calm = providers(
        pool,
        price={"volatility_per_day": 0.01},
        swappers={"count": 20, "orders_per_s": 0.5, "value_bps": 100.0},
        liquidity_providers=careful,
    )
    wild = providers(pool, price={"volatility_per_day": 0.4}, liquidity_providers=careful)
    assert (calm.world.providers["status"] == IN).all()
    assert (calm.world.providers["total_gain"] > 0.0).all()
    assert (wild.world.providers["status"] == OUT).all()
    assert (wild.world.providers["total_gain"] < 0.0).all()


@pytest.mark.parametrize("pool", [{"fee_ppm": 500}, {"kind": "concentrated", "fee_ppm": 500}])
def test_a_provider_measures_what_it_earns(pool):
    """What it believes to have gained is its part of what the pool gained over rebalancing."""
    market = providers(
        {**pool, "initial_liquidity_usd": 1e6},
        seconds=7_200.0,
        seed=3,
        price={"volatility_per_day": 0.01},
        swappers={"count": 20, "orders_per_s": 0.3, "size_mean": 0.5},
        liquidity_providers={"count": 1, "review_interval_s": 7_200.0, "look_interval_s": 0.0, "narrowest_bps": 800.0},
    )
    [row] = market.world.providers
    assert (row["status"], row["mints"]) == (IN, 1)
    rows, minted = market.world.records.pool_rows(0), market.transactions().query("kind == 'mint'")["time_s"].item()
    later = rows[(market.blocks()["time_s"] > minted).to_numpy()]
    share = row["liquidity"] / later["liquidity"].mean()
    assert 0.2 < share < 0.95
    assert row["total_gain"] == pytest.approx(share * later["providers_gain_usd"].sum(), rel=0.03)


def test_narrow_ranges_earn_more_and_lose_more():
    market = providers(
        {"kind": "concentrated", "fee_ppm": 500},
        price={"volatility_per_day": 0.05},
        swappers={"count": 20, "orders_per_s": 0.5},
        liquidity_providers={"exploration": 1.0, "count": 16},
    )
    rows = market.world.providers
    assert (rows["tried"].sum(axis=0) > 3).all()
    spread = [rows["expected"][:, width][rows["tried"][:, width] > 0].std() for width in (0, 7)]
    assert spread[0] > 3.0 * spread[1]
