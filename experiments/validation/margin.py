"""V26 and V34: the rules of perpetuals and of portfolio margin, to the micro-dollar."""

import math

import numpy as np

from blockspace.experiments.market import Market
from blockspace.experiments.validation import Row, compare, target
from blockspace.experiments.validation.anchoring import anchoring
from blockspace.experiments.validation.announced_moves import announced_moves
from blockspace.experiments.validation.positions import House, free_market
from blockspace.markets.ledger import totals
from blockspace.markets.margin import scan_margin, worst_loss
from blockspace.markets.perpetual import eight_hour_rate, pay_funding, set_mark

FUNDING = "Hyperliquid (2024)"
IDENTITY = "identity"
LOTS = 1_000_000
LEVERAGES = (2.0, 5.0, 10.0)
MAINTENANCE = 0.025
"""Of the value: half of the initial margin of the market that is looked at."""


@target("V26")
def perpetuals(quick: bool) -> list[Row]:
    """Funding follows its rule, sums to zero and anchors; liquidation prices are where leverage and maintenance say."""
    rows = []
    for premium, rate in ((-4e-4, 1e-4), (0.0, 1e-4), (6e-4, 1e-4), (2e-3, 1.5e-3), (-2e-3, -1.5e-3)):
        what = f"eight-hour funding rate at a premium of {1e4 * premium:g} basis points, basis points"
        found = 1e4 * eight_hour_rate(premium)
        rows.append(compare("V26", what, 1e4 * rate, found, absolute=1e-9, source=FUNDING))
    market = free_market(260, 12.0, 0.05)
    market.step()
    house = House(market)
    generator = np.random.default_rng(260)
    for lots in generator.integers(-LOTS, LOTS, 50 if quick else 2_000):
        house.open(int(lots), 10**12)
    pay_funding(market.world.venues[0], np.int64(0), 1.2345e-4)
    left = totals(market.world.venues[0]["ledger"])["cash_micro_usd"]
    rows.append(compare("V26", "micro-dollars that funding makes or destroys", 0, left, source=IDENTITY))
    for leverage in LEVERAGES:
        for side, name in ((1, "long"), (-1, "short")):
            theory = 1_000.0 * (1.0 - side / leverage) / (1.0 - side * MAINTENANCE)
            what = f"liquidation price of a {name} of leverage {leverage:g}, bought or sold at 1,000 dollars"
            found = _liquidation_price(side, leverage)
            rows.append(compare("V26", what, theory, found, absolute=2e-3, note="micro-dollar a lot", source=IDENTITY))
    return rows + anchoring(quick) + announced_moves(quick)


def _liquidation_price(side: int, leverage: float) -> float:
    """First mark in dollars at which an account of this leverage is due, by bisection over micro-dollars a lot."""
    market = free_market(261, 12.0, 0.05)
    market.step()
    house, world = House(market), market.world
    start = house.mark
    house.open(side * LOTS, round(LOTS * start / leverage) - side * LOTS * start)
    instrument = world.venues[0]["instruments"][0]

    def is_due(mark: int) -> bool:
        instrument["mark"] = mark
        scan_margin(world.venues, world.chain.blocks)
        return bool(world.venues[0]["margin"]["due_count"])

    safe, due = start, start // 100 if side > 0 else 4 * start
    while abs(due - safe) > 1:
        middle = (safe + due) // 2
        safe, due = (safe, middle) if is_due(middle) else (middle, due)
    return due * 1e-6 / world.lot_size(0)


@target("V34")
def portfolio_margin(quick: bool) -> list[Row]:
    """Positions in one underlying: what portfolio margin asks for, against each position by itself."""
    count = 2 if quick else 4
    names = [{"name": f"PERP-{number}", "taker_fee_bps": 0.0} for number in range(count)]
    market = free_market(340, 12.0, 0.05, margin={"mode": "portfolio", "price_shock": 0.05})
    scenario = market.world.scenario.model_dump(mode="json")
    scenario["instruments"] = [{**scenario["instruments"][0], **name} for name in names]
    market = Market(type(market.world.scenario).model_validate(scenario), 340, tapes="none")
    market.step()
    world = market.world
    venue = world.venues[0]
    for number in range(count):
        set_mark(venue, venue["instruments"][number], 1_000.0)
    house = House(market)
    rows = []
    cases = [("a perfect hedge", [LOTS, -LOTS], 0.0), ("two of the same side", [LOTS, LOTS], 1.0)]
    cases.append(("a hedge of one half", [LOTS, -LOTS // 2], 1.0 / 3.0))
    if not quick:
        cases.append(("three against one", [LOTS, LOTS, LOTS, -LOTS], 0.5))
    for name, lots, theory in cases:
        account = house.open(0, 0)
        house.accounts["position"][account, : len(lots)] = lots
        together = worst_loss(venue, account, np.int64(0), np.int64(0))
        alone = 0
        for number, one in enumerate(lots):
            house.accounts["position"][account] = 0
            house.accounts["position"][account, number] = one
            alone += worst_loss(venue, account, np.int64(0), np.int64(0))
        house.accounts["position"][account] = 0
        what = f"portfolio margin over the sum of isolated margins: {name}"
        found = together / alone if alone else math.nan
        note = "one underlying; netting across several needs several"
        rows.append(compare("V34", what, theory, found, absolute=1e-9, note=note, source=IDENTITY))
    return rows
