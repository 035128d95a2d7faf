"""Market makers: quote both sides, mark what their trades earned, and quote tighter or wider."""

import math
from collections import deque
from dataclasses import dataclass

import mesa

from .constants import HANDLES, LADDER, LIMIT, NEVER, POST_ONLY, QUOTE, SUCCEEDED, UNFUNDED
from .mempool import Transaction

FILLS = 256  # that can wait to be marked
NOBODY_QUOTES = 1.0
FILLS_TO_KNOW = 10.0


@dataclass(slots=True)
class Fill:
    """A trade that waits to be marked; side +1 if the maker bought, price and fee in dollars."""

    time: int
    price: float
    lots: int
    side: int
    level: int
    fee: float
    half_spread: float


class Experience:
    """What trades have taught, as sums in which older trades count less and less; in dollars."""

    def __init__(self):
        self.fills = 0.0
        self.volume = 0.0
        self.revenue = 0.0
        self.quoted = 0.0
        self.level_volume = 0.0

    def fade(self, factor):
        self.fills *= factor
        self.volume *= factor
        self.revenue *= factor
        self.quoted *= factor
        self.level_volume *= factor

    def cost_per_unit(self, gas_share):
        """Half-spread at which the trades would have broken even."""
        return (self.quoted - self.revenue) / self.volume + gas_share


class Period:
    """Dollars earned and spent since the last review."""

    def __init__(self):
        self.revenue = 0.0
        self.gas = 0.0
        self.deep_revenue = 0.0
        self.deep_gas = 0.0


def expected_excess(gap, deviation):
    """Mean of ``max(Z deviation - gap, 0)`` for a standard normal Z."""
    if deviation <= 0.0:
        return max(-gap, 0.0)
    z = gap / deviation
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return deviation * (density - z * 0.5 * math.erfc(z / math.sqrt(2.0)))


def padded(values):
    return values + [0] * (LADDER - len(values))


