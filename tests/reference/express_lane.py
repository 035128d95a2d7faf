"""The express lane: auctions at the second price, and what bidders learn of its worth."""

import math
from dataclasses import dataclass
from typing import Any

from blockspace.network.draws import stream_key

from .draws import draw_bits, draw_normal, draw_uniform


@dataclass
class Bidder:
    """What an arbitrageur remembers of the lane."""

    agent: Any
    key: int
    home: int  # access point without the lane
    profit: float = 0.0
    missed: float = 0.0
    forgone_before: float = 0.0
    with_lane: float = 0.0
    without_lane: float = 0.0
    usually_missed: float = 0.0
    rounds_with: int = 0
    rounds_without: int = 0
    bid: int = 0  # gwei

    def look_back(self, feed):
        """Add what the last try brought, if its fate is known by now, and what others got."""
        agent = self.agent
        self.missed += agent.forgone - self.forgone_before
        self.forgone_before = agent.forgone
        outlook = feed.outlook_at(agent.access)
        if not agent.pending or outlook is None or outlook.decision < agent.next_look:
            return
        if outlook.view.settled < agent.landing:
            return
        earned = agent.earned(outlook.view, agent.price)
        self.profit += earned
        self.missed += max(agent.stake - max(earned, 0.0), 0.0)
        receipt = feed.receipts.get(agent.account)
        if receipt is not None and receipt.decided == agent.sent_at:
            self.profit -= feed.gas_paid_usd(receipt.landed_gas, receipt.gas_price, agent.price)

    def expected_with_lane(self):
        return self.with_lane if self.rounds_with else self.without_lane + self.usually_missed

    def learn(self, held):
        if held:
            self.with_lane = self.expected_with_lane()
            self.rounds_with += 1
            rate = max(self.agent.learning_rate, 1.0 / (self.rounds_with + 1.0))
            self.with_lane += rate * (self.profit - self.with_lane)
        else:
            self.rounds_without += 1
            rate = max(self.agent.learning_rate, 1.0 / self.rounds_without)
            self.without_lane += rate * (self.profit - self.without_lane)
            self.usually_missed += rate * (self.missed - self.usually_missed)
        self.profit = self.missed = 0.0

    def decide(self, feed, price, number):
        """What to bid for a round, knowing the external price (None before the first look), in gwei."""
        self.bid = 0
        if price is None or draw_uniform(self.key, 1, number) < 0.1:
            return
        usual = 0.5 * (abs(self.expected_with_lane()) + abs(self.without_lane))
        disturbance = 0.1 * usual * draw_normal(self.key, 0, number)
        worth = self.expected_with_lane() - self.without_lane + disturbance
        self.bid = int(min(max(worth / feed.ether_usd(price) * 1e9, 0.0), 1e17))


class ExpressLane:
    def __init__(self, model, settings, agents, seed):
        self.model = model
        self.length = round(settings.round_s * 1e9)
        self.closes = round(settings.closes_s * 1e9)
        self.reserve_usd = settings.reserve_usd
        self.key = stream_key(seed, "express_lane/ties")
        self.bidders = [
            Bidder(agent, stream_key(seed, f"express_lane/bids/{number}"), agent.access)
            for number, agent in enumerate(agents)
        ]
        self.round = self.sold = 0
        self.holder = self.buyer = None
        self.prices = []  # per auction: round, account of the holder or -1, gwei

    def auction(self, block):
        """Close the auction of a round and begin a round, if this block is the first that is late enough."""
        closing = (block.time + self.closes) // self.length
        if closing > self.sold:
            self.sell(closing, block)
        number = block.time // self.length
        if number > self.round:
            buyer = self.buyer if self.sold == number else None
            for bidder in self.bidders:
                bidder.learn(bidder is self.holder)
                express = len(self.model.chain.access_points) if bidder is buyer else 0
                bidder.agent.access = bidder.home + express
            self.holder, self.round = buyer, number
        for bidder in self.bidders:
            bidder.look_back(self.model.feed)

    def sell(self, number, block):
        feed, ledger = self.model.feed, self.model.venue.ledger
        for bidder in self.bidders:
            bidder.decide(feed, feed.last_price(bidder.agent.access), number)
        reserve = math.ceil(self.reserve_usd / feed.ether_usd(self.model.path.price_at(block.time)) * 1e9)
        valid = [
            one
            for one in self.bidders
            if one.bid > 0 and one.bid >= reserve and ledger.accounts[one.agent.account].wei >= one.bid * 10**9
        ]
        valid.sort(key=lambda one: (one.bid, draw_bits(self.key, one.agent.account, number)), reverse=True)
        self.sold, self.buyer = number, valid[0] if valid else None
        price = max([reserve, *(one.bid for one in valid[1:])])
        if valid:
            ledger.transfer_wei(valid[0].agent.account, block.producer.account, price * 10**9)
        self.prices.append((number, valid[0].agent.account, price) if valid else (number, -1, 0))

    def due(self):
        return min((self.sold + 1) * self.length - self.closes, (self.round + 1) * self.length)
