"""Pools on a venue: which ones there are, their accounts in the ledger, and their first liquidity.

A pool trades the lots of one spot instrument against cash. Its reserves lie on a ledger account of its own, lots in the
column of that instrument and cash in micro-dollars, so that every swap, mint and burn is a transfer between that
account and the sender's, and nothing can be lost.
"""

from typing import Any

import numpy as np

from blockspace.markets.ledger import transfer_cash, transfer_position
from blockspace.markets.pools import concentrated_liquidity, constant_product
from blockspace.markets.pools.checks import check_concentrated, check_constant_product
from blockspace.markets.pools.concentrated_liquidity import (
    CONCENTRATED_POOL,
    is_range,
    liquidity_for,
    open_concentrated_pool,
)
from blockspace.markets.pools.constant_product import CONSTANT_PRODUCT_POOL, open_constant_product_pool
from blockspace.markets.pools.swaps import BASE, QUOTE, REFUSALS
from blockspace.markets.pools.ticks import MAXIMUM_TICK, MINIMUM_TICK, sqrt_price_of, tick_at

POOLS = 4
"""Pools that a venue may list."""

CONSTANT_PRODUCT, CONCENTRATED = range(2)
POOL_KINDS = ("constant_product", "concentrated")

LISTED_POOL = np.dtype(
    [
        ("kind", "u1"),
        ("instrument", "u1"),  # spot instrument whose lots it trades
        ("account", "u4"),  # where its reserves lie
        ("slots", "i8"),  # positions that were ever in use (concentrated)
    ],
    align=True,
)

POOL_FIELDS = [
    ("pool_count", "i8"),
    ("pools", LISTED_POOL, (POOLS,)),
    ("constant_products", CONSTANT_PRODUCT_POOL, (POOLS,)),  # by number of the pool, whose kind says where it lies
    ("concentrated", CONCENTRATED_POOL, (POOLS,)),
]
"""What a venue's record holds of its pools, at its end: what nobody touches uses no memory, not even a huge page."""


def list_pool(
    venue: Any, kind: str, instrument: int, account: int, fee_ppm: int, tick_spacing: int, price: float
) -> int:
    """Add an empty pool to a venue and return its number.

    Parameters
    ----------
    venue
        Record of the venue.
    kind
        One of ``POOL_KINDS``.
    instrument
        Number of the spot instrument.
    account
        Account of the reserves.
    fee_ppm
        Fee in millionths of what goes in.
    tick_spacing, price
        Spacing of ranges, and first price in micro-dollars per lot (concentrated).

    Raises
    ------
    ValueError
        If all ``POOLS`` places are taken.
    """
    number = int(venue["pool_count"])
    if number >= POOLS:
        raise ValueError(f"a venue lists at most {POOLS} pools; ask for fewer")
    listed = venue["pools"][number]
    listed["kind"] = POOL_KINDS.index(kind)
    listed["instrument"] = instrument
    listed["account"] = account
    if listed["kind"] == CONSTANT_PRODUCT:
        open_constant_product_pool(venue["constant_products"][number], fee_ppm)
    else:
        open_concentrated_pool(venue["concentrated"][number], int(sqrt_price_of(price)), fee_ppm, tick_spacing)
    venue["pool_count"] = number + 1
    return number


def range_between(lower: float, upper: float, spacing: int) -> tuple[int, int]:
    """Ticks of the narrowest range that holds all from one price to another, in micro-dollars per lot.

    Its ends are multiples of ``spacing``. 0 stands for the last one there is, on either side.
    """
    lowest, highest = -(-MINIMUM_TICK // spacing) * spacing, MAXIMUM_TICK // spacing * spacing
    if lower > 0.0:
        lowest = max(int(tick_at(sqrt_price_of(lower))) // spacing * spacing, lowest)
    if upper > 0.0:
        highest = min((int(tick_at(sqrt_price_of(upper))) // spacing + 1) * spacing, highest)
    return lowest, highest


def provide_first(venue: Any, number: int, account: int, lots: int, cash: int, distance_bps: float) -> None:
    """Mint the first liquidity of a pool out of an account that has it: so many lots and micro-dollars at the most.

    Raises
    ------
    ValueError
        If the pool refuses.
    """
    listed = venue["pools"][number]
    if listed["kind"] == CONSTANT_PRODUCT:
        pool = venue["constant_products"][number]
        minted = constant_product.mint(pool, np.int64(account), np.int64(lots), np.int64(cash))
    else:
        pool = venue["concentrated"][number]
        price = (int(pool["sqrt_price"]) / 2.0**32) ** 2
        ratio = 1.0 + distance_bps * 1e-4
        ends = (price / ratio, price * ratio) if distance_bps > 0.0 else (0.0, 0.0)
        ticks = [np.int64(tick) for tick in range_between(*ends, int(pool["tick_spacing"]))]
        liquidity = liquidity_for(pool, *ticks, np.int64(lots), np.int64(cash)) if is_range(pool, *ticks) else 0
        minted = concentrated_liquidity.mint(pool, np.int64(0), np.int64(account), *ticks, np.int64(liquidity))
        listed["slots"] = 1
    if minted.status < 0:
        raise ValueError(f"the first liquidity is refused: {REFUSALS[int(minted.status)]}")
    ledger, reserve = venue["ledger"], int(listed["account"])
    transfer_position(ledger, account, reserve, int(listed["instrument"]), minted.base)
    transfer_cash(ledger, account, reserve, minted.quote)


def check_pools(venue: Any) -> None:
    """Assert that every pool is sound, and that its account holds its reserves to the last lot and micro-dollar.

    Raises
    ------
    AssertionError
        With the pool and the numbers.
    """
    for number in range(int(venue["pool_count"])):
        listed = venue["pools"][number]
        if listed["kind"] == CONSTANT_PRODUCT:
            pool = venue["constant_products"][number]
            check_constant_product(pool)
        else:
            pool = venue["concentrated"][number]
            check_concentrated(pool)
        account = venue["ledger"]["accounts"][int(listed["account"])]
        held = int(account["position"][listed["instrument"]]), int(account["cash"])
        reserves = int(pool["reserves"][BASE]), int(pool["reserves"][QUOTE])
        assert held == reserves, f"pool {number} has reserves of {reserves}, but its account holds {held}"
