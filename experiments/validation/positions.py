"""Positions made by hand in a running market, and an agent that liquidates whatever is due: for validation targets."""

from typing import Any

import numpy as np

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import bare_scenario
from blockspace.markets.feed import VIEWS
from blockspace.markets.ledger import GENESIS, open_account
from blockspace.network.transaction import LIQUIDATE

PRICE_USD = 1_000.0
TERMS = {"tick_usd": 0.01, "lot_size": 0.001, "taker_fee_bps": 0.0, "initial_margin": 0.05, "maker_fee_bps": 0.0}


def free_market(seed: int, block_time_s: float, initial_margin: float, **tables: Any) -> Market:
    """Market in which space is free, the mark is the external price, and a liquidation takes the whole position.

    Maintenance is half of the initial margin, there is neither bonus nor penalty, and the insurance fund is large.
    """
    margin = {"liquidations": True, "partial_share": 1.0, "bonus_bps": 0.0, "penalty_bps": 0.0, "insurance_usd": 1e9}
    settings: dict[str, Any] = {
        "chain": {"block_time_s": block_time_s, "gas_limit": 10**10},
        "fee_market": {"rule": "fixed", "base_fee_wei": 0},
        "venue": {"oracle_delay_s": 0.0, "funding_interval_s": 1e6},
        "price": {"volatility_per_day": 0.0, "initial_usd": PRICE_USD},
        "margin": margin,
        "instruments": [{**TERMS, "initial_margin": initial_margin}],
    }
    for name, table in tables.items():
        settings[name] = {**settings.get(name, {}), **table}
    return Market(bare_scenario(settings), seed, tapes="none")


class Undertaker(Trader):
    """Liquidates every account that it sees to be due, whatever it earns."""

    def act(self) -> None:
        """Send a liquidation for each."""
        feed = self.world.feeds[0]
        newest = int(feed["outlooks"][self.access]["newest"]) & (VIEWS - 1)
        for due in feed["due"][newest][: int(feed["views"][newest]["due"])]:
            self.world.send(
                self,
                kind=LIQUIDATE,
                instrument=int(due["instrument"]),
                order=int(due["account"]),
                side=0,
                style=0,
                price=0,
                size=int(abs(due["lots"])),
                max_fee=0,
                tip=0,
                expires=self.decision_ns + 10**9,
            )


class House:
    """Hands out positions at the mark, out of nowhere (GENESIS takes the other side), and takes accounts back."""

    def __init__(self, market: Market) -> None:
        self.venue = market.world.venues[0]
        self.accounts = self.venue["ledger"]["accounts"]
        self.free: list[int] = []

    @property
    def mark(self) -> int:
        """Micro-dollars per lot."""
        return int(self.venue["instruments"][0]["mark"])

    def open(self, lots: int, cash: int) -> int:
        """Give an account a position and cash (micro-dollars, it may be negative); returns its number."""
        account = self.free.pop() if self.free else open_account(self.venue["ledger"])
        for owner, sign in ((account, 1), (GENESIS, -1)):
            self.accounts["position"][owner, 0] += sign * lots
            self.accounts["cash"][owner] += sign * cash
        return account

    def take_back(self, account: int) -> None:
        """Take away all that an account has, so that it can be used again."""
        lots, cash = int(self.accounts["position"][account, 0]), int(self.accounts["cash"][account])
        for owner, sign in ((account, -1), (GENESIS, 1)):
            self.accounts["position"][owner, 0] += sign * lots
            self.accounts["cash"][owner] += sign * cash
        self.venue["margin"]["below_since"][account] = 0
        self.free.append(account)


def barrier_cash(lots: int, mark: int, ratio: float, maintenance: float) -> int:
    """Cash with which a position falls due where the mark is ``ratio`` times what it is now."""
    side = np.sign(lots)
    return -round(lots * mark * ratio * (1.0 - side * maintenance))
