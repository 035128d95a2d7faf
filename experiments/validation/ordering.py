"""V15b, V27, V28, V29 and V41: what the order of a block makes of the race for stale quotes, where theory knows it.

Two isolated set-ups. Either makers are sniped when the price jumps, as in V15, under orders that should spare them. Or
a *bait*, an agent that rests one order at a known loss time and again, is raced for by arbitrageurs who are all equally
near: what each opportunity is worth and what a transaction costs is then known to the cent. What the arbitrageurs bid,
and how many copies they send, they have learned from their own profits alone.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import BATCHES, Row, bare_scenario, compare, mean_with_error, target
from blockspace.experiments.validation.market_making import DAY_S, maker_scenario, paid_over_seeds

PRICE_USD = 200.0
WORTH_USD = 2.0
"""Profit, before gas, of taking the bait."""

ETHER_USD = 2_000.0
ORDER_GAS = 100_000
BLOCK_TIME_S = 0.1
BURN_IN = 1 / 3

JUMP_MEAN_BPS = 10.0
QUOTED_BPS = 5.0
"""Half-spread of a maker who does not learn, where only the number of its losses is asked for."""

JUMPS_PER_S = 0.02
SNIPED_FOR_S = 60_000.0
"""Seconds of a run in which a maker is sniped: short, for a maker who hardly learns in that time."""

OPEN_AUCTION_RATE = 1e-4
"""Learning rate where mixed strategies are to be had to a per cent or two: beliefs that err less, and longer runs."""

BUDISH = "Budish, Cramton and Shim (2015)"


class Bait(Trader):
    """Offers one unit below its price whenever nothing else is offered."""

    def act(self) -> None:
        """Put the bait out again once it has been taken."""
        if self.best_ask() is None:
            self.submit("sell", self.external_price - WORTH_USD, 1.0, style="post_only", slot=0)


def lottery_copies(worth: float, cost: float, players: int) -> float:
    """Copies that each of ``players`` sends in equilibrium if one ticket of all wins ``worth`` and each costs ``cost``.

    It is ``worth (n - 1) / (n^2 cost)``, the symmetric equilibrium of a lottery contest (Tullock, 1980).
    """
    return worth * (players - 1) / (players**2 * cost)


def entry_and_tips(players: int, cost: float) -> tuple[float, float]:
    """Transactions, and their tips, for what is worth 1 if each of ``players`` pays its ``cost`` and tip, won or lost.

    In the symmetric equilibrium each stays out with the chance that makes the lowest tip break even, and all that is
    won goes into costs and tips (Baye, Kovenock and de Vries, 1996, with a cost of entry).
    """
    entry = 1.0 - cost ** (1.0 / (players - 1))
    return players * entry, 1.0 - cost ** (players / (players - 1)) - players * cost * entry


def race_market(
    players: int,
    cost_usd: float,
    blocks: int,
    learning_rate: float,
    chain: Mapping[str, Any],
    venue: Mapping[str, Any],
    tapes: str = "memory",
) -> Market:
    """Market in which arbitrageurs race for the bait, before its first block."""
    scenario = bare_scenario(
        {
            "duration_s": blocks * BLOCK_TIME_S,
            "fee_market": {
                "rule": "fixed",
                "base_fee_wei": round(cost_usd / ETHER_USD / ORDER_GAS * 1e18),
                "wallet_tip_wei": 0,
            },
            "endowment": {"cash_usd": 1e9, "ether": 1e6},
            "gas": {"place": ORDER_GAS},
            "instruments": [{"tick_usd": 0.01, "taker_fee_bps": 0.0}],
            "price": {"initial_usd": PRICE_USD, "volatility_per_day": 0.0},
            "arbitrageurs": {
                "count": players,
                "look_interval_s": 0.0,
                "learning_rate": learning_rate,
                "most_copies": 256,
            },
            "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": 10**9, "verification_ns_per_gas": 0.0, **chain},
            "venue": {"gas_token": "fixed", "gas_token_usd": ETHER_USD, **venue},
        }
    )
    market = Market(scenario, seed=1, tapes=tapes)
    Bait(market)
    return market


def _race(
    players: int, cost_usd: float, blocks: int, chain: Mapping[str, Any], venue: Mapping[str, Any]
) -> pd.DataFrame:
    """Race for the bait: the arbitrageurs' transactions after the burn-in, and the price that the bait got for each."""
    market = race_market(players, cost_usd, blocks, 0.05, chain, venue)
    market.run_for(blocks * BLOCK_TIME_S)
    market.check()
    transactions = market.transactions()
    ours = transactions["sender"].isin(market.world.arbitrageurs["account"])
    kept = transactions[ours & (transactions["block"] > BURN_IN * blocks)]
    prices = market.trades().groupby("block")["price_usd"].mean()
    return kept.assign(price_usd=kept["block"].map(prices))


