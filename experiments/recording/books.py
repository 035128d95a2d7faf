"""What an order book looks like after a block: spread, depth, slippage."""

import math

import numpy as np

from blockspace.markets.matching import BUY, SELL, cost_to_fill, depth_within
from blockspace.network.compilation import kernel


@kernel
def measure_book(row, venue, number):
    """Write what the book of an instrument looks like into its row."""
    instrument = venue.instruments[number]
    book = venue.books[number]
    value = instrument.tick_lot_value * 1e-6
    tick = value / instrument.lot_size
    row.instrument = number
    row.mark_usd = instrument.mark * 1e-6 / instrument.lot_size
    row.index_usd = instrument.index * 1e-6 / instrument.lot_size
    row.funding_rate = instrument.funding_rate
    row.best_bid_usd = book.best_bid * tick if book.best_bid > 0 else math.nan
    row.best_ask_usd = book.best_ask * tick if book.best_ask < len(book.levels) else math.nan
    mid = 0.5 * (book.best_bid + book.best_ask)
    both = book.best_bid > 0 and book.best_ask < len(book.levels)
    row.quoted_spread_bps = (book.best_ask - book.best_bid) / mid * 1e4 if both else math.nan
    row.depth_5bps_usd = _depth(book, mid, 5.0, value, both)
    row.depth_10bps_usd = _depth(book, mid, 10.0, value, both)
    row.depth_25bps_usd = _depth(book, mid, 25.0, value, both)
    row.depth_50bps_usd = _depth(book, mid, 50.0, value, both)
    row.depth_100bps_usd = _depth(book, mid, 100.0, value, both)
    row.slippage_1000usd_bps = _slippage(book, mid, 1_000.0, value, both)
    row.slippage_10000usd_bps = _slippage(book, mid, 10_000.0, value, both)
    row.slippage_100000usd_bps = _slippage(book, mid, 100_000.0, value, both)


@kernel
def _depth(book, mid, distance_bps, value, both):
    """Dollars within a distance of mid, the mean of both sides; 0 where a side is empty."""
    if not both:
        return 0.0
    lowest = np.int64(math.ceil(mid * (1.0 - distance_bps * 1e-4)))
    highest = np.int64(math.floor(mid * (1.0 + distance_bps * 1e-4)))
    lots = depth_within(book, np.int64(BUY), lowest) + depth_within(book, np.int64(SELL), highest)
    return 0.5 * lots * mid * value


@kernel
def _slippage(book, mid, notional, value, both):
    """Cost against mid of a market order of ``notional`` dollars, mean of both sides; NaN if the book is too thin."""
    if not both:
        return math.nan
    size = np.int64(max(notional / (mid * value), 1.0))
    bought, paid = cost_to_fill(book, np.int64(BUY), size)
    sold, received = cost_to_fill(book, np.int64(SELL), size)
    if bought < size or sold < size:
        return math.nan
    return 0.5 * (paid - received) / size / mid * 1e4
