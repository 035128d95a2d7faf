"""Settlement: a trade moves cash, fees and lots, at once or when its time comes."""

import numpy as np

from blockspace.markets.clearing import IMMEDIATE, claim
from blockspace.markets.ledger import VENUE_FEES, transfer_cash, transfer_position
from blockspace.markets.margin import note_trade
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def settle_trade(venue, trade, notional):
    """Move cash, fees and lots of one trade; ``notional`` is in micro-dollars."""
    ledger = venue.ledger
    number = np.int64(trade.instrument)
    maker, taker = np.int64(trade.maker), np.int64(trade.taker)
    buyer, seller = (taker, maker) if trade.side > 0 else (maker, taker)
    transfer_cash(ledger, buyer, seller, notional)
    transfer_position(ledger, seller, buyer, number, np.int64(trade.size))
    transfer_cash(ledger, maker, np.int64(VENUE_FEES), trade.maker_fee)
    transfer_cash(ledger, taker, np.int64(VENUE_FEES), trade.taker_fee)
    if venue.margin.liquidates != 0:
        note_trade(venue, buyer, number, np.int64(trade.size), notional)
        note_trade(venue, seller, number, -np.int64(trade.size), -notional)


@kernel
def settle_trades(venue, log, number, first):
    """Settle the trades of an instrument from number ``first`` on, or let them wait where that is the venue's rule."""
    if venue.clearing.mode != IMMEDIATE:
        claim(venue, log, number, first)
        return
    value = venue.instruments[number].tick_lot_value
    for n in range(first, log.count):
        trade = log.trades[n & (TRADES - 1)]
        settle_trade(venue, trade, np.int64(trade.price) * np.int64(trade.size) * value)
