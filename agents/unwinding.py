"""What a liquidator has taken over, and how it gets rid of it: its perpetual, and the options on that."""

import math

import numpy as np

from blockspace.agents.taker import fee_worth, lots_within, send_taking_order
from blockspace.markets.feed import wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.network.compilation import kernel

IDLE, LIQUIDATING, UNWINDING = np.arange(3)
"""What it is waiting for."""


@kernel
def take_stock(row, receipt, view):
    """Learn from a statement what the account owns: cash, and lots of the instrument that it is about."""
    if receipt.stated == row.stock_taken:
        return
    row.stock_taken = receipt.stated
    row.cash = receipt.cash
    if receipt.about == row.instrument:
        row.lots = receipt.lots
    elif row.first <= receipt.about < row.first + row.count:
        row.held[receipt.about - row.first] = receipt.lots
        row.series[receipt.about - row.first] = view.quotes[receipt.about].series


@kernel
def holds_something(row):
    """Whether there is anything to get rid of."""
    if row.lots != 0:
        return True
    for place in range(row.count):
        if row.held[place] != 0:
            return True
    return False


@kernel
def is_mine(row, number):
    """Whether an instrument is the perpetual that it looks after, or an option on it."""
    return number == row.instrument or row.first <= number < row.first + row.count


@kernel
def worst_price(row, feed, view, number, side, price):
    """Worst price for unwinding, in dollars per unit: so far from the external price, or from an option's mark."""
    if number == row.instrument:
        return price * (1.0 + side * row.tolerance)
    mark = view.quotes[number].mark * 1e-6 / feed.terms[number].lot_size
    return max(mark + side * row.tolerance * price, 0.0)


@kernel
def room_in(row, feed, number, needed, lots, price):
    """Lots of an instrument that there is margin for, where there is for ``lots`` of the perpetual."""
    if number == row.instrument:
        return lots
    terms = feed.terms[number]
    return np.int64(max(lots, np.int64(0)) * needed / (terms.initial_margin * price * terms.lot_size * 1e6))


@kernel
def in_perpetuals(row, feed, number, needed, lots, price):
    """Lots of the perpetual that need as much margin as ``lots`` of an instrument."""
    if number == row.instrument:
        return lots
    terms = feed.terms[number]
    return np.int64(math.ceil(lots * (terms.initial_margin * price * terms.lot_size * 1e6) / needed))


@kernel
def _trade_back(row, feed, pool, outlook, view, number, held):
    """Trade back what it holds of an instrument, as far as the visible book has room; returns whether there is any."""
    if held == 0:
        return False
    quotes = view.quotes[number]
    terms, price = feed.terms[number], outlook.external_price
    side = np.int64(SELL if held > 0 else BUY)
    limit = worst_price(row, feed, view, number, side, price) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    lots, _ = lots_within(quotes, side, limit_ticks)
    size = min(lots, abs(held))
    if size == 0 or limit_ticks <= 0 or (number != row.instrument and quotes.expiry <= row.expires):
        return False
    value = quotes.mark * 1e-6 if number == row.instrument else price * terms.lot_size
    tip = wallet_tip(feed, view)
    max_fee = max(fee_worth(feed, feed.gas.place, row.tolerance * size * value, price), view.base_fee + tip)
    send_taking_order(
        pool,
        feed,
        row.account,
        row.access,
        np.uint32(number),
        side,
        size,
        limit_ticks,
        row.sent_at,
        row.expires,
        max_fee,
        tip,
    )
    row.status = UNWINDING
    row.asked = 1
    return True


@kernel
def unwind(row, feed, pool, outlook, view):
    """Trade back the perpetual, or the first option for which there is room; returns whether there is any."""
    if _trade_back(row, feed, pool, outlook, view, np.int64(row.instrument), row.lots):
        return True
    for place in range(row.count):
        number = row.first + place
        quotes = view.quotes[number]
        if quotes.right == 0 or quotes.series != row.series[place]:
            row.held[place] = 0  # what has expired is settled
        elif _trade_back(row, feed, pool, outlook, view, number, row.held[place]):
            return True
    return False
