"""Constant-product pools: the product of the two reserves never falls (Adams, Zinsmeister and Robinson, 2020).

With reserves x of what goes in and y of what comes out, and a fee of f millionths,

    out = floor(in (10^6 - f) y / (10^6 x + in (10^6 - f))).

Fees stay in the reserves and belong to the holders of shares; they are counted besides, so that the income of the
pool can be measured. Whoever adds liquidity gets shares in proportion, and the first one the geometric mean of the
amounts, of which ``LOCKED_SHARES`` belong to nobody for ever. A mint takes what its shares cost, rounded up, and no
more, so that a share never loses.

The kernels take a pool as a record and return tuples that start with a status; what is refused has changed nothing.
"""

from typing import Any

import numpy as np

from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.matching import BUY, SELL, whole_number
from blockspace.markets.pools.swaps import (
    AMOUNT_NOT_POSITIVE,
    BASE,
    BEYOND_BOUND,
    DONE,
    LARGEST_AMOUNT,
    LARGEST_FEE_PPM,
    NOTHING_OUT,
    QUOTE,
    TOO_LARGE,
    TOO_LITTLE_LIQUIDITY,
    UNKNOWN_POSITION,
    UNKNOWN_SIDE,
    Arbitrage,
    Exchange,
    Swap,
    exchange_refused,
    fixed_point,
    refused,
    value_at,
    without_fee,
)
from blockspace.markets.pools.wide_integers import (
    add,
    divide_down,
    divide_up,
    multiply,
    multiply_divide_down,
    multiply_divide_up,
    multiply_two_words,
    square_root,
)
from blockspace.network.compilation import kernel

LOCKED_SHARES = 1_000

CONSTANT_PRODUCT_POOL = np.dtype(
    [
        ("reserves", "i8", (2,)),  # lots, micro-dollars
        ("fees", "i8", (2,)),  # ever paid, in lots and micro-dollars
        ("shares", "i8", (ACCOUNTS,)),  # of each account
        ("total_shares", "i8"),  # with the locked ones
        ("fee_ppm", "i8"),  # millionths of what goes in
    ],
    align=True,
)

_ZERO = np.uint64(0)
_MILLION = np.uint64(1_000_000)
_LARGEST = np.uint64(LARGEST_AMOUNT)


def open_constant_product_pool(pool: Any, fee_ppm: int) -> None:
    """Prepare a pool of zeros, a record of type ``CONSTANT_PRODUCT_POOL``, for its first liquidity.

    Raises ValueError if ``fee_ppm`` (millionths of what goes in) is not 0 to ``LARGEST_FEE_PPM``.
    """
    pool["fee_ppm"] = whole_number("fee_ppm", fee_ppm, 0, LARGEST_FEE_PPM)


@kernel
def _token_in(side):
    return QUOTE if side > 0 else BASE


@kernel
def quote_exact_in(pool, side, amount):
    """What a swap of ``amount`` would give if it were made now.

    Parameters
    ----------
    pool
        Record of the pool.
    side
        +1 buys base with ``amount`` micro-dollars, -1 sells ``amount`` lots.
    amount
        What goes in, fee included.

    Returns
    -------
    Swap
        Its status is ``DONE`` or a refusal.
    """
    side, amount = np.int64(side), np.int64(amount)
    if side != BUY and side != SELL:
        return refused(UNKNOWN_SIDE)
    if amount <= 0:
        return refused(AMOUNT_NOT_POSITIVE)
    if pool.total_shares == 0:
        return refused(TOO_LITTLE_LIQUIDITY)
    token = _token_in(side)
    # The fee is part of what goes in, so that one limit serves the reserves and the sum of the fees.
    if amount > LARGEST_AMOUNT - max(pool.reserves[token], pool.fees[token]):
        return refused(TOO_LARGE)
    reserve_in = np.uint64(pool.reserves[token])
    reserve_out = np.uint64(pool.reserves[1 - token])
    kept = _MILLION - np.uint64(pool.fee_ppm)
    high, low = multiply(np.uint64(amount), kept)
    divisor_high, divisor_low = multiply(reserve_in, _MILLION)
    divisor_high, divisor_low = add(divisor_high, divisor_low, high, low)
    top, middle, last = multiply_two_words(high, low, reserve_out)
    out = np.int64(divide_down(top, middle, last, divisor_high, divisor_low))
    if out == 0:
        return refused(NOTHING_OUT)
    fee = amount - np.int64(without_fee(np.uint64(amount), np.uint64(pool.fee_ppm)))
    return Swap(np.int64(DONE), amount, out, fee)


