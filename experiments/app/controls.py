"""The controls of the live page: how it runs, and what it is made of."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import solara
from mesa.visualization.solara_viz import ModelController, ModelCreator
from mesa.visualization.utils import force_update, update_counter

from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.live_price import FALL_LASTS_S
from blockspace.experiments.app.settings import (
    ADDITIONS,
    AS_PRESET,
    NUMBERS,
    NumberSetting,
    complaint,
    first_preset,
    live_scenario,
    orderings,
    presets,
)
from blockspace.experiments.scenario import ScenarioError

SPEEDS = {"one block": 1, "5 blocks": 5, "25 blocks": 25, "100 blocks": 100, "500 blocks": 500}
"""Blocks between two frames."""

FRAME_MS = 12
"""Pause after a frame, in which the browser draws."""

FIRST_SEED = 7
MOST_FALL = 90.0


@dataclass(frozen=True)
class Session:
    """What one browser tab holds; nothing is shared between two.

    Attributes
    ----------
    model
        The market that is watched.
    chosen
        What Mesa's ``ModelCreator`` has been told: preset, additions and ordering.
    typed
        The numbers as they were typed, by name; those that were not are the preset's.
    parameters
        What a reset makes the next market of: the last choice that made sense.
    """

    model: solara.Reactive[LiveMarket]
    chosen: solara.Reactive[dict[str, Any]]
    typed: solara.Reactive[dict[str, str]]
    parameters: solara.Reactive[dict[str, Any]]
    seed: solara.Reactive[str]
    fresh_seed: solara.Reactive[bool]
    speed: solara.Reactive[str] = field(default_factory=lambda: solara.reactive("one block"))
    problem: solara.Reactive[str] = field(default_factory=lambda: solara.reactive(""))
    render_interval: solara.Reactive[int] = field(default_factory=lambda: solara.reactive(1))
    play_interval: solara.Reactive[int] = field(default_factory=lambda: solara.reactive(FRAME_MS))
    use_threads: solara.Reactive[bool] = field(default_factory=lambda: solara.reactive(False))


def new_session() -> Session:
    """A session with a market of the first preset."""
    parameters: dict[str, Any] = {
        "preset": first_preset(),
        "additions": "nothing else",
        "ordering": AS_PRESET,
        "seed": FIRST_SEED,
    }
    return Session(
        model=solara.reactive(LiveMarket(**parameters)),
        chosen=solara.reactive({name: parameters[name] for name in ("preset", "additions", "ordering")}),
        typed=solara.reactive({}),
        parameters=solara.reactive(parameters),
        seed=solara.reactive(str(FIRST_SEED)),
        fresh_seed=solara.reactive(False),
    )


@solara.component
def Controls(session: Session) -> None:
    """Everything that can be set."""
    choose = solara.use_memo(_choices, [])
    complaints = _take_in(session)
    solara.use_effect(lambda: _next_seed(session), [session.model.value])
    market = session.model.value

    with solara.v.Html(tag="section", class_="bs-controls", attributes={"aria-label": "Controls"}):
        solara.v.Html(tag="h3", children=["Run"])
        with solara.v.Html(tag="div", class_="bs-run"):
            ModelController(
                session.model,
                model_parameters=session.parameters,
                play_interval=session.play_interval,
                render_interval=session.render_interval,
                use_threads=session.use_threads,
            )
        solara.Select("Blocks per frame", list(SPEEDS), session.speed.value, on_value=lambda name: _pace(session, name))
        _field("Seed", "of every random draw", session.seed.value, session.seed.set, complaints.get("seed"), None)
        solara.Switch(label="A new seed at every reset", value=session.fresh_seed)
        with solara.v.Html(tag="div"):  # always there: what comes and goes before it would make what is below it anew
            if len(market.worlds) > 1:
                ShownChain(market)
            if market.volatility_per_day > 0:
                Crash(market)

        solara.v.Html(tag="h3", children=["Market"])
        ModelCreator(session.model, choose, model_parameters=session.chosen)
        for setting in NUMBERS:
            NumberField(session, setting, complaints.get(setting.name))
        if "" in complaints:
            solara.Error(complaints[""])
        elif _differs(session):
            solara.Info("Some of this is for a new market: press Reset.", dense=True)


def _choices() -> dict[str, dict[str, Any]]:
    """What Mesa's ``ModelCreator`` lets choose."""
    return {
        "preset": {"type": "Select", "label": "Preset", "value": first_preset(), "values": presets()},
        "additions": {
            "type": "Select", "label": "Beside the book", "value": "nothing else", "values": list(ADDITIONS),
        },
        "ordering": {"type": "Select", "label": "Ordering policy", "value": AS_PRESET, "values": orderings()},
    }  # fmt: skip


