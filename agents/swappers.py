"""Swappers: traders with private values who trade where it costs least, in a pool or on the book of its instrument.

Each wakes at random moments, looks at what is visible, and compares the whole cost of its trade (price, fee and gas) at
the pool and at the order book with what the trade is worth to it. A swap carries a tolerance: if the price moves by
more before it is executed, it fails, and its gas is lost.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.pool_orders import send_swap, swap_gas
from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, send_taking_order
from blockspace.agents.traders import DRAW_GAP, DRAW_SIDE, DRAW_VALUE, draw_size, sleep
from blockspace.markets.feed import VIEWS, view_at, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.pools.listing import CONCENTRATED
from blockspace.markets.pools.view import estimate_lots
from blockspace.markets.price_path import price_at
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.transaction import EXACT_IN, EXACT_OUT, PUBLIC, TO_PRODUCER

SPARE_TICKS = 1
"""Ticks more than are seen to be crossed for which a swap has gas: the price may move before it is executed."""

DRAW_ROUTE = 10
"""Draw of an account's route, beside those of :mod:`blockspace.agents.traders`."""

SWAPPER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("pool", "u4"),
        ("instrument", "u4"),
        ("rate", "f8"),  # wake-ups per second
        ("mean_lots", "f8"),
        ("size_sigma", "f8"),  # of log size
        ("value", "f8"),  # mean private value, as a fraction of the price
        ("tolerance", "f8"),  # as a fraction of the expected amount
        ("patience", "i8"),  # ns
        ("route", "i8"),  # of swaps
        ("key", "u8"),
        ("next_wake", "i8"),  # ns
        ("wakes", "i8"),
        ("swaps_sent", "i8"),
        ("orders_sent", "i8"),
        ("balked", "i8"),
    ],
    align=True,
)


class SwapperSettings(Settings):
    """Traders with reasons of their own who trade in pools."""

    count: int = Field(0, ge=0, le=10_000, description="number of swappers, spread evenly over the pools")
    orders_per_s: float = Field(
        0.1, ge=0, le=1e5, description="times per second, all of them together, that one of them considers a trade"
    )
    size_mean: float = Field(2.0, gt=0, le=1e6, description="mean size of a trade, units of the underlying")
    size_variation: float = Field(1.5, ge=0, le=10, description="coefficient of variation of the size")
    value_bps: float = Field(
        60.0, gt=0, le=1e5, description="mean private value of a trade, basis points of its notional (exponential)"
    )
    tolerance_bps: float = Field(
        50.0, ge=0, le=10_000, description="how much worse than expected a swap may turn out, basis points"
    )
    patience_s: float = Field(30.0, gt=0, le=1e6, description="seconds after which a trade that is not included lapses")
    private_share: float = Field(
        0.0, ge=0, le=1, description="share of swappers, drawn by account, whose swaps go to the producer alone"
    )


