"""Trades that wait: what they tie up meanwhile, how they are settled, and who pays when somebody cannot."""

import numpy as np
import pytest

from blockspace.markets.clearing import MOST_WAITING, TIMER, check_claims, claim, count_parties, with_claims
from blockspace.markets.collateral import free_collateral
from blockspace.markets.ledger import VENUE_FEES, totals
from blockspace.markets.margin import account_equity
from blockspace.markets.trade_log import TRADES
from blockspace.network.transaction import FAILED, SETTLE, SUCCEEDED
from tests.markets.test_liquidation import START, Stage

NS = 10**9
SHARE = 0.25


class Waiting(Stage):
    """A venue whose trades wait until its operator settles them."""

    def __init__(self, **how):
        super().__init__(**how)
        self.clearing = self.venue["clearing"]
        self.clearing["mode"] = TIMER
        self.clearing["share_ppm"] = round(SHARE * 1e6)
        self.operator = self.clearing["operator"] = self.account(0.0)

    def settle(self, until=None, size=100, sender=None, first=None):
        """Whether a settlement of what waits, or of the trades up to a number, succeeds."""
        (status,) = self.block({
            "kind": SETTLE,
            "sender": self.operator if sender is None else sender,
            "amount": int(self.clearing["cleared"]) if first is None else first,
            "bound": int(self.logs[0]["count"]) if until is None else until,
            "size": size,
        })  # fmt: skip
        self.check()
        return status == SUCCEEDED

    def check(self):
        assert not check_claims(self.venue, self.logs[0])
        assert not any(totals(self.ledger).values())

    def free(self, account):
        return int(free_collateral(self.venue, np.int64(account)))

    def claims(self, account, number=0):
        return int(self.clearing["cash"][account]), int(self.clearing["lots"][account, number])


@pytest.fixture
def stage():
    return Waiting()


def test_nothing_on_the_ledger_moves_before_the_settlement(stage):
    buyer, seller = stage.account(1_000.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 100)
    stage.check()
    assert stage.lots(buyer) == 0
    assert stage.cash(buyer) == stage.cash(seller) == 1_000 * 10**6
    assert stage.claims(buyer) == (-100 * START, 100)
    assert stage.claims(seller) == (100 * START, -100)
    assert stage.clearing["outstanding"] == 100 * START
    final = with_claims(stage.venue, int(stage.ledger["count"]))
    assert stage.settle()
    assert (stage.ledger["accounts"][: len(final)] == final).all()
    assert stage.lots(buyer) == -stage.lots(seller) == 100
    assert stage.cash(buyer) == 1_000 * 10**6 - 100 * START
    assert stage.claims(buyer) == stage.claims(seller) == (0, 0)
    assert stage.clearing["waiting"] == stage.clearing["outstanding"] == stage.clearing["oldest"] == 0


def test_a_claim_takes_the_margin_of_the_position_that_it_will_be(stage):
    buyer, seller = stage.account(100.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 300)
    before = stage.free(buyer)
    assert before == 100 * 10**6 - 30 * START
    assert stage.settle()
    assert stage.free(buyer) == before


def test_a_closing_trade_frees_no_margin_before_it_is_settled(stage):
    buyer, seller = stage.account(100.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 300)
    assert stage.settle()
    assert stage.trade(seller, buyer, 300)
    assert stage.free(buyer) == 100 * 10**6 - 30 * START
    assert stage.settle()
    assert stage.free(buyer) == 100 * 10**6


def test_losses_of_claims_count_and_gains_do_not(stage):
    buyer, seller = stage.account(1_000.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 100)
    stage.mark(START + 1_000)
    margin = 100 * (START + 1_000) // 10
    assert stage.free(buyer) == 1_000 * 10**6 - margin
    assert stage.free(seller) == 1_000 * 10**6 - margin - 100 * 1_000
    assert account_equity(stage.venue, np.int64(seller)) == 1_000 * 10**6 - 100_000
    assert stage.settle()
    assert stage.free(buyer) == 1_000 * 10**6 - margin + 100 * 1_000


