"""How orders are executed where they wait for a batch: they enter it, leave it, and trade when it clears."""

import numpy as np

from blockspace.markets.batch import enter, uncross, withdraw
from blockspace.markets.collateral import ladder_loss, loss_at_limit, within_margin
from blockspace.markets.instruments import HANDLES
from blockspace.markets.matching import BUY, IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY, SELL, cancel, take_from
from blockspace.markets.settlement import settle_trades
from blockspace.network.compilation import kernel
from blockspace.network.transaction import CANCEL, LADDER, PLACE, QUOTE, REPLACE, effective_tip

MARKET_REACH = 10
"""Per cent beyond the mark up to which a market order is good in a batch, where nothing else bounds its price."""


@kernel
def _enter_batch(venue, block, slot, transaction, order, side, price, size, kind, loss):
    """Let an order of a transaction wait for the batch; whether it may. The batch notes where it comes from."""
    batch = venue.batches[transaction.instrument]
    book = venue.books[transaction.instrument]
    outcome = enter(book, batch, np.uint64(order), transaction.sender, side, price, size, kind, transaction.tie, loss)
    if outcome < 0:
        transaction.filled = outcome
        return False
    waiting = batch.orders[batch.count - 1]
    waiting.slot = slot
    waiting.block = block.number
    waiting.decided = transaction.decided
    waiting.gas = transaction.gas
    waiting.gas_price = block.base_fee + effective_tip(transaction, block.base_fee)
    return True


@kernel
def _place_in_batch(venue, block, slot, transaction):
    """Let an order wait for the batch; a market order gets a limit beyond the mark, and needs its margin there."""
    number = transaction.instrument
    instrument = venue.instruments[number]
    side, size, price = np.int64(transaction.side), np.int64(transaction.size), np.int64(transaction.price)
    kind = np.int64(transaction.style)
    if kind == MARKET:
        kind = np.int64(IMMEDIATE_OR_CANCEL)
        top = np.int64(len(venue.books[number].levels) - 1)
        reach = instrument.mark // 100 * (100 + side * MARKET_REACH) // instrument.tick_lot_value
        price = min(max(reach, np.int64(1)), top)
    loss = loss_at_limit(venue, number, side, price, size)
    bids = size if side > 0 else np.int64(0)
    if not within_margin(venue, transaction.sender, number, bids, size - bids, loss):
        return False
    return _enter_batch(venue, block, slot, transaction, transaction.order, side, price, size, kind, loss)


@kernel
def _quote_in_batch(venue, block, slot, transaction):
    """Withdraw the sender's whole ladder at once, from the book and from the batch, and let the new one wait."""
    number = transaction.instrument
    book, batch = venue.books[number], venue.batches[number]
    sender, size = transaction.sender, np.int64(transaction.size)
    first_handle = np.uint64(sender) * np.uint64(HANDLES)
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(2 * LADDER):
        handle = first_handle + np.uint64(level)
        if book.orders[handle].size > 0:
            cancel(book, handle, sender)
        withdraw(batch, handle, sender)
        bids += size * (level < LADDER and transaction.ladder[level] > 0)
        asks += size * (level >= LADDER and transaction.ladder[level] > 0)
    if not within_margin(venue, sender, number, bids, asks, ladder_loss(venue, transaction)):
        return False
    kind = np.int64(POST_ONLY if transaction.style == POST_ONLY else LIMIT)
    for level in range(2 * LADDER):
        price = np.int64(transaction.ladder[level])
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            loss = loss_at_limit(venue, number, side, price, size)
            handle = first_handle + np.uint64(level)
            _enter_batch(venue, block, slot, transaction, handle, side, price, size, kind, loss)
    transaction.filled = 0
    return True


@kernel
def _replace_in_batch(venue, block, slot, transaction):
    """Withdraw an order and let one of the same side and handle wait; in the book it may shrink in its place."""
    number = transaction.instrument
    book, batch = venue.books[number], venue.batches[number]
    sender, order = transaction.sender, np.uint64(transaction.order)
    price, size = np.int64(transaction.price), np.int64(transaction.size)
    rests = book.orders[order].size > 0
    if not rests and batch.place[order] == 0:
        return False
    if rests:
        there, at = np.int64(book.orders[order].size), np.int64(book.orders[order].price)
        side = np.int64(BUY if at <= book.best_bid else SELL)
    else:
        waiting = batch.orders[batch.place[order] - np.uint32(1)]
        there, at, side = waiting.size, waiting.price, waiting.side
    loss = loss_at_limit(venue, number, side, price, size)
    more = max(size - there, np.int64(0))
    bids = more if side > 0 else np.int64(0)
    if not within_margin(venue, sender, number, bids, more - bids, loss):
        return False
    if size <= 0 or size > book.largest_size or not 1 <= price <= len(book.levels) - 1:
        return False
    if rests and price == at and size <= there:
        take_from(book, order, there - size)
        return True
    if rests:
        cancel(book, order, sender)
    else:
        withdraw(batch, order, sender)
    return _enter_batch(venue, block, slot, transaction, order, side, price, size, np.int64(LIMIT), loss)


@kernel
def wait_for_batch(venue, block, slot, transaction):
    """Carry out what a sender wants, its own handles checked; what withdraws does so at once, the rest waits."""
    if transaction.kind == QUOTE:
        return _quote_in_batch(venue, block, slot, transaction)
    if transaction.kind == PLACE:
        return _place_in_batch(venue, block, slot, transaction)
    if transaction.kind == CANCEL:
        order = np.uint64(transaction.order)
        cancelled = cancel(venue.books[transaction.instrument], order, transaction.sender)
        if cancelled < 0:
            cancelled = withdraw(venue.batches[transaction.instrument], order, transaction.sender)
        transaction.filled = min(cancelled, 0)
        return cancelled > 0
    if transaction.kind == REPLACE:
        return _replace_in_batch(venue, block, slot, transaction)
    return False


@kernel
def clear_batches(venue, log, pool, block):
    """Clear the batch of every instrument if its time has come, settle it, and tell transactions what they got."""
    if block.time < venue.next_batch:
        return
    if venue.batch_interval > 0:
        venue.next_batch = (block.time // venue.batch_interval + 1) * venue.batch_interval
    venue.last_batch = block.number
    for number in range(venue.count):
        batch = venue.batches[number]
        instrument = venue.instruments[number]
        first = log.count
        uncross(venue.books[number], log, batch, np.int64(round(instrument.mark / instrument.tick_lot_value)))
        settle_trades(venue, log, number, first)
        for index in range(batch.cleared):
            waiting = batch.orders[index]
            if waiting.filled > 0 and waiting.block == block.number:
                pool.transactions[waiting.slot].filled += np.int32(waiting.filled)
