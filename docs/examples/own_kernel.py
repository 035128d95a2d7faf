"""A population with a kernel of its own: a thousand momentum traders who cost a few microseconds a block.

Run it with `python docs/examples/own_kernel.py`.
"""

import numpy as np

from blockspace.agents.population import Member
from blockspace.agents.taker import send_taking_order
from blockspace.experiments import Market, load_scenario
from blockspace.markets.feed import VIEWS, wallet_tip
from blockspace.network.compilation import kernel

MOMENTUM = np.dtype([("account", "u4"), ("access", "u4"), ("last_price", "f8"), ("threshold", "f8")], align=True)


class MomentumTrader(Member):
    """The Mesa agent: a view on one row."""

    kind = "own"


@kernel
def follow_the_trend(rows, feeds, pools, blocks):
    """Everyone compares the price with the one that made them act last, and follows a move beyond their threshold."""
    feed = feeds[0]
    block = blocks[0]
    for number in range(rows.size):
        row = rows[number]
        outlook = feed.outlooks[row.access]
        if outlook.fresh == 0:
            continue
        price = outlook.external_price
        move = price / row.last_price - 1.0 if row.last_price > 0.0 else 0.0
        if row.last_price > 0.0 and abs(move) < row.threshold:
            continue
        row.last_price = price
        if move == 0.0:
            continue
        view = feed.views[outlook.newest & (VIEWS - 1)]
        side = 1 if move > 0.0 else -1
        limit = np.int64(price * (1.0 + 0.002 * side) / feed.terms[0].tick)
        tip = wallet_tip(feed, view)
        send_taking_order(
            pools[0], feed, row.account, row.access, 0, side, 50, limit, outlook.decision, block.time + 60_000_000_000,
            2 * view.base_fee + tip, tip,
        )  # fmt: skip


market = Market(load_scenario("ethereum", {"duration_s": 3600, "warm_up_s": 600}), seed=7)
world = market.world
rows = np.zeros(1_000, MOMENTUM)
rows["account"] = [world.open_agent_account("own") for _ in rows]
rows["access"] = np.arange(len(rows)) % (len(world.chain.access_points) - 1)
rows["threshold"] = np.linspace(0.001, 0.02, len(rows))
agents = [MomentumTrader(market, rows, number) for number in range(len(rows))]
world.insert_phase(
    "momentum traders decide", lambda: follow_the_trend(rows, world.feeds, world.chain.pools, world.chain.blocks)
)
market.run_for(3600)

trades = market.trades()
share = trades["taker"].isin(rows["account"]).mean()
print(f"{len(trades)} trades, {share:.0%} of them by momentum traders; {len(market.agents)} Mesa agents")
market.check()
