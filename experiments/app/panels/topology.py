"""Where validators sit, what they have at stake, how far they are, and who made the block."""

import math
from collections import Counter
from typing import Any

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import BLUE, ORANGE, chart, frame, ink
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel
from blockspace.experiments.app.sampling import validators

PLACES = {
    "virginia": (-75, 38),
    "california": (-122, 37),
    "sao_paulo": (-47, -24),
    "london": (-14, 54),
    "frankfurt": (24, 50),
    "mumbai": (70, 20),
    "singapore": (106, 1),
    "tokyo": (140, 36),
    "sydney": (151, -34),
}
"""Longitude and latitude of the regions in degrees, neighbours a little apart."""

RADIUS = 17.0
"""Degrees within which the validators of a region are drawn around it."""

GOLDEN = math.pi * (3 - math.sqrt(5))


@solara.component
def Topology(market: LiveMarket) -> None:
    """A map without coasts: validators around their regions."""
    update_counter.get()
    colours = ink()
    nodes = solara.use_memo(lambda: validators(market.shown), [market, market.shown_number])
    producer = int(market.shown.chain.blocks[0]["producer"])

    def body() -> None:
        seen: dict[str, int] = {}
        most = max(Counter(node["region"] for node in nodes).values())
        points = []
        for number, node in enumerate(nodes):
            longitude, latitude = PLACES[node["region"]]
            place = seen[node["region"]] = seen.get(node["region"], -1) + 1
            radius = RADIUS * math.sqrt(place / max(most - 1, 1))
            made = number == producer and market.history.count > 0
            points.append(
                {
                    "name": f"validator {number}",
                    "value": [
                        round(longitude + radius * math.cos(place * GOLDEN), 2),
                        round(latitude + radius * math.sin(place * GOLDEN), 2),
                        round(100 * node["stake"], 3),
                        node["latency_ms"],
                    ],
                    "symbolSize": min(4 + 60 * math.sqrt(node["stake"] / max(len(nodes) ** 0.5, 1)), 30) + 8 * made,
                    "itemStyle": {"color": ORANGE if made else BLUE, "opacity": 1.0 if made else 0.55},
                    "z": 5 if made else 2,
                }
            )
        regions = [
            {
                "name": f"{region.replace('_', ' ')}",
                "value": [PLACES[region][0], PLACES[region][1] - (RADIUS if most > 1 else 2.0)],
                "label": {
                    "show": True,
                    "formatter": "{b}",
                    "position": "bottom",
                    "distance": 6,
                    "color": colours["faint"],
                    "fontSize": 10,
                },
            }
            for region in seen
        ]
        series: list[dict[str, Any]] = [
            {"type": "scatter", "data": points, "encode": {"tooltip": [2, 3]},
             "dimensions": ["longitude", "latitude", "stake, %", "latency, ms"]},
            {"type": "scatter", "data": regions, "symbolSize": 0.1, "silent": True, "z": 9},
        ]  # fmt: skip
        hidden = {"show": False, "type": "value"}
        option = frame(
            colours,
            series,
            xAxis={**hidden, "min": -140, "max": 170},
            yAxis={**hidden, "min": -64, "max": 74},
            grid={"left": 4, "right": 4, "top": 4, "bottom": 4},
        )
        option["tooltip"] = {**option["tooltip"], "trigger": "item"}
        node = nodes[producer]
        chart(
            option,
            f"{len(nodes)} validators; the block was made in {node['region']} with {100 * node['stake']:.2f} per cent "
            f"of the stake, {node['latency_ms']} milliseconds away on average",
            280,
        )

    one = len(nodes) == 1
    about = (
        "The sequencer makes every block; point at it for its latency, a mean over where agents sit."
        if one
        else f"{len(nodes)} validators by region, as large as their stake, in orange whoever made the block; point at "
        "one for stake and latency, a mean over where agents sit."
    )
    panel("Who makes the block", about, body, wide=True)
