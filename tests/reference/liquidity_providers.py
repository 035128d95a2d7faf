"""Liquidity providers: enter, leave and choose how wide to provide by what they have earned."""

import math

import mesa

from blockspace.network.draws import stream_key

from .constants import BURN, LARGEST_AMOUNT, MAXIMUM_TICK, MINIMUM_TICK, MINT, SUCCEEDED
from .draws import draw_uniform
from .pool_orders import send_liquidity

START, EXPLORE, WIDTH = range(3)
OUT, MINTING, IN, BURNING = range(4)
WIDTHS = 8
PATIENCE = 120 * 10**9
DAY = 86_400e9
LOG_TICK = math.log(1.0001)


def root_at(tick):
    return math.exp(0.5 * LOG_TICK * tick)


class LiquidityProvider(mesa.Agent):
    def __init__(self, model, settings, number, place, seed):
        super().__init__(model)
        self.account, self.access, self.pool, self.instrument = place
        self.settings = settings
        self.concentrated = model.settings.pools[self.pool].kind == "concentrated"
        self.widths = WIDTHS if self.concentrated else 1
        self.narrowest = math.log1p(settings.narrowest_bps * 1e-4)
        self.required = settings.required_return_bps_per_day * 1e-4
        self.key = stream_key(seed, f"liquidity_providers/{number}")
        self.next_review = int(draw_uniform(self.key, 0, START) * settings.review_interval_s * 1e9)
        self.next_look = self.since = self.sent_at = 0
        self.reviews = 0
        self.status = OUT
        self.width = 0
        self.ticks = 0, 0
        self.leaving = False
        self.liquidity = self.lots = self.worth = self.lot_price = 0.0
        self.fees_seen = [0, 0]
        self.gain = self.gas = self.total_gain = self.total_gas = 0.0
        self.expected, self.tried = {}, {}

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        now = outlook.decision
        self.next_look = now + int(self.settings.look_interval_s * 1e9)
        seen = outlook.view.pools[self.pool]
        lot_price = outlook.external_price * self.instrument.lot_size * 1e6
        if self.status == IN:
            self.look(seen, lot_price)
        elif self.status != OUT:
            self.learn_fate(outlook, seen, lot_price)
        if now >= self.next_review and self.status in (IN, OUT):
            self.review(outlook.view, seen, lot_price, now)

    def in_range(self, seen):
        return not self.concentrated or root_at(self.ticks[0]) <= seen.root < root_at(self.ticks[1])

    def note(self, seen, lot_price):
        """Remember what the position is, and what the pool has earned."""
        if self.concentrated:
            low, high = map(root_at, self.ticks)
            root = min(max(seen.root, low), high)
            self.lots, cash = self.liquidity * (1.0 / root - 1.0 / high), self.liquidity * (root - low)
        else:
            share = self.liquidity / seen.total_shares
            self.lots, cash = share * seen.reserves[0], share * seen.reserves[1]
        self.worth = self.lots * lot_price + cash
        self.lot_price = lot_price
        self.fees_seen = seen.fees

    def look(self, seen, lot_price):
        """Add what was gained since the last look over rebalancing, with fees."""
        lots, worth, price, fees = self.lots, self.worth, self.lot_price, 0.0
        if self.concentrated and seen.liquidity > 0.0 and self.in_range(seen):
            base, quote = (now - before for now, before in zip(seen.fees, self.fees_seen, strict=True))
            fees = min(self.liquidity / seen.liquidity, 1.0) * (base * lot_price + quote)
        self.note(seen, lot_price)
        gain = (self.worth - worth - lots * (lot_price - price) + fees) * 1e-6
        self.gain += gain
        self.total_gain += gain

    def learn_fate(self, outlook, seen, lot_price):
        feed, view = self.model.feed, outlook.view
        receipt = feed.receipts.get(self.account)
        known = bool(receipt) and receipt.decided == self.sent_at and receipt.block <= view.number
        if not known and view.time <= self.sent_at + PATIENCE:
            return
        succeeded = known and receipt.status == SUCCEEDED
        if known:
            paid = feed.gas_paid_usd(receipt.gas_used, receipt.gas_price, outlook.external_price)
            self.gas += paid
            self.total_gas += paid
        if self.status == MINTING:
            self.status = IN if succeeded else OUT
            if succeeded:
                self.liquidity = self.minted(seen, lot_price)
                self.note(seen, lot_price)
        else:
            self.status = OUT if succeeded else IN
            if succeeded:
                self.next_review = self.sent_at + (int(self.settings.rest_s * 1e9) if self.leaving else 0)

    def minted(self, seen, lot_price):
        cash = 0.5e6 * self.settings.capital_usd
        lots = cash / lot_price
        if not self.concentrated:
            return min(lots / seen.reserves[0], cash / seen.reserves[1]) * seen.total_shares
        low, high = map(root_at, self.ticks)
        root = min(max(seen.root, low), high)
        most = lots / (1.0 / root - 1.0 / high) if root < high else math.inf
        return min(most, cash / (root - low)) if root > low else most

    def choose(self):
        best = max(sorted(self.tried), key=self.expected.get, default=None)
        explores = best is None or draw_uniform(self.key, self.reviews, EXPLORE) < self.settings.exploration
        if explores:
            return int(draw_uniform(self.key, self.reviews, WIDTH) * self.widths)
        return best if self.expected[best] > self.required else None

    def review(self, view, seen, lot_price, now):
        if self.status == IN:
            days = max(now - self.since, 1) / DAY
            returned = (self.gain - self.gas) / self.settings.capital_usd / days
            rate = self.settings.learning_rate if self.width in self.tried else 1.0
            before = self.expected.get(self.width, 0.0)
            self.expected[self.width] = before + rate * (returned - before)
            self.tried[self.width] = self.tried.get(self.width, 0) + 1
        self.since = now
        self.gain = self.gas = 0.0
        self.reviews += 1
        self.next_review = now + int(self.settings.review_interval_s * 1e9)
        width = self.choose()
        tip = self.model.feed.wallet_tip(view)
        terms = now, now + PATIENCE, 2 * view.base_fee + tip, tip
        if self.status == IN:
            if width == self.width and self.in_range(seen):
                return
            self.leaving = width is None
            send_liquidity(self, BURN, self.ticks, LARGEST_AMOUNT, 0, *terms)
            self.status = BURNING
        elif width is not None:
            self.width = width
            self.set_range(seen)
            cash = 0.5e6 * self.settings.capital_usd
            send_liquidity(self, MINT, self.ticks, int(cash / lot_price), int(cash), *terms)
            self.status = MINTING
        else:
            return
        self.sent_at = now

    def set_range(self, seen):
        if not self.concentrated:
            return
        centre = 2.0 * math.log(seen.root)
        distance = self.narrowest * 2.0**self.width
        spacing = seen.pool.spacing
        lower = math.floor((centre - distance) / LOG_TICK / spacing) * spacing
        upper = math.ceil((centre + distance) / LOG_TICK / spacing) * spacing
        lowest, highest = seen.pool.full_range()
        assert MINIMUM_TICK <= lowest < highest <= MAXIMUM_TICK
        self.ticks = max(lower, lowest), min(upper, highest)
