"""Options: series, marks and settlement, said slowly. Values at a volatility are asked of the package."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

from blockspace.markets.options.black_scholes import greeks
from blockspace.markets.options.implied_volatility import implied_volatility_of

from .clearing import settle_claims
from .constants import FIRST_FREE_ACCOUNT, HANDLES, ROUNDING
from .margin import SCENARIO_MOVES, bear_debts
from .order_book import PRICES
from .venue import Instrument

NS = 10**9
YEAR_NS = 365 * 86_400 * NS
MILLION = 10**6


class Option(Instrument):
    """A place among the instruments, and the series that is listed in it."""

    option = True

    def __init__(self, settings, number, tape):
        terms = SimpleNamespace(
            kind="option",
            tick_usd=settings.tick_usd,
            lot_size=settings.lot_size,
            tick_lot_value=settings.tick_lot_value,
            maker_fee_bps=settings.maker_fee_bps,
            taker_fee_bps=settings.taker_fee_bps,
            initial_margin=settings.initial_share,
            impact_size=settings.lot_size,
        )
        super().__init__(terms, number, tape)
        self.minimum_ppm = round(settings.initial_minimum * 1e6)
        self.kept_share_ppm = round(settings.maintenance_share * 1e6)
        self.kept_minimum_ppm = round(settings.maintenance_minimum * 1e6)
        self.portfolio_ppm = round(settings.portfolio_minimum * 1e6)
        self.series = 0
        self.name = ""
        self.strike = 0
        self.expiry = 0
        self.right = 1
        self.opened = 0
        self.closed = False
        self.volatility = 0.0
        self.history = []  # when something was listed here, its name and its number

    @property
    def strike_usd(self):
        return self.strike / (self.lot_size * MILLION)

    def years(self, time):
        return max(self.expiry - time, 0) / YEAR_NS

    def needed(self, lots):
        """Initial margin of lots: all of what long ones are worth, a share of the index for short ones."""
        return lots * self.mark if lots >= 0 else -lots * self.short_need(self.margin_ppm, self.minimum_ppm)

    def short_need(self, share_ppm, minimum_ppm):
        """What a short lot needs beyond its mark."""
        away = max(self.right * (self.strike - self.index), 0)
        return max(self.index * share_ppm // MILLION - away, self.index * minimum_ppm // MILLION)

    def needed_with(self, position, bids, asks):
        return max(self.needed(position + bids), self.needed(position - asks))

    def is_tradable(self, decided):
        return not self.closed and (self.opened == 0 or decided >= self.opened)

    def volatility_of_mid(self, price, time):
        book = self.book
        if book.best_bid <= 0 or book.best_ask >= PRICES:
            return 0.0
        mid = 0.5 * (book.best_bid + book.best_ask) * self.tick_lot_value / (self.lot_size * MILLION)
        found = implied_volatility_of(mid, price, self.strike_usd, self.years(time), self.right, 0.0, 0.0)
        return max(found, 0.0)

    def value(self, price, time, volatility):
        value = greeks(price, self.strike_usd, self.years(time), volatility, self.right, 0.0, 0.0)[0]
        return round(value * self.lot_size * MILLION)

    def revalue(self, price, time, moves):
        self.index = round(price * self.lot_size * MILLION)
        if not self.closed:
            self.mark = self.value(price, time, self.volatility)
            self.changes = [
                self.value(price * (1.0 + move), time, self.volatility * (1.0 + shift)) - self.mark
                for move, shift in moves
            ]


@dataclass
class Tenor:
    days: float
    length: int
    expiry: int
    snapshots: int
    pairs: list  # a call and a put for each strike, ascending
    open: bool = True
    taken: list = None


class Options:
    """All options of a venue, in the places behind its other instruments."""

    def __init__(self, venue, settings, price, volatility):
        self.venue = venue
        self.settings = settings
        self.variance = volatility**2
        self.variance_price = price
        self.variance_time = self.volatility_time = 0
        self.next_number = 0
        self.settled = []
        self.moves = venue.margin.moves if venue.margin.mode == "portfolio" else []
        self.tenors = []
        for days in settings.expiries_days:
            length = round(days * 86_400 * NS)
            window = min(settings.settlement_window_s * NS, length // 4)
            pairs = [(self.place(), self.place()) for _ in range(settings.strikes_per_expiry)]
            self.tenors.append(Tenor(days, length, length, max(window // NS, 1), pairs))
        for tenor in self.tenors:
            self.list(tenor, 0, price)
        self.value(price, 0)

    def place(self):
        option = Option(self.settings, len(self.venue.instruments), self.venue.tape)
        self.venue.instruments.append(option)
        return option

    @property
    def all(self):
        return [option for tenor in self.tenors for pair in tenor.pairs for option in pair]

    def list(self, tenor, time, price):
        settings, step = self.settings, self.settings.strike_step
        volatility = math.sqrt(self.variance)
        width = math.log1p(settings.strike_spacing)
        if settings.strike_spacing_unit == "deviations":
            width = settings.strike_spacing * volatility * math.sqrt((tenor.expiry - time) / YEAR_NS)
        middle = len(tenor.pairs) // 2
        per_dollar = settings.lot_size * MILLION / step
        steps = {0: max(round(price * per_dollar), middle + 1)}
        for away in range(1, middle + 1):
            steps[away] = max(round(price * math.exp(width * away) * per_dollar), steps[away - 1] + 1)
            below = min(round(price * math.exp(-width * away) * per_dollar), steps[1 - away] - 1)
            steps[-away] = max(below, middle - away + 1)
        tenor.open, tenor.taken = True, []
        for strike, pair in enumerate(tenor.pairs):
            for option, right in zip(pair, (1, -1), strict=True):
                option.strike = steps[strike - middle] * step
                option.expiry, option.right = tenor.expiry, right
                option.opened, option.closed = time, False
                option.volatility = volatility
                option.series = self.next_number
                self.next_number += 1
                hours = f"{tenor.days * 24.0:.4g}H"
                length = f"{tenor.days:g}D" if tenor.days >= 1 else hours
                base = settings.underlying.split("-")[0]
                option.name = f"{base}-{length}-{option.strike_usd:.9g}-{'C' if right > 0 else 'P'}"
                option.history.append((time, option.name, option.series))

    def revalue(self, path, time, price):
        rolled = self.expire(path, time, price)
        if time - self.variance_time >= 60 * NS:
            since = time - self.variance_time
            move = math.log(price / self.variance_price)
            weight = 1.0 - math.exp(-since / (6 * 3600e9))
            self.variance += weight * (move * move / (since / YEAR_NS) - self.variance)
            self.variance = min(max(self.variance, 0.01 * 0.01), 20.0 * 20.0)
            self.variance_price, self.variance_time = price, time
        looked = time - self.volatility_time >= NS
        if looked:
            weight = 1.0 - math.exp(-(time - self.volatility_time) / 60e9)
            self.volatility_time = time
            for tenor in self.tenors:
                if tenor.open:
                    self.move_volatilities(tenor, price, time, weight)
        moved = abs(price - self.valued_price) > 1e-5 * self.valued_price
        if rolled or looked or moved or time - self.valued_time >= NS:
            self.value(price, time)

    def value(self, price, time):
        for option in self.all:
            option.revalue(price, time, self.moves)
        self.valued_price, self.valued_time = price, time

    def expire(self, path, time, price):
        rolled = False
        for tenor in self.tenors:
            if not tenor.open:
                continue
            for number in range(len(tenor.taken), tenor.snapshots):
                at = tenor.expiry - (tenor.snapshots - 1 - number) * NS
                if at <= time:
                    reported = self.venue.on_chain_oracle
                    seen = self.venue.reported * 1e-6 if reported else path.price_at(at - self.venue.oracle_delay)
                    tenor.taken.append(round(seen * self.settings.lot_size * MILLION))
            if time >= tenor.expiry:
                rolled = True
                self.settle(tenor, time)
                if self.settings.roll:
                    while tenor.expiry <= time:
                        tenor.expiry += tenor.length
                    self.list(tenor, time, price)
        return rolled

    def settle(self, tenor, time):
        """Pay what options are worth at the mean of the index, rounded half up, and clear their books."""
        ledger = self.venue.ledger
        if self.venue.clearing.waiting:
            settle_claims(self.venue, len(self.venue.tape.trades))
        tenor.open = False
        count = len(tenor.taken)
        price = (2 * sum(tenor.taken) + count) // (2 * count)
        series = [one for pair in tenor.pairs for one in pair]
        for option in series:
            option.mark = max(option.right * (price - option.strike), 0)
            self.settled.append((option.series, time, price, option.mark))
        if self.venue.margin.liquidates:
            bear_debts(self.venue, series)
        for option in series:
            for account in range(FIRST_FREE_ACCOUNT, len(ledger.accounts)):
                lots = ledger.accounts[account].positions[option.number]
                ledger.transfer_cash(ROUNDING, account, lots * option.mark)
                ledger.transfer_position(account, ROUNDING, option.number, lots)
                self.venue.margin.positions.pop((account, option.number), None)
                for handle in range(account * HANDLES, (account + 1) * HANDLES):
                    if handle in option.book.orders:
                        option.book.cancel(handle, account)
                    option.batch.withdraw(handle)
            option.closed, option.mark, option.changes = True, 0, [0] * len(SCENARIO_MOVES)

    def move_volatilities(self, tenor, price, time, weight):
        implied = []
        for call, put in tenor.pairs:
            first, second = (call, put) if call.strike_usd >= price else (put, call)
            implied.append(first.volatility_of_mid(price, time) or second.volatility_of_mid(price, time))
        strikes = [call.strike_usd for call, _ in tenor.pairs]
        quoted = [number for number, volatility in enumerate(implied) if volatility]
        for number, pair in enumerate(tenor.pairs):
            target = implied[number]
            below = [other for other in quoted if other < number][-1:]
            above = [other for other in quoted if other > number][:1]
            if not target and below and above:
                (low,), (high,) = below, above
                share = (strikes[number] - strikes[low]) / (strikes[high] - strikes[low])
                target = implied[low] + share * (implied[high] - implied[low])
            elif not target:
                target = implied[(below or above)[0]] if quoted else math.sqrt(self.variance)
            for option in pair:
                now = option.volatility
                near = min(max(target, now * 0.75), now * 1.25)
                option.volatility = min(max(now + weight * (near - now), 0.01), 20.0)
