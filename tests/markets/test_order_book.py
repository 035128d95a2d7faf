import copy
import doctest
from bisect import bisect_left, bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets import order_book
from blockspace.markets.matching import (
    BUY,
    CANCEL,
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    MAXIMUM_LEVELS,
    MESSAGE,
    NOT_OWNER,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    REPLACE,
    SELL,
    SIZE_NOT_POSITIVE,
    SIZE_TOO_LARGE,
    UNKNOWN_KIND,
    UNKNOWN_ORDER,
    UNKNOWN_SIDE,
    WOULD_CROSS,
    apply_messages,
    book_dtype,
    cost_to_fill,
    depth_within,
    fee_on,
    next_ask_above,
    next_bid_below,
    open_book,
)
from blockspace.markets.order_book import OrderBook, OrderRefused
from blockspace.markets.trade_log import TRADE_LOG, TRADES, append_trade, trades_since

from .slow_order_book import SlowOrderBook

ORDERS = 24
LEVELS = 20
FEES = {"maker_fee_ppm": -25, "taker_fee_ppm": 333, "tick_lot_value": 1_999}


def small_book(**settings):
    return OrderBook(ORDERS, LEVELS, **settings)


def as_messages(rows):
    return np.array([tuple(row) for row in rows], MESSAGE)


def resting_orders(book):
    """All orders of a book as (price, handle, owner, size), in the order of price, then time."""
    rows = []
    for price in np.flatnonzero(book.record["levels"]["volume"]):
        level = book.record["levels"][price]
        handle = int(level["head"])
        while True:
            order = book.record["orders"][handle]
            rows.append((int(price), handle, int(order["owner"]), int(order["size"])))
            if handle == level["tail"]:
                break
            handle = int(order["next"])
    return rows


def random_messages(count, seed):
    """Messages of all kinds, good and bad, so narrow that everything collides."""
    generator = np.random.default_rng(seed)
    messages = np.zeros(count, MESSAGE)
    kinds = (LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET, CANCEL, REPLACE, REPLACE + 1)
    messages["kind"] = generator.choice(kinds, count, p=(0.4, 0.1, 0.1, 0.1, 0.15, 0.14, 0.01))
    messages["side"] = generator.choice((BUY, SELL, 0), count, p=(0.497, 0.497, 0.006))
    messages["order"] = generator.integers(0, ORDERS + 1, count)
    messages["owner"] = generator.integers(0, 4, count)
    messages["price"] = generator.integers(0, LEVELS + 1, count)
    messages["size"] = generator.integers(0, 12, count)
    return messages


