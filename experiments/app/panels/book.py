"""The order book: a ladder of the best prices, and depth added up from them."""

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import BLUE, ORANGE, axis, chart, frame, horizontal, ink, line
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import LADDER_LEVELS, book_steps

EMPTY = "The book is empty: nobody quotes now."


@solara.component
def Ladder(market: LiveMarket) -> None:
    """Sizes at the best prices of both sides."""
    update_counter.get()
    colours = ink()
    steps = book_steps(market.shown)
    bids, asks = (
        {name: steps[side][name][:LADDER_LEVELS] for name in ("prices", "sizes")} for side in ("bids", "asks")
    )

    def body() -> None:
        prices = [f"{price:,.2f}" for price in [*reversed(asks["prices"]), *bids["prices"]]]
        empty_bids, empty_asks = [None] * len(bids["prices"]), [None] * len(asks["prices"])
        series = [
            {"type": "bar", "name": "asks", "stack": "book", "itemStyle": {"color": ORANGE},
             "data": [*reversed(asks["sizes"]), *empty_bids]},
            {"type": "bar", "name": "bids", "stack": "book", "itemStyle": {"color": BLUE},
             "data": [*empty_asks, *bids["sizes"]]},
        ]  # fmt: skip
        category = {
            "type": "category",
            "data": prices,
            "inverse": True,
            "axisLabel": {"color": colours["faint"], "fontSize": 9, "interval": 0},
            "axisLine": {"lineStyle": {"color": colours["line"]}},
            "axisTick": {"show": False},
        }
        option = frame(colours, series, xAxis=horizontal(colours, "units at this price", scale=False), yAxis=category)
        option["grid"] = {**option["grid"], "left": 66, "top": 28}
        chart(option, f"Order book: best bid {bids['prices'][:1]}, best ask {asks['prices'][:1]} dollars", 300)

    name = market.shown.scenario.instruments[0].name
    empty = waiting(market) or (None if bids["prices"] or asks["prices"] else EMPTY)
    panel("Order book", f"What rests at the best prices of {name} after the block, asks above bids.", body, empty)


@solara.component
def Depth(market: LiveMarket) -> None:
    """Units that can be traded down to and up to each price."""
    update_counter.get()
    colours = ink()
    steps = book_steps(market.shown)

    def body() -> None:
        series = [
            line(side, steps[side]["prices"], steps[side]["depths"], colour,
                 step="end", areaStyle={"opacity": 0.18, "color": colour})
            for side, colour in (("bids", BLUE), ("asks", ORANGE))
        ]  # fmt: skip
        option = frame(
            colours,
            series,
            xAxis=horizontal(colours, "dollars per unit"),
            yAxis=axis(colours, "units", scale=False),
        )
        chart(option, "Depth of the book on both sides of the middle price", 300)

    empty = waiting(market) or (None if steps["bids"]["prices"] or steps["asks"]["prices"] else EMPTY)
    panel("Depth", "How much can be sold down to, or bought up to, each price.", body, empty)
