"""The compiled market and its twin give the same run with pools, and with those who search them."""

from tests.reference.runs import SPOT, run_both

POOL = {"name": "POOL", "instrument": "ETH-SPOT", "fee_ppm": 500, "initial_liquidity_usd": 2e6}

POOL_CHAIN = {"block_time_s": 2.0, "gas_limit": 4_000_000}


def with_pools(pools, **tables):
    """A spot market with pools and everybody who deals with them."""
    return {
        "chain": POOL_CHAIN,
        "fee_market": {"initial_base_fee_wei": 10**9},
        "topology": {"validators": 3, "regions": ["london", "tokyo"]},
        "price": {"volatility_per_day": 0.3},
        "instruments": [{}, SPOT],
        "endowment": {"cash_usd": 3e6, "spot": 2_000.0},
        "background_users": {"arrivals_per_s": 8.0},
        "noise_traders": {"count": 10, "orders_per_s": 0.3},
        "informed_traders": {"count": 0},
        "pools": pools,
        "pool_arbitrageurs": {"count": 3},
        "swappers": {"count": 12, "orders_per_s": 1.0, "tolerance_bps": 10.0, "value_bps": 100.0},
        "liquidity_providers": {
            "count": 5,
            "capital_usd": 4e5,
            "review_interval_s": 100.0,
            "rest_s": 30.0,
            "exploration": 0.4,
        },
        **tables,
    }


def run_pools(pools, seed, **tables):
    """Run a market with pools, compiled and plain."""
    market = run_both(with_pools(pools, **tables), seconds=1_500, seed=seed)
    statuses = market.transactions().groupby("kind")["status"].nunique()
    assert statuses["swap"] >= 2, "a swap should succeed and another one fail"
    assert {"mint", "burn"} <= set(statuses.index)
    trades = market.trades()
    for pool in pools:
        assert set(trades.loc[trades["pool"] == pool["name"], "side"]) == {"buy", "sell"}
    return market


def test_constant_product_pool():
    """Arbitrageurs who race and bid for the express lane, swappers who choose, providers who come and go."""
    market = run_pools([POOL], seed=8, express_lane={"round_s": 30.0})
    assert set(market.rounds()["holder"]) & set(market.world.pool_arbitrageurs["account"])
    assert market.world.swappers["orders_sent"].sum() > 10 < market.world.swappers["swaps_sent"].sum()


def test_concentrated_pool():
    """The same with ranges: providers who move them, and prices that cross their ends."""
    pool = {**POOL, "kind": "concentrated", "initial_range_bps": 2_000.0}
    market = run_pools([pool], seed=9)
    assert market.world.providers["burns"].sum() > 10
    assert market.world.providers["width"].max() > 1
    assert market.transactions().query("kind == 'swap'")["gas_used"].nunique() > 2, "no swap crossed several ticks"


def test_swappers_with_a_builder_of_their_own():
    """Swaps that one builder sees alone, and arbitrageurs of the pool whose transactions are protected."""
    builders = {"count": 2, "exclusive_share": 0.5, "concentration": 2.0}
    market = run_pools([POOL], seed=11, builders=builders)
    assert market.world.swappers["swaps_sent"].sum() > 10
    assert market.blocks()["builder"].value_counts().min() > 50


def test_two_pools():
    """A pool of each kind beside one another, without a maker, on slow blocks at random times."""
    ranges = {**POOL, "name": "RANGES", "kind": "concentrated", "fee_ppm": 3_000}
    run_pools(
        [POOL, ranges],
        seed=10,
        chain={"block_time_s": 5.0, "block_arrivals": "poisson", "gas_limit": 6_000_000},
        market_makers={"count": 0},
    )


SEARCHED = {
    "pool_arbitrageurs": {"count": 1},
    "swappers": {
        "count": 12,
        "orders_per_s": 1.5,
        "size_mean": 8.0,
        "tolerance_bps": 60.0,
        "value_bps": 200.0,
        "private_share": 0.2,
    },
    "liquidity_providers": {"count": 2, "capital_usd": 4e5, "review_interval_s": 100.0, "rest_s": 30.0},
    "producers": {"extracting_share": 0.6},
    "sandwichers": {"count": 2, "most_victims": 3, "learning_rate": 0.2},
}
"""Swaps that are worth to be sandwiched, some of them sent to the producer alone."""


def searched(pool, seed, **tables):
    market = run_both(with_pools([pool], **SEARCHED | tables), seconds=600, seed=seed)
    world = market.world
    for rows in filter(len, (world.sandwichers, world.extractors)):
        assert rows["tries"].sum(axis=0).min() > 0, "sandwiches and back-runs should be tried"
    return market, world.records.pool_rows(0)["sandwiched"].sum()


def test_sandwiches_in_a_public_mempool():
    """Sandwichers and producers who extract themselves, who see swaps of a pool of constant product."""
    _, sandwiched = searched({**POOL, "fee_ppm": 300}, seed=14)
    assert sandwiched > 20


def test_sandwiches_in_ranges_with_base_fees_for_the_producer():
    """The same on ranges, with few ticks in sight."""
    pool = {**POOL, "kind": "concentrated", "initial_range_bps": 300.0}
    _, sandwiched = searched(pool, seed=15, fee_market={"rule": "fixed", "base_fee_wei": 10**8})
    assert sandwiched > 20


def test_sandwichers_first_come_first_served():
    """Nobody gets ahead of what has arrived, and hope fades."""
    market, sandwiched = searched(POOL, seed=16, chain={**POOL_CHAIN, "ordering": "first_come_first_served"})
    assert sandwiched == 0
    assert market.world.sandwichers["hope"][:, 0].mean() < 0.35


def test_sandwiches_in_bundles():
    """Builders put front and back right around the swap, or leave both out."""
    swappers = {**SEARCHED["swappers"], "private_share": 0.0}
    market, sandwiched = searched(
        POOL, seed=17, producers={"extracting_share": 0.0}, builders={"count": 3}, swappers=swappers
    )
    assert sandwiched > 20
    tape = market.transactions()
    ours = tape[tape["sender"].isin(market.world.sandwichers["account"])]
    assert ours["status"].isin(["succeeded", "left out"]).all()
