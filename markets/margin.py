"""Margin: what the positions of an account are worth, what they need, and who has too little.

An account's *equity* is its cash and its marked positions. Opening a position takes its initial margin, keeping it the
*maintenance* requirement, a share of that; an account with less equity than that can be liquidated
(:mod:`blockspace.markets.liquidation`). What stands behind what depends on the venue's mode:

- *cross*: all of an account's equity behind all of its positions, whose requirements add up;
- *isolated*: behind each position only the cash that was set aside for it when it was opened, and what it has earned;
- *portfolio*: all of its equity behind all of its positions together, which need what they would lose in the worst of a
  set of scenarios of the price (and, for options, of the volatility), so that positions that hedge each other need
  little. This is how exchanges' risk arrays work (SPAN; CME Group, 2019).

Where trades wait to be settled (:mod:`blockspace.markets.clearing`), positions are those that are settled, and what
claims have lost at the marks counts as lost; what they have gained does not count.

An account may have *credit* for what its owner has on other chains (:mod:`blockspace.markets.unified_margin`): it
counts as equity wherever a requirement is checked, in the modes in which all equity stands together.

All amounts are in micro-dollars.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from blockspace.markets.clearing import IMMEDIATE
from blockspace.markets.instruments import OPTION, SCENARIOS, SPOT
from blockspace.markets.ledger import ACCOUNTS, FIRST_FREE_ACCOUNT, INSTRUMENTS
from blockspace.markets.matching import MILLION
from blockspace.network.compilation import kernel

CROSS, ISOLATED, PORTFOLIO = range(3)
MARGIN_MODES = ("cross", "isolated", "portfolio")

MOST_DUE = 1024
"""Accounts below maintenance that are listed at once, first come; the next ones follow when there is room."""

DUE = np.dtype(
    [
        ("account", "u4"),
        ("instrument", "u4"),  # its position there needs most
        ("lots", "i8"),  # of that position
        ("equity", "i8"),  # behind it, credit included
        ("maintenance", "i8"),  # that it should have
    ],
    align=True,
)
"""An account that has too little, as everybody may know who has received the block."""

MARGIN = np.dtype(
    [
        ("liquidates", "u1"),  # 1 if accounts below maintenance can be liquidated
        ("mode", "u1"),
        ("insurance", "u4"),  # account of the insurance fund
        ("maintenance_ppm", "i8"),  # of the initial margin
        ("partial_ppm", "i8"),  # of a position that one liquidation may take while half of the maintenance is there
        ("bonus_ppm", "i8"),  # of the value that is taken, to the liquidator
        ("penalty_ppm", "i8"),  # of it, to the insurance fund
        ("price_moves", "f8", (SCENARIOS,)),  # portfolio: relative moves of the price, scenario by scenario
        ("volatility_moves", "f8", (SCENARIOS,)),  # the same of the volatility
        ("losses", "i8", (SCENARIOS,)),  # of the portfolio that is being looked at
        ("counts_long", "i8", (INSTRUMENTS,)),  # mark of a lot, less the most that it can need
        ("counts_short", "i8", (INSTRUMENTS,)),  # mark of a lot that is short, and the most that it can need
        ("cost", "i8", (ACCOUNTS, INSTRUMENTS)),  # paid for the open position, at average cost; received, if negative
        ("set_aside", "i8", (ACCOUNTS, INSTRUMENTS)),  # isolated: cash behind the position, trades' flows included
        ("credit", "i8", (ACCOUNTS,)),  # what the account's owner has elsewhere and may count here; less, if negative
        ("below_since", "i8", (ACCOUNTS,)),  # ns since when an account has had too little; 0 if it has enough
        ("due", DUE, (MOST_DUE,)),
        ("due_count", "i8"),
    ],
    align=True,
)


@kernel
def initial_margin(instrument, lots):
    """Initial margin of ``lots`` (0 or more) of a perpetual at mark, rounded down.

    Whole millions are split off first, so that nothing overflows where the value at mark fits.
    """
    return share_of(lots * instrument.mark, instrument.initial_margin_ppm)


@kernel
def short_margin(instrument, share_ppm, minimum_ppm):
    """What a lot of a short option needs beyond its mark: a share of the index less what it is out of the money by.

    With the mark, by which it lowers equity, this is the usual rule (Cboe, 2000; Deribit, 2023): mark and the larger of
    ``share x index - out of the money`` and ``minimum x index``.
    """
    away = max(instrument.right * (instrument.strike - instrument.index), np.int64(0))
    return max(share_of(instrument.index, share_ppm) - away, share_of(instrument.index, minimum_ppm))


@kernel
def option_margin(instrument, lots):
    """Initial margin of ``lots`` (signed) of an option; a long one needs all of its value: nothing is lent on it."""
    if lots >= 0:
        return lots * instrument.mark
    return -lots * short_margin(instrument, instrument.initial_margin_ppm, instrument.initial_minimum_ppm)


@kernel
def largest_option_margin(instrument, position, bids, asks):
    """Initial margin of an option's position with resting orders: of the worse of the two that could result."""
    return max(option_margin(instrument, position + bids), option_margin(instrument, position - asks))


