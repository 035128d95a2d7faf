"""The margin hub: accounts of one owner on several chains, what each chain knows of the others, and what it does then.

A hub has a part on every chain, which acts at the end of that chain's blocks and on nothing but what has got there: its
own ledger, and the states of other chains that messages have brought. So a chain that halts is remembered as it was.

=========  ============================================================================================================
isolated   nothing is linked
pooled     a chain whose owner is short on another one sends collateral there
unified    a chain counts as credit what the others have beyond what all positions need together; a chain whose owner
           has less than nothing on another one sends what is missing, as far as it is there
=========  ============================================================================================================

What an account without positions owes and what has not come after a while is written off as a bad debt; should it
come later after all, it goes to the insurance fund.

Equity is remembered *without transfers*: less what has arrived, and with what has left. So nothing that is under way is
counted twice or not at all, whichever side of it a message has seen.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.hedgers import new_hedgers
from blockspace.agents.margin_messengers import STATES, MarginMessenger
from blockspace.experiments.collateral_transfers import CollateralTransfers
from blockspace.markets.ledger import GENESIS, MICRO_DOLLARS
from blockspace.markets.liquidation import settle_debt
from blockspace.markets.unified_margin import KEPT_STATES, credit_for, top_up, unified_requirement
from blockspace.network.chain import NS
from blockspace.network.state import Stateful
from blockspace.network.transaction import CLAIM

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.world import World

COUNTERPARTY_CAPITAL = 4
"""What the other side of the hedgers' positions owns, in their value."""


