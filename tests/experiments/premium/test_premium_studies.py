"""The three studies of hedging, whole and small, and how a study measures what takes more than a summary."""

import types
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from blockspace.experiments import studies
from blockspace.experiments.reports import report
from blockspace.experiments.results import load_results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies import STUDIES, hedging
from blockspace.experiments.sweeps import conduct as conduct_module
from blockspace.experiments.sweeps.conduct import run_study
from blockspace.experiments.sweeps.points import Point, Sweep
from blockspace.experiments.sweeps.runner import run_sweep

NAMES = ["option_premium", "hedging", "fee_volatility"]


@pytest.fixture(scope="module", params=NAMES)
def finished(request, tmp_path_factory):
    """A quick study with two seeds, without the warm-up, and as short as its options allow."""
    name = request.param
    real = STUDIES[name]

    def sweep(quick, seeds):
        whole = real.sweep(quick, seeds)
        longest = max(seconds for _, seconds in whole.measurement.maturities_s)
        return replace(
            whole,
            scenario=whole.scenario.model_copy(update={"duration_s": longest + 900.0, "warm_up_s": 300.0}),
            points=tuple(point for point in whole.points if "Pareto 1.2" not in point.name),
        )

    miniature = types.SimpleNamespace(**{**vars(real), "sweep": sweep})
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        for module in (studies, conduct_module, report):
            patch.setattr(module, "STUDIES", {**STUDIES, name: miniature})
        run_study(name, quick=True, seeds=2, jobs=1, out=folder, quiet=True)
    return name, folder


def test_a_study_ends_in_figure_findings_and_completed_measures(finished):
    name, folder = finished
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    text = (folder / "findings.md").read_text()
    assert text.count("\n- ") >= 4
    assert "nan" not in text
    results = load_results(folder)
    assert results.runs["error"].isna().all()
    assert not [measure for measure in results.measures if measure.startswith("options.")]
    assert set(STUDIES[name].TABLE) <= {*results.measures, *results.swept}
    kept = pd.read_parquet(folder / "index.parquet")
    assert [column for column in kept.columns if column.startswith("options.")]


@pytest.mark.parametrize("finished", ["option_premium"], indirect=True)
def test_quotes_stand_beside_the_premium(finished):
    """Makers are told no premium; where space is dear, what they trade costs them more gas than where it is cheap."""
    _, folder = finished
    results = load_results(folder)
    assert (results.curve("quoted.short.half_spread_pct")["mean"] > 0.0).all()
    gas = results.curve("quoted.gas_usd_per_unit")["mean"]
    assert gas[results.points[0]] > 2.0 * gas[results.points[-1]] > 0.0
    assert "Makers who quote on the same chain" in (folder / "findings.md").read_text()


def test_dear_space_makes_dear_options(finished):
    name, folder = finished
    results = load_results(folder)
    premium = {"option_premium": "long.atm.band.premium_usd", "hedging": "option.atm.formula.premium_usd"}
    measure = premium.get(name, f"{STUDIES['fee_volatility'].HEDGER}.gas_usd")
    first, last = results.points[0], results.points[2]
    means = results.curve(measure)["mean"]
    assert means[first] > 1.5 * means[last]


@pytest.mark.parametrize("finished", ["hedging"], indirect=True)
def test_intervals_become_points(finished):
    _, folder = finished
    results = load_results(folder)
    melted = hedging.by_interval(results)
    assert melted.is_complete
    assert len(melted.points) == len(results.points) * len(hedging.book(True).clocks_s)
    reference = results.study["reference"]
    gas = [melted.curve("gas_usd")["mean"][f"{reference}, {minutes} min"] for minutes in (1, 2, 4, 8)]
    assert gas == sorted(gas, reverse=True)
    growth = melted.curve("deviation_growth_late_100")["mean"]
    assert growth[f"{reference}, 1 min"] > growth[f"{reference}, 64 min"] > 0.5


# What a sweep measures besides.


@dataclass(frozen=True)
class Blocks:
    """Number of blocks, times a factor."""

    factor: float

    def __call__(self, market):
        return {"blocks_scaled": self.factor * len(market.blocks())}


@dataclass(frozen=True)
class Broken:
    """Fails with one of the seeds."""

    def __call__(self, market):
        if market.seed == 4:
            raise RuntimeError("nothing to measure")
        return {"fine": 1.0}


def measured(sweep, folder, **options):
    about = {"kind": "sweep", "name": "small", "question": "Does it work?"}
    return run_sweep(sweep, folder, jobs=1, about=about, quiet=True, **options)


def one_point(measurement=None):
    scenario = load_scenario("ethereum-30m", {"duration_s": 300, "warm_up_s": 60})
    return Sweep(scenario, (Point("p", {"x": 1.0}, {}),), (3, 4), "p", measurement)


def test_a_sweep_keeps_what_it_measures_besides_the_summary(tmp_path):
    runs = measured(one_point(Blocks(2.0)), tmp_path)
    assert runs["blocks_scaled"].notna().all()
    plain = measured(one_point(), tmp_path / "plain")
    assert runs["fingerprint"].tolist() == plain["fingerprint"].tolist()
    assert set(runs.columns) - set(plain.columns) == {"blocks_scaled"}
    again = measured(one_point(Blocks(3.0)), tmp_path, fresh=False)  # another measurement: made again
    assert again["blocks_scaled"].tolist() == (1.5 * runs["blocks_scaled"]).tolist()


def test_a_measurement_that_fails_fails_its_run_alone(tmp_path):
    runs = measured(one_point(Broken()), tmp_path)
    assert runs["error"].isna().tolist() == [seed != 4 for seed in runs["seed"]]
    assert "nothing to measure" in runs["error"].dropna().iloc[0]


def test_results_of_other_sweeps_are_not_completed(tmp_path):
    measured(one_point(Blocks(1.0)), tmp_path)
    assert "blocks_scaled" in load_results(tmp_path).measures
