"""The order book for use from Python: one book, its trade log and its checks.

:mod:`blockspace.markets.matching` holds the kernels, and says how a book is built.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.markets.bitmap import check_bitmap
from blockspace.markets.matching import (
    BUY,
    CANCEL,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    MAXIMUM_LEVELS,
    MESSAGE,
    POST_ONLY,
    REFUSALS,
    REPLACE,
    apply_messages,
    book_dtype,
    next_ask_above,
    next_bid_below,
    open_book,
    side_number,
    whole_number,
)
from blockspace.markets.trade_log import TRADE, TRADE_LOG, trades_since
from blockspace.network.compilation import kernel


@kernel
def _free_handle(books, start):
    """First free handle at or after ``start``, going round once, or -1."""
    book = books[0]
    orders = np.uint64(len(book.orders))
    for offset in range(orders):
        order = (np.uint64(start) + offset) % orders
        if book.orders[order].size == 0:
            return np.int64(order)
    return -1


class OrderRefused(ValueError):
    """An order or change that the book refused; ``code`` is one of the refusals of this module."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The book refused: {REFUSALS[code]}.")
        self.code = code


class Placement(NamedTuple):
    """What became of an order: the handle under which it rests (None if nothing does) and the lots filled."""

    order: int | None
    filled: int


