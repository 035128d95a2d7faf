"""What do fees add to the price of an option?

Along one chain with Ethereum's slots and users, a small writer sells calls and puts of three maturities, each two or
four times as long as the one before, and hedges them at the chain's own fees: by the hour, by the best clock, by the
best band, and by the band of who knows nothing but the gas of the moment. The seeds are the same at every capacity, so
that all see the same prices and users. Only users stay on the chain, who make its fees: the writer is too small to move
them, and nobody else's orders matter in an infinitely deep underlying.

Beside it stands what is asked in a market: on the same chain, with the same users and prices, makers quote options of
the same maturities, as averse to risk as the writer, and are told no premium; see
:mod:`blockspace.experiments.premium.quotes`.
"""

import pandas as pd
from matplotlib.figure import Figure

from blockspace.experiments.premium.book import OptionBook, clock_name
from blockspace.experiments.premium.completion import complete_premiums, intervals_of
from blockspace.experiments.premium.paths import fair_drift
from blockspace.experiments.premium.quotes import PREFIX as QUOTED
from blockspace.experiments.premium.quotes import BesideQuotes
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import NEGLIGIBLE, change, format_interval, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.results.statistics import Estimate, estimate
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.experiments.studies.capacity import demand_mgas_per_s
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What do a chain's fees add to the price of an option?"
SEEDS = 8
QUICK_SEEDS = 4
X = "gas_per_second_mgas"
DAY_S = 86_400.0
HOUR_S = 3_600.0
HOURLY = clock_name(HOUR_S)

TABLE = {
    X: "capacity\nMgas/s",
    "base_fee_gwei": "base fee\ngwei",
    "long.atm.value_usd": "value\n$",
    f"long.atm.{HOURLY}.premium_pct": "hourly\n% of value",
    "long.atm.clock.premium_pct": "best clock\n% of value",
    "long.atm.band.premium_pct": "best band\n% of value",
    "long.atm.formula.premium_pct": "own band\n% of value",
    "long.atm.band.premium_usd": "best band\n$",
    "long.atm.band.gas_usd": "gas in it\n$",
    "long.atm.band.covariance_usd": "covariance\nin it $",
    "short.atm.discount_pct": "holder bids\n% less",
    f"{QUOTED}.long.ask_pct": "makers ask\n% over value",
    f"{QUOTED}.long.half_spread_pct": "their half-\nspread, %",
}

WITHOUT_MARKET = {
    f"{population}.count": 0 for population in ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")
}
"""Settings of a chain that only its users pay for."""

MATURITIES = {
    True: (("short", HOUR_S), ("middle", 2.0 * HOUR_S), ("long", 4.0 * HOUR_S)),
    False: (("short", DAY_S / 4.0), ("middle", DAY_S), ("long", 4.0 * DAY_S)),
}
"""Times to expiry in seconds, of the quick and of the full study."""


def book(quick: bool) -> OptionBook:
    """Options that are written along each run."""
    clocks = sorted({HOUR_S, *(60.0 * 2.0**step for step in range(12))})
    return OptionBook(
        maturities_s=MATURITIES[quick],
        starts=24,
        clocks_s=tuple(clocks),
        beliefs=tuple(4.0**step for step in range(-3, 4)),
    )


def users_alone(hours: float) -> Scenario:
    """Ethereum in early 2024 with its users alone, an hour of warm-up, and a price that is a fair game."""
    volatility = load_scenario("ethereum-30m").price.volatility_per_day
    return load_scenario(
        "ethereum-30m",
        {
            "name": "ethereum-users",
            "description": "the users of Ethereum in early 2024 without a market",
            "duration_s": hours * HOUR_S,
            "warm_up_s": HOUR_S,
            "price.drift_per_day": fair_drift(volatility),
            **WITHOUT_MARKET,
        },
    )


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Gas limits from a quarter of Ethereum's to eight times as much."""
    scenario = users_alone(9.0 if quick else 121.0)
    factors = (0.25, 1.0, 4.0) if quick else (0.25, 0.5, 1.0, 2.0, 2.83, 4.0, 8.0)
    points = [capacity_point(scenario, factor) for factor in factors]
    reference = capacity_point(scenario, 1.0).name
    duration, warm_up = (2.0, 0.5) if quick else (28.0, 4.0)  # hours
    beside = BesideQuotes(book(quick), "ethereum-30m", duration * HOUR_S, warm_up * HOUR_S)
    return Sweep(scenario, tuple(points), seeds, reference, beside)


def capacity_point(scenario: Scenario, factor: float) -> Point:
    """Point with a multiple of the scenario's gas limit."""
    gas_limit = round(scenario.chain.gas_limit * factor)
    capacity = gas_limit / scenario.chain.block_time_s / 1e6
    return Point(f"{format_number(capacity)} Mgas/s", {X: capacity}, {"chain.gas_limit": gas_limit})


def complete(runs: pd.DataFrame, quick: bool) -> pd.DataFrame:
    """Return the runs with premiums in place of moments."""
    return complete_premiums(runs, book(quick), fixed=(HOUR_S,))


