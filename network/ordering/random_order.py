"""Random order: a keyed draw for each transaction, and nothing else. Neither tips nor speed within a block count."""

import numpy as np

from blockspace.network.compilation import kernel
from blockspace.network.ordering.registry import Policy


@kernel
def rank_at_random(pools, blocks):
    """Rank every pending transaction by the draw that it got when it was handed in."""
    pool = pools[0]
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        transaction.score = -np.float64(transaction.tie)


RANDOM_ORDER = Policy(rank_at_random, tips_count=False)
