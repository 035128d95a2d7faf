"""Names of the tables of settings that stand for populations, by what they deal with."""

POOL_POPULATIONS = ("pool_arbitrageurs", "swappers", "liquidity_providers", "sandwichers")
"""Settings of agents who deal with pools."""


OPTION_POPULATIONS = ("option_makers", "option_traders", "option_vaults", "delta_hedgers")
"""Settings of agents who deal with options."""


POPULATIONS = (
    "market_makers",
    "noise_traders",
    "informed_traders",
    "arbitrageurs",
    "leveraged_traders",
    "liquidators",
    *POOL_POPULATIONS,
    *OPTION_POPULATIONS,
)
"""Settings of all who trade."""
