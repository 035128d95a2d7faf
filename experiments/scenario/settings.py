"""What a scenario is made of: one frozen tree of settings, each described, that fits together."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from blockspace.agents.arbitrageurs import ArbitrageurSettings
from blockspace.agents.background_users import BackgroundUserSettings
from blockspace.agents.builders import BuilderSettings
from blockspace.agents.clearing_keepers import ClearingKeeperSettings
from blockspace.agents.cross_chain_arbitrageurs import CrossChainArbitrageurSettings
from blockspace.agents.delta_hedgers import DeltaHedgerSettings
from blockspace.agents.hedgers import HedgerSettings
from blockspace.agents.leveraged_traders import LeveragedTraderSettings
from blockspace.agents.liquidators import LiquidatorSettings
from blockspace.agents.liquidity_providers import LiquidityProviderSettings
from blockspace.agents.market_makers import MarketMakerSettings
from blockspace.agents.option_makers import OptionMakerSettings
from blockspace.agents.option_traders import OptionTraderSettings
from blockspace.agents.option_vaults import OptionVaultSettings
from blockspace.agents.oracle_keepers import OracleKeeperSettings
from blockspace.agents.pool_arbitrageurs import PoolArbitrageurSettings
from blockspace.agents.sandwichers import ProducerSettings, SandwicherSettings
from blockspace.agents.swappers import SwapperSettings
from blockspace.agents.traders import InformedTraderSettings, NoiseTraderSettings
from blockspace.agents.validators import ValidatorSettings
from blockspace.experiments.scenario.checks import require_fits
from blockspace.experiments.scenario.populations import POPULATIONS
from blockspace.markets.ledger import INSTRUMENTS
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.pools.listing import POOLS
from blockspace.markets.settings import (
    GasSettings,
    InstrumentSettings,
    MarginSettings,
    PoolSettings,
    PriceSettings,
    VenueSettings,
)
from blockspace.markets.unified_margin import UnifiedMarginSettings
from blockspace.network.faults import FaultSettings
from blockspace.network.rollups.settings import RollupSettings
from blockspace.network.settings import (
    AttestationSettings,
    ChainSettings,
    ExpressLaneSettings,
    FeeMarketSettings,
    MempoolSettings,
    Settings,
    TimingGameSettings,
    TopologySettings,
)
from blockspace.network.settings import did_you_mean as did_you_mean

MOST_CHAINS = 9
"""Chains that a scenario may have beside the first."""


class EndowmentSettings(Settings):
    """What every agent starts with."""

    cash_usd: float = Field(20_000_000.0, ge=0, le=1e11, description="dollars")
    ether: float = Field(10_000.0, ge=0, le=1e8, description="ether to pay for gas")
    spot: float = Field(5_000.0, ge=0, le=1e8, description="units of the underlying, for spot instruments")


class Scenario(Settings):
    """Everything that a run is made of, but for its seed."""

    name: str = Field("unnamed", max_length=80, description="what the scenario is called")
    description: str = Field("", description="what it stands for")
    duration_s: float = Field(3_600.0, gt=0, le=1e9, description="seconds to simulate")
    warm_up_s: float = Field(600.0, ge=0, le=1e9, description="seconds at the start that summaries leave out")
    chains: tuple["Scenario", ...] = Field(
        (),
        max_length=MOST_CHAINS,
        description="further chains of the same market, such as the parent of a rollup; their duration, warm-up and "
        "price are those of the first",
    )
    own_draws: bool = Field(
        False,
        description="whether users, traders and agents of a further chain are drawn anew, not like those of the first",
    )
    rollup: RollupSettings = RollupSettings()
    faults: tuple[FaultSettings, ...] = Field((), max_length=64, description="what breaks on the chain, and when")
    chain: ChainSettings = ChainSettings()
    fee_market: FeeMarketSettings = FeeMarketSettings()
    express_lane: ExpressLaneSettings = ExpressLaneSettings()
    attestation: AttestationSettings = AttestationSettings()
    timing_games: TimingGameSettings = TimingGameSettings()
    topology: TopologySettings = TopologySettings()
    mempool: MempoolSettings = MempoolSettings()
    builders: BuilderSettings = BuilderSettings()
    price: PriceSettings = PriceSettings()
    venue: VenueSettings = VenueSettings()
    margin: MarginSettings = MarginSettings()
    unified_margin: UnifiedMarginSettings = UnifiedMarginSettings()
    gas: GasSettings = GasSettings()
    instruments: tuple[InstrumentSettings, ...] = Field(
        (InstrumentSettings(),), min_length=1, max_length=INSTRUMENTS, description="what is traded"
    )
    options: OptionSettings = OptionSettings()
    pools: tuple[PoolSettings, ...] = Field((), max_length=POOLS, description="automated market makers")
    endowment: EndowmentSettings = EndowmentSettings()
    background_users: BackgroundUserSettings = BackgroundUserSettings()
    other_rollups: BackgroundUserSettings = BackgroundUserSettings(
        arrivals_per_s=0.0, gas_mean=60_000, gas_variation=0.0
    )
    noise_traders: NoiseTraderSettings = NoiseTraderSettings()
    informed_traders: InformedTraderSettings = InformedTraderSettings()
    market_makers: MarketMakerSettings = MarketMakerSettings()
    arbitrageurs: ArbitrageurSettings = ArbitrageurSettings()
    pool_arbitrageurs: PoolArbitrageurSettings = PoolArbitrageurSettings()
    swappers: SwapperSettings = SwapperSettings()
    liquidity_providers: LiquidityProviderSettings = LiquidityProviderSettings()
    sandwichers: SandwicherSettings = SandwicherSettings()
    producers: ProducerSettings = ProducerSettings()
    validators: ValidatorSettings = ValidatorSettings()
    leveraged_traders: LeveragedTraderSettings = LeveragedTraderSettings()
    liquidators: LiquidatorSettings = LiquidatorSettings()
    hedgers: HedgerSettings = HedgerSettings()
    cross_chain_arbitrageurs: CrossChainArbitrageurSettings = CrossChainArbitrageurSettings()
    oracle_keeper: OracleKeeperSettings = OracleKeeperSettings()
    clearing_keeper: ClearingKeeperSettings = ClearingKeeperSettings()
    option_makers: OptionMakerSettings = OptionMakerSettings()
    option_traders: OptionTraderSettings = OptionTraderSettings()
    option_vaults: OptionVaultSettings = OptionVaultSettings()
    delta_hedgers: DeltaHedgerSettings = DeltaHedgerSettings()

    @model_validator(mode="before")
    @classmethod
    def _share_with_chains(cls, data: Any) -> Any:
        """Give the other chains what all of them share."""
        if not isinstance(data, Mapping) or not isinstance(data.get("chains"), list | tuple):
            return data
        shared = {name: data[name] for name in ("duration_s", "warm_up_s", "price") if name in data}
        return {**data, "chains": [{**one, **shared} if isinstance(one, Mapping) else one for one in data["chains"]]}

    @model_validator(mode="after")
    def _fits_together(self) -> "Scenario":
        require_fits(self)
        return self

    @property
    def has_market(self) -> bool:
        """Whether anybody trades on the chain."""
        return any(getattr(self, name).count > 0 for name in POPULATIONS)

    @property
    def charged_gas(self) -> GasSettings:
        """Gas that transactions take here: of orders, without what settling would take where trades wait for it."""
        if self.venue.settlement == "immediate":
            return self.gas
        return self.gas.model_copy(update={"place": self.gas.place - self.gas.settle_at_once})

    @property
    def look_ahead_s(self) -> float:
        """Seconds beyond a block for which the external price must be known, for marks and for signals."""
        return 12.0 + (self.informed_traders.horizon_s if self.informed_traders.count else 0.0)

    @property
    def gas_per_second(self) -> float:
        """Gas that the chain can hold per second."""
        return self.chain.gas_limit / self.chain.block_time_s
