import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.experiments.world import PHASES, World
from blockspace.markets.ledger import ether_wei
from blockspace.markets.order_book import check_book
from blockspace.network.fee_market import next_base_fee
from tests.network.slow_mempool import check_mempool

NS = 10**9


def on_one_clock(first, *others):
    """Scenario of several chains, which share the external price."""
    return first.model_copy(update={"chains": others})


def scenario(name="test", chain=None, **tables):
    """A busy little chain with everybody on it; tables replace whole tables of settings."""
    data = {
        "name": name,
        "warm_up_s": 0,
        "chain": {"block_time_s": 2.0, "gas_limit": 4_000_000, **(chain or {})},
        "topology": {"validators": 20},
        "mempool": {"capacity": 1_000},
        "price": {"volatility_per_day": 0.5},
        "noise_traders": {"count": 30, "orders_per_s": 3.0},
        "informed_traders": {"count": 2, "orders_per_s": 0.3},
        "background_users": {"arrivals_per_s": 40.0},
        **tables,
    }
    return scenario_from(data)


def run(seconds=400, seed=1, **settings):
    market = Market(scenario(**settings), seed=seed)
    market.run_for(seconds)
    return market


SUBPROCESS = """
import sys
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario
market = Market(Scenario.model_validate_json(sys.stdin.read()), seed=1)
market.run_for(400)
print(market.fingerprint())
"""

# Repeatable.


def test_one_seed_gives_one_tape_in_every_process_and_another_seed_another():
    first = run()
    assert len(first.trades()) > 100
    again, other = run(), run(seed=2)
    assert again.fingerprint() == first.fingerprint() != other.fingerprint()
    for name in ("blocks", "trades", "transactions", "ledger"):
        assert getattr(again, name)().equals(getattr(first, name)()), name
    for hash_seed in ("0", "123"):
        process = subprocess.run(
            [sys.executable, "-c", SUBPROCESS],
            input=scenario().model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stdout.strip() == first.fingerprint()


def test_what_is_recorded_does_not_change_what_happens(tmp_path):
    kept = run(200)
    for tapes in ("none", tmp_path):
        market = Market(scenario(), seed=1, tapes=tapes)
        market.run_for(200)
        market.close()
        assert market.fingerprint() == kept.fingerprint()
        assert market.blocks().equals(kept.blocks())
    assert pd.read_parquet(tmp_path / "trades.parquet").equals(kept.trades())
    assert pd.read_parquet(tmp_path / "transactions.parquet").equals(kept.transactions())


def test_tapes_on_disk_can_be_read_again_and_after_closing(tmp_path):
    market = Market(scenario(), seed=1, tapes=tmp_path)
    market.run_for(200)
    first = market.trades()
    assert market.trades().equals(first)
    market.close()
    assert market.trades().equals(first)
    assert len(first) > 0


@pytest.mark.parametrize("pieces", [[201.0], [100.0, 101.0], [0.5] * 402, [1.9, 2.2, 0.1, 96.8, 100.0]])
def test_a_run_in_pieces_is_the_run_at_once(pieces):
    whole = run(201)
    market = Market(scenario(), seed=1)
    for piece in pieces:
        market.run_for(piece)
    assert market.time == pytest.approx(201)
    assert market.fingerprint() == whole.fingerprint()
    assert market.blocks().equals(whole.blocks())


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}; it may be 0 to"):
        Market(scenario(), seed=seed)


def test_the_largest_seed_works():
    market = Market(scenario(), seed=2**63 - 1)
    market.run_for(4)
    assert len(market.blocks()) == 2


# Common random numbers.


