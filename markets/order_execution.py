"""How orders are executed where every order meets the book at once."""

import numpy as np

from blockspace.markets.collateral import (
    free_collateral,
    ladder_fits,
    ladder_loss,
    loss_at_limit,
    loss_at_market,
    within_margin,
)
from blockspace.markets.instruments import HANDLES
from blockspace.markets.matching import BUY, LIMIT, MARKET, POST_ONLY, SELL, cancel, finds_others, place, replace
from blockspace.markets.settlement import settle_trades
from blockspace.network.compilation import kernel
from blockspace.network.transaction import CANCEL, LADDER, PLACE, QUOTE, REPLACE


@kernel
def _place(venue, log, transaction):
    number = transaction.instrument
    book = venue.books[number]
    size = np.int64(transaction.size)
    bids = size if transaction.side > 0 else np.int64(0)
    side = np.int64(transaction.side)
    price = np.int64(transaction.price)
    if transaction.style == MARKET:
        loss = loss_at_market(venue, number, side, size)
    else:
        loss = loss_at_limit(venue, number, side, price, size)
    if not within_margin(venue, transaction.sender, number, bids, size - bids, loss):
        return False
    first = log.count
    filled = place(
        book,
        log,
        np.uint64(transaction.order),
        transaction.sender,
        side,
        price,
        size,
        np.int64(transaction.style),
    )
    transaction.filled = filled
    settle_trades(venue, log, number, first)
    return filled > 0 or (filled == 0 and transaction.style in (LIMIT, POST_ONLY))


@kernel
def _quote(venue, log, transaction):
    """Replace the sender's whole ladder in one stroke; a ladder beyond its margin leaves it without quotes."""
    number = transaction.instrument
    book = venue.books[number]
    sender = transaction.sender
    size = np.int64(transaction.size)
    first_handle = np.uint64(sender) * np.uint64(HANDLES)
    for level in range(2 * LADDER):
        handle = first_handle + np.uint64(level)
        if book.orders[handle].size > 0:
            cancel(book, handle, sender)
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(LADDER):
        bids += size * (transaction.ladder[level] > 0)
        asks += size * (transaction.ladder[LADDER + level] > 0)
    if not within_margin(venue, sender, number, bids, asks, ladder_loss(venue, transaction)):
        return False
    first = log.count
    filled = 0
    style = np.int64(POST_ONLY if transaction.style == POST_ONLY else LIMIT)
    for level in range(2 * LADDER):
        price = transaction.ladder[level]
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            handle = first_handle + np.uint64(level)
            filled += max(place(book, log, handle, sender, side, np.int64(price), size, style), 0)
    transaction.filled = filled
    settle_trades(venue, log, number, first)
    return True


@kernel
def _replace(venue, log, transaction):
    """Change price and size of a resting order; what is larger than before needs its margin."""
    book = venue.books[transaction.instrument]
    resting = np.int64(book.orders[transaction.order].size)
    size = np.int64(transaction.size)
    more = max(size - resting, 0)
    buys = book.orders[transaction.order].price <= book.best_bid
    bids = more if buys else np.int64(0)
    side = np.int64(BUY if buys else SELL)
    number = transaction.instrument
    loss = loss_at_limit(venue, number, side, np.int64(transaction.price), size)
    if resting == 0 or not within_margin(venue, transaction.sender, number, bids, more - bids, loss):
        return False
    if loss > 0 and loss > free_collateral(venue, transaction.sender):
        return False
    first = log.count
    transaction.filled = replace(book, log, transaction.order, transaction.sender, transaction.price, transaction.size)
    settle_trades(venue, log, transaction.instrument, first)
    return transaction.filled >= 0


@kernel
def would_leave_a_trace(venue, transaction):
    """Whether a transaction would fail and yet change the book, which revert protection must know beforehand.

    A ladder beyond its margin takes the old one down, and an order that meets none but its sender's own cancels them.
    """
    if transaction.instrument >= venue.count:
        return False
    if transaction.kind == QUOTE:
        return not ladder_fits(venue, transaction)
    if transaction.kind != PLACE or transaction.style == LIMIT or transaction.style == POST_ONLY or venue.batching != 0:
        return False
    book = venue.books[transaction.instrument]
    side = np.int64(transaction.side)
    limit = np.int64(transaction.price)
    if transaction.style == MARKET:
        limit = np.int64(len(book.levels) - 1 if side > 0 else 1)
    return not finds_others(book, transaction.sender, side, limit)


@kernel
def execute_order(venue, log, transaction):
    """Carry out what a sender wants of a book, its own handles checked; returns whether it succeeded."""
    if transaction.kind == QUOTE:
        return _quote(venue, log, transaction)
    if transaction.kind == PLACE:
        return _place(venue, log, transaction)
    if transaction.kind == CANCEL:
        cancelled = cancel(venue.books[transaction.instrument], np.uint64(transaction.order), transaction.sender)
        transaction.filled = min(cancelled, 0)
        return cancelled > 0
    if transaction.kind == REPLACE:
        return _replace(venue, log, transaction)
    return False
