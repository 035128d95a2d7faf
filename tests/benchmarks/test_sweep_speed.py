"""Speed of sweeps: against bare joblib on the same runs, per run, and with ten thousand of them."""

import subprocess
import sys
import time
from statistics import median

import joblib
import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.results import load_results
from blockspace.experiments.results.folder import begin
from blockspace.experiments.results.run_files import RunRecord, run_file, write_index
from blockspace.experiments.scenario import change_settings, load_scenario
from blockspace.experiments.sweeps.points import Sweep, grid
from blockspace.experiments.sweeps.runner import run_sweep

HALF_A_SECOND = load_scenario("ethereum-30m", {"duration_s": 72_000, "warm_up_s": 600})
TINY = change_settings(HALF_A_SECOND, {"duration_s": 120, "warm_up_s": 12})


def bare(scenario, seed):
    """Make a run as a script would."""
    market = Market(scenario, seed, tapes="none")
    market.run_for(scenario.duration_s)
    return market.summary()


def sweep_of(scenario, count):
    points = grid({"price.volatility_per_day": [0.03, 0.04]})
    return Sweep(scenario, points, tuple(range(count // 2)), points[0].name)


def bare_runs(scenario, count, jobs):
    sweep = sweep_of(scenario, count)
    scenarios = [change_settings(scenario, point.overrides) for point in sweep.points]
    calls = [joblib.delayed(bare)(one, seed) for one in scenarios for seed in sweep.seeds]
    return joblib.Parallel(n_jobs=jobs, batch_size=1)(calls)


def report(benchmark, figures):
    benchmark.extra_info.update({name: round(figure, 3) for name, figure in figures.items()})
    print("", *(f"{name}: {figure:.3f}" for name, figure in figures.items()), sep="\n")


def test_two_cores_on_runs_of_half_a_second(benchmark, tmp_path):
    """64 runs: with two processes, with two of bare joblib, and one after the other; in turn, three times."""
    count, rounds = 64, 3
    spent = {"sweep": [], "bare joblib": [], "one core": []}

    def timed(name, function, *arguments, **options):
        start = time.perf_counter()
        function(*arguments, **options)
        spent[name].append(time.perf_counter() - start)

    bare_runs(HALF_A_SECOND, 4, 2)  # processes start, kernels load

    def in_turn(number):
        sweep = sweep_of(HALF_A_SECOND, count)
        timed("sweep", run_sweep, sweep, tmp_path / str(number), jobs=2, quiet=True)
        timed("bare joblib", bare_runs, HALF_A_SECOND, count, 2)
        timed("one core", bare_runs, HALF_A_SECOND, count, 1)

    benchmark.group = "sweep: 64 runs of half a second on two cores"
    rounds_left = iter(range(rounds))
    benchmark.pedantic(lambda: in_turn(next(rounds_left)), rounds=rounds)
    ratios = [one / two for one, two in zip(spent["one core"], spent["sweep"], strict=True)]
    to_joblib = [one / two for one, two in zip(spent["bare joblib"], spent["sweep"], strict=True)]
    figures = {f"{name}, s": median(times) for name, times in spent.items()}
    report(benchmark, figures | {"times one core": median(ratios), "share of bare joblib": median(to_joblib)})


def test_overhead_of_a_run(benchmark, tmp_path):
    """What a run of ten blocks takes longer in a sweep than in a loop, in this process; in turn, five times."""
    count, rounds = 200, 5
    apart = []
    run_sweep(sweep_of(TINY, 2), tmp_path / "warm", jobs=1, quiet=True)

    def in_turn(number):
        start = time.perf_counter()
        run_sweep(sweep_of(TINY, count), tmp_path / str(number), jobs=1, quiet=True)
        middle = time.perf_counter()
        bare_runs(TINY, count, 1)
        apart.append((2 * middle - start - time.perf_counter()) / count * 1e3)

    benchmark.group = "sweep: overhead"
    rounds_left = iter(range(rounds))
    benchmark.pedantic(lambda: in_turn(next(rounds_left)), rounds=rounds)
    report(benchmark, {"overhead, ms a run": median(apart)})


def test_index_of_ten_thousand_runs(benchmark, tmp_path):
    """Loading the results of 10,000 runs with 120 measures each."""
    generator = np.random.default_rng(1)
    sweep = sweep_of(TINY, 10_000)
    begin(tmp_path, sweep, {}, fresh=False)
    (tmp_path / "runs").mkdir()
    names = [f"measure_{number}_usd_per_h" for number in range(120)]
    runs = []
    for point in sweep.points:
        for seed in sweep.seeds:
            name = f"{point.name}-seed{seed}"
            run_file(tmp_path, name).touch()
            measures = dict(zip(names, generator.random(120).tolist(), strict=True))
            runs.append(RunRecord(name, point.name, point.values, seed, "0" * 16, "f" * 32, None, measures))
    write_index(tmp_path, runs)
    benchmark.group = "sweep: index of 10,000 runs"
    results = benchmark(load_results, tmp_path)
    assert len(results.runs) == 10_000


MANY_RUNS = """
import sys, threading, time
import psutil
from blockspace.experiments.sweeps.runner import run_sweep
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.points import Sweep, grid

if __name__ == "__main__":
    light = {"background_users.arrivals_per_s": 0.5, "chain.gas_limit": 6_000_000}
    scenario = load_scenario("ethereum-30m", {"duration_s": 12_000, "warm_up_s": 600, **light})
    points = grid({"price.volatility_per_day": [0.001 * k for k in range(1, 101)]})
    largest = [0]

    def watch():
        while True:
            largest[0] = max(largest[0], psutil.Process().memory_info().rss)
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True).start()
    start = time.perf_counter()
    frame = run_sweep(Sweep(scenario, points, tuple(range(100)), points[0].name), sys.argv[1], jobs=2, quiet=True)
    print(len(frame), frame["blocks_recorded"].min(), largest[0] // 2**20, round(time.perf_counter() - start))
"""


@pytest.mark.slow
def test_memory_of_ten_thousand_runs(tmp_path):
    """The process that hands out 10,000 runs of 1,000 blocks takes less than 500 MB."""
    (tmp_path / "many.py").write_text(MANY_RUNS)
    command = [sys.executable, str(tmp_path / "many.py"), str(tmp_path / "out")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    runs, _, megabytes, seconds = finished.stdout.split()
    print(f"\n{int(runs):,} runs in {seconds} s, {megabytes} MB resident")
    assert int(runs) == 10_000
    assert int(megabytes) < 500
