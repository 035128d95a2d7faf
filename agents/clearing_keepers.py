"""Clearing operators: they settle trades that wait, by transactions that compete for space like any other.

Where a venue settles by the clock, a trade is due once the interval in which it was made is over; where it settles by
count, all are due once enough of them wait. An operator then settles all that it can see, net for each account, as far
as the gas of one transaction goes, and goes on with the next one if that was not all. It is paid a share of the venue's
fees on what it has settled, and pays for the gas itself.

What it spends on a trade at the most is its own choice: while space costs more than that for all that wait together it
does not send anything, and more trades make a settlement worth more. It adds what wallets add as a tip, and more when
transactions of its have failed to get in, as the oracle's keeper does.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.oracle_keepers import FADING
from blockspace.agents.taker import fee_worth, gas_cost_usd, tip_worth
from blockspace.markets.clearing import SETTLEMENTS, TIMER, count_parties, waits
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.settings import VenueSettings
from blockspace.markets.trade_log import TRADES
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import SETTLE, SUCCEEDED

CLEARING_KEEPER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("mode", "u1"),  # of the venue: by the clock, or by count
        ("interval", "i8"),  # ns
        ("trades", "i8"),  # that must wait
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),
        ("patience", "i8"),  # ns
        ("most_usd", "f8"),  # dollars that the settlement of one trade may cost
        ("largest_share", "f8"),  # of a block's gas
        ("learning_rate", "f8"),
        ("urgency", "f8"),  # share of what it may spend that it bids beyond the base fee
        ("pending", "u1"),  # 1 while the fate of the last settlement is unknown
        ("sent_at", "i8"),  # ns: decision time of the last settlement
        ("expires", "i8"),
        ("sent", "i8"),
        ("included", "i8"),
        # A count of the accounts that a settlement changes.
        ("round", "i8"),
        ("seen", "i8", (ACCOUNTS,)),
    ],
    align=True,
)


class ClearingKeeperSettings(Settings):
    """Who settles trades where they wait for it."""

    look_interval_s: float = Field(
        1.0, ge=0, le=3_600, description="seconds between two looks at the market, when blocks come faster than that"
    )
    patience_s: float = Field(
        60.0, gt=0, le=1e6, description="seconds after which a settlement that is not included lapses"
    )
    most_usd_per_trade: float = Field(
        2.0, gt=0, le=1e6, description="dollars that settling may cost at the most, for each trade that is settled"
    )
    largest_share: float = Field(
        0.25, gt=0, le=1, description="largest share of a block's gas that one settlement may take"
    )
    learning_rate: float = Field(
        0.25, gt=0, le=1, description="step by which the fate of a settlement moves what is bid for the next"
    )
    colocated: bool = Field(False, description="sit next to the block producer where there is only one")


def new_clearing_keepers(
    settings: ClearingKeeperSettings, venue: VenueSettings, accounts: list[int], access: list[int]
) -> npt.NDArray[Any]:
    """State of clearing operators: one row of type ``CLEARING_KEEPER`` each."""
    rows = np.zeros(len(accounts), CLEARING_KEEPER)
    rows["account"], rows["access"] = accounts, access
    rows["mode"] = SETTLEMENTS.index(venue.settlement)
    rows["interval"] = round(venue.settlement_interval_s * 1e9)
    rows["trades"] = venue.settlement_trades
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["patience"] = int(settings.patience_s * 1e9)
    rows["most_usd"] = settings.most_usd_per_trade
    rows["largest_share"] = settings.largest_share
    rows["learning_rate"] = settings.learning_rate
    return rows


@kernel
def _learn_fate(row, feed, view):
    """Find out whether the last settlement got in, as far as that can be known."""
    receipt = feed.receipts[row.account]
    if receipt.decided == row.sent_at and receipt.block <= view.number:
        row.pending = 0
        if receipt.status == SUCCEEDED:
            row.included += 1
            row.urgency -= FADING * row.learning_rate * row.urgency
    elif view.time >= row.expires:
        row.pending = 0
        row.urgency += row.learning_rate * (1.0 - row.urgency)


@kernel
def _is_due(row, view, now):
    """Whether the trades that are seen to wait are to be settled: the oldest was made in an earlier interval, or all
    together are enough."""
    if view.waiting == 0:
        return False
    if row.mode == TIMER:
        return view.oldest // row.interval < now // row.interval
    return view.waiting >= row.trades


@kernel
def _settle(row, feed, log, pool, block, view, price, decided):
    """Send a settlement of what is seen to wait, or of the first part of it, if it is worth its gas."""
    room = np.int64(row.largest_share * block.gas_limit) - feed.gas.settle
    most = max(room // max(feed.gas.settle_account, np.int64(1)), np.int64(2))
    parties, until = count_parties(row, log, view.cleared, view.trades, most)
    trades = view.waiting if until == view.trades else np.int64(0)
    if until < view.trades:
        for number in range(view.cleared, until):
            trade = log.trades[number & (TRADES - 1)]
            trades += 1 if waits(trade) else 0
    gas = feed.gas.settle + parties * feed.gas.settle_account
    worth = row.most_usd * trades
    tip = wallet_tip(feed, view)
    space = gas_cost_usd(feed, gas, view.base_fee + tip, price)
    if space > worth:
        return
    max_fee = fee_worth(feed, gas, worth, price)
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = SETTLE
    transaction.sender = row.account
    transaction.access = row.access
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = decided
    transaction.expires = decided + row.patience
    transaction.max_fee = max_fee
    transaction.tip = min(tip + tip_worth(feed, gas, row.urgency * (worth - space), price), max_fee)
    transaction.amount = view.cleared
    transaction.bound = until
    transaction.size = np.int32(parties)
    mempool.submit(pool, slot)
    row.pending = 1
    row.sent_at = decided
    row.expires = decided + row.patience
    row.sent += 1


@kernel
def settle_waiting_trades(rows, feeds, logs, pools, blocks):
    """Let every clearing operator look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            view = feed.views[outlook.newest & (VIEWS - 1)]
            if row.pending != 0:
                _learn_fate(row, feed, view)
            if row.pending == 0 and _is_due(row, view, outlook.decision):
                _settle(row, feed, logs[0], pools[0], block, view, outlook.external_price, outlook.decision)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
