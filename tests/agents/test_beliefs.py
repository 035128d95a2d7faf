"""Beliefs about rival bids: what they learn, what they answer, and what becomes of bidders who answer one another."""

import math

import numpy as np
import pytest

from blockspace.agents.beliefs import (
    BELIEF,
    BINS,
    EDGES,
    NOBODY_BIDS,
    OUTCOMES,
    USUAL,
    choose_bid,
    learn_race,
    outcome_of,
    start_beliefs,
)
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_uniform


def beginners(count=1):
    beliefs = np.zeros(count, BELIEF)
    start_beliefs(beliefs)
    return beliefs


@kernel
def learn_many(beliefs, rate, bidders, best, second):
    for race in range(bidders.size):
        learn_race(beliefs[0], rate, bidders[race], best[race], second[race])


@kernel
def choose_many(beliefs, rate, prize, cost, room, losers_pay, choices, shares):
    for number in range(choices.size):
        shares[number] = choose_bid(beliefs[0], rate, prize, cost, room, losers_pay, choices[number], 0.5)


def learned(races, rate=0.05):
    """Belief after races of (bidder, best, second)."""
    beliefs = beginners()
    bidders, best, second = (np.array(column) for column in zip(*races, strict=True))
    learn_many(beliefs, rate, bidders, best.astype(float), second.astype(float))
    return beliefs


def shares_of(beliefs, losers_pay, prize=1.0, cost=0.05, rate=0.05, draws=2_000):
    shares = np.zeros(draws)
    choose_many(beliefs, rate, prize, cost, prize - cost, losers_pay, (np.arange(draws) + 0.5) / draws, shares)
    return shares


def test_outcomes_of_bids():
    """None, the usual tip, and every bin from its lower edge on."""
    assert outcome_of(-1.0) == NOBODY_BIDS
    assert outcome_of(0.0) == USUAL
    assert outcome_of(1e-12) == 2
    for number in range(BINS):
        middle = 0.5 * (EDGES[number] + EDGES[number + 1])
        assert outcome_of(middle) == 2 + number
    assert outcome_of(1.0) == outcome_of(7.5) == OUTCOMES - 1


def test_histogram_is_one_of_chances():
    """It stays one through many races, and the bins that are seen gain what others lose."""
    generator = np.random.default_rng(1)
    races = [(int(bidder), *sorted(bids, reverse=True)) for bidder, bids in zip(
        generator.integers(5, size=500), generator.uniform(-0.3, 1.2, (500, 2)), strict=True)]  # fmt: skip
    belief = learned(races)[0]
    assert belief["rival"].sum() == pytest.approx(1.0)
    assert belief["rival"].min() >= 0.0
    assert belief["races"] == 500


def test_first_races_count_like_those_of_a_mean():
    """A slow learner knows the frequencies long before it has seen as many races as it remembers."""
    races = [(race, 0.3 if race % 2 else -1.0, -1.0) for race in range(2_000)]
    belief = learned(races, rate=1e-6)[0]
    assert belief["same_best"] < 0.02
    assert belief["rival"][outcome_of(0.3)] == pytest.approx(0.5, abs=0.02)


def test_who_is_alone_has_no_rival():
    """If the best bidder is the same in each race, the second-best bid is what rivals bid."""
    belief = learned([(7, 0.4, -1.0)] * 300)[0]
    assert belief["same_best"] == pytest.approx(1.0, abs=1e-4)
    assert belief["rival"][NOBODY_BIDS] == pytest.approx(1.0, abs=1e-3)


def test_who_has_no_rival_bids_nothing():
    """And stays out where the prize is below its cost."""
    beliefs = learned([(7, 0.4, -1.0)] * 1_000)
    for losers_pay in (True, False):
        assert (shares_of(beliefs, losers_pay) == 0.0).all()
        assert (shares_of(beliefs, losers_pay, prize=0.04) == -1.0).all()


