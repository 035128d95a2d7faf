import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blockspace.network import mempool
from blockspace.network.block import BLOCK, release_block
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_bits
from blockspace.network.mempool import SLOTS, new_mempool
from blockspace.network.transaction import ANYWHERE, AT_TOP, AUTOMATIC_NONCE

from .slow_mempool import DEFAULTS, LATENCY, Pending, SlowMempool, check_mempool, fill, submit


def pending_fees(pools):
    pool = pools[0]
    return sorted(pool["transactions"]["max_fee"][pool["pending"][: int(pool["count"])]].tolist())


def nonces(pools, sender):
    """Pending nonces of a sender, in the order of its chain."""
    pool, found = pools[0], []
    slot = int(pool["first"][sender])
    while slot != mempool.NOBODY:
        found.append(int(pool["transactions"]["nonce"][slot]))
        slot = int(pool["transactions"]["following"][slot])
    return found


# Against the slow twin.


class Pair:
    """The fast and the slow mempool side by side; every action goes to both and is compared."""

    def __init__(self, capacity, tie_key=9):
        self.pools = new_mempool(capacity, tie_key)
        self.blocks = np.zeros(1, BLOCK)
        self.twin = SlowMempool(capacity, tie_key)
        self.time = 0

    def submit(self, sender, independent, nonce_back, max_fee, tip, gas, size, delay, patience, access, placement):
        """Submit; `nonce_back` counts from the sender's newest nonce down, or is None for the next nonce."""
        fields = {**DEFAULTS, "sender": sender, "independent": independent, "max_fee": max_fee}
        fields |= {"tip": tip, "gas": gas, "bytes": size, "access": access, "decided": self.time + delay}
        fields |= {"placement": placement}
        fields["expires"] = fields["decided"] + patience
        if nonce_back is not None and not independent and placement == ANYWHERE:
            fields["nonce"] = max(self.twin.next_nonce.get(sender, 0) - nonce_back, 0)
        outcome, slot = submit(self.pools, **fields)
        assert outcome == self.twin.submit(Pending(label=slot, **fields))

    def expire(self, wait):
        self.time += wait
        mempool.expire(self.pools[0], self.time)
        self.twin.expire(self.time)

    def block(self, wait, base_fee, gas_limit, byte_limit):
        self.time += wait
        picked = fill(self.pools, self.blocks, self.time, base_fee, gas_limit, byte_limit)
        self.twin.expire(self.time)
        wanted, gas, size, full, marginal_tip = self.twin.fill(self.time, base_fee, gas_limit, byte_limit, LATENCY)
        assert picked == [one.label for one in wanted]
        header = {name: int(self.blocks[0][name]) for name in ("gas_reserved", "bytes", "full", "marginal_tip")}
        assert header == {"gas_reserved": gas, "bytes": size, "full": full, "marginal_tip": marginal_tip}
        check_mempool(self.pools[0], in_block=picked)
        release_block(self.pools, self.blocks)

    def compare(self):
        pool = self.pools[0]
        check_mempool(pool)
        slots = pool["pending"][: int(pool["count"])]
        twins = {one.label: one for one in self.twin.pending}
        assert sorted(slots.tolist()) == sorted(twins)
        for slot in slots.tolist():
            row = pool["transactions"][slot]
            for name in DEFAULTS:
                if name != "nonce" or not twins[slot].independent:
                    assert row[name] == getattr(twins[slot], name), (name, slot)
            assert (row["sequence"], row["tie"]) == (twins[slot].sequence, twins[slot].tie)
        for sender, nonce in self.twin.next_nonce.items():
            assert pool["next_nonce"][sender] == nonce
            assert nonces(self.pools, sender) == [one.nonce for one in self.twin.chain(sender)]
        for name, value in self.twin.counters.items():
            assert pool[name] == value, name


