"""Checkpoints: a run that was stopped and continued is the run that never stopped, whatever it is made of."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest

from blockspace.experiments.checkpoint import load_checkpoint, restore_checkpoint, save_checkpoint
from blockspace.experiments.market import Market
from blockspace.experiments.recording import records
from blockspace.experiments.recording.records import CHUNK
from tests.experiments.checkpoints.runs import RUNS, fast, from_file, market_until, prices
from tests.experiments.checkpoints.sameness import require_same
from tests.experiments.test_market import on_one_clock, scenario


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


def test_a_run_may_go_on_for_longer_than_was_asked(tmp_path):
    short, long = scenario(duration_s=60.0), scenario(duration_s=90.0)
    save_checkpoint(market_until(60.0, short), tmp_path)
    continued = Market(long, seed=3)
    restore_checkpoint(continued, tmp_path)
    continued.run_until(90.0)
    require_same(market_until(90.0, long), continued)
