"""Makers of options: keep series quoted where that pays, learn bid and ask apart, hedge in a band."""

import math
from dataclasses import dataclass, field

import mesa

from blockspace.markets.options.black_scholes import greeks

from .constants import HANDLES, LADDER, POST_ONLY, QUOTE, UNFUNDED
from .hedging_orders import beyond_band, send_hedge
from .market_makers import FILLS_TO_KNOW, expected_excess
from .mempool import Transaction

YEAR_NS = 365 * 86_400 * 10**9
MILLION = 10**6
LOOKS_TO_KNOW = 30
BID, ASK = 0, 1


@dataclass
class Lessons:
    """Decaying sums over the trades of one side."""

    fills: float = 0.0
    units: float = 0.0
    vega: float = 0.0
    shortfall: float = 0.0
    costs: float = 0.0

    def fade(self, elapsed, memory):
        factor = math.exp(-elapsed / memory * min(max(self.fills / FILLS_TO_KNOW, 0.1), 1.0))
        for name in vars(self):
            setattr(self, name, getattr(self, name) * factor)


@dataclass
class Series:
    """What a maker knows of what is listed in a place."""

    number: int
    listed: int  # trades of earlier blocks were of another series
    expiry: int
    quoted_at: int
    next_review: int
    value: float = 0.0
    delta: float = 0.0
    vega: float = 0.0
    position: int = 0
    ladder: dict = field(default_factory=dict)  # ticks by side and level
    remaining: dict = field(default_factory=dict)
    distance: list = field(default_factory=lambda: [0.0, 0.0])
    planned: float = 0.0
    quoting: bool = False
    sent_gas: int = 0
    life: float = 0.0
    revenue: float = 0.0
    dropped: bool = False
    return_at: int = 0
    losing_periods: int = 0
    period_revenue: float = 0.0
    period_gas: float = 0.0

    @property
    def rests(self):
        return self.quoting and any(self.remaining.values())


