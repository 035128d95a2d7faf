"""Pending swaps: what can be seen of the mempool, from where, and by whom.

Who may look is a rule of the chain. In a *public* mempool a pending swap is seen at an access point once it could have
travelled there from its sender's; in a *private* one only whoever makes the block sees what has arrived, and so it is
with a swap that was sent to the producer alone. An *encrypted* mempool shows nothing before the order is fixed
(sealed until then: Shutter, 2021).

The mempool is looked through once a block for all who search it. The list has room for ``SWAPS_SEEN``: those with the
largest amounts in relation to the pool's reserve of the same token after the newest block, the largest first, and the
earlier submission where two are equal. Each searcher leaves out what cannot have reached it.
"""

import numpy as np

from blockspace.markets.pools.swaps import BASE, QUOTE
from blockspace.network.compilation import kernel
from blockspace.network.settings import MEMPOOLS
from blockspace.network.transaction import ANYWHERE, EXACT_IN, PUBLIC, SWAP, TO_PRODUCER

SWAPS_SEEN = 64

PUBLIC_MEMPOOL, PRIVATE_MEMPOOL, ENCRYPTED_MEMPOOL = range(len(MEMPOOLS))

PENDING_SWAP = np.dtype(
    [
        ("sequence", "i8"),
        ("decided", "i8"),  # ns
        ("access", "i8"),
        ("route", "i8"),
        ("pool", "i8"),
        ("side", "i8"),
        ("style", "i8"),
        ("amount", "i8"),  # exact by its style, lots or micro-dollars
        ("bound", "i8"),  # least that comes out or most that goes in
        ("max_fee", "i8"),  # wei per gas
        ("tip", "i8"),
        ("share", "f8"),  # amount over the pool's reserve of its token
    ],
    align=True,
)
"""What a searcher reads in a pending swap."""


@kernel
def _make_place(feed, share, sequence):
    """Place in the list for a swap with this share of its pool, or -1 if there is none; later ones move down."""
    place = feed.pending_count
    while place > 0:
        other = feed.pending[place - 1]
        if other.share > share or (other.share == share and other.sequence < sequence):
            break
        place -= 1
    if place == SWAPS_SEEN:
        return np.int64(-1)
    last = min(feed.pending_count, SWAPS_SEEN - 1)
    feed.pending_count = last + 1
    for moved in range(last, place, -1):
        feed.pending[moved] = feed.pending[moved - 1]
    return place


@kernel
def list_pending_swaps(feeds, pools, blocks):
    """List the pending swaps that somebody may see; swaps with a price to stop at are not among them."""
    feed = feeds[0]
    pool = pools[0]
    feed.pending_count = 0
    if feed.rules.mempool == ENCRYPTED_MEMPOOL:
        return
    newest = feed.pools[(feed.count - 1) & (feed.views.size - 1)]
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        if transaction.kind != SWAP or transaction.price != 0 or transaction.placement != ANYWHERE:
            continue
        if transaction.expires < blocks[0].time:
            continue
        # A buyer's exact input is money, and so is a seller's exact output.
        token = QUOTE if (transaction.side > 0) == (transaction.style == EXACT_IN) else BASE
        reserve = newest[np.int64(transaction.order)].reserves[token]
        share = np.float64(transaction.amount) / max(np.float64(reserve), 1.0)
        place = _make_place(feed, share, transaction.sequence)
        if place < 0:
            continue
        seen = feed.pending[place]
        seen.share = share
        seen.sequence = transaction.sequence
        seen.decided = transaction.decided
        seen.access = transaction.access
        seen.route = transaction.route
        seen.pool = transaction.order
        seen.side = transaction.side
        seen.style = transaction.style
        seen.amount = transaction.amount
        seen.bound = transaction.bound
        seen.max_fee = transaction.max_fee
        seen.tip = transaction.tip


@kernel
def has_travelled(feed, seen, access, time):
    """Whether whoever sits at an access point can have learned of a pending swap by a time (ns)."""
    public = feed.rules.mempool == PUBLIC_MEMPOOL and seen.route == PUBLIC
    return public and seen.decided + feed.between[seen.access, access] <= time


@kernel
def has_arrived(block, seen):
    """Whether a pending swap is with the producer of a block by the time of the block."""
    sent = seen.route == PUBLIC or seen.route == TO_PRODUCER
    return sent and seen.decided + block.latency[seen.access] <= block.time
