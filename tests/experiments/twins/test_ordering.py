"""The compiled market and its twin give the same run whoever orders the block, and by whatever rule."""

from blockspace.agents.trader import Trader
from blockspace.network.transaction import ANYWHERE, PLACE
from tests.reference.runs import RACE, race, run_both
from tests.reference.trader import Trader as ReferenceTrader


def test_first_come_first_served_with_copies():
    """Arbitrageurs who send their orders several times, and pay for each."""
    market = race(8, {"ordering": "first_come_first_served"}, fee_market={"initial_base_fee_wei": 10**8})
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["copies_sent"].sum() > 2 * arbitrageurs["tries"].sum() > 200
    tape = market.transactions()
    copies = tape[tape["sender"].isin(arbitrageurs["account"])]
    assert copies["status"].value_counts()[["failed", "succeeded"]].min() > 50


def test_random_order_with_revert_protection():
    """What would fail is left out: copies, orders that come too late, ladders beyond their margin."""
    market = race(
        9,
        {"ordering": "random_order", "revert_protection": True},
        instruments=[{"initial_margin": 0.5}],
        endowment={"cash_usd": 18_000.0},
        arbitrageurs={"most_copies": 5},
    )
    tape = market.transactions()
    left_out = tape[tape["status"] == "left out"]
    assert left_out["kind"].value_counts()[["place", "quote"]].min() > 20
    assert left_out["gas_used"].sum() == 0
    assert not (tape["status"] == "failed").any()


def test_revert_protected_auction():
    """Bids that cost nothing unless they win."""
    market = race(10, {"revert_protection": True})
    assert (market.transactions()["status"] == "left out").any()
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["races"].sum() > arbitrageurs["tries"].sum() > 200, "nobody stays out of a race"


def test_cancels_first():
    """Post-only quotes that go ahead of the orders that would take what they replace."""
    market = race(11, {"ordering": "cancels_first"})
    arbitrageurs = market.world.arbitrageurs
    assert arbitrageurs["tries"].sum() > 200
    assert arbitrageurs["wins"].sum() < 0.2 * arbitrageurs["tries"].sum()


LANE = {"round_s": 20.0, "closes_s": 5.0, "delay_s": 0.3, "reserve_usd": 0.5}


def test_express_lane_on_a_fast_chain():
    """Rounds that change hands, bids that an account cannot pay, and blocks that are skipped up to an auction."""
    market = race(
        14,
        {"block_time_s": 0.1, "ordering": "first_come_first_served"},
        fee_market={"initial_base_fee_wei": 10**8},
        background_users={"arrivals_per_s": 0.5, "value_gwei": 3.0},
        noise_traders={"orders_per_s": 0.5},
        market_makers={"look_interval_s": 1.0, "memory_s": 60.0},
        arbitrageurs={"look_interval_s": 0.6},
        endowment={"ether": 0.05},
        express_lane=LANE,
    )
    rounds = market.rounds()
    assert rounds["holder"].nunique() >= 4
    assert (rounds["holder"] == -1).any()
    assert (rounds["bids"] < rounds["bids"].max()).any()
    assert market.blocks()["block"].iloc[-1] > 1.2 * len(market.blocks())


def test_express_lane_under_priority_fees_and_random_blocks():
    """Several validators, blocks at random times that pass over rounds, a reserve in the price of another token."""
    market = race(
        15,
        {"block_time_s": 4.0, "block_arrivals": "poisson"},
        topology={"validators": 5},
        venue={"gas_token": "fixed", "gas_token_usd": 500.0},
        express_lane={**LANE, "round_s": 5.0, "closes_s": 1.0},
    )
    assert (market.rounds()["number"].diff() > 1).any()
    assert market.rounds()["price_gwei"].max() > 0


class Surrounder:
    """Buys before an order that is pending and sells after it; every third time only one of the two."""

    turn = 0

    def act(self):
        self.turn += 1
        pending = self.pending_orders()
        if not pending or not self.best_ask() or not self.best_bid():
            return
        target = pending[self.turn % len(pending)]
        ask, bid, tip = self.best_ask(), self.best_bid(), 10**9 * (1 + (self.turn * self.account) % 7)
        if self.turn % 3 != 1:
            self.submit("buy", ask, 0.02, placement="before", target=target, tip=tip)
        if self.turn % 3 != 2:
            self.submit("sell", bid * (1 + 1e-4 * (self.turn % 2)), 0.02, placement="after", target=target, tip=tip)


class CompiledSurrounder(Surrounder, Trader):
    def pending_orders(self):
        pool = self.world.chain.pools[0]
        rows = pool["transactions"][pool["pending"][: int(pool["count"])]]
        return sorted(rows["sequence"][(rows["kind"] == PLACE) & (rows["placement"] == ANYWHERE)].tolist())


class PlainSurrounder(Surrounder, ReferenceTrader):
    def pending_orders(self):
        pending = self.model.mempool.pending.values()
        return sorted(one.sequence for one in pending if one.kind == PLACE and one.placement == ANYWHERE)


def test_builders_with_exclusive_flow_and_bundles():
    """Builders behind a relay far away, wallets that send to one of them alone, and bundles that compete."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 2.0, "gas_limit": 3_000_000},
            "fee_market": {"base_fee_recipient": "producer"},
            "topology": {"validators": 12, "regions": ["london", "tokyo", "sydney"]},
            "builders": {"count": 3, "relay_region": "sydney", "exclusive_share": 0.6, "learning_rate": 0.1},
        },
        seconds=800,
        seed=12,
        agents=[(CompiledSurrounder, PlainSurrounder)] * 2,
    )
    tape, blocks = market.transactions(), market.blocks()
    ours = tape[tape["sender"].isin([agent.account for agent in market.world.own_agents])]
    assert ours["status"].value_counts()[["left out", "succeeded"]].min() > 20
    assert set(blocks["builder"]) == {1, 2, 3}
    assert 0.3 < blocks["bid_usd"].sum() / blocks["tips_usd"].sum() < 0.99
    assert market.world.builders["step"].min() < 500


def test_builders_without_bundles():
    """First come, first served behind a relay, protection for all, more builders than the producer could be."""
    market = race(
        13,
        {"ordering": "first_come_first_served", "revert_protection": True},
        builders={"count": 4, "exclusive_share": 0.3, "concentration": 0.0},
    )
    assert market.blocks()["builder"].nunique() == 4
    assert market.world.builders["paid"].min() > 0
