"""What option makers learn: volatility from prices, distances from trades, and what keeping series quoted costs.

Bought and sold are learned apart. A trade is marked when the maker sees it, which is when it can hedge it: at the value
at its own volatility and the external price of that moment. What trades earned less than they were quoted at, per unit
of vega, is what being picked off costs on that side; the quotes' gas is shared by both sides, and hedges are put down
to the side that the gamma came from: to what was sold, if the maker is short of it. The distances move towards these
costs: so a mid above the value at the true volatility, or a wider spread where gas is dear, is found and not told.
"""

import math

import numpy as np

from blockspace.agents.market_makers import FILLS_TO_KNOW
from blockspace.agents.taker import gas_paid_usd
from blockspace.markets.instruments import HANDLES
from blockspace.markets.ledger import INSTRUMENTS, MICRO_DOLLARS
from blockspace.markets.options.black_scholes import YEAR_NS, greeks
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel
from blockspace.network.transaction import LADDER, UNFUNDED

BOUGHT, SOLD = np.arange(2)
"""Sides of a maker's trades, by which it learns."""

LARGEST_LADDER = 2
PLACES = 2 * LARGEST_LADDER
"""Orders of a ladder: first its bids, then its asks."""

LARGEST_EDGE = 5.0
LARGEST_UNIT_COST = 0.05
"""Beyond these distances nobody quotes: in volatility, and of the price."""

_YEAR_S = YEAR_NS * 1e-9

LESSONS = np.dtype(
    [
        ("fills", "f8"),
        ("units", "f8"),
        ("vega", "f8"),  # units times vega, dollars per 1.00 of volatility
        ("shortfall", "f8"),  # what trades earned less than they were quoted at, dollars
        ("costs", "f8"),  # gas and hedging, dollars
    ],
    align=True,
)
"""What the trades of one side have taught, as sums in which older trades count less and less."""

QUOTED_SERIES = np.dtype(
    [
        ("number", "i8"),  # running number of the series; -1 before the first
        ("listed", "i8"),  # ns: earlier trades in this place were of another series
        ("expiry", "i8"),
        ("value", "f8"),  # dollars per unit of the underlying, at the last look
        ("delta", "f8"),
        ("vega", "f8"),
        ("position", "i8"),  # lots
        ("ladder", "i8", (PLACES,)),  # ticks; 0 for none
        ("remaining", "i8", (PLACES,)),  # lots
        ("distance", "f8", (2,)),  # dollars per unit at which the best level of each side was quoted
        ("planned", "f8"),  # both sides together, without the inventory's shift
        ("quoting", "i8"),
        ("quoted_at", "i8"),  # ns
        ("sent_gas", "i8"),  # of a quote whose fate is not known yet
        ("life", "f8"),  # s, moving average of the time between two quotes
        ("revenue", "f8"),  # decayed sum, dollars
        ("dropped", "i8"),
        ("return_at", "i8"),
        ("next_review", "i8"),
        ("losing_periods", "i8"),
        ("period_revenue", "f8"),  # since the last review, dollars
        ("period_gas", "f8"),
    ],
    align=True,
)
"""What a maker knows of the series in one place."""

OPTION_MAKER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("underlying", "u4"),
        ("first", "i8"),  # number of the first series
        ("count", "i8"),
        # Set by the user.
        ("unit_lots", "i8"),
        ("levels", "i8"),
        ("position_limit", "f8"),  # units of the option with most vega
        ("inventory_aversion", "f8"),
        ("risk_aversion", "f8"),  # per dollar
        ("exploration", "f8"),  # per second
        ("memory", "f8"),  # s
        ("volatility_memory", "f8"),
        ("review_interval", "i8"),  # ns
        ("rest", "i8"),
        ("look_interval", "i8"),
        ("tolerance", "f8"),  # of a hedge, as a fraction of its value
        # Learned.
        ("variance", "f8"),  # of the log price, per second
        ("step", "f8"),  # s, moving average of the time between two looks
        ("edge", "f8", (2,)),  # distance of each side in volatility
        ("unit_cost", "f8", (2,)),  # and in dollars per unit
        ("lessons", LESSONS, (2,)),
        ("feared", "f8"),  # decayed sums of losses to stale quotes, dollars: expected where it did not quote anew
        ("suffered", "f8"),  # and had
        # What it holds: of all options together, and of the underlying.
        ("delta", "f8"),  # units
        ("gamma", "f8"),  # units per dollar
        ("load", "f8"),  # net vega in position limits, from -1 to 1
        ("hedge", "i8"),  # lots of the underlying
        # What it has sent, and what it knows of it.
        ("draft", "i8", (PLACES,)),
        ("pending", "i8"),
        ("landing", "i8"),  # number of the only block that may include what it sent
        ("sent_at", "i8"),  # ns
        ("sent", "i8"),  # quotes
        ("sent_gas", "i8"),
        ("hedge_gas", "i8"),  # of which for a hedge
        ("hedge_filled", "i8"),  # lots
        ("broke", "i8"),
        ("next_trade", "i8"),  # first trade of the log not yet seen
        ("next_look", "i8"),  # ns
        ("last_look", "i8"),
        ("last_price", "f8"),
        ("looks", "i8"),
        ("series", QUOTED_SERIES, (INSTRUMENTS,)),
        # Totals for whoever studies the run.
        ("quotes_sent", "i8"),
        ("hedges_sent", "i8"),
        ("trades", "i8"),
        ("listed_looks", "i8"),  # looks at a listed series
        ("quoted_looks", "i8"),  # of which it was quoted
        ("total_revenue", "f8"),  # dollars
        ("total_gas", "f8"),
        ("total_hedging", "f8"),
    ],
    align=True,
)


