"""How scenarios come in: a preset or a TOML file, and overrides by dotted path; there is no other way."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from blockspace.experiments.errors import UserError
from blockspace.experiments.scenario.describing import sentence
from blockspace.experiments.scenario.populations import POPULATIONS
from blockspace.experiments.scenario.settings import Scenario
from blockspace.network.presets import preset_names
from blockspace.network.settings import did_you_mean as did_you_mean


class ScenarioError(UserError):
    """A scenario that cannot be run, said in one sentence."""


def preset_text(name: str) -> str:
    """TOML text of a preset, with the sources of its numbers in the comments.

    Raises
    ------
    ScenarioError
        If there is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise ScenarioError(f"there is no preset {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
    return resources.files("blockspace.network.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Load a preset or a TOML file and apply overrides.

    Parameters
    ----------
    source
        Name of a preset, or path of a TOML file: text that ends in ``.toml`` or has a slash is a path. A file
        may build on a preset by ``extends = "NAME"``. A price file is looked for in the folder of the file
        that names it.
    overrides
        Values by dotted path, such as ``{"chain.gas_limit": 60_000_000}``; items of lists by number
        (``"instruments.0.taker_fee_bps"``).

    Returns
    -------
    Scenario
        Checked, complete and frozen.

    Raises
    ------
    ScenarioError
        If anything is wrong: one sentence with the setting, its value and what it may be.
    """
    data = _read_preset(str(source)) if _names_preset(source) else _read_file(Path(source))
    for path, value in (overrides or {}).items():
        _set(data, path, value)
    _locate_price_file(data, Path.cwd())
    return scenario_from(data)


def scenario_from(data: Mapping[str, Any]) -> Scenario:
    """Check nested settings, as read from TOML, and make a scenario of them.

    Raises
    ------
    ScenarioError
        If a setting is unknown or has a value that it may not have.
    """
    chains = data.get("chains")
    if isinstance(chains, list):
        data = {**data, "chains": [_extend_chain(one) if isinstance(one, Mapping) else one for one in chains]}
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(sentence(error)) from None
    if scenario.rollup.kind != "none" and not scenario.chains:
        raise ScenarioError(
            f"rollup.kind is {scenario.rollup.kind!r}; it must be 'none' where there are no chains to settle on"
        )
    if scenario.hedgers.count and not scenario.chains:
        raise ScenarioError(f"hedgers.count is {scenario.hedgers.count}; it must be 0 where there is only one chain")
    desks = scenario.cross_chain_arbitrageurs.count
    if desks and not scenario.chains:
        raise ScenarioError(f"cross_chain_arbitrageurs.count is {desks}; it must be 0 where there is only one chain")
    return scenario


def change_settings(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Scenario with other values at dotted paths, checked as :func:`load_scenario` does it.

    Raises
    ------
    ScenarioError
        If a setting is unknown or has a value that it may not have.
    """
    data = scenario.model_dump(mode="json")
    for path, value in overrides.items():
        _set(data, path, value)
    return scenario_from(data)


def differences(first: Scenario, second: Scenario) -> dict[str, tuple[Any, Any]]:
    """Settings in which two scenarios differ: both values by dotted path."""
    return dict(_differences(first.model_dump(mode="json"), second.model_dump(mode="json"), ""))


def _differences(first: Any, second: Any, path: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    pairs: Iterable[tuple[Any, Any, Any]]
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = ((name, first[name], second[name]) for name in first)
    elif (
        isinstance(first, list)
        and isinstance(second, list)
        and len(first) == len(second)
        and all(isinstance(item, dict) for item in (*first, *second))
    ):
        pairs = ((number, *both) for number, both in enumerate(zip(first, second, strict=True)))
    else:
        if first != second:
            yield path, (first, second)
        return
    for name, here, there in pairs:
        yield from _differences(here, there, f"{path}.{name}" if path else str(name))


def _names_preset(source: str | Path) -> bool:
    return isinstance(source, str) and not source.endswith(".toml") and Path(source).name == source


def _read_preset(name: str) -> dict[str, Any]:
    return _extend(tomllib.loads(preset_text(name)), f"preset {name}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScenarioError(f"the scenario file {path} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is not valid TOML: {error}") from None
    _locate_price_file(data, path.absolute().parent)
    return _extend(data, str(path))


def _extend(data: dict[str, Any], origin: str) -> dict[str, Any]:
    """Lay settings over those of the preset that they extend, if they extend one."""
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ScenarioError(f"extends is {base!r} in {origin}; it must be the name of a preset")
    return _merge(_read_preset(base), data)


def _extend_chain(chain: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a further chain.

    Unless it says ``market = true``, nobody trades there but those whose number it gives.
    """
    data = dict(chain)
    has_market = data.pop("market", False)
    named = {name for name in POPULATIONS if isinstance(data.get(name), dict) and "count" in data[name]}
    data = _extend(data, f"the chain {data.get('name', '')!r}")
    if has_market is not True:
        for name in POPULATIONS:
            if name not in named:
                data[name] = {**data.get(name, {}), "count": 0}
    return data


def _locate_price_file(data: Mapping[str, Any], folder: Path) -> None:
    """Make the path of the price file absolute: the scenario means the same wherever it is written down."""
    price = data.get("price")
    if isinstance(price, dict) and isinstance(price.get("file"), str) and price["file"]:
        price["file"] = str(folder / price["file"])


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path, making tables on the way."""
    names = path.split(".")
    if not all(names):
        raise ScenarioError(f"the setting {path!r} is not a dotted path such as chain.gas_limit")
    if names[0] == "instruments" and "instruments" not in data and len(names) > 1:
        data["instruments"] = [{}]
    if names[0] == "chains" and isinstance(data.get("chains"), tuple):
        data["chains"] = list(data["chains"])
    if names[0] == "pools" and len(names) > 1:
        pools = data.setdefault("pools", [])
        if isinstance(pools, tuple):
            pools = data["pools"] = list(pools)
        if names[1] == str(len(pools)):  # one more
            pools.append({})
    place: Any = data
    for name in names[:-1]:
        place = _item(place, name, path) if isinstance(place, list) else place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise ScenarioError(f"the setting {path!r} does not exist: {name!r} has no parts")
    if isinstance(place, list):
        raise ScenarioError(f"the setting {path!r} is not complete; it must name a part of the item")
    place[names[-1]] = value


def _item(items: list[Any], name: str, path: str) -> Any:
    if not name.isdigit() or int(name) >= len(items):
        last = len(items) - 1
        raise ScenarioError(f"the setting {path!r} does not exist; its list has the items 0 to {last}")
    return items[int(name)]
