"""Blobs: space for data that a chain keeps for a while, sold beside gas with a base fee of its own.

Exact to the specification in Python integers: EIP-4844 (Buterin and others, 2022), the larger targets of EIP-7691
(2024), the schedule of EIP-7892 (2025) and the reserve price of EIP-7918 (2025). The base fee is exponential in the
*excess*, the blob gas used so far beyond the target:

>>> blob_base_fee(excess=100_000_000, fork=FORKS["bpo2"])
5209
>>> next_excess(10_000_000, used=6 * GAS_PER_BLOB, base_fee=10**9, fork=FORKS["cancun"])
10393216
"""

from dataclasses import dataclass
from functools import lru_cache

from blockspace.network.transaction import GAS_PER_BLOB

MINIMUM_BLOB_BASE_FEE = 1
USABLE_BYTES_PER_BLOB = 4_096 * 31
"""Bytes of a blob that can hold data: 31 of each of its field elements."""

EXECUTION_GAS_PER_BLOB = 2**13
"""Gas for which a blob is to cost at least as much as execution does (EIP-7918)."""


@dataclass(frozen=True)
class BlobFork:
    """Parameters of the blob market since a fork.

    Attributes
    ----------
    since : str
        Date on Ethereum's main network, UTC.
    target, maximum
        Blobs of a block.
    update_fraction
        Excess over which the base fee rises by a factor of e.
    reserve_price
        Whether the base fee of blobs is tied to that of execution (EIP-7918).
    """

    since: str
    target: int
    maximum: int
    update_fraction: int
    reserve_price: bool = False


FORKS = {
    "cancun": BlobFork("2024-03-13", 3, 6, 3_338_477),
    "prague": BlobFork("2025-05-07", 6, 9, 5_007_716),
    "osaka": BlobFork("2025-12-03", 6, 9, 5_007_716, reserve_price=True),
    "bpo1": BlobFork("2025-12-09", 10, 15, 8_346_193, reserve_price=True),
    "bpo2": BlobFork("2026-01-07", 14, 21, 11_684_671, reserve_price=True),
}
"""Forks by name (EIP-7600, EIP-7607; "bpo" is a fork of blob parameters only)."""


def blob_limit(name: str) -> int:
    """Most blobs of a block since the fork of this name; 0 for ``"none"``."""
    return FORKS[name].maximum if name in FORKS else 0


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """``factor * e ** (numerator / denominator)`` by its Taylor series in integers (EIP-4844).

    Examples
    --------
    >>> fake_exponential(1, 2_314_058, 3_338_477)
    2
    """
    output, term, divisor = 0, factor * denominator, 0
    while term > 0:
        output += term
        divisor += denominator
        term = term * numerator // divisor
    return output // denominator


@lru_cache(maxsize=256)
def blob_base_fee(excess: int, fork: BlobFork) -> int:
    """Base fee in wei per unit of blob gas at this excess."""
    return fake_exponential(MINIMUM_BLOB_BASE_FEE, excess, fork.update_fraction)


def next_excess(excess: int, used: int, base_fee: int, fork: BlobFork) -> int:
    """Excess after a block.

    Parameters
    ----------
    excess
        Before the block, in blob gas.
    used
        Blob gas that the block used, up to the maximum.
    base_fee
        Base fee of execution in the block, wei per gas.
    fork
        Parameters.

    Returns
    -------
    int
        Blob gas. With a reserve price, and a blob that costs less than execution gas of a sixteenth of its size, the
        excess does not fall.

    Raises
    ------
    ValueError
        If the use is negative or above the maximum.
    """
    most = fork.maximum * GAS_PER_BLOB
    if not 0 <= used <= most:
        raise ValueError(f"used was {used}; it must be from 0 to the most that a block can hold, {most}")
    target = fork.target * GAS_PER_BLOB
    if excess + used < target:
        return 0
    if fork.reserve_price and EXECUTION_GAS_PER_BLOB * base_fee > GAS_PER_BLOB * blob_base_fee(excess, fork):
        return excess + used * (fork.maximum - fork.target) // fork.maximum
    return excess + used - target


def excess_for(fee: int, fork: BlobFork) -> int:
    """Least excess at which the base fee is at least ``fee`` wei per unit of blob gas."""
    low, high = 0, 1
    while blob_base_fee(high, fork) < fee:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if blob_base_fee(middle, fork) >= fee else (middle + 1, high)
    return low
