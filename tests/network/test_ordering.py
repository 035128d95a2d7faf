import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.network import mempool, ordering
from blockspace.network.block import BLOCK, release_block
from blockspace.network.mempool import new_mempool
from blockspace.network.ordering import ORDERING_POLICIES, register_policy
from blockspace.network.settings import ChainSettings
from blockspace.network.transaction import CANCEL, LADDER, PLACE, POST_ONLY, QUOTE, REPLACE, TRANSFER

from .slow_mempool import LATENCY, check_mempool, fill, submit


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


def test_first_come_first_served_goes_by_arrival_whatever_the_tips():
    rows = [
        {"sender": 1, "decided": 30, "tip": 90},
        {"sender": 2, "decided": 1, "access": 2, "tip": 50},  # decided first, but far away
        {"sender": 3, "decided": 10, "tip": 1},
        {"sender": 4, "decided": 20, "access": 1, "tip": 0},
    ]
    assert LATENCY == (0, 5, 40)
    assert senders_in_order(ORDERING_POLICIES["first_come_first_served"], rows) == [3, 4, 1, 2]


@pytest.mark.parametrize("policy", ["first_come_first_served", "random_order"])
def test_equals_go_by_their_draws(policy):
    pools, blocks = new_mempool(64, tie_key=5), np.zeros(1, BLOCK)
    for sender in range(1, 40):
        submit(pools, sender=sender, tip=sender)
    picked = fill(pools, blocks, time=0, rank=ORDERING_POLICIES[policy])
    ties = pools[0]["transactions"]["tie"][picked].tolist()
    assert ties == sorted(ties)
    assert pools[0]["transactions"]["sender"][picked].tolist() != sorted(range(1, 40))


def test_a_random_order_does_not_look_at_tips_or_arrivals():
    def order(**fields):
        pools, blocks = new_mempool(64, tie_key=11), np.zeros(1, BLOCK)
        for sender in range(1, 30):
            submit(pools, sender=sender, **{name: sender * value for name, value in fields.items()})
        return pools[0]["transactions"]["sender"][fill(pools, blocks, 10**6, rank=random_order)].tolist()

    random_order = ORDERING_POLICIES["random_order"]
    assert order() == order(tip=7) == order(gas=21_000)


def test_a_copy_has_a_draw_of_its_own_and_no_nonce_that_binds():
    pools = new_mempool(64, tie_key=3)
    pool = pools[0]
    ties = {int(pool["transactions"]["tie"][submit(pools, sender=1)[1]])}
    for number in range(1, 9):
        slot = int(mempool.draft(pool))
        row = pool["transactions"][slot]
        for name, value in (("sender", 1), ("decided", 0), ("expires", 10**9), ("max_fee", 100), ("gas", 21_000)):
            row[name] = value
        assert mempool.submit_copy(pool, slot, number) == mempool.ACCEPTED
        assert (row["nonce"], row["independent"]) == (number, 1)
        ties.add(int(row["tie"]))
    assert len(ties) == 9
    check_mempool(pool)
    picked = fill(pools, np.zeros(1, BLOCK), 0, rank=ORDERING_POLICIES["first_come_first_served"])
    assert pool["transactions"]["tie"][picked].tolist() == sorted(ties)


EMPTY = [0] * (2 * LADDER)
LADDER_OF_TWO = [100, *EMPTY[1:LADDER], 102, *EMPTY[1:LADDER]]


def test_cancels_first():
    rows = [
        {"sender": 1, "kind": TRANSFER, "tip": 99},
        {"sender": 2, "kind": CANCEL, "tip": 0, "decided": 3},
        {"sender": 3, "kind": PLACE, "style": POST_ONLY, "tip": 1, "decided": 2},
        {"sender": 4, "kind": PLACE, "style": 0, "tip": 70},
        {"sender": 5, "kind": QUOTE, "style": 0, "ladder": EMPTY, "tip": 0, "decided": 4},
        {"sender": 6, "kind": QUOTE, "style": 0, "ladder": LADDER_OF_TWO, "tip": 50},
        {"sender": 7, "kind": QUOTE, "style": POST_ONLY, "ladder": LADDER_OF_TWO, "tip": 0, "decided": 1},
        {"sender": 8, "kind": REPLACE, "tip": 80},
    ]
    rows = [{"style": 0, **row} for row in rows]
    assert senders_in_order(ORDERING_POLICIES["cancels_first"], rows) == [7, 3, 2, 5, 1, 8, 4, 6]


@pytest.mark.parametrize("policy", list(ORDERING_POLICIES))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_under_every_policy_nonces_stay_in_order(policy, data):
    """Whatever is pending, and over several blocks with little room, no later nonce comes before an earlier one."""
    pools, blocks = new_mempool(64, tie_key=data.draw(st.integers(0, 2**32))), np.zeros(1, BLOCK)
    fields = st.fixed_dictionaries(
        {
            "sender": st.integers(1, 4),
            "tip": st.integers(0, 100),
            "decided": st.integers(0, 100),
            "access": st.integers(0, 2),
            "kind": st.sampled_from([TRANSFER, PLACE, CANCEL, REPLACE, QUOTE]),
            "style": st.integers(0, 3),
            "gas": st.sampled_from([21_000, 60_000, 150_000]),
        }
    )
    for row in data.draw(st.lists(fields, max_size=40)):
        submit(pools, max_fee=1_000, ladder=EMPTY, **row)
    seen = {}
    for time in (60, 90, 200, 300):
        picked = fill(pools, blocks, time, gas_limit=300_000, rank=ORDERING_POLICIES[policy])
        check_mempool(pools[0], in_block=picked)
        for row in pools[0]["transactions"][picked]:
            assert row["nonce"] == seen.get(int(row["sender"]), -1) + 1
            seen[int(row["sender"])] = int(row["nonce"])
        release_block(pools, blocks)


def test_where_tips_buy_nothing_a_full_block_asks_for_none():
    for tips_buy_nothing, marginal_tip in ((0, 10), (1, 0)):
        pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
        blocks[0]["tips_buy_nothing"] = tips_buy_nothing
        for sender in range(1, 5):
            submit(pools, sender=sender)
        fill(pools, blocks, 0, gas_limit=50_000)
        assert (blocks[0]["full"], blocks[0]["marginal_tip"]) == (1, marginal_tip)


def test_a_chain_knows_the_policies_that_are_registered(new_policy):
    new_policy(lambda pending, base_fee: np.zeros(len(pending)))
    assert ChainSettings(ordering="new").ordering == "new"
    with pytest.raises(ValueError, match="it may be priority_fee"):
        ChainSettings(ordering="priority fee")
    with pytest.raises(ValueError, match=r"did you mean 'first_come_first_served'\?"):
        ChainSettings(ordering="first_come_first_serve")


def test_the_example_in_the_documentation_works():
    assert doctest.testmod(ordering).failed == 0
