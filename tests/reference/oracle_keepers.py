"""The oracle's keeper: reports the price when it has moved or when it is time, and bids more when it was left out."""

from .constants import REPORT
from .keeping import Keeper


class OracleKeeper(Keeper):
    reported_at = 0

    def consider(self, view, price, now):
        index = view.indexes[0] * 1e-6 / self.model.venue.instruments[0].lot_size
        moved = abs(price - index) > self.settings.deviation_bps * 1e-4 * index
        if moved or now - self.reported_at >= int(self.settings.heartbeat_s * 1e9):
            self.report(view, price, now)

    def got_in(self):
        self.reported_at = self.sent_at

    def report(self, view, price, now):
        feed, gas = self.model.feed, self.model.gas.report
        most = self.settings.most_usd_per_report
        bid = self.urgency * max(most - feed.gas_cost_usd(gas, view.base_fee, price), 0.0)
        tip = max(feed.tip_worth(gas, bid, price), feed.wallet_tip(view))
        amount = int(min(max(round(price * 1e6), 1), 10**13))
        self.send(most, tip, price, now, kind=REPORT, gas=gas, amount=amount)
