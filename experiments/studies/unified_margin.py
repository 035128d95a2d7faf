"""What does it do to count, or to move, collateral across chains when the price falls?

Two rollups alike, each with a market of its own in the same perpetual. Hedgers are long on one and short on the other,
in part or in full. The price falls in five minutes. What is swept is what links their accounts, how old the messages
between the chains are, and whether the second chain halts for ten minutes as the fall begins. Where margin is unified,
hedgers bring what that asks for, or, to tell netting from the saving that it allows, what isolated margin asks for.
"""

from typing import Any

from matplotlib.figure import Figure

from blockspace.experiments.reports.figures import Curve, Panel, draw_page
from blockspace.experiments.reports.findings import change
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import scenario_from
from blockspace.experiments.sweeps.points import Point, Sweep

QUESTION = "What does it do to link collateral across chains in a crash?"
SEEDS = 8
QUICK_SEEDS = 2
X = "message_delay_s"
LINK, OUTAGE = "link", "outage"
TABLE = {
    X: "delay of\nmessages s",
    LINK: "collateral",
    OUTAGE: "second\nchain",
    "hedger_margin_percent_of_gross": "margin,\n% of gross",
    "hedger_liquidations": "liqui-\ndations",
    "hedgers_defaulted_percent": "owners in\ndefault %",
    "joint_default_percent": "on both\nchains %",
    "hedgers_defaulted_first": "defaults,\nfirst chain",
    "hedger_shortfall_usd": "shortfall\n$",
    "hedger_bad_debt_usd": "written\noff $",
}

LINKS: dict[str, dict[str, Any]] = {
    "isolated": {"unified_margin.mode": "isolated"},
    "pooled": {"unified_margin.mode": "pooled"},
    "unified": {"unified_margin.mode": "unified"},
    "unified, isolated margin": {"unified_margin.mode": "unified", "hedgers.collateral": "as_isolated"},
}
DELAYS_S = (1.0, 4.0, 12.0, 36.0, 108.0)
QUICK_DELAYS_S = (4.0, 36.0)
RUNS_ON, HALTS = "runs", "halts"

CRASH_AT_S, CRASH_LASTS_S, CRASH = 1_200.0, 300.0, 0.10
OUTAGE_S = 600.0

CHAIN: dict[str, Any] = {
    "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000, "ordering": "first_come_first_served"},
    "topology": {"validators": 1},
    "fee_market": {"rule": "fixed", "base_fee_wei": 10**8, "wallet_tip_wei": 0},
    "background_users": {"arrivals_per_s": 5.0},
    "endowment": {"cash_usd": 1e8},
    "noise_traders": {"orders_per_s": 0.2},
    "informed_traders": {"count": 0},
    "market_makers": {"count": 4, "position_limit": 300.0},
    "arbitrageurs": {"count": 1},
    "margin": {"liquidations": True, "insurance_usd": 200_000.0},
    "liquidators": {"count": 2},
}

SETTINGS: dict[str, Any] = {
    **CHAIN,
    "name": "first",
    "description": "two rollups, and hedgers with a leg on each",
    "duration_s": 3_000.0,
    "warm_up_s": 600.0,
    "price": {"source": "script", "script": [[CRASH_AT_S, 1.0], [CRASH_AT_S + CRASH_LASTS_S, 1.0 - CRASH]]},
    "hedgers": {"count": 200, "cushion_mean": 1.0},
    "unified_margin": {"message_interval_s": 4.0},
    "chains": [{**CHAIN, "name": "second"}],
}


def sweep(quick: bool, seeds: tuple[int, ...]) -> Sweep:
    """Every link at every delay, with and without an outage; cash takes as long as messages do."""
    links = [link for link in LINKS if not quick or link in ("isolated", "pooled", "unified")]
    points = []
    for outage in (RUNS_ON, HALTS):
        halt = {"kind": "outage", "start_s": CRASH_AT_S, "duration_s": OUTAGE_S}
        for link in links:
            for delay in QUICK_DELAYS_S if quick else DELAYS_S:
                overrides = {
                    **LINKS[link],
                    "unified_margin.message_delay_s": delay,
                    "unified_margin.transfer_delay_s": delay,
                    "chains.0.faults": [halt] if outage == HALTS else [],
                }
                values = {LINK: link, OUTAGE: outage, X: delay}
                points.append(Point(_name(link, outage, delay), values, overrides))
    return Sweep(scenario_from(SETTINGS), tuple(points), seeds, reference=points[0].name)


