"""Swaps tried on what is seen of a pool, one after another, against the pool that makes them."""

import numpy as np
import pytest

from blockspace.markets.instruments import list_instrument
from blockspace.markets.ledger import open_account
from blockspace.markets.pools import concentrated_liquidity, concentrated_swaps, constant_product
from blockspace.markets.pools.listing import list_pool, provide_first
from blockspace.markets.pools.swaps import OUTCOME, SWAP
from blockspace.markets.pools.trial import sketch, try_arbitrage, try_swap
from blockspace.markets.pools.view import POOL_VIEW, TICKS_SEEN, publish_pool
from blockspace.markets.venue import new_venue
from blockspace.network.compilation import kernel

PRICE = 2_000_000.0  # micro-dollars per lot
LOTS, CASH = 10_000_000, 20_000_000_000_000
CENTRE = 145_080
PRODUCT, RANGES = 0, 1
TRIED = np.dtype([("amount_in", "i8"), ("amount_out", "i8"), ("crossings", "i8"), ("complete", "i8")])


@kernel
def try_all(views, kind, swaps, tried):
    """Try swaps one after the other, each on what the one before has left."""
    drawn = sketch(views[0])
    for number in range(swaps.size):
        swap = swaps[number]
        estimate, drawn = try_swap(views[0], kind, drawn, np.int64(swap.side), swap.amount, swap.exact_in)
        tried[number].amount_in = estimate.amount_in
        tried[number].amount_out = estimate.amount_out
        tried[number].crossings = estimate.crossings
        tried[number].complete = 1 if estimate.complete else 0


@kernel
def arbitrage_after(views, kind, swaps, price):
    """The arbitrage that is left after some swaps: side, in, out, crossings."""
    drawn = sketch(views[0])
    for number in range(swaps.size):
        swap = swaps[number]
        _, drawn = try_swap(views[0], kind, drawn, np.int64(swap.side), swap.amount, swap.exact_in)
    side, estimate = try_arbitrage(views[0], kind, drawn, price)
    return side, estimate.amount_in, estimate.amount_out, estimate.complete


@pytest.fixture
def venue():
    venue = new_venue()[0]
    list_instrument(np.asarray([venue]), "spot", 1_000, 0.001, 50_000, 0, 0, 10)
    provider = open_account(venue["ledger"], 2 * CASH / 1e6, 1.0, (2 * LOTS,))
    for number, kind in enumerate(("constant_product", "concentrated")):
        list_pool(venue, kind, 0, open_account(venue["ledger"]), 500, 10, PRICE)
        provide_first(venue, number, provider, LOTS, CASH, 0.0)
    ranges = venue["concentrated"][RANGES]
    for number in range(1, 7):
        ticks = np.int64(CENTRE - 30 * number), np.int64(CENTRE + 40 * number)
        concentrated_liquidity.mint(ranges, np.int64(number), np.int64(9), *ticks, np.int64(10**10 + number))
    return venue


def seen(venue, number):
    views = np.zeros(1, POOL_VIEW)
    publish_pool(venue, np.int64(number), views[0])
    return views


def some_swaps(seed, count=60):
    """Swaps of either side and style that take the price to and fro over several ticks."""
    generator = np.random.default_rng(seed)
    swaps = np.zeros(count, SWAP)
    swaps["side"] = generator.choice([1, -1], count)
    swaps["exact_in"] = generator.random(count) < 0.5
    lots = np.exp(generator.uniform(0.0, np.log(300_000.0), count)).astype(np.int64) + 1
    of_lots = (swaps["side"] > 0) != swaps["exact_in"]
    swaps["amount"] = np.where(of_lots, lots, lots * int(PRICE))
    swaps["bound"] = np.where(swaps["exact_in"], 0, 2**62)
    return swaps


def pool_of(venue, number):
    return venue["constant_products" if number == PRODUCT else "concentrated"][number : number + 1]


def make(venue, number, swaps):
    outcomes = np.zeros(len(swaps), OUTCOME)
    kernels = constant_product if number == PRODUCT else concentrated_swaps
    kernels.apply_swaps(pool_of(venue, number), swaps, outcomes)
    return outcomes


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("number", [PRODUCT, RANGES])
def test_trials_are_what_the_pool_does(venue, number, seed):
    swaps = some_swaps(seed)
    tried = np.zeros(len(swaps), TRIED)
    try_all(seen(venue, number), number, swaps, tried)
    outcomes = make(venue, number, swaps)
    assert (outcomes["status"] == 0).all()
    assert tried["complete"].all()
    for column in ("amount_in", "amount_out"):
        assert (tried[column] == outcomes[column]).all()
    assert (tried["crossings"].sum() > 5) == (number == RANGES)


@pytest.mark.parametrize("side", [1, -1])
def test_what_leads_beyond_sight_is_not_complete(venue, side):
    ranges = venue["concentrated"][RANGES]
    for number in range(7, TICKS_SEEN + 3):
        ticks = np.int64(CENTRE - 30 * number), np.int64(CENTRE + 40 * number)
        concentrated_liquidity.mint(ranges, np.int64(number), np.int64(9), *ticks, np.int64(10**10 + number))
    swaps = np.zeros(1, SWAP)
    swaps["side"], swaps["exact_in"] = side, side < 0
    swaps["amount"], swaps["bound"] = 5_000_000, 2**62 if side > 0 else 0
    tried = np.zeros(1, TRIED)
    try_all(seen(venue, RANGES), RANGES, swaps, tried)
    assert (tried["complete"][0], tried["crossings"][0]) == (0, TICKS_SEEN)
    assert make(venue, RANGES, swaps)["status"][0] == 0, "the pool itself goes further"


@pytest.mark.parametrize("move", [-0.004, -0.0004, 0.0004, 0.004])
@pytest.mark.parametrize("number", [PRODUCT, RANGES])
def test_the_arbitrage_that_is_left_is_that_of_the_pool(venue, number, move):
    swaps = some_swaps(3, 5)
    views = seen(venue, number)
    make(venue, number, swaps)
    pool = pool_of(venue, number)[0]
    kernels = constant_product if number == PRODUCT else concentrated_swaps
    reserves = pool["reserves"]
    now = float(pool["sqrt_price"] / 2.0**32) ** 2 if number == RANGES else float(reserves[1] / reserves[0])
    price = now * np.exp(move)
    side, amount_in, amount_out, complete = arbitrage_after(views, number, swaps, price)
    expected = kernels.arbitrage(pool, price)
    assert (side, amount_in, amount_out) == tuple(expected)
    assert complete == (abs(move) > 0.0005)
