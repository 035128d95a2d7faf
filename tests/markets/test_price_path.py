import dataclasses
import math
import re

import numpy as np
import pytest

from blockspace.markets.price_path import (
    CELL_NS,
    CELL_SECONDS,
    NODE,
    NODES,
    PricePath,
    log_price_at,
    price_at,
)
from blockspace.markets.price_sources import DAY_SECONDS, Diffusion, PriceTable, ScriptedPath
from blockspace.network.compilation import kernel
from blockspace.network.draws import stream_key
from blockspace.network.state import StateError

DAILY = 0.05


@kernel
def look_up(paths, times, logs):
    for index in range(times.size):
        logs[index] = log_price_at(paths[0], times[index])


def log_prices(path, times_ns):
    """Look-ups by the compiled kernel, at integer nanoseconds that the path has been extended to."""
    times_ns = np.asarray(times_ns, np.int64)
    logs = np.empty(times_ns.size)
    look_up(path.record, times_ns, logs)
    return logs


def diffusion(seed=1, **settings):
    return Diffusion(initial_price=2_000.0, volatility_per_day=DAILY, seed=seed, **settings)


def lively(seed=1):
    return diffusion(seed, volatility_of_volatility_per_sqrt_day=1.0, jumps_per_day=5_000.0, jump_law="normal")


def cells(source, count, chunk=8_192):
    return np.concatenate([source.fill(first, min(chunk, count - first)) for first in range(0, count, chunk)])


# One path, whoever looks


def test_a_coarser_resolution_sees_the_same_values_at_shared_points():
    fine = PricePath(lively(), 1, seed=1)
    times_ns = np.random.default_rng(0).integers(0, 3_000 * CELL_NS, 2_000)
    fine.extend(3_000 * CELL_NS)
    for bits in (10, 17, 20, 25, 30):
        coarse = PricePath(lively(), 2**bits, seed=1)
        coarse.extend(3_000 * CELL_NS)
        shared_ns = times_ns >> bits << bits
        assert np.array_equal(log_prices(coarse, times_ns), log_prices(fine, shared_ns))


def test_neither_order_nor_the_moment_of_extension_matters():
    rng = np.random.default_rng(1)
    times_s = rng.uniform(0.0, 10_000.0, 500)
    at_once = PricePath(lively(), 2**17, seed=1).prices(times_s)
    one_by_one = PricePath(lively(), 2**17, seed=1)
    for time_s in np.sort(times_s)[::7]:
        one_by_one.extend(int(time_s * 1e9))
    assert np.array_equal(one_by_one.prices(times_s[::-1])[::-1], at_once)
    assert [one_by_one.price(time_s) for time_s in times_s[:20]] == at_once[:20].tolist()
    assert np.array_equal(one_by_one.prices(times_s.reshape(5, 100)), at_once.reshape(5, 100))
    assert one_by_one.prices([]).shape == (0,)


def test_a_users_look_up_leaves_the_run_alone():
    path = PricePath(lively(), 2**20, seed=1)
    path.extend(CELL_NS)
    before = path.record.copy()
    far = path.price(30_000.0)
    assert path.record.tobytes() == before.tobytes()
    path.extend(30_000 * 10**9)
    assert path.price(30_000.0) == far
    assert path.price(0.0) == pytest.approx(2_000.0, rel=1e-15)  # long out of the ring


def test_one_source_serves_several_paths():
    source = lively()
    assert PricePath(source, 2**20, seed=1).price(5_000.0) == PricePath(source, 2**20, seed=1).price(5_000.0)


def test_before_the_start_is_the_start():
    path = PricePath(lively(), 2**20, seed=1)
    path.extend(0)
    assert log_prices(path, [-1, -(10**15), 0]).tolist() == [math.log(2_000.0)] * 3


