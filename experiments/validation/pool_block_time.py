"""V10: how much less arbitrage takes from a pool if blocks come faster, where the market is less tidy than theory.

On Ethereum's pairs blocks of 0.1 s instead of 12 s would lower the losses to arbitrage by 20 to 70 % (Fritsch and
Canidio, 2024), where a diffusion without gas says 85 % at 5 basis points and 90 % at 30. Jumps are taken by the first
arbitrage after them however fast blocks come, gas keeps small gaps from being traded, and the swaps of others push the
price of the pool about. With these three added the reduction must leave the theory's value for the measured range.
"""

import numpy as np
from joblib import Parallel, delayed

from blockspace.experiments.market import Market
from blockspace.experiments.scenario import Scenario, change_settings
from blockspace.experiments.validation import Row, compare, mean_with_error, target
from blockspace.experiments.validation.pools import arbitrage_share, pool_scenario

SLOW_S, FAST_S = 12.0, 0.1
MEASURED = (0.20, 0.85)
"""Range in which the reduction must lie; the lower end is measured, the upper one just below what theory says."""

UNTIDY = {
    "endowment.cash_usd": 1e9,
    "endowment.spot": 5e5,
    "endowment.ether": 1e6,
    "price.jumps_per_day": 50.0,
    "price.jump_mean_bps": 20.0,  # a fifth of the variance
    "swappers.count": 40,
    "swappers.orders_per_s": 0.05,
    "swappers.size_mean": 1.0,
    "swappers.value_bps": 100.0,
}


def _scenarios(fee_ppm: int, gas_usd: float, hours: float, changes: dict[str, float]) -> list[Scenario]:
    """The same market in slow and in fast blocks."""
    return [
        change_settings(
            pool_scenario(fee_ppm, time, round(3_600.0 * hours / time), value_usd=5e7, gas_usd=gas_usd, arbitrageurs=2),
            changes,
        )
        for time in (SLOW_S, FAST_S)
    ]


def _loss_usd(scenario: Scenario, seed: int) -> float:
    """Dollars that arbitrage takes from the providers."""
    market = Market(scenario, seed=seed, tapes="none")
    market.run_for(scenario.duration_s)
    market.check()
    return float(market.world.records.pool_rows(0)["arbitrage_profit_usd"].sum())


@target("V10")
def faster_blocks(quick: bool) -> list[Row]:
    """Fast blocks help a pool less than a diffusion says, once there are jumps, gas and other traders."""
    hours, seeds = (2.0, 2) if quick else (8.0, 6)
    cases: list[tuple[int, float, dict[str, float]]] = [
        (fee_ppm, gas_usd, changes) for fee_ppm in (500, 3_000) for gas_usd, changes in ((0.0, {}), (0.2, UNTIDY))
    ]
    jobs = [
        delayed(_loss_usd)(scenario, seed)
        for case in cases
        for scenario in _scenarios(*case[:2], hours, case[2])
        for seed in range(1, seeds + 1)
    ]
    losses = np.array(Parallel(n_jobs=-1)(jobs)).reshape(len(cases), 2, seeds)
    low, high = MEASURED
    rows = []
    for (fee_ppm, _, changes), (slow, fast) in zip(cases, losses, strict=True):
        reduction, error = mean_with_error(1.0 - fast / slow, batches=seeds)
        fee = fee_ppm * 1e-6
        tidy = 1.0 - arbitrage_share(fee, FAST_S, "slots") / arbitrage_share(fee, SLOW_S, "slots")
        case = f"{fee_ppm / 100:g} bp, {SLOW_S:g} to {FAST_S:g} s"
        if not changes:
            rows.append(
                compare(
                    "V10",
                    f"reduction of the loss to arbitrage, diffusion alone, {case}",
                    tidy,
                    reduction,
                    absolute=0.03,
                    standard_error=error,
                    source="Milionis et al. (2022); overshoot: Siegmund (1979)",
                )
            )
            continue
        rows.append(
            compare(
                "V10",
                f"the same with jumps, gas and swaps of others, {case}",
                (low + high) / 2.0,
                reduction,
                absolute=(high - low) / 2.0,
                source="range: Fritsch and Canidio (2024)",
                note=f"standard error {error:.3f}; a diffusion alone says {tidy:.3f}",
            )
        )
    return rows
