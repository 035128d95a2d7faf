"""What a study says in words, computed from its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.results.statistics import Estimate

SETTLED_SHARE = 0.1
"""A curve has settled where it stays within this share of its whole change of its last value."""

DONE = "nine tenths"

NEGLIGIBLE = 0.05
"""A change by less than this share of the larger end is small, however clear."""


@dataclass(frozen=True)
class Change:
    """How a measure moves from the first to the last of some points.

    Attributes
    ----------
    results, measure
        Whose, and which.
    points
        Points at which it could be measured, in the order of the study.
    what, unit
        What it is called in a sentence (a singular), and its unit.
    """

    results: Results
    measure: str
    points: Sequence[str]
    what: str
    unit: str

    @property
    def apart(self) -> Estimate:
        """Paired difference: at the last point less at the first."""
        return self.results.difference(self.measure, self.points[0], self.points[-1])

    @property
    def is_small(self) -> bool:
        """Whether both ends are nearly the same."""
        means = self.results.curve(self.measure)["mean"]
        larger = max(abs(means[self.points[0]]), abs(means[self.points[-1]]))
        return abs(self.apart.mean) < NEGLIGIBLE * larger

    @property
    def settled_from(self) -> str | None:
        """First point from which on the mean stays close to its last value; None if only the last itself is."""
        means = self.results.curve(self.measure)["mean"].loc[list(self.points)].to_numpy()
        outside = np.abs(means - means[-1]) > SETTLED_SHARE * abs(means[0] - means[-1])
        first = int(np.flatnonzero(outside)[-1]) + 1 if outside.any() else 0
        return self.points[first] if first < len(means) - 1 else None

    @property
    def turn(self) -> str | None:
        """Point inside at which the mean lies clearly beyond both ends; None if there is none."""
        means = self.results.curve(self.measure)["mean"].loc[list(self.points)]
        ends = (self.points[0], self.points[-1])
        for turn, beyond in (
            (means.idxmax(), means.max() - means[list(ends)].max()),
            (means.idxmin(), means[list(ends)].min() - means.min()),
        ):
            nearer = min(ends, key=lambda end: abs(means[turn] - means[end]))
            clear = self.results.difference(self.measure, nearer, turn).is_clear
            if clear and beyond > SETTLED_SHARE * abs(means[ends[0]] - means[ends[1]]):
                return str(turn)
        return None

    def __str__(self) -> str:
        """One sentence with the means at both ends, the paired interval, and where it turns or settles."""
        if len(self.points) < 2:
            return f"{self.what} cannot be compared: it was measurable at fewer than two points."
        first, last = self.points[0], self.points[-1]
        means = self.results.curve(self.measure)["mean"]
        unit = f" {self.unit}" if self.unit else ""
        ends = f"from {format_number(means[first])}{unit} at {first} to {format_number(means[last])}{unit} at {last}"
        apart = self.apart
        interval = f"difference {format_number(apart.mean)}, 95 % interval {format_interval(apart)}"
        turn = f", by way of {format_number(means[self.turn])}{unit} at {self.turn}" if self.turn else ""
        if not apart.is_clear:
            return f"{self.what} does not clearly change {ends}{turn} ({interval})."
        if self.is_small:
            return f"{self.what} hardly changes {ends}{turn} ({interval})."
        sentence = f"{self.what} {'rises' if apart.mean > 0 else 'falls'} {ends}{turn} ({interval})"
        if len(self.points) == 2:
            return f"{sentence}."
        if self.settled_from is None:
            return f"{sentence}, without settling by then."
        return sentence + ("." if self.settled_from == first else f"; {DONE} of that is done by {self.settled_from}.")


def change(results: Results, measure: str, what: str, unit: str = "", points: Sequence[str] | None = None) -> Change:
    """How a measure moves over ``points`` (by default all), where it could be measured."""
    known = results.measurable(measure)
    return Change(results, measure, [p for p in known if points is None or p in points], what, unit)


def weigh(claim: str, rising: bool, *changes: Change) -> str:
    """Say of a claim whether it holds between the ends of the sweep, with the evidence.

    Parameters
    ----------
    claim
        What people say.
    rising
        Whether it says that the measures rise along the sweep, or that they fall.
    changes
        The evidence. The claim holds if all of it is clear, not small, and goes the way that is claimed; it fails if
        any of it clearly goes the other way.
    """
    verdicts = {_verdict(evidence, rising) for evidence in changes}
    verdict: str = next(one for one in ("fails", "is not shown", "hardly holds", "holds") if one in verdicts)
    if verdict == "holds" and any(evidence.turn for evidence in changes):
        verdict = "holds from end to end, but not all the way"
    return f"That {claim} {verdict}. " + " ".join(str(evidence) for evidence in changes)


def _verdict(evidence: Change, rising: bool) -> str:
    if len(evidence.points) < 2 or not evidence.apart.is_clear:
        return "is not shown"
    if evidence.is_small:
        return "hardly holds"
    return "holds" if (evidence.apart.mean > 0) == rising else "fails"


def format_interval(value: Estimate) -> str:
    """The ends of an interval, for people."""
    return f"{format_number(value.low)} to {format_number(value.high)}"
