"""Hedging one contract by one policy, slowly and obviously: the twin of the kernel."""

from blockspace.agents.hedging import no_trade_band
from blockspace.markets.options.black_scholes import price_option

YEAR_NS = 365 * 86_400 * 10**9


def slow_hedge(path, contract, policy, trade_gas, risk_aversion):
    """Trades, gas and loss of one contract under one policy."""
    first, last = int(contract["first"]), int(contract["last"])
    kind, size, strike = ("call" if contract["kind"] == 1 else "put"), float(contract["size"]), contract["strike"]

    def option(block):
        years = (int(path.times_ns[last]) - int(path.times_ns[block])) / YEAR_NS
        return price_option(kind, path.prices_usd[block], strike, years, path.volatility)

    value = size * option(first).value
    trades, gas = 1, trade_gas * path.fees_usd[first]
    holding = {first: size * option(first).delta}
    on_its_way = {}
    looked = int(path.times_ns[first])
    held = holding[first]
    gains = 0.0
    for block in range(first + 1, last):
        gains += held * (path.prices_usd[block] - path.prices_usd[block - 1])
        now = int(path.times_ns[block])
        if block + int(policy["latency"]) < last and now - looked >= int(policy["interval"]):
            looked = now
            edge = 0.0
            if policy["belief"] > 0:
                fixed = policy["belief"] * trade_gas * path.fees_usd[block]
                edge, _ = no_trade_band(fixed, 0.0, size * option(block).gamma, risk_aversion)
            gap = size * option(block).delta - held - sum(on_its_way.values())
            if abs(gap) > edge:
                on_its_way[block + int(policy["latency"])] = gap
        if block in on_its_way:
            held += on_its_way.pop(block)
            trades += 1
            gas += trade_gas * path.fees_usd[block]
    gains += held * (path.prices_usd[last] - path.prices_usd[last - 1])
    sign = 1 if kind == "call" else -1
    payoff = size * max(0.0, sign * (path.prices_usd[last] - strike))
    return trades, gas, payoff - value - gains