@kernel
def share_of(value, ppm):
    """``ppm`` millionths of ``value`` (0 or more), rounded down, without overflow."""
    return value // MILLION * ppm + value % MILLION * ppm // MILLION


@kernel
def _end_of(venue, account):
    """One past the last instrument in which an account may have a position: most never have anything of options."""
    if venue.options.tenor_count > 0 and venue.options.touched[account] == 0:
        return venue.options.first
    return venue.count


@kernel
def _least_for_short(instrument, lots):
    """What a short option needs however well it is hedged, against what no scenario shows."""
    if instrument.kind != OPTION or lots >= 0:
        return np.int64(0)
    return -lots * share_of(instrument.index, instrument.portfolio_minimum_ppm)


@kernel
def worst_loss(venue, account, number, more):
    """What an account's positions would lose in the worst scenario, with ``more`` lots of one instrument added."""
    positions = venue.ledger.accounts[account].position
    losses = venue.margin.losses
    added = venue.instruments[number]
    for scenario in range(SCENARIOS):
        losses[scenario] = -more * added.changes[scenario]
    worst = _least_for_short(added, positions[number] + more)
    for other in range(_end_of(venue, account)):
        lots = positions[other]
        instrument = venue.instruments[other]
        if lots != 0 and instrument.kind != SPOT:
            for scenario in range(SCENARIOS):
                losses[scenario] -= lots * instrument.changes[scenario]
            if other != number:
                worst += _least_for_short(instrument, lots)
    for scenario in range(SCENARIOS):
        worst = max(worst, losses[scenario])
    return worst


@kernel
def unsettled_loss(venue, account):
    """What an account's claims have lost at the marks, spot without value: 0 or less."""
    if venue.clearing.mode == IMMEDIATE:
        return np.int64(0)
    value = venue.clearing.cash[account]
    for number in range(_end_of(venue, account)):
        lots = venue.clearing.lots[account, number]
        if lots != 0 and venue.instruments[number].kind != SPOT:
            value += lots * venue.instruments[number].mark
    return min(value, np.int64(0))


@kernel
def account_equity(venue, account):
    """Cash and marked positions of an account, spot left out, less what its claims have lost."""
    holder = venue.ledger.accounts[account]
    equity = holder.cash + unsettled_loss(venue, account)
    for number in range(_end_of(venue, account)):
        if holder.position[number] != 0 and venue.instruments[number].kind != SPOT:
            equity += holder.position[number] * venue.instruments[number].mark
    return equity


@kernel
def equity_behind(venue, account, number):
    """What stands behind a position: all of an account's equity, or what was set aside for it."""
    if venue.margin.mode != ISOLATED:
        return account_equity(venue, account)
    lots = venue.ledger.accounts[account].position[number]
    return venue.margin.set_aside[account, number] + lots * venue.instruments[number].mark


@kernel
def backing(venue, account, number):
    """What counts as standing behind a position: its equity here, and the account's credit from elsewhere.

    Where each position stands by itself there is no credit.
    """
    if venue.margin.mode == ISOLATED:
        return equity_behind(venue, account, number)
    return account_equity(venue, account) + venue.margin.credit[account]


@kernel
def position_maintenance(venue, account, number):
    """Maintenance requirement of one position by itself."""
    return maintenance_of_lots(venue, number, venue.ledger.accounts[account].position[number])


