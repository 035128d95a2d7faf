"""V14, V15 and V16: what spread competing makers arrive at by learning, where theory knows it in closed form.

The makers are those of every run: they are told nothing of these laws. Each target switches off what its theory leaves
out and compares the half-spread that traders really paid with the one at which a maker breaks even.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.optimize import brentq
from scipy.special import lambertw
from scipy.stats import norm

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, ratio_with_error, target
from blockspace.network.ordering import register_policy
from blockspace.network.transaction import QUOTE

DAY_S = 86_400.0
BURN_IN = 0.25
"""Share of a run that is left out while the makers learn."""

LEVEL_TOLERANCE = 0.15
EXPONENT_TOLERANCE = 0.05


def gas_law_half_spread(gas_usd: float, volatility_usd: float, volume_per_s: float) -> float:
    """Half-spread in dollars at which a maker breaks even who pays for each new quote.

    Quoting ``h`` around the price and replacing the quote whenever the price has moved by ``h``, the maker pays
    ``gas sigma^2 / h^2`` and earns ``Lambda h`` a second, which makes ``h = (gas sigma^2 / Lambda)^(1/3)``: the renewal
    argument for a diffusion's exit from an interval (Wald, 1944).

    Parameters
    ----------
    gas_usd
        Dollars per quote.
    volatility_usd
        Dollars per square-root second.
    volume_per_s
        Units that traders without information trade per second.
    """
    return (gas_usd * volatility_usd**2 / volume_per_s) ** (1.0 / 3.0)


def sniping_half_spread(jump_mean: float, jumps_per_trade: float) -> float:
    """Half-spread at which a maker breaks even who loses every race for stale quotes (Budish, Cramton and Shim, 2015).

    Jumps have exponential sizes of mean ``m``; with ``r`` jumps per unit that others trade, ``s/2 = m W(r)`` solves
    ``s/2 = r E[max(|J| - s/2, 0)]``, with Lambert's W.
    """
    return float(jump_mean * lambertw(jumps_per_trade).real)


def stale_quote_half_spread(units_per_block: float) -> float:
    """Half-spread, in standard deviations of the move over a block, of a quote that rests for a block and can be
    sniped.

    With ``L`` units traded per block against one that can be sniped, it solves ``L a = 2 (phi(a) - a Phi(-a))``, by the
    normal law's partial expectation.
    """
    return float(brentq(lambda a: units_per_block * a - 2.0 * (norm.pdf(a) - a * norm.cdf(-a)), 1e-9, 10.0, xtol=1e-12))


@register_policy("quotes_last", tips_count=False)
def _quotes_last(pending: npt.NDArray[Any], base_fee: int) -> npt.NDArray[np.float64]:
    """Everything in the order of arrival, and quotes behind it: no cancellation can outrun its block (V16)."""
    return np.where(pending["kind"] == QUOTE, 0.0, 1.0)


@register_policy("by_arrival", tips_count=False)
def _by_arrival(pending: npt.NDArray[Any], base_fee: int) -> npt.NDArray[np.float64]:
    """Everything in the order of arrival, ties at random (V15)."""
    return np.zeros(len(pending))


def maker_scenario(block_time_s: float, blocks: int, price_usd: float, **tables: dict[str, Any]) -> Any:
    """Scenario of makers and traders without information on free blocks; ``tables`` lie over it."""
    tick = price_usd * 5e-6
    base: dict[str, Any] = {
        "duration_s": block_time_s * blocks,
        "chain": {
            "block_time_s": block_time_s,
            "gas_limit": 10**9,
            "byte_limit": 10**9,
            "verification_ns_per_gas": 0.0,
        },
        "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
        "venue": {"gas_token": "fixed", "gas_token_usd": 2_000.0},
        "endowment": {"cash_usd": 1e9, "ether": 1e6},
        "gas": {"place": 21_000, "quote": 1_000_000, "quote_level": 0},
        "instruments": [{"tick_usd": tick, "lot_size": 0.01 if tick < 0.01 else 0.001, "taker_fee_bps": 0.0}],
    }
    tables["price"] = {"initial_usd": price_usd, **tables.get("price", {})}
    tables["noise_traders"] = {"count": 50, "size_variation": 0.0, "value_bps": 3_000.0, **tables["noise_traders"]}
    tables["market_makers"] = {
        "count": 2,
        "levels": 1,
        "position_limit": 1e6,
        "inventory_aversion": 0.0,
        "mark_out_s": 0.0,
        "look_interval_s": 0.0,
        **tables["market_makers"],
    }
    tables["arbitrageurs"] = {"look_interval_s": 0.0, **tables.get("arbitrageurs", {"count": 0})}
    merged = {**base, **tables}
    for name in base.keys() & tables.keys():
        if isinstance(base[name], dict):
            merged[name] = {**base[name], **tables[name]}
    return bare_scenario(merged)


def _paid(scenario: Any, seed: int) -> tuple[float, float, float]:
    """Mean half-spread paid (fraction of the price), its standard error, and the share of races that snipers won."""
    market = Market(scenario, seed=seed, tapes="none")
    market.run_for(scenario.duration_s)
    market.check()
    rows = market.world.records.market_rows(0)
    rows = rows[int(BURN_IN * len(rows)) :]
    patient = rows["volume_usd"] - rows["arbitrage_volume_usd"]
    mean, error = ratio_with_error(rows["effective_spread_usd"] / 2.0, patient)
    snipers = market.world.arbitrageurs
    seen = float(np.maximum(snipers["tries"], snipers["races"]).sum())  # with those that they stayed out of
    races_won = float(snipers["wins"].sum()) / (seen / len(snipers)) if seen else math.nan
    return mean, error, races_won


def paid_over_seeds(scenarios: list[Any], seeds: int) -> list[tuple[float, float, float]]:
    """:func:`_paid` of each scenario, averaged over seeds that are run side by side."""
    jobs = [delayed(_paid)(scenario, seed) for scenario in scenarios for seed in range(1, seeds + 1)]
    results = np.array(Parallel(n_jobs=-1)(jobs)).reshape(len(scenarios), seeds, 3)
    means = results.mean(axis=1)
    errors = np.sqrt((results[:, :, 1] ** 2).sum(axis=1)) / seeds
    return [(mean, error, races) for (mean, _, races), error in zip(means, errors, strict=True)]


def _elasticity_row(
    name: str, what: str, theory: float, one: tuple[float, float], other: tuple[float, float], ratio: float, source: str
) -> Row:
    """Compare an exponent, estimated from two half-spreads and the ratio of what was varied."""
    (low, low_error), (high, high_error) = one, other
    exponent = math.log(high / low) / math.log(ratio)
    error = math.hypot(low_error / low, high_error / high) / abs(math.log(ratio))
    return compare(name, what, theory, exponent, absolute=EXPONENT_TOLERANCE, standard_error=error, source=source)


GAS_LAW_CASES = {
    "gas ÷ 4": (0.25, 0.05, 0.1),
    "gas × 4": (4.0, 0.05, 0.1),
    "volatility × 2": (1.0, 0.10, 0.1),
    "flow × 4": (1.0, 0.05, 0.4),
    "base": (1.0, 0.05, 0.1),
}
"""Dollars per quote, volatility per day, units traded per second."""


def _gas_law_scenario(gas_usd: float, volatility: float, volume_per_s: float, quick: bool) -> Any:
    block_time = 0.1
    price = 2_000.0
    per_block = price * volatility / math.sqrt(DAY_S) * math.sqrt(block_time)
    return maker_scenario(
        block_time,
        120_000 if quick else 400_000,
        price,
        fee_market={"base_fee_wei": round(gas_usd / (1_000_000 * 2_000.0) * 1e18)},
        price={"volatility_per_day": volatility},
        noise_traders={"orders_per_s": volume_per_s / 0.02, "size_mean": 0.02},
        # The makers requote when the loss expected over a block exceeds the gas. At this size that is 0.58 standard
        # deviations before the price reaches the quote, which it then overshoots by as much (Siegmund, 1979).
        market_makers={"unit_size": gas_usd / (0.17 * per_block), "review_interval_s": 2_400.0, "rest_s": 7_200.0},
    )


@target("V14")
def gas_law(quick: bool) -> list[Row]:
    """Cost of a quote and spread: a cube-root law, with two makers who compete and nobody who snipes."""
    source = "renewal argument; Wald (1944)"
    scenarios = [_gas_law_scenario(*case, quick) for case in GAS_LAW_CASES.values()]
    measured = dict(zip(GAS_LAW_CASES, paid_over_seeds(scenarios, 1 if quick else 2), strict=True))
    rows = []
    for name, (gas, volatility, flow) in GAS_LAW_CASES.items():
        mean, error = measured[name][:2]
        theory = gas_law_half_spread(gas, 2_000.0 * volatility / math.sqrt(DAY_S), flow) / 2_000.0
        rows.append(
            compare(
                "V14",
                f"half-spread, {name} (bp)",
                1e4 * theory,
                1e4 * mean,
                relative=LEVEL_TOLERANCE,
                standard_error=1e4 * error,
                source=source,
            )
        )
    half = {name: values[:2] for name, values in measured.items()}
    rows.append(_elasticity_row("V14", "elasticity in gas", 1 / 3, half["gas ÷ 4"], half["gas × 4"], 16.0, source))
    rows.append(
        _elasticity_row("V14", "elasticity in volatility", 2 / 3, half["base"], half["volatility × 2"], 2.0, source)
    )
    rows.append(_elasticity_row("V14", "elasticity in flow", -1 / 3, half["base"], half["flow × 4"], 4.0, source))
    return rows


@target("V15")
def sniping(quick: bool) -> list[Row]:
    """Jumps, twenty snipers as fast as the maker, ties at random: the spread pays for being sniped."""
    source = "Budish, Cramton and Shim (2015)"
    ratios = {0.5: 0.2, 1.0: 0.1, 2.0: 0.05} if not quick else {1.0: 0.1}
    scenarios = [
        maker_scenario(
            0.1,
            60_000 if quick else 300_000,
            200.0,
            chain={"ordering": "by_arrival"},
            price={"volatility_per_day": 0.0, "jumps_per_day": ratio * flow * DAY_S, "jump_mean_bps": 10.0},
            noise_traders={"orders_per_s": flow / 0.05, "size_mean": 0.05},
            market_makers={"unit_size": 1.0, "review_interval_s": 1_200.0, "rest_s": 3_600.0},
            arbitrageurs={"count": 20, "most_copies": 1},
        )
        for ratio, flow in ratios.items()
    ]
    rows = []
    for ratio, (mean, error, races) in zip(ratios, paid_over_seeds(scenarios, 1 if quick else 2), strict=True):
        rows.append(
            compare(
                "V15",
                f"half-spread at {ratio:g} jumps per unit traded (bp)",
                sniping_half_spread(10.0, ratio),
                1e4 * mean,
                relative=LEVEL_TOLERANCE,
                standard_error=1e4 * error,
                source=source,
            )
        )
        rows.append(
            compare(
                "V15",
                f"share of stale quotes that are sniped, {ratio:g} jumps per unit",
                40 / 42,
                races,
                relative=0.03,
                source=source,
                note="two quotes of two makers: a try takes what is left of both",
            )
        )
    return rows


@target("V16")
def stale_quotes(quick: bool) -> list[Row]:
    """Quotes that rest for a whole block while the price diffuses: spread against flow per block and block time."""
    source = "partial expectation of the normal law; Copeland and Galai (1983)"
    cases = (
        [(0.3, 12.0), (0.1, 12.0), (0.03, 12.0), (0.1, 2.0), (0.1, 0.25)] if not quick else [(0.1, 12.0), (0.1, 0.25)]
    )
    scenarios = [
        maker_scenario(
            block_time,
            8_000 if quick else 40_000,
            200.0,
            chain={"ordering": "quotes_last"},
            price={"volatility_per_day": 0.05},
            noise_traders={"orders_per_s": flow / block_time / 0.02, "size_mean": 0.02},
            market_makers={
                "unit_size": 1.0,
                "memory_s": 200 * block_time,
                "review_interval_s": 400 * block_time,
                "rest_s": 1_200 * block_time,
            },
            arbitrageurs={"count": 3, "most_copies": 1},
        )
        for flow, block_time in cases
    ]
    measured = dict(zip(cases, paid_over_seeds(scenarios, 1 if quick else 4), strict=True))
    rows = []
    for (flow, block_time), (mean, error, _) in measured.items():
        theory = stale_quote_half_spread(flow) * 0.05 / math.sqrt(DAY_S) * math.sqrt(block_time)
        rows.append(
            compare(
                "V16",
                f"half-spread, {flow:g} units per block of {block_time:g} s (bp)",
                1e4 * theory,
                1e4 * mean,
                relative=LEVEL_TOLERANCE,
                standard_error=1e4 * error,
                source=source,
            )
        )
    fast, slow = measured[0.1, 0.25][:2], measured[0.1, 12.0][:2]
    rows.append(
        _elasticity_row("V16", "elasticity in block time at fixed flow per block", 0.5, fast, slow, 48.0, source)
    )
    return rows
