"""What is measured of pools: a row of ``POOL_ROW`` for each after every block.

What the providers of a pool lose to arbitrage is measured against rebalancing at the external price: whoever held the
pool's lots of the moment and traded them at the external price would have had the *rebalancing gain*; the providers had
that plus their gain of every swap, which is what it paid, fee included, less what it took at the external price of its
execution (loss-versus-rebalancing: Milionis, Moallemi, Roughgarden and Zhang, 2022).
"""

import math

import numpy as np

from blockspace.markets.pools.listing import CONSTANT_PRODUCT
from blockspace.markets.pools.swaps import BASE, QUOTE
from blockspace.markets.pools.ticks import price_of
from blockspace.network.compilation import kernel

POOL_ROW = np.dtype(
    [
        ("price_usd", "f8"),  # per unit, before fees
        ("price_gap_bps", "f8"),  # log of the pool's price over the external one
        ("reserve", "f8"),  # units
        ("reserve_usd", "f8"),
        ("value_usd", "f8"),  # of both reserves, at the external price
        ("liquidity", "f8"),  # shares of a constant product, or what is active at the price, in lots and micro-dollars
        ("swaps", "i8"),
        ("volume_usd", "f8"),  # without fees
        ("fees_usd", "f8"),
        ("arbitrage_volume_usd", "f8"),
        ("arbitrage_fees_usd", "f8"),
        ("arbitrage_profit_usd", "f8"),  # before gas, after the pool's fee: what arbitrage costs the providers
        ("swaps_around", "i8"),  # swaps of those who trade around pending ones
        ("sandwiched", "i8"),  # swaps that a searcher traded around
        (
            "loss_to_sandwiches_usd",
            "f8",
        ),  # what the searchers gained by that, before gas, after the pool's fee
        ("providers_gain_usd", "f8"),  # of all swaps, over the external price
        ("rebalancing_usd", "f8"),  # gain of the lots of the row before from the external price since
    ],
    align=True,
)

POOL_METER = np.dtype([("lots", "i8"), ("price", "f8")], align=True)
"""Lots that a pool held after the row before, and their price then, in dollars a lot."""


@kernel
def clear_pools(rows):
    """Set the sums of the rows of a block to zero."""
    for number in range(rows.size):
        row = rows[number]
        row.swaps = 0
        row.volume_usd = 0.0
        row.fees_usd = 0.0
        row.arbitrage_volume_usd = 0.0
        row.arbitrage_fees_usd = 0.0
        row.arbitrage_profit_usd = 0.0
        row.swaps_around = 0
        row.sandwiched = 0
        row.loss_to_sandwiches_usd = 0.0
        row.providers_gain_usd = 0.0


@kernel
def measure_swap(row, trade, lot_size, is_arbitrage):
    """Add a swap to the row of its pool; returns the dollars that its sender gained on the external price."""
    fee = trade.taker_fee * 1e-6
    volume = trade.notional * 1e-6
    profit = trade.side * (trade.external_price * trade.size * lot_size - volume) - fee
    row.swaps += 1
    row.volume_usd += volume
    row.fees_usd += fee
    row.providers_gain_usd -= profit
    if is_arbitrage:
        row.arbitrage_volume_usd += volume
        row.arbitrage_fees_usd += fee
        row.arbitrage_profit_usd += profit
    return profit


@kernel
def measure_pool(row, meter, venue, number, external_price):
    """Write down the state of a pool after a block."""
    listed = venue.pools[number]
    lot_size = venue.instruments[listed.instrument].lot_size
    if listed.kind == CONSTANT_PRODUCT:
        pool = venue.constant_products[number]
        lots, cash = pool.reserves[BASE], pool.reserves[QUOTE]
        row.liquidity = np.float64(pool.total_shares)
        lot_price = np.float64(cash) / np.float64(lots) if lots > 0 else math.nan
    else:
        ranges = venue.concentrated[number]
        lots, cash = ranges.reserves[BASE], ranges.reserves[QUOTE]
        row.liquidity = np.float64(ranges.liquidity)
        lot_price = price_of(ranges.sqrt_price)
    row.price_usd = lot_price * 1e-6 / lot_size
    row.price_gap_bps = math.log(row.price_usd / external_price) * 1e4
    row.reserve = lots * lot_size
    row.reserve_usd = cash * 1e-6
    price = external_price * lot_size
    row.value_usd = row.reserve_usd + lots * price
    row.rebalancing_usd = 0.0
    if meter.price > 0.0:
        row.rebalancing_usd = meter.lots * (price - meter.price)
    meter.lots = lots
    meter.price = price
