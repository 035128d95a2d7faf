"""Leveraged traders: open, hold, close, stop out, and give up when nothing is left."""

import math

import mesa

from blockspace.network.draws import stream_key

from .constants import NEVER
from .draws import draw_exponential, draw_normal, draw_uniform
from .taker import send_taking_order

FLAT, OPENING, HOLDING, CLOSING, GONE = range(5)
LEVERAGE, HAS_STOP, STOP, EQUITY, GAP, SIDE, VALUE, HOLD = range(8)


class LeveragedTrader(mesa.Agent):
    @staticmethod
    def endowment(settings, number, seed):
        sigma = math.sqrt(math.log(1.0 + settings.equity_variation**2))
        normal = draw_normal(stream_key(seed, f"leveraged/{number}"), 0, EQUITY)
        return settings.equity_mean_usd * math.exp(sigma * normal - 0.5 * sigma * sigma)

    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.settings = settings
        self.account, self.access, self.instrument = place
        self.key = stream_key(seed, f"leveraged/{number}")
        sigma = math.sqrt(math.log(1.0 + settings.leverage_variation**2))
        normal = draw_normal(self.key, 0, LEVERAGE)
        most = 1.0 / model.settings.instruments[self.instrument.number].initial_margin
        self.leverage = min(settings.leverage_mean * math.exp(sigma * normal - 0.5 * sigma * sigma), most)
        self.stop = 0.0
        if draw_uniform(self.key, 0, HAS_STOP) < settings.stop_loss_share:
            self.stop = min(settings.stop_distance_bps * 1e-4 * draw_exponential(self.key, 0, STOP), 0.99)
        self.rate = settings.openings_per_h / 3600.0
        self.next_wake = int(draw_exponential(self.key, 0, GAP) / self.rate * 1e9) if self.rate > 0.0 else NEVER
        self.cash = model.venue.ledger.accounts[self.account].cash
        self.status, self.lots = FLAT, 0
        self.stop_mark = None
        self.sent_at = self.expires = self.rounds = self.opened = self.stopped = self.balked = 0

    def due(self):
        if self.next_wake > self.model.feed.outlooks[self.access].decision:
            return self.next_wake + self.model.chain.shortest_latency[self.access]
        return NEVER  # it watches

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None:
            return
        mark = outlook.view.marks[self.instrument.number]
        stopped = self.stop_mark is not None and (
            mark <= self.stop_mark if self.lots > 0 else mark >= self.stop_mark
        )  # fmt: skip
        if mark > 0 and (self.next_wake <= outlook.decision or stopped):
            self.wake(outlook, mark)

    def wake(self, outlook, mark):
        feed, now, view = self.model.feed, outlook.decision, outlook.view
        if self.status in (OPENING, CLOSING):
            receipt = feed.receipts.get(self.account)
            landed = receipt and receipt.decided == self.sent_at and receipt.block <= view.settled
            if not landed and view.time < self.expires:
                return
        statement = feed.statements.get(self.account)
        if statement:
            if statement.block > view.settled:
                return
            self.cash, self.lots = statement.cash, statement.lots
        if self.lots:
            if self.status == OPENING:
                self.hold(now, mark)
            else:
                self.stopped += self.status == HOLDING and self.next_wake > now
                self.close(outlook, mark)
        elif self.status == FLAT and statement and statement.claims > view.cleared:
            return
        elif self.status == FLAT:
            self.open(outlook, mark)
        else:
            self.pause(now)

    def pause(self, now):
        self.status = FLAT
        self.rounds += 1
        self.stop_mark = None
        self.next_wake = now + int(min(draw_exponential(self.key, self.rounds, GAP) / self.rate * 1e9, 1e18)) + 1

    def hold(self, now, mark):
        self.status = HOLDING
        self.opened += 1
        seconds = draw_exponential(self.key, self.rounds, HOLD) * self.settings.holding_mean_s
        self.next_wake = now + int(min(seconds * 1e9, 1e18)) + 1
        if self.stop:
            self.stop_mark = int(mark * (1.0 - self.stop) if self.lots > 0 else mark * (1.0 + self.stop))

    def give_up(self):
        self.status = GONE
        self.next_wake = NEVER

    def send(self, outlook, side, size, limit, max_fee):
        now, tip = outlook.decision, self.model.feed.wallet_tip(outlook.view)
        self.sent_at = self.next_wake = now
        self.expires = now + int(self.settings.patience_s * 1e9)
        send_taking_order(self, side, size, limit, now, self.expires, max_fee, tip)

    def open(self, outlook, mark):
        feed, view, price, instrument = self.model.feed, outlook.view, outlook.external_price, self.instrument
        gas, fee = self.model.gas.place, instrument.taker_fee
        side = 1 if draw_uniform(self.key, self.rounds, SIDE) < self.settings.long_share else -1
        value = self.settings.value_bps * 1e-4 * draw_exponential(self.key, self.rounds, VALUE)
        size = int(self.leverage * self.cash / mark)
        if size < 1:
            return self.give_up()
        fees = view.base_fee + feed.wallet_tip(view)
        gas_usd = feed.gas_cost_usd(gas, fees, price)
        spare = value - 2.0 * fee - 2.0 * gas_usd / (size * mark * 1e-6)
        limit = price * (1.0 + side * spare) / instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        quotes = view.quotes[instrument.number]
        if spare <= -1.0 or limit <= 0 or quotes.lots_within(side, limit)[0] == 0:
            self.balked += 1
            return self.pause(outlook.decision)
        loss = max(side * (limit * instrument.tick * instrument.lot_size * 1e6 - mark), 0.0)
        margin = self.model.settings.instruments[instrument.number].initial_margin
        size = min(size, int(self.cash / (margin * mark + loss)))
        if size < 1:
            return self.give_up()
        filled, average = quotes.average_price(side, size)
        paid = side * (average * instrument.tick / price - 1.0) + 2.0 * fee
        surplus = (value - paid) * filled * mark * 1e-6 - gas_usd
        self.send(outlook, side, size, limit, max(feed.fee_worth(gas, surplus, price), fees))
        self.status = OPENING
        return None

    def close(self, outlook, mark):
        side = -1 if self.lots > 0 else 1
        limit = outlook.external_price * (1.0 + side * self.settings.closing_bps * 1e-4) / self.instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        self.stop_mark = None
        self.status, self.next_wake = HOLDING, outlook.decision
        if limit > 0 and outlook.view.quotes[self.instrument.number].lots_within(side, limit)[0]:
            spend = self.settings.closing_bps * 1e-4 * abs(self.lots) * mark * 1e-6
            max_fee = self.model.feed.fee_worth(self.model.gas.place, spend, outlook.external_price)
            self.send(outlook, side, min(abs(self.lots), 2**31 - 1), limit, max_fee)
            self.status = CLOSING
