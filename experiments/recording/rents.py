"""Rents that close: who pays for space and for order, who gets it, and what it was paid for, to the last unit.

Whoever is no searcher pays gas, venue fees, what arbitrageurs take from quotes, and what sandwiches take from swaps.
All of that ends up somewhere:

- *burned*, or with the *sequencer* as base fee, and as *tips* with whoever proposes the block;
- burned as well, as the fees of *blobs*;
- with the *sequencer* as well, as what is paid for *data* on a chain that keeps them on another one;
- with whoever proposes the block as well, as what an *auction* of the express lane brought;
- with the *builder*, where builders make the blocks: tips less its bid, which is the income of who proposes the block;
- with the *venue*, as fees;
- with the *searchers* (the arbitrageurs of books and pools, those who search what is pending, and those inside
  producers), as what is left to them after gas and venue fees of what makers lose, the providers of pools net of their
  fees, and traders whose swaps are sandwiched.

Gas is counted in wei and the rest in micro-dollars; each sum closes in integers, and gas is what the ledger says it is.
Gas of failed transactions is part of the above and told once more by itself. Gas is divided a second time, by what it
buys:

- *plain space*: the base fee as far as it lies at the level to which it falls when nobody wants the space, and tips up
  to what wallets add without congestion. That much is paid on an empty chain;
- *congestion*: what the marginal user who is included pays beyond that, which is the base fee above its lowest level
  and, in a full block, the tip that gets in. Tips of users and makers count here in full, however high: their wallets
  follow the lowest tip of the last full block in order to get in, not to be ahead of somebody;
- *place*: what is paid to be ahead of others. Of a searcher's transaction or a liquidation that succeeds it is the tip
  above the lowest
  of a full block (or above what wallets usually add, if that is more); of one that fails it is everything, since the
  space was bought only to have a chance of being first. What searchers pay for the express lane is for place, too.

Without searchers and liquidations nothing is paid for place (ordering rent is 0 exactly), whatever the congestion.

Liquidators are no searchers: what they earn is a bonus out of a debtor's margin, not what quotes lose by being stale.
But only the first one gets it, so that what their liquidations pay to be ahead is paid for place, and the gas of those
that come too late as well. Positions that change hands by liquidation or deleveraging are nobody's loss to arbitrage.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.recording.rows import CONGESTION, PLACE_IN_BLOCK, PLAIN_SPACE, SEARCHERS
from blockspace.markets.ledger import WEI_PER_GWEI

if TYPE_CHECKING:
    from blockspace.experiments.market import Market

Accounts = dict[str, int]


def _wei(amounts: npt.NDArray[Any]) -> int:
    """Sum of amounts of ether in wei."""
    return int(amounts["gwei"].sum()) * WEI_PER_GWEI + int(amounts["wei"].sum())


def rents(market: "Market", world: int = 0) -> Accounts:
    """Accounts of rents of a run so far, from its first block, in exact integers.

    Parameters
    ----------
    market
        The run.
    world
        Number of the chain.

    Returns
    -------
    dict
        Amounts in wei and in micro-dollars, the unit in each name. ``paid_by_others`` and ``paid_by_searchers`` add up
        to ``burned``, ``sequencer_base_fee``, ``tips``, ``blobs``, ``data`` and ``auction_revenue``, and so do
        ``plain_space``, ``congestion``, ``place``, ``blobs`` and ``data``. ``tips`` is ``tips_of_proposers`` and
        ``builders_margin``, which is 0 where producers make their own blocks. ``loss_to_arbitrage`` and
        ``loss_to_sandwiches`` are ``searcher_fees`` and ``searcher_cash``; ``venue_fees`` is ``searcher_fees`` and
        ``fees_of_others``. The searchers' profit is their cash less what they paid.
    """
    chosen = market.worlds[world]
    burns, built = chosen.chain.fee_rule.burns_base_fee, chosen.scenario.builders.count > 0
    return close_accounts(chosen.records.meters[0], burns, built)


def close_accounts(meter: Any, burns: bool, built: bool = False) -> Accounts:
    """Accounts of rents from what a meter has added up.

    ``burns`` says whether base fees are destroyed, ``built`` whether builders make the blocks.
    """
    searchers = list(SEARCHERS)
    others = np.setdiff1d(np.arange(len(meter["venue_fees"])), searchers)
    base_fees, tips, data, blobs = (meter[name] for name in ("base_fees", "tips", "data_fees", "blob_fees"))
    fees = meter["venue_fees"]
    base_fee = _wei(base_fees)
    loss, to_sandwiches = int(meter["loss_to_arbitrage"]), int(meter["loss_to_sandwiches"])
    searcher_fees = int(fees[searchers].sum())
    purposes = meter["gas_by_purpose"]
    auctions = _wei(meter["auctions"])
    to_proposers = _wei(meter["bids"]) if built else _wei(tips)
    return {
        "burned_wei": base_fee if burns else 0,
        "sequencer_base_fee_wei": 0 if burns else base_fee,
        "tips_wei": _wei(tips),
        "blobs_wei": _wei(blobs),
        "data_wei": _wei(data),
        "auction_revenue_wei": auctions,
        "tips_of_proposers_wei": to_proposers,
        "builders_margin_wei": _wei(tips) - to_proposers,
        "paid_by_others_wei": sum(_wei(paid[others]) for paid in (base_fees, tips, data, blobs)),
        "paid_by_searchers_wei": sum(_wei(paid[searchers]) for paid in (base_fees, tips, data, blobs)) + auctions,
        "failed_gas_wei": _wei(meter["failed_gas"]),
        "failed_gas_of_searchers_wei": _wei(meter["failed_gas"][searchers]),
        "plain_space_wei": _wei(purposes[[PLAIN_SPACE]]),
        "congestion_wei": _wei(purposes[[CONGESTION]]),
        "place_wei": _wei(purposes[[PLACE_IN_BLOCK]]) + auctions,
        "venue_fees_micro_usd": int(fees.sum()),
        "fees_of_others_micro_usd": int(fees[others].sum()),
        "searcher_fees_micro_usd": searcher_fees,
        "loss_to_arbitrage_micro_usd": loss,
        "loss_to_sandwiches_micro_usd": to_sandwiches,
        "searcher_cash_micro_usd": loss + to_sandwiches - searcher_fees,
    }


def rent_measures(
    rows: npt.NDArray[Any],
    markets: list[npt.NDArray[Any]],
    pools: list[npt.NDArray[Any]],
    hours: float,
    burns: bool,
    option_fees_usd: float = 0.0,
) -> dict[str, float]:
    """Rents of a run in dollars: per hour, per volume and as shares of the whole.

    Parameters
    ----------
    rows, markets, pools
        Rows of blocks, and of each instrument and each pool after them. Gas is valued at the price of ether in its
        block.
    hours
        How long they last.
    burns
        Whether base fees are destroyed.
    option_fees_usd
        Fees of the venue on options, whose books have no rows block by block.
    """

    def of_markets(column: str) -> float:
        return float(sum(market[column].sum() for market in markets))

    base_fee, tips, auctions = (float(rows[name].sum()) for name in ("base_fee_usd", "tips_usd", "auction_usd"))
    data, blobs = float(rows["data_usd"].sum()), float(rows["blob_fees_usd"].sum())
    fees = of_markets("maker_fees_usd") + of_markets("taker_fees_usd") + option_fees_usd
    built = rows["builder"] > 0
    margin = float((rows["tips_usd"] - rows["bid_usd"])[built].sum())
    loss, searcher_fees = of_markets("loss_to_arbitrage_usd"), of_markets("searcher_fees_usd")
    to_sandwiches = of_markets("loss_to_sandwiches_usd")
    gas_of_searchers = float(rows["searcher_gas_usd"].sum())
    parts = {
        "burned": base_fee if burns else 0.0,
        "sequencer": 0.0 if burns else base_fee,
        "tips": tips - margin,
        "blobs": blobs,
        "data": data,
        "builder": margin,
        "auction": auctions,
        "venue": fees,
        "searchers": loss + to_sandwiches - searcher_fees - gas_of_searchers - auctions,
    }
    whole = sum(parts.values())
    congestion, place = (float(rows[name].sum()) for name in ("congestion_usd", "ordering_usd"))
    others = {
        "whole": whole,
        "failed_gas": float(rows["failed_gas_usd"].sum()),
        "plain_space": base_fee + tips + auctions - congestion - place,
        "congestion": congestion,
        "ordering": place,
        "lost_to_arbitrage": loss,
        "lost_to_sandwiches": to_sandwiches,
    }
    volume = of_markets("volume_usd") + float(sum(pool["volume_usd"].sum() for pool in pools))
    gas_used = float(rows["gas_used"].sum())
    measures: dict[str, float] = {}
    for name, amount in (parts | others).items():
        measures[f"rent_{name}_usd_per_h"] = amount / hours
        measures[f"rent_{name}_per_volume_bps"] = 1e4 * amount / volume if volume else np.nan
    for name, amount in parts.items():
        measures[f"rent_{name}_share"] = amount / whole if whole else np.nan
    measures["spam_share_of_gas"] = float(rows["spam_gas"].sum()) / gas_used if gas_used else np.nan
    measures["searcher_share_of_gas"] = float(rows["searcher_gas"].sum()) / gas_used if gas_used else np.nan
    return measures
