"""Makers of options: they keep series quoted where that pays, and hedge what they hold.

A maker values every series by Black and Scholes (1973) at the volatility that it has seen in the external price. Around
that it quotes a distance on each side: a number of volatility points times vega, and dollars per unit for what gas and
hedging cost. It is told none of them but where to start; see :mod:`blockspace.agents.option_lessons` for how it learns.

A series has one ladder, replaced by one transaction, which is sent when it is worth its gas: when the loss to be feared
until the next chance because the price has moved, or the revenue forgone for want of size or at the wrong distance,
exceeds it. How much of the losses that it feared at each look has really come, the maker learns as well; it counts them
for as long as quotes usually last. Series whose trades do not pay for the gas of keeping them quoted are dropped, and
tried again after a while.

The delta of everything together is hedged in the underlying with taking orders, whenever it leaves the band of
:func:`~blockspace.agents.hedging.no_trade_band`: the gas of an order, the fee, the visible spread, the gamma held and
the maker's own risk aversion decide how wide that is.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.hedging_orders import beyond_band, send_hedge
from blockspace.agents.market_makers import expected_excess
from blockspace.agents.option_lessons import (
    BOUGHT,
    LARGEST_LADDER,
    OPTION_MAKER,
    PLACES,
    SOLD,
    adapt,
    feared_share,
    learn_fate,
    learn_trades,
    observe,
    review,
    value_series,
)
from blockspace.agents.taker import fee_worth, gas_cost_usd
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.matching import POST_ONLY
from blockspace.markets.options.settings import OptionSettings
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import LADDER, QUOTE

LOOKS_TO_KNOW = 30
"""Looks at the price after which a maker trusts its own estimate of volatility enough to quote."""

STILL = 1e-6
"""Moves of a value below this many ticks are none: near expiry, deltas far from the money vanish altogether."""


class OptionMakerSettings(Settings):
    """Makers who quote series of options and hedge their delta."""

    count: int = Field(0, ge=0, le=1_000, description="number of option makers")
    unit_size: float = Field(5.0, gt=0, le=1e6, description="size of one level, units of the underlying")
    levels: int = Field(
        1, ge=1, le=LARGEST_LADDER, description="levels per side; the second is twice as far from the value"
    )
    position_limit: float = Field(
        200.0,
        gt=0,
        le=1e8,
        description="net position beyond which only the reducing side is quoted, units of the option with most vega",
    )
    inventory_aversion: float = Field(
        1.0, ge=0, le=10, description="shift of the quotes at the position limit, in half-spreads"
    )
    risk_aversion: float = Field(
        1e-3, gt=0, le=1e3, description="aversion to the variance of unhedged profits, per dollar"
    )
    initial_half_spread_points: float = Field(
        4.0, gt=0, le=500, description="half-spread with which a maker starts, points of volatility (percent per year)"
    )
    exploration_per_hour: float = Field(
        0.5, ge=0, le=100, description="rate at which a maker without trades tightens, per hour"
    )
    memory_s: float = Field(
        1_800.0, gt=0, le=1e6, description="seconds over which experience fades and quotes move towards what it says"
    )
    volatility_memory_s: float = Field(
        7_200.0, gt=0, le=1e7, description="seconds over which the estimate of volatility forgets"
    )
    review_interval_s: float = Field(
        1_800.0, gt=0, le=1e6, description="seconds between reviews of whether a series pays for its gas"
    )
    rest_s: float = Field(3_600.0, gt=0, le=1e7, description="seconds for which a series stays dropped")
    look_interval_s: float = Field(
        0.5, ge=0, le=600, description="seconds between two looks at the market, when blocks come faster than that"
    )
    hedge_tolerance_bps: float = Field(
        50.0,
        gt=0,
        lt=10_000,
        description="most by which the price of a hedge may be worse than the external one, and most that its gas may "
        "cost, basis points of its value",
    )
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")


def new_option_makers(
    settings: OptionMakerSettings,
    accounts: list[int],
    access: list[int],
    options: OptionSettings,
    first: int,
    underlying: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``OPTION_MAKER`` each.

    ``first`` is the number of the first series and ``underlying`` that of the instrument in which makers hedge.
    """
    rows = np.zeros(len(accounts), OPTION_MAKER)
    rows["account"], rows["access"] = accounts, access
    rows["first"], rows["count"], rows["underlying"] = first, options.count, underlying
    rows["unit_lots"] = max(round(settings.unit_size / options.lot_size), 1)
    rows["levels"] = settings.levels
    rows["position_limit"] = settings.position_limit
    rows["inventory_aversion"] = settings.inventory_aversion
    rows["risk_aversion"] = settings.risk_aversion
    rows["exploration"] = settings.exploration_per_hour / 3600.0
    rows["memory"] = settings.memory_s
    rows["volatility_memory"] = settings.volatility_memory_s
    rows["review_interval"] = int(settings.review_interval_s * 1e9)
    rows["rest"] = int(settings.rest_s * 1e9)
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["tolerance"] = settings.hedge_tolerance_bps * 1e-4
    # Makers do not start alike: each believes something else, three to five quarters of the setting.
    spread_out = np.linspace(0.75, 1.25, len(accounts)) if len(accounts) > 1 else np.ones(1)
    rows["edge"] = (settings.initial_half_spread_points * 1e-2 * spread_out)[:, None]
    rows["series"]["number"] = -1
    return rows


