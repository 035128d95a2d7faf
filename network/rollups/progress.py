"""How far a rollup has got on the chains below it: its blocks, their batches, and the claims about its state.

A rollup's operator packs the transactions of its blocks into *batches*, whose data are posted where everybody can get
them. A *claim* says on the parent what the state is after some batches; it is final once it is proven, or once nobody
has refuted it for long enough. What this module keeps is what happened, in rings of fixed size; who decides about it
are agents.

All times are in ns, and 0 stands for what has not happened yet.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network import data_compression
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import (
    OWNERS,
    STATE_DIFFERENCES,
    charged_bytes,
    count_bits,
    own_bytes,
    repeating_bytes,
    slots_of_instrument,
    slots_of_sender,
    write,
)
from blockspace.network.mempool import SENDERS
from blockspace.network.transaction import FORCE, LEFT_OUT, POST, SUCCEEDED, UNFUNDED, effective_tip

ENTRIES = 1 << 17
"""Blocks with transactions in them that may wait to be posted."""

BATCHES = 1 << 15
"""Batches, and claims, that are remembered."""

TOUCHES = 1 << 20
"""Times that a transaction writes slots of one owner, in blocks that may wait to be posted, where slots are posted."""

SLOT_BITS = np.int64(8)
"""Bits of a touch that say which slots; the others say whose."""

ENTRY = np.dtype(
    [
        ("time", "i8"),
        # Sums over all blocks so far, this one included.
        ("transactions", "i8"),
        ("gas", "i8"),
        ("bytes", "i8"),  # to be published whatever else is in the batch
        ("charged", "i8"),  # bytes for which users have paid
        ("touches", "i8"),
        ("value", "i8"),  # micro-dollars that changed hands in trades
        ("moments", "i8"),  # sum over transactions of the time of their block, in microseconds
        # Of this block alone.
        ("kinds", "i8"),  # of its transactions, as bits
    ],
    align=True,
)
"""A block of the rollup with transactions in it."""

BATCH = np.dtype(
    [
        ("first", "i8"),  # number of its first entry ...
        ("last", "i8"),  # ... and of its last
        ("opened", "i8"),  # time of its first block
        ("closed", "i8"),  # time of its last block
        ("transactions", "i8"),
        ("gas", "i8"),
        ("bytes", "i8"),  # that were posted
        ("charged", "i8"),  # bytes for which users have paid
        ("blobs", "i8"),
        ("value", "i8"),  # micro-dollars
        ("moments", "i8"),  # microseconds, as in an entry
        ("sent", "i8"),
        ("expires", "i8"),
        ("tries", "i8"),
        ("posted", "i8"),
        ("safe", "i8"),  # when the block that it was posted in is final
        ("seen", "i8"),  # when the operator knows that it has been posted
        ("cost_gwei", "i8"),  # of the posting, all tries together
        ("cost_usd", "f8"),
        ("claim", "i8"),  # number of the claim that it belongs to; -1 for none
        ("invalid", "u1"),  # 1 if its data break the rules
        ("void", "u1"),  # 1 once its blocks are undone, and nothing of it counts but what posting it has cost
    ],
    align=True,
)
"""Data of some blocks in a row that are posted together."""

CLAIM_RECORD = np.dtype(
    [
        ("first", "i8"),  # number of its first batch ...
        ("last", "i8"),  # ... and of its last
        ("requested", "i8"),
        ("prover", "i8"),  # number of the prover; -1 for none
        ("ready", "i8"),  # when its proof is made, or when it may be sent without one
        ("fee", "i8"),  # micro-dollars that the prover gets
        ("paid", "u1"),  # 1 once it has got them: a claim that a reorganisation undoes is not paid for again
        ("sent", "i8"),
        ("expires", "i8"),
        ("tries", "i8"),
        ("included", "i8"),
        ("seen", "i8"),  # when the operator knows
        ("cost_gwei", "i8"),
        ("cost_usd", "f8"),
        ("false", "i8"),  # 1 if it claims what is not so
        ("refuted", "i8"),  # when a challenge to it was included
        ("final", "i8"),  # when nobody can refute it any more
    ],
    align=True,
)
"""What the operator says on the parent about the state after some batches."""

PROGRESS = np.dtype(
    [
        ("entries", ENTRY, (ENTRIES,)),
        ("entry_count", "i8"),
        # Who has written which slots: the number of the owner, and SLOT_BITS of slots. Of agents and instruments only:
        # a wallet that sends once shares its slots with nobody.
        ("touches", "u4", (TOUCHES,)),
        ("batches", BATCH, (BATCHES,)),
        ("batch_count", "i8"),
        ("claims", CLAIM_RECORD, (BATCHES,)),
        ("claim_count", "i8"),
    ],
    align=True,
)

MESSAGE = np.dtype(
    [
        ("sender", "u4"),
        ("kind", "u1"),
        ("blobs", "u1"),
        ("status", "u1"),
        ("number", "i8"),
        ("gas_used", "i8"),
        ("price", "i8"),  # wei per gas, base fee and tip
        ("blob_base_fee", "i8"),  # wei per unit of blob gas
    ],
    align=True,
)
"""A transaction about another chain in a block."""

MESSAGES = 1024
INBOX = np.dtype([("messages", MESSAGE, (MESSAGES,)), ("count", "i8")], align=True)
"""Transactions about other chains in the block that has just been executed."""


def new_progress() -> npt.NDArray[Any]:
    """Make a record of a rollup that has not begun: a one-element array of type ``PROGRESS``."""
    return np.zeros(1, PROGRESS)


@kernel
def note_block(progresses, pools, blocks, value):
    """Enter a block of the rollup, in which trades of ``value`` micro-dollars happened, if anything is in it.

    Raises
    ------
    RuntimeError
        If so many blocks wait to be posted, or so many slots, that there is no place for further ones.
    """
    progress = progresses[0]
    pool = pools[0]
    block = blocks[0]
    layout = block.layout
    count = progress.entry_count
    before = progress.entries[(count - 1) & (ENTRIES - 1)]
    touches = before.touches if count > 0 else np.int64(0)
    transactions, gas, size, charged, kinds = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        if transaction.status == UNFUNDED or transaction.status == LEFT_OUT:
            continue
        transactions += 1
        gas += transaction.gas_used
        kind, own = np.int64(transaction.kind), np.int64(transaction.bytes)
        kinds |= np.int64(1) << kind
        charged += charged_bytes(layout, kind, own)
        if layout.compression != STATE_DIFFERENCES:
            size += own_bytes(layout, kind, own)
            continue
        slots = slots_of_sender(kind, own)
        if transaction.independent != 0:
            size += layout.slot * count_bits(slots)
        else:
            _touch(progress, touches, np.int64(transaction.sender), slots)
            touches += 1
        slots = slots_of_instrument(kind)
        if slots != 0:
            _touch(progress, touches, SENDERS + np.int64(transaction.instrument), slots)
            touches += 1
    if transactions == 0:
        return
    waiting, touches_waiting = count + 1, touches
    if progress.batch_count > 0:
        last = progress.batches[(progress.batch_count - 1) & (BATCHES - 1)].last
        waiting = count - last
        touches_waiting -= progress.entries[last & (ENTRIES - 1)].touches
    if waiting >= ENTRIES - 1 or touches_waiting > TOUCHES:
        raise RuntimeError("more blocks of a rollup wait to be posted than there is place for: let it post more often")
    entry = progress.entries[count & (ENTRIES - 1)]
    entry.time = block.time
    entry.transactions = transactions
    entry.gas = gas
    entry.bytes = size
    entry.charged = charged
    entry.touches = touches
    entry.kinds = kinds
    entry.value = value
    entry.moments = transactions * (block.time // 1_000)
    if count > 0:
        entry.transactions += before.transactions
        entry.gas += before.gas
        entry.bytes += before.bytes
        entry.charged += before.charged
        entry.value += before.value
        entry.moments += before.moments
    progress.entry_count += 1


@kernel
def _touch(progress, number, owner, slots):
    progress.touches[number & (TOUCHES - 1)] = np.uint32(owner << SLOT_BITS | slots)


@kernel
def pack(progresses, layouts, first, now, most):
    """Pack what has waited longest: the blocks from entry ``first`` on that happened by ``now``, in ns.

    Parameters
    ----------
    progresses, layouts
        One-element record arrays.
    first
        Number of the first entry that is in no batch.
    now
        Time in ns.
    most
        Bytes that a batch can hold.

    Returns
    -------
    last : int
        Number of the last entry that fits; below ``first`` if nothing waits. The first one always does.
    size : int
        Bytes of all that fits.
    full : bool
        Whether something waits that does not fit.
    """
    progress, layout = progresses[0], layouts[0]
    before = progress.entries[(first - 1) & (ENTRIES - 1)]
    bytes_before, touch = (before.bytes, before.touches) if first > 0 else (np.int64(0), np.int64(0))
    kinds, slots, fitting = np.int64(0), np.int64(0), np.int64(0)
    written = np.zeros(OWNERS if layout.compression == STATE_DIFFERENCES else 1, np.int64)
    for number in range(first, progress.entry_count):
        entry = progress.entries[number & (ENTRIES - 1)]
        if entry.time > now:
            return number - 1, fitting, False
        size = layout.header + entry.bytes - bytes_before
        if layout.compression == data_compression.BATCH:
            kinds |= entry.kinds
            size += repeating_bytes(layout, kinds)
        while touch < entry.touches:
            packed = np.int64(progress.touches[touch & (TOUCHES - 1)])
            slots += write(written, packed >> SLOT_BITS, packed & ((np.int64(1) << SLOT_BITS) - 1))
            touch += 1
        size += layout.slot * slots
        if size > most and number > first:
            return number - 1, fitting, True
        fitting = size
    return progress.entry_count - 1, fitting, False


@kernel
def collect_messages(inboxes, pools, blocks):
    """Note the transactions about other chains in a block; returns how many there are.

    Raises
    ------
    RuntimeError
        If there are more than ``MESSAGES``.
    """
    inbox = inboxes[0]
    pool = pools[0]
    block = blocks[0]
    inbox.count = 0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        if not POST <= transaction.kind <= FORCE or transaction.status != SUCCEEDED:
            continue
        if inbox.count == MESSAGES:
            raise RuntimeError("more transactions about other chains are in a block than there is place for")
        message = inbox.messages[inbox.count]
        inbox.count += 1
        message.sender = transaction.sender
        message.kind = transaction.kind
        message.blobs = transaction.blobs
        message.status = transaction.status
        message.number = transaction.amount
        message.gas_used = transaction.gas_used
        message.price = block.base_fee + effective_tip(transaction, block.base_fee)
        message.blob_base_fee = block.blob_base_fee
    return inbox.count