@kernel
def quote_exact_out(pool, side, amount):
    """What a swap that gives ``amount`` would cost if it were made now.

    Parameters
    ----------
    pool
        Record of the pool.
    side
        +1 buys ``amount`` lots, -1 sells base for ``amount`` micro-dollars.
    amount
        What comes out.

    Returns
    -------
    Swap
        Its status is ``DONE`` or a refusal. ``amount_in`` is the least that gives ``amount``.
    """
    side, amount = np.int64(side), np.int64(amount)
    if side != BUY and side != SELL:
        return refused(UNKNOWN_SIDE)
    if amount <= 0:
        return refused(AMOUNT_NOT_POSITIVE)
    token = _token_in(side)
    if amount >= pool.reserves[1 - token]:
        return refused(TOO_LITTLE_LIQUIDITY)
    reserve_in = np.uint64(pool.reserves[token])
    rest_out = np.uint64(pool.reserves[1 - token] - amount)
    kept = _MILLION - np.uint64(pool.fee_ppm)
    high, low = multiply(reserve_in, np.uint64(amount))
    top, middle, last = multiply_two_words(high, low, _MILLION)
    divisor_high, divisor_low = multiply(rest_out, kept)
    cost = divide_up(top, middle, last, divisor_high, divisor_low)
    if cost > np.uint64(LARGEST_AMOUNT - max(pool.reserves[token], pool.fees[token])):
        return refused(TOO_LARGE)
    fee = cost - without_fee(cost, np.uint64(pool.fee_ppm))
    return Swap(np.int64(DONE), np.int64(cost), amount, np.int64(fee))


@kernel
def carry_out(pool, side, swap):
    """Make a swap that was quoted, and that the pool has not changed since."""
    token = _token_in(side)
    pool.reserves[token] += swap.amount_in
    pool.reserves[1 - token] -= swap.amount_out
    pool.fees[token] += swap.fee
    return swap


@kernel
def swap_exact_in(pool, side, amount, least_out):
    """Swap ``amount`` in, or refuse if it gave less than ``least_out``; see :func:`quote_exact_in`."""
    swap = quote_exact_in(pool, side, amount)
    if swap.status < 0:
        return swap
    if swap.amount_out < np.int64(least_out):
        return refused(BEYOND_BOUND)
    return carry_out(pool, side, swap)


@kernel
def swap_exact_out(pool, side, amount, most_in):
    """Swap for ``amount`` out, or refuse if it cost more than ``most_in``; see :func:`quote_exact_out`."""
    swap = quote_exact_out(pool, side, amount)
    if swap.status < 0:
        return swap
    if swap.amount_in > np.int64(most_in):
        return refused(BEYOND_BOUND)
    return carry_out(pool, side, swap)


@kernel
def apply_swaps(pools, swaps, outcomes):
    """Make a batch of swaps in order: one-element array of pools, arrays of ``SWAP`` and ``OUTCOME``."""
    pool = pools[0]
    for number in range(len(swaps)):
        sent = swaps[number]
        side = np.int64(sent.side)
        if sent.exact_in:
            swap = swap_exact_in(pool, side, sent.amount, sent.bound)
        else:
            swap = swap_exact_out(pool, side, sent.amount, sent.bound)
        outcome = outcomes[number]
        outcome.status = swap.status
        outcome.amount_in = swap.amount_in
        outcome.amount_out = swap.amount_out
        outcome.fee = swap.fee


@kernel
def mint(pool, account, base, quote):
    """Add liquidity in the ratio of the reserves and credit the shares to an account.

    Parameters
    ----------
    pool
        Record of the pool.
    account
        Account of the shares, 0 to ``ACCOUNTS - 1``.
    base, quote
        The most that may be taken, in lots and micro-dollars, each at least 1. The first mint takes all.

    Returns
    -------
    Exchange
        Status, shares, and the amounts taken.
    """
    account, base, quote = np.int64(account), np.int64(base), np.int64(quote)
    if not 0 <= account < ACCOUNTS:
        return exchange_refused(UNKNOWN_POSITION)
    if base <= 0 or quote <= 0:
        return exchange_refused(AMOUNT_NOT_POSITIVE)
    if base > LARGEST_AMOUNT or quote > LARGEST_AMOUNT:
        return exchange_refused(TOO_LARGE)
    total = np.uint64(pool.total_shares)
    if total == _ZERO:
        high, low = multiply(np.uint64(base), np.uint64(quote))
        created = np.int64(square_root(high, low))
        shares = created - LOCKED_SHARES
    else:
        reserve_base = np.uint64(pool.reserves[BASE])
        reserve_quote = np.uint64(pool.reserves[QUOTE])
        created = np.int64(
            min(
                multiply_divide_down(np.uint64(base), total, reserve_base),
                multiply_divide_down(np.uint64(quote), total, reserve_quote),
                _LARGEST,
            )
        )
        shares = created
        base = np.int64(multiply_divide_up(np.uint64(created), reserve_base, total))
        quote = np.int64(multiply_divide_up(np.uint64(created), reserve_quote, total))
    if shares <= 0:
        return exchange_refused(NOTHING_OUT)
    if (
        base > LARGEST_AMOUNT - pool.reserves[BASE]
        or quote > LARGEST_AMOUNT - pool.reserves[QUOTE]
        or created > LARGEST_AMOUNT - pool.total_shares
    ):
        return exchange_refused(TOO_LARGE)
    pool.reserves[BASE] += base
    pool.reserves[QUOTE] += quote
    pool.total_shares += created
    pool.shares[account] += shares
    return Exchange(np.int64(DONE), shares, base, quote)


