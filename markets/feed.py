"""What can be seen, from where, and when: the only door through which agents look at chain and market.

After each block the venue publishes a view: fees, top of the books, marks, pools. It becomes visible at an access
point once the block has travelled there. An agent that decides at some time gets the newest view that could have
reached it by then, and trades of the blocks up to that view; nothing later is within its reach (no look-ahead, by
construction).

Just before a block is built, :func:`survey` works out for each access point the last moment at which a decision can
still make the block, and what is visible at that moment: the ``outlook`` of the access point.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.markets.clearing import IMMEDIATE
from blockspace.markets.instruments import OPTION
from blockspace.markets.ledger import ACCOUNTS, BACKGROUND, INSTRUMENTS
from blockspace.markets.margin import DUE
from blockspace.markets.matching import next_ask_above, next_bid_below
from blockspace.markets.pending_swaps import PENDING_SWAP, SWAPS_SEEN
from blockspace.markets.pools.listing import POOLS
from blockspace.markets.pools.view import POOL_TERMS, POOL_VIEW, publish_pool
from blockspace.markets.price_path import price_at
from blockspace.markets.races import RACE, RACES, publish_races
from blockspace.markets.trade_log import BY_ORDER, TRADES
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import LAYOUT, data_fee_wei
from blockspace.network.topology import UNREACHABLE_NS
from blockspace.network.transaction import ACCESS_POINTS, SUCCEEDED, effective_tip

VIEWS = 4096
LEVELS_SEEN = 8

DUE_SEEN = 64
"""Accounts below maintenance that a view shows; where there are more, each view shows the next ones in turn."""

QUOTES = np.dtype(
    [
        ("bid_price", "i4", (LEVELS_SEEN,)),  # ticks, best first; 0 where there is no level
        ("bid_size", "i4", (LEVELS_SEEN,)),  # lots
        ("ask_price", "i4", (LEVELS_SEEN,)),
        ("ask_size", "i4", (LEVELS_SEEN,)),
        ("mark", "i8"),  # micro-dollars per lot
        ("index", "i8"),
        # Options: what is listed in this place.
        ("series", "i8"),  # running number; the others mean nothing for what is not an option
        ("strike", "i8"),  # micro-dollars per lot
        ("expiry", "i8"),  # ns
        ("right", "i8"),  # +1 call, -1 put; 0 where nothing is listed
        ("volatility", "f8"),  # of the mark, per square root of a year
    ],
    align=True,
)

VIEW = np.dtype(
    [
        ("time", "i8"),  # ns, of the block
        ("number", "i8"),
        ("base_fee", "i8"),  # wei per gas, of the next block
        ("blob_base_fee", "i8"),  # wei per unit of blob gas, of the next block
        ("marginal_tip", "i8"),  # wei per gas, lowest tip in the block if it was full, else 0
        ("gas_used", "i8"),
        ("trades", "i8"),  # number of trades up to and including the block
        ("settled", "i8"),  # number of the last block whose orders have all met their fate
        ("cleared", "i8"),  # number of the first trade that may still wait for settlement
        ("waiting", "i8"),  # trades that wait
        ("oldest", "i8"),  # ns: when the first of them was made; 0 if none waits
        ("insurance", "i8"),  # micro-dollars in the insurance fund
        ("due", "i8"),  # accounts below maintenance that it shows
        ("visible", "i8", (ACCESS_POINTS,)),  # ns: when the block is known at each access point
        ("quotes", QUOTES, (INSTRUMENTS,)),
    ],
    align=True,
)

OUTLOOK = np.dtype(
    [
        ("decision", "i8"),  # ns: last moment to decide for the coming block
        ("newest", "i8"),  # newest view visible then
        ("external_price", "f8"),  # dollars, at that moment
        ("fresh", "i8"),  # 0 if an earlier block already had a later decision
    ],
    align=True,
)

RECEIPT = np.dtype(
    [
        ("decided", "i8"),  # ns: which transaction of the sender this is
        ("block", "i8"),
        ("status", "i8"),
        ("gas_used", "i8"),
        ("gas_price", "i8"),  # wei per gas that was paid: base fee, tip, and what data cost
        ("filled", "i8"),  # lots
        # Of all that the account sent with that decision into that block, copies included.
        ("landed", "i8"),  # transactions that paid
        ("landed_gas", "i8"),
        ("successes", "i8"),
        # The account after the last block in which it sent something, or in which its position was closed for it.
        ("stated", "i8"),  # number of that block
        ("cash", "i8"),  # micro-dollars
        ("about", "i8"),  # instrument
        ("lots", "i8"),  # of it
        ("claims", "i8"),  # trades so far, if some of the account's may still wait; else 0
    ],
    align=True,
)
"""Receipt of an account's last executed transaction, and what it owned then, claims included; to be read only once its
block (of the latter: the block ``stated``) is visible."""

RULES = np.dtype(
    [
        ("tips_buy_nothing", "u1"),  # 1 if a higher tip brings nothing forward
        ("withdrawals_first", "u1"),  # 1 if cancellations and post-only quotes go ahead of the rest
        ("revert_protection", "u1"),  # 1 if what would fail pays nothing, of all or of searchers
        ("bundles", "u1"),  # 1 if transactions that name a target are put next to it
        ("batching", "u1"),  # 1 if orders wait for an auction at one price
        ("mempool", "u1"),  # who sees what is pending, as in MEMPOOLS
    ],
    align=True,
)
"""Public rules by which a block is made."""

GAS = np.dtype(
    [
        (name, "i8")
        for name in (
            "place",
            "cancel",
            "replace",
            "quote",
            "quote_level",
            "swap",
            "swap_tick",
            "mint",
            "burn",
            "liquidate",
            "report",
            "leg",
            "settle",
            "settle_account",
        )
    ],
    align=True,
)
"""Gas that each kind of transaction uses; a quote uses ``quote`` plus ``quote_level`` for each level that it places, a
swap ``swap`` plus ``swap_tick`` for each tick that it crosses, a combination ``place`` plus ``leg`` for each leg, a
settlement ``settle`` plus ``settle_account`` for each account."""

TERMS = np.dtype(
    [
        ("tick", "f8"),  # dollars
        ("lot_size", "f8"),  # units of the underlying
        ("maker_fee", "f8"),  # fraction of notional
        ("taker_fee", "f8"),
        ("initial_margin", "f8"),  # share of a position's value; of the index, if it is a short option
    ],
    align=True,
)
"""Public terms of an instrument."""

LIQUIDATION_TERMS = np.dtype(
    [
        ("bonus", "f8"),  # fraction of the value that a liquidator takes over
        ("partial", "f8"),  # fraction of a position that it may take while half of the maintenance is there
    ],
    align=True,
)
"""Public terms of liquidations."""

FEED = np.dtype(
    [
        ("views", VIEW, (VIEWS,)),
        ("count", "i8"),  # views published so far; view n lies at n & (VIEWS - 1)
        ("outlooks", OUTLOOK, (ACCESS_POINTS,)),
        ("access_points", "i8"),
        ("receipts", RECEIPT, (ACCOUNTS,)),
        ("gas", GAS),
        ("rules", RULES),
        ("terms", TERMS, (INSTRUMENTS,)),
        ("liquidation_terms", LIQUIDATION_TERMS),
        ("gas_token_price", "f8"),  # dollars per ether; 0 if ether is the underlying itself
        ("wallet_tip", "i8"),  # wei per gas that wallets add when there is no congestion
        ("bytes_per_transaction", "i8"),
        ("data_price", "i8"),  # thousandths of a wei per byte, for data; known to all long before it is charged
        ("layout", LAYOUT),  # what of a transaction is published and paid for
        ("next_due", "i8"),  # ns: earliest time at which an agent may want to be in a block
        ("pool_terms", POOL_TERMS, (POOLS,)),
        ("between", "i8", (ACCESS_POINTS, ACCESS_POINTS)),  # ns, one way from one access point to another
        ("pending", PENDING_SWAP, (SWAPS_SEEN,)),  # swaps that wait, where somebody searches for them
        ("pending_count", "i8"),
        ("pools", POOL_VIEW, (VIEWS, POOLS)),  # what a view shows of each pool, beside the views: most runs have none
        ("races", RACE, (VIEWS, RACES)),  # what a view shows of the races in its block
        ("due", DUE, (VIEWS, DUE_SEEN)),  # what a view shows of accounts below maintenance
    ],
    align=True,
)


def new_feed() -> npt.NDArray[Any]:
    """Make an empty feed: a one-element record array of type ``FEED``."""
    return np.zeros(1, FEED)


@kernel
def view_at(feed, access, time):
    """Newest view that is visible at an access point at ``time`` (ns); the first one if none is yet."""
    number = feed.count - 1
    oldest = max(feed.count - VIEWS, 0)
    while number > oldest and feed.views[number & (VIEWS - 1)].visible[access] > time:
        number -= 1
    return number


@kernel
def survey(feeds, paths, blocks):
    """Work out the outlook of every access point for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for access in range(feed.access_points):
        outlook = feed.outlooks[access]
        decision = block.time - block.latency[access]
        outlook.fresh = 1 if decision > outlook.decision else 0
        if outlook.fresh != 0:
            outlook.decision = decision
            outlook.newest = view_at(feed, access, decision)
            outlook.external_price = price_at(paths[0], decision)


