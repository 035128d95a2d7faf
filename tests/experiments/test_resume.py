"""`blockspace run --out`: what is stopped is kept from its first checkpoint on, and continues to the same results."""

import json
import subprocess
import sys
import time

import pandas as pd
import pytest
import tqdm
from typer.testing import CliRunner

from blockspace.experiments.checkpoint import has_checkpoint, outline_of
from blockspace.experiments.command_line import app
from blockspace.experiments.commands import run
from blockspace.experiments.market import Market
from tests.experiments.checkpoints.runs import prices

BUSY = ["base", "--duration", "1500", "--set", "warm_up_s=100", "--seed", "3"]
COMMAND = [sys.executable, "-c", "from blockspace.experiments.command_line import main; main()", "run"]


def invoke(*arguments):
    return CliRunner().invoke(app, ["run", *(str(argument) for argument in arguments)])


def hidden(out):
    return out.parent / f".{out.name}-unfinished"


def require_same_results(one, other):
    """Byte for byte, but for the command in the manifest."""
    assert sorted(file.name for file in one.iterdir()) == sorted(file.name for file in other.iterdir())
    for file in one.iterdir():
        if file.name == "manifest.json":
            there, here = (json.loads((out / file.name).read_text()) for out in (one, other))
            assert {**there, "command": ""} == {**here, "command": ""}
        else:
            assert file.read_bytes() == (other / file.name).read_bytes(), file.name


@pytest.fixture(autouse=True)
def _few_slices(monkeypatch):
    """Forty slices, and as many checkpoints where there is one after each."""
    monkeypatch.setattr(run, "SLICES", 40)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert invoke(*BUSY, "--out", out, "--checkpoint", 0).exit_code == 0
    return out


def stop_after(monkeypatch, slices, error=KeyboardInterrupt):
    """Let a run be stopped after so many of its slices."""
    run_until = Market.run_until
    left = [slices]

    def stop(market, until):
        left[0] -= 1
        if left[0] < 0:
            raise error
        run_until(market, until)

    monkeypatch.setattr(Market, "run_until", stop)


def interrupted(out, monkeypatch, *arguments, slices=15, every_s=1e-9):
    with monkeypatch.context() as patch:
        stop_after(patch, slices)
        return invoke(*(arguments or BUSY), "--out", out, "--checkpoint", every_s)


