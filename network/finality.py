"""When a block can no longer be undone: by the votes of the validators, checkpoint by checkpoint.

Validators vote on checkpoints, one every so many blocks. A checkpoint counts once two thirds of all stake have seen it
and said so; a block is final when enough checkpoints after it count (two on Ethereum: Buterin and Griffith, 2017). With
a checkpoint in every block this is the rule of chains that agree on each block (Castro and Liskov, 1999). While less
than two thirds of the stake can hear of each other, no checkpoint counts.
"""

from collections.abc import Iterable

from blockspace.network.faults import Interval

QUORUM = 2.0 / 3.0
"""Share of all stake that has to vote."""


def final_at_ns(
    time_ns: int, checkpoint_ns: int, checkpoints: int, voting_ns: int, silences: Iterable[Interval] = ()
) -> int:
    """Time at which a block is final.

    Parameters
    ----------
    time_ns
        Of the block.
    checkpoint_ns
        From one checkpoint to the next.
    checkpoints
        That have to count after the block.
    voting_ns
        Until the votes of two thirds of all stake are known.
    silences
        When two thirds of the stake cannot hear of each other, in order of their start.

    Returns
    -------
    int
        Nanoseconds.

    Examples
    --------
    Half-way through an epoch of 384 s on Ethereum, and the same with a silence of ten minutes that begins after 500 s:

    >>> final_at_ns(192, checkpoint_ns=384, checkpoints=2, voting_ns=4)
    772
    >>> final_at_ns(192, checkpoint_ns=384, checkpoints=2, voting_ns=4, silences=[(500, 1_100)])
    1924
    """
    final = (time_ns // checkpoint_ns + checkpoints) * checkpoint_ns + voting_ns
    for start, end in silences:
        if time_ns < end and start < final:
            final = (end // checkpoint_ns + checkpoints) * checkpoint_ns + checkpoint_ns + voting_ns
    return final
