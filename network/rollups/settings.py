"""Settings of a rollup: where it keeps its data, how it proves its state, and what that needs."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from blockspace.network.data_compression import COMPRESSIONS, LAYOUT
from blockspace.network.settings import Settings

DAY_S = 86_400.0


class PostingSettings(Settings):
    """When the operator of a rollup posts the data of its transactions, and how."""

    rule: Literal["economic", "interval", "transactions"] = Field(
        "economic",
        description="post when the waiting of the transactions has cost as much as a posting does, every interval_s, "
        "or every so many transactions",
    )
    delay_cost_usd_per_h: float = Field(
        0.05, ge=0, le=1e6, description="dollars that an hour's wait of one transaction costs its sender (economic)"
    )
    interval_s: float = Field(300.0, gt=0, le=30 * DAY_S, description="seconds between two postings (interval)")
    transactions: int = Field(1_000, ge=1, le=10**9, description="transactions of a batch (transactions)")
    longest_wait_s: float = Field(
        3_600.0, gt=0, le=30 * DAY_S, description="seconds after which a transaction is posted whatever it costs"
    )
    compression: Literal["none", "batch", "state_differences"] = Field(
        "batch",
        description="what is posted: transactions as they are; compressed in batches, what repeats once and of each "
        "what is its own; or the slots of state that they have changed, each once in a batch",
    )
    signature_bytes: int = Field(
        64, ge=0, le=1_000, description="bytes of a signature in a batch; 0 where signatures are proven or aggregated"
    )
    header_bytes: int = Field(200, ge=0, le=10**6, description="bytes of a batch or a difference of state itself")
    slot_key_bytes: int = Field(5, ge=1, le=64, description="bytes that name a slot of state, by its number")
    slot_value_bytes: int = Field(8, ge=1, le=32, description="bytes of how a slot has changed, without leading zeros")
    batch_bytes: int = Field(
        761_856, ge=1_000, le=10**9, description="bytes that a posting can hold; that of six blobs by default"
    )
    fixed_gas: int = Field(100_000, ge=21_000, le=10**8, description="gas of a posting beside its data")
    gas_per_byte: float = Field(
        40.0, ge=0, le=1e4, description="gas of a byte in calldata; the floor of EIP-7623 is 40 for what is not zero"
    )
    wallet_patience_s: float = Field(
        120.0, gt=0, le=DAY_S, description="seconds after which a posting that is not in a block is sent anew, for more"
    )
    users_pay_share: float = Field(
        1.1, ge=0, le=100, description="what users pay for data, as a share of what posting them has cost lately"
    )
    price_lag_s: float = Field(
        24.0, ge=1, le=DAY_S, description="seconds until the fees of the chain with the data count for the users"
    )


def new_layout(settings: PostingSettings) -> npt.NDArray[Any]:
    """Make the record of what is posted of transactions: a one-element array of type ``LAYOUT``."""
    layouts = np.zeros(1, LAYOUT)
    layouts["compression"] = COMPRESSIONS.index(settings.compression)
    layouts["signature"] = settings.signature_bytes
    layouts["header"] = settings.header_bytes
    layouts["slot"] = settings.slot_key_bytes + settings.slot_value_bytes
    return layouts


class ProofSettings(Settings):
    """How a validity rollup proves its state: provers compete for the work, and the proof goes to the parent."""

    gas: int = Field(450_000, ge=21_000, le=10**8, description="gas of verifying a proof on the parent")
    bytes: int = Field(2_000, ge=1, le=10**6, description="bytes of a proof's transaction")
    provers: int = Field(3, ge=1, le=64, description="provers that compete")
    gas_per_s: float = Field(
        2e6,
        gt=0,
        le=1e12,
        description="gas that the median prover proves per second; the others differ by speed_spread",
    )
    speed_spread: float = Field(0.3, ge=0, le=3, description="standard deviation of the log of the provers' speeds")
    fixed_s: float = Field(60.0, ge=0, le=30 * DAY_S, description="seconds that every proof takes beside")
    cost_usd_per_mgas: float = Field(
        0.002, ge=0, le=1e4, description="dollars of hardware and power for a million units of gas, the median prover's"
    )
    cost_spread: float = Field(0.3, ge=0, le=3, description="standard deviation of the log of the provers' costs")


class ChallengeSettings(Settings):
    """How an optimistic rollup is kept honest: claims wait, and whoever checks them may refute one."""

    window_s: float = Field(
        7 * DAY_S, gt=0, le=365 * DAY_S, description="seconds for which a posted state can be challenged"
    )
    challengers: int = Field(1, ge=0, le=64, description="honest parties who check every posted state")
    claim_gas: int = Field(150_000, ge=21_000, le=10**8, description="gas of a claim about the state")
    gas: int = Field(1_000_000, ge=21_000, le=10**8, description="gas of a challenge on the parent")
    check_gas_per_s: float = Field(
        1e8, gt=0, le=1e12, description="gas that a challenger re-executes per second to check a state"
    )


class BridgeSettings(Settings):
    """Cash that moves between a rollup and its parent: who sends it, and who pays it out early for a fee."""

    users_per_h: float = Field(
        0.0, ge=0, le=1e5, description="transfers per hour that users want in each direction; no bridge where it is 0"
    )
    amount_usd: float = Field(2_000.0, ge=1, le=1e8, description="dollars of the median transfer")
    amount_spread: float = Field(1.0, ge=0, le=3, description="standard deviation of the log of the amounts")
    waiting_cost_per_year: float = Field(
        0.5, ge=0, le=1e4, description="share of the amount that a year's wait costs the median user"
    )
    waiting_cost_spread: float = Field(1.0, ge=0, le=5, description="standard deviation of the log of that share")
    gas: int = Field(90_000, ge=21_000, le=10**7, description="gas of sending cash over the bridge")
    bytes: int = Field(200, ge=1, le=10**5, description="bytes of such a transaction")
    deposit_s: float = Field(
        60.0,
        ge=0,
        le=DAY_S,
        description="seconds after which the rollup takes in what it has seen on the parent: a deposit, or what users "
        "send that way",
    )
    providers: int = Field(3, ge=0, le=64, description="providers of the fast bridge; none means that there is none")
    capital_usd: float = Field(1e6, ge=0, le=1e9, description="dollars that each provider has on each of both chains")
    capital_cost_per_year: float = Field(
        0.1, ge=0, le=10, description="what the median provider must earn in a year on capital that is locked, a share"
    )
    capital_cost_spread: float = Field(
        0.1, ge=0, le=3, description="standard deviation of the log of the providers' costs of capital"
    )


class InsistingSettings(Settings):
    """Users who want to trade on a rollup and go by way of its parent if its sequencer does not take them."""

    users_per_h: float = Field(
        0.0, ge=0, le=1e5, description="users per hour who want to trade and will insist on it; none where it is 0"
    )
    size: float = Field(0.1, gt=0, le=1e9, description="units of the underlying that each of them trades, at market")
    patience_s: float = Field(
        60.0, gt=0, le=30 * DAY_S, description="seconds after which one who is in no block goes by way of the parent"
    )
    region: str = Field("", description="region that they are in, of those of the rollup; all of them in turn if empty")
    gas: int = Field(120_000, ge=21_000, le=10**7, description="gas of sending a transaction by way of the parent")
    bytes: int = Field(400, ge=1, le=10**5, description="bytes of such a transaction")


class RollupSettings(Settings):
    """Whether a chain settles on another one of the market, and how."""

    kind: Literal["none", "optimistic", "validity"] = Field(
        "none", description="how its state becomes final on the parent: not at all, unless challenged, or when proven"
    )
    parent: str = Field("", description="name of the chain on which it settles; the first of chains if empty")
    data: Literal["blobs", "calldata"] = Field("blobs", description="where its data lie on the chain that keeps them")
    data_chain: str = Field("", description="name of the chain that keeps its data; the parent if empty")
    posting: PostingSettings = PostingSettings()
    claim_interval_s: float = Field(
        3_600.0, gt=0, le=30 * DAY_S, description="seconds between two claims about the state, or requests of a proof"
    )
    proofs: ProofSettings = ProofSettings()
    challenges: ChallengeSettings = ChallengeSettings()
    bridge: BridgeSettings = BridgeSettings()
    insisting: InsistingSettings = InsistingSettings()
    force_after_s: float = Field(
        DAY_S,
        gt=0,
        le=30 * DAY_S,
        description="seconds after which a block must hold what users have sent by way of the parent, whatever the "
        "sequencer wants",
    )

    @model_validator(mode="after")
    def _posts_in_time(self) -> "RollupSettings":
        posting = self.posting
        if self.kind != "none" and posting.rule == "interval" and posting.interval_s > posting.longest_wait_s:
            raise ValueError(
                f"posting.interval_s is {posting.interval_s:g}; it may be at most posting.longest_wait_s, "
                f"{posting.longest_wait_s:g}"
            )
        return self
