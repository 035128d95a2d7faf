"""Timing games of validators: who waits before closing a block collects more, and risks that the block comes too late.

In each slot a block counts only if validators with the needed share of all stake have received it by a deadline. Some
validators play: they close their blocks some time into the slot. How long to wait they learn from what their blocks
earned, and share what they learn, as validators of one operator do: each of their blocks waits somewhat longer or
shorter than usual, at random, and the usual delay moves towards what earned more (simultaneous perturbation: Spall,
1992). A block that is missed earns nothing. That waiting pays was shown by Schwarz-Schilling and others (2023).

Who sends transactions knows when a block is closed, as it knows the slots of a chain.
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.network.draws import draw_exponential, draw_uniform, stream_key
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
    """Delays of the blocks of a chain with fixed slots, and which of them are missed.

    Parameters
    ----------
    settings
        Who plays, and when a block comes too late.
    reach_ns
        For each validator, time until a block of its own has reached the needed share of all stake.
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

    CONSTANTS: ClassVar = ("players", "_reach_ns", "_deadline_ns", "_jitter_ns", "_keys", "_count_from_ns")

    def __init__(
        self, settings: TimingGameSettings, reach_ns: npt.NDArray[np.int64], seed: int, count_from_ns: int = 0
    ) -> None:
        key = np.uint64(stream_key(seed, "timing_games/players"))
        draws = [draw_uniform(key, np.int64(number), np.int64(0)) for number in range(len(reach_ns))]
        self.players = np.array(draws) < settings.share
        self._reach_ns = reach_ns
        self._deadline_ns = round(settings.deadline_s * 1e9)
        self._jitter_ns = settings.jitter_s * 1e9
        self._keys = tuple(np.uint64(stream_key(seed, f"timing_games/{name}")) for name in ("delay", "jitter"))
        self._count_from_ns = count_from_ns
        self.usual_delay_ns = 0.0
        self.usual_revenue_gwei = 0.0
        self.tallies = np.zeros(2, TALLY)

    def delay_ns(self, slot: int, producer: int) -> int:
        """Time into a slot at which its producer closes the block."""
        if not self.players[producer]:
            return 0
        longer = draw_uniform(self._keys[0], np.int64(0), np.int64(slot)) < 0.5
        delay = self.usual_delay_ns + (1.0 if longer else -1.0) * DISTURBANCE * self._deadline_ns
        return int(min(max(delay, 0.0), float(self._deadline_ns)))

    def is_missed(self, slot: int, producer: int, delay_ns: int) -> bool:
        """Whether the block of a slot comes too late for the needed share of all stake."""
        jitter = self._jitter_ns * draw_exponential(self._keys[1], np.int64(0), np.int64(slot))
        return bool(delay_ns + int(self._reach_ns[producer]) + jitter > self._deadline_ns)

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
