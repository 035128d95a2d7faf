"""What in a scenario must fit together; each complaint is one sentence."""

from typing import TYPE_CHECKING

from blockspace.experiments.cross_chain import require_cross_chain_fits
from blockspace.experiments.forced_inclusion import require_insisting_fits
from blockspace.experiments.scenario.populations import OPTION_POPULATIONS, POOL_POPULATIONS
from blockspace.markets.ledger import ACCOUNTS, FIRST_FREE_ACCOUNT, INSTRUMENTS
from blockspace.network.blob_market import USABLE_BYTES_PER_BLOB, blob_limit
from blockspace.network.faults import LOSE_BLOCKS, OF_ROLLUPS
from blockspace.network.settings import did_you_mean as did_you_mean
from blockspace.network.transaction import LEGS

if TYPE_CHECKING:
    from blockspace.experiments.scenario.settings import Scenario

FEWEST_TICKS, MOST_TICKS = 100, 500_000
"""Prices in ticks between which a book has room on both sides."""


MOST_CASH_USD = 4e12
MOST_ETHER = 4e9
"""What all agents together may own: half of what 64 bits of micro-dollars or gwei hold."""


LONGEST_LOOK_BACK_S = 3_700
"""Seconds between the latest price that is known and the earliest that a settlement can still ask for."""


