"""Agents by kind: how many there are, and what they have gained or lost."""

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import amounts, chart, colour_of, frame, horizontal, ink, name_of, short
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import profits_by_role


@solara.component
def Agents(market: LiveMarket) -> None:
    """A bar for each kind of agent."""
    update_counter.get()
    colours = ink()
    empty = waiting(market)
    rows = [] if empty else profits_by_role(market)

    def body() -> None:
        category = {
            "type": "category",
            "data": [
                f"{count:,} {name_of(role) if count > 1 else name_of(role).removesuffix('s')}"
                for role, count, _ in rows
            ],
            "inverse": True,
            "axisLabel": {"color": colours["text"], "fontSize": 11},
            "axisLine": {"show": False},
            "axisTick": {"show": False},
        }
        bars = amounts([row[2] for row in rows], [colour_of(row[0]) for row in rows], colours)
        series = [{"type": "bar", "data": bars, "barMaxWidth": 22}]
        option = frame(
            colours, series, xAxis=horizontal(colours, "dollars since the start", scale=False), yAxis=category
        )
        option["grid"] = {"left": 8, "right": 60, "top": 8, "bottom": 40, "containLabel": True}
        said = ", ".join(f"{name_of(role)} {short(profit)} dollars" for role, _, profit in rows)
        chart(option, f"Profit and loss: {said}", 260)

    about = "What all of a kind have gained since the start: cash, positions at marks, and ether spent on gas."
    panel("Agents and their profit", about, body, empty)
