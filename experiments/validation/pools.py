"""V8, V9 and V11: what arbitrage takes from the providers of a pool, and what swaps cost, where theory knows it.

The set-up is that of loss-versus-rebalancing (Milionis, Moallemi, Roughgarden and Zhang, 2022): a passive pool of
constant product, an external price whose logarithm is a Brownian motion without drift, and nobody but arbitrageurs, who
see the price when the block is made and act once a block. They are those of every run.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import norm

from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.validation import Row, bare_scenario, compare, ratio_with_error, target

DAY_S = 86_400.0
VOLATILITY = 0.05
"""Standard deviation of the log price over a day."""

PRICE_USD = 2_000.0
LOT = 1e-6
SWAP_GAS = 100_000

OVERSHOOT = 0.5825971579390107
"""``-zeta(1/2) / sqrt(2 pi)``: mean overshoot of a Gaussian random walk over a far barrier (Siegmund, 1979)."""


def per_block(block_time_s: float) -> float:
    """Standard deviation of the log price over a block."""
    return VOLATILITY * math.sqrt(block_time_s / DAY_S)


def arbitrage_share(fee: float, block_time_s: float, arrivals: str) -> float:
    """What arbitrage takes, as a share of the loss-versus-rebalancing of a pool without a fee, ``sigma^2 V / 8``.

    With the log distance ``g`` of the price at which the fee lets arbitrage pay and the standard deviation ``s`` of the
    log price over a block, ``1 / (1 + sqrt(2) g / s)`` where blocks come at random times (Milionis, Moallemi and
    Roughgarden, 2023), and ``1 / (1 + g / (0.5826 s))`` in fixed slots, by the overshoot of a random walk
    (Siegmund, 1979; Nezlobin and Tassy, 2025, whose fee is the whole width of the band, ``2 g``).

    Parameters
    ----------
    fee
        Fraction of what goes in.
    block_time_s
        Mean seconds between two blocks.
    arrivals
        ``"slots"`` or ``"poisson"``.
    """
    band = -math.log1p(-fee)
    deviation = per_block(block_time_s)
    if arrivals == "slots":
        return 1.0 / (1.0 + band / (OVERSHOOT * deviation))
    grows = math.cosh(band / 2.0) / (1.0 - deviation**2 / 8.0)
    return grows / (1.0 + math.sqrt(2.0) * band / deviation)


def trading_probability(fee: float, block_time_s: float, arrivals: str) -> float:
    """Share of blocks with an arbitrage, without gas, from the same sources as :func:`arbitrage_share`."""
    steps = -math.log1p(-fee) / per_block(block_time_s)
    return 1.0 / ((math.sqrt(2.0) * OVERSHOOT if arrivals == "slots" else 1.0) + math.sqrt(2.0) * steps)


class Measured(NamedTuple):
    """What a run of arbitrageurs gave."""

    share: float  # loss of the providers as a share of the loss-versus-rebalancing without fee
    error: float
    probability: float  # of an arbitrage in a block
    identity: float  # the share as the tape of trades tells it
    identity_error: float
    gas_share: float  # of the loss, paid as gas
    unexplained: float  # dollars by which the pool's value differs from rebalancing and the gain of all swaps


def pool_scenario(
    fee_ppm: int,
    block_time_s: float,
    blocks: int,
    *,
    arrivals: str = "slots",
    value_usd: float = 1e9,
    gas_usd: float = 0.0,
    gas_limit: int = 10**7,
    arbitrageurs: int = 1,
) -> Scenario:
    """Scenario of a passive pool and arbitrageurs; ``gas_usd`` is what a swap pays for its gas."""
    return bare_scenario(
        {
            "duration_s": block_time_s * blocks,
            "chain": {
                "block_time_s": block_time_s,
                "block_arrivals": arrivals,
                "gas_limit": gas_limit,
                "byte_limit": 10**9,
                "verification_ns_per_gas": 0.0,
            },
            "fee_market": {
                "rule": "fixed",
                "base_fee_wei": round(gas_usd / (SWAP_GAS * PRICE_USD) * 1e18),
                "wallet_tip_wei": 0,
            },
            "venue": {"gas_token": "fixed", "gas_token_usd": PRICE_USD},
            "gas": {"swap": SWAP_GAS},
            "price": {"initial_usd": PRICE_USD, "volatility_per_day": VOLATILITY},
            "instruments": [{"name": "SPOT", "kind": "spot", "tick_usd": 1.0, "lot_size": LOT}],
            "pools": [
                {"name": "POOL", "instrument": "SPOT", "fee_ppm": fee_ppm, "initial_liquidity_usd": value_usd / 2}
            ],
            "endowment": {"cash_usd": 5e10, "spot": 2.5e7, "ether": 1e8},
            "pool_arbitrageurs": {"count": arbitrageurs, "look_interval_s": 0.0},
        }
    )


def overshoots(trades: pd.DataFrame, lots: int, cash: int, fee_ppm: int) -> npt.NDArray[np.float64]:
    """Log distance beyond the fee at which each trade found the price of the pool.

    Parameters
    ----------
    trades
        The tape of trades of a run in which nobody but arbitrageurs swaps.
    lots, cash
        Reserves of the pool before the first trade, in lots and micro-dollars.
    fee_ppm
        Fee of the pool.
    """
    bought = np.where(trades["side"] == "buy", 1.0, -1.0)
    size = np.rint(trades["size"] / LOT)
    paid = bought * np.rint(trades["price_usd"] * trades["size"] * 1e6) + np.rint(trades["taker_fee_usd"] * 1e6)
    # Reserves before each trade: whole numbers below 2^53, exact in floating point.
    there = lots - np.concatenate([[0.0], np.cumsum(bought * size)[:-1]])
    money = cash + np.concatenate([[0.0], np.cumsum(paid)[:-1]])
    gap = np.abs(np.log(trades["external_price_usd"] * LOT * 1e6 / (money / there)))
    return np.asarray(gap + math.log1p(-fee_ppm * 1e-6))


def measure(scenario: Scenario, seed: int) -> Measured:
    """Run a scenario of :func:`pool_scenario` and read off what arbitrage took."""
    market = Market(scenario, seed=seed)
    world = market.world
    lots, cash = world.venues[0]["constant_products"][0]["reserves"].tolist()
    started = world.feeds[0]["views"]["time"][0] * 1e-9
    market.run_for(scenario.duration_s)
    market.check()
    blocks, pool, trades = world.records.block_rows(), world.records.pool_rows(0), market.trades()
    elapsed = np.diff(blocks["time_s"], prepend=started)
    value = np.concatenate([[scenario.pools[0].initial_liquidity_usd * 2.0], pool["value_usd"][:-1]])
    usual = VOLATILITY**2 / DAY_S * value * elapsed / 8.0
    share, error = ratio_with_error(pool["arbitrage_profit_usd"], usual)
    fee_ppm = scenario.pools[0].fee_ppm
    beyond = overshoots(trades, lots, cash, fee_ppm)
    band = -math.log1p(-fee_ppm * 1e-6)
    identity, identity_error = ratio_with_error(beyond**2, beyond**2 + 2.0 * band * beyond)
    gas = float(blocks["base_fee_usd"].sum())
    change = pool["value_usd"][-1] - pool["value_usd"][0]
    explained = (pool["rebalancing_usd"] + pool["providers_gain_usd"])[1:].sum()
    return Measured(
        share,
        error,
        len(trades) / (scenario.duration_s / scenario.chain.block_time_s),
        identity,
        identity_error,
        gas / float(pool["arbitrage_profit_usd"].sum()),
        float(abs(change - explained)),
    )


def _measure_all(scenarios: list[Scenario], seeds: int) -> list[Measured]:
    """:func:`measure` of each scenario, averaged over seeds that are run side by side."""
    jobs = [delayed(measure)(scenario, seed) for scenario in scenarios for seed in range(1, seeds + 1)]
    results = np.array(Parallel(n_jobs=-1)(jobs)).reshape(len(scenarios), seeds, len(Measured._fields))
    means = results.mean(axis=1)
    for error in (1, 4):
        means[:, error] = np.sqrt((results[:, :, error] ** 2).sum(axis=1)) / seeds
    return [Measured(*row) for row in means.tolist()]


def _partial_moments(
    start: npt.NDArray[np.float64], barrier: float, deviation: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``E[(X - b)^k; X > b]`` for k = 0, 1, 2 of a normal X around ``start``, with the barrier b."""
    z = (barrier - start) / deviation
    density, beyond = norm.pdf(z), norm.sf(z)
    return beyond, deviation * (density - z * beyond), deviation**2 * ((1.0 + z * z) * beyond - z * density)


