"""Swaps and liquidity of agents in plain Python, from dollars and units to the integers of a transaction."""

import numpy as np

from blockspace.agents.order_sending import SIDES, handed_in
from blockspace.agents.presence import Presence
from blockspace.markets.pools.swaps import LARGEST_AMOUNT
from blockspace.network.transaction import BURN, EXACT_IN, EXACT_OUT, MINT, PUBLIC, SWAP


class PoolSending(Presence):
    """Sends swaps to pools, and brings and takes their liquidity."""

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
            **self._fees(max_fee, tip),
            expires=self.decision_ns + int(expires_after_s * 1e9),
            **fields,
        )
