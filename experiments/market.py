"""The Mesa model: one clock, one external price, and the worlds that live on them."""

import math
from pathlib import Path
from typing import Any, ClassVar

import mesa
import numpy as np
import numpy.typing as npt
import pandas as pd
from mesa.time import Event

from blockspace.agents.validators import REVIEW
from blockspace.experiments.bridge import Bridge, on_the_way
from blockspace.experiments.cross_chain import new_desks, rollups_on_the_way
from blockspace.experiments.forced_inclusion import ForcedInclusion
from blockspace.experiments.lost_blocks import summarise_losses
from blockspace.experiments.margin_hub import MarginHub
from blockspace.experiments.prices import price_path
from blockspace.experiments.recording.bridge_summary import summarise_bridge
from blockspace.experiments.recording.cross_chain_summary import summarise_cross_chain
from blockspace.experiments.recording.insisting_summary import summarise_insisting
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.recording.security import summarise_security
from blockspace.experiments.recording.settlement_summary import summarise_settlement
from blockspace.experiments.recording.summary import CHAIN_MEASURES, summarise
from blockspace.experiments.recording.unified_margin_summary import summarise_unified_margin
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.settlement import Settlement
from blockspace.experiments.world import World
from blockspace.markets.clearing import check_claims
from blockspace.markets.express_lane import recent_rounds
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT, MICRO_DOLLARS, SYSTEM_ACCOUNTS, WEI_PER_ETHER, totals
from blockspace.markets.pools.listing import check_pools
from blockspace.network.chain import NS
from blockspace.network.draws import stream_key
from blockspace.network.state import StateError, Stateful

_OF_MESA = frozenset(vars(mesa.Model(rng=0))) - {"steps", "random", "rng"}
"""What Mesa keeps for itself and the constructor gives back; the time is asked for by its public name."""


def _of_chain(measures: dict[str, Any]) -> dict[str, Any]:
    """Those of a chain's measures that say something where nobody trades."""
    return {name: measures[name] for name in CHAIN_MEASURES if name in measures}


class _NextBlock(Event):
    """The next block of a world on Mesa's event list: an event that comes again, as the block after it.

    Mesa would make an event for each block; to put the same one back on the list takes a tenth of the time.
    """

    def __init__(self, model: "Market", world: World) -> None:
        super().__init__(0.0, world.make_block)
        self.model = model
        self.world = world
        self.schedule()

    def schedule(self) -> None:
        """Put the world's next block on the list; of two at the same moment, the one that was put there first comes."""
        self.time = max(self.world.chain.next_time_ns / NS, self.model.time)
        self.unique_id = next(self._ids)
        self.model._event_list.add_event(self)

    def execute(self) -> None:
        """Make the block."""
        if not self.CANCELED:
            self.world.make_block()
            self.model.steps += 1
            self.schedule()