def require_fits(scenario: "Scenario") -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    ValueError
        With one sentence: the setting, its value and what it may be.
    """
    _require_gas(scenario)
    _require_slots_fit(scenario)
    if scenario.warm_up_s >= scenario.duration_s:
        raise ValueError(f"warm_up_s is {scenario.warm_up_s:g}; it must be below duration_s, {scenario.duration_s:g}")
    _require_accounts_fit(scenario)
    names = [instrument.name for instrument in scenario.instruments]
    if len(set(names)) < len(names):
        raise ValueError(f"the instruments are called {', '.join(names)}; each must have a name of its own")
    _require_builders_fit(scenario)
    _require_pools_fit(scenario)
    _require_margin(scenario)
    _require_leverage(scenario)
    _require_clearing(scenario)
    _require_options_fit(scenario)
    _require_chains_fit(scenario)
    _require_hedgers_fit(scenario)
    require_cross_chain_fits(scenario)
    _require_faults_fit(scenario)
    require_insisting_fits(scenario)
    if scenario.price.source != "file":
        require_ticks(scenario, "price.initial_usd", scenario.price.initial_usd)


def _require_gas(scenario: "Scenario") -> None:
    """Refuse blocks that cannot hold the largest transaction of the market."""
    gas = scenario.gas
    smallest = max(gas.place, gas.quote + 2 * scenario.market_makers.levels * gas.quote_level)
    if scenario.pools:
        smallest = max(smallest, gas.mint, gas.burn, gas.swap + gas.swap_tick)
    if scenario.margin.liquidations:
        smallest = max(smallest, gas.liquidate)
    if scenario.venue.oracle == "on_chain":
        smallest = max(smallest, gas.report)
    if scenario.options.count:
        smallest = max(smallest, gas.place + LEGS * gas.leg)
        smallest = max(smallest, gas.quote + 2 * scenario.option_makers.levels * gas.quote_level)
    if scenario.venue.settlement != "immediate":
        smallest = max(smallest, gas.settle + 2 * gas.settle_account)
    if scenario.chain.gas_limit < smallest:
        raise ValueError(
            f"chain.gas_limit is {scenario.chain.gas_limit}; it must be at least {smallest}, the gas of the "
            "largest transaction of the market"
        )


def _require_accounts_fit(scenario: "Scenario") -> None:
    """Refuse more accounts than the ledger has, or more wealth than its integers hold."""
    populations = (
        scenario.market_makers,
        scenario.noise_traders,
        scenario.informed_traders,
        scenario.arbitrageurs,
    )
    counts = [population.count for population in populations]
    counts += [getattr(scenario, name).count for name in (*POOL_POPULATIONS, *OPTION_POPULATIONS)]
    if scenario.producers.extracting_share:
        counts.append(scenario.topology.validators)  # at the most
    accounts = scenario.topology.validators + sum(counts) + scenario.builders.count + 2 * len(scenario.pools)
    accounts += scenario.leveraged_traders.count + scenario.liquidators.count
    accounts += scenario.hedgers.count + 3 * (scenario.hedgers.count > 0)
    accounts += scenario.cross_chain_arbitrageurs.count
    accounts += scenario.margin.liquidations + (scenario.venue.oracle == "on_chain")
    accounts += scenario.venue.settlement != "immediate"
    if accounts > ACCOUNTS - FIRST_FREE_ACCOUNT:
        raise ValueError(
            f"topology.validators and the counts of the agents add up to {accounts}; they may be at most "
            f"{ACCOUNTS - FIRST_FREE_ACCOUNT}, the accounts of the ledger"
        )
    agents = max(sum(counts) + scenario.builders.count, 1)
    for name, most in (("cash_usd", MOST_CASH_USD), ("ether", MOST_ETHER)):
        share = getattr(scenario.endowment, name)
        if share * agents > most:
            raise ValueError(
                f"endowment.{name} is {share:g} for each of {agents} agents; it may be at most {most / agents:g}, "
                "so that all of it together fits into the ledger's integers"
            )


def _require_chains_fit(scenario: "Scenario") -> None:
    """Refuse chains that cannot be told apart, and rollups without a chain to settle on."""
    chains = {one.name: one for one in (scenario, *scenario.chains)}
    if len(chains) <= len(scenario.chains):
        names = ", ".join(one.name for one in (scenario, *scenario.chains))
        raise ValueError(f"the chains are called {names}; each must have a name of its own")
    for one in scenario.chains:
        if one.chains:
            raise ValueError(f"the chain {one.name} has chains of its own; only the first chain of a market may")
    undoing = [(one, fault.kind) for one in chains.values() for fault in one.faults if fault.kind in LOSE_BLOCKS]
    for undone, kind in undoing:
        for population in ("hedgers", "cross_chain_arbitrageurs"):
            count = getattr(scenario, population).count
            if count:
                raise ValueError(
                    f"{population}.count is {count}; it must be 0 where blocks of a chain can be undone, and "
                    f"{undone.name} has a fault of kind {kind!r}"
                )
        for one in chains.values():
            parent = one.rollup.parent or (scenario.chains[0].name if scenario.chains else "")
            if one is not undone and one.rollup.kind != "none" and undone.name in (parent, one.rollup.data_chain):
                raise ValueError(
                    f"{undone.name} has a fault of kind {kind!r}; it may be so only where no chain settles on it, "
                    f"and {one.name} does"
                )
    for one in chains.values() if scenario.chains else ():
        if one.rollup.kind != "none":
            _require_chains_below(scenario, one, [other for name, other in chains.items() if name != one.name])


def _require_hedgers_fit(scenario: "Scenario") -> None:
    """Refuse hedgers without two chains on which their accounts can be linked."""
    for one in scenario.chains:
        if one.hedgers.count:
            raise ValueError(
                f"hedgers.count of {one.name} is {one.hedgers.count}; it must be 0 on further chains: those of the "
                "first chain are on all of them"
            )
    if not scenario.hedgers.count or not scenario.chains:
        return
    linked = [one for one in (scenario, *scenario.chains) if one.margin.liquidations]
    if len(linked) < 2:
        raise ValueError(
            f"hedgers.count is {scenario.hedgers.count}; it must be 0 unless margin.liquidations is true on at least "
            f"two chains, and it is so on {len(linked)}"
        )
    gas = scenario.unified_margin.fixed_gas + scenario.unified_margin.account_gas * scenario.hedgers.count
    for one in linked:
        if one.margin.mode == "isolated":
            raise ValueError(f"margin.mode of {one.name} is 'isolated'; with hedgers it must be 'cross' or 'portfolio'")
        if not any(instrument.kind == "perpetual" for instrument in one.instruments):
            raise ValueError(f"the chain {one.name} has no perpetual; it must have one where there are hedgers")
        if scenario.unified_margin.mode != "isolated" and gas > one.chain.gas_limit:
            raise ValueError(
                f"unified_margin.account_gas is {scenario.unified_margin.account_gas}; with {scenario.hedgers.count} "
                f"accounts a message takes {gas} gas, and a block of {one.name} has {one.chain.gas_limit}"
            )


def _require_chains_below(scenario: "Scenario", rollup: "Scenario", others: "list[Scenario]") -> None:
    """Refuse a rollup whose parent is not there, or whose postings do not fit onto the chain with its data."""
    settings, names = rollup.rollup, {one.name: one for one in others}
    for setting in ("parent", "data_chain"):
        named = getattr(settings, setting)
        itself = setting == "parent" and not named and rollup is scenario.chains[0]
        if itself or named not in ("", *names):
            raise ValueError(
                f"rollup.{setting} of {rollup.name} is {named!r}; it must be the name of another chain, "
                f"{' or '.join(names)}"
            )
    data = names[settings.data_chain or settings.parent or scenario.chains[0].name]
    posting = settings.posting
    most_blobs = blob_limit(data.chain.blobs)
    if settings.data == "blobs" and posting.batch_bytes > most_blobs * USABLE_BYTES_PER_BLOB:
        raise ValueError(
            f"rollup.posting.batch_bytes of {rollup.name} is {posting.batch_bytes}; the {most_blobs} blobs of a "
            f"block of {data.name} (chain.blobs is {data.chain.blobs!r}) hold "
            f"{most_blobs * USABLE_BYTES_PER_BLOB}"
        )
    insisting, parent = settings.insisting, names[settings.parent or scenario.chains[0].name]
    if insisting.users_per_h and insisting.gas > parent.chain.gas_limit:
        raise ValueError(
            f"rollup.insisting.gas of {rollup.name} is {insisting.gas}; a block of {parent.name} has "
            f"{parent.chain.gas_limit}"
        )
    gas = posting.fixed_gas + (posting.batch_bytes * posting.gas_per_byte if settings.data == "calldata" else 0)
    if gas > data.chain.gas_limit:
        raise ValueError(
            f"rollup.posting.batch_bytes of {rollup.name} is {posting.batch_bytes}; with that much a posting takes "
            f"{gas:.0f} gas, and a block of {data.name} has {data.chain.gas_limit}"
        )


def _require_faults_fit(scenario: "Scenario") -> None:
    """Refuse faults of what is not there."""
    for number, fault in enumerate(scenario.faults):
        where = f"faults.{number}"
        if fault.kind in OF_ROLLUPS and scenario.rollup.kind == "none":
            raise ValueError(f"{where}.kind is {fault.kind!r}; it may be so only where rollup.kind is not 'none'")
        needed = {"false_claim": "optimistic", "prover_failure": "validity"}.get(fault.kind, scenario.rollup.kind)
        if scenario.rollup.kind != needed:
            raise ValueError(f"{where}.kind is {fault.kind!r}; it may be so only where rollup.kind is {needed!r}")
        if fault.kind in LOSE_BLOCKS:
            _require_blocks_can_be_undone(scenario, f"{where}.kind is {fault.kind!r}")
        if fault.kind == "oracle_stall" and scenario.venue.oracle != "on_chain":
            raise ValueError(f"{where}.kind is 'oracle_stall'; it may be so only where venue.oracle is 'on_chain'")
        if fault.kind in ("outage", "crash") and scenario.timing_games.share > 0:
            raise ValueError(f"{where}.kind is {fault.kind!r}; it may be so only where timing_games.share is 0")
        missing = [name for name in fault.regions if name not in scenario.topology.regions]
        if missing:
            raise ValueError(
                f"{where}.regions has {missing[0]!r}; it may have those of topology.regions, "
                f"{', '.join(scenario.topology.regions)}"
            )


def _require_blocks_can_be_undone(scenario: "Scenario", fault: str) -> None:
    """Refuse to undo blocks where more would have to be undone than what accounts own."""
    for needed, lacking in (
        ("venue.settlement is 'immediate'", scenario.venue.settlement != "immediate"),
        ("options.expiries_days is empty", scenario.options.count > 0),
        ("pools is empty", len(scenario.pools) > 0),
    ):
        if lacking:
            raise ValueError(f"{fault}; it may be so only where {needed}")


def _require_builders_fit(scenario: "Scenario") -> None:
    """Refuse what cannot be where others than the producers make the blocks."""
    region = scenario.builders.relay_region
    if region and region not in scenario.topology.regions:
        raise ValueError(
            f"builders.relay_region is {region!r}; it must be one of topology.regions, "
            f"{', '.join(scenario.topology.regions)}"
        )
    for name, value in (
        ("express_lane.round_s", scenario.express_lane.round_s),
        ("producers.extracting_share", scenario.producers.extracting_share),
        ("swappers.private_share", scenario.swappers.private_share),
    ):
        if scenario.builders.count and value:
            raise ValueError(
                f"{name} is {value:g}; it must be 0 where builders make the blocks (builders.count is "
                f"{scenario.builders.count}), who take no orders from producers"
            )


def _require_margin(scenario: "Scenario") -> None:
    """Refuse liquidations that would cost a debtor more than the maintenance that should be there."""
    costs = scenario.margin.bonus_bps + scenario.margin.penalty_bps
    for instrument in scenario.instruments:
        maintenance_bps = 1e4 * instrument.initial_margin * scenario.margin.maintenance_share
        if scenario.margin.liquidations and instrument.kind == "perpetual" and costs >= maintenance_bps:
            raise ValueError(
                f"margin.bonus_bps and margin.penalty_bps add up to {costs:g}; they must be below the maintenance "
                f"requirement of {instrument.name}, {maintenance_bps:g} basis points of a position's value "
                "(initial_margin times margin.maintenance_share)"
            )


def _require_clearing(scenario: "Scenario") -> None:
    """Refuse trades that wait for settlement where their margin or the gas of orders would make no sense."""
    how, least = scenario.venue.settlement, 21_000
    if how == "immediate":
        return
    if scenario.margin.mode != "cross":
        raise ValueError(
            f"margin.mode is {scenario.margin.mode!r}; it must be 'cross' where venue.settlement is {how!r}, since "
            "claims count for an account as a whole"
        )
    if scenario.gas.place - scenario.gas.settle_at_once < least:
        raise ValueError(
            f"gas.settle_at_once is {scenario.gas.settle_at_once}; it may be at most {scenario.gas.place - least}, so "
            f"that an order without settlement takes the {least} gas of any transaction"
        )


def _require_slots_fit(scenario: "Scenario") -> None:
    """Refuse deadlines where there are no slots, and timing games where there is nothing to be late for."""
    if 0 < scenario.express_lane.round_s < scenario.chain.block_time_s:
        raise ValueError(
            f"express_lane.round_s is {scenario.express_lane.round_s:g}; it must be 0, or at least chain.block_time_s, "
            f"{scenario.chain.block_time_s:g}"
        )
    deadline_s, share, chain = scenario.attestation.deadline_s, scenario.timing_games.share, scenario.chain
    if deadline_s > 0 and chain.block_arrivals != "slots":
        raise ValueError(f"attestation.deadline_s is {deadline_s:g}; it must be 0 where blocks come at random times")
    if deadline_s >= chain.block_time_s:
        raise ValueError(
            f"attestation.deadline_s is {deadline_s:g}; it must be below chain.block_time_s, {chain.block_time_s:g}"
        )
    if share > 0 and deadline_s == 0:
        raise ValueError(
            f"timing_games.share is {share:g}; it must be 0 where attestation.deadline_s is 0 and no block is late"
        )
    if share > 0 and scenario.express_lane.round_s > 0:
        raise ValueError(f"timing_games.share is {share:g}; it must be 0 where there is an express lane")


def _require_leverage(scenario: "Scenario") -> None:
    """Refuse leveraged traders and liquidators whom the venue has no place for, or who own too much."""
    leveraged, liquidators = scenario.leveraged_traders, scenario.liquidators
    perpetuals = [instrument for instrument in scenario.instruments if instrument.kind == "perpetual"]
    for name, count in (("leveraged_traders", leveraged.count), ("liquidators", liquidators.count)):
        if count and not perpetuals:
            raise ValueError(f"{name}.count is {count}; it must be 0 where there is no perpetual")
    if liquidators.count and not scenario.margin.liquidations:
        raise ValueError(f"liquidators.count is {liquidators.count}; it must be 0 where margin.liquidations is false")
    if liquidators.count * liquidators.capital_usd > MOST_CASH_USD / 2:
        raise ValueError(
            f"liquidators.capital_usd is {liquidators.capital_usd:g} for each of {liquidators.count}; it may be at "
            f"most {MOST_CASH_USD / 2 / liquidators.count:g}, so that all of it fits into the ledger's integers"
        )
    if not leveraged.count:
        return
    for instrument in perpetuals:
        if leveraged.leverage_mean * instrument.initial_margin > 1.0:
            raise ValueError(
                f"leveraged_traders.leverage_mean is {leveraged.leverage_mean:g}; it may be at most "
                f"{1.0 / instrument.initial_margin:g}, what the initial margin of {instrument.name} allows"
            )
    if leveraged.count * leveraged.equity_mean_usd > MOST_CASH_USD / 8:
        raise ValueError(
            f"leveraged_traders.equity_mean_usd is {leveraged.equity_mean_usd:g} for each of {leveraged.count}; it "
            f"may be at most {MOST_CASH_USD / 8 / leveraged.count:g}, so that all of it fits into the ledger's "
            "integers"
        )


def _require_options_fit(scenario: "Scenario") -> None:
    """Refuse options on nothing, more of them than there is place for, and settlements that look too far back."""
    options = scenario.options
    if not options.count:
        for population in OPTION_POPULATIONS:
            count = getattr(scenario, population).count
            if count:
                raise ValueError(f"{population}.count is {count}; it must be 0 where options.expiries_days is empty")
        return
    names = [instrument.name for instrument in scenario.instruments]
    if options.underlying not in names:
        raise ValueError(
            f"options.underlying is {options.underlying!r}; it must be the name of an instrument, {' or '.join(names)}"
        )
    if options.count + len(names) > INSTRUMENTS:
        raise ValueError(
            f"options asks for {options.count} series beside {len(names)} instruments; together there may be "
            f"at most {INSTRUMENTS}, so take fewer expiries_days or strikes_per_expiry"
        )
    for days in options.expiries_days:
        if days * 86_400.0 <= scenario.chain.block_time_s:
            raise ValueError(
                f"options.expiries_days holds {days:g}, or {days * 86_400.0:g} seconds; each must be longer than "
                f"chain.block_time_s, {scenario.chain.block_time_s:g}"
            )
    back_s = options.settlement_window_s + scenario.venue.oracle_delay_s + scenario.look_ahead_s
    if back_s > LONGEST_LOOK_BACK_S:
        raise ValueError(
            f"options.settlement_window_s is {options.settlement_window_s}; with venue.oracle_delay_s and how far "
            f"agents look ahead it makes {back_s:g}, and may be at most {LONGEST_LOOK_BACK_S}, all in seconds"
        )
    if scenario.price.source != "file":
        volatility = options.first_volatility(scenario.price.volatility_per_day)
        options.require_distinct_strikes(scenario.price.initial_usd, volatility)


def _require_pools_fit(scenario: "Scenario") -> None:
    """Refuse pools without names or spot instruments of their own, and agents of pools where there are none."""
    names = [pool.name for pool in scenario.pools]
    if len(set(names)) < len(names):
        raise ValueError(f"the pools are called {', '.join(names)}; each must have a name of its own")
    spot = [instrument.name for instrument in scenario.instruments if instrument.kind == "spot"]
    for pool in scenario.pools:
        if pool.name in (instrument.name for instrument in scenario.instruments):
            raise ValueError(f"the pool {pool.name} is called like an instrument; it must have a name of its own")
        if pool.instrument not in spot:
            raise ValueError(
                f"the instrument of the pool {pool.name} is {pool.instrument!r}; it must be the name of a spot "
                f"instrument, {'such as ' + ' or '.join(spot) if spot else 'of which there is none'}"
            )
    for population in POOL_POPULATIONS:
        count = getattr(scenario, population).count
        if count and not scenario.pools:
            raise ValueError(f"{population}.count is {count}; it must be 0 where there are no pools")
    share = scenario.producers.extracting_share
    if share and not scenario.pools:
        raise ValueError(f"producers.extracting_share is {share:g}; it must be 0 where there are no pools")


def require_ticks(scenario: "Scenario", what: str, price_usd: float) -> None:
    """Refuse a price for which the book of an instrument has no room on one side.

    Raises
    ------
    ValueError
        With ``what`` in the sentence.
    """
    for instrument in scenario.instruments:
        ticks = price_usd / instrument.tick_usd
        if not FEWEST_TICKS <= ticks <= MOST_TICKS:
            raise ValueError(
                f"{what} is {price_usd:g} dollars or {ticks:.0f} ticks of {instrument.name}; it must be "
                f"{FEWEST_TICKS} to {MOST_TICKS} ticks of {instrument.tick_usd:g} dollars"
            )
    options = scenario.options
    if options.count and price_usd / options.tick_usd > MOST_TICKS:
        raise ValueError(
            f"options.tick_usd is {options.tick_usd:g}; it must be at least {price_usd / MOST_TICKS:g}, so that "
            f"{what}, {price_usd:g} dollars, is at most {MOST_TICKS} ticks"
        )
