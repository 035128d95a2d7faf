"""Reports and comparisons: what their pages say, that they stand alone, and what is refused."""

import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from typer.testing import CliRunner

from blockspace.experiments.command_line import app
from blockspace.experiments.reports.comparison import compare
from blockspace.experiments.reports.comparison_page import findings
from blockspace.experiments.reports.page import Bullets, Code, Folded, Page, Section, Table, render
from blockspace.experiments.reports.report import present, write_report
from blockspace.experiments.reports.sections import settings_section
from blockspace.experiments.results import load_results
from blockspace.experiments.results.folder import changed_files
from blockspace.experiments.results.statistics import Estimate, estimate_apart, relative
from blockspace.experiments.scenario import load_scenario
from blockspace.experiments.studies import capacity
from blockspace.experiments.sweeps.points import Point, Sweep
from blockspace.experiments.sweeps.runner import run_sweep
from blockspace.network.ordering import ORDERING_POLICIES, register_policy

NASTY = '<script>alert("it\'s & was")</script>'
ABOUT = {"kind": "sweep", "name": "sweep", "question": "What does the gas limit do?", "until": ["base_fee_gwei: 5%"]}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def small_sweep(seeds=(1, 2, 3), capacities=(5_000_000, 60_000_000), **overrides):
    scenario = load_scenario(
        "ethereum-30m",
        {"duration_s": 300, "warm_up_s": 60, "description": NASTY, "market_makers.count": 3, **overrides},
    )
    points = tuple(
        Point(f"{gas_limit / 1e6:g} M", {"chain.gas_limit": gas_limit}, {"chain.gas_limit": gas_limit})
        for gas_limit in capacities
    )
    return Sweep(scenario, points, seeds, points[0].name)


def make(sweep, folder, **options):
    run_sweep(sweep, folder, jobs=1, quiet=True, about=ABOUT, **options)
    return folder


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep with its report, as a command would leave it."""
    folder = make(small_sweep(), tmp_path_factory.mktemp("first") / "swept", keep="blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["/usr/bin/blockspace", "sweep", "x", "--set", f"description={NASTY}"])
        write_report(folder)
    return folder


@pytest.fixture(scope="module")
def calmer(tmp_path_factory):
    """The same seeds in another scenario, and one other point."""
    sweep = small_sweep(capacities=(5_000_000, 30_000_000), **{"price.volatility_per_day": 0.01})
    return make(sweep, tmp_path_factory.mktemp("second") / "calmer")


@pytest.fixture(scope="module")
def reseeded(tmp_path_factory):
    """The same scenario with other seeds."""
    return make(small_sweep(seeds=(11, 12, 13, 14)), tmp_path_factory.mktemp("third") / "reseeded")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("fourth") / "ran"
    settings = ["--set", "warm_up_s=60", "--set", f"description={json.dumps(NASTY)}", "--duration", 600]
    assert invoke("run", "ethereum-30m", *settings, "--seed", 5, "--out", folder).exit_code == 0
    return folder


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / folder.name)


def text_of(page):
    """The text of a page as a reader sees it."""
    body = page.read_text(encoding="utf-8").partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


class Wellformed(HTMLParser):
    """Checks that every element is closed where it should be, and collects what attributes refer to."""

    EMPTY = ("meta", "link", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.images = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.images += [attributes] if tag == "img" else []
        assert tag != "script"
        assert not [name for name in attributes if name.startswith("on")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def stands_alone(page):
    """Whether a page is well formed, refers to nothing but itself, and describes its figures."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    parser = Wellformed()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    for link in parser.links:
        assert link.startswith("data:") or link[1:] in parser.ids
    assert parser.images
    assert all(len(image["alt"]) > 100 for image in parser.images)
    return True


# The page of a sweep.


