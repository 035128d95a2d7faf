"""Checkpoints: a run that was stopped and continued is the run that never stopped, whatever it is made of."""

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys

import mesa
import networkx as nx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from blockspace.agents.population import Member
from blockspace.agents.trader import Trader
from blockspace.experiments import checkpoint, state_files
from blockspace.experiments.checkpoint import (
    CheckpointError,
    load_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from blockspace.experiments.market import Market
from blockspace.experiments.recording import records
from blockspace.experiments.recording.records import CHUNK
from blockspace.experiments.scenario import load_scenario, scenario_from
from blockspace.experiments.world import World
from blockspace.network.state import Part, Pieces, _declared
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


def leaves(state, path=""):
    """Everything in a state, by its path: arrays as bytes, streams as the bytes of all their pieces."""
    if isinstance(state, Part):
        yield from leaves(state.state, f"{path}:{state.kind}")
    elif isinstance(state, dict):
        for name, value in state.items():
            yield from leaves(value, f"{path}.{name}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from leaves(value, f"{path}.{number}")
    elif isinstance(state, Pieces):
        yield path, b"".join(piece.tobytes() for piece in state.arrays)
    else:
        yield path, digest(state) if isinstance(state, np.ndarray) else repr(state)


def digest(array):
    """Hash of an array's content, without touching pages that nobody has used: most of a venue's gigabytes."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    kept = state_files._occupied_pages(content)
    whole = len(kept) * state_files.PAGE_BYTES
    used = content[:whole].reshape(-1, state_files.PAGE_BYTES)[kept]
    return hashlib.blake2b(kept.tobytes() + used.tobytes() + content[whole:].tobytes()).hexdigest()


def require_same(one, other):
    assert (one.fingerprint(), one.time, one.steps) == (other.fingerprint(), other.time, other.steps)
    there, here = dict(leaves(one.state())), dict(leaves(other.state()))
    assert there.keys() == here.keys()
    assert [path for path in there if there[path] != here[path]] == []
    for world in range(len(one.worlds)):
        assert json.dumps(one.summary(world)) == json.dumps(other.summary(world))
        for name in ("ledger", "blocks", "trades", "transactions"):
            pd.testing.assert_frame_equal(getattr(one, name)(world), getattr(other, name)(world), check_exact=True)
    one.check()
    other.check()


def market_until(seconds, made_of=None, **options):
    market = Market(made_of or scenario(), seed=3, **options)
    market.run_until(seconds)
    return market


@pytest.mark.parametrize("name", RUNS)
def test_stopped_and_continued_is_never_stopped(name, tmp_path):
    made_of, stop_s, end_s = RUNS[name]
    market = market_until(stop_s, made_of())
    save_checkpoint(market, tmp_path)
    market.run_until(end_s)
    assert market.world.records.rows > CHUNK or name != "more rows than a chunk"
    continued = load_checkpoint(tmp_path)
    assert (continued.time, continued.seed) == (stop_s, 3)
    continued.run_until(end_s)
    require_same(market, continued)


def test_of_two_blocks_at_the_same_moment_the_same_one_comes_first(tmp_path):
    def market():
        chains = scenario("a", {"block_time_s": 2.0}), scenario("b", {"block_time_s": 3.0})
        made = Market(on_one_clock(*chains), seed=3)
        for world in made.worlds:
            world.insert_phase("note", lambda world=world: seen.append((made.time, world.scenario.name)), arrays=[])
        return made

    seen = []
    whole = market()
    whole.run_until(4.5)
    save_checkpoint(whole, tmp_path)
    continued = market()
    restore_checkpoint(continued, tmp_path)
    orders = []
    for each in (whole, continued):
        seen.clear()
        each.run_until(12.5)
        orders.append(list(seen))
    assert orders[0] == orders[1]
    assert orders[0][:2] == [(6.0, "b"), (6.0, "a")]  # b's was scheduled at 3 s and a's at 4 s


def prices(file, last=400):
    rows = [f"{10 * bar},{3_000 + (bar * 7919) % 13}" for bar in range(last // 10 + 1)]
    file.write_text("\n".join(["time_s,price_usd", *rows]))


def from_file(file, duration_s=300.0):
    return scenario(duration_s=duration_s, price={"source": "file", "file": str(file)})


def test_prices_from_a_file_go_with_the_checkpoint(tmp_path):
    file, folder = tmp_path / "mine.csv", tmp_path / "there"
    prices(file)
    market = market_until(100.0, from_file(file))
    save_checkpoint(market, folder)
    save_checkpoint(market, folder)
    assert len(list(folder.glob("prices-*"))) == 1
    file.unlink()
    continued = load_checkpoint(folder)
    for each in (market, continued):
        each.run_until(300.0)
    assert continued.fingerprint() == market.fingerprint()
    assert continued.blocks().equals(market.blocks())


def test_saved_twice_and_continued_twice(tmp_path):
    whole = market_until(90.0, fast())
    market = market_until(30.0, fast())
    for stop_s in (30.0, 31.0, 60.0):
        if market.time < stop_s:
            market.run_until(stop_s)
        save_checkpoint(market, tmp_path / "one")
        market = load_checkpoint(tmp_path / "one")
    save_checkpoint(market, tmp_path / "other")  # it has none of the rows that the first folder has
    one, other = (load_checkpoint(tmp_path / folder) for folder in ("one", "other"))
    one.run_until(90.0)
    other.run_until(90.0)
    require_same(whole, one)
    assert other.fingerprint() == whole.fingerprint()
    assert other.blocks().equals(whole.blocks())


def test_a_market_that_has_run_on_can_go_back(tmp_path):
    market = market_until(50.0)
    save_checkpoint(market, tmp_path)
    market.run_until(100.0)
    first = market.fingerprint(), market.trades(), market.blocks()
    restore_checkpoint(market, tmp_path)
    assert market.time == 50.0
    market.run_until(100.0)
    assert market.fingerprint() == first[0]
    assert market.trades().equals(first[1])
    assert market.blocks().equals(first[2])


CONTINUE = """
import sys
from blockspace.experiments import load_checkpoint
market = load_checkpoint(sys.argv[1])
market.run_until(200)
print(market.fingerprint())
"""


def test_another_process_continues(tmp_path):
    market = market_until(100.0)
    save_checkpoint(market, tmp_path)
    market.run_until(200.0)
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", CONTINUE, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert process.stdout.strip() == market.fingerprint()


def test_tapes_on_disk_are_cut_and_go_on_wherever_they_are_now(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "DRAIN_AT", 200)
    chains = scenario("a", {"block_time_s": 2.0}), scenario("b", {"block_time_s": 3.0})
    market = market_until(60.0, on_one_clock(*chains), tapes=tmp_path / "tapes")
    save_checkpoint(market, tmp_path / "there")
    market.run_until(90.0)
    shutil.copytree(tmp_path / "tapes", tmp_path / "moved")
    continued = load_checkpoint(tmp_path / "there", tapes=tmp_path / "moved")
    for each in (market, continued):
        each.run_until(150.0)
        each.close()
    for tape in ("trades.parquet", "transactions.parquet"):
        for folder in (".", "chains/b"):
            whole = tmp_path / "tapes" / folder / tape
            assert whole.read_bytes() == (tmp_path / "moved" / folder / tape).read_bytes()
    assert pq.ParquetFile(whole).num_row_groups > 5
    assert pd.read_parquet(whole).equals(continued.transactions(1))


# What is written.


def listing(folder):
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()}


def test_what_is_past_is_written_once(tmp_path):
    market = market_until(100.0, fast())
    save_checkpoint(market, tmp_path)
    early = listing(tmp_path)
    assert len(early) > 1
    for until_s in (250.0, 400.0):
        market.run_until(until_s)
        save_checkpoint(market, tmp_path)
    late = listing(tmp_path)
    assert late.items() >= early.items() - {("state", early["state"])}
    # A checkpoint adds at most one file for each stream: the rows of blocks, those of the market and two tapes.
    assert len(late) - len(early) <= 2 * 4
    assert late["state"][2] < 1.5 * early["state"][2] < 20e6
    assert load_checkpoint(tmp_path).blocks().equals(market.blocks())


def test_of_another_run_in_the_same_folder_nothing_stays(tmp_path):
    (tmp_path / "prices-2024.csv").write_text("mine")
    save_checkpoint(market_until(60.0, fast()), tmp_path)
    other = market_until(10.0)
    save_checkpoint(other, tmp_path)
    assert sorted(listing(tmp_path)) == ["prices-2024.csv", "state"]
    assert load_checkpoint(tmp_path).fingerprint() == other.fingerprint()


@pytest.mark.parametrize("writes", range(4))
def test_killed_while_it_is_saved_the_last_checkpoint_stays(writes, tmp_path, monkeypatch):
    market = market_until(30.0, fast())
    save_checkpoint(market, tmp_path)
    market.run_until(60.0)
    left = [writes]
    synchronise = os.fsync

    def die(handle):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        synchronise(handle)

    monkeypatch.setattr(state_files.os, "fsync", die)
    try:
        save_checkpoint(market, tmp_path)
        last_s = 60.0
    except KeyboardInterrupt:
        last_s = 30.0
    assert (last_s == 60.0) == (writes == 3)  # rows of blocks, rows of the market, and the state
    assert load_checkpoint(tmp_path).time == last_s
    monkeypatch.undo()
    save_checkpoint(market, tmp_path)
    assert load_checkpoint(tmp_path).blocks().equals(market.blocks())


def test_nothing_is_ever_unpickled(tmp_path, monkeypatch):
    import pickle

    def refuse(*arguments, **options):
        raise AssertionError("a pickle")

    save_checkpoint(market_until(30.0, fast()), tmp_path)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load_checkpoint(tmp_path)


# What cannot be continued is refused in a sentence.


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert not text.endswith(".")
    return text


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("what", ["state", "rows"])
def test_a_file_cut_short_is_refused(kept, what, tmp_path):
    save_checkpoint(market_until(30.0, fast()), tmp_path)
    file = next(tmp_path.glob(f"{what}*"))
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match="is damaged or cut short") as error:
        load_checkpoint(tmp_path)
    assert str(file) in one_sentence(error)


def test_a_changed_byte_and_a_missing_file_are_refused(tmp_path):
    save_checkpoint(market_until(30.0, fast()), tmp_path)
    file = next(tmp_path.glob("rows*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        load_checkpoint(tmp_path / "nowhere")


def test_another_layout_and_another_simulator_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(state_files, "LAYOUT", 3)
    save_checkpoint(market_until(4.0), tmp_path)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has layout 3 and this version of blockspace reads layout 2") as error:
        load_checkpoint(tmp_path)
    one_sentence(error)
    monkeypatch.setattr(checkpoint, "_simulator", lambda: "0123456789abcdef")
    save_checkpoint(market_until(4.0), tmp_path)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="another version of the simulator") as error:
        load_checkpoint(tmp_path)
    one_sentence(error)


@pytest.mark.parametrize(
    ("market", "sentence"),
    [
        (lambda: Market(scenario(), seed=4), "of another run: seed is 3 there and 4 here"),
        (
            lambda: Market(scenario(chain={"gas_limit": 5_000_000}), seed=3),
            "of another run: chain.gas_limit is 4000000 there and 5000000 here",
        ),
        (lambda: Market(scenario(duration_s=10.0), seed=3), "duration_s is 3600.0 there and 10.0 here"),
        (lambda: Market(on_one_clock(scenario(), scenario("other")), seed=3), "there are 1 chains there and 2 here"),
        (lambda: Market(load_scenario("base"), seed=3), ", and [0-9]+ more differences"),
        (lambda: Market(scenario(), seed=3, tapes="none"), "tapes is none here and memory in"),
    ],
)
def test_another_run_is_refused_with_what_is_different(market, sentence, tmp_path):
    save_checkpoint(market_until(30.0), tmp_path)
    with pytest.raises(CheckpointError, match=sentence) as error:
        restore_checkpoint(market(), tmp_path)
    one_sentence(error)


def test_a_run_may_go_on_for_longer_than_was_asked(tmp_path):
    short, long = scenario(duration_s=60.0), scenario(duration_s=90.0)
    save_checkpoint(market_until(60.0, short), tmp_path)
    continued = Market(long, seed=3)
    restore_checkpoint(continued, tmp_path)
    continued.run_until(90.0)
    require_same(market_until(90.0, long), continued)


def test_other_prices_under_the_same_name_are_refused(tmp_path):
    file = tmp_path / "mine.csv"
    prices(file)
    market = market_until(100.0, from_file(file))
    prices(file, last=410)  # somebody adds a row while the run goes on, before its first checkpoint
    save_checkpoint(market, tmp_path / "there")
    with pytest.raises(CheckpointError, match="does not hold the prices that the checkpoint was made with") as error:
        load_checkpoint(tmp_path / "there")
    one_sentence(error)


# Agents and phases of the user's own.


class Collector(Trader):
    """Buys at random, and remembers what in all the ways that there are."""

    def __init__(self, model, friend=None):
        super().__init__(model)
        self.generator = np.random.default_rng(5)
        self.asks = []
        self.by_slot = {}
        self.seen = np.zeros(3)
        self.state = "waiting"  # a name that many agents have use for
        self.friend = friend

    CONSTANTS = ("friend",)

    def act(self):
        self.seen[0] += 1
        ask = self.best_ask()
        if ask is not None and self.generator.random() < 0.3:
            self.asks.append((self.time_s, ask))
            self.by_slot[len(self.asks) % 4] = np.float64(ask)
            self.history = np.array(self.asks)
            self.state = self.submit("buy", ask, size=0.5 + self.random.random() * self.model.rng.random())


def collectors(seed=3):
    market = Market(scenario(), seed=seed)
    first = Collector(market)
    return market, [first, Collector(market, friend=first)]


def test_agents_in_python_go_on_with_what_they_remember(tmp_path):
    market, agents = collectors()
    market.run_until(60.0)
    save_checkpoint(market, tmp_path)
    continued, others = collectors()
    restore_checkpoint(continued, tmp_path)
    assert others[0].asks == agents[0].asks != []
    assert others[1].friend is others[0]
    for each in (market, continued):
        each.run_until(120.0)
    require_same(market, continued)
    for one, other in zip(agents, others, strict=True):
        assert (one.asks, one.by_slot, one.state) == (other.asks, other.by_slot, other.state)
        assert np.array_equal(one.history, other.history)
        assert one.seen[0] == other.seen[0] > 50


def test_a_market_without_the_agents_is_refused(tmp_path):
    market, _ = collectors()
    save_checkpoint(market, tmp_path)
    with pytest.raises(CheckpointError, match=r"has 2 agents \(Collector, Collector\) in Python and the market has no"):
        load_checkpoint(tmp_path)


class Listener(Trader):
    """Holds what cannot be saved."""

    def __init__(self, model):
        super().__init__(model)
        self.graph = nx.path_graph(3)


class Told(Listener):
    """Says what there is to save of it."""

    def state(self):
        return {"edges": [list(edge) for edge in self.graph.edges]}

    def restore(self, state):
        self.graph = nx.from_edgelist(state["edges"])


def test_an_agent_that_cannot_be_saved_is_named_and_may_speak_for_itself(tmp_path):
    market = Market(scenario(), seed=3)
    Listener(market)
    with pytest.raises(CheckpointError, match=r"Listener.graph holds a Graph, .* name graph in Listener.CONSTANTS"):
        save_checkpoint(market, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    markets = [Market(scenario(), seed=3) for _ in range(2)]
    agents = [Told(market) for market in markets]
    agents[0].graph.add_edge(2, 9)
    save_checkpoint(markets[0], tmp_path)
    restore_checkpoint(markets[1], tmp_path)
    assert list(agents[1].graph.edges) == [(0, 1), (1, 2), (2, 9)]


COUNTS = np.dtype([("account", "u4"), ("blocks", "i8")], align=True)


def counting_market(size=2, known=True):
    market = Market(scenario(), seed=3)
    rows = np.zeros(size, COUNTS)
    rows["account"] = [market.world.open_agent_account("own") for _ in rows]
    members = [Member(market, rows, number) for number in range(size)]

    def count():
        rows["blocks"] += 1

    market.world.insert_phase("they count", count, **({"arrays": [rows]} if known else {}))
    return market, members


def test_rows_of_a_phase_of_the_users_own_are_saved_if_they_are_known(tmp_path):
    market, _ = counting_market()
    market.run_until(20.0)
    save_checkpoint(market, tmp_path)
    continued, members = counting_market()
    restore_checkpoint(continued, tmp_path)
    assert [member.blocks for member in members] == [10, 10]
    continued.run_until(30.0)
    assert [member.blocks for member in members] == [15, 15]
    with pytest.raises(CheckpointError, match=r"has 1 phase \(they count\) of the user's own and the market has no"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="with arrays of the same sizes"):
        restore_checkpoint(counting_market(size=3)[0], tmp_path)
    with pytest.raises(CheckpointError, match="'they count' does not say which arrays it changes"):
        save_checkpoint(counting_market(known=False)[0], tmp_path)


def test_events_of_the_users_own_and_the_middle_of_a_block_are_refused(tmp_path):
    class Saver(Trader):
        def act(self):
            save_checkpoint(self.model, tmp_path)

    market = Market(scenario(), seed=3)
    Saver(market)
    with pytest.raises(CheckpointError, match="a block is being made"):
        market.run_until(10.0)
    market = Market(scenario(), seed=3)
    event = market.schedule_event(market.check, at=7.0)
    with pytest.raises(CheckpointError, match=r"an event of the user's own is due at 7 s"):
        save_checkpoint(market, tmp_path)
    assert not event.CANCELED
    market.run_until(8.0)
    save_checkpoint(market, tmp_path)


class Watched(Market):
    """A market with a number of its own."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.looks = 0


def test_what_a_model_of_the_users_own_holds_is_saved_too(tmp_path):
    market = Watched(scenario(), seed=3)
    market.looks = 4
    save_checkpoint(market, tmp_path)
    continued = Watched(scenario(), seed=3)
    restore_checkpoint(continued, tmp_path)
    assert continued.looks == 4
    market.collector = mesa.DataCollector()
    with pytest.raises(CheckpointError, match=r"Watched\.collector holds a DataCollector"):
        save_checkpoint(market, tmp_path)


# Nothing is forgotten: what is not saved does not change.


def constants(thing, path="market"):
    """What the parts of a market name as constant, by path, as deep copies where that is possible."""
    for name in sorted(_declared(type(thing), "CONSTANTS") & set(vars(thing))):
        if not isinstance(thing, Market) or name == "notes":
            yield f"{path}.{name}", vars(thing)[name]
    for name, value in vars(thing).items():
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            part = isinstance(item, World) or name in ("chain", "records", "_trades", "_running_source", "base")
            if part or (name == "path" and isinstance(thing, Market)):
                yield from constants(item, f"{path}.{name}.{number}")


def snapshot(value):
    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, nx.Graph):
        return copy.deepcopy(dict(value.nodes(data=True))), copy.deepcopy(list(value.edges(data=True)))
    if hasattr(value, "model_dump"):
        return value.model_dump_json()
    return repr(value)


SAVED_ELSEWHERE = {"_pools", "_logs", "_venues"}  # the records look at arrays that the chain and the world save
REFERENCES = {"path", "model", "source", "_steps", "_parts", "_writer"}


@pytest.mark.parametrize(
    "name", ["first price", "a script", "two chains that make blocks at the same moment", "a file"]
)
def test_what_is_called_constant_is_constant(name, tmp_path):
    prices(tmp_path / "mine.csv", last=1_000)
    made_of, _, end_s = RUNS.get(name, (lambda: from_file(tmp_path / "mine.csv"), 0.0, 300.0))
    market = Market(made_of(), seed=3)
    found = {
        path: value for path, value in constants(market) if path.split(".")[-1] not in SAVED_ELSEWHERE | REFERENCES
    }
    before = {path: snapshot(value) for path, value in found.items()}
    assert len(before) >= 9
    market.run_until(end_s)
    after = dict(constants(market))
    assert all(after[path] is value for path, value in found.items())
    assert {path: snapshot(after[path]) for path in before} == before
    for world in market.worlds:
        assert (world.records._pools is world.chain.pools) is (world.records._logs is world.logs) is True
        assert world.records._venues is world.venues


def test_a_new_attribute_of_any_part_is_saved_or_refused(tmp_path):
    market, continued = market_until(10.0), Market(scenario(), seed=3)
    parts = [
        lambda market: market,
        lambda market: market.path,
        lambda market: market.path._running_source,
        lambda market: market.world,
        lambda market: market.world.chain,
        lambda market: market.world.chain.fee_rule,
        lambda market: market.world.records,
        lambda market: market.world.records._trades,
    ]
    for number, part in enumerate(parts):
        object.__setattr__(part(market), "added_next_week", np.arange(number))
    save_checkpoint(market, tmp_path)
    restore_checkpoint(continued, tmp_path)
    for number, part in enumerate(parts):
        assert part(continued).added_next_week.tolist() == list(range(number))
        object.__setattr__(part(market), "added_next_week", {1, 2})
        with pytest.raises(CheckpointError, match=r"\.added_next_week holds a set, which is not plain data"):
            save_checkpoint(market, tmp_path)
        object.__delattr__(part(market), "added_next_week")
