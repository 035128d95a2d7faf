"""Sandwichers: trade around the swaps that they see pending, or behind them, by what they see of the pools."""

import math
from dataclasses import dataclass, field, replace

import mesa

from tests.markets.pools.slow_pools import DONE, UNIT, SlowConcentrated

from .constants import AFTER_TARGET, ANYWHERE, BEFORE_TARGET, EXACT_IN, EXACT_OUT, INSIDE, LARGEST_AMOUNT, NEVER
from .duplicate import duplicate
from .ordering import WITHOUT_TIPS
from .pending_swaps import has_arrived, has_travelled
from .pool_orders import send_swap, swap_gas
from .pools import LARGEST_SIZE, exact_root

SANDWICH, BACK_RUN = range(2)


@dataclass
class Stretch:
    """Liquidity between two ticks that are seen, and nothing beyond."""

    low: int
    high: int
    liquidity: int
    growth: list[int] = field(default_factory=lambda: [0, 0])


@dataclass
class Plan:
    gain: float
    side: int
    lots: int
    money: int
    front_money: int = 0
    crossings: int = 0
    front_crossings: int = 0


class Trial:
    """A copy of what is seen of a pool, on which swaps are tried."""

    def __init__(self, view):
        self.view = view
        self.concentrated = view.pool.concentrated
        if self.concentrated:
            self.slow = SlowConcentrated(round(view.root * UNIT), view.pool.fee_ppm, view.pool.spacing)
            self.slow.ranges = dict(enumerate(self.stretches()))
        else:
            self.slow = view.as_constant_product()
        self.slow.reserves, self.slow.fees = list(view.reserves), list(view.fees)

    def stretches(self):
        """Liquidity from one visible tick to the next."""
        for ticks, sign in ((self.view.above, 1), (self.view.below, -1)):
            liquidity = int(self.view.liquidity)
            start = None
            inner = (self.view.below if sign > 0 else self.view.above)[:1]
            for root, net in ticks:
                end = round(root * UNIT)
                if start is not None:
                    yield Stretch(min(start, end), max(start, end), liquidity)
                elif sign > 0 and inner:
                    yield Stretch(round(inner[0][0] * UNIT), end, liquidity)
                liquidity += sign * int(net)
                start = end

    def swap(self, side, amount, exact_in):
        """Amounts in and out, ticks crossed, and whether all of it is in sight."""
        before = self.slow.root if self.concentrated else 0
        status, cost, out, _ = self.slow.swap(exact_in, side, amount, 0 if exact_in else LARGEST_AMOUNT)
        crossings = self.crossings(before, self.slow.root) if self.concentrated else 0
        return cost, out, crossings, status == DONE and out > 0

    def lots(self, side, lots):
        return self.swap(side, lots, side < 0)

    def victim(self, swap):
        """Whether a pending swap happens."""
        cost, out, _, complete = self.swap(swap.side, swap.amount, swap.style == EXACT_IN)
        return complete and (out >= swap.bound if swap.style == EXACT_IN else cost <= swap.bound)

    def crossings(self, before, after):
        ends = {round(root * UNIT) for root, _ in self.view.above + self.view.below}
        return sum(before < end <= after or after <= end < before for end in ends)

    def arbitrage(self, price):
        """Side, amounts and crossings of the swap that earns most, or side 0."""
        kept = 1.0 - self.view.pool.fee_ppm * 1e-6
        if not self.concentrated:
            seen = replace(self.view, reserves=self.slow.reserves, fees=self.slow.fees)
            side, (cost, out, _, _) = seen.exact_arbitrage(price, kept)
            return side, cost, out, 0
        side, limit = 1, exact_root(price * kept)
        if limit <= self.slow.root:
            side, limit = -1, exact_root(price / kept)
            if limit >= self.slow.root:
                return 0, 0, 0, 0
        ticks = self.view.above if side > 0 else self.view.below
        if not ticks or (round(ticks[-1][0] * UNIT) - limit) * side < 0:
            return 0, 0, 0, 0
        token = 1 if side > 0 else 0
        room = LARGEST_AMOUNT - max(self.slow.reserves[token], self.slow.fees[token])
        before = self.slow.root
        _, cost, out, _ = self.slow.swap(True, side, room, 0, limit)
        return (side, cost, out, self.crossings(before, self.slow.root)) if out > 0 else (0, 0, 0, 0)


