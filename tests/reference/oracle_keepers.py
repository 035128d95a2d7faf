"""The oracle's keeper: reports the price when it has moved or when it is time, and bids more when it was left out."""

import mesa

from .constants import REPORT, SUCCEEDED
from .mempool import Transaction


class OracleKeeper(mesa.Agent):
    def __init__(self, model, settings, account, access):
        super().__init__(model)
        self.settings = settings
        self.account = account
        self.access = access
        self.next_look = 0
        self.urgency = 0.0
        self.pending = False
        self.sent_at = self.expires = self.reported_at = self.sent = self.included = 0

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        now, view, price = outlook.decision, outlook.view, outlook.external_price
        self.next_look = now + int(self.settings.look_interval_s * 1e9)
        if self.pending:
            self.learn(view)
        index = view.indexes[0] * 1e-6 / self.model.venue.instruments[0].lot_size
        moved = abs(price - index) > self.settings.deviation_bps * 1e-4 * index
        if not self.pending and (moved or now - self.reported_at >= int(self.settings.heartbeat_s * 1e9)):
            self.report(view, price, now)

    def learn(self, view):
        receipt = self.model.feed.receipts.get(self.account)
        rate = self.settings.learning_rate
        if receipt and receipt.decided == self.sent_at and receipt.block <= view.number:
            self.pending = False
            if receipt.status == SUCCEEDED:
                self.included += 1
                self.reported_at = self.sent_at
                self.urgency -= 0.25 * rate * self.urgency
        elif view.time >= self.expires:
            self.pending = False
            self.urgency += rate * (1.0 - self.urgency)

    def report(self, view, price, now):
        feed, gas = self.model.feed, self.model.gas.report
        most = self.settings.most_usd_per_report
        bid = self.urgency * max(most - feed.gas_cost_usd(gas, view.base_fee, price), 0.0)
        max_fee = feed.fee_worth(gas, most, price)
        self.expires = now + int(self.settings.patience_s * 1e9)
        self.model.mempool.submit(
            Transaction(
                kind=REPORT,
                sender=self.account,
                access=self.access,
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction,
                decided=now,
                expires=self.expires,
                max_fee=max_fee,
                tip=min(max(feed.tip_worth(gas, bid, price), feed.wallet_tip(view)), max_fee),
                amount=int(min(max(round(price * 1e6), 1), 10**13)),
            )
        )
        self.pending = True
        self.sent_at = now
        self.sent += 1
