"""Leveraged traders: thousands of small accounts that hold positions larger than what they own.

Each opens a position now and then for a reason of its own, if spread, fees and gas are worth it, holds it for a while,
and closes it. Some have a stop: they close as soon as they see a mark beyond it. Closing takes a transaction that waits
for space like any other, so that on a full chain a stop comes late, and a liquidation may come first. Who owns too
little for the smallest position gives up.

What an account owns, the trader reads off the chain when it acts (the statement in its receipt). A trader that nothing
happens to costs one comparison of its next moment and its stops a block.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, lots_within, send_taking_order
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, draw_normal, draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.transaction import NEVER

FLAT, OPENING, HOLDING, CLOSING, GONE = np.arange(5)

LEVERAGED = np.dtype(
    [
        ("next_wake", "i8"),  # ns
        ("stop_below", "i8"),  # micro-dollars per lot: closes at marks up to this one; 0 for none
        ("stop_above", "i8"),  # closes at marks from this one on; NEVER for none
        ("access", "u4"),
        ("instrument", "u4"),
        ("account", "u4"),
        ("status", "u1"),
        ("leverage", "f8"),  # value of the position that it wants, in equities
        ("rate", "f8"),  # openings that it considers per second, while it has no position
        ("holding", "f8"),  # mean time for which it holds, seconds
        ("long_share", "f8"),
        ("value", "f8"),  # mean private value, as a fraction of the position
        ("closing", "f8"),  # what closing may cost, as a fraction of the position: in gas, and in price
        ("stop", "f8"),  # distance of its stop from the mark, as a fraction; 0 if it has none
        ("patience", "i8"),  # ns
        ("sent_at", "i8"),  # ns: decision time of the last order
        ("expires", "i8"),
        ("cash", "i8"),  # micro-dollars that it owned when it last looked
        ("lots", "i8"),
        ("key", "u8"),
        ("rounds", "i8"),  # openings considered
        ("opened", "i8"),
        ("stopped", "i8"),
        ("balked", "i8"),
    ],
    align=True,
)

# Draws of a trader, by index: of one that begins, and of one round.
_LEVERAGE, _HAS_STOP, _STOP, _EQUITY = range(4)
_GAP, _SIDE, _VALUE, _HOLD = np.arange(4, 8)


class LeveragedTraderSettings(Settings):
    """Traders who hold positions larger than what they own."""

    count: int = Field(0, ge=0, le=12_000, description="number of leveraged traders")
    equity_mean_usd: float = Field(5_000.0, gt=0, le=1e9, description="mean of what each owns at the start, dollars")
    equity_variation: float = Field(1.5, ge=0, le=10, description="coefficient of variation of it (log-normal)")
    ether: float = Field(1.0, ge=0, le=1e6, description="ether that each has to pay for gas")
    leverage_mean: float = Field(
        5.0, gt=0, le=100, description="mean value of a position in multiples of the equity behind it"
    )
    leverage_variation: float = Field(
        0.5, ge=0, le=10, description="coefficient of variation of it (log-normal, capped by the initial margin)"
    )
    holding_mean_s: float = Field(14_400.0, gt=0, le=1e8, description="mean seconds for which a position is held")
    openings_per_h: float = Field(
        0.5, ge=0, le=3_600, description="times per hour that each considers a position, while it has none"
    )
    long_share: float = Field(0.5, ge=0, le=1, description="share of positions that are long")
    value_bps: float = Field(
        50.0, gt=0, le=1e5, description="mean private value of a position, basis points of its value (exponential)"
    )
    closing_bps: float = Field(
        100.0,
        gt=0,
        lt=10_000,
        description="most that closing may cost in gas, and most by which its price may be worse than the external "
        "one, basis points of the position",
    )
    stop_loss_share: float = Field(0.3, ge=0, le=1, description="share of traders who have a stop")
    stop_distance_bps: float = Field(
        300.0,
        gt=0,
        le=9_000,
        description="mean distance of a stop from the mark, basis points (exponential)",
    )
    patience_s: float = Field(
        60.0, gt=0, le=1e6, description="seconds after which an order that is not included lapses"
    )


def equities(settings: LeveragedTraderSettings, seed: int) -> list[float]:
    """Dollars that each trader owns at the start, drawn from a log-normal law."""
    sigma = math.sqrt(math.log(1.0 + settings.equity_variation**2))
    normals = [draw_normal(_key(seed, number), 0, _EQUITY) for number in range(settings.count)]
    return [settings.equity_mean_usd * math.exp(sigma * normal - 0.5 * sigma * sigma) for normal in normals]


def _key(seed: int, number: int) -> np.uint64:
    return np.uint64(stream_key(seed, f"leveraged/{number}"))


def new_leveraged_traders(
    settings: LeveragedTraderSettings,
    accounts: list[int],
    access: list[int],
    instruments: list[int],
    initial_margins: list[float],
    cash: list[int],
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``LEVERAGED`` each, with its leverage, its stop and its first moment.

    ``initial_margins`` are by instrument, as shares of a position's value; ``cash`` is each one's, in micro-dollars.
    """
    rows = np.zeros(len(accounts), LEVERAGED)
    rows["account"], rows["access"], rows["instrument"], rows["cash"] = accounts, access, instruments, cash
    rows["stop_above"] = NEVER
    rows["rate"] = settings.openings_per_h / 3600.0
    rows["holding"] = settings.holding_mean_s
    rows["long_share"] = settings.long_share
    rows["value"] = settings.value_bps * 1e-4
    rows["closing"] = settings.closing_bps * 1e-4
    rows["patience"] = int(settings.patience_s * 1e9)
    sigma = math.sqrt(math.log(1.0 + settings.leverage_variation**2))
    for number, row in enumerate(rows):
        key = row["key"] = _key(seed, number)
        wanted = settings.leverage_mean * math.exp(sigma * draw_normal(key, 0, _LEVERAGE) - 0.5 * sigma * sigma)
        row["leverage"] = min(wanted, 1.0 / initial_margins[instruments[number]])
        if draw_uniform(key, 0, _HAS_STOP) < settings.stop_loss_share:
            row["stop"] = min(settings.stop_distance_bps * 1e-4 * draw_exponential(key, 0, _STOP), 0.99)
        row["next_wake"] = NEVER
        if settings.openings_per_h > 0:
            row["next_wake"] = int(draw_exponential(key, 0, _GAP) / row["rate"] * 1e9)
    return rows


