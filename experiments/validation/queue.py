"""V7: blocks in fixed slots are a bulk-service queue, with the backlog and the waits of queueing theory.

Transactions arrive as a Poisson process, ``a`` per block on average, and never leave; a block takes ``K`` of
them. The backlog after a block follows ``X' = max(X + A - K, 0)``.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.special import pdtrc

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, ratio_with_error, target

GAS = 100_000
BLOCK_TIME_S = 0.01
"""So short that nobody gives up: patience has a mean of 10^7 s at the most."""


def mean_backlog(load: float, capacity: int) -> float:
    """Mean backlog after a block, by Spitzer's identity (1956).

    With ``S_j`` Poisson of mean ``j a``, it is the sum over ``j >= 1`` of ``E[max(S_j - j K, 0)] / j``, where
    ``E[max(S - m, 0)] = lambda P(S >= m) - m P(S >= m + 1)`` for a Poisson ``S`` of mean ``lambda``.

    Parameters
    ----------
    load
        Transactions that arrive per block on average, fewer than ``capacity``.
    capacity
        Transactions that a block takes.

    Examples
    --------
    >>> round(mean_backlog(8.0, 10), 4)
    0.8786
    """
    if not 0.0 < load < capacity:
        raise ValueError(f"load is {load:g} per block; it must be above 0 and below the capacity, {capacity}")
    # The terms fall like exp(-j / (2 relaxation)): after 80 times that nothing is left in double precision.
    relaxation = capacity / (capacity - load) ** 2
    j = np.arange(1.0, 80.0 * relaxation + 100.0)
    served = j * capacity
    excess = j * load * pdtrc(served - 1.0, j * load) - served * pdtrc(served, j * load)
    return float((excess / j).sum())


def mean_wait(load: float, capacity: int) -> float:
    """Mean wait in blocks: half of one until the next block, and the backlog's share (Little, 1961).

    Examples
    --------
    >>> round(mean_wait(8.0, 10), 4)
    0.6098
    """
    return 0.5 + mean_backlog(load, capacity) / load


@dataclass(frozen=True)
class Run:
    """A run of the queue, block by block; idle blocks that were skipped are counted in the row after them.

    Parameters
    ----------
    arrivals, backlog, blocks
        Transactions that arrived before each recorded block, those pending after it, and blocks since the last.
    waits, served
        Sum of the waits (in blocks) of the transactions in each block, and their number.
    """

    arrivals: npt.NDArray[np.float64]
    backlog: npt.NDArray[np.float64]
    blocks: npt.NDArray[np.float64]
    waits: npt.NDArray[np.float64]
    served: npt.NDArray[np.float64]


def simulate(load: float, capacity: int, blocks: int, seed: int) -> Run:
    """Run a chain at a fixed price with users who never give up."""
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": capacity * GAS},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0},
            "background_users": {"arrivals_per_s": load / BLOCK_TIME_S, "gas_mean": GAS, "patience_s": 1e7},
            # Nobody trades: only so that a small block can hold the largest transaction of the market.
            "gas": {"place": GAS, "quote": GAS},
            "market_makers": {"count": 0, "levels": 1},
        }
    )
    market = Market(scenario, seed, tapes="none")
    market.run_for(blocks * BLOCK_TIME_S)
    frame = market.blocks()
    served = frame["transactions"].to_numpy(dtype=float)
    return Run(
        arrivals=np.diff(frame["arrived_total"], prepend=0).astype(float),
        backlog=frame["pending"].to_numpy(dtype=float),
        blocks=np.diff(frame["block"], prepend=0).astype(float),
        waits=np.nan_to_num(frame["mean_delay_s"].to_numpy()) * served / BLOCK_TIME_S,
        served=served,
    )


CASES = (
    (8.0, 10, 150_000),
    (9.5, 10, 300_000),
    (90.0, 100, 100_000),
    (95.0, 100, 100_000),
    (99.0, 100, 400_000),
)
"""Arrivals per block, capacity, and blocks to simulate: the closer to capacity, the longer the memory."""


@target("V7")
def bulk_service(quick: bool) -> list[Row]:
    """Backlog and waits at a fixed price are those of the bulk-service queue."""
    rows = []
    for number, (load, capacity, blocks) in enumerate(CASES):
        run = simulate(load, capacity, blocks // 40 if quick else blocks, seed=700 + number)
        case = f"{load:g} arrive and {capacity} fit"
        check = partial(compare, "V7", source="Spitzer (1956), Little (1961)")
        before = np.concatenate([[0.0], run.backlog[:-1]])
        wrong = int((run.backlog != np.maximum(before + run.arrivals - capacity, 0.0)).sum())
        what = f"blocks whose backlog is not max(X + A - K, 0): {case}"
        rows.append(check(what, 0, wrong, note=f"{len(before)} blocks"))
        relative = 0.02 if load / capacity > 0.98 else 0.01
        backlog, error = ratio_with_error(run.backlog, run.blocks)
        what, theory = f"mean backlog, transactions: {case}", mean_backlog(load, capacity)
        rows.append(check(what, theory, backlog, relative=relative, standard_error=error))
        wait, error = ratio_with_error(run.waits, run.served)
        what, theory = f"mean wait, blocks: {case}", mean_wait(load, capacity)
        rows.append(check(what, theory, wait, relative=relative, standard_error=error))
    return rows
