"""Blocks planned with bundles and routes, against the twin and one rule at a time."""

import numpy as np
import pytest

from blockspace.network.block import BLOCK, expire_pending, fill_block, plan_block, release_block, take_block
from blockspace.network.bundles import BUCKETS
from blockspace.network.mempool import SLOTS, new_mempool
from blockspace.network.ordering import rank_by_priority_fee
from blockspace.network.transaction import AFTER_TARGET, ANYWHERE, BEFORE_TARGET, PUBLIC, TO_PRODUCER
from tests.reference.block import Block
from tests.reference.chain import Producer
from tests.reference.mempool import Mempool, Transaction

from .slow_mempool import DEFAULTS, LATENCY, check_mempool, submit

BUILDER = 1


def build(*transactions, route=BUILDER, bundles=True, gas_limit=30_000_000, byte_limit=10**9, base_fee=0):
    """Plan and fill a block of transactions, a dictionary each: their numbers in the order of the block."""
    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    numbers = {submit(pools, **fields)[1]: number for number, fields in enumerate(transactions)}
    block = blocks[0]
    block["time"], block["base_fee"], block["gas_limit"], block["byte_limit"] = 1_000, base_fee, gas_limit, byte_limit
    block["latency"][: len(LATENCY)] = LATENCY
    block["route"], block["bundles_offered"] = route, bundles
    rank_by_priority_fee(pools, blocks)
    before = pools.tobytes()
    plan_block(pools, blocks)
    assert pools.tobytes() == before, "a plan changed the mempool"
    planned = block["order"][: int(block["count"])].tolist()
    take_block(pools, blocks)
    check_mempool(pools[0], in_block=planned)
    assert int(block["gas_reserved"]) == pools[0]["transactions"]["gas"][planned].sum() <= gas_limit
    return [numbers[slot] for slot in planned]


def before(target, sender=9, **fields):
    return {"sender": sender, "placement": BEFORE_TARGET, "target": target, **fields}


def after(target, sender=9, **fields):
    return {"sender": sender, "placement": AFTER_TARGET, "target": target, **fields}


# The sequence of a transaction is its number among those submitted, from 1.
TARGET = 1


def test_a_bundle_goes_right_around_its_target():
    others = [{"sender": 2, "tip": 50}, {"sender": 3, "tip": 5}]
    assert build({"sender": 1, "tip": 10}, *others, before(TARGET), after(TARGET)) == [1, 3, 0, 4, 2]


@pytest.mark.parametrize(("member", "order"), [(before(TARGET), [1, 0]), (after(TARGET), [0, 1])])
def test_half_a_bundle_is_a_bundle(member, order):
    assert build({}, member) == order


def test_without_its_target_a_bundle_stays_out():
    assert build({"sender": 2}, before(7, tip=90), after(7, tip=90)) == [0]
    assert build({"max_fee": 49}, {"sender": 2}, before(TARGET), after(TARGET), base_fee=50) == [1]
    assert build({"gas": 50_000, "tip": 1}, {"sender": 2}, before(TARGET), gas_limit=60_000) == [1]


def test_where_bundles_are_not_offered_nothing_that_names_a_target_gets_in():
    assert build({}, before(TARGET, tip=90), after(TARGET, tip=90), bundles=False) == [0]


def test_the_bundle_that_pays_most_wins_and_one_is_enough():
    one, two = before(TARGET, 8, tip=30), after(TARGET, 8, tip=10)
    assert build({}, one, two, before(TARGET, 9, tip=41)) == [3, 0]
    assert build({}, one, two, before(TARGET, 9, tip=39)) == [1, 0, 2]
    assert build({}, one, two, after(TARGET, 9, tip=20, gas=42_001)) == [0, 3], "what counts is tip times gas"
    assert build({}, before(TARGET, 8, tip=90, max_fee=52), before(TARGET, 9, tip=3), base_fee=50) == [2, 0]


def test_equal_bundles_go_by_the_draw():
    first = {build({"decided": now}, *(before(TARGET, 8 + n, decided=now) for n in range(3)))[0] for now in range(40)}
    assert first == {1, 2, 3}


