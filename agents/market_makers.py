"""Market makers: they quote both sides around the external price and learn from what their trades really earned.

A maker is told no spread. It starts wide and marks every fill against the external price a little later. What its
trades earned less than the half-spread at which it quoted them, and the gas that it spent, are its costs per unit
traded; it moves its half-spread towards them. Trades that earn more are a reason to quote tighter and win more, trades
that lose are a reason to quote wider, and price priority does the rest, since the flow goes to whoever is tighter. The
distance of its further levels is learned in the same way from the trades that reached them; the number of levels, and
whether to take part at all, are reviewed every so often on what they earned after gas. Who gets no trades moves up to
the best that it sees, and then inside, until trades come.

A quote is replaced when that is worth its gas: when the expected loss to those who take stale quotes until the next
chance, plus the revenue forgone for want of size or at the wrong distance, exceed it. The maker expects that what is
stale will be hit, and estimates the volatility from the prices that it sees.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.taker import fee_worth, gas_cost_usd, gas_paid_usd
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.markets.instruments import HANDLES
from blockspace.markets.trade_log import TRADES, UNDONE
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.settings import Settings
from blockspace.network.transaction import LADDER, NEVER, POST_ONLY, QUOTE, SUCCEEDED, UNFUNDED

FILLS = 256
FILLS_TO_KNOW = 10.0
"""Remembered trades from which on experience fades at full pace; with fewer it fades up to ten times more slowly."""

NOBODY_QUOTES = 1.0
"""Distance from the price that stands for an empty side of the book."""

_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_ROOT_TWO = math.sqrt(2.0)

FILL = np.dtype(
    [
        ("time", "i8"),
        ("price", "f8"),
        ("lots", "i8"),
        ("side", "i8"),
        ("level", "i8"),
        ("fee", "f8"),
        ("half_spread", "f8"),
    ],
    align=True,
)
"""A trade of the maker's that waits to be marked; side +1: the maker bought; price and fee in dollars."""

EXPERIENCE = np.dtype(
    [
        ("fills", "f8"),
        ("volume", "f8"),  # notional, dollars
        ("revenue", "f8"),  # mark-outs before gas, dollars
        ("quoted", "f8"),  # what the fills would have earned at the half-spread at which they were quoted, dollars
        ("level_volume", "f8"),  # notional times level
    ],
    align=True,
)
"""What trades have taught, as sums in which older trades count less and less."""

MAKER = np.dtype(
    [
        ("account", "u4"),
        ("access", "u4"),
        ("instrument", "u4"),
        # Set by the user.
        ("unit_lots", "i8"),
        ("largest_ladder", "i8"),
        ("position_limit", "i8"),  # lots
        ("inventory_aversion", "f8"),
        ("exploration", "f8"),  # per second
        ("memory", "f8"),  # s
        ("mark_out", "i8"),  # ns
        ("review_interval", "i8"),  # ns
        ("rest", "i8"),  # ns
        ("look_interval", "i8"),  # ns
        # Learned.
        ("half_spread", "f8"),  # of the best level, as a fraction of the price
        ("increment", "f8"),  # between one level and the next, as a fraction of the price
        ("levels", "i8"),
        ("variance", "f8"),  # of the log price, per second
        ("best", EXPERIENCE),  # of the best level
        ("deep", EXPERIENCE),  # of the levels behind it
        ("gas_paid", "f8"),  # decayed sum, dollars
        ("quote_life", "f8"),  # s, moving average of the time between two quotes
        ("step", "f8"),  # s, moving average of the time between two looks
        # What it has sent, and what it knows of it.
        ("ladder", "i4", (2 * LADDER,)),
        ("remaining", "i8", (2 * LADDER,)),  # lots
        ("quoted_half_spread", "f8"),
        ("quoted_increment", "f8"),
        ("quoted_at", "i8"),  # ns
        ("pending", "i8"),
        ("landing", "i8"),  # number of the only block that may include the last quote
        ("quoting", "i8"),  # 1 if a ladder is believed to rest in the book
        ("withdrawn", "i8"),
        ("return_at", "i8"),  # ns
        ("position", "i8"),  # lots
        ("next_trade", "i8"),  # first trade of the log not yet seen
        ("next_look", "i8"),  # ns
        ("last_look", "i8"),  # ns
        ("last_price", "f8"),
        ("looks", "i8"),
        ("fills", FILL, (FILLS,)),
        ("first_fill", "i8"),
        ("fill_count", "i8"),
        # Since the last review, in dollars.
        ("next_review", "i8"),  # ns
        ("period_revenue", "f8"),
        ("period_gas", "f8"),
        ("period_deep_revenue", "f8"),
        ("period_deep_gas", "f8"),
        ("losing_periods", "i8"),
        # Totals for whoever studies the run.
        ("quotes_sent", "i8"),
        ("trades", "i8"),
        ("total_revenue", "f8"),  # dollars
        ("total_gas", "f8"),  # dollars
    ],
    align=True,
)


