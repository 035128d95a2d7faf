"""Parts of the premium from means and products over contracts.

What a run keeps of its contracts are seven means, its *moments*, from which every part follows for any set of runs:
moments of several runs are averaged, and the parts are taken of the average.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.draws import draw_uniform, stream_key

MOMENTS = ("trades", "gas_usd", "loss_usd", "gas_gas", "gas_loss", "loss_loss")
"""Means over contracts: trades, gas, loss of hedging, and the products of the two amounts."""

HOLDER_MOMENTS = ("value_usd", "forgone_usd", "forgone_forgone")
"""Means over contracts: value at the start, what gas takes from the holder's payoff, and its square."""

PARTS = ("gas_usd", "gas_variance_usd", "hedging_variance_usd", "covariance_usd")
"""What a writer's premium consists of; their sum is ``premium_usd``."""

RESAMPLES = 2_000
_STREAM = "premium/bootstrap"


def moments(outcomes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """:data:`MOMENTS` (last axis) of outcomes, averaged over their first axis."""
    trades, gas, loss = (outcomes[name].astype(float) for name in ("trades", "gas_usd", "loss_usd"))
    return np.stack([part.mean(axis=0) for part in (trades, gas, loss, gas * gas, gas * loss, loss * loss)], axis=-1)


def holder_moments(terms: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """:data:`HOLDER_MOMENTS` of contracts; the holder exercises where the payoff exceeds the gas of it."""
    forgone = forgone_usd(terms["payoff_usd"], terms["exercise_usd"])
    return np.array([terms["value_usd"].mean(), forgone.mean(), (forgone * forgone).mean()])


def forgone_usd(payoff_usd: npt.ArrayLike, exercise_usd: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what gas takes from a payoff: all of it where exercising does not pay for itself."""
    return np.minimum(payoff_usd, exercise_usd)


def premium_parts(averages: npt.NDArray[np.float64], risk_aversion: float) -> dict[str, npt.NDArray[np.float64]]:
    """Premium of the writer and its parts, in dollars.

    Parameters
    ----------
    averages
        :data:`MOMENTS` along the last axis.
    risk_aversion
        Aversion to variance, per dollar.

    Returns
    -------
    dict
        :data:`PARTS`, ``premium_usd`` (their sum), ``mean_loss_usd`` (no part, for its expectation is 0) and
        ``trades``.
    """
    trades, gas, loss, gas_gas, gas_loss, loss_loss = np.moveaxis(averages, -1, 0)
    parts = {
        "gas_usd": gas,
        "gas_variance_usd": risk_aversion / 2.0 * (gas_gas - gas * gas),
        "hedging_variance_usd": risk_aversion / 2.0 * loss_loss,
        "covariance_usd": risk_aversion * (gas_loss - gas * loss),
    }
    return {**parts, "premium_usd": sum(parts.values(), np.zeros_like(gas)), "mean_loss_usd": loss, "trades": trades}


def discount_parts(averages: npt.NDArray[np.float64], risk_aversion: float) -> dict[str, npt.NDArray[np.float64]]:
    """Return what a holder bids less than the value, in dollars, from :data:`HOLDER_MOMENTS` along the last axis."""
    value, forgone, square = np.moveaxis(averages, -1, 0)
    return {"value_usd": value, "discount_usd": forgone + risk_aversion / 2.0 * (square - forgone * forgone)}


def seed_contributions(per_seed: npt.NDArray[np.float64], risk_aversion: float) -> dict[str, npt.NDArray[np.float64]]:
    """Parts of each seed whose means over the seeds are the parts of all of them together, but for rounding.

    A variance over all contracts is the mean of what each seed's contracts are away from the common mean, so that the
    statistics of ordinary measures apply to it: means over seeds, their intervals, and paired differences.

    Parameters
    ----------
    per_seed
        :data:`MOMENTS` (last axis) of each seed (first axis), each of equally many contracts.
    """
    trades, gas, loss, gas_gas, gas_loss, loss_loss = np.moveaxis(per_seed, -1, 0)
    usual = gas.mean(axis=0)
    parts = {
        "gas_usd": gas,
        "gas_variance_usd": risk_aversion / 2.0 * (gas_gas - 2.0 * usual * gas + usual * usual),
        "hedging_variance_usd": risk_aversion / 2.0 * loss_loss,
        "covariance_usd": risk_aversion * (gas_loss - usual * loss),
    }
    return {**parts, "premium_usd": sum(parts.values(), np.zeros_like(gas)), "mean_loss_usd": loss, "trades": trades}


def resampled_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """95 % interval of the mean of values of seeds, from resampled seeds (Efron, 1979).

    Contracts of one seed share its prices and its fees: the seeds are the clusters that are drawn anew.

    Raises
    ------
    ValueError
        With fewer than two values.
    """
    samples = np.asarray(values, dtype=float)
    if len(samples) < 2:
        raise ValueError(f"the number of seeds is {len(samples)}; to draw them anew there must be at least 2")
    low, high = np.quantile(samples[_resamples(len(samples))].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


@cache
def _resamples(count: int) -> npt.NDArray[np.int64]:
    """Seeds drawn with replacement: a resample each row."""
    key = stream_key(0, _STREAM)
    draws = np.array([[draw_uniform(key, row, place) for place in range(count)] for row in range(RESAMPLES)])
    return np.asarray((draws * count).astype(np.int64))