def new_swappers(
    settings: SwapperSettings,
    accounts: list[int],
    access: list[int],
    pools: list[int],
    instruments: list[int],
    lot_sizes: npt.NDArray[np.float64],
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``SWAPPER`` each, with the first wake-up drawn.

    ``lot_sizes`` is by instrument.
    """
    rows = np.zeros(len(accounts), SWAPPER)
    rows["account"] = accounts
    rows["access"] = access
    rows["pool"] = pools
    rows["instrument"] = instruments
    rows["rate"] = settings.orders_per_s / max(len(accounts), 1)
    rows["mean_lots"] = settings.size_mean / lot_sizes[rows["instrument"]]
    rows["size_sigma"] = math.sqrt(math.log(1.0 + settings.size_variation**2))
    rows["value"] = settings.value_bps / 1e4
    rows["tolerance"] = settings.tolerance_bps / 1e4
    rows["patience"] = int(settings.patience_s * 1e9)
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"swappers/{number}")
        private = draw_uniform(row["key"], 0, DRAW_ROUTE) < settings.private_share
        row["route"] = TO_PRODUCER if private else PUBLIC
        gap = draw_exponential(row["key"], 0, DRAW_GAP)
        row["next_wake"] = int(gap / row["rate"] * 1e9) if row["rate"] > 0 else 2**62
    return rows


@kernel
def _send_to_pool(row, feed, pool, view, swap, side, lots, notional, worth, time, price):
    """Send a swap of ``lots``, to be executed at no more than the tolerance allows and the trade is worth."""
    crossings = swap.crossings
    if feed.pool_terms[row.pool].kind == CONCENTRATED:
        crossings += SPARE_TICKS
    gas = swap_gas(feed, crossings)
    tip = wallet_tip(feed, view)
    cost = gas_cost_usd(feed, gas, view.base_fee + tip, price)
    spare = worth - cost
    if side > 0:
        most = min(swap.amount_in * (1.0 + row.tolerance), (notional + spare) * 1e6)
        style, amount, bound = EXACT_OUT, swap.amount_out, np.int64(math.floor(most))
        surplus = notional + worth - swap.amount_in * 1e-6
    else:
        least = max(swap.amount_out * (1.0 - row.tolerance), (notional - spare) * 1e6)
        style, amount, bound = EXACT_IN, swap.amount_in, np.int64(math.ceil(least))
        surplus = swap.amount_out * 1e-6 - notional + worth
    max_fee = max(fee_worth(feed, gas, surplus, price), view.base_fee + tip)
    expires, first = time + row.patience, np.int64(0)
    send_swap(pool, feed, row, side, style, amount, bound, lots, gas, time, expires, max_fee, tip, first, row.route)
    row.swaps_sent += 1


@kernel
def _send_to_book(row, feed, pool, view, side, lots, notional, worth, paid, time, price):
    """Send an order of ``lots`` to the book, at no more than the tolerance allows and the trade is worth."""
    terms = feed.terms[row.instrument]
    tip = wallet_tip(feed, view)
    gas = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    spare = min((worth - gas) / notional, paid / notional + row.tolerance) - terms.taker_fee
    limit = price * (1.0 + side * spare) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    if limit_ticks <= 0:
        return
    max_fee = max(fee_worth(feed, feed.gas.place, worth - paid, price), view.base_fee + tip)
    send_taking_order(
        pool,
        feed,
        row.account,
        row.access,
        row.instrument,
        side,
        lots,
        limit_ticks,
        time,
        time + row.patience,
        max_fee,
        tip,
    )
    row.orders_sent += 1


@kernel
def _trade_where_it_costs_least(row, feed, pool, time, price, side, lots, value):
    """Trade if that is worth it at the better of pool and book, on what is visible now."""
    number = view_at(feed, np.int64(row.access), time) & (VIEWS - 1)
    view = feed.views[number]
    terms = feed.terms[row.instrument]
    tip = wallet_tip(feed, view)
    notional = lots * terms.lot_size * price
    worth = value * notional
    swap = estimate_lots(feed.pools[number, row.pool], feed.pool_terms[row.pool].kind, side, lots)
    pool_cost = math.inf
    if swap.complete and swap.amount_out > 0:
        pool_cost = swap.amount_in * 1e-6 - notional if side > 0 else notional - swap.amount_out * 1e-6
        pool_cost += gas_cost_usd(feed, swap_gas(feed, swap.crossings), view.base_fee + tip, price)
    filled, average = average_price(view.quotes[row.instrument], side, lots)
    paid = book_cost = math.inf
    if filled == lots:
        money = average * terms.tick * terms.lot_size * lots
        paid = side * (money - notional) + terms.taker_fee * money
        book_cost = paid + gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    if min(pool_cost, book_cost) >= worth:
        row.balked += 1
    elif pool_cost <= book_cost:
        _send_to_pool(row, feed, pool, view, swap, side, lots, notional, worth, time, price)
    else:
        _send_to_book(row, feed, pool, view, side, lots, notional, worth, paid, time, price)


@kernel
def swap_on_private_values(rows, feeds, pools, paths, blocks):
    """Let every swapper who wakes before the coming block decide."""
    feed = feeds[0]
    until = blocks[0].time
    for number in range(rows.size):
        row = rows[number]
        while row.next_wake <= until:
            side = np.int64(BUY if draw_uniform(row.key, row.wakes, DRAW_SIDE) < 0.5 else SELL)
            value = row.value * draw_exponential(row.key, row.wakes, DRAW_VALUE)
            price = price_at(paths[0], row.next_wake)
            _trade_where_it_costs_least(row, feed, pools[0], row.next_wake, price, side, draw_size(row), value)
            sleep(row)
        feed.next_due = min(feed.next_due, row.next_wake)
