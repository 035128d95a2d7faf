"""What is seen of a pool, and what that tells: estimates against what the pool then does."""

import math

import numpy as np
import pytest

from blockspace.markets.instruments import list_instrument
from blockspace.markets.ledger import open_account
from blockspace.markets.pools import concentrated_liquidity, concentrated_swaps, constant_product
from blockspace.markets.pools.listing import list_pool, provide_first
from blockspace.markets.pools.view import (
    POOL_VIEW,
    TICKS_SEEN,
    estimate_arbitrage,
    estimate_lots,
    publish_pool,
)
from blockspace.markets.venue import new_venue

PRICE = 2_000_000.0  # micro-dollars per lot
LOTS, CASH = 10_000_000, 20_000_000_000_000
CENTRE = 145_080
PRODUCT, RANGES = 0, 1


@pytest.fixture
def venue():
    venue = new_venue()[0]
    list_instrument(np.asarray([venue]), "spot", 1_000, 0.001, 50_000, 0, 0, 10)
    provider = open_account(venue["ledger"], 2 * CASH / 1e6, 1.0, (2 * LOTS,))
    for number, kind in enumerate(("constant_product", "concentrated")):
        list_pool(venue, kind, 0, open_account(venue["ledger"]), 500, 10, PRICE)
        provide_first(venue, number, provider, LOTS, CASH, 0.0)
    return venue


def seen(venue, number):
    view = np.zeros(1, POOL_VIEW)[0]
    publish_pool(venue, np.int64(number), view)
    return view


def add_ranges(venue, count):
    """Nested ranges around the price, each with its own ends."""
    pool = venue["concentrated"][RANGES]
    for number in range(1, count + 1):
        ticks = np.int64(CENTRE - 30 * number), np.int64(CENTRE + 40 * number)
        liquidity = np.int64(10**12 + number)
        assert concentrated_liquidity.mint(pool, np.int64(number), np.int64(9), *ticks, liquidity).status == 0


def test_a_view_shows_the_pool(venue):
    add_ranges(venue, TICKS_SEEN + 2)
    view, pool = seen(venue, RANGES), venue["concentrated"][RANGES]
    assert view["sqrt_price"] ** 2 == pytest.approx(PRICE, rel=1e-9)
    assert view["liquidity"] == pool["liquidity"]
    for numbers, net, sign, step in (
        (view["below"], view["below_net"], 1, -30),
        (view["above"], view["above_net"], -1, 40),
    ):
        for level in range(TICKS_SEEN):
            assert numbers[level] == pytest.approx(1.0001 ** ((CENTRE + step * (level + 1)) / 2), rel=1e-9)
            assert net[level] == sign * (10**12 + level + 1)
    view = seen(venue, PRODUCT)
    assert view["reserves"].tolist() == [LOTS, CASH]
    assert view["sqrt_price"] ** 2 == pytest.approx(PRICE)


def test_a_tick_that_is_gone_is_seen_no_more(venue):
    add_ranges(venue, 1)
    view = seen(venue, RANGES)
    assert np.count_nonzero(view["above"]) == np.count_nonzero(view["below"]) == 2
    pool = venue["concentrated"][RANGES]
    concentrated_liquidity.burn(pool, np.int64(1), np.int64(9), np.int64(10**12 + 1))
    publish_pool(venue, np.int64(RANGES), view)
    assert np.count_nonzero(view["above"]) == np.count_nonzero(view["below"]) == 1
    assert view["above_net"][1] == 0.0


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("lots", [1_000, 50_000, 400_000])
def test_estimates_are_what_swaps_give(venue, side, lots):
    add_ranges(venue, 5)
    sign, wanted = np.int64(side), np.int64(lots)
    product = constant_product.quote_exact_out if side > 0 else constant_product.quote_exact_in
    ranges = concentrated_swaps.quote_exact_out if side > 0 else concentrated_swaps.quote_exact_in
    exact = product(venue["constant_products"][PRODUCT], sign, wanted)
    estimate = estimate_lots(seen(venue, PRODUCT), 0, side, lots)
    assert (estimate.amount_in, estimate.amount_out, estimate.complete) == (exact.amount_in, exact.amount_out, True)
    exact = ranges(venue["concentrated"][RANGES], sign, wanted, concentrated_swaps.NO_LIMIT)
    estimate = estimate_lots(seen(venue, RANGES), 1, side, lots)
    assert estimate.complete
    money = (estimate.amount_in, exact.amount_in) if side > 0 else (estimate.amount_out, exact.amount_out)
    assert money[0] == pytest.approx(money[1], rel=1e-6)
    walk, _ = concentrated_swaps.look(
        venue["concentrated"][RANGES], sign, wanted, side < 0, concentrated_swaps.NO_LIMIT
    )
    assert estimate.crossings == walk.crossings


def test_what_lies_beyond_sight_is_not_counted_on(venue):
    add_ranges(venue, TICKS_SEEN + 2)
    for side in (1, -1):
        estimate = estimate_lots(seen(venue, RANGES), 1, side, 100 * LOTS)
        assert not estimate.complete
        assert estimate.crossings == TICKS_SEEN
        assert 0 < (estimate.amount_out if side > 0 else estimate.amount_in) < 100 * LOTS


@pytest.mark.parametrize("number", [PRODUCT, RANGES])
@pytest.mark.parametrize("move", [-0.02, -0.0006, -0.0004, 0.0, 0.0004, 0.0006, 0.02])
def test_arbitrage_takes_the_price_to_the_edge_of_the_fee_and_earns_most(venue, number, move):
    add_ranges(venue, 4)
    price = PRICE * math.exp(move)
    side, swap = estimate_arbitrage(seen(venue, number), number, price)
    if abs(move) < 0.0005:
        assert (side, swap.amount_out) == (0, 0)
        return
    assert side == np.sign(move)

    def gain(amount):
        kernels, pool = (
            (constant_product.quote_exact_in, venue["constant_products"][number])
            if number == PRODUCT
            else (concentrated_swaps.quote_exact_in, venue["concentrated"][number])
        )
        limit = () if number == PRODUCT else (concentrated_swaps.NO_LIMIT,)
        found = kernels(pool, side, np.int64(amount), *limit)
        return found.amount_out * price - found.amount_in if side > 0 else found.amount_out - found.amount_in * price

    best = gain(swap.amount_in)
    expected = swap.amount_out * price - swap.amount_in if side > 0 else swap.amount_out - swap.amount_in * price
    assert best == pytest.approx(expected, rel=1e-3, abs=price)
    assert best > max(gain(swap.amount_in * 0.99), gain(swap.amount_in * 1.01)) - price
