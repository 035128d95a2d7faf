"""Priority fee: who tips more per unit of gas comes first (EIP-1559; Roughgarden, 2021)."""

import numpy as np

from blockspace.network.block import expire_pending, fill_block
from blockspace.network.compilation import kernel
from blockspace.network.ordering.registry import Policy
from blockspace.network.transaction import effective_tip


@kernel
def rank_by_priority_fee(pools, blocks):
    """Rank every pending transaction by its effective tip at the block's base fee."""
    pool = pools[0]
    base_fee = blocks[0].base_fee
    for position in range(pool.count):
        transaction = pool.transactions[pool.pending[position]]
        transaction.score = np.float64(effective_tip(transaction, base_fee))


@kernel
def fill_by_priority_fee(pools, blocks):
    """Expire, rank by priority fee and fill in one call: what every block of the default policy does."""
    expire_pending(pools, blocks)
    rank_by_priority_fee(pools, blocks)
    fill_block(pools, blocks)


PRIORITY_FEE = Policy(rank_by_priority_fee, fill_by_priority_fee, bundles=True)
