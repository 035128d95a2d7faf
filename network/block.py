"""The block: its header, the transactions that were picked for it, and how they are picked.

An ordering policy ranks the pending transactions (their ``score``); :func:`fill_block` then takes them by score,
earliest arrival and a random tie-break, never ahead of an earlier nonce of the same sender, until gas or bytes run out.
"""

import numpy as np

from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.mempool import NOBODY, SLOTS
from blockspace.network.transaction import ACCESS_POINTS, NEVER

HEAP_ENTRY = np.dtype([("score", "f8"), ("arrival", "i8"), ("tie", "u4"), ("slot", "u4")], align=True)

BLOCK = np.dtype(
    [
        # Header.
        ("time", "i8"),  # ns
        ("number", "i8"),
        ("base_fee", "i8"),  # wei per gas
        ("gas_limit", "i8"),
        ("byte_limit", "i8"),
        ("producer", "i8"),  # validator or sequencer, as the topology numbers them
        ("producer_account", "u4"),  # account that receives the tips
        ("base_fee_account", "u4"),  # account that receives the base fee (that of burned value, on Ethereum)
        ("producer_takes_base_fee", "u1"),
        # The producer's paths from the access points, and to them.
        ("latency", "i8", (ACCESS_POINTS,)),  # ns
        ("latency_out", "i8", (ACCESS_POINTS,)),  # ns
        ("seconds_per_byte", "f8", (ACCESS_POINTS,)),
        ("hops", "i8", (ACCESS_POINTS,)),
        ("shortest_latency", "i8", (ACCESS_POINTS,)),  # ns, to the nearest producer of all
        ("access_points", "i8"),
        ("verification_ns_per_gas", "f8"),
        # The rules of the chain.
        ("tips_buy_nothing", "u1"),  # 1 if the ordering policy does not look at tips
        ("revert_protection", "u1"),  # 1 if what would fail is left out and pays nothing
        # What was picked, in order of execution.
        ("order", "u4", (SLOTS,)),
        ("count", "i8"),
        ("gas_reserved", "i8"),  # sum of the gas limits of what was picked
        ("gas_used", "i8"),  # as the state machine reports it
        ("bytes", "i8"),
        ("full", "i8"),  # 1 if something that could pay was left out for want of gas or bytes
        ("marginal_tip", "i8"),  # wei per gas: lowest tip in a full block; 0 if it was not full, or tips buy nothing
        ("lane_gwei", "i8"),  # paid in this block for the express lane
        ("heap", HEAP_ENTRY, (SLOTS,)),
        ("heap_count", "i8"),
    ],
    align=True,
)
"""One block under construction. The same record is used for every block of a chain."""

SMALLEST_GAS = 21_000
"""Gas of the cheapest transaction there is: with less than this left, a block is closed."""


@kernel
def _precedes(left, right):
    if left.score != right.score:
        return left.score > right.score
    if left.arrival != right.arrival:
        return left.arrival < right.arrival
    if left.tie != right.tie:
        return left.tie < right.tie
    return left.slot < right.slot


@kernel
def _copy_entry(target, source):
    target.score = source.score
    target.arrival = source.arrival
    target.tie = source.tie
    target.slot = source.slot


@kernel
def _sift_down(block, position):
    """Restore the heap below ``position``; the entry one past the heap's end serves as the hand that holds it."""
    heap = block.heap
    count = block.heap_count
    held = heap[SLOTS - 1]
    _copy_entry(held, heap[position])
    while True:
        child = 2 * position + 1
        if child >= count:
            break
        if child + 1 < count and _precedes(heap[child + 1], heap[child]):
            child += 1
        if not _precedes(heap[child], held):
            break
        _copy_entry(heap[position], heap[child])
        position = child
    _copy_entry(heap[position], held)


@kernel
def _append_if_ready(block, pool, slot):
    """Append a transaction to the heap's array if it has arrived and can pay the base fee."""
    transaction = pool.transactions[slot]
    arrival = transaction.decided + block.latency[transaction.access]
    if arrival > block.time or transaction.max_fee < block.base_fee:
        return False
    entry = block.heap[block.heap_count]
    entry.score = transaction.score
    entry.arrival = arrival
    entry.tie = transaction.tie
    entry.slot = slot
    block.heap_count += 1
    return True


