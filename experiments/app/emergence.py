"""The page of emergence: a paired sweep over capacity that builds up point by point, and curves to compare."""

import threading
from typing import Any

import solara
import solara.lab

from blockspace.experiments.app.charts import BLUE, COLOURS, axis, chart, frame, horizontal, ink
from blockspace.experiments.app.controls import Session, wanted
from blockspace.experiments.app.paired_sweep import Curve, sweep_capacity
from blockspace.experiments.app.panel import panel
from blockspace.experiments.app.settings import AS_PRESET, NUMBERS, live_scenario
from blockspace.experiments.scenario import change_settings

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SEEDS = {"3 seeds": 3, "6 seeds": 6, "12 seeds": 12}
LENGTHS = {"20 minutes": 1_200.0, "1 hour": 3_600.0, "3 hours": 10_800.0}
WARM_UP_SHARE = 0.25
MOST_PINNED = 4

SHOWN = (
    (
        "spread",
        "Quoted spread",
        "basis points",
        "Median of best ask over best bid. More space lets makers replace stale quotes more cheaply; nobody tells them "
        "to quote tighter.",
    ),
    (
        "depth",
        "Depth within 100 bp",
        "thousand dollars a side",
        "What rests within 100 basis points of the middle, mean of both sides and over time.",
    ),
    (
        "base fee",
        "Base fee",
        "gwei",
        "What a unit of gas costs. It collapses once there is more space than is wanted.",
    ),
)


@solara.component
def Emergence(session: Session) -> None:
    """A sweep of the market that is chosen on the live page."""
    curve, set_curve = solara.use_state(None)
    pinned, set_pinned = solara.use_state([])
    done, set_done = solara.use_state(0)
    total, set_total = solara.use_state(0)
    running, set_running = solara.use_state(False)
    error, set_error = solara.use_state("")
    seeds, set_seeds = solara.use_state("6 seeds")
    length, set_length = solara.use_state("3 hours")
    stop = solara.use_memo(threading.Event, [])
    solara.use_effect(lambda: stop.set, [])

    parameters, complaints = wanted(session.chosen.value, session.typed.value, session.seed.value)

    def run(found: Curve, scenario: Any, numbers: list[int]) -> None:
        try:
            runs = sweep_capacity(scenario, FACTORS, numbers, stop.is_set)
            for count, (capacity, seed, measures) in enumerate(runs, 1):
                found.samples[capacity][seed] = measures
                set_done(count)
        except Exception as problem:
            set_error(f"{type(problem).__name__}: {problem}")
        finally:
            set_running(False)

    def start() -> None:
        assert parameters is not None
        made_of = {name: value for name, value in parameters.items() if name != "seed"}
        duration = LENGTHS[length]
        scenario = change_settings(
            live_scenario(**made_of), {"duration_s": duration, "warm_up_s": WARM_UP_SHARE * duration}
        )
        found = Curve(_describe(parameters, length))
        numbers = list(range(1, SEEDS[seeds] + 1))
        stop.clear()
        set_error("")
        set_curve(found)
        set_done(0)
        set_total(len(FACTORS) * len(numbers))
        set_running(True)
        threading.Thread(target=run, args=(found, scenario, numbers), daemon=True).start()

    with solara.v.Html(tag="div", class_="bs-view"):
        solara.v.Html(
            tag="p",
            class_="bs-lead",
            children=[
                "The market that is set on the live page, run at a quarter to four times its capacity. All points see "
                "the same seeds: the same users, prices and arrivals. Means with 95 % bands."
            ],
        )
        with solara.v.Html(tag="div", class_="bs-bar"):
            solara.Select("Seeds at each capacity", list(SEEDS), seeds, on_value=set_seeds, disabled=running)
            solara.Select("Length of a run", list(LENGTHS), length, on_value=set_length, disabled=running)
            solara.Button("Run the sweep", color="primary", on_click=start, disabled=running or parameters is None)
            solara.Button("Stop", outlined=True, on_click=stop.set, disabled=not running)
            solara.Button(
                "Pin this curve",
                outlined=True,
                disabled=running or curve is None or curve in pinned or not done,
                on_click=lambda: set_pinned([*pinned, curve][-MOST_PINNED:]),
            )
            solara.Button("Unpin all", text=True, disabled=not pinned, on_click=lambda: set_pinned([]))
        for sentence in complaints.values():
            solara.Error(f"On the live page: {sentence}")
        if error:
            solara.Error(f"A run failed, and the sweep stopped: {error}")
        if running or done:
            with solara.v.Html(tag="div", attributes={"role": "status", "class": "bs-progress"}):
                solara.ProgressLinear(100.0 * done / max(total, 1))
                state = "" if running or done == total else ", stopped"
                solara.v.Html(tag="p", class_="bs-about", children=[f"{done} of {total} runs{state}"])
        with solara.v.Html(tag="div", class_="bs-grid"):
            curves = [*pinned, *([curve] if curve is not None and curve not in pinned else [])]
            for measure, title, unit, about in SHOWN:
                Curves(curves, measure, title, unit, about, done)


