"""The operator of a rollup on the chains below it: posts the data of its transactions, and claims what its state is.

Posting costs gas and blobs, and waiting costs the users of the rollup, whose delay the operator counts as its own.
Under the economic rule it posts as soon as the waiting so far has cost as much as a posting would cost now: no interval
is set, and it moves with the fees. A posting that does not get into a block in time is sent anew, for more.

Claims go to the parent at regular times. On an optimistic rollup one is sent at once and waits there to be refuted; on
a validity rollup the work of proving it goes to whichever prover is best for the users, its price and their wait
together (a scoring auction, Che 1993), and is paid what the second best would have been worth.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.presence import LONGEST_WAY_NS
from blockspace.agents.provers import choose_prover
from blockspace.agents.trader import Trader
from blockspace.network import mempool
from blockspace.network.blob_market import USABLE_BYTES_PER_BLOB
from blockspace.network.faults import FaultSettings, intervals, is_within
from blockspace.network.rollups.progress import BATCH, BATCHES, CLAIM_RECORD, ENTRIES, pack
from blockspace.network.rollups.settings import RollupSettings, new_layout
from blockspace.network.transaction import CHALLENGE, CLAIM, GAS_PER_BLOB, POST

NS = 1_000_000_000
RISE = 1.5
"""Factor on tip and blob fee of each further try."""


class Sender(Trader):
    """Base of those who send transactions about a rollup to a chain below it.

    Parameters
    ----------
    model
        The market.
    world
        The chain to which they send.
    settings
        Of the rollup.
    progress
        How far the rollup has got.
    access
        Name of the access point.
    cash_usd, ether
        Endowment; by default the scenario's.
    """

    CONSTANTS: ClassVar[tuple[str, ...]] = (*Trader.CONSTANTS, "settings", "progresses", "progress")

    def __init__(
        self,
        model: Any,
        world: Any,
        settings: RollupSettings,
        progresses: npt.NDArray[Any],
        access: str,
        cash_usd: float | None = None,
        ether: float | None = None,
    ) -> None:
        super().__init__(model, access, cash_usd, ether, world=world)
        self.settings = settings
        self.progresses = progresses
        self.progress = progresses[0]

    def send_message(
        self,
        kind: int,
        number: int,
        gas: int,
        size: int,
        tries: int,
        blobs: int = 0,
        cash: int = 0,
        *,
        own_wallet: bool = False,
    ) -> int:
        """Send a transaction about the rollup; returns when it expires, in ns.

        From a wallet of its own it does not wait for those that the account has sent before it.
        """
        rise = RISE**tries
        tip = int(self.wallet_tip * rise)
        blob_fee = int(max(4 * self.seen("blob_base_fee"), 1) * rise)
        expires = self.decision_ns + int(self.settings.posting.wallet_patience_s * NS)
        mempool.submit_message(
            self.world.chain.pools,
            self.account,
            self.access,
            kind,
            gas,
            size,
            blobs,
            self.decision_ns,
            number,
            cash,
            int(4 * self.base_fee * rise) + tip,
            tip,
            blob_fee,
            expires,
            int(own_wallet),
        )
        return expires

    def is_lost(self, row: npt.NDArray[Any]) -> bool:
        """Whether what was sent last can no longer get into a block, as far as is known."""
        return bool(self.decision_ns > int(row["expires"]) + LONGEST_WAY_NS)


class Batcher(Sender):
    """Posts the data of a rollup where everybody can get them."""

    kind = "batcher"

    CONSTANTS: ClassVar[tuple[str, ...]] = (*Sender.CONSTANTS, "withholding", "crashes", "breaches", "layouts")

    def __init__(
        self,
        model: Any,
        world: Any,
        settings: RollupSettings,
        progresses: npt.NDArray[Any],
        access: str,
        faults: Sequence[FaultSettings],
    ) -> None:
        super().__init__(model, world, settings, progresses, access)
        self.withholding = intervals(faults, "withholding", "crash")
        self.crashes = intervals(faults, "crash")
        self.breaches = intervals(faults, "invalid_batch")
        self.layouts = new_layout(settings.posting)
        self.oldest = 0  # batch of which it does not know that it has been posted

    def act(self) -> None:
        """Send anew what got lost, and post what has waited for long enough."""
        if is_within(self.withholding, self.decision_ns):
            return
        self._send_anew()
        while self._post():
            pass

    def _send_anew(self) -> None:
        progress, now = self.progress, self.decision_ns
        count = int(progress["batch_count"])
        while self.oldest < count and 0 < int(progress["batches"][self.oldest & (BATCHES - 1)]["seen"]) <= now:
            self.oldest += 1
        if self.oldest == count or not self.is_lost(progress["batches"][self.oldest & (BATCHES - 1)]):
            return
        for number in range(self.oldest, count):
            self._hand_in(number)

    def _hand_in(self, number: int) -> None:
        batch = self.progress["batches"][number & (BATCHES - 1)]
        posting = self.settings.posting
        gas, size = posting.fixed_gas, 200
        if self.settings.data == "calldata":
            gas += math.ceil(int(batch["bytes"]) * posting.gas_per_byte)
            size += int(batch["bytes"])
        tries = int(batch["tries"])
        batch["sent"] = self.decision_ns
        batch["expires"] = self.send_message(POST, number, gas, size, tries, int(batch["blobs"]))
        batch["tries"] = tries + 1

    def _post(self) -> bool:
        """Post what waits if it is time to; returns whether it was."""
        posting, progress, now = self.settings.posting, self.progress, self.decision_ns
        count = int(progress["batch_count"])
        first = int(progress["batches"][(count - 1) & (BATCHES - 1)]["last"]) + 1 if count else 0
        last, size, full = pack(self.progresses, self.layouts, first, now, posting.batch_bytes)
        if last < first:
            return False
        transactions = self._sum("transactions", first, last)
        opened = int(progress["entries"][first & (ENTRIES - 1)]["time"])
        if any(opened < start <= now for start, _ in self.crashes):
            return False  # it has lost what waits: the rollup is about to go on without
        late = now - opened >= posting.longest_wait_s * NS
        if not (full or late or self._is_time(transactions, size, opened, self._sum("moments", first, last))):
            return False
        progress["batches"][count & (BATCHES - 1)] = np.zeros((), BATCH)
        batch = progress["batches"][count & (BATCHES - 1)]
        closed = progress["entries"][last & (ENTRIES - 1)]["time"]
        batch["first"], batch["last"], batch["opened"], batch["closed"] = first, last, opened, closed
        for name in ("transactions", "gas", "charged", "value", "moments"):
            batch[name] = self._sum(name, first, last)
        batch["bytes"] = size
        batch["blobs"] = -(-size // USABLE_BYTES_PER_BLOB) if self.settings.data == "blobs" else 0
        batch["claim"] = -1
        batch["invalid"] = is_within(self.breaches, now)
        progress["batch_count"] = count + 1
        self._hand_in(count)
        return True

    def _sum(self, name: str, first: int, last: int) -> int:
        """What entries have of something together."""
        sums = self.progress["entries"][name]
        return int(sums[last & (ENTRIES - 1)]) - (int(sums[(first - 1) & (ENTRIES - 1)]) if first > 0 else 0)

    def _is_time(self, transactions: int, size: int, opened: int, moments: int) -> bool:
        posting = self.settings.posting
        if posting.rule == "transactions":
            return transactions >= posting.transactions
        if posting.rule == "interval":
            return self.decision_ns - opened >= posting.interval_s * NS
        waited_s = transactions * self.decision_ns * 1e-9 - moments * 1e-6
        return waited_s * posting.delay_cost_usd_per_h / 3_600.0 >= self._cost_usd(size)

    def _cost_usd(self, size: int) -> float:
        """Dollars that a posting costs now beside what grows with its bytes: its own gas, and whole blobs."""
        wei = float(self.settings.posting.fixed_gas) * (self.base_fee + self.wallet_tip)
        if self.settings.data == "blobs":
            wei += -(-size // USABLE_BYTES_PER_BLOB) * GAS_PER_BLOB * float(self.seen("blob_base_fee"))
        return wei * 1e-18 * self.ether_usd


class Claimer(Sender):
    """Claims on the parent what the state of a rollup is, and has it proven where that is the rule."""

    kind = "claimer"
    CONSTANTS: ClassVar[tuple[str, ...]] = (*Sender.CONSTANTS, "provers", "standstills", "lies")

    def __init__(
        self,
        model: Any,
        world: Any,
        settings: RollupSettings,
        progresses: npt.NDArray[Any],
        access: str,
        provers: npt.NDArray[Any],
        faults: Sequence[FaultSettings],
    ) -> None:
        super().__init__(model, world, settings, progresses, access)
        self.provers = provers
        self.next_claim_ns = int(settings.claim_interval_s * NS)
        self.next_batch = 0  # that no claim covers
        self.oldest = 0  # claim of which it does not know that it has been included
        self.standstills = intervals(faults, "prover_failure")
        self.lies = intervals(faults, "false_claim")

    def act(self) -> None:
        """Claim the state after everything that has been posted, if it is time to, and send what is ready."""
        progress, now = self.progress, self.decision_ns
        if now >= self.next_claim_ns:
            self.next_claim_ns = now + int(self.settings.claim_interval_s * NS)
            self._claim()
        count = int(progress["claim_count"])
        while self.oldest < count and 0 < int(progress["claims"][self.oldest & (BATCHES - 1)]["seen"]) <= now:
            self.oldest += 1
        for number in range(self.oldest, count):
            claim = progress["claims"][number & (BATCHES - 1)]
            if claim["seen"] == 0 and 0 < int(claim["ready"]) <= now and (claim["sent"] == 0 or self.is_lost(claim)):
                self._hand_in(number, claim)

    def _claim(self) -> None:
        """Claim what has been posted since the last claim; on a validity rollup, have it proven."""
        progress, now = self.progress, self.decision_ns
        first, count, gas, transactions = self.next_batch, int(progress["batch_count"]), 0, 0
        while self.next_batch < count:
            batch = progress["batches"][self.next_batch & (BATCHES - 1)]
            if not 0 < int(batch["seen"]) <= now:
                break
            gas += int(batch["gas"])
            transactions += int(batch["transactions"])
            self.next_batch += 1
        if self.next_batch == first:
            return
        number = int(progress["claim_count"])
        progress["claims"][number & (BATCHES - 1)] = np.zeros((), CLAIM_RECORD)
        claim = progress["claims"][number & (BATCHES - 1)]
        claim["first"], claim["last"], claim["requested"], claim["prover"] = first, self.next_batch - 1, now, -1
        claim["ready"] = now
        claim["false"] = is_within(self.lies, now)
        for place in range(first, self.next_batch):
            progress["batches"][place & (BATCHES - 1)]["claim"] = number
        if self.settings.kind == "validity":
            cost_per_s = transactions * self.settings.posting.delay_cost_usd_per_h / 3_600.0
            prover, ready, fee_usd = choose_prover(
                self.provers, self.settings.proofs, now, gas, cost_per_s, self.standstills
            )
            claim["prover"], claim["ready"], claim["fee"] = prover, ready, round(fee_usd * 1e6)
        progress["claim_count"] = number + 1

    def _hand_in(self, number: int, claim: Any) -> None:
        proofs = self.settings.proofs
        proven = self.settings.kind == "validity"
        gas, size = (proofs.gas, proofs.bytes) if proven else (self.settings.challenges.claim_gas, 200)
        tries = int(claim["tries"])
        claim["sent"] = self.decision_ns
        claim["expires"] = self.send_message(CLAIM, number, gas, size, tries)
        claim["tries"] = tries + 1


class Challenger(Sender):
    """Checks every claim about an optimistic rollup, and refutes what is false."""

    kind = "challenger"

    def __init__(
        self, model: Any, world: Any, settings: RollupSettings, progresses: npt.NDArray[Any], access: str
    ) -> None:
        super().__init__(model, world, settings, progresses, access)
        self.next_claim = 0
        self.checked_ns = 0  # when it is done with what it checks
        self.against = -1  # claim that it wants to refute
        self.expires_ns = 0
        self.tries = 0

    def act(self) -> None:
        """Re-execute what is claimed, one claim after the other, and challenge the first that is false."""
        progress, now = self.progress, self.decision_ns
        claims = progress["claims"]
        if self.against >= 0:
            claim = claims[self.against & (BATCHES - 1)]
            if claim["refuted"] == 0 and now > self.expires_ns + LONGEST_WAY_NS:
                self._challenge()
            elif claim["refuted"] > 0:
                self.against = -1
            return
        while self.next_claim < int(progress["claim_count"]):
            claim = claims[self.next_claim & (BATCHES - 1)]
            if not 0 < int(claim["seen"]) <= now:
                break
            gas = sum(
                int(progress["batches"][batch & (BATCHES - 1)]["gas"])
                for batch in range(int(claim["first"]), int(claim["last"]) + 1)
            )
            self.checked_ns = max(self.checked_ns, int(claim["seen"]))
            done_ns = self.checked_ns + int(gas / self.settings.challenges.check_gas_per_s * NS)
            if done_ns > now:
                break
            self.checked_ns = done_ns
            self.next_claim += 1
            if claim["false"] and not claim["refuted"]:
                self.against, self.tries = self.next_claim - 1, 0
                self._challenge()
                break

    def _challenge(self) -> None:
        self.expires_ns = self.send_message(CHALLENGE, self.against, self.settings.challenges.gas, 5_000, self.tries)
        self.tries += 1
