"""Summary measures of pools: what they earn, and what arbitrage takes from them."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.recording.rows import ROLES

if TYPE_CHECKING:
    from blockspace.experiments.world import World

POOL_ROLES = ("pool_arbitrageur", "swapper", "provider", "sandwicher", "extractor")


def summarise_pools(
    world: "World", kept: npt.NDArray[np.bool_], lasts: npt.NDArray[Any], meter: dict[str, npt.NDArray[Any]]
) -> dict[str, float]:
    """Measures of every pool, with its name as prefix, and of those who deal with them; nothing without pools.

    Parameters
    ----------
    world
        The world.
    kept
        Which rows lie behind the warm-up.
    lasts
        Seconds until the next row, of each of these.
    meter
        What the meter has added up since the warm-up.
    """
    hours = lasts.sum() / 3600.0
    measures: dict[str, float] = {}
    for number, pool in enumerate(world.scenario.pools):
        found = _pool_measures(world.records.pool_rows(number)[kept], lasts, hours)
        measures |= {f"{pool.name}.{name}": value for name, value in found.items()}
    if not measures:
        return measures
    for role in POOL_ROLES:
        measures[f"gas_{role}_usd_per_h"] = float(meter["gas_usd"][ROLES.index(role)]) / hours
    tries = float(world.pool_arbitrageurs["tries"].sum())
    sent = world.swappers["swaps_sent"].sum(), world.swappers["orders_sent"].sum()
    searchers = [world.sandwichers, world.extractors]
    for number, kind in enumerate(("sandwich", "back_run")):
        tried = float(sum(rows["tries"][:, number].sum() for rows in searchers))
        won = float(sum(rows["wins"][:, number].sum() for rows in searchers))
        measures[f"{kind}_success"] = won / tried if tried else math.nan
    return measures | {
        "pool_arbitrage_success": float(world.pool_arbitrageurs["wins"].sum()) / tries if tries else math.nan,
        "swappers_to_pool_share": float(sent[0] / sum(sent)) if sum(sent) else math.nan,
        "providers_active": float((world.providers["status"] >= 2).sum()),
    }


def _pool_measures(rows: npt.NDArray[Any], lasts: npt.NDArray[Any], hours: float) -> dict[str, float]:
    value = float((rows["value_usd"] * lasts).sum() / lasts.sum())
    loss = float(rows["arbitrage_profit_usd"].sum())
    volume, arbitrage = float(rows["volume_usd"].sum()), float(rows["arbitrage_volume_usd"].sum())
    fees, gain = float(rows["fees_usd"].sum()), float(rows["providers_gain_usd"].sum())
    swaps = float(rows["swaps"].sum())
    others = swaps - float(rows["swaps_around"].sum())  # all but those of whoever trades around them
    per_day = 24e4 / hours / value
    return {
        "price_gap_bps": float((np.abs(rows["price_gap_bps"]) * lasts).sum() / lasts.sum()),
        "value_usd": value,
        "swaps_per_h": swaps / hours,
        "volume_usd_per_h": volume / hours,
        "arbitrage_volume_share": arbitrage / volume if volume else math.nan,
        "fees_usd_per_h": fees / hours,
        "fees_bps_per_day": fees * per_day,
        "loss_to_arbitrage_usd_per_h": loss / hours,
        "loss_to_arbitrage_bps_per_day": loss * per_day,
        "sandwich_rate": float(rows["sandwiched"].sum()) / others if others else math.nan,
        "lost_to_sandwiches_usd_per_h": float(rows["loss_to_sandwiches_usd"].sum()) / hours,
        "gain_over_rebalancing_usd_per_h": gain / hours,
        "gain_over_rebalancing_bps_per_day": gain * per_day,
    }
