import doctest
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blockspace.network import fee_market
from blockspace.network.fee_market import (
    EIP1559,
    FEE_RULES,
    FeeRule,
    FirstPrice,
    FixedPrice,
    GasTargets,
    exponential_basis_points,
    next_base_fee,
    next_gas_limit,
)

LIMIT = 60_000_000
GWEI = 1_000_000_000
OP_STACK = EIP1559(
    elasticity=6,
    denominator=125,
    minimum_base_fee_wei=5_000_000,
    initial_base_fee_wei=5_000_000,
    burns_base_fee=False,
)

fees = st.integers(0, 10**15)
limits = st.integers(10_000, 10**9)


@pytest.mark.parametrize(
    ("base_fee", "uses", "expected"),
    [
        (GWEI, [60_000_000], 1_125_000_000),
        (GWEI, [0], 875_000_000),
        (GWEI, [45_000_000], 1_062_500_000),
        (GWEI, [30_000_001], 1_000_000_004),
        (GWEI, [30_000_000], GWEI),
        (GWEI, [60_000_000] * 6, 2_027_286_528),  # 1.125 ** 6 in floating point would end in 529.5
        (GWEI, [0] * 6, 448_795_319),
        (GWEI, [60_000_000, 0], 984_375_000),  # a full and an empty block lose 1/64
        (7, [0], 7),
        (7, [0] * 100, 7),
        (7, [60_000_000], 8),
        (8, [0], 7),
        (0, [60_000_000], 1),
        (1, [30_000_001], 2),
    ],
)
def test_eip_1559_known_answers(base_fee: int, uses: list[int], expected: int) -> None:
    for gas_used in uses:
        base_fee = next_base_fee(base_fee, gas_used, LIMIT)
    assert base_fee == expected


def test_first_change_of_base_fee_on_ethereum() -> None:
    # Blocks 12,965,000 and 12,965,001, 5 August 2021.
    assert next_base_fee(1_000_000_000, gas_used=30_025_257, gas_limit=30_029_122) == 1_124_967_822


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [
        (5_000_000, LIMIT, 5_200_000),
        (5_000_000, LIMIT // 6, 5_000_000),
        (5_000_000, 0, 5_000_000),
        (5_010_000, 0, 5_000_000),
        (10_000_000, 0, 9_920_000),
        (1_000_000, 0, 5_000_000),  # a chain whose minimum is raised follows at once
    ],
)
def test_op_stack_known_answers(base_fee: int, gas_used: int, expected: int) -> None:
    assert OP_STACK.after_block(base_fee, gas_used, LIMIT) == expected


def test_target_of_an_odd_limit_rounds_down() -> None:
    assert next_base_fee(1_000, 20, 41) == 1_000
    assert next_base_fee(1_000, 33, 41) == 1_000 + 81  # 1,000 * 13 / (20 * 8) = 81.25
    assert next_base_fee(1_000, 9, 41) == 1_000 - 68  # 1,000 * 11 / (20 * 8) = 68.75


@given(fees, limits, st.data())
def test_base_fee_rises_with_the_gas_used(base_fee: int, gas_limit: int, data: st.DataObject) -> None:
    less, more = sorted(data.draw(st.lists(st.integers(0, gas_limit), min_size=2, max_size=2)))
    assert next_base_fee(base_fee, less, gas_limit) <= next_base_fee(base_fee, more, gas_limit)


@given(fees, limits, st.integers(0, 10**12), st.data())
def test_base_fee_is_never_below_the_minimum(base_fee: int, gas_limit: int, minimum: int, data: st.DataObject) -> None:
    gas_used = data.draw(st.integers(0, gas_limit))
    assert next_base_fee(base_fee, gas_used, gas_limit, minimum=minimum) >= minimum


@given(fees, limits)
def test_a_full_and_an_empty_block_multiply_by_63_64ths(base_fee: int, gas_limit: int) -> None:
    assume(gas_limit % 2 == 0 and base_fee >= 8)
    full = next_base_fee(base_fee, gas_limit, gas_limit)
    assert abs(64 * next_base_fee(full, 0, gas_limit) - 63 * base_fee) <= 64


