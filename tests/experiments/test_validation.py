import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.experiments.market import Market
from blockspace.experiments.validation import (
    TARGETS,
    Row,
    all_targets,
    bare_scenario,
    batches,
    compare,
    conservation,
    fee_market,
    forks,
    late_blocks,
    mean_with_error,
    pools,
    queue,
    ratio_with_error,
    run_validation,
    sandwiches,
    settlement_latency,
    spread_meter,
    target,
    throughput,
)
from blockspace.network.fee_market import EIP1559

NAMES = (
    *("V1", "V2", "V3", "V4", "V5", "V7", "V7b", "V8", "V9", "V10", "V11", "V12", "V13", "V17", "V18", "V19"),
    *("V37", "V38", "V39", "V40", "V42"),
)


def failed(rows):
    return [row.what for row in rows if not row.passed]


@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_reaches_the_target(name):
    rows = run_validation([name], quick=True)
    assert rows
    assert failed(rows) == []
    for row in rows:
        assert row.target == name
        assert row.low <= row.simulation <= row.high


# Every target must notice a theory that is wrong, so that an agreement means something.


def test_a_wrong_clearing_price_is_noticed(monkeypatch):
    right = fee_market.clearing_price
    monkeypatch.setattr(fee_market, "clearing_price", lambda *settings: 1.02 * right(*settings))
    rows = run_validation(["V1"], quick=True)
    assert len(failed(rows)) == 4
    assert all("base fee" in what for what in failed(rows))


def test_a_sandwich_of_another_size_is_noticed(monkeypatch):
    right = sandwiches.front_run
    monkeypatch.setattr(sandwiches, "front_run", lambda *settings: 1.001 * right(*settings))
    assert len(failed(run_validation(["V12"], quick=True))) == 2  # the front-run, and what it earns


def test_stale_blocks_of_a_miner_that_are_too_many_are_noticed(monkeypatch):
    right = forks.stale_share_of
    monkeypatch.setattr(forks, "stale_share_of", lambda *case: 1.15 * right(*case))
    assert len(failed(run_validation(["V37"], quick=True))) >= 2


def test_a_way_of_blocks_that_is_too_short_is_noticed(monkeypatch):
    right = late_blocks.reach_s
    monkeypatch.setattr(late_blocks, "KILOBYTES", (250, 1_000))
    monkeypatch.setattr(late_blocks, "reach_s", lambda *case: 0.9 * right(*case))
    wrong = failed(run_validation(["V38"], quick=True))
    assert "share of slots missed: blocks of 1000 kB made at home" in wrong


def test_a_base_fee_that_is_one_wei_off_is_noticed(monkeypatch):
    right = EIP1559.after_block
    monkeypatch.setattr(EIP1559, "after_block", lambda rule, *block: right(rule, *block) + 1)
    rows = run_validation(["V2"], quick=True)
    assert failed(rows) == [row.what for row in rows]


def test_wrong_noise_and_persistence_are_noticed(monkeypatch):
    persistence = fee_market.fee_persistence
    monkeypatch.setattr(fee_market, "fee_persistence", lambda *inputs: persistence(*inputs) - 0.15)
    monkeypatch.setattr(fee_market, "fee_noise", lambda *inputs: 0.06)
    monkeypatch.setattr(fee_market, "shock_response", lambda sd, elasticity, decay: sd)
    rows = run_validation(["V3"], quick=True)
    assert len(failed(rows)) == len(rows) - 1  # the last compares two runs


def test_another_stability_threshold_is_noticed():
    assert fee_market.bifurcation(EIP1559(denominator=4), low=4.0) == pytest.approx(8.0, abs=0.1)
    assert fee_market.bifurcation(EIP1559(denominator=8)) == pytest.approx(16.0, abs=0.1)


