"""Sandwichers: they look for pending swaps, trade around them, and run behind them.

For each swap that can be seen they work out the sandwich and the back-run that earn most on what is visible of its
pool (:mod:`blockspace.agents.sandwiching`), and send what promises most after gas, if they hope to earn more than it
costs. What they send is bound so tightly that it fails rather than trades at a loss: a front-run at the price that was
seen, the trade back at no less than the front-run cost. Where tips count a front-run tips more than the swap does and
what is behind it tips less; the nonces of one sender keep the two in order.

What is learned, for sandwiches and back-runs apart, is the share of the gain in sight that a try really brings. Where
the order of the block does not let anybody ahead that hope fades, and with it the tries; it returns slowly. What to bid
beyond the tip of the swap is learned from sandwiches won and lost. Where builders take bundles, front and back are put
right around the swap or not at all, and the tips are a bid for that.

A producer may have a searcher of the same kind inside. It decides when the block is made, on all that has arrived, and
bids as much as it can hope to earn: tips are its operator's own, a transfer from one account to another.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.arbitrageurs import HOPE_RETURNS
from blockspace.agents.pool_orders import send_swap, swap_gas
from blockspace.agents.sandwiching import plan_back_run, plan_sandwich
from blockspace.agents.taker import data_cost_usd, fee_worth, gas_cost_usd, tip_worth
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.pending_swaps import has_arrived, has_travelled
from blockspace.markets.price_path import price_at
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel
from blockspace.network.mempool import ACCEPTED
from blockspace.network.settings import Settings
from blockspace.network.transaction import (
    AFTER_TARGET,
    ANYWHERE,
    BEFORE_TARGET,
    EXACT_IN,
    EXACT_OUT,
    PUBLIC,
    effective_tip,
)

SANDWICH, BACK_RUN = np.arange(2)

NOBODY_INSIDE = -1

SANDWICHER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),  # of the last try
        ("pool", "u4"),  # of the last try
        ("producer", "i8"),  # whose inside searcher this is, or NOBODY_INSIDE
        ("hope", "f8", (2,)),  # expected share of the gain in sight that a try brings, by kind of try
        ("bid_share", "f8"),  # share of what is hoped for that is bid beyond the tip of the swap
        ("learning_rate", "f8"),
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),  # ns
        ("most_victims", "i8"),
        ("pending", "i8"),  # 1 while the fate of the last try is unknown
        ("kind", "i8"),  # of the last try
        ("landing", "i8"),  # number of the only block that may include it
        ("stake", "f8"),  # dollars: gain in sight of the last try
        ("price", "f8"),  # dollars: external price at the last try
        ("trades_seen", "i8"),  # trades of the log that were visible at the last try
        ("tries", "i8", (2,)),
        ("wins", "i8", (2,)),
    ],
    align=True,
)


class SandwicherSettings(Settings):
    """Searchers who trade around the swaps that they see pending, in all pools."""

    count: int = Field(0, ge=0, le=1_000, description="number of sandwichers")
    look_interval_s: float = Field(
        0.005,
        ge=0,
        le=60,
        description="seconds between two looks at what is pending, if blocks come faster than that",
    )
    learning_rate: float = Field(0.05, gt=0, le=1, description="step by which the outcome of a try moves bid and hope")
    most_victims: int = Field(
        8, ge=1, le=64, description="pending swaps that one of them works through for a block, the largest first"
    )
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")


class ProducerSettings(Settings):
    """Whoever makes the blocks."""

    extracting_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of stake, drawn by validator, whose operators have a searcher inside, who is set like the "
        "sandwichers and acts when the block is made",
    )


def new_sandwichers(
    settings: SandwicherSettings, accounts: list[int], access: list[int], producers: list[int] | None = None
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``SANDWICHER`` each; ``producers`` whose inside searchers they are."""
    rows = np.zeros(len(accounts), SANDWICHER)
    rows["account"] = accounts
    rows["access"] = access
    rows["producer"] = NOBODY_INSIDE if producers is None else producers
    rows["hope"] = 0.5
    rows["bid_share"] = 0.1
    rows["learning_rate"] = settings.learning_rate
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["most_victims"] = settings.most_victims
    return rows


