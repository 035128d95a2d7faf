"""Bad input: one sentence on standard error with the setting, its value and what it may be; nothing else happens."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from blockspace.experiments.command_line import app

FILES = {
    "broken.toml": "name = \n",
    "latin.toml": b'name = "\xe9"',
    "section.toml": "[chian]\ngas_limit = 30_000_000\n",
    "extends.toml": 'extends = "etherium"\n',
    "one.csv": "time_s,price_usd\n0,3000\n",
    "negative.csv": "time_s,price_usd\n0,3000\n60,-5\n",
    "text.csv": "time_s,price_usd\n0,3000\n60,dear\n",
    "backwards.csv": "time_s,price_usd\n60,3000\n0,3000\n",
    "columns.csv": "time,price\n0,3000\n60,3001\n",
    "short.csv": "time_s,price_usd\n" + "".join(f"{minute * 60},3000\n" for minute in range(10)),
    "dear.csv": "time_s,price_usd\n" + "".join(f"{hour * 3600},90000\n" for hour in range(20)),
    "broken.parquet": "no parquet at all",
    "full/summary.json": "{}",
    "plain.txt": "",
}


def given(*assignments):
    return ["run", "ethereum", *(part for assignment in assignments for part in ("--set", assignment))]


def price(file):
    return given("price.source=file", f"price.file={file}")


CASES = {
    "wrong type": (given("chain.gas_limit=much"), "chain.gas_limit is 'much'; it must be a whole number, at least"),
    "fraction": (given("chain.gas_limit=37.5"), "chain.gas_limit is 37.5; it must be a whole number"),
    "negative capacity": (
        given("chain.gas_limit=-5"),
        "chain.gas_limit is -5; it must be a whole number, at least 21000",
    ),
    "too little capacity": (given("chain.gas_limit=100_000"), "chain.gas_limit is 100000; it must be at least 380000"),
    "not a number": (given("price.initial_usd=nan"), "price.initial_usd is nan; it must be a number, above 0"),
    "infinite": (given("chain.block_time_s=inf"), "chain.block_time_s is inf; it must be a number, at least 1e-06"),
    "out of range": (
        given("topology.home_validator_share=1.5"),
        "is 1.5; it must be a number, at least 0 and at most 1",
    ),
    "not true or false": (given("market_makers.colocated=maybe"), "is 'maybe'; it must be true or false"),
    "a lane whose delay outlasts a round": (
        given("express_lane.round_s=20", "express_lane.delay_s=30"),
        "express_lane: delay_s is 30; it may be at most round_s, 20",
    ),
    "an auction that closes before the round before": (
        given("express_lane.round_s=10"),
        "express_lane: closes_s is 15; it must be below round_s, 10",
    ),
    "rounds shorter than a block": (
        given("express_lane.round_s=5", "express_lane.closes_s=1", "chain.block_time_s=6"),
        "express_lane.round_s is 5; it must be 0, or at least chain.block_time_s, 6",
    ),
    "waiting beyond the end of a slot": (
        given("attestation.deadline_s=4", "chain.block_time_s=4"),
        "attestation.deadline_s is 4; it must be below chain.block_time_s, 4",
    ),
    "waiting where there are no slots": (
        given("attestation.deadline_s=4", "chain.block_arrivals=poisson"),
        "attestation.deadline_s is 4; it must be 0 where blocks come at random times",
    ),
    "waiting beside an express lane": (
        given("attestation.deadline_s=4", "timing_games.share=0.5", "express_lane.round_s=60"),
        "timing_games.share is 0.5; it must be 0 where there is an express lane",
    ),
    "zero validators": (
        given("topology.validators=0"),
        "topology.validators is 0; it must be a whole number, at least 1",
    ),
    "negative agents": (
        given("market_makers.count=-1"),
        "market_makers.count is -1; it must be a whole number, at least 0",
    ),
    "too many accounts": (
        given(
            "noise_traders.count=10_000",
            "topology.validators=4_000",
            "market_makers.count=1_000",
            "arbitrageurs.count=1_000",
            "informed_traders.count=1_000",
        ),
        "add up to 17000; they may be at most",
    ),
    "too many builders": (
        given("builders.count=17"),
        "builders.count is 17; it must be a whole number, at least 0 and",
    ),
    "unknown region of the relay": (
        given("builders.relay_region=mars"),
        "builders.relay_region is 'mars'; it may be virginia, california",
    ),
    "a relay where nobody is": (
        given('topology.regions=["tokyo","london"]', "builders.relay_region=sydney"),
        "builders.relay_region is 'sydney'; it must be one of topology.regions, tokyo, london",
    ),
    "unknown preset": (
        ["run", "etherium"],
        "there is no preset 'etherium' (did you mean 'ethereum'?); there are application-chain, arbitrum",
    ),
    "unknown preset to print": (["presets", "etherium"], "there is no preset 'etherium' (did you mean 'ethereum'?)"),
    "misspelled setting": (
        given("chain.gaslimit=5"),
        "there is no setting 'chain.gaslimit' (did you mean 'gas_limit'?)",
    ),
    "misspelled section": (given("chian.gas_limit=5"), "there is no setting 'chian' (did you mean 'chain'?)"),
    "unknown section in a file": (["run", "section.toml"], "there is no setting 'chian' (did you mean 'chain'?)"),
    "unknown instrument": (
        given("instruments.3.name=A"),
        "'instruments.3.name' does not exist; its list has the items 0 to 0",
    ),
    "misspelled part": (
        given("instruments.0.tik_usd=1"),
        "no setting 'instruments.0.tik_usd' (did you mean 'tick_usd'?)",
    ),
    "a value for a section": (given("chain=5"), "chain is 5; it must be a table of settings"),
    "a part of a value": (given("name.x=5"), "'name.x' does not exist: 'name' has no parts"),
    "assignment without a value": (given("chain.gas_limit"), "--set is 'chain.gas_limit'; it must be PATH=VALUE"),
    "assignment without a path": (given("=5"), "--set is '=5'; it must be PATH=VALUE"),
    "assignment to half a path": (given("chain.=5"), "the setting 'chain.' is not a dotted path"),
    "broken TOML": (["run", "broken.toml"], "broken.toml is not valid TOML: Invalid value (at line 1"),
    "not UTF-8": (["run", "latin.toml"], "latin.toml cannot be read: it is not UTF-8 text"),
    "missing file": (["run", "missing.toml"], "missing.toml cannot be read: No such file or directory"),
    "a folder for a file": (["run", "./full"], "full cannot be read: Is a directory"),
    "unknown base": (["run", "extends.toml"], "there is no preset 'etherium'"),
    "missing price file": (price("missing.csv"), "missing.csv, but there is no such file"),
    "price file of no known kind": (price("plain.txt"), "plain.txt, but must end in .csv or .parquet"),
    "price file that is none": (price("broken.parquet"), "broken.parquet, but cannot be read as parquet"),
    "price file of one row": (price("one.csv"), "has too few prices, 1, but must have two or more"),
    "negative price": (price("negative.csv"), "row 2"),
    "price that is no number": (price("text.csv"), "is 'dear', but must be a number above 0"),
    "times that fall": (price("backwards.csv"), "row 2"),
    "unknown columns": (price("columns.csv"), "has the columns time, price"),
    "price file too short": (price("short.csv"), "duration_s is 28800; it must be at most 497, since"),
    "price file beyond the book": (
        price("dear.csv"),
        "90000 dollars or 9000000 ticks of ETH-PERP; it must be 100 to 500000",
    ),
    "no price file": (given("price.source=file"), "with source 'file' it must name a CSV or Parquet file"),
    "no script": (given("price.source=script"), "with source 'script' it must hold pairs"),
    "script out of order": (given("price.source=script", "price.script=[[9, 1], [5, 1]]"), "times must rise"),
    "unknown source": (given("price.source=oracle"), "it may be 'diffusion' or 'script' or 'file'"),
    "unknown fee rule": (given("fee_market.rule=eip"), "fee_market.rule is 'eip'; it may be eip1559 or"),
    "unknown ordering": (given("chain.ordering=fair"), "chain.ordering is 'fair'; it may be priority_fee"),
    "unknown arrivals": (given("chain.block_arrivals=now"), "is 'now'; it may be 'slots' or 'poisson'"),
    "unknown region": (given('topology.regions=["mars"]'), "unknown region 'mars'; it may be virginia,"),
    "fee below its minimum": (
        given("fee_market.minimum_base_fee_wei=10_000_000_000"),
        "it may not be below minimum_base_fee_wei",
    ),
    "instruments of one name": (
        given('instruments=[{name="A"}, {name="A"}]'),
        "are called A, A; each must have a name of its own",
    ),
    "no instrument": (given("instruments=[]"), "instruments is []; it must have at least 1 item"),
    "tick and lot too small": (given("instruments.0.tick_usd=1e-5"), "it must be a whole number of micro-dollars"),
    "price of too many ticks": (
        given("price.initial_usd=1e6"),
        "price.initial_usd is 1e+06 dollars or 100000000 ticks",
    ),
    "warm-up as long as the run": (
        given("warm_up_s=100", "duration_s=100"),
        "warm_up_s is 100; it must be below duration_s, 100",
    ),
    "duration of zero": ([*given(), "--duration", "0"], "duration_s is 0; it must be a number, above 0"),
    "duration that is no number": ([*given(), "--duration", "long"], "duration_s is 'long'; it must be a number"),
    "seed that is no number": (
        [*given(), "--seed", "x"],
        "'--seed': it is 'x'; it must be a whole number, 0 to 2^63 - 1",
    ),
    "negative seed": ([*given(), "--seed", "-1"], "'--seed': it is '-1'; it must be a whole number"),
    "seed too large": ([*given(), "--seed", str(2**63)], "it must be a whole number, 0 to 2^63 - 1"),
    "folder that is in use": (
        [*given(), "--out", "full"],
        "full, which is there already; it must be a new or an empty folder",
    ),
    "folder that is a file": ([*given(), "--out", "plain.txt"], "plain.txt, which is there already"),
    "folder below a file": ([*given(), "--out", "plain.txt/out"], "which cannot be made: Not a directory"),
    "unknown option": (["run", "--sede", "5"], "No such option: --sede"),
    "unknown command": (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
    "unknown prefix": (["settings", "chian"], "no setting begins with 'chian' (did you mean 'chain'?)"),
    "unknown study": (["study", "capasity"], "there is no study 'capasity' (did you mean 'capacity'?); there are"),
    "no seeds": (["study", "capacity", "--seeds", "0"], "'--seeds': it is '0'; it must be a whole number, 1 to"),
    "no processes": (
        ["study", "capacity", "--jobs", "none"],
        "'--jobs': it is 'none'; it must be a whole number, 1 to",
    ),
    "unknown target": (["validate", "Z1"], "there is no target 'Z1'"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder with the bad files, as the current one."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_one_sentence(case, folder):
    arguments, sentence = CASES[case]
    out = [] if "--out" in arguments or arguments[0] != "run" else ["--out", "new"]
    result = CliRunner().invoke(app, [*arguments, *out])
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert result.stderr.startswith("blockspace: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert files(folder) == sorted(FILES)
    assert not (folder / "new").exists()


@pytest.mark.parametrize("case", ["wrong type", "broken TOML", "seed that is no number", "price that is no number"])
def test_real_command_refuses_without_a_traceback(case, folder):
    arguments, sentence = CASES[case]
    code = "from blockspace.experiments.command_line import main; main()"
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    "assignment",
    [
        "market_makers.count=0",
        "noise_traders.count=0",
        "informed_traders.count=0",
        "arbitrageurs.count=0",
        "background_users.arrivals_per_s=0",
        "topology.validators=1",
        "topology.latency_scale=0",
        "price.volatility_per_day=0",
        "noise_traders.orders_per_s=0",
        "fee_market.rule=fixed",
    ],
)
def test_what_may_be_missing_may_be_missing(assignment):
    arguments = [*given(assignment, "warm_up_s=60"), "--duration", "300"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output


def test_nobody_at_all_is_a_quiet_chain():
    nobody = [f"{kind}.count=0" for kind in ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")]
    arguments = given(*nobody, "background_users.arrivals_per_s=0", "warm_up_s=60", "duration_s=300")
    assert CliRunner().invoke(app, [*arguments, "--json"]).exit_code == 0
    assert CliRunner().invoke(app, arguments).exit_code == 0