class MarketMaker(mesa.Agent):
    def __init__(self, model, settings, place, belief):
        super().__init__(model)
        self.account, self.access, self.instrument = place
        self.unit = max(round(settings.unit_size / self.instrument.lot_size), 1)
        self.largest_ladder = settings.levels
        self.position_limit = max(round(settings.position_limit / self.instrument.lot_size), 1)
        self.inventory_aversion = settings.inventory_aversion
        self.exploration = settings.exploration_per_hour / 3600.0
        self.memory = settings.memory_s
        self.mark_out = int(settings.mark_out_s * 1e9)
        self.review_interval = int(settings.review_interval_s * 1e9)
        self.rest = int(settings.rest_s * 1e9)
        self.look_interval = int(settings.look_interval_s * 1e9)
        # Learned.
        self.half_spread = settings.initial_half_spread_bps / 1e4 * belief
        self.increment = self.half_spread / 2
        self.levels = settings.levels
        self.variance = 0.0
        self.best, self.deep = Experience(), Experience()
        self.gas_paid = 0.0
        self.quote_life = 0.0
        self.step = 0.0
        # What it has sent, and what it knows of it.
        self.ladder = [0] * 2 * LADDER
        self.remaining = [0] * 2 * LADDER
        self.quoted_half_spread = 0.0
        self.quoted_increment = 0.0
        self.quoted_at = 0
        self.pending = False
        self.landing = 0
        self.quoting = False
        self.withdrawn = False
        self.return_at = 0
        self.position = 0
        self.next_trade = 0
        self.next_look = 0
        self.last_look = 0
        self.last_price = 0.0
        self.looks = 0
        self.fills = deque()
        self.next_review = self.review_interval
        self.period = Period()
        self.losing_periods = 0

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + self.look_interval
        price, view = outlook.external_price, outlook.view
        elapsed = self.observe(outlook.decision, price)
        self.learn_fate_of_quote(price, view)
        self.learn_trades(view.trades)
        self.mark_fills(outlook.decision, price)
        best_seen = self.best_seen(view, price)
        self.adapt(elapsed, best_seen)
        if not self.pending:
            self.review(outlook.decision)
            self.decide(outlook, nobody_quotes=best_seen >= NOBODY_QUOTES)

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def decide(self, outlook, nobody_quotes):
        """Quote if that is worth its gas, or if nothing rests; take the quotes down on leaving, and come back."""
        feed, view, now = self.model.feed, outlook.view, outlook.decision
        fee = view.base_fee + feed.wallet_tip(view)
        cost = feed.gas_cost_usd(self.quote_gas(self.levels), fee, outlook.external_price)
        if self.withdrawn:
            if self.quoting:
                self.send_quote(outlook, 0, 10.0 * cost)
            elif self.return_at < NEVER and (nobody_quotes or now >= self.return_at):
                self.withdrawn = False
                self.next_review = now + self.review_interval
        elif not self.quoting or self.goes_unnoticed(now) or not any(self.remaining):
            self.send_quote(outlook, self.levels, 10.0 * cost)
        else:
            worth = self.worth_of_quoting(outlook.external_price)
            if worth >= cost:
                self.send_quote(outlook, self.levels, worth)

    def goes_unnoticed(self, now):
        """Whether nobody has traded against the quotes for so long that another try is due."""
        return self.best.fills < 1.0 and now - self.quoted_at >= self.review_interval

    def quote_gas(self, levels):
        return self.model.gas.quote + 2 * levels * self.model.gas.quote_level

    def observe(self, now, price):
        """Update the estimates of volatility and time between looks; seconds since the last look."""
        elapsed = 0.0
        self.looks += 1
        if self.looks > 1 and now > self.last_look:
            elapsed = (now - self.last_look) * 1e-9
            move = math.log(price / self.last_price)
            fade = math.exp(-elapsed / self.memory)
            weight = max(1.0 - fade, 1.0 / self.looks)
            self.variance += weight * (move * move / elapsed - self.variance)
            self.step += max(weight, 0.05) * (elapsed - self.step)
            # Where trades are rare, what they taught is kept for longer.
            fills = self.best.fills + self.deep.fills
            fade = math.exp(-elapsed / self.memory * min(max(fills / FILLS_TO_KNOW, 0.1), 1.0))
            self.best.fade(fade)
            self.deep.fade(fade)
            self.gas_paid *= fade
        self.last_look, self.last_price = now, price
        return elapsed

    def learn_fate_of_quote(self, price, view):
        if not self.pending or view.number < self.landing:
            return
        self.pending = False
        receipt = self.model.feed.receipts.get(self.account)
        if receipt is None or receipt.decided != self.quoted_at:
            self.quoting = False
            return
        paid = self.model.feed.gas_paid_usd(receipt.gas_used, receipt.gas_price, price)
        self.gas_paid += paid
        self.period.gas += paid
        if self.quoting:
            self.period.deep_gas += paid * (self.levels - 1) * self.model.gas.quote_level * 2 / max(receipt.gas_used, 1)
        if receipt.status != SUCCEEDED:
            self.quoting = False
        if receipt.status == UNFUNDED:
            self.withdrawn = True  # for good
            self.return_at = NEVER

    def learn_trades(self, visible):
        trades = self.model.venue.tape.trades
        for number in range(self.next_trade, visible):
            trade = trades[number]
            mine = self.account in (trade.maker, trade.taker)
            if mine and trade.instrument == self.instrument.number:
                self.note_fill(trade)
        self.next_trade = max(visible, self.next_trade)

    def note_fill(self, trade):
        as_maker = trade.maker == self.account
        side = -trade.side if as_maker else trade.side
        self.position += side * trade.size
        level = 0
        if as_maker:
            place = trade.maker_handle % HANDLES
            level = place % LADDER
            quoted = self.ladder[place]
            better = self.model.venue.batching and quoted > 0 and (trade.price - quoted) * side < 0
            if quoted == trade.price or better:
                self.remaining[place] = max(self.remaining[place] - trade.size, 0)
        if len(self.fills) < FILLS:
            fee = (trade.maker_fee if as_maker else trade.taker_fee) * 1e-6
            half_spread = self.quoted_half_spread + level * self.quoted_increment
            price = trade.price * self.instrument.tick
            self.fills.append(Fill(trade.time, price, trade.size, side, level, fee, half_spread))

    def mark_fills(self, now, price):
        """Value the trades whose time has come at the external price."""
        lot_size = self.instrument.lot_size
        while self.fills and self.fills[0].time + self.mark_out <= now:
            fill = self.fills.popleft()
            notional = fill.price * fill.lots * lot_size
            revenue = fill.side * (price - fill.price) * fill.lots * lot_size - fill.fee
            experience = self.best if fill.level == 0 else self.deep
            experience.fills += 1.0
            experience.volume += notional
            experience.revenue += revenue
            experience.quoted += fill.half_spread * notional
            experience.level_volume += fill.level * notional
            self.period.revenue += revenue
            if fill.level > 0:
                self.period.deep_revenue += revenue

    def best_seen(self, view, price):
        """Half the visible spread, as a fraction of the price."""
        quotes = view.quotes[self.instrument.number]
        if not quotes.bids or not quotes.asks:
            return NOBODY_QUOTES
        return max(0.5 * (quotes.asks[0][0] - quotes.bids[0][0]) * self.instrument.tick / price, 0.0)

    def adapt(self, elapsed, best_seen):
        """Move towards what breaks even, or towards the market if there are no trades."""
        best, deep = self.best, self.deep
        pace = 1.0 - math.exp(-elapsed / self.memory)
        explore = math.exp(-self.exploration * elapsed)
        volume = best.volume + deep.volume
        gas_share = self.gas_paid / volume if volume > 0.0 else 0.0
        if best.fills > 1.0:
            trust = best.fills / (best.fills + 5.0)
            self.half_spread += pace * trust * (best.cost_per_unit(gas_share) - self.half_spread)
        else:
            self.half_spread = min(self.half_spread, max(best_seen, 0.5 * self.half_spread)) * explore
        if deep.fills > 1.0:
            trust = deep.fills / (deep.fills + 5.0)
            mean_level = deep.level_volume / deep.volume
            wanted = (deep.cost_per_unit(gas_share) - self.half_spread) / mean_level
            self.increment += pace * trust * (wanted - self.increment)
        else:
            self.increment *= explore
        self.half_spread = min(max(self.half_spread, 1e-6), 0.2)
        self.increment = min(max(self.increment, 1e-6), 0.2)

    def review(self, now):
        """Are the further levels worth their gas, and is taking part worth it at all?"""
        if now < self.next_review:
            return
        self.next_review = now + self.review_interval
        period, self.period = self.period, Period()
        if period.deep_revenue > period.deep_gas:
            self.levels = min(self.levels + 1, self.largest_ladder)
        elif period.deep_revenue < period.deep_gas:
            self.levels = max(self.levels - 1, 1)
        self.losing_periods = self.losing_periods + 1 if period.revenue < period.gas else 0
        if self.losing_periods >= 2 and not self.withdrawn:
            self.withdrawn = True
            self.return_at = now + self.rest
            self.losing_periods = 0

    def worth_of_quoting(self, price):
        """Dollars by which a fresh ladder is better than what rests."""
        quoted = self.unit * ((self.ladder[0] > 0) + (self.ladder[LADDER] > 0))
        missing = 1.0 - (self.remaining[0] + self.remaining[LADDER]) / quoted if quoted > 0 else 1.0
        misplaced = abs(self.half_spread / self.quoted_half_spread - 1.0)
        revenue_per_s = max(self.best.revenue + self.deep.revenue, 0.0) / self.memory
        forgone = revenue_per_s * max(self.quote_life, self.step) * min(missing + misplaced, 1.0)
        return max(self.avoidable_loss(price), 0.0) + forgone

    def avoidable_loss(self, price):
        """Dollars that the resting quotes are expected to lose, beyond what fresh ones would."""
        deviation = math.sqrt(self.variance * self.step)
        loss = 0.0
        for place, (ticks, lots) in enumerate(zip(self.ladder, self.remaining, strict=True)):
            if lots > 0 and ticks > 0:
                quote = ticks * self.instrument.tick
                gap = (price - quote) / price if place < LADDER else (quote - price) / price
                fresh = self.half_spread + (place % LADDER) * self.increment
                loss += lots * (expected_excess(gap, deviation) - expected_excess(fresh, deviation))
        return loss * self.instrument.lot_size * price

    def send_quote(self, outlook, levels, worth):
        """Send a ladder around the external price, shifted against the inventory."""
        feed, view, price, tick = self.model.feed, outlook.view, outlook.external_price, self.instrument.tick
        load = min(max(self.position / self.position_limit, -1.0), 1.0)
        centre = price * (1.0 - self.inventory_aversion * load * self.half_spread)
        distances = [self.half_spread + level * self.increment for level in range(levels)]
        bids = [math.floor(centre * (1.0 - distance) / tick) for distance in distances if load < 1.0]
        asks = [math.ceil(centre * (1.0 + distance) / tick) for distance in distances if load > -1.0]
        self.ladder = padded(bids) + padded(asks)
        self.remaining = padded([self.unit] * len(bids)) + padded([self.unit] * len(asks))
        gas, tip = self.quote_gas(levels), feed.wallet_tip(view)
        block, now = self.model.block, outlook.decision
        self.model.mempool.submit(
            Transaction(
                kind=QUOTE,
                style=POST_ONLY if self.model.settings.chain.ordering == "cancels_first" else LIMIT,
                sender=self.account,
                access=self.access,
                instrument=self.instrument.number,
                size=self.unit,
                ladder=tuple(self.ladder),
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction + 8 * levels,
                decided=now,
                expires=block.time,
                max_fee=max(feed.fee_worth(gas, worth, price), view.base_fee + tip),
                tip=tip,
            )
        )
        self.quote_life += 0.1 * ((now - self.quoted_at) * 1e-9 - self.quote_life)
        self.quoted_half_spread = self.half_spread
        self.quoted_increment = self.increment
        self.quoted_at = now
        self.pending = True
        self.landing = block.number
        self.quoting = levels > 0
