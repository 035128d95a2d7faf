"""Pools against closed forms that they are never told."""

import copy
from decimal import Decimal, localcontext
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.pools.constant_product import quote_exact_in
from blockspace.markets.pools.pool import ConcentratedPool, ConstantProductPool
from blockspace.markets.pools.swaps import LARGEST_AMOUNT

from .slow_pools import SlowConcentrated

LARGE = 10**17  # so large that rounding to whole units is far below what is tested


def full_range_pool(base, quote, fee_ppm=3_000):
    """A concentrated pool with one position over all prices, of as much as can be had for these amounts."""
    pool = ConcentratedPool(quote / base, fee_ppm)
    pool.mint(*pool.full_range, pool.liquidity_for(*pool.full_range, base, quote))
    return pool


@pytest.mark.parametrize("part", [1e-6, 1e-4, 0.01, 0.5, 1.0, 10.0])
def test_slippage_and_impact_of_a_constant_product(part):
    pool = ConstantProductPool(LARGE, LARGE, fee_ppm=0)
    sold = int(LARGE * part)
    swap = pool.swap_exact_in("sell", sold)
    assert swap.amount_out == LARGE * sold // (LARGE + sold)
    assert 1 - swap.amount_out / sold == pytest.approx(part / (1 + part), rel=1e-12, abs=1 / sold)
    assert 1 / pool.price == pytest.approx((1 + part) ** 2, rel=1e-12)


@pytest.mark.parametrize("fee_ppm", [0, 500, 3_000, 10_000])
def test_output_of_a_constant_product_after_the_fee(fee_ppm):
    pool = ConstantProductPool(LARGE, 20 * LARGE, fee_ppm)
    usable = 10**15 * (1 - fee_ppm / 1e6)
    out = pool.quote_exact_in("sell", 10**15).amount_out
    assert out == pytest.approx(20 * LARGE * usable / (LARGE + usable), rel=1e-12)


@pytest.mark.parametrize("price", [1e-3, 1.0, 2e6, 1e9])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_within_a_range_amounts_are_liquidity_times_the_move_of_the_root(price, side):
    pool = ConcentratedPool(price, fee_ppm=0, tick_spacing=1)
    liquidity = 10**15
    pool.mint(pool.tick - 1_000, pool.tick + 1_000, liquidity)
    before = pool.price
    lots = int(liquidity / sqrt(price) / 100)
    if side == "buy":
        swap = pool.swap_exact_out(side, lots)
        quote, base = swap.amount_in, swap.amount_out
    else:
        swap = pool.swap_exact_in(side, lots)
        quote, base = swap.amount_out, swap.amount_in
    after = pool.price
    # A unit of the root moves 2^-32 of the liquidity, and so much the less of it the larger the root.
    assert quote == pytest.approx(liquidity * abs(sqrt(after) - sqrt(before)), rel=1e-9, abs=liquidity / 2**32 + 1)
    assert base == pytest.approx(
        liquidity * abs(1 / sqrt(after) - 1 / sqrt(before)), rel=1e-9, abs=liquidity / 2**32 / price + 1
    )


# A range over all prices ends where the root is 4 millionths of that of the price, or the reverse.
@pytest.mark.parametrize(("make", "tolerance"), [(ConstantProductPool, 1e-7), (full_range_pool, 1e-5)])
@pytest.mark.parametrize("basis_points", [1, 10, 100, 1_000, 10_000])
def test_depth_is_half_the_value_times_the_fall_of_the_root(make, tolerance, basis_points):
    lots, micro_dollars = 10**12, 2 * 10**18
    pool = make(lots, micro_dollars)
    value = pool.price * lots + micro_dollars
    depth = pool.depth(basis_points).set_index("side")
    expected = value * (1 - (1 + basis_points / 10_000) ** -0.5) / 2
    # What leaves the pool, valued at its price: base as the price rises, quote as it falls.
    assert depth.loc["sell", "base"] * pool.price == pytest.approx(expected, rel=tolerance)
    assert depth.loc["buy", "quote"] == pytest.approx(expected, rel=tolerance)
    assert depth.loc["sell", "price"] == pytest.approx(pool.price * (1 + basis_points / 10_000))


