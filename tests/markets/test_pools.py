import copy
import doctest
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets import concentrated_liquidity, concentrated_swaps, constant_product, pool
from blockspace.markets.concentrated_liquidity import CONCENTRATED_POOL, POSITIONS, open_concentrated_pool
from blockspace.markets.concentrated_swaps import MOST_CROSSINGS, NO_LIMIT
from blockspace.markets.constant_product import CONSTANT_PRODUCT_POOL, open_constant_product_pool
from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.pool import ConcentratedPool, ConstantProductPool, PoolRefused
from blockspace.markets.pool_checks import check_concentrated, check_constant_product
from blockspace.markets.swaps import (
    BEYOND_BOUND,
    LARGEST_AMOUNT,
    LARGEST_FEE_PPM,
    LIMIT_BEHIND_PRICE,
    NOT_OWNER,
    NOTHING_OUT,
    POSITION_IN_USE,
    SWAP,
    TOO_LARGE,
    TOO_LITTLE_LIQUIDITY,
    TOO_MANY_TICKS,
    UNKNOWN_POSITION,
)
from blockspace.markets.ticks import MAXIMUM_TICK, MINIMUM_TICK, TICK_OFFSET, TICKS, sqrt_price_of, tick_at

from .slow_pools import SlowConcentrated, SlowConstantProduct, root_at

ALL = slice(None)


def as_words(arguments):
    """Arguments of a kernel, of one type for each place."""
    return [np.int64(argument) for argument in arguments]


class ConstantProductTwins:
    """A pool of constant product and its twin, of a random size, fee and price."""

    def __init__(self, generator):
        self.random = generator
        fee_ppm = int(generator.choice([0, 1, 500, 3_000, 10_000, LARGEST_FEE_PPM]))
        self.pools = np.zeros(1, CONSTANT_PRODUCT_POOL)
        open_constant_product_pool(self.pools[0], fee_ppm)
        self.twin = SlowConstantProduct(fee_ppm)
        self.largest = [self.amount(2**61), self.amount(2**61)]

    def amount(self, largest):
        """An amount of any order of magnitude up to ``largest``; rarely nothing or too much."""
        if self.random.random() < 0.02:
            return int(self.random.choice([0, -1, LARGEST_AMOUNT, LARGEST_AMOUNT + 1]))
        return int(max(largest, 1) ** self.random.random())

    def agree(self, kernel, twin, *arguments):
        outcome = tuple(kernel(self.pools[0], *as_words(arguments)))
        expected = twin(*arguments)
        assert outcome == expected, f"{kernel.__name__}{arguments} gave {outcome}, its twin {expected}"
        return outcome

    def act(self):
        side = int(self.random.choice([1, -1, 0], p=[0.495, 0.495, 0.01]))
        token = 1 if side > 0 else 0
        account = int(self.random.choice([0, 1, 2, ACCOUNTS - 1, ACCOUNTS, -1], p=[0.3, 0.3, 0.2, 0.18, 0.01, 0.01]))
        kind = self.random.choice(5, p=[0.35, 0.25, 0.2, 0.1, 0.1])
        reserves = self.twin.reserves
        before = reserves[0] * reserves[1]
        if kind == 0:
            amount = self.amount(4 * reserves[token])
            bound = self.amount(reserves[1 - token]) if self.random.random() < 0.2 else 0
            self.agree(constant_product.quote_exact_in, lambda *order: self.twin.quote(*order, True), side, amount)
            swap = lambda side, amount, bound: self.twin.swap(side, amount, True, bound)  # noqa: E731
            self.agree(constant_product.swap_exact_in, swap, side, amount, bound)
        elif kind == 1:
            amount = self.amount(reserves[1 - token])
            bound = self.amount(reserves[token]) if self.random.random() < 0.2 else LARGEST_AMOUNT
            self.agree(constant_product.quote_exact_out, lambda *order: self.twin.quote(*order, False), side, amount)
            swap = lambda side, amount, bound: self.twin.swap(side, amount, False, bound)  # noqa: E731
            self.agree(constant_product.swap_exact_out, swap, side, amount, bound)
        elif kind == 4:
            shares = self.twin.shares.get(account, 0)
            redeemed = shares if self.random.random() < 0.3 else self.amount(shares + 1)
            self.agree(constant_product.burn, self.twin.burn, account, redeemed)
            return
        else:
            amounts = [self.amount(largest) for largest in self.largest]
            self.agree(constant_product.mint, self.twin.mint, account, *amounts)
        assert reserves[0] * reserves[1] >= before

    def check(self):
        record = self.pools[0]
        check_constant_product(record)
        assert record["reserves"].tolist() == self.twin.reserves
        assert record["fees"].tolist() == self.twin.fees
        assert record["total_shares"] == self.twin.total


