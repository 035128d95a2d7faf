"""Stylised facts: known answers, honest refusals, and nothing found where there is nothing."""

import math
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from blockspace.experiments.command_line import app
from blockspace.experiments.facts import Fact, facts_of, load_run, observe, stylised_facts
from blockspace.experiments.facts.estimators import (
    fit_exponential_decay,
    fit_power,
    fit_power_decay,
    interval,
    lagged_correlation,
    resampled_means,
    tail_index,
)
from blockspace.experiments.facts.metaorders import metaorders_of, orders_of
from blockspace.experiments.facts.report import facts_table, report_facts
from blockspace.experiments.files import scenario_toml
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.sweeps.runner import run_sweep

from .small import small_sweep

MINUTE = 60.0
DAY = 86_400.0
STEP = 0.001
"""Standard deviation of the synthetic returns over a minute."""

NO_TRADES = pd.DataFrame(
    {name: [] for name in ("time_s", "block", "size", "taker")} | {"side": [], "instrument": []}
).astype({"side": str, "instrument": str})

ABOUT_RETURNS = ("fat tails", "tails thin out", "tail index", "clustering", "slow decay")


def blocks_of(returns, **columns):
    """One block a minute, whose mid price makes the returns."""
    log_mid = np.concatenate([[0.0], np.cumsum(returns)])
    mid = 2_000.0 * np.exp(log_mid)
    number = np.arange(len(mid))
    steady = {"base_fee_gwei": 1.0, "volume_usd": 0.0}
    prices = {"best_bid_usd": 0.9999 * mid, "best_ask_usd": 1.0001 * mid}
    return pd.DataFrame({"time_s": MINUTE * number, "block": number, **prices} | steady | columns)


def trades_of(block, taker, sign, size):
    """One trade each, in the blocks of :func:`blocks_of`."""
    block = np.asarray(block)
    side = np.where(np.asarray(sign) > 0, "buy", "sell")
    return pd.DataFrame(
        {"time_s": MINUTE * block, "block": block, "taker": taker, "side": side, "size": size, "instrument": "ETH-PERP"}
    )


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}


def long_memory(generator, count, decay):
    """Fractional Gaussian noise whose autocorrelation falls with the power ``decay`` (Davies and Harte, 1987)."""
    hurst = 1.0 - decay / 2.0
    lag = np.arange(count + 1.0)
    covariance = 0.5 * ((lag + 1) ** (2 * hurst) - 2 * lag ** (2 * hurst) + np.abs(lag - 1) ** (2 * hurst))
    spectrum = np.maximum(np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real, 0.0)
    noise = generator.normal(size=(2, len(spectrum)))
    return np.fft.fft(np.sqrt(spectrum / len(spectrum)) * (noise[0] + 1j * noise[1])).real[:count]


# Returns.


def test_nothing_is_found_in_gaussian_noise():
    generator = np.random.default_rng(1)
    count = 50_000
    blocks = blocks_of(STEP * generator.normal(size=count), volume_usd=generator.exponential(size=count + 1))
    trades = trades_of(
        np.arange(1, count + 1), 7, generator.choice([-1, 1], size=count), generator.exponential(size=count)
    )
    facts = by_name(stylised_facts(blocks, trades))
    assert facts.pop("no linear memory").found is True
    assert facts["fat tails of fees"].found is None
    assert {name for name, fact in facts.items() if fact.found} == set()
    for name in (*ABOUT_RETURNS, "volume and volatility", "memory of order signs", "square-root impact"):
        assert facts[name].found is False, name
    assert facts["fat tails"].high < 0.2
    assert facts["tail index"].value > 6.0


def test_tails_of_student_returns():
    returns = STEP * np.random.default_rng(2).standard_t(3, size=50_000)
    facts = by_name(stylised_facts(blocks_of(returns), NO_TRADES))
    assert facts["fat tails"].found
    assert facts["tails thin out"].found
    assert facts["tail index"].found
    # Beyond the threshold of 2 % the law is not yet the power 3: its local exponent there is 2.7.
    assert facts["tail index"].value == pytest.approx(2.8, abs=0.2)
    assert facts["clustering"].found is False


@pytest.mark.parametrize("index", [1.5, 3.0, 4.5])
def test_index_of_a_tail_that_is_a_power_law(index):
    generator = np.random.default_rng(3)
    values = generator.pareto(index, size=50_000) + 1.0
    estimates = tail_index(values * generator.choice([-1, 1], size=len(values)), 0.02, seed=1)
    low, high = interval(estimates)
    assert low < index < high
    assert high - low == pytest.approx(2 * 1.96 * index / math.sqrt(1_000), rel=0.3)


