"""Agents as Mesa sees them.

The built-in kinds live as rows of one array per population, on which one kernel acts for all of them; their Mesa agents
are thin views on a row. An agent of the user's own is a :class:`Trader` with an ``act`` method in plain Python: it goes
through the same mempool, sees through the same feed, and is bound by the same latency.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import mesa
import numpy as np
import numpy.typing as npt

from blockspace.agents.builders import BUILDERS
from blockspace.agents.sight import Sight, VisibleDebtor, VisibleOption
from blockspace.markets.instruments import HANDLES, TAKER_HANDLE
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY
from blockspace.markets.pools.swaps import LARGEST_AMOUNT
from blockspace.network.state import Stateful
from blockspace.network.transaction import (
    AFTER_TARGET,
    ANYWHERE,
    BEFORE_TARGET,
    BURN,
    CANCEL,
    EXACT_IN,
    EXACT_OUT,
    LEGS,
    LIQUIDATE,
    MINT,
    PLACE,
    PUBLIC,
    REPLACE,
    SWAP,
    TO_PRODUCER,
)

STYLES = {"limit": LIMIT, "post_only": POST_ONLY, "immediate_or_cancel": IMMEDIATE_OR_CANCEL, "market": MARKET}
SIDES = {"buy": 1, "sell": -1}
PLACEMENTS = {"anywhere": ANYWHERE, "before": BEFORE_TARGET, "after": AFTER_TARGET}


def handed_in(route: int, placement: str, target: int, protected: bool) -> dict[str, int]:
    """Fields of a transaction that say how it is handed in.

    Raises
    ------
    ValueError
        If route or placement is none that there is.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"placement is {placement!r}; it may be {', '.join(PLACEMENTS)}")
    if not (0 <= route <= BUILDERS or route == TO_PRODUCER):
        raise ValueError(
            f"route is {route}; it may be {PUBLIC} for everybody, {TO_PRODUCER} for the producer or the number of a "
            f"builder, 1 to {BUILDERS}"
        )
    return {"route": route, "placement": PLACEMENTS[placement], "target": target, "protected": int(protected)}


class Member(mesa.Agent):
    """A view on one row of a population. Subclasses only give the kind a name of its own."""

    kind: ClassVar[str] = "member"

    def __init__(self, model: Any, rows: npt.NDArray[Any], number: int) -> None:
        super().__init__(model)
        self._rows = rows
        self.number = number

    @property
    def row(self) -> np.void:
        """The agent's state, as a record."""
        return self._rows[self.number]

    @property
    def account(self) -> int:
        """Number of the agent's account in the ledger."""
        return int(self._rows["account"][self.number])

    def __getattr__(self, name: str) -> Any:
        """Read a field of the row as if it were an attribute."""
        if name.startswith("_") or name not in (self._rows.dtype.names or ()):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        value = self._rows[name][self.number]
        return value.item() if value.ndim == 0 else value


class MarketMaker(Member):
    """A market maker; see :mod:`blockspace.agents.market_makers`."""

    kind = "maker"


class NoiseTrader(Member):
    """A trader with private values; see :mod:`blockspace.agents.traders`."""

    kind = "noise"


class InformedTrader(Member):
    """A trader with a signal; see :mod:`blockspace.agents.traders`."""

    kind = "informed"


class Arbitrageur(Member):
    """A trader who takes stale quotes; see :mod:`blockspace.agents.arbitrageurs`."""

    kind = "arbitrageur"


class PoolArbitrageur(Member):
    """A trader who takes what a pool offers; see :mod:`blockspace.agents.pool_arbitrageurs`."""

    kind = "pool_arbitrageur"


class Swapper(Member):
    """A trader with private values who trades in a pool or on its book; see :mod:`blockspace.agents.swappers`."""

    kind = "swapper"


class LiquidityProvider(Member):
    """A provider of a pool's liquidity; see :mod:`blockspace.agents.liquidity_providers`."""

    kind = "provider"


class Sandwicher(Member):
    """A searcher who trades around pending swaps; see :mod:`blockspace.agents.sandwichers`."""

    kind = "sandwicher"


class Extractor(Member):
    """The searcher inside a producer; see :mod:`blockspace.agents.sandwichers`."""

    kind = "extractor"


class OracleKeeper(Member):
    """Who reports the external price to the chain; see :mod:`blockspace.agents.oracle_keepers`."""

    kind = "keeper"


