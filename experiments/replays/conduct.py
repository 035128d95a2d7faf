"""From the name of a day to its table: scenario, runs over seeds, verdicts, and the files that they leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.files import write_scenario, write_whole
from blockspace.experiments.market import Market
from blockspace.experiments.replays import REPLAYS, black_thursday, october_2025
from blockspace.experiments.replays.verdicts import compare
from blockspace.experiments.scenario import Scenario, ScenarioError, load_scenario
from blockspace.markets.price_file import read_price_file
from blockspace.network.settings import did_you_mean

MARGIN_S = 60.0
"""Seconds at the end of a file of prices that are left for agents and marks to look ahead."""


@dataclass(frozen=True)
class Replayed:
    """What a replay found: its scenario, a row per seed, a row per published aggregate, and what to know of them."""

    scenario: Scenario
    runs: pd.DataFrame
    table: pd.DataFrame
    notes: tuple[str, ...]


def replay(
    name: str,
    prices: Path | None = None,
    gas: Path | None = None,
    columns: Mapping[str, str] | None = None,
    seeds: int = 4,
    overrides: Mapping[str, Any] | None = None,
) -> Replayed:
    """Replay a day.

    Parameters
    ----------
    name
        One of :data:`~blockspace.experiments.replays.REPLAYS`.
    prices
        File of the day's prices in dollars; without one they follow the script of the scenario.
    gas
        File of the day's gas prices in gwei, from the same moment on (``black-thursday``).
    columns
        Columns of the files: ``time``, ``price`` and ``gas``, by default ``time_s``, ``open_usd`` and ``mean_gwei``.
    seeds
        Number of runs.
    overrides
        Settings to change, by dotted path.

    Raises
    ------
    ScenarioError
        If there is no such day, or a file or a setting cannot be used.
    """
    if name not in REPLAYS:
        raise ScenarioError(f"there is no replay {name!r}{did_you_mean(name, REPLAYS)}; there are {', '.join(REPLAYS)}")
    if gas is not None and name != "black-thursday":
        raise ScenarioError(f"--gas is {gas}; it must be left out for {name}, whose actions cost no gas")
    column = {"time": "time_s", "price": "open_usd", "gas": "mean_gwei", **(columns or {})}
    scenario, note = _scenario(name, prices, column, overrides or {})
    notes = [note]
    day = black_thursday if name == "black-thursday" else october_2025
    if scenario.duration_s < day.SHORTEST_S:
        raise ScenarioError(f"duration_s is {scenario.duration_s:g}; it must be at least {day.SHORTEST_S:g} for {name}")
    recorded = None
    if gas is not None:
        recorded = _gas_prices(gas, column, scenario)
        scenario = black_thursday.calibrate(scenario, recorded, seed=0)
        gwei = scenario.background_users.value_gwei
        notes.append(f"background_users.value_gwei is {gwei:.3g}, calibrated to the calm of {gas} alone")
    measure = october_2025.measure if day is october_2025 else partial(black_thursday.measure, gas=recorded)
    runs = pd.DataFrame([_run(scenario, seed, measure) for seed in range(1, seeds + 1)])
    return Replayed(scenario, runs, compare(day.ANCHORS, runs), tuple(notes))


def _scenario(
    name: str, prices: Path | None, column: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[Scenario, str]:
    """The day's scenario, and where its prices come from; a file that ends before the day does shortens it."""
    toml = Path(__file__).with_name(f"{name.replace('-', '_')}.toml")
    if prices is None:
        return load_scenario(toml, overrides), "no file of prices was given: they follow a script of the published size"
    times_s, _ = _read(prices, column["time"], column["price"], "--prices")
    day = load_scenario(toml)
    duration_s = min(day.duration_s, float(times_s[-1]) - MARGIN_S)
    if duration_s <= day.warm_up_s:
        raise ScenarioError(f"--prices is {prices}, which ends after {times_s[-1]:g} s; a replay needs most of a day")
    settings = {
        "price.source": "file",
        "price.file": str(prices.resolve()),
        "price.time_column": column["time"],
        "price.price_column": column["price"],
        "duration_s": duration_s,
    }
    return load_scenario(toml, {**settings, **overrides}), f"prices come from {prices}"


def _gas_prices(gas: Path, column: Mapping[str, str], scenario: Scenario) -> pd.DataFrame:
    """Recorded gas prices, ``time_s`` and ``gwei``, of all hours that are compared."""
    times_s, gwei = _read(gas, column["time"], column["gas"], "--gas")
    if times_s[-1] < scenario.duration_s - black_thursday.HOUR_S:
        raise ScenarioError(
            f"--gas is {gas}, which ends after {times_s[-1]:g} s; it must last as long as the run, "
            f"{scenario.duration_s:g} s, but for its last hour"
        )
    return pd.DataFrame({"time_s": times_s, "gwei": gwei})


def _read(
    path: Path, time_column: str, value_column: str, option: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times in seconds from the first row, and values above 0, of a file that an option names."""
    try:
        times_s, values, _ = read_price_file(path, time_column, value_column)
    except ValueError as error:
        raise ScenarioError(f"{option}: {error}") from None
    return times_s, values


def _run(scenario: Scenario, seed: int, measure: Callable[[Market], dict[str, float]]) -> dict[str, float]:
    market = Market(scenario, seed)
    market.run_for(scenario.duration_s)
    market.check()
    return {"seed": seed, **measure(market)}


def save(replayed: Replayed, folder: Path) -> None:
    """Leave ``table.csv``, ``runs.csv`` (a row per seed) and ``scenario.toml`` with the prices it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_scenario(replayed.scenario, folder)
    for name, frame in (("runs", replayed.runs), ("table", replayed.table)):
        write_whole(folder / f"{name}.csv", frame.to_csv(index=False))
