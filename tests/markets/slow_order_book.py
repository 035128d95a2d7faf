"""The slow, obvious twin of the order book: a dictionary of orders and a deque for each price."""

from collections import deque
from dataclasses import dataclass

from blockspace.markets.matching import (
    CANCEL,
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    NOT_OWNER,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    REPLACE,
    SIZE_NOT_POSITIVE,
    SIZE_TOO_LARGE,
    UNKNOWN_KIND,
    UNKNOWN_ORDER,
    UNKNOWN_SIDE,
    WOULD_CROSS,
)


@dataclass
class Order:
    handle: int
    owner: int
    side: int
    price: int
    size: int


class SlowOrderBook:
    def __init__(self, orders, levels, maker_fee_ppm=0, taker_fee_ppm=0, tick_lot_value=1):
        self.handles = orders
        self.levels = levels
        self.largest_size = min(2**31 - 1, (2**63 - 1) // (levels * tick_lot_value))
        self.maker_fee_ppm = maker_fee_ppm
        self.taker_fee_ppm = taker_fee_ppm
        self.tick_lot_value = tick_lot_value
        self.orders = {}
        self.queues = {+1: {}, -1: {}}
        self.trades = []

    def apply(self, messages):
        """Apply messages given as tuples (kind, side, order, owner, price, size); return the outcomes."""
        return [self.apply_one(*message) for message in messages]

    def apply_one(self, kind, side, handle, owner, price, size):
        if kind == CANCEL:
            return self.cancel(handle, owner)
        if kind == REPLACE:
            return self.replace(handle, owner, price, size)
        return self.place(handle, owner, side, price, size, kind)

    def best(self, side):
        prices = self.queues[side]
        if side > 0:
            return max(prices, default=0)
        return min(prices, default=self.levels)

    def place(self, handle, owner, side, price, size, kind):
        if kind not in (LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET):
            return UNKNOWN_KIND
        if side not in (+1, -1):
            return UNKNOWN_SIDE
        if size <= 0:
            return SIZE_NOT_POSITIVE
        if size > self.largest_size:
            return SIZE_TOO_LARGE
        if kind == MARKET:
            price = self.levels - 1 if side > 0 else 1
        if not 1 <= price < self.levels:
            return PRICE_OUT_OF_RANGE
        if kind in (LIMIT, POST_ONLY):
            if not 0 <= handle < self.handles:
                return UNKNOWN_ORDER
            if handle in self.orders:
                return HANDLE_IN_USE
            if kind == POST_ONLY and self.crosses(side, price):
                return WOULD_CROSS
        filled = self.match(owner, side, price, size)
        if kind in (LIMIT, POST_ONLY) and filled < size:
            order = Order(handle, owner, side, price, size - filled)
            self.orders[handle] = order
            self.queues[side].setdefault(price, deque()).append(order)
        return filled

    def crosses(self, side, price):
        if side > 0:
            return price >= self.best(-1)
        return price <= self.best(+1)

    def match(self, owner, side, limit, size):
        filled = 0
        while filled < size and self.crosses(side, limit) and self.queues[-side]:
            resting = self.queues[-side][self.best(-side)][0]
            if resting.owner == owner:
                self.remove(resting)
                continue
            lots = min(size - filled, resting.size)
            self.record_trade(resting, owner, side, lots)
            filled += lots
            resting.size -= lots
            if resting.size == 0:
                self.remove(resting)
        return filled

    def record_trade(self, resting, taker, side, lots):
        notional = resting.price * lots * self.tick_lot_value
        maker_fee = -(-notional * self.maker_fee_ppm // 10**6)
        taker_fee = -(-notional * self.taker_fee_ppm // 10**6)
        time, block, external_price, instrument = 0, 0, 0.0, 0
        context = (time, block, external_price)
        fees = (maker_fee, taker_fee)
        parties = (resting.owner, taker, resting.handle)
        self.trades.append(
            (*context, *fees, resting.price, lots, *parties, instrument, side, 0, 0, 0)
        )  # no pool, no debtor

    def remove(self, order):
        del self.orders[order.handle]
        queue = self.queues[order.side][order.price]
        queue.remove(order)
        if not queue:
            del self.queues[order.side][order.price]

    def cancel(self, handle, owner):
        if handle not in self.orders:
            return UNKNOWN_ORDER
        order = self.orders[handle]
        if order.owner != owner:
            return NOT_OWNER
        self.remove(order)
        return order.size

    def replace(self, handle, owner, price, size):
        if handle not in self.orders:
            return UNKNOWN_ORDER
        order = self.orders[handle]
        if order.owner != owner:
            return NOT_OWNER
        if size <= 0:
            return SIZE_NOT_POSITIVE
        if size > self.largest_size:
            return SIZE_TOO_LARGE
        if not 1 <= price < self.levels:
            return PRICE_OUT_OF_RANGE
        if price == order.price and size <= order.size:
            order.size = size
            return 0
        self.remove(order)
        return self.place(handle, owner, order.side, price, size, LIMIT)

    def depth_within(self, side, limit_price):
        return sum(
            sum(order.size for order in queue)
            for price, queue in self.queues[side].items()
            if (price - limit_price) * side >= 0
        )

    def cost_to_fill(self, side, size):
        filled = value = 0
        for price in sorted(self.queues[-side], reverse=side < 0):
            lots = min(size - filled, sum(order.size for order in self.queues[-side][price]))
            filled += lots
            value += lots * price
        return filled, value

    def resting_orders(self):
        """All orders in the order of price, then time."""
        queues = {**self.queues[+1], **self.queues[-1]}
        return [(price, order.handle, order.owner, order.size) for price in sorted(queues) for order in queues[price]]