def test_settlements_are_net_and_in_the_order_of_trades(stage):
    one, other, third = (stage.account(1_000.0) for _ in range(3))
    assert stage.trade(one, other, 100)
    assert stage.trade(other, one, 60)
    assert stage.trade(third, one, 10)
    assert count_parties(stage.clearing, stage.logs[0], 0, 3, 2) == (2, 2)
    assert stage.settle(until=2, size=2)
    assert stage.lots(one) == 40
    assert stage.clearing["waiting"] == 1
    assert stage.clearing["oldest"] == 3 * 12 * NS
    both = stage.clearing["totals"]
    assert (both["parties"], both["gross"], both["net"]) == (2, 320 * START, 80 * START)
    assert stage.settle(size=2)
    assert stage.lots(one) == 30


def test_settlements_that_fail(stage):
    one, other, third = (stage.account(1_000.0) for _ in range(3))
    assert stage.trade(one, other, 100)
    assert stage.trade(third, one, 10)
    assert not stage.settle(sender=one)
    assert not stage.settle(first=1)
    assert not stage.settle(until=0)
    assert not stage.settle(until=3)
    assert not stage.settle(size=2), "there is gas for two of three accounts"
    assert stage.clearing["waiting"] == 2
    assert stage.settle(size=3)
    assert not stage.settle(), "nothing waits"


def test_the_operator_gets_its_share_of_the_fees(stage):
    book = stage.venue["books"][0]
    book["taker_fee_ppm"] = 1_000
    book["maker_fee_ppm"] = -200
    buyer, seller = stage.account(1_000.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 100)
    fees = 100 * START // 1_000 - 100 * START // 5_000
    assert stage.claims(VENUE_FEES)[0] == fees
    assert stage.cash(VENUE_FEES) == 0
    assert stage.settle()
    assert stage.cash(stage.operator) == fees * SHARE
    assert stage.cash(VENUE_FEES) == fees - fees * SHARE


@pytest.mark.parametrize(("fund_usd", "insured"), [(1_000.0, True), (5.0, False)])
def test_who_cannot_pay_at_the_settlement_leaves_it_to_the_fund_and_to_who_has_gained(fund_usd, insured):
    stage = Waiting(insurance_usd=fund_usd)
    poor, rich, winner = stage.account(50.0), stage.account(10_000.0), stage.account(10_000.0)
    assert stage.trade(rich, winner, 1_000)
    assert stage.settle()
    assert stage.trade(poor, rich, 200)
    stage.mark(START * 7 // 10)
    assert stage.trade(rich, poor, 200), "an order that closes needs no margin"
    assert stage.cash(poor) == 50 * 10**6
    loss = 200 * (START - START * 7 // 10)
    owed = loss - 50 * 10**6
    assert stage.settle()
    result = stage.clearing["totals"]
    assert stage.cash(poor) == 0
    assert result["failed"] == 1
    assert result["insured"] + result["socialised"] == owed > 0
    assert (result["socialised"] == 0) == insured
    assert stage.cash(stage.fund) == (fund_usd * 10**6 - owed if insured else 0)


def test_only_what_is_settled_is_liquidated(stage):
    poor, rich, liquidator = stage.account(45.0), stage.account(10_000.0), stage.account(10_000.0)
    assert stage.trade(poor, rich, 200)
    stage.mark(START * 88 // 100)
    stage.scan()
    since = int(stage.margin["below_since"][poor])
    assert stage.margin["due_count"] == 0
    assert since > 0, "it has too little, and nobody can do anything about it"
    assert not stage.liquidate(liquidator, poor)
    assert stage.settle()
    assert stage.margin["due_count"] == 1
    assert stage.liquidate(liquidator, poor)
    assert stage.last()["below_since"] == since
    stage.check()


def test_claims_that_the_log_would_forget_stop_the_run(stage):
    log = stage.logs[0]
    assert MOST_WAITING < TRADES
    log["count"] = MOST_WAITING
    claim(stage.venue, log, np.int64(0), log["count"])
    log["count"] += 1
    with pytest.raises(RuntimeError, match="more trades wait for settlement than are remembered"):
        claim(stage.venue, log, np.int64(0), log["count"])


def test_a_venue_that_settles_at_once_takes_no_settlements():
    stage = Waiting()
    stage.clearing["mode"] = 0
    buyer, seller = stage.account(1_000.0), stage.account(1_000.0)
    assert stage.trade(buyer, seller, 100)
    assert stage.lots(buyer) == 100
    assert stage.block({"kind": SETTLE, "sender": stage.operator, "bound": 1, "size": 9}) == [FAILED]