class MarketMakerSettings(Settings):
    """Makers who quote both sides of a book."""

    count: int = Field(4, ge=0, le=1_000, description="number of market makers")
    unit_size: float = Field(2.0, gt=0, le=1e6, description="size of one level, units of the underlying")
    levels: int = Field(LADDER, ge=1, le=LADDER, description="levels per side that a maker may have at the most")
    position_limit: float = Field(
        400.0,
        gt=0,
        le=1e8,
        description="position beyond which only the reducing side is quoted, units of the underlying",
    )
    inventory_aversion: float = Field(
        1.0, ge=0, le=10, description="shift of the quotes at the position limit, in half-spreads"
    )
    initial_half_spread_bps: float = Field(
        20.0, gt=0, le=2_000, description="half-spread with which a maker starts before it has learned anything"
    )
    exploration_per_hour: float = Field(
        0.5, ge=0, le=100, description="rate at which a maker without trades tightens, per hour"
    )
    memory_s: float = Field(
        600.0, gt=0, le=1e6, description="seconds over which experience fades and quotes move towards what it says"
    )
    mark_out_s: float = Field(5.0, ge=0, le=600, description="seconds after which a trade is marked")
    review_interval_s: float = Field(
        600.0, gt=0, le=1e6, description="seconds between reviews of the number of levels and of taking part"
    )
    rest_s: float = Field(
        1800.0,
        gt=0,
        le=1e7,
        description="seconds that a maker stays away after it has left, as long as others quote",
    )
    look_interval_s: float = Field(
        0.005, ge=0, le=60, description="seconds between two looks at the market, when blocks come faster than that"
    )
    colocated: bool = Field(True, description="sit next to the block producer where there is only one")


def new_market_makers(
    settings: MarketMakerSettings,
    accounts: list[int],
    access: list[int],
    instruments: list[int],
    lot_sizes: npt.NDArray[np.float64],
) -> npt.NDArray[Any]:
    """State of the population: one row of type ``MAKER`` each. ``lot_sizes`` is by instrument."""
    rows = np.zeros(len(accounts), MAKER)
    rows["account"] = accounts
    rows["access"] = access
    rows["instrument"] = instruments
    lot_size = lot_sizes[rows["instrument"]]
    rows["unit_lots"] = np.maximum(np.rint(settings.unit_size / lot_size), 1)
    rows["largest_ladder"] = settings.levels
    rows["levels"] = settings.levels
    rows["position_limit"] = np.maximum(np.rint(settings.position_limit / lot_size), 1)
    rows["inventory_aversion"] = settings.inventory_aversion
    rows["exploration"] = settings.exploration_per_hour / 3600.0
    rows["memory"] = settings.memory_s
    rows["mark_out"] = int(settings.mark_out_s * 1e9)
    rows["review_interval"] = int(settings.review_interval_s * 1e9)
    rows["rest"] = int(settings.rest_s * 1e9)
    rows["look_interval"] = int(settings.look_interval_s * 1e9)
    # Makers do not start alike: each believes something else, three to five quarters of the setting.
    spread_out = np.linspace(0.75, 1.25, len(accounts)) if len(accounts) > 1 else np.ones(1)
    rows["half_spread"] = settings.initial_half_spread_bps / 1e4 * spread_out
    rows["increment"] = rows["half_spread"] / 2
    rows["next_review"] = rows["review_interval"]
    return rows


@kernel
def expected_excess(gap, deviation):
    """Mean of ``max(Z * deviation - gap, 0)`` for a standard normal Z: the loss of a quote ``gap`` away, per unit."""
    if deviation <= 0.0:
        return max(-gap, 0.0)
    z = gap / deviation
    density = math.exp(-0.5 * z * z) / _ROOT_TWO_PI
    return deviation * (density - z * 0.5 * math.erfc(z / _ROOT_TWO))


@kernel
def _fade(experience, factor):
    experience.fills *= factor
    experience.volume *= factor
    experience.revenue *= factor
    experience.quoted *= factor
    experience.level_volume *= factor


