"""How a venue carries out what is sent to its pools: swaps, mints and burns, each as transfers to the last unit.

Whoever sends must have what goes in. A swap that the bound forbids, that would stop at once, or that would cross more
ticks than its gas pays for fails, and has paid for its gas. A burn pays out at once what the liquidity consisted of and
what it has earned.
"""

import numpy as np

from blockspace.markets.ledger import transfer_cash, transfer_position
from blockspace.markets.matching import BUY, MAXIMUM_SIZE, SELL
from blockspace.markets.pools import concentrated_liquidity, concentrated_swaps, constant_product
from blockspace.markets.pools.concentrated_liquidity import POSITIONS
from blockspace.markets.pools.listing import CONSTANT_PRODUCT
from blockspace.markets.pools.swaps import BEYOND_BOUND, NOTHING_OUT, Swap, fee_on_top, refused
from blockspace.markets.pools.ticks import sqrt_price_of
from blockspace.markets.trade_log import append_swap
from blockspace.network.compilation import kernel
from blockspace.network.transaction import BURN, EXACT_IN, MINT, SWAP


@kernel
def _keeps_bound(swap, exact_in, bound):
    return swap.amount_out >= bound if exact_in else swap.amount_in <= bound


@kernel
def _affordable(swap, side, lots, cash):
    """Whether the sender has what goes in, and as many lots change hands as a trade may have, at least one."""
    traded = swap.amount_out if side > 0 else swap.amount_in
    return swap.amount_in <= (cash if side > 0 else lots) and 0 < traded <= MAXIMUM_SIZE


@kernel
def _swap_constant_product(pool, transaction, lots, cash):
    """Swap without a price limit, which such a pool does not know."""
    side, amount = np.int64(transaction.side), np.int64(transaction.amount)
    exact_in = transaction.style == EXACT_IN
    if exact_in:
        swap = constant_product.quote_exact_in(pool, side, amount)
    else:
        swap = constant_product.quote_exact_out(pool, side, amount)
    if swap.status < 0:
        return swap
    if not _keeps_bound(swap, exact_in, transaction.bound) or transaction.price != 0:
        return refused(BEYOND_BOUND)
    if not _affordable(swap, side, lots, cash):
        return refused(np.int64(0))
    return constant_product.carry_out(pool, side, swap)


@kernel
def _swap_concentrated(pool, transaction, lots, cash, tick_lot_value, gas, gas_of_tick):
    """Swap up to a price limit; the sender's gas pays for the ticks that it crosses."""
    side, amount = np.int64(transaction.side), np.int64(transaction.amount)
    exact_in = transaction.style == EXACT_IN
    limit = concentrated_swaps.NO_LIMIT
    if transaction.price > 0:
        limit = sqrt_price_of(np.float64(transaction.price) * tick_lot_value)
    walk, status = concentrated_swaps.look(pool, side, amount, exact_in, limit)
    if status < 0:
        return refused(status)
    swap = Swap(status, np.int64(walk.amount_in + walk.fee), np.int64(walk.amount_out), np.int64(walk.fee))
    if swap.amount_out == 0:
        return refused(NOTHING_OUT)
    if not _keeps_bound(swap, exact_in, transaction.bound):
        return refused(BEYOND_BOUND)
    if not _affordable(swap, side, lots, cash) or gas + walk.crossings * gas_of_tick > transaction.gas:
        return refused(np.int64(0))
    concentrated_swaps.carry_out(pool, side, amount, exact_in, limit, walk)
    return swap


@kernel
def _move(venue, number, sender, lots, cash):
    """Move lots and micro-dollars from the sender to a pool; negative amounts move the other way."""
    listed = venue.pools[number]
    sender, account = np.int64(sender), np.int64(listed.account)
    transfer_position(venue.ledger, sender, account, np.int64(listed.instrument), lots)
    transfer_cash(venue.ledger, sender, account, cash)


