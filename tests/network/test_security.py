"""Who has to agree to stop, censor or undo a chain; when its blocks are final."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockspace.network.faults import FaultSettings, intervals, is_within, past, worked_until
from blockspace.network.finality import final_at_ns
from blockspace.network.security import Parties, parties_of_chain, parties_of_rollup


@pytest.mark.parametrize(
    ("stake", "halt", "censor", "undo"),
    [
        ([1], 1, 1, 1),
        ([1] * 3, 2, 2, 2),
        ([1] * 10, 4, 6, 7),
        ([5, 1, 1, 1, 1, 1], 1, 2, 3),
        ([40, 30, 20, 10], 1, 2, 2),
    ],
)
def test_parties_of_a_chain(stake, halt, censor, undo):
    assert parties_of_chain(stake) == Parties(halt, censor, undo)


def test_parties_of_rollups_rest_on_who_checks_and_on_the_parent():
    parent = Parties(10, 20, 30)
    assert parties_of_rollup(parent, "optimistic", 0) == Parties(1, 20, 1)
    assert parties_of_rollup(parent, "optimistic", 50).to_undo == 30
    assert parties_of_rollup(parent, "validity", 0) == Parties(1, 20, 30)


@given(st.integers(0, 10**12), st.integers(1, 10**11), st.integers(1, 5), st.integers(0, 10**9))
def test_a_block_is_final_after_the_checkpoints_that_follow_it(time, checkpoint, count, voting):
    final = final_at_ns(time, checkpoint, count, voting)
    assert (count - 1) * checkpoint < final - voting - time <= count * checkpoint
    assert (final - voting) % checkpoint == 0


def test_a_silence_puts_finality_off_until_votes_are_heard_again():
    quiet = final_at_ns(1_000, 100, 2, 5)
    assert final_at_ns(1_000, 100, 2, 5, [(0, 900)]) == quiet
    assert final_at_ns(1_000, 100, 2, 5, [(quiet, 9_000)]) == quiet
    assert final_at_ns(1_000, 100, 2, 5, [(1_150, 5_000)]) == 5_000 + 300 + 5


def test_faults_stand_still_and_are_over():
    faults = [FaultSettings(kind="outage", start_s=20.0, duration_s=5.0), FaultSettings(start_s=3.0, duration_s=2.0)]
    moments = intervals(faults, "outage")
    assert moments == ((3 * 10**9, 5 * 10**9), (20 * 10**9, 25 * 10**9))
    assert [is_within(moments, time * 10**9) for time in (2, 3, 4, 5, 24, 25)] == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    assert past(moments, 4 * 10**9) == 5 * 10**9
    assert past([(0, 5), (5, 9)], 2) == 9


@given(st.integers(0, 50), st.integers(1, 50), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=3))
def test_work_takes_its_time_and_no_longer(start, work, pauses):
    moments, last = [], 0
    for gap, length in pauses:
        moments.append((last + gap, last + gap + length))
        last += gap + length + 1
    done = worked_until(moments, start, work)
    standing = {tick for begin, end in moments for tick in range(begin, end)}
    worked = sum(tick not in standing for tick in np.arange(start, done).tolist())
    assert worked == work