def beyond_band(band: float, threshold: float, deviation: float) -> tuple[float, float]:
    """Mean and mean square of the log distance beyond the fee at which an arbitrage finds the price.

    The log gap between the external price and the pool's walks by normal steps, and jumps back to the edge of the band
    when it is found beyond it by more than the threshold. The density of its visits between two arbitrages solves a
    linear integral equation (Fredholm, of the second kind), here on a grid of a fifteenth of a step (Nyström's method).

    Parameters
    ----------
    band
        Log distance within which the fee keeps arbitrage from paying.
    threshold
        Log distance beyond it within which gas does.
    deviation
        Standard deviation of a step.
    """
    width = band + threshold
    count = 2 * math.ceil(15.0 * width / deviation) + 1
    grid, step = np.linspace(-width, width, count, retstep=True)
    weights = np.full(count, step)
    weights[[0, -1]] /= 2.0  # the trapezium rule
    steps = norm.pdf((grid[:, None] - grid[None, :]) / deviation) / deviation
    edges = np.array([-band, band])
    source = norm.pdf((grid[:, None] - edges[None, :]) / deviation).sum(axis=1) / deviation
    visits = weights * np.linalg.solve(np.eye(count) - steps * weights[None, :], source)
    starts, mass = np.concatenate([grid, edges]), np.concatenate([visits, [1.0, 1.0]])
    beyond, first, second = (float(mass @ moment) for moment in _partial_moments(starts, width, deviation))
    return (
        (first + threshold * beyond) / beyond,
        (second + 2.0 * threshold * first + threshold**2 * beyond) / beyond,
    )


