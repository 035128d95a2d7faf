"""Margin: accounts by how much they have for what they need, and liquidations."""

import numpy as np
import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import (
    BLUE,
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
from blockspace.experiments.app.sampling import margin_ratios, rounded

EDGES = (0.0, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, np.inf)
LABELS = ("below 1", "1–1.25", "1.25–1.5", "1.5–2", "2–3", "3–5", "5–10", "over 10")

NOBODY = "Positions are not liquidated in this market: choose leveraged traders under “Beside the book”, press Reset."


@solara.component
def Margin(market: LiveMarket) -> None:
    """Accounts by equity over maintenance."""
    update_counter.get()
    colours = ink()
    empty = waiting(market)
    ratios, values = (np.zeros(0), np.zeros(0)) if empty else margin_ratios(market.shown)
    counts = np.histogram(np.clip(ratios, 0.0, 1e9), EDGES)[0]
    near = int(counts[1:3].sum())

    def body() -> None:
        series = [
            {
                "type": "bar",
                "barCategoryGap": "12%",
                "data": [
                    {"value": int(count), "itemStyle": {"color": ORANGE if place < 3 else BLUE}}
                    for place, count in enumerate(counts)
                ],
            }
        ]
        category = horizontal(colours, "equity over maintenance requirement", type="category", data=list(LABELS))
        option = frame(colours, series, xAxis=category, yAxis=axis(colours, "accounts", scale=False, minInterval=1))
        option["grid"] = {**option["grid"], "top": 30}
        chart(option, f"{len(ratios)} accounts hold positions, {near} are near liquidation, {counts[0]} below")
        solara.v.Html(
            tag="p",
            class_="bs-about",
            children=[
                f"{len(ratios)} accounts with positions worth ${short(float(values.sum()))}; "
                f"{near} within a quarter to a half of liquidation, {counts[0]} due."
            ],
        )

    nothing = None if len(ratios) else "Nobody holds a position with a margin yet."
    about = "Accounts by how much stands behind their positions; at less than 1 they can be liquidated (orange: near)."
    panel("Margin", about, body, empty or nothing)


@solara.component
def Liquidations(market: LiveMarket) -> None:
    """Liquidations, and who is due, through time."""
    update_counter.get()
    colours = ink()
    rows = market.history.blocks()

    def body() -> None:
        times, unit_of_time = clock(rows["time_s"])
        series = [
            {"type": "bar", "name": "liquidated in a block", "itemStyle": {"color": ORANGE}, "barMinWidth": 2,
             "data": list(zip(times, rounded(rows["liquidated_usd"] * 1e-3), strict=True))},
            line("in the insurance fund", times, rounded(rows["insurance_usd"] * 1e-3), BLUE),
            line("accounts due", times, rounded(rows["due_accounts"]), GREY, yAxisIndex=1, step="end"),
        ]  # fmt: skip
        right = axis(colours, "accounts", scale=False, minInterval=1, splitLine={"show": False})
        right["nameTextStyle"] = {"color": colours["faint"], "align": "right", "fontSize": 11}
        option = frame(
            colours,
            series,
            xAxis=through_time(colours, unit_of_time),
            yAxis=[axis(colours, "thousand dollars", scale=False), right],
        )
        option["grid"] = {**option["grid"], "right": 40}
        total = int(market.shown.venues[0]["liquidations"]["count"])
        chart(option, f"{total} liquidations so far; {int(rows['due_accounts'][-1])} accounts are due")

    about = "What changed hands by force, who is due and has not been liquidated yet, and the insurance fund."
    empty = waiting(market) if market.shown.scenario.margin.liquidations else NOBODY
    panel("Liquidations", about, body, empty)
