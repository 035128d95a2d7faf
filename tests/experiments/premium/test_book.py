import math

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.premium.book import STRIKES, OptionBook
from blockspace.experiments.premium.parts import HOLDER_MOMENTS, MOMENTS
from blockspace.experiments.premium.paths import fair_drift, fee_path
from blockspace.experiments.scenario import change_settings
from blockspace.experiments.studies.option_premium import users_alone
from blockspace.markets.options.black_scholes import CALL, PUT

BOOK = OptionBook((("a", 600.0), ("b", 1_200.0)), starts=5, clocks_s=(60.0, 300.0), beliefs=(1.0,), latencies=(1, 4))


def market_of(overrides=None, seed=1, seconds=3_000.0):
    scenario = change_settings(users_alone(2.0), {"duration_s": seconds, "warm_up_s": 600.0, **(overrides or {})})
    market = Market(scenario, seed, "none")
    market.run_for(scenario.duration_s)
    return market


@pytest.fixture(scope="module")
def market():
    return market_of()


def test_a_path_is_what_blocks_show_after_the_warm_up(market):
    path, blocks = fee_path(market), market.blocks()
    blocks = blocks[blocks["time_s"] > 600.0]
    assert path.times_ns[0] == 612 * 10**9
    assert len(path.times_ns) == len(blocks) == 200
    assert path.prices_usd.tolist() == blocks["external_price_usd"].tolist()
    tips = np.maximum(blocks["marginal_tip_gwei"], 0.1)
    assert (blocks["marginal_tip_gwei"] > 0.1).any() or (blocks["utilisation"] < 1).all()
    assert path.fees_usd == pytest.approx((blocks["base_fee_gwei"] + tips) * 1e-9 * blocks["external_price_usd"])
    assert path.volatility == pytest.approx(0.035 * math.sqrt(365))


def test_gas_paid_in_a_token_of_fixed_price():
    path = fee_path(market_of({"venue.gas_token": "fixed", "venue.gas_token_usd": 1_000.0}, seconds=900.0))
    ether = fee_path(market_of(seconds=900.0))
    assert path.fees_usd * ether.prices_usd / 1_000.0 == pytest.approx(ether.fees_usd)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"price.jumps_per_day": 50.0}, r"price.jumps_per_day is 50.0; it must be 0.0 where options are written"),
        ({"price.drift_per_day": 0.1}, r"price.drift_per_day is 0.1; it must be -0.0006"),
        ({"price.volatility_of_volatility_per_sqrt_day": 1.0}, r"sqrt_day is 1.0; it must be 0.0"),
    ],
)
def test_prices_without_one_true_volatility_are_refused(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        fee_path(market_of(overrides, seconds=700.0))


def test_contracts_are_spread_over_the_run(market):
    path = fee_path(market)
    for name, deviations in STRIKES.items():
        contracts = BOOK.contracts(path, 600.0, deviations)
        assert contracts["first"][0] == 0
        assert contracts["last"][-1] == len(path.times_ns) - 1
        assert set(contracts["last"] - contracts["first"]) == {50}
        assert set(contracts["kind"]) == {PUT if name == "put" else CALL}
        distance = np.log(contracts["strike"] / path.prices_usd[contracts["first"]])
        assert distance == pytest.approx(deviations * 0.035 * math.sqrt(600 / 86_400), abs=1e-12)


def test_a_run_that_is_too_short_is_refused_in_a_sentence(market):
    with pytest.raises(ValueError, match=r"duration_s less warm_up_s leaves 2388 seconds; it must leave at least 9000"):
        BOOK.contracts(fee_path(market), 9_000.0, 0.0)


def test_what_is_kept_of_a_run(market):
    kept = BOOK(market)
    policies = ["clock_60s", "clock_300s", "band_1", "clock_60s_late_4", "clock_300s_late_4"]
    assert BOOK.policy_names == policies
    assert BOOK.policies()["latency"].tolist() == [1, 1, 1, 4, 4]
    options = [f"options.{maturity}.{strike}" for maturity in "ab" for strike in STRIKES]
    wanted = [f"{option}.{name}" for option in options for name in HOLDER_MOMENTS]
    wanted += [f"{option}.{policy}.{name}" for option in options for policy in policies for name in MOMENTS]
    assert set(kept) == set(wanted)
    assert all(math.isfinite(value) for value in kept.values())
    assert kept["options.a.atm.clock_60s.trades"] == 10.0
    assert kept["options.a.atm.clock_60s.trades"] > kept["options.a.atm.clock_300s.trades"]
    assert kept == BOOK(market)


def test_the_same_prices_at_every_capacity():
    few, many = (market_of({"chain.gas_limit": limit}, seconds=1_500.0) for limit in (10_000_000, 200_000_000))
    assert fee_path(few).prices_usd.tolist() == fee_path(many).prices_usd.tolist()
    assert fee_path(few).fees_usd[-1] > 10 * fee_path(many).fees_usd[-1]
    book = OptionBook((("a", 600.0),), 3, (60.0,), (), strikes=("atm",))
    dear, cheap = book(few), book(many)
    assert dear["options.a.atm.clock_60s.loss_usd"] == cheap["options.a.atm.clock_60s.loss_usd"]
    assert dear["options.a.atm.clock_60s.gas_usd"] > cheap["options.a.atm.clock_60s.gas_usd"]


def test_a_fair_price_drifts_by_half_its_variance():
    assert fair_drift(0.035) == -0.0006125000000000001
