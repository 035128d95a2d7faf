"""The package's numbers as plain Python integers: NumPy's, which kernels share, are slow in Python and overflow."""

from blockspace.agents import order_sending
from blockspace.markets import instruments, ledger, matching
from blockspace.markets.pools import ticks
from blockspace.network import transaction


def plain(module, names):
    """Integers of these names, or lists of them."""
    return [int(getattr(module, name)) for name in names.split()]


GENESIS, BURNED, VENUE_FEES, ROUNDING, BACKGROUND = plain(ledger, "GENESIS BURNED VENUE_FEES ROUNDING BACKGROUND")
FIRST_FREE_ACCOUNT = int(ledger.FIRST_FREE_ACCOUNT)

BUY, SELL = plain(matching, "BUY SELL")
LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET = plain(matching, "LIMIT POST_ONLY IMMEDIATE_OR_CANCEL MARKET")
HANDLE_IN_USE, PRICE_OUT_OF_RANGE, WOULD_CROSS = plain(matching, "HANDLE_IN_USE PRICE_OUT_OF_RANGE WOULD_CROSS")
SIZE_NOT_POSITIVE, SIZE_TOO_LARGE = plain(matching, "SIZE_NOT_POSITIVE SIZE_TOO_LARGE")
UNKNOWN_ORDER, NOT_OWNER = plain(matching, "UNKNOWN_ORDER NOT_OWNER")
UNKNOWN_KIND, UNKNOWN_SIDE = plain(matching, "UNKNOWN_KIND UNKNOWN_SIDE")
SIDES = {name: int(side) for name, side in order_sending.SIDES.items()}
PLACEMENTS = {name: int(placement) for name, placement in order_sending.PLACEMENTS.items()}
STYLES = {name: int(style) for name, style in order_sending.STYLES.items()}

HANDLES, TAKER_HANDLE = plain(instruments, "HANDLES TAKER_HANDLE")

TRANSFER, PLACE, CANCEL, REPLACE, QUOTE = plain(transaction, "TRANSFER PLACE CANCEL REPLACE QUOTE")
SWAP, MINT, BURN, LIQUIDATE, REPORT, COMBINATION = plain(transaction, "SWAP MINT BURN LIQUIDATE REPORT COMBINATION")
(SETTLE,) = plain(transaction, "SETTLE")
EXACT_IN, EXACT_OUT = plain(transaction, "EXACT_IN EXACT_OUT")
SUCCEEDED, FAILED, UNFUNDED, LEFT_OUT = plain(transaction, "SUCCEEDED FAILED UNFUNDED LEFT_OUT")
PUBLIC, TO_PRODUCER = plain(transaction, "PUBLIC TO_PRODUCER")
LADDER, NEVER = plain(transaction, "LADDER NEVER")
PUBLIC, TO_PRODUCER = plain(transaction, "PUBLIC TO_PRODUCER")
ANYWHERE, BEFORE_TARGET, AFTER_TARGET = plain(transaction, "ANYWHERE BEFORE_TARGET AFTER_TARGET")

MINIMUM_TICK, MAXIMUM_TICK = plain(ticks, "MINIMUM_TICK MAXIMUM_TICK")

# Limits, which are part of the specification: said again rather than shared.
LARGEST_VALUE = 2**60
LEVELS_SEEN = 8
TICKS_SEEN = 8
DUE_SEEN = 64
MOST_DUE = 1024
LARGEST_REPORT = 10**13
LARGEST_AMOUNT = 2**62
POSITIONS = 4096
VIEWS = 4096
SMALLEST_GAS = 21_000
INSIDE = -1
"""Access point inside whoever makes the block."""
