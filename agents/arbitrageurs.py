"""Arbitrageurs: they watch the external price, take quotes that have become stale, and bid for their place in the
block.

The rules by which blocks are made are public, and what to do about them is learned. Where tips buy a place, an
arbitrageur learns from the races in the chain what the best rival bids, as a share of the profit in sight, and answers
with the bid that it expects to earn most, or stays out (:mod:`blockspace.agents.beliefs`): a lost race costs gas and
tip all the same, unless the chain protects from reverts. It learns as well how often a race could be won at all, since
quotes may be withdrawn before anybody takes them, and how much of the profit in sight a success really earns.

Where tips buy nothing, a place ahead of others can be had by sending an order several times. How much of a profit to
spend on copies is learned from what tries earned after gas: each sends somewhat more or fewer copies than usual, at
random, and the usual number moves towards what earned more than usual (simultaneous perturbation: Spall, 1992). Where
orders wait for an auction at one price there is no race at all: an order says at which price it breaks even, and what
is learned is the share of the profit in sight that is really earned.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.beliefs import BELIEF, choose_bid, learn_race, start_beliefs
from blockspace.agents.taker import fee_worth, gas_cost_usd, gas_paid_usd, lots_within, send_taking_order, tip_worth
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.races import NOBODY, race_of_book
from blockspace.markets.trade_log import TRADES, UNDONE
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.settings import Settings

DISTURBANCE = 0.25
"""By how much, in logarithms, a try has more or fewer copies than usual."""

HOPE_RETURNS = 0.002
"""How fast hope returns where nobody tries, in learning rates."""

CLASSES = 4
"""Classes of races by how often their profit would pay for their gas: up to 8 times, 64, 512, and more.

