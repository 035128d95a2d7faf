"""Margin, liquidation, deleveraging, and debts at a settlement, said slowly."""

from dataclasses import dataclass, field

from .constants import FIRST_FREE_ACCOUNT, HANDLES, MOST_DUE

MILLION = 10**6
SCENARIO_MOVES = [(step / 3.0, shift) for step in range(-3, 4) for shift in (-1.0, 1.0)]


@dataclass
class Liquidation:
    time: int
    block: int
    below_since: int
    listed: int
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
        self.moves = [
            (settings.price_shock * move, settings.volatility_shock * shift) for move, shift in SCENARIO_MOVES
        ]

    def position(self, account, number):
        return self.positions.setdefault((account, number), Position())


def share(value, ppm):
    return value * ppm // MILLION


def marked(venue, account):
    """Positions of an account in perpetuals and options, as (instrument, lots)."""
    positions = venue.ledger.accounts[account].positions
    margined = [one for one in venue.instruments if one.perpetual or one.option]
    return [(one, positions[one.number]) for one in margined if positions[one.number]]


def unsettled_loss(venue, account):
    """What claims have lost at the marks; spot has no value here."""
    clearing = venue.clearing
    value = clearing.cash(account) + sum(
        clearing.lots(account, one.number) * one.mark for one in venue.instruments if one.perpetual or one.option
    )
    return min(value, 0)


def account_equity(venue, account):
    cash = venue.ledger.accounts[account].cash + unsettled_loss(venue, account)
    return cash + sum(lots * one.mark for one, lots in marked(venue, account))


def equity_behind(venue, account, number):
    if venue.margin.mode != "isolated":
        return account_equity(venue, account)
    lots = venue.ledger.accounts[account].positions[number]
    return venue.margin.position(account, number).set_aside + lots * venue.instruments[number].mark


def backing(venue, account, number):
    equity = equity_behind(venue, account, number)
    return equity if venue.margin.mode == "isolated" else equity + venue.margin.credit.get(account, 0)


def worst_loss(venue, account, number=0, more=0):
    """Loss in the worst scenario with ``more`` lots of an instrument, and no less than short options always need."""
    held = dict(marked(venue, account))
    if more:
        added = venue.instruments[number]
        held[added] = held.get(added, 0) + more
    losses = [-sum(lots * one.changes[scenario] for one, lots in held.items()) for scenario in range(14)]
    least = sum(max(-lots, 0) * share(one.index, one.portfolio_ppm) for one, lots in held.items() if one.option)
    return max(0, least, *losses)


def position_maintenance(venue, instrument, lots):
    if instrument.option:
        return max(-lots, 0) * instrument.short_need(instrument.kept_share_ppm, instrument.kept_minimum_ppm)
    return share(instrument.initial_margin(abs(lots)), venue.margin.maintenance_ppm)


def maintenance_of(venue, account, number):
    margin = venue.margin
    if margin.mode == "portfolio":
        return share(worst_loss(venue, account), margin.maintenance_ppm)
    needs = {one.number: position_maintenance(venue, one, lots) for one, lots in marked(venue, account)}
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
            needed = instrument.needed(after) if instrument.option else instrument.initial_margin(abs(after))
            position.set_aside = max(position.set_aside, needed - after * instrument.mark)


def value(instrument, lots):
    """What a position counts for when the one that needs most is looked for."""
    return max(-lots, 0) * instrument.index if instrument.option else abs(lots) * instrument.mark


def will_have_too_little(venue, account):
    """Whether an account would be below maintenance with its claims settled."""
    holder, claims = venue.ledger.accounts[account], venue.clearing
    equity = holder.cash + claims.cash(account) + venue.margin.credit.get(account, 0)
    needed = 0
    for one in venue.instruments:
        lots = holder.positions[one.number] + claims.lots(account, one.number)
        if lots and (one.perpetual or one.option):
            equity += lots * one.mark
            needed += position_maintenance(venue, one, lots)
    return equity < needed


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
                    number = max(held, key=lambda pair: value(*pair))[0].number
                lots = venue.ledger.accounts[account].positions[number]
                if len(margin.due) < MOST_DUE:
                    margin.due.append(Due(account, number, lots, equity, needed))
        if not venue.clearing.immediate and not below:
            below = will_have_too_little(venue, account)
        if not below:
            margin.below_since.pop(account, None)
        else:
            margin.below_since.setdefault(account, time)


