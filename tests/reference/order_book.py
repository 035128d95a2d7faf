"""A limit order book of dictionaries: a queue of orders for each price, and the sorted prices of each side."""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import NamedTuple

from .constants import (
    BUY,
    HANDLE_IN_USE,
    IMMEDIATE_OR_CANCEL,
    LIMIT,
    MARKET,
    NOT_OWNER,
    POST_ONLY,
    PRICE_OUT_OF_RANGE,
    SELL,
    SIZE_NOT_POSITIVE,
    SIZE_TOO_LARGE,
    UNKNOWN_KIND,
    UNKNOWN_ORDER,
    UNKNOWN_SIDE,
    WOULD_CROSS,
)

PRICES = 2**20


class Trade(NamedTuple):
    time: int
    block: int
    instrument: int
    price: int
    size: int
    side: int  # of the taker
    maker: int
    taker: int
    maker_handle: int
    maker_fee: int
    taker_fee: int
    external_price: float
    pool: int | None = None
    notional: int = 0  # micro-dollars of a swap without its fee, or of a position taken over
    cause: str = "order"


@dataclass(eq=False, slots=True)
class Order:
    handle: int
    owner: int
    side: int
    price: int
    size: int


@dataclass(eq=False, slots=True)
class Level:
    volume: int = 0
    queue: dict[int, Order] = field(default_factory=dict)  # by handle, oldest first


class TradeTape:
    """All trades so far, and the stamp that the next ones get."""

    def __init__(self):
        self.trades = []
        self.time = 0
        self.block = 0
        self.external_price = 0.0

    def close(self, instrument, side, price, lots, notional, debtor, other, cause):
        """Write that another account has taken over a part of a debtor's position."""
        stamp = self.time, self.block, instrument
        of_trade = price, lots, side, debtor, other, 0, 0, 0, self.external_price
        self.trades.append(Trade(*stamp, *of_trade, notional=notional, cause=cause))


class OrderBook:
    def __init__(self, tape, instrument=0, maker_fee_ppm=0, taker_fee_ppm=0, tick_lot_value=1):
        self.tape = tape
        self.instrument = instrument
        self.maker_fee_ppm = maker_fee_ppm
        self.taker_fee_ppm = taker_fee_ppm
        self.tick_lot_value = tick_lot_value
        self.largest_size = min(2**31 - 1, (2**63 - 1) // (PRICES * tick_lot_value))
        self.orders = {}
        self.levels = {BUY: {}, SELL: {}}
        self.prices = {BUY: [], SELL: []}  # ascending

    @property
    def best_bid(self):
        return self.prices[BUY][-1] if self.prices[BUY] else 0

    @property
    def best_ask(self):
        return self.prices[SELL][0] if self.prices[SELL] else PRICES

    def best_levels(self, side):
        """Price and volume of every level of a side, best first."""
        prices, levels = self.prices[side], self.levels[side]
        for price in reversed(prices) if side == BUY else prices:
            yield price, levels[price].volume

    def place(self, handle, owner, side, price, size, style):
        """Match an order and let the rest of a limit or post-only order rest; lots filled, or a refusal."""
        if style not in (LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET):
            return UNKNOWN_KIND
        if side not in (BUY, SELL):
            return UNKNOWN_SIDE
        if size <= 0:
            return SIZE_NOT_POSITIVE
        if size > self.largest_size:
            return SIZE_TOO_LARGE
        if style == MARKET:
            price = PRICES - 1 if side == BUY else 1
        if not 1 <= price < PRICES:
            return PRICE_OUT_OF_RANGE
        can_rest = style in (LIMIT, POST_ONLY)
        if can_rest and handle in self.orders:
            return HANDLE_IN_USE
        if style == POST_ONLY and self.crosses(side, price):
            return WOULD_CROSS
        filled = self.match(owner, side, price, size)
        if can_rest and filled < size:
            self.rest(Order(handle, owner, side, price, size - filled))
        return filled

    def crosses(self, side, price):
        return price >= self.best_ask if side == BUY else price <= self.best_bid

    def match(self, taker, side, limit, size):
        filled = 0
        while filled < size and self.prices[-side] and self.crosses(side, limit):
            level = self.levels[-side][self.best_ask if side == BUY else self.best_bid]
            resting = next(iter(level.queue.values()))
            if resting.owner == taker:
                self.remove(resting)
                continue
            lots = min(size - filled, resting.size)
            self.trade(resting, taker, side, lots)
            filled += lots
            if lots == resting.size:
                self.remove(resting)
            else:
                resting.size -= lots
                level.volume -= lots
        return filled

    def trade(self, resting, taker, side, lots):
        tape = self.tape
        notional = resting.price * lots * self.tick_lot_value
        maker_fee = -(-notional * self.maker_fee_ppm // 10**6)
        taker_fee = -(-notional * self.taker_fee_ppm // 10**6)
        tape.trades.append(
            Trade(
                tape.time, tape.block, self.instrument, resting.price, lots, side, resting.owner, taker,
                resting.handle, maker_fee, taker_fee, tape.external_price,
            )
        )  # fmt: skip

    def rest(self, order):
        levels = self.levels[order.side]
        level = levels.get(order.price)
        if level is None:
            level = levels[order.price] = Level()
            insort(self.prices[order.side], order.price)
        level.queue[order.handle] = order
        level.volume += order.size
        self.orders[order.handle] = order

    def remove(self, order):
        del self.orders[order.handle]
        level = self.levels[order.side][order.price]
        del level.queue[order.handle]
        level.volume -= order.size
        if not level.queue:
            del self.levels[order.side][order.price]
            prices = self.prices[order.side]
            del prices[bisect_left(prices, order.price)]

    def refusal(self, handle, owner):
        if handle not in self.orders:
            return UNKNOWN_ORDER
        return 0 if self.orders[handle].owner == owner else NOT_OWNER

    def cancel(self, handle, owner):
        """Lots cancelled, or a refusal."""
        refusal = self.refusal(handle, owner)
        if refusal:
            return refusal
        order = self.orders[handle]
        self.remove(order)
        return order.size

    def replace(self, handle, owner, price, size):
        """Shrink an order in its place, or cancel it and place it anew; lots filled, or a refusal."""
        refusal = self.refusal(handle, owner)
        if refusal:
            return refusal
        if size <= 0:
            return SIZE_NOT_POSITIVE
        if size > self.largest_size:
            return SIZE_TOO_LARGE
        if not 1 <= price < PRICES:
            return PRICE_OUT_OF_RANGE
        order = self.orders[handle]
        if price == order.price and size <= order.size:
            self.levels[order.side][price].volume -= order.size - size
            order.size = size
            return 0
        self.remove(order)
        return self.place(handle, owner, order.side, price, size, LIMIT)

    def cost_to_fill(self, side, size):
        """Lots that a market order would get, and their price times lots."""
        filled = value = 0
        for price, volume in self.best_levels(-side):
            if filled == size:
                break
            lots = min(size - filled, volume)
            filled += lots
            value += lots * price
        return filled, value