# Few values, so that everything ties, fits exactly or just fails to.
submissions = st.tuples(
    st.just("submit"),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([None, None, None, 0, 1, 2, 3]),
    st.sampled_from([10, 11, 12, 20, 21, 22, 23, 100, 109, 110]),
    st.sampled_from([0, 1, 2, 10, 11]),
    st.sampled_from([21_000, 30_000, 42_000, 63_000, 500_000]),
    st.sampled_from([100, 101, 200, 2_000]),
    st.sampled_from([-20, -5, 0, 5]),
    st.sampled_from([0, 5, 10, 25, 60]),
    st.integers(0, 2),
    st.sampled_from([ANYWHERE] * 7 + [AT_TOP]),
)
expiries = st.tuples(st.just("expire"), st.sampled_from([0, 1, 5, 20]))
fillings = st.tuples(
    st.just("block"),
    st.sampled_from([0, 1, 5, 20]),
    st.sampled_from([0, 10, 11, 20, 100]),
    st.sampled_from([21_000, 42_000, 63_000, 84_000, 400_000]),
    st.sampled_from([100, 300, 1_000, 10_000]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(8, 12),
    st.lists(st.one_of(submissions, submissions, submissions, submissions, expiries, fillings), max_size=50),
)
def test_mempool_and_block_equal_their_slow_twin_after_every_action(capacity, actions):
    pair = Pair(capacity)
    for name, *arguments in actions:
        getattr(pair, name)(*arguments)
        pair.compare()


@pytest.mark.parametrize(("capacity", "seed"), [(8, 1), (9, 2), (24, 3), (100, 4)])
def test_mempool_and_block_equal_their_slow_twin_over_a_long_stress(capacity, seed):
    generator = np.random.default_rng(seed)
    pair = Pair(capacity)

    def pick(*values):
        return values[int(generator.integers(len(values)))]

    for _ in range(600):
        chance = generator.random()
        if chance < 0.9:
            independent, back = pick(True, False, False), pick(None, None, None, 0, 1, 2, 5)
            fee, tip = int(generator.integers(1, 60)), int(generator.integers(0, 12))
            gas, size = int(generator.integers(21_000, 90_000)), int(generator.integers(50, 400))
            delay, patience = int(generator.integers(-30, 10)), int(generator.integers(0, 400))
            place = AT_TOP if generator.random() < 0.1 else ANYWHERE
            pair.submit(
                pick(1, 2, 3, 4, 5), independent, back, fee, tip, gas, size, delay, patience, pick(0, 1, 2), place
            )
        elif chance < 0.92:
            pair.expire(int(generator.integers(0, 10)))
        else:
            pair.block(
                int(generator.integers(0, 10)),
                int(generator.integers(0, 30)),
                pick(21_000, 200_000, 600_000),
                pick(500, 5_000),
            )
        pair.compare()
    assert all(pair.twin.counters.values()), pair.twin.counters  # every kind of outcome was seen


# Each threshold by itself.


@pytest.mark.parametrize(
    ("max_fee", "tip", "outcome"),
    [(1_100, 110, "replaced"), (1_099, 110, "underpriced"), (1_100, 109, "underpriced"), (2_000, 100, "underpriced")],
)
def test_a_replacement_must_offer_110_percent_of_fee_and_tip(max_fee, tip, outcome):
    pools = new_mempool(8)
    submit(pools, max_fee=1_000, tip=100)
    assert submit(pools, max_fee=max_fee, tip=tip, nonce=0)[0] == outcome
    assert pending_fees(pools) == [max_fee if outcome == "replaced" else 1_000]
    check_mempool(pools[0])


def test_a_replacement_takes_the_old_ones_place_among_the_nonces():
    pools = new_mempool(8)
    for _ in range(3):
        submit(pools)
    for nonce, outcome in ((1, "replaced"), (0, "replaced"), (2, "replaced"), (3, "no such nonce")):
        assert submit(pools, max_fee=200, tip=20, nonce=nonce)[0] == outcome
    assert nonces(pools, 1) == [0, 1, 2]
    assert pending_fees(pools) == [200, 200, 200]
    check_mempool(pools[0])


@pytest.mark.parametrize(("expires", "picked"), [(999, 0), (1_000, 1), (1_001, 1)])
def test_a_transaction_can_be_included_up_to_its_expiry_exactly(expires, picked):
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    submit(pools, expires=expires)
    assert len(fill(pools, blocks, time=1_000)) == picked
    assert pools[0]["expired"] == 1 - picked


def test_what_expires_takes_its_followers_along_and_their_nonces_are_used_again():
    pools = new_mempool(8)
    for expires in (50, 10, 50):
        submit(pools, expires=expires)
    submit(pools, sender=2)
    mempool.expire(pools[0], 11)
    assert (nonces(pools, 1), nonces(pools, 2), int(pools[0]["expired"])) == ([0], [0], 2)
    submit(pools)
    assert nonces(pools, 1) == [0, 1]
    check_mempool(pools[0])


@pytest.mark.parametrize(("decided", "picked"), [(960, 1), (961, 0)])
def test_a_transaction_arrives_exactly_its_latency_after_the_decision(decided, picked):
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    submit(pools, decided=decided, access=2)
    assert LATENCY[2] == 40
    assert len(fill(pools, blocks, time=1_000)) == picked


@pytest.mark.parametrize(("max_fee", "picked"), [(99, 0), (100, 1), (101, 1)])
def test_the_maximum_fee_may_equal_the_base_fee(max_fee, picked):
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    submit(pools, max_fee=max_fee)
    assert len(fill(pools, blocks, time=0, base_fee=100)) == picked


def test_a_pool_takes_its_capacity_and_not_one_more():
    pools = new_mempool(10)
    outcomes = [submit(pools, sender=1 + number % 2)[0] for number in range(12)]
    assert outcomes == ["accepted"] * 10 + ["pool full"] * 2
    assert (int(pools[0]["count"]), int(pools[0]["refused"])) == (10, 2)
    check_mempool(pools[0])


def test_a_replacement_needs_no_room():
    pools = new_mempool(8)
    for _ in range(8):
        submit(pools)
    assert submit(pools, max_fee=200, tip=20, nonce=7)[0] == "replaced"
    assert pools[0]["count"] == 8


@pytest.mark.parametrize(
    ("capacity", "offer", "outcome", "left"),
    # Fees are 1, 2, … capacity; those up to number capacity // 8, counted from 0, must be exceeded and leave.
    [
        (8, 2, "pool full", 8),
        (8, 3, "accepted", 7),
        (15, 2, "pool full", 15),
        (15, 3, "accepted", 14),
        (16, 3, "pool full", 16),
        (16, 4, "accepted", 14),
        (80, 11, "pool full", 80),
        (80, 12, "accepted", 70),
    ],
)
def test_a_full_pool_asks_for_more_than_its_cheapest_eighth_offers(capacity, offer, outcome, left):
    pools = new_mempool(capacity)
    for fee in np.random.default_rng(0).permutation(capacity) + 1:
        submit(pools, max_fee=fee, tip=0, independent=True)
    assert submit(pools, max_fee=offer, tip=0, independent=True)[0] == outcome
    assert pools[0]["count"] == left
    assert pools[0]["evicted"] == (capacity + 1 - left if outcome == "accepted" else 0)
    check_mempool(pools[0])


def test_equal_offers_at_the_entry_fee_leave_together():
    pools = new_mempool(16)
    for fee in [5] * 10 + [9] * 6:
        submit(pools, max_fee=fee, tip=0, independent=True)
    assert submit(pools, max_fee=5, tip=0)[0] == "pool full"
    assert submit(pools, max_fee=6, tip=0)[0] == "accepted"
    assert pending_fees(pools) == [6] + [9] * 6


def test_what_is_evicted_takes_its_followers_along():
    pools = new_mempool(8)
    for sender, fee in ((1, 50), (1, 1), (1, 50), (1, 50), (2, 60), (2, 60), (2, 60), (3, 2)):
        submit(pools, sender=sender, max_fee=fee, tip=0)
    assert submit(pools, sender=1, max_fee=3, tip=0)[0] == "accepted"
    assert pending_fees(pools) == [3, 50, 60, 60, 60]
    assert [nonces(pools, sender) for sender in (1, 2, 3)] == [[0, 1], [0, 1, 2], []]
    check_mempool(pools[0])


def test_replacing_the_cheapest_does_not_let_the_pool_outgrow_its_capacity():
    pools = new_mempool(8)
    for fee in (1, 2, 50, 50, 50, 50, 50, 50):
        submit(pools, sender=fee, max_fee=fee, tip=0)
    assert submit(pools, max_fee=2, tip=0)[0] == "pool full"  # the entry fee is known now: 2
    for sender in (1, 2):
        assert submit(pools, sender=sender, max_fee=60, tip=0, nonce=0)[0] == "replaced"
    assert submit(pools, sender=9, max_fee=3, tip=0)[0] == "pool full"
    assert submit(pools, sender=9, max_fee=51, tip=0)[0] == "accepted"
    check_mempool(pools[0])


@kernel
def flood(pools, count):
    """Submit `count` transactions of 97 senders at 1,009 different fees."""
    pool = pools[0]
    for number in range(count):
        slot = mempool.draft(pool)
        transaction = pool.transactions[slot]
        transaction.sender = number % 97
        transaction.max_fee = 1 + number % 1_009
        transaction.tip = 1
        transaction.expires = 1_000
        transaction.gas = 21_000
        transaction.bytes = 10
        mempool.submit(pool, slot)


def test_the_largest_pool_fills_to_the_last_slot_but_one_and_survives():
    pools, blocks = new_mempool(SLOTS - 1), np.zeros(1, BLOCK)
    flood(pools, SLOTS - 2)
    for wanted in (SLOTS - 2, SLOTS - 1):
        assert pools[0]["count"] == wanted
        check_mempool(pools[0])
        flood(pools, 1)
    flood(pools, 2 * SLOTS)
    check_mempool(pools[0])
    assert pools[0]["evicted"] > 0
    assert pools[0]["refused"] > 0
    picked = fill(pools, blocks, time=1, gas_limit=10**12)
    check_mempool(pools[0], in_block=picked)
    assert pools[0]["count"] == 0  # all can pay and all fit
    release_block(pools, blocks)
    assert pools[0]["free_count"] == SLOTS


@pytest.mark.parametrize("capacity", [-1, 0, 7, SLOTS])
def test_impossible_capacities_are_refused(capacity):
    with pytest.raises(ValueError, match=f"mempool capacity is {capacity}; it may be 8 to {SLOTS - 1}"):
        new_mempool(capacity)


def test_a_draft_that_is_not_submitted_costs_nothing():
    pools = new_mempool(8)
    slots = {int(mempool.draft(pools[0])) for _ in range(5)}
    assert len(slots) == 1
    check_mempool(pools[0])


def test_a_draft_begins_without_a_receipt_or_a_nonce():
    pools, blocks = new_mempool(8), np.zeros(1, BLOCK)
    _, slot = submit(pools, independent=True)
    pools[0]["transactions"][slot]["status"] = 2
    pools[0]["transactions"][slot]["gas_used"] = pools[0]["transactions"][slot]["filled"] = 77
    fill(pools, blocks, time=0)
    release_block(pools, blocks)
    assert int(mempool.draft(pools[0])) == slot
    row = pools[0]["transactions"][slot]
    found = [int(row[name]) for name in ("nonce", "independent", "status", "gas_used", "filled", "score")]
    assert found == [int(AUTOMATIC_NONCE), 0, 0, 0, 0, 0]


def test_the_order_of_equals_is_random_uniform_and_keyed():
    senders = np.arange(1, 9)
    first = np.zeros(9, int)
    orders = set()
    for key in range(400):
        pools, blocks = new_mempool(8, tie_key=key), np.zeros(1, BLOCK)
        for sender in senders:
            submit(pools, sender=sender)
        order = tuple(pools[0]["transactions"]["sender"][fill(pools, blocks, time=0)].tolist())
        ties = [int(draw_bits(np.uint64(key), sender, 0)) % 2**32 for sender in order]
        assert ties == sorted(ties)
        first[order[0]] += 1
        orders.add(order)
    assert stats.chisquare(first[1:]).pvalue > 0.001
    assert len(orders) > 390


def test_the_order_of_equals_does_not_depend_on_who_submitted_first():
    orders = []
    for senders in (range(1, 9), range(8, 0, -1), (3, 7, 1, 8, 2, 6, 5, 4)):
        pools, blocks = new_mempool(8, tie_key=5), np.zeros(1, BLOCK)
        for sender in senders:
            submit(pools, sender=sender)
        orders.append(pools[0]["transactions"]["sender"][fill(pools, blocks, time=0)].tolist())
    assert orders[0] == orders[1] == orders[2]


@kernel
def _two_of_one_decision(pools, ties):
    """Hand in two transactions of a sender with one decision, the second one as a further one."""
    pool = pools[0]
    for number in range(2):
        slot = mempool.draft(pool)
        transaction = pool.transactions[slot]
        transaction.sender = 7
        transaction.decided = 1_000
        transaction.expires = 2_000
        transaction.max_fee = 10
        if number == 0:
            mempool.submit(pool, slot)
        else:
            mempool.submit_further(pool, slot, np.int64(number))
        ties[number] = transaction.tie


def test_a_further_transaction_keeps_its_nonce_and_has_a_draw_of_its_own():
    pools, ties = new_mempool(100, tie_key=9), np.zeros(2, np.uint32)
    _two_of_one_decision(pools, ties)
    assert nonces(pools, 7) == [0, 1]
    assert ties.tolist() == [draw_bits(np.uint64(9 + number), 7, 1_000) & 0xFFFFFFFF for number in range(2)]
