"""Prices and fees along a run, block by block: all that a small writer of options has to do with."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blockspace.experiments.errors import UserError
from blockspace.experiments.market import Market

DAYS_PER_YEAR = 365.0
GWEI_PER_ETHER = 1e9


@dataclass(frozen=True)
class FeePath:
    """What blocks show to who hedges along them.

    Attributes
    ----------
    times_ns
        Times of the blocks, increasing, in nanoseconds.
    prices_usd
        External price at each block.
    fees_usd
        Dollars per unit of gas that get a transaction into each block.
    volatility
        True volatility of the price, per square root of a year of 365 days.
    """

    times_ns: npt.NDArray[np.int64]
    prices_usd: npt.NDArray[np.float64]
    fees_usd: npt.NDArray[np.float64]
    volatility: float

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.times_ns, self.prices_usd, self.fees_usd)}
        if len(lengths) > 1:
            raise ValueError("times, prices and fees must be equally many, one for each block")


def fee_path(market: Market) -> FeePath:
    """Prices and fees of the first chain of a run after its warm-up.

    A transaction pays the base fee of its block and a tip: the wallet's usual one or, where the block is full, the
    lowest that got in, if that is more. Gas is paid in ether at the price of the moment.

    Raises
    ------
    UserError
        If the price has no one true volatility.
    """
    scenario = market.world.scenario
    volatility = true_volatility(market)
    rows = market.world.records.block_rows()
    rows = rows[rows["time_s"] > scenario.warm_up_s]
    prices = rows["external_price_usd"].copy()
    ether = prices if scenario.venue.gas_token == "underlying" else scenario.venue.gas_token_usd
    tips = np.maximum(rows["marginal_tip_gwei"], scenario.fee_market.wallet_tip_wei * 1e-9)
    fees = (rows["base_fee_gwei"] + tips) / GWEI_PER_ETHER * ether
    return FeePath(np.rint(rows["time_s"] * 1e9).astype(np.int64), prices, fees, volatility)


def true_volatility(market: Market) -> float:
    """Volatility of the external price per square root of a year, where there is one.

    Raises
    ------
    UserError
        If the price jumps, drifts, comes from elsewhere, or has a volatility that changes.
    """
    price = market.world.scenario.price
    for name, wanted in (
        ("source", "diffusion"),
        ("jumps_per_day", 0.0),
        ("volatility_of_volatility_per_sqrt_day", 0.0),
        ("drift_per_day", fair_drift(price.volatility_per_day)),
    ):
        value = getattr(price, name)
        if value != wanted:
            raise UserError(
                f"price.{name} is {value!r}; it must be {wanted!r} where options are written, so that their value at "
                "the true volatility is known and the price is a fair game"
            )
    return price.volatility_per_day * math.sqrt(DAYS_PER_YEAR)


def fair_drift(volatility_per_day: float) -> float:
    """Drift of the log price per day that makes the price itself a fair game."""
    return -0.5 * volatility_per_day**2
