"""How trades that wait are settled: in the order of the log, net for each account, by whoever operates the clearing.

A settlement names the first trade that waits and one past the last that it settles, and declares gas for the accounts
that it changes. It fails if somebody else was there first, if it names what has not been traded, or if it has too
little gas; then nothing moves. Whoever has no open position left and too little to pay is in debt, which is borne as a
liquidation's is: by the insurance fund, then by those who have gained.
"""

import numpy as np

from blockspace.markets.clearing import IMMEDIATE, add_claims, count_parties, meet, waits
from blockspace.markets.instruments import SPOT
from blockspace.markets.ledger import VENUE_FEES, transfer_cash
from blockspace.markets.liquidation import write_off
from blockspace.markets.margin import account_equity, share_of
from blockspace.markets.settlement import settle_trade
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def _meet_party(clearing, parties, account):
    """Put an account on the list of parties of this settlement if it is not there; returns how many there are."""
    if meet(clearing, account) != 0:
        clearing.parties[parties] = account
        clearing.net[account] = 0
        return parties + 1
    return parties


@kernel
def _owes_for_good(venue, account):
    """Whether an account owes money and has nothing left that could still bring some: no position and no claim."""
    if venue.ledger.accounts[account].cash >= 0 or venue.clearing.cash[account] != 0:
        return False
    for number in range(venue.count):
        if venue.clearing.lots[account, number] != 0:
            return False
        if venue.ledger.accounts[account].position[number] != 0 and venue.instruments[number].kind != SPOT:
            return False
    return True


@kernel
def settle_claims(venue, log, until):
    """Settle the trades that wait up to number ``until``; returns how many there were."""
    clearing = venue.clearing
    totals = clearing.totals
    clearing.round += 1
    parties = 0
    settled = np.int64(0)
    for n in range(clearing.cleared, until):
        trade = log.trades[n & (TRADES - 1)]
        if not waits(trade):
            continue
        value = venue.instruments[trade.instrument].tick_lot_value
        notional = np.int64(trade.price) * np.int64(trade.size) * value
        parties = _meet_party(clearing, parties, trade.maker)
        parties = _meet_party(clearing, parties, trade.taker)
        clearing.net[trade.taker] += trade.side * notional
        clearing.net[trade.maker] -= trade.side * notional
        add_claims(clearing, trade, notional, np.int64(-1))
        settle_trade(venue, trade, notional)
        fee = share_of(max(trade.maker_fee + trade.taker_fee, np.int64(0)), clearing.share_ppm)
        transfer_cash(venue.ledger, np.int64(VENUE_FEES), np.int64(clearing.operator), fee)
        totals.fees += fee
        totals.gross += 2 * notional
        settled += 1
    clearing.cleared = until
    clearing.oldest = 0
    if clearing.waiting > 0:
        n = until
        while not waits(log.trades[n & (TRADES - 1)]):
            n += 1
        clearing.oldest = log.trades[n & (TRADES - 1)].time
    for place in range(parties):
        totals.net += abs(clearing.net[clearing.parties[place]])
    totals.parties += parties
    _bear_debts(venue, parties)
    return settled


@kernel
def _bear_debts(venue, parties):
    """Count the parties who are left with less than nothing, and let debts be borne that no liquidation can reach."""
    clearing = venue.clearing
    for place in range(parties):
        account = np.int64(clearing.parties[place])
        if account_equity(venue, account) < 0:
            clearing.totals.failed += 1
            if venue.margin.liquidates != 0 and _owes_for_good(venue, account):
                insured, socialised = write_off(venue, account)
                clearing.totals.insured += insured
                clearing.totals.socialised += socialised


@kernel
def execute_settlement(venue, log, transaction):
    """Settle what the operator asks for: trades from number ``amount`` up to ``bound``, with gas for ``size`` accounts.

    Returns whether it could.
    """
    clearing = venue.clearing
    if clearing.mode == IMMEDIATE or transaction.sender != clearing.operator or transaction.amount != clearing.cleared:
        return False
    if not clearing.cleared < transaction.bound <= log.count:
        return False
    _, end = count_parties(clearing, log, clearing.cleared, transaction.bound, np.int64(transaction.size))
    if end < transaction.bound:
        return False
    clearing.totals.trades += settle_claims(venue, log, transaction.bound)
    clearing.totals.settlements += 1
    return True


@kernel
def settle_before_expiry(venue, log):
    """Settle all that waits, before a series expires: what has expired can be owed to nobody."""
    if venue.clearing.mode != IMMEDIATE and venue.clearing.waiting > 0:
        venue.clearing.totals.at_expiry += settle_claims(venue, log, log.count)
