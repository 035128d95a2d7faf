"""Oracle keepers: they bring the external price onto the chain, by transactions that compete for space like any other.

A keeper reports when the price has moved away from the visible index by more than a deviation, or when a heartbeat has
passed. It adds what wallets add as a tip, or more when reports of its have failed to get in
(:mod:`blockspace.agents.keeping`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.keeping import KEEPER_FIELDS, KeeperSettings, draft, learn_fate, new_keeper_rows
from blockspace.agents.taker import gas_cost_usd, tip_worth
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.perpetual import LARGEST_REPORT
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.transaction import REPORT

ORACLE_KEEPER = np.dtype(
    [
        *KEEPER_FIELDS,
        ("deviation", "f8"),  # relative distance of price and index at which it reports
        ("heartbeat", "i8"),  # ns after the last report at which it reports in any case
        ("most_usd", "f8"),  # dollars that a report may cost
        ("reported_at", "i8"),  # ns: decision time of the last report that got in
    ],
    align=True,
)


class OracleKeeperSettings(KeeperSettings):
    """Who reports the external price where the oracle is on the chain."""

    deviation_bps: float = Field(
        25.0, gt=0, le=10_000, description="basis points that the price is away from the index when it is reported"
    )
    heartbeat_s: float = Field(3_600.0, gt=0, le=1e6, description="seconds after which the price is reported anyway")
    most_usd_per_report: float = Field(500.0, gt=0, le=1e6, description="dollars that a report may cost at the most")


def new_keepers(settings: OracleKeeperSettings, accounts: list[int], access: list[int]) -> npt.NDArray[Any]:
    """State of oracle keepers: one row of type ``ORACLE_KEEPER`` each."""
    rows = new_keeper_rows(ORACLE_KEEPER, settings, accounts, access)
    rows["deviation"] = settings.deviation_bps * 1e-4
    rows["heartbeat"] = int(settings.heartbeat_s * 1e9)
    rows["most_usd"] = settings.most_usd_per_report
    return rows


@kernel
def _report(row, feed, pool, view, price, decided):
    """Send a report of the price, with as much for its place as urgency says."""
    gas = np.int64(feed.gas.report)
    space = gas_cost_usd(feed, gas, view.base_fee, price)
    bid = row.urgency * max(row.most_usd - space, 0.0)
    tip = max(tip_worth(feed, gas, bid, price), wallet_tip(feed, view))
    slot = draft(row, feed, pool, gas, row.most_usd, tip, price, decided)
    transaction = pool.transactions[slot]
    transaction.kind = REPORT
    transaction.amount = np.int64(min(max(np.round(price * 1e6), 1.0), np.float64(LARGEST_REPORT)))
    mempool.submit(pool, slot)


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
            if learn_fate(row, feed, view):
                row.reported_at = row.sent_at
            price = outlook.external_price
            index = view.quotes[0].index * 1e-6 / feed.terms[0].lot_size
            moved = abs(price - index) > row.deviation * index
            if row.pending == 0 and (moved or outlook.decision - row.reported_at >= row.heartbeat):
                _report(row, feed, pools[0], view, price, outlook.decision)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
