"""Index, mark and funding of perpetual futures.

The index is the external price as the venue's oracle reports it: with a fixed delay, or whenever the report of a keeper
gets into a block. The mark adds the moving average of the basis between
the book's mid and the index. Funding follows the rule published for Hyperliquid (2024): every five seconds a premium is
sampled from the impact prices, and every hour (or another interval) positions pay their share of the eight-hour rate
``mean premium + clamp(interest - mean premium, -0.05 %, 0.05 %)``, at most 4 % an hour.
"""

import math

import numpy as np

from blockspace.markets.instruments import OPTION, PERPETUAL, SCENARIOS
from blockspace.markets.ledger import ROUNDING, transfer_cash
from blockspace.markets.margin import ISOLATED, PORTFOLIO
from blockspace.markets.matching import BUY, SELL, cost_to_fill
from blockspace.markets.options.marks import revalue_options, value_options
from blockspace.markets.price_path import price_at
from blockspace.network.compilation import kernel

BASIS_MEMORY_NS = 150e9
SAMPLE_INTERVAL_NS = 5_000_000_000
INTEREST_PER_8_HOURS = 0.0001
CLAMP = 0.0005
LARGEST_RATE_PER_HOUR = 0.04
EIGHT_HOURS_NS = 28_800e9

LARGEST_REPORT = 10**13
"""Micro-dollars per unit of the underlying that a keeper may report."""


@kernel
def eight_hour_rate(premium):
    """Eight-hour funding rate for a mean premium, both as fractions."""
    return premium + min(max(INTEREST_PER_8_HOURS - premium, -CLAMP), CLAMP)


@kernel
def funding_rate(premium, interval):
    """Rate that is paid for ``interval`` nanoseconds: the eight-hour rate in proportion, capped at 4 % an hour."""
    share = interval / EIGHT_HOURS_NS
    largest = LARGEST_RATE_PER_HOUR * 8.0 * share
    return min(max(eight_hour_rate(premium) * share, -largest), largest)


@kernel
def sample_premium(book, instrument):
    """Premium of the book's impact prices over the index, as a fraction; 0 where the book is too thin to tell."""
    bid_lots, bid_cost = cost_to_fill(book, np.int64(SELL), instrument.impact_lots)
    ask_lots, ask_cost = cost_to_fill(book, np.int64(BUY), instrument.impact_lots)
    if bid_lots < instrument.impact_lots or ask_lots < instrument.impact_lots:
        return 0.0
    impact_bid = instrument.tick_lot_value * bid_cost / bid_lots
    impact_ask = instrument.tick_lot_value * ask_cost / ask_lots
    index = np.float64(instrument.index)
    return (max(impact_bid - index, 0.0) - max(index - impact_ask, 0.0)) / index


@kernel
def pay_funding(venue, number, rate):
    """Charge ``rate`` of its value at index to every position of a perpetual; longs pay shorts when it is positive.

    Each payment is rounded up for the payer and down for the payee; what is left over goes to ROUNDING.
    """
    ledger = venue.ledger
    index = venue.instruments[number].index
    for account in range(ledger.count):
        position = ledger.accounts[account].position[number]
        if position != 0:
            payment = np.int64(math.ceil(position * index * rate))
            transfer_cash(ledger, account, np.int64(ROUNDING), payment)
            if venue.margin.mode == ISOLATED:
                venue.margin.set_aside[account, number] -= payment


@kernel
def set_mark(venue, instrument, price):
    """Set index and mark of an instrument, and what its lots would be worth in the scenarios of portfolio margin.

    ``price`` is in dollars per unit of the underlying.
    """
    instrument.index = np.int64(round(price * instrument.lot_size * 1e6))
    instrument.mark = instrument.index
    if instrument.kind != PERPETUAL:
        return
    instrument.mark += np.int64(round(instrument.basis * instrument.index))
    if venue.margin.mode == PORTFOLIO:
        for scenario in range(SCENARIOS):
            instrument.changes[scenario] = np.int64(round(venue.margin.price_moves[scenario] * instrument.mark))


@kernel
def execute_report(venue, transaction, time):
    """Take a price from the venue's keeper, in micro-dollars per unit; index and marks follow at once."""
    if transaction.sender != venue.keeper or not 0 < transaction.amount <= LARGEST_REPORT or venue.on_chain_oracle == 0:
        return False
    venue.reported = transaction.amount
    for number in range(venue.count):
        if venue.instruments[number].kind != OPTION:
            set_mark(venue, venue.instruments[number], venue.reported * 1e-6)
    if venue.options.tenor_count > 0:
        value_options(venue, venue.reported * 1e-6, time)
    return True


@kernel
def _update_basis(book, instrument, time):
    if book.best_bid > 0 and book.best_ask < book.levels.size:
        mid = 0.5 * (book.best_bid + book.best_ask) * instrument.tick_lot_value
        weight = 1.0 - math.exp(-(time - instrument.basis_time) / BASIS_MEMORY_NS)
        instrument.basis += weight * ((mid - instrument.index) / instrument.index - instrument.basis)
    instrument.basis_time = time


@kernel
def revalue(venues, logs, paths, blocks):
    """Bring index, mark, premium and funding of every instrument up to the time of the block, and settle options."""
    venue = venues[0]
    time = blocks[0].time
    logs[0].time = time
    logs[0].block = blocks[0].number
    logs[0].external_price = price_at(paths[0], time)
    index_price = price_at(paths[0], time - venue.oracle_delay)
    if venue.on_chain_oracle != 0:
        if venue.reported == 0:
            venue.reported = np.int64(round(index_price * 1e6))
        index_price = venue.reported * 1e-6
    for number in range(venue.count):
        instrument = venue.instruments[number]
        if instrument.kind == OPTION:
            break
        instrument.index = np.int64(round(index_price * instrument.lot_size * 1e6))
        _update_basis(venue.books[number], instrument, time)
        set_mark(venue, instrument, index_price)
        if instrument.kind == PERPETUAL:
            _sample_and_fund(venue, number, time)
    revalue_options(venue, logs[0], paths[0], time, index_price)


@kernel
def _sample_and_fund(venue, number, time):
    instrument = venue.instruments[number]
    if time >= instrument.next_sample:
        instrument.premium_sum += sample_premium(venue.books[number], instrument)
        instrument.premium_samples += 1
        instrument.next_sample = time + SAMPLE_INTERVAL_NS
    if time >= instrument.next_funding:
        if instrument.next_funding > 0 and instrument.premium_samples > 0:
            instrument.funding_rate = funding_rate(
                instrument.premium_sum / instrument.premium_samples, venue.funding_interval
            )
            pay_funding(venue, number, instrument.funding_rate)
            instrument.premium_sum = 0.0
            instrument.premium_samples = 0
        instrument.next_funding = (time // venue.funding_interval + 1) * venue.funding_interval
