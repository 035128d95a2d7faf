"""The mempool: bounded, nonce-safe, with replacement, expiry and eviction.

Everything lives in one packed record. Slots are taken from a stack; pending slots are listed densely; the pending
transactions of one sender form a chain in nonce order, of which only the first can enter a block. A transaction that
leaves without being included takes its followers along, because their nonces can no longer be reached.

When the pool is full, the eighth of it that offers the lowest maximum fee leaves at once: the cost per submission stays
constant under overload, where a search for the single cheapest would not.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_bits
from blockspace.network.transaction import ANYWHERE, AT_TOP, AUTOMATIC_NONCE, PUBLIC, TRANSACTION

SLOTS = 32768
SENDERS = 16384
NOBODY = np.uint32(0xFFFFFFFF)
REPLACEMENT_PERCENT = 110
"""A replacement must offer this percentage of the old maximum fee and of the old tip (Ethereum clients' rule)."""

# Outcomes of a submission.
ACCEPTED, REPLACED, UNDERPRICED, NO_SUCH_NONCE, POOL_FULL = range(5)
OUTCOMES = ("accepted", "replaced", "underpriced", "no such nonce", "pool full")

WALLET = np.dtype(
    [
        ("route", "u1"),  # where its transactions go that do not say it themselves
        ("protected", "u1"),  # 1 if all of them ask for revert protection
    ],
    align=True,
)
"""How a sender's wallet hands in its transactions: to everybody and unprotected, unless somebody sets it up."""

MEMPOOL = np.dtype(
    [
        ("transactions", TRANSACTION, (SLOTS,)),
        ("free", "u4", (SLOTS,)),
        ("pending", "u4", (SLOTS,)),
        ("first", "u4", (SENDERS,)),
        ("last", "u4", (SENDERS,)),
        ("next_nonce", "u4", (SENDERS,)),
        ("wallets", WALLET, (SENDERS,)),
        ("fees", "i8", (SLOTS,)),  # scratch space of the eviction
        ("entry_fee", "i8"),  # wei per gas that a full pool asks to be exceeded; -1 until it is worked out
        ("free_count", "i8"),
        ("count", "i8"),
        ("capacity", "i8"),
        ("tie_key", "u8"),
        ("submitted", "i8"),
        ("accepted", "i8"),
        ("replaced", "i8"),
        ("refused", "i8"),
        ("evicted", "i8"),
        ("expired", "i8"),
        ("included", "i8"),
        ("balked", "i8"),  # decided not to submit at the fee that they saw; counted here by the agents' kernels
    ],
    align=True,
)


def new_mempool(capacity: int = 8192, tie_key: int = 0) -> npt.NDArray[Any]:
    """Make an empty mempool.

    Parameters
    ----------
    capacity
        Pending transactions at the most, 8 to ``SLOTS - 1``.
    tie_key
        Key of the random stream that orders transactions of equal score and arrival.

    Returns
    -------
    numpy.ndarray
        One-element record array of type ``MEMPOOL``.
    """
    if not 8 <= capacity < SLOTS:
        raise ValueError(f"mempool capacity is {capacity}; it may be 8 to {SLOTS - 1} transactions")
    pools = np.zeros(1, MEMPOOL)
    pool = pools[0]
    pool["capacity"] = capacity
    pool["tie_key"] = tie_key
    pool["entry_fee"] = -1
    pool["free"] = np.arange(SLOTS - 1, -1, -1, dtype=np.uint32)
    pool["free_count"] = SLOTS
    pool["first"] = NOBODY
    pool["last"] = NOBODY
    return pools


@kernel
def draft(pool):
    """Slot of a fresh transaction for the caller to fill in and :func:`submit`.

    The receipt is cleared and the order blank; the nonce is automatic. Everything else is the caller's to set.
    """
    slot = pool.free[pool.free_count - 1]
    transaction = pool.transactions[slot]
    transaction.nonce = AUTOMATIC_NONCE
    transaction.order = 0
    transaction.price = 0
    transaction.size = 0
    transaction.style = 0
    transaction.instrument = 0
    transaction.side = 0
    transaction.independent = 0
    transaction.route = 0
    transaction.placement = 0
    transaction.protected = 0
    transaction.blobs = 0
    transaction.status = 0
    transaction.gas_used = 0
    transaction.filled = 0
    transaction.score = 0.0
    return slot


@kernel
def submit(pool, slot):
    """Hand in the transaction drafted in ``slot``; returns one of the outcomes.

    A transaction that names a target is protected, and comes from a wallet of its own: it may well never be picked, and
    must not hold up its sender. One at the top of the block comes from a wallet of its own as well, so that no nonce
    holds it up.
    """
    transaction = pool.transactions[slot]
    pool.submitted += 1
    wallet = pool.wallets[transaction.sender]
    if transaction.route == PUBLIC:
        transaction.route = wallet.route
    if wallet.protected != 0:
        transaction.protected = 1
    if transaction.placement != ANYWHERE:
        if transaction.placement != AT_TOP:
            transaction.protected = 1
        if transaction.independent == 0:
            transaction.independent = 1
            transaction.nonce = 0
    if transaction.independent == 0 and transaction.nonce != AUTOMATIC_NONCE:
        return _replace(pool, slot)
    drafted_at = pool.free_count - 1
    if pool.count >= pool.capacity and not _make_room(pool, transaction.max_fee):
        pool.refused += 1
        return POOL_FULL
    # Evicted transactions have freed slots above the draft on the stack: the uppermost takes the draft's place.
    pool.free_count -= 1
    pool.free[drafted_at] = pool.free[pool.free_count]
    pool.pending[pool.count] = slot
    transaction.place = pool.count
    pool.count += 1
    _identify(pool, transaction)
    transaction.following = NOBODY
    transaction.preceding = NOBODY
    if transaction.independent == 0:
        sender = transaction.sender
        transaction.nonce = pool.next_nonce[sender]
        pool.next_nonce[sender] += np.uint32(1)
        last = pool.last[sender]
        if last == NOBODY:
            pool.first[sender] = slot
        else:
            pool.transactions[last].following = slot
            transaction.preceding = last
        pool.last[sender] = slot
    pool.accepted += 1
    return ACCEPTED


@kernel
def submit_copy(pool, slot, number):
    """Hand in copy ``number`` (1 or more) of a transaction just sent; returns one of the outcomes.

    Copies come from wallets of their own, so that nonces do not bind them, and each has a draw of its own among equals.
    """
    transaction = pool.transactions[slot]
    transaction.independent = 1
    transaction.nonce = number
    return submit_further(pool, slot, number)


@kernel
def submit_further(pool, slot, number):
    """Hand in transaction ``number`` (1 or more) beside the first of one decision; returns one of the outcomes.

    It has a draw of its own among equals, where it would have that of the first.
    """
    outcome = submit(pool, slot)
    if outcome == ACCEPTED:
        transaction = pool.transactions[slot]
        transaction.tie = _draw_tie(pool, transaction, number)
    return outcome


@kernel
def submit_order(
    pools,
    sender,
    access,
    kind,
    gas,
    size_bytes,
    decided,
    instrument,
    order,
    side,
    style,
    price,
    size,
    max_fee,
    tip,
    expires,
    route=0,
    placement=0,
    target=0,
    protected=0,
):
    """Draft and submit one transaction from Python in a single call; ``pools`` is the one-element array."""
    pool = pools[0]
    slot = draft(pool)
    transaction = pool.transactions[slot]
    transaction.sender = sender
    transaction.access = access
    transaction.kind = kind
    transaction.gas = gas
    transaction.bytes = size_bytes
    transaction.decided = decided
    transaction.instrument = instrument
    transaction.order = order
    transaction.side = side
    transaction.style = style
    transaction.price = price
    transaction.size = size
    transaction.max_fee = max_fee
    transaction.tip = tip
    transaction.expires = expires
    transaction.route = route
    transaction.placement = placement
    transaction.target = target
    transaction.protected = protected
    return submit(pool, slot)


@kernel
def _draw_tie(pool, transaction, number):
    """Draw by which copy ``number`` of a transaction is ordered among equals; the transaction itself is number 0."""
    key = pool.tie_key + np.uint64(number)
    return np.uint32(draw_bits(key, np.int64(transaction.sender), transaction.decided) & np.uint64(0xFFFFFFFF))


@kernel
def submit_to_pool(
    pools,
    sender,
    access,
    kind,
    gas,
    size_bytes,
    decided,
    instrument,
    number,
    side,
    style,
    price,
    size,
    amount,
    bound,
    lower,
    upper,
    max_fee,
    tip,
    expires,
    route=0,
    placement=0,
    target=0,
    protected=0,
):
    """Draft and submit one transaction with the pool of this ``number`` from Python; ``pools`` are the mempool."""
    pool = pools[0]
    slot = draft(pool)
    transaction = pool.transactions[slot]
    transaction.sender = sender
    transaction.access = access
    transaction.kind = kind
    transaction.gas = gas
    transaction.bytes = size_bytes
    transaction.decided = decided
    transaction.instrument = instrument
    transaction.order = number
    transaction.side = side
    transaction.style = style
    transaction.price = price
    transaction.size = size
    transaction.amount = amount
    transaction.bound = bound
    transaction.ladder[0] = lower
    transaction.ladder[1] = upper
    transaction.max_fee = max_fee
    transaction.tip = tip
    transaction.expires = expires
    transaction.route = route
    transaction.placement = placement
    transaction.target = target
    transaction.protected = protected
    return submit(pool, slot)


@kernel
def submit_message(
    pools,
    sender,
    access,
    kind,
    gas,
    size_bytes,
    blobs,
    decided,
    number,
    cash,
    max_fee,
    tip,
    blob_fee,
    expires,
    independent,
):
    """Draft and submit one transaction about another chain from Python.

    ``number`` says what it is about, and ``cash`` how many micro-dollars go with it over a bridge; ``independent`` is 1
    if it comes from a wallet of its own.
    """
    pool = pools[0]
    slot = draft(pool)
    transaction = pool.transactions[slot]
    transaction.sender = sender
    transaction.access = access
    transaction.kind = kind
    transaction.gas = gas
    transaction.bytes = size_bytes
    transaction.blobs = blobs
    transaction.decided = decided
    transaction.amount = number
    transaction.bound = cash
    transaction.max_fee = max_fee
    transaction.tip = tip
    transaction.blob_fee = blob_fee
    transaction.expires = expires
    if independent != 0:
        transaction.independent = 1
        transaction.nonce = np.uint32(number & 0x7FFFFFFF)
    return submit(pool, slot)


@kernel
def submit_combination(pools, sender, access, kind, gas, size_bytes, decided, legs, size, bound, max_fee, tip, expires):
    """Draft and submit one combination from Python; ``legs`` are instrument and lots per unit of each leg in turn."""
    pool = pools[0]
    slot = draft(pool)
    transaction = pool.transactions[slot]
    transaction.sender = sender
    transaction.access = access
    transaction.kind = kind
    transaction.gas = gas
    transaction.bytes = size_bytes
    transaction.decided = decided
    transaction.instrument = legs[0]
    for number in range(legs.size):
        transaction.ladder[number] = legs[number]
    transaction.size = size
    transaction.bound = bound
    transaction.max_fee = max_fee
    transaction.tip = tip
    transaction.expires = expires
    return submit(pool, slot)


@kernel
def _identify(pool, transaction):
    transaction.sequence = pool.submitted
    transaction.tie = _draw_tie(pool, transaction, np.int64(0))


@kernel
def _replace(pool, slot):
    """Put the drafted transaction in the place of the sender's pending one with the same nonce."""
    new = pool.transactions[slot]
    old_slot = pool.first[new.sender]
    while old_slot != NOBODY and pool.transactions[old_slot].nonce != new.nonce:
        old_slot = pool.transactions[old_slot].following
    if old_slot == NOBODY:
        pool.refused += 1
        return NO_SUCH_NONCE
    old = pool.transactions[old_slot]
    if new.max_fee * 100 < old.max_fee * REPLACEMENT_PERCENT or new.tip * 100 < old.tip * REPLACEMENT_PERCENT:
        pool.refused += 1
        return UNDERPRICED
    _identify(pool, new)
    new.following = old.following
    new.preceding = old.preceding
    new.place = old.place
    pool.pending[new.place] = slot
    if new.preceding == NOBODY:
        pool.first[new.sender] = slot
    else:
        pool.transactions[new.preceding].following = slot
    if new.following == NOBODY:
        pool.last[new.sender] = slot
    else:
        pool.transactions[new.following].preceding = slot
    pool.free[pool.free_count - 1] = old_slot
    if old.max_fee <= pool.entry_fee:
        pool.entry_fee = -1  # with this one gone from the lowest eighth, the eviction might find nothing to evict
    pool.replaced += 1
    return REPLACED


@kernel
def unlist(pool, slot):
    """Take a transaction off the list of pending ones, leaving its slot in use."""
    place = pool.transactions[slot].place
    pool.count -= 1
    moved = pool.pending[pool.count]
    pool.pending[place] = moved
    pool.transactions[moved].place = place


@kernel
def release(pool, slot):
    """Give a slot back."""
    pool.free[pool.free_count] = slot
    pool.free_count += 1


@kernel
def drop(pool, slot):
    """Remove a transaction that was not included, together with its followers; returns how many left.

    The sender's next nonce goes back to the first one that became unreachable.
    """
    transaction = pool.transactions[slot]
    if transaction.independent != 0:
        unlist(pool, slot)
        release(pool, slot)
        return 1
    sender = transaction.sender
    preceding = transaction.preceding
    pool.next_nonce[sender] = transaction.nonce
    pool.last[sender] = preceding
    if preceding == NOBODY:
        pool.first[sender] = NOBODY
    else:
        pool.transactions[preceding].following = NOBODY
    dropped = 0
    while slot != NOBODY:
        following = pool.transactions[slot].following
        unlist(pool, slot)
        release(pool, slot)
        dropped += 1
        slot = following
    return dropped


@kernel
def take_first(pool, slot):
    """Remove the first pending transaction of its sender for inclusion; its slot stays in use until released."""
    transaction = pool.transactions[slot]
    unlist(pool, slot)
    if transaction.independent == 0:
        following = transaction.following
        pool.first[transaction.sender] = following
        if following == NOBODY:
            pool.last[transaction.sender] = NOBODY
        else:
            pool.transactions[following].preceding = NOBODY
    pool.included += 1


@kernel
def expire(pool, time):
    """Drop every transaction that no block from ``time`` (ns) on may include; called once a block."""
    pool.entry_fee = -1
    position = pool.count - 1
    while position >= 0:
        slot = pool.pending[position]
        if pool.transactions[slot].expires < time:
            pool.expired += drop(pool, slot)
            # A drop moves the last pending slots into the gaps: what lies at or above the new end has been seen.
            position = min(position, pool.count)
        position -= 1


@kernel
def _select(values, count, rank):
    """Value that would stand at ``rank`` if the first ``count`` were sorted (Hoare, 1961); reorders them."""
    low = 0
    high = count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left = low
        right = high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                held = values[left]
                values[left] = values[right]
                values[right] = held
                left += 1
                right -= 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            break
    return values[rank]


@kernel
def _make_room(pool, offer):
    """Evict the eighth with the lowest maximum fees if ``offer`` (wei per gas) exceeds them all."""
    if pool.entry_fee < 0:
        count = pool.count
        for position in range(count):
            pool.fees[position] = pool.transactions[pool.pending[position]].max_fee
        pool.entry_fee = _select(pool.fees, count, count // 8)
    if offer <= pool.entry_fee:
        return False
    position = pool.count - 1
    while position >= 0:
        slot = pool.pending[position]
        if pool.transactions[slot].max_fee <= pool.entry_fee:
            pool.evicted += drop(pool, slot)
            position = min(position, pool.count)
        position -= 1
    pool.entry_fee = -1
    return True