@given(fees, limits, st.integers(1, 10), st.integers(1, 500), st.data())
def test_a_block_moves_the_fee_by_its_share_of_the_denominator(
    base_fee: int, gas_limit: int, elasticity: int, denominator: int, data: st.DataObject
) -> None:
    gas_used = data.draw(st.integers(0, gas_limit))
    target = gas_limit // elasticity
    exact = base_fee * (gas_used - target) / (target * denominator)
    change = next_base_fee(base_fee, gas_used, gas_limit, elasticity, denominator) - base_fee
    assert abs(change - exact) <= 1 + 1e-9 * abs(exact)


@pytest.mark.parametrize(
    ("gas_used", "gas_limit", "message"),
    [
        (-1, LIMIT, "gas_used was -1; it must be from 0 to the gas limit, 60000000"),
        (LIMIT + 1, LIMIT, "gas_used was 60000001"),
        (0, 1, "gas_limit was 1; it must be 2 or more"),
    ],
)
def test_impossible_blocks_are_refused(gas_used: int, gas_limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next_base_fee(GWEI, gas_used, gas_limit)


@pytest.mark.parametrize(
    ("parent", "desired", "expected"),
    [
        (30_000_000, 60_000_000, 30_029_295),  # 30,000,000 // 1024 = 29,296 is out of bounds
        (30_000_000, 15_000_000, 29_970_705),
        (30_000_000, 30_029_295, 30_029_295),
        (30_000_000, 30_000_000, 30_000_000),
        (5_000, 1, 5_000),
        (5_001, 1, 5_000),
        (5_000, 10_000, 5_003),
    ],
)
def test_gas_limit_vote_known_answers(parent: int, desired: int, expected: int) -> None:
    assert next_gas_limit(parent, desired) == expected


@given(st.integers(5_000, 10**10), st.integers(0, 10**10))
def test_gas_limit_vote_stays_in_bounds(parent: int, desired: int) -> None:
    limit = next_gas_limit(parent, desired)
    assert abs(limit - parent) < parent // 1024
    assert limit >= 5_000
    assert abs(limit - desired) <= abs(parent - desired)


def test_parent_limit_below_the_protocol_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="parent_limit was 4999; it must be 5000 or more"):
        next_gas_limit(4_999, 5_000)


@pytest.mark.parametrize(
    ("rule", "base_fee", "count", "expected"),
    [
        (EIP1559(), GWEI, 0, GWEI),
        (EIP1559(), GWEI, 6, 448_795_319),
        (EIP1559(), 100 * GWEI, 10**9, 7),
        (OP_STACK, 10_000_000, 10**9, 5_000_000),
        (FirstPrice(), 0, 10**9, 0),
        (FixedPrice(20_000_000), 20_000_000, 10**9, 20_000_000),
    ],
)
def test_empty_blocks_in_a_row(rule: FeeRule, base_fee: int, count: int, expected: int) -> None:
    assert rule.after_empty_blocks(base_fee, count, LIMIT) == expected