@pytest.mark.slow
def test_a_wrong_share_of_arbitrage_is_noticed(monkeypatch):
    right = pools.arbitrage_share
    monkeypatch.setattr(pools, "arbitrage_share", lambda fee, *case: right(1.25 * fee, *case))
    wrong = failed(run_validation(["V8"], quick=True))
    assert sum("share of loss-versus-rebalancing" in what for what in wrong) > 2


def test_a_wrong_share_of_gas_is_noticed(monkeypatch):
    right = pools.beyond_band
    monkeypatch.setattr(pools, "beyond_band", lambda band, threshold, step: right(band, 0.5 * threshold, step))
    assert len(failed(run_validation(["V9"], quick=True))) == 4  # without gas there is no threshold


def test_a_wrong_band_does_not_explain_the_accounts():
    """A tape that is read with another fee tells another loss than the accounts do."""
    scenario = pools.pool_scenario(500, 12.0, 20_000)
    right = pools.measure(scenario, 1)
    assert right.identity == pytest.approx(right.share, abs=3.0 * math.hypot(right.error, right.identity_error))
    assert right.unexplained < 0.01
    market = Market(scenario, seed=1)
    lots, cash = market.world.venues[0]["constant_products"][0]["reserves"].tolist()
    market.run_for(scenario.duration_s)
    beyond = pools.overshoots(market.trades(), lots, cash, 500)
    assert (beyond > 0.0).all()
    wrong = pools.overshoots(market.trades(), lots, cash, 400)
    share = (wrong**2).sum() / (wrong**2 + 2.0 * 4e-4 * wrong).sum()
    assert share > right.share + 5.0 * right.error


def test_the_integral_equation_is_what_is_known_in_closed_form():
    """Without gas the overshoot of a far barrier, without time between blocks the threshold alone, and one by hand."""
    mean, square = pools.beyond_band(3e-3, 0.0, 1e-4)
    assert mean == pytest.approx(1e-4 / math.sqrt(2.0), rel=0.02)
    assert square == pytest.approx(math.sqrt(2.0) * pools.OVERSHOOT * 1e-8, rel=0.02)
    for band, block_time in ((5e-4, 2.0), (3e-3, 12.0), (7e-4, 0.25)):
        share = pools.loss_share(band, 0.0, pools.per_block(block_time))
        assert share == pytest.approx(pools.arbitrage_share(-math.expm1(-band), block_time, "slots"), rel=0.01)
    threshold = math.sqrt(8.0 * 2.0 / 5e7)
    assert pools.loss_share(5e-4, threshold, 1e-5) == pytest.approx(threshold / (1e-3 + threshold), rel=0.02)
    draws = np.random.default_rng(1)
    gap, found = 0.0, []
    for step in draws.normal(0.0, 3e-4, 200_000):
        gap += step
        if abs(gap) > 8e-4:
            found.append(abs(gap) - 5e-4)
            gap = math.copysign(5e-4, gap)
    mean, square = pools.beyond_band(5e-4, 3e-4, 3e-4)
    assert np.mean(found) == pytest.approx(mean, rel=0.01)
    assert np.mean(np.square(found)) == pytest.approx(square, rel=0.02)


def test_a_wrong_batch_is_noticed(monkeypatch):
    right = batches.best_batch
    monkeypatch.setattr(batches, "best_batch", lambda *costs: 1.1 * right(*costs))
    wrong = failed(run_validation(["V40"], quick=True))
    assert sum("transactions of a batch" in what for what in wrong) == 3


def test_a_wrong_price_of_waiting_is_noticed(monkeypatch):
    right = settlement_latency.exponential_bound
    monkeypatch.setattr(settlement_latency, "exponential_bound", lambda *case: 1.1 * right(*case))
    rows = settlement_latency._gaps(500)
    assert sum("largest gap" in what for what in failed(rows)) == 4


