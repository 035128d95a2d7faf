"""Settings of the market part of a scenario, each with its unit in its name or description."""

from typing import Literal

from pydantic import Field, model_validator

from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.pools.concentrated_liquidity import FEE_TIERS, LARGEST_TICK_SPACING
from blockspace.markets.pools.swaps import LARGEST_FEE_PPM
from blockspace.network.settings import Settings


class PriceSettings(Settings):
    """The external price of the underlying, as set on other venues."""

    source: Literal["diffusion", "script", "file"] = Field("diffusion", description="where the price comes from")
    initial_usd: float = Field(2_000.0, gt=0, le=1e7, description="dollars per unit of the underlying at the start")
    volatility_per_day: float = Field(
        0.04, ge=0, le=5, description="standard deviation of the log price over a day (0.04 is 4 %)"
    )
    drift_per_day: float = Field(0.0, ge=-5, le=5, description="drift of the log price per day")
    volatility_of_volatility_per_sqrt_day: float = Field(
        0.0, ge=0, le=20, description="volatility of the log volatility, per square-root day; 0 keeps it constant"
    )
    volatility_half_life_s: float = Field(
        21_600.0, gt=0, le=1e8, description="half-life of a burst of volatility, seconds"
    )
    jumps_per_day: float = Field(0.0, ge=0, le=1e6, description="jumps of the price per day")
    jump_mean_bps: float = Field(20.0, gt=0, le=5_000, description="mean absolute size of a jump, basis points")
    jump_law: Literal["exponential", "normal"] = Field("exponential", description="law of the jumps' sizes")
    script: tuple[tuple[float, float], ...] = Field(
        (), description="pairs of time in seconds and price relative to the start, log-linear in between (script)"
    )
    file: str = Field("", description="CSV or Parquet file of prices (file)")
    time_column: str = Field("time_s", description="column of times: seconds or ISO timestamps (file)")
    price_column: str = Field("price_usd", description="column of prices in dollars (file)")

    @model_validator(mode="after")
    def _source_is_complete(self) -> "PriceSettings":
        if self.source == "file" and not self.file:
            raise ValueError("file is empty; with source 'file' it must name a CSV or Parquet file")
        if self.source == "script" and not self.script:
            raise ValueError("script is empty; with source 'script' it must hold pairs of seconds and relative price")
        return self


class InstrumentSettings(Settings):
    """One instrument and its order book."""

    name: str = Field("ETH-PERP", min_length=1, max_length=40, description="name of the instrument")
    kind: Literal["perpetual", "spot"] = Field("perpetual", description="perpetual future, or spot")
    tick_usd: float = Field(0.01, gt=0, le=1e4, description="smallest step of the price, dollars")
    lot_size: float = Field(0.001, gt=0, le=1e4, description="smallest size, units of the underlying")
    maker_fee_bps: float = Field(0.0, ge=-100, le=1_000, description="fee of resting orders, basis points of notional")
    taker_fee_bps: float = Field(0.5, ge=0, le=1_000, description="fee of taking orders, basis points of notional")
    initial_margin: float = Field(
        0.05, ge=1e-6, le=1, description="initial margin as a share of the position's value (perpetual)"
    )
    impact_size: float = Field(
        10.0,
        gt=0,
        le=1e6,
        description="size for which the funding premium's impact prices are taken, units of the underlying",
    )
    share_of_traders: float = Field(
        1.0,
        gt=0,
        le=1e6,
        description="weight with which traders, makers and arbitrageurs are spread over the instruments",
    )

    @model_validator(mode="after")
    def _whole_micro_dollars(self) -> "InstrumentSettings":
        value = self.tick_usd * self.lot_size * MICRO_DOLLARS
        if abs(value - round(value)) > 1e-6 or round(value) < 1:
            raise ValueError(
                f"tick_usd times lot_size is {self.tick_usd * self.lot_size:g} dollars; it must be a whole number of "
                "micro-dollars, so that cash stays exact"
            )
        return self

    @property
    def tick_lot_value(self) -> int:
        """Micro-dollars per tick and lot."""
        return round(self.tick_usd * self.lot_size * MICRO_DOLLARS)


