"""The compiled market and its plain-Python twin give the same run, to the last unit of every account."""

import random

from blockspace.agents.market_makers import FILLS
from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.scenario import scenario_from
from blockspace.network.transaction import ANYWHERE, PLACE
from tests.reference.comparison import assert_same_run
from tests.reference.trader import Trader as ReferenceTrader
from tests.reference.world import ReferenceMarket

SPOT = {
    "name": "ETH-SPOT",
    "kind": "spot",
    "tick_usd": 0.1,
    "lot_size": 0.01,
    "maker_fee_bps": 1.0,
    "taker_fee_bps": 4.0,
    "share_of_traders": 0.7,
}


def run_both(settings, seconds, seed, agents=()):
    """Run a scenario compiled and plain; make sure that both are the same, and return the compiled one."""
    scenario = scenario_from({"duration_s": seconds, "warm_up_s": 0, **settings})
    market, reference = Market(scenario, seed=seed), ReferenceMarket(scenario, seed=seed)
    for compiled, plain in agents:
        compiled(market)
        plain(reference)
    market.run_for(seconds)
    reference.run_until_s(seconds)
    market.check()
    assert_same_run(market, reference)
    return market


def test_congested_proof_of_stake():
    """Many validators, a base fee that moves, users who balk or give up, makers who leave and come back."""
    market = run_both(
        {
            "chain": {"block_time_s": 12.0, "gas_limit": 3_000_000, "byte_limit": 20_000},
            "fee_market": {"initial_base_fee_wei": 10**10},
            "topology": {"validators": 120, "stake_concentration": 0.8},
            "background_users": {"arrivals_per_s": 6.0, "patience_s": 25.0, "burst_sd": 0.8, "surge": 2.0},
            "noise_traders": {"count": 30, "orders_per_s": 0.4},
            "market_makers": {"review_interval_s": 90.0, "rest_s": 600.0, "memory_s": 120.0},
        },
        seconds=4_000,
        seed=1,
    )
    blocks = market.blocks()
    assert blocks["base_fee_gwei"].max() > 1.5 * blocks["base_fee_gwei"].min()
    assert blocks[["balked_total", "expired_total"]].iloc[-1].min() > 100
    assert (market.transactions()["status"] == "failed").any()
    assert (market.transactions().query("kind == 'quote'")["bytes"] == 250).any(), "nobody took the quotes down"
    assert len(market.trades()) > 100


def test_single_sequencer():
    """Colocated makers, at their position limits now and then, on a chain with room for everybody."""
    market = run_both(
        {
            "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
            "fee_market": {
                "elasticity": 6,
                "denominator": 50,
                "minimum_base_fee_wei": 5_000_000,
                "initial_base_fee_wei": 5_000_000,
            },
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 20.0, "value_law": "exponential", "value_gwei": 0.1},
            "noise_traders": {"orders_per_s": 1.0},
            "informed_traders": {"orders_per_s": 0.3},
            "market_makers": {"position_limit": 1.0},
        },
        seconds=1_500,
        seed=2,
    )
    assert market.blocks()["base_fee_gwei"].nunique() > 50
    assert len(market.trades()) > 500
    assert (abs(market.world.makers["position"]) >= market.world.makers["position_limit"]).any()


def test_data_of_transactions_cost():
    """A rollup whose users pay for the data of their transactions, most of what trading costs there."""
    market = run_both(
        {
            "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
            "fee_market": {
                "elasticity": 6,
                "denominator": 50,
                "minimum_base_fee_wei": 5_000_000,
                "initial_base_fee_wei": 5_000_000,
                "data_fee_wei_per_byte": 8_321_987_654.3,
                "base_fee_recipient": "producer",
            },
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 10.0, "value_law": "exponential", "value_gwei": 0.1},
            "noise_traders": {"orders_per_s": 0.5, "size_mean": 0.1},
        },
        seconds=600,
        seed=4,
    )
    found = rents(market)
    assert found["data_wei"] > found["tips_wei"]
    assert market.summary()["balked_share"] > 0.05


