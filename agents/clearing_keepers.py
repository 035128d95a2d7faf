"""Clearing operators: they settle trades that wait, by transactions that compete for space like any other.

Where a venue settles by the clock, a trade is due once the interval in which it was made is over; where it settles by
count, all are due once enough of them wait. An operator then settles all that it can see, net for each account, as far
as the gas of one transaction goes, and goes on with the next one if that was not all. It is paid a share of the venue's
fees on what it has settled, and pays for the gas itself.

What it spends on a trade at the most is its own choice: while space costs more than that for all that wait together it
does not send anything, and more trades make a settlement worth more. It adds what wallets add as a tip, and more when
transactions of its have failed to get in (:mod:`blockspace.agents.keeping`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.keeping import KEEPER_FIELDS, KeeperSettings, draft, learn_fate, new_keeper_rows
from blockspace.agents.taker import gas_cost_usd, tip_worth
from blockspace.markets.clearing import SETTLEMENTS, TIMER, count_parties, waits
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.settings import VenueSettings
from blockspace.markets.trade_log import TRADES
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.transaction import SETTLE

CLEARING_KEEPER = np.dtype(
    [
        *KEEPER_FIELDS,
        ("mode", "u1"),  # of the venue: by the clock, or by count
        ("interval", "i8"),  # ns
        ("trades", "i8"),  # that must wait
        ("most_usd", "f8"),  # dollars that the settlement of one trade may cost
        ("largest_share", "f8"),  # of a block's gas
        # A count of the accounts that a settlement changes.
        ("round", "i8"),
        ("seen", "i8", (ACCOUNTS,)),
    ],
    align=True,
)


class ClearingKeeperSettings(KeeperSettings):
    """Who settles trades where they wait for it."""

    most_usd_per_trade: float = Field(
        2.0, gt=0, le=1e6, description="dollars that settling may cost at the most, for each trade that is settled"
    )
    largest_share: float = Field(
        0.25, gt=0, le=1, description="largest share of a block's gas that one settlement may take"
    )


def new_clearing_keepers(
    settings: ClearingKeeperSettings, venue: VenueSettings, accounts: list[int], access: list[int]
) -> npt.NDArray[Any]:
    """State of clearing operators: one row of type ``CLEARING_KEEPER`` each."""
    rows = new_keeper_rows(CLEARING_KEEPER, settings, accounts, access)
    rows["mode"] = SETTLEMENTS.index(venue.settlement)
    rows["interval"] = round(venue.settlement_interval_s * 1e9)
    rows["trades"] = venue.settlement_trades
    rows["most_usd"] = settings.most_usd_per_trade
    rows["largest_share"] = settings.largest_share
    return rows


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
    tip += tip_worth(feed, gas, row.urgency * (worth - space), price)
    slot = draft(row, feed, pool, gas, worth, tip, price, decided)
    transaction = pool.transactions[slot]
    transaction.kind = SETTLE
    transaction.amount = view.cleared
    transaction.bound = until
    transaction.size = np.int32(parties)
    mempool.submit(pool, slot)


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
            learn_fate(row, feed, view)
            if row.pending == 0 and _is_due(row, view, outlook.decision):
                _settle(row, feed, logs[0], pools[0], block, view, outlook.external_price, outlook.decision)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
