"""Revert protection: what would fail changes nothing and pays nothing; what would succeed does as ever."""

import numpy as np
import pytest

from blockspace.markets.instruments import HANDLES
from blockspace.markets.ledger import BURNED, ether_wei
from blockspace.markets.matching import IMMEDIATE_OR_CANCEL, LIMIT, MARKET, POST_ONLY
from blockspace.network.transaction import (
    AFTER_TARGET,
    BEFORE_TARGET,
    CANCEL,
    FAILED,
    LEFT_OUT,
    PLACE,
    QUOTE,
    REPLACE,
    SUCCEEDED,
    TRANSFER,
    UNFUNDED,
)

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


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 20))])
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


def order(account, side, price=MID, size=1, **fields):
    row = {"sender": account, "kind": PLACE, "order": account * HANDLES + 15, "side": side, "price": price}
    return {**row, "size": size, "style": IMMEDIATE_OR_CANCEL, **fields}


@pytest.mark.parametrize(("on_demand", "status"), [(True, LEFT_OUT), (False, FAILED)])
def test_protection_on_demand_is_for_those_who_ask_where_it_is_offered(on_demand, status):
    stage = Stage()
    stage.blocks[0]["protection_on_demand"] = on_demand
    alice, bob, _ = stage.accounts
    assert stage.block(order(alice, 1, protected=1), order(bob, 1), base_fee=5) == [(status, 0), (FAILED, 0)]
    assert ether_wei(stage.ledger, BURNED) == (1 if on_demand else 2) * 5 * 21_000


def bundle(sender, first, last, target, **fields):
    """A target between the two members of a bundle, in the order of a block."""
    named = {"sender": sender, "protected": 1, "target": 7, **fields}
    return [{**first, **named, "placement": BEFORE_TARGET}, target, {**last, **named, "placement": AFTER_TARGET}]


@pytest.mark.parametrize("missing", ["nothing", "first", "last", "ether"])
def test_a_bundle_whose_first_is_left_out_is_left_out(missing):
    """The last is tried alone only if the first has been carried out; the target is, whatever becomes of the bundle."""
    stage = Stage()
    stage.blocks[0]["protection_on_demand"] = 1
    alice, bob, carol = stage.accounts
    if missing != "first":
        stage.send(bob, side=-1, slot=1, size=1)
    if missing != "last":
        stage.send(bob, side=1, price=MID - 5, slot=2, size=1)
    rows = bundle(alice, order(alice, 1), order(alice, -1, MID - 5), order(carol, 1, MID - 1))
    if missing == "ether":
        rows[0]["max_fee"] = rows[0]["tip"] = 10**15
    before = state(stage)
    statuses = [status for status, _ in stage.block(*rows)]
    gone = {"nothing": SUCCEEDED, "first": LEFT_OUT, "last": SUCCEEDED, "ether": UNFUNDED}[missing]
    assert statuses == [gone, FAILED, SUCCEEDED if missing == "nothing" else LEFT_OUT]
    assert (state(stage) == before) == (missing in ("first", "ether"))
    stage.check()


def test_what_others_have_before_the_target_does_not_matter():
    stage = Stage()
    stage.blocks[0]["protection_on_demand"] = 1
    alice, bob, carol = stage.accounts
    stage.send(bob, side=1, price=MID - 5, slot=2, size=3)
    rows = bundle(alice, order(carol, 1), order(alice, -1, MID - 5), order(carol, 1, MID - 1))
    rows[0]["sender"] = carol
    assert [status for status, _ in stage.block(*rows)] == [LEFT_OUT, FAILED, SUCCEEDED]
    rows = bundle(alice, order(alice, 1), order(alice, -1, MID - 5), order(carol, 1, MID - 1))
    rows[0]["target"] = 8
    assert [status for status, _ in stage.block(*rows)] == [LEFT_OUT, FAILED, SUCCEEDED]
