"""Combinations: all legs or none, at no more than the limit, within the margin of the whole."""

import random

import numpy as np
import pytest

from blockspace.markets.combinations import cost_from_others
from tests.markets.options.stage import PERPETUAL, Stage

LOW_CALL, CALL, PUT = 1, 3, 4


def fill_books(stage, maker, numbers, dice, slots=6):
    """Quote around marks, some levels on each side, with gaps."""
    orders = []
    for number in numbers:
        mark = stage.mark_ticks(number)
        for slot in range(slots):
            side = -1 if slot % 2 else 1
            price = max(mark - side * dice.randint(1, 8), 1)
            orders.append(stage.order(maker, number, side, dice.randint(1, 60), price, slot=slot))
    stage.block(0.001, *orders)


def everything(stage):
    """State of books and ledger, to be compared."""
    count = int(stage.venue["count"])
    books = stage.venue["books"]
    return [
        stage.ledger["accounts"]["position"].copy(),
        stage.ledger["accounts"]["cash"].copy(),
        *(books["orders"]["size"][number].copy() for number in range(count)),
        stage.logs["count"].copy(),
    ]


def same(one, other):
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def orders_of_others(stage, number, side, account):
    """Prices and lots that an account could trade with, best first, by going through all orders there are."""
    orders = stage.venue["books"]["orders"][number]
    resting = orders[(orders["size"] > 0) & (orders["owner"] != account)]
    best_bid = int(stage.venue["books"]["best_bid"][number])
    wanted = resting[(resting["price"] > best_bid) if side > 0 else (resting["price"] <= best_bid)]
    return sorted(zip(wanted["price"].tolist(), wanted["size"].tolist(), strict=True), key=lambda one: side * one[0])


def test_random_combinations_on_random_books():
    """They trade at the cost that going through all orders gives, or change nothing."""
    dice = random.Random(3)
    stage = Stage()
    maker, other, taker = (stage.account(1e8) for _ in range(3))
    outcomes = {"succeeded": 0, "failed": 0}
    for _ in range(150):
        fill_books(stage, maker, (0, 1, 3, 4), dice, 4)
        fill_books(stage, dice.choice([other, taker]), (0, 1, 3, 4), dice, 4)
        legs = [(number, dice.choice([-2, -1, 1, 2])) for number in dice.sample((0, 1, 3, 4), dice.randint(1, 4))]
        size = dice.randint(1, 40)
        cost, there = 0, True
        for number, ratio in legs:
            left = abs(ratio) * size
            for price, lots in orders_of_others(stage, number, ratio, taker):
                taken = min(left, lots)
                cost += taken * price * (1 if ratio > 0 else -1) * 1_000
                left -= taken
            there &= left == 0
        bound = cost + dice.choice([0, 0, -1, 1_000_000])
        before = everything(stage)
        trades = int(stage.logs["count"][0])
        (status,) = stage.block(0.0, stage.combination(taker, legs, size, bound * 1e-6))
        outcomes[status] += 1
        assert (status == "succeeded") == (there and bound >= cost)
        if status == "failed":
            assert same(before, everything(stage))
            continue
        for number, ratio in legs:
            assert stage.position(taker, number) - before[0][taker, number] == ratio * size
        assert stage.cash(taker) - before[1][taker] == -cost
        made = stage.logs["trades"][0][np.arange(trades, int(stage.logs["count"][0]))]
        assert (made["taker"] == taker).all()
        assert (made["maker"] != taker).all()
        assert stage.pools[0]["transactions"]["filled"][0] == sum(abs(ratio) * size for _, ratio in legs)
    assert min(outcomes.values()) > 30


@pytest.fixture(scope="module")
def quoted():
    stage = Stage()
    maker = stage.account(1e8)
    fill_books(stage, maker, (0, 1, 3, 4), random.Random(4))
    return stage


@pytest.mark.parametrize(
    ("legs", "size"),
    [
        ([], 1),
        ([(CALL, 1)], 0),
        ([(CALL, 1)], -1),
        ([(CALL, 1), (CALL, 1)], 1),
        ([(CALL, 1), (PUT, -1), (CALL, -1)], 1),
        ([(99, 1)], 1),
        ([(-1, 1)], 1),
        ([(CALL, 2**31 - 1)], 2**31 - 1),
        ([(CALL, 1)], 10_000),
    ],
)
def test_nonsense_changes_nothing(quoted, legs, size):
    before = everything(quoted)
    assert quoted.block(0.0, quoted.combination(quoted.account(1e9), legs, size, 1e6)) == ["failed"]
    after = everything(quoted)
    assert same(before[2:], after[2:])


def test_gaps_between_legs_are_passed_over(quoted):
    taker = quoted.account()
    order = quoted.combination(taker, [(CALL, 1), (0, 0), (PUT, 1)], 1, 1e6)
    assert quoted.block(0.0, order) == ["succeeded"]
    assert quoted.position(taker, CALL) == quoted.position(taker, PUT) == 1


def test_cost_from_others_stops_at_its_size(quoted):
    book = quoted.venue["books"][CALL]
    lots, value = cost_from_others(book, 10**6, 1, 5)
    assert lots == 5
    assert value >= 5 * int(book["best_ask"])
    assert cost_from_others(book, 10**6, 1, 10**9)[0] == sum(lots for _, lots in orders_of_others(quoted, CALL, 1, -1))


@pytest.mark.parametrize("mode", ["cross", "isolated", "portfolio"])
def test_margin_of_the_whole(mode):
    """In a portfolio the legs of a spread stand for each other; elsewhere the short one needs its own margin."""
    stage = Stage(mode=mode, expiries_days=(30.0,))
    maker, taker = stage.account(1e8), stage.account(1_500.0)
    fill_books(stage, maker, (1, 3), random.Random(6), 6)
    status = stage.block(0.0, stage.combination(taker, [(LOW_CALL, 1), (CALL, -1)], 20, 1e6))
    assert status == ["succeeded"]
    poor = stage.account(10.0)
    status = stage.block(0.0, stage.combination(poor, [(LOW_CALL, 1), (CALL, -1)], 5, 1e6))
    assert status == (["succeeded"] if mode == "portfolio" else ["failed"])


def test_no_combinations_in_batches():
    stage = Stage(batching=True)
    assert stage.block(1.0, stage.combination(stage.account(), [(PERPETUAL, 1)], 1, 1e6)) == ["failed"]


def test_legs_of_series_that_came_later():
    stage = Stage()
    maker, taker = stage.account(1e8), stage.account(1e8)
    stage.block(3_600.0)
    fill_books(stage, maker, (1, 3), random.Random(6))
    order = stage.combination(taker, [(CALL, 1)], 1, 1e6)
    assert stage.block(1.0, order | {"decided": 3_599 * 10**9}) == ["failed"]
    assert stage.block(1.0, order) == ["succeeded"]
