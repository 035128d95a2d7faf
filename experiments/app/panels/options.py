"""Options: implied volatility by strike and tenor, and what they cost beyond Black and Scholes."""

import math

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import COLOURS, GREY, axis, chart, frame, horizontal, ink, line
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import option_surface, rounded

NONE = "This market lists no options: choose them under “Beside the book” and press Reset."
QUIET = "At no strike do call and put both have a bid and an ask now."


@solara.component
def Surface(market: LiveMarket) -> None:
    """A smile for each tenor."""
    _by_tenor(
        market,
        "Option surface",
        "Implied volatility of the middle of bid and ask, mean of call and put, by strike over the price, a curve for "
        "each tenor; dashed the volatility of the external price.",
        "volatility",
        "% a year",
    )


@solara.component
def Premium(market: LiveMarket) -> None:
    """What options cost beyond their value."""
    _by_tenor(
        market,
        "Premium over Black–Scholes",
        "How much more than their value at the volatility of the external price a call and a put together cost.",
        "premium",
        "% of the value",
    )


def _by_tenor(market: LiveMarket, title: str, about: str, column: str, unit: str) -> None:
    update_counter.get()
    colours = ink()
    has_options = market.shown.scenario.options.count > 0
    daily = market.volatility_per_day
    rows = option_surface(market.shown, daily) if has_options and market.history.count else []

    def body() -> None:
        series = []
        for place in sorted({row["place"] for row in rows}):
            here = [row for row in rows if row["place"] == place and row[column] is not None]
            values = rounded([100.0 * row[column] for row in here], 4)
            days = market.shown.scenario.options.expiries_days[place]
            series.append(
                line(f"{days:g} d", [row["moneyness"] for row in here], values, COLOURS[place],
                     showSymbol=True, symbolSize=5)
            )  # fmt: skip
        level = 100.0 * daily * math.sqrt(365.0) if column == "volatility" else 0.0
        if series:
            series[0]["markLine"] = {
                "silent": True,
                "symbol": "none",
                "data": [{"yAxis": round(level, 2)}],
                "lineStyle": {"type": "dashed", "color": GREY},
                "label": {"show": False},
            }
        option = frame(colours, series, xAxis=horizontal(colours, "strike over price"), yAxis=axis(colours, unit))
        option["legend"]["show"] = True
        chart(option, f"{title} at {len(rows)} strikes")

    empty = waiting(market) if has_options else NONE
    panel(title, about, body, empty or (None if rows else QUIET))
