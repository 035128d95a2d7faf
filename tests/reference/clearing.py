"""Clearing: trades that wait on a list, claims worked out from it anew, and their settlement."""

from .constants import VENUE_FEES
from .margin import account_equity, note_trade, share, write_off


class Clearing:
    def __init__(self, settings):
        self.immediate = settings.settlement == "immediate"
        self.share_ppm = round(settings.clearing_fee_share * 1e6)
        self.operator = None
        self.cleared = 0
        self.waiting = []
        self.claims = {}  # by account: cash, and lots by instrument
        self.settlements = 0
        self.insured = self.socialised = 0

    def of(self, account):
        return self.claims.setdefault(account, [0, {}])

    def cash(self, account):
        return self.claims[account][0] if account in self.claims else 0

    def lots(self, account, number):
        return self.claims[account][1].get(number, 0) if account in self.claims else 0

    def add(self, venue, trade, sign):
        for account, change in effects(venue, trade).items():
            claim = self.of(account)
            claim[0] += sign * change[0]
            claim[1][trade.instrument] = claim[1].get(trade.instrument, 0) + sign * change[1]


def waits(trade):
    return trade.cause == "order" and trade.pool is None


def effects(venue, trade):
    """What a trade changes: cash and lots of each account."""
    buyer, seller = (trade.taker, trade.maker) if trade.side > 0 else (trade.maker, trade.taker)
    notional = trade.price * trade.size * venue.instruments[trade.instrument].tick_lot_value
    fees = {trade.maker: trade.maker_fee, trade.taker: trade.taker_fee}
    return {
        buyer: (-notional - fees[buyer], trade.size),
        seller: (notional - fees[seller], -trade.size),
        VENUE_FEES: (sum(fees.values()), 0),
    }


def settle_trade(venue, trade):
    ledger = venue.ledger
    buyer, seller = (trade.taker, trade.maker) if trade.side > 0 else (trade.maker, trade.taker)
    notional = trade.price * trade.size * venue.instruments[trade.instrument].tick_lot_value
    ledger.transfer_cash(buyer, seller, notional)
    ledger.transfer_position(seller, buyer, trade.instrument, trade.size)
    ledger.transfer_cash(trade.maker, VENUE_FEES, trade.maker_fee)
    ledger.transfer_cash(trade.taker, VENUE_FEES, trade.taker_fee)
    if venue.margin.liquidates:
        note_trade(venue, buyer, trade.instrument, trade.size, notional)
        note_trade(venue, seller, trade.instrument, -trade.size, -notional)


def settle_claims(venue, until):
    clearing = venue.clearing
    parties = []
    for number in range(clearing.cleared, until):
        trade = venue.tape.trades[number]
        if not waits(trade):
            continue
        assert clearing.waiting.pop(0) == number
        parties += [one for one in (trade.maker, trade.taker) if one not in parties]
        clearing.add(venue, trade, -1)
        settle_trade(venue, trade)
        fee = share(max(trade.maker_fee + trade.taker_fee, 0), clearing.share_ppm)
        venue.ledger.transfer_cash(VENUE_FEES, clearing.operator, fee)
    clearing.cleared = until
    for account in parties:
        in_debt = account_equity(venue, account) < 0 and venue.ledger.accounts[account].cash < 0
        if in_debt and venue.margin.liquidates and not has_anything(venue, account):
            insured, socialised = write_off(venue, account)
            clearing.insured += insured
            clearing.socialised += socialised


def has_anything(venue, account):
    cash, lots = venue.clearing.of(account)
    positions = venue.ledger.accounts[account].positions
    held = [positions[one.number] for one in venue.instruments if one.perpetual or one.option]
    return cash != 0 or any(lots.values()) or any(held)


def count_parties(venue, first, until, most):
    """Accounts that settling trades changes, and how far one gets with ``most`` of them."""
    parties = set()
    for number in range(first, until):
        trade = venue.tape.trades[number]
        if waits(trade):
            more = parties | {trade.maker, trade.taker}
            if len(more) > most:
                return len(parties), number
            parties = more
    return len(parties), until


def can_settle(venue, transaction):
    clearing, until = venue.clearing, transaction.bound
    if clearing.immediate or transaction.sender != clearing.operator or transaction.amount != clearing.cleared:
        return False
    if not clearing.cleared < until <= len(venue.tape.trades):
        return False
    return count_parties(venue, clearing.cleared, until, transaction.size)[1] == until


def execute_settlement(venue, transaction):
    if not can_settle(venue, transaction):
        return False
    settle_claims(venue, transaction.bound)
    venue.clearing.settlements += 1
    return True
