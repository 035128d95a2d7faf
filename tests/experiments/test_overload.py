import gc
import time
import tracemalloc

import numpy as np
import psutil
import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.markets.order_book import check_book
from blockspace.network.block import SMALLEST_GAS
from tests.network.slow_mempool import check_mempool

CAPACITY = 600
GAS_LIMIT = 4_000_000
BLOCK_TIME_S = 2.0
GAS_MEAN = 100_000
TIMES_CAPACITY = 10

RULES = {
    # Users see the base fee and most of them turn away: the price does the work.
    "eip1559": {"rule": "eip1559"},
    # Nobody sees a price: all of them crowd into the mempool, which must do it.
    "first_price": {"rule": "first_price"},
}


def overloaded(rule, seed=1):
    """A market on a chain of which everybody together asks ten times what it can hold."""
    arrivals_per_s = TIMES_CAPACITY * GAS_LIMIT / BLOCK_TIME_S / GAS_MEAN
    data = {
        "name": "overload",
        "duration_s": 10**6,
        "warm_up_s": 0,
        "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": GAS_LIMIT},
        "fee_market": RULES[rule],
        "topology": {"validators": 20},
        "mempool": {"capacity": CAPACITY},
        "background_users": {"arrivals_per_s": arrivals_per_s, "gas_mean": GAS_MEAN},
        "noise_traders": {"count": 30, "orders_per_s": 2.0},
    }
    return Market(scenario_from(data), seed=seed, tapes="none")


def run_blocks(market, count):
    market.run_until(round(market.time) + count * BLOCK_TIME_S)


def check(market):
    """Assert that pool, book and ledger are sound."""
    check_mempool(market.world.chain.pools[0])
    check_book(market.world.venues[0]["books"][0])
    market.check()


def thirds(values):
    return [float(np.mean(part)) for part in np.array_split(np.asarray(values, float), 3)]


def assert_overload_was_survived(market, count):
    blocks = market.blocks()
    demand = market.world.demands[0]
    pool = market.world.chain.pools[0]
    wanted = int(demand["arrived"]) * GAS_MEAN
    assert len(blocks) == count
    assert wanted > 0.8 * TIMES_CAPACITY * GAS_LIMIT * count
    assert blocks["pending"].max() <= CAPACITY
    assert blocks["transactions"].max() <= GAS_LIMIT // SMALLEST_GAS
    turned_away = sum(int(pool[name]) for name in ("balked", "refused", "evicted", "expired"))
    assert turned_away > 0.8 * int(demand["arrived"])

    # Work does not pile up: the last third of the blocks has as much to do as the second.
    for name in ("arrived_total", "refused_total", "evicted_total", "expired_total", "balked_total"):
        _, second, third = thirds(np.diff(blocks[name]))
        assert third < 2 * second + 20, name
    _, second, third = thirds(blocks["pending"])
    assert third < 1.5 * second + 20

    use = blocks["utilisation"][count // 2 :].mean()
    fee = blocks["base_fee_gwei"]
    if market.world.scenario.fee_market.rule == "eip1559":
        # The fee finds the level at which half a block is used, and stays there.
        assert use == pytest.approx(0.5, abs=0.03)
        _, second, third = thirds(np.log(fee))
        assert abs(third - second) < 1.0
        assert 20 < fee.median() < 2_000
    else:
        assert use > 0.95
        assert (fee == 0).all()
        assert int(pool["evicted"]) > count
        assert blocks["marginal_tip_gwei"].median() > 1


@pytest.mark.parametrize("rule", RULES)
def test_ten_times_the_demand_is_survived_for_two_thousand_blocks(rule):
    market = overloaded(rule)
    run_blocks(market, 500)
    check(market)
    gc.collect()
    tracemalloc.start()
    run_blocks(market, 100)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(7):
        run_blocks(market, 200)
        check_mempool(market.world.chain.pools[0])
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000  # bytes: rows of blocks go into chunks that are there from the start
    check(market)
    assert_overload_was_survived(market, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_ten_times_the_demand_is_survived_for_fifty_thousand_blocks(rule):
    market = overloaded(rule)
    run_blocks(market, 2_000)
    process = psutil.Process()
    memory, seconds = [], []
    for _ in range(3):
        start = time.perf_counter()
        run_blocks(market, 16_000)
        seconds.append(time.perf_counter() - start)
        gc.collect()
        memory.append(process.memory_info().rss)
        check(market)
    row = (
        sum(array.nbytes for array in (market.world.records.block_rows(), market.world.records.market_rows(0))) / 50_000
    )
    assert max(seconds) < 2 * min(seconds)
    assert memory[2] - memory[0] < 32_000 * row + 32_000_000
    assert_overload_was_survived(market, 50_000)


def test_a_flood_from_a_single_account_leaves_the_others_their_places():
    """The pool is bounded and its nonces are contiguous whoever floods it."""

    class Flooder(Trader):
        def act(self):
            self.outcomes = getattr(self, "outcomes", [])
            base = self.world.wallet_tip_wei
            for number in range(300):
                fee = self.base_fee + base + number
                self.outcomes.append(self.submit("buy", 10.0, 0.001, style="limit", slot=0, max_fee=fee, tip=base))

    market = overloaded("eip1559")
    flooder = Flooder(market)
    for _ in range(5):
        run_blocks(market, 4)
        check(market)
    assert {"accepted", "pool full"} <= set(flooder.outcomes)
    blocks = market.blocks()
    assert blocks["background_transactions"].sum() > 100
    assert blocks["pending"].max() <= CAPACITY
