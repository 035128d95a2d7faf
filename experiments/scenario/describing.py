"""What settings there are, and what is wrong with one, in a sentence."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from blockspace.experiments.scenario.settings import Scenario
from blockspace.network.settings import (
    Settings,
)
from blockspace.network.settings import did_you_mean as did_you_mean


def is_whole_number(path: str) -> bool:
    """Whether the setting at a dotted path is a whole number."""
    field = _field_at(tuple(int(part) if part.isdigit() else part for part in path.split(".")))
    return field is not None and field.annotation is int


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """Settings that a field holds as a table, or as a list of tables."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _field_at(location: tuple[int | str, ...]) -> FieldInfo | None:
    """Field of the setting at a location, if there is one; numbers stand for items of lists."""
    table: type[BaseModel] | None = Scenario
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, str):
            field = table.model_fields.get(part) if table else None
            table = _table_in(field.annotation) if field else None
        elif table is None:
            return None
    return field


def sentence(error: ValidationError) -> str:
    """Turn the first complaint of a failed validation into one sentence."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    path = ".".join(str(part) for part in location)
    field = _field_at(location)
    if first["type"] == "extra_forbidden":
        parent = _field_at(location[:-1])
        table = _table_in(parent.annotation) if parent else Scenario
        names = table.model_fields if table else ()
        return f"there is no setting {path!r}{did_you_mean(str(location[-1]), names)}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], Mapping | Settings):
        return f"{path}: {message}" if path else message
    shown = repr(first["input"])
    wanted = re.sub(r"^\w+ should", "it must", message).split(" after validation")[0].split(", unable to")[0]
    wanted = wanted.replace("a valid tuple", "a list").replace("a valid", "a")
    if field and first["type"] != "value_error" and not first["type"].endswith(("too_long", "too_short")):
        wanted = _what_it_may_be(field) or wanted
    return f"{path} is {shown if len(shown) <= 60 else shown[:57] + '...'}; {wanted}"


def _what_it_may_be(field: FieldInfo) -> str:
    """Say what a field takes, its type and its range; nothing for what Pydantic says well enough."""
    if get_origin(field.annotation) is Literal:
        return f"it may be {' or '.join(repr(value) for value in get_args(field.annotation))}"
    if _table_in(field.annotation) is not None:
        return f"it must be a {'table' if isinstance(field.annotation, type) else 'list of tables'} of settings"
    kinds: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if field.annotation not in kinds:
        return ""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{word} {getattr(part, name):.15g}"
        for name, word in words.items()
        for part in field.metadata
        if getattr(part, name, None) is not None
    ]
    return f"it must be {kinds[field.annotation]}" + (f", {' and '.join(bounds)}" if bounds else "")


def describe_settings() -> Iterator[tuple[str, Any, str]]:
    """Go through every setting: its dotted path, its default and its description with the unit."""
    yield from _describe(Scenario, "")


def _describe(table: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in table.model_fields.items():
        inner = _table_in(field.annotation)
        if inner is None or inner is Scenario:
            yield f"{prefix}{name}", field.default, field.description or ""
        else:
            item = "" if isinstance(field.annotation, type) else "0."
            yield from _describe(inner, f"{prefix}{name}.{item}")
