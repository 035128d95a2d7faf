"""Whom a rollup's sequencer keeps out, and how those who insist get in by way of the parent."""

import math

import numpy as np
import pytest

from blockspace.agents.insisting_users import ETHER
from blockspace.agents.trader import Trader
from blockspace.experiments import Market, load_checkpoint, save_checkpoint
from blockspace.experiments.scenario import ScenarioError, change_settings
from blockspace.network.chain import NS
from blockspace.network.topology import UNREACHABLE_NS

from .test_settlement import run, stack

SECONDS = 420.0
FORCE_AFTER_S, DEPOSIT_S, PATIENCE_S = 60.0, 10.0, 20.0
START_S, END_S = 91.0, 331.0
KEPT_OUT = ({"kind": "censorship", "start_s": START_S, "duration_s": END_S - START_S, "regions": ["tokyo"]},)
INSISTING = {"users_per_h": 450.0, "patience_s": PATIENCE_S, "size": 0.05, "region": "tokyo"}
NOISE = {"noise_traders": {"count": 30, "orders_per_s": 2.0}}


def insisting(faults=KEPT_OUT, insisting=None, parent=None, **tables):
    rollup = {
        "force_after_s": FORCE_AFTER_S,
        "bridge": {"deposit_s": DEPOSIT_S},
        "insisting": {**INSISTING, **(insisting or {})},
    }
    return stack(rollup, faults=faults, parent=parent, **{**NOISE, **tables})


@pytest.fixture(scope="module")
def open_to_all():
    return run(insisting(faults=()), SECONDS)


@pytest.fixture(scope="module")
def censored():
    return run(insisting(), SECONDS)


def way_s(market, world=0):
    """Seconds from Tokyo to the sequencer, or to the nearest and the farthest validator."""
    chain = market.worlds[world].chain
    latency = chain.producers["latency"][:, chain.access_points.index("access/tokyo")] / NS
    return latency.min(), latency.max()


def first_block_s(times, block_s=2.0):
    """Times of the first blocks at or after these times, to the nanosecond."""
    return np.ceil(np.round(np.asarray(times) / block_s, 9)) * block_s


def test_nobody_is_kept_out_of_a_rollup_without_censorship(open_to_all):
    wishes = open_to_all.insisting()
    assert len(wishes) > 30
    wishes = wishes[wishes["asked_s"] < SECONDS - 3.0]
    assert wishes["included_s"].to_numpy() == pytest.approx(
        first_block_s(wishes["asked_s"] + way_s(open_to_all)[0]), abs=1e-6
    )
    assert not wishes["forced"].any()
    assert wishes["parent_cost_usd"].eq(0.0).all()


def test_censorship_keeps_a_region_out_while_it_lasts_and_no_other(open_to_all, censored):
    noise = censored.world.noise
    tokyo = censored.world.access_number("access/tokyo")
    there, elsewhere = (noise["account"][(noise["access"] == tokyo) == inside] for inside in (True, False))
    assert len(there) > 0

    def orders(market, senders):
        tape = market.transactions()
        times = tape["time_s"][tape["sender"].isin(senders) & (tape["kind"] == "place")]
        return [times.between(*span, inclusive="left").sum() for span in ((0, START_S), (START_S, END_S), (END_S, 1e9))]

    before, during, after = orders(censored, there)
    assert before > 0
    assert during == 0
    assert after > 0
    assert orders(open_to_all, there)[1] > 0
    assert min(orders(censored, elsewhere)) > 0
    expired = [market.summary()["expired_per_h"] for market in (open_to_all, censored)]
    assert expired[1] > expired[0]


def test_who_is_kept_out_still_sees_every_block():
    market = Market(insisting(), seed=1)
    moments = []

    class Tokyo(Trader):
        def act(self):
            moments.append(self.time_s)

    Tokyo(market, access="access/tokyo")
    market.run_for(START_S + 60.0)
    assert START_S - 1.2 < moments[-1] < START_S - 1.0  # for the last block before it
    feed, tokyo = market.world.feeds[0], market.world.access_number("access/tokyo")
    newest = feed["views"][int(feed["count"]) - 1]
    assert newest["time"] > (START_S + 50.0) * NS
    assert 0 < newest["visible"][tokyo] - newest["time"] < NS
    assert int(market.world.chain.blocks[0]["latency"][tokyo]) == UNREACHABLE_NS


