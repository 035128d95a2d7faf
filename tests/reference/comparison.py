"""Exact comparison of a compiled market with its twin."""

import numpy as np
import pandas as pd

LEARNED = {
    "makers": ("half_spread", "increment", "levels", "variance", "step", "gas_paid", "position", "quote_life"),
    "arbitrageurs": ("success", "copies_share", "usual_return", "realised", "races"),
    "pool_arbitrageurs": ("success", "copies_share", "usual_return", "realised", "races"),
    "swappers": ("wakes",),
    "sandwichers": ("hope", "bid_share", "tries", "wins"),
    "extractors": ("hope", "bid_share", "tries", "wins"),
    "builders": ("step", "promised", "paid", "wins"),
    "providers": ("status", "width", "liquidity", "worth", "gain", "gas", "total_gain", "total_gas", "reviews"),
    "leveraged": ("status", "cash", "lots", "rounds", "opened", "stopped", "balked", "next_wake"),
    "liquidators": ("bid_share", "success", "cash", "lots", "tries", "wins"),
    "option_makers": (
        "variance",
        "delta",
        "gamma",
        "load",
        "hedge",
        "feared",
        "suffered",
        "total_revenue",
        "total_gas",
        "total_hedging",
        "quotes_sent",
        "hedges_sent",
        "trades",
        "listed_looks",
        "quoted_looks",
    ),
    "option_vaults": ("series", "position", "hedge", "sales", "hedges_sent", "premium", "total_gas"),
    "delta_hedgers": (
        "delta",
        "gamma",
        "variance",
        "hedge",
        "looks",
        "total_gap",
        "total_delta",
        "orders_sent",
        "hedges_sent",
        "units_traded",
        "total_gas",
    ),
    "option_traders": ("wakes", "sent", "combinations_sent", "balked"),
    "keepers": ("urgency", "sent", "included", "reported_at"),
    "clearing_keepers": ("urgency", "sent", "included"),
}

OF_THE_LANE = ("with_lane", "without_lane", "usually_missed", "rounds_with", "rounds_without", "bid")


def assert_same_run(market, reference):
    """Trades, transactions, blocks, ledger and what agents have learned are equal to the last bit."""
    assert_same("trades", market.trades(), reference.trades())
    assert_same("transactions", without_idle_fields(market.transactions()), reference.transactions())
    assert_same("blocks", market.blocks(), reference.blocks())
    if market.world.scenario.margin.liquidations:
        assert_same("liquidations", market.liquidations(), reference.liquidations())
    assert_same("ledger", market.ledger(), reference.ledger())
    for population, fields in LEARNED.items():
        rows = getattr(market.world, population)
        learned = pd.DataFrame({field: rows[field].tolist() for field in fields})
        twins = [{field: getattr(agent, field) for field in fields} for agent in getattr(reference, population)]
        assert_same(population, learned, pd.DataFrame(twins, columns=list(fields)))
    for maker, twin in zip(market.world.option_makers, reference.option_makers, strict=True):
        assert maker["edge"].tolist() == twin.edge
        assert maker["unit_cost"].tolist() == twin.unit_cost
    if reference.chain.timing:
        for field in ("usual_delay_ns", "usual_revenue_gwei"):
            assert getattr(market.world.chain.timing, field) == getattr(reference.chain.timing, field), field
    if reference.lane:
        assert_same(
            "rounds", market.rounds(), pd.DataFrame(reference.lane.prices, columns=["number", "holder", "price_gwei"])
        )
        learned = pd.DataFrame({field: market.world.bidders[field] for field in OF_THE_LANE})
        twins = [{field: getattr(bidder, field) for field in OF_THE_LANE} for bidder in reference.lane.bidders]
        assert_same("bidders", learned, pd.DataFrame(twins))


def without_idle_fields(transactions):
    """Blank what a kind of transaction does not use: its slot may hold what an earlier one left there."""
    kind = transactions["kind"]
    frame = transactions.copy()
    frame.loc[~kind.isin(["place", "swap"]), "side"] = 0
    frame.loc[kind.isin(["quote", "cancel"]), "price_usd"] = 0.0
    frame.loc[kind == "cancel", "size"] = 0.0
    return frame


def assert_same(name, found, expected):
    """Compare the columns of ``expected`` and show the first row that differs."""
    rows = min(len(found), len(expected))
    differs = pd.DataFrame({column: unequal(found[column][:rows], expected[column][:rows]) for column in expected})
    wrong = differs.any(axis=1).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        columns = differs.columns[differs.iloc[row]]
        both = pd.DataFrame({"compiled": found.iloc[row], "reference": expected.iloc[row]}).loc[list(expected)]
        raise AssertionError(f"{name} differ first in row {row}, in {', '.join(columns)}:\n{both.to_string()}")
    assert len(found) == len(expected), f"there are {len(found)} {name}, but {len(expected)} in the reference"


def unequal(left, right):
    left, right = left.to_numpy(), right.to_numpy()
    if left.dtype.kind == right.dtype.kind == "f":
        return (left != right) & ~(np.isnan(left) & np.isnan(right))
    return left != right