def _describe(parameters: dict[str, Any], length: str) -> str:
    """Name of a curve: what its market is made of, in a few words."""
    usual = ("nothing else", AS_PRESET)
    words = [parameters["preset"]]
    words += [parameters[name] for name in ("additions", "ordering") if parameters[name] not in usual]
    for setting in NUMBERS:
        if setting.name in parameters:
            words.append(f"{setting.label.lower()} {parameters[setting.name] / setting.scale:g}")
    return ", ".join([*words, length])


@solara.component
def Curves(curves: list[Curve], measure: str, title: str, unit: str, about: str, done: int) -> None:
    """A measure of all curves against capacity, with bands."""
    colours = ink()
    estimates = [(curve.name, [(x, one) for x, one in curve.estimates(measure) if one.count]) for curve in curves]
    estimates = [(name, points) for name, points in estimates if points]

    def body() -> None:
        # ECharts stacks bands over categories alone; the factors between them are equal.
        capacities = sorted({x for _, points in estimates for x, _ in points})
        places = {x: number for number, x in enumerate(capacities)}
        series: list[dict[str, Any]] = []
        for number, (name, points) in enumerate(estimates):
            colour = COLOURS[(len(estimates) - 1 - number) % len(COLOURS)] if number < len(estimates) - 1 else BLUE
            xs = [places[x] for x, _ in points]
            lows = [max(one.low, 0.0) if one.low == one.low else one.mean for _, one in points]
            highs = [one.high if one.high == one.high else one.mean for _, one in points]
            base = {"type": "line", "stack": f"band {number}", "symbol": "none", "lineStyle": {"width": 0},
                    "silent": True, "connectNulls": True, "stackStrategy": "all"}  # fmt: skip
            series.append({**base, "data": [[x, low] for x, low in zip(xs, lows, strict=True)]})
            band = [[x, high - low] for x, low, high in zip(xs, lows, highs, strict=True)]
            series.append({**base, "data": band, "areaStyle": {"color": colour, "opacity": 0.2}})
            series.append(
                {
                    "type": "line",
                    "name": name,
                    "data": [[x, float(f"{one.mean:.5g}")] for x, (_, one) in zip(xs, points, strict=True)],
                    "symbolSize": 7,
                    "lineStyle": {"color": colour, "width": 2},
                    "itemStyle": {"color": colour},
                }
            )
        option = frame(
            colours,
            series,
            xAxis=horizontal(
                colours,
                "capacity, million gas per second",
                type="category",
                data=[f"{x / 1e6:.3g}" for x in capacities],
                boundaryGap=False,
            ),
            yAxis=axis(colours, unit, scale=False),
        )
        option["tooltip"]["show"] = False
        option["legend"] = {**option["legend"], "show": True, "type": "scroll"}
        said = "; ".join(
            f"{name}: " + ", ".join(f"{one.mean:.3g} at {x / 1e6:.3g}" for x, one in points)
            for name, points in estimates
        )
        chart(option, f"{title} in {unit} against capacity in million gas per second. {said}", 300)

    empty = None if estimates else "Nothing yet: press “Run the sweep”."
    panel(title, about, body, empty)
