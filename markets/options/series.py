"""Series of options: how they are listed.

Each tenor has one expiry at a time: a call and a put at each strike around the price at which it was listed. They take
fixed places among the venue's instruments; when an expiry has come (:mod:`blockspace.markets.options.settlement`), the
next one of the tenor takes its places. Each series has a running number of its own.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.instruments import OPTION, list_instrument
from blockspace.markets.ledger import ACCOUNTS, INSTRUMENTS, MICRO_DOLLARS
from blockspace.markets.options.black_scholes import CALL, PUT, SERIES, YEAR_NS
from blockspace.markets.options.settings import OptionSettings
from blockspace.network.compilation import kernel

DAY_NS = 86_400 * 10**9
SNAPSHOT_NS = 1_000_000_000
"""Nanoseconds between two looks at the index for the settlement price."""

TENORS = 16
SETTLED = 256
"""Settled series that are kept for whoever records them: a power of two, and at least all that expire in a block."""

TENOR = np.dtype(
    [
        ("length", "i8"),  # ns
        ("expiry", "i8"),  # ns, of the series that are listed
        ("open", "u1"),  # 1 while there are some
        ("snapshots", "i8"),  # of the index that the settlement price is the mean of
        ("taken", "i8"),
        ("sum", "i8"),  # of those taken, micro-dollars per lot
    ],
    align=True,
)

SETTLED_SERIES = np.dtype(
    [
        ("number", "i8"),  # running number of the series
        ("instrument", "i8"),  # its place
        ("tenor", "i8"),
        ("strike", "i8"),  # micro-dollars per lot
        ("right", "i8"),  # CALL or PUT
        ("opened", "i8"),  # ns
        ("expiry", "i8"),
        ("settled", "i8"),  # ns, of the block
        ("price", "i8"),  # settlement price, micro-dollars per lot
        ("payoff", "i8"),  # micro-dollars per lot
        ("lots", "i8"),  # open interest that was settled
    ],
    align=True,
)

OPTIONS = np.dtype(
    [
        # Terms of listing.
        ("first", "i8"),  # number of the first option among the instruments
        ("tenor_count", "i8"),
        ("strikes", "i8"),  # of an expiry
        ("rolls", "u1"),
        ("strike_step", "i8"),  # micro-dollars per lot
        ("spacing", "f8"),
        ("in_deviations", "u1"),  # 1 if the spacing is in standard deviations
        ("lot_size", "f8"),
        ("tenors", TENOR, (TENORS,)),
        ("next_number", "i8"),  # running number of the next series
        # Marks; see marks.py.
        ("variance", "f8"),  # of the log index per year, a moving average
        ("variance_price", "f8"),  # index when it was last looked at
        ("variance_time", "i8"),  # ns
        ("volatility_time", "i8"),  # ns, of the last look at the books
        ("valued_price", "f8"),  # index and time at which options were last valued
        ("valued_time", "i8"),
        ("surface", SERIES, (INSTRUMENTS,)),  # from the first option on
        ("implied", "f8", (INSTRUMENTS,)),  # by strike, while volatilities are brought up to date
        # What has been settled: series n lies at n & (SETTLED - 1).
        ("settled", SETTLED_SERIES, (SETTLED,)),
        ("settled_count", "i8"),
        # By account: bit n is set if it may have lots or orders of instrument n, an option.
        ("touched", "u8", (ACCOUNTS,)),
    ],
    align=True,
)


def open_options(venues: npt.NDArray[Any], settings: OptionSettings, price_usd: float, volatility: float) -> None:
    """Take places for options behind the instruments that are listed, and list the first series at time 0.

    Raises
    ------
    ValueError
        If the places do not suffice.
    """
    venue = venues[0]
    options = venue["options"]
    options["first"] = venue["count"]
    options["tenor_count"] = len(settings.expiries_days)
    options["strikes"] = settings.strikes_per_expiry
    options["rolls"] = settings.roll
    options["strike_step"] = settings.strike_step
    options["spacing"] = settings.strike_spacing
    options["in_deviations"] = settings.strike_spacing_unit == "deviations"
    options["lot_size"] = settings.lot_size
    options["variance"] = volatility**2
    options["variance_price"] = price_usd
    for number, days in enumerate(settings.expiries_days):
        tenor = options["tenors"][number]
        tenor["length"] = tenor["expiry"] = round(days * DAY_NS)
        window = min(settings.settlement_window_s * SNAPSHOT_NS, int(tenor["length"]) // 4)
        tenor["snapshots"] = max(window // SNAPSHOT_NS, 1)
    for _ in range(settings.count):
        number = list_instrument(
            venues,
            "option",
            tick_lot_value=settings.tick_lot_value,
            lot_size=settings.lot_size,
            initial_margin_ppm=round(settings.initial_share * 1e6),
            maker_fee_ppm=round(settings.maker_fee_bps * 100),
            taker_fee_ppm=round(settings.taker_fee_bps * 100),
            impact_lots=1,
        )
        instrument = venue["instruments"][number]
        instrument["initial_minimum_ppm"] = round(settings.initial_minimum * 1e6)
        instrument["maintenance_share_ppm"] = round(settings.maintenance_share * 1e6)
        instrument["maintenance_minimum_ppm"] = round(settings.maintenance_minimum * 1e6)
        instrument["portfolio_minimum_ppm"] = round(settings.portfolio_minimum * 1e6)
    _list_first(venues, price_usd)


@kernel
def _list_first(venues, price):
    for tenor in range(venues[0].options.tenor_count):
        list_tenor(venues[0], tenor, np.int64(0), price)


@kernel
def tenor_places(options, tenor):
    """First instrument of a tenor, and the one after its last. Strikes ascend, each with its call and then its put."""
    first = options.first + tenor * options.strikes * 2
    return first, first + options.strikes * 2


@kernel
def list_tenor(venue, tenor, time, price):
    """List the series of a tenor for its expiry around ``price`` (dollars), at the volatility of the index."""
    options = venue.options
    term = options.tenors[tenor]
    term.open = 1
    term.taken = 0
    term.sum = 0
    volatility = math.sqrt(options.variance)
    width = math.log1p(options.spacing)
    if options.in_deviations != 0:
        width = options.spacing * volatility * math.sqrt((term.expiry - time) / YEAR_NS)
    middle = options.strikes // 2
    steps_per_dollar = options.lot_size * MICRO_DOLLARS / options.strike_step
    centre = max(np.int64(round(price * steps_per_dollar)), middle + 1)
    first, _ = tenor_places(options, tenor)
    steps = centre
    for above in range(middle + 1):
        if above > 0:
            steps = max(np.int64(round(price * math.exp(width * above) * steps_per_dollar)), steps + 1)
        _list_strike(venue, tenor, first + 2 * (middle + above), steps * options.strike_step, volatility, time)
    steps = centre
    for below in range(1, middle + 1):
        wanted = np.int64(round(price * math.exp(-width * below) * steps_per_dollar))
        steps = max(min(wanted, steps - 1), middle - below + 1)
        _list_strike(venue, tenor, first + 2 * (middle - below), steps * options.strike_step, volatility, time)
    options.next_number += 2 * options.strikes


@kernel
def _list_strike(venue, tenor, number, strike, volatility, time):
    """List the call and the put of a strike in two neighbouring places."""
    options = venue.options
    first, _ = tenor_places(options, tenor)
    for side in range(2):
        instrument = venue.instruments[number + side]
        instrument.strike = strike
        instrument.expiry = options.tenors[tenor].expiry
        instrument.right = CALL if side == 0 else PUT
        instrument.series = options.next_number + number + side - first
        instrument.opened = time
        instrument.closed = 0
        instrument.volatility = volatility
        series = options.surface[number + side - options.first]
        series.strike = strike / (options.lot_size * MICRO_DOLLARS)
        series.expiry = instrument.expiry
        series.kind = instrument.right


@kernel
def is_tradable(venue, number, decided):
    """Whether an order that was decided at a time (ns) can be meant for what is listed in a place now."""
    instrument = venue.instruments[number]
    if instrument.kind != OPTION:
        return True
    return instrument.closed == 0 and (instrument.opened == 0 or decided >= instrument.opened)


@kernel
def touch(venue, account, number):
    """Remember that an account may have lots or orders of an option."""
    venue.options.touched[account] |= np.uint64(1) << np.uint64(number)


@kernel
def has_touched(venue, account, number):
    """Whether an account may have lots or orders of an option."""
    return (venue.options.touched[account] >> np.uint64(number)) & np.uint64(1) != np.uint64(0)
