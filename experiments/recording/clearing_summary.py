"""What a run says of trades that waited for settlement: how long, at what gas, and what they tied up meanwhile.

*Netting* is the part of the value of trades, both sides counted, that no account had to pay because what it bought and
what it sold in the same settlement met. *Margin per exposure* is the initial margin that perpetuals took, the larger of
settled and final positions, in per cent of what was at risk, final positions at their marks; where trades settle at
once it is the initial margin itself.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from blockspace.experiments.recording.delays import delay_quantile
from blockspace.experiments.recording.rows import CLEARING_KEEPER
from blockspace.markets.clearing import CLEARING_TOTALS
from blockspace.markets.ledger import MICRO_DOLLARS

if TYPE_CHECKING:
    from blockspace.experiments.world import World


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def summarise_clearing(
    world: "World", rows: npt.NDArray[Any], lasts: npt.NDArray[Any], meter: dict[str, npt.NDArray[Any]]
) -> dict[str, float]:
    """Measures of settlements behind the warm-up; nothing where trades settle at once.

    Parameters
    ----------
    world
        The world.
    rows, lasts
        Rows of blocks behind the warm-up, and seconds for which the state after each lasted.
    meter
        What has been added up since the warm-up.
    """
    if world.scenario.venue.settlement == "immediate":
        return {}
    totals = {name: float(meter["clearing"][name][0]) for name in CLEARING_TOTALS.names or ()}
    settled = totals["trades"] + totals["at_expiry"]
    gas, gas_usd = float(meter["gas_units"][CLEARING_KEEPER]), float(meter["gas_usd"][CLEARING_KEEPER])
    fees, gross = totals["fees"] / MICRO_DOLLARS, totals["gross"] / MICRO_DOLLARS
    exposure = float((rows["exposure_usd"] * lasts).sum())
    return {
        "settlements": totals["settlements"],
        "trades_settled": settled,
        "trades_settled_at_expiry": totals["at_expiry"],
        "trades_per_settlement": _ratio(totals["trades"], totals["settlements"]),
        "accounts_per_settlement": _ratio(totals["parties"], totals["settlements"]),
        "netting_percent": 100.0 * (1.0 - _ratio(totals["net"], totals["gross"])),
        "settlement_gas_per_trade": _ratio(gas, settled),
        "settlement_gas_usd_per_trade": _ratio(gas_usd, settled),
        "settlement_cost_bps": _ratio(1e4 * gas_usd, 0.5 * gross),
        "settlement_percent_of_gas": 100.0 * _ratio(gas, float(rows["gas_used"].sum())),
        "settlement_delay_median_s": delay_quantile(meter["settlement_delays"], 0.5),
        "settlement_delay_p95_s": delay_quantile(meter["settlement_delays"], 0.95),
        "unsettled_usd": float((rows["unsettled_usd"] * lasts).sum() / lasts.sum()),
        "unsettled_peak_usd": float(rows["unsettled_usd"].max()),
        "margin_per_exposure_percent": 100.0 * _ratio(float((rows["margin_demanded_usd"] * lasts).sum()), exposure),
        "failed_settlements": totals["failed"],
        "settlement_shortfall_usd": (totals["insured"] + totals["socialised"]) / MICRO_DOLLARS,
        "clearing_fees_usd": fees,
        "clearing_profit_usd": fees - gas_usd,
    }
