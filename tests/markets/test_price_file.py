import re

import numpy as np
import pandas as pd
import pytest

from blockspace.markets.price_file import read_price_file
from blockspace.markets.price_path import PricePath
from blockspace.markets.price_sources import PriceTable

ROW_ONE = "(the first row of data is row 1)"


def write(folder, text, name="prices.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "stamps",
    [
        ["0", "300", "600.5"],
        ["1583971200", "1583971500", "1583971800.5"],
        ["2020-03-12T00:00:00Z", "2020-03-12T00:05:00Z", "2020-03-12T00:10:00.5Z"],
        ["2020-03-12 00:00:00", "2020-03-12 00:05:00", "2020-03-12 00:10:00.500"],
        ["2020-03-12T01:00:00+01:00", "2020-03-12T00:05:00+00:00", "2020-03-12T00:10:00.5+00:00"],
    ],
)
def test_times_are_seconds_or_timestamps(tmp_path, stamps):
    rows = "".join(f"{stamp},{price}\n" for stamp, price in zip(stamps, ("195.21", "193", "194.5"), strict=True))
    times_s, prices, _ = read_price_file(write(tmp_path, "when,usd\n" + rows), "when", "usd")
    assert times_s == pytest.approx([0.0, 300.0, 600.5], abs=1e-6)
    assert prices.tolist() == [195.21, 193.0, 194.5]


@pytest.mark.parametrize("times", [pd.date_range("2020-03-12", periods=3, freq="60s", tz="UTC"), [0, 60, 120]])
def test_parquet(tmp_path, times):
    path = tmp_path / "prices.parquet"
    pd.DataFrame({"when": times, "usd": [3, 1, 2]}).to_parquet(path)
    times_s, prices, _ = read_price_file(path, "when", "usd")
    assert times_s.tolist() == [0.0, 60.0, 120.0]
    assert prices.tolist() == [3.0, 1.0, 2.0]


def test_the_note_says_how_coarse_and_how_volatile(tmp_path):
    steps = np.random.default_rng(0).normal(size=2_000) * 0.05 * np.sqrt(300 / 86_400)
    path = tmp_path / "ether.parquet"
    prices = 2_000.0 * np.exp(np.cumsum(steps))
    pd.DataFrame({"when": np.arange(2_000) * 300, "usd": prices}).to_parquet(path)
    times_s, prices, note = read_price_file(path, "when", "usd")
    start, volatility = note.split("own volatility, ")
    assert start == (f"{path} has a price every 300 s; between them the path is filled in at random with the file's ")
    assert float(volatility.split("%")[0]) == pytest.approx(5.0, abs=0.5)
    table = PriceTable(times_s, prices, seed=1, name=str(path))
    assert PricePath(table, 1, seed=1).prices(times_s[:50]) == pytest.approx(prices[:50], rel=1e-13)


GOOD = ["0,10", "60,11", "120,10", "180,12"]


def rows(**changed):
    """The good rows, with some replaced: ``row_2="…"``."""
    lines = [changed.get(f"row_{number}", line) for number, line in enumerate(GOOD, start=1)]
    return "\n".join(["when,usd", *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            rows(row_3="120,ten"),
            "{path}, row 3 {row_one}: price_column 'usd' is 'ten', but must be a number above 0.",
        ),
        (
            rows(row_2="60,"),
            "{path}, row 2 {row_one}: price_column 'usd' is empty, but must be a number above 0.",
        ),
        (
            rows(row_2="60,nan"),
            "{path}, row 2 {row_one}: price_column 'usd' is empty, but must be a number above 0.",
        ),
        (rows(row_4="180,0"), "{path}, row 4 {row_one}: the price is 0, but must be a number above 0."),
        (rows(row_1="0,-3.5"), "{path}, row 1 {row_one}: the price is -3.5, but must be a number above 0."),
        (rows(row_1="0,inf"), "{path}, row 1 {row_one}: the price is inf, but must be a number above 0."),
        (
            rows(row_3="soon,10"),
            "{path}, row 3 {row_one}: time_column 'when' is 'soon', "
            "but must be a number of seconds or an ISO 8601 timestamp.",
        ),
        (
            rows(row_1="12 March,10"),
            "{path}, row 1 {row_one}: time_column 'when' is '12 March', "
            "but must be a number of seconds or an ISO 8601 timestamp.",
        ),
        (
            rows(row_3="60,10"),
            "{path}, row 3 {row_one}: the time 60 s is the same as in the row before, but times must rise.",
        ),
        (
            rows(row_4="90,10"),
            "{path}, row 4 {row_one}: the time 90 s comes after 120 s, but times must rise.",
        ),
        (
            rows(row_4="421,10"),
            "{path}, row 4 {row_one}: there is a gap from 120 s to 421 s, "
            "but a step may be at most 300 s, 5 times the median.",
        ),
        ("when,usd\n0,10\n", "{path} has too few prices, 1, but must have two or more."),
        ("when,usd\n", "{path} has too few prices, 0, but must have two or more."),
        ("", "price_file is {path}, but cannot be read as csv: No columns to parse from file."),
        ("time,usd_close\n0,1\n", "time_column is 'when', but {path} has the columns time, usd_close."),
        (
            "when,usd_\n0,1\n",
            "price_column is 'usd', but {path} has the columns when, usd_ (the nearest is 'usd_').",
        ),
    ],
)
def test_a_bad_file_gets_its_sentence(tmp_path, text, sentence):
    path = write(tmp_path, text)
    expected = re.escape(sentence.format(path=path, row_one=ROW_ONE))
    with pytest.raises(ValueError, match=f"^{expected}$"):
        read_price_file(path, "when", "usd")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("prices.parquet", b"PAR1 but not really", "but cannot be read as parquet: "),
        ("prices.csv", b"\xff\xfe\x00\x81\xff", "but cannot be read as csv: "),
        ("prices.csv", b'when,usd\n0,1\n60,2,3,4\n"', "but cannot be read as csv: "),
        ("prices.xlsx", b"", "but must end in .csv or .parquet."),
        ("nowhere.csv", None, "but there is no such file."),
    ],
)
def test_an_unreadable_file_gets_its_sentence(tmp_path, name, content, reason):
    path = tmp_path / name if content is None else write(tmp_path, content, name)
    start = re.escape(f"price_file is {path}, {reason}")
    with pytest.raises(ValueError, match=rf"^{start}.*\Z") as refusal:
        read_price_file(path, "when", "usd")
    assert str(refusal.value).endswith(".")
