"""Matching with price-time priority, on integer ticks and lots: the kernels of the order book.

The whole book is one packed NumPy record. Orders lie in a pool and are named by their slot in it, their
*handle*, which the caller chooses: cancelling needs no search, and there is no list of free slots to keep.
The orders of one price form a doubly linked queue. A price never holds bids and asks at once, so one array of
levels serves both sides, and a hierarchical bitmap of the occupied levels (64 children to a word) finds the
next better or worse price in a few instructions however sparse the book is.

The kernels take a book and a trade log as records; :func:`apply_messages` takes one-element arrays of them,
which Python can pass cheaply. :class:`blockspace.markets.order_book.OrderBook` wraps it all for use from Python.
"""

import operator
from typing import Any

import numpy as np

from blockspace.markets.bitmap import (
    BITMAP_LAYERS,
    LARGEST_BITMAP,
    mark_empty,
    mark_occupied,
    occupied_above,
    occupied_below,
)
from blockspace.markets.trade_log import TRADES, append_trade
from blockspace.network.compilation import kernel

# Kernels pass these as np.int64: Numba would compile the function that is called anew for each literal.
BUY = 1
SELL = -1

# Kinds of message. The first four place an order.
LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET, CANCEL, REPLACE = range(6)

# Refusals: the outcome of a message that changed nothing.
HANDLE_IN_USE = -1
PRICE_OUT_OF_RANGE = -2
SIZE_NOT_POSITIVE = -3
SIZE_TOO_LARGE = -4
WOULD_CROSS = -5
UNKNOWN_ORDER = -6
NOT_OWNER = -7
UNKNOWN_KIND = -8
UNKNOWN_SIDE = -9

REFUSALS = {
    HANDLE_IN_USE: "another order rests under this handle",
    PRICE_OUT_OF_RANGE: "the price is outside the range of the book",
    SIZE_NOT_POSITIVE: "the size is not positive",
    SIZE_TOO_LARGE: "the size is so large that its value could overflow",
    WOULD_CROSS: "a post-only order would have traded at once",
    UNKNOWN_ORDER: "no order rests under this handle",
    NOT_OWNER: "the order belongs to somebody else",
    UNKNOWN_KIND: "there is no such kind of message",
    UNKNOWN_SIDE: "the side is neither +1 nor -1",
}

MESSAGE = np.dtype(
    [("kind", "u1"), ("side", "i1"), ("order", "u4"), ("owner", "u4"), ("price", "i4"), ("size", "i4")],
    align=True,
)

# An order of size 0 is a free slot. The `previous` of the first order of a level and the `next` of its last
# one mean nothing, and neither do `head` and `tail` of a level without volume: a book of zeros needs no
# preparation.
ORDER = np.dtype(
    [("next", "u4"), ("previous", "u4"), ("price", "i4"), ("size", "i4"), ("owner", "u4")],
    align=True,
)
LEVEL = np.dtype([("head", "u4"), ("tail", "u4"), ("volume", "i8")], align=True)

MAXIMUM_LEVELS = LARGEST_BITMAP
MAXIMUM_SIZE = 2**31 - 1
MILLION = 1_000_000


def whole_number(name: str, value: Any, lowest: int, highest: int) -> int:
    """Return ``value`` as an ``int``, or say what the argument ``name`` may be."""
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise ValueError(f"{name} is {value!r}, but must be a whole number from {lowest:,} to {highest:,}.")
    return number


def side_number(name: str) -> int:
    """Return +1 for ``"buy"`` and -1 for ``"sell"``; raise ValueError for anything else."""
    if name not in ("buy", "sell"):
        raise ValueError(f'side is {name!r}, but must be "buy" or "sell".')
    return BUY if name == "buy" else SELL


