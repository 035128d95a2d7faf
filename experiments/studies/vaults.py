"""What is left of the premium that option vaults take in, once the chain has been paid?

On Ethereum in early 2024 with its users, its market and makers of options, vaults sell calls of the nearest expiry roll
after roll, and hedge them not at all, by the clock, or within the band that they choose from the gas of the moment. The
gas limit goes from a fraction of what users demand to several times of it. Prices, users and arrivals are the same at
every capacity and for every way of hedging.
"""

from typing import Any

from matplotlib.figure import Figure

from blockspace.experiments.premium.paths import fair_drift
from blockspace.experiments.premium.vault_rolls import PREFIX, VaultRolls
from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change, format_interval, weigh
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import Scenario, load_scenario
from blockspace.experiments.studies.capacity import demand_mgas_per_s
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What is left of the premium that option vaults take in, once the chain has been paid?"
SEEDS = 6
QUICK_SEEDS = 2
X = "gas_per_second_mgas"
HEDGING = "hedging"
POLICIES: dict[str, dict[str, Any]] = {
    "no hedge": {"hedge": "none"},
    "every hour": {"hedge": "clock", "hedge_interval_s": 3_600.0},
    "every 10 min": {"hedge": "clock", "hedge_interval_s": 600.0},
    "band": {"hedge": "band"},
}
"""Ways to hedge, as settings of vaults."""

RETURN = f"{PREFIX}.return_percent_per_year"
AFTER_GAS = f"{PREFIX}.return_after_gas_percent_per_year"
GAS = f"{PREFIX}.gas_percent_per_year"
ERROR = f"{PREFIX}.hedging_error_percent"
HEDGES = f"{PREFIX}.hedges_per_roll"
PREMIUM = f"{PREFIX}.premium_over_value_percent"

TABLE = {
    X: "capacity\nMgas/s",
    HEDGING: "hedged",
    "base_fee_gwei": "base fee\ngwei",
    RETURN: "return\n% a year",
    AFTER_GAS: "after gas\n% a year",
    GAS: "gas\n% a year",
    f"{PREFIX}.gas_usd_per_roll": "gas\n$ a roll",
    f"{PREFIX}.hedges_filled_share": "hedges\nfilled",
    ERROR: "hedging error\n% of deposit",
    HEDGES: "hedges\na roll",
    PREMIUM: "premium over\nvalue, %",
}


def scenario(quick: bool) -> Scenario:
    """Ethereum in early 2024 with a market of options and vaults, and a price that is a fair game."""
    volatility = load_scenario("ethereum-30m").price.volatility_per_day
    tenor_days = 1.0 / 24.0 if quick else 1.0 / 6.0
    return load_scenario(
        "ethereum-30m",
        {
            "name": "ethereum-vaults",
            "description": "Ethereum in early 2024 with options and vaults",
            "duration_s": 2.1 * 3_600.0 if quick else 28.1 * 3_600.0,
            "warm_up_s": 3_600.0 if quick else 4.0 * 3_600.0,
            "price.drift_per_day": fair_drift(volatility),
            "options.expiries_days": [tenor_days],
            "options.strikes_per_expiry": 3,
            "option_makers.count": 3,
            "option_makers.unit_size": 250.0,
            "option_makers.position_limit": 2_000.0,
            "option_traders.count": 20,
            "option_traders.orders_per_s": 0.05,
            "option_traders.size_mean": 50.0,
            "option_vaults.count": 2,
            "option_vaults.deposit_usd": 1_000_000.0,
            "option_vaults.ether": 100.0,
            # An underlying fifty times the preset's, as beside the premium of writers: it has to bear the hedges.
            "market_makers.unit_size": 100.0,
            "market_makers.position_limit": 20_000.0,
            "noise_traders.size_mean": 50.0,
            "informed_traders.size_mean": 50.0,
            "endowment.cash_usd": 1e9,
        },
    )


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Gas limits from half of Ethereum's to four times as much, each with every way to hedge."""
    base = scenario(quick)
    factors = (0.5, 4.0) if quick else (0.5, 1.0, 2.0, 4.0)
    policies = ("no hedge", "band") if quick else tuple(POLICIES)
    points = [_point(base, factor, policy) for policy in policies for factor in factors]
    return Sweep(base, tuple(points), seeds, _point(base, factors[0], "band").name, VaultRolls())


