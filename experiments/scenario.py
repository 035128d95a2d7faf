"""Scenarios: what a run is made of, checked before anything runs.

A scenario is a preset or a TOML file plus overrides; there is no other way in. Every setting is described,
unknown ones are refused with the nearest known name, and every complaint is one sentence with the setting,
its value and what it may be.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

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
from blockspace.experiments.cross_chain import require_cross_chain_fits
from blockspace.experiments.errors import UserError
from blockspace.markets.ledger import ACCOUNTS, FIRST_FREE_ACCOUNT, INSTRUMENTS
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
from blockspace.network.blob_market import USABLE_BYTES_PER_BLOB, blob_limit
from blockspace.network.faults import OF_ROLLUPS, FaultSettings
from blockspace.network.presets import preset_names
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
from blockspace.network.transaction import LEGS

FEWEST_TICKS, MOST_TICKS = 100, 500_000
"""Prices in ticks between which a book has room on both sides."""


MOST_CASH_USD = 4e12
MOST_ETHER = 4e9
"""What all agents together may own: half of what 64 bits of micro-dollars or gwei hold."""


LONGEST_LOOK_BACK_S = 3_700
"""Seconds between the latest price that is known and the earliest that a settlement can still ask for."""


MOST_CHAINS = 9
"""Chains that a scenario may have beside the first."""


POOL_POPULATIONS = ("pool_arbitrageurs", "swappers", "liquidity_providers", "sandwichers")
"""Settings of agents who deal with pools."""


OPTION_POPULATIONS = ("option_makers", "option_traders", "option_vaults", "delta_hedgers")
"""Settings of agents who deal with options."""


POPULATIONS = (
    "market_makers",
    "noise_traders",
    "informed_traders",
    "arbitrageurs",
    "leveraged_traders",
    "liquidators",
    *POOL_POPULATIONS,
    *OPTION_POPULATIONS,
)
"""Settings of all who trade."""


class ScenarioError(UserError):
    """A scenario that cannot be run, said in one sentence."""


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
        smallest = max(self.gas.place, self.gas.quote + 2 * self.market_makers.levels * self.gas.quote_level)
        if self.pools:
            smallest = max(smallest, self.gas.mint, self.gas.burn, self.gas.swap + self.gas.swap_tick)
        if self.margin.liquidations:
            smallest = max(smallest, self.gas.liquidate)
        if self.venue.oracle == "on_chain":
            smallest = max(smallest, self.gas.report)
        if self.options.count:
            smallest = max(smallest, self.gas.place + LEGS * self.gas.leg)
            smallest = max(smallest, self.gas.quote + 2 * self.option_makers.levels * self.gas.quote_level)
        if self.venue.settlement != "immediate":
            smallest = max(smallest, self.gas.settle + 2 * self.gas.settle_account)
        if self.chain.gas_limit < smallest:
            raise ValueError(
                f"chain.gas_limit is {self.chain.gas_limit}; it must be at least {smallest}, the gas of the "
                "largest transaction of the market"
            )
        if 0 < self.express_lane.round_s < self.chain.block_time_s:
            raise ValueError(
                f"express_lane.round_s is {self.express_lane.round_s:g}; it must be 0, or at least chain.block_time_s, "
                f"{self.chain.block_time_s:g}"
            )
        self._require_slots_fit()
        if self.warm_up_s >= self.duration_s:
            raise ValueError(f"warm_up_s is {self.warm_up_s:g}; it must be below duration_s, {self.duration_s:g}")
        populations = (self.market_makers, self.noise_traders, self.informed_traders, self.arbitrageurs)
        counts = [population.count for population in populations]
        counts += [getattr(self, name).count for name in (*POOL_POPULATIONS, *OPTION_POPULATIONS)]
        if self.producers.extracting_share:
            counts.append(self.topology.validators)  # at the most
        accounts = self.topology.validators + sum(counts) + self.builders.count + 2 * len(self.pools)
        accounts += self.leveraged_traders.count + self.liquidators.count
        accounts += self.hedgers.count + 3 * (self.hedgers.count > 0)
        accounts += self.cross_chain_arbitrageurs.count
        accounts += self.margin.liquidations + (self.venue.oracle == "on_chain")
        accounts += self.venue.settlement != "immediate"
        if accounts > ACCOUNTS - FIRST_FREE_ACCOUNT:
            raise ValueError(
                f"topology.validators and the counts of the agents add up to {accounts}; they may be at most "
                f"{ACCOUNTS - FIRST_FREE_ACCOUNT}, the accounts of the ledger"
            )
        agents = max(sum(counts) + self.builders.count, 1)
        for name, most in (("cash_usd", MOST_CASH_USD), ("ether", MOST_ETHER)):
            share = getattr(self.endowment, name)
            if share * agents > most:
                raise ValueError(
                    f"endowment.{name} is {share:g} for each of {agents} agents; it may be at most {most / agents:g}, "
                    "so that all of it together fits into the ledger's integers"
                )
        names = [instrument.name for instrument in self.instruments]
        if len(set(names)) < len(names):
            raise ValueError(f"the instruments are called {', '.join(names)}; each must have a name of its own")
        self._require_builders_fit()
        self._require_pools_fit()
        self._require_margin()
        self._require_leverage()
        self._require_clearing()
        self._require_options_fit()
        self._require_chains_fit()
        self._require_hedgers_fit()
        require_cross_chain_fits(self)
        self._require_faults_fit()
        if self.price.source != "file":
            self.require_ticks("price.initial_usd", self.price.initial_usd)
        return self

    def _require_chains_fit(self) -> None:
        """Refuse chains that cannot be told apart, and rollups without a chain to settle on."""
        chains = {one.name: one for one in (self, *self.chains)}
        if len(chains) <= len(self.chains):
            names = ", ".join(one.name for one in (self, *self.chains))
            raise ValueError(f"the chains are called {names}; each must have a name of its own")
        for one in self.chains:
            if one.chains:
                raise ValueError(f"the chain {one.name} has chains of its own; only the first chain of a market may")
        for one in chains.values() if self.chains else ():
            if one.rollup.kind != "none":
                self._require_chains_below(one, [other for name, other in chains.items() if name != one.name])

    def _require_hedgers_fit(self) -> None:
        """Refuse hedgers without two chains on which their accounts can be linked."""
        for one in self.chains:
            if one.hedgers.count:
                raise ValueError(
                    f"hedgers.count of {one.name} is {one.hedgers.count}; it must be 0 on further chains: those of the "
                    "first chain are on all of them"
                )
        if not self.hedgers.count or not self.chains:
            return
        linked = [one for one in (self, *self.chains) if one.margin.liquidations]
        if len(linked) < 2:
            raise ValueError(
                f"hedgers.count is {self.hedgers.count}; it must be 0 unless margin.liquidations is true on at least "
                f"two chains, and it is so on {len(linked)}"
            )
        gas = self.unified_margin.fixed_gas + self.unified_margin.account_gas * self.hedgers.count
        for one in linked:
            if one.margin.mode == "isolated":
                raise ValueError(
                    f"margin.mode of {one.name} is 'isolated'; with hedgers it must be 'cross' or 'portfolio'"
                )
            if not any(instrument.kind == "perpetual" for instrument in one.instruments):
                raise ValueError(f"the chain {one.name} has no perpetual; it must have one where there are hedgers")
            if self.unified_margin.mode != "isolated" and gas > one.chain.gas_limit:
                raise ValueError(
                    f"unified_margin.account_gas is {self.unified_margin.account_gas}; with {self.hedgers.count} "
                    f"accounts a message takes {gas} gas, and a block of {one.name} has {one.chain.gas_limit}"
                )

    def _require_chains_below(self, rollup: "Scenario", others: "list[Scenario]") -> None:
        """Refuse a rollup whose parent is not there, or whose postings do not fit onto the chain with its data."""
        settings, names = rollup.rollup, {one.name: one for one in others}
        for setting in ("parent", "data_chain"):
            if getattr(settings, setting) not in ("", *names):
                raise ValueError(
                    f"rollup.{setting} of {rollup.name} is {getattr(settings, setting)!r}; it must be the name of "
                    f"another chain, {' or '.join(names)}"
                )
        data = names[settings.data_chain or settings.parent or self.chains[0].name]
        posting = settings.posting
        most_blobs = blob_limit(data.chain.blobs)
        if settings.data == "blobs" and posting.batch_bytes > most_blobs * USABLE_BYTES_PER_BLOB:
            raise ValueError(
                f"rollup.posting.batch_bytes of {rollup.name} is {posting.batch_bytes}; the {most_blobs} blobs of a "
                f"block of {data.name} (chain.blobs is {data.chain.blobs!r}) hold "
                f"{most_blobs * USABLE_BYTES_PER_BLOB}"
            )
        gas = posting.fixed_gas + (posting.batch_bytes * posting.gas_per_byte if settings.data == "calldata" else 0)
        if gas > data.chain.gas_limit:
            raise ValueError(
                f"rollup.posting.batch_bytes of {rollup.name} is {posting.batch_bytes}; with that much a posting takes "
                f"{gas:.0f} gas, and a block of {data.name} has {data.chain.gas_limit}"
            )

    def _require_faults_fit(self) -> None:
        """Refuse faults of what is not there."""
        for number, fault in enumerate(self.faults):
            where = f"faults.{number}"
            if fault.kind in OF_ROLLUPS and self.rollup.kind == "none":
                raise ValueError(f"{where}.kind is {fault.kind!r}; it may be so only where rollup.kind is not 'none'")
            needed = {"false_claim": "optimistic", "prover_failure": "validity"}.get(fault.kind, self.rollup.kind)
            if self.rollup.kind != needed:
                raise ValueError(f"{where}.kind is {fault.kind!r}; it may be so only where rollup.kind is {needed!r}")
            if fault.kind == "oracle_stall" and self.venue.oracle != "on_chain":
                raise ValueError(f"{where}.kind is 'oracle_stall'; it may be so only where venue.oracle is 'on_chain'")
            if fault.kind == "outage" and self.timing_games.share > 0:
                raise ValueError(f"{where}.kind is 'outage'; it may be so only where timing_games.share is 0")
            missing = [name for name in fault.regions if name not in self.topology.regions]
            if missing:
                raise ValueError(
                    f"{where}.regions has {missing[0]!r}; it may have those of topology.regions, "
                    f"{', '.join(self.topology.regions)}"
                )

    def _require_builders_fit(self) -> None:
        """Refuse what cannot be where others than the producers make the blocks."""
        region = self.builders.relay_region
        if region and region not in self.topology.regions:
            raise ValueError(
                f"builders.relay_region is {region!r}; it must be one of topology.regions, "
                f"{', '.join(self.topology.regions)}"
            )
        for name, value in (
            ("express_lane.round_s", self.express_lane.round_s),
            ("producers.extracting_share", self.producers.extracting_share),
            ("swappers.private_share", self.swappers.private_share),
        ):
            if self.builders.count and value:
                raise ValueError(
                    f"{name} is {value:g}; it must be 0 where builders make the blocks (builders.count is "
                    f"{self.builders.count}), who take no orders from producers"
                )

    def _require_margin(self) -> None:
        """Refuse liquidations that would cost a debtor more than the maintenance that should be there."""
        costs = self.margin.bonus_bps + self.margin.penalty_bps
        for instrument in self.instruments:
            maintenance_bps = 1e4 * instrument.initial_margin * self.margin.maintenance_share
            if self.margin.liquidations and instrument.kind == "perpetual" and costs >= maintenance_bps:
                raise ValueError(
                    f"margin.bonus_bps and margin.penalty_bps add up to {costs:g}; they must be below the maintenance "
                    f"requirement of {instrument.name}, {maintenance_bps:g} basis points of a position's value "
                    "(initial_margin times margin.maintenance_share)"
                )

    def _require_clearing(self) -> None:
        """Refuse trades that wait for settlement where their margin or the gas of orders would make no sense."""
        how, least = self.venue.settlement, 21_000
        if how == "immediate":
            return
        if self.margin.mode != "cross":
            raise ValueError(
                f"margin.mode is {self.margin.mode!r}; it must be 'cross' where venue.settlement is {how!r}, since "
                "claims count for an account as a whole"
            )
        if self.gas.place - self.gas.settle_at_once < least:
            raise ValueError(
                f"gas.settle_at_once is {self.gas.settle_at_once}; it may be at most {self.gas.place - least}, so that "
                f"an order without settlement takes the {least} gas of any transaction"
            )

    def _require_slots_fit(self) -> None:
        """Refuse deadlines where there are no slots, and timing games where there is nothing to be late for."""
        deadline_s, share, chain = self.attestation.deadline_s, self.timing_games.share, self.chain
        if deadline_s > 0 and chain.block_arrivals != "slots":
            raise ValueError(
                f"attestation.deadline_s is {deadline_s:g}; it must be 0 where blocks come at random times"
            )
        if deadline_s >= chain.block_time_s:
            raise ValueError(
                f"attestation.deadline_s is {deadline_s:g}; it must be below chain.block_time_s, {chain.block_time_s:g}"
            )
        if share > 0 and deadline_s == 0:
            raise ValueError(
                f"timing_games.share is {share:g}; it must be 0 where attestation.deadline_s is 0 and no block is late"
            )
        if share > 0 and self.express_lane.round_s > 0:
            raise ValueError(f"timing_games.share is {share:g}; it must be 0 where there is an express lane")

    def _require_leverage(self) -> None:
        """Refuse leveraged traders and liquidators whom the venue has no place for, or who own too much."""
        leveraged, liquidators = self.leveraged_traders, self.liquidators
        perpetuals = [instrument for instrument in self.instruments if instrument.kind == "perpetual"]
        for name, count in (("leveraged_traders", leveraged.count), ("liquidators", liquidators.count)):
            if count and not perpetuals:
                raise ValueError(f"{name}.count is {count}; it must be 0 where there is no perpetual")
        if liquidators.count and not self.margin.liquidations:
            raise ValueError(
                f"liquidators.count is {liquidators.count}; it must be 0 where margin.liquidations is false"
            )
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

    def _require_options_fit(self) -> None:
        """Refuse options on nothing, more of them than there is place for, and settlements that look too far back."""
        options = self.options
        if not options.count:
            for population in OPTION_POPULATIONS:
                count = getattr(self, population).count
                if count:
                    raise ValueError(
                        f"{population}.count is {count}; it must be 0 where options.expiries_days is empty"
                    )
            return
        names = [instrument.name for instrument in self.instruments]
        if options.underlying not in names:
            raise ValueError(
                f"options.underlying is {options.underlying!r}; it must be the name of an instrument, "
                f"{' or '.join(names)}"
            )
        if options.count + len(names) > INSTRUMENTS:
            raise ValueError(
                f"options asks for {options.count} series beside {len(names)} instruments; together there may be "
                f"at most {INSTRUMENTS}, so take fewer expiries_days or strikes_per_expiry"
            )
        for days in options.expiries_days:
            if days * 86_400.0 <= self.chain.block_time_s:
                raise ValueError(
                    f"options.expiries_days holds {days:g}, or {days * 86_400.0:g} seconds; each must be longer than "
                    f"chain.block_time_s, {self.chain.block_time_s:g}"
                )
        back_s = options.settlement_window_s + self.venue.oracle_delay_s + self.look_ahead_s
        if back_s > LONGEST_LOOK_BACK_S:
            raise ValueError(
                f"options.settlement_window_s is {options.settlement_window_s}; with venue.oracle_delay_s and how far "
                f"agents look ahead it makes {back_s:g}, and may be at most {LONGEST_LOOK_BACK_S}, all in seconds"
            )
        if self.price.source != "file":
            volatility = options.first_volatility(self.price.volatility_per_day)
            options.require_distinct_strikes(self.price.initial_usd, volatility)

    def _require_pools_fit(self) -> None:
        """Refuse pools without names or spot instruments of their own, and agents of pools where there are none."""
        names = [pool.name for pool in self.pools]
        if len(set(names)) < len(names):
            raise ValueError(f"the pools are called {', '.join(names)}; each must have a name of its own")
        spot = [instrument.name for instrument in self.instruments if instrument.kind == "spot"]
        for pool in self.pools:
            if pool.name in (instrument.name for instrument in self.instruments):
                raise ValueError(f"the pool {pool.name} is called like an instrument; it must have a name of its own")
            if pool.instrument not in spot:
                raise ValueError(
                    f"the instrument of the pool {pool.name} is {pool.instrument!r}; it must be the name of a spot "
                    f"instrument, {'such as ' + ' or '.join(spot) if spot else 'of which there is none'}"
                )
        for population in POOL_POPULATIONS:
            count = getattr(self, population).count
            if count and not self.pools:
                raise ValueError(f"{population}.count is {count}; it must be 0 where there are no pools")
        share = self.producers.extracting_share
        if share and not self.pools:
            raise ValueError(f"producers.extracting_share is {share:g}; it must be 0 where there are no pools")

    def require_ticks(self, what: str, price_usd: float) -> None:
        """Refuse a price for which the book of an instrument has no room on one side.

        Raises
        ------
        ValueError
            With ``what`` in the sentence.
        """
        for instrument in self.instruments:
            ticks = price_usd / instrument.tick_usd
            if not FEWEST_TICKS <= ticks <= MOST_TICKS:
                raise ValueError(
                    f"{what} is {price_usd:g} dollars or {ticks:.0f} ticks of {instrument.name}; it must be "
                    f"{FEWEST_TICKS} to {MOST_TICKS} ticks of {instrument.tick_usd:g} dollars"
                )
        options = self.options
        if options.count and price_usd / options.tick_usd > MOST_TICKS:
            raise ValueError(
                f"options.tick_usd is {options.tick_usd:g}; it must be at least {price_usd / MOST_TICKS:g}, so that "
                f"{what}, {price_usd:g} dollars, is at most {MOST_TICKS} ticks"
            )

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


def preset_text(name: str) -> str:
    """TOML text of a preset, with the sources of its numbers in the comments.

    Raises
    ------
    ScenarioError
        If there is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise ScenarioError(f"there is no preset {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
    return resources.files("blockspace.network.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Load a preset or a TOML file and apply overrides.

    Parameters
    ----------
    source
        Name of a preset, or path of a TOML file: text that ends in ``.toml`` or has a slash is a path. A file
        may build on a preset by ``extends = "NAME"``. A price file is looked for in the folder of the file
        that names it.
    overrides
        Values by dotted path, such as ``{"chain.gas_limit": 60_000_000}``; items of lists by number
        (``"instruments.0.taker_fee_bps"``).

    Returns
    -------
    Scenario
        Checked, complete and frozen.

    Raises
    ------
    ScenarioError
        If anything is wrong: one sentence with the setting, its value and what it may be.
    """
    data = _read_preset(str(source)) if _names_preset(source) else _read_file(Path(source))
    for path, value in (overrides or {}).items():
        _set(data, path, value)
    _locate_price_file(data, Path.cwd())
    return scenario_from(data)


def scenario_from(data: Mapping[str, Any]) -> Scenario:
    """Check nested settings, as read from TOML, and make a scenario of them.

    Raises
    ------
    ScenarioError
        If a setting is unknown or has a value that it may not have.
    """
    chains = data.get("chains")
    if isinstance(chains, list):
        data = {**data, "chains": [_extend_chain(one) if isinstance(one, Mapping) else one for one in chains]}
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(_sentence(error)) from None
    if scenario.rollup.kind != "none" and not scenario.chains:
        raise ScenarioError(
            f"rollup.kind is {scenario.rollup.kind!r}; it must be 'none' where there are no chains to settle on"
        )
    if scenario.hedgers.count and not scenario.chains:
        raise ScenarioError(f"hedgers.count is {scenario.hedgers.count}; it must be 0 where there is only one chain")
    desks = scenario.cross_chain_arbitrageurs.count
    if desks and not scenario.chains:
        raise ScenarioError(f"cross_chain_arbitrageurs.count is {desks}; it must be 0 where there is only one chain")
    return scenario


def change_settings(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Scenario with other values at dotted paths, checked as :func:`load_scenario` does it.

    Raises
    ------
    ScenarioError
        If a setting is unknown or has a value that it may not have.
    """
    data = scenario.model_dump(mode="json")
    for path, value in overrides.items():
        _set(data, path, value)
    return scenario_from(data)


def differences(first: Scenario, second: Scenario) -> dict[str, tuple[Any, Any]]:
    """Settings in which two scenarios differ: both values by dotted path."""
    return dict(_differences(first.model_dump(mode="json"), second.model_dump(mode="json"), ""))


def _differences(first: Any, second: Any, path: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    pairs: Iterable[tuple[Any, Any, Any]]
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = ((name, first[name], second[name]) for name in first)
    elif (
        isinstance(first, list)
        and isinstance(second, list)
        and len(first) == len(second)
        and all(isinstance(item, dict) for item in (*first, *second))
    ):
        pairs = ((number, *both) for number, both in enumerate(zip(first, second, strict=True)))
    else:
        if first != second:
            yield path, (first, second)
        return
    for name, here, there in pairs:
        yield from _differences(here, there, f"{path}.{name}" if path else str(name))


def is_whole_number(path: str) -> bool:
    """Whether the setting at a dotted path is a whole number."""
    field = _field_at(tuple(int(part) if part.isdigit() else part for part in path.split(".")))
    return field is not None and field.annotation is int


def _names_preset(source: str | Path) -> bool:
    return isinstance(source, str) and not source.endswith(".toml") and Path(source).name == source


def _read_preset(name: str) -> dict[str, Any]:
    return _extend(tomllib.loads(preset_text(name)), f"preset {name}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScenarioError(f"the scenario file {path} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is not valid TOML: {error}") from None
    _locate_price_file(data, path.absolute().parent)
    return _extend(data, str(path))


def _extend(data: dict[str, Any], origin: str) -> dict[str, Any]:
    """Lay settings over those of the preset that they extend, if they extend one."""
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ScenarioError(f"extends is {base!r} in {origin}; it must be the name of a preset")
    return _merge(_read_preset(base), data)


def _extend_chain(chain: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a further chain.

    Unless it says ``market = true``, nobody trades there but those whose number it gives.
    """
    data = dict(chain)
    has_market = data.pop("market", False)
    named = {name for name in POPULATIONS if isinstance(data.get(name), dict) and "count" in data[name]}
    data = _extend(data, f"the chain {data.get('name', '')!r}")
    if has_market is not True:
        for name in POPULATIONS:
            if name not in named:
                data[name] = {**data.get(name, {}), "count": 0}
    return data


def _locate_price_file(data: Mapping[str, Any], folder: Path) -> None:
    """Make the path of the price file absolute: the scenario means the same wherever it is written down."""
    price = data.get("price")
    if isinstance(price, dict) and isinstance(price.get("file"), str) and price["file"]:
        price["file"] = str(folder / price["file"])


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path, making tables on the way."""
    names = path.split(".")
    if not all(names):
        raise ScenarioError(f"the setting {path!r} is not a dotted path such as chain.gas_limit")
    if names[0] == "instruments" and "instruments" not in data and len(names) > 1:
        data["instruments"] = [{}]
    if names[0] == "chains" and isinstance(data.get("chains"), tuple):
        data["chains"] = list(data["chains"])
    if names[0] == "pools" and len(names) > 1:
        pools = data.setdefault("pools", [])
        if isinstance(pools, tuple):
            pools = data["pools"] = list(pools)
        if names[1] == str(len(pools)):  # one more
            pools.append({})
    place: Any = data
    for name in names[:-1]:
        place = _item(place, name, path) if isinstance(place, list) else place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise ScenarioError(f"the setting {path!r} does not exist: {name!r} has no parts")
    if isinstance(place, list):
        raise ScenarioError(f"the setting {path!r} is not complete; it must name a part of the item")
    place[names[-1]] = value


def _item(items: list[Any], name: str, path: str) -> Any:
    if not name.isdigit() or int(name) >= len(items):
        last = len(items) - 1
        raise ScenarioError(f"the setting {path!r} does not exist; its list has the items 0 to {last}")
    return items[int(name)]


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """Settings that a field holds as a table, or as a list of tables."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _field_at(location: tuple[int | str, ...]) -> FieldInfo | None:
    """Field of the setting at a location, if there is one; numbers stand for items of lists."""
    table: type[BaseModel] | None = Scenario
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, str):
            field = table.model_fields.get(part) if table else None
            table = _table_in(field.annotation) if field else None
        elif table is None:
            return None
    return field


def _sentence(error: ValidationError) -> str:
    """Turn the first complaint of a failed validation into one sentence."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    path = ".".join(str(part) for part in location)
    field = _field_at(location)
    if first["type"] == "extra_forbidden":
        parent = _field_at(location[:-1])
        table = _table_in(parent.annotation) if parent else Scenario
        names = table.model_fields if table else ()
        return f"there is no setting {path!r}{did_you_mean(str(location[-1]), names)}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], Mapping | Settings):
        return f"{path}: {message}" if path else message
    shown = repr(first["input"])
    wanted = re.sub(r"^\w+ should", "it must", message).split(" after validation")[0].split(", unable to")[0]
    wanted = wanted.replace("a valid tuple", "a list").replace("a valid", "a")
    if field and first["type"] != "value_error" and not first["type"].endswith(("too_long", "too_short")):
        wanted = _what_it_may_be(field) or wanted
    return f"{path} is {shown if len(shown) <= 60 else shown[:57] + '...'}; {wanted}"


def _what_it_may_be(field: FieldInfo) -> str:
    """Say what a field takes, its type and its range; nothing for what Pydantic says well enough."""
    if get_origin(field.annotation) is Literal:
        return f"it may be {' or '.join(repr(value) for value in get_args(field.annotation))}"
    if _table_in(field.annotation) is not None:
        return f"it must be a {'table' if isinstance(field.annotation, type) else 'list of tables'} of settings"
    kinds: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if field.annotation not in kinds:
        return ""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{word} {getattr(part, name):.15g}"
        for name, word in words.items()
        for part in field.metadata
        if getattr(part, name, None) is not None
    ]
    return f"it must be {kinds[field.annotation]}" + (f", {' and '.join(bounds)}" if bounds else "")


def describe_settings() -> Iterator[tuple[str, Any, str]]:
    """Go through every setting: its dotted path, its default and its description with the unit."""
    yield from _describe(Scenario, "")


def _describe(table: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in table.model_fields.items():
        inner = _table_in(field.annotation)
        if inner is None or inner is Scenario:
            yield f"{prefix}{name}", field.default, field.description or ""
        else:
            item = "" if isinstance(field.annotation, type) else "0."
            yield from _describe(inner, f"{prefix}{name}.{item}")
