"""The trade log: every fill of a venue, in a ring of fixed size.

Trade number ``n`` lies at ``n & (TRADES - 1)`` and ``count`` grows for ever, so that a reader keeps one
number, the first trade that it has not seen, and the log never moves or grows.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel

TRADES = 65536  # a power of two

# Why a position changed hands. What ends in the settlement of its series is no trade and never on the log.
BY_ORDER, LIQUIDATION, DELEVERAGING, SETTLEMENT, UNDONE = range(5)
CAUSES = ("order", "liquidation", "deleveraging", "settlement", "undone")

# Sizes are in lots and prices in ticks; fees are in micro-dollars, negative for a rebate. Side +1: the taker
# bought. A swap is a trade with its pool's account as the maker, who earns what the taker pays as fee.
TRADE = np.dtype(
    [
        ("time", "i8"),
        ("block", "i8"),
        ("external_price", "f8"),
        ("maker_fee", "i8"),
        ("taker_fee", "i8"),
        ("price", "i4"),
        ("size", "i4"),
        ("maker", "u4"),
        ("taker", "u4"),
        ("maker_order", "u4"),
        ("instrument", "u1"),
        ("side", "i1"),
        ("pool", "u1"),  # number of the pool plus 1; 0 for the order book
        # An order, a liquidation, or deleveraging, where the debtor is the maker; or that an earlier trade is undone.
        ("cause", "u1"),
        # Micro-dollars of a swap without its fee, or of what else was no order, where the price is rounded; else 0.
        ("notional", "i8"),
    ],
    align=True,
)

# `time`, `block` and `external_price` are the context that is stamped on the trades to come.
TRADE_LOG = np.dtype(
    [
        ("trades", TRADE, (TRADES,)),
        ("count", "i8"),
        ("time", "i8"),
        ("block", "i8"),
        ("external_price", "f8"),
    ],
    align=True,
)


@kernel
def append_trade(log, instrument, side, price, size, maker, taker, maker_order, maker_fee, taker_fee):
    """Write a trade as number ``log.count``, stamped with the context of the log."""
    trade = log.trades[np.uint64(log.count) & np.uint64(TRADES - 1)]
    trade.time = log.time
    trade.block = log.block
    trade.external_price = log.external_price
    trade.maker_fee = maker_fee
    trade.taker_fee = taker_fee
    trade.price = price
    trade.size = size
    trade.maker = maker
    trade.taker = taker
    trade.maker_order = maker_order
    trade.instrument = instrument
    trade.side = side
    trade.pool = 0
    trade.cause = BY_ORDER
    trade.notional = 0
    log.count += 1


@kernel
def append_swap(log, instrument, pool, side, price, size, notional, maker, taker, fee):
    """Write a swap with a pool as a trade: its maker is the pool's account, and earns the fee (micro-dollars)."""
    trade = log.trades[np.uint64(log.count) & np.uint64(TRADES - 1)]
    append_trade(log, instrument, side, price, size, maker, taker, np.uint32(0), -fee, fee)
    trade.pool = pool + 1
    trade.notional = notional


@kernel
def append_closing(log, instrument, side, price, size, notional, debtor, other, cause):
    """Write the closing of a debtor's position as a trade with the account that takes it, without fees.

    ``price`` is rounded to ticks; ``notional`` is exact.
    """
    trade = log.trades[np.uint64(log.count) & np.uint64(TRADES - 1)]
    zero = np.int64(0)
    append_trade(log, instrument, side, price, size, debtor, other, np.uint32(0), zero, zero)
    trade.cause = cause
    trade.notional = notional


@kernel
def append_reversals(log, first, end, values):
    """Write the trades from number ``first`` to the one before ``end`` backwards: what they did is undone.

    A reversal has the other side, and the fees with the other sign; price and external price are those of the trade.
    ``values`` are micro-dollars per tick and lot, by instrument.

    Returns
    -------
    int
        Micro-dollars that had changed hands.
    """
    value = np.int64(0)
    for number in range(end - 1, first - 1, -1):
        trade = log.trades[np.uint64(number) & np.uint64(TRADES - 1)]
        notional = trade.notional
        if notional == 0:
            notional = np.int64(trade.price) * np.int64(trade.size) * values[trade.instrument]
        price, external_price = trade.price, trade.external_price
        reversal = log.trades[np.uint64(log.count) & np.uint64(TRADES - 1)]
        side, maker_fee, taker_fee = np.int64(-trade.side), -trade.maker_fee, -trade.taker_fee
        append_trade(
            log, trade.instrument, side, price, trade.size, trade.maker, trade.taker, np.uint32(0), maker_fee, taker_fee
        )
        reversal.external_price = external_price
        reversal.cause = UNDONE
        reversal.notional = notional
        value += notional
    return value


def trades_since(log: Any, number: int) -> npt.NDArray[Any]:
    """Copy the trades from ``number`` up to the newest.

    Parameters
    ----------
    log
        Record of dtype ``TRADE_LOG``, such as ``logs[0]``.
    number
        First trade wanted; trades are numbered from 0.

    Returns
    -------
    numpy.ndarray
        Trades ``number`` to ``count - 1`` in order, dtype ``TRADE``, shape ``(count - number,)``.

    Raises
    ------
    ValueError
        If ``number`` is not between 0 and ``count``, or its trade has been overwritten.
    """
    count = int(log["count"])
    oldest = max(0, count - TRADES)
    if not oldest <= number <= count:
        raise ValueError(
            f"number is {number}, but the log holds trades {oldest} to {count - 1}: "
            f"it may be {oldest} to {count}, where {count} gives none."
        )
    trades: npt.NDArray[Any] = log["trades"]
    return trades.take(np.arange(number, count) & (TRADES - 1))