def _name(link: str, outage: str, delay: float) -> str:
    return f"{link}, second chain {outage}, {delay:g} s"


def _cases(results: Results) -> dict[tuple[str, str], list[str]]:
    """Points by link and outage, in the order of their delays."""
    cases: dict[tuple[str, str], list[str]] = {}
    for point in results.study["points"]:
        cases.setdefault((point["values"][LINK], point["values"][OUTAGE]), []).append(point["name"])
    return cases


def figure(results: Results) -> Figure:
    """Nine panels over the delay of messages: margin, then defaults and shortfall without and with an outage."""
    cases = _cases(results)

    def panel(title: str, unit: str, measure: str, outage: str, factor: float = 1.0, **how: Any) -> Panel:
        curves = [Curve(measure, link, factor, points=names) for (link, at), names in cases.items() if at == outage]
        return Panel(title, unit, tuple(curves), **how)

    panels = [
        panel("Margin posted", "% of gross positions", "hedger_margin_percent_of_gross", RUNS_ON, log=True),
        panel("Owners in default", "%", "hedgers_defaulted_percent", RUNS_ON),
        panel("Owners in default, second chain halts", "%", "hedgers_defaulted_percent", HALTS),
        panel("In default on the first chain", "owners", "hedgers_defaulted_first", RUNS_ON),
        panel("On the first chain, second chain halts", "owners", "hedgers_defaulted_first", HALTS),
        panel("In default on both chains", "% of owners", "joint_default_percent", RUNS_ON),
        panel("On both chains, second chain halts", "% of owners", "joint_default_percent", HALTS),
        panel("Shortfall", "thousand dollars", "hedger_shortfall_usd", RUNS_ON, 1e-3),
        panel("Shortfall, second chain halts", "thousand dollars", "hedger_shortfall_usd", HALTS, 1e-3),
    ]
    note = f"The price falls by {100 * CRASH:g} % in {CRASH_LASTS_S:g} s; the second chain halts for {OUTAGE_S:g} s"
    return draw_page(results, QUESTION, X, "delay of messages and of cash, seconds", panels, note=note)


def findings(results: Results) -> list[str]:
    """Say what each link saves in margin, and what it does to defaults, alone and jointly, and to shortfalls."""
    cases = _cases(results)
    said = []
    first = cases["isolated", RUNS_ON][0]
    for (link, outage), names in cases.items():
        if outage != RUNS_ON or link == "isolated":
            continue
        quick, slow = names[0], names[-1]
        posted = [_mean(results, "hedger_margin_percent_of_gross", name) for name in (quick, slow, first)]
        said.append(
            f"{link}: hedgers post {posted[0]} % of their gross positions with the quickest messages and {posted[1]} % "
            f"with the slowest, against {posted[2]} % isolated. With the quickest: "
            + _against_isolated(results, quick, first)
            + " "
            + str(change(results, "hedgers_defaulted_percent", "The share of owners in default", "%", names))
        )
    for (link, outage), names in cases.items():
        if outage == HALTS:
            here = cases[link, RUNS_ON][0]
            said.append(
                f"{link}, when the second chain halts: "
                + _pair(results, "hedgers_defaulted_first", "owners in default on the first chain", here, names[0])
                + " "
                + _pair(results, "joint_default_percent", "% of owners in default on both chains", here, names[0])
                + " "
                + _pair(results, "hedger_shortfall_usd", "dollars of shortfall", here, names[0])
            )
    return said


def _mean(results: Results, measure: str, point: str) -> str:
    return format_number(float(results.curve(measure)["mean"][point]))


def _against_isolated(results: Results, point: str, isolated: str) -> str:
    parts = (
        ("hedgers_defaulted_percent", "% of owners in default"),
        ("joint_default_percent", "% of owners in default on both chains"),
        ("hedger_shortfall_usd", "dollars of shortfall"),
    )
    return " ".join(_pair(results, measure, what, isolated, point) for measure, what in parts)


def _pair(results: Results, measure: str, what: str, before: str, after: str) -> str:
    """Means of a measure at two points, and whether they clearly differ."""
    apart = results.difference(measure, before, after)
    verdict = "" if apart.is_clear else " (not clearly different)"
    return f"{_mean(results, measure, after)} {what}, against {_mean(results, measure, before)}{verdict}."
