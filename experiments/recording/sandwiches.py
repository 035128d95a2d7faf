"""Sandwiches on the tape: two opposite swaps of one searcher with somebody else's between them, in a pool and a block.

The one between goes the way of the first. What its sender loses is taken to be what the searcher gains with the two,
after the fee of the pool and before gas. The true loss is larger by what the pool earns of the two in fees; to know it
would take a second history in which the searcher had stayed away.
"""

import numpy as np

from blockspace.experiments.recording.rows import sandwiches
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel


@kernel
def has_sandwicher(meter, log, first_trade):
    """Whether somebody who looks for swaps to sandwich is behind a trade of the block."""
    for number in range(first_trade, log.count):
        if sandwiches(meter.roles[log.trades[number & (TRADES - 1)].taker]):
            return True
    return False


@kernel
def _is_victim_between(log, front, back):
    """Whether somebody else swapped between two trades, in the pool and the direction of the first one."""
    first = log.trades[front & (TRADES - 1)]
    for number in range(front + 1, back):
        trade = log.trades[number & (TRADES - 1)]
        if trade.pool == first.pool and trade.taker != first.taker and trade.side == first.side:
            return True
    return False


@kernel
def is_of_sandwich(meter, log, number, first_trade):
    """Whether a trade is the front or the back of a sandwich."""
    trade = log.trades[number & (TRADES - 1)]
    if trade.pool == 0 or not sandwiches(meter.roles[trade.taker]):
        return False
    for other in range(first_trade, log.count):
        pair = log.trades[other & (TRADES - 1)]
        if pair.pool != trade.pool or pair.taker != trade.taker or pair.side == trade.side:
            continue
        if _is_victim_between(log, np.int64(min(number, other)), np.int64(max(number, other))):
            return True
    return False


@kernel
def is_sandwiched(meter, log, number, first_trade):
    """Whether a swap lies between the front and the back of somebody else's sandwich, whose front went its way."""
    trade = log.trades[number & (TRADES - 1)]
    if trade.pool == 0:
        return False
    for front in range(first_trade, number):
        first = log.trades[front & (TRADES - 1)]
        ahead = first.pool == trade.pool and first.taker != trade.taker and first.side == trade.side
        if not ahead or not sandwiches(meter.roles[first.taker]):
            continue
        for back in range(number + 1, log.count):
            last = log.trades[back & (TRADES - 1)]
            if last.pool == trade.pool and last.taker == first.taker and last.side != first.side:
                return True
    return False
