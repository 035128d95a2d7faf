"""Hands: what a desk that trades on several chains has on each of them, an account and what is visible from its place.

A hand does nothing by itself. Whenever its chain can still take a decision in, it lets its desk know, which looks
through all its hands at what has reached it by then.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.presence import LONGEST_WAY_NS
from blockspace.agents.sight import Sight
from blockspace.agents.trader import Trader
from blockspace.markets.feed import VIEWS
from blockspace.markets.instruments import HANDLES, TAKER_HANDLE
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.rollups.settings import BridgeSettings
from blockspace.network.transaction import BRIDGE, PLACE


@kernel
def _data_fee_wei(feeds, kind, size_bytes):
    """Wei for the data of a transaction, as the feed tells it."""
    return data_fee_wei(feeds[0], kind, size_bytes)


class Hand(Trader):
    """What a desk sees and has on one chain.

    Parameters
    ----------
    model, world
        The market and the chain.
    desk
        Whose hand it is; it has ``look``, called with the hand whenever that can act.
    access
        Name of the access point.
    instrument
        Number of the perpetual that is traded; -1 where the desk only passes cash on.
    cash_usd
        Capital on the chain.
    """

    kind = "cross_chain_arbitrageur"
    CONSTANTS: ClassVar[tuple[str, ...]] = (*Trader.CONSTANTS, "desk", "instrument")

    def __init__(self, model: Any, world: Any, desk: Any, access: str, instrument: int, cash_usd: float) -> None:
        super().__init__(model, access, cash_usd, world=world)
        self.desk = desk
        self.instrument = instrument
        self.newest = -1  # number of the newest view that is visible
        self.states: list[list[int]] = []  # number of a view, and cash and lots after its block
        self.cash = int(world.venues[0]["ledger"]["accounts"]["cash"][self.account])  # as far as is visible
        self.lots = 0
        self.order: list[int] = []  # when the order on its way was decided, and when it lapses, in ns
        self.included_ns = 0  # when the last order was in a block

    def observe(self, sight: Sight) -> None:
        """Take in the moment of decision; the rest is seen by way of :meth:`peek`."""
        self.decision_ns = sight.decision_ns
        self.external_price = sight.external_price

    def act(self) -> None:
        """Let the desk look."""
        self.desk.look(self)

    # What is visible.

    def peek(self, now: int) -> None:
        """Take in what is visible of the chain and of the own account, with claims, at a time (ns), and decide then."""
        feed = self.world.feeds[0]
        last = int(feed["count"]) - 1
        self.newest = max(self.newest, last - VIEWS + 1)
        while self.newest < last and self._visible(self.newest + 1) <= now:
            self.newest += 1
        if not self.states or self.states[-1][0] < last:
            venue = self.world.venues[0]
            account, claims = venue["ledger"]["accounts"][self.account], venue["clearing"]
            held = 0
            if self.instrument >= 0:
                held = int(account["position"][self.instrument] + claims["lots"][self.account, self.instrument])
            self.states.append([last, int(account["cash"] + claims["cash"][self.account]), held])
        while self.states and self.states[0][0] <= self.newest:
            _, self.cash, self.lots = self.states.pop(0)
        self.decision_ns = now

    def _visible(self, number: int) -> int:
        return int(self.world.feeds[0]["views"][number & (VIEWS - 1)]["visible"][self.access])

    @property
    def view(self) -> Any:
        """Newest view that is visible."""
        return self.world.feeds[0]["views"][self.newest & (VIEWS - 1)]

    def seen(self, name: str) -> int:
        """A whole number of the newest view that is visible."""
        return int(self.view[name])

    @property
    def mark_usd(self) -> float:
        """Visible mark, dollars per unit."""
        mark = int(self.view["quotes"][self.instrument]["mark"])
        return mark / MICRO_DOLLARS / self.lot_size

    @property
    def lot_size(self) -> float:
        """Units of the underlying in a lot."""
        return float(self.world.lot_size(self.instrument))

    @property
    def taker_fee(self) -> float:
        """Fee of a taking order, as a share of its notional."""
        return float(self.world.feeds[0]["terms"][self.instrument]["taker_fee"])

    @property
    def equity_usd(self) -> float:
        """Cash and position at mark, as far as is visible."""
        equity = self.cash / MICRO_DOLLARS
        return equity + self.lots * self.lot_size * self.mark_usd if self.instrument >= 0 and self.lots else equity

    def levels(self, side: str) -> npt.NDArray[np.float64]:
        """Visible levels of ``"bid"`` or ``"ask"``, best first: dollars and units in rows."""
        quotes = self.view["quotes"][self.instrument]
        sizes = quotes[f"{side}_size"]
        there = sizes > 0
        prices = quotes[f"{side}_price"][there] * self.world.tick_usd(self.instrument)
        return np.column_stack([prices, sizes[there] * self.lot_size])

    # What a transaction costs, and sending it.

    def gas_usd(self, kind: int, gas: int, size_bytes: int, external_price: float) -> float:
        """Dollars that a transaction of a kind costs at the fees that are visible."""
        feed = self.world.feeds[0]
        wei = gas * (self.seen("base_fee") + self.wallet_tip)
        wei += int(_data_fee_wei(self.world.feeds, np.int64(kind), np.int64(size_bytes)))
        fixed = float(feed["gas_token_price"])
        return wei * 1e-18 * (fixed if fixed > 0.0 else external_price)

    def order_gas_usd(self, external_price: float) -> float:
        """Dollars of gas and data of an order."""
        gas = self.world.scenario.gas
        return self.gas_usd(PLACE, gas.place, gas.bytes_per_transaction, external_price)

    def send_order(self, side: int, limit_usd: float, lots: int, patience_ns: int) -> None:
        """Take what is in the book up to a limit, or nothing; side +1 buys."""
        ticks = limit_usd / self.world.tick_usd(self.instrument)
        tip = self.wallet_tip
        expires = self.decision_ns + patience_ns
        outcome = self.world.send(
            self,
            kind=PLACE,
            instrument=self.instrument,
            order=self.account * HANDLES + TAKER_HANDLE,
            side=side,
            style=IMMEDIATE_OR_CANCEL,
            price=int(np.floor(ticks + 1e-9)) if side > 0 else int(np.ceil(ticks - 1e-9)),
            size=lots,
            max_fee=4 * self.seen("base_fee") + tip,
            tip=tip,
            expires=expires,
        )
        if outcome == "accepted":
            self.order = [self.decision_ns, expires]

    def send_cash(self, bridge: BridgeSettings, transfer: int, amount: int, expires: int) -> None:
        """Send micro-dollars over a bridge, under the number of the transfer."""
        tip = self.wallet_tip
        mempool.submit_message(
            self.world.chain.pools,
            self.account,
            self.access,
            BRIDGE,
            bridge.gas,
            bridge.bytes,
            0,
            self.decision_ns,
            transfer,
            amount,
            4 * self.seen("base_fee") + tip,
            tip,
            0,
            expires,
            0,
        )

    def has_settled(self) -> bool:
        """Whether the fate of the order on its way is known, if there is one; then it is forgotten."""
        if not self.order:
            return True
        decided, expires = self.order
        receipt = self.world.feeds[0]["receipts"][self.account]
        if int(receipt["decided"]) == decided:
            included = self._time_of_block(int(receipt["block"]))
            if included == 0:
                return False
            self.included_ns = included
        elif self.decision_ns <= expires + LONGEST_WAY_NS:
            return False
        else:
            self.included_ns = self.decision_ns
        self.order = []
        return True

    def _time_of_block(self, block: int) -> int:
        """Time (ns) of a block by its number; 0 if it is not visible yet."""
        views = self.world.feeds[0]["views"]
        number = self.newest
        if int(views[number & (VIEWS - 1)]["number"]) < block:
            return 0
        oldest = max(int(self.world.feeds[0]["count"]) - VIEWS, 0)
        while number > oldest and int(views[number & (VIEWS - 1)]["number"]) > block:
            number -= 1
        return int(views[number & (VIEWS - 1)]["time"])