def test_prices_of_waiting():
    exponential, bound = settlement_latency.exponential_bound, settlement_latency.bound
    assert exponential(100.0, 1e-5, 2.0) == pytest.approx(-math.log(0.9) / 100.0)
    assert exponential(100.0, 1e-4, 2.0) == math.inf  # nobody trades on any gap
    assert bound(100.0, 1e-5, 2.0, 1.0) == pytest.approx(exponential(100.0, 1e-5, 2.0))
    assert bound(100.0, 1e-5, 2.0, 1e9) == pytest.approx(bound(100.0, 1e-5, 2.0, math.inf), rel=1e-6)
    spread = settlement_latency.second_order_bound(100.0, 1e-5, 2.0, 4.0) - 100.0 * 1e-5
    assert spread == pytest.approx(100.0**3 / 8.0 * 1e-10 * 4.0)


def test_a_wrong_queue_is_noticed(monkeypatch):
    right = queue.mean_backlog
    monkeypatch.setattr(queue, "mean_backlog", lambda load, capacity: 2.0 * right(load, capacity))
    rows = run_validation(["V7"], quick=True)
    backlogs = [row.what for row in rows if row.what.startswith("mean backlog")]
    assert set(backlogs) <= set(failed(rows))


def test_a_wrong_throughput_is_noticed(monkeypatch):
    monkeypatch.setattr(throughput, "GAS", 124_000)
    carried, _ = throughput.overload(60_000_000, 150_000, size=100, blocks=2)
    monkeypatch.setattr(throughput, "GAS", 125_000)
    right, _ = throughput.overload(60_000_000, 150_000, size=100, blocks=2)
    assert (carried, right) == (483, 480)
    monkeypatch.setattr(throughput, "throughput", lambda *capacity: (127.0, "bytes"))
    assert failed(run_validation(["V7b"], quick=True))


def test_a_wrong_spread_is_noticed(monkeypatch):
    class Wider(spread_meter.FixedQuotes):
        def __init__(self, model, spread_usd, size):
            super().__init__(model, 1.1 * spread_usd, size)

    monkeypatch.setattr(spread_meter, "FixedQuotes", Wider)
    rows = run_validation(["V13"], quick=True)
    assert failed(rows) == [row.what for row in rows]


def test_a_wei_that_is_lost_is_noticed(monkeypatch):
    right = conservation.gas_paid

    def one_wei_off(transactions):
        paid, base_fees, tips = right(transactions)
        return {**paid, max(paid): paid[max(paid)] + 1}, base_fees - 1, tips

    monkeypatch.setattr(conservation, "gas_paid", one_wei_off)
    rows = conservation._reconcile(seed=1, funding_interval_s=1e6, blocks=20)
    assert [row.what.split(":")[0] for row in rows if not row.passed] == [
        "burned wei less base fees on the tape",
        "accounts that the tapes do not explain",
    ]
    assert rows[-1].simulation == 2  # the sender and BURNED


def test_a_ledger_that_does_not_add_up_is_noticed(monkeypatch):
    class Counterfeiter(conservation.Churner):
        def act(self):
            self.world.venues[0]["ledger"]["accounts"]["cash"][self.account] += 1

    monkeypatch.setattr(conservation, "Churner", Counterfeiter)
    rows = conservation._reconcile(seed=1, funding_interval_s=1e6, blocks=20)
    assert rows[0].simulation == 20
    assert not rows[0].passed
    assert rows[-1].simulation == 1


def test_the_conservation_run_has_every_kind_of_agent_and_transaction():
    scenario = conservation._scenario(60.0)
    market = Market(scenario, seed=420)
    conservation.Churner(market)
    market.run_for(600.0)
    transactions, ledger = market.transactions(), market.ledger()
    assert set(transactions["kind"]) == {"transfer", "place", "cancel", "replace", "quote", "swap"}
    roles = set(ledger.loc[transactions["sender"].unique(), "role"])
    assert {"background users", "maker", "noise", "informed", "arbitrageur", "own"} <= roles
    assert {"pool_arbitrageur", "swapper"} <= roles
    assert set(market.trades()["pool"]) == {"", "PRODUCT", "RANGES"}
    assert ledger["cash_micro_usd"][3] > 0  # funding was paid: its rounding lies on ROUNDING
    assert set(market.trades()["instrument"]) == {conservation.PERPETUAL, conservation.SPOT}