HEDGERS = {HOURLY: "every hour", "clock": "best clock", "band": "best band", "formula": "own band"}
HEDGER_NAMES = {HOURLY: "the hour", "clock": "the best clock", "band": "the best band"}
PART_NAMES = {
    "gas_usd": "gas",
    "hedging_variance_usd": "risk of hedging",
    "covariance_usd": "covariance",
    "gas_variance_usd": "risk of gas",
}


def _lengths(results: Results) -> dict[str, str]:
    """Names of the maturities for people."""
    return {name: _duration(seconds) for name, seconds in MATURITIES[bool(results.study["quick"])]}


def _duration(seconds: float) -> str:
    return f"{seconds / HOUR_S:g} h" if seconds < DAY_S else f"{seconds / DAY_S:g} d"


def figure(results: Results) -> Figure:
    """Twelve panels over gas per second."""
    lengths = _lengths(results)
    by_hedger = [("long", "atm", hedger, label) for hedger, label in HEDGERS.items()]

    def parts(hedger: str) -> tuple[Curve, ...]:
        curves = [Curve(f"long.atm.{hedger}.{part}", label) for part, label in PART_NAMES.items()]
        return (*curves, Curve(f"long.atm.{hedger}.premium_usd", "total", colour="black"))

    def by_maturity(hedger: str, measure: str) -> tuple[Curve, ...]:
        return tuple(Curve(f"{maturity}.atm.{hedger}.{measure}", label) for maturity, label in lengths.items())

    longest = lengths["long"]
    panels = [
        Panel(
            f"Premium by hedger, {longest}",
            "per cent of the value",
            tuple(Curve(f"{m}.{k}.{hedger}.premium_pct", label) for m, k, hedger, label in by_hedger),
            log=True,
        ),
        Panel(f"Its parts, best band, {longest}", "dollars", parts("band"), log=True, floor=0.1),
        Panel(f"Its parts, every hour, {longest}", "dollars", parts(HOURLY), log=True, floor=1.0),
        Panel("Best band by maturity", "dollars", by_maturity("band", "premium_usd"), log=True, ordered=True),
        Panel(
            "Best band by maturity", "per cent of the value", by_maturity("band", "premium_pct"), log=True, ordered=True
        ),
        Panel(
            "Gas of hedging every hour", "per cent of the value", by_maturity(HOURLY, "gas_pct"), log=True, ordered=True
        ),
        Panel(
            f"Best band by strike, {longest}",
            "per cent of the value",
            tuple(
                Curve(f"long.{strike}.band.premium_pct", label)
                for strike, label in (("put", "put, 1 sd below"), ("atm", "at the money"), ("call", "call, 1 sd above"))
            ),
            log=True,
        ),
        Panel(
            "What a holder of one unit bids less",
            "per cent of the value",
            tuple(Curve(f"{maturity}.atm.discount_pct", label) for maturity, label in lengths.items()),
            log=True,
            ordered=True,
        ),
        Panel(
            f"Trades, {longest}",
            "number",
            tuple(Curve(f"{m}.{k}.{hedger}.trades", label) for m, k, hedger, label in by_hedger),
            log=True,
        ),
        Panel(
            f"Makers' quotes beside it, {longest}",
            "per cent of the value",
            (
                Curve(f"{QUOTED}.long.ask_pct", "ask over the value"),
                Curve(f"{QUOTED}.long.half_spread_pct", "half-spread"),
                Curve("long.atm.band.premium_pct", "premium, best band", colour="black"),
            ),
            log=True,
            floor=0.1,
        ),
        Panel(
            "Makers' half-spread by maturity",
            "per cent of the value",
            tuple(Curve(f"{QUOTED}.{maturity}.half_spread_pct", label) for maturity, label in lengths.items()),
            log=True,
            ordered=True,
        ),
        Panel(
            "What makers pay",
            "dollars per unit of options traded",
            (
                Curve(f"{QUOTED}.gas_usd_per_unit", "gas"),
                Curve(f"{QUOTED}.hedging_usd_per_unit", "hedges, with gas"),
            ),
            log=True,
            floor=0.01,
        ),
    ]
    marks = {"demand": demand_mgas_per_s(results.scenario)}
    return draw_page(results, QUESTION, X, "capacity of the chain, million gas per second", panels, marks)


def maturity_ratio(results: Results, measure: str, point: str) -> Estimate:
    """How much larger a measure is for the longest maturity than for the shortest, from the ratio of their means.

    The interval is that of the difference ``long - ratio * short`` seed by seed.
    """
    long, short = (results.per_seed(f"{maturity}.atm.{measure}", point) for maturity in ("long", "short"))
    base = float(short.mean())
    ratio = float(long.mean()) / base if base else float("nan")
    apart = estimate(long - ratio * short)
    half = apart.half_width / base if base else float("nan")
    return Estimate(ratio, ratio - half, ratio + half, apart.count)


