"""V32, V33, V35: when positions are liquidated, what a delay costs, and how liquidations set off others."""

import math
from collections import deque

import numpy as np
from scipy.stats import norm

from blockspace.experiments.validation import Row, compare, mean_with_error, target
from blockspace.experiments.validation.positions import PRICE_USD, House, Undertaker, barrier_cash, free_market
from blockspace.markets.instruments import HANDLES
from blockspace.markets.matching import BUY, IMMEDIATE_OR_CANCEL, LIMIT, SELL, place

YEAR_S, DAY_S = 365.0 * 86_400.0, 86_400.0
VOLATILITY = 0.8
"""Of the log price, a year."""

LOTS = 1_000
DISCRETE = 0.5826
"""Minus zeta(1/2) over the root of two pi: by how many standard deviations of a step a barrier seems further away."""


def barrier_probability(barrier: float, seconds: float, step_s: float = 0.0, side: int = 1) -> float:
    """Probability that a martingale price falls by ``barrier`` (log) within a time, if it is seen every ``step_s``.

    With ``side`` -1 it is that the price rises by as much.
    Reflection principle, with the correction of Broadie, Glasserman and Kou (1997) for discrete monitoring.

    Examples
    --------
    >>> round(barrier_probability(0.04, 86_400.0), 4), round(barrier_probability(0.04, 86_400.0, 300.0), 4)
    (0.3463, 0.3291)
    """
    deviation = VOLATILITY * math.sqrt(seconds / YEAR_S)
    drift = -0.5 * side * deviation**2
    barrier += DISCRETE * VOLATILITY * math.sqrt(step_s / YEAR_S)
    direct = norm.cdf((-barrier - drift) / deviation)
    reflected = math.exp(-2.0 * drift * barrier / deviation**2) * norm.cdf((-barrier + drift) / deviation)
    return float(direct + reflected)


def expected_shortfall(buffer: float, delay_s: float) -> float:
    """What a position is expected to owe ``delay_s`` after it had ``buffer`` left, as shares of its value.

    Examples
    --------
    >>> [round(1e4 * expected_shortfall(buffer, 600.0), 3) for buffer in (0.0025, 0.005, 0.01)]
    [4.848, 1.19, 0.021]
    """
    deviation = VOLATILITY * math.sqrt(delay_s / YEAR_S)
    distance = buffer / deviation
    return float(deviation * (norm.pdf(distance) - distance * norm.cdf(-distance)))


def _prices() -> dict[str, float]:
    per_day = VOLATILITY * math.sqrt(DAY_S / YEAR_S)
    return {"volatility_per_day": per_day, "drift_per_day": -0.5 * per_day**2}


@target("V32")
def liquidation_probability(quick: bool) -> list[Row]:
    """Positions with a barrier fall due within a day as often as a price that is seen at blocks crosses it.

    Fewer are liquidated: that takes one more block, in which some have enough again.
    """
    barrier, block_s = 0.04, 300.0
    seeds, days = (6, 8) if quick else (160, 10)  # short of the first funding
    shares = np.concatenate([_shares_due(3_200 + seed, days, barrier, block_s) for seed in range(seeds)])
    theories = [barrier_probability(barrier, DAY_S, block_s, side) for side in (1, -1)]
    cases = [("longs", theories[0], shares[:, 0]), ("shorts", theories[1], shares[:, 1])]
    # What makes longs due spares shorts, so that the mean of both is known better than either.
    cases.append(("longs and shorts", sum(theories) / 2.0, shares.mean(axis=1)))
    rows = []
    for name, theory, found in cases:
        simulation, error = mean_with_error(found)
        what = f"share of {name} that fall due within a day, {100 * barrier:g} % from their barrier, blocks of 5 min"
        source = "Broadie, Glasserman and Kou (1997)"
        rows.append(compare("V32", what, theory, simulation, relative=0.02, standard_error=error, source=source))
    return rows


