"""Measures of how many parties a network really depends on, and who can keep up with its blocks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def parties_needed(stake: ArrayLike, share: float) -> int:
    """Least number of parties that together hold more than a share of everything; one more than all if none do.

    Where validators vote on blocks, those who hold more than a third can halt the chain (nothing becomes final without
    them), those with more than a half can censor (the chain that they build on is the one that counts), and those with
    more than two thirds can make final whatever they like (Buterin and Griffith, 2017).

    Parameters
    ----------
    stake
        Holdings of each party, 0 or more, in any unit, shape (parties,).
    share
        From 0 to 1.

    Examples
    --------
    >>> [parties_needed([40, 30, 20, 10], share) for share in (1 / 3, 1 / 2, 2 / 3)]
    [1, 2, 2]
    """
    shares = _shares(stake)
    # Shares that add up to exactly a third or a half do not exceed it, whatever the rounding of the sum says.
    return 1 + int(np.searchsorted(np.cumsum(shares[::-1]), share + 1e-12, side="right"))


def _shares(stake: ArrayLike) -> NDArray[np.float64]:
    """Shares of the whole, from the smallest to the largest."""
    holdings = np.sort(np.asarray(stake, np.float64))
    if holdings.size == 0 or holdings[0] < 0 or holdings[-1] == 0:
        raise ValueError(f"stake was {holdings}; it must be 0 or more for all parties and above 0 for some")
    return np.asarray(holdings / holdings.sum())


def decentralisation_measures(stake: ArrayLike) -> dict[str, float]:
    """Concentration of stakes, block shares or any other holdings.

    Parameters
    ----------
    stake
        Holdings of each party, 0 or more, in any unit, shape (parties,).

    Returns
    -------
    dict
        ``hhi``, the sum of the squared shares, from 1/n to 1 (Herfindahl, 1950; competition authorities state
        it in squared per cent, 10,000 times as much); ``effective_number``, its inverse; ``gini``, 0 for
        equality (Gini, 1912); ``nakamoto_third`` and ``nakamoto_half``, the least number of parties that
        together hold more than a third and more than a half (Srinivasan and Lee, 2017).

    Raises
    ------
    ValueError
        If a holding is negative or nobody holds anything.
    """
    shares = _shares(stake)
    parties = shares.size
    hhi = float(shares @ shares)
    return {
        "hhi": hhi,
        "effective_number": 1 / hhi,
        "gini": float((2 * np.arange(1, parties + 1) - parties - 1) @ shares / parties),
        "nakamoto_third": parties_needed(shares, 1 / 3),
        "nakamoto_half": parties_needed(shares, 1 / 2),
    }


def keeps_up(
    download_mbps: ArrayLike, size_bytes: float, gas: float, deadline_s: float, verification_ns_per_gas: float
) -> NDArray[np.bool_]:
    """Whether each party can load a block and verify it by a deadline, once somebody offers it.

    Parameters
    ----------
    download_mbps
        Megabits per second that each party receives, shape (parties,).
    size_bytes, gas
        Of the block.
    deadline_s
        Seconds that there are.
    verification_ns_per_gas
        Nanoseconds that a party takes to verify a unit of gas.

    Examples
    --------
    >>> keeps_up([25.0, 1_000.0], size_bytes=15e6, gas=0, deadline_s=4.0, verification_ns_per_gas=5.0).tolist()
    [False, True]
    """
    loading_s = 8e-6 * size_bytes / np.asarray(download_mbps, np.float64)
    return np.asarray(loading_s + 1e-9 * verification_ns_per_gas * gas <= deadline_s)


def share_that_keeps_up(
    stake: ArrayLike,
    download_mbps: ArrayLike,
    size_bytes: float,
    gas: float,
    deadline_s: float,
    verification_ns_per_gas: float,
) -> float:
    """Share of all stake whose holders can load and verify a block by a deadline; see :func:`keeps_up`."""
    able = keeps_up(download_mbps, size_bytes, gas, deadline_s, verification_ns_per_gas)
    held = np.asarray(stake, np.float64)
    return float(held[able].sum() / held.sum())