def largest_front(start, swap):
    """The most lots that can be traded ahead of a swap so that it still happens."""

    def survives(lots):
        trial = duplicate(start)
        return trial.lots(swap.side, lots)[-1] and trial.victim(swap)

    low, high = 0, LARGEST_SIZE + 1
    if swap.side > 0:
        high = min(start.slow.reserves[0], LARGEST_SIZE) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if survives(middle) else (low, middle)
    return low


def plan_sandwich(view, swap):
    trial = Trial(view)
    lots = largest_front(trial, swap)
    if lots == 0:
        return None
    paid, received, front_crossings, _ = trial.lots(swap.side, lots)
    front_money = paid if swap.side > 0 else received
    trial.victim(swap)
    cost, out, crossings, complete = trial.lots(-swap.side, lots)
    if not complete:
        return None
    money = out if swap.side > 0 else cost
    gain = (money - front_money) * swap.side
    return Plan(float(gain), -swap.side, lots, money, front_money, crossings, front_crossings)


def plan_back_run(view, swap, lot_price):
    trial = Trial(view)
    if not trial.victim(swap):
        return None
    side, cost, out, crossings = trial.arbitrage(lot_price)
    if side == 0:
        return None
    if side > 0:
        return Plan(out * lot_price - cost, side, out, cost, crossings=crossings)
    return Plan(out - cost * lot_price, side, cost, out, crossings=crossings)