def users(market):
    """What every background user who was included wanted, by its number."""
    tape = market.transactions()
    transfers = tape[tape["kind"] == "transfer"].set_index("nonce")
    return transfers[["decided_s", "gas_used"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"chain": {"gas_limit": 40_000_000}},
        {"chain": {"gas_limit": 500_000}},
        {"fee_market": {"rule": "first_price"}},
        {"market_makers": {"count": 1}, "arbitrageurs": {"count": 0}},
        {"mempool": {"capacity": 8}},
    ],
)
def test_two_capacities_meet_the_same_users_traders_and_prices(changes):
    base, other = run(), run(**changes)
    assert base.fingerprint() != other.fingerprint()
    demands = [market.world.demands[0] for market in (base, other)]
    for name in ("arrived", "user", "reached", "gap", "log_factor", "factor"):
        assert demands[0][name] == demands[1][name], name
    assert demands[0]["arrived"] > 3_000
    served = users(base).index.intersection(users(other).index)
    assert len(served) > 100
    assert users(base).loc[served].equals(users(other).loc[served])
    for name in ("key", "wakes", "next_wake", "rate"):
        assert np.array_equal(base.world.noise[name], other.world.noise[name]), name
        assert np.array_equal(base.world.informed[name], other.world.informed[name]), name
    times_s = np.linspace(0, 400, 500)
    assert np.array_equal(base.external_prices(times_s), other.external_prices(times_s))


def test_two_block_times_meet_the_same_users_traders_and_prices():
    fast, slow = run(chain={"block_time_s": 1.0, "gas_limit": 2_000_000}), run(chain={"block_time_s": 8.0})
    for name in ("arrived", "user", "factor"):
        assert fast.world.demands[0][name] == slow.world.demands[0][name], name
    served = users(fast).index.intersection(users(slow).index)
    assert len(served) > 100
    difference = (users(fast).loc[served] - users(slow).loc[served]).abs().max()
    # Arrivals are counted off in pieces that end with the blocks: nanoseconds of rounding remain.
    assert difference["decided_s"] < 1e-6
    assert difference["gas_used"] == 0
    assert np.array_equal(fast.world.noise["next_wake"], slow.world.noise["next_wake"])


# Exact.


@pytest.mark.parametrize("kind", ["one perpetual", "perpetual and spot", "fees and rebates", "thin purses"])
def test_money_and_inventory_are_all_there_after_every_hundred_blocks(kind):
    settings = {
        "one perpetual": {},
        "perpetual and spot": {"instruments": [{"name": "PERP"}, {"name": "SPOT", "kind": "spot"}]},
        "fees and rebates": {"instruments": [{"maker_fee_bps": -0.5, "taker_fee_bps": 4.5}]},
        "thin purses": {"endowment": {"cash_usd": 20_000.0, "ether": 0.001}},
    }[kind]
    market = Market(scenario(**settings), seed=5)
    for _ in range(5):
        market.run_for(200)
        market.check()
        check_mempool(market.world.chain.pools[0])
        for number in range(len(market.world.scenario.instruments)):
            check_book(market.world.venues[0]["books"][number])
    ledger = market.ledger()
    for name in ledger.columns.drop("role"):
        assert ledger[name].sum() == (0 if ledger[name].dtype.kind in "iO" else pytest.approx(0, abs=1e-3)), name
    found = market.blocks()[["failed_transactions", "unfunded_transactions"]].sum() > 0
    assert found.tolist() == ([False, True] if kind == "thin purses" else [True, False])


def test_a_wrong_ledger_stops_with_the_chain_the_block_and_the_numbers():
    market = run(20)
    market.world.venues[0]["ledger"]["accounts"]["cash"][7] += 1
    with pytest.raises(RuntimeError, match=r"the ledger of test .* after block 10: \{'cash_micro_usd': 1\}"):
        market.check()


@pytest.mark.parametrize("rule", ["eip1559", "first_price", "fixed"])
def test_gas_burned_and_tipped_is_that_of_the_tape(rule):
    market = run(200, fee_market={"rule": rule, "base_fee_wei": 10**9})
    tape = market.transactions()
    tape = tape[tape["status"] != "unfunded"]
    burned = sum(int(gas) * int(fee) for gas, fee in zip(tape["gas_used"], tape["base_fee_wei"], strict=True))
    tipped = sum(int(gas) * int(tip) for gas, tip in zip(tape["gas_used"], tape["tip_wei"], strict=True))
    ledger = market.ledger()
    of_producers = sum(ledger.loc[ledger["role"] == "producer", "ether_wei"])
    of_nobody = ledger["ether_wei"].iloc[1]
    assert (of_nobody, of_producers) == ((burned, tipped) if rule != "fixed" else (0, burned + tipped))
    assert burned + tipped > 0


