"""What is measured, block by block, in one kernel over preallocated rows.

A row of ``BLOCK_ROW`` describes a block, a row of ``MARKET_ROW`` an instrument after it and its order book, and a row
of :data:`~blockspace.experiments.pool_recorder.POOL_ROW` a pool. What needs the single transaction (delays, costs of
orders by size, gas by role, the fingerprint) is summed up in a ``METER`` as it happens.
"""

import math

import numpy as np

from blockspace.experiments.pool_recorder import POOL_METER, clear_pools, measure_pool, measure_swap
from blockspace.markets.ledger import ACCOUNTS, WEI_PER_GWEI
from blockspace.markets.listed_pools import POOLS
from blockspace.markets.matching import BUY, SELL, cost_to_fill, depth_within
from blockspace.markets.price_path import price_at
from blockspace.markets.trade_log import TRADES
from blockspace.network.block import effective_tip
from blockspace.network.compilation import kernel
from blockspace.network.transaction import FAILED, KINDS, LEFT_OUT, PLACE, TRANSFER, UNFUNDED

ROLES = (
    "system",
    "background",
    "producer",
    "maker",
    "noise",
    "informed",
    "arbitrageur",
    "own",
    "pool_arbitrageur",
    "swapper",
    "provider",
    "pool",
)
SYSTEM, BACKGROUND_ROLE, PRODUCER, MAKER, NOISE, INFORMED, ARBITRAGEUR, OWN = range(8)
POOL_ARBITRAGEUR, SWAPPER, PROVIDER, POOL = range(8, len(ROLES))

DEPTHS_BPS = (5, 10, 25, 50, 100)
NOTIONALS_USD = (1_000, 10_000, 100_000)
SIZE_BUCKETS_USD = (300, 1_000, 3_000, 10_000, 30_000)
"""Upper ends of the classes of order size by which trading costs are reported; a last class has no end."""

REALISED_AFTER_NS = 10_000_000_000
"""The realised spread compares a trade with the external price ten seconds later."""

DELAY_BINS = 160
_DELAY_STEPS_PER_OCTAVE = 4
_SHORTEST_DELAY_S = 1e-6

BLOCK_ROW = np.dtype(
    [
        ("time_s", "f8"),
        ("block", "i8"),
        ("elapsed_s", "f8"),  # since the row before
        ("base_fee_gwei", "f8"),
        ("marginal_tip_gwei", "f8"),
        ("gas_used", "i8"),
        ("utilisation", "f8"),  # share of the gas limit
        ("transactions", "i8"),
        ("background_transactions", "i8"),
        ("failed_transactions", "i8"),
        ("unfunded_transactions", "i8"),
        ("left_out_transactions", "i8"),  # by revert protection
        ("base_fee_usd", "f8"),  # paid as base fee
        ("tips_usd", "f8"),
        ("failed_gas_usd", "f8"),  # of which for transactions that failed
        ("congestion_usd", "f8"),  # of which because space is short
        ("ordering_usd", "f8"),  # of which for a place ahead of others
        ("searcher_gas_usd", "f8"),  # of which paid by arbitrageurs
        ("searcher_gas", "i8"),  # gas units used by arbitrageurs
        ("spam_gas", "i8"),  # of which by transactions that failed
        ("mean_delay_s", "f8"),  # decision to block, all that was included
        ("pending", "i8"),
        ("arrived_total", "i8"),  # transactions handed in so far
        ("balked_total", "i8"),
        ("expired_total", "i8"),
        ("evicted_total", "i8"),
        ("refused_total", "i8"),
        ("external_price_usd", "f8"),
    ],
    align=True,
)

MARKET_ROW = np.dtype(
    [
        ("instrument", "i8"),
        ("best_bid_usd", "f8"),
        ("best_ask_usd", "f8"),
        ("quoted_spread_bps", "f8"),
        *((f"depth_{distance}bps_usd", "f8") for distance in DEPTHS_BPS),  # mean of both sides
        *((f"slippage_{notional}usd_bps", "f8") for notional in NOTIONALS_USD),  # mean of both sides, against mid
        ("mark_usd", "f8"),
        ("index_usd", "f8"),
        ("funding_rate", "f8"),
        ("trades", "i8"),
        ("volume_usd", "f8"),
        ("arbitrage_volume_usd", "f8"),
        ("effective_spread_usd", "f8"),  # sum over trades that are not arbitrage; twice the distance to the price
        ("realised_spread_usd", "f8"),
        ("arbitrage_profit_usd", "f8"),  # before gas
        ("loss_to_arbitrage_usd", "f8"),  # of those whose quotes arbitrageurs took
        ("searcher_fees_usd", "f8"),  # venue fees of arbitrageurs
        ("maker_fees_usd", "f8"),
        ("taker_fees_usd", "f8"),
    ],
    align=True,
)