@kernel
def burn(pool, account, shares):
    """Redeem shares of an account for their part of the reserves, fees included.

    Returns
    -------
    Exchange
        Status, shares, and the amounts given back. Refused if either amount would be nothing.
    """
    account, shares = np.int64(account), np.int64(shares)
    if not 0 <= account < ACCOUNTS:
        return exchange_refused(UNKNOWN_POSITION)
    if shares <= 0:
        return exchange_refused(AMOUNT_NOT_POSITIVE)
    if shares > pool.shares[account]:
        return exchange_refused(TOO_LITTLE_LIQUIDITY)
    total = np.uint64(pool.total_shares)
    base = np.int64(multiply_divide_down(np.uint64(shares), np.uint64(pool.reserves[BASE]), total))
    quote = np.int64(multiply_divide_down(np.uint64(shares), np.uint64(pool.reserves[QUOTE]), total))
    if base == 0 or quote == 0:
        return exchange_refused(NOTHING_OUT)
    pool.shares[account] -= shares
    pool.total_shares -= shares
    pool.reserves[BASE] -= base
    pool.reserves[QUOTE] -= quote
    return Exchange(np.int64(DONE), shares, base, quote)


@kernel
def _reserve_at(pool, side, price):
    """Reserve of the token that goes in when swaps without fee have moved the price: ``sqrt(x y price)`` of quote.

    Rounded down, with its counterpart ``sqrt(x y / price)`` for base.
    """
    base = np.uint64(pool.reserves[BASE])
    quote = np.uint64(pool.reserves[QUOTE])
    whole, fraction = fixed_point(price)
    if side > 0:
        high, low = multiply(value_at(base, whole, fraction), quote)
    else:
        high, low = multiply(divide_down(_ZERO, quote, _ZERO, whole, fraction), base)
    return np.int64(square_root(high, low))


@kernel
def depth_within(pool, side, price):
    """What changes hands, fees apart, until the price of the pool has moved to ``price``.

    Parameters
    ----------
    pool
        Record of the pool.
    side
        +1 for what the pool buys as the price falls, -1 for what it sells as it rises, like the sides of a book.
    price
        Micro-dollars per lot.

    Returns
    -------
    tuple of int
        Lots and micro-dollars, rounded down; zeros if the price is there already.
    """
    token = _token_in(-side)
    reserve = pool.reserves[token]
    rest = pool.reserves[1 - token]
    moved = _reserve_at(pool, -side, price)
    if moved <= reserve:
        return np.int64(0), np.int64(0)
    amount_in = moved - reserve
    amount_out = rest - np.int64(multiply_divide_up(np.uint64(reserve), np.uint64(rest), np.uint64(moved)))
    return (amount_in, amount_out) if side > 0 else (amount_out, amount_in)


@kernel
def arbitrage(pool, external_price):
    """The swap that earns most against an external price, fees of the pool included.

    The last unit that goes in is worth what comes out for it: with reserves x and y, price p and the part g that the
    fee leaves, a buyer pays ``(sqrt(g p x y) - y) / g`` (Angeris, Kao, Chiang, Noyes and Chitra, 2021). Each step is
    rounded down, so that the price is never overshot.

    Parameters
    ----------
    pool
        Record of the pool.
    external_price
        Micro-dollars per lot.

    Returns
    -------
    Arbitrage
        Side 0 and zeros if the fee is more than the difference of the prices.
    """
    kept = 1.0 - np.float64(pool.fee_ppm) * 1e-6
    for side in (BUY, SELL):
        token = _token_in(side)
        reserve = pool.reserves[token]
        moved = _reserve_at(pool, side, external_price * kept if side > 0 else external_price / kept)
        if moved > reserve:
            room = np.uint64(LARGEST_AMOUNT - max(reserve, pool.fees[token]))
            amount = multiply_divide_down(np.uint64(moved - reserve), _MILLION, _MILLION - np.uint64(pool.fee_ppm))
            swap = quote_exact_in(pool, np.int64(side), np.int64(min(amount, room)))
            if swap.status == DONE:
                return Arbitrage(np.int64(side), swap.amount_in, swap.amount_out)
    return Arbitrage(np.int64(0), np.int64(0), np.int64(0))
