"""Revert protection: what would fail changes nothing and pays nothing; what would succeed does as ever."""

import numpy as np
import pytest

from blockspace.markets.instruments import HANDLES
from blockspace.markets.ledger import BURNED, ether_wei
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY
from blockspace.network.transaction import CANCEL, FAILED, LEFT_OUT, PLACE, QUOTE, REPLACE, SUCCEEDED, TRANSFER

from .test_venue import MID, PERP, SPOT, Stage


def protected(**settings):
    stage = Stage(**settings)
    stage.blocks[0]["revert_protection"] = 1
    return stage


def state(stage):
    """Everything that the accounts of a stage own and have resting."""
    books = stage.venue["books"]
    orders = [books[number]["orders"][: (max(stage.accounts) + 1) * HANDLES].tobytes() for number in (PERP, SPOT)]
    best = [(int(books[number]["best_bid"]), int(books[number]["best_ask"])) for number in (PERP, SPOT)]
    return stage.ledger["accounts"][: max(stage.accounts) + 1].tobytes(), orders, best


def test_an_order_that_finds_nothing_is_left_out_and_pays_nothing():
    stage = protected()
    alice = stage.accounts[0]
    before = state(stage)
    row = {"sender": alice, "kind": PLACE, "order": alice * HANDLES, "side": 1, "price": MID, "size": 1}
    row |= {"style": IMMEDIATE_OR_CANCEL, "tip": 7}
    assert stage.block(row, base_fee=10**9) == [(LEFT_OUT, 0)]
    assert state(stage) == before
    assert stage.blocks[0]["gas_used"] == stage.pools[0]["transactions"]["gas_used"][0] == 0


def test_the_second_of_two_copies_is_left_out():
    stage = protected()
    alice, bob, _ = stage.accounts
    stage.send(alice, side=-1, size=3)
    copy = {"sender": bob, "kind": PLACE, "order": bob * HANDLES, "side": 1, "price": MID, "size": 3}
    copy |= {"style": IMMEDIATE_OR_CANCEL}
    assert stage.block(copy, copy, copy, base_fee=5) == [(SUCCEEDED, 3), (LEFT_OUT, 0), (LEFT_OUT, 0)]
    assert ether_wei(stage.ledger, BURNED) == 5 * 21_000
    stage.check()


@pytest.mark.parametrize("style", [IMMEDIATE_OR_CANCEL, MARKET])
def test_an_order_that_meets_only_its_senders_own_leaves_them_there(style):
    stage = protected()
    alice, bob, _ = stage.accounts
    stage.send(alice, side=-1, price=MID, slot=1, size=2)
    stage.send(alice, side=-1, price=MID + 1, slot=2, size=2)
    assert stage.send(alice, slot=15, price=MID + 1, size=1, style=style)[0] == LEFT_OUT
    assert sorted(stage.resting(alice)) == [1, 2]
    stage.send(bob, side=-1, price=MID + 1, slot=1, size=2)
    assert stage.send(alice, slot=15, price=MID + 1, size=1, style=style) == (SUCCEEDED, 1)


@pytest.mark.parametrize("instrument", [PERP, SPOT])
def test_a_ladder_beyond_its_margin_leaves_the_old_one_there(instrument):
    stage, price = protected(), {PERP: MID, SPOT: None}[instrument]
    alice = stage.accounts[0]
    price = price or int(stage.venue["instruments"][SPOT]["mark"] // stage.venue["instruments"][SPOT]["tick_lot_value"])
    assert stage.quote(alice, [price - 1], [price + 1], size=5, instrument=instrument)[0] == SUCCEEDED
    before = state(stage)
    assert stage.quote(alice, [price - 1], [price + 1], size=10**7, instrument=instrument)[0] == LEFT_OUT
    assert state(stage) == before
    assert stage.quote(alice, [price - 2], [price + 2], size=6, instrument=instrument)[0] == SUCCEEDED


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_out_leaves_no_trace(seed):
    """Random transactions of three accounts with little cash: each either succeeds or changes nothing at all."""
    generator = np.random.default_rng(seed)
    stage = protected(cash_usd=40.0)
    statuses = set()
    for _ in range(400):
        account = int(generator.choice(stage.accounts))
        kind = int(generator.choice([TRANSFER, PLACE, PLACE, PLACE, CANCEL, REPLACE, QUOTE]))
        fields = {
            "kind": kind,
            "slot": int(generator.integers(0, 6)),
            "side": int(generator.choice([-1, 1])),
            "price": MID + int(generator.integers(-4, 5)),
            "size": int(generator.choice([1, 2, 5, 300, 700])),
            "style": int(generator.choice([LIMIT, POST_ONLY, IMMEDIATE_OR_CANCEL, MARKET])),
            "instrument": PERP,
        }
        steps = sorted(generator.choice(range(1, 6), 2, replace=False).tolist())
        before = state(stage)
        if kind == QUOTE:
            bids, asks = [MID - step for step in steps], [MID + step for step in steps]
            status, _ = stage.quote(account, bids, asks, size=fields["size"])
        else:
            status, _ = stage.send(account, **fields)
        statuses.add((kind, status))
        if status == LEFT_OUT:
            assert state(stage) == before
        stage.check()
    assert {(PLACE, LEFT_OUT), (QUOTE, LEFT_OUT), (CANCEL, LEFT_OUT), (QUOTE, SUCCEEDED)} <= statuses
    assert FAILED not in {status for _, status in statuses}