ORDER_COSTS = np.dtype(
    [
        ("orders", "i8"),
        ("unfilled", "i8"),
        ("notional_usd", "f8"),
        ("half_spread_usd", "f8"),
        ("impact_usd", "f8"),
        ("delay_usd", "f8"),
        ("fee_usd", "f8"),
        ("gas_usd", "f8"),
    ],
    align=True,
)

TAPE_ROW = np.dtype(
    [
        ("block", "i8"),
        ("time", "i8"),
        ("decided", "i8"),
        ("sender", "u4"),
        ("nonce", "u4"),
        ("gas_used", "u4"),
        ("bytes", "u4"),
        ("base_fee", "i8"),
        ("tip", "i8"),
        ("price", "i4"),
        ("size", "i4"),
        ("filled", "i4"),
        ("kind", "u1"),
        ("instrument", "u1"),
        ("side", "i1"),
        ("status", "u1"),
    ],
    align=True,
)
TAPE = 65536

WEI = np.dtype([("gwei", "i8"), ("wei", "i8")], align=True)
"""An amount of ether that does not fit into 64 bits of wei: whole gwei, and the wei beyond."""

# What gas is paid for: space itself, space that is short, and a place ahead of others (see ``experiments/rents.py``).
PLAIN_SPACE, CONGESTION, PLACE_IN_BLOCK = range(3)

METER = np.dtype(
    [
        ("roles", "u1", (ACCOUNTS,)),
        # The accounts of rents, in integers, by who paid; what there is of gas in wei, the rest in micro-dollars.
        ("base_fees", WEI, (len(ROLES),)),
        ("tips", WEI, (len(ROLES),)),
        ("failed_gas", WEI, (len(ROLES),)),  # part of the two above
        ("gas_by_purpose", WEI, (3,)),  # the two above, otherwise divided
        ("venue_fees", "i8", (len(ROLES),)),
        ("loss_to_arbitrage", "i8"),
        ("lowest_base_fee", "i8"),  # wei per gas that space costs when nobody wants it
        ("usual_tip", "i8"),  # wei per gas that wallets tip without congestion
        ("block_gas", "i8", (len(ROLES),)),  # gas used in the block that is being recorded
        ("background_delays", "i8", (DELAY_BINS,)),  # number of transactions by delay class
        ("market_delays", "i8", (DELAY_BINS,)),
        ("order_costs", ORDER_COSTS, (len(SIZE_BUCKETS_USD) + 1,)),  # of noise traders, by size
        ("gas_usd", "f8", (len(ROLES),)),
        ("failed_gas_usd", "f8", (len(ROLES),)),
        ("gas_units", "i8", (len(ROLES),)),
        ("kinds", "i8", (len(KINDS),)),
        ("trades_seen", "i8"),
        ("last_time", "i8"),
        ("print_low", "u8"),
        ("print_high", "u8"),
        ("pools", POOL_METER, (POOLS,)),
        ("keep_tape", "i8"),
        ("tape", TAPE_ROW, (TAPE,)),
        ("tape_count", "i8"),
    ],
    align=True,
)


@kernel
def is_searcher(role):
    """Whether accounts of a role are searchers: they take what has become stale, on books or in pools."""
    return role in (ARBITRAGEUR, POOL_ARBITRAGEUR)


@kernel
def delay_class(delay_s):
    """Class of a delay in the meter's histogram: four to the octave, from a microsecond."""
    if delay_s <= _SHORTEST_DELAY_S:
        return 0
    return min(int(_DELAY_STEPS_PER_OCTAVE * math.log2(delay_s / _SHORTEST_DELAY_S)) + 1, DELAY_BINS - 1)


def delay_quantile(histogram: np.ndarray, share: float) -> float:
    """Delay in seconds below which ``share`` of the transactions lie; NaN where there are none.

    Interpolated within the class, which is a fifth wide.
    """
    total = int(histogram.sum())
    if total == 0:
        return math.nan
    running = np.cumsum(histogram)
    found = int(np.searchsorted(running, share * total))
    if found == 0:
        return _SHORTEST_DELAY_S
    before = int(running[found - 1])
    within = (share * total - before) / max(int(histogram[found]), 1)
    return float(_SHORTEST_DELAY_S * 2.0 ** ((found - 1 + within) / _DELAY_STEPS_PER_OCTAVE))