class ClearingKeeper(Member):
    """Who settles trades that wait for it; see :mod:`blockspace.agents.clearing_keepers`."""

    kind = "clearing_keeper"


class LeveragedTrader(Member):
    """A trader with a leveraged position; see :mod:`blockspace.agents.leveraged_traders`."""

    kind = "leveraged"


class Liquidator(Member):
    """Who takes over positions below maintenance; see :mod:`blockspace.agents.liquidators`."""

    kind = "liquidator"


class OptionMaker(Member):
    """A maker of options; see :mod:`blockspace.agents.option_makers`."""

    kind = "option_maker"


class OptionTrader(Member):
    """A trader of options with private values; see :mod:`blockspace.agents.option_traders`."""

    kind = "option_trader"


class OptionVault(Member):
    """A vault that sells calls; see :mod:`blockspace.agents.option_vaults`."""

    kind = "option_vault"


class DeltaHedger(Member):
    """A desk that hedges what clients bring; see :mod:`blockspace.agents.delta_hedgers`."""

    kind = "delta_hedger"


class BackgroundUsers(Member):
    """All background users together, with one account; see :mod:`blockspace.agents.background_users`."""

    kind = "background"


class Builder(Member):
    """A builder of blocks for the producers; see :mod:`blockspace.agents.builders`."""

    kind = "builder"


class Proposer(Member):
    """A validator or sequencer: it makes blocks in turn with its stake, and earns their tips."""

    kind = "producer"


