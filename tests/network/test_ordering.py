import doctest

import numpy as np
import pytest

from blockspace.network import ordering
from blockspace.network.block import BLOCK
from blockspace.network.mempool import new_mempool
from blockspace.network.ordering import ORDERING_POLICIES, register_policy
from blockspace.network.settings import ChainSettings

from .slow_mempool import check_mempool, fill, submit


@pytest.fixture
def new_policy():
    """A function that registers a ranking until the end of the test, and returns the policy that it became."""
    before = dict(ORDERING_POLICIES)

    def register(ranking):
        register_policy("new")(ranking)
        return ORDERING_POLICIES["new"]

    yield register
    ORDERING_POLICIES.clear()
    ORDERING_POLICIES.update(before)


def senders_in_order(rank, transactions, **header):
    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    for fields in transactions:
        submit(pools, **fields)
    picked = fill(pools, blocks, **{"time": 1_000, "rank": rank, **header})
    check_mempool(pools[0], in_block=picked)
    return pools[0]["transactions"]["sender"][picked].tolist()


THREE = [
    {"sender": 1, "tip": 10, "gas": 90_000, "decided": 3},
    {"sender": 2, "tip": 30, "gas": 30_000, "decided": 2},
    {"sender": 3, "tip": 20, "gas": 60_000, "decided": 1},
]


@pytest.mark.parametrize(
    ("ranking", "order"),
    [
        (lambda pending, base_fee: pending["tip"].astype(float), [2, 3, 1]),
        (lambda pending, base_fee: -pending["gas"].astype(float), [2, 3, 1]),
        (lambda pending, base_fee: pending["gas"].astype(float), [1, 3, 2]),
        (lambda pending, base_fee: np.zeros(len(pending)), [3, 2, 1]),  # first come, first served
        (lambda pending, base_fee: -pending["decided"].astype(float), [3, 2, 1]),
        (lambda pending, base_fee: np.where(pending["sender"] == 1, np.inf, 0.0), [1, 3, 2]),
    ],
)
def test_a_policy_in_plain_python_decides_the_order(new_policy, ranking, order):
    assert senders_in_order(new_policy(ranking), THREE) == order


def test_a_policy_sees_each_pending_transaction_once_and_the_base_fee(new_policy):
    seen = []

    def look(pending, base_fee):
        seen.append((sorted(pending["sender"].tolist()), base_fee))
        return np.zeros(len(pending))

    senders_in_order(new_policy(look), THREE, base_fee=7)
    assert seen == [([1, 2, 3], 7)]


def test_no_policy_can_put_a_later_nonce_first(new_policy):
    def newest_first(pending, base_fee):
        return pending["nonce"].astype(float)

    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    for number in range(12):
        submit(pools, sender=number % 3)
    picked = fill(pools, blocks, time=0, rank=new_policy(newest_first))
    rows = pools[0]["transactions"][picked]
    for sender in range(3):
        assert rows["nonce"][rows["sender"] == sender].tolist() == [0, 1, 2, 3]


def test_a_policy_cannot_admit_what_has_not_arrived_or_cannot_pay(new_policy):
    policy = new_policy(lambda pending, base_fee: np.full(len(pending), np.inf))
    rows = [{"sender": 1, "decided": 1_001}, {"sender": 2, "max_fee": 49}, {"sender": 3}]
    assert senders_in_order(policy, rows, base_fee=50) == [3]


def test_the_priority_fee_auction_ranks_by_effective_tip():
    rows = [
        {"sender": 1, "max_fee": 101, "tip": 90},  # only 1 is left above the base fee
        {"sender": 2, "max_fee": 500, "tip": 2},
        {"sender": 3, "max_fee": 103, "tip": 90},
    ]
    assert senders_in_order(ORDERING_POLICIES["priority_fee"], rows, base_fee=100) == [3, 2, 1]


def test_a_chain_knows_the_policies_that_are_registered(new_policy):
    new_policy(lambda pending, base_fee: np.zeros(len(pending)))
    assert ChainSettings(ordering="new").ordering == "new"
    with pytest.raises(ValueError, match="it may be priority_fee"):
        ChainSettings(ordering="priority fee")


def test_the_example_in_the_documentation_works():
    assert doctest.testmod(ordering).failed == 0
