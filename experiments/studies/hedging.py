"""How often should an option be hedged, and what does it cost to be late?

Along chains of three capacities a small writer hedges an option at the money by clocks from a minute to days, and by
the band that agents choose for themselves. Frequent hedges cost gas, rare ones leave risk; between them lies a best
interval, which nobody is told. The same clocks hedge once more with orders that arrive late.
"""

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.premium.book import OptionBook, clock_name
from blockspace.experiments.premium.completion import complete_premiums
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, format_interval, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.results.statistics import estimate
from blockspace.experiments.studies.option_premium import DAY_S, HOUR_S, X, capacity_point, users_alone
from blockspace.experiments.sweeps.points import Sweep
from blockspace.experiments.validation.options import latency_growth

QUESTION = "How often should an option be hedged, and what does it cost to be late?"
SEEDS = 16
QUICK_SEEDS = 4
LATENCIES = (1, 5, 25, 100)
"""Blocks from decision to execution; the first is the next block."""

INTERVAL = "interval_min"
OPTION = "option.atm"
MEASURES = ("premium_usd", "gas_usd", "hedging_variance_usd", "covariance_usd", "gas_variance_usd")

TABLE = {
    X: "capacity\nMgas/s",
    "base_fee_gwei": "base fee\ngwei",
    f"{OPTION}.value_usd": "value\n$",
    f"{OPTION}.clock.chosen": "best clock\ns",
    f"{OPTION}.clock.trades": "its\ntrades",
    f"{OPTION}.clock.premium_usd": "its\npremium $",
    f"{OPTION}.formula.trades": "own band\ntrades",
    f"{OPTION}.formula.premium_usd": "its\npremium $",
}


def book(quick: bool) -> OptionBook:
    """Options that are written along each run."""
    longest = 8 if quick else 11
    return OptionBook(
        maturities_s=(("option", 4.0 * HOUR_S if quick else DAY_S),),
        starts=24,
        clocks_s=tuple(60.0 * 2.0**step for step in range(longest)),
        beliefs=(1.0,),
        latencies=LATENCIES,
        strikes=("atm",),
    )


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """A quarter of Ethereum's gas, all of it, and what just holds all users."""
    scenario = users_alone(9.0 if quick else 73.0)
    points = tuple(capacity_point(scenario, factor) for factor in (0.25, 1.0, 4.0))
    return Sweep(scenario, points, seeds, points[1].name, book(quick))


