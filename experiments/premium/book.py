"""Options written along a run, and what a sweep keeps of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.errors import UserError
from blockspace.experiments.market import Market
from blockspace.experiments.premium.hedging import CONTRACT, POLICY, hedge
from blockspace.experiments.premium.parts import HOLDER_MOMENTS, MOMENTS, holder_moments, moments
from blockspace.experiments.premium.paths import DAYS_PER_YEAR, FeePath, fee_path
from blockspace.markets.options.black_scholes import CALL, PUT

PREFIX = "options"
STRIKES = {"put": -1.0, "atm": 0.0, "call": 1.0}
"""Strikes by name, in standard deviations of the log price until expiry: a put below, a call at and above the price."""


@dataclass(frozen=True)
class OptionBook:
    """Options written one after another along a run, hedged by several policies; a measurement of a sweep.

    Attributes
    ----------
    maturities_s
        Times to expiry in seconds, by name.
    strikes
        Some of :data:`STRIKES`.
    starts
        Number of options of each maturity that are written along a run, evenly spread.
    clocks_s, beliefs
        Intervals of clocks in seconds, and beliefs of bands: multiples of the gas that a trade costs now.
    latencies
        Blocks from decision to execution; with the first all policies hedge, with the others only the clocks.
    size, holder_size
        Units of the underlying in the option that the writer hedges, and in that of a holder, who exercises it in a
        transaction of its own.
    risk_aversion
        Aversion to variance, per dollar.
    trade
        Transaction that a re-hedge is, by its name in the settings of gas: an order, or a swap in a pool.
    """

    maturities_s: tuple[tuple[str, float], ...]
    starts: int
    clocks_s: tuple[float, ...]
    beliefs: tuple[float, ...]
    latencies: tuple[int, ...] = (1,)
    strikes: tuple[str, ...] = tuple(STRIKES)
    size: float = 1_000.0
    holder_size: float = 1.0
    risk_aversion: float = 1e-4
    trade: str = "place"

    def __call__(self, market: Market) -> Mapping[str, float]:
        """Write and hedge all options along a finished run; moments by name."""
        path = fee_path(market)
        gas = float(getattr(market.world.scenario.gas, self.trade))
        policies = self.policies()
        kept: dict[str, float] = {}
        for maturity, seconds in self.maturities_s:
            for strike in self.strikes:
                contracts = self.contracts(path, seconds, STRIKES[strike])
                terms, outcomes = hedge(path, contracts, policies, gas, gas, self.risk_aversion)
                for name in ("value_usd", "payoff_usd"):
                    terms[name] *= self.holder_size / self.size
                option = f"{PREFIX}.{maturity}.{strike}"
                kept |= dict(
                    zip((f"{option}.{name}" for name in HOLDER_MOMENTS), holder_moments(terms).tolist(), strict=True)
                )
                for policy, row in zip(self.policy_names, moments(outcomes).tolist(), strict=True):
                    kept |= dict(zip((f"{option}.{policy}.{name}" for name in MOMENTS), row, strict=True))
        return kept

    @property
    def policy_names(self) -> list[str]:
        """Names of the policies: clocks, bands, and the clocks again for each further latency."""
        clocks = [clock_name(seconds) for seconds in self.clocks_s]
        late = [f"{clock}_late_{latency}" for latency in self.latencies[1:] for clock in clocks]
        return [*clocks, *(band_name(belief) for belief in self.beliefs), *late]

    def policies(self) -> npt.NDArray[Any]:
        """Array of policies, in the order of their names."""
        clocks = [(round(seconds * 1e9), 0.0) for seconds in self.clocks_s]
        first = [(*policy, self.latencies[0]) for policy in [*clocks, *((0, belief) for belief in self.beliefs)]]
        late = [(*policy, latency) for latency in self.latencies[1:] for policy in clocks]
        return np.array([*first, *late], POLICY)

    def contracts(self, path: FeePath, seconds: float, deviations: float) -> npt.NDArray[Any]:
        """Options of one maturity and one strike along a path.

        Raises
        ------
        UserError
            If the path is shorter than the maturity.
        """
        times = path.times_ns
        latest = int(times[-1] - times[0]) - round(seconds * 1e9) if len(times) else -1
        if latest < 0:
            raise UserError(
                f"duration_s less warm_up_s leaves {(times[-1] - times[0]) / 1e9 if len(times) else 0.0:g} seconds; it "
                f"must leave at least {seconds:g}, the time to expiry of the options that are written"
            )
        begins = times[0] + np.linspace(0, latest, self.starts).astype(np.int64)
        contracts = np.zeros(self.starts, CONTRACT)
        contracts["first"] = np.searchsorted(times, begins)
        expiry = times[contracts["first"]] + round(seconds * 1e9)
        contracts["last"] = np.minimum(np.searchsorted(times, expiry), len(times) - 1)
        deviation = path.volatility * math.sqrt(seconds / (DAYS_PER_YEAR * 86_400.0))
        contracts["strike"] = path.prices_usd[contracts["first"]] * math.exp(deviations * deviation)
        contracts["kind"] = PUT if deviations < 0.0 else CALL
        contracts["size"] = self.size
        return contracts


def clock_name(seconds: float) -> str:
    """Name of a clock by its interval."""
    return f"clock_{seconds:g}s"


def band_name(belief: float) -> str:
    """Name of a band by what it takes gas to be, in multiples of what it is."""
    return f"band_{belief:g}"
