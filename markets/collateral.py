"""Collateral: what an account may still commit, and what its orders need."""

import numpy as np

from blockspace.markets.clearing import unsettled_lots
from blockspace.markets.instruments import HANDLES, OPTION, PERPETUAL, SPOT
from blockspace.markets.margin import (
    CROSS,
    ISOLATED,
    PORTFOLIO,
    initial_margin,
    largest_option_margin,
    option_margin,
    unsettled_loss,
    worst_loss,
)
from blockspace.markets.matching import BUY, SELL, cost_to_fill
from blockspace.markets.options.series import has_touched
from blockspace.network.compilation import kernel
from blockspace.network.transaction import LADDER

LARGEST_VALUE = 2.0**60
"""Micro-dollars at mark (10^12 dollars) beyond which orders are out of every margin: sums stay within 64 bits."""


@kernel
def free_collateral(venue, account):
    """Cash, credit and marked positions, less what positions and resting orders need (micro-dollars).

    Where each position stands by itself, what was set aside for it is gone from the free collateral, gains included.
    """
    holder = venue.ledger.accounts[account]
    mode = venue.margin.mode
    free = holder.cash + unsettled_loss(venue, account)
    if mode != ISOLATED:
        free += venue.margin.credit[account]
    for number in range(venue.count):
        instrument = venue.instruments[number]
        if instrument.kind == OPTION:
            free += _option_collateral(venue, number, account)
            continue
        bids, asks = committed_lots(venue, number, account)
        if venue.batching != 0:
            free -= venue.batches[number].loss[account]
        if instrument.kind == PERPETUAL:
            position = holder.position[number]
            worst = max(abs(position + bids), abs(position - asks))
            if mode == ISOLATED:
                free -= venue.margin.set_aside[account, number]
            else:
                free += position * instrument.mark
            if mode == CROSS:
                free -= initial_margin(instrument, worst)
            else:
                free -= initial_margin(instrument, worst - abs(position))
        else:
            free -= bids * instrument.mark
    if mode == PORTFOLIO:
        free -= worst_loss(venue, account, np.int64(0), np.int64(0))
    return free


@kernel
def _option_collateral(venue, number, account):
    """What an option adds to an account's free collateral, less what it needs; most accounts have nothing of most."""
    if not has_touched(venue, account, number):
        return np.int64(0)
    instrument = venue.instruments[number]
    position = venue.ledger.accounts[account].position[number]
    bids, asks = committed_lots(venue, number, account)
    free = -largest_option_margin(instrument, position, bids, asks)
    if venue.batching != 0:
        free -= venue.batches[number].loss[account]
    if venue.margin.mode == ISOLATED:
        free -= venue.margin.set_aside[account, number]
    else:
        free += position * instrument.mark
    if venue.margin.mode != CROSS:
        free += option_margin(instrument, position)
    return free


@kernel
def value_at_risk(instrument, bids, asks):
    """Value on which orders of these lots could weigh: at mark, and at the index where it is an option."""
    unit = instrument.index if instrument.kind == OPTION else instrument.mark
    return np.float64(max(bids, asks)) * np.float64(unit)


@kernel
def resting_lots(book, account):
    """Lots that an account has resting in a book, as (bids, asks)."""
    bids = 0
    asks = 0
    for handle in range(account * HANDLES, account * HANDLES + HANDLES):
        order = book.orders[handle]
        if order.size > 0:
            if order.price <= book.best_bid:
                bids += order.size
            else:
                asks += order.size
    return bids, asks


@kernel
def committed_lots(venue, number, account):
    """Lots that an account has resting in a book, waiting for a batch or for settlement, as (bids, asks).

    Spot that is bought needs no margin once it is paid for, and what it owes for it until then is counted as a loss.
    """
    bids, asks = resting_lots(venue.books[number], account)
    if venue.batching != 0:
        bids += venue.batches[number].bids[account]
        asks += venue.batches[number].asks[account]
    bought, sold = unsettled_lots(venue, number, account)
    if venue.instruments[number].kind != SPOT:
        bids += bought
    return bids, asks + sold


@kernel
def loss_at_limit(venue, number, side, price, size):
    """Micro-dollars by which ``size`` lots at ``price`` ticks are worse than the mark; 0 if they are better."""
    instrument = venue.instruments[number]
    return max(side * (price * instrument.tick_lot_value - instrument.mark), 0) * size


@kernel
def loss_at_market(venue, number, side, size):
    """The same for what the book could fill of a market order now."""
    instrument = venue.instruments[number]
    lots, cost = cost_to_fill(venue.books[number], side, size)
    return max(side * (cost * instrument.tick_lot_value - lots * instrument.mark), 0)