class PoolSettings(Settings):
    """An automated market maker for one of the spot instruments."""

    name: str = Field("ETH-POOL", min_length=1, max_length=40, description="name of the pool")
    kind: Literal["constant_product", "concentrated"] = Field(
        "constant_product", description="constant product of the reserves, or liquidity concentrated between ticks"
    )
    instrument: str = Field("ETH-SPOT", description="name of the spot instrument whose lots are traded for dollars")
    fee_ppm: int = Field(3_000, ge=0, le=LARGEST_FEE_PPM, description="fee of a swap, millionths of what goes in")
    tick_spacing: int = Field(
        0,
        ge=0,
        le=LARGEST_TICK_SPACING,
        description="ticks of one basis point between which ranges may start and end; 0 for what is usual at the fee "
        "(concentrated)",
    )
    initial_liquidity_usd: float = Field(
        25_000_000.0,
        ge=1,
        le=1e11,
        description="dollars that the first providers bring on each side, out of an account of their own",
    )
    initial_range_bps: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="distance from the price of either end of the first providers' range, basis points; 0 for all "
        "prices (concentrated)",
    )

    @model_validator(mode="after")
    def _spacing_is_known(self) -> "PoolSettings":
        if self.kind == "concentrated" and self.tick_spacing == 0 and self.fee_ppm not in FEE_TIERS:
            raise ValueError(
                f"tick_spacing is 0; it must be at least 1 where fee_ppm is {self.fee_ppm}, since only the fees "
                f"{', '.join(map(str, FEE_TIERS))} have a usual one"
            )
        return self

    @property
    def spacing(self) -> int:
        """Tick spacing, chosen or usual."""
        return self.tick_spacing or FEE_TIERS.get(self.fee_ppm, 1)


class VenueSettings(Settings):
    """Rules of the venue that hold for all its instruments."""

    oracle: Literal["delayed", "on_chain"] = Field(
        "delayed", description="whether the index lags by a fixed delay, or is what a keeper gets into a block"
    )
    oracle_delay_s: float = Field(
        1.0, ge=0, le=3_600, description="seconds by which the index lags the external price (delayed)"
    )
    funding_interval_s: float = Field(3_600.0, ge=1, le=1e6, description="seconds between two funding payments")
    matching: Literal["continuous", "batch"] = Field(
        "continuous", description="whether orders trade as they come, or wait for an auction at one price"
    )
    batch_interval_s: float = Field(
        0.0, ge=0, le=3_600, description="seconds between two auctions (batch); 0 holds one in every block"
    )
    settlement: Literal["immediate", "timer", "count"] = Field(
        "immediate",
        description="whether trades settle at once, by the clock, or once enough of them wait; by whoever operates the "
        "clearing, net for each account",
    )
    settlement_interval_s: float = Field(
        60.0, ge=0.001, le=86_400, description="seconds at whose multiples trades become due for settlement (timer)"
    )
    settlement_trades: int = Field(
        100, ge=1, le=10_000, description="trades that must wait before they are settled (count)"
    )
    clearing_fee_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the venue's fees on a trade that goes to who settles it (timer and count)",
    )
    gas_token: Literal["underlying", "fixed"] = Field(
        "underlying", description="whether gas is paid in the underlying itself or in a token of fixed price"
    )
    gas_token_usd: float = Field(2_000.0, gt=0, le=1e7, description="dollars per gas token (fixed)")


