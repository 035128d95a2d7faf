"""Headline figures: where the market stands, and where each figure goes."""

import numpy as np
import numpy.typing as npt
import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import short
from blockspace.experiments.app.live_market import LiveMarket

RECENT = 12
"""Points of the history that a trend looks at, half of them against the other half."""

STEADY = 0.01
"""Relative change below which a figure is steady."""


@solara.component
def Headline(market: LiveMarket) -> None:
    """Eight figures with their trends."""
    update_counter.get()
    blocks, markets = market.history.blocks(), market.history.markets()
    time_s = float(blocks["time_s"][-1]) if len(blocks) else 0.0
    number = int(market.shown.chain.number)
    figures = (
        ("external price", "$", blocks["external_price_usd"]),
        ("spread", " bp", markets["quoted_spread_bps"]),
        ("depth in 100 bp", "$k", markets["depth_100bps_usd"]),
        ("slippage of $10,000", " bp", markets["slippage_10000usd_bps"]),
        ("base fee", " gwei", blocks["base_fee_gwei"]),
        ("utilisation", " %", 100.0 * blocks["utilisation"]),
        ("pending", "", blocks["pending"].astype(float)),
    )
    shown = [_figure("block", f"{number:,}", _clock(time_s), " block-number")]
    for name, unit, values in figures:
        value = float(values[-1]) if len(values) else None
        if unit == "$k":
            said = "–" if value is None else f"${short(value)}"
        else:
            said = f"${value:,.2f}" if unit == "$" and value is not None else short(value, unit)
        shown.append(_figure(name, said, trend(values)))
    # One piece of text: dozens of widgets would take longer than the block.
    solara.HTML(tag="div", classes=["bs-headline"], unsafe_innerHTML="".join(shown))


def trend(values: npt.NDArray[np.float64]) -> str:
    """Whether the latest values lie above or below those before them."""
    recent = np.asarray(values, float)[-RECENT:]
    recent = recent[np.isfinite(recent)]
    if len(recent) < RECENT // 2:
        return "–"
    before, after = recent[: len(recent) // 2].mean(), recent[len(recent) // 2 :].mean()
    change = (after - before) / abs(before) if before else 0.0
    if abs(change) < STEADY:
        return "→ steady"
    return f"{'▲' if change > 0 else '▼'} {100 * change:+.0f} %"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    return (f"{days} d " if days else "") + f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def _figure(name: str, value: str, below: str, identity: str = "") -> str:
    return (
        f'<div class="bs-figure"><span class="bs-name">{name}</span>'
        f'<span class="bs-value{identity}">{value}</span><span class="bs-trend">{below}</span></div>'
    )
