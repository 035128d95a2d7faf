"""The block just built: its transactions in their order, as wide as their gas, coloured by who sent them."""

import solara
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.charts import colour_of, name_of, short
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panel import panel, waiting
from blockspace.experiments.app.sampling import latest_block

HEIGHT, WIDTH = 64, 1000


@solara.component
def LatestBlock(market: LiveMarket) -> None:
    """A bar that is the block, empty space included, and who has how much of it."""
    update_counter.get()
    empty = waiting(market)
    boxes = [] if empty else latest_block(market.shown)
    limit = int(market.shown.chain.blocks[0]["gas_limit"])
    used = sum(box["gas"] for box in boxes)

    def body() -> None:
        pieces, left = [], 0.0
        shares: dict[str, int] = {}
        for box in boxes:
            width = WIDTH * box["gas"] / max(limit, used, 1)
            failed = box["status"] == "failed"
            several = f"{box['count']} transactions, mostly of " if box["count"] > 1 else ""
            pieces.append(
                f'<rect x="{left:.2f}" y="0" width="{max(width - 0.5, 0.4):.2f}" height="{HEIGHT}" '
                f'fill="{colour_of(box["role"])}"{" opacity='0.45'" if failed else ""}><title>{several}'
                f"{name_of(box['role'])}: {box['kind']}, {box['status']}, {box['gas']:,} gas, "
                f"tip {box['tip_gwei']} gwei"
                "</title></rect>"
            )
            left += width
            shares[box["role"]] = shares.get(box["role"], 0) + box["gas"]
        label = f"Block with {short(used * 1e-6)} of {short(limit * 1e-6)} million gas used"
        svg = (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" class="bs-block" role="img" '
            f'aria-label="{label}">{"".join(pieces)}</svg>'
        )
        solara.HTML(tag="div", unsafe_innerHTML=svg)
        with solara.v.Html(tag="ul", class_="bs-legend"):
            for role, gas in sorted(shares.items(), key=lambda item: -item[1]):
                with solara.v.Html(tag="li"):
                    solara.v.Html(tag="i", style_=f"background:{colour_of(role)}", attributes={"aria-hidden": "true"})
                    solara.v.Html(tag="span", children=[f"{name_of(role)} {100 * gas / max(limit, 1):.1f} %"])
            solara.v.Html(tag="li", children=[f"empty {100 * max(1 - used / max(limit, 1), 0):.1f} %"])

    title = f"Block {int(market.shown.chain.number):,}" if not empty else "The block just built"
    about = "Transactions in their order, as wide as their gas, coloured by who sent them; pale ones failed."
    panel(title, about, body, empty, wide=True)
