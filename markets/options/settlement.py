"""Settlement: what becomes of the series of a tenor when they expire.

The settlement price is the mean of the index, taken once a second over the last seconds before the expiry (half an hour
on most exchanges of options; a quarter of the tenor where that is less). What an option is worth at that price
goes from those who are short to those who are long, to the micro-dollar: the lots of a series sum to zero, and
so do the payments.

Who cannot pay is in debt, and where accounts are liquidated the debt is borne as a liquidation's is, in the same order
and by the same code (:mod:`blockspace.markets.liquidation`): by the insurance fund as far as it goes, and beyond that
by those on the other side of the series, first those who have gained most. They are closed at the price at
which nothing is left of the debt. That is for what no liquidation can reach any more: a position that stood by itself,
or an account with no other position left. Whoever has others is liquidated in these, if it must be.
"""

import numpy as np

from blockspace.markets.batch import withdraw
from blockspace.markets.clearing_execution import settle_before_expiry
from blockspace.markets.instruments import HANDLES, SCENARIOS, SPOT
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT, ROUNDING, transfer_cash, transfer_position
from blockspace.markets.liquidation import begin_entry, deleverage, insure
from blockspace.markets.margin import ISOLATED, account_equity, equity_behind
from blockspace.markets.matching import cancel
from blockspace.markets.options.series import SETTLED, tenor_places
from blockspace.markets.trade_log import SETTLEMENT
from blockspace.network.compilation import kernel


@kernel
def settle_tenor(venue, log, tenor, time):
    """Settle all series of a tenor that has expired, and clear their books and everybody's accounts of them.

    Trades that still wait are settled before.
    """
    settle_before_expiry(venue, log)
    term = venue.options.tenors[tenor]
    term.open = 0
    price = (2 * term.sum + term.taken) // (2 * term.taken)
    first, end = tenor_places(venue.options, tenor)
    for number in range(first, end):
        instrument = venue.instruments[number]
        instrument.mark = max(instrument.right * (price - instrument.strike), np.int64(0))
        _record(venue, tenor, number, price, time)
        _clear_book(venue, number)
    if venue.margin.liquidates != 0:
        _bear_debts(venue, log, first, end)
    for number in range(first, end):
        instrument = venue.instruments[number]
        _pay_out(venue, number, instrument.mark)
        instrument.closed = 1
        instrument.mark = 0
        for scenario in range(SCENARIOS):
            instrument.changes[scenario] = 0


@kernel
def _record(venue, tenor, number, price, time):
    """Keep the terms of a series, what it pays, and its open lots for whoever records them."""
    options = venue.options
    instrument = venue.instruments[number]
    entry = options.settled[options.settled_count & (SETTLED - 1)]
    options.settled_count += 1
    entry.number = instrument.series
    entry.instrument = number
    entry.tenor = tenor
    entry.strike = instrument.strike
    entry.right = instrument.right
    entry.opened = instrument.opened
    entry.expiry = instrument.expiry
    entry.settled = time
    entry.price = price
    entry.payoff = instrument.mark
    entry.lots = 0
    for account in range(venue.ledger.count):
        entry.lots += max(venue.ledger.accounts[account].position[number], np.int64(0))


@kernel
def _clear_book(venue, number):
    """Cancel every order for an instrument, resting or waiting for a batch."""
    book = venue.books[number]
    waits = venue.batching != 0 and venue.batches[number].count > 0
    for account in range(venue.ledger.count):
        if book.resting == 0 and not waits:
            return
        for handle in range(account * HANDLES, account * HANDLES + HANDLES):
            if book.orders[handle].size > 0:
                cancel(book, np.uint64(handle), account)
            if waits:
                withdraw(venue.batches[number], np.uint64(handle), account)


@kernel
def _pay_out(venue, number, payoff):
    """Pay every holder, and take every writer's due, through ROUNDING, which keeps nothing."""
    ledger = venue.ledger
    left = ~(np.uint64(1) << np.uint64(number))
    for account in range(ledger.count):
        position = ledger.accounts[account].position[number]
        if position != 0:
            transfer_cash(ledger, np.int64(ROUNDING), account, position * payoff)
            transfer_position(ledger, account, np.int64(ROUNDING), number, position)
        venue.margin.cost[account, number] = 0
        venue.margin.set_aside[account, number] = 0
        venue.options.touched[account] &= left


@kernel
def _bear_debts(venue, log, first, end):
    """Let debts be borne until there are none: those who are closed against a debtor may come into debt themselves."""
    closed = True
    while closed:
        closed = False
        for account in range(FIRST_FREE_ACCOUNT, venue.ledger.count):
            if _holds(venue, account, first, end):
                if venue.margin.mode == ISOLATED:
                    closed |= _bear_each(venue, log, account, first, end)
                elif not _holds(venue, account, np.int64(0), first) and not _holds(venue, account, end, venue.count):
                    closed |= _bear_all(venue, log, account, first, end)


@kernel
def _holds(venue, account, first, end):
    """Whether an account has a position, spot left out, in the instruments from ``first`` up to ``end``."""
    for number in range(first, end):
        if venue.ledger.accounts[account].position[number] != 0 and venue.instruments[number].kind != SPOT:
            return True
    return False


@kernel
def _bear_each(venue, log, account, first, end):
    """Let the debt of every position be borne that stands by itself; returns whether anybody was closed for it."""
    closed = False
    for number in range(first, end):
        if venue.ledger.accounts[account].position[number] != 0:
            closed |= _bear(venue, log, number, account, -equity_behind(venue, account, number))
    return closed


@kernel
def _bear_all(venue, log, account, first, end):
    """Let the debt of an account be borne, in each series at most what it owes there, and the rest in the last one.

    The last one is the last in which it owes something, or the last that it has if it owes nothing in any.
    """
    missing = -account_equity(venue, account)
    positions = venue.ledger.accounts[account].position
    last, owes = np.int64(-1), False
    for number in range(first, end):
        owes_here = positions[number] * venue.instruments[number].mark < 0
        if owes_here or (positions[number] != 0 and not owes):
            last, owes = np.int64(number), owes or owes_here
    closed = False
    for number in range(first, end):
        part = max(-positions[number] * venue.instruments[number].mark, np.int64(0))
        part = missing if number == last else min(part, missing)
        closed |= _bear(venue, log, number, account, part)
        missing -= part
    return closed


@kernel
def _bear(venue, log, number, debtor, missing):
    """Let a debt in a series be borne, by the fund or by the other side; returns whether anybody was closed for it."""
    if missing <= 0:
        return False
    margin, mark = venue.margin, venue.instruments[number].mark
    entry = begin_entry(venue, log, number, debtor, margin.insurance, mark, -missing)
    missing = insure(venue, entry, number, debtor, missing)
    if missing > 0:
        lots = venue.ledger.accounts[debtor].position[number]
        deleverage(venue, log, entry, number, debtor, lots, missing, np.int64(SETTLEMENT))
    return entry.deleveraged > 0
