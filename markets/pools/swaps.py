"""What all kinds of pool have in common: tokens, limits, outcomes, and the messages of a batch of swaps.

A pool trades a *base*, in lots, against a *quote*, in micro-dollars. A buy takes base out and pays quote in, which
raises the price; a sale does the reverse. Prices are micro-dollars per lot: at 2,000 dollars a unit and 0.001 units a
lot, two million. Every amount is an integer; what is owed to a pool is rounded up and what it owes is rounded down.
"""

from typing import NamedTuple

import numpy as np

from blockspace.markets.pools.wide_integers import OVERFLOW, multiply_two_words
from blockspace.network.compilation import kernel

BASE, QUOTE = range(2)

LARGEST_AMOUNT = 2**62
"""Largest amount, reserve, liquidity or sum of fees: 4.6 * 10^12 dollars in micro-dollars. Two of them still add up."""

LARGEST_FEE_PPM = 100_000
LARGEST_PRICE = 2.0**57
"""Micro-dollars per lot: 1.4 * 10^11 dollars."""

# Outcomes. PARTIAL is a swap that stopped at its price limit, or at the end of all liquidity, with something left.
DONE = 0
PARTIAL = 1

# Refusals: the status of what changed nothing.
UNKNOWN_SIDE = -1
AMOUNT_NOT_POSITIVE = -2
TOO_LARGE = -3
TOO_LITTLE_LIQUIDITY = -4
NOTHING_OUT = -5
BEYOND_BOUND = -6
LIMIT_BEHIND_PRICE = -7
TOO_MANY_TICKS = -8
UNKNOWN_POSITION = -9
NOT_OWNER = -10
POSITION_IN_USE = -11
BAD_RANGE = -12

REFUSALS = {
    UNKNOWN_SIDE: "the side is neither +1 nor -1",
    AMOUNT_NOT_POSITIVE: "the amount is not positive",
    TOO_LARGE: "an amount, a reserve, a liquidity or a sum of fees would exceed 2^62",
    TOO_LITTLE_LIQUIDITY: "there is less than that to take out",
    NOTHING_OUT: "so little would give nothing in return",
    BEYOND_BOUND: "the pool would give less, or ask more, than the bound allows",
    LIMIT_BEHIND_PRICE: "the price is at the limit or beyond it already",
    TOO_MANY_TICKS: "the swap would cross too many ticks",
    UNKNOWN_POSITION: "there is no such position or account",
    NOT_OWNER: "the position belongs to somebody else",
    POSITION_IN_USE: "the position has another range",
    BAD_RANGE: "the range does not start and end on ticks of the pool, the lower one first",
}


class Swap(NamedTuple):
    """Outcome of a swap or of its quotation: amounts in lots or micro-dollars, whichever token goes in or out."""

    status: int
    amount_in: int  # what the pool receives, fee included
    amount_out: int
    fee: int  # of the token that goes in


class Exchange(NamedTuple):
    """Outcome of a change of liquidity: what goes in when it grows, and comes out when it shrinks."""

    status: int
    liquidity: int  # shares or liquidity that came or went
    base: int  # lots
    quote: int  # micro-dollars


class Arbitrage(NamedTuple):
    """What to swap against an external price."""

    side: int  # +1 to buy from the pool, -1 to sell to it, 0 to leave it alone
    amount_in: int  # fee included
    amount_out: int  # at least: where the price stops within a unit of input, the rest of that unit still trades


SWAP = np.dtype(
    [
        ("side", "i1"),
        ("exact_in", "?"),  # whether `amount` is what goes in, rather than what comes out
        ("amount", "i8"),
        ("bound", "i8"),  # least amount out, or largest amount in
    ],
    align=True,
)
OUTCOME = np.dtype([("status", "i8"), ("amount_in", "i8"), ("amount_out", "i8"), ("fee", "i8")], align=True)

_MILLION = np.uint64(1_000_000)


@kernel
def refused(status):
    """A swap that was refused."""
    return Swap(np.int64(status), np.int64(0), np.int64(0), np.int64(0))


@kernel
def exchange_refused(status):
    """A change of liquidity that was refused."""
    return Exchange(np.int64(status), np.int64(0), np.int64(0), np.int64(0))


@kernel
def without_fee(amount, fee_ppm):
    """``amount * (10^6 - fee_ppm) // 10^6`` (all unsigned), whole millions first, so that nothing overflows."""
    millions = amount // _MILLION
    kept = _MILLION - fee_ppm
    return millions * kept + (amount - millions * _MILLION) * kept // _MILLION


@kernel
def fee_on_top(amount, fee_ppm):
    """``amount * fee_ppm / (10^6 - fee_ppm)``, rounded up (all unsigned): the fee beside what is left without it."""
    kept = _MILLION - fee_ppm
    whole = amount // kept
    return whole * fee_ppm + ((amount - whole * kept) * fee_ppm + kept - np.uint64(1)) // kept


@kernel
def fixed_point(price):
    """A price as two words, whole micro-dollars and 2^-64 of them; prices beyond the limits move to the limit."""
    price = min(max(price, 0.0), LARGEST_PRICE)
    whole = np.uint64(price)
    return whole, np.uint64((price - np.float64(whole)) * 2.0**64)


@kernel
def value_at(lots, high, low):
    """Micro-dollars that ``lots`` are worth at a price in fixed point, rounded down, or ``OVERFLOW``."""
    top, middle, _ = multiply_two_words(high, low, lots)
    return middle if top == np.uint64(0) else OVERFLOW