@pytest.mark.parametrize("basis_points", [1, 50, 500])
def test_depth_is_what_swaps_without_fee_take(basis_points):
    pool = ConcentratedPool(2e6, fee_ppm=0, tick_spacing=10)
    for number in range(20):
        pool.mint(145_000 - 20 * number, 145_100 + 30 * number, 10**13)
    for side, depth in zip(("sell", "buy"), pool.depth(basis_points).itertuples(), strict=True):
        swap = pool.quote_exact_in(side, LARGEST_AMOUNT // 2, price_limit=depth.price)
        amounts = (swap.amount_out, swap.amount_in) if side == "buy" else (swap.amount_in, swap.amount_out)
        # Inputs are rounded up in each range and depth is rounded down.
        assert amounts == pytest.approx((depth.base, depth.quote), abs=21)


# Front-run, profit without fee, and profit with fees of 5 and 30 basis points, for a sale of 1 % of the reserve with a
# tolerance of 0.5 %, in a pool of a million; and of 0.1 %, which is less than the larger fee.
SCALE = 10**11
RESERVE = 10**6 * SCALE


def largest_front_run(pool, victim, least_out):
    """Largest sale before the victim's that leaves it at least what it insists on."""
    smallest, largest = 0, RESERVE
    while largest - smallest > 1:
        middle = (smallest + largest) // 2
        fork = copy.deepcopy(pool)
        fork.swap_exact_in("sell", middle)
        if fork.quote_exact_in("sell", victim).amount_out >= least_out:
            smallest = middle
        else:
            largest = middle
    return smallest


def sandwich(pool, front, victim, least_out):
    """Sell, let the victim sell, buy back with the proceeds; return the profit in what was sold first."""
    pool = copy.deepcopy(pool)
    proceeds = pool.swap_exact_in("sell", front).amount_out
    pool.swap_exact_in("sell", victim, least_out=least_out)
    return pool.swap_exact_in("buy", proceeds).amount_out - front


@pytest.mark.parametrize(
    ("fee_ppm", "profit", "tolerance"), [(0, 50.4975, 1e-6), (500, 47.93, 2e-4), (3_000, 35.10, 2e-3)]
)
def test_a_sandwich_earns_what_the_tolerance_allows(fee_ppm, profit, tolerance):
    pool = ConstantProductPool(RESERVE, RESERVE, fee_ppm)
    victim = 10_000 * SCALE
    least_out = pool.quote_exact_in("sell", victim).amount_out * 995 // 1_000
    front = largest_front_run(pool, victim, least_out)
    if fee_ppm == 0:
        x, dx, s = 1e6, 1e4, 0.005
        u = (-dx + sqrt(dx * dx + 4 * x * (x + dx) / (1 - s))) / 2
        assert front / SCALE == pytest.approx(u - x, rel=1e-9)
        assert front / SCALE == pytest.approx(2521.90, abs=0.005)
        exact = (u - x) * dx * (u + dx + x) / (u * (u + dx) - x * dx)
        assert sandwich(pool, front, victim, least_out) / SCALE == pytest.approx(exact, rel=1e-9)
    assert sandwich(pool, front, victim, least_out) / SCALE == pytest.approx(profit, rel=tolerance)


def test_a_sandwich_of_less_than_the_fee_loses():
    pool = ConstantProductPool(RESERVE, RESERVE, fee_ppm=3_000)
    victim = 1_000 * SCALE
    least_out = pool.quote_exact_in("sell", victim).amount_out * 995 // 1_000
    largest = largest_front_run(pool, victim, least_out)
    assert max(sandwich(pool, largest * part // 10, victim, least_out) for part in range(1, 11)) < 0


@settings(deadline=None)
@given(
    base=st.integers(10**4, 10**14),
    price=st.floats(1.0, 1e4),
    move=st.floats(0.3, 3.0),
    fee_ppm=st.sampled_from([0, 100, 3_000, 100_000]),
)
def test_arbitrage_of_a_constant_product_is_the_closed_form_rounded_down(base, price, move, fee_ppm):
    pool = ConstantProductPool(base, int(base * price), fee_ppm)
    external = pool.price * move
    side, amount_in, amount_out = pool.arbitrage(external)
    lots, micro_dollars = pool.reserves
    with localcontext(prec=60):
        kept, p = 1 - Decimal(fee_ppm) / 10**6, Decimal(external)
        buys = ((kept * p * lots * micro_dollars).sqrt() - micro_dollars) / kept
        sells = ((kept * lots * micro_dollars / p).sqrt() - lots) / kept
        exact = max(buys, sells)
        reserve = micro_dollars if buys > sells else lots
    if side == 0:
        # So little, if anything, that it would give nothing.
        assert exact < 3 + 2 * Decimal(reserve) / (lots + micro_dollars - reserve)
        return
    assert side == (1 if buys > sells else -1)
    assert pool.quote_exact_in("buy" if side > 0 else "sell", amount_in).amount_out == amount_out
    # Rounding the value of the one reserve to units of the other costs half a unit of a reserve; floating-point
    # arithmetic on the price costs its relative error.
    rounding = Decimal("3e-16") * reserve
    assert -rounding <= exact - amount_in <= 3 + rounding


@pytest.mark.parametrize("move", [0.5, 0.98, 1.03, 2.5])
@pytest.mark.parametrize("fee_ppm", [0, 500, 10_000])
def test_arbitrage_moves_the_price_to_the_external_one_but_for_the_fee(move, fee_ppm):
    kept = 1 - fee_ppm / 1e6
    concentrated = ConcentratedPool(2e6, fee_ppm, tick_spacing=100)
    concentrated.mint(*concentrated.full_range, 10**13)
    concentrated.mint(144_000, 146_000, 10**14)
    concentrated.mint(145_000, 145_200, 10**15)
    for pool in (concentrated, ConstantProductPool(10**12, 2 * 10**18, fee_ppm)):
        external = pool.price * move
        side, amount_in, amount_out = pool.arbitrage(external)
        assert side == (1 if move > 1 else -1)
        swap = pool.swap_exact_in("buy" if side > 0 else "sell", amount_in)
        assert swap[:2] == (0, amount_in)
        assert 0 <= swap.amount_out - amount_out <= 2 * external
        if pool is concentrated:
            assert pool.price == pytest.approx(external * (kept if side > 0 else 1 / kept), rel=1e-9)
            pool.check()
        assert pool.arbitrage(external).amount_in <= amount_in * 1e-6
        # Nothing is left to earn: the cost of one more lot, or its proceeds, no longer beat the external price.
        thousand = 1_000
        assert pool.quote_exact_out("buy", thousand).amount_in > thousand * external * (1 - 1e-7)
        assert pool.quote_exact_in("sell", thousand).amount_out < thousand * external * (1 + 1e-7)


@pytest.mark.parametrize("external", [1.9999e6, 2e6, 2.0001e6])
def test_arbitrage_leaves_differences_below_the_fee_alone(external):
    concentrated = ConcentratedPool(2e6)
    concentrated.mint(144_000, 146_400, 10**13)
    for pool in (concentrated, ConstantProductPool(10**10, 2 * 10**16)):
        assert pool.arbitrage(external) == (0, 0, 0)


def test_arbitrage_takes_what_there_is():
    pool = ConcentratedPool(2e6)
    assert pool.arbitrage(3e6) == (0, 0, 0)
    pool.mint(144_000, 146_400, 10**13)
    side, _, amount_out = pool.arbitrage(3e6)
    assert side == 1
    assert amount_out == pytest.approx(pool.reserves[0], abs=3)


@settings(deadline=None)
@given(
    root=st.integers(1, 10_000),
    lots=st.integers(10, 2**31),
    part=st.floats(1e-9, 10.0),
    fee_ppm=st.sampled_from([0, 100, 3_000, 100_000]),
    side=st.sampled_from(["buy", "sell"]),
)
def test_full_range_and_constant_product_give_the_same_up_to_rounding(root, lots, part, fee_ppm, side):
    """A pool over all prices has the amounts of a constant product with reserves L / s and L s at the root s.

    They differ by whole units of what comes out; by what a unit of input is worth, because the one takes the fee off
    in whole units before it swaps; and by a unit of the root, which is worth 2^-32 L of quote, and of base that over
    the price (at the lowest root that the swap comes to).
    """
    liquidity = lots * root
    concentrated = ConcentratedPool(float(root * root), fee_ppm, tick_spacing=1)
    concentrated.mint(*concentrated.full_range, liquidity)
    product = ConstantProductPool(lots + 2_000, lots * root * root + 2_000, fee_ppm)
    product.record["reserves"] = (lots, liquidity * root)
    amount = max(int((liquidity * root if side == "buy" else lots) * part), 1)
    sign = np.int64(1 if side == "buy" else -1)
    promised = quote_exact_in(product.record, sign, np.int64(amount))
    swap = concentrated.quote_exact_in(side, amount)
    lowest = root if side == "buy" else root / (1 + part)
    unit = liquidity / 2**32
    allowed = 2 + (unit / lowest**2 + 1 / root**2 if side == "buy" else unit + root**2)
    assert abs(swap.amount_out - promised.amount_out) <= allowed
    if promised.status >= 0:
        assert abs(swap.fee - promised.fee) <= 2 + (unit if side == "buy" else unit / lowest**2)


def test_fees_go_to_the_positions_in_range_in_proportion_and_dust_is_counted():
    generator = np.random.default_rng(5)
    pool = ConcentratedPool(2e6, fee_ppm=3_000)
    twin = SlowConcentrated(int(pool.record["sqrt_price"]), 3_000, 60, keeps_exact_fees=True)
    for slot in range(8):
        lower = 145_080 - 60 * int(generator.integers(1, 20))
        upper = 145_080 + 60 * int(generator.integers(1, 20))
        liquidity = int(generator.integers(10**9, 10**13))
        assert pool.mint(lower, upper, liquidity, slot)[1:] == twin.mint(slot, slot, lower, upper, liquidity)[2:]
    for _ in range(200):
        side = "buy" if pool.price < 2e6 * generator.uniform(0.95, 1.05) else "sell"
        amount = int(generator.integers(1, 10**12) * (1 if side == "buy" else 5e-7)) + 1
        assert pool.swap_exact_in(side, amount) == twin.swap(True, 1 if side == "buy" else -1, amount, 0)
    paid = np.array(pool.fees)
    exact = np.array([[float(part) for part in position.exact_fees] for position in twin.ranges.values()])
    assert exact.sum(axis=0) == pytest.approx(paid, rel=1e-12)
    dust_before = np.array(pool.dust)
    earned = np.array([pool.collect(slot, owner=slot)[2:] for slot in range(8)])
    pool.check()
    for slot, position in twin.ranges.items():
        for token in (0, 1):
            assert 0 <= position.exact_fees[token] - int(earned[slot, token]) < 2
    # What is not earned is dust, to the last unit, and no more than one unit for each position.
    lost = paid - earned.sum(axis=0)
    assert (0 <= lost).all()
    assert (lost <= 8).all()
    assert np.array_equal(pool.dust, dust_before)
    assert (dust_before >= lost).all()
    for slot in range(8):
        pool.burn(slot, int(pool.record["positions"][slot]["liquidity"]), owner=slot)
        pool.collect(slot, owner=slot)
    assert pool.reserves == pool.dust
    pool.check()


@pytest.mark.parametrize("dollars", [1e3, 5e7, 1e12])
@pytest.mark.parametrize(("unit_price", "lot"), [(1e-3, 10.0), (1.0, 0.1), (2_000.0, 0.001), (1e6, 1e-6), (1e6, 1e-5)])
@pytest.mark.parametrize("make", [ConstantProductPool, full_range_pool])
def test_pools_of_every_size_and_price(make, dollars, unit_price, lot):
    lots, micro_dollars = int(dollars / 2 / unit_price / lot), int(dollars / 2 * 1e6)
    pool = make(lots, micro_dollars, 500)
    assert pool.price == pytest.approx(unit_price * lot * 1e6, rel=2 / lots + 1e-9)
    assert pool.reserves == pytest.approx((lots, micro_dollars), rel=0.01)
    spent = micro_dollars // 5
    bought = pool.swap_exact_in("buy", spent).amount_out
    assert bought == pytest.approx(lots * (1 - 1 / (1 + 0.2 * 0.9995)), rel=2e-3, abs=1)
    if bought:
        assert pool.swap_exact_in("sell", bought).amount_out < spent
    pool.check()
