"""Wishes of users who insist on trading on a rollup: what becomes of each.

All times are in ns, and 0 stands for what has not happened yet.
"""

import numpy as np

WISHES = 1 << 16
"""Wishes that are remembered."""

WISH = np.dtype(
    [
        ("asked", "i8"),
        ("side", "i8"),  # +1 buy, -1 sell
        ("access", "i8"),  # number of the access point on the rollup
        ("external_price", "f8"),  # dollars, when it was asked
        ("sequence", "i8"),  # of the transaction on the rollup that was handed in last
        # By way of the parent.
        ("sent", "i8"),
        ("expires", "i8"),
        ("tries", "i8"),
        ("on_parent", "i8"),  # when it was in a block there
        ("noticed", "i8"),  # when the sequencer saw that block
        ("cost_gwei", "i8"),  # of the messages on the parent, all tries together
        ("parent_usd", "f8"),
        # On the rollup.
        ("handed_in", "i8"),  # when the rollup took it from the parent's queue
        ("included", "i8"),  # when it was in a block
        ("seen", "i8"),  # when the user saw that block
        ("forced", "u1"),  # 1 if what was in it came by way of the parent
        ("left_out", "u1"),  # 1 if the rollup protects from reverts, and would not have what came that way
        ("failed", "u1"),  # 1 if it found nobody to trade with, or not the margin
        ("lots", "i8"),  # traded
        ("price", "f8"),  # mean of these, dollars
        ("rollup_usd", "f8"),
    ],
    align=True,
)
"""Somebody's wish to trade, with all that it takes to have it carried out."""
