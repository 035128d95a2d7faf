"""Who lives on a chain: the accounts and populations that are there before the first block."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockspace.agents import population
from blockspace.agents.arbitrageurs import new_arbitrageurs
from blockspace.agents.background_users import new_demand
from blockspace.agents.builders import exclusive_ends, new_builders, route_of
from blockspace.agents.clearing_keepers import new_clearing_keepers
from blockspace.agents.delta_hedgers import new_delta_hedgers
from blockspace.agents.express_lane import new_bidders
from blockspace.agents.leveraged_traders import equities, new_leveraged_traders
from blockspace.agents.liquidators import new_liquidators
from blockspace.agents.liquidity_providers import new_liquidity_providers
from blockspace.agents.market_makers import new_market_makers
from blockspace.agents.option_makers import new_option_makers
from blockspace.agents.option_traders import new_option_traders
from blockspace.agents.option_vaults import new_option_vaults
from blockspace.agents.oracle_keepers import new_keepers
from blockspace.agents.pool_arbitrageurs import new_pool_arbitrageurs
from blockspace.agents.sandwichers import new_sandwichers
from blockspace.agents.swappers import new_swappers
from blockspace.agents.traders import new_traders
from blockspace.agents.validators import Validators, new_validators
from blockspace.experiments.recording.rows import ROLES
from blockspace.experiments.scenario import Scenario
from blockspace.markets.ledger import BACKGROUND, BURNED, endow, open_account
from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.topology import nodes_of_kind

if TYPE_CHECKING:
    from blockspace.experiments.world import World

_PoolPlaces = tuple[list[int], list[int], list[int], list[int]]


def settle_in(world: "World", seed: int) -> None:
    """Open the accounts and create the populations, producers first; each becomes an attribute of the world."""
    producers = _settle_producers(world)
    _settle_traders(world, seed)
    if world.scenario.margin.liquidations:
        fund = open_account(world.venues[0]["ledger"], world.scenario.margin.insurance_usd)
        world.records.meters[0]["roles"][fund] = ROLES.index("insurance")
        world.venues[0]["margin"]["insurance"] = fund
    _settle_searchers(world, seed)
    _settle_leveraged(world, seed)
    _settle_option_agents(world, seed)
    _settle_clearing(world, seed)
    points = _public_access_points(world)
    world.demands = new_demand(world.scenario.background_users, points, seed)
    world.rollup_demands = new_demand(world.scenario.other_rollups, points, seed, "other_rollups")
    world.builders = _new_builders(world, seed)
    _show_to_mesa(world, producers)


def _settle_producers(world: "World") -> npt.NDArray[Any]:
    """Open the accounts of the background users and of the producers; returns the producers' rows."""
    scenario, ledger = world.scenario, world.venues[0]["ledger"]
    roles = world.records.meters[0]["roles"]
    endow(ledger, BACKGROUND, ether=9e8)
    roles[BACKGROUND] = ROLES.index("background")
    accounts = [open_account(ledger) for _ in world.chain.stake]
    roles[accounts] = ROLES.index("producer")
    at_home = [world.chain.graph.nodes[node]["home"] for node in nodes_of_kind(world.chain.graph, "validator")]
    producers = new_validators(accounts, world.chain.stake, at_home)
    world.validators = None
    if scenario.validators.review_s > 0:
        world.validators = Validators(scenario.validators, producers, scenario.topology.peers)
        if world.chain.attestation is not None:
            world.chain.attestation.counts_votes = True
    world.chain.producers["account"] = producers["account"]
    world.chain.blocks[0]["base_fee_account"] = BURNED
    return producers


def _settle_traders(world: "World", seed: int) -> None:
    """Create who trades on books and with pools, and who provides what they trade with."""
    scenario = world.scenario
    lot_sizes = np.array([instrument.lot_size for instrument in scenario.instruments])
    makers, noise, informed = scenario.market_makers, scenario.noise_traders, scenario.informed_traders
    arbitrageurs, searchers = scenario.arbitrageurs, scenario.pool_arbitrageurs
    places = _places(world, "maker", makers.count, makers.colocated, seed)
    world.makers = new_market_makers(makers, *places, lot_sizes)
    places = _places(world, "noise", noise.count, False, seed)
    world.noise = new_traders(noise, *places, lot_sizes, seed)
    places = _places(world, "informed", informed.count, False, seed)
    world.informed = new_traders(informed, *places, lot_sizes, seed)
    places = _places(world, "arbitrageur", arbitrageurs.count, arbitrageurs.colocated, seed)
    world.arbitrageurs = new_arbitrageurs(arbitrageurs, *places, seed)
    at_pools = _pool_places(world, "pool_arbitrageur", searchers.count, searchers.colocated, seed)
    world.pool_arbitrageurs = new_pool_arbitrageurs(searchers, *at_pools, seed)
    at_pools = _pool_places(world, "swapper", scenario.swappers.count, False, seed)
    world.swappers = new_swappers(scenario.swappers, *at_pools, lot_sizes, seed)
    at_pools = _pool_places(world, "provider", scenario.liquidity_providers.count, False, seed)
    world.providers = new_liquidity_providers(scenario.liquidity_providers, *at_pools, seed)


