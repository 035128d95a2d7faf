"""Forced inclusion: how whoever a rollup's sequencer keeps out gets in by way of the parent.

A transaction that is in a block of the parent stands in a queue of the rollup's. A sequencer that takes part takes it
from there as it takes deposits, some seconds after it has seen it; one that keeps its sender out leaves it there. But
``rollup.force_after_s`` after the parent's block the rules of the rollup put it at the top of the next block, whoever
makes that. It pays the base fee there and no tip, from a wallet of its own, and is an order like any other: without its
margin it fails. Only as many as fit into a block come in at once, first come first served. While the rollup makes no
blocks the queue waits.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from blockspace.agents.insisting_users import (
    ETHER,
    WEALTH_USD,
    InsistingUsers,
    force_order,
    gap_ns,
    paid_wei,
    send_order,
    side_of,
)
from blockspace.markets.trade_log import BY_ORDER, trades_since
from blockspace.network.chain import NS
from blockspace.network.draws import stream_key
from blockspace.network.faults import intervals
from blockspace.network.rollups.wishes import WISH, WISHES
from blockspace.network.state import Stateful
from blockspace.network.transaction import FAILED, FORCE, LEFT_OUT, UNFUNDED

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario
    from blockspace.experiments.settlement import Settlement
    from blockspace.experiments.world import World

MOST_LOTS = 10**8
"""Largest order, in lots."""


def require_insisting_fits(scenario: "Scenario") -> None:
    """Refuse users who insist where there is no rollup, or on what cannot be.

    Raises
    ------
    ValueError
        With one sentence: the setting, its value and what it may be.
    """
    insisting, regions = scenario.rollup.insisting, scenario.topology.regions
    if not insisting.users_per_h:
        return
    if scenario.rollup.kind == "none":
        raise ValueError(
            f"rollup.insisting.users_per_h is {insisting.users_per_h:g}; it must be 0 where rollup.kind is 'none'"
        )
    if insisting.region and insisting.region not in regions:
        raise ValueError(
            f"rollup.insisting.region is {insisting.region!r}; it must be empty or one of topology.regions, "
            f"{', '.join(regions)}"
        )
    first = scenario.instruments[0]
    if not 1 <= round(insisting.size / first.lot_size) <= MOST_LOTS:
        raise ValueError(
            f"rollup.insisting.size is {insisting.size:g}; it must be a lot of {first.name} at least, "
            f"{first.lot_size:g}, and {MOST_LOTS} lots at most"
        )


class ForcedInclusion(Stateful):
    """What ties those who insist on trading on a rollup to its parent.

    Parameters
    ----------
    model
        The market.
    settlement
        Of the rollup.
    seed
        Seed of the run.

    Attributes
    ----------
    rows : numpy.ndarray
        The wishes, a ring of type ``WISH``.
    """

    CONSTANTS: ClassVar = (
        "rollup",
        "parent",
        "rules",
        "settings",
        "access",
        "users",
        "places",
        "lots",
        "gas",
        "key",
        "reorganisations",
    )

    def __init__(self, model: "Market", settlement: "Settlement", seed: int) -> None:
        rollup, parent = settlement.world, settlement.parent
        self.rollup, self.parent = rollup, parent
        self.rules = settlement.settings
        self.settings = self.rules.insisting
        self.key = np.uint64(stream_key(seed, "insisting_users"))
        self.access = parent.access_number(settlement.access_point(rollup, parent))  # of the sequencer on the parent
        self.lots = round(self.settings.size / rollup.lot_size(0))
        self.gas = rollup.scenario.charged_gas.place
        self.account = rollup.open_agent_account("insisting_user", WEALTH_USD, ETHER)
        regions = [self.settings.region] if self.settings.region else rollup.scenario.topology.regions
        self.users = [
            InsistingUsers(model, parent, self.rules, settlement.progresses, _access_point(parent, region), self)
            for region in regions
        ]
        self.places = [rollup.access_number(f"access/{region}") for region in regions]
        self.rows = np.zeros(WISHES, WISH)
        self.count = 0
        self.next_ns = gap_ns(self.key, 0, self.settings.users_per_h)
        self._open: list[int] = []  # wishes that are in no block of the rollup, oldest first
        self._queue: list[int] = []  # of which in a block of the parent, in the order of that
        self.reorganisations = intervals(parent.scenario.faults, "reorganisation")
        self._undone = 0  # of them so far
        rollup.forced_inclusion = self
        for world in (rollup, parent):
            world.above.append(self)

    def row(self, number: int) -> Any:
        """Row of a wish, of type ``WISH``."""
        return self.rows[number & (WISHES - 1)]

    # Before a block.

    def wish_until(self, now: int) -> None:
        """Let users who have a wish by a time in ns send it to the sequencer, on what they saw when they had it.

        Raises
        ------
        RuntimeError
            If so many wishes are open that there is no place for another one.
        """
        while self.next_ns <= now:
            number, asked = self.count, self.next_ns
            row = self.row(number)
            if number >= WISHES and number - WISHES in self._open:
                raise RuntimeError(f"more than {WISHES} users insist at once: let there be fewer of them")
            self.rows[number & (WISHES - 1)] = np.zeros((), WISH)
            place = number % len(self.places)
            row["asked"], row["side"] = asked, side_of(self.key, number)
            row["access"] = self.places[place]
            row["external_price"] = self.rollup.path.price(asked * 1e-9)
            row["sequence"] = send_order(
                self.rollup.chain.pools,
                self.rollup.feeds,
                self.account,
                self.places[place],
                asked,
                asked + int(self.settings.patience_s * NS),
                self.gas,
                self.rollup.scenario.gas.bytes_per_transaction,
                number,
                int(row["side"]),
                self.lots,
            )
            self.users[place].waiting.append(number)
            self._open.append(number)
            self.count += 1
            self.next_ns = asked + gap_ns(self.key, self.count, self.settings.users_per_h)

    def open_block(self, time: int) -> int:
        """Send what is wished for, and put at the top of the rollup's block what is due; returns when to look again."""
        self.wish_until(time)
        if self._queue:
            self._put_at_top(time)
        return time if self._open else self.next_ns

    def _put_at_top(self, time: int) -> None:
        chain, size = self.rollup.chain, self.rollup.scenario.gas.bytes_per_transaction
        queue = np.array(self._queue)
        rows = {name: self.rows[name][queue & (WISHES - 1)] for name in ("handed_in", "on_parent", "noticed", "access")}
        by_rule = rows["on_parent"] + int(self.rules.force_after_s * NS) <= time
        in_time = rows["noticed"] + int(self.rules.bridge.deposit_s * NS) <= time
        due = (rows["noticed"] <= time) & (by_rule | (in_time & ~chain.kept_out()[rows["access"]]))
        handed_in = rows["handed_in"] > 0
        # What a block that did not count has held is still at the top of the next one.
        room = min(chain.settings.gas_limit // self.gas, chain.settings.byte_limit // size) - int(handed_in.sum())
        for number in queue[due & ~handed_in][: max(room, 0)].tolist():
            row = self.row(number)
            sequence = force_order(
                chain.pools, self.account, row["access"], row["asked"], self.gas, size, number, row["side"], self.lots
            )
            if sequence:
                row["sequence"], row["handed_in"] = sequence, time

    # What the blocks of both chains say.

    def take_in(self, world: "World") -> None:
        """Take in what a block of the rollup or of the parent says about wishes."""
        if world is self.parent:
            self._take_in_parent()
        else:
            self._take_in_rollup()

    def _take_in_parent(self) -> None:
        views = self.parent.feeds[0]["views"]
        view = views[(int(self.parent.feeds["count"][0]) - 1) & (len(views) - 1)]
        time = int(view["time"])
        self._reorganise(time)
        accounts = [user.account for user in self.users]
        inbox = self.parent.inboxes[0]
        for message in inbox["messages"][: int(inbox["count"])]:
            if int(message["kind"]) != FORCE or int(message["sender"]) not in accounts:
                continue
            number = int(message["number"])
            row = self.row(number)
            cost_gwei = int(message["gas_used"]) * int(message["price"]) // 10**9
            row["cost_gwei"] += cost_gwei
            row["parent_usd"] += cost_gwei * 1e-9 * self.parent.ether_usd(time)
            row["on_parent"], row["noticed"] = time, int(view["visible"][self.access])
            if number in self._open:
                self._queue.append(number)

    def _reorganise(self, time: int) -> None:
        """Take from the queue what a reorganisation of the parent has thrown away; who sent it will send it anew."""
        while self._undone < len(self.reorganisations) and self.reorganisations[self._undone][0] <= time:
            start, end = self.reorganisations[self._undone]
            self._undone += 1
            for number in tuple(self._queue):
                row = self.row(number)
                if not row["handed_in"] and 2 * start - end < int(row["on_parent"]) <= start:
                    row["on_parent"], row["noticed"], row["expires"] = 0, 0, time
                    self._queue.remove(number)
                    self.users[number % len(self.users)].waiting.append(number)

    def _take_in_rollup(self) -> None:
        block, pool = self.rollup.chain.blocks[0], self.rollup.chain.pools[0]
        order = block["order"][: int(block["count"])]
        mine = order[pool["transactions"]["sender"][order] == self.account]
        if not len(mine):
            return
        views, count = self.rollup.feeds[0]["views"], int(self.rollup.feeds["count"][0])
        view, before = (views[(count - back) & (len(views) - 1)] for back in (1, 2))
        trades = trades_since(self.rollup.logs[0], int(before["trades"]))
        trades = trades[(trades["taker"] == self.account) & (trades["cause"] == BY_ORDER)]
        numbers = {int(self.row(number)["sequence"]): number for number in self._open}
        for slot in mine.tolist():
            transaction = pool["transactions"][slot]
            number = numbers[int(transaction["sequence"])]
            row = self.row(number)
            status = int(transaction["status"])
            if status in (LEFT_OUT, UNFUNDED) and not row["handed_in"]:
                continue  # as if it had never been sent
            row["included"], row["seen"] = int(view["time"]), int(view["visible"][int(row["access"])])
            row["forced"] = row["handed_in"] > 0
            row["failed"], row["left_out"] = status == FAILED, status in (LEFT_OUT, UNFUNDED)
            wei = paid_wei(self.rollup.chain.pools, self.rollup.chain.blocks, slot, int(before["base_fee"]))
            row["rollup_usd"] = wei * 1e-18 * self.rollup.ether_usd(int(view["time"]))
            # Orders that wait for a batch are not told apart in it.
            lots = max(int(transaction["filled"]), 0) if not self.rollup.venues[0]["batching"] else 0
            row["lots"] = lots
            if lots:
                row["price"], trades = self._mean_price(trades, lots)
            self._open.remove(number)
            if number in self._queue:
                self._queue.remove(number)

    def _mean_price(self, trades: Any, lots: int) -> tuple[float, Any]:
        """Mean price in dollars of the first trades, which come to some lots, and the trades after them."""
        sizes = trades["size"].astype(np.int64)
        end = int(np.searchsorted(np.cumsum(sizes), lots)) + 1
        value = int((sizes[:end] * trades["price"][:end]).sum())
        return value / lots * self.rollup.tick_usd(0), trades[end:]

    def undo(self, since: int) -> None:
        """Take in that the blocks of the rollup after a time in ns are undone.

        What came by way of the parent stands in the queue once more; who had got in by the ordinary way has to insist.
        """
        for number in range(max(self.count - WISHES, 0), self.count):
            row = self.row(number)
            if int(row["included"]) <= since or row["left_out"]:
                continue
            for name in ("included", "seen", "handed_in", "forced", "failed", "lots", "price", "rollup_usd"):
                row[name] = 0
            self._open.append(number)
            if row["on_parent"]:
                self._queue.append(number)
            elif number not in self.users[number % len(self.users)].waiting:
                self.users[number % len(self.users)].waiting.append(number)
        self._open.sort()
        self._queue.sort(key=lambda number: int(self.row(number)["on_parent"]))

    # What happened.

    def wishes(self) -> pd.DataFrame:
        """One row per wish that is remembered; what has not happened is not a number.

        Size and price are of what was traded in the wish's block; where orders wait for a batch it is not told apart.
        """
        numbers = np.arange(max(self.count - WISHES, 0), self.count)
        rows = self.rows[numbers & (WISHES - 1)]
        points = np.array([name.removeprefix("access/") for name in self.rollup.chain.access_points])
        frame = pd.DataFrame({"wish": numbers, "region": points[rows["access"]]})
        frame["side"] = np.where(rows["side"] > 0, "buy", "sell")
        for name in ("asked", "sent", "on_parent", "included"):
            frame[f"{name}_s"] = np.where(rows[name] > 0, rows[name] * 1e-9, np.nan)
        frame.loc[rows["left_out"] > 0, "included_s"] = np.nan
        frame["tries"] = rows["tries"]
        for name in ("forced", "failed", "left_out"):
            frame[name] = rows[name] > 0
        frame["size"] = rows["lots"] * self.rollup.lot_size(0)
        frame["price_usd"] = np.where(rows["lots"] > 0, rows["price"], np.nan)
        frame["external_price_usd"] = rows["external_price"]
        frame["parent_cost_ether"] = rows["cost_gwei"] * 1e-9
        frame["parent_cost_usd"] = rows["parent_usd"]
        frame["rollup_cost_usd"] = rows["rollup_usd"]
        return frame


def _access_point(world: "World", region: str) -> str:
    """Where those of a region come in on a chain: there, or at its first access point if it has none there."""
    points = world.chain.access_points
    return f"access/{region}" if f"access/{region}" in points else points[0]
