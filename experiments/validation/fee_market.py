"""V1 to V4: the base fee clears the market, exact to the wei, with the noise and the stability of theory.

Users arrive as a Poisson process with independent values per unit of gas, look at the base fee once, and send or
leave. With potential demand ``D`` and target ``T``, both in gas per block, EIP-1559 with denominator ``d`` moves
the log base fee by ``(Q/T - 1) / d`` after a block that used ``Q``; the elasticity of demand at the clearing
price is ``epsilon``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target
from blockspace.network.fee_market import EIP1559, FeeRule

LEONARDOS = "Leonardos, Monnot, Reijsbergen, Skoulakis and Piliouras (2021, 2022)"
BUTERIN = "Buterin, Conner, Dudley, Slipper, Norden and Bakhta (2019)"
GAS = 100_000
BLOCK_TIME_S = 12.0
BURN_IN = 1_000
RULE_SETTINGS = ("elasticity", "denominator", "minimum_base_fee_wei", "initial_base_fee_wei")

ValueLaw = Literal["exponential", "uniform", "pareto"]


def clearing_price(law: ValueLaw, ratio: float, scale: float = 1.0, shape: float = 1.0) -> float:
    """Price at which demand equals the target: ``D P(value > p) = T`` (Leonardos et al., 2021).

    Parameters
    ----------
    law
        Law of the users' values: exponential with mean ``scale``, uniform up to it, or Pareto from it on with
        exponent ``shape``.
    ratio
        ``D / T``.

    Examples
    --------
    >>> round(clearing_price("exponential", 4.0), 6)
    1.386294
    """
    if ratio <= 1.0:
        return 0.0
    if law == "exponential":
        return scale * math.log(ratio)
    if law == "uniform":
        return scale * (1.0 - 1.0 / ratio)
    return scale * math.pow(ratio, 1.0 / shape)


def demand_elasticity(law: ValueLaw, ratio: float, shape: float = 1.0) -> float:
    """Elasticity of demand ``-d ln Q / d ln p`` at the price that :func:`clearing_price` gives."""
    if law == "exponential":
        return math.log(ratio)
    if law == "uniform":
        return ratio - 1.0
    return shape


def fee_persistence(elasticity: float, denominator: int = 8) -> float:
    """Lag-1 autocorrelation of the log base fee near the clearing price, ``1 - epsilon / d``."""
    return 1.0 - elasticity / denominator


def fee_noise(elasticity: float, transactions: float, denominator: int = 8) -> float:
    """Standard deviation of the log base fee that the graininess of demand leaves.

    The log fee is autoregressive with persistence ``phi = 1 - epsilon / d`` and innovations of variance
    ``1 / (n d^2)``, so that its variance is ``1 / (n d^2 (1 - phi^2))``, nearly ``1 / (2 d epsilon n)``, for ``n``
    transactions of equal gas per target block.

    Examples
    --------
    >>> round(fee_noise(math.log(1.5), 150), 5)
    0.03247
    """
    phi = fee_persistence(elasticity, denominator)
    return 1.0 / (denominator * math.sqrt(transactions * (1.0 - phi * phi)))


def shock_response(sd: float, elasticity: float, decay: float, denominator: int = 8) -> float:
    """Standard deviation of the log base fee when log demand is an Ornstein-Uhlenbeck process.

    It is ``(s / epsilon) sqrt(a / (a + theta))``, where ``sd`` (s) is the stationary standard deviation of log
    demand, ``decay`` (theta) its decay per block, and ``a = epsilon / d``; valid for theta well below 1.

    Examples
    --------
    >>> round(shock_response(0.5, 2.0, 0.02), 4), round(shock_response(0.5, 5.0, 0.02), 4)
    (0.2406, 0.0984)
    """
    speed = elasticity / denominator
    return sd / elasticity * math.sqrt(speed / (speed + decay))


def recomputed_base_fee(base_fee: int, gas_used: int, gas_limit: int, rule: EIP1559) -> int:
    """Base fee after a block by EIP-1559 (Buterin et al., 2019), in rationals that are rounded down twice."""
    goal = gas_limit // rule.elasticity
    excess = Fraction(abs(gas_used - goal), goal)
    change = math.floor(math.floor(base_fee * excess) * Fraction(1, rule.denominator))
    return max(base_fee + max(change, 1) if gas_used > goal else base_fee - change, rule.minimum_base_fee_wei)


@dataclass(frozen=True)
class Demand:
    """One-shot users: the law of their values and how many of them there are.

    Parameters
    ----------
    law, value_gwei, shape
        Law of the values, as in :func:`clearing_price`.
    ratio
        Potential demand over target.
    transactions
        Expected transactions in a target block.
    denominator
        Slowness of the fee.
    burst_sd, decay
        Standard deviation of log demand and its decay per block.
    """

    law: ValueLaw
    ratio: float
    transactions: float = 150.0
    shape: float = 1.0
    value_gwei: float = 10.0
    denominator: int = 8
    burst_sd: float = 0.0
    decay: float = 1.0

    @property
    def price_gwei(self) -> float:
        """Clearing price."""
        return clearing_price(self.law, self.ratio, self.value_gwei, self.shape)

    @property
    def elasticity(self) -> float:
        """Elasticity of demand at the clearing price."""
        return demand_elasticity(self.law, self.ratio, self.shape)

    def settings(self) -> dict[str, Any]:
        """Settings of the scenario, which starts at the clearing price."""
        return {
            "chain": {"block_time_s": BLOCK_TIME_S, "gas_limit": round(2 * self.transactions * GAS)},
            "fee_market": {
                "initial_base_fee_wei": round(self.price_gwei * 1e9),
                "denominator": self.denominator,
            },
            "background_users": {
                "arrivals_per_s": self.ratio * self.transactions / BLOCK_TIME_S,
                "gas_mean": GAS,
                "value_law": self.law,
                "value_gwei": self.value_gwei,
                "value_shape": self.shape,
                "patience_s": 0.0,
                "burst_sd": self.burst_sd,
                "burst_half_life_s": math.log(2.0) / self.decay * BLOCK_TIME_S,
            },
        }

    def run(self, blocks: int, seed: int) -> pd.DataFrame:
        """Rows of ``blocks`` blocks after a burn-in of half as many, but no more than ``BURN_IN``."""
        market = Market(bare_scenario(self.settings()), seed, tapes="none")
        burn_in = min(BURN_IN, blocks // 2)
        market.run_for((burn_in + blocks) * BLOCK_TIME_S)
        return market.blocks().iloc[burn_in:]


def sd_with_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviation of a stationary series and its standard error."""
    variance, error = mean_with_error((values - values.mean()) ** 2)
    sd = math.sqrt(variance)
    return sd, error / (2.0 * sd)


