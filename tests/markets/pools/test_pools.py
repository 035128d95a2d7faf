import copy
import doctest
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.pools import concentrated_liquidity, concentrated_swaps, constant_product, pool
from blockspace.markets.pools.checks import check_concentrated, check_constant_product
from blockspace.markets.pools.concentrated_liquidity import CONCENTRATED_POOL, POSITIONS, open_concentrated_pool
from blockspace.markets.pools.concentrated_swaps import MOST_CROSSINGS
from blockspace.markets.pools.constant_product import CONSTANT_PRODUCT_POOL, open_constant_product_pool
from blockspace.markets.pools.pool import ConcentratedPool, ConstantProductPool, PoolRefused
from blockspace.markets.pools.swaps import (
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
from blockspace.markets.pools.ticks import MAXIMUM_TICK, MINIMUM_TICK, TICK_OFFSET, sqrt_price_of, tick_at

from .slow_pools import SlowConcentrated, SlowConstantProduct, root_at


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
        return int(min(max(largest, 1), LARGEST_AMOUNT) ** (1 - self.random.random() ** 2))

    def agree(self, kernel, twin, *arguments):
        outcome = tuple(kernel(self.pools[0], *as_words(arguments)))
        expected = twin(*arguments)
        assert outcome == expected, f"{kernel.__name__} {arguments} gave {outcome}, its twin {expected}"
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
            self.agree(constant_product.quote_exact_in, partial(self.twin.quote, True), side, amount)
            self.agree(constant_product.swap_exact_in, partial(self.twin.swap, True), side, amount, bound)
        elif kind == 1:
            amount = self.amount(reserves[1 - token])
            bound = self.amount(reserves[token]) if self.random.random() < 0.2 else LARGEST_AMOUNT
            self.agree(constant_product.quote_exact_out, partial(self.twin.quote, False), side, amount)
            self.agree(constant_product.swap_exact_out, partial(self.twin.swap, False), side, amount, bound)
        elif kind == 4:
            shares = self.twin.shares.get(account, 0)
            redeemed = shares if self.random.random() < 0.3 else self.amount(shares + 1)
            self.agree(constant_product.burn, self.twin.burn, account, redeemed)
            return
        else:
            amounts = [self.amount(largest) for largest in self.largest]
            self.agree(constant_product.mint, self.twin.mint, account, *amounts)
        assert self.twin.reserves[0] * self.twin.reserves[1] >= before

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
        # Prices from a thousandth of a micro-dollar to a thousand dollars a lot.
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

    def limit(self, side):
        """A square root of a price: mostly a little ahead, or on an end of a range, or far away; or none."""
        kind = self.random.random()
        if kind < 0.5:
            return 0
        if kind < 0.8:
            return max(int(self.twin.root * (1 + side * (self.random.exponential() - 0.1) / 50)), 1)
        if kind < 0.98:
            return root_at(int(self.random.choice(self.ticks)))
        return (1, 2**63, 2**64 - 1)[self.random.integers(3)]

    def swap(self, side, amount, exact_in):
        limit = self.limit(side)
        names = ("quote_exact_in", "swap_exact_in") if exact_in else ("quote_exact_out", "swap_exact_out")
        quote, swap = (getattr(concentrated_swaps, name) for name in names)
        bound = 0 if exact_in else LARGEST_AMOUNT
        if self.random.random() < 0.1:
            bound = self.amount(self.twin.reserves[side > 0] + 1)
        record = self.pools[0]
        promised = tuple(quote(record, *as_words((side, amount)), np.uint64(limit)))
        outcome = tuple(swap(record, *as_words((side, amount, bound)), np.uint64(limit)))
        expected = self.twin.swap(exact_in, side, amount, bound, limit)
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


def small_pool(**settings):
    return ConstantProductPool(base=1_000_000, quote=2_000_000_000, **settings)


def ranged_pool(fee_ppm=3_000, price=2_000.0):
    """Two positions of which one lies inside the other, and a third beyond a gap."""
    pool = ConcentratedPool(price, fee_ppm)
    pool.mint(75_900, 76_140, 10**9, owner=1)
    pool.mint(75_960, 76_080, 10**10, owner=2)
    pool.mint(76_200, 76_260, 10**9, owner=3)
    return pool


BOTH = pytest.mark.parametrize("make", [small_pool, ranged_pool])


@BOTH
def test_quotations_promise_what_swaps_do_and_change_nothing(make):
    pool = make()
    before = pool.record.tobytes()
    promised = [pool.quote_exact_in("buy", 10**6), pool.quote_exact_out("sell", 10**6)]
    assert pool.record.tobytes() == before
    assert pool.swap_exact_in("buy", 10**6) == promised[0]
    pool = make()
    assert pool.swap_exact_out("sell", 10**6) == promised[1]


@BOTH
def test_reserves_move_by_what_is_transferred(make):
    pool = make()
    base, quote = pool.reserves
    bought = pool.swap_exact_in("buy", 10**7)
    sold = pool.swap_exact_out("sell", 10**6)
    assert pool.reserves == (
        base - bought.amount_out + sold.amount_in,
        quote + bought.amount_in - sold.amount_out,
    )
    assert pool.fees == (sold.fee, bought.fee)
    pool.check()


@BOTH
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_exact_output_costs_no_more_than_the_input_that_gives_it(make, side):
    pool = make()
    swap = pool.quote_exact_in(side, 1_000_003)
    assert 0 <= swap.amount_in - pool.quote_exact_out(side, swap.amount_out).amount_in <= 2_010


@BOTH
def test_bounds_protect_the_swapper(make):
    pool = make()
    before = pool.record.tobytes()
    out = pool.quote_exact_in("buy", 10**7).amount_out
    cost = pool.quote_exact_out("buy", 1_000).amount_in
    with pytest.raises(PoolRefused, match="would give less, or ask more") as refusal:
        pool.swap_exact_in("buy", 10**7, least_out=out + 1)
    assert refusal.value.code == BEYOND_BOUND
    with pytest.raises(PoolRefused, match="would give less, or ask more"):
        pool.swap_exact_out("buy", 1_000, most_in=cost - 1)
    assert pool.record.tobytes() == before
    assert copy.deepcopy(pool).swap_exact_in("buy", 10**7, least_out=out).amount_out == out
    assert copy.deepcopy(pool).swap_exact_out("buy", 1_000, most_in=cost).amount_in == cost


@BOTH
@pytest.mark.parametrize("excess", [0, 1])
def test_fees_never_exceed_the_largest_amount(make, excess):
    pool = make()
    cost = pool.quote_exact_out("buy", 1_000).amount_in
    pool.record["fees"][1] = LARGEST_AMOUNT - cost + excess
    for swap, amount in ((pool.swap_exact_in, cost), (pool.swap_exact_out, 1_000)):
        if excess:
            with pytest.raises(PoolRefused, match="would exceed") as refusal:
                swap("buy", amount)
            assert refusal.value.code == TOO_LARGE
        else:
            fork = copy.deepcopy(pool)
            assert getattr(fork, swap.__name__)("buy", amount).amount_in == cost


@BOTH
def test_a_batch_does_what_single_swaps_do(make):
    generator = np.random.default_rng(3)
    swaps = np.zeros(500, SWAP)
    swaps["side"] = generator.choice([1, -1, 0], 500, p=[0.49, 0.49, 0.02])
    swaps["exact_in"] = generator.choice([True, False], 500)
    swaps["amount"] = generator.integers(1, 2_000_000, 500)
    swaps["bound"] = np.where(swaps["exact_in"], 0, LARGEST_AMOUNT)
    pool, single = make(), make()
    outcomes = pool.apply(swaps)
    for (side, exact_in, amount, _), outcome in zip(swaps.tolist(), outcomes.tolist(), strict=True):
        swap = single.swap_exact_in if exact_in else single.swap_exact_out
        if side == 0 or outcome[0] < 0:
            assert outcome[1:] == (0, 0, 0)
        else:
            assert swap("buy" if side > 0 else "sell", amount) == outcome
    assert (outcomes["status"] >= 0).mean() > 0.5
    assert pool.record.tobytes() == single.record.tobytes()


@BOTH
def test_a_copy_of_the_bytes_is_a_fork(make):
    pool = make()
    pool.swap_exact_in("buy", 10**6)
    fork = copy.deepcopy(pool)
    assert pool.swap_exact_in("sell", 10**3) == fork.swap_exact_in("sell", 10**3)
    assert pool.record.tobytes() == fork.record.tobytes()


def test_the_first_shares_are_the_geometric_mean_and_a_thousand_are_locked():
    pool = ConstantProductPool(base=4_000, quote=9_000, owner=5)
    assert pool.shares(5) == 6_000 - 1_000
    minted = pool.mint(400, 10_000, owner=6)
    assert minted == (0, 600, 400, 900)
    assert pool.burn(600, owner=6) == (0, 600, 400, 900)
    assert pool.burn(5_000, owner=5) == (0, 5_000, 3_333, 7_500)
    assert pool.reserves == (667, 1_500)
    pool.check()


def test_shares_earn_the_fees():
    pool = ConstantProductPool(base=10**9, quote=10**9, fee_ppm=10_000)
    for _ in range(100):
        lots = pool.swap_exact_in("buy", 10**8).amount_out
        pool.swap_exact_in("sell", lots)
    burned = pool.burn(pool.shares(0))
    assert burned.base * burned.quote > 10**18
    pool.check()


def test_liquidity_can_leave_and_come_back():
    pool = ranged_pool()
    pool.swap_exact_in("buy", 10**8)
    for position in range(3):
        pool.burn(position, int(pool.record["positions"][position]["liquidity"]), owner=position + 1)
        pool.collect(position, owner=position + 1)
        pool.check()
    assert pool.liquidity == 0
    assert pool.reserves == pool.dust
    assert not pool.record["ticks"]["gross"].any()
    assert pool.mint(75_900, 76_140, 10**9, owner=9).position == 0
    pool.check()


def test_a_swap_crosses_gaps_for_nothing_and_stops_at_the_end_of_liquidity():
    pool = ranged_pool()
    base, _ = pool.reserves
    swap = pool.swap_exact_in("buy", 10**15)
    assert swap.status == 1
    assert swap.amount_out >= base - 3
    assert pool.tick == 76_260
    assert pool.liquidity == 0
    pool.check()
    again = pool.swap_exact_in("buy", 10**15)
    assert again == (1, 0, 0, 0)
    assert pool.tick == 76_260
    # The way back leads through the gap again.
    assert pool.swap_exact_in("sell", 10**12).status == 1
    assert pool.tick == 75_900
    pool.check()


def test_a_price_limit_is_reached_even_through_emptiness():
    pool = ConcentratedPool(price=1_000.0)
    assert pool.swap_exact_in("buy", 1, price_limit=4_000.0) == (1, 0, 0, 0)
    assert pool.price == pytest.approx(4_000.0, rel=1e-9)
    assert pool.swap_exact_out("sell", 1, price_limit=1_000.0) == (1, 0, 0, 0)
    assert pool.price == pytest.approx(1_000.0, rel=1e-9)
    with pytest.raises(PoolRefused, match="at the limit or beyond it already") as refusal:
        pool.swap_exact_in("buy", 1, price_limit=999.0)
    assert refusal.value.code == LIMIT_BEHIND_PRICE
    pool.check()


def test_a_price_that_fell_onto_a_tick_is_on_its_lower_side():
    pool = ConcentratedPool(price=1.0, fee_ppm=500)
    pool.mint(-10, 0, 10**9)
    pool.mint(0, 10, 10**9)
    assert pool.record["below"] == TICK_OFFSET
    pool.swap_exact_in("buy", 1_000)
    pool.swap_exact_in("sell", 10**6, price_limit=1.0)
    assert pool.price == 1.0
    assert (pool.record["below"], pool.record["above"]) == (TICK_OFFSET - 10, TICK_OFFSET)
    pool.check()
    pool.swap_exact_in("buy", 1_000)
    assert pool.record["below"] == TICK_OFFSET
    pool.check()


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(("side", "first"), [("buy", 1), ("sell", -MOST_CROSSINGS - 1)])
def test_a_swap_crosses_so_many_ticks_and_no_more(side, first, excess):
    pool = ConcentratedPool(price=1.0, fee_ppm=100)
    positions = MOST_CROSSINGS - 1 + excess  # end to end, so that there is one tick more
    for number in range(positions):
        pool.mint(first + number, first + number + 1, 10**6)
    if excess:
        before = copy.deepcopy(pool.record)
        with pytest.raises(PoolRefused, match="cross too many ticks") as refusal:
            pool.swap_exact_in(side, 10**9)
        assert refusal.value.code == TOO_MANY_TICKS
        assert pool.record == before
    else:
        assert pool.swap_exact_in(side, 10**9).status == 1
        assert pool.tick == (first + positions if side == "buy" else first)
    pool.check()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: small_pool().swap_exact_in("sell", LARGEST_AMOUNT), TOO_LARGE),
        (lambda: small_pool().swap_exact_in("buy", 1), NOTHING_OUT),
        (lambda: small_pool().swap_exact_out("buy", 1_000_000), TOO_LITTLE_LIQUIDITY),
        (lambda: small_pool().mint(LARGEST_AMOUNT, LARGEST_AMOUNT), TOO_LARGE),
        (lambda: small_pool().mint(1, 1), NOTHING_OUT),
        (lambda: small_pool().burn(10**9), TOO_LITTLE_LIQUIDITY),
        (lambda: small_pool().burn(1), NOTHING_OUT),
        (lambda: ConstantProductPool(1_000, 1_000), NOTHING_OUT),
        (lambda: ranged_pool().mint(75_900, 76_140, 1, owner=2, position=0), NOT_OWNER),
        (lambda: ranged_pool().mint(75_960, 76_140, 1, owner=1, position=0), POSITION_IN_USE),
        (lambda: ranged_pool().mint(75_900, 76_140, LARGEST_AMOUNT), TOO_LARGE),
        (lambda: ranged_pool().burn(3, 1), UNKNOWN_POSITION),
        (lambda: ranged_pool().burn(0, 1, owner=2), NOT_OWNER),
        (lambda: ranged_pool().burn(0, 10**9 + 1, owner=1), TOO_LITTLE_LIQUIDITY),
        (lambda: ranged_pool().collect(3), UNKNOWN_POSITION),
        (lambda: ranged_pool().collect(2, owner=1), NOT_OWNER),
    ],
)
def test_refusals_raise(act, code):
    with pytest.raises(PoolRefused) as refusal:
        act()
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: small_pool().swap_exact_in("bid", 5), 'side is \'bid\', but must be "buy" or "sell".'),
        (lambda: small_pool().swap_exact_in("buy", 0), "amount is 0, but must be a whole number from 1 to 4,611,"),
        (lambda: small_pool().swap_exact_in("buy", 2.5), "amount is 2.5, but must be a whole number from 1 to"),
        (lambda: small_pool().swap_exact_in("buy", 1, -1), "least_out is -1, but must be a whole number from 0 to"),
        (lambda: small_pool().swap_exact_out("buy", 1, 0), "most_in is 0, but must be a whole number from 1 to"),
        (lambda: small_pool().quote_exact_in("buy", 2**62 + 1), "amount is 4611686018427387905, but must be"),
        (lambda: small_pool().quote_exact_out("", 1), 'side is \'\', but must be "buy" or "sell".'),
        (lambda: small_pool().mint(0, 1), "base is 0, but must be a whole number from 1 to"),
        (lambda: small_pool().mint(1, 0), "quote is 0, but must be a whole number from 1 to"),
        (lambda: small_pool().mint(1, 1, -1), "owner is -1, but must be a whole number from 0 to 16,383."),
        (lambda: small_pool().shares(ACCOUNTS), "owner is 16384, but must be a whole number from 0 to 16,383."),
        (lambda: small_pool().burn(0), "shares is 0, but must be a whole number from 1 to"),
        (lambda: small_pool().depth(0), "basis_points is 0, but must be a number above 0 and at most 100,000."),
        (lambda: small_pool().depth(1e6), "basis_points is 1000000.0, but must be a number above 0 and at most"),
        (lambda: small_pool().arbitrage(0.0), "price is 0.0, but must be a number of micro-dollars per lot from 2.03e"),
        (lambda: small_pool().arbitrage("high"), "price is 'high', but must be a number of micro-dollars per lot"),
        (lambda: small_pool().apply(np.zeros(3)), "swaps is an array of float64 with 1 dimensions, but must be of"),
        (lambda: small_pool().apply(np.zeros((1, 1), SWAP)), "with 2 dimensions, but must be of dtype SWAP with one"),
        (lambda: small_pool(fee_ppm=-1), "fee_ppm is -1, but must be a whole number from 0 to 100,000."),
        (lambda: small_pool(fee_ppm=100_001), "fee_ppm is 100001, but must be a whole number from 0 to 100,000."),
        (lambda: ConcentratedPool(1e-6), "price is 1e-06, but must be a number of micro-dollars per lot from 2.03e-06"),
        (lambda: ConcentratedPool(2e17), "price is 2e+17, but must be a number of micro-dollars per lot from 2.03e-06"),
        (lambda: ConcentratedPool(float("nan")), "price is nan, but must be a number of micro-dollars per lot from"),
        (lambda: ConcentratedPool(1.0, 400), "tick_spacing is None, but must be a whole number from 1 to 16,384 where"),
        (lambda: ConcentratedPool(1.0, 400, 0), "tick_spacing is 0, but must be a whole number from 1 to 16,384."),
        (lambda: ConcentratedPool(1.0, 10**6, 1), "fee_ppm is 1000000, but must be a whole number from 0 to 100,000."),
        (lambda: ranged_pool().swap_exact_in("buy", 1, 0, 0.0), "price_limit is 0.0, but must be a number of micro-"),
        (lambda: ranged_pool().mint(-131_100, 0, 1), "lower is -131100, but must be a multiple of 60 from -131,040 to"),
        (lambda: ranged_pool().mint(0, 30, 1), "upper is 30, but must be a multiple of 60 from -131,040 to 393,180."),
        (lambda: ranged_pool().mint(60, 60, 1), "lower is 60, but must be below upper, which is 60."),
        (lambda: ranged_pool().mint(0, 60, 0), "liquidity is 0, but must be a whole number from 1 to"),
        (lambda: ranged_pool().mint(0, 60, 1, 2**32), "owner is 4294967296, but must be a whole number from 0 to"),
        (
            lambda: ranged_pool().mint(0, 60, 1, 0, 4096),
            "position is 4096, but must be a whole number from 0 to 4,095.",
        ),
        (lambda: ranged_pool().burn(-1, 1), "position is -1, but must be a whole number from 0 to 4,095."),
        (lambda: ranged_pool().burn(0, -1), "liquidity is -1, but must be a whole number from 0 to"),
        (lambda: ranged_pool().liquidity_for(0, 60, -1, 0), "base is -1, but must be a whole number from 0 to"),
    ],
)
def test_bad_arguments_get_a_sentence(act, sentence):
    with pytest.raises(ValueError, match="but") as error:
        act()
    assert sentence in str(error.value)


