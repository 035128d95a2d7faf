"""Whole runs of the compiled market and of its twin, which must be the same to the last unit of every account."""

from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from

from .comparison import assert_same_run
from .world import ReferenceMarket

SPOT = {
    "name": "ETH-SPOT",
    "kind": "spot",
    "tick_usd": 0.1,
    "lot_size": 0.01,
    "maker_fee_bps": 1.0,
    "taker_fee_bps": 4.0,
    "share_of_traders": 0.7,
}

RACE = {
    "topology": {"validators": 1},
    "price": {"volatility_per_day": 0.3, "jumps_per_day": 3_000.0},
    "background_users": {"arrivals_per_s": 5.0, "value_gwei": 3.0},
    "noise_traders": {"orders_per_s": 1.0},
    "market_makers": {"memory_s": 60.0},
}
"""A market in which quotes are often stale, and arbitrageurs race for them."""


def run_both(settings, seconds, seed, agents=()):
    """Run a scenario compiled and plain; make sure that both are the same, and return the compiled one."""
    scenario = scenario_from({"duration_s": seconds, "warm_up_s": 0, **settings})
    market, reference = Market(scenario, seed=seed), ReferenceMarket(scenario, seed=seed)
    for compiled, plain in agents:
        compiled(market)
        plain(reference)
    market.run_for(seconds)
    reference.run_until_s(seconds)
    market.check()
    assert_same_run(market, reference)
    return market


def race(seed, chain, **tables):
    return run_both({**RACE, "chain": {"block_time_s": 1.0, "gas_limit": 4_000_000, **chain}, **tables}, 800, seed)
