"""What a comparison looks like: a table in the terminal, and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable

from blockspace.experiments.files import write_whole
from blockspace.experiments.reports.comparison import Comparison, Row
from blockspace.experiments.reports.figures import figure_bytes
from blockspace.experiments.reports.page import (
    Block,
    Bullets,
    Code,
    Page,
    Picture,
    Section,
    Table,
    Text,
    describe,
    render,
)
from blockspace.experiments.reports.sections import count_of, in_words, plain, settings_table
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results.statistics import relative

MOST_PRINTED = 200
"""Rows that the terminal shows; of more, those that are clear."""

MOST_NAMES = 8
MOST_POINTS = 3
"""Names that are listed in a sentence: of settings and the like, and of points for each measure."""


def write_comparison(comparison: Comparison, page: Path, command: str) -> None:
    """Write a comparison as one page.

    Parameters
    ----------
    comparison
        What is compared.
    page
        HTML file.
    command
        What makes it again.
    """
    svg = figure_bytes(comparison.figure, "svg").decode()
    headings, rows, clear = _table(comparison)
    caption = "" if comparison.of_runs else " ".join(_notes(comparison))
    sections = [
        Section("What came out", [Bullets(findings(comparison))]),
        Section("Figure", [Picture(svg, describe(comparison.figure))]),
        Section("Table", [Table(headings, rows, clear, caption)]),
        _settings(comparison),
        _making(comparison),
        Section("Reproduce it", [Code(command)]),
    ]
    first, second = comparison.names
    facts = [f"A: {first}", f"B: {second}", count_of(len(comparison.rows), "difference")]
    write_whole(page, render(Page(comparison.title, "Blockspace · comparison", facts, sections)))


def print_comparison(comparison: Comparison) -> None:
    """Print the table of a comparison and what it says."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    headings, rows, clear = _table(comparison)
    console.print(f"\n[bold]A: {escape(comparison.names[0])}, B: {escape(comparison.names[1])}[/bold]")
    if len(rows) > MOST_PRINTED:
        console.print(f"Of {len(rows)} differences, those that are clear; the page has them all.")
        rows, clear = [rows[number] for number in clear], []
    table = TerminalTable(*map(escape, headings), box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column, is_number in zip(table.columns, Table(headings, rows).numeric, strict=True):
        column.justify = "right" if is_number else "left"
    for number, row in enumerate(rows):
        table.add_row(*map(escape, row), style="bold" if number in clear else "")
    console.print(table)
    if not comparison.of_runs:
        for note in _notes(comparison):
            console.print(note, markup=False)
    console.print()
    for finding in findings(comparison):
        console.print(f"• {finding}", markup=False)


def _table(comparison: Comparison) -> tuple[list[str], list[list[str]], list[int]]:
    """Headings, rows, and numbers of the rows whose interval excludes zero."""
    rows, clear = [], []
    for number, row in enumerate(comparison.rows):
        cells = [] if comparison.of_runs else [row.point]
        cells += [row.label, format_number(row.first), format_number(row.second)]
        half = "" if comparison.of_runs else _half(row)
        share = relative(row.apart, row.first).mean
        cells += [format_number(row.apart.mean) + half, f"{format_number(share)} %" if share == share else "–"]
        if not comparison.of_runs:
            cells.append("yes" if row.apart.is_clear else "no")
        if row.apart.is_clear:
            clear.append(number)
        rows.append(cells)
    headings = ["measure", "A", "B", "B less A", "of A"]
    return headings if comparison.of_runs else ["point", *headings, "clear"], rows, clear


def _half(row: Row) -> str:
    width = row.apart.half_width
    return f" ±{format_number(float(f'{width:.1g}'))}" if width > 0 else ""


def _notes(comparison: Comparison) -> list[str]:
    """How to read the table."""
    if comparison.of_runs:
        same = comparison.seeds[0] == comparison.seeds[1]
        chance = (
            "of the same seed, with the same users, prices and arrivals"
            if same
            else "of different seeds, with other users, prices and arrivals"
        )
        return [f"One run each, {chance}: there is no interval, and a difference may be chance."]
    if comparison.rows[0].paired:
        pairs = {row.apart.count for row in comparison.rows}
        most = max(pairs)
        how = f"Differences are taken seed by seed over {most} pairs" + (" at most." if len(pairs) > 1 else ".")
    else:
        how = "The two have different seeds: differences are not paired, and intervals are Welch's."
    count = sum(row.apart.count > 1 for row in comparison.rows)
    return [
        f"Means, and B less A ± half of its 95 % interval. {how} In bold where the interval excludes zero.",
        f"{count} intervals are shown: if nothing differed, about one in twenty of them, here "
        f"{format_number(count / 20, 2)}, would exclude zero by chance.",
    ]


def findings(comparison: Comparison) -> list[str]:
    """What a comparison says in words."""
    told = _notes(comparison) if comparison.of_runs else []
    clear = [row for row in comparison.rows if row.apart.is_clear]
    if not comparison.of_runs:
        count = sum(row.apart.count > 1 for row in comparison.rows)
        told.append(f"{len(clear)} of {count_of(count, 'difference')} {'is' if count == 1 else 'are'} clear.")
        told += _by_measure(comparison, clear)
    told += _only(comparison)
    changed = list(comparison.settings)
    told.append(
        f"The base scenarios differ in {count_of(len(changed), 'setting')}: {_few(changed)}."
        if changed
        else "The base scenarios have the same settings."
    )
    if comparison.points:
        told.append(f"Points of the same name have other settings: {_few(list(comparison.points))}.")
    if comparison.made:
        told.append(f"They were made with other versions: {_few(list(comparison.made))} differ.")
    return told


def _by_measure(comparison: Comparison, clear: Sequence[Row]) -> list[str]:
    """Where each measure is clearly higher or lower."""
    told = []
    for label in dict.fromkeys(row.label for row in comparison.rows):
        higher = [row.point for row in clear if row.label == label and row.apart.mean > 0]
        lower = [row.point for row in clear if row.label == label and row.apart.mean < 0]
        parts = [
            f"{way} in {comparison.names[1]} at {_where(points, comparison)}"
            for way, points in (("higher", higher), ("lower", lower))
            if points
        ]
        if parts:
            told.append(f"{label}: clearly {', and '.join(parts)}.")
    return told


def _where(points: Sequence[str], comparison: Comparison) -> str:
    """Points in a few words: all of them by name if they are few."""
    there = len({row.point for row in comparison.rows})
    if len(points) == there:
        return "every point" if there > 1 else points[0]
    return ", ".join(points) if len(points) <= MOST_POINTS else f"{len(points)} of {there} points"


def _only(comparison: Comparison) -> list[str]:
    return [
        f"Only {name} has {_few(points)}."
        for name, points in zip(comparison.names, comparison.only, strict=True)
        if points
    ]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _settings(comparison: Comparison) -> Section:
    blocks: list[Block] = []
    if comparison.settings:
        blocks.append(settings_table(comparison.settings, ("setting", "A", "B", "what it is")))
    else:
        blocks.append(Text("The base scenarios have the same settings."))
    if comparison.points:
        rows = [(point, _overrides(first), _overrides(second)) for point, (first, second) in comparison.points.items()]
        blocks.append(Table(("point", "A", "B"), rows, caption="Points of the same name with other settings."))
    return Section("Settings that differ", blocks)


def _overrides(overrides: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {plain(value)}" for path, value in overrides.items())


def _making(comparison: Comparison) -> Section:
    seeds = [in_words(seeds) for seeds in comparison.seeds]
    rows = [(name, first or "unknown", second or "unknown") for name, (first, second) in comparison.made.items()]
    unknown = [f" How {name} was made is not known: it was never finished." for name in comparison.unknown]
    same = "".join(unknown) if rows or unknown else " Versions, commit and platform are the same."
    told = f"Seeds of both: {seeds[0]}." if seeds[0] == seeds[1] else f"Seeds of A: {seeds[0]}; of B: {seeds[1]}."
    blocks: list[Block] = [Text(told + same)]
    if rows:
        blocks.append(Table(("what", "A", "B"), rows))
    return Section("Seeds and versions", blocks)
