"""Speed of the pools on a million swaps in one call, one by one from Python, and of their twins in pure Python.

Half of the swaps are exact in what goes in, and all are of up to 0.2 % of a pool of fifty million dollars; in the pool
with many ranges four in five cross a tick. Each round takes another stream, so that no branch predictor learns one by
heart. The twins in pure Python are exact rational arithmetic; for the constant product there is a plain integer formula
besides.
"""

from itertools import cycle

import numpy as np
import pytest

from blockspace.markets.pools.pool import ConcentratedPool, ConstantProductPool
from blockspace.markets.pools.swaps import LARGEST_AMOUNT, SWAP
from tests.markets.pools.slow_pools import SlowConcentrated, SlowConstantProduct

SWAPS = 1_000_000
SLOW_SWAPS = 2_000
STREAMS = 3
ROUNDS = 6
LOTS, MICRO_DOLLARS = 12_500_000, 25 * 10**12  # fifty million dollars at two million micro-dollars per lot
NARROW = 200  # positions beside the one over the full range


def make_stream(seed, count):
    """Pairs of a swap for an exact amount out, and one that puts the same amount back in: the price stays around."""
    generator = np.random.default_rng(seed)
    swaps = np.zeros(count, SWAP)
    first, second = swaps[::2], swaps[1::2]
    lots = generator.integers(1, LOTS // 500, count // 2)
    first["side"] = generator.choice((1, -1), count // 2)
    first["amount"] = np.where(first["side"] > 0, lots, lots * (MICRO_DOLLARS // LOTS))
    first["bound"] = LARGEST_AMOUNT
    second["side"] = -first["side"]
    second["amount"] = first["amount"]
    second["exact_in"] = True
    return swaps


@pytest.fixture(scope="module")
def streams():
    return cycle([make_stream(seed, SWAPS) for seed in range(STREAMS)])


def constant_product():
    return ConstantProductPool(LOTS, MICRO_DOLLARS, 500)


def ranges():
    """Ranges of the concentrated pools: all prices, and narrow ones around the first price."""
    generator = np.random.default_rng(9)
    lower = 145_090 - 10 * generator.integers(1, 30, NARROW)
    upper = 145_090 + 10 * generator.integers(1, 30, NARROW)
    return [(-131_070, 393_210, 10**10), *zip(lower.tolist(), upper.tolist(), [10**8] * NARROW, strict=True)]


def one_range():
    pool = ConcentratedPool(MICRO_DOLLARS / LOTS, 500)
    pool.mint(*ranges()[0])
    return pool


def many_ranges():
    pool = ConcentratedPool(MICRO_DOLLARS / LOTS, 500)
    for lower, upper, liquidity in ranges():
        pool.mint(lower, upper, liquidity)
    return pool


POOLS = pytest.mark.parametrize("make", [constant_product, one_range, many_ranges])


def measure(benchmark, count, prepare, run, rounds=ROUNDS):
    """Time ``run(*prepare())``, and say how many million swaps a second that is."""
    benchmark.group = "pools: swaps"
    benchmark.pedantic(run, setup=lambda: (prepare(), {}), rounds=rounds, warmup_rounds=1)
    benchmark.extra_info["million swaps a second"] = count / benchmark.stats["median"] / 1e6
    benchmark.extra_info["nanoseconds a swap"] = benchmark.stats["median"] / count * 1e9


@POOLS
def test_one_call(benchmark, streams, make):
    measure(benchmark, SWAPS, lambda: (make(), next(streams)), lambda pool, swaps: pool.apply(swaps))


@POOLS
def test_one_by_one(benchmark, streams, make):
    def prepare():
        pool = make()
        calls = [
            (pool.swap_exact_in if exact_in else pool.swap_exact_out, "buy" if side > 0 else "sell", amount)
            for side, exact_in, amount, _ in next(streams)[:SLOW_SWAPS].tolist()
        ]
        return (calls,)

    def run(calls):
        for swap, side, amount in calls:
            swap(side, amount)

    measure(benchmark, SLOW_SWAPS, prepare, run)


def slow_twin(make):
    """The twin of a pool in the same state."""
    if make is constant_product:
        twin = SlowConstantProduct(500)
        twin.mint(0, LOTS, MICRO_DOLLARS)
        return twin
    twin = SlowConcentrated(int(make().record["sqrt_price"]), 500, 10)
    for slot, (lower, upper, liquidity) in enumerate(ranges()[: 1 if make is one_range else None]):
        twin.mint(slot, 0, lower, upper, liquidity)
    return twin


@POOLS
def test_rational_twin(benchmark, streams, make):
    count = SLOW_SWAPS // 20 if make is many_ranges else SLOW_SWAPS

    def prepare():
        rows = next(streams)[:count].tolist()
        return slow_twin(make), [(exact_in, side, amount, bound) for side, exact_in, amount, bound in rows]

    def run(twin, orders):
        for order in orders:
            twin.swap(*order)

    measure(benchmark, count, prepare, run, rounds=3)


def test_integer_formula(benchmark, streams):
    """The least that pure Python can do for a constant product: reserves in a list, and the two formulas."""

    def prepare():
        return [LOTS, MICRO_DOLLARS], next(streams)[: 10 * SLOW_SWAPS].tolist()

    def run(reserves, swaps):
        kept = 999_500
        for side, exact_in, amount, _ in swaps:
            token = 1 if side > 0 else 0
            there, here = reserves[token], reserves[1 - token]
            if exact_in:
                out = amount * kept * here // (there * 1_000_000 + amount * kept)
            else:
                amount, out = -(-there * amount * 1_000_000 // ((here - amount) * kept)), amount
            reserves[token] = there + amount
            reserves[1 - token] = here - out

    measure(benchmark, 10 * SLOW_SWAPS, prepare, run)
