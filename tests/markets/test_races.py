"""What a block shows of its races."""

import numpy as np
import pytest

from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY
from blockspace.markets.races import RACE, RACES, publish_races, race_of_book, race_of_pool
from blockspace.network.block import BLOCK
from blockspace.network.compilation import kernel
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import CANCEL, FAILED, LEFT_OUT, PLACE, SUCCEEDED, SWAP

BASE_FEE = 100


@kernel
def publish_all(races, instruments, pool_count, pools, blocks):
    publish_races(races, instruments, pool_count, pools[0], blocks[0])


def races_of(*transactions, instruments=2, pools=1):
    """Races of a block that holds these transactions, given as fields, in this order."""
    races = np.zeros(RACES, RACE)
    races["bidder"] = 99  # what an earlier block left there
    mempool, blocks = new_mempool(), np.zeros(1, BLOCK)
    blocks[0]["base_fee"] = BASE_FEE
    blocks[0]["count"] = len(transactions)
    for position, fields in enumerate(transactions):
        slot = 7 * position + 3
        blocks[0]["order"][position] = slot
        for name, value in {"max_fee": 10**6, "status": SUCCEEDED, **fields}.items():
            mempool[0]["transactions"][name][slot] = value
    publish_all(races, instruments, pools, mempool, blocks)
    return races


def take(sender, tip, side=1, **fields):
    return {"kind": PLACE, "style": IMMEDIATE_OR_CANCEL, "sender": sender, "tip": tip, "side": side, **fields}


def swap(sender, tip, side=1, **fields):
    return {"kind": SWAP, "sender": sender, "tip": tip, "side": side, **fields}


def test_every_race_has_a_number_of_its_own():
    numbers = [race_of_book(number, side) for number in range(2) for side in (-1, 1)]
    numbers += [race_of_pool(number, side) for number in range(2) for side in (-1, 1)]
    assert len(set(numbers)) == 8
    assert max(numbers) < RACES


def test_a_block_without_takers_has_races_without_bidders():
    races = races_of({"kind": CANCEL, "sender": 5, "tip": 9})
    for number in (race_of_book(0, 1), race_of_book(1, -1), race_of_pool(0, 1)):
        assert races[number].tolist() == (-1, -1, -1, 0)
    assert races[race_of_book(2, 1)]["bidder"] == 99, "what is not in use is left alone"


def test_first_and_second_of_a_race():
    races = races_of(
        take(5, 70), take(5, 60), take(6, 50, status=FAILED), take(7, 40, status=FAILED), take(8, 30, side=-1)
    )
    assert races[race_of_book(0, 1)].tolist() == (5, 70, 50, 1)
    assert races[race_of_book(0, -1)].tolist() == (8, 30, -1, 1)
    assert races[race_of_book(1, 1)]["bidder"] == -1


def test_what_fails_or_is_left_out_has_bid_all_the_same():
    for status in (FAILED, LEFT_OUT):
        races = races_of(take(5, 70, status=status, instrument=1), take(6, 50, status=status, instrument=1))
        assert races[race_of_book(1, 1)].tolist() == (5, 70, 50, 0)


@pytest.mark.parametrize(("style", "bidder"), [(MARKET, 5), (IMMEDIATE_OR_CANCEL, 5), (LIMIT, 6), (POST_ONLY, 6)])
def test_only_what_takes_at_once_is_in_a_race(style, bidder):
    races = races_of(take(5, 70, style=style), take(6, 50))
    assert races[race_of_book(0, 1)]["bidder"] == bidder


def test_swaps_race_in_their_pool_and_direction():
    races = races_of(swap(5, 70), swap(6, 60, side=-1), swap(7, 50), swap(8, 40, order=1))
    assert races[race_of_pool(0, 1)].tolist() == (5, 70, 50, 1)
    assert races[race_of_pool(0, -1)].tolist() == (6, 60, -1, 1)
    assert races[race_of_book(0, 1)]["bidder"] == -1


def test_a_tip_is_what_the_producer_gets():
    races = races_of(take(5, 70, max_fee=BASE_FEE + 20))
    assert races[race_of_book(0, 1)]["tip"] == 20
