"""A bridge between a rollup and its parent: who sends cash, when it arrives, and who pays it out before it does.

The slow bridge is the rollup's own. A withdrawal arrives with the first block of the parent at which the batch that
holds it is final; a deposit with the first block of the rollup some time after the sequencer has seen it. Whoever has
agreed to the fee of a provider has the cash from it as soon as it sees that the transfer is in a block, and the cash
itself then goes to the provider.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.agents.bridge_providers import choose_provider, expect, new_bridge_providers
from blockspace.agents.bridge_users import BridgeUsers
from blockspace.markets.bridging import escrow_micro_usd
from blockspace.markets.ledger import transfer_cash
from blockspace.network.chain import NS
from blockspace.network.rollups.transfers import CASH_TRANSFER, DEPOSIT, DIRECTIONS, TRANSFERS, WITHDRAWAL
from blockspace.network.state import Stateful
from blockspace.network.transaction import BRIDGE

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.settlement import Settlement
    from blockspace.experiments.world import World


class Bridge(Stateful):
    """What ties the cash of a rollup to that of its parent.

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
        The transfers, a ring of type ``CASH_TRANSFER``.
    providers : numpy.ndarray
        Rows of type ``BRIDGE_PROVIDER``.
    """

    CONSTANTS: ClassVar = ("settlement", "settings", "chains", "access", "users")

    def __init__(self, model: "Market", settlement: "Settlement", seed: int) -> None:
        rollup, parent = settlement.world, settlement.parent
        self.settlement = settlement
        self.settings = settlement.settings.bridge
        self.chains = ((rollup, parent), (parent, rollup))  # by direction: where from, where to
        points = [settlement.access_point(rollup, below) for below in (rollup, parent)]
        self.access = tuple(
            world.access_number(point) for world, point in zip((rollup, parent), points, strict=True)
        )  # by direction, where it is seen that a transfer is in a block
        for world in (rollup, parent):
            if not world.venues[0]["escrow"]:
                world.venues[0]["escrow"] = world.open_agent_account("escrow", 0.0, 0.0)
        capital = self.settings.capital_usd
        accounts = [
            (
                parent.open_agent_account("bridge_provider", capital, 0.0),
                rollup.open_agent_account("bridge_provider", capital, 0.0),
            )
            for _ in range(self.settings.providers)
        ]
        self.providers = new_bridge_providers(self.settings, accounts, seed)
        self.users = tuple(
            BridgeUsers(
                model, world, settlement.settings, settlement.progresses, points[direction], direction, self, seed
            )
            for direction, world in enumerate((rollup, parent))
        )
        self.rows = np.zeros(TRANSFERS, CASH_TRANSFER)
        self.count = 0
        # Numbers of transfers by direction, oldest first: not in a block, in one, and to be paid out early.
        self._asked: list[list[int]] = [[], []]
        self._moving: list[list[int]] = [[], []]
        self._early: list[list[int]] = [[], []]
        # How long it takes, at first by the rules of the chain.
        rules = settlement.settings
        wait_s = rules.challenges.window_s if rules.kind == "optimistic" else rules.proofs.fixed_s
        self._delay_s = [wait_s + 0.5 * rules.claim_interval_s, self.settings.deposit_s]
        self._observed = [0, 0]
        self._lessons: list[list[list[int]]] = [[], []]  # of arrivals: since when it is known, and the delay, ns
        for world in (rollup, parent):
            world.above.append(self)

    # What users and providers deal with.

    def expected_delay_s(self, direction: int, now: int) -> float:
        """Seconds that the slow bridge takes, going by what had been seen of it at a time in ns."""
        lessons = self._lessons[direction]
        while lessons and lessons[0][0] <= now:
            _, delay = lessons.pop(0)
            self._observed[direction] += 1
            self._delay_s[direction] = expect(self._delay_s[direction], self._observed[direction], delay * 1e-9)
        return self._delay_s[direction]

    def offer(self, direction: int, now: int, amount: int) -> tuple[int, int]:
        """Provider that would pay micro-dollars out early, and its fee in micro-dollars; -1 if none would."""
        return choose_provider(self.providers, self._free(direction), amount, self.expected_delay_s(direction, now))

    def row(self, number: int) -> Any:
        """Row of a transfer, of type ``CASH_TRANSFER``."""
        return self.rows[number & (TRANSFERS - 1)]

    def ask(
        self,
        direction: int,
        now: int,
        amount: int,
        expires: int,
        most_micro_usd: float,
        sender: int,
        recipient: int,
    ) -> int:
        """Announce a transfer; a provider will pay it out early if its fee is below what that is worth to the sender.

        Parameters
        ----------
        direction
            Withdrawal or deposit.
        now, expires
            When the sender decides, and when its transaction expires, in ns.
        amount
            Micro-dollars.
        most_micro_usd
            What an early payment is worth to the sender.
        sender, recipient
            Account that sends the transaction, and account on the other chain that gets the cash.

        Returns
        -------
        int
            Number of the transfer, for its transaction.

        Raises
        ------
        RuntimeError
            If so many transfers are on their way that there is no place for another one.
        """
        number = self.count
        row = self.rows[number & (TRANSFERS - 1)]
        if number >= TRANSFERS and not (row["settled"] or row["lost"]):
            raise RuntimeError(f"more than {TRANSFERS} transfers are on their way over a bridge: let fewer be sent")
        self.rows[number & (TRANSFERS - 1)] = np.zeros((), CASH_TRANSFER)
        row["direction"], row["amount"], row["asked"], row["expires"] = direction, amount, now, expires
        row["sender"], row["recipient"] = sender, recipient
        provider, fee = self.offer(direction, now, amount)
        row["provider"] = -1
        if provider >= 0 and fee < most_micro_usd and fee < amount:
            row["provider"], row["fee"] = provider, fee
            self.providers["reserved"][provider, direction] += amount - fee
        self.count += 1
        self._asked[direction].append(number)
        return number

    def _free(self, direction: int) -> list[int]:
        """What each provider has where transfers in a direction arrive, without what it has promised."""
        cash = self.chains[direction][1].venues[0]["ledger"]["accounts"]["cash"]
        return [
            int(cash[provider["accounts"][direction]]) - int(provider["reserved"][direction])
            for provider in self.providers
        ]

    # What the blocks of both chains say.

    def take_in(self, world: "World") -> None:
        """Take in what a block says about transfers that leave its chain, and let arrive what has come for it."""
        view = world.feeds[0]["views"][(int(world.feeds["count"][0]) - 1) & (len(world.feeds[0]["views"]) - 1)]
        time = int(view["time"])
        leaving = WITHDRAWAL if world is self.settlement.world else DEPOSIT
        self._leave(world, leaving, time, int(view["visible"][self.access[leaving]]))
        arriving = 1 - leaving
        ledger = world.venues[0]["ledger"]
        self._pay_early(ledger, arriving, time)
        seen = int(view["visible"][self.access[leaving]])
        while self._moving[arriving] and self._has_arrived(self._moving[arriving][0], time):
            self._settle(world, self._moving[arriving].pop(0), time, seen)

    def _leave(self, world: "World", direction: int, time: int, seen: int) -> None:
        """Note what is in a block, and give up what cannot be in one any more."""
        inbox = world.inboxes[0]
        for message in inbox["messages"][: int(inbox["count"])]:
            if int(message["kind"]) != BRIDGE:
                continue
            number = int(message["number"])
            row = self.rows[number & (TRANSFERS - 1)]
            if number not in self._asked[direction] or int(row["sender"]) != int(message["sender"]):
                continue  # it goes over another bridge
            row["included"], row["seen"] = time, seen
            self._asked[direction].remove(number)
            self._moving[direction].append(number)
            if row["provider"] >= 0:
                self._early[direction].append(number)
        while self._asked[direction] and int(self.rows[self._asked[direction][0] & (TRANSFERS - 1)]["expires"]) < time:
            row = self.rows[self._asked[direction].pop(0) & (TRANSFERS - 1)]
            row["lost"] = time
            self._release(row)

    def _release(self, row: Any) -> None:
        if row["provider"] >= 0:
            self.providers["reserved"][int(row["provider"]), int(row["direction"])] -= int(row["amount"] - row["fee"])

    def _pay_early(self, ledger: npt.NDArray[Any], direction: int, time: int) -> None:
        early = self._early[direction]
        while early and int(self.rows[early[0] & (TRANSFERS - 1)]["seen"]) <= time:
            row = self.rows[early.pop(0) & (TRANSFERS - 1)]
            if row["settled"]:
                continue
            provider = self.providers[int(row["provider"])]
            payment = int(row["amount"] - row["fee"])
            transfer_cash(ledger, int(provider["accounts"][direction]), int(row["recipient"]), payment)
            self._release(row)
            provider["transfers"] += 1
            provider["earned"] += int(row["fee"])
            row["paid"] = time

    def _has_arrived(self, number: int, time: int) -> bool:
        row = self.rows[number & (TRANSFERS - 1)]
        if row["direction"] == DEPOSIT:
            return int(row["seen"]) + int(self.settings.deposit_s * NS) <= time
        return 0 < self.settlement.final_ns(int(row["included"])) <= time

    def _settle(self, world: "World", number: int, time: int, seen: int) -> None:
        """Let the cash itself arrive, for whoever has paid it out, or else for whom it was sent to."""
        row = self.rows[number & (TRANSFERS - 1)]
        direction, recipient = int(row["direction"]), int(row["recipient"])
        if row["paid"]:
            recipient = int(self.providers[int(row["provider"])]["accounts"][direction])
        else:
            self._release(row)  # the provider comes too late
            row["paid"], row["provider"], row["fee"] = time, -1, 0
        transfer_cash(world.venues[0]["ledger"], int(world.venues[0]["escrow"]), recipient, int(row["amount"]))
        row["settled"] = time
        since = int(row["paid"]) if row["provider"] >= 0 else int(row["included"])
        self._lessons[direction].append([seen, time - since])

    def undo(self, since: int, time: int) -> None:
        """Take in that the blocks of the rollup after a time are undone, at another, both in ns.

        A withdrawal in one of them has never left; who has paid it out early on the parent has lost that. A deposit
        that had arrived in one of them, or had been paid out early, comes again.
        """
        for number in [n for n in self._moving[WITHDRAWAL] if int(self.row(n)["included"]) > since]:
            row = self.row(number)
            row["lost"] = time
            self._moving[WITHDRAWAL].remove(number)
            if number in self._early[WITHDRAWAL]:
                self._early[WITHDRAWAL].remove(number)
                self._release(row)
        again = []
        for number in range(max(self.count - TRANSFERS, 0), self.count):
            row = self.row(number)
            if row["direction"] != DEPOSIT or not row["included"]:
                continue
            if int(row["settled"]) > since:
                again.append(number)
                row["settled"] = 0
            if int(row["paid"]) > since:
                row["paid"] = 0
                if row["provider"] >= 0:
                    provider = self.providers[int(row["provider"])]
                    provider["reserved"][DEPOSIT] += row["amount"] - row["fee"]
                    provider["transfers"] -= 1
                    provider["earned"] -= row["fee"]
                    self._early[DEPOSIT].append(number)
        self._moving[DEPOSIT] = sorted({*self._moving[DEPOSIT], *again})
        self._early[DEPOSIT].sort()

    # What happened.

    @property
    def moving_micro_usd(self) -> int:
        """Micro-dollars that have left one chain and not arrived on the other."""
        return sum(int(self.rows[number & (TRANSFERS - 1)]["amount"]) for both in self._moving for number in both)

    def transfers(self) -> pd.DataFrame:
        """One row per transfer that is remembered; what has not happened is not a number."""
        numbers = np.arange(max(self.count - TRANSFERS, 0), self.count)
        rows = self.rows[numbers & (TRANSFERS - 1)]
        frame = pd.DataFrame({"transfer": numbers, "direction": np.array(DIRECTIONS)[rows["direction"]]})
        frame["sender"], frame["recipient"] = rows["sender"], rows["recipient"]
        frame["amount_usd"] = rows["amount"] * 1e-6
        frame["fee_usd"] = rows["fee"] * 1e-6
        frame["provider"] = rows["provider"]
        for name in ("asked", "lost", "included", "paid", "settled"):
            frame[f"{name}_s"] = np.where(rows[name] > 0, rows[name] * 1e-9, np.nan)
        return frame


def on_the_way(bridges: Sequence[Bridge]) -> list[tuple[str, int, int]]:
    """Of all bridges together: between which chains, what their escrows hold, and what is on its way.

    Chains share an escrow among their bridges, so that only all of them together can be compared.
    """
    if not bridges:
        return []
    worlds = {world.scenario.name: world for bridge in bridges for world in bridge.chains[0]}
    held = sum(escrow_micro_usd(world.venues) for world in worlds.values())
    return [(" and ".join(worlds), held, sum(bridge.moving_micro_usd for bridge in bridges))]
