"""What can be set from the page: names, units, and what a scenario makes of them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockspace.experiments.scenario import Scenario, ScenarioError, load_scenario
from blockspace.network.ordering import ORDERING_POLICIES
from blockspace.network.presets import preset_names

PRESET_VARIABLE = "BLOCKSPACE_APP_PRESET"
"""Environment variable that names the preset with which a session begins."""

AS_PRESET = "as in the preset"

_LEVERAGE = {
    "margin.liquidations": True,
    "margin.insurance_usd": 200_000.0,
    "leveraged_traders.count": 300,
    "leveraged_traders.openings_per_h": 20.0,
    "leveraged_traders.leverage_mean": 12.0,
    "leveraged_traders.value_bps": 150.0,
    "liquidators.count": 4,
}
_OPTIONS = {
    "options.expiries_days": [1.0, 7.0, 30.0],
    "options.strikes_per_expiry": 7,
    "option_makers.count": 3,
    "option_traders.count": 20,
}
_POOL = {
    "instruments": [
        {"name": "ETH-PERP"},
        {"name": "ETH-SPOT", "kind": "spot", "share_of_traders": 0.000_001},
    ],
    "pools": [{"name": "POOL", "instrument": "ETH-SPOT", "fee_ppm": 500, "initial_liquidity_usd": 20_000_000.0}],
    "swappers.count": 20,
    "pool_arbitrageurs.count": 4,
    "sandwichers.count": 2,
}
ADDITIONS: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "leveraged traders and liquidators": _LEVERAGE,
    "options": _OPTIONS,
    "a pool, and those who search it": _POOL,
    "options and leveraged traders": {**_LEVERAGE, **_OPTIONS},
}
"""What may be traded beside the book, and the settings that bring it."""


@dataclass(frozen=True)
class NumberSetting:
    """A number that can be set from the page.

    Attributes
    ----------
    name
        Its name among the parameters of a :class:`~blockspace.experiments.app.live_market.LiveMarket`.
    path
        Its place in a scenario.
    label, unit
        What the page calls it, and the unit in which it is typed.
    scale
        What one of that unit is in the unit of the scenario.
    whole
        Whether the scenario takes a whole number.
    in_flight
        Whether a running market takes it at its next block.
    """

    name: str
    path: str
    label: str
    unit: str
    scale: float = 1.0
    whole: bool = False
    in_flight: bool = False

    def text(self, scenario: Scenario) -> str:
        """The number as a scenario has it, in the unit of the page."""
        section, _, field = self.path.partition(".")
        return f"{getattr(getattr(scenario, section), field) / self.scale:.9g}"

    def read(self, text: str) -> float | int:
        """The number that was typed, in the unit of the scenario.

        Raises
        ------
        ScenarioError
            If it is no number.
        """
        try:
            number = float(text.replace(",", "").replace("_", ""))
        except ValueError:
            raise ScenarioError(f"{text!r} is not a number; {self.label.lower()} is in {self.unit}") from None
        if number != number or abs(number) == float("inf"):
            raise ScenarioError(f"{text!r} is not a finite number")
        scaled = number * self.scale
        return round(scaled) if self.whole and abs(scaled - round(scaled)) < 1e-6 else scaled


NUMBERS = (
    NumberSetting("gas_limit", "chain.gas_limit", "Capacity", "million gas a block", 1e6, True, in_flight=True),
    NumberSetting("block_time_s", "chain.block_time_s", "Block time", "seconds"),
    NumberSetting("makers", "market_makers.count", "Market makers", "agents", whole=True),
    NumberSetting(
        "demand_per_s", "background_users.arrivals_per_s", "Demand", "other users per second", in_flight=True
    ),
    NumberSetting("volatility_per_day", "price.volatility_per_day", "Volatility", "% a day", 0.01, in_flight=True),
)

BY_NAME = {setting.name: setting for setting in NUMBERS}


def first_preset() -> str:
    """The preset with which a session begins."""
    return os.environ.get(PRESET_VARIABLE) or "ethereum-30m"


def presets() -> list[str]:
    """Presets to choose from; a file that the session began with is one of them."""
    names = list(preset_names())
    return names if first_preset() in names else [first_preset(), *names]


def orderings() -> list[str]:
    """Ordering policies to choose from."""
    return [AS_PRESET, *ORDERING_POLICIES]


def live_scenario(
    preset: str, additions: str = "nothing else", ordering: str = AS_PRESET, **numbers: float | None
) -> Scenario:
    """Scenario of a live market, which has no warm-up and goes on for as long as somebody watches.

    Parameters
    ----------
    preset, additions, ordering
        Preset, one of :data:`ADDITIONS`, and an ordering policy.
    numbers
        Values of :data:`NUMBERS` by name, in the units of the scenario; None for that of the preset.

    Raises
    ------
    ScenarioError
        If a setting may not be what it is, in one sentence.
    """
    overrides: dict[str, Any] = {"warm_up_s": 0.0, **ADDITIONS[additions]}
    if ordering != AS_PRESET:
        overrides["chain.ordering"] = ordering
    overrides |= {BY_NAME[name].path: value for name, value in numbers.items() if value is not None}
    return load_scenario(preset, overrides)


def complaint(problem: str, typed: Mapping[str, str]) -> tuple[str | None, str]:
    """Which of the typed numbers a sentence is about, if it names one, and the sentence."""
    for setting in NUMBERS:
        if setting.name in typed and problem.startswith(setting.path):
            return setting.name, problem
    return None, problem