@kernel
def _publish_quotes(book, quotes):
    price = book.best_bid
    for level in range(LEVELS_SEEN):
        quotes.bid_price[level] = price
        quotes.bid_size[level] = 0
        if price > 0:
            quotes.bid_size[level] = book.levels[price].volume
            price = next_bid_below(book, price)
    top = book.levels.size
    price = book.best_ask
    for level in range(LEVELS_SEEN):
        quotes.ask_price[level] = 0
        quotes.ask_size[level] = 0
        if price < top:
            quotes.ask_price[level] = price
            quotes.ask_size[level] = book.levels[price].volume
            price = next_ask_above(book, price)


@kernel
def _publish_series(instrument, quotes):
    quotes.series = instrument.series
    quotes.strike = instrument.strike
    quotes.expiry = instrument.expiry
    quotes.right = instrument.right if instrument.closed == 0 else np.int64(0)
    quotes.volatility = instrument.volatility


@kernel
def _forget_oldest(feed, block):
    """Make sure that nobody needs the oldest view any more, whose place the coming one takes.

    Whoever cannot reach the block's producer now will decide later, when newer views are there.
    """
    if feed.count < VIEWS:
        return
    following = feed.views[(feed.count + 1) & (VIEWS - 1)]
    for access in range(feed.access_points):
        decision = feed.outlooks[access].decision
        if block.latency[access] >= UNREACHABLE_NS:
            continue
        if 0 < decision < following.visible[access]:
            raise RuntimeError("blocks come so fast that views are forgotten before they arrive: ask for slower blocks")