def test_clusters_make_the_tail_less_certain():
    generator = np.random.default_rng(4)
    values = generator.standard_t(3, size=5_000)
    alone, clustered = (interval(tail_index(series, 0.05, seed=1)) for series in (values, np.repeat(values, 10)))
    apart = interval(tail_index(generator.standard_t(3, size=50_000), 0.05, seed=1))
    assert clustered[1] - clustered[0] == pytest.approx(alone[1] - alone[0], rel=0.4)
    assert clustered[1] - clustered[0] > 2.0 * (apart[1] - apart[0])


def test_long_memory_of_volatility_is_found_with_its_exponent():
    """One series tells the exponent to within 0.1 only, so that some miss the range: ten are averaged."""
    every = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        volatility = np.exp(0.8 * long_memory(generator, 60_000, decay=0.25))
        every.append(by_name(stylised_facts(blocks_of(STEP * volatility * generator.normal(size=60_000)), NO_TRADES)))
    for facts in every:
        assert facts["clustering"].found
        assert facts["fat tails"].found
    assert np.mean([facts["slow decay"].value for facts in every]) == pytest.approx(0.25, abs=0.07)
    assert sum(facts["slow decay"].found for facts in every) >= 7


def test_short_memory_of_volatility_is_not_called_slow():
    generator = np.random.default_rng(8)
    log_volatility = np.zeros(60_000)
    for number, noise in enumerate(generator.normal(size=59_999)):
        log_volatility[number + 1] = math.exp(-1 / 60) * log_volatility[number] + 0.1 * noise
    returns = STEP * np.exp(log_volatility) * generator.normal(size=60_000)
    decay = by_name(stylised_facts(blocks_of(returns), NO_TRADES))["slow decay"]
    assert decay.found is False
    assert "exponential fits better" in decay.note


def test_bounce_is_reported_and_does_not_count():
    generator = np.random.default_rng(9)
    log_mid = np.cumsum(generator.normal(size=20_001)) + 2.0 * generator.normal(size=20_001)
    facts = by_name(stylised_facts(blocks_of(STEP * np.diff(log_mid)), NO_TRADES))
    assert facts["bounce"].value == pytest.approx(-4 / 9, abs=0.02)
    assert facts["no linear memory"].found


def test_volume_and_volatility_that_share_a_cause():
    generator = np.random.default_rng(10)
    activity = generator.exponential(size=20_000)
    blocks = blocks_of(STEP * np.sqrt(activity) * generator.normal(size=20_000))
    blocks["volume_usd"] = np.concatenate([[0.0], activity])
    fact = by_name(stylised_facts(blocks, NO_TRADES))["volume and volatility"]
    size = np.abs(np.diff(np.log(blocks["best_bid_usd"])))
    assert fact.value == pytest.approx(np.corrcoef(size, activity)[0, 1], abs=1e-6)
    assert fact.found


def test_too_little_data_gives_no_verdict_and_says_why():
    facts = by_name(stylised_facts(blocks_of(STEP * np.random.default_rng(11).normal(size=2_000)), NO_TRADES))
    assert all(fact.found is None for fact in facts.values())
    assert "no verdict on fewer than 20,000" in facts["fat tails"].note
    assert not math.isnan(facts["fat tails"].value)
    few = by_name(stylised_facts(blocks_of(STEP * np.random.default_rng(11).normal(size=50)), NO_TRADES))
    assert math.isnan(few["fat tails"].value)


def test_prices_that_never_move_are_not_a_fact():
    facts = by_name(stylised_facts(blocks_of(np.zeros(30_000)), NO_TRADES))
    assert {fact.found for fact in facts.values()} == {None}
    assert facts["no move"].value == 1.0


def test_what_is_not_known_drops_out():
    generator = np.random.default_rng(12)
    blocks = blocks_of(STEP * generator.normal(size=30_000))
    blocks.loc[generator.random(len(blocks)) < 0.1, "best_ask_usd"] = np.nan
    seen = observe(blocks, NO_TRADES)
    facts = by_name(stylised_facts(blocks, NO_TRADES))
    assert facts["no mid price"].value == pytest.approx(0.1, abs=0.01)
    assert facts["fat tails"].observations == np.isfinite(seen.returns()).sum()
    assert facts["fat tails"].high < 0.2
    assert abs(facts["bounce"].value) < 0.02


