"""The venue: the state machine that executes an ordered list of transactions.

A venue holds the ledger, the instruments with one order book for each, and the pools. The chain hands it a block;
it charges gas, carries each transaction out or fails it, settles trades or lets them wait, and leaves a receipt. It
never looks at the network.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets import ledger as books_of_account
from blockspace.markets.batch import BATCH
from blockspace.markets.batch_execution import clear_batches, wait_for_batch
from blockspace.markets.bridging import send_to_escrow
from blockspace.markets.clearing import CLEARING
from blockspace.markets.clearing_execution import execute_settlement
from blockspace.markets.collateral import committed_lots, free_collateral
from blockspace.markets.combinations import execute_combination
from blockspace.markets.instruments import HANDLES, INSTRUMENT, OPTION
from blockspace.markets.ledger import BACKGROUND, BURNED, INSTRUMENTS, LEDGER, can_pay_gas, pay_gas, transfer_ether
from blockspace.markets.liquidation import LIQUIDATION_LOG, execute_liquidation
from blockspace.markets.margin import MARGIN
from blockspace.markets.matching import BOOK
from blockspace.markets.options.series import OPTIONS, is_tradable, touch
from blockspace.markets.order_execution import execute_order, would_leave_a_trace
from blockspace.markets.perpetual import execute_report
from blockspace.markets.pools.execution import execute_in_pool
from blockspace.markets.pools.listing import POOL_FIELDS
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.transaction import (
    AFTER_TARGET,
    BEFORE_TARGET,
    BRIDGE,
    BURN,
    COMBINATION,
    FAILED,
    GAS_PER_BLOB,
    LEFT_OUT,
    LIQUIDATE,
    QUOTE,
    REPORT,
    SETTLE,
    SUCCEEDED,
    SWAP,
    UNFUNDED,
    effective_tip,
    is_of_market,
)

VENUE = np.dtype(
    [
        ("ledger", LEDGER),
        ("instruments", INSTRUMENT, (INSTRUMENTS,)),
        ("books", BOOK, (INSTRUMENTS,)),
        ("count", "i8"),  # instruments in use
        ("oracle_delay", "i8"),  # ns by which the index lags the external price
        ("on_chain_oracle", "u1"),  # 1 if the index is what the keeper last got into a block
        ("keeper", "u4"),  # account that may report
        ("reported", "i8"),  # micro-dollars per unit of the underlying
        ("funding_interval", "i8"),  # ns
        # Batch auctions.
        ("batching", "u1"),  # 1 if orders wait for a batch
        ("batch_interval", "i8"),  # ns between two batches; 0 for one in every block
        ("next_batch", "i8"),  # ns
        ("last_batch", "i8"),  # number of the block in which the last batch cleared
        ("batches", BATCH, (INSTRUMENTS,)),
        ("swap_gas", "i8"),  # gas of a swap, and of each tick that it crosses
        ("swap_tick_gas", "i8"),
        *POOL_FIELDS,
        ("options", OPTIONS),
        ("margin", MARGIN),
        ("clearing", CLEARING),
        ("liquidations", LIQUIDATION_LOG),
        ("escrow", "u4"),  # account that holds what is sent to other chains; 0 where no bridge is
    ],
    align=True,
)


def new_venue() -> npt.NDArray[Any]:
    """Make a venue without instruments: a one-element record array of type ``VENUE``. Untouched parts use no memory."""
    venues = np.zeros(1, VENUE)
    venues[0]["ledger"]["count"] = books_of_account.FIRST_FREE_ACCOUNT
    return venues


@kernel
def _trade_with_pool(venue, log, transaction):
    """Let the sender trade with a pool what it has: lots that no resting order sells, and cash that no margin needs."""
    if transaction.order >= venue.pool_count or venue.pools[transaction.order].instrument != transaction.instrument:
        return False
    number, sender = transaction.instrument, transaction.sender
    _, asks = committed_lots(venue, number, sender)
    lots = venue.ledger.accounts[sender].position[number] - asks
    return execute_in_pool(venue, log, transaction, lots, free_collateral(venue, sender))


@kernel
def _carry_out(venue, log, block, slot, transaction):
    """Carry out a transaction; returns whether it succeeded. Only its sender's orders are within its reach."""
    if transaction.kind == BRIDGE:
        return send_to_escrow(venue, transaction)
    if not is_of_market(transaction.kind):
        return True
    if transaction.instrument >= venue.count:
        return False
    if transaction.kind == COMBINATION:
        return execute_combination(venue, log, transaction)
    if venue.instruments[transaction.instrument].kind == OPTION:
        if not is_tradable(venue, transaction.instrument, transaction.decided):
            return False
        touch(venue, transaction.sender, transaction.instrument)
    if SWAP <= transaction.kind <= BURN:
        return _trade_with_pool(venue, log, transaction)
    if transaction.kind == LIQUIDATE:
        return execute_liquidation(venue, log, transaction)
    if transaction.kind == SETTLE:
        return execute_settlement(venue, log, transaction)
    if transaction.kind == REPORT:
        return execute_report(venue, transaction, block.time)
    if transaction.kind != QUOTE and transaction.order // HANDLES != transaction.sender:
        return False
    if venue.batching != 0:
        return wait_for_batch(venue, block, slot, transaction)
    return execute_order(venue, log, transaction)