@kernel
def publish(feeds, venues, logs, pools, blocks, next_base_fee):
    """Publish the view and the receipts after a block; ``next_base_fee`` is in wei per gas.

    Raises
    ------
    RuntimeError
        If more than ``VIEWS`` blocks are on their way to an access point, so that its agents would see one too early.
    """
    feed = feeds[0]
    venue = venues[0]
    block = blocks[0]
    _forget_oldest(feed, block)
    first_trade = feed.views[(feed.count - 1) & (VIEWS - 1)].trades if feed.count > 0 else np.int64(0)
    view = feed.views[feed.count & (VIEWS - 1)]
    feed.count += 1
    view.time = block.time
    view.number = block.number
    view.base_fee = next_base_fee
    view.blob_base_fee = block.blob_base_fee
    view.marginal_tip = block.marginal_tip
    view.gas_used = block.gas_used
    view.trades = logs[0].count
    view.settled = venue.last_batch if venue.batching != 0 else block.number
    clearing = venue.clearing
    view.cleared = logs[0].count if clearing.mode == IMMEDIATE else clearing.cleared
    view.waiting = clearing.waiting
    view.oldest = clearing.oldest
    for access in range(feed.access_points):
        travel = (
            block.latency_out[access]
            + np.int64(block.bytes * block.seconds_per_byte[access] * 1e9)
            + np.int64(block.hops[access] * block.gas_used * block.verification_ns_per_gas)
        )
        view.visible[access] = block.time + travel
    for number in range(venue.count):
        quotes = view.quotes[number]
        _publish_quotes(venue.books[number], quotes)
        quotes.mark = venue.instruments[number].mark
        quotes.index = venue.instruments[number].index
        if venue.instruments[number].kind == OPTION:
            _publish_series(venue.instruments[number], quotes)
    for number in range(venue.pool_count):
        publish_pool(venue, number, feed.pools[(feed.count - 1) & (VIEWS - 1), number])
    publish_races(feed.races[(feed.count - 1) & (VIEWS - 1)], venue.count, venue.pool_count, pools[0], block)
    _publish_receipts(feed, venue, logs[0], pools[0], block)
    _state_closings(feed, venue, logs[0], first_trade, block.number)
    _publish_due(feed, view, venue)
    block.base_fee = next_base_fee