def loss_share(band: float, threshold: float, deviation: float) -> float:
    """Loss of the providers as a share of loss-versus-rebalancing without fee: ``E[y^2] / (E[y^2] + 2 g E[y])``.

    Each arbitrage finds the log price at ``y`` beyond the band ``g`` and takes it back to the edge; what the price
    gains in variance it must lose in such steps (optional stopping), whatever law blocks and thresholds follow.
    """
    mean, square = beyond_band(band, threshold, deviation)
    return square / (square + 2.0 * band * mean)


LVR_SOURCE = {
    "slots": "Milionis et al. (2022); overshoot: Siegmund (1979)",
    "poisson": "Milionis, Moallemi and Roughgarden (2023)",
}
BLOCK_TIMES_S = (12.0, 2.0, 0.25, 0.1)
FEES_PPM = (500, 3_000)
LEVEL_TOLERANCE = 0.02


@target("V8")
def loss_versus_rebalancing(quick: bool) -> list[Row]:
    """Fee and block time: what arbitrage takes from a passive pool, without gas."""
    blocks, seeds = (60_000, 1) if quick else (250_000, 4)
    cases = [
        (fee_ppm, block_time, arrivals)
        for fee_ppm in FEES_PPM
        for block_time in (BLOCK_TIMES_S if not quick else (12.0, 0.25))
        for arrivals in ("slots", "poisson")
    ]
    scenarios = [pool_scenario(fee, time, blocks, arrivals=arrivals) for fee, time, arrivals in cases]
    # The same gas per second in longer blocks, and six times the gas in the same ones, with two who compete.
    faster = pool_scenario(500, 2.0, blocks, gas_limit=2_000_000, arbitrageurs=2)
    usual = pool_scenario(500, 12.0, blocks, gas_limit=12_000_000, arbitrageurs=2)
    larger = pool_scenario(500, 12.0, blocks, gas_limit=72_000_000, arbitrageurs=2)
    measured = _measure_all([*scenarios, faster, usual, larger], seeds)
    rows = []
    for (fee_ppm, block_time, arrivals), found in zip(cases, measured, strict=False):
        case = f"{fee_ppm / 100:g} bp, {'slots' if arrivals == 'slots' else 'random blocks'} of {block_time:g} s"
        rows.append(
            compare(
                "V8",
                f"arbitrage's share of loss-versus-rebalancing, {case}",
                arbitrage_share(fee_ppm * 1e-6, block_time, arrivals),
                found.share,
                relative=LEVEL_TOLERANCE,
                standard_error=found.error,
                source=LVR_SOURCE[arrivals],
                note=f"arbitrage in {found.probability:.2%} of blocks, theory "
                f"{trading_probability(fee_ppm * 1e-6, block_time, arrivals):.2%}",
            )
        )
    quicker, plain, roomier = measured[-3:]
    rows.append(
        compare(
            "V8",
            "loss at 2 s over that at 12 s with the same gas per second, two arbitrageurs",
            arbitrage_share(5e-4, 2.0, "slots") / arbitrage_share(5e-4, 12.0, "slots"),
            quicker.share / plain.share,
            relative=LEVEL_TOLERANCE,
            standard_error=quicker.share
            / plain.share
            * math.hypot(*(one.error / one.share for one in (quicker, plain))),
            source=LVR_SOURCE["slots"],
        )
    )
    rows.append(
        compare(
            "V8",
            "loss at 12 s with six times the gas limit, over that without, two arbitrageurs",
            1.0,
            roomier.share / plain.share,
            relative=0.03,
            source="nothing in the theory depends on it",
        )
    )
    rows.append(
        compare(
            "V8",
            "dollars of the pools' value that neither rebalancing nor swaps explain",
            0.0,
            max(found.unexplained for found in measured),
            absolute=0.01,
            source="Milionis et al. (2022)",
            note="largest of all runs, of a billion dollars",
        )
    )
    return rows


