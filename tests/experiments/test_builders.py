"""Builders in a market: who sees what, who gets what, and when."""

import numpy as np
import pytest

from blockspace.agents.builders import BUILDERS, STEPS, BuilderSettings, exclusive_ends
from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.recording.builder_summary import summarise_builders
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.recording.rows import BLOCK_ROW
from blockspace.experiments.scenario import scenario_from
from blockspace.experiments.validation import bare_scenario, builders, run_validation
from blockspace.markets.ledger import ether_wei
from blockspace.network.transaction import TO_PRODUCER

REGIONS = ["london", "tokyo", "sydney"]


def scenario(builders=3, **tables):
    settings = {
        "warm_up_s": 0,
        "chain": {"block_time_s": 2.0, "gas_limit": 3_000_000},
        "topology": {"validators": 9, "regions": REGIONS},
        "builders": {"count": builders, "exclusive_share": 0.5, "relay_region": "tokyo"} if builders else {},
        "price": {"jumps_per_day": 5_000.0},
        **tables,
    }
    return scenario_from(settings)


@pytest.fixture(scope="module")
def market():
    market = Market(scenario(), seed=4)
    market.run_for(1_200)
    return market


def test_money_is_all_there_and_the_proposer_gets_the_bid(market):
    market.check()
    found, blocks = rents(market), market.blocks()
    assert 0 < found["builders_margin_wei"] < found["tips_wei"]
    assert found["tips_of_proposers_wei"] + found["builders_margin_wei"] == found["tips_wei"]
    assert (blocks["bid_usd"] <= blocks["tips_usd"] * 1.5).mean() > 0.9
    summary = market.summary()
    assert summary["rent_builder_usd_per_h"] == pytest.approx(
        summary["builder_share_of_tips"] * (summary["rent_builder_usd_per_h"] + summary["rent_tips_usd_per_h"]),
        rel=1e-6,
    )


def test_exclusive_flow_is_only_in_the_blocks_of_its_builder(market):
    routes = market.world.chain.pools[0]["wallets"]["route"]
    accounts = market.world.noise["account"]
    assert set(routes[accounts]) == {0, 1, 2, 3}
    assert 0.3 < (routes[accounts] > 0).mean() < 0.7
    others = np.setdiff1d(np.arange(len(routes)), accounts)
    assert not routes[others].any()
    tape = market.transactions().merge(market.blocks()[["block", "builder"]], on="block")
    route = routes[tape["sender"]]
    exclusive = tape[route > 0]
    assert len(exclusive) > 20
    assert (exclusive["builder"] == routes[exclusive["sender"]]).all()
    assert tape[(route == 0) & (tape["kind"] == "place")]["builder"].nunique() == 3


def test_background_users_have_wallets_too(market):
    pool = market.world.chain.pools[0]
    pending = pool["transactions"][pool["pending"][: int(pool["count"])]]
    of_users = pending[pending["kind"] == 0]
    shares = np.bincount(of_users["route"], minlength=4) / len(of_users)
    assert shares[1:].min() > 0.02
    assert shares[1:].sum() > 0.3


def test_nothing_reaches_a_block_faster_than_by_way_of_the_relay(market):
    chain = market.world.chain
    plain = Market(scenario(builders=0), seed=4).world.chain
    relay = REGIONS.index("tokyo")
    points = len(chain.access_points)
    for access in range(points):
        detour = plain.between_ns[access, relay] + plain.latency_ns(relay)
        assert np.array_equal(chain.latency_ns(access), detour)
        assert (detour >= plain.latency_ns(access)).all()
    assert np.array_equal(chain.producers["latency_out"], plain.producers["latency"])
    tape = market.transactions()
    nearest = min(int(chain.latency_ns(access).min()) for access in range(points))
    assert nearest > min(int(plain.latency_ns(access).min()) for access in range(points))
    assert (tape["time_s"] - tape["decided_s"]).min() >= nearest * 1e-9 - 1e-10


def test_searchers_are_protected_and_users_are_not(market):
    tape = market.transactions()
    searchers = tape["sender"].isin(market.world.arbitrageurs["account"])
    assert not (tape[searchers]["status"] == "failed").any()
    assert not (tape[~searchers]["status"] == "left out").any()
    rules = market.world.feeds[0]["rules"]
    assert rules["revert_protection"] == rules["bundles"] == 1
    no_bundles = Market(scenario(chain={"ordering": "random_order"}), seed=1).world.feeds[0]["rules"]
    assert (no_bundles["revert_protection"], no_bundles["bundles"]) == (1, 0)
    nobody = Market(scenario(builders=0), seed=1).world.feeds[0]["rules"]
    assert nobody["revert_protection"] == nobody["bundles"] == 0


