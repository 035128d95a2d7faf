import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.ledger import (
    ACCOUNTS,
    FIRST_FREE_ACCOUNT,
    GENESIS,
    INSTRUMENTS,
    LEDGER,
    SYSTEM_ACCOUNTS,
    can_pay_gas,
    endow,
    ether_wei,
    open_account,
    pay_gas,
    totals,
    transfer_cash,
    transfer_ether,
    transfer_position,
)

GWEI = 10**9
ALICE, BOB = FIRST_FREE_ACCOUNT, FIRST_FREE_ACCOUNT + 1
NOTHING = {"cash_micro_usd": 0, "ether_wei": 0} | {f"position_{number}_lots": 0 for number in range(INSTRUMENTS)}


def new_ledger(*wei):
    """A ledger with an account for each number, which holds that many wei out of GENESIS."""
    ledger = np.zeros(1, LEDGER)[0]
    for amount in wei:
        account = open_account(ledger)
        transfer_ether(ledger, GENESIS, account, amount // GWEI, amount % GWEI)
    return ledger


def columns_hold_their_range(ledger):
    wei = ledger["accounts"]["wei"]
    return bool(((wei >= 0) & (wei < GWEI)).all())


@pytest.mark.parametrize(
    ("alice", "bob", "amount"),
    [
        (0, 0, 1),
        (GWEI, 0, 1),
        (GWEI - 1, GWEI - 1, 1),
        (GWEI, GWEI - 1, 1),
        (GWEI + 1, GWEI - 1, GWEI - 1),
        (5 * GWEI, 0, 2 * GWEI + 999_999_999),
        (0, 0, GWEI - 1),
        (0, 0, GWEI),
        (10**26, 10**26, 10**26 - 1),
    ],
)
def test_wei_are_carried_and_borrowed_at_the_gwei(alice, bob, amount):
    ledger = new_ledger(alice, bob)
    transfer_ether(ledger, ALICE, BOB, amount // GWEI, amount % GWEI)
    assert (ether_wei(ledger, ALICE), ether_wei(ledger, BOB)) == (alice - amount, bob + amount)
    assert columns_hold_their_range(ledger)
    assert totals(ledger) == NOTHING


near_the_gwei = st.builds(
    lambda gwei, wei: max(gwei * GWEI + wei, 0), st.integers(0, 10**6), st.integers(-3, 3) | st.integers(0, GWEI)
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(near_the_gwei, min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), near_the_gwei, st.integers(0, 5 * 10**9)), max_size=30),
)
def test_ether_moves_as_python_integers_do(holdings, transfers):
    ledger = new_ledger(*holdings)
    wanted = list(holdings)
    for debited, credited, amount, beyond in transfers:
        # The part beyond whole gwei may itself be several gwei.
        transfer_ether(ledger, ALICE + debited, ALICE + credited, amount // GWEI, beyond)
        wanted[debited] -= amount // GWEI * GWEI + beyond
        wanted[credited] += amount // GWEI * GWEI + beyond
    assert [ether_wei(ledger, ALICE + number) for number in range(3)] == wanted
    assert columns_hold_their_range(ledger)
    assert totals(ledger) == NOTHING


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 10**15) | st.sampled_from([GWEI - 1, GWEI, GWEI + 1]))
def test_gas_is_paid_to_the_wei_at_every_price(gas, price):
    ledger = new_ledger(0, 0)
    pay_gas(ledger, ALICE, BOB, gas, price)
    assert (ether_wei(ledger, ALICE), ether_wei(ledger, BOB)) == (-gas * price, gas * price)
    assert columns_hold_their_range(ledger)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 10**15), st.integers(-2, 2))
def test_gas_can_be_paid_by_who_holds_it_exactly(gas, price, more):
    holding = max(gas * price + more, 0)
    ledger = new_ledger(holding)
    assert can_pay_gas(ledger, ALICE, gas, price) == (holding >= gas * price)


def test_nobody_in_debt_can_pay_for_gas():
    ledger = new_ledger(0, 0)
    transfer_ether(ledger, ALICE, BOB, 0, 1)
    assert ether_wei(ledger, ALICE) == -1
    assert not can_pay_gas(ledger, ALICE, 0, 0)
    assert can_pay_gas(ledger, BOB, 1, 1)
    assert not can_pay_gas(ledger, BOB, 1, 2)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(-(2**40), 2**40), st.integers(0, INSTRUMENTS - 1)),
        max_size=40,
    )
)
def test_cash_and_lots_only_move(transfers):
    ledger = new_ledger(*[0] * 5)
    cash, lots = [0] * 10, [[0] * INSTRUMENTS for _ in range(10)]
    for debited, credited, amount, instrument in transfers:
        transfer_cash(ledger, debited, credited, amount)
        transfer_position(ledger, debited, credited, instrument, -amount)
        cash[debited] -= amount
        cash[credited] += amount
        lots[debited][instrument] += amount
        lots[credited][instrument] -= amount
    assert ledger["accounts"]["cash"][:10].tolist() == cash
    assert ledger["accounts"]["position"][:10].tolist() == lots
    assert totals(ledger) == NOTHING


def test_endowments_come_from_genesis():
    ledger = new_ledger()
    account = open_account(ledger, cash_usd=12.3456789, ether=1.5, lots=(7, 0, -3))
    endow(ledger, account, cash_usd=1.0)
    row, genesis = ledger["accounts"][account], ledger["accounts"][GENESIS]
    assert (row["cash"], row["gwei"], row["wei"]) == (13_345_678, 1_500_000_000, 0)
    assert row["position"][:4].tolist() == [7, 0, -3, 0]
    assert not row["position"][4:].any()
    assert (genesis["cash"], genesis["gwei"]) == (-13_345_678, -1_500_000_000)
    assert genesis["position"][:4].tolist() == [-7, 0, 3, 0]
    assert totals(ledger) == NOTHING


def test_totals_notice_a_single_unit_that_is_missing():
    for column in ("cash", "gwei", "wei"):
        ledger = new_ledger(10**20)
        ledger["accounts"][column][ALICE] += 1
        assert sum(total != 0 for total in totals(ledger).values()) == 1
    ledger = new_ledger(0)
    ledger["accounts"]["position"][ALICE, 2] += 1
    assert totals(ledger) == NOTHING | {"position_2_lots": 1}


def test_accounts_are_numbered_after_those_of_the_system():
    ledger = new_ledger()
    assert [open_account(ledger) for _ in range(3)] == [5, 6, 7]
    assert len(SYSTEM_ACCOUNTS) == FIRST_FREE_ACCOUNT == 5


def test_a_full_ledger_says_so():
    ledger = new_ledger()
    ledger["count"] = ACCOUNTS - 1
    assert open_account(ledger) == ACCOUNTS - 1
    with pytest.raises(ValueError, match="16384 accounts and all are taken; ask for fewer agents or validators"):
        open_account(ledger)
    assert ledger["count"] == ACCOUNTS
