"""A rollup's way down: its batches and claims on other chains, recomputed from the tapes of those."""

import numpy as np
import pytest

from blockspace.experiments import Market, load_scenario
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.scenario import ScenarioError, change_settings, scenario_from
from blockspace.network.data_compression import FOOTPRINTS, raw_bytes
from blockspace.network.transaction import GAS_PER_BLOB, KINDS

SECONDS = 1_200.0
POSTING = {"rule": "interval", "interval_s": 60.0, "delay_cost_usd_per_h": 1.0}
ROLLUP = {
    "kind": "optimistic",
    "claim_interval_s": 180.0,
    "posting": POSTING,
    "proofs": {"fixed_s": 20.0, "gas_per_s": 5e6},
    "challenges": {"window_s": 400.0},
}


def stack(rollup=None, parent=None, faults=(), parent_faults=(), **tables):
    """A small rollup with a market on a small parent with users of its own."""
    below = {
        "name": "parent",
        "chain": {"block_time_s": 12.0, "gas_limit": 20_000_000, "blobs": "bpo2", "checkpoint_blocks": 3},
        "fee_market": {"initial_base_fee_wei": 10**9},
        "topology": {"validators": 20},
        "background_users": {"arrivals_per_s": 12.0, "value_gwei": 5.0},
        "faults": list(parent_faults),
        **{name: {"count": 0} for name in ("market_makers", "noise_traders", "informed_traders", "arbitrageurs")},
        **(parent or {}),
    }
    return scenario_from(
        {
            "name": "rollup",
            "duration_s": SECONDS,
            "warm_up_s": 0.0,
            "chain": {"block_time_s": 2.0, "gas_limit": 20_000_000},
            "fee_market": {"elasticity": 6, "denominator": 50, "initial_base_fee_wei": 10**7},
            "topology": {"validators": 1},
            "background_users": {"arrivals_per_s": 15.0, "value_gwei": 1.0},
            "noise_traders": {"orders_per_s": 1.0},
            "rollup": {**ROLLUP, **(rollup or {})},
            "faults": list(faults),
            "chains": [below],
            **tables,
        }
    )


