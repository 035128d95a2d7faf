"""Arbitrageurs: take quotes that lag behind the external price, and learn how much to bid for it."""

import math

import mesa

from .constants import SUCCEEDED
from .taker import send_taking_order


class Arbitrageur(mesa.Agent):
    def __init__(self, model, settings, place):
        super().__init__(model)
        self.account, self.access, self.instrument = place
        self.learning_rate = settings.learning_rate
        self.look_interval = int(settings.look_interval_s * 1e9)
        self.bid_share = 0.1  # of the expected profit
        self.success = 0.5  # expected share of tries that trade
        self.next_look = 0
        self.pending = False
        self.sent_at = 0
        self.landing = 0  # block of the last order

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + self.look_interval
        if self.pending and outlook.view.number >= self.landing:
            self.learn()
        if not self.pending:
            self.seize(outlook)

    def seize(self, outlook):
        """Send an order against the side of the book that promises more than it costs."""
        _ = self.take_stale_quotes(outlook, 1) or self.take_stale_quotes(outlook, -1)

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def learn(self):
        """Find out what became of the last order."""
        self.pending = False
        receipt = self.model.feed.receipts.get(self.account)
        won = receipt and receipt.decided == self.sent_at and receipt.status == SUCCEEDED
        if won:
            self.success += self.learning_rate * (1.0 - self.success)
            self.bid_share -= self.learning_rate * 0.25 * self.bid_share
        else:
            self.success -= self.learning_rate * self.success
            self.bid_share += self.learning_rate * (1.0 - self.bid_share)

    def take_stale_quotes(self, outlook, side):
        """Send an order against one side of the book if it promises more than it costs; whether it did."""
        instrument, view = self.instrument, outlook.view
        price, fee = outlook.external_price, instrument.taker_fee
        limit = price * (1.0 - side * fee) / instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        lots, cost = view.quotes[instrument.number].lots_within(side, limit)
        if lots == 0:
            return False
        paid = cost * instrument.tick
        profit = (side * (lots * price - paid) - fee * paid) * instrument.lot_size
        if profit <= 0.0:
            return False
        bid = self.bid(self.model.gas.place, profit, outlook)
        if bid is None:
            return False
        send_taking_order(self, side, lots, limit, outlook.decision, self.model.block.time, *bid)
        self.remember(outlook)
        return True

    def bid(self, gas, profit, outlook):
        """Maximum fee and tip for a profit in dollars, or None if the try is not worth its costs."""
        feed, view, price = self.model.feed, outlook.view, outlook.external_price
        usual_tip = feed.wallet_tip(view)
        hoped = self.success * profit
        if hoped <= feed.gas_cost_usd(gas, view.base_fee + usual_tip, price):
            # Hope returns slowly to those who stay away.
            self.success += 0.1 * self.learning_rate * (1.0 - self.success)
            return None
        gas_usd = feed.gas_cost_usd(gas, view.base_fee, price)
        bid = feed.fee_worth(gas, min(self.bid_share * (profit - gas_usd), hoped - gas_usd), price)
        return feed.fee_worth(gas, profit, price), max(bid, usual_tip)

    def remember(self, outlook):
        self.pending = True
        self.sent_at = outlook.decision
        self.landing = self.model.block.number
