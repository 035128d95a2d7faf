import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockspace.markets.instruments import list_instrument
from blockspace.markets.ledger import ROUNDING, open_account, totals
from blockspace.markets.matching import LIMIT, cancel, place
from blockspace.markets.perpetual import (
    BASIS_MEMORY_NS,
    SAMPLE_INTERVAL_NS,
    eight_hour_rate,
    funding_rate,
    pay_funding,
    revalue,
    sample_premium,
)
from blockspace.markets.price_path import CELL_SECONDS, NODE, PricePath
from blockspace.markets.trade_log import TRADE_LOG
from blockspace.markets.venue import new_venue
from blockspace.network.block import BLOCK

S = 10**9
HOUR = 3_600
LOT_SIZE = 0.001
TICK_LOT_VALUE = 10  # micro-dollars: ticks of a cent
INDEX = 2_000_000  # micro-dollars per lot at 2,000 dollars

HOUR_NS = 3_600 * 10**9


class Steps:
    """A price that stays at each level for a hundred cells."""

    cells = 100

    def __init__(self, *levels):
        self.levels = levels
        self.initial_price = float(levels[0])

    def fill(self, first_cell, count):
        cells = np.arange(first_cell, first_cell + count) // self.cells
        nodes = np.zeros(count, NODE)
        nodes["log_price"] = np.log(np.take(self.levels, np.minimum(cells, len(self.levels) - 1)))
        nodes["log_price_end"] = nodes["log_price"]
        return nodes


STEP_S = Steps.cells * CELL_SECONDS


class Stage:
    """A venue with one instrument, an external price and a clock."""

    def __init__(self, *levels, kind="perpetual", oracle_delay_s=0, funding_interval_s=HOUR, impact_lots=10):
        self.venues = new_venue()
        self.venue = self.venues[0]
        list_instrument(self.venues, kind, TICK_LOT_VALUE, LOT_SIZE, 50_000, 0, 0, impact_lots)
        self.venue["oracle_delay"] = round(oracle_delay_s * S)
        self.venue["funding_interval"] = round(funding_interval_s * S)
        self.instrument = self.venue["instruments"][0]
        self.book = self.venue["books"][0]
        self.logs = np.zeros(1, TRADE_LOG)
        self.blocks = np.zeros(1, BLOCK)
        self.path = PricePath(Steps(*(levels or (2_000.0,))), 2**20, seed=0)

    def at(self, time_s):
        """Let a block come at a time."""
        self.blocks["time"] = round(time_s * S)
        self.path.extend(round(time_s * S))
        revalue(self.venues, self.logs, self.path.record, self.blocks)

    def quote(self, bid=None, ask=None, size=100):
        """Replace the two orders of the book."""
        for handle, side, price in ((900, 1, bid), (901, -1, ask)):
            cancel(self.book, handle, 56)
            if price is not None:
                assert place(self.book, self.logs[0], handle, 56, side, price, size, LIMIT) == 0

    def open(self, lots):
        account = open_account(self.venue["ledger"])
        self.venue["ledger"]["accounts"]["position"][account, 0] = lots
        return account


# The rate.


@pytest.mark.parametrize(
    ("premium", "eight_hours"),
    [
        # Within 0.05 % of the interest of 0.01 % the rate is the interest, exactly.
        (0.0, 0.0001),
        (0.0001, 0.0001),
        (0.0003, 0.0001),
        (0.0006, 0.0001),
        (-0.0004, 0.0001),
        # Beyond, it is the premium less or plus 0.05 %.
        (0.0007, 0.0002),
        (0.0010, 0.0005),
        (0.0100, 0.0095),
        (-0.0005, 0.0),
        (-0.0010, -0.0005),
        (-0.0100, -0.0095),
    ],
)
def test_funding_follows_the_published_rule(premium, eight_hours):
    assert eight_hour_rate(premium) == pytest.approx(eight_hours, abs=1e-18)
    for hours in (1, 2, 8):
        assert funding_rate(premium, hours * HOUR_NS) == pytest.approx(eight_hours * hours / 8, abs=1e-17)


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        (0.3204, 0.0399875),
        (0.3205, 0.04),
        (0.3206, 0.04),
        (5.0, 0.04),
        (-0.3204, -0.0399875),
        (-0.3205, -0.04),
        (-5.0, -0.04),
    ],
)
def test_funding_is_capped_at_four_percent_an_hour(premium, rate):
    assert funding_rate(premium, HOUR_NS) == pytest.approx(rate, abs=1e-15)
    assert abs(funding_rate(premium, HOUR_NS)) <= 0.04