# Grid.


def test_grid_takes_the_last_mid_at_or_before_each_time():
    blocks = pd.DataFrame(
        {"time_s": [5.0, 10.0, 29.0, 31.0, 55.0], "block": range(5), "base_fee_gwei": 1.0}
        | {"best_bid_usd": [99.0, 100.0, 101.0, 102.0, 103.0], "best_ask_usd": [101.0, 102.0, 103.0, 104.0, 105.0]}
        | {"volume_usd": [1.0, 2.0, 4.0, 8.0, 16.0]}
    )
    seen = observe(blocks, NO_TRADES, interval_s=10.0)
    assert np.exp(seen.log_mid) == pytest.approx([101.0, 101.0, 102.0, 103.0, 103.0])
    assert seen.volume_usd.tolist() == [0.0, 4.0, 8.0, 0.0]
    later = observe(blocks, NO_TRADES, interval_s=10.0, warm_up_s=25.0)
    assert np.exp(later.log_mid) == pytest.approx([102.0, 103.0, 103.0])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"interval_s": 0.0}, "the interval is 0 s; it must be above 0"),
        ({"warm_up_s": 1e6}, "the run has 0 times of observation after its warm-up of 1e[+]06 s, 60 s apart"),
        ({"instrument": "BTC"}, "there is no instrument 'BTC'; there are ETH-PERP"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, sentence):
    trades = trades_of([1], 7, [1], [1.0])
    with pytest.raises(ValueError, match=sentence):
        stylised_facts(blocks_of(np.zeros(100)), trades, **arguments)


# Fees.


def test_fees_with_bursts_and_a_rhythm():
    generator = np.random.default_rng(13)
    count = 20_000
    wave = np.sin(2 * np.pi * MINUTE * np.arange(count + 1) / DAY)
    jumps = np.concatenate([[0.0], np.cumsum(0.02 * generator.standard_t(3, size=count))])
    bursts = by_name(stylised_facts(blocks_of(np.zeros(count), base_fee_gwei=np.exp(jumps)), NO_TRADES))
    assert bursts["fat tails of fees"].found
    noisy = np.exp(wave + generator.normal(size=count + 1) / math.sqrt(2))
    rhythm = by_name(stylised_facts(blocks_of(np.zeros(count), base_fee_gwei=noisy), NO_TRADES))
    assert rhythm["daily rhythm of fees"].value == pytest.approx(0.5, abs=0.02)
    assert rhythm["daily rhythm of fees"].found is None
    assert rhythm["fat tails of fees"].found is False


def test_fees_are_compared_between_neighbouring_blocks_only():
    blocks = blocks_of(np.zeros(5), base_fee_gwei=[1.0, 2.0, 2.0, 0.0, 4.0, 8.0])
    blocks["block"] = [0, 1, 5, 6, 7, 8]
    assert observe(blocks, NO_TRADES).base_fee_changes == pytest.approx(np.log([2.0, 2.0]))


# Orders.


def test_orders_and_metaorders():
    trades = trades_of(
        block=[1, 1, 1, 2, 3, 3, 20, 21],
        taker=[7, 7, 8, 7, 7, 8, 7, 7],
        sign=[1, 1, 1, 1, -1, 1, -1, -1],
        size=[1.0, 2.0, 5.0, 4.0, 8.0, 5.0, 16.0, 32.0],
    )
    orders = orders_of(trades)
    assert orders["size"].tolist() == [3.0, 5.0, 4.0, 8.0, 5.0, 16.0, 32.0]
    runs = metaorders_of(orders, pause_s=600.0)
    # The buys of 7 end with its sell; the sells end with a pause; those of 8 are one run.
    assert runs["size"].tolist() == [7.0, 10.0, 8.0, 48.0]
    assert runs["orders"].tolist() == [2, 2, 1, 2]
    assert runs[["first_block", "last_block"]].to_numpy().tolist() == [[1, 2], [1, 3], [3, 3], [20, 21]]


