"""Makers and traders of options in a whole market: what gas and demand do to quotes, and what is refused."""

import numpy as np
import pytest

from blockspace.experiments import Market
from blockspace.experiments.reports.tables import summary_groups
from blockspace.experiments.scenario import ScenarioError, scenario_from

SEEDS = range(3)
GWEI = 10**9


def market_at(fee_wei, seed, seconds=6_000, vaults=None, makers=None, **traders):
    market = Market(
        scenario_from(
            {
                "duration_s": seconds,
                "warm_up_s": 1_200,
                "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000},
                "fee_market": {"rule": "fixed", "base_fee_wei": fee_wei},
                "topology": {"validators": 1},
                "background_users": {"arrivals_per_s": 0.1},
                "noise_traders": {"count": 10, "orders_per_s": 0.1},
                "informed_traders": {"count": 0},
                "arbitrageurs": {"count": 2},
                "options": {"expiries_days": [1 / 24, 1.0], "strikes_per_expiry": 5},
                "option_makers": {"count": 3, **(makers or {})},
                "option_traders": {"count": 20, "orders_per_s": 0.1, **traders},
                "option_vaults": vaults or {},
            }
        ),
        seed=seed,
    )
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def cheap():
    return [market_at(GWEI // 100, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def dear():
    return [market_at(5 * GWEI, seed) for seed in SEEDS]


def mean_of(markets, measure):
    return np.mean([market.summary()[measure] for market in markets])


def test_cheaper_gas_means_more_quotes_and_tighter_ones(cheap, dear):
    for measure in ("option_two_sided_share", "option_maker_quoted_share", "option_trades_per_h"):
        assert mean_of(cheap, measure) > 1.05 * mean_of(dear, measure), measure
    for measure in ("option_maker_half_spread_points", "option_maker_half_spread_percent"):
        assert mean_of(cheap, measure) < 0.6 * mean_of(dear, measure), measure
    sent = [sum(market.world.option_makers["quotes_sent"].sum() for market in markets) for markets in (cheap, dear)]
    assert sent[0] > 10 * sent[1]
    assert any((market.world.option_makers["series"]["return_at"] > 0).any() for market in dear)


def test_makers_know_volatility_from_prices_alone(cheap):
    for market in cheap:
        true = market.world.scenario.price.volatility_per_day * np.sqrt(365.0)
        own = np.sqrt(market.world.option_makers["variance"] * 365 * 86_400)
        assert own == pytest.approx(true, rel=0.15)


def test_what_makers_believe_to_hold_is_what_they_hold(cheap):
    """But for what traded in the last moments, which they have not seen yet."""
    market = cheap[0]
    trades = market.trades()
    late = trades.loc[trades["time_s"] > market.time - 10.0, "size"].sum() / 0.001
    accounts = market.world.venues[0]["ledger"]["accounts"]
    for maker in market.world.option_makers:
        held = accounts["position"][maker["account"]]
        believed = maker["series"]["position"][: maker["count"]]
        first = maker["first"]
        assert abs(held[first : first + maker["count"]] - believed).sum() <= late
        assert abs(held[maker["underlying"]] - maker["hedge"]) <= late
    assert market.world.option_makers["hedges_sent"].sum() > 5


def test_hedges_leave_less_delta_than_options_have(cheap):
    makers = np.concatenate([market.world.option_makers for market in cheap])
    lot_size = cheap[0].world.lot_size(0)
    unhedged = np.abs(makers["delta"])
    left = np.abs(makers["delta"] + makers["hedge"] * lot_size)
    assert left.mean() < 0.7 * unhedged.mean()


def test_no_hedges_are_sent_that_nothing_visible_could_fill():
    """Who tolerates a hundredth of a basis point mostly waits; before, it paid for gas at every look, for nothing."""
    strict = {"hedge_tolerance_bps": 0.01}
    market = market_at(GWEI // 10, 4, 4_000, {"count": 2, **strict}, strict)
    makers, vaults, trades = market.world.option_makers, market.world.option_vaults, market.trades()
    assert (np.abs(makers["delta"]) > 1.0).all()
    assert (vaults["position"] != 0).all()
    assert (vaults["hedges_sent"] == 0).all()
    hedged = trades["taker"].isin(makers["account"]) & (trades["instrument"] == "ETH-PERP")
    assert 0 < makers["hedges_sent"].sum() < 5 * hedged.sum()


def test_buyers_raise_the_premium_and_sellers_lower_it():
    """Makers move their quotes against what they hold, and put hedges down to the side that asks for them."""
    heavy = {"size_mean": 10.0, "value_mean": 15.0}
    bought = [market_at(GWEI // 10, seed, 4_000, buyer_share=1.0, **heavy) for seed in SEEDS]
    sold = [market_at(GWEI // 10, seed, 4_000, buyer_share=0.0, **heavy) for seed in SEEDS]
    assert mean_of(bought, "option_maker_premium_points") > mean_of(sold, "option_maker_premium_points") + 0.5
    assert all((market.world.option_makers["load"] < 0.0).all() for market in bought)
    assert all((market.world.option_makers["load"] > 0.0).all() for market in sold)


def test_combinations_trade(cheap):
    combined = cheap[0].transactions().query("kind == 'combination'")
    assert (combined["status"] == "succeeded").sum() > 10
    assert set(cheap[0].ledger()["role"]) >= {"option_maker", "option_trader"}


def test_measures_are_in_the_report(cheap):
    summary = cheap[0].summary()
    groups = dict(summary_groups(cheap[0].world.scenario))
    assert all(np.isfinite(summary[measure]) for _, measure, _ in groups["Makers of options"])
    tape = cheap[0].transactions()
    makers = cheap[0].world.option_makers
    paid = tape[tape["sender"].isin(makers["account"])].eval("gas_used * (base_fee_wei + tip_wei) * 1e-18").sum()
    price = cheap[0].blocks()["external_price_usd"]
    assert makers["total_gas"].sum() == pytest.approx(paid * price.mean(), rel=2 * price.std() / price.mean() + 0.01)


@pytest.fixture(scope="module")
def vaults():
    """Vaults by how they hedge, and such that pay dearly for gas."""
    by_hedge = {
        hedge: market_at(GWEI // 10, 4, 8_000, {"count": 2, "hedge": hedge}) for hedge in ("none", "clock", "band")
    }
    return by_hedge | {"dear": market_at(5 * GWEI, 4, 8_000, {"count": 2})}


@pytest.mark.parametrize("hedge", ["none", "clock", "band", "dear"])
def test_vaults_sell_calls_roll_and_hedge(vaults, hedge):
    market = vaults[hedge]
    rows, trades, series = market.world.option_vaults, market.trades(), market.series().set_index("number")
    for vault in rows:
        sold = trades[(trades["taker"] == vault["account"]) & (trades["series"] >= 0)]
        assert (sold["side"] == "sell").all()
        listed = series.loc[sold["series"]]
        assert (listed["strike_usd"].to_numpy() > 0.999 * sold["external_price_usd"].to_numpy()).all()
        assert sold["series"].nunique() == 3, "one series an hour"
        assert vault["premium"] == pytest.approx((sold["price_usd"] * sold["size"]).sum())
    assert (rows["hedges_sent"] > 0).all() == (hedge != "none")
    assert market.ledger().loc[rows["account"], "ETH-PERP_lots"].ne(0).any() == (hedge != "none")


def test_what_depositors_earn(vaults):
    """The return is what the ledger holds at the marks, less gas; it closes over premium, payoffs, hedges and fees."""
    for market in vaults.values():
        summary, ledger = market.summary(), market.ledger()
        deposit = market.world.option_vaults["deposit"].sum()
        mine = ledger.loc[market.world.option_vaults["account"]]
        series = market.series().set_index("name")
        worth = mine["cash_micro_usd"].sum() * 1e-6
        worth += mine["ETH-PERP_lots"].sum() * market.world.lot_size(0) * market.blocks()["mark_usd"].iloc[-1]
        marks = market.options().drop_duplicates("series", keep="last").set_index("series")["mark_usd"]
        for name, row in series[series["settled_s"].isna()].iterrows():
            worth += mine[f"{name}_lots"].sum() * 0.01 * marks[row["number"]]
        gas = market.world.option_vaults["total_gas"].sum()
        assert summary["vault_return_percent"] == pytest.approx(100.0 * (worth - gas - deposit) / deposit, abs=0.01)
        assert summary["vault_premium_percent"] > 0.0
    gas = {hedge: market.summary()["vault_gas_percent"] for hedge, market in vaults.items()}
    assert gas["none"] < gas["band"] < gas["dear"]


@pytest.mark.parametrize("population", ["option_makers", "option_traders", "option_vaults", "delta_hedgers"])
def test_refused_where_there_are_no_options(population):
    with pytest.raises(ScenarioError) as refusal:
        scenario_from({population: {"count": 3}})
    assert str(refusal.value) == f"{population}.count is 3; it must be 0 where options.expiries_days is empty"


def test_prices_from_elsewhere_have_no_true_volatility():
    script = {"source": "script", "script": [[100.0, 0.99], [300.0, 1.01]]}
    scenario = market_at(GWEI, 0, 1_300).world.scenario.model_dump(mode="json")
    market = Market(scenario_from({**scenario, "price": {**scenario["price"], **script}}), seed=1)
    market.run_for(1_300)
    assert np.isnan(market.summary()["option_maker_premium_points"])
