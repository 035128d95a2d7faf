"""Options in a whole market: names, frames, idle blocks, checkpoints, agents in Python, and what is refused."""

import random

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from blockspace.agents.combinations import calendar, reversed_legs, straddle, vertical
from blockspace.agents.trader import Trader
from blockspace.experiments import Market
from blockspace.experiments.checkpoint import restore_checkpoint, save_checkpoint
from blockspace.experiments.command_line import app
from blockspace.experiments.reports.tables import summary_groups
from blockspace.experiments.scenario import ScenarioError, scenario_from

HOUR = 1 / 24


def scenario(options=None, **tables):
    return scenario_from(
        {
            "duration_s": 8_000,
            "warm_up_s": 0,
            "chain": {"block_time_s": 10.0, "gas_limit": 30_000_000},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 0.05},
            "noise_traders": {"count": 3, "orders_per_s": 0.05},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [HOUR, 7.0], "strikes_per_expiry": 3, **(options or {})},
            **tables,
        }
    )


class Dealer(Trader):
    """Quotes every series around its mark, and now and then buys or sells a straddle of those that others quote."""

    def __init__(self, model):
        super().__init__(model)
        self.dice = random.Random(self.account)
        self.answers = []

    def act(self):
        option = self.dice.choice(self.options())
        for slot, side in enumerate(("buy", "sell")):
            self.cancel(slot, option.instrument)
            price = option.mark_usd * (0.97 if side == "buy" else 1.03)
            self.submit(side, max(price, 0.1), 1.0, style="limit", slot=slot, instrument=option.instrument)
        if self.dice.random() < 0.5:
            pair = [one for one in self.options() if (one.expiry_s, one.strike_usd) == option[4:2:-1]]
            legs = straddle(*pair)
            worth = sum(one.mark_usd for one in pair)
            if self.dice.random() < 0.5:
                legs, worth = reversed_legs(legs), -worth
            self.answers.append(self.combination(legs, worth + 0.1 * abs(worth), 0.5))


@pytest.fixture(scope="module")
def traded():
    market = Market(scenario(), seed=3)
    for _ in range(3):
        Dealer(market)
    market.run_for(4_000)
    return market


def test_series_and_trades_have_names(traded):
    series, trades = traded.series(), traded.trades()
    assert series["number"].tolist() == list(range(18))
    assert series.loc[6, "name"] == f"ETH-7D-{series.loc[6, 'strike_usd']:g}-C"
    assert series.loc[12, "name"] == f"ETH-1H-{series.loc[12, 'strike_usd']:g}-C"
    assert series["settled_s"].notna().tolist() == [True] * 6 + [False] * 12
    names = series.set_index("number")["name"]
    of_options = trades[trades["series"] >= 0]
    assert (of_options["instrument"] == of_options["series"].map(names)).all()
    assert (trades.loc[trades["series"] < 0, "instrument"] == "ETH-PERP").all()
    listed = series.set_index("number").loc[of_options["series"]]
    assert (of_options["time_s"].to_numpy() < listed["expiry_s"].to_numpy()).all()
    assert (of_options["time_s"].to_numpy() >= listed["listed_s"].to_numpy()).all()
    traded.check()


def test_open_interest_is_what_was_settled(traded):
    ledger, series = traded.ledger(), traded.series()
    live = series[series["settled_s"].isna()].set_index("name")["open_interest"]
    for name in live.index:
        lots = ledger[f"{name}_lots"]
        assert lots.sum() == 0
        assert lots.clip(lower=0).sum() * 0.01 == pytest.approx(live[name])
    assert (series.loc[:5, "open_interest"] > 0).any()


def test_combinations_of_agents(traded):
    combined = traded.transactions().query("kind == 'combination'")
    assert combined["status"].value_counts()["succeeded"] > 20
    assert set(combined["gas_used"]) == {120_000 + 2 * 60_000}
    assert {"accepted"} == set(traded.world.own_agents[0].answers)


def test_books_are_recorded_now_and_then(traded):
    looks = traded.options()
    assert np.diff(np.unique(looks["time_s"]))[1:] == pytest.approx(60.0)
    assert looks.groupby("time_s").size().eq(12).all()
    both = looks.dropna(subset=["best_bid_usd", "best_ask_usd"])
    assert len(both) > 0.3 * len(looks)
    assert (both["ask_volatility"] > both["bid_volatility"]).sum() > 0.8 * len(both)
    assert not any(name.startswith("ETH-1H") for name in traded.blocks().columns), "blocks have no columns of options"


