"""What everyone who deals with a pool sends: swaps, and liquidity that comes and goes."""

import numpy as np

from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.transaction import ANYWHERE, MINT, PUBLIC, SWAP


@kernel
def swap_gas(feed, crossings):
    """Gas of a swap that crosses so many ticks."""
    return feed.gas.swap + crossings * feed.gas.swap_tick


@kernel
def _draft(pool, feed, row, kind, gas, decided, expires, max_fee, tip):
    """Slot of a fresh transaction with the pool of ``row``, whose account and access point send it."""
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = kind
    transaction.sender = row.account
    transaction.access = row.access
    transaction.instrument = feed.pool_terms[row.pool].instrument
    transaction.order = row.pool
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = decided
    transaction.expires = expires
    transaction.max_fee = max_fee
    transaction.tip = min(tip, max_fee)
    return slot


@kernel
def send_swap(
    pool,
    feed,
    row,
    side,
    style,
    amount,
    bound,
    lots,
    gas,
    decided,
    expires,
    max_fee,
    tip,
    copy=0,
    route=PUBLIC,
    further=0,
    placement=ANYWHERE,
    target=0,
):
    """Send a swap without a price limit; returns the mempool's outcome.

    ``amount`` is exact by its ``style``, ``bound`` the least that comes out or the most that goes in, ``lots`` what is
    expected to be traded. Fees are in wei per gas and times in ns. ``copy`` is 0, or the number of the copy that this
    is of a swap just sent; ``route`` says who gets to see it; ``further`` is 1 for the second swap of one decision;
    ``placement`` before or after the pending transaction of the sequence ``target`` makes it part of a bundle.
    """
    slot = _draft(pool, feed, row, SWAP, gas, decided, expires, max_fee, tip)
    transaction = pool.transactions[slot]
    transaction.side = side
    transaction.style = style
    transaction.amount = amount
    transaction.bound = bound
    transaction.route = route
    transaction.placement = placement
    transaction.target = target
    transaction.size = np.int32(min(lots, np.int64(2**31 - 1)))
    if copy > 0:
        return mempool.submit_copy(pool, slot, copy)
    if further > 0:
        return mempool.submit_further(pool, slot, further)
    return mempool.submit(pool, slot)


@kernel
def send_liquidity(pool, feed, row, kind, lower, upper, amount, bound, decided, expires, max_fee, tip):
    """Send a mint of at most ``amount`` lots and ``bound`` micro-dollars, or a burn of ``amount`` liquidity."""
    gas = feed.gas.mint if kind == MINT else feed.gas.burn
    slot = _draft(pool, feed, row, kind, gas, decided, expires, max_fee, tip)
    transaction = pool.transactions[slot]
    transaction.ladder[0] = lower
    transaction.ladder[1] = upper
    transaction.amount = amount
    transaction.bound = bound
    return mempool.submit(pool, slot)
