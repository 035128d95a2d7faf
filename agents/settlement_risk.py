"""What it is worth to somebody averse to risk not to wait: certainty equivalents of prices that move meanwhile.

Whoever has bought on one chain and not yet sold on another is exposed to the price for as long as that takes, and how
long it takes is uncertain as well. With constant absolute risk aversion ``a``, a price that moves with variance ``v``
per second and waits that are independent of it, being exposed with a notional ``n`` for a random time is worth

    ln(mean of exp(a^2 n^2 v wait / 2)) / a

dollars less than not being exposed at all (after Hautsch, Scheuch and Voigt, 2024). The mean is over the waits that
one has seen, and over nothing else: no law of them is assumed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.state import Stateful

REMEMBERED = 128
"""Waits that are remembered, the latest ones."""

PARTS = 4
"""Sizes that are tried on the way from one visible level to the next."""


def risk_price_usd(
    waits_s: npt.ArrayLike, notional_usd: npt.ArrayLike, variance_per_s: float, aversion_per_usd: float
) -> npt.NDArray[np.float64]:
    """Dollars that it is worth not to be exposed for as long as one usually has to wait.

    Parameters
    ----------
    waits_s
        Waits that were seen, in seconds, (waits,).
    notional_usd
        Dollars that are exposed; the sign does not matter. Any shape.
    variance_per_s
        Of the log price.
    aversion_per_usd
        Absolute risk aversion.

    Returns
    -------
    numpy.ndarray
        One price for each notional.

    Examples
    --------
    >>> float(round(risk_price_usd([12.0], 100_000.0, 2e-8, 1e-5), 6))
    0.012
    """
    waits, notional = np.asarray(waits_s, dtype=float), np.asarray(notional_usd, dtype=float)
    rates = 0.5 * (aversion_per_usd * notional) ** 2 * variance_per_s
    exponents = rates[..., None] * waits
    largest = exponents.max(axis=-1)
    return (largest + np.log(np.exp(exponents - largest[..., None]).mean(axis=-1))) / aversion_per_usd


def sizes_to_try(asks: npt.NDArray[Any], bids: npt.NDArray[Any], most: float) -> npt.NDArray[np.float64]:
    """Sizes between which the best one of a purchase and a sale lies: levels of either book, and some in between.

    Parameters
    ----------
    asks, bids
        Visible levels, price and size in rows, (levels, 2).
    most
        Largest size.
    """
    there = min(float(asks[:, 1].sum()), float(bids[:, 1].sum()), most)
    if there <= 0.0:
        return np.zeros(0)
    ends = np.concatenate([np.cumsum(asks[:, 1]), np.cumsum(bids[:, 1]), [there]])
    ends = np.unique(ends[ends <= there])
    starts = np.concatenate([[0.0], ends[:-1]])
    steps = np.arange(1, PARTS + 1) / PARTS
    return (starts[:, None] + (ends - starts)[:, None] * steps).ravel()


def cost_of(levels: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Dollars that sizes come to along visible levels (price and size in rows), the best one first."""
    ends = np.concatenate([[0.0], np.cumsum(levels[:, 1])])
    return np.interp(sizes, ends, np.concatenate([[0.0], np.cumsum(levels[:, 0] * levels[:, 1])]))


class Waits(Stateful):
    """The latest waits that somebody has seen."""

    def __init__(self) -> None:
        self.seconds = np.zeros(REMEMBERED)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Remember one more."""
        self.seconds[self.count % REMEMBERED] = seconds
        self.count += 1

    def seen(self, before_any: float) -> npt.NDArray[np.float64]:
        """Those that are remembered; before there are any, what is expected by the rules."""
        if self.count == 0:
            return np.array([before_any])
        return self.seconds[: min(self.count, REMEMBERED)]
