"""How many bytes transactions take: on a chain of their own, in a compressed batch, and as differences of state.

A transaction is mostly what others have as well: the address of a contract, the selector of its method, words that are
zero but for their end. A batch pays for that once (span batches of the OP Stack, 2023), and for every transaction only
for what has no precedent: its amounts, and its signature, which no compression makes smaller. A validity rollup need
not publish transactions at all, only what became of the state (ZKsync, Starknet): a slot that was written a hundred
times in a batch is published once, so that the differences of those who trade on one instrument cancel.

The sizes in :data:`FOOTPRINTS` are approximate, derived from the layout of calls rather than measured.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.network.settings import Settings
from blockspace.network.transaction import KINDS

ENVELOPE_BYTES = 110
"""Of a signed transaction without calldata: 65 of signature, 21 of recipient, the rest fees, nonce and framing."""

SELECTOR_BYTES = 4
WORD_BYTES = 32

# The Fjord upgrade of the OP Stack (2024): a linear regression on the length that FastLZ compresses to, in millionths.
FJORD_INTERCEPT = -42_585_600
FJORD_SLOPE = 836_500
FJORD_MINIMUM = 100
MILLION = 1_000_000

# Slots of state that belong to the sender: nonce and ether in one, what it has on the venue, its orders, its share.
NONCE, CASH, POSITION, RESTING, SHARE = (1 << bit for bit in range(5))
# Slots that belong to an instrument or a pool: reserves or best prices, price and fees so far, depth at ticks, index.
RESERVES, PRICE, DEPTH, INDEX = (1 << bit for bit in range(4))


class Footprint(NamedTuple):
    """What a kind of transaction leaves.

    Attributes
    ----------
    words
        Arguments of its call, of 32 bytes each; none for a plain transfer of ether, which has no selector either.
    novel
        Bytes that nothing in the batch has had before it, beside the signature.
    of_sender, of_instrument
        Slots of state that it writes, as bits.
    """

    words: int
    novel: int
    of_sender: int
    of_instrument: int


FOOTPRINTS: Mapping[str, Footprint] = {
    # An ether transfer has about 12 bytes of its own (Buterin, 2021).
    "transfer": Footprint(0, 12, NONCE | CASH, 0),
    # Orders on a book: instrument, side and style in one word, price, size, bound.
    "place": Footprint(4, 20, NONCE | POSITION | RESTING, RESERVES | DEPTH),
    "cancel": Footprint(1, 12, NONCE | RESTING, RESERVES | DEPTH),
    "replace": Footprint(5, 24, NONCE | POSITION | RESTING, RESERVES | DEPTH),
    # Sixteen prices and sizes, packed by four bytes.
    "quote": Footprint(6, 76, NONCE | POSITION | RESTING, RESERVES | DEPTH),
    # Pools: as exactInputSingle, mint and burn of Uniswap v3 have them.
    "swap": Footprint(7, 28, NONCE | CASH | POSITION, RESERVES | PRICE),
    "mint": Footprint(11, 40, NONCE | CASH | POSITION | SHARE, RESERVES | DEPTH),
    "burn": Footprint(5, 28, NONCE | CASH | POSITION | SHARE, RESERVES | DEPTH),
    "liquidate": Footprint(5, 32, NONCE | CASH | POSITION, RESERVES | PRICE),
    # A report is signed by several who observe the price.
    "report": Footprint(14, 160, NONCE, INDEX),
    "combination": Footprint(10, 52, NONCE | CASH | POSITION, RESERVES | DEPTH),
    # About another chain: a root or two and a proof, of which nothing repeats.
    "post": Footprint(4, 96, NONCE, 0),
    "claim": Footprint(8, 256, NONCE, RESERVES),
    "challenge": Footprint(40, 1_280, NONCE, RESERVES),
    # Cash to another chain: recipient, chain and amount; what the bridge holds, and its list of messages.
    "bridge": Footprint(4, 40, NONCE | CASH, RESERVES | INDEX),
    # First and last trade; the trades themselves were in the batch with their orders, and so were their parties.
    "settle": Footprint(3, 12, NONCE | CASH, INDEX),
}
"""Approximate footprints by kind of transaction."""


class DataSettings(Settings):
    """How much of a transaction is left when it is published."""

    signature_bytes: int = Field(
        64, ge=0, le=1_000, description="bytes of a signature in a batch; 0 where signatures are proven or aggregated"
    )
    batch_header_bytes: int = Field(200, ge=0, le=10**6, description="bytes of a batch or a difference of state itself")
    slot_key_bytes: int = Field(5, ge=1, le=64, description="bytes that name a slot of state, by its number")
    slot_value_bytes: int = Field(8, ge=1, le=32, description="bytes of how a slot has changed, without leading zeros")


_WORDS, _NOVEL, _OF_SENDER, _OF_INSTRUMENT = np.array([FOOTPRINTS[kind] for kind in KINDS], np.int64).T
_RAW = ENVELOPE_BYTES + np.where(_WORDS > 0, SELECTOR_BYTES + WORD_BYTES * _WORDS, 0)


def raw_bytes(kinds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Bytes of transactions as they stand on a chain of their own.

    Parameters
    ----------
    kinds
        Kinds of transactions, as :mod:`blockspace.network.transaction` numbers them, any shape.

    Examples
    --------
    >>> raw_bytes([KINDS.index("transfer"), KINDS.index("swap")]).tolist()
    [110, 338]
    """
    return np.asarray(_RAW[np.asarray(kinds, np.int64)])


