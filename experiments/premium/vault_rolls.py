"""What became of the calls that option vaults have sold, roll by roll, from the tapes of a finished run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.premium.paths import true_volatility
from blockspace.markets.options.black_scholes import YEAR_NS, greeks

PREFIX = "vault_rolls"
_DAY_S = 86_400.0
_YEAR_S = YEAR_NS * 1e-9


@dataclass(frozen=True)
class VaultRolls:
    """Measures of all vaults of a run over the expiries that were listed after the warm-up and have been settled.

    A roll is what a vault did between the listing of an expiry and its settlement. Hedges are marked to the external
    price at both ends; funding of the perpetual is left out, as it is with other hedges here. Values are those of Black
    and Scholes (1973) at the true volatility and the external price of the moment of the sale. Gas is that of the whole
    time after the warm-up, brought to the time of the rolls.
    """

    reads_tapes: ClassVar[bool] = True

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Means over rolls, by name; percentages are of the deposit, which rolls do not change."""
        rolls = roll_table(market)
        deposit = float(market.world.option_vaults["deposit"][0])
        days = float(rolls["days"].sum())
        per_year = 100.0 * 365.0 / (deposit * days) if days else math.nan
        value, premium, sold = (float(rolls[name].sum()) for name in ("value_usd", "premium_usd", "sold"))
        error = rolls.loc[rolls["sold"] > 0, "value_usd"] - rolls["payoff_usd"] + rolls["hedging_usd"]
        before = float((rolls["premium_usd"] - rolls["payoff_usd"] + rolls["hedging_usd"] - rolls["fees_usd"]).sum())
        count, hours = len(rolls), 24.0 * days
        gas = market.summary()["gas_option_vault_usd_per_h"] * hours / len(market.world.option_vaults)
        measures = {
            "return_percent_per_year": per_year * before,
            "return_after_gas_percent_per_year": per_year * (before - gas),
            "gas_percent_per_year": per_year * gas,
            "gas_usd_per_roll": gas / count if count else math.nan,
            "premium_percent_per_year": per_year * premium,
            "premium_over_value_percent": 100.0 * (premium / value - 1.0) if value else math.nan,
            "premium_over_value_percent_per_year": per_year * (premium - value),
            "hedging_error_percent": 100.0 * math.sqrt(float((error**2).mean())) / deposit if sold else math.nan,
            "hedges_per_roll": float(rolls["hedges"].sum()) / count if count else math.nan,
            "hedges_filled_share": _filled_share(market),
            "sold_share_of_rolls": float((rolls["sold"] > 0).mean()) if count else math.nan,
        }
        return {f"{PREFIX}.{name}": value for name, value in measures.items()}


def _filled_share(market: Market) -> float:
    """Share of the hedges sent in the whole run that found something to trade with."""
    vaults, trades = market.world.option_vaults, market.trades()
    hedges = trades[(trades["series"] < 0) & trades["taker"].isin(vaults["account"])]
    sent = int(vaults["hedges_sent"].sum())
    return len(hedges[["taker", "time_s"]].drop_duplicates()) / sent if sent else math.nan


def roll_table(market: Market) -> pd.DataFrame:
    """One row for each vault and each expiry that was listed after the warm-up and has been settled.

    Columns are ``account``, ``expiry_s``, ``days``, ``sold`` (units), ``premium_usd``, ``value_usd``, ``payoff_usd``,
    ``fees_usd`` (of the venue), ``hedging_usd`` (gain of the hedges) and ``hedges`` (that traded).

    Raises
    ------
    UserError
        If the price has no one true volatility.
    """
    volatility = true_volatility(market)
    series = market.series().set_index("number")
    shortest = series["tenor_days"].min()
    settled = series[series["settled_s"].notna() & (series["tenor_days"] == shortest)]
    settled = settled[settled["listed_s"] >= market.world.scenario.warm_up_s]
    expiries = settled.drop_duplicates("expiry_s")
    vaults = market.world.option_vaults["account"].tolist()
    trades = market.trades()
    rows: list[dict[str, Any]] = []
    for account in vaults:
        own = trades[(trades["taker"] == account) | (trades["maker"] == account)]
        sign = np.where(own["side"] == "buy", 1.0, -1.0) * np.where(own["taker"] == account, 1.0, -1.0)
        own = own.assign(
            signed=sign * own["size"],
            fee_usd=np.where(own["taker"] == account, own["taker_fee_usd"], own["maker_fee_usd"]),
        )
        hedges = own[own["series"] < 0]
        for start, end in zip(expiries["listed_s"], expiries["settled_s"], strict=True):
            first, last = market.external_prices([start, end])
            inside = _between(hedges, start, end)
            held = float(hedges.loc[hedges["time_s"] <= start, "signed"].sum())
            calls = _between(own[own["series"].isin(settled.index)], start, end)
            terms = settled.loc[calls["series"]]
            left = (terms["expiry_s"].to_numpy() - calls["time_s"].to_numpy()) / _YEAR_S
            values = [
                greeks(spot, strike, years, volatility, 1, 0.0, 0.0)[0]
                for spot, strike, years in zip(calls["external_price_usd"], terms["strike_usd"], left, strict=True)
            ]
            sold = -calls["signed"].to_numpy()
            rows.append(
                {
                    "account": account,
                    "expiry_s": end,
                    "days": (end - start) / _DAY_S,
                    "sold": sold.sum(),
                    "premium_usd": (sold * calls["price_usd"].to_numpy()).sum(),
                    "value_usd": (sold * np.array(values, float)).sum(),
                    "payoff_usd": (sold * terms["payoff_usd"].to_numpy()).sum(),
                    "fees_usd": calls["fee_usd"].sum() + inside["fee_usd"].sum(),
                    "hedging_usd": held * (last - first) + (inside["signed"] * (last - inside["price_usd"])).sum(),
                    "hedges": inside["time_s"].nunique(),
                }
            )
    columns = ["account", "expiry_s", "days", "sold", "premium_usd", "value_usd", "payoff_usd", "fees_usd"]
    return pd.DataFrame(rows, columns=[*columns, "hedging_usd", "hedges"])


def _between(frame: pd.DataFrame, start: float, end: float) -> pd.DataFrame:
    """Rows after ``start``, up to and with ``end``."""
    return frame[(frame["time_s"] > start) & (frame["time_s"] <= end)]
