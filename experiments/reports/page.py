"""One HTML page that needs nothing but itself: sections of text, tables, figures and code, laid out by a template.

A page is data. Whatever makes one (the report of a sweep, that of a run, a comparison) lists its sections; how they
look is said once, in ``page.html.jinja``. The page holds no script and may load nothing: its policy forbids it.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import ClassVar

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

_NUMBER = re.compile(r"[-−]?[\d.,_]+(e[-+−]?\d+)?( ?%)?( ±[\d.,]+(e[-+−]?\d+)?( ?%)?)?|–|")

_SENTENCE = re.compile(r"(.{10,140}?[^.]\.) ([A-Z].*)", re.DOTALL)
"""A short sentence with others after it."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text that is to be copied, or was printed by a program."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """A table of text; columns that hold nothing but numbers are set flush right.

    Attributes
    ----------
    headings, rows
        What it says; headings may have line breaks.
    emphasised
        Numbers of the rows that stand out.
    caption
        What it shows.
    """

    kind: ClassVar = "table"
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    emphasised: Sequence[int] = ()
    caption: str = ""

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers, for each column."""
        columns = zip(*self.rows, strict=True) if self.rows else ((heading,) for heading in self.headings)
        return [all(_NUMBER.fullmatch(cell) for cell in column) and any(column) for column in columns]


@dataclass(frozen=True)
class Picture:
    """A figure, as the text of an SVG file, with what it shows for those who cannot see it."""

    kind: ClassVar = "picture"
    svg: str
    alternative: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The figure as part of the page."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


@dataclass(frozen=True)
class Folded:
    """What is there for those who ask for it."""

    kind: ClassVar = "folded"
    summary: str
    blocks: Sequence["Block"]


Block = Text | Bullets | Code | Table | Picture | Folded


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading of its own."""

    heading: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """Name of the section within the page."""
        return re.sub(r"\W+", "-", self.heading.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes
    ----------
    title
        What was asked.
    above
        What kind of page it is, in a few words.
    facts
        How large, how often, by which version: a few words each.
    sections
        The rest.
    """

    title: str
    above: str
    facts: Sequence[str]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """HTML text of a page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["lead"] = _lead
    text = resources.files("blockspace.experiments.reports").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(page=page)


def _lead(item: str) -> tuple[str, str]:
    """The first sentence of a list's item, and the rest."""
    found = _SENTENCE.match(item)
    return (found[1], found[2]) if found else (item, "")


def describe(figure: Figure) -> str:
    """What a figure shows, in words: its title, and for each panel the heading, the unit and the curves."""
    panels = []
    for axis in figure.axes:
        if not axis.get_visible():
            continue
        legend = axis.get_legend()
        curves = [text.get_text() for text in legend.get_texts()] if legend else []
        heading = axis.get_title("left") or axis.get_title()
        unit = f" ({axis.get_ylabel()})" if axis.get_ylabel() else ""
        told = f"{heading}{unit}".strip()
        panels.append(told + (f": {', '.join(curves)}" if curves else ""))
    across = figure.get_supxlabel() or next((axis.get_xlabel() for axis in figure.axes if axis.get_xlabel()), "")
    parts = [figure.get_suptitle(), f"Across: {across}" if across else "", *panels]
    return ". ".join(" ".join(part.split()).rstrip(".") for part in parts if part) + "."
