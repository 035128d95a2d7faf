"""The ordering policies by name, and how another one is added."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ranking = Callable[[npt.NDArray[Any], int], npt.NDArray[np.float64]]
"""From the pending transactions and the base fee (wei per gas) to a score for each."""

Rank = Callable[[npt.NDArray[Any], npt.NDArray[Any]], None]
"""Acts on a mempool and a block; both are one-element record arrays."""


@dataclass(frozen=True)
class Policy:
    """An ordering policy; calling it writes the scores into a mempool, for a block.

    Attributes
    ----------
    rank
        Writes the scores.
    fill
        Expires, ranks and fills in one call; without it the three are called one after the other.
    tips_count
        Whether a higher tip can bring a transaction forward. Agents know it: the rules of a chain are public.
    withdrawals_first
        Whether cancellations and quotes that take nothing go ahead of everything else.
    bundles
        Whether builders who order by this policy put transactions that name a target right next to it. Where the order
        is a promise, to the first come or to those who cancel, they do not.
    """

    rank: Rank
    fill: Rank | None = None
    tips_count: bool = True
    withdrawals_first: bool = False
    bundles: bool = False

    def __call__(self, pools: npt.NDArray[Any], blocks: npt.NDArray[Any]) -> None:
        """Write the scores of what is pending."""
        self.rank(pools, blocks)


ORDERING_POLICIES: dict[str, Policy] = {}
"""Policies by the name that a configuration uses."""


def register_policy(name: str, tips_count: bool = True, bundles: bool = False) -> Callable[[Ranking], Ranking]:
    """Make a ranking written in Python available as an ordering policy.

    Parameters
    ----------
    name
        Name that scenarios use.
    tips_count
        Whether a higher tip can bring a transaction forward.
    bundles
        Whether builders put transactions that name a target next to it.

    Returns
    -------
    callable
        Decorator for a function of (pending transactions, base fee in wei per gas) that returns an array of scores.
    """

    def register(ranking: Ranking) -> Ranking:
        def rank(pools: npt.NDArray[Any], blocks: npt.NDArray[Any]) -> None:
            pool = pools[0]
            slots = pool["pending"][: int(pool["count"])]
            pending = pool["transactions"][slots]
            pool["transactions"]["score"][slots] = ranking(pending, int(blocks[0]["base_fee"]))

        ORDERING_POLICIES[name] = Policy(rank, tips_count=tips_count, bundles=bundles)
        return ranking

    return register
