"""How it is used: scenarios, the Mesa model that assembles the rest, measures, studies, validation, commands."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario, load_scenario

__all__ = ["Market", "Scenario", "load_scenario"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: the command line must start without Mesa and Numba."""
    if name == "Market":
        from blockspace.experiments.market import Market

        return Market
    if name in ("Scenario", "load_scenario"):
        from blockspace.experiments import scenario

        return getattr(scenario, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
