"""Studies: registry, sweeps, figures, findings, and a whole study in miniature."""

import hashlib
import json
import math
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from blockspace.experiments import studies
from blockspace.experiments.reports import report
from blockspace.experiments.reports.figures import save_figure
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results, load_results
from blockspace.experiments.results.folder import changed_files
from blockspace.experiments.scenario import change_settings, load_scenario
from blockspace.experiments.studies import STUDIES, capacity
from blockspace.experiments.sweeps import conduct as conduct_module
from blockspace.experiments.sweeps.conduct import run_study


def results_of(values, tmp_path):
    """Results of three seeds, from the values of one measure at points 1, 2, …; seeds differ by a constant."""
    rows = [
        {"point": f"p{number}", "x": float(number), "seed": seed, "fingerprint": "", "error": None, "m": value + seed}
        for number, value in enumerate(values, start=1)
        for seed in (1, 2, 3)
    ]
    # What is left when seeds are paired must not be nothing.
    generator = np.random.default_rng(1)
    runs = pd.DataFrame(rows)
    runs["m"] += generator.normal(0, 0.01, len(runs))
    points = [{"name": f"p{k}", "values": {"x": float(k)}} for k in range(1, len(values) + 1)]
    study = {"points": points, "seeds": [1, 2, 3], "reference": "p1"}
    return Results(tmp_path, study, load_scenario("ethereum-30m"), runs)


# Findings.


def test_a_fall_that_saturates(tmp_path):
    fall = change(results_of([9.0, 5.0, 1.1, 1.0, 1.05], tmp_path), "m", "The spread", "bp")
    assert fall.settled_from == "p3"
    assert fall.turn is None
    assert str(fall).startswith("The spread falls from 11 bp at p1 to 3.0")
    assert str(fall).endswith("nine tenths of that is done by p3.")
    assert weigh("it falls", False, fall).startswith("That it falls holds. ")
    assert weigh("it rises", True, fall).startswith("That it rises fails. ")


def test_no_change_is_not_called_one(tmp_path):
    flat = change(results_of([1.0, 1.0, 1.0], tmp_path), "m", "The spread", "bp")
    assert "does not clearly change" in str(flat)
    assert weigh("it falls", False, flat).startswith("That it falls is not shown. ")


def test_a_small_change_is_called_small_however_clear(tmp_path):
    small = change(results_of([100.0, 99.0, 98.0], tmp_path), "m", "The delay", "s")
    assert small.apart.is_clear
    assert "hardly changes" in str(small)
    assert weigh("it falls", False, small).startswith("That it falls hardly holds. ")


def test_a_turn_on_the_way_is_told(tmp_path):
    hump = change(results_of([3.0, 9.0, 2.0, 1.0], tmp_path), "m", "Volatility")
    assert hump.turn == "p2"
    assert "by way of 11 at p2" in str(hump)
    assert weigh("it falls", False, hump).startswith("That it falls holds from end to end, but not all the way. ")


def test_a_steady_climb_has_not_settled(tmp_path):
    assert str(change(results_of([1, 2, 3, 4, 5], tmp_path), "m", "Depth")).endswith("without settling by then.")


def test_only_where_it_could_be_measured(tmp_path):
    results = results_of([math.nan, 2.0, 1.0], tmp_path)
    assert change(results, "m", "It").points == ["p2", "p3"]
    assert change(results, "m", "It", points=["p1", "p3"]).points == ["p3"]
    single = change(results, "m", "It", points=["p3"])
    assert "cannot be compared" in str(single)
    assert weigh("it falls", False, single).startswith("That it falls is not shown. ")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1,234"), (-0.01234, "−0.0123"), (1.5e-7, "1.5e-07"), (math.nan, "–"), (-1e-15, "0")],
)
def test_numbers_for_people(value, text):
    assert format_number(value) == text


# Registry and sweeps.


