"""The slow, obvious twin of a batch auction: every price is tried, and every lot is served by itself."""

from dataclasses import dataclass


@dataclass
class Waiting:
    """An order of the auction; ``earlier`` if it rests from an earlier batch. Its rank is its place in the queue."""

    owner: int
    side: int
    price: int
    size: int
    lapses: bool = False
    earlier: bool = False
    rank: tuple = ()
    filled: int = 0


def willing(orders, side, price):
    return sum(one.size for one in orders if one.side == side and (price - one.price) * side <= 0)


def clearing_price(orders, reference, prices):
    """Price and lots: most volume, least left over, with the pressure, nearest to the reference (the lower one)."""
    volume = {price: min(willing(orders, 1, price), willing(orders, -1, price)) for price in prices}
    most = max(volume.values())
    if most == 0:
        return 0, 0
    left = {price: willing(orders, 1, price) - willing(orders, -1, price) for price in prices if volume[price] == most}
    least = min(abs(lots) for lots in left.values())
    best = {price: lots for price, lots in left.items() if abs(lots) == least}
    # Buyers who are left over push up to the highest of their prices, sellers down to the lowest of theirs.
    pushed = {max((p for p, lots in best.items() if lots > 0), default=0)}
    pushed |= {min((p for p, lots in best.items() if lots < 0), default=0)}
    best = [price for price, lots in best.items() if lots == 0 or price in pushed]
    return min(best, key=lambda price: (abs(price - reference), price)), most


def serve(orders, price, volume):
    """Fill both sides lot by lot: better prices, then earlier batches, then by the draw."""
    for side in (1, -1):
        queue = sorted(
            (one for one in orders if one.side == side and (price - one.price) * side <= 0),
            key=lambda one: (-one.side * one.price, not one.earlier, one.rank),
        )
        lots = volume
        for one in queue:
            one.filled = min(one.size, lots)
            lots -= one.filled
