"""A rollup and the chains below it: who posts and claims, what becomes of it there, and what users pay for data."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from blockspace.agents.provers import new_provers
from blockspace.agents.rollup_operators import Batcher, Challenger, Claimer
from blockspace.experiments.lost_blocks import LostBlocks
from blockspace.markets.ledger import GENESIS, transfer_cash
from blockspace.network.blob_market import USABLE_BYTES_PER_BLOB
from blockspace.network.chain import NS
from blockspace.network.faults import LOSE_BLOCKS, intervals
from blockspace.network.rollups.progress import BATCHES, new_progress, note_block
from blockspace.network.state import Stateful
from blockspace.network.transaction import CHALLENGE, CLAIM, GAS_PER_BLOB, MILLIWEI, POST

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.world import World

MEMORY = 0.2
"""Weight of the newest batch in what a byte takes to post."""


class Settlement(Stateful):
    """What ties a rollup to the chain that keeps its data and to the parent that settles it.

    Parameters
    ----------
    model
        The market, whose chains are there already.
    world
        The rollup.
    seed
        Seed of the run.

    Attributes
    ----------
    progresses : numpy.ndarray
        How far the rollup has got: one record of type ``PROGRESS``.
    """

    CONSTANTS: ClassVar = (
        "world",
        "data",
        "parent",
        "settings",
        "batcher",
        "claimer",
        "challengers",
        "_reorganisations",
    )

    def __init__(self, model: "Market", world: "World", seed: int) -> None:
        settings = world.scenario.rollup
        chains = {one.scenario.name: one for one in model.worlds}
        self.world, self.settings = world, settings
        self.parent = chains[settings.parent] if settings.parent else model.worlds[1]
        self.data = chains[settings.data_chain] if settings.data_chain else self.parent
        self.progresses = new_progress()
        access = self.access_point(world, self.data)
        faults = world.scenario.faults
        self.batcher = Batcher(model, self.data, settings, self.progresses, access, faults)
        access = self.access_point(world, self.parent)
        accounts = [
            self.parent.open_agent_account("prover")
            for _ in range(settings.proofs.provers if settings.kind == "validity" else 0)
        ]
        self.provers = new_provers(settings.proofs, accounts, seed)
        self.claimer = Claimer(model, self.parent, settings, self.progresses, access, self.provers, faults)
        count = settings.challenges.challengers if settings.kind == "optimistic" else 0
        self.challengers = [Challenger(model, self.parent, settings, self.progresses, access) for _ in range(count)]
        self._challenger_accounts = [challenger.account for challenger in self.challengers]
        self._open_claim = 0  # oldest claim that is not final
        self._undone = {below.scenario.name: 0 for below in (self.data, self.parent)}  # reorganisations so far
        self._reorganisations = {
            below.scenario.name: intervals(below.scenario.faults, "reorganisation")
            for below in (self.data, self.parent)
        }
        self._coming: list[list[int]] = []  # prices of data that will count: since when, ns, and thousandths of a wei
        # What a byte that is paid for takes to post, at first as if every batch were full.
        posting = settings.posting
        self.gas_per_byte = posting.fixed_gas / posting.batch_bytes
        self.blob_gas_per_byte = 0.0
        if settings.data == "blobs":
            self.blob_gas_per_byte = GAS_PER_BLOB / USABLE_BYTES_PER_BLOB
        else:
            self.gas_per_byte += posting.gas_per_byte
        faults_here = {fault.kind for fault in faults}
        self.lost_blocks = LostBlocks(self) if faults_here.intersection(LOSE_BLOCKS) else None
        for terms in (world.chain.blocks, world.feeds):
            terms["layout"] = self.batcher.layouts
        world.settlement = self
        for below in {self.data.scenario.name: self.data, self.parent.scenario.name: self.parent}.values():
            below.above.append(self)
        self._set_price(self._price(0, int(self.data.chain.base_fee), int(self.data.chain.blocks["blob_base_fee"][0])))

    @staticmethod
    def access_point(world: "World", below: "World") -> str:
        """Where on a chain below the sequencer's messages come in: in its own region, if that chain is there."""
        region = f"access/{world.scenario.topology.regions[0]}"
        return region if region in below.chain.access_points else below.chain.access_points[0]

    # On the rollup.

    def open_block(self, time_ns: int) -> None:
        """Charge for data what the chain with the data said a while ago; go on from what is left after a crash."""
        if self.lost_blocks is not None:
            self.lost_blocks.open_block(time_ns)
        while self._coming and self._coming[0][0] <= time_ns:
            self._set_price(self._coming.pop(0)[1])

    def _set_price(self, price: int) -> None:
        self.world.chain.blocks["data_price"] = price
        self.world.feeds["data_price"] = price

    def note_block(self, value_micro_usd: int) -> None:
        """Take in a block of the rollup in which trades of this value happened."""
        note_block(self.progresses, self.world.chain.pools, self.world.chain.blocks, value_micro_usd)

    def close_block(self, time_ns: int) -> None:
        """Keep what a block of the rollup has changed, if it may have to be undone."""
        if self.lost_blocks is not None:
            self.lost_blocks.close_block(time_ns)

    # On the chains below.

    def take_in(self, below: "World") -> None:
        """Take in what a block of a chain below says about the rollup."""
        view = below.feeds[0]["views"][(int(below.feeds["count"][0]) - 1) & (len(below.feeds[0]["views"]) - 1)]
        time = int(view["time"])
        self._reorganise(below, time)
        if self.lost_blocks is not None:
            self.lost_blocks.crash(time)
        inbox = below.inboxes[0]
        for message in inbox["messages"][: int(inbox["count"])]:
            sender, kind, number = int(message["sender"]), int(message["kind"]), int(message["number"])
            cost_gwei = int(message["gas_used"]) * int(message["price"]) // 10**9
            cost_gwei += int(message["blobs"]) * GAS_PER_BLOB * int(message["blob_base_fee"]) // 10**9
            cost = cost_gwei, cost_gwei * 1e-9 * below.ether_usd(time)
            if below is self.data and kind == POST and sender == self.batcher.account:
                seen = int(view["visible"][self.batcher.access])
                self._posted(number, time, seen, cost, int(message["gas_used"]))
            elif below is self.parent and kind == CLAIM and sender == self.claimer.account:
                self._claimed(number, time, int(view["visible"][self.claimer.access]), cost)
            elif below is self.parent and kind == CHALLENGE and sender in self._challenger_accounts:
                self._challenged(number, time)
        if below is self.parent:
            self._finalise(time)
        if below is self.data:
            price = self._price(time, int(view["base_fee"]), int(view["blob_base_fee"]))
            self._coming.append([time + int(self.settings.posting.price_lag_s * NS), price])

    def _reorganise(self, below: "World", time: int) -> None:
        """Undo what blocks held that a reorganisation has thrown away; who sent it learns of it, and sends it anew."""
        name = below.scenario.name
        moments = self._reorganisations[name]
        while self._undone[name] < len(moments) and moments[self._undone[name]][0] <= time:
            start, end = moments[self._undone[name]]
            self._undone[name] += 1
            progress = self.progresses[0]
            if below is self.data:
                rows, numbers = _remembered(progress["batches"], int(progress["batch_count"]))
                for number in numbers[_is_in(rows["posted"], 2 * start - end, start)].tolist():
                    batch = progress["batches"][number & (BATCHES - 1)]
                    batch["posted"], batch["seen"], batch["safe"], batch["expires"] = 0, 0, 0, time
                    self.batcher.oldest = min(self.batcher.oldest, number)
            if below is self.parent:
                rows, numbers = _remembered(progress["claims"], int(progress["claim_count"]))
                for number in numbers[_is_in(rows["included"], 2 * start - end, start)].tolist():
                    claim = progress["claims"][number & (BATCHES - 1)]
                    claim["included"], claim["seen"], claim["final"], claim["expires"] = 0, 0, 0, time
                    self.claimer.oldest = min(self.claimer.oldest, number)
                    self._open_claim = min(self._open_claim, number)

    def _posted(self, number: int, time: int, seen: int, cost: tuple[int, float], gas: int) -> None:
        batch = self.progresses[0]["batches"][number & (BATCHES - 1)]
        batch["cost_gwei"] += cost[0]
        batch["cost_usd"] += cost[1]
        if batch["posted"]:
            return
        batch["posted"], batch["seen"] = time, seen
        batch["safe"] = self.data.chain.final_at_ns(time)
        if batch["invalid"] and not batch["void"] and self.lost_blocks is not None:
            self.lost_blocks.void(number, time)
        if batch["void"]:
            return
        size = max(float(batch["charged"]), 1.0)
        self.gas_per_byte += MEMORY * (gas / size - self.gas_per_byte)
        if self.settings.data == "blobs":
            self.blob_gas_per_byte += MEMORY * (int(batch["blobs"]) * GAS_PER_BLOB / size - self.blob_gas_per_byte)

    def _price(self, time: int, base_fee: int, blob_base_fee: int) -> int:
        """Thousandths of a wei that users pay for a byte at these fees of the chain with the data.

        The wei are those of the rollup, whose token need not be that in which the chain with the data is paid.
        """
        wei = self.gas_per_byte * (base_fee + self.data.wallet_tip_wei) + self.blob_gas_per_byte * blob_base_fee
        wei *= self.data.ether_usd(time) / self.world.ether_usd(time)
        return round(wei * self.settings.posting.users_pay_share * int(MILLIWEI))

    def _claimed(self, number: int, time: int, seen: int, cost: tuple[int, float]) -> None:
        claim = self.progresses[0]["claims"][number & (BATCHES - 1)]
        claim["cost_gwei"] += cost[0]
        claim["cost_usd"] += cost[1]
        if claim["included"]:
            return
        claim["included"], claim["seen"] = time, seen
        if claim["prover"] >= 0 and not claim["paid"]:
            claim["paid"] = True
            ledger, prover = self.parent.venues[0]["ledger"], self.provers[int(claim["prover"])]
            first, last = int(claim["first"]), int(claim["last"])
            batches = self.progresses[0]["batches"]
            gas = sum(int(batches[batch & (BATCHES - 1)]["gas"]) for batch in range(first, last + 1))
            account = int(prover["account"])
            transfer_cash(ledger, self.claimer.account, account, int(claim["fee"]))
            transfer_cash(ledger, account, GENESIS, round(gas * float(prover["cost_usd_per_gas"]) * 1e6))

    def final_ns(self, time: int) -> int:
        """When the parent knew for good what the rollup's block at this time did; 0 if it does not yet."""
        progress = self.progresses[0]
        count = int(progress["batch_count"])
        first, last = max(count - BATCHES, 0), count
        while first < last:
            middle = (first + last) // 2
            if int(progress["batches"][middle & (BATCHES - 1)]["closed"]) < time:
                first = middle + 1
            else:
                last = middle
        if first == count:
            return 0
        claim = int(progress["batches"][first & (BATCHES - 1)]["claim"])
        return int(progress["claims"][claim & (BATCHES - 1)]["final"]) if claim >= 0 else 0

    def _challenged(self, number: int, time: int) -> None:
        """Strike out a false claim and those that build on it; what they claimed has to be claimed anew."""
        progress = self.progresses[0]
        claim = progress["claims"][number & (BATCHES - 1)]
        window = int(self.settings.challenges.window_s * NS)
        if not claim["false"] or claim["refuted"] or not claim["included"] or time > int(claim["included"]) + window:
            return
        for later in range(number, int(progress["claim_count"])):
            struck = progress["claims"][later & (BATCHES - 1)]
            struck["refuted"] = time
            struck["ready"] = 0
        self.claimer.next_batch = int(claim["first"])
        self.claimer.oldest = int(progress["claim_count"])

    def _finalise(self, time: int) -> None:
        """Let claims become final that nobody can refute any more."""
        progress = self.progresses[0]
        while self._open_claim < int(progress["claim_count"]):
            claim = progress["claims"][self._open_claim & (BATCHES - 1)]
            if not claim["refuted"]:
                if not claim["included"]:
                    return
                final = self.parent.chain.final_at_ns(int(claim["included"]) + self._window_ns)
                if final > time:
                    return
                claim["final"] = final
            self._open_claim += 1

    @property
    def _window_ns(self) -> int:
        """Time for which a claim can be refuted."""
        return int(self.settings.challenges.window_s * NS) if self.settings.kind == "optimistic" else 0

    def _due(self, claim: Any) -> float:
        """When a claim will be final unless it is refuted, in seconds; not a number if it is not there or has been."""
        if not claim["included"] or claim["refuted"]:
            return np.nan
        return self.parent.chain.final_at_ns(int(claim["included"]) + self._window_ns) / NS

    # What happened.

    def batches(self) -> pd.DataFrame:
        """One row per batch that is remembered; what has not happened yet is not a number.

        ``due_s`` is when a batch will be final unless its claim is refuted.
        """
        progress = self.progresses[0]
        rows, claims = _remembered(progress["batches"], int(progress["batch_count"]))
        known = _remembered(progress["claims"], int(progress["claim_count"]))
        frame = pd.DataFrame({"batch": claims})
        for name in ("opened", "closed", "sent", "posted", "safe"):
            frame[f"{name}_s"] = _seconds(rows[name])
        for name in ("transactions", "gas", "bytes", "charged", "blobs", "tries", "claim"):
            frame[name] = rows[name]
        frame["void"] = rows["void"] > 0
        frame["value_usd"] = rows["value"] * 1e-6
        # Mean over its transactions; there are none of what is void.
        frame["block_s"] = rows["moments"] * 1e-6 / np.where(rows["void"] > 0, np.nan, rows["transactions"])
        frame["cost_ether"] = rows["cost_gwei"] * 1e-9
        frame["cost_usd"] = rows["cost_usd"]
        times = {f"{what}_s": _seconds(known[0][name]) for what, name in (("claimed", "included"), ("final", "final"))}
        times["due_s"] = np.array([self._due(claim) for claim in known[0]]) if len(known[0]) else np.zeros(0)
        return frame.join(pd.DataFrame(times, index=known[1]), on="claim")

    def claims(self) -> pd.DataFrame:
        """One row per claim that is remembered."""
        progress = self.progresses[0]
        rows, numbers = _remembered(progress["claims"], int(progress["claim_count"]))
        frame = pd.DataFrame({"claim": numbers})
        for name in ("requested", "ready", "sent", "included", "refuted", "final"):
            frame[f"{name}_s"] = _seconds(rows[name])
        for name in ("first", "last", "prover", "tries"):
            frame[name] = rows[name]
        frame["false"] = rows["false"] > 0
        frame["fee_usd"] = rows["fee"] * 1e-6
        frame["cost_ether"] = rows["cost_gwei"] * 1e-9
        frame["cost_usd"] = rows["cost_usd"]
        return frame.rename(columns={"first": "first_batch", "last": "last_batch"})


def _remembered(ring: Any, count: int) -> tuple[Any, Any]:
    """Rows of a ring that are there, oldest first, and their numbers."""
    numbers = np.arange(max(count - BATCHES, 0), count)
    return ring[numbers & (BATCHES - 1)], numbers


def _is_in(times: Any, start: int, end: int) -> Any:
    """Whether each time lies after ``start`` and not after ``end``."""
    return (times > start) & (times <= end)


def _seconds(times: Any) -> Any:
    return np.where(times > 0, times * 1e-9, np.nan)
