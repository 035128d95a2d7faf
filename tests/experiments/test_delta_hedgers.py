"""Desks that hedge what clients bring, in a whole market: what gas does to how often they hedge."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.reports.tables import summary_groups
from blockspace.experiments.scenario import scenario_from

GWEI = 10**9
HEDGES = ("band", "clock")


def market_with(hedge, fee_wei, seed=3, seconds=6_000):
    market = Market(
        scenario_from(
            {
                "duration_s": seconds,
                "warm_up_s": 1_200,
                "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000},
                "fee_market": {"rule": "fixed", "base_fee_wei": fee_wei},
                "topology": {"validators": 1},
                "background_users": {"arrivals_per_s": 0.1},
                "noise_traders": {"count": 10, "orders_per_s": 0.1},
                "informed_traders": {"count": 0},
                "arbitrageurs": {"count": 2},
                "options": {"expiries_days": [1 / 24, 1.0], "strikes_per_expiry": 3},
                "option_makers": {"count": 2},
                "delta_hedgers": {"count": 4, "hedge": hedge, "arrival_share": 0.1},
            }
        ),
        seed=seed,
    )
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def markets():
    return {(hedge, gwei): market_with(hedge, int(gwei * GWEI)) for hedge in HEDGES for gwei in (0.01, 20.0)}


@pytest.mark.parametrize("hedge", HEDGES)
def test_dearer_gas_means_fewer_hedges_and_a_gap_that_stays_bounded(markets, hedge):
    cheap, dear = (markets[hedge, gwei].summary() for gwei in (0.01, 20.0))
    assert cheap["delta_hedger_hedges_per_h"] > 1.5 * dear["delta_hedger_hedges_per_h"] > 0.0
    assert cheap["delta_hedger_gap_share"] < 0.3
    assert dear["delta_hedger_gap_share"] < 0.6
    if hedge == "band":  # a clock also hedges whenever its book has changed, whatever gas costs
        assert cheap["delta_hedger_gap_share"] < dear["delta_hedger_gap_share"]
    assert cheap["gas_delta_hedger_usd_per_h"] < dear["gas_delta_hedger_usd_per_h"]


def test_clients_come_with_each_expiry_whatever_gas_costs(markets):
    """What is asked for is drawn for the desk and the expiry: only how much of it is filled depends on the chain."""
    wanted = [market.world.delta_hedgers["mandates"][["listing", "lots", "arrives"]] for market in markets.values()]
    for other in wanted[1:]:
        assert (wanted[0][:, :2] == other[:, :2]).all()
    lots = wanted[0]["lots"][:, :2]
    assert (lots > 0).any()
    assert (lots < 0).any()
    assert (wanted[0]["arrives"][:, 0] >= 3_600 * GWEI).all(), "no new client at the roll"


def test_what_desks_believe_to_hold_is_what_they_hold(markets):
    """But for what traded in the last moments, which they have not seen yet."""
    for market in markets.values():
        trades = market.trades()
        late = trades.loc[trades["time_s"] > market.time - 10.0, "size"].sum() / 0.001
        accounts = market.world.venues[0]["ledger"]["accounts"]
        for desk in market.world.delta_hedgers:
            held = accounts["position"][desk["account"]]
            assert abs(held[desk["underlying"]] - desk["hedge"]) <= late
            for mandate in desk["mandates"][:2]:
                assert abs(held[mandate["number"]] - mandate["position"]) <= late
                assert 0 <= mandate["position"] / mandate["lots"] <= 1
        options = trades[trades["taker"].isin(market.world.delta_hedgers["account"]) & (trades["series"] >= 0)]
        assert options["size"].sum() == pytest.approx(market.world.delta_hedgers["units_traded"].sum(), abs=late * 0.01)


def test_measures_are_in_the_report(markets):
    market = markets["band", 0.01]
    groups = dict(summary_groups(market.world.scenario))
    summary = market.summary()
    assert all(np.isfinite(summary[measure]) for _, measure, _ in groups["Delta hedgers"])
    assert "delta_hedger" in set(market.ledger()["role"])
