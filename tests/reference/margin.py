"""Margin, liquidation and deleveraging, said slowly."""

from dataclasses import dataclass, field

from .constants import FIRST_FREE_ACCOUNT, HANDLES, MOST_DUE

MILLION = 10**6
SCENARIO_MOVES = [step / 3.0 for step in range(-3, 4) for _ in range(2)]


@dataclass
class Liquidation:
    time: int
    block: int
    below_since: int
    account: int
    liquidator: int
    instrument: int
    mark: int
    external_price: float
    equity: int
    lots: int = 0
    bonus: int = 0
    penalty: int = 0
    insurance: int = 0
    socialised: int = 0
    deleveraged: int = 0


@dataclass
class Due:
    account: int
    instrument: int
    lots: int
    equity: int
    maintenance: int


@dataclass
class Position:
    cost: int = 0
    set_aside: int = 0


@dataclass
class Margin:
    settings: object
    insurance: int = 0
    positions: dict = field(default_factory=dict)
    credit: dict = field(default_factory=dict)
    below_since: dict = field(default_factory=dict)
    due: list = field(default_factory=list)
    liquidations: list = field(default_factory=list)

    def __post_init__(self):
        settings = self.settings
        self.liquidates = settings.liquidations
        self.mode = settings.mode
        self.maintenance_ppm = round(settings.maintenance_share * 1e6)
        self.partial_ppm = round(settings.partial_share * 1e6)
        self.bonus_ppm = round(settings.bonus_bps * 100)
        self.penalty_ppm = round(settings.penalty_bps * 100)
        self.moves = [settings.price_shock * move for move in SCENARIO_MOVES]

    def position(self, account, number):
        return self.positions.setdefault((account, number), Position())


def share(value, ppm):
    return value * ppm // MILLION


def marked(venue, account):
    """Positions of an account in perpetuals, as (instrument, lots)."""
    positions = venue.ledger.accounts[account].positions
    return [(one, positions[one.number]) for one in venue.instruments if one.perpetual and positions[one.number]]


def account_equity(venue, account):
    return venue.ledger.accounts[account].cash + sum(lots * one.mark for one, lots in marked(venue, account))


def equity_behind(venue, account, number):
    if venue.margin.mode != "isolated":
        return account_equity(venue, account)
    lots = venue.ledger.accounts[account].positions[number]
    return venue.margin.position(account, number).set_aside + lots * venue.instruments[number].mark


def backing(venue, account, number):
    equity = equity_behind(venue, account, number)
    return equity if venue.margin.mode == "isolated" else equity + venue.margin.credit.get(account, 0)


def worst_loss(venue, account, number=0, more=0):
    worst = 0
    for move in venue.margin.moves:
        change = more * round(move * venue.instruments[number].mark)
        change += sum(lots * round(move * one.mark) for one, lots in marked(venue, account))
        worst = max(worst, -change)
    return worst


def maintenance_of(venue, account, number):
    margin = venue.margin
    if margin.mode == "portfolio":
        return share(worst_loss(venue, account), margin.maintenance_ppm)
    needs = {
        one.number: share(one.initial_margin(abs(lots)), margin.maintenance_ppm) for one, lots in marked(venue, account)
    }
    return needs.get(number, 0) if margin.mode == "isolated" else sum(needs.values())


def note_trade(venue, account, number, lots, paid):
    """Average cost and set-aside cash after ``lots`` were bought for ``paid``."""
    position = venue.margin.position(account, number)
    after = venue.ledger.accounts[account].positions[number]
    before = after - lots
    if after == 0:
        position.cost = position.set_aside = 0
        return
    grows = before == 0 or (before > 0) == (lots > 0)
    if grows:
        position.cost += paid
    elif (before > 0) == (after > 0):
        # Floor division, whatever the sign, in two parts as the ledger's integers do it.
        whole, rest = divmod(position.cost, abs(before))
        position.cost -= whole * abs(lots) + rest * abs(lots) // abs(before)
    else:
        whole, rest = divmod(paid, abs(lots))
        position.cost = whole * abs(after) + rest * abs(after) // abs(lots)
    if venue.margin.mode == "isolated":
        position.set_aside -= paid
        if abs(after) > abs(before) or (before > 0) != (after > 0):
            instrument = venue.instruments[number]
            position.set_aside = max(
                position.set_aside, instrument.initial_margin(abs(after)) - after * instrument.mark
            )


def scan(venue, time):
    """Accounts that have too little, in the order of their numbers."""
    margin = venue.margin
    margin.due = []
    if not margin.liquidates:
        return
    for account in range(FIRST_FREE_ACCOUNT, len(venue.ledger.accounts)):
        below = False
        held = marked(venue, account)
        for one, _ in held if margin.mode == "isolated" else held[:1]:
            number = one.number
            equity, needed = backing(venue, account, number), maintenance_of(venue, account, number)
            if equity < needed:
                below = True
                if margin.mode != "isolated":
                    number = max(held, key=lambda pair: abs(pair[1]) * pair[0].mark)[0].number
                lots = venue.ledger.accounts[account].positions[number]
                if len(margin.due) < MOST_DUE:
                    margin.due.append(Due(account, number, lots, equity, needed))
        if not below:
            margin.below_since.pop(account, None)
        else:
            margin.below_since.setdefault(account, time)


