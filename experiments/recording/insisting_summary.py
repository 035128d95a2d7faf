"""What a run says of users who insist on trading on a rollup: how long it takes them, which way, and what it costs."""

import math

import numpy as np
import pandas as pd


def summarise_insisting(wishes: pd.DataFrame, warm_up_s: float) -> dict[str, float]:
    """Measures of the wishes that somebody had behind the warm-up and that are in a block of the rollup.

    Times are from the wish to that block. Costs are the fees on both chains, those of what was sent in vain included.
    Slippage is the price of what was traded against the external price when the wish was there, positive where that was
    to the user's disadvantage, without fees: its mean, weighted by size, and its standard deviation from wish to wish.

    Parameters
    ----------
    wishes
        As ``ForcedInclusion.wishes`` returns them.
    warm_up_s
        Length of the warm-up, in seconds.
    """
    all_of_them = wishes[wishes["asked_s"] > warm_up_s]
    included = all_of_them[all_of_them["included_s"].notna()]
    times = (included["included_s"] - included["asked_s"]).to_numpy()
    costs = included["parent_cost_usd"] + included["rollup_cost_usd"]
    traded = included[included["size"] > 0]
    side = np.where(traded["side"] == "buy", 1.0, -1.0)
    slippage = 1e4 * side * (traded["price_usd"] / traded["external_price_usd"] - 1.0)
    return {
        "insisting_included_share": _ratio(len(included), len(all_of_them)),
        "insisting_inclusion_median_s": float(np.quantile(times, 0.5)) if len(times) else math.nan,
        "insisting_inclusion_p95_s": float(np.quantile(times, 0.95)) if len(times) else math.nan,
        "insisting_forced_share": _ratio(float(included["forced"].sum()), len(included)),
        "insisting_cost_usd": _ratio(float(costs.sum()), len(included)),
        "insisting_slippage_bps": _ratio(float((slippage * traded["size"]).sum()), float(traded["size"].sum())),
        "insisting_slippage_sd_bps": float(slippage.std()) if len(traded) > 1 else math.nan,
    }


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
