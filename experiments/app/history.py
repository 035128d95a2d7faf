"""A run so far in a bounded number of points: whenever they are too many, every other one is dropped."""

from typing import Any

import numpy as np
import numpy.typing as npt

MOST_POINTS = 240


class History:
    """Rows of blocks and of the first instrument, kept at a stride that doubles when there is no more room.

    Parameters
    ----------
    block_row, market_row
        Types of the rows.
    most
        Rows that are kept at the most, an even number.
    """

    def __init__(self, block_row: np.dtype[Any], market_row: np.dtype[Any], most: int = MOST_POINTS) -> None:
        self.stride = 1
        self.count = 0
        self._seen = 0
        self._blocks = np.zeros(most, block_row)
        self._markets = np.zeros(most, market_row)

    def add(self, block: Any, market: Any) -> None:
        """Take in the rows of a block, if it is one of those that are kept."""
        if self._seen % self.stride == 0:
            if self.count == len(self._blocks):
                for rows in (self._blocks, self._markets):
                    rows[: self.count // 2] = rows[::2].copy()
                self.count //= 2
                self.stride *= 2
            if self._seen % self.stride == 0:
                self._blocks[self.count] = block
                self._markets[self.count] = market
                self.count += 1
        self._seen += 1

    def blocks(self) -> npt.NDArray[Any]:
        """Rows of the blocks that are kept, in their order."""
        return self._blocks[: self.count]

    def markets(self) -> npt.NDArray[Any]:
        """Rows of the first instrument after these blocks."""
        return self._markets[: self.count]
