"""Liquidators: they take over positions that have too little behind them, for the bonus, and unwind them.

A liquidator looks for accounts below maintenance in the newest view that it has, and works out what each would earn:
the bonus as the public terms say, less gas, less what unwinding the position costs on the visible book. It goes for the
best ones. Where tips buy a place in the block it bids a share of what it expects to earn, which grows when others
were faster and shrinks when it won; how often a try succeeds is learned too, and bounds the bid, because a liquidation
that comes too late fails and costs its gas. Who cannot hope to earn the gas stays away: small accounts are left alone
when space is dear, and their losses grow.

What it took over it sells or buys back at once, as far as the book has room within a tolerance of the
external price; for an option the tolerance, a share of the external price too, is from its mark. Who looks after a
perpetual looks after the options on it as well, one instrument at a time. Options that find no book are kept, unhedged.

A venue may have a *backstop*: a liquidator that also acts for accounts with less than nothing, whatever that earns, and
pays the gas out of its own pocket, so that the insurance fund and deleveraging do their part.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, tip_worth
from blockspace.agents.unwinding import (
    IDLE,
    LIQUIDATING,
    holds_something,
    in_perpetuals,
    is_mine,
    room_in,
    take_stock,
    unwind,
    worst_price,
)
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.ledger import INSTRUMENTS
from blockspace.markets.matching import BUY, SELL
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import LIQUIDATE

HOPE_RETURNS = 0.1
"""How fast hope returns to those who stay away, in learning rates."""

LIQUIDATOR = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        ("backstop", "u1"),
        ("status", "u1"),
        ("bid_share", "f8"),  # share of what a liquidation is expected to earn that is bid as a tip
        ("success", "f8"),  # expected share of tries that succeed
        ("learning_rate", "f8"),
        ("tolerance", "f8"),  # distance from the external price within which it unwinds, as a fraction
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),
        ("patience", "i8"),  # ns
        ("sent_at", "i8"),  # ns: decision time of the last transactions
        ("expires", "i8"),  # ns
        ("asked", "i8"),  # transactions
        ("cash", "i8"),  # micro-dollars that it owned when it last looked
        ("lots", "i8"),
        ("stock_taken", "i8"),  # number of the block after which that was
        ("first", "i8"),  # number of the first option on the perpetual
        ("count", "i8"),  # of those options
        ("held", "i8", (INSTRUMENTS,)),  # lots of them, from the first one on
        ("series", "i8", (INSTRUMENTS,)),  # that they are of
        ("tries", "i8"),
        ("wins", "i8"),
    ],
    align=True,
)


class LiquidatorSettings(Settings):
    """Who takes over positions below maintenance."""

    count: int = Field(0, ge=0, le=1_000, description="number of liquidators, spread evenly over the perpetuals")
    capital_usd: float = Field(5_000_000.0, ge=0, le=1e11, description="dollars that each has to take positions over")
    look_interval_s: float = Field(
        0.05, ge=0, le=60, description="seconds between two looks at the market, when blocks come faster than that"
    )
    learning_rate: float = Field(0.05, gt=0, le=1, description="step by which the outcome of a try moves bid and hope")
    tolerance_bps: float = Field(
        25.0, ge=0, lt=10_000, description="distance from the external price within which they unwind, basis points"
    )
    patience_s: float = Field(
        60.0,
        ge=0,
        le=1e6,
        description="seconds for which a transaction is left to wait where tips buy nothing; elsewhere they bid anew "
        "for every block",
    )
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")
    backstop: bool = Field(
        True, description="whether the first one of each perpetual acts for insolvent accounts at its own cost"
    )


def new_liquidators(
    settings: LiquidatorSettings,
    accounts: list[int],
    access: list[int],
    instruments: list[int],
    cash: list[int],
    underlying: int = -1,
    first: int = 0,
    count: int = 0,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``LIQUIDATOR`` each.

    ``cash`` is in micro-dollars; ``count`` options on the perpetual ``underlying`` lie from place ``first`` on.
    """
    rows = np.zeros(len(accounts), LIQUIDATOR)
    rows["account"], rows["access"], rows["instrument"], rows["cash"] = accounts, access, instruments, cash
    if settings.backstop:
        rows["backstop"][np.unique(rows["instrument"], return_index=True)[1]] = 1
    of_options = rows["instrument"] == underlying
    rows["first"][of_options], rows["count"][of_options] = first, count
    rows["bid_share"] = 0.1
    rows["success"] = 0.5
    rows["learning_rate"] = settings.learning_rate
    rows["tolerance"] = settings.tolerance_bps * 1e-4
    rows["patience"] = int(settings.patience_s * 1e9)
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    return rows


