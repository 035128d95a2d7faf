"""Arbitrageurs: take quotes that lag behind the external price, and learn how much to bid for it."""

import math

import mesa

from blockspace.network.draws import stream_key

from .beliefs import Belief
from .draws import draw_uniform
from .ordering import WITHOUT_TIPS
from .taker import send_taking_order


class Arbitrageur(mesa.Agent):
    stream = "arbitrageurs"

    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.tips_count = model.settings.chain.ordering not in WITHOUT_TIPS
        self.protected = model.settings.chain.revert_protection or model.settings.builders.count > 0
        self.batching = model.settings.venue.matching == "batch"
        self.races = 0
        self.beliefs = {number: Belief() for number in range(4)}  # by how often the profit pays for the gas
        self.classes_seen = set()
        self.most_copies = settings.most_copies
        self.copies_share = 0.1  # of the expected profit that is spent on copies of an order
        self.usual_return = 0.0
        self.tries = 0
        self.key = stream_key(seed, f"{self.stream}/{number}")
        self.account, self.access, self.instrument = place
        self.learning_rate = settings.learning_rate
        self.look_interval = int(settings.look_interval_s * 1e9)
        self.success = 0.5  # expected share of tries that trade, or of those that come first
        self.realised = 1.0  # expected share of the profit in sight that a success earns
        self.next_look = 0
        self.pending = False
        self.sent_at = 0
        self.landing = 0  # block of the last order
        self.forgone = 0.0  # profits in sight that were not tried, after gas

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + self.look_interval
        if self.pending and outlook.view.settled >= self.landing:
            self.learn(outlook)
        if not self.pending:
            self.seize(outlook)

    def seize(self, outlook):
        """Send an order against the side of the book that promises more than it costs."""
        self.take_stale_quotes(outlook, 1)
        if not self.pending:
            self.take_stale_quotes(outlook, -1)

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def learn(self, outlook):
        """Find out what became of the last order."""
        self.pending = False
        receipt = self.model.feed.receipts.get(self.account)
        landed = receipt is not None and receipt.decided == self.sent_at
        won = landed and receipt.successes > 0
        if self.batching:
            returned = min(max(self.earned(outlook.view, outlook.external_price) / self.stake, 0.0), 1.0)
            self.success += self.learning_rate * (returned - self.success)
            return
        if self.tips_count:
            self.learn_from_race(won, outlook.view)
            return
        self.success += self.learning_rate * (float(won) - self.success)
        self.learn_copies(receipt if landed else None, outlook.view)

    def learn_from_race(self, won, view):
        """Learn what rivals bid, how often the first one trades, and what a success earns."""
        if won:
            earned = self.earned(view, self.price)
            self.realised += self.learning_rate * (min(max(earned / self.stake, 0.0), 1.0) - self.realised)
        bids = self.model.feed.race(self.landing, self.race)
        if bids is None:
            return
        if not bids:
            self.learn_bids(None, None, None)
            self.success += 0.002 * self.learning_rate * (1.0 - self.success)
            return
        bidder, tip, succeeded = bids[0]
        best = self.share_of(tip)
        others = [self.share_of(tip) for account, tip, _ in bids if account != bidder]
        self.learn_bids(bidder, best, others[0] if others else None)
        if best > 0.0 or bidder == self.account:
            self.success += self.learning_rate * (float(succeeded) - self.success)

    def learn_bids(self, *bids):
        """Learn of the class of the last race, and of those of which none has been seen."""
        self.classes_seen.add(self.race_class)
        for number, belief in self.beliefs.items():
            if number == self.race_class or number not in self.classes_seen:
                belief.learn(self.learning_rate, *bids)

    def share_of(self, tip):
        """What a tip is worth as a share of what there was to bid in the last race."""
        beyond = max(tip - self.usual_tip, 0)
        return self.model.feed.gas_paid_usd(self.gas, beyond, self.price) / self.room

    def learn_copies(self, receipt, view):
        """Spend more on copies if more of them went with a return above the usual one, or fewer with one below."""
        returned = 0.0
        if receipt:
            paid = self.model.feed.gas_paid_usd(receipt.landed_gas, receipt.gas_price, self.price)
            returned = min(max((self.earned(view, self.price) - paid) / self.stake, -1.0), 1.0)
        tilt = min(max(math.log(self.copies / self.usual_copies) / 0.25, -2.0), 2.0)
        self.copies_share *= math.exp(self.learning_rate * tilt * (returned - self.usual_return))
        self.copies_share = min(max(self.copies_share, 1e-3), 1.0)
        self.usual_return += self.learning_rate * (returned - self.usual_return)

    def earned(self, view, price):
        """Dollars of the last try's trades before gas, valued at an external price."""
        instrument = self.instrument
        earned = 0.0
        for trade in self.model.venue.tape.trades[self.trades_seen : view.trades]:
            if trade.instrument == instrument.number and self.account in (trade.taker, trade.maker):
                takes = trade.taker == self.account
                side, fee = (trade.side, trade.taker_fee) if takes else (-trade.side, trade.maker_fee)
                if trade.pool is not None:
                    gain = side * (price * trade.size * instrument.lot_size - trade.notional * 1e-6)
                else:
                    gain = side * (price - trade.price * instrument.tick) * trade.size * instrument.lot_size
                earned += gain - fee * 1e-6
        return earned

    def number_of_copies(self, profit, cost):
        most = float(self.most_copies)
        if cost > 0.0:
            most = max(min(most, profit / cost), 1.0)
        self.usual_copies = most
        if cost > 0.0:
            self.usual_copies = min(max(self.copies_share * profit / cost, 1.0), most)
        tilt = 0.25 if draw_uniform(self.key, self.tries, 0) < 0.5 else -0.25
        wanted = min(max(self.usual_copies * math.exp(tilt), 1.0), most)
        return int(wanted + draw_uniform(self.key, self.tries, 1))

    def take_stale_quotes(self, outlook, side):
        """Send an order against one side of the book if it promises more than it costs."""
        instrument, view = self.instrument, outlook.view
        price, fee = outlook.external_price, instrument.taker_fee
        limit = price * (1.0 - side * fee) / instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        lots, cost = view.quotes[instrument.number].lots_within(side, limit)
        if lots == 0:
            return
        paid = cost * instrument.tick
        profit = (side * (lots * price - paid) - fee * paid) * instrument.lot_size
        if profit <= 0.0:
            return
        bid = self.bid(("book", instrument.number, side), self.model.gas.place, profit, outlook)
        if bid is None:
            return
        for copy in range(self.copies):
            send_taking_order(self, side, lots, limit, outlook.decision, self.model.block.time, *bid, copy)
        self.remember(outlook)

    def bid(self, race, gas, profit, outlook):
        """Maximum fee and tip for a profit in dollars, or None if the try is not worth its costs."""
        feed, view, price = self.model.feed, outlook.view, outlook.external_price
        usual_tip = feed.wallet_tip(view)
        cost = feed.gas_cost_usd(gas, view.base_fee + usual_tip, price)
        races = self.tips_count and not self.batching
        hoped = profit if races or self.protected else self.success * profit
        if hoped <= cost:
            if not races:
                self.success += 0.002 * self.learning_rate * (1.0 - self.success)
            self.forgone += max(profit - cost, 0.0)
            return None
        self.copies = 1
        self.stake = profit
        self.price = price
        self.trades_seen = view.trades
        tip = usual_tip
        if races:
            self.race, self.gas, self.usual_tip, self.room = race, gas, usual_tip, profit - cost
            self.pending = True
            self.sent_at = -1
            self.landing = self.model.block.number
            tip = self.tip_in_race(profit, cost)
            if tip is None:
                return None
        elif not self.batching:
            self.copies = self.number_of_copies(profit, cost)
        return feed.fee_worth(gas, profit, price), tip

    def tip_in_race(self, profit, cost):
        """Tip that answers what the best rival is believed to bid, or None to stay out."""
        self.races += 1
        prize = self.realised * profit * (1.0 if self.protected else self.success)
        draws = draw_uniform(self.key, self.races, 2), draw_uniform(self.key, self.races, 3)
        paid_for = [8.0**power for power in (1, 2, 3) if cost * 8.0**power < profit]
        self.race_class = len(paid_for)
        share = self.beliefs[self.race_class].choose(
            self.learning_rate, prize, cost, self.room, not self.protected, *draws
        )
        if share is None:
            return None
        return self.usual_tip + self.model.feed.tip_worth(self.gas, share * self.room, self.price)

    def remember(self, outlook):
        self.tries += 1
        self.pending = True
        self.sent_at = outlook.decision
        self.landing = self.model.block.number