# The payments.


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12),
    st.integers(1, 10**8),
    st.floats(-0.04, 0.04) | st.sampled_from([0.0, 0.0000125, -0.0000125]),
)
def test_payments_round_for_nobody_and_sum_to_zero(lots, index, rate):
    stage = Stage()
    accounts = [stage.open(position) for position in (*lots, -sum(lots))]
    stage.instrument["index"] = index
    pay_funding(stage.venue, 0, rate)
    cash = stage.venue["ledger"]["accounts"]["cash"]
    for account, position in zip(accounts, (*lots, -sum(lots)), strict=True):
        assert cash[account] == -math.ceil(position * index * rate)
    assert totals(stage.venue["ledger"])["cash_micro_usd"] == 0
    assert 0 <= cash[ROUNDING] <= len(accounts) + 1e-10 * sum(map(abs, lots)) * index


@pytest.mark.parametrize(
    ("lots", "rate", "paid"),
    [(3, 0.0000125, 75), (-3, 0.0000125, -75), (1, 0.00001251, 26), (-1, 0.00001251, -25), (1, -0.00001251, -25)],
)
def test_longs_pay_shorts_and_a_broken_unit_is_for_rounding(lots, rate, paid):
    stage = Stage()
    account = stage.open(lots)
    stage.instrument["index"] = INDEX
    pay_funding(stage.venue, 0, rate)
    assert stage.venue["ledger"]["accounts"]["cash"][account] == -paid


def test_funding_is_paid_once_an_hour_at_the_hour():
    stage = Stage()
    long, short = stage.open(1_000), stage.open(-1_000)
    stage.quote(199_990, 200_010)
    cash = stage.venue["ledger"]["accounts"]["cash"]
    payment = round(1_000 * INDEX * 0.0000125)
    times = [(10, 0), (HOUR - 1e-9, 0), (HOUR, 1), (HOUR + 12, 1), (2 * HOUR - 1, 1), (2 * HOUR + 5, 2), (3 * HOUR, 3)]
    for time_s, payments in times:
        stage.at(time_s)
        assert cash[long] == -payments * payment
        assert cash[short] == payments * payment
    assert stage.instrument["funding_rate"] == 0.0000125


def test_nothing_is_paid_for_spot():
    stage = Stage(kind="spot")
    account = stage.open(1_000)
    for hour in range(4):
        stage.at(hour * HOUR + 1)
    assert stage.venue["ledger"]["accounts"]["cash"][account] == 0


# The premium.


@pytest.mark.parametrize(
    ("bid", "ask", "premium"),
    [
        (199_990, 200_010, 0.0),  # the index lies between the impact prices
        (200_000, 200_010, 0.0),
        (200_200, 200_300, 0.001),
        (199_700, 199_800, -0.001),
        (202_000, 202_001, 0.01),
        (None, 200_010, 0.0),
        (200_200, None, 0.0),
    ],
)
def test_the_premium_is_the_distance_of_the_impact_prices(bid, ask, premium):
    stage = Stage()
    stage.at(1)
    stage.quote(bid, ask)
    assert sample_premium(stage.book, stage.instrument) == pytest.approx(premium, abs=1e-15)


