"""Arbitrageurs: they watch the external price, take quotes that have become stale, and bid for their place in the
block.

How much of an opportunity to bid is learned: a race that was lost teaches to bid more, one that was won to try with
less. How often a try succeeds is learned too. It bounds the bid, because a lost race costs gas and tip all the same,
and whoever expects that to exceed the profit stays away.

The rules by which blocks are made are public, and what to do about them is learned. Where the chain protects from
reverts, a lost race costs nothing: only the margin that a bid leaves is at stake, and it widens with each race that is
won and narrows with each that is lost; what a success really earns of the profit in sight is learned as well. Where
tips buy nothing, a place ahead of others can be had by sending an order several times. How much of a profit to spend on
copies is learned from what tries earned after gas: each sends somewhat more or fewer copies than usual, at random, and
the usual number moves towards what earned more than usual (simultaneous perturbation: Spall, 1992). Where orders wait
for an auction at one price there is no race at all: an order says at which price it breaks even, and what is learned is
the share of the profit in sight that is really earned.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import fee_worth, gas_cost_usd, lots_within, send_taking_order
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.settings import Settings

DISTURBANCE = 0.25
"""By how much, in logarithms, a try has more or fewer copies than usual."""

HOPE_RETURNS = 0.1
HOPE_RETURNS_SLOWLY = 0.002
"""How fast hope returns to those who stay away, in learning rates.

