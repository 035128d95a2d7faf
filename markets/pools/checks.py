"""What must hold in a pool at any time, in plain Python integers."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from blockspace.markets.bitmap import check_bitmap, marked
from blockspace.markets.pools.constant_product import LOCKED_SHARES
from blockspace.markets.pools.swaps import BASE, LARGEST_AMOUNT, QUOTE
from blockspace.markets.pools.ticks import HIGHEST_SQRT_PRICE, LOWEST_SQRT_PRICE, TICK_OFFSET, TICKS, sqrt_price_at

TOKENS = ("lots", "micro-dollars")
_MODULUS = 2**128


def check_constant_product(pool: Any) -> None:
    """Assert every invariant of a constant-product pool: reserves, shares and the product that backs them.

    Parameters
    ----------
    pool
        Record of type ``CONSTANT_PRODUCT_POOL``.

    Raises
    ------
    AssertionError
        At the first invariant that does not hold, with the numbers.
    """
    base, quote = pool["reserves"].tolist()
    total, shares = int(pool["total_shares"]), pool["shares"]
    assert (shares >= 0).all(), "an account has a negative number of shares"
    owned = int(shares.sum())
    assert total == owned + LOCKED_SHARES * (total > 0), f"{total} shares, but {owned} are owned"
    for token, (reserve, fees) in enumerate(zip(pool["reserves"].tolist(), pool["fees"].tolist(), strict=True)):
        assert (total > 0) <= reserve <= LARGEST_AMOUNT * (total > 0), f"the reserve is {reserve} {TOKENS[token]}"
        assert 0 <= fees <= LARGEST_AMOUNT, f"the fees are {fees} {TOKENS[token]}"
    # Swaps make the product grow, mints and burns round in favour of the pool: a share never loses.
    assert total * total <= base * quote, f"{total} shares are backed by reserves of {base} and {quote} only"


def check_concentrated(pool: Any) -> None:
    """Assert every invariant of a pool of concentrated liquidity.

    Liquidity of positions, ticks and the price agree, the bitmap marks the initialised ticks, the growth inside every
    range has not fallen, and the reserves cover all that is owed.

    Parameters
    ----------
    pool
        Record of type ``CONCENTRATED_POOL``.

    Raises
    ------
    AssertionError
        At the first invariant that does not hold, with the numbers.
    """
    _check_ticks(pool)
    _check_price(pool)
    for name in ("reserves", "fees", "credited"):
        for token, amount in enumerate(pool[name].tolist()):
            assert 0 <= amount <= LARGEST_AMOUNT, f"{name} are {amount} {TOKENS[token]}"
    held, pending = _claims(pool)
    for token in (BASE, QUOTE):
        reserve, owed = int(pool["reserves"][token]), held[token] + pending[token]
        assert reserve >= owed, f"the reserve is {reserve} {TOKENS[token]}, but {owed} are owed"
        paid, earned = int(pool["fees"][token]), int(pool["credited"][token]) + pending[token]
        assert earned <= paid, f"fees of {earned} {TOKENS[token]} are earned, but only {paid} were paid"


def claims(pool: Any) -> tuple[int, int]:
    """Lots and micro-dollars that all positions would get if they were burned and collected now."""
    held, pending = _claims(pool)
    return held[BASE] + pending[BASE], held[QUOTE] + pending[QUOTE]


def _claims(pool: Any) -> tuple[list[int], list[int]]:
    """What positions consist of and are owed already, and their fees that are not credited yet."""
    owed = pool["positions"]["owed"]
    held = [sum(amounts[amounts != 0].tolist()) for amounts in owed.T]
    pending = [0, 0]
    for position in _live(pool):
        principal, fees = _principal(pool, position), _pending_fees(pool, position)
        for token in (BASE, QUOTE):
            held[token] += principal[token]
            pending[token] += fees[token]
    return held, pending


def _live(pool: Any) -> Iterator[Any]:
    """Positions with liquidity."""
    positions = pool["positions"]
    return (positions[slot] for slot in np.flatnonzero(positions["liquidity"]))


def _check_ticks(pool: Any) -> None:
    """Assert that ticks and bitmap are what the positions make of them."""
    liquidity = pool["positions"]["liquidity"]
    assert (liquidity >= 0).all(), "a position has negative liquidity"
    gross: Counter[int] = Counter()
    net: Counter[int] = Counter()
    provided = 0
    for position in _live(pool):
        lower, upper, amount = (int(position[name]) for name in ("lower", "upper", "liquidity"))
        provided += amount
        for tick, change in ((lower, amount), (upper, -amount)):
            gross[tick] += amount
            net[tick] += change
    assert provided == pool["provided"], f"positions provide {provided}, but {pool['provided']} are counted"
    check_bitmap(pool, np.array(sorted(gross), np.int64) + TICK_OFFSET)
    for tick, amount in gross.items():
        record = pool["ticks"][tick + TICK_OFFSET]
        assert record["gross"] == amount, f"tick {tick} has {record['gross']} gross, its positions {amount}"
        assert record["net"] == net[tick], f"tick {tick} has {record['net']} net, its positions {net[tick]}"
        root = sqrt_price_at(tick)
        assert record["sqrt_price"] == root, f"tick {tick} has the root {record['sqrt_price']}, not {root}"


def _check_price(pool: Any) -> None:
    """Assert that the price lies between its neighbours and the active liquidity is that of the ranges around it."""
    price, below, above = (int(pool[name]) for name in ("sqrt_price", "below", "above"))
    places = marked(pool["occupied"][0])
    position = int(np.searchsorted(places, below, side="right"))
    lower = int(places[position - 1]) if position else 0
    upper = int(places[position]) if position < len(places) else TICKS
    assert below == lower, f"the tick below is said to be at place {below}, not {lower}"
    assert above == upper, f"the tick above is said to be at place {above}, not {upper}"
    lowest = pool["ticks"][below]["sqrt_price"] if below else LOWEST_SQRT_PRICE
    highest = pool["ticks"][above]["sqrt_price"] if above < TICKS else HIGHEST_SQRT_PRICE
    assert lowest <= price <= highest, f"the root {price} of the price is not from {lowest} to {highest}"
    active = sum(int(pool["ticks"][place]["net"]) for place in places[:position])
    assert pool["liquidity"] == active, f"the active liquidity is {pool['liquidity']}, its ticks make {active}"


def _principal(pool: Any, position: Any) -> tuple[int, int]:
    """Lots and micro-dollars that the liquidity of a position consists of, rounded down."""
    low = int(pool["ticks"][int(position["lower"]) + TICK_OFFSET]["sqrt_price"])
    high = int(pool["ticks"][int(position["upper"]) + TICK_OFFSET]["sqrt_price"])
    price = min(max(int(pool["sqrt_price"]), low), high)
    liquidity = int(position["liquidity"])
    return (liquidity << 32) * (high - price) // (high * price), liquidity * (price - low) >> 32


def _pending_fees(pool: Any, position: Any) -> list[int]:
    """Lots and micro-dollars of fees that a position has earned and that are not credited yet."""
    lower, upper = (int(position[name]) + TICK_OFFSET for name in ("lower", "upper"))
    fees = []
    for token in (BASE, QUOTE):
        total = _wide(pool["growth"][token])
        below = _wide(pool["ticks"][lower]["outside"][token])
        above = _wide(pool["ticks"][upper]["outside"][token])
        if lower > pool["below"]:
            below = total - below
        if upper <= pool["below"]:
            above = total - above
        growth = (total - below - above - _wide(position["inside"][token])) % _MODULUS
        assert growth < _MODULUS // 2, f"the growth of {TOKENS[token]} inside a range has fallen"
        fees.append(int(position["liquidity"]) * growth >> 64)
    return fees


def _wide(words: Any) -> int:
    high, low = words.tolist()
    return (int(high) << 64) | int(low)
