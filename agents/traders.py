"""Traders who take liquidity: noise traders with private values, and informed traders with a signal.

Each wakes at random moments of its own (a Poisson process drawn per trader), looks at what is visible from where it
sits, and trades only if the whole cost (spread, impact, fee and gas) is below what the trade is worth to it. Noise
traders have a private value and no opinion; informed traders know something of where the external price will be a
little later.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import average_price, fee_worth, gas_cost_usd, lots_within, send_taking_order
from blockspace.markets.feed import VIEWS, view_at, wallet_tip
from blockspace.markets.matching import BUY, SELL
from blockspace.markets.price_path import CELL_BITS, NODES, price_at
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_exponential, draw_normal, draw_uniform, stream_key
from blockspace.network.settings import Settings

TRADER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        ("rate", "f8"),  # wake-ups per second
        ("mean_lots", "f8"),
        ("size_sigma", "f8"),  # of log size
        ("value", "f8"),  # mean private value, as a fraction of the price (noise traders)
        ("signal_horizon", "i8"),  # ns (informed traders)
        ("signal_noise", "f8"),  # standard deviation of the signal's error, in units of the move's own
        ("patience", "i8"),  # ns
        ("key", "u8"),
        ("next_wake", "i8"),  # ns
        ("wakes", "i8"),
        ("sent", "i8"),
        ("balked", "i8"),
    ],
    align=True,
)

# Draws of a trader at one wake-up, by index (of one integer type: Numba would compile anew for each literal).
DRAW_GAP, DRAW_SIDE, DRAW_SIZE, DRAW_VALUE, DRAW_SIGNAL = np.arange(5)
_DRAWS = 8


class NoiseTraderSettings(Settings):
    """Traders who want to trade for reasons of their own."""

    count: int = Field(90, ge=0, le=10_000, description="number of noise traders")
    orders_per_s: float = Field(
        0.5, ge=0, le=1e5, description="times per second, all of them together, that one of them considers a trade"
    )
    size_mean: float = Field(1.0, gt=0, le=1e6, description="mean size of an order, units of the underlying")
    size_variation: float = Field(1.5, ge=0, le=10, description="coefficient of variation of the size")
    value_bps: float = Field(
        25.0, gt=0, le=1e5, description="mean private value of a trade, basis points of its notional (exponential)"
    )
    patience_s: float = Field(
        30.0, gt=0, le=1e6, description="seconds after which an order that is not included lapses"
    )


class InformedTraderSettings(Settings):
    """Traders who know something of where the external price is going."""

    count: int = Field(2, ge=0, le=1_000, description="number of informed traders")
    orders_per_s: float = Field(0.05, ge=0, le=1e5, description="signals per second, all of them together")
    size_mean: float = Field(1.0, gt=0, le=1e6, description="mean size of an order, units of the underlying")
    size_variation: float = Field(1.0, ge=0, le=10, description="coefficient of variation of the size")
    horizon_s: float = Field(30.0, gt=0, le=600, description="seconds ahead that the signal tells about")
    noise: float = Field(
        2.0, ge=0, le=1e3, description="standard deviation of the signal's error, in standard deviations of the move"
    )
    patience_s: float = Field(
        30.0, gt=0, le=1e6, description="seconds after which an order that is not included lapses"
    )


def new_traders(
    settings: NoiseTraderSettings | InformedTraderSettings,
    accounts: list[int],
    access: list[int],
    instruments: list[int],
    lot_sizes: npt.NDArray[np.float64],
    seed: int,
) -> npt.NDArray[Any]:
    """State of a population of traders: one row of type ``TRADER`` each, with the first wake-up drawn.

    ``lot_sizes`` is by instrument.
    """
    rows = np.zeros(len(accounts), TRADER)
    rows["account"] = accounts
    rows["access"] = access
    rows["instrument"] = instruments
    rows["rate"] = settings.orders_per_s / max(len(accounts), 1)
    rows["mean_lots"] = settings.size_mean / lot_sizes[rows["instrument"]]
    rows["size_sigma"] = math.sqrt(math.log(1.0 + settings.size_variation**2))
    rows["patience"] = int(settings.patience_s * 1e9)
    if isinstance(settings, NoiseTraderSettings):
        rows["value"] = settings.value_bps / 1e4
    else:
        rows["signal_horizon"] = int(settings.horizon_s * 1e9)
        rows["signal_noise"] = settings.noise
    name = type(settings).__name__
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"traders/{name}/{number}")
        gap = draw_exponential(row["key"], 0, DRAW_GAP)
        row["next_wake"] = int(gap / row["rate"] * 1e9) if row["rate"] > 0 else 2**62
    return rows


@kernel
def draw_size(row):
    """Lots that a trader wants at this wake-up, drawn from its log-normal law."""
    lots = row.mean_lots
    if row.size_sigma > 0.0:
        normal = draw_normal(row.key, row.wakes, DRAW_SIZE)
        lots *= math.exp(row.size_sigma * normal - 0.5 * row.size_sigma * row.size_sigma)
    return np.int64(max(min(lots + 0.5, 1e8), 1.0))


@kernel
def _trade_if_worth_it(row, feed, pool, time, external_price, side, size, value):
    """Send an order if its notional times ``value`` exceeds everything that it costs on what is visible now."""
    view = feed.views[view_at(feed, np.int64(row.access), time) & (VIEWS - 1)]
    terms = feed.terms[row.instrument]
    quotes = view.quotes[row.instrument]
    tip = wallet_tip(feed, view)
    notional = size * terms.lot_size * external_price
    gas_share = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, external_price) / notional
    spare = value - terms.taker_fee - gas_share
    limit = external_price * (1.0 + side * spare) / terms.tick
    limit_ticks = np.int64(math.floor(limit)) if side > 0 else np.int64(math.ceil(limit))
    lots, _ = lots_within(quotes, side, limit_ticks)
    if spare <= -1.0 or lots == 0 or limit_ticks <= 0:
        row.balked += 1
        return
    filled, price = average_price(quotes, side, size)
    paid = side * (price * terms.tick / external_price - 1.0) + terms.taker_fee
    surplus = (value - paid) * filled * terms.lot_size * external_price
    max_fee = max(fee_worth(feed, feed.gas.place, surplus, external_price), view.base_fee + tip)
    send_taking_order(
        pool,
        feed,
        row.account,
        row.access,
        row.instrument,
        side,
        size,
        limit_ticks,
        time,
        time + row.patience,
        max_fee,
        tip,
    )
    row.sent += 1


@kernel
def sleep(row):
    """Draw the next wake-up of a trader."""
    row.wakes += 1
    row.next_wake += np.int64(min(draw_exponential(row.key, row.wakes, DRAW_GAP) / row.rate * 1e9, 1e18)) + 1


@kernel
def trade_on_private_values(rows, feeds, pools, paths, blocks):
    """Let every noise trader who wakes before the coming block decide."""
    feed = feeds[0]
    until = blocks[0].time
    for number in range(rows.size):
        row = rows[number]
        while row.next_wake <= until:
            side = np.int64(BUY if draw_uniform(row.key, row.wakes, DRAW_SIDE) < 0.5 else SELL)
            value = row.value * draw_exponential(row.key, row.wakes, DRAW_VALUE)
            price = price_at(paths[0], row.next_wake)
            _trade_if_worth_it(row, feed, pools[0], row.next_wake, price, side, draw_size(row), value)
            sleep(row)
        feed.next_due = min(feed.next_due, row.next_wake)


@kernel
def trade_on_signals(rows, feeds, pools, paths, blocks):
    """Let every informed trader whose signal arrives before the coming block decide.

    The signal is the log move of the external price over the horizon plus an error; the trader expects the move's
    conditional mean given the signal, and that expectation is what the trade is worth to it.
    """
    feed = feeds[0]
    path = paths[0]
    until = blocks[0].time
    for number in range(rows.size):
        row = rows[number]
        while row.next_wake <= until:
            time = row.next_wake
            price = price_at(path, time)
            move = math.log(price_at(path, time + row.signal_horizon) / price)
            usual = math.sqrt(path.nodes[(time >> CELL_BITS) & (NODES - 1)].variance * row.signal_horizon * 1e-9)
            signal = move + row.signal_noise * usual * draw_normal(row.key, row.wakes, DRAW_SIGNAL)
            expected = signal / (1.0 + row.signal_noise * row.signal_noise)
            side = np.int64(BUY if expected > 0.0 else SELL)
            _trade_if_worth_it(row, feed, pools[0], time, price, side, draw_size(row), abs(expected))
            sleep(row)
        feed.next_due = min(feed.next_due, row.next_wake)
