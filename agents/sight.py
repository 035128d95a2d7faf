"""What an agent in plain Python sees: the view of the market that could have reached it, options included."""

from typing import Any, NamedTuple

import numpy as np

from blockspace.markets.feed import VIEWS
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.margin import DUE


class VisibleOption(NamedTuple):
    """A series of options as it is seen: terms and mark."""

    instrument: int
    """Number under which it trades."""
    series: int
    """Running number: another series takes the place when this one has expired."""
    kind: str
    """``"call"`` or ``"put"``."""
    strike_usd: float
    expiry_s: float
    """Seconds from the start of the run."""
    mark_usd: float
    """Dollars per unit of the underlying, as are strike and index."""
    index_usd: float
    volatility: float
    """Of the mark, per square root of a year."""


class VisibleDebtor(NamedTuple):
    """An account below maintenance as it is seen, with the position that can be taken over."""

    account: int
    instrument: int
    lots: int
    """Of the position; negative if it is short."""
    equity_usd: float
    maintenance_usd: float


class Sight:
    """What is visible at an access point at the last moment to decide; shared by all who sit there.

    Parameters
    ----------
    feed
        Record of the feed.
    access
        Number of the access point.
    """

    __slots__ = ("_due", "_options", "_pools", "_prices", "_view", "base_fee", "decision_ns", "external_price", "fresh")

    def __init__(self, feed: np.void, access: int) -> None:
        self.decision_ns, newest, self.external_price, self.fresh = feed["outlooks"][access].item()
        self._view = feed["views"][newest & (VIEWS - 1)]
        self._pools = feed["pools"][newest & (VIEWS - 1)]
        self._due = feed["due"][newest & (VIEWS - 1)]
        self.base_fee = int(self._view["base_fee"])
        self._prices: dict[tuple[int, str], list[int]] = {}
        self._options: list[VisibleOption] | None = None

    def number(self, name: str) -> int:
        """A whole number of the view, such as ``"marginal_tip"``."""
        return int(self._view[name])

    def prices(self, instrument: int, side: str) -> list[int]:
        """Visible prices of ``"bid_price"`` or ``"ask_price"`` in ticks, best first, 0 where there is no level."""
        if (instrument, side) not in self._prices:
            self._prices[instrument, side] = self._view["quotes"][instrument][side].tolist()
        return self._prices[instrument, side]

    def options(self, world: Any) -> list[VisibleOption]:
        """Series of options that are listed as far as is visible."""
        if self._options is None:
            first, settings = len(world.scenario.instruments), world.scenario.options
            quotes = self._view["quotes"][first : first + settings.count]
            per_unit = 1.0 / (settings.lot_size * MICRO_DOLLARS)
            fields = ("series", "right", "strike", "expiry", "mark", "index", "volatility")
            self._options = [
                VisibleOption(
                    first + place,
                    series,
                    "call" if right > 0 else "put",
                    strike * per_unit,
                    expiry * 1e-9,
                    mark * per_unit,
                    index * per_unit,
                    volatility,
                )
                for place, (series, right, strike, expiry, mark, index, volatility) in enumerate(
                    zip(*(quotes[name].tolist() for name in fields), strict=True)
                )
                if right != 0
            ]
        return self._options

    def debtors(self) -> list[VisibleDebtor]:
        """Accounts below maintenance as far as is visible, each with the position that needs most."""
        rows = self._due[: self._view["due"]]
        return [
            VisibleDebtor(account, instrument, lots, equity * 1e-6, maintenance * 1e-6)
            for account, instrument, lots, equity, maintenance in rows[list(DUE.names or ())].tolist()
        ]

    def expiry(self, instrument: int) -> int:
        """Time in ns at which what is listed in a place expires as far as is visible, 0 for never."""
        return int(self._view["quotes"][instrument]["expiry"])

    def lot_price(self, pool: int) -> float:
        """Visible price of a pool in micro-dollars per lot, before fees."""
        return float(self._pools[pool]["sqrt_price"]) ** 2