@kernel
def _earned(row, feed, log, view):
    """Dollars that the last try earned before gas: its swaps, valued at the external price of that moment."""
    lot_price = row.price * feed.terms[row.instrument].lot_size
    earned = 0.0
    for number in range(max(row.trades_seen, log.count - TRADES), view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.taker == row.account:
            earned += trade.side * (lot_price * trade.size - trade.notional * 1e-6) - trade.taker_fee * 1e-6
    return earned


@kernel
def _learn(row, feed, log, view):
    """Find out what became of the last try, if its block is visible by now."""
    if view.number < row.landing:
        return
    row.pending = 0
    earned = _earned(row, feed, log, view)
    rate, kind = row.learning_rate, row.kind
    row.hope[kind] += rate * (min(max(earned / row.stake, -1.0), 1.0) - row.hope[kind])
    row.hope[kind] = max(row.hope[kind], 0.0)
    bids = kind == SANDWICH or feed.rules.bundles != 0
    if earned > 0.0:
        row.wins[kind] += 1
        if bids:
            row.bid_share -= rate * 0.25 * row.bid_share
    elif bids:
        row.bid_share += rate * (1.0 - row.bid_share)


@kernel
def _gas_of(feed, plan, kind):
    """Gas of the front-run, 0 if there is none, and of what comes behind."""
    front = swap_gas(feed, plan.front_crossings) if kind == SANDWICH else np.int64(0)
    return front, swap_gas(feed, plan.crossings)


@kernel
def _plan(feed, newest, swap, kind, price):
    """The best try of a kind around a pending swap, on what is visible."""
    seen = feed.pools[newest & (VIEWS - 1), swap.pool]
    terms = feed.pool_terms[swap.pool]
    if kind == SANDWICH:
        return plan_sandwich(seen, terms.kind, swap)
    return plan_back_run(seen, terms.kind, swap, price * feed.terms[terms.instrument].lot_size * 1e6)


@kernel
def _tip_of(feed, view, swap):
    """Tip around which to send: that of the swap, or what wallets add where tips buy nothing."""
    return wallet_tip(feed, view) if feed.rules.tips_buy_nothing != 0 else effective_tip(swap, view.base_fee)


@kernel
def _pair_cost_usd(feed, gas, fee, price):
    """Dollars that both transactions around a swap cost, or the one behind it if there is none ahead."""
    cost = gas_cost_usd(feed, gas[0] + gas[1], fee, price)
    return cost + data_cost_usd(feed, price) if gas[0] > 0 else cost


@kernel
def _cost_usd(row, feed, block, view, tip, gas, price):
    """Dollars that gas costs; an operator gets the tips of its own searcher back, and the base fee where it is its."""
    fee = view.base_fee + tip
    if row.producer >= 0:
        fee = np.int64(0) if block.producer_takes_base_fee != 0 else view.base_fee
    return _pair_cost_usd(feed, gas, fee, price)


@kernel
def _send_around(pool, feed, row, plan, kind, gas, decided, expires, fees, tips, target):
    """Send a plan: the front-run, if there is one, and what comes behind; as a bundle where there are bundles.

    ``gas``, ``fees`` (maximum, wei per gas) and ``tips`` are pairs, of the front and of the back; ``target`` is the
    sequence of the swap.
    """
    before, after = np.int64(ANYWHERE), np.int64(ANYWHERE)
    if feed.rules.bundles != 0:
        before, after = np.int64(BEFORE_TARGET), np.int64(AFTER_TARGET)
    public, single = np.int64(PUBLIC), np.int64(0)
    side, lots = plan.side, plan.lots
    bound = np.int64(plan.front_money)  # without loss: what the front cost or brought
    if kind == SANDWICH:
        style = EXACT_OUT if side < 0 else EXACT_IN
        outcome = send_swap(
            pool,
            feed,
            row,
            -side,
            style,
            lots,
            bound,
            lots,
            gas[0],
            decided,
            expires,
            fees[0],
            tips[0],
            single,
            public,
            single,
            before,
            target,
        )
        if outcome != ACCEPTED:
            return
        style, amount = EXACT_OUT if side > 0 else EXACT_IN, lots
    else:
        lot_price = row.price * feed.terms[row.instrument].lot_size * 1e6
        style, amount = EXACT_IN, plan.money if side > 0 else lots
        bound = np.int64(math.ceil(amount / lot_price if side > 0 else amount * lot_price))
    further = np.int64(1 if kind == SANDWICH else 0)
    send_swap(
        pool,
        feed,
        row,
        side,
        style,
        amount,
        bound,
        lots,
        gas[1],
        decided,
        expires,
        fees[1],
        tips[1],
        single,
        public,
        further,
        after,
        target,
    )


@kernel
def _try(row, feed, pool, block, newest, decision, price, swap, kind):
    """Send the best try of a kind around a pending swap, and remember it."""
    view = feed.views[newest & (VIEWS - 1)]
    plan = _plan(feed, newest, swap, kind, price)
    row.instrument = feed.pool_terms[swap.pool].instrument
    row.pool = swap.pool
    row.kind = kind
    row.stake = plan.gain * 1e-6
    row.price = price
    row.trades_seen = view.trades
    row.landing = block.number
    row.pending = 1
    row.tries[kind] += 1
    gas = _gas_of(feed, plan, kind)
    tip = _tip_of(feed, view, swap)
    ahead, behind = tip, tip
    if feed.rules.bundles != 0:
        usual = wallet_tip(feed, view)
        bid = row.bid_share * (row.hope[kind] * row.stake - _pair_cost_usd(feed, gas, view.base_fee, price))
        ahead = behind = usual
        if kind == SANDWICH:
            ahead += tip_worth(feed, gas[0], bid, price)
        else:
            behind += tip_worth(feed, gas[1], bid, price)
    elif feed.rules.tips_buy_nothing == 0:
        hoped = row.hope[kind] * row.stake
        bid = row.bid_share * (hoped - _cost_usd(row, feed, block, view, tip, gas, price))
        if row.producer >= 0:
            bid = row.stake
        if kind == SANDWICH:
            ahead = tip + 1 + tip_worth(feed, gas[0], bid, price)
        behind = max(tip - 1, np.int64(0))
    # What all of it is worth is worth paying for each part, as the base fee may have risen unseen.
    worth = fee_worth(feed, gas[0] + gas[1], row.stake, price)
    fees = (max(worth, view.base_fee + ahead), max(worth, view.base_fee + behind))
    _send_around(pool, feed, row, plan, kind, gas, decision, block.time, fees, (ahead, behind), swap.sequence)


@kernel
def _search(row, feed, log, pool, block, newest, decision, price):
    """Work through the pending swaps that can be seen, and try what promises most after gas."""
    view = feed.views[newest & (VIEWS - 1)]
    if row.pending != 0:
        _learn(row, feed, log, view)
    if row.pending != 0:
        return
    looked, chosen, chosen_kind = 0, np.int64(-1), SANDWICH
    most = 0.0
    given_up = np.zeros(2, np.bool_)
    for number in range(feed.pending_count):
        swap = feed.pending[number]
        inside = row.producer >= 0
        visible = has_arrived(block, swap) if inside else has_travelled(feed, swap, row.access, decision)
        if not visible or swap.max_fee < view.base_fee:
            continue
        if looked == row.most_victims:
            break
        looked += 1
        tip = _tip_of(feed, view, swap)
        for kind in (SANDWICH, BACK_RUN):
            plan = _plan(feed, newest, swap, kind, price)
            if plan.side == 0:
                continue
            gas = _gas_of(feed, plan, kind)
            gain = plan.gain * 1e-6
            cost = _cost_usd(row, feed, block, view, tip, gas, price)
            promise = row.hope[kind] * gain - cost
            if promise > most:
                most, chosen, chosen_kind = promise, number, kind
            elif promise <= 0.0 and gain > cost:
                given_up[kind] = True
    for kind in (SANDWICH, BACK_RUN):
        if given_up[kind]:
            row.hope[kind] += HOPE_RETURNS * row.learning_rate * (1.0 - row.hope[kind])
    if chosen >= 0:
        _try(row, feed, pool, block, newest, decision, price, feed.pending[chosen], chosen_kind)


@kernel
def sandwich(rows, feeds, logs, pools, blocks):
    """Let every sandwicher look once at what is pending, as late as it can for the coming block."""
    feed = feeds[0]
    if feed.pending_count == 0:
        return
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            _search(
                row,
                feed,
                logs[0],
                pools[0],
                blocks[0],
                outlook.newest,
                outlook.decision,
                outlook.external_price,
            )


@kernel
def extract(rows, feeds, logs, pools, paths, blocks):
    """Let the searcher inside the producer of the coming block act, if there is one, at the time of the block."""
    feed = feeds[0]
    block = blocks[0]
    if feed.pending_count == 0:
        return
    for number in range(rows.size):
        if rows[number].producer == block.producer:
            price = price_at(paths[0], block.time)
            _search(rows[number], feed, logs[0], pools[0], block, feed.count - 1, block.time, price)
