import numpy as np
import pytest

from blockspace.markets.collateral import free_collateral
from blockspace.markets.instruments import HANDLES, list_instrument
from blockspace.markets.ledger import (
    BACKGROUND,
    BURNED,
    GENESIS,
    INSTRUMENTS,
    VENUE_FEES,
    endow,
    ether_wei,
    open_account,
    totals,
    transfer_ether,
)
from blockspace.markets.matching import (
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    SIZE_NOT_POSITIVE,
    UNKNOWN_ORDER,
    WOULD_CROSS,
)
from blockspace.markets.order_book import check_book
from blockspace.markets.trade_log import TRADE_LOG, trades_since
from blockspace.markets.venue import execute, new_venue
from blockspace.network.block import BLOCK
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import (
    CANCEL,
    FAILED,
    LADDER,
    PLACE,
    QUOTE,
    REPLACE,
    SUCCEEDED,
    TRANSFER,
    UNFUNDED,
)

GWEI = 10**9
PERP, SPOT = 0, 1
TICK_LOT_VALUE = {PERP: 10, SPOT: 1_000}  # micro-dollars
MARK = {PERP: 2_000_000, SPOT: 5_000_000}  # micro-dollars per lot
MARGIN = 100_000  # micro-dollars per lot of the perpetual: 5 %
PRICE = {PERP: 200_000, SPOT: 5_000}  # ticks, at the mark
MID = PRICE[PERP]
LEVELS = 2**20


class Stage:
    """A venue with a perpetual and a spot instrument, and blocks made by hand."""

    def __init__(self, accounts=3, cash_usd=1_000.0, ether=1.0, spot=100, maker_fee_ppm=0, taker_fee_ppm=0):
        self.venues = new_venue()
        self.venue = self.venues[0]
        self.logs = np.zeros(1, TRADE_LOG)
        self.pools = new_mempool()
        self.blocks = np.zeros(1, BLOCK)
        for number, kind in enumerate(("perpetual", "spot")):
            list_instrument(self.venues, kind, TICK_LOT_VALUE[number], 0.001, 50_000, maker_fee_ppm, taker_fee_ppm, 10)
            self.venue["instruments"][number]["mark"] = MARK[number]
        self.ledger = self.venue["ledger"]
        self.producer = open_account(self.ledger)
        self.accounts = [open_account(self.ledger, cash_usd, ether, (0, spot)) for _ in range(accounts)]
        block = self.blocks[0]
        block["base_fee_account"] = BURNED
        block["producer_account"] = self.producer

    def block(self, *transactions, base_fee=0):
        """Execute transactions given as dictionaries; their receipts as (status, filled)."""
        block, rows = self.blocks[0], self.pools[0]["transactions"]
        rows[: len(transactions)] = np.zeros(len(transactions), rows.dtype)
        for slot, fields in enumerate(transactions):
            for name, value in {"gas": 21_000, "max_fee": 10**15, **fields}.items():
                rows[name][slot] = value
        block["number"] += 1
        block["time"] += 12 * GWEI
        block["base_fee"] = base_fee
        block["order"][: len(transactions)] = np.arange(len(transactions))
        block["count"] = len(transactions)
        execute(self.venues, self.logs, self.pools, self.blocks)
        return [(int(row["status"]), int(row["filled"])) for row in rows[: len(transactions)]]

    def send(self, account, kind=PLACE, slot=0, side=1, price=0, size=1, style=LIMIT, instrument=PERP, **fields):
        """Execute one transaction by itself; its receipt as (status, filled)."""
        row = {"sender": account, "kind": kind, "order": account * HANDLES + slot, "side": side, "size": size}
        row |= {"price": price or PRICE[instrument], "style": style, "instrument": instrument, **fields}
        return self.block(row)[0]

    def quote(self, account, bids=(), asks=(), size=1, instrument=PERP):
        ladder = np.zeros(2 * LADDER, np.int32)
        ladder[: len(bids)] = bids
        ladder[LADDER : LADDER + len(asks)] = asks
        fields = {"sender": account, "kind": QUOTE, "size": size, "ladder": ladder, "instrument": instrument}
        return self.block(fields)[0]

    def resting(self, account, instrument=PERP):
        """Resting orders of an account: {slot: (price, size)}."""
        orders = self.venue["books"][instrument]["orders"][account * HANDLES : (account + 1) * HANDLES]
        return {slot: (int(row["price"]), int(row["size"])) for slot, row in enumerate(orders) if row["size"]}

    def cash(self, account):
        return int(self.ledger["accounts"]["cash"][account])

    def position(self, account, instrument=PERP):
        return int(self.ledger["accounts"]["position"][account, instrument])

    def check(self):
        assert not any(totals(self.ledger).values()), totals(self.ledger)
        for number in range(2):
            check_book(self.venue["books"][number])


