"""Background users: everybody else who wants the chain's space (transfers, mints, other applications).

They are why capacity is scarce. Each user arrives once, with a value per unit of gas and a patience; who sees a fee
above the own value does not even send (balks). Arrivals are a Poisson process whose rate varies in calendar time (a
stationary log-normal factor, and a surge when the market moves) and is drawn per user, so that two runs that differ in
capacity or in block time meet the same users.
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from blockspace.agents.builders import BUILDERS, route_of
from blockspace.markets.feed import VIEWS, view_at, wallet_tip
from blockspace.markets.ledger import BACKGROUND
from blockspace.markets.price_path import CELL_NS, NODES
from blockspace.network import mempool
from blockspace.network.compilation import kernel
from blockspace.network.data_compression import data_fee_wei
from blockspace.network.draws import draw_bits, draw_exponential, draw_normal, draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.transaction import TRANSFER

VALUE_LAWS = ("exponential", "uniform", "pareto", "lognormal")
EXPONENTIAL, UNIFORM, PARETO, LOGNORMAL = range(4)
CELL_S = CELL_NS * 1e-9
DAY_SECONDS = 86_400.0
SURGE_CELLS = 60
LARGEST_GAS = 16_777_216

DEMAND = np.dtype(
    [
        ("rate", "f8"),  # users per second
        ("gas_mean", "f8"),
        ("gas_sigma", "f8"),  # of log gas
        ("bytes", "i8"),
        ("blobs", "i8"),  # of a transaction; where there are any, values are per unit of blob gas
        ("value_law", "i8"),
        ("value_wei", "f8"),  # wei per gas
        ("value_shape", "f8"),
        ("patience", "f8"),  # ns, mean; 0: the next block or never
        ("burst_sd", "f8"),  # of log demand
        ("burst_decay", "f8"),  # per second
        ("surge", "f8"),  # extra demand per unit of excess move
        ("usual_variance", "f8"),  # of the log price per second, to which users are used; 0: that of the moment
        ("access_points", "i8"),
        ("route_ends", "f8", (BUILDERS,)),  # which users send to one builder alone; all 0 if nobody does
        ("key", "u8"),
        ("reached", "i8"),  # ns up to which arrivals have been drawn
        ("gap", "f8"),  # what is left of the gap to the next user, in expected arrivals
        ("user", "i8"),  # number of the next user
        ("log_factor", "f8"),
        ("factor", "f8"),
        ("arrived", "i8"),
        ("balked", "i8"),
    ],
    align=True,
)

# Draws of a user, by index (of one integer type: Numba would compile anew for each literal).
_GAP, _VALUE, _GAS, _PATIENCE, _ACCESS, _BURST, _ROUTE = np.arange(7)


class BackgroundUserSettings(Settings):
    """Demand of everybody else for block space."""

    arrivals_per_s: float = Field(12.0, ge=0, le=1e6, description="users per second, on average")
    gas_mean: float = Field(100_000, ge=21_000, le=LARGEST_GAS, description="mean gas of a transaction")
    gas_variation: float = Field(0.8, ge=0, le=5, description="coefficient of variation of a transaction's gas")
    blobs: int = Field(
        0,
        ge=0,
        le=64,
        description="blobs of a transaction, such as those of other rollups; with any, values are per unit of blob gas",
    )
    bytes: int = Field(250, ge=1, le=1_000_000, description="bytes of a transaction")
    value_law: Literal["exponential", "uniform", "pareto", "lognormal"] = Field(
        "lognormal", description="law of the users' value per unit of gas"
    )
    value_gwei: float = Field(
        20.0,
        gt=0,
        le=1e6,
        description="gwei per gas: mean (exponential), maximum (uniform), minimum (pareto) or median (lognormal)",
    )
    value_shape: float = Field(
        1.0, gt=0, le=20, description="tail exponent (pareto) or standard deviation of log value (lognormal)"
    )
    patience_s: float = Field(
        60.0, ge=0, le=1e7, description="mean seconds that a user waits; 0 means the next block or never"
    )
    burst_sd: float = Field(0.3, ge=0, le=3, description="stationary standard deviation of log demand")
    burst_half_life_s: float = Field(300.0, gt=0, le=1e7, description="half-life of a burst of demand, seconds")
    surge: float = Field(
        0.5,
        ge=0,
        le=100,
        description="extra demand, as a share, for each standard deviation by which the last minute's move exceeds one",
    )
    usual_volatility_per_day: float = Field(
        0.0,
        ge=0,
        le=5,
        description="standard deviation of the log price over a day that users are used to, in which a surge counts "
        "moves; 0 for that of the moment, so that a volatile hour is no surprise",
    )


def new_demand(
    settings: BackgroundUserSettings, access_points: int, seed: int, stream: str = "background_users"
) -> npt.NDArray[Any]:
    """State of the population: a one-element record array of type ``DEMAND``; draws come from a stream of this name."""
    demands = np.zeros(1, DEMAND)
    demand = demands[0]
    demand["rate"] = settings.arrivals_per_s
    demand["gas_sigma"] = math.sqrt(math.log(1.0 + settings.gas_variation**2))
    demand["gas_mean"] = settings.gas_mean
    demand["bytes"] = settings.bytes
    demand["blobs"] = settings.blobs
    demand["value_law"] = VALUE_LAWS.index(settings.value_law)
    demand["value_wei"] = settings.value_gwei * 1e9
    demand["value_shape"] = settings.value_shape
    demand["patience"] = settings.patience_s * 1e9
    demand["burst_sd"] = settings.burst_sd
    demand["burst_decay"] = math.log(2.0) / settings.burst_half_life_s
    demand["surge"] = settings.surge
    demand["usual_variance"] = settings.usual_volatility_per_day**2 / DAY_SECONDS
    demand["access_points"] = access_points
    demand["key"] = stream_key(seed, stream)
    demand["log_factor"] = settings.burst_sd * draw_normal(demand["key"], 0, _BURST)
    demand["factor"] = math.exp(float(demand["log_factor"]) - settings.burst_sd**2 / 2)
    demand["gap"] = draw_exponential(demand["key"], 0, _GAP)
    return demands


@kernel
def _enter_cell(demand, path, cell):
    """Draw the demand factor of a new cell of calendar time."""
    decay = math.exp(-demand.burst_decay * CELL_S)
    shock = draw_normal(demand.key, cell, _BURST)
    demand.log_factor = decay * demand.log_factor + demand.burst_sd * math.sqrt(1.0 - decay * decay) * shock
    demand.factor = math.exp(demand.log_factor - 0.5 * demand.burst_sd * demand.burst_sd)
    if demand.surge > 0.0 and cell > SURGE_CELLS:
        now = path.nodes[cell & (NODES - 1)]
        before = path.nodes[(cell - SURGE_CELLS) & (NODES - 1)]
        variance = demand.usual_variance if demand.usual_variance > 0.0 else before.variance
        usual = math.sqrt(variance * SURGE_CELLS * CELL_S)
        if usual > 0.0:
            excess = abs(now.log_price - before.log_price) / usual - 1.0
            demand.factor *= 1.0 + demand.surge * max(excess, 0.0)


@kernel
def _value(demand, user):
    """Value per gas of a user, in wei."""
    uniform = draw_uniform(demand.key, user, _VALUE)
    if demand.value_law == EXPONENTIAL:
        return -demand.value_wei * math.log(uniform)
    if demand.value_law == UNIFORM:
        return demand.value_wei * uniform
    if demand.value_law == PARETO:
        return demand.value_wei * uniform ** (-1.0 / demand.value_shape)
    return demand.value_wei * math.exp(demand.value_shape * draw_normal(demand.key, user, _VALUE))


@kernel
def _balk(demand, pool):
    demand.balked += 1
    pool.balked += 1


@kernel
def _arrive(demand, feed, pool, block, arrival):
    """One user looks at the fee and sends, or balks."""
    user = demand.user
    demand.arrived += 1
    access = np.int64(draw_bits(demand.key, user, _ACCESS) % np.uint64(demand.access_points))
    view = feed.views[view_at(feed, access, arrival) & (VIEWS - 1)]
    value = np.int64(min(_value(demand, user), 1e15))
    asked = view.blob_base_fee if demand.blobs > 0 else view.base_fee + feed.wallet_tip
    if asked > value:
        _balk(demand, pool)
        return
    gas = demand.gas_mean
    if demand.gas_sigma > 0.0:
        gas *= math.exp(
            demand.gas_sigma * draw_normal(demand.key, user, _GAS) - 0.5 * demand.gas_sigma * demand.gas_sigma
        )
    gas_limit = np.int64(min(max(gas, 21_000.0), LARGEST_GAS))
    if demand.blobs > 0:
        tip = wallet_tip(feed, view)
        max_fee = 4 * view.base_fee + tip
    else:
        value -= -(-data_fee_wei(feed, TRANSFER, demand.bytes) // gas_limit)  # what is left for gas
        if asked > value:
            _balk(demand, pool)
            return
        tip = min(wallet_tip(feed, view), max(value - view.base_fee, 0))
        max_fee = value
    slot = mempool.draft(pool)
    transaction = pool.transactions[slot]
    transaction.kind = TRANSFER
    transaction.independent = 1
    transaction.route = route_of(demand.route_ends, demand.key, user, _ROUTE)
    transaction.sender = BACKGROUND
    transaction.nonce = np.uint32(user & 0x7FFFFFFF)
    transaction.decided = arrival
    transaction.access = access
    transaction.max_fee = max_fee
    transaction.blobs = demand.blobs
    transaction.blob_fee = value
    transaction.tip = tip
    transaction.gas = np.uint32(gas_limit)
    transaction.bytes = np.uint32(demand.bytes)
    if demand.patience > 0.0:
        transaction.expires = arrival + np.int64(
            min(demand.patience * draw_exponential(demand.key, user, _PATIENCE), 1e18)
        )
    else:
        transaction.expires = block.time
    mempool.submit(pool, slot)


@kernel
def send_transfers(demands, feeds, pools, paths, blocks):
    """Let every user who arrives before the coming block decide and send; notes when the next one is due."""
    demand = demands[0]
    feed = feeds[0]
    block = blocks[0]
    if demand.rate <= 0.0:
        return
    while demand.reached < block.time:
        cell = demand.reached // CELL_NS
        end = min((cell + 1) * CELL_NS, block.time)
        rate = demand.rate * demand.factor * 1e-9
        expected = rate * (end - demand.reached)
        if demand.gap <= expected:
            arrival = demand.reached + np.int64(demand.gap / rate)
            demand.reached = min(arrival, end)
            _arrive(demand, feed, pools[0], block, demand.reached)
            demand.user += 1
            demand.gap = draw_exponential(demand.key, demand.user, _GAP)
        else:
            demand.gap -= expected
            demand.reached = end
            if end == (cell + 1) * CELL_NS:
                _enter_cell(demand, paths[0], cell + 1)
    # The demand factor changes with the next cell, and with it the time of the next arrival: look again there.
    due = demand.reached + np.int64(min(demand.gap / (demand.rate * demand.factor) * 1e9, 2.0 * CELL_NS))
    due = min(due, (demand.reached // CELL_NS + 1) * CELL_NS)
    feed.next_due = min(feed.next_due, due)