@kernel
def _pause(row, now):
    """Wait without a position for the next moment at which to consider one."""
    row.status = FLAT
    row.rounds += 1
    row.stop_below, row.stop_above = 0, NEVER
    row.next_wake = now + np.int64(min(draw_exponential(row.key, row.rounds, _GAP) / row.rate * 1e9, 1e18)) + 1


@kernel
def _hold(row, now, mark):
    """Begin to hold what an order brought, with a stop if the trader is one who has."""
    row.status = HOLDING
    row.opened += 1
    row.next_wake = now + np.int64(min(draw_exponential(row.key, row.rounds, _HOLD) * row.holding * 1e9, 1e18)) + 1
    if row.stop > 0.0 and row.lots > 0:
        row.stop_below = np.int64(mark * (1.0 - row.stop))
    elif row.stop > 0.0:
        row.stop_above = np.int64(mark * (1.0 + row.stop))


@kernel
def _send(row, feed, pool, now, side, size, limit, max_fee, tip):
    send_taking_order(
        pool, feed, row.account, row.access, row.instrument, side, size, limit, now, now + row.patience, max_fee, tip
    )
    row.sent_at = now
    row.expires = now + row.patience
    row.next_wake = now  # it looks again in every block until it knows what became of the order


@kernel
def _open(row, feed, pool, outlook, view, mark):
    """Open a position if it is worth more than all that opening and closing it costs on what is visible."""
    now = outlook.decision
    price = outlook.external_price
    terms = feed.terms[row.instrument]
    quotes = view.quotes[row.instrument]
    side = np.int64(BUY if draw_uniform(row.key, row.rounds, _SIDE) < row.long_share else SELL)
    value = row.value * draw_exponential(row.key, row.rounds, _VALUE)
    size = np.int64(row.leverage * row.cash / mark)
    if size < 1:
        row.status = GONE
        row.next_wake = NEVER
        return
    tip = wallet_tip(feed, view)
    worth = size * mark * 1e-6
    gas_usd = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    spare = value - 2.0 * terms.taker_fee - 2.0 * gas_usd / worth
    limit = price * (1.0 + side * spare) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    lots, _ = lots_within(quotes, side, limit_ticks)
    if spare <= -1.0 or lots == 0 or limit_ticks <= 0:
        row.balked += 1
        _pause(row, now)
        return
    # The venue asks for the initial margin, and for what the limit is worse than the mark.
    loss = max(side * (limit_ticks * terms.tick * terms.lot_size * 1e6 - mark), 0.0)
    size = min(size, np.int64(row.cash / (terms.initial_margin * mark + loss)))
    if size < 1:
        row.status = GONE
        row.next_wake = NEVER
        return
    filled, average = average_price(quotes, side, size)
    paid = side * (average * terms.tick / price - 1.0) + 2.0 * terms.taker_fee
    surplus = (value - paid) * filled * mark * 1e-6 - gas_usd
    max_fee = max(fee_worth(feed, feed.gas.place, surplus, price), view.base_fee + tip)
    _send(row, feed, pool, now, side, size, limit_ticks, max_fee, tip)
    row.status = OPENING


