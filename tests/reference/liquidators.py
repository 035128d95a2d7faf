"""Liquidators: take over what has too little behind it, if the bonus is worth it, and unwind it."""

import math

import mesa

from .constants import LIQUIDATE, NEVER
from .mempool import Transaction
from .ordering import WITHOUT_TIPS
from .taker import send_taking_order

IDLE, LIQUIDATING, UNWINDING = range(3)


class Liquidator(mesa.Agent):
    def __init__(self, model, settings, number, place):
        super().__init__(model)
        self.settings = settings
        self.account, self.access, self.instrument = place
        perpetuals = sum(instrument.perpetual for instrument in model.venue.instruments)
        self.backstop = settings.backstop and number < perpetuals
        self.terms = model.settings.margin
        self.margin = model.settings.instruments[self.instrument.number].initial_margin
        self.protected = model.settings.chain.revert_protection
        self.tips_count = model.settings.chain.ordering not in WITHOUT_TIPS
        self.status = IDLE
        self.bid_share, self.success = 0.1, 0.5
        self.cash = model.venue.ledger.accounts[self.account].cash
        listed, options = model.settings.instruments, model.settings.options
        on_mine = options.count and listed[self.instrument.number].name == options.underlying
        self.mine = [self.instrument.number, *range(len(listed), len(listed) + options.count * on_mine)]
        self.held = {}  # series and lots of options, by instrument
        self.stock_taken = 0
        self.lots = self.next_look = self.sent_at = self.expires = self.asked = self.tries = self.wins = 0

    def due(self):
        return NEVER

    def act(self):
        feed = self.model.feed
        outlook = feed.outlook_at(self.access)
        if outlook is None or outlook.decision < self.next_look:
            return
        view = outlook.view
        self.next_look = outlook.decision + int(self.settings.look_interval_s * 1e9)
        if self.status != IDLE:
            self.learn(view)
        statement = feed.statements.get(self.account)
        if self.status != IDLE or (statement and statement.block > view.settled):
            return
        if statement:
            self.take_stock(statement, view)
        if self.lots or view.due or any(lots for _, lots in self.held.values()):
            self.sent_at = outlook.decision
            self.expires = self.model.block.time
            if not self.tips_count:
                self.expires += int(self.settings.patience_s * 1e9)
            if not self.unwind(outlook) and not self.unwind_options(outlook):
                self.pursue(outlook)

    def take_stock(self, statement, view):
        if statement.block == self.stock_taken:
            return
        self.stock_taken, self.cash = statement.block, statement.cash
        if statement.about == self.instrument.number:
            self.lots = statement.lots
        elif statement.about in self.mine:
            series = {one.instrument: one.series for one in view.options}
            self.held[statement.about] = series.get(statement.about), statement.lots

    def worst_price(self, number, mark, side, price):
        """Worst price for unwinding, dollars per unit; ``mark`` is in dollars per lot."""
        tolerance = self.settings.tolerance_bps * 1e-4
        if number == self.instrument.number:
            return price * (1.0 + side * tolerance)
        return max(mark / self.model.venue.instruments[number].lot_size + side * tolerance * price, 0.0)

    def option_need(self, number, price):
        """Micro-dollars that a lot of an option at the money needs."""
        return self.model.settings.options.initial_share * price * self.model.venue.instruments[number].lot_size * 1e6

    def unwind_options(self, outlook):
        """The same for the first of its options for which there is room."""
        feed, view, price = self.model.feed, outlook.view, outlook.external_price
        listed = {one.instrument: one for one in view.options}
        for number in sorted(self.held):
            series, lots = self.held[number]
            option, seen = self.model.venue.instruments[number], listed.get(number)
            if not lots or seen is None or seen.series != series:
                del self.held[number]
                continue
            side = -1 if lots > 0 else 1
            tolerance = self.settings.tolerance_bps * 1e-4
            limit = self.worst_price(number, view.marks[number] * 1e-6, side, price) / option.tick
            limit = math.floor(limit) if side > 0 else math.ceil(limit)
            size = min(view.quotes[number].lots_within(side, limit)[0], abs(lots))
            if not size or limit <= 0 or round(seen.expiry_s * 1e9) <= self.expires:
                continue
            tip = feed.wallet_tip(view)
            spend = tolerance * size * price * option.lot_size
            max_fee = max(feed.fee_worth(self.model.gas.place, spend, price), view.base_fee + tip)
            send_taking_order(self, side, size, limit, self.sent_at, self.expires, max_fee, tip, instrument=number)
            self.status, self.asked = UNWINDING, 1
            return True
        return False

    def learn(self, view):
        receipt = self.model.feed.receipts.get(self.account)
        landed = receipt and receipt.decided == self.sent_at and receipt.block <= view.settled
        if not (landed and receipt.landed >= self.asked) and view.time < self.expires:
            return
        if self.status == LIQUIDATING:
            successes = receipt.successes if receipt and receipt.decided == self.sent_at else 0
            won, rate = successes / self.asked, self.settings.learning_rate
            self.wins += successes
            self.success += rate * (won - self.success)
            self.bid_share += rate * ((1.0 - won) * (1.0 - self.bid_share) - 0.25 * won * self.bid_share)
        self.status = IDLE

    def unwind(self, outlook):
        """Trade back what was taken over, as far as the visible book has room; whether it does."""
        feed, view, price = self.model.feed, outlook.view, outlook.external_price
        if not self.lots:
            return False
        side = -1 if self.lots > 0 else 1
        tolerance = self.settings.tolerance_bps * 1e-4
        limit = price * (1.0 + side * tolerance) / self.instrument.tick
        limit = math.floor(limit) if side > 0 else math.ceil(limit)
        size = min(view.quotes[self.instrument.number].lots_within(side, limit)[0], abs(self.lots))
        if not size or limit <= 0:
            return False
        tip = feed.wallet_tip(view)
        spend = tolerance * size * view.marks[self.instrument.number] * 1e-6
        max_fee = max(feed.fee_worth(self.model.gas.place, spend, price), view.base_fee + tip)
        send_taking_order(self, side, size, limit, self.sent_at, self.expires, max_fee, tip)
        self.status, self.asked = UNWINDING, 1
        return True

    def pursue(self, outlook):
        """Ask for insolvent accounts as the backstop, and then for those that promise most."""
        view = outlook.view
        mark = view.marks[self.instrument.number]
        needed, price = self.margin * mark, outlook.external_price
        room = int(max((self.cash + self.lots * mark) / needed, 0.0)) - abs(self.lots)

        def room_in(number):
            if number == self.instrument.number:
                return room
            return int(max(room, 0) * needed / self.option_need(number, price))

        def in_perpetuals(number, lots):
            if number == self.instrument.number:
                return lots
            return math.ceil(lots * self.option_need(number, price) / needed)

        mine = [due for due in view.due if due.instrument in self.mine]
        self.asked = 0
        if self.backstop:
            tip = self.model.feed.wallet_tip(view)
            insolvent = [due for due in mine if due.equity < 0]
            for due in [due for due in insolvent if due.instrument == insolvent[0].instrument]:
                lots = min(abs(due.lots), max(room_in(due.instrument), 1))
                room -= in_perpetuals(due.instrument, lots)
                mine.remove(due)
                self.send(due, lots, 4 * (view.base_fee + tip), tip)
                about = due.instrument
            if insolvent:
                mine = [due for due in mine if due.instrument == about]
        while mine:
            lots = [self.lots_to_take(due, room_in(due.instrument)) for due in mine]
            worth = [self.earnings(outlook, *pair) for pair in zip(mine, lots, strict=True)]
            best = worth.index(max(worth))
            bid = self.bid(outlook, worth[best]) if worth[best] > 0.0 else None
            if bid is None:
                break
            due = mine.pop(best)
            room -= in_perpetuals(due.instrument, lots[best])
            mine = [one for one in mine if one.instrument == due.instrument]
            self.send(due, lots[best], *bid)

    def lots_to_take(self, due, room):
        lots = abs(due.lots)
        if 2 * due.equity >= due.maintenance:
            lots = math.ceil(lots * self.terms.partial_share)
        return min(lots, room)

    def earnings(self, outlook, due, lots):
        """Dollars before gas."""
        view, instrument = outlook.view, self.model.venue.instruments[due.instrument]
        mark = view.marks[instrument.number] * 1e-6
        if lots <= 0 or due.account == self.account:
            return 0.0
        bonus = self.terms.bonus_bps * 1e-4 * lots * mark
        equity = due.equity * 1e-6
        if equity >= 0.0:
            bonus = min(bonus, equity)
        elif view.insurance * 1e-6 < bonus - equity:
            return -1.0
        side = -1 if due.lots > 0 else 1
        filled, average = view.quotes[instrument.number].average_price(side, lots)
        worst = self.worst_price(due.instrument, mark, side, outlook.external_price) * instrument.lot_size
        lost = filled * (average * instrument.tick * instrument.lot_size - mark) + (lots - filled) * (worst - mark)
        return bonus - side * lost - instrument.taker_fee * lots * mark

    def bid(self, outlook, earned):
        """Maximum fee and tip, or None where it is not worth its gas."""
        feed, view, price, gas = self.model.feed, outlook.view, outlook.external_price, self.model.gas
        tip = feed.wallet_tip(view)
        profit = earned - feed.gas_cost_usd(gas.place, view.base_fee + tip, price)
        hoped = profit if self.protected else self.success * profit
        if hoped <= feed.gas_cost_usd(gas.liquidate, view.base_fee + tip, price):
            self.success += 0.1 * self.settings.learning_rate * (1.0 - self.success)
            return None
        if self.tips_count:
            space = feed.gas_cost_usd(gas.liquidate, view.base_fee, price)
            dollars = min(self.bid_share * (profit - space), hoped - space)
            tip = max(feed.tip_worth(gas.liquidate, dollars, price), tip)
        return feed.fee_worth(gas.liquidate, profit, price), tip

    def send(self, due, lots, max_fee, tip):
        self.model.mempool.submit(
            Transaction(
                kind=LIQUIDATE,
                sender=self.account,
                access=self.access,
                instrument=due.instrument,
                handle=due.account,
                size=min(lots, 2**31 - 1),
                gas=self.model.gas.liquidate,
                bytes=self.model.gas.bytes_per_transaction,
                decided=self.sent_at,
                expires=self.expires,
                max_fee=max_fee,
                tip=min(tip, max_fee),
            )
        )
        self.status = LIQUIDATING
        self.asked += 1
        self.tries += 1
