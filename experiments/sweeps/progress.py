"""Progress of a sweep: a bar in a terminal or a notebook, now and then a line in a plain pipe, and a log file."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

LINE_EVERY_S = 30.0
"""Seconds between two lines where there is no bar."""


class Progress:
    """Shows how many of the runs are finished, how fast they come, and how long the rest takes.

    Parameters
    ----------
    total, finished
        Number of runs, and how many of them there are already.
    quiet
        Whether to show nothing.
    """

    def __init__(self, total: int, finished: int, quiet: bool) -> None:
        self._total = total
        self._finished = self._at_first = finished
        self._started = self._told = time.monotonic()
        has_bar = sys.stderr.isatty() or "ipykernel" in sys.modules
        self._tells = not quiet and not has_bar
        self._bar = tqdm(total=total, initial=finished, unit="run", smoothing=0, disable=quiet or not has_bar)

    def advance(self) -> None:
        """Count a run that has been finished."""
        self._finished += 1
        self._bar.update()
        now = time.monotonic()
        if self._tells and (self._finished == self._total or now - self._told >= LINE_EVERY_S):
            self._told = now
            rate = (self._finished - self._at_first) / max(now - self._started, 1e-9)
            left = (self._total - self._finished) / rate
            line = f"{self._finished} of {self._total} runs, {rate:.3g} runs/s, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@contextmanager
def log_file(file: Path) -> Iterator[logging.Logger]:
    """A logger that adds lines with the time to a file."""
    log = logging.Logger("blockspace")
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()
