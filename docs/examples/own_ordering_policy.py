"""An ordering policy of one's own, in plain Python: who has waited longest comes first, whatever it pays."""

from blockspace.experiments import Market, load_scenario
from blockspace.network.ordering import register_policy


@register_policy("patience_first", tips_count=False)
def patience_first(pending, base_fee):
    return -pending["decided"].astype(float)


scenario = load_scenario("ethereum-30m", {"warm_up_s": 0, "chain.ordering": "patience_first"})
market = Market(scenario, seed=7)
market.run_for(600)
blocks = market.transactions().groupby("block")["decided_s"]
print(f"{len(market.transactions())} transactions, in the order of their decisions in every block:")
print((blocks.diff().dropna() >= 0).all())
