"""Liquidity providers: they enter and leave a pool, and choose how wide a range to provide, by what they have earned.

A provider measures itself against rebalancing at the external price: whatever its position gained beyond what the lots
in it would have gained there, looked at every so often, is what it earned: fees less what arbitrage took. Each review
divides that, less gas, by its capital and the time, and remembers it for the width that it tried (an average in which
older results fade). It then goes on with the width that has paid best, tries another one at random now and then, and
leaves while nothing has paid what it requires. A range that the price has left is given up and taken anew.

A pool of constant product has one width only: all prices.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.pool_orders import send_liquidity
from blockspace.agents.taker import gas_paid_usd
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.pools.listing import CONSTANT_PRODUCT
from blockspace.markets.pools.swaps import LARGEST_AMOUNT
from blockspace.markets.pools.ticks import MAXIMUM_TICK, MINIMUM_TICK
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.transaction import BURN, MINT, SUCCEEDED

WIDTHS = 8
"""Widths that a provider may choose among, each twice the one before."""

PATIENCE_NS = 120_000_000_000
"""A mint or burn that is not included within two minutes is given up."""

DAY_NS = 86_400e9

OUT, MINTING, IN, BURNING = range(4)

# Draws of a provider at one review, by index (of one integer type: Numba would compile anew for each literal).
_START, _EXPLORE, _WIDTH = np.arange(3)

_LOG_TICK = math.log(1.0001)

PROVIDER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("pool", "u4"),
        ("instrument", "u4"),
        # Set by the user.
        ("capital", "f8"),  # dollars
        ("narrowest", "f8"),  # log distance of the ends of the narrowest range from the price
        ("required", "f8"),  # return per day
        ("learning_rate", "f8"),
        ("exploration", "f8"),  # share of reviews that try a width at random
        ("look_interval", "i8"),  # ns
        ("review_interval", "i8"),  # ns
        ("rest", "i8"),  # ns
        ("key", "u8"),
        # What it has, and what it has sent.
        ("status", "i8"),
        ("width", "i8"),  # number of the width
        ("lower", "i8"),  # ticks
        ("upper", "i8"),
        ("liquidity", "f8"),  # shares or liquidity, as far as can be told from what is visible
        ("sent_at", "i8"),  # ns: decision time of the last transaction
        ("rests_afterwards", "i8"),  # 1 if it leaves rather than move
        # What it knew at its last look.
        ("lots", "f8"),
        ("worth", "f8"),  # micro-dollars
        ("lot_price", "f8"),  # micro-dollars
        ("fees_seen", "i8", (2,)),  # ever paid to the pool
        ("next_look", "i8"),  # ns
        # Since the last review, in dollars.
        ("since", "i8"),  # ns
        ("gain", "f8"),  # over rebalancing at the external price, fees included
        ("gas", "f8"),
        ("next_review", "i8"),  # ns
        ("reviews", "i8"),
        # Learned, of each width.
        ("expected", "f8", (WIDTHS,)),  # return per day after gas
        ("tried", "i8", (WIDTHS,)),  # reviews
        # Totals for whoever studies the run.
        ("total_gain", "f8"),  # dollars
        ("total_gas", "f8"),  # dollars
        ("mints", "i8"),
        ("burns", "i8"),
    ],
    align=True,
)


class LiquidityProviderSettings(Settings):
    """Providers of the liquidity of pools."""

    count: int = Field(0, ge=0, le=1_000, description="number of providers, spread evenly over the pools")
    capital_usd: float = Field(
        1_000_000.0, gt=0, le=1e10, description="dollars that a provider brings, half of them as the underlying"
    )
    narrowest_bps: float = Field(
        25.0,
        gt=0,
        le=1_000,
        description="distance from the price of the ends of the narrowest range that is tried, basis points; seven "
        "wider ones are twice the one before (concentrated)",
    )
    required_return_bps_per_day: float = Field(
        0.0, ge=-1e4, le=1e4, description="return a day after gas below which a provider leaves, in basis points"
    )
    learning_rate: float = Field(
        0.3, gt=0, le=1, description="weight of the newest result in what a width is known for"
    )
    exploration: float = Field(0.1, ge=0, le=1, description="share of reviews that try a width at random")
    look_interval_s: float = Field(12.0, ge=0, le=1e6, description="seconds between two looks at what it has earned")
    review_interval_s: float = Field(3_600.0, gt=0, le=1e8, description="seconds between two decisions")
    rest_s: float = Field(7_200.0, ge=0, le=1e8, description="seconds that a provider who left stays out at least")


def new_liquidity_providers(
    settings: LiquidityProviderSettings,
    accounts: list[int],
    access: list[int],
    pools: list[int],
    instruments: list[int],
    seed: int,
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``PROVIDER`` each, with the first review drawn."""
    rows = np.zeros(len(accounts), PROVIDER)
    rows["account"] = accounts
    rows["access"] = access
    rows["pool"] = pools
    rows["instrument"] = instruments
    rows["capital"] = settings.capital_usd
    rows["narrowest"] = math.log1p(settings.narrowest_bps * 1e-4)
    rows["required"] = settings.required_return_bps_per_day * 1e-4
    rows["learning_rate"] = settings.learning_rate
    rows["exploration"] = settings.exploration
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    rows["review_interval"] = int(settings.review_interval_s * 1e9)
    rows["rest"] = int(settings.rest_s * 1e9)
    for number, row in enumerate(rows):
        row["key"] = stream_key(seed, f"liquidity_providers/{number}")
        row["next_review"] = int(draw_uniform(row["key"], 0, _START) * settings.review_interval_s * 1e9)
    return rows