def test_fast_chain_with_idle_blocks():
    """Blocks every 50 ms, latencies above that, and stretches in which nothing happens."""
    market = run_both(
        {
            "chain": {"block_time_s": 0.05, "gas_limit": 1_000_000},
            "fee_market": {"initial_base_fee_wei": 10**8, "denominator": 250},
            "topology": {"validators": 5, "regions": ["tokyo", "virginia", "frankfurt"]},
            "venue": {"gas_token": "fixed", "gas_token_usd": 30.0},
            "background_users": {
                "arrivals_per_s": 3.0,
                "gas_variation": 0.0,
                "value_law": "uniform",
                "value_gwei": 5.0,
            },
            "noise_traders": {"orders_per_s": 2.0},
            "market_makers": {"look_interval_s": 0.8, "memory_s": 30.0},
            "arbitrageurs": {"look_interval_s": 1.0},
        },
        seconds=240,
        seed=3,
    )
    numbers = market.blocks()["block"]
    assert numbers.iloc[-1] > 1.2 * len(numbers) > 1_000
    assert (market.transactions().eval("time_s - decided_s") > 0.05).mean() > 0.2


def test_two_instruments():
    """A perpetual with funding and a spot market, with fees and rebates, jumps and stochastic volatility."""
    market = run_both(
        {
            "chain": {"block_time_s": 1.0, "gas_limit": 10_000_000},
            "topology": {"validators": 1},
            "price": {
                "volatility_per_day": 0.08,
                "jumps_per_day": 2_000.0,
                "jump_law": "normal",
                "volatility_of_volatility_per_sqrt_day": 3.0,
            },
            "venue": {"funding_interval_s": 60.0, "oracle_delay_s": 60.0},
            "instruments": [{"maker_fee_bps": -0.2, "taker_fee_bps": 0.7, "impact_size": 3.0}, SPOT],
            "background_users": {"arrivals_per_s": 5.0, "value_law": "pareto", "value_gwei": 2.0},
            "endowment": {"cash_usd": 700_000.0, "spot": 300.0},
            "noise_traders": {"orders_per_s": 2.0, "size_mean": 3.0},
            "market_makers": {"count": 6, "mark_out_s": 2.0, "levels": 4, "inventory_aversion": 2.0, "memory_s": 60.0},
            "arbitrageurs": {"count": 6},
        },
        seconds=1_000,
        seed=4,
    )
    trades, ledger = market.trades(), market.ledger()
    assert trades["instrument"].value_counts().min() > 100
    assert (trades["maker_fee_usd"] < 0).any()
    assert market.blocks()["ETH-PERP.funding_rate"].nunique() > 3
    assert ledger.loc[ledger["role"] == "rounding", "cash_micro_usd"].item() > 0


def test_first_price_with_random_blocks():
    """Blocks at random times, first-price fees, agents without much ether or cash."""
    market = run_both(
        {
            "chain": {"block_time_s": 10.0, "block_arrivals": "poisson", "gas_limit": 2_000_000},
            "fee_market": {"rule": "first_price", "wallet_tip_wei": 10**9},
            "topology": {"validators": 20, "stake_concentration": 1.5, "home_validator_share": 0.0},
            "instruments": [{"initial_margin": 0.5}],
            "endowment": {"cash_usd": 2_000.0, "ether": 0.02},
            "background_users": {"arrivals_per_s": 4.0, "gas_variation": 3.0, "value_gwei": 27.0, "patience_s": 120.0},
            "noise_traders": {"count": 20, "orders_per_s": 0.4, "value_bps": 200.0},
            "market_makers": {"count": 3, "unit_size": 0.5, "levels": 3},
        },
        seconds=4_000,
        seed=5,
    )
    assert market.blocks()["time_s"].diff().std() > 5.0
    assert market.world.chain.forks.stale.sum() > 0
    assert market.blocks()["marginal_tip_gwei"].max() > 5.0
    assert (market.transactions()["status"] == "failed").any()
    assert market.blocks()["unfunded_transactions"].sum() > 0


