"""The study of settlement in miniature."""

import types
from dataclasses import replace

import pytest

from blockspace.experiments import studies
from blockspace.experiments.reports import report
from blockspace.experiments.scenario import change_settings
from blockspace.experiments.studies import settlement
from blockspace.experiments.sweeps import conduct
from blockspace.experiments.sweeps.conduct import run_study

pytestmark = pytest.mark.slow

SHORT = {
    "duration_s": 1_500.0,
    "warm_up_s": 300.0,
    "price.script": [[900.0, 1.0], [1_100.0, 0.85]],
    "leveraged_traders.openings_per_h": 30.0,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    def sweep(quick, seeds):
        whole = settlement.sweep(quick, seeds)
        return replace(whole, scenario=change_settings(whole.scenario, SHORT))

    miniature = types.SimpleNamespace(**{**vars(settlement), "sweep": sweep})
    with pytest.MonkeyPatch.context() as patch:
        for module in (studies, conduct, report):
            patch.setattr(module, "STUDIES", {"settlement": miniature})
        folder = tmp_path_factory.mktemp("settlement")
        return run_study("settlement", quick=True, seeds=2, jobs=1, out=folder, quiet=True)


def test_every_point_ran_and_settlement_at_once_is_measured_too(results):
    runs = results.runs
    assert runs["error"].isna().all()
    at_once = runs["point"].str.contains("at once")
    assert 0 < at_once.sum() < len(runs)
    assert (runs.loc[at_once, "margin_per_exposure_percent"] == 5.0).all()
    assert (runs.loc[~at_once, "margin_per_exposure_percent"] > 5.0).all()
    assert (runs.loc[at_once, "gas_per_trade"] == 120_000).all()
    assert (runs["total_cost_bps"] >= runs["cost_bps"]).all()
    assert (runs["total_shortfall_usd"] >= runs["shortfall_usd"]).all()
    assert runs["liquidations"].sum() > 0


def test_longer_intervals_net_more_and_tie_up_more(results):
    for capacity in settlement.CAPACITIES:
        short, long = (f"{capacity} space, settled by the clock every {wait:g} s" for wait in (10.0, 300.0))
        for measure in ("netting_percent", "margin_per_exposure_percent", "settlement_delay_median_s"):
            means = results.curve(measure)["mean"]
            assert means[long] > means[short], measure


def test_findings_and_the_figure_come_from_the_results(results):
    said = settlement.findings(results)
    assert len(said) == 8
    assert not any("nan" in sentence for sentence in said)
    assert sum("an order costs least" in sentence for sentence in said) == 4
    figure = settlement.figure(results)
    assert len([axis for axis in figure.axes if axis.get_title("left")]) == 15
    assert (results.folder / "settlement.png").stat().st_size > 50_000
