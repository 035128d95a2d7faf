"""Global sensitivity: which of several settings moves the market most, over the whole of their ranges.

``"sobol"`` splits the variance of a measure among the settings: the first-order index is the share that a setting takes
by itself, the total index the share that it has a part in, interactions included (Sobol', 2001; Saltelli et al., 2010).
``"morris"`` needs far fewer runs and ranks the settings by the mean absolute effect of steps of one at a time, with the
standard deviation of the effects, which interactions and bends make large (Morris, 1991; Campolongo et al., 2007). Both
are computed by SALib (Herman & Usher, 2017).

All points share their seeds, and a measure is its mean over them. What is left of the seeds' noise counts as
interaction: it raises total indices above first-order ones.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from blockspace.experiments.errors import UserError
from blockspace.experiments.reports.figures import COLUMNS, PANEL_INCHES, STYLE, tick_label
from blockspace.experiments.reports.overview import Measure, main_measures
from blockspace.experiments.reports.presentation import Presentation
from blockspace.experiments.reports.tables import format_number
from blockspace.experiments.results import Results
from blockspace.experiments.scenario import Scenario
from blockspace.experiments.sweeps.points import Range, Sweep, points_at
from blockspace.network.settings import did_you_mean

Method = Literal["sobol", "morris"]

INDICES: Mapping[str, Mapping[str, str]] = {
    "sobol": {"S1": "first order", "ST": "total"},
    "morris": {"mu_star": "mean absolute effect", "sigma": "standard deviation of effects"},
}
"""What each method says of a setting: SALib's name, and what it is called."""

LEVELS = 4  # of Morris's grid
SHARES_SHOWN = (-0.05, 1.2)  # of few points, indices and their intervals can lie outside 0 to 1
SAMPLE_SEED = 1


def sensitivity_sweep(
    scenario: Scenario, ranges: Mapping[str, Range], count: int, method: Method, seeds: tuple[int, ...]
) -> Sweep:
    """Sweep whose points a sensitivity analysis needs.

    Parameters
    ----------
    scenario
        Base scenario.
    ranges
        By the dotted path of the setting.
    count
        With ``"sobol"`` a power of two: ``count * (settings + 2)`` points. With ``"morris"`` the number of
        trajectories: ``count * (settings + 1)`` points.
    method
        ``"sobol"`` or ``"morris"``.
    seeds
        That all points share.

    Raises
    ------
    ValueError
        If there are fewer than two settings, too few points, or no such method.
    """
    if method not in get_args(Method):
        raise UserError(f"method is {method!r}{did_you_mean(method, get_args(Method))}; it may be 'sobol' or 'morris'")
    if len(ranges) < 2:
        raise UserError(f"there are {len(ranges)} settings to vary; a sensitivity analysis compares at least 2")
    if count < 2 or (method == "sobol" and count & (count - 1)):
        wanted = "a power of two, at least 2" if method == "sobol" else "at least 2"
        raise UserError(f"points is {count}; with {method} it must be {wanted}")
    points = points_at(ranges, _shares(len(ranges), count, method))
    return Sweep(scenario, points, seeds, reference=points[0].name)


def describe(ranges: Mapping[str, Range], count: int, method: Method) -> dict[str, Any]:
    """What ``study.json`` says of a sensitivity analysis, so that it can be told from the folder alone."""
    settings = ", ".join(ranges)
    return {
        "kind": "sensitivity",
        "name": "sensitivity",
        "question": f"Which of {settings} moves the market most?",
        "method": method,
        "count": count,
        "ranges": {path: {"low": reach.low, "high": reach.high, "log": reach.log} for path, reach in ranges.items()},
    }


def _problem(settings: int) -> dict[str, Any]:
    return {"num_vars": settings, "names": [str(number) for number in range(settings)], "bounds": [[0, 1]] * settings}


def _shares(settings: int, count: int, method: Method) -> npt.NDArray[np.float64]:
    """Points of the method's sample, as shares of the way through each range."""
    from SALib.sample import morris, sobol

    if method == "morris":
        return np.asarray(morris.sample(_problem(settings), count, num_levels=LEVELS, seed=SAMPLE_SEED))
    return np.asarray(sobol.sample(_problem(settings), count, calc_second_order=False, seed=SAMPLE_SEED))


def indices(results: Results, measure: str) -> pd.DataFrame | None:
    """Sensitivity of a measure to each setting.

    Returns
    -------
    pandas.DataFrame or None
        Indexed by setting: each index of the method and half of its 95 % interval, ``NAME_half_width``. None if the
        measure could not be taken at some point, or is the same at all.
    """
    from SALib.analyze import morris, sobol

    about = results.study
    ranges = {path: Range(**ends) for path, ends in about["ranges"].items()}
    values = results.curve(measure)["mean"].reindex(results.points).to_numpy(float)
    if np.isnan(values).any() or np.ptp(values) == 0:
        return None
    problem = _problem(len(ranges))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what SALib's own dependencies deprecate
        if about["method"] == "morris":
            rows = [point["values"] for point in about["points"]]
            shares = np.array([[reach.share_of(row[path]) for path, reach in ranges.items()] for row in rows])
            found = morris.analyze(problem, shares, values, num_levels=LEVELS, seed=SAMPLE_SEED)
            halves = {"mu_star": found["mu_star_conf"], "sigma": np.full(len(ranges), np.nan)}
        else:
            found = sobol.analyze(problem, values, calc_second_order=False, seed=SAMPLE_SEED)
            halves = {name: found[f"{name}_conf"] for name in INDICES["sobol"]}
    frame = pd.DataFrame({name: np.asarray(found[name], float) for name in halves}, index=list(ranges))
    for name, half in halves.items():
        frame[f"{name}_half_width"] = np.asarray(half, float)
    frame.index.name = "setting"
    return frame


