"""Summary measures of builders: what they keep, and how concentrated they are."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.decentralisation import decentralisation_measures


def summarise_builders(rows: npt.NDArray[Any], count: int) -> dict[str, float]:
    """What ``count`` builders keep of the tips, and how concentrated they are; nothing without builders.

    Parameters
    ----------
    rows
        Rows of blocks, of type ``BLOCK_ROW``. Blocks without a transaction count for nobody.
    count
        Number of builders.
    """
    if count == 0:
        return {}
    built = rows[rows["transactions"] > 0]
    tips = float(built["tips_usd"].sum())
    blocks = np.bincount(built["builder"], minlength=count + 1)[1:]
    return {
        "builder_share_of_tips": 1.0 - float(built["bid_usd"].sum()) / tips if tips else math.nan,
        "builder_hhi": decentralisation_measures(blocks)["hhi"] if blocks.any() else math.nan,
        "largest_builder_share": float(blocks.max() / blocks.sum()) if blocks.any() else math.nan,
    }