# The closed forms.


@pytest.mark.parametrize(
    ("law", "ratio", "scale", "shape", "price", "elasticity"),
    [
        ("exponential", 4.0, 1.0, 1.0, 1.386294, 1.386294),
        ("exponential", 20.0, 1.0, 1.0, 2.995732, 2.995732),
        ("uniform", 4.0, 10.0, 1.0, 7.5, 3.0),
        ("pareto", 4.0, 10.0, 2.0, 20.0, 2.0),
    ],
)
def test_clearing_price(law, ratio, scale, shape, price, elasticity):
    assert fee_market.clearing_price(law, ratio, scale, shape) == pytest.approx(price, abs=1e-6)
    assert fee_market.clearing_price(law, 1.0, scale, shape) == 0.0
    assert fee_market.demand_elasticity(law, ratio, shape) == pytest.approx(elasticity, abs=1e-6)


@pytest.mark.parametrize(
    ("ratio", "persistence", "sd"),
    [(1.5, 0.9493, 0.03247), (2.0, 0.9134, 0.02507), (4.0, 0.8267, 0.01814), (20.0, 0.6255, 0.01308)],
)
def test_linear_response(ratio, persistence, sd):
    elasticity = math.log(ratio)
    assert fee_market.fee_persistence(elasticity) == pytest.approx(persistence, abs=5e-5)
    assert fee_market.fee_noise(elasticity, 150) == pytest.approx(sd, abs=5e-6)


def test_use_at_elasticity_30():
    uses = [use for _, use in fee_market.fee_map(EIP1559(), 30.0, 10_000)][1_000:]
    assert np.mean(uses) == pytest.approx(1.0556, abs=5e-4)


@given(
    base_fee=st.integers(0, 10**15),
    gas_limit=st.integers(5_000, 10**9),
    share=st.floats(0, 1),
    elasticity=st.integers(1, 10),
    denominator=st.integers(1, 1_000),
)
@settings(max_examples=300, deadline=None)
def test_recomputed_base_fee_agrees_with_the_rule(base_fee, gas_limit, share, elasticity, denominator):
    rule = EIP1559(elasticity, denominator)
    used = int(share * gas_limit)
    assert fee_market.recomputed_base_fee(base_fee, used, gas_limit, rule) == rule.after_block(
        base_fee, used, gas_limit
    )


@pytest.mark.parametrize(
    ("load", "capacity", "backlog", "wait"),
    [
        (8.0, 10, 0.8786, 0.6098),
        (9.5, 10, 7.952, 1.337),
        (90.0, 100, 1.110, 0.5123),
        (95.0, 100, 5.077, 0.5534),
        (99.0, 100, 44.10, 0.9454),
    ],
)
def test_bulk_service(load, capacity, backlog, wait):
    assert queue.mean_backlog(load, capacity) == pytest.approx(backlog, rel=2e-4)
    assert queue.mean_wait(load, capacity) == pytest.approx(wait, rel=2e-4)


def test_heavy_traffic_limit():
    load = 999.0
    limit = load / (2 * (1_000 - load)) - 0.5826 * math.sqrt(load)
    assert queue.mean_backlog(load, 1_000) == pytest.approx(limit, rel=2e-3)


def test_a_queue_without_a_stationary_state_is_refused():
    with pytest.raises(ValueError, match="load is 10"):
        queue.mean_backlog(10.0, 10)


def test_data_throughput():
    names = [round(throughput.data_throughput(blobs)) for blobs in throughput.TARGET_BLOBS.values()]
    assert names == [317, 635, 1058, 1481]


def test_roll_spread_of_random_sides():
    sides = np.random.default_rng(1).choice([-1.0, 1.0], size=200_000)
    spread, error = spread_meter.roll_spread(100.0 + 0.5 * sides)
    assert spread == pytest.approx(1.0, abs=4 * error)
    assert error < 0.01