def test_tiny_mempool():
    """A fixed price paid to the proposer, slow lines, a mempool that overflows, impatient users, a scripted crash."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 1_500_000},
            "fee_market": {"rule": "fixed", "base_fee_wei": 10**9},
            "topology": {"validators": 8, "latency_scale": 2.0, "validator_bandwidth_mbps": 0.5},
            "mempool": {"capacity": 40},
            "price": {"source": "script", "script": [[300.0, 1.0], [400.0, 0.7]]},
            "background_users": {
                "arrivals_per_s": 20.0,
                "patience_s": 0.0,
                "surge": 0.01,
                "usual_volatility_per_day": 0.02,
            },
            "noise_traders": {"count": 40, "orders_per_s": 2.0},
        },
        seconds=1_000,
        seed=6,
    )
    last = market.blocks().iloc[-1]
    assert min(last["evicted_total"], last["refused_total"]) > 100
    assert len(market.trades()) > 30


RACE = {
    "topology": {"validators": 1},
    "price": {"volatility_per_day": 0.3, "jumps_per_day": 3_000.0},
    "background_users": {"arrivals_per_s": 5.0, "value_gwei": 3.0},
    "noise_traders": {"orders_per_s": 1.0},
    "market_makers": {"memory_s": 60.0},
}
"""A market in which quotes are often stale, and arbitrageurs race for them."""


def race(seed, chain, **tables):
    return run_both({**RACE, "chain": {"block_time_s": 1.0, "gas_limit": 4_000_000, **chain}, **tables}, 800, seed)


def test_first_come_first_served_with_copies():
    """Arbitrageurs who send their orders several times, and pay for each."""
    market = race(8, {"ordering": "first_come_first_served"}, fee_market={"initial_base_fee_wei": 10**8})
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["copies_sent"].sum() > 2 * arbitrageurs["tries"].sum() > 200
    tape = market.transactions()
    copies = tape[tape["sender"].isin(arbitrageurs["account"])]
    assert copies["status"].value_counts()[["failed", "succeeded"]].min() > 50


def test_random_order_with_revert_protection():
    """What would fail is left out: copies, orders that come too late, ladders beyond their margin."""
    market = race(
        9,
        {"ordering": "random_order", "revert_protection": True},
        instruments=[{"initial_margin": 0.5}],
        endowment={"cash_usd": 18_000.0},
        arbitrageurs={"most_copies": 5},
    )
    tape = market.transactions()
    left_out = tape[tape["status"] == "left out"]
    assert left_out["kind"].value_counts()[["place", "quote"]].min() > 20
    assert left_out["gas_used"].sum() == 0
    assert not (tape["status"] == "failed").any()


def test_revert_protected_auction():
    """Bids that cost nothing unless they win."""
    market = race(10, {"revert_protection": True})
    assert (market.transactions()["status"] == "left out").any()
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["races"].sum() > arbitrageurs["tries"].sum() > 200, "nobody stays out of a race"


def test_cancels_first():
    """Post-only quotes that go ahead of the orders that would take what they replace."""
    market = race(11, {"ordering": "cancels_first"})
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["tries"].sum() > 200
    assert arbitrageurs["wins"].sum() < 0.2 * arbitrageurs["tries"].sum()


LANE = {"round_s": 20.0, "closes_s": 5.0, "delay_s": 0.3, "reserve_usd": 0.5}


def test_express_lane_on_a_fast_chain():
    """Rounds that change hands, bids that an account cannot pay, and blocks that are skipped up to an auction."""
    market = race(
        14,
        {"block_time_s": 0.1, "ordering": "first_come_first_served"},
        fee_market={"initial_base_fee_wei": 10**8},
        background_users={"arrivals_per_s": 0.5, "value_gwei": 3.0},
        noise_traders={"orders_per_s": 0.5},
        market_makers={"look_interval_s": 1.0, "memory_s": 60.0},
        arbitrageurs={"look_interval_s": 0.6},
        endowment={"ether": 0.05},
        express_lane=LANE,
    )
    rounds = market.rounds()
    assert rounds["holder"].nunique() >= 4
    assert (rounds["holder"] == -1).any()
    assert (rounds["bids"] < rounds["bids"].max()).any()
    assert market.blocks()["block"].iloc[-1] > 1.2 * len(market.blocks())


def test_express_lane_under_priority_fees_and_random_blocks():
    """Several validators, blocks at random times that pass over rounds, a reserve in the price of another token."""
    market = race(
        15,
        {"block_time_s": 4.0, "block_arrivals": "poisson"},
        topology={"validators": 5},
        venue={"gas_token": "fixed", "gas_token_usd": 500.0},
        express_lane={**LANE, "round_s": 5.0, "closes_s": 1.0},
    )
    assert (market.rounds()["number"].diff() > 1).any()
    assert market.rounds()["price_gwei"].max() > 0


def test_timing_games():
    """Validators who wait, blocks that come too late, and a mempool that outlives them."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 3_000_000},
            "topology": {"validators": 40, "stake_concentration": 0.8},
            "attestation": {"deadline_s": 2.5, "needed_share": 0.6, "jitter_s": 0.6},
            "timing_games": {"share": 0.6},
            "background_users": {"arrivals_per_s": 12.0},
            "fee_market": {"initial_base_fee_wei": 10**9},
        },
        seconds=4_000,
        seed=16,
    )
    numbers = market.blocks()["block"]
    assert numbers.iloc[-1] > 1.02 * len(numbers)
    assert market.world.chain.timing.usual_delay_ns > 0


