import numpy as np
import pytest

from blockspace.markets.batch import BATCH, BATCH_IS_FULL, WAITING, enter, uncross, withdraw
from blockspace.markets.matching import (
    BOOK,
    BUY,
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    NOT_OWNER,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    SELL,
    SIZE_NOT_POSITIVE,
    UNKNOWN_KIND,
    UNKNOWN_ORDER,
    WOULD_CROSS,
    open_book,
)
from blockspace.markets.order_book import check_book
from blockspace.markets.trade_log import TRADE_LOG, trades_since
from blockspace.network.compilation import kernel

from .slow_batch import Waiting, clearing_price, serve


@kernel
def _enter(books, batches, order, owner, side, price, size, kind, tie):
    return enter(books[0], batches[0], np.uint64(order), owner, side, price, size, kind, np.uint32(tie), 0)


@kernel
def _withdraw(batches, order, owner):
    return withdraw(batches[0], np.uint64(order), owner)


@kernel
def _uncross(books, logs, batches, reference):
    return uncross(books[0], logs[0], batches[0], reference)


class Auction:
    """A book with its batch. Handles and draws are given in the order of entering unless they are named."""

    def __init__(self, maker_fee_ppm=0, taker_fee_ppm=0):
        self.books, self.logs, self.batches = np.zeros(1, BOOK), np.zeros(1, TRADE_LOG), np.zeros(1, BATCH)
        open_book(self.books[0], maker_fee_ppm=maker_fee_ppm, taker_fee_ppm=taker_fee_ppm)
        self.entered = 0

    def enter(self, side, price, size, owner=1, kind=LIMIT, order=None, tie=None):
        self.entered += 1
        order = self.entered if order is None else order
        tie = self.entered if tie is None else tie
        return _enter(self.books, self.batches, order, owner, side, price, size, kind, tie)

    def withdraw(self, order, owner=1):
        return _withdraw(self.batches, order, owner)

    def clear(self, reference=100):
        """Price, lots, and the trades as (buyer, seller, lots)."""
        before = int(self.logs[0]["count"])
        price, volume = _uncross(self.books, self.logs, self.batches, reference)
        self.check()
        trades = trades_since(self.logs[0], before)
        assert set(trades["price"].tolist()) <= {price}
        assert trades["size"].sum() == volume
        bought = trades["side"] > 0
        buyers = np.where(bought, trades["taker"], trades["maker"])
        sellers = np.where(bought, trades["maker"], trades["taker"])
        return price, volume, list(zip(buyers.tolist(), sellers.tolist(), trades["size"].tolist(), strict=True))

    def check(self):
        """The book is sound, and nothing waits."""
        check_book(self.books[0])
        batch = self.batches[0]
        assert batch["count"] == 0
        for column in ("place", "bids", "asks", "loss"):
            assert not batch[column].any(), column

    @property
    def best(self):
        return int(self.books[0]["best_bid"]), int(self.books[0]["best_ask"])


# The price.

KNOWN = {
    # Buys and sells as (price, lots); reference; price, lots.
    "one price fits": ([(105, 2)], [(105, 3)], 100, 105, 2),
    "nobody meets": ([(99, 2)], [(100, 2)], 100, 0, 0),
    "nobody sells": ([(99, 2)], [], 100, 0, 0),
    "as many buy as sell: the reference": ([(110, 2)], [(90, 2)], 97, 97, 2),
    "as many buy as sell: the nearest to the reference": ([(110, 2)], [(90, 2)], 200, 110, 2),
    "buyers are left over: the highest": ([(110, 2), (110, 2)], [(90, 2)], 90, 110, 2),
    "sellers are left over: the lowest": ([(110, 2)], [(90, 2), (90, 5)], 110, 90, 2),
    "most lots trade": ([(103, 5), (101, 5)], [(101, 8), (103, 1)], 103, 101, 8),
    "what is left over bounds the price": ([(110, 2), (100, 1)], [(90, 2), (105, 1)], 200, 104, 2),
    "least is left over, between neighbours": ([(101, 3), (100, 5)], [(100, 3), (101, 2)], 100, 101, 3),
    "least is left over, the other way": ([(101, 3), (100, 2)], [(100, 3), (101, 5)], 101, 100, 3),
    "as much is left over on both sides": ([(101, 3), (100, 2)], [(100, 3), (101, 2)], 300, 101, 3),
}


@pytest.mark.parametrize("case", KNOWN)
@pytest.mark.parametrize("resting", ["none", "buys", "sells"])
def test_known_prices(case, resting):
    buys, sells, reference, price, lots = KNOWN[case]
    auction = Auction()
    for side, orders in ((BUY, buys), (SELL, sells)):
        for number, (limit, size) in enumerate(orders):
            auction.enter(side, limit, size, owner=10 + number)
        if resting == ("buys" if side == BUY else "sells"):
            assert auction.clear()[:2] == (0, 0), "one side alone trades nothing"
        elif side == BUY and resting == "sells":
            # The sells are to rest: they come first.
            auction = Auction()
            for number, (limit, size) in enumerate(sells):
                auction.enter(SELL, limit, size, owner=20 + number)
            auction.clear()
            for number, (limit, size) in enumerate(buys):
                auction.enter(BUY, limit, size, owner=10 + number)
            break
    assert auction.clear(reference)[:2] == (price, lots)


# Who is served.


