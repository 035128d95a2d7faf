import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.agents import background_users
from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import scenario_from
from blockspace.markets.feed import (
    LEVELS_SEEN,
    VIEWS,
    gas_price_usd,
    new_feed,
    publish,
    survey,
    view_at,
    wallet_tip,
)
from blockspace.markets.instruments import list_instrument
from blockspace.markets.ledger import BACKGROUND
from blockspace.markets.matching import LIMIT, place
from blockspace.markets.price_path import CELL_SECONDS, PricePath
from blockspace.markets.price_sources import Diffusion
from blockspace.markets.trade_log import TRADE_LOG
from blockspace.markets.venue import new_venue
from blockspace.network.block import BLOCK
from blockspace.network.draws import draw_bits
from blockspace.network.mempool import new_mempool
from blockspace.network.topology import UNREACHABLE_NS, pick_proposer

NS = 10**9


# The feed by itself.


def feed_with(visible):
    """A feed of views that become visible at these times, at access point 0."""
    feed = new_feed()[0]
    for number, time in enumerate(visible):
        feed["views"]["visible"][number & (VIEWS - 1), 0] = time
    feed["count"] = len(visible)
    return feed


@pytest.mark.parametrize(
    ("visible", "time", "newest"),
    [
        ([0, 10, 20], 9, 0),
        ([0, 10, 20], 10, 1),
        ([0, 10, 20], 19, 1),
        ([0, 10, 20], 20, 2),
        ([0, 10, 20], 10**15, 2),
        ([5, 10, 20], 0, 0),  # before the first is visible, the first
        ([0, 30, 20], 25, 2),  # a block from a near producer overtakes one from afar
        ([0, 30, 20], 35, 2),
        ([0, 30, 40, 35], 34, 1),
    ],
)
def test_the_newest_visible_view_is_found(visible, time, newest):
    assert view_at(feed_with(visible), 0, time) == newest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(0, 60))
def test_the_newest_visible_view_equals_a_plain_search(visible, time):
    visible = [0, *visible]
    wanted = max(number for number, one in enumerate(visible) if one <= time)
    assert view_at(feed_with(visible), 0, time) == wanted


def test_the_ring_of_views_goes_round():
    visible = list(range(0, 10 * (VIEWS + 50), 10))
    feed = feed_with(visible)
    for number in (50, 51, VIEWS, VIEWS + 49):
        assert view_at(feed, 0, 10 * number) == number


class Stage:
    """A feed with two access points, a venue, and blocks made by hand."""

    def __init__(self):
        self.feeds, self.venues, self.pools = new_feed(), new_venue(), new_mempool()
        self.logs, self.blocks = np.zeros(1, TRADE_LOG), np.zeros(1, BLOCK)
        list_instrument(self.venues, "perpetual", 10, 0.001, 50_000, 0, 0, 10)
        self.feeds[0]["access_points"] = 2
        self.path = PricePath(Diffusion(2_000.0, 0.5, seed=1), 2**20, seed=1)
        self.path.extend(1_000 * NS)

    def header(self, **fields):
        for name, value in fields.items():
            self.blocks[0][name][..., : np.size(value)] = value

    def survey(self, time, latency=(0, 0)):
        self.blocks["time"] = time
        self.blocks["latency"][0, :2] = self.blocks["latency_out"][0, :2] = latency
        survey(self.feeds, self.path.record, self.blocks)
        outlooks = self.feeds[0]["outlooks"][:2]
        return [(int(row["decision"]), int(row["newest"]), int(row["fresh"])) for row in outlooks]

    def publish(self, base_fee=0):
        publish(self.feeds, self.venues, self.logs, self.pools, self.blocks, base_fee)
        return self.feeds[0]["views"][(int(self.feeds[0]["count"]) - 1) & (VIEWS - 1)]