def test_late_blocks_among_peers():
    """Blocks of home validators that are missed the more often the more is in them, without anybody who waits."""
    market = run_both(
        {
            "chain": {"block_time_s": 4.0, "gas_limit": 3_000_000, "verification_ns_per_gas": 50.0},
            "topology": {"validators": 40, "home_validator_share": 0.6, "home_bandwidth_mbps": 0.5, "peers": 6},
            "attestation": {"deadline_s": 1.8, "needed_share": 0.5, "jitter_s": 0.2},
            "background_users": {"arrivals_per_s": 12.0, "burst_sd": 1.0},
            "fee_market": {"initial_base_fee_wei": 10**9},
        },
        seconds=2_000,
        seed=21,
    )
    attestation = market.world.chain.attestation
    assert attestation.missed[16:].sum() > 10 > attestation.missed[:16].sum()


class Surrounder:
    """Buys before an order that is pending and sells after it; every third time only one of the two."""

    turn = 0

    def act(self):
        self.turn += 1
        pending = self.pending_orders()
        if not pending or not self.best_ask() or not self.best_bid():
            return
        target = pending[self.turn % len(pending)]
        ask, bid, tip = self.best_ask(), self.best_bid(), 10**9 * (1 + (self.turn * self.account) % 7)
        if self.turn % 3 != 1:
            self.submit("buy", ask, 0.02, placement="before", target=target, tip=tip)
        if self.turn % 3 != 2:
            self.submit("sell", bid * (1 + 1e-4 * (self.turn % 2)), 0.02, placement="after", target=target, tip=tip)


class CompiledSurrounder(Surrounder, Trader):
    def pending_orders(self):
        pool = self.world.chain.pools[0]
        rows = pool["transactions"][pool["pending"][: int(pool["count"])]]
        return sorted(rows["sequence"][(rows["kind"] == PLACE) & (rows["placement"] == ANYWHERE)].tolist())


class PlainSurrounder(Surrounder, ReferenceTrader):
    def pending_orders(self):
        pending = self.model.mempool.pending.values()
        return sorted(one.sequence for one in pending if one.kind == PLACE and one.placement == ANYWHERE)


