import pytest

from blockspace.experiments.validation import ordering, run_validation
from blockspace.experiments.validation.ordering import entry_and_tips, lottery_copies


@pytest.mark.parametrize(("worth", "cost", "players", "copies"), [(100, 1, 2, 25), (100, 1, 5, 16), (9, 0.5, 3, 4)])
def test_copies_in_a_lottery_contest(worth, cost, players, copies):
    assert lottery_copies(worth, cost, players) == pytest.approx(copies)


@pytest.mark.parametrize(("players", "cost", "sent", "tips"), [(5, 0.05, 2.636, 0.8446), (50, 0.005, 5.124, 0.9699)])
def test_equilibrium_of_an_auction_in_which_losers_pay(players, cost, sent, tips):
    assert entry_and_tips(players, cost) == pytest.approx((sent, tips), rel=1e-3)


@pytest.mark.parametrize("target", ["V15b", "V27", "V27b", "V28", "V29", "V41"])
def test_what_the_order_of_a_block_does_to_races(target):
    rows = run_validation([target], quick=True)
    assert rows
    assert [row.what for row in rows if not row.passed] == []


def test_a_wrong_number_of_copies_is_noticed(monkeypatch):
    monkeypatch.setattr(ordering, "lottery_copies", lambda worth, cost, players: 1.3 * worth / cost / 4)
    assert not all(row.passed for row in run_validation(["V29"], quick=True))


def test_a_wrong_worth_of_the_bait_is_noticed(monkeypatch):
    right = ordering.compare
    monkeypatch.setattr(ordering, "compare", lambda name, what, theory, *rest, **more: right(
        name, what, theory + 0.1, *rest, **more
    ))  # fmt: skip
    for target in ("V27", "V41"):
        assert not any(row.passed for row in run_validation([target], quick=True))


def test_searchers_who_bid_all_that_it_is_worth_would_be_noticed(monkeypatch):
    monkeypatch.setattr(ordering, "entry_and_tips", lambda players, cost: (1.0, 1.0 - cost))
    assert not any(row.passed for row in run_validation(["V28"], quick=True))