class MarginSettings(Settings):
    """What positions need, and what happens to who has too little."""

    liquidations: bool = Field(False, description="whether accounts below maintenance can be liquidated")
    mode: Literal["cross", "isolated", "portfolio"] = Field(
        "cross",
        description="what stands behind a position: all equity, what was set aside for it, or all equity behind all",
    )
    maintenance_share: float = Field(
        0.5, ge=1e-6, lt=1, description="maintenance requirement as a share of the initial margin"
    )
    partial_share: float = Field(
        0.5,
        ge=1e-6,
        le=1,
        description="share of a position that one liquidation may take while half of the maintenance is still there",
    )
    bonus_bps: float = Field(
        50.0, ge=0, lt=10_000, description="what a liquidator gets, basis points of the value that it takes over"
    )
    penalty_bps: float = Field(
        50.0, ge=0, lt=10_000, description="what the insurance fund gets, basis points of the same value"
    )
    insurance_usd: float = Field(1_000_000.0, ge=0, le=1e11, description="dollars in the insurance fund at the start")
    watch_interval_s: float = Field(
        0.05,
        ge=0,
        le=60,
        description="seconds after which marks are struck anew where blocks come faster than that and nothing happens",
    )
    price_shock: float = Field(
        0.15, gt=0, lt=1, description="largest relative move of the price that a portfolio must bear (portfolio)"
    )
    volatility_shock: float = Field(
        0.25, ge=0, lt=1, description="relative move of the volatility of options that it must bear (portfolio)"
    )


class GasSettings(Settings):
    """Gas that each kind of transaction uses, and its bytes."""

    place: int = Field(120_000, ge=21_000, le=16_777_216, description="gas of an order")
    cancel: int = Field(45_000, ge=21_000, le=16_777_216, description="gas of a cancellation")
    replace: int = Field(90_000, ge=21_000, le=16_777_216, description="gas of replacing an order")
    quote: int = Field(
        60_000, ge=21_000, le=16_777_216, description="gas of replacing a whole ladder, without its levels"
    )
    quote_level: int = Field(20_000, ge=0, le=1_000_000, description="gas of each order of a ladder")
    swap: int = Field(
        125_000,
        ge=21_000,
        le=16_777_216,
        description="gas of a swap in a pool (Uniswap v3's gas snapshots, 2021: 104,000 to 118,000 within a range, and "
        "about 20,000 for the router)",
    )
    swap_tick: int = Field(
        20_000,
        ge=0,
        le=1_000_000,
        description="gas of each tick that a swap crosses (Uniswap v3's gas snapshots, 2021: 137,000 with one crossed)",
    )
    mint: int = Field(
        250_000,
        ge=21_000,
        le=16_777_216,
        description="gas of adding liquidity to a pool (Uniswap v3's gas snapshots, 2021: 107,000 to 330,000)",
    )
    burn: int = Field(
        120_000,
        ge=21_000,
        le=16_777_216,
        description="gas of taking liquidity and fees out of a pool (Uniswap v3's gas snapshots, 2021: 60,000 to "
        "103,000, and about 20,000 around them)",
    )
    liquidate: int = Field(
        390_000,
        ge=21_000,
        le=16_777_216,
        description="gas of a liquidation (Aave v3's gas snapshots, 2023: 384,000 to 393,000)",
    )
    leg: int = Field(
        60_000, ge=0, le=1_000_000, description="gas of each leg of a combination, beyond that of an order"
    )
    report: int = Field(
        110_000, ge=21_000, le=16_777_216, description="gas of an oracle report (about that of a push oracle's update)"
    )
    settle: int = Field(
        60_000,
        ge=21_000,
        le=16_777_216,
        description="gas of settling trades that wait, without the accounts (assumed: a call, and a few slots written)",
    )
    settle_account: int = Field(
        25_000,
        ge=0,
        le=1_000_000,
        description="gas of each account that a settlement changes (about that of a token transfer, 45,000 to 65,000 "
        "with two accounts and 21,000 for the transaction; assumed)",
    )
    settle_at_once: int = Field(
        50_000,
        ge=0,
        le=16_777_216,
        description="part of an order's gas that goes into settling its trade, and is not used where trades wait "
        "(assumed: two accounts)",
    )
    bytes_per_transaction: int = Field(250, ge=1, le=1_000_000, description="bytes of a transaction of the market")
