import numpy as np
import pytest

from blockspace.experiments.premium.hedging import CONTRACT, POLICY, hedge
from blockspace.experiments.premium.paths import FeePath
from blockspace.markets.options.black_scholes import CALL, PUT, price_option

from .slow_hedging import slow_hedge

SECOND = 10**9


def some_path(blocks=400, seed=1, volatility=0.8):
    generator = np.random.default_rng(seed)
    step = volatility * np.sqrt(12.0 / (365 * 86_400))
    prices = 3_000.0 * np.exp(np.cumsum(generator.normal(0, step, blocks)))
    fees = 1e-4 * np.exp(generator.normal(0, 0.5, blocks))
    return FeePath(np.arange(blocks) * 12 * SECOND, prices, fees, volatility)


def some_contracts():
    rows = [(0, 100, 3_000.0, CALL, 1_000.0), (50, 399, 2_990.0, PUT, 10.0), (200, 201, 3_010.0, CALL, 1.0)]
    return np.array(rows, CONTRACT)


POLICIES = np.array(
    [(60 * SECOND, 0.0, 1), (0, 1.0, 1), (0, 0.25, 7), (300 * SECOND, 0.0, 0), (60 * SECOND, 0.0, 12), (0, 0.0, 1)],
    POLICY,
)


def test_the_kernel_does_what_its_slow_twin_does():
    path, contracts = some_path(), some_contracts()
    _, outcomes = hedge(path, contracts, POLICIES, 120_000, 120_000, 1e-4)
    for row, contract in enumerate(contracts):
        for column, policy in enumerate(POLICIES):
            trades, gas, loss = slow_hedge(path, contract, policy, 120_000, 1e-4)
            outcome = outcomes[row, column]
            assert outcome["trades"] == trades
            assert outcome["gas_usd"] == pytest.approx(gas, rel=1e-12)
            assert outcome["loss_usd"] == pytest.approx(loss, rel=1e-9, abs=1e-8)
    assert len({int(count) for count in outcomes["trades"][0]}) > 3


def test_policies_do_not_know_of_each_other():
    path, contracts = some_path(), some_contracts()
    together = hedge(path, contracts, POLICIES, 120_000, 0, 1e-4)[1]
    alone = [hedge(path, contracts, POLICIES[[k]], 120_000, 0, 1e-4)[1] for k in range(len(POLICIES))]
    assert together.tolist() == np.concatenate(alone, axis=1).tolist()


def test_a_trade_pays_the_fee_of_the_block_that_executes_it():
    path = some_path(blocks=11)
    dear = path.fees_usd.copy()
    contracts = np.array([(0, 10, 3_000.0, CALL, 1.0)], CONTRACT)
    once = np.array([(60 * SECOND, 0.0, 2)], POLICY)  # decides at block 5; a second look at 10 comes too late
    dear[7] *= 10.0
    cheap, later = (
        hedge(FeePath(path.times_ns, path.prices_usd, fees, 0.8), contracts, once, 1.0, 0.0, 1.0)[1][0, 0]
        for fees in (path.fees_usd, dear)
    )
    assert cheap["trades"] == later["trades"] == 2
    assert cheap["gas_usd"] == pytest.approx(path.fees_usd[0] + path.fees_usd[7])
    assert later["gas_usd"] == pytest.approx(path.fees_usd[0] + 10.0 * path.fees_usd[7])
    assert cheap["loss_usd"] == later["loss_usd"]


def test_terms_are_those_of_the_option():
    path, contracts = some_path(), some_contracts()
    terms, _ = hedge(path, contracts, POLICIES[:1], 0.0, 50_000, 1.0)
    years = 100 * 12 / (365 * 86_400)
    assert terms["value_usd"][0] == pytest.approx(
        1_000 * price_option("call", path.prices_usd[0], 3_000.0, years, 0.8).value
    )
    assert terms["payoff_usd"].tolist() == [
        1_000 * max(0.0, path.prices_usd[100] - 3_000.0),
        10 * max(0.0, 2_990.0 - path.prices_usd[399]),
        max(0.0, path.prices_usd[201] - 3_010.0),
    ]
    assert terms["exercise_usd"] == pytest.approx(50_000 * path.fees_usd[[100, 399, 201]])


def test_a_put_is_hedged_with_the_losses_of_the_call():
    path = some_path()
    both = np.array([(0, 300, 3_000.0, kind, 5.0) for kind in (CALL, PUT)], CONTRACT)
    _, outcomes = hedge(path, both, POLICIES, 120_000, 0, 1e-4)
    assert outcomes["loss_usd"][0] == pytest.approx(outcomes["loss_usd"][1], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("field", "value"), [("first", -1), ("last", 400), ("last", 0)])
def test_contracts_off_the_path_are_refused(field, value):
    contracts = some_contracts()[:1]
    contracts[field] = value
    with pytest.raises(ValueError, match="every contract must begin and then expire within the 400 blocks"):
        hedge(some_path(), contracts, POLICIES, 1.0, 1.0, 1.0)


def test_policies_and_aversions_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="latency of a policy is -1; it must be 0 or more"):
        hedge(some_path(), some_contracts(), np.array([(0, 0.0, -1)], POLICY), 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="risk_aversion is 0; it must be positive"):
        hedge(some_path(), some_contracts(), POLICIES, 1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="equally many"):
        FeePath(np.arange(3), np.ones(3), np.ones(2), 0.5)