# One clock.


def test_a_step_is_one_block():
    market = Market(scenario(), seed=1)
    for number in range(1, 8):
        market.step()
        assert (market.world.chain.number, market.time, market.steps) == (number, 2.0 * number, number)
    stepped = market.fingerprint()
    assert run(14).fingerprint() == stepped


@pytest.mark.parametrize("block_arrivals", ["slots", "poisson"])
def test_blocks_come_when_the_chain_says(block_arrivals):
    market = run(300, chain={"block_arrivals": block_arrivals}, topology={"latency_scale": 0.0})  # and so without forks
    blocks = market.blocks()
    assert blocks["block"].tolist() == list(range(1, len(blocks) + 1))
    assert blocks["time_s"].iloc[-1] <= 300 < market.world.chain.next_time_ns / NS
    assert np.allclose(np.diff(blocks["time_s"], prepend=0), blocks["elapsed_s"])
    if block_arrivals == "slots":
        assert np.allclose(blocks["time_s"], 2.0 * blocks["block"])
    else:
        assert np.diff(blocks["time_s"]).std() > 1.0


def test_rows_of_fast_blocks_are_of_those_in_which_something_happens():
    """Marks are watched every 20 ms, so that many blocks are made; few of the empty ones are kept."""
    market = run(
        60,
        chain={"block_time_s": 0.001},
        margin={"liquidations": True, "watch_interval_s": 0.02},
        background_users={"arrivals_per_s": 2.0},
    )
    blocks = market.blocks()
    assert market.steps > 60 / 0.02
    empty = blocks["transactions"] + blocks["left_out_transactions"] + blocks["unfunded_transactions"] == 0
    assert 30 < empty.sum() < 60 / 0.05
    assert (blocks.loc[empty, "elapsed_s"].iloc[1:] >= 0.05).all()
    assert blocks["elapsed_s"].sum() == pytest.approx(blocks["time_s"].iloc[-1])
    assert blocks["transactions"].sum() == len(market.transactions())


def test_several_chains_live_on_one_clock():
    names = [("a", 2.0), ("b", 3.0), ("c", 0.5)]
    together = Market(on_one_clock(*(scenario(name, {"block_time_s": seconds}) for name, seconds in names)), seed=1)
    together.run_for(60)
    assert [len(together.blocks(number)) for number in range(3)] == [30, 20, 120]
    for number, (_, seconds) in enumerate(names):
        blocks = together.blocks(number)
        assert np.allclose(blocks["time_s"], seconds * blocks["block"])
    assert together.steps == 170
    together.check()
    # They share the external price and nothing else: each does what it does alone.
    alone = [Market(scenario(name, {"block_time_s": seconds}), seed=1) for name, seconds in names]
    for market in alone:
        market.path.record["resolution"] = together.path.record["resolution"]
        market.path.resolution_ns = together.path.resolution_ns
        market.run_for(60)
    assert together.fingerprint() == "".join(market.fingerprint() for market in alone)


def test_a_step_of_several_chains_is_the_next_block_of_any():
    chains = scenario("a", {"block_time_s": 2.0}), scenario("b", {"block_time_s": 3.0})
    market = Market(on_one_clock(*chains), seed=1)
    seen = []
    for _ in range(6):
        market.step()
        seen.append((market.time, market.worlds[0].chain.number, market.worlds[1].chain.number))
    assert seen == [(2, 1, 0), (3, 1, 1), (4, 2, 1), (6, 3, 2), (8, 4, 2), (9, 4, 3)]


QUIET = {
    "topology": {"validators": 1, "regions": ["virginia"], "latency_scale": 0.0},
    "background_users": {"arrivals_per_s": 1.5, "burst_sd": 0.0, "surge": 0.0},
    "noise_traders": {"count": 0},
    "informed_traders": {"count": 0},
    "market_makers": {"count": 0},
    "arbitrageurs": {"count": 0},
}