class MarginHub(Stateful):
    """Links the accounts of hedgers on all chains with liquidations.

    Parameters
    ----------
    model
        The market, whose chains are there already.
    seed
        Seed of the run.

    Attributes
    ----------
    hedgers : numpy.ndarray
        One row of type ``HEDGER`` for each owner.
    accounts : numpy.ndarray
        Account of each owner on each chain, (owners, chains).
    """

    CONSTANTS: ClassVar = (
        "settings",
        "hedger_settings",
        "worlds",
        "messengers",
        "instruments",
        "rates",
        "buffer_floor",
    )

    def __init__(self, model: "Market", seed: int) -> None:
        scenario = model.settings
        self.settings, self.hedger_settings = scenario.unified_margin, scenario.hedgers
        self.worlds = [world for world in model.worlds if world.scenario.margin.liquidations]
        chains, owners = len(self.worlds), scenario.hedgers.count
        self.instruments = [_first_perpetual(world) for world in self.worlds]
        self.rates = np.array([_maintenance_rate(world) for world in self.worlds])
        self.buffer_floor = float(self.settings.buffer_rate(self.settings.message_delay_s * NS))
        self.hedgers = new_hedgers(scenario.hedgers, chains, seed)
        self.accounts = np.array(
            [[world.open_agent_account("hedger", 0.0, 0.0) for world in self.worlds] for _ in range(owners)], np.int64
        )
        self.transfers = CollateralTransfers(self.worlds, int(self.settings.transfer_delay_s * NS))
        # What there is of each chain: the last states, and the newest state of each that has become known on each.
        self.state_count = np.zeros(chains, np.int64)
        self.state_time = np.zeros((chains, KEPT_STATES), np.int64)
        self.states = np.zeros((chains, KEPT_STATES, 3, owners), np.int64)  # equity without transfers, moved, value
        self.next_state = np.zeros(chains, np.int64)
        self.known_time = np.zeros((chains, chains), np.int64)  # on each chain, of each chain
        self.known = np.zeros((chains, chains, 3, owners), np.int64)
        self.moved = np.zeros((owners, chains), np.int64)  # micro-dollars sent from the chain less those that arrived
        self.settled = np.zeros((chains, owners), np.int64)  # ns at which all that was sent to the chain is there
        self.owed_since = np.zeros((owners, chains), np.int64)  # ns; 0 where nothing is owed
        self.written_off = np.zeros((owners, chains), np.int64)  # micro-dollars that have not come back
        self.bad_debts = np.zeros((chains, 3), np.int64)  # paid by the fund, by others, and recovered; micro-dollars
        self.messages = np.zeros(chains, np.int64)  # that arrived on each chain
        self.age_sum = np.zeros(chains)  # seconds: of what they said
        self.posted = self._endow()
        self.messengers = [self._messenger(model, place) for place in range(chains)]
        self.synchronise(0)
        for world in self.worlds:
            world.above.append(self)

    # Setting up.

    def _messenger(self, model: "Market", place: int) -> MarginMessenger:
        settings, world = self.settings, self.worlds[place]
        gas = settings.fixed_gas + settings.account_gas * len(self.accounts)
        return MarginMessenger(model, world, self, place, settings, gas, 200 + 16 * len(self.accounts))

    def _endow(self) -> npt.NDArray[np.int64]:
        """Give each owner its positions and the collateral that the rules ask for; returns it, (owners, chains)."""
        owners, chains = self.accounts.shape
        lots = np.zeros((owners, chains), np.int64)
        marks = np.zeros(chains, np.int64)
        for place, (world, instrument) in enumerate(zip(self.worlds, self.instruments, strict=True)):
            marks[place] = mark = round(world.path.price(0.0) * world.lot_size(instrument) * MICRO_DOLLARS)
            for leg, sign in (("long", 1), ("short", -1)):
                chosen = self.hedgers[leg] == place
                usd = self.hedgers[f"{leg}_usd"][chosen]
                lots[chosen, place] += sign * np.rint(usd * MICRO_DOLLARS / mark).astype(np.int64)
        posted = self._collateral(lots * marks)
        for place, world in enumerate(self.worlds):
            worth = int(np.abs(lots[:, place]).sum() * marks[place])
            other_side = world.open_agent_account("system", COUNTERPARTY_CAPITAL * worth / MICRO_DOLLARS, 0.0)
            own, ledger = self.accounts[:, place], world.venues[0]["ledger"]["accounts"]
            ledger["cash"][GENESIS] -= posted[:, place].sum()
            ledger["cash"][own] += posted[:, place]
            for account, held in zip(own.tolist(), lots[:, place].tolist(), strict=True):
                paid = held * int(marks[place])
                for holder, side in ((account, 1), (other_side, -1)):
                    ledger["position"][holder, self.instruments[place]] += side * held
                    ledger["cash"][holder] -= side * paid
                    world.venues[0]["margin"]["cost"][holder, self.instruments[place]] += side * paid
            instrument = world.venues[0]["instruments"][self.instruments[place]]
            instrument["mark"] = instrument["index"] = marks[place]
        return posted

    def _collateral(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What owners of positions of these values bring: initial requirements and a cushion, by what the rules count.

        Where requirements are counted together, it lies on the chains in proportion to the legs.
        """
        initial = np.array([1.0 / world.scenario.margin.maintenance_share for world in self.worlds])
        alone = np.abs(values) * self.rates * initial
        share = np.ones(len(values))
        if self.settings.mode == "unified" and self.hedger_settings.collateral == "as_required":
            together = self._together(values, np.full(values.shape[1], self.buffer_floor))
            share = together / np.maximum((np.abs(values) * self.rates).sum(axis=1), 1.0)
        return np.ceil(alone * (share * self.hedgers["cushion"])[:, None]).astype(np.int64)

    def _together(self, values: npt.NDArray[Any], buffer_rates: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return unified_requirement(values, self.rates, self.settings.correlation, buffer_rates)

    def synchronise(self, time_ns: int, age_ns: int = 0) -> None:
        """Let every chain know all others as they are, as if messages of this age had just arrived everywhere."""
        for place in range(len(self.worlds)):
            self._remember(place, time_ns - age_ns)
            newest = (int(self.state_count[place]) - 1) % KEPT_STATES
            self.known[:, place] = self.states[place, newest]
            self.known_time[:, place] = time_ns - age_ns
        for place in range(len(self.worlds)):
            self._give_credit(place, time_ns)

    # What messengers see.

    def others(self, place: int) -> list[int]:
        """Chains that send their states to one; none where nothing is linked."""
        return [other for other in range(len(self.worlds)) if other != place and self.settings.mode != "isolated"]

    def newest_state(self, place: int, latest_ns: int) -> int:
        """Number of the newest state of a chain that is not later than this; -1 if none is left."""
        count = int(self.state_count[place])
        for number in range(count - 1, max(count - KEPT_STATES, 0) - 1, -1):
            if int(self.state_time[place, number % KEPT_STATES]) <= latest_ns:
                return number
        return -1

    # At the end of a block.

    def take_in(self, world: "World") -> None:
        """Act on a chain at the end of its block."""
        place, now = self.worlds.index(world), int(world.chain.time_ns)
        self._receive_messages(place, now)
        self._receive_cash(place, now)
        if now >= self.next_state[place]:
            self.next_state[place] = now + int(self.settings.message_interval_s * NS)
            self._remember(place, now)
        if self.settings.mode != "isolated":
            self._send_cash(place, now)
        if self.settings.mode == "unified":
            self._write_off(place, now)
            self._give_credit(place, now)

    def look(self, place: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Equity of each owner on a chain, less what was written off and is still owed, and the value of its leg."""
        venue, own = self.worlds[place].venues[0], self.accounts[:, place]
        accounts, number = venue["ledger"]["accounts"], self.instruments[place]
        value = accounts["position"][own, number] * int(venue["instruments"][number]["mark"])
        return accounts["cash"][own] + value - self.written_off[:, place], value

    def _remember(self, place: int, now: int) -> None:
        equity, value = self.look(place)
        slot = int(self.state_count[place]) % KEPT_STATES
        self.states[place, slot] = equity + self.moved[:, place], self.moved[:, place], value
        self.state_time[place, slot] = now
        self.state_count[place] += 1

    def _receive_messages(self, place: int, now: int) -> None:
        inbox = self.worlds[place].inboxes[0]
        for message in inbox["messages"][: int(inbox["count"])]:
            if message["kind"] != CLAIM or message["sender"] != self.messengers[place].account:
                continue
            other, number = divmod(int(message["number"]), STATES)
            time = int(self.state_time[other, number % KEPT_STATES])
            if number >= int(self.state_count[other]) - KEPT_STATES and time > self.known_time[place, other]:
                self.known_time[place, other] = time
                self.known[place, other] = self.states[other, number % KEPT_STATES]
                self.messages[place] += 1
                self.age_sum[place] += (now - time) / NS

    def _receive_cash(self, place: int, now: int) -> None:
        own = self.accounts[:, place]
        world = self.worlds[place]
        cash = world.venues[0]["ledger"]["accounts"]["cash"]
        for account, amount in self.transfers.arrive(place, now):
            owner = int(np.searchsorted(own, account))
            self.moved[owner, place] -= amount
            back = min(amount, int(self.written_off[owner, place]))
            self.written_off[owner, place] -= back
            self.bad_debts[place, 2] += back
            cash[account] -= back
            cash[int(world.venues[0]["margin"]["insurance"])] += back

    def _send_cash(self, place: int, now: int) -> None:
        """Send what is short elsewhere as far as is known, unless that is under way already."""
        equity, value = self.look(place)
        needed = np.abs(value) * self.rates[place]
        for other in self.others(place):
            without, moved, there_value = self.known[place, other]
            there, there_needed = without - moved, np.abs(there_value) * self.rates[other]
            if self.settings.mode == "pooled":
                short = there < self.settings.top_up_at * there_needed
                amounts = top_up(equity, needed, there, there_needed)
            else:
                short = there < 0
                amounts = np.minimum(-there, np.maximum(equity, 0))
            arrived = self.settled[other] <= self.known_time[place, other]
            for owner in np.flatnonzero(short & arrived & (amounts > 0)).tolist():
                amount = int(amounts[owner])
                accounts = self.accounts[owner]
                self.settled[other, owner] = self.transfers.send(
                    place, int(accounts[place]), other, int(accounts[other]), amount, now
                )
                self.moved[owner, place] += amount
                equity[owner] -= amount

    def _give_credit(self, place: int, now: int) -> None:
        """Count on a chain what owners have on the others as far as is known there."""
        if self.settings.mode != "unified":
            return
        _, value = self.look(place)
        values = self.known[place, :, 2].T.copy()
        values[:, place] = value
        others = self.others(place)
        elsewhere = self.known[place, others, 0].sum(axis=0) + self.moved[:, place]
        ages = now - self.known_time[place]
        ages[place] = ages[others].max()
        buffers = self.settings.buffer_rate(np.maximum(ages, int(self.settings.message_delay_s * NS)))
        credit = credit_for(place, elsewhere, values, self.rates, self._together(values, buffers))
        self.worlds[place].venues[0]["margin"]["credit"][self.accounts[:, place]] = credit

    def _write_off(self, place: int, now: int) -> None:
        """Settle what accounts without positions owe, and what has not come in time."""
        world, own = self.worlds[place], self.accounts[:, place]
        accounts = world.venues[0]["ledger"]["accounts"]
        owes = (accounts["position"][own, self.instruments[place]] == 0) & (accounts["cash"][own] < 0)
        since = self.owed_since[:, place]
        since[~owes] = 0
        since[owes & (since == 0)] = now
        for owner in np.flatnonzero(owes & (now - since >= int(self.settings.grace_s * NS))).tolist():
            insured, socialised = settle_debt(world.venues, np.int64(own[owner]))
            self.written_off[owner, place] += insured + socialised
            self.bad_debts[place, :2] += insured, socialised

    def check(self) -> None:
        """Make sure that all cash between the chains is accounted for, and that none is remembered where it is not.

        Raises
        ------
        RuntimeError
            If it is not, with the amounts.
        """
        self.transfers.check()
        moving = sum(amount for *_, amount in self.transfers.under_way)
        if int(self.moved.sum()) != moving:
            raise RuntimeError(f"owners have sent {int(self.moved.sum())} more than arrived, and {moving} is under way")


def _first_perpetual(world: "World") -> int:
    return [instrument.kind for instrument in world.scenario.instruments].index("perpetual")


def _maintenance_rate(world: "World") -> float:
    """Maintenance requirement of a position of the first perpetual by itself, as a share of its value."""
    margin = world.scenario.margin
    initial = world.scenario.instruments[_first_perpetual(world)].initial_margin
    return (margin.price_shock if margin.mode == "portfolio" else initial) * margin.maintenance_share
