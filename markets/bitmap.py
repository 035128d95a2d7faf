"""Bitmaps in layers: which prices of a book, or ticks of a pool, are occupied, and which one is next.

A record has the array ``occupied``, one row of words for each layer. A bit of the lowest layer stands for an index,
a bit of each layer above for a word of the layer below that is not zero (64 children to a word). The next occupied
index is found in a few instructions however far away it is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import leading_zeros, trailing_zeros

from blockspace.network.compilation import kernel

BITMAP_LAYERS = 4
LARGEST_BITMAP = 64**BITMAP_LAYERS

_ONE = np.uint64(1)
_TWO = np.uint64(2)
_SIX = np.uint64(6)
_LOW_SIX_BITS = np.uint64(63)


@kernel
def occupied_below(record, index):
    """Highest occupied index below ``index`` (0 or more), or 0."""
    index = np.uint64(index)
    for layer in range(BITMAP_LAYERS):
        word = index >> _SIX
        found = record.occupied[layer, word] & ((_ONE << (index & _LOW_SIX_BITS)) - _ONE)
        if found:
            index = (word << _SIX) | (_LOW_SIX_BITS - leading_zeros(found))
            for lower in range(layer - 1, -1, -1):
                index = (index << _SIX) | (_LOW_SIX_BITS - leading_zeros(record.occupied[lower, index]))
            return np.int64(index)
        index = word
    return 0


@kernel
def occupied_above(record, index, otherwise):
    """Lowest occupied index above ``index`` (which the bitmap holds), or ``otherwise`` if there is none."""
    index = np.uint64(index)
    for layer in range(BITMAP_LAYERS):
        word = index >> _SIX
        # Shifting 2 rather than 1 leaves no bit at all when the index is the last of its word.
        found = record.occupied[layer, word] & ~((_TWO << (index & _LOW_SIX_BITS)) - _ONE)
        if found:
            index = (word << _SIX) | trailing_zeros(found)
            for lower in range(layer - 1, -1, -1):
                index = (index << _SIX) | trailing_zeros(record.occupied[lower, index])
            return np.int64(index)
        index = word
    return otherwise


@kernel
def mark_occupied(record, index):
    """Set the bit of an index, and of its words in the layers above."""
    index = np.uint64(index)
    for layer in range(BITMAP_LAYERS):
        word = index >> _SIX
        before = record.occupied[layer, word]
        record.occupied[layer, word] = before | (_ONE << (index & _LOW_SIX_BITS))
        if before:
            return
        index = word


@kernel
def mark_empty(record, index):
    """Clear the bit of an index, and of its words in the layers above that become zero."""
    index = np.uint64(index)
    for layer in range(BITMAP_LAYERS):
        word = index >> _SIX
        after = record.occupied[layer, word] & ~(_ONE << (index & _LOW_SIX_BITS))
        record.occupied[layer, word] = after
        if after:
            return
        index = word


def marked(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Indices of the bits that are set in one layer of a bitmap, sorted."""
    places = np.flatnonzero(words)
    bits = np.unpackbits(words[places].view(np.uint8), bitorder="little").reshape(-1, 64)
    rows, columns = np.nonzero(bits)
    return places[rows] * 64 + columns


def check_bitmap(record: Any, indices: npt.NDArray[np.integer[Any]]) -> None:
    """Assert that every layer of a bitmap marks just these indices, which are sorted."""
    children = indices
    for layer, words in enumerate(record["occupied"]):
        found = marked(words)
        assert np.array_equal(found, children), f"layer {layer} of the bitmap marks {found}, not {children}"
        children = np.unique(children >> 6)
