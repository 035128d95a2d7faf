import numpy as np
import pytest

from blockspace.markets.instruments import HANDLES, list_instrument
from blockspace.markets.ledger import BURNED, GENESIS, open_account, totals
from blockspace.markets.liquidation import LIQUIDATIONS, deleveraging_rank
from blockspace.markets.margin import (
    MARGIN_MODES,
    account_equity,
    equity_behind,
    maintenance_of,
    scan_margin,
    worst_loss,
)
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT
from blockspace.markets.order_book import check_book
from blockspace.markets.trade_log import CAUSES, TRADE_LOG, trades_since
from blockspace.markets.venue import execute, new_venue
from blockspace.network.block import BLOCK
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import FAILED, LIQUIDATE, PLACE, SUCCEEDED

NS = 10**9
TICK_LOT = 10  # micro-dollars
START = 2_000_000  # micro-dollars per lot
INITIAL, MAINTENANCE = 0.10, 0.05
BONUS, PENALTY = 0.005, 0.005


class Stage:
    """A venue with two perpetuals, and positions made by hand."""

    def __init__(self, mode="cross", insurance_usd=1_000.0, instruments=2, partial=0.5):
        self.venues = new_venue()
        self.venue = self.venues[0]
        self.logs = np.zeros(1, TRADE_LOG)
        self.pools = new_mempool()
        self.blocks = np.zeros(1, BLOCK)
        for _ in range(instruments):
            list_instrument(self.venues, "perpetual", TICK_LOT, 0.001, round(INITIAL * 1e6), 0, 0, 10)
        self.ledger = self.venue["ledger"]
        margin = self.margin = self.venue["margin"]
        margin["liquidates"] = 1
        margin["mode"] = MARGIN_MODES.index(mode)
        margin["maintenance_ppm"] = round(MAINTENANCE / INITIAL * 1e6)
        margin["partial_ppm"] = round(partial * 1e6)
        margin["bonus_ppm"] = round(BONUS * 1e6)
        margin["penalty_ppm"] = round(PENALTY * 1e6)
        margin["price_moves"] = 0.1 * np.repeat(np.arange(-3, 4) / 3.0, 2)
        self.fund = margin["insurance"] = open_account(self.ledger, insurance_usd)
        self.producer = open_account(self.ledger)
        self.blocks[0]["base_fee_account"] = BURNED
        self.blocks[0]["producer_account"] = self.producer
        for number in range(instruments):
            self.mark(START, number)

    def account(self, cash_usd):
        return open_account(self.ledger, cash_usd, 1.0)

    def mark(self, price, number=0):
        instrument = self.venue["instruments"][number]
        instrument["mark"] = instrument["index"] = price
        instrument["changes"] = np.rint(self.margin["price_moves"] * price)

    def block(self, *transactions):
        block, rows = self.blocks[0], self.pools[0]["transactions"]
        rows[: len(transactions)] = np.zeros(len(transactions), rows.dtype)
        for slot, fields in enumerate(transactions):
            for name, value in {"gas": 21_000, "max_fee": 0, **fields}.items():
                rows[name][slot] = value
        block["number"] += 1
        block["time"] += 12 * NS
        block["order"][: len(transactions)] = np.arange(len(transactions))
        block["count"] = len(transactions)
        execute(self.venues, self.logs, self.pools, self.blocks)
        self.scan()
        return [int(row["status"]) for row in rows[: len(transactions)]]

    def scan(self):
        scan_margin(self.venues, self.blocks)

    def trade(self, buyer, seller, lots, number=0, price=None):
        """Let two accounts trade at the mark; whether the taker could."""
        price = (price or int(self.venue["instruments"][number]["mark"])) // TICK_LOT
        order = {"kind": PLACE, "price": price, "size": lots, "instrument": number}
        statuses = self.block(
            {"sender": seller, "order": seller * HANDLES, "side": -1, "style": LIMIT, **order},
            {"sender": buyer, "order": buyer * HANDLES, "side": 1, "style": IMMEDIATE_OR_CANCEL, **order},
        )
        return statuses == [SUCCEEDED, SUCCEEDED]

    def liquidate(self, liquidator, debtor, lots=10**6, number=0):
        return self.block(
            {"sender": liquidator, "order": debtor, "kind": LIQUIDATE, "size": lots, "instrument": number}
        ) == [SUCCEEDED]

    def cash(self, account):
        return int(self.ledger["accounts"]["cash"][account])

    def lots(self, account, number=0):
        return int(self.ledger["accounts"]["position"][account, number])

    def equity(self, account, number=0):
        return int(equity_behind(self.venue, np.int64(account), np.int64(number)))

    def needed(self, account, number=0):
        return int(maintenance_of(self.venue, np.int64(account), np.int64(number)))

    def last(self):
        log = self.venue["liquidations"]
        return log["entries"][(int(log["count"]) - 1) & (LIQUIDATIONS - 1)]

    def check(self):
        assert not any(totals(self.ledger).values()), totals(self.ledger)
        assert self.cash(self.fund) >= 0
        for number in range(int(self.venue["count"])):
            check_book(self.venue["books"][number])


