"""Instruments: what a venue lists, and the handles under which its accounts place orders."""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.ledger import INSTRUMENTS
from blockspace.markets.matching import open_book

SPOT, PERPETUAL, OPTION = range(3)
INSTRUMENT_KINDS = ("spot", "perpetual", "option")

SCENARIOS = 14
"""Scenarios of price and volatility in which a portfolio is revalued for its margin."""

HANDLES = 16
"""Orders that one account can have resting in a book: its handles are ``HANDLES * account`` and the next ones."""

TAKER_HANDLE = HANDLES - 1
"""Last handle of an account, by convention free for orders that never rest."""

INSTRUMENT = np.dtype(
    [
        ("kind", "u1"),
        ("tick_lot_value", "i8"),  # micro-dollars per tick and lot
        ("lot_size", "f8"),  # units of the underlying per lot
        ("initial_margin_ppm", "i8"),  # of the position's value at mark; of a short option: of the index
        ("index", "i8"),  # micro-dollars per lot: external price as the venue's oracle reports it
        ("mark", "i8"),  # micro-dollars per lot: what positions are valued at
        ("changes", "i8", (SCENARIOS,)),  # of the value of a lot in each scenario, micro-dollars (portfolio margin)
        ("basis", "f8"),  # moving average of (mid - index) / index
        ("basis_time", "i8"),  # ns, of the last update of the basis
        ("premium_sum", "f8"),  # premium samples since the last funding
        ("premium_samples", "i8"),
        ("next_sample", "i8"),  # ns
        ("next_funding", "i8"),  # ns
        ("funding_rate", "f8"),  # last rate paid, per funding interval
        ("impact_lots", "i8"),  # lots for which the premium's impact prices are taken
        # Options: the series that is listed in this place.
        ("series", "i8"),  # running number
        ("strike", "i8"),  # micro-dollars per lot
        ("expiry", "i8"),  # ns
        ("right", "i8"),  # +1 call, -1 put
        ("opened", "i8"),  # ns: what was decided earlier was meant for another series
        ("closed", "u1"),  # 1 once it has expired and none has followed
        ("volatility", "f8"),  # at which it is marked, per square root of a year
        # Shares of the index that a short option needs; the initial one at the money is `initial_margin_ppm`.
        ("initial_minimum_ppm", "i8"),
        ("maintenance_share_ppm", "i8"),
        ("maintenance_minimum_ppm", "i8"),
        ("portfolio_minimum_ppm", "i8"),
    ],
    align=True,
)


def list_instrument(
    venues: npt.NDArray[Any],
    kind: str,
    tick_lot_value: int,
    lot_size: float,
    initial_margin_ppm: int,
    maker_fee_ppm: int,
    taker_fee_ppm: int,
    impact_lots: int,
) -> int:
    """Add an instrument with an empty book and return its number.

    Raises
    ------
    ValueError
        If all ``INSTRUMENTS`` places are taken.
    """
    venue = venues[0]
    number = int(venue["count"])
    if number >= INSTRUMENTS:
        raise ValueError(f"a venue lists at most {INSTRUMENTS} instruments; ask for fewer")
    open_book(
        venue["books"][number],
        maker_fee_ppm=maker_fee_ppm,
        taker_fee_ppm=taker_fee_ppm,
        tick_lot_value=tick_lot_value,
        instrument=number,
    )
    instrument = venue["instruments"][number]
    instrument["kind"] = INSTRUMENT_KINDS.index(kind)
    instrument["tick_lot_value"] = tick_lot_value
    instrument["lot_size"] = lot_size
    instrument["initial_margin_ppm"] = initial_margin_ppm
    instrument["impact_lots"] = impact_lots
    venue["count"] = number + 1
    return number
