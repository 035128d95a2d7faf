"""What waits for settlement, how long, and what margin it takes, measured after each block."""

from blockspace.experiments.recording.delays import delay_class
from blockspace.markets.clearing import IMMEDIATE, waits
from blockspace.markets.instruments import PERPETUAL
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT
from blockspace.markets.margin import initial_margin
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def _copy_totals(meter, totals):
    kept = meter.clearing[0]
    kept.settlements = totals.settlements
    kept.trades = totals.trades
    kept.parties = totals.parties
    kept.at_expiry = totals.at_expiry
    kept.gross = totals.gross
    kept.net = totals.net
    kept.fees = totals.fees
    kept.insured = totals.insured
    kept.socialised = totals.socialised
    kept.failed = totals.failed


@kernel
def _measure_margin(row, venue):
    """Add up what accounts have at risk in perpetuals, settled or not, and the initial margin that it takes."""
    for number in range(venue.count):
        instrument = venue.instruments[number]
        if instrument.kind != PERPETUAL:
            continue
        for account in range(FIRST_FREE_ACCOUNT, venue.ledger.count):
            lots = venue.ledger.accounts[account].position[number]
            claimed = venue.clearing.lots[account, number]
            if lots != 0 or claimed != 0:
                largest = max(abs(lots), abs(lots + claimed))
                row.exposure_usd += 1e-6 * abs(lots + claimed) * instrument.mark
                row.margin_demanded_usd += 1e-6 * initial_margin(instrument, largest)


@kernel
def measure_claims(row, meter, venue, log, block):
    """Write what waits after a block, and the delays of the trades that it has settled."""
    clearing = venue.clearing
    row.unsettled_trades = clearing.waiting
    row.unsettled_usd = clearing.outstanding * 1e-6
    row.exposure_usd = 0.0
    row.margin_demanded_usd = 0.0
    if clearing.mode == IMMEDIATE:
        return
    for number in range(meter.cleared_seen, clearing.cleared):
        trade = log.trades[number & (TRADES - 1)]
        if waits(trade):
            meter.settlement_delays[delay_class((block.time - trade.time) * 1e-9)] += 1
    meter.cleared_seen = clearing.cleared
    _copy_totals(meter, clearing.totals)
    _measure_margin(row, venue)