def test_who_insists_gets_in_by_way_of_the_parent_in_the_first_block_due(censored):
    wishes = censored.insisting()
    kept_out = wishes[wishes["asked_s"].between(START_S, END_S - PATIENCE_S - 12.0)]
    assert len(kept_out) > 15
    assert kept_out["forced"].all()
    gone = kept_out["asked_s"] + PATIENCE_S
    nearest, farthest = way_s(censored, 1)
    # A decision for the parent's block is taken at the last moment for it, and is in no block before that.
    assert (kept_out["sent_s"] >= gone).all()
    assert (kept_out["sent_s"] < gone + 12.0 + farthest).all()
    assert (kept_out["on_parent_s"] >= kept_out["sent_s"] + nearest - 1e-6).all()
    assert (kept_out["on_parent_s"] % 12.0).round(6).isin((0.0, 12.0)).all()
    by_rule = first_block_s(kept_out["on_parent_s"] + FORCE_AFTER_S)
    # Once it takes part again, the sequencer takes in what is waiting as it does deposits.
    seen = kept_out["on_parent_s"] + DEPOSIT_S
    by_grace = first_block_s(np.maximum(seen + 0.5, END_S))
    due = np.minimum(by_rule, by_grace)
    assert np.abs(kept_out["included_s"] - due).max() < 1e-6
    assert (kept_out["included_s"] < END_S).sum() > 5
    assert (kept_out["included_s"] >= END_S).sum() > 1
    later = wishes[wishes["asked_s"].between(END_S + 1.0, SECONDS - 3.0)]
    assert len(later) > 3
    assert not later["forced"].any()


def test_it_is_at_the_top_of_its_block_and_obeys_the_rules_there(censored):
    wishes, tape = censored.insisting(), censored.transactions()
    account = censored.forced_inclusions[0].account
    forced = wishes[wishes["forced"] & wishes["included_s"].notna()]
    for time, together in forced.groupby("included_s"):
        block = tape[np.abs(tape["time_s"] - time) < 1e-6]
        first = block.iloc[: len(together)]
        assert (first["sender"] == account).all()
        assert (first["tip_wei"] == 0).all()
        assert (first["gas_used"] == censored.settings.gas.place).all()
        assert sorted(first["decided_s"]) == pytest.approx(sorted(together["asked_s"]), abs=1e-6)
    assert forced["rollup_cost_usd"].gt(0.0).all()
    assert (tape["sender"] == account).sum() == wishes["included_s"].notna().sum()  # each of them once


def test_fees_on_the_parent_are_what_its_tape_says(censored):
    wishes, tape = censored.insisting(), censored.transactions(1)
    messages = tape[tape["kind"] == "force"]
    assert len(messages) == wishes["on_parent_s"].notna().sum() > 15
    assert sorted(messages["time_s"]) == pytest.approx(sorted(wishes["on_parent_s"].dropna()), abs=1e-6)
    gwei = messages["gas_used"] * (messages["base_fee_wei"] + messages["tip_wei"]) * 1e-9
    assert wishes["parent_cost_ether"].sum() == pytest.approx(gwei.sum() * 1e-9, abs=1e-9 * len(messages))
    prices = censored.external_prices(messages["time_s"].to_numpy())
    assert wishes["parent_cost_usd"].sum() == pytest.approx((gwei * 1e-9 * prices).sum(), rel=1e-4)


def test_what_they_paid_is_what_is_gone_from_their_accounts(censored):
    forced, wishes = censored.forced_inclusions[0], censored.insisting()
    [users] = forced.users
    gone = [
        (int(ETHER) * 10**18 - int(censored.ledger(world)["ether_wei"][account])) * 1e-18
        for world, account in ((0, forced.account), (1, users.account))
    ]
    included = wishes[wishes["included_s"].notna()]
    paid = included["rollup_cost_usd"] / censored.external_prices(included["included_s"].to_numpy())
    assert gone[0] == pytest.approx(paid.sum(), rel=1e-6)
    assert 0.0 <= gone[1] - wishes["parent_cost_ether"].sum() < 1e-9 * len(wishes)  # costs are told in whole gwei


