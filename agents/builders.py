"""Builders: they make the blocks that producers propose, and compete for that in an auction.

Transactions meet builders at a relay. Some wallets hand what they send to one builder alone; the rest is seen by all.
For every block each builder plans its own from what it sees, values it, and offers a share of that to the producer. The
highest offer wins: the winner's block is executed, its tips are the winner's, and the winner pays what it offered
(proposer-builder separation; Heimbach, Kiffer, Ferreira Torres and Wattenhofer, 2023). The base fee goes where it goes
without builders.

How much to keep is learned. Bids are on public record at the relay, so that a builder knows of every past block which
bid, as a share of its own value, would have won it. It bids what would have earned most, recent blocks counting more
(a best response to what rivals did, as in fictitious play; Brown, 1951). Where no bid that leaves a margin would have
won, it leaves the narrowest that there is: that costs nothing and may win.

Protected transactions pay only if they succeed, and of rivals in a race just one does. Builders do not execute the
block beforehand; they learn from past blocks what share of the tips of protected transactions is paid.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from blockspace.markets.ledger import WEI_PER_GWEI, transfer_ether
from blockspace.network.block import plan_block
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_bits, draw_uniform, stream_key
from blockspace.network.regions import REGIONS
from blockspace.network.settings import Settings
from blockspace.network.transaction import PUBLIC, effective_tip

BUILDERS = 16
"""Builders that a chain may have."""

STEPS = 512
"""Steps into which a builder divides its value to choose a bid; the narrowest margin is one of them."""

FORGOTTEN = 1e-6
"""Weight below which past blocks count no more: otherwise who wins no more would dwell on the last ones that it won."""

MANY_WEI = 9e18
"""What fits into 64 bits of wei."""

_TIE = np.int64(0)

BUILDER = np.dtype(
    [
        ("account", "u4"),
        ("key", "u8"),
        ("learning_rate", "f8"),
        ("needed", "f8", (STEPS + 1,)),  # weight of past blocks by the least step that would have won them
        ("step", "i8"),  # of its value that it bids
        ("promised", "f8"),  # moving averages of what protected transactions promised, in wei, ...
        ("paid", "f8"),  # ... and of what they paid
        # Its plan for the coming block.
        ("plain", "f8"),  # wei of tips without protection
        ("protected", "f8"),  # wei of tips that are paid only on success
        ("value", "f8"),  # wei
        ("bid", "f8"),  # wei
        ("wins", "i8"),
    ],
    align=True,
)


class BuilderSettings(Settings):
    """Who makes blocks for the producers, if they do not do it themselves."""

    count: int = Field(0, ge=0, le=BUILDERS, description="number of builders; 0 if producers make their blocks alone")
    relay_region: str = Field(
        "", description="region of builders and relay; empty for the first of the regions that are in use"
    )
    exclusive_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the wallets of noise traders, swappers and users that send to one builder alone",
    )
    concentration: float = Field(
        1.0,
        ge=0,
        le=10,
        description="exponent of the rank-size law by which builders get these wallets; 0 gives all the same",
    )
    learning_rate: float = Field(0.02, gt=0, le=1, description="weight of the last block in what a builder goes by")

    @field_validator("relay_region")
    @classmethod
    def _known_region(cls, region: str) -> str:
        if region and region not in REGIONS:
            raise ValueError(f"it may be {', '.join(REGIONS)}")
        return region


def new_builders(settings: BuilderSettings, accounts: list[int], seed: int) -> npt.NDArray[Any]:
    """State of the builders: one row of type ``BUILDER`` each."""
    rows = np.zeros(len(accounts), BUILDER)
    rows["account"] = accounts
    rows["learning_rate"] = settings.learning_rate
    rows["step"] = STEPS - 1
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"builders/{number}")
    return rows


def exclusive_ends(settings: BuilderSettings) -> npt.NDArray[np.float64]:
    """Ends of the intervals of (0, 1) that say which builder a wallet sends to alone, shape (``BUILDERS``,).

    The builder ranked ``r = 1, 2, …`` has a share of the exclusive wallets proportional to ``r ** -concentration``.
    """
    ends = np.zeros(BUILDERS)
    if settings.count:
        sizes = np.arange(1, settings.count + 1, dtype=float) ** -settings.concentration
        ends[: settings.count] = settings.exclusive_share * np.cumsum(sizes / sizes.sum())
    return ends


@kernel
def route_of(ends, key, entity, index):
    """Route of a wallet, by a keyed draw: public, or the number of the builder that it sends to alone."""
    if ends.max() > 0.0:
        drawn = draw_uniform(key, entity, index)
        for number in range(ends.size):
            if drawn < ends[number]:
                return number + 1
    return PUBLIC


@kernel
def _is_protected(block, transaction):
    return block.revert_protection != 0 or transaction.protected != 0


@kernel
def _value_plan(row, pool, block):
    """Value the block that has just been planned, and bid for it."""
    row.plain = 0.0
    row.protected = 0.0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        tips = np.float64(effective_tip(transaction, block.base_fee)) * np.float64(transaction.gas)
        if _is_protected(block, transaction):
            row.protected += tips
        else:
            row.plain += tips
    share = row.paid / row.promised if row.promised > 0.0 else 1.0
    row.value = row.plain + share * row.protected
    row.bid = row.value * row.step / STEPS


@kernel
def _write_bid(block, bid):
    """Write a bid of so many wei into the header, in whole gwei where it does not fit into 64 bits."""
    if bid < MANY_WEI:
        wei = np.int64(bid)
        block.bid_gwei = wei // WEI_PER_GWEI
        block.bid_wei = wei % WEI_PER_GWEI
    else:
        block.bid_gwei = np.int64(bid / WEI_PER_GWEI)
        block.bid_wei = 0


@kernel
def bid_for_block(rows, pools, blocks):
    """Let every builder plan the block and bid for it; the winner's is the block that will be filled.

    Parameters
    ----------
    rows, pools, blocks
        Builders, and one-element record arrays. What is pending has been ranked.
    """
    block = blocks[0]
    winner = 0
    winning_draw = np.uint64(0)
    for number in range(rows.size):
        block.route = number + 1
        plan_block(pools, blocks)
        row = rows[number]
        _value_plan(row, pools[0], block)
        draw = draw_bits(row.key, block.number, _TIE)
        if number == 0 or row.bid > rows[winner].bid or (row.bid == rows[winner].bid and draw > winning_draw):
            winner = number
            winning_draw = draw
    block.route = winner + 1
    block.producer_account = rows[winner].account
    _write_bid(block, rows[winner].bid)


@kernel
def _learn(row, rival_bid):
    """Take in which bid would have won the block, and choose the step that would have earned most so far."""
    needed = np.int64(0)
    if rival_bid > 0.0:
        needed = np.int64(min(rival_bid / row.value * STEPS + 1e-9, STEPS - 1.0)) + 1
    for step in range(STEPS + 1):
        weight = row.needed[step] * (1.0 - row.learning_rate)
        row.needed[step] = weight if weight > FORGOTTEN else 0.0
    row.needed[needed] += row.learning_rate
    chance = 0.0
    best = 0.0
    for step in range(STEPS):
        chance += row.needed[step]
        earned = chance * (STEPS - step)
        if earned >= best:
            best = earned
            row.step = step


@kernel
def settle_auction(rows, venues, pools, blocks):
    """Pay the winner's bid to the proposer, once the block has been executed, and let every builder learn.

    A winner who has less than it bid pays what it has.
    """
    block = blocks[0]
    pool = pools[0]
    ledger = venues[0].ledger
    winner = np.int64(block.route) - 1
    account = ledger.accounts[block.producer_account]
    if account.gwei < block.bid_gwei or (account.gwei == block.bid_gwei and account.wei < block.bid_wei):
        block.bid_gwei = max(account.gwei, 0)
        block.bid_wei = account.wei if account.gwei >= 0 else 0
    transfer_ether(ledger, block.producer_account, block.proposer_account, block.bid_gwei, block.bid_wei)
    rows[winner].wins += 1
    paid = 0.0
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        if _is_protected(block, transaction):
            tip = np.float64(effective_tip(transaction, block.base_fee))
            paid += tip * np.float64(transaction.gas_used)
    promised = rows[winner].protected
    runner_up = 0.0
    for number in range(rows.size):
        if number != winner:
            runner_up = max(runner_up, rows[number].bid)
    for number in range(rows.size):
        row = rows[number]
        if promised > 0.0:
            row.promised += row.learning_rate * (promised - row.promised)
            row.paid += row.learning_rate * (paid - row.paid)
        if row.value > 0.0:
            _learn(row, runner_up if number == winner else rows[winner].bid)
