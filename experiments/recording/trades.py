"""What trades say: volume, fees, effective and realised spread, and what searchers take from quotes."""

import numpy as np

from blockspace.experiments.recording.fingerprint import stamp, stamp_trade
from blockspace.experiments.recording.pools import measure_swap
from blockspace.experiments.recording.rows import REALISED_AFTER_NS, is_searcher, sandwiches
from blockspace.experiments.recording.sandwiches import has_sandwicher, is_of_sandwich, is_sandwiched
from blockspace.markets.price_path import price_at
from blockspace.markets.trade_log import BY_ORDER, TRADES
from blockspace.network.compilation import kernel


@kernel
def clear_trades(rows):
    """Begin the trades of a block."""
    for number in range(rows.size):
        row = rows[number]
        row.trades = 0
        row.volume_usd = 0.0
        row.arbitrage_volume_usd = 0.0
        row.effective_spread_usd = 0.0
        row.realised_spread_usd = 0.0
        row.arbitrage_profit_usd = 0.0
        row.loss_to_arbitrage_usd = 0.0
        row.loss_to_sandwiches_usd = 0.0
        row.searcher_fees_usd = 0.0
        row.maker_fees_usd = 0.0
        row.taker_fees_usd = 0.0


@kernel
def _account_for_trade(row, meter, trade, instrument, of_sandwich):
    """Add a trade's fees to the accounts of rents, and what others lost to a searcher.

    The fee of a pool belongs to those who lose to searchers there: it is part of what they get back, and no fee of the
    venue.
    """
    maker, taker = meter.roles[trade.maker], meter.roles[trade.taker]
    worth = np.int64(round(trade.external_price * instrument.lot_size * 1e6))
    if trade.pool > 0:
        if is_searcher(taker):
            loss = trade.side * (np.int64(trade.size) * worth - trade.notional) - trade.taker_fee
            if of_sandwich:
                meter.loss_to_sandwiches += loss
                row.loss_to_sandwiches_usd += loss * 1e-6
            else:
                meter.loss_to_arbitrage += loss
                row.loss_to_arbitrage_usd += loss * 1e-6
        return
    meter.venue_fees[maker] += trade.maker_fee
    meter.venue_fees[taker] += trade.taker_fee
    gain = trade.side * np.int64(trade.size) * (worth - np.int64(trade.price) * instrument.tick_lot_value)
    if is_searcher(taker):
        meter.loss_to_arbitrage += gain
        row.loss_to_arbitrage_usd += gain * 1e-6
        row.searcher_fees_usd += trade.taker_fee * 1e-6
    if is_searcher(maker):
        meter.loss_to_arbitrage -= gain
        row.loss_to_arbitrage_usd -= gain * 1e-6
        row.searcher_fees_usd += trade.maker_fee * 1e-6


@kernel
def _measure_option_trade(meter, trade, instrument):
    """Add the trade of an option to the sums over all of them; the books of options have no rows block by block."""
    stamp_trade(meter, trade)
    stamp(meter, instrument.series)
    meter.venue_fees[meter.roles[trade.maker]] += trade.maker_fee
    meter.venue_fees[meter.roles[trade.taker]] += trade.taker_fee
    meter.option_trades += 1
    meter.option_units += trade.size * instrument.lot_size
    meter.option_premium += np.int64(trade.price) * np.int64(trade.size) * instrument.tick_lot_value
    meter.option_fees += trade.maker_fee + trade.taker_fee


@kernel
def measure_trades(rows, pool_rows, meter, venue, log, path, first_trade):
    """Add the trades of a block to the rows of their instruments or pools, and to the accounts of rents."""
    searched = pool_rows.size > 0 and has_sandwicher(meter, log, first_trade)
    for number in range(first_trade, log.count):
        trade = log.trades[number & (TRADES - 1)]
        if trade.instrument >= rows.size:
            _measure_option_trade(meter, trade, venue.instruments[trade.instrument])
            continue
        row = rows[trade.instrument]
        instrument = venue.instruments[trade.instrument]
        of_sandwich = searched and is_of_sandwich(meter, log, number, first_trade)
        is_arbitrage = is_searcher(meter.roles[trade.taker]) and not of_sandwich
        stamp_trade(meter, trade)
        if trade.cause != BY_ORDER:
            stamp(meter, trade.notional)
            continue  # nobody chose the price: it is no trade to measure costs by
        _account_for_trade(row, meter, trade, instrument, of_sandwich)
        if trade.pool > 0:
            pool_row = pool_rows[trade.pool - 1]
            profit = measure_swap(pool_row, trade, instrument.lot_size, is_arbitrage)
            if sandwiches(meter.roles[trade.taker]):
                pool_row.swaps_around += 1
            if of_sandwich:
                pool_row.loss_to_sandwiches_usd += profit
            elif searched and is_sandwiched(meter, log, number, first_trade):
                pool_row.sandwiched += 1
            stamp(meter, trade.notional + trade.taker_fee)
            continue
        units = trade.size * instrument.lot_size
        price = trade.price * instrument.tick_lot_value * 1e-6 / instrument.lot_size
        side = np.float64(trade.side)
        row.trades += 1
        row.volume_usd += price * units
        row.maker_fees_usd += trade.maker_fee * 1e-6
        row.taker_fees_usd += trade.taker_fee * 1e-6
        if is_arbitrage:
            row.arbitrage_volume_usd += price * units
            row.arbitrage_profit_usd += side * (trade.external_price - price) * units - trade.taker_fee * 1e-6
        else:
            later = price_at(path, trade.time + REALISED_AFTER_NS)
            row.effective_spread_usd += 2.0 * side * (price - trade.external_price) * units
            row.realised_spread_usd += 2.0 * side * (price - later) * units