def test_a_chain_on_which_nobody_is_exclusive_has_builders_alike():
    settings = {"count": 3, "exclusive_share": 0.0}
    market = Market(scenario(builders=settings["count"], **{"arbitrageurs": {"count": 0}}), seed=2)
    assert market.world.chain.pools[0]["wallets"]["route"].any()
    market = Market(scenario_from({"warm_up_s": 0, "builders": settings, "arbitrageurs": {"count": 0}}), seed=2)
    market.run_for(3_600)
    summary = market.summary()
    assert summary["builder_hhi"] < 0.4
    assert summary["builder_share_of_tips"] == pytest.approx(1 / STEPS, rel=1e-6)


def test_shares_of_exclusive_wallets():
    settings = BuilderSettings(count=3, exclusive_share=0.6, concentration=1.0)
    ends = exclusive_ends(settings)
    assert ends[:3] == pytest.approx(0.6 * np.cumsum([6 / 11, 3 / 11, 2 / 11]))
    assert ends.shape == (BUILDERS,)
    assert not exclusive_ends(BuilderSettings()).any()


def test_the_summary_of_builders():
    rows = np.zeros(6, BLOCK_ROW)
    rows["builder"] = [1, 1, 1, 2, 3, 3]
    rows["transactions"] = [5, 1, 1, 2, 0, 0]  # blocks without a transaction count for nobody
    rows["tips_usd"], rows["bid_usd"] = 4.0, 3.0
    found = summarise_builders(rows, 3)
    assert found == pytest.approx({"builder_share_of_tips": 0.25, "builder_hhi": 0.625, "largest_builder_share": 0.75})
    assert summarise_builders(rows, 0) == {}


class Rich(Trader):
    """Tips more for one order than fits into 64 bits of wei."""

    def act(self):
        self.submit("buy", 1.0, 1.0, tip=10**15, max_fee=10**15, expires_after_s=0.0)


TIPS_WEI = 10**15 * 16_000_000


@pytest.mark.parametrize("ether", [1e6, 0.0])
def test_a_builder_pays_its_bid_or_what_it_has(ether):
    """Who bids alone bids all at first; large bids are whole gwei. Where tips are not paid its own ether must do."""
    scenario = bare_scenario(
        {
            "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
            "endowment": {"ether": 0.001},
            "gas": {"place": 16_000_000},
            "builders": {"count": 1},
        }
    )
    market = Market(scenario, seed=1)
    Rich(market, ether=ether)
    market.run_for(13)
    market.check()
    ledger, builder = market.world.venues[0]["ledger"], int(market.world.builders["account"][0])
    bid = TIPS_WEI * (STEPS - 1) // STEPS // 10**9 * 10**9
    assert ether_wei(ledger, builder) == (10**15 + TIPS_WEI - bid if ether else 0)
    assert rents(market)["tips_of_proposers_wei"] == (bid if ether else 10**15)
    assert market.world.builders["step"][0] == 0, "who is alone need not bid"


class Sender(Trader):
    """Sends an order a block by one route."""

    def __init__(self, model, route):
        super().__init__(model)
        self.route = route

    def act(self):
        self.submit("buy", 1.0, 1.0, route=self.route, expires_after_s=0.0, protected=True)


@pytest.mark.parametrize(
    ("count", "routes", "status"), [(0, {0, TO_PRODUCER}, {"failed"}), (2, {0, 1, 2}, {"left out"})]
)
def test_a_route_may_be_chosen(count, routes, status):
    market = Market(bare_scenario({"builders": {"count": count}}), seed=1)
    senders = {Sender(market, route).account: route for route in (0, 1, 2, TO_PRODUCER)}
    market.run_for(1_200)
    tape = market.transactions()
    assert set(tape["sender"].map(senders)) == routes
    assert set(tape["status"]) == status
    assert tape.groupby("block").size().max() == 2
    makers = tape["block"].map(market.blocks().set_index("block")["builder"])
    found = tape["sender"].map(senders)
    assert ((found == 0) | (found == makers) | (found == TO_PRODUCER)).all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({"route": 17}, "route is 17; it may be 0 for everybody"), ({"placement": "beside"}, "placement is 'beside'; it")],
)
def test_a_wrong_way_of_handing_in_is_refused(given, sentence):
    agent = Trader(Market(bare_scenario({}), seed=1))
    with pytest.raises(ValueError, match=sentence):
        agent.submit("buy", 1.0, 1.0, **given)


def test_another_division_of_the_tips_is_noticed(monkeypatch):
    right = builders.compare
    monkeypatch.setattr(builders, "compare", lambda name, what, theory, *rest, **more: right(
        name, what, 0.95 * theory, *rest, **more
    ))  # fmt: skip
    assert not any(row.passed for row in run_validation(["V27b"], quick=True))
