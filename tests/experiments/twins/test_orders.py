"""The compiled market and its twin give the same run with orders of every kind, one by one and in batches."""

from blockspace.agents.market_makers import FILLS
from tests.reference.fidgets import CompiledFidget, PlainFidget
from tests.reference.runs import RACE, SPOT, run_both


def test_batch_in_every_block():
    """Orders of every kind that wait for the end of the block, agents in Python among them."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 1.0, "gas_limit": 4_000_000},
            "venue": {"matching": "batch"},
            "instruments": [{"maker_fee_bps": -0.2, "initial_margin": 0.2}, SPOT],
            "endowment": {"cash_usd": 60_000.0, "spot": 30.0},
            "noise_traders": {"orders_per_s": 3.0},
        },
        seconds=300,
        seed=12,
        agents=[(CompiledFidget, PlainFidget)] * 4,
    )
    trades = market.trades()
    assert trades.groupby(["block", "instrument"])["price_usd"].nunique().max() == 1
    assert (trades.groupby(["block", "instrument"]).size() > 1).sum() > 50
    assert market.world.arbitrageurs["tries"].sum() > 50


def test_batch_every_few_seconds():
    """Batches that span several blocks of a fast chain, some of which are idle."""
    market = run_both(
        {
            **RACE,
            "chain": {"block_time_s": 0.25, "gas_limit": 4_000_000},
            "venue": {"matching": "batch", "batch_interval_s": 3.0},
            "background_users": {"arrivals_per_s": 0.2},
            "noise_traders": {"orders_per_s": 0.7},
            "market_makers": {"look_interval_s": 1.0, "memory_s": 60.0},
            "arbitrageurs": {"look_interval_s": 1.0},
        },
        seconds=500,
        seed=13,
    )
    trades = market.trades()
    assert (trades["time_s"] % 3.0).max() < 1e-6
    assert len(trades) > 100
    assert market.blocks()["block"].iloc[-1] > 1.2 * len(market.blocks())


def test_agents_in_python():
    """Agents of one's own with every kind of order, and a maker whose trades wait so long that some are forgotten."""
    market = run_both(
        {
            "chain": {"block_time_s": 0.5, "gas_limit": 2_000_000},
            "topology": {"validators": 3, "regions": ["london", "sydney"]},
            "background_users": {"arrivals_per_s": 2.0},
            "noise_traders": {"orders_per_s": 10.0, "value_bps": 50.0},
            "market_makers": {"count": 1, "mark_out_s": 100.0},
        },
        seconds=300,
        seed=7,
        agents=[(CompiledFidget, PlainFidget)] * 6,
    )
    own = market.transactions().query("sender >= 109")
    happened = own.groupby("kind")["status"].nunique()
    assert (happened == 2).all(), "an order of each kind should succeed and another one fail"
    assert market.world.makers["fill_count"].item() > 0.9 * FILLS
    assert market.ledger().query("role == 'own'")["cash_micro_usd"].nunique() == 6
