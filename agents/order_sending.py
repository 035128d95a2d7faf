"""Orders of agents in plain Python, from dollars and units to the ticks and lots of a transaction."""

import math
from collections.abc import Sequence

import numpy as np

from blockspace.agents.builders import BUILDERS
from blockspace.agents.presence import Presence
from blockspace.agents.sight import VisibleDebtor
from blockspace.markets.instruments import HANDLES, TAKER_HANDLE
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY
from blockspace.network.transaction import (
    AFTER_TARGET,
    ANYWHERE,
    BEFORE_TARGET,
    CANCEL,
    LEGS,
    LIQUIDATE,
    PLACE,
    PUBLIC,
    REPLACE,
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


class OrderSending(Presence):
    """Sends orders to books, combinations of them, and liquidations."""

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
            **self._fees(max_fee, tip),
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
            **self._fees(max_fee, tip),
            expires=expires,
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
            **self._fees(max_fee, tip),
            expires=expires,
        )
