"""Marks of options: the volatility of each strike, and the value of each series at it.

Volatilities are looked at once a second. A strike that is quoted on both sides tends to the volatility at which its mid
is the value of Black and Scholes: of the option that is out of the money if that one is quoted, else of the other.
A strike that is not quoted tends to what lies between its quoted neighbours of the same expiry, and
where nothing is quoted to the realised volatility of the index. It goes there with a memory of a minute, as if the
target were never further away than a quarter of where it is, so that nobody moves it far by a quote that nobody takes.
Call and put of a strike have one volatility: their marks obey parity.

Options are valued anew when the index has moved by a tenth of a basis point or a second has passed, all in
one call; their index is that of the last valuation.
"""

import math

import numpy as np

from blockspace.markets.instruments import SCENARIOS
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.margin import PORTFOLIO
from blockspace.markets.options.black_scholes import YEAR_NS, greeks
from blockspace.markets.options.black_scholes import revalue as value_surface
from blockspace.markets.options.implied_volatility import implied_volatility_of
from blockspace.markets.options.series import SNAPSHOT_NS, list_tenor, tenor_places
from blockspace.markets.options.settings import HIGHEST_VOLATILITY, LOWEST_VOLATILITY
from blockspace.markets.options.settlement import settle_tenor
from blockspace.markets.price_path import price_at
from blockspace.network.compilation import kernel

VARIANCE_INTERVAL_NS = 60_000_000_000
VARIANCE_MEMORY_NS = 6 * 3_600e9
VOLATILITY_INTERVAL_NS = 1_000_000_000
VOLATILITY_MEMORY_NS = 60e9
FURTHEST_TARGET = 0.25
NOTICEABLE_MOVE = 1e-5
NOTICEABLE_TIME_NS = 1_000_000_000


@kernel
def revalue_options(venue, log, path, time, price):
    """Bring all options up to a time (ns) at which the index is ``price`` (dollars per unit)."""
    options = venue.options
    if options.tenor_count == 0:
        return
    rolled = _expire(venue, log, path, time, price)
    _measure_variance(options, price, time)
    looked = False
    if time - options.volatility_time >= VOLATILITY_INTERVAL_NS:
        _move_volatilities(venue, price, time)
        looked = True
    moved = abs(price - options.valued_price) > NOTICEABLE_MOVE * options.valued_price
    if rolled or looked or moved or time - options.valued_time >= NOTICEABLE_TIME_NS:
        value_options(venue, price, time)


@kernel
def _expire(venue, log, path, time, price):
    """Look at the index for settlements that are near, settle what has expired, and list what follows it."""
    options = venue.options
    rolled = False
    for tenor in range(options.tenor_count):
        term = options.tenors[tenor]
        if term.open == 0:
            continue
        while term.taken < term.snapshots:
            at = term.expiry - (term.snapshots - 1 - term.taken) * SNAPSHOT_NS
            if at > time:
                break
            seen = venue.reported * 1e-6 if venue.on_chain_oracle != 0 else price_at(path, at - venue.oracle_delay)
            term.sum += np.int64(round(seen * options.lot_size * MICRO_DOLLARS))
            term.taken += 1
        if time >= term.expiry:
            settle_tenor(venue, log, tenor, time)
            rolled = True
            if options.rolls != 0:
                while term.expiry <= time:
                    term.expiry += term.length
                list_tenor(venue, tenor, time, price)
    return rolled


@kernel
def _measure_variance(options, price, time):
    """Keep the moving average of the variance of the index, from its moves over a minute and more."""
    since = time - options.variance_time
    if since < VARIANCE_INTERVAL_NS:
        return
    move = math.log(price / options.variance_price)
    weight = 1.0 - math.exp(-since / VARIANCE_MEMORY_NS)
    options.variance += weight * (move * move / (since / YEAR_NS) - options.variance)
    options.variance = min(max(options.variance, LOWEST_VOLATILITY**2), HIGHEST_VOLATILITY**2)
    options.variance_price = price
    options.variance_time = time


