"""Speed of the margin check of a full ledger, of a market of options with leveraged accounts, and memory in a crash.

The ledger has room for 16,384 accounts, so the check is timed on that many and on a quarter of them, nearly all with a
position, and quoted per account: 100,000 accounts would take as many times longer as they are more.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from blockspace.agents.leveraged_traders import HOLDING, trade_with_leverage
from blockspace.experiments import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.markets.ledger import ACCOUNTS, GENESIS, open_account
from blockspace.markets.margin import scan_margin

TRADERS = 2_000
BLOCKS = 2_000
LOTS = 500
OPTIONS = {"expiries_days": [1.0, 7.0, 30.0, 90.0], "strikes_per_expiry": 3}
"""24 series."""

DEALING = {
    "duration_s": 360_000,
    "warm_up_s": 0,
    "chain": {"block_time_s": 12.0},
    "topology": {"validators": 5},
    "noise_traders": {"count": 40},
    "informed_traders": {"count": 10},
    "market_makers": {"count": 6},
    "arbitrageurs": {"count": 4},
    "margin": {"liquidations": True},
    "liquidators": {"count": 5},
}
"""With options: five makers and 30 traders of them make it 100 agents."""


def open_world(**tables):
    settings = {"duration_s": 60, "warm_up_s": 0, "margin": {"liquidations": True}, "topology": {"validators": 5}}
    world = Market(scenario_from({**settings, **tables}), seed=1, tapes="none").world
    for _ in range(3):
        world.make_block()
    return world


def fill(world, accounts, series):
    """Give accounts positions at the mark, half of them long, in so many series, and some margin to spare."""
    venue = world.venues[0]
    holders, mark = venue["ledger"]["accounts"], int(venue["instruments"]["mark"][0])
    while int(venue["ledger"]["count"]) < accounts:
        account = open_account(venue["ledger"], 1_000.0)
        side = 1 if account % 2 else -1
        held = [1 + (account // 2 + number) % 24 for number in range(series)]
        moves = [(0, side * LOTS, mark)] + [(number, side * 10, 0) for number in held]
        for number, lots, price in moves:
            for owner, sign in ((account, 1), (GENESIS, -1)):
                holders["position"][owner, number] += sign * lots
                holders["cash"][owner] -= sign * lots * price
            venue["margin"]["set_aside"][account, number] = 500 * 10**6 - lots * price
        for number in held:
            venue["options"]["touched"][account] |= np.uint64(1) << np.uint64(number)


@pytest.mark.parametrize("accounts", [ACCOUNTS // 4, ACCOUNTS])
@pytest.mark.parametrize("holding", ["perpetuals", "perpetuals beside options", "an option as well", "all options"])
@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_margin_check(benchmark, mode, holding, accounts):
    options = {} if holding == "perpetuals" else {"options": OPTIONS}
    world = open_world(margin={"liquidations": True, "mode": mode}, **options)
    fill(world, accounts, {"an option as well": 1, "all options": 24}.get(holding, 0))
    benchmark.group = f"margin check, {mode}"
    benchmark(scan_margin, world.venues, world.chain.blocks)
    benchmark.extra_info["ns_per_account"] = 1e9 * benchmark.stats["median"] / accounts
    assert world.venues[0]["margin"]["due_count"] == 0


def test_leveraged_traders_to_whom_nothing_happens(benchmark):
    world = open_world(leveraged_traders={"count": TRADERS, "openings_per_h": 1e-3})
    rows = world.leveraged.copy()
    rows["status"], rows["next_wake"] = HOLDING, 2**62
    rows["stop_below"], rows["lots"] = 1, 1
    world.feeds[0]["outlooks"]["fresh"] = 1
    benchmark(trade_with_leverage, rows, world.feeds, world.chain.pools, world.chain.blocks)
    assert (rows["next_wake"] == 2**62).all()
    assert np.isfinite(benchmark.stats["median"])


@pytest.fixture(scope="module")
def seconds_a_block():
    return {}


@pytest.mark.parametrize("case", ["perpetuals", "24 series and 2,000 leveraged accounts"])
def test_market_with_options_and_leverage(benchmark, case, seconds_a_block):
    """Processor time of whole blocks; the market of perpetuals alone is what the other is compared with."""
    tables = {}
    if case != "perpetuals":
        tables = {"options": OPTIONS, "option_makers": {"count": 5}, "option_traders": {"count": 30}}
        tables["leveraged_traders"] = {"count": TRADERS, "openings_per_h": 2.0}
    market = Market(scenario_from({**DEALING, **tables}), seed=1, tapes="none")
    for _ in range(300):
        market.world.make_block()

    def run():
        for _ in range(BLOCKS):
            market.world.make_block()

    benchmark.group = "blocks of a market with options and leverage"
    before = time.process_time()
    benchmark.pedantic(run, rounds=1)
    taken = (time.process_time() - before) / BLOCKS
    blocks = market.blocks().iloc[-BLOCKS:]
    benchmark.extra_info["blocks_per_second"] = 1.0 / taken
    benchmark.extra_info["transactions_per_block"] = blocks["transactions"].mean()
    of_market = blocks["transactions"] - blocks["background_transactions"]
    benchmark.extra_info["market_transactions_per_block"] = of_market.mean()
    seconds_a_block[case] = taken
    if case == "perpetuals":
        return
    if "perpetuals" in seconds_a_block:
        benchmark.extra_info["times_the_baseline"] = taken / seconds_a_block["perpetuals"]
    makers, held = market.world.option_makers, market.world.venues[0]["ledger"]["accounts"]["position"][:, 0]
    benchmark.extra_info["share_of_series_quoted"] = makers["quoted_looks"].sum() / makers["listed_looks"].sum()
    benchmark.extra_info["leveraged_positions"] = int(np.count_nonzero(held[market.world.leveraged["account"]]))
    quotes = market.world.venues[0]["books"][1:25]
    assert ((quotes["best_bid"] > 0) | (quotes["best_ask"] < quotes["levels"].shape[1])).sum() > 12


CRASH = """
import json, resource, sys
import psutil
from blockspace.experiments import Market
from blockspace.experiments.validation.positions import House, Undertaker, barrier_cash, free_market

