"""V12: what a sandwich earns, where theory knows it: one swap, one searcher, a price that stands still.

The price elsewhere has moved away from the pool's, and the swap takes the pool's price just there: nothing is left to
run behind it, and the searcher can earn by a sandwich alone. It is the one of every run.
"""

import math
from typing import NamedTuple

import numpy as np

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.validation import Row, compare, target
from blockspace.experiments.validation.pools import LOT, pool_scenario
from blockspace.markets.pools import constant_product

RESERVE_USD = 2e8
"""Dollars in the pool: so many that a lot and a micro-dollar are nothing, and a swap is within the largest size."""

TOLERANCE = 0.005
BLOCK_TIME_S = 12.0
PRICE_MOVED_S = 20.0
TIP_WEI = 10**9
"""Tip of the swap, wei per gas: with one, there is a place right behind it."""


def front_run(reserve: float, amount: float, tolerance: float) -> float:
    """What goes in ahead of a swap of ``amount`` so that it just gets ``1 - tolerance`` of what it would, without fee.

    The reserve ``u`` after it solves ``u (u + amount) = reserve (reserve + amount) / (1 - tolerance)``, as the product
    of the reserves is constant (Zhou, Qin, Torres, Le and Gervais, 2021).
    """
    target_product = reserve * (reserve + amount) / (1.0 - tolerance)
    return (math.sqrt(amount**2 + 4.0 * target_product) - amount) / 2.0 - reserve


def sandwich_profit(reserve: float, amount: float, tolerance: float) -> float:
    """What comes back more than went in when all that the front-run bought is sold behind the swap, without fee."""
    front = front_run(reserve, amount, tolerance)
    ahead = reserve + front
    return front * amount * (ahead + amount + reserve) / (ahead * (ahead + amount) - reserve * amount)


def profit_after_fee(reserve: float, amount: float, tolerance: float, fee: float) -> float:
    """The same with a fee, to first order: ``tolerance (amount - fee reserve)``."""
    return tolerance * (amount - fee * reserve)


class Victim(Trader):
    """Buys once for a share of the dollars in the pool, with a tolerance."""

    def __init__(self, model: Market, share: float) -> None:
        super().__init__(model)
        self.share = share
        self.sent = False

    def act(self) -> None:
        """Send the swap when the price elsewhere has moved."""
        if self.sent or self.time_s <= PRICE_MOVED_S + BLOCK_TIME_S:
            return
        self.sent = True
        pool = self.world.venues[0]["constant_products"][0]
        amount = round(self.share * int(pool["reserves"][1]))
        expected = constant_product.quote_exact_in(pool, np.int64(1), np.int64(amount)).amount_out
        dollars = amount * 1e-6
        worst_usd = dollars / (expected * (1.0 - TOLERANCE) * LOT)
        self.swap("buy", worst_usd, amount_usd=dollars, max_fee=TIP_WEI, tip=TIP_WEI)


def sandwich_scenario(share: float, fee_ppm: int, mempool: str = "public") -> Scenario:
    """Scenario of a pool that one swap for ``share`` of its dollars takes to the price elsewhere, and one searcher."""
    scenario = pool_scenario(fee_ppm, BLOCK_TIME_S, 6, value_usd=2.0 * RESERVE_USD, arbitrageurs=0)
    data = scenario.model_dump()
    moved = [[PRICE_MOVED_S, 1.0], [PRICE_MOVED_S + 1.0, (1.0 + share) ** 2]]
    data["price"] |= {"source": "script", "script": moved, "volatility_per_day": 0.0}
    data["chain"]["mempool"] = mempool
    data["sandwichers"]["count"] = 1
    return scenario.model_validate(data)


class Found(NamedTuple):
    """What became of the swap; dollars are per million of the pool's."""

    profit: float
    front: float
    sandwiched: int
    tries: int
    victim_swapped: bool


def measure(scenario: Scenario, share: float) -> Found:
    """Run a scenario of :func:`sandwich_scenario` and read off what the searcher got."""
    market = Market(scenario, seed=1)
    victim = Victim(market, share)
    market.run_for(scenario.duration_s)
    market.check()
    rows, trades = market.world.records.pool_rows(0), market.trades()
    own = trades[trades["taker"] == int(market.world.sandwichers["account"][0])]
    front = 0.0
    if len(own):
        first = own.iloc[0]
        front = float(first["price_usd"] * first["size"] + first["taker_fee_usd"])
    scale = 1e6 / RESERVE_USD
    return Found(
        float(rows["loss_to_sandwiches_usd"].sum()) * scale,
        front * scale,
        int(rows["sandwiched"].sum()),
        int(market.world.sandwichers["tries"].sum()),
        bool((trades["taker"] == victim.account).any()),
    )


@target("V12")
def sandwich(quick: bool) -> list[Row]:
    """A sandwich of one swap with a tolerance of half a percent, in dollars per million that the pool holds."""
    source = "Zhou et al. (2021)"
    plain = measure(sandwich_scenario(0.01, 0), 0.01)
    rows = [
        compare(
            "V12",
            "dollars that go in ahead of a swap of 1 % of the pool, no fee",
            front_run(1e6, 1e4, TOLERANCE),
            plain.front,
            relative=1e-6,
            source=source,
        ),
        compare(
            "V12",
            "profit of the sandwich, no fee",
            sandwich_profit(1e6, 1e4, TOLERANCE),
            plain.profit,
            relative=1e-6,
            source=source,
        ),
    ]
    for fee_ppm in (500, 3_000):
        rows.append(
            compare(
                "V12",
                f"profit of the sandwich, fee {fee_ppm / 100:g} bp",
                profit_after_fee(1e6, 1e4, TOLERANCE, fee_ppm * 1e-6),
                measure(sandwich_scenario(0.01, fee_ppm), 0.01).profit,
                relative=0.03,
                source=source,
                note="the theory holds to first order",
            )
        )
    small = measure(sandwich_scenario(0.001, 3_000), 0.001)
    sealed = measure(sandwich_scenario(0.01, 0, "encrypted"), 0.01)
    for what, found in (
        ("swap of 0.1 % of the pool, fee 30 bp", small),
        ("swap of 1 %, no fee, encrypted mempool", sealed),
    ):
        rows.append(
            compare(
                "V12",
                f"sandwiches tried, {what}",
                0.0,
                float(found.tries),
                source=source,
                note="the swap itself is made" if found.victim_swapped else "the swap is not made",
            )
        )
    return rows
