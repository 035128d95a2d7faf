"""How many bytes transactions take: on a chain of their own, in a compressed batch, and as differences of state.

A transaction is mostly what others have as well: the address of a contract, the selector of its method, words that are
zero but for their end. A batch pays for that once (span batches of the OP Stack, 2023), and for every transaction only
for what has no precedent: its amounts, and its signature, which no compression makes smaller. A validity rollup need
not publish transactions at all, only what became of the state (ZKsync, Starknet): a slot that was written a hundred
times in a batch is published once, so that the differences of those who trade on one instrument cancel.

The sizes in :data:`FOOTPRINTS` are approximate, derived from the layout of calls rather than measured. Calldata of
transfers are calls of contracts that are not modelled; an eighth of them is novel, as it is of swaps.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blockspace.network.compilation import kernel
from blockspace.network.mempool import SENDERS
from blockspace.network.transaction import KINDS, MILLIWEI, TRANSFER

ENVELOPE_BYTES = 110
"""Of a signed transaction without calldata: 65 of signature, 21 of recipient, the rest fees, nonce and framing."""

SELECTOR_BYTES = 4
WORD_BYTES = 32
CALLDATA_PER_NOVEL_BYTE = 8
"""Bytes of calldata of which one has no precedent in the batch: 7 words of a swap have 28."""

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
    # A transaction of another chain inside one of this: an order with its sender and fees, and its place in a queue.
    "force": Footprint(8, 60, NONCE, INDEX),
    # First and last trade; the trades themselves were in the batch with their orders, and so were their parties.
    "settle": Footprint(3, 12, NONCE | CASH, INDEX),
}
"""Approximate footprints by kind of transaction."""


COMPRESSIONS = ("none", "batch", "state_differences")
NONE, BATCH, STATE_DIFFERENCES = range(3)

LAYOUT = np.dtype([("compression", "i8"), ("signature", "i8"), ("header", "i8"), ("slot", "i8")], align=True)
"""What is published of transactions, and how many bytes a signature, a batch's header and a slot of state take.

Zeros stand for transactions as they are.
"""

INSTRUMENTS = 256
OWNERS = SENDERS + INSTRUMENTS
"""Who has slots of state: accounts, then instruments and pools."""

_WORDS, _NOVEL, _OF_SENDER, _OF_INSTRUMENT = np.array([FOOTPRINTS[kind] for kind in KINDS], np.int64).T.copy()
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


@kernel
def own_bytes(layout, kind, size_bytes):
    """Bytes of a transaction in a batch that has one of its kind already; all of it if batches are not compressed."""
    if layout.compression == NONE:
        return size_bytes
    own = _NOVEL[kind] + layout.signature
    if kind == TRANSFER:
        own += max(size_bytes - ENVELOPE_BYTES, 0) // CALLDATA_PER_NOVEL_BYTE
    return own


@kernel
def repeating_bytes(layout, kinds):
    """Bytes that a compressed batch has once for each kind in it; ``kinds`` has a bit for each."""
    total = np.int64(0)
    for kind in range(len(KINDS)):
        if kinds >> kind & 1:
            total += max(_RAW[kind] - _NOVEL[kind] - layout.signature, 0)
    return total


@kernel
def slots_of_sender(kind, size_bytes):
    """Slots of state of its sender that a transaction writes, as bits; what calls a contract has something there."""
    if kind == TRANSFER and size_bytes > ENVELOPE_BYTES:
        return _OF_SENDER[kind] | POSITION
    return _OF_SENDER[kind]


@kernel
def slots_of_instrument(kind):
    """Slots of state of its instrument or pool that a transaction writes, as bits."""
    return _OF_INSTRUMENT[kind]


@kernel
def count_bits(bits):
    """How many of the lowest eight bits are set."""
    count = np.int64(0)
    while bits:
        bits &= bits - 1
        count += 1
    return count


@kernel
def charged_bytes(layout, kind, size_bytes):
    """Bytes for which its sender pays: what is its own, or every slot that it writes as if nobody else had written it.

    What it saves that others write the same slots shows in the price of a byte, for all.
    """
    if layout.compression != STATE_DIFFERENCES:
        return own_bytes(layout, kind, size_bytes)
    return layout.slot * (count_bits(slots_of_sender(kind, size_bytes)) + count_bits(slots_of_instrument(kind)))


@kernel
def data_fee_wei(terms, kind, size_bytes):
    """Wei for the data of a transaction of this kind and of this many bytes.

    ``terms`` is a block or a feed: a record with a ``layout``, and a ``data_price`` in thousandths of a wei per byte.
    """
    price = terms.data_price
    if price == 0:
        return np.int64(0)
    size = charged_bytes(terms.layout, kind, np.int64(size_bytes))
    return size * (price // MILLIWEI) + size * (price % MILLIWEI) // MILLIWEI


def published_bytes(transactions: npt.NDArray[Any], layouts: npt.NDArray[Any]) -> int:
    """Bytes that transactions take when they are published together.

    Parameters
    ----------
    transactions
        Records of type ``TRANSACTION``, shape (transactions,), of which sender, kind, bytes, instrument and
        ``independent`` count. Each independent one comes from a wallet of its own.
    layouts
        What is published: a one-element array of type ``LAYOUT``.

    Returns
    -------
    int
        Bytes; 0 for a batch of nothing, which is not posted.
    """
    return int(_published_bytes(transactions, layouts)) if len(transactions) else 0


@kernel
def _published_bytes(transactions, layouts):
    layout = layouts[0]
    kinds, own, slots = np.int64(0), np.int64(0), np.int64(0)
    written = np.zeros(OWNERS, np.int64)
    for number in range(transactions.size):
        transaction = transactions[number]
        kind, size = np.int64(transaction.kind), np.int64(transaction.bytes)
        kinds |= np.int64(1) << kind
        own += own_bytes(layout, kind, size)
        of_sender = slots_of_sender(kind, size)
        if transaction.independent != 0:
            slots += count_bits(of_sender)
        else:
            slots += write(written, np.int64(transaction.sender), of_sender)
        slots += write(written, SENDERS + np.int64(transaction.instrument), slots_of_instrument(kind))
    if layout.compression == STATE_DIFFERENCES:
        return layout.header + layout.slot * slots
    repeating = repeating_bytes(layout, kinds) if layout.compression == BATCH else np.int64(0)
    return layout.header + own + repeating


@kernel
def write(written, owner, slots):
    """Write slots of an owner, given as bits; returns how many of them had not been written before."""
    new = slots & ~written[owner]
    written[owner] |= slots
    return count_bits(new)


def fjord_bytes(fastlz_bytes: int) -> float:
    """Bytes for which a rollup of the OP Stack charges a transaction that FastLZ compresses to so many (Fjord, 2024).

    Examples
    --------
    >>> fjord_bytes(120), fjord_bytes(300)
    (100.0, 208.3644)
    """
    return max(FJORD_MINIMUM * MILLION, FJORD_INTERCEPT + FJORD_SLOPE * fastlz_bytes) / MILLION
