"""The tape of liquidations as a frame, and what a run says of them.

A *cascade* is a run of liquidations of which each may have come from the one before: its account fell below maintenance
no later than one update of the marks (one block) after the latest liquidation of the cascade. Accounts that were below
before, and had to wait, belong to it as well. The shortfall is what the debtors could not pay: the part that the
insurance fund paid for debts, without bonuses, and the part that deleveraged accounts bore; ``shortfall_bps`` is in
basis points of the value that was liquidated.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from blockspace.experiments.world import World


def liquidation_columns(rows: npt.NDArray[Any], lots: npt.NDArray[Any], names: npt.NDArray[Any]) -> pd.DataFrame:
    """Frame of records of type ``LIQUIDATED``, with units in the column names.

    ``lots`` and ``names`` are lot size and name of the instrument of each.
    """
    return pd.DataFrame(
        {
            "time_s": rows["time"] * 1e-9,
            "block": rows["block"],
            "below_since_s": rows["below_since"] * 1e-9,
            "account": rows["account"],
            "liquidator": rows["liquidator"],
            "instrument": names,
            "size": rows["lots"] * lots,
            "mark_usd": rows["mark"] * 1e-6 / lots,
            "external_price_usd": rows["external_price"],
            "equity_usd": rows["equity"] * 1e-6,
            "bonus_usd": rows["bonus"] * 1e-6,
            "penalty_usd": rows["penalty"] * 1e-6,
            "insurance_usd": rows["insurance"] * 1e-6,
            "socialised_usd": rows["socialised"] * 1e-6,
            "deleveraged_accounts": rows["deleveraged"],
        }
    )


def cascade_sizes(times: npt.ArrayLike, below_since: npt.ArrayLike, update_s: float) -> list[int]:
    """Sizes of the cascades in a run, in the order in which they happened.

    Parameters
    ----------
    times, below_since
        Seconds of each liquidation, in order, and since when its account had too little.
    update_s
        Seconds from one update of the marks to the next.

    Examples
    --------
    >>> cascade_sizes([10, 20, 30, 90], [9, 20, 12, 80], 12)
    [3, 1]
    """
    sizes: list[int] = []
    last = -math.inf
    for time, since in zip(np.asarray(times, float), np.asarray(below_since, float), strict=True):
        if since <= last + update_s:
            sizes[-1] += 1
        else:
            sizes.append(1)
        last = time
    return sizes


def summarise_liquidations(world: "World", rows: npt.NDArray[Any]) -> dict[str, float]:
    """Measures of liquidations behind the warm-up; nothing where accounts cannot be liquidated.

    Parameters
    ----------
    world
        The world.
    rows
        Rows of blocks behind the warm-up.
    """
    if not world.scenario.margin.liquidations:
        return {}
    tape = world.records.liquidations()
    tape = tape[tape["time_s"] > world.scenario.warm_up_s]
    delays = tape["time_s"] - tape["below_since_s"]
    sizes = cascade_sizes(tape["time_s"], tape["below_since_s"], world.scenario.chain.block_time_s)
    insured = np.minimum(tape["insurance_usd"], np.maximum(-tape["equity_usd"], 0.0)).sum()
    tries = float(world.liquidators["tries"].sum())
    liquidated = float((tape["size"].abs() * tape["mark_usd"]).sum())
    shortfall = float(insured + tape["socialised_usd"].sum())
    return {
        "liquidations": float(len(tape)),
        "liquidated_usd": liquidated,
        "liquidation_delay_median_s": float(delays.median()) if len(tape) else math.nan,
        "liquidation_delay_p95_s": float(delays.quantile(0.95)) if len(tape) else math.nan,
        "liquidation_bonus_usd": float(tape["bonus_usd"].sum()),
        "shortfall_usd": shortfall,
        "shortfall_bps": 1e4 * shortfall / liquidated if liquidated else math.nan,
        "socialised_usd": float(tape["socialised_usd"].sum()),
        "deleveraged_accounts": float(tape["deleveraged_accounts"].sum()),
        "insurance_usd": float(rows["insurance_usd"][-1]),
        "most_due_accounts": float(rows["due_accounts"].max()),
        "worst_equity_usd": float(rows["worst_equity_usd"].min()),
        "cascade_size_mean": float(np.mean(sizes)) if sizes else math.nan,
        "cascade_size_largest": float(max(sizes, default=0)),
        "liquidation_success": float(world.liquidators["wins"].sum()) / tries if tries else math.nan,
        "stopped_out": float(world.leveraged["stopped"].sum()),
        "leveraged_gone": float((world.leveraged["status"] == 4).sum()),
    }
