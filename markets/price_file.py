"""Prices from a file that the user supplies."""

import difflib
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.markets.price_sources import DAY_SECONDS, ROW_ONE, check_table, local_variance

SUFFIXES = (".csv", ".parquet")


def read_price_file(
    path: str | Path, time_column: str, price_column: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], str]:
    """Read times and prices, and refuse what cannot be used with one sentence that says where it is.

    Parameters
    ----------
    path
        A ``.csv`` file with a header, or a ``.parquet`` file.
    time_column
        Column of times: numbers of seconds, or ISO 8601 timestamps (those without a zone are in UTC).
    price_column
        Column of prices, in dollars.

    Returns
    -------
    times_s
        Times in seconds from the first row.
    prices
        Prices in dollars.
    note
        What to tell the user when blocks are faster than the bars of the file.
    """
    table = _read_table(Path(path))
    for setting, column in (("time_column", time_column), ("price_column", price_column)):
        if column not in table.columns:
            names = [str(name) for name in table.columns]
            nearest = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
            hint = f" (the nearest is {nearest[0]!r})" if nearest else ""
            raise ValueError(f"{setting} is {column!r}, but {path} has the columns {', '.join(names)}{hint}.")
    times_s = _seconds(table[time_column], path, time_column)
    numbers = pd.to_numeric(table[price_column], errors="coerce")
    setting = f"price_column {price_column!r}"
    prices = _complete(table[price_column], numbers, path, setting, "a number above 0")
    check_table(times_s, prices, str(path))
    steps_s = np.diff(times_s)
    daily = math.sqrt(np.average(local_variance(times_s, prices), weights=steps_s) * DAY_SECONDS)
    note = (
        f"{path} has a price every {np.median(steps_s):.10g} s; between them the path is filled in at random "
        f"with the file's own volatility, {daily:.1%} per square-root day on average."
    )
    return times_s, prices, note


def _read_table(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"price_file is {path}, but must end in {' or '.join(SUFFIXES)}.")
    if not path.is_file():
        raise ValueError(f"price_file is {path}, but there is no such file.")
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, index_col=False, low_memory=False)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(f"price_file is {path}, but cannot be read as {suffix[1:]}: {reason}.") from error


def _seconds(column: "pd.Series[Any]", path: str | Path, name: str) -> npt.NDArray[np.float64]:
    """Seconds from the first row."""
    numbers = pd.to_numeric(column, errors="coerce")
    if pd.api.types.is_datetime64_any_dtype(column) or numbers.iloc[:1].isna().any():
        stamps = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        seconds = (stamps - stamps.iloc[:1].min()).dt.total_seconds()
    else:
        seconds = numbers - numbers.iloc[:1].min()
    setting = f"time_column {name!r}"
    return _complete(column, seconds, path, setting, "a number of seconds or an ISO 8601 timestamp")


def _complete(
    column: "pd.Series[Any]", numbers: "pd.Series[Any]", path: str | Path, setting: str, wanted: str
) -> npt.NDArray[np.float64]:
    """Return ``numbers`` as an array, or refuse the first row of ``column`` that gave none."""
    bad = numbers.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        value = "empty" if pd.isna(column.iloc[row]) else repr(str(column.iloc[row]))
        raise ValueError(f"{path}, row {row + 1} ({ROW_ONE}): {setting} is {value}, but must be {wanted}.")
    return numbers.to_numpy(np.float64)
