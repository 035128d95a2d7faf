"""An agent in plain Python on a chain: where it sits, what it owns, and what it sees from there."""

from collections.abc import Sequence
from typing import Any, ClassVar

import mesa

from blockspace.agents.sight import Sight, VisibleDebtor, VisibleOption
from blockspace.network.state import Stateful

LONGEST_WAY_NS = 2_000_000_000
"""Time after which it is known that an expired transaction is in no block."""


class Presence(mesa.Agent, Stateful):
    """An account at an access point of a chain, and what could have reached that by the moment of decision.

    Parameters are those of :class:`~blockspace.agents.trader.Trader`, which is what to subclass.
    """

    kind: ClassVar[str] = "own"
    # What is in sight is seen anew before each act.
    CONSTANTS: ClassVar[tuple[str, ...]] = ("model", "unique_id", "world", "_sight")

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
    def wallet_tip(self) -> int:
        """Tip that a wallet suggests, wei per gas: the usual one, or an eighth above the last full block's lowest."""
        marginal = self.seen("marginal_tip")
        return max(int(self.world.wallet_tip_wei), marginal + marginal // 8)

    @property
    def ether_usd(self) -> float:
        """Dollars per ether at the moment of decision."""
        fixed = float(self.world.feeds[0]["gas_token_price"])
        return fixed if fixed > 0.0 else self.external_price

    def options(self) -> list[VisibleOption]:
        """Every series of options that is listed as far as is visible, by instrument."""
        return self._sight.options(self.world) if self._sight is not None else []

    def debtors(self) -> list[VisibleDebtor]:
        """Accounts below maintenance as far as is visible, for :meth:`~blockspace.agents.trader.Trader.liquidate`."""
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

    def pool_price(self, pool: int = 0) -> float:
        """Price of a pool that is visible, before fees, in dollars per unit of the underlying."""
        lot_price = self._sight.lot_price(pool) if self._sight is not None else 0.0
        return lot_price * 1e-6 / self.world.lot_size(self.world.pool_instrument(pool))

    def _last_moment(self, instruments: Sequence[int], after_s: float) -> int:
        """Last time (ns) at which a transaction is of use: some seconds from now, before any option in it expires."""
        moment = self.decision_ns + int(after_s * 1e9)
        for instrument in instruments:
            expiry = self._sight.expiry(instrument) if self._sight is not None else 0
            if expiry > 0:
                moment = min(moment, expiry - 1)
        return moment

    def _fees(self, max_fee: int | None, tip: int | None) -> dict[str, int]:
        """What is not given: four times the base fee, and the wallets' usual tip."""
        usual = self.world.wallet_tip_wei
        return {
            "tip": usual if tip is None else tip,
            "max_fee": 4 * self.base_fee + 10 * usual if max_fee is None else max_fee,
        }
