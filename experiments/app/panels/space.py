"""Block space: base fee, utilisation and what is pending."""

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    axis,
    chart,
    clock,
    frame,
    horizontal,
    ink,
    line,
    short,
    through_time,
)
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import pending_by_fee, rounded


@solara.component
def Fees(market: LiveMarket) -> None:
    """Base fee and utilisation through time."""
    update_counter.get()
    colours = ink()
    rows = market.history.blocks()

    def body() -> None:
        times, unit_of_time = clock(rows["time_s"])
        series = [
            line("utilisation", times, rounded(100.0 * rows["utilisation"], 4), GREY, yAxisIndex=1,
                 lineStyle={"width": 0}, areaStyle={"opacity": 0.22, "color": GREY}),
            line("base fee", times, rounded(rows["base_fee_gwei"]), BLUE),
            line("tip that gets in", times, rounded(rows["marginal_tip_gwei"]), ORANGE),
        ]  # fmt: skip
        right = axis(colours, "% full", min=0, max=100, interval=25, position="right", splitLine={"show": False})
        right["nameTextStyle"] = {"color": colours["faint"], "align": "right", "fontSize": 11}
        option = frame(
            colours,
            series,
            xAxis=through_time(colours, unit_of_time),
            yAxis=[axis(colours, "gwei", scale=False), right],
        )
        option["grid"] = {**option["grid"], "right": 40}
        fee, full = float(rows["base_fee_gwei"][-1]), float(rows["utilisation"][-1])
        chart(option, f"Base fee {short(fee)} gwei; the last block is {100 * full:.0f} per cent full")

    about = (
        "What a unit of gas costs, and how full blocks are: the base fee rises where they are fuller than the target."
    )
    panel("Base fee and utilisation", about, body, waiting(market))


@solara.component
def Pending(market: LiveMarket) -> None:
    """What is pending, by what it offers."""
    update_counter.get()
    colours = ink()
    found = pending_by_fee(market.shown)

    def body() -> None:
        labels = [short(edge) for edge in found["edges"][:-1]]
        series = [
            {"type": "bar", "name": name, "stack": "gas", "barCategoryGap": "8%",
             "itemStyle": {"color": colour}, "data": found[key]}
            for name, key, colour in (("can pay the base fee", "pay", GREEN), ("has to wait", "wait", GREY))
        ]  # fmt: skip
        category = horizontal(colours, "most that is offered, gwei per gas", type="category", data=labels)
        option = frame(colours, series, xAxis=category, yAxis=axis(colours, "million gas", scale=False))
        base = short(found["base"][0])
        chart(option, f"Pending gas by fee; the base fee of the next block is {base} gwei")

    empty = waiting(market) or (None if found["edges"] else "Nobody waits: all that arrived is in a block.")
    about = "What waits for a block, by the most that its senders offer for a unit of gas."
    panel("Mempool by fee", about, body, empty)
