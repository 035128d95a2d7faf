"""Orders with which holders of options hedge their delta in the underlying, and what they learn of their fate."""

import math

import numpy as np

from blockspace.agents.hedging import hedge_trade, no_trade_band
from blockspace.agents.taker import fee_worth, gas_cost_usd, gas_paid_usd, lots_within, send_taking_order
from blockspace.markets.feed import wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.network.compilation import kernel


@kernel
def hedge_costs(row, feed, view, price):
    """Dollars that a hedge costs at today's gas whatever its size, and per unit at today's fee and visible spread.

    Parameters are those of :func:`beyond_band`.
    """
    terms = feed.terms[row.underlying]
    quotes = view.quotes[row.underlying]
    fixed = gas_cost_usd(feed, feed.gas.place, view.base_fee + wallet_tip(feed, view), price)
    half_spread = max(0.5 * (quotes.ask_price[0] - quotes.bid_price[0]) * terms.tick, 0.0)
    return fixed, terms.taker_fee * price + half_spread


@kernel
def beyond_band(row, feed, view, price, gap, gamma):
    """Units of the underlying to buy (sell, if negative) at today's gas, fee and visible spread; 0 within the band.

    Parameters
    ----------
    row
        Record of the hedger, with ``underlying`` and ``risk_aversion``.
    feed, view, price
        The feed, what is visible of the chain, and the external price in dollars.
    gap
        Units by which the target exceeds what is held.
    gamma
        Of all options held, units per dollar.
    """
    fixed, unit_cost = hedge_costs(row, feed, view, price)
    edge, back_to = no_trade_band(fixed, unit_cost, gamma, row.risk_aversion)
    return hedge_trade(gap, edge, back_to)


@kernel
def send_hedge(row, feed, pool, block, outlook, view, units):
    """Send a taking order for so many units of the underlying, if its book is in reach; returns whether it was sent.

    It is in reach if both of its sides can be seen, and something of the one that is wanted at no worse a price than is
    tolerated: a hedger waits for better prices rather than pay gas for nothing.

    The row has ``account``, ``access``, ``underlying`` and ``tolerance``: by how much the price may be worse than the
    external one, and how much gas may cost, as a fraction of the order's value.
    """
    price = outlook.external_price
    terms = feed.terms[row.underlying]
    quotes = view.quotes[row.underlying]
    lots = np.int64(min(abs(units) / terms.lot_size + 0.5, 1e9))
    if lots < 1 or quotes.bid_size[0] == 0 or quotes.ask_size[0] == 0:
        return False
    side = np.int64(BUY if units > 0.0 else SELL)
    limit = price * (1.0 + side * row.tolerance) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    in_reach, _ = lots_within(quotes, side, limit_ticks)
    if in_reach == 0:
        return False
    tip = wallet_tip(feed, view)
    spend = row.tolerance * lots * terms.lot_size * price
    max_fee = max(fee_worth(feed, feed.gas.place, spend, price), view.base_fee + tip)
    now = outlook.decision
    send_taking_order(
        pool, feed, row.account, row.access, row.underlying, side, lots, limit_ticks, now, block.time, max_fee, tip
    )
    return True


@kernel
def learn_fate(row, feed, view, price):
    """Learn what became of the last order, once its block can be seen, and what gas it took.

    The row has ``account``, ``pending``, ``landing``, ``sent_at`` and ``total_gas`` (dollars).
    """
    if row.pending == 0 or view.settled < row.landing:
        return
    row.pending = 0
    receipt = feed.receipts[row.account]
    if receipt.decided == row.sent_at:
        row.total_gas += gas_paid_usd(feed, receipt.landed_gas, receipt.gas_price, price)
