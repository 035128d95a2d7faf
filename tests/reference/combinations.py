"""Combinations: all legs at once, or none."""

from .constants import BUY, LARGEST_VALUE, MARKET, SELL


def cost_from_others(book, account, side, size):
    """Lots that an account could get from everybody else, and their price times lots."""
    found = value = 0
    for price, _ in book.best_levels(-side):
        for order in book.levels[-side][price].queue.values():
            if order.owner != account:
                lots = min(size - found, order.size)
                found += lots
                value += lots * price
    return found, value


def fits_together(venue, sender, legs, cost):
    """Whether collateral suffices once the account has the legs and has paid, or is no less than before."""
    before = venue.free_collateral(sender)
    suppose(venue, sender, legs, cost, 1)
    after = venue.free_collateral(sender)
    suppose(venue, sender, legs, cost, -1)
    return after >= 0 or after >= before


def suppose(venue, sender, legs, cost, sign):
    """Give the sender the legs, settled or as claims."""
    holder, claim = venue.ledger.accounts[sender], venue.clearing.of(sender)
    if venue.clearing.immediate:
        holder.cash -= sign * cost
    else:
        claim[0] -= sign * cost
    for traded, lots in legs:
        if venue.clearing.immediate:
            holder.positions[traded.number] += sign * lots
        else:
            claim[1][traded.number] = claim[1].get(traded.number, 0) + sign * lots


def fits_each(venue, sender, legs, cost):
    """Whether what the legs need one by one is free, where every position stands by itself."""
    needed, loss = 0, cost
    for traded, lots in legs:
        loss -= lots * traded.mark
        position = venue.ledger.accounts[sender].positions[traded.number]
        bids, asks = traded.resting_lots(sender)

        def need(held, traded=traded, bids=bids, asks=asks):
            if traded.option:
                return traded.needed_with(held, bids, asks)
            return traded.initial_margin(max(abs(held + bids), abs(held - asks)))

        owns_lots = traded.option or traded.perpetual
        needed += need(position + lots) - need(position) if owns_lots else lots * traded.mark
    return needed <= 0 or needed + max(loss, 0) <= venue.free_collateral(sender)


def execute_combination(venue, transaction):
    """Whether all legs traded; the margin of the result counts, where all equity stands behind all positions."""
    sender, size = transaction.sender, transaction.size
    legs = [(venue.instruments[number], lots * size) for number, lots in transaction.legs]
    if venue.batching or size <= 0:
        return False
    cost = 0
    for traded, lots in legs:
        if traded.option and not traded.is_tradable(transaction.decided):
            return False
        unit = traded.index if traded.option else traded.mark
        if abs(lots) > traded.book.largest_size or abs(lots) * unit > LARGEST_VALUE:
            return False
        _, asks = venue.committed_lots(sender, traded)
        owns_lots = traded.option or traded.perpetual
        if lots < 0 and not owns_lots and venue.ledger.accounts[sender].positions[traded.number] - asks < -lots:
            return False
        side = BUY if lots > 0 else SELL
        found, value = cost_from_others(traded.book, sender, side, abs(lots))
        if found < abs(lots):
            return False
        cost += side * value * traded.tick_lot_value
    if cost > transaction.bound:
        return False
    fits = fits_each if venue.margin.mode == "isolated" else fits_together
    if not fits(venue, sender, legs, cost):
        return False
    for traded, lots in legs:
        first = len(venue.tape.trades)
        transaction.filled += traded.book.place(0, sender, BUY if lots > 0 else SELL, 0, abs(lots), MARKET)
        venue.settle(first)
    return True