@pytest.mark.parametrize(("size", "premium"), [(9, 0.0), (10, 0.001)])
def test_a_book_thinner_than_the_impact_size_has_no_premium(size, premium):
    stage = Stage(impact_lots=10)
    stage.at(1)
    stage.quote(200_200, 200_300, size)
    assert sample_premium(stage.book, stage.instrument) == pytest.approx(premium, abs=1e-15)


def test_the_premium_is_sampled_every_five_seconds_and_averaged_over_the_hour():
    assert SAMPLE_INTERVAL_NS == 5 * S
    stage = Stage()
    stage.at(0.5)
    assert stage.instrument["premium_samples"] == 1
    stage.at(5.5 - 1e-9)
    assert stage.instrument["premium_samples"] == 1
    for time_s in range(6, HOUR, 1):
        # Half of the hour at a premium of 0.4 %, half at none.
        stage.quote(*((200_800, 200_900) if time_s < HOUR / 2 else (199_990, 200_010)))
        stage.at(time_s)
    assert stage.instrument["premium_samples"] == 720
    stage.at(HOUR)
    assert stage.instrument["funding_rate"] == pytest.approx((0.002 - 0.0005) / 8, rel=0.01)
    assert (stage.instrument["premium_samples"], stage.instrument["premium_sum"]) == (0, 0.0)


# Index and mark.


@pytest.mark.parametrize(
    ("delay_s", "time_s", "price"),
    [
        (0.0, STEP_S, 2_200),
        (0.0, STEP_S - 0.01, 2_000),
        (1.0, STEP_S, 2_000),
        (1.0, STEP_S + 0.99, 2_000),
        (1.0, STEP_S + 1.01, 2_200),
        (60.0, 30.0, 2_000),  # before the start is the start
    ],
)
def test_the_index_lags_the_external_price_by_the_delay_of_the_oracle(delay_s, time_s, price):
    stage = Stage(2_000.0, 2_200.0, oracle_delay_s=delay_s)
    stage.at(time_s)
    assert stage.instrument["index"] == round(price * LOT_SIZE * 1e6)
    assert stage.logs[0]["external_price"] == pytest.approx(2_000 if time_s < STEP_S else 2_200)


def test_the_mark_adds_the_moving_average_of_the_basis():
    stage = Stage()
    stage.quote(201_000, 203_000)  # 1 % above the index
    basis, before = 0.0, 0.0
    for time_s in (1.0, 2.0, 12.0, 400.0, 5_000.0):
        stage.at(time_s)
        basis += (1 - math.exp(-(time_s - before) * S / BASIS_MEMORY_NS)) * (0.01 - basis)
        before = time_s
        assert stage.instrument["basis"] == pytest.approx(basis, rel=1e-12)
        assert stage.instrument["mark"] == INDEX + round(INDEX * basis)
    assert stage.instrument["basis"] == pytest.approx(0.01)


def test_the_memory_of_the_basis_does_not_depend_on_how_often_blocks_come():
    fast, slow = Stage(), Stage()
    for stage, steps in ((fast, 1_000), (slow, 10)):
        stage.quote(201_000, 203_000)
        for number in range(1, steps + 1):
            stage.at(200 * number / steps)
    assert fast.instrument["basis"] == pytest.approx(float(slow.instrument["basis"]), rel=1e-12)


def test_a_book_without_two_sides_leaves_the_basis_as_it_was():
    stage = Stage()
    stage.quote(201_000, 203_000)
    stage.at(100)
    basis = float(stage.instrument["basis"])
    stage.quote(201_000, None)
    stage.at(1_000)
    assert stage.instrument["basis"] == basis
    stage.quote(199_000, 201_000)
    stage.at(1_001)  # one second of the new basis, not a thousand
    assert stage.instrument["basis"] == pytest.approx(basis * math.exp(-1 * S / BASIS_MEMORY_NS))


def test_spot_is_marked_at_the_index():
    stage = Stage(kind="spot")
    stage.quote(201_000, 203_000)
    stage.at(1_000)
    assert stage.instrument["mark"] == stage.instrument["index"] == INDEX
