"""V18: how far prices of one instrument on two chains may be apart before somebody averse to risk trades on it.

Theory: an arbitrageur with constant absolute risk aversion, who is exposed to the price until its trade is settled
after a random time, trades if and only if the logarithmic gap exceeds ln M(g^2 v / 2) / g, and what it pays in fees and
gas. There g is its risk aversion times the notional, v the variance of the log price per second and M the moment
generating function of the time (Hautsch, Scheuch and Voigt, 2024). Gaps are truncated there.

The desks of the simulator know no such bound: they weigh what a trade earns against the certainty equivalent of prices
that move for as long as they have seen it take.
"""

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blockspace.agents.cross_chain_arbitrageurs import (
    CrossChainArbitrageur,
    CrossChainArbitrageurSettings,
    Experience,
)
from blockspace.agents.settlement_risk import risk_price_usd
from blockspace.agents.trader import Trader
from blockspace.experiments.market import Market
from blockspace.experiments.validation import BARE, Row, bare_scenario, compare, mean_with_error, target

SOURCE = "Hautsch, Scheuch and Voigt (2024)"
PRICE_USD = 2_000.0
AVERSION_PER_USD = 0.05
GAMMA = AVERSION_PER_USD * PRICE_USD
"""Risk aversion times the notional of one unit."""
MEAN_S = 6.0
ARGUMENT = 0.2
"""Of the generating function of exponential times with that mean; it is infinite at 1."""
VARIANCE = 2.0 * ARGUMENT / GAMMA**2 / MEAN_S
"""Of the log price per second."""
FEWEST_TRADES = 500
"""Trades from which on times that were seen say much of their law."""
OVERSHOOT = 0.5826
"""By how many steps a random walk passes a far barrier on average (Siegmund, 1979)."""


def exponential_bound(gamma: float, variance: float, mean_s: float) -> float:
    """Smallest logarithmic gap that is worth a trade, without other costs, where times are exponential.

    Examples
    --------
    >>> exponential_bound(100.0, 2.0e-4, 1.0), round(exponential_bound(100.0, 1e-5, 2.0), 6)
    (inf, 0.001054)
    """
    argument = 0.5 * gamma**2 * variance * mean_s
    return -math.log1p(-argument) / gamma if argument < 1.0 else math.inf


def bound(gamma: float, variance: float, mean_s: float, shape: float) -> float:
    """The same where times follow a gamma law of a shape; infinite for times that are always the same."""
    argument = 0.5 * gamma**2 * variance * mean_s
    if math.isinf(shape):
        return argument / gamma
    return -shape * math.log1p(-argument / shape) / gamma


def second_order_bound(gamma: float, variance: float, mean_s: float, variance_s2: float) -> float:
    """The same to second order, by mean and variance of the time alone."""
    return 0.5 * gamma * variance * mean_s + gamma**3 / 8.0 * variance**2 * variance_s2


@target("V18")
def bounds_to_arbitrage(quick: bool) -> list[Row]:
    """Thresholds by law of the time, gaps between two venues, and a desk on two chains."""
    count, gaps, trades = (20_000, 3_000, 60) if quick else (100_000, 100_000, 1_000)
    return [*_thresholds(count), *_gaps(gaps), *_in_a_market(trades)]


# What a desk makes of the times that it has seen.


def _thresholds(count: int) -> list[Row]:
    draws = np.random.default_rng(18)
    rows = []
    for name, shape in (("constant", math.inf), ("gamma of shape 4", 4.0), ("exponential", 1.0)):
        times = np.full(count, MEAN_S) if math.isinf(shape) else draws.gamma(shape, MEAN_S / shape, count)
        found = float(risk_price_usd(times, PRICE_USD, VARIANCE, AVERSION_PER_USD)) / PRICE_USD
        what = f"threshold where the time is {name} with a mean of 6 s, basis points"
        theory = 1e4 * bound(GAMMA, VARIANCE, MEAN_S, shape)
        rows.append(compare("V18", what, theory, 1e4 * found, relative=0.05, source=SOURCE))
    times = draws.gamma(4.0, 0.5, count)
    found = float(risk_price_usd(times, PRICE_USD, VARIANCE, AVERSION_PER_USD)) / PRICE_USD
    theory = second_order_bound(GAMMA, VARIANCE, 2.0, 1.0)
    what = "threshold by mean and variance of a short time, basis points"
    rows.append(compare("V18", what, 1e4 * theory, 1e4 * found, relative=0.05, source=SOURCE))
    what = "ways in which the threshold does not rise with mean, spread, volatility or aversion"
    return [*rows, compare("V18", what, 0, _falls(times), source=SOURCE)]


