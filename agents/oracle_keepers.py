"""Oracle keepers: they bring the external price onto the chain, by transactions that compete for space like any other.

A keeper reports when the price has moved away from the visible index by more than a deviation, or when a heartbeat has
passed. It adds what wallets add as a tip, and more when reports of its have failed to get in: the share of what it may
spend that it bids is its urgency, which grows with each report that lapses and fades with each that gets in.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import fee_worth, gas_cost_usd, tip_worth
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.perpetual import LARGEST_REPORT
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import REPORT, SUCCEEDED

FADING = 0.25
"""How fast urgency fades with reports that get in, in learning rates."""

KEEPER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("deviation", "f8"),  # relative distance of price and index at which it reports
        ("heartbeat", "i8"),  # ns after the last report at which it reports in any case
        ("look_interval", "i8"),  # ns
        ("next_look", "i8"),
        ("patience", "i8"),  # ns
        ("most_usd", "f8"),  # dollars that a report may cost
        ("learning_rate", "f8"),
        ("urgency", "f8"),  # share of `most_usd` that it bids beyond the base fee
        ("pending", "u1"),  # 1 while the fate of the last report is unknown
        ("sent_at", "i8"),  # ns: decision time of the last report
        ("expires", "i8"),
        ("reported_at", "i8"),  # ns: decision time of the last one that got in
        ("sent", "i8"),
        ("included", "i8"),
    ],
    align=True,
)


class OracleKeeperSettings(Settings):
    """Who reports the external price where the oracle is on the chain."""

    deviation_bps: float = Field(
        25.0, gt=0, le=10_000, description="basis points that the price is away from the index when it is reported"
    )
    heartbeat_s: float = Field(3_600.0, gt=0, le=1e6, description="seconds after which the price is reported anyway")
    look_interval_s: float = Field(
        1.0, ge=0, le=3_600, description="seconds between two looks at the market, when blocks come faster than that"
    )
    patience_s: float = Field(
        60.0, ge=0, le=1e6, description="seconds after which a report that is not included lapses"
    )
    learning_rate: float = Field(
        0.25, gt=0, le=1, description="step by which the fate of a report moves what the keeper bids for the next"
    )
    most_usd_per_report: float = Field(500.0, gt=0, le=1e6, description="dollars that a report may cost at the most")
    colocated: bool = Field(False, description="sit next to the block producer where there is only one")


def new_keepers(settings: OracleKeeperSettings, accounts: list[int], access: list[int]) -> npt.NDArray[Any]:
    """State of keepers: one row of type ``KEEPER`` each."""
    rows = np.zeros(len(accounts), KEEPER)
    rows["account"] = accounts
    rows["access"] = access
    rows["deviation"] = settings.deviation_bps * 1e-4
    rows["heartbeat"] = int(settings.heartbeat_s * 1e9)
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["patience"] = int(settings.patience_s * 1e9)
    rows["most_usd"] = settings.most_usd_per_report
    rows["learning_rate"] = settings.learning_rate
    return rows


@kernel
def _learn_fate(row, feed, view):
    """Find out whether the last report got in, as far as that can be known."""
    receipt = feed.receipts[row.account]
    if receipt.decided == row.sent_at and receipt.block <= view.number:
        row.pending = 0
        if receipt.status == SUCCEEDED:
            row.included += 1
            row.reported_at = row.sent_at
            row.urgency -= FADING * row.learning_rate * row.urgency
    elif view.time >= row.expires:
        row.pending = 0
        row.urgency += row.learning_rate * (1.0 - row.urgency)


@kernel
def _report(row, feed, pool, view, price, decided):
    """Send a report of the price, with as much for its place as urgency says."""
    gas = np.int64(feed.gas.report)
    space = gas_cost_usd(feed, gas, view.base_fee, price)
    bid = row.urgency * max(row.most_usd - space, 0.0)
    max_fee = fee_worth(feed, gas, row.most_usd, price)
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = REPORT
    transaction.sender = row.account
    transaction.access = row.access
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction)
    transaction.decided = decided
    transaction.expires = decided + row.patience
    transaction.max_fee = max_fee
    transaction.tip = min(max(tip_worth(feed, gas, bid, price), wallet_tip(feed, view)), max_fee)
    transaction.amount = np.int64(min(max(np.round(price * 1e6), 1.0), np.float64(LARGEST_REPORT)))
    mempool.submit(pool, slot)
    row.pending = 1
    row.sent_at = decided
    row.expires = decided + row.patience
    row.sent += 1


@kernel
def report_prices(rows, feeds, pools, blocks):
    """Let every keeper look once, as late as it can for the coming block."""
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
            price = outlook.external_price
            index = view.quotes[0].index * 1e-6 / feed.terms[0].lot_size
            moved = abs(price - index) > row.deviation * index
            if row.pending == 0 and (moved or outlook.decision - row.reported_at >= row.heartbeat):
                _report(row, feed, pools[0], view, price, outlook.decision)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
