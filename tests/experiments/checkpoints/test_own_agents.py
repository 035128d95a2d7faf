"""Agents, phases, events and models of the user's own are saved, or refused by name."""

import mesa
import networkx as nx
import numpy as np
import pytest

from blockspace.agents.population import Member
from blockspace.agents.trader import Trader
from blockspace.experiments.checkpoint import CheckpointError, load_checkpoint, restore_checkpoint, save_checkpoint
from blockspace.experiments.market import Market
from tests.experiments.checkpoints.sameness import require_same
from tests.experiments.test_market import scenario


class Collector(Trader):
    """Buys at random, and remembers what in all the ways that there are."""

    def __init__(self, model, friend=None):
        super().__init__(model)
        self.generator = np.random.default_rng(5)
        self.asks = []
        self.by_slot = {}
        self.seen = np.zeros(3)
        self.state = "waiting"  # a name that many agents have use for
        self.friend = friend

    CONSTANTS = ("friend",)

    def act(self):
        self.seen[0] += 1
        ask = self.best_ask()
        if ask is not None and self.generator.random() < 0.3:
            self.asks.append((self.time_s, ask))
            self.by_slot[len(self.asks) % 4] = np.float64(ask)
            self.history = np.array(self.asks)
            self.state = self.submit("buy", ask, size=0.5 + self.random.random() * self.model.rng.random())


def collectors(seed=3):
    market = Market(scenario(), seed=seed)
    first = Collector(market)
    return market, [first, Collector(market, friend=first)]


def test_agents_in_python_go_on_with_what_they_remember(tmp_path):
    market, agents = collectors()
    market.run_until(60.0)
    save_checkpoint(market, tmp_path)
    continued, others = collectors()
    restore_checkpoint(continued, tmp_path)
    assert others[0].asks == agents[0].asks != []
    assert others[1].friend is others[0]
    for each in (market, continued):
        each.run_until(120.0)
    require_same(market, continued)
    for one, other in zip(agents, others, strict=True):
        assert (one.asks, one.by_slot, one.state) == (other.asks, other.by_slot, other.state)
        assert np.array_equal(one.history, other.history)
        assert one.seen[0] == other.seen[0] > 50


def test_a_market_without_the_agents_is_refused(tmp_path):
    market, _ = collectors()
    save_checkpoint(market, tmp_path)
    with pytest.raises(CheckpointError, match=r"has 2 agents \(Collector, Collector\) in Python and the market has no"):
        load_checkpoint(tmp_path)


class Listener(Trader):
    """Holds what cannot be saved."""

    def __init__(self, model):
        super().__init__(model)
        self.graph = nx.path_graph(3)


class Told(Listener):
    """Says what there is to save of it."""

    def state(self):
        return {"edges": [list(edge) for edge in self.graph.edges]}

    def restore(self, state):
        self.graph = nx.from_edgelist(state["edges"])


def test_an_agent_that_cannot_be_saved_is_named_and_may_speak_for_itself(tmp_path):
    market = Market(scenario(), seed=3)
    Listener(market)
    with pytest.raises(CheckpointError, match=r"Listener.graph holds a Graph, .* name graph in Listener.CONSTANTS"):
        save_checkpoint(market, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    markets = [Market(scenario(), seed=3) for _ in range(2)]
    agents = [Told(market) for market in markets]
    agents[0].graph.add_edge(2, 9)
    save_checkpoint(markets[0], tmp_path)
    restore_checkpoint(markets[1], tmp_path)
    assert list(agents[1].graph.edges) == [(0, 1), (1, 2), (2, 9)]


COUNTS = np.dtype([("account", "u4"), ("blocks", "i8")], align=True)


def counting_market(size=2, known=True):
    market = Market(scenario(), seed=3)
    rows = np.zeros(size, COUNTS)
    rows["account"] = [market.world.open_agent_account("own") for _ in rows]
    members = [Member(market, rows, number) for number in range(size)]

    def count():
        rows["blocks"] += 1

    market.world.insert_phase("they count", count, **({"arrays": [rows]} if known else {}))
    return market, members


def test_rows_of_a_phase_of_the_users_own_are_saved_if_they_are_known(tmp_path):
    market, _ = counting_market()
    market.run_until(20.0)
    save_checkpoint(market, tmp_path)
    continued, members = counting_market()
    restore_checkpoint(continued, tmp_path)
    assert [member.blocks for member in members] == [10, 10]
    continued.run_until(30.0)
    assert [member.blocks for member in members] == [15, 15]
    with pytest.raises(CheckpointError, match=r"has 1 phase \(they count\) of the user's own and the market has no"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="with arrays of the same sizes"):
        restore_checkpoint(counting_market(size=3)[0], tmp_path)
    with pytest.raises(CheckpointError, match="'they count' does not say which arrays it changes"):
        save_checkpoint(counting_market(known=False)[0], tmp_path)


def test_events_of_the_users_own_and_the_middle_of_a_block_are_refused(tmp_path):
    class Saver(Trader):
        def act(self):
            save_checkpoint(self.model, tmp_path)

    market = Market(scenario(), seed=3)
    Saver(market)
    with pytest.raises(CheckpointError, match="a block is being made"):
        market.run_until(10.0)
    market = Market(scenario(), seed=3)
    event = market.schedule_event(market.check, at=7.0)
    with pytest.raises(CheckpointError, match=r"an event of the user's own is due at 7 s"):
        save_checkpoint(market, tmp_path)
    assert not event.CANCELED
    market.run_until(8.0)
    save_checkpoint(market, tmp_path)


class Watched(Market):
    """A market with a number of its own."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.looks = 0


def test_what_a_model_of_the_users_own_holds_is_saved_too(tmp_path):
    market = Watched(scenario(), seed=3)
    market.looks = 4
    save_checkpoint(market, tmp_path)
    continued = Watched(scenario(), seed=3)
    restore_checkpoint(continued, tmp_path)
    assert continued.looks == 4
    market.collector = mesa.DataCollector()
    with pytest.raises(CheckpointError, match=r"Watched\.collector holds a DataCollector"):
        save_checkpoint(market, tmp_path)