@kernel
def _wanted_distance(row, series, side):
    """Dollars per unit from the value at which a side should be quoted, before the inventory's shift."""
    return row.edge[side] * series.vega + row.unit_cost[side]


@kernel
def _avoidable_loss(row, series, terms, price):
    """Dollars that what rests is expected to lose until the next chance, beyond what fresh quotes would lose."""
    deviation = abs(series.delta) * price * math.sqrt(row.variance * row.step)
    if deviation < STILL * terms.tick:
        deviation = 0.0
    loss = 0.0
    for place in range(PLACES):
        if series.remaining[place] > 0:
            side = BOUGHT if place < LARGEST_LADDER else SOLD
            quote = series.ladder[place] * terms.tick
            gap = series.value - quote if side == BOUGHT else quote - series.value
            fresh = _wanted_distance(row, series, side) * (1 + place % LARGEST_LADDER)
            loss += series.remaining[place] * (expected_excess(gap, deviation) - expected_excess(fresh, deviation))
    return max(loss, 0.0) * terms.lot_size


@kernel
def _forgone(row, series):
    """Dollars of revenue forgone until the next quote because size is missing or misplaced."""
    quoted = 0
    there = 0
    for place in range(PLACES):
        quoted += row.unit_lots * (series.ladder[place] > 0)
        there += series.remaining[place]
    missing = 1.0 - there / quoted if quoted > 0 else 1.0
    wanted = _wanted_distance(row, series, BOUGHT) + _wanted_distance(row, series, SOLD)
    misplaced = abs(wanted / max(series.planned, 1e-9) - 1.0)
    return max(series.revenue, 0.0) / row.memory * max(series.life, row.step) * min(missing + misplaced, 1.0)


@kernel
def _something_rests(series):
    for place in range(PLACES):
        if series.remaining[place] > 0:
            return True
    return False


@kernel
def _draft_ladder(row, series, terms):
    """Work out the ladder around the value, shifted against the inventory; returns how many levels it has."""
    load = row.load
    bought, sold = _wanted_distance(row, series, BOUGHT), _wanted_distance(row, series, SOLD)
    shift = row.inventory_aversion * load * 0.5 * (bought + sold)
    levels = 0
    for level in range(LARGEST_LADDER):
        wanted = level < row.levels
        bid = np.int64(math.floor((series.value - shift - bought * (1 + level)) / terms.tick))
        ask = np.int64(math.ceil((series.value - shift + sold * (1 + level)) / terms.tick))
        ask = max(ask, bid + 1, np.int64(1 + level))
        row.draft[level] = bid if wanted and load < 1.0 and bid > 0 else 0
        row.draft[LARGEST_LADDER + level] = ask if wanted and load > -1.0 else 0
        levels += (row.draft[level] > 0) + (row.draft[LARGEST_LADDER + level] > 0)
    return levels


