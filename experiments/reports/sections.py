"""Sections that every page has: settings, versions, and how to do it again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from blockspace.experiments.files import scenario_toml
from blockspace.experiments.reports.page import Block, Code, Folded, Section, Table, Text
from blockspace.experiments.scenario import Scenario, describe_settings, differences

SHORT_COMMIT = 10


def settings_section(scenario: Scenario, heading: str = "Settings") -> Section:
    """What a scenario sets otherwise than by default, and every setting as TOML."""
    if scenario.price.source == "file":
        # By its name alone: where the folder lies is no part of what was done.
        price = scenario.price.model_copy(update={"file": Path(scenario.price.file).name})
        scenario = scenario.model_copy(update={"price": price})
    apart = {
        path: (value, default)
        for path, (default, value) in differences(Scenario(), scenario).items()
        if path not in ("name", "description")
    }
    about = scenario.name + (f": {scenario.description}" if scenario.description else "")
    blocks: list[Block] = [Text(f"Base scenario {about}.")]
    if apart:
        caption = "Every setting that is not at its default."
        blocks.append(settings_table(apart, ("setting", "value", "default", "what it is"), caption))
    else:
        blocks.append(Text("Every setting is at its default."))
    blocks.append(Folded("Every setting, as scenario.toml has it", [Code(scenario_toml(scenario).rstrip())]))
    return Section(heading, blocks)


def settings_table(
    settings: Mapping[str, tuple[Any, Any]], headings: tuple[str, str, str, str], caption: str = ""
) -> Table:
    """Two values of each setting, by dotted path, with what it is."""
    described = {path: description for path, _, description in describe_settings()}
    rows = [(path, plain(one), plain(other), described.get(path, "")) for path, (one, other) in settings.items()]
    return Table(headings, rows, caption=caption)


def plain(value: Any) -> str:
    """A value as TOML and ``--set`` take it, large whole numbers with underscores.

    Examples
    --------
    >>> [plain(value) for value in (30_000_000, 3600.0, 0.5, True, "slots", [1, 2])]
    ['30_000_000', '3_600', '0.5', 'true', '"slots"', '[1, 2]']
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return f"{int(value):_}"
    return json.dumps(value, ensure_ascii=False)


def count_of(number: int, what: str) -> str:
    """A number of things, such as ``1 seed`` or ``8 seeds``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def in_words(numbers: Iterable[int]) -> str:
    """Whole numbers in order, with those that follow one another as a range.

    Examples
    --------
    >>> in_words([3, 1, 2, 9])
    '1 to 3, 9'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in parts)


def versions_section(manifest: Mapping[str, Any]) -> Section:
    """With what the runs were made."""
    rows = [("Python", manifest["python"] or "unknown"), ("platform", manifest["platform"] or "unknown")]
    rows += [(name, text) for name, text in manifest["versions"].items()]
    rows.append(("commit", manifest["commit"] or "unknown"))
    return Section("Versions", [Table(("what", "version"), rows)])


def version_facts(manifest: Mapping[str, Any]) -> list[str]:
    """The version and the commit, for the head of a page."""
    facts = [f"Blockspace {manifest['versions'].get('blockspace', 'unknown')}"]
    commit = manifest["commit"]
    if commit:
        name, _, changes = commit.partition(" ")
        facts.append(f"commit {name[:SHORT_COMMIT]} {changes}".rstrip())
    return facts


def reproduction_section(manifest: Mapping[str, Any], begun_by: str, also: Sequence[str] = ()) -> Section:
    """The commands that make it again.

    Parameters
    ----------
    manifest
        What is known of how it was made.
    begun_by
        What to say where the command is not known.
    also
        What else there is to know.
    """
    command, commit = manifest["command"], manifest["commit"]
    lines = []
    if commit and " " not in commit:
        lines += [f"git checkout {commit}", "make setup"]
    lines += [
        command or f"# {begun_by}",
        "",
        "blockspace show .    # in this folder: prints the table, writes this page",
    ]
    blocks: list[Block] = [Code("\n".join(lines))]
    if commit and " " in commit:
        changed = f"The source was that of commit {commit.split()[0]} with changes that were not committed."
        blocks.append(Text(changed))
    return Section("Reproduce it", [*blocks, *(Text(text) for text in also)])
