"""Forks where blocks come by proof of work: which blocks become stale, and whose.

Blocks come at exponential gaps, each from a miner drawn by its share of the work. A miner builds on the highest block
that it has, and on the first of several such that it saw (Nakamoto, 2008). Who does not have the newest block yet
builds beside it, and one of the two becomes stale. Large miners waste less, because they have their own blocks at once
(Decker and Wattenhofer, 2013).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, stream_key
from blockspace.network.topology import pick_proposer


@dataclass(frozen=True)
class Mined:
    """Blocks in the order in which they were found. All arrays have the shape (blocks,).

    Parameters
    ----------
    time_ns
        When each was found.
    miner
        By whom.
    parent
        Number of the block that it was built on; -1 for the first one of all.
    height
        Blocks from the first one of all, which has 0.
    stale
        Whether it is not on the longest chain.
    """

    time_ns: npt.NDArray[np.int64]
    miner: npt.NDArray[np.int64]
    parent: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    stale: npt.NDArray[np.bool_]

    @property
    def stale_share(self) -> float:
        """Share of the blocks that are stale."""
        return float(self.stale.mean())

    def stale_share_by_miner(self, miners: int) -> npt.NDArray[np.float64]:
        """Share of each miner's blocks that are stale, shape (miners,); not a number for who found none."""
        found = np.bincount(self.miner, minlength=miners)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(self.miner[self.stale], minlength=miners) / found)

    def revenue_shares(self, miners: int) -> npt.NDArray[np.float64]:
        """Share of each miner in the blocks of the longest chain, shape (miners,)."""
        kept = np.bincount(self.miner[~self.stale], minlength=miners)
        return np.asarray(kept / kept.sum())


def mine(shares: npt.ArrayLike, delay_ns: npt.ArrayLike, block_time_s: float, blocks: int, seed: int = 0) -> Mined:
    """Let miners find blocks.

    Parameters
    ----------
    shares
        Work of each miner, in any unit, shape (miners,).
    delay_ns
        Time from each miner, a row, to each other, a column, until a block is there and verified: shape
        (miners, miners), or one number for all. A miner has its own block at once.
    block_time_s
        Seconds between two blocks of all miners together, on average.
    blocks
        How many are found.
    seed
        Of the run. Miners and gaps are drawn by the number of the block, whatever the delays are.

    Raises
    ------
    ValueError
        If there are no blocks, or a share or a delay is negative.
    """
    work = np.asarray(shares, np.float64)
    delays = np.array(np.broadcast_to(np.asarray(delay_ns, np.int64), (len(work), len(work))))
    if blocks < 1:
        raise ValueError(f"blocks was {blocks}; it must be 1 or more")
    if (work < 0).any() or not work.any():
        raise ValueError(f"shares was {work}; it must be 0 or more for all miners and above 0 for some")
    if (delays < 0).any():
        raise ValueError(f"delay_ns had {delays.min()}; it must be 0 or more")
    np.fill_diagonal(delays, 0)
    time_ns, miner, parent, height = (np.empty(blocks, np.int64) for _ in range(4))
    stale = np.ones(blocks, np.bool_)
    gap_key, miner_key = (np.uint64(stream_key(seed, f"forks/{name}")) for name in ("gap", "miner"))
    _mine(time_ns, miner, parent, height, np.cumsum(work), delays, block_time_s * 1e9, gap_key, miner_key)
    _keep_longest(stale, parent, height)
    return Mined(time_ns, miner, parent, height, stale)


@kernel
def _mine(time_ns, miner, parent, height, cumulative_work, delays, gap_ns, gap_key, miner_key):
    """Find one block after another, each on what its miner has."""
    longest_delay = delays.max()
    now = np.int64(0)
    for number in range(time_ns.size):
        now += np.int64(draw_exponential(gap_key, np.int64(0), number) * gap_ns) + 1
        finder = pick_proposer(cumulative_work, miner_key, number)
        best = np.int64(-1)
        best_arrival = np.int64(0)
        candidate = number - 1
        while candidate >= 0:
            # A block found after another one has come to all is higher. So nothing from before that matters.
            if best >= 0 and time_ns[candidate] < time_ns[best] - longest_delay:
                break
            arrival = time_ns[candidate] + delays[miner[candidate], finder]
            if arrival <= now and (
                best < 0
                or height[candidate] > height[best]
                or (height[candidate] == height[best] and arrival <= best_arrival)
            ):
                best = candidate
                best_arrival = arrival
            candidate -= 1
        time_ns[number] = now
        miner[number] = finder
        parent[number] = best
        height[number] = height[best] + 1 if best >= 0 else 0


@kernel
def _keep_longest(stale, parent, height):
    """Mark the blocks of the longest chain, the first found of several, as not stale."""
    place = np.int64(height.argmax())
    while place >= 0:
        stale[place] = False
        place = parent[place]