def test_page_says_what_was_asked_done_and_found(swept):
    text = text_of(swept / "report.html")
    manifest = json.loads((swept / "manifest.json").read_text())
    for part in (
        "What does the gas limit do?",
        "2 points",
        "3 seeds, 1 to 3",
        "6 runs",
        "5 M",
        "60 M",
        "5_000_000",
        "chain.gas_limit",
        "gas that a block can hold",
        "base_fee_gwei: 5%",
        "Not reached: ",
        "market_makers.count 3 4 number of market makers",
        "In bold 5 M",
        manifest["python"],
        manifest["versions"]["numba"],
        f"blockspace {manifest['versions']['blockspace']}",
        "blockspace sweep x --set",
        "blockspace show .",
    ):
        assert part in text, part
    for finding in present(load_results(swept)).findings:
        assert finding in text
    assert "Failed runs" not in text
    assert stands_alone(swept / "report.html")


def test_what_others_wrote_is_text_on_the_page(swept):
    text = (swept / "report.html").read_text()
    assert "<script" not in text
    assert NASTY in text_of(swept / "report.html")


def test_folder_holds_table_figures_findings_and_a_manifest_of_all(swept):
    present_files = {path.relative_to(swept).as_posix() for path in swept.rglob("*") if path.is_file()}
    manifest = json.loads((swept / "manifest.json").read_text())
    assert present_files - set(manifest["sha256"]) == {"manifest.json", "report.html", "log.txt", ".lock"}
    assert {"table.csv", "sweep.png", "sweep.svg", "findings.md", "index.parquet"} <= set(manifest["sha256"])
    assert changed_files(swept) == []
    assert (swept / "findings.md").read_text().startswith("# What does the gas limit do?\n\n- ")
    table = pd.read_csv(swept / "table.csv")
    pd.testing.assert_frame_equal(table, load_results(swept).table, check_dtype=False)


def test_same_results_give_the_same_bytes(swept, tmp_path):
    def digests(folder):
        files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("log.txt", ".lock")]
        return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).digest() for path in files}

    other = copied(swept, tmp_path)
    write_report(other, made_here=False)
    assert digests(other) == digests(swept)


def test_show_prints_the_table_and_keeps_what_is_known_of_the_making(swept, tmp_path):
    deep = tmp_path / ("a-rather-long-name-of-a-folder" * 7)
    deep.mkdir()
    folder = copied(swept, deep)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"]["numpy"] = "0.0.1"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = invoke("show", folder)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(re.match(r" *5,000,000 +\d+ ±", line) for line in lines)
    # A path is there to be copied: it is never broken into lines.
    assert str(folder / "report.html") in lines
    assert str(folder / "sweep.png") in lines
    after = json.loads((folder / "manifest.json").read_text())
    assert after["command"].startswith("blockspace sweep x")
    assert after["versions"]["numpy"] == "0.0.1"


def test_code_on_the_page_runs_in_the_folder(swept, tmp_path):
    unindexed = copied(swept, tmp_path)
    (unindexed / "index.parquet").unlink()
    shutil.rmtree(unindexed / "blocks")
    write_report(unindexed)
    for folder in (swept, unindexed):
        page = (folder / "report.html").read_text()
        snippets = [html.unescape(code) for code in re.findall(r"<code>(import .*?|from .*?)</code>", page, re.DOTALL)]
        assert [name for name in ("pandas", "duckdb", "polars") if f"import {name}" in "\n".join(snippets)] == [
            "pandas", "duckdb", "polars",
        ]  # fmt: skip
        assert len(snippets) == 3
        script = "\n".join(snippets)
        printed = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
        assert printed.stdout.count("60 M") >= 3