IDENTITY_CASES = {
    # Fee (millionths), seconds between blocks, arrivals, value of the pool (dollars), gas of a swap (dollars).
    "no gas, 12 s": (500, 12.0, "slots", 5e7, 0.0),
    "no gas, random blocks of 2 s": (3_000, 2.0, "poisson", 5e7, 0.0),
    "2 dollars of gas, 12 s": (500, 12.0, "slots", 5e7, 2.0),
    "2 dollars of gas, 0.25 s": (500, 0.25, "slots", 5e7, 2.0),
    "2 cents of gas, 2 s": (500, 2.0, "slots", 5e7, 0.02),
    "2 dollars of gas, a small pool, 2 s": (500, 2.0, "slots", 5e6, 2.0),
    "30 cents of gas, 7.3 bp, 3.7 s": (730, 3.7, "slots", 2e7, 0.3),
}


@target("V9")
def identity_of_arbitrage(quick: bool) -> list[Row]:
    """Gas and the identity of loss-versus-rebalancing, recomputed from the tape of trades alone."""
    source = "optional stopping; Milionis et al. (2022)"
    blocks, seeds = (60_000, 1) if quick else (125_000, 4)
    cases = IDENTITY_CASES if not quick else dict(list(IDENTITY_CASES.items())[::3])
    scenarios = [
        pool_scenario(fee, time, blocks, arrivals=arrivals, value_usd=value, gas_usd=gas)
        for fee, time, arrivals, value, gas in cases.values()
    ]
    rows = []
    for (name, (fee_ppm, time, arrivals, value, gas)), found in zip(
        cases.items(), _measure_all(scenarios, seeds), strict=True
    ):
        rows.append(
            compare(
                "V9",
                f"share of loss-versus-rebalancing by the accounts, against that by the tape alone, {name}",
                found.identity,
                found.share,
                relative=0.01,
                standard_error=math.hypot(found.error, found.identity_error),
                source=source,
            )
        )
        if arrivals == "slots":
            band, threshold = -math.log1p(-fee_ppm * 1e-6), math.sqrt(8.0 * gas / value)
            _, square = beyond_band(band, threshold, per_block(time))
            rows.append(
                compare(
                    "V9",
                    f"share of loss-versus-rebalancing by the tape, {name}",
                    loss_share(band, threshold, per_block(time)),
                    found.identity,
                    relative=0.03,
                    standard_error=found.identity_error,
                    source="integral equation of the walk",
                    note=f"without time between blocks {threshold / (2.0 * band + threshold):.3f}",
                )
            )
            if gas > 0.0:
                rows.append(
                    compare(
                        "V9",
                        f"share of the loss that is paid as gas, {name}",
                        threshold**2 / square,
                        found.gas_share,
                        relative=0.05,
                        source="integral equation of the walk",
                    )
                )
    return rows