def _copies(players: int, cost_usd: float, blocks: int, learning_rate: float) -> tuple[float, float]:
    """Copies that each arbitrageur sends of its order for the bait, after the burn-in, and their standard error."""
    chain = {"ordering": "first_come_first_served"}
    market = race_market(players, cost_usd, blocks, learning_rate, chain, {}, tapes="none")
    arbitrageurs = market.world.arbitrageurs
    counts = []
    for _ in range(round(BATCHES / (1 - BURN_IN))):
        before = arbitrageurs[["copies_sent", "tries"]].copy()
        market.run_for(blocks * BLOCK_TIME_S * (1 - BURN_IN) / BATCHES)
        sent, tries = (float((arbitrageurs[name] - before[name]).sum()) for name in ("copies_sent", "tries"))
        counts.append(sent / tries)
    market.check()
    return mean_with_error(counts[-BATCHES:])


@target("V15b")
def spared(quick: bool) -> list[Row]:
    """Makers whose cancellations go first, or who trade in batches, are sniped little or not at all."""
    flow = 0.1
    scenario = maker_scenario(
        0.1,
        60_000 if quick else 300_000,
        PRICE_USD,
        chain={"ordering": "cancels_first"},
        price={"volatility_per_day": 0.0, "jumps_per_day": flow * DAY_S, "jump_mean_bps": JUMP_MEAN_BPS},
        noise_traders={"orders_per_s": flow / 0.05, "size_mean": 0.05},
        market_makers={"unit_size": 1.0, "review_interval_s": 1_200.0, "rest_s": 3_600.0},
        arbitrageurs={"count": 20},
    )
    [(half_spread, error, races)] = paid_over_seeds([scenario], 1 if quick else 2)
    rows = [
        compare(
            "V15b",
            "share of stale quotes that are sniped, cancellations first",
            0.0,
            races,
            absolute=0.01,
            source=BUDISH,
        ),
        compare(
            "V15b",
            "half-spread at one jump per unit traded, cancellations first (bp)",
            0.0,
            1e4 * half_spread,
            absolute=0.5,
            standard_error=1e4 * error,
            source=BUDISH,
            note="5.67 where every stale quote is sniped; a tick is 0.05",
        ),
    ]
    cases = [(interval, players) for interval in ((1.0,) if quick else (1.0, 4.0)) for players in (1, 2)]
    seeds = range(1, 2 if quick else 13)
    jobs = [delayed(_sniped)(*case, seed) for case in cases for seed in seeds]
    runs = np.array(Parallel(n_jobs=-1)(jobs)).reshape(len(cases), len(seeds), 5)
    for (interval, players), found in zip(cases, runs, strict=True):
        gap = float(found[0, 0])
        trades, units, lost, squares = found[:, 1:].sum(axis=0).tolist()
        jumps = len(seeds) * JUMPS_PER_S * SNIPED_FOR_S
        loss = lost / units
        loss_error = math.sqrt(squares - lost**2 / trades) / units
        case = f"batches of {interval:g} s, {players} sniper{'s' * (players > 1)}"
        rows += [
            compare(
                "V15b",
                f"units sniped per jump, {case}",
                math.exp(-QUOTED_BPS / JUMP_MEAN_BPS) * gap / interval,
                units / jumps,
                relative=0.05,
                standard_error=math.sqrt(units) / jumps,
                source=BUDISH,
                note=f"the maker is {1e3 * gap:.0f} ms slower",
            ),
            compare(
                "V15b",
                f"maker's loss per unit sniped, {case} (bp)",
                JUMP_MEAN_BPS if players == 1 else 0.0,
                loss,
                absolute=0.1,
                standard_error=loss_error,
                source=BUDISH,
                note="" if players > 1 else "nobody else bids for what is stale",
            ),
        ]
    return rows


