"""What a chain lists before its first block: instruments, pools, options, and the terms that all can read."""

from typing import TYPE_CHECKING, Any

import numpy as np

from blockspace.experiments.recording.rows import ROLES
from blockspace.markets.clearing import SETTLEMENTS
from blockspace.markets.instruments import SCENARIOS, list_instrument
from blockspace.markets.ledger import MICRO_DOLLARS, endow, open_account
from blockspace.markets.margin import MARGIN_MODES
from blockspace.markets.options.marks import mark_first
from blockspace.markets.options.series import open_options
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.pools.listing import POOL_KINDS, list_pool, provide_first
from blockspace.markets.settings import InstrumentSettings
from blockspace.network.chain import NS
from blockspace.network.settings import MEMPOOLS

if TYPE_CHECKING:
    from blockspace.experiments.world import World


def list_instruments(world: "World") -> None:
    """List what the scenario has to be traded, and set the rules of the venue."""
    venue = world.venues[0]
    for instrument in world.scenario.instruments:
        list_instrument(
            world.venues,
            instrument.kind,
            tick_lot_value=instrument.tick_lot_value,
            lot_size=instrument.lot_size,
            initial_margin_ppm=round(instrument.initial_margin * 1e6),
            maker_fee_ppm=round(instrument.maker_fee_bps * 100),
            taker_fee_ppm=round(instrument.taker_fee_bps * 100),
            impact_lots=max(round(instrument.impact_size / instrument.lot_size), 1),
        )
    venue["oracle_delay"] = int(world.scenario.venue.oracle_delay_s * NS)
    venue["on_chain_oracle"] = world.scenario.venue.oracle == "on_chain"
    _set_margin(world, venue["margin"])
    venue["funding_interval"] = int(world.scenario.venue.funding_interval_s * NS)
    venue["clearing"]["mode"] = SETTLEMENTS.index(world.scenario.venue.settlement)
    venue["clearing"]["share_ppm"] = round(world.scenario.venue.clearing_fee_share * 1e6)
    venue["batching"] = world.scenario.venue.matching == "batch"
    venue["batch_interval"] = int(world.scenario.venue.batch_interval_s * NS)


def _set_margin(world: "World", margin: Any) -> None:
    settings = world.scenario.margin
    margin["liquidates"] = settings.liquidations
    margin["mode"] = MARGIN_MODES.index(settings.mode)
    margin["maintenance_ppm"] = round(settings.maintenance_share * 1e6)
    margin["partial_ppm"] = round(settings.partial_share * 1e6)
    margin["bonus_ppm"] = round(settings.bonus_bps * 100)
    margin["penalty_ppm"] = round(settings.penalty_bps * 100)
    margin["volatility_moves"] = settings.volatility_shock * np.tile([-1.0, 1.0], SCENARIOS // 2)
    margin["price_moves"] = settings.price_shock * np.repeat(np.arange(-3, 4) / 3.0, 2)


def publish_terms(world: "World") -> None:
    """Let agents know what never changes: access points, gas, fees, margins, and the rules of the venue."""
    feed, scenario = world.feeds[0], world.scenario
    feed["access_points"] = world.chain.blocks[0]["access_points"]
    points = len(world.chain.between_ns)
    feed["between"][:points, :points] = world.chain.between_ns
    for name in feed["gas"].dtype.names:
        feed["gas"][name] = getattr(scenario.charged_gas, name)
    tradable: list[InstrumentSettings | OptionSettings]
    tradable = [*scenario.instruments, *[scenario.options] * scenario.options.count]
    for number, instrument in enumerate(tradable):
        terms = feed["terms"][number]
        terms["tick"] = instrument.tick_usd
        terms["lot_size"] = instrument.lot_size
        terms["maker_fee"] = instrument.maker_fee_bps * 1e-4
        terms["taker_fee"] = instrument.taker_fee_bps * 1e-4
    margins = [one.initial_margin for one in scenario.instruments]
    margins += [scenario.options.initial_share] * scenario.options.count
    feed["terms"]["initial_margin"][: len(margins)] = margins
    feed["liquidation_terms"]["bonus"] = scenario.margin.bonus_bps * 1e-4
    feed["liquidation_terms"]["partial"] = scenario.margin.partial_share
    feed["rules"]["tips_buy_nothing"] = not world.chain.policy.tips_count
    feed["rules"]["withdrawals_first"] = world.chain.policy.withdrawals_first
    feed["rules"]["batching"] = scenario.venue.matching == "batch"
    feed["rules"]["revert_protection"] = scenario.chain.revert_protection or scenario.builders.count > 0
    feed["rules"]["bundles"] = world.chain.blocks[0]["bundles_offered"]
    feed["rules"]["mempool"] = MEMPOOLS.index(scenario.chain.mempool)
    names = [instrument.name for instrument in scenario.instruments]
    for number, pool in enumerate(scenario.pools):
        terms = feed["pool_terms"][number]
        terms["kind"] = POOL_KINDS.index(pool.kind)
        terms["instrument"] = names.index(pool.instrument)
        terms["fee"] = pool.fee_ppm * 1e-6
        terms["tick_spacing"] = pool.spacing
    world.venues[0]["swap_gas"] = scenario.gas.swap
    world.venues[0]["swap_tick_gas"] = scenario.gas.swap_tick
    feed["data_price"] = world.chain.blocks[0]["data_price"]
    feed["wallet_tip"] = scenario.fee_market.wallet_tip_wei
    feed["bytes_per_transaction"] = scenario.gas.bytes_per_transaction
    if scenario.venue.gas_token == "fixed":
        feed["gas_token_price"] = scenario.venue.gas_token_usd


def open_first_options(world: "World") -> None:
    """List the first series of every tenor around the external price."""
    options = world.scenario.options
    if options.count:
        price = world.path.price(0.0)
        volatility = options.first_volatility(world.scenario.price.volatility_per_day)
        open_options(world.venues, options, price, volatility)
        mark_first(world.venues, price)


def open_first_pools(world: "World") -> None:
    """List the pools at the external price, and let first providers bring the liquidity of each."""
    venue, roles = world.venues[0], world.records.meters[0]["roles"]
    for number, pool in enumerate(world.scenario.pools):
        terms = world.feeds[0]["pool_terms"][number]
        instrument = int(terms["instrument"])
        price = world.path.price(0.0) * world.lot_size(instrument) * MICRO_DOLLARS
        account = open_account(venue["ledger"])
        roles[account] = ROLES.index("pool")
        list_pool(venue, pool.kind, instrument, account, pool.fee_ppm, pool.spacing, price)
        cash = round(pool.initial_liquidity_usd * MICRO_DOLLARS)
        lots = round(cash / price)
        provider = open_account(venue["ledger"], lots=(0,) * instrument + (lots,))
        endow(venue["ledger"], provider, pool.initial_liquidity_usd)
        roles[provider] = ROLES.index("provider")
        provide_first(venue, number, provider, lots, cash, pool.initial_range_bps)