@kernel
def _learn(row, feed, view):
    """Find out what became of the last transactions, as far as that can be seen by now."""
    receipt = feed.receipts[row.account]
    landed = receipt.decided == row.sent_at and receipt.block <= view.settled and receipt.landed >= row.asked
    if not landed and view.time < row.expires:
        return
    if row.status == LIQUIDATING:
        won = 0.0
        if receipt.decided == row.sent_at:
            won = np.float64(receipt.successes) / row.asked
            row.wins += receipt.successes
        rate = row.learning_rate
        row.success += rate * (won - row.success)
        row.bid_share += rate * ((1.0 - won) * (1.0 - row.bid_share) - 0.25 * won * row.bid_share)
    row.status = IDLE


@kernel
def _lots_to_take(feed, due, room):
    """Lots of a position that one liquidation may take, and for which there is room."""
    lots = abs(due.lots)
    if 2 * due.equity >= due.maintenance:
        lots = np.int64(math.ceil(lots * feed.liquidation_terms.partial))
    return min(lots, room)


@kernel
def _earnings(row, feed, view, due, lots, price):
    """Dollars that taking over ``lots`` is expected to earn before gas; negative where deleveraging would follow.

    What the visible book cannot take of them is valued at the worst price at which it would be unwound.
    """
    number = np.int64(due.instrument)
    terms = feed.terms[number]
    quotes = view.quotes[number]
    mark = quotes.mark * 1e-6
    bonus = feed.liquidation_terms.bonus * lots * mark
    equity = due.equity * 1e-6
    if equity >= 0.0:
        bonus = min(bonus, equity)
    elif view.insurance * 1e-6 < bonus - equity:
        return -1.0
    side = np.int64(SELL if due.lots > 0 else BUY)
    filled, average = average_price(quotes, side, lots)
    worst = worst_price(row, feed, view, number, side, price) * terms.lot_size
    cost = side * (filled * (average * terms.tick * terms.lot_size - mark) + (lots - filled) * (worst - mark))
    return bonus - cost - terms.taker_fee * lots * mark


@kernel
def _bid(row, feed, view, earned, price):
    """Maximum fee and tip for a liquidation, in wei per gas; the tip is -1 where it is not worth its gas."""
    rules = feed.rules
    gas = np.int64(feed.gas.liquidate)
    usual_tip = wallet_tip(feed, view)
    profit = earned - gas_cost_usd(feed, np.int64(feed.gas.place), view.base_fee + usual_tip, price)
    hoped = profit if rules.revert_protection != 0 else row.success * profit
    if hoped <= gas_cost_usd(feed, gas, view.base_fee + usual_tip, price):
        row.success += HOPE_RETURNS * row.learning_rate * (1.0 - row.success)
        return np.int64(0), np.int64(-1)
    tip = usual_tip
    if rules.tips_buy_nothing == 0:
        space = gas_cost_usd(feed, gas, view.base_fee, price)
        tip = max(tip_worth(feed, gas, min(row.bid_share * (profit - space), hoped - space), price), usual_tip)
    return fee_worth(feed, gas, profit, price), tip


