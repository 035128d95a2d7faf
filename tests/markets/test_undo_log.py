"""Undoing blocks of a venue: what is put back is what was there, to the last bit."""

import numpy as np
import pytest

from blockspace.markets.instruments import list_instrument
from blockspace.markets.ledger import GENESIS, open_account, totals, transfer_cash
from blockspace.markets.undo_log import OF_MARGIN, UndoLog
from blockspace.markets.venue import new_venue

ACCOUNTS = 12


@pytest.fixture
def venues():
    venues = new_venue()
    for _ in range(ACCOUNTS):
        open_account(venues[0]["ledger"], 1_000.0, 1.0)
    for _ in range(2):
        list_instrument(
            venues,
            "perpetual",
            tick_lot_value=10,
            lot_size=0.01,
            initial_margin_ppm=50_000,
            maker_fee_ppm=0,
            taker_fee_ppm=0,
            impact_lots=100,
        )
    return venues


def held(venues):
    """Everything that blocks may change, as bytes."""
    venue = venues[0]
    margin = [venue["margin"][name].tobytes() for name in OF_MARGIN]
    return [
        venue["ledger"]["accounts"][: int(venue["ledger"]["count"])].tobytes(),
        venue["instruments"].tobytes(),
        venue["reported"].tobytes(),
        *margin,
    ]


def change_at_random(venues, generator):
    """What a block may do: move cash and positions, mark, set margin aside, or nothing."""
    venue = venues[0]
    for _ in range(generator.integers(4)):
        first, second = generator.choice(np.arange(5, 5 + ACCOUNTS), 2, replace=False)
        transfer_cash(venue["ledger"], int(first), int(second), int(generator.integers(-500, 500)))
        venue["ledger"]["accounts"]["position"][first, 1] += 3
        venue["margin"]["cost"][first, 1] += int(generator.integers(100))
        venue["margin"]["credit"][second] -= 1
        venue["instruments"]["mark"][generator.integers(2)] += 1
        venue["margin"]["counts_short"][generator.integers(2)] += 1
        venue["reported"] += generator.integers(2)


def test_any_block_can_be_gone_back_to(venues):
    generator = np.random.default_rng(1)
    log = UndoLog(venues)
    log.begin()
    states = {0: held(venues)}
    for time in range(1, 200):
        change_at_random(venues, generator)
        log.note(time)
        states[time] = held(venues)
        if generator.random() < 0.1:
            back = int(generator.integers(max(time - 30, 0), time + 1))
            log.undo(back)
            assert held(venues) == states[back]
            states.update(dict.fromkeys(range(back, time + 1), states[back]))


def test_it_says_how_many_blocks_had_changed_something(venues):
    log = UndoLog(venues)
    log.begin()
    for time in range(1, 6):
        if time != 3:
            transfer_cash(venues[0]["ledger"], 5, 6, 1)
        log.note(time)
    assert log.undo(1) == 3
    assert log.undo(0) == 1
    assert log.undo(-1) == 0


def test_what_is_forgotten_stays(venues):
    log = UndoLog(venues)
    log.begin()
    for time in range(1, 6):
        transfer_cash(venues[0]["ledger"], 5, 6, 10)
        log.note(time)
    log.forget(3)
    assert [time for time, *_ in log.notes] == [4, 5]
    assert log.undo(0) == 2
    assert venues[0]["ledger"]["accounts"]["cash"][6] == 1_000_000_000 + 30


def test_whoever_comes_in_between_keeps_what_he_brought(venues):
    log = UndoLog(venues)
    log.begin()
    cash = venues[0]["ledger"]["accounts"]["cash"]
    transfer_cash(venues[0]["ledger"], 5, 6, 10)
    transfer_cash(venues[0]["ledger"], GENESIS, 6, 10)
    log.note(1)
    account = open_account(venues[0]["ledger"], 50.0, 2.0)
    log.admit()
    after_first = held(venues)
    transfer_cash(venues[0]["ledger"], account, 6, 10)
    log.note(2)
    assert log.undo(1) == 1
    assert held(venues) == after_first
    assert log.undo(0) == 1
    assert cash[account] == 50_000_000
    assert cash[5] == cash[6] == 1_000_000_000
    assert all(total == 0 for total in totals(venues[0]["ledger"]).values())


def test_nobody_comes_in_while_a_block_is_made(venues):
    log = UndoLog(venues)
    log.begin()
    open_account(venues[0]["ledger"], 50.0)
    with pytest.raises(RuntimeError, match="an account was opened while a block was made"):
        log.note(1)


def test_books_are_not_among_what_is_put_back(venues):
    log = UndoLog(venues)
    log.begin()
    venues[0]["books"]["best_bid"][0] = 77
    log.note(1)
    assert not log.notes