def test_roll_spread_of_a_trend_is_refused():
    with pytest.raises(ValueError, match="it must be negative"):
        spread_meter.roll_spread(np.arange(100.0))


# The frame.


def test_a_comparison_passes_within_its_tolerance_or_three_standard_errors():
    assert compare("X", "", 100.0, 101.0, relative=0.01).passed
    assert not compare("X", "", 100.0, 101.1, relative=0.01).passed
    assert compare("X", "", 100.0, 101.1, relative=0.01, standard_error=0.4).passed
    assert not compare("X", "", 100.0, 101.3, relative=0.01, standard_error=0.4).passed
    assert compare("X", "", 0.0, 0.01, absolute=0.01).passed
    assert not compare("X", "", 0.0, 0.02, absolute=0.01).passed
    assert compare("X", "", 3, 3).passed
    assert not compare("X", "", 3, 4).passed
    assert not compare("X", "", 3.0, math.nan, relative=0.5, standard_error=1.0).passed


def test_a_comparison_states_tolerance_and_interval():
    row = compare("X", "w", 1.0, 1.0, relative=0.005, standard_error=0.1)
    assert row.tolerance == "0.5 % or 3 s.e."
    assert (row.low, row.high) == pytest.approx((0.804, 1.196), abs=1e-4)
    assert compare("X", "w", 1.0, 1.0).tolerance == "exact"
    assert compare("X", "w", 1.0, 1.0, absolute=0.01).tolerance == "±0.01"


def test_contradictory_comparisons_are_refused():
    with pytest.raises(ValueError, match="both were given"):
        compare("X", "", 1.0, 1.0, relative=0.1, absolute=0.1)
    with pytest.raises(ValueError, match="an exact comparison has none"):
        compare("X", "", 1.0, 1.0, standard_error=0.1)


def test_targets_are_ordered_by_number():
    names = [name for name in all_targets() if name in NAMES]
    assert tuple(names) == NAMES


def test_an_unknown_target_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"there is no validation target 'v7B' \(did you mean 'V7b'\?\)"):
        run_validation(["v7B"])


def test_a_target_of_ones_own():
    @target("X9")
    def nothing(quick: bool) -> list[Row]:
        return [compare("X9", "nothing", 0, 0, note=str(quick))]

    try:
        [row] = run_validation(["X9"], quick=True)
    finally:
        del TARGETS["X9"]
    assert row.passed
    assert row.note == "True"


def test_nothing_happens_in_a_bare_scenario():
    market = Market(bare_scenario({"duration_s": 100.0}), seed=1)
    market.run_for(100.0)
    blocks = market.blocks()
    assert blocks["transactions"].sum() == 0
    assert blocks["external_price_usd"].nunique() <= 1


def test_settings_are_laid_over_the_bare_ones():
    scenario = bare_scenario({"background_users": {"arrivals_per_s": 3.0}})
    assert scenario.background_users.arrivals_per_s == 3.0
    assert scenario.background_users.burst_sd == 0.0
    assert scenario.market_makers.count == 0


def test_standard_error_of_a_mean():
    values = np.random.default_rng(2).normal(size=40_000)
    mean, error = mean_with_error(values)
    assert error == pytest.approx(0.005, rel=0.35)
    assert abs(mean) < 4 * error
    with pytest.raises(ValueError, match="at least 40"):
        mean_with_error(values[:39])


def test_standard_error_of_a_correlated_mean():
    # Each value counts four times: the error is twice that of independent values.
    values = np.repeat(np.random.default_rng(3).normal(size=10_000), 4)
    assert mean_with_error(values)[1] == pytest.approx(0.01, rel=0.35)


def test_ratio_of_sums():
    rng = np.random.default_rng(4)
    below = rng.integers(1, 5, size=40_000)
    ratio, error = ratio_with_error(3.0 * below, below)
    assert (ratio, error) == pytest.approx((3.0, 0.0), abs=1e-12)
