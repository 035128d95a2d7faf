"""Who bids for the express lane, and how they learn what a round with it is worth.

The bidders are the arbitrageurs of books and pools. Each remembers what it earned in a round with the lane and in one
without it, net of gas, and bids the difference: in an auction at the second price that is what a bid should be
(Vickrey, 1961). Who has never held the lane expects of it what was in sight and went to others: what its tries lost,
and what it did not try. A small disturbance of every bid, and a round now and then for which it does not bid, keep both
kinds of rounds coming: who always holds the lane would not know what it is worth.

The holder acts from the express twin of its access point, which is not delayed; nothing else changes for it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.agents.arbitrageurs import dollars_earned
from blockspace.agents.taker import gas_paid_usd
from blockspace.markets.express_lane import VACANT, sell_round
from blockspace.markets.feed import VIEWS, gas_price_usd
from blockspace.markets.price_path import price_at
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_normal, draw_uniform, stream_key

EXPLORATION = 0.1
"""Standard deviation of the disturbance of a bid, in what a round usually earns."""

STAYS_AWAY = 0.1
"""Share of the rounds for which a bidder does not bid, by a draw."""

# Draws of a bid, by entity (of one integer type: Numba would compile anew for each literal).
_DISTURBANCE, _ABSENCE = np.arange(2)

BIDDER = np.dtype(
    [
        ("account", "u4"),
        ("home", "u4"),  # access point without the lane
        ("profit", "f8"),  # dollars net of gas in this round so far
        ("missed", "f8"),  # dollars that were in sight in this round and went to others
        ("forgone_before", "f8"),  # what the arbitrageur had forgone when it was last looked at
        ("with_lane", "f8"),  # usual profit of a round with the lane, dollars
        ("without_lane", "f8"),
        ("usually_missed", "f8"),  # in a round without the lane, dollars
        ("rounds_with", "i8"),
        ("rounds_without", "i8"),
        ("bid", "i8"),  # gwei, for the last round that was auctioned
        ("key", "u8"),
    ],
    align=True,
)
"""What an arbitrageur remembers of the lane; arbitrageurs of books come first, then those of pools."""


def new_bidders(populations: list[npt.NDArray[Any]], seed: int) -> npt.NDArray[Any]:
    """Make a record of type ``BIDDER`` for every row of these populations of arbitrageurs."""
    rows = np.concatenate(populations)
    bidders = np.zeros(len(rows), BIDDER)
    bidders["account"] = rows["account"]
    bidders["home"] = rows["access"]
    bidders["key"] = [stream_key(seed, f"express_lane/bids/{number}") for number in range(len(rows))]
    return bidders


@kernel
def _look_back(bidder, row, feed, log):
    """Add what the last try earned to the round, if its fate is known by now, and what was in sight and went away."""
    bidder.missed += row.forgone - bidder.forgone_before
    bidder.forgone_before = row.forgone
    outlook = feed.outlooks[row.access]
    if row.pending == 0 or outlook.fresh == 0 or outlook.decision < row.next_look:
        return
    view = feed.views[outlook.newest & (VIEWS - 1)]
    if view.settled < row.landing:
        return
    earned = dollars_earned(row, feed, log, view, row.price)
    bidder.profit += earned
    bidder.missed += max(row.stake - max(earned, 0.0), 0.0)
    receipt = feed.receipts[row.account]
    if receipt.decided == row.sent_at:
        bidder.profit -= gas_paid_usd(feed, receipt.landed_gas, receipt.gas_price, row.price)


@kernel
def _learn_from_round(bidder, learning_rate, held):
    """Move the usual profits of rounds towards that of the round that is over."""
    if held:
        if bidder.rounds_with == 0:
            bidder.with_lane = bidder.without_lane + bidder.usually_missed
        bidder.rounds_with += 1
        rate = max(learning_rate, 1.0 / (bidder.rounds_with + 1.0))
        bidder.with_lane += rate * (bidder.profit - bidder.with_lane)
    else:
        bidder.rounds_without += 1
        rate = max(learning_rate, 1.0 / bidder.rounds_without)
        bidder.without_lane += rate * (bidder.profit - bidder.without_lane)
        bidder.usually_missed += rate * (bidder.missed - bidder.usually_missed)
    bidder.profit = 0.0
    bidder.missed = 0.0


@kernel
def _bid(bidder, row, feed, number):
    """Decide what to bid for a round, in gwei; nothing before the first look at the market, and now and then."""
    bidder.bid = 0
    price = feed.outlooks[row.access].external_price
    if price == 0.0 or draw_uniform(bidder.key, _ABSENCE, number) < STAYS_AWAY:
        return
    with_lane = bidder.with_lane
    if bidder.rounds_with == 0:
        with_lane = bidder.without_lane + bidder.usually_missed
    usual = 0.5 * (abs(with_lane) + abs(bidder.without_lane))
    disturbance = EXPLORATION * usual * draw_normal(bidder.key, _DISTURBANCE, number)
    worth = with_lane - bidder.without_lane + disturbance
    bidder.bid = np.int64(min(max(worth / gas_price_usd(feed, price) * 1e9, 0.0), 1e17))


@kernel
def _change_holder(lane, number, first, bidders, rows):
    """Let one population of arbitrageurs, from bidder ``first`` on, learn from the last round and begin a new one."""
    buyer = lane.buyer if lane.sold == number else VACANT
    for place in range(rows.size):
        bidder = bidders[first + place]
        _learn_from_round(bidder, rows[place].learning_rate, lane.holder == first + place)
        rows[place].access = bidder.home
        if buyer == first + place:
            rows[place].access += lane.access_points


@kernel
def auction_lane(lanes, bidders, book_rows, pool_rows, feeds, venues, logs, paths, blocks):
    """Close the auction of a round and begin a round, if the coming block is the first to be late enough for it.

    ``book_rows`` and ``pool_rows`` are the arbitrageurs of books and of pools, with ``bidders`` in the same order.
    """
    lane = lanes[0]
    feed = feeds[0]
    block = blocks[0]
    block.lane_gwei = 0
    books = book_rows.size
    auctioned = (block.time + lane.closes) // lane.round_length
    if auctioned > lane.sold:
        for place in range(books):
            _bid(bidders[place], book_rows[place], feed, auctioned)
        for place in range(pool_rows.size):
            _bid(bidders[books + place], pool_rows[place], feed, auctioned)
        ether_usd = gas_price_usd(feed, price_at(paths[0], block.time))
        sell_round(lane, auctioned, bidders, venues[0].ledger, block, ether_usd)
    number = block.time // lane.round_length
    if number > lane.round:
        _change_holder(lane, number, np.int64(0), bidders, book_rows)
        _change_holder(lane, number, np.int64(books), bidders, pool_rows)
        lane.holder = lane.buyer if lane.sold == number else VACANT
        lane.round = number
    for place in range(books):
        _look_back(bidders[place], book_rows[place], feed, logs[0])
    for place in range(pool_rows.size):
        _look_back(bidders[books + place], pool_rows[place], feed, logs[0])
    closing = (lane.sold + 1) * lane.round_length - lane.closes
    feed.next_due = min(feed.next_due, closing, (lane.round + 1) * lane.round_length)