class Trader(mesa.Agent, Stateful):
    """Base of agents written in plain Python.

    Subclasses override :meth:`act`, which is called once a block, at the last moment at which a decision of theirs can
    still make that block. What they see is what could have reached them by then.

    A checkpoint holds their attributes, as long as these are plain data: numbers, text, arrays, random generators, and
    lists, tuples and dictionaries of them. Other attributes that the constructor sets and nothing changes are named in
    ``CONSTANTS``; for anything else, override ``state`` and ``restore``.

    Parameters
    ----------
    model
        The :class:`~blockspace.experiments.market.Market`.
    access
        Name of the access point where the agent sits; by default the one next to the first validator.
    cash_usd, ether
        Endowment; by default the scenario's.
    world
        The chain where the agent acts; by default the first.
    """

    kind: ClassVar[str] = "own"
    CONSTANTS: ClassVar[tuple[str, ...]] = (
        "model",
        "unique_id",
        "world",
        "_sight",
    )  # what is in sight is seen anew before each act

    def __init__(
        self,
        model: Any,
        access: str | None = None,
        cash_usd: float | None = None,
        ether: float | None = None,
        *,
        world: Any = None,
    ) -> None:
        super().__init__(model)
        self.world = model.worlds[0] if world is None else world
        self.access = self.world.access_number(access)
        self.account = self.world.open_agent_account(self.kind, cash_usd, ether)
        self.decision_ns = 0
        self.external_price = 0.0
        self._sight: Sight | None = None
        self.world.join(self)

    def act(self) -> None:
        """Decide. Override this."""

    def observe(self, sight: Sight) -> None:
        """Take in what is visible at the moment of decision; called by the engine before :meth:`act`."""
        self.decision_ns = sight.decision_ns
        self.external_price = sight.external_price
        self._sight = sight

    @property
    def time_s(self) -> float:
        """Moment of decision, in seconds."""
        return self.decision_ns * 1e-9

    @property
    def base_fee(self) -> int:
        """Base fee of the next block as far as is known, in wei per gas."""
        return self._sight.base_fee if self._sight is not None else 0

    def seen(self, name: str) -> int:
        """A whole number of the newest view that is visible, such as ``"marginal_tip"``."""
        return self._sight.number(name) if self._sight is not None else 0

    @property
    def ether_usd(self) -> float:
        """Dollars per ether at the moment of decision."""
        fixed = float(self.world.feeds[0]["gas_token_price"])
        return fixed if fixed > 0.0 else self.external_price

    def options(self) -> list[VisibleOption]:
        """Every series of options that is listed as far as is visible, by instrument."""
        return self._sight.options(self.world) if self._sight is not None else []

    def debtors(self) -> list[VisibleDebtor]:
        """Accounts below maintenance as far as is visible, for :meth:`liquidate`."""
        return self._sight.debtors() if self._sight is not None else []

    def best_bid(self, instrument: int = 0) -> float | None:
        """Best bid that is visible, in dollars."""
        return self._best("bid_price", instrument)

    def best_ask(self, instrument: int = 0) -> float | None:
        """Best ask that is visible, in dollars."""
        return self._best("ask_price", instrument)

    def _best(self, side: str, instrument: int) -> float | None:
        ticks = self._sight.prices(instrument, side)[0] if self._sight is not None else 0
        return ticks * self.world.tick_usd(instrument) if ticks else None

    def submit(
        self,
        side: str,
        price_usd: float,
        size: float,
        *,
        style: str = "immediate_or_cancel",
        slot: int = TAKER_HANDLE,
        instrument: int = 0,
        max_fee: int | None = None,
        tip: int | None = None,
        expires_after_s: float = 60.0,
        route: int = PUBLIC,
        placement: str = "anywhere",
        target: int = 0,
        protected: bool = False,
    ) -> str:
        """Send an order as a transaction.

        Parameters
        ----------
        side
            ``"buy"`` or ``"sell"``.
        price_usd, size
            Limit in dollars (rounded to the tick, away from the market) and size in units of the underlying.
        style
            ``"limit"``, ``"post_only"``, ``"immediate_or_cancel"`` or ``"market"``.
        slot
            Which of the account's own order slots (0 to 15) a resting order takes.
        max_fee, tip
            Wei per gas; by default four times the base fee and the wallets' usual tip.
        expires_after_s
            Seconds after which the transaction may no longer be included.
        route
            Who gets to see it: 0 for everybody, ``TO_PRODUCER``, or the number of a builder, from 1.
        placement, target
            ``"before"`` or ``"after"`` the pending transaction whose ``sequence`` is the target, or ``"anywhere"``.
        protected
            Ask to be left out, and pay nothing, if it would fail; where builders make the blocks they do that.

        Returns
        -------
        str
            What the mempool said: ``"accepted"``, ``"pool full"``, …; or ``"expired"``, if the option has: then nothing
            is sent.

        Raises
        ------
        ValueError
            If side, style, slot, route or placement is none of those.
        """
        if side not in SIDES:
            raise ValueError(f"side is {side!r}; it may be buy or sell")
        if style not in STYLES:
            raise ValueError(f"style is {style!r}; it may be {', '.join(STYLES)}")
        direction = SIDES[side]
        ticks = price_usd / self.world.tick_usd(instrument)
        return self._send(
            PLACE,
            slot,
            instrument,
            max_fee,
            tip,
            expires_after_s,
            side=direction,
            style=STYLES[style],
            price=int(np.floor(ticks + 1e-9)) if direction > 0 else int(np.ceil(ticks - 1e-9)),
            size=round(size / self.world.lot_size(instrument)),
            **handed_in(route, placement, target, protected),
        )

    def cancel(self, slot: int, instrument: int = 0, max_fee: int | None = None, tip: int | None = None) -> str:
        """Cancel the order in one of the account's slots."""
        return self._send(CANCEL, slot, instrument, max_fee, tip, 60.0)

    def replace(
        self,
        slot: int,
        price_usd: float,
        size: float,
        instrument: int = 0,
        max_fee: int | None = None,
        tip: int | None = None,
    ) -> str:
        """Give the order in a slot another price (dollars) and size (units of the underlying)."""
        return self._send(
            REPLACE,
            slot,
            instrument,
            max_fee,
            tip,
            60.0,
            price=round(price_usd / self.world.tick_usd(instrument)),
            size=round(size / self.world.lot_size(instrument)),
        )

    def combination(
        self,
        legs: Sequence[tuple[int, float]],
        limit_usd: float,
        size: float,
        *,
        max_fee: int | None = None,
        tip: int | None = None,
        expires_after_s: float = 60.0,
    ) -> str:
        """Send several legs as one transaction, which trades all of them at once or nothing.

        Parameters
        ----------
        legs
            Up to four pairs of an instrument and a ratio: units of it that are bought (sold, if negative) per unit of
            the combination; see :mod:`blockspace.agents.combinations`.
        limit_usd
            Most that a unit of the combination may cost without fees, in dollars; if negative, least that it brings.
        size
            Units of the combination.
        max_fee, tip, expires_after_s
            As in :meth:`submit`.

        Returns
        -------
        str
            What the mempool said, or ``"expired"`` if a leg has: then nothing is sent.

        Raises
        ------
        ValueError
            If there are too many legs, two of the same instrument, or one that is not a whole number of lots.
        """
        numbers = [instrument for instrument, _ in legs]
        if not 1 <= len(legs) <= LEGS or len(set(numbers)) < len(numbers):
            raise ValueError(f"legs are in the instruments {numbers}; there may be 1 to {LEGS}, each in another one")
        lots = []
        for instrument, ratio in legs:
            exact = ratio * size / self.world.lot_size(instrument)
            lots.append(round(exact))
            if lots[-1] == 0 or abs(exact - lots[-1]) > 1e-6 * max(abs(exact), 1.0):
                raise ValueError(
                    f"size times ratio is {ratio * size:g} for instrument {instrument}; it must be a whole number of "
                    f"lots of {self.world.lot_size(instrument):g}"
                )
        expires = self._last_moment(numbers, expires_after_s)
        if expires < self.decision_ns:
            return "expired"
        units = math.gcd(*lots)
        encoded = [part for number, lot in zip(numbers, lots, strict=True) for part in (number, lot // units)]
        return self.world.send_combination(
            self,
            np.array(encoded, np.int64),
            units,
            math.floor(limit_usd * size * MICRO_DOLLARS + 1e-6),
            tip=self.world.wallet_tip_wei if tip is None else tip,
            max_fee=4 * self.base_fee + 10 * self.world.wallet_tip_wei if max_fee is None else max_fee,
            expires=expires,
        )

    def liquidate(
        self,
        debtor: VisibleDebtor,
        size: float,
        *,
        max_fee: int | None = None,
        tip: int | None = None,
        expires_after_s: float = 60.0,
    ) -> str:
        """Ask to take over up to ``size`` units of a position that has too little behind it, at its mark less a bonus.

        ``"accepted"``, or how the wallet refused it, as in :meth:`submit`.
        """
        expires = self._last_moment((debtor.instrument,), expires_after_s)
        if expires < self.decision_ns:
            return "expired"
        return self.world.send(
            self,
            kind=LIQUIDATE,
            instrument=debtor.instrument,
            order=debtor.account,
            side=0,
            style=0,
            price=0,
            size=round(size / self.world.lot_size(debtor.instrument)),
            tip=self.world.wallet_tip_wei if tip is None else tip,
            max_fee=4 * self.base_fee + 10 * self.world.wallet_tip_wei if max_fee is None else max_fee,
            expires=expires,
        )

    def _last_moment(self, instruments: Sequence[int], after_s: float) -> int:
        """Last time (ns) at which a transaction is of use: some seconds from now, before any option in it expires."""
        moment = self.decision_ns + int(after_s * 1e9)
        for instrument in instruments:
            expiry = self._sight.expiry(instrument) if self._sight is not None else 0
            if expiry > 0:
                moment = min(moment, expiry - 1)
        return moment

    def pool_price(self, pool: int = 0) -> float:
        """Price of a pool that is visible, before fees, in dollars per unit of the underlying."""
        lot_price = self._sight.lot_price(pool) if self._sight is not None else 0.0
        return lot_price * 1e-6 / self.world.lot_size(self.world.pool_instrument(pool))

    def swap(
        self,
        side: str,
        price_usd: float,
        size: float = 0.0,
        *,
        amount_usd: float = 0.0,
        pool: int = 0,
        stop_usd: float = 0.0,
        ticks_crossed: int = 1,
        max_fee: int | None = None,
        tip: int | None = None,
        expires_after_s: float = 60.0,
        route: int = PUBLIC,
        placement: str = "anywhere",
        target: int = 0,
        protected: bool = False,
    ) -> str:
        """Send a swap with a pool as a transaction.

        Parameters
        ----------
        side
            ``"buy"`` or ``"sell"`` units of the underlying.
        price_usd
            Worst price on average, fee included, in dollars per unit; at a worse one the swap fails.
        size, amount_usd
            What is exact, one of the two: units of the underlying, or dollars.
        stop_usd
            Price of the pool at which to stop, with what has been swapped until then; 0 for nowhere (concentrated).
        ticks_crossed
            Ticks for whose crossing to have gas (concentrated).
        max_fee, tip, expires_after_s, route, placement, target, protected
            As in :meth:`submit`.

        Returns
        -------
        str
            What the mempool said.

        Raises
        ------
        ValueError
            If side, pool, route or placement is none of those, or size and amount are both given or both missing.
        """
        if side not in SIDES:
            raise ValueError(f"side is {side!r}; it may be buy or sell")
        if (size > 0.0) == (amount_usd > 0.0):
            raise ValueError(f"size is {size:g} and amount_usd is {amount_usd:g}; one of the two must be above 0")
        instrument = self.world.pool_instrument(pool)
        concentrated = self.world.scenario.pools[pool].kind == "concentrated"
        if stop_usd and not concentrated:
            raise ValueError(f"stop_usd is {stop_usd:g}; a pool of constant product has no such limit")
        lot_size = self.world.lot_size(instrument)
        buys, of_size = side == "buy", size > 0.0
        lots = round(size / lot_size) if of_size else round(amount_usd / price_usd / lot_size)
        dollars = amount_usd or lots * lot_size * price_usd
        amount, bound = (lots, round(dollars * 1e6)) if of_size else (round(dollars * 1e6), lots)
        ticks = stop_usd / self.world.tick_usd(instrument)
        return self._send_to_pool(
            SWAP,
            pool,
            max_fee,
            tip,
            expires_after_s,
            ticks_crossed=ticks_crossed if concentrated else 0,
            side=SIDES[side],
            style=EXACT_OUT if buys == of_size else EXACT_IN,
            price=int(np.floor(ticks + 1e-9)) if buys else int(np.ceil(ticks - 1e-9)),
            size=lots if of_size else 0,
            amount=amount,
            bound=bound,
            **handed_in(route, placement, target, protected),
        )

    def add_liquidity(
        self,
        size: float,
        amount_usd: float,
        *,
        pool: int = 0,
        lower_usd: float = 0.0,
        upper_usd: float = 0.0,
        max_fee: int | None = None,
        tip: int | None = None,
    ) -> str:
        """Provide at most ``size`` units and ``amount_usd`` dollars to a pool, in the ratio that it asks for.

        In a pool of concentrated liquidity this is for prices from ``lower_usd`` to ``upper_usd`` per unit, moved
        outwards to the next ticks where a range may end; 0 stands for the last tick there is.
        """
        instrument = self.world.pool_instrument(pool)
        lower, upper = self.world.pool_range(pool, lower_usd, upper_usd)
        lots, cash = round(size / self.world.lot_size(instrument)), round(amount_usd * 1e6)
        return self._send_to_pool(MINT, pool, max_fee, tip, 60.0, lower=lower, upper=upper, amount=lots, bound=cash)

    def remove_liquidity(
        self,
        liquidity: int = LARGEST_AMOUNT,
        *,
        pool: int = 0,
        lower_usd: float = 0.0,
        upper_usd: float = 0.0,
        max_fee: int | None = None,
        tip: int | None = None,
    ) -> str:
        """Take shares or liquidity of a range out of a pool, with all fees that the range has earned.

        All of it by default; the range is given as in :meth:`add_liquidity`. With 0 only the fees of a range are taken.
        """
        lower, upper = self.world.pool_range(pool, lower_usd, upper_usd)
        return self._send_to_pool(BURN, pool, max_fee, tip, 60.0, lower=lower, upper=upper, amount=liquidity)

    def _send_to_pool(
        self, kind: int, pool: int, max_fee: int | None, tip: int | None, expires_after_s: float, **fields: int
    ) -> str:
        return self.world.send_to_pool(
            self,
            kind=kind,
            pool=pool,
            tip=self.world.wallet_tip_wei if tip is None else tip,
            max_fee=4 * self.base_fee + 10 * self.world.wallet_tip_wei if max_fee is None else max_fee,
            expires=self.decision_ns + int(expires_after_s * 1e9),
            **fields,
        )

    def _send(
        self,
        kind: int,
        slot: int,
        instrument: int,
        max_fee: int | None,
        tip: int | None,
        expires_after_s: float,
        **fields: int,
    ) -> str:
        if not 0 <= slot < HANDLES:
            raise ValueError(f"slot is {slot}; it may be 0 to {HANDLES - 1}")
        expires = self._last_moment((instrument,), expires_after_s)
        if expires < self.decision_ns:
            return "expired"
        return self.world.send(
            self,
            kind=kind,
            instrument=instrument,
            order=self.account * HANDLES + slot,
            **{"side": 0, "style": 0, "price": 0, "size": 0, **fields},
            tip=self.world.wallet_tip_wei if tip is None else tip,
            max_fee=4 * self.base_fee + 10 * self.world.wallet_tip_wei if max_fee is None else max_fee,
            expires=expires,
        )