def checkpoints_after(times):
    """Ends of the second epoch of three blocks of 12 s after each time."""
    return ((times // 36.0 + 2.0) * 36.0).tolist()


def run(scenario, seconds=SECONDS, seed=1):
    market = Market(scenario, seed=seed)
    market.run_for(seconds)
    market.check()
    return market


@pytest.fixture(scope="module")
def optimistic():
    return run(stack())


@pytest.fixture(scope="module")
def validity():
    return run(stack({"kind": "validity"}))


@pytest.fixture(scope="module", params=["optimistic", "validity"])
def market(request):
    return request.getfixturevalue(request.param)


def test_batches_hold_every_transaction_once_and_in_order(market):
    blocks, batches = market.blocks(), market.batches()
    times, counts = blocks["time_s"], blocks["transactions"]
    assert len(batches) > 15
    for batch in batches.itertuples():
        within = (times >= batch.opened_s - 1e-6) & (times <= batch.closed_s + 1e-6)
        assert counts[within].sum() == batch.transactions
        assert blocks["gas_used"][within].sum() == batch.gas
        assert blocks["volume_usd"][within].sum() == pytest.approx(batch.value_usd, abs=1e-3)
        assert batch.block_s == pytest.approx(np.average(times[within], weights=counts[within]), abs=1e-4)
    assert (batches["opened_s"].to_numpy()[1:] > batches["closed_s"].to_numpy()[:-1]).all()
    assert batches["transactions"].sum() == counts[times <= batches["closed_s"].iloc[-1] + 1e-6].sum()


def test_postings_are_on_the_tape_of_the_parent_and_cost_what_it_says(market):
    batches, tape, blocks = market.batches(), market.transactions(1), market.blocks(1)
    posts = tape[tape["kind"] == "post"].reset_index(drop=True)
    posted = batches[batches["posted_s"].notna()]
    assert posts["time_s"].tolist() == posted["posted_s"].tolist()
    assert (posts["status"] == "succeeded").all()
    blob_fee = blocks.set_index("block")["blob_base_fee_gwei"].reindex(posts["block"]).to_numpy()
    gwei = posts["gas_used"] * (posts["base_fee_wei"] + posts["tip_wei"]) * 1e-9
    gwei += posted["blobs"].to_numpy() * GAS_PER_BLOB * blob_fee
    assert posted["cost_ether"].to_numpy() == pytest.approx(gwei.to_numpy() * 1e-9, abs=3e-9)
    assert blocks["blobs"].sum() == posted["blobs"].sum()
    assert rents(market, 1)["blobs_wei"] == pytest.approx(
        float((posted["blobs"].to_numpy() * GAS_PER_BLOB * blob_fee).sum() * 1e9), rel=1e-9
    )


def test_nothing_is_posted_before_it_is_there(market):
    batches = market.batches()
    assert (batches["closed_s"] <= batches["sent_s"]).all()
    assert (batches["posted_s"].dropna() > batches["sent_s"][batches["posted_s"].notna()]).all()
    claims = market.claims()
    for claim in claims.itertuples():
        covered = batches.loc[claim.first_batch : claim.last_batch]
        assert (covered["posted_s"] < claim.requested_s).all()
        assert not claim.sent_s < claim.ready_s


def test_an_optimistic_claim_is_final_when_nobody_can_refute_it_any_more(optimistic):
    claims = optimistic.claims()
    assert len(claims) >= 5
    final = claims[claims["final_s"].notna()]
    assert final["final_s"].tolist() == pytest.approx(checkpoints_after(final["included_s"] + 400.0), abs=0.5)
    assert final["final_s"].max() <= SECONDS < claims["included_s"].max() + 400.0


def test_a_validity_claim_is_final_when_its_proof_is_included(validity):
    claims = validity.claims()
    included = claims[claims["included_s"].notna()]
    assert len(included) >= 4
    final = included[included["final_s"].notna()]
    assert final["final_s"].tolist() == pytest.approx(checkpoints_after(final["included_s"]), abs=0.5)
    assert len(final) >= len(included) - 1
    worked = claims["ready_s"] - claims["requested_s"]
    provers = validity.settlements[0].provers
    batches = validity.batches()
    for claim in claims.itertuples():
        gas = batches.loc[claim.first_batch : claim.last_batch, "gas"].sum()
        assert worked[claim.claim] >= 20.0 + gas / provers["gas_per_s"][claim.prover] - 1e-6
        assert claim.fee_usd >= gas * provers["cost_usd_per_gas"][claim.prover] - 1e-6
    assert (validity.transactions(1)["kind"] == "claim").sum() == len(included)


def test_provers_are_paid_by_the_operator_to_the_micro_dollar(validity):
    ledger, settlement = validity.ledger(1), validity.settlements[0]
    endowed = round(validity.worlds[1].scenario.endowment.cash_usd * 1e6)
    fees = round(1e6 * validity.claims().query("included_s == included_s")["fee_usd"].sum())
    assert ledger.loc[settlement.claimer.account, "cash_micro_usd"] == endowed - fees
    provers = ledger[ledger["role"] == "prover"]["cash_micro_usd"] - endowed
    assert provers.sum() > 0
    assert (provers >= 0).all()


def test_users_pay_for_data_what_the_parent_asked_a_while_ago(optimistic):
    found = rents(optimistic)
    assert found["data_wei"] > 0
    posted = 1e18 * optimistic.batches()["cost_ether"].sum()
    assert 0.5 < found["data_wei"] / posted < 4.0


@pytest.fixture(scope="module")
def by_compression(optimistic):
    """A run with each kind of compression."""
    others = ("none", "state_differences")
    runs = {one: run(stack({"posting": {**POSTING, "compression": one}})) for one in others}
    return runs | {"batch": optimistic}


def test_what_is_posted_is_counted_from_the_transactions_of_a_batch(by_compression):
    for compression, market in by_compression.items():
        tape = market.transactions()
        tape = tape[tape["gas_used"] > 0]
        for batch in market.batches().itertuples():
            within = tape[tape["time_s"].between(batch.opened_s - 1e-6, batch.closed_s + 1e-6)]
            kinds = [KINDS.index(kind) for kind in within["kind"]]
            novel = np.array([FOOTPRINTS[kind].novel + 64 for kind in within["kind"]])
            calls = np.where(within["kind"] == "transfer", np.maximum(within["bytes"] - 110, 0) // 8, 0)
            first = within["kind"].drop_duplicates().index
            repeating = np.maximum(raw_bytes(kinds) - novel, 0)[within.index.isin(first)]
            if compression == "none":
                assert batch.bytes == 200 + within["bytes"].sum()
            elif compression == "batch":
                assert batch.bytes == 200 + (novel + calls).sum() + repeating.sum()
            else:
                # Wallets of background users write three slots each; agents' and the instrument's are published once.
                users = within["kind"] == "transfer"
                assert batch.bytes >= 200 + 13 * 3 * users.sum()
                of_agents = within[~users]
                owners = of_agents["sender"].nunique()
                assert batch.bytes <= 200 + 13 * (3 * users.sum() + 4 * owners + 4)
                assert len(of_agents) > owners


def test_less_is_posted_the_more_is_left_out(by_compression):
    posted = {}
    for compression, market in by_compression.items():
        posted[compression] = market.summary()["posted_bytes_per_transaction"]
        assert 0.5 < rents(market)["data_wei"] / (1e18 * market.batches()["cost_ether"].sum()) < 4.0
    assert posted["state_differences"] < 0.6 * posted["batch"] < 0.4 * posted["none"]


def test_the_window_of_challenges_does_not_move_the_market_of_the_rollup(optimistic):
    patient = run(stack({"challenges": {"window_s": 7 * 86_400.0}}))
    assert patient.fingerprint() == optimistic.fingerprint()
    assert patient.claims()["final_s"].isna().all()
    assert optimistic.claims()["final_s"].notna().any()


def test_one_seed_gives_one_run(optimistic):
    again = run(stack())
    assert again.fingerprint() == optimistic.fingerprint()
    assert again.batches().equals(optimistic.batches())
    assert again.summary() == pytest.approx(optimistic.summary(), nan_ok=True)


def test_a_false_claim_is_refuted_and_made_anew():
    market = run(stack(faults=[{"kind": "false_claim", "start_s": 100.0, "duration_s": 200.0}]))
    claims = market.claims()
    refuted = claims[claims["refuted_s"].notna()]
    assert claims["false"].tolist()[:1] == [True]
    assert refuted["claim"].tolist() == [0]
    assert refuted["final_s"].isna().all()
    # Its batches are claimed again, by a claim that becomes final.
    assert market.batches().loc[0, "claim"] == 1
    assert claims.loc[1, "first_batch"] == 0
    assert claims.loc[1, "final_s"] > 0
    assert (market.transactions(1)["kind"] == "challenge").sum() == 1


def test_a_false_claim_that_nobody_checks_becomes_final():
    faults = [{"kind": "false_claim", "start_s": 100.0, "duration_s": 200.0}]
    market = run(stack({"challenges": {"window_s": 300.0, "challengers": 0}}, faults=faults))
    claims = market.claims()
    assert claims["false"].tolist()[0]
    assert claims["final_s"][0] == pytest.approx(checkpoints_after(claims["included_s"] + 300.0)[0], abs=0.5)


def test_a_challenge_that_comes_too_late_changes_nothing():
    faults = [{"kind": "false_claim", "start_s": 100.0, "duration_s": 200.0}]
    slow = {"window_s": 60.0, "check_gas_per_s": 1e6}
    market = run(stack({"challenges": slow}, faults=faults))
    assert (market.transactions(1)["kind"] == "challenge").any()
    final = checkpoints_after(market.claims()["included_s"] + 60.0)
    assert market.claims()["final_s"][0] == pytest.approx(final[0], abs=0.5)
    assert market.claims()["refuted_s"].isna().all()


def test_in_an_outage_there_are_no_blocks_and_the_clock_goes_on(optimistic):
    market = run(stack(faults=[{"kind": "outage", "start_s": 300.0, "duration_s": 211.0}]))
    times = market.blocks()["time_s"]
    assert not ((times >= 300.0) & (times < 511.0)).any()
    assert times[times > 300.0].min() == 512.0
    before = times < 300.0
    assert market.blocks()[before].equals(optimistic.blocks()[optimistic.blocks()["time_s"] < 300.0])
    # What is posted lags: the parent goes on.
    assert len(market.blocks(1)) == len(optimistic.blocks(1))


def test_an_operator_that_withholds_data_posts_all_of_it_afterwards():
    market = run(stack(faults=[{"kind": "withholding", "start_s": 300.0, "duration_s": 400.0}]))
    batches = market.batches()
    assert not batches["sent_s"].between(300.0, 700.0, inclusive="left").any()
    waited = batches["posted_s"] - batches["opened_s"]
    assert waited.max() > 400.0
    assert batches["transactions"].sum() > 0.9 * market.blocks()["transactions"].sum()


def test_provers_that_stand_still_delay_finality(validity):
    market = run(
        stack({"kind": "validity"}, faults=[{"kind": "prover_failure", "start_s": 185.0, "duration_s": 300.0}])
    )
    work = validity.claims()["ready_s"][0] - validity.claims()["requested_s"][0]
    assert market.claims()["ready_s"][0] == pytest.approx(485.0 + work)


def test_a_reorganisation_of_the_parent_undoes_what_was_posted(optimistic):
    market = run(stack(parent_faults=[{"kind": "reorganisation", "start_s": 500.0, "duration_s": 200.0}]))
    undone = optimistic.batches()["posted_s"].between(300.0, 500.0, inclusive="right")
    assert undone.sum() >= 2
    batches = market.batches()[: len(undone)]
    assert (batches["posted_s"][undone] > 500.0).all()
    assert (batches["tries"][undone] == 2).all()
    assert batches["posted_s"][~undone].tolist() == optimistic.batches()["posted_s"][~undone].tolist()


def test_a_proof_that_a_reorganisation_undoes_is_paid_for_once():
    undone = [{"kind": "reorganisation", "start_s": 500.0, "duration_s": 200.0}]
    market = run(stack({"kind": "validity"}, parent_faults=undone))
    claims, settlement = market.claims(), market.settlements[0]
    assert claims["tries"].max() == 2
    fees = round(1e6 * claims.query("included_s == included_s")["fee_usd"].sum())
    endowed = round(market.worlds[1].scenario.endowment.cash_usd * 1e6)
    assert market.ledger(1).loc[settlement.claimer.account, "cash_micro_usd"] == endowed - fees


def test_postings_that_get_no_place_are_sent_anew_for_more():
    crowded = {"background_users": {"arrivals_per_s": 60.0, "value_gwei": 300.0, "burst_sd": 1.5, "patience_s": 300.0}}
    market = run(stack({"posting": {**POSTING, "wallet_patience_s": 13.0}}, crowded))
    batches = market.batches()
    assert batches["tries"].max() > 1
    assert batches["posted_s"].notna().sum() > 3


def test_the_economic_rule_posts_when_waiting_has_cost_as_much_as_posting():
    economic = {"rule": "economic", "delay_cost_usd_per_h": 2.0, "longest_wait_s": 3_600.0}
    market = run(stack({"posting": economic}))
    batches = market.batches()
    ether_usd = market.external_prices(batches["sent_s"])
    waited_s = batches["transactions"] * (batches["sent_s"] - batches["block_s"])
    cost = waited_s * 2.0 / 3_600.0
    # It would not have been time a block of the parent earlier.
    earlier = batches["transactions"] * (batches["sent_s"] - 12.0 - batches["block_s"]) * 2.0 / 3_600.0
    paid = batches["cost_ether"] * ether_usd
    assert (cost > 0.6 * paid)[batches["posted_s"].notna()].all()
    assert (earlier < 1.6 * paid)[batches["posted_s"].notna()].all()


def test_calldata_take_gas_of_the_parent_and_no_blobs():
    market = run(stack({"data": "calldata", "posting": {**POSTING, "batch_bytes": 200_000}}), seconds=400.0)
    batches, tape = market.batches(), market.transactions(1)
    posts = tape[tape["kind"] == "post"]
    assert batches["blobs"].sum() == 0
    assert posts["gas_used"].tolist() == [100_000 + 40 * size for size in batches["bytes"][batches["posted_s"].notna()]]
    assert market.worlds[0].chain.blocks["data_price"][0] > 0


def test_data_can_lie_on_another_chain_than_the_claims():
    data = stack({"data": "calldata", "posting": {**POSTING, "batch_bytes": 200_000}}).model_dump(mode="json")
    data["rollup"]["data_chain"] = "storage"
    storage = {**data["chains"][0], "name": "storage", "background_users": {"arrivals_per_s": 0.5}}
    storage["venue"] = {"gas_token": "fixed", "gas_token_usd": 0.5}
    market = run(scenario_from({**data, "chains": [*data["chains"], storage]}), seconds=600.0)
    # Users pay in ether what the operator pays in the other chain's token.
    posted_usd = market.batches()["cost_usd"].sum()
    assert 0.5 < rents(market)["data_wei"] * 1e-18 * market.external_prices([300.0])[0] / posted_usd < 4.0
    assert (market.transactions(2)["kind"] == "post").sum() == market.batches()["posted_s"].notna().sum()
    assert not (market.transactions(1)["kind"] == "post").any()
    assert (market.transactions(1)["kind"] == "claim").sum() > 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rollup.parent": "moon"}, "rollup.parent of rollup is 'moon'; it must be the name of another chain, parent"),
        (
            {"chains.0.rollup.kind": "optimistic"},
            "rollup.parent of parent is ''; it must be the name of another chain, ro",
        ),
        ({"rollup.data_chain": "rollup"}, "rollup.data_chain of rollup is 'rollup'; it must be the name of another"),
        ({"chains.0.chain.blobs": "none"}, r"the 0 blobs of a block of parent .* hold 0"),
        ({"chains.0.chain.blobs": "cancun", "rollup.posting.batch_bytes": 10**6}, "the 6 blobs of a block of parent"),
        (
            {"rollup.data": "calldata"},
            "with that much a posting takes 30574240 gas, and a block of parent has 20000000",
        ),
        ({"chains.0.name": "rollup"}, "the chains are called rollup, rollup; each must have a name of its own"),
        ({"rollup.posting.longest_wait_s": 30.0}, "interval_s is 60; it may be at most posting.longest_wait_s, 30"),
        ({"rollup.kind": "sidechain"}, "rollup.kind is 'sidechain'; it may be 'none' or 'optimistic' or 'validity'"),
        ({"faults": [{"kind": "oracle_stall"}]}, "'oracle_stall'; it may be so only where venue.oracle is 'on_chain'"),
        (
            {"faults": [{"kind": "partition"}]},
            r"regions is \[\] for a fault of kind 'partition'; it must name at least",
        ),
        ({"faults": [{"regions": ["tokyo"]}]}, "must be empty for any other kind than 'partition'"),
        ({"faults": [{"kind": "prover_failure"}]}, "it may be so only where rollup.kind is 'validity'"),
        ({"chains.0.faults": [{"kind": "withholding"}]}, "it may be so only where rollup.kind is not 'none'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(changes, sentence):
    with pytest.raises(ScenarioError, match=sentence) as error:
        change_settings(stack(), changes)
    assert "\n" not in str(error.value)


def test_a_rollup_without_a_chain_to_settle_on_is_refused():
    with pytest.raises(ScenarioError, match=r"rollup\.kind is 'validity'; it must be 'none' where there are no chains"):
        load_scenario("base", {"rollup.kind": "validity"})