def test_what_they_trade_is_on_the_tape(censored):
    wishes, trades = censored.insisting(), censored.trades()
    trades = trades[trades["taker"] == censored.forced_inclusions[0].account]
    assert wishes["size"].sum() == pytest.approx(trades["size"].sum())
    paid = (wishes["size"] * wishes["price_usd"]).sum()
    assert paid == pytest.approx((trades["size"] * trades["price_usd"]).sum(), rel=1e-9)
    traded = wishes[wishes["size"] > 0]
    assert len(traded) > 30
    for one in traded.head(10).itertuples():
        [side] = trades["side"][np.abs(trades["time_s"] - one.included_s) < 1e-6].unique()[:1]
        assert side in ("buy", "sell")


def test_measures_are_those_of_the_wishes(open_to_all, censored):
    before, after = open_to_all.summary(), censored.summary()
    wishes = censored.insisting()
    included = wishes[wishes["included_s"].notna()]
    times = included["included_s"] - included["asked_s"]
    assert after["insisting_inclusion_median_s"] == pytest.approx(times.median())
    assert after["insisting_inclusion_p95_s"] == pytest.approx(times.quantile(0.95))
    assert after["insisting_forced_share"] == pytest.approx(included["forced"].mean())
    assert after["insisting_included_share"] == pytest.approx(len(included) / len(wishes))
    costs = included["parent_cost_usd"] + included["rollup_cost_usd"]
    assert after["insisting_cost_usd"] == pytest.approx(costs.mean())
    assert before["insisting_inclusion_p95_s"] < 3.0 < 60.0 < after["insisting_inclusion_median_s"]
    assert before["insisting_cost_usd"] < after["insisting_cost_usd"]
    assert -5.0 < before["insisting_slippage_bps"] < 50.0
    assert not any(name.startswith("insisting") for name in run(stack(), 60.0).summary())


def test_wishes_do_not_depend_on_what_becomes_of_them(open_to_all, censored):
    ours, others = open_to_all.insisting(), censored.insisting()
    for name in ("asked_s", "side", "region", "external_price_usd"):
        assert ours[name].equals(others[name])


def test_a_crowded_parent_makes_it_dearer_and_later(censored):
    crowd = {"background_users": {"arrivals_per_s": 60.0, "value_gwei": 60.0, "patience_s": 300.0}}
    crowded = run(insisting(parent=crowd), 300.0)
    kept_out = [
        wishes[wishes["asked_s"].between(START_S, 180.0)] for wishes in (censored.insisting(), crowded.insisting())
    ]
    waits = [(wishes["on_parent_s"].fillna(300.0) - wishes["asked_s"]).mean() for wishes in kept_out]
    costs = [wishes["parent_cost_usd"][wishes["on_parent_s"].notna()].mean() for wishes in kept_out]
    assert waits[1] > waits[0] + 12.0
    assert kept_out[1]["tries"].max() > 1 == kept_out[0]["tries"].max()
    assert costs[1] > 2.0 * costs[0]


def test_only_as_many_come_in_at_once_as_fit_and_the_first_come_first():
    gas_limit = 500_000  # four orders
    tables = {"chain": {"block_time_s": 2.0, "gas_limit": gas_limit}, "background_users": {"arrivals_per_s": 1.0}}
    market = run(insisting(insisting={"users_per_h": 2_400.0}, **tables), 260.0)
    wishes = market.insisting()
    forced = wishes[wishes["forced"] & (wishes["asked_s"] > START_S)]
    fit = gas_limit // market.settings.gas.place
    assert forced.groupby("included_s").size().max() == fit
    before = 0.0
    for on_parent, message in forced.groupby("on_parent_s"):
        first = max(first_block_s(on_parent + FORCE_AFTER_S), before)
        assert first - 1e-6 <= message["included_s"].min()
        blocks = message["included_s"].nunique()
        assert blocks <= math.ceil(len(message) / fit) + 1  # it may share its first block with earlier ones
        assert message["included_s"].max() <= message["included_s"].min() + 2.0 * (blocks - 1) + 1e-6
        before = message["included_s"].max()
    assert len(forced) > 30


