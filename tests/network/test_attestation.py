"""Which blocks come too late, and what becomes of what was in them."""

import math

import numpy as np
import pytest

from blockspace.network.attestation import Attestation
from blockspace.network.gossip import GossipNetwork, gossip_network
from blockspace.network.settings import AttestationSettings
from blockspace.network.topology import build_topology
from blockspace.network.transaction import GAS_PER_BLOB

SECOND = 1_000_000_000


def pair(ns_per_byte=1_000.0, verification_ns_per_gas=10.0):
    """Two validators of equal stake, a tenth of a second apart."""
    return GossipNetwork(
        validators=2,
        starts=np.array([0, 1, 2]),
        targets=np.array([1, 0], np.uint32),
        latency_ns=np.full(2, 100_000_000),
        ns_per_byte=np.full(2, ns_per_byte),
        stake=np.full(2, 0.5),
        verification_ns_per_gas=verification_ns_per_gas,
    )


def attestation(network=None, seed=1, count_from_ns=0, **settings):
    settings = AttestationSettings(**{"deadline_s": 4.0, "needed_share": 0.6, "jitter_s": 0.0, **settings})
    return Attestation(settings, network or pair(), seed, count_from_ns)


@pytest.mark.parametrize(
    ("delay_ns", "size", "gas", "blobs", "late"),
    [
        (0, 0, 0, 0, False),
        (3_900_000_000, 0, 0, 0, False),
        (3_900_000_001, 0, 0, 0, True),
        (0, 3_900_000, 0, 0, False),
        (0, 3_900_001, 0, 0, True),
        (0, 0, 390_000_000, 0, False),
        (0, 0, 390_000_001, 0, True),
        (2_000_000_000, 1_000_000, 90_000_000, 0, False),
        (2_000_000_000, 1_000_000, 90_000_001, 0, True),
        (0, 3_900_000 - GAS_PER_BLOB, 0, 8, False),  # an eighth of each is loaded
        (0, 3_900_001 - GAS_PER_BLOB, 0, 8, True),
    ],
)
def test_a_block_is_late_if_it_arrives_after_the_deadline(delay_ns, size, gas, blobs, late):
    assert attestation().is_late(7, 0, delay_ns, size, gas, blobs) is late


def test_enough_stake_may_be_the_own():
    assert not attestation(needed_share=0.5).is_late(1, 0, 4 * SECOND, 10**9, 10**9)


def test_blocks_are_late_as_often_as_the_random_part_says():
    checked = attestation(jitter_s=0.5)
    late = np.mean([checked.is_late(slot, 0, 3 * SECOND, 200_000, 0) for slot in range(20_000)])
    expected = math.exp(-(4.0 - 3.0 - 0.1 - 0.2) / 0.5)
    assert late == pytest.approx(expected, abs=4 * math.sqrt(expected / 20_000))


def test_slots_are_counted_after_the_warm_up():
    checked = attestation(count_from_ns=24 * SECOND)
    for slot in range(1, 7):
        checked.note(12 * slot * SECOND, slot % 2, slot in (1, 4, 5))
    assert (checked.slots.tolist(), checked.missed.tolist()) == ([2, 2], [1, 1])
    assert checked.missed_share() == 0.5
    assert checked.missed_share(np.array([False, True])) == 0.5
    assert math.isnan(attestation().missed_share())


def test_home_validators_miss_first():
    graph = build_topology(300, home_validator_share=0.5, seed=1, peers=8)
    checked = attestation(gossip_network(graph, 5.0), jitter_s=0.0, needed_share=0.4)

    def largest(producer):
        """Bytes of the largest block that arrives in time, to ten kilobytes."""
        sizes = range(0, 20_000_000, 10_000)
        return sizes[
            int(np.searchsorted([checked.is_late(1, producer, 0, size, 0) for size in sizes[::20]], True)) * 20
        ]

    assert max(largest(producer) for producer in (160, 230, 299)) < min(largest(producer) for producer in (0, 70, 140))
