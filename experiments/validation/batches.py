"""V40: how many transactions a rollup's operator posts at once, where a posting costs something and waiting does too.

Transactions come at random times at a rate ``lambda``. A posting costs ``F``, and a second's wait of one transaction
costs ``c``. Batches of ``n`` cost ``lambda F / n + c (n - 1) / 2`` per second, least at ``n = sqrt(2 lambda F / c)``
(Harris, 1913). The operator of the simulator is told neither: it compares what waiting has cost with what a posting
would cost.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from blockspace.experiments.market import Market
from blockspace.experiments.validation import BARE, Row, bare_scenario, compare, mean_with_error, target

ECONOMIC_ORDER = "Harris (1913)"
POSTING_USD = 200.0
DELAY_USD_PER_S = 0.02
ARRIVALS_PER_S = 5.0
FIXED_GAS = 100_000
ETHER_USD = 2_000.0
BLOCKS_PER_BATCH = 128
"""Blocks of either chain in the time that the best batch takes to fill: so many that their length is of no weight."""


def best_batch(arrivals_per_s: float, posting_usd: float, delay_usd_per_s: float) -> float:
    """Transactions of the batch that costs least.

    Examples
    --------
    >>> round(best_batch(5.0, 200.0, 0.02))
    316
    """
    return math.sqrt(2.0 * arrivals_per_s * posting_usd / delay_usd_per_s)


def cost_usd_per_s(size: float, arrivals_per_s: float, posting_usd: float, delay_usd_per_s: float) -> float:
    """Dollars per second that batches of ``size`` transactions cost, posting and waiting together.

    Examples
    --------
    >>> round(cost_usd_per_s(316.2, 5.0, 200.0, 0.02), 2)
    6.31
    """
    return arrivals_per_s * posting_usd / size + delay_usd_per_s * (size - 1.0) / 2.0


def post(arrivals_per_s: float, batches: int, **posting: Any) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Run a rollup on a parent with fast blocks and a fixed fee until it has posted about so many batches.

    Returns
    -------
    dict
        By batch, those but the first that have been posted: ``size`` in transactions, ``posting_usd``, ``waiting_usd``
        from a transaction's block to its posting, ``period_s`` since the posting before.
    """
    best_s = best_batch(arrivals_per_s, POSTING_USD, DELAY_USD_PER_S) / arrivals_per_s
    chain = {"block_time_s": best_s / BLOCKS_PER_BATCH, "gas_limit": 10**9, "byte_limit": 10**9}
    # A posting of FIXED_GAS costs POSTING_USD at this fee.
    fee = round(POSTING_USD / ETHER_USD / FIXED_GAS * 1e18)
    parent = {
        **BARE,
        "name": "parent",
        "chain": chain,
        "fee_market": {"rule": "fixed", "base_fee_wei": fee, "wallet_tip_wei": 0},
        "endowment": {"ether": 1e5},
    }
    scenario = bare_scenario(
        {
            "name": "rollup",
            "chain": chain,
            "price": {"initial_usd": ETHER_USD},
            "fee_market": {"rule": "fixed", "base_fee_wei": 0},
            "background_users": {"arrivals_per_s": arrivals_per_s, "gas_mean": 21_000, "bytes": 100},
            "rollup": {
                "kind": "optimistic",
                "data": "calldata",
                "claim_interval_s": 86_400.0,
                "challenges": {"challengers": 0},
                "posting": {
                    "delay_cost_usd_per_h": DELAY_USD_PER_S * 3_600.0,
                    "fixed_gas": FIXED_GAS,
                    "gas_per_byte": 0.0,
                    "users_pay_share": 0.0,
                    **posting,
                },
            },
            "chains": [parent],
        }
    )
    market = Market(scenario, seed=400, tapes="none")
    market.run_for((batches + 3) * posting.get("interval_s", best_s))
    found = market.batches()
    sent = found["sent_s"]
    found = found.assign(period_s=sent.diff(), waiting_s=found["transactions"] * (sent - found["block_s"]))
    found = found[found["posted_s"].notna()].iloc[1:]
    return {
        "size": found["transactions"].to_numpy(float),
        "posting_usd": found["cost_usd"].to_numpy(float),
        "waiting_usd": DELAY_USD_PER_S * found["waiting_s"].to_numpy(float),
        "period_s": found["period_s"].to_numpy(float),
    }


def _cost(found: dict[str, np.ndarray[Any, np.dtype[np.float64]]]) -> float:
    return float((found["posting_usd"] + found["waiting_usd"]).sum() / found["period_s"].sum())


@target("V40")
def economics_of_batches(quick: bool) -> list[Row]:
    """The operator arrives at the batch that costs least, and posting gets cheaper with the root of the volume."""
    check = partial(compare, "V40", relative=0.02, source=ECONOMIC_ORDER)
    batches, rows, fees = 45 if quick else 400, [], []
    volumes = (ARRIVALS_PER_S / 4.0, ARRIVALS_PER_S, 4.0 * ARRIVALS_PER_S)
    for volume in volumes:
        found = post(volume, batches)
        best = best_batch(volume, POSTING_USD, DELAY_USD_PER_S)
        mean, error = mean_with_error(found["size"])
        rows.append(check(f"transactions of a batch at {volume:g} per s", best, mean, standard_error=error))
        least = cost_usd_per_s(best, volume, POSTING_USD, DELAY_USD_PER_S)
        rows.append(check(f"dollars per s, posting and waiting, at {volume:g} per s", least, _cost(found)))
        fees.append(float(found["posting_usd"].sum() / found["size"].sum()))
    slope = float(np.polyfit(np.log(volumes), np.log(fees), 1)[0])
    rows.append(check("exponent of the cost of posting per transaction in the volume", -0.5, slope))
    best_s = best_batch(ARRIVALS_PER_S, POSTING_USD, DELAY_USD_PER_S) / ARRIVALS_PER_S
    for factor in (0.5, 2.0):
        found = post(ARRIVALS_PER_S, batches, rule="interval", interval_s=factor * best_s)
        # The interval runs from the first block of a batch, which comes one block after the posting before.
        size = (factor + 1.0 / BLOCKS_PER_BATCH) * best_s * ARRIVALS_PER_S
        cost = cost_usd_per_s(size, ARRIVALS_PER_S, POSTING_USD, DELAY_USD_PER_S)
        rows.append(check(f"dollars per s at {factor:g} times the best interval", cost, _cost(found)))
    return rows