def test_a_view_travels_by_latency_bytes_and_verification():
    stage = Stage()
    block = stage.blocks[0]
    block["time"], block["bytes"], block["gas_used"] = 1_000, 5_000, 2_000_000
    block["latency_out"][:2] = 70, 80
    block["seconds_per_byte"][:2] = 1e-9, 3e-9
    block["hops"][:2] = 2, 4
    block["verification_ns_per_gas"] = 0.5
    visible = stage.publish()["visible"]
    assert visible[0] == 1_000 + 70 + 5_000 + 2 * 1_000_000
    assert visible[1] == 1_000 + 80 + 15_000 + 4 * 1_000_000


def test_a_view_shows_the_best_levels_of_the_book():
    stage = Stage()
    view = stage.publish()
    for name in ("bid_price", "bid_size", "ask_price", "ask_size"):
        assert not view["quotes"][0][name].any()
    book, log = stage.venues[0]["books"][0], stage.logs[0]
    for number in range(LEVELS_SEEN + 3):
        place(book, log, 2 * number, 1, 1, 100 - 2 * number, 5 + number, LIMIT)
        place(book, log, 2 * number + 1, 1, -1, 110 + 3 * number, 7 + number, LIMIT)
    place(book, log, 100, 2, 1, 100, 1_000, LIMIT)
    quotes = stage.publish()["quotes"][0]
    assert quotes["bid_price"].tolist() == [100 - 2 * number for number in range(LEVELS_SEEN)]
    assert quotes["bid_size"].tolist() == [1_005, *range(6, 5 + LEVELS_SEEN)]
    assert quotes["ask_price"].tolist() == [110 + 3 * number for number in range(LEVELS_SEEN)]
    assert quotes["ask_size"].tolist() == list(range(7, 7 + LEVELS_SEEN))


def test_the_outlook_is_the_last_moment_that_makes_the_block():
    stage = Stage()
    stage.header(latency=(30, 400))
    stage.publish()  # view 0, at time 0
    stage.feeds[0]["views"]["visible"][0] = 0
    assert stage.survey(1_000, (30, 400)) == [(970, 0, 1), (600, 0, 1)]
    stage.blocks["number"] = 1
    stage.publish()  # view 1 is visible at 1,030 and at 1,400
    assert stage.survey(1_430, (30, 30)) == [(1_400, 1, 1), (1_400, 1, 1)]
    stage.publish()  # view 2 is visible at 1,460
    for access in range(2):
        price = stage.path.price(1_400 / NS)
        assert stage.feeds[0]["outlooks"]["external_price"][access] == price
    # The next producer is so far away that what it can still get was decided before: nobody decides again.
    assert stage.survey(1_500, (30, 400)) == [(1_470, 2, 1), (1_400, 1, 0)]


