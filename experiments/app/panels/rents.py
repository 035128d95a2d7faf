"""Rents: who got what of all that was paid so far."""

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import COLOURS, amounts, chart, frame, horizontal, ink, short
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import rents_by_part


@solara.component
def Rents(market: LiveMarket) -> None:
    """A bar for each part of the whole."""
    update_counter.get()
    colours = ink()
    empty = waiting(market)
    parts = {} if empty else {name: usd for name, usd in rents_by_part(market).items() if usd}

    def body() -> None:
        category = {
            "type": "category",
            "data": list(parts),
            "inverse": True,
            "axisLabel": {"color": colours["text"], "fontSize": 11},
            "axisLine": {"lineStyle": {"color": colours["line"]}},
            "axisTick": {"show": False},
        }
        bars = [COLOURS[number % len(COLOURS)] for number in range(len(parts))]
        series = [{"type": "bar", "data": amounts(list(parts.values()), bars, colours), "barMaxWidth": 22}]
        option = frame(
            colours, series, xAxis=horizontal(colours, "dollars since the start", scale=False), yAxis=category
        )
        option["grid"] = {"left": 8, "right": 60, "top": 8, "bottom": 40, "containLabel": True}
        chart(option, "Rents: " + ", ".join(f"{name} {short(usd)} dollars" for name, usd in parts.items()), 260)

    nothing = None if parts else "Nobody has paid anything yet."
    panel("Rents by part", "Who got what of all that was paid for space, order and trading.", body, empty or nothing)
