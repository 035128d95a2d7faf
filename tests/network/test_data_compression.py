"""Bytes of transactions: raw, in a batch, as differences of state."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockspace.network.data_compression import (
    FOOTPRINTS,
    DataSettings,
    batch_bytes,
    fjord_bytes,
    raw_bytes,
    slots_written,
    state_difference_bytes,
)
from blockspace.network.transaction import KINDS, SWAP, TRANSACTION, TRANSFER

SETTINGS = DataSettings()
STATELESS = DataSettings(batch_header_bytes=0)


def transactions(*rows):
    """Records of (sender, kind, instrument, independent)."""
    records = np.zeros(len(rows), TRANSACTION)
    for name, column in zip(("sender", "kind", "instrument", "independent"), zip(*rows, strict=True), strict=True):
        records[name] = column
    return records


def slow_slots(records):
    """Slots as a set of (owner, bit), one transaction after the other."""
    slots = set()
    for number, one in enumerate(records):
        footprint = FOOTPRINTS[KINDS[one["kind"]]]
        owner = ("wallet", number) if one["independent"] else ("account", int(one["sender"]))
        slots |= {(owner, bit) for bit in range(8) if footprint.of_sender >> bit & 1}
        slots |= {
            (("instrument", int(one["instrument"])), bit) for bit in range(8) if footprint.of_instrument >> bit & 1
        }
    return len(slots)


def test_every_kind_has_a_footprint():
    assert set(FOOTPRINTS) == set(KINDS)


def test_raw_sizes():
    assert raw_bytes([[TRANSFER, SWAP]]).tolist() == [[110, 338]]
    assert 150 <= raw_bytes(SWAP) <= 350  # as calls of routers are


def test_a_swap_in_a_large_batch_takes_what_is_posted_for_one():
    many = batch_bytes([SWAP] * 10_000, SETTINGS) / 10_000
    assert 60 <= many <= 120
    assert many == pytest.approx(28 + 64, rel=1e-3)
    assert batch_bytes([SWAP] * 10_000, DataSettings(signature_bytes=0)) / 10_000 == pytest.approx(28, rel=0.01)


def test_an_aggregated_transfer_takes_the_bytes_that_are_its_own():
    assert batch_bytes([TRANSFER] * 10_000, DataSettings(signature_bytes=0)) / 10_000 == pytest.approx(12, rel=0.01)


def test_a_batch_of_one_compresses_nothing_and_none_takes_nothing():
    assert batch_bytes([SWAP], STATELESS) == raw_bytes(SWAP)
    assert batch_bytes([], SETTINGS) == 0
    assert state_difference_bytes(np.zeros(0, TRANSACTION), SETTINGS) == 0


@given(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=50))
def test_a_batch_is_never_larger_than_its_transactions_and_larger_ones_are_cheaper(kinds):
    once, twice = (batch_bytes(kinds * times, STATELESS) for times in (1, 2))
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
    each = state_difference_bytes(records, SETTINGS) / len(records)
    assert 20 <= each <= 60
    assert each == pytest.approx(3 * 13, rel=0.01)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, len(KINDS) - 1), st.integers(0, 3), st.integers(0, 1)),
        min_size=1,
        max_size=40,
    )
)
def test_slots_against_a_set_of_them(rows):
    records = transactions(*rows)
    assert slots_written(records) == slow_slots(records)
