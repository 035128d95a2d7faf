"""Frequent batch auctions: orders wait, and those that trade, trade at one price (Budish, Cramton and Shim, 2015).

Orders of a batch lie beside the book, which holds what rests from earlier batches. When the batch clears, both are
uncrossed at one price:

1. the price at which most lots trade;
2. among several, those at which least is left over that would have traded at that price;
3. if the same is left over at several, the highest where buyers are left over and the lowest where sellers are:
   pressure moves the price, so that those who compete for the same lots pay what these are worth to them;
4. among what remains, the one nearest to the reference price.

Who is served first: the better price, then what rests from earlier batches in its order, then the orders of the batch
by a draw of their own. Time counts across batches and not within one. What is left of a limit order rests in the book,
in the order of arrival; what is left of the others lapses. Orders of one owner may meet, as in call auctions: they
trade with everybody at one price.
"""

import numpy as np

from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.matching import (
    BOOK,
    BUY,
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    NOT_OWNER,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    SELL,
    SIZE_NOT_POSITIVE,
    SIZE_TOO_LARGE,
    UNKNOWN_KIND,
    UNKNOWN_ORDER,
    UNKNOWN_SIDE,
    WOULD_CROSS,
    fee_on,
    next_ask_above,
    next_bid_below,
    place,
    take_from,
)
from blockspace.markets.trade_log import append_trade
from blockspace.network.compilation import kernel

WAITING = 8192
"""Orders of an instrument that one batch can hold."""

BATCH_IS_FULL = -10
"""Refusal of an order for which a batch has no room."""

BATCH_ORDER = np.dtype(
    [
        ("price", "i8"),  # ticks
        ("size", "i8"),  # lots that wait; 0 once withdrawn or filled
        ("filled", "i8"),  # lots
        ("asked", "i8"),  # lots at first
        ("side", "i8"),
        ("kind", "i8"),  # limit, post-only or immediate-or-cancel
        ("order", "u4"),  # handle under which it may rest
        ("owner", "u4"),
        ("tie", "u4"),  # its draw among equals
        # The transaction that brought it, for whoever wants to know.
        ("slot", "u4"),  # of the mempool
        ("block", "i8"),
        ("decided", "i8"),  # ns
        ("gas", "i8"),
        ("gas_price", "i8"),  # wei per gas
    ],
    align=True,
)

BATCH = np.dtype(
    [
        ("orders", BATCH_ORDER, (WAITING,)),
        ("count", "i8"),
        ("cleared", "i8"),  # orders of the last batch, which lie there until the next ones come
        ("buys", "u4", (WAITING,)),  # orders by priority, while the batch clears
        ("sells", "u4", (WAITING,)),
        ("place", "u4", BOOK["orders"].shape),  # by handle: number of the order that waits, plus 1
        # What waits of each account.
        ("bids", "i8", (ACCOUNTS,)),  # lots
        ("asks", "i8", (ACCOUNTS,)),
        ("loss", "i8", (ACCOUNTS,)),  # micro-dollars by which its prices are worse than the mark
    ],
    align=True,
)
"""The orders of an instrument that wait for their batch. A record of zeros is an empty one."""


@kernel
def enter(book, batch, order, owner, side, price, size, kind, tie, loss):
    """Let an order wait for its batch to clear.

    Parameters
    ----------
    book, batch
        Records of the instrument.
    order, owner, side, price, size
        As for an order that is placed in a book.
    kind
        ``LIMIT``, ``POST_ONLY`` (refused if it crosses what rests) or ``IMMEDIATE_OR_CANCEL``.
    tie
        Its draw among equals, smallest first.
    loss
        Micro-dollars by which its price is worse than the mark, to be kept free by its owner.

    Returns
    -------
    int
        0, or a refusal (negative), in which case nothing has changed.
    """
    can_rest = kind in (LIMIT, POST_ONLY)
    if not can_rest and kind != IMMEDIATE_OR_CANCEL:
        return UNKNOWN_KIND
    if side != BUY and side != SELL:
        return UNKNOWN_SIDE
    if size <= 0:
        return SIZE_NOT_POSITIVE
    if size > book.largest_size:
        return SIZE_TOO_LARGE
    if not 1 <= price <= len(book.levels) - 1:
        return PRICE_OUT_OF_RANGE
    if batch.count >= WAITING:
        return BATCH_IS_FULL
    if can_rest:
        if order >= np.uint64(len(book.orders)):
            return UNKNOWN_ORDER
        if book.orders[order].size > 0 or batch.place[order] > 0:
            return HANDLE_IN_USE
        if kind == POST_ONLY and (price >= book.best_ask if side > 0 else price <= book.best_bid):
            return WOULD_CROSS
        batch.place[order] = batch.count + 1
    waiting = batch.orders[batch.count]
    batch.count += 1
    waiting.price = price
    waiting.size = size
    waiting.filled = 0
    waiting.asked = size
    waiting.side = side
    waiting.kind = kind
    waiting.order = order
    waiting.owner = owner
    waiting.tie = tie
    if side > 0:
        batch.bids[owner] += size
    else:
        batch.asks[owner] += size
    batch.loss[owner] += loss
    return 0


