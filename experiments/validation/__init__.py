"""Validation: closed forms and published results that the simulator must reach on its own.

A *target* is a function ``(quick) -> list[Row]``, registered under the name by which the command line knows it.
It builds ordinary scenarios in which everything that the theory leaves out is switched off, runs them, and
compares what comes out with the theory. The closed forms live in this package alone: nothing that runs in a
market knows them. Every module of this folder is searched for targets, so that a new one is a function in a file:

>>> @target("X1")
... def heads(quick: bool) -> list[Row]:
...     '''Half of the tosses of a coin.'''
...     return [compare("X1", "share of heads", 0.5, 0.503, standard_error=0.005, relative=0.001)]
>>> [row] = run_validation(["X1"])
>>> row.passed, row.tolerance
(True, '0.1 % or 3 s.e.')
>>> del TARGETS["X1"]
"""

import difflib
import importlib
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.scenario import Scenario, scenario_from

STANDARD_ERRORS = 3.0
"""A difference of this many standard errors or fewer is noise."""

CONFIDENCE_95 = 1.959964
BATCHES = 40

BARE: dict[str, dict[str, Any]] = {
    "chain": {"byte_limit": 10**9},
    "fee_market": {"wallet_tip_wei": 0},
    "topology": {"validators": 1, "latency_scale": 0.0},
    "mempool": {"capacity": 32_767},
    "price": {"volatility_per_day": 0.0},
    "background_users": {"arrivals_per_s": 0.0, "gas_variation": 0.0, "burst_sd": 0.0, "surge": 0.0},
    "noise_traders": {"count": 0},
    "informed_traders": {"count": 0},
    "market_makers": {"count": 0},
    "arbitrageurs": {"count": 0},
}
"""Settings of a scenario in which nothing happens."""


@dataclass(frozen=True)
class Row:
    """One comparison of theory and simulation.

    Parameters
    ----------
    target
        Name of the target, such as ``"V1"``.
    what
        What is compared, in words, with its unit.
    theory, simulation
        The two values.
    low, high
        Ends of the 95 % confidence interval of the simulation; both are the value itself where there is no chance.
    tolerance
        How far apart the two may be.
    passed
        Whether they are not further apart.
    note
        What else a reader should know.
    source
        Author and year of the theory.
    """

    target: str
    what: str
    theory: float
    simulation: float
    low: float
    high: float
    tolerance: str
    passed: bool
    note: str = ""
    source: str = ""


Target = Callable[[bool], list[Row]]

TARGETS: dict[str, Target] = {}
"""Targets by name, as far as their modules have been imported; :func:`all_targets` imports them all."""


def target(name: str) -> Callable[[Target], Target]:
    """Register a function ``(quick) -> list[Row]`` as the target ``name``."""

    def register(function: Target) -> Target:
        TARGETS[name] = function
        return function

    return register


def compare(
    target: str,
    what: str,
    theory: float,
    simulation: float,
    *,
    relative: float | None = None,
    absolute: float | None = None,
    standard_error: float = 0.0,
    note: str = "",
    source: str = "",
) -> Row:
    """Compare theory and simulation.

    They agree if they differ by no more than the tolerance, or by no more than three standard errors.

    Parameters
    ----------
    target, what, theory, simulation, note, source
        As in :class:`Row`.
    relative, absolute
        Tolerance, as a share of the theory's value or in its unit. At most one may be given; without either, the
        two must be equal.
    standard_error
        Of the simulated value.

    Raises
    ------
    ValueError
        If both tolerances are given, or an exact comparison has a standard error.
    """
    if relative is not None and absolute is not None:
        raise ValueError("a comparison has a relative or an absolute tolerance; both were given")
    exact = relative is None and absolute is None
    if exact and standard_error:
        raise ValueError(f"standard_error is {standard_error:g}; an exact comparison has none")
    allowed = abs(relative * theory) if relative is not None else absolute or 0.0
    stated = "exact" if exact else f"{100 * relative:g} %" if relative is not None else f"±{absolute:g}"
    margin = CONFIDENCE_95 * standard_error
    return Row(
        target=target,
        what=what,
        theory=theory,
        simulation=simulation,
        low=simulation - margin,
        high=simulation + margin,
        tolerance=stated + (f" or {STANDARD_ERRORS:g} s.e." if standard_error else ""),
        passed=bool(abs(simulation - theory) <= max(allowed, STANDARD_ERRORS * standard_error)),
        note=note,
        source=source,
    )


def all_targets() -> dict[str, Target]:
    """Every target by name, ordered by number."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(TARGETS.items(), key=lambda item: _in_order(item[0])))


def _in_order(name: str) -> tuple[str | int, ...]:
    """Sort V7b between V7 and V13."""
    letters, number, rest = re.fullmatch(r"(\D*)(\d*)(.*)", name).groups()  # type: ignore[union-attr]
    return letters, int(number or 0), rest


def run_validation(names: Iterable[str] | None = None, quick: bool = False) -> list[Row]:
    """Run targets and return their comparisons.

    Parameters
    ----------
    names
        Names of targets, in the order in which they should run; all by default.
    quick
        Take seconds rather than minutes: shorter runs with wider confidence intervals.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    known = all_targets()
    chosen = list(known if names is None else names)
    for name in chosen:
        if name not in known:
            folded = {other.lower(): other for other in known}
            near = folded[difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.0)[0]]
            raise ValueError(
                f"there is no validation target {name!r} (did you mean {near!r}?); there are {', '.join(known)}"
            )
    return [row for name in chosen for row in known[name](quick)]


def bare_scenario(settings: Mapping[str, Any]) -> Scenario:
    """Scenario in which only what is asked for happens.

    There are no agents and no users, the price stands still, nobody is far from anybody, wallets add no tip, and
    bytes do not bind. There is no warm-up: a target discards its own.

    Parameters
    ----------
    settings
        Nested settings, laid over those of :data:`BARE`.
    """
    data = {"warm_up_s": 0.0, **BARE, **settings}
    tables = {name: {**BARE[name], **settings[name]} for name in BARE.keys() & settings.keys()}
    return scenario_from(data | tables)


def mean_with_error(values: npt.ArrayLike, batches: int = BATCHES) -> tuple[float, float]:
    """Mean of a stationary series and its standard error, by batch means (Law and Carson, 1979).

    Values at the end that do not fill a batch count for the mean alone.
    """
    series = np.asarray(values, dtype=float)
    length = len(series) // batches
    if length < 1:
        raise ValueError(f"the series has {len(series)} values; it must have at least {batches}, one per batch")
    means = series[: length * batches].reshape(batches, length).mean(axis=1)
    return float(series.mean()), float(means.std(ddof=1) / math.sqrt(batches))


def ratio_with_error(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> tuple[float, float]:
    """Ratio of the sums of two stationary series and its standard error, by the delta method on batches."""
    above, below = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    ratio = float(above.sum() / below.sum())
    _, error = mean_with_error(above - ratio * below)
    return ratio, error / float(below.mean())
