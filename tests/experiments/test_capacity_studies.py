"""What finality, validators and data availability do to a market: measures recomputed, and the studies in miniature."""

import types
from dataclasses import replace

import numpy as np
import pytest

from blockspace.experiments import Market, studies
from blockspace.experiments.reports import report
from blockspace.experiments.scenario import change_settings
from blockspace.experiments.studies import data_availability, decentralisation, finality
from blockspace.experiments.sweeps import conduct
from blockspace.experiments.sweeps.conduct import run_study
from blockspace.network.decentralisation import decentralisation_measures


def finished(study, name, seconds, tapes="none", **settings):
    """A market at a point of a study, and what the study measures of it beside its summary."""
    sweep = study.sweep(False, (1,))
    point = next(point for point in sweep.points if point.name == name)
    short = {"duration_s": seconds, "warm_up_s": seconds / 4.0}
    market = Market(change_settings(sweep.scenario, {**point.overrides, **short, **settings}), seed=1, tapes=tapes)
    market.run_for(seconds)
    market.check()
    return market, sweep.measurement(market)


def test_what_is_traded_and_not_final_is_recomputed_from_the_blocks():
    market, found = finished(finality, "sequencer, 12 s", 1_200.0, "memory")
    trades = market.trades()
    trades = trades[trades["time_s"] > 300.0]
    # With a checkpoint in every block of a sequencer whose word is taken at once, the next block makes one final.
    value = float((trades["price_usd"] * trades["size"]).sum())
    assert found["value_at_risk_usd"] == pytest.approx(value * market.summary()["final_after_s"] / 900.0, rel=1e-3)
    assert 3.0 < found["order_delay_median_s"] < 9.0


def test_a_hedge_misses_what_the_price_does_while_it_is_late():
    late, prompt = (finished(finality, f"sequencer, {time:g} s", 1_200.0, "memory") for time in (12.0, 0.25))
    assert prompt[1]["hedging_error_bps"] < 0.5 * late[1]["hedging_error_bps"]
    daily = late[0].world.scenario.price.volatility_per_day
    # Orders wait for half a block on average, and the variance of what they miss grows with the wait.
    assert late[1]["hedging_error_bps"] == pytest.approx(1e4 * daily * (6.0 / 86_400.0) ** 0.5, rel=0.5)
    nowhere = finished(finality, "all in one place, 0.25 s", 1_200.0, "memory")[1]
    assert nowhere["order_delay_median_s"] < prompt[1]["order_delay_median_s"]


@pytest.fixture(scope="module")
def validators():
    """Chains of two sizes by their names: as it is, and sixteen times as large."""
    return {name: finished(decentralisation, name, 4_000.0) for name in ("5 Mgas/s", "80 Mgas/s, larger blocks")}


def test_large_blocks_are_late_and_those_at_home_go(validators):
    (_, before), (_, after) = validators.values()
    assert before["slots_missed_percent"] == 0.0
    assert before["validators_that_keep_up_percent"] == 100.0
    assert after["home_slots_missed_percent"] > 50.0 > after["data_centre_slots_missed_percent"]
    assert after["validators_that_keep_up_percent"] < 50.0
    assert after["profit_hhi"] > before["profit_hhi"]


def test_concentration_of_profit_is_that_of_the_validators_who_stay(validators):
    for market, found in validators.values():
        rows = market.world.validators.rows
        profit = np.maximum(rows["profit_usd_per_month"][rows["active"] == 1], 0.0)
        assert found["profit_hhi"] == pytest.approx(decentralisation_measures(profit)["hhi"])
        assert found["home_stake_percent"] == pytest.approx(100.0 * rows["stake_share"][rows["at_home"] == 1].sum())


def test_both_ways_come_to_the_same_capacity():
    points = decentralisation.sweep(False, (1,)).points
    for point in points:
        per_s = point.overrides["chain.gas_limit"] / point.overrides["chain.block_time_s"]
        assert per_s * 1e-6 == pytest.approx(point.values[decentralisation.X])


def test_finality_holds_gas_per_second():
    for point in finality.sweep(False, (1,)).points:
        per_s = point.overrides["chain.gas_limit"] / point.overrides["chain.block_time_s"]
        assert per_s == pytest.approx(finality.GAS_PER_SECOND)


def test_data_in_the_fee_of_an_order_grow_where_blobs_are_contested():
    names = ("blobs 3/6, batch", "blobs 14/21, batch, as in 2026", "blobs 3/6, state differences")
    contested, quiet, differences = (finished(data_availability, name, 2_400.0) for name in names)
    assert contested[1]["blob_base_fee_gwei"] > 20.0 * quiet[1]["blob_base_fee_gwei"]
    assert contested[1]["data_percent_of_order_fee"] > 30.0 > quiet[1]["data_percent_of_order_fee"] > 0.0
    assert contested[0].summary()["order_fee_usd"] > quiet[0].summary()["order_fee_usd"]
    posted = [market.summary()["posted_bytes_per_transaction"] for market, _ in (contested, differences)]
    assert posted[1] < 0.5 * posted[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "seconds"), [(finality, 900.0), (decentralisation, 4_000.0), (data_availability, 1_200.0)]
)
def test_the_study_in_miniature(study, seconds, tmp_path, monkeypatch):
    def sweep(quick, seeds):
        whole = study.sweep(quick, seeds)
        return replace(
            whole, scenario=whole.scenario.model_copy(update={"duration_s": seconds, "warm_up_s": seconds / 3.0})
        )

    name = study.__name__.rpartition(".")[2]
    miniature = types.SimpleNamespace(**{**vars(study), "sweep": sweep})
    for module in (studies, conduct, report):
        monkeypatch.setattr(module, "STUDIES", {name: miniature})
    run_study(name, quick=True, seeds=2, jobs=1, out=tmp_path, quiet=True)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "findings.md").read_text()
    assert text.count("\n- ") >= 5
    assert "nan" not in text
