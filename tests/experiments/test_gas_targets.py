"""A chain whose base fee follows several gas targets: every block's fee is what the tape of blocks says."""

import math

import pytest

from blockspace.experiments import Market
from blockspace.experiments.scenario import ScenarioError, scenario_from
from tests.reference.comparison import assert_same_run
from tests.reference.world import ReferenceMarket

TARGETS = [[3_000_000, 9], [2_000_000, 60], [1_000_000, 600]]
SECONDS = 120.0


def chain(block_time_s=0.4, **tables):
    """A busy chain with three targets."""
    return {
        "name": "targets",
        "duration_s": SECONDS,
        "warm_up_s": 0.0,
        "chain": {"block_time_s": block_time_s, "gas_limit": 4_000_000},
        "fee_market": {
            "rule": "gas_targets",
            "gas_targets": TARGETS,
            "minimum_base_fee_wei": 10**7,
            "initial_base_fee_wei": 10**7,
        },
        "topology": {"validators": 1},
        "background_users": {"arrivals_per_s": 25.0, "value_gwei": 1.0},
        **tables,
    }


@pytest.fixture(scope="module")
def market():
    market = Market(scenario_from(chain()), seed=1)
    market.run_for(SECONDS)
    market.check()
    return market


def require_fees_as_the_tape_of_blocks_says(market):
    blocks = market.blocks()
    times, used = blocks["time_s"].to_numpy(), blocks["gas_used"].to_numpy()
    backlogs, fees = [0] * len(TARGETS), [10**7]
    for number in range(len(blocks) - 1):
        seconds = math.floor(times[number + 1] + 1e-9) - math.floor(times[number] + 1e-9)
        exponent = 0
        for place, (target, window) in enumerate(TARGETS):
            backlogs[place] = max(backlogs[place] + int(used[number]) - target * seconds, 0)
            exponent += 10_000 * backlogs[place] // (target * window)
        power = 10_000 + exponent // 4
        power = 10_000 + power * exponent // 30_000
        power = 10_000 + power * exponent // 20_000
        power = 10_000 + power * exponent // 10_000
        fees.append(10**7 * power // 10_000)
    assert (blocks["base_fee_gwei"] * 1e9).round().astype(int).tolist() == fees
    assert max(fees) > 1.5 * min(fees)


def test_fees_are_recomputed_from_the_tape_of_blocks(market):
    require_fees_as_the_tape_of_blocks_says(market)


def test_time_passes_over_blocks_that_do_not_count():
    scenario = chain(1.0, topology={"validators": 40}, background_users={"arrivals_per_s": 60.0, "value_gwei": 1.0})
    scenario["chain"] |= {"block_arrivals": "poisson", "gas_limit": 8_000_000}
    market = Market(scenario_from(scenario), seed=1)
    market.run_for(SECONDS)
    assert market.world.chain.number > len(market.blocks()) + 3
    require_fees_as_the_tape_of_blocks_says(market)


@pytest.mark.parametrize("random", [False, True])
def test_the_twin_pays_the_same_fees(random):
    scenario = chain(background_users={"arrivals_per_s": 5.0, "value_gwei": 1.0})
    if random:
        scenario["chain"] |= {"block_arrivals": "poisson"}
        scenario["topology"] = {"validators": 10}
    scenario = scenario_from(scenario)
    market, reference = Market(scenario, seed=2), ReferenceMarket(scenario, seed=2)
    market.run_for(30.0)
    reference.run_until_s(30.0)
    assert_same_run(market, reference)


def test_idle_blocks_pass_as_seconds():
    quiet = {name: {"count": 0} for name in ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")}
    quiet["background_users"] = {"arrivals_per_s": 0.2, "value_gwei": 1.0, "gas_mean": 3_000_000, "gas_variation": 0.0}
    market = Market(scenario_from(chain(0.001, **quiet)), seed=1)
    market.run_for(60.0)
    blocks = market.blocks()
    used = blocks[blocks["gas_used"] > 0]
    assert 3 < len(used) < 30
    whole_seconds = math.floor(market.world.chain.next_time_ns / 1e9) - math.floor(used["time_s"].iloc[-1])
    owed = int(used["gas_used"].iloc[-1])
    assert market.world.chain.fee_rule.backlogs[0] == max(owed - TARGETS[0][0] * whole_seconds, 0)


def test_the_same_after_a_checkpoint(market):
    first, second = (Market(scenario_from(chain()), seed=1) for _ in range(2))
    first.run_for(SECONDS / 2)
    second.restore(first.state())
    second.run_for(SECONDS / 2)
    assert second.fingerprint() == market.fingerprint()


def test_targets_that_make_no_sense_are_refused():
    for targets, said in (([], "gas_targets is empty"), ([[5, 10], [6, 20]], "gas_targets has 6 gas per second")):
        with pytest.raises(ScenarioError, match=f"fee_market: {said}"):
            scenario_from(chain(fee_market={"rule": "gas_targets", "gas_targets": targets}))