@pytest.mark.parametrize(
    ("gas_limit", "byte_limit", "order"),
    [
        (71_000, 10**9, [1, 0, 2]),
        (70_999, 10**9, [0, 3]),  # the best does not fit as a whole, the next one does
        (63_000, 10**9, [0, 3]),
        (41_999, 10**9, [0]),
        (10**6, 300, [1, 0, 2]),
        (10**6, 299, [0, 3]),
        (10**6, 199, [0]),
    ],
)
def test_a_bundle_enters_as_a_whole_or_not_at_all(gas_limit, byte_limit, order):
    bundle = before(TARGET, tip=90, gas=29_000), after(TARGET, tip=90)
    assert build({}, *bundle, after(TARGET, 8, tip=1), gas_limit=gas_limit, byte_limit=byte_limit) == order


@pytest.mark.parametrize("late", [{"decided": 1_001}, {"max_fee": 49}, {"access": 2, "decided": 961}])
def test_a_bundle_of_which_one_cannot_enter_stays_out(late):
    assert build({}, before(TARGET), after(TARGET, **late), base_fee=50) == [0]


def test_of_several_for_one_place_the_last_counts():
    assert build({}, before(TARGET, tip=90), before(TARGET, tip=1), after(TARGET)) == [2, 0, 3]


def test_bundles_of_other_targets_in_the_same_bucket_are_told_apart():
    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    slot = submit(pools)[1]
    submit(pools, **after(TARGET + BUCKETS, tip=90))
    found = submit(pools, **after(TARGET, tip=1))[1]
    block = blocks[0]
    block["gas_limit"] = block["byte_limit"] = 10**6
    block["bundles_offered"] = True
    fill_block(pools, blocks)
    assert block["order"][: int(block["count"])].tolist() == [slot, found]


def test_a_pool_full_of_bundles_for_one_target():
    """As many as the mempool holds, of all senders that there are: the index has room for them, and the best wins."""
    pools, blocks = new_mempool(SLOTS - 1), np.zeros(1, BLOCK)
    submit(pools)
    generator = np.random.default_rng(7)
    tips = generator.permutation(2_000)
    for number in range(SLOTS - 2):
        placement = BEFORE_TARGET if number // 2_000 % 2 else AFTER_TARGET
        fields = {"sender": 1 + number % 2_000, "placement": placement, "target": TARGET}
        assert submit(pools, **fields, tip=int(tips[number % 2_000]), max_fee=10_000)[0] == "accepted"
    block = blocks[0]
    block["bundles_offered"] = True
    block["gas_limit"] = block["byte_limit"] = 10**9
    rank_by_priority_fee(pools, blocks)
    plan_block(pools, blocks)
    assert int(block["bundle_count"]) == 2_000
    picked = pools[0]["transactions"][block["order"][: int(block["count"])]]
    assert picked["placement"].tolist() == [BEFORE_TARGET, ANYWHERE, AFTER_TARGET]
    assert picked["sender"][[0, 2]].tolist() == [1 + int(tips.argmax())] * 2


def test_members_of_bundles_hold_nobody_up_and_are_protected():
    assert build({}, before(7, sender=2, tip=90), {"sender": 2}) in ([0, 2], [2, 0])
    pools = new_mempool(8)
    slots = [submit(pools, **fields)[1] for fields in ({}, before(1), after(1))]
    assert pools[0]["transactions"]["protected"][slots].tolist() == [0, 1, 1]
    assert pools[0]["transactions"]["independent"][slots].tolist() == [0, 1, 1]


def test_the_lowest_tip_of_a_full_block_is_not_that_of_a_bundle():
    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    for fields in ({}, before(TARGET, tip=0), {"sender": 2, "tip": 4}, {"sender": 3, "tip": 3}):
        submit(pools, **fields)
    block = blocks[0]
    block["bundles_offered"] = True
    block["gas_limit"], block["byte_limit"] = 63_000, 10**6
    rank_by_priority_fee(pools, blocks)
    fill_block(pools, blocks)
    assert (int(block["count"]), int(block["full"]), int(block["marginal_tip"])) == (3, 1, 4)


