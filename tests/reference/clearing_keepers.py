"""The clearing's operator: settles what waits when it is due, as much as fits, if it is worth the gas."""

from .clearing import count_parties, waits
from .constants import SETTLE
from .keeping import Keeper


class ClearingKeeper(Keeper):
    def consider(self, view, price, now):
        if self.is_due(view, now):
            self.settle(view, price, now)

    def is_due(self, view, now):
        venue = self.model.settings.venue
        if venue.settlement == "count":
            return view.waiting >= venue.settlement_trades
        interval = round(venue.settlement_interval_s * 1e9)
        return view.waiting > 0 and view.oldest // interval < now // interval

    def settle(self, view, price, now):
        feed, gas_of, settings = self.model.feed, self.model.gas, self.settings
        room = int(settings.largest_share * self.model.block.gas_limit) - gas_of.settle
        most = max(room // max(gas_of.settle_account, 1), 2)
        parties, until = count_parties(self.model.venue, view.cleared, view.trades, most)
        trades = sum(map(waits, self.model.venue.tape.trades[view.cleared : until]))
        gas = gas_of.settle + parties * gas_of.settle_account
        worth, tip = settings.most_usd_per_trade * trades, feed.wallet_tip(view)
        space = feed.gas_cost_usd(gas, view.base_fee + tip, price)
        if space > worth:
            return
        tip += feed.tip_worth(gas, self.urgency * (worth - space), price)
        content = {"amount": view.cleared, "bound": until, "size": parties}
        self.send(worth, tip, price, now, kind=SETTLE, gas=gas, **content)
