"""Pool arbitrageurs: they move the price of a pool to the external one, as far as its fee lets that pay.

They look at what is visible of the pool, work out the swap that earns most, and send it if they hope to earn more than
its gas. What they bid for their place in the block they learn from the races in the chain, like
:mod:`blockspace.agents.arbitrageurs`. Where the pool has nothing to offer they look at the order book of the same
instrument, so that pool, book and external price stay together.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.arbitrageurs import (
    ArbitrageurSettings,
    bid_for,
    learn,
    new_arbitrageurs,
    remember_try,
    take_from_book,
)
from blockspace.agents.pool_orders import send_swap, swap_gas
from blockspace.markets.feed import VIEWS
from blockspace.markets.pools.view import estimate_arbitrage
from blockspace.markets.races import race_of_pool
from blockspace.network.compilation import kernel
from blockspace.network.transaction import EXACT_IN


class PoolArbitrageurSettings(ArbitrageurSettings):
    """Traders who take what a pool offers at a price that has become stale."""

    count: int = Field(0, ge=0, le=1_000, description="number of pool arbitrageurs, spread evenly over the pools")


def new_pool_arbitrageurs(
    settings: PoolArbitrageurSettings,
    accounts: list[int],
    access: list[int],
    pools: list[int],
    instruments: list[int],
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``ARBITRAGEUR`` each, with its pool."""
    rows = new_arbitrageurs(settings, accounts, access, instruments, seed, "pool_arbitrageurs")
    rows["pool"] = pools
    return rows


@kernel
def _take_from_pool(row, feed, pool, block, outlook, view):
    """Send the swap that earns most on what is visible if it promises more than it costs."""
    seen = feed.pools[outlook.newest & (VIEWS - 1), row.pool]
    lot_price = outlook.external_price * feed.terms[row.instrument].lot_size * 1e6
    side, swap = estimate_arbitrage(seen, feed.pool_terms[row.pool].kind, lot_price)
    if side == 0 or swap.amount_out == 0:
        return
    if side > 0:
        gain = swap.amount_out * lot_price - swap.amount_in
        lots = swap.amount_out
        least = math.ceil(swap.amount_in / lot_price)
    else:
        gain = swap.amount_out - swap.amount_in * lot_price
        lots = swap.amount_in
        least = math.ceil(swap.amount_in * lot_price)
    if gain <= 0.0:
        return
    gas = swap_gas(feed, swap.crossings)
    race = race_of_pool(row.pool, side)
    max_fee, tip = bid_for(row, feed, view, block, race, gas, gain * 1e-6, outlook.external_price)
    if tip < 0:
        return
    for copy in range(row.copies):
        send_swap(
            pool,
            feed,
            row,
            side,
            EXACT_IN,
            swap.amount_in,
            np.int64(least),
            lots,
            gas,
            outlook.decision,
            block.time,
            max_fee,
            tip,
            copy,
        )
    remember_try(row, outlook.decision, block.number)


@kernel
def arbitrage_pools(rows, feeds, logs, pools, blocks):
    """Let every pool arbitrageur look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            view = feed.views[outlook.newest & (VIEWS - 1)]
            if row.pending != 0:
                learn(row, feed, logs[0], view, outlook.external_price)
            if row.pending == 0:
                _take_from_pool(row, feed, pools[0], block, outlook, view)
            if row.pending == 0:
                take_from_book(row, feed, pools[0], block, outlook, view)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