@pytest.mark.parametrize(
    ("name", "parameters", "initial", "burns", "after_full_block", "target"),
    [
        ("eip1559", {}, GWEI, True, 1_125_000_000, 30_000_000),
        ("eip1559", {"elasticity": 6, "burns_base_fee": False}, GWEI, False, 1_625_000_000, 10_000_000),
        ("first_price", {}, 0, False, 0, LIMIT),
        ("fixed", {"base_fee_wei": 20_000_000}, 20_000_000, False, 20_000_000, LIMIT),
        (
            "gas_targets",
            {"gas_targets": ((10_000_000, 60),), "minimum_base_fee_wei": 1_000},
            1_000,
            False,
            1_105,  # a backlog of a tenth of the target's 600,000,000
            LIMIT,
        ),
    ],
)
def test_rules_by_name(
    name: str, parameters: dict[str, int], initial: int, burns: bool, after_full_block: int, target: int
) -> None:
    rule = FEE_RULES[name](**parameters)
    assert rule.initial_base_fee == initial
    assert rule.burns_base_fee is burns
    assert rule.after_block(initial, LIMIT, LIMIT) == after_full_block
    assert rule.target_gas(LIMIT) == target


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("eip1559", {"elasticity": 0}, "elasticity was 0; it must be 1 or more"),
        ("eip1559", {"denominator": 0}, "denominator was 0; it must be 1 or more"),
        ("eip1559", {"minimum_base_fee_wei": -1}, "minimum_base_fee_wei was -1; it must be 0 or more"),
        (
            "eip1559",
            {"minimum_base_fee_wei": 9, "initial_base_fee_wei": 8},
            "initial_base_fee_wei was 8; it must be 9 or more",
        ),
        ("fixed", {"base_fee_wei": -1}, "base_fee_wei was -1; it must be 0 or more"),
        ("gas_targets", {}, "gas_targets is empty; it must have a pair of gas per second and seconds"),
        ("gas_targets", {"gas_targets": ((5, 0),)}, "a number of gas_targets was 0; it must be 1 or more"),
        (
            "gas_targets",
            {"gas_targets": ((5, 10), (6, 20))},
            "gas_targets has 6 gas per second over 20 s after 5 over 10 s; each must be lower and over a longer time",
        ),
        (
            "gas_targets",
            {"gas_targets": ((5, 10), (4, 10))},
            "gas_targets has 4 gas per second over 10 s after 5 over 10 s; each must be lower and over a longer time",
        ),
    ],
)
def test_impossible_rules_are_refused(name: str, parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FEE_RULES[name](**parameters)


def test_examples() -> None:
    assert doctest.testmod(fee_market).failed == 0
    assert set(FEE_RULES) == {"eip1559", "first_price", "fixed", "gas_targets"}


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(0, 10_000), (1, 10_001), (1_400, 11_502), (10_000, 27_083), (20_000, 70_000)],  # by hand
)
def test_polynomial_for_the_exponential(exponent: int, expected: int) -> None:
    assert exponential_basis_points(exponent) == expected


@given(st.integers(0, 20_000))
def test_polynomial_is_close_below_an_exponent_of_two(exponent: int) -> None:
    exact = 10_000 * math.exp(exponent / 10_000)
    assert 0.945 * exact - 4 <= exponential_basis_points(exponent) <= exact + 1


def test_with_one_target_a_backlog_is_what_is_beyond_it() -> None:
    rule = GasTargets(((7_000_000, 102),), 100_000_000)
    assert rule.after_block(0, 100_000_000, LIMIT, seconds=0) == 100_000_000 * exponential_basis_points(1_400) // 10_000
    assert rule.backlogs == [100_000_000]
    assert rule.after_empty_blocks(0, 10**6, LIMIT, seconds=10) == 100_000_000 * exponential_basis_points(420) // 10_000
    assert rule.backlogs == [30_000_000]
    assert rule.after_block(0, 1_000_000, LIMIT, seconds=5) == 100_000_000
    assert rule.backlogs == [0]


def test_a_rush_is_let_through_and_what_lasts_is_not() -> None:
    """At three times the low target and half of the high one, the fee rises with the window of the low target."""
    rule = GasTargets(((60_000_000, 9), (10_000_000, 1_000)), 10**9)
    fees = [rule.after_block(0, 30_000_000, LIMIT, seconds=1) for _ in range(1_000)]
    assert rule.backlogs[0] == 0
    for second in (1, 10, 100, 500):
        assert fees[second - 1] / 10**9 == pytest.approx(math.exp(2.0 * second / 1_000), rel=0.01)


def test_exponents_of_all_targets_add_up() -> None:
    targets = ((60_000_000, 9), (41_000_000, 52), (10_000_000, 86_400))
    rule = GasTargets(targets, 10**12)
    apart = [GasTargets((target,), 10**12) for target in targets]
    for gas in (300_000_000, 0, 50_000_000):
        fee = rule.after_block(0, gas, LIMIT, seconds=1)
        each = [math.log(one.after_block(0, gas, LIMIT, seconds=1) / 10**12) for one in apart]
        assert math.log(fee / 10**12) == pytest.approx(sum(each), abs=0.01)