accounts, folder = int(sys.argv[1]), sys.argv[2]
fall = {"source": "script", "script": [[60.0, 1.0], [12_060.0, 0.5]], "volatility_per_day": 0.0}
scenario = free_market(1, 12.0, 0.02, price=fall).world.scenario
market = Market(scenario, 1, tapes=folder)
Undertaker(market, cash_usd=1e10)
market.step()
house = House(market)
for number in range(accounts):
    house.open(10, barrier_cash(10, house.mark, 0.98 - 0.45 * number / accounts, 0.01))
seen = []
log = market.world.venues[0]["liquidations"]
for _ in range(1_050):
    market.world.make_block()
    peak, now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, psutil.Process().memory_info().rss
    seen.append((int(log["count"]), peak / 1024, now / 2**20))
market.check()
market.close()
print(json.dumps(seen))
"""


@pytest.mark.parametrize("accounts", [2_000, 12_000])
def test_memory_of_a_crash(benchmark, accounts, tmp_path):
    """Memory of a process in which the price falls by half and nearly everybody is liquidated; tapes go to Parquet."""

    def run():
        command = [sys.executable, "-c", CRASH, str(accounts), str(tmp_path / "tapes")]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    benchmark.group = "a crash"
    seen = np.array(benchmark.pedantic(run, rounds=1))
    benchmark.extra_info["liquidations"] = int(seen[-1, 0])
    benchmark.extra_info["peak_mib"] = seen[-1, 1]
    first = np.searchsorted(seen[:, 0], seen[-1, 0] // 10)  # past loading, whose peak would hide what follows
    benchmark.extra_info["mib_added_after_a_tenth"] = seen[-1, 2] - seen[first, 2]
    assert seen[-1, 0] > 0.8 * accounts
