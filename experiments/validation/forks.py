"""V37: stale blocks under proof of work, and how the time that a block takes to spread grows with its size."""

import math

import numpy as np

from blockspace.experiments.validation import Row, compare, mean_with_error, target
from blockspace.network.forks import Mined, mine
from blockspace.network.gossip import gossip_network
from blockspace.network.topology import build_topology

FORKS = "Decker and Wattenhofer (2013), to first order"
POISSON = "a rival's block during the delay"
INDEPENDENT = "another simulation of the same rule"
GOSSIP = "branching of a random graph"
BLOCK_TIME_S = 10.0

CONCENTRATED = (0.5, 0.2, 0.1, 0.1, 0.1)
EQUAL = (0.1,) * 10
ONE_LARGE = (0.3, *(0.035,) * 20)

NETWORKS = (("one of a half", CONCENTRATED, 0.1141), ("ten equal", EQUAL, 0.1513), ("one of 0.3", ONE_LARGE, 0.1488))
"""Miners, and the share of stale blocks where a delay is a fifth of the time between blocks."""

LARGEST_REVENUE = ((0.05, CONCENTRATED, 0.5088), (0.05, ONE_LARGE, 0.3057), (0.2, CONCENTRATED, 0.5365))
"""Delay in block times, miners, and the largest one's share of the blocks that count."""


def stale_share(delay: float, shares: tuple[float, ...]) -> float:
    """Share of blocks that become stale: a rival finds the next one before it knows of the last.

    That leaves out forks of three and more, a small share where the delay is.

    Parameters
    ----------
    delay
        In block times.
    shares
        Of the miners in the work.

    Examples
    --------
    >>> round(stale_share(0.05, CONCENTRATED), 4)
    0.0332
    """
    return (1.0 - math.exp(-delay)) * (1.0 - sum(share**2 for share in shares))


def stale_share_of(miner: int, delay: float, shares: tuple[float, ...]) -> float:
    """Share of a miner's blocks that become stale, to first order: rivals find one meanwhile, and win the next.

    Examples
    --------
    >>> [round(stale_share_of(miner, 0.05, CONCENTRATED), 4) for miner in (0, 4)]
    [0.016, 0.056]
    """
    own = shares[miner]
    return delay * sum(other * (1.0 - own + other) for place, other in enumerate(shares) if place != miner)


def _mined(delay: float, shares: tuple[float, ...], blocks: int) -> Mined:
    return mine(shares, round(delay * BLOCK_TIME_S * 1e9), BLOCK_TIME_S, blocks, seed=370)


@target("V37")
def forks(quick: bool) -> list[Row]:
    """Stale blocks by miner, what a large one gains from them, and the growth of gossip with bytes and gas."""
    rows = []
    small = _mined(0.01, CONCENTRATED, 400_000 if quick else 2_000_000)
    for miner in (0, 1, 4):
        stale, error = mean_with_error(small.stale[small.miner == miner])
        what = f"share of stale blocks of a miner with {CONCENTRATED[miner]:g} of the work, delay 0.01 of a block"
        theory = stale_share_of(miner, 0.01, CONCENTRATED)
        rows.append(compare("V37", what, theory, stale, relative=0.02, standard_error=error, source=FORKS))
    what = "share of stale blocks, delay 0.05 of a block"
    found = _mined(0.05, CONCENTRATED, 2_000_000)
    stale, error = mean_with_error(found.stale)
    theory = stale_share(0.05, CONCENTRATED)
    rows.append(compare("V37", what, theory, stale, relative=0.035, standard_error=error, source=POISSON))
    for case, shares, golden in NETWORKS:
        stale, error = mean_with_error(_mined(0.2, shares, 400_000).stale)
        what = f"share of stale blocks, delay 0.2 of a block, miners: {case}"
        rows.append(compare("V37", what, golden, stale, relative=0.02, standard_error=error, source=INDEPENDENT))
    for delay, shares, golden in LARGEST_REVENUE:
        found = _mined(delay, shares, 400_000)
        of_largest, error = mean_with_error(found.miner[~found.stale] == 0)
        what = f"share of the blocks that count, of a miner with {shares[0]:g} of the work, delay {delay:g}"
        rows.append(compare("V37", what, golden, of_largest, relative=0.002, standard_error=error, source=INDEPENDENT))
    return rows + _gossip(quick)


def _gossip(quick: bool, peers: int = 8, bandwidth_mbps: float = 80.0) -> list[Row]:
    """Slopes of the median arrival in bytes and in gas where all are alike, and its linearity where they are not."""
    rows = []
    for count in (300, 1_000, 10_000):
        hops = math.ceil(math.log(count) / math.log(peers - 1))
        graph = build_topology(count, ["london"], validator_bandwidth_mbps=bandwidth_mbps, seed=37, peers=peers)
        network = gossip_network(graph, verification_ns_per_gas=5.0)
        producers = range(5 if quick else 25)

        def median_s(size: int, gas: int) -> float:
            arrivals = [network.arrival_ns(producer, size, gas) for producer in producers]  # noqa: B023
            return 1e-9 * float(np.median(arrivals))

        start = median_s(1_000_000, 0)
        # A peer gets an equal part of the upload: ten megabits per second of eighty.
        slope = median_s(3_000_000, 0) - start
        theory = hops * 8.0 * 2_000_000 / (1e6 * bandwidth_mbps / peers)
        what = f"seconds that two megabytes add to the median arrival among {count:,}"
        rows.append(compare("V37", what, theory, slope, relative=0.1, source=GOSSIP))
        slope = median_s(1_000_000, 100_000_000) - start
        what = f"seconds that 100 million gas add to it among {count:,}"
        rows.append(compare("V37", what, hops * 0.5, slope, relative=0.1, source=GOSSIP))
    graph = build_topology(2_000, home_validator_share=0.4, seed=37, peers=peers)
    network = gossip_network(graph, verification_ns_per_gas=5.0)
    sizes = np.array([1, 2, 3]) * 500_000
    times = [np.median([network.arrival_ns(producer, size, 30 * size) for producer in range(10)]) for size in sizes]
    first, second = np.diff(times) * 1e-9
    what = "seconds that the second half megabyte and 15 million gas add, and the third, among many kinds of lines"
    rows.append(compare("V37", what, float(first), float(second), relative=0.1, source=GOSSIP))
    return rows
