"""Option vaults: sell the nearest calls out of the money, hedge, roll."""

import mesa

from blockspace.markets.options.black_scholes import greeks

from .hedging_orders import beyond_band, learn_fate, send_hedge
from .taker import send_taking_order

YEAR_NS = 365 * 86_400 * 10**9
MILLION = 10**6


class OptionVault(mesa.Agent):
    def __init__(self, model, settings, account, access):
        super().__init__(model)
        self.settings = settings
        self.account, self.access = account, access
        self.options = model.settings.options
        names = [one.name for one in model.settings.instruments]
        self.underlying = model.venue.instruments[names.index(self.options.underlying)]
        self.instrument = self.underlying  # of the order that is being sent
        self.number = self.position = self.hedge = self.last_hedge = 0
        self.series = -1
        self.pending = False
        self.landing = self.sent_at = self.next_trade = self.next_look = 0
        self.sales = self.hedges_sent = 0
        self.premium = self.total_gas = 0.0

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + int(self.settings.look_interval_s * 1e9)
        listed = {one.instrument: one for one in outlook.view.options}
        self.learn(outlook, listed)
        if self.pending:
            return
        if (self.series < 0 and self.sell(outlook, listed)) or self.rehedge(outlook, listed):
            self.pending, self.sent_at, self.landing = True, outlook.decision, self.model.block.number

    def learn(self, outlook, listed):
        view = outlook.view
        for trade in self.model.venue.tape.trades[self.next_trade : view.trades]:
            if self.account not in (trade.maker, trade.taker):
                continue
            side = -trade.side if trade.maker == self.account else trade.side
            if trade.instrument == self.underlying.number:
                self.hedge += side * trade.size
            elif self.series >= 0 and trade.instrument == self.number:
                self.position += side * trade.size
                self.premium -= side * trade.size * trade.price * self.options.tick_usd * self.options.lot_size
        self.next_trade = max(view.trades, self.next_trade)
        learn_fate(self, outlook)
        if self.series >= 0:
            there = self.number in listed and listed[self.number].series == self.series
            if not there or (not self.pending and self.position == 0):
                self.series, self.position = -1, 0

    def sell(self, outlook, listed):
        feed, view, price, options = self.model.feed, outlook.view, outlook.external_price, self.options
        per_unit = options.lot_size * MILLION
        least = price * (1.0 + self.settings.distance_percent * 1e-2) * options.lot_size * MILLION
        calls = [one for one in listed.values() if one.kind == "call" and round(one.strike_usd * per_unit) > least]
        if not calls:
            return False
        call = min(calls, key=lambda one: (one.expiry_s, one.strike_usd, one.instrument))
        bids = view.quotes[call.instrument].bids
        if round(call.expiry_s * 1e9) <= self.model.block.time or not bids:
            return False
        bid, there = bids[0]
        wanted = int(self.settings.sold_share * self.settings.deposit_usd / (price * options.lot_size))
        size = min(wanted, there)
        gas, tip = self.model.gas.place, feed.wallet_tip(view)
        taker_fee = options.taker_fee_bps * 1e-4
        premium = bid * options.tick_usd * size * options.lot_size * (1.0 - taker_fee)
        if size < 1 or premium <= feed.gas_cost_usd(gas, view.base_fee + tip, price):
            return False
        max_fee = max(feed.fee_worth(gas, premium, price), view.base_fee + tip)
        self.instrument = self.model.venue.instruments[call.instrument]
        send_taking_order(self, -1, size, bid, outlook.decision, self.model.block.time, max_fee, tip)
        self.number, self.series, self.position = call.instrument, call.series, 0
        self.sales += 1
        return True

    def rehedge(self, outlook, listed):
        price, traded, settings, now = outlook.external_price, self.underlying, self.settings, outlook.decision
        clock = settings.hedge == "clock"
        if settings.hedge == "none" or (clock and now - self.last_hedge < int(settings.hedge_interval_s * 1e9)):
            return False
        delta = gamma = 0.0
        if self.position:
            sold, lot_size = listed[self.number], self.options.lot_size
            strike = round(sold.strike_usd * (lot_size * MILLION)) / (lot_size * MILLION)
            years = max(round(sold.expiry_s * 1e9) - now, 0) / YEAR_NS
            _, delta, gamma, _, _, _, _ = greeks(price, strike, years, sold.volatility, 1, 0.0, 0.0)
            delta *= self.position * lot_size
            gamma *= self.position * lot_size
        gap = -delta - self.hedge * traded.lot_size
        units = gap if clock else beyond_band(self, outlook, traded, gap, gamma)
        if not send_hedge(self, outlook, traded, units):
            return False
        self.last_hedge = now
        self.hedges_sent += 1
        return True