@kernel
def _observe(row, outlook):
    """Update the maker's own estimates of volatility and of the time between looks; returns the seconds that passed."""
    now = outlook.decision
    price = outlook.external_price
    elapsed = 0.0
    row.looks += 1
    if row.looks > 1 and now > row.last_look:
        elapsed = (now - row.last_look) * 1e-9
        move = math.log(price / row.last_price)
        weight = max(1.0 - math.exp(-elapsed / row.memory), 1.0 / row.looks)
        row.variance += weight * (move * move / elapsed - row.variance)
        row.step += max(weight, 0.05) * (elapsed - row.step)
        # Where trades are rare, what they taught is kept for longer.
        fills = row.best.fills + row.deep.fills
        fade = math.exp(-elapsed / row.memory * min(max(fills / FILLS_TO_KNOW, 0.1), 1.0))
        _fade(row.best, fade)
        _fade(row.deep, fade)
        row.gas_paid *= fade
    row.last_look = now
    row.last_price = price
    return elapsed


@kernel
def _note_fill(row, trade, terms, batching):
    """Put a trade of the maker's own on the list of those that wait to be marked.

    In a batch it may have got a better price than it had quoted.
    """
    as_maker = trade.maker == row.account
    side = -trade.side if as_maker else trade.side
    row.position += side * trade.size
    if trade.cause == UNDONE:
        return
    level = 0
    if as_maker:
        place = trade.maker_order % HANDLES
        level = place % LADDER
        quoted = row.ladder[place]
        if quoted == trade.price or (batching != 0 and quoted > 0 and (trade.price - quoted) * side < 0):
            row.remaining[place] = max(row.remaining[place] - trade.size, 0)
    if row.fill_count < FILLS:
        fill = row.fills[(row.first_fill + row.fill_count) % FILLS]
        row.fill_count += 1
        fill.time = trade.time
        fill.price = trade.price * terms.tick
        fill.lots = trade.size
        fill.side = side
        fill.level = level
        fill.fee = (trade.maker_fee if as_maker else trade.taker_fee) * 1e-6
        fill.half_spread = row.quoted_half_spread + level * row.quoted_increment


@kernel
def _mark_fills(row, terms, now, price):
    """Mark the trades whose time has come and add them to the maker's experience."""
    while row.fill_count > 0 and row.fills[row.first_fill].time + row.mark_out <= now:
        fill = row.fills[row.first_fill]
        row.first_fill = (row.first_fill + 1) % FILLS
        row.fill_count -= 1
        notional = fill.price * fill.lots * terms.lot_size
        revenue = fill.side * (price - fill.price) * fill.lots * terms.lot_size - fill.fee
        experience = row.best if fill.level == 0 else row.deep
        experience.fills += 1.0
        experience.volume += notional
        experience.revenue += revenue
        experience.quoted += fill.half_spread * notional
        experience.level_volume += fill.level * notional
        row.trades += 1
        row.total_revenue += revenue
        row.period_revenue += revenue
        if fill.level > 0:
            row.period_deep_revenue += revenue


@kernel
def _cost_per_unit(experience, gas_share):
    """Half-spread at which the trades remembered would have broken even, as a fraction of the price."""
    return (experience.quoted - experience.revenue) / experience.volume + gas_share


@kernel
def _adapt(row, elapsed, best_seen):
    """Move half-spread and increment towards what breaks even, or towards the market if there are no trades.

    ``best_seen`` is the distance of the best visible quotes from the external price, as a fraction; how far the maker
    moves in the time ``elapsed`` depends on how many trades speak for it.
    """
    pace = 1.0 - math.exp(-elapsed / row.memory)
    explore = math.exp(-row.exploration * elapsed)
    volume = row.best.volume + row.deep.volume
    gas_share = row.gas_paid / volume if volume > 0.0 else 0.0
    if row.best.fills > 1.0:
        trust = row.best.fills / (row.best.fills + 5.0)
        row.half_spread += pace * trust * (_cost_per_unit(row.best, gas_share) - row.half_spread)
    else:
        row.half_spread = min(row.half_spread, max(best_seen, 0.5 * row.half_spread)) * explore
    if row.deep.fills > 1.0:
        trust = row.deep.fills / (row.deep.fills + 5.0)
        levels = row.deep.level_volume / row.deep.volume
        wanted = (_cost_per_unit(row.deep, gas_share) - row.half_spread) / levels
        row.increment += pace * trust * (wanted - row.increment)
    else:
        row.increment *= explore
    row.half_spread = min(max(row.half_spread, 1e-6), 0.2)
    row.increment = min(max(row.increment, 1e-6), 0.2)


