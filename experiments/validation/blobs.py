"""V5: the market for blobs, exact to the specification, and cleared by users who can do without."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import poisson

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, bare_scenario, compare, mean_with_error, target
from blockspace.network.blob_market import FORKS, blob_base_fee, excess_for, fake_exponential, next_excess
from blockspace.network.transaction import GAS_PER_BLOB

SPECIFICATION = "EIP-4844, EIP-7691, EIP-7892, EIP-7918 (2022 to 2025)"
CLEARING = "Leonardos et al. (2021)"
SLOT_S = 12.0

GOLDEN = (
    (0, "cancun", 1),
    (2_314_057, "cancun", 1),
    (2_314_058, "cancun", 2),
    (10_485_760, "cancun", 23),
    (100_000_000, "bpo2", 5_209),
    (200_000_000, "bpo2", 27_137_919),
)
"""Base fees in wei at excesses of blob gas."""

BLOCKS_TO_A_GWEI = {"cancun": 176, "prague": 264, "bpo1": 264, "bpo2": 264}
LARGEST_STEPS = {"cancun": (12.50, -11.11), "prague": (8.17, -14.53), "bpo1": (8.17, -14.53), "bpo2": (8.17, -14.53)}


@target("V5")
def blob_market(quick: bool) -> list[Row]:
    """Base fees of blobs at known excesses and along whole runs, and the price at which demand meets the target."""
    rows = []
    for excess, name, fee in GOLDEN:
        what = f"base fee at an excess of {excess:,} under {name}, wei per unit of blob gas"
        found = fake_exponential(1, excess, FORKS[name].update_fraction)
        rows.append(compare("V5", what, fee, found, source=SPECIFICATION))
    for name, blocks in BLOCKS_TO_A_GWEI.items():
        what = f"full blocks from 1 wei to 1 gwei under {name}"
        rows.append(compare("V5", what, blocks, _blocks_to_a_gwei(name), source=SPECIFICATION))
        for what, step, blobs in zip(("full", "empty"), LARGEST_STEPS[name], (FORKS[name].maximum, 0), strict=True):
            row = f"change of the base fee by a {what} block under {name}, per cent"
            rows.append(compare("V5", row, step, _step(name, blobs), absolute=0.006, source=SPECIFICATION))
    for name, base_fee_gwei in (("cancun", 10.0), ("prague", 10.0), ("bpo2", 10.0), ("bpo2", 30.0)):
        rows += _run(name, base_fee_gwei, 1_500 if quick else 12_000)
    return rows


def _blocks_to_a_gwei(name: str) -> int:
    fork, excess, count = FORKS[name], 0, 0
    while blob_base_fee(excess, fork) < 10**9:
        excess = next_excess(excess, fork.maximum * GAS_PER_BLOB, 0, fork)
        count += 1
    return count


def _step(name: str, blobs: int) -> float:
    fork = FORKS[name]
    excess = excess_for(10**12, fork)
    following = next_excess(excess, blobs * GAS_PER_BLOB, 0, fork)
    return 100.0 * (blob_base_fee(following, fork) / blob_base_fee(excess, fork) - 1.0)


def _recomputed(excess: int, fee: int, blobs: int, base_fee: int, name: str) -> int:
    """Excess after a block, by the words of the specification rather than by the simulator's code."""
    fork = FORKS[name]
    used, aim, most = (count * GAS_PER_BLOB for count in (blobs, fork.target, fork.maximum))
    if excess + used < aim:
        return 0
    if name not in ("cancun", "prague") and base_fee * 8_192 > fee * 131_072:
        return excess + used * (most - aim) // most
    return excess + used - aim


def demand_for(target: int, maximum: int) -> float:
    """Mean of a Poisson demand of which a block that holds ``maximum`` blobs carries ``target`` on average.

    Examples
    --------
    >>> round(demand_for(6, 9), 3), round(demand_for(14, 21), 3)
    (6.193, 14.068)
    """

    def carried(mean: float) -> float:
        counts = np.arange(maximum)
        return float(maximum - ((maximum - counts) * poisson.pmf(counts, mean)).sum())

    return float(brentq(lambda mean: carried(mean) - target, 0.5 * target, 3.0 * target))


def _run(name: str, base_fee_gwei: float, blocks: int, burn_in: int = 300) -> list[Row]:
    """Rollups that want three times the target, with exponential values, beside an execution gas at a fixed price."""
    fork = FORKS[name]
    wanted = 3.0 * fork.target
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": SLOT_S, "blobs": name, "initial_blob_base_fee_wei": 10**9},
            "fee_market": {"rule": "fixed", "base_fee_wei": round(base_fee_gwei * 1e9)},
            "other_rollups": {
                "arrivals_per_s": wanted / SLOT_S,
                "blobs": 1,
                "gas_mean": 21_000,
                "gas_variation": 0.0,
                "value_law": "exponential",
                "value_gwei": 1.0,
                "patience_s": 0.0,
                "burst_sd": 0.0,
                "surge": 0.0,
            },
        }
    )
    market = Market(scenario, seed=50, tapes="none")
    market.run_for((burn_in + blocks) * SLOT_S)
    rows = market.blocks()
    fees = np.rint(rows["blob_base_fee_gwei"].to_numpy() * 1e9).astype(np.int64).tolist()
    excess, wrong = excess_for(10**9, fork), 0
    base_fee = round(base_fee_gwei * 1e9)
    for fee, blobs in zip(fees, rows["blobs"].tolist(), strict=True):
        wrong += abs(fee - fake_exponential(1, excess, fork.update_fraction)) > 1e-9 * fee
        excess = _recomputed(excess, fake_exponential(1, excess, fork.update_fraction), blobs, base_fee, name)
    case = f"{name}, execution gas at {base_fee_gwei:g} gwei"
    found = [compare("V5", f"blocks whose base fee of blobs is another: {case}", 0, wrong, source=SPECIFICATION)]
    mean, error = mean_with_error(rows["blob_base_fee_gwei"].iloc[burn_in:])
    reserve = base_fee_gwei / 16.0 if fork.reserve_price else 0.0
    clearing = math.log(wanted / demand_for(fork.target, fork.maximum))
    if reserve > clearing:
        # Above the reserve the fee falls by a block's step, below it only rises: it stays within a step of it.
        step = 1.0 - math.exp(-fork.target * GAS_PER_BLOB / fork.update_fraction)
        what = f"mean base fee of blobs, gwei, where a sixteenth of that of execution is dearer: {case}"
        note = "tolerance of half a largest step"
        return [*found, compare("V5", what, reserve, mean, relative=step / 2, note=note, source=SPECIFICATION)]
    what = f"mean base fee of blobs, gwei: {case}"
    row = compare("V5", what, clearing, mean, relative=0.02, standard_error=error, source=CLEARING)
    used, error = mean_with_error(rows["blobs"].iloc[burn_in:])
    what = f"blobs of a block, on average: {case}"
    return [*found, row, compare("V5", what, fork.target, used, relative=0.02, standard_error=error, source=CLEARING)]
