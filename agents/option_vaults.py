"""Option vaults: they sell calls out of the money with other people's money, roll after roll.

Once the calls of the nearest expiry have expired, a vault sells those of the next one, at the lowest strike that is far
enough above the price, at the best bid that it sees, if that pays for the gas: it asks for no more. Until they expire
it leaves them alone, or hedges their delta at the marks' volatility in the underlying: by the clock, or within a band.
What its depositors have earned, gas paid, is a measure of the run.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.hedging import clock_due
from blockspace.agents.hedging_orders import beyond_band, learn_fate, send_hedge
from blockspace.agents.taker import fee_worth, gas_cost_usd, send_taking_order
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.matching import SELL
from blockspace.markets.options.black_scholes import CALL, YEAR_NS, greeks
from blockspace.markets.options.settings import OptionSettings
from blockspace.markets.trade_log import TRADES
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import NEVER

HEDGES = ("none", "clock", "band")
_NONE, _CLOCK, _BAND = np.arange(3)

OPTION_VAULT = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("underlying", "u4"),
        ("first", "i8"),  # number of the first series
        ("count", "i8"),
        ("deposit", "f8"),  # dollars
        ("sold_share", "f8"),  # of the deposit, in units of the underlying
        ("distance", "f8"),  # of strikes from the price, as a fraction
        ("hedging", "i8"),
        ("hedge_interval", "i8"),  # ns
        ("risk_aversion", "f8"),  # per dollar
        ("tolerance", "f8"),  # of a hedge, as a fraction of its value
        ("look_interval", "i8"),  # ns
        ("number", "i8"),  # what it has sold: the place, the series, lots below 0
        ("series", "i8"),  # -1 for nothing
        ("position", "i8"),
        ("hedge", "i8"),  # lots of the underlying
        ("last_hedge", "i8"),  # ns
        ("pending", "i8"),
        ("landing", "i8"),
        ("sent_at", "i8"),
        ("next_trade", "i8"),
        ("next_look", "i8"),
        ("sales", "i8"),
        ("hedges_sent", "i8"),
        ("premium", "f8"),  # dollars
        ("total_gas", "f8"),
    ],
    align=True,
)


class OptionVaultSettings(Settings):
    """Vaults that sell calls and roll them."""

    count: int = Field(0, ge=0, le=1_000, description="number of option vaults")
    deposit_usd: float = Field(100_000.0, gt=0, le=1e9, description="what depositors have put into each, dollars")
    ether: float = Field(1.0, ge=0, le=1e6, description="ether that each has to pay for gas")
    sold_share: float = Field(
        0.5, gt=0, le=1, description="calls sold at each roll, as a share of the units that the deposit could buy"
    )
    distance_percent: float = Field(
        0.0, ge=0, le=1_000, description="least distance of the strike above the price, per cent"
    )
    hedge: Literal["none", "clock", "band"] = Field("band", description="when the delta of what is sold is hedged")
    hedge_interval_s: float = Field(600.0, gt=0, le=1e7, description="seconds between two hedges by the clock")
    risk_aversion: float = Field(1e-3, gt=0, le=1e3, description="aversion to variance, per dollar, within the band")
    hedge_tolerance_bps: float = Field(
        50.0,
        gt=0,
        lt=10_000,
        description="most by which the price of a hedge may be worse than the external one, and most that its gas may "
        "cost, basis points of its value",
    )
    look_interval_s: float = Field(5.0, ge=0, le=3_600, description="seconds between two looks at the market")


def new_option_vaults(
    settings: OptionVaultSettings,
    accounts: list[int],
    access: list[int],
    options: OptionSettings,
    first: int,
    underlying: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``OPTION_VAULT`` each; numbers as in ``new_option_makers``."""
    rows = np.zeros(len(accounts), OPTION_VAULT)
    rows["account"], rows["access"] = accounts, access
    rows["first"], rows["count"], rows["underlying"] = first, options.count, underlying
    rows["deposit"] = settings.deposit_usd
    rows["sold_share"] = settings.sold_share
    rows["distance"] = settings.distance_percent * 1e-2
    rows["hedging"] = HEDGES.index(settings.hedge)
    rows["hedge_interval"] = int(settings.hedge_interval_s * 1e9)
    rows["risk_aversion"] = settings.risk_aversion
    rows["tolerance"] = settings.hedge_tolerance_bps * 1e-4
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["series"] = -1
    return rows


