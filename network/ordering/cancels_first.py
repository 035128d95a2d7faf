"""Cancels first: what only withdraws or rests goes ahead of what takes, as on Hyperliquid (2024).

First come cancellations, post-only orders and quotes that are post-only or empty, by arrival; then everything else by
priority fee, so that this policy and the priority fee differ in one thing alone. Tips buy nothing among the first.
"""

import numpy as np

from blockspace.network.compilation import kernel
from blockspace.network.ordering.registry import Policy
from blockspace.network.transaction import CANCEL, LADDER, PLACE, POST_ONLY, QUOTE, effective_tip

AHEAD_OF_ALL = 2.0**62
"""A score above that of every tip."""


@kernel
def takes_nothing(transaction):
    """Whether a transaction can only withdraw orders, or rest them without a trade."""
    if transaction.kind == CANCEL:
        return True
    if transaction.kind == PLACE or transaction.kind == QUOTE:
        if transaction.style == POST_ONLY:
            return True
        if transaction.kind == QUOTE:
            for level in range(2 * LADDER):
                if transaction.ladder[level] > 0:
                    return False
            return True
    return False


@kernel
def rank_cancels_first(pools, blocks):
    """Rank what takes nothing ahead of the rest, and the rest by its effective tip at the block's base fee."""
    pool = pools[0]
    base_fee = blocks[0].base_fee
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        if takes_nothing(transaction):
            transaction.score = AHEAD_OF_ALL
        else:
            transaction.score = np.float64(effective_tip(transaction, base_fee))


CANCELS_FIRST = Policy(rank_cancels_first, withdrawals_first=True)
