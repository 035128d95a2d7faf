"""The clearing's operator: settles what waits when it is due, as much as fits, if it is worth the gas."""

import mesa

from .clearing import count_parties, waits
from .constants import SETTLE, SUCCEEDED
from .mempool import Transaction


class ClearingKeeper(mesa.Agent):
    def __init__(self, model, settings, account, access):
        super().__init__(model)
        self.settings = settings
        self.account = account
        self.access = access
        self.next_look = 0
        self.urgency = 0.0
        self.pending = False
        self.sent_at = self.expires = self.sent = self.included = 0

    def due(self):
        return self.next_look + self.model.chain.shortest_latency[self.access]

    def act(self):
        outlook = self.model.feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        view, now = outlook.view, outlook.decision
        self.next_look = now + int(self.settings.look_interval_s * 1e9)
        if self.pending:
            self.learn(view)
        if not self.pending and self.is_due(view, now):
            self.settle(view, outlook.external_price, now)

    def is_due(self, view, now):
        venue = self.model.settings.venue
        if venue.settlement == "count":
            return view.waiting >= venue.settlement_trades
        interval = round(venue.settlement_interval_s * 1e9)
        return view.waiting > 0 and view.oldest // interval < now // interval

    def learn(self, view):
        receipt = self.model.feed.receipts.get(self.account)
        rate = self.settings.learning_rate
        if receipt and receipt.decided == self.sent_at and receipt.block <= view.number:
            self.pending = False
            if receipt.status == SUCCEEDED:
                self.included += 1
                self.urgency -= 0.25 * rate * self.urgency
        elif view.time >= self.expires:
            self.pending = False
            self.urgency += rate * (1.0 - self.urgency)

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
        max_fee = feed.fee_worth(gas, worth, price)
        self.expires = now + int(settings.patience_s * 1e9)
        self.model.mempool.submit(
            Transaction(
                kind=SETTLE,
                sender=self.account,
                access=self.access,
                gas=gas,
                bytes=self.model.gas.bytes_per_transaction,
                decided=now,
                expires=self.expires,
                max_fee=max_fee,
                tip=min(tip + feed.tip_worth(gas, self.urgency * (worth - space), price), max_fee),
                amount=view.cleared,
                bound=until,
                size=parties,
            )
        )
        self.pending = True
        self.sent_at = now
        self.sent += 1
