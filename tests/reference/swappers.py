"""Swappers: trade where it costs least, in a pool or on the book of its instrument."""

import math

from blockspace.network.draws import stream_key

from .constants import EXACT_IN, EXACT_OUT, PUBLIC, TO_PRODUCER
from .draws import draw_exponential, draw_uniform
from .pool_orders import send_swap, swap_gas
from .taker import send_taking_order
from .traders import GAP, NoiseTrader

SPARE_TICKS = 1
ROUTE = 10


class Swapper(NoiseTrader):
    def __init__(self, model, settings, number, place, seed):
        account, access, self.pool, instrument = place
        super().__init__(model, settings, number, (account, access, instrument), seed)
        self.tolerance = settings.tolerance_bps / 1e4
        self.key = stream_key(seed, f"swappers/{number}")
        private = draw_uniform(self.key, 0, ROUTE) < settings.private_share
        self.route = TO_PRODUCER if private else PUBLIC
        if self.rate > 0.0:
            self.next_wake = int(draw_exponential(self.key, 0, GAP) / self.rate * 1e9)

    def trade_if_worth_it(self, external_price, side, lots, value):
        feed, instrument, now = self.model.feed, self.instrument, self.next_wake
        view = feed.view_at(self.access, now)
        fee = view.base_fee + feed.wallet_tip(view)
        notional = lots * instrument.lot_size * external_price
        worth = value * notional
        swap = view.pools[self.pool].estimate_lots(side, lots)
        amount_in, amount_out, crossings, complete = swap
        pool_cost = paid = book_cost = math.inf
        if complete and amount_out > 0:
            pool_cost = amount_in * 1e-6 - notional if side > 0 else notional - amount_out * 1e-6
            pool_cost += feed.gas_cost_usd(swap_gas(self.model.gas, crossings), fee, external_price)
        filled, average = view.quotes[instrument.number].average_price(side, lots)
        if filled == lots:
            money = average * instrument.tick * instrument.lot_size * lots
            paid = side * (money - notional) + instrument.taker_fee * money
            book_cost = paid + feed.gas_cost_usd(self.model.gas.place, fee, external_price)
        if min(pool_cost, book_cost) >= worth:
            return
        if pool_cost <= book_cost:
            self.send_to_pool(view, swap, side, lots, notional, worth, external_price)
        else:
            self.send_to_book(view, side, lots, notional, worth, paid, external_price)

    def send_to_pool(self, view, swap, side, lots, notional, worth, price):
        feed, now = self.model.feed, self.next_wake
        amount_in, amount_out, crossings, _ = swap
        if view.pools[self.pool].pool.concentrated:
            crossings += SPARE_TICKS
        gas = swap_gas(self.model.gas, crossings)
        tip = feed.wallet_tip(view)
        spare = worth - feed.gas_cost_usd(gas, view.base_fee + tip, price)
        if side > 0:
            most = min(amount_in * (1.0 + self.tolerance), (notional + spare) * 1e6)
            exact = EXACT_OUT, amount_out, math.floor(most)
            surplus = notional + worth - amount_in * 1e-6
        else:
            least = max(amount_out * (1.0 - self.tolerance), (notional - spare) * 1e6)
            exact = EXACT_IN, amount_in, math.ceil(least)
            surplus = amount_out * 1e-6 - notional + worth
        max_fee = max(feed.fee_worth(gas, surplus, price), view.base_fee + tip)
        send_swap(self, side, *exact, lots, gas, now, now + self.patience, max_fee, tip, route=self.route)

    def send_to_book(self, view, side, lots, notional, worth, paid, price):
        feed, instrument, now = self.model.feed, self.instrument, self.next_wake
        tip = feed.wallet_tip(view)
        gas = feed.gas_cost_usd(self.model.gas.place, view.base_fee + tip, price)
        spare = min((worth - gas) / notional, paid / notional + self.tolerance) - instrument.taker_fee
        limit = price * (1.0 + side * spare) / instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        if limit <= 0:
            return
        max_fee = max(feed.fee_worth(self.model.gas.place, worth - paid, price), view.base_fee + tip)
        send_taking_order(self, side, lots, limit, now, now + self.patience, max_fee, tip)
