"""Who waits how long before closing a block."""

import numpy as np
import pytest

from blockspace.network.settings import TimingGameSettings
from blockspace.network.timing_games import OTHERS, PLAYERS, TimingGames

DEADLINE_NS = 4_000_000_000
REACH_NS = 100_000_000
JITTER_NS = 300_000_000


def games(seed=1, count_from_ns=0, validators=2, **settings):
    return TimingGames(TimingGameSettings(**settings), validators, DEADLINE_NS, seed, count_from_ns)


def test_the_share_of_players_is_the_share_of_the_stake():
    assert not games(share=0.0).players.any()
    assert games(share=1.0).players.all()
    assert games(share=0.3, validators=4_000).players.mean() == pytest.approx(0.3, abs=0.03)
    few, many = (games(share=share, validators=100).players for share in (0.2, 0.5))
    assert (many | ~few).all(), "who plays with a few plays with many"


def test_who_does_not_play_does_not_wait():
    timing = games(share=0.0)
    timing.usual_delay_ns = 1e9
    assert [timing.delay_ns(slot, 0) for slot in range(10)] == [0] * 10
    timing.learn(1, 0, 0, 5, False)
    assert (timing.usual_revenue_gwei, timing.tallies["slots"].tolist()) == (0.0, [1, 0])


def play(timing, slots, revenue, seed=1):
    """Usual delays in seconds, slot after slot, where a block earns what a function of its delay says, with noise."""
    generator = np.random.default_rng(seed)
    noise = np.exp(generator.normal(0.0, 0.4, slots))
    way = REACH_NS + generator.exponential(JITTER_NS, slots)
    found = np.empty(slots)
    for slot in range(1, slots + 1):
        delay = timing.delay_ns(slot, 0)
        missed = bool(delay + way[slot - 1] > DEADLINE_NS)
        earned = 0 if missed else round(1e9 * revenue(delay * 1e-9) * noise[slot - 1])
        timing.learn(slot * 12_000_000_000, 0, delay, earned, missed)
        found[slot - 1] = timing.usual_delay_ns * 1e-9
    return found


def test_players_wait_until_one_more_moment_costs_as_much_as_it_brings():
    delays = np.linspace(0, 4, 4_001)

    def revenue(delay):
        return 1.0 + 0.2 * delay

    arrives = 1.0 - np.exp(-np.maximum(4.0 - 0.1 - delays, 0.0) / 0.3)
    # A block waits 0.4 s longer or shorter than usual, with equal chance.
    expected = [np.interp(delays + tilt, delays, revenue(delays) * arrives) for tilt in (-0.4, 0.4)]
    best = delays[np.argmax(np.sum(expected, axis=0))]
    found = play(games(share=1.0), 20_000, revenue)[5_000:].mean()
    assert found == pytest.approx(best, abs=0.35)


def test_players_do_not_wait_where_waiting_costs():
    found = play(games(share=1.0), 8_000, lambda delay: 1.0 - 0.1 * delay)
    assert found[3_000:].mean() < 0.4


def test_slots_are_tallied_after_the_warm_up():
    timing = games(share=1.0, count_from_ns=24_000_000_000)
    for slot in range(1, 6):
        timing.learn(slot * 12_000_000_000, 0, 10**9, 0 if slot == 4 else 7, slot == 4)
    assert timing.tallies[PLAYERS].tolist() == (3, 1, 3 * 10**9, 14)
    assert timing.tallies[OTHERS]["slots"] == 0
