"""Validators who stay or leave: what a larger chain asks of their lines and machines, and what it pays them.

From time to time every validator looks at what the chain carried since it looked last, and at what that brought and
cost. It earns its part of the tips, as far as blocks that are made on lines like its own are not missed, and of the
issuance, as far as its votes were in time. It pays for a machine that keeps up with the gas, and for a line that loads
the bytes and passes them on to all its peers, which at home has a price of its own and cannot be made faster. Who would
not earn its costs, or has less than the least stake, leaves; its delegators go to those who stay, in proportion to what
these have already.

Nobody is told who should stay: concentration is what comes out. Issuance and costs lie outside the market and move no
money on its ledger.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.network.decentralisation import decentralisation_measures
from blockspace.network.settings import Settings
from blockspace.network.state import Stateful

MONTH_S = 365.25 * 86_400 / 12
YEAR_S = 12 * MONTH_S

VALIDATOR = np.dtype(
    [
        ("account", "u4"),
        ("stake_share", "f8"),
        ("at_home", "u1"),
        ("active", "u1"),
        ("left_at", "i8"),  # ns; 0 for who has not
        ("profit_usd_per_month", "f8"),  # at the last review
    ],
    align=True,
)

REVIEW = np.dtype(
    [
        ("time", "i8"),  # ns
        ("active", "i8"),
        ("left", "i8"),  # at this review
        ("nakamoto_third", "i8"),
        ("nakamoto_half", "i8"),
        ("gini", "f8"),
        ("hhi", "f8"),
        ("home_stake_share", "f8"),
        ("votes_in_time_share", "f8"),  # of the stake's votes since the last review
    ],
    align=True,
)


COUNTS = np.dtype([("slots", "i8"), ("missed", "i8"), ("votes", "i8")], align=True)
"""What a validator has had so far: slots, those of them without a block that counts, and votes in time."""


class ValidatorSettings(Settings):
    """What validators earn and pay beside tips, and how often they ask themselves whether it is worth it."""

    review_s: float = Field(
        0.0, ge=0, le=365 * 86_400, description="seconds between two decisions whether to stay; 0 if all stay"
    )
    total_stake_ether: float = Field(34e6, gt=0, le=1e9, description="ether of all validators together")
    minimum_stake_ether: float = Field(32.0, ge=0, le=1e9, description="ether without which nobody can validate")
    issuance_per_year: float = Field(0.028, ge=0, le=10, description="new ether per year for each ether of stake")
    required_return_per_year: float = Field(
        0.0,
        ge=0,
        le=10,
        description="what a year's stake must earn beyond its costs for a validator to stay, as a share",
    )
    machine_usd_per_month: float = Field(60.0, ge=0, le=1e9, description="dollars a month of a small machine")
    usd_per_mgas_per_s_month: float = Field(
        2.0, ge=0, le=1e9, description="dollars a month to verify a million gas per second more"
    )
    home_line_usd_per_month: float = Field(60.0, ge=0, le=1e9, description="dollars a month of a line at home")
    usd_per_mbps_month: float = Field(
        1.0, ge=0, le=1e9, description="dollars a month of a megabit per second in a data centre"
    )


class Validators(Stateful):
    """All validators of a chain, and what they found out about it since they looked last.

    Parameters
    ----------
    settings
        Earnings and costs.
    rows
        One row of type ``VALIDATOR`` each, with account, stake and whether it is at home.
    peers
        Peers to whom each passes on a block; 1 where it hands it to a hub.

    Attributes
    ----------
    reviews : list of tuple
        What each review came to, as the fields of ``REVIEW``.
    """

    CONSTANTS: ClassVar = ("settings", "peers")

    def __init__(self, settings: ValidatorSettings, rows: npt.NDArray[Any], peers: int) -> None:
        self.settings = settings
        self.rows = rows
        self.peers = max(peers, 1)
        self.reviews: list[tuple[Any, ...]] = []
        self._reviewed_ns = 0
        self._gas = 0
        self._bytes = 0
        self._tips_gwei = 0
        self._counts = np.zeros(len(rows), COUNTS)
        self._voted = 0

    def note_block(self, gas: int, size_bytes: int) -> None:
        """Take in what a block carried."""
        self._gas += gas
        self._bytes += size_bytes

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time to look."""
        return now_ns - self._reviewed_ns >= self.settings.review_s * 1e9

    def review(self, now_ns: int, tips_gwei: int, ether_usd: float, counts: npt.NDArray[Any], voted: int) -> bool:
        """Let everybody decide whether to stay.

        Parameters
        ----------
        now_ns
            Time.
        tips_gwei
            What all validators together have earned on the chain since it began.
        ether_usd
            Dollars per ether.
        counts, voted
            Slots and votes of each validator since the chain began, rows of type ``COUNTS``, and how many votes there
            were to give.

        Returns
        -------
        bool
            Whether the stakes have changed.
        """
        rows, elapsed_s = self.rows, 1e-9 * (now_ns - self._reviewed_ns)
        in_time = np.ones(len(rows))
        if voted > self._voted:
            in_time = (counts["votes"] - self._counts["votes"]) / (voted - self._voted)
        kept = self._kept(counts)
        tips_usd = 1e-9 * (tips_gwei - self._tips_gwei) * ether_usd * MONTH_S / elapsed_s
        profit = self._monthly_profit(tips_usd * kept, ether_usd, in_time, elapsed_s)
        active = rows["active"] != 0
        rows["profit_usd_per_month"] = np.where(active, profit, 0.0)
        stake_ether = rows["stake_share"] * self.settings.total_stake_ether
        leaving = active & ((profit < 0.0) | (stake_ether < self.settings.minimum_stake_ether))
        if leaving[active].all():
            leaving[int(np.argmax(np.where(active, rows["stake_share"], -1.0)))] = False  # somebody makes the blocks
        self._delegate(leaving, now_ns)
        stake = rows["stake_share"]
        measures = decentralisation_measures(stake[rows["active"] != 0])
        self.reviews.append(
            (
                now_ns,
                int(rows["active"].sum()),
                int(leaving.sum()),
                measures["nakamoto_third"],
                measures["nakamoto_half"],
                measures["gini"],
                measures["hhi"],
                float(stake[rows["at_home"] != 0].sum()),
                float(stake @ in_time),
            )
        )
        self._reviewed_ns, self._gas, self._bytes = now_ns, 0, 0
        self._tips_gwei, self._counts, self._voted = tips_gwei, counts.copy(), voted
        return bool(leaving.any())

    def _kept(self, counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How much more or less often than all do those on lines like its own get a block in, for each validator."""
        at_home = self.rows["at_home"] != 0
        slots, missed = (counts[name] - self._counts[name] for name in ("slots", "missed"))
        kept = np.ones(len(counts))
        for line in (at_home, ~at_home):
            if slots[line].sum() > 0:
                kept[line] = 1.0 - missed[line].sum() / slots[line].sum()
        of_all = float(self.rows["stake_share"] @ kept)
        return kept / of_all if of_all > 0.0 else kept

    def _monthly_profit(
        self, tips_usd: npt.NDArray[np.float64], ether_usd: float, in_time: npt.NDArray[np.float64], elapsed_s: float
    ) -> npt.NDArray[np.float64]:
        """Dollars a month that each validator earns beyond its costs, at the rates since the last review."""
        settings, stake = self.settings, self.rows["stake_share"]
        stake_usd = stake * settings.total_stake_ether * ether_usd
        earned = stake * tips_usd + stake_usd * settings.issuance_per_year * in_time / 12.0
        machine = settings.machine_usd_per_month + settings.usd_per_mgas_per_s_month * 1e-6 * self._gas / elapsed_s
        mbps = 8e-6 * self._bytes / elapsed_s * (1 + self.peers)
        at_home = self.rows["at_home"] != 0
        line = np.where(at_home, settings.home_line_usd_per_month, settings.usd_per_mbps_month * mbps)
        return np.asarray(earned - machine - line - stake_usd * settings.required_return_per_year / 12.0)

    def _delegate(self, leaving: npt.NDArray[np.bool_], now_ns: int) -> None:
        """Give the stake of those who leave to those who stay, in proportion to what they have."""
        rows = self.rows
        rows["active"][leaving] = 0
        rows["left_at"][leaving] = now_ns
        rows["stake_share"][leaving] = 0.0
        if leaving.any():
            rows["stake_share"] /= rows["stake_share"].sum()

    def table(self) -> npt.NDArray[Any]:
        """All reviews so far, rows of type ``REVIEW``."""
        return np.array(self.reviews, REVIEW)


def new_validators(accounts: list[int], stake: npt.NDArray[np.float64], at_home: list[bool]) -> npt.NDArray[Any]:
    """Rows of type ``VALIDATOR``, one for each account; all are active."""
    rows = np.zeros(len(accounts), VALIDATOR)
    rows["account"] = accounts
    rows["stake_share"] = stake
    rows["at_home"] = at_home
    rows["active"] = 1
    return rows
