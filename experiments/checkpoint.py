"""Checkpoints: the whole state of a run in a folder, from which it continues as if it had never stopped.

===============  =======================================================================================================
``state``        everything that changes from block to block, what the run is made of, and the hash of the simulator
``rows-HASH``    rows of blocks, and tapes that are kept in memory: what is past is written once and never again
``prices-HASH``  the file of prices, if the scenario has one
===============  =======================================================================================================

Every file is written under a temporary name and moved into place, ``state`` last: the folder holds the new checkpoint,
or still the one before it. What an object has to say for itself is told in :mod:`blockspace.network.state`.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from blockspace.experiments import market as market_module
from blockspace.experiments.errors import UserError
from blockspace.experiments.files import scenario_toml, write_whole
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario, differences, scenario_from
from blockspace.experiments.state_files import read_about, read_state, write_state
from blockspace.network.compilation import source_hash
from blockspace.network.state import StateError

_STATE = "state"
_OURS = re.compile(r"rows-[0-9a-f]{40}|prices-[0-9a-f]{16}\.\w+|\.(state|rows|prices)[-.].*")
_SHOWN_DIFFERENCES = 4


class CheckpointError(UserError):
    """A checkpoint that cannot be taken or continued, said in one sentence."""


@dataclass(frozen=True)
class Outline:
    """What a checkpoint is of.

    Attributes
    ----------
    scenario
        What the run is made of, with all its chains.
    seed
        Seed of the run.
    time_s
        How far the run has come, in simulated seconds.
    tapes
        Where its tapes go: ``"memory"``, ``"none"`` or a folder.
    """

    scenario: Scenario
    seed: int
    time_s: float
    tapes: str


def save_checkpoint(market: Market, folder: str | Path) -> None:
    """Save the whole state of a market, between two blocks, in place of what the folder held before.

    Agents written in Python are saved with their attributes, as :class:`~blockspace.agents.trader.Trader` says.

    Parameters
    ----------
    market
        What is saved. It is not changed and can run on.
    folder
        Where to; it is made if it is not there.

    Raises
    ------
    CheckpointError
        If something of the user's own has state that is not known, with what it is.
    """
    try:
        state = market.state()
    except StateError as error:
        raise CheckpointError(str(error)) from None
    about = {
        "simulator": _simulator(),
        "seed": market.seed,
        "time_s": market.time,
        "tapes": market.tapes if market.tapes in ("memory", "none") else str(Path(market.tapes).absolute()),
        "scenario": scenario_toml(_portable(market.settings)),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    prices = _copy_prices(market.settings, folder)
    rows = write_state(folder / _STATE, about, state)
    _tidy(folder, {*prices, *rows})


def load_checkpoint(folder: str | Path, tapes: str | Path | None = None) -> Market:
    """Make the market that a checkpoint was taken of, ready to run on; its tapes on disk are cut to where they were.

    Parameters
    ----------
    folder
        Where the checkpoint is.
    tapes
        Folder of the tapes on disk, if it has been moved since.

    Raises
    ------
    CheckpointError
        If there is none, it is damaged or of another version, or it has agents in Python: these cannot be made from a
        file, so make a market with them and use :func:`restore_checkpoint`.
    """
    outline = outline_of(folder)
    market = Market(outline.scenario, outline.seed, outline.tapes if tapes is None else tapes)
    restore_checkpoint(market, folder)
    return market


def restore_checkpoint(market: Market, folder: str | Path) -> None:
    """Take a market to where another one was saved, which was made in the same way.

    Parameters
    ----------
    market
        A market of the same scenario and seed, with the same agents in Python, if there are any. Its scenario may last
        longer.
    folder
        Where the checkpoint is.

    Raises
    ------
    CheckpointError
        If there is none, it is damaged or of another version, or the market is made of something else, with what is
        different.
    """
    outline = outline_of(folder)
    require_same(outline, market.settings, market.seed)
    if _mode(outline.tapes) != _mode(market.tapes):
        raise CheckpointError(f"tapes is {_mode(market.tapes)} here and {_mode(outline.tapes)} in {folder}")
    try:
        market.restore(read_state(Path(folder) / _STATE))
    except StateError as error:
        raise CheckpointError(str(error)) from None


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a folder holds a checkpoint."""
    return (Path(folder) / _STATE).is_file()


