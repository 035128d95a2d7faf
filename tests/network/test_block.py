import numpy as np
import pytest

from blockspace.network.block import BLOCK, SMALLEST_GAS, release_block
from blockspace.network.compilation import kernel
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import AT_TOP, TRANSACTION, effective_tip

from .slow_mempool import check_mempool, fill, submit


def build(transactions, **header):
    """Submit transactions (a dictionary each) and fill a block: (their numbers in the block's order, the block)."""
    pools, blocks = new_mempool(64), np.zeros(1, BLOCK)
    numbers = {}
    for number, fields in enumerate(transactions):
        outcome, slot = submit(pools, **fields)
        assert outcome == "accepted"
        numbers[slot] = number
    picked = fill(pools, blocks, **{"time": 1_000, **header})
    check_mempool(pools[0], in_block=picked)
    return [numbers[slot] for slot in picked], blocks[0]


@kernel
def tip_at(transactions, base_fee):
    return effective_tip(transactions[0], base_fee)


@pytest.mark.parametrize(
    ("max_fee", "tip", "base_fee", "effective"),
    [(100, 10, 50, 10), (100, 10, 90, 10), (100, 10, 91, 9), (100, 10, 100, 0), (10**15, 10**15, 7, 10**15 - 7)],
)
def test_the_effective_tip_is_what_the_maximum_fee_leaves_of_it(max_fee, tip, base_fee, effective):
    transactions = np.zeros(1, TRANSACTION)
    transactions["max_fee"], transactions["tip"] = max_fee, tip
    assert tip_at(transactions, base_fee) == effective


@pytest.mark.parametrize(
    ("gas", "gas_limit", "order", "full"),
    # Tips fall from the first to the last.
    [
        ([50_000, 50_000], 100_000, [0, 1], 0),  # exactly
        ([50_000, 50_001], 100_000, [0], 1),  # by one too much
        ([79_000, 21_000], 100_000, [0, 1], 0),  # exactly the smallest gas is left for the last
        ([79_001, 21_000], 100_000, [0], 1),  # less is left than any transaction needs
        ([60_000, 50_000, 40_000], 100_000, [0, 2], 1),  # one that does not fit is passed over
        ([100_001, 50_000], 100_000, [1], 0),  # too large for any block: not this block's fault
        ([21_000], 21_000, [0], 0),
        ([21_000], 20_999, [], 1),
        ([], 100_000, [], 0),
    ],
)
def test_a_block_is_filled_up_to_its_gas_limit_exactly(gas, gas_limit, order, full):
    transactions = [{"sender": number + 1, "gas": one, "tip": 50 - number} for number, one in enumerate(gas)]
    picked, block = build(transactions, gas_limit=gas_limit)
    assert picked == order
    assert block["full"] == full
    assert block["gas_reserved"] == sum(gas[number] for number in picked)


@pytest.mark.parametrize(
    ("sizes", "byte_limit", "order", "full"),
    [
        ([500, 500], 1_000, [0, 1], 0),
        ([500, 501], 1_000, [0], 1),
        ([600, 500, 400], 1_000, [0, 2], 1),
        ([1_001, 500], 1_000, [1], 0),
        ([1_000, 1], 1_000, [0], 1),
    ],
)
def test_a_block_is_filled_up_to_its_byte_limit_exactly(sizes, byte_limit, order, full):
    transactions = [{"sender": number + 1, "bytes": size, "tip": 50 - number} for number, size in enumerate(sizes)]
    picked, block = build(transactions, byte_limit=byte_limit)
    assert (picked, block["full"]) == (order, full)
    assert block["bytes"] == sum(sizes[number] for number in picked)


def test_the_smallest_gas_is_that_of_a_plain_transfer():
    assert SMALLEST_GAS == 21_000


@pytest.mark.parametrize(
    ("transactions", "order"),
    [
        # A later nonce never comes first, however much it pays; its sender's queue competes by its head.
        ([(1, 1), (1, 90), (2, 50), (3, 20)], [2, 3, 0, 1]),
        ([(1, 60), (1, 90), (2, 50)], [0, 1, 2]),
        ([(1, 60), (1, 10), (2, 50), (2, 70), (2, 5)], [0, 2, 3, 1, 4]),
        ([(1, 10), (1, 10), (1, 10)], [0, 1, 2]),
    ],
)
def test_queues_of_senders_are_merged_by_tip_and_nonce(transactions, order):
    rows = [{"sender": sender, "tip": tip, "max_fee": 1_000} for sender, tip in transactions]
    assert build(rows)[0] == order