@pytest.mark.parametrize(
    ("route", "seen"),
    [(PUBLIC, [0]), (TO_PRODUCER, [0, 1]), (1, [0, 2]), (2, [0, 3]), (3, [0])],
)
def test_makers_see_what_is_for_all_and_what_is_for_them(route, seen):
    routes = (PUBLIC, TO_PRODUCER, 1, 2)
    rows = [{"sender": 1 + number, "route": one, "tip": 50 - number} for number, one in enumerate(routes)]
    assert build(*rows, route=route) == seen
    bundle = after(TARGET, route=2)
    assert build({}, bundle, route=route) == ([0, 1] if route == 2 else [0])


def test_a_wallet_may_have_a_route_and_protection_of_its_own():
    pools = new_mempool(8)
    pools[0]["wallets"]["route"][5] = 3
    pools[0]["wallets"]["protected"][6] = 1
    slots = [submit(pools, sender=sender, route=route)[1] for sender, route in ((5, 0), (5, 2), (6, 0), (7, 0))]
    found = pools[0]["transactions"][slots]
    assert found["route"].tolist() == [3, 2, 0, 0]
    assert found["protected"].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("seed", range(12))
def test_random_blocks_are_those_of_the_twin(seed):
    """Mempools of nonces, routes, bundles and tight limits, block after block."""
    generator = np.random.default_rng(seed)
    pools, blocks, slow = new_mempool(200, tie_key=5), np.zeros(1, BLOCK), Mempool(200, 5)
    producer = Producer(0, 1.0, list(LATENCY), list(LATENCY), [0.0] * 3, [0] * 3)
    seen_bundles = 0
    for number in range(1, 40):
        for earlier in range(int(generator.integers(0, 60))):
            placement = int(generator.choice([ANYWHERE, BEFORE_TARGET, AFTER_TARGET], p=[0.6, 0.2, 0.2]))
            fields = {
                "sender": int(generator.integers(1, 9)),
                "access": int(generator.integers(0, 3)),
                "decided": 100 * number - earlier,
                "expires": 100 * number + int(generator.integers(0, 300)),
                "max_fee": int(generator.integers(40, 120)),
                "tip": int(generator.integers(0, 6)),
                "gas": int(generator.integers(21_000, 60_000)),
                "bytes": int(generator.integers(100, 300)),
                "independent": bool(generator.random() < 0.4),
                "route": int(generator.choice([PUBLIC, 1, 2])),
                "placement": placement,
                "target": slow.submitted - int(generator.integers(0, 20)) if placement else 0,
            }
            submit(pools, **{**DEFAULTS, **fields, "nonce": 0 if fields["independent"] else None})
            slow.submit(Transaction(kind=0, **fields))
        block = blocks[0]
        block["time"], block["base_fee"], block["gas_limit"], block["byte_limit"] = 100 * number, 50, 600_000, 4_000
        block["latency"][: len(LATENCY)] = LATENCY
        block["bundles_offered"] = True
        twin = Block(number, 100 * number, 50, producer, 600_000, 4_000)
        twin.bundles_offered = True
        expire_pending(pools, blocks)
        rank_by_priority_fee(pools, blocks)
        slow.expire(100 * number)
        for route in (1, 2):
            block["route"] = twin.route = route
            plan_block(pools, blocks)
            twin.plan(slow)
            picked = pools[0]["transactions"][block["order"][: int(block["count"])]]
            assert picked["sequence"].tolist() == [one.sequence for one in twin.transactions]
            for name in ("gas_reserved", "bytes", "full", "marginal_tip"):
                assert int(block[name]) == int(getattr(twin, name)), name
        seen_bundles += int((picked["placement"] > 0).sum())
        fill_block(pools, blocks)
        twin.plan(slow)
        twin.take(slow)
        check_mempool(pools[0], in_block=block["order"][: int(block["count"])].tolist())
        release_block(pools, blocks)
    assert seen_bundles > 10
