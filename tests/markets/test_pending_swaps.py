"""The list of pending swaps: which ones are on it, in which order, and who can have learned of them."""

import numpy as np
import pytest

from blockspace.markets.feed import new_feed
from blockspace.markets.pending_swaps import SWAPS_SEEN, has_arrived, has_travelled, list_pending_swaps
from blockspace.network.block import BLOCK
from blockspace.network.mempool import new_mempool, submit_order, submit_to_pool
from blockspace.network.settings import MEMPOOLS
from blockspace.network.transaction import EXACT_IN, EXACT_OUT, NEVER, PLACE, PUBLIC, SWAP, TO_PRODUCER

LATENCY, BETWEEN = 40, 70


class Stage:
    """A feed with two pools, a mempool and a block, without a market."""

    def __init__(self, mempool="public"):
        self.feeds, self.pools, self.blocks = new_feed(), new_mempool(capacity=1_000), np.zeros(1, BLOCK)
        feed = self.feeds[0]
        feed["count"] = 1
        feed["rules"]["mempool"] = MEMPOOLS.index(mempool)
        feed["pools"]["reserves"][0, 0] = 1_000, 2_000_000
        feed["pools"]["reserves"][0, 1] = 100_000, 200_000_000
        feed["between"][1, 0] = BETWEEN
        self.blocks["time"] = 1_000
        self.blocks["latency"][0, 1] = LATENCY

    def swap(self, side=1, style=EXACT_OUT, amount=10, pool=0, decided=500, price=0, expires=NEVER, route=PUBLIC):
        values = (SWAP, 100, 100, decided, 0, pool, side, style, price, 0, amount, 7, 0, 0, 30, 5, expires)
        submit_to_pool(self.pools, 20 + int(self.pools["submitted"][0]), 1, *values)
        slot = int(self.pools["pending"][0, int(self.pools["count"][0]) - 1])
        self.pools["transactions"]["route"][0, slot] = route

    def seen(self):
        list_pending_swaps(self.feeds, self.pools, self.blocks)
        return self.feeds[0]["pending"][: int(self.feeds[0]["pending_count"])]


def test_the_list_holds_what_a_searcher_needs_the_largest_part_of_a_pool_first():
    stage = Stage()
    stage.swap(amount=10)  # lots, 1 % of them
    stage.swap(side=1, style=EXACT_IN, amount=60_000)  # micro-dollars, 3 % of them
    stage.swap(side=-1, style=EXACT_IN, amount=20)  # lots, 2 %
    stage.swap(side=-1, style=EXACT_OUT, amount=80_000)  # micro-dollars, 4 %
    stage.swap(pool=1, amount=4_000)  # lots of the other pool, 4 %, but later
    seen = stage.seen()
    assert seen["sequence"].tolist() == [4, 5, 2, 3, 1]
    assert seen["share"] == pytest.approx([0.04, 0.04, 0.03, 0.02, 0.01])
    last = seen[-1]
    found = [last[name].item() for name in ("decided", "access", "pool", "side", "style", "amount", "bound")]
    assert found == [500, 1, 0, 1, EXACT_OUT, 10, 7]
    assert (last["max_fee"], last["tip"]) == (30, 5)


def test_only_swaps_that_may_still_be_made_and_stop_nowhere_are_listed():
    stage = Stage()
    stage.swap(price=1_000)
    stage.swap(expires=999)
    submit_order(stage.pools, 19, 1, PLACE, 100, 100, 500, 0, 0, 1, 0, 5, 5, 30, 5, NEVER)
    assert len(stage.seen()) == 0
    stage.swap(expires=1_000)
    assert len(stage.seen()) == 1


def test_there_is_room_for_the_largest():
    stage = Stage()
    amounts = np.random.default_rng(1).permutation(200) + 1
    for amount in amounts:
        stage.swap(amount=int(amount))
    for _ in range(2):  # a second look begins anew
        assert stage.seen()["amount"].tolist() == list(range(200, 200 - SWAPS_SEEN, -1))


def test_a_swap_is_seen_once_it_has_travelled():
    stage = Stage()
    stage.swap(decided=500)
    feed, swap = stage.feeds[0], stage.seen()[0]
    assert not has_travelled(feed, swap, 0, 500 + BETWEEN - 1)
    assert has_travelled(feed, swap, 0, 500 + BETWEEN)
    assert has_travelled(feed, swap, 1, 500), "where it was sent it is seen at once"


def test_a_swap_is_with_the_producer_once_it_has_arrived():
    stage = Stage()
    stage.swap(decided=1_000 - LATENCY)
    stage.swap(decided=1_000 - LATENCY + 1)
    assert [has_arrived(stage.blocks[0], swap) for swap in stage.seen()] == [True, False]


@pytest.mark.parametrize(
    ("mempool", "route", "travels", "arrives"),
    [
        ("public", PUBLIC, True, True),
        ("public", TO_PRODUCER, False, True),
        ("public", 1, False, False),
        ("private", PUBLIC, False, True),
        ("private", TO_PRODUCER, False, True),
    ],
)
def test_who_may_see_a_swap(mempool, route, travels, arrives):
    stage = Stage(mempool)
    stage.swap(route=route)
    swap = stage.seen()[0]
    assert has_travelled(stage.feeds[0], swap, 0, 10_000) == travels
    assert has_arrived(stage.blocks[0], swap) == arrives


def test_an_encrypted_mempool_shows_nothing():
    stage = Stage("encrypted")
    stage.swap()
    assert len(stage.seen()) == 0
