"""Pool arbitrageurs: move the price of a pool to the external one, and learn how much to bid for it."""

import math

from .arbitrageurs import Arbitrageur
from .constants import EXACT_IN
from .pool_orders import send_swap, swap_gas


class PoolArbitrageur(Arbitrageur):
    stream = "pool_arbitrageurs"

    def __init__(self, model, settings, number, place, seed):
        account, access, self.pool, instrument = place
        super().__init__(model, settings, number, (account, access, instrument), seed)

    def seize(self, outlook):
        self.take_from_pool(outlook)
        if not self.pending:
            super().seize(outlook)

    def take_from_pool(self, outlook):
        """Send the swap that earns most if it promises more than it costs."""
        lot_price = outlook.external_price * self.instrument.lot_size * 1e6
        side, (amount_in, amount_out, crossings, _) = outlook.view.pools[self.pool].estimate_arbitrage(lot_price)
        if side == 0 or amount_out == 0:
            return
        if side > 0:
            gain = amount_out * lot_price - amount_in
            lots, least = amount_out, math.ceil(amount_in / lot_price)
        else:
            gain = amount_out - amount_in * lot_price
            lots, least = amount_in, math.ceil(amount_in * lot_price)
        if gain <= 0.0:
            return
        gas = swap_gas(self.model.gas, crossings)
        bid = self.bid(("pool", self.pool, side), gas, gain * 1e-6, outlook)
        if bid is None:
            return
        now = outlook.decision
        for copy in range(self.copies):
            send_swap(self, side, EXACT_IN, amount_in, least, lots, gas, now, self.model.block.time, *bid, copy)
        self.remember(outlook)
