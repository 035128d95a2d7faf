"""What is measured, block by block, in one kernel over preallocated rows."""

import math

import numpy as np

from blockspace.experiments.recording.books import measure_book
from blockspace.experiments.recording.claims import measure_claims
from blockspace.experiments.recording.delays import delay_class
from blockspace.experiments.recording.fingerprint import stamp
from blockspace.experiments.recording.gas_purposes import divide_base_fees, divide_gas, measure_bid, measure_data
from blockspace.experiments.recording.order_costs import measure_batches, measure_order, measure_unfilled
from blockspace.experiments.recording.pools import clear_pools, measure_pool
from blockspace.experiments.recording.rows import NOISE, TAPE
from blockspace.experiments.recording.trades import clear_trades, measure_trades
from blockspace.markets.liquidation import LIQUIDATIONS
from blockspace.markets.trade_log import DELEVERAGING, TRADES
from blockspace.network.compilation import kernel
from blockspace.network.transaction import FAILED, LEFT_OUT, PLACE, TRANSFER, UNFUNDED, effective_tip, is_of_market


@kernel
def _measure_transactions(row, meter, venue, log, pool, block, path, ether_usd, first_trade):
    next_trade = first_trade
    delay_sum = 0.0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        role = meter.roles[transaction.sender]
        tip = effective_tip(transaction, block.base_fee)
        if meter.keep_tape != 0:
            _keep(meter, transaction, block, tip)
        if transaction.status == UNFUNDED:
            row.unfunded_transactions += 1
            continue
        if transaction.status == LEFT_OUT:
            row.left_out_transactions += 1
            if transaction.kind == PLACE and role == NOISE:
                measure_unfilled(meter, venue, log, transaction)
            continue
        gas_used = np.float64(transaction.gas_used)
        base_usd = gas_used * block.base_fee * 1e-18 * ether_usd
        tip_usd = gas_used * tip * 1e-18 * ether_usd
        divide_gas(row, meter, block, transaction, role, tip, ether_usd)
        row.base_fee_usd += base_usd
        row.tips_usd += tip_usd
        row.transactions += 1
        fees_usd = base_usd + tip_usd
        if block.data_price > 0 or transaction.blobs > 0:
            fees_usd += measure_data(row, meter, block, transaction, role, ether_usd)
        meter.gas_usd[role] += fees_usd
        meter.gas_units[role] += transaction.gas_used
        meter.kinds[transaction.kind] += 1
        if transaction.status == FAILED:
            row.failed_transactions += 1
            row.failed_gas_usd += base_usd + tip_usd
            meter.failed_gas_usd[role] += base_usd + tip_usd
        delay = (block.time - transaction.decided) * 1e-9
        delay_sum += delay
        if transaction.kind == TRANSFER:
            row.background_transactions += 1
            meter.background_delays[delay_class(delay)] += 1
        elif is_of_market(transaction.kind):
            meter.market_delays[delay_class(delay)] += 1
            stamp(meter, transaction.decided)
        stamp(meter, tip)
        if venue.batching != 0:
            # What orders got is with the batch, but for those that did not get into it.
            if transaction.status == FAILED and transaction.kind == PLACE and role == NOISE:
                measure_unfilled(meter, venue, log, transaction)
            continue
        while next_trade < log.count and log.trades[next_trade & (TRADES - 1)].cause == DELEVERAGING:
            next_trade += 1  # no order's fill
        if is_of_market(transaction.kind) and transaction.filled > 0:
            if transaction.kind == PLACE and role == NOISE:
                instrument = venue.instruments[transaction.instrument]
                measure_order(
                    meter,
                    log,
                    transaction,
                    next_trade,
                    fees_usd,
                    path,
                    instrument.tick_lot_value * 1e-6,
                    instrument.lot_size,
                )
            lots = 0
            while lots < transaction.filled and next_trade < log.count:
                lots += log.trades[next_trade & (TRADES - 1)].size
                next_trade += 1
        elif transaction.kind == PLACE and role == NOISE:
            measure_unfilled(meter, venue, log, transaction)
    divide_base_fees(row, meter, block, ether_usd)
    measure_bid(row, meter, block, ether_usd)
    _measure_liquidations(row, meter, venue)
    row.mean_delay_s = delay_sum / row.transactions if row.transactions > 0 else math.nan


@kernel
def _keep(meter, transaction, block, tip):
    entry = meter.tape[meter.tape_count & (TAPE - 1)]
    meter.tape_count += 1
    entry.block = block.number
    entry.time = block.time
    entry.decided = transaction.decided
    entry.sender = transaction.sender
    entry.nonce = transaction.nonce
    entry.gas_used = transaction.gas_used
    entry.bytes = transaction.bytes
    entry.base_fee = block.base_fee
    entry.tip = tip
    entry.price = transaction.price
    entry.size = transaction.size
    entry.filled = transaction.filled
    entry.kind = transaction.kind
    entry.instrument = transaction.instrument
    entry.side = transaction.side
    entry.status = transaction.status


