"""How many parties it takes to stop a chain, to censor somebody, or to undo what is final.

Counted, never assigned: a chain's parties are those who hold its stake, the largest first; of a rollup they are its
operator, those who check what it claims, and the parties of the chain on which it settles. Who has the keys to change
the rules is not looked at.
"""

from dataclasses import dataclass

import numpy.typing as npt

from blockspace.network.decentralisation import parties_needed


@dataclass(frozen=True)
class Parties:
    """How many parties have to agree.

    Attributes
    ----------
    to_halt
        So that no block is final any more.
    to_censor
        So that somebody is kept out for good.
    to_undo
        So that something final is undone, or something false becomes final.
    """

    to_halt: int
    to_censor: int
    to_undo: int


def parties_of_chain(stake: npt.ArrayLike) -> Parties:
    """Parties of a chain whose validators vote with their stake.

    More than a third can withhold its votes, more than a half can build on whatever blocks it likes, and two thirds can
    make two histories final by themselves. A third could do that with honest help that it keeps apart from each other
    (accountable safety: Buterin and Griffith, 2017), which is a fault of the network beside one of the parties.
    """
    return Parties(
        parties_needed(stake, 1.0 / 3.0), parties_needed(stake, 0.5), parties_needed(stake, 2.0 / 3.0 - 1e-9)
    )


def parties_of_rollup(parent: Parties, kind: str, challengers: int) -> Parties:
    """Parties of a rollup with one operator.

    It can stop by itself. It alone can keep nobody out for good: what is in a block of the parent must be in one of the
    rollup ``rollup.force_after_s`` later (:mod:`blockspace.experiments.forced_inclusion`, where it is measured how long
    that takes and what it costs), so that to censor is to censor the parent. Something false becomes final on an
    optimistic rollup if all who check look away, and on a validity rollup only if the parent is undone.

    Examples
    --------
    >>> parties_of_rollup(Parties(10, 20, 30), "optimistic", 1)
    Parties(to_halt=1, to_censor=20, to_undo=2)
    """
    undo = parent.to_undo if kind == "validity" else min(1 + challengers, parent.to_undo)
    return Parties(1, parent.to_censor, undo)