def test_builders_with_exclusive_flow_and_bundles():
    """Builders behind a relay far away, wallets that send to one of them alone, and bundles that compete."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 2.0, "gas_limit": 3_000_000},
            "fee_market": {"base_fee_recipient": "producer"},
            "topology": {"validators": 12, "regions": ["london", "tokyo", "sydney"]},
            "builders": {"count": 3, "relay_region": "sydney", "exclusive_share": 0.6, "learning_rate": 0.1},
        },
        seconds=800,
        seed=12,
        agents=[(CompiledSurrounder, PlainSurrounder)] * 2,
    )
    tape, blocks = market.transactions(), market.blocks()
    ours = tape[tape["sender"].isin([agent.account for agent in market.world.own_agents])]
    assert ours["status"].value_counts()[["left out", "succeeded"]].min() > 20
    assert set(blocks["builder"]) == {1, 2, 3}
    assert 0.3 < blocks["bid_usd"].sum() / blocks["tips_usd"].sum() < 0.99
    assert market.world.builders["step"].min() < 500


def test_builders_without_bundles():
    """First come, first served behind a relay, protection for all, more builders than the producer could be."""
    market = race(
        13,
        {"ordering": "first_come_first_served", "revert_protection": True},
        builders={"count": 4, "exclusive_share": 0.3, "concentration": 0.0},
    )
    assert market.blocks()["builder"].nunique() == 4
    assert market.world.builders["paid"].min() > 0


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


class Fidget:
    """Places, moves and cancels orders of every style in turn, around what it sees."""

    turn = 0
    placed = (0, 1.0, 1.0)

    def act(self):
        self.turn += 1
        slot = self.turn % 4
        side = ("buy", "sell")[self.turn // 2 % 2]
        near, across = self.best_bid() or self.external_price, self.best_ask() or self.external_price
        if side == "sell":
            near, across = across, near
        away = round(near * (0.999 if side == "buy" else 1.001), 2)
        size = 0.1 + self.turn % 5 * self.account % 7 * 0.3
        match (self.turn + self.account) % 7:
            case 0:
                self.submit(side, away, size, style="limit", slot=slot)
                self.placed = slot, away, size
            case 1:
                self.submit(side, across if self.account % 2 else near, size, style="post_only", slot=slot)
            case 2:
                self.replace(slot, away, size)
            case 3:
                self.cancel(slot)
            case 4:
                self.submit(side, near * (1.002 if side == "buy" else 0.998), size)
            case 5:
                self.submit(side, near, size, style="market")
            case 6:
                slot, price, size = self.placed
                self.replace(slot, price, size / 2)


class CompiledFidget(Fidget, Trader):
    pass


class PlainFidget(Fidget, ReferenceTrader):
    pass


def test_batch_in_every_block():
    """Orders of every kind that wait for the end of the block, agents in Python among them."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 1.0, "gas_limit": 4_000_000},
            "venue": {"matching": "batch"},
            "instruments": [{"maker_fee_bps": -0.2, "initial_margin": 0.2}, SPOT],
            "endowment": {"cash_usd": 60_000.0, "spot": 30.0},
            "noise_traders": {"orders_per_s": 3.0},
        },
        seconds=300,
        seed=12,
        agents=[(CompiledFidget, PlainFidget)] * 4,
    )
    trades = market.trades()
    assert trades.groupby(["block", "instrument"])["price_usd"].nunique().max() == 1
    assert (trades.groupby(["block", "instrument"]).size() > 1).sum() > 50
    assert market.world.arbitrageurs["tries"].sum() > 50