def test_an_interrupted_run_is_kept_and_continued(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "new" / "out"
    result = interrupted(out, monkeypatch)
    assert result.exit_code == 130
    assert result.stderr == (
        "blockspace: interrupted; the run is kept up to its last checkpoint: "
        f"blockspace run --out {out} --resume continues it\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [".new-out-unfinished"]
    assert outline_of(tmp_path / ".new-out-unfinished" / "checkpoint").time_s == pytest.approx(1_500 * 15 / 40)
    result = invoke("--out", out, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((out / "summary.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    require_same_results(undisturbed, out)


def test_a_run_that_is_stopped_again_and_again_comes_to_its_end(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    assert interrupted(out, monkeypatch, slices=4).exit_code == 130
    for _ in range(3):
        assert interrupted(out, monkeypatch, "--resume", slices=7).exit_code == 130
    # What is written after the last checkpoint is written anew.
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        assert invoke("--out", out, "--resume", "--checkpoint", 0).exit_code == 130
    assert invoke("--out", out, "--resume").exit_code == 0
    require_same_results(undisturbed, out)


def test_a_killed_run_is_continued(tmp_path, undisturbed):
    out = tmp_path / "out"
    process = subprocess.Popen([*COMMAND, *BUSY, "--out", str(out), "--checkpoint", "0.02"], stdout=subprocess.DEVNULL)
    state = hidden(out) / "checkpoint" / "state"
    deadline = time.monotonic() + 60
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    held = invoke("--out", out, "--resume")
    process.kill()
    process.wait()
    assert held.exit_code == 2
    assert "is being made by another process" in held.stderr
    assert 0 < outline_of(state.parent).time_s < 1_500
    asked = invoke(*BUSY, "--out", out)
    assert asked.exit_code == 2
    assert asked.stderr == (
        f"blockspace: there is an unfinished run of {out}: --resume continues it, --fresh starts over\n"
    )
    assert invoke("--out", out, "--resume").exit_code == 0
    require_same_results(undisturbed, out)


def test_killed_while_the_results_are_written_it_is_continued(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:

        def fail(market, summary, folder):
            (folder / ".blocks.parquet.half").write_text("half")
            raise OSError(28, "No space left on device", "blocks.parquet")

        patch.setattr(run, "_write", fail)
        result = invoke(*BUSY, "--out", out, "--checkpoint", 1e-9)
    assert result.exit_code == 2
    assert "the run is kept up to its last checkpoint" in result.stderr
    names = {file.name for file in (hidden(out) / "results").iterdir()}
    assert names == {"trades.parquet", "transactions.parquet", ".blocks.parquet.half"}
    assert invoke("--out", out, "--resume").exit_code == 0
    require_same_results(undisturbed, out)


def test_results_whose_place_was_taken_meanwhile_are_not_lost(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    write = run._write

    def take_the_place(market, summary, folder):
        write(market, summary, folder)
        out.mkdir()
        (out / "mine").touch()

    monkeypatch.setattr(run, "_write", take_the_place)
    result = invoke(*BUSY, "--out", out)
    assert result.exit_code == 2
    assert f"the results are in {hidden(out) / 'results'}; they cannot be moved to {out}" in result.stderr
    require_same_results(undisturbed, hidden(out) / "results")


def test_fresh_starts_over(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    interrupted(out, monkeypatch, "arbitrum-one", slices=2)
    assert invoke(*BUSY, "--out", out, "--fresh").exit_code == 0
    require_same_results(undisturbed, out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_run_may_be_made_longer_when_it_is_continued(tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    interrupted(out, monkeypatch, *BUSY, "--duration", 600)
    assert invoke("--out", out, "--resume", "--duration", 1_500).exit_code == 0
    require_same_results(undisturbed, out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", 4], "the checkpoint is of another run: seed is 3 there and 4 here"),
        (["--set", "chain.gas_limit=5e7"], "chain.gas_limit is 400000000 there and 50000000 here"),
        (["base", "--set", "warm_up_s=100"], "another run: duration_s is 1500.0 there and 7200.0 here"),
        (["--duration", "150"], "another run: duration_s is 1500.0 there and 150.0 here"),
        (["--fresh"], "it may be one of them"),
    ],
)
def test_resume_refuses_what_does_not_agree(arguments, sentence, tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupted(out, monkeypatch, slices=6)
    result = invoke(*arguments, "--out", out, "--resume")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert has_checkpoint(hidden(out) / "checkpoint")
    again = invoke(*BUSY, "--out", out, "--resume", "--json")
    assert again.exit_code == 0, again.output


def test_there_must_be_something_to_resume(tmp_path):
    out = tmp_path / "out"
    assert f"there is no unfinished run of {out} to resume" in invoke("--out", out, "--resume").stderr
    hidden(out).mkdir()
    assert "stopped before its first checkpoint" in invoke("--out", out, "--resume").stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert "it must be a new or an empty folder" in invoke("--out", out, "--resume").stderr
    for option in (["--resume"], ["--fresh"], ["--checkpoint", 5]):
        result = invoke(*BUSY, *option)
        assert result.exit_code == 2
        assert f"{option[0]} needs --out" in result.stderr


def test_what_a_finished_run_could_not_tidy_up_is_not_taken_for_unfinished(tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupted(out, monkeypatch, "arbitrum-one", "--duration", 20, "--set", "warm_up_s=5")
    (hidden(out) / "results").rename(out)
    (out / "mine").touch()
    assert "is there already" in invoke("--out", out, "--resume").stderr
    assert list(tmp_path.iterdir()) == [out]


def test_a_run_without_checkpoints_leaves_nothing(tmp_path, monkeypatch):
    result = interrupted(tmp_path / "out", monkeypatch, every_s=0)
    assert result.stderr == "blockspace: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_trades_leaves_empty_tapes_with_their_types(tmp_path, undisturbed):
    out = tmp_path / "out"
    nobody = [f"{kind}.count=0" for kind in ("noise_traders", "informed_traders", "market_makers", "arbitrageurs")]
    quiet = [word for setting in (*nobody, "background_users.arrivals_per_s=0") for word in ("--set", setting)]
    assert invoke(*BUSY, *quiet, "--out", out).exit_code == 0
    for name in ("trades.parquet", "transactions.parquet"):
        empty, full = pd.read_parquet(out / name), pd.read_parquet(undisturbed / name)
        assert len(empty) == 0
        assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_the_progress_bar_starts_where_the_run_continues(tmp_path, monkeypatch):
    out = tmp_path / "out"
    interrupted(out, monkeypatch, slices=20)
    asked = {}

    class Bar(tqdm.tqdm):
        def __init__(self, **options):
            asked.update(options)
            super().__init__(**options)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    assert invoke("--out", out, "--resume").exit_code == 0
    assert (asked["initial"], asked["total"]) == (750.0, 1_500.0)


def test_changed_settings_of_a_scenario_with_a_price_file_are_those_of_the_checkpoint(tmp_path, monkeypatch):
    file, out = tmp_path / "mine.csv", tmp_path / "out"
    prices(file, last=2_000)
    given = [*BUSY, "--set", "price.source=file", "--set", f"price.file={file}"]
    assert invoke(*given, "--out", tmp_path / "whole").exit_code == 0
    assert interrupted(out, monkeypatch, *given).exit_code == 130
    assert invoke(*given, "--out", out, "--resume").exit_code == 0
    require_same_results(tmp_path / "whole", out)
    assert interrupted(tmp_path / "again", monkeypatch, *given).exit_code == 130
    prices(file, last=2_010)
    result = invoke(*given, "--out", tmp_path / "again", "--resume")
    assert "the checkpoint is of another run: price.file is 'prices-" in result.stderr
    file.unlink()
    assert invoke("--out", tmp_path / "again", "--resume").exit_code == 0
    require_same_results(tmp_path / "whole", tmp_path / "again")
