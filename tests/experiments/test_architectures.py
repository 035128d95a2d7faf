"""The same market on every architecture: what is counted there, and the study in miniature."""

import types
from dataclasses import replace

import pytest

from blockspace.experiments import Market, studies
from blockspace.experiments.reports import report
from blockspace.experiments.scenario import change_settings
from blockspace.experiments.studies import architectures, stress
from blockspace.experiments.sweeps import conduct
from blockspace.experiments.sweeps.conduct import run_study

SECONDS = 120.0


def market_on(name, seconds=SECONDS):
    scenario = architectures.sweep(True, (1,)).scenario
    settings = {**architectures.ARCHITECTURES[name], "duration_s": seconds, "warm_up_s": seconds / 3.0}
    market = Market(change_settings(scenario, settings), seed=1, tapes="none")
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def summaries():
    names = ("main chain", "blocks six times as fast", "application chain", "accelerated sequencer")
    return {name: market_on(name).summary() for name in names}


def test_finality_follows_from_the_votes_of_each_chain(summaries):
    final = {name: found["final_after_s"] for name, found in summaries.items()}
    # The second checkpoint of 32 blocks: one and a half times as far away as checkpoints are apart, on average.
    assert final["main chain"] == pytest.approx(1.5 * 32 * 12.0, rel=0.4)
    assert final["blocks six times as fast"] == pytest.approx(1.5 * 32 * 2.0, rel=0.25)
    assert final["application chain"] == pytest.approx(0.07, abs=0.3)
    assert final["accelerated sequencer"] < 0.01


def test_parties_are_those_of_the_topology(summaries):
    assert summaries["accelerated sequencer"]["parties_to_undo"] == 1
    assert 1 < summaries["application chain"]["parties_to_halt"] < summaries["main chain"]["parties_to_halt"]
    for found in summaries.values():
        assert found["parties_to_halt"] <= found["parties_to_censor"] <= found["parties_to_undo"]


def test_a_rollup_rests_on_its_parent_and_on_who_checks():
    optimistic, validity = (market_on(name, 60.0).summary() for name in ("optimistic rollup", "validity rollup"))
    assert optimistic["parties_to_undo"] == 2
    assert validity["parties_to_undo"] == validity["ethereum.parties_to_undo"] > 100
    assert optimistic["parties_to_halt"] == validity["parties_to_halt"] == 1


def test_a_stop_of_the_sequencer_in_a_crash_costs_and_every_ledger_is_exact():
    scenario = stress.sweep(True, (1,)).scenario
    crash = {"price.script": [[300.0, 1.0], [600.0, 0.8]], "duration_s": 1_000.0, "warm_up_s": 100.0}
    broken = [[{**fault, "start_s": 320.0, "duration_s": 300.0}] for fault in stress.OF_ROLLUPS.values()]
    shortfalls, undone = [], []
    for fault in ([], *broken):
        settings = {**architectures.ARCHITECTURES["validity rollup"], **crash, "faults": fault}
        settings["leveraged_traders.openings_per_h"] = 30.0
        market = Market(change_settings(scenario, settings), seed=1, tapes="none")
        market.run_for(1_000.0)
        market.check()
        found = market.summary()
        assert found["liquidations"] > 0
        shortfalls.append(found["shortfall_usd"])
        undone.append(found.get("undone_value_usd", 0.0))
    assert min(shortfalls[1:]) > shortfalls[0]
    assert undone[2] > undone[1] == undone[0] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("study", [architectures, stress], ids=["architectures", "stress"])
def test_the_study_in_miniature(study, tmp_path, monkeypatch):
    def sweep(quick, seeds):
        whole = study.sweep(quick, seeds)
        scenario = whole.scenario.model_copy(update={"duration_s": 900.0, "warm_up_s": 300.0})
        return replace(whole, scenario=scenario)

    name = study.__name__.rpartition(".")[2]
    miniature = types.SimpleNamespace(**{**vars(study), "sweep": sweep})
    for module in (studies, conduct, report):
        monkeypatch.setattr(module, "STUDIES", {name: miniature})
    run_study(name, quick=True, seeds=2, jobs=1, out=tmp_path, quiet=True)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "findings.md").read_text()
    assert text.count("\n- ") >= 3