def _settle_searchers(world: "World", seed: int) -> None:
    """Create who bids for the express lane, and who extracts from what is pending."""
    world.bidders = new_bidders([world.arbitrageurs, world.pool_arbitrageurs], seed)
    sandwichers = world.scenario.sandwichers
    places = _places(world, "sandwicher", sandwichers.count, sandwichers.colocated, seed)
    world.sandwichers = new_sandwichers(sandwichers, *places[:2])
    extracting = _extracting_producers(world, seed)
    accounts = [world.open_agent_account("extractor") for _ in extracting]
    inside = [world.chain.inside_access] * len(extracting)
    world.extractors = new_sandwichers(sandwichers, accounts, inside, extracting)


def _show_to_mesa(world: "World", producers: npt.NDArray[Any]) -> None:
    """Create the Mesa agents: one for each row."""
    background = np.zeros(1, [("account", "u4")])
    background["account"] = BACKGROUND
    for kind, rows in (
        (population.Proposer, producers),
        (population.BackgroundUsers, background),
        (population.MarketMaker, world.makers),
        (population.NoiseTrader, world.noise),
        (population.InformedTrader, world.informed),
        (population.Arbitrageur, world.arbitrageurs),
        (population.PoolArbitrageur, world.pool_arbitrageurs),
        (population.Swapper, world.swappers),
        (population.LiquidityProvider, world.providers),
        (population.Sandwicher, world.sandwichers),
        (population.Extractor, world.extractors),
        (population.Builder, world.builders),
        (population.LeveragedTrader, world.leveraged),
        (population.Liquidator, world.liquidators),
        (population.OracleKeeper, world.keepers),
        (population.ClearingKeeper, world.clearing_keepers),
        (population.OptionMaker, world.option_makers),
        (population.OptionTrader, world.option_traders),
        (population.OptionVault, world.option_vaults),
        (population.DeltaHedger, world.delta_hedgers),
    ):
        for number in range(len(rows)):
            kind(world.model, rows, number)


def relay(scenario: Scenario) -> int:
    """Access point of the relay and the builders."""
    regions = scenario.topology.regions
    return regions.index(scenario.builders.relay_region or regions[0])


def _new_builders(world: "World", seed: int) -> npt.NDArray[Any]:
    """Create the builders, and say which wallets send to one of them alone and which ask them for protection."""
    settings, wallets = world.scenario.builders, world.chain.pools[0]["wallets"]
    ends = exclusive_ends(settings)
    world.demands["route_ends"] = ends
    for kind, rows in (("noise", world.noise), ("swapper", world.swappers)):
        key = np.uint64(stream_key(seed, f"builders/wallets/{kind}"))
        for number, account in enumerate(rows["account"].tolist()):
            wallets["route"][account] = route_of(ends, key, number, 0)
    if settings.count:
        for rows in (world.arbitrageurs, world.pool_arbitrageurs):
            wallets["protected"][rows["account"]] = 1
    return new_builders(settings, [world.open_agent_account("builder") for _ in range(settings.count)], seed)


def _settle_leveraged(world: "World", seed: int) -> None:
    """Create leveraged traders, liquidators and the oracle's keeper, who own what their settings say."""
    scenario = world.scenario
    settings, liquidators = scenario.leveraged_traders, scenario.liquidators
    margins = [instrument.initial_margin for instrument in scenario.instruments]
    places = _perpetual_places(world, "leveraged", equities(settings, seed), settings.ether, False, seed)
    world.leveraged = new_leveraged_traders(settings, *places[:3], margins, places[3], seed)
    capital = [liquidators.capital_usd] * liquidators.count
    ether = scenario.endowment.ether
    world.liquidators = new_liquidators(
        liquidators,
        *_perpetual_places(world, "liquidator", capital, ether, liquidators.colocated, seed),
        *_options_on_their_underlying(world),
    )
    keeper = scenario.oracle_keeper
    count = 1 if scenario.venue.oracle == "on_chain" else 0
    accounts, access, _ = _places(world, "keeper", count, keeper.colocated, seed)
    world.keepers = new_keepers(keeper, accounts, access)
    if count:
        world.venues[0]["keeper"] = accounts[0]