@kernel
def _root_at(tick):
    """Square root of the price at a tick."""
    return math.exp(0.5 * _LOG_TICK * tick)


@kernel
def _holdings(row, seen, kind):
    """Lots and micro-dollars that the position consists of, without fees that a range has not paid out."""
    if kind == CONSTANT_PRODUCT:
        share = row.liquidity / seen.total_shares
        return share * seen.reserves[0], share * seen.reserves[1]
    low, high = _root_at(row.lower), _root_at(row.upper)
    root = min(max(seen.sqrt_price, low), high)
    return row.liquidity * (1.0 / root - 1.0 / high), row.liquidity * (root - low)


@kernel
def _is_in_range(row, seen, kind):
    return kind == CONSTANT_PRODUCT or _root_at(row.lower) <= seen.sqrt_price < _root_at(row.upper)


@kernel
def _estimate_liquidity(row, seen, kind, lot_price):
    """What a mint of the capital gave, at the price that is visible after it."""
    cash = 0.5e6 * row.capital
    lots = cash / lot_price
    if kind == CONSTANT_PRODUCT:
        return min(lots / seen.reserves[0], cash / seen.reserves[1]) * seen.total_shares
    low, high = _root_at(row.lower), _root_at(row.upper)
    root = min(max(seen.sqrt_price, low), high)
    most = math.inf
    if root < high:
        most = lots / (1.0 / root - 1.0 / high)
    if root > low:
        most = min(most, cash / (root - low))
    return most


@kernel
def _note(row, seen, kind, lot_price):
    """Remember what the position is and what the pool has earned, to see the difference at the next look."""
    row.lots, cash = _holdings(row, seen, kind)
    row.worth = row.lots * lot_price + cash
    row.lot_price = lot_price
    row.fees_seen[0], row.fees_seen[1] = seen.fees[0], seen.fees[1]


@kernel
def _look(row, seen, kind, lot_price):
    """Add what the position gained since the last look, over rebalancing at the external price, with its fees."""
    lots, worth, price = row.lots, row.worth, row.lot_price
    fees = 0.0
    if kind != CONSTANT_PRODUCT and seen.liquidity > 0.0 and _is_in_range(row, seen, kind):
        share = min(row.liquidity / seen.liquidity, 1.0)
        fees = share * ((seen.fees[0] - row.fees_seen[0]) * lot_price + (seen.fees[1] - row.fees_seen[1]))
    _note(row, seen, kind, lot_price)
    gain = (row.worth - worth - lots * (lot_price - price) + fees) * 1e-6
    row.gain += gain
    row.total_gain += gain


