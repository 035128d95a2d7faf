"""V39: measures of concentration, against shares of which they are known."""

import numpy as np

from blockspace.experiments.validation import Row, compare, target
from blockspace.network.decentralisation import decentralisation_measures

IDENTITY = "identity"
BUILDERS = (44.46, 42.53, 9.98, 1.88, 1.18)
"""Shares of the blocks of Ethereum by builder, per cent, on 22 March 2025."""

ROUNDED = "from shares rounded to a hundredth"


@target("V39")
def concentration(quick: bool) -> list[Row]:
    """Herfindahl's index, its inverse, Gini's coefficient and Nakamoto's, exactly."""
    rows = []
    # The shares are those of the largest alone: what is left belongs to others, too small to count.
    squared = sum(share**2 for share in BUILDERS)
    found = decentralisation_measures(BUILDERS)["hhi"] * sum(BUILDERS) ** 2
    what = "Herfindahl's index of builders, squared per cent"
    rows.append(compare("V39", what, squared, found, absolute=1e-9, source="relayscan (2025)"))
    rows.append(
        compare("V39", f"{what}, as published", 3_892, found, absolute=2.5, note=ROUNDED, source="relayscan (2025)")
    )
    largest = decentralisation_measures(BUILDERS)
    rows.append(compare("V39", "builders who hold more than half", 2, largest["nakamoto_half"], source=IDENTITY))
    for count in (1, 10, 1_000):
        equal = decentralisation_measures(np.ones(count))
        case = f"{count} equal parties"
        rows.append(compare("V39", f"effective number: {case}", count, equal["effective_number"], absolute=1e-9))
        rows.append(compare("V39", f"Gini's coefficient: {case}", 0.0, equal["gini"], absolute=1e-12))
        for name, share in (("third", 3), ("half", 2)):
            needed = count // share + 1
            what = f"parties who hold more than a {name}: {case}"
            rows.append(compare("V39", what, needed, equal[f"nakamoto_{name}"], source=IDENTITY))
    # One who holds everything among n; and shares that rise in proportion to rank, whose coefficient is (n - 1) / 3n.
    for count in (4, 100):
        one = decentralisation_measures([0.0] * (count - 1) + [1.0])["gini"]
        rows.append(compare("V39", f"Gini's coefficient of one among {count}", 1.0 - 1.0 / count, one, absolute=1e-12))
        rising = decentralisation_measures(np.arange(1, count + 1))["gini"]
        what = f"Gini's coefficient of {count} shares that rise with rank"
        rows.append(compare("V39", what, (count - 1) / (3.0 * count), rising, absolute=1e-12, source="Gini (1912)"))
    return rows
