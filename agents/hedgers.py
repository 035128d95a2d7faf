"""Leveraged hedgers: each is long on one chain and short on another, in part or in full, and has collateral for both.

They hold their positions from before the run, say for what funding or a basis pays, and do nothing by themselves. How
much collateral they need depends on what the rules count; they have that and a cushion, small ones and large.
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.network.draws import draw_exponential, draw_normal, draw_uniform, stream_key
from blockspace.network.settings import Settings

_VALUE, _SIDE, _HEDGE, _CUSHION = range(4)

HEDGER = np.dtype(
    [
        ("long", "i8"),  # number of the chain where it is long, among those that are linked
        ("short", "i8"),  # and where it is short
        ("long_usd", "f8"),  # value of each leg at the start
        ("short_usd", "f8"),
        ("cushion", "f8"),  # equity at the start, in initial requirements
    ],
    align=True,
)


class HedgerSettings(Settings):
    """Owners of offsetting positions on different chains."""

    count: int = Field(0, ge=0, le=4_000, description="number of hedgers")
    value_mean_usd: float = Field(20_000.0, gt=0, le=1e9, description="mean value of the larger leg, dollars")
    value_variation: float = Field(1.0, ge=0, le=10, description="coefficient of variation of it (log-normal)")
    first_long_share: float = Field(
        0.5, ge=0, le=1, description="share of hedgers who are long on the first of their two chains"
    )
    least_hedge: float = Field(
        0.5, ge=0, le=1, description="least value of the smaller leg as a share of the larger (uniform up to 1)"
    )
    cushion_mean: float = Field(
        0.5,
        ge=0,
        le=100,
        description="mean of what a hedger has beyond the initial requirement, in requirements (exponential)",
    )
    collateral: Literal["as_required", "as_isolated"] = Field(
        "as_required",
        description="whether hedgers bring what the rules ask for, or what they would ask for if each chain stood by "
        "itself",
    )


def new_hedgers(settings: HedgerSettings, chains: int, seed: int) -> npt.NDArray[Any]:
    """Rows of type ``HEDGER``, each drawn by itself; pairs of neighbouring chains take turns."""
    rows = np.zeros(settings.count, HEDGER)
    sigma = math.sqrt(math.log(1.0 + settings.value_variation**2))
    for number, row in enumerate(rows):
        key = np.uint64(stream_key(seed, f"hedgers/{number}"))
        first, second = number % chains, (number + 1) % chains
        if draw_uniform(key, 0, _SIDE) >= settings.first_long_share:
            first, second = second, first
        row["long"], row["short"] = first, second
        larger = settings.value_mean_usd * math.exp(sigma * draw_normal(key, 0, _VALUE) - 0.5 * sigma * sigma)
        smaller = larger * (settings.least_hedge + (1.0 - settings.least_hedge) * draw_uniform(key, 0, _HEDGE))
        row["long_usd"], row["short_usd"] = larger, smaller
        row["cushion"] = 1.0 + settings.cushion_mean * draw_exponential(key, 0, _CUSHION)
    return rows
