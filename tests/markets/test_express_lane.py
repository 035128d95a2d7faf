"""The auction of the express lane, against a plain search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.express_lane import ROUNDS, VACANT, new_lane, recent_rounds, sell_round
from blockspace.markets.ledger import LEDGER, ether_wei, open_account, totals
from blockspace.network.block import BLOCK
from blockspace.network.compilation import kernel
from blockspace.network.settings import ExpressLaneSettings

GWEI = 10**9
BID = np.dtype([("account", "u4"), ("bid", "i8")], align=True)


@kernel
def sell(lanes, number, bidders, ledgers, blocks, ether_usd):
    sell_round(lanes[0], number, bidders, ledgers[0], blocks[0], ether_usd)


class Auction:
    """A lane, a ledger and bidders with 1 ether each."""

    def __init__(self, bids, reserve_usd=0.0, ether=1.0, seed=1):
        self.lanes = new_lane(ExpressLaneSettings(round_s=60, reserve_usd=reserve_usd), 3, seed)
        self.ledgers, self.blocks = np.zeros(1, LEDGER), np.zeros(1, BLOCK)
        self.producer = open_account(self.ledgers[0])
        self.blocks["producer_account"] = self.producer
        self.bidders = np.zeros(len(bids), BID)
        self.bidders["account"] = [open_account(self.ledgers[0], ether=ether) for _ in bids]
        self.bidders["bid"] = bids

    def close(self, number=1, ether_usd=2_000.0):
        """Number of the buyer and what it paid in gwei."""
        sell(self.lanes, number, self.bidders, self.ledgers, self.blocks, ether_usd)
        last = recent_rounds(self.lanes)[-1]
        buyer = int(self.lanes[0]["buyer"])
        assert last["holder"] == (self.bidders["account"][buyer] if buyer != VACANT else VACANT)
        assert last["price"] == self.blocks["lane_gwei"][0]
        assert not any(totals(self.ledgers[0]).values())
        return buyer, int(last["price"])


@pytest.mark.parametrize(
    ("bids", "reserve_usd", "buyer", "price"),
    [
        ([], 0, -1, 0),
        ([0, 0], 0, -1, 0),
        ([5, 9, 7], 0, 1, 7),
        ([9, 5, 7], 0, 0, 7),
        ([7, 5, 9], 0, 2, 7),
        ([9, 9, 7], 0, None, 9),
        ([5], 0, 0, 0),
        ([500_000, 400_000], 1.0, 0, 500_000),  # the reserve is 500,000 gwei
        ([499_999, 400_000], 1.0, -1, 0),
        ([600_000, 400_000], 1.0, 0, 500_000),
        ([600_000, 550_000], 1.0, 0, 550_000),
        ([GWEI + 1, 50, 40], 0, 1, 40),  # what an account cannot pay does not count, not even as the second price
        ([GWEI, 50, 40], 0, 0, 50),
    ],
)
def test_the_highest_bid_that_is_covered_wins_at_the_second_price(bids, reserve_usd, buyer, price):
    auction = Auction(bids, reserve_usd)
    found, paid = auction.close()
    assert buyer in (found, None)
    assert paid == price
    assert ether_wei(auction.ledgers[0], auction.producer) == paid * GWEI
    for number, account in enumerate(auction.bidders["account"]):
        assert ether_wei(auction.ledgers[0], int(account)) == (GWEI - (paid if number == found else 0)) * GWEI


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-5, 12), max_size=6), st.integers(0, 9), st.integers(1, 50))
def test_an_auction_equals_a_plain_one(bids, reserve, number):
    auction = Auction(bids, reserve_usd=reserve * 1e-6, ether=1e-8)  # a gwei is a micro-dollar; 10 gwei each
    buyer, paid = auction.close(number, ether_usd=1_000.0)
    valid = [bid for bid in bids if max(reserve, 1) <= bid <= 10]
    if not valid:
        assert (buyer, paid) == (VACANT, 0)
    else:
        assert bids[buyer] == max(valid)
        assert paid == max([reserve, *sorted(valid)[:-1]])
    assert recent_rounds(auction.lanes)["bids"].tolist() == [len(valid)]


def test_equal_bids_are_ordered_by_a_draw_for_each_round():
    auction = Auction([5, 5, 5, 3])
    winners = [auction.close(number)[0] for number in range(1, 400)]
    counts = np.bincount(winners, minlength=4)
    assert counts[3] == 0
    assert counts[:3].min() > 100
    assert winners == [Auction([5, 5, 5, 3]).close(number)[0] for number in range(1, 400)]


def test_the_last_auctions_are_remembered():
    auction = Auction([5, 3], ether=100.0)
    for number in range(1, ROUNDS + 11):
        auction.close(number)
    found = recent_rounds(auction.lanes)
    assert found["number"].tolist() == list(range(11, ROUNDS + 11))
    assert (found["start"] == found["number"] * 60 * GWEI).all()


def test_without_a_lane_there_are_no_rounds():
    lanes = new_lane(ExpressLaneSettings(), 3, 1)
    assert len(lanes) == len(recent_rounds(lanes)) == 0
