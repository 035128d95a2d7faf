"""From the price settings of scenarios to the external price of a run."""

from blockspace.experiments.scenario import Scenario, ScenarioError
from blockspace.experiments.scenario.checks import require_ticks
from blockspace.markets.price_file import read_price_file
from blockspace.markets.price_path import PricePath, PriceSource
from blockspace.markets.price_sources import Diffusion, PriceTable, ScriptedPath
from blockspace.markets.settings import PriceSettings

LOOKS_PER_BLOCK = 256
FINEST_NS = 1 << 10
COARSEST_NS = 1 << 25


def price_path(scenario: Scenario, seed: int) -> tuple[PricePath, list[str]]:
    """External price of a run, and what the user should be told about it.

    The resolution follows the fastest of its chains. Lévy's construction makes a coarser path agree with a finer one
    wherever both look, so that runs with other block times still see the same price.

    Raises
    ------
    ScenarioError
        If a price file cannot be used.
    """
    shortest_s = min(one.chain.block_time_s for one in (scenario, *scenario.chains))
    resolution = FINEST_NS
    while resolution * 2 <= min(shortest_s * 1e9 / LOOKS_PER_BLOCK, COARSEST_NS):
        resolution *= 2
    try:
        source, notes = _source(scenario, seed)
        return PricePath(source, resolution, seed), notes
    except ValueError as error:
        raise ScenarioError(f"price: {error}") from None


def _source(scenario: Scenario, seed: int) -> tuple[PriceSource, list[str]]:
    price = scenario.price
    if price.source == "file":
        return _table(scenario, seed)
    if price.source == "script":
        return ScriptedPath(_diffusion(price, seed), price.script), []
    return _diffusion(price, seed), []


def _diffusion(price: PriceSettings, seed: int) -> Diffusion:
    return Diffusion(
        initial_price=price.initial_usd,
        volatility_per_day=price.volatility_per_day,
        seed=seed,
        drift_per_day=price.drift_per_day,
        volatility_of_volatility_per_sqrt_day=price.volatility_of_volatility_per_sqrt_day,
        volatility_half_life_s=price.volatility_half_life_s,
        jumps_per_day=price.jumps_per_day,
        jump_mean_bps=price.jump_mean_bps,
        jump_law=price.jump_law,
    )


def _table(scenario: Scenario, seed: int) -> tuple[PriceSource, list[str]]:
    price = scenario.price
    times_s, prices, note = read_price_file(price.file, price.time_column, price.price_column)
    table = PriceTable(times_s, prices, seed, name=price.file)
    look_ahead_s = max(one.look_ahead_s for one in (scenario, *scenario.chains))
    longest_s = table.last_time_s - look_ahead_s - 1.0
    if scenario.duration_s > longest_s:
        raise ValueError(
            f"duration_s is {scenario.duration_s:g}; it must be at most {longest_s:g}, since {price.file} "
            f"ends after {table.last_time_s:g} s and agents and marks look ahead"
        )
    for word, value in (("lowest", prices.min()), ("highest", prices.max())):
        require_ticks(scenario, f"the {word} price of {price.file}", float(value))
    return table, [note] if times_s[1] - times_s[0] > scenario.chain.block_time_s else []
