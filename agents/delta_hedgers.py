"""Delta hedgers: desks that take options on for clients and keep only what the clients wanted to be rid of.

With each new expiry of a tenor a client comes to each desk and leaves it with a mandate: so many units of one series to
be bought or sold. Who comes, when, and with what is drawn for the desk and the series, whatever happens on the chain.
The desk fills the mandate from the series' order book, as far as prices are within its tolerance, holds it to the
expiry, and hedges the delta of its whole book in the underlying.

When it hedges is its own choice, made at each look from the gas of the moment, the fee and the visible spread of the
underlying, the gamma that it holds and its aversion to risk: within the band of
:func:`~blockspace.agents.hedging.no_trade_band`, or by a clock whose interval is that of
:func:`~blockspace.agents.hedging.best_interval`.
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.hedging import best_interval, clock_due
from blockspace.agents.hedging_orders import beyond_band, hedge_costs, learn_fate, send_hedge
from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, send_taking_order
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.options.black_scholes import YEAR_NS, greeks
from blockspace.markets.options.series import TENORS
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, draw_uniform, stream_key
from blockspace.network.settings import Settings

HEDGES = ("clock", "band")
_CLOCK = np.int64(0)

# What is drawn for a desk and the first series of an expiry.
_DRAW_SIDE, _DRAW_PLACE, _DRAW_SIZE, _DRAW_ARRIVAL = np.arange(4)

MANDATE = np.dtype(
    [
        ("listing", "i8"),  # running number of the first series of the expiry; -1 where none is listed
        ("length", "i8"),  # of the tenor, ns
        ("number", "i8"),  # the series' place among the instruments
        ("lots", "i8"),  # wanted, below 0 to be sold
        ("arrives", "i8"),  # ns
        ("position", "i8"),  # lots traded
        ("held", "i8"),  # of which the desk hedges: all, or what is settled
    ],
    align=True,
)
"""What a client of one tenor has asked for, and what has come of it."""

DELTA_HEDGER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("underlying", "u4"),
        ("first", "i8"),  # number of the first series
        ("tenors", "i8"),
        ("series_per_tenor", "i8"),
        ("mean_lots", "f8"),
        ("short_share", "f8"),
        ("arrival_share", "f8"),
        ("price_tolerance", "f8"),  # of volatility, per square root of a year
        ("hedging", "i8"),
        ("relies_on_trades", "u1"),  # 1 if it hedges what is not settled yet
        ("risk_aversion", "f8"),  # per dollar
        ("tolerance", "f8"),  # of a hedge, as a fraction of its value
        ("look_interval", "i8"),  # ns
        ("key", "u8"),
        ("mandates", MANDATE, (TENORS,)),
        ("delta", "f8"),  # of the options that it hedges, units
        ("gamma", "f8"),  # units per dollar
        ("variance", "f8"),  # of the log price per year, by the marks of what is held, weighted by gamma
        ("hedge", "i8"),  # lots of the underlying
        ("changed", "i8"),  # 1 if what is held has changed since the last hedge by the clock
        ("last_hedge", "i8"),  # ns
        ("pending", "i8"),
        ("landing", "i8"),
        ("sent_at", "i8"),
        ("next_trade", "i8"),
        ("next_settled", "i8"),
        ("next_look", "i8"),
        # Totals for whoever studies the run.
        ("looks", "i8"),  # with options held
        ("total_gap", "f8"),  # units without hedge, summed over these looks
        ("total_delta", "f8"),  # units of the options, likewise
        ("orders_sent", "i8"),  # for clients
        ("hedges_sent", "i8"),
        ("units_traded", "f8"),  # of options
        ("total_gas", "f8"),  # dollars
    ],
    align=True,
)


class DeltaHedgerSettings(Settings):
    """Desks that take options on for clients and hedge their delta."""

    count: int = Field(0, ge=0, le=1_000, description="number of delta hedgers")
    size_mean: float = Field(
        20.0, gt=0, le=1e6, description="mean size that a client brings for an expiry, units (exponential)"
    )
    short_share: float = Field(
        0.5, ge=0, le=1, description="share of clients whose options leave the desk short of gamma"
    )
    arrival_share: float = Field(
        0.25, ge=0, le=1, description="part of an expiry's life, from its listing on, within which its client comes"
    )
    price_tolerance_points: float = Field(
        20.0,
        gt=0,
        le=500,
        description="most by which an option's price, gas included, may be worse than its mark, points of volatility",
    )
    hedge: Literal["clock", "band"] = Field("band", description="when the delta of what is held is hedged")
    relies_on: Literal["settlements", "trades"] = Field(
        "settlements",
        description="whether a desk hedges the options that are settled, or all that it has traded; the same where "
        "trades settle at once",
    )
    risk_aversion: float = Field(
        1e-3, gt=0, le=1e3, description="aversion to the variance of unhedged profits, per dollar"
    )
    hedge_tolerance_bps: float = Field(
        50.0,
        gt=0,
        lt=10_000,
        description="most by which the price of a hedge may be worse than the external one, and most that its gas may "
        "cost, basis points of its value",
    )
    look_interval_s: float = Field(2.0, ge=0, le=3_600, description="seconds between two looks at the market")


def new_delta_hedgers(
    settings: DeltaHedgerSettings,
    accounts: list[int],
    access: list[int],
    options: OptionSettings,
    first: int,
    underlying: int,
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``DELTA_HEDGER`` each; numbers as in ``new_option_makers``."""
    rows = np.zeros(len(accounts), DELTA_HEDGER)
    rows["account"], rows["access"] = accounts, access
    rows["first"], rows["underlying"] = first, underlying
    rows["tenors"], rows["series_per_tenor"] = len(options.expiries_days), 2 * options.strikes_per_expiry
    rows["mean_lots"] = settings.size_mean / options.lot_size
    rows["short_share"] = settings.short_share
    rows["arrival_share"] = settings.arrival_share
    rows["price_tolerance"] = settings.price_tolerance_points * 1e-2
    rows["hedging"] = HEDGES.index(settings.hedge)
    rows["relies_on_trades"] = settings.relies_on == "trades"
    rows["risk_aversion"] = settings.risk_aversion
    rows["tolerance"] = settings.hedge_tolerance_bps * 1e-4
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["key"] = [stream_key(seed, f"delta_hedgers/{number}") for number in range(len(accounts))]
    rows["mandates"]["listing"] = -1
    for tenor, days in enumerate(options.expiries_days):
        rows["mandates"]["length"][:, tenor] = round(days * 86_400 * 1e9)
    return rows


