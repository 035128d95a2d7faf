"""The compiled market and its twin give the same run with options, and with those who deal with them."""

from tests.reference.fidgets import CompiledOptionFidget, PlainOptionFidget
from tests.reference.runs import run_both


def run_options(seed, **tables):
    """Options traded by agents in Python through an expiry of an hour."""
    return run_both(
        {
            "chain": {"block_time_s": 5.0, "gas_limit": 30_000_000},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3},
            **tables,
        },
        seconds=4_000,
        seed=seed,
        agents=[(CompiledOptionFidget, PlainOptionFidget)] * 5,
    )


def assert_options_traded(market):
    series, trades = market.series(), market.trades()
    assert series["settled_s"].notna().sum() == 6
    assert set(trades["series"]) == set(range(-1, 18)), "every series should trade, before and after the expiry"
    assert trades.loc[trades["series"] >= 12, "time_s"].min() >= 3_600.0
    return market.transactions().query("kind == 'combination'")["status"].value_counts()


def test_options_through_an_expiry():
    """Series, marks, settlement, margin and combinations of agents who have plenty, and of agents who have little."""
    statuses = assert_options_traded(run_options(14))
    assert statuses[["succeeded", "failed"]].min() > 50
    near = {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3, "strike_spacing": 0.01}
    near |= {"strike_spacing_unit": "relative", "maker_fee_bps": -5.0}
    statuses = assert_options_traded(run_options(15, endowment={"cash_usd": 3_000.0}, options=near))
    assert statuses[["succeeded", "failed"]].min() > 20


def test_options_in_batches():
    """The same where orders wait for auctions every minute: what waits at an expiry is withdrawn, combinations fail."""
    statuses = assert_options_traded(run_options(16, venue={"matching": "batch", "batch_interval_s": 37.0}))
    assert set(statuses.index) == {"failed"}


def test_option_makers_and_traders():
    """Makers who quote, drop and hedge series, and traders with combinations, through an expiry of an hour."""
    market = run_both(
        {
            "chain": {"block_time_s": 6.0, "gas_limit": 12_000_000},
            "fee_market": {"initial_base_fee_wei": 2 * 10**8},
            "topology": {"validators": 4},
            "background_users": {"arrivals_per_s": 2.0, "value_gwei": 3.0},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [1 / 24, 0.25], "strikes_per_expiry": 3},
            "option_makers": {
                "count": 2,
                "levels": 2,
                "memory_s": 300.0,
                "review_interval_s": 400.0,
                "rest_s": 500.0,
                "risk_aversion": 1e-2,
                "initial_half_spread_points": 2.0,
                "position_limit": 20.0,
                "exploration_per_hour": 2.0,
            },
            "option_traders": {"count": 10, "orders_per_s": 0.5, "value_mean": 20.0, "combination_share": 0.4},
            "option_vaults": {"count": 2},
            "delta_hedgers": {"count": 3, "size_mean": 5.0},
        },
        seconds=4_200,
        seed=17,
    )
    makers, trades = market.world.option_makers, market.trades()
    assert makers["trades"].min() > 50
    assert makers["hedges_sent"].sum() > 10
    vaults = market.world.option_vaults
    assert (vaults["sales"] >= 2).all(), "no vault rolled"
    assert vaults["hedges_sent"].sum() > 2
    desks = market.world.delta_hedgers
    assert (desks["orders_sent"] >= 2).all()
    assert desks["hedges_sent"].sum() > 10
    assert (makers["series"]["return_at"] > 0).any(), "no series was dropped"
    assert trades.loc[trades["series"] >= 12, "time_s"].min() >= 3_600.0, "nothing traded after the roll"
    statuses = market.transactions().query("kind == 'combination'")["status"].value_counts()
    assert statuses["succeeded"] > 10


def test_option_agents_in_batches_with_little_ether():
    """Makers who cannot pay for gas any more stop for good; in batches traders take single series."""
    market = run_both(
        {
            "chain": {"block_time_s": 5.0, "gas_limit": 30_000_000},
            "fee_market": {"rule": "fixed", "base_fee_wei": 10**8},
            "topology": {"validators": 1},
            "venue": {"matching": "batch", "batch_interval_s": 20.0},
            "endowment": {"ether": 0.002},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"count": 5, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [0.25], "strikes_per_expiry": 3, "maker_fee_bps": -5.0},
            "option_makers": {"count": 2, "risk_aversion": 1e-2, "look_interval_s": 7.0},
            "option_traders": {"count": 5, "orders_per_s": 0.5, "value_unit": "percent", "value_mean": 40.0},
            "option_vaults": {"count": 1, "hedge": "clock", "hedge_interval_s": 100.0},
            "delta_hedgers": {"count": 2, "hedge": "clock", "look_interval_s": 11.0, "arrival_share": 0.05},
        },
        seconds=2_500,
        seed=18,
    )
    assert market.world.option_makers["broke"].any(), "nobody ran out of ether"
    trades = market.trades().query("series >= 0")
    assert len(trades) > 30
    assert not (market.transactions()["kind"] == "combination").any()
