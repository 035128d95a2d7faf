"""Accounts linked across chains: credits recomputed, cash accounted for, and what an outage does to the others."""

import numpy as np
import pytest

from blockspace.experiments import Market, load_checkpoint, save_checkpoint
from blockspace.experiments.scenario import ScenarioError, change_settings
from blockspace.markets.ledger import totals
from blockspace.markets.unified_margin import KEPT_STATES
from tests.experiments.small import linked_chains
from tests.markets.test_unified_margin import slow_requirement

SECONDS = 400.0
NS = 10**9
GENTLE = (60.0, 120.0, 0.98)
LATE = ({"kind": "outage", "start_s": 100.0, "duration_s": 60.0},)
HALT = ({"kind": "outage", "start_s": 60.0, "duration_s": 200.0},)


def run(mode, seconds=SECONDS, seed=1, **settings):
    market = Market(linked_chains(mode, seconds, **settings), seed=seed, tapes="none")
    market.run_for(seconds)
    market.check()
    return market


def equity_of(hub, place, owner):
    venue = hub.worlds[place].venues[0]
    row = venue["ledger"]["accounts"][int(hub.accounts[owner, place])]
    return int(row["cash"]) + int(row["position"][0]) * int(venue["instruments"][0]["mark"])


@pytest.fixture(scope="module", params=["isolated", "pooled", "unified"])
def market(request):
    return run(request.param)


@pytest.fixture(scope="module")
def halted():
    return {mode: run(mode, faults=HALT, crash=GENTLE) for mode in ("isolated", "pooled", "unified")}


def test_the_same_seed_gives_the_same_run_and_another_one_another(market):
    mode = market.settings.unified_margin.mode
    assert run(mode).fingerprint() == market.fingerprint()
    if mode == "unified":
        assert run(mode, seed=2).fingerprint() != market.fingerprint()


def test_every_ledger_sums_to_zero_and_cash_between_them_is_all_there_after_every_block():
    market = Market(linked_chains("unified", 200.0, faults=LATE), seed=3, tapes="none")
    hub = market.margin_hub
    moving = 0
    while market.time < 199.0:
        market.step()
        market.check()
        moving = max(moving, len(hub.transfers.under_way))
        for world in market.worlds:
            assert not any(totals(world.venues[0]["ledger"]).values())
    assert moving > 5, "cash was under way while it was checked"


def test_check_notices_cash_that_got_lost_between_chains():
    market = run("pooled", 110.0)
    assert market.margin_hub.transfers.under_way
    market.margin_hub.transfers.under_way.pop()
    with pytest.raises(RuntimeError, match=r"transit accounts hold .* micro-dollars, and .* are on their way"):
        market.check()


def test_hedgers_begin_with_what_the_rules_ask_for_times_their_cushion():
    for mode in ("isolated", "unified"):
        market = Market(linked_chains(mode, SECONDS), seed=1, tapes="none")
        hub = market.margin_hub
        buffer = 3.0 * 0.04 * (6.0 / 86_400.0) ** 0.5
        for owner, row in enumerate(hub.hedgers):
            legs = [int(hub.look(place)[1][owner]) * 1e-6 for place in (0, 1)]
            assert max(legs) == pytest.approx(row["long_usd"], abs=2.0)
            assert min(legs) == pytest.approx(-row["short_usd"], abs=2.0)
            alone = 0.05 * sum(map(abs, legs))
            together = 2.0 * slow_requirement(legs, [0.025] * 2, 1.0, [buffer] * 2)
            needed = row["cushion"] * (alone if mode == "isolated" else together)
            assert sum(equity_of(hub, place, owner) for place in (0, 1)) * 1e-6 == pytest.approx(needed, abs=1e-5)


def test_nothing_is_linked_where_chains_stand_by_themselves():
    market = run("isolated", 200.0)
    hub = market.margin_hub
    assert hub.transfers.count == hub.messages.sum() == 0
    for world in market.worlds:
        assert not world.venues[0]["margin"]["credit"].any()


def test_credit_is_what_was_known_and_nothing_newer():
    """Recompute every credit from the states of the other chain as they were recorded here, block by block."""
    market = Market(linked_chains("unified", 150.0), seed=5, tapes="none")
    hub = market.margin_hub
    history = {0: [], 1: []}  # time, equity of each owner with what has left and without what has come, value

    def note(place):
        world = hub.worlds[place]
        equity = [equity_of(hub, place, owner) for owner in range(40)]
        value = [
            int(world.venues[0]["ledger"]["accounts"]["position"][hub.accounts[owner, place], 0])
            * int(world.venues[0]["instruments"][0]["mark"])
            for owner in range(40)
        ]
        gone = hub.moved[:, place] - hub.written_off[:, place]
        history[place].append((int(world.chain.time_ns), np.array(equity) + gone, np.array(value)))

    compared = 0
    while market.time < 149.0:
        before = [int(world.chain.time_ns) for world in hub.worlds]
        market.step()
        for place in (0, 1):
            now = int(hub.worlds[place].chain.time_ns)
            if now == before[place]:
                continue
            note(place)
            known = int(hub.known_time[place, 1 - place])
            assert known == 0 or known <= now - 6 * NS, "no message is younger than its delay"
            there = [entry for entry in history[1 - place] if entry[0] == known]
            if not there:
                continue
            _, equities, values = there[0]
            buffer = 3.0 * 0.04 * ((now - known) / 86_400e9) ** 0.5
            own = history[place][-1][2]
            for owner in range(40):
                legs = [own[owner], values[owner]]
                together = slow_requirement(legs, [0.025] * 2, 1.0, [buffer] * 2)
                expected = equities[owner] + hub.moved[owner, place] + 0.025 * abs(own[owner]) - together
                found = hub.worlds[place].venues[0]["margin"]["credit"][hub.accounts[owner, place]]
                assert found == pytest.approx(expected, abs=2.0)
                compared += 1
    assert compared > 4_000