@kernel
def _has_lost_its_first(pool, block, position):
    """Whether a transaction goes after its target and its bundle's other one, just before the target, is left out."""
    transaction = pool.transactions[block.order[position]]
    if transaction.placement != AFTER_TARGET or position < 2:
        return False
    first = pool.transactions[block.order[position - 2]]
    if first.placement != BEFORE_TARGET or first.sender != transaction.sender or first.target != transaction.target:
        return False
    return first.status == LEFT_OUT or first.status == UNFUNDED


@kernel
def next_event(venues, latest):
    """Time in ns at which something happens of itself, ``latest`` at the latest: funding, an expiry, a batch."""
    venue = venues[0]
    for number in range(venue.count):
        funding = venue.instruments[number].next_funding
        if funding > 0:
            latest = min(latest, funding)
    for number in range(venue.options.tenor_count):
        tenor = venue.options.tenors[number]
        if tenor.open != 0:
            latest = min(latest, tenor.expiry)
    if venue.batching != 0:
        for number in range(venue.count):
            if venue.batches[number].count > 0:
                latest = min(latest, venue.next_batch)
    return latest


@kernel
def execute(venues, logs, pools, blocks):
    """Execute a block's transactions in their order, charge their gas and write their receipts.

    Parameters
    ----------
    venues, logs, pools, blocks
        One-element record arrays. The block has been filled; its transactions lie in the mempool's slots.

    Notes
    -----
    Where orders wait for a batch it clears last, if its time has come.

    A sender who cannot pay for the gas that it declared is left out (``UNFUNDED``). Failed transactions pay
    in full, unless the chain protects from reverts, or whoever makes its blocks protects those who ask for it: then
    they are left out as well, change nothing and pay nothing, and so is the rest of a bundle whose first is left out.
    The space that a transaction held that is left out stays empty, and its nonce counts as used.
    """
    venue = venues[0]
    log = logs[0]
    pool = pools[0]
    block = blocks[0]
    log.time = block.time
    log.block = block.number
    block.gas_used = 0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        tip = effective_tip(transaction, block.base_fee)
        sender = transaction.sender
        gas = np.int64(transaction.gas)
        data_fee = data_fee_wei(block, transaction.kind, transaction.bytes)
        blob_fee = np.int64(transaction.blobs) * GAS_PER_BLOB * block.blob_base_fee
        beside = data_fee + blob_fee
        if sender != BACKGROUND and not can_pay_gas(venue.ledger, sender, gas, block.base_fee + tip, beside):
            transaction.status = UNFUNDED
            continue
        protected = block.revert_protection != 0
        if block.protection_on_demand != 0 and transaction.protected != 0:
            protected = True
        if protected and (would_leave_a_trace(venue, transaction) or _has_lost_its_first(pool, block, position)):
            transaction.status = LEFT_OUT
            continue
        if _carry_out(venue, log, block, block.order[position], transaction):
            transaction.status = SUCCEEDED
        elif protected:
            transaction.status = LEFT_OUT
            continue
        else:
            transaction.status = FAILED
        transaction.gas_used = gas
        block.gas_used += gas
        pay_gas(venue.ledger, sender, block.base_fee_account, gas, block.base_fee)
        pay_gas(venue.ledger, sender, block.producer_account, gas, tip)
        if data_fee > 0:
            transfer_ether(venue.ledger, sender, block.data_account, np.int64(0), data_fee)
        if blob_fee > 0:
            transfer_ether(venue.ledger, sender, np.int64(BURNED), np.int64(0), blob_fee)
    if venue.batching != 0:
        clear_batches(venue, log, pool, block)
