"""What keepers of a venue share: they bring about what it needs by transactions that compete for space like any other.

A keeper has one transaction on its way at the most, and learns from what it can see whether that got in. The share of
what it may spend that it bids for its place in a block is its urgency, which grows with each transaction that lapses
and fades with each that gets in.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import fee_worth
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import SUCCEEDED

FADING = 0.25
"""How fast urgency fades with transactions that get in, in learning rates."""

KEEPER_FIELDS = (
    ("account", "u4"),
    ("access", "u4"),
    ("look_interval", "i8"),  # ns
    ("next_look", "i8"),
    ("patience", "i8"),  # ns
    ("learning_rate", "f8"),
    ("urgency", "f8"),  # share of what it may spend that it bids for its place
    ("pending", "u1"),  # 1 while the fate of the last transaction is unknown
    ("sent_at", "i8"),  # ns: decision time of the last transaction
    ("expires", "i8"),
    ("sent", "i8"),
    ("included", "i8"),
)
"""Fields with which the record of every kind of keeper begins."""


class KeeperSettings(Settings):
    """How keepers of every kind look, wait and learn."""

    look_interval_s: float = Field(
        1.0, ge=0, le=3_600, description="seconds between two looks at the market, when blocks come faster than that"
    )
    patience_s: float = Field(
        60.0, gt=0, le=1e6, description="seconds after which a transaction that is not included lapses"
    )
    learning_rate: float = Field(
        0.25, gt=0, le=1, description="step by which the fate of a transaction moves what is bid for the next"
    )
    colocated: bool = Field(False, description="sit next to the block producer where there is only one")


def new_keeper_rows(
    record: np.dtype[Any], settings: KeeperSettings, accounts: list[int], access: list[int]
) -> npt.NDArray[Any]:
    """One row of type ``record`` for each account, with ``KEEPER_FIELDS`` filled in and all else 0."""
    rows = np.zeros(len(accounts), record)
    rows["account"], rows["access"] = accounts, access
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["patience"] = int(settings.patience_s * 1e9)
    rows["learning_rate"] = settings.learning_rate
    return rows


@kernel
def learn_fate(row, feed, view):
    """Find out whether the last transaction got in, as far as that can be known.

    Parameters
    ----------
    row
        Record of the keeper, with ``KEEPER_FIELDS``.
    feed, view
        The feed, and what is visible of the chain.

    Returns
    -------
    bool
        Whether it has just learnt that the transaction got in and did what it was for.
    """
    if row.pending == 0:
        return False
    receipt = feed.receipts[row.account]
    if receipt.decided == row.sent_at and receipt.block <= view.number:
        row.pending = 0
        if receipt.status == SUCCEEDED:
            row.included += 1
            row.urgency -= FADING * row.learning_rate * row.urgency
            return True
    elif view.time >= row.expires:
        row.pending = 0
        row.urgency += row.learning_rate * (1.0 - row.urgency)
    return False


@kernel
def draft(row, feed, pool, gas, worth_usd, tip, price, decided):
    """Draft a transaction whose fate the keeper is going to learn, for the caller to complete and submit.

    Parameters
    ----------
    row, feed, pool
        Records of the keeper, the feed and the mempool.
    gas
        That it needs.
    worth_usd
        Dollars that it may cost at the most.
    tip
        Wei per gas that are bid for its place, as far as its worth allows.
    price
        External price, dollars.
    decided
        Moment of the decision, ns.

    Returns
    -------
    int
        Its slot in the mempool; kind and content are the caller's to set.
    """
    row.pending = 1
    row.sent_at = decided
    row.expires = decided + row.patience
    row.sent += 1
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.sender = row.account
    transaction.access = row.access
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = decided
    transaction.expires = row.expires
    transaction.max_fee = fee_worth(feed, gas, worth_usd, price)
    transaction.tip = min(tip, transaction.max_fee)
    return slot