def with_debtor(side=1, leverage=10, lots=1_000, **settings):
    """A debtor with a position of 2,000 dollars, those opposite, and a liquidator."""
    stage = Stage(**settings)
    debtor = stage.account(lots * START / leverage * 1e-6)
    other, liquidator = stage.account(1e6), stage.account(1e6)
    buyer, seller = (debtor, other) if side > 0 else (other, debtor)
    assert stage.trade(buyer, seller, lots)
    return stage, debtor, other, liquidator


@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize("leverage", [2, 5, 10])
@pytest.mark.parametrize("side", [1, -1])
def test_liquidation_price_is_the_published_one_to_the_micro_dollar(mode, leverage, side):
    stage, debtor, _, liquidator = with_debtor(side, leverage, mode=mode)
    if mode == "isolated":  # only the initial margin is set aside
        leverage = 10
    exact = START * (1 - side / leverage) / (1 - side * MAINTENANCE)
    last_good, first_bad = (np.ceil(exact), np.ceil(exact) - 1) if side > 0 else (np.floor(exact), np.floor(exact) + 1)
    stage.mark(int(last_good))
    assert not stage.liquidate(liquidator, debtor)
    assert stage.lots(debtor) == side * 1_000
    stage.mark(int(first_bad))
    assert stage.liquidate(liquidator, debtor)
    assert abs(stage.lots(debtor)) == 500
    stage.check()


@pytest.mark.parametrize("side", [1, -1])
def test_a_liquidation_pays_bonus_and_penalty_out_of_what_is_left(side):
    stage, debtor, _, liquidator = with_debtor(side)
    stage.mark(START - side * 110_000)
    mark = START - side * 110_000
    before = {account: stage.equity(account) for account in (debtor, liquidator, stage.fund)}
    assert 2 * before[debtor] >= stage.needed(debtor)
    assert stage.liquidate(liquidator, debtor)
    value = 500 * mark
    bonus, penalty = int(value * BONUS), int(value * PENALTY)
    assert stage.lots(debtor) == stage.lots(liquidator) == side * 500
    assert stage.equity(liquidator) - before[liquidator] == bonus
    assert stage.equity(stage.fund) - before[stage.fund] == penalty
    assert before[debtor] - stage.equity(debtor) == bonus + penalty
    entry, trade = stage.last(), trades_since(stage.logs[0], 1)[0]
    assert (entry["lots"], entry["bonus"], entry["penalty"], entry["insurance"]) == (side * 500, bonus, penalty, 0)
    assert CAUSES[trade["cause"]] == "liquidation"
    assert (trade["maker"], trade["taker"], trade["side"], trade["size"]) == (debtor, liquidator, side, 500)
    assert trade["notional"] == value - side * bonus
    stage.check()


def test_below_half_of_the_maintenance_the_whole_position_goes_and_no_more_than_is_wanted():
    stage, debtor, _, liquidator = with_debtor()
    stage.mark(START - 155_000)
    assert 2 * stage.equity(debtor) < stage.needed(debtor)
    assert stage.liquidate(liquidator, debtor, lots=30)
    assert stage.lots(debtor) == 970
    assert stage.liquidate(liquidator, debtor)
    assert stage.lots(debtor) == 0
    assert not stage.liquidate(liquidator, debtor)
    stage.check()


def test_the_fund_pays_what_is_missing_and_the_bonus():
    stage, debtor, _, liquidator = with_debtor()
    stage.mark(START - 250_000)  # 250 dollars lost of 200
    missing, fund = -stage.equity(debtor), stage.cash(stage.fund)
    assert missing == 50_000_000
    assert stage.liquidate(liquidator, debtor)
    bonus = int(1_000 * (START - 250_000) * BONUS)
    assert stage.cash(stage.fund) == fund - missing - bonus
    assert stage.cash(debtor) == stage.lots(debtor) == 0
    assert stage.last()["insurance"] == missing + bonus
    assert stage.last()["socialised"] == 0
    stage.check()


