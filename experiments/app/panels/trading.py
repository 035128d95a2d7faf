"""Spread, depth and slippage through time."""

from collections.abc import Sequence

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import (
    BLUE,
    GREEN,
    ORANGE,
    axis,
    chart,
    clock,
    frame,
    ink,
    line,
    through_time,
)
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import rounded


@solara.component
def Spread(market: LiveMarket) -> None:
    """Quoted spread and slippage through time."""
    _through_time(
        market,
        "Spread and slippage",
        "Best ask over best bid, and what a market order of this size pays beyond the middle price.",
        "basis points",
        (
            ("quoted spread", "quoted_spread_bps", BLUE),
            ("slippage of $10,000", "slippage_10000usd_bps", GREEN),
            ("slippage of $100,000", "slippage_100000usd_bps", ORANGE),
        ),
    )


@solara.component
def DepthThroughTime(market: LiveMarket) -> None:
    """Depth within two distances through time."""
    _through_time(
        market,
        "Depth through time",
        "Dollars that rest within 10, 25 and 100 basis points of the middle, mean of both sides.",
        "thousand dollars",
        (
            ("10 bp", "depth_10bps_usd", BLUE),
            ("25 bp", "depth_25bps_usd", GREEN),
            ("100 bp", "depth_100bps_usd", ORANGE),
        ),
        scale=1e-3,
    )


def _through_time(
    market: LiveMarket,
    title: str,
    about: str,
    unit: str,
    curves: Sequence[tuple[str, str, str]],
    scale: float = 1.0,
) -> None:
    update_counter.get()
    colours = ink()
    rows, (times, unit_of_time) = market.history.markets(), clock(market.history.blocks()["time_s"])

    def body() -> None:
        series = [line(name, times, rounded(rows[column] * scale), colour) for name, column, colour in curves]
        option = frame(
            colours,
            series,
            xAxis=through_time(colours, unit_of_time),
            yAxis=axis(colours, unit, scale=False),
        )
        chart(option, f"{title} in {unit} over {times[-1]} {unit_of_time}")

    panel(title, about, body, waiting(market))