@kernel
def _close(row, feed, pool, outlook, view, mark):
    """Close the position at what the book gives, up to what closing may cost; wait while it gives nothing."""
    side = np.int64(SELL if row.lots > 0 else BUY)
    limit = outlook.external_price * (1.0 + side * row.closing) / feed.terms[row.instrument].tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    row.stop_below, row.stop_above = 0, NEVER
    row.status = HOLDING
    row.next_wake = outlook.decision
    lots, _ = lots_within(view.quotes[row.instrument], side, limit_ticks)
    if lots == 0 or limit_ticks <= 0:
        return
    spend = row.closing * abs(row.lots) * mark * 1e-6
    max_fee = fee_worth(feed, feed.gas.place, spend, outlook.external_price)
    size = min(abs(row.lots), np.int64(2**31 - 1))
    _send(row, feed, pool, outlook.decision, side, size, limit_ticks, max_fee, wallet_tip(feed, view))
    row.status = CLOSING


@kernel
def _fate_is_known(row, feed, view):
    receipt = feed.receipts[row.account]
    return (receipt.decided == row.sent_at and receipt.block <= view.settled) or view.time >= row.expires


@kernel
def _wake(row, feed, pool, outlook, view, mark):
    """Go on from where the trader is, once all that concerns it can be seen."""
    waits = row.status == OPENING or row.status == CLOSING
    receipt = feed.receipts[row.account]
    if (waits and not _fate_is_known(row, feed, view)) or receipt.stated > view.settled:
        return
    if receipt.stated > 0:
        row.cash, row.lots = receipt.cash, receipt.lots
    if row.lots != 0:
        if row.status == OPENING:
            _hold(row, outlook.decision, mark)
        else:
            if row.status == HOLDING and row.next_wake > outlook.decision:
                row.stopped += 1
            _close(row, feed, pool, outlook, view, mark)
    elif row.status == FLAT and receipt.claims > view.cleared:
        return  # its margin is tied up until its trades are settled: it looks again in the next block
    elif row.status == FLAT:
        _open(row, feed, pool, outlook, view, mark)
    else:
        _pause(row, outlook.decision)


@kernel
def trade_with_leverage(rows, feeds, pools, blocks):
    """Let every leveraged trader act whose moment has come or whose stop is reached."""
    feed = feeds[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0:
            view = feed.views[outlook.newest & (VIEWS - 1)]
            mark = view.quotes[row.instrument].mark
            due = row.next_wake <= outlook.decision or mark <= row.stop_below or mark >= row.stop_above
            if due and mark > 0:  # before the first block there is none
                _wake(row, feed, pools[0], outlook, view, mark)
        if row.next_wake > outlook.decision:  # else it waits, and watches
            feed.next_due = min(feed.next_due, row.next_wake + blocks[0].shortest_latency[row.access])
