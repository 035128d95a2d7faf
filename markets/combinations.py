"""Combinations: several legs that trade together or not at all.

A leg is an instrument and a signed number of lots per unit of the combination. The whole size trades at once, at what
rests in the books and for no more than a limit on the net price, or nothing happens. Margin is asked of the result: the
legs that are bought pay for those that are sold, and in portfolio mode they net as they will once they are held.
"""

import numpy as np

from blockspace.markets.clearing import IMMEDIATE
from blockspace.markets.collateral import (
    LARGEST_VALUE,
    committed_lots,
    free_collateral,
    value_at_risk,
)
from blockspace.markets.instruments import OPTION, PERPETUAL, SPOT
from blockspace.markets.margin import ISOLATED, initial_margin, largest_option_margin
from blockspace.markets.matching import BUY, MARKET, SELL, next_ask_above, next_bid_below, place
from blockspace.markets.options.series import is_tradable, touch
from blockspace.markets.settlement import settle_trades
from blockspace.network.compilation import kernel
from blockspace.network.transaction import LEGS


@kernel
def leg_of(transaction, leg):
    """Instrument of a leg, and its signed lots for the whole size; (0, 0) where there is none."""
    return np.int64(transaction.ladder[2 * leg]), np.int64(transaction.ladder[2 * leg + 1]) * transaction.size


@kernel
def cost_from_others(book, taker, side, size):
    """Lots up to ``size`` that an account could get from everybody else now, and their price times lots."""
    found = np.int64(0)
    value = np.int64(0)
    price = np.int64(book.best_ask if side > 0 else book.best_bid)
    while found < size and 0 < price < len(book.levels):
        level = book.levels[np.uint64(price)]
        order = np.uint64(level.head)
        while found < size:
            resting = book.orders[order]
            if resting.owner != taker:
                lots = min(size - found, np.int64(resting.size))
                found += lots
                value += lots * price
            if order == level.tail:
                break
            order = np.uint64(resting.next)
        price = np.int64(next_ask_above(book, price) if side > 0 else next_bid_below(book, price))
    return found, value


@kernel
def _is_sound(venue, transaction):
    """Whether the legs are different instruments that trade, in sizes that their books take."""
    if venue.batching != 0 or transaction.size <= 0 or transaction.ladder[1] == 0:
        return False
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots == 0:
            continue
        if not 0 <= number < venue.count or not is_tradable(venue, number, transaction.decided):
            return False
        if abs(lots) > venue.books[number].largest_size:
            return False
        if value_at_risk(venue.instruments[number], abs(lots), np.int64(0)) > LARGEST_VALUE:
            return False
        for earlier in range(leg):
            if transaction.ladder[2 * earlier] == number and transaction.ladder[2 * earlier + 1] != 0:
                return False
    return True


@kernel
def _net_cost(venue, transaction):
    """Whether the books hold the whole size, and its net cost there in micro-dollars, without fees."""
    cost = np.int64(0)
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots == 0:
            continue
        side = np.int64(BUY if lots > 0 else SELL)
        found, value = cost_from_others(venue.books[number], transaction.sender, side, abs(lots))
        if found < abs(lots):
            return False, cost
        cost += side * value * venue.instruments[number].tick_lot_value
    return True, cost


@kernel
def _fits_together(venue, transaction, cost):
    """Whether the collateral suffices once the account has the legs and has paid, or is no less than before."""
    before = free_collateral(venue, np.int64(transaction.sender))
    _suppose(venue, transaction, cost, np.int64(1))
    after = free_collateral(venue, np.int64(transaction.sender))
    _suppose(venue, transaction, cost, np.int64(-1))
    return after >= 0 or after >= before


@kernel
def _suppose(venue, transaction, cost, sign):
    """Give the sender the legs and take their cost, on its account or as claims; the other way round with -1."""
    holder = venue.ledger.accounts[transaction.sender]
    at_once = venue.clearing.mode == IMMEDIATE
    if at_once:
        holder.cash -= sign * cost
    else:
        venue.clearing.cash[transaction.sender] -= sign * cost
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots != 0 and at_once:
            holder.position[number] += sign * lots
        elif lots != 0:
            venue.clearing.lots[transaction.sender, number] += sign * lots


@kernel
def _fits_each(venue, transaction, cost):
    """The same where every position stands by itself: what the legs need one by one must be free."""
    sender = np.int64(transaction.sender)
    needed = np.int64(0)
    loss = cost
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots == 0:
            continue
        instrument = venue.instruments[number]
        loss -= lots * instrument.mark
        position = venue.ledger.accounts[sender].position[number]
        bids, asks = committed_lots(venue, number, sender)
        after = position + lots
        if instrument.kind == OPTION:
            needed += largest_option_margin(instrument, after, bids, asks)
            needed -= largest_option_margin(instrument, position, bids, asks)
        elif instrument.kind == PERPETUAL:
            needed += initial_margin(instrument, max(abs(after + bids), abs(after - asks)))
            needed -= initial_margin(instrument, max(abs(position + bids), abs(position - asks)))
        else:
            needed += lots * instrument.mark
    return needed <= 0 or needed + max(loss, np.int64(0)) <= free_collateral(venue, sender)


@kernel
def _holds_what_it_sells(venue, transaction):
    """Whether the lots of spot that are sold are there, and not in other orders."""
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots < 0 and venue.instruments[number].kind == SPOT:
            _, asks = committed_lots(venue, number, np.int64(transaction.sender))
            if venue.ledger.accounts[transaction.sender].position[number] - asks < -lots:
                return False
    return True


@kernel
def execute_combination(venue, log, transaction):
    """Trade all legs of a combination, or none; returns whether it traded. Receipts count the lots of all legs."""
    if not _is_sound(venue, transaction) or not _holds_what_it_sells(venue, transaction):
        return False
    there, cost = _net_cost(venue, transaction)
    if not there or cost > transaction.bound:
        return False
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots != 0 and venue.instruments[number].kind == OPTION:
            touch(venue, transaction.sender, number)
    if venue.margin.mode == ISOLATED:
        if not _fits_each(venue, transaction, cost):
            return False
    elif not _fits_together(venue, transaction, cost):
        return False
    for leg in range(LEGS):
        number, lots = leg_of(transaction, leg)
        if lots == 0:
            continue
        first = log.count
        side = np.int64(BUY if lots > 0 else SELL)
        zero = np.int64(0)
        transaction.filled += place(
            venue.books[number], log, zero, transaction.sender, side, zero, abs(lots), np.int64(MARKET)
        )
        settle_trades(venue, log, number, first)
    return True