@kernel
def _best_seen(quotes, terms, price):
    """Half the distance between the best visible quotes, as a fraction of the price; a wide one if a side is empty."""
    if quotes.bid_size[0] == 0 or quotes.ask_size[0] == 0:
        return NOBODY_QUOTES
    return max(0.5 * (quotes.ask_price[0] - quotes.bid_price[0]) * terms.tick / price, 0.0)


@kernel
def _learn(row, feed, log, outlook, view):
    """Take in everything that has become visible: the fate of the last quote, trades, and their results."""
    terms = feed.terms[row.instrument]
    price = outlook.external_price
    if row.pending != 0 and view.number >= row.landing:
        row.pending = 0
        receipt = feed.receipts[row.account]
        if receipt.decided == row.quoted_at:
            paid = gas_paid_usd(feed, receipt.gas_used, receipt.gas_price, price)
            row.gas_paid += paid
            row.period_gas += paid
            row.total_gas += paid
            if row.quoting != 0:
                row.period_deep_gas += paid * (row.levels - 1) * feed.gas.quote_level * 2 / max(receipt.gas_used, 1)
        if receipt.decided != row.quoted_at or receipt.status == UNFUNDED:
            row.quoting = 0  # it never got in: what rests is an older ladder, to be replaced at once
        elif receipt.status != SUCCEEDED:
            row.quoting = 0
        if receipt.decided == row.quoted_at and receipt.status == UNFUNDED:
            row.withdrawn = 1  # it cannot pay for gas any more, and there is no coming back from that
            row.return_at = NEVER
    first = max(row.next_trade, log.count - TRADES)
    for number in range(first, view.trades):
        trade = log.trades[number & (TRADES - 1)]
        if trade.instrument == row.instrument and (trade.maker == row.account or trade.taker == row.account):
            _note_fill(row, trade, terms, feed.rules.batching)
    row.next_trade = max(view.trades, first)
    _mark_fills(row, terms, outlook.decision, price)


@kernel
def _review(row, now):
    """Every so often: are the further levels worth their gas, and is taking part worth it at all?"""
    if now < row.next_review:
        return
    row.next_review = now + row.review_interval
    if row.period_deep_revenue > row.period_deep_gas:
        row.levels = min(row.levels + 1, row.largest_ladder)
    elif row.period_deep_revenue < row.period_deep_gas:
        row.levels = max(row.levels - 1, 1)
    if row.period_revenue < row.period_gas:
        row.losing_periods += 1
    else:
        row.losing_periods = 0
    if row.losing_periods >= 2 and row.withdrawn == 0:
        row.withdrawn = 1
        row.return_at = now + row.rest
        row.losing_periods = 0
    row.period_revenue = 0.0
    row.period_gas = 0.0
    row.period_deep_revenue = 0.0
    row.period_deep_gas = 0.0


@kernel
def _avoidable_loss(row, terms, price):
    """Dollars that what rests is expected to lose until the next chance, beyond what it would lose if re-centred."""
    deviation = math.sqrt(row.variance * row.step)
    loss = 0.0
    for place in range(2 * LADDER):
        if row.remaining[place] > 0 and row.ladder[place] > 0:
            quote = row.ladder[place] * terms.tick
            gap = (price - quote) / price if place < LADDER else (quote - price) / price
            fresh = row.half_spread + (place % LADDER) * row.increment
            loss += row.remaining[place] * (expected_excess(gap, deviation) - expected_excess(fresh, deviation))
    return loss * terms.lot_size * price


@kernel
def _worth_of_quoting(row, terms, price):
    """Dollars by which a fresh ladder is better than what rests now."""
    quoted = row.unit_lots * ((row.ladder[0] > 0) + (row.ladder[LADDER] > 0))
    missing = 1.0 - (row.remaining[0] + row.remaining[LADDER]) / quoted if quoted > 0 else 1.0
    misplaced = abs(row.half_spread / row.quoted_half_spread - 1.0)
    revenue_per_s = max(row.best.revenue + row.deep.revenue, 0.0) / row.memory
    forgone = revenue_per_s * max(row.quote_life, row.step) * min(missing + misplaced, 1.0)
    return max(_avoidable_loss(row, terms, price), 0.0) + forgone