class OptionMaker(mesa.Agent):
    def __init__(self, model, settings, place, belief):
        super().__init__(model)
        self.settings = settings
        self.account, self.access, _ = place
        options = model.settings.options
        self.lot_size, self.tick = options.lot_size, options.tick_usd
        self.first = len(model.settings.instruments)
        names = [one.name for one in model.settings.instruments]
        self.instrument = model.venue.instruments[names.index(options.underlying)]
        self.unit = max(round(settings.unit_size / self.lot_size), 1)
        self.look_interval = int(settings.look_interval_s * 1e9)
        self.edge = [settings.initial_half_spread_points * 1e-2 * belief] * 2
        self.unit_cost = [0.0, 0.0]
        self.lessons = [Lessons(), Lessons()]
        self.variance = self.step = self.feared = self.suffered = 0.0
        self.delta = self.gamma = self.load = 0.0
        self.hedge = 0
        self.pending = self.broke = False
        self.landing = self.sent_at = self.sent = self.sent_gas = self.hedge_gas = self.hedge_filled = 0
        self.next_trade = self.next_look = self.last_look = self.looks = 0
        self.last_price = 0.0
        self.series = {}
        self.quotes_sent = self.hedges_sent = self.trades = self.listed_looks = self.quoted_looks = 0
        self.total_revenue = self.total_gas = self.total_hedging = 0.0

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        now, price, view = outlook.decision, outlook.external_price, outlook.view
        self.next_look = now + self.look_interval
        elapsed = self.observe(now, price)
        listed = {one.instrument: one for one in view.options}
        self.value(listed, now, price)
        self.learn_trades(view.trades)
        self.learn_fate(view, price)
        self.adapt(elapsed, price)
        if self.pending or self.broke or self.looks <= LOOKS_TO_KNOW or self.variance <= 0.0:
            return
        self.sent = self.sent_gas = self.hedge_gas = self.hedge_filled = 0
        self.hedge_delta(outlook)
        for number in sorted(listed):
            if self.series[number].expiry > self.model.block.time:
                self.decide(self.series[number], number, outlook)
        if self.sent_gas:
            self.pending, self.sent_at, self.landing = True, now, self.model.block.number

    def observe(self, now, price):
        elapsed = 0.0
        self.looks += 1
        if self.looks > 1 and now > self.last_look:
            elapsed = (now - self.last_look) * 1e-9
            move = math.log(price / self.last_price)
            weight = max(1.0 - math.exp(-elapsed / self.settings.volatility_memory_s), 1.0 / self.looks)
            self.variance += weight * (move * move / elapsed - self.variance)
            fade = math.exp(-elapsed / self.settings.memory_s)
            self.step += max(1.0 - fade, 0.05) * (elapsed - self.step)
            for lessons in self.lessons:
                lessons.fade(elapsed, self.settings.memory_s)
            self.feared *= fade
            self.suffered *= fade
            for series in self.series.values():
                series.revenue *= fade
        self.last_look, self.last_price = now, price
        return elapsed

    def value(self, listed, now, price):
        """Value what is listed at the maker's own volatility; forget series that have gone."""
        volatility = math.sqrt(self.variance * (YEAR_NS * 1e-9))
        self.delta = self.gamma = net = largest = 0.0
        for number in sorted({*self.series, *listed}):
            if number not in listed:
                self.series[number].position = 0
                continue
            seen, old = listed[number], self.series.get(number)
            if old is None or old.number != seen.series:
                since = old.expiry if old else 0
                review = now + int(self.settings.review_interval_s * 1e9)
                self.series[number] = Series(seen.series, since, round(seen.expiry_s * 1e9), now, review)
            series = self.series[number]
            years = max(series.expiry - now, 0) / YEAR_NS
            per_unit = self.lot_size * MILLION
            strike = round(seen.strike_usd * per_unit) / per_unit
            right = 1 if seen.kind == "call" else -1
            series.value, series.delta, gamma, series.vega, _, _, _ = greeks(
                price, strike, years, volatility, right, 0.0, 0.0
            )
            units = series.position * self.lot_size
            self.delta += units * series.delta
            self.gamma += units * gamma
            net += units * series.vega
            largest = max(largest, series.vega)
        self.load = 0.0
        if largest > 0.0:
            self.load = min(max(net / (self.settings.position_limit * largest), -1.0), 1.0)

    def learn_trades(self, visible):
        trades = self.model.venue.tape.trades
        for trade in trades[self.next_trade : visible]:
            if self.account not in (trade.maker, trade.taker):
                continue
            as_maker = trade.maker == self.account
            side = -trade.side if as_maker else trade.side
            fee = (trade.maker_fee if as_maker else trade.taker_fee) * 1e-6
            if trade.instrument == self.instrument.number:
                self.hedge += side * trade.size
                self.hedge_filled += trade.size
                worse = side * (trade.price * self.instrument.tick - trade.external_price)
                self.add_hedging_cost(worse * trade.size * self.instrument.lot_size + fee)
            elif trade.instrument in self.series and trade.time >= self.series[trade.instrument].listed:
                self.learn_fill(self.series[trade.instrument], trade, side, fee, as_maker)
        self.next_trade = max(visible, self.next_trade)

    def add_hedging_cost(self, cost):
        """Hedges are put down to the side that the gamma came from."""
        self.lessons[ASK if self.gamma < 0.0 else BID].costs += cost
        self.total_hedging += cost

    def learn_fill(self, series, trade, side, fee, as_maker):
        series.position += side * trade.size
        which = BID if side > 0 else ASK
        lessons = self.lessons[which]
        units = trade.size * self.lot_size
        earned = side * (series.value - trade.price * self.tick) * units - fee
        quoted = 0.0
        if as_maker:
            handle = trade.maker_handle % HANDLES
            key = handle // LADDER, handle % LADDER
            ticks = series.ladder.get(key, 0)
            better = self.model.venue.batching and ticks > 0 and (trade.price - ticks) * side < 0
            if ticks == trade.price or better:
                series.remaining[key] = max(series.remaining.get(key, 0) - trade.size, 0)
            quoted = series.distance[which] * (1 + key[1]) * units
        lessons.fills += 1.0
        lessons.units += units
        lessons.vega += units * series.vega
        lessons.shortfall += quoted - earned
        self.suffered += max(quoted - earned, 0.0)
        series.revenue += earned
        series.period_revenue += earned
        self.trades += 1
        self.total_revenue += earned

    def learn_fate(self, view, price):
        if not self.pending or view.settled < self.landing:
            return
        self.pending = False
        receipt = self.model.feed.receipts.get(self.account)
        known = receipt is not None and receipt.decided == self.sent_at
        paid = self.model.feed.gas_paid_usd(receipt.landed_gas, receipt.gas_price, price) if known else 0.0
        per_gas = paid / self.sent_gas
        self.total_gas += paid
        self.add_hedging_cost(per_gas * self.hedge_gas)
        succeeded = receipt.successes - (self.hedge_filled > 0) if known else 0
        for _, series in sorted(self.series.items()):
            if series.sent_gas:
                gas = per_gas * series.sent_gas
                series.period_gas += gas
                for lessons in self.lessons:
                    lessons.costs += 0.5 * gas
                series.sent_gas = 0
                if succeeded < self.sent:
                    series.quoting = False
        if known and receipt.landed == 0 and receipt.status == UNFUNDED:
            self.broke = True

    def adapt(self, elapsed, price):
        pace = 1.0 - math.exp(-elapsed / self.settings.memory_s)
        explore = math.exp(-self.settings.exploration_per_hour / 3600.0 * elapsed)
        for side, lessons in enumerate(self.lessons):
            edge, cost = self.edge[side], self.unit_cost[side]
            if lessons.fills > 1.0 and lessons.vega > 0.0:
                trust = pace * lessons.fills / (lessons.fills + 5.0)
                edge += trust * (lessons.shortfall / lessons.vega - edge)
                cost += trust * (lessons.costs / lessons.units - cost)
            else:
                edge *= explore
                cost *= explore
            self.edge[side] = min(max(edge, 0.0), 5.0)
            self.unit_cost[side] = min(max(cost, 0.0), 0.05 * price)

    def review(self, series, now):
        if now < series.next_review:
            return
        series.next_review = now + int(self.settings.review_interval_s * 1e9)
        series.losing_periods = series.losing_periods + 1 if series.period_revenue < series.period_gas else 0
        if series.losing_periods >= 2 and not series.dropped:
            series.dropped, series.losing_periods = True, 0
            series.return_at = now + int(self.settings.rest_s * 1e9)
        series.period_revenue = series.period_gas = 0.0

    def wanted(self, series, side):
        return self.edge[side] * series.vega + self.unit_cost[side]

    def draft(self, series):
        """Prices by side and level, in ticks, and 0 where there is none."""
        bought, sold = self.wanted(series, BID), self.wanted(series, ASK)
        shift = self.settings.inventory_aversion * self.load * 0.5 * (bought + sold)
        ladder = {}
        for level in range(self.settings.levels):
            bid = math.floor((series.value - shift - bought * (1 + level)) / self.tick)
            ask = math.ceil((series.value - shift + sold * (1 + level)) / self.tick)
            ladder[BID, level] = bid if self.load < 1.0 and bid > 0 else 0
            ladder[ASK, level] = max(ask, bid + 1, 1 + level) if self.load > -1.0 else 0
        return ladder

    def decide(self, series, number, outlook):
        feed, view, now, price = self.model.feed, outlook.view, outlook.decision, outlook.external_price
        ladder = self.draft(series)
        levels = sum(ticks > 0 for ticks in ladder.values())
        gas = self.model.gas.quote + levels * self.model.gas.quote_level
        cost = feed.gas_cost_usd(gas, view.base_fee + feed.wallet_tip(view), price)
        rests = series.rests
        self.listed_looks += 1
        self.quoted_looks += rests
        self.review(series, now)
        if series.dropped or not levels:
            if rests:
                self.send_quote(series, number, outlook, {}, 10.0 * cost)
            elif series.dropped and now >= series.return_at:
                series.dropped = False
                series.next_review = now + int(self.settings.review_interval_s * 1e9)
        elif not rests:
            self.send_quote(series, number, outlook, ladder, 10.0 * cost)
        else:
            loss = self.avoidable_loss(series, price)
            share = (self.suffered + cost) / (self.feared + self.suffered + cost)
            lasts = max(series.life, (now - series.quoted_at) * 1e-9, self.step)
            worth = share * loss * lasts / self.step + self.forgone(series)
            if worth >= cost:
                self.send_quote(series, number, outlook, ladder, worth)
            else:
                self.feared += loss

    def avoidable_loss(self, series, price):
        deviation = abs(series.delta) * price * math.sqrt(self.variance * self.step)
        if deviation < 1e-6 * self.tick:
            deviation = 0.0
        loss = 0.0
        for (side, level), lots in sorted(series.remaining.items()):
            if lots > 0:
                quote = series.ladder[side, level] * self.tick
                gap = series.value - quote if side == BID else quote - series.value
                fresh = self.wanted(series, side) * (1 + level)
                loss += lots * (expected_excess(gap, deviation) - expected_excess(fresh, deviation))
        return max(loss, 0.0) * self.lot_size

    def forgone(self, series):
        quoted = self.unit * sum(ticks > 0 for ticks in series.ladder.values())
        missing = 1.0 - sum(series.remaining.values()) / quoted if quoted else 1.0
        wanted = self.wanted(series, BID) + self.wanted(series, ASK)
        misplaced = abs(wanted / max(series.planned, 1e-9) - 1.0)
        per_s = max(series.revenue, 0.0) / self.settings.memory_s
        return per_s * max(series.life, self.step) * min(missing + misplaced, 1.0)

    def send_quote(self, series, number, outlook, ladder, worth):
        feed, view, now = self.model.feed, outlook.view, outlook.decision
        tip = feed.wallet_tip(view)
        levels = sum(ticks > 0 for ticks in ladder.values())
        gas = self.model.gas.quote + levels * self.model.gas.quote_level
        series.ladder = dict(ladder)
        series.remaining = {key: self.unit if ticks > 0 else 0 for key, ticks in ladder.items()}
        sent = [0] * 2 * LADDER
        for (side, level), ticks in ladder.items():
            sent[side * LADDER + level] = ticks
        self.model.mempool.submit(
            Transaction(
                kind=QUOTE,
                style=POST_ONLY,
                sender=self.account,
                access=self.access,
                instrument=number,
                size=self.unit,
                ladder=tuple(sent),
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction + 4 * levels,
                decided=now,
                expires=self.model.block.time,
                max_fee=max(feed.fee_worth(gas, worth, outlook.external_price), view.base_fee + tip),
                tip=tip,
            )
        )
        if levels:
            series.planned = self.wanted(series, BID) + self.wanted(series, ASK)
            series.distance[BID] = series.value - ladder[BID, 0] * self.tick
            series.distance[ASK] = ladder[ASK, 0] * self.tick - series.value
        series.life += 0.1 * ((now - series.quoted_at) * 1e-9 - series.life)
        series.quoted_at, series.quoting, series.sent_gas = now, levels > 0, gas
        self.sent_gas += gas
        self.sent += 1
        self.quotes_sent += 1

    def hedge_delta(self, outlook):
        gap = -self.delta - self.hedge * self.instrument.lot_size
        units = beyond_band(self, outlook, self.instrument, gap, self.gamma)
        if send_hedge(self, outlook, self.instrument, units):
            self.hedge_gas = self.model.gas.place
            self.sent_gas += self.hedge_gas
            self.hedges_sent += 1