def findings(results: Results) -> list[str]:
    """Say which of the usual claims holds for which hedger, and what the premium consists of."""
    lengths, point = _lengths(results), results.study["reference"]
    longest, shortest = lengths["long"], lengths["short"]

    def premium(hedger: str, what: str, unit: str = "%", measure: str = "premium_pct") -> str:
        return str(change(results, f"long.atm.{hedger}.{measure}", what, unit))

    sample = book(bool(results.study["quick"]))
    return [
        f"A writer of options on {sample.size:g} units, to whom a variance of 1 costs {sample.risk_aversion / 2:g} "
        "dollars, pays for every re-hedge. Premiums are in per cent of the value by Black and Scholes, "
        f"{format_number(results.curve('long.atm.value_usd')['mean'][point])} dollars at {longest}. Clocks and bands "
        "are chosen on one half of the seeds and charged on the other.",
        weigh(
            "more capacity lowers the premium of options",
            False,
            change(results, "long.atm.band.premium_pct", f"With the best band, {longest} at the money, it", "%"),
            change(results, "long.atm.clock.premium_pct", "With the best clock it", "%"),
        ),
        f"Who hedges every hour whatever it costs saves the gas and keeps the risk. "
        f"{premium(HOURLY, 'The premium')} {premium(HOURLY, 'Gas in it', 'dollars', 'gas_usd')}",
        *(_long_against_short(results, hedger) for hedger in HEDGER_NAMES),
        "The band of who believes in the gas of the moment, which no search has improved: "
        f"{premium('formula', 'its premium')}",
        _parts_of(results, "band", f"with the best band, {longest} at {point}"),
        _parts_of(results, HOURLY, f"every hour, {longest} at {point}"),
        weigh(
            "more capacity raises what holders bid",
            False,
            change(results, "short.atm.discount_pct", f"What a holder of one unit bids less, {shortest}, it", "%"),
        ),
        *_quotes_beside(results),
        "Far from the money the same gas weighs more: "
        + " ".join(
            f"{format_number(results.curve(f'long.{strike}.band.premium_pct')['mean'][point])} % for the {name}"
            + (";" if strike != "call" else ".")
            for strike, name in (("put", "put"), ("atm", "call at the money"), ("call", "call above it"))
        ),
    ]


def _quotes_beside(results: Results) -> list[str]:
    """What makers ask on the same chain, and how it compares with the premium of the writer with the best band."""
    longest = _lengths(results)["long"]
    asked, half = f"{QUOTED}.long.ask_pct", f"{QUOTED}.long.half_spread_pct"
    compared = []
    for point in results.measurable(half):
        premium = results.per_seed("long.atm.band.premium_pct", point)
        apart = estimate((results.per_seed(half, point) - premium).dropna())
        quoted = results.curve(half)["mean"][point]
        compared.append(
            f"{format_number(quoted)} % against {format_number(premium.mean())} % at {point} "
            f"(difference {format_number(apart.mean)}, 95 % interval {format_interval(apart)})"
        )
    return [
        "Makers who quote on the same chain and are told no premium: "
        f"{change(results, asked, 'their ask over the value', '%')}",
        f"Half of what lies between their bids and asks, {longest} at the money, against the premium of the writer "
        f"with the best band: {'; '.join(compared)}. The mid itself is off by what makers do not know of volatility.",
        str(change(results, f"{QUOTED}.gas_usd_per_unit", "The gas of makers per unit of options traded", "dollars")),
    ]


def _long_against_short(results: Results, hedger: str) -> str:
    """Say whether long options suffer more from fees than short ones, in dollars and in proportion."""
    point, lengths = results.study["reference"], _lengths(results)
    told = []
    for unit, suffix in (("in dollars", "usd"), ("in per cent of the value", "pct")):
        for part, measure in (("the premium", "premium"), ("gas alone", "gas")):
            ratio = maturity_ratio(results, f"{hedger}.{measure}_{suffix}", point)
            verdict = "holds" if ratio.low > 1.0 else "fails" if ratio.high < 1.0 else "is not shown"
            if abs(ratio.mean - 1.0) < NEGLIGIBLE and verdict == "holds":
                verdict = "hardly holds"
            told.append(
                f"{unit} it {verdict} for {part}, {format_number(ratio.mean)} times (95 % interval "
                f"{format_interval(ratio)})"
            )
    return (
        f"That long options suffer more, hedged by {HEDGER_NAMES[hedger]} at {point}, {lengths['long']} against "
        f"{lengths['short']}: {'; '.join(told)}."
    )


def _parts_of(results: Results, hedger: str, where: str) -> str:
    """Parts at the reference point, each with an interval from resampled seeds."""
    point = results.study["reference"]
    if len(results.per_seed(f"long.atm.{hedger}.premium_usd", point).dropna()) < 2:
        return f"The parts of the premium {where} take more seeds than there are."
    intervals = intervals_of(results.runs[results.runs["point"] == point], f"long.atm.{hedger}")
    told = []
    for part, name in PART_NAMES.items():
        mean = results.curve(f"long.atm.{hedger}.{part}")["mean"][point]
        low, high = intervals[part]
        told.append(f"{name} {format_number(mean)} ({format_number(low)} to {format_number(high)})")
    return f"The parts in dollars, {where}, with 95 % intervals from resampled seeds: {', '.join(told)}."
