"""What a run says of a bridge: how much crosses it, how long that takes, and what it costs to have it early."""

import math

import numpy as np
import pandas as pd


def summarise_bridge(transfers: pd.DataFrame, warm_up_s: float) -> dict[str, float]:
    """Measures of the transfers that were asked for behind the warm-up, for each direction.

    Fees are weighted by amount, and only transfers that were paid out early count for them; delays are from the block
    that holds a transfer until its recipient has the cash, and until the cash itself has arrived. What was in a block
    that was undone afterwards has not crossed.

    Parameters
    ----------
    transfers
        As ``Bridge.transfers`` returns them.
    warm_up_s
        Length of the warm-up, in seconds.
    """
    measures: dict[str, float] = {}
    for direction in ("withdrawal", "deposit"):
        of = transfers[(transfers["direction"] == direction) & (transfers["asked_s"] > warm_up_s)]
        included = of[of["included_s"].notna() & of["lost_s"].isna()]
        paid = included[included["paid_s"].notna()]
        early = paid[paid["provider"] >= 0]
        amount = float(early["amount_usd"].sum())
        measures |= {
            f"{direction}_bridged_usd": float(included["amount_usd"].sum()),
            f"{direction}_bridge_fee_bps": 1e4 * _ratio(float(early["fee_usd"].sum()), amount),
            f"{direction}_bridge_delay_s": _mean(paid["paid_s"] - paid["included_s"]),
            f"{direction}_slow_bridge_delay_s": _mean(paid["settled_s"] - paid["included_s"]),
            f"{direction}_early_share": _ratio(float((included["provider"] >= 0).sum()), len(included)),
        }
    return measures


def _mean(values: "pd.Series[float]") -> float:
    return float(values.mean()) if len(values) else math.nan


def _ratio(numerator: float, denominator: float) -> float:
    return float(np.float64(numerator) / denominator) if denominator else math.nan