def _falls(times: npt.NDArray[np.float64]) -> int:
    """How many of four comparative statics fail."""

    def threshold(seconds: npt.NDArray[Any], variance: float = VARIANCE, aversion: float = AVERSION_PER_USD) -> float:
        return float(risk_price_usd(seconds, PRICE_USD, variance, aversion))

    mean = float(times.mean())
    usual = threshold(times)
    higher = (
        threshold(times + 1.0),
        threshold(mean + 1.5 * (times - mean)),
        threshold(times, variance=1.5 * VARIANCE),
        threshold(times, aversion=1.5 * AVERSION_PER_USD),
    )
    return sum(other <= usual for other in higher)


# Two venues whose prices are shocked independently of each other.


class Venue:
    """Stands for a hand: one unit is bid and asked for at the price of the venue."""

    lot_size = 1.0
    lots = 0
    equity_usd = 1e12
    mark_usd = PRICE_USD

    def __init__(self, taker_fee: float, gas_usd: float) -> None:
        self.taker_fee = taker_fee
        self.gas_usd = gas_usd
        self.log_price = math.log(PRICE_USD)
        self.world = self
        self.feeds = [{"terms": [{"initial_margin": 1e-9}]}]
        self.instrument = 0

    def levels(self, side: str) -> npt.NDArray[np.float64]:
        """One level."""
        return np.array([[math.exp(self.log_price), 1.0]])

    def order_gas_usd(self, price: float) -> float:
        """Dollars of gas of an order."""
        return self.gas_usd


class TwoVenues(CrossChainArbitrageur):
    """A desk whose cash is everywhere at once, on two venues; it has seen execution take exponential times."""

    CONSTANTS: ClassVar[tuple[str, ...]] = ("times",)

    def __init__(self, mean_s: float, taker_fee: float, gas_usd: float) -> None:
        settings = CrossChainArbitrageurSettings(
            count=1, risk_aversion_per_usd=AVERSION_PER_USD, risk_aversion_spread=0.0, largest_leverage=100.0
        )
        super().__init__(settings, 0, seed=18)
        self.hands: Any = (Venue(taker_fee, gas_usd), Venue(taker_fee, gas_usd))
        self.lead: Any = self.hands[0]
        self.variance, self.last_price = VARIANCE, PRICE_USD
        self.times = -mean_s * np.log1p(-(np.arange(4_096) + 0.5) / 4_096)  # quantiles of the exponential law

    def experience(self) -> Experience:
        """What it has seen."""
        return Experience(self.times, np.zeros(1), np.zeros(1), math.inf)


def gaps_between(desk: TwoVenues, bound: float, count: int) -> npt.NDArray[np.float64]:
    """Logarithmic gaps left by a desk after each of so many shocks, each an eighth of the bound on average.

    It trades unit by unit, and each unit moves the gap by a tenth of a shock.
    """
    deviation = bound / 8.0
    shocks = np.random.default_rng(181).normal(0.0, deviation / math.sqrt(2.0), (count, 2))
    first, second = desk.hands
    found = np.zeros(count)
    for number, shock in enumerate(shocks.tolist()):
        first.log_price += shock[0]
        second.log_price += shock[1]
        while (offer := desk.best_offer()) is not None:
            desk.hands[offer.buys_on].log_price += deviation / 20.0
            desk.hands[1 - offer.buys_on].log_price -= deviation / 20.0
        found[number] = first.log_price - second.log_price
        first.log_price -= 0.5 * (first.log_price + second.log_price) - math.log(
            PRICE_USD
        )  # common moves do not matter
        second.log_price = first.log_price - found[number]
    return found