def test_the_ring_keeps_the_last_cells():
    path = PricePath(diffusion(), CELL_NS, seed=1)
    path.extend(3 * NODES * CELL_NS)
    filled = int(path.record["filled"][0])
    expected = cells(diffusion(), filled)["log_price"]
    times_ns = np.arange(filled - NODES, filled) * CELL_NS
    assert np.array_equal(log_prices(path, times_ns), expected[-NODES:])


def test_seeds_give_different_paths():
    assert PricePath(diffusion(1), 2**20, 1).price(1_000.0) != PricePath(diffusion(2), 2**20, 2).price(1_000.0)


# The same values, from the formulas


MASK = 2**64 - 1


def mix(value):
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def uniform(key, entity, index):
    inner = mix((key + entity * 0x9E3779B97F4A7C15) & MASK)
    bits = mix((inner + index * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & MASK)
    return ((bits >> 11) + 0.5) * 2.0**-53


def horner(coefficients, x):
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


CENTRE = (
    [-3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02, 1.383577518672690e02,
     -3.066479806614716e01, 2.506628277459239e00],
    [-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02, 6.680131188771972e01,
     -1.328068155288572e01, 1.0],
)  # fmt: skip
TAIL = (
    [-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00, -2.549732539343734e00,
     4.374664141464968e00, 2.938163982698783e00],
    [7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0],
)  # fmt: skip


def normal(key, entity, index):
    probability = uniform(key, entity, index)
    if 0.02425 <= probability <= 0.97575:
        centred = probability - 0.5
        return horner(CENTRE[0], centred**2) * centred / horner(CENTRE[1], centred**2)
    root = math.sqrt(-2.0 * math.log(min(probability, 1.0 - probability)))
    value = horner(TAIL[0], root) / horner(TAIL[1], root)
    return value if probability < 0.5 else -value


def slow_log_price(time_ns, bits, seed):
    """The log price of a plain diffusion with exponential jumps of 20 bp on average, 5,000 a day."""
    streams = {name: stream_key(seed, f"price/{name}") for name in ("bridge", "diffusion", "jumps")}
    time_ns = time_ns >> bits << bits
    cell = time_ns >> 30
    variance = DAILY**2 / DAY_SECONDS
    rate = 5_000.0 * CELL_SECONDS / DAY_SECONDS
    left = math.log(2_000.0)
    for k in range(cell + 1):
        level = left
        right = left + math.sqrt(variance * CELL_SECONDS) * normal(streams["diffusion"], k, 0)
        jumps = []
        remaining, probability = uniform(streams["jumps"], k, 0), math.exp(-rate)
        while remaining > probability and len(jumps) < 4:
            remaining -= probability
            moment = k * CELL_NS + int(uniform(streams["jumps"], k, 1 + 2 * len(jumps)) * CELL_NS)
            side = 2.0 * uniform(streams["jumps"], k, 2 + 2 * len(jumps))
            jumps.append((moment, 20.0 * 1e-4 * (math.log(side) if side < 1.0 else -math.log(2.0 - side))))
            probability *= rate / len(jumps)
        left = right + sum(size for _, size in jumps)
    deviation, place = 0.5 * math.sqrt(variance * CELL_SECONDS), 1
    for level_bits in range(29, bits - 1, -1):
        middle = 0.5 * (level + right) + deviation * normal(streams["bridge"], cell, place)
        later = time_ns >> level_bits & 1
        level, right = (middle, right) if later else (level, middle)
        place = 2 * place + later
        deviation *= math.sqrt(0.5)
    for moment, size in jumps:
        if moment <= time_ns:
            level += size
    return level


@pytest.mark.parametrize("bits", [17, 25])
def test_a_dozen_values_to_the_last_bit(bits):
    path = PricePath(diffusion(seed=7, jumps_per_day=5_000.0), 2**bits, seed=7)
    path.extend(200 * CELL_NS)
    assert path.record["nodes"]["jumps"][0, :200].sum() > 5
    times_ns = np.random.default_rng(2).integers(0, 200 * CELL_NS, 12).tolist()
    slow = [slow_log_price(time_ns, bits, seed=7) for time_ns in times_ns]
    assert log_prices(path, times_ns).tolist() == slow
    assert path.prices(np.array(times_ns) * 1e-9).tolist() == [math.exp(level) for level in slow]


# The laws


@pytest.mark.parametrize("window_ns", [10**6, 10**8, 10**9, 10**10, 60 * 10**9, 1_800 * 10**9, 7_200 * 10**9])
def test_variance_is_that_of_brownian_motion_at_every_scale(window_ns):
    windows, paths = (400, 1) if window_ns < 60 * 10**9 else (24, 16)
    squares = []
    for seed in range(paths):
        path = PricePath(diffusion(seed), 2**10, seed)
        stride_ns = max(window_ns, 2 * 10**9 + 1)
        starts_ns = np.arange(windows) * stride_ns
        logs = np.log(path.prices(np.stack([starts_ns, starts_ns + window_ns]) * 1e-9))
        squares.append((logs[1] - logs[0]) ** 2)
    mean = np.mean(squares) / (DAILY**2 * window_ns * 1e-9 / DAY_SECONDS)
    assert mean == pytest.approx(1.0, abs=3.0 * math.sqrt(2.0 / np.size(squares)))


def test_increments_inside_a_cell_are_independent_and_normal():
    path = PricePath(diffusion(), 2**26, seed=1)
    path.extend(2_000 * CELL_NS)
    logs = log_prices(path, np.arange(16 * 2_000) * 2**26)
    steps = np.diff(logs) / math.sqrt(DAILY**2 / DAY_SECONDS * 2**26 * 1e-9)
    correlation = np.corrcoef(steps[:-1], steps[1:])[0, 1]
    assert abs(correlation) < 3.0 / math.sqrt(steps.size)
    assert np.mean(steps**4) == pytest.approx(3.0, abs=3.0 * math.sqrt(96.0 / steps.size))


def test_drift():
    nodes = cells(dataclasses.replace(diffusion(), volatility_per_day=0.0, drift_per_day=0.1), 80_467)
    assert nodes["log_price_end"][-1] - nodes["log_price"][0] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(("law", "kurtosis"), [("exponential", 6.0), ("normal", 3.0)])
def test_jumps(law, kurtosis):
    rate = 20_000.0
    nodes = cells(diffusion(jumps_per_day=rate, jump_mean_bps=30.0, jump_law=law), 100_000)
    counts = nodes["jumps"].astype(float)
    expected = rate * CELL_SECONDS / DAY_SECONDS
    assert counts.mean() == pytest.approx(expected, abs=3.0 * math.sqrt(expected / counts.size) + 1e-5)
    assert counts.var() == pytest.approx(expected, rel=0.03)
    present = np.arange(4) < nodes["jumps"][:, None]
    sizes = nodes["jump_size"][present]
    assert not nodes["jump_size"][~present].any()
    error = 3.0 / math.sqrt(sizes.size)
    assert np.abs(sizes).mean() == pytest.approx(30e-4, rel=error)
    assert abs(sizes.mean()) < error * sizes.std()
    assert np.mean(sizes**4) / np.mean(sizes**2) ** 2 == pytest.approx(kurtosis, rel=0.15)
    within = (nodes["jump_time"] - np.arange(len(nodes))[:, None] * CELL_NS)[present] / CELL_NS
    assert 0.0 <= within.min()
    assert within.max() < 1.0
    assert within.mean() == pytest.approx(0.5, abs=error / math.sqrt(12.0))
    ends = nodes["log_price_end"] + nodes["jump_size"].sum(axis=1)
    assert nodes["log_price"][1:] == pytest.approx(ends[:-1], rel=1e-14)


def test_a_jump_happens_at_its_time():
    path = PricePath(diffusion(jumps_per_day=20_000.0, jump_mean_bps=1_000.0), 1, seed=1)
    path.extend(100 * CELL_NS)
    cell = int(np.argmax(path.record["nodes"]["jumps"][0, :100] == 1))
    node = path.record["nodes"][0, cell]
    before, after = log_prices(path, [node["jump_time"][0] - 1, node["jump_time"][0]])
    assert after - before == pytest.approx(node["jump_size"][0], abs=1e-7)


def test_log_volatility_reverts_with_its_half_life():
    half_life_s, shock = 600.0, 4.0
    source = diffusion(volatility_of_volatility_per_sqrt_day=shock, volatility_half_life_s=half_life_s)
    variance = cells(source, 400_000)["variance"] * DAY_SECONDS
    logs = 0.5 * np.log(variance)
    stationary = shock**2 / DAY_SECONDS / (2.0 * math.log(2.0) / half_life_s)
    samples = logs.size * CELL_SECONDS / half_life_s * math.log(2.0) / 2.0  # independent ones among them
    assert logs.var() == pytest.approx(stationary, rel=3.0 * math.sqrt(2.0 / samples))
    assert variance.mean() == pytest.approx(DAILY**2, rel=3.0 * 2.0 * math.sqrt(stationary / samples))
    lag = round(half_life_s / CELL_SECONDS)
    assert np.corrcoef(logs[:-lag], logs[lag:])[0, 1] == pytest.approx(0.5, abs=0.1)


def test_volatility_starts_from_its_stationary_law():
    starts = [
        diffusion(seed, volatility_of_volatility_per_sqrt_day=1.0).fill(0, 1)["variance"][0] for seed in range(400)
    ]
    stationary = 1.0 / DAY_SECONDS / (2.0 * math.log(2.0) / 21_600.0)
    logs = 0.5 * np.log(starts)
    assert logs.var() == pytest.approx(stationary, rel=3.0 * math.sqrt(2.0 / 400.0))


# Other sources


def test_a_scripted_crash_goes_through_its_knots():
    still = Diffusion(initial_price=2_000.0, volatility_per_day=0.0, seed=1)
    crash = ScriptedPath(still, knots=((3_600.0, 1.0), (5_400.0, 0.6)))
    prices = PricePath(crash, 2**20, seed=1).prices([0.0, 3_598.0, 4_500.0, 5_402.0, 9_000.0])
    assert prices == pytest.approx([2_000.0, 2_000.0, 2_000.0 * math.sqrt(0.6), 1_200.0, 1_200.0], rel=1e-6)
    assert PricePath(crash, 2**20, seed=1).price(3_600.0) == pytest.approx(2_000.0, rel=2e-4)


def test_a_script_multiplies_its_base():
    knots = ((100.0, 1.2), (200.0, 0.9))
    times_s = np.linspace(300.0, 1_000.0, 50)
    plain = PricePath(lively(), 2**20, seed=1).prices(times_s)
    assert PricePath(ScriptedPath(lively(), knots), 2**20, seed=1).prices(times_s) == pytest.approx(0.9 * plain)
    assert ScriptedPath(lively(), knots).initial_price == 2_000.0


class Tide:
    initial_price = 2_000.0

    def fill(self, first_cell, count):
        edges_s = np.arange(first_cell, first_cell + count + 1) * CELL_SECONDS
        level = np.log(self.initial_price) + 0.1 * np.sin(edges_s / 7_000.0)
        nodes = np.zeros(max(0, min(count, 1_000 - first_cell)), NODE)
        nodes["log_price"], nodes["log_price_end"] = level[:-1][: len(nodes)], level[1:][: len(nodes)]
        return nodes


def test_a_source_in_plain_python_that_ends():
    path = PricePath(Tide(), 2**20, seed=1)
    assert path.price(700.0) == pytest.approx(2_000.0 * math.exp(0.1 * math.sin(0.1)), rel=1e-6)
    with pytest.raises(ValueError, match=r"^The source of prices ends at 1073.741824 s, but is asked for 2000 s\.$"):
        path.price(2_000.0)


@kernel
def _price(paths, time):
    return price_at(paths[0], time)


def test_the_price_is_the_exponential_of_the_log():
    path = PricePath(lively(), 2**20, seed=1)
    path.extend(10**10)
    assert _price(path.record, 10**10) == math.exp(log_prices(path, [10**10])[0])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"initial_price": 0.0}, "initial_price is 0.0, but must be a number above 0."),
        (
            {"volatility_half_life_s": math.inf},
            "volatility_half_life_s is inf, but must be a number above 0.",
        ),
        ({"volatility_per_day": -0.1}, "volatility_per_day is -0.1, but must be a number of 0 or more."),
        ({"jump_mean_bps": math.nan}, "jump_mean_bps is nan, but must be a number of 0 or more."),
        ({"drift_per_day": math.inf}, "drift_per_day is inf, but must be a finite number."),
        ({"jumps_per_day": 1e5}, "jumps_per_day is 100000.0, but must be from 0 to 20000."),
        ({"jump_law": "cauchy"}, 'jump_law is \'cauchy\', but must be "exponential" or "normal".'),
    ],
)
def test_a_diffusion_refuses_bad_settings(settings, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        dataclasses.replace(diffusion(), **settings)


@pytest.mark.parametrize(
    ("knots", "sentence"),
    [
        (((0.0, 1.0),), "knots has 0.0 s after 0.0 s, but times must rise above 0."),
        (((5.0, 1.0), (4.0, 1.0)), "knots has 4.0 s after 5.0 s, but times must rise above 0."),
        (((5.0, 0.0),), "knots has 0.0 at 5.0 s, but multipliers must be above 0."),
    ],
)
def test_a_script_refuses_bad_knots(knots, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        ScriptedPath(diffusion(), knots)


@pytest.mark.parametrize("resolution_ns", [0, 3, 2 * CELL_NS, -1])
def test_a_resolution_is_a_power_of_two(resolution_ns):
    with pytest.raises(ValueError, match="but must be a power of two from 1 to 1073741824"):
        PricePath(diffusion(), resolution_ns, seed=1)


# A table of prices


def bars(step_s, count=600, seed=3):
    times_s = np.arange(count) * step_s
    steps = np.random.default_rng(seed).normal(size=count) * DAILY * math.sqrt(step_s / DAY_SECONDS)
    return times_s, 2_000.0 * np.exp(np.cumsum(steps))


@pytest.mark.parametrize("step_s", [3.3, 5.0, 60.0, 600.0])
def test_a_table_passes_through_its_bars(step_s):
    times_s, prices = bars(step_s)
    table = PriceTable(times_s, prices, seed=1)
    assert PricePath(table, 1, seed=1).prices(times_s) == pytest.approx(prices, rel=1e-13)
    assert PricePath(table, 2**20, seed=1).prices(times_s) == pytest.approx(prices, rel=5e-5)
    assert (table.initial_price, table.last_time_s) == (prices[0], times_s[-1])


@pytest.mark.parametrize("step_s", [2.0, 5.0, 60.0, 600.0])
def test_between_bars_the_path_has_the_volatility_of_the_bars(step_s):
    times_s, prices = bars(step_s)
    path = PricePath(PriceTable(times_s, prices, seed=1), 2**20, seed=1)
    moves = np.diff(np.log(path.prices(np.arange(0.0, times_s[-1], 0.5))))
    realised = math.sqrt(np.mean(moves**2) * 2.0 * DAY_SECONDS)
    assert realised == pytest.approx(DAILY, rel=0.15)


def test_volatility_is_local_and_one_jump_does_not_raise_it():
    times_s, _ = bars(60.0)
    steps = np.random.default_rng(4).normal(size=600) * np.where(np.arange(600) < 300, 1e-4, 1e-3)
    steps[150] = 0.05
    prices = 2_000.0 * np.exp(np.cumsum(steps))
    path = PricePath(PriceTable(times_s, prices, seed=1), 2**20, seed=1)
    for start, deviation in ((0, 1e-4), (142, 1e-4), (310, 1e-3)):
        seconds = np.arange(60.0 * start, 60.0 * (start + (5 if start == 142 else 140)))
        moves = np.diff(np.log(path.prices(seconds)))
        assert np.std(moves) * math.sqrt(60.0) == pytest.approx(deviation, rel=0.4)


def test_a_fine_table_is_thinned_and_keeps_its_ends():
    times_s, prices = bars(0.25, count=1_000)
    path = PricePath(PriceTable(times_s, prices, seed=1), 1, seed=1)
    found = path.prices(times_s)
    assert found[[0, -1]] == pytest.approx(prices[[0, -1]], rel=1e-13)
    assert np.abs(np.log(found / prices)).max() < 10.0 * DAILY * math.sqrt(CELL_SECONDS / DAY_SECONDS)


def test_the_end_of_a_table_is_named():
    times_s, prices = bars(60.0, count=11)
    path = PricePath(PriceTable(times_s, prices, seed=1, name="ether.csv"), 2**20, seed=1)
    assert path.price(600.0) == pytest.approx(prices[-1], rel=5e-5)
    with pytest.raises(ValueError, match=r"^ether.csv ends at 600.\d+ s, but is asked for 900 s\.$"):
        path.price(900.0)


@pytest.mark.parametrize(
    ("times_s", "sentence"),
    [
        ([1.0, 60.0], "The table starts at 1 s, but must start at 0 s."),
        ([0.0, 1.0], "The table lasts 1 s, but must last 2.147 s or more."),
    ],
)
def test_a_table_refuses_bad_times(times_s, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        PriceTable(times_s, [1.0, 2.0], seed=1)


# Taken out and put back


class Wave:
    """A source of a user's own, with state of several kinds."""

    initial_price = 2_000.0

    def __init__(self):
        self.level = math.log(self.initial_price)
        self.steps = np.zeros(2)
        self.generator = np.random.default_rng(3)

    def fill(self, first_cell, count):
        nodes = np.zeros(count, NODE)
        moves = 1e-3 * self.generator.standard_normal(count)
        nodes["log_price_end"] = self.level + np.cumsum(moves)
        nodes["log_price"] = nodes["log_price_end"] - moves
        self.level = float(nodes["log_price_end"][-1])
        self.steps[0] += count
        return nodes


def table(seed=1):
    times_s = 10.0 * np.arange(1_000)
    return PriceTable(times_s, 2_000.0 + np.arange(1_000) % 7, seed)


@pytest.mark.parametrize(
    "source",
    [diffusion, lively, table, Wave, lambda: ScriptedPath(lively(), ((900.0, 0.6),)), lambda: ScriptedPath(Wave(), ())],
)
def test_a_path_that_is_put_back_goes_on_as_it_would_have(source):
    path, other = PricePath(source(), 2**20, seed=1), PricePath(source(), 2**20, seed=1)
    path.extend(500 * CELL_NS)
    other.restore(path.state())
    for each in (path, other):
        each.extend(3_000 * CELL_NS)
    assert np.array_equal(path.record, other.record)
    assert path.prices(1.0) == other.prices(1.0)


def test_a_path_is_put_back_on_one_of_the_same_kind_only():
    state = PricePath(diffusion(), 2**20, seed=1).state()
    with pytest.raises(StateError, match="_running_source is a Diffusion in the checkpoint and a PriceTable here"):
        PricePath(table(), 2**20, seed=1).restore(state)
    dearer = PriceTable(10.0 * np.arange(1_000), 2_001.0 + np.arange(1_000) % 7, 1, name="mine.csv")
    with pytest.raises(StateError, match=r"mine.csv does not hold the prices"):
        PricePath(dearer, 2**20, seed=1).restore(PricePath(table(), 2**20, seed=1).state())


def test_a_source_whose_state_is_not_plain_is_refused():
    source = Wave()
    source.feed = iter([1.0])
    path = PricePath(diffusion(), 2**20, seed=1)
    path._running_source = source
    with pytest.raises(StateError, match=r"Wave.feed holds a list_iterator, which is not plain data"):
        path.state()
