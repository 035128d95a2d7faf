"""Hedges in the underlying: what one costs, when it is worth that, the order, and what became of it."""

import math

from blockspace.agents.hedging import no_trade_band

from .taker import send_taking_order


def hedge_costs(agent, outlook, traded):
    """Dollars of a hedge whatever its size, and per unit of the underlying."""
    feed, view, price = agent.model.feed, outlook.view, outlook.external_price
    quotes = view.quotes[traded.number]
    best_bid, best_ask = (side[0][0] if side else 0 for side in (quotes.bids, quotes.asks))
    fixed = feed.gas_cost_usd(agent.model.gas.place, view.base_fee + feed.wallet_tip(view), price)
    return fixed, traded.taker_fee * price + max(0.5 * (best_ask - best_bid) * traded.tick, 0.0)


def beyond_band(agent, outlook, traded, gap, gamma):
    """Units to buy (sell, if negative); 0 within the band."""
    edge, back_to = no_trade_band(*hedge_costs(agent, outlook, traded), gamma, agent.settings.risk_aversion)
    return 0.0 if abs(gap) <= edge else gap - back_to if gap > 0.0 else gap + back_to


def send_hedge(agent, outlook, traded, units):
    """Send a taking order for so many units of what is traded, if its book is in reach; returns whether it was sent."""
    feed, view, price = agent.model.feed, outlook.view, outlook.external_price
    quotes, gas, tip = view.quotes[traded.number], agent.model.gas.place, feed.wallet_tip(outlook.view)
    lots = int(min(abs(units) / traded.lot_size + 0.5, 1e9))
    if lots < 1 or not quotes.bids or not quotes.asks:
        return False
    side, tolerance = 1 if units > 0.0 else -1, agent.settings.hedge_tolerance_bps * 1e-4
    limit = price * (1.0 + side * tolerance) / traded.tick
    limit = math.floor(limit) if side > 0 else math.ceil(limit)
    if not quotes.lots_within(side, limit)[0]:
        return False
    worth = feed.fee_worth(gas, tolerance * lots * traded.lot_size * price, price)
    agent.instrument = traded
    send_taking_order(
        agent, side, lots, limit, outlook.decision, agent.model.block.time, max(worth, view.base_fee + tip), tip
    )  # fmt: skip
    return True


def learn_fate(agent, outlook):
    """Learn what became of the last order, and what gas it took, once its block can be seen."""
    feed = agent.model.feed
    if agent.pending and outlook.view.settled >= agent.landing:
        agent.pending = False
        receipt = feed.receipts.get(agent.account)
        if receipt and receipt.decided == agent.sent_at:
            agent.total_gas += feed.gas_paid_usd(receipt.landed_gas, receipt.gas_price, outlook.external_price)
