"""Compiling the simulator, once, before what needs it: a run, or the processes of a sweep."""

import subprocess
import sys
from pathlib import Path

import filelock

from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario
from blockspace.network.compilation import cache_folder, is_compiled, mark_compiled

_WORLD = Path(__file__).resolve().parent / "world.py"


def compile_kernels(scenario: Scenario) -> None:
    """Compile the simulator, if that is still to be done, and say so on standard error.

    Two processes do it: this one goes through the phases of a block from the front, another from the back, and each
    loads what the other has finished. Processes that start afterwards load all of it; one that comes in between waits.
    """
    if is_compiled(_WORLD):
        return
    cache = cache_folder(_WORLD)
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / "compiling"):
        if is_compiled(_WORLD):
            return
        print("compiling the simulator: once, for about a quarter of a minute", file=sys.stderr, flush=True)
        command = "from blockspace.experiments.compiling import compile_from_the_back; compile_from_the_back()"
        with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            market = Market(scenario, tapes="none")
            market.run_for(20 * scenario.chain.block_time_s)
            market.summary()
        mark_compiled(_WORLD)


def compile_from_the_back() -> None:
    """Call the phases of a block of a default scenario in reverse, for the sake of compiling what they call."""
    for step in reversed(Market(Scenario(), tapes="none").world.steps):
        step()
