"""What keepers share: one transaction on its way at the most, and an urgency that grows while they are left out."""

import mesa

from .constants import SUCCEEDED
from .mempool import Transaction


class Keeper(mesa.Agent):
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
        self.next_look = outlook.decision + int(self.settings.look_interval_s * 1e9)
        if self.pending:
            self.learn(outlook.view)
        if not self.pending:
            self.consider(outlook.view, outlook.external_price, outlook.decision)

    def learn(self, view):
        receipt = self.model.feed.receipts.get(self.account)
        rate = self.settings.learning_rate
        if receipt and receipt.decided == self.sent_at and receipt.block <= view.number:
            self.pending = False
            if receipt.status == SUCCEEDED:
                self.included += 1
                self.urgency -= 0.25 * rate * self.urgency
                self.got_in()
        elif view.time >= self.expires:
            self.pending = False
            self.urgency += rate * (1.0 - self.urgency)

    def got_in(self):
        """Take note that the last transaction has done what it was for."""

    def send(self, worth, tip, price, now, **content):
        self.sent_at = now
        self.expires = now + int(self.settings.patience_s * 1e9)
        max_fee = self.model.feed.fee_worth(content["gas"], worth, price)
        self.model.mempool.submit(
            Transaction(
                sender=self.account,
                access=self.access,
                bytes=self.model.gas.bytes_per_transaction,
                decided=now,
                expires=self.expires,
                max_fee=max_fee,
                tip=min(tip, max_fee),
                **content,
            )
        )
        self.pending = True
        self.sent += 1
