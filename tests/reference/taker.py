"""The order that everyone sends who takes liquidity."""

from .constants import HANDLES, IMMEDIATE_OR_CANCEL, PLACE, TAKER_HANDLE
from .mempool import Transaction


def send_taking_order(agent, side, size, limit, decided, expires, max_fee, tip, copy=0, instrument=None):
    """Send an immediate-or-cancel order of ``size`` lots at ``limit`` ticks."""
    gas = agent.model.gas
    agent.model.mempool.submit(
        Transaction(
            kind=PLACE,
            style=IMMEDIATE_OR_CANCEL,
            sender=agent.account,
            access=agent.access,
            instrument=agent.instrument.number if instrument is None else instrument,
            handle=agent.account * HANDLES + TAKER_HANDLE,
            side=side,
            size=size,
            price=limit,
            gas=gas.place,
            bytes=gas.bytes_per_transaction,
            decided=decided,
            expires=expires,
            max_fee=max_fee,
            tip=min(tip, max_fee),
            independent=copy > 0,
            nonce=copy,
            copy=copy,
        )
    )