def assert_twins_agree(count, batch, seed):
    book, twin = small_book(**FEES), SlowOrderBook(ORDERS, LEVELS, **FEES)
    for number in range(count // batch):
        messages = random_messages(batch, (seed, number))
        assert book.apply(messages).tolist() == twin.apply(messages.tolist())
        assert book.trades().tolist() == twin.trades
        assert resting_orders(book) == twin.resting_orders()
        book.check()
        twin.trades.clear()


def test_twins_agree_on_100_000_messages():
    assert_twins_agree(100_000, 1_000, seed=1)


@pytest.mark.slow
def test_twins_agree_on_ten_million_messages():
    assert_twins_agree(10_000_000, 100_000, seed=2)


MESSAGES = st.tuples(
    st.sampled_from((LIMIT, LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET, CANCEL, REPLACE, REPLACE + 1)),
    st.sampled_from((BUY, SELL, BUY, SELL, 0)),
    st.integers(0, ORDERS),
    st.integers(0, 2),
    st.integers(0, LEVELS),
    st.integers(-1, 9),
)


@settings(deadline=None)
@given(
    messages=st.lists(MESSAGES, max_size=60),
    maker_fee_ppm=st.integers(-1_000_000, 1_000_000),
    taker_fee_ppm=st.integers(-1_000_000, 1_000_000),
    tick_lot_value=st.integers(1, 10**9),
)
def test_twins_agree_after_each_message(messages, maker_fee_ppm, taker_fee_ppm, tick_lot_value):
    book = small_book(maker_fee_ppm=maker_fee_ppm, taker_fee_ppm=taker_fee_ppm, tick_lot_value=tick_lot_value)
    twin = SlowOrderBook(ORDERS, LEVELS, maker_fee_ppm, taker_fee_ppm, tick_lot_value)
    for message in messages:
        assert book.apply(as_messages([message])).tolist() == twin.apply([message])
        book.check()
        assert resting_orders(book) == twin.resting_orders()
        assert (book.best_bid or 0, book.best_ask or LEVELS) == (twin.best(+1), twin.best(-1))
    assert book.trades().tolist() == twin.trades
    for side in (BUY, SELL):
        for price in range(-1, LEVELS + 2):
            assert depth_within(book.record, side, price) == twin.depth_within(side, price)
        for size in (0, 1, 10, 10_000):
            assert cost_to_fill(book.record, side, size) == twin.cost_to_fill(side, size)


# What is sent, as (kind, side, order, owner, price, size); the outcomes; the trades, as (price, size, maker's
# order); what rests in the end, as (price, order, owner, size).
KNOWN_ANSWERS = {
    "the better price trades first, then the older order": (
        [
            (LIMIT, SELL, 0, 1, 11, 5),
            (LIMIT, SELL, 1, 2, 10, 5),
            (LIMIT, SELL, 2, 3, 10, 5),
            (LIMIT, BUY, 3, 4, 11, 12),
        ],
        [0, 0, 0, 12],
        [(10, 5, 1), (10, 5, 2), (11, 2, 0)],
        [(11, 0, 1, 3)],
    ),
    "a limit order trades at the resting price and rests with what is left": (
        [(LIMIT, BUY, 0, 1, 10, 5), (LIMIT, SELL, 1, 2, 8, 7)],
        [0, 5],
        [(10, 5, 0)],
        [(8, 1, 2, 2)],
    ),
    "a market order sweeps the book and never rests": (
        [(LIMIT, BUY, 0, 1, 1, 5), (LIMIT, BUY, 1, 1, 19, 5), (MARKET, SELL, 0, 2, 0, 20)],
        [0, 0, 10],
        [(19, 5, 1), (1, 5, 0)],
        [],
    ),
    "an immediate order trades within its limit and never rests": (
        [
            (LIMIT, SELL, 0, 1, 10, 5),
            (LIMIT, SELL, 1, 1, 11, 5),
            (IMMEDIATE_OR_CANCEL, BUY, 0, 2, 10, 9),
            (IMMEDIATE_OR_CANCEL, BUY, 0, 2, 10, 9),
        ],
        [0, 0, 5, 0],
        [(10, 5, 0)],
        [(11, 1, 1, 5)],
    ),
    "an order that would trade with its owner cancels the resting one and goes on": (
        [
            (LIMIT, SELL, 0, 1, 10, 5),
            (LIMIT, SELL, 1, 2, 10, 5),
            (LIMIT, SELL, 2, 1, 11, 5),
            (LIMIT, BUY, 3, 1, 11, 8),
        ],
        [0, 0, 0, 5],
        [(10, 5, 1)],
        [(11, 3, 1, 3)],
    ),
    "an order that is filled leaves its owner's orders behind it alone": (
        [(LIMIT, SELL, 0, 2, 10, 5), (LIMIT, SELL, 1, 1, 10, 5), (MARKET, BUY, 0, 1, 0, 5)],
        [0, 0, 5],
        [(10, 5, 0)],
        [(10, 1, 1, 5)],
    ),
    "post-only is refused at the touch and rests one tick away": (
        [
            (LIMIT, SELL, 0, 1, 11, 5),
            (POST_ONLY, BUY, 1, 2, 11, 5),
            (POST_ONLY, BUY, 1, 2, 10, 5),
            (POST_ONLY, SELL, 2, 2, 10, 5),
            (POST_ONLY, SELL, 2, 2, 11, 5),
        ],
        [0, WOULD_CROSS, 0, WOULD_CROSS, 0],
        [],
        [(10, 1, 2, 5), (11, 0, 1, 5), (11, 2, 2, 5)],
    ),
    "post-only is refused even when it would meet its owner alone": (
        [(LIMIT, SELL, 0, 1, 11, 5), (POST_ONLY, BUY, 1, 1, 11, 5)],
        [0, WOULD_CROSS],
        [],
        [(11, 0, 1, 5)],
    ),
    "prices run from 1 to levels - 1": (
        [
            (LIMIT, BUY, 0, 1, 0, 5),
            (LIMIT, BUY, 1, 1, 1, 5),
            (LIMIT, SELL, 2, 1, LEVELS - 1, 5),
            (LIMIT, SELL, 3, 1, LEVELS, 5),
            (IMMEDIATE_OR_CANCEL, SELL, 3, 1, LEVELS, 5),
            (REPLACE, 0, 1, 1, 0, 5),
            (REPLACE, 0, 2, 1, LEVELS, 5),
        ],
        [PRICE_OUT_OF_RANGE, 0, 0, *[PRICE_OUT_OF_RANGE] * 4],
        [],
        [(1, 1, 1, 5), (LEVELS - 1, 2, 1, 5)],
    ),
    "sizes start at 1": (
        [
            (LIMIT, BUY, 0, 1, 5, 0),
            (LIMIT, BUY, 0, 1, 5, 1),
            (MARKET, BUY, 0, 1, 5, -1),
            (REPLACE, 0, 0, 1, 5, 0),
        ],
        [SIZE_NOT_POSITIVE, 0, SIZE_NOT_POSITIVE, SIZE_NOT_POSITIVE],
        [],
        [(5, 0, 1, 1)],
    ),
    "handles run from 0 to orders - 1 and name one order at a time": (
        [
            (LIMIT, BUY, ORDERS, 1, 5, 1),
            (LIMIT, BUY, ORDERS - 1, 1, 5, 1),
            (LIMIT, BUY, ORDERS - 1, 1, 6, 1),
            (CANCEL, 0, ORDERS, 1, 0, 0),
            (REPLACE, 0, ORDERS, 1, 5, 1),
            (CANCEL, 0, 0, 1, 0, 0),
        ],
        [UNKNOWN_ORDER, 0, HANDLE_IN_USE, UNKNOWN_ORDER, UNKNOWN_ORDER, UNKNOWN_ORDER],
        [],
        [(5, ORDERS - 1, 1, 1)],
    ),
    "orders that never rest need no handle": (
        [
            (LIMIT, BUY, 0, 1, 5, 2),
            (MARKET, SELL, 0, 2, 0, 1),
            (IMMEDIATE_OR_CANCEL, SELL, ORDERS, 2, 5, 1),
        ],
        [0, 1, 1],
        [(5, 1, 0), (5, 1, 0)],
        [],
    ),
    "only its owner may cancel or replace an order": (
        [
            (LIMIT, BUY, 0, 1, 5, 7),
            (CANCEL, 0, 0, 2, 0, 0),
            (REPLACE, 0, 0, 2, 5, 1),
            (CANCEL, 0, 0, 1, 0, 0),
            (CANCEL, 0, 0, 1, 0, 0),
        ],
        [0, NOT_OWNER, NOT_OWNER, 7, UNKNOWN_ORDER],
        [],
        [],
    ),
    "the first, the middle and the last of a queue can be cancelled": (
        [
            *[(LIMIT, BUY, handle, 1, 5, handle + 1) for handle in range(5)],
            *[(CANCEL, 0, handle, 1, 0, 0) for handle in (0, 2, 4)],
            (LIMIT, BUY, 2, 1, 5, 9),
        ],
        [0, 0, 0, 0, 0, 1, 3, 5, 0],
        [],
        [(5, 1, 1, 2), (5, 3, 1, 4), (5, 2, 1, 9)],
    ),
    "replace with no greater size at the same price keeps priority": (
        [
            (LIMIT, BUY, 0, 1, 5, 7),
            (LIMIT, BUY, 1, 2, 5, 7),
            (REPLACE, 0, 0, 1, 5, 7),
            (REPLACE, 0, 0, 1, 5, 6),
        ],
        [0, 0, 0, 0],
        [],
        [(5, 0, 1, 6), (5, 1, 2, 7)],
    ),
    "replace with a greater size loses priority": (
        [(LIMIT, BUY, 0, 1, 5, 7), (LIMIT, BUY, 1, 2, 5, 7), (REPLACE, 0, 0, 1, 5, 8)],
        [0, 0, 0],
        [],
        [(5, 1, 2, 7), (5, 0, 1, 8)],
    ),
    "replace there and back loses priority": (
        [
            (LIMIT, SELL, 0, 1, 5, 7),
            (LIMIT, SELL, 1, 2, 5, 7),
            (REPLACE, 0, 0, 1, 6, 7),
            (REPLACE, 0, 0, 1, 5, 7),
        ],
        [0, 0, 0, 0],
        [],
        [(5, 1, 2, 7), (5, 0, 1, 7)],
    ),
    "replace may trade and then rests with what is left, on its own side": (
        [(LIMIT, SELL, 0, 1, 9, 4), (LIMIT, BUY, 1, 2, 8, 5), (REPLACE, 0, 1, 2, 9, 6)],
        [0, 0, 4],
        [(9, 4, 0)],
        [(9, 1, 2, 2)],
    ),
    "an unknown kind or side is refused": (
        [(REPLACE + 1, BUY, 0, 1, 5, 1), (LIMIT, 0, 0, 1, 5, 1), (MARKET, 2, 0, 1, 5, 1)],
        [UNKNOWN_KIND, UNKNOWN_SIDE, UNKNOWN_SIDE],
        [],
        [],
    ),
}


@pytest.mark.parametrize(("sent", "outcomes", "trades", "rests"), KNOWN_ANSWERS.values(), ids=KNOWN_ANSWERS)
def test_known_answers(sent, outcomes, trades, rests):
    book = small_book()
    assert book.apply(as_messages(sent)).tolist() == outcomes
    assert book.trades()[["price", "size", "maker_order"]].tolist() == trades
    assert resting_orders(book) == rests
    book.check()


@pytest.mark.parametrize(
    ("notional", "fee_ppm", "fee"),
    [
        (0, 5, 0),
        (1, 1, 1),
        (1_000_000, 1, 1),
        (1_000_001, 1, 2),
        (1, 0, 0),
        (1, -1, 0),
        (999_999, -1, 0),
        (1_000_000, -1, -1),
        (1_999_999, -1, -1),
        (2**63 - 1, 1_000_000, 2**63 - 1),
        (2**63 - 1, -1_000_000, 1 - 2**63),
    ],
)
def test_fees_round_in_favour_of_the_venue(notional, fee_ppm, fee):
    assert fee_on(notional, fee_ppm) == fee


@given(notional=st.integers(0, 2**63 - 1), fee_ppm=st.integers(-1_000_000, 1_000_000))
def test_fees_are_exact(notional, fee_ppm):
    assert fee_on(notional, fee_ppm) == -(-notional * fee_ppm // 1_000_000)


def test_a_trade_says_everything():
    book = small_book(maker_fee_ppm=-100, taker_fee_ppm=200, tick_lot_value=1_500)
    log = book._logs[0]
    log["time"], log["block"], log["external_price"] = 7, 8, 9.5
    book.record["instrument"] = 3
    book.limit("buy", 11, 4, owner=5)
    book.market("sell", 3, owner=6)
    # The notional value is 11 * 3 * 1,500 = 49,500 micro-dollars.
    assert book.trades().tolist() == [(7, 8, 9.5, -4, 10, 11, 3, 5, 6, 0, 3, SELL, 0, 0, 0)]


def test_the_largest_size_never_overflows():
    book = small_book(maker_fee_ppm=1_000_000, taker_fee_ppm=-1_000_000, tick_lot_value=10**9)
    largest = int(book.record["largest_size"])
    assert largest == (2**63 - 1) // (LEVELS * 10**9)
    sell = [(LIMIT, SELL, 0, 1, LEVELS - 1, largest + 1), (LIMIT, SELL, 0, 1, LEVELS - 1, largest)]
    buy = [(REPLACE, 0, 0, 1, LEVELS - 1, largest + 1), (MARKET, BUY, 0, 2, 0, largest)]
    assert book.apply(as_messages(sell + buy)).tolist() == [SIZE_TOO_LARGE, 0, SIZE_TOO_LARGE, largest]
    notional = (LEVELS - 1) * largest * 10**9
    assert book.trades()[["maker_fee", "taker_fee"]].tolist() == [(notional, -notional)]


def test_neighbours_in_a_sparse_book_of_the_largest_size():
    edges = [1, 63, 64, 65, 4095, 4096, 2**18 - 1, 2**18, 2**24 - 1]
    random = np.random.default_rng(3).integers(1, MAXIMUM_LEVELS, 60).tolist()
    prices = sorted({*edges, *random})
    queries = [-1, 0, MAXIMUM_LEVELS, MAXIMUM_LEVELS + 1]
    queries += [price + step for price in prices for step in (-1, 0, 1)]
    for kind, side in (("bids", BUY), ("asks", SELL)):
        book = OrderBook(128, MAXIMUM_LEVELS)
        book.apply(as_messages((LIMIT, side, order, 0, price, 1) for order, price in enumerate(prices)))
        for query in queries:
            below, above = prices[: bisect_left(prices, query)], prices[bisect_right(prices, query) :]
            highest_below = below[-1] if below and kind == "bids" else 0
            lowest_above = above[0] if above and kind == "asks" else MAXIMUM_LEVELS
            assert next_bid_below(book.record, query) == highest_below
            assert next_ask_above(book.record, query) == lowest_above
        order = prices if kind == "asks" else prices[::-1]
        book.apply(as_messages([(MARKET, -side, 0, 1, 0, len(prices))]))
        assert book.trades()["price"].tolist() == order
        book.check()


def filled_log(count):
    logs = np.zeros(1, TRADE_LOG)
    for number in range(count - 3, count):
        logs[0]["count"] = number
        append_trade(logs[0], 0, BUY, number, 1, 0, 0, 0, 0, 0)
    return logs[0]


@pytest.mark.parametrize("count", [3, TRADES, TRADES + 1, 5 * TRADES + 2])
def test_the_log_is_a_ring(count):
    log = filled_log(count)
    assert trades_since(log, count - 3)["price"].tolist() == [count - 3, count - 2, count - 1]
    assert len(trades_since(log, count)) == 0
    assert len(trades_since(log, max(0, count - TRADES))) == min(count, TRADES)


@pytest.mark.parametrize(("count", "number"), [(3, -1), (3, 4), (TRADES + 9, 8)])
def test_the_log_refuses_trades_that_it_does_not_hold(count, number):
    with pytest.raises(ValueError, match=f"number is {number}, but"):
        trades_since(filled_log(count), number)


def test_apply_stops_before_a_trade_could_be_lost():
    book = small_book()
    book.apply(as_messages([(LIMIT, SELL, handle, 1, 10, 1) for handle in range(3)]))
    market = as_messages([(MARKET, BUY, 0, 2, 0, 2)])
    outcomes = np.zeros(1, np.int32)
    book._logs["count"] = TRADES
    assert apply_messages(book._books, book._logs, market, 0, outcomes, 1) == 0
    assert apply_messages(book._books, book._logs, market, 0, outcomes, 2) == 1
    assert outcomes.tolist() == [2]


@pytest.mark.parametrize("keep_trades", [True, False])
def test_batches_may_make_more_trades_than_the_log_holds(keep_trades):
    pair = [(LIMIT, SELL, 0, 1, 10, 1), (MARKET, BUY, 0, 2, 0, 1)]
    book = small_book(keep_trades=keep_trades)
    outcomes = book.apply(as_messages(pair * (TRADES + 5)))
    assert outcomes.tolist() == [0, 1] * (TRADES + 5)
    assert len(book.trades()) == (TRADES + 5 if keep_trades else 0)
    assert len(book.trades()) == 0


@pytest.mark.parametrize("excess", [0, 1])
def test_one_message_may_fill_the_log_but_no_more(excess):
    trades = TRADES + excess
    book = OrderBook(2 * TRADES, 64)
    sells = np.zeros(trades, MESSAGE)
    sells["side"], sells["order"], sells["price"], sells["size"] = SELL, np.arange(trades), 10, 1
    book.apply(sells)
    assert book.market("buy", trades, owner=1).filled == trades
    if excess:
        with pytest.raises(ValueError, match="the log holds trades 1 to"):
            book.trades()
    else:
        assert book.trades()["maker_order"].tolist() == list(range(TRADES))


def test_single_orders():
    book = small_book()
    assert (book.best_bid, book.best_ask) == (None, None)
    assert book.limit("buy", 9, 5) == (0, 0)
    assert book.limit("sell", 11, 4, owner=1) == (1, 0)
    assert book.limit("sell", 12, 4, owner=1, post_only=True) == (2, 0)
    assert book.limit("buy", 11, 6, owner=2, immediate_or_cancel=True) == (None, 4)
    assert book.replace(2, 13, 3, owner=1) == (2, 0)
    assert book.limit("sell", 9, 7, owner=3) == (3, 5)
    assert (book.best_bid, book.best_ask) == (None, 9)
    assert book.depth().to_dict("list") == {"side": ["sell", "sell"], "price": [9, 13], "size": [2, 3]}
    assert book.market("buy", 4, owner=4) == (None, 4)
    assert book.cancel(2, owner=1) == 1
    assert book.depth().empty
    book.check()


def test_depth_shows_the_best_prices_of_each_side():
    book = small_book()
    for price in range(1, 9):
        book.limit("buy", price, price)
        book.limit("sell", 20 - price, price)
    assert book.depth(2).to_numpy().tolist() == [
        ["buy", 8, 8],
        ["buy", 7, 7],
        ["sell", 12, 8],
        ["sell", 13, 7],
    ]
    assert len(book.depth()) == 16


def test_handles_are_chosen_among_the_free_ones():
    book = small_book()
    for handle in range(ORDERS):
        assert book.limit("buy", 5, 1).order == handle
    with pytest.raises(ValueError, match=f"all its {ORDERS} orders rest"):
        book.limit("buy", 5, 1)
    book.cancel(7)
    assert book.limit("buy", 5, 1).order == 7


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda book: book.limit("buy", 11, 1, post_only=True), WOULD_CROSS),
        (lambda book: book.cancel(9), UNKNOWN_ORDER),
        (lambda book: book.cancel(0, owner=1), NOT_OWNER),
        (lambda book: book.replace(9, 5, 1), UNKNOWN_ORDER),
    ],
)
def test_refusals_raise(act, code):
    book = small_book()
    book.limit("sell", 11, 5)
    with pytest.raises(OrderRefused) as refusal:
        act(book)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda book: book.limit("bid", 5, 1), 'side is \'bid\', but must be "buy" or "sell".'),
        (lambda book: book.limit("buy", 0, 1), "price is 0, but must be a whole number from 1 to 19."),
        (lambda book: book.limit("buy", 20, 1), "price is 20, but must be a whole number from 1 to 19."),
        (lambda book: book.limit("buy", 5.5, 1), "price is 5.5, but must be a whole number from 1 to 19."),
        (lambda book: book.market("buy", 0), "size is 0, but must be a whole number from 1 to 2,"),
        (lambda book: book.market("buy", 1, -1), "owner is -1, but must be a whole number from 0 to 4,"),
        (lambda book: book.cancel(24), "order is 24, but must be a whole number from 0 to 23."),
        (lambda book: book.replace(0, 20, 1), "price is 20, but must be a whole number from 1 to 19."),
        (lambda book: book.depth(0), "levels is 0, but must be a whole number from 1 to 16,777,216."),
        (lambda book: book.limit("buy", 5, 1, 0, True, True), "post_only and immediate_or_cancel are both"),
        (lambda book: book.apply(np.zeros(3)), "messages is an array of float64 with 1 dimensions, but must"),
        (lambda book: book.apply(np.zeros((1, 1), MESSAGE)), "with 2 dimensions, but must be of dtype"),
        (lambda book: book_dtype(0, 64), "orders is 0, but must be a whole number from 1 to 4,294,967,296."),
        (lambda book: book_dtype(1, 2**24 + 1), "levels is 16777217, but must be a whole number from 2 to"),
        (lambda book: open_book(book.record, 256), "instrument is 256, but must be a whole number from 0 to"),
        (lambda book: open_book(book.record, 0, 10**6 + 1), "maker_fee_ppm is 1000001, but must be a whole"),
        (lambda book: open_book(book.record, 0, 0, -(10**6) - 1), "taker_fee_ppm is -1000001, but must be"),
        (lambda book: open_book(book.record, 0, 0, 0, 0), "tick_lot_value is 0, but must be a whole number"),
    ],
)
def test_bad_arguments_get_a_sentence(act, sentence):
    book = small_book()
    with pytest.raises(ValueError, match="but") as error:
        act(book)
    assert sentence in str(error.value)