def test_a_view_is_not_forgotten_before_the_next_has_arrived():
    def run(latency):
        stage = Stage()
        for time in range(1, 2 * VIEWS):
            stage.survey(time, (0, latency))
            stage.publish()

    # A decision is a latency old when it is in a block, and what it was based on was a latency old then.
    run(latency=VIEWS // 2 - 1)
    with pytest.raises(RuntimeError, match="views are forgotten before they arrive: ask for slower blocks"):
        run(latency=VIEWS // 2)


def test_who_is_kept_out_for_long_decides_on_the_newest_view_afterwards():
    stage = Stage()
    for time in range(10, 10 + 2 * VIEWS):
        outlooks = stage.survey(time, (0, UNREACHABLE_NS if time > 15 else 1))
        stage.blocks["latency_out"][0, :2] = 0, 1
        stage.publish()
        assert outlooks[1][2] == (time <= 15)
    assert stage.survey(time + 3, (0, 1))[1] == (time + 2, 2 * VIEWS - 1, 1)


@pytest.mark.parametrize(
    ("marginal", "usual", "tip"), [(0, 10, 10), (8, 10, 10), (9, 10, 10), (16, 10, 18), (100, 0, 112), (0, 0, 0)]
)
def test_wallets_offer_an_eighth_more_than_the_cheapest_of_a_full_block(marginal, usual, tip):
    feed = new_feed()[0]
    feed["wallet_tip"] = usual
    feed["views"]["marginal_tip"][0] = marginal
    assert wallet_tip(feed, feed["views"][0]) == tip


def test_gas_is_paid_in_the_underlying_unless_its_token_has_a_price():
    feed = new_feed()[0]
    assert gas_price_usd(feed, 1_234.5) == 1_234.5
    feed["gas_token_price"] = 30.0
    assert gas_price_usd(feed, 1_234.5) == 30.0


# No look-ahead, in running markets.

SETTINGS = {
    "one sequencer": {
        "chain": {"block_time_s": 0.25, "gas_limit": 2_000_000},
        "topology": {"validators": 1, "regions": ["virginia", "london", "tokyo"]},
    },
    "many validators": {
        "chain": {"block_time_s": 1.0, "gas_limit": 6_000_000, "verification_ns_per_gas": 50.0},
        "topology": {"validators": 40},
    },
    "blocks faster than light": {
        "chain": {"block_time_s": 0.02, "gas_limit": 1_000_000},
        "topology": {"validators": 12, "regions": ["virginia", "tokyo"]},
    },
    "proof of work": {
        "chain": {"block_time_s": 2.0, "gas_limit": 8_000_000, "block_arrivals": "poisson"},
        "topology": {"validators": 7, "latency_scale": 3.0},
    },
}


def seconds(name):
    """Seconds in which about 200 blocks come."""
    return 200 * SETTINGS[name]["chain"]["block_time_s"]


def scenario(name, **changes):
    data = {
        "warm_up_s": 0,
        "price": {"volatility_per_day": 0.6},
        "noise_traders": {"count": 20, "orders_per_s": 4.0},
        "informed_traders": {"orders_per_s": 1.0},
        **SETTINGS[name],
        **changes,
    }
    return scenario_from(data)


class Watcher(Trader):
    """Asserts, whenever it acts, that it sees what has reached it and nothing later."""

    def act(self):
        self.acts = getattr(self, "acts", 0) + 1
        chain, feed = self.world.chain, self.world.feeds[0]
        block = chain.blocks[0]
        producer = int(block["producer"])
        assert self.decision_ns == int(block["time"]) - int(chain.latency_ns(self.access)[producer])
        visible = feed["views"]["visible"][: min(int(feed["count"]), VIEWS), self.access]
        reached = np.flatnonzero(visible <= self.decision_ns)
        seen = int(self._sight._view["number"])
        assert seen == max(feed["views"]["number"][reached]), "the view is not the newest that is visible"
        assert self.external_price == self.model.path.price(self.decision_ns / NS)
        if int(feed["count"]) < VIEWS:
            older = feed["views"]["time"][: int(feed["count"])]
            assert (older[visible <= self.decision_ns] <= self.decision_ns).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_agents_see_the_newest_state_that_has_reached_them_and_the_price_of_that_moment(name):
    market = Market(scenario(name), seed=3)
    watchers = [Watcher(market, access) for access in market.world.chain.access_points]
    market.run_for(seconds(name))
    assert all(watcher.acts > 5 for watcher in watchers)


def access_points_of(market):
    """Access point of every account that sends: {account: access}; background users have one each."""
    world = market.world
    places = {}
    for rows in (world.makers, world.noise, world.informed, world.arbitrageurs):
        places |= dict(zip(rows["account"].tolist(), rows["access"].tolist(), strict=True))
    return places


def access_of_user(market, user):
    demand = market.world.demands[0]
    bits = draw_bits(demand["key"], user, background_users._ACCESS)
    return int(bits) % int(demand["access_points"])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_transaction_was_decided_long_enough_before_its_block(name):
    market = Market(scenario(name), seed=4)
    market.run_for(4 * seconds(name))
    chain = market.world.chain
    places = access_points_of(market)
    tape = market.transactions()
    senders = set(tape["sender"])
    assert {int(account) for account in market.world.makers["account"]} <= senders
    assert len(senders & {int(account) for account in market.world.noise["account"]}) > 5
    tightest = {}
    for row in tape.itertuples():
        user = row.sender == BACKGROUND
        access = access_of_user(market, row.nonce) if user else places[row.sender]
        producer = pick_proposer(chain._cumulative_stake, chain._proposer_key, row.block)
        latency = int(chain.latency_ns(access)[producer])
        slack = round(row.time_s * NS) - round(row.decided_s * NS) - latency
        assert slack >= 0, row
        tightest[user] = min(slack, tightest.get(user, slack))
    assert tightest[False] <= 1  # makers and arbitrageurs use every nanosecond
    assert chain.latency_ns(0).max() > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_users_tip_by_the_newest_block_that_has_reached_them(name):
    chain = {**SETTINGS[name]["chain"], "gas_limit": 1_000_000}
    arrivals_per_s = 20 / chain["block_time_s"]  # twice what fits
    settings = {"fee_market": {"rule": "first_price"}, "background_users": {"arrivals_per_s": arrivals_per_s}}
    market = Market(scenario(name, chain=chain, **settings), seed=6)
    market.run_for(seconds(name))
    feed, tape = market.world.feeds[0], market.transactions()
    assert int(feed["count"]) < VIEWS
    views = feed["views"][: int(feed["count"])]
    advised = []
    tape = tape[tape["kind"] == "transfer"]
    for row in tape.itertuples():
        reached = views["visible"][:, access_of_user(market, row.nonce)] <= round(row.decided_s * NS)
        advised.append(int(wallet_tip(feed, views[np.flatnonzero(reached)[-1]])))
    # Nobody offers more than the own value, which is for some less than the advice.
    assert (tape["tip_wei"] <= advised).all()
    assert (tape["tip_wei"] == advised).mean() > 0.5
    assert len(set(advised)) > 30


def decisions(tape, until_s):
    """What was decided up to a moment, whenever it was included: one row for each sender and time of decision."""
    chosen = tape[(tape["decided_s"] <= until_s) & (tape["kind"] != "transfer")]
    return chosen.set_index(["sender", "decided_s"])[["kind", "side", "price_usd", "size", "gas_used"]]


@pytest.mark.parametrize("informed", [0, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_price_does_later_changes_nothing_now(name, informed):
    """Two prices that are the same until a moment, and part then: so are the tapes.

    Only informed traders know something of the future, as far as their signal reaches.
    """
    horizon_s = 5.0
    parting_s = max(round(seconds(name) / 4), 8) * CELL_SECONDS
    tapes, trades = [], []
    for factor in (1.02, 0.98):
        script = [[parting_s, 1.0], [parting_s + CELL_SECONDS, factor]]
        traders = {
            "price": {"source": "script", "script": script, "volatility_per_day": 0.6},
            "noise_traders": {"count": 30, "orders_per_s": 40.0, "value_bps": 100.0},
            "informed_traders": {"count": informed, "orders_per_s": 2.0, "horizon_s": horizon_s},
            "background_users": {"arrivals_per_s": 5.0},
        }
        market = Market(scenario(name, **traders), seed=5)
        market.run_for(1.3 * parting_s)
        tapes.append(market.transactions())
        trades.append(market.trades())
    known_s = parting_s - (horizon_s if informed else 0.0)
    until = [tape[tape["time_s"] <= known_s] for tape in tapes]
    assert len(until[0]) > 50
    assert until[0].equals(until[1])
    assert trades[0][trades[0]["time_s"] <= known_s].equals(trades[1][trades[1]["time_s"] <= known_s])
    assert not tapes[0].equals(tapes[1])
    # What was decided before the parting and included after it was decided alike too.
    left, right = (decisions(tape, known_s) for tape in tapes)
    both = left.index.intersection(right.index)
    assert len(both) > 0.95 * len(left)
    assert left.loc[both].equals(right.loc[both])
    on_their_way = len(left) - len(decisions(until[0], known_s))
    assert on_their_way > 0 or name == "blocks faster than light"
