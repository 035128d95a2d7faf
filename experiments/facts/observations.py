"""What a run left behind, as the series that stylised facts are about."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyarrow.parquet import read_schema

from blockspace.experiments.errors import UserError
from blockspace.experiments.facts.estimators import Floats
from blockspace.experiments.facts.metaorders import impact_of, metaorders_of, orders_of
from blockspace.experiments.results import load_results
from blockspace.experiments.results.run_files import run_file
from blockspace.experiments.scenario import Scenario, change_settings, load_scenario
from blockspace.network.settings import did_you_mean

DAY_S = 86_400.0

QUOTE = "best_bid_usd"
OF_BLOCKS = ("time_s", "block", "base_fee_gwei", QUOTE, "best_ask_usd", "volume_usd")
OF_TRADES = ["time_s", "block", "instrument", "size", "side", "taker"]
"""Columns that are read; those of blocks may carry an instrument's name."""

SHOWN_RUNS = 6

PAUSE_S = 600.0
"""Seconds without an order after which a metaorder is over."""


@dataclass(frozen=True)
class Observations:
    """Series of one instrument, without the warm-up.

    Attributes
    ----------
    instrument
        Its name.
    interval_s
        Seconds between two times of the grid.
    log_mid
        Log mid price at the times of the grid: of the last block at or before each; NaN where a side was empty.
    volume_usd
        Dollars traded in each interval.
    log_base_fee
        Log base fee in gwei at the times of the grid; NaN where it is zero.
    base_fee_changes
        Changes of the log base fee from one block to the next, between blocks of consecutive numbers.
    orders, metaorders
        See :mod:`blockspace.experiments.facts.metaorders`.
    impact
        Signed move of the log mid price over each metaorder.
    """

    instrument: str
    interval_s: float
    log_mid: Floats
    volume_usd: Floats
    log_base_fee: Floats
    base_fee_changes: Floats
    orders: pd.DataFrame
    metaorders: pd.DataFrame
    impact: Floats

    def returns(self, steps: int = 1) -> Floats:
        """Log returns of the mid price over so many intervals, overlapping; NaN where an end is not known."""
        return np.asarray(self.log_mid[steps:] - self.log_mid[:-steps])

    @property
    def days(self) -> float:
        """Days observed."""
        return (len(self.log_mid) - 1) * self.interval_s / DAY_S

    @property
    def daily_volatility(self) -> float:
        """Standard deviation of the log mid price over a day, from returns over one interval; NaN without any."""
        returns = self.returns()
        returns = returns[~np.isnan(returns)]
        return float(returns.std() * math.sqrt(DAY_S / self.interval_s)) if len(returns) else math.nan

    @property
    def metaorder_sizes(self) -> Floats:
        """Sizes of the metaorders as shares of the mean daily volume."""
        return np.asarray(self.metaorders["size"].to_numpy() * self.days / self.orders["size"].sum())