@kernel
def withdraw(batch, order, owner):
    """Withdraw an order of ``owner`` that waits and may rest; returns its lots, or a refusal (negative).

    What it would have cost beyond the mark stays reserved until the batch clears.
    """
    if order >= np.uint64(len(batch.place)) or batch.place[order] == 0:
        return UNKNOWN_ORDER
    waiting = batch.orders[batch.place[order] - np.uint32(1)]
    if waiting.owner != owner:
        return NOT_OWNER
    size = waiting.size
    if waiting.side > 0:
        batch.bids[owner] -= size
    else:
        batch.asks[owner] -= size
    waiting.size = 0
    waiting.asked = 0
    batch.place[order] = 0
    return size


@kernel
def _goes_before(batch, left, right):
    """Whether one order of the batch is served before another of the same side."""
    one, other = batch.orders[left], batch.orders[right]
    if one.price != other.price:
        return (one.price - other.price) * one.side > 0
    if one.tie != other.tie:
        return one.tie < other.tie
    return left < right


@kernel
def _sort(batch, numbers, count):
    """Sort orders by priority (Shell, 1959)."""
    gap = count // 2
    while gap > 0:
        for position in range(gap, count):
            held = numbers[position]
            while position >= gap and _goes_before(batch, held, numbers[position - gap]):
                numbers[position] = numbers[position - gap]
                position -= gap
            numbers[position] = held
        gap //= 2


@kernel
def _line_up(batch):
    """List the orders of each side by priority; returns how many there are."""
    buys = 0
    sells = 0
    for number in range(batch.count):
        if batch.orders[number].size > 0:
            if batch.orders[number].side > 0:
                batch.buys[buys] = number
                buys += 1
            else:
                batch.sells[sells] = number
                sells += 1
    _sort(batch, batch.buys, buys)
    _sort(batch, batch.sells, sells)
    return buys, sells


@kernel
def _left_at(book, batch, numbers, first, count, left, level, level_left, price):
    """Lots that are left unmatched of a side at exactly ``price``, from its heads on."""
    lots = level_left if level == price else 0
    if first < count and batch.orders[numbers[first]].price == price:
        lots += left
    for position in range(first + 1, count):
        waiting = batch.orders[numbers[position]]
        if waiting.price != price:
            break
        lots += waiting.size
    return lots


@kernel
def clearing_price(book, batch, buys, sells, reference):
    """Price (ticks) at which a batch clears, and the lots that trade; the sides must be lined up.

    Matching from the best prices on, the last buy and sell that match bound the prices of largest volume, and the heads
    of what is left say on which side lots are left over.
    """
    top = len(book.levels)
    bid, ask = book.best_bid, book.best_ask
    bid_left = book.levels[np.uint64(bid)].volume if bid > 0 else 0
    ask_left = book.levels[np.uint64(ask)].volume if ask < top else 0
    buy, sell = 0, 0
    buy_left = batch.orders[batch.buys[0]].size if buys > 0 else 0
    sell_left = batch.orders[batch.sells[0]].size if sells > 0 else 0
    volume = np.int64(0)
    highest, lowest = np.int64(0), np.int64(top)
    while True:
        waiting_buy = batch.orders[batch.buys[buy]].price if buy < buys else 0
        waiting_sell = batch.orders[batch.sells[sell]].price if sell < sells else top
        best_buy, best_sell = max(bid, waiting_buy), min(ask, waiting_sell)
        if best_buy < best_sell or best_buy == 0 or best_sell == top:
            break
        lots = min(
            bid_left if bid >= waiting_buy else buy_left,
            ask_left if ask <= waiting_sell else sell_left,
        )
        volume += lots
        highest, lowest = best_buy, best_sell
        if bid >= waiting_buy:
            bid_left -= lots
            if bid_left == 0:
                bid = next_bid_below(book, bid)
                bid_left = book.levels[np.uint64(bid)].volume if bid > 0 else 0
        else:
            buy_left -= lots
            if buy_left == 0:
                buy += 1
                buy_left = batch.orders[batch.buys[buy]].size if buy < buys else 0
        if ask <= waiting_sell:
            ask_left -= lots
            if ask_left == 0:
                ask = next_ask_above(book, ask)
                ask_left = book.levels[np.uint64(ask)].volume if ask < top else 0
        else:
            sell_left -= lots
            if sell_left == 0:
                sell += 1
                sell_left = batch.orders[batch.sells[sell]].size if sell < sells else 0
    if volume == 0:
        return np.int64(0), volume
    # Prices from `lowest` to `highest` trade the same volume; buys are left over up to best_buy, sells from best_sell.
    if best_buy >= highest:
        return highest, volume
    if best_sell <= lowest:
        return lowest, volume
    first, last = max(lowest, best_buy + 1), min(highest, best_sell - 1)
    if first <= last:
        return min(max(reference, first), last), volume
    bought = _left_at(book, batch, batch.buys, buy, buys, buy_left, bid, bid_left, best_buy)
    sold = _left_at(book, batch, batch.sells, sell, sells, sell_left, ask, ask_left, best_sell)
    if bought < sold or (bought == sold and reference <= best_buy):
        return best_buy, volume
    return best_sell, volume