@kernel
def observe(row, now, price):
    """Update the estimates of volatility and of the time between looks, and let experience fade; seconds passed."""
    elapsed = 0.0
    row.looks += 1
    if row.looks > 1 and now > row.last_look:
        elapsed = (now - row.last_look) * 1e-9
        move = math.log(price / row.last_price)
        weight = max(1.0 - math.exp(-elapsed / row.volatility_memory), 1.0 / row.looks)
        row.variance += weight * (move * move / elapsed - row.variance)
        row.step += max(1.0 - math.exp(-elapsed / row.memory), 0.05) * (elapsed - row.step)
        for side in range(2):
            lessons = row.lessons[side]
            # Where trades are rare, what they taught is kept for longer.
            fade = math.exp(-elapsed / row.memory * min(max(lessons.fills / FILLS_TO_KNOW, 0.1), 1.0))
            lessons.fills *= fade
            lessons.units *= fade
            lessons.vega *= fade
            lessons.shortfall *= fade
            lessons.costs *= fade
        fade = math.exp(-elapsed / row.memory)
        row.feared *= fade
        row.suffered *= fade
        for place in range(row.count):
            row.series[place].revenue *= fade
    row.last_look = now
    row.last_price = price
    return elapsed


@kernel
def _start(row, series, quotes, now):
    """Begin with another series in a place: nothing rests, nothing is held."""
    series.number = quotes.series
    series.listed = series.expiry
    series.expiry = quotes.expiry
    series.position = 0
    for place in range(PLACES):
        series.ladder[place] = 0
        series.remaining[place] = 0
    series.quoting = 0
    series.quoted_at = now
    series.sent_gas = 0
    series.life = 0.0
    series.revenue = 0.0
    series.dropped = 0
    series.losing_periods = 0
    series.period_revenue = 0.0
    series.period_gas = 0.0
    series.next_review = now + row.review_interval


@kernel
def value_series(row, feed, view, now, price):
    """Value every visible series at the maker's own volatility, and what it holds of all of them."""
    volatility = math.sqrt(row.variance * _YEAR_S)
    row.delta = 0.0
    row.gamma = 0.0
    net = 0.0
    largest = 0.0
    for place in range(row.count):
        quotes = view.quotes[row.first + place]
        series = row.series[place]
        if quotes.series != series.number:
            _start(row, series, quotes, now)
        if quotes.right == 0:
            series.position = 0
            continue
        lot_size = feed.terms[row.first + place].lot_size
        strike = quotes.strike / (lot_size * MICRO_DOLLARS)
        years = max(np.int64(0), quotes.expiry - now) / YEAR_NS
        series.value, series.delta, gamma, series.vega, _, _, _ = greeks(
            price, strike, years, volatility, quotes.right, 0.0, 0.0
        )
        units = series.position * lot_size
        row.delta += units * series.delta
        row.gamma += units * gamma
        net += units * series.vega
        largest = max(largest, series.vega)
    row.load = min(max(net / (row.position_limit * largest), -1.0), 1.0) if largest > 0.0 else 0.0


@kernel
def _gamma_side(row):
    """Side that hedges are put down to."""
    return SOLD if row.gamma < 0.0 else BOUGHT


@kernel
def _learn_hedge(row, trade, side, terms, fee):
    row.hedge += side * trade.size
    row.hedge_filled += trade.size
    worse = side * (trade.price * terms.tick - trade.external_price)
    cost = worse * trade.size * terms.lot_size + fee
    row.lessons[_gamma_side(row)].costs += cost
    row.total_hedging += cost


