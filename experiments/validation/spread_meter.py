"""V13: three ways to measure a spread that is known agree with it.

The external price stands still and one pair of quotes rests around it. The recorder's quoted spread and its
effective spread, and Roll's estimator on the tape of trades, must all return the pair's distance.
"""

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target

ROLL = "Roll (1984)"
PRICE_USD = 2_000.0
SPREAD_USD = 2.0


class FixedQuotes(Trader):
    """Rests one bid and one ask around the external price, large enough to last."""

    def __init__(self, model: Any, spread_usd: float, size: float) -> None:
        super().__init__(model)
        self.spread_usd = spread_usd
        self.size = size
        self.quoted = False

    def act(self) -> None:
        """Quote once."""
        if not self.quoted:
            half = 0.5 * self.spread_usd
            self.submit("buy", self.external_price - half, self.size, style="post_only", slot=0)
            self.submit("sell", self.external_price + half, self.size, style="post_only", slot=1)
            self.quoted = True


def roll_spread(prices: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Roll's estimate of the effective spread (1984), and its standard error.

    It is ``2 sqrt(-Cov(dp_t, dp_{t-1}))``. Price changes have mean zero in the model, and the covariance is taken
    about it.

    Parameters
    ----------
    prices
        Prices of consecutive trades.

    Raises
    ------
    ValueError
        If the covariance is not negative: then there is no such spread.

    Examples
    --------
    >>> sides = np.random.default_rng(1).choice([-1.0, 1.0], size=100_000)
    >>> spread, _ = roll_spread(2_000.0 + 0.5 * sides)
    >>> round(spread, 1)
    1.0
    """
    changes = np.diff(prices)
    covariance, error = mean_with_error(changes[1:] * changes[:-1])
    if covariance >= 0.0:
        raise ValueError(f"the covariance of price changes is {covariance:g}; it must be negative")
    spread = 2.0 * math.sqrt(-covariance)
    return spread, 2.0 * error / spread


@target("V13")
def spread_meters(quick: bool) -> list[Row]:
    """Quoted, effective and Roll's spread of a known pair of quotes."""
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": 0.1},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0},
            "price": {"initial_usd": PRICE_USD, "volatility_per_day": 0.0},
            "noise_traders": {
                "count": 100,
                "orders_per_s": 20.0,
                "size_mean": 0.01,
                "size_variation": 0.0,
                "value_bps": 1_000.0,
            },
        }
    )
    market = Market(scenario, seed=130)
    FixedQuotes(market, SPREAD_USD, size=10_000.0)
    market.run_for(300.0 if quick else 5_000.0)
    trades, summary = market.trades(), market.summary()
    roll, error = roll_spread(trades["price_usd"].to_numpy())
    check = partial(compare, "V13", note=f"{len(trades)} trades", source=ROLL)
    known_bps = 1e4 * SPREAD_USD / PRICE_USD
    quoted_bps, effective_bps = summary["quoted_spread_bps"], summary["effective_spread_bps"]
    return [
        check("Roll's spread of the trades, dollars", SPREAD_USD, roll, relative=0.02, standard_error=error),
        check("quoted spread, basis points", known_bps, quoted_bps, relative=1e-6),
        check("effective spread, basis points", known_bps, effective_bps, relative=0.001),
    ]