def _point(base: Scenario, factor: float, policy: str) -> Point:
    gas_limit = round(base.chain.gas_limit * factor)
    capacity = gas_limit / base.chain.block_time_s / 1e6
    settings = {f"option_vaults.{name}": value for name, value in POLICIES[policy].items()}
    return Point(
        f"{policy}, {format_number(capacity)} Mgas/s",
        {X: capacity, HEDGING: policy},
        {"chain.gas_limit": gas_limit, **settings},
    )


def points_of(results: Results, policy: str) -> list[str]:
    """Points with one way to hedge, by capacity."""
    return [point["name"] for point in results.study["points"] if point["values"][HEDGING] == policy]


def _policies(results: Results) -> list[str]:
    return [policy for policy in POLICIES if points_of(results, policy)]


def figure(results: Results) -> Figure:
    """Six panels over gas per second, a curve for each way to hedge."""

    def panel(title: str, unit: str, measure: str, log: bool = False, floor: float = 0.0) -> Panel:
        curves = [Curve(measure, policy, points=points_of(results, policy)) for policy in _policies(results)]
        return Panel(title, unit, tuple(curves), log=log, floor=floor)

    panels = [
        panel("Return before gas", "per cent of the deposit a year", RETURN),
        panel("Return after gas", "per cent of the deposit a year", AFTER_GAS),
        panel("Gas", "per cent of the deposit a year", GAS, log=True),
        panel("Hedging error of a roll", "per cent of the deposit", ERROR),
        panel("Hedges of a roll", "number", HEDGES),
        panel("Premium over the true value", "per cent of the value", PREMIUM),
    ]
    marks = {"demand": demand_mgas_per_s(results.scenario)}
    return draw_page(results, QUESTION, X, "capacity of the chain, million gas per second", panels, marks)


def findings(results: Results) -> list[str]:
    """Say what capacity does to vaults, and which way of hedging pays where."""
    vaults, tenor = results.scenario.option_vaults, results.scenario.options.expiries_days[0]
    policies = _policies(results)

    def along(policy: str, measure: str, what: str, unit: str = "%") -> str:
        return str(change(results, measure, what, unit, points_of(results, policy)))

    return [
        f"{vaults.count} vaults of {vaults.deposit_usd:,.0f} dollars each sell calls of {24.0 * tenor:g} h on "
        f"{100.0 * vaults.sold_share:g} % of their deposit. Returns are simple, a year of rolls like these, in per "
        "cent of the deposit; a year is many times longer than a run, and chance makes most of their level.",
        weigh(
            "more capacity leaves more of the premium to depositors",
            False,
            *(
                change(
                    results, GAS, f"Gas a year, {policy}, in per cent of the deposit,", "%", points_of(results, policy)
                )
                for policy in policies
            ),
        ),
        *(along(policy, AFTER_GAS, f"The return after gas, {policy},") for policy in policies),
        weigh(
            "cheaper space lets vaults hedge more often",
            True,
            change(results, HEDGES, "The number of hedges of a roll within the band", "", points_of(results, "band")),
        ),
        along("band", ERROR, "The error that hedging within the band leaves, of a roll, in per cent of the deposit,"),
        along("band", PREMIUM, "What vaults are paid over the value at the true volatility, in per cent of it,"),
        *(_against_no_hedge(results, policy) for policy in policies if policy != "no hedge"),
    ]


def _against_no_hedge(results: Results, policy: str) -> str:
    """What a way to hedge takes from the return and from the error, at the least and at the largest capacity."""
    plain, hedged = points_of(results, "no hedge"), points_of(results, policy)
    told = []
    for place in (0, -1):
        error = results.difference(ERROR, plain[place], hedged[place])
        after = results.difference(AFTER_GAS, plain[place], hedged[place])
        told.append(
            f"at {format_number(results.value(hedged[place], X))} Mgas/s it changes the error of a roll by "
            f"{format_number(error.mean)} points (95 % interval {format_interval(error)}), and the return after gas by "
            f"{format_number(after.mean)} points a year ({format_interval(after)})"
        )
    return f"Hedged by {policy!r} rather than not at all: {'; '.join(told)}.".replace("'", "")