Fast where a higher bid may win the next race, slowly where nothing that is done differently changes the odds.
"""

SMALLEST_SHARE = 1e-3
"""Of an expected profit: the least that is spent on copies, and the narrowest margin that a bid leaves."""

# Draws of a try, by index (of one integer type: Numba would compile anew for each literal).
_TILT, _ROUNDING = np.arange(2)

ARBITRAGEUR = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        ("pool", "u4"),  # of a pool arbitrageur
        ("bid_share", "f8"),  # share of the expected profit that is bid as a tip
        ("success", "f8"),  # expected share of tries that trade; in batches, of the profit in sight that is earned
        ("realised", "f8"),  # expected share of the profit in sight that a success earns, under revert protection
        ("learning_rate", "f8"),
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),  # ns
        ("pending", "i8"),  # 1 while the fate of the last order is unknown
        ("sent_at", "i8"),  # ns: decision time of the last order
        ("landing", "i8"),  # number of the only block that may include it
        # Copies, where tips buy nothing.
        ("most_copies", "i8"),
        ("copies_share", "f8"),  # share of the expected profit that is spent on copies of the order
        ("usual_return", "f8"),  # moving average of what tries earned after gas, in expected profits
        ("usual_copies", "f8"),  # number around which that of the last try was drawn
        ("copies", "i8"),  # sent with the last try
        ("copies_sent", "i8"),
        ("stake", "f8"),  # dollars: expected profit of the last try
        ("price", "f8"),  # dollars: external price at the last try
        ("trades_seen", "i8"),  # trades of the log that were visible at the last try
        ("key", "u8"),
        ("tries", "i8"),
        ("wins", "i8"),
        ("forgone", "f8"),  # dollars after gas of what was in sight and not tried for want of hope
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
    most_copies: int = Field(
        32, ge=1, le=256, description="copies of one order that an arbitrageur may send where tips buy nothing"
    )
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")


def new_arbitrageurs(
    settings: ArbitrageurSettings,
    accounts: list[int],
    access: list[int],
    instruments: list[int],
    seed: int,
    stream: str = "arbitrageurs",
) -> npt.NDArray[Any]:
    """State of a population: one row of type ``ARBITRAGEUR`` each; ``stream`` names its random draws."""
    rows = np.zeros(len(accounts), ARBITRAGEUR)
    rows["account"] = accounts
    rows["access"] = access
    rows["instrument"] = instruments
    rows["bid_share"] = 0.1
    rows["success"] = 0.5
    rows["realised"] = 1.0
    rows["learning_rate"] = settings.learning_rate
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["most_copies"] = settings.most_copies
    rows["copies_share"] = 0.1
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"{stream}/{number}")
    return rows


@kernel
def dollars_earned(row, feed, log, view, price):
    """Dollars that the last try earned before gas: its trades, valued at an external price."""
    terms = feed.terms[row.instrument]
    earned = 0.0
    for number in range(max(row.trades_seen, log.count - TRADES), view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.instrument == row.instrument and (trade.taker == row.account or trade.maker == row.account):
            takes = trade.taker == row.account
            side = trade.side if takes else -trade.side
            if trade.pool > 0:
                gain = side * (price * trade.size * terms.lot_size - trade.notional * 1e-6)
            else:
                gain = side * (price - trade.price * terms.tick) * trade.size * terms.lot_size
            earned += gain - (trade.taker_fee if takes else trade.maker_fee) * 1e-6
    return earned


@kernel
def _learn_copies(row, feed, log, view, receipt):
    """Move the share that is spent on copies towards what earned more than usual, after gas."""
    returned = 0.0
    if receipt.decided == row.sent_at:
        paid = gas_cost_usd(feed, receipt.landed_gas, receipt.gas_price, row.price)
        returned = min(max((dollars_earned(row, feed, log, view, row.price) - paid) / row.stake, -1.0), 1.0)
    tilt = min(max(math.log(row.copies / row.usual_copies) / DISTURBANCE, -2.0), 2.0)
    row.copies_share *= math.exp(row.learning_rate * tilt * (returned - row.usual_return))
    row.copies_share = min(max(row.copies_share, SMALLEST_SHARE), 1.0)
    row.usual_return += row.learning_rate * (returned - row.usual_return)


@kernel
def learn(row, feed, log, view, price):
    """Find out what became of the last order, if its block is visible by now."""
    if view.settled < row.landing:
        return
    row.pending = 0
    receipt = feed.receipts[row.account]
    rate = row.learning_rate
    won = receipt.decided == row.sent_at and receipt.successes > 0
    if feed.rules.batching != 0:
        earned = dollars_earned(row, feed, log, view, price)
        row.wins += 1 if earned != 0.0 else 0
        row.success += rate * (min(max(earned / row.stake, 0.0), 1.0) - row.success)
        return
    if won:
        row.wins += 1
        row.success += rate * (1.0 - row.success)
    else:
        row.success -= rate * row.success
    if feed.rules.tips_buy_nothing != 0:
        _learn_copies(row, feed, log, view, receipt)
    elif feed.rules.revert_protection != 0:
        margin = (1.0 - row.bid_share) * (1.0 + 0.25 * rate if won else 1.0 - rate)
        row.bid_share = 1.0 - min(max(margin, SMALLEST_SHARE), 1.0)
        if won:
            earned = dollars_earned(row, feed, log, view, price)
            row.realised += rate * (min(max(earned / row.stake, 0.0), 1.0) - row.realised)
    elif won:
        row.bid_share -= rate * 0.25 * row.bid_share
    else:
        row.bid_share += rate * (1.0 - row.bid_share)


@kernel
def _number_of_copies(row, profit, cost):
    """How many copies to send of an order that may earn ``profit`` dollars and costs ``cost`` dollars of gas.

    No more than the profit could pay for if it were certain.
    """
    most = np.float64(row.most_copies)
    if cost > 0.0:
        most = max(min(most, profit / cost), 1.0)
    row.usual_copies = most
    if cost > 0.0:
        row.usual_copies = min(max(row.copies_share * profit / cost, 1.0), most)
    tilt = DISTURBANCE if draw_uniform(row.key, row.tries, _TILT) < 0.5 else -DISTURBANCE
    wanted = min(max(row.usual_copies * math.exp(tilt), 1.0), most)
    return np.int64(wanted + draw_uniform(row.key, row.tries, _ROUNDING))


@kernel
def bid_for(row, feed, view, gas, profit, price):
    """What to bid for a profit (dollars) that takes so much gas: the maximum fee and the tip, in wei per gas.

    The tip is -1 where the try is not worth its costs; otherwise ``row.copies`` is how many copies to send.
    """
    rules = feed.rules
    usual_tip = wallet_tip(feed, view)
    hoped = row.success * profit
    if rules.revert_protection != 0:
        hoped = row.realised * profit  # what does not succeed costs nothing
    cost = gas_cost_usd(feed, gas, view.base_fee + usual_tip, price)
    if hoped <= cost:
        auction = rules.tips_buy_nothing == 0 and rules.withdrawals_first == 0 and rules.batching == 0
        pace = HOPE_RETURNS if auction else HOPE_RETURNS_SLOWLY
        row.success += pace * row.learning_rate * (1.0 - row.success)
        row.realised += HOPE_RETURNS_SLOWLY * row.learning_rate * (1.0 - row.realised)
        row.forgone += max(profit - cost, 0.0)
        return np.int64(0), np.int64(-1)
    # A lost race costs the tip as well: nobody bids more than what the try is worth with the chance of losing.
    space = gas_cost_usd(feed, gas, view.base_fee, price)
    bid = row.bid_share * (row.realised * profit - space)
    tip = max(fee_worth(feed, gas, min(bid, hoped - space), price), usual_tip)
    row.copies = 1
    row.stake = profit
    row.price = price
    row.trades_seen = view.trades
    if rules.batching != 0:
        tip = usual_tip
    elif rules.tips_buy_nothing != 0:
        tip = usual_tip
        row.copies = _number_of_copies(row, profit, cost)
    return fee_worth(feed, gas, profit, price), tip


@kernel
def remember_try(row, decided, landing):
    """Remember what was sent when, and the number of the only block that may include it."""
    row.copies_sent += row.copies
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
    for copy in range(row.copies):
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
            copy,
        )
    remember_try(row, outlook.decision, block.number)
    return True


@kernel
def take_from_book(row, feed, pool, block, outlook, view):
    """Send an order against the side of the book that promises more than it costs, if there is one."""
    if not _take_stale_quotes(row, feed, pool, block, outlook, view, np.int64(BUY)):
        _take_stale_quotes(row, feed, pool, block, outlook, view, np.int64(SELL))


@kernel
def take_stale_quotes(rows, feeds, logs, pools, blocks):
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
                learn(row, feed, logs[0], view, outlook.external_price)
            if row.pending == 0:
                take_from_book(row, feed, pools[0], block, outlook, view)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
