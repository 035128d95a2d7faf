"""The block: its header, the transactions that were picked for it, and how they are picked.

An ordering policy ranks the pending transactions (their ``score``); :func:`plan_block` then picks them by score,
earliest arrival and a random tie-break, never ahead of an earlier nonce of the same sender, until gas or bytes run out.
Ahead of all of them is what the rules of the chain put at the top, in the order in which it was handed in.
It picks among what the block's maker gets to see and changes nothing, so that several makers can plan the same block;
:func:`take_block` takes what was planned out of the mempool.
"""

import numpy as np

from blockspace.network import mempool
from blockspace.network.bundles import BUCKETS, BUNDLE, best_bundle, index_bundle
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import LAYOUT
from blockspace.network.mempool import NOBODY, SLOTS
from blockspace.network.transaction import ACCESS_POINTS, ANYWHERE, AT_TOP, NEVER, PUBLIC, effective_tip

HEAP_ENTRY = np.dtype([("score", "f8"), ("arrival", "i8"), ("tie", "u4"), ("slot", "u4")], align=True)

BLOCK = np.dtype(
    [
        # Header.
        ("time", "i8"),  # ns
        ("number", "i8"),
        ("base_fee", "i8"),  # wei per gas
        ("gas_limit", "i8"),
        ("byte_limit", "i8"),
        ("blob_limit", "i8"),
        ("blob_base_fee", "i8"),  # wei per unit of blob gas
        ("producer", "i8"),  # validator or sequencer, as the topology numbers them
        ("proposer_account", "u4"),  # account of the producer
        ("producer_account", "u4"),  # account that receives the tips: the producer's, or that of the block's builder
        ("base_fee_account", "u4"),  # account that receives the base fee (that of burned value, on Ethereum)
        ("producer_takes_base_fee", "u1"),
        ("data_price", "i8"),  # thousandths of a wei per byte, for keeping data on another chain; 0 where none is kept
        ("layout", LAYOUT),  # what of a transaction is published there
        ("data_account", "u4"),  # account that receives what is paid for data
        # Paths from the access points to the producer, by way of the relay if there is one, and from it to them.
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
        ("protection_on_demand", "u1"),  # 1 if that is so for transactions that ask for it
        ("bundles_offered", "u1"),  # 1 if transactions that name a target are put next to it
        # Who picks: what goes to everybody, and what takes this route, is what the maker of the block sees.
        ("route", "u1"),
        ("bid_gwei", "i8"),  # what its builder pays to the producer: whole gwei ...
        ("bid_wei", "i8"),  # ... and the wei beyond
        # What was picked, in order of execution.
        ("order", "u4", (SLOTS,)),
        ("count", "i8"),
        ("gas_reserved", "i8"),  # sum of the gas limits of what was picked
        ("gas_used", "i8"),  # as the state machine reports it
        ("bytes", "i8"),
        ("blobs", "i8"),
        ("full", "i8"),  # 1 if something that could pay was left out for want of gas or bytes
        ("marginal_tip", "i8"),  # wei per gas: lowest tip in a full block; 0 if it was not full, or tips buy nothing
        ("lane_gwei", "i8"),  # paid in this block for the express lane
        ("heap", HEAP_ENTRY, (SLOTS,)),
        ("heap_count", "i8"),
        # Pending bundles by the sequence of their target, while the block is planned.
        ("bundles", BUNDLE, (SLOTS,)),
        ("bundle_count", "i8"),
        ("bundle_targets", "u4", (BUCKETS,)),
        ("bundle_senders", "u4", (BUCKETS,)),
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
    """Append a transaction to the heap's array if it is seen, has arrived and can pay the base fee."""
    transaction = pool.transactions[slot]
    if transaction.route != PUBLIC and transaction.route != block.route:
        return False
    arrival = transaction.decided + block.latency[transaction.access]
    if arrival > block.time or transaction.max_fee < block.base_fee:
        return False
    if transaction.blobs > 0 and transaction.blob_fee < block.blob_base_fee:
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
def _put(block, slot, transaction):
    """Put a transaction at the end of the block."""
    block.gas_reserved += transaction.gas
    block.bytes += transaction.bytes
    block.blobs += transaction.blobs
    block.order[block.count] = slot
    block.count += 1


@kernel
def _put_with_bundle(block, pool, slot, transaction):
    """Put a transaction at the end of the block, with the best bundle around it that fits."""
    number = best_bundle(block, pool, transaction)
    if number == NOBODY:
        _put(block, slot, transaction)
        return
    bundle = block.bundles[number]
    if bundle.before != NOBODY:
        _put(block, bundle.before, pool.transactions[bundle.before])
    _put(block, slot, transaction)
    if bundle.after != NOBODY:
        _put(block, bundle.after, pool.transactions[bundle.after])


@kernel
def _line_up(block, pool, slot):
    """Enter a transaction among those at the top of the block, earliest first, whether there is room for it or not."""
    place = block.count
    while place > 0 and pool.transactions[block.order[place - 1]].sequence > pool.transactions[slot].sequence:
        block.order[place] = block.order[place - 1]
        place -= 1
    block.order[place] = slot
    block.count += 1


@kernel
def _put_at_top(block, pool):
    """Put into the block what is lined up for its top and fits."""
    lined_up = block.count
    block.count = 0
    for place in range(lined_up):
        slot = block.order[place]
        transaction = pool.transactions[slot]
        enough_gas = block.gas_reserved + transaction.gas <= block.gas_limit
        if enough_gas and block.bytes + transaction.bytes <= block.byte_limit:
            _put(block, slot, transaction)


@kernel
def plan_block(pools, blocks):
    """Pick the block's transactions by their scores, among those that its maker sees, and leave the mempool as it is.

    Ahead of them comes what the rules of the chain put at the top, whatever its arrival, fee or route.

    Parameters
    ----------
    pools, blocks
        One-element record arrays. The block's header must be set and the pool be free of expired transactions.

    Notes
    -----
    A transaction that does not fit is passed over, and with it the later ones of its sender; smaller ones behind it may
    still fit. A transaction that names a target is picked with its target or not at all, by
    :func:`~blockspace.network.bundles.best_bundle`.
    """
    pool = pools[0]
    block = blocks[0]
    block.count = 0
    block.gas_reserved = 0
    block.bytes = 0
    block.blobs = 0
    block.full = 0
    block.marginal_tip = 0
    block.heap_count = 0
    block.bundle_count = 0
    for position in range(pool.count):
        slot = pool.pending[position]
        transaction = pool.transactions[slot]
        if transaction.placement != ANYWHERE:
            if transaction.placement == AT_TOP:
                _line_up(block, pool, slot)
            elif block.bundles_offered != 0:
                index_bundle(block, pool, slot)
        elif transaction.independent != 0 or transaction.preceding == NOBODY:
            _append_if_ready(block, pool, slot)
    for position in range(block.heap_count // 2 - 1, -1, -1):
        _sift_down(block, position)
    lowest_tip = np.int64(0)
    _put_at_top(block, pool)
    at_top = block.count
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
            and block.blobs + transaction.blobs <= block.blob_limit
        )
        if not fits:
            # What is too large for any block is no sign that this one is full, nor is a lack of blobs one of gas.
            fits_without_blobs = block.blobs + transaction.blobs <= block.blob_limit
            if transaction.gas <= block.gas_limit and transaction.bytes <= block.byte_limit and fits_without_blobs:
                block.full = 1
            continue
        tip = effective_tip(transaction, block.base_fee)
        if block.count == at_top or tip < lowest_tip:
            lowest_tip = tip
        if block.bundle_count == 0:
            _put(block, slot, transaction)
        else:
            _put_with_bundle(block, pool, slot, transaction)
        following = transaction.following
        if transaction.independent == 0 and following != NOBODY and _append_if_ready(block, pool, following):
            _sift_up(block, block.heap_count - 1)
    if block.heap_count > 0:
        block.full = 1
    if block.full != 0 and block.tips_buy_nothing == 0:
        block.marginal_tip = max(lowest_tip, np.int64(0))


@kernel
def take_block(pools, blocks):
    """Take the transactions of a planned block off the list of pending ones; they keep their slots until released."""
    pool = pools[0]
    block = blocks[0]
    for position in range(block.count):
        mempool.take_first(pool, block.order[position])


@kernel
def fill_block(pools, blocks):
    """Plan a block and take its transactions out of the mempool; see :func:`plan_block`."""
    plan_block(pools, blocks)
    take_block(pools, blocks)


@kernel
def earliest_arrival(pools, blocks, soon, lowest_base_fee):
    """Earliest time (ns) at which a pending transaction can be with a producer, or any one at or before ``soon``.

    What is too large for any block does not count, nor what cannot pay even ``lowest_base_fee`` (wei per gas), to which
    the fee falls if nobody wants the space: neither will ever be in a block. Without any other it is ``NEVER``.
    """
    pool = pools[0]
    block = blocks[0]
    earliest = NEVER
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        if transaction.gas > block.gas_limit or transaction.bytes > block.byte_limit:
            continue
        if transaction.max_fee < lowest_base_fee:
            continue
        earliest = min(earliest, transaction.decided + block.shortest_latency[transaction.access])
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
