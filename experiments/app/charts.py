"""How charts look: colours, axes and text of ECharts options, in light and in dark."""

import functools
import json
from typing import Any

import solara
from matplotlib import rc_params_from_file
from matplotlib.colors import to_hex

from blockspace.experiments.app.sampling import rounded
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.reports.figures import STYLE

COLOURS = [
    to_hex(entry["color"]) for entry in rc_params_from_file(STYLE, use_default_template=False)["axes.prop_cycle"]
]
"""Those of the figures of reports, which the colour-blind can tell apart (Okabe and Ito, 2008)."""

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = COLOURS[:6]
GREY = "#8a929c"

LONG_S = 10_800.0
"""Seconds after which charts count in hours."""

_OF_ROLES = {
    "background": "#b5bcc4",
    "maker": BLUE,
    "noise": GREEN,
    "informed": "#66c2a5",
    "arbitrageur": ORANGE,
    "pool_arbitrageur": "#f0a06a",
    "sandwicher": "#882255",
    "extractor": "#aa4499",
    "liquidator": "#c1272d",
    "leveraged": PINK,
    "option_maker": SKY,
    "option_trader": "#44aa99",
    "option_vault": "#117733",
    "producer": YELLOW,
    "builder": "#ddcc77",
    "keeper": "#332288",
    "own": "#000000",
}

NAMES = {
    "background": "other users",
    "maker": "market makers",
    "noise": "noise traders",
    "informed": "informed traders",
    "arbitrageur": "arbitrageurs",
    "producer": "validators",
    "leveraged": "leveraged traders",
    "liquidator": "liquidators",
    "keeper": "oracle's keeper",
    "clearing_keeper": "clearing operator",
    "own": "your own agents",
    "insurance": "insurance fund",
    "provider": "liquidity providers",
}


def colour_of(role: str) -> str:
    """Colour of a kind of agent."""
    return _OF_ROLES.get(role, COLOURS[ROLES.index(role) % len(COLOURS)])


def name_of(role: str) -> str:
    """What the page calls a kind of agent."""
    return NAMES.get(role, role.replace("_", " ") + "s")


@functools.cache
def _ink(dark: bool) -> dict[str, str]:
    if dark:
        return {"text": "#d5d9de", "faint": "#9ba3ad", "line": "#3a4047", "paper": "#1e2125"}
    return {"text": "#24272b", "faint": "#5d646d", "line": "#e2e5e9", "paper": "#ffffff"}


is_dark = solara.reactive(False)
"""Whether the browser of a session shows the page in the dark, as the browser says."""


@solara.component_vue("scheme.vue")
def Scheme(event_is_dark: Any) -> None:
    """Tells whether the page is dark, now and whenever that changes."""


def ink() -> dict[str, str]:
    """Colours of text and lines in the theme of the session; to be called in a component."""
    return _ink(is_dark.value)


def clock(seconds: Any) -> tuple[list[float | None], str]:
    """Times of blocks for a horizontal axis, and their unit."""
    long = len(seconds) > 0 and seconds[-1] > LONG_S
    return rounded(seconds / (3600.0 if long else 60.0), 7), "hours" if long else "minutes"


def through_time(colours: dict[str, str], unit: str) -> dict[str, Any]:
    """The horizontal axis of a chart through time, which ends with the data."""
    return horizontal(colours, unit, max="dataMax")


def axis(colours: dict[str, str], name: str, **more: Any) -> dict[str, Any]:
    """An axis of values with its name and unit."""
    return {
        "type": "value",
        "name": name,
        "nameTextStyle": {"color": colours["faint"], "align": "left", "fontSize": 11, "padding": [0, 0, 0, -28]},
        "nameGap": 10,
        "scale": True,
        "axisLabel": {"color": colours["faint"], "fontSize": 10, "hideOverlap": True},
        "axisLine": {"show": False, "lineStyle": {"color": colours["line"]}},
        "splitLine": {"lineStyle": {"color": colours["line"]}},
        "splitNumber": 4,
        **more,
    }


def horizontal(colours: dict[str, str], name: str, **more: Any) -> dict[str, Any]:
    """The horizontal axis, its name below the middle."""
    settings = {
        "nameLocation": "middle",
        "nameGap": 24,
        "nameTextStyle": {"color": colours["faint"], "fontSize": 11},
        "axisLine": {"show": True, "lineStyle": {"color": colours["line"]}},
        "splitLine": {"show": False},
    }
    return axis(colours, name, **{**settings, **more})


def frame(colours: dict[str, str], series: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """An option with what all charts have in common."""
    named = [one["name"] for one in series if one.get("name")]
    return {
        "animation": False,
        "color": COLOURS,
        "textStyle": {"color": colours["text"], "fontFamily": "inherit"},
        "grid": {"left": 52, "right": 18, "top": 46, "bottom": 40},
        "legend": {
            "show": len(named) > 1,
            "data": named,
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 14,
            "itemHeight": 4,
            "textStyle": {"color": colours["faint"], "fontSize": 11},
        },
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "backgroundColor": colours["paper"],
            "borderColor": colours["line"],
            "textStyle": {"color": colours["text"], "fontSize": 11},
        },
        "series": series,
        **more,
    }


def line(name: str, x: list[Any], y: list[Any], colour: str, **more: Any) -> dict[str, Any]:
    """A curve."""
    return {
        "type": "line",
        "name": name,
        "data": list(zip(x, y, strict=True)),
        "showSymbol": False,
        "lineStyle": {"width": 1.6, "color": colour},
        "itemStyle": {"color": colour},
        **more,
    }


@solara.component_vue("chart.vue")
def _Chart(option: str, label: str, height_px: int) -> None:
    """An ECharts chart whose option is a text of JSON, which Solara passes on without looking into it."""


def chart(option: dict[str, Any], label: str, height_px: int = 230) -> None:
    """Show an option; ``label`` says to those who cannot see it what it shows now."""
    _Chart(option=json.dumps(option, allow_nan=False), label=label, height_px=height_px)


def short(value: float | None, unit: str = "", digits: int = 3) -> str:
    """A number as headlines show it, such as ``12.3k``."""
    if value is None or value != value:
        return "–"
    for scale, suffix in ((1e9, "bn"), (1e6, "m"), (1e4, "k")):
        if abs(value) >= scale:
            divisor = 1e3 if suffix == "k" else scale
            return f"{value / divisor:.{digits}g}{suffix}{unit}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return f"{text}{unit}"


def amounts(values: list[float], colours: list[str], ink_colours: dict[str, str]) -> list[dict[str, Any]]:
    """Bars with their colours, and their values written beside them."""
    return [
        {
            "value": value,
            "itemStyle": {"color": colour},
            "label": {
                "show": True,
                "position": "right",
                "color": ink_colours["faint"],
                "fontSize": 10,
                "formatter": short(value),
            },
        }
        for value, colour in zip(rounded(values), colours, strict=True)
    ]
