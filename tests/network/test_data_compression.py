"""Bytes of transactions: raw, in a batch, as differences of state; and batches that are packed block by block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockspace.network.data_compression import (
    ENVELOPE_BYTES,
    FOOTPRINTS,
    POSITION,
    charged_bytes,
    fjord_bytes,
    published_bytes,
    raw_bytes,
)
from blockspace.network.rollups.settings import PostingSettings, new_layout
from blockspace.network.transaction import KINDS, SWAP, TRANSACTION, TRANSFER

BATCH = new_layout(PostingSettings())
BARE = new_layout(PostingSettings(header_bytes=0))
UNSIGNED = new_layout(PostingSettings(signature_bytes=0, header_bytes=0))
NONE = new_layout(PostingSettings(compression="none"))
STATE = new_layout(PostingSettings(compression="state_differences"))
SLOTS = new_layout(
    PostingSettings(compression="state_differences", header_bytes=0, slot_key_bytes=1, slot_value_bytes=1)
)


def transactions(*rows):
    """Records of (sender, kind, instrument, independent), as large as their kind is."""
    records = np.zeros(len(rows), TRANSACTION)
    for name, column in zip(("sender", "kind", "instrument", "independent"), zip(*rows, strict=True), strict=True):
        records[name] = column
    records["bytes"] = raw_bytes(records["kind"])
    return records


def of_kinds(kinds):
    """Records of these kinds."""
    return transactions(*((0, kind, 0, 0) for kind in kinds))


def slots_written(records):
    """Slots that transactions write, as the simulator counts them."""
    return published_bytes(records, SLOTS) // 2


def slow_slots(records):
    """Slots as a set of (owner, bit), one transaction after the other."""
    slots = set()
    for number, one in enumerate(records):
        footprint = FOOTPRINTS[KINDS[one["kind"]]]
        of_sender = footprint.of_sender
        if one["kind"] == TRANSFER and one["bytes"] > ENVELOPE_BYTES:
            of_sender |= POSITION
        owner = ("wallet", number) if one["independent"] else ("account", int(one["sender"]))
        slots |= {(owner, bit) for bit in range(8) if of_sender >> bit & 1}
        slots |= {
            (("instrument", int(one["instrument"])), bit) for bit in range(8) if footprint.of_instrument >> bit & 1
        }
    return len(slots)


def test_every_kind_has_a_footprint():
    assert set(FOOTPRINTS) == set(KINDS)


def test_raw_sizes():
    assert raw_bytes([[TRANSFER, SWAP]]).tolist() == [[110, 338]]
    assert 150 <= raw_bytes(SWAP) <= 350  # as calls of routers are


def test_without_compression_a_batch_takes_what_its_transactions_do():
    records = of_kinds([SWAP, SWAP, TRANSFER])
    records["bytes"] = [300, 400, 250]
    assert published_bytes(records, NONE) == 200 + 950


def test_a_swap_in_a_large_batch_takes_what_is_posted_for_one():
    swaps = of_kinds([SWAP] * 10_000)
    many = published_bytes(swaps, BATCH) / 10_000
    assert 60 <= many <= 120
    assert many == pytest.approx(28 + 64, rel=1e-3)
    assert published_bytes(swaps, UNSIGNED) / 10_000 == pytest.approx(28, rel=0.01)


def test_an_aggregated_transfer_takes_the_bytes_that_are_its_own():
    assert published_bytes(of_kinds([TRANSFER] * 10_000), UNSIGNED) / 10_000 == pytest.approx(12, rel=0.01)


def test_calls_of_contracts_that_are_not_modelled_compress_as_was_reported():
    calls = of_kinds([TRANSFER] * 10_000)
    calls["bytes"] = 250
    calls["independent"] = 1
    assert published_bytes(calls, BATCH) / 10_000 == pytest.approx(12 + 64 + (250 - 110) // 8, rel=1e-3)
    assert 0.37 <= published_bytes(calls, BATCH) / 2_500_000 <= 0.42
    assert 20 <= published_bytes(calls, STATE) / 10_000 <= 60


def test_a_batch_of_one_compresses_nothing_and_none_takes_nothing():
    assert published_bytes(of_kinds([SWAP]), BARE) == raw_bytes(SWAP)
    for layout in (NONE, BATCH, STATE):
        assert published_bytes(np.zeros(0, TRANSACTION), layout) == 0


@given(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=50))
def test_a_batch_is_never_larger_than_its_transactions_and_larger_ones_are_cheaper(kinds):
    once, twice = (published_bytes(of_kinds(kinds * times), BARE) for times in (1, 2))
    assert once <= raw_bytes(kinds).sum()
    assert once <= twice <= 2 * once


@pytest.mark.parametrize(("fastlz", "charged"), [(0, 100.0), (170, 100.0), (171, 100.4559), (1_000, 793.9144)])
def test_estimate_of_the_op_stack(fastlz, charged):
    assert fjord_bytes(fastlz) == pytest.approx(charged, abs=1e-9)


def test_differences_of_the_same_account_and_instrument_cancel():
    one = transactions((7, SWAP, 0, 0))
    assert slots_written(one) == 5
    assert slots_written(np.repeat(one, 100)) == 5
    assert slots_written(transactions((7, SWAP, 0, 0), (8, SWAP, 0, 0))) == 5 + 3
    assert slots_written(transactions((7, SWAP, 0, 0), (7, SWAP, 1, 0))) == 5 + 2
    assert slots_written(transactions((7, SWAP, 0, 1), (7, SWAP, 0, 1))) == 5 + 3


def test_a_swap_among_many_on_one_pool_takes_few_bytes():
    records = transactions(*((sender, SWAP, 0, 0) for sender in range(1_000)))
    each = published_bytes(records, STATE) / len(records)
    assert 20 <= each <= 60
    assert each == pytest.approx(3 * 13, rel=0.01)


def test_users_pay_for_what_is_their_own():
    assert charged_bytes(NONE[0], SWAP, 250) == 250
    assert charged_bytes(BATCH[0], SWAP, 250) == 28 + 64
    assert charged_bytes(STATE[0], SWAP, 250) == 5 * 13
    assert charged_bytes(STATE[0], TRANSFER, 110) == 2 * 13
    assert charged_bytes(STATE[0], TRANSFER, 250) == 3 * 13


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, len(KINDS) - 1), st.integers(0, 3), st.integers(0, 1)),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 1),
)
def test_slots_against_a_set_of_them(rows, calls):
    records = transactions(*rows)
    records["bytes"] += np.uint32(calls)
    assert slots_written(records) == slow_slots(records)