def _shares_due(seed: int, days: int, barrier: float, block_s: float) -> "np.ndarray":
    """Shares of longs and of shorts that fall due within a day, by the day on which they were opened."""
    market = free_market(seed, block_s, 0.02, price=_prices())
    house, blocks = House(market), round(DAY_S / block_s)
    entered: deque[tuple[int, int, int, int]] = deque()
    hits: dict[tuple[int, int], list[bool]] = {(day, side): [] for day in range(days) for side in (1, -1)}

    fallen: set[int] = set()

    def manage() -> None:
        number, margin = market.world.chain.number, market.world.venues[0]["margin"]
        fallen.update(margin["due"]["account"][: int(margin["due_count"])].tolist())
        while entered and number - entered[0][1] >= blocks:
            account, _, day, side = entered.popleft()
            hits[day, side].append(account in fallen or _is_due(house, account))
            fallen.discard(account)
            house.take_back(account)
        if number % 4 == 0 and number < days * blocks:
            for side in (1, -1):
                cash = barrier_cash(side * LOTS, house.mark, math.exp(-side * barrier), 0.01)
                entered.append((house.open(side * LOTS, cash), number, number // blocks, side))

    market.world.insert_phase("open and close positions", manage, before="check margins", arrays=[])
    for _ in range((days + 1) * blocks + 1):
        market.world.make_block()
    return np.array([[np.mean(hits[day, side]) for side in (1, -1)] for day in range(days)])


def _is_due(house: House, account: int) -> bool:
    lots, cash = int(house.accounts["position"][account, 0]), int(house.accounts["cash"][account])
    return bool(cash + lots * house.mark < abs(lots) * house.mark * 0.01)


@target("V33")
def shortfall_and_delay(quick: bool) -> list[Row]:
    """What is missing when a position is taken over one block after it fell due."""
    rows = []
    blocks = 4_000 if quick else 40_000
    for delay_s, buffers in ((600.0, (0.0025, 0.005)), (3_600.0, (0.0025, 0.005, 0.01))):
        missing = _shortfalls(330, delay_s, buffers, blocks)
        for buffer, amounts in zip(buffers, missing, strict=True):
            simulation, error = mean_with_error(amounts)
            rows.append(
                compare(
                    "V33",
                    f"shortfall {delay_s:g} s after a buffer of {100 * buffer:g} % was left, basis points of the value",
                    1e4 * expected_shortfall(buffer, delay_s),
                    1e4 * simulation,
                    relative=0.03,
                    standard_error=1e4 * error,
                    source="expectation of a normal loss beyond the buffer",
                )
            )
    return rows


def _shortfalls(seed: int, delay_s: float, buffers: tuple[float, ...], blocks: int) -> list[list[float]]:
    """Shortfall of each liquidation by buffer, a long and a short in every block, as shares of the value at the start.

    Each falls due in the block in which it is made, with exactly its buffer left, is seen to be due in the view of that
    block and taken over in the next one, unless the price has come back so far that it has enough again.
    """
    market = free_market(seed, delay_s, 0.04, price=_prices())
    Undertaker(market)
    house = House(market)
    missing: list[list[float]] = [[] for _ in buffers]
    made: list[tuple[int, int, int]] = []
    log = market.world.venues[0]["liquidations"]

    def manage() -> None:
        if made:
            newest = int(log["count"]) - 1 - np.arange(min(len(made), int(log["count"])))
            latest = log["entries"][newest & (len(log["entries"]) - 1)]
            latest = latest[latest["block"] == market.world.chain.number]
            equity = dict(zip(latest["account"].tolist(), latest["equity"].tolist(), strict=True))
            for account, place, value in made:
                missing[place].append(max(-equity.get(account, 0), 0) / value)
                house.take_back(account)
            made.clear()
        value = LOTS * house.mark
        for place, buffer in enumerate(buffers):
            for side in (1, -1):
                made.append((house.open(side * LOTS, round(buffer * value) - side * value), place, value))

    market.world.insert_phase("make positions", manage, before="check margins", arrays=[])
    for _ in range(blocks):
        market.world.make_block()
    # The two sides of a block see one move of the price: they count as one observation.
    return [np.reshape(amounts, (-1, 2)).mean(axis=1).tolist() for amounts in missing]


class Seller(Undertaker):
    """Liquidates what is due, and sells what it took over at any price."""

    def act(self) -> None:
        """Sell first, so that the next liquidations are asked for at the same time."""
        lots = int(self.world.venues[0]["ledger"]["accounts"]["position"][self.account, 0])
        if lots > 0:
            self.submit("sell", 1.0, lots * self.world.lot_size(0), max_fee=0, tip=0)
        super().act()


WEALTH = 10**12
"""Micro-dollars of those whose orders are in the book, so that they are never due."""

POSITIONS, CASCADES = 250, 25
"""In one field: few enough cascades to end before the first funding."""

SPACING_TICKS = 2
SOLD_LEVELS = 20
"""Levels of the book that one position takes: the middle falls by as many ticks."""


class _Field:
    """A book of one lot at every second tick, with positions below it whose liquidation prices are spread at random.

    The mark follows the middle of the book, whose upper side lies still. When a cascade has ended, the next position
    down is pushed over by selling as much as that takes.
    """

    def __init__(self, seed: int, ratio: float) -> None:
        self.market = free_market(seed, 1_800.0, 0.04)  # long after the memory of the basis
        self.seller = Seller(self.market)
        self.venue = self.market.world.venues[0]
        self.tick_lot_value = int(self.venue["instruments"][0]["tick_lot_value"])
        self.start = round(PRICE_USD / self.market.world.tick_usd(0))
        self.house = House(self.market)
        gaps = np.random.default_rng(seed).exponential(SOLD_LEVELS / ratio, POSITIONS)
        # Half a tick above whole ones, so that the middle of the book, which is whole, is never just at one.
        self.barriers = deque((np.floor(self.start - np.cumsum(gaps)) + 0.5).tolist())
        levels = int(np.sum(gaps)) + 2 * SOLD_LEVELS
        self._rest(self.house.open(0, WEALTH), SELL, [self.start + SPACING_TICKS])
        for first in range(1, levels, HANDLES):
            prices = [self.start - SPACING_TICKS * level for level in range(first, first + HANDLES)]
            self._rest(self.house.open(0, WEALTH), BUY, prices)
        for barrier in self.barriers:
            cash = barrier_cash(SOLD_LEVELS, round(barrier * self.tick_lot_value), 1.0, 0.02)
            self.house.open(SOLD_LEVELS, cash)
        self.sparker = self.house.open(0, 0)
        self.quiet = 0
        self.begun = 0
        self.sizes: list[int] = []
        self.market.world.insert_phase("push the next one", self.push, before="check margins", arrays=[])

    def _rest(self, account: int, side: int, prices: list[int]) -> None:
        for number, price in enumerate(prices):
            handle = np.uint64(account * HANDLES + number)
            place(self.venue["books"][0], self.market.world.logs[0], handle, account, side, price, 1, LIMIT)

    def push(self) -> None:
        """Begin the next cascade once nothing has been due or on sale for three blocks."""
        done = int(self.venue["liquidations"]["count"])
        held = int(self.house.accounts["position"][self.seller.account, 0])
        self.quiet = 0 if held or int(self.venue["margin"]["due_count"]) else self.quiet + 1
        if self.quiet < 3:
            return
        if done > self.begun:
            self.sizes.append(done - self.begun)
        self.begun, self.quiet = done, 0
        while self.barriers and self.barriers[0] * self.tick_lot_value > self.house.mark:
            self.barriers.popleft()
        if self.barriers:
            lots = math.ceil(self.house.mark / self.tick_lot_value - self.barriers[0])
            book, log = self.venue["books"][0], self.market.world.logs[0]
            place(book, log, np.uint64(self.sparker * HANDLES), self.sparker, SELL, 1, lots, IMMEDIATE_OR_CANCEL)

    def run(self) -> list[int]:
        """Sizes of the first cascades: always the same number of them, so that none is favoured for being short."""
        while len(self.sizes) < CASCADES:
            if not self.barriers:
                raise RuntimeError("the field has too few positions for its cascades")
            self.market.world.make_block()
        return self.sizes


@target("V35")
def cascades(quick: bool) -> list[Row]:
    """Liquidations that move the price set off others as a branching process does."""
    rows = []
    fields = 4 if quick else 60
    for ratio in (0.4, 0.6):
        sizes = np.concatenate([_Field(3_500 + seed, ratio).run() for seed in range(fields)])
        error = float(sizes.std(ddof=1) / math.sqrt(len(sizes)))
        what = f"mean size of a cascade where each liquidation sets off {ratio:g} others directly"
        note = f"{len(sizes)} cascades"
        source = "Borel (1942)"
        theory = 1.0 / (1.0 - ratio)
        mean = float(sizes.mean())
        rows.append(compare("V35", what, theory, mean, relative=0.1, standard_error=error, note=note, source=source))
    return rows
