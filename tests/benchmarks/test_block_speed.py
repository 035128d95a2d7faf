"""Speed of a whole block: compiled, and as plain Python objects in a plain Mesa model.

The compiled market also writes its measures (depth, slippage, costs of orders), which the twin does not.
"""

import subprocess
import sys
import time
from statistics import median

import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from
from tests.reference.comparison import assert_same_run
from tests.reference.trader import Trader as PlainTrader
from tests.reference.world import ReferenceMarket

BLOCK_TIME_S = 2.0
REPETITIONS = 7
HUNDRED_AGENTS = {
    "duration_s": 1e6,
    "warm_up_s": 0,
    "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": 30_000_000},
    "fee_market": {"initial_base_fee_wei": 10**8, "minimum_base_fee_wei": 10**8, "denominator": 250},
    "topology": {"validators": 1},
    "background_users": {"arrivals_per_s": 33.0, "burst_sd": 0.0, "surge": 0.0, "value_gwei": 1.0},
    "noise_traders": {"count": 90, "orders_per_s": 2.0},
    "informed_traders": {"count": 2, "orders_per_s": 0.2},
    "market_makers": {"count": 4},
    "arbitrageurs": {"count": 4},
}

WITH_SEARCHERS = {
    **HUNDRED_AGENTS,
    "instruments": [{"name": "ETH-PERP"}, {"name": "ETH-SPOT", "kind": "spot", "share_of_traders": 1e-6}],
    "pools": [{"name": "POOL", "instrument": "ETH-SPOT", "fee_ppm": 500, "initial_liquidity_usd": 2e7}],
    "noise_traders": {"count": 57, "orders_per_s": 1.5},
    "swappers": {"count": 20, "orders_per_s": 0.5},
    "pool_arbitrageurs": {"count": 4},
    "liquidity_providers": {"count": 4},
    "sandwichers": {"count": 4},
    "builders": {"count": 5, "exclusive_share": 0.2},
}
"""The same number of agents and transactions, with a pool, those who search what is pending, and builders."""


def run_compiled(market, blocks):
    market.run_for(blocks * BLOCK_TIME_S)


def run_plain(reference, blocks):
    reference.run_until_s(reference.block.time * 1e-9 + (blocks + 0.5) * BLOCK_TIME_S)


def compare(benchmark, compiled, plain, blocks):
    """Advance both in turn, and time each by itself; the benchmark's own figure is that of the compiled one."""
    times = {"compiled": [], "plain": []}

    def one_after_the_other():
        start = time.perf_counter()
        run_plain(plain, blocks)
        times["plain"].append(time.perf_counter() - start)

    benchmark.pedantic(run_compiled, (compiled, blocks), setup=one_after_the_other, rounds=REPETITIONS)
    times["compiled"] = benchmark.stats.stats.data
    microseconds = {name: [seconds / blocks * 1e6 for seconds in spent] for name, spent in times.items()}
    figures = {
        f"{summary.__name__} {name}, us a block": round(summary(spent), 2)
        for name, spent in microseconds.items()
        for summary in (min, median)
    }
    figures["ratio of medians"] = round(median(times["plain"]) / median(times["compiled"]), 2)
    figures["ratio of minima"] = round(min(times["plain"]) / min(times["compiled"]), 2)
    benchmark.extra_info.update(figures)
    print("", *(f"{name}: {figure}" for name, figure in figures.items()), sep="\n")
    assert_same_run(compiled, plain)


def test_hundred_agents(benchmark):
    """90 noise traders, 4 makers, 4 arbitrageurs, 2 informed traders and about 70 transactions a block."""
    scenario = scenario_from(HUNDRED_AGENTS)
    compiled, plain = Market(scenario, seed=1), ReferenceMarket(scenario, seed=1)
    run_compiled(compiled, 50)
    run_plain(plain, 50)
    assert_same_run(compiled, plain)
    benchmark.group = "block: 100 agents, 70 transactions"
    compare(benchmark, compiled, plain, blocks=400)
    per_block = compiled.blocks()["transactions"].mean()
    benchmark.extra_info["transactions a block"] = round(per_block, 1)
    assert 60 < per_block < 80


@pytest.mark.parametrize("builders", [0, 5])
def test_hundred_agents_with_searchers(benchmark, builders):
    """Traders of a book and of a pool, makers, providers, arbitrageurs, sandwichers, and builders or none."""
    scenario = scenario_from({**WITH_SEARCHERS, "builders": {"count": builders}})
    compiled, plain = Market(scenario, seed=1), ReferenceMarket(scenario, seed=1)
    run_compiled(compiled, 50)
    run_plain(plain, 50)
    benchmark.group = f"block: 100 agents with searchers, {builders} builders"
    compare(benchmark, compiled, plain, blocks=100)
    per_block = compiled.blocks()["transactions"].mean()
    benchmark.extra_info["transactions a block"] = round(per_block, 1)
    assert 60 < per_block < 80


@pytest.mark.parametrize("mode", ["cross", "portfolio"])
def test_hundred_agents_beside_options(benchmark, mode):
    """The same with 24 series of options that are marked in every block, in a portfolio in 14 scenarios as well."""
    options = {"expiries_days": [1 / 24, 1.0, 7.0, 30.0], "strikes_per_expiry": 3}
    margin = {"mode": mode, "liquidations": True}
    market = Market(scenario_from({**HUNDRED_AGENTS, "options": options, "margin": margin}), seed=1)
    run_compiled(market, 50)
    benchmark.group = "block: 100 agents, 24 series of options"
    benchmark.pedantic(run_compiled, (market, 2_000), rounds=REPETITIONS)
    benchmark.extra_info["blocks a second"] = round(2_000 / median(benchmark.stats.stats.data))


