"""What a run says of two chains with a market in common: how far their prices are apart, and who trades on that."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.experiments.cross_chain import chains_between, instrument_name
from blockspace.experiments.recording.rows import CROSS_CHAIN_ARBITRAGEUR
from blockspace.markets.ledger import MICRO_DOLLARS

if TYPE_CHECKING:
    from blockspace.experiments.market import Market
    from blockspace.experiments.world import World


def price_gaps(market: "Market") -> pd.DataFrame:
    """Gap between the mid prices of two chains, from each block of either until the next.

    Returns
    -------
    pandas.DataFrame
        ``time_s``, ``lasts_s`` and ``gap_bps``, the logarithm of the first price over the second; not a number while a
        book has no mid. No row where two chains have no perpetual in common on which somebody trades.
    """
    nothing = pd.DataFrame({name: np.zeros(0) for name in ("time_s", "lasts_s", "gap_bps")})
    pair = chains_between(market.settings)
    name = instrument_name(market.settings)
    if pair is None or not all(
        one.has_market and any(name == listed.name for listed in one.instruments) for one in pair
    ):
        return nothing
    worlds = {world.scenario.name: world for world in market.worlds}
    series = [_mids(worlds[one.name], name) for one in pair]
    if not all(len(times) for times, _ in series):
        return nothing
    times = np.union1d(series[0][0], series[1][0])
    times = times[times >= max(series[0][0][0], series[1][0][0])]
    logs = [np.log(mids[np.searchsorted(own, times, side="right") - 1]) for own, mids in series]
    lasts = np.append(np.diff(times), max(market.time - times[-1], 0.0))
    return pd.DataFrame({"time_s": times, "lasts_s": lasts, "gap_bps": 1e4 * (logs[0] - logs[1])})


def _mids(world: "World", name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times of a chain's blocks in seconds, and the mid price after each in dollars."""
    number = [listed.name for listed in world.scenario.instruments].index(name)
    rows = world.records.market_rows(number)
    return world.records.block_rows()["time_s"], 0.5 * (rows["best_bid_usd"] + rows["best_ask_usd"])


def summarise_cross_chain(market: "Market") -> dict[str, float]:
    """Measures of the gap behind the warm-up, and of the desks that trade on it since the start."""
    gaps = price_gaps(market)
    if not len(gaps):
        return {}
    kept = gaps[(gaps["time_s"] > market.settings.warm_up_s) & gaps["gap_bps"].notna() & (gaps["lasts_s"] > 0.0)]
    size, lasts = kept["gap_bps"].abs().to_numpy(), kept["lasts_s"].to_numpy()
    order = np.argsort(size, kind="stable")
    share = np.cumsum(lasts[order]) / lasts.sum() if len(size) else np.zeros(0)

    def quantile(part: float) -> float:
        return float(size[order][np.searchsorted(share, part)]) if len(size) else math.nan

    measures = {
        "cross_chain_gap_bps": float(np.average(size, weights=lasts)) if len(size) else math.nan,
        "cross_chain_gap_median_bps": quantile(0.5),
        "cross_chain_gap_p95_bps": quantile(0.95),
    }
    return measures | (_desks(market) if market.cross_chain else {})


def _desks(market: "Market") -> dict[str, float]:
    """Trades, profit and capital of all desks together."""
    desks = market.cross_chain
    price = market.path.price(market.time)
    hands = [hand for desk in desks for hand in desk.hands]
    accounts = {(hand.world.scenario.name, hand.account) for hand in hands}
    transfers = own_transfers(market)
    arrived = transfers["paid_s"].fillna(math.inf).clip(upper=market.time)
    moving = transfers["included_s"].notna() & transfers["paid_s"].isna()
    locked = ((arrived - transfers["included_s"]) * transfers["amount_usd"]).sum()
    equity = float(transfers["amount_usd"][moving].sum())
    for world in market.worlds:
        venue = world.venues[0]["ledger"]["accounts"]
        own = [account for name, account in accounts if name == world.scenario.name]
        equity += float(venue["cash"][own].sum()) / MICRO_DOLLARS
    for hand in hands:
        lots = int(hand.world.venues[0]["ledger"]["accounts"]["position"][hand.account, hand.instrument])
        equity += lots * hand.lot_size * price
    gas = sum(float(world.records.meters[0]["gas_usd"][CROSS_CHAIN_ARBITRAGEUR]) for world in market.worlds)
    brought = 2.0 * market.settings.cross_chain_arbitrageurs.capital_usd * len(desks)
    waits: list[Any] = [desk.executions.seen(math.nan) for desk in desks]
    return {
        "cross_chain_trades": float(sum(desk.pairs for desk in desks)),
        "cross_chain_trades_mended": float(sum(desk.mended for desk in desks)),
        "cross_chain_volume_usd": float(sum(desk.volume_usd for desk in desks)),
        "cross_chain_profit_usd": equity - brought - gas,
        "cross_chain_gas_usd": gas,
        "cross_chain_execution_s": float(np.nanmean(np.concatenate(waits))) if _any(waits) else math.nan,
        "cross_chain_transfers": float(transfers["included_s"].notna().sum()),
        "cross_chain_bridge_fees_usd": float(transfers["fee_usd"][transfers["paid_s"].notna()].sum()),
        "cross_chain_capital_locked_usd": float(locked / market.time) if market.time > 0.0 else 0.0,
    }


def _any(waits: list[Any]) -> bool:
    return bool(np.isfinite(np.concatenate(waits)).any())


def own_transfers(market: "Market") -> pd.DataFrame:
    """Transfers of cash that the desks have asked for, over all bridges on their way."""
    frames = []
    for bridge in market.bridges:
        found = bridge.transfers()
        for direction, (source, _) in enumerate(bridge.chains):
            accounts = [
                hop.source.account
                for desk in market.cross_chain
                for route in desk.routes
                for hop in route.hops
                if hop.bridge is bridge and hop.source.world is source
            ]
            of = found["direction"] == ("withdrawal", "deposit")[direction]
            frames.append(found[of & found["sender"].isin(accounts)])
    return pd.concat(frames, ignore_index=True)
