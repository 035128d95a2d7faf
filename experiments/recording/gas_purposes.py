"""What gas is paid for, transaction by transaction, in exact integers."""

import numpy as np

from blockspace.experiments.recording.rows import CONGESTION, PLACE_IN_BLOCK, PLAIN_SPACE, ROLES, is_searcher, races
from blockspace.markets.ledger import WEI_PER_GWEI
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.transaction import FAILED, GAS_PER_BLOB


@kernel
def _add(amount, gas, price):
    """Add ``gas`` units at ``price`` wei each, exactly: billions of gas are taken apart so that nothing overflows."""
    rest = price % WEI_PER_GWEI
    wei = amount.wei + gas % WEI_PER_GWEI * rest
    amount.gwei += gas * (price // WEI_PER_GWEI) + gas // WEI_PER_GWEI * rest + wei // WEI_PER_GWEI
    amount.wei = wei % WEI_PER_GWEI


@kernel
def divide_gas(row, meter, block, transaction, role, tip, ether_usd):
    """Say what a transaction's gas was paid for, and by whom; see ``experiments/recording/rents.py`` for the rule.

    What the base fee makes of gas is left to :func:`divide_base_fees`, once a block.
    """
    gas = np.int64(transaction.gas_used)
    meter.block_gas[role] += gas
    _add(meter.tips[role], gas, tip)
    plain = min(tip, meter.usual_tip)
    short = tip - plain
    if transaction.status == FAILED:
        _add(meter.failed_gas[role], gas, block.base_fee + tip)
    to_dollars = np.float64(gas) * 1e-18 * ether_usd
    if is_searcher(role):
        row.searcher_gas += gas
        row.searcher_gas_usd += (block.base_fee + tip) * to_dollars
    if races(role, transaction.kind):
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
def measure_data(row, meter, block, transaction, role, ether_usd):
    """Add what a transaction paid beside gas, for its data and for its blobs; returns it in dollars."""
    data_fee = data_fee_wei(block, transaction.kind, transaction.bytes)
    blob_fee = np.int64(transaction.blobs) * GAS_PER_BLOB * block.blob_base_fee
    _add(meter.data_fees[role], np.int64(1), data_fee)
    _add(meter.blob_fees[role], np.int64(1), blob_fee)
    data_usd, blob_usd = np.float64(data_fee) * 1e-18 * ether_usd, np.float64(blob_fee) * 1e-18 * ether_usd
    row.data_usd += data_usd
    row.blob_fees_usd += blob_usd
    if is_searcher(role):
        row.searcher_gas_usd += data_usd
    return data_usd + blob_usd


@kernel
def measure_bid(row, meter, block, ether_usd):
    """Write who built a block, and what that cost the builder."""
    row.builder = 0
    if block.producer_account != block.proposer_account:
        row.builder = block.route
        meter.bids[0].gwei += block.bid_gwei
        _add(meter.bids[0], np.int64(1), block.bid_wei)
    row.bid_usd = (np.float64(block.bid_gwei) * 1e-9 + np.float64(block.bid_wei) * 1e-18) * ether_usd


@kernel
def divide_base_fees(row, meter, block, ether_usd):
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
