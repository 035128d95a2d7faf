"""What a stylised fact is, and when it counts as found."""

from dataclasses import dataclass

import numpy as np

from blockspace.experiments.facts.estimators import Floats, interval

FEWEST = 5_000
"""Observations below which there is no verdict: noise alone makes correlations of 0.03."""

FEWEST_FOR_MEMORY = 20_000
"""Returns below which there is no verdict on tails and memory: 400 in the tail, and lags up to 200."""

WANTED_FOR_MEMORY = 50_000


@dataclass(frozen=True)
class Fact:
    """A stylised fact, looked for.

    Attributes
    ----------
    name, what
        Short name, and what is measured in words.
    value, low, high
        Estimate and ends of its 95 % interval; NaN where there is none.
    unit
        Of the three; empty for pure numbers.
    accepted
        Which values make it found, in words; empty for what is only reported.
    found
        The verdict; None if there is none, and ``note`` says why.
    observations
        How many the estimate rests on.
    note, source
        What else a reader should know; author and year of the definition.
    """

    name: str
    what: str
    value: float
    low: float
    high: float
    unit: str
    accepted: str
    found: bool | None
    observations: int
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Accepted:
    """Values that make a fact found: a range for the estimate, or a threshold for the whole interval.

    Attributes
    ----------
    lowest, highest
        Ends of the range; without ``highest``, ``lowest`` is a threshold.
    fewest
        Observations without which there is no verdict.
    """

    lowest: float
    highest: float = np.inf
    fewest: int = FEWEST

    def __str__(self) -> str:
        if np.isinf(self.highest):
            return f"above {self.lowest:g}"
        return f"{self.lowest:g} to {self.highest:g}".replace("-", "−")

    def holds(self, value: float, low: float) -> bool:
        """Whether it holds for an estimate and the lower end of its interval."""
        return low > self.lowest if np.isinf(self.highest) else self.lowest <= value <= self.highest


def judge(
    name: str,
    what: str,
    estimates: Floats,
    observations: int,
    accepted: Accepted | None = None,
    *,
    unless: str = "",
    unit: str = "",
    note: str = "",
    source: str = "",
) -> Fact:
    """Make a fact of estimates.

    Parameters
    ----------
    estimates
        Of the series and of its resamples.
    accepted
        What makes it found; None for what is only reported.
    unless
        Why it is not found whatever the estimate; empty otherwise.
    """
    value = float(estimates[0])
    low, high = interval(estimates)
    found, reason = _verdict(value, low, observations, accepted, unless) if accepted else (None, "")
    said = "; ".join(part for part in (note, reason) if part)
    return Fact(name, what, value, low, high, unit, str(accepted or ""), found, observations, said, source)


def _verdict(value: float, low: float, observations: int, accepted: Accepted, unless: str) -> tuple[bool | None, str]:
    """Verdict, and what to say of it."""
    if observations < accepted.fewest:
        return None, f"no verdict on fewer than {accepted.fewest:,}"
    if unless:
        return False, unless
    if np.isnan(value) or np.isnan(low):
        return None, "not measurable"
    few = accepted.fewest == FEWEST_FOR_MEMORY and observations < WANTED_FOR_MEMORY
    return accepted.holds(value, low), f"{WANTED_FOR_MEMORY:,} are wanted" if few else ""