@kernel
def _measure_liquidations(row, meter, venue):
    """Count the liquidations of a block, and look at those who are due after it."""
    log = venue.liquidations
    row.liquidations = log.count - meter.liquidations_seen
    row.liquidated_usd = 0.0
    for number in range(meter.liquidations_seen, log.count):
        entry = log.entries[number & (LIQUIDATIONS - 1)]
        row.liquidated_usd += abs(entry.lots) * entry.mark * 1e-6
    meter.liquidations_seen = log.count
    row.due_accounts = venue.margin.due_count
    row.worst_equity_usd = 0.0
    for place in range(venue.margin.due_count):
        row.worst_equity_usd = min(row.worst_equity_usd, venue.margin.due[place].equity * 1e-6)
    row.insurance_usd = 0.0
    if venue.margin.liquidates != 0:
        row.insurance_usd = venue.ledger.accounts[venue.margin.insurance].cash * 1e-6


@kernel
def is_idle(meters, venues, logs, blocks, interval):
    """Whether nothing happened in the block just executed, and the last row is less than ``interval`` ns old."""
    meter = meters[0]
    return (
        blocks[0].count == 0
        and blocks[0].lane_gwei == 0
        and logs[0].count == meter.trades_seen
        and venues[0].liquidations.count == meter.liquidations_seen
        and meter.last_time > max(blocks[0].time - interval, 0)
    )


@kernel
def record(block_rows, market_rows, pool_rows, index, meters, venues, logs, pools, blocks, paths, gas_token_price):
    """Write the rows of the block just executed.

    Parameters
    ----------
    block_rows : array of BLOCK_ROW
    market_rows : array of MARKET_ROW, shape (blocks, instruments)
    pool_rows : array of POOL_ROW, shape (blocks, pools)
    index
        Row to write.
    gas_token_price
        Dollars per gas token; 0 if gas is paid in the underlying.
    """
    row = block_rows[index]
    rows = market_rows[index]
    meter = meters[0]
    venue = venues[0]
    log = logs[0]
    pool = pools[0]
    block = blocks[0]
    path = paths[0]
    ether_usd = gas_token_price if gas_token_price > 0.0 else log.external_price
    row.time_s = block.time * 1e-9
    row.block = block.number
    row.elapsed_s = (block.time - meter.last_time) * 1e-9
    meter.last_time = block.time
    row.base_fee_gwei = block.base_fee * 1e-9
    row.marginal_tip_gwei = block.marginal_tip * 1e-9
    row.gas_used = block.gas_used
    row.utilisation = block.gas_used / block.gas_limit
    row.pending = pool.count
    row.arrived_total = pool.submitted
    row.balked_total = pool.balked
    row.expired_total = pool.expired
    row.evicted_total = pool.evicted
    row.refused_total = pool.refused
    row.external_price_usd = log.external_price
    row.transactions = 0
    row.background_transactions = 0
    row.failed_transactions = 0
    row.unfunded_transactions = 0
    row.left_out_transactions = 0
    row.base_fee_usd = 0.0
    row.tips_usd = 0.0
    row.blobs = block.blobs
    row.blob_base_fee_gwei = block.blob_base_fee * 1e-9
    row.blob_fees_usd = 0.0
    row.data_usd = 0.0
    row.failed_gas_usd = 0.0
    row.congestion_usd = 0.0
    row.auction_usd = block.lane_gwei * 1e-9 * ether_usd
    row.ordering_usd = row.auction_usd
    row.searcher_gas_usd = 0.0
    row.searcher_gas = 0
    row.spam_gas = 0
    first_trade = max(meter.trades_seen, log.count - TRADES)
    _measure_transactions(row, meter, venue, log, pool, block, path, ether_usd, first_trade)
    if venue.batching != 0:
        measure_batches(meter, venue, log, block, path, ether_usd, first_trade)
    clear_trades(rows)
    clear_pools(pool_rows[index])
    measure_trades(rows, pool_rows[index], meter, venue, log, path, first_trade)
    meter.trades_seen = log.count
    value = 0.0
    for number in range(rows.size):
        value += rows[number].volume_usd
    meter.value = np.int64(round(value * 1e6))
    measure_claims(row, meter, venue, log, block)
    for number in range(rows.size):
        measure_book(rows[number], venue, number)
    for number in range(venue.pool_count):
        measure_pool(pool_rows[index, number], meter.pools[number], venue, number, log.external_price)
    stamp(meter, block.base_fee)
    stamp(meter, block.gas_used)
    if block.blob_limit > 0:
        stamp(meter, block.blob_base_fee)
        stamp(meter, block.blobs)
    if block.lane_gwei > 0:
        meter.auctions.gwei += block.lane_gwei
        stamp(meter, block.lane_gwei)
