"""What the results of a study or a sweep look like to people: a table, figures, and findings in words.

Whatever shows results (the terminal, the page that ``blockspace show`` writes) shows a :class:`Presentation`; whatever
makes results says how to present them. A study does so in its own file, any other sweep through
:mod:`blockspace.experiments.reports.overview`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results

MOST_ROWS = 60
"""Rows of a table that are shown; the rest is in the files."""


@dataclass(frozen=True)
class Presentation:
    """Results for people.

    Attributes
    ----------
    question
        What was asked, in one sentence.
    headings, rows
        The main table, as text; headings may have line breaks.
    emphasised
        Numbers of the rows that stand out, such as that of the reference point.
    note
        How to read the table.
    figures
        By the stem of their files.
    findings
        What came out, a sentence or two each.
    data
        Further tables, by the stem of their CSV files.
    """

    question: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    emphasised: Sequence[int]
    note: str
    figures: Mapping[str, Figure]
    findings: Sequence[str]
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def table_of_points(
    results: Results, columns: Mapping[str, str], labels: Sequence[str]
) -> tuple[list[str], list[list[str]], list[int], str]:
    """Headings, rows, emphasised rows and note of a table with a row for each point.

    Parameters
    ----------
    results
        What was found.
    columns
        Headings by measure.
    labels
        Headings of the swept values, in their order.
    """
    curves = [results.curve(measure) for measure in columns]
    shown = results.points[:MOST_ROWS]
    swept = {point["name"]: list(point["values"].values()) for point in results.study["points"]}
    rows = []
    for point in shown:
        cells = [value if isinstance(value, str) else format_number(value) for value in swept[point]]
        for curve in curves:
            cells.append(mean_and_half_width(curve, point) if point in curve.index else "–")
        rows.append(cells)
    note = "Means over seeds, ± half of their 95 % confidence intervals."
    if len(results.points) > len(shown):
        note += f" The first {len(shown)} of {len(results.points)} points; table.csv has them all."
    emphasised = [number for number, point in enumerate(shown) if point == results.study["reference"]]
    return [*labels, *columns.values()], rows, emphasised, note


def mean_and_half_width(curve: pd.DataFrame, point: str) -> str:
    """A mean with half the width of its interval, such as ``5.2 ±0.3``."""
    mean, low, high = (float(curve[name][point]) for name in ("mean", "low", "high"))
    half = f" ±{format_number(float(f'{(high - low) / 2:.1g}'))}" if high > low else ""
    return format_number(mean) + half