@kernel
def _learn_fate(row, feed, view, seen, kind, lot_price, price):
    """Find out what became of the last mint or burn, if that is known by now."""
    receipt = feed.receipts[row.account]
    known = receipt.decided == row.sent_at and receipt.block <= view.number
    if not known and view.time <= row.sent_at + PATIENCE_NS:
        return
    succeeded = known and receipt.status == SUCCEEDED
    if known:
        paid = gas_paid_usd(feed, receipt.gas_used, receipt.gas_price, price)
        row.gas += paid
        row.total_gas += paid
    if row.status == MINTING:
        row.status = IN if succeeded else OUT
        if succeeded:
            row.mints += 1
            row.liquidity = _estimate_liquidity(row, seen, kind, lot_price)
            _note(row, seen, kind, lot_price)
    else:
        row.status = OUT if succeeded else IN
        if succeeded:
            row.burns += 1
            row.next_review = row.sent_at + row.rest if row.rests_afterwards != 0 else row.sent_at


@kernel
def _learn_width(row, now):
    """Remember what the width has earned since the last review."""
    days = max(now - row.since, 1) / DAY_NS
    returned = (row.gain - row.gas) / row.capital / days
    width = row.width
    rate = row.learning_rate if row.tried[width] > 0 else 1.0
    row.expected[width] += rate * (returned - row.expected[width])
    row.tried[width] += 1


@kernel
def _choose(row, widths):
    """Width to go on with, or -1 to stay away."""
    best = -1
    for width in range(widths):
        if row.tried[width] > 0 and (best < 0 or row.expected[width] > row.expected[best]):
            best = width
    if best < 0 or draw_uniform(row.key, row.reviews, _EXPLORE) < row.exploration:
        return np.int64(draw_uniform(row.key, row.reviews, _WIDTH) * widths)
    return np.int64(best) if row.expected[best] > row.required else np.int64(-1)


@kernel
def _set_range(row, seen, terms):
    """Range of the chosen width around the price of the pool, moved outwards to where ranges may end."""
    if terms.kind == CONSTANT_PRODUCT:
        return
    centre = 2.0 * math.log(seen.sqrt_price)
    distance = row.narrowest * 2.0**row.width
    spacing = terms.tick_spacing
    row.lower = np.int64(math.floor((centre - distance) / _LOG_TICK / spacing)) * spacing
    row.upper = np.int64(math.ceil((centre + distance) / _LOG_TICK / spacing)) * spacing
    row.lower = max(row.lower, -(-MINIMUM_TICK // spacing) * spacing)
    row.upper = min(row.upper, MAXIMUM_TICK // spacing * spacing)


@kernel
def _review(row, feed, pool, view, seen, terms, lot_price, now):
    """Decide whether to stay, move, leave or enter, and send what that takes."""
    if row.status == IN:
        _learn_width(row, now)
    row.since = now
    row.gain = 0.0
    row.gas = 0.0
    row.reviews += 1
    row.next_review = now + row.review_interval
    width = _choose(row, 1 if terms.kind == CONSTANT_PRODUCT else WIDTHS)
    tip = wallet_tip(feed, view)
    max_fee = 2 * view.base_fee + tip
    expires = now + PATIENCE_NS
    if row.status == IN:
        if width == row.width and _is_in_range(row, seen, terms.kind):
            return
        row.rests_afterwards = 1 if width < 0 else 0
        send_liquidity(
            pool, feed, row, BURN, row.lower, row.upper, LARGEST_AMOUNT, np.int64(0), now, expires, max_fee, tip
        )
        row.status = BURNING
        row.sent_at = now
    elif width >= 0:
        row.width = width
        _set_range(row, seen, terms)
        cash = 0.5e6 * row.capital
        lots = np.int64(cash / lot_price)
        send_liquidity(pool, feed, row, MINT, row.lower, row.upper, lots, np.int64(cash), now, expires, max_fee, tip)
        row.status = MINTING
        row.sent_at = now


@kernel
def provide_liquidity(rows, feeds, pools, blocks):
    """Let every provider look at its position and its pool, and decide if it is time to."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        now = outlook.decision
        if outlook.fresh != 0 and now >= row.next_look:
            row.next_look = now + row.look_interval
            slot = outlook.newest & (VIEWS - 1)
            view, seen, terms = feed.views[slot], feed.pools[slot, row.pool], feed.pool_terms[row.pool]
            lot_price = outlook.external_price * feed.terms[row.instrument].lot_size * 1e6
            if row.status == IN:
                _look(row, seen, terms.kind, lot_price)
            elif row.status != OUT:
                _learn_fate(row, feed, view, seen, terms.kind, lot_price, outlook.external_price)
            if now >= row.next_review and (row.status == IN or row.status == OUT):
                _review(row, feed, pools[0], view, seen, terms, lot_price, now)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
