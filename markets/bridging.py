"""What a bridge does to the ledger of a chain: cash that leaves goes into escrow, cash that arrives comes out of it.

The escrow of a chain holds what has left less what has arrived, so that it is below zero where more has arrived. The
escrows of two chains together hold what is on its way, to the last micro-dollar.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.collateral import free_collateral
from blockspace.markets.ledger import transfer_cash
from blockspace.network.compilation import kernel


@kernel
def send_to_escrow(venue, transaction):
    """Take the cash that a transaction sends from its sender; it fails if that is not free, or no bridge is there.

    What positions have gained may leave like any other cash, but not what is only credited for cash on other chains.
    """
    amount = transaction.bound
    if venue.escrow == 0 or amount <= 0:
        return False
    free = free_collateral(venue, transaction.sender) - max(venue.margin.credit[transaction.sender], 0)
    if amount > free:
        return False
    transfer_cash(venue.ledger, transaction.sender, np.int64(venue.escrow), amount)
    return True


def escrow_micro_usd(venues: npt.NDArray[Any]) -> int:
    """Micro-dollars in a chain's escrow; 0 where there is none."""
    escrow = int(venues[0]["escrow"])
    return int(venues[0]["ledger"]["accounts"]["cash"][escrow]) if escrow else 0
