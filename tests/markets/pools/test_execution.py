"""Swaps, mints and burns on the venue: who has what it takes is served, to the last unit, and the others pay gas."""

import numpy as np
import pytest

from blockspace.markets.ledger import open_account, totals
from blockspace.markets.matching import LIMIT
from blockspace.markets.pools.listing import POOLS, check_pools, list_pool, provide_first, range_between
from blockspace.markets.pools.swaps import BEYOND_BOUND, LARGEST_AMOUNT, LIMIT_BEHIND_PRICE, NOTHING_OUT
from blockspace.markets.trade_log import trades_since
from blockspace.network.transaction import (
    BURN,
    EXACT_IN,
    EXACT_OUT,
    FAILED,
    LADDER,
    MINT,
    PLACE,
    SUCCEEDED,
    SWAP,
    UNFUNDED,
)
from tests.markets.test_venue import SPOT, Stage

PRICE = 5_000_000.0  # micro-dollars per lot, as the mark
LOTS, CASH = 1_000_000, 5_000_000_000_000
PRODUCT, RANGES, GAPS = 0, 1, 2
SPACING = 10
GAS, TICK_GAS = 100_000, 20_000
NARROW = (154_190, 154_310)
"""Ticks around the price."""


class PoolStage(Stage):
    """A venue with a pool of each kind at the mark, and one of two narrow ranges; 30 basis points each."""

    def __init__(self, **settings):
        super().__init__(**{"accounts": 3, "cash_usd": 100_000.0, "ether": 10.0, "spot": 10_000, **settings})
        self.venue["swap_gas"], self.venue["swap_tick_gas"] = GAS, TICK_GAS
        self.provider = open_account(self.ledger, 4 * CASH / 1e6, 10.0, (0, 4 * LOTS))
        for number, kind in enumerate(("constant_product", "concentrated", "concentrated")):
            account = open_account(self.ledger)
            assert list_pool(self.venue, kind, SPOT, account, 3_000, SPACING, PRICE) == number
        for number, distance in ((PRODUCT, 0.0), (RANGES, 0.0), (GAPS, 50.0)):
            provide_first(self.venue, number, self.provider, LOTS, CASH, distance)

    def pool(self, number):
        return self.venue["constant_products" if number == PRODUCT else "concentrated"][number]

    def act(self, kind, account=None, pool=PRODUCT, ticks=(0, 0), gas=10 * GAS, instrument=SPOT, **fields):
        ladder = np.zeros(2 * LADDER, np.int32)
        ladder[:2] = ticks
        row = {"kind": kind, "sender": self.accounts[0] if account is None else account, "order": pool}
        receipt = self.block(row | {"instrument": instrument, "gas": gas, "ladder": ladder, **fields})[0]
        self.check()
        return receipt

    def swap(self, side, style, amount, bound, pool=PRODUCT, **fields):
        return self.act(SWAP, pool=pool, side=side, style=style, amount=amount, bound=bound, **fields)

    def held(self, account):
        row = self.ledger["accounts"][account]
        return int(row["position"][SPOT]), int(row["cash"])

    def check(self):
        super().check()
        check_pools(self.venue)


@pytest.fixture
def stage():
    return PoolStage()


@pytest.mark.parametrize("pool", [PRODUCT, RANGES])
@pytest.mark.parametrize(
    ("side", "style", "amount", "bound"),
    [
        (1, EXACT_IN, 5_000_000_000, 990),
        (1, EXACT_OUT, 1_000, 5_100_000_000),
        (-1, EXACT_IN, 1_000, 4_900_000_000),
        (-1, EXACT_OUT, 5_000_000_000, 1_010),
    ],
)
def test_every_swap_moves_what_it_says(stage, pool, side, style, amount, bound):
    alice = stage.accounts[0]
    before, reserves = stage.held(alice), stage.pool(pool)["reserves"].tolist()
    status, filled = stage.swap(side, style, amount, bound, pool)
    assert status == SUCCEEDED
    lots, cash = (now - then for now, then in zip(stage.held(alice), before, strict=True))
    assert [then - now for now, then in zip(stage.pool(pool)["reserves"].tolist(), reserves, strict=True)] == [
        lots,
        cash,
    ]
    assert filled == abs(lots)
    exact = cash if (side > 0) == (style == EXACT_IN) else lots
    assert abs(exact) == amount
    assert np.sign(lots) == side == -np.sign(cash)
    trade = trades_since(stage.logs[0], 0)[0]
    assert (trade["pool"], trade["maker"], trade["taker"]) == (pool + 1, stage.venue["pools"][pool]["account"], alice)
    assert (trade["side"], trade["size"], trade["maker_fee"]) == (side, filled, -trade["taker_fee"])
    # The taker pays price times size, and the fee beside it.
    assert cash == -side * trade["notional"] - trade["taker_fee"]
    assert trade["taker_fee"] == pytest.approx(0.003 * abs(cash), rel=0.005)
    assert trade["price"] == round(int(trade["notional"]) / filled / 1_000)


