"""What ties the markets of two chains together: between which chains desks trade, and their ways for cash."""

from typing import TYPE_CHECKING

from blockspace.agents.cash_routes import CashRoute, Hop
from blockspace.agents.chain_hands import Hand
from blockspace.agents.cross_chain_arbitrageurs import CrossChainArbitrageur
from blockspace.network.chain import NS
from blockspace.network.rollups.transfers import DEPOSIT, WITHDRAWAL

if TYPE_CHECKING:
    from blockspace.experiments.bridge import Bridge
    from blockspace.experiments.market import Market
    from blockspace.experiments.scenario import Scenario
    from blockspace.experiments.world import World


def chains_between(scenario: "Scenario") -> "tuple[Scenario, Scenario] | None":
    """The two chains between which desks trade; None if they are not there."""
    settings = scenario.cross_chain_arbitrageurs
    chains = {one.name: one for one in (scenario, *scenario.chains)}
    names = settings.between or tuple(chains)[:2]
    if len(names) < 2 or any(name not in chains for name in names):
        return None
    return chains[names[0]], chains[names[1]]


def instrument_name(scenario: "Scenario") -> str:
    """Name of the instrument that is traded on both chains."""
    pair = chains_between(scenario)
    first = pair[0] if pair else scenario
    perpetuals = [one.name for one in first.instruments if one.kind == "perpetual"]
    return scenario.cross_chain_arbitrageurs.instrument or (perpetuals[0] if perpetuals else "")


def parent_of(rollup: "Scenario", scenario: "Scenario") -> str:
    """Name of the chain on which a chain settles; empty if it settles on none."""
    if rollup.rollup.kind == "none" or not scenario.chains:
        return ""
    return rollup.rollup.parent or scenario.chains[0].name


def rollups_on_the_way(scenario: "Scenario") -> tuple[str, ...]:
    """Names of the rollups whose bridges lead from one of the two chains to the other, in order; none if none do."""
    pair = chains_between(scenario)
    if pair is None:
        return ()
    first, second = pair
    above, below = (parent_of(one, scenario) for one in pair)
    if above == second.name:
        return (first.name,)
    if below == first.name:
        return (second.name,)
    return (first.name, second.name) if above and above == below else ()


def require_cross_chain_fits(scenario: "Scenario") -> None:
    """Refuse desks between chains that are not there, have no market in common, or no way for cash.

    Raises
    ------
    ValueError
        With the setting, its value and what it may be.
    """
    for one in scenario.chains:
        if one.cross_chain_arbitrageurs.count:
            raise ValueError(
                f"cross_chain_arbitrageurs.count of {one.name} is {one.cross_chain_arbitrageurs.count}; it must be 0 "
                "on further chains: those of the first chain trade between them"
            )
    settings = scenario.cross_chain_arbitrageurs
    if not settings.count or not scenario.chains:
        return
    pair = chains_between(scenario)
    names = [one.name for one in (scenario, *scenario.chains)]
    if pair is None:
        raise ValueError(
            f"cross_chain_arbitrageurs.between is {', '.join(settings.between)}; it must name two of {', '.join(names)}"
        )
    both = f"{pair[0].name} and {pair[1].name}"
    if not rollups_on_the_way(scenario):
        raise ValueError(
            f"cross_chain_arbitrageurs.between is {both}; they must be a rollup and its parent, or two rollups of one "
            "parent, so that cash can move between them"
        )
    name = instrument_name(scenario)
    lots = set()
    for one in pair:
        if not one.has_market:
            raise ValueError(
                f"cross_chain_arbitrageurs.count is {settings.count}; it must be 0 where nobody else trades on "
                f"{one.name} (market = true lets the usual agents do so)"
            )
        found = [listed for listed in one.instruments if listed.name == name and listed.kind == "perpetual"]
        if not found:
            raise ValueError(
                f"cross_chain_arbitrageurs.instrument is {name!r}; it must be the name of a perpetual on {both}"
            )
        lots.add(found[0].lot_size)
        if one.margin.mode != "cross":
            raise ValueError(
                f"margin.mode of {one.name} is {one.margin.mode!r}; it must be 'cross' where there are desks between "
                "chains"
            )
        if one.venue.matching != "continuous":
            raise ValueError(
                f"venue.matching of {one.name} is {one.venue.matching!r}; it must be 'continuous' where there are "
                "desks between chains"
            )
    if len(lots) > 1:
        raise ValueError(
            f"lot_size of {name} is {' and '.join(f'{lot:g}' for lot in sorted(lots))} on {both}; it must be the same "
            "on both"
        )


def new_desks(market: "Market", seed: int) -> list[CrossChainArbitrageur]:
    """Desks of a market with their hands and routes."""
    scenario = market.settings
    settings, pair = scenario.cross_chain_arbitrageurs, chains_between(scenario)
    if pair is None or not settings.count:
        return []
    worlds = {world.scenario.name: world for world in market.worlds}
    ends = worlds[pair[0].name], worlds[pair[1].name]
    bridges = [bridge for name in rollups_on_the_way(scenario) for bridge in market.bridges_of(worlds[name])]
    middle = bridges[0].settlement.parent if len(bridges) > 1 else None
    name = instrument_name(scenario)
    instruments = [[listed.name for listed in one.instruments].index(name) for one in pair]
    desks = []
    for number in range(settings.count):
        desk = CrossChainArbitrageur(settings, number, seed)
        places = [_access_point(world, desk.place, ends) for world in (*ends, *([middle] if middle else []))]
        stops = [
            Hand(market, world, desk, place, instrument, settings.capital_usd)
            for world, place, instrument in zip(ends, places, instruments, strict=False)
        ]
        if middle is not None:
            stops.insert(1, Hand(market, middle, desk, places[2], -1, 0.0))
        desk.settle_in(tuple(stops), (_route(bridges, stops), _route(bridges[::-1], stops[::-1])))
        desks.append(desk)
    return desks


def _access_point(world: "World", place: float, ends: "tuple[World, World]") -> str:
    """Access point of a desk on a chain: in a region that both chains have, by its place among these."""
    public = [set(one.chain.access_points[:-1]) for one in ends]
    shared = [name for name in ends[0].chain.access_points if name in public[0] & public[1]]
    chosen = shared[int(place * len(shared))] if shared else ""
    points = world.chain.access_points
    return chosen if chosen in points else points[0]


def _route(bridges: "list[Bridge]", stops: list[Hand]) -> CashRoute:
    """Way over bridges between stops, in order."""
    hops = []
    for bridge, source, target in zip(bridges, stops[:-1], stops[1:], strict=True):
        direction = WITHDRAWAL if source.world is bridge.settlement.world else DEPOSIT
        hops.append(Hop(bridge, direction, bridge.settings, source, target))
    patience_s = max(bridge.settlement.settings.posting.wallet_patience_s for bridge in bridges)
    return CashRoute(tuple(hops), int(patience_s * NS))
