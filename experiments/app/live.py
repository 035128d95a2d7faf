"""The live page: controls beside panels in four groups."""

import solara
import solara.lab
from mesa.visualization.utils import update_counter

from blockspace.experiments.app.controls import Controls, Session
from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.app.panels.agents import Agents
from blockspace.experiments.app.panels.block import LatestBlock
from blockspace.experiments.app.panels.book import Depth, Ladder
from blockspace.experiments.app.panels.headline import Headline
from blockspace.experiments.app.panels.options import Premium, Surface
from blockspace.experiments.app.panels.rents import Rents
from blockspace.experiments.app.panels.risk import Liquidations, Margin
from blockspace.experiments.app.panels.space import Fees, Pending
from blockspace.experiments.app.panels.topology import Topology
from blockspace.experiments.app.panels.trading import DepthThroughTime, Spread

GROUPS = {
    "Market": (Ladder, Depth, Spread, DepthThroughTime),
    "Block space": (LatestBlock, Fees, Pending, Topology),
    "Agents and rents": (Agents, Rents),
    "Options": (Surface, Premium),
    "Leverage": (Margin, Liquidations),
}
"""Panels by the tab under which they are; only those that are seen are drawn."""


@solara.component
def Live(session: Session) -> None:
    """Controls, headline figures and one group of panels."""
    group = solara.use_reactive(0)
    market = session.model.value
    with solara.v.Html(tag="div", class_="bs-live"):
        Controls(session)
        with solara.v.Html(tag="div", class_="bs-view"):
            Failure(market)
            Headline(market)
            with solara.lab.Tabs(value=group):
                for name in GROUPS:
                    solara.lab.Tab(name)
            with solara.v.Html(tag="div", class_="bs-grid"):
                for component in GROUPS[list(GROUPS)[group.value]]:
                    component(market)


@solara.component
def Failure(market: LiveMarket) -> None:
    """What stopped the market, if something did."""
    update_counter.get()
    if market.failure is None:
        return
    with solara.v.Html(tag="section", class_="bs-panel bs-failure", attributes={"role": "alert"}):
        last = market.failure.strip().splitlines()[-1]
        solara.v.Html(tag="h3", children=[f"The run stopped at block {market.shown.chain.number:,}"])
        solara.v.Html(tag="p", children=[f"{last}. The panels show it as it was; Reset makes a new market."])
        with solara.Details("What happened"):
            solara.v.Html(tag="pre", children=[market.failure])
