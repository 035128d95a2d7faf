"""What a row of each record holds, who is who, and what is summed up as it happens.

A row of ``BLOCK_ROW`` describes a block, a row of ``MARKET_ROW`` an instrument after it and its order book, and a row
of :data:`~blockspace.experiments.recording.pools.POOL_ROW` a pool. What needs the single transaction (delays, costs of
orders by size, gas by role, the fingerprint) is summed up in a ``METER``.
"""

import numpy as np

from blockspace.experiments.recording.pools import POOL_METER
from blockspace.markets.clearing import CLEARING_TOTALS
from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.pools.listing import POOLS
from blockspace.network.compilation import kernel
from blockspace.network.transaction import KINDS, LIQUIDATE

ROLES = (
    "system",
    "background",
    "producer",
    "maker",
    "noise",
    "informed",
    "arbitrageur",
    "own",
    "pool_arbitrageur",
    "swapper",
    "provider",
    "pool",
    "insurance",
    "sandwicher",
    "extractor",
    "builder",
    "keeper",
    "leveraged",
    "liquidator",
    "option_maker",
    "option_trader",
    "option_vault",
    "batcher",
    "claimer",
    "challenger",
    "prover",
    "delta_hedger",
    "hedger",
    "messenger",
    "transit",
    "bridge_user",
    "bridge_provider",
    "escrow",
    "cross_chain_arbitrageur",
    "clearing_keeper",
    "insisting_user",
)
SYSTEM, BACKGROUND_ROLE, PRODUCER, MAKER, NOISE, INFORMED, ARBITRAGEUR, OWN = range(8)
POOL_ARBITRAGEUR, SWAPPER, PROVIDER, POOL, INSURANCE, SANDWICHER, EXTRACTOR, BUILDER = range(8, 16)
KEEPER, LEVERAGED, LIQUIDATOR, OPTION_MAKER, OPTION_TRADER, OPTION_VAULT = range(16, 22)
BATCHER, CLAIMER, CHALLENGER, PROVER, DELTA_HEDGER = range(22, 27)
HEDGER, MESSENGER, TRANSIT, BRIDGE_USER, BRIDGE_PROVIDER, ESCROW = range(27, 33)
CROSS_CHAIN_ARBITRAGEUR, CLEARING_KEEPER, INSISTING_USER = range(33, len(ROLES))

DEPTHS_BPS = (5, 10, 25, 50, 100)
NOTIONALS_USD = (1_000, 10_000, 100_000)
SIZE_BUCKETS_USD = (300, 1_000, 3_000, 10_000, 30_000)
"""Upper ends of the classes of order size by which trading costs are reported; a last class has no end."""

REALISED_AFTER_NS = 10_000_000_000
"""The realised spread compares a trade with the external price ten seconds later."""

DELAY_BINS = 160