@kernel
def _sift_up(block, position):
    heap = block.heap
    held = heap[SLOTS - 1]
    _copy_entry(held, heap[position])
    while position > 0:
        parent = (position - 1) // 2
        if not _precedes(held, heap[parent]):
            break
        _copy_entry(heap[position], heap[parent])
        position = parent
    _copy_entry(heap[position], held)


@kernel
def effective_tip(transaction, base_fee):
    """Tip that the producer really gets at this base fee, in wei per gas (EIP-1559)."""
    return min(transaction.tip, transaction.max_fee - base_fee)


@kernel
def fill_block(pools, blocks):
    """Pick the block's transactions from the mempool by their scores.

    Parameters
    ----------
    pools, blocks
        One-element record arrays. The block's header must be set and the pool be free of expired transactions.

    Notes
    -----
    A transaction that does not fit is passed over, and with it the later ones of its sender; smaller ones behind it may
    still fit. Picked transactions leave the list of pending ones but keep their slots until they are released.
    """
    pool = pools[0]
    block = blocks[0]
    block.count = 0
    block.gas_reserved = 0
    block.bytes = 0
    block.full = 0
    block.marginal_tip = 0
    block.heap_count = 0
    for position in range(pool.count):
        slot = pool.pending[position]
        transaction = pool.transactions[slot]
        if transaction.independent != 0 or transaction.preceding == NOBODY:
            _append_if_ready(block, pool, slot)
    for position in range(block.heap_count // 2 - 1, -1, -1):
        _sift_down(block, position)
    lowest_tip = np.int64(0)
    while block.heap_count > 0 and block.gas_reserved + SMALLEST_GAS <= block.gas_limit:
        slot = block.heap[0].slot
        block.heap_count -= 1
        if block.heap_count > 0:
            _copy_entry(block.heap[0], block.heap[block.heap_count])
            _sift_down(block, np.int64(0))
        transaction = pool.transactions[slot]
        fits = (
            block.gas_reserved + transaction.gas <= block.gas_limit
            and block.bytes + transaction.bytes <= block.byte_limit
        )
        if not fits:
            # What is too large for any block is no sign that this one is full.
            if transaction.gas <= block.gas_limit and transaction.bytes <= block.byte_limit:
                block.full = 1
            continue
        block.gas_reserved += transaction.gas
        block.bytes += transaction.bytes
        block.order[block.count] = slot
        tip = effective_tip(transaction, block.base_fee)
        if block.count == 0 or tip < lowest_tip:
            lowest_tip = tip
        block.count += 1
        following = transaction.following
        mempool.take_first(pool, slot)
        if transaction.independent == 0 and following != NOBODY and _append_if_ready(block, pool, following):
            _sift_up(block, block.heap_count - 1)
    if block.heap_count > 0:
        block.full = 1
    if block.full != 0 and block.tips_buy_nothing == 0:
        block.marginal_tip = max(lowest_tip, np.int64(0))


@kernel
def earliest_arrival(pools, shortest_latency, soon):
    """Earliest time (ns) at which a pending transaction can be with a producer, or any one at or before ``soon``.

    ``shortest_latency`` is that of each access point, in ns. Without pending transactions it is ``NEVER``.
    """
    pool = pools[0]
    earliest = NEVER
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        earliest = min(earliest, transaction.decided + shortest_latency[transaction.access])
        if earliest <= soon:
            break
    return earliest


@kernel
def expire_pending(pools, blocks):
    """Drop what may no longer be included; to be called once before a block is filled."""
    mempool.expire(pools[0], blocks[0].time)


@kernel
def release_block(pools, blocks):
    """Give the slots of the block's transactions back to the mempool, once nobody needs their receipts any more."""
    pool = pools[0]
    block = blocks[0]
    for position in range(block.count):
        mempool.release(pool, block.order[position])
