import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blockspace.network.chain import NS, Chain
from blockspace.network.fee_market import next_base_fee
from blockspace.network.settings import ChainSettings, FeeMarketSettings, MempoolSettings, TopologySettings
from blockspace.network.transaction import ACCESS_POINTS

from .slow_mempool import check_mempool, submit

SEQUENCER = TopologySettings(validators=1, regions=("virginia", "london"))


def new_chain(seed=1, topology=SEQUENCER, fee_market=None, **chain):
    fee_market = fee_market or FeeMarketSettings()
    return Chain(ChainSettings(**chain), fee_market, topology, MempoolSettings(capacity=64), seed)


def make_block(chain, gas_used=0):
    chain.open()
    chain.fill()
    chain.price_next(gas_used)
    chain.close()


def times_of_blocks(chain, count):
    times = np.empty(count, np.int64)
    for number in range(count):
        make_block(chain)
        times[number] = chain.time_ns
    return times


@pytest.mark.parametrize("block_time_s", [12.0, 2.0, 0.25, 1e-3, 1e-6, 1 / 3])
def test_slots_come_at_whole_multiples_of_the_block_time(block_time_s):
    chain = new_chain(block_time_s=block_time_s)
    interval = round(block_time_s * NS)
    assert times_of_blocks(chain, 50).tolist() == [number * interval for number in range(1, 51)]
    assert (chain.number, chain.next_time_ns) == (50, 51 * interval)


def test_poisson_gaps_are_exponential_with_the_block_time_as_mean():
    times = times_of_blocks(new_chain(block_time_s=600.0, block_arrivals="poisson"), 20_000)
    gaps_s = np.diff(times, prepend=0) / NS
    assert gaps_s.min() > 0
    assert gaps_s.mean() == pytest.approx(600, rel=4 / np.sqrt(20_000))
    assert stats.kstest(gaps_s / 600, "expon").pvalue > 0.001
    assert abs(np.corrcoef(gaps_s[1:], gaps_s[:-1])[0, 1]) < 4 / np.sqrt(20_000)


def test_poisson_gaps_are_the_same_for_every_capacity_and_scale_with_the_block_time():
    def gaps(seed=1, **chain):
        return np.diff(times_of_blocks(new_chain(seed, block_arrivals="poisson", **chain), 500), prepend=0)

    base = gaps(block_time_s=10.0)
    assert np.array_equal(gaps(block_time_s=10.0, gas_limit=10**6), base)
    assert np.abs(gaps(block_time_s=20.0) - 2 * base).max() <= 2  # nanoseconds, from rounding up
    assert not np.array_equal(gaps(seed=2, block_time_s=10.0), base)


def test_poisson_blocks_never_share_a_nanosecond():
    times = times_of_blocks(new_chain(block_time_s=1e-6, block_arrivals="poisson"), 5_000)
    assert np.diff(times).min() >= 1


FEE_MARKETS = {
    "ethereum": FeeMarketSettings(),
    "slow": FeeMarketSettings(denominator=250, elasticity=6),
    "with a minimum": FeeMarketSettings(minimum_base_fee_wei=7_000_000),
    "near the end": FeeMarketSettings(initial_base_fee_wei=9),
    "fixed": FeeMarketSettings(rule="fixed", base_fee_wei=123),
    "first price": FeeMarketSettings(rule="first_price"),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(FEE_MARKETS)), st.integers(1, 5), st.integers(0, 40_000))
