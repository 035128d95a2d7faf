"""Summary measures of options: all books together, however many there are."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from blockspace.experiments.world import World


def summarise_options(world: "World", hours: float, meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Measures of all options together; nothing where there are none.

    Parameters
    ----------
    world
        The world.
    hours
        How long the run was after the warm-up.
    meter
        What the meter has added up since the warm-up.
    """
    if not world.scenario.options.count:
        return {}
    rows = world.records.options.rows()
    rows = rows[rows["time_s"] > world.scenario.warm_up_s]
    spread = rows["best_ask_usd"] - rows["best_bid_usd"]
    two_sided = np.isfinite(spread)
    looks = len(np.unique(rows["time_s"]))
    marked = two_sided & (rows["mark_usd"] > 0)
    return {
        "option_spread_percent_of_mark": _median(100.0 * spread[marked] / rows["mark_usd"][marked]),
        "option_spread_volatility_points": _median(100.0 * (rows["ask_volatility"] - rows["bid_volatility"])),
        "option_two_sided_share": float(two_sided.mean()) if len(rows) else np.nan,
        "option_trades_per_h": float(meter["option_trades"]) / hours,
        "option_volume_per_h": float(meter["option_units"]) / hours,
        "option_premium_usd_per_h": float(meter["option_premium"]) * 1e-6 / hours,
        "option_fees_usd_per_h": float(meter["option_fees"]) * 1e-6 / hours,
        "option_open_interest": float(rows["open_interest"].sum()) / looks if looks else np.nan,
    }


def _median(values: npt.NDArray[Any]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