def test_on_a_chain_of_a_millisecond_cost_follows_what_happens():
    market = run(60, chain={"block_time_s": 0.001, "gas_limit": 1_000_000}, **QUIET)
    blocks = market.blocks()
    included = int(blocks["transactions"].sum())
    assert included > 50
    assert len(blocks) <= market.steps < 4 * included + 150  # of 60,000 blocks
    assert np.array_equal(blocks["block"], np.rint(blocks["time_s"] / 0.001))
    # The base fee fell in all the empty blocks between, as if each had been made.
    fee, number = 1_000_000_000, 1
    for row in blocks.itertuples():
        while number < row.block:
            following = next_base_fee(fee, 0, 1_000_000)
            number = number + 1 if following != fee else row.block
            fee = following
        assert round(row.base_fee_gwei * 1e9) == fee
        fee, number = next_base_fee(fee, row.gas_used, 1_000_000), number + 1


def test_skipping_idle_blocks_changes_no_transaction(monkeypatch):
    settings = {
        **QUIET,
        "noise_traders": {"count": 5, "orders_per_s": 0.5},
        "market_makers": {"count": 2, "look_interval_s": 0.9},
        "arbitrageurs": {"count": 1, "look_interval_s": 0.7},
    }
    chain = {"block_time_s": 0.02, "gas_limit": 3_000_000}
    skipping = run(100, chain=chain, **settings)
    monkeypatch.setattr(World, "_skip_idle_blocks", lambda self: None)
    stepping = run(100, chain=chain, **settings)
    assert len(skipping.trades()) > 5
    assert skipping.steps < 0.5 * stepping.steps == 0.5 * 5_000
    assert skipping.transactions().equals(stepping.transactions())
    assert skipping.trades().equals(stepping.trades())


def test_the_phases_of_a_block_can_be_printed():
    names = [name for name, _ in Market(scenario(), seed=1).world.phases]
    assert names == [name for name, _, _ in PHASES]
    assert names.index("survey what is visible") < names.index("fill the block") < names.index("execute")


def test_agents_are_mesa_agents_and_show_their_row():
    market = run(100)
    kinds = {agent_type.__name__: len(agents) for agent_type, agents in market.agents_by_type.items()}
    assert kinds == {
        "Proposer": 20,
        "BackgroundUsers": 1,
        "MarketMaker": 4,
        "NoiseTrader": 30,
        "InformedTrader": 2,
        "Arbitrageur": 4,
    }
    maker = market.agents.select(lambda agent: agent.kind == "maker").to_list()[0]
    assert maker.half_spread == market.world.makers["half_spread"][0] > 0
    assert maker.account == market.world.makers["account"][0]
    assert len(maker.ladder) == 16
    with pytest.raises(AttributeError, match="no attribute 'spread'"):
        maker.spread  # noqa: B018


# Agents in plain Python.


class Scripted(Trader):
    """Does one thing after another, and notes what it saw."""

    def __init__(self, model, **settings):
        super().__init__(model, **settings)
        self.outcomes = []
        self.resting = []

    def orders(self):
        """Resting orders of this account: {slot: (ticks, lots)}."""
        rows = self.world.venues[0]["books"][0]["orders"][16 * self.account : 16 * self.account + 16]
        return {slot: (int(row["price"]), int(row["size"])) for slot, row in enumerate(rows) if row["size"]}

    def act(self):
        self.resting.append(self.orders())
        number = len(self.resting)
        if number == 20:
            self.outcomes.append(self.submit("buy", 0.5 * self.external_price, 1.5, style="limit", slot=3))
        elif number == 25:
            self.outcomes.append(self.replace(3, 0.6 * self.external_price, 2.0))
            self.price = round(0.6 * self.external_price / 0.01)
        elif number == 30:
            self.outcomes.append(self.cancel(3))
        elif number == 35:
            self.ask = self.best_ask()
            self.outcomes.append(self.submit("buy", 1.1 * self.external_price, 0.25))
        elif number == 40:
            self.outcomes.append(self.cancel(3))  # there is nothing left to cancel: it fails and pays