def test_split_orders_of_pareto_lengths_give_signs_a_memory():
    """With lengths of index 1.5 it decays with the power 0.5 (Lillo, Mike and Farmer, 2005)."""
    generator = np.random.default_rng(14)
    count, queue = 200_000, 10
    lengths = iter(np.ceil(generator.random(count + queue) ** (-1 / 1.5)).astype(int).tolist())
    flips = iter(generator.choice([-1, 1], size=count + queue).tolist())
    left, sign = [next(lengths) for _ in range(queue)], [next(flips) for _ in range(queue)]
    signs = np.zeros(count, dtype=int)
    for number, place in enumerate(generator.integers(queue, size=count).tolist()):
        signs[number] = sign[place]
        left[place] -= 1
        if left[place] == 0:
            left[place], sign[place] = next(lengths), next(flips)
    trades = trades_of(np.arange(count), np.arange(count), signs, 1.0)
    facts = by_name(stylised_facts(blocks_of(np.zeros(count)), trades))
    assert facts["memory of order signs"].found
    assert facts["slow decay of order signs"].found
    assert facts["slow decay of order signs"].value == pytest.approx(0.5, abs=0.1)


def run_with_impact(exponent, factor, seed):
    """Metaorders of two orders each, one after the other, that move the price by ``factor σ (Q / V)^exponent``."""
    generator = np.random.default_rng(seed)
    count = 20_000
    size = np.exp(1.2 * generator.normal(size=count))
    days = 2 * count * MINUTE / DAY
    share = size * days / size.sum()
    sign = generator.choice([-1, 1], size=count)
    move = sign * factor * STEP * math.sqrt(DAY / MINUTE) * share**exponent
    # Half of the move with each order; noise fills up what is wanting to the volatility that the rule speaks of.
    steps = np.repeat(move / 2, 2)
    steps += math.sqrt(STEP**2 - (steps**2).mean()) * generator.normal(size=2 * count)
    block = np.arange(1, 2 * count + 1)
    trades = trades_of(block, np.repeat(np.arange(count) % 11, 2), np.repeat(sign, 2), np.repeat(size / 2, 2))
    return by_name(stylised_facts(blocks_of(steps), trades))


def test_square_root_impact_is_found_with_its_factor():
    facts = run_with_impact(exponent=0.5, factor=0.8, seed=15)
    root, factor = facts["square-root impact"], facts["factor of impact"]
    assert root.found
    assert factor.found
    assert root.low < 0.5 < root.high
    assert factor.low < 0.8 < factor.high
    assert root.high - root.low < 0.2


def test_linear_impact_is_measured_and_refused():
    facts = run_with_impact(exponent=1.0, factor=10.0, seed=16)
    root = facts["square-root impact"]
    assert root.low < 1.0 < root.high
    assert root.found is False
    assert "1 is that of a linear book" in root.note
    assert facts["factor of impact"].found is False


def test_impact_that_is_no_power_law_is_refused():
    generator = np.random.default_rng(17)
    count = 20_000
    size = np.exp(1.2 * generator.normal(size=count))
    sign = generator.choice([-1, 1], size=count)
    # Small and large orders move the price, those in between do not.
    steps = sign * STEP * np.abs(np.log(size)) + STEP * generator.normal(size=count)
    fact = by_name(stylised_facts(blocks_of(steps), trades_of(np.arange(1, count + 1), np.arange(count), sign, size)))
    assert fact["square-root impact"].found is False
    assert "lie off any power law" in fact["square-root impact"].note


def test_one_size_is_no_curve():
    count = 20_000
    sign = np.random.default_rng(18).choice([-1, 1], size=count)
    fact = by_name(stylised_facts(blocks_of(STEP * sign), trades_of(np.arange(1, count + 1), 7, sign, 1.0)))
    assert fact["square-root impact"].found is None
    assert "too few sizes for a curve" in fact["square-root impact"].note


# Estimators.


def test_intervals_cover_what_they_should():
    """Of 200 autoregressive series the interval of the first autocorrelation holds the truth in about 95 %."""
    generator = np.random.default_rng(19)
    covered = 0
    for _ in range(200):
        series = np.zeros(2_000)
        noise = generator.normal(size=len(series))
        for number in range(1, len(series)):
            series[number] = 0.5 * series[number - 1] + noise[number]
        low, high = interval(lagged_correlation(series, series, np.array([1, 2]), seed=1)[:, 0])
        covered += low < 0.5 < high
    assert 0.88 < covered / 200 < 0.99


def test_correlation_over_a_bin_is_the_mean_over_its_lags():
    series = np.random.default_rng(20).normal(size=1_000)
    edges = np.array([1, 4, 9])
    bins = lagged_correlation(series, series, edges, seed=1)[0]
    rows = len(series) - 8
    centred = series - series.mean()
    products = [(centred[:rows] * centred[lag : lag + rows]).mean() for lag in range(1, 9)]
    scale = centred[:rows].var()
    offset = centred[:rows].mean() ** 2
    assert bins == pytest.approx((np.array([np.mean(products[:3]), np.mean(products[3:])]) - offset) / scale)