def test_skipping_empty_blocks_equals_making_them_one_by_one(market, made, idle_ms):
    skipping, stepping = (new_chain(fee_market=FEE_MARKETS[market], block_time_s=0.25) for _ in range(2))
    for chain in (skipping, stepping):
        for _ in range(made):
            make_block(chain, gas_used=30_000_000)
    until = skipping.time_ns + idle_ms * 1_000_000
    skipped = skipping.skip_empty_blocks(until)
    for _ in range(skipped):
        make_block(stepping)
    assert (skipping.number, skipping.base_fee, skipping.next_time_ns) == (
        stepping.number,
        stepping.base_fee,
        stepping.next_time_ns,
    )
    assert skipping.next_time_ns <= max(until, skipping.time_ns + NS // 4)  # what is due is not missed
    assert until - skipping.next_time_ns < NS // 4  # and nothing more could have been skipped
    for chain in (skipping, stepping):
        make_block(chain)
    assert (skipping.time_ns, skipping.number) == (stepping.time_ns, stepping.number)
    assert skipping.blocks["producer"] == stepping.blocks["producer"]


@pytest.mark.parametrize(("until_ns", "skipped"), [(0, 0), (10, 0), (19, 0), (20, 1), (21, 1), (1_000, 99)])
def test_a_chain_stops_skipping_at_the_last_slot_in_time(until_ns, skipped):
    chain = new_chain(block_time_s=1.0)
    chain._interval_ns = chain.next_time_ns = 10
    assert chain.skip_empty_blocks(until_ns) == skipped
    assert (chain.number, chain.next_time_ns) == (skipped, 10 + 10 * skipped)


@pytest.mark.parametrize("decided", [0, 1_234_567_890, 5_000_000_000])
def test_skipping_stops_before_a_transaction_on_its_way_arrives(decided):
    skipping, stepping = (new_chain(block_time_s=0.001) for _ in range(2))
    for chain in (skipping, stepping):
        submit(chain.pools, access=1, decided=decided, max_fee=10**10)
        submit(chain.pools, access=0, decided=decided + 40_000_000, max_fee=10**10, sender=2)
    found, blocks_made = {}, {}
    for chain in (skipping, stepping):
        found[chain], blocks_made[chain] = [], 0
        while len(found[chain]) < 2:
            if chain is skipping:
                chain.skip_empty_blocks(10**12)
            chain.open()
            chain.fill()
            blocks_made[chain] += 1
            found[chain] += [(chain.number, chain.time_ns, chain.base_fee)] * int(chain.blocks["count"][0])
            chain.price_next(0)
            chain.close()
    assert found[skipping] == found[stepping]
    assert blocks_made[skipping] <= 4 < blocks_made[stepping]


def test_nothing_is_skipped_while_a_transaction_waits_for_a_lower_fee():
    chain = new_chain(block_time_s=0.001)
    submit(chain.pools, max_fee=500_000_000)
    make_block(chain)
    assert chain.pools[0]["count"] == 1
    assert chain.skip_empty_blocks(10**12) == 0


def test_base_fee_after_a_long_idle_stretch_is_exact_at_no_cost():
    chain = new_chain(block_time_s=1e-6, fee_market=FeeMarketSettings(minimum_base_fee_wei=1_000))
    make_block(chain)
    assert chain.base_fee == 875_000_000
    assert chain.skip_empty_blocks(10 * 365 * 86_400 * NS) > 10**14
    assert chain.base_fee == 1_000

    chain = new_chain(block_time_s=1.0)
    chain.skip_empty_blocks(21 * NS)
    fee = 1_000_000_000
    for _ in range(20):
        fee = next_base_fee(fee, 0, 30_000_000)
    assert (chain.number, chain.base_fee, int(chain.blocks["base_fee"][0])) == (20, fee, fee)


def test_blocks_at_random_times_are_never_skipped():
    chain = new_chain(block_arrivals="poisson")
    before = chain.next_time_ns
    assert chain.skip_empty_blocks(10**15) == 0
    assert (chain.next_time_ns, chain.number) == (before, 0)


@pytest.mark.parametrize("block_arrivals", ["slots", "poisson"])
@pytest.mark.parametrize("stake_concentration", [0.0, 1.0])
def test_validators_propose_in_proportion_to_their_stake_and_independently(block_arrivals, stake_concentration):
    topology = TopologySettings(validators=20, stake_concentration=stake_concentration)
    chain = new_chain(4, topology, block_time_s=0.01, block_arrivals=block_arrivals)
    producers = np.empty(20_000, int)
    for number in range(producers.size):
        make_block(chain)
        producers[number] = chain.blocks["producer"][0]
    expected = chain.stake * producers.size
    assert stats.chisquare(np.bincount(producers, minlength=20), expected).pvalue > 0.001
    repeats = np.mean(producers[1:] == producers[:-1])
    usual = np.sum(chain.stake**2)
    assert repeats == pytest.approx(usual, abs=4 * np.sqrt(usual / producers.size))


def test_the_header_holds_the_producers_paths_and_account():
    topology = TopologySettings(validators=30)
    chain = new_chain(2, topology)
    chain.producers["account"] = np.arange(30) + 1_000
    points = len(chain.access_points)
    assert points <= ACCESS_POINTS
    for _ in range(50):
        chain.open()
        block = chain.blocks[0]
        producer = int(block["producer"])
        assert block["producer_account"] == producer + 1_000
        assert block["latency"][:points].tolist() == [int(chain.latency_ns(point)[producer]) for point in range(points)]
        chain.close()


def test_the_proposers_do_not_depend_on_capacity_or_on_who_else_trades():
    def producers(**chain_settings):
        chain, found = new_chain(3, TopologySettings(validators=50), **chain_settings), []
        for _ in range(200):
            make_block(chain)
            found.append(int(chain.blocks["producer"][0]))
        return found

    assert producers() == producers(gas_limit=10**6) == producers(byte_limit=10**6)


def test_latencies_scale_and_vanish():
    full, half, none = (
        new_chain(topology=TopologySettings(validators=5, latency_scale=scale)) for scale in (1.0, 0.5, 0.0)
    )
    for point in range(len(full.access_points)):
        assert np.array_equal(half.latency_ns(point), np.rint(full.latency_ns(point) / 2))
        assert full.latency_ns(point).min() > 0
        assert not none.latency_ns(point).any()
    none.open()
    assert not none.blocks["latency"].any()
    assert not none.blocks["seconds_per_byte"].any()
    assert not none.blocks["hops"].any()


def test_an_express_lane_delays_all_others_on_their_way_in_and_nobody_on_the_way_out():
    topology = TopologySettings(validators=5)
    plain, chain = new_chain(2, topology), new_chain(2, topology)
    chain.open_express_lane(200_000_000)
    points = len(chain.access_points)
    assert chain.access_points == plain.access_points
    for _ in range(20):
        for one in (plain, chain):
            make_block(one)
        before, block = plain.blocks[0], chain.blocks[0]
        ordinary, express = slice(points), slice(points, 2 * points)
        assert np.array_equal(block["latency"][ordinary], before["latency"][ordinary] + 200_000_000)
        for twin in (ordinary, express):
            for name in ("latency_out", "seconds_per_byte", "hops"):
                assert np.array_equal(block[name][twin], before[name][ordinary])
        assert np.array_equal(block["latency"][express], before["latency"][ordinary])
    assert np.array_equal(chain.between_ns[express, ordinary], plain.between_ns)


def test_the_express_twin_arrives_the_delay_earlier():
    chain = new_chain(block_time_s=0.01)
    chain.open_express_lane(200_000_000)
    found = {}
    for sender, access in ((1, 0), (2, len(chain.access_points))):
        submit(chain.pools, access=access, decided=3_000_000, max_fee=10**10, sender=sender)
    while len(found) < 2:
        chain.open()
        chain.fill()
        order = chain.blocks[0]["order"][: int(chain.blocks["count"][0])]
        found |= dict.fromkeys(chain.pools[0]["transactions"]["sender"][order].tolist(), chain.time_ns)
        chain.close()
    assert found[1] - found[2] == 200_000_000


def test_an_express_lane_needs_room_for_every_access_point_twice():
    chain = new_chain()
    chain.access_points = ("access",) * (ACCESS_POINTS // 2 + 1)
    with pytest.raises(ValueError, match="there are 17 access points; with an express lane there may be 15"):
        chain.open_express_lane(1)


def test_a_transaction_waits_for_the_block_that_it_can_reach():
    chain = new_chain(block_time_s=0.01)
    latency = int(chain.latency_ns(1)[0])
    submit(chain.pools, access=1, decided=3_000_000, max_fee=10**10)
    first_possible = -(-(3_000_000 + latency) // 10_000_000)
    while True:
        chain.open()
        chain.fill()
        picked = int(chain.blocks["count"][0])
        chain.close()
        if picked:
            break
    assert chain.number == first_possible > 1
    check_mempool(chain.pools[0])


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("block_time_s", 0, "greater than or equal to"),
        ("gas_limit", 20_999, "greater than or equal to 21000"),
        ("block_arrivals", "sometimes", "'slots' or 'poisson'"),
        ("blocktime", 1, "not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        ChainSettings(**{setting: value})
