"""V26, half-life of the basis: how far ahead a perpetual shows a move of the price outside that all know of.

Whoever holds a perpetual on its way to such a move pays for it in funding. Without arbitrage the basis is then the
move, discounted at the pace of the funding: it halves with every ``ln 2 / pace`` that the move is further away
(Ackerer, Hugonnier and Jermann, 2023). Here nobody is told that. Dealers quote around what a unit bought so long before
a move has brought them to believe, in the moves that they have seen; their quotes make the funding, and the funding
what they come to believe.
"""

import math
from typing import Any, ClassVar

import numpy as np

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare
from blockspace.markets.perpetual import CLAMP, eight_hour_rate

PRICE_USD = 1_000.0
BLOCK_S = 90.0
FUNDING_S = 450.0
STAGES = 128
"""Funding payments between two moves, which come every sixteen hours."""

MOVE = 0.02
HALF_SPREAD = 0.5e-4
UNIT = 1.0
LEARNING_RATE = 0.25
PACE_PER_H = 1.0 / 8.0
"""Share of the basis that funding takes in an hour."""

HIDDEN = 8
"""Stages after a move that are left out: there the basis is close to where the clamp of the rule ends."""

SOURCE = "Ackerer, Hugonnier and Jermann (2023)"


class Dealer(Trader):
    """Quotes both sides around what it believes a unit to be worth, and learns from what units have brought.

    It knows when moves come, the venue's rule of funding, the price outside and the book; not how large moves are, nor
    what a basis should be.
    """

    CONSTANTS: ClassVar = (*Trader.CONSTANTS, "model")

    def __init__(self, model: Any, first_guess: float) -> None:
        super().__init__(model, cash_usd=1e8)
        self.worth = np.full(STAGES, first_guess)  # of a unit beyond the price outside, by payments to come after this
        self.funding = np.zeros(STAGES)  # since the last move, as shares of the price
        self.samples = np.zeros(STAGES)
        self.cycle = 0
        self.price_before = 0.0

    def act(self) -> None:
        """Learn from a move that has come, and replace both quotes."""
        intervals = int(self.time_s // FUNDING_S)
        cycle, passed = divmod(intervals, STAGES)
        stage = STAGES - 1 - passed
        outside, bid, ask = self.external_price, self.best_bid(), self.best_ask()
        if cycle > self.cycle:
            self._learn(outside / self.price_before - 1.0)
            self.cycle = cycle
        elif bid is not None and ask is not None:
            premium = (max(bid - outside, 0.0) - max(outside - ask, 0.0)) / outside
            self.samples[stage] += 1.0
            self.funding[stage] += (premium - self.funding[stage]) / self.samples[stage]
        self.price_before = outside
        for slot, (side, away) in enumerate((("buy", -HALF_SPREAD), ("sell", HALF_SPREAD))):
            self.cancel(slot)
            price = outside * (1.0 + self.worth[stage] + away)
            self.submit(side, price, UNIT, style="limit", slot=slot, expires_after_s=BLOCK_S)

    def _learn(self, move: float) -> None:
        """Compare beliefs with what a unit bought at each stage has brought: the move, less all funding until then."""
        paid = np.cumsum([eight_hour_rate(premium) * FUNDING_S / 28_800.0 for premium in self.funding])
        self.worth += LEARNING_RATE * (move - paid - self.worth)
        self.funding[:] = self.samples[:] = 0.0


def market_of_moves(cycles: int) -> Market:
    """Market in which the price outside stands still but for a move of the same size every sixteen hours."""
    length_s = STAGES * FUNDING_S
    script: list[list[float]] = []
    for number in range(1, cycles + 1):
        moved_s = number * length_s - 2.0
        script += [[moved_s, (1.0 + MOVE) ** (number - 1)], [moved_s + 1.0, (1.0 + MOVE) ** number]]
    settings = {
        "chain": {"block_time_s": BLOCK_S, "gas_limit": 10**9},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**9},
        "venue": {"oracle_delay_s": 0.0, "funding_interval_s": FUNDING_S},
        "price": {"source": "script", "script": script, "initial_usd": PRICE_USD},
        "instruments": [{"tick_usd": 0.01, "lot_size": 0.001, "taker_fee_bps": 0.0, "impact_size": UNIT}],
        "endowment": {"cash_usd": 1e9, "ether": 1e5},
    }
    market = Market(bare_scenario(settings), 264, tapes="none")
    for first_guess in (-1e-4, 1e-4):
        Dealer(market, first_guess)
    return market


def half_life(market: Market, cycles: int) -> float:
    """Hours by which a move must be further away for the basis beyond the clamp to halve, over the later cycles."""
    length = round(STAGES * FUNDING_S / BLOCK_S)
    for _ in range(cycles * length):
        market.world.make_block()
    frame = market.blocks().iloc[cycles // 2 * length : cycles * length]
    basis = (frame["best_bid_usd"] / frame["index_usd"] - 1.0).to_numpy().reshape(-1, length).mean(axis=0) - CLAMP
    per_stage = round(FUNDING_S / BLOCK_S)
    ahead_h = (length - np.arange(length)) * BLOCK_S / 3_600.0
    kept = slice(HIDDEN * per_stage, None)
    slope = np.polyfit(ahead_h[kept], np.log(np.maximum(basis[kept], 1e-9)), 1)[0]
    return math.log(2.0) / -float(slope)


def announced_moves(quick: bool) -> list[Row]:
    """Row of V26 for the half-life of the basis."""
    cycles = 24 if quick else 60
    found = half_life(market_of_moves(cycles), cycles)
    what = "half-life of the basis ahead of a move that all know of, hours: ln 2 over the pace of funding"
    return [compare("V26", what, math.log(2.0) / PACE_PER_H, found, relative=0.05, source=SOURCE)]
