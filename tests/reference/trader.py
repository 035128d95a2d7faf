"""Base of agents of one's own: the plain Mesa agent that corresponds to the package's ``Trader``."""

import math

import mesa

from blockspace.agents.sight import VisibleDebtor

from .constants import CANCEL, COMBINATION, HANDLES, LIQUIDATE, PLACE, PLACEMENTS, REPLACE, SIDES, STYLES, TAKER_HANDLE
from .mempool import Transaction


class Trader(mesa.Agent):
    """Subclasses override :meth:`act`; they see what could have reached them by the moment of decision."""

    def __init__(self, model):
        super().__init__(model)
        self.access = len(model.chain.access_points) - 1
        self.account = model.open_account("own")
        self.decision_ns = 0
        self.external_price = None
        self.view = None
        model.own_agents.append(self)

    def act(self):
        """Decide."""

    def observe(self, outlook):
        self.decision_ns = outlook.decision
        self.external_price = outlook.external_price
        self.view = outlook.view

    def options(self):
        return self.view.options

    def debtors(self):
        return [
            VisibleDebtor(due.account, due.instrument, due.lots, due.equity * 1e-6, due.maintenance * 1e-6)
            for due in self.view.due
        ]

    def best_bid(self, instrument=0):
        return self.best(self.view.quotes[instrument].bids, instrument)

    def best_ask(self, instrument=0):
        return self.best(self.view.quotes[instrument].asks, instrument)

    def best(self, levels, instrument):
        return levels[0][0] * self.model.venue.instruments[instrument].tick if levels else None

    def submit(
        self, side, price_usd, size, *, style="immediate_or_cancel", slot=TAKER_HANDLE, instrument=0, **handed_in
    ):
        """Send an order; limit in dollars, size in units of the underlying."""
        traded = self.model.venue.instruments[instrument]
        ticks = price_usd / traded.tick
        direction = SIDES[side]
        price = math.floor(ticks + 1e-9) if direction > 0 else math.ceil(ticks - 1e-9)
        size = round(size / traded.lot_size)
        gas = self.model.gas.place
        style = STYLES[style]
        self.send(PLACE, slot, instrument, gas, side=direction, style=style, price=price, size=size, **handed_in)

    def cancel(self, slot, instrument=0):
        self.send(CANCEL, slot, instrument, self.model.gas.cancel)

    def replace(self, slot, price_usd, size, instrument=0):
        traded = self.model.venue.instruments[instrument]
        price, size = round(price_usd / traded.tick), round(size / traded.lot_size)
        self.send(REPLACE, slot, instrument, self.model.gas.replace, price=price, size=size)

    def liquidate(self, debtor, size):
        """Ask for a debtor's position."""
        gas, lot_size = self.model.gas.liquidate, self.model.venue.instruments[debtor.instrument].lot_size
        slot = debtor.account - self.account * HANDLES  # a liquidation names the account where orders have a handle
        self.send(LIQUIDATE, slot, debtor.instrument, gas, size=round(size / lot_size))

    def combination(self, legs, limit_usd, size):
        """Send several legs at once; a limit in dollars per unit."""
        venue, gas = self.model.venue, self.model.gas
        lots = [round(ratio * size / venue.instruments[number].lot_size) for number, ratio in legs]
        units = math.gcd(*lots)
        self.send(
            COMBINATION,
            0,
            legs[0][0],
            gas.place + len(legs) * gas.leg,
            legs=tuple((number, lot // units) for (number, _), lot in zip(legs, lots, strict=True)),
            size=units,
            bound=math.floor(limit_usd * size * 10**6 + 1e-6),
        )

    def last_moment(self, fields, instrument):
        """60 seconds from now, and before what it is for expires."""
        places = [number for number, _ in fields.get("legs", ())] or [instrument]
        expiries = {option.instrument: round(option.expiry_s * 1e9) for option in self.view.options}
        moments = [expiries[place] - 1 for place in places if place in expiries]
        return min([self.decision_ns + 60 * 10**9, *moments])

    def send(self, kind, slot, instrument, gas, tip=None, placement="anywhere", **fields):
        expires = self.last_moment(fields, instrument)
        if expires < self.decision_ns:
            return
        tip = self.model.feed.usual_tip if tip is None else tip
        self.model.mempool.submit(
            Transaction(
                kind=kind,
                sender=self.account,
                access=self.access,
                instrument=instrument,
                handle=self.account * HANDLES + slot,
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction,
                decided=self.decision_ns,
                expires=expires,
                max_fee=4 * self.view.base_fee + 10 * self.model.feed.usual_tip,
                tip=tip,
                placement=PLACEMENTS[placement],
                **fields,
            )
        )
