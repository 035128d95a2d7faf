"""Liquidation: how a position that has too little behind it changes hands.

A liquidator takes a part of the position at the mark, less a bonus, and a penalty goes to the insurance fund; both come
out of what is left of the debtor's equity. If nothing is left, the insurance fund first pays what is missing, and the
bonus. If it cannot, everything that it has goes to the debtor, and the position is closed against those on the other
side who have gained most (*auto-deleveraging*), in the order of their profit times their leverage (BitMEX, 2015), at
the price at which the debtor's equity comes to nothing. So no debt is left, and every part of it is somebody's loss.

Whose collateral is on another chain may be left with less than nothing here, up to its credit, and owes that from
there. What does not come is a bad debt (:func:`settle_debt`): the insurance fund bears it, then those who have gained.
Debts that the settlement of options leaves are borne in the same way (:mod:`blockspace.markets.options.settlement`).
"""

import numpy as np

from blockspace.markets.batch import withdraw
from blockspace.markets.collateral import within_margin
from blockspace.markets.instruments import HANDLES, SPOT
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT, transfer_cash, transfer_position
from blockspace.markets.margin import ISOLATED, backing, equity_behind, maintenance_of, note_trade, share_of
from blockspace.markets.matching import MILLION, cancel
from blockspace.markets.trade_log import DELEVERAGING, LIQUIDATION, SETTLEMENT, append_closing
from blockspace.network.compilation import kernel

LIQUIDATIONS = 32_768
"""Entries that the log holds: a power of two, and more than there are accounts that a settlement may find in debt."""

LIQUIDATED = np.dtype(
    [
        ("time", "i8"),  # ns
        ("block", "i8"),
        ("below_since", "i8"),  # ns: when the account first had too little
        ("listed", "i8"),  # ns: since when what lies in the instrument's place was listed
        ("account", "u4"),
        ("liquidator", "u4"),  # the insurance fund, if the debt was left by a settlement
        ("instrument", "u4"),
        ("deleveraged", "u4"),  # accounts that were closed against the debtor; 0 if the liquidator or the fund sufficed
        ("lots", "i8"),  # of the debtor's position that changed hands; negative if it was short
        ("mark", "i8"),  # micro-dollars per lot
        ("external_price", "f8"),  # dollars per unit
        # In micro-dollars:
        ("equity", "i8"),  # behind the position before
        ("bonus", "i8"),
        ("penalty", "i8"),
        ("insurance", "i8"),  # what the insurance fund paid for
        ("socialised", "i8"),  # what those lost who were closed against the debtor
    ],
    align=True,
)

LIQUIDATION_LOG = np.dtype([("entries", LIQUIDATED, (LIQUIDATIONS,)), ("count", "i8")], align=True)
"""A ring: entry ``n`` lies at ``n & (LIQUIDATIONS - 1)``."""


@kernel
def _withdraw_orders(venue, account, number):
    """Take the debtor's orders down: in one book if the position is isolated, else in all."""
    for other in range(venue.count):
        if venue.margin.mode == ISOLATED and other != number:
            continue
        book = venue.books[other]
        for handle in range(account * HANDLES, account * HANDLES + HANDLES):
            if book.orders[handle].size > 0:
                cancel(book, np.uint64(handle), account)
            if venue.batching != 0:
                withdraw(venue.batches[other], np.uint64(handle), account)


@kernel
def _close(venue, log, number, debtor, other, lots, paid, cause):
    """Move ``lots`` (signed) of a debtor's position to another account, who pays ``paid`` (negative: is paid)."""
    ledger = venue.ledger
    transfer_position(ledger, debtor, other, number, lots)
    transfer_cash(ledger, other, debtor, paid)
    note_trade(venue, debtor, number, -lots, -paid)
    note_trade(venue, other, number, lots, paid)
    if cause == SETTLEMENT:
        return
    price = abs(paid) // abs(lots) // venue.instruments[number].tick_lot_value
    append_closing(log, number, np.int64(1 if lots > 0 else -1), price, abs(lots), abs(paid), debtor, other, cause)


