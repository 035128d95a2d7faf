"""Index, mark and funding, brought up to the time of a block."""

import math

from .constants import BUY, LARGEST_REPORT, ROUNDING, SELL
from .order_book import PRICES

BASIS_MEMORY_NS = 150e9
SAMPLE_INTERVAL_NS = 5 * 10**9


def revalue(venue, path, time, block):
    venue.tape.time = time
    venue.tape.block = block
    venue.tape.external_price = path.price_at(time)
    index_price = path.price_at(time - venue.oracle_delay)
    if venue.on_chain_oracle:
        if venue.reported is None:
            venue.reported = round(index_price * 1e6)
        index_price = venue.reported * 1e-6
    for instrument in venue.instruments:
        if instrument.option:
            continue
        instrument.index = round(index_price * instrument.lot_size * 1e6)
        update_basis(instrument, time)
        set_mark(venue, instrument, index_price)
        if instrument.perpetual:
            sample_and_fund(venue, instrument, time)
    if venue.options:
        venue.options.revalue(path, time, index_price)


def set_mark(venue, instrument, price):
    instrument.index = instrument.mark = round(price * instrument.lot_size * 1e6)
    if instrument.perpetual:
        instrument.mark += round(instrument.basis * instrument.index)
        instrument.changes = [round(move * instrument.mark) for move, _ in venue.margin.moves]


def report(venue, transaction):
    """Whether the keeper's price is taken; all marks follow at once."""
    if not venue.on_chain_oracle or transaction.sender != venue.keeper:
        return False
    if not 0 < transaction.amount <= LARGEST_REPORT:
        return False
    venue.reported = transaction.amount
    for instrument in venue.instruments:
        if not instrument.option:
            set_mark(venue, instrument, venue.reported * 1e-6)
    if venue.options:
        venue.options.value(venue.reported * 1e-6, venue.tape.time)
    return True


def update_basis(instrument, time):
    """Moving average of the distance between mid and index."""
    book = instrument.book
    if book.best_bid > 0 and book.best_ask < PRICES:
        mid = 0.5 * (book.best_bid + book.best_ask) * instrument.tick_lot_value
        weight = 1.0 - math.exp(-(time - instrument.basis_time) / BASIS_MEMORY_NS)
        instrument.basis += weight * ((mid - instrument.index) / instrument.index - instrument.basis)
    instrument.basis_time = time


def sample_and_fund(venue, instrument, time):
    if time >= instrument.next_sample:
        instrument.premium_sum += premium(instrument)
        instrument.premium_samples += 1
        instrument.next_sample = time + SAMPLE_INTERVAL_NS
    if time >= instrument.next_funding:
        if instrument.next_funding > 0 and instrument.premium_samples > 0:
            mean_premium = instrument.premium_sum / instrument.premium_samples
            instrument.funding_rate = funding_rate(mean_premium, venue.funding_interval)
            pay_funding(venue, instrument)
            instrument.premium_sum = 0.0
            instrument.premium_samples = 0
        instrument.next_funding = (time // venue.funding_interval + 1) * venue.funding_interval


def premium(instrument):
    """Premium of the impact prices over the index; 0 where the book is too thin."""
    lots = instrument.impact_lots
    sold, received = instrument.book.cost_to_fill(SELL, lots)
    bought, paid = instrument.book.cost_to_fill(BUY, lots)
    if sold < lots or bought < lots:
        return 0.0
    impact_bid = instrument.tick_lot_value * received / lots
    impact_ask = instrument.tick_lot_value * paid / lots
    index = instrument.index
    return (max(impact_bid - index, 0.0) - max(index - impact_ask, 0.0)) / index


def funding_rate(mean_premium, interval):
    """Share of the eight-hour rate for ``interval`` nanoseconds, at most 4 % an hour."""
    eight_hours = mean_premium + min(max(0.0001 - mean_premium, -0.0005), 0.0005)
    share = interval / (8 * 3600e9)
    largest = 0.04 * 8.0 * share
    return min(max(eight_hours * share, -largest), largest)


def pay_funding(venue, instrument):
    """Longs pay shorts. Rounded up for the payer and down for the payee; ROUNDING keeps the difference."""
    for number, account in enumerate(venue.ledger.accounts):
        position = account.positions[instrument.number]
        if position != 0:
            payment = math.ceil(position * instrument.index * instrument.funding_rate)
            venue.ledger.transfer_cash(number, ROUNDING, payment)
            if venue.margin.mode == "isolated":
                venue.margin.position(number, instrument.number).set_aside -= payment
