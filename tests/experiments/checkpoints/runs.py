"""Markets of every kind that are put aside: small ones, and what they are made of."""

from blockspace.experiments.market import Market
from blockspace.experiments.scenario import load_scenario, scenario_from
from tests.experiments.small import linked_chains
from tests.experiments.test_market import on_one_clock, scenario

FEW = {
    "topology": {"validators": 1, "regions": ["virginia"]},
    "background_users": {"arrivals_per_s": 1.0},
    "noise_traders": {"count": 5, "orders_per_s": 0.5},
}


def preset(name, duration_s, warm_up_s):
    return load_scenario(name, {"duration_s": duration_s, "warm_up_s": warm_up_s})


def fast():
    """Some 10,000 blocks in half a minute, and more than a chunk of rows."""
    chain = {"block_time_s": 0.003, "gas_limit": 3_000_000, "block_arrivals": "poisson"}
    users = {"arrivals_per_s": 350.0}  # so that few of them are empty
    return scenario(chain=chain, warm_up_s=5.0, **{**FEW, "background_users": users})


def pools():
    """Both kinds of pool, more often reviewed and traded than is usual."""
    both = [{"name": kind, "kind": kind, "fee_ppm": 500} for kind in ("constant_product", "concentrated")]
    tables = {
        "pools": both,
        "pool_arbitrageurs": {"count": 2},
        "swappers": {"count": 5, "orders_per_s": 0.5},
        "liquidity_providers": {"count": 6, "review_interval_s": 20.0, "rest_s": 10.0, "exploration": 0.5},
        "sandwichers": {"count": 2},
        "producers": {"extracting_share": 0.7},
    }
    return scenario(instruments=[{"name": "ETH-SPOT", "kind": "spot"}], price={"volatility_per_day": 0.3}, **tables)


def rollups():
    """An optimistic and a validity rollup that post often and claim often."""
    posting = {"rule": "interval", "interval_s": 30.0}
    proofs = {"fixed_s": 5.0, "gas_per_s": 1e8}
    settled = {"claim_interval_s": 60.0, "posting": posting, "proofs": proofs, "challenges": {"window_s": 60.0}}
    on_parent = {"block_time_s": 12.0, "blobs": "bpo2", "gas_limit": 30_000_000}
    first, second, parent = (
        scenario(name, chain, topology={"validators": 1}).model_dump(mode="json")
        for name, chain in (("optimistic", None), ("validity", None), ("parent", on_parent))
    )
    first["rollup"] = {"kind": "optimistic", **settled}
    second["rollup"] = {"kind": "validity", "parent": "parent", **settled}
    return scenario_from({**first, "chains": [parent, second]})


def hedgers():
    """Accounts linked across two chains, messages and cash under way, and a chain that halts while the price falls."""
    halt = [{"kind": "outage", "start_s": 110.0, "duration_s": 60.0}]
    return linked_chains("unified", 200.0, faults=halt, crash=(60.0, 120.0, 0.9))


RUNS = {  # what it is made of, when it is stopped, when it ends
    "ethereum-30m, in the warm-up": (lambda: preset("ethereum-30m", 1_500, 600), 300.0, 1_500.0),
    "ethereum-30m, after the warm-up": (lambda: preset("ethereum-30m", 1_500, 300), 1_000.0, 1_500.0),
    "base": (lambda: preset("base", 120, 20), 47.3, 120.0),
    "arbitrum-one": (lambda: preset("arbitrum-one", 60, 10), 31.1, 60.0),
    "before the first block": (lambda: scenario(), 0.5, 100.0),
    "first price": (lambda: scenario(fee_market={"rule": "first_price"}), 101.0, 200.0),
    "fixed fee": (lambda: scenario(fee_market={"rule": "fixed", "base_fee_wei": 10**9}), 101.0, 200.0),
    "blocks at random times": (lambda: scenario(chain={"block_arrivals": "poisson"}), 101.0, 200.0),
    "blocks of ten microseconds": (
        lambda: scenario(chain={"block_time_s": 1e-5, "gas_limit": 1_000_000}, **FEW),
        10.0,
        20.0,
    ),
    "a script": (
        lambda: scenario(price={"source": "script", "script": [[50, 1.1], [150, 0.8]], "jumps_per_day": 5_000}),
        101.0,
        400.0,
    ),
    "volatile volatility and jumps": (
        lambda: scenario(
            price={"volatility_of_volatility_per_sqrt_day": 2.0, "jumps_per_day": 5_000, "jump_law": "normal"}
        ),
        101.0,
        700.0,
    ),
    "several instruments": (
        lambda: scenario(instruments=[{"name": "PERP"}, {"name": "SPOT", "kind": "spot"}]),
        101.0,
        200.0,
    ),
    "an express lane, between the close of an auction and its round": (
        lambda: scenario(chain={"ordering": "first_come_first_served"}, express_lane={"round_s": 30.0, "delay_s": 1.0}),
        110.0,
        300.0,
    ),
    "validators who wait": (
        lambda: scenario(
            chain={"block_time_s": 6.0}, attestation={"deadline_s": 4.0, "jitter_s": 1.0}, timing_games={"share": 0.7}
        ),
        110.0,
        400.0,
    ),
    "builders with wallets of their own": (
        lambda: scenario(builders={"count": 3, "exclusive_share": 0.5, "relay_region": "tokyo"}),
        101.0,
        300.0,
    ),
    "hedgers on two chains, one of which halts": (hedgers, 131.0, 240.0),
    "pools of both kinds, with all who deal with them": (pools, 101.0, 200.0),
    "makers and traders of options across an expiry": (
        lambda: scenario(
            chain={"block_time_s": 6.0},
            options={"expiries_days": [1 / 24, 1.0], "strikes_per_expiry": 3},
            option_makers={"count": 2},
            option_traders={"count": 5, "orders_per_s": 0.3},
            option_vaults={"count": 1},
            delta_hedgers={"count": 2},
        ),
        3_500.0,
        3_900.0,
    ),
    "two chains that make blocks at the same moment": (
        lambda: on_one_clock(scenario("a", {"block_time_s": 2.0}), scenario("b", {"block_time_s": 3.0})),
        4.5,
        120.0,
    ),
    "rollups of both kinds on one parent": (rollups, 130.0, 300.0),
    "more rows than a chunk": (fast, 32.0, 40.0),
}


def market_until(seconds, made_of=None, **options):
    market = Market(made_of or scenario(), seed=3, **options)
    market.run_until(seconds)
    return market


def prices(file, last=400):
    rows = [f"{10 * bar},{3_000 + (bar * 7919) % 13}" for bar in range(last // 10 + 1)]
    file.write_text("\n".join(["time_s,price_usd", *rows]))


def from_file(file, duration_s=300.0):
    return scenario(duration_s=duration_s, price={"source": "file", "file": str(file)})