def _gaps(count: int) -> list[Row]:
    rows, bounds, variances = [], [], []
    for mean_s, fee_bps, gas_usd in ((6.0, 0.0, 0.0), (10.0, 0.0, 0.0), (15.0, 0.0, 0.0), (10.0, 2.0, 0.4)):
        delta = exponential_bound(GAMMA, VARIANCE, mean_s)
        total = delta + 2e-4 * fee_bps + 2.0 * gas_usd / PRICE_USD
        found = gaps_between(TwoVenues(mean_s, 1e-4 * fee_bps, gas_usd), total, count)
        case = f"exponential times of {mean_s:g} s" + (
            ", fees of 4 basis points and gas of 0.80 dollars" if fee_bps else ""
        )
        largest = 1e4 * float(np.abs(found).max())
        what = f"largest gap between two venues, basis points: {case}"
        rows.append(compare("V18", what, 1e4 * total, largest, relative=0.05, source=SOURCE))
        variance, error = mean_with_error(found**2)
        # A walk that is held at a barrier is spread evenly up to where it would have overshot to; the last unit that is
        # traded brings it half a unit below the barrier on average.
        theory = (total * (1.0 + (OVERSHOOT - 0.05) / 8.0)) ** 2 / 3.0
        what = f"variance of the gap, square basis points: {case}"
        row = compare(
            "V18", what, 1e8 * theory, 1e8 * variance, relative=0.05, standard_error=1e8 * error, source=SOURCE
        )
        rows.append(row)
        if not fee_bps:
            bounds.append(delta)
            variances.append(variance)
    power = float(np.polyfit(np.log(bounds), np.log(variances), 1)[0])
    what = "power of the threshold to which the variance of the gap is proportional"
    return [*rows, compare("V18", what, 2.0, power, relative=0.05, source=SOURCE)]


# A desk in a market: a chain with slots, and one on which the next block comes after an exponential time.


FIRST_STEP, STEP = 0.5, 0.05
"""Gaps that are offered, in bounds: where they begin, and by how much they rise."""


class Quotes(Trader):
    """Rests one unit at a distance from the price that somebody else sets."""

    def __init__(self, model: Any, world: Any) -> None:
        super().__init__(model, world=world)
        self.wanted_usd = self.resting_usd = 0.0  # above the price; 0 for nothing
        self.side = "sell"

    def act(self) -> None:
        """Replace what rests if something else is wanted."""
        if self.wanted_usd != self.resting_usd:
            self.resting_usd = self.wanted_usd
            self.cancel(0)
            if self.wanted_usd:
                self.submit(self.side, PRICE_USD + self.wanted_usd, 1.0, style="post_only", slot=0)


class Ramp(Quotes):
    """Rests on the slower chain and says what rests on the other: a gap that grows step by step until a desk takes it.

    Then it starts anew the other way round, so that the desk's position is one unit or none.
    """

    CONSTANTS: ClassVar = (*Quotes.CONSTANTS, "desk", "other")

    def __init__(self, model: Any, desk: CrossChainArbitrageur, world: Any, other: Quotes, step_usd: float) -> None:
        super().__init__(model, world)
        self.desk, self.other = desk, other
        self.step_usd = step_usd
        self.blocks, self.steps = 0, 0
        self.taken: list[tuple[float, float]] = []  # gap, and the bound for the times that the desk has seen

    def act(self) -> None:
        """Let the gap grow, or start anew."""
        if self.desk.pair:
            if self.steps:
                times = self.desk.usual_execution_s()
                moment = float(np.exp(0.5 * GAMMA**2 * VARIANCE * times).mean())
                gap_usd = (FIRST_STEP / STEP + self.steps - 1.5) * self.step_usd  # half a step less than it was
                self.taken.append((gap_usd / PRICE_USD, math.log(moment) / GAMMA))
                self.blocks = self.steps = 0
            return
        self.steps += self.blocks % 3 == 0  # blocks of the other chain come at random
        self.blocks += 1
        gap = (FIRST_STEP / STEP + self.steps - 1) * self.step_usd
        buys_there = len(self.taken) % 2 == 0
        self.side, self.other.side = ("buy", "sell") if buys_there else ("sell", "buy")
        self.wanted_usd = 0.5 * gap if buys_there else -0.5 * gap
        self.other.wanted_usd = -self.wanted_usd
        super().act()


