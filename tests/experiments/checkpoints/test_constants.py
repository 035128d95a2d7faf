"""Nothing is forgotten: what is not saved does not change."""

import copy

import networkx as nx
import numpy as np
import pytest

from blockspace.experiments.checkpoint import CheckpointError, restore_checkpoint, save_checkpoint
from blockspace.experiments.market import Market
from blockspace.experiments.world import World
from blockspace.network.state import _declared
from tests.experiments.checkpoints.runs import RUNS, from_file, market_until, prices
from tests.experiments.checkpoints.sameness import digest
from tests.experiments.test_market import scenario


def constants(thing, path="market"):
    """What the parts of a market name as constant, by path, as deep copies where that is possible."""
    for name in sorted(_declared(type(thing), "CONSTANTS") & set(vars(thing))):
        if not isinstance(thing, Market) or name == "notes":
            yield f"{path}.{name}", vars(thing)[name]
    for name, value in vars(thing).items():
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            part = isinstance(item, World) or name in ("chain", "records", "_trades", "_running_source", "base")
            if part or (name == "path" and isinstance(thing, Market)):
                yield from constants(item, f"{path}.{name}.{number}")


def snapshot(value):
    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, nx.Graph):
        return copy.deepcopy(dict(value.nodes(data=True))), copy.deepcopy(list(value.edges(data=True)))
    if hasattr(value, "model_dump"):
        return value.model_dump_json()
    return repr(value)


SAVED_ELSEWHERE = {"_pools", "_logs", "_venues"}  # the records look at arrays that the chain and the world save


REFERENCES = {"path", "model", "source", "_parts", "_writer"}


@pytest.mark.parametrize(
    "name", ["first price", "a script", "two chains that make blocks at the same moment", "a file"]
)
def test_what_is_called_constant_is_constant(name, tmp_path):
    prices(tmp_path / "mine.csv", last=1_000)
    made_of, _, end_s = RUNS.get(name, (lambda: from_file(tmp_path / "mine.csv"), 0.0, 300.0))
    market = Market(made_of(), seed=3)
    found = {
        path: value for path, value in constants(market) if path.split(".")[-1] not in SAVED_ELSEWHERE | REFERENCES
    }
    before = {path: snapshot(value) for path, value in found.items()}
    assert len(before) >= 9
    market.run_until(end_s)
    after = dict(constants(market))
    assert all(after[path] is value for path, value in found.items())
    assert {path: snapshot(after[path]) for path in before} == before
    for world in market.worlds:
        assert (world.records._pools is world.chain.pools) is (world.records._logs is world.logs) is True
        assert world.records._venues is world.venues


def test_a_new_attribute_of_any_part_is_saved_or_refused(tmp_path):
    market, continued = market_until(10.0), Market(scenario(), seed=3)
    parts = [
        lambda market: market,
        lambda market: market.path,
        lambda market: market.path._running_source,
        lambda market: market.world,
        lambda market: market.world.chain,
        lambda market: market.world.chain.fee_rule,
        lambda market: market.world.records,
        lambda market: market.world.records._trades,
    ]
    for number, part in enumerate(parts):
        object.__setattr__(part(market), "added_next_week", np.arange(number))
    save_checkpoint(market, tmp_path)
    restore_checkpoint(continued, tmp_path)
    for number, part in enumerate(parts):
        assert part(continued).added_next_week.tolist() == list(range(number))
        object.__setattr__(part(market), "added_next_week", {1, 2})
        with pytest.raises(CheckpointError, match=r"\.added_next_week holds a set, which is not plain data"):
            save_checkpoint(market, tmp_path)
        object.__delattr__(part(market), "added_next_week")
