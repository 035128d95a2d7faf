"""Blocks of a rollup that are undone: its sequencer has lost them, or their batch breaks the rules.

What users saw in a block of the rollup was the word of its sequencer. Only what has been posted can be worked out by
everybody. If the sequencer crashes, it goes on from the last block of which it had handed in the data; if it hands in a
batch that breaks the rules, every node leaves that batch out, with all blocks that build on it (Optimism, 2024). What
accounts own is then what it was after the last block that stands, fees included, and the trades since are on the tape
once more, the other way round. Who had orders resting sends them again before anything else happens; nobody trades
again what was undone, unless he decides to.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.recording.rows import ROLES
from blockspace.markets.ledger import MICRO_DOLLARS, WEI_PER_GWEI
from blockspace.markets.trade_log import TRADES, append_reversals
from blockspace.markets.undo_log import UndoLog
from blockspace.network.chain import NS
from blockspace.network.faults import intervals
from blockspace.network.rollups.progress import BATCHES
from blockspace.network.state import Stateful

if TYPE_CHECKING:
    from blockspace.experiments.settlement import Settlement

SINCE_START = 0
"""Time of the last block that stands if none does: all blocks come after it."""

LOSS = np.dtype(
    [
        ("time", "i8"),  # ns: when the blocks were undone
        ("since", "i8"),  # ns: of the last block that stands
        ("invalid", "u1"),  # 1 if their batch broke the rules; 0 if the sequencer lost them
        ("blocks", "i8"),  # that had changed something
        ("trades", "i8"),
        ("value", "i8"),  # micro-dollars that had changed hands in them
        ("gains", "f8", (len(ROLES),)),  # dollars that each role is richer by, at the marks and ether price of then
    ]
)


class LostBlocks(Stateful):
    """What a rollup needs so that blocks of it can be undone, and what was.

    Parameters
    ----------
    settlement
        Of the rollup.

    Attributes
    ----------
    losses : numpy.ndarray
        One row of type ``LOSS`` for each time that blocks were undone.
    """

    CONSTANTS: ClassVar = ("settlement", "world", "crashes")

    def __init__(self, settlement: "Settlement") -> None:
        self.settlement = settlement
        self.world = settlement.world
        self.crashes = intervals(self.world.scenario.faults, "crash")
        self.log = UndoLog(self.world.venues)
        self.losses: npt.NDArray[Any] = np.zeros(0, LOSS)
        self._crashes_over = 0
        # What of the tape is undone, oldest first: number of the first trade, number of the first one behind its
        # reversals, and time of the last block that stood.
        self._over: list[list[int]] = []

    def open_block(self, time_ns: int) -> None:
        """Go on from what is left, if the sequencer has crashed; before the first block, begin to keep account."""
        if not self.log.has_begun:
            self.log.begin()
        self.log.admit()
        self.crash(time_ns)

    def close_block(self, time_ns: int) -> None:
        """Keep what a block has changed, and forget what can no longer be undone."""
        self.log.note(time_ns)
        _, until = self._end_of(self.settlement.batcher.oldest)
        self.log.forget(until)

    def crash(self, time_ns: int) -> None:
        """Undo the blocks of which no data have been handed in, if the sequencer has crashed by now."""
        while self._crashes_over < len(self.crashes) and self.crashes[self._crashes_over][0] <= time_ns:
            start, _ = self.crashes[self._crashes_over]
            self._crashes_over += 1
            last, since = self._end_of(int(self.settlement.progresses[0]["batch_count"]))
            self._undo(last, since, start, invalid=False)

    def void(self, number: int, time_ns: int) -> None:
        """Undo the blocks of a batch that breaks the rules, and those after it; later batches go the same way."""
        progress = self.settlement.progresses[0]
        last, since = self._end_of(number)
        for later in range(number, int(progress["batch_count"])):
            batch = progress["batches"][later & (BATCHES - 1)]
            batch["void"] = 1
            batch["first"], batch["last"], batch["closed"] = last + 1, last, since
            for name in ("transactions", "gas", "charged", "value", "moments"):
                batch[name] = 0
        self._undo(last, since, time_ns, invalid=True)

    def _end_of(self, batches: int) -> tuple[int, int]:
        """Number and time of the last block that is in the first so many batches."""
        if batches == 0:
            return -1, SINCE_START
        batch = self.settlement.progresses[0]["batches"][(batches - 1) & (BATCHES - 1)]
        return int(batch["last"]), int(batch["closed"])

    def _undo(self, last: int, since: int, time_ns: int, invalid: bool) -> None:
        """Undo all blocks after an entry and its time."""
        world, progress = self.world, self.settlement.progresses[0]
        progress["entry_count"] = last + 1
        if self.log.has_begun:
            self.log.admit()
        before = self._accounts().copy()
        blocks = self.log.undo(since)
        gains = self._gains_usd(before, time_ns)
        trades, value = self._reverse_trades(since)
        for bridge in world.model.bridges_of(world):
            bridge.undo(since, time_ns)
        if world.forced_inclusion is not None:
            world.forced_inclusion.undo(since)
        roles = world.records.meters[0]["roles"][: len(gains)]
        row = np.zeros(1, LOSS)
        row["time"], row["since"], row["invalid"] = time_ns, since, invalid
        row["blocks"], row["trades"], row["value"] = blocks, trades, value
        row["gains"] = np.bincount(roles, gains, len(ROLES))
        self.losses = np.concatenate([self.losses, row])

    def _accounts(self) -> npt.NDArray[Any]:
        ledger = self.world.venues[0]["ledger"]
        accounts: npt.NDArray[Any] = ledger["accounts"][: int(ledger["count"])]
        return accounts

    def _gains_usd(self, before: npt.NDArray[Any], time_ns: int) -> npt.NDArray[np.float64]:
        """What each account is richer by in dollars, at the marks."""
        now, venue = self._accounts(), self.world.venues[0]
        listed = int(venue["count"])
        lots = (now["position"] - before["position"])[:, :listed]
        cash: npt.NDArray[np.float64] = now["cash"] - before["cash"] + lots @ venue["instruments"]["mark"][:listed]
        gwei = now["gwei"] - before["gwei"] + (now["wei"] - before["wei"]) / WEI_PER_GWEI
        return cash / MICRO_DOLLARS + gwei / WEI_PER_GWEI * self.world.ether_usd(time_ns)

    def _reverse_trades(self, since: int) -> tuple[int, int]:
        """Put the trades after a time that still stand on the tape the other way round; returns number and value."""
        log, meter = self.world.logs[0], self.world.records.meters[0]
        values = np.array([int(one.tick_lot_value) for one in self.world.scenario.instruments])
        oldest = max(int(log["count"]) - TRADES // 2, 0)
        end, number, value = int(log["count"]), 0, 0
        while True:
            over = self._over[-1][1] if self._over else 0
            times = log["trades"]["time"][np.arange(max(over, oldest), end) & (TRADES - 1)]
            first = max(over, oldest) + int(np.searchsorted(times, since, side="right"))
            if first == oldest > over:
                raise RuntimeError(
                    f"more than {TRADES // 2} trades would have to be undone: let batches be posted sooner"
                )
            value += int(append_reversals(self.world.logs[0], np.int64(first), np.int64(end), values))
            number, end = number + end - first, first
            if first > over or not self._over:
                break
            end, _, stood = self._over.pop()
            if stood <= since:
                break
        self._over.append([end, int(log["count"]), since])
        meter["trades_seen"] = log["count"]  # nobody chose to make them: they count for nothing but the tape
        return number, value

    def table(self) -> pd.DataFrame:
        """One row for each time that blocks were undone, with what each role is richer by, in dollars."""
        rows = self.losses
        frame = pd.DataFrame({"time_s": rows["time"] / NS, "since_s": rows["since"] / NS})
        frame["cause"] = np.where(rows["invalid"] > 0, "invalid_batch", "crash")
        frame["blocks"], frame["trades"], frame["value_usd"] = rows["blocks"], rows["trades"], rows["value"] * 1e-6
        present = np.unique(self.world.records.meters[0]["roles"][: int(self.world.venues[0]["ledger"]["count"])])
        for role in present.tolist():
            frame[f"{ROLES[role]}_gain_usd"] = rows["gains"][:, role]
        return frame


def summarise_losses(losses: pd.DataFrame, warm_up_s: float) -> dict[str, float]:
    """Measures of the blocks that were undone behind the warm-up.

    ``undone_moved_usd`` is what those roles gained by it that gained: so much changed owner. What each role gained has
    a measure of its own, such as ``maker_undone_gain_usd``.
    """
    rows = losses[losses["time_s"] > warm_up_s]
    gains = rows.filter(regex="_gain_usd$")
    by_role = {name.replace("_gain", "_undone_gain"): float(total) for name, total in gains.sum().items()}
    return {
        "undone_blocks": float(rows["blocks"].sum()),
        "undone_trades": float(rows["trades"].sum()),
        "undone_value_usd": float(rows["value_usd"].sum()),
        "undone_moved_usd": float(gains.clip(lower=0.0).to_numpy().sum()),
        **by_role,
    }