def outline_of(folder: str | Path) -> Outline:
    """What the checkpoint of a folder is of.

    Raises
    ------
    CheckpointError
        If there is none, it is damaged, or it was taken with another version.
    """
    if not has_checkpoint(folder):
        raise CheckpointError(f"there is no checkpoint in {folder}")
    try:
        about = read_about(Path(folder) / _STATE)
    except StateError as error:
        raise CheckpointError(str(error)) from None
    if about["simulator"] != _simulator():
        raise CheckpointError(
            f"the checkpoint in {folder} was taken with another version of the simulator, whose runs may differ from "
            "those of this one: continue it with that version, or start the run afresh"
        )
    scenario = _located(tomllib.loads(about["scenario"]), Path(folder))
    return Outline(scenario, about["seed"], about["time_s"], about["tapes"])


def require_same(outline: Outline, scenario: Scenario, seed: int, other_duration: bool = True) -> None:
    """Refuse what a checkpoint is not of; another duration that still lies ahead is let pass if it may differ.

    Raises
    ------
    CheckpointError
        With what is different.
    """
    apart = [] if seed == outline.seed else [f"seed is {outline.seed} there and {seed} here"]
    there, here = len(outline.scenario.chains), len(scenario.chains)
    if there != here:
        apart.append(f"there are {1 + there} chains there and {1 + here} here")
    else:
        for path, (was, now) in differences(_portable(outline.scenario), _portable(scenario)).items():
            if not path.endswith("duration_s") or not other_duration or now < outline.time_s:
                apart.append(f"{path} is {was!r} there and {now!r} here")
    if not apart:
        return
    more = f", and {len(apart) - _SHOWN_DIFFERENCES} more differences" if len(apart) > _SHOWN_DIFFERENCES else ""
    raise CheckpointError(f"the checkpoint is of another run: {', '.join(apart[:_SHOWN_DIFFERENCES])}{more}")


def _simulator() -> str:
    return source_hash(Path(market_module.__file__))


def _mode(tapes: str | Path) -> str:
    return str(tapes) if tapes in ("memory", "none") else "a folder"


# The file of prices goes with the checkpoint.


def _portable(scenario: Scenario) -> Scenario:
    """A scenario that names its file of prices by what is in it."""
    if scenario.price.source != "file":
        return scenario
    file = Path(scenario.price.file)
    changed = file.stat()
    name = f"prices-{_content_hash(file, changed.st_mtime_ns, changed.st_size)}{file.suffix}"
    price = scenario.price.model_copy(update={"file": name})
    chains = tuple(one.model_copy(update={"price": price}) for one in scenario.chains)
    return scenario.model_copy(update={"price": price, "chains": chains})


@cache
def _content_hash(file: Path, modified_ns: int, size: int) -> str:
    """Hash of a file that was last changed then and had that many bytes."""
    return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()


def _copy_prices(scenario: Scenario, folder: Path) -> list[str]:
    """Copy the file of prices, if there is one, to a folder that has it not yet; returns its name."""
    if scenario.price.source != "file":
        return []
    name = _portable(scenario).price.file
    if not (folder / name).is_file():
        write_whole(folder / name, Path(scenario.price.file).read_bytes())
    return [name]


def _located(data: dict[str, Any], folder: Path) -> Scenario:
    """Scenario of a checkpoint, whose file of prices lies in its folder."""
    if data["price"]["source"] == "file":
        data["price"]["file"] = str(folder.absolute() / data["price"]["file"])
    return scenario_from(data)


def _tidy(folder: Path, needed: set[str]) -> None:
    """Remove what the checkpoint before the one just written needed, and what a killed process was writing."""
    for file in folder.iterdir():
        if _OURS.fullmatch(file.name) and file.name not in needed:
            file.unlink(missing_ok=True)
