"""Users who want to trade on a rollup and do not take no for an answer.

When and on which side is drawn for each wish. It is sent to the sequencer first, at market, with the fees of any
wallet. Who sees it in no block when the patience is over sends the same transaction to the parent, where it competes
for space like everything else; if it does not get into a block there, it is sent anew, for more. Whichever of the two
ways comes first counts: the other one is void.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.rollup_operators import NS, Sender
from blockspace.markets.feed import VIEWS, view_at, wallet_tip
from blockspace.markets.instruments import HANDLES, TAKER_HANDLE
from blockspace.markets.matching import MARKET
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.draws import draw_exponential, draw_uniform
from blockspace.network.mempool import ACCEPTED
from blockspace.network.rollups.settings import RollupSettings
from blockspace.network.transaction import ANYWHERE, AT_TOP, FORCE, NEVER, PLACE, effective_tip

_GAP, _SIDE = np.arange(2)
WEALTH_USD, ETHER = 1e10, 1e5
"""What those of a region have on the parent, and all together on the rollup: what they wish for is what limits them."""

LARGEST_FEE = np.int64(10**15)
"""Wei per gas that who comes by way of the parent would pay: whatever the base fee is then."""


def gap_ns(key: np.uint64, number: int, users_per_h: float) -> int:
    """Time between a wish and the one before it, drawn from the stream of this key."""
    return int(draw_exponential(key, number, _GAP) * 3_600 * NS / users_per_h) + 1


def side_of(key: np.uint64, number: int) -> int:
    """What a wish is, drawn from the stream of this key: +1 to buy and -1 to sell."""
    return 1 if draw_uniform(key, number, _SIDE) < 0.5 else -1


@kernel
def send_order(pools, feeds, sender, access, decided, expires, gas, size_bytes, number, side, lots):
    """Send an order at market to the sequencer, with the fees that a wallet sees at its decision.

    Each comes from a wallet of its own, so that nonces do not bind; returns the sequence of the transaction.
    """
    pool, feed = pools[0], feeds[0]
    view = feed.views[view_at(feed, access, decided) & (VIEWS - 1)]
    tip = wallet_tip(feed, view)
    slot = _draft_order(pool, sender, access, decided, gas, size_bytes, number, side, lots)
    transaction = pool.transactions[slot]
    transaction.placement = ANYWHERE
    transaction.max_fee = 4 * view.base_fee + tip
    transaction.tip = tip
    transaction.expires = expires
    mempool.submit(pool, slot)
    return pool.submitted


@kernel
def force_order(pools, sender, access, decided, gas, size_bytes, number, side, lots):
    """Put the same order at the top of the coming block, for its base fee and no tip.

    Returns the sequence of the transaction, or 0 if the mempool has no place for it.
    """
    pool = pools[0]
    slot = _draft_order(pool, sender, access, decided, gas, size_bytes, number, side, lots)
    transaction = pool.transactions[slot]
    transaction.placement = AT_TOP
    transaction.max_fee = LARGEST_FEE
    transaction.tip = 0
    transaction.expires = NEVER
    return pool.submitted if mempool.submit(pool, slot) == ACCEPTED else 0


@kernel
def _draft_order(pool, sender, access, decided, gas, size_bytes, number, side, lots):
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = PLACE
    transaction.independent = 1
    transaction.nonce = np.uint32(number & 0x7FFFFFFF)
    transaction.sender = sender
    transaction.access = access
    transaction.decided = decided
    transaction.gas = gas
    transaction.bytes = size_bytes
    transaction.order = sender * HANDLES + TAKER_HANDLE
    transaction.side = side
    transaction.style = MARKET
    transaction.size = lots
    return slot


@kernel
def paid_wei(pools, blocks, slot, base_fee):
    """Wei that a transaction of the block just made has paid, its data included; ``base_fee`` is that of this block."""
    transaction = pools[0].transactions[slot]
    if transaction.gas_used == 0:
        return np.int64(0)  # it was left out
    gas_price = base_fee + effective_tip(transaction, base_fee)
    data = data_fee_wei(blocks[0], np.int64(transaction.kind), np.int64(transaction.bytes))
    return np.int64(transaction.gas_used) * gas_price + data


class InsistingUsers(Sender):
    """Those of one region, as far as the parent sees them; they share an account, as background users do.

    Parameters
    ----------
    model, world, settings, progresses, access
        As of any :class:`Sender`; the chain is the parent.
    forced
        What links them to the rollup: it has ``wish_until``, which lets those who have a wish by a time send it to the
        sequencer, and ``row``, with the row of a wish by its number.
    """

    kind = "insisting_user"
    CONSTANTS: ClassVar[tuple[str, ...]] = (*Sender.CONSTANTS, "forced")

    def __init__(
        self,
        model: Any,
        world: Any,
        settings: RollupSettings,
        progresses: npt.NDArray[Any],
        access: str,
        forced: Any,
    ) -> None:
        super().__init__(model, world, settings, progresses, access, WEALTH_USD, ETHER)
        self.forced = forced
        self.waiting: list[int] = []  # numbers of the wishes that are in no block, as far as is known

    def act(self) -> None:
        """Send to the parent what the sequencer has not taken in time, and anew what got lost there."""
        now = self.decision_ns
        self.forced.wish_until(now)
        settings = self.settings.insisting
        patience = int(settings.patience_s * NS)
        for number in tuple(self.waiting):
            row = self.forced.row(number)
            if row["on_parent"] or 0 < row["seen"] <= now or row["left_out"]:
                self.waiting.remove(number)
            elif row["asked"] + patience <= now and (not row["sent"] or self.is_lost(row)):
                row["expires"] = self.send_message(
                    FORCE, number, settings.gas, settings.bytes, int(row["tries"]), own_wallet=True
                )
                row["sent"] = row["sent"] or now
                row["tries"] += 1