def test_cash_arrives_with_the_first_block_after_its_delay():
    market = Market(linked_chains("pooled", 200.0), seed=1, tapes="none")
    transfers, seen = market.margin_hub.transfers, []
    while market.time < 199.0:
        under_way = [tuple(one) for one in transfers.under_way]
        market.step()
        time = max(int(world.chain.time_ns) for world in market.worlds)
        for one in under_way:
            if list(one) not in transfers.under_way:
                seen.append((time - one[0]) / NS)
    assert len(seen) > 10
    assert 0.0 <= min(seen) <= max(seen) < 2.0


def test_messages_pay_for_their_space():
    market = run("unified", 100.0)
    for world, messenger in zip(market.margin_hub.worlds, market.margin_hub.messengers, strict=True):
        spent = 10_000 - market.ledger(market.worlds.index(world))["ether"][messenger.account]
        gas = 100_000 + 40 * 5_000
        sent = market.margin_hub.messages[market.margin_hub.worlds.index(world)]
        assert sent > 15
        assert spent == pytest.approx(sent * gas * 1e-10, rel=0.1)


def test_a_chain_that_halts_is_remembered_as_it_was():
    market = Market(linked_chains("unified", SECONDS, faults=HALT), seed=1, tapes="none")
    market.run_for(200.0)
    hub = market.margin_hub
    assert hub.known_time[0, 1] <= 60 * NS
    assert hub.known_time[1, 0] <= 60 * NS, "nor does it hear anything"
    market.run_for(150.0)
    assert hub.known_time[0, 1] > 260 * NS


def test_an_outage_spreads_where_margin_is_unified_and_not_where_it_is_isolated(halted):
    free = {mode: run(mode, crash=GENTLE).summary() for mode in ("isolated", "unified")}
    first = {mode: halted[mode].summary()["hedgers_defaulted_first"] for mode in free}
    assert first["isolated"] == free["isolated"]["hedgers_defaulted_first"] == 0
    assert first["unified"] >= free["unified"]["hedgers_defaulted_first"] + 5
    assert halted["isolated"].summary()["joint_default_percent"] == 0.0
    assert halted["unified"].summary()["joint_default_percent"] > free["unified"]["joint_default_percent"] + 10.0


def test_netting_saves_margin():
    posted = {mode: Market(linked_chains(mode, 10.0), 1).margin_hub.posted.sum() for mode in ("isolated", "unified")}
    assert posted["unified"] < 0.4 * posted["isolated"]


def test_what_has_not_come_in_time_is_written_off_and_goes_back_to_the_fund_when_it_comes(halted):
    summary = halted["unified"].summary()
    hub = halted["unified"].margin_hub
    assert summary["hedger_bad_debt_usd"] > 0
    assert summary["hedger_debt_recovered_usd"] > 0
    paid, socialised, recovered = (int(part) for part in hub.bad_debts.sum(axis=0))
    assert int(hub.written_off.sum()) == paid + socialised - recovered


def test_a_checkpoint_between_sending_and_arriving(tmp_path):
    market = Market(linked_chains("unified", 200.0, faults=LATE), seed=1, tapes="memory")
    market.run_for(111.0)
    assert market.margin_hub.transfers.under_way
    save_checkpoint(market, tmp_path / "kept")
    continued = load_checkpoint(tmp_path / "kept")
    for one in (market, continued):
        one.run_for(89.0)
        one.check()
    assert continued.fingerprint() == market.fingerprint()
    assert (continued.margin_hub.known == market.margin_hub.known).all()
    assert continued.summary() == market.summary()


def test_states_that_are_no_longer_kept_are_not_spoken_of():
    hub = Market(linked_chains("unified", 10.0), 1).margin_hub
    for number in range(KEPT_STATES + 5):
        hub.synchronise(10 * NS + number)
    assert hub.newest_state(0, 10 * NS) == -1
    assert hub.newest_state(0, 10 * NS + KEPT_STATES) == KEPT_STATES + 1


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("chains.0.margin.liquidations", False, "hedgers.count is 40; it must be 0 unless margin.liquidations is true"),
        ("chains.0.margin.mode", "isolated", "margin.mode of second is 'isolated'; with hedgers it must be"),
        ("hedgers.count", 100, "unified_margin.account_gas is 1000000; with 100 accounts a message takes 100100000"),
        ("chains.0.hedgers.count", 3, "hedgers.count of second is 3; it must be 0 on further chains"),
        ("chains", [], "hedgers.count is 40; it must be 0 where there is only one chain"),
    ],
)
def test_what_cannot_be_linked_is_refused(path, value, message):
    changes = {"chains.0.liquidators.count": 0} if path.endswith("liquidations") else {}
    changes |= {"unified_margin.account_gas": 1_000_000} if path == "hedgers.count" else {}
    with pytest.raises(ScenarioError, match=message):
        change_settings(linked_chains("unified", 10.0), {**changes, path: value})