@kernel
def _learn_fill(row, series, trade, side, terms, fee, batching):
    series.position += side * trade.size
    lessons = row.lessons[BOUGHT if side > 0 else SOLD]
    units = trade.size * terms.lot_size
    earned = side * (series.value - trade.price * terms.tick) * units - fee
    quoted = 0.0
    if trade.maker == row.account:
        handle = np.int64(trade.maker_order % HANDLES)
        level = handle % LADDER
        place = min(level, LARGEST_LADDER - 1) + handle // LADDER * LARGEST_LADDER
        ticks = series.ladder[place]
        if ticks == trade.price or (batching != 0 and ticks > 0 and (trade.price - ticks) * side < 0):
            series.remaining[place] = max(series.remaining[place] - trade.size, 0)
        quoted = series.distance[BOUGHT if side > 0 else SOLD] * (1 + level) * units
    lessons.fills += 1.0
    lessons.units += units
    lessons.vega += units * series.vega
    lessons.shortfall += quoted - earned
    row.suffered += max(quoted - earned, 0.0)
    series.revenue += earned
    series.period_revenue += earned
    row.trades += 1
    row.total_revenue += earned


@kernel
def learn_trades(row, feed, log, view):
    """Take in the maker's own trades that have become visible, of options and of the underlying."""
    first = max(row.next_trade, log.count - TRADES)
    for number in range(first, view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.maker != row.account and trade.taker != row.account:
            continue
        as_maker = trade.maker == row.account
        side = np.int64(-trade.side if as_maker else trade.side)
        fee = (trade.maker_fee if as_maker else trade.taker_fee) * 1e-6
        instrument = np.int64(trade.instrument)
        terms = feed.terms[instrument]
        if instrument == row.underlying:
            _learn_hedge(row, trade, side, terms, fee)
        elif row.first <= instrument < row.first + row.count:
            series = row.series[instrument - row.first]
            if trade.time >= series.listed:
                _learn_fill(row, series, trade, side, terms, fee, feed.rules.batching)
    row.next_trade = max(view.trades, first)


@kernel
def learn_fate(row, feed, view, price):
    """Learn what became of all that was sent together, once its block can be seen.

    A receipt says how many succeeded, not which: unless all of them did, the maker takes every ladder of that block for
    gone and sends it anew.
    """
    if row.pending == 0 or view.settled < row.landing:
        return
    row.pending = 0
    receipt = feed.receipts[row.account]
    known = receipt.decided == row.sent_at
    paid = gas_paid_usd(feed, receipt.landed_gas, receipt.gas_price, price) if known else 0.0
    per_gas = paid / row.sent_gas
    row.total_gas += paid
    row.lessons[_gamma_side(row)].costs += per_gas * row.hedge_gas
    row.total_hedging += per_gas * row.hedge_gas
    succeeded = receipt.successes - (1 if row.hedge_filled > 0 else 0) if known else np.int64(0)
    for place in range(row.count):
        series = row.series[place]
        if series.sent_gas > 0:
            gas = per_gas * series.sent_gas
            series.period_gas += gas
            row.lessons[BOUGHT].costs += 0.5 * gas
            row.lessons[SOLD].costs += 0.5 * gas
            series.sent_gas = 0
            if succeeded < row.sent:
                series.quoting = 0
    if known and receipt.landed == 0 and receipt.status == UNFUNDED:
        row.broke = 1  # it cannot pay for gas any more, and there is no coming back from that


@kernel
def adapt(row, elapsed, price):
    """Move the distance of each side towards what its trades cost, or inwards if there are none."""
    pace = 1.0 - math.exp(-elapsed / row.memory)
    explore = math.exp(-row.exploration * elapsed)
    for side in range(2):
        lessons = row.lessons[side]
        if lessons.fills > 1.0 and lessons.vega > 0.0:
            trust = pace * lessons.fills / (lessons.fills + 5.0)
            row.edge[side] += trust * (lessons.shortfall / lessons.vega - row.edge[side])
            row.unit_cost[side] += trust * (lessons.costs / lessons.units - row.unit_cost[side])
        else:
            row.edge[side] *= explore
            row.unit_cost[side] *= explore
        row.edge[side] = min(max(row.edge[side], 0.0), LARGEST_EDGE)
        row.unit_cost[side] = min(max(row.unit_cost[side], 0.0), LARGEST_UNIT_COST * price)


@kernel
def feared_share(row, cost):
    """Share of the losses feared that has come; at first all of it, as if the gas of one quote had been lost so."""
    return (row.suffered + cost) / (row.feared + row.suffered + cost)


@kernel
def review(row, series, now):
    """Every so often: do the trades of a series pay for the gas of keeping it quoted?"""
    if now < series.next_review:
        return
    series.next_review = now + row.review_interval
    series.losing_periods = series.losing_periods + 1 if series.period_revenue < series.period_gas else np.int64(0)
    if series.losing_periods >= 2 and series.dropped == 0:
        series.dropped = 1
        series.return_at = now + row.rest
        series.losing_periods = 0
    series.period_revenue = 0.0
    series.period_gas = 0.0