@pytest.mark.parametrize("side", [1, -1])
def test_without_insurance_those_who_gained_most_are_closed_first(side):
    stage = Stage(insurance_usd=10.0)
    debtor = stage.account(200.0)
    small, large = stage.account(60.0), stage.account(10_000.0)  # one with much leverage, one with little
    liquidator = stage.account(1e6)
    for other, lots in ((small, 300), (large, 700)):
        assert stage.trade(*((debtor, other) if side > 0 else (other, debtor)), lots)
    mark = START - side * 250_000
    stage.mark(mark)
    ranks = [deleveraging_rank(stage.venue, np.int64(one), np.int64(0)) for one in (small, large)]
    assert ranks[0] > ranks[1] > 0
    before = {account: stage.equity(account) for account in (small, large)}
    assert stage.liquidate(liquidator, debtor, lots=1)
    entry = stage.last()
    assert entry["insurance"] == 10_000_000  # all that there was, before anybody was closed
    assert stage.cash(stage.fund) == 0
    assert entry["deleveraged"] == 2
    assert entry["socialised"] == 40_000_000
    assert stage.lots(debtor) == stage.lots(small) == stage.lots(large) == stage.lots(liquidator) == 0
    assert stage.cash(debtor) == 0
    # What is missing is borne in proportion to the lots.
    assert before[small] - stage.equity(small) == 12_000_000
    assert before[large] - stage.equity(large) == 28_000_000
    first, second = trades_since(stage.logs[0], 2)
    assert [int(first["taker"]), int(second["taker"])] == [small, large]
    assert {CAUSES[first["cause"]], CAUSES[second["cause"]]} == {"deleveraging"}
    stage.check()


def test_only_as_many_are_closed_as_are_needed():
    stage = Stage(insurance_usd=0.0)
    debtor, winner, bystander, liquidator = (stage.account(cash) for cash in (200.0, 150.0, 10_000.0, 1e6))
    assert stage.trade(debtor, winner, 500)
    assert stage.trade(stage.account(1e6), bystander, 500)
    stage.mark(START - 500_000)
    assert stage.liquidate(liquidator, debtor)
    assert stage.lots(winner) == 0
    assert stage.lots(bystander) == -500
    assert stage.last()["deleveraged"] == 1


def test_nobody_liquidates_what_does_not_exist_or_is_not_due():
    stage, debtor, other, liquidator = with_debtor()
    stage.mark(START - 300_000)
    broke = stage.account(0.0)
    assert not stage.liquidate(debtor, debtor)
    assert not stage.liquidate(liquidator, other)
    assert not stage.liquidate(liquidator, liquidator)
    assert not stage.liquidate(liquidator, GENESIS)
    assert not stage.liquidate(liquidator, 16_000)
    assert not stage.liquidate(liquidator, debtor, lots=0)
    assert not stage.liquidate(liquidator, debtor, number=1)
    stage.mark(START - 110_000)
    assert not stage.liquidate(broke, debtor), "who takes a position over must have its margin"
    stage.margin["liquidates"] = 0
    assert not stage.liquidate(liquidator, debtor)
    assert stage.lots(debtor) == 1_000
    assert stage.venue["liquidations"]["count"] == 0


def test_a_liquidation_takes_the_debtors_orders_down():
    stage, debtor, _, liquidator = with_debtor()
    order = {"sender": debtor, "kind": PLACE, "style": LIMIT, "instrument": 0, "size": 100, "price": 230_000}
    assert stage.block({**order, "order": debtor * HANDLES + 3, "side": -1}) == [SUCCEEDED]
    stage.mark(START - 110_000)
    assert stage.liquidate(liquidator, debtor)
    assert stage.venue["books"][0]["resting"] == 0
    stage.check()


def test_gains_elsewhere_save_a_position_in_cross_margin_and_not_in_isolated_margin():
    saved = {}
    for mode in ("cross", "isolated"):
        stage = Stage(mode)
        debtor, other, liquidator = stage.account(1_000.0), stage.account(1e6), stage.account(1e6)
        assert stage.trade(debtor, other, 1_000, number=0)
        assert stage.trade(other, debtor, 1_000, number=1)
        for number in (0, 1):
            stage.mark(START - 400_000, number)
        saved[mode] = not stage.liquidate(liquidator, debtor)
        assert int(account_equity(stage.venue, np.int64(debtor))) == 1_000_000_000 - (
            0 if mode == "cross" else int(stage.last()["bonus"]) - int(stage.last()["insurance"])
        )
        stage.check()
    assert saved == {"cross": True, "isolated": False}


