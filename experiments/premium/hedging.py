"""Hedging many written options along one path of prices and fees, by many policies at once.

When to trade, and how far, is decided by :mod:`blockspace.agents.hedging` on the price and the fee of a block; the
trade is executed some blocks later, at the price and the fee of then.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.agents.hedging import clock_due, hedge_trade, no_trade_band
from blockspace.experiments.premium.paths import FeePath
from blockspace.markets.options.black_scholes import YEAR_NS, greeks
from blockspace.network.compilation import kernel

CONTRACT = np.dtype(
    [
        ("first", "i8"),  # block in which it is written
        ("last", "i8"),  # block at which it expires
        ("strike", "f8"),
        ("kind", "i8"),  # CALL or PUT
        ("size", "f8"),  # units of the underlying
    ],
    align=True,
)
"""A written option."""

POLICY = np.dtype(
    [
        ("interval", "i8"),  # nanoseconds between two looks; 0 looks at every block
        ("belief", "f8"),  # gas of a trade that the band is made for, in what it costs now; 0: trade to the target
        ("latency", "i8"),  # blocks from decision to execution
    ],
    align=True,
)
"""How a writer hedges."""

OUTCOME = np.dtype([("trades", "i8"), ("gas_usd", "f8"), ("loss_usd", "f8")], align=True)
"""What hedging one contract by one policy came to: trades and gas with the first hedge, and the loss before gas."""

TERMS = np.dtype([("value_usd", "f8"), ("payoff_usd", "f8"), ("exercise_usd", "f8")], align=True)
"""Of a contract: value at the start, payoff, and what exercising costs at expiry."""


@kernel
def hedge_contracts(
    times, prices, fees, volatility, trade_gas, exercise_gas, risk_aversion, contracts, policies, terms, outcomes
):
    """Hedge each contract by each policy; fills ``terms`` (a contract each) and ``outcomes`` (contracts, policies).

    The first hedge is bought in the block in which the option is written. What is on its way counts as held when the
    next trade is decided; what would come at expiry or later is not sent.
    """
    count = policies.shape[0]
    longest = np.int64(0)
    for number in range(count):
        longest = max(longest, policies[number].latency)
    ring = longest + 1
    held, ordered, last = np.empty(count), np.empty(count), np.empty(count, np.int64)
    under_way = np.empty((ring, count))
    for row in range(contracts.shape[0]):
        contract = contracts[row]
        begins, ends = contract.first, contract.last
        spot = prices[begins]
        life = (times[ends] - times[begins]) / YEAR_NS
        value, delta, _, _, _, _, _ = greeks(spot, contract.strike, life, volatility, contract.kind, 0.0, 0.0)
        held[:] = delta * contract.size
        ordered[:] = held
        last[:] = times[begins]
        under_way[:] = 0.0
        results = outcomes[row]
        for number in range(count):
            results[number].trades = 1
            results[number].gas_usd = trade_gas * fees[begins]
            results[number].loss_usd = -value * contract.size
        for block in range(begins + 1, ends + 1):
            before, spot = spot, prices[block]
            for number in range(count):
                results[number].loss_usd -= held[number] * (spot - before)
            if block == ends:
                break
            left = (times[ends] - times[block]) / YEAR_NS
            _, delta, gamma, _, _, _, _ = greeks(spot, contract.strike, left, volatility, contract.kind, 0.0, 0.0)
            trade_usd = trade_gas * fees[block]
            slot = block % ring
            for number in range(count):
                policy = policies[number]
                trade = 0.0
                if block + policy.latency < ends and clock_due(times[block], last[number], policy.interval):
                    last[number] = times[block]
                    edge, back_to = 0.0, 0.0
                    if policy.belief > 0.0:
                        edge, back_to = no_trade_band(
                            policy.belief * trade_usd, 0.0, gamma * contract.size, risk_aversion
                        )
                    trade = hedge_trade(delta * contract.size - ordered[number], edge, back_to)
                    ordered[number] += trade
                under_way[slot, number] = trade
                executed = under_way[(block - policy.latency) % ring, number]
                if executed != 0.0:
                    held[number] += executed
                    results[number].trades += 1
                    results[number].gas_usd += trade_usd
        payoff = max(0.0, contract.kind * (spot - contract.strike)) * contract.size
        for number in range(count):
            results[number].loss_usd += payoff
        terms[row].value_usd = value * contract.size
        terms[row].payoff_usd = payoff
        terms[row].exercise_usd = exercise_gas * fees[ends]


def hedge(
    path: FeePath,
    contracts: npt.NDArray[Any],
    policies: npt.NDArray[Any],
    trade_gas: float,
    exercise_gas: float,
    risk_aversion: float,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Hedge contracts along a path.

    Parameters
    ----------
    path
        Prices and fees.
    contracts, policies
        Arrays of :data:`CONTRACT` and :data:`POLICY`.
    trade_gas, exercise_gas
        Gas of a trade and of an exercise.
    risk_aversion
        Aversion to variance, per dollar, for which bands are made.

    Returns
    -------
    tuple of numpy.ndarray
        :data:`TERMS` of each contract, and :data:`OUTCOME` of each contract (rows) and policy (columns).

    Raises
    ------
    ValueError
        If a contract does not lie on the path, or a policy looks back in time.
    """
    blocks = len(path.times_ns)
    if len(contracts) and not (
        (contracts["first"] >= 0).all()
        and (contracts["last"] > contracts["first"]).all()
        and contracts["last"].max() < blocks
    ):
        raise ValueError(f"every contract must begin and then expire within the {blocks} blocks of the path")
    for name in POLICY.names or ():
        if (policies[name] < 0).any():
            raise ValueError(f"{name} of a policy is {policies[name].min():g}; it must be 0 or more")
    if not risk_aversion > 0:
        raise ValueError(f"risk_aversion is {risk_aversion:g}; it must be positive")
    terms = np.zeros(len(contracts), TERMS)
    outcomes = np.zeros((len(contracts), len(policies)), OUTCOME)
    hedge_contracts(
        path.times_ns,
        path.prices_usd,
        path.fees_usd,
        float(path.volatility),
        float(trade_gas),
        float(exercise_gas),
        float(risk_aversion),
        contracts,
        policies,
        terms,
        outcomes,
    )
    return terms, outcomes
