"""A market that somebody watches: it takes changes between two blocks, and its memory does not grow."""

import math
import traceback
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.experiments.app.history import History
from blockspace.experiments.app.live_price import change_moves, make_live
from blockspace.experiments.app.settings import AS_PRESET, live_scenario
from blockspace.experiments.market import Market
from blockspace.experiments.recording.rows import BLOCK_ROW, MARKET_ROW
from blockspace.experiments.world import World
from blockspace.markets.clearing import with_claims
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT
from blockspace.network.chain import NS


class LiveMarket(Market):
    """A :class:`Market` for the page, made of the numbers that the page knows.

    Parameters
    ----------
    preset, additions, ordering, gas_limit, block_time_s, makers, demand_per_s, volatility_per_day
        See :func:`~blockspace.experiments.app.settings.live_scenario`.
    seed
        Seed of every random draw.

    Attributes
    ----------
    shown_number : int
        Number of the chain that is looked at.
    histories : list of History
        The run so far, for each chain.
    made_of : dict
        What it was made of, by the names of the parameters.
    taken : set of str
        Names of what was changed since.
    volatility_per_day : float
        Volatility of the external price now.
    failure : str or None
        Traceback of what stopped the market.
    """

    CONSTANTS: ClassVar = (
        "made_of",
        "taken",
        "volatility_per_day",
        "shown_number",
        "histories",
        "_endowments",
        "failure",
        "_changes",
        "_live_price",
    )

    def __init__(
        self,
        preset: str = "ethereum-30m",
        additions: str = "nothing else",
        ordering: str = AS_PRESET,
        seed: int = 7,
        gas_limit: int | None = None,
        block_time_s: float | None = None,
        makers: int | None = None,
        demand_per_s: float | None = None,
        volatility_per_day: float | None = None,
    ) -> None:
        # One by one: a model that takes any keyword is given one of Mesa's own scenarios by Mesa's controller.
        numbers = {
            "gas_limit": gas_limit,
            "block_time_s": block_time_s,
            "makers": makers,
            "demand_per_s": demand_per_s,
            "volatility_per_day": volatility_per_day,
        }
        super().__init__(live_scenario(preset, additions, ordering, **numbers), seed, tapes="none")
        self.made_of: dict[str, str | float] = {
            "preset": preset,
            "additions": additions,
            "ordering": ordering,
        }
        for name, value in numbers.items():
            if value is not None:
                self.made_of[name] = value
        self.taken: set[str] = set()
        self.volatility_per_day = self.world.scenario.price.volatility_per_day
        self.failure: str | None = None
        self._changes: list[tuple[str, float]] = []
        self._live_price = make_live(self.path)
        self.shown_number = 0
        self.histories = [History(BLOCK_ROW, MARKET_ROW) for _ in self.worlds]
        self._endowments = []
        for world in self.worlds:
            world.records.meters[0]["keep_tape"] = 1  # the ring alone: it is never drained
            ledger = world.venues[0]["ledger"]
            self._endowments.append(ledger["accounts"][: max(int(ledger["count"]), FIRST_FREE_ACCOUNT)].copy())

    @property
    def shown(self) -> World:
        """The chain that is looked at, with what is on it."""
        return self.worlds[self.shown_number]

    @property
    def history(self) -> History:
        """The run so far of the chain that is looked at."""
        return self.histories[self.shown_number]

    def change(self, name: str, value: float) -> None:
        """Change something at the next block: ``gas_limit``, ``demand_per_s``, ``volatility_per_day`` or ``crash``.

        All are in the units of the scenario; ``crash`` is the share of its value that the price loses. Volatility
        scales the moves to come, so that a price that does not move at all cannot be given any.
        """
        self._changes.append((name, value))
        self.taken.add(name)

    def _step_block(self) -> None:
        """Advance to the next block; what goes wrong in it is kept, and the market stops."""
        if self.failure is not None:
            return
        try:
            while self._changes:
                self._apply(*self._changes.pop(0))
            rows_before = [world.records.rows for world in self.worlds]
            super()._step_block()
            for world, history, before in zip(self.worlds, self.histories, rows_before, strict=True):
                if world.records.rows > before:
                    block, market = world.records.latest()
                    history.add(block, market[0])
                    world.records.forget()
        except Exception:
            self.failure = traceback.format_exc()
            self.running = False

    def _apply(self, name: str, value: float) -> None:
        world = self.world
        if name == "gas_limit":
            world.chain.resize(int(value))
        elif name == "demand_per_s":
            world.demands["rate"] = value
        else:
            seen_ns = world.chain.time_ns + math.ceil(max(w.scenario.look_ahead_s for w in self.worlds) * NS)
            if name == "crash":
                change_moves(self.path, self._live_price, seen_ns, fall=value)
                return
            usual = world.scenario.price.volatility_per_day
            self.volatility_per_day = value
            change_moves(self.path, self._live_price, seen_ns, factor=value / usual)

    def profits_usd(self) -> npt.NDArray[np.float64]:
        """What each account of the chain shown has gained since the start, in dollars at marks."""
        world, before = self.shown, self._endowments[self.shown_number]
        venue = world.venues[0]
        now = with_claims(venue, len(before))
        listed = int(venue["count"])
        ether_usd = world.ether_usd(world.chain.time_ns)
        marks = venue["instruments"]["mark"][:listed].astype(float)
        lots = (now["position"][:, :listed] - before["position"][:, :listed]).astype(float)
        gwei = (now["gwei"] - before["gwei"]).astype(float)
        cash = (now["cash"] - before["cash"]).astype(float)
        return np.asarray((cash + lots @ marks) * 1e-6 + gwei * 1e-9 * ether_usd)
