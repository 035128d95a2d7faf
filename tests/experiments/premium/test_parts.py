import numpy as np
import pytest

from blockspace.experiments.premium.hedging import OUTCOME, TERMS
from blockspace.experiments.premium.parts import (
    MOMENTS,
    PARTS,
    discount_parts,
    holder_moments,
    moments,
    premium_parts,
    resampled_interval,
    seed_contributions,
)

AVERSION = 3e-3


def some_outcomes(*shape, seed=1):
    generator = np.random.default_rng(seed)
    outcomes = np.zeros(shape, OUTCOME)
    outcomes["trades"] = generator.poisson(20, shape)
    outcomes["gas_usd"] = outcomes["trades"] * generator.lognormal(0, 0.5, shape)
    outcomes["loss_usd"] = generator.normal(0, 30, shape) + 0.5 * outcomes["gas_usd"]
    return outcomes


def test_parts_add_up_to_mean_and_variance_of_all_costs():
    outcomes = some_outcomes(500)
    parts = premium_parts(moments(outcomes), AVERSION)
    assert parts["premium_usd"] == sum(parts[name] for name in PARTS)
    gas, loss = outcomes["gas_usd"], outcomes["loss_usd"]
    # The mean of the loss is known to be nothing, and is not part of the premium; its square stays in the variance.
    costs = gas + loss
    certainty_equivalent = gas.mean() + AVERSION / 2 * (costs.var() + loss.mean() ** 2)
    assert parts["premium_usd"] == pytest.approx(certainty_equivalent, rel=1e-12)
    assert parts["gas_variance_usd"] == pytest.approx(AVERSION / 2 * gas.var(), rel=1e-9)
    assert parts["covariance_usd"] == pytest.approx(AVERSION * np.cov(gas, loss, bias=True)[0, 1], rel=1e-9)
    assert parts["mean_loss_usd"] == pytest.approx(loss.mean())
    assert parts["trades"] == outcomes["trades"].mean()


def test_gas_that_never_varies_has_neither_risk_nor_covariance():
    outcomes = some_outcomes(200)
    outcomes["gas_usd"] = 7.0
    parts = premium_parts(moments(outcomes), AVERSION)
    assert parts["gas_usd"] == pytest.approx(7.0)
    assert parts["gas_variance_usd"] == pytest.approx(0.0, abs=1e-12)
    assert parts["covariance_usd"] == pytest.approx(0.0, abs=1e-12)


def test_contributions_of_seeds_have_the_parts_of_all_as_their_means():
    outcomes = some_outcomes(5, 40, 3)  # seeds, contracts, policies
    per_seed = np.array([moments(seed) for seed in outcomes])
    assert per_seed.shape == (5, 3, len(MOMENTS))
    together = premium_parts(moments(outcomes.reshape(200, 3)), AVERSION)
    for name, values in seed_contributions(per_seed, AVERSION).items():
        assert values.shape == (5, 3)
        assert values.mean(axis=0) == pytest.approx(together[name], rel=1e-9), name


def test_what_a_holder_gives_up():
    terms = np.array([(5.0, 0.0, 2.0), (5.0, 1.5, 2.0), (8.0, 30.0, 2.0)], TERMS)
    value, forgone, square = holder_moments(terms)
    assert (value, forgone) == (pytest.approx(6.0), pytest.approx((0.0 + 1.5 + 2.0) / 3))
    discount = discount_parts(np.array([value, forgone, square]), AVERSION)["discount_usd"]
    assert discount == pytest.approx(forgone + AVERSION / 2 * np.var([0.0, 1.5, 2.0]))


def test_intervals_from_resampled_seeds_are_those_of_students_law_or_nearly():
    values = np.random.default_rng(3).normal(10, 2, 40)
    low, high = resampled_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.1)
    assert resampled_interval(values) == (low, high)
    assert resampled_interval([4.0, 4.0, 4.0]) == (4.0, 4.0)
    with pytest.raises(ValueError, match="the number of seeds is 1; to draw them anew there must be at least 2"):
        resampled_interval([1.0])
