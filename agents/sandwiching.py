"""What can be earned around a pending swap, in exact integers, on what is seen of its pool.

A *sandwich* trades ahead of a victim in the same direction, lets the victim push the price on, and trades back just as
many lots (Daian et al., 2019; Zhou et al., 2021). The front-run is the largest after which the victim's bound still
holds: what it gets falls with each lot that is traded ahead of it. A *back-run* follows the swap and takes the price
back towards the external one.
"""

from typing import NamedTuple

import numpy as np

from blockspace.markets.matching import MAXIMUM_SIZE
from blockspace.markets.pools.swaps import BASE
from blockspace.markets.pools.trial import sketch, try_arbitrage, try_swap
from blockspace.network.compilation import kernel
from blockspace.network.transaction import EXACT_IN


class Plan(NamedTuple):
    """What to send around a swap. A back-run has no front."""

    gain: float  # micro-dollars after the fee of the pool, before gas
    side: int  # of the transaction behind the swap; 0 where there is nothing to earn
    lots: int
    money: int  # micro-dollars that the back pays or receives
    front_money: int  # micro-dollars that the front pays or receives for as many lots
    crossings: int  # ticks that the back crosses
    front_crossings: int


@kernel
def _no_plan():
    zero = np.int64(0)
    return Plan(0.0, zero, zero, zero, zero, zero, zero)


@kernel
def _trade_lots(view, kind, drawn, side, lots):
    """Buy or sell a number of lots on a sketch."""
    return try_swap(view, kind, drawn, side, lots, side < 0)


@kernel
def try_victim(view, kind, drawn, swap):
    """Let a pending swap happen on a sketch; whether its bound holds, and the sketch afterwards."""
    exact_in = swap.style == EXACT_IN
    estimate, after = try_swap(view, kind, drawn, swap.side, swap.amount, exact_in)
    holds = estimate.amount_out >= swap.bound if exact_in else estimate.amount_in <= swap.bound
    return estimate.complete and holds, after


@kernel
def _survives(view, kind, start, swap, lots):
    """Whether a swap still happens when so many lots have been traded ahead of it in its direction."""
    front, after = _trade_lots(view, kind, start, swap.side, lots)
    if not front.complete:
        return False
    holds, _ = try_victim(view, kind, after, swap)
    return holds


@kernel
def largest_front(view, kind, start, swap):
    """The most lots that can be traded ahead of a swap so that it still happens; 0 if there are none."""
    low = np.int64(0)
    high = min(start.reserves[BASE], np.int64(MAXIMUM_SIZE)) + 1  # never survives: it would empty the pool
    if swap.side < 0:
        high = np.int64(MAXIMUM_SIZE) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _survives(view, kind, start, swap, middle):
            low = middle
        else:
            high = middle
    return low


@kernel
def plan_sandwich(view, kind, swap):
    """The sandwich with the largest front-run that the bound of a pending swap lets through.

    Parameters
    ----------
    view
        Record of what is seen of the pool.
    kind
        Kind of the pool.
    swap
        Record of type ``PENDING_SWAP``.
    """
    start = sketch(view)
    lots = largest_front(view, kind, start, swap)
    if lots == 0:
        return _no_plan()
    side = np.int64(swap.side)
    front, ahead = _trade_lots(view, kind, start, side, lots)
    _, between = try_victim(view, kind, ahead, swap)
    back, _ = _trade_lots(view, kind, between, -side, lots)
    if not back.complete:
        return _no_plan()
    if side > 0:
        paid, received = front.amount_in, back.amount_out
        front_money, money = paid, received
    else:
        paid, received = back.amount_in, front.amount_out
        front_money, money = received, paid
    return Plan(np.float64(received - paid), -side, lots, money, front_money, back.crossings, front.crossings)


@kernel
def plan_back_run(view, kind, swap, lot_price):
    """The swap that earns most behind a pending one, against an external price in micro-dollars per lot."""
    happens, after = try_victim(view, kind, sketch(view), swap)
    if not happens:
        return _no_plan()
    side, estimate = try_arbitrage(view, kind, after, lot_price)
    if side == 0:
        return _no_plan()
    if side > 0:
        lots, money = estimate.amount_out, estimate.amount_in
        gain = lots * lot_price - money
    else:
        lots, money = estimate.amount_in, estimate.amount_out
        gain = money - lots * lot_price
    return Plan(gain, side, lots, money, np.int64(0), estimate.crossings, np.int64(0))
