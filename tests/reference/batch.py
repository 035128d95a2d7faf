"""Batch auctions: a list of orders that wait, and every price tried that could be the best."""

from dataclasses import dataclass

from tests.markets.slow_batch import clearing_price

from .constants import BUY, IMMEDIATE_OR_CANCEL, LIMIT, PRICE_OUT_OF_RANGE, SELL, SIZE_NOT_POSITIVE, WOULD_CROSS
from .order_book import PRICES, Trade


@dataclass(eq=False)
class BatchOrder:
    """An order of the auction: one that waits, or one that rests from an earlier batch."""

    handle: int
    owner: int
    side: int
    price: int
    size: int
    style: int = LIMIT
    loss: int = 0  # micro-dollars kept free for it
    transaction: object = None
    block: int = 0
    rank: tuple = ()
    filled: int = 0

    @property
    def lapses(self):
        return self.style == IMMEDIATE_OR_CANCEL

    @property
    def rests(self):
        return self.transaction is None

    @property
    def priority(self):
        return -self.side * self.price, not self.rests, self.rank


class Batch:
    def __init__(self, book):
        self.book = book
        self.waiting = []
        self.reserved = {}  # by account, micro-dollars

    def find(self, handle):
        return next((one for one in self.waiting if one.handle == handle and not one.lapses), None)

    def enter(self, order):
        """Let an order wait; 0, or why not."""
        book = self.book
        if order.size <= 0:
            return SIZE_NOT_POSITIVE
        if not 1 <= order.price < PRICES:
            return PRICE_OUT_OF_RANGE
        if not order.lapses:
            if order.handle in book.orders or self.find(order.handle):
                return -1
            if order.style not in (LIMIT, IMMEDIATE_OR_CANCEL) and book.crosses(order.side, order.price):
                return WOULD_CROSS
        order.rank = order.transaction.tie, len(self.waiting)
        self.waiting.append(order)
        self.reserved[order.owner] = self.reserved.get(order.owner, 0) + order.loss
        return 0

    def withdraw(self, handle):
        """Lots withdrawn; what was kept free for them stays so until the batch clears."""
        order = self.find(handle)
        if order is None:
            return 0
        size, order.size, order.handle = order.size, 0, -1
        return size

    def lots(self, account):
        return tuple(
            sum(one.size for one in self.waiting if one.owner == account and one.side == side) for side in (BUY, SELL)
        )

    def clear(self, reference, block):
        """Trade at one price, let rest what may, and tell transactions of this block what they got."""
        book = self.book
        resting = [BatchOrder(one.handle, one.owner, one.side, one.price, one.size) for one in book.orders.values()]
        for side in (BUY, SELL):
            for level in book.levels[side].values():
                for number, order in enumerate(level.queue.values()):
                    next(one for one in resting if one.handle == order.handle).rank = (number,)
        orders = resting + [one for one in self.waiting if one.size > 0]
        limits = {one.price for one in orders} | {reference}
        candidates = {price + step for price in limits for step in (-1, 0, 1)}
        price, volume = clearing_price(orders, reference, sorted(candidates)) if orders else (0, 0)
        self.trade(orders, price, volume)
        for one in resting:
            if one.filled:
                order = book.orders[one.handle]
                order.size -= one.filled
                book.levels[order.side][order.price].volume -= one.filled
                if not order.size:
                    book.remove(order)
        for one in self.waiting:
            if one.filled and one.block == block:
                one.transaction.filled += one.filled
            if one.size > one.filled and not one.lapses:
                assert book.place(one.handle, one.owner, one.side, one.price, one.size - one.filled, LIMIT) == 0
        self.waiting, self.reserved = [], {}

    def trade(self, orders, price, volume):
        """Match both sides in the order of their priority."""
        book, tape = self.book, self.book.tape
        queues = {side: sorted((o for o in orders if o.side == side), key=lambda o: o.priority) for side in (BUY, SELL)}
        while volume:
            buyer, seller = (next(one for one in queues[side] if one.filled < one.size) for side in (BUY, SELL))
            lots = min(volume, buyer.size - buyer.filled, seller.size - seller.filled)
            if buyer.rests or seller.rests:
                buyer_takes = seller.rests
            elif buyer.lapses != seller.lapses:
                buyer_takes = buyer.lapses
            else:
                buyer_takes = self.waiting.index(buyer) > self.waiting.index(seller)
            maker, taker = (seller, buyer) if buyer_takes else (buyer, seller)
            notional = price * lots * book.tick_lot_value
            fees = (-(-notional * ppm // 10**6) for ppm in (book.maker_fee_ppm, book.taker_fee_ppm))
            tape.trades.append(
                Trade(tape.time, tape.block, book.instrument, price, lots, taker.side, maker.owner, taker.owner,
                      maker.handle, *fees, tape.external_price)
            )  # fmt: skip
            buyer.filled += lots
            seller.filled += lots
            volume -= lots
