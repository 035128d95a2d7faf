"""What a run says of how safe a chain is: when its blocks were final, and how many parties could have undone that."""

from typing import TYPE_CHECKING

import numpy as np

from blockspace.network.chain import NS
from blockspace.network.security import Parties, parties_of_chain, parties_of_rollup

if TYPE_CHECKING:
    from blockspace.experiments.world import World

LOOKS = 512
"""Blocks of which the time to finality is taken, spread evenly over the run."""


def summarise_security(world: "World", end_s: float) -> dict[str, float]:
    """Measures of a chain's security behind the warm-up.

    Parameters
    ----------
    world
        The chain.
    end_s
        End of the run so far, in seconds.
    """
    found = parties(world)
    measures = {
        "parties_to_halt": float(found.to_halt),
        "parties_to_censor": float(found.to_censor),
        "parties_to_undo": float(found.to_undo),
    }
    if world.settlement is None:
        times = world.records.block_rows()["time_s"]
        times = times[times > world.scenario.warm_up_s]
        times = times[np.unique(np.linspace(0, len(times) - 1, min(LOOKS, len(times))).astype(int))]
        finals = np.array([world.chain.final_at_ns(round(time * NS)) / NS for time in times])
        measures["final_after_s"] = float((finals - times).mean()) if len(times) else np.nan
        measures["final_share"] = float((finals <= end_s).mean()) if len(times) else np.nan
    return measures


def parties(world: "World") -> Parties:
    """Parties of a chain: of its validators, or of the operator of a rollup and what is below it."""
    if world.settlement is None:
        return parties_of_chain(world.chain.stake)
    settings = world.settlement.settings
    return parties_of_rollup(parties(world.settlement.parent), settings.kind, settings.challenges.challengers)