def autocorrelation_with_error(values: npt.NDArray[np.float64], lag: int = 1) -> tuple[float, float]:
    """Autocorrelation of a stationary series at a lag and its standard error, by the delta method."""
    centred = values - values.mean()
    variance = float((centred**2).mean())
    products = centred[lag:] * centred[:-lag]
    correlation = float(products.mean()) / variance
    _, error = mean_with_error((products - correlation * centred[lag:] ** 2) / variance)
    return correlation, error


@target("V1")
def clearing(quick: bool) -> list[Row]:
    """The base fee settles where demand equals the target."""
    check = partial(compare, "V1", relative=0.005, source=LEONARDOS)
    rows = []
    demands = [Demand("exponential", ratio=4.0), Demand("exponential", ratio=20.0)]
    demands += [Demand("uniform", ratio=4.0), Demand("pareto", ratio=4.0, shape=2.0)]
    for number, demand in enumerate(demands):
        frame = demand.run(2_000 if quick else 30_000, seed=100 + number)
        case = f"{demand.law} values, D/T = {demand.ratio:g}"
        fee, error = mean_with_error(frame["base_fee_gwei"])
        rows.append(check(f"mean base fee, gwei: {case}", demand.price_gwei, fee, standard_error=error))
        use, error = mean_with_error(2.0 * frame["utilisation"])
        rows.append(check(f"mean use over target: {case}", 1.0, use, standard_error=error))
    return rows


GOLDEN_STEPS = (
    ("after a full block", 10**9, (60_000_000,), 1_125_000_000),
    ("after an empty block", 10**9, (0,), 875_000_000),
    ("after a block at 75 %", 10**9, (45_000_000,), 1_062_500_000),
    ("after one gas above target", 10**9, (30_000_001,), 1_000_000_004),
    ("after six full blocks", 10**9, (60_000_000,) * 6, 2_027_286_528),
    ("after six empty blocks", 10**9, (0,) * 6, 448_795_319),
    ("after an empty block at the floor of 7 wei", 7, (0,), 7),
    ("after a full block at 7 wei", 7, (60_000_000,), 8),
    ("after an empty block at 8 wei", 8, (0,), 7),
)
"""Base fees in wei at a gas limit of 60 million: what happens, base fee before, gas used by block, base fee after."""


BURSTS = {"burst_sd": 1.0, "burst_half_life_s": 60.0, "gas_variation": 1.0, "patience_s": 30.0}

