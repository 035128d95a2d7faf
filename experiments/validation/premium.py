"""V25: the gas-adjusted premium and its parts, where theory knows them.

A call at the money for thirty days is written on prices that are simulated here, with fees that stand still or whose
logarithm is an Ornstein-Uhlenbeck process; then options of an hour are written along the blocks of whole runs, in which
demand for space surges when the price moves, or does not.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from blockspace.experiments.market import Market
from blockspace.experiments.premium.hedging import CONTRACT, POLICY, hedge
from blockspace.experiments.premium.parts import forgone_usd, moments, premium_parts
from blockspace.experiments.premium.paths import FeePath, fair_drift, fee_path
from blockspace.experiments.validation import STANDARD_ERRORS, Row, bare_scenario, compare, target
from blockspace.experiments.validation.hedging_paths import SPOT_USD, VOLATILITY, YEARS, at_the_money
from blockspace.experiments.validation.options import DERMAN_KAMAL
from blockspace.markets.options.black_scholes import CALL, YEAR_NS, price_option
from blockspace.network.compilation import kernel
from blockspace.network.draws import draw_normal, stream_key

FIXED_COST = "Whalley and Wilmott (1999)"
RISK_AVERSION = 1.0
KEY = np.uint64(stream_key(25, "validation/premium"))

REHEDGES = 480
STEPS_OF_A_CLOCK = 2
FEE_USD = 0.01
FEE_VARIATION = 0.8
FEE_PERSISTENCE = 0.9
"""Autocorrelation of the log fee from one re-hedge to the next."""

EXERCISE_USD = 5.0

SURGE = 5.0
"""Extra demand for each standard deviation by which the last minute's move exceeds one."""


# Closed forms.


def fee_autocorrelation(steps: int, variation: float, persistence: float) -> float:
    """Autocorrelation of a fee, ``steps`` re-hedges apart, whose logarithm is autoregressive."""
    variance = math.log(1.0 + variation**2)
    return math.expm1(variance * persistence**steps) / math.expm1(variance)


def gas_variance(trades: int, deviation: float, variation: float, persistence: float) -> float:
    """Variance of the gas of equally spaced trades: ``s^2 [N + 2 sum (N - k) rho_k]``."""
    lags = ((trades - k) * fee_autocorrelation(k, variation, persistence) for k in range(1, trades))
    return deviation**2 * (trades + 2.0 * math.fsum(lags))


def hedging_risk(rehedges: int) -> float:
    """What the variance of a clock's error costs: ``(gamma / 2) (pi / 4) (vega sigma)^2 / N``."""
    return RISK_AVERSION / 2.0 * math.pi / 4.0 * (at_the_money().vega * VOLATILITY) ** 2 / rehedges


