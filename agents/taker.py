"""What everyone who takes liquidity needs: the cost of trading against what is visible, and the order itself."""

import numpy as np

from blockspace.markets.feed import LEVELS_SEEN, gas_price_usd
from blockspace.markets.instruments import HANDLES, TAKER_HANDLE
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.transaction import PLACE

WEI = 1e18


@kernel
def lots_within(quotes, side, limit):
    """Lots and their total cost (ticks times lots) that are visible at ``limit`` ticks or better.

    ``side`` is +1 to buy against the asks and -1 to sell against the bids.
    """
    lots = 0
    cost = 0
    for level in range(LEVELS_SEEN):
        price = quotes.ask_price[level] if side > 0 else quotes.bid_price[level]
        size = quotes.ask_size[level] if side > 0 else quotes.bid_size[level]
        if size == 0 or (price - limit) * side > 0:
            break
        lots += size
        cost += np.int64(price) * size
    return lots, cost


@kernel
def average_price(quotes, side, size):
    """Lots of ``size`` that the visible levels can fill, and their average price in ticks (0 if none)."""
    lots = 0
    cost = 0
    for level in range(LEVELS_SEEN):
        price = quotes.ask_price[level] if side > 0 else quotes.bid_price[level]
        there = quotes.ask_size[level] if side > 0 else quotes.bid_size[level]
        if there == 0 or lots >= size:
            break
        take = min(np.int64(there), size - lots)
        lots += take
        cost += np.int64(price) * take
    if lots == 0:
        return lots, 0.0
    return lots, cost / lots


@kernel
def gas_paid_usd(feed, gas, price, external_price):
    """Dollars that ``gas`` units cost at ``price`` wei each, as a receipt states it."""
    return np.float64(gas) * np.float64(price) / WEI * gas_price_usd(feed, external_price)


@kernel
def data_cost_usd(feed, external_price):
    """Dollars that the data of a transaction of the usual size cost; 0 on a chain that keeps none elsewhere."""
    fee = data_fee_wei(feed, PLACE, feed.bytes_per_transaction)
    return np.float64(fee) / WEI * gas_price_usd(feed, external_price)


@kernel
def gas_cost_usd(feed, gas, fee, external_price):
    """Dollars that a transaction costs which uses ``gas`` units at ``fee`` wei each, its data included."""
    return gas_paid_usd(feed, gas, fee, external_price) + data_cost_usd(feed, external_price)


@kernel
def tip_worth(feed, gas, dollars, external_price):
    """Tip in wei per gas that comes to ``dollars`` for ``gas`` units, at most 10^15."""
    return np.int64(min(max(dollars / (gas * gas_price_usd(feed, external_price)) * WEI, 0.0), 1e15))


@kernel
def fee_worth(feed, gas, dollars, external_price):
    """Fee in wei per gas at which a transaction of ``gas`` units costs ``dollars`` with its data, at most 10^15."""
    return tip_worth(feed, gas, dollars - data_cost_usd(feed, external_price), external_price)


@kernel
def send_taking_order(
    pool, feed, account, access, instrument, side, size, limit, decided, expires, max_fee, tip, copy=0
):
    """Send an immediate-or-cancel order of ``size`` lots at ``limit`` ticks; returns the mempool's outcome.

    ``copy`` is 0, or the number of the copy that this is of an order just sent.
    """
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = PLACE
    transaction.style = IMMEDIATE_OR_CANCEL
    transaction.sender = account
    transaction.access = access
    transaction.instrument = instrument
    transaction.order = account * HANDLES + TAKER_HANDLE
    transaction.side = side
    transaction.size = size
    transaction.price = limit
    transaction.gas = np.uint32(feed.gas.place)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = decided
    transaction.expires = expires
    transaction.max_fee = max_fee
    transaction.tip = min(tip, max_fee)
    if copy > 0:
        return mempool.submit_copy(pool, slot, copy)
    return mempool.submit(pool, slot)
