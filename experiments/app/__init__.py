"""The browser application: a live market, a paired sweep that builds up, and results folders.

It is built of the parts of Mesa's visualisation on Solara. :mod:`~blockspace.experiments.app.serve` opens it,
:mod:`~blockspace.experiments.app.page` is the page; what a market looks like is turned into plain numbers by
:mod:`~blockspace.experiments.app.sampling`, and shown by a file for each panel.

Nothing is sent to or fetched from anywhere but the machine that serves it; importing this package turns Solara's
telemetry off, and the page the checks of its development mode, so that ``solara run blockspace.experiments.app.page``
keeps quiet as well.
"""

import os

os.environ["SOLARA_TELEMETRY_MIXPANEL_ENABLE"] = "False"
os.environ.setdefault("SOLARA_THEME_SHOW_BANNER", "False")
os.environ.setdefault("SOLARA_KERNEL_CULL_TIMEOUT", "10m")  # after which the market of a tab that is gone is let go