@kernel
def _publish_due(feed, view, venue):
    """Show accounts below maintenance: all of them, or the next ones in turn if there are too many."""
    margin = venue.margin
    view.due = min(margin.due_count, DUE_SEEN)
    view.insurance = venue.ledger.accounts[margin.insurance].cash if margin.liquidates != 0 else 0
    first = view.number * DUE_SEEN if margin.due_count > DUE_SEEN else np.int64(0)
    for place in range(view.due):
        shown = feed.due[(feed.count - 1) & (VIEWS - 1), place]
        entry = margin.due[(first + place) % margin.due_count]
        shown.account = entry.account
        shown.instrument = entry.instrument
        shown.lots = entry.lots
        shown.equity = entry.equity
        shown.maintenance = entry.maintenance


@kernel
def _state(feed, venue, log, account, instrument, block):
    """Let an account know what it owns after a block, and what it is owed."""
    receipt = feed.receipts[account]
    clearing = venue.clearing
    receipt.stated = block
    receipt.cash = venue.ledger.accounts[account].cash
    receipt.about = instrument
    receipt.lots = venue.ledger.accounts[account].position[instrument]
    if clearing.mode != IMMEDIATE:
        receipt.claims = log.count if clearing.cash[account] != 0 or clearing.lots[account, instrument] != 0 else 0
        receipt.cash += clearing.cash[account]
        receipt.lots += clearing.lots[account, instrument]


@kernel
def _state_closings(feed, venue, log, first_trade, block):
    """Let accounts know whose positions changed though they sent nothing: closed, in a batch, or undone."""
    for number in range(max(first_trade, log.count - TRADES), log.count):
        trade = log.trades[number & (TRADES - 1)]
        if trade.cause != BY_ORDER or venue.batching != 0:
            _state(feed, venue, log, trade.maker, trade.instrument, block)
            _state(feed, venue, log, trade.taker, trade.instrument, block)


@kernel
def _publish_receipts(feed, venue, log, pool, block):
    for position in range(block.count):
        transaction = pool.transactions[block.order[position]]
        if transaction.sender != BACKGROUND:
            receipt = feed.receipts[transaction.sender]
            if receipt.decided != transaction.decided or receipt.block != block.number:
                receipt.landed = 0
                receipt.landed_gas = 0
                receipt.successes = 0
            receipt.decided = transaction.decided
            receipt.block = block.number
            if transaction.gas_used > 0:
                receipt.landed += 1
                receipt.landed_gas += transaction.gas_used
            if transaction.status == SUCCEEDED:
                receipt.successes += 1
            receipt.status = transaction.status
            receipt.gas_used = transaction.gas_used
            receipt.gas_price = block.base_fee + effective_tip(transaction, block.base_fee)
            if block.data_price > 0:
                data_fee = data_fee_wei(block, transaction.kind, transaction.bytes)
                receipt.gas_price += -(-data_fee // np.int64(transaction.gas))
            receipt.filled = transaction.filled
            if transaction.instrument < venue.count:
                _state(feed, venue, log, transaction.sender, transaction.instrument, block.number)


@kernel
def gas_price_usd(feed, external_price):
    """Dollars per ether at the given external price of the underlying."""
    if feed.gas_token_price > 0.0:
        return feed.gas_token_price
    return external_price


@kernel
def wallet_tip(feed, view):
    """Tip that a wallet suggests, in wei per gas: the usual one, or an eighth above the last full block's lowest."""
    return max(feed.wallet_tip, view.marginal_tip + view.marginal_tip // 8)
