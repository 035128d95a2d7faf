"""What orders of noise traders cost, by size, split into half-spread, impact, delay, fee and gas."""

import numpy as np

from blockspace.experiments.recording.rows import NOISE, SIZE_BUCKETS_USD
from blockspace.markets.price_path import price_at
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def _bucket(notional):
    bucket = 0
    while bucket < len(SIZE_BUCKETS_USD) and notional > SIZE_BUCKETS_USD[bucket]:
        bucket += 1
    return bucket


@kernel
def measure_order(meter, log, transaction, number, gas_usd, path, value, lot_size):
    """Split what a filled noise order cost into half-spread, impact, delay, fee and gas.

    ``number`` is the order's first trade; ``value`` is dollars per tick and lot. The benchmark is the external price at
    the moment of decision: what it moved until execution is delay, the first fill's distance is half-spread, what
    later fills add is impact.
    """
    first = log.trades[number & (TRADES - 1)]
    decided_price = price_at(path, transaction.decided)
    lots = 0
    cost = 0.0
    fee = 0.0
    while lots < transaction.filled and number < log.count:
        trade = log.trades[number & (TRADES - 1)]
        lots += trade.size
        cost += value * trade.price * trade.size
        fee += trade.taker_fee * 1e-6
        number += 1
    units = lots * lot_size
    notional = decided_price * units
    side = np.float64(transaction.side)
    best = value * first.price * lots
    # An order belongs to the class of what it asked for, however much of that it got.
    costs = meter.order_costs[_bucket(decided_price * transaction.size * lot_size)]
    costs.orders += 1
    costs.notional_usd += notional
    costs.delay_usd += side * (first.external_price - decided_price) * units
    costs.half_spread_usd += side * (best - first.external_price * units)
    costs.impact_usd += side * (cost - best)
    costs.fee_usd += fee
    costs.gas_usd += gas_usd


@kernel
def measure_unfilled(meter, venue, log, transaction):
    """Count an order of a noise trader that found nothing."""
    instrument = venue.instruments[transaction.instrument]
    meter.order_costs[_bucket(transaction.size * instrument.lot_size * log.external_price)].unfilled += 1


@kernel
def measure_batches(meter, venue, log, block, path, ether_usd, first_trade):
    """Split what noise orders cost in the batches that have just cleared.

    All trade at one price: its distance from the external price, which can be of either sign, counts as half-spread.
    """
    if venue.last_batch != block.number:
        return
    for number in range(venue.count):
        instrument = venue.instruments[number]
        batch = venue.batches[number]
        price = 0.0
        for trade in range(first_trade, log.count):
            if log.trades[trade & (TRADES - 1)].instrument == number:
                price = log.trades[trade & (TRADES - 1)].price * instrument.tick_lot_value * 1e-6 / instrument.lot_size
                break
        for place in range(batch.cleared):
            order = batch.orders[place]
            if meter.roles[order.owner] != NOISE or order.asked == 0:
                continue
            decided_price = price_at(path, order.decided)
            costs = meter.order_costs[_bucket(decided_price * order.asked * instrument.lot_size)]
            if order.filled == 0:
                costs.unfilled += 1
                continue
            units = order.filled * instrument.lot_size
            costs.orders += 1
            costs.notional_usd += decided_price * units
            costs.delay_usd += order.side * (log.external_price - decided_price) * units
            costs.half_spread_usd += order.side * (price - log.external_price) * units
            costs.fee_usd += venue.books[number].taker_fee_ppm * 1e-6 * price * units
            costs.gas_usd += np.float64(order.gas) * order.gas_price * 1e-18 * ether_usd
