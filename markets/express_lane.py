"""The express lane: a fast way to the block producer for whoever bought it for a round (Timeboost, 2025).

Time is divided into rounds. Some seconds before each, an auction of sealed bids closes: the highest bid that its
account can pay and that is not below the reserve wins and pays the second highest, or the reserve (Vickrey, 1961). What
is paid goes to the producer of the block in which the auction closes. Amounts are whole gwei.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.ledger import WEI_PER_GWEI, can_pay_gas, transfer_ether
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_bits, stream_key
from blockspace.network.settings import ExpressLaneSettings

ROUNDS = 4096
"""Auctions that are remembered."""

VACANT = np.int64(-1)
"""Stands for the holder of a round that nobody has bought."""

ROUND = np.dtype(
    [
        ("number", "i8"),
        ("start", "i8"),  # ns
        ("holder", "i8"),  # account, or VACANT
        ("bids", "i8"),  # that counted
        ("highest", "i8"),  # gwei, of the bids that counted
        ("price", "i8"),  # gwei that the holder paid
        ("price_usd", "f8"),
    ],
    align=True,
)
"""An auction and what came of it."""

LANE = np.dtype(
    [
        ("round_length", "i8"),  # ns
        ("closes", "i8"),  # ns before the round
        ("reserve", "f8"),  # dollars
        ("access_points", "i8"),  # of the ordinary kind: the express twin of one has this much higher a number
        ("key", "u8"),  # of the draws among equal bids
        ("round", "i8"),  # number of the round that is on
        ("holder", "i8"),  # number of the bidder who holds it, or VACANT
        ("sold", "i8"),  # number of the last round whose auction has closed
        ("buyer", "i8"),  # number of the bidder who bought that one, or VACANT
        ("rounds", ROUND, (ROUNDS,)),
        ("count", "i8"),  # auctions so far; number n lies at n % ROUNDS
    ],
    align=True,
)


def new_lane(settings: ExpressLaneSettings, access_points: int, seed: int) -> npt.NDArray[Any]:
    """Make the express lane of a chain with so many access points: an array of one ``LANE``, or of none."""
    if settings.round_s == 0:
        return np.zeros(0, LANE)
    lanes = np.zeros(1, LANE)
    lane = lanes[0]
    lane["round_length"] = round(settings.round_s * 1e9)
    lane["closes"] = round(settings.closes_s * 1e9)
    lane["reserve"] = settings.reserve_usd
    lane["access_points"] = access_points
    lane["key"] = stream_key(seed, "express_lane/ties")
    lane["holder"] = lane["buyer"] = VACANT
    return lanes


@kernel
def sell_round(lane, number, bidders, ledger, block, ether_usd):
    """Close the auction of a round: find its buyer among ``bidders``, each with ``account`` and ``bid`` (gwei).

    Bids of 0, below the reserve or beyond what the account holds do not count; equal ones are ordered by a draw.
    """
    reserve = np.int64(math.ceil(min(lane.reserve / ether_usd * 1e9, 1e17)))
    auction = lane.rounds[lane.count % ROUNDS]
    lane.count += 1
    lane.sold = number
    lane.buyer = VACANT
    highest = np.int64(0)
    second = reserve
    luck = np.uint64(0)
    counted = 0
    for candidate in range(bidders.size):
        bidder = bidders[candidate]
        bid = bidder.bid
        if bid <= 0 or bid < reserve or not can_pay_gas(ledger, bidder.account, bid, WEI_PER_GWEI):
            continue
        counted += 1
        draw = draw_bits(lane.key, np.int64(bidder.account), number)
        if lane.buyer == VACANT or bid > highest or (bid == highest and draw > luck):
            if lane.buyer != VACANT:
                second = highest
            lane.buyer = candidate
            highest = bid
            luck = draw
        else:
            second = max(second, bid)
    auction.number = number
    auction.start = number * lane.round_length
    auction.holder = VACANT
    auction.bids = counted
    auction.highest = highest
    auction.price = 0
    auction.price_usd = 0.0
    if lane.buyer != VACANT:
        auction.holder = np.int64(bidders[lane.buyer].account)
        auction.price = second
        auction.price_usd = second * 1e-9 * ether_usd
        transfer_ether(ledger, bidders[lane.buyer].account, block.producer_account, second, np.int64(0))
        block.lane_gwei = second


def recent_rounds(lanes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Auctions of a lane in their order, of type ``ROUND``: the last ``ROUNDS`` of them at the most."""
    if not len(lanes):
        return np.zeros(0, ROUND)
    count = int(lanes[0]["count"])
    return np.asarray(lanes[0]["rounds"][np.arange(max(count - ROUNDS, 0), count) % ROUNDS])
