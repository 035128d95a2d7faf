"""V26, in a running market: those who earn the basis or its funding keep a perpetual at its index.

Somebody buys and buys from a maker who knows no index: it moves its quotes with its own inventory alone, so that
nothing but other agents holds the price. The price outside stands still.
"""

import math
from typing import Any, ClassVar

import numpy as np

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare
from blockspace.markets.ledger import ROUNDING
from blockspace.markets.perpetual import eight_hour_rate

PRICE_USD = 1_000.0
UNIT = 1.0
"""Units of the underlying in every order."""

FEE_BPS = 2.0
BASE_FEE_WEI = 10**9
GAS = 120_000
BLOCK_S = 12.0
IMPACT_BPS = 0.25
"""By which the maker moves its quotes when it has traded one order."""

HALF_SPREAD_BPS = 0.5
PUSH_EVERY = 5
"""Blocks."""

CLAMP_BPS, INTEREST_BPS = 5.0, 1.0
PERIOD_H = 8.0
GAS_BPS = 1e4 * GAS * BASE_FEE_WEI * 1e-18 / UNIT
"""Gas of an order in basis points of its value: ether is the underlying."""

FUNDING = "Hyperliquid (2024)"
CARRY = "He, Manela, Ross and von Wachter (2022)"


class InventoryMaker(Trader):
    """Quotes both sides around a price that depends on its inventory alone."""

    CONSTANTS: ClassVar = (*Trader.CONSTANTS, "model")

    def act(self) -> None:
        """Replace both quotes, ahead of everybody in the block."""
        lots = int(self.world.feeds[0]["receipts"]["lots"][self.account])
        middle = -IMPACT_BPS * lots * self.world.lot_size(0) / UNIT
        for slot, (side, away) in enumerate((("buy", -HALF_SPREAD_BPS), ("sell", HALF_SPREAD_BPS))):
            price = PRICE_USD * (1.0 + 1e-4 * (middle + away))
            self.cancel(slot, tip=10**9)
            self.submit(side, price, UNIT, style="limit", slot=slot, tip=10**9)


class Pusher(Trader):
    """Buys a unit every few blocks at any price."""

    acts = 0

    def act(self) -> None:
        """Send a market order if it is time."""
        self.acts += 1
        if self.acts % PUSH_EVERY == 0:
            self.submit("buy", PRICE_USD, UNIT, style="market")


class Carrier(Trader):
    """Trades against the funding: it sells while what shorts will earn until it leaves pays for fees and gas.

    It sees quotes and the price outside, knows the venue's rule of funding, its own costs, and how long it means to
    stay. The premium at which it breaks even follows from that, and is what the rows expect: they show that the market
    stays where who knows rule and costs begins to earn, not that this can be found out. Who learns what a basis is
    worth is in :mod:`blockspace.experiments.validation.announced_moves`.
    """

    def __init__(self, model: Any, horizon_h: float) -> None:
        super().__init__(model, cash_usd=1e7)
        self.horizon_h = horizon_h

    def act(self) -> None:
        """Sell one unit, or buy one, if the funding of the horizon is worth coming in and going out again."""
        bid, ask = self.best_bid(), self.best_ask()
        if bid is None or ask is None:
            return
        outside = self.external_price
        premium = (max(bid - outside, 0.0) - max(outside - ask, 0.0)) / outside
        earned = eight_hour_rate(premium) * self.horizon_h / PERIOD_H
        gas = GAS * self.base_fee * 1e-18 * self.ether_usd / (UNIT * outside)
        if abs(earned) > 2.0 * (1e-4 * FEE_BPS + gas):
            side, price = ("sell", bid) if earned > 0.0 else ("buy", ask)
            self.submit(side, price, UNIT, tip=0, expires_after_s=BLOCK_S)


def pushed_market(seed: int, horizon_h: float = 0.0, arbitrageurs: int = 0) -> Market:
    """Market with a maker, a pusher, and against them a carrier with this horizon, arbitrageurs, or nobody."""
    terms = {"tick_usd": 0.005, "lot_size": 0.001, "taker_fee_bps": FEE_BPS, "maker_fee_bps": 0.0}
    settings = {
        "chain": {"block_time_s": BLOCK_S, "gas_limit": 10**9},
        "fee_market": {"rule": "fixed", "base_fee_wei": BASE_FEE_WEI},
        "venue": {"oracle_delay_s": 0.0},
        "price": {"volatility_per_day": 0.0, "initial_usd": PRICE_USD},
        "instruments": [{**terms, "impact_size": UNIT}],
        "endowment": {"cash_usd": 1e9, "ether": 1e5},
        "arbitrageurs": {"count": arbitrageurs},
    }
    market = Market(bare_scenario(settings), seed, tapes="none")
    InventoryMaker(market)
    Pusher(market)
    if horizon_h:
        Carrier(market, horizon_h)
    return market


def run(market: Market, blocks: int) -> "tuple[np.ndarray, np.ndarray]":
    """Premium of the bid over the index after each block of the second half, basis points, and all funding rates."""
    for _ in range(blocks):
        market.world.make_block()
    frame = market.blocks()
    late = frame.iloc[blocks // 2 :]
    premium = 1e4 * (late["best_bid_usd"] / late["index_usd"] - 1.0).to_numpy()
    return premium, frame["funding_rate"].to_numpy()


def anchoring(quick: bool) -> list[Row]:
    """Rows of V26 that need agents."""
    blocks = 2_400 if quick else 24_000
    rows = []
    market = pushed_market(262, arbitrageurs=1)
    premium, rates = run(market, blocks)
    theory = FEE_BPS + GAS_BPS
    what = "premium that arbitrageurs leave, basis points: their fee, and gas by size"
    rows.append(compare("V26", what, theory, float(np.nanmean(premium)), absolute=IMPACT_BPS, source=CARRY))
    paid = rates[rates != 0.0]
    what = "largest distance of the eight-hour rate from 1 basis point while they hold the premium, basis points"
    found = 1e4 * float(np.abs(paid * PERIOD_H - 1e-4 * INTEREST_BPS).max()) if len(paid) else math.nan
    rows.append(compare("V26", what, 0.0, found, absolute=1e-9, source=FUNDING))
    for horizon_h in (12.0, 24.0):
        market = pushed_market(263, horizon_h)
        premium, _ = run(market, blocks)
        theory = CLAMP_BPS + 2.0 * (FEE_BPS + GAS_BPS) * PERIOD_H / horizon_h
        what = f"premium that those leave who stay for {horizon_h:g} h of funding, basis points: clamp, fees and gas"
        note = "within the steps of the maker's quotes"
        found = float(np.nanmean(premium))
        rows.append(compare("V26", what, theory, found, absolute=IMPACT_BPS, note=note, source=CARRY))
    accounts = market.world.venues[0]["ledger"]["accounts"]
    rounded = int(accounts["cash"][ROUNDING])
    payments = 3 * int(blocks * BLOCK_S / 3_600.0)
    what = "micro-dollars a payment that rounding keeps of funding; the rest is paid by one and received by another"
    rows.append(compare("V26", what, 0.5, rounded / payments, absolute=0.5, source="identity"))
    return rows
