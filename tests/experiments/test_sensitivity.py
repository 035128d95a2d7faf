"""Global sensitivity: indices of functions with known answers, and a real analysis in miniature."""

import math

import numpy as np
import pandas as pd
import pytest

from blockspace.experiments.results import Results
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.conduct import conduct
from blockspace.experiments.sweeps.points import Range
from blockspace.experiments.sweeps.sensitivity import describe, indices, present_sensitivity, sensitivity_sweep

SCENARIO = load_scenario("ethereum-30m", {"duration_s": 600, "warm_up_s": 60})
RANGES = {
    "price.volatility_per_day": Range(0.01, 0.10),
    "noise_traders.value_bps": Range(5.0, 500.0, log=True),
    "noise_traders.orders_per_s": Range(0.1, 1.0),
}


def results_of(function, method, count, tmp_path):
    """Results whose only measure is a function of the shares of the way through the three ranges."""
    sweep = sensitivity_sweep(SCENARIO, RANGES, count, method, (1,))
    rows = []
    for point in sweep.points:
        shares = [reach.share_of(point.values[path]) for path, reach in RANGES.items()]
        labels = {"point": point.name, **point.values, "seed": 1, "error": None}
        rows.append({**labels, "base_fee_gwei": function(*shares)})
    study = {**describe(RANGES, count, method), **sweep.describe()}
    return Results(tmp_path, study, SCENARIO, pd.DataFrame(rows))


def ishigami(a, b, c):
    """Ishigami and Homma (1990), over -π to π."""
    x, y, z = (math.pi * (2 * share - 1) for share in (a, b, c))
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


def test_sobol_indices_of_the_ishigami_function(tmp_path):
    found = indices(results_of(ishigami, "sobol", 2048, tmp_path), "base_fee_gwei")
    # Known in closed form (Saltelli et al., 2008).
    assert found["S1"].to_numpy() == pytest.approx([0.3139, 0.4424, 0.0], abs=0.03)
    assert found["ST"].to_numpy() == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.03)
    assert (found["ST_half_width"] < 0.1).all()


def test_morris_effects_of_a_linear_function(tmp_path):
    found = indices(results_of(lambda a, b, c: 5 * a - 2 * b, "morris", 20, tmp_path), "base_fee_gwei")
    # Of a linear function every step of one setting has the same effect.
    assert found["mu_star"].to_numpy() == pytest.approx([5.0, 2.0, 0.0], abs=1e-9)
    assert found["sigma"].to_numpy() == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_morris_sees_interactions_as_spread_of_effects(tmp_path):
    found = indices(results_of(lambda a, b, c: a * b, "morris", 50, tmp_path), "base_fee_gwei")
    assert (found["sigma"][:2] > 0.1).all()
    assert found["mu_star"].iloc[2] == 0.0


def test_presentation_names_what_moves_most(tmp_path):
    presentation = present_sensitivity(results_of(ishigami, "sobol", 256, tmp_path))
    assert presentation.rows[0][0] == "price.volatility_per_day, first order"
    assert "Base fee is moved most by" in presentation.findings[0] or "may be moved" in presentation.findings[0]
    assert set(presentation.data["sensitivity"]["measure"]) == {"base_fee_gwei"}
    assert list(presentation.figures) == ["sensitivity"]


def test_a_measure_that_is_missing_or_constant_has_no_indices(tmp_path):
    results = results_of(lambda a, b, c: 1.0, "sobol", 4, tmp_path)
    assert indices(results, "base_fee_gwei") is None
    assert "Left out" in present_sensitivity(results).findings[-1]
    gaps = results_of(lambda a, b, c: math.nan if a > 0.9 else a, "sobol", 16, tmp_path)
    assert indices(gaps, "base_fee_gwei") is None


@pytest.mark.parametrize(
    ("ranges", "count", "method", "sentence"),
    [
        (RANGES, 100, "sobol", "points is 100; with sobol it must be a power of two, at least 2"),
        (RANGES, 1, "morris", "points is 1; with morris it must be at least 2"),
        (RANGES, 4, "morriss", r"method is 'morriss' \(did you mean 'morris'\?\)"),
        ({"chain.gas_limit": Range(1e6, 2e6)}, 4, "sobol", "there are 1 settings to vary"),
    ],
)
def test_what_is_no_analysis_is_refused(ranges, count, method, sentence):
    with pytest.raises(ValueError, match=sentence):
        sensitivity_sweep(SCENARIO, ranges, count, method, (1,))


@pytest.mark.parametrize(("method", "count", "points"), [("sobol", 2, 10), ("morris", 3, 12)])
def test_a_real_analysis_from_end_to_end(method, count, points, tmp_path):
    sweep = sensitivity_sweep(SCENARIO, RANGES, count, method, (1,))
    results = conduct(sweep, tmp_path, describe(RANGES, count, method), jobs=2, quiet=True)
    assert len(results.points) == points
    assert (tmp_path / "sensitivity.csv").exists()
    assert (tmp_path / "sensitivity.png").exists()
    frame = pd.read_csv(tmp_path / "sensitivity.csv")
    assert set(frame["setting"]) == set(RANGES)
    assert np.isfinite(frame[frame["measure"] == "base_fee_gwei"].iloc[:, 1]).all()