def _in_a_market(trades: int) -> list[Row]:
    """Gaps at which a desk trades that has learned on its own chains how long it takes."""
    step_usd = STEP * PRICE_USD * exponential_bound(GAMMA, VARIANCE, MEAN_S)
    market = _market(500.0 * trades)
    desk = market.cross_chain[0]
    for route in desk.routes:
        route.quick.add(0.0)  # it has seen cash arrive at once, and nobody asks anything for that
    ramp = Ramp(market, desk, market.worlds[1], Quotes(market, market.worlds[0]), step_usd)
    while len(ramp.taken) < trades:
        market.run_for(1_200.0)
    market.check()
    gaps, bounds = (1e4 * float(np.mean(values)) for values in zip(*ramp.taken[trades // 2 :], strict=True))
    what = "gap at which a desk trades in a market, by the times that it has seen there, basis points"
    note = f"{len(ramp.taken)} trades"
    rows = [compare("V18", what, bounds, gaps, relative=0.05, note=note, source=SOURCE)]
    if trades < FEWEST_TRADES:
        return rows
    theory = 1e4 * exponential_bound(GAMMA, VARIANCE, MEAN_S)
    # Times that were seen are a sample: its mean of exponentials deviates from that of their law.
    moment = 1.0 / (1.0 - ARGUMENT)
    error = math.sqrt(1.0 / (1.0 - 2.0 * ARGUMENT) - moment**2) / moment / math.sqrt(trades) / GAMMA * 1e4
    what = "the same by the law of the blocks, one chain's after exponential times of 6 s"
    row = compare("V18", what, theory, gaps, relative=0.05, standard_error=error, note=note, source=SOURCE)
    return [*rows, row]


def _market(duration_s: float) -> Market:
    """Two chains on which the price goes up and down by what the variance says, and nobody trades but a desk."""
    move = math.sqrt(12.0 * VARIANCE)
    numbers = range(1, int(duration_s / 12.0) + 200)
    levels = [(12.0 * number, math.exp(0.5 * move * (-1) ** number)) for number in numbers]
    script = [[time_s + after_s, level] for time_s, level in levels for after_s in (-4.0, 4.0)]
    trading = {
        "market": True,
        "fee_market": {"rule": "fixed", "base_fee_wei": 0, "wallet_tip_wei": 0},
        "instruments": [{"name": "ETH-PERP", "lot_size": 1.0, "taker_fee_bps": 0.0}],
        "noise_traders": {"count": 1, "orders_per_s": 0.0},
    }
    parent = {**BARE, **trading, "name": "parent", "warm_up_s": 0.0, "chain": {"block_time_s": 12.0, "blobs": "bpo2"}}
    del trading["market"]
    return Market(
        bare_scenario(
            {
                **trading,
                "chain": {"block_time_s": 6.0, "block_arrivals": "poisson"},
                "price": {"source": "script", "script": script},
                "rollup": {
                    "kind": "optimistic",
                    "posting": {"rule": "interval", "interval_s": 600.0},
                    "bridge": {"capital_usd": 1e9, "capital_cost_per_year": 0.0},
                },
                "cross_chain_arbitrageurs": {
                    "count": 1,
                    "capital_usd": 1e6,
                    "risk_aversion_per_usd": AVERSION_PER_USD,
                    "risk_aversion_spread": 0.0,
                    "patience_s": 600.0,
                },
                "chains": [parent],
            }
        ),
        seed=18,
        tapes="none",
    )
