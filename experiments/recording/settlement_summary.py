"""What a run says of a rollup's way down: how long its transactions wait for each stage, and what that costs whom.

Times are means over transactions, from the block of the rollup that holds one to the block below that has it. What did
not happen before the end of the run is left out of them, and counted by the share that got there; but what waits to be
refuted is final, for the mean, when nobody will be able to do that any more. Value at risk is what changed hands in
trades that had not reached a stage, averaged over time: that is what could still be undone.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from blockspace.network.blob_market import USABLE_BYTES_PER_BLOB

if TYPE_CHECKING:
    from blockspace.experiments.settlement import Settlement

STAGES = ("posted", "safe", "claimed", "final")


def summarise_settlement(settlement: "Settlement", end_s: float) -> dict[str, float]:
    """Measures of a rollup's settlement behind the warm-up.

    Parameters
    ----------
    settlement
        Of the rollup.
    end_s
        End of the run so far, in seconds.
    """
    warm_up_s = settlement.world.scenario.warm_up_s
    hours = (end_s - warm_up_s) / 3_600.0
    batches = settlement.batches()
    batches = batches[batches["opened_s"] > warm_up_s]
    measures: dict[str, float] = {}
    for stage in STAGES:
        reached = batches[batches[f"{stage}_s"] <= end_s]
        ends = "due_s" if stage == "final" else f"{stage}_s"
        known = batches[batches[ends].notna()] if stage == "final" else reached
        measures[f"{stage}_after_s"] = _mean(known[ends] - known["block_s"], known["transactions"])
        measures[f"{stage}_share"] = _ratio(reached["transactions"].sum(), batches["transactions"].sum())
        waits = batches[f"{stage}_s"].fillna(end_s).clip(upper=end_s) - batches["block_s"]
        measures[f"value_not_{stage}_usd"] = _ratio((batches["value_usd"] * waits).sum(), hours * 3_600.0)
    transactions = float(batches["transactions"].sum())
    posting = float(batches["cost_usd"].sum())
    claims = settlement.claims()
    claims = claims[claims["requested_s"] > warm_up_s]
    claiming = float(claims["cost_usd"].sum())
    proving = float(claims.loc[claims["included_s"].notna(), "fee_usd"].sum())
    space = float((batches["blobs"] * USABLE_BYTES_PER_BLOB).sum())
    return measures | {
        "batches_per_h": len(batches) / hours,
        "batch_transactions": _ratio(transactions, len(batches)),
        "batch_bytes": float(batches["bytes"].mean()) if len(batches) else math.nan,
        "posted_bytes_per_transaction": _ratio(batches["bytes"].sum(), transactions),
        "blob_fill_share": _ratio(batches["bytes"].sum(), space),
        "posting_tries": float(batches["tries"].mean()) if len(batches) else math.nan,
        "posting_usd_per_h": posting / hours,
        "posting_usd_per_transaction": _ratio(posting, transactions),
        "claims_per_h": len(claims) / hours,
        "claims_refuted": float(claims["refuted_s"].notna().sum()),
        "claiming_usd_per_h": claiming / hours,
        "proving_usd_per_h": proving / hours,
        "proving_s": float((claims["ready_s"] - claims["requested_s"]).mean()) if len(claims) else math.nan,
        "settlement_usd_per_h": (posting + claiming + proving) / hours,
    }


def _mean(values: pd.Series, weights: pd.Series) -> float:
    return _ratio((values * weights).sum(), weights.sum())


def _ratio(numerator: float, denominator: float) -> float:
    return float(np.float64(numerator) / denominator) if denominator else math.nan
