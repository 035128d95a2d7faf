"""Beliefs about the best rival bid, learned from what the chain shows, and the bid that answers them.

Whoever bids for a place in a block wants to know one thing: how likely is a bid to beat the best rival's? A
:data:`BELIEF` answers it with a histogram of the best rival's bid, as a share of what there is to bid for, and the
chance that there is no rival at all. Older races are forgotten exponentially; the first ones count fully, like a mean.

A bidder holds itself for a bidder like any other: how likely it is that a race's best bid is not a rival's but one's
own is the chance that the best of two successive races is the same bidder, which all can see. Bidders who count only
the races that they did not win themselves come to play different parts in time, some always in and some always out
(Duffy and Hopkins, 2005); these beliefs lead to the mixed strategies of bidders who are alike.

The answer is a smoothed best response (stochastic fictitious play: Fudenberg and Levine, 1998): each alternative,
staying out among them, is taken with a chance that falls exponentially in what it is expected to earn less than the
best one. The smoothing is the error that beliefs themselves have: what is learned at a rate ``r`` is known up to a
multiple of ``sqrt(r)``, times what winning is worth, times the chance that there is a rival. So who has no rival bids
nothing, those who lose nothing by losing bid up to what the prize is worth, and those who do mix.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel

BINS = 40
"""Bins of bids, as shares of what there is to bid for.

They are finest at both ends (a bin's edges are ``sin(k pi / 2 BINS)^2``): where losing costs nothing bids crowd just
below 1, and where it costs there are many small ones among many bidders.
"""

NOBODY_BIDS, USUAL = np.arange(2)
"""First places of a histogram: there is no rival, or none who bids more than is usual. The bins follow."""

OUTCOMES = 2 + BINS

EDGES = np.array([math.sin(0.5 * math.pi * edge / BINS) ** 2 for edge in range(BINS + 1)])
"""Edges of the bins."""

BLUR = 0.14
"""Smoothing of payoffs, in multiples of ``sqrt(rate)``.

The disturbance that it stands for then has half the largest standard error of a frequency learned at that rate,
``sqrt(rate / 8)``.
"""

IN_PRIOR = 0.1
"""How often one bids who expects nothing from it, and nothing from staying out; evenly spread over the bins."""

BELIEF = np.dtype(
    [
        ("rival", "f8", (OUTCOMES,)),  # chance of: no rival, one who bids no more than is usual, one in each bin
        ("same_best", "f8"),  # chance that the best of two successive races is the same bidder
        ("last_best", "i8"),  # account of the best bidder of the last race
        ("races", "i8"),
        ("weights", "f8", (OUTCOMES,)),  # of the last choice: chance of each alternative, up to a factor
    ],
    align=True,
)
"""What one bidder believes of its rivals' best bid."""


def start_beliefs(beliefs: npt.NDArray[Any]) -> None:
    """Set records of type ``BELIEF`` to those of a beginner: a rival or none, with a bid in any bin."""
    beliefs["rival"] = 0.5 / BINS
    beliefs["rival"][..., NOBODY_BIDS] = 0.5
    beliefs["rival"][..., USUAL] = 0.0
    beliefs["same_best"] = 0.5
    beliefs["last_best"] = -1


@kernel
def outcome_of(share):
    """Place in the histogram of a bid: negative for none, 0 for no more than is usual, 1 for all there is to bid."""
    if share < 0.0:
        return NOBODY_BIDS
    if share == 0.0:
        return USUAL
    bin_number = np.int64(math.asin(math.sqrt(min(share, 1.0))) * (2.0 * BINS / math.pi))
    return np.int64(2) + min(bin_number, np.int64(BINS - 1))


@kernel
def learning_pace(belief, rate):
    """Rate at which the next race moves a belief: the first ones count like those of a mean."""
    return max(rate, 1.0 / (belief.races + 2.0))


@kernel
def learn_race(belief, rate, bidder, best, second):
    """Learn from a race.

    Parameters
    ----------
    belief
        Record of type ``BELIEF``.
    rate
        Learning rate, above 0 and at most 1: the inverse of the number of races that are remembered.
    bidder
        Account of the best bidder; anything if nobody has bid.
    best, second
        Best bid, and the best of all other bidders, as shares of what there was to bid for; negative for none.
    """
    pace = learning_pace(belief, rate)
    belief.races += 1
    if best >= 0.0:
        same = 1.0 if bidder == belief.last_best else 0.0
        belief.same_best += pace * (same - belief.same_best)
        belief.last_best = bidder
    for outcome in range(OUTCOMES):
        belief.rival[outcome] -= pace * belief.rival[outcome]
    belief.rival[outcome_of(best)] += pace * (1.0 - belief.same_best)
    belief.rival[outcome_of(second)] += pace * belief.same_best


@kernel
def _middle(outcome):
    """Share that is bid by an alternative, on average."""
    if outcome <= USUAL:
        return 0.0
    return 0.5 * (EDGES[outcome - 2] + EDGES[outcome - 1])


@kernel
def choose_bid(belief, rate, prize, cost, room, losers_pay, choice, place):
    """Choose a bid, or to stay out.

    Parameters
    ----------
    belief, rate
        Record of type ``BELIEF``, and the learning rate that it has been learned with.
    prize
        What beating all rivals is expected to be worth before costs, in dollars.
    cost
        Dollars that taking part costs apart from the bid.
    room
        Dollars of a bid of which the share is 1.
    losers_pay
        Whether those who do not win pay cost and bid all the same.
    choice, place
        Uniform draws: which alternative, and where in its bin.

    Returns
    -------
    float
        Share of ``room`` to bid, 0 for no more than is usual; -1 to stay out.

    Notes
    -----
    A bid ``b`` that wins with the chance ``p`` earns ``p prize - cost - b``, or ``p (prize - cost - b)`` where only the
    winner pays. A rival's bid in the same bin is beaten half the time.
    """
    weights = belief.weights
    best = 0.0
    at_stake = prize
    beaten = belief.rival[NOBODY_BIDS]
    for outcome in range(1, OUTCOMES):
        chance = beaten + 0.5 * belief.rival[outcome]
        beaten += belief.rival[outcome]
        paid = cost + _middle(outcome) * room
        expected = chance * prize - paid if losers_pay else chance * (prize - paid)
        weights[outcome] = expected
        if expected > best:
            best = expected
            if not losers_pay:
                at_stake = prize - paid
    blur = BLUR * math.sqrt(learning_pace(belief, rate)) * (1.0 - belief.rival[NOBODY_BIDS]) * at_stake
    blur = max(blur, 1e-9 * prize)
    weights[NOBODY_BIDS] = (1.0 - IN_PRIOR) * math.exp(-best / blur)
    total = weights[NOBODY_BIDS]
    prior = IN_PRIOR / (OUTCOMES - 1)
    for outcome in range(1, OUTCOMES):
        weights[outcome] = prior * math.exp((weights[outcome] - best) / blur)
        total += weights[outcome]
    left = choice * total
    chosen = 0
    while chosen < OUTCOMES - 1 and left >= weights[chosen]:
        left -= weights[chosen]
        chosen += 1
    if chosen == NOBODY_BIDS:
        return -1.0
    if chosen == USUAL:
        return 0.0
    lower = EDGES[chosen - 2]
    return lower + place * (EDGES[chosen - 1] - lower)