@kernel
def maintenance_of_lots(venue, number, lots):
    """Maintenance requirement of ``lots`` (signed) of an instrument by themselves."""
    instrument = venue.instruments[number]
    if instrument.kind == OPTION:
        shorts = max(-lots, np.int64(0))
        return shorts * short_margin(instrument, instrument.maintenance_share_ppm, instrument.maintenance_minimum_ppm)
    return share_of(initial_margin(instrument, abs(lots)), venue.margin.maintenance_ppm)


@kernel
def maintenance_of(venue, account, number):
    """What should stand behind a position: its own requirement if it is isolated, else those of the whole account."""
    margin = venue.margin
    if margin.mode == ISOLATED:
        return position_maintenance(venue, account, number)
    if margin.mode == PORTFOLIO:
        return share_of(worst_loss(venue, account, number, np.int64(0)), margin.maintenance_ppm)
    needed = np.int64(0)
    for other in range(_end_of(venue, account)):
        if venue.instruments[other].kind != SPOT and venue.ledger.accounts[account].position[other] != 0:
            needed += position_maintenance(venue, account, other)
    return needed


@kernel
def note_trade(venue, account, number, lots, paid):
    """Keep cost and set-aside cash of a position up to date after ``lots`` (signed) were bought for ``paid``."""
    margin = venue.margin
    after = venue.ledger.accounts[account].position[number]
    before = after - lots
    cost = margin.cost[account, number]
    if after == 0:
        cost = np.int64(0)
    elif before == 0 or (before > 0) == (lots > 0):
        cost += paid
    elif (before > 0) == (after > 0):
        cost -= cost // abs(before) * abs(lots) + cost % abs(before) * abs(lots) // abs(before)
    else:
        cost = paid // abs(lots) * abs(after) + paid % abs(lots) * abs(after) // abs(lots)
    margin.cost[account, number] = cost
    if margin.mode == ISOLATED:
        _set_aside(venue, account, number, before, after, paid)


@kernel
def _set_aside(venue, account, number, before, after, paid):
    """Let a position keep what its trades bring, and top it up to its initial margin when it grows."""
    margin = venue.margin
    if after == 0:
        margin.set_aside[account, number] = 0
        return
    margin.set_aside[account, number] -= paid
    if abs(after) > abs(before) or (before > 0) != (after > 0):
        instrument = venue.instruments[number]
        needed = (
            option_margin(instrument, after) if instrument.kind == OPTION else initial_margin(instrument, abs(after))
        )
        wanted = needed - after * instrument.mark
        margin.set_aside[account, number] = max(margin.set_aside[account, number], wanted)


@kernel
def _share_rounded_up(value, ppm):
    """``ppm`` millionths of ``value``, rounded up: what no sum of such shares exceeds, however it is rounded down."""
    return value // MILLION * ppm + (value % MILLION * ppm + MILLION - 1) // MILLION


@kernel
def _most_needed(venue, number, side):
    """Most that a lot of an instrument can add to a maintenance requirement, long (1) or short (-1)."""
    margin = venue.margin
    instrument = venue.instruments[number]
    if margin.mode == PORTFOLIO:
        most = np.int64(0)
        for scenario in range(SCENARIOS):
            most = max(most, abs(instrument.changes[scenario]))
        return _share_rounded_up(most + _least_for_short(instrument, np.int64(-1)), margin.maintenance_ppm)
    if instrument.kind == OPTION:
        if side > 0:
            return np.int64(0)
        return short_margin(instrument, instrument.maintenance_share_ppm, instrument.maintenance_minimum_ppm)
    return _share_rounded_up(_share_rounded_up(instrument.mark, instrument.initial_margin_ppm), margin.maintenance_ppm)


@kernel
def _bound_lots(venue):
    """Find what a lot of each instrument counts for at least, once for all accounts: its mark, less what it needs."""
    margin = venue.margin
    for number in range(venue.count):
        margin.counts_long[number] = margin.counts_short[number] = 0
        if venue.instruments[number].kind != SPOT:
            mark = venue.instruments[number].mark
            margin.counts_long[number] = mark - _most_needed(venue, number, np.int64(1))
            margin.counts_short[number] = mark + _most_needed(venue, number, np.int64(-1))


