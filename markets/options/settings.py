"""Settings of listed options, each with its unit in its name or description."""

import math
from typing import Literal

from pydantic import Field, model_validator

from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.network.settings import Settings

SHORTEST_DAYS, LONGEST_DAYS = 1.0 / 24.0, 365.0
"""Tenors between which options are listed."""

LOWEST_VOLATILITY, HIGHEST_VOLATILITY = 0.01, 20.0
"""Volatilities per square root of a year between which marks stay."""


class OptionSettings(Settings):
    """European options settled in cash: for each tenor one expiry at a time, with a call and a put at each strike."""

    underlying: str = Field("ETH-PERP", description="name of the instrument whose index settles the options")
    expiries_days: tuple[float, ...] = Field(
        (), max_length=16, description="tenors, days from listing to expiry, 1/24 to 365 each; none lists no options"
    )
    strikes_per_expiry: int = Field(5, ge=1, le=31, description="strikes of an expiry, an odd number")
    strike_spacing: float = Field(
        0.5,
        gt=0,
        le=5,
        description="distance of neighbouring strikes: standard deviations of the price until expiry, or a share of it",
    )
    strike_spacing_unit: Literal["deviations", "relative"] = Field(
        "deviations",
        description="whether strikes lie closer for short tenors, as on exchanges, or by the same share for all",
    )
    strike_step_usd: float = Field(1.0, gt=0, le=1e6, description="strikes are whole multiples of this, dollars")
    roll: bool = Field(True, description="whether a new expiry of the same tenor is listed when one expires")
    tick_usd: float = Field(0.1, gt=0, le=1e4, description="smallest step of an option's price, dollars per unit")
    lot_size: float = Field(0.01, gt=0, le=1e4, description="smallest size, units of the underlying")
    maker_fee_bps: float = Field(0.0, ge=-100, le=1_000, description="fee of resting orders, basis points of premium")
    taker_fee_bps: float = Field(50.0, ge=0, le=1_000, description="fee of taking orders, basis points of premium")
    volatility_per_year: float = Field(
        0.0,
        ge=0,
        le=HIGHEST_VOLATILITY,
        description="volatility of the first marks; 0 for that of price.volatility_per_day, at least 0.01",
    )
    settlement_window_s: int = Field(
        1_800,
        ge=1,
        le=3_600,
        description="seconds before expiry over which the index is averaged, at most a quarter of the tenor",
    )
    initial_share: float = Field(
        0.15, ge=1e-6, le=1, description="initial margin of a short option at the money, share of the index"
    )
    initial_minimum: float = Field(
        0.10, ge=1e-6, le=1, description="initial margin of a short option far out of the money, share of the index"
    )
    maintenance_share: float = Field(
        0.075, ge=1e-6, le=1, description="maintenance margin at the money, share of the index"
    )
    maintenance_minimum: float = Field(
        0.05, ge=1e-6, le=1, description="maintenance margin far out of the money, share of the index"
    )
    portfolio_minimum: float = Field(
        0.01,
        ge=0,
        le=1,
        description="least that each short option needs however well it is hedged, share of the index (portfolio)",
    )
    record_every_s: float = Field(
        60.0, gt=0, le=1e6, description="seconds between two records of the state of the options' books"
    )

    @model_validator(mode="after")
    def _make_sense(self) -> "OptionSettings":
        for days in self.expiries_days:
            if not SHORTEST_DAYS * (1.0 - 1e-9) <= days <= LONGEST_DAYS:
                raise ValueError(f"expiries_days holds {days:g}; each must be 1/24 to 365 days")
        if len({tenor_name(days) for days in self.expiries_days}) < len(self.expiries_days):
            raise ValueError(f"expiries_days is {_listed(self.expiries_days)}; each must be given once")
        if self.strikes_per_expiry % 2 == 0:
            raise ValueError(f"strikes_per_expiry is {self.strikes_per_expiry}; it must be an odd number from 1 to 31")
        for larger, smaller in (
            ("initial_share", "initial_minimum"),
            ("maintenance_share", "maintenance_minimum"),
            ("initial_share", "maintenance_share"),
            ("initial_minimum", "maintenance_minimum"),
            ("maintenance_minimum", "portfolio_minimum"),
        ):
            most = getattr(self, larger)
            if getattr(self, smaller) > most:
                raise ValueError(f"{smaller} is {getattr(self, smaller):g}; it may be at most {larger}, {most:g}")
        for name, value in (("tick_usd", self.tick_usd), ("strike_step_usd", self.strike_step_usd)):
            micro_dollars = value * self.lot_size * MICRO_DOLLARS
            if abs(micro_dollars - round(micro_dollars)) > 1e-6 or round(micro_dollars) < 1:
                raise ValueError(
                    f"{name} times lot_size is {value * self.lot_size:g} dollars; it must be a whole number of "
                    "micro-dollars, so that cash stays exact"
                )
        return self

    @property
    def tick_lot_value(self) -> int:
        """Micro-dollars per tick and lot."""
        return round(self.tick_usd * self.lot_size * MICRO_DOLLARS)

    @property
    def strike_step(self) -> int:
        """Micro-dollars per lot between the nearest possible strikes."""
        return round(self.strike_step_usd * self.lot_size * MICRO_DOLLARS)

    @property
    def count(self) -> int:
        """Series that are listed at any time: a call and a put for each strike of each tenor."""
        return 2 * self.strikes_per_expiry * len(self.expiries_days)

    def first_volatility(self, volatility_per_day: float) -> float:
        """Volatility per square root of a year at which options are marked before anything has traded."""
        return self.volatility_per_year or max(volatility_per_day * math.sqrt(365.0), LOWEST_VOLATILITY)

    def require_distinct_strikes(self, price_usd: float, volatility: float) -> None:
        """Refuse strikes that lie so close at a price that two of them round to the same step.

        Raises
        ------
        ValueError
            With the tenor and the distance.
        """
        for days in self.expiries_days:
            width = log_spacing(self, volatility, days)
            below = price_usd * math.exp(-width * (self.strikes_per_expiry // 2))
            distance = below * math.expm1(width)
            if self.strikes_per_expiry > 1 and distance < self.strike_step_usd:
                raise ValueError(
                    f"options.strike_spacing is {self.strike_spacing:g}, which makes {distance:.3g} dollars at "
                    f"{days:g} days; it must make at least options.strike_step_usd, {self.strike_step_usd:g}"
                )
            if below < self.strike_step_usd:
                raise ValueError(
                    f"options.strike_spacing is {self.strike_spacing:g}, so that the lowest strike of {days:g} days is "
                    f"{below:.3g} dollars; it must be at least options.strike_step_usd, {self.strike_step_usd:g}"
                )


def log_spacing(settings: OptionSettings, volatility: float, days: float) -> float:
    """Logarithm of the ratio of neighbouring strikes of a tenor."""
    if settings.strike_spacing_unit == "relative":
        return math.log1p(settings.strike_spacing)
    return settings.strike_spacing * volatility * math.sqrt(days / 365.0)


def tenor_name(days: float) -> str:
    """Name of a tenor, as it stands in those of its series: in days, or in hours if it is shorter than one."""
    return f"{days:g}D" if days >= 1.0 else f"{days * 24.0:.4g}H"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
