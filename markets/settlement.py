"""Settlement: every trade moves cash, fees and lots at once."""

import numpy as np

from blockspace.markets.ledger import VENUE_FEES, transfer_cash, transfer_position
from blockspace.markets.margin import note_trade
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def settle_trades(venue, log, number, first):
    """Move cash, fees and lots for the trades of an instrument from number ``first`` on."""
    value = venue.instruments[number].tick_lot_value
    ledger = venue.ledger
    for n in range(first, log.count):
        trade = log.trades[n & (TRADES - 1)]
        notional = np.int64(trade.price) * np.int64(trade.size) * value
        maker, taker = np.int64(trade.maker), np.int64(trade.taker)
        buyer, seller = (taker, maker) if trade.side > 0 else (maker, taker)
        transfer_cash(ledger, buyer, seller, notional)
        transfer_position(ledger, seller, buyer, number, np.int64(trade.size))
        transfer_cash(ledger, maker, np.int64(VENUE_FEES), trade.maker_fee)
        transfer_cash(ledger, taker, np.int64(VENUE_FEES), trade.taker_fee)
        if venue.margin.liquidates != 0:
            note_trade(venue, buyer, number, np.int64(trade.size), notional)
            note_trade(venue, seller, number, -np.int64(trade.size), -notional)
