"""Which blocks of a chain with random block times become stale: found by somebody who did not have the newest one yet.

Two blocks at one height are a fork, and one of them has to go (Nakamoto, 2008). In a market it is the one that was
found later, so that nothing that a block did is ever undone: who found it, and what was to be in it, have lost time
only. :mod:`~blockspace.network.forks` follows both branches of every fork, and finds the same share of stale blocks.
"""

from typing import Any, ClassVar

import numpy as np

from blockspace.network.gossip import GossipNetwork
from blockspace.network.state import Stateful


class StaleBlocks(Stateful):
    """The newest block that counts, where it has got to, and whose blocks have become stale.

    Parameters
    ----------
    network
        Who passes on blocks to whom.
    count_from_ns
        Blocks from then on are counted.

    Attributes
    ----------
    found, stale : numpy.ndarray
        Blocks of each validator, and how many of them do not count; shape (validators,).
    """

    CONSTANTS: ClassVar = ("network", "_count_from_ns")

    def __init__(self, network: GossipNetwork, count_from_ns: int = 0) -> None:
        self.network = network
        self._count_from_ns = count_from_ns
        self.found = np.zeros(network.validators, np.int64)
        self.stale = np.zeros(network.validators, np.int64)
        self._newest_ns = 0
        self._arrival_ns = np.zeros(network.validators, np.int64)  # of the newest block at each validator

    def is_stale(self, time_ns: int, producer: int) -> bool:
        """Whether a validator that finds a block at this time does not have the newest one yet."""
        return bool(time_ns < self._newest_ns + self._arrival_ns[producer])

    def note(self, time_ns: int, producer: int, size_bytes: int, gas: int, stale: bool) -> None:
        """Take in a block that has been found, with its bytes and gas; it is the newest one unless it is stale."""
        if time_ns > self._count_from_ns:
            self.found[producer] += 1
            self.stale[producer] += stale
        if not stale:
            self._newest_ns = time_ns
            self._arrival_ns = self.network.arrival_ns(producer, size_bytes, gas)

    def stale_share(self, among: Any = slice(None)) -> float:
        """Share of the blocks found so far that are stale, of some validators; not a number without a block."""
        found = int(self.found[among].sum())
        return float(self.stale[among].sum()) / found if found else float("nan")