def test_slots_are_chosen_among_the_free_ones():
    pool = ConcentratedPool(price=1.0)
    pool.record["positions"]["owed"][:, 0] = 1
    with pytest.raises(ValueError, match="all its 4,096 positions are taken"):
        pool.mint(0, 60, 1)
    pool.record["positions"]["owed"][7, 0] = 0
    assert pool.mint(0, 60, 1).position == 7


@settings(deadline=None)
@given(
    base=st.integers(0, 2**45),
    quote=st.integers(0, 2**45),
    lower=st.integers(-400, 400),
    width=st.integers(1, 400),
)
def test_liquidity_for_is_the_most_that_can_be_paid(base, quote, lower, width):
    pool = ConcentratedPool(price=1.0)
    ticks = (lower * 60, (lower + width) * 60)
    liquidity = pool.liquidity_for(*ticks, base, quote)

    def is_affordable(liquidity):
        arguments = as_words((*ticks, liquidity))
        lots, micro_dollars = concentrated_liquidity.amounts_within(pool.record, *arguments, True)
        return int(lots) <= base and int(micro_dollars) <= quote

    assert is_affordable(liquidity)
    assert not is_affordable(liquidity + 1)


def put(*path, value):
    """Put a wrong value somewhere into a record."""

    def spoil(record):
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = value

    return spoil