def spoil_level(column, value):
    return lambda book: book["levels"][5].__setitem__(column, value)


def spoil_order(order, column, value):
    return lambda book: book["orders"][order].__setitem__(column, value)


def spoil_book(column, value):
    return lambda book: book.__setitem__(column, value)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_book("best_bid", 4), "best bid"),
        (spoil_book("best_bid", 9), "not below"),
        (spoil_book("best_ask", 8), "best ask"),
        (spoil_book("resting", 5), "orders: 4 in queues, 4 in the pool, 5 counted"),
        (spoil_level("volume", 5), "price 5 has 5 lots, its orders 6"),
        (spoil_level("tail", 3), "wrong link"),
        (spoil_order(1, "price", 6), "another price"),
        (spoil_order(1, "previous", 2), "wrong link"),
        (spoil_order(1, "next", 0), "wrong link"),
        (spoil_order(1, "size", 0), "is free"),
        (spoil_order(9, "size", 1), "5 in the pool"),
        (spoil_order(9, "size", -1), "negative"),
        (lambda book: book["occupied"][0].fill(0), "layer 0"),
        (lambda book: book["occupied"][3].fill(0), "layer 3"),
    ],
)
def test_check_finds_what_is_wrong(spoil, complaint):
    book = small_book()
    for size in (1, 2, 3):
        book.limit("buy", 5, size)
    book.limit("sell", 9, 1)
    book.check()
    spoil(book.record)
    with pytest.raises(AssertionError, match=complaint):
        book.check()


def test_a_copy_of_the_bytes_is_a_fork():
    book = small_book(**FEES)
    book.apply(random_messages(5_000, seed=4))
    fork = copy.deepcopy(book)
    rest = random_messages(5_000, seed=5)
    assert book.apply(rest).tolist() == fork.apply(rest).tolist()
    assert book._books.tobytes() == fork._books.tobytes()


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(order_book) == (0, 4)
