"""Speed of gossip: how long a block of one in ten thousand validators takes to be passed on to all, and to 40 %."""

from itertools import cycle

import pytest

from blockspace.network.gossip import gossip_network
from blockspace.network.topology import build_topology

VALIDATORS = 10_000


@pytest.fixture(scope="module")
def network():
    return gossip_network(build_topology(VALIDATORS, home_validator_share=0.3, seed=1, peers=8), 5.0)


@pytest.fixture
def producers():
    return cycle(range(0, VALIDATORS, 37))


def test_to_all(benchmark, network, producers):
    benchmark.group = "gossip: a block"
    benchmark(lambda: network.arrival_ns(next(producers), 100_000, 15_000_000))


def test_to_two_fifths(benchmark, network, producers):
    benchmark.group = "gossip: a block"
    benchmark(lambda: network.reach_ns(next(producers), 100_000, 15_000_000, 0.4))


def test_to_build(benchmark):
    benchmark.group = "gossip: ten thousand validators"

    def build():
        return gossip_network(build_topology(VALIDATORS, home_validator_share=0.3, seed=1, peers=8), 5.0)

    benchmark.pedantic(build, rounds=3)
