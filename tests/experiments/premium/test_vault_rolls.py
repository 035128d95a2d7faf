"""What vaults earn, roll by roll, against their own books and the ledger."""

import pytest

from blockspace.experiments import Market, studies
from blockspace.experiments.premium.paths import fair_drift
from blockspace.experiments.premium.vault_rolls import PREFIX, VaultRolls, roll_table
from blockspace.experiments.scenario import scenario_from
from blockspace.experiments.studies import STUDIES, vaults


@pytest.fixture(scope="module")
def market():
    """Two vaults over three expiries of an hour; the last settles some seconds before the end."""
    scenario = scenario_from(
        {
            "duration_s": 10_810.0,
            "warm_up_s": 0.0,
            "price": {"volatility_per_day": 0.035, "drift_per_day": fair_drift(0.035)},
            "chain": {"block_time_s": 2.0, "gas_limit": 60_000_000},
            "fee_market": {"rule": "fixed", "base_fee_wei": 10**9},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 0.1},
            "noise_traders": {"count": 10, "orders_per_s": 0.1},
            "informed_traders": {"count": 0},
            "options": {"expiries_days": [1 / 24], "strikes_per_expiry": 3, "roll": True},
            "option_makers": {"count": 2},
            "option_vaults": {"count": 2},
        }
    )
    market = Market(scenario, seed=6)
    market.run_for(scenario.duration_s)
    return market


def test_each_vault_has_a_row_for_each_expiry(market):
    rolls = roll_table(market)
    assert rolls.groupby("account")["expiry_s"].nunique().tolist() == [3, 3]
    assert rolls["days"].sum() == pytest.approx(6 / 24, rel=0.01)
    premium = market.world.option_vaults["premium"]
    assert rolls["premium_usd"].sum() == pytest.approx(premium.sum(), rel=0.35)  # the fourth has been sold, perhaps
    assert (rolls.loc[rolls["sold"] > 0, "value_usd"] > 0.0).all()


def test_rolls_add_up_to_the_ledger(market):
    """Cash and perpetuals of a vault, less what the fourth expiry has brought in, are its deposit and its rolls."""
    rolls = roll_table(market)
    trades, ledger = market.trades(), market.ledger()
    last = rolls["expiry_s"].max()
    price = market.external_prices([last])[0]
    for vault in market.world.option_vaults:
        account = vault["account"]
        own = trades[(trades["taker"] == account) & (trades["time_s"] > last)]
        flows = (own["price_usd"] * own["size"]).where(own["side"] == "sell", -own["price_usd"] * own["size"])
        cash = ledger.loc[account, "cash_micro_usd"] * 1e-6 - (flows - own["taker_fee_usd"]).sum()
        bought = own["size"].where(own["side"] == "buy", -own["size"])[own["series"] < 0].sum()
        held = ledger.loc[account, "ETH-PERP_lots"] * market.world.lot_size(0) - bought
        mine = rolls[rolls["account"] == account]
        earned = mine.eval("premium_usd - payoff_usd + hedging_usd - fees_usd").sum()
        # what is left between the two is funding of the perpetual, which rolls leave out
        assert cash + held * price - vault["deposit"] == pytest.approx(earned, abs=2.0)


def test_measures_of_rolls(market):
    measures = VaultRolls()(market)
    assert measures[f"{PREFIX}.return_percent_per_year"] - measures[
        f"{PREFIX}.return_after_gas_percent_per_year"
    ] == pytest.approx(measures[f"{PREFIX}.gas_percent_per_year"])
    gas = market.world.option_vaults["total_gas"].sum()
    assert measures[f"{PREFIX}.gas_usd_per_roll"] * 6 == pytest.approx(gas, rel=0.1)
    assert measures[f"{PREFIX}.hedging_error_percent"] > 0.0
    assert measures[f"{PREFIX}.sold_share_of_rolls"] == 1.0


def test_the_study_compares_ways_to_hedge_at_every_capacity():
    sweep = vaults.sweep(False, (1, 2))
    assert len(sweep.points) == len(vaults.POLICIES) * 4
    assert {point.values[vaults.HEDGING] for point in sweep.points} == set(vaults.POLICIES)
    assert sweep.measurement.reads_tapes
    assert "vaults" in studies.STUDIES
    assert set(STUDIES["vaults"].TABLE) >= {vaults.X, vaults.HEDGING, vaults.ERROR}
