"""Providers of a fast bridge: they pay out on the other chain what has been sent, long before it arrives.

What has been sent is final on its chain, but the slow bridge delivers it only later; until then the provider's capital
is locked. It asks for what that capital must earn meanwhile, going by how long it has taken lately. The cheapest
provider that has the capital wins and is paid what the second cheapest asks (Vickrey, 1961).
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.network.draws import draw_normal, stream_key
from blockspace.network.rollups.settings import BridgeSettings

YEAR_S = 365.0 * 86_400.0

MEMORY = 0.05
"""Weight of the newest delay in what delays are expected to be; the first ones weigh the same."""

BRIDGE_PROVIDER = np.dtype(
    [
        ("accounts", "u4", (2,)),  # on the chain where withdrawals arrive, and where deposits do
        ("cost_per_year", "f8"),  # of locked capital, a share
        ("reserved", "i8", (2,)),  # micro-dollars that it has promised and not yet paid
        ("transfers", "i8"),
        ("earned", "i8"),  # micro-dollars
    ],
    align=True,
)


def new_bridge_providers(settings: BridgeSettings, accounts: list[tuple[int, int]], seed: int) -> npt.NDArray[Any]:
    """Providers with costs of capital of their own, drawn one by one: rows of type ``BRIDGE_PROVIDER``."""
    providers = np.zeros(len(accounts), BRIDGE_PROVIDER)
    key = np.uint64(stream_key(seed, "bridge_providers"))
    for number, both in enumerate(accounts):
        providers["accounts"][number] = both
        cost = math.exp(settings.capital_cost_spread * draw_normal(key, number, 0))
        providers["cost_per_year"][number] = settings.capital_cost_per_year * cost
    return providers


def choose_provider(
    providers: npt.NDArray[Any], free_micro_usd: list[int], amount: int, lock_s: float
) -> tuple[int, int]:
    """Find the provider that pays out a transfer for the least.

    Parameters
    ----------
    providers
        Rows of type ``BRIDGE_PROVIDER``.
    free_micro_usd
        What each has where the cash is to arrive and has not promised.
    amount
        Micro-dollars of the transfer.
    lock_s
        Seconds for which its capital will be locked, as far as is known.

    Returns
    -------
    provider : int
        Number of the winner; -1 if none has the capital.
    fee : int
        Micro-dollars that it gets: what the second cheapest asks, or what it asks itself if it is alone.
    """
    asks = sorted(
        (math.ceil(amount * float(provider["cost_per_year"]) * lock_s / YEAR_S), number)
        for number, provider in enumerate(providers)
        if free_micro_usd[number] >= amount
    )
    if not asks:
        return -1, 0
    return asks[0][1], asks[min(1, len(asks) - 1)][0]


def expect(mean: float, count: int, observed: float) -> float:
    """Expectation after one more observation, the ``count``-th."""
    return mean + max(MEMORY, 1.0 / count) * (observed - mean)