class Market(mesa.Model, Stateful):
    """A derivatives market on a chain with finite block space.

    Parameters
    ----------
    scenario
        What it is made of, with all its chains.
    seed
        Seed of every random stream. Two markets with one seed see the same prices, users and arrivals, whatever else
        differs between their scenarios.
    tapes
        What becomes of the tapes of trades and transactions: ``"memory"`` keeps them, ``"none"`` does not record
        them, a folder streams them to Parquet files.

    Examples
    --------
    >>> from blockspace.experiments import Market, load_scenario
    >>> market = Market(load_scenario("ethereum-30m", {"warm_up_s": 0}), seed=7)
    >>> market.run_for(60)
    >>> len(market.blocks())
    5
    """

    CONSTANTS: ClassVar = (*_OF_MESA, "settings", "notes", "tapes", "_next_blocks")

    def __init__(self, scenario: Scenario, seed: int = 0, tapes: str | Path = "memory") -> None:
        if not 0 <= seed < 2**63:
            raise ValueError(f"seed is {seed}; it may be 0 to 2^63 - 1")
        super().__init__(rng=int(seed))
        self.settings = scenario
        self.seed = int(seed)
        self.tapes = tapes
        self.path, self.notes = price_path(scenario, seed)
        self.worlds = [
            World(
                one,
                self.path,
                stream_key(seed, f"chains/{one.name}") >> 1 if number and one.own_draws else seed,
                self,
                Path(tapes) / "chains" / one.name if number and tapes not in ("memory", "none") else tapes,
            )
            for number, one in enumerate((scenario, *scenario.chains))
        ]
        self.settlements = [
            Settlement(self, world, seed) for world in self.worlds if world.scenario.rollup.kind != "none"
        ]
        self.margin_hub = MarginHub(self, seed) if scenario.hedgers.count else None
        crossed = rollups_on_the_way(scenario) if scenario.cross_chain_arbitrageurs.count else ()
        self.bridges = [
            Bridge(self, settlement, seed)
            for settlement in self.settlements
            if settlement.settings.bridge.users_per_h > 0.0 or settlement.world.scenario.name in crossed
        ]
        self.cross_chain = new_desks(self, seed)
        self.forced_inclusions = [
            ForcedInclusion(self, settlement, seed)
            for settlement in self.settlements
            if settlement.settings.insisting.users_per_h > 0.0
        ]
        # Mesa calls `step` once per unit of time. Here time is in seconds and a step is a block, which comes when the
        # chain says so: it is put on Mesa's event list, and Mesa's own beat is silenced.
        self._default_schedule.stop()
        self.step = self._step_block
        self._next_blocks = [_NextBlock(self, world) for world in self.worlds]

    @property
    def world(self) -> World:
        """The first world."""
        return self.worlds[0]

    def _step_block(self) -> None:
        """Advance to the next block of any chain and make it."""
        next_ns = min(world.chain.next_time_ns for world in self.worlds)
        self.run_until(max(next_ns / NS, math.nextafter(self.time, math.inf)))

    def summary(self, world: int = 0) -> dict[str, Any]:
        """Summary measures of the run so far, without the warm-up; names carry the unit.

        Measures of the first chain are followed by those of the others, with their name as a prefix: all of them of a
        chain where somebody trades, and those of fees and use of any other.
        """
        measures = self._measures(self.worlds[world])
        if world == 0:
            if self.margin_hub is not None:
                measures |= summarise_unified_margin(self.margin_hub)
            measures |= summarise_cross_chain(self)
            for other in self.worlds[1:]:
                found = self._measures(other)
                kept = found if other.scenario.has_market else _of_chain(found)
                measures |= {f"{other.scenario.name}.{name}": value for name, value in kept.items()}
        return measures

    def _measures(self, world: World) -> dict[str, Any]:
        measures = summarise(world) | summarise_security(world, self.time)
        if world.settlement is not None:
            measures |= summarise_settlement(world.settlement, self.time)
            if world.settlement.lost_blocks is not None:
                measures |= summarise_losses(world.settlement.lost_blocks.table(), world.scenario.warm_up_s)
        for bridge in self.bridges_of(world):
            measures |= summarise_bridge(bridge.transfers(), world.scenario.warm_up_s)
        if world.forced_inclusion is not None:
            measures |= summarise_insisting(world.forced_inclusion.wishes(), world.scenario.warm_up_s)
        return measures

    def bridges_of(self, world: World) -> list[Bridge]:
        """Bridges between a rollup and its parent: one, or none."""
        return [bridge for bridge in self.bridges if bridge.settlement.world is world]

    def batches(self, world: int = 0) -> pd.DataFrame:
        """One row per batch that a rollup has posted; no row where a chain settles on no other."""
        settlement = self.worlds[world].settlement
        return settlement.batches() if settlement is not None else pd.DataFrame()

    def claims(self, world: int = 0) -> pd.DataFrame:
        """One row per claim about the state of a rollup; no row where a chain settles on no other."""
        settlement = self.worlds[world].settlement
        return settlement.claims() if settlement is not None else pd.DataFrame()

    def losses(self, world: int = 0) -> pd.DataFrame:
        """One row for each time that blocks of a rollup were undone; no row where none can be."""
        settlement = self.worlds[world].settlement
        lost = None if settlement is None else settlement.lost_blocks
        return lost.table() if lost is not None else pd.DataFrame()

    def transfers(self, world: int = 0) -> pd.DataFrame:
        """One row per transfer of cash between a rollup and its parent; no row where there is no bridge."""
        frames = [bridge.transfers() for bridge in self.bridges_of(self.worlds[world])]
        return frames[0] if frames else pd.DataFrame()

    def insisting(self, world: int = 0) -> pd.DataFrame:
        """One row per wish of the users who insist on trading on a rollup; no row where there are none."""
        forced = self.worlds[world].forced_inclusion
        return forced.wishes() if forced is not None else pd.DataFrame()

    def blocks(self, world: int = 0) -> pd.DataFrame:
        """One row per block in which something could happen."""
        return self.worlds[world].records.blocks()

    def trades(self, world: int = 0) -> pd.DataFrame:
        """One row per trade."""
        return self.worlds[world].records.trades()

    def transactions(self, world: int = 0) -> pd.DataFrame:
        """One row per transaction that was included."""
        return self.worlds[world].records.transactions()

    def rounds(self, world: int = 0) -> pd.DataFrame:
        """One row per round of the express lane whose auction has closed, of the last 4096; no row without a lane."""
        found = pd.DataFrame(recent_rounds(self.worlds[world].lanes))
        found.insert(1, "start_s", found.pop("start") * 1e-9)
        return found.rename(columns={"highest": "highest_gwei", "price": "price_gwei"})

    def validator_reviews(self, world: int = 0) -> pd.DataFrame:
        """One row per review of the validators, with measures of concentration; no row where all stay."""
        validators = self.worlds[world].validators
        found = pd.DataFrame(np.zeros(0, REVIEW) if validators is None else validators.table())
        found.insert(0, "time_s", found.pop("time") * 1e-9)
        return found

    def liquidations(self, world: int = 0) -> pd.DataFrame:
        """One row per liquidation: who, what, what it cost whom, and since when the account had too little.

        A negative size was a short position. Where accounts were deleveraged, the liquidator took nothing.
        """
        return self.worlds[world].records.liquidations()

    def series(self, world: int = 0) -> pd.DataFrame:
        """One row per series of options so far: terms, and how it was settled."""
        return self.worlds[world].records.options.series()

    def options(self, world: int = 0) -> pd.DataFrame:
        """The books of all series of options, one row for each every ``options.record_every_s`` seconds."""
        return pd.DataFrame(self.worlds[world].records.options.rows())

    def ledger(self, world: int = 0) -> pd.DataFrame:
        """One row per account: role, cash, ether in exact integers of wei, positions. Every column sums to zero."""
        chosen = self.worlds[world]
        ledger = chosen.venues[0]["ledger"]
        accounts = ledger["accounts"][: int(ledger["count"])]
        roles = chosen.records.meters[0]["roles"][: len(accounts)]
        names = [ROLES[role] for role in roles]
        names[:FIRST_FREE_ACCOUNT] = SYSTEM_ACCOUNTS
        frame = pd.DataFrame(
            {
                "role": names,
                "cash_micro_usd": accounts["cash"],
                "ether_wei": [
                    int(gwei) * 10**9 + int(wei) for gwei, wei in zip(accounts["gwei"], accounts["wei"], strict=True)
                ],
            }
        )
        frame.index.name = "account"
        for number, instrument in enumerate(chosen.scenario.instruments):
            frame[f"{instrument.name}_lots"] = accounts["position"][:, number]
        series = chosen.records.options.series_rows()
        listed = series[series["settled"] == 0]
        for name, number in zip(chosen.records.options.names(listed), listed["instrument"], strict=True):
            frame[f"{name}_lots"] = accounts["position"][:, number]
        frame["cash_usd"] = frame["cash_micro_usd"] / MICRO_DOLLARS
        frame["ether"] = frame["ether_wei"].astype(float) / WEI_PER_ETHER
        return frame

    def check(self) -> None:
        """Make sure that money and inventory are all there, between chains as well, and that no insurance fund owes.

        Raises
        ------
        RuntimeError
            If a column of a ledger does not sum to zero, claims are not what the trades that wait come to, the escrows
            of a bridge do not hold what is on its way over it, an insurance fund is below zero, or a pool is not what
            its account and its providers' claims say, with the chain, the block and the numbers; or if collateral that
            left one chain is neither under way nor on another.
        """
        for world in self.worlds:
            wrong = {name: total for name, total in totals(world.venues[0]["ledger"]).items() if total != 0}
            if wrong:
                raise RuntimeError(
                    f"the ledger of {world.scenario.name} does not sum to zero after block {world.chain.number}: "
                    f"{wrong}"
                )
            venue = world.venues[0]
            fund = int(venue["ledger"]["accounts"]["cash"][int(venue["margin"]["insurance"])])
            claims = check_claims(venue, world.logs[0])
            if claims:
                raise RuntimeError(f"{world.scenario.name}, after block {world.chain.number}: {claims}")
            if world.scenario.margin.liquidations and fund < 0:
                raise RuntimeError(
                    f"the insurance fund of {world.scenario.name} has {fund} micro-dollars after block "
                    f"{world.chain.number}"
                )
            try:
                check_pools(world.venues[0])
            except AssertionError as error:
                raise RuntimeError(f"{world.scenario.name}, after block {world.chain.number}: {error}") from None
        for names, held, moving in on_the_way(self.bridges):
            if held != moving:
                raise RuntimeError(
                    f"the escrows of {names} hold {held} micro-dollars, and {moving} are on their way between them"
                )

        if self.margin_hub is not None:
            self.margin_hub.check()

    def fingerprint(self) -> str:
        """Hash of the whole tape of trades and fees so far, 32 hexadecimal digits for each chain."""
        prints: list[npt.NDArray[Any]] = [world.records.meters[0] for world in self.worlds]
        return "".join(f"{int(meter['print_high']):016x}{int(meter['print_low']):016x}" for meter in prints)

    def state(self) -> dict[str, Any]:
        """Everything that the run's future and its records depend on, as plain data and arrays.

        Raises
        ------
        StateError
            If a block is being made, or something of the user's own has state that is not known.
        """
        events = [event for event in self._event_list._events if not event.CANCELED]
        blocks: list[Event] = [*self._next_blocks]
        if not all(event in events for event in blocks):
            raise StateError("a block is being made; the market can be saved before it or after it")
        for event in events:
            if event not in blocks:
                raise StateError(
                    f"an event of the user's own is due at {event.time:g} s, which cannot be saved: "
                    "save before it is scheduled or after it has happened"
                )
        # Of two blocks at the same moment, the one that was scheduled first comes first.
        order = sorted(range(len(blocks)), key=blocks.__getitem__)
        return {**super().state(), "time": self.time, "order": order}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the market was that :meth:`state` was taken from.

        Raises
        ------
        StateError
            If that market was made of something else, or had agents in Python that this one has not.
        """
        super().restore({name: value for name, value in state.items() if name not in ("time", "order")})
        self.time = state["time"]
        for number in state["order"]:
            self._next_blocks[number].cancel()
            self._next_blocks[number] = _NextBlock(self, self.worlds[number])

    def close(self) -> None:
        """Finish the files of the tapes, if there are any."""
        for world in self.worlds:
            world.records.close()

    def external_prices(self, times_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """External price in dollars at any times, in seconds."""
        return self.path.prices(times_s)