def liquidate(venue, transaction):
    """Whether a liquidator got what it asked for."""
    margin, ledger = venue.margin, venue.ledger
    number, debtor, liquidator = transaction.instrument, transaction.handle, transaction.sender
    instrument = venue.instruments[number]
    if not margin.liquidates or not instrument.perpetual or transaction.size <= 0:
        return False
    if not FIRST_FREE_ACCOUNT <= debtor < len(ledger.accounts) or debtor == liquidator:
        return False
    lots = ledger.accounts[debtor].positions[number]
    equity, needed = equity_behind(venue, debtor, number), maintenance_of(venue, debtor, number)
    backed = backing(venue, debtor, number)
    if lots == 0 or backed >= needed:
        return False
    side = 1 if lots > 0 else -1
    taken = abs(lots)
    if 2 * backed >= needed:
        taken = -(-taken * margin.partial_ppm // MILLION)
    taken = min(taken, transaction.size)
    bonus = share(taken * instrument.mark, margin.bonus_ppm)
    fund = ledger.accounts[margin.insurance].cash
    behind = max(equity, backed)
    covered = behind >= 0 or fund >= bonus - behind
    bids, asks = (taken, 0) if side > 0 else (0, taken)
    if covered and not venue.within_margin(liquidator, instrument, bids, asks, 0):
        return False
    entry = Liquidation(
        venue.tape.time,
        venue.tape.block,
        margin.below_since.get(debtor) or venue.tape.time,
        debtor,
        liquidator,
        number,
        instrument.mark,
        venue.tape.external_price,
        equity,
    )
    margin.liquidations.append(entry)
    withdraw_orders(venue, debtor, number)
    if not covered:
        entry.insurance = max(fund, 0)
        pay_in(venue, debtor, number, entry.insurance)
        deleverage(venue, entry, number, debtor, lots, -behind - entry.insurance)
        return True
    if behind >= 0:
        bonus = min(bonus, behind)
        entry.penalty = min(share(taken * instrument.mark, margin.penalty_ppm), behind - bonus)
    else:
        entry.insurance = bonus - behind
        pay_in(venue, debtor, number, entry.insurance)
    entry.lots, entry.bonus = side * taken, bonus
    pay_in(venue, debtor, number, -entry.penalty)
    close(venue, number, debtor, liquidator, side * taken, side * taken * instrument.mark - bonus, "liquidation")
    transaction.filled = taken
    return True


def withdraw_orders(venue, account, number):
    for instrument in venue.instruments:
        if venue.margin.mode == "isolated" and instrument.number != number:
            continue
        for handle in range(account * HANDLES, (account + 1) * HANDLES):
            if handle in instrument.book.orders:
                instrument.book.cancel(handle, account)
            instrument.batch.withdraw(handle)


def pay_in(venue, account, number, amount):
    venue.ledger.transfer_cash(venue.margin.insurance, account, amount)
    if venue.margin.mode == "isolated":
        venue.margin.position(account, number).set_aside += amount


def close(venue, number, debtor, other, lots, paid, cause):
    venue.ledger.transfer_position(debtor, other, number, lots)
    venue.ledger.transfer_cash(other, debtor, paid)
    note_trade(venue, debtor, number, -lots, -paid)
    note_trade(venue, other, number, lots, paid)
    side = 1 if lots > 0 else -1
    price = abs(paid) // abs(lots) // venue.instruments[number].tick_lot_value
    venue.tape.close(number, side, price, abs(lots), abs(paid), debtor, other, cause)


def rank(venue, account, number):
    instrument = venue.instruments[number]
    lots = venue.ledger.accounts[account].positions[number]
    value = float(abs(lots) * instrument.mark)
    cost = float(venue.margin.position(account, number).cost)
    profit = float(lots * instrument.mark) - cost
    equity = max(float(equity_behind(venue, account, number)), 1.0)
    return profit / max(abs(cost), 1.0) * (value / equity)


def deleverage(venue, entry, number, debtor, lots, missing):
    side = 1 if lots > 0 else -1
    left, owed = abs(lots), missing
    accounts = venue.ledger.accounts
    while left:
        others = [
            account
            for account in range(FIRST_FREE_ACCOUNT, len(accounts))
            if account != debtor and accounts[account].positions[number] * side < 0
        ]
        if not others:
            break
        other = max(others, key=lambda account: rank(venue, account, number))
        taken = min(abs(accounts[other].positions[number]), left)
        part = owed * taken // left
        paid = side * taken * venue.instruments[number].mark + part
        close(venue, number, debtor, other, side * taken, paid, "deleveraging")
        entry.socialised += part
        entry.deleveraged += 1
        left -= taken
        owed -= part
    entry.lots = side * (abs(lots) - left)