class ConcentratedTwins(ConstantProductTwins):
    """A pool of concentrated liquidity and its twin, with a dozen positions around a random price."""

    SLOTS = 12

    def __init__(self, generator, **settings):
        self.random = generator
        fee_ppm, spacing = [(0, 1), (100, 1), (500, 10), (3_000, 60), (10_000, 200), (LARGEST_FEE_PPM, 16_384)][
            generator.integers(6)
        ]
        # Prices from a dollar-millionth a lot to a thousand dollars a lot.
        root = int(sqrt_price_of(10 ** generator.uniform(-3, 9)))
        self.pools = np.zeros(1, CONCENTRATED_POOL)
        open_concentrated_pool(self.pools[0], root, fee_ppm, spacing)
        self.twin = SlowConcentrated(root, fee_ppm, spacing, **settings)
        middle = int(tick_at(np.uint64(root))) // spacing
        steps = np.unique(generator.integers(-20, 21, 14) * generator.choice([1, 1, 5]))
        ends = [(middle + int(step)) * spacing for step in steps]
        first, last = -(-MINIMUM_TICK // spacing) * spacing, MAXIMUM_TICK // spacing * spacing
        self.ticks = sorted({min(max(tick, first), last) for tick in [*ends, first, last]})
        self.deepest = 10 ** generator.uniform(3, 15)

    def limit(self):
        """A square root of a price near that of the pool, on an end of a range, far away, or none."""
        kind = self.random.random()
        if kind < 0.6:
            return 0
        if kind < 0.9:
            return max(int(self.twin.root * (1 + self.random.normal() / 100)), 1)
        if kind < 0.98:
            return root_at(int(self.random.choice(self.ticks)))
        return (1, 2**63, 2**64 - 1)[self.random.integers(3)]

    def swap(self, side, amount, exact_in):
        limit = self.limit()
        names = ("quote_exact_in", "swap_exact_in") if exact_in else ("quote_exact_out", "swap_exact_out")
        quote, swap = (getattr(concentrated_swaps, name) for name in names)
        bound = 0 if exact_in else LARGEST_AMOUNT
        if self.random.random() < 0.1:
            bound = self.amount(self.twin.reserves[side > 0] + 1)
        record = self.pools[0]
        promised = tuple(quote(record, *as_words((side, amount)), np.uint64(limit)))
        outcome = tuple(swap(record, *as_words((side, amount, bound)), np.uint64(limit)))
        expected = self.twin.swap(side, amount, exact_in, bound, limit)
        assert outcome == expected, f"{names[1]} {side, amount, bound, limit} gave {outcome}, its twin {expected}"
        assert promised == outcome or outcome[0] == BEYOND_BOUND

    def act(self):
        side = int(self.random.choice([1, -1, 0], p=[0.495, 0.495, 0.01]))
        kind = self.random.choice(5, p=[0.3, 0.25, 0.2, 0.15, 0.1])
        slot = int(self.random.integers(0, self.SLOTS)) if self.random.random() < 0.98 else POSITIONS
        known = self.twin.ranges.get(slot)
        owner = known.owner if known and self.random.random() < 0.95 else int(self.random.integers(0, 4))
        if kind == 0:
            self.swap(side, self.amount(3 * self.twin.reserves[side > 0]), True)
        elif kind == 1:
            self.swap(side, self.amount(2 * self.twin.reserves[side <= 0]), False)
        elif kind == 2:
            lower, upper = sorted(self.random.choice(self.ticks, 2, replace=False).tolist())
            if self.random.random() < 0.03:
                lower, upper = upper, lower + int(self.random.integers(0, 2))
            if known and self.random.random() < 0.8:
                lower, upper = known.lower, known.upper
            self.agree(
                concentrated_liquidity.mint, self.twin.mint, slot, owner, lower, upper, self.amount(self.deepest)
            )
        elif kind == 3:
            liquidity = known.liquidity if known else 1
            burned = liquidity if self.random.random() < 0.5 else self.amount(liquidity + 1)
            self.agree(concentrated_liquidity.burn, self.twin.burn, slot, owner, burned)
        else:
            self.agree(concentrated_liquidity.collect, self.twin.collect, slot, owner)

    def check(self):
        record = self.pools[0]
        check_concentrated(record)
        assert record["reserves"].tolist() == self.twin.reserves
        assert record["fees"].tolist() == self.twin.fees
        assert record["sqrt_price"] == self.twin.root


def assert_twins_agree(kind, pools, operations, checks_every, seed):
    for number in range(pools):
        twins = kind(np.random.default_rng((seed, number)))
        for operation in range(operations):
            twins.act()
            if operation % checks_every == 0:
                twins.check()
        twins.check()


@pytest.mark.parametrize("kind", [ConstantProductTwins, ConcentratedTwins])
def test_twins_agree_on_10_000_operations(kind):
    assert_twins_agree(kind, pools=40, operations=250, checks_every=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ConstantProductTwins, ConcentratedTwins])
def test_twins_agree_on_a_million_operations(kind):
    assert_twins_agree(kind, pools=500, operations=2_000, checks_every=10, seed=2)
