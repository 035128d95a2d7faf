"""Arbitrageurs: they watch the external price, take quotes that have become stale, and bid for their place in the
block.

How much of an opportunity to bid is learned: a race that was lost teaches to bid more, one that was won to try with
less. How often a try succeeds is learned too. It bounds the bid, because a lost race costs gas and tip all the same,
and whoever expects that to exceed the profit stays away.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import fee_worth, gas_cost_usd, lots_within, send_taking_order
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import SUCCEEDED

ARBITRAGEUR = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        ("bid_share", "f8"),  # share of the expected profit that is bid as a tip
        ("success", "f8"),  # expected share of tries that trade
        ("learning_rate", "f8"),
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),  # ns
        ("pending", "i8"),  # 1 while the fate of the last order is unknown
        ("sent_at", "i8"),  # ns: decision time of the last order
        ("landing", "i8"),  # number of the only block that may include it
        ("tries", "i8"),
        ("wins", "i8"),
    ],
    align=True,
)


class ArbitrageurSettings(Settings):
    """Traders who take quotes that lag behind the external price."""

    count: int = Field(4, ge=0, le=1_000, description="number of arbitrageurs")
    look_interval_s: float = Field(
        0.005, ge=0, le=60, description="seconds between two looks at the market, when blocks come faster than that"
    )
    learning_rate: float = Field(0.05, gt=0, le=1, description="step by which the outcome of a race moves bid and hope")
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")


def new_arbitrageurs(
    settings: ArbitrageurSettings, accounts: list[int], access: list[int], instruments: list[int]
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``ARBITRAGEUR`` each."""
    rows = np.zeros(len(accounts), ARBITRAGEUR)
    rows["account"] = accounts
    rows["access"] = access
    rows["instrument"] = instruments
    rows["bid_share"] = 0.1
    rows["success"] = 0.5
    rows["learning_rate"] = settings.learning_rate
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    return rows


@kernel
def learn(row, feed, view):
    """Find out what became of the last order, if its block is visible by now."""
    if view.number < row.landing:
        return
    row.pending = 0
    receipt = feed.receipts[row.account]
    rate = row.learning_rate
    if receipt.decided == row.sent_at and receipt.status == SUCCEEDED:
        row.wins += 1
        row.success += rate * (1.0 - row.success)
        row.bid_share -= rate * 0.25 * row.bid_share
    else:
        row.success -= rate * row.success
        row.bid_share += rate * (1.0 - row.bid_share)


@kernel
def bid_for(row, feed, view, gas, profit, price):
    """What to bid for a profit (dollars) that takes so much gas: the maximum fee and the tip, in wei per gas.

    The tip is -1 where the try is not worth its costs.
    """
    usual_tip = wallet_tip(feed, view)
    hoped = row.success * profit
    if hoped <= gas_cost_usd(feed, gas, view.base_fee + usual_tip, price):
        # Hope returns slowly to those who stay away.
        row.success += 0.1 * row.learning_rate * (1.0 - row.success)
        return np.int64(0), np.int64(-1)
    # A lost race costs the tip as well: nobody bids more than what the try is worth with the chance of losing.
    cost = gas_cost_usd(feed, gas, view.base_fee, price)
    tip = max(fee_worth(feed, gas, min(row.bid_share * (profit - cost), hoped - cost), price), usual_tip)
    return fee_worth(feed, gas, profit, price), tip


@kernel
def remember_try(row, decided, landing):
    """Remember what was sent when, and the number of the only block that may include it."""
    row.pending = 1
    row.sent_at = decided
    row.landing = landing
    row.tries += 1


@kernel
def _take_stale_quotes(row, feed, pool, block, outlook, view, side):
    """Send an order against one side of the book if it promises more than it costs; returns whether it did."""
    price = outlook.external_price
    terms = feed.terms[row.instrument]
    quotes = view.quotes[row.instrument]
    limit = price * (1.0 - side * terms.taker_fee) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    lots, cost = lots_within(quotes, side, limit_ticks)
    if lots == 0:
        return False
    paid = cost * terms.tick
    profit = (side * (lots * price - paid) - terms.taker_fee * paid) * terms.lot_size
    if profit <= 0.0:
        return False
    max_fee, tip = bid_for(row, feed, view, feed.gas.place, profit, price)
    if tip < 0:
        return False
    send_taking_order(
        pool,
        feed,
        row.account,
        row.access,
        row.instrument,
        side,
        lots,
        limit_ticks,
        outlook.decision,
        block.time,
        max_fee,
        tip,
    )
    remember_try(row, outlook.decision, block.number)
    return True


@kernel
def take_from_book(row, feed, pool, block, outlook, view):
    """Send an order against the side of the book that promises more than it costs, if there is one."""
    if not _take_stale_quotes(row, feed, pool, block, outlook, view, np.int64(BUY)):
        _take_stale_quotes(row, feed, pool, block, outlook, view, np.int64(SELL))


@kernel
def take_stale_quotes(rows, feeds, pools, blocks):
    """Let every arbitrageur look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            view = feed.views[outlook.newest & (VIEWS - 1)]
            if row.pending != 0:
                learn(row, feed, view)
            if row.pending == 0:
                take_from_book(row, feed, pools[0], block, outlook, view)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