def test_positions_that_hedge_each_other_need_nothing_in_portfolio_margin():
    stage = Stage("portfolio")
    holder, other = stage.account(100.0), stage.account(1e6)
    assert stage.trade(holder, other, 400)  # 800 dollars need 80
    assert not stage.trade(holder, other, 400), "a second time is beyond its means"
    assert stage.trade(other, holder, 400, number=1), "but the opposite needs nothing more"
    assert worst_loss(stage.venue, np.int64(holder), np.int64(0), np.int64(0)) == 0
    assert stage.needed(holder) == 0
    assert stage.needed(other) == 0
    stage.check()


@pytest.mark.parametrize("mode", MARGIN_MODES)
def test_accounts_with_too_little_are_listed_since_when(mode):
    stage, debtor, _, liquidator = with_debtor(mode=mode)
    assert stage.margin["due_count"] == 0
    stage.mark(START - 120_000)
    stage.block()
    since = int(stage.blocks["time"][0])
    stage.block()
    assert stage.margin["below_since"][debtor] == since
    [due] = stage.margin["due"][: int(stage.margin["due_count"])]
    assert (due["account"], due["instrument"], due["lots"]) == (debtor, 0, 1_000)
    assert due["equity"] == stage.equity(debtor) < due["maintenance"] == stage.needed(debtor)
    assert stage.liquidate(liquidator, debtor)
    assert stage.last()["below_since"] == since
    stage.mark(START)
    stage.block()
    assert stage.margin["below_since"][debtor] == stage.margin["due_count"] == 0


@pytest.mark.parametrize("mode", MARGIN_MODES)
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_random_crashes_lose_no_money_and_touch_nobody_who_has_enough(mode, seed):
    generator = np.random.default_rng(seed)
    stage = Stage(mode, insurance_usd=float(generator.choice([0.0, 50.0, 5_000.0])))
    traders = [stage.account(float(generator.lognormal(6.0, 1.0))) for _ in range(12)]
    liquidators = [stage.account(1e5), stage.account(50.0)]
    price = [START, START]
    outcomes = set()
    for _ in range(600):
        number = int(generator.integers(2))
        price[number] = max(int(price[number] * np.exp(generator.normal(0.0, 0.04))), 200_000)
        stage.mark(price[number], number)
        buyer, seller = generator.choice(traders, 2, replace=False).tolist()
        near = max(int(price[number] * generator.uniform(0.99, 1.01)), TICK_LOT)
        stage.trade(buyer, seller, int(generator.integers(1, 2_000)), number, near)
        debtor = int(generator.choice(traders))
        had, needed = stage.equity(debtor, number), stage.needed(debtor, number)
        fund, lots = stage.cash(stage.fund), stage.lots(debtor, number)
        liquidator, most = int(generator.choice(liquidators)), int(generator.integers(1, 4_000))
        done = stage.liquidate(liquidator, debtor, most, number)
        stage.check()
        if done:
            entry = stage.last()
            bonus = min(abs(lots), most) * int(entry["mark"]) * stage.margin["bonus_ppm"] // 10**6
            assert had < needed
            assert lots != 0
            assert entry["equity"] == had
            assert stage.equity(debtor, number) >= 0 or stage.lots(debtor, number) == 0
            assert entry["socialised"] == 0 or stage.cash(stage.fund) == 0
            assert entry["socialised"] == 0 or entry["insurance"] == fund
            assert entry["deleveraged"] == 0 or fund < bonus - had, "the fund would have sufficed"
            outcomes.add((had < 0, int(entry["socialised"]) > 0))
        else:
            assert stage.lots(debtor, number) == lots
    assert (False, False) in outcomes


def test_the_log_of_liquidations_is_a_ring():
    stage, debtor, _, liquidator = with_debtor()
    stage.mark(START - 155_000)
    stage.venue["liquidations"]["count"] = LIQUIDATIONS
    assert stage.liquidate(liquidator, debtor, lots=1)
    assert stage.last()["lots"] == stage.venue["liquidations"]["entries"][0]["lots"] == 1


def test_a_failed_liquidation_pays_for_its_gas():
    stage, debtor, _, liquidator = with_debtor()
    ether = stage.ledger["accounts"]["gwei"][liquidator]
    row = {"sender": liquidator, "order": debtor, "kind": LIQUIDATE, "size": 1, "gas": 390_000}
    assert stage.block({**row, "max_fee": 10**9, "tip": 10**9}) == [FAILED]
    assert ether - stage.ledger["accounts"]["gwei"][liquidator] == 390_000