def test_independent_transactions_of_one_sender_are_not_held_back():
    rows = [{"sender": 1, "tip": tip, "independent": True} for tip in (1, 90, 40)]
    assert build(rows)[0] == [1, 2, 0]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"max_fee": 49}, "cannot pay the base fee"),
        ({"decided": 1_001}, "has not arrived"),
        ({"gas": 29_999_999}, "does not fit behind the others"),
        ({"gas": 30_000_001}, "is too large for any block"),
    ],
)
def test_what_cannot_enter_holds_back_its_followers(first, reason):
    rows = [
        {"sender": 1, "tip": 5, **first},
        {"sender": 1, "tip": 90},
        {"sender": 2, "tip": 50},
    ]
    assert build(rows, base_fee=50)[0] == [2], reason


def test_a_follower_that_cannot_enter_lets_its_predecessor_in():
    for follower in ({"max_fee": 49}, {"decided": 1_001}, {"gas": 30_000_001}):
        assert build([{}, {**follower}, {"sender": 2, "tip": 1}], base_fee=50)[0] == [0, 2]


def test_equal_tips_go_by_arrival_and_not_by_submission():
    rows = [
        {"sender": 1, "decided": 500, "access": 2},  # arrives at 540
        {"sender": 2, "decided": 530, "access": 1},  # 535
        {"sender": 3, "decided": 536, "access": 0},  # 536
    ]
    assert build(rows)[0] == [1, 2, 0]


@pytest.mark.parametrize(
    ("tips", "gas_limit", "marginal_tip"),
    [
        ([30, 20, 10], 42_000, 20),  # the lowest that made it into a full block
        ([30, 20, 10], 63_000, 0),  # all fitted
        ([30, 20, 10], 83_000, 0),
        ([300, 20, 10], 62_999, 20),
        ([30, 0, 0], 42_000, 0),
    ],
)
def test_the_marginal_tip_is_the_lowest_in_a_full_block(tips, gas_limit, marginal_tip):
    rows = [{"sender": number + 1, "tip": tip, "max_fee": 1_000} for number, tip in enumerate(tips)]
    assert build(rows, gas_limit=gas_limit)[1]["marginal_tip"] == marginal_tip


def test_the_marginal_tip_is_what_the_producer_really_got():
    rows = [{"sender": 1, "tip": 50, "max_fee": 104}, {"sender": 2, "tip": 3, "max_fee": 200}, {"sender": 3, "tip": 1}]
    picked, block = build(rows, gas_limit=42_000, base_fee=100)
    assert (picked, block["marginal_tip"]) == ([0, 1], 3)


def test_what_the_rules_put_at_the_top_is_there_whatever_it_pays_and_wherever_it_comes_from():
    forced = {"sender": 9, "placement": AT_TOP, "tip": 0, "decided": 999, "access": 2, "route": 7}
    rows = [{"sender": 1, "tip": 50, "max_fee": 1_000}, forced, {"sender": 2, "tip": 40, "max_fee": 1_000}, forced]
    picked, block = build(rows, gas_limit=63_000)
    assert picked == [1, 3, 0]
    assert (block["full"], block["marginal_tip"]) == (1, 50)  # nobody could outbid those at the top


def test_what_does_not_fit_at_the_top_waits_for_the_next_block():
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    slots = [submit(pools, sender=9, placement=AT_TOP, gas=gas)[1] for gas in (30_000, 30_000, 21_000)]
    assert fill(pools, blocks, time=0, gas_limit=59_999) == [slots[0], slots[2]]
    release_block(pools, blocks)
    assert fill(pools, blocks, time=0, gas_limit=59_999) == [slots[1]]
    check_mempool(pools[0], in_block=[slots[1]])


def test_slots_are_in_use_until_the_block_is_released():
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    slots = [submit(pools, sender=sender)[1] for sender in range(8)]
    picked = fill(pools, blocks, time=0, gas_limit=63_000)
    assert len(picked) == 3
    check_mempool(pools[0], in_block=picked)
    while submit(pools, sender=9, independent=True)[0] == "accepted":
        pass
    pending = pools[0]["pending"][: int(pools[0]["count"])]
    assert not set(pending.tolist()) & set(picked)
    assert set(picked) < set(slots)
    release_block(pools, blocks)
    check_mempool(pools[0])


def test_many_transactions_come_out_in_sorted_order():
    generator = np.random.default_rng(5)
    tips = generator.integers(0, 40, 3_000)
    decided = generator.integers(0, 30, 3_000)
    pools, blocks = new_mempool(4_096, tie_key=3), np.zeros(1, BLOCK)
    for number in range(3_000):
        submit(pools, sender=number + 1, tip=int(tips[number]), decided=int(decided[number]))
    picked = pools[0]["transactions"][fill(pools, blocks, time=100, gas_limit=10**9)]
    assert len(picked) == 3_000
    rank = np.lexsort((picked["tie"], picked["decided"], -picked["tip"]))
    assert np.array_equal(rank, np.arange(3_000))


def test_a_block_of_an_empty_pool_is_empty():
    picked, block = build([])
    assert picked == []
    assert [int(block[name]) for name in ("count", "gas_reserved", "bytes", "full", "marginal_tip")] == [0] * 5
