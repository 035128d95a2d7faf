"""The fingerprint of a run: a hash that every trade and every fee is mixed into."""

import numpy as np

from blockspace.network.compilation import kernel


@kernel
def stamp(meter, value):
    """Mix a number into the fingerprint of the run."""
    low = (meter.print_low ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    low ^= low >> np.uint64(29)
    meter.print_low = low
    high = (meter.print_high + low) * np.uint64(0xBF58476D1CE4E5B9)
    meter.print_high = high ^ (high >> np.uint64(32))


@kernel
def stamp_trade(meter, trade):
    """Mix a trade into the fingerprint."""
    stamp(meter, trade.time)
    stamp(meter, np.int64(trade.price) * 1_000_003 + np.int64(trade.size))
    stamp(meter, np.int64(trade.maker) * 65_537 + np.int64(trade.taker) * 2 + (trade.side > 0))
    stamp(meter, trade.maker_fee + trade.taker_fee)