FIRST, FOURTH = TICK_OFFSET + 75_900, TICK_OFFSET + 76_140


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (put("shares", 0, value=1), "shares, but 1 are owned"),
        (put("shares", 0, value=-1), "negative number of shares"),
        (put("total_shares", value=0), "0 shares, but 44"),
        (put("reserves", 0, value=0), "the reserve is 0 lots"),
        (put("reserves", 1, value=2**62 + 1), "the reserve is 4611686018427387905 micro-dollars"),
        (put("fees", 1, value=-1), "the fees are -1 micro-dollars"),
        (put("reserves", 0, value=999_000), "are backed by reserves of 999000"),
    ],
)
def test_check_finds_what_is_wrong_with_a_constant_product(spoil, complaint):
    pool = small_pool()
    pool.check()
    spoil(pool.record)
    with pytest.raises(AssertionError, match=complaint):
        pool.check()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (put("positions", 0, "liquidity", value=-1), "negative liquidity"),
        (put("positions", 0, "liquidity", value=1), "are counted"),
        (put("positions", 0, "lower", value=75_840), "layer 0 of the bitmap"),
        (put("positions", 0, "owed", 0, value=10**9), "lots, but"),
        (put("positions", 0, "inside", 1, 0, value=1), "growth of micro-dollars inside a range has fallen"),
        (put("occupied", 0, value=0), "layer 0"),
        (put("occupied", 3, value=0), "layer 3"),
        (put("ticks", FIRST, "gross", value=1), "tick 75900 has 1 gross"),
        (put("ticks", FIRST, "net", value=1), "tick 75900 has 1 net"),
        (put("ticks", FIRST, "sqrt_price", value=1), "tick 75900 has the root 1,"),
        (put("ticks", FIRST, "outside", 0, 0, value=1), "growth of lots inside a range has fallen"),
        (put("provided", value=7), "but 7 are counted"),
        (put("below", value=FIRST + 1), "the tick below is said to be"),
        (put("below", value=FIRST), "the tick above is said to be"),
        (put("above", value=FOURTH), "the tick above is said to be"),
        (put("sqrt_price", value=2**32), "is not from"),
        (put("liquidity", value=10**9), "the active liquidity is 1000000000, its ticks make 11000000000"),
        (put("reserves", 0, value=10), "the reserve is 10 lots, but"),
        (put("reserves", 1, value=2**62 + 1), "reserves are 4611686018427387905 micro-dollars"),
        (put("fees", 0, value=-1), "fees are -1 lots"),
        (put("credited", 1, value=10**9), "micro-dollars are earned, but only"),
    ],
)
def test_check_finds_what_is_wrong_with_concentrated_liquidity(spoil, complaint):
    pool = ranged_pool()
    pool.swap_exact_in("buy", 10**6)
    pool.swap_exact_in("sell", 10**3)
    pool.check()
    spoil(pool.record)
    with pytest.raises(AssertionError, match=complaint):
        pool.check()


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(pool) == (0, 7)
