"""Everybody else's use of the chain, one user after the other."""

import math

import mesa

from blockspace.network.draws import stream_key

from .builders import route_of
from .constants import BACKGROUND, NEVER, TRANSFER
from .draws import draw_bits, draw_exponential, draw_normal, draw_uniform
from .mempool import Transaction
from .price_path import CELL_NS, CELL_S

GAP, VALUE, GAS, PATIENCE, ACCESS, BURST, ROUTE = range(7)
SURGE_CELLS = 60
SMALLEST_GAS, LARGEST_GAS = 21_000.0, 16_777_216


class BackgroundUsers(mesa.Agent):
    def __init__(self, model, settings, access_points, seed):
        super().__init__(model)
        self.settings = settings
        self.access_points = access_points
        self.key = stream_key(seed, "background_users")
        self.gas_sigma = math.sqrt(math.log(1.0 + settings.gas_variation**2))
        self.value_wei = settings.value_gwei * 1e9
        self.patience = settings.patience_s * 1e9
        self.burst_decay = math.log(2.0) / settings.burst_half_life_s
        self.log_factor = settings.burst_sd * draw_normal(self.key, 0, BURST)
        self.factor = math.exp(self.log_factor - settings.burst_sd**2 / 2)
        self.reached = 0  # ns up to which arrivals have been drawn
        self.user = 0
        self.gap = draw_exponential(self.key, 0, GAP)  # to the next user, in expected arrivals

    def act(self):
        """Let everyone who arrives before the coming block look at the fee, and send or balk."""
        until = self.model.block.time
        if self.settings.arrivals_per_s <= 0.0:
            return
        while self.reached < until:
            end_of_cell = (self.reached // CELL_NS + 1) * CELL_NS
            end = min(end_of_cell, until)
            rate = self.settings.arrivals_per_s * self.factor * 1e-9
            expected = rate * (end - self.reached)
            if self.gap <= expected:
                self.reached = min(self.reached + int(self.gap / rate), end)
                self.arrive(self.reached)
                self.user += 1
                self.gap = draw_exponential(self.key, self.user, GAP)
            else:
                self.gap -= expected
                self.reached = end
                if end == end_of_cell:
                    self.enter_cell(end // CELL_NS)

    def due(self):
        """When the next user comes, or the rate changes (ns)."""
        if self.settings.arrivals_per_s <= 0.0:
            return NEVER
        wait = min(self.gap / (self.settings.arrivals_per_s * self.factor) * 1e9, 2.0 * CELL_NS)
        return min(self.reached + int(wait), (self.reached // CELL_NS + 1) * CELL_NS)

    def enter_cell(self, cell):
        """Draw the demand factor of a new second or so: a burst, and a surge after a large move of the price."""
        settings = self.settings
        decay = math.exp(-self.burst_decay * CELL_S)
        shock = draw_normal(self.key, cell, BURST)
        self.log_factor = decay * self.log_factor + settings.burst_sd * math.sqrt(1.0 - decay * decay) * shock
        self.factor = math.exp(self.log_factor - 0.5 * settings.burst_sd * settings.burst_sd)
        if settings.surge > 0.0 and cell > SURGE_CELLS:
            nodes = self.model.path.nodes
            now, before = nodes[cell], nodes[cell - SURGE_CELLS]
            variance = settings.usual_volatility_per_day**2 / 86_400.0 or before.variance
            usual = math.sqrt(variance * SURGE_CELLS * CELL_S)
            if usual > 0.0:
                excess = abs(now.start - before.start) / usual - 1.0
                self.factor *= 1.0 + settings.surge * max(excess, 0.0)

    def arrive(self, now):
        feed, mempool = self.model.feed, self.model.mempool
        access = draw_bits(self.key, self.user, ACCESS) % self.access_points
        view = feed.view_at(access, now)
        gas = self.gas()
        value = int(min(self.value(), 1e15))
        value -= -(-feed.data_fee(self.settings.bytes) // gas)
        if view.base_fee + feed.usual_tip > value:
            mempool.balked += 1
            return
        mempool.submit(
            Transaction(
                kind=TRANSFER,
                sender=BACKGROUND,
                access=access,
                decided=now,
                expires=self.expiry(now),
                max_fee=value,
                tip=min(feed.wallet_tip(view), max(value - view.base_fee, 0)),
                gas=gas,
                bytes=self.settings.bytes,
                independent=True,
                route=route_of(self.model.route_ends, self.key, self.user, ROUTE),
                nonce=self.user % 2**31,
            )
        )

    def value(self):
        """Value per gas of the user, in wei."""
        law, shape = self.settings.value_law, self.settings.value_shape
        if law == "lognormal":
            return self.value_wei * math.exp(shape * draw_normal(self.key, self.user, VALUE))
        uniform = draw_uniform(self.key, self.user, VALUE)
        if law == "exponential":
            return -self.value_wei * math.log(uniform)
        if law == "uniform":
            return self.value_wei * uniform
        return self.value_wei * uniform ** (-1.0 / shape)

    def gas(self):
        gas = self.settings.gas_mean
        if self.gas_sigma > 0.0:
            normal = draw_normal(self.key, self.user, GAS)
            gas *= math.exp(self.gas_sigma * normal - 0.5 * self.gas_sigma * self.gas_sigma)
        return int(min(max(gas, SMALLEST_GAS), LARGEST_GAS))

    def expiry(self, now):
        if self.patience <= 0.0:
            return self.model.block.time
        return now + int(min(self.patience * draw_exponential(self.key, self.user, PATIENCE), 1e18))