def observe(
    blocks: pd.DataFrame,
    trades: pd.DataFrame,
    interval_s: float = 60.0,
    warm_up_s: float = 0.0,
    instrument: str | None = None,
    pause_s: float = PAUSE_S,
) -> Observations:
    """Read the series off the blocks and trades of a run.

    Parameters
    ----------
    blocks, trades
        As :meth:`blockspace.experiments.Market.blocks` and ``trades`` give them.
    interval_s
        Seconds between two observations of the mid price.
    warm_up_s
        Seconds at the start to leave out.
    instrument
        Name of the instrument; by default the first.
    pause_s
        Seconds without an order of a taker after which its metaorder is over.

    Raises
    ------
    ValueError
        If there is no such instrument, or nothing to observe after the warm-up.
    """
    if not interval_s > 0.0:
        raise UserError(f"the interval is {interval_s:g} s; it must be above 0")
    several = [name.removesuffix(f".{QUOTE}") for name in blocks.columns if name.endswith(f".{QUOTE}")]
    names = several or list(trades["instrument"].unique())
    if instrument is not None and instrument not in names:
        raise UserError(f"there is no instrument {instrument!r}; there are {', '.join(names) or 'none'}")
    name = instrument or (names[0] if names else "")
    prefix = f"{name}." if several else ""
    time = blocks["time_s"].to_numpy()
    grid = np.arange(math.ceil(warm_up_s / interval_s), math.floor(time[-1] / interval_s) + 1 if len(time) else 0)
    grid = grid[grid * interval_s >= time[0]] * interval_s if len(time) else grid
    if len(grid) < 3:
        raise UserError(
            f"the run has {len(grid)} times of observation after its warm-up of {warm_up_s:g} s, {interval_s:g} s "
            "apart; it must have at least 3"
        )
    last = np.searchsorted(time, grid, side="right") - 1
    mid = 0.5 * (blocks[f"{prefix}{QUOTE}"].to_numpy() + blocks[f"{prefix}best_ask_usd"].to_numpy())
    log_mid = np.log(mid)
    traded = np.cumsum(blocks[f"{prefix}volume_usd"].to_numpy())
    base_fee = blocks["base_fee_gwei"].to_numpy()
    log_base_fee = np.log(np.where(base_fee > 0.0, base_fee, np.nan))
    number = blocks["block"].to_numpy()
    kept = time >= warm_up_s
    trades = trades[trades["time_s"] >= warm_up_s]
    orders = orders_of(trades[trades["instrument"] == name])
    metaorders = metaorders_of(orders, pause_s)
    return Observations(
        instrument=name,
        interval_s=interval_s,
        log_mid=log_mid[last],
        volume_usd=np.diff(traded[last]),
        log_base_fee=log_base_fee[last],
        base_fee_changes=_changes(log_base_fee[kept], number[kept]),
        orders=orders,
        metaorders=metaorders,
        impact=impact_of(metaorders, number, log_mid),
    )


def _changes(log_base_fee: Floats, number: npt.NDArray[np.int64]) -> Floats:
    changes = np.diff(log_base_fee)[np.diff(number) == 1]
    return np.asarray(changes[~np.isnan(changes)])


def load_run(folder: str | Path, run: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame, Scenario]:
    """Load what facts need of blocks and trades, and the scenario, from a results folder.

    Parameters
    ----------
    folder
        Folder left by ``blockspace run --out``, or by a study or a sweep with ``--keep tapes``.
    run
        Which run of a study or a sweep: the name of its files, such as ``gas_limit=15000000-seed1``.

    Raises
    ------
    ValueError
        If the folder does not hold them, or it is not said which run is meant.
    """
    folder = Path(folder)
    if (folder / "study.json").is_file():
        blocks_file, trades_file, scenario = _run_of_sweep(folder, run)
    else:
        needed = ("scenario.toml", "blocks.parquet", "trades.parquet")
        missing = [name for name in needed if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{folder} holds no tapes of a run with trades: {' and '.join(missing)} cannot be found; "
                "`blockspace run PRESET --out DIR` makes a folder that does"
            )
        blocks_file, trades_file = folder / "blocks.parquet", folder / "trades.parquet"
        scenario = load_scenario(folder / "scenario.toml")
    columns = [name for name in read_schema(blocks_file).names if name.endswith(OF_BLOCKS)]
    return pd.read_parquet(blocks_file, columns=columns), pd.read_parquet(trades_file, columns=OF_TRADES), scenario


def _run_of_sweep(folder: Path, run: str | None) -> tuple[Path, Path, Scenario]:
    """Files of blocks and trades of one run of a sweep, and its scenario."""
    results = load_results(folder)
    names = {Path(row.file).stem: row.point for row in results.runs.itertuples() if row.error is None}
    kept = [name for name in names if run_file(folder, name, "trades").is_file()]
    if not kept:
        raise UserError(f"{folder} holds no tapes of its runs; --keep tapes keeps them")
    if run not in kept:
        told = "it is not said which run" if run is None else f"there is no run {run!r}{did_you_mean(run, kept)}"
        raise UserError(f"{told}; --run may be {', '.join(kept[:SHOWN_RUNS])}{', …' if len(kept) > SHOWN_RUNS else ''}")
    overrides = next(point["overrides"] for point in results.study["points"] if point["name"] == names[run])
    scenario = change_settings(results.scenario, overrides)
    return run_file(folder, run, "blocks"), run_file(folder, run, "trades"), scenario
