"""What a world looks like, as plain lists and numbers for the panels. Nothing here changes a world."""

from typing import Any

import numpy as np
import numpy.typing as npt

from blockspace.experiments.app.live_market import LiveMarket
from blockspace.experiments.recording.rents import rents
from blockspace.experiments.recording.rows import ROLES, TAPE
from blockspace.experiments.world import World
from blockspace.markets.instruments import SPOT
from blockspace.markets.ledger import FIRST_FREE_ACCOUNT, MICRO_DOLLARS, WEI_PER_ETHER
from blockspace.markets.margin import equity_behind, maintenance_of
from blockspace.markets.options.black_scholes import YEAR_NS, price_option
from blockspace.network.compilation import kernel
from blockspace.network.transaction import KINDS, STATUSES, UNFUNDED

LADDER_LEVELS = 10
"""Prices of the ladder on either side."""

MOST_BOXES = 160
"""Transactions of a block that are drawn one by one; in fuller blocks neighbours of a kind are drawn together."""

SMALLEST_VALUE_USD = 0.05
"""Value of an option below which a premium over it says nothing."""

Floats = npt.NDArray[np.float64]


def rounded(values: npt.ArrayLike, digits: int = 5) -> list[float | None]:
    """Numbers as JSON has them: few digits, and None where there is none."""
    array = np.atleast_1d(np.asarray(values, float))
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in array]


def book_steps(world: World, reach_bps: float = 60.0) -> dict[str, Any]:
    """Order book of the first instrument: prices and sizes near the best, and depth added up from there.

    Returns ``bids`` and ``asks``, each with ``prices`` (dollars, from the best on), ``sizes`` and ``depths`` (units),
    and ``reach_bps``, how far from the middle was looked.
    """
    book, tick, lot = world.venues[0]["books"][0], world.tick_usd(0), world.lot_size(0)
    best_bid, best_ask, top = int(book["best_bid"]), int(book["best_ask"]), len(book["levels"])
    reference = best_bid if best_bid else best_ask if best_ask < top else 0
    reach = max(int(reference * reach_bps * 1e-4), 4 * (best_ask - best_bid) if best_bid and best_ask < top else 1)
    sides: dict[str, Any] = {"reach_bps": reach_bps}
    for name, first, step in (("bids", best_bid, -1), ("asks", best_ask, 1)):
        if (step < 0 and not first) or (step > 0 and first >= top):
            ticks, sizes = np.zeros(0, int), np.zeros(0)
        else:
            ticks = np.arange(first, np.clip(first + step * reach, 0, top - 1), step)
            sizes = book["levels"]["volume"][ticks]
            ticks, sizes = ticks[sizes > 0], sizes[sizes > 0] * lot
        sides[name] = {
            "prices": rounded(ticks * tick, 9),
            "sizes": rounded(sizes),
            "depths": rounded(np.cumsum(sizes)),
        }
    return sides


def pending_by_fee(world: World, bins: int = 24) -> dict[str, list[float]]:
    """The mempool by what its transactions offer for a unit of gas.

    Returns the ``edges`` of classes in gwei and the gas in millions in each, of those who can ``pay`` the base fee of
    the next block and of those who have to ``wait``.
    """
    pool = world.chain.pools[0]
    pending = pool["transactions"][pool["pending"][: int(pool["count"])]]
    fees = pending["max_fee"] * 1e-9
    base = world.chain.base_fee * 1e-9
    if not len(fees):
        return {"edges": [], "pay": [], "wait": [], "base": [base]}
    fees = np.maximum(fees, 1e-9)
    low, high = fees.min(), max(fees.max(), fees.min() * 1.5)
    edges = np.geomspace(low, high * 1.0001, bins + 1)
    gas = pending["gas"] * 1e-6
    can_pay = fees >= base
    counts = [np.histogram(fees[chosen], edges, weights=gas[chosen])[0] for chosen in (can_pay, ~can_pay)]
    return {"edges": rounded(edges), "pay": rounded(counts[0]), "wait": rounded(counts[1]), "base": [base]}  # type: ignore[dict-item]


