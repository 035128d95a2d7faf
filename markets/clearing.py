"""Clearing: what has been traded and not yet been settled.

A venue may settle trades at once, or let them wait and settle many together: by the clock or once enough of them wait,
as clearing houses do, and exchanges that match off the chain and settle on it. Until then a trade is a *claim*: lots
that the buyer is owed and money that it owes, the reverse for the seller, and what both owe to the venue. Claims are
kept by account and instrument, each column of them sums to zero, and nothing on the ledger moves. The trades that wait
are those on the log from number ``cleared`` on; swaps and what liquidations move settle at once.

Margin trusts claims only as far as they are to the venue's good. Lots that are owed count like orders that may still
come, so that a position needs margin for the larger of what it is and what it will be; what claims have lost at the
marks counts against an account, and what they have gained does not count.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.ledger import ACCOUNTS, INSTRUMENTS, VENUE_FEES
from blockspace.markets.trade_log import BY_ORDER, TRADES, trades_since
from blockspace.network.compilation import kernel

IMMEDIATE, TIMER, COUNT = range(3)
SETTLEMENTS = ("immediate", "timer", "count")

MOST_WAITING = TRADES // 2
"""Trades that may wait at once: the log must remember all of them."""

CLEARING_TOTALS = np.dtype(
    [
        ("settlements", "i8"),
        ("trades", "i8"),
        ("parties", "i8"),  # accounts that settlements changed, one after the other
        ("at_expiry", "i8"),  # trades that an expiry settled, beside those
        # In micro-dollars:
        ("gross", "i8"),  # value of the trades, buyers' and sellers' sides
        ("net", "i8"),  # what was left of it account by account
        ("fees", "i8"),  # paid to the operator
        ("insured", "i8"),  # by the insurance fund, for who could not pay at a settlement
        ("socialised", "i8"),  # by others, for them
        ("failed", "i8"),  # parties who were left with less than nothing
    ],
    align=True,
)
"""What settlements have come to."""

CLEARING = np.dtype(
    [
        ("mode", "u1"),
        ("operator", "u4"),  # account that may settle
        ("share_ppm", "i8"),  # of the venue's fees on a trade, to the operator once it is settled
        ("cleared", "i8"),  # number of the first trade on the log that may still wait
        ("waiting", "i8"),  # trades
        ("oldest", "i8"),  # ns: when the first of them was made; 0 if none waits
        ("outstanding", "i8"),  # micro-dollars: value of these
        ("cash", "i8", (ACCOUNTS,)),  # micro-dollars that an account is owed; that it owes, if negative
        ("lots", "i8", (ACCOUNTS, INSTRUMENTS)),
        ("round", "i8"),  # number of the count of parties under way
        ("seen", "i8", (ACCOUNTS,)),  # the last such count in which an account was met
        ("parties", "u4", (ACCOUNTS,)),  # accounts met in it
        ("net", "i8", (ACCOUNTS,)),  # micro-dollars that each of these has bought for, less what it has sold for
        ("totals", CLEARING_TOTALS),
    ],
    align=True,
)


@kernel
def waits(trade):
    """Whether a trade on the log is one that waits for settlement: not a swap, nor what a liquidation moved."""
    return trade.cause == BY_ORDER and trade.pool == 0


@kernel
def add_claims(clearing, trade, notional, sign):
    """Add what the parties of a trade owe each other to their claims, or take it away again (``sign`` -1)."""
    maker, taker = np.int64(trade.maker), np.int64(trade.taker)
    buyer, seller = (taker, maker) if trade.side > 0 else (maker, taker)
    clearing.cash[buyer] -= sign * notional
    clearing.cash[seller] += sign * notional
    clearing.lots[buyer, trade.instrument] += sign * np.int64(trade.size)
    clearing.lots[seller, trade.instrument] -= sign * np.int64(trade.size)
    clearing.cash[maker] -= sign * trade.maker_fee
    clearing.cash[taker] -= sign * trade.taker_fee
    clearing.cash[VENUE_FEES] += sign * (trade.maker_fee + trade.taker_fee)
    clearing.outstanding += sign * notional
    clearing.waiting += sign


@kernel
def claim(venue, log, number, first):
    """Let the trades of an instrument from number ``first`` on wait.

    Raises
    ------
    RuntimeError
        If more trades wait than the log remembers.
    """
    clearing = venue.clearing
    if log.count - clearing.cleared > MOST_WAITING:
        raise RuntimeError("more trades wait for settlement than are remembered: let them be settled more often")
    for n in range(first, log.count):
        trade = log.trades[n & (TRADES - 1)]
        notional = np.int64(trade.price) * np.int64(trade.size) * venue.instruments[number].tick_lot_value
        if clearing.waiting == 0:
            clearing.oldest = trade.time
        add_claims(clearing, trade, notional, np.int64(1))


@kernel
def meet(counted, account):
    """Note that an account is among the parties of the count under way; returns 1 if it was not yet, else 0."""
    if counted.seen[account] == counted.round:
        return 0
    counted.seen[account] = counted.round
    return 1


@kernel
def count_parties(counted, log, first, until, most):
    """Count the accounts that settling the trades from ``first`` up to ``until`` changes.

    Parameters
    ----------
    counted
        Record with the fields ``round`` and ``seen`` of a ``CLEARING``.
    log
        Record of type ``TRADE_LOG``.
    first, until
        Numbers of trades.
    most
        Accounts at which to stop.

    Returns
    -------
    (int, int)
        Accounts, and the number of the first trade that they leave out; ``until`` if that is none.
    """
    counted.round += 1
    parties = 0
    for n in range(first, until):
        trade = log.trades[n & (TRADES - 1)]
        if waits(trade):
            new = 0 if counted.seen[trade.maker] == counted.round else 1
            if trade.taker != trade.maker and counted.seen[trade.taker] != counted.round:
                new += 1
            if parties + new > most:
                return parties, n
            meet(counted, trade.maker)
            meet(counted, trade.taker)
            parties += new
    return parties, until


@kernel
def unsettled_lots(venue, number, account):
    """Lots of an instrument that an account has bought, and that it has sold, on balance and without settlement."""
    if venue.clearing.mode == IMMEDIATE:
        return np.int64(0), np.int64(0)
    lots = venue.clearing.lots[account, number]
    return max(lots, np.int64(0)), max(-lots, np.int64(0))


def with_claims(venue: Any, count: int) -> npt.NDArray[Any]:
    """Copy of the first ``count`` accounts of the ledger, of type ``ACCOUNT``, as they will be once all is settled."""
    accounts: npt.NDArray[Any] = venue["ledger"]["accounts"][:count].copy()
    accounts["cash"] += venue["clearing"]["cash"][:count]
    accounts["position"] += venue["clearing"]["lots"][:count]
    return accounts


def check_claims(venue: Any, log: Any) -> str:
    """Say what is wrong with the claims; nothing if they are what the trades that wait add up to, and sum to zero.

    Parameters
    ----------
    venue, log
        Records of type ``VENUE`` and ``TRADE_LOG``.
    """
    clearing = venue["clearing"]
    cash = np.zeros(ACCOUNTS, np.int64)
    lots = np.zeros((ACCOUNTS, INSTRUMENTS), np.int64)
    trades: npt.NDArray[Any] = np.zeros(0, log["trades"].dtype)
    if clearing["mode"] != IMMEDIATE:
        trades = trades_since(log, int(clearing["cleared"]))
    trades = trades[(trades["cause"] == BY_ORDER) & (trades["pool"] == 0)]
    notional = trades["price"].astype(np.int64) * trades["size"]
    notional *= venue["instruments"]["tick_lot_value"][trades["instrument"]]
    side, size = trades["side"].astype(np.int64), trades["size"].astype(np.int64)
    for who, sign in (("taker", 1), ("maker", -1)):
        np.add.at(cash, trades[who], -sign * side * notional - trades[f"{who}_fee"])
        np.add.at(lots, (trades[who], trades["instrument"]), sign * side * size)
    cash[VENUE_FEES] += int((trades["maker_fee"] + trades["taker_fee"]).sum())
    wrong = {
        "cash": int(np.abs(cash - clearing["cash"]).sum()),
        "lots": int(np.abs(lots - clearing["lots"]).sum()),
        "trades": len(trades) - int(clearing["waiting"]),
        "value": int(notional.sum()) - int(clearing["outstanding"]),
        "sum of cash": int(clearing["cash"].sum()),
        "sums of lots": int(np.abs(clearing["lots"].sum(axis=0)).sum()),
    }
    found = {name: amount for name, amount in wrong.items() if amount}
    return f"claims differ from the trades that wait by {found}" if found else ""