@kernel
def _stamp(meter, value):
    """Mix a number into the fingerprint of the run."""
    low = (meter.print_low ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    low ^= low >> np.uint64(29)
    meter.print_low = low
    high = (meter.print_high + low) * np.uint64(0xBF58476D1CE4E5B9)
    meter.print_high = high ^ (high >> np.uint64(32))


@kernel
def _bucket(notional):
    bucket = 0
    while bucket < len(SIZE_BUCKETS_USD) and notional > SIZE_BUCKETS_USD[bucket]:
        bucket += 1
    return bucket


@kernel
def _measure_order(meter, log, transaction, number, gas_usd, path, value, lot_size):
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
def _add(amount, gas, price):
    """Add ``gas`` units at ``price`` wei each, exactly: billions of gas are taken apart so that nothing overflows."""
    rest = price % WEI_PER_GWEI
    wei = amount.wei + gas % WEI_PER_GWEI * rest
    amount.gwei += gas * (price // WEI_PER_GWEI) + gas // WEI_PER_GWEI * rest + wei // WEI_PER_GWEI
    amount.wei = wei % WEI_PER_GWEI


@kernel
def _divide_gas(row, meter, block, transaction, role, tip, ether_usd):
    """Say what a transaction's gas was paid for, and by whom; see ``experiments/rents.py`` for the rule.

    What the base fee makes of gas is left to :func:`_divide_base_fees`, once a block.
    """
    gas = np.int64(transaction.gas_used)
    meter.block_gas[role] += gas
    _add(meter.tips[role], gas, tip)
    plain = min(tip, meter.usual_tip)
    short = tip - plain
    if transaction.status == FAILED:
        _add(meter.failed_gas[role], gas, block.base_fee + tip)
    if is_searcher(role):
        to_dollars = np.float64(gas) * 1e-18 * ether_usd
        row.searcher_gas += gas
        row.searcher_gas_usd += (block.base_fee + tip) * to_dollars
        if transaction.status == FAILED:
            row.spam_gas += gas
            row.ordering_usd += (block.base_fee + tip) * to_dollars
            _add(meter.gas_by_purpose[PLACE_IN_BLOCK], gas, block.base_fee + tip)
            return
        ahead = max(tip - max(block.marginal_tip, meter.usual_tip), np.int64(0))
        row.ordering_usd += ahead * to_dollars
        _add(meter.gas_by_purpose[PLACE_IN_BLOCK], gas, ahead)
        short -= ahead
    _add(meter.gas_by_purpose[PLAIN_SPACE], gas, plain)
    if short > 0:
        row.congestion_usd += short * np.float64(gas) * 1e-18 * ether_usd
        _add(meter.gas_by_purpose[CONGESTION], gas, short)


@kernel
def _divide_base_fees(row, meter, block, ether_usd):
    """Divide the base fees of a block: by who paid, and into what is paid on an empty chain and what is not."""
    plain = min(block.base_fee, meter.lowest_base_fee)
    short = block.base_fee - plain
    gas = np.int64(0)
    for role in range(len(ROLES)):
        _add(meter.base_fees[role], meter.block_gas[role], block.base_fee)
        gas += meter.block_gas[role]
        meter.block_gas[role] = 0
    gas -= row.spam_gas
    _add(meter.gas_by_purpose[PLAIN_SPACE], gas, plain)
    _add(meter.gas_by_purpose[CONGESTION], gas, short)
    row.congestion_usd += short * np.float64(gas) * 1e-18 * ether_usd


@kernel
def _measure_unfilled(meter, venue, log, transaction):
    """Count an order of a noise trader that found nothing."""
    instrument = venue.instruments[transaction.instrument]
    meter.order_costs[_bucket(transaction.size * instrument.lot_size * log.external_price)].unfilled += 1


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
                _measure_unfilled(meter, venue, log, transaction)
            continue
        gas_used = np.float64(transaction.gas_used)
        base_usd = gas_used * block.base_fee * 1e-18 * ether_usd
        tip_usd = gas_used * tip * 1e-18 * ether_usd
        _divide_gas(row, meter, block, transaction, role, tip, ether_usd)
        row.base_fee_usd += base_usd
        row.tips_usd += tip_usd
        row.transactions += 1
        meter.gas_usd[role] += base_usd + tip_usd
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
        else:
            meter.market_delays[delay_class(delay)] += 1
            _stamp(meter, transaction.decided)
        _stamp(meter, tip)
        if venue.batching != 0:
            # What orders got is with the batch, but for those that did not get into it.
            if transaction.status == FAILED and transaction.kind == PLACE and role == NOISE:
                _measure_unfilled(meter, venue, log, transaction)
            continue
        if transaction.kind != TRANSFER and transaction.filled > 0:
            if transaction.kind == PLACE and role == NOISE:
                instrument = venue.instruments[transaction.instrument]
                _measure_order(
                    meter,
                    log,
                    transaction,
                    next_trade,
                    base_usd + tip_usd,
                    path,
                    instrument.tick_lot_value * 1e-6,
                    instrument.lot_size,
                )
            lots = 0
            while lots < transaction.filled and next_trade < log.count:
                lots += log.trades[next_trade & (TRADES - 1)].size
                next_trade += 1
        elif transaction.kind == PLACE and role == NOISE:
            _measure_unfilled(meter, venue, log, transaction)
    _divide_base_fees(row, meter, block, ether_usd)
    row.mean_delay_s = delay_sum / row.transactions if row.transactions > 0 else math.nan


@kernel
def _measure_batches(meter, venue, log, block, path, ether_usd, first_trade):
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
def _account_for_trade(row, meter, trade, instrument):
    """Add a trade's fees to the accounts of rents, and what its maker lost to a searcher.

    The fee of a pool belongs to those who lose to searchers there: it is part of what they get back, and no fee of the
    venue.
    """
    maker, taker = meter.roles[trade.maker], meter.roles[trade.taker]
    worth = np.int64(round(trade.external_price * instrument.lot_size * 1e6))
    if trade.pool > 0:
        if is_searcher(taker):
            loss = trade.side * (np.int64(trade.size) * worth - trade.notional) - trade.taker_fee
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
def _stamp_trade(meter, trade):
    _stamp(meter, trade.time)
    _stamp(meter, np.int64(trade.price) * 1_000_003 + np.int64(trade.size))
    _stamp(meter, np.int64(trade.maker) * 65_537 + np.int64(trade.taker) * 2 + (trade.side > 0))
    _stamp(meter, trade.maker_fee + trade.taker_fee)


@kernel
def _measure_trades(rows, pool_rows, meter, venue, log, path, first_trade):
    for number in range(first_trade, log.count):
        trade = log.trades[number & (TRADES - 1)]
        row = rows[trade.instrument]
        instrument = venue.instruments[trade.instrument]
        is_arbitrage = is_searcher(meter.roles[trade.taker])
        _stamp_trade(meter, trade)
        _account_for_trade(row, meter, trade, instrument)
        if trade.pool > 0:
            measure_swap(pool_rows[trade.pool - 1], trade, instrument.lot_size, is_arbitrage)
            _stamp(meter, trade.notional + trade.taker_fee)
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


@kernel
def _measure_book(row, venue, number):
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


@kernel
def _clear(rows):
    for number in range(rows.size):
        row = rows[number]
        row.trades = 0
        row.volume_usd = 0.0
        row.arbitrage_volume_usd = 0.0
        row.effective_spread_usd = 0.0
        row.realised_spread_usd = 0.0
        row.arbitrage_profit_usd = 0.0
        row.loss_to_arbitrage_usd = 0.0
        row.searcher_fees_usd = 0.0
        row.maker_fees_usd = 0.0
        row.taker_fees_usd = 0.0


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
    row.failed_gas_usd = 0.0
    row.congestion_usd = 0.0
    row.ordering_usd = 0.0
    row.searcher_gas_usd = 0.0
    row.searcher_gas = 0
    row.spam_gas = 0
    first_trade = max(meter.trades_seen, log.count - TRADES)
    _measure_transactions(row, meter, venue, log, pool, block, path, ether_usd, first_trade)
    if venue.batching != 0:
        _measure_batches(meter, venue, log, block, path, ether_usd, first_trade)
    _clear(rows)
    clear_pools(pool_rows[index])
    _measure_trades(rows, pool_rows[index], meter, venue, log, path, first_trade)
    meter.trades_seen = log.count
    for number in range(venue.count):
        _measure_book(rows[number], venue, number)
    for number in range(venue.pool_count):
        measure_pool(pool_rows[index, number], meter.pools[number], venue, number, log.external_price)
    _stamp(meter, block.base_fee)
    _stamp(meter, block.gas_used)