@kernel
def _something_rests(row):
    for place in range(2 * LADDER):
        if row.remaining[place] > 0:
            return True
    return False


@kernel
def _send_quote(row, feed, pool, block, outlook, view, levels, worth):
    """Send a ladder of ``levels`` levels per side around the external price, shifted against the inventory."""
    terms = feed.terms[row.instrument]
    price = outlook.external_price
    tip = wallet_tip(feed, view)
    gas = feed.gas.quote + 2 * levels * feed.gas.quote_level
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    load = min(max(row.position / row.position_limit, -1.0), 1.0)
    centre = price * (1.0 - row.inventory_aversion * load * row.half_spread)
    for level in range(LADDER):
        distance = row.half_spread + level * row.increment
        bid = np.int64(math.floor(centre * (1.0 - distance) / terms.tick))
        ask = np.int64(math.ceil(centre * (1.0 + distance) / terms.tick))
        quote_bid = level < levels and load < 1.0
        quote_ask = level < levels and load > -1.0
        row.ladder[level] = bid if quote_bid else 0
        row.ladder[LADDER + level] = ask if quote_ask else 0
        row.remaining[level] = row.unit_lots if quote_bid else 0
        row.remaining[LADDER + level] = row.unit_lots if quote_ask else 0
    for place in range(2 * LADDER):
        transaction.ladder[place] = row.ladder[place]
    transaction.kind = QUOTE
    transaction.sender = row.account
    transaction.access = row.access
    transaction.instrument = row.instrument
    transaction.size = row.unit_lots
    if feed.rules.withdrawals_first != 0:
        transaction.style = POST_ONLY  # what takes nothing goes ahead of what takes
    transaction.gas = np.uint32(gas)
    transaction.bytes = np.uint32(feed.bytes_per_transaction + 8 * levels)
    transaction.decided = outlook.decision
    transaction.expires = block.time
    transaction.max_fee = max(fee_worth(feed, gas, worth, price), view.base_fee + tip)
    transaction.tip = tip
    mempool.submit(pool, slot)
    row.quote_life += 0.1 * ((outlook.decision - row.quoted_at) * 1e-9 - row.quote_life)
    row.quoted_half_spread = row.half_spread
    row.quoted_increment = row.increment
    row.quoted_at = outlook.decision
    row.pending = 1
    row.landing = block.number
    row.quoting = 1 if levels > 0 else 0
    row.quotes_sent += 1


@kernel
def _act(row, feed, log, pool, block, outlook):
    view = feed.views[outlook.newest & (VIEWS - 1)]
    price = outlook.external_price
    now = outlook.decision
    terms = feed.terms[row.instrument]
    elapsed = _observe(row, outlook)
    _learn(row, feed, log, outlook, view)
    best_seen = _best_seen(view.quotes[row.instrument], terms, price)
    _adapt(row, elapsed, best_seen)
    if row.pending != 0:
        return
    _review(row, now)
    gas = feed.gas.quote + 2 * row.levels * feed.gas.quote_level
    cost = gas_cost_usd(feed, gas, view.base_fee + wallet_tip(feed, view), price)
    if row.withdrawn != 0:
        if row.quoting != 0:
            _send_quote(row, feed, pool, block, outlook, view, np.int64(0), 10.0 * cost)
        elif row.return_at < NEVER and (best_seen >= NOBODY_QUOTES or now >= row.return_at):
            # An empty side of the book is an invitation.
            row.withdrawn = 0
            row.next_review = now + row.review_interval
        return
    unnoticed = row.best.fills < 1.0 and now - row.quoted_at >= row.review_interval
    if row.quoting == 0 or unnoticed or not _something_rests(row):
        # With nothing in the book, or with quotes that nobody trades against, there is no experience to compare with:
        # a maker who takes part must try.
        _send_quote(row, feed, pool, block, outlook, view, row.levels, 10.0 * cost)
        return
    worth = _worth_of_quoting(row, terms, price)
    if worth >= cost:
        _send_quote(row, feed, pool, block, outlook, view, row.levels, worth)


@kernel
def quote(rows, feeds, logs, pools, blocks):
    """Let every maker look once, as late as it can for the coming block."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh != 0 and outlook.decision >= row.next_look:
            row.next_look = outlook.decision + row.look_interval
            _act(row, feed, logs[0], pools[0], block, outlook)
        feed.next_due = min(feed.next_due, row.next_look + block.shortest_latency[row.access])