@pytest.mark.parametrize("pool", [PRODUCT, RANGES])
def test_what_is_refused_changes_nothing_and_pays_gas(stage, pool):
    alice = stage.accounts[0]
    before, record = stage.held(alice), stage.pool(pool).tobytes()
    for fields, refusal in (
        ({"side": 1, "style": EXACT_OUT, "amount": 1_000, "bound": 5_000_000_000}, BEYOND_BOUND),
        ({"side": -1, "style": EXACT_IN, "amount": 1_000, "bound": 5_000_000_000}, BEYOND_BOUND),
        ({"side": 1, "style": EXACT_IN, "amount": 1_000_000, "bound": 0}, NOTHING_OUT),
        ({"side": -1, "style": EXACT_IN, "amount": 10_001, "bound": 0}, 0),  # more lots than it has
        ({"side": 1, "style": EXACT_IN, "amount": 100_001_000_000, "bound": 0}, 0),  # more cash
        ({"side": 0, "style": EXACT_IN, "amount": 1_000, "bound": 0}, 0),
        ({"side": 1, "style": EXACT_IN, "amount": 1_000_000, "bound": 0, "order": 3}, 0),  # there is no such pool
        (
            {"side": 1, "style": EXACT_IN, "amount": 1_000_000, "bound": 0, "instrument": 0},
            0,
        ),  # which it does not trade
    ):
        assert stage.act(SWAP, pool=fields.pop("order", pool), **fields) == (FAILED, refusal)
    assert stage.swap(1, EXACT_IN, 10**9, 0, pool, gas=2**32 - 1, max_fee=10**10, tip=10**10)[0] == UNFUNDED
    assert stage.held(alice) == before
    assert stage.pool(pool).tobytes() == record
    assert len(trades_since(stage.logs[0], 0)) == 0


def test_lots_and_cash_that_are_spoken_for_cannot_be_swapped(stage):
    alice = stage.accounts[0]
    stage.send(alice, PLACE, side=-1, price=6_000, size=9_500, style=LIMIT, instrument=SPOT)
    assert stage.swap(-1, EXACT_IN, 501, 0) == (FAILED, 0)
    assert stage.swap(-1, EXACT_IN, 500, 0) == (SUCCEEDED, 500)
    bob = stage.accounts[1]
    stage.send(bob, PLACE, side=1, price=4_000, size=19_900, style=LIMIT, instrument=SPOT)  # at the mark
    assert stage.act(SWAP, bob, side=1, style=EXACT_IN, amount=500_000_001, bound=0) == (FAILED, 0)
    assert stage.act(SWAP, bob, side=1, style=EXACT_IN, amount=500_000_000, bound=0)[0] == SUCCEEDED


def test_a_price_limit_stops_a_swap_where_ranges_are_and_nowhere_else(stage):
    status, filled = stage.swap(1, EXACT_IN, 90_000_000_000, 0, RANGES, price=5_005)
    assert status == SUCCEEDED
    assert 0 < filled < 17_000
    assert (int(stage.pool(RANGES)["sqrt_price"]) / 2**32) ** 2 == pytest.approx(5_005_000, rel=1e-9)
    assert stage.swap(1, EXACT_IN, 10**9, 0, RANGES, price=5_001) == (FAILED, LIMIT_BEHIND_PRICE)
    assert stage.swap(1, EXACT_IN, 10**9, 0, PRODUCT, price=5_005) == (FAILED, BEYOND_BOUND)