def test_batch_every_few_seconds():
    """Batches that span several blocks of a fast chain, some of which are idle."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 0.25, "gas_limit": 4_000_000},
            "venue": {"matching": "batch", "batch_interval_s": 3.0},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"orders_per_s": 0.7},
            "market_makers": {"look_interval_s": 1.0, "memory_s": 60.0},
            "arbitrageurs": {"look_interval_s": 1.0},
        },
        seconds=500,
        seed=13,
    )
    trades = market.trades()
    assert (trades["time_s"] % 3.0).max() < 1e-6
    assert len(trades) > 100
    assert market.blocks()["block"].iloc[-1] > 1.2 * len(market.blocks())


def test_agents_in_python():
    """Agents of one's own with every kind of order, and a maker whose trades wait so long that some are forgotten."""
    market = run_both(
        {
            "chain": {"block_time_s": 0.5, "gas_limit": 2_000_000},
            "topology": {"validators": 3, "regions": ["london", "sydney"]},
            "background_users": {"arrivals_per_s": 2.0},
            "noise_traders": {"orders_per_s": 10.0, "value_bps": 50.0},
            "market_makers": {"count": 1, "mark_out_s": 100.0},
        },
        seconds=300,
        seed=7,
        agents=[(CompiledFidget, PlainFidget)] * 6,
    )
    own = market.transactions().query("sender >= 109")
    happened = own.groupby("kind")["status"].nunique()
    assert (happened == 2).all(), "an order of each kind should succeed and another one fail"
    assert market.world.makers["fill_count"].item() > 0.9 * FILLS
    assert market.ledger().query("role == 'own'")["cash_micro_usd"].nunique() == 6


class OptionFidget:
    """Trades options at random around what it sees: quotes that rest, orders that take, and combinations."""

    def __init__(self, model):
        super().__init__(model)
        self.dice = random.Random(self.account)

    def act(self):
        dice, listed = self.dice, self.options()
        option = dice.choice(listed)
        size, side = dice.randint(1, 30) * 0.1, dice.choice(["buy", "sell"])
        towards = 1 if side == "buy" else -1
        match dice.randint(0, 9):
            case 0 | 1 | 2 | 3 | 4:
                price = max(option.mark_usd * (1 + towards * dice.uniform(-0.1, 0.05)), 0.1)
                style = dice.choice(["limit", "post_only"])
                self.submit(side, price, size, style=style, slot=dice.randint(0, 14), instrument=option.instrument)
            case 5 | 6:
                price = max(option.mark_usd * (1 + towards * 0.1), 0.1)
                self.submit(side, price, size, instrument=option.instrument)
            case 7:
                self.cancel(dice.randint(0, 14), option.instrument)
            case _:
                legs = self.straddle_on(option, dice.random() < 0.5)
                value = {one.instrument: one.mark_usd for one in listed} | {0: self.external_price}
                worth = sum(ratio * value[number] for number, ratio in legs)
                self.combination(legs, worth + 2.0 * dice.random(), size)

    def straddle_on(self, option, hedged):
        both = [one for one in self.options() if (one.expiry_s, one.strike_usd) == (option.expiry_s, option.strike_usd)]
        sign = 1.0 if hedged else -1.0
        return [(one.instrument, sign) for one in both] + ([(0, 0.5)] if hedged else [])


class CompiledOptionFidget(OptionFidget, Trader):
    pass


class PlainOptionFidget(OptionFidget, ReferenceTrader):
    pass


def run_options(seed, **tables):
    """Options traded by agents in Python through an expiry of an hour."""
    return run_both(
        {
            "chain": {"block_time_s": 5.0, "gas_limit": 30_000_000},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3},
            **tables,
        },
        seconds=4_000,
        seed=seed,
        agents=[(CompiledOptionFidget, PlainOptionFidget)] * 5,
    )


def assert_options_traded(market):
    series, trades = market.series(), market.trades()
    assert series["settled_s"].notna().sum() == 6
    assert set(trades["series"]) == set(range(-1, 18)), "every series should trade, before and after the expiry"
    assert trades.loc[trades["series"] >= 12, "time_s"].min() >= 3_600.0
    return market.transactions().query("kind == 'combination'")["status"].value_counts()


