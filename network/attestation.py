"""Which blocks of a chain with fixed slots come too late to count.

A block counts only if validators with a share of all stake have received and verified it by a deadline into its slot,
which is when they vote (Buterin and others, 2020). How long that takes depends on what is in it: every hop of
:mod:`~blockspace.network.gossip` loads its bytes and verifies its gas. A block that comes too late is missed: it leaves
an empty slot, and its transactions stay pending. Larger blocks are missed more often, and first those of validators on
slow lines, who have to send their own blocks to several peers.
"""

from typing import Any, ClassVar

import numpy as np

from blockspace.network.draws import draw_exponential, stream_key
from blockspace.network.gossip import GossipNetwork
from blockspace.network.settings import AttestationSettings
from blockspace.network.state import Stateful
from blockspace.network.transaction import GAS_PER_BLOB


class Attestation(Stateful):
    """The deadline of a chain, and what became of the slots of each of its validators.

    Parameters
    ----------
    settings
        When a block comes too late.
    network
        Who passes on blocks to whom.
    seed
        Seed of the run.
    count_from_ns
        Slots from then on are counted.

    Attributes
    ----------
    stake : numpy.ndarray
        Share of all stake of each node of the network.
    counts_votes : bool
        Whether to count whose votes are in time, which takes somewhat longer.
    votes : numpy.ndarray
        Votes of each validator that were in time, shape (validators,), out of ``voted``.
    slots, missed : numpy.ndarray
        Slots of each validator, and how many of them had no block that counts; shape (validators,).
    """

    CONSTANTS: ClassVar = ("settings", "network", "deadline_ns", "_key", "_count_from_ns")

    def __init__(
        self, settings: AttestationSettings, network: GossipNetwork, seed: int, count_from_ns: int = 0
    ) -> None:
        self.settings = settings
        self.network = network
        self.deadline_ns = round(settings.deadline_s * 1e9)
        self._key = np.uint64(stream_key(seed, "attestation/jitter"))
        self._count_from_ns = count_from_ns
        self.stake = network.stake.copy()
        self.counts_votes = False
        self.votes = np.zeros(network.validators, np.int64)
        self.voted = 0
        self.slots = np.zeros(network.validators, np.int64)
        self.missed = np.zeros(network.validators, np.int64)

    def is_late(self, slot: int, producer: int, delay_ns: int, size_bytes: int, gas: int, blobs: int = 0) -> bool:
        """Whether a block closed this long into its slot comes too late for the needed share of all stake.

        Parameters
        ----------
        slot
            Number of the slot.
        producer
            Number of the validator whose block it is.
        delay_ns
            Time into the slot at which it is closed.
        size_bytes, gas, blobs
            Bytes of its transactions, the gas that they may use, and its blobs.
        """
        size = size_bytes + int(self.settings.sampled_share * blobs * GAS_PER_BLOB)
        jitter_ns = self.settings.jitter_s * 1e9 * draw_exponential(self._key, np.int64(0), np.int64(slot))
        reach_ns = self.network.reach_ns(producer, size, gas, self.settings.needed_share, self.stake)
        if self.counts_votes:
            arrival_ns = self.network.arrival_ns(producer, size, gas)
            self.votes += delay_ns + arrival_ns + jitter_ns <= self.deadline_ns
            self.voted += 1
        return bool(delay_ns + reach_ns + jitter_ns > self.deadline_ns)

    def note(self, slot_ns: int, producer: int, missed: bool) -> None:
        """Count what became of a slot."""
        if slot_ns > self._count_from_ns:
            self.slots[producer] += 1
            self.missed[producer] += missed

    def missed_share(self, among: Any = slice(None)) -> float:
        """Share of the slots counted so far that have no block, of some validators; not a number without a slot."""
        slots = int(self.slots[among].sum())
        return float(self.missed[among].sum()) / slots if slots else float("nan")
