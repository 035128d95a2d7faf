"""The transaction: the one format in which agents, mempool, chain and state machine speak to each other."""

import numpy as np

from blockspace.network.compilation import kernel

LADDER = 8
"""Price levels per side that one quote transaction can hold."""

LEGS = 4
"""Legs that one combination can have."""

ACCESS_POINTS = 32
"""Access points (places where agents sit) that a topology may have."""

GAS_PER_BLOB = 131_072
"""Blob gas of a blob, which is also the number of its bytes (EIP-4844)."""

AUTOMATIC_NONCE = np.uint32(0xFFFFFFFF)
"""Ask the mempool for the sender's next nonce; any other value replaces the pending transaction of that nonce."""

MILLIWEI = np.int64(1_000)
"""Thousandths of a wei in a wei: the unit of prices of data, of which a byte can cost less than a wei."""

NEVER = np.int64(2**62)
"""A time in nanoseconds that no run reaches."""

# Kinds of transaction. TRANSFER stands for everything that is not ours: it only uses block space. So do those from POST
# on, which are about another chain: its data, a claim about its state (with a proof or without one), and a challenge to
# such a claim. What they mean is for those to say who look for them in the blocks. BRIDGE sends cash to another chain,
# FORCE a transaction that a rollup must take. SETTLE settles trades that wait for it.
TRANSFER, PLACE, CANCEL, REPLACE, QUOTE, SWAP, MINT, BURN, LIQUIDATE, REPORT, COMBINATION = range(11)
POST, CLAIM, CHALLENGE, BRIDGE, FORCE, SETTLE = range(11, 17)
KINDS = (
    "transfer",
    "place",
    "cancel",
    "replace",
    "quote",
    "swap",
    "mint",
    "burn",
    "liquidate",
    "report",
    "combination",
    "post",
    "claim",
    "challenge",
    "bridge",
    "force",
    "settle",
)

# Styles of a swap: whether `amount` is what goes in, or what comes out.
EXACT_IN, EXACT_OUT = range(2)

# Routes: who gets to see a transaction before it is in a block. Any other number n is a builder's own, numbered from 1.
PUBLIC = 0
TO_PRODUCER = 255  # and to nobody else

# Where a transaction that names a target wants to be: right before it or right after it, or not at all. What the rules
# of the chain put AT_TOP of the next block names no target: nobody who makes that block can leave it out.
ANYWHERE, BEFORE_TARGET, AFTER_TARGET, AT_TOP = range(4)

POST_ONLY = 1
"""Style of an order that never takes, as the order book numbers it: the one style that an ordering policy looks at."""

# What became of an executed transaction. UNFUNDED ones are left out of the block and pay nothing; so are those that
# revert protection has LEFT_OUT because they would have failed.
SUCCEEDED, FAILED, UNFUNDED, LEFT_OUT = range(4)
STATUSES = ("succeeded", "failed", "unfunded", "left out")

TRANSACTION = np.dtype(
    [
        ("decided", "i8"),  # ns: when the sender made up its mind, on what it could see then
        ("expires", "i8"),  # ns: no block later than this may include it
        ("max_fee", "i8"),  # wei per gas: base fee and tip together never exceed this
        ("tip", "i8"),  # wei per gas, to whoever makes the block
        ("score", "f8"),  # rank given by the ordering policy, larger first
        ("sequence", "i8"),  # running number of the submission
        ("sender", "u4"),  # account
        ("nonce", "u4"),
        ("tie", "u4"),  # random order among equals: (score, arrival)
        ("gas", "u4"),  # gas limit that the sender declares
        ("bytes", "u4"),
        ("order", "u4"),  # handle of the order that is placed, cancelled or replaced; first handle of a quote; pool
        ("price", "i4"),  # ticks; of a swap: where to stop, 0 for nowhere
        ("size", "i4"),  # lots; of a quote: lots per level; of a swap: lots that are wanted, 0 if unknown;
        # of a combination: units
        # Quote: LADDER bid prices, then LADDER ask prices, in ticks; 0 for none. Mint and burn: the range, in ticks of
        # the pool. Combination: instrument and signed lots per unit of each leg in turn; 0 lots for none.
        ("ladder", "i4", (2 * LADDER,)),
        ("amount", "i8"),  # swap: lots or micro-dollars; mint: most lots; burn: shares or liquidity;
        # of what is about another chain: the number of what it is about
        # Swap: least that comes out or most that goes in; mint, combination: most micro-dollars; bridge: micro-dollars.
        # Settlement: one past the last trade; its amount is the first one, its size the accounts that it has gas for.
        ("bound", "i8"),
        ("blob_fee", "i8"),  # wei per unit of blob gas that it pays at the most
        ("target", "i8"),  # sequence of the transaction that this one wants to be next to
        ("access", "u2"),  # access point where the sender sits
        ("kind", "u1"),
        ("style", "u1"),  # limit, post-only, immediate-or-cancel or market, as the order book numbers them; of a swap
        ("instrument", "u1"),
        ("side", "i1"),  # +1 buy, -1 sell
        ("independent", "u1"),  # 1: it comes from a wallet with no other transaction pending: nonces do not bind
        ("route", "u1"),  # public, to the producer alone, or to the builder of this number
        ("placement", "u1"),  # anywhere, before or after its target, or at the top
        ("blobs", "u1"),
        ("protected", "u1"),  # 1: if it would fail it is to be left out, where whoever makes the block offers that
        # Receipt, written by the state machine.
        ("status", "u1"),
        ("gas_used", "u4"),
        ("filled", "i4"),  # lots traded, or the refusal code of the order book or the pool
        # The mempool's own threads through its slots.
        ("following", "u4"),  # next pending transaction of the same sender
        ("preceding", "u4"),
        ("place", "u4"),  # position in the list of pending slots
    ],
    align=True,
)
"""One pending or executed transaction. Times are nanoseconds from the start of the run."""


@kernel
def is_of_market(kind):
    """Whether transactions of a kind are about the market on this chain."""
    return kind != TRANSFER and not POST <= kind <= FORCE


@kernel
def effective_tip(transaction, base_fee):
    """Tip that the maker of a block really gets at this base fee, in wei per gas (EIP-1559)."""
    return min(transaction.tip, transaction.max_fee - base_fee)
