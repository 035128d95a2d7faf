"""One chain with everything that lives on it: venue, feed, populations and records, and the order of a block.

A :class:`World` owns the packed records and knows in which order the kernels act on them. :data:`PHASES` is that order;
``World.phases`` holds it bound to one world, to be printed or timed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.arbitrageurs import take_stale_quotes
from blockspace.agents.background_users import send_transfers
from blockspace.agents.builders import bid_for_block, settle_auction
from blockspace.agents.clearing_keepers import settle_waiting_trades
from blockspace.agents.delta_hedgers import run_desks
from blockspace.agents.express_lane import auction_lane
from blockspace.agents.leveraged_traders import trade_with_leverage
from blockspace.agents.liquidators import liquidate
from blockspace.agents.liquidity_providers import provide_liquidity
from blockspace.agents.market_makers import quote
from blockspace.agents.option_makers import quote_options
from blockspace.agents.option_traders import trade_options
from blockspace.agents.option_vaults import run_vaults
from blockspace.agents.oracle_keepers import report_prices
from blockspace.agents.pool_arbitrageurs import arbitrage_pools
from blockspace.agents.sandwichers import extract, sandwich
from blockspace.agents.sight import Sight
from blockspace.agents.swappers import swap_on_private_values
from blockspace.agents.trader import Trader
from blockspace.agents.traders import trade_on_private_values, trade_on_signals
from blockspace.agents.validators import COUNTS, Validators
from blockspace.experiments.listing import list_instruments, open_first_options, open_first_pools, publish_terms
from blockspace.experiments.recording.records import Records
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.settling_in import relay, settle_in
from blockspace.markets.express_lane import new_lane
from blockspace.markets.feed import VIEWS, new_feed, publish, survey
from blockspace.markets.ledger import MICRO_DOLLARS, open_account
from blockspace.markets.margin import scan_margin
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.pending_swaps import list_pending_swaps
from blockspace.markets.perpetual import revalue
from blockspace.markets.pools.listing import range_between
from blockspace.markets.price_path import PricePath
from blockspace.markets.settings import InstrumentSettings
from blockspace.markets.trade_log import TRADE_LOG
from blockspace.markets.venue import execute, new_venue, next_event
from blockspace.network import mempool
from blockspace.network.chain import NS, Chain
from blockspace.network.faults import intervals, is_within
from blockspace.network.rollups.progress import INBOX, collect_messages
from blockspace.network.state import StateError, Stateful
from blockspace.network.transaction import (
    BURN,
    CANCEL,
    COMBINATION,
    GAS_PER_BLOB,
    LEGS,
    LIQUIDATE,
    MINT,
    PLACE,
    REPLACE,
    REPORT,
    SWAP,
)

if TYPE_CHECKING:
    from blockspace.experiments.bridge import Bridge
    from blockspace.experiments.forced_inclusion import ForcedInclusion
    from blockspace.experiments.margin_hub import MarginHub
    from blockspace.experiments.settlement import Settlement

HANDED_IN = ("route", "placement", "target", "protected")
"""How a transaction is handed in: to whom, next to what, and whether it asks for protection."""

ORDER_FIELDS = ("instrument", "order", "side", "style", "price", "size", "max_fee", "tip", "expires", *HANDED_IN)
"""What an agent in Python says of a transaction, in the order in which the mempool takes it."""

POOL_FIELDS = ("side", "style", "price", "size", "amount", "bound", "lower", "upper", *ORDER_FIELDS[-7:])
"""The same of a transaction with a pool."""

PHASES = (
    ("extend the external price", "_extend_price", None),
    ("open the block", "_open", None),
    ("survey what is visible", "_survey", None),
    ("auction the express lane", "_auction", "lanes"),
    ("background users send", "_send_transfers", None),
    ("noise traders decide", "_noise", "noise"),
    ("informed traders decide", "_informed", "informed"),
    ("arbitrageurs decide", "_arbitrage", "arbitrageurs"),
    ("pool arbitrageurs decide", "_arbitrage_pools", "pool_arbitrageurs"),
    ("swappers decide", "_swap", "swappers"),
    ("liquidity providers decide", "_provide", "providers"),
    ("market makers decide", "_quote", "makers"),
    ("option traders decide", "_trade_options", "option_traders"),
    ("option vaults decide", "_run_vaults", "option_vaults"),
    ("delta hedgers decide", "_run_desks", "delta_hedgers"),
    ("option makers decide", "_quote_options", "option_makers"),
    ("leveraged traders decide", "_trade_with_leverage", "leveraged"),
    ("liquidators decide", "_liquidate", "liquidators"),
    ("the oracle's keeper decides", "_report", "keepers"),
    ("the clearing's operator decides", "_settle_trades", "clearing_keepers"),
    ("those who insist send", "_insist", None),
    ("agents in Python decide", "_act", None),
    ("list the pending swaps", "_list_pending", None),
    ("sandwichers decide", "_sandwich", "sandwichers"),
    ("producers extract", "_extract", "extractors"),
    ("builders bid", "_bid", "builders"),
    ("fill the block", "_fill", None),
    ("revalue", "_revalue", None),
    ("execute", "_execute", None),
    ("the builder pays", "_settle_auction", "builders"),
    ("check margins", "_check_margins", None),
    ("record", "_record", None),
    ("price and publish", "_publish", None),
    ("validators stay or leave", "_review_validators", None),
    ("close the block", "_close", None),
)
"""The order of a block: what happens, the method that does it, and who must be there for there to be anything to do."""


class World(Stateful):
    """A chain, its market and its agents.

    Parameters
    ----------
    scenario
        What it is made of.
    path
        The external price, shared by all worlds of a model.
    seed
        Seed of the run.
    model
        The Mesa model that the agents belong to.
    tapes
        Where trades and transactions go: ``"memory"``, ``"none"``, or a folder for Parquet files.
    """

    CONSTANTS: ClassVar = (
        "scenario",
        "path",
        "model",
        "phases",
        "settlement",
        "forced_inclusion",
        "above",
        "steps",
        "_stalls",
        "_absent",
    )

    # One row per agent, made by settle_in.
    arbitrageurs: npt.NDArray[Any]
    builders: npt.NDArray[Any]
    clearing_keepers: npt.NDArray[Any]
    keepers: npt.NDArray[Any]
    delta_hedgers: npt.NDArray[Any]
    bidders: npt.NDArray[Any]
    leveraged: npt.NDArray[Any]
    liquidators: npt.NDArray[Any]
    providers: npt.NDArray[Any]
    makers: npt.NDArray[Any]
    option_makers: npt.NDArray[Any]
    option_traders: npt.NDArray[Any]
    option_vaults: npt.NDArray[Any]
    pool_arbitrageurs: npt.NDArray[Any]
    sandwichers: npt.NDArray[Any]
    swappers: npt.NDArray[Any]
    validators: Validators | None
    noise: npt.NDArray[Any]
    informed: npt.NDArray[Any]
    extractors: npt.NDArray[Any]
    demands: npt.NDArray[Any]
    rollup_demands: npt.NDArray[Any]

    def __init__(self, scenario: Scenario, path: PricePath, seed: int, model: Any, tapes: str | Path) -> None:
        self.scenario = scenario
        self.path = path
        self.model = model
        self.chain = _new_chain(scenario, seed)
        self._stalls = intervals(scenario.faults, "oracle_stall")
        self.lanes = new_lane(scenario.express_lane, len(self.chain.access_points), seed)
        self.venues = new_venue()
        self.feeds = new_feed()
        self.logs = np.zeros(1, TRADE_LOG)
        self.own_agents: list[Trader] = []
        self.settlement: Settlement | None = None  # of this chain on another one, if it is a rollup
        self.forced_inclusion: ForcedInclusion | None = None  # by way of its parent, if it is a rollup
        self.above: list[Settlement | Bridge | MarginHub | ForcedInclusion] = []  # rollups here, and links to others
        self.inboxes = np.zeros(1, INBOX)
        self._wealth_before = 0  # of the block's producer, in gwei
        self._own_phases: list[tuple[str, list[npt.NDArray[Any]] | None]] = []
        self.wallet_tip_wei = scenario.fee_market.wallet_tip_wei
        list_instruments(self)
        publish_terms(self)
        self._gas_token_price = float(self.feeds[0]["gas_token_price"])
        gas = scenario.charged_gas
        self._gas_of = {PLACE: gas.place, CANCEL: gas.cancel, REPLACE: gas.replace}
        self._gas_of |= {SWAP: gas.swap, MINT: gas.mint, BURN: gas.burn, LIQUIDATE: gas.liquidate, REPORT: gas.report}
        self.records = Records(scenario, self.venues, self.chain.pools, self.logs, tapes)
        self.records.meters[0]["lowest_base_fee"] = self.chain.lowest_base_fee
        self.records.meters[0]["usual_tip"] = self.wallet_tip_wei
        settle_in(self, seed)
        self._look_ahead_ns = int(scenario.look_ahead_s * NS)
        path.extend(self._look_ahead_ns)
        open_first_options(self)
        open_first_pools(self)
        publish(self.feeds, self.venues, self.logs, self.chain.pools, self.chain.blocks, self.chain.base_fee)
        self.feeds[0]["views"][0]["visible"] = 0
        self.phases: list[tuple[str, Callable[[], None]]] = [
            (name, getattr(self, method)) for name, method, _ in PHASES
        ]
        self._absent = {name for name, _, who in PHASES if who is not None and len(getattr(self, who)) == 0}
        if not scenario.margin.liquidations:
            self._absent.add("check margins")
        self._choose_steps()

    # Setting up.

    def open_agent_account(self, kind: str, cash_usd: float | None = None, ether: float | None = None) -> int:
        """Open an account with the scenario's endowment, or another one."""
        endowment = self.scenario.endowment
        lots = tuple(
            round(endowment.spot / instrument.lot_size) if instrument.kind == "spot" else 0
            for instrument in self.scenario.instruments
        )
        account = open_account(
            self.venues[0]["ledger"],
            endowment.cash_usd if cash_usd is None else cash_usd,
            endowment.ether if ether is None else ether,
            lots,
        )
        self.records.meters[0]["roles"][account] = ROLES.index(kind)
        return account

    # What agents in Python need.

    def access_number(self, name: str | None) -> int:
        """Number of an access point by its name; the one next to the first validator by default."""
        names = self.chain.access_points
        if name is None:
            return len(names) - 1
        if name not in names:
            raise ValueError(f"access is {name!r}; it may be {', '.join(names)}")
        return names.index(name)

    def ether_usd(self, time_ns: int) -> float:
        """Dollars per ether at a time."""
        return self._gas_token_price if self._gas_token_price > 0.0 else self.path.price(time_ns * 1e-9)

    def tick_usd(self, instrument: int) -> float:
        """Tick of an instrument in dollars."""
        return self._terms(instrument).tick_usd

    def lot_size(self, instrument: int) -> float:
        """Lot of an instrument in units of the underlying."""
        return self._terms(instrument).lot_size

    def _terms(self, instrument: int) -> InstrumentSettings | OptionSettings:
        listed = self.scenario.instruments
        return listed[instrument] if instrument < len(listed) else self.scenario.options

    def pool_instrument(self, pool: int) -> int:
        """Number of the instrument that a pool trades.

        Raises
        ------
        ValueError
            If there is no such pool.
        """
        if not 0 <= pool < len(self.scenario.pools):
            raise ValueError(f"pool is {pool}; it may be 0 to {len(self.scenario.pools) - 1}, and there must be one")
        return int(self.feeds[0]["pool_terms"][pool]["instrument"])

    def pool_range(self, pool: int, lower_usd: float, upper_usd: float) -> tuple[int, int]:
        """Ticks of a pool around a range of prices in dollars per unit; see :func:`range_between`."""
        scale = self.lot_size(self.pool_instrument(pool)) * MICRO_DOLLARS
        if self.scenario.pools[pool].kind != "concentrated":
            return 0, 0
        return range_between(lower_usd * scale, upper_usd * scale, self.scenario.pools[pool].spacing)

    def join(self, agent: Trader) -> None:
        """Let an agent written in Python take part."""
        self.own_agents.append(agent)

    def send(self, agent: Trader, *, kind: int, **fields: int) -> str:
        """Hand a transaction of an agent written in Python to the mempool."""
        outcome = mempool.submit_order(
            self.chain.pools,
            agent.account,
            agent.access,
            kind,
            self._gas_of[kind],
            self.scenario.gas.bytes_per_transaction,
            agent.decision_ns,
            *(fields.get(name, 0) for name in ORDER_FIELDS),
        )
        return mempool.OUTCOMES[outcome]

    def send_to_pool(self, agent: Trader, *, kind: int, pool: int, ticks_crossed: int = 0, **fields: int) -> str:
        """Hand a transaction of an agent written in Python with a pool to the mempool; missing fields are 0."""
        outcome = mempool.submit_to_pool(
            self.chain.pools,
            agent.account,
            agent.access,
            kind,
            self._gas_of[kind] + ticks_crossed * self.scenario.gas.swap_tick,
            self.scenario.gas.bytes_per_transaction,
            agent.decision_ns,
            int(self.feeds[0]["pool_terms"][pool]["instrument"]),
            pool,
            *(fields.get(name, 0) for name in POOL_FIELDS),
        )
        return mempool.OUTCOMES[outcome]

    def send_combination(self, agent: Trader, legs: npt.NDArray[np.int64], size: int, bound: int, **fields: int) -> str:
        """Hand a combination of an agent written in Python to the mempool."""
        gas = self.scenario.charged_gas
        outcome = mempool.submit_combination(
            self.chain.pools,
            agent.account,
            agent.access,
            COMBINATION,
            gas.place + len(legs) // 2 * gas.leg,
            gas.bytes_per_transaction,
            agent.decision_ns,
            np.concatenate([legs, np.zeros(2 * LEGS - len(legs), np.int64)]),
            size,
            bound,
            *(fields[name] for name in ("max_fee", "tip", "expires")),
        )
        return mempool.OUTCOMES[outcome]

    # What a checkpoint holds.

    def state(self) -> dict[str, Any]:
        """What the world holds, as plain data and arrays.

        Raises
        ------
        StateError
            If an agent or a phase of the user's own has state that is not known.
        """
        for name, arrays in self._own_phases:
            if arrays is None:
                raise StateError(
                    f"the phase {name!r} does not say which arrays it changes, so that it cannot be saved: "
                    "tell insert_phase, with arrays=[] if there are none"
                )
        return super().state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the world was that :meth:`state` was taken from.

        Raises
        ------
        StateError
            If agents or phases of the user's own are not those of that world.
        """
        there = [part.kind for part in state["own_agents"]]
        here = [type(agent).__name__ for agent in self.own_agents]
        if there != here:
            raise StateError(
                f"the checkpoint has {_listed('agent', there)} in Python and the market has {_listed('agent', here)}: "
                "make the same ones, in the same order, and then restore the market"
            )
        phases = [[(name, _shapes(arrays)) for name, arrays in own] for own in (state["_own_phases"], self._own_phases)]
        if phases[0] != phases[1]:
            there, here = ([name for name, _ in own] for own in phases)
            raise StateError(
                f"the checkpoint has {_listed('phase', there)} of the user's own and the market has "
                f"{_listed('phase', here)}: insert the same ones, with arrays of the same sizes, and then restore it"
            )
        super().restore(state)

    # The phases of a block.

    def make_block(self) -> None:
        """Make the next block that can hold anything: all phases in their order."""
        for step in self.steps:
            step()

    def insert_phase(
        self,
        name: str,
        function: Callable[[], None],
        before: str = "builders bid",
        arrays: Sequence[npt.NDArray[Any]] | None = None,
    ) -> None:
        """Add a phase to the order of a block: how a population with a kernel of its own takes part.

        Parameters
        ----------
        name
            What happens in it.
        function
            What does it.
        before
            Name of the phase ahead of which it comes.
        arrays
            What the phase changes of its own, such as the rows of a population, for checkpoints; an empty list if that
            is nothing. A run with a phase that does not say so cannot be saved.

        Raises
        ------
        ValueError
            If there is no phase of that name.
        """
        names = [known for known, _ in self.phases]
        if before not in names:
            raise ValueError(f"before is {before!r}; it may be {', '.join(names)}")
        self.phases.insert(names.index(before), (name, function))
        self._choose_steps()
        self._own_phases.append((name, None if arrays is None else list(arrays)))

    def _choose_steps(self) -> None:
        self.steps = [step for name, step in self.phases if name not in self._absent]

    def _extend_price(self) -> None:
        self.path.extend(self.chain.next_time_ns + self._look_ahead_ns)

    def _open(self) -> None:
        self.chain.open()
        if self.settlement is not None:
            self.settlement.open_block(self.chain.time_ns)
        self.feeds[0]["next_due"] = 2**62
        if self.chain.timing is not None:
            self._wealth_before = self._wealth_of_producer()

    def _wealth_of_producer(self) -> int:
        """Whole gwei on the account of the block's producer."""
        return int(self.venues[0]["ledger"]["accounts"]["gwei"][int(self.chain.blocks[0]["producer_account"])])

    def _survey(self) -> None:
        survey(self.feeds, self.path.record, self.chain.blocks)

    def _auction(self) -> None:
        auction_lane(
            self.lanes,
            self.bidders,
            self.arbitrageurs,
            self.pool_arbitrageurs,
            self.feeds,
            self.venues,
            self.logs,
            self.path.record,
            self.chain.blocks,
        )

    def _send_transfers(self) -> None:
        send_transfers(self.demands, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)
        if self.scenario.other_rollups.arrivals_per_s > 0.0:
            send_transfers(self.rollup_demands, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)

    def _noise(self) -> None:
        trade_on_private_values(self.noise, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)

    def _informed(self) -> None:
        trade_on_signals(self.informed, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)

    def _arbitrage(self) -> None:
        take_stale_quotes(self.arbitrageurs, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _arbitrage_pools(self) -> None:
        arbitrage_pools(self.pool_arbitrageurs, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _swap(self) -> None:
        swap_on_private_values(self.swappers, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)

    def _provide(self) -> None:
        provide_liquidity(self.providers, self.feeds, self.chain.pools, self.chain.blocks)

    def _quote(self) -> None:
        quote(self.makers, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _trade_options(self) -> None:
        trade_options(self.option_traders, self.feeds, self.chain.pools, self.path.record, self.chain.blocks)

    def _run_vaults(self) -> None:
        run_vaults(self.option_vaults, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _run_desks(self) -> None:
        run_desks(self.delta_hedgers, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _quote_options(self) -> None:
        quote_options(self.option_makers, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _trade_with_leverage(self) -> None:
        trade_with_leverage(self.leveraged, self.feeds, self.chain.pools, self.chain.blocks)

    def _liquidate(self) -> None:
        liquidate(self.liquidators, self.feeds, self.chain.pools, self.chain.blocks)

    def _report(self) -> None:
        if not is_within(self._stalls, self.chain.time_ns):
            report_prices(self.keepers, self.feeds, self.chain.pools, self.chain.blocks)

    def _settle_trades(self) -> None:
        settle_waiting_trades(self.clearing_keepers, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _insist(self) -> None:
        if self.forced_inclusion is not None:
            due = self.forced_inclusion.open_block(self.chain.time_ns)
            self.feeds[0]["next_due"] = min(int(self.feeds[0]["next_due"]), due)

    def _act(self) -> None:
        if not self.own_agents:
            return
        feed = self.feeds[0]
        sights: dict[int, Sight] = {}
        for agent in self.own_agents:
            if agent.access not in sights:
                sights[agent.access] = Sight(feed, agent.access)
            sight = sights[agent.access]
            if sight.fresh:
                agent.observe(sight)
                agent.act()

    def _list_pending(self) -> None:
        public = self.scenario.chain.mempool == "public"
        if len(self.extractors) or (public and len(self.sandwichers)):
            list_pending_swaps(self.feeds, self.chain.pools, self.chain.blocks)

    def _sandwich(self) -> None:
        sandwich(self.sandwichers, self.feeds, self.logs, self.chain.pools, self.chain.blocks)

    def _extract(self) -> None:
        extract(self.extractors, self.feeds, self.logs, self.chain.pools, self.path.record, self.chain.blocks)

    def _bid(self) -> None:
        if not self.chain.missed:
            self.chain.rank()
            bid_for_block(self.builders, self.chain.pools, self.chain.blocks)

    def _fill(self) -> None:
        self.chain.fill()

    def _revalue(self) -> None:
        if self.chain.missed:
            return
        revalue(self.venues, self.logs, self.path.record, self.chain.blocks)

    def _execute(self) -> None:
        if self.chain.missed:
            return
        execute(self.venues, self.logs, self.chain.pools, self.chain.blocks)
        if self.above:
            collect_messages(self.inboxes, self.chain.pools, self.chain.blocks)

    def _settle_auction(self) -> None:
        if not self.chain.missed:
            settle_auction(self.builders, self.venues, self.chain.pools, self.chain.blocks)

    def _check_margins(self) -> None:
        if self.chain.missed:
            return
        scan_margin(self.venues, self.chain.blocks)

    def _record(self) -> None:
        if self.chain.missed:
            return
        self.records.record(self.chain.blocks, self.path.record, self._gas_token_price)
        if self.settlement is not None:
            self.settlement.note_block(self.records.latest_value_micro_usd())

    def _publish(self) -> None:
        if self.chain.missed:
            return
        base_fee = self.chain.price_next(int(self.chain.blocks["gas_used"][0]))  # and that of blobs
        publish(self.feeds, self.venues, self.logs, self.chain.pools, self.chain.blocks, base_fee)
        for linked in self.above:
            linked.take_in(self)

    def _review_validators(self) -> None:
        """Let validators take in a block that counts, and decide whether to stay when it is time to."""
        validators, chain = self.validators, self.chain
        if validators is None:
            return
        if not chain.missed:
            blobs = int(chain.blocks[0]["blobs"]) * self.scenario.attestation.sampled_share * GAS_PER_BLOB
            validators.note_block(int(chain.blocks[0]["gas_used"]), int(chain.blocks[0]["bytes"]) + int(blobs))
        if not validators.is_due(chain.time_ns):
            return
        tips_gwei = int(self.venues[0]["ledger"]["accounts"]["gwei"][validators.rows["account"]].sum())
        counts, voted = np.zeros(len(validators.rows), COUNTS), 0
        if chain.attestation is not None:
            voted = chain.attestation.voted
            for name in ("slots", "missed", "votes"):
                counts[name] = getattr(chain.attestation, name)
        if validators.review(chain.time_ns, tips_gwei, self.ether_usd(chain.time_ns), counts, voted):
            chain.delegate(validators.rows["stake_share"])

    def _close(self) -> None:
        if self.chain.timing is None:
            self.chain.close()
        else:
            self.chain.close(self._wealth_of_producer() - self._wealth_before)
        if self.settlement is not None:
            self.settlement.close_block(self.chain.time_ns)
        self._skip_idle_blocks()

    def _skip_idle_blocks(self) -> None:
        """Let blocks pass at once that come before anybody can be in them."""
        chain = self.chain
        if self.own_agents:
            return
        due = int(self.feeds["next_due"][0])
        if self.scenario.margin.liquidations or len(self.leveraged):  # there are those who watch marks
            due = min(due, chain.time_ns + round(self.scenario.margin.watch_interval_s * NS))
        if due <= chain.next_time_ns:
            return
        due = int(next_event(self.venues, due))
        if chain.skip_empty_blocks(due) > 0:
            last = self.feeds[0]["views"][(int(self.feeds["count"][0]) - 1) & (VIEWS - 1)]
            last["base_fee"] = chain.base_fee


def _new_chain(scenario: Scenario, seed: int) -> Chain:
    """Make the chain with all that its blocks go through: lane, votes, forks, timing games, faults and builders."""
    chain = Chain(scenario.chain, scenario.fee_market, scenario.topology, scenario.mempool, seed)
    warm_up_ns = round(scenario.warm_up_s * NS)
    if scenario.express_lane.round_s > 0:
        chain.open_express_lane(round(scenario.express_lane.delay_s * NS))
    if scenario.attestation.deadline_s > 0:
        chain.attest(scenario.attestation, warm_up_ns)
    if scenario.chain.block_arrivals == "poisson":
        chain.fork(warm_up_ns)
    if scenario.timing_games.share > 0:
        chain.play_timing_games(scenario.timing_games, warm_up_ns)
    if scenario.faults:
        chain.break_down(scenario.faults)
    if scenario.builders.count:
        chain.build_at(relay(scenario))
    return chain


def _listed(what: str, names: list[str]) -> str:
    """Say how many of something there are, and their names."""
    if not names:
        return f"no {what}s"
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _shapes(arrays: list[npt.NDArray[Any]] | None) -> list[Any]:
    return [(array.shape, array.dtype) for array in arrays or ()]
