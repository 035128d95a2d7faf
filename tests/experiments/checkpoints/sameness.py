"""Whether two markets are the same in everything that they hold."""

import hashlib
import json

import numpy as np
import pandas as pd

from blockspace.experiments import state_files
from blockspace.network.state import Part, Pieces


def leaves(state, path=""):
    """Everything in a state, by its path: arrays as bytes, streams as the bytes of all their pieces."""
    if isinstance(state, Part):
        yield from leaves(state.state, f"{path}:{state.kind}")
    elif isinstance(state, dict):
        for name, value in state.items():
            yield from leaves(value, f"{path}.{name}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from leaves(value, f"{path}.{number}")
    elif isinstance(state, Pieces):
        yield path, b"".join(piece.tobytes() for piece in state.arrays)
    else:
        yield path, digest(state) if isinstance(state, np.ndarray) else repr(state)


def digest(array):
    """Hash of an array's content, without touching pages that nobody has used: most of a venue's gigabytes."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    kept = state_files._occupied_pages(content)
    whole = len(kept) * state_files.PAGE_BYTES
    used = content[:whole].reshape(-1, state_files.PAGE_BYTES)[kept]
    return hashlib.blake2b(kept.tobytes() + used.tobytes() + content[whole:].tobytes()).hexdigest()


def require_same(one, other):
    assert (one.fingerprint(), one.time, one.steps) == (other.fingerprint(), other.time, other.steps)
    there, here = dict(leaves(one.state())), dict(leaves(other.state()))
    assert there.keys() == here.keys()
    assert [path for path in there if there[path] != here[path]] == []
    for world in range(len(one.worlds)):
        assert json.dumps(one.summary(world)) == json.dumps(other.summary(world))
        for name in ("ledger", "blocks", "trades", "transactions"):
            pd.testing.assert_frame_equal(getattr(one, name)(world), getattr(other, name)(world), check_exact=True)
    one.check()
    other.check()
