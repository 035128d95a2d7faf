"""12 March 2020 on Ethereum: gas prices, and vaults at 150 % of their debt.

The calm of the day ends at :data:`CALM_S` seconds, 04:00 UTC. How much users are willing to pay is calibrated to the
gas prices of the calm alone; the rest of the day is out of sample.
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.replays import Anchor
from blockspace.experiments.scenario import Scenario, change_settings

CALM_S = 14_400.0
HOUR_S = 3_600.0
SHORTEST_S = CALM_S + HOUR_S
"""Seconds that a run must last."""

USUAL = 1.25
"""Times the mean price of gas in its block up to which a liquidation paid the usual price."""

ANCHORS = (
    Anchor(
        "gas price in the calm, gwei",
        "about 13 (a sixth of 80)",
        "calm_gwei",
        calibrated=True,
    ),
    Anchor(
        "gas price, rest of the day over calm",
        "6 (Glassnode, March 2020)",
        "gas_ratio",
        4.5,
        7.5,
        "more users come here when the price moves, of the same kind; that day's were ready to pay more",
    ),
    Anchor(
        "gas price, rest of the day, gwei",
        "about 80 (Glassnode, March 2020)",
        "crash_gwei",
        60.0,
        100.0,
        "follows from the two above",
    ),
    Anchor(
        "correlation of hourly log gas prices with the file",
        "1 if it were the same path",
        "fee_correlation",
        0.7,
        math.inf,
        "only what the price does moves demand here",
    ),
    Anchor("calm, simulated over recorded", "1", "calm_over_recorded", calibrated=True),
    Anchor(
        "rest of the day, simulated over recorded",
        "1",
        "crash_over_recorded",
        0.75,
        1.25,
        "out of sample",
    ),
    Anchor(
        "delay of liquidations, median, s",
        "none; the oracle's was an hour by design",
        "delay_median_s",
        note="the hour of the oracle security module and the auctions are left out",
    ),
    Anchor(
        "delay of liquidations, 95 %, s",
        "none",
        "delay_p95_s",
        note="as above",
    ),
    Anchor(
        "liquidations without a rival in their block, share",
        "36 % won with a bid of 0 (Whiterabbit, March 2020)",
        "without_rival_share",
        0.26,
        0.46,
        "keepers here always bid again; many of that day's were stuck at fixed gas prices",
    ),
    Anchor(
        "liquidations at the usual price of gas, share",
        "none; the same 36 % as the nearest",
        "usual_price_share",
        note="gas prices of single liquidations were not published",
    ),
    Anchor(
        "debt left uncovered, per value liquidated",
        "25 % (5.67 of 23 million dollars: 8.32 are 36 %; Whiterabbit, March 2020)",
        "uncovered_share",
        0.15,
        0.35,
        "a vault here changes hands at the mark, not for a bid; debt is uncovered only below 100 %",
    ),
    Anchor(
        "vaults liquidated, share",
        "about 5 % of ether locked (23 of 470 million dollars)",
        "liquidated_accounts_share",
        note="the 5 % is itself an estimate, and by value",
        calibrated=True,
    ),
)


def calibrate(base: Scenario, gas: pd.DataFrame, seed: int) -> Scenario:
    """The scenario in which gas prices are in the calm what they were, by what users are willing to pay.

    Gas prices are in proportion to what users are willing to pay, but for the floor of a gwei, so that two pilot runs
    up to the end of the calm are enough.
    """
    wanted = float(gas.loc[_within(gas, base.warm_up_s, CALM_S), "gwei"].mean())
    for _ in range(2):
        pilot = Market(base, seed, tapes="none")
        pilot.run_for(CALM_S)
        found = _mean_gwei(_paid(pilot), base.warm_up_s, CALM_S)
        base = change_settings(base, {"background_users.value_gwei": base.background_users.value_gwei * wanted / found})
    return base


def measure(market: Market, gas: pd.DataFrame | None = None) -> dict[str, float]:
    """Measures of a finished run; with gas prices (``time_s``, ``gwei``), how its own follow them."""
    paid = _paid(market)
    warm_up_s, end_s = market.world.scenario.warm_up_s, market.world.scenario.duration_s
    calm, crash = _mean_gwei(paid, warm_up_s, CALM_S), _mean_gwei(paid, CALM_S, end_s)
    found = {"calm_gwei": calm, "crash_gwei": crash, "gas_ratio": crash / calm}
    if gas is not None:
        recorded = [gas["gwei"][_within(gas, *span)].mean() for span in ((warm_up_s, CALM_S), (CALM_S, end_s))]
        found |= {"calm_over_recorded": calm / recorded[0], "crash_over_recorded": crash / recorded[1]}
        hours = np.arange(warm_up_s, end_s - HOUR_S / 2.0, HOUR_S)
        here = [_mean_gwei(paid, hour, hour + HOUR_S) for hour in hours]
        there = [gas["gwei"][_within(gas, hour, hour + HOUR_S)].mean() for hour in hours]
        found["fee_correlation"] = float(np.corrcoef(np.log(here), np.log(there))[0, 1])
    return found | _liquidations(market, paid)


def _paid(market: Market) -> pd.DataFrame:
    """Time, number, gas and gwei paid per gas of every block that was not empty."""
    blocks = market.blocks()
    blocks = blocks[blocks["gas_used"] > 0]
    ether = (blocks["base_fee_usd"] + blocks["tips_usd"]) / blocks["external_price_usd"]
    gwei = 1e9 * ether / blocks["gas_used"]
    return pd.DataFrame({"time_s": blocks["time_s"], "block": blocks["block"], "gas": blocks["gas_used"], "gwei": gwei})


def _within(rows: pd.DataFrame, start_s: float, end_s: float) -> "pd.Series[bool]":
    return rows["time_s"].between(start_s, end_s, inclusive="left")


def _mean_gwei(paid: pd.DataFrame, start_s: float, end_s: float) -> float:
    """Mean price of gas in a span of time, by gas."""
    span = paid[_within(paid, start_s, end_s)]
    return float(np.average(span["gwei"], weights=span["gas"]))


def _liquidations(market: Market, paid: pd.DataFrame) -> dict[str, float]:
    summary = market.summary()
    tries = market.transactions().query("kind == 'liquidate'")
    return {
        "liquidations": summary["liquidations"],
        "delay_median_s": summary["liquidation_delay_median_s"],
        "delay_p95_s": summary["liquidation_delay_p95_s"],
        "uncovered_share": 1e-4 * summary["shortfall_bps"],
        "liquidated_accounts_share": market.liquidations()["account"].nunique()
        / max(int((market.world.leveraged["opened"] > 0).sum()), 1),
        **shares_without_contest(tries, paid),
    }


def shares_without_contest(tries: pd.DataFrame, paid: pd.DataFrame) -> dict[str, float]:
    """Shares of liquidations that got through without a rival in their block, and at the usual price of gas.

    Parameters
    ----------
    tries
        Transactions of liquidators: ``block``, ``sender``, ``status``, ``base_fee_wei`` and ``tip_wei``.
    paid
        Mean price of gas by block: ``block`` and ``gwei``.
    """
    won = tries[tries["status"] == "succeeded"]
    if won.empty:
        return {"without_rival_share": np.nan, "usual_price_share": np.nan}
    senders = tries.groupby("block")["sender"].nunique()
    alone: npt.NDArray[np.bool_] = won["block"].map(senders).to_numpy() == 1
    price = 1e-9 * (won["base_fee_wei"] + won["tip_wei"])
    usual = price <= USUAL * won["block"].map(paid.set_index("block")["gwei"])
    return {"without_rival_share": float(alone.mean()), "usual_price_share": float(usual.mean())}
