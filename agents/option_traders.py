"""Traders of options with private values: they hedge, bet or earn premium for reasons of their own.

Each wakes at random moments (a Poisson process drawn per trader), wants one series or a combination, to buy or to sell,
and takes its value at the venue's mark volatility and the external price of the moment for fair. It trades if premium,
fee and gas are less away from that than the trade is worth to it: so many points of volatility, or per cent of the
premium, drawn anew each time. Combinations (a vertical, a straddle or a calendar) go in one transaction and trade in
full or not at all; what they are worth is counted over all legs, whatever their signs. In batch auctions, which refuse
combinations, those traders take single series.
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, lots_within, send_taking_order
from blockspace.agents.traders import DRAW_GAP, DRAW_SIDE, DRAW_VALUE, draw_size, sleep
from blockspace.markets.feed import VIEWS, view_at, wallet_tip
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.options.black_scholes import YEAR_NS, greeks
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.price_path import price_at
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.transaction import COMBINATION, LEGS, NEVER

OPTION_TRADER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("first", "i8"),  # number of the first series
        ("tenors", "i8"),
        ("strikes", "i8"),
        ("rate", "f8"),  # wake-ups per second
        ("mean_lots", "f8"),
        ("size_sigma", "f8"),  # of log size
        ("value", "f8"),  # mean private value: volatility, or a fraction of the premium
        ("in_volatility", "u1"),
        ("buyer_share", "f8"),
        ("combination_share", "f8"),
        ("patience", "i8"),  # ns
        ("key", "u8"),
        ("next_wake", "i8"),  # ns
        ("wakes", "i8"),
        ("legs", "i8", (2 * LEGS,)),  # what it wants now: instrument and lots per unit of each leg
        ("sent", "i8"),
        ("combinations_sent", "i8"),
        ("balked", "i8"),
    ],
    align=True,
)

# Draws of a trader at one wake-up, by index, beyond those of other traders.
_DRAW_PLACE, _DRAW_COMBINED, _DRAW_KIND, _DRAW_RIGHT = np.arange(5, 9)


class OptionTraderSettings(Settings):
    """Buyers and sellers of options with reasons of their own."""

    count: int = Field(0, ge=0, le=10_000, description="number of option traders")
    orders_per_s: float = Field(
        0.05, ge=0, le=1e5, description="times per second, all of them together, that one of them considers a trade"
    )
    size_mean: float = Field(1.0, gt=0, le=1e6, description="mean size of an order, units of the underlying")
    size_variation: float = Field(1.0, ge=0, le=10, description="coefficient of variation of the size")
    value_unit: Literal["volatility_points", "percent"] = Field(
        "volatility_points", description="whether private values are points of volatility or per cent of the premium"
    )
    value_mean: float = Field(
        5.0, gt=0, le=1e4, description="mean private value of a trade, in value_unit (exponential)"
    )
    patience_s: float = Field(
        30.0, gt=0, le=1e6, description="seconds after which an order that is not included lapses"
    )
    buyer_share: float = Field(0.6, ge=0, le=1, description="share of trades that are to buy options")
    combination_share: float = Field(
        0.2, ge=0, le=1, description="share of trades that are verticals, straddles or calendars"
    )


def new_option_traders(
    settings: OptionTraderSettings,
    accounts: list[int],
    access: list[int],
    options: OptionSettings,
    first: int,
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``OPTION_TRADER`` each, with the first wake-up drawn."""
    rows = np.zeros(len(accounts), OPTION_TRADER)
    rows["account"], rows["access"], rows["first"] = accounts, access, first
    rows["tenors"], rows["strikes"] = len(options.expiries_days), options.strikes_per_expiry
    rows["rate"] = settings.orders_per_s / max(len(accounts), 1)
    rows["mean_lots"] = settings.size_mean / options.lot_size
    rows["size_sigma"] = math.sqrt(math.log(1.0 + settings.size_variation**2))
    rows["in_volatility"] = settings.value_unit == "volatility_points"
    rows["value"] = settings.value_mean * 1e-2
    rows["buyer_share"] = settings.buyer_share
    rows["combination_share"] = settings.combination_share
    rows["patience"] = int(settings.patience_s * 1e9)
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"option_traders/{number}")
        gap = draw_exponential(row["key"], 0, DRAW_GAP)
        row["next_wake"] = int(gap / row["rate"] * 1e9) if row["rate"] > 0 else NEVER
    return rows