def test_fits_return_what_was_put_in():
    x = np.geomspace(1, 100, 10)
    wobble = np.random.default_rng(21).normal(1.0, 1e-3, size=(300, 10))
    power = fit_power(x, 3 * x**0.4 * wobble)
    assert (power.parameter[0], power.factor[0]) == (pytest.approx(0.4, abs=0.005), pytest.approx(3.0, rel=0.01))
    decaying = np.exp(-x / 20) * wobble
    exponential = fit_exponential_decay(x, decaying, length=10**9)
    assert exponential.parameter[0] == pytest.approx(20, rel=0.05)
    assert exponential.fitted == pytest.approx(decaying[0], abs=0.03)
    assert exponential.misfit < fit_power_decay(x, decaying, length=10**9).misfit


def test_fit_does_not_stumble_over_negative_means():
    x = np.geomspace(1, 100, 10)
    generator = np.random.default_rng(22)
    noise = generator.normal(0.0, 0.2, size=(301, 10))
    noisy = x**-0.5 + noise[0] + np.vstack([np.zeros(10), noise[1:]])
    assert (noisy[0] < 0.0).any()
    low, high = interval(fit_power_decay(x, noisy, length=10**9).parameter)
    assert low < 0.5 < high


def test_fifty_thousand_observations_take_seconds():
    blocks = blocks_of(STEP * np.random.default_rng(23).normal(size=50_000))
    start = time.perf_counter()
    stylised_facts(blocks, NO_TRADES)
    assert time.perf_counter() - start < 5.0


def test_same_seed_same_numbers():
    columns = [np.random.default_rng(24).normal(size=500)]
    assert (resampled_means(columns, seed=1) == resampled_means(columns, seed=1)).all()
    assert (resampled_means(columns, seed=1)[1:] != resampled_means(columns, seed=2)[1:]).any()
    blocks = blocks_of(STEP * columns[0])
    assert repr(stylised_facts(blocks, NO_TRADES)) == repr(stylised_facts(blocks, NO_TRADES))


# Runs.


def facts_of_noise(days, overrides):
    """Facts of a run with makers and noise traders only, around a Gaussian price."""
    nobody_else = {"informed_traders.count": 0, "arbitrageurs.count": 0}
    market = Market(load_scenario("ethereum-30m", nobody_else | overrides), seed=25)
    market.run_for(days * DAY)
    return by_name(stylised_facts(market.blocks(), market.trades(), warm_up_s=36_000.0))