def complete(runs: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Return the runs with premiums in place of moments, of every clock by itself too."""
    return complete_premiums(runs, book(quick), every_policy=True)


def by_interval(results: Results) -> Results:
    """The same results with a point for each capacity and interval, so that intervals can be on an axis.

    ``deviation_growth_late_BLOCKS`` is how many times larger the standard deviation of the hedge's loss is than with
    orders executed in the next block, by the ratio of the means over seeds.
    """
    quick = bool(results.study["quick"])
    seconds = book(quick).clocks_s
    points, frames = [], []
    for point in results.study["points"]:
        rows = results.runs[results.runs["point"] == point["name"]]
        for interval in seconds:
            clock = f"{OPTION}.{clock_name(interval)}"
            name = f"{point['name']}, {interval / 60.0:g} min"
            values = {INTERVAL: interval / 60.0, X: point["values"][X]}
            columns = {measure: rows[f"{clock}.{measure}"] for measure in MEASURES}
            on_time = rows[f"{clock}.hedging_variance_usd"]
            for latency in LATENCIES[1:]:
                late = rows[f"{clock}_late_{latency}.hedging_variance_usd"]
                ratio = late.mean() / on_time.mean()
                # The root's first-order change with each seed, so that means and intervals are those of the root.
                columns[f"deviation_growth_late_{latency}"] = ratio**0.5 * (
                    1.0 + 0.5 * (late / late.mean() - on_time / on_time.mean())
                )
                columns[f"theory_late_{latency}"] = pd.Series(
                    _expected_growth(results, interval, latency), index=rows.index
                )
            frame = rows[["seed", "fingerprint", "error"]].assign(**columns)
            frames.append(frame.assign(point=name, **values))
            points.append({**point, "name": name, "values": values})
    runs = pd.concat(frames, ignore_index=True)
    return replace(results, study={**results.study, "points": points, "reference": points[0]["name"]}, runs=runs)


def _expected_growth(results: Results, interval_s: float, latency: int) -> float:
    block_s = results.scenario.chain.block_time_s
    return latency_growth(latency * block_s / interval_s) / latency_growth(LATENCIES[0] * block_s / interval_s)


def figure(results: Results) -> Figure:
    """Six panels over the interval between two hedges."""
    melted = by_interval(results)

    def points_at(capacity: str) -> list[str]:
        value = results.value(capacity, X)
        return [point["name"] for point in melted.study["points"] if point["values"][X] == value]

    def panel(title: str, measure: str, log: bool = True, floor: float = 0.0) -> Panel:
        curves = tuple(Curve(measure, point, points=points_at(point)) for point in results.points)
        return Panel(title, "dollars", curves, log=log, floor=floor)

    block_s = results.scenario.chain.block_time_s
    reference = points_at(results.study["reference"])
    grown = [
        Curve(f"deviation_growth_late_{latency}", f"late {_span(latency * block_s)}", points=reference)
        for latency in LATENCIES[1:]
    ]
    theory = [
        Curve(f"theory_late_{latency}", "theory" if number == 0 else "_", colour="black", points=reference, dashed=True)
        for number, latency in enumerate(LATENCIES[1:])
    ]
    risk = Curve("hedging_variance_usd", "the same at every capacity", points=reference)
    panels = [
        panel("Premium", "premium_usd"),
        panel("Gas in it", "gas_usd"),
        Panel("Risk of hedging in it", "dollars", (risk,), log=True),
        panel("Risk of gas in it", "gas_variance_usd", floor=1e-6),
        panel("Covariance of gas and loss in it", "covariance_usd", log=False),
        Panel("Growth of the error with latency", "times that of the next block", (*grown, *theory)),
    ]
    return draw_page(melted, QUESTION, INTERVAL, "minutes between two hedges", panels)


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60.0 else f"{seconds / 60.0:g} min"


def findings(results: Results) -> list[str]:
    """Say where the best interval lies, what it costs to miss it, and what latency costs."""
    melted, quick = by_interval(results), bool(results.study["quick"])
    seconds = book(quick).clocks_s
    told = [
        f"The writer hedges an option on {book(quick).size:g} units that expires in "
        f"{book(quick).maturities_s[0][1] / HOUR_S:g} h."
    ]
    premiums = melted.curve("premium_usd")["mean"]
    for point in results.points:
        costs = {interval: float(premiums[f"{point}, {interval / 60.0:g} min"]) for interval in seconds}
        best = min(costs, key=costs.__getitem__)
        inside = seconds[0] < best < seconds[-1]
        told.append(
            f"At {point} the cheapest clock is that of {best / 60.0:g} min, {format_number(costs[best])} dollars"
            + (
                f"; one of {seconds[0] / 60.0:g} min costs {format_number(costs[seconds[0]])}, and one of "
                f"{seconds[-1] / 60.0:g} min {format_number(costs[seconds[-1]])}."
                if inside
                else ", at the end of what was tried."
            )
        )
    told += [
        weigh(
            "cheaper space lets hedges be more frequent",
            True,
            change(results, f"{OPTION}.clock.trades", "The number of trades of the best clock"),
            change(results, f"{OPTION}.formula.trades", "That of the band"),
        ),
        _band_against_clock(results),
    ]
    return [*told, *_cost_of_latency(results, melted)]


def _band_against_clock(results: Results) -> str:
    told = []
    for point in results.points:
        clock, band = (results.per_seed(f"{OPTION}.{hedger}.premium_usd", point) for hedger in ("clock", "formula"))
        ratio = float(band.mean() / clock.mean())
        half = estimate(band - ratio * clock).half_width / float(clock.mean())
        told.append(f"{format_number(ratio)} times (± {format_number(half)}) at {point}")
    return (
        "The band of who believes in the gas of the moment costs, of what the best clock costs, "
        + ", ".join(told)
        + "."
    )


def _cost_of_latency(results: Results, melted: Results) -> list[str]:
    """Growth of the error with latency at the reference point, against theory."""
    block_s, reference = results.scenario.chain.block_time_s, results.study["reference"]
    told = []
    for interval in (300.0, 960.0):
        nearest = min(book(bool(results.study["quick"])).clocks_s, key=lambda clock: abs(clock - interval))
        name = f"{reference}, {nearest / 60.0:g} min"
        parts = []
        for latency in LATENCIES[1:]:
            found = estimate(melted.per_seed(f"deviation_growth_late_{latency}", name))
            theory = float(melted.curve(f"theory_late_{latency}")["mean"][name])
            parts.append(
                f"{format_number(found.mean)} times at {_span(latency * block_s)} (95 % interval "
                f"{format_interval(found)}; theory {format_number(theory)})"
            )
        told.append(
            f"With a hedge every {nearest / 60.0:g} min, orders that come late make the error larger than those in "
            f"the next block: {', '.join(parts)}."
        )
    return told
