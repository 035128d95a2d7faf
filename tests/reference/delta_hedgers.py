"""Delta hedgers: take on what clients bring with each expiry, and hedge it."""

import math
from types import SimpleNamespace

import mesa

from blockspace.agents.hedging import best_interval
from blockspace.markets.options.black_scholes import greeks
from blockspace.network.draws import stream_key

from .draws import draw_exponential, draw_uniform
from .hedging_orders import beyond_band, hedge_costs, learn_fate, send_hedge
from .taker import send_taking_order

YEAR_NS = 365 * 86_400 * 10**9
MILLION = 10**6
SIDE, PLACE, SIZE, ARRIVAL = range(4)


class DeltaHedger(mesa.Agent):
    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.settings = settings
        self.account, self.access, _ = place
        self.options = model.settings.options
        names = [one.name for one in model.settings.instruments]
        self.first = len(names)
        self.underlying = model.venue.instruments[names.index(self.options.underlying)]
        self.instrument = self.underlying  # of the order that is being sent
        self.key = stream_key(seed, f"delta_hedgers/{number}")
        self.mandates = [None] * len(self.options.expiries_days)
        self.delta = self.gamma = self.variance = 0.0
        self.hedge = self.last_hedge = 0
        self.changed = self.pending = False
        self.landing = self.sent_at = self.next_trade = self.next_settled = self.next_look = 0
        self.looks = self.orders_sent = self.hedges_sent = 0
        self.total_gap = self.total_delta = self.units_traded = self.total_gas = 0.0

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + int(self.settings.look_interval_s * 1e9)
        listed = {one.instrument: one for one in outlook.view.options}
        self.learn(outlook)
        self.meet_clients(listed)
        self.look_at_book(listed, outlook.decision, outlook.external_price)
        if self.pending:
            return
        if self.rehedge(outlook) or any(self.fill(mandate, listed, outlook) for mandate in self.mandates if mandate):
            self.pending, self.sent_at, self.landing = True, outlook.decision, self.model.block.number

    def learn(self, outlook):
        view = outlook.view
        for trade in self.model.venue.tape.trades[self.next_trade : view.trades]:
            if self.account not in (trade.maker, trade.taker):
                continue
            side = -trade.side if trade.maker == self.account else trade.side
            if trade.instrument == self.underlying.number:
                self.hedge += side * trade.size
            for mandate in self.mandates:
                if mandate and trade.instrument == mandate.number:
                    mandate.position += side * trade.size
                    self.units_traded += trade.size * self.options.lot_size
        self.next_trade = max(view.trades, self.next_trade)
        until = view.trades if self.settings.relies_on == "trades" else view.cleared
        for trade in self.model.venue.tape.trades[self.next_settled : until]:
            for mandate in self.mandates:
                if mandate and trade.instrument == mandate.number and self.account in (trade.maker, trade.taker):
                    mandate.held += (-trade.side if trade.maker == self.account else trade.side) * trade.size
                    self.changed = True
        self.next_settled = max(until, self.next_settled)
        learn_fate(self, outlook)

    def meet_clients(self, listed):
        settings, places = self.settings, 2 * self.options.strikes_per_expiry
        for tenor, days in enumerate(self.options.expiries_days):
            first, mandate = self.first + tenor * places, self.mandates[tenor]
            if first not in listed:
                self.changed |= mandate is not None
                self.mandates[tenor] = None
                continue
            seen = listed[first]
            if mandate and mandate.listing == seen.series:
                continue
            self.changed = True
            lots = settings.size_mean / self.options.lot_size * draw_exponential(self.key, seen.series, SIZE)
            lots = int(min(lots + 0.5, 1e8))
            sold = draw_uniform(self.key, seen.series, SIDE) < settings.short_share
            length = round(days * 86_400 * 1e9)
            waits = int(settings.arrival_share * draw_uniform(self.key, seen.series, ARRIVAL) * length)
            self.mandates[tenor] = SimpleNamespace(
                listing=seen.series,
                number=first + min(int(draw_uniform(self.key, seen.series, PLACE) * places), places - 1),
                lots=-lots if sold else lots,
                arrives=round(seen.expiry_s * 1e9) - length + waits,
                position=0,
                held=0,
            )

    def greeks(self, seen, now, price):
        per_unit = self.options.lot_size * MILLION
        strike = round(seen.strike_usd * per_unit) / per_unit
        years = max(round(seen.expiry_s * 1e9) - now, 0) / YEAR_NS
        return greeks(price, strike, years, seen.volatility, 1 if seen.kind == "call" else -1, 0.0, 0.0)

    def look_at_book(self, listed, now, price):
        self.delta = self.gamma = self.variance = weights = traded = 0.0
        held = [mandate for mandate in self.mandates if mandate and mandate.position]
        for mandate in held:
            seen, units = listed[mandate.number], mandate.held * self.options.lot_size
            _, delta, gamma, _, _, _, _ = self.greeks(seen, now, price)
            traded += delta * (mandate.position * self.options.lot_size)
            self.delta += delta * units
            self.gamma += gamma * units
            self.variance += abs(gamma * units) * seen.volatility * seen.volatility
            weights += abs(gamma * units)
        if weights > 0.0:
            self.variance /= weights
        if held:
            self.looks += 1
            self.total_delta += abs(traded)
            self.total_gap += abs(traded + self.hedge * self.underlying.lot_size)

    def rehedge(self, outlook):
        price, traded, settings, now = outlook.external_price, self.underlying, self.settings, outlook.decision
        gap = -self.delta - self.hedge * traded.lot_size
        if settings.hedge == "clock":
            fixed, unit_cost = hedge_costs(self, outlook, traded)
            years = best_interval(fixed, unit_cost, self.gamma, self.variance, price, settings.risk_aversion)
            if not self.changed and now - self.last_hedge < int(min(years * YEAR_NS, 1e18)):
                return False
            units = gap
        else:
            units = beyond_band(self, outlook, traded, gap, self.gamma)
        if not send_hedge(self, outlook, traded, units):
            return False
        self.last_hedge, self.changed = now, False
        self.hedges_sent += 1
        return True

    def fill(self, mandate, listed, outlook):
        feed, view, price, now = self.model.feed, outlook.view, outlook.external_price, outlook.decision
        missing = mandate.lots - mandate.position
        if missing == 0 or now < mandate.arrives:
            return False
        seen = listed[mandate.number]
        if round(seen.expiry_s * 1e9) <= self.model.block.time:
            return False
        side = 1 if missing > 0 else -1
        filled, average = view.quotes[mandate.number].average_price(side, abs(missing))
        if filled == 0:
            return False
        fair, _, _, vega, _, _, _ = self.greeks(seen, now, price)
        gas, tip, units = self.model.gas.place, feed.wallet_tip(view), filled * self.options.lot_size
        gas_usd = feed.gas_cost_usd(gas, view.base_fee + tip, price)
        tolerance = self.settings.price_tolerance_points * 1e-2
        worst = fair + side * (tolerance * vega - gas_usd / units)
        surplus = side * (worst - average * self.options.tick_usd) * units
        limit = worst / self.options.tick_usd
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        if surplus < 0.0 or limit < 1:
            return False
        max_fee = max(feed.fee_worth(gas, gas_usd + surplus, price), view.base_fee + tip)
        self.instrument = self.model.venue.instruments[mandate.number]
        send_taking_order(self, side, filled, limit, now, self.model.block.time, max_fee, tip)
        self.orders_sent += 1
        return True
