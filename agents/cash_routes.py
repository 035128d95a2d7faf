"""A trader's way from its account on one chain to its account on another: over one bridge, or over several in turn."""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from blockspace.agents.chain_hands import Hand
from blockspace.agents.presence import LONGEST_WAY_NS
from blockspace.agents.settlement_risk import Waits
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.network.rollups.settings import BridgeSettings
from blockspace.network.state import Stateful
from blockspace.network.transaction import BRIDGE

NS = 1_000_000_000


class Hop(NamedTuple):
    """One bridge on the way."""

    bridge: Any
    """It has ``ask``, ``offer``, ``expected_delay_s`` and ``row``."""
    direction: int
    settings: BridgeSettings
    source: Hand
    target: Hand


class CashRoute(Stateful):
    """Sends cash along, one sum at a time, and remembers how long that took.

    Parameters
    ----------
    hops
        Bridges from the source to the target, in order.
    patience_ns
        For which a transaction that sends cash may wait for space.
    """

    CONSTANTS: ClassVar = ("hops", "patience_ns")

    def __init__(self, hops: tuple[Hop, ...], patience_ns: int) -> None:
        self.hops = hops
        self.patience_ns = patience_ns
        self.slow, self.quick = Waits(), Waits()
        self.hop = -1  # on which cash is under way; -1 if none is
        self.transfer = 0  # its number on the bridge of that hop
        self.amount = 0  # micro-dollars
        self.started_ns = 0
        self.expires_ns = 0
        self.most = 0.0  # micro-dollars that a second's wait of this cash costs
        self.is_leaving = False  # whether it is not known yet that it has left the chain
        self.all_early = True
        # Totals for whoever studies the run.
        self.sent = 0
        self.arrived_micro_usd = 0
        self.fees_micro_usd = 0

    @property
    def is_busy(self) -> bool:
        """Whether cash is under way."""
        return self.hop >= 0

    # What is known of the way.

    def slow_waits_s(self, now: int) -> npt.NDArray[np.float64]:
        """Seconds that cash took by the slow bridges; what can be expected of them before any was sent."""
        return self.slow.seen(sum(hop.bridge.expected_delay_s(hop.direction, now) for hop in self.hops))

    def quick_waits_s(self, before_any_s: float) -> npt.NDArray[np.float64]:
        """Seconds that cash took where providers paid it out early."""
        return self.quick.seen(before_any_s * len(self.hops))

    def fee_share(self, now: int, amount: int) -> float:
        """Fee of the providers for micro-dollars, as a share of them; infinite where there is no offer."""
        fees = [hop.bridge.offer(hop.direction, now, amount) for hop in self.hops]
        if amount <= 0 or any(provider < 0 for provider, _ in fees):
            return math.inf
        return sum(fee for _, fee in fees) / amount

    def cost_usd(self, now: int, amount: int, rate_per_s: float, external_price: float) -> float:
        """Dollars that it costs to send micro-dollars which would earn at a rate meanwhile."""
        gas = sum(hop.source.gas_usd(BRIDGE, hop.settings.gas, hop.settings.bytes, external_price) for hop in self.hops)
        waiting = rate_per_s * sum(hop.bridge.expected_delay_s(hop.direction, now) for hop in self.hops)
        return gas + min(waiting, self.fee_share(now, amount)) * amount / MICRO_DOLLARS

    # Sending.

    def send(self, now: int, amount: int, rate_per_s: float) -> None:
        """Send micro-dollars, early if that is worth its fee to somebody who could earn at a rate."""
        self.amount, self.started_ns, self.most = amount, now, amount * rate_per_s
        self.all_early = True
        self._begin(0, now)

    def _begin(self, number: int, now: int) -> None:
        hop = self.hops[number]
        worth = self.most * hop.bridge.expected_delay_s(hop.direction, now)
        self.expires_ns = now + self.patience_ns
        accounts = hop.source.account, hop.target.account
        self.transfer = hop.bridge.ask(hop.direction, now, self.amount, self.expires_ns, worth, *accounts)
        hop.source.send_cash(hop.settings, self.transfer, self.amount, self.expires_ns)
        self.hop, self.is_leaving = number, True

    def advance(self, now: int) -> None:
        """Take in what has become of the cash under way, and send it on from where it has arrived."""
        if self.hop < 0:
            return
        hop = self.hops[self.hop]
        row = hop.bridge.row(self.transfer)
        if self.is_leaving:
            if 0 < int(row["included"]) <= int(hop.source.view["time"]):
                self.is_leaving = False
                self.sent += self.hop == 0
            elif now > self.expires_ns + LONGEST_WAY_NS:
                self._lose(now)
        elif 0 < int(row["paid"]) <= int(hop.target.view["time"]):
            self._arrive(row, now)

    def _lose(self, now: int) -> None:
        """Try again from where the cash is, unless it has not left at all."""
        number, self.hop, self.is_leaving = self.hop, -1, False
        if number > 0:
            self._begin(number, now)

    def _arrive(self, row: Any, now: int) -> None:
        self.fees_micro_usd += int(row["fee"])
        self.all_early &= int(row["provider"]) >= 0
        self.amount = int(row["amount"] - row["fee"])
        if self.hop + 1 < len(self.hops):
            self._begin(self.hop + 1, now)
            return
        self.hop = -1
        self.arrived_micro_usd += self.amount
        (self.quick if self.all_early else self.slow).add((int(row["paid"]) - self.started_ns) / NS)