def book_dtype(orders: int, levels: int) -> np.dtype[Any]:
    """Record type of a book.

    Parameters
    ----------
    orders
        Number of handles, 1 to 2^32.
    levels
        Number of price levels, 2 to 2^24; an order's price may be 1 to ``levels - 1`` ticks.

    Returns
    -------
    numpy.dtype
        Record with the nested arrays ``orders``, ``levels`` (indexed by price in ticks) and ``occupied`` (the
        bitmap, one row for each layer). ``best_bid`` is 0 and ``best_ask`` is ``levels`` when that side is
        empty. A record of zeros must be passed to :func:`open_book` before it is traded on.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    orders = whole_number("orders", orders, 1, 2**32)
    levels = whole_number("levels", levels, 2, MAXIMUM_LEVELS)
    words = -(-levels // 64)
    return np.dtype(
        [
            ("orders", ORDER, (orders,)),
            ("levels", LEVEL, (levels,)),
            ("occupied", "u8", (BITMAP_LAYERS, words)),
            ("best_bid", "i8"),
            ("best_ask", "i8"),
            ("resting", "i8"),  # number of resting orders
            ("largest_size", "i8"),  # of one order, in lots
            ("maker_fee_ppm", "i8"),  # millionths of the notional value; negative for a rebate
            ("taker_fee_ppm", "i8"),
            ("tick_lot_value", "i8"),  # micro-dollars for one lot at a price of one tick
            ("instrument", "u1"),
        ],
        align=True,
    )


def open_book(
    book: Any, instrument: int = 0, maker_fee_ppm: int = 0, taker_fee_ppm: int = 0, tick_lot_value: int = 1
) -> None:
    """Prepare a book of zeros for trade.

    Parameters
    ----------
    book
        Record of a dtype made by :func:`book_dtype`, such as ``books[0]``, holding zeros only.
    instrument
        Number that is stamped on the trades, 0 to 255.
    maker_fee_ppm, taker_fee_ppm
        Fees in millionths of the notional value, -1,000,000 to 1,000,000; negative for a rebate.
    tick_lot_value
        Micro-dollars that one lot is worth at a price of one tick, 1 to 10^9.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    levels = len(book["levels"])
    book["instrument"] = whole_number("instrument", instrument, 0, 255)
    book["maker_fee_ppm"] = whole_number("maker_fee_ppm", maker_fee_ppm, -MILLION, MILLION)
    book["taker_fee_ppm"] = whole_number("taker_fee_ppm", taker_fee_ppm, -MILLION, MILLION)
    book["tick_lot_value"] = whole_number("tick_lot_value", tick_lot_value, 1, 1000 * MILLION)
    # The notional value of a fill, in micro-dollars, must fit 63 bits at the highest price.
    book["largest_size"] = min(MAXIMUM_SIZE, (2**63 - 1) // (levels * tick_lot_value))
    book["best_bid"] = 0
    book["best_ask"] = levels


BOOK = book_dtype(2**18, 2**20)


@kernel
def next_bid_below(book, price):
    """Highest price below ``price`` where a bid rests, or 0. Any integer may be given."""
    if price > book.best_bid:
        return book.best_bid
    if price <= 0:
        return 0
    return occupied_below(book, price)


@kernel
def next_ask_above(book, price):
    """Lowest price above ``price`` where an ask rests, or the number of levels. Any integer may be given."""
    if price < book.best_ask:
        return book.best_ask
    if price >= len(book.levels):
        return len(book.levels)
    return occupied_above(book, price, len(book.levels))


@kernel
def depth_within(book, side, limit_price):
    """Lots that rest on a side from its best price to a limit, both included.

    Parameters
    ----------
    book
        Record of the book.
    side
        +1 for the bids, -1 for the asks.
    limit_price
        Price in ticks: the lowest bid or the highest ask that counts.

    Returns
    -------
    int
        Volume in lots.
    """
    volume = 0
    if side > 0:
        price = book.best_bid
        while price >= max(limit_price, 1):
            volume += book.levels[np.uint64(price)].volume
            price = occupied_below(book, price)
    else:
        price = book.best_ask
        while price <= min(limit_price, len(book.levels) - 1):
            volume += book.levels[np.uint64(price)].volume
            price = occupied_above(book, price, len(book.levels))
    return volume


@kernel
def cost_to_fill(book, side, size):
    """What a market order would get if it were sent now, fees and self-trades apart.

    Parameters
    ----------
    book
        Record of the book.
    side
        Side of the market order: +1 walks up the asks, -1 walks down the bids.
    size
        Size of the market order in lots.

    Returns
    -------
    tuple of int
        Lots filled, at most ``size``, and the sum over fills of price times lots, in ticks times lots.
    """
    filled = 0
    value = 0
    price = book.best_ask if side > 0 else book.best_bid
    while filled < size and 0 < price < len(book.levels):
        lots = min(size - filled, book.levels[np.uint64(price)].volume)
        filled += lots
        value += lots * price
        price = occupied_above(book, price, len(book.levels)) if side > 0 else occupied_below(book, price)
    return filled, value


@kernel
def finds_others(book, taker, side, limit):
    """Whether an order of ``taker`` on a side could trade at ``limit`` ticks or better with anybody but ``taker``."""
    price = book.best_ask if side > 0 else book.best_bid
    while 0 < price < len(book.levels) and (price - limit) * side <= 0:
        level = book.levels[np.uint64(price)]
        order = np.uint64(level.head)
        while book.orders[order].owner == taker and order != level.tail:
            order = np.uint64(book.orders[order].next)
        if book.orders[order].owner != taker:
            return True
        price = occupied_above(book, price, len(book.levels)) if side > 0 else occupied_below(book, price)
    return False


@kernel
def _rest(book, order, owner, side, price, size):
    """Put an order at the end of the queue of its price."""
    resting = book.orders[order]
    resting.price = price
    resting.size = size
    resting.owner = owner
    level = book.levels[np.uint64(price)]
    if level.volume == 0:
        level.head = order
        mark_occupied(book, price)
        if side > 0:
            book.best_bid = max(book.best_bid, price)
        else:
            book.best_ask = min(book.best_ask, price)
    else:
        resting.previous = level.tail
        book.orders[level.tail].next = order
    level.tail = order
    level.volume += size
    book.resting += 1


@kernel
def _remove(book, order):
    """Take a resting order out of its queue and free its handle."""
    resting = book.orders[order]
    price = np.int64(resting.price)
    level = book.levels[np.uint64(price)]
    level.volume -= resting.size
    resting.size = 0
    book.resting -= 1
    if level.volume == 0:
        mark_empty(book, price)
        if price == book.best_bid:
            book.best_bid = occupied_below(book, price)
        elif price == book.best_ask:
            book.best_ask = occupied_above(book, price, len(book.levels))
    elif order == level.head:
        level.head = resting.next
    elif order == level.tail:
        level.tail = resting.previous
    else:
        book.orders[resting.previous].next = resting.next
        book.orders[resting.next].previous = resting.previous


@kernel
def fee_on(notional, fee_ppm):
    """Fee on a notional value (0 or more): ``ceil(notional * fee_ppm / 10^6)``, in the unit of the value.

    The ceiling is towards plus infinity for rebates too, so that rounding always favours the venue. Whole
    millions are split off first, so that nothing overflows where the fee itself fits.
    """
    millions = notional // MILLION
    rest = notional - millions * MILLION
    return millions * fee_ppm - (-rest * fee_ppm) // MILLION


@kernel
def _trade(book, log, order, taker, side, size):
    """Record the fill of a resting order."""
    resting = book.orders[order]
    notional = np.int64(resting.price) * size * book.tick_lot_value
    append_trade(
        log,
        book.instrument,
        side,
        resting.price,
        size,
        resting.owner,
        taker,
        order,
        fee_on(notional, book.maker_fee_ppm),
        fee_on(notional, book.taker_fee_ppm),
    )


@kernel
def take_from(book, order, lots):
    """Take ``lots`` from a resting order, and the order from its queue if nothing is left of it."""
    resting = book.orders[order]
    if lots == resting.size:
        _remove(book, order)
    else:
        resting.size -= lots
        book.levels[np.uint64(resting.price)].volume -= lots


@kernel
def _match(book, log, taker, side, limit, size):
    """Trade up to ``size`` lots at ``limit`` or better, best price and oldest order first; return them."""
    unfilled = size
    while unfilled > 0:
        # The sentinels of an empty side are worse than every limit.
        price = book.best_ask if side > 0 else book.best_bid
        if (price - limit) * side > 0:
            break
        level = book.levels[np.uint64(price)]
        order = np.uint64(level.head)
        resting = book.orders[order]
        if resting.owner == taker:
            _remove(book, order)
            continue
        lots = min(unfilled, np.int64(resting.size))
        _trade(book, log, order, taker, side, lots)
        unfilled -= lots
        take_from(book, order, lots)
    return size - unfilled


@kernel
def place(book, log, order, owner, side, price, size, kind):
    """Place an order: match it, and let a limit or post-only order rest with what is left.

    An order never trades with one of the same owner: a resting order that it meets is cancelled, and matching
    goes on.

    Parameters
    ----------
    book, log
        Records of the book and of its trade log.
    order
        Handle that the order shall have while it rests. Ignored for kinds that never rest.
    owner
        Account of the order, unsigned 32-bit.
    side
        +1 to buy, -1 to sell.
    price
        Limit in ticks, 1 to ``levels - 1``. Ignored for a market order.
    size
        Size in lots, 1 to ``book.largest_size``.
    kind
        ``LIMIT``, ``POST_ONLY`` (refused if it would trade), ``IMMEDIATE_OR_CANCEL`` or ``MARKET``.

    Returns
    -------
    int
        Lots filled, or a refusal (negative), in which case nothing has changed.
    """
    order = np.uint64(order)
    side = np.int64(side)
    price = np.int64(price)
    size = np.int64(size)
    can_rest = kind in (LIMIT, POST_ONLY)
    if not can_rest and kind not in (IMMEDIATE_OR_CANCEL, MARKET):
        return UNKNOWN_KIND
    if side != BUY and side != SELL:
        return UNKNOWN_SIDE
    if size <= 0:
        return SIZE_NOT_POSITIVE
    if size > book.largest_size:
        return SIZE_TOO_LARGE
    last_price = len(book.levels) - 1
    if kind == MARKET:
        price = last_price if side > 0 else 1
    elif not 1 <= price <= last_price:
        return PRICE_OUT_OF_RANGE
    if can_rest:
        if order >= np.uint64(len(book.orders)):
            return UNKNOWN_ORDER
        if book.orders[order].size > 0:
            return HANDLE_IN_USE
        if kind == POST_ONLY and (price >= book.best_ask if side > 0 else price <= book.best_bid):
            return WOULD_CROSS
    filled = _match(book, log, owner, side, price, size)
    if can_rest and filled < size:
        _rest(book, order, owner, side, price, size - filled)
    return filled


@kernel
def _refusal_of(book, order, owner):
    """Why ``owner`` may not change this order, or 0 if it may."""
    if order >= np.uint64(len(book.orders)) or book.orders[order].size == 0:
        return UNKNOWN_ORDER
    if book.orders[order].owner != owner:
        return NOT_OWNER
    return 0


@kernel
def cancel(book, order, owner):
    """Cancel a resting order of ``owner``; return the lots cancelled, or a refusal (negative)."""
    order = np.uint64(order)
    refusal = _refusal_of(book, order, owner)
    if refusal:
        return refusal
    size = np.int64(book.orders[order].size)
    _remove(book, order)
    return size


@kernel
def replace(book, log, order, owner, price, size):
    """Give a resting order of ``owner`` a new price and size.

    At the same price and no greater size it keeps its place in the queue; otherwise it is cancelled and
    placed anew, as a limit order of the same side and handle, and may trade.

    Returns
    -------
    int
        Lots filled, or a refusal (negative), in which case the order stays as it was.
    """
    order = np.uint64(order)
    price = np.int64(price)
    size = np.int64(size)
    refusal = _refusal_of(book, order, owner)
    if refusal:
        return refusal
    if size <= 0:
        return SIZE_NOT_POSITIVE
    if size > book.largest_size:
        return SIZE_TOO_LARGE
    if not 1 <= price <= len(book.levels) - 1:
        return PRICE_OUT_OF_RANGE
    resting = book.orders[order]
    if price == resting.price and size <= resting.size:
        book.levels[np.uint64(price)].volume -= resting.size - size
        resting.size = size
        return 0
    side = np.int64(BUY if resting.price <= book.best_bid else SELL)
    _remove(book, order)
    return place(book, log, order, owner, side, price, size, np.int64(LIMIT))


@kernel
def apply_messages(books, logs, messages, start, outcomes, drained):
    """Apply messages in order, until they end or the log could lose a trade.

    Parameters
    ----------
    books, logs
        One-element arrays of the book and of its trade log.
    messages
        Array of dtype ``MESSAGE``, shape ``(n,)``. Fields that a kind does not need are ignored.
    start
        Index of the first message to apply.
    outcomes
        Array of ``i4``, shape ``(n,)``: receives for each message the lots filled (or cancelled), or a
        refusal.
    drained
        Number of trades that have been read from the log and may be overwritten.

    Returns
    -------
    int
        Index of the first message that was not applied, ``n`` at the end. If it is less, drain the log and
        call again. With nothing to drain a message is applied whatever may come: it loses trades only if this
        one message makes more than ``TRADES`` of them.
    """
    book = books[0]
    log = logs[0]
    for index in range(np.uint64(start), np.uint64(len(messages))):
        message = messages[index]
        # A message makes no more trades than there are resting orders, or than it has lots.
        undrained = log.count - drained
        if undrained > 0 and undrained + min(book.resting, np.int64(message.size)) > TRADES:
            return np.int64(index)
        order = message.order
        owner = message.owner
        price = message.price
        size = message.size
        if message.kind == CANCEL:
            outcome = cancel(book, order, owner)
        elif message.kind == REPLACE:
            outcome = replace(book, log, order, owner, price, size)
        else:
            outcome = place(book, log, order, owner, message.side, price, size, message.kind)
        outcomes[index] = outcome
    return len(messages)