def test_bids_just_beat_a_rival_who_always_bids_the_same():
    """If losing costs nothing, and if it costs, but not if the rival leaves less than it costs."""
    rival = [(race % 50, 0.6, 0.6) for race in range(5_000)]
    beliefs = learned(rival, rate=0.001)
    bin_of_rival = outcome_of(0.6) - 2
    for losers_pay in (True, False):
        shares = shares_of(beliefs, losers_pay, rate=0.001)
        bids = shares[shares >= 0.0]
        assert len(bids) > 0.95 * len(shares)
        assert EDGES[bin_of_rival + 1] <= np.median(bids) <= EDGES[bin_of_rival + 2]
    beliefs = learned([(race % 50, 0.999, 0.999) for race in range(5_000)], rate=0.001)
    assert (shares_of(beliefs, True, rate=0.001) == -1.0).all()


def test_choice_follows_its_draw():
    """Alternatives are taken in proportion to their weights, and a draw of nearly 1 takes the last one with any."""
    beliefs = beginners()
    shares = shares_of(beliefs, True, draws=100_000)
    weights = beliefs[0]["weights"] / beliefs[0]["weights"].sum()
    assert (shares < 0).mean() == pytest.approx(weights[NOBODY_BIDS], abs=1e-4)
    assert (shares == 0.0).mean() == pytest.approx(weights[USUAL], abs=1e-4)
    for number in (0, 10, 39):
        inside = (shares > EDGES[number]) & (shares <= EDGES[number + 1])
        assert inside.mean() == pytest.approx(weights[2 + number], abs=1e-4)


@kernel
def play(beliefs, rate, cost, losers_pay, races, warm_up, totals):
    """Let bidders race for a prize of 1; ``totals`` counts bids, their sum, races with a winner, and its bids."""
    for race in range(races):
        best, second = -1.0, -1.0
        bidder = np.int64(-1)
        for offset in range(beliefs.size):
            player = (offset + race) % beliefs.size
            choice, place = draw_uniform(player, race, 0), draw_uniform(player, race, 1)
            share = choose_bid(beliefs[player], rate, 1.0, cost, 1.0 - cost, losers_pay, choice, place)
            if race >= warm_up and share >= 0.0:
                totals[0] += 1.0
                totals[1] += share * (1.0 - cost)
            if share > best:
                best, second = share, best
                bidder = player
            elif share > second:
                second = share
        if race >= warm_up and best >= 0.0:
            totals[2] += 1.0
            totals[3] += best * (1.0 - cost)
        for player in range(beliefs.size):
            learn_race(beliefs[player], rate, bidder, best, second)


def played(players, cost, losers_pay, rate, races):
    totals = np.zeros(4)
    play(beginners(players), rate, cost, losers_pay, races, races // 3, totals)
    return totals / (races - races // 3)


def entry_and_tips(players, cost):
    """Bids per race, and their sum, in the symmetric equilibrium of an auction in which losers pay as well."""
    enter = 1.0 - cost ** (1.0 / (players - 1))
    return players * enter, 1.0 - cost ** (players / (players - 1)) - players * cost * enter


@pytest.mark.parametrize("players", [2, 5, 20])
def test_equilibrium_where_losers_pay(players):
    """Bidders who learn slowly mix as in equilibrium (Baye, Kovenock and de Vries, 1996, with a cost of entry)."""
    bids, tips, *_ = played(players, 0.05, True, 1e-5, 150_000)
    expected_bids, expected_tips = entry_and_tips(players, 0.05)
    assert bids == pytest.approx(expected_bids, rel=0.02)
    assert tips == pytest.approx(expected_tips, rel=0.02)


@pytest.mark.parametrize(("players", "share"), [(1, 0.0), (2, 1.0), (5, 1.0)])
@pytest.mark.parametrize("rate", [0.01, 1e-3])
def test_equilibrium_where_only_the_winner_pays(players, share, rate):
    """One bidder bids nothing, two bid all that there is to bid for (Bertrand competition)."""
    _, _, won, paid = played(players, 0.05, False, rate, 20_000)
    assert won == pytest.approx(1.0, abs=1e-3)
    assert paid == pytest.approx(share * 0.95, abs=0.02 * 0.95)


def test_quick_learners_come_near():
    """At the learning rate of a market that changes, bids are no more than a tenth beyond or below equilibrium."""
    bids, tips, *_ = played(5, 0.05, True, 0.05, 20_000)
    expected_bids, expected_tips = entry_and_tips(5, 0.05)
    assert bids == pytest.approx(expected_bids, rel=0.15)
    assert tips == pytest.approx(expected_tips, rel=0.15)
    assert math.isfinite(bids)
