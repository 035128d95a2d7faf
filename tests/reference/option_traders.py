"""Traders of options with private values: single series, and combinations that trade in full or not at all."""

import math
from types import SimpleNamespace

import mesa

from blockspace.markets.options.black_scholes import greeks
from blockspace.network.draws import stream_key

from .constants import COMBINATION, NEVER
from .draws import draw_exponential, draw_normal, draw_uniform
from .mempool import Transaction
from .taker import send_taking_order

YEAR_NS = 365 * 86_400 * 10**9
MILLION = 10**6
GAP, SIDE, SIZE, VALUE, _, PLACE, COMBINED, KIND, RIGHT = range(9)


def pick(draw, count):
    return min(int(draw * count), count - 1)


class OptionTrader(mesa.Agent):
    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.settings = settings
        self.account, self.access, _ = place
        self.options = model.settings.options
        self.first = len(model.settings.instruments)
        self.key = stream_key(seed, f"option_traders/{number}")
        self.rate = settings.orders_per_s / settings.count
        self.wakes = self.sent = self.combinations_sent = self.balked = 0
        self.next_wake = NEVER
        if self.rate > 0.0:
            self.next_wake = int(draw_exponential(self.key, 0, GAP) / self.rate * 1e9)

    def due(self):
        return self.next_wake

    def act(self):
        while self.next_wake <= self.model.block.time:
            if self.consider(self.next_wake):
                self.sent += 1
            else:
                self.balked += 1
            self.wakes += 1
            gap = draw_exponential(self.key, self.wakes, GAP) / self.rate * 1e9
            self.next_wake += int(min(gap, 1e18)) + 1

    def draw(self, what):
        return draw_uniform(self.key, self.wakes, what)

    def size(self):
        sigma = math.sqrt(math.log(1.0 + self.settings.size_variation**2))
        lots = self.settings.size_mean / self.options.lot_size
        if sigma > 0.0:
            lots *= math.exp(sigma * draw_normal(self.key, self.wakes, SIZE) - 0.5 * sigma * sigma)
        return int(max(min(lots + 0.5, 1e8), 1.0))

    def legs(self, listed):
        """Instrument and sign of each leg of a purchase."""
        strikes, tenors = self.options.strikes_per_expiry, len(self.options.expiries_days)
        draw = self.draw(PLACE)
        if self.draw(COMBINED) >= self.settings.combination_share or self.model.venue.batching:
            return [(self.first + pick(draw, 2 * tenors * strikes), 1)]
        kind, right = pick(self.draw(KIND), 3), pick(self.draw(RIGHT), 2)
        if kind == 0 and strikes > 1:
            tenor, strike = divmod(pick(draw, tenors * (strikes - 1)), strikes - 1)
            lower = self.first + 2 * (tenor * strikes + strike) + right
            return [(lower, 1), (lower + 2, -1)] if right == 0 else [(lower + 2, 1), (lower, -1)]
        if kind == 2 and tenors > 1:
            one = self.first + 2 * pick(draw, (tenors - 1) * strikes) + right
            other = one + 2 * strikes
            expiries = [listed[number].expiry_s if number in listed else 0.0 for number in (one, other)]
            return [(one, 1), (other, -1)] if expiries[0] > expiries[1] else [(other, 1), (one, -1)]
        call = self.first + 2 * pick(draw, tenors * strikes)
        return [(call, 1), (call + 1, 1)]

    def consider(self, now):
        model, settings = self.model, self.settings
        price = model.path.price_at(now)
        view = model.feed.view_at(self.access, now)
        listed = {one.instrument: one for one in view.options}
        side = 1 if self.draw(SIDE) < settings.buyer_share else -1
        value = settings.value_mean * 1e-2 * draw_exponential(self.key, self.wakes, VALUE)
        legs = self.legs(listed)
        fair = base = 0.0
        expires = now + int(settings.patience_s * 1e9)
        for number, sign in legs:
            expiry = round(listed[number].expiry_s * 1e9) if number in listed else 0
            if expiry <= now:
                return False
            seen, per_unit = listed[number], self.options.lot_size * MILLION
            strike = round(seen.strike_usd * per_unit) / per_unit
            right = 1 if seen.kind == "call" else -1
            worth, _, _, vega, _, _, _ = greeks(
                price, strike, (expiry - now) / YEAR_NS, seen.volatility, right, 0.0, 0.0
            )
            fair += sign * worth
            base += vega if settings.value_unit == "volatility_points" else worth
            expires = min(expires, expiry - 1)
        trade = self.trade_combination if len(legs) > 1 else self.trade_series
        return trade(view, now, price, side, self.size(), legs, fair, value * base, expires)

    def trade_series(self, view, now, price, side, size, legs, fair, private, expires):
        feed, gas, tick, lot_size = self.model.feed, self.model.gas.place, self.options.tick_usd, self.options.lot_size
        taker_fee = self.options.taker_fee_bps * 1e-4
        tip = feed.wallet_tip(view)
        gas_usd = feed.gas_cost_usd(gas, view.base_fee + tip, price)
        limit = (fair + side * (private - gas_usd / (size * lot_size))) / (1.0 + side * taker_fee) / tick
        limit = math.floor(limit) if side > 0 else max(math.ceil(limit), 1)
        quotes = view.quotes[legs[0][0]]
        if quotes.lots_within(side, limit)[0] == 0 or private * (size * lot_size) <= gas_usd:
            return False
        filled, average = quotes.average_price(side, size)
        paid = average * tick
        surplus = (side * (fair - paid) + private - taker_fee * paid) * filled * lot_size
        max_fee = max(feed.fee_worth(gas, surplus, price), view.base_fee + tip)
        sender = SimpleNamespace(
            model=self.model, account=self.account, access=self.access,
            instrument=self.model.venue.instruments[legs[0][0]],
        )  # fmt: skip
        send_taking_order(sender, side, size, limit, now, expires, max_fee, tip)
        return True

    def trade_combination(self, view, now, price, side, size, legs, fair, private, expires):
        feed, tick, units = self.model.feed, self.options.tick_usd, size * self.options.lot_size
        taker_fee = self.options.taker_fee_bps * 1e-4
        tip = feed.wallet_tip(view)
        cost = fees = 0.0
        for number, sign in legs:
            filled, average = view.quotes[number].average_price(side * sign, size)
            if filled < size:
                return False
            cost += side * sign * average * tick * units
            fees += taker_fee * average * tick * units
        gas = self.model.gas.place + len(legs) * self.model.gas.leg
        gas_usd = feed.gas_cost_usd(gas, view.base_fee + tip, price)
        most = (side * fair + private) * units - fees - gas_usd
        if cost > most:
            return False
        self.model.mempool.submit(
            Transaction(
                kind=COMBINATION,
                sender=self.account,
                access=self.access,
                instrument=legs[0][0],
                legs=tuple((number, side * sign) for number, sign in legs),
                size=size,
                bound=math.floor(most * MILLION),
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction,
                decided=now,
                expires=expires,
                max_fee=max(feed.fee_worth(gas, most - cost + gas_usd, price), view.base_fee + tip),
                tip=tip,
            )
        )
        self.combinations_sent += 1
        return True
