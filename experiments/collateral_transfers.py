"""Cash on its way between the ledgers of two chains: it leaves one account and arrives in another after a delay.

On each ledger a *transit* account takes what leaves and gives what arrives, so that every ledger sums to zero by
itself; what all transit accounts hold together is what is on its way.
"""

from typing import TYPE_CHECKING, ClassVar

from blockspace.network.state import Stateful

if TYPE_CHECKING:
    from blockspace.experiments.world import World


class CollateralTransfers(Stateful):
    """What is on its way between some chains.

    Parameters
    ----------
    worlds
        The chains.
    delay_ns
        Time that cash takes; it arrives with the first block of the other chain after that.
    """

    CONSTANTS: ClassVar = ("worlds", "delay_ns", "transit")

    def __init__(self, worlds: "list[World]", delay_ns: int) -> None:
        self.worlds = worlds
        self.delay_ns = delay_ns
        self.transit = [world.open_agent_account("transit", 0.0, 0.0) for world in worlds]
        self.under_way: list[list[int]] = []  # arrival in ns, chain, account and micro-dollars, in order of departure
        self.count = 0
        self.total = 0  # micro-dollars that have ever left

    def send(self, source: int, account: int, target: int, receiver: int, amount: int, time_ns: int) -> int:
        """Let cash of an account leave a chain for an account on another one; returns when it is to arrive, in ns."""
        self._move(source, account, self.transit[source], amount)
        arrival = time_ns + self.delay_ns
        self.under_way.append([arrival, target, receiver, amount])
        self.count += 1
        self.total += amount
        return arrival

    def arrive(self, chain: int, time_ns: int) -> list[tuple[int, int]]:
        """Let what is due by now arrive on a chain; returns accounts and micro-dollars."""
        due = [one for one in self.under_way if one[1] == chain and one[0] <= time_ns]
        if due:
            self.under_way = [one for one in self.under_way if one[1] != chain or one[0] > time_ns]
        for _, _, receiver, amount in due:
            self._move(chain, self.transit[chain], receiver, amount)
        return [(receiver, amount) for _, _, receiver, amount in due]

    def _move(self, chain: int, debited: int, credited: int, amount: int) -> None:
        cash = self.worlds[chain].venues[0]["ledger"]["accounts"]["cash"]
        cash[debited] -= amount
        cash[credited] += amount

    def check(self) -> None:
        """Make sure that what left and has not arrived is what the transit accounts hold together.

        Raises
        ------
        RuntimeError
            If it is not, with the amounts.
        """
        held = sum(
            int(world.venues[0]["ledger"]["accounts"]["cash"][account])
            for world, account in zip(self.worlds, self.transit, strict=True)
        )
        moving = sum(amount for *_, amount in self.under_way)
        if held != moving:
            raise RuntimeError(f"transit accounts hold {held} micro-dollars, and {moving} are on their way")
