"""Messengers: they bring to a chain what linked accounts have on the others, by transactions that wait for space."""

from typing import Any, ClassVar

from blockspace.agents.trader import Trader
from blockspace.markets.unified_margin import UnifiedMarginSettings
from blockspace.network import mempool
from blockspace.network.transaction import CLAIM

STATES = 1 << 40
"""A message is about state ``number % STATES`` of chain ``number // STATES``."""


class MarginMessenger(Trader):
    """Shows on a chain the newest state of every other chain that has become known.

    Parameters
    ----------
    model, world
        The market, and the chain to which the messages go.
    hub
        Knows the states of the linked chains; see :class:`~blockspace.experiments.margin_hub.MarginHub`.
    settings
        How often messages go, how old they are, and what they cost.
    gas, size_bytes
        Of a message.
    """

    kind = "messenger"
    CONSTANTS: ClassVar[tuple[str, ...]] = (*Trader.CONSTANTS, "hub", "settings", "place")

    def __init__(
        self, model: Any, world: Any, hub: Any, place: int, settings: UnifiedMarginSettings, gas: int, size_bytes: int
    ) -> None:
        super().__init__(model, world.chain.access_points[0], 0.0, world=world)
        self.hub = hub
        self.place = place
        self.settings = settings
        self.gas, self.size_bytes = gas, size_bytes
        self.next_ns = 0
        self.sent: dict[int, int] = {}  # newest state of each other chain that it has sent

    def act(self) -> None:
        """Send what is new, if it is time to."""
        if self.decision_ns < self.next_ns:
            return
        self.next_ns = self.decision_ns + int(self.settings.message_interval_s * 1e9)
        latest = self.decision_ns - int(self.settings.message_delay_s * 1e9)
        for other in self.hub.others(self.place):
            number = self.hub.newest_state(other, latest)
            if number > self.sent.get(other, -1):
                self.sent[other] = number
                self._send_state(other * STATES + number)

    def _send_state(self, number: int) -> None:
        tip = self.wallet_tip
        mempool.submit_message(
            self.world.chain.pools,
            self.account,
            self.access,
            CLAIM,
            self.gas,
            self.size_bytes,
            0,
            self.decision_ns,
            number,
            0,
            4 * self.base_fee + tip,
            tip,
            0,
            self.decision_ns + int(self.settings.patience_s * 1e9),
            0,
        )
