"""What makers of options ask on the same chain: a second run beside the one along which options are written.

The chain, its users, the price and the seed are the same; added are a market of the underlying and one of options of
the same maturities, with makers as averse to risk as the writer and traders who bring orders of some size. Makers are
told no premium: see :mod:`blockspace.agents.option_lessons`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blockspace.experiments.market import Market
from blockspace.experiments.premium.book import OptionBook
from blockspace.experiments.premium.paths import true_volatility
from blockspace.experiments.scenario import Scenario, load_scenario, scenario_from
from blockspace.markets.options.black_scholes import CALL, PUT, YEAR_NS, greeks

PREFIX = "quoted"
NEAR = 0.3
"""Distance of strikes from the price, in standard deviations until expiry, up to which they count as at the money."""

_DAY_S, _YEAR_S = 86_400.0, YEAR_NS * 1e-9
_MARKET = ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")
_SIZES = (
    ("market_makers", "unit_size"),
    ("market_makers", "position_limit"),
    ("noise_traders", "size_mean"),
    ("informed_traders", "size_mean"),
)


@dataclass(frozen=True)
class BesideQuotes:
    """Moments of written options, and beside them what makers quote in a market on the same chain; a measurement.

    Attributes
    ----------
    book
        Options that are written along each run.
    preset
        Where the populations of the market of the underlying come from.
    duration_s, warm_up_s
        Of the run with makers.
    order_units, orders_per_s
        Mean size and rate of the orders of all traders of options together.
    scale
        How many times larger orders and quotes of the underlying are than the preset's, so that its market bears the
        hedges of options on so many units. Its venue takes no fee, for none is in the premium of the writer.
    """

    book: OptionBook
    preset: str
    duration_s: float
    warm_up_s: float
    order_units: float = 50.0
    orders_per_s: float = 0.05
    scale: float = 50.0

    @property
    def maturities_s(self) -> tuple[tuple[str, float], ...]:
        """Times to expiry by name, which are also the tenors that makers quote."""
        return self.book.maturities_s

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Moments and quotes by name."""
        beside = Market(self.scenario(market.world.scenario), market.seed, "none")
        beside.run_for(self.duration_s)
        beside.check()
        return {**self.book(market), **self.quotes(beside)}

    def scenario(self, alone: Scenario) -> Scenario:
        """The scenario of a run with users alone, with a market of the underlying and of options added."""
        source = load_scenario(self.preset).model_dump(mode="json")
        settings = alone.model_dump(mode="json")
        settings |= {name: source[name] for name in _MARKET}
        for population, name in _SIZES:
            settings[population][name] *= self.scale
        settings["endowment"]["cash_usd"] *= self.scale
        settings["instruments"][0]["taker_fee_bps"] = 0.0
        settings |= {"duration_s": self.duration_s, "warm_up_s": self.warm_up_s}
        settings["options"] |= {
            "expiries_days": [seconds / _DAY_S for _, seconds in self.maturities_s],
            "strikes_per_expiry": 3,
        }
        settings["option_makers"] |= {
            "count": 3,
            "unit_size": 5.0 * self.order_units,
            "position_limit": 2.0 * self.book.size,
            "risk_aversion": self.book.risk_aversion,
        }
        settings["option_traders"] |= {
            "count": 20,
            "orders_per_s": self.orders_per_s,
            "size_mean": self.order_units,
            "buyer_share": 0.5,
            "value_mean": 10.0,
        }
        return scenario_from(settings)

    def quotes(self, beside: Market) -> dict[str, float]:
        """Best asks and mids of options at the money over the value, and half-spreads, per cent of it, by maturity.

        The value is that at the true volatility. Looks count at which more than half of the life is left and both sides
        are quoted; ``two_sided`` is the share of these among all such looks.
        """
        rows = beside.options()
        rows = rows[rows["time_s"] > self.warm_up_s]
        series = beside.series().set_index("number").loc[rows["series"]]
        volatility = true_volatility(beside)
        left = (series["expiry_s"].to_numpy() - rows["time_s"].to_numpy()) / _YEAR_S
        spot, strike = rows["index_usd"].to_numpy(), series["strike_usd"].to_numpy()
        deviation = volatility * np.sqrt(np.maximum(left, 1e-12))
        near = (np.abs(np.log(strike / spot)) < NEAR * deviation) & (
            left * _YEAR_S > 0.5 * _DAY_S * series["tenor_days"].to_numpy()
        )
        rights = np.where(series["kind"] == "call", CALL, PUT)
        asks, bids = rows["best_ask_usd"].to_numpy(), rows["best_bid_usd"].to_numpy()
        both = np.isfinite(asks) & np.isfinite(bids)
        kept: dict[str, float] = {}
        for name, seconds in self.maturities_s:
            of_tenor = near & np.isclose(series["tenor_days"], seconds / _DAY_S)
            chosen = np.flatnonzero(of_tenor & both)
            values = [greeks(spot[row], strike[row], left[row], volatility, rights[row], 0.0, 0.0)[0] for row in chosen]
            total = float(np.sum(values))
            ask, bid = float(asks[chosen].sum()), float(bids[chosen].sum())
            half = 50.0 * (ask - bid) / total if total else math.nan
            kept |= {
                f"{PREFIX}.{name}.half_spread_pct": half,
                f"{PREFIX}.{name}.ask_pct": 100.0 * (ask / total - 1.0) if total else math.nan,
                f"{PREFIX}.{name}.mid_pct": 100.0 * (0.5 * (ask + bid) / total - 1.0) if total else math.nan,
                f"{PREFIX}.{name}.two_sided": len(chosen) / of_tenor.sum() if of_tenor.any() else math.nan,
            }
        return kept | self._costs(beside)

    def _costs(self, beside: Market) -> dict[str, float]:
        """What makers pay per unit of options traded: gas of all that they send, and hedges with their gas."""
        summary, hours = beside.summary(), self.duration_s / 3_600.0
        per_hour = float(summary["option_volume_per_h"])
        gas, hedging = float(summary["gas_option_maker_usd_per_h"]), float(summary["option_maker_hedging_usd"]) / hours
        return {
            f"{PREFIX}.gas_usd_per_unit": gas / per_hour if per_hour else math.nan,
            f"{PREFIX}.hedging_usd_per_unit": hedging / per_hour if per_hour else math.nan,
        }
