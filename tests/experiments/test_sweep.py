"""What is varied: points from values, ranges and other scenarios."""

import numpy as np
import pytest

from blockspace.experiments.scenario import ScenarioError, change_settings, differences, load_scenario
from blockspace.experiments.sweeps.points import Point, Range, Sweep, against, grid, points_at, sample, zipped

from .small import small_sweep


def names(points):
    return [point.name for point in points]


def test_grid_has_every_combination_and_the_last_varies_fastest():
    points = grid({"chain.gas_limit": [15_000_000, 30_000_000], "chain.block_time_s": [2, 6, 12]})
    assert len(points) == 6
    assert names(points)[:2] == ["gas_limit=15000000, block_time_s=2", "gas_limit=15000000, block_time_s=6"]
    assert points[-1].overrides == {"chain.gas_limit": 30_000_000, "chain.block_time_s": 12}
    assert points[-1].values == points[-1].overrides


def test_zip_goes_through_all_at_once_and_never_looks_like_a_grid():
    points = zipped({"chain.gas_limit": [15_000_000, 30_000_000], "chain.block_time_s": [6, 12]})
    assert [tuple(point.values.values()) for point in points] == [(15_000_000, 6), (30_000_000, 12)]
    with pytest.raises(ValueError, match=r"there are of chain\.gas_limit 2, chain\.block_time_s 1"):
        zipped({"chain.gas_limit": [1, 2], "chain.block_time_s": [6]})


def test_names_are_whole_paths_where_their_ends_are_the_same():
    points = grid({"market_makers.count": [4], "arbitrageurs.count": [2]})
    assert names(points) == ["market_makers.count=4, arbitrageurs.count=2"]


@pytest.mark.parametrize("build", [grid, zipped])
def test_nothing_to_vary_is_refused(build):
    with pytest.raises(ValueError, match="a sweep has no values"):
        build({})
    with pytest.raises(ValueError, match=r"chain\.gas_limit has no values"):
        build({"chain.gas_limit": []})


@pytest.mark.parametrize("method", ["latin hypercube", "sobol"])
def test_sample_is_spread_evenly_over_every_range(method):
    ranges = {"chain.gas_limit": Range(1e6, 64e6, log=True), "price.volatility_per_day": Range(0.02, 0.10)}
    points = sample(ranges, 64, method, seed=3)
    assert len(points) == 64
    assert points == sample(ranges, 64, method, seed=3)
    assert points != sample(ranges, 64, method, seed=4)
    gas = np.array([point.values["chain.gas_limit"] for point in points])
    assert all(isinstance(point.values["chain.gas_limit"], int) for point in points)
    # One point in each of 64 classes of equal probability, of each setting by itself.
    shares = np.log(gas / 1e6) / np.log(64.0)
    assert sorted(np.floor(shares * 64 + 1e-6).astype(int).clip(0, 63)) == list(range(64))
    volatility = np.array([point.values["price.volatility_per_day"] for point in points])
    assert sorted(np.floor((volatility - 0.02) / 0.08 * 64).astype(int)) == list(range(64))


def test_any_number_of_sobol_points_is_the_beginning_of_more():
    ranges = {"price.volatility_per_day": Range(0.0, 1.0), "price.initial_usd": Range(1_000.0, 2_000.0)}
    assert [p.values for p in sample(ranges, 5, "sobol")] == [p.values for p in sample(ranges, 8, "sobol")[:5]]


def test_share_of_a_value_is_the_inverse_of_the_value_at_a_share():
    for reach in (Range(2.0, 50.0), Range(2.0, 50.0, log=True)):
        assert reach.at(0.0) == pytest.approx(2.0)
        assert reach.at(1.0) == pytest.approx(50.0)
        assert reach.share_of(reach.at(0.3)) == pytest.approx(0.3)
    assert Range(1.0, 100.0, log=True).at(0.5) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((2.0, 1.0), "a range is 2 to 1; its lower end must be below its upper end"),
        ((0.0, 1.0, True), "a logarithmic range begins at 0; it must begin above 0"),
    ],
)
def test_ranges_that_are_none_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Range(*arguments)


def test_samples_that_are_none_are_refused():
    ranges = {"price.volatility_per_day": Range(0.0, 1.0)}
    with pytest.raises(ValueError, match=r"method is 'sobo' \(did you mean 'sobol'\?\)"):
        sample(ranges, 4, "sobo")
    with pytest.raises(ValueError, match="a sample has 0 points over 1 ranges"):
        sample(ranges, 0)


def test_points_at_shares_are_numbered_so_that_they_sort():
    points = points_at({"price.volatility_per_day": Range(0.0, 1.0)}, np.linspace(0, 1, 11)[:, None])
    assert names(points) == sorted(names(points))
    assert points[10].values == {"price.volatility_per_day": 1.0}


def test_two_scenarios_are_two_points_of_the_first():
    first = load_scenario("ethereum-30m")
    second = load_scenario("base", {"price.volatility_per_day": 0.07})
    a, b = against(first, second)
    assert (a.name, a.overrides) == ("ethereum-30m", {})
    assert change_settings(first, b.overrides) == second
    twin = change_settings(first, {"market_makers.count": 3})
    assert against(first, twin)[1].name == "ethereum-30m (second)"
    with pytest.raises(ValueError, match="do not differ in any setting"):
        against(first, change_settings(first, {"name": "other"}))


def test_differences_name_the_settings_with_both_values():
    first = load_scenario("ethereum-30m")
    second = change_settings(first, {"chain.gas_limit": 60_000_000, "instruments.0.taker_fee_bps": 2.0})
    found = differences(first, second)
    assert found == {"chain.gas_limit": (30_000_000, 60_000_000), "instruments.0.taker_fee_bps": (0.5, 2.0)}
    assert differences(first, first) == {}


def test_changed_settings_are_checked():
    with pytest.raises(ScenarioError, match=r"there is no setting 'chain\.gas_limt'"):
        change_settings(load_scenario("ethereum-30m"), {"chain.gas_limt": 1})


def test_a_sweep_that_is_none_is_refused():
    sweep = small_sweep()
    with pytest.raises(ValueError, match="two points"):
        Sweep(sweep.scenario, (sweep.points[0], sweep.points[0]), (1,), "5 M")
    with pytest.raises(ValueError, match="values of different names"):
        Sweep(sweep.scenario, (*sweep.points, Point("third", {"x": 1.0}, {})), (1,), "5 M")
    with pytest.raises(ValueError, match=r"seeds is \[1, 1\]"):
        Sweep(sweep.scenario, sweep.points, (1, 1), "5 M")
    with pytest.raises(ValueError, match="reference is '7 M'; it may be 5 M, 60 M"):
        Sweep(sweep.scenario, sweep.points, (1,), "7 M")