@kernel
def _pick(draw, count):
    """One of ``count`` numbers by a uniform draw."""
    return min(np.int64(draw * count), count - 1)


@kernel
def _want_combination(row, view):
    """Legs of a vertical, a straddle or a calendar, as far as the listed strikes and tenors allow."""
    draw = draw_uniform(row.key, row.wakes, _DRAW_PLACE)
    kind = _pick(draw_uniform(row.key, row.wakes, _DRAW_KIND), np.int64(3))
    right = _pick(draw_uniform(row.key, row.wakes, _DRAW_RIGHT), np.int64(2))
    legs = row.legs
    if kind == 0 and row.strikes > 1:  # neighbouring strikes: the one nearer to the money is bought
        place = _pick(draw, row.tenors * (row.strikes - 1))
        lower = row.first + 2 * (place // (row.strikes - 1) * row.strikes + place % (row.strikes - 1)) + right
        legs[0], legs[2] = (lower, lower + 2) if right == 0 else (lower + 2, lower)
        legs[3] = -1
    elif kind == 2 and row.tenors > 1:  # the tenor that expires later is bought
        place = _pick(draw, (row.tenors - 1) * row.strikes)
        one = row.first + 2 * place + right
        other = one + 2 * row.strikes
        legs[0], legs[2] = (one, other) if view.quotes[one].expiry > view.quotes[other].expiry else (other, one)
        legs[3] = -1
    else:
        legs[0] = row.first + 2 * _pick(draw, row.tenors * row.strikes)
        legs[2] = legs[0] + 1
        legs[3] = 1
    legs[1] = 1


@kernel
def _want(row, feed, view):
    """Draw what the trader wants; returns how many legs it has. Signs are those of a purchase."""
    for place in range(2 * LEGS):
        row.legs[place] = 0
    combined = draw_uniform(row.key, row.wakes, _DRAW_COMBINED) < row.combination_share
    if combined and feed.rules.batching == 0:
        _want_combination(row, view)
        return 2
    draw = draw_uniform(row.key, row.wakes, _DRAW_PLACE)
    row.legs[0] = row.first + _pick(draw, 2 * row.tenors * row.strikes)
    row.legs[1] = 1
    return 1


@kernel
def _worth_of(row, feed, view, count, time, price, value):
    """Fair value of the legs in dollars per unit, what they are worth beyond it, and when the first of them expires.

    The expiry is 0 if one of them is not listed or has expired.
    """
    fair = 0.0
    base = 0.0
    expiry = np.int64(NEVER)
    for leg in range(count):
        number = row.legs[2 * leg]
        quotes = view.quotes[number]
        if quotes.right == 0 or quotes.expiry <= time:
            return 0.0, 0.0, np.int64(0)
        expiry = min(expiry, quotes.expiry)
        strike = quotes.strike / (feed.terms[number].lot_size * MICRO_DOLLARS)
        years = (quotes.expiry - time) / YEAR_NS
        worth, _, _, vega, _, _, _ = greeks(price, strike, years, quotes.volatility, quotes.right, 0.0, 0.0)
        fair += row.legs[2 * leg + 1] * worth
        base += vega if row.in_volatility != 0 else worth
    return fair, value * base, expiry


@kernel
def _trade_series(row, feed, pool, view, time, price, side, size, fair, private, expires):
    """Take what is visible of one series, up to the price at which the trade is worth nothing any more."""
    number = row.legs[0]
    terms = feed.terms[number]
    quotes = view.quotes[number]
    tip = wallet_tip(feed, view)
    units = size * terms.lot_size
    gas_usd = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    limit = (fair + side * (private - gas_usd / units)) / (1.0 + side * terms.taker_fee) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(max(math.ceil(limit), 1))
    lots, _ = lots_within(quotes, side, limit_ticks)
    if lots == 0 or private * units <= gas_usd:
        return False
    filled, average = average_price(quotes, side, size)
    paid = average * terms.tick
    surplus = (side * (fair - paid) + private - terms.taker_fee * paid) * filled * terms.lot_size
    max_fee = max(fee_worth(feed, feed.gas.place, surplus, price), view.base_fee + tip)
    send_taking_order(pool, feed, row.account, row.access, number, side, size, limit_ticks, time, expires, max_fee, tip)
    return True


@kernel
def _trade_combination(row, feed, pool, view, time, price, side, size, count, fair, private, expires):
    """Send all legs together if they cost less than they are worth on what is visible."""
    tip = wallet_tip(feed, view)
    cost = 0.0
    fees = 0.0
    units = 0.0
    for leg in range(count):
        number = row.legs[2 * leg]
        terms = feed.terms[number]
        direction = np.int64(side * row.legs[2 * leg + 1])
        filled, average = average_price(view.quotes[number], direction, size)
        if filled < size:
            return False
        units = size * terms.lot_size
        cost += direction * average * terms.tick * units
        fees += terms.taker_fee * average * terms.tick * units
    gas = feed.gas.place + count * feed.gas.leg
    gas_usd = gas_cost_usd(feed, gas, view.base_fee + tip, price)
    most = (side * fair + private) * units - fees - gas_usd
    if cost > most:
        return False
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = COMBINATION
    transaction.sender = row.account
    transaction.access = row.access
    transaction.instrument = row.legs[0]
    for place in range(LEGS):
        transaction.ladder[2 * place] = row.legs[2 * place]
        transaction.ladder[2 * place + 1] = side * row.legs[2 * place + 1]
    transaction.size = size
    transaction.bound = np.int64(math.floor(most * MICRO_DOLLARS))
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = time
    transaction.expires = expires
    transaction.max_fee = max(fee_worth(feed, gas, most - cost + gas_usd, price), view.base_fee + tip)
    transaction.tip = tip
    mempool.submit(pool, slot)
    row.combinations_sent += 1
    return True


@kernel
def _consider(row, feed, pool, path):
    time = row.next_wake
    price = price_at(path, time)
    view = feed.views[view_at(feed, np.int64(row.access), time) & (VIEWS - 1)]
    side = np.int64(BUY if draw_uniform(row.key, row.wakes, DRAW_SIDE) < row.buyer_share else SELL)
    value = row.value * draw_exponential(row.key, row.wakes, DRAW_VALUE)
    count = _want(row, feed, view)
    fair, private, expiry = _worth_of(row, feed, view, count, time, price, value)
    size = draw_size(row)
    expires = min(time + row.patience, expiry - 1)
    if expiry == 0:
        sent = False
    elif count > 1:
        sent = _trade_combination(row, feed, pool, view, time, price, side, size, count, fair, private, expires)
    else:
        sent = _trade_series(row, feed, pool, view, time, price, side, size, fair, private, expires)
    if sent:
        row.sent += 1
    else:
        row.balked += 1


@kernel
def trade_options(rows, feeds, pools, paths, blocks):
    """Let every option trader who wakes before the coming block decide."""
    feed = feeds[0]
    until = blocks[0].time
    for number in range(rows.size):
        row = rows[number]
        while row.next_wake <= until:
            _consider(row, feed, pools[0], paths[0])
            sleep(row)
        feed.next_due = min(feed.next_due, row.next_wake)
