"""V27b: what exclusive flow is worth to the builder who has it, where theory knows it.

One transaction for every block goes to everybody, and another one to the first builder alone. What they tip goes up and
down from block to block, both alike. So the block is worth some amount to the first builder and a known share of that
to its rivals. Nobody is told which share, and all begin by bidding half of what a block is worth to them.
"""

import numpy as np

from blockspace.agents.builders import STEPS
from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, ratio_with_error, target
from blockspace.network.transaction import PUBLIC

ORDER_GAS = 100_000
PUBLIC_TIP_WEI = 20_000_000_000
BLOCK_TIME_S = 1.0
BURN_IN = 1 / 4
FIRST_BUILDER = 1

BERTRAND = "first-price auction under complete information (Bertrand competition)"


class Payer(Trader):
    """Pays for a place in every other block, to whoever makes it, and trades nothing."""

    def __init__(self, model: Market, route: int, share: float, turn: int) -> None:
        super().__init__(model)
        self.route = route
        self.share = share
        self.turn = turn
        self.generator = np.random.default_rng(model.seed)

    def act(self) -> None:
        """Send an order that finds nobody, with a tip between half and one and a half times the usual one."""
        self.turn += 1
        if self.turn % 2:
            return
        tip = round(self.share * PUBLIC_TIP_WEI * self.generator.uniform(0.5, 1.5))
        self.submit("buy", 1.0, 1.0, tip=tip, max_fee=10**15, expires_after_s=0.0, route=self.route)


def _market(builders: int, exclusive: float, blocks: int) -> Market:
    """Run a market of builders in which the first sees ``exclusive`` times as much besides what all see."""
    scenario = bare_scenario(
        {
            "duration_s": blocks * BLOCK_TIME_S,
            "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
            "endowment": {"ether": 1e6},
            "gas": {"place": ORDER_GAS},
            "venue": {"gas_token": "fixed"},
            "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": 10**9},
            "builders": {"count": builders},
        }
    )
    market = Market(scenario, seed=1, tapes="none")
    # Two take turns: what did not get into a block has lapsed before the same sender comes again.
    for turn in range(2):
        Payer(market, PUBLIC, 1.0, turn)
        if exclusive > 0.0:
            Payer(market, FIRST_BUILDER, exclusive, turn)
    market.world.builders["step"] = STEPS // 2  # competition must do it, and not how they begin
    market.run_for(scenario.duration_s)
    market.check()
    return market


@target("V27b")
def exclusive_flow(quick: bool) -> list[Row]:
    """Builders compete all value away that they all see; who has flow of its own keeps what that is worth."""
    blocks = 4_000 if quick else 20_000
    cases = ((2, 0.0), (3, 0.5)) if quick else ((2, 0.0), (5, 0.0), (2, 0.25), (3, 0.5), (5, 1.0), (3, 3.0))
    rows = []
    for builders, exclusive in cases:
        found = _market(builders, exclusive, blocks).blocks()
        found = found[found["block"] > BURN_IN * blocks]
        case = f"{builders} builders, exclusive flow worth {exclusive:g} of what all see"
        share, error = ratio_with_error(found["bid_usd"], found["tips_usd"])
        rows.append(
            compare(
                "V27b",
                f"proposer's share of the tips, {case}",
                1.0 / (1.0 + exclusive),
                share,
                relative=0.02,
                standard_error=error,
                source=BERTRAND,
            )
        )
        if exclusive > 0.0:
            first = found["builder"] == FIRST_BUILDER
            kept, error = ratio_with_error((found["tips_usd"] - found["bid_usd"]).where(first, 0.0), found["tips_usd"])
            rows.append(
                compare(
                    "V27b",
                    f"share of the tips that the first builder keeps, {case}",
                    exclusive / (1.0 + exclusive),
                    kept,
                    relative=0.02,
                    standard_error=error,
                    source=BERTRAND,
                    note=f"it makes {100 * float(first.mean()):.1f} % of the blocks",
                )
            )
    return rows