@pytest.mark.parametrize("days", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_nothing_is_found_in_a_run_of_noise_traders(days):
    """The facts must not come from the machinery: a Gaussian price and random orders have none of them."""
    cheap = {"background_users.arrivals_per_s": 0.0, "chain.block_time_s": MINUTE}
    facts = facts_of_noise(days, cheap)
    assert facts["fat tails"].observations > 1_300 * days
    assert facts["no linear memory"].found
    for name in (*ABOUT_RETURNS, "volume and volatility", "memory of order signs", "square-root impact"):
        assert facts[name].found is False, name
    assert facts["fat tails"].high < 0.3
    assert facts["tail index"].low > 5.0


@pytest.mark.slow
def test_dear_gas_alone_makes_tails_that_are_gone_in_a_quarter_of_an_hour():
    """Quotes that cost gas leave gaps behind them, which the mid price falls into and comes back from."""
    facts = facts_of_noise(36, {})
    assert facts["fat tails"].found
    assert facts["tails thin out"].found
    assert facts["fat tails"].value - facts["tails thin out"].value < 1.0
    assert facts["bounce"].high < -0.1
    assert facts["clustering"].found is False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder like those of ``blockspace run --out``: two instruments, and a tape that was read halfway."""
    folder = tmp_path_factory.mktemp("run")
    overrides = {"instruments": [{"name": "ETH-PERP"}, {"name": "ETH", "kind": "spot"}]}
    scenario = load_scenario("base", {**overrides, "duration_s": 7_200.0, "warm_up_s": 1_200.0})
    market = Market(scenario, seed=26, tapes=folder)
    market.run_for(3_600.0)
    market.trades()
    market.run_for(3_600.0)
    market.close()
    market.blocks().to_parquet(folder / "blocks.parquet", index=False)
    (folder / "scenario.toml").write_text(scenario_toml(scenario), encoding="utf-8")
    return folder


def test_tapes_are_read_from_the_folder_of_a_run(folder):
    blocks, trades, scenario = load_run(folder)
    assert trades["time_s"].is_monotonic_increasing
    assert len(trades) == pd.read_parquet(folder / "blocks.parquet").filter(like=".trades").sum().sum()
    assert blocks["time_s"].iloc[-1] == pytest.approx(scenario.duration_s)


def test_instruments_are_told_apart(folder):
    perpetual, spot = (by_name(facts_of(folder, interval_s=10.0, instrument=name)) for name in ("ETH-PERP", "ETH"))
    assert repr(perpetual) == repr(by_name(facts_of(folder, interval_s=10.0)))
    assert perpetual["fat tails"].value != spot["fat tails"].value
    with pytest.raises(ValueError, match="there is no instrument 'BTC'; there are ETH-PERP, ETH"):
        facts_of(folder, instrument="BTC")


def test_report_leaves_table_and_figure(folder):
    table = report_facts(folder, interval_s=10.0)
    written = pd.read_csv(folder / "facts.csv")
    assert table.row_count == len(written) == len(facts_of(folder, interval_s=10.0))
    assert "base, ETH-PERP, every 10 s" in table.title
    assert (folder / "facts.png").read_bytes().startswith(b"\x89PNG")
    before = (folder / "facts.svg").read_bytes()
    report_facts(folder, interval_s=10.0)
    assert (folder / "facts.svg").read_bytes() == before


def test_report_of_next_to_nothing_has_empty_panels(folder):
    assert report_facts(folder, interval_s=600.0, instrument="ETH").row_count == 17


def test_table_shows_verdicts():
    yes = Fact("a", "what", 1.0, 0.5, 1.5, "s", "above 0", True, 1_234)
    no = Fact("b", "what", math.nan, math.nan, math.nan, "", "", None, 0)
    table = facts_table([yes, no], "title")
    assert list(table.columns[2].cells) == ["1 s", "–"]
    assert list(table.columns[3].cells) == ["0.5 to 1.5", "–"]
    assert list(table.columns[5].cells) == ["[green]yes[/green]", "–"]
    assert list(table.columns[6].cells) == ["1,234", "0"]


@pytest.mark.parametrize("missing", ["scenario.toml", "blocks.parquet", "trades.parquet"])
def test_folder_without_tapes_is_refused_in_one_sentence(tmp_path, missing):
    for name in {"scenario.toml", "blocks.parquet", "trades.parquet"} - {missing}:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        ValueError, match=f"{missing} cannot be found; `blockspace run PRESET --out DIR` makes a folder"
    ):
        facts_of(tmp_path)


def test_command_prints_the_facts_and_adds_them_to_the_folder(tmp_path):
    out = tmp_path / "out"
    short = ["ethereum-60m", "--set", "warm_up_s=60", "--duration", "7200", "--out", str(out), "--quiet"]
    assert CliRunner().invoke(app, ["run", *short]).exit_code == 0
    result = CliRunner().invoke(app, ["facts", str(out)])
    assert result.exit_code == 0, result.output
    assert "no verdict on fewer than" in " ".join(result.stdout.replace("│", " ").split())
    assert {"facts.csv", "facts.png", "facts.svg"} <= {path.name for path in out.iterdir()}
    refused = CliRunner().invoke(app, ["facts", str(tmp_path)])
    assert refused.exit_code == 2
    assert "holds no tapes of a run with trades" in refused.stderr


def test_runs_of_a_sweep_are_looked_at_one_by_one(tmp_path):
    run_sweep(small_sweep(seeds=(3,)), tmp_path, jobs=1, quiet=True)
    with pytest.raises(ValueError, match="holds no tapes of its runs; --keep tapes keeps them"):
        load_run(tmp_path)
    run_sweep(small_sweep(seeds=(3,)), tmp_path, jobs=1, keep="tapes", quiet=True)
    with pytest.raises(ValueError, match="it is not said which run; --run may be 5-M-seed3, 60-M-seed3"):
        load_run(tmp_path)
    with pytest.raises(ValueError, match=r"there is no run '60-M-seed4' \(did you mean '60-M-seed3'\?\)"):
        load_run(tmp_path, "60-M-seed4")
    blocks, trades, scenario = load_run(tmp_path, "60-M-seed3")
    assert scenario.chain.gas_limit == 60_000_000
    assert len(blocks) == 25
    assert len(trades) > 0
    report_facts(tmp_path, run="60-M-seed3")
    assert (tmp_path / "facts-60-M-seed3.csv").exists()
