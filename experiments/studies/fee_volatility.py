"""What does capacity do to the level and the volatility of fees, and what do volatile fees cost who hedges an option?

Users of Ethereum whose values follow one of three laws, on chains of different capacity. With exponential values demand
becomes the less elastic the closer capacity comes to it; with Pareto's its elasticity is the same at every fee, 1.2 or
4. Demand itself bursts, and surges when the price moves. A small writer hedges short options at the money along the
blocks, every quarter of an hour.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.premium.book import OptionBook, clock_name
from blockspace.experiments.premium.completion import complete_premiums
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.studies.capacity import demand_mgas_per_s
from blockspace.experiments.studies.option_premium import HOUR_S, users_alone
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does capacity do to the volatility of fees, and what does that cost a hedger?"
SEEDS = 8
QUICK_SEEDS = 3
X = "gas_per_second_mgas"
LAW = "values"
CLOCK_S = 900.0
HEDGER = f"option.atm.{clock_name(CLOCK_S)}"

LAWS = {
    "exponential": {"value_law": "exponential", "value_gwei": 40.0},
    "Pareto 1.2": {"value_law": "pareto", "value_shape": 1.2, "value_gwei": 10.0},
    "Pareto 4": {"value_law": "pareto", "value_shape": 4.0, "value_gwei": 30.0},
}
"""Laws of the users' values and their settings."""

TABLE = {
    X: "capacity\nMgas/s",
    LAW: "values",
    "base_fee_gwei": "base fee\ngwei",
    "base_fee_sd_gwei": "its sd\ngwei",
    "base_fee_log_sd": "sd of\nits log",
    "base_fee_step_sd": "sd of\nits steps",
    f"{HEDGER}.gas_usd": "gas of\nhedging $",
    f"{HEDGER}.gas_variance_usd": "risk of\ngas $",
    f"{HEDGER}.covariance_usd": "covariance\n$",
    f"{HEDGER}.premium_usd": "premium\n$",
}


def book(quick: bool) -> OptionBook:
    """Options that are written along each run."""
    hours = 1.0 if quick else 4.0
    return OptionBook(
        maturities_s=(("option", hours * HOUR_S),), starts=48, clocks_s=(CLOCK_S,), beliefs=(), strikes=("atm",)
    )


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Capacities up to twice what lets the fee rule's target hold all that users demand, for each law of values."""
    scenario = users_alone(5.0 if quick else 25.0)
    demand = demand_mgas_per_s(scenario)
    enough = demand * scenario.fee_market.elasticity
    shares = (0.125, 0.5, 0.8, 1.25) if quick else (0.125, 0.25, 0.5, 0.8, 0.95, 1.25, 2.0)
    points = []
    for law, settings in LAWS.items():
        users = {f"background_users.{name}": value for name, value in settings.items()}
        for share in shares:
            capacity = share * enough
            gas_limit = round(capacity * 1e6 * scenario.chain.block_time_s)
            points.append(Point(_name(law, capacity), {X: capacity, LAW: law}, {"chain.gas_limit": gas_limit, **users}))
    return Sweep(scenario, tuple(points), seeds, _name("exponential", shares[0] * enough), book(quick))


def _name(law: str, capacity: float) -> str:
    return f"{law}, {format_number(capacity)} Mgas/s"


def complete(runs: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Return the runs with premiums in place of moments."""
    return complete_premiums(runs, book(quick), fixed=(CLOCK_S,))


def _points_of(results: Results, law: str) -> list[str]:
    return [point["name"] for point in results.study["points"] if point["values"][LAW] == law]


def _scarce(results: Results, law: str) -> list[str]:
    """Points of a law at which the fee rule's target does not hold all that users demand."""
    scenario = results.scenario
    enough = demand_mgas_per_s(scenario) * scenario.fee_market.elasticity
    return [point for point in _points_of(results, law) if results.value(point, X) < enough]


def figure(results: Results) -> Figure:
    """Six panels over capacity, a curve for each law of values."""

    def panel(title: str, unit: str, measure: str, **how: Any) -> Panel:
        curves = tuple(Curve(measure, law, points=_points_of(results, law)) for law in LAWS)
        return Panel(title, unit, curves, **how)

    hours = book(bool(results.study["quick"])).maturities_s[0][1] / HOUR_S
    panels = [
        panel("Base fee", "gwei per gas", "base_fee_gwei", log=True, floor=1e-3),
        panel("Volatility of the base fee", "standard deviation, gwei", "base_fee_sd_gwei", log=True, floor=1e-3),
        panel(
            "Relative volatility of the base fee", "standard deviation of its logarithm", "base_fee_log_sd", log=True
        ),
        panel(f"Gas of hedging, {hours:g} h", "dollars", f"{HEDGER}.gas_usd", log=True),
        panel("What its risk adds to the premium", "dollars", f"{HEDGER}.gas_variance_usd", log=True, floor=1e-6),
        panel("What its covariance with losses adds", "dollars", f"{HEDGER}.covariance_usd"),
    ]
    demand = demand_mgas_per_s(results.scenario)
    marks = {"demand": demand, "demand = target": demand * results.scenario.fee_market.elasticity}
    return draw_page(results, QUESTION, X, "capacity of the chain, million gas per second", panels, marks)


def findings(results: Results) -> list[str]:
    """Say what capacity does to fees and to their part in the premium, law by law."""
    told = [
        "Where the fee rule's target holds less than users demand space is scarce, and capacities are compared up to "
        "there. A writer hedges an option on "
        f"{book(bool(results.study['quick'])).size:g} units every {CLOCK_S / 60.0:g} minutes."
    ]
    for law in LAWS:
        scarce = _scarce(results, law)
        well_below = [point for point in scarce if results.value(point, X) <= demand_mgas_per_s(results.scenario)]
        log_sd = change(
            results, "base_fee_log_sd", "While the target holds half of the demand or less, it", "", well_below
        )
        told += [
            weigh(
                f"more capacity steadies fees in gwei where values are {law}",
                False,
                change(results, "base_fee_sd_gwei", "Their standard deviation", "gwei", scarce),
            ),
            weigh(
                f"more capacity steadies fees in proportion where values are {law}",
                False,
                change(results, "base_fee_log_sd", "The standard deviation of their logarithm", "", scarce),
            )
            + f" {log_sd}",
        ]
    exponential = _scarce(results, "exponential")
    told.append(
        weigh(
            "more capacity lowers what the risk of gas adds to the premium",
            False,
            change(results, f"{HEDGER}.gas_variance_usd", "With exponential values it", "dollars", exponential),
            change(
                results, f"{HEDGER}.gas_variance_usd", "With Pareto's, 4, it", "dollars", _scarce(results, "Pareto 4")
            ),
        )
    )
    point = results.study["reference"]
    means = {
        part: float(results.curve(f"{HEDGER}.{part}_usd")["mean"][point])
        for part in ("gas", "gas_variance", "hedging_variance", "covariance", "premium")
    }
    told.append(
        f"Beside the other parts it is small: at {point} the premium of {format_number(means['premium'])} dollars is "
        f"gas of {format_number(means['gas'])}, risk of hedging of {format_number(means['hedging_variance'])}, risk of "
        f"gas of {format_number(means['gas_variance'])}, and a covariance of {format_number(means['covariance'])}."
        if means["gas_variance"] < 0.05 * means["premium"]
        else f"At {point} the risk of gas is {format_number(means['gas_variance'])} dollars of a premium of "
        f"{format_number(means['premium'])}."
    )
    return told
