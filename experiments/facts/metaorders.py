"""Orders and metaorders, read off the tape of trades, and what they do to the price.

An order is all that one taker does on one side within a block. A metaorder is a run of orders of one taker on one side,
which ends when that taker turns round or pauses for longer than a given time (as in Sato and Kanazawa, 2024, whose runs
end with the day). The tape does not say what anybody intended: a trader who happens to buy twice in a row looks like
one who has split a large order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.facts.estimators import Fit, Floats, fit_power, interval, resampled_means

BINS_PER_DECADE = 3
FEWEST_PER_BIN = 100
FEWEST_BINS = 5
"""Of which a third of a decade each: an exponent that is read off a shorter range says little."""

CLEARLY_OFF, FAR_OFF = 3.0, 0.5
"""A mean is off a fit if it is this many standard errors away, and this share of the fit."""


def orders_of(trades: pd.DataFrame) -> pd.DataFrame:
    """Orders behind the trades of one instrument, in the order of the tape.

    Returns
    -------
    pandas.DataFrame
        Columns ``time_s``, ``block``, ``taker``, ``sign`` (+1 buys), ``size`` in units of the underlying.
    """
    sign = np.where(trades["side"].to_numpy() == "buy", 1, -1)
    orders = pd.DataFrame(
        {"block": trades["block"], "taker": trades["taker"], "sign": sign}
        | {"time_s": trades["time_s"], "size": trades["size"]}
    )
    grouped = orders.groupby(["block", "taker", "sign"], sort=False, as_index=False)
    return grouped.agg({"time_s": "first", "size": "sum"})[["time_s", "block", "taker", "sign", "size"]]


def metaorders_of(orders: pd.DataFrame, pause_s: float) -> pd.DataFrame:
    """Runs of orders of one taker on one side, in the order of their first trades.

    Returns
    -------
    pandas.DataFrame
        Columns ``first_block``, ``last_block``, ``sign``, ``size``, ``orders`` (how many).
    """
    by_taker = orders.sort_values("taker", kind="stable")
    taker, sign, time = (by_taker[name].to_numpy() for name in ("taker", "sign", "time_s"))
    starts = np.ones(len(by_taker), dtype=bool)
    starts[1:] = (taker[1:] != taker[:-1]) | (sign[1:] != sign[:-1]) | (time[1:] - time[:-1] > pause_s)
    grouped = by_taker.groupby(np.cumsum(starts), sort=False)
    runs = grouped.agg(
        first_block=("block", "first"),
        last_block=("block", "last"),
        sign=("sign", "first"),
        size=("size", "sum"),
        orders=("size", "size"),
    )
    return runs.sort_values("first_block", kind="stable", ignore_index=True)


def impact_of(metaorders: pd.DataFrame, blocks: npt.NDArray[np.int64], log_mid: Floats) -> Floats:
    """Signed move of the log mid price from before the first to just after the last trade of each metaorder.

    NaN where the mid price is not known before or after.

    Parameters
    ----------
    blocks, log_mid
        Numbers of the recorded blocks, rising, and the log mid price after each of them.
    """
    before = np.searchsorted(blocks, metaorders["first_block"].to_numpy()) - 1
    after = np.searchsorted(blocks, metaorders["last_block"].to_numpy())
    moves = log_mid[after] - np.where(before >= 0, log_mid[before], np.nan)
    return np.asarray(moves * metaorders["sign"].to_numpy())


@dataclass(frozen=True)
class ImpactCurve:
    """Mean impact by size, and the power law :math:`Y q^\\delta` fitted to it.

    Attributes
    ----------
    size
        Geometric centres of the bins, as shares of the daily volume.
    impact
        Estimates of the mean impact in units of the daily volatility, shape ``(1 + resamples, bins)``.
    fit
        The power law, :math:`\\delta` and :math:`Y`; None if there are too few bins.
    count
        Metaorders in the bins.
    """

    size: Floats
    impact: Floats
    fit: Fit | None
    count: int

    @property
    def unless(self) -> str:
        """Why there is no power law; empty if there is one, or too little data to say."""
        if self.fit is None:
            return ""
        if not interval(self.impact.sum(axis=1))[0] > 0.0:
            return "the impact is not clearly positive"
        off = np.abs(self.impact[0] - self.fit.fitted)
        errors = np.nanstd(self.impact[1:], axis=0)
        strays = int(((off > CLEARLY_OFF * errors) & (off > FAR_OFF * self.fit.fitted)).sum())
        return f"{strays} of {len(self.size)} classes of size lie off any power law" if strays else ""


def impact_curve(size: Floats, impact: Floats, seed: int) -> ImpactCurve:
    """Average impact over logarithmic bins of size and fit a power law.

    Parameters
    ----------
    size
        Of each metaorder, as a share of the daily volume, in the order of time.
    impact
        Signed move of the log price in units of the daily volatility; NaN where it is not known.
    """
    known = ~np.isnan(impact)
    size, impact = size[known], impact[known]
    number = np.floor(BINS_PER_DECADE * np.log10(size)).astype(np.int64)
    numbers, counts = np.unique(number, return_counts=True)
    kept = numbers[counts >= FEWEST_PER_BIN]
    if len(kept) < FEWEST_BINS:
        return ImpactCurve(np.empty(0), np.empty((1, 0)), None, len(size))
    members = [number == one for one in kept]
    means = resampled_means((column for inside in members for column in (inside, inside * impact)), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = means[:, 1::2] / means[:, 0::2]
    centre = np.array([np.exp(np.log(size[inside]).mean()) for inside in members])
    fit = fit_power(centre, curve)
    return ImpactCurve(centre, curve, fit, int(counts[counts >= FEWEST_PER_BIN].sum()))