@kernel
def within_margin(venue, account, number, bids, asks, loss):
    """Whether an account may add orders of ``bids`` and ``asks`` lots to an instrument, all of them filled or none.

    A perpetual or an option needs its initial margin on the larger of the two positions that could result, a spot
    purchase needs the cash, a spot sale needs the lots; and ``loss``, the micro-dollars by which the orders' prices are
    worse than the mark, must be there as well. Orders that make a position smaller always pass.
    """
    instrument = venue.instruments[number]
    if value_at_risk(instrument, bids, asks) > LARGEST_VALUE:
        return False
    position = venue.ledger.accounts[account].position[number]
    resting_bids, resting_asks = committed_lots(venue, number, account)
    if instrument.kind == OPTION:
        now = largest_option_margin(instrument, position, resting_bids, resting_asks)
        then = largest_option_margin(instrument, position, resting_bids + bids, resting_asks + asks)
        if then <= now:
            return True
        needed = _netted(venue, account, number, bids, asks, then - now)
        return needed + loss <= free_collateral(venue, account)
    if instrument.kind != PERPETUAL:
        if resting_asks + asks > position:
            return False
        return bids == 0 or bids * instrument.mark + loss <= free_collateral(venue, account)
    now = max(abs(position + resting_bids), abs(position - resting_asks))
    then = max(abs(position + resting_bids + bids), abs(position - resting_asks - asks))
    more = then - now
    if more <= 0:
        return True
    needed = _netted(venue, account, number, bids, asks, initial_margin(instrument, more))
    return needed + loss <= free_collateral(venue, account)


@kernel
def _netted(venue, account, number, bids, asks, needed):
    """What orders need: ``needed``, or what they add to the loss of the whole portfolio if that is what counts."""
    if venue.margin.mode != PORTFOLIO:
        return needed
    after = max(worst_loss(venue, account, number, bids), worst_loss(venue, account, number, -asks))
    return min(needed, after - worst_loss(venue, account, number, np.int64(0)))


@kernel
def ladder_loss(venue, transaction):
    """Micro-dollars by which the prices of a quote are worse than the mark, all levels together."""
    loss = np.int64(0)
    for level in range(2 * LADDER):
        price = np.int64(transaction.ladder[level])
        if price > 0:
            side = np.int64(BUY if level < LADDER else SELL)
            loss += loss_at_limit(venue, transaction.instrument, side, price, np.int64(transaction.size))
    return loss


@kernel
def ladder_fits(venue, transaction):
    """Whether a quote is within its sender's margin once the orders that it replaces, all in this book, are gone."""
    number = np.int64(transaction.instrument)
    instrument = venue.instruments[number]
    sender = transaction.sender
    bids = np.int64(0)
    asks = np.int64(0)
    for level in range(LADDER):
        bids += np.int64(transaction.size) * (transaction.ladder[level] > 0)
        asks += np.int64(transaction.size) * (transaction.ladder[LADDER + level] > 0)
    if value_at_risk(instrument, bids, asks) > LARGEST_VALUE:
        return False
    position = venue.ledger.accounts[sender].position[number]
    resting_bids, resting_asks = resting_lots(venue.books[number], sender)
    bought, sold = unsettled_lots(venue, number, sender)
    free = free_collateral(venue, sender)
    loss = ladder_loss(venue, transaction)
    if instrument.kind == OPTION:
        alone = largest_option_margin(instrument, position, bought, sold)
        free += largest_option_margin(instrument, position, resting_bids + bought, resting_asks + sold) - alone
        more = largest_option_margin(instrument, position, bids + bought, asks + sold) - alone
        return more <= 0 or _netted(venue, sender, number, bids, asks, more) + loss <= free
    if instrument.kind != PERPETUAL:
        free += resting_bids * instrument.mark
        return asks + sold <= position and (bids == 0 or bids * instrument.mark + loss <= free)
    alone = max(abs(position + bought), abs(position - sold))
    released = max(abs(position + resting_bids + bought), abs(position - resting_asks - sold))
    more = max(abs(position + bids + bought), abs(position - asks - sold)) - alone
    if venue.margin.mode == CROSS:
        free += initial_margin(instrument, released) - initial_margin(instrument, alone)
    else:
        free += initial_margin(instrument, released - abs(position))
    needed = _netted(venue, sender, number, bids, asks, initial_margin(instrument, more))
    return more <= 0 or needed + loss <= free