@kernel
def _send_quote(row, series, feed, pool, block, outlook, view, number, levels, worth):
    """Send the drafted ladder of a series, of ``levels`` orders; an empty one takes down what rests."""
    terms = feed.terms[number]
    tip = wallet_tip(feed, view)
    gas = feed.gas.quote + levels * feed.gas.quote_level
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    for place in range(2 * LADDER):
        transaction.ladder[place] = 0
    for place in range(PLACES):
        price = row.draft[place] if levels > 0 else np.int64(0)
        series.ladder[place] = price
        series.remaining[place] = row.unit_lots if price > 0 else 0
        transaction.ladder[place % LARGEST_LADDER + place // LARGEST_LADDER * LADDER] = price
    transaction.kind = QUOTE
    transaction.sender = row.account
    transaction.access = row.access
    transaction.instrument = number
    transaction.size = row.unit_lots
    transaction.style = POST_ONLY
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction + 4 * levels)
    transaction.decided = outlook.decision
    transaction.expires = block.time
    transaction.max_fee = max(fee_worth(feed, gas, worth, outlook.external_price), view.base_fee + tip)
    transaction.tip = tip
    mempool.submit(pool, slot)
    if levels > 0:
        series.planned = _wanted_distance(row, series, BOUGHT) + _wanted_distance(row, series, SOLD)
        series.distance[BOUGHT] = series.value - row.draft[0] * terms.tick
        series.distance[SOLD] = row.draft[LARGEST_LADDER] * terms.tick - series.value
    series.life += 0.1 * ((outlook.decision - series.quoted_at) * 1e-9 - series.life)
    series.quoted_at = outlook.decision
    series.quoting = 1 if levels > 0 else 0
    series.sent_gas = gas
    row.sent_gas += gas
    row.sent += 1
    row.quotes_sent += 1


@kernel
def _decide(row, series, feed, pool, block, outlook, view, number):
    """Quote a series if that is worth its gas, or if nothing rests; take it down when it is dropped."""
    terms = feed.terms[number]
    now, price = outlook.decision, outlook.external_price
    levels = _draft_ladder(row, series, terms)
    gas = feed.gas.quote + levels * feed.gas.quote_level
    cost = gas_cost_usd(feed, gas, view.base_fee + wallet_tip(feed, view), price)
    rests = series.quoting != 0 and _something_rests(series)
    row.listed_looks += 1
    row.quoted_looks += rests
    review(row, series, now)
    if series.dropped != 0 or levels == 0:
        if rests:
            _send_quote(row, series, feed, pool, block, outlook, view, number, np.int64(0), 10.0 * cost)
        elif series.dropped != 0 and now >= series.return_at:
            series.dropped = 0
            series.next_review = now + row.review_interval
        return
    if not rests:  # without quotes there is no experience: a maker who takes part must try
        _send_quote(row, series, feed, pool, block, outlook, view, number, levels, 10.0 * cost)
        return
    loss = _avoidable_loss(row, series, terms, price)
    lasts = max(series.life, (now - series.quoted_at) * 1e-9, row.step)  # for which fresh quotes would do
    worth = feared_share(row, cost) * loss * lasts / row.step + _forgone(row, series)
    if worth >= cost:
        _send_quote(row, series, feed, pool, block, outlook, view, number, levels, worth)
    else:
        row.feared += loss


@kernel
def _hedge(row, feed, pool, block, outlook, view):
    """Send an order in the underlying if the delta has left the band."""
    gap = -row.delta - row.hedge * feed.terms[row.underlying].lot_size
    units = beyond_band(row, feed, view, outlook.external_price, gap, row.gamma)
    if send_hedge(row, feed, pool, block, outlook, view, units):
        row.hedge_gas = feed.gas.place
        row.sent_gas += feed.gas.place
        row.hedges_sent += 1


@kernel
def _act(row, feed, log, pool, block, outlook):
    view = feed.views[outlook.newest & (VIEWS - 1)]
    now = outlook.decision
    elapsed = observe(row, now, outlook.external_price)
    value_series(row, feed, view, now, outlook.external_price)
    learn_trades(row, feed, log, view)
    learn_fate(row, feed, view, outlook.external_price)
    adapt(row, elapsed, outlook.external_price)
    if row.pending != 0 or row.broke != 0 or row.looks <= LOOKS_TO_KNOW or row.variance <= 0.0:
        return
    row.sent = 0
    row.sent_gas = 0
    row.hedge_gas = 0
    row.hedge_filled = 0
    _hedge(row, feed, pool, block, outlook, view)
    for place in range(row.count):
        number = np.int64(row.first + place)
        quotes = view.quotes[number]
        if quotes.right != 0 and quotes.expiry > block.time:
            _decide(row, row.series[place], feed, pool, block, outlook, view, number)
    if row.sent_gas > 0:
        row.pending = 1
        row.sent_at = now
        row.landing = block.number


@kernel
def quote_options(rows, feeds, logs, pools, blocks):
    """Let every option maker look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            _act(row, feed, logs[0], pools[0], block, outlook)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