EXACT_RUNS: dict[str, dict[str, Any]] = {
    "bursts of demand, 12 s blocks": {
        "chain": {"block_time_s": 12.0, "gas_limit": 60_000_000},
        "background_users": {"arrivals_per_s": 50.0, **BURSTS},
    },
    "elasticity 6, denominator 250, often idle 2 s blocks": {
        "chain": {"block_time_s": 2.0, "gas_limit": 1_200_001},
        "fee_market": {
            "elasticity": 6,
            "denominator": 250,
            "initial_base_fee_wei": 1_000_000,
            "minimum_base_fee_wei": 900_000,
        },
        "background_users": {"arrivals_per_s": 0.3, **BURSTS},
    },
    "a few wei, 2 s blocks": {
        "chain": {"block_time_s": 2.0, "gas_limit": 2_000_000},
        "fee_market": {"initial_base_fee_wei": 9},
        "background_users": {"arrivals_per_s": 5.0, "value_gwei": 2e-8, **BURSTS},
    },
}
"""Settings of the runs of which every base fee is recomputed."""


@target("V2")
def exactness(quick: bool) -> list[Row]:
    """Every base fee of a run is that of the specification, to the last wei."""
    check = partial(compare, "V2", source=BUTERIN)
    rule = EIP1559()
    rows = []
    for what, before, used, after in GOLDEN_STEPS:
        fee = before
        for gas in used:
            fee = rule.after_block(fee, gas, 60_000_000)
        rows.append(check(f"base fee {what}, wei", after, fee))
    for what, settings in EXACT_RUNS.items():
        scenario = bare_scenario(settings)
        market = Market(scenario, seed=200, tapes="none")
        market.run_for((200 if quick else 5_000) * scenario.chain.block_time_s)
        chain_rule = EIP1559(**{name: getattr(scenario.fee_market, name) for name in RULE_SETTINGS})
        fees = list(_recomputed(market.blocks(), scenario.chain.gas_limit, chain_rule))
        wrong = sum(recorded != expected for recorded, expected in fees)
        note = f"{len(fees)} compared, {min(fees)[0]} to {max(fees)[0]} wei"
        rows.append(check(f"base fees off the specification: {what}", 0, wrong, note=note))
    return rows


def _recomputed(frame: pd.DataFrame, gas_limit: int, rule: EIP1559) -> Iterator[tuple[int, int]]:
    """Every recorded base fee and what the specification makes of the one before, in wei."""
    numbers = [int(number) for number in frame["block"]]
    used = [int(gas) for gas in frame["gas_used"]]
    recorded = [round(fee * 1e9) for fee in frame["base_fee_gwei"]]
    for row in range(1, len(numbers)):
        fee = recomputed_base_fee(recorded[row - 1], used[row - 1], gas_limit, rule)
        for _ in range(numbers[row] - numbers[row - 1] - 1):  # idle blocks have no row, but the fee falls in them
            fee = recomputed_base_fee(fee, 0, gas_limit, rule)
        yield recorded[row], fee


@target("V3")
def linear_response(quick: bool) -> list[Row]:
    """Near the clearing price the log base fee is autoregressive, with the noise of the users' number."""
    check = partial(compare, "V3", source=LEONARDOS)
    rows = []
    demands = [Demand("exponential", ratio) for ratio in (1.5, 2.0, 4.0, 20.0)]
    demands.append(Demand("exponential", ratio=3.0, denominator=11))
    sds = []
    for number, demand in enumerate(demands):
        # The more elastic demand is, the shorter is the fee's memory and the fewer blocks are needed.
        blocks = 2_000 if quick else 100_000 if demand.elasticity < 0.5 else 30_000 if demand.ratio > 10.0 else 60_000
        values = _log_fees(demand, blocks, 300 + number)
        case = f"D/T = {demand.ratio:g}, d = {demand.denominator}, n = {demand.transactions:g}"
        sd, error = sd_with_error(values)
        sds.append((sd, error))
        theory = fee_noise(demand.elasticity, demand.transactions, demand.denominator)
        rows.append(check(f"sd of log base fee: {case}", theory, sd, relative=0.03, standard_error=error))
        correlation, error = autocorrelation_with_error(values)
        theory = fee_persistence(demand.elasticity, demand.denominator)
        what = f"lag-1 autocorrelation of log base fee: {case}"
        rows.append(check(what, theory, correlation, absolute=0.01, standard_error=error))
    for number, elasticity in enumerate((2.0, 5.0)):
        # Pareto values have one elasticity at all prices, so that the response is linear in a large shock as well.
        demand = Demand("pareto", ratio=8.0, shape=elasticity, burst_sd=0.5, decay=0.02)
        sd, error = sd_with_error(_log_fees(demand, 3_000 if quick else 100_000, 310 + number))
        response = shock_response(demand.burst_sd, elasticity, demand.decay)
        theory = math.hypot(response, fee_noise(elasticity, demand.transactions))
        what = f"sd of log base fee under bursts of demand: elasticity {elasticity:g}"
        note = "response to the bursts and noise of the number, in quadrature"
        rows.append(check(what, theory, sd, relative=0.03, standard_error=error, note=note))
    larger = Demand("exponential", ratio=math.sqrt(demands[0].ratio), transactions=2.0 * demands[0].transactions)
    sd, error = sd_with_error(_log_fees(larger, 2_000 if quick else 100_000, 320))
    base, base_error = sds[0]
    error = sd / base * math.hypot(error / sd, base_error / base)
    what = "sd of log base fee, twice the transactions at half the elasticity over before"
    note = "larger blocks calm the fee only as far as demand stays as elastic"
    rows.append(check(what, 1.0, sd / base, relative=0.03, standard_error=error, note=note))
    return rows


