"""A small paired sweep over capacity that gives its results one run at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.results.statistics import Estimate, estimate
from blockspace.experiments.scenario import Scenario, change_settings

MEASURES = {
    "spread": ("median_quoted_spread_bps", 1.0),
    "depth": ("depth_100bps_usd", 1e-3),
    "base fee": ("base_fee_gwei", 1.0),
}
"""Measures of a run that are shown, by what they are called, and what they are multiplied by."""

SLICES = 20
"""Parts of a run between which it is looked whether to stop."""


@dataclass
class Curve:
    """What a sweep has found so far.

    Attributes
    ----------
    name
        What distinguishes it from others.
    samples
        Measures by capacity (gas per second) and seed.
    """

    name: str
    samples: dict[float, dict[int, dict[str, float]]] = field(default_factory=lambda: defaultdict(dict))

    def estimates(self, measure: str) -> list[tuple[float, Estimate]]:
        """Mean over seeds with its 95 % interval at each capacity, in their order."""
        return [
            (capacity, estimate(pd.Series({seed: one[measure] for seed, one in by_seed.items()}, dtype=float)))
            for capacity, by_seed in sorted(self.samples.items())
        ]


def sweep_capacity(
    scenario: Scenario, factors: Sequence[float], seeds: Sequence[int], is_stopped: Callable[[], bool]
) -> Iterator[tuple[float, int, dict[str, float]]]:
    """Run a scenario at multiples of its capacity, the same seeds at each, and give each run as it is finished.

    Yields
    ------
    tuple
        Capacity in gas per second, seed, and measures.
    """
    first = scenario.instruments[0].name
    for seed in seeds:
        for factor in factors:
            chosen = change_settings(scenario, {"chain.gas_limit": round(scenario.chain.gas_limit * factor)})
            market = Market(chosen, seed, tapes="none")
            for _ in range(SLICES):
                if is_stopped():
                    return
                market.run_for(scenario.duration_s / SLICES)
            summary = market.summary()
            measures = {
                name: scale * float(summary.get(measure, summary.get(f"{first}.{measure}", float("nan"))))
                for name, (measure, scale) in MEASURES.items()
            }
            yield chosen.gas_per_second, seed, measures
