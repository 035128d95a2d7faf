"""Runs with options on margin through a crash: the compiled market and its twin agree, and nothing is lost."""

import random

import pytest

from blockspace.agents.trader import Trader
from tests.reference.fidgets import OptionFidget
from tests.reference.runs import run_both
from tests.reference.trader import Trader as ReferenceTrader

EXPIRY_S = 3_600.0
WATCHED_S = 2_560.0

CRASH = {
    "chain": {"block_time_s": 20.0, "gas_limit": 30_000_000},
    "topology": {"validators": 1},
    "price": {"source": "script", "script": [[2_000.0, 1.0], [2_160.0, 0.86], [2_600.0, 0.86], [2_640.0, 0.7]]},
    "endowment": {"cash_usd": 1_000.0},
    "background_users": {"arrivals_per_s": 0.2},
    "noise_traders": {"count": 5, "orders_per_s": 0.05},
    "informed_traders": {"count": 0},
    "market_makers": {"memory_s": 120.0},
    "options": {
        "expiries_days": [EXPIRY_S / 86_400],
        "strikes_per_expiry": 5,
        "strike_spacing": 0.03,
        "strike_spacing_unit": "relative",
        "initial_share": 0.06,
        "initial_minimum": 0.04,
        "maintenance_share": 0.04,
        "maintenance_minimum": 0.03,
    },
    "margin": {"liquidations": True, "insurance_usd": 700.0},
    "leveraged_traders": {"count": 20, "openings_per_h": 8.0, "leverage_mean": 15.0, "long_share": 0.9},
    "liquidators": {"count": 2},
}
"""The price falls by 14 % while options accounts are watched, and once more before the expiry, when they are not."""


class Writer(OptionFidget):
    """Trades options at random, and goes on writing them as long as its margin allows."""

    def act(self):
        super().act()
        option = self.dice.choice(self.options())
        price = max(option.mark_usd * self.dice.uniform(0.9, 1.1), 0.1)
        self.submit("sell", price, self.dice.randint(5, 40) * 0.1, instrument=option.instrument)

    def straddle_on(self, option, hedged):
        return super().straddle_on(option, False)  # without a position in the perpetual that could be liquidated


class Seizer:
    """Takes over positions in options that have too little behind them, now and then less than it could."""

    def __init__(self, model):
        super().__init__(model)
        self.dice = random.Random(self.account)

    def act(self):
        due = [one for one in self.debtors() if one.instrument > 0]
        if due and self.decision_ns < WATCHED_S * 1e9:
            self.liquidate(self.dice.choice(due), self.dice.choice([0.2, 1.0, 50.0]))


AGENTS = [
    *[(type("CompiledWriter", (Writer, Trader), {}), type("PlainWriter", (Writer, ReferenceTrader), {}))] * 6,
    *[(type("CompiledSeizer", (Seizer, Trader), {}), type("PlainSeizer", (Seizer, ReferenceTrader), {}))] * 2,
]


@pytest.fixture(scope="module", params=["portfolio", "isolated", "cross"])
def crashed(request):
    """Without a backstop debts are left to the settlement; where requirements add up there is one."""
    margin = {**CRASH["margin"], "mode": request.param, "price_shock": 0.02}
    liquidators = {**CRASH["liquidators"], "backstop": request.param == "cross"}
    return run_both({**CRASH, "margin": margin, "liquidators": liquidators}, 3_800, 61, AGENTS)


def has_backstop(market):
    return market.world.scenario.liquidators.backstop


def settlements(market):
    tape = market.liquidations()
    return tape[tape["liquidator"] == market.world.venues[0]["margin"]["insurance"]]


def test_options_are_liquidated(crashed):
    tape = crashed.liquidations()
    options = tape[tape["instrument"].str.endswith(("-C", "-P")) & (tape["time_s"] < EXPIRY_S)]
    assert len(options) > 3
    assert options["size"].lt(0).any()
    assert options["liquidator"].isin(crashed.world.liquidators["account"]).any()
    assert tape["deleveraged_accounts"].gt(0).any()
    if has_backstop(crashed):
        assert options["deleveraged_accounts"].gt(0).any()
    else:
        assert options["bonus_usd"].gt(0).any()
        assert options["insurance_usd"].gt(0).any()


def test_debts_at_the_settlement_are_borne(crashed):
    """By the fund to its last dollar, and then by those who had gained."""
    left = settlements(crashed)
    if has_backstop(crashed):
        assert left.empty
        return
    assert (left["time_s"] == EXPIRY_S).all()
    assert left["instrument"].str.contains("1H").all(), "they belong to the series that has expired"
    assert left["insurance_usd"].sum() + left["socialised_usd"].sum() > 0
    assert ((left["insurance_usd"] + left["socialised_usd"] + left["equity_usd"]).abs() < 1e-6).all()
    assert crashed.summary()["socialised_usd"] > 0
    ledger = crashed.ledger()
    assert (ledger.loc[ledger["role"] == "own", "cash_micro_usd"] != 1_000 * 10**6).any()


def test_the_fund_is_what_the_tape_says(crashed):
    tape, ledger = crashed.liquidations(), crashed.ledger()
    fund = ledger.loc[ledger["role"] == "insurance", "cash_micro_usd"].item()
    micro = {name: (tape[f"{name}_usd"] * 1e6).round().astype(int).sum() for name in ("penalty", "insurance")}
    assert fund == 700 * 10**6 + micro["penalty"] - micro["insurance"] >= 0
