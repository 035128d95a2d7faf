"""Settings of the network part of a scenario, each with its unit in its name or description."""

import difflib
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from blockspace.network.fee_market import FEE_RULES, FeeRule
from blockspace.network.mempool import SLOTS
from blockspace.network.ordering import ORDERING_POLICIES
from blockspace.network.regions import REGIONS

MEMPOOLS = ("public", "private", "encrypted")
"""Who sees what is pending: everybody, only whoever makes the block, or nobody before the order is fixed."""


class Settings(BaseModel):
    """Base of all settings: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Hint at the nearest of the known names, in parentheses, or nothing if none is near."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


class ChainSettings(Settings):
    """The chain: how much space there is, and how fast blocks come."""

    block_time_s: float = Field(12.0, ge=1e-6, le=86_400, description="seconds between two blocks, on average")
    block_arrivals: Literal["slots", "poisson"] = Field(
        "slots", description="fixed slots, or exponential gaps as with proof of work"
    )
    gas_limit: int = Field(30_000_000, ge=21_000, le=10**13, description="gas that a block can hold")
    byte_limit: int = Field(8 * 2**20, ge=1_000, le=10**10, description="bytes that a block can hold")
    blobs: Literal["none", "cancun", "prague", "osaka", "bpo1", "bpo2"] = Field(
        "none", description="fork of Ethereum whose market for blobs the chain has, or none"
    )
    initial_blob_base_fee_wei: int = Field(
        1, ge=1, le=10**15, description="wei per unit of blob gas of the first block"
    )
    verification_ns_per_gas: float = Field(
        5.0,
        ge=0,
        le=1e6,
        description="nanoseconds that a node takes to verify one unit of gas before passing a block on",
    )
    checkpoint_blocks: int = Field(
        32, ge=1, le=100_000, description="blocks from one checkpoint to the next, on which validators vote"
    )
    final_checkpoints: int = Field(
        2, ge=1, le=1_000, description="checkpoints that have to count after a block until it is final"
    )
    ordering: str = Field("priority_fee", description="ordering policy, by the name under which it is registered")
    revert_protection: bool = Field(
        False, description="whether what would fail is left out and pays nothing, rather than paying for its gas"
    )
    mempool: Literal["public", "private", "encrypted"] = Field(
        "public",
        description="who sees a pending transaction: everybody whom it has reached, only whoever makes the block, or "
        "nobody before the order is fixed",
    )

    @field_validator("ordering")
    @classmethod
    def _known_policy(cls, name: str) -> str:
        if name not in ORDERING_POLICIES:
            raise ValueError(f"it may be {' or '.join(ORDERING_POLICIES)}{did_you_mean(name, ORDERING_POLICIES)}")
        return name


class FeeMarketSettings(Settings):
    """How space is priced."""

    rule: str = Field("eip1559", description="fee rule, by the name under which it is registered")
    elasticity: int = Field(2, ge=1, le=1_000, description="gas limit divided by target (eip1559)")
    denominator: int = Field(8, ge=1, le=100_000, description="inverse of the largest relative step (eip1559)")
    minimum_base_fee_wei: int = Field(
        0, ge=0, le=10**15, description="wei per gas below which the base fee never falls"
    )
    initial_base_fee_wei: int = Field(10**9, ge=0, le=10**15, description="wei per gas of the first block (eip1559)")
    base_fee_recipient: Literal["rule", "burned", "producer"] = Field(
        "rule", description="who gets the base fee: nobody (burned), the block's producer, or as is usual for the rule"
    )
    data_fee_wei_per_byte: float = Field(
        0.0,
        ge=0,
        le=1e12,
        description="wei that a byte of a transaction pays beside gas to be kept on another chain; where that chain is "
        "part of the market, its fees say it",
    )
    gas_targets: tuple[tuple[int, int], ...] = Field(
        (),
        description="pairs of gas per second and seconds over which it counts, the highest and shortest first "
        "(gas_targets)",
    )
    base_fee_wei: int = Field(10**6, ge=0, le=10**15, description="wei per gas (fixed)")
    wallet_tip_wei: int = Field(10**7, ge=0, le=10**15, description="wei per gas that wallets tip without congestion")

    @field_validator("rule")
    @classmethod
    def _known_rule(cls, name: str) -> str:
        if name not in FEE_RULES:
            raise ValueError(f"it may be {' or '.join(FEE_RULES)}")
        return name

    @model_validator(mode="after")
    def _starts_above_minimum(self) -> "FeeMarketSettings":
        if self.initial_base_fee_wei < self.minimum_base_fee_wei:
            raise ValueError(
                f"initial_base_fee_wei is {self.initial_base_fee_wei}; it may not be below minimum_base_fee_wei, "
                f"{self.minimum_base_fee_wei}"
            )
        return self

    @model_validator(mode="after")
    def _makes_a_rule(self) -> "FeeMarketSettings":
        self.fee_rule()
        return self

    def fee_rule(self) -> FeeRule:
        """The rule with the settings that it takes."""
        rule = FEE_RULES[self.rule]
        taken = getattr(rule, "__dataclass_fields__", {})
        settings = {name: getattr(self, name) for name in taken if name in type(self).model_fields}
        if self.base_fee_recipient != "rule" and "burns_base_fee" in taken:
            settings["burns_base_fee"] = self.base_fee_recipient == "burned"
        return rule(**settings)


class ExpressLaneSettings(Settings):
    """A fast way to the block producer, auctioned round by round, while everybody else is delayed (Timeboost, 2025)."""

    round_s: float = Field(
        0.0, ge=0, le=86_400, description="seconds for which the lane is sold at once; 0 for no lane"
    )
    delay_s: float = Field(0.2, ge=0, le=60, description="seconds by which all are delayed who do not hold the lane")
    reserve_usd: float = Field(0.0, ge=0, le=1e9, description="dollars below which the lane is not sold")
    closes_s: float = Field(15.0, ge=0, le=86_400, description="seconds before a round at which its auction closes")

    @model_validator(mode="after")
    def _fits_into_a_round(self) -> "ExpressLaneSettings":
        if self.round_s > 0:
            if self.delay_s > self.round_s:
                raise ValueError(f"delay_s is {self.delay_s:g}; it may be at most round_s, {self.round_s:g}")
            if self.closes_s >= self.round_s:
                raise ValueError(f"closes_s is {self.closes_s:g}; it must be below round_s, {self.round_s:g}")
        return self


class AttestationSettings(Settings):
    """By when validators must have a block for it to count, on chains with fixed slots."""

    deadline_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="seconds into a slot by which a block must have been received and verified; 0 if all count",
    )
    needed_share: float = Field(
        0.4,
        gt=0,
        le=1,
        description="share of the stake that must have a block by then; with less than the proposer boost of 40 % the "
        "next block goes past it",
    )
    jitter_s: float = Field(0.3, ge=0, le=60, description="mean of the random part of a block's way, in seconds")
    sampled_share: float = Field(
        0.125,
        ge=0,
        le=1,
        description="share of the bytes of blobs that a validator loads: 1/8 where they are sampled (EIP-7594), or 1",
    )


class TimingGameSettings(Settings):
    """Validators who wait before they close their blocks, as long as the deadline of attestation lets them."""

    share: float = Field(0.0, ge=0, le=1, description="chance that a validator plays: share of the stake that waits")


class TopologySettings(Settings):
    """Where validators and agents sit, and how far apart."""

    validators: int = Field(200, ge=1, le=10_000, description="number of validators; 1 for a single sequencer")
    regions: tuple[str, ...] = Field(
        REGIONS, min_length=1, description="regions in use; a single sequencer sits in the first"
    )
    stake_concentration: float = Field(
        0.5, ge=0, le=5, description="exponent of the stakes' rank-size law; 0 gives all the same"
    )
    validator_bandwidth_mbps: float = Field(1_000.0, gt=0, le=1e6, description="megabits per second of a data centre")
    home_validator_share: float = Field(0.2, ge=0, le=1, description="share of validators that run at home")
    home_bandwidth_mbps: float = Field(
        25.0, gt=0, le=1e6, description="megabits per second that a home connection sends"
    )
    home_download_mbps: float = Field(
        50.0, gt=0, le=1e6, description="megabits per second that a home connection receives from peers"
    )
    peers: int = Field(
        0,
        ge=0,
        le=200,
        description="peers to whom a validator passes on blocks, an even number; 0 for the hubs of the regions",
    )
    latency_scale: float = Field(1.0, ge=0, le=100, description="factor on every latency; 0 puts all in one place")

    @field_validator("regions")
    @classmethod
    def _known_regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in regions if name not in REGIONS]
        if unknown:
            raise ValueError(f"unknown region {unknown[0]!r}; it may be {', '.join(REGIONS)}")
        if len(set(regions)) < len(regions):
            raise ValueError("each region may be named once")
        return regions

    @model_validator(mode="after")
    def _has_enough_for_peers(self) -> "TopologySettings":
        if self.peers % 2 or self.peers >= self.validators:
            raise ValueError(
                f"peers is {self.peers}; it must be an even number below validators, {self.validators}, or 0"
            )
        return self


class MempoolSettings(Settings):
    """The mempool."""

    capacity: int = Field(8192, ge=8, lt=SLOTS, description="pending transactions at the most")