class Sandwicher(mesa.Agent):
    def __init__(self, model, settings, account, access):
        super().__init__(model)
        self.account, self.access = account, access
        self.tips_count = model.settings.chain.ordering not in WITHOUT_TIPS
        self.learning_rate = settings.learning_rate
        self.look_interval = int(settings.look_interval_s * 1e9)
        self.most_victims = settings.most_victims
        self.hope = [0.5, 0.5]  # expected share of the gain in sight that a try brings
        self.bid_share = 0.1
        self.tries = [0, 0]
        self.wins = [0, 0]
        self.next_look = 0
        self.pending = False

    def due(self):
        return NEVER

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if not self.model.pending_swaps or outlook is None or outlook.decision < self.next_look:
            return
        self.next_look = outlook.decision + self.look_interval
        self.search(outlook.view, outlook.decision, outlook.external_price)

    def sees(self, swap, decision):
        return has_travelled(self.model, swap, self.access, decision)

    def cost_usd(self, view, tip, gas, price):
        return self.model.feed.gas_cost_usd(gas, view.base_fee + tip, price)

    def bid(self, plan, hope, cost):
        return self.bid_share * (hope * (plan.gain * 1e-6) - cost)

    def search(self, view, decision, price):
        """Try what promises most after gas."""
        if self.pending and view.number >= self.landing:
            self.learn(view)
        if self.pending:
            return
        visible = [one for one in self.model.pending_swaps if self.sees(one, decision)]
        visible = [one for one in visible if one.max_fee >= view.base_fee][: self.most_victims]
        most, chosen, given_up = 0.0, None, set()
        for swap in visible:
            for kind in (SANDWICH, BACK_RUN):
                plan = self.plan(view, swap, kind, price)
                if plan is None:
                    continue
                tip = self.tip_of(view, swap)
                gain = plan.gain * 1e-6
                front_gas, gas = self.gas_of(plan, kind)
                cost = self.cost_usd(view, tip, front_gas + gas, price)
                if front_gas:
                    cost += self.model.feed.data_cost_usd(price)
                promise = self.hope[kind] * gain - cost
                if promise > most:
                    most, chosen = promise, (swap, kind, plan, tip, cost)
                elif promise <= 0.0 and gain > cost:
                    given_up.add(kind)
        for kind in given_up:
            self.hope[kind] += 0.002 * self.learning_rate * (1.0 - self.hope[kind])
        if chosen:
            self.try_it(view, decision, price, *chosen)

    def plan(self, view, swap, kind, price):
        seen = view.pools[swap.pool]
        if kind == SANDWICH:
            return plan_sandwich(seen, swap)
        lot_size = self.model.venue.instruments[swap.instrument].lot_size
        return plan_back_run(seen, swap, price * lot_size * 1e6)

    def gas_of(self, plan, kind):
        front = swap_gas(self.model.gas, plan.front_crossings) if kind == SANDWICH else 0
        return front, swap_gas(self.model.gas, plan.crossings)

    def tip_of(self, view, swap):
        return swap.effective_tip(view.base_fee) if self.tips_count else self.model.feed.wallet_tip(view)

    def try_it(self, view, decision, price, swap, kind, plan, tip, cost):
        feed = self.model.feed
        self.instrument = self.model.venue.instruments[swap.instrument]
        self.pool = swap.pool
        self.kind, self.stake, self.price = kind, plan.gain * 1e-6, price
        self.trades_seen = view.trades
        self.landing = self.model.block.number
        self.pending = True
        self.tries[kind] += 1
        front_gas, gas = self.gas_of(plan, kind)
        ahead = behind = tip
        before = after = ANYWHERE
        if self.model.block.bundles_offered:
            before, after = BEFORE_TARGET, AFTER_TARGET
            space = feed.gas_cost_usd(front_gas + gas, view.base_fee, price)
            space += feed.data_cost_usd(price) if front_gas else 0.0
            bid = self.bid_share * (self.hope[kind] * self.stake - space)
            ahead = behind = feed.wallet_tip(view)
            if kind == SANDWICH:
                ahead += feed.tip_worth(front_gas, bid, price)
            else:
                behind += feed.tip_worth(gas, bid, price)
        elif self.tips_count:
            if kind == SANDWICH:
                ahead = tip + 1 + feed.tip_worth(front_gas, self.bid(plan, self.hope[kind], cost), price)
            behind = max(tip - 1, 0)
        worth = feed.fee_worth(front_gas + gas, self.stake, price)
        times = decision, self.model.block.time
        bids = max(worth, view.base_fee + ahead), ahead
        side, lots = plan.side, plan.lots
        if kind == SANDWICH:
            style = EXACT_OUT if side < 0 else EXACT_IN
            place = {"placement": before, "target": swap.sequence}
            if not send_swap(self, -side, style, lots, plan.front_money, lots, front_gas, *times, *bids, **place):
                return
            exact = EXACT_OUT if side > 0 else EXACT_IN, lots, plan.front_money
        else:
            lot_price = price * self.instrument.lot_size * 1e6
            if side > 0:
                exact = EXACT_IN, plan.money, math.ceil(plan.money / lot_price)
            else:
                exact = EXACT_IN, lots, math.ceil(lots * lot_price)
        bids = max(worth, view.base_fee + behind), behind
        place = {"placement": after, "target": swap.sequence}
        send_swap(self, side, *exact, lots, gas, *times, *bids, further=int(kind == SANDWICH), **place)

    def learn(self, view):
        """Find out what the last try earned."""
        self.pending = False
        lot_price = self.price * self.instrument.lot_size
        earned = 0.0
        for trade in self.model.venue.tape.trades[self.trades_seen : view.trades]:
            if trade.taker == self.account:
                gain = trade.side * (lot_price * trade.size - trade.notional * 1e-6)
                earned += gain - trade.taker_fee * 1e-6
        rate, kind = self.learning_rate, self.kind
        self.hope[kind] += rate * (min(max(earned / self.stake, -1.0), 1.0) - self.hope[kind])
        self.hope[kind] = max(self.hope[kind], 0.0)
        bids = kind == SANDWICH or self.model.block.bundles_offered
        if earned > 0.0:
            self.wins[kind] += 1
            if bids:
                self.bid_share -= rate * 0.25 * self.bid_share
        elif bids:
            self.bid_share += rate * (1.0 - self.bid_share)


class Extractor(Sandwicher):
    """The searcher inside a producer."""

    def __init__(self, model, settings, account, producer):
        super().__init__(model, settings, account, INSIDE)
        self.producer = producer

    def act(self):
        model = self.model
        if model.pending_swaps and model.block.producer is self.producer:
            time = model.block.time
            self.search(model.feed.views[-1], time, model.path.price_at(time))

    def sees(self, swap, decision):
        return has_arrived(self.model, swap)

    def cost_usd(self, view, tip, gas, price):
        fee = view.base_fee if self.model.chain.fee_rule.burns_base_fee else 0
        return self.model.feed.gas_cost_usd(gas, fee, price)

    def bid(self, plan, hope, cost):
        return plan.gain * 1e-6