@kernel
def _trade_at(book, log, price, lots, buyer, seller, buyer_order, seller_order, buyer_takes):
    """Write a trade of the auction, with the fees of a maker and of a taker."""
    notional = price * lots * book.tick_lot_value
    maker_fee, taker_fee = fee_on(notional, book.maker_fee_ppm), fee_on(notional, book.taker_fee_ppm)
    side = np.int64(BUY if buyer_takes else SELL)
    maker, taker = (seller, buyer) if buyer_takes else (buyer, seller)
    maker_order = seller_order if buyer_takes else buyer_order
    append_trade(log, book.instrument, side, price, lots, maker, taker, maker_order, maker_fee, taker_fee)


@kernel
def _serve(book, log, batch, buys, sells, price, volume):
    """Trade ``volume`` lots at the clearing price, both sides in the order of their priority.

    An order that lapses takes from one that may rest; among two of a kind the later one takes from the earlier.
    """
    buy, sell = 0, 0
    while volume > 0:
        while buy < buys and batch.orders[batch.buys[buy]].size == 0:
            buy += 1
        while sell < sells and batch.orders[batch.sells[sell]].size == 0:
            sell += 1
        buyer = batch.orders[batch.buys[min(buy, WAITING - 1)]]
        seller = batch.orders[batch.sells[min(sell, WAITING - 1)]]
        buy_waits = buy < buys and buyer.price > book.best_bid
        sell_waits = sell < sells and seller.price < book.best_ask
        bid = np.uint64(0 if buy_waits else book.levels[np.uint64(book.best_bid)].head)
        ask = np.uint64(0 if sell_waits else book.levels[np.uint64(book.best_ask)].head)
        buy_size = buyer.size if buy_waits else np.int64(book.orders[bid].size)
        sell_size = seller.size if sell_waits else np.int64(book.orders[ask].size)
        lots = min(volume, min(buy_size, sell_size))
        buyer_takes = buy_waits
        if buy_waits and sell_waits:
            buyer_lapses, seller_lapses = buyer.kind == IMMEDIATE_OR_CANCEL, seller.kind == IMMEDIATE_OR_CANCEL
            later = batch.buys[buy] > batch.sells[sell]
            buyer_takes = later if buyer_lapses == seller_lapses else buyer_lapses
        _trade_at(
            book,
            log,
            price,
            lots,
            np.int64(buyer.owner if buy_waits else book.orders[bid].owner),
            np.int64(seller.owner if sell_waits else book.orders[ask].owner),
            np.int64(buyer.order if buy_waits else bid),
            np.int64(seller.order if sell_waits else ask),
            buyer_takes,
        )
        volume -= lots
        if buy_waits:
            buyer.size -= lots
            buyer.filled += lots
        else:
            take_from(book, bid, lots)
        if sell_waits:
            seller.size -= lots
            seller.filled += lots
        else:
            take_from(book, ask, lots)


@kernel
def uncross(book, log, batch, reference):
    """Clear a batch at one price, let rest what may, and empty it.

    Parameters
    ----------
    book, log, batch
        Records of the book, of its trade log and of the orders that wait.
    reference
        Price in ticks that decides where the orders leave it open.

    Returns
    -------
    tuple of int
        Price of the auction in ticks (0 if nothing trades) and lots traded.
    """
    buys, sells = _line_up(batch)
    price, volume = clearing_price(book, batch, buys, sells, reference)
    _serve(book, log, batch, buys, sells, price, volume)
    for number in range(batch.count):
        waiting = batch.orders[number]
        batch.bids[waiting.owner] = 0
        batch.asks[waiting.owner] = 0
        batch.loss[waiting.owner] = 0
        if waiting.kind != IMMEDIATE_OR_CANCEL:
            if waiting.asked > 0:
                batch.place[waiting.order] = 0
            if waiting.size > 0:
                place(
                    book,
                    log,
                    np.uint64(waiting.order),
                    waiting.owner,
                    waiting.side,
                    waiting.price,
                    waiting.size,
                    np.int64(LIMIT),
                )
    batch.cleared = batch.count
    batch.count = 0
    return price, volume
