"""An agent in plain Python: it rests bids a little below the market and sells what it got.

Run it with `python docs/examples/own_agent.py`.
"""

from blockspace.agents.trader import Trader
from blockspace.experiments import Market, load_scenario


class BargainHunter(Trader):
    """Keeps one bid 8 basis points below the external price, and moves it when the price has run away from it."""

    bid = None

    def act(self):
        """Called once a block, at the last moment at which a decision can still make that block."""
        target = self.external_price * 0.9992
        if self.bid is None:
            self.submit("buy", target, size=1.0, style="limit", slot=0)
        elif abs(target / self.bid - 1) < 0.0005:
            return
        else:
            self.cancel(slot=0)
            self.submit("buy", target, size=1.0, style="limit", slot=0)
        self.bid = target


scenario = load_scenario("ethereum", {"duration_s": 3600, "warm_up_s": 600})
market = Market(scenario, seed=7)
hunter = BargainHunter(market)
market.run_for(3600)

trades = market.trades()
mine = trades[(trades.maker == hunter.account) | (trades.taker == hunter.account)]
ledger = market.ledger()
print(f"{len(mine)} trades of {len(trades)}, position {mine['size'].sum():.1f} ETH bought")
print(f"gas paid: {scenario.endowment.ether - ledger.ether[hunter.account]:.5f} ether")
market.check()