@kernel
def _pay_in(venue, account, number, amount):
    """Let the insurance fund pay into an account, for one of its positions."""
    transfer_cash(venue.ledger, np.int64(venue.margin.insurance), account, amount)
    if venue.margin.mode == ISOLATED:
        venue.margin.set_aside[account, number] += amount


@kernel
def insure(venue, entry, number, debtor, missing):
    """Let the insurance fund pay what an account is missing, as far as it can; returns what is missing still."""
    fund = venue.ledger.accounts[venue.margin.insurance].cash
    entry.insurance = min(max(fund, np.int64(0)), missing)
    _pay_in(venue, debtor, number, entry.insurance)
    return missing - entry.insurance


@kernel
def deleveraging_rank(venue, account, number):
    """Profit on a position's cost, times its leverage: who has most of it is closed first."""
    instrument = venue.instruments[number]
    lots = venue.ledger.accounts[account].position[number]
    value = np.float64(abs(lots) * instrument.mark)
    cost = np.float64(venue.margin.cost[account, number])
    profit = np.float64(lots * instrument.mark) - cost
    equity = max(np.float64(equity_behind(venue, account, number)), 1.0)
    return profit / max(abs(cost), 1.0) * (value / equity)


@kernel
def _next_in_rank(venue, debtor, number, side):
    """Account on the other side that is to be closed next; -1 if there is nobody left."""
    best, rank = np.int64(-1), 0.0
    for account in range(FIRST_FREE_ACCOUNT, venue.ledger.count):
        lots = venue.ledger.accounts[account].position[number]
        if account != debtor and lots * side < 0:
            here = deleveraging_rank(venue, account, number)
            if best < 0 or here > rank:
                best, rank = np.int64(account), here
    return best


@kernel
def deleverage(venue, log, entry, number, debtor, lots, missing, cause):
    """Close all of a position against the other side, who bear what is missing in proportion to their lots."""
    side = np.int64(1 if lots > 0 else -1)
    left, owed = abs(lots), missing
    mark = venue.instruments[number].mark
    while left > 0:
        other = _next_in_rank(venue, debtor, number, side)
        if other < 0:
            break
        taken = min(abs(venue.ledger.accounts[other].position[number]), left)
        share = owed // left * taken + owed % left * taken // left
        _close(venue, log, number, debtor, other, side * taken, side * taken * mark + share, cause)
        entry.socialised += share
        entry.deleveraged += 1
        left -= taken
        owed -= share
    entry.lots = side * (abs(lots) - left)


@kernel
def execute_liquidation(venue, log, transaction):
    """Carry out what a liquidator asks for; returns whether the account could be liquidated.

    ``order`` is the debtor's account and ``size`` the most lots that the liquidator wants. Nothing happens to an
    account that has enough.
    """
    margin = venue.margin
    number, debtor, liquidator = transaction.instrument, np.int64(transaction.order), np.int64(transaction.sender)
    if margin.liquidates == 0 or venue.instruments[number].kind == SPOT or transaction.size <= 0:
        return False
    if not FIRST_FREE_ACCOUNT <= debtor < venue.ledger.count or debtor == liquidator:
        return False
    lots = venue.ledger.accounts[debtor].position[number]
    equity, needed = equity_behind(venue, debtor, number), maintenance_of(venue, debtor, number)
    backed = backing(venue, debtor, number)
    if lots == 0 or backed >= needed:
        return False
    mark = venue.instruments[number].mark
    side = np.int64(1 if lots > 0 else -1)
    taken = abs(lots)
    if 2 * backed >= needed:
        taken = (taken * margin.partial_ppm + MILLION - 1) // MILLION
    taken = min(taken, np.int64(transaction.size))
    bonus = share_of(taken * mark, margin.bonus_ppm)
    behind = max(equity, backed)  # credit below zero brings a liquidation on, but makes nobody insolvent here
    fund = venue.ledger.accounts[margin.insurance].cash
    covered = behind >= 0 or fund >= bonus - behind
    if covered and not within_margin(
        venue, liquidator, number, taken if side > 0 else np.int64(0), taken if side < 0 else np.int64(0), np.int64(0)
    ):
        return False
    entry = begin_entry(venue, log, number, debtor, transaction.sender, mark, equity)
    _withdraw_orders(venue, debtor, number)
    if not covered:
        missing = insure(venue, entry, number, debtor, -behind)
        deleverage(venue, log, entry, number, debtor, lots, missing, np.int64(DELEVERAGING))
        return True
    if behind >= 0:
        bonus = min(bonus, behind)
        entry.penalty = min(share_of(taken * mark, margin.penalty_ppm), behind - bonus)
    else:
        entry.insurance = bonus - behind
        _pay_in(venue, debtor, number, entry.insurance)
    entry.lots = side * taken
    entry.bonus = bonus
    _pay_in(venue, debtor, number, -entry.penalty)
    _close(venue, log, number, debtor, liquidator, side * taken, side * taken * mark - bonus, np.int64(LIQUIDATION))
    transaction.filled = taken
    return True


