"""First come, first served: the order of arrival at the producer, as sequencers keep it (Kelkar et al., 2020).

Equal arrivals go by the keyed draw of the mempool. Tips buy nothing.
"""

from blockspace.network.compilation import kernel
from blockspace.network.ordering.registry import Policy


@kernel
def rank_by_arrival(pools, blocks):
    """Rank all pending transactions alike: the block then takes the earliest arrival first, ties at random."""
    pool = pools[0]
    for position in range(pool.count):
        pool.transactions[pool.pending[position]].score = 0.0


FIRST_COME_FIRST_SERVED = Policy(rank_by_arrival, tips_count=False)
