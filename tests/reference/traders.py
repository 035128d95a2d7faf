"""Noise traders with private values, informed traders with a signal."""

import math

import mesa

from blockspace.network.draws import stream_key

from .constants import NEVER
from .draws import draw_exponential, draw_normal, draw_uniform
from .taker import send_taking_order

GAP, SIDE, SIZE, VALUE, SIGNAL = range(5)


class RandomTrader(mesa.Agent):
    """Wakes at random moments of its own, and trades if that is worth more than it costs."""

    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.account, self.access, self.instrument = place
        self.rate = settings.orders_per_s / settings.count
        self.mean_lots = settings.size_mean / self.instrument.lot_size
        self.size_sigma = math.sqrt(math.log(1.0 + settings.size_variation**2))
        self.patience = int(settings.patience_s * 1e9)
        self.key = stream_key(seed, f"traders/{type(settings).__name__}/{number}")
        self.wakes = 0
        self.next_wake = NEVER
        if self.rate > 0.0:
            self.next_wake = int(draw_exponential(self.key, 0, GAP) / self.rate * 1e9)

    def act(self):
        until = self.model.block.time
        while self.next_wake <= until:
            price = self.model.path.price_at(self.next_wake)
            side, value = self.opinion(price)
            self.trade_if_worth_it(price, side, self.size(), value)
            self.wakes += 1
            gap = draw_exponential(self.key, self.wakes, GAP) / self.rate * 1e9
            self.next_wake += int(min(gap, 1e18)) + 1

    def due(self):
        return self.next_wake

    def size(self):
        lots = self.mean_lots
        if self.size_sigma > 0.0:
            normal = draw_normal(self.key, self.wakes, SIZE)
            lots *= math.exp(self.size_sigma * normal - 0.5 * self.size_sigma * self.size_sigma)
        return int(max(min(lots + 0.5, 1e8), 1.0))

    def trade_if_worth_it(self, external_price, side, size, value):
        """``value`` is what the trade is worth, as a fraction of its notional at the external price."""
        feed, instrument, now = self.model.feed, self.instrument, self.next_wake
        view = feed.view_at(self.access, now)
        quotes = view.quotes[instrument.number]
        tip = feed.wallet_tip(view)
        gas = self.model.gas.place
        notional = size * instrument.lot_size * external_price
        gas_share = feed.gas_cost_usd(gas, view.base_fee + tip, external_price) / notional
        spare = value - instrument.taker_fee - gas_share
        limit = external_price * (1.0 + side * spare) / instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        lots, _ = quotes.lots_within(side, limit)
        if spare <= -1.0 or lots == 0 or limit <= 0:
            return
        filled, price = quotes.average_price(side, size)
        paid = side * (price * instrument.tick / external_price - 1.0) + instrument.taker_fee
        surplus = (value - paid) * filled * instrument.lot_size * external_price
        max_fee = max(feed.fee_worth(gas, surplus, external_price), view.base_fee + tip)
        send_taking_order(self, side, size, limit, now, now + self.patience, max_fee, tip)


class NoiseTrader(RandomTrader):
    def __init__(self, model, settings, number, place, seed):
        super().__init__(model, settings, number, place, seed)
        self.mean_value = settings.value_bps / 1e4

    def opinion(self, price):
        """Either side, and a private value."""
        side = 1 if draw_uniform(self.key, self.wakes, SIDE) < 0.5 else -1
        return side, self.mean_value * draw_exponential(self.key, self.wakes, VALUE)


class InformedTrader(RandomTrader):
    def __init__(self, model, settings, number, place, seed):
        super().__init__(model, settings, number, place, seed)
        self.horizon = int(settings.horizon_s * 1e9)
        self.noise = settings.noise

    def opinion(self, price):
        """The move of the external price that is to be expected, given a noisy signal of it."""
        path, now = self.model.path, self.next_wake
        move = math.log(path.price_at(now + self.horizon) / price)
        usual = math.sqrt(path.node_at(now).variance * self.horizon * 1e-9)
        signal = move + self.noise * usual * draw_normal(self.key, self.wakes, SIGNAL)
        expected = signal / (1.0 + self.noise * self.noise)
        return (1 if expected > 0.0 else -1), abs(expected)