@kernel
def _learn(row, feed, log, view, price):
    """Take in the vault's own trades, the fate of its last order, and that what it had sold has expired."""
    first = max(row.next_trade, log.count - TRADES)
    for number in range(first, view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.maker != row.account and trade.taker != row.account:
            continue
        side = np.int64(-trade.side if trade.maker == row.account else trade.side)
        if trade.instrument == row.underlying:
            row.hedge += side * trade.size
        elif row.series >= 0 and trade.instrument == row.number:
            terms = feed.terms[row.number]
            row.position += side * trade.size
            row.premium -= side * trade.size * trade.price * terms.tick * terms.lot_size
    row.next_trade = max(view.trades, first)
    learn_fate(row, feed, view, price)
    if row.series >= 0:
        quotes = view.quotes[row.number]
        if quotes.series != row.series or quotes.right == 0 or (row.pending == 0 and row.position == 0):
            row.series = -1
            row.position = 0


@kernel
def _choose(row, feed, view, price):
    """Place of the call to sell: of the nearest expiry the lowest strike that is far enough; -1 if there is none."""
    found = np.int64(-1)
    nearest = np.int64(NEVER)
    lowest = np.int64(NEVER)
    for number in range(row.first, row.first + row.count):
        quotes = view.quotes[number]
        least = price * (1.0 + row.distance) * feed.terms[number].lot_size * MICRO_DOLLARS
        if quotes.right != CALL or quotes.strike <= least or quotes.expiry > nearest:
            continue
        if quotes.expiry < nearest or quotes.strike < lowest:
            found, nearest, lowest = number, quotes.expiry, quotes.strike
    return found


@kernel
def _sell(row, feed, pool, block, outlook, view):
    """Sell calls at the best bid if the premium pays for the gas; returns whether an order was sent."""
    price = outlook.external_price
    number = _choose(row, feed, view, price)
    if number < 0 or view.quotes[number].expiry <= block.time:
        return False
    quotes = view.quotes[number]
    terms = feed.terms[number]
    wanted = np.int64(row.sold_share * row.deposit / (price * terms.lot_size))
    size = min(wanted, np.int64(quotes.bid_size[0]))
    tip = wallet_tip(feed, view)
    bid = np.int64(quotes.bid_price[0])
    premium = bid * terms.tick * size * terms.lot_size * (1.0 - terms.taker_fee)
    gas_usd = gas_cost_usd(feed, feed.gas.place, view.base_fee + tip, price)
    if size < 1 or premium <= gas_usd:
        return False
    max_fee = max(fee_worth(feed, feed.gas.place, premium, price), view.base_fee + tip)
    now = outlook.decision
    side = np.int64(SELL)
    send_taking_order(pool, feed, row.account, row.access, number, side, size, bid, now, block.time, max_fee, tip)
    row.number = number
    row.series = quotes.series
    row.position = 0
    row.sales += 1
    return True


@kernel
def _rehedge(row, feed, pool, block, outlook, view):
    """Hedge what is sold if it is time to; returns whether an order was sent."""
    now, price = outlook.decision, outlook.external_price
    if row.hedging == _NONE or (row.hedging == _CLOCK and not clock_due(now, row.last_hedge, row.hedge_interval)):
        return False
    delta = 0.0
    gamma = 0.0
    if row.position != 0:
        quotes = view.quotes[row.number]
        lot_size = feed.terms[row.number].lot_size
        years = max(np.int64(0), quotes.expiry - now) / YEAR_NS
        strike = quotes.strike / (lot_size * MICRO_DOLLARS)
        _, delta, gamma, _, _, _, _ = greeks(price, strike, years, quotes.volatility, quotes.right, 0.0, 0.0)
        delta *= row.position * lot_size
        gamma *= row.position * lot_size
    gap = -delta - row.hedge * feed.terms[row.underlying].lot_size
    units = gap if row.hedging == _CLOCK else beyond_band(row, feed, view, price, gap, gamma)
    if not send_hedge(row, feed, pool, block, outlook, view, units):
        return False
    row.last_hedge = now
    row.hedges_sent += 1
    return True


@kernel
def _act(row, feed, log, pool, block, outlook):
    view = feed.views[outlook.newest & (VIEWS - 1)]
    _learn(row, feed, log, view, outlook.external_price)
    if row.pending != 0:
        return
    sent = row.series < 0 and _sell(row, feed, pool, block, outlook, view)
    if not sent:
        sent = _rehedge(row, feed, pool, block, outlook, view)
    if sent:
        row.pending = 1
        row.sent_at = outlook.decision
        row.landing = block.number


@kernel
def run_vaults(rows, feeds, logs, pools, blocks):
    """Let every vault look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            _act(row, feed, logs[0], pools[0], block, outlook)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])


def equity_of(accounts: npt.NDArray[Any], marks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Dollars that accounts own at the venue: cash and positions at their marks (micro-dollars per lot)."""
    cash = accounts["cash"].astype(np.float64)
    positions = accounts["position"][:, : len(marks)].astype(np.float64)
    equity: npt.NDArray[np.float64] = (cash + positions @ marks) / MICRO_DOLLARS
    return equity
