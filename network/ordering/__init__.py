"""Ordering policies: who comes first in a block.

A policy ranks the pending transactions by writing their ``score``; the block takes the highest first, then the earliest
arrival, then a random order, and never a transaction ahead of its sender's earlier ones. The built-in policies are
compiled, a file each. One written in plain Python is a function of what is pending, a structured array of type
``TRANSACTION``, that returns a score for each:

>>> @register_policy("smallest_first")
... def smallest_first(pending, base_fee):
...     return -pending["gas"].astype(float)
>>> "smallest_first" in ORDERING_POLICIES
True
>>> del ORDERING_POLICIES["smallest_first"]
"""

from blockspace.network.ordering.cancels_first import CANCELS_FIRST
from blockspace.network.ordering.first_come_first_served import FIRST_COME_FIRST_SERVED
from blockspace.network.ordering.priority_fee import PRIORITY_FEE, fill_by_priority_fee, rank_by_priority_fee
from blockspace.network.ordering.random_order import RANDOM_ORDER
from blockspace.network.ordering.registry import ORDERING_POLICIES, Policy, Rank, Ranking, register_policy

ORDERING_POLICIES.update(
    priority_fee=PRIORITY_FEE,
    first_come_first_served=FIRST_COME_FIRST_SERVED,
    random_order=RANDOM_ORDER,
    cancels_first=CANCELS_FIRST,
)

__all__ = [
    "ORDERING_POLICIES",
    "Policy",
    "Rank",
    "Ranking",
    "fill_by_priority_fee",
    "rank_by_priority_fee",
    "register_policy",
]
