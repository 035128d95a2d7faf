"""Faults: what breaks, when, and for how long.

Each is said of the chain where it happens:

===================  =================================================================================================
``outage``           nobody makes blocks; what is sent waits
``partition``        whoever is in the regions named can reach nobody elsewhere, and is reached by nobody
``oracle_stall``     the keeper reports no prices
``reorganisation``   at the start, the blocks of the last ``duration_s`` lose what they held about other chains
``withholding``      the operator of the rollup posts no data
``crash``            the sequencer stands still, and has lost all blocks of which it has not handed in the data
``invalid_batch``    the data that the operator hands in break the rules: nobody takes them, nor the blocks after them
``censorship``       the rollup's sequencer takes nothing from the regions named, who still see its blocks
``prover_failure``   the rollup's provers stand still
``false_claim``      what the rollup's operator claims of its state is not so
===================  =================================================================================================
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from blockspace.network.regions import REGIONS
from blockspace.network.settings import Settings

Interval = tuple[int, int]
"""From when to when, in ns, the end not included."""

LOSE_BLOCKS = ("crash", "invalid_batch")
"""Faults by which blocks of a rollup are undone."""

OF_ROLLUPS = ("withholding", "crash", "invalid_batch", "prover_failure", "false_claim", "censorship")
"""Faults that only a rollup can have."""

OF_REGIONS = ("partition", "censorship")
"""Faults that befall some regions, which they name."""


class FaultSettings(Settings):
    """Something that breaks."""

    kind: Literal[
        "outage",
        "partition",
        "oracle_stall",
        "reorganisation",
        "withholding",
        "crash",
        "invalid_batch",
        "prover_failure",
        "false_claim",
        "censorship",
    ] = Field("outage", description="what breaks")
    start_s: float = Field(0.0, ge=0, le=1e9, description="seconds from the start of the run at which it breaks")
    duration_s: float = Field(600.0, gt=0, le=1e9, description="seconds that it lasts, or that are undone")
    regions: tuple[str, ...] = Field(
        (), description="regions that are cut off from the others (partition), or that are kept out (censorship)"
    )

    @model_validator(mode="after")
    def _names_regions(self) -> "FaultSettings":
        of_regions = self.kind in OF_REGIONS
        if of_regions != bool(self.regions):
            kinds = " and ".join(repr(kind) for kind in OF_REGIONS)
            wanted = "name at least one" if of_regions else f"be empty for any other kind than {kinds}"
            raise ValueError(f"regions is {list(self.regions)} for a fault of kind {self.kind!r}; it must {wanted}")
        for name in self.regions:
            if name not in REGIONS:
                raise ValueError(f"regions has {name!r}; it may have {', '.join(REGIONS)}")
        return self

    @property
    def interval(self) -> Interval:
        """From when to when it is so, in ns."""
        start = round(self.start_s * 1e9)
        return start, start + round(self.duration_s * 1e9)


def intervals(faults: Iterable[FaultSettings], *kinds: str) -> tuple[Interval, ...]:
    """When faults of some kinds last, in order of their start."""
    return tuple(sorted(fault.interval for fault in faults if fault.kind in kinds))


def is_within(moments: Iterable[Interval], time_ns: int) -> bool:
    """Whether a time lies in one of the intervals."""
    return any(start <= time_ns < end for start, end in moments)


def past(moments: Iterable[Interval], time_ns: int) -> int:
    """The time itself, or the end of the intervals that it lies in; they are in order of their start."""
    for start, end in moments:
        if start <= time_ns < end:
            time_ns = end
    return time_ns


def worked_until(moments: Iterable[Interval], start_ns: int, work_ns: int) -> int:
    """When work of this length is done that begins at ``start_ns`` and stands still during the intervals.

    Examples
    --------
    >>> worked_until([(10, 15), (30, 40)], start_ns=5, work_ns=20)
    30
    >>> worked_until([(10, 15), (30, 40)], start_ns=12, work_ns=16)
    41
    """
    begun = past(moments, start_ns)
    done = begun + work_ns
    for start, end in moments:
        if begun <= start < done:
            done += end - start
    return done
