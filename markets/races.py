"""Races: who was first in a block among those who take from one side of a book or a pool, and what they tipped.

Whoever wants what a stale quote or a pool offers sends an order that trades at once or not at all. All that a block
holds of these for one side of one book, or in one direction through one pool, is a race: the first of them gets what
there is. Bids are public, those that revert protection leaves out among them.
"""

import numpy as np

from blockspace.markets.ledger import INSTRUMENTS
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, MARKET
from blockspace.markets.pools.listing import POOLS
from blockspace.network.compilation import kernel
from blockspace.network.transaction import PLACE, SUCCEEDED, SWAP, effective_tip

NOBODY = np.int64(-1)
"""Bidder of a race without one, and the tip that nobody bid."""

RACE = np.dtype(
    [
        ("bidder", "i8"),  # account of the first one in the block
        ("tip", "i8"),  # wei per gas that it tipped
        ("second", "i8"),  # wei per gas that the first one of another account tipped
        ("succeeded", "i8"),  # 1 if the first one traded
    ],
    align=True,
)
"""A race in a block, as its outcome shows it; -1 for what nobody bid."""

RACES = 2 * (INSTRUMENTS + POOLS)
"""Races that a block may hold: two for each book, then two for each pool."""


@kernel
def race_of_book(instrument, side):
    """Number of the race for an instrument's asks (``side`` +1, buyers) or bids (-1, sellers)."""
    return 2 * np.int64(instrument) + (1 if side > 0 else 0)


@kernel
def race_of_pool(pool, side):
    """Number of the race to buy lots from a pool (``side`` +1) or to sell it some (-1)."""
    return 2 * (INSTRUMENTS + np.int64(pool)) + (1 if side > 0 else 0)


@kernel
def _open_race(race):
    race.bidder = NOBODY
    race.tip = NOBODY
    race.second = NOBODY
    race.succeeded = 0


@kernel
def publish_races(races, instruments, pool_count, pool, block):
    """Write the races of a block, by their numbers; ``races`` is an array of ``RACES`` records of type ``RACE``.

    Only those of the ``instruments`` and pools in use are written, from the block's transactions in their order.
    """
    for number in range(2 * instruments):
        _open_race(races[number])
    for number in range(2 * INSTRUMENTS, 2 * (INSTRUMENTS + pool_count)):
        _open_race(races[number])
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        if transaction.kind == PLACE:
            takes = transaction.style == IMMEDIATE_OR_CANCEL or transaction.style == MARKET
            if not takes or transaction.instrument >= instruments:
                continue
            race = races[race_of_book(transaction.instrument, transaction.side)]
        elif transaction.kind == SWAP and transaction.order < pool_count:
            race = races[race_of_pool(transaction.order, transaction.side)]
        else:
            continue
        tip = effective_tip(transaction, block.base_fee)
        if race.bidder == NOBODY:
            race.bidder = transaction.sender
            race.tip = tip
            race.succeeded = 1 if transaction.status == SUCCEEDED else 0
        elif race.second == NOBODY and race.bidder != transaction.sender:
            race.second = tip
