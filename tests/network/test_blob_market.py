"""The blob market against the numbers of the specifications."""

import pytest

from blockspace.network.blob_market import (
    FORKS,
    blob_base_fee,
    excess_for,
    fake_exponential,
    next_excess,
)
from blockspace.network.transaction import GAS_PER_BLOB

CANCUN = FORKS["cancun"]


@pytest.mark.parametrize(
    ("excess", "fraction", "fee"),
    [
        (0, 3_338_477, 1),
        (2_314_057, 3_338_477, 1),
        (2_314_058, 3_338_477, 2),
        (10_485_760, 3_338_477, 23),
        (148_099_578, 3_338_477, 18_446_739_238_971_471_609),
        (10**8, 11_684_671, 5_209),
        (2 * 10**8, 11_684_671, 27_137_919),
    ],
)
def test_base_fee_is_that_of_the_specification(excess, fraction, fee):
    assert fake_exponential(1, excess, fraction) == fee


@pytest.mark.parametrize(("name", "blocks"), [("cancun", 176), ("prague", 264), ("bpo1", 264), ("bpo2", 264)])
def test_full_blocks_from_one_wei_to_one_gwei(name, blocks):
    fork, excess, count = FORKS[name], 0, 0
    while blob_base_fee(excess, fork) < 10**9:
        excess = next_excess(excess, fork.maximum * GAS_PER_BLOB, 0, fork)
        count += 1
    assert count == blocks


@pytest.mark.parametrize(
    ("name", "up", "down"), [("cancun", 0.1250, -0.1111), *((name, 0.0817, -0.1453) for name in ("prague", "bpo2"))]
)
def test_largest_steps(name, up, down):
    fork = FORKS[name]
    excess = excess_for(10**9, fork)
    before = blob_base_fee(excess, fork)
    full = blob_base_fee(next_excess(excess, fork.maximum * GAS_PER_BLOB, 0, fork), fork)
    empty = blob_base_fee(next_excess(excess, 0, 0, fork), fork)
    assert full / before - 1.0 == pytest.approx(up, abs=1e-4)
    assert empty / before - 1.0 == pytest.approx(down, abs=1e-4)


def test_excess_never_falls_below_zero_and_stands_still_at_the_target():
    assert next_excess(100, 0, 0, CANCUN) == 0
    assert next_excess(5_000_000, 3 * GAS_PER_BLOB, 10**9, CANCUN) == 5_000_000


def test_below_the_reserve_price_the_excess_does_not_fall():
    fork = FORKS["bpo2"]
    excess = excess_for(10**9, fork)
    cheap = 16 * blob_base_fee(excess, fork)
    dear = cheap + 1
    assert next_excess(excess, 0, cheap, fork) < excess
    assert next_excess(excess, 0, dear, fork) == excess
    assert next_excess(excess, 21 * GAS_PER_BLOB, dear, fork) == excess + 7 * GAS_PER_BLOB


@pytest.mark.parametrize("fee", [1, 2, 23, 5_209, 10**9])
def test_excess_for_a_fee(fee):
    fork = FORKS["bpo2"]
    excess = excess_for(fee, fork)
    assert blob_base_fee(excess, fork) >= fee
    assert excess == 0 or blob_base_fee(excess - 1, fork) < fee


@pytest.mark.parametrize("used", [-1, 7 * GAS_PER_BLOB])
def test_use_beyond_the_maximum_is_refused(used):
    with pytest.raises(ValueError, match=f"used was {used}; it must be from 0"):
        next_excess(0, used, 0, CANCUN)
