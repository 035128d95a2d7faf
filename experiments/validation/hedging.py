"""V20 to V24: the value of an option, and what hedging it costs, where theory knows it.

The set-up is that of the theory: one option written at the money, a price that is a geometric Brownian motion without
drift, a spot market without end, and gas or a fraction of what is traded for each re-hedge. All policies and costs see
the same paths, whose draws are keyed by path and step. The decisions are those of :mod:`blockspace.agents.hedging`.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from blockspace.agents.hedging import clock_due, hedge_trade, no_trade_band
from blockspace.experiments.validation import Row, compare, target
from blockspace.markets.options.black_scholes import CALL, greeks, price_option
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_normal, stream_key

SPOT_USD = 100.0
VOLATILITY = 0.8
YEARS = 30.0 / 365.0
RISK_AVERSION = 1.0
"""Per dollar, for one option on one unit."""

POLICY = np.dtype(
    [
        ("interval", "i8"),  # steps between two looks
        ("fixed_usd", "f8"),  # cost of a trade, as the policy believes it to be
        ("proportional", "f8"),  # the same per dollar traded
    ],
    align=True,
)
"""How a hedger decides. With both costs 0 it trades to the target at every look: a clock."""

HEDGED = np.dtype([("error_usd", "f8"), ("trades", "f8"), ("turnover_usd", "f8")], align=True)
"""What hedging along one path gave, by one policy: profit before costs, number of trades, dollars traded."""

CHUNK = 500


@kernel
def _hedge_paths(key, first, volatility, hedging_volatility, steps, latency, risk_aversion, policies, premium, hedged):
    """Hedge one written call at the money along paths; each row of ``hedged`` is a path, each column a policy.

    A trade is decided on the price of its step and executed ``latency`` steps later at the price of then. What is on
    its way counts as held when the next is decided. The first hedge is there from the start, and free.
    """
    step_years = YEARS / steps
    deviation = volatility * math.sqrt(step_years)
    count = policies.shape[0]
    held = np.empty(count)
    ordered = np.empty(count)
    last = np.empty(count, np.int64)
    under_way = np.empty((latency + 1, count))
    start = greeks(SPOT_USD, SPOT_USD, YEARS, hedging_volatility, CALL, 0.0, 0.0)[1]
    for row in range(hedged.shape[0]):
        held[:] = start
        ordered[:] = start
        last[:] = 0
        under_way[:] = 0.0
        log_return, spot = 0.0, SPOT_USD
        results = hedged[row]
        for number in range(count):
            results[number].error_usd = premium
        for step in range(1, steps + 1):
            log_return += deviation * draw_normal(key, first + row, step) - 0.5 * deviation * deviation
            before, spot = spot, SPOT_USD * math.exp(log_return)
            left = (steps - step) * step_years
            _, delta, gamma, _, _, _, _ = greeks(spot, SPOT_USD, left, hedging_volatility, CALL, 0.0, 0.0)
            for number in range(count):
                result = results[number]
                result.error_usd += held[number] * (spot - before)
                policy = policies[number]
                trade = 0.0
                if step < steps and clock_due(step, last[number], policy.interval):
                    last[number] = step
                    edge, back_to = no_trade_band(
                        policy.fixed_usd, policy.proportional * spot, gamma, risk_aversion
                    )
                    trade = hedge_trade(delta - ordered[number], edge, back_to)
                    ordered[number] += trade
                under_way[step % (latency + 1), number] = trade
                executed = under_way[(step - latency) % (latency + 1), number] if latency < step else 0.0
                if executed != 0.0:
                    held[number] += executed
                    result.trades += 1.0
                    result.turnover_usd += abs(executed) * spot
        for number in range(count):
            results[number].error_usd -= max(0.0, spot - SPOT_USD)


def hedge(
    paths: int,
    steps: int,
    policies: npt.NDArray[Any],
    latency: int = 0,
    hedging_volatility: float = VOLATILITY,
    premium_usd: float | None = None,
) -> npt.NDArray[Any]:
    """Hedge along paths, on every core.

    Parameters
    ----------
    paths, steps
        Number of paths, and of steps of each.
    policies
        Array of :data:`POLICY`.
    latency
        Steps between decision and execution.
    hedging_volatility
        What the hedger takes volatility to be.
    premium_usd
        What the option was sold for; by default its value at the hedging volatility.

    Returns
    -------
    numpy.ndarray
        :data:`HEDGED` of each path (rows) and policy (columns).
    """
    if premium_usd is None:
        premium_usd = price_option("call", SPOT_USD, SPOT_USD, YEARS, hedging_volatility).value
    hedged = np.zeros((paths, len(policies)), HEDGED)
    key = np.uint64(stream_key(20, "validation/hedging"))
    Parallel(n_jobs=-1, prefer="threads")(
        delayed(_hedge_paths)(
            key, first, VOLATILITY, hedging_volatility, steps, latency, RISK_AVERSION, policies, premium_usd,
            hedged[first : first + CHUNK],
        )
        for first in range(0, paths, CHUNK)
    )  # fmt: skip
    return hedged


def clocks(intervals: npt.ArrayLike) -> npt.NDArray[Any]:
    """Policies that re-hedge to the target every so many steps."""
    steps = np.atleast_1d(np.asarray(intervals))
    policies = np.zeros(len(steps), POLICY)
    policies["interval"] = steps
    return policies


def bands(fixed_usd: npt.ArrayLike = 0.0, proportional: npt.ArrayLike = 0.0) -> npt.NDArray[Any]:
    """Policies that look at every step and trade when they leave the band for costs that they believe in."""
    fixed, fraction = np.broadcast_arrays(np.atleast_1d(fixed_usd), np.atleast_1d(proportional))
    policies = np.zeros(len(fixed), POLICY)
    policies["interval"], policies["fixed_usd"], policies["proportional"] = 1, fixed, fraction
    return policies