@kernel
def _execute_swap(venue, log, transaction, lots, cash):
    number = np.int64(transaction.order)
    listed = venue.pools[number]
    side = np.int64(transaction.side)
    if side != BUY and side != SELL:
        return False
    value = venue.instruments[listed.instrument].tick_lot_value
    if listed.kind == CONSTANT_PRODUCT:
        pool = venue.constant_products[number]
        swap = _swap_constant_product(pool, transaction, lots, cash)
        fee_ppm = pool.fee_ppm
    else:
        pool = venue.concentrated[number]
        gas, gas_of_tick = venue.swap_gas, venue.swap_tick_gas
        swap = _swap_concentrated(pool, transaction, lots, cash, np.float64(value), gas, gas_of_tick)
        fee_ppm = pool.fee_ppm
    if swap.amount_in == 0:
        transaction.filled = swap.status
        return False
    # The fee of a sale is in lots; in micro-dollars it is worth what it kept from coming out.
    if side > 0:
        _move(venue, number, transaction.sender, -swap.amount_out, swap.amount_in)
        size, fee = swap.amount_out, swap.fee
        notional = swap.amount_in - fee
    else:
        _move(venue, number, transaction.sender, swap.amount_in, -swap.amount_out)
        size, fee = swap.amount_in, np.int64(fee_on_top(np.uint64(swap.amount_out), np.uint64(fee_ppm)))
        notional = swap.amount_out + fee
    price = np.int64(min(np.float64(notional) / (np.float64(size) * value) + 0.5, np.float64(MAXIMUM_SIZE)))
    append_swap(log, listed.instrument, number, side, price, size, notional, listed.account, transaction.sender, fee)
    transaction.filled = size
    return True


@kernel
def find_position(pool, used, owner, lower, upper):
    """Slot of an owner's position with these ticks among the ``used`` first ones, or -1; and the first free slot."""
    free = np.int64(used)
    for slot in range(used):
        position = pool.positions[slot]
        if concentrated_liquidity.is_free(position):
            free = min(free, slot)
        elif position.owner == owner and position.lower == lower and position.upper == upper:
            return np.int64(slot), free
    return np.int64(-1), free


@kernel
def _execute_mint(venue, transaction, lots, cash):
    """Provide as much as ``amount`` lots and ``bound`` micro-dollars allow, which the sender must have."""
    number = np.int64(transaction.order)
    listed = venue.pools[number]
    base, quote = np.int64(transaction.amount), np.int64(transaction.bound)
    sender = np.int64(transaction.sender)
    if base > lots or quote > cash:
        return False
    if listed.kind == CONSTANT_PRODUCT:
        minted = constant_product.mint(venue.constant_products[number], sender, base, quote)
    else:
        pool = venue.concentrated[number]
        lower, upper = np.int64(transaction.ladder[0]), np.int64(transaction.ladder[1])
        slot, free = find_position(pool, listed.slots, sender, lower, upper)
        if slot < 0:
            slot = free
        liquidity = np.int64(0)
        if slot < POSITIONS:
            liquidity = concentrated_liquidity.liquidity_for(pool, lower, upper, base, quote)
        minted = concentrated_liquidity.mint(pool, slot, sender, lower, upper, liquidity)
        if minted.status >= 0:
            listed.slots = max(listed.slots, slot + 1)
    if minted.status < 0:
        transaction.filled = minted.status
        return False
    _move(venue, number, sender, minted.base, minted.quote)
    return True


@kernel
def _execute_burn(venue, transaction):
    """Take out ``amount`` of the sender's liquidity, or all of it if that is less, with what it has earned."""
    number = np.int64(transaction.order)
    listed = venue.pools[number]
    sender, amount = np.int64(transaction.sender), np.int64(transaction.amount)
    if listed.kind == CONSTANT_PRODUCT:
        pool = venue.constant_products[number]
        burned = constant_product.burn(pool, sender, min(amount, pool.shares[sender]))
        paid = burned
    else:
        pool = venue.concentrated[number]
        lower, upper = np.int64(transaction.ladder[0]), np.int64(transaction.ladder[1])
        slot, _ = find_position(pool, listed.slots, sender, lower, upper)
        held = pool.positions[slot].liquidity if slot >= 0 else np.int64(0)
        burned = concentrated_liquidity.burn(pool, slot, sender, min(amount, held))
        paid = burned
        if burned.status >= 0:
            paid = concentrated_liquidity.collect(pool, slot, sender)
    if burned.status < 0:
        transaction.filled = burned.status
        return False
    _move(venue, number, sender, -paid.base, -paid.quote)
    return True


@kernel
def execute_in_pool(venue, log, transaction, lots, cash):
    """Carry out a transaction with a pool.

    Parameters
    ----------
    venue, log, transaction
        Records.
    lots, cash
        What the sender can dispose of: lots of the pool's instrument, and micro-dollars.

    Returns
    -------
    bool
        Whether it succeeded. ``filled`` of the transaction is the number of lots that a swap traded, a refusal of the
        pool, or 0 where the sender had not enough cash, lots or gas.
    """
    if transaction.kind == SWAP:
        return _execute_swap(venue, log, transaction, lots, cash)
    if transaction.kind == MINT:
        return _execute_mint(venue, transaction, lots, cash)
    if transaction.kind == BURN:
        return _execute_burn(venue, transaction)
    return False
