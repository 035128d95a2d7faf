"""Compile what the tests run, before they do, so that the processes of the tests need not all compile the same.

``python -m tests.warm_up`` takes two processes: one goes through the markets and their phases from the front, the
other from the back, and each loads what the other has finished. It is work for the core that is idle while style and
types are checked. Nothing depends on it: what is not compiled here is compiled by the test that needs it.
"""

import subprocess
import sys
from pathlib import Path

from blockspace.experiments import compiling
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import load_scenario, scenario_from
from blockspace.network.compilation import is_compiled, mark_compiled
from tests.experiments.small import two_markets

THIS = Path(__file__).resolve()

POOLS = [{"name": kind, "kind": kind, "fee_ppm": 500} for kind in ("constant_product", "concentrated")]

EVERYBODY = {
    "duration_s": 240.0,
    "warm_up_s": 12.0,
    "chain": {"block_time_s": 4.0, "gas_limit": 30_000_000},
    "topology": {"validators": 20, "peers": 6},
    "attestation": {"deadline_s": 2.5},
    "timing_games": {"share": 0.5},
    "producers": {"extracting_share": 0.5},
    "venue": {"oracle": "on_chain", "settlement": "timer"},
    "instruments": [{"name": "ETH-PERP"}, {"name": "ETH-SPOT", "kind": "spot"}],
    "pools": [{**pool, "instrument": "ETH-SPOT"} for pool in POOLS],
    "pool_arbitrageurs": {"count": 1},
    "swappers": {"count": 2, "orders_per_s": 0.5},
    "liquidity_providers": {"count": 2},
    "sandwichers": {"count": 1},
    "margin": {"liquidations": True},
    "leveraged_traders": {"count": 5, "openings_per_h": 100.0},
    "liquidators": {"count": 1},
    "options": {"expiries_days": [1 / 24], "strikes_per_expiry": 3},
    "option_makers": {"count": 1},
    "option_traders": {"count": 2, "orders_per_s": 0.3},
    "option_vaults": {"count": 1},
    "delta_hedgers": {"count": 1},
}

BATCHES = {
    "duration_s": 60.0,
    "warm_up_s": 0.0,
    "chain": {"block_time_s": 2.0, "block_arrivals": "poisson", "ordering": "first_come_first_served"},
    "venue": {"matching": "batch"},
    "express_lane": {"round_s": 20.0, "closes_s": 5.0},
}

BUILDERS = {"duration_s": 60.0, "warm_up_s": 0.0, "builders": {"count": 2, "exclusive_share": 0.5}}

MARKETS = (
    lambda: Market(scenario_from(EVERYBODY), seed=1),
    lambda: Market(scenario_from(BATCHES), seed=1),
    lambda: Market(scenario_from(BUILDERS), seed=1),
    lambda: Market(two_markets(60.0), seed=1),
    lambda: Market(load_scenario("modular-stack", {"duration_s": 60.0, "warm_up_s": 0.0}), seed=1),
)


def from_the_front():
    """Run every scenario, and look at what comes out."""
    for make in MARKETS:
        market = make()
        market.run_for(market.world.scenario.duration_s)
        market.summary()
        market.fingerprint()


def from_the_back():
    """Call the phases of a block of every scenario in reverse, for the sake of compiling what they call."""
    for make in reversed(MARKETS):
        for one in make().worlds:
            for step in reversed(one.steps):
                step()


def compile_all():
    """Compile in two processes, unless that was done after the last edit."""
    if is_compiled(THIS):
        return
    print("compiling what the tests run: once, for about a minute", flush=True)
    with subprocess.Popen([sys.executable, "-m", "tests.warm_up", "back"]) as other:
        from_the_front()
    if other.returncode == 0:
        mark_compiled(THIS)
        mark_compiled(compiling._WORLD)


if __name__ == "__main__":
    from_the_back() if sys.argv[1:] == ["back"] else compile_all()