@kernel
def _learn(row, feed, log, view, price):
    """Take in the desk's own trades and the fate of its last order."""
    first = max(row.next_trade, log.count - TRADES)
    for number in range(first, view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.maker != row.account and trade.taker != row.account:
            continue
        side = np.int64(-trade.side if trade.maker == row.account else trade.side)
        if trade.instrument == row.underlying:
            row.hedge += side * trade.size
            continue
        for tenor in range(row.tenors):
            mandate = row.mandates[tenor]
            if mandate.listing >= 0 and trade.instrument == mandate.number:
                mandate.position += side * trade.size
                row.units_traded += trade.size * feed.terms[mandate.number].lot_size
    row.next_trade = max(view.trades, first)
    _learn_what_is_held(row, log, view.trades if row.relies_on_trades != 0 else view.cleared)
    learn_fate(row, feed, view, price)


@kernel
def _learn_what_is_held(row, log, until):
    """Take in which options the desk relies on: those of its trades before number ``until``."""
    first = max(row.next_settled, log.count - TRADES)
    for number in range(first, until):
        trade = log.trades[number & (TRADES - 1)]
        if trade.instrument == row.underlying or (trade.maker != row.account and trade.taker != row.account):
            continue
        side = np.int64(-trade.side if trade.maker == row.account else trade.side)
        for tenor in range(row.tenors):
            mandate = row.mandates[tenor]
            if mandate.listing >= 0 and trade.instrument == mandate.number:
                mandate.held += side * trade.size
                row.changed = 1
    row.next_settled = max(until, first)


@kernel
def _meet_client(row, mandate, view, tenor):
    """See whether a tenor has a new expiry, and if so what its client will bring, and when."""
    first = row.first + tenor * row.series_per_tenor
    quotes = view.quotes[first]
    listing = np.int64(quotes.series if quotes.right != 0 else -1)
    if listing == mandate.listing:
        return
    mandate.listing = listing
    row.changed = 1
    mandate.lots = 0
    mandate.position = 0
    mandate.held = 0
    if listing < 0:
        return
    key, draws = row.key, np.uint64(listing)
    place = np.int64(draw_uniform(key, draws, _DRAW_PLACE) * row.series_per_tenor)
    mandate.number = first + min(place, row.series_per_tenor - 1)
    size = np.int64(min(row.mean_lots * draw_exponential(key, draws, _DRAW_SIZE) + 0.5, 1e8))
    mandate.lots = -size if draw_uniform(key, draws, _DRAW_SIDE) < row.short_share else size
    waits = np.int64(row.arrival_share * draw_uniform(key, draws, _DRAW_ARRIVAL) * mandate.length)
    mandate.arrives = quotes.expiry - mandate.length + waits


@kernel
def _look_at_book(row, feed, view, now, price):
    """Greeks of the options that the desk hedges, at the marks' volatilities, and the gap of all it has traded."""
    row.delta = 0.0
    delta_traded = 0.0
    row.gamma = 0.0
    row.variance = 0.0
    weights = 0.0
    held = False
    for tenor in range(row.tenors):
        mandate = row.mandates[tenor]
        if mandate.position != 0:
            held = True
            quotes = view.quotes[mandate.number]
            lot_size = feed.terms[mandate.number].lot_size
            years = max(np.int64(0), quotes.expiry - now) / YEAR_NS
            strike = quotes.strike / (lot_size * MICRO_DOLLARS)
            _, delta, gamma, _, _, _, _ = greeks(price, strike, years, quotes.volatility, quotes.right, 0.0, 0.0)
            units = mandate.held * lot_size
            row.delta += delta * units
            delta_traded += delta * (mandate.position * lot_size)
            row.gamma += gamma * units
            weight = abs(gamma * units)
            row.variance += weight * quotes.volatility * quotes.volatility
            weights += weight
    if weights > 0.0:
        row.variance /= weights
    if held:
        row.looks += 1
        row.total_delta += abs(delta_traded)
        row.total_gap += abs(delta_traded + row.hedge * feed.terms[row.underlying].lot_size)


@kernel
def _rehedge(row, feed, pool, block, outlook, view):
    """Hedge the book if it is time to; returns whether an order was sent."""
    now, price = outlook.decision, outlook.external_price
    gap = -row.delta - row.hedge * feed.terms[row.underlying].lot_size
    if row.hedging == _CLOCK:
        fixed, unit_cost = hedge_costs(row, feed, view, price)
        years = best_interval(fixed, unit_cost, row.gamma, row.variance, price, row.risk_aversion)
        if row.changed == 0 and not clock_due(now, row.last_hedge, np.int64(min(years * YEAR_NS, 1e18))):
            return False
        units = gap
    else:
        units = beyond_band(row, feed, view, price, gap, row.gamma)
    if not send_hedge(row, feed, pool, block, outlook, view, units):
        return False
    row.last_hedge = now
    row.changed = 0
    row.hedges_sent += 1
    return True


@kernel
def _fill(row, mandate, feed, pool, block, outlook, view):
    """Take what is missing of a mandate from the book, if it is within the tolerance; returns whether it was sent."""
    now, price, number = outlook.decision, outlook.external_price, mandate.number
    missing = mandate.lots - mandate.position
    quotes = view.quotes[number]
    if missing == 0 or now < mandate.arrives or quotes.right == 0 or quotes.expiry <= block.time:
        return False
    side = np.int64(BUY if missing > 0 else SELL)
    terms = feed.terms[number]
    filled, average = average_price(quotes, side, abs(missing))
    if filled == 0:
        return False
    strike = quotes.strike / (terms.lot_size * MICRO_DOLLARS)
    years = (quotes.expiry - now) / YEAR_NS
    fair, _, _, vega, _, _, _ = greeks(price, strike, years, quotes.volatility, quotes.right, 0.0, 0.0)
    tip = wallet_tip(feed, view)
    units = filled * terms.lot_size
    gas_usd = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    worst = fair + side * (row.price_tolerance * vega - gas_usd / units)
    surplus = side * (worst - average * terms.tick) * units
    limit = worst / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    if surplus < 0.0 or limit_ticks < 1:
        return False
    max_fee = max(fee_worth(feed, feed.gas.place, gas_usd + surplus, price), view.base_fee + tip)
    send_taking_order(
        pool, feed, row.account, row.access, number, side, filled, limit_ticks, now, block.time, max_fee, tip
    )
    row.orders_sent += 1
    return True


@kernel
def _act(row, feed, log, pool, block, outlook):
    view = feed.views[outlook.newest & (VIEWS - 1)]
    _learn(row, feed, log, view, outlook.external_price)
    for tenor in range(row.tenors):
        _meet_client(row, row.mandates[tenor], view, tenor)
    _look_at_book(row, feed, view, outlook.decision, outlook.external_price)
    if row.pending != 0:
        return
    # One order at a time, and hedges first: who cannot hedge takes nothing on.
    sent = _rehedge(row, feed, pool, block, outlook, view)
    for tenor in range(row.tenors):
        if not sent:
            sent = _fill(row, row.mandates[tenor], feed, pool, block, outlook, view)
    if sent:
        row.pending = 1
        row.sent_at = outlook.decision
        row.landing = block.number


@kernel
def run_desks(rows, feeds, logs, pools, blocks):
    """Let every delta hedger look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            _act(row, feed, logs[0], pools[0], block, outlook)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