class Swapper(Trader):
    """Sends one swap with each of two pools in its first block."""

    def act(self) -> None:
        """Sell the same amount to both pools, once."""
        if self.world.chain.number == 1:
            for pool in (0, 1):
                self.swap("sell", 1.0, SOLD, pool=pool)


SOLD = 1_234.567
"""Units that are sold to a pool of 250,000."""


@target("V11")
def execution(quick: bool) -> list[Row]:
    """What a swap gives in either kind of pool, and where it leaves the price, through mempool and block."""
    source = "Adams et al. (2020, 2021)"
    rows = []
    for fee_ppm in (0, 3_000):
        pool = {"instrument": "SPOT", "fee_ppm": fee_ppm, "tick_spacing": 60, "initial_liquidity_usd": 5e8}
        scenario = pool_scenario(fee_ppm, 12.0, 2, arbitrageurs=0)
        pools = [
            {"name": name, "kind": kind, **pool}
            for name, kind in (("PRODUCT", "constant_product"), ("RANGE", "concentrated"))
        ]
        scenario = scenario.model_validate(
            {**scenario.model_dump(), "price": {"volatility_per_day": 0.0}, "pools": pools}
        )
        market = Market(scenario, seed=1)
        venue = market.world.venues[0]
        product, ranges = venue["constant_products"][0], venue["concentrated"][1]
        base, quote = product["reserves"].tolist()
        root, liquidity = int(ranges["sqrt_price"]) / 2.0**32, int(ranges["liquidity"])
        Swapper(market)
        market.run_for(scenario.duration_s)
        market.check()
        sold, kept = round(SOLD / LOT), 1.0 - fee_ppm * 1e-6
        after = product["reserves"].tolist()
        case = f"fee {fee_ppm / 100:g} bp"
        rows.append(
            compare(
                "V11",
                f"micro-dollars for {SOLD:g} units, constant product, {case}",
                quote * sold * kept / (base + sold * kept),
                quote - after[1],
                relative=1e-12,
                source=source,
            )
        )
        rows.append(
            compare(
                "V11",
                f"fall of the price from it, constant product, {case}",
                1.0 - (base / (base + sold * kept)) * (base / (base + sold))
                if fee_ppm
                else 1.0 - (base / (base + sold)) ** 2,
                1.0 - after[1] / after[0] * base / quote,
                absolute=1e-9,
                source=source,
            )
        )
        end = 1.0 / (1.0 / root + sold * kept / liquidity)
        swap = market.trades().query("pool == 'RANGE'").iloc[0]
        received = swap["price_usd"] * swap["size"] - swap["taker_fee_usd"]
        rows.append(
            compare(
                "V11",
                f"dollars for {SOLD:g} units, within a range, {case}",
                liquidity * (root - end) * 1e-6,
                received,
                relative=1e-9,
                source=source,
            )
        )
    return rows
