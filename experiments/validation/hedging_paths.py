"""Hedging along simulated paths: one option written at the money, by many policies at once.

The price is a geometric Brownian motion without drift and the spot market is infinitely deep. All policies see the same
paths, whose draws are keyed by path and step. What they decide comes from :mod:`blockspace.agents.hedging`. Costs are
not simulated: a policy acts by the costs that it *believes* in, and what it did is then charged with those that
hold. So one simulation serves every level of costs, and a search over beliefs finds the best band for each.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from blockspace.agents.hedging import clock_due, hedge_trade, no_trade_band
from blockspace.markets.options.black_scholes import CALL, Greeks, greeks, price_option
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
KEY = np.uint64(stream_key(20, "validation/hedging"))


@kernel
def _hedge_paths(key, first, years, hedging_volatility, steps, latency, policies, premium, hedged):
    """Hedge one written call at the money along paths; each row of ``hedged`` is a path, each column a policy.

    A trade is decided on the price of its step and executed ``latency`` steps later at the price of then. What is on
    its way counts as held when the next is decided. The first hedge is there from the start, and free.
    """
    step_years = years / steps
    deviation = VOLATILITY * math.sqrt(step_years)
    count = policies.shape[0]
    held = np.empty(count)
    ordered = np.empty(count)
    last = np.empty(count, np.int64)
    under_way = np.empty((latency + 1, count))
    start = greeks(SPOT_USD, SPOT_USD, years, hedging_volatility, CALL, 0.0, 0.0)[1]
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
                    edge, back_to = no_trade_band(policy.fixed_usd, policy.proportional * spot, gamma, RISK_AVERSION)
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
    years: float = YEARS,
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
        What the hedger takes volatility to be, and sells the option at.
    years
        Time to expiry.

    Returns
    -------
    numpy.ndarray
        :data:`HEDGED` of each path (rows) and policy (columns).
    """
    premium = at_the_money(years, hedging_volatility).value
    hedged = np.zeros((paths, len(policies)), HEDGED)
    case = years, hedging_volatility, steps, latency, policies, premium
    Parallel(n_jobs=-1, prefer="threads")(
        delayed(_hedge_paths)(KEY, first, *case, hedged[first : first + CHUNK]) for first in range(0, paths, CHUNK)
    )
    return hedged


def at_the_money(years: float = YEARS, volatility: float = VOLATILITY) -> Greeks:
    """Value and Greeks of the call that is written."""
    return price_option("call", SPOT_USD, SPOT_USD, years, volatility)


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


@kernel
def _walk_gaps(key, walk, edges, backs_to, steps, deviation, sums):
    gaps = np.zeros(edges.size)
    for step in range(-(steps // 10), steps):
        if step == 0:
            sums[:] = 0.0
        move = deviation * draw_normal(key, walk, step)
        for number in range(edges.size):
            gaps[number] += move
            trade = hedge_trade(gaps[number], edges[number], backs_to[number])
            if trade != 0.0:
                gaps[number] -= trade
                sums[0, number] += 1.0
                sums[1, number] += abs(trade)
            sums[2, number] += gaps[number] * gaps[number]


def walk_gaps(
    edges: npt.ArrayLike, backs_to: npt.ArrayLike, walks: int, steps: int, deviation: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Let the gap between target and holding be a random walk, as it is while gamma does not change.

    Parameters
    ----------
    edges, backs_to
        Bands, and where trades go back to, in units.
    walks, steps
        Number of walks, and of steps of each; a tenth as many go before and are not counted.
    deviation
        Standard deviation of a step in units.

    Returns
    -------
    tuple of numpy.ndarray
        Trades and units traded per step, and the mean square of the gap, for each walk (rows) and band (columns).
    """
    edge, back_to = (np.asarray(column, dtype=float) for column in (edges, backs_to))
    sums = np.zeros((walks, 3, len(edge)))
    Parallel(n_jobs=-1, prefer="threads")(
        delayed(_walk_gaps)(KEY, np.int64(walk), edge, back_to, steps, deviation, sums[walk]) for walk in range(walks)
    )
    trades, turnover, squares = (sums / steps).transpose(1, 0, 2)
    return trades, turnover, squares