def test_in_an_outage_what_is_forced_waits_until_there_are_blocks():
    outage = {"kind": "outage", "start_s": 150.0, "duration_s": 80.0}
    market = run(insisting(faults=(*KEPT_OUT, outage)), 300.0)
    wishes = market.insisting()
    due = wishes[(wishes["on_parent_s"] + FORCE_AFTER_S).between(152.0, 228.0)]
    assert len(due) > 3
    assert due["included_s"].between(230.0, 234.0).all()
    waiting = wishes[wishes["asked_s"].between(152.0, 170.0)]  # made up their minds while it stood still
    assert len(waiting) > 0
    assert waiting["forced"].all()


def test_what_is_sent_both_ways_is_carried_out_once():
    impatient = {"users_per_h": 9_000.0, "patience_s": 0.6}
    slow = {
        "chain": {"block_time_s": 0.25, "gas_limit": 20_000_000},
        "topology": {"validators": 1, "latency_scale": 3.0},
    }
    market = run(insisting((), impatient, **slow), 200.0)
    wishes = market.insisting()
    # In a block that they had not seen yet when their patience was over: what they sent to the parent is void there.
    in_vain = wishes["sent_s"].notna() & wishes["included_s"].lt(wishes["on_parent_s"])
    assert in_vain.sum() > 3
    assert not wishes["forced"][in_vain].any()
    assert wishes["parent_cost_usd"][in_vain].gt(0.0).all()
    ours = market.transactions()["sender"] == market.forced_inclusions[0].account
    assert ours.sum() == wishes["included_s"].notna().sum()


def test_what_is_forced_where_nobody_pays_for_failures_is_left_out_if_it_fails():
    protected = {"block_time_s": 2.0, "gas_limit": 20_000_000, "revert_protection": True}
    market = run(insisting(chain=protected, market_makers={"count": 0}), 240.0)
    wishes, summary = market.insisting(), market.summary()
    assert wishes["left_out"].sum() > 5
    assert wishes["included_s"].isna().all()
    assert wishes["rollup_cost_usd"].eq(0.0).all()
    assert summary["insisting_included_share"] == 0.0
    assert math.isnan(summary["insisting_inclusion_median_s"])


def test_what_is_forced_into_a_batch_is_not_told_apart_in_it():
    market = run(insisting(venue={"matching": "batch"}), 240.0)
    wishes, summary = market.insisting(), market.summary()
    assert wishes["forced"].sum() > 5
    assert wishes["price_usd"].isna().all()
    assert math.isnan(summary["insisting_slippage_bps"])
    trades = market.trades()
    account = market.forced_inclusions[0].account
    assert ((trades["taker"] == account) | (trades["maker"] == account)).any()


def test_what_a_reorganisation_of_the_parent_throws_away_is_sent_anew(censored):
    undone = {"kind": "reorganisation", "start_s": 171.0, "duration_s": 30.0}
    scenario = change_settings(censored.settings, {"chains.0.faults": [undone]})
    before, after = censored.insisting(), run(scenario, 300.0).insisting()
    lost = before[before["on_parent_s"].between(141.5, 171.0)]["wish"]
    assert len(lost) > 1
    again = after.set_index("wish").loc[lost]
    assert (again["tries"] == 2).all()
    assert again["on_parent_s"].between(180.0, 204.0).all()
    assert np.abs(again["included_s"] - first_block_s(again["on_parent_s"] + FORCE_AFTER_S)).max() < 1e-6
    assert (again["parent_cost_usd"].to_numpy() > before.set_index("wish").loc[lost]["parent_cost_usd"]).all()
    kept = before[before["on_parent_s"] < 141.0]["wish"]
    assert after.set_index("wish").loc[kept, "included_s"].equals(before.set_index("wish").loc[kept, "included_s"])