def _settle_option_agents(world: "World", seed: int) -> None:
    """Create those who make and trade options, vaults with what their depositors have put in."""
    scenario = world.scenario
    makers, traders = scenario.option_makers, scenario.option_traders
    underlying, first, _ = _options_on_their_underlying(world)
    places = _places(world, "option_maker", makers.count, makers.colocated, seed)
    world.option_makers = new_option_makers(makers, *places[:2], scenario.options, first, underlying)
    places = _places(world, "option_trader", traders.count, False, seed)
    world.option_traders = new_option_traders(traders, *places[:2], scenario.options, first, seed)
    vaults = scenario.option_vaults
    accounts = [world.open_agent_account("option_vault", vaults.deposit_usd, vaults.ether) for _ in range(vaults.count)]
    access = [number % _public_access_points(world) for number in range(vaults.count)]
    world.option_vaults = new_option_vaults(vaults, accounts, access, scenario.options, first, underlying)
    desks = scenario.delta_hedgers
    places = _places(world, "delta_hedger", desks.count, False, seed)
    world.delta_hedgers = new_delta_hedgers(desks, *places[:2], scenario.options, first, underlying, seed)


def _settle_clearing(world: "World", seed: int) -> None:
    """Create who operates the clearing, where trades wait for settlement."""
    keeper, venue = world.scenario.clearing_keeper, world.scenario.venue
    count = 0 if venue.settlement == "immediate" else 1
    accounts, access, _ = _places(world, "clearing_keeper", count, keeper.colocated, seed)
    world.clearing_keepers = new_clearing_keepers(keeper, venue, accounts, access)
    if count:
        world.venues[0]["clearing"]["operator"] = accounts[0]


def _options_on_their_underlying(world: "World") -> tuple[int, int, int]:
    """Number of the options' underlying, of the first option, and how many there are."""
    scenario = world.scenario
    names = [instrument.name for instrument in scenario.instruments]
    underlying = names.index(scenario.options.underlying) if scenario.options.count else 0
    return underlying, len(names), scenario.options.count


def _perpetual_places(
    world: "World", kind: str, cash_usd: list[float], ether: float, colocated: bool, seed: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Accounts with these endowments, access points, perpetuals in turn, and cash in micro-dollars."""
    count = len(cash_usd)
    ledger, roles = world.venues[0]["ledger"], world.records.meters[0]["roles"]
    accounts = [open_account(ledger, cash, ether) for cash in cash_usd]
    roles[accounts] = ROLES.index(kind)
    access = _access(world, kind, count, colocated, seed)
    perpetuals = [n for n, instrument in enumerate(world.scenario.instruments) if instrument.kind == "perpetual"]
    cash = ledger["accounts"]["cash"][accounts].tolist()
    return accounts, access, [perpetuals[number % len(perpetuals)] for number in range(count)], cash


def _public_access_points(world: "World") -> int:
    """Access points that are open to all: every one but the last, which is next to the first validator."""
    return len(world.chain.access_points) - 1


def _access(world: "World", kind: str, count: int, colocated: bool, seed: int) -> list[int]:
    """Access points of the members of a population: next to the only validator, or drawn."""
    if colocated and len(world.chain.stake) == 1:
        return [len(world.chain.access_points) - 1] * count
    generator = np.random.Generator(np.random.PCG64(stream_key(seed, f"places/{kind}")))
    drawn: list[int] = generator.integers(_public_access_points(world), size=count).tolist()
    return drawn


def _places(
    world: "World", kind: str, count: int, colocated: bool, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Accounts, access points and instruments of the members of a population."""
    accounts = [world.open_agent_account(kind) for _ in range(count)]
    access = _access(world, kind, count, colocated, seed)
    shares = np.cumsum([instrument.share_of_traders for instrument in world.scenario.instruments])
    spread_evenly = (np.arange(count) + 0.5) / max(count, 1) * shares[-1]
    return accounts, access, np.searchsorted(shares, spread_evenly).tolist()


def _extracting_producers(world: "World", seed: int) -> list[int]:
    """Numbers of the producers who have a searcher inside, each drawn by itself."""
    share = world.scenario.producers.extracting_share
    if share == 0.0:
        return []
    key = np.uint64(stream_key(seed, "producers/extracting"))
    return [number for number in range(len(world.chain.stake)) if draw_uniform(key, number, 0) < share]


def _pool_places(world: "World", kind: str, count: int, colocated: bool, seed: int) -> _PoolPlaces:
    """Accounts, access points, pools and their instruments of the members of a population that deals with pools."""
    accounts, access, _ = _places(world, kind, count, colocated, seed)
    pools = [number % len(world.scenario.pools) for number in range(count)]
    return accounts, access, pools, [int(world.feeds[0]["pool_terms"][pool]["instrument"]) for pool in pools]