@kernel
def _send_liquidation(row, feed, pool, due, lots, max_fee, tip):
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = LIQUIDATE
    transaction.sender = row.account
    transaction.access = row.access
    transaction.instrument = due.instrument
    transaction.order = due.account
    transaction.size = min(lots, np.int64(2**31 - 1))
    transaction.gas = np.uint32(feed.gas.liquidate)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = row.sent_at
    transaction.expires = row.expires
    transaction.max_fee = max_fee
    transaction.tip = min(tip, max_fee)
    mempool.submit(pool, slot)
    row.status = LIQUIDATING
    row.asked += 1
    row.tries += 1


@kernel
def _best_of(row, feed, view, entries, chosen, about, needed, room, price):
    """Place of the account that promises most and is not chosen yet, the lots to take, and what they earn.

    Only positions in the instrument ``about`` count, unless it is -1.
    """
    best, best_lots, most = np.int64(-1), np.int64(0), 0.0
    for place in range(view.due):
        due = entries[place]
        number = np.int64(due.instrument)
        if (chosen >> np.uint64(place)) & np.uint64(1) != 0 or not is_mine(row, number):
            continue
        if about >= 0 and number != about:
            continue
        lots = _lots_to_take(feed, due, room_in(row, feed, number, needed, room, price))
        if lots > 0 and due.account != row.account:
            earned = _earnings(row, feed, view, due, lots, price)
            if earned > most:
                best, best_lots, most = np.int64(place), lots, earned
    return best, best_lots, most


@kernel
def _pursue(row, feed, pool, outlook, view):
    """Ask for the liquidations that promise most, and as the backstop for those of insolvent accounts first."""
    entries = feed.due[outlook.newest & (VIEWS - 1)]
    mark = view.quotes[row.instrument].mark
    needed = feed.terms[row.instrument].initial_margin * mark
    room = np.int64(max((row.cash + row.lots * mark) / needed, 0.0)) - abs(row.lots)
    chosen, about = np.uint64(0), np.int64(-1)
    row.asked = 0
    price = outlook.external_price
    if row.backstop != 0:
        tip = wallet_tip(feed, view)
        for place in range(view.due):
            due = entries[place]
            number = np.int64(due.instrument)
            if due.equity < 0 and is_mine(row, number) and (about < 0 or number == about):
                about = number
                lots = min(abs(due.lots), max(room_in(row, feed, number, needed, room, price), 1))
                room -= in_perpetuals(row, feed, number, needed, lots, price)
                chosen |= np.uint64(1) << np.uint64(place)
                max_fee = 4 * (view.base_fee + tip)
                _send_liquidation(row, feed, pool, due, lots, max_fee, tip)
    while row.asked < view.due:
        place, lots, earned = _best_of(row, feed, view, entries, chosen, about, needed, room, price)
        if place < 0:
            break
        max_fee, tip = _bid(row, feed, view, earned, price)
        if tip < 0:
            break
        about = np.int64(entries[place].instrument)
        room -= in_perpetuals(row, feed, about, needed, lots, price)
        chosen |= np.uint64(1) << np.uint64(place)
        _send_liquidation(row, feed, pool, entries[place], lots, max_fee, tip)


@kernel
def liquidate(rows, feeds, pools, blocks):
    """Let every liquidator look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh == 0 or outlook.decision < row.next_look:
            continue
        row.next_look = outlook.decision + row.look_interval
        view = feed.views[outlook.newest & (VIEWS - 1)]
        if row.status != IDLE:
            _learn(row, feed, view)
        receipt = feed.receipts[row.account]
        if row.status != IDLE or receipt.stated > view.settled:
            continue
        if receipt.stated > 0:
            take_stock(row, receipt, view)
        if view.due == 0 and not holds_something(row):
            continue
        row.sent_at = outlook.decision
        row.expires = block.time + (row.patience if feed.rules.tips_buy_nothing != 0 else 0)
        if not unwind(row, feed, pools[0], outlook, view):
            _pursue(row, feed, pools[0], outlook, view)
