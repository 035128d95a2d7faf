"""Speed of the order book on a million messages, beside that of other packages.

Six in ten messages place a limit order (a quarter of these post-only), a quarter cancel one and the rest are
market orders. Each round takes another stream, so that no branch predictor learns one by heart.
"""

from itertools import cycle

import numpy as np
import pytest

from blockspace.markets.matching import BUY, CANCEL, LIMIT, MARKET, MESSAGE, POST_ONLY, SELL
from blockspace.markets.order_book import OrderBook

MESSAGES = 1_000_000
STREAMS = 3
ROUNDS = 6
FEES = {"maker_fee_ppm": -20, "taker_fee_ppm": 50, "tick_lot_value": 100}


def make_stream(seed):
    """Messages around a wandering price; cancels name orders that rested at most a thousand messages ago."""
    generator = np.random.default_rng(seed)
    messages = np.zeros(MESSAGES, MESSAGE)
    book = OrderBook(keep_trades=False)
    middle = 2**19
    for part in np.split(messages, MESSAGES // 1_000):
        count = len(part)
        orders = book.record["orders"]
        resting = np.flatnonzero(orders["size"])
        middle += generator.integers(-2, 3)
        part["kind"] = generator.choice((LIMIT, POST_ONLY, CANCEL, MARKET), count, p=(0.45, 0.15, 0.25, 0.15))
        part["side"] = generator.choice((BUY, SELL), count)
        part["order"] = np.flatnonzero(orders["size"] == 0)[:count]
        part["owner"] = generator.integers(0, 1_000, count)
        part["price"] = middle - part["side"] * generator.integers(-1, 30, count)
        part["size"] = generator.integers(1, np.where(part["kind"] == MARKET, 47, 20))
        cancels = np.flatnonzero(part["kind"] == CANCEL)
        if len(resting):
            cancelled = generator.choice(resting, len(cancels))
            part["order"][cancels] = cancelled
            part["owner"][cancels] = orders["owner"][cancelled]
        book.apply(part)
    return messages


@pytest.fixture(scope="module")
def streams():
    return cycle([make_stream(seed) for seed in range(STREAMS)])


def measure(benchmark, prepare, run):
    """Time ``run(*prepare())``, and say how many million messages a second that is."""
    benchmark.group = "order book: a million messages"
    benchmark.pedantic(run, setup=lambda: (prepare(), {}), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["million messages a second"] = MESSAGES / benchmark.stats["median"] / 1e6


@pytest.mark.parametrize("batch", [MESSAGES, 1_000, 100])
def test_order_book(benchmark, streams, batch):
    def prepare():
        return OrderBook(**FEES), np.split(next(streams), MESSAGES // batch)

    def run(book, batches):
        for messages in batches:
            book.apply(messages)

    measure(benchmark, prepare, run)


def bourse_orders(messages):
    """The same for bourse, which numbers its orders itself: (is new, is buy, size, owner, price, number)."""
    is_new = messages["kind"] != CANCEL
    numbers = np.cumsum(is_new) - 1
    newest = {}
    named = np.zeros(len(messages), np.uint64)
    for index, (kind, order) in enumerate(messages[["kind", "order"]].tolist()):
        if kind in (LIMIT, POST_ONLY):
            newest[order] = numbers[index]
        elif kind == CANCEL:
            named[index] = newest.get(order, 0)
    is_buy = messages["side"] == BUY
    # The batch interface knows no market orders: an extreme price is the same while the book is deep enough.
    extreme = np.where(is_buy, 2**20, 1)
    price = np.where(messages["kind"] == MARKET, extreme, messages["price"]).astype(np.uint32)
    return is_new, is_buy, messages["size"].astype(np.uint32), messages["owner"], price, named


def test_bourse_batches(benchmark, streams):
    bourse = pytest.importorskip("bourse")
    batches = 1_000

    def prepare():
        is_new, *fields = bourse_orders(next(streams))
        columns = (np.where(is_new, 1, 2).astype(np.uint32), *fields)
        environment = bourse.core.StepEnvNumpy(1, 0, 1, MESSAGES)
        return environment, list(zip(*(np.split(column, batches) for column in columns), strict=True))

    def run(environment, batches):
        for instructions in batches:
            environment.submit_instructions(instructions)
            environment.step()

    measure(benchmark, prepare, run)


def test_bourse_one_by_one(benchmark, streams):
    bourse = pytest.importorskip("bourse")

    def prepare():
        columns = [column.tolist() for column in bourse_orders(next(streams))]
        return bourse.core.OrderBook(0, 1, True), list(zip(*columns, strict=True))

    def run(book, orders):
        for is_new, is_buy, size, owner, price, number in orders:
            if is_new:
                book.place_order(is_buy, size, owner, price=price)
            else:
                book.cancel_order(number)

    measure(benchmark, prepare, run)


def test_limit_order_book_one_by_one(benchmark, streams):
    """The package of that name: it has no owners, fees or post-only orders, and no batches."""
    package = pytest.importorskip("limit_order_book")

    def prepare():
        messages = next(streams)
        is_new, is_buy, size, _, price, named = bourse_orders(messages)
        numbers = np.cumsum(is_new)
        book = package.LimitOrderBook()
        calls = []
        for index, market in enumerate((messages["kind"] == MARKET).tolist()):
            number = int(numbers[index])
            if not is_new[index]:
                calls.append((book.cancel, (int(named[index]) + 1,)))
            elif market:
                calls.append((book.market_buy if is_buy[index] else book.market_sell, (number, int(size[index]))))
            else:
                place = book.limit_buy if is_buy[index] else book.limit_sell
                calls.append((place, (number, int(size[index]), int(price[index]))))
        return calls, book.has

    def run(calls, has):
        for call, arguments in calls:
            if len(arguments) > 1 or has(arguments[0]):
                call(*arguments)

    measure(benchmark, prepare, run)
