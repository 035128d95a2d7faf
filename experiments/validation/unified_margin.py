"""V34 across chains: what linked accounts must hold, found by trying, against the norm of what they hold."""

import math
from typing import Any

import numpy as np
from scipy.stats import norm

from blockspace.experiments.market import Market
from blockspace.experiments.validation import BARE, Row, bare_scenario, compare, target
from blockspace.experiments.validation.positions import PRICE_USD, TERMS
from blockspace.markets.margin import scan_margin
from blockspace.markets.unified_margin import UnifiedMarginSettings, unified_requirement

NETTING = "Duffie and Zhu (2011)"
LOTS = 1_000_000
INITIAL = 0.05
RATE = 0.5 * INITIAL
MULTIPLE, VOLATILITY = 3.0, 0.04
HORIZON_S = 86_400.0 * (RATE / (MULTIPLE * VOLATILITY)) ** 2
"""Time over which the maintenance requirement is as many standard deviations as a buffer covers."""


class Linked:
    """Chains with one owner on all of them, and the least that the owner must have."""

    def __init__(self, chains: int, correlation: float, delay_s: float = 0.0) -> None:
        table: dict[str, Any] = {
            **BARE,
            "warm_up_s": 0.0,
            "chain": {**BARE["chain"], "block_time_s": 12.0, "gas_limit": 10**10},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
            "price": {"volatility_per_day": 0.0, "initial_usd": PRICE_USD},
            "venue": {"oracle_delay_s": 0.0, "funding_interval_s": 1e6},
            "margin": {"liquidations": True, "bonus_bps": 0.0, "penalty_bps": 0.0},
            "instruments": [{**TERMS, "initial_margin": INITIAL}],
        }
        others = [{**table, "name": f"chain-{number}"} for number in range(1, chains)]
        link = {
            "mode": "unified",
            "correlation": correlation,
            "message_delay_s": delay_s,
            "message_interval_s": 60.0,
            "risk_multiple": MULTIPLE,
            "volatility_per_day": VOLATILITY,
        }
        settings = {**table, "chains": others, "hedgers": {"count": 1}, "unified_margin": link}
        market = Market(bare_scenario(settings), 341, tapes="none")
        market.run_for(13.0)
        hub = market.margin_hub
        if hub is None:
            raise RuntimeError("a market with hedgers has no margin hub")
        self.hub, self.age_ns = hub, int(delay_s * 1e9)

    def least(self, lots: list[int], linked: bool = True) -> int:
        """Least equity in micro-dollars, spread evenly, with which the owner of these lots is due on no chain."""
        short, enough = 0, len(lots) * LOTS * 10**6
        while enough - short > 1:
            middle = (short + enough) // 2
            short, enough = (middle, enough) if self._is_due(lots, middle, linked) else (short, middle)
        return enough

    def _is_due(self, lots: list[int], equity: int, linked: bool) -> bool:
        worlds = self.hub.worlds
        for place, world in enumerate(worlds):
            venue, account = world.venues[0], int(self.hub.accounts[0, place])
            mark, own = int(venue["instruments"][0]["mark"]), venue["ledger"]["accounts"][account]
            own["position"][0] = lots[place]
            share = equity * (place + 1) // len(worlds) - equity * place // len(worlds)
            own["cash"] = share - lots[place] * mark
        self.hub.synchronise(int(worlds[0].chain.time_ns), self.age_ns)
        due = 0
        for place, world in enumerate(worlds):
            if not linked:
                world.venues[0]["margin"]["credit"][self.hub.accounts[0, place]] = 0
            scan_margin(world.venues, world.chain.blocks)
            due += int(world.venues[0]["margin"]["due_count"])
        return due > 0


@target("V34b")
def unified_margin(quick: bool) -> list[Row]:
    """Margin of positions on several chains together over that of each by itself; buffers; breaches by chance."""
    rows = []
    for count in (2, 5) if quick else (2, 5, 10):
        for correlation in (0.0,) if quick else (0.0, 0.3):
            linked, lots = Linked(count, correlation), [LOTS] * count
            theory = math.sqrt((1.0 + (count - 1) * correlation) / count)
            found = linked.least(lots) / linked.least(lots, linked=False)
            what = f"unified over isolated margin: {count} equal positions, correlation {correlation:g}"
            rows.append(compare("V34b", what, theory, found, relative=0.01, source=NETTING))
    for share in (0.0, 0.01, 0.25) if quick else (0.0, 0.0001, 0.01, 0.25, 0.81, 1.0, 1.5):
        linked = Linked(2, 1.0, share * HORIZON_S)
        lots = [LOTS, -LOTS]
        found = linked.least(lots) / linked.least(lots, linked=False)
        what = f"unified over isolated margin: a perfect hedge, messages of {share:g} margin horizons"
        theory = min(math.sqrt(share), 1.0)
        rows.append(compare("V34b", what, theory, found, absolute=max(0.01 * theory, 1e-6), source=NETTING))
    return rows + _breaches(200_000 if quick else 2_000_000)


def _breaches(draws: int) -> list[Row]:
    """How often equicorrelated normal moves of one horizon cost more than the margin of two standard deviations."""
    rows = []
    generator = np.random.default_rng(342)
    for count, correlation in ((2, 0.0), (5, 0.3)):
        common = math.sqrt(correlation) * generator.standard_normal((draws, 1))
        moves = common + math.sqrt(1.0 - correlation) * generator.standard_normal((draws, count))
        values, rates = np.full((1, count), 1e6), np.full(count, 2.0 * VOLATILITY)
        buffers = UnifiedMarginSettings(message_delay_s=0.0).buffer_rate(np.zeros(count))
        margin = float(unified_requirement(values, rates, correlation, buffers)[0])
        breached = (moves * VOLATILITY * 1e6).sum(axis=1) < -margin
        theory, found = float(norm.sf(2.0)), float(breached.mean())
        error = math.sqrt(theory * (1.0 - theory) / draws)
        what = f"share of moves that cost more than the margin of 2 deviations: {count} positions, {correlation:g}"
        rows.append(compare("V34b", what, theory, found, relative=0.01, standard_error=error, source="identity"))
    return rows
