"""The page: three tabs, each session with a market of its own.

``solara run blockspace.experiments.app.page`` opens it as ``blockspace app`` does.
"""

from pathlib import Path

import solara
import solara.lab
from solara.server import settings as server_settings

from blockspace.experiments.app.charts import Scheme, is_dark
from blockspace.experiments.app.controls import new_session
from blockspace.experiments.app.emergence import Emergence
from blockspace.experiments.app.live import Live
from blockspace.experiments.app.results import ResultsPage

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

TABS = ("Live", "Emergence", "Results")

server_settings.main.mode = (
    "production"  # else ``solara run`` has every browser ask a page of Solara's whether all is well
)


@solara.component
def Page() -> None:
    """Everything that a browser tab shows."""
    session = solara.use_memo(new_session, [])
    tab = solara.use_reactive(0)

    def end() -> None:
        session.model.value.running = False  # nobody watches any more: whatever plays it stops

    solara.use_effect(lambda: end, [])
    solara.use_effect(_follow_the_system, [])
    solara.Title("Blockspace")
    solara.Style(STYLE)
    Scheme(event_is_dark=is_dark.set)
    with solara.AppBar():
        solara.lab.ThemeToggle()
    with solara.AppBarTitle():
        solara.Text("Blockspace")
    with solara.v.Html(tag="main", class_=f"bs-page {'bs-dark' if is_dark.value else 'bs-light'}"):
        with solara.lab.Tabs(value=tab):
            for name in TABS:
                solara.lab.Tab(name)
        # Pages stay as they are while another one is looked at.
        for number, show in enumerate((lambda: Live(session), lambda: Emergence(session), ResultsPage)):
            with solara.v.Html(tag="div", style_="" if tab.value == number else "display:none"):
                show()


def _follow_the_system() -> None:
    """Be light or dark as the system is, until somebody chooses."""
    solara.lab.theme.dark = None