def test_summary_stays_short(traded):
    summary = traded.summary()
    measures = {name: value for name, value in summary.items() if name.startswith("option_")}
    assert len(measures) == 8
    trades = traded.trades().query("series >= 0")
    assert measures["option_trades_per_h"] * summary["hours"] == pytest.approx(len(trades))
    fees = trades["maker_fee_usd"].sum() + trades["taker_fee_usd"].sum()
    assert measures["option_fees_usd_per_h"] * summary["hours"] == pytest.approx(fees)
    assert 3.0 < measures["option_spread_percent_of_mark"] < 12.0
    assert 0.3 < measures["option_two_sided_share"] < 1.0
    assert measures["option_spread_volatility_points"] > 0.0
    venue = traded.ledger().query("role == 'venue fees'")["cash_usd"].item()
    assert summary["rent_venue_usd_per_h"] * summary["hours"] == pytest.approx(venue)
    groups = dict(summary_groups(traded.world.scenario))
    assert all(measure in summary for _, measure, _ in groups["Options"])


def test_checkpoint_across_an_expiry(tmp_path, traded):
    """Saved within the settlement window and continued, the run is the one that never stopped."""
    first = Market(scenario(), seed=3)
    for _ in range(3):
        Dealer(first)
    first.run_for(3_300)
    save_checkpoint(first, tmp_path / "saved")
    second = Market(scenario(), seed=3)
    for _ in range(3):
        Dealer(second)
    restore_checkpoint(second, tmp_path / "saved")
    second.run_until(4_000)
    assert second.fingerprint() == traded.fingerprint()
    for frame in ("trades", "series", "options", "ledger", "transactions"):
        pd.testing.assert_frame_equal(getattr(second, frame)(), getattr(traded, frame)())


def test_idle_blocks_do_not_pass_an_expiry():
    """Without anybody who trades there is a block at each expiry, and it settles at the mean over the window."""
    tables = {
        "chain": {"block_time_s": 0.1, "gas_limit": 1_000_000},
        "background_users": {"arrivals_per_s": 0.0},
        "noise_traders": {"count": 0},
        "market_makers": {"count": 0},
        "arbitrageurs": {"count": 0},
        "venue": {"funding_interval_s": 1e6},
    }
    market = Market(scenario(**tables), seed=3)
    market.run_for(7_500)
    series = market.series()
    assert len(market.blocks()) < 1_000
    assert set(series["settled_s"].dropna()) == {3_600.0, 7_200.0}
    prices = np.round(market.external_prices(3_600.0 - np.arange(900) - 1.0) * 0.01 * 1e6)
    assert series.loc[0, "settlement_price_usd"] == pytest.approx(prices.mean() / 1e4, abs=1e-4)


def test_tapes_on_disk_have_the_names(tmp_path):
    options = {"expiries_days": [HOUR], "strikes_per_expiry": 1}
    kept, streamed = Market(scenario(options), seed=4), Market(scenario(options), seed=4, tapes=tmp_path)
    for market in (kept, streamed):
        for _ in range(2):
            Dealer(market)
        market.run_for(3_700)
    streamed.close()
    for name in ("trades", "transactions"):
        found = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(found, getattr(kept, name)(), check_dtype=False)
    assert set(kept.trades()["series"]) >= {-1, 0, 1, 2, 3}


class Curious(Trader):
    """Keeps what it sees, and tries to trade what has expired."""

    def __init__(self, model):
        super().__init__(model, access=model.world.chain.access_points[1])
        self.expired = []
        self.views = []

    def act(self):
        seen = self.options()
        self.views.append((self.time_s, seen[0].series))
        if seen[0].expiry_s <= self.time_s:
            self.expired.append(self.submit("buy", 5.0, 1.0, instrument=seen[0].instrument))
            self.expired.append(self.combination([(seen[0].instrument, 1.0)], 5.0, 1.0))


def test_what_has_expired_is_not_traded():
    """The new series is seen after it has been listed; until then an agent knows that the old one is no more."""
    far = {"validators": 1, "regions": ["tokyo", "virginia"], "latency_scale": 10.0}
    market = Market(scenario(topology=far, chain={"block_time_s": 0.5, "gas_limit": 4_000_000}), seed=5)
    curious = Curious(market)
    market.run_for(3_610)
    assert set(curious.expired) == {"expired"}
    first_seen = min(time for time, series in curious.views if series == 12)
    assert first_seen > 3_600.0
    assert max(time for time, series in curious.views if series == 0) < 3_602.0


def test_legs():
    market = Market(scenario(), seed=1)
    trader = Curious(market)
    market.run_for(30)
    call, put, higher = trader.options()[:3]
    later = trader.options()[6]
    assert vertical(call, higher) == [(call.instrument, 1.0), (higher.instrument, -1.0)]
    assert straddle(call, put) == [(call.instrument, 1.0), (put.instrument, 1.0)]
    assert calendar(later, call) == [(later.instrument, 1.0), (call.instrument, -1.0)]
    assert reversed_legs(straddle(call, put)) == [(call.instrument, -1.0), (put.instrument, -1.0)]
    for wrong in (lambda: vertical(call, put), lambda: vertical(call, call), lambda: straddle(put, call)):
        with pytest.raises(ValueError, match="but is of a"):
            wrong()
    with pytest.raises(ValueError, match="later expiry first"):
        calendar(call, later)
    with pytest.raises(ValueError, match="whole number of lots"):
        trader.combination([(call.instrument, 1.0)], 1.0, 0.015)
    with pytest.raises(ValueError, match="1 to 4, each in another one"):
        trader.combination([(call.instrument, 1.0)] * 2, 1.0, 1.0)
    with pytest.raises(ValueError, match="1 to 4"):
        trader.combination([], 1.0, 1.0)