def _pace(session: Session, name: str) -> None:
    session.speed.value = name
    session.render_interval.value = SPEEDS[name]


def _next_seed(session: Session) -> None:
    """After a reset, have the next one draw anew if that is wanted."""
    if session.fresh_seed.value:
        session.seed.value = str(secrets.randbelow(10**6))


def read_seed(text: str) -> int:
    """A seed as it was typed.

    Raises
    ------
    ScenarioError
        If it is none.
    """
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**63:
        raise ScenarioError(f"{text!r} is no seed; it may be a whole number, 0 to 2^63 - 1")
    return seed


def wanted(chosen: dict[str, Any], typed: dict[str, str], seed: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Parameters of the market that is asked for, or what is wrong, by the name of what it is about."""
    complaints: dict[str, str] = {}
    parameters = dict(chosen)
    for setting in NUMBERS:
        if setting.name in typed:
            try:
                parameters[setting.name] = setting.read(typed[setting.name])
            except ScenarioError as error:
                complaints[setting.name] = str(error)
    if not complaints:
        try:
            live_scenario(**parameters)
        except ScenarioError as error:
            about, sentence = complaint(str(error), typed)
            complaints[about or ""] = sentence
    try:
        parameters["seed"] = read_seed(seed)
    except ScenarioError as error:
        complaints["seed"] = str(error)
    return (None if complaints else parameters), complaints


def _take_in(session: Session) -> dict[str, str]:
    """Check what is chosen and typed, and keep it for the next reset if it makes sense."""
    chosen, typed, seed = session.chosen.value, session.typed.value, session.seed.value
    parameters, complaints = solara.use_memo(lambda: wanted(chosen, typed, seed), [chosen, typed, seed])

    def keep() -> None:
        if parameters is not None:
            session.parameters.value = parameters

    solara.use_effect(keep, [chosen, typed, seed])
    return complaints


def _differs(session: Session) -> bool:
    """Whether a reset would make another market than the one that runs, but for its seed."""
    market, wants = session.model.value, session.parameters.value
    made = {**market.made_of, **{name: wants[name] for name in market.taken if name in wants}}
    return any(wants.get(name) != made.get(name) for name in {*wants, *made} - {"seed"})


@solara.component
def NumberField(session: Session, setting: NumberSetting, wrong: str | None) -> None:
    """A number with its unit, its value and what is wrong with it."""
    chosen = session.chosen.value
    default = solara.use_memo(
        lambda: setting.text(live_scenario(chosen["preset"], chosen["additions"])),
        [chosen["preset"], chosen["additions"]],
    )
    text = session.typed.value.get(setting.name, default)

    def take(value: str) -> None:
        others = {name: one for name, one in session.typed.value.items() if name != setting.name}
        typed = {**others, setting.name: value} if value.strip() and value != default else others
        session.typed.value = typed
        parameters, complaints = wanted(chosen, typed, session.seed.value)
        if setting.in_flight and setting.name not in complaints and parameters is not None:
            market = session.model.value
            number = setting.read(typed.get(setting.name, default))
            market.change(setting.name, number)

    hint = "changes at the next block" if setting.in_flight else "needs a reset"
    _field(setting.label, setting.unit, text, take, wrong, hint)


@solara.component
def ShownChain(market: LiveMarket) -> None:
    """Which of several chains the panels show."""
    update_counter.get()
    names = [world.scenario.name for world in market.worlds]

    def show(name: str) -> None:
        market.shown_number = names.index(name)
        force_update()

    solara.Select("Chain shown", names, names[market.shown_number], on_value=show)


@solara.component
def Crash(market: LiveMarket) -> None:
    """Make the external price fall."""
    text, set_text = solara.use_state("20")
    said, set_said = solara.use_state("")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    fine = 0.0 < share <= MOST_FALL
    wrong = None if fine else f"{text!r} cannot be the size of a crash; it may be above 0 and at most {MOST_FALL:g} %"

    def fall() -> None:
        market.change("crash", share / 100.0)
        set_said(f"The price falls by {share:g} % over {FALL_LASTS_S / 60:g} minutes from the next blocks on.")

    _field("Crash", "% of the price", text, set_text, wrong, f"over {FALL_LASTS_S / 60:g} minutes, at once")
    solara.Button("Crash now", on_click=fall, disabled=not fine, outlined=True, color="error")
    if said:
        solara.v.Html(tag="p", class_="bs-about", attributes={"role": "status"}, children=[said])


def _field(label: str, unit: str, text: str, take: Callable[[str], None], wrong: str | None, hint: str | None) -> None:
    """A field with its unit; what is wrong with its content stands below it."""
    solara.InputText(f"{label} ({unit})", text, on_value=take, error=wrong or False, message=None if wrong else hint)
