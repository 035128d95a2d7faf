"""What is remembered of options: series and what became of them, and the state of their books now and then.

A row for each block and series would be too much: the books of all series are looked at every
``options.record_every_s`` seconds, in rows of their own. Their trades are on the tape like all others.
"""

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.scenario import Scenario
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.options.black_scholes import CALL, YEAR_NS
from blockspace.markets.options.implied_volatility import implied_volatility_of
from blockspace.markets.options.series import SETTLED, SETTLED_SERIES
from blockspace.markets.options.settings import OptionSettings, tenor_name
from blockspace.network.compilation import kernel
from blockspace.network.state import Pieces, Stateful

OPTION_ROW = np.dtype(
    [
        ("time_s", "f8"),
        ("series", "i8"),  # running number
        ("instrument", "i8"),  # its place
        ("mark_usd", "f8"),  # dollars per unit
        ("index_usd", "f8"),
        ("volatility", "f8"),  # of the mark, per square root of a year
        ("best_bid_usd", "f8"),
        ("best_ask_usd", "f8"),
        ("bid_volatility", "f8"),  # at which the best bid is the value of Black and Scholes; NaN if there is none
        ("ask_volatility", "f8"),
        ("open_interest", "f8"),  # units
    ],
    align=True,
)


@kernel
def observe_options(rows, venues, time):
    """Write what the books of all series look like into one row each; returns how many are listed."""
    venue = venues[0]
    options = venue.options
    count = 0
    for number in range(options.first, venue.count):
        instrument = venue.instruments[number]
        if instrument.closed != 0:
            continue
        row = rows[count]
        count += 1
        book = venue.books[number]
        scale = 1.0 / (options.lot_size * MICRO_DOLLARS)
        tick = instrument.tick_lot_value * scale
        row.time_s = time * 1e-9
        row.series = instrument.series
        row.instrument = number
        row.mark_usd = instrument.mark * scale
        row.index_usd = instrument.index * scale
        row.volatility = instrument.volatility
        row.best_bid_usd = book.best_bid * tick if book.best_bid > 0 else math.nan
        row.best_ask_usd = book.best_ask * tick if book.best_ask < len(book.levels) else math.nan
        years = max(instrument.expiry - time, np.int64(0)) / YEAR_NS
        strike = instrument.strike * scale
        row.bid_volatility = _implied(row.best_bid_usd, row.index_usd, strike, years, instrument.right)
        row.ask_volatility = _implied(row.best_ask_usd, row.index_usd, strike, years, instrument.right)
        lots = np.int64(0)
        for account in range(venue.ledger.count):
            lots += max(venue.ledger.accounts[account].position[number], np.int64(0))
        row.open_interest = lots * options.lot_size
    return count


@kernel
def _implied(price, spot, strike, years, right):
    if math.isnan(price):
        return math.nan
    volatility = implied_volatility_of(price, spot, strike, years, right, 0.0, 0.0)
    return volatility if volatility >= 0.0 else math.nan


def series_name(settings: OptionSettings, tenor: int, strike: int, right: int) -> str:
    """Name of a series: underlying, tenor in days or hours, strike in dollars, call or put; as in ``ETH-7D-2100-C``."""
    length = tenor_name(settings.expiries_days[tenor])
    strike_usd = strike / (settings.lot_size * MICRO_DOLLARS)
    return f"{settings.underlying.partition('-')[0]}-{length}-{strike_usd:.9g}-{'C' if right == CALL else 'P'}"