def test_points_without_runs_and_reference_without_runs_are_told(tmp_path, swept):
    folder = copied(swept, tmp_path)
    (folder / "manifest.json").unlink()
    (folder / "index.parquet").unlink()
    for file in (folder / "runs").glob("5-M-*"):
        file.unlink()
    (folder / "runs" / "60-M-seed2.parquet").unlink()
    result = invoke("show", folder)
    assert result.exit_code == 0, result.output
    sentence = "2 of 6 runs are there; the command that began it continues."
    assert sentence in result.stdout
    text = text_of(folder / "report.html")
    assert sentence in text
    assert "Of 5 M, the reference point, there is no run yet; 60 M stands for it." in text
    assert "# the command that began it, which continues" in text
    assert json.loads((folder / "manifest.json").read_text())["python"] is None
    assert stands_alone_without_figures(folder / "report.html")


def stands_alone_without_figures(page):
    parser = Wellformed()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.open == []


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A sweep of which one point cannot be run, and one of which none can."""

    @register_policy("fails_always")
    def fails_always(pending, base_fee):
        raise ZeroDivisionError("on <purpose>")

    try:
        sweep = small_sweep()
        bad = Point("bad", {"chain.gas_limit": 1}, {"chain.ordering": "fails_always"})
        folder = tmp_path_factory.mktemp("failing")
        some = make(replace(sweep, points=(*sweep.points[:1], bad), seeds=(1, 2)), folder / "some")
        every = make(replace(sweep, points=(bad,), seeds=(1,), reference="bad"), folder / "every")
    finally:
        del ORDERING_POLICIES["fails_always"]
    return some, every


def test_failed_runs_are_told_with_their_tracebacks(failing, capsys):
    some, _ = failing
    text = text_of(write_report(some, made_here=False, printed=True))
    assert "2 of 4 runs failed" in capsys.readouterr().out
    assert "2 of 4 runs failed; index.parquet and failures/ hold what they said." in text
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError: on <purpose>" in text
    assert "blockspace run failures/bad-seed1.toml --seed 1" in text
    assert (some / "failures" / "bad-seed1.toml").exists()
    assert "failures/bad-seed1.toml" in json.loads((some / "manifest.json").read_text())["sha256"]


def test_a_folder_in_which_every_run_failed_can_be_shown(failing):
    _, every = failing
    result = invoke("show", every)
    assert result.exit_code == 0, result.output
    assert "1 of 1 runs failed" in result.stdout
    assert "ZeroDivisionError" in text_of(every / "report.html")


def test_a_study_in_its_own_words_even_when_it_has_hardly_begun(tmp_path):
    sweep = capacity.sweep(True, (1, 2))
    scenario = sweep.scenario.model_copy(update={"duration_s": 300.0, "warm_up_s": 60.0})
    ends = (sweep.points[0], sweep.points[-1])
    about = {"kind": "study", "name": "capacity", "question": capacity.QUESTION, "quick": True, "until": []}
    folder = tmp_path / "study"
    begun = Sweep(scenario, ends, (1, 2), ends[0].name)
    run_sweep(begun, folder, jobs=1, quiet=True, about=about)
    assert any(
        finding.startswith("That more capacity lowers fees") for finding in present(load_results(folder)).findings
    )
    (folder / "index.parquet").unlink()
    for file in sorted((folder / "runs").iterdir())[1:]:
        file.unlink()
    text = text_of(write_report(folder))
    assert capacity.QUESTION in text
    assert "Blockspace · study · capacity · quick" in text
    assert "1 of 4 runs are there" in text


def test_a_sweep_without_name_and_one_of_an_unknown_study_are_shown(swept, tmp_path):
    folder = copied(swept, tmp_path)
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**study, "kind": "study", "name": "of somebody else"}))
    assert present(load_results(folder)).question == "What does the gas limit do?"
    for name in ("kind", "name", "question", "until"):
        del study[name]
    (folder / "study.json").write_text(json.dumps(study))
    assert "What do the settings that were varied do?" in text_of(write_report(folder))
    (folder / "study.json").write_text(json.dumps({**study, "kind": "oracle"}))
    result = invoke("show", folder)
    assert result.exit_code == 2
    assert result.stderr == f"blockspace: {folder} holds a oracle, which this version cannot show\n"


# The page of a run.


def test_run_folder_is_shown_through_time(ran):
    before = json.loads((ran / "manifest.json").read_text())
    result = invoke("show", ran)
    assert result.exit_code == 0, result.output
    assert "ethereum-30m, seed 5" in result.stdout
    assert str(ran / "report.html") in result.stdout.splitlines()
    text = text_of(ran / "report.html")
    for part in (
        "ethereum-30m, seed 5",
        "quoted spread, median",
        "gwei",
        "blockspace run scenario.toml --seed 5",
        NASTY,
        "transactions.parquet",
    ):
        assert part in text, part
    assert "<script" not in (ran / "report.html").read_text()
    assert stands_alone(ran / "report.html")
    after = json.loads((ran / "manifest.json").read_text())
    assert {name: after[name] for name in after if name != "sha256"} == {
        name: before[name] for name in before if name != "sha256"
    }
    assert set(after["sha256"]) == {*before["sha256"], "run.png", "run.svg"}
    assert changed_files(ran) == []
    first = (ran / "report.html").read_bytes()
    assert invoke("show", ran).exit_code == 0
    assert (ran / "report.html").read_bytes() == first


def test_code_on_the_page_of_a_run_runs(ran):
    invoke("show", ran)
    page = (ran / "report.html").read_text()
    snippets = [html.unescape(code) for code in re.findall(r"<code>(import .*?)</code>", page, re.DOTALL)]
    assert len(snippets) == 3
    script = "\n".join(snippets)
    printed = subprocess.run([sys.executable, "-c", script], cwd=ran, capture_output=True, text=True, check=True)
    assert "ETH-PERP" in printed.stdout
    assert "transfer" in printed.stdout


# Comparisons.


@pytest.mark.parametrize("measure", ["base_fee_gwei", "cost_bps"])
def test_same_seeds_are_compared_seed_by_seed(swept, calmer, measure):
    comparison = compare(swept, calmer)
    assert {row.point for row in comparison.rows} == {"5 M"}
    assert comparison.only == (["60 M"], ["30 M"])
    assert list(comparison.settings) == ["price.volatility_per_day"]
    row = next(row for row in comparison.rows if row.measure == measure)
    first, second = (
        load_results(folder).runs.query("point == '5 M'")[measure].to_numpy(float) for folder in (swept, calmer)
    )
    known = ~np.isnan(first) & ~np.isnan(second)
    interval = scipy.stats.ttest_rel(second[known], first[known]).confidence_interval(0.95)
    assert row.paired
    assert row.apart.count == known.sum()
    assert (row.apart.low, row.apart.high) == pytest.approx((interval.low, interval.high))
    assert row.second - row.first == pytest.approx(row.apart.mean)


def test_other_seeds_are_compared_by_welch(swept, reseeded):
    comparison = compare(swept, reseeded)
    assert comparison.only == ([], [])
    assert not comparison.settings
    row = next(row for row in comparison.rows if (row.point, row.measure) == ("60 M", "base_fee_gwei"))
    values = [load_results(folder).runs.query("point == '60 M'")["base_fee_gwei"] for folder in (swept, reseeded)]
    interval = scipy.stats.ttest_ind(values[1], values[0], equal_var=False).confidence_interval(0.95)
    assert not row.paired
    assert (row.apart.low, row.apart.high) == pytest.approx((interval.low, interval.high))


def test_welch_known_answers():
    two = estimate_apart([1.0, 2.0, 3.0], [3.0, 5.0, 7.0, 9.0, np.nan])
    interval = scipy.stats.ttest_ind([3.0, 5.0, 7.0, 9.0], [1.0, 2.0, 3.0], equal_var=False).confidence_interval(0.95)
    assert (two.mean, two.count) == (4.0, 3)
    assert (two.low, two.high) == pytest.approx((interval.low, interval.high))
    assert estimate_apart([1.0, 1.0], [3.0, 3.0]) == Estimate(2.0, 2.0, 2.0, 2)
    alone = estimate_apart([1.0], [3.0, 4.0])
    assert (alone.mean, alone.count) == (2.5, 1)
    assert np.isnan(alone.low)
    assert estimate_apart([], [1.0]).count == 0
    assert relative(Estimate(1.0, 0.5, 1.5, 3), -4.0) == Estimate(25.0, 12.5, 37.5, 3)
    assert np.isnan(relative(Estimate(1.0, 0.5, 1.5, 3), 0.0).mean)


def test_compare_prints_a_table_and_writes_one_page(swept, calmer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("compare", swept, calmer)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "compare-swept-calmer.html"
    assert [path.name for path in tmp_path.iterdir()] == ["compare-swept-calmer.html"]
    text = text_of(tmp_path / "compare-swept-calmer.html")
    for part in (
        "swept against calmer",
        "Only swept has 60 M.",
        "Only calmer has 30 M.",
        "price.volatility_per_day",
        "seed by seed over 3 pairs",
        "9 intervals are shown",
        "one in twenty",
    ):
        assert part in text, part
        if part not in ("swept against calmer", "How calmer was made is not known"):
            assert part in result.stdout
    assert stands_alone(tmp_path / "compare-swept-calmer.html")
    before = (tmp_path / "compare-swept-calmer.html").read_bytes()
    assert invoke("compare", swept, calmer).exit_code == 0
    assert (tmp_path / "compare-swept-calmer.html").read_bytes() == before


def test_compare_says_that_seeds_are_not_paired(swept, reseeded, tmp_path):
    page = tmp_path / "new" / "page.html"
    result = invoke("compare", swept, reseeded, "--out", page)
    assert result.exit_code == 0, result.output
    assert "differences are not paired, and intervals are Welch's" in result.stdout
    assert "Seeds of A: 1 to 3; of B: 11 to 14." in text_of(page)


def test_two_runs_are_compared_without_intervals(ran, tmp_path):
    other = tmp_path / "dearer"
    settings = ["--set", "warm_up_s=60", "--set", "chain.gas_limit=10_000_000", "--duration", 600]
    assert invoke("run", "ethereum-30m", *settings, "--seed", 5, "--out", other).exit_code == 0
    page = tmp_path / "page.html"
    result = invoke("compare", ran, other, "--out", page)
    assert result.exit_code == 0, result.output
    assert "One run each, of the same seed" in result.stdout
    text = text_of(page)
    assert "chain.gas_limit 30_000_000 10_000_000" in text
    assert "intervals are shown" not in text
    assert stands_alone(page)
    fees = [json.loads((folder / "summary.json").read_text())["base_fee_gwei"] for folder in (ran, other)]
    row = next(row for row in compare(ran, other).rows if row.measure == "base_fee_gwei")
    assert [row.first, row.second, row.apart.mean] == [*fees, fees[1] - fees[0]]


def test_many_points_are_compared_measure_by_measure(tmp_path):
    capacities = range(5_000_000, 9_000_000, 1_000_000)
    folders = [
        make(small_sweep(seeds=(1, 2), capacities=capacities, **{"price.volatility_per_day": 0.1}), tmp_path / "one"),
        make(small_sweep(seeds=(1, 2), capacities=capacities, **{"price.volatility_per_day": 0.2}), tmp_path / "two"),
    ]
    comparison = compare(*folders)
    assert [row.point for row in comparison.rows[:5]] == ["5 M", "6 M", "7 M", "8 M", "5 M"]
    told = findings(comparison)
    clear = [row for row in comparison.rows if row.apart.is_clear]
    intervals = [row for row in comparison.rows if row.apart.count > 1]
    assert told[0] == f"{len(clear)} of {len(intervals)} differences are clear."
    assert [axis.get_title("left") for axis in comparison.figure.axes if axis.get_visible()] == list(
        dict.fromkeys(row.label for row in comparison.rows)
    )
    # Of a figure of differences each row has its mean, and a full mark where zero is excluded.
    first = comparison.figure.axes[0]
    marks = [line for line in first.get_lines() if line.get_marker() == "o"]
    rows = comparison.rows[:4]
    assert [mark.get_xdata()[0] for mark in marks] == [relative(row.apart, row.first).mean for row in rows]
    assert [mark.get_markerfacecolor() != "white" for mark in marks] == [row.apart.is_clear for row in rows]


# What is refused.


def refused(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("blockspace: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_what_is_no_results_folder_is_refused_in_a_sentence(swept, ran, tmp_path):
    nothing = tmp_path / "nothing"
    assert f"there is no folder {nothing}" in refused("show", nothing)
    nothing.mkdir()
    assert f"{nothing} holds neither a sweep (study.json, runs) nor a run" in refused("show", nothing)
    assert f"{nothing} holds neither a sweep" in refused("compare", swept, nothing)
    assert f"{ran} holds one run and {swept} a sweep; two of a kind" in refused("compare", swept, ran)
    empty = copied(swept, tmp_path)
    shutil.rmtree(empty / "runs")
    (empty / "index.parquet").unlink()
    assert f"{empty} holds no finished run" in refused("show", empty)
    broken = copied(ran, tmp_path)
    (broken / "summary.json").write_text("{")
    assert "is damaged or cut short" in refused("show", broken)
    (broken / "manifest.json").write_text("[]")
    assert "manifest.json cannot be read" in refused("show", broken)


def test_folders_without_a_point_or_a_measure_in_common_are_refused(swept, tmp_path):
    other = make(small_sweep(seeds=(1,), capacities=(7_000_000,)), tmp_path / "other")
    told = f"{swept} and {other} have no point in common: the first has 5 M, 60 M, the second 7 M"
    assert told in refused("compare", swept, other)
    nameless = copied(swept, tmp_path)
    table = pd.read_parquet(nameless / "index.parquet")
    measures = ["point", "chain.gas_limit", "seed", "fingerprint", "error", "identity", "file", "file_bytes", "hours"]
    table[measures].to_parquet(nameless / "index.parquet")
    assert "have no main measure in common" in refused("compare", swept, nameless)


def test_a_page_that_cannot_be_written_is_one_sentence(swept, tmp_path):
    folder = copied(swept, tmp_path)
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    assert "cannot be used: Is a directory" in refused("show", folder)


# Pages.


def test_page_escapes_everything_it_is_given():
    nasty = "<b>\"&'"
    blocks = [
        Bullets([nasty]),
        Code(nasty),
        Table([nasty, "x"], [[nasty, "1"]], caption=nasty),
        Folded(nasty, [Code(nasty)]),
    ]
    text = render(Page(nasty, nasty, [nasty], [Section(nasty, blocks)]))
    assert "<b>" not in text
    assert text.count("&lt;b&gt;") == 14


def test_numbers_are_flush_right_and_words_are_not():
    rows = [["a", "1.5 ±0.2", "−3", "41 %"], ["2", "1e-08 ±8e-10", "–", "9e+14 %"], ["b", "", "1_000", "0"]]
    assert Table(["w", "x", "y", "z"], rows).numeric == [False, True, True, True]


def test_settings_name_a_file_of_prices_but_not_where_it_lies(tmp_path):
    prices = tmp_path / "mine.csv"
    prices.write_text("time_s,price_usd\n0,3000\n600,3001\n")
    scenario = load_scenario("ethereum-30m", {"price.source": "file", "price.file": str(prices)})
    text = render(Page("q", "a", [], [settings_section(scenario)]))
    assert "mine.csv" in text
    assert str(tmp_path) not in text
