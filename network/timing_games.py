"""Timing games of validators: who waits before closing a block collects more, and risks that the block comes too late.

A block counts only if it has reached enough stake by a deadline (:mod:`~blockspace.network.attestation`). Some
validators play: they close their blocks some time into the slot. How long to wait they learn from what their blocks
earned, and share what they learn, as validators of one operator do: each of their blocks waits somewhat longer or
shorter than usual, at random, and the usual delay moves towards what earned more (simultaneous perturbation: Spall,
1992). A block that is missed earns nothing. That waiting pays was shown by Schwarz-Schilling and others (2023).

Who sends transactions knows when a block is closed, as it knows the slots of a chain.
"""

from typing import ClassVar

import numpy as np

from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.settings import TimingGameSettings
from blockspace.network.state import Stateful

DISTURBANCE = 0.1
"""By how much a block waits longer or shorter than usual, in deadlines."""

STEP = 0.02
"""By how much, in deadlines, a block that earned twice the usual moves the usual delay."""

LARGEST_SURPRISE = 3.0
"""Of a block's revenue above the usual, in usual revenues: a single windfall teaches no more than this."""

MEMORY = 0.05
"""Step by which the revenue of a block moves the usual revenue."""

TALLY = np.dtype(
    [
        ("slots", "i8"),
        ("missed", "i8"),
        ("delay_ns", "i8"),  # summed over the slots
        ("revenue_gwei", "i8"),
    ],
    align=True,
)
"""What became of the slots of some validators."""

OTHERS, PLAYERS = range(2)


class TimingGames(Stateful):
    """Delays of the blocks of a chain with fixed slots.

    Parameters
    ----------
    settings
        Who plays.
    validators
        How many there are.
    deadline_ns
        Time into a slot by which its block must have reached enough stake.
    seed
        Seed of the run.
    count_from_ns
        Slots from then on are tallied.

    Attributes
    ----------
    players : numpy.ndarray
        Whether each validator plays.
    usual_delay_ns : float
        Delay around which the players wait.
    tallies : numpy.ndarray
        Two records of type ``TALLY``: of the others and of the players.
    """

    CONSTANTS: ClassVar = ("players", "_deadline_ns", "_key", "_count_from_ns")

    def __init__(
        self, settings: TimingGameSettings, validators: int, deadline_ns: int, seed: int, count_from_ns: int = 0
    ) -> None:
        key = np.uint64(stream_key(seed, "timing_games/players"))
        draws = [draw_uniform(key, np.int64(number), np.int64(0)) for number in range(validators)]
        self.players = np.array(draws) < settings.share
        self._deadline_ns = deadline_ns
        self._key = np.uint64(stream_key(seed, "timing_games/delay"))
        self._count_from_ns = count_from_ns
        self.usual_delay_ns = 0.0
        self.usual_revenue_gwei = 0.0
        self.tallies = np.zeros(2, TALLY)

    def delay_ns(self, slot: int, producer: int) -> int:
        """Time into a slot at which its producer closes the block."""
        if not self.players[producer]:
            return 0
        longer = draw_uniform(self._key, np.int64(0), np.int64(slot)) < 0.5
        delay = self.usual_delay_ns + (1.0 if longer else -1.0) * DISTURBANCE * self._deadline_ns
        return int(min(max(delay, 0.0), float(self._deadline_ns)))

    def learn(self, slot_ns: int, producer: int, delay_ns: int, revenue_gwei: int, missed: bool) -> None:
        """Take in what became of a slot: the revenue of its block, 0 if it was missed."""
        plays = bool(self.players[producer])
        if slot_ns > self._count_from_ns:
            tally = self.tallies[PLAYERS if plays else OTHERS]
            tally["slots"] += 1
            tally["missed"] += missed
            tally["delay_ns"] += delay_ns
            tally["revenue_gwei"] += revenue_gwei
        if not plays:
            return
        if self.usual_revenue_gwei > 0.0:
            surprise = min(revenue_gwei / self.usual_revenue_gwei - 1.0, LARGEST_SURPRISE)
            tilt = (delay_ns - self.usual_delay_ns) / (DISTURBANCE * self._deadline_ns)
            usual = self.usual_delay_ns + STEP * self._deadline_ns * tilt * surprise
            self.usual_delay_ns = min(max(usual, 0.0), float(self._deadline_ns))
            self.usual_revenue_gwei += MEMORY * (revenue_gwei - self.usual_revenue_gwei)
        else:
            self.usual_revenue_gwei = float(revenue_gwei)