BLOCK_ROW = np.dtype(
    [
        ("time_s", "f8"),
        ("block", "i8"),
        ("elapsed_s", "f8"),  # since the row before
        ("base_fee_gwei", "f8"),
        ("marginal_tip_gwei", "f8"),
        ("gas_used", "i8"),
        ("utilisation", "f8"),  # share of the gas limit
        ("transactions", "i8"),
        ("background_transactions", "i8"),
        ("failed_transactions", "i8"),
        ("unfunded_transactions", "i8"),
        ("left_out_transactions", "i8"),  # by revert protection
        ("base_fee_usd", "f8"),  # paid as base fee
        ("tips_usd", "f8"),
        ("blobs", "i8"),
        ("blob_base_fee_gwei", "f8"),  # per unit of blob gas
        ("blob_fees_usd", "f8"),  # paid beside gas for blobs, and burned
        ("data_usd", "f8"),  # paid beside gas for keeping data on another chain
        ("builder", "i8"),  # number of the builder who made the block, from 1; 0 if its producer did
        ("bid_usd", "f8"),  # what the builder paid to the producer
        ("failed_gas_usd", "f8"),  # of which for transactions that failed
        ("congestion_usd", "f8"),  # of which because space is short
        ("auction_usd", "f8"),  # paid beside gas for the express lane
        ("ordering_usd", "f8"),  # of all of which for a place ahead of others
        ("searcher_gas_usd", "f8"),  # of which paid by arbitrageurs
        ("searcher_gas", "i8"),  # gas units used by arbitrageurs
        ("spam_gas", "i8"),  # gas units of arbitrageurs' transactions and of liquidations that failed
        ("mean_delay_s", "f8"),  # decision to block, all that was included
        ("pending", "i8"),
        ("arrived_total", "i8"),  # transactions handed in so far
        ("balked_total", "i8"),
        ("expired_total", "i8"),
        ("evicted_total", "i8"),
        ("refused_total", "i8"),
        ("external_price_usd", "f8"),
        ("liquidations", "i8"),
        ("liquidated_usd", "f8"),  # value at mark of the positions that changed hands by them
        ("due_accounts", "i8"),  # below maintenance after the block
        ("worst_equity_usd", "f8"),  # of these; 0 if there are none
        ("insurance_usd", "f8"),  # in the insurance fund
        ("unsettled_trades", "i8"),  # that wait for settlement
        ("unsettled_usd", "f8"),  # value of these
        ("exposure_usd", "f8"),  # of all accounts in perpetuals, settled or not, at the marks
        ("margin_demanded_usd", "f8"),  # initial margin that this takes
    ],
    align=True,
)

LIQUIDATION_COLUMNS = ("liquidations", "liquidated_usd", "due_accounts", "worst_equity_usd", "insurance_usd")
"""Columns of a block's row that say nothing where accounts cannot be liquidated."""

CLEARING_COLUMNS = ("unsettled_trades", "unsettled_usd", "exposure_usd", "margin_demanded_usd")
"""Columns of a block's row that say nothing where trades settle at once."""

BLOB_COLUMNS = ("blobs", "blob_base_fee_gwei", "blob_fees_usd")
"""Columns of a block's row that say nothing on a chain without blobs."""

MARKET_ROW = np.dtype(
    [
        ("instrument", "i8"),
        ("best_bid_usd", "f8"),
        ("best_ask_usd", "f8"),
        ("quoted_spread_bps", "f8"),
        *((f"depth_{distance}bps_usd", "f8") for distance in DEPTHS_BPS),  # mean of both sides
        *((f"slippage_{notional}usd_bps", "f8") for notional in NOTIONALS_USD),  # mean of both sides, against mid
        ("mark_usd", "f8"),
        ("index_usd", "f8"),
        ("funding_rate", "f8"),
        ("trades", "i8"),
        ("volume_usd", "f8"),
        ("arbitrage_volume_usd", "f8"),
        ("effective_spread_usd", "f8"),  # sum over trades that are not arbitrage; twice the distance to the price
        ("realised_spread_usd", "f8"),
        ("arbitrage_profit_usd", "f8"),  # before gas
        ("loss_to_arbitrage_usd", "f8"),  # of those whose quotes arbitrageurs took
        ("loss_to_sandwiches_usd", "f8"),  # of those whose swaps were sandwiched
        ("searcher_fees_usd", "f8"),  # venue fees of arbitrageurs
        ("maker_fees_usd", "f8"),
        ("taker_fees_usd", "f8"),
    ],
    align=True,
)

ORDER_COSTS = np.dtype(
    [
        ("orders", "i8"),
        ("unfilled", "i8"),
        ("notional_usd", "f8"),
        ("half_spread_usd", "f8"),
        ("impact_usd", "f8"),
        ("delay_usd", "f8"),
        ("fee_usd", "f8"),
        ("gas_usd", "f8"),
    ],
    align=True,
)