def _log_fees(demand: Demand, blocks: int, seed: int) -> npt.NDArray[np.float64]:
    fees: npt.NDArray[np.float64] = demand.run(blocks, seed)["base_fee_gwei"].to_numpy()
    return np.log(fees)


MAP_GAS_LIMIT = 2 * 10**12
MAP_PRICE_WEI = 10**12


def fee_map(rule: FeeRule, elasticity: float, steps: int, start: float = 1.01) -> Iterator[tuple[float, float]]:
    """Iterate a fee rule without noise, on exponential demand that a block of twice the target caps.

    Parameters
    ----------
    rule
        The fee rule.
    elasticity
        Of demand at the clearing price.
    steps
        Number of blocks.
    start
        First base fee over the clearing price.

    Yields
    ------
    tuple of float
        Base fee over clearing price, and use over target.
    """
    goal = rule.target_gas(MAP_GAS_LIMIT)
    fee = round(start * MAP_PRICE_WEI)
    for _ in range(steps):
        used = min(round(goal * math.exp(elasticity * (1.0 - fee / MAP_PRICE_WEI))), MAP_GAS_LIMIT)
        yield fee / MAP_PRICE_WEI, used / goal
        fee = rule.after_block(fee, used, MAP_GAS_LIMIT)


def bifurcation(rule: FeeRule, low: float = 8.0, high: float = 24.0) -> float:
    """Elasticity beyond which the noiseless base fee no longer settles at the clearing price, by bisection."""
    while high - low > 0.01:
        middle = 0.5 * (low + high)
        end = [price for price, _ in fee_map(rule, middle, 4_000)][-2:]
        if max(abs(price - 1.0) for price in end) < 1e-4:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@target("V4")
def stability(quick: bool) -> list[Row]:
    """The base fee settles for elasticities below 2 d = 16, alternates above, and blocks are then too full."""
    check = partial(compare, "V4", source=LEONARDOS)
    bounded = partial(check, absolute=0.03, note="theory bounds it by 1.00 and 1.06")
    rule = EIP1559()
    uses = [use for _, use in fee_map(rule, 30.0, 20_000)][BURN_IN:]
    rows = [
        check("elasticity at which the noiseless fee starts to alternate", 16.0, bifurcation(rule), absolute=0.5),
        bounded("mean use over target at elasticity 30, without noise", 1.03, float(np.mean(uses))),
    ]
    # Uniform values alternate so widely beyond the threshold that the noise of a finite block cannot hide it.
    transactions, blocks = (1_000.0, 600) if quick else (2_000.0, 3_000)
    for elasticity, order in ((15.5, 0.0), (16.5, 1.0)):
        demand = Demand("uniform", ratio=1.0 + elasticity, transactions=transactions)
        correlation, error = autocorrelation_with_error(_log_fees(demand, blocks, seed=400), lag=100)
        what = f"autocorrelation of log base fee over 100 blocks at elasticity {elasticity:g}"
        note = "0 if the fee settles, 1 if it alternates for ever"
        rows.append(check(what, order, correlation, absolute=0.25, standard_error=error, note=note))
    use, error = mean_with_error(2.0 * Demand("uniform", 31.0, transactions).run(blocks, seed=410)["utilisation"])
    rows.append(bounded("mean use over target at elasticity 30", 1.03, use, standard_error=error))
    return rows
