"""V20 to V22: what an option is worth, and what re-hedging it by the clock misses and costs, where theory knows it.

One option is written at the money and hedged in an infinitely deep spot market, at intervals, late, or for a
fraction of what is traded.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from blockspace.experiments.validation import Row, compare, target
from blockspace.experiments.validation.hedging_paths import SPOT_USD, VOLATILITY, YEARS, at_the_money, clocks, hedge
from blockspace.markets.options.black_scholes import price_option

BLACK_SCHOLES = "Black and Scholes (1973)"
DERMAN_KAMAL = "Derman and Kamal (1999)"
LELAND = "Leland (1985)"


def textbook(years: float) -> dict[str, float]:
    """Value, delta, gamma and vega of the call at the money, by the formulas of Black and Scholes (1973)."""
    deviation = VOLATILITY * math.sqrt(years)
    density = norm.pdf(deviation / 2.0)
    return {
        "value": SPOT_USD * (2.0 * norm.cdf(deviation / 2.0) - 1.0),
        "delta": norm.cdf(deviation / 2.0),
        "gamma": density / (SPOT_USD * deviation),
        "vega": SPOT_USD * density * math.sqrt(years),
    }


def error_deviation(vega: float, rehedges: float) -> float:
    """Standard deviation of the error of so many re-hedges: ``sqrt(pi / 4) vega sigma / sqrt(N)``."""
    return math.sqrt(math.pi / 4.0) * vega * VOLATILITY / math.sqrt(rehedges)


def leland_volatility(fraction: float, rehedges: float) -> float:
    """Volatility at which an option pays for its hedging, at a cost of ``fraction`` for a sale and a purchase."""
    number = math.sqrt(2.0 / math.pi) * fraction / (VOLATILITY * math.sqrt(YEARS / rehedges))
    return VOLATILITY * math.sqrt(1.0 + number)


def deviation_with_error(errors: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviation of independent values, and its standard error."""
    deviation = float(errors.std())
    squares = (errors - errors.mean()) ** 2
    return deviation, float(squares.std()) / (2.0 * deviation * math.sqrt(len(errors)))


@target("V20")
def black_scholes(quick: bool) -> list[Row]:
    """Values and Greeks are those of the textbook, and calls and puts agree with each other."""
    rows = []
    for days in (7, 30, 180):
        ours = at_the_money(days / 365.0)._asdict()
        for name, theory in textbook(days / 365.0).items():
            what = f"{name} of a call at the money, {days} days"
            rows.append(compare("V20", what, theory, ours[name], relative=1e-6, source=BLACK_SCHOLES))
    parity, identity = 0.0, 0.0
    for strike in np.geomspace(10.0, 1_000.0, 21 if quick else 201).tolist():
        for years in (1e-4, YEARS, 2.0):
            call, put = (price_option(kind, SPOT_USD, strike, years, VOLATILITY) for kind in ("call", "put"))
            parity = max(parity, abs(call.value - put.value - SPOT_USD + strike) / SPOT_USD)
            scaled = call.gamma * SPOT_USD**2 * VOLATILITY * years
            identity = max(identity, abs(scaled - call.vega) / SPOT_USD)
    rows.append(compare("V20", "put-call parity, largest deviation per dollar of spot", 0.0, parity, absolute=1e-10))
    what = "gamma S^2 sigma T less vega, largest per dollar of spot"
    rows.append(compare("V20", what, 0.0, identity, absolute=1e-10))
    return rows


@target("V21")
def discrete_hedging(quick: bool) -> list[Row]:
    """What hedging at intervals misses, what it trades, and how late execution adds to it."""
    paths = 30_000 if quick else 100_000
    option = at_the_money()
    rows = []
    for rehedges in (120, 480) if quick else (120, 480, 720):
        hedged = hedge(paths, rehedges, clocks(1))[:, 0]
        found, error = deviation_with_error(hedged["error_usd"])
        turnover = hedged["turnover_usd"]
        traded = math.sqrt(2.0 / math.pi * rehedges / YEARS) * VOLATILITY * YEARS * option.gamma * SPOT_USD**2
        for what, theory, value, deviation in (
            ("standard deviation of the error", error_deviation(option.vega, rehedges), found, error),
            ("traded", traded, turnover.mean(), turnover.std() / math.sqrt(paths)),
        ):
            what = f"{what} with {rehedges} re-hedges (dollars)"
            rows.append(
                compare("V21", what, theory, float(value), relative=0.03, standard_error=deviation, source=DERMAN_KAMAL)
            )
        mean, what = float(hedged["error_usd"].mean()), f"mean error with {rehedges} re-hedges (dollars)"
        rows.append(compare("V21", what, 0.0, mean, absolute=1e-3, standard_error=found / math.sqrt(paths)))
    paths = paths // 2
    on_time = hedge(paths, 480, clocks(2))["error_usd"][:, 0]
    for late in (1, 2, 4):
        errors = hedge(paths, 480, clocks(2), latency=late)["error_usd"][:, 0]
        rows.append(
            compare(
                "V21",
                f"its growth when execution is late by {late / 2:g} intervals",
                math.sqrt(1.0 + late),
                float(errors.std() / on_time.std()),
                relative=0.06,
                source="sqrt(1 + 2 latency / interval)",
            )
        )
    return rows


@target("V22")
def leland(quick: bool) -> list[Row]:
    """A hedger who pays a fraction of each trade breaks even at Leland's volatility."""
    paths, fraction = 20_000 if quick else 200_000, 0.002
    rows = []
    for rehedges in (30, 120):
        volatility = leland_volatility(fraction, rehedges)
        hedged = hedge(paths, rehedges, clocks(1), hedging_volatility=volatility)[:, 0]
        costs = fraction / 2.0 * hedged["turnover_usd"]
        profits = hedged["error_usd"] - costs
        add_on = at_the_money(volatility=volatility).value - at_the_money().value
        for what, theory, values, tolerance in (
            ("mean profit", 0.0, profits, 0.001),
            ("mean costs, which the premium covers", add_on, costs, 0.01),
        ):
            rows.append(
                compare(
                    "V22",
                    f"{what}, {rehedges} re-hedges, 0.2 % a round trip (dollars)",
                    theory,
                    float(values.mean()),
                    absolute=tolerance,
                    standard_error=float(values.std() / math.sqrt(paths)),
                    source=LELAND,
                )
            )
    return rows