TAPE_ROW = np.dtype(
    [
        ("block", "i8"),
        ("time", "i8"),
        ("decided", "i8"),
        ("sender", "u4"),
        ("nonce", "u4"),
        ("gas_used", "u4"),
        ("bytes", "u4"),
        ("base_fee", "i8"),
        ("tip", "i8"),
        ("price", "i4"),
        ("size", "i4"),
        ("filled", "i4"),
        ("kind", "u1"),
        ("instrument", "u1"),
        ("side", "i1"),
        ("status", "u1"),
    ],
    align=True,
)
TAPE = 65536

WEI = np.dtype([("gwei", "i8"), ("wei", "i8")], align=True)
"""An amount of ether that does not fit into 64 bits of wei: whole gwei, and the wei beyond."""

# What gas is paid for: space itself, space that is short, and a place ahead of others (the rule is in ``rents.py``).
PLAIN_SPACE, CONGESTION, PLACE_IN_BLOCK = range(3)

METER = np.dtype(
    [
        ("roles", "u1", (ACCOUNTS,)),
        # The accounts of rents, in integers, by who paid; what there is of gas in wei, the rest in micro-dollars.
        ("base_fees", WEI, (len(ROLES),)),
        ("tips", WEI, (len(ROLES),)),
        ("blob_fees", WEI, (len(ROLES),)),  # paid beside gas for blobs, and burned
        ("data_fees", WEI, (len(ROLES),)),  # paid beside gas for keeping data on another chain
        ("failed_gas", WEI, (len(ROLES),)),  # part of base fees and tips
        ("gas_by_purpose", WEI, (3,)),  # base fees and tips, otherwise divided
        ("auctions", WEI),  # what was paid for the express lane
        ("bids", WEI, (1,)),  # of builders, paid to producers out of the tips
        ("venue_fees", "i8", (len(ROLES),)),
        ("loss_to_arbitrage", "i8"),
        ("loss_to_sandwiches", "i8"),
        ("lowest_base_fee", "i8"),  # wei per gas that space costs when nobody wants it
        ("usual_tip", "i8"),  # wei per gas that wallets tip without congestion
        ("block_gas", "i8", (len(ROLES),)),  # gas used in the block that is being recorded
        ("background_delays", "i8", (DELAY_BINS,)),  # number of transactions by delay class
        ("market_delays", "i8", (DELAY_BINS,)),
        ("order_costs", ORDER_COSTS, (len(SIZE_BUCKETS_USD) + 1,)),  # of noise traders, by size
        ("gas_usd", "f8", (len(ROLES),)),
        ("failed_gas_usd", "f8", (len(ROLES),)),
        ("gas_units", "i8", (len(ROLES),)),
        ("kinds", "i8", (len(KINDS),)),
        # Trades of all options together.
        ("option_trades", "i8"),
        ("option_units", "f8"),  # of the underlying
        ("option_premium", "i8"),  # micro-dollars
        ("option_fees", "i8"),
        ("clearing", CLEARING_TOTALS, (1,)),
        ("settlement_delays", "i8", (DELAY_BINS,)),  # number of trades by delay class
        ("cleared_seen", "i8"),
        ("trades_seen", "i8"),
        ("value", "i8"),  # micro-dollars that changed hands in the trades of the latest block
        ("liquidations_seen", "i8"),
        ("last_time", "i8"),
        ("print_low", "u8"),
        ("print_high", "u8"),
        ("pools", POOL_METER, (POOLS,)),
        ("keep_tape", "i8"),
        ("tape", TAPE_ROW, (TAPE,)),
        ("tape_count", "i8"),
    ],
    align=True,
)


SEARCHERS = (ARBITRAGEUR, POOL_ARBITRAGEUR, SANDWICHER, EXTRACTOR)


@kernel
def is_searcher(role):
    """Whether accounts of a role are searchers: they take what has become stale, or trade around others' swaps."""
    return role in SEARCHERS


@kernel
def sandwiches(role):
    """Whether accounts of a role look for swaps to sandwich."""
    return role in (SANDWICHER, EXTRACTOR)


@kernel
def races(role, kind):
    """Whether a transaction races for its place: all of searchers, and liquidations, which only the first one gets."""
    return is_searcher(role) or kind == LIQUIDATE
