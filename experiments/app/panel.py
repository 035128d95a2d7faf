"""The frame of a panel: its title, a sentence on what it shows, and what stands there while there is nothing."""

from collections.abc import Callable

import solara

from blockspace.experiments.app.live_market import LiveMarket

WAITING = "Nothing yet: press ▶ or Step in the controls."


def panel(title: str, about: str, body: Callable[[], None], empty: str | None = None, wide: bool = False) -> None:
    """Show a panel; ``empty`` stands in its place if it is given."""
    classes = ["bs-panel", "bs-wide"] if wide else ["bs-panel"]
    with solara.v.Html(tag="section", class_=" ".join(classes), attributes={"aria-label": title}):
        solara.v.Html(tag="h3", children=[title])
        solara.v.Html(tag="p", class_="bs-about", children=[about])
        if empty is None:
            body()
        else:
            solara.v.Html(tag="p", class_="bs-empty", attributes={"role": "status"}, children=[empty])


def waiting(market: LiveMarket) -> str | None:
    """What stands in a panel before the first block."""
    return None if market.history.count else WAITING
