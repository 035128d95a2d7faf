"""What blocks have changed on a venue, so that they can be undone: for chains whose newest blocks can be lost.

After each block the log compares what accounts own, and what the venue remembers of them, with what it was before, and
keeps the rows that differ as they were. Undoing blocks puts those rows back, the newest first. The books are not
among them: whoever has an order resting sends it again before anything else happens.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.network.state import Stateful

OF_MARGIN = ("cost", "set_aside", "credit", "below_since", "counts_long", "counts_short")
"""What margin remembers that blocks change, beside who is below maintenance, which is found anew in each block."""

Note = tuple[int, list[npt.NDArray[Any]], list[npt.NDArray[Any]]]
"""Time of a block in ns, and for each table the numbers of the rows that it has changed and what they were."""


def _tables(venues: npt.NDArray[Any]) -> list[npt.NDArray[np.uint64]]:
    """Views of all that is kept: for each table its rows as words of 64 bits."""
    venue = venues[0]
    accounts, instruments = int(venue["ledger"]["count"]), int(venue["count"])
    arrays = [venue["ledger"]["accounts"][:accounts], venue["instruments"][:instruments]]
    for name in OF_MARGIN:
        array = venue["margin"][name]
        arrays.append(array[: instruments if name.startswith("counts") else accounts])
    arrays.append(venues["reported"])  # what the keeper of the oracle has got into a block
    return [array.view(np.uint64).reshape(len(array), -1) for array in arrays]


class UndoLog(Stateful):
    """Blocks of a venue that can be undone, newest first.

    Parameters
    ----------
    venues
        The venue, a one-element record array.

    Attributes
    ----------
    notes : list
        One entry per block that changed something, oldest first.
    """

    CONSTANTS: ClassVar = ("_venues",)

    def __init__(self, venues: npt.NDArray[Any]) -> None:
        self._venues = venues
        self._before: list[npt.NDArray[np.uint64]] = []
        self.notes: list[Note] = []

    @property
    def has_begun(self) -> bool:
        """Whether it is known what there was before the next block."""
        return bool(self._before)

    def begin(self) -> None:
        """Take what there is now for what was before the next block; what happened earlier can't be undone."""
        self._before = [table.copy() for table in _tables(self._venues)]
        self.notes.clear()

    def admit(self) -> None:
        """Take in accounts that were opened since the last block: whatever is undone, they stay, and what they brought.

        It came from older accounts: what is known of these is changed by it, each word of which is an integer.
        """
        for place, (table, before) in enumerate(zip(_tables(self._venues), self._before, strict=True)):
            if len(table) == len(before):
                continue
            change = table[: len(before)] - before
            for _, numbers, old in self.notes:
                old[place] += change[numbers[place]]
            self._before[place] = table.copy()

    def note(self, time_ns: int) -> None:
        """Keep what a block has changed.

        Raises
        ------
        RuntimeError
            If accounts were opened that were not admitted.
        """
        tables = _tables(self._venues)
        if len(tables[0]) != len(self._before[0]):
            raise RuntimeError(
                "an account was opened while a block was made; where blocks can be undone it may be so only between two"
            )
        numbers = [
            np.flatnonzero((table != before).any(axis=1)) for table, before in zip(tables, self._before, strict=True)
        ]
        if not any(map(len, numbers)):
            return
        old = [before[rows].copy() for before, rows in zip(self._before, numbers, strict=True)]
        for table, before, rows in zip(tables, self._before, numbers, strict=True):
            before[rows] = table[rows]
        self.notes.append((time_ns, numbers, old))

    def forget(self, until_ns: int) -> None:
        """Forget the blocks up to a time: nobody will undo them any more."""
        kept = 0
        while kept < len(self.notes) and self.notes[kept][0] <= until_ns:
            kept += 1
        del self.notes[:kept]

    def undo(self, after_ns: int) -> int:
        """Put back what the blocks after a time have changed; returns how many they were."""
        tables, count = _tables(self._venues), 0
        while self.notes and self.notes[-1][0] > after_ns:
            _, numbers, old = self.notes.pop()
            for table, before, rows, values in zip(tables, self._before, numbers, old, strict=True):
                table[rows] = values
                before[rows] = values
            count += 1
        return count
