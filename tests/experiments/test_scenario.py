"""Scenarios: where settings come from, that they are all described, and that they survive being written down."""

import re

import pytest
from pydantic import ValidationError

from blockspace.experiments.files import scenario_toml
from blockspace.experiments.scenario import (
    Scenario,
    ScenarioError,
    describe_settings,
    load_scenario,
    preset_text,
    scenario_from,
)
from blockspace.network.presets import preset_names
from blockspace.network.settings import did_you_mean


def write(folder, text, name="mine.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_win_over_the_preset():
    scenario = load_scenario("ethereum-30m", {"chain.gas_limit": 45_000_000, "price.initial_usd": 2_500.0})
    assert scenario.chain.gas_limit == 45_000_000
    assert scenario.price.initial_usd == 2_500.0
    assert scenario.chain.block_time_s == load_scenario("ethereum-30m").chain.block_time_s


def test_file_extends_a_preset_and_wins_over_it(tmp_path):
    path = write(tmp_path, 'extends = "ethereum-30m"\nname = "mine"\n[chain]\ngas_limit = 40_000_000\n')
    scenario = load_scenario(path)
    assert (scenario.name, scenario.chain.gas_limit) == ("mine", 40_000_000)
    assert scenario.background_users == load_scenario("ethereum-30m").background_users
    assert load_scenario(str(path), {"chain.gas_limit": 50_000_000}).chain.gas_limit == 50_000_000


def test_file_extends_a_preset_that_extends_another(tmp_path):
    path = write(tmp_path, 'extends = "ethereum"\nname = "mine"\n')
    assert load_scenario(path).chain == load_scenario("ethereum-60m").chain


def test_file_without_a_base_starts_from_the_defaults(tmp_path):
    path = write(tmp_path, 'name = "mine"\n')
    assert load_scenario(path) == Scenario(name="mine")


def test_preset_is_not_shadowed_by_a_file_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "ethereum").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_scenario("ethereum").name == "ethereum"


def test_override_reaches_an_instrument_that_the_preset_does_not_name():
    scenario = load_scenario("ethereum", {"instruments.0.taker_fee_bps": 3.0})
    assert scenario.instruments[0].taker_fee_bps == 3.0
    assert scenario.instruments[0].name == "ETH-PERP"


@pytest.mark.parametrize("name", preset_names())
def test_written_scenario_is_read_back_the_same(name, tmp_path):
    scenario = load_scenario(name, {"price.jumps_per_day": 1e-5, "chain.byte_limit": 10**10})
    assert load_scenario(write(tmp_path, scenario_toml(scenario))) == scenario


def test_written_scenario_keeps_scripts_texts_and_several_instruments(tmp_path):
    scenario = scenario_from(
        {
            "name": 'a "quoted" \\ name',
            "description": "two lines\nand an ümlaut",
            "price": {"source": "script", "script": [[0.0, 1.0], [600, 0.7]]},
            "instruments": [{"name": "ETH-PERP"}, {"name": "ETH", "kind": "spot", "maker_fee_bps": -0.5}],
        }
    )
    assert load_scenario(write(tmp_path, scenario_toml(scenario))) == scenario


def test_price_file_is_looked_for_beside_the_file_that_names_it(tmp_path, monkeypatch):
    path = write(tmp_path, '[price]\nsource = "file"\nfile = "prices.csv"\n')
    assert load_scenario(path).price.file == str(tmp_path / "prices.csv")
    monkeypatch.chdir(tmp_path)
    overrides = {"price.source": "file", "price.file": "other.csv"}
    assert load_scenario("ethereum", overrides).price.file == str(tmp_path / "other.csv")


def test_every_setting_is_described():
    settings = list(describe_settings())
    assert len(settings) > 80
    paths = [path for path, _, _ in settings]
    assert len(set(paths)) == len(paths)
    for path, _, description in settings:
        assert description, path


UNITS = {
    "s": "second",
    "usd": "dollar",
    "bps": "basis points|bps|half-spread",
    "wei": "wei per (unit of blob )?gas",
    "gwei": "gwei per gas",
    "mbps": "megabits per second",
    "per_hour": "per hour",
    "per_day": "day",
    "per_s": "per second",
    "per_gas": "gas",
    "per_sqrt_day": "square-root day",
}


@pytest.mark.parametrize("path", [path for path, _, _ in describe_settings()])
def test_unit_in_a_name_is_one_of_the_known_ones_and_is_described(path):
    descriptions = {name: description for name, _, description in describe_settings()}
    name = path.rsplit(".", 1)[-1]
    endings = [ending for ending in UNITS if name.endswith(f"_{ending}")]
    # What is a number has its unit in its name or in its description.
    if endings:
        assert re.search(UNITS[max(endings, key=len)], descriptions[path]), descriptions[path]


def test_scenario_is_frozen():
    scenario = load_scenario("ethereum")
    with pytest.raises(ValidationError):
        scenario.duration_s = 5.0
    with pytest.raises(ValidationError):
        scenario.chain.gas_limit = 5


def test_loading_twice_gives_equal_scenarios_and_overrides_do_not_leak():
    plain = load_scenario("hyperliquid-like")
    assert load_scenario("hyperliquid-like", {"instruments.0.taker_fee_bps": 9.0}) != plain
    assert load_scenario("hyperliquid-like") == plain


def test_extends_must_name_a_preset(tmp_path):
    with pytest.raises(ScenarioError, match=r"extends is 5 in .*; it must be the name of a preset"):
        load_scenario(write(tmp_path, "extends = 5\n"))
    with pytest.raises(ScenarioError, match="there is no preset 'etherium'"):
        load_scenario(write(tmp_path, 'extends = "etherium"\n'))


def test_gas_per_second():
    assert load_scenario("base").gas_per_second == 200_000_000


def test_hint_is_given_only_where_something_is_near():
    assert did_you_mean("ethereun", preset_names()) == " (did you mean 'ethereum'?)"
    assert did_you_mean("zzz", preset_names()) == ""


def test_text_of_a_preset_has_comments():
    assert "EIP-7935" in preset_text("ethereum-60m")