@kernel
def settle_debt(venues, account):
    """Write off what an account without positions owes; returns what the insurance fund and what others paid.

    The fund pays what it has. The rest is taken from those whose open positions have gained, in proportion to their
    gain, and never more than it (a clawback, as exchanges did before they closed positions). What all their gains do
    not cover stays owed.
    """
    return write_off(venues[0], account)


@kernel
def write_off(venue, account):
    """The same for the record of one venue."""
    ledger, margin = venue.ledger, venue.margin
    owed = -ledger.accounts[account].cash
    if owed <= 0:
        return np.int64(0), np.int64(0)
    insured = min(max(ledger.accounts[margin.insurance].cash, np.int64(0)), owed)
    transfer_cash(ledger, np.int64(margin.insurance), account, insured)
    owed -= insured
    gains = np.int64(0)
    for other in range(FIRST_FREE_ACCOUNT, ledger.count):
        gains += _gain(venue, other)
    left, socialised = gains, np.int64(0)
    owed = min(owed, gains)
    for other in range(FIRST_FREE_ACCOUNT, ledger.count):
        gain = _gain(venue, other)
        if gain > 0 and owed > 0:
            # Of what is still owed, in proportion to the gains that are still there: it adds up to the last unit.
            part = min(np.int64(np.float64(owed) * (np.float64(gain) / np.float64(left))), owed)
            if gain == left:
                part = owed
            transfer_cash(ledger, np.int64(other), account, part)
            socialised += part
            owed -= part
        left -= gain
    return insured, socialised


@kernel
def _gain(venue, account):
    """What an account has gained on its open positions, each by itself; losses do not count."""
    gain = np.int64(0)
    for number in range(venue.count):
        lots = venue.ledger.accounts[account].position[number]
        if lots != 0 and venue.instruments[number].kind != SPOT:
            gain += max(lots * venue.instruments[number].mark - venue.margin.cost[account, number], np.int64(0))
    return gain


@kernel
def begin_entry(venue, log, number, debtor, liquidator, mark, equity):
    """Begin an entry of the log of liquidations, to be filled with what becomes of the debtor."""
    liquidations = venue.liquidations
    entry = liquidations.entries[liquidations.count & (LIQUIDATIONS - 1)]
    liquidations.count += 1
    entry.time = log.time
    entry.block = log.block
    since = venue.margin.below_since[debtor]
    entry.below_since = since if since > 0 else log.time
    entry.listed = venue.instruments[number].opened
    entry.account = debtor
    entry.liquidator = liquidator
    entry.instrument = number
    entry.deleveraged = 0
    entry.lots = 0
    entry.mark = mark
    entry.external_price = log.external_price
    entry.equity = equity
    entry.bonus = 0
    entry.penalty = 0
    entry.insurance = 0
    entry.socialised = 0
    return entry