def batch_bytes(kinds: npt.ArrayLike, settings: DataSettings) -> int:
    """Bytes of a compressed batch: for each kind once what repeats, for each transaction what is its own.

    Parameters
    ----------
    kinds
        Kinds of the batch's transactions, shape (transactions,).
    settings
        Bytes of signatures and headers.

    Returns
    -------
    int
        Bytes; 0 for a batch of nothing, which is not posted.
    """
    counts = np.bincount(np.asarray(kinds, np.int64), minlength=len(KINDS))
    if not counts.any():
        return 0
    own = _NOVEL + settings.signature_bytes
    repeating = np.maximum(_RAW - own, 0)
    return settings.batch_header_bytes + int(counts @ own + repeating[counts > 0].sum())


def fjord_bytes(fastlz_bytes: int) -> float:
    """Bytes for which a rollup of the OP Stack charges a transaction that FastLZ compresses to so many (Fjord, 2024).

    Examples
    --------
    >>> fjord_bytes(120), fjord_bytes(300)
    (100.0, 208.3644)
    """
    return max(FJORD_MINIMUM * MILLION, FJORD_INTERCEPT + FJORD_SLOPE * fastlz_bytes) / MILLION


def slots_written(transactions: npt.NDArray[Any]) -> int:
    """Distinct slots of state that transactions write, however often each of them is written.

    Parameters
    ----------
    transactions
        Records of type ``TRANSACTION``, shape (transactions,), of which sender, kind, instrument and ``independent``
        count. Each independent one comes from a wallet of its own.
    """
    kind = transactions["kind"].astype(np.int64)
    alone = transactions["independent"] != 0
    known, sender = np.unique(transactions["sender"][~alone], return_inverse=True)
    written = np.zeros(len(known), np.int64)
    np.bitwise_or.at(written, sender, _OF_SENDER[kind[~alone]])
    instruments = np.zeros(256, np.int64)
    np.bitwise_or.at(instruments, transactions["instrument"], _OF_INSTRUMENT[kind])
    parts = (written, _OF_SENDER[kind[alone]], instruments)
    return sum(int(np.bitwise_count(part).sum()) for part in parts)


def state_difference_bytes(transactions: npt.NDArray[Any], settings: DataSettings) -> int:
    """Bytes of what a batch of transactions changed in the state: each slot once.

    Parameters
    ----------
    transactions
        As in :func:`slots_written`.
    settings
        Bytes of a slot and of the header.

    Returns
    -------
    int
        Bytes; 0 without a transaction.
    """
    if len(transactions) == 0:
        return 0
    slot = settings.slot_key_bytes + settings.slot_value_bytes
    return settings.batch_header_bytes + slot * slots_written(transactions)
