"""Users who move cash from one chain to another, for reasons of their own.

When, how much, and what a wait costs are drawn for each transfer. A user takes the fast bridge if its fee is below what
waiting for the slow one would cost, going by how long that has taken lately.
"""

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.bridge_providers import YEAR_S
from blockspace.agents.rollup_operators import NS, Sender
from blockspace.network.draws import draw_exponential, draw_normal, stream_key
from blockspace.network.rollups.settings import RollupSettings
from blockspace.network.rollups.transfers import DIRECTIONS
from blockspace.network.transaction import BRIDGE, NEVER

_GAP, _AMOUNT, _PATIENCE = np.arange(3)
WEALTH_USD = 1e10
"""Cash of all users together on a chain: what they want to move is what limits them."""
_ETHER = 1e5


class BridgeUsers(Sender):
    """All who want to send cash in one direction; they share an account, as background users do.

    Parameters
    ----------
    model, world, settings, progresses, access
        As of any :class:`Sender`; the chain is the one that the cash leaves.
    direction
        Withdrawal or deposit.
    bridge
        Where transfers are announced: it has ``ask`` and ``expected_delay_s``.
    seed
        Seed of the run.
    """

    kind = "bridge_user"
    CONSTANTS: ClassVar[tuple[str, ...]] = (*Sender.CONSTANTS, "direction", "key", "bridge")

    def __init__(
        self,
        model: Any,
        world: Any,
        settings: RollupSettings,
        progresses: npt.NDArray[Any],
        access: str,
        direction: int,
        bridge: Any,
        seed: int,
    ) -> None:
        super().__init__(model, world, settings, progresses, access, WEALTH_USD, _ETHER)
        self.direction = direction
        self.bridge = bridge
        self.key = np.uint64(stream_key(seed, f"bridge_users/{DIRECTIONS[direction]}"))
        self.number = 0
        self.next_ns = self._gap_ns()

    def _gap_ns(self) -> int:
        if self.settings.bridge.users_per_h == 0.0:
            return int(NEVER)
        return int(draw_exponential(self.key, self.number, _GAP) * 3_600 * NS / self.settings.bridge.users_per_h)

    def act(self) -> None:
        """Send what has become due."""
        settings = self.settings.bridge
        while self.next_ns <= self.decision_ns:
            spread = settings.amount_spread * draw_normal(self.key, self.number, _AMOUNT)
            amount = max(int(settings.amount_usd * math.exp(spread) * 1e6), 1)
            spread = settings.waiting_cost_spread * draw_normal(self.key, self.number, _PATIENCE)
            rate = settings.waiting_cost_per_year * math.exp(spread)
            delay_s = self.bridge.expected_delay_s(self.direction, self.decision_ns)
            expires = self.decision_ns + int(self.settings.posting.wallet_patience_s * NS)
            worth = amount * rate * delay_s / YEAR_S
            accounts = self.account, self.bridge.users[1 - self.direction].account
            transfer = self.bridge.ask(self.direction, self.decision_ns, amount, expires, worth, *accounts)
            self.send_message(BRIDGE, transfer, settings.gas, settings.bytes, 0, cash=amount)
            self.number += 1
            self.next_ns += self._gap_ns()
