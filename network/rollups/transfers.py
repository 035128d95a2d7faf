"""Transfers of cash between a rollup and its parent: what becomes of each.

All times are in ns, and 0 stands for what has not happened yet.
"""

import numpy as np

TRANSFERS = 1 << 16
"""Transfers that are remembered."""

WITHDRAWAL, DEPOSIT = range(2)
DIRECTIONS = ("withdrawal", "deposit")

CASH_TRANSFER = np.dtype(
    [
        ("direction", "i8"),
        ("sender", "i8"),  # account on the chain that the cash leaves
        ("recipient", "i8"),  # account on the chain where it arrives
        ("amount", "i8"),  # micro-dollars
        ("asked", "i8"),
        ("expires", "i8"),
        ("lost", "i8"),  # when it was clear that it would never be in a block
        ("included", "i8"),
        ("seen", "i8"),  # when the providers see that it is in a block, or the rollup that a deposit is
        ("provider", "i8"),  # number of the provider that has agreed to pay it out early; -1 for none
        ("fee", "i8"),  # micro-dollars that the provider keeps
        ("paid", "i8"),  # when the recipient has the cash
        ("settled", "i8"),  # when the cash itself has arrived
    ],
    align=True,
)
"""Cash on its way from an account on one chain to an account on another."""