class OrderBook:
    """A limit order book with price-time priority.

    Single orders are convenient; a batch through :meth:`apply` is over a hundred times faster for each order.
    Handles of single orders are chosen by the book, those of batches by the caller. Orders of one owner never
    trade with each other (the resting one is cancelled); an order without a named owner belongs to owner 0.

    Parameters
    ----------
    orders
        Number of orders that can rest at once.
    levels
        Number of price levels, at most 2^24; prices may be 1 to ``levels - 1`` ticks.
    maker_fee_ppm, taker_fee_ppm
        Fees in millionths of the notional value, rounded up to a whole micro-dollar; negative for a rebate.
    tick_lot_value
        Micro-dollars that one lot is worth at a price of one tick.
    keep_trades
        Whether trades are kept until :meth:`trades` collects them. Turn it off for long streams whose trades
        do not matter: memory is then constant.

    Examples
    --------
    >>> book = OrderBook()
    >>> book.limit("sell", price=101, size=5)
    Placement(order=0, filled=0)
    >>> book.market("buy", size=2, owner=1)
    Placement(order=None, filled=2)
    >>> book.best_ask
    101
    """

    def __init__(
        self,
        orders: int = 65536,
        levels: int = 2**20,
        maker_fee_ppm: int = 0,
        taker_fee_ppm: int = 0,
        tick_lot_value: int = 1,
        keep_trades: bool = True,
    ) -> None:
        self._books = np.zeros(1, book_dtype(orders, levels))
        self._logs = np.zeros(1, TRADE_LOG)
        open_book(self._books[0], 0, maker_fee_ppm, taker_fee_ppm, tick_lot_value)
        self._message = np.zeros(1, MESSAGE)
        self._next_handle = 0
        self._keep_trades = keep_trades
        self._drained = 0
        self._kept: list[npt.NDArray[Any]] = []

    @property
    def record(self) -> Any:
        """The packed record that is the whole book, as a view."""
        return self._books[0]

    @property
    def best_bid(self) -> int | None:
        """Highest price of a resting bid in ticks, or None."""
        return int(self.record["best_bid"]) or None

    @property
    def best_ask(self) -> int | None:
        """Lowest price of a resting ask in ticks, or None."""
        price = int(self.record["best_ask"])
        return price if price < self._levels else None

    @property
    def _levels(self) -> int:
        return int(self._books.dtype["levels"].shape[0])

    def limit(
        self,
        side: str,
        price: int,
        size: int,
        owner: int = 0,
        post_only: bool = False,
        immediate_or_cancel: bool = False,
    ) -> Placement:
        """Place a limit order.

        Parameters
        ----------
        side
            ``"buy"`` or ``"sell"``.
        price
            Limit in ticks, 1 to ``levels - 1``.
        size
            Size in lots.
        owner
            Account of the order, 0 to 2^32 - 1. Orders of one owner never trade with each other: the resting
            one is cancelled.
        post_only
            Refuse the order if it would trade at once.
        immediate_or_cancel
            Let nothing rest.

        Returns
        -------
        Placement
            Handle (None if nothing rests) and lots filled.

        Raises
        ------
        OrderRefused
            If a post-only order would trade.
        ValueError
            If an argument is not what it may be, or the book is full.
        """
        if post_only and immediate_or_cancel:
            raise ValueError("post_only and immediate_or_cancel are both True, but at most one may be.")
        price = whole_number("price", price, 1, self._levels - 1)
        if immediate_or_cancel:
            return Placement(None, self._send(IMMEDIATE_OR_CANCEL, side_number(side), 0, owner, price, size))
        order = _free_handle(self._books, self._next_handle)
        if order < 0:
            raise ValueError(f"The book is full: all its {len(self.record['orders']):,} orders rest.")
        filled = self._send(POST_ONLY if post_only else LIMIT, side_number(side), order, owner, price, size)
        self._next_handle = order + 1
        return Placement(order if filled < size else None, filled)

    def market(self, side: str, size: int, owner: int = 0) -> Placement:
        """Trade up to ``size`` lots at whatever price; what cannot be filled is dropped.

        ``side`` is ``"buy"`` or ``"sell"``. Raises ValueError if an argument is not what it may be.
        """
        return Placement(None, self._send(MARKET, side_number(side), 0, owner, 0, size))

    def cancel(self, order: int, owner: int = 0) -> int:
        """Cancel a resting order and return its lots; raise OrderRefused if ``owner`` has no such order."""
        return self._send(CANCEL, BUY, order, owner, 0, 1)

    def replace(self, order: int, price: int, size: int, owner: int = 0) -> Placement:
        """Give a resting order a new price in ticks and a new size in lots.

        It keeps its place in the queue if the price is the same and the size no greater; otherwise it may
        trade. Raises OrderRefused if ``owner`` has no such order, ValueError if another argument is not what
        it may be.
        """
        price = whole_number("price", price, 1, self._levels - 1)
        filled = self._send(REPLACE, BUY, order, owner, price, size)
        return Placement(order if filled < size else None, filled)

    def _send(self, kind: int, side: int, order: int, owner: int, price: int, size: int) -> int:
        """Apply one message and return its outcome; raise if it is refused."""
        order = whole_number("order", order, 0, len(self.record["orders"]) - 1)
        owner = whole_number("owner", owner, 0, 2**32 - 1)
        size = whole_number("size", size, 1, int(self.record["largest_size"]))
        self._message[0] = (kind, side, order, owner, price, size)
        outcome = int(self.apply(self._message)[0])
        if outcome < 0:
            raise OrderRefused(outcome)
        return outcome

    def apply(self, messages: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Apply a batch of messages in order.

        Parameters
        ----------
        messages
            Array of dtype ``MESSAGE``, shape ``(n,)``. ``order`` is a handle of the caller's choice below
            ``orders``; fields that a kind does not need are ignored.

        Returns
        -------
        numpy.ndarray
            For each message the lots filled (or cancelled), or a refusal, which is negative. Type ``i4``,
            shape ``(n,)``.

        Raises
        ------
        ValueError
            If the array is of another type or shape, or one message alone makes more trades than the log
            holds.
        """
        if messages.dtype != MESSAGE or messages.ndim != 1:
            raise ValueError(
                f"messages is an array of {messages.dtype} with {messages.ndim} dimensions, "
                "but must be of dtype MESSAGE with one dimension."
            )
        total = len(messages)
        outcomes = np.empty(total, np.int32)
        applied = apply_messages(self._books, self._logs, messages, 0, outcomes, self._drained)
        while applied < total:
            self._drain()
            applied = apply_messages(self._books, self._logs, messages, applied, outcomes, self._drained)
        return outcomes

    def trades(self) -> npt.NDArray[Any]:
        """Collect the trades since the last call, oldest first, as an array of dtype ``TRADE``."""
        self._drain()
        trades = np.concatenate(self._kept) if self._kept else np.empty(0, TRADE)
        self._kept = []
        return trades

    def _drain(self) -> None:
        log = self._logs[0]
        if self._keep_trades:
            self._kept.append(trades_since(log, self._drained))
        self._drained = int(log["count"])

    def depth(self, levels: int = 10) -> pd.DataFrame:
        """Volume at the best prices.

        Parameters
        ----------
        levels
            Number of prices on each side, 1 or more.

        Returns
        -------
        pandas.DataFrame
            Columns ``side`` ("buy" or "sell"), ``price`` in ticks and ``size`` in lots; the bids from the
            best down, then the asks from the best up.
        """
        levels = whole_number("levels", levels, 1, MAXIMUM_LEVELS)
        book = self.record
        rows: list[tuple[str, int, int]] = []
        price = int(book["best_bid"])
        while price > 0 and len(rows) < levels:
            rows.append(("buy", price, int(book["levels"][price]["volume"])))
            price = next_bid_below(book, price)
        bids = len(rows)
        price = int(book["best_ask"])
        while price < self._levels and len(rows) - bids < levels:
            rows.append(("sell", price, int(book["levels"][price]["volume"])))
            price = next_ask_above(book, price)
        return pd.DataFrame(rows, columns=["side", "price", "size"])

    def check(self) -> None:
        """Assert every invariant of the book; see :func:`check_book`."""
        check_book(self.record)


def check_book(book: Any) -> None:
    """Assert every invariant of a book: queues, volumes, bitmap, best prices, order count, nothing crossed.

    Parameters
    ----------
    book
        Record of a dtype made by :func:`book_dtype`.

    Raises
    ------
    AssertionError
        At the first invariant that does not hold, with the price and the numbers.
    """
    volumes = book["levels"]["volume"]
    prices = np.nonzero(volumes)[0]  # `flatnonzero` would copy a million levels
    best_bid, best_ask = int(book["best_bid"]), int(book["best_ask"])
    assert best_bid < best_ask, f"the best bid {best_bid} is not below the best ask {best_ask}"
    highest_bid = max(prices[prices <= best_bid], default=0)
    lowest_ask = min(prices[prices > best_bid], default=len(volumes))
    assert best_bid == highest_bid, f"the best bid is {best_bid}, but the highest bid rests at {highest_bid}"
    assert best_ask == lowest_ask, f"the best ask is {best_ask}, but the lowest ask rests at {lowest_ask}"
    queued = sum(_check_queue(book, int(price)) for price in prices)
    sizes = book["orders"]["size"]
    assert sizes.min() >= 0, "an order has a negative size"
    pooled, counted = np.count_nonzero(sizes), int(book["resting"])
    assert queued == pooled == counted, f"orders: {queued} in queues, {pooled} in the pool, {counted} counted"
    check_bitmap(book, prices)


def _check_queue(book: Any, price: int) -> int:
    """Assert the links and the volume of one price; return the number of its orders."""
    orders, level = book["orders"], book["levels"][price]
    order, previous, volume, seen = int(level["head"]), None, 0, 0
    while True:
        resting = orders[order]
        assert resting["size"] > 0, f"order {order} in the queue of price {price} is free"
        assert resting["price"] == price, f"order {order} in the queue of price {price} has another price"
        assert previous in (None, resting["previous"]), f"order {order} at price {price} has a wrong link"
        volume += int(resting["size"])
        seen += 1
        assert seen <= book["resting"], f"the queue of price {price} goes round"
        if order == level["tail"]:
            break
        previous, order = order, int(resting["next"])
    assert volume == level["volume"], f"price {price} has {level['volume']} lots, its orders {volume}"
    return seen
