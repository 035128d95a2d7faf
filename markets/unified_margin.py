"""Margin across chains: what positions of one owner on several chains need together, and what each chain may count.

A position worth ``v`` needs a share of its value, its *rate*; positions on several chains together need

    sqrt(w' C w) + sum over legs of z sigma sqrt(age) |v|,    w = rate times signed value of each leg,

and never more than each by itself. ``C`` is the correlation of what underlies them: 1 where it is the same, so that
what is net counts. The second part is a *buffer*: a chain knows the others as they were when a message left them, and
for as long as it is since then, their equity may have moved. How much netting saves follows Duffie and Zhu (2011).

Amounts are in micro-dollars; arrays are (owners, chains) unless they say otherwise.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from blockspace.network.settings import Settings

DAY_NS = 86_400 * 10**9

KEPT_STATES = 128
"""States of a chain that can still be spoken of in a message."""


class UnifiedMarginSettings(Settings):
    """What links the accounts that one owner has on several chains."""

    mode: Literal["isolated", "pooled", "unified"] = Field(
        "isolated",
        description="whether each chain stands by itself, collateral is moved to where it is short, or each chain "
        "counts what is on the others",
    )
    message_interval_s: float = Field(10.0, gt=0, le=1e5, description="seconds between two messages to a chain")
    message_delay_s: float = Field(
        12.0, ge=0, le=1e6, description="seconds until the state of a chain can be shown on another one"
    )
    transfer_delay_s: float = Field(
        60.0, ge=0, le=1e7, description="seconds that cash takes from one chain to another (pooled, unified)"
    )
    patience_s: float = Field(30.0, gt=0, le=1e5, description="seconds after which a message that waits lapses")
    fixed_gas: int = Field(100_000, ge=21_000, le=16_777_216, description="gas of a message, without its accounts")
    account_gas: int = Field(5_000, ge=0, le=1_000_000, description="gas of each account of a message")
    correlation: float = Field(
        1.0, ge=0, le=1, description="of what underlies positions on different chains; 1 if it is the same"
    )
    risk_multiple: float = Field(3.0, ge=0, le=20, description="standard deviations that a buffer covers")
    volatility_per_day: float = Field(
        0.04, ge=0, le=5, description="standard deviation of the log price over a day, for the buffers"
    )
    top_up_at: float = Field(
        1.5, ge=1, le=100, description="multiple of the maintenance requirement below which a chain is short (pooled)"
    )
    grace_s: float = Field(
        300.0, ge=0, le=1e7, description="seconds after which what is owed from elsewhere is a bad debt (unified)"
    )

    @model_validator(mode="after")
    def _states_are_kept(self) -> "UnifiedMarginSettings":
        longest = (KEPT_STATES - 8) * self.message_interval_s - self.patience_s
        if self.message_delay_s > longest:
            raise ValueError(
                f"message_delay_s is {self.message_delay_s:g}; with messages every {self.message_interval_s:g} seconds "
                f"that wait for up to {self.patience_s:g} it may be at most {longest:g}"
            )
        return self

    def buffer_rate(self, age_ns: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Share of a leg's value that covers what the price does in a time."""
        days = np.maximum(np.asarray(age_ns, dtype=float), 0.0) / DAY_NS
        return self.risk_multiple * self.volatility_per_day * np.sqrt(days)


def unified_requirement(
    values: npt.NDArray[Any], rates: npt.NDArray[Any], correlation: float, buffer_rates: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """What the positions of each owner need together.

    Parameters
    ----------
    values
        Signed values of the positions.
    rates
        Requirement per unit of value, by chain.
    correlation
        Of any two legs.
    buffer_rates
        Buffer per unit of value, by chain.
    """
    weighted = values * rates
    alone = np.abs(weighted).sum(axis=1)
    squares = (1.0 - correlation) * (weighted**2).sum(axis=1) + correlation * weighted.sum(axis=1) ** 2
    buffers = (np.abs(values) * buffer_rates).sum(axis=1)
    return np.minimum(np.sqrt(squares) + buffers, alone)


def credit_for(
    here: int, elsewhere: npt.NDArray[Any], values: npt.NDArray[Any], rates: npt.NDArray[Any], together: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """Credit of each owner on chain ``here``, rounded down.

    With it, the account has enough on this chain just when the owner's equity everywhere, as far as it is known here,
    is what all positions need together: ``E_i + credit_i >= R_i`` just if the sum of ``E_j`` is at least ``R_u``.

    Parameters
    ----------
    elsewhere
        Equity of each owner on the other chains.
    values, rates
        As in :func:`unified_requirement`.
    together
        What it returned.
    """
    return np.floor(elsewhere + np.abs(values[:, here]) * rates[here] - together).astype(np.int64)


def top_up(
    here: npt.NDArray[Any], needed_here: npt.NDArray[Any], there: npt.NDArray[Any], needed_there: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Cash of each owner whose move makes equity over requirement equal here and there; never what is needed here."""
    total = np.maximum(needed_here + needed_there, 1.0)
    equal = (here * needed_there - there * needed_here) / total
    return np.floor(np.clip(equal, 0.0, np.maximum(here - needed_here, 0.0))).astype(np.int64)
