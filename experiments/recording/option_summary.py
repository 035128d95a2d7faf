"""Summary measures of options: all books together, however many there are."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockspace.agents.option_vaults import equity_of
from blockspace.experiments.recording.rows import DELTA_HEDGER, OPTION_MAKER, OPTION_TRADER, OPTION_VAULT
from blockspace.markets.clearing import with_claims
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.options.black_scholes import YEAR_NS, greeks

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


def summarise_option_makers(world: "World", hours: float, meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Measures of what makers ask for options, and what quoting them costs; nothing where there are no option makers.

    The premium is that of the mid over the value at the volatility of the price process: in points of volatility (the
    median over all looks at series quoted on both sides), and as a share of the values' sum. It is NaN where prices
    come from elsewhere. Parameters are those of :func:`summarise_options`.
    """
    makers = world.option_makers
    if not len(makers):
        return {}
    rows = world.records.options.rows()
    both = np.isfinite(rows["best_bid_usd"]) & np.isfinite(rows["best_ask_usd"])
    rows = rows[both & (rows["time_s"] > world.scenario.warm_up_s)]
    mid = 0.5 * (rows["best_bid_usd"] + rows["best_ask_usd"])
    half_spread = 0.5 * (rows["best_ask_usd"] - rows["best_bid_usd"])
    price = world.scenario.price
    volatility = price.volatility_per_day * math.sqrt(365.0) if price.source == "diffusion" else math.nan
    value = _values_at(world, rows, volatility)
    total = float(value.sum())
    listed = float(makers["listed_looks"].sum())
    return {
        "option_maker_premium_points": _median(
            100.0 * (0.5 * (rows["bid_volatility"] + rows["ask_volatility"]) - volatility)
        ),
        "option_maker_premium_percent": 100.0 * (float(mid.sum()) / total - 1.0) if total else math.nan,
        "option_maker_half_spread_points": _median(50.0 * (rows["ask_volatility"] - rows["bid_volatility"])),
        "option_maker_half_spread_percent": 100.0 * float(half_spread.sum()) / total if total else math.nan,
        "option_maker_quoted_share": float(makers["quoted_looks"].sum()) / listed if listed else math.nan,
        "option_maker_revenue_usd": float(makers["total_revenue"].sum()),
        "option_maker_hedging_usd": float(makers["total_hedging"].sum()),
        "gas_option_maker_usd_per_h": float(meter["gas_usd"][OPTION_MAKER]) / hours,
        "gas_option_trader_usd_per_h": float(meter["gas_usd"][OPTION_TRADER]) / hours,
    }


def summarise_vaults(world: "World", hours: float, meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    """What depositors of option vaults have earned since the start of the run; nothing where there are none.

    The return counts cash and positions at their marks, less the gas paid, as a share of the deposits. Parameters are
    those of :func:`summarise_options`.
    """
    vaults = world.option_vaults
    if not len(vaults):
        return {}
    venue = world.venues[0]
    marks = venue["instruments"]["mark"][: int(venue["count"])]
    held = with_claims(venue, int(venue["ledger"]["count"]))[vaults["account"]]
    for number, instrument in enumerate(world.scenario.instruments):
        if instrument.kind == "spot":  # endowed beside the deposit
            held["position"][:, number] -= round(world.scenario.endowment.spot / instrument.lot_size)
    deposits = float(vaults["deposit"].sum())
    gas = float(vaults["total_gas"].sum())
    return {
        "vault_return_percent": 100.0 * (float(equity_of(held, marks).sum()) - gas - deposits) / deposits,
        "vault_premium_percent": 100.0 * float(vaults["premium"].sum()) / deposits,
        "vault_gas_percent": 100.0 * gas / deposits,
        "gas_option_vault_usd_per_h": float(meter["gas_usd"][OPTION_VAULT]) / hours,
    }


def summarise_delta_hedgers(world: "World", hours: float, meter: dict[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Measures of desks that hedge, all of them together; nothing where there are none.

    Counts and gaps are of the whole run, of looks at which options were held. Parameters are those of
    :func:`summarise_options`.
    """
    desks = world.delta_hedgers
    if not len(desks):
        return {}
    whole_hours = world.scenario.duration_s / 3_600.0
    looks, delta = float(desks["looks"].sum()), float(desks["total_delta"].sum())
    gap = float(desks["total_gap"].sum())
    return {
        "delta_hedger_hedges_per_h": float(desks["hedges_sent"].sum()) / whole_hours,
        "delta_hedger_units_per_h": float(desks["units_traded"].sum()) / whole_hours,
        "delta_hedger_gap_units": gap / looks if looks else math.nan,
        "delta_hedger_gap_share": gap / delta if delta else math.nan,
        "gas_delta_hedger_usd_per_h": float(meter["gas_usd"][DELTA_HEDGER]) / hours,
    }


def _values_at(world: "World", rows: npt.NDArray[Any], volatility: float) -> npt.NDArray[np.float64]:
    """Values of series as they were looked at, in dollars per unit, at one volatility."""
    series = world.records.options.series_rows()
    terms = series[np.searchsorted(series["number"], rows["series"])]
    strikes = terms["strike"] / (world.scenario.options.lot_size * MICRO_DOLLARS)
    years = np.maximum(terms["expiry"] * 1e-9 - rows["time_s"], 0.0) / (YEAR_NS * 1e-9)
    return np.array(
        [
            greeks(spot, strike, left, volatility, right, 0.0, 0.0)[0]
            for spot, strike, left, right in zip(rows["index_usd"], strikes, years, terms["right"], strict=True)
        ],
        np.float64,
    )


def _median(values: npt.NDArray[Any]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
