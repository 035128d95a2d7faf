"""What a checkpoint writes: what is past once, and all or nothing."""

import os

import pytest

from blockspace.experiments import state_files
from blockspace.experiments.checkpoint import load_checkpoint, save_checkpoint
from tests.experiments.checkpoints.runs import fast, market_until


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


def test_of_another_run_in_the_same_folder_nothing_stays(saved):
    (saved / "prices-2024.csv").write_text("mine")
    assert len(list(saved.glob("rows*"))) > 0
    other = market_until(10.0)
    save_checkpoint(other, saved)
    assert sorted(listing(saved)) == ["prices-2024.csv", "state"]
    assert load_checkpoint(saved).fingerprint() == other.fingerprint()


@pytest.mark.parametrize("writes", range(4))
def test_killed_while_it_is_saved_the_last_checkpoint_stays(writes, saved, monkeypatch):
    market = load_checkpoint(saved)
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
        save_checkpoint(market, saved)
        last_s = 60.0
    except KeyboardInterrupt:
        last_s = 30.0
    assert (last_s == 60.0) == (writes == 3)  # rows of blocks, rows of the market, and the state
    assert load_checkpoint(saved).time == last_s
    monkeypatch.undo()
    save_checkpoint(market, saved)
    assert load_checkpoint(saved).blocks().equals(market.blocks())


def test_nothing_is_ever_unpickled(saved, monkeypatch):
    import pickle

    def refuse(*arguments, **options):
        raise AssertionError("a pickle")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load_checkpoint(saved)
