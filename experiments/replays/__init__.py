"""Replays of days that were much written about: published aggregates beside what the same day does here.

A day is a module with a scenario in a TOML file beside it, its :class:`Anchor` list and a ``measure`` function. Prices
and gas prices of the day come from files of the user's own; without them prices follow a script of the published size.
"""

from dataclasses import dataclass
from math import nan

REPLAYS = {
    "black-thursday": "Ethereum on 12 March 2020",
    "october-2025": "10 October 2025 on a chain like Hyperliquid",
}
"""The days, by name."""


@dataclass(frozen=True)
class Anchor:
    """A published aggregate, and what it is compared with.

    Attributes
    ----------
    what
        What was measured.
    published
        The published number in words, with its source.
    measure
        Name of the simulated measure.
    low, high
        What counts as a match; NaN where the numbers cannot be compared.
    note
        Why they can be compared only so far, or not at all.
    calibrated
        Whether a setting was chosen so that the numbers agree, which is then no news.
    """

    what: str
    published: str
    measure: str
    low: float = nan
    high: float = nan
    note: str = ""
    calibrated: bool = False