def test_a_trader_in_plain_python_places_replaces_cancels_trades_and_pays_gas():
    market = Market(scenario(background_users={"arrivals_per_s": 5.0}, arbitrageurs={"count": 0}), seed=1)
    trader = Scripted(market, cash_usd=50_000.0, ether=2.0)
    market.run_for(100)
    market.check()
    assert trader.outcomes == ["accepted"] * 5
    assert [bool(orders) for orders in trader.resting[:20]] == [False] * 20
    first = trader.resting[22]
    assert list(first) == [3]
    assert first[3][1] == 1_500
    assert trader.resting[27] == {3: (trader.price, 2_000)}
    assert trader.resting[-1] == {}

    tape = market.transactions()
    own = tape[tape["sender"] == trader.account]
    assert own["kind"].tolist() == ["place", "replace", "cancel", "place", "cancel"]
    assert own["status"].tolist() == ["succeeded"] * 4 + ["failed"]
    assert own["nonce"].tolist() == [0, 1, 2, 3, 4]
    assert own["gas_used"].tolist() == [120_000, 90_000, 45_000, 120_000, 45_000]
    assert own["filled"].tolist()[:1] + own["filled"].tolist()[3:4] == [0.0, 0.25]
    paid = sum(int(row.gas_used) * (int(row.base_fee_wei) + int(row.tip_wei)) for row in own.itertuples())
    assert ether_wei(market.world.venues[0]["ledger"], trader.account) == 2 * 10**18 - paid

    trades = market.trades()
    bought = trades[trades["taker"] == trader.account]
    assert bought["size"].sum() == pytest.approx(0.25)
    assert bought["price_usd"].iloc[0] == pytest.approx(trader.ask, rel=0.02)
    row = market.ledger().loc[trader.account]
    spent = (bought["price_usd"] * bought["size"] + bought["taker_fee_usd"]).sum()
    assert row["cash_usd"] == pytest.approx(50_000 - spent, abs=1e-6)
    assert (row["role"], row["ETH-PERP_lots"]) == ("own", 250)


def test_a_trader_with_several_transactions_keeps_them_in_order():
    class Busy(Trader):
        def act(self):
            if self.decision_ns > 20 * NS and not hasattr(self, "sent"):
                self.sent = [self.submit("buy", 10.0 + n, 1.0, style="limit", slot=n, tip=n * 10**6) for n in range(4)]

    market = Market(scenario(background_users={"arrivals_per_s": 5.0}), seed=1)
    trader = Busy(market, access="access/tokyo")
    market.run_for(60)
    tape = market.transactions()
    own = tape[tape["sender"] == trader.account]
    assert own["nonce"].tolist() == [0, 1, 2, 3]
    assert own["price_usd"].tolist() == [10.0, 11.0, 12.0, 13.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"side": "long"}, "side is 'long'; it may be buy or sell"),
        ({"style": "fok"}, "style is 'fok'; it may be limit, post_only"),
        ({"slot": 16}, "slot is 16; it may be 0 to 15"),
        ({"slot": -1}, "slot is -1; it may be 0 to 15"),
    ],
)
def test_orders_that_make_no_sense_are_refused_with_a_sentence(arguments, sentence):
    trader = Trader(Market(scenario(), seed=1))
    with pytest.raises(ValueError, match=sentence):
        trader.submit(**{"side": "buy", "price_usd": 10.0, "size": 1.0, **arguments})
    with pytest.raises(ValueError, match="access is 'mars'; it may be access/virginia"):
        Trader(trader.model, access="mars")


def test_limits_are_rounded_to_the_tick_away_from_the_market():
    class Rounder(Trader):
        def act(self):
            if not hasattr(self, "sent"):
                self.sent = self.submit("buy", 99.999, 1.0, style="limit", slot=0)
                self.submit("sell", 5_000.001, 1.0, style="limit", slot=1)
                self.submit("buy", 77.77, 1.0, style="limit", slot=2)

    market = Market(scenario(background_users={"arrivals_per_s": 5.0}), seed=1)
    trader = Rounder(market)
    market.run_for(20)
    tape = market.transactions()
    prices = tape[tape["sender"] == trader.account]["price_usd"]
    assert [round(price, 4) for price in prices] == [99.99, 5_000.01, 77.77]
    assert not math.isnan(prices.sum())
