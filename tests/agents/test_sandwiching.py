"""Sandwiches and back-runs, against a search through all that could be sent, on small pools."""

import copy
import math

import numpy as np
import pytest

from blockspace.agents.sandwiching import largest_front, plan_back_run, plan_sandwich
from blockspace.markets.pending_swaps import PENDING_SWAP
from blockspace.markets.pools.listing import CONCENTRATED, CONSTANT_PRODUCT
from blockspace.markets.pools.trial import sketch
from blockspace.markets.pools.view import POOL_VIEW
from blockspace.network.compilation import kernel
from blockspace.network.transaction import EXACT_IN, EXACT_OUT
from tests.markets.pools.slow_pools import UNIT, SlowConcentrated, SlowConstantProduct, root_at

BASE, QUOTE = 20_000, 1_000_000
LARGEST = 2**62
KINDS = {"constant product": CONSTANT_PRODUCT, "ranges": CONCENTRATED}
TICKS = (38_000, 38_600, 39_120, 39_200, 40_000)
LIQUIDITY = 141_421


class Case:
    """A pool that is seen and a swap that is pending, for the kernels and for the slow twins."""

    def __init__(self, kind, fee_ppm, side, style, size, tolerance):
        self.kind, self.side, self.exact_in = kind, side, style == EXACT_IN
        self.views, self.swaps = np.zeros(1, POOL_VIEW), np.zeros(1, PENDING_SWAP)
        view, swap = self.views[0], self.swaps[0]
        view["fee_ppm"] = fee_ppm
        view["reserves"] = BASE, QUOTE
        view["total_shares"] = 1
        if kind == CONCENTRATED:
            self.slow = SlowConcentrated(root_at(39_122), fee_ppm, 1)
            for slot, (lower, upper) in enumerate(((38_000, 40_000), (38_600, 39_200), (39_120, 40_000))):
                self.slow.mint(slot, 0, lower, upper, LIQUIDITY)
            self.slow.reserves, self.slow.fees = [BASE, QUOTE], [0, 0]
            view["sqrt_price"] = self.slow.root / UNIT
            view["liquidity"] = sum(one.liquidity for one in self.slow.active(self.slow.root, True))
            net = {38_000: 1, 38_600: 1, 39_120: 1, 39_200: -1, 40_000: -2}
            for name, ticks in (("below", TICKS[2::-1]), ("above", TICKS[3:])):
                for level, tick in enumerate(ticks):
                    view[name][level] = root_at(tick) / UNIT
                    view[f"{name}_net"][level] = net[tick] * LIQUIDITY
        else:
            self.slow = SlowConstantProduct(fee_ppm)
            self.slow.reserves, self.slow.total = [BASE, QUOTE], 1
        of_lots = (side > 0) != self.exact_in
        swap["side"], swap["style"] = side, style
        swap["amount"] = size if of_lots else size * QUOTE // BASE
        _, cost, out, _ = self.copy().swap(self.exact_in, side, int(swap["amount"]), 0 if self.exact_in else LARGEST)
        swap["bound"] = int(out * (1 - tolerance)) if self.exact_in else int(cost * (1 + tolerance))
        self.victim = self.exact_in, side, int(swap["amount"]), int(swap["bound"])

    def copy(self):
        return copy.deepcopy(self.slow)

    def swap_lots(self, pool, side, lots):
        """Micro-dollars for so many lots, or None."""
        status, cost, out, _ = pool.swap(side < 0, side, lots, 0 if side < 0 else LARGEST)
        if status != 0 or out == 0:
            return None
        return cost if side > 0 else out

    def sandwich(self, lots):
        """Whether the swap survives so many lots ahead of it, and what the two trades around it earn."""
        pool = self.copy()
        front = self.swap_lots(pool, self.side, lots)
        if front is None or pool.swap(*self.victim)[0] != 0:
            return False, None
        back = self.swap_lots(pool, -self.side, lots)
        return True, None if back is None else (back - front) * self.side


@kernel
def _largest_front(views, kind, swaps):
    return largest_front(views[0], kind, sketch(views[0]), swaps[0])


@kernel
def _plan_sandwich(views, kind, swaps):
    return plan_sandwich(views[0], kind, swaps[0])


@kernel
def _plan_back_run(views, kind, swaps, lot_price):
    return plan_back_run(views[0], kind, swaps[0], lot_price)


CASES = [
    (side, style, size, tolerance)
    for side in (1, -1)
    for style in (EXACT_IN, EXACT_OUT)
    for size, tolerance in ((700, 0.03), (150, 0.002))
]


@pytest.mark.parametrize("fee_ppm", [0, 3_000])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("side", "style", "size", "tolerance"), CASES)
def test_the_front_run_is_the_largest_that_the_bound_lets_through(kind, fee_ppm, side, style, size, tolerance):
    case = Case(KINDS[kind], fee_ppm, side, style, size, tolerance)
    found = _largest_front(case.views, case.kind, case.swaps)
    outcomes = [case.sandwich(lots) for lots in range(1, max(int(found), 20) + 60)]
    survivors = [lots for lots, (survives, _) in enumerate(outcomes, start=1) if survives]
    if (
        kind == "ranges"
    ):  # where a tick is crossed a unit is rounded away, so that one more may survive after one did not
        assert found in (0, *survivors)
        assert found + 1 not in survivors
        assert found >= 0.95 * max(survivors, default=0)
    else:
        assert found == max(survivors, default=0)
    plan = _plan_sandwich(case.views, case.kind, case.swaps)
    gains = [gain for survives, gain in outcomes if survives and gain is not None]
    if not survivors:
        assert plan.side == 0
        return
    assert (plan.side, plan.lots) == (-side, found)
    assert plan.gain == outcomes[found - 1][1]
    if plan.gain > 0:
        # A lot is worth 50 micro-dollars, and rounding takes a lot or a micro-dollar of each swap.
        assert plan.gain >= max(gains) - 2 * QUOTE / BASE


def test_large_swaps_are_worth_a_sandwich_and_small_ones_are_not():
    gains = {}
    for size in (100, 900):
        case = Case(CONSTANT_PRODUCT, 10_000, 1, EXACT_IN, size, 0.02)
        gains[size] = _plan_sandwich(case.views, case.kind, case.swaps).gain
    assert gains[100] < 0 < gains[900], "what a swap moves the price by must exceed the fee"


def test_a_swap_whose_bound_does_not_hold_is_left_alone():
    case = Case(CONSTANT_PRODUCT, 500, 1, EXACT_IN, 700, -0.01)
    assert _plan_sandwich(case.views, case.kind, case.swaps).side == 0
    assert _plan_back_run(case.views, case.kind, case.swaps, 10.0 * QUOTE / BASE).side == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("side", "style", "size", "tolerance"), CASES[::2])
def test_a_back_run_earns_most_behind_the_swap(kind, side, style, size, tolerance):
    case = Case(KINDS[kind], 3_000, side, style, size, tolerance)
    lot_price = QUOTE / BASE
    plan = _plan_back_run(case.views, case.kind, case.swaps, lot_price)
    assert plan.side == -side

    def gain(lots):
        pool = case.copy()
        assert pool.swap(*case.victim)[0] == 0
        money = case.swap_lots(pool, -side, lots)
        return -math.inf if money is None else (money - lots * lot_price) * side

    best = max(map(gain, range(1, 2 * size)))
    assert plan.gain == pytest.approx(gain(plan.lots), abs=lot_price)
    assert best - 2 * lot_price <= plan.gain <= best + 2 * lot_price