@kernel
def _volatility_of_mid(venue, number, price, years):
    """Volatility at which the mid of an option's book is its value; 0 where a side is empty or none is."""
    book = venue.books[number]
    if book.best_bid <= 0 or book.best_ask >= len(book.levels):
        return 0.0
    options = venue.options
    series = options.surface[number - options.first]
    value = 0.5 * (book.best_bid + book.best_ask) * venue.instruments[number].tick_lot_value
    mid = value / (options.lot_size * MICRO_DOLLARS)
    return max(implied_volatility_of(mid, price, series.strike, years, series.kind, 0.0, 0.0), 0.0)


@kernel
def _move_volatilities(venue, price, time):
    """Let the volatility of every strike go a part of its way to what the books say."""
    options = venue.options
    weight = 1.0 - math.exp(-(time - options.volatility_time) / VOLATILITY_MEMORY_NS)
    options.volatility_time = time
    for tenor in range(options.tenor_count):
        if options.tenors[tenor].open == 0:
            continue
        years = (options.tenors[tenor].expiry - time) / YEAR_NS
        first, _ = tenor_places(options, tenor)
        for strike in range(options.strikes):
            call = first + 2 * strike
            out_of_the_money = call if options.surface[call - options.first].strike >= price else call + 1
            implied = _volatility_of_mid(venue, out_of_the_money, price, years)
            if implied == 0.0:
                implied = _volatility_of_mid(venue, 2 * call + 1 - out_of_the_money, price, years)
            options.implied[strike] = implied
        for strike in range(options.strikes):
            target = options.implied[strike]
            if target == 0.0:
                target = _volatility_between(options, first, strike)
            for number in range(first + 2 * strike, first + 2 * strike + 2):
                instrument = venue.instruments[number]
                now = instrument.volatility
                near = min(max(target, now * (1.0 - FURTHEST_TARGET)), now * (1.0 + FURTHEST_TARGET))
                moved = now + weight * (near - now)
                instrument.volatility = min(max(moved, LOWEST_VOLATILITY), HIGHEST_VOLATILITY)


@kernel
def _volatility_between(options, first, strike):
    """Volatility of a strike without quotes: on the line between its quoted neighbours, else that of the index."""
    below = strike - 1
    while below >= 0 and options.implied[below] == 0.0:
        below -= 1
    above = strike + 1
    while above < options.strikes and options.implied[above] == 0.0:
        above += 1
    if below < 0 and above == options.strikes:
        return math.sqrt(options.variance)
    if below < 0:
        return options.implied[above]
    if above == options.strikes:
        return options.implied[below]
    place = first - options.first
    low = options.surface[place + 2 * below].strike
    high = options.surface[place + 2 * above].strike
    share = (options.surface[place + 2 * strike].strike - low) / (high - low)
    return options.implied[below] + share * (options.implied[above] - options.implied[below])


@kernel
def value_options(venue, price, time):
    """Set index and mark of all options, and what their lots would be worth in the scenarios of portfolio margin."""
    options = venue.options
    count = venue.count - options.first
    micro_dollars = options.lot_size * MICRO_DOLLARS
    for place in range(count):
        options.surface[place].volatility = venue.instruments[options.first + place].volatility
    value_surface(options.surface[:count], price, time, 0.0, 0.0)
    for place in range(count):
        instrument = venue.instruments[options.first + place]
        instrument.index = np.int64(round(price * micro_dollars))
        if instrument.closed != 0:
            continue
        instrument.mark = np.int64(round(options.surface[place].value * micro_dollars))
        if venue.margin.mode == PORTFOLIO:
            _value_in_scenarios(venue, instrument, options.surface[place], price, time, micro_dollars)
    options.valued_price = price
    options.valued_time = time


@kernel
def _value_in_scenarios(venue, instrument, series, price, time, micro_dollars):
    years = max(np.int64(0), series.expiry - time) / YEAR_NS
    for scenario in range(SCENARIOS):
        moved = price * (1.0 + venue.margin.price_moves[scenario])
        volatility = series.volatility * (1.0 + venue.margin.volatility_moves[scenario])
        value = greeks(moved, series.strike, years, volatility, series.kind, 0.0, 0.0)[0]
        instrument.changes[scenario] = np.int64(round(value * micro_dollars)) - instrument.mark


@kernel
def mark_first(venues, price):
    """Value the options that have just been listed, at time 0."""
    value_options(venues[0], price, np.int64(0))