def _sniped(interval_s: float, players: int, seed: int) -> tuple[float, ...]:
    """Delay of a maker who is slower (s); trades against it, units sniped, its loss (bp times units) and its square."""
    scenario = maker_scenario(
        interval_s,
        round(SNIPED_FOR_S / interval_s),
        PRICE_USD,
        topology={"validators": 1, "regions": ["tokyo"], "latency_scale": 100.0},
        venue={"matching": "batch", "gas_token": "fixed", "oracle_delay_s": 10.0},
        price={"volatility_per_day": 0.0, "jumps_per_day": JUMPS_PER_S * DAY_S, "jump_mean_bps": JUMP_MEAN_BPS},
        noise_traders={"orders_per_s": 0.0},
        market_makers={
            "count": 1,
            "unit_size": 1.0,
            "colocated": False,
            "initial_half_spread_bps": QUOTED_BPS,
            "exploration_per_hour": 0.0,
            "memory_s": 1e6,
            "review_interval_s": 1e6,
        },
        arbitrageurs={"count": players},
    )
    market = Market(scenario, seed=seed)
    market.run_for(scenario.duration_s)
    market.check()
    trades = market.trades()
    sides = np.where(trades["side"] == "buy", 1.0, -1.0)
    lost = 1e4 * sides * (trades["external_price_usd"] - trades["price_usd"]) * trades["size"] / PRICE_USD
    latency = market.world.chain.producers["latency"][0] * 1e-9
    gap = latency[market.world.makers["access"][0]] - latency[market.world.arbitrageurs["access"][0]]
    return float(gap), float(len(trades)), float(trades["size"].sum()), float(lost.sum()), float((lost**2).sum())


@target("V27")
def protected_auction(quick: bool) -> list[Row]:
    """With revert protection and two searchers or more, all that an opportunity is worth goes to the sequencer."""
    cost = WORTH_USD / 20
    rows = []
    for players in (1, 2, 5):
        race = _race(players, cost, 10_000 if quick else 50_000, {"revert_protection": True}, {})
        won = race[race["status"] == "succeeded"]
        tips = (won["tip_wei"] * won["gas_used"]).to_numpy(float) * 1e-18 * ETHER_USD
        rows.append(
            compare(
                "V27",
                f"tip per opportunity, {players} searcher{'s' * (players > 1)} (dollars)",
                WORTH_USD - cost if players > 1 else 0.0,
                float(tips.mean()),
                absolute=0.02 * (WORTH_USD - cost),
                source="first-price auction of a common value (Bertrand competition)",
            )
        )
    return rows


