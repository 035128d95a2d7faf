"""Ordering policies: who comes first in a block.

A policy ranks the pending transactions by writing their ``score``; the block takes the highest first, then the earliest
arrival, then a random order, and never a transaction ahead of its sender's earlier ones. The built-in policy is
compiled. One written in plain Python is a function of what is pending, a structured array of type ``TRANSACTION``, that
returns a score for each:

>>> @register_policy("smallest_first")
... def smallest_first(pending, base_fee):
...     return -pending["gas"].astype(float)
>>> "smallest_first" in ORDERING_POLICIES
True
>>> del ORDERING_POLICIES["smallest_first"]
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.block import effective_tip, expire_pending, fill_block
from blockspace.network.compilation import kernel

Ranking = Callable[[npt.NDArray[Any], int], npt.NDArray[np.float64]]
"""From the pending transactions and the base fee (wei per gas) to a score for each."""

Policy = Callable[[npt.NDArray[Any], npt.NDArray[Any]], None]
"""Writes the scores into a mempool, for a block; both are one-element record arrays."""


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
    """Expire, rank by priority fee and fill in one call: what every block of the built-in policy does."""
    expire_pending(pools, blocks)
    rank_by_priority_fee(pools, blocks)
    fill_block(pools, blocks)


ORDERING_POLICIES: dict[str, Policy] = {"priority_fee": rank_by_priority_fee}
"""Policies by the name that a configuration uses."""


def register_policy(name: str) -> Callable[[Ranking], Ranking]:
    """Make a ranking written in Python available as an ordering policy.

    Parameters
    ----------
    name
        Name that scenarios use.

    Returns
    -------
    callable
        Decorator for a function of (pending transactions, base fee in wei per gas) that returns an array of scores.
    """

    def register(ranking: Ranking) -> Ranking:
        def policy(pools: npt.NDArray[Any], blocks: npt.NDArray[Any]) -> None:
            pool = pools[0]
            slots = pool["pending"][: int(pool["count"])]
            pending = pool["transactions"][slots]
            pool["transactions"]["score"][slots] = ranking(pending, int(blocks[0]["base_fee"]))

        ORDERING_POLICIES[name] = policy
        return ranking

    return register
