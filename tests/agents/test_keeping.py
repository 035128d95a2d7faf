"""What keepers learn from the fate of what they have sent, and what they then send."""

import numpy as np
import pytest

from blockspace.agents.keeping import FADING, KEEPER_FIELDS, KeeperSettings, draft, learn_fate, new_keeper_rows
from blockspace.markets.feed import new_feed
from blockspace.network.compilation import kernel
from blockspace.network.mempool import new_mempool
from blockspace.network.transaction import FAILED, SUCCEEDED

SENT_AT, EXPIRES, BLOCK = 1_000, 2_000, 5
RATE = KeeperSettings().learning_rate


@kernel
def learn_now(rows, feeds):
    return learn_fate(rows[0], feeds[0], feeds[0].views[0])


@kernel
def draft_now(rows, feeds, pools, worth_usd, tip):
    return draft(rows[0], feeds[0], pools[0], 100_000, worth_usd, tip, 2_000.0, SENT_AT)


def keeper(urgency=0.5):
    rows = new_keeper_rows(np.dtype([*KEEPER_FIELDS], align=True), KeeperSettings(), [3], [0])
    rows["pending"], rows["sent_at"], rows["expires"], rows["urgency"] = 1, SENT_AT, EXPIRES, urgency
    return rows


def seen(number, time, status=None):
    """A feed in which a block is visible, and the keeper's transaction is in block 5 if it has a status."""
    feeds = new_feed()
    feeds[0]["views"]["number"][0], feeds[0]["views"]["time"][0] = number, time
    feeds[0]["receipts"]["decided"][3] = -1
    if status is not None:
        receipt = feeds[0]["receipts"]
        receipt["decided"][3], receipt["block"][3], receipt["status"][3] = SENT_AT, BLOCK, status
    return feeds


@pytest.mark.parametrize(
    ("number", "time", "status", "got_in", "pending", "urgency"),
    [
        (BLOCK, EXPIRES - 1, SUCCEEDED, True, 0, 0.5 - FADING * RATE * 0.5),
        (BLOCK, EXPIRES - 1, FAILED, False, 0, 0.5),
        (BLOCK - 1, EXPIRES - 1, SUCCEEDED, False, 1, 0.5),
        (BLOCK, EXPIRES - 1, None, False, 1, 0.5),
        (BLOCK, EXPIRES, None, False, 0, 0.5 + RATE * 0.5),
    ],
    ids=["got in", "failed", "not visible yet", "on its way", "lapsed"],
)
def test_fate(number, time, status, got_in, pending, urgency):
    rows = keeper()
    assert learn_now(rows, seen(number, time, status)) is got_in
    assert (rows["pending"][0], rows["included"][0]) == (pending, got_in)
    assert rows["urgency"][0] == pytest.approx(urgency, rel=1e-12)


def test_nothing_is_learnt_twice():
    rows = keeper()
    feeds = seen(BLOCK, EXPIRES, SUCCEEDED)
    assert learn_now(rows, feeds)
    assert not learn_now(rows, feeds)
    assert rows["included"][0] == 1


def test_a_tip_is_never_more_than_a_transaction_is_worth():
    feeds, pools = seen(BLOCK, SENT_AT), new_mempool(8)
    for worth_usd, tip in ((20.0, 10**9), (20.0, 10**12)):
        rows = keeper()
        drafted = pools[0]["transactions"][draft_now(rows, feeds, pools, worth_usd, tip)]
        # 20 dollars are 0.01 ether at 2,000 dollars, and that is 100 gwei for each of 100,000 gas.
        assert drafted["max_fee"] == pytest.approx(10**11, rel=1e-9)
        assert drafted["tip"] == min(tip, drafted["max_fee"])
        assert drafted["expires"] == rows["expires"][0] == SENT_AT + 60 * 10**9
        assert (rows["pending"][0], rows["sent"][0]) == (1, 1)


def test_who_does_not_wait_at_all_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        KeeperSettings(patience_s=0.0)