Rivals stay out of a race that hardly pays for its gas more often than out of one that does many times: what they bid is
learned of each class on its own. A class of which no race has been seen yet is believed to be like those that have.
"""

SMALLEST_SHARE = 1e-3
"""Of an expected profit: the least that is spent on copies."""

# Draws of a try or a race, by index (of one integer type: Numba would compile anew for each literal).
_TILT, _ROUNDING, _CHOICE, _PLACE = np.arange(4)

ARBITRAGEUR = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        ("pool", "u4"),  # of a pool arbitrageur
        # Expected share of tries that trade: where tips buy a place, of those that come first; where they buy nothing,
        # of one's own. In batches, of the profit in sight that is earned.
        ("success", "f8"),
        ("learning_rate", "f8"),
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),  # ns
        ("pending", "i8"),  # 1 while the outcome of the last race is unknown
        ("sent_at", "i8"),  # ns: decision time of the last order; -1 if the last race is watched from outside
        ("landing", "i8"),  # number of the only block that may include it
        # Races, where tips buy a place.
        ("beliefs", BELIEF, (CLASSES,)),
        ("class_races", "i8", (CLASSES,)),  # that have taught each of them
        ("realised", "f8"),  # expected share of the profit in sight that a success earns
        ("race", "i8"),  # number of the last one
        ("race_class", "i8"),
        ("race_view", "i8"),  # number of the view that will show it
        ("races", "i8"),  # that a bid was considered for
        ("usual_tip", "i8"),  # wei per gas, at the last race
        ("gas", "i8"),  # that its transaction would use
        ("room", "f8"),  # dollars that there were to bid
        # Copies, where tips buy nothing.
        ("most_copies", "i8"),
        ("copies_share", "f8"),  # share of the expected profit that is spent on copies of the order
        ("usual_return", "f8"),  # moving average of what tries earned after gas, in expected profits
        ("usual_copies", "f8"),  # number around which that of the last try was drawn
        ("copies", "i8"),  # sent with the last try
        ("copies_sent", "i8"),
        ("stake", "f8"),  # dollars: profit in sight at the last try or race
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
    learning_rate: float = Field(0.05, gt=0, le=1, description="step by which the outcome of a race moves beliefs")
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
    start_beliefs(rows["beliefs"])
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
        own = trade.taker == row.account or trade.maker == row.account
        if own and trade.instrument == row.instrument and trade.cause != UNDONE:
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
        paid = gas_paid_usd(feed, receipt.landed_gas, receipt.gas_price, row.price)
        returned = min(max((dollars_earned(row, feed, log, view, row.price) - paid) / row.stake, -1.0), 1.0)
    tilt = min(max(math.log(row.copies / row.usual_copies) / DISTURBANCE, -2.0), 2.0)
    row.copies_share *= math.exp(row.learning_rate * tilt * (returned - row.usual_return))
    row.copies_share = min(max(row.copies_share, SMALLEST_SHARE), 1.0)
    row.usual_return += row.learning_rate * (returned - row.usual_return)


@kernel
def _share_of(row, feed, tip):
    """What a tip (wei per gas) is worth as a share of what there was to bid in the last race."""
    if tip == NOBODY:
        return -1.0
    return gas_paid_usd(feed, row.gas, max(tip - row.usual_tip, 0), row.price) / row.room


@kernel
def _learn_from_race(row, feed, log, view, won):
    """Learn from the last race what rivals bid, how often the first one trades, and what a success earns."""
    rate = row.learning_rate
    if won:
        earned = dollars_earned(row, feed, log, view, row.price)
        row.realised += rate * (min(max(earned / row.stake, 0.0), 1.0) - row.realised)
    if feed.count - row.race_view > VIEWS or feed.views[row.race_view & (VIEWS - 1)].number != row.landing:
        return  # it looked so late that the race is forgotten, or the block never came
    race = feed.races[row.race_view & (VIEWS - 1), row.race]
    best = _share_of(row, feed, race.tip)
    second = _share_of(row, feed, race.second)
    row.class_races[row.race_class] += 1
    for number in range(CLASSES):
        if number == row.race_class or row.class_races[number] == 0:
            learn_race(row.beliefs[number], rate, race.bidder, best, second)
    if race.bidder == NOBODY:
        row.success += HOPE_RETURNS * rate * (1.0 - row.success)
    elif best > 0.0 or race.bidder == row.account:  # others who tip no more than is usual may want something else
        row.success += rate * (race.succeeded - row.success)


@kernel
def learn(row, feed, log, view, price):
    """Find out what became of the last race, if its block is visible by now."""
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
    row.wins += 1 if won else 0
    if feed.rules.tips_buy_nothing == 0:
        _learn_from_race(row, feed, log, view, won)
        return
    row.success += rate * ((1.0 if won else 0.0) - row.success)
    _learn_copies(row, feed, log, view, receipt)


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
def race_class(profit, cost):
    """Class of a race with this profit and this cost of gas."""
    number = np.int64(0)
    while number < CLASSES - 1 and cost * 8.0 ** (number + 1) < profit:
        number += 1
    return number


@kernel
def _bid_in_race(row, feed, profit, cost, price, gas, usual_tip):
    """Tip that answers what the best rival is believed to bid, in wei per gas; -1 to stay out of the race."""
    row.usual_tip = usual_tip
    row.gas = gas
    row.room = profit - cost
    row.race_class = race_class(profit, cost)
    row.races += 1
    losers_pay = feed.rules.revert_protection == 0
    prize = row.realised * profit * (row.success if losers_pay else 1.0)
    choice = draw_uniform(row.key, row.races, _CHOICE)
    place = draw_uniform(row.key, row.races, _PLACE)
    belief = row.beliefs[row.race_class]
    share = choose_bid(belief, row.learning_rate, prize, cost, row.room, losers_pay, choice, place)
    if share < 0.0:
        return np.int64(-1)
    return usual_tip + tip_worth(feed, gas, share * row.room, price)


@kernel
def bid_for(row, feed, view, block, race, gas, profit, price):
    """What to bid for a profit (dollars) that takes so much gas: the maximum fee and the tip, in wei per gas.

    The tip is -1 where the try is not worth its costs; otherwise ``row.copies`` is how many copies to send. ``race`` is
    the number of the race in the coming block: where tips buy a place, its outcome will teach those as well who stay
    out of it.
    """
    rules = feed.rules
    usual_tip = wallet_tip(feed, view)
    cost = gas_cost_usd(feed, gas, view.base_fee + usual_tip, price)
    races = rules.batching == 0 and rules.tips_buy_nothing == 0
    hoped = profit
    if not races and rules.revert_protection == 0:
        hoped = row.success * profit
    if hoped <= cost:
        if not races:
            row.success += HOPE_RETURNS * row.learning_rate * (1.0 - row.success)
        row.forgone += max(profit - cost, 0.0)
        return np.int64(0), np.int64(-1)
    row.copies = 1
    row.stake = profit
    row.price = price
    row.trades_seen = view.trades
    tip = usual_tip
    if races:
        row.race = race
        row.race_view = feed.count
        row.pending = 1
        row.sent_at = -1
        row.landing = block.number
        tip = _bid_in_race(row, feed, profit, cost, price, gas, usual_tip)
    elif rules.batching == 0:
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
    """Send an order against one side of the book if it promises more than it costs."""
    price = outlook.external_price
    terms = feed.terms[row.instrument]
    quotes = view.quotes[row.instrument]
    limit = price * (1.0 - side * terms.taker_fee) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    lots, cost = lots_within(quotes, side, limit_ticks)
    if lots == 0:
        return
    paid = cost * terms.tick
    profit = (side * (lots * price - paid) - terms.taker_fee * paid) * terms.lot_size
    if profit <= 0.0:
        return
    race = race_of_book(row.instrument, side)
    max_fee, tip = bid_for(row, feed, view, block, race, feed.gas.place, profit, price)
    if tip < 0:
        return
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


@kernel
def take_from_book(row, feed, pool, block, outlook, view):
    """Send an order against the side of the book that promises more than it costs, if there is one."""
    _take_stale_quotes(row, feed, pool, block, outlook, view, np.int64(BUY))
    if row.pending == 0:
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
