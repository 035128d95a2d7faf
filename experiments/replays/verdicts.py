"""Published aggregates against simulated ones: what matches, what does not, what cannot be compared."""

import math
from collections.abc import Iterable

import pandas as pd

from blockspace.experiments.replays import Anchor
from blockspace.experiments.results.statistics import Estimate, estimate

MATCHES, DIFFERS, OPEN = "matches", "does not match", "not clear"
APART, CALIBRATED = "cannot be compared", "calibrated to it"


def judge(anchor: Anchor, found: Estimate) -> str:
    """Whether the whole 95 % interval lies within what counts as a match, or wholly outside.

    Examples
    --------
    >>> anchor = Anchor("mean", "2", "mean", 1.5, 2.5)
    >>> [judge(anchor, Estimate(2.0, low, 2.1, 4)) for low in (1.9, 1.4)]
    ['matches', 'not clear']
    >>> judge(anchor, Estimate(1.0, 0.9, 1.1, 4)), judge(Anchor("mean", "2", "mean"), Estimate(2.0, 1.9, 2.1, 4))
    ('does not match', 'cannot be compared')
    """
    if math.isnan(anchor.low):
        return CALIBRATED if anchor.calibrated else APART
    if math.isnan(found.mean) or math.isnan(found.low):
        return OPEN
    if anchor.low <= found.low and found.high <= anchor.high:
        return MATCHES
    return DIFFERS if found.high < anchor.low or found.low > anchor.high else OPEN


def compare(anchors: Iterable[Anchor], runs: pd.DataFrame) -> pd.DataFrame:
    """One row per anchor: published, what counts as a match, mean and interval over seeds, verdict, note.

    ``runs`` has a row per seed and a column per measure; anchors whose measure it lacks are left out.
    """
    rows = []
    for anchor in anchors:
        if anchor.measure not in runs:
            continue
        found = estimate(runs[anchor.measure])
        rows.append(
            {
                "measure": anchor.measure,
                "what": anchor.what,
                "published": anchor.published,
                "match_from": anchor.low,
                "match_to": anchor.high,
                "simulated": found.mean,
                "low": found.low,
                "high": found.high,
                "seeds": found.count,
                "verdict": judge(anchor, found),
                "note": anchor.note,
            }
        )
    return pd.DataFrame(rows)
