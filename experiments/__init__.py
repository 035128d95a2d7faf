"""How it is used: scenarios, the Mesa model that assembles the rest, measures, studies, validation, commands."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blockspace.experiments.checkpoint import load_checkpoint, restore_checkpoint, save_checkpoint
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario, load_scenario

__all__ = ["Market", "Scenario", "load_checkpoint", "load_scenario", "restore_checkpoint", "save_checkpoint"]

_HOMES = {
    "Market": "market",
    "Scenario": "scenario",
    "load_scenario": "scenario",
    "load_checkpoint": "checkpoint",
    "restore_checkpoint": "checkpoint",
    "save_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: the command line must start without Mesa and Numba."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