def test_registry_loads_studies_by_name():
    assert {"capacity", "block_time"} <= set(STUDIES)
    assert STUDIES["capacity"] is capacity
    with pytest.raises(KeyError):
        STUDIES["__init__"]


def test_unknown_study_is_one_sentence_with_the_nearest_name(tmp_path):
    with pytest.raises(ValueError, match=r"there is no study 'capacty' \(did you mean 'capacity'\?\); there are"):
        run_study("capacty", out=tmp_path)


@pytest.mark.parametrize("name", list(STUDIES))
@pytest.mark.parametrize("quick", [True, False])
def test_every_point_of_every_study_can_be_run(name, quick):
    sweep = STUDIES[name].sweep(quick, (1,))
    scenarios = {change_settings(sweep.scenario, point.overrides) for point in sweep.points}
    assert len(scenarios) == len(sweep.points)
    assert next(iter(STUDIES[name].TABLE)) == STUDIES[name].X


@pytest.mark.parametrize("quick", [True, False])
def test_capacity_spans_three_decades_around_demand(quick):
    sweep = capacity.sweep(quick, (1,))
    swept = np.array([point.values[capacity.X] for point in sweep.points])
    demand = capacity.demand_mgas_per_s(sweep.scenario)
    assert len(swept) >= (7 if quick else 9)
    assert swept.max() / swept.min() >= 1_000
    assert swept.min() < demand / 10
    assert swept.max() > demand * 10
    ratios = swept[1:] / swept[:-1]
    assert ratios == pytest.approx(ratios[0], rel=1e-3)


def test_block_time_holds_gas_per_second():
    sweep = STUDIES["block_time"].sweep(False, (1,))
    for point in sweep.points:
        gas_limit, block_time = point.overrides["chain.gas_limit"], point.overrides["chain.block_time_s"]
        assert gas_limit / block_time == pytest.approx(60e6)


# A whole study.


@pytest.fixture(scope="module", params=["capacity", "block_time"])
def finished(request, tmp_path_factory):
    """A study in miniature: the real one with its first and last point, two seeds and ten minutes."""
    name = request.param
    real = STUDIES[name]

    def sweep(quick, seeds):
        whole = real.sweep(quick, seeds)
        scenario = whole.scenario.model_copy(update={"duration_s": 600.0, "warm_up_s": 200.0})
        ends = (whole.points[0], whole.points[-1])
        return replace(whole, scenario=scenario, points=ends, reference=ends[0].name)

    miniature = types.SimpleNamespace(**{**vars(real), "sweep": sweep})
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        for module in (studies, conduct_module, report):
            patch.setattr(module, "STUDIES", {name: miniature})
        assert run_study(name, quick=True, seeds=2, jobs=1, out=folder, quiet=True).folder == folder
    return name, folder


def test_folder_has_all_its_files_and_the_manifest_is_right(finished):
    name, folder = finished
    manifest = json.loads((folder / "manifest.json").read_text())
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert present - set(manifest["sha256"]) == {"manifest.json", "report.html", "log.txt", ".lock"}
    assert {f"{name}.png", f"{name}.svg", "findings.md", "index.parquet", "table.csv"} <= present
    for file, digest in manifest["sha256"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert changed_files(folder) == []


def test_figures_are_drawn(finished):
    name, folder = finished
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / f"{name}.svg").read_text()) > 50_000


def test_findings_are_written_without_gaps(finished):
    _, folder = finished
    text = (folder / "findings.md").read_text()
    assert text.count("\n- ") >= 5
    assert "nan" not in text


def test_figure_says_what_it_shows_and_is_the_same_each_time(finished, tmp_path):
    name, folder = finished
    figure = STUDIES[name].figure(load_results(folder))
    assert figure.get_suptitle() == STUDIES[name].QUESTION
    for axis in figure.axes:
        assert axis.get_title("left")
        assert axis.get_ylabel()
        assert axis.get_xscale() == "log"
    for path in save_figure(figure, tmp_path, name):
        assert path.read_bytes() == (folder / path.name).read_bytes()