# Gas.


@pytest.mark.parametrize(
    ("kind", "slot", "status"),
    [(TRANSFER, 0, SUCCEEDED), (PLACE, 0, SUCCEEDED), (CANCEL, 3, FAILED), (REPLACE, 3, FAILED), (250, 0, FAILED)],
)
def test_gas_is_charged_to_the_wei_whether_or_not_it_succeeds(kind, slot, status):
    stage = Stage()
    alice = stage.accounts[0]
    before = ether_wei(stage.ledger, alice)
    base_fee, tip, gas = 12_345_678_901, 1_234_567, 54_321
    receipt = stage.block(
        {"sender": alice, "kind": kind, "order": alice * HANDLES + slot, "side": 1, "price": 1, "size": 1}
        | {"gas": gas, "tip": tip},
        base_fee=base_fee,
    )[0]
    assert receipt[0] == status
    assert ether_wei(stage.ledger, alice) == before - gas * (base_fee + tip)
    assert ether_wei(stage.ledger, BURNED) == gas * base_fee
    assert ether_wei(stage.ledger, stage.producer) == gas * tip
    assert stage.blocks[0]["gas_used"] == stage.pools[0]["transactions"]["gas_used"][0] == gas
    stage.check()


@pytest.mark.parametrize(("missing", "status"), [(0, SUCCEEDED), (1, UNFUNDED)])
def test_who_lacks_a_single_wei_is_left_out(missing, status):
    stage = Stage(ether=0.0)
    alice, gas, price = stage.accounts[0], 120_000, 3 * GWEI + 7
    wei = gas * price - missing
    transfer_ether(stage.ledger, GENESIS, alice, wei // GWEI, wei % GWEI)
    receipts = stage.block(
        {"sender": alice, "kind": TRANSFER, "gas": gas, "tip": 7},
        {"sender": BACKGROUND, "kind": TRANSFER, "gas": 21_000},
        base_fee=3 * GWEI,
    )
    assert [one for one, _ in receipts] == [status, SUCCEEDED]
    assert ether_wei(stage.ledger, alice) == (wei if missing else 0)
    assert stage.blocks[0]["gas_used"] == (0 if missing else gas) + 21_000


def test_an_unfunded_order_leaves_no_trace():
    stage = Stage(ether=0.0)
    alice = stage.accounts[0]
    assert stage.block({"sender": alice, "kind": PLACE, "order": alice * HANDLES, "side": 1, "price": 1, "size": 1},
                       base_fee=1) == [(UNFUNDED, 0)]  # fmt: skip
    assert stage.resting(alice) == {}
    assert stage.pools[0]["transactions"]["gas_used"][0] == stage.blocks[0]["gas_used"] == 0
    assert ether_wei(stage.ledger, alice) == 0


def test_the_tip_is_what_the_maximum_fee_leaves_of_it():
    stage = Stage()
    alice = stage.accounts[0]
    stage.block({"sender": alice, "kind": TRANSFER, "tip": 50, "max_fee": 130}, base_fee=100)
    assert ether_wei(stage.ledger, stage.producer) == 21_000 * 30
    assert ether_wei(stage.ledger, BURNED) == 21_000 * 100


def test_ether_runs_out_in_the_middle_of_a_block():
    stage = Stage(ether=0.0)
    alice = stage.accounts[0]
    transfer_ether(stage.ledger, GENESIS, alice, 0, 2 * 21_000 + 20_999)
    receipts = stage.block(*[{"sender": alice, "kind": TRANSFER}] * 4, base_fee=1)
    assert [status for status, _ in receipts] == [SUCCEEDED, SUCCEEDED, UNFUNDED, UNFUNDED]
    assert ether_wei(stage.ledger, alice) == 20_999


# Trades and fees.


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("instrument", [PERP, SPOT])
def test_a_trade_moves_cash_lots_and_fees_exactly(instrument, side):
    stage = Stage(maker_fee_ppm=-25, taker_fee_ppm=450)
    maker, taker, _ = stage.accounts
    cash = stage.cash(maker)
    price, size = PRICE[instrument] + 3, 7
    assert stage.send(maker, side=-side, price=price, size=size, instrument=instrument) == (SUCCEEDED, 0)
    receipt = stage.send(taker, side=side, price=price, size=5, style=IMMEDIATE_OR_CANCEL, instrument=instrument)
    assert receipt == (SUCCEEDED, 5)
    notional = price * 5 * TICK_LOT_VALUE[instrument]
    maker_fee = -(notional * 25 // 10**6)  # rounded for the venue
    taker_fee = -(-notional * 450 // 10**6)
    owned = 100 if instrument == SPOT else 0
    assert stage.position(taker, instrument) == owned + 5 * side
    assert stage.position(maker, instrument) == owned - 5 * side
    assert stage.cash(taker) == cash - side * notional - taker_fee
    assert stage.cash(maker) == cash + side * notional - maker_fee
    assert stage.cash(VENUE_FEES) == maker_fee + taker_fee
    assert stage.resting(maker, instrument) == {0: (price, 2)}
    stage.check()


@pytest.mark.parametrize(
    ("price", "receipt"),
    [
        (-1, (FAILED, PRICE_OUT_OF_RANGE)),
        (1, (SUCCEEDED, 0)),
        (LEVELS - 1, (SUCCEEDED, 0)),
        (LEVELS, (FAILED, PRICE_OUT_OF_RANGE)),
    ],
)
def test_prices_reach_from_the_first_tick_to_the_last(price, receipt):
    stage = Stage()
    assert stage.send(stage.accounts[0], price=price) == receipt
    stage.check()


@pytest.mark.parametrize(
    ("style", "price", "receipt", "rests"),
    # An ask of 2 lots rests at the price of 100.
    [
        (LIMIT, 99, (SUCCEEDED, 0), 3),
        (LIMIT, 100, (SUCCEEDED, 2), 1),
        (POST_ONLY, 99, (SUCCEEDED, 0), 3),
        (POST_ONLY, 100, (FAILED, WOULD_CROSS), 0),
        (IMMEDIATE_OR_CANCEL, 99, (FAILED, 0), 0),
        (IMMEDIATE_OR_CANCEL, 100, (SUCCEEDED, 2), 0),
        (MARKET, 1, (SUCCEEDED, 2), 0),
        (9, 100, (FAILED, -8), 0),
    ],
)
def test_an_order_succeeds_if_it_trades_or_rests(style, price, receipt, rests):
    stage = Stage()
    maker, taker, _ = stage.accounts
    stage.send(maker, side=-1, price=100, size=2)
    assert stage.send(taker, price=price, size=3, style=style) == receipt
    assert sum(size for _, size in stage.resting(taker).values()) == rests


def test_an_order_that_cannot_rest_does_not_succeed_by_another_that_rests_in_its_slot():
    stage = Stage()
    alice = stage.accounts[0]
    assert stage.send(alice, price=50, slot=15) == (SUCCEEDED, 0)
    assert stage.send(alice, price=60, slot=15, style=IMMEDIATE_OR_CANCEL) == (FAILED, 0)
    assert stage.send(alice, price=60, slot=15) == (FAILED, HANDLE_IN_USE)
    assert stage.send(alice, price=60, slot=14, size=0) == (FAILED, SIZE_NOT_POSITIVE)


@pytest.mark.parametrize("kind", [PLACE, CANCEL, REPLACE])
def test_nobody_reaches_anothers_orders(kind):
    stage = Stage()
    alice, bob, _ = stage.accounts
    stage.send(alice, slot=2, price=100, size=5)
    for order in (alice * HANDLES + 2, alice * HANDLES + 3, bob * HANDLES - 1, (bob + 1) * HANDLES, 2**32 - 1):
        assert stage.send(bob, kind=kind, order=order, price=90, size=1) == (FAILED, 0)
    assert (stage.resting(alice), stage.resting(bob)) == ({2: (100, 5)}, {})


def test_own_orders_are_cancelled_rather_than_traded_with():
    stage = Stage()
    alice, bob, _ = stage.accounts
    stage.send(alice, slot=0, side=-1, price=100, size=5)
    stage.send(bob, slot=0, side=-1, price=101, size=5)
    assert stage.send(alice, slot=1, side=1, price=101, size=3) == (SUCCEEDED, 3)
    assert (stage.resting(alice), stage.resting(bob)) == ({}, {0: (101, 2)})
    assert (stage.position(alice), stage.position(bob)) == (3, -3)
    stage.check()


def test_orders_are_cancelled_and_replaced_by_their_handle():
    stage = Stage()
    alice, bob, _ = stage.accounts
    stage.send(alice, slot=4, price=100, size=5)
    assert stage.send(alice, kind=REPLACE, slot=4, price=90, size=7) == (SUCCEEDED, 0)
    assert stage.resting(alice) == {4: (90, 7)}
    stage.send(bob, side=-1, price=95, size=2)
    assert stage.send(alice, kind=REPLACE, slot=4, price=95, size=3) == (SUCCEEDED, 2)
    assert stage.resting(alice) == {4: (95, 1)}
    assert stage.send(alice, kind=REPLACE, slot=4, price=-5, size=3) == (FAILED, PRICE_OUT_OF_RANGE)
    assert stage.send(alice, kind=REPLACE, slot=4, price=95, size=0) == (FAILED, SIZE_NOT_POSITIVE)
    assert stage.send(alice, kind=CANCEL, slot=4) == (SUCCEEDED, 0)
    assert stage.send(alice, kind=CANCEL, slot=4) == (FAILED, UNKNOWN_ORDER)
    assert stage.send(alice, kind=REPLACE, slot=4, price=95, size=1) == (FAILED, 0)
    stage.check()


def test_instruments_that_do_not_exist_fail():
    stage = Stage()
    alice = stage.accounts[0]
    for instrument in (2, 3, 255):
        for kind in (PLACE, CANCEL, REPLACE, QUOTE):
            fields = {"sender": alice, "kind": kind, "order": alice * HANDLES, "instrument": instrument}
            assert stage.block(fields | {"side": 1, "price": 1, "size": 1}) == [(FAILED, 0)]


def test_a_venue_lists_as_many_instruments_as_it_has_places_for():
    venues = new_venue()
    terms = ("spot", 1, 1.0, 1, 0, 0, 1)
    assert [list_instrument(venues, *terms) for _ in range(INSTRUMENTS)] == [*range(INSTRUMENTS)]
    with pytest.raises(ValueError, match=f"at most {INSTRUMENTS} instruments"):
        list_instrument(venues, *terms)


# Quotes.


def test_a_quote_replaces_the_whole_ladder():
    stage = Stage()
    alice = stage.accounts[0]
    assert stage.quote(alice, bids=range(100, 92, -1), asks=range(110, 118), size=3) == (SUCCEEDED, 0)
    assert len(stage.resting(alice)) == 16
    assert stage.quote(alice, bids=[90, 0, 88], asks=[0, 120], size=2) == (SUCCEEDED, 0)
    assert stage.resting(alice) == {0: (90, 2), 2: (88, 2), LADDER + 1: (120, 2)}
    assert stage.quote(alice) == (SUCCEEDED, 0)
    assert stage.resting(alice) == {}
    stage.check()


def test_a_quote_takes_the_place_of_single_orders_in_its_instrument_alone():
    stage = Stage()
    alice = stage.accounts[0]
    stage.send(alice, slot=15, price=50)
    stage.send(alice, slot=15, price=50, instrument=SPOT)
    stage.quote(alice, bids=[60])
    assert stage.resting(alice) == {0: (60, 1)}
    assert stage.resting(alice, SPOT) == {15: (50, 1)}


def test_a_quote_that_crosses_trades_and_rests_with_what_is_left():
    stage = Stage()
    alice, bob, _ = stage.accounts
    stage.send(bob, side=-1, price=100, size=3)
    assert stage.quote(alice, bids=[101, 100], asks=[103], size=2) == (SUCCEEDED, 3)
    assert (stage.position(alice), stage.position(bob)) == (3, -3)
    assert stage.resting(alice) == {1: (100, 1), LADDER: (103, 2)}
    assert stage.resting(bob) == {}
    stage.check()


def test_a_ladder_that_crosses_itself_keeps_the_side_that_came_last():
    stage = Stage()
    alice = stage.accounts[0]
    assert stage.quote(alice, bids=[105, 90], asks=[100]) == (SUCCEEDED, 0)
    assert stage.resting(alice) == {1: (90, 1), LADDER: (100, 1)}
    assert stage.position(alice) == 0


def test_a_quote_beyond_the_margin_leaves_no_quotes():
    stage = Stage(cash_usd=MARGIN * 8 / 10**6)
    alice = stage.accounts[0]
    assert stage.quote(alice, bids=[MID - 1, MID - 2], asks=[MID + 1, MID + 2], size=4) == (SUCCEEDED, 0)
    assert len(stage.resting(alice)) == 4
    assert stage.quote(alice, bids=[MID - 1, MID - 2], asks=[MID + 1], size=5) == (FAILED, 0)
    assert stage.resting(alice) == {}


# Margin, at the limit and one lot beyond.


def afford(lots, missing=0):
    """Dollars that margin `lots` of the perpetual, less `missing` micro-dollars."""
    return (lots * MARGIN - missing + 0.5) / 10**6


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("cash", "most"), [(afford(40), 40), (afford(40, missing=1), 39), (afford(41, missing=1), 40), (0.0, 0)]
)
def test_a_perpetual_needs_its_initial_margin_to_the_last_micro_dollar(cash, most, side):
    stage = Stage(cash_usd=cash)
    alice = stage.accounts[0]
    assert stage.send(alice, side=side, size=most + 1) == (FAILED, 0)
    if most:
        assert stage.send(alice, side=side, size=most) == (SUCCEEDED, 0)
        assert stage.send(alice, side=side, size=1, slot=1) == (FAILED, 0)


def test_bids_and_asks_share_the_margin_of_the_larger_side():
    stage = Stage(cash_usd=afford(40))
    alice = stage.accounts[0]
    assert stage.send(alice, slot=0, side=1, price=MID - 1, size=30) == (SUCCEEDED, 0)
    assert stage.send(alice, slot=1, side=-1, price=MID + 1, size=41) == (FAILED, 0)
    assert stage.send(alice, slot=1, side=-1, price=MID + 1, size=40) == (SUCCEEDED, 0)
    assert stage.send(alice, slot=2, side=1, price=MID - 1, size=11) == (FAILED, 0)
    assert stage.send(alice, slot=2, side=1, price=MID - 1, size=10) == (SUCCEEDED, 0)
    assert free_collateral(stage.venue, alice) == 0


def test_a_position_can_be_turned_into_its_mirror_image_and_no_further():
    stage = Stage(cash_usd=afford(40))
    alice, bob, _ = stage.accounts
    stage.send(bob, side=-1, size=40)
    assert stage.send(alice, side=1, size=40, style=IMMEDIATE_OR_CANCEL) == (SUCCEEDED, 40)
    assert free_collateral(stage.venue, alice) == 0  # traded at the mark: no profit, no loss
    assert stage.send(alice, side=-1, size=81) == (FAILED, 0)
    assert stage.send(alice, side=1, size=1) == (FAILED, 0)
    assert stage.send(alice, side=-1, size=80) == (SUCCEEDED, 0)


def test_losses_at_mark_take_margin_away_and_closing_is_always_allowed():
    stage = Stage(cash_usd=afford(40))
    alice, bob, _ = stage.accounts
    stage.send(bob, side=-1, size=20)
    stage.send(alice, side=1, size=20, style=IMMEDIATE_OR_CANCEL)
    stage.venue["instruments"][PERP]["mark"] = MARK[PERP] - 100_000
    # Equity 40 x 0.10 - 20 x 0.10 dollars, margin 20 x 0.095: 10 cents are left, for one lot at 9.5.
    assert free_collateral(stage.venue, alice) == 100_000
    assert stage.send(alice, side=1, size=2) == (FAILED, 0)
    assert stage.send(alice, side=1, size=1, slot=1, price=7) == (SUCCEEDED, 0)
    stage.venue["instruments"][PERP]["mark"] = MARK[PERP] // 2
    assert free_collateral(stage.venue, alice) < 0
    assert stage.send(alice, side=1, size=1, slot=2, price=8) == (FAILED, 0)
    assert stage.send(alice, side=-1, size=20, slot=3, price=9_999) == (SUCCEEDED, 0)


def test_replacing_needs_margin_for_what_is_added():
    stage = Stage(cash_usd=afford(40))
    alice = stage.accounts[0]
    for side, price in ((1, MID - 9), (-1, MID + 9)):
        stage.send(alice, side=side, price=price, size=40)
        assert stage.send(alice, kind=REPLACE, price=price, size=41) == (FAILED, 0)
        assert stage.send(alice, kind=REPLACE, price=price + 1, size=40) == (SUCCEEDED, 0)
        assert stage.send(alice, kind=REPLACE, price=price + 1, size=10) == (SUCCEEDED, 0)
        assert stage.send(alice, kind=REPLACE, price=price + 1, size=40) == (SUCCEEDED, 0)
        assert stage.send(alice, kind=CANCEL) == (SUCCEEDED, 0)


def test_orders_worse_than_the_mark_need_what_they_would_lose():
    worse = 10  # ticks, of 10 micro-dollars a lot each
    exactly = afford(4) + 4 * worse * TICK_LOT_VALUE[PERP] / 10**6
    for side in (1, -1):
        price = MID + side * worse
        for cash, status in ((exactly, SUCCEEDED), (exactly - 1e-6, FAILED)):
            stage = Stage(cash_usd=cash)
            assert stage.send(stage.accounts[0], side=side, price=price, size=4) == (status, 0)


def test_spot_bought_above_the_mark_cannot_overdraw_cash():
    stage = Stage(cash_usd=10.0)
    alice, bob = stage.accounts[:2]
    assert stage.send(bob, instrument=SPOT, side=-1, price=9_000, size=2)[0] == SUCCEEDED
    for style in (MARKET, IMMEDIATE_OR_CANCEL):
        assert stage.send(alice, instrument=SPOT, side=1, price=9_000, size=2, style=style) == (FAILED, 0)
        assert stage.cash(alice) == 10_000_000
    assert stage.send(alice, instrument=SPOT, side=1, price=9_000, size=1, style=MARKET) == (SUCCEEDED, 1)
    assert stage.cash(alice) == 1_000_000


def test_spot_sales_need_the_lots():
    stage = Stage(spot=10)
    alice, bob, _ = stage.accounts
    assert stage.send(alice, side=-1, size=11, instrument=SPOT) == (FAILED, 0)
    assert stage.send(alice, side=-1, size=6, instrument=SPOT) == (SUCCEEDED, 0)
    assert stage.send(alice, side=-1, size=5, slot=1, instrument=SPOT) == (FAILED, 0)
    assert stage.send(alice, side=-1, size=4, slot=1, instrument=SPOT) == (SUCCEEDED, 0)
    assert stage.send(bob, side=1, size=10, style=MARKET, instrument=SPOT) == (SUCCEEDED, 10)
    assert (stage.position(alice, SPOT), stage.position(bob, SPOT)) == (0, 20)
    assert stage.send(alice, side=-1, size=1, instrument=SPOT) == (FAILED, 0)


@pytest.mark.parametrize(("missing", "most"), [(0, 8), (1, 7)])
def test_spot_purchases_need_the_cash(missing, most):
    stage = Stage(cash_usd=(8 * MARK[SPOT] - missing + 0.5) / 10**6)
    alice = stage.accounts[0]
    assert stage.send(alice, size=most + 1, instrument=SPOT) == (FAILED, 0)
    assert stage.send(alice, size=most - 2, instrument=SPOT) == (SUCCEEDED, 0)
    assert stage.send(alice, size=3, slot=1, instrument=SPOT) == (FAILED, 0)
    assert stage.send(alice, size=2, slot=1, instrument=SPOT) == (SUCCEEDED, 0)


@pytest.mark.parametrize("instrument", [PERP, SPOT])
@pytest.mark.parametrize("size", [10**6, 10**8, 2 * 10**8, 2**31 - 1])
def test_enormous_orders_do_not_wrap_round_the_margin(instrument, size):
    stage = Stage()
    alice = stage.accounts[0]
    for side in (1, -1):
        assert stage.send(alice, side=side, size=size, instrument=instrument) == (FAILED, 0)
    assert stage.quote(alice, bids=[100] * LADDER, size=size, instrument=instrument) == (FAILED, 0)
    stage.send(alice, price=100, size=1, instrument=instrument)
    assert stage.send(alice, kind=REPLACE, price=100, size=size, instrument=instrument) == (FAILED, 0)
    stage.check()


# Everything at random.


def random_transaction(generator, accounts):
    def pick(*values):
        return values[int(generator.integers(len(values)))]

    sender = pick(*accounts)
    owner = sender if generator.random() < 0.95 else pick(*accounts)
    instrument = pick(PERP, SPOT) if generator.random() < 0.98 else 2
    centre = PRICE.get(instrument, 100)
    price = centre + int(generator.integers(-12, 13)) if generator.random() < 0.98 else pick(-1, 1, LEVELS - 1, LEVELS)
    ladder = np.zeros(2 * LADDER, np.int32)
    levels = int(generator.integers(0, LADDER + 1))
    if levels:
        shift = int(generator.integers(-6, 7))
        ladder[:levels] = centre + shift - generator.integers(0, 12, levels)
        ladder[LADDER : LADDER + levels] = centre + shift + generator.integers(0, 12, levels)
    return {
        "sender": sender,
        "kind": pick(TRANSFER, PLACE, PLACE, PLACE, PLACE, CANCEL, REPLACE, REPLACE, QUOTE, 9),
        "order": owner * HANDLES + int(generator.integers(HANDLES)),
        "side": pick(1, -1) if generator.random() < 0.98 else 0,
        "price": price,
        "size": int(generator.integers(1, 30)) if generator.random() < 0.97 else pick(0, -1, 5_000, 2**31 - 1),
        "style": pick(LIMIT, LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET),
        "instrument": instrument,
        "ladder": ladder,
        "gas": int(generator.integers(21_000, 400_000)),
        "tip": int(generator.integers(0, 5 * GWEI)),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_money_and_lots_are_all_there_after_every_random_block(seed):
    generator = np.random.default_rng(seed)
    stage = Stage(accounts=6, cash_usd=500.0, ether=0.05, spot=50, maker_fee_ppm=-30, taker_fee_ppm=450)
    accounts = stage.accounts
    cash = dict.fromkeys(accounts, 500_000_000)
    lots = {account: [0, 50] for account in accounts}
    wei = dict.fromkeys(accounts, 50_000_000 * GWEI)
    paid = {BURNED: 0, stage.producer: 0}
    statuses = set()
    for number in range(60):
        for instrument in (PERP, SPOT):
            mark = PRICE[instrument] * TICK_LOT_VALUE[instrument] * (1 + 0.002 * generator.standard_normal())
            stage.venue["instruments"][instrument]["mark"] = round(mark)
        if number % 4 == 3:
            for account in accounts:
                endow(stage.ledger, account, ether=0.02)
                wei[account] += 20_000_000 * GWEI
        transactions = [random_transaction(generator, accounts) for _ in range(60)]
        before = int(stage.logs[0]["count"])
        base_fee = int(generator.integers(0, 2 * GWEI))
        receipts = stage.block(*transactions, base_fee=base_fee)
        stage.check()

        # Every account follows from the trades and receipts alone.
        filled = 0
        for trade in trades_since(stage.logs[0], before):
            maker, taker, instrument = int(trade["maker"]), int(trade["taker"]), int(trade["instrument"])
            assert maker != taker
            side, size = int(trade["side"]), int(trade["size"])
            notional = int(trade["price"]) * size * TICK_LOT_VALUE[instrument]
            cash[taker] -= side * notional + int(trade["taker_fee"])
            cash[maker] += side * notional - int(trade["maker_fee"])
            lots[taker][instrument] += side * size
            lots[maker][instrument] -= side * size
            filled += size
        traded = (PLACE, REPLACE, QUOTE)
        assert filled == sum(
            max(f, 0) for (_, f), row in zip(receipts, transactions, strict=True) if row["kind"] in traded
        )
        for (status, _), row in zip(receipts, transactions, strict=True):
            statuses.add((row["kind"], status))
            if status != UNFUNDED:
                wei[row["sender"]] -= row["gas"] * (base_fee + row["tip"])
                paid[BURNED] += row["gas"] * base_fee
                paid[stage.producer] += row["gas"] * row["tip"]
        for account in accounts:
            assert stage.cash(account) == cash[account]
            assert [stage.position(account, instrument) for instrument in (PERP, SPOT)] == lots[account]
            assert ether_wei(stage.ledger, account) == wei[account] >= 0
            assert lots[account][SPOT] >= 0  # nobody sells spot short
        assert {account: ether_wei(stage.ledger, account) for account in paid} == paid
    assert stage.logs[0]["count"] > 500
    for kind in (PLACE, CANCEL, REPLACE, QUOTE):
        assert {(kind, SUCCEEDED), (kind, FAILED), (kind, UNFUNDED)} <= statuses
