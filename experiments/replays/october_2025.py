"""10 October 2025 on a chain like Hyperliquid: a burst of liquidations, the insurance fund, and deleveraging."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.replays import Anchor

CRASH_S, CRASH_ENDS_S = 44_100.0, 44_820.0
"""21:15 to 21:27 UTC, seconds from 09:00: the twelve minutes that were reconstructed in full."""

SHORTEST_S = CRASH_ENDS_S
"""Seconds that a run must last."""

INTERVAL_S = 10.0
"""Seconds of an interval in which liquidations and deleveraging are counted together."""

BURST_SHARE = 0.05
RECONSTRUCTION = "HyperMultiAssetedADL, 2025"

ANCHORS = (
    Anchor(
        "liquidated in the busiest 5 % of 14 h, share",
        "70 % in 40 minutes (Amberdata, 2025)",
        "burst_share",
        0.5,
        math.inf,
        "at least half is asked for",
    ),
    Anchor(
        "liquidated in the busiest minute, share",
        "32 % (3.21 of 9.89 billion dollars; Amberdata, 2025)",
        "minute_share",
        0.22,
        0.42,
        "all venues there; the fall lasts a minute here because of it",
    ),
    Anchor(
        "longs in what is liquidated, share",
        "84 % (Amberdata, 2025)",
        "long_share",
        0.75,
        0.93,
        "one coin here, which falls; there shorts of coins that came back fell due as well",
    ),
    Anchor(
        "insurance fund left at the first deleveraging, share",
        "0: exhausted before",
        "insurance_left_share",
        -math.inf,
        0.01,
        "a rule of the venue here",
    ),
    Anchor(
        "first liquidation to first deleveraging, s",
        f"62 ({RECONSTRUCTION})",
        "seconds_to_deleveraging",
        31.0,
        124.0,
        "half to twice; hangs on the fund and on how fast the price falls, which were chosen with it in view",
    ),
    Anchor(
        "deleveraged, share of all closed by force",
        f"28 % (2.1 of 7.6 billion dollars; {RECONSTRUCTION})",
        "deleveraged_share",
        0.20,
        0.36,
        "hangs on the same choices",
    ),
    Anchor(
        "correlation of liquidations and deleveraging",
        f"0.945 a second ({RECONSTRUCTION})",
        "interval_correlation",
        0.8,
        math.inf,
        "intervals of 10 s; 162 coins there, one here",
    ),
    Anchor(
        "accounts with negative equity",
        f"302 ({RECONSTRUCTION})",
        "negative_accounts",
        note="the number hangs on the number of accounts",
    ),
    Anchor(
        "what they owed, per value closed by force",
        f"0.31 % (23.2 million of 7.6 billion dollars; {RECONSTRUCTION})",
        "deficit_share",
        0.0015,
        0.006,
        "half to twice; one account was 95 % of it there",
    ),
)


def measure(market: Market) -> dict[str, float]:
    """Measures of a finished run; NaN where there was nothing to measure."""
    scenario = market.world.scenario
    tape = market.liquidations()
    tape = tape[tape["time_s"] > scenario.warm_up_s]
    trades = market.trades()
    trades = trades[(trades["time_s"] > scenario.warm_up_s) & (trades["cause"] != "order")]
    times, usd = tape["time_s"].to_numpy(), (tape["size"].abs() * tape["mark_usd"]).to_numpy()
    total = float(usd.sum())
    window_s = BURST_SHARE * (scenario.duration_s - scenario.warm_up_s)
    inside = tape["time_s"].between(CRASH_S, CRASH_ENDS_S)
    in_crash = tape[inside]
    by_force = trades[trades["time_s"].between(CRASH_S, CRASH_ENDS_S)]
    values = (by_force["price_usd"] * by_force["size"].abs()).groupby(by_force["cause"]).sum()
    forced = float(values.sum())
    owing = in_crash[in_crash["equity_usd"] < 0]
    return {
        "liquidations": float(len(tape)),
        "burst_share": busiest(times, usd, window_s) / total if total else math.nan,
        "minute_share": busiest(times, usd, 60.0) / total if total else math.nan,
        "long_share": float(usd[tape["size"] > 0].sum()) / total if total else math.nan,
        **_first_deleveraging(market, in_crash),
        "deleveraged_share": float(values.get("deleveraging", 0.0)) / forced if forced else math.nan,
        "interval_correlation": _correlation(by_force),
        "negative_accounts": float(owing["account"].nunique()),
        "deficit_share": float(-owing["equity_usd"].sum()) / forced if forced else math.nan,
    }


def busiest(times_s: npt.NDArray[np.float64], amounts: npt.NDArray[np.float64], window_s: float) -> float:
    """Most that falls into any window of a length; times must rise.

    Examples
    --------
    >>> busiest(np.array([0.0, 50.0, 70.0, 200.0]), np.array([1.0, 2.0, 3.0, 4.0]), 60.0)
    5.0
    """
    if not len(times_s):
        return 0.0
    sums = np.concatenate([[0.0], np.cumsum(amounts)])
    ends = np.searchsorted(times_s, times_s + window_s, side="left")
    return float((sums[ends] - sums[:-1]).max())


def _first_deleveraging(market: Market, in_crash: pd.DataFrame) -> dict[str, float]:
    """Seconds from the first liquidation of the crash to the first deleveraging, and what the fund had left then."""
    deleveraged = in_crash[in_crash["deleveraged_accounts"] > 0]
    if deleveraged.empty:
        return {"seconds_to_deleveraging": math.nan, "insurance_left_share": math.nan}
    first = deleveraged.iloc[0]
    blocks = market.blocks()
    left = float(blocks.loc[blocks["block"] == first["block"], "insurance_usd"].iloc[0])
    return {
        "seconds_to_deleveraging": float(first["time_s"] - in_crash["time_s"].iloc[0]),
        "insurance_left_share": left / market.world.scenario.margin.insurance_usd,
    }


def _correlation(by_force: pd.DataFrame) -> float:
    """Correlation of the value liquidated and deleveraged, over the intervals of the crash."""
    edges = np.arange(CRASH_S, CRASH_ENDS_S + INTERVAL_S / 2.0, INTERVAL_S)
    usd = by_force["price_usd"] * by_force["size"].abs()
    series = [
        np.histogram(by_force["time_s"][by_force["cause"] == cause], edges, weights=usd[by_force["cause"] == cause])[0]
        for cause in ("liquidation", "deleveraging")
    ]
    if min(one.std() for one in series) == 0:
        return math.nan
    return float(np.corrcoef(series[0], series[1])[0, 1])