@kernel
def _counts_for(margin, number, lots):
    """What a position adds at least to what an account has beyond what it needs: the lower is that of its own side."""
    return min(lots * margin.counts_long[number], lots * margin.counts_short[number])


@kernel
def _is_safe(venue, account):
    """Whether an account has enough even if each of its positions needs the most that it can: true of nearly all.

    No share is rounded down and nothing is netted, so that nobody is safe who is below maintenance. Whoever is not safe
    may be below it, and is looked at closely. Claims are not looked at: the answer holds where trades settle at once.
    """
    margin = venue.margin
    positions = venue.ledger.accounts[account].position
    isolated = margin.mode == ISOLATED
    together = venue.ledger.accounts[account].cash + margin.credit[account]
    alone = np.int64(0)  # the least that is left behind any position by itself
    for number in range(venue.options.first if venue.options.tenor_count > 0 else venue.count):
        spare = _counts_for(margin, number, positions[number])
        together += spare
        if isolated:
            alone = min(alone, margin.set_aside[account, number] + spare)
    options = venue.options.touched[account]
    while options:
        number = np.int64(trailing_zeros(options))
        options &= options - np.uint64(1)
        spare = _counts_for(margin, number, positions[number])
        together += spare
        if isolated:
            alone = min(alone, margin.set_aside[account, number] + spare)
    return alone >= 0 if isolated else together >= 0


@kernel
def scan_margin(venues, blocks):
    """Find the accounts that have too little at the marks of the block; one scan serves everybody.

    The earliest stay on the list until they have enough or have nothing; the list is public once the block is. Where
    trades wait for settlement, the list is of what is settled, but an account has too little from the moment at which
    that is so with its claims.
    """
    venue = venues[0]
    margin = venue.margin
    margin.due_count = 0
    if margin.liquidates == 0:
        return
    _bound_lots(venue)
    for account in range(FIRST_FREE_ACCOUNT, venue.ledger.count):
        if venue.clearing.mode == IMMEDIATE and _is_safe(venue, account):
            margin.below_since[account] = 0
            continue
        positions = venue.ledger.accounts[account].position
        below = False
        for number in range(_end_of(venue, account)):
            if positions[number] == 0 or venue.instruments[number].kind == SPOT:
                continue
            equity = backing(venue, account, number)
            needed = maintenance_of(venue, account, number)
            if equity < needed:
                below = True
                _list_due(venue, account, number, equity, needed)
            if margin.mode != ISOLATED:
                break
        if venue.clearing.mode != IMMEDIATE and not below:
            below = _will_have_too_little(venue, account)
        if not below:
            margin.below_since[account] = 0
        elif margin.below_since[account] == 0:
            margin.below_since[account] = blocks[0].time


@kernel
def _will_have_too_little(venue, account):
    """Whether an account would be below maintenance if its claims were settled; nobody can liquidate it before."""
    holder, clearing = venue.ledger.accounts[account], venue.clearing
    equity = holder.cash + clearing.cash[account] + venue.margin.credit[account]
    needed = np.int64(0)
    for number in range(_end_of(venue, account)):
        lots = holder.position[number] + clearing.lots[account, number]
        if lots != 0 and venue.instruments[number].kind != SPOT:
            equity += lots * venue.instruments[number].mark
            needed += maintenance_of_lots(venue, number, lots)
    return equity < needed


@kernel
def _list_due(venue, account, number, equity, needed):
    """Put an account on the list; where all positions stand together, with the one that needs most."""
    margin = venue.margin
    if margin.due_count == MOST_DUE:
        return
    if margin.mode != ISOLATED:
        for other in range(venue.count):
            if venue.instruments[other].kind != SPOT and _value(venue, account, other) > _value(venue, account, number):
                number = other
    entry = margin.due[margin.due_count]
    margin.due_count += 1
    entry.account = account
    entry.instrument = number
    entry.lots = venue.ledger.accounts[account].position[number]
    entry.equity = equity
    entry.maintenance = needed


@kernel
def _value(venue, account, number):
    """Value of a position at mark, whatever its side; of the underlying for short options, nothing for long ones."""
    if venue.instruments[number].kind == OPTION:
        return max(-venue.ledger.accounts[account].position[number], np.int64(0)) * venue.instruments[number].index
    return abs(venue.ledger.accounts[account].position[number]) * abs(venue.instruments[number].mark)
