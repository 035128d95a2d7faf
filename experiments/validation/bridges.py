"""V19: what the providers of a fast bridge ask for, by the time for which their capital is locked."""

import numpy as np
import pandas as pd

from blockspace.experiments.market import Market
from blockspace.experiments.validation import BARE, Row, bare_scenario, compare, target

SOURCE = "no arbitrage"
YEAR_S = 365.0 * 86_400.0
CAPITAL_COST = 0.1
POSTING_S = 600.0
WINDOWS_S = (3_600.0, 6 * 3_600.0, 24 * 3_600.0)


def fee_bps(lock_s: float, capital_cost_per_year: float) -> float:
    """Basis points that pay for capital that is locked for a time.

    Examples
    --------
    >>> round(fee_bps(7 * 86_400.0, 0.1), 1), round(fee_bps(86_400.0, 0.1), 1), round(fee_bps(3_600.0, 0.1), 2)
    (19.2, 2.7, 0.11)
    """
    return 1e4 * capital_cost_per_year * lock_s / YEAR_S


@target("V19")
def fees_of_fast_bridges(quick: bool) -> list[Row]:
    """Fees of providers who compete, against the time until they are repaid, and their slope in it."""
    rows, locks, fees = [], [], []
    for window_s in WINDOWS_S[:2] if quick else WINDOWS_S:
        early = paid_early(window_s)
        lock = float((early["settled_s"] - early["paid_s"]).mean())
        fee = 1e4 * float(early["fee_usd"].sum() / early["amount_usd"].sum())
        what = f"fee where claims can be challenged for {window_s / 3_600.0:g} h, basis points"
        rows.append(compare("V19", what, fee_bps(lock, CAPITAL_COST), fee, relative=0.05, source=SOURCE))
        locks.append(lock)
        fees.append(fee)
    slope = float(np.polyfit(locks, fees, 1)[0]) * YEAR_S * 1e-4
    what = "slope of the fee in the time that capital is locked, per year"
    return [*rows, compare("V19", what, CAPITAL_COST, slope, relative=0.05, source=SOURCE)]


def paid_early(window_s: float) -> pd.DataFrame:
    """Withdrawals that were paid out early and have been settled, once providers have seen how long that takes."""
    scenario = bare_scenario(
        {
            "chain": {"block_time_s": 60.0},
            "rollup": {
                "kind": "optimistic",
                "claim_interval_s": POSTING_S,
                "posting": {"rule": "interval", "interval_s": POSTING_S},
                "challenges": {"window_s": window_s},
                "bridge": {
                    "users_per_h": 30.0,
                    "amount_usd": 1_000.0,
                    "capital_usd": 1e8,
                    "capital_cost_per_year": CAPITAL_COST,
                    "capital_cost_spread": 0.0,
                },
            },
            "chains": [{**BARE, "name": "parent", "warm_up_s": 0.0, "chain": {"block_time_s": 60.0, "blobs": "bpo2"}}],
        }
    )
    market = Market(scenario, seed=19, tapes="none")
    market.run_for(2.0 * window_s + 4.0 * 3_600.0)
    market.check()
    found = market.transfers()
    late = found["asked_s"] > window_s + 2.0 * 3_600.0
    return found[(found["direction"] == "withdrawal") & (found["provider"] >= 0) & found["settled_s"].notna() & late]