def test_ticks_that_are_crossed_take_gas():
    stage = PoolStage(cash_usd=2e7, spot=4 * LOTS)
    assert stage.act(MINT, stage.provider, GAPS, (154_200, 154_280), amount=LOTS // 2, bound=CASH // 2)[0] == SUCCEEDED
    stop = {"pool": GAPS, "price": 5_100}  # beyond the end of both ranges
    assert stage.swap(1, EXACT_IN, 10**13, 0, gas=GAS + TICK_GAS, **stop) == (FAILED, 0)
    assert stage.swap(1, EXACT_IN, 10**13, 0, gas=GAS + 2 * TICK_GAS, **stop)[0] == SUCCEEDED
    assert stage.pool(GAPS)["liquidity"] == 0


def test_liquidity_comes_and_goes_with_what_it_has_earned(stage):
    alice, bob = stage.accounts[:2]
    for pool, ticks in ((PRODUCT, (0, 0)), (RANGES, NARROW)):
        before = stage.held(alice)
        assert stage.act(MINT, alice, pool, ticks, amount=5_000, bound=25_000_000_000) == (SUCCEEDED, 0)
        paid = [then - now for now, then in zip(stage.held(alice), before, strict=True)]
        assert 3_900 < paid[0] <= 5_000
        assert 24e9 < paid[1] <= 25e9
        for side, style, amount in ((1, EXACT_OUT, 5_000), (-1, EXACT_IN, 5_000)):
            bound = LARGEST_AMOUNT if side > 0 else 0
            row = {"side": side, "style": style, "amount": amount, "bound": bound}
            assert stage.act(SWAP, bob, pool, **row)[0] == SUCCEEDED
        assert stage.act(BURN, bob, pool, ticks, amount=1)[0] == FAILED  # it is not his
        if pool == RANGES:
            assert stage.act(BURN, alice, pool, ticks, amount=0)[0] == SUCCEEDED  # the fees alone
            assert stage.held(alice)[1] > before[1] - paid[1]
        assert stage.act(BURN, alice, pool, ticks, amount=LARGEST_AMOUNT) == (SUCCEEDED, 0)
        gained = [now - then for now, then in zip(stage.held(alice), before, strict=True)]
        assert -PRICE < gained[1] + gained[0] * PRICE < 2 * 25e9 * 0.003  # to the lot
        assert stage.act(BURN, alice, pool, ticks, amount=LARGEST_AMOUNT)[0] == FAILED  # nothing is left


def test_mints_need_the_money_and_a_range(stage):
    alice = stage.accounts[0]
    for pool, ticks in ((PRODUCT, (0, 0)), (RANGES, NARROW)):
        assert stage.act(MINT, alice, pool, ticks, amount=10_001, bound=10**9) == (FAILED, 0)
        assert stage.act(MINT, alice, pool, ticks, amount=100, bound=100_001_000_000) == (FAILED, 0)
    for ticks in ((154_190, 154_190), (154_191, 154_310), (10, -10)):
        assert stage.act(MINT, alice, RANGES, ticks, amount=100, bound=10**9)[0] == FAILED
    assert stage.pool(RANGES)["positions"]["liquidity"].astype(bool).sum() == 1


def test_slots_of_positions_are_used_again(stage):
    alice, bob = stage.accounts[:2]
    for _ in range(3):
        for account in (alice, bob):
            assert stage.act(MINT, account, RANGES, NARROW, amount=100, bound=10**9)[0] == SUCCEEDED
        for account in (alice, bob):
            assert stage.act(BURN, account, RANGES, NARROW, amount=LARGEST_AMOUNT)[0] == SUCCEEDED
    assert stage.venue["pools"][RANGES]["slots"] == 3
    stage.act(MINT, alice, RANGES, NARROW, amount=100, bound=10**9)
    once = int(stage.pool(RANGES)["positions"]["liquidity"][1])
    stage.act(MINT, alice, RANGES, NARROW, amount=100, bound=10**9)
    assert stage.pool(RANGES)["positions"]["liquidity"][1] == pytest.approx(2 * once, rel=0.02)


def test_any_mixture_keeps_every_unit():
    """Random swaps, mints and burns, checked after each."""
    stage = PoolStage()
    generator = np.random.default_rng(5)
    statuses = set()
    for _ in range(400):
        account = int(generator.choice(stage.accounts))
        kind, pool = int(generator.choice([SWAP, SWAP, SWAP, MINT, BURN])), int(generator.integers(4))
        lower = 154_250 + 5 * SPACING * int(generator.integers(-2, 1))
        fields = {
            "ticks": (lower, lower + 5 * SPACING * int(generator.integers(3))),
            "amount": int(10 ** generator.uniform(0, 11)),
            "bound": int(10 ** generator.uniform(0, 11)),
            "side": int(generator.integers(-1, 2)),
            "style": int(generator.integers(2)),
            "price": int(generator.choice([0, 0, 4_900, 5_000, 5_100])),
        }
        statuses.add((kind, stage.act(kind, account, pool, **fields)[0]))
    assert statuses == {(kind, status) for kind in (SWAP, MINT, BURN) for status in (SUCCEEDED, FAILED)}
    assert not any(totals(stage.ledger).values())


def test_the_check_sees_a_unit_that_is_missing(stage):
    account = int(stage.venue["pools"][PRODUCT]["account"])
    stage.ledger["accounts"]["cash"][account] -= 1
    with pytest.raises(AssertionError, match="pool 0 has reserves"):
        check_pools(stage.venue)


def test_a_venue_is_full_at_some_time(stage):
    for _ in range(POOLS - 3):
        list_pool(stage.venue, "constant_product", SPOT, open_account(stage.ledger), 0, 1, PRICE)
    with pytest.raises(ValueError, match=f"at most {POOLS} pools"):
        list_pool(stage.venue, "constant_product", SPOT, 9, 0, 1, PRICE)


def test_first_liquidity_that_is_nothing_is_refused(stage):
    number = list_pool(stage.venue, "constant_product", SPOT, open_account(stage.ledger), 0, 1, PRICE)
    with pytest.raises(ValueError, match="the first liquidity is refused: so little"):
        provide_first(stage.venue, number, stage.provider, 1, 1, 0.0)


@pytest.mark.parametrize("spacing", [1, 10, 60])
def test_a_range_holds_the_prices_it_is_asked_for(spacing):
    lower, upper = range_between(4e6, 6e6, spacing)
    assert lower % spacing == upper % spacing == 0
    assert 1.0001**lower <= 4e6 < 1.0001 ** (lower + spacing)
    assert 1.0001 ** (upper - spacing) <= 6e6 < 1.0001**upper
    assert range_between(0.0, 0.0, spacing)[0] < -130_000 < 390_000 < range_between(0.0, 0.0, spacing)[1]
