"""Bundles: transactions that want to be right next to another one, or not in the block at all.

A sender's bundle for a target is what it has pending that names this target: one transaction before it, one after it,
or both, which then go together. While a block is planned, the pending bundles are indexed by their target in one pass
over the mempool; when a target is picked, the index says which bundles want to be around it, and the one that pays most
is put there, if it fits as a whole. What is not picked stays pending until it expires.

The work per block is bounded by what is pending. The index has as many places as the mempool has slots. Two hash tables
with chains lead to them, one by target and sender when a transaction is entered, one by target when that is picked,
which happens once. A sender counts once for each target: of several transactions for the same place the one that was
sent last counts.
"""

import numpy as np

from blockspace.network.compilation import kernel
from blockspace.network.mempool import NOBODY
from blockspace.network.transaction import BEFORE_TARGET, PUBLIC, effective_tip

BUCKETS = 4096
SPREAD = 2_654_435_761
"""Multiplier that spreads senders over the buckets (Knuth, 1973)."""

BUNDLE = np.dtype(
    [
        ("target", "i8"),  # sequence of the transaction that it wants to be around
        ("sender", "u4"),
        ("before", "u4"),  # slot of the transaction that goes before the target, or NOBODY
        ("after", "u4"),
        ("same_target", "u4"),  # next bundle of the same bucket by target, or NOBODY
        ("same_sender", "u4"),  # next bundle of the same bucket by target and sender, or NOBODY
    ],
    align=True,
)
"""What one sender wants to have around one target."""


@kernel
def _later(pool, slot, other):
    """The one of two slots whose transaction was sent later; ``other`` may be NOBODY."""
    if other != NOBODY and pool.transactions[other].sequence > pool.transactions[slot].sequence:
        return other
    return slot


@kernel
def index_bundle(block, pool, slot):
    """Enter a pending transaction that names a target into the block's index, if the block's maker sees it."""
    transaction = pool.transactions[slot]
    if transaction.route != PUBLIC and transaction.route != block.route:
        return
    if block.bundle_count == 0:
        block.bundle_targets[:] = NOBODY
        block.bundle_senders[:] = NOBODY
    bucket = (transaction.target + SPREAD * np.int64(transaction.sender)) & (BUCKETS - 1)
    number = block.bundle_senders[bucket]
    while number != NOBODY:
        found = block.bundles[number]
        if found.target == transaction.target and found.sender == transaction.sender:
            break
        number = found.same_sender
    if number == NOBODY:
        number = np.uint32(block.bundle_count)
        bundle = block.bundles[number]
        bundle.target = transaction.target
        bundle.sender = transaction.sender
        bundle.before = NOBODY
        bundle.after = NOBODY
        bundle.same_sender = block.bundle_senders[bucket]
        block.bundle_senders[bucket] = number
        bucket = transaction.target & (BUCKETS - 1)
        bundle.same_target = block.bundle_targets[bucket]
        block.bundle_targets[bucket] = number
        block.bundle_count += 1
    bundle = block.bundles[number]
    if transaction.placement == BEFORE_TARGET:
        bundle.before = _later(pool, slot, bundle.before)
    else:
        bundle.after = _later(pool, slot, bundle.after)


@kernel
def _can_enter(block, transaction):
    """Whether a transaction has arrived and can pay the base fee."""
    arrival = transaction.decided + block.latency[transaction.access]
    return arrival <= block.time and transaction.max_fee >= block.base_fee


@kernel
def _value(block, transaction):
    """What a transaction pays to whoever makes the block, in wei."""
    return np.float64(effective_tip(transaction, block.base_fee)) * np.float64(transaction.gas)


@kernel
def best_bundle(block, pool, target):
    """Number of the bundle that pays most among those which fit around ``target``, or NOBODY; ties go by the draw."""
    best = NOBODY
    best_value = 0.0
    best_tie = np.uint32(0)
    best_sequence = np.int64(0)
    number = block.bundle_targets[target.sequence & (BUCKETS - 1)]
    while number != NOBODY:
        bundle = block.bundles[number]
        this = number
        number = bundle.same_target
        if bundle.target != target.sequence:
            continue
        gas = block.gas_reserved + target.gas
        size = block.bytes + target.bytes
        value = 0.0
        enters = True
        first = bundle.before if bundle.before != NOBODY else bundle.after
        if bundle.before != NOBODY:
            before = pool.transactions[bundle.before]
            enters = _can_enter(block, before)
            gas += before.gas
            size += before.bytes
            value += _value(block, before)
        if bundle.after != NOBODY:
            after = pool.transactions[bundle.after]
            enters = enters and _can_enter(block, after)
            gas += after.gas
            size += after.bytes
            value += _value(block, after)
        if not enters or gas > block.gas_limit or size > block.byte_limit:
            continue
        tie = pool.transactions[first].tie
        sequence = pool.transactions[first].sequence
        ahead = value > best_value
        if value == best_value:
            ahead = tie < best_tie or (tie == best_tie and sequence < best_sequence)
        if best == NOBODY or ahead:
            best = this
            best_value = value
            best_tie = tie
            best_sequence = sequence
    return best