class OptionRecords(Stateful):
    """What a world remembers of its options.

    Parameters
    ----------
    scenario
        The scenario of the world.
    venues
        The world's venue.
    """

    CONSTANTS: ClassVar = ("settings", "_venues", "_options", "_rows_now")

    def __init__(self, scenario: Scenario, venues: npt.NDArray[Any]) -> None:
        self.settings = scenario.options
        self._venues = venues
        self._options = venues["options"]
        self._rows_now = np.zeros(scenario.options.count, OPTION_ROW)
        self._interval_ns = int(scenario.options.record_every_s * 1e9)
        self._next_look = 0
        self._rows = Pieces()
        self._settled = Pieces()
        self._settled_count = 0

    def record(self, time: int) -> None:
        """Take in what the block at a time (ns) has settled, and look at the books if it is time to."""
        count = int(self._options["settled_count"][0])
        if count > self._settled_count:
            places = np.arange(self._settled_count, count) & (SETTLED - 1)
            self._settled.append(self._options["settled"][0, places])
            self._settled_count = count
        if time >= self._next_look:
            listed = observe_options(self._rows_now, self._venues, time)
            self._rows.append(self._rows_now[:listed].copy())
            self._next_look = (time // self._interval_ns + 1) * self._interval_ns

    def forget(self) -> None:
        """Let go of all observations but the last."""
        del self._rows.arrays[:-1]

    def latest(self) -> npt.NDArray[Any]:
        """Rows of all series as they were observed last, of type ``OPTION_ROW``."""
        return self._rows.arrays[-1] if self._rows.arrays else self._rows_now[:0]

    def series_rows(self) -> npt.NDArray[Any]:
        """All series so far by number, of type ``SETTLED_SERIES``; ``settled`` is 0 while they live."""
        options = self._options[0]
        first, strikes = int(options["first"]), int(options["strikes"])
        instruments = self._venues[0]["instruments"]
        end = first + self.settings.count if strikes else first
        numbers = [number for number in range(first, end) if not instruments["closed"][number]]
        live = np.zeros(len(numbers), SETTLED_SERIES)
        for row, number in zip(live, numbers, strict=True):
            row["number"] = instruments["series"][number]
            row["instrument"] = number
            row["tenor"] = (number - first) // (2 * strikes)
            for name in ("strike", "right", "opened", "expiry"):
                row[name] = instruments[name][number]
            row["lots"] = np.maximum(self._venues[0]["ledger"]["accounts"]["position"][:, number], 0).sum()
        rows = np.concatenate([*self._settled.arrays, live])
        return rows[np.argsort(rows["number"])]

    def names(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
        """Names of series."""
        return np.array(
            [series_name(self.settings, int(row["tenor"]), int(row["strike"]), int(row["right"])) for row in rows], str
        )

    def listed_at(
        self, instruments: npt.NDArray[Any], times: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int64]]:
        """Names and running numbers of the series that were listed in places at times (ns); "" and -1 elsewhere."""
        names = np.zeros(len(instruments), "U40")
        numbers = np.full(len(instruments), -1)
        series = self.series_rows()
        all_names = self.names(series)
        for place in np.unique(instruments):
            here = series["instrument"] == place
            if here.any():
                asked = instruments == place
                which = np.searchsorted(series["opened"][here], times[asked], side="right") - 1
                names[asked] = all_names[here][which]
                numbers[asked] = series["number"][here][which]
        return names, numbers

    def series(self) -> pd.DataFrame:
        """One row per series, in the order of their numbers."""
        rows = self.series_rows()
        per_unit = 1.0 / (self.settings.lot_size * MICRO_DOLLARS)
        settled = rows["settled"] > 0
        return pd.DataFrame(
            {
                "number": rows["number"],
                "name": self.names(rows),
                "instrument": rows["instrument"],
                "tenor_days": np.array(self.settings.expiries_days)[rows["tenor"]] if len(rows) else np.zeros(0),
                "strike_usd": rows["strike"] * per_unit,
                "kind": np.where(rows["right"] == CALL, "call", "put"),
                "listed_s": rows["opened"] * 1e-9,
                "expiry_s": rows["expiry"] * 1e-9,
                "settled_s": np.where(settled, rows["settled"] * 1e-9, np.nan),
                "settlement_price_usd": np.where(settled, rows["price"] * per_unit, np.nan),
                "payoff_usd": np.where(settled, rows["payoff"] * per_unit, np.nan),
                "open_interest": rows["lots"] * self.settings.lot_size,
            }
        )

    def rows(self) -> npt.NDArray[Any]:
        """All looks at the books, of type ``OPTION_ROW``."""
        return np.concatenate([np.zeros(0, OPTION_ROW), *self._rows.arrays])