def present_sensitivity(results: Results) -> Presentation:
    """Indices of every main measure as a table and a figure, and what moves each most."""
    method = results.study["method"]
    measures = main_measures(results)
    found = {measure: indices(results, measure.name) for measure in measures}
    known = {measure: frame for measure, frame in found.items() if frame is not None}
    settings = list(results.study["ranges"])
    rows: list[list[str]] = []
    emphasised: list[int] = []
    for setting in settings:
        for name, title in INDICES[method].items():
            if name != next(iter(INDICES[method])):
                emphasised.append(len(rows))
            cells = [_with_half_width(frame, setting, name) for frame in known.values()]
            rows.append([f"{setting}, {title}", *cells])
    findings = [_finding(measure, frame, method) for measure, frame in known.items()]
    absent = [measure.title.lower() for measure in measures if measure not in known]
    if absent:
        findings.append(
            f"Left out, since they could not be measured at every point or are the same at all: {', '.join(absent)}."
        )
    what = "Shares of the variance" if method == "sobol" else "In the unit of the measure, for a step across the range"
    note = f"{what}, ± half of their 95 % bootstrap intervals."
    data = (
        {
            "sensitivity": pd.concat(
                [frame.assign(measure=measure.name).reset_index() for measure, frame in known.items()],
                ignore_index=True,
            )
        }
        if known
        else {}
    )
    figures = {"sensitivity": _draw(results, known)} if known else {}
    headings = ["setting", *(measure.heading for measure in known)]
    return Presentation(results.study["question"], headings, rows, emphasised, note, figures, findings, data)


def _with_half_width(frame: pd.DataFrame, setting: str, name: str) -> str:
    half = float(frame.loc[setting, f"{name}_half_width"])
    text = format_number(float(frame.loc[setting, name]))
    return text if np.isnan(half) else f"{text} ±{format_number(float(f'{half:.1g}'))}"


def _finding(measure: Measure, frame: pd.DataFrame, method: str) -> str:
    name = "ST" if method == "sobol" else "mu_star"
    order = frame[name].sort_values(ascending=False)
    first, second = order.index[0], order.index[1]
    half = frame[f"{name}_half_width"]
    clear = order[first] - half[first] > order[second] + half[second]
    led = "is moved most by" if clear else "may be moved most by"
    if method == "sobol":
        evidence = (
            f"{100 * order[first]:.0f} ±{100 * half[first]:.0f} % of its variance has a part of it, "
            f"{100 * frame.loc[first, 'S1']:.0f} % it alone"
        )
    else:
        evidence = f"its steps change it by {format_number(order[first])} ±{format_number(half[first])} {measure.unit}"
    rest = ", ".join(f"{setting} {format_number(order[setting])}" for setting in order.index[1:])
    return f"{measure.title} {led} {first}: {evidence} (then {rest})."


def _draw(results: Results, known: Mapping[Measure, pd.DataFrame]) -> Figure:
    """Bars of the method's indices by setting, a panel for each measure."""
    method = results.study["method"]
    settings = list(results.study["ranges"])
    rows = -(-len(known) // COLUMNS)
    with matplotlib.style.context(STYLE):
        size = (COLUMNS * PANEL_INCHES[0], rows * (0.9 + 0.42 * len(settings)) + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat)
        thick = 0.8 / len(INDICES[method])
        for axis, (measure, frame) in zip(axes, known.items(), strict=False):
            for number, (name, title) in enumerate(INDICES[method].items()):
                places = np.arange(len(settings)) + thick * (number + 0.5) - 0.4
                halves = np.nan_to_num(frame[f"{name}_half_width"].to_numpy())
                axis.barh(places, frame[name], thick, xerr=halves, color=f"C{number}", label=title, ecolor="0.3")
            axis.set_title(measure.title)
            axis.set_yticks(range(len(settings)), settings)
            axis.set_xlabel("share of the variance" if method == "sobol" else measure.unit)
            if method == "sobol":
                axis.set_xlim(*SHARES_SHOWN)
            axis.xaxis.set_major_formatter(FuncFormatter(tick_label))
        axes[0].invert_yaxis()
        for axis in axes[len(known) :]:
            axis.set_visible(False)
        axes[0].legend(loc="best")
        figure.suptitle(results.study["question"])
    return figure