def _bids(players: int, cost_usd: float, blocks: int, learning_rate: float) -> list[tuple[float, float]]:
    """Transactions for each bait, and their tips in dollars, after the burn-in: means and standard errors."""
    market = race_market(players, cost_usd, blocks, learning_rate, {}, {}, tapes="none")
    arbitrageurs = market.world.arbitrageurs

    def totals() -> NDArray[np.float64]:
        ledger = market.ledger()
        spent = -float(ledger.loc[arbitrageurs["account"], "ether_wei"].sum()) * 1e-18 * ETHER_USD
        return np.array([arbitrageurs["races"].sum() / players, arbitrageurs["tries"].sum(), spent])

    means = []
    for _ in range(round(BATCHES / (1 - BURN_IN))):
        before = totals()
        market.run_for(blocks * BLOCK_TIME_S * (1 - BURN_IN) / BATCHES)
        baits, sent, spent = totals() - before
        means.append((sent / baits, (spent - cost_usd * sent) / baits))
    market.check()
    return [mean_with_error(list(values)) for values in zip(*means[-BATCHES:], strict=True)]


@target("V28")
def open_auction(quick: bool) -> list[Row]:
    """Without revert protection losers pay too: searchers mix between staying out and bids up to all it is worth."""
    cases = {(5, 0.05): 80_000} if quick else {(5, 0.05): 400_000, (50, 0.005): 1_000_000}
    found = Parallel(n_jobs=-1)(
        delayed(_bids)(players, WORTH_USD * cost, blocks, OPEN_AUCTION_RATE)
        for (players, cost), blocks in cases.items()
    )
    rows = []
    for (players, cost), measured in zip(cases, found, strict=True):
        sent, tips = entry_and_tips(players, cost)
        case = f"{players} searchers, gas of one {cost:g} times what it is worth"
        for what, theory, (mean, error) in zip(
            ("transactions per opportunity", "tips per opportunity (dollars)"),
            (sent, WORTH_USD * tips),
            measured,
            strict=True,
        ):
            rows.append(
                compare(
                    "V28",
                    f"{what}, {case}",
                    theory,
                    mean,
                    relative=0.02,
                    standard_error=error,
                    source="Baye, Kovenock and de Vries (1996)",
                    note=f"{WORTH_USD * (1 - cost):g} with revert protection" if what.startswith("tips") else "",
                )
            )
    return rows


@target("V29")
def spam(quick: bool) -> list[Row]:
    """First come, first served, all equally near: copies are lottery tickets, and dearer space means fewer of them."""
    cases = [(2, 100.0), (5, 100.0)] if quick else [(2, 50.0), (2, 100.0), (2, 200.0), (5, 100.0), (5, 200.0)]
    blocks, rate = (60_000, 0.02) if quick else (400_000, 0.01)
    found = Parallel(n_jobs=-1)(delayed(_copies)(players, WORTH_USD / ratio, blocks, rate) for players, ratio in cases)
    rows = []
    for (players, ratio), (copies, error) in zip(cases, found, strict=True):
        rows.append(
            compare(
                "V29",
                f"copies of each of {players} searchers, worth {ratio:g} times the gas of one",
                lottery_copies(WORTH_USD, WORTH_USD / ratio, players),
                copies,
                relative=0.03,
                standard_error=error,
                source="Tullock (1980)",
                note=f"{100 * copies * players / ratio:.0f} % of what it is worth goes into gas",
            )
        )
    return rows


@target("V41")
def uniform_price(quick: bool) -> list[Row]:
    """In a batch at one price, arbitrageurs who compete leave nothing to arbitrage."""
    rows = []
    for matching, players in (("continuous", 2), ("batch", 2), ("batch", 5)):
        race = _race(players, 0.0, 10_000 if quick else 50_000, {}, {"matching": matching})
        lost = PRICE_USD - race.loc[race["filled"] > 0, "price_usd"].to_numpy(float)
        rows.append(
            compare(
                "V41",
                f"loss to arbitrage per opportunity, {matching} matching, {players} arbitrageurs (dollars)",
                WORTH_USD if matching == "continuous" else 0.0,
                float(lost.mean()),
                absolute=0.01 * WORTH_USD,
                source="Canidio and Fritsch (2023)",
                note=f"{len(lost)} trades",
            )
        )
    return rows