def test_better_prices_come_first_then_earlier_batches_then_the_draw():
    auction = Auction()
    auction.enter(BUY, 100, 1, owner=1)
    auction.clear()
    auction.enter(BUY, 100, 1, owner=2, tie=7)
    auction.enter(BUY, 100, 1, owner=3, tie=5)
    auction.enter(BUY, 101, 1, owner=4, tie=9)
    auction.enter(SELL, 100, 3, owner=5, kind=IMMEDIATE_OR_CANCEL)
    price, lots, trades = auction.clear()
    assert (price, lots) == (100, 3)
    assert trades == [(4, 5, 1), (1, 5, 1), (3, 5, 1)]
    assert auction.best[0] == 100, "the order that the draw left last still rests"


def test_what_is_left_of_a_limit_order_rests_and_the_rest_lapses():
    auction = Auction()
    auction.enter(BUY, 100, 5, owner=1)
    auction.enter(SELL, 100, 2, owner=2)
    auction.enter(SELL, 104, 4, owner=3, kind=IMMEDIATE_OR_CANCEL)
    auction.enter(SELL, 103, 1, owner=4, kind=POST_ONLY)
    assert auction.clear()[:2] == (100, 2)
    assert auction.best == (100, 103)
    assert auction.books[0]["levels"][100]["volume"] == 3
    assert auction.books[0]["resting"] == 2


def test_a_cancellation_is_effective_before_the_batch_clears():
    auction = Auction()
    auction.enter(SELL, 100, 5, owner=1, order=8)
    auction.enter(BUY, 100, 5, owner=2, kind=IMMEDIATE_OR_CANCEL)
    assert auction.withdraw(8, owner=2) == NOT_OWNER
    assert auction.withdraw(8, owner=1) == 5
    assert auction.withdraw(8, owner=1) == UNKNOWN_ORDER
    assert auction.enter(SELL, 103, 1, owner=1, order=8) == 0, "the handle is free again"
    assert auction.clear()[:2] == (0, 0)
    assert auction.books[0]["best_ask"] == 103


def test_fees_are_those_of_who_rests_and_who_takes():
    auction = Auction(maker_fee_ppm=-1_000, taker_fee_ppm=10_000)
    auction.enter(SELL, 1_000, 1, owner=1)
    auction.enter(BUY, 1_000, 1, owner=2, kind=IMMEDIATE_OR_CANCEL)
    auction.clear(reference=1_000)
    trade = trades_since(auction.logs[0], 0)[0]
    assert (trade["maker"], trade["taker"], trade["side"]) == (1, 2, 1)
    assert (trade["maker_fee"], trade["taker_fee"]) == (-1, 10)


@pytest.mark.parametrize(
    ("order", "refusal"),
    [
        ({"price": 0}, PRICE_OUT_OF_RANGE),
        ({"size": 0}, SIZE_NOT_POSITIVE),
        ({"kind": MARKET}, UNKNOWN_KIND),
        ({"order": 2**18}, UNKNOWN_ORDER),
        ({"order": 1}, HANDLE_IN_USE),
        ({"order": 2}, HANDLE_IN_USE),
        ({"side": SELL, "price": 90, "kind": POST_ONLY}, WOULD_CROSS),
    ],
)
def test_what_cannot_wait_is_refused(order, refusal):
    auction = Auction()
    auction.enter(BUY, 95, 1, order=1)
    auction.clear()
    auction.enter(BUY, 95, 1, order=2)
    assert auction.enter(**{"side": BUY, "price": 100, "size": 1, "order": 3, **order}) == refusal
    auction.clear()


def test_a_full_batch_refuses():
    auction = Auction()
    outcomes = [auction.enter(BUY, 100, 1, kind=IMMEDIATE_OR_CANCEL) for _ in range(WAITING + 1)]
    assert outcomes == [0] * WAITING + [BATCH_IS_FULL]
    auction.clear()


@pytest.mark.parametrize("seed", range(40))
def test_random_batches_are_those_of_the_twin(seed):
    generator = np.random.default_rng(seed)
    auction, resting = Auction(), []
    spread = int(generator.integers(2, 12))
    for batch in range(25):
        orders = list(resting)
        for _ in range(int(generator.integers(0, 30))):
            side = int(generator.choice([BUY, SELL]))
            price = int(generator.integers(100 - spread, 101 + spread))
            size, tie = int(generator.integers(1, 6)), int(generator.integers(4))
            lapses = bool(generator.random() < 0.5)
            kind = IMMEDIATE_OR_CANCEL if lapses else LIMIT
            owner = auction.entered + 1
            assert auction.enter(side, price, size, owner=owner, kind=kind, tie=tie) == 0
            if not lapses and generator.random() < 0.1:
                assert auction.withdraw(auction.entered, owner=owner) == size
                continue
            orders.append(Waiting(owner, side, price, size, lapses, False, (tie, auction.entered)))
        reference = int(generator.integers(80, 120))
        expected, lots = clearing_price(orders, reference, range(60, 141))
        serve(orders, expected, lots)
        price, volume, trades = auction.clear(reference)
        assert (price, volume) == (expected, lots), f"batch {batch}"
        filled = dict.fromkeys([one.owner for one in orders], 0)
        for buyer, seller, size in trades:
            filled[buyer] += size
            filled[seller] += size
        assert filled == {one.owner: one.filled for one in orders}
        for one in orders:
            one.size -= one.filled
            one.filled = 0
        # What rests is in the order in which it came, not that of the draw.
        resting = [one for one in orders if one.size > 0 and not one.lapses]
        for number, one in enumerate(resting):
            one.earlier, one.rank = True, (number,)
        assert auction.books[0]["resting"] == len(resting)
