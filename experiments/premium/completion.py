"""From what runs keep of their options to premiums: each policy is chosen on some seeds and appraised on the others.

The seeds of a study are dealt into two halves. The clock and the band that cost least on one half are appraised on the
other, and the other way round, so that no seed has a say in the policy that it is charged with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.premium.book import PREFIX, OptionBook, band_name, clock_name
from blockspace.experiments.premium.parts import (
    HOLDER_MOMENTS,
    MOMENTS,
    PARTS,
    discount_parts,
    premium_parts,
    resampled_interval,
    seed_contributions,
)


def complete_premiums(
    runs: pd.DataFrame, book: OptionBook, fixed: Sequence[float] = (), every_policy: bool = False
) -> pd.DataFrame:
    """Replace the moments of options in a table of runs by premiums and their parts.

    Parameters
    ----------
    runs
        One row per run, with the moments that the book has kept.
    book
        What was written.
    fixed
        Clocks that nobody chooses, by their interval in seconds, to be appraised as they are.
    every_policy
        Whether each policy is appraised by itself, under its own name, too.

    Returns
    -------
    pandas.DataFrame
        The runs with columns ``MATURITY.STRIKE.HEDGER.MEASURE`` in place of the moments. Hedgers are ``clock`` and
        ``band`` (the cheapest of each on the other half of the seeds), ``formula`` (the band of who believes in the
        gas of the moment), and the fixed clocks. Measures are the parts and ``premium_usd``; ``premium_pct``,
        ``gas_pct`` and ``gas_variance_pct`` of the value; ``trades``, ``mean_loss_usd``, and ``chosen``, the interval
        or the belief. Of the option there are ``value_usd``, that of what the writer has written, and
        ``discount_usd`` and ``discount_pct``, what a holder bids less. What takes more seeds than there are is NaN.
    """
    kept = [name for name in runs.columns if name.startswith(f"{PREFIX}.")]
    ordinary = runs.drop(columns=kept)
    if not kept:
        return runs
    options = [f"{maturity}.{strike}" for maturity, _ in book.maturities_s for strike in book.strikes]
    names = [
        f"{PREFIX}.{option}.{policy}.{moment}"
        for option in options
        for policy in book.policy_names
        for moment in MOMENTS
    ]
    holders = [f"{PREFIX}.{option}.{moment}" for option in options for moment in HOLDER_MOMENTS]
    kept_runs = runs.reindex(columns=["point", "error", *names, *holders])
    frames = []
    for _, rows in kept_runs[kept_runs["error"].isna()].groupby("point", sort=False):
        count = len(rows)
        means = rows[names].to_numpy(float).reshape(count, len(options), len(book.policy_names), len(MOMENTS))
        of_holders = rows[holders].to_numpy(float).reshape(count, len(options), len(HOLDER_MOMENTS))
        columns: dict[str, npt.NDArray[np.float64]] = {}
        for number, option in enumerate(options):
            discount = discount_parts(of_holders[:, number], book.risk_aversion)
            held = float(discount["value_usd"].mean())
            value = held * book.size / book.holder_size
            columns[f"{option}.value_usd"] = discount["value_usd"] * book.size / book.holder_size
            columns[f"{option}.discount_usd"] = discount["discount_usd"]
            columns[f"{option}.discount_pct"] = 100.0 * discount["discount_usd"] / held
            for hedger, appraised in _appraise(means[:, number], book, fixed, every_policy).items():
                columns |= {f"{option}.{hedger}.{name}": column for name, column in appraised.items()}
                for part in ("premium", "gas", "gas_variance"):
                    columns[f"{option}.{hedger}.{part}_pct"] = 100.0 * appraised[f"{part}_usd"] / value
        frames.append(pd.DataFrame(columns, index=rows.index))
    completed = pd.concat(frames).reindex(runs.index) if frames else pd.DataFrame(index=runs.index)
    return pd.concat([ordinary, completed], axis=1)


def intervals_of(runs: pd.DataFrame, hedger: str) -> dict[str, tuple[float, float]]:
    """95 % intervals of the parts of a hedger's premium from resampled seeds.

    Parameters
    ----------
    runs
        Completed runs of one point.
    hedger
        Option and hedger, such as ``"long.atm.band"``.
    """
    return {part: resampled_interval(runs[f"{hedger}.{part}"].dropna()) for part in (*PARTS, "premium_usd")}


def _appraise(
    means: npt.NDArray[np.float64], book: OptionBook, fixed: Sequence[float], every_policy: bool
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """Contributions of each seed (first axis of ``means``, then policies, then moments) by hedger."""
    clocks, bands = len(book.clocks_s), len(book.beliefs)
    known = {name: number for number, name in enumerate(book.policy_names)}
    hedgers: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for hedger, first, parameters in (("clock", 0, book.clocks_s), ("band", clocks, book.beliefs)):
        if parameters:
            hedgers[hedger] = _cross_fitted(means[:, first : first + len(parameters)], parameters, book.risk_aversion)
    if bands and band_name(1.0) in known:
        hedgers["formula"] = seed_contributions(means[:, known[band_name(1.0)]], book.risk_aversion)
    appraised = book.policy_names if every_policy else [clock_name(seconds) for seconds in fixed]
    for name in appraised:
        hedgers[name] = seed_contributions(means[:, known[name]], book.risk_aversion)
    return hedgers


def _cross_fitted(
    means: npt.NDArray[np.float64], parameters: Sequence[float], risk_aversion: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Contributions of each seed by the policy that costs least on the other half of the seeds."""
    count = len(means)
    halves = [np.arange(count) % 2 == half for half in (0, 1)]
    result: dict[str, Any] = {}
    for half, others in (halves, halves[::-1]):
        if not half.any():
            continue
        if others.any():
            costs = premium_parts(means[others].mean(axis=0), risk_aversion)["premium_usd"]
            chosen = int(np.argmin(costs))
            parts = seed_contributions(means[half, chosen], risk_aversion)
            parts["chosen"] = np.full(half.sum(), float(parameters[chosen]))
        else:
            unknown = seed_contributions(means[half, 0], risk_aversion)
            parts = {name: np.full(half.sum(), np.nan) for name in (*unknown, "chosen")}
        for name, values in parts.items():
            result.setdefault(name, np.full(count, np.nan))[half] = values
    return result
