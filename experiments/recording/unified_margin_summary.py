"""What a run says of margin across chains: what owners posted, who was liquidated where, and what nobody paid.

An owner *defaults* on a chain when a position of its is liquidated there; defaults on two chains or more are *joint*.
The shortfall is what insurance funds and other accounts paid for owners, less what came back later.
"""

from typing import TYPE_CHECKING

import numpy as np

from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.markets.liquidation import LIQUIDATIONS

if TYPE_CHECKING:
    from blockspace.experiments.margin_hub import MarginHub


def summarise_unified_margin(hub: "MarginHub") -> dict[str, float]:
    """Measures of linked accounts over the whole run.

    Parameters
    ----------
    hub
        That links them.
    """
    owners, chains = hub.accounts.shape
    gross = float((hub.hedgers["long_usd"] + hub.hedgers["short_usd"]).sum())
    net = float(np.abs(hub.hedgers["long_usd"] - hub.hedgers["short_usd"]).sum())
    posted = float(hub.posted.sum()) / MICRO_DOLLARS
    defaults = np.zeros((owners, chains), bool)
    count, insured, socialised = 0, 0, 0
    measures: dict[str, float] = {}
    for place, world in enumerate(hub.worlds):
        log = world.venues[0]["liquidations"]
        entries = log["entries"][: min(int(log["count"]), LIQUIDATIONS)]
        entries = entries[np.isin(entries["account"], hub.accounts[:, place])]
        defaults[np.searchsorted(hub.accounts[:, place], entries["account"]), place] = True
        count += len(entries)
        insured += int(entries["insurance"].sum())
        socialised += int(entries["socialised"].sum())
        measures[f"hedgers_defaulted_{world.scenario.name}"] = float(defaults[:, place].sum())
    paid, clawed, recovered = (int(part) for part in hub.bad_debts.sum(axis=0))
    any_default = int(defaults.any(axis=1).sum())
    joint = int((defaults.sum(axis=1) > 1).sum())
    messages = int(hub.messages.sum())
    return measures | {
        "hedger_margin_usd": posted,
        "hedger_margin_percent_of_gross": 100.0 * posted / gross,
        "hedger_margin_percent_of_net": 100.0 * posted / net if net > 0 else np.nan,
        "hedger_liquidations": float(count),
        "hedgers_defaulted": float(any_default),
        "hedgers_defaulted_percent": 100.0 * any_default / owners,
        "hedgers_defaulted_jointly": float(joint),
        "joint_default_percent": 100.0 * joint / owners,
        "joint_per_default_percent": 100.0 * joint / any_default if any_default else np.nan,
        "hedger_shortfall_usd": (insured + socialised + paid + clawed - recovered) / MICRO_DOLLARS,
        "hedger_bad_debt_usd": (paid + clawed) / MICRO_DOLLARS,
        "hedger_debt_recovered_usd": recovered / MICRO_DOLLARS,
        "collateral_moved_usd": hub.transfers.total / MICRO_DOLLARS,
        "collateral_transfers": float(hub.transfers.count),
        "margin_messages": float(messages),
        "margin_message_age_s": float(hub.age_sum.sum()) / messages if messages else np.nan,
    }
