"""Blocks of a rollup that wait to be posted, against all of their transactions at once."""

import numpy as np
import pytest

from blockspace.network.block import BLOCK
from blockspace.network.data_compression import published_bytes
from blockspace.network.mempool import new_mempool
from blockspace.network.rollups.progress import TOUCHES, new_progress, note_block, pack
from blockspace.network.rollups.settings import PostingSettings, new_layout
from blockspace.network.transaction import KINDS, LEFT_OUT, TRANSACTION


def random_block(generator, most=12):
    """Transactions of a few senders on a few instruments, some of which are left out."""
    records = np.zeros(generator.integers(0, most), TRANSACTION)
    for name, end in (("sender", 6), ("kind", len(KINDS)), ("instrument", 3), ("independent", 2)):
        records[name] = generator.integers(0, end, len(records))
    records["bytes"] = generator.integers(100, 400, len(records))
    records["status"] = np.where(generator.random(len(records)) < 0.1, LEFT_OUT, 0)
    return records


def enter(progresses, layouts, blocks):
    """Enter blocks of transactions at the times 1, 2, …; returns what counts of those in which anything happened."""
    pools, headers = new_mempool(), np.zeros(1, BLOCK)
    headers["layout"] = layouts
    counted = []
    for time, records in enumerate(blocks, 1):
        pools[0]["transactions"][: len(records)] = records
        headers["order"][0][: len(records)] = np.arange(len(records))
        headers["count"], headers["time"] = len(records), time
        note_block(progresses, pools, headers, 0)
        if len(happened := records[records["status"] != LEFT_OUT]):
            counted.append((time, happened))
    return counted


@pytest.mark.parametrize("compression", ["none", "batch", "state_differences"])
@pytest.mark.parametrize("seed", range(4))
def test_packing_against_all_transactions_at_once(compression, seed):
    generator = np.random.default_rng(seed)
    layouts, progresses = new_layout(PostingSettings(compression=compression)), new_progress()
    counted = enter(progresses, layouts, [random_block(generator) for _ in range(60)])
    assert int(progresses[0]["entry_count"]) == len(counted)
    for _ in range(200):
        first, now, most = (int(generator.integers(0, end)) for end in (len(counted), 65, 6_000))
        last, size, full = pack(progresses, layouts, first, now, most)
        fitting = [
            number
            for number in range(first, len(counted))
            if counted[number][0] <= now
            and (
                number == first
                or published_bytes(np.concatenate([one for _, one in counted[first : number + 1]]), layouts) <= most
            )
        ]
        assert last == (fitting[-1] if fitting else first - 1)
        if fitting:
            assert size == published_bytes(np.concatenate([one for _, one in counted[first : last + 1]]), layouts)
        waits = last + 1 < len(counted) and counted[last + 1][0] <= now
        assert full == (bool(fitting) and waits)


def test_slots_that_find_no_place_are_refused():
    layouts, progresses = new_layout(PostingSettings(compression="state_differences")), new_progress()
    block = np.zeros(8_000, TRANSACTION)
    block["kind"] = KINDS.index("place")  # the sender's slots and the instrument's: two touches
    enter(progresses, layouts, [block] * (TOUCHES // 16_000))
    with pytest.raises(RuntimeError, match="than there is place for"):
        enter(progresses, layouts, [block])
