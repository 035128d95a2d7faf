"""Scenarios: what a run is made of, checked before anything runs.

A scenario is a preset or a TOML file plus overrides; there is no other way in. Every setting is described,
unknown ones are refused with the nearest known name, and every complaint is one sentence with the setting,
its value and what it may be.
"""

from blockspace.experiments.scenario.describing import describe_settings, is_whole_number
from blockspace.experiments.scenario.loading import (
    ScenarioError,
    change_settings,
    differences,
    load_scenario,
    preset_text,
    scenario_from,
)
from blockspace.experiments.scenario.settings import Scenario

__all__ = [
    "Scenario",
    "ScenarioError",
    "change_settings",
    "describe_settings",
    "differences",
    "is_whole_number",
    "load_scenario",
    "preset_text",
    "scenario_from",
]