ROLLUP = {
    "chain": {"block_time_s": 2.0, "gas_limit": 30_000_000, "mempool": "private"},
    "fee_market": {"elasticity": 6, "denominator": 50, "initial_base_fee_wei": 10**7, "minimum_base_fee_wei": 10**7},
    "topology": {"validators": 1},
    "background_users": {"arrivals_per_s": 5.0},
    "noise_traders": {"count": 60, "orders_per_s": 0.5},
    "informed_traders": {"count": 1, "orders_per_s": 0.1},
    "market_makers": {"count": 3},
    "arbitrageurs": {"count": 3},
}
TRADERS_OF_PARENT = {
    "noise_traders": {"count": 60, "orders_per_s": 0.1},
    "informed_traders": {"count": 1},
    "market_makers": {"count": 3},
    "arbitrageurs": {"count": 3},
}


def test_parent_and_two_rollups(benchmark):
    """Two hundred agents on three chains: Ethereum with its blobs, an optimistic and a validity rollup."""
    parent = {"extends": "ethereum-with-blobs", "name": "ethereum", "market": True, **TRADERS_OF_PARENT}
    below = {"parent": "ethereum", "data_chain": "ethereum"}
    validity = {
        **ROLLUP,
        "extends": "base",
        "name": "validity",
        "market": True,
        "rollup": {"kind": "validity", **below},
    }
    scenario = scenario_from(
        {
            **ROLLUP,
            "name": "optimistic",
            "duration_s": 1e6,
            "warm_up_s": 0,
            "rollup": {"kind": "optimistic", **below},
            "chains": [parent, validity],
        }
    )
    market = Market(scenario, seed=1, tapes="none")
    market.run_for(20_000)  # until rings of views have been filled once
    benchmark.group = "block: a parent and two rollups, 200 agents"
    benchmark.pedantic(market.run_for, (2_400.0,), rounds=REPETITIONS)
    seconds = median(benchmark.stats.stats.data)
    benchmark.extra_info["blocks of the parent a second"] = round(200 / seconds)
    benchmark.extra_info["blocks of all chains a second"] = round(2_600 / seconds)


class Chaser:
    """Moves one quote after the external price, and now and then takes what rests."""

    turn = 0

    def act(self):
        self.turn += 1
        side = 1 if (self.turn + self.account) % 2 else -1
        name = "buy" if side > 0 else "sell"
        if self.turn % 10 == 0:
            self.submit(name, self.external_price * (1 + 0.002 * side), 0.5)
        elif self.turn == 1:
            self.submit(name, self.external_price * (1 - 0.001 * side), 1.0, style="limit", slot=0)
        else:
            self.replace(0, self.external_price * (1 - 0.0001 * side * (self.account % 13)), 1.0)


class CompiledChaser(Chaser, Trader):
    pass


class PlainChaser(Chaser, PlainTrader):
    pass


def test_fifty_agents_in_python(benchmark):
    """50 agents written in Python that act every block, through the compiled venue and through the plain one."""
    nobody = {"count": 0}
    empty = dict.fromkeys(("noise_traders", "informed_traders", "market_makers", "arbitrageurs"), nobody)
    empty["background_users"] = {"arrivals_per_s": 0.0}
    scenario = scenario_from(HUNDRED_AGENTS | empty)
    compiled, plain = Market(scenario, seed=1), ReferenceMarket(scenario, seed=1)
    for _ in range(50):
        CompiledChaser(compiled)
        PlainChaser(plain)
    run_compiled(compiled, 20)
    run_plain(plain, 20)
    assert_same_run(compiled, plain)
    benchmark.group = "block: 50 agents in Python"
    compare(benchmark, compiled, plain, blocks=100)


def test_cost_does_not_grow(benchmark):
    """Block 20,000 costs what block 1,000 does."""
    market = Market(scenario_from(HUNDRED_AGENTS), seed=2, tapes="none")

    def microseconds_a_block():
        spent = []
        for _ in range(20):
            start = time.perf_counter()
            run_compiled(market, 100)
            spent.append(time.perf_counter() - start)
        return min(spent) / 100 * 1e6

    run_compiled(market, 500)
    early = microseconds_a_block()
    run_compiled(market, 17_000)
    benchmark.group = "block: cost over time"
    late = benchmark.pedantic(microseconds_a_block, rounds=1)
    figures = {"us at block 1,000": early, "us at block 20,000": late, "ratio": late / early}
    benchmark.extra_info.update({name: round(figure, 2) for name, figure in figures.items()})
    print("", *(f"{name}: {figure:.2f}" for name, figure in figures.items()), sep="\n")


LONG_RUN = """
import psutil, sys
from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from
market = Market(scenario_from({scenario!r}), seed=3, tapes={folder!r})
largest = 0
for _ in range(100):
    market.run_for(1_000 * {block_time})
    largest = max(largest, psutil.Process().memory_info().rss)
market.close()
print(market.world.chain.number, largest // 2**20)
"""


@pytest.mark.slow
def test_memory_of_a_long_run(tmp_path):
    """100,000 blocks with their tapes streamed to a folder take less than 400 MB."""
    program = LONG_RUN.format(scenario=HUNDRED_AGENTS, folder=str(tmp_path), block_time=BLOCK_TIME_S)
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    blocks, megabytes = map(int, finished.stdout.split())
    print(f"\n{blocks:,} blocks, {megabytes} MB resident")
    assert blocks == 100_000
    assert megabytes < 400