def value_after_gas(variation: float) -> float:
    """Value of a call whose exercise costs a lognormal amount: the mean over it of that with a higher strike."""
    variance = math.log(1.0 + variation**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    costs = EXERCISE_USD * np.exp(math.sqrt(variance) * nodes - variance / 2.0)
    values = [price_option("call", SPOT_USD, SPOT_USD + cost, YEARS, VOLATILITY).value for cost in costs.tolist()]
    return float(weights @ np.array(values) / weights.sum())


# Simulated prices and fees.


@kernel
def _draw_prices_and_fees(key, deviation, log_sd, persistence, prices, fees):
    """Fill rows of prices that start at ``SPOT_USD``, and of fees around 1 whose logarithm is stationary."""
    shock = log_sd * math.sqrt(1.0 - persistence * persistence)
    for row in range(prices.shape[0]):
        log_return = 0.0
        log_fee = log_sd * draw_normal(key, np.int64(2 * row + 1), np.int64(0))
        for step in range(prices.shape[1]):
            if step > 0:
                log_return += deviation * draw_normal(key, np.int64(2 * row), np.int64(step)) - 0.5 * deviation**2
                log_fee = persistence * log_fee + shock * draw_normal(key, np.int64(2 * row + 1), np.int64(step))
            prices[row, step] = SPOT_USD * math.exp(log_return)
            fees[row, step] = math.exp(log_fee - 0.5 * log_sd * log_sd)


def simulated_path(
    options: int, steps: int, fee_usd: float, variation: float = 0.0, persistence: float = 0.0
) -> FeePath:
    """Path of which each option has a piece of its own, ``steps + 1`` blocks long, that begins at ``SPOT_USD``.

    Parameters
    ----------
    fee_usd, variation
        Mean of the fee per unit of gas, and its standard deviation as a share of the mean.
    persistence
        Autocorrelation of the log fee from block to block.
    """
    prices, fees = np.empty((2, options, steps + 1))
    log_sd = math.sqrt(math.log(1.0 + variation**2))
    _draw_prices_and_fees(KEY, VOLATILITY * math.sqrt(YEARS / steps), log_sd, persistence, prices, fees)
    times = np.arange(prices.size, dtype=np.int64) * round(YEARS / steps * YEAR_NS)
    return FeePath(times, prices.ravel(), fee_usd * fees.ravel(), VOLATILITY)


def simulate(
    path: FeePath, options: int, policies: npt.NDArray[Any], size: float = 1.0, aversion: float = RISK_AVERSION
) -> npt.NDArray[Any]:
    """Outcomes of calls at the money, one on each piece of a simulated path, by each policy; on every core."""
    length = len(path.times_ns) // options
    contracts = np.zeros(options, CONTRACT)
    contracts["first"] = np.arange(options) * length
    contracts["last"] = contracts["first"] + length - 1
    contracts["strike"], contracts["kind"], contracts["size"] = SPOT_USD, CALL, size
    parts = Parallel(n_jobs=-1, prefer="threads")(
        delayed(hedge)(path, some, policies, 1.0, 0.0, aversion) for some in np.array_split(contracts, 8)
    )
    return np.concatenate([outcomes for _, outcomes in parts])


def clock(path: FeePath, steps: int) -> npt.NDArray[Any]:
    """Policy that re-hedges every so many blocks, in the block in which it decides."""
    return np.array([(steps * int(path.times_ns[1] - path.times_ns[0]), 0.0, 0)], POLICY)


class Found(NamedTuple):
    """A part of a premium and its standard error over independent options."""

    value: float
    error: float


def part_errors(outcomes: npt.NDArray[Any]) -> dict[str, Found]:
    """Parts of the premium of one policy; standard errors by the parts' first-order change with each option."""
    gas, loss = outcomes["gas_usd"], outcomes["loss_usd"]
    parts = premium_parts(moments(outcomes), RISK_AVERSION)
    away, half = gas - gas.mean(), RISK_AVERSION / 2.0
    terms = {
        "gas_usd": gas,
        "gas_variance_usd": half * away**2,
        "hedging_variance_usd": half * loss**2,
        "covariance_usd": 2.0 * half * away * loss,
    }
    terms["premium_usd"] = sum(terms.values(), np.zeros(len(gas)))
    return {
        name: Found(float(parts[name]), float(values.std() / math.sqrt(len(values)))) for name, values in terms.items()
    }


def _clock_rows(quick: bool) -> list[Row]:
    """By the clock, with fees that stand still and with fees that wander by themselves."""
    options, steps = (8_000 if quick else 60_000), REHEDGES * STEPS_OF_A_CLOCK
    still = simulated_path(options, steps, FEE_USD)
    outcomes = simulate(still, options, clock(still, STEPS_OF_A_CLOCK))[:, 0]
    found = part_errors(outcomes)
    rows = []
    for what, theory, part, tolerance, source in (
        ("expected gas, N times the fee", REHEDGES * FEE_USD, "gas_usd", 0.01, DERMAN_KAMAL),
        ("risk of hedging", hedging_risk(REHEDGES), "hedging_variance_usd", 0.05, DERMAN_KAMAL),
        ("premium", REHEDGES * FEE_USD + hedging_risk(REHEDGES), "premium_usd", 0.05, DERMAN_KAMAL),
    ):
        rows.append(
            compare(
                "V25",
                f"{what}, clock with {REHEDGES} trades and fees that stand still (dollars)",
                theory,
                found[part].value,
                relative=tolerance,
                standard_error=found[part].error,
                source=source,
            )
        )
    risks = abs(found["gas_variance_usd"].value) + abs(found["covariance_usd"].value)
    rows.append(
        compare("V25", "risk and covariance of gas where fees stand still (dollars)", 0.0, risks, absolute=0.01)
    )

    per_block = FEE_PERSISTENCE ** (1.0 / STEPS_OF_A_CLOCK)
    moving = simulated_path(options, steps, FEE_USD, FEE_VARIATION, per_block)
    outcomes = simulate(moving, options, clock(moving, STEPS_OF_A_CLOCK))[:, 0]
    found = part_errors(outcomes)
    risk = RISK_AVERSION / 2.0 * gas_variance(REHEDGES, FEE_VARIATION * FEE_USD, FEE_VARIATION, FEE_PERSISTENCE)
    for what, theory, part, share in (
        ("expected gas", REHEDGES * FEE_USD, "gas_usd", 0.01),
        ("risk of gas", risk, "gas_variance_usd", 0.05),
        ("covariance of gas and loss", 0.0, "covariance_usd", 0.0),
    ):
        rows.append(
            compare(
                "V25",
                f"{what}, clock, fees that wander by themselves (dollars)",
                theory,
                found[part].value,
                standard_error=found[part].error,
                relative=share,
            )
        )
    gas, loss = outcomes["gas_usd"], outcomes["loss_usd"]
    direct = gas.mean() + RISK_AVERSION / 2.0 * ((gas + loss).var() + loss.mean() ** 2)
    rows.append(
        compare(
            "V25",
            "sum of the parts less the premium from mean and variance of all costs (dollars)",
            0.0,
            found["premium_usd"].value - float(direct),
            absolute=1e-9,
        )
    )
    return rows


def _band_rows(quick: bool) -> list[Row]:
    """The band, and options that share a vault."""
    options, steps = (1_500, 2_880) if quick else (10_000, 5_760)
    gas = 6.4e-4 * at_the_money().value
    path = simulated_path(options, steps, gas)
    band = np.array([(0, 1.0, 0)], POLICY)
    found = part_errors(simulate(path, options, band)[:, 0])["premium_usd"]
    theory = at_the_money().vega * VOLATILITY * math.sqrt(RISK_AVERSION * gas / 3.0)
    rows = [
        compare(
            "V25",
            "premium of the band that knows the fee, fees that stand still (dollars)",
            theory,
            found.value,
            relative=0.2,
            standard_error=found.error,
            source=FIXED_COST,
            note="theory is the limit of small gas",
        )
    ]
    beliefs = 2.0 ** np.arange(-2.0, 2.1, 0.5)
    policies = np.array([(0, belief, 0) for belief in beliefs], POLICY)
    costs = []
    for count in (1, 16):
        aversion = RISK_AVERSION / count
        outcomes = simulate(path, options, policies, float(count), aversion)
        costs.append(float(premium_parts(moments(outcomes), aversion)["premium_usd"].min()) / count)
    rows.append(
        compare(
            "V25",
            "elasticity of the premium per option in their number, tolerance of risk pooled",
            -0.5,
            math.log(costs[1] / costs[0]) / math.log(16.0),
            absolute=0.05,
            source=FIXED_COST,
            note="the best band of each, found by search",
        )
    )
    return rows


@kernel
def _draw_exercises(key, deviation, log_sd, payoffs, costs):
    for number in range(payoffs.size):
        spot = SPOT_USD * math.exp(
            deviation * draw_normal(key, np.int64(number), np.int64(0)) - 0.5 * deviation * deviation
        )
        payoffs[number] = max(0.0, spot - SPOT_USD)
        costs[number] = EXERCISE_USD * math.exp(
            log_sd * draw_normal(key, np.int64(number), np.int64(1)) - 0.5 * log_sd * log_sd
        )


def _holder_rows(quick: bool) -> list[Row]:
    """What a holder has of an option whose exercise costs gas: more, the more gas varies around the same mean."""
    count = 200_000 if quick else 2_000_000
    payoffs, costs = np.empty((2, count))
    rows = []
    for variation, golden in ((0.0, 7.06806), (1.0, 7.24), (2.0, 7.49)):
        log_sd = math.sqrt(math.log(1.0 + variation**2))
        _draw_exercises(KEY, VOLATILITY * math.sqrt(YEARS), log_sd, payoffs, costs)
        forgone = forgone_usd(payoffs, costs)
        rows.append(
            compare(
                "V25",
                f"value of a call with {EXERCISE_USD:g} dollars of gas to exercise, varying by {variation:g} of it",
                value_after_gas(variation),
                at_the_money().value - float(forgone.mean()),
                absolute=0.005,
                standard_error=float(forgone.std() / math.sqrt(count)),
                source="Black and Scholes (1973)",
                note=f"an independent simulation gave {golden:g}",
            )
        )
    return rows


def covariance_on_chain(surge: float, quick: bool) -> Found:
    """Covariance part of a clock's premium along whole runs, with its standard error over options one after another."""
    days = 1.0 if quick else 4.0
    seeds, hours, volatility = 6, round(24 * days), 0.04
    aversion, size, gas = 1e-4, 1_000.0, 120_000.0
    scenario = bare_scenario(
        {
            "duration_s": (hours + 1) * 3600.0,
            "warm_up_s": 600.0,
            "chain": {"block_time_s": 12.0, "gas_limit": 6_000_000},
            "fee_market": {"initial_base_fee_wei": 40 * 10**9, "wallet_tip_wei": 0},
            "price": {"volatility_per_day": volatility, "drift_per_day": fair_drift(volatility)},
            "venue": {"gas_token": "fixed"},
            "background_users": {
                "arrivals_per_s": 10.0,
                "value_law": "exponential",
                "value_gwei": 20.0,
                "patience_s": 0.0,
                "surge": surge,
            },
        }
    )
    gases, losses = [], []
    for seed in range(1, seeds + 1):
        market = Market(scenario, seed, "none")
        market.run_for(scenario.duration_s)
        path = fee_path(market)
        starts = path.times_ns[0] + np.arange(hours, dtype=np.int64) * 3_600 * 10**9
        contracts = np.zeros(hours, CONTRACT)
        contracts["first"] = np.searchsorted(path.times_ns, starts)
        contracts["last"] = np.searchsorted(path.times_ns, starts + 3_600 * 10**9)
        contracts["strike"] = path.prices_usd[contracts["first"]]
        contracts["kind"], contracts["size"] = CALL, size
        _, outcomes = hedge(path, contracts, np.array([(60 * 10**9, 0.0, 1)], POLICY), gas, gas, aversion)
        gases.append(outcomes["gas_usd"][:, 0])
        losses.append(outcomes["loss_usd"][:, 0])
    gas_usd, loss_usd = np.concatenate(gases), np.concatenate(losses)
    terms = aversion * (gas_usd - gas_usd.mean()) * loss_usd
    return Found(float(terms.mean()), float(terms.std() / math.sqrt(len(terms))))


def _chain_rows(quick: bool) -> list[Row]:
    """On a chain whose demand does not know of prices gas and loss are not related; where it surges, they are."""
    apart, together = (covariance_on_chain(surge, quick) for surge in (0.0, SURGE))
    what = "covariance part by a clock, whole runs"
    return [
        compare(
            "V25", f"{what}, demand independent of prices (dollars)", 0.0, apart.value, absolute=0.0,
            standard_error=apart.error,
        ),
        compare(
            "V25",
            f"{what}, demand that surges with the price's moves: 1 if positive by three standard errors",
            1.0,
            float(together.value > STANDARD_ERRORS * together.error),
            note=f"{together.value:.3g} dollars, standard error {together.error:.2g}",
        ),
    ]  # fmt: skip


@target("V25")
def gas_adjusted_premium(quick: bool) -> list[Row]:
    """Parts of the premium are those of theory, add up, and tell fees that follow prices from fees that do not."""
    return _clock_rows(quick) + _band_rows(quick) + _holder_rows(quick) + _chain_rows(quick)
