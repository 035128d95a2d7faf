"""Stylised facts: what prices, orders and fees of real markets have in common, looked for in a run.

Each fact has a definition, an estimate with a 95 % bootstrap interval, and a range that makes it *found*. Where a fact
is that something exceeds a threshold, the whole interval must; where it is that something lies in a range, the estimate
must. With too few observations there is no verdict. The facts of returns are those of Cont (2001); the ranges for
memory, tails and impact are what is usually reported for liquid markets.

Nothing in this package knows how a run was made: a series from elsewhere does as well.
"""

from pathlib import Path

import pandas as pd

from blockspace.experiments.facts.fact import Fact
from blockspace.experiments.facts.fees import facts_of_fees
from blockspace.experiments.facts.observations import PAUSE_S, Observations, load_run, observe
from blockspace.experiments.facts.orders import facts_of_impact, facts_of_order_signs
from blockspace.experiments.facts.returns import (
    facts_of_clustering,
    facts_of_linear_memory,
    facts_of_tails,
    facts_of_the_grid,
)

__all__ = ["Fact", "Observations", "facts_of", "facts_of_observations", "load_run", "observe", "stylised_facts"]


def stylised_facts(
    blocks: pd.DataFrame,
    trades: pd.DataFrame,
    interval_s: float = 60.0,
    warm_up_s: float = 0.0,
    instrument: str | None = None,
    seed: int = 0,
    pause_s: float = PAUSE_S,
) -> list[Fact]:
    """Look for the stylised facts in the blocks and trades of a run.

    Parameters
    ----------
    blocks, trades, interval_s, warm_up_s, instrument, pause_s
        See :func:`blockspace.experiments.facts.observations.observe`.
    seed
        Of the bootstrap: the same seed gives the same intervals.

    Raises
    ------
    ValueError
        If there is no such instrument, or nothing to observe after the warm-up.
    """
    return facts_of_observations(observe(blocks, trades, interval_s, warm_up_s, instrument, pause_s), seed)


def facts_of(
    folder: str | Path,
    interval_s: float = 60.0,
    instrument: str | None = None,
    seed: int = 0,
    pause_s: float = PAUSE_S,
    run: str | None = None,
) -> list[Fact]:
    """Look for the stylised facts in a results folder; see :func:`load_run` for ``folder`` and ``run``.

    Raises
    ------
    ValueError
        If the folder does not hold the tapes of a run, and as for :func:`stylised_facts`.
    """
    blocks, trades, scenario = load_run(folder, run)
    return stylised_facts(blocks, trades, interval_s, scenario.warm_up_s, instrument, seed, pause_s)


def facts_of_observations(seen: Observations, seed: int = 0) -> list[Fact]:
    """Look for the stylised facts in series that have been read off already."""
    return [
        *facts_of_the_grid(seen, seed),
        *facts_of_linear_memory(seen, seed),
        *facts_of_tails(seen, seed),
        *facts_of_clustering(seen, seed),
        *facts_of_order_signs(seen, seed),
        *facts_of_fees(seen, seed),
        *facts_of_impact(seen, seed),
    ]