def liquidate(venue, transaction):
    """Whether a liquidator got what it asked for."""
    margin, ledger = venue.margin, venue.ledger
    number, debtor, liquidator = transaction.instrument, transaction.handle, transaction.sender
    instrument = venue.instruments[number]
    if instrument.option and not instrument.is_tradable(transaction.decided):
        return False
    if not margin.liquidates or not (instrument.perpetual or instrument.option) or transaction.size <= 0:
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
    entry = begin_entry(venue, number, debtor, liquidator, equity)
    withdraw_orders(venue, debtor, number)
    if not covered:
        missing = insure(venue, entry, number, debtor, -behind)
        deleverage(venue, entry, number, debtor, lots, missing, "deleveraging")
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


def gain(venue, account):
    """What an account has gained on its positions, each by itself."""
    cost = {one: venue.margin.position(account, one.number).cost for one, _ in marked(venue, account)}
    return sum(max(lots * one.mark - cost[one], 0) for one, lots in marked(venue, account))


def write_off(venue, account):
    """What the insurance fund, and those who have gained, pay for an account without positions."""
    ledger, fund = venue.ledger, venue.margin.insurance
    owed = -ledger.accounts[account].cash
    insured = min(max(ledger.accounts[fund].cash, 0), owed)
    ledger.transfer_cash(fund, account, insured)
    gains = {other: gain(venue, other) for other in range(FIRST_FREE_ACCOUNT, len(ledger.accounts))}
    left, socialised = sum(gains.values()), 0
    owed = min(owed - insured, left)
    for other, gained in gains.items():
        if gained > 0 and owed > 0:
            part = owed if gained == left else min(int(float(owed) * (float(gained) / float(left))), owed)
            ledger.transfer_cash(other, account, part)
            socialised += part
            owed -= part
        left -= gained
    return insured, socialised


def begin_entry(venue, number, debtor, liquidator, equity):
    instrument, tape = venue.instruments[number], venue.tape
    since = venue.margin.below_since.get(debtor) or tape.time
    listed = instrument.opened if instrument.option else 0
    parties = debtor, liquidator, number, instrument.mark, tape.external_price, equity
    entry = Liquidation(tape.time, tape.block, since, listed, *parties)
    venue.margin.liquidations.append(entry)
    return entry


def insure(venue, entry, number, debtor, missing):
    """What is missing still when the fund has paid what it can."""
    entry.insurance = min(max(venue.ledger.accounts[venue.margin.insurance].cash, 0), missing)
    pay_in(venue, debtor, number, entry.insurance)
    return missing - entry.insurance


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
    if cause == "settlement":
        return
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


def deleverage(venue, entry, number, debtor, lots, missing, cause):
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
        close(venue, number, debtor, other, side * taken, paid, cause)
        entry.socialised += part
        entry.deleveraged += 1
        left -= taken
        owed -= part
    entry.lots = side * (abs(lots) - left)


def bear_debts(venue, series):
    """Let debts be borne that the settlement of these series leaves, until nobody comes into debt by it."""
    accounts = range(FIRST_FREE_ACCOUNT, len(venue.ledger.accounts))
    while sum(bear_debts_of(venue, account, series) for account in accounts):
        pass


def bear_debts_of(venue, account, series):
    """Whether anybody was closed for the debts of an account that no liquidation can reach any more."""
    held = marked(venue, account)
    expiring = [one for one, _ in held if one in series]
    if venue.margin.mode == "isolated":
        return 0 < sum(bear(venue, one, account, -equity_behind(venue, account, one.number)) for one in expiring)
    if not expiring or len(held) > len(expiring):
        return False
    due = {one: max(-lots * one.mark, 0) for one, lots in held}
    last = ([one for one in expiring if due[one]] or expiring)[-1]
    missing, closed = -account_equity(venue, account), []
    for one in expiring:
        part = missing if one is last else min(due[one], missing)
        closed.append(bear(venue, one, account, part))
        missing -= part
    return any(closed)


def bear(venue, instrument, debtor, missing):
    if missing <= 0:
        return False
    number = instrument.number
    entry = begin_entry(venue, number, debtor, venue.margin.insurance, -missing)
    missing = insure(venue, entry, number, debtor, missing)
    if missing:
        lots = venue.ledger.accounts[debtor].positions[number]
        deleverage(venue, entry, number, debtor, lots, missing, "settlement")
    return entry.deleveraged > 0
