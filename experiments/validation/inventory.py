"""V17: a market maker with constant risk aversion, in a market whose orders come as its theory has them.

Traders with exponential private values take a quote at distance ``d`` from the price at the rate ``A exp(-k d)`` on
either side, since that is the share of values beyond it. The maker solves its own problem, for the rates that it
believes in and its risk aversion (Avellaneda and Stoikov, 2008; in the stationary form of Gueant, Lehalle and
Fernandez-Tapia, 2013), and quotes one unit a side in every block. The law of its inventory and its profit follow from
its quotes as from any process of births and deaths; the market has to arrive at them.
"""

import math

import numpy as np
import numpy.typing as npt

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target
from blockspace.markets.instruments import HANDLES

SOURCE = "Avellaneda and Stoikov (2008); Gueant, Lehalle and Fernandez-Tapia (2013)"
VOLATILITY, RATE, DECAY, AVERSION = 0.3, 0.9, 0.3, 0.01
"""Dollars per square-root second, orders per second and side, per dollar, per dollar."""

LARGEST = 40
"""Units of inventory beyond which the problem is cut off: far more than are ever held."""

PRICE_USD, TICK_USD, BLOCK_TIME_S = 4_000.0, 0.01, 0.05
BID, ASK = 0, 1


def optimal_distances(volatility: float, rate: float, decay: float, aversion: float) -> npt.NDArray[np.float64]:
    """Distances of the best bid and ask from the price, by inventory from ``-LARGEST`` to ``LARGEST``, in dollars.

    They follow from the ground state of the maker's problem: the eigenvector of the least eigenvalue of a matrix with
    ``k g s^2 q^2 / 2`` on the diagonal and ``-A (1 + g/k)^-(1 + k/g)`` beside it. Infinite where it quotes no more.

    Returns
    -------
    numpy.ndarray
        Shape (inventories, 2).
    """
    inventory = np.arange(-LARGEST, LARGEST + 1)
    beside = -rate * (1.0 + aversion / decay) ** -(1.0 + decay / aversion)
    matrix = np.diag(0.5 * decay * aversion * volatility**2 * inventory**2.0)
    matrix += beside * (np.eye(len(inventory), k=1) + np.eye(len(inventory), k=-1))
    ground = np.abs(np.linalg.eigh(matrix)[1][:, 0])
    fixed = math.log(1.0 + aversion / decay) / aversion
    distances = np.full((len(inventory), 2), np.inf)
    distances[:-1, BID] = np.log(ground[:-1] / ground[1:]) / decay + fixed
    distances[1:, ASK] = np.log(ground[1:] / ground[:-1]) / decay + fixed
    return distances


def usual_spread(volatility: float, rate: float, decay: float, aversion: float) -> float:
    """Spread by the closed form for a far horizon.

    Examples
    --------
    >>> round(usual_spread(0.3, 0.9, 0.3, 0.01), 4)
    6.6258
    """
    ratio = 1.0 + aversion / decay
    wide = math.sqrt(volatility**2 * aversion / (2.0 * decay * rate) * ratio ** (1.0 + decay / aversion))
    return 2.0 / aversion * math.log(ratio) + wide


def stationary_law(distances: npt.NDArray[np.float64], rate: float, decay: float) -> tuple[float, float]:
    """Variance of the inventory (units squared) and profit (dollars per second) of a maker with these quotes."""
    fills = rate * np.exp(-decay * distances)
    weights = np.concatenate([[1.0], np.cumprod(fills[:-1, BID] / fills[1:, ASK])])
    law = weights / weights.sum()
    inventory = np.arange(len(law)) - (len(law) - 1) // 2
    mean = float(law @ inventory)
    earned = np.where(np.isfinite(distances), fills * np.where(np.isfinite(distances), distances, 0.0), 0.0)
    return float(law @ (inventory - mean) ** 2), float(law @ earned.sum(axis=1))


class Maker(Trader):
    """Quotes one unit a side at the distances that are best for its inventory."""

    def __init__(self, model: Market, distances: npt.NDArray[np.float64]) -> None:
        super().__init__(model)
        self.distances = distances
        self.inventory: list[int] = []
        self.profit: list[float] = []
        self.spread: list[float] = []
        self._cash = int(self.world.venues[0]["ledger"]["accounts"]["cash"][self.account])

    def act(self) -> None:
        """Note what it has, and replace its quotes."""
        account = self.world.venues[0]["ledger"]["accounts"][self.account]
        units = round(int(account["position"][0]) * self.world.lot_size(0))
        price = self.external_price
        self.inventory.append(units)
        self.profit.append((int(account["cash"]) - self._cash) * 1e-6 + units * price)
        bid, ask = self.distances[units + LARGEST]
        self._quote(BID, "buy", price - bid)
        self._quote(ASK, "sell", price + ask)
        self.spread.append(bid + ask if units == 0 else math.nan)

    def _quote(self, slot: int, side: str, price: float) -> None:
        price = round(price / TICK_USD) * TICK_USD
        handle = self.account * HANDLES + slot
        if int(self.world.venues[0]["books"][0]["orders"][handle]["size"]) > 0:
            self.replace(slot, price, 1.0)
        else:
            self.submit(side, price, 1.0, style="post_only", slot=slot)


@target("V17")
def inventory(quick: bool) -> list[Row]:
    """Quotes, inventory and profit of a maker who solves its own problem."""
    distances = optimal_distances(VOLATILITY, RATE, DECAY, AVERSION)
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": 10**9, "ordering": "cancels_first"},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
            "price": {
                "initial_usd": PRICE_USD,
                "volatility_per_day": VOLATILITY / PRICE_USD * math.sqrt(86_400.0),
            },
            "venue": {"oracle_delay_s": 0.0, "funding_interval_s": 1e6},
            "instruments": [
                {"tick_usd": TICK_USD, "lot_size": 0.01, "maker_fee_bps": 0.0, "taker_fee_bps": 0.0, "impact_size": 1.0}
            ],
            "noise_traders": {
                "count": 20,
                "orders_per_s": 2.0 * RATE,
                "size_mean": 1.0,
                "size_variation": 0.0,
                "value_bps": 1e4 / (DECAY * PRICE_USD),
                "patience_s": 2.0 * BLOCK_TIME_S,
            },
        }
    )
    market = Market(scenario, seed=170, tapes="none")
    maker = Maker(market, distances)
    market.run_for(4_000.0 if quick else 60_000.0)
    held = np.array(maker.inventory[400:], float)
    gained = np.diff(np.array(maker.profit[400:])) / BLOCK_TIME_S
    variance, profit = stationary_law(distances, RATE, DECAY)
    found_variance, variance_error = mean_with_error((held - held.mean()) ** 2)
    found_profit, profit_error = mean_with_error(gained)
    spread = float(np.nanmean(maker.spread))
    check = [
        compare("V17", "spread without inventory, exact, dollars", 6.6261, spread, relative=1e-3, source=SOURCE),
        compare("V17", "the same by the closed form, dollars", usual_spread(VOLATILITY, RATE, DECAY, AVERSION), spread,
                relative=1e-3, source=SOURCE),
        compare("V17", "distance of the bid without inventory, dollars", 3.3130, float(distances[LARGEST, BID]),
                relative=1e-3, source=SOURCE),
        compare("V17", "variance of the inventory, units squared", variance, found_variance, relative=0.05,
                standard_error=variance_error, source=SOURCE),
        compare("V17", "profit, dollars per second", profit, found_profit, relative=0.05,
                standard_error=profit_error, source=SOURCE),
    ]  # fmt: skip
    return check
