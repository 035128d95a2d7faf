"""The presets load, run, keep the ledger exact and come out at the figures that they are calibrated to."""

import tomllib

import pytest

from blockspace.experiments import Market, load_scenario
from blockspace.experiments.scenario import preset_text
from blockspace.network.presets import preset_names

# Seconds to run, of which warm-up; base fee in gwei; utilisation; widest median spread in basis points. Fees are those
# of the time within a third. Spreads are results: the bound is there to notice a market that has died.
CALIBRATED = {
    "ethereum-15m": (14_400, 3_600, (40, 80), (0.95, 1.0), 100),
    "ethereum-30m": (14_400, 3_600, (35, 70), (0.45, 0.55), 80),
    "ethereum-60m": (14_400, 3_600, (0.16, 0.32), (0.45, 0.55), 20),
    "ethereum": (7_200, 3_600, (0.16, 0.32), (0.45, 0.55), 20),
    "base": (2_400, 600, (0.005, 0.0067), (0.08, 0.17), 20),
    "arbitrum-one": (900, 300, (0.02, 0.0205), (0.03, 0.15), 20),
    "monad": (900, 300, (100, 100), (0.02, 0.1), 20),
    "hyperliquid-like": (300, 100, (0, 0), (0.02, 0.15), 20),
    "ethereum-with-blobs": (7_200, 3_600, (0.16, 0.32), (0.45, 0.55), 20),
    "microsecond-chain": (300, 100, (0.001, 0.001), (0, 1e-4), 50),
    "application-chain": (1_800, 600, (0, 0), (0.02, 0.15), 20),
}

# Rollups with the chains below them: seconds to run, and least batches that have been posted by then.
STACKS = {
    "base-on-ethereum": (600, 2),
    "op-mainnet": (600, 1),
    "unichain": (600, 1),
    "arbitrum-one-on-ethereum": (600, 2),
    "zksync-era": (600, 1),
    "starknet": (600, 1),
    "megaeth": (120, 1),
    "modular-stack": (600, 1),
}


def test_every_preset_is_calibrated():
    assert sorted([*CALIBRATED, *STACKS]) == preset_names()


@pytest.mark.parametrize("name", CALIBRATED)
def test_preset_comes_out_at_its_figures(name):
    duration, warm_up, fee, utilisation, widest = CALIBRATED[name]
    market = Market(load_scenario(name, {"duration_s": duration, "warm_up_s": warm_up}), seed=1, tapes="none")
    market.run_for(duration)
    market.check()
    summary = market.summary()
    assert fee[0] * 0.999 <= summary["base_fee_gwei"] <= fee[1] * 1.001
    assert utilisation[0] <= summary["utilisation"] <= utilisation[1]
    assert summary["trades_per_h"] > 20
    assert summary["one_sided_share"] < 0.6
    assert 0 < summary["median_quoted_spread_bps"] < widest


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_runs_and_posts_what_happens_on_it(name):
    duration, least = STACKS[name]
    market = Market(load_scenario(name), seed=1)
    market.run_for(duration)
    market.check()
    assert market.blocks()["transactions"].sum() > 0
    assert (market.transactions()["kind"] == "place").any()
    batches = market.batches()
    assert batches["posted_s"].notna().sum() >= least
    # Nobody trades on the chains below.
    for number in range(1, len(market.worlds)):
        assert len(market.blocks(number)) > 0
        assert not (market.transactions(number)["kind"] == "place").any()


def test_rollups_use_about_29_per_cent_of_the_blobs_that_ethereum_targets():
    market = Market(load_scenario("ethereum-with-blobs"), seed=2, tapes="none")
    market.run_for(7_200.0)
    assert market.blocks()["blobs"].mean() / 14.0 == pytest.approx(0.29, abs=0.04)
    fees = market.blocks()["blob_base_fee_gwei"] / market.blocks()["base_fee_gwei"]
    assert fees.iloc[300:].median() == pytest.approx(1.0 / 16.0, rel=0.15)


def test_provers_of_a_validity_rollup_keep_up():
    market = Market(load_scenario("zksync-era"), seed=1, tapes="none")
    market.run_for(7_200.0)
    claims = market.claims()
    worked = (claims["ready_s"] - claims["requested_s"]).to_numpy()
    assert len(worked) > 8
    assert 3_000.0 < worked.min()
    assert worked.max() < 4_500.0


def test_base_and_the_other_rollups_use_what_was_reported():
    market = Market(load_scenario("base-on-ethereum"), seed=1, tapes="none")
    market.run_for(1_800.0)
    assert market.blocks(1)["blobs"].mean() / 14.0 == pytest.approx(0.29, abs=0.05)


@pytest.mark.parametrize("name", preset_names())
def test_preset_is_called_by_the_name_of_its_file_and_described(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description
    assert 2 * scenario.warm_up_s <= scenario.duration_s


@pytest.mark.parametrize("name", preset_names())
def test_every_setting_of_a_preset_has_its_source_beside_or_above_it(name):
    lines = preset_text(name).splitlines()
    in_table = False
    for above, line in zip(["", *lines], lines, strict=False):
        in_table = in_table or line.startswith("[")
        bare = line.split(" = ")[0] in ("rule", "gas_token", "name", "regions")
        if in_table and " = " in line and not bare:
            assert "# " in line or above.startswith("# "), line


def test_plain_name_is_the_newest_age():
    newest = load_scenario("ethereum-60m").model_copy(update={"name": "ethereum"})
    assert load_scenario("ethereum") == newest
    assert "extends" in tomllib.loads(preset_text("ethereum"))


def test_ages_of_ethereum_differ_in_capacity_and_a_rollup_has_one_sequencer():
    ages = [load_scenario(f"ethereum-{size}m") for size in (15, 30, 60)]
    assert [age.chain.gas_limit for age in ages] == [15_000_000, 30_000_000, 60_000_000]
    for name in ("base", "arbitrum-one"):
        assert load_scenario(name).topology.validators == 1
    assert load_scenario("monad").venue.gas_token == "fixed"