def test_options_through_an_expiry():
    """Series, marks, settlement, margin and combinations of agents who have plenty, and of agents who have little."""
    statuses = assert_options_traded(run_options(14))
    assert statuses[["succeeded", "failed"]].min() > 50
    near = {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3, "strike_spacing": 0.01}
    near |= {"strike_spacing_unit": "relative", "maker_fee_bps": -5.0}
    statuses = assert_options_traded(run_options(15, endowment={"cash_usd": 3_000.0}, options=near))
    assert statuses[["succeeded", "failed"]].min() > 20


def test_options_in_batches():
    """The same where orders wait for auctions every minute: what waits at an expiry is withdrawn, combinations fail."""
    statuses = assert_options_traded(run_options(16, venue={"matching": "batch", "batch_interval_s": 37.0}))
    assert set(statuses.index) == {"failed"}


def test_option_makers_and_traders():
    """Makers who quote, drop and hedge series, and traders with combinations, through an expiry of an hour."""
    market = run_both(
        {
            "chain": {"block_time_s": 6.0, "gas_limit": 12_000_000},
            "fee_market": {"initial_base_fee_wei": 2 * 10**8},
            "topology": {"validators": 4},
            "background_users": {"arrivals_per_s": 2.0, "value_gwei": 3.0},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3},
            "option_makers": {
                "count": 2,
                "levels": 2,
                "memory_s": 300.0,
                "review_interval_s": 400.0,
                "rest_s": 500.0,
                "risk_aversion": 1e-2,
                "initial_half_spread_points": 2.0,
                "position_limit": 20.0,
                "exploration_per_hour": 2.0,
            },
            "option_traders": {"count": 10, "orders_per_s": 0.5, "value_mean": 20.0, "combination_share": 0.4},
            "option_vaults": {"count": 2},
            "delta_hedgers": {"count": 3, "size_mean": 5.0},
        },
        seconds=4_200,
        seed=17,
    )
    makers, trades = market.world.option_makers, market.trades()
    assert makers["trades"].min() > 50
    assert makers["hedges_sent"].sum() > 10
    vaults = market.world.option_vaults
    assert (vaults["sales"] >= 2).all(), "no vault rolled"
    assert vaults["hedges_sent"].sum() > 2
    desks = market.world.delta_hedgers
    assert (desks["orders_sent"] >= 2).all()
    assert desks["hedges_sent"].sum() > 10
    assert (makers["series"]["return_at"] > 0).any(), "no series was dropped"
    assert trades.loc[trades["series"] >= 12, "time_s"].min() >= 3_600.0, "nothing traded after the roll"
    statuses = market.transactions().query("kind == 'combination'")["status"].value_counts()
    assert statuses["succeeded"] > 10


def test_option_agents_in_batches_with_little_ether():
    """Makers who cannot pay for gas any more stop for good; in batches traders take single series."""
    market = run_both(
        {
            "chain": {"block_time_s": 5.0, "gas_limit": 30_000_000},
            "fee_market": {"rule": "fixed", "base_fee_wei": 10**8},
            "topology": {"validators": 1},
            "venue": {"matching": "batch", "batch_interval_s": 20.0},
            "endowment": {"ether": 0.002},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [0.25], "strikes_per_expiry": 3, "maker_fee_bps": -5.0},
            "option_makers": {"count": 2, "risk_aversion": 1e-2, "look_interval_s": 7.0},
            "option_traders": {"count": 5, "orders_per_s": 0.5, "value_unit": "percent", "value_mean": 40.0},
            "option_vaults": {"count": 1, "hedge": "clock", "hedge_interval_s": 100.0},
            "delta_hedgers": {"count": 2, "hedge": "clock", "look_interval_s": 11.0, "arrival_share": 0.05},
        },
        seconds=2_500,
        seed=18,
    )
    assert market.world.option_makers["broke"].any(), "nobody ran out of ether"
    trades = market.trades().query("series >= 0")
    assert len(trades) > 30
    assert not (market.transactions()["kind"] == "combination").any()
