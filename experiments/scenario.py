"""Scenarios: what a run is made of, checked before anything runs.

A scenario is a preset or a TOML file plus overrides; there is no other way in. Every setting is described, unknown ones are
refused with the nearest known name, and every complaint is one sentence with the setting, its value and what it may be.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from blockspace.agents.arbitrageurs import ArbitrageurSettings
from blockspace.agents.background_users import BackgroundUserSettings
from blockspace.agents.market_makers import MarketMakerSettings
from blockspace.agents.traders import InformedTraderSettings, NoiseTraderSettings
from blockspace.markets.ledger import INSTRUMENTS
from blockspace.markets.settings import GasSettings, InstrumentSettings, PriceSettings, VenueSettings
from blockspace.network.settings import ChainSettings, FeeMarketSettings, MempoolSettings, Settings, TopologySettings


class ScenarioError(ValueError):
    """A scenario that cannot be run, said in one sentence."""


class EndowmentSettings(Settings):
    """What every agent starts with."""

    cash_usd: float = Field(20_000_000.0, ge=0, le=1e11, description="dollars")
    ether: float = Field(10_000.0, ge=0, le=1e8, description="ether to pay for gas")
    spot: float = Field(5_000.0, ge=0, le=1e8, description="units of the underlying, for spot instruments")


class Scenario(Settings):
    """Everything that a run is made of, but for its seed."""

    name: str = Field("unnamed", max_length=80, description="what the scenario is called")
    description: str = Field("", description="what it stands for")
    duration_s: float = Field(3_600.0, gt=0, le=1e9, description="seconds to simulate")
    warm_up_s: float = Field(600.0, ge=0, le=1e9, description="seconds at the start that summaries leave out")
    chain: ChainSettings = ChainSettings()
    fee_market: FeeMarketSettings = FeeMarketSettings()
    topology: TopologySettings = TopologySettings()
    mempool: MempoolSettings = MempoolSettings()
    price: PriceSettings = PriceSettings()
    venue: VenueSettings = VenueSettings()
    gas: GasSettings = GasSettings()
    instruments: tuple[InstrumentSettings, ...] = Field(
        (InstrumentSettings(),), min_length=1, max_length=INSTRUMENTS, description="what is traded"
    )
    endowment: EndowmentSettings = EndowmentSettings()
    background_users: BackgroundUserSettings = BackgroundUserSettings()
    noise_traders: NoiseTraderSettings = NoiseTraderSettings()
    informed_traders: InformedTraderSettings = InformedTraderSettings()
    market_makers: MarketMakerSettings = MarketMakerSettings()
    arbitrageurs: ArbitrageurSettings = ArbitrageurSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Scenario":
        smallest = max(self.gas.place, self.gas.quote + 2 * self.market_makers.levels * self.gas.quote_level)
        if self.chain.gas_limit < smallest:
            raise ValueError(
                f"chain.gas_limit is {self.chain.gas_limit}; it must be at least {smallest}, the gas of the largest "
                "transaction of the market"
            )
        if self.warm_up_s >= self.duration_s:
            raise ValueError(f"warm_up_s is {self.warm_up_s:g}; it must be below duration_s, {self.duration_s:g}")
        names = [instrument.name for instrument in self.instruments]
        if len(set(names)) < len(names):
            raise ValueError("two instruments have the same name; each must have its own")
        for instrument in self.instruments:
            ticks = self.price.initial_usd / instrument.tick_usd
            if not 100 <= ticks <= 500_000:
                raise ValueError(
                    f"price.initial_usd is {ticks:.0f} ticks of {instrument.name}; it must be 100 to 500000 ticks, so "
                    "that the book has room for prices on both sides"
                )
        return self

    @property
    def gas_per_second(self) -> float:
        """Gas that the chain can hold per second."""
        return self.chain.gas_limit / self.chain.block_time_s


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    folder = resources.files("blockspace.network.presets")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """TOML text of a preset, with the sources of its numbers in the comments.

    Raises
    ------
    ScenarioError
        If there is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise ScenarioError(f"there is no preset {name!r}{_nearest(name, names)}; there are {', '.join(names)}")
    return resources.files("blockspace.network.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Load a preset or a TOML file and apply overrides.

    Parameters
    ----------
    source
        Name of a preset, or path of a TOML file. A file may build on a preset by ``extends = "NAME"``.
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
    data = _read(source)
    for path, value in (overrides or {}).items():
        _set(data, path, value)
    return scenario_from(data)


def scenario_from(data: Mapping[str, Any]) -> Scenario:
    """Check nested settings, as read from TOML, and make a scenario of them.

    Raises
    ------
    ScenarioError
        If a setting is unknown or has a value that it may not have.
    """
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(_sentence(error)) from None


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if isinstance(source, str) and path.suffix != ".toml" and not path.exists():
        text, origin = preset_text(source), f"preset {source}"
    else:
        try:
            text, origin = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ScenarioError(f"the scenario file {path} cannot be read: {reason}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{origin} is not valid TOML: {error}") from None
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ScenarioError(f"extends is {base!r} in {origin}; it must be the name of a preset")
    return _merge(tomllib.loads(preset_text(base)), data)


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
    place: Any = data
    for name in names[:-1]:
        if isinstance(place, list):
            place = _item(place, name, path)
        else:
            place = place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise ScenarioError(f"the setting {path!r} does not exist: {name!r} has no parts")
    if isinstance(place, list):
        raise ScenarioError(f"the setting {path!r} is not complete; it must name a part of the item")
    place[names[-1]] = value


def _item(items: list[Any], name: str, path: str) -> Any:
    if not name.isdigit() or int(name) >= len(items):
        raise ScenarioError(f"the setting {path!r} does not exist; its list has the items 0 to {len(items) - 1}")
    return items[int(name)]


def _nearest(name: str, names: list[str]) -> str:
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Names of the settings that the table at a location has."""
    model: Any = Scenario
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        model = field.annotation
        for inner in get_args(model):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return list(model.model_fields)


def _sentence(error: ValidationError) -> str:
    """Turn the first complaint of a failed validation into one sentence."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    path = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        return f"there is no setting {path!r}{_nearest(str(location[-1]), _fields_at(location[:-1]))}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], Mapping | Settings):
        return f"{path}: {message}" if path else message
    shown = repr(first["input"])
    wanted = message[0].lower() + message[1:]
    wanted = wanted.replace("input should be", "it must be").replace("value should", "it must")
    return f"{path} is {shown if len(shown) <= 60 else shown[:57] + '...'}; {wanted}"


def describe_settings() -> Iterator[tuple[str, Any, str]]:
    """Go through every setting: its dotted path, its default and its description with the unit."""
    yield from _describe(Scenario, "")


def _describe(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        items = [part for part in get_args(inner) if isinstance(part, type) and issubclass(part, BaseModel)]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _describe(inner, f"{prefix}{name}.")
        elif items:
            yield from _describe(items[0], f"{prefix}{name}.0.")
        else:
            yield f"{prefix}{name}", field.default, field.description or ""