WRONG = {
    "too many": ({"expiries_days": [1, 2, 3, 4, 5, 6, 7]}, {}, "options asks for 70 series beside 1 instruments"),
    "negative": ({"expiries_days": [-1]}, {}, "expiries_days holds -1; each must be 1/24 to 365 days"),
    "short": ({"expiries_days": [0.01]}, {}, "expiries_days holds 0.01; each must be 1/24 to 365 days"),
    "long": ({"expiries_days": [366]}, {}, "expiries_days holds 366; each must be 1/24 to 365 days"),
    "twice": ({"expiries_days": [1, 1]}, {}, "expiries_days is 1, 1; each must be given once"),
    "alike": ({"expiries_days": [1, 1.0000001]}, {}, "expiries_days is 1, 1; each must be given once"),
    "not a number": (
        {"expiries_days": [float("nan")]},
        {},
        "options.expiries_days.0 is nan; it must be a finite number",
    ),
    "no list": ({"expiries_days": 1}, {}, "options.expiries_days is 1; it must be a list"),
    "shorter than a block": (
        {"expiries_days": [1 / 24]},
        {"chain": {"block_time_s": 3_600.0}},
        "options.expiries_days holds 0.0416667, or 3600 seconds; each must be longer than chain.block_time_s, 3600",
    ),
    "even": ({"strikes_per_expiry": 4}, {}, "strikes_per_expiry is 4; it must be an odd number from 1 to 31"),
    "close": ({"strike_spacing": 0.01}, {}, "options.strike_spacing is 0.01, which makes 0.163 dollars"),
    "below nothing": (
        {"strike_spacing": 5, "strikes_per_expiry": 3, "strike_step_usd": 100, "expiries_days": [365]},
        {},
        "so that the lowest strike of 365 days is",
    ),
    "underlying": ({"underlying": "BTC"}, {}, "options.underlying is 'BTC'; it must be the name of an instrument"),
    "lot": ({"lot_size": 1e-6, "tick_usd": 0.1}, {}, "tick_usd times lot_size is 1e-07 dollars; it must be a whole"),
    "step": ({"strike_step_usd": 0.00001}, {}, "strike_step_usd times lot_size is 1e-07 dollars; it must be a whole"),
    "minimum": ({"initial_minimum": 0.2}, {}, "initial_minimum is 0.2; it may be at most initial_share, 0.15"),
    "maintenance": (
        {"maintenance_share": 0.16},
        {},
        "maintenance_share is 0.16; it may be at most initial_share, 0.15",
    ),
    "margin": ({"initial_share": -1}, {}, "options.initial_share is -1; it must be a number, at least 1e-06"),
    "portfolio": ({"portfolio_minimum": 0.06}, {}, "portfolio_minimum is 0.06; it may be at most maintenance_minimum"),
    "window": (
        {"settlement_window_s": 0},
        {},
        "options.settlement_window_s is 0; it must be a whole number, at least 1",
    ),
    "look back": ({}, {"venue": {"oracle_delay_s": 3_000}}, "options.settlement_window_s is 1800; with"),
    "unit": ({"strike_spacing_unit": "dollars"}, {}, "it may be 'deviations' or 'relative'"),
    "tick": ({"tick_usd": 0.001}, {}, "options.tick_usd is 0.001; it must be at least 0.004"),
    "gas": ({}, {"chain": {"gas_limit": 300_000}, "market_makers": {"levels": 1}}, "it must be at least 360000"),
    "unknown": ({"expiry_days": [1]}, {}, "there is no setting 'options.expiry_days' (did you mean"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_in_a_sentence(name):
    options, tables, sentence = WRONG[name]
    with pytest.raises(ScenarioError) as refusal:
        scenario({"strikes_per_expiry": 5, **options}, **tables)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_as_many_as_there_are_places():
    fitting = {"expiries_days": [1, 2, 3], "strikes_per_expiry": 9}
    assert scenario(fitting).options.count == 54
    market = Market(scenario({"expiries_days": [1, 2, 3, 4, 5, 6, 7, 8, 9], "strikes_per_expiry": 3}), seed=1)
    assert market.world.venues[0]["count"] == 55
    Market(scenario({"expiries_days": list(range(1, 8)), "strikes_per_expiry": 3}), seed=1).run_for(30)


def test_from_the_command_line(tmp_path):
    out = tmp_path / "run"
    words = ["run", "base", "--out", str(out), "--set", "duration_s=30", "--set", "warm_up_s=5"]
    words += ["--set", "options.expiries_days=[1, 7]", "--set", "options.strikes_per_expiry=1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(out / "series.parquet")) == 4
    assert len(pd.read_parquet(out / "options.parquet")) == 4
