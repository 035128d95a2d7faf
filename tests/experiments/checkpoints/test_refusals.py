"""What cannot be continued is refused in a sentence."""

import pytest

from blockspace.experiments import checkpoint, state_files
from blockspace.experiments.checkpoint import CheckpointError, load_checkpoint, restore_checkpoint, save_checkpoint
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import load_scenario
from tests.experiments.checkpoints.runs import from_file, market_until, prices
from tests.experiments.test_market import on_one_clock, scenario


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert not text.endswith(".")
    return text


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("what", ["state", "rows"])
def test_a_file_cut_short_is_refused(kept, what, saved):
    file = next(saved.glob(f"{what}*"))
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match="is damaged or cut short") as error:
        load_checkpoint(saved)
    assert str(file) in one_sentence(error)


def test_a_changed_byte_and_a_missing_file_are_refused(saved):
    file = next(saved.glob("rows*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(saved)
    file.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(saved)
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        load_checkpoint(saved / "nowhere")


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


def test_other_prices_under_the_same_name_are_refused(tmp_path):
    file = tmp_path / "mine.csv"
    prices(file)
    market = market_until(100.0, from_file(file))
    prices(file, last=410)  # somebody adds a row while the run goes on, before its first checkpoint
    save_checkpoint(market, tmp_path / "there")
    with pytest.raises(CheckpointError, match="does not hold the prices that the checkpoint was made with") as error:
        load_checkpoint(tmp_path / "there")
    one_sentence(error)
