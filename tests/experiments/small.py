"""Sweeps that take a second, and one of a few seconds in a process of its own, to be disturbed."""

import subprocess
import sys
import time

from blockspace.experiments.scenario import load_scenario, scenario_from
from blockspace.experiments.sweeps.points import Point, Sweep, grid
from blockspace.experiments.sweeps.runner import run_sweep


def small_sweep(seeds=(3, 4), **overrides):
    """Two capacities, two seeds, five minutes."""
    scenario = load_scenario("ethereum-30m", {"duration_s": 300, "warm_up_s": 60, **overrides})
    points = tuple(
        Point(f"{gas_limit / 1e6:g} M", {"gas_limit": float(gas_limit)}, {"chain.gas_limit": gas_limit})
        for gas_limit in (5_000_000, 60_000_000)
    )
    return Sweep(scenario, points, seeds=seeds, reference="5 M")


def content(folder):
    """Every file that a sweep leaves, by name, but for its log and for the manifest with the command that made it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("log.txt", "manifest.json", ".lock")
    }


def modified(folder):
    """When each run was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("runs/[!.]*.parquet")}


def make_many(folder, scheduler=None, jobs=2):
    """Make twelve runs of two hours each, with their tapes, on two processes or where a scheduler says."""
    scenario = load_scenario("ethereum-30m", {"duration_s": 7_200, "warm_up_s": 60})
    points = grid({"chain.gas_limit": [5_000_000, 15_000_000, 30_000_000, 60_000_000]})
    sweep = Sweep(scenario, points, (1, 2, 3), points[0].name)
    run_sweep(sweep, folder, jobs=jobs if scheduler is None else None, scheduler=scheduler, keep="tapes", quiet=True)


def begin_many(folder, *scheduler):
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.experiments.small", str(folder), *scheduler]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_runs(folder, process, count):
    """Wait until some runs have been finished."""
    deadline = time.monotonic() + 120
    while len(modified(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    make_many(*sys.argv[1:])


def linked_chains(mode, duration_s, *, faults=(), crash=(60.0, 120.0, 0.9), count=40, **link):
    """Two small rollups with hedgers on both, and a price that falls to a share of what it was between two moments."""
    chain = {
        "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000, "ordering": "first_come_first_served"},
        "topology": {"validators": 1},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**8, "wallet_tip_wei": 0},
        "background_users": {"arrivals_per_s": 2.0},
        "endowment": {"cash_usd": 1e8},
        "noise_traders": {"orders_per_s": 0.2},
        "informed_traders": {"count": 0},
        "market_makers": {"count": 3, "position_limit": 300.0},
        "arbitrageurs": {"count": 1},
        "margin": {"liquidations": True, "insurance_usd": 20_000.0},
        "liquidators": {"count": 2},
    }
    start, end, share = crash
    return scenario_from(
        {
            **chain,
            "name": "first",
            "duration_s": duration_s,
            "warm_up_s": 0.0,
            "price": {"source": "script", "script": [[start, 1.0], [end, share]]},
            "hedgers": {"count": count},
            "unified_margin": {
                "mode": mode,
                "message_interval_s": 4.0,
                "message_delay_s": 6.0,
                "transfer_delay_s": 20.0,
                "grace_s": 60.0,
                **link,
            },
            "chains": [{**chain, "name": "second", "faults": list(faults)}],
        }
    )


def two_markets(duration_s, *, window_s=600.0, bridge=None, desks=None, warm_up_s=0.0, **tables):
    """A small rollup and its parent with a market on each, whose makers lean on their inventories.

    Nobody but desks between the chains (``desks``) trades on what the prices are apart.
    """
    market = {
        "noise_traders": {"count": 20, "orders_per_s": 0.5, "size_mean": 2.0, "value_bps": 60.0},
        "informed_traders": {"count": 0},
        "arbitrageurs": {"count": 0},
        "market_makers": {"count": 2, "unit_size": 4.0, "position_limit": 40.0, "inventory_aversion": 8.0},
        "background_users": {"arrivals_per_s": 2.0},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**7, "wallet_tip_wei": 0},
    }
    return scenario_from(
        {
            **market,
            "name": "rollup",
            "duration_s": duration_s,
            "warm_up_s": warm_up_s,
            "price": {"volatility_per_day": 0.04},
            "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000},
            "topology": {"validators": 1},
            "rollup": {
                "kind": "optimistic",
                "claim_interval_s": 120.0,
                "posting": {"rule": "interval", "interval_s": 60.0},
                "challenges": {"window_s": window_s},
                "bridge": {"users_per_h": 60.0, "deposit_s": 30.0, **(bridge or {})},
            },
            "cross_chain_arbitrageurs": {"count": 2, **(desks or {})},
            "chains": [
                {
                    **market,
                    "market": True,
                    "name": "parent",
                    "chain": {"block_time_s": 12.0, "gas_limit": 60_000_000, "blobs": "bpo2", "checkpoint_blocks": 3},
                    "topology": {"validators": 5},
                }
            ],
            **tables,
        }
    )


def two_rollups(duration_s, *, window_s=600.0, providers=3, desks=2):
    """Two rollups of one parent, a market with users of its own on each, and desks that trade between them."""
    market = {
        "noise_traders": {"count": 20, "orders_per_s": 0.5, "size_mean": 2.0, "value_bps": 60.0},
        "informed_traders": {"count": 0},
        "arbitrageurs": {"count": 0},
        "market_makers": {"count": 4, "unit_size": 4.0, "position_limit": 40.0, "inventory_aversion": 8.0},
        "background_users": {"arrivals_per_s": 2.0},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**7, "wallet_tip_wei": 0},
        "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000},
        "topology": {"validators": 1},
        "rollup": {
            "kind": "optimistic",
            "claim_interval_s": 300.0,
            "posting": {"rule": "interval", "interval_s": 120.0},
            "challenges": {"window_s": window_s},
            "bridge": {"users_per_h": 60.0, "providers": providers},
        },
    }
    parent = {
        "name": "parent",
        "chain": {"block_time_s": 12.0, "gas_limit": 60_000_000, "blobs": "bpo2"},
        "topology": {"validators": 5},
        "background_users": {"arrivals_per_s": 2.0},
        "fee_market": {"rule": "fixed", "base_fee_wei": 10**8, "wallet_tip_wei": 0},
    }
    second = {**market, "market": True, "own_draws": True, "name": "second"}
    return scenario_from(
        {
            **market,
            "name": "first",
            "duration_s": duration_s,
            "warm_up_s": duration_s / 4.0,
            "price": {"volatility_per_day": 0.02},
            "cross_chain_arbitrageurs": {"count": desks, "between": ["first", "second"]},
            "chains": [parent, {**second, "rollup": {**market["rollup"], "parent": "parent"}}],
        }
    )