def test_what_came_by_way_of_the_parent_comes_again_if_its_block_is_undone():
    crash = {"kind": "crash", "start_s": 215.0, "duration_s": 10.0}
    many = {"region": "", "users_per_h": 2_400.0}
    before = Market(insisting((*KEPT_OUT, crash), many), seed=1)
    before.run_for(214.5)
    market = run(before.settings, 340.0)
    since = market.losses()["since_s"].iloc[0]
    then, now = (one.insisting().set_index("wish") for one in (before, market))
    undone = then[then["included_s"] > since]
    forced, ordinary = (undone[undone["forced"] == way].index for way in (True, False))
    assert len(forced) > 1
    assert len(ordinary) > 1
    assert now.loc[forced, "included_s"].between(225.0, 228.0).all()  # the first block of those that go on
    assert now.loc[forced, "parent_cost_usd"].equals(then.loc[forced, "parent_cost_usd"])
    assert now.loc[ordinary, "forced"].all()
    assert (now.loc[ordinary, "sent_s"] > 215.0).all()
    kept = then[then["included_s"] <= since].index
    assert now.loc[kept].equals(then.loc[kept])
    lots = market.ledger().filter(regex="_lots$").iloc[market.forced_inclusions[0].account, 0]
    signed = now["size"] * np.where(now["side"] == "buy", 1.0, -1.0)
    assert lots * market.world.lot_size(0) == pytest.approx(
        signed.sum(), abs=1e-9
    )  # what was undone counts for nothing


def test_what_was_in_no_block_waits_once_if_everything_is_undone():
    crash = {"kind": "crash", "start_s": 55.0, "duration_s": 5.0}
    out = {"kind": "censorship", "start_s": 0.0, "duration_s": 300.0, "regions": ["tokyo"]}
    tables = {"insisting": {"users_per_h": 2_400.0}, "parent": None}
    before = Market(insisting((out, crash), **tables), seed=1)
    before.run_for(54.9)
    wishes = before.insisting()
    assert (wishes["on_parent_s"].notna() & wishes["included_s"].isna()).sum() > 1
    market = run(before.settings, 200.0)
    assert market.losses()["since_s"].tolist() == [0.0]
    forced = market.forced_inclusions[0]
    assert len(set(forced._open)) == len(forced._open)
    assert len(set(forced._queue)) == len(forced._queue)
    sent = market.transactions()
    assert (sent["sender"] == forced.account).sum() == market.insisting()["included_s"].notna().sum()


def test_a_resumed_run_is_the_run_that_never_stopped(censored, tmp_path):
    market = Market(censored.settings, seed=1)
    market.run_for(200.0)
    wishes = market.insisting()
    assert (wishes["on_parent_s"].notna() & wishes["included_s"].isna()).any()
    assert (wishes["sent_s"].isna() & wishes["included_s"].isna()).any()
    save_checkpoint(market, tmp_path)
    resumed = load_checkpoint(tmp_path)
    resumed.run_for(SECONDS - 200.0)
    resumed.check()
    assert resumed.insisting().equals(censored.insisting())
    assert resumed.fingerprint() == censored.fingerprint()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"faults": [{"kind": "censorship"}]},
            r"regions is \[\] for a fault of kind 'censorship'; it must name at least one",
        ),
        ({"faults": [{"kind": "censorship", "regions": ["moon"]}]}, "regions has 'moon'; it may have virginia, "),
        (
            {"topology.regions": ["virginia", "london"], "rollup.insisting.region": "", "faults.0.regions": ["tokyo"]},
            r"faults.0.regions has 'tokyo'; it may have those of topology.regions, virginia, london",
        ),
        (
            {"chains.0.faults": [{"kind": "censorship", "regions": ["tokyo"]}]},
            "faults.0.kind is 'censorship'; it may be so only where rollup.kind is not 'none'",
        ),
        (
            {"topology.regions": ["virginia", "london"], "faults": []},
            "rollup.insisting.region is 'tokyo'; it must be empty or one of topology.regions, virginia, london",
        ),
        ({"rollup.insisting.size": 1e-6}, r"rollup.insisting.size is 1e-06; it must be a lot of .* at least"),
        ({"rollup.insisting.gas": 10**7, "chains.0.chain.gas_limit": 9 * 10**6}, "a block of parent has 9000000"),
        ({"chains.0.rollup.insisting.users_per_h": 5.0}, "users_per_h is 5; it must be 0 where rollup.kind is 'none'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(changes, sentence):
    with pytest.raises(ScenarioError, match=sentence) as error:
        change_settings(insisting(), changes)
    assert "\n" not in str(error.value)


def test_times_are_finite_numbers(censored):
    assert all(math.isfinite(value) for name, value in censored.summary().items() if name.startswith("insisting"))