def latest_block(world: World) -> list[dict[str, Any]]:
    """Transactions of the block recorded last in their order: ``role``, ``kind``, ``status``, ``gas``, ``tip_gwei``."""
    meter = world.records.meters[0]
    count, number = int(meter["tape_count"]), int(world.records.latest()[0]["block"])
    entries = meter["tape"][np.arange(max(count - TAPE // 8, 0), count) & (TAPE - 1)]
    entries = entries[(entries["block"] == number) & (entries["status"] != UNFUNDED)]
    group = -(-len(entries) // MOST_BOXES)
    boxes = []
    for first in range(0, len(entries), max(group, 1)):
        some = entries[first : first + group]
        roles = meter["roles"][some["sender"]]
        leading = int(np.bincount(roles, some["gas_used"] + 1).argmax())
        entry = some[int((roles == leading).argmax())]
        boxes.append(
            {
                "role": ROLES[leading],
                "kind": KINDS[entry["kind"]],
                "status": STATUSES[entry["status"]],
                "gas": int(some["gas_used"].sum()),
                "tip_gwei": float(f"{entry['tip'] * 1e-9:.4g}"),
                "count": len(some),
            }
        )
    return boxes


def validators(world: World) -> list[dict[str, Any]]:
    """Validators: ``region``, ``stake`` (share), ``latency_ms`` from the access point of agents nearest to them."""
    chain = world.chain
    regions = list(dict(chain.graph.nodes(data="region")).items())
    names = [(node, region) for node, region in regions if node.startswith("validator")]
    latency = chain.producers["latency"][:, : len(chain.access_points) - 1].mean(axis=1) * 1e-6
    return [
        {"region": region, "stake": float(stake), "latency_ms": float(f"{delay:.3g}")}
        for (_, region), stake, delay in zip(names, chain.stake, latency, strict=True)
    ]


def rents_by_part(market: LiveMarket) -> dict[str, float]:
    """Dollars that went to each so far, gas at the price of ether now."""
    accounts = rents(market, market.shown_number)
    ether_usd = market.shown.ether_usd(market.shown.chain.time_ns) / WEI_PER_ETHER
    return {
        "burned": accounts["burned_wei"] * ether_usd,
        "sequencer": accounts["sequencer_base_fee_wei"] * ether_usd,
        "proposers (tips)": accounts["tips_of_proposers_wei"] * ether_usd,
        "builders": accounts["builders_margin_wei"] * ether_usd,
        "express lane": accounts["auction_revenue_wei"] * ether_usd,
        "blobs and data": (accounts["blobs_wei"] + accounts["data_wei"]) * ether_usd,
        "venue (fees)": accounts["venue_fees_micro_usd"] * 1e-6,
        "searchers": accounts["searcher_cash_micro_usd"] * 1e-6 - accounts["paid_by_searchers_wei"] * ether_usd,
    }


def option_surface(world: World, volatility_per_day: float) -> list[dict[str, Any]]:
    """Strikes that are quoted: ``place`` of the tenor, ``moneyness``, implied ``volatility``, ``premium``.

    Both are of a call and a put together, so that quotes that are older than the price do not matter: what the one is
    too dear by the other is too cheap. The volatility is the mean of both at the middle of bid and ask. The premium is
    the middle of both over their value by Black and Scholes (1973) at the volatility of the external price, as a share
    of that value.
    """
    pairs: dict[tuple[int, float], list[tuple[float, float, float]]] = {}
    instruments = world.venues[0]["instruments"]
    volatility = volatility_per_day * np.sqrt(365.0)
    for row in world.records.options.latest():
        instrument = instruments[row["instrument"]]
        years = (int(instrument["expiry"]) - row["time_s"] * 1e9) / YEAR_NS
        strike = float(instrument["strike"]) / (world.scenario.options.lot_size * MICRO_DOLLARS)
        moneyness = strike / float(row["index_usd"])
        right = int(instrument["right"])
        middle = 0.5 * (float(row["best_bid_usd"]) + float(row["best_ask_usd"]))
        implied = 0.5 * float(row["bid_volatility"] + row["ask_volatility"])
        if years <= 0 or not np.isfinite(middle) or not np.isfinite(implied):
            continue
        kind = "call" if right > 0 else "put"
        fair = price_option(kind, float(row["index_usd"]), strike, years, volatility).value
        options = world.venues[0]["options"]
        place = (int(row["instrument"]) - int(options["first"])) // (2 * int(options["strikes"]))
        pairs.setdefault((place, round(moneyness, 4)), []).append((implied, middle, float(fair)))
    found = []
    for (place, moneyness), pair in sorted(pairs.items()):
        if len(pair) == 2:
            implied, middle, fair = np.array(pair).sum(axis=0)
            premium = middle / fair - 1.0 if fair > SMALLEST_VALUE_USD else None
            found.append({"place": place, "moneyness": moneyness, "volatility": 0.5 * implied, "premium": premium})
    return found


@kernel
def _margin_ratios(venues, ratios, values):
    """Equity over maintenance of each account's tightest position; infinity for those without positions."""
    venue = venues[0]
    for account in range(FIRST_FREE_ACCOUNT, venue.ledger.count):
        ratios[account] = np.inf
        values[account] = 0.0
        for number in range(venue.count):
            lots = venue.ledger.accounts[account].position[number]
            if lots == 0 or venue.instruments[number].kind == SPOT:
                continue
            values[account] += abs(lots * venue.instruments[number].mark) * 1e-6
            needed = maintenance_of(venue, account, number)
            if needed > 0:
                ratios[account] = min(ratios[account], equity_behind(venue, account, number) / needed)


def margin_ratios(world: World) -> tuple[Floats, Floats]:
    """Equity over maintenance, and dollars of positions, of all accounts that have positions with a margin."""
    count = int(world.venues[0]["ledger"]["count"])
    ratios, values = np.full(count, np.inf), np.zeros(count)
    _margin_ratios(world.venues, ratios, values)
    held = np.isfinite(ratios)
    return ratios[held], values[held]


def profits_by_role(market: LiveMarket) -> list[tuple[str, int, float]]:
    """Each kind of agent with how many there are and what they have gained together since the start, in dollars."""
    profits = market.profits_usd()
    roles = market.shown.records.meters[0]["roles"][: len(profits)]
    found = []
    for role in np.unique(roles[FIRST_FREE_ACCOUNT:]):
        of_role = np.flatnonzero(roles == role)
        of_role = of_role[of_role >= FIRST_FREE_ACCOUNT]
        found.append((ROLES[role], len(of_role), float(profits[of_role].sum())))
    return found
