"""Arbitrageurs between chains: they buy an instrument where it is cheap and sell it where it is dear.

A desk has a hand on each of two chains, with capital of its own. It sees both books as far as they have reached it, and
sends both legs at once, at the last moment for the slower chain, since whatever is decided earlier only waits longer.
No gap is named to it at which to trade. It trades the size that is worth most to it, if any is worth something, after
fees, gas on both chains and two prices of its own for risk (:mod:`blockspace.agents.settlement_risk`):

- until both legs are in blocks it is exposed to the price with one of them. How long that takes it learns from its own
  trades;
- until cash can be brought from one chain to the other each leg stands by itself: what one gains does not cover what
  the other loses. How long that takes it learns from its own transfers, and from what can be seen of the bridge before
  it has made any; and it may buy speed, at what the providers of the bridge ask. A trade that adds to its position
  costs what that adds to this price, and one that takes from it earns as much.

Where the two legs do not match, since one of them has found nothing, it first mends that at the best price.

A position takes equity on both chains, and while the price moves what one leg gains the other one loses, so that one
side runs short. What has been forgone for want of equity there adds up; as soon as that is what bringing cash would
cost, half of the difference is sent. The cost is gas, and the fee of a provider or what the cash would have earned
meanwhile, by what the desk has earned lately, whichever is less. A withdrawal of a week hardly ever pays.
"""

import math
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from blockspace.agents.cash_routes import CashRoute
from blockspace.agents.chain_hands import Hand
from blockspace.agents.settlement_risk import REMEMBERED, Waits, cost_of, risk_price_usd, sizes_to_try
from blockspace.markets.ledger import MICRO_DOLLARS
from blockspace.network.draws import draw_normal, draw_uniform, stream_key
from blockspace.network.settings import Settings
from blockspace.network.state import Stateful

NS = 1_000_000_000

FIRST_LESSONS = 4
"""For how many pairs the trust counts that a desk begins with: that they earn what they promise."""

_AVERSION, _PLACE = np.arange(2)


class CrossChainArbitrageurSettings(Settings):
    """Desks that trade the gap between the prices of an instrument on two chains."""

    count: int = Field(0, ge=0, le=64, description="number of desks")
    between: tuple[str, ...] = Field(
        (),
        max_length=2,
        description="names of the two chains, a rollup and its parent or two rollups of one parent; the first chain "
        "and the first of chains if empty",
    )
    instrument: str = Field(
        "",
        max_length=40,
        description="name of the perpetual that is traded on both; the first of the first chain if empty",
    )
    capital_usd: float = Field(200_000.0, ge=0, le=1e9, description="dollars that each desk has on each of both chains")
    largest_leverage: float = Field(
        5.0, gt=0, le=100, description="most that a position may be worth, in multiples of the equity on its chain"
    )
    risk_aversion_per_usd: float = Field(
        1e-5, gt=0, le=1, description="absolute risk aversion per dollar of the median desk"
    )
    risk_aversion_spread: float = Field(
        0.3, ge=0, le=3, description="standard deviation of the log of the desks' risk aversions"
    )
    patience_s: float = Field(
        30.0, gt=0, le=3_600, description="seconds after which an order that is not included lapses"
    )
    memory_s: float = Field(
        3_600.0, gt=0, le=1e7, description="seconds over which what a desk knows of volatility and of its income fades"
    )

    @model_validator(mode="after")
    def _two_chains_or_none(self) -> "CrossChainArbitrageurSettings":
        if len(self.between) == 1 or len(set(self.between)) < len(self.between):
            raise ValueError(f"between is {', '.join(self.between)}; it must name two chains, or none")
        return self


class Offer(NamedTuple):
    """A pair of trades that a desk could make."""

    buys_on: int
    size: float
    """Units of the underlying."""
    worth_usd: float
    """What it is worth to the desk, after everything."""
    income_usd: float
    """What it earns after fees and gas."""
    worst_usd: tuple[float, float]
    """Worst visible prices of the purchase and of the sale."""


class Experience(NamedTuple):
    """What a desk goes by."""

    executions_s: npt.NDArray[np.float64]
    """How long it took until both legs were in blocks."""
    slow_s: npt.NDArray[np.float64]
    """How long cash takes by the slow bridges, either way."""
    quick_s: npt.NDArray[np.float64]
    """How long it takes where providers pay it out early."""
    fee_share: float
    """What they ask for that, as a share of the cash; infinite if they do not."""


class CrossChainArbitrageur(Stateful):
    """A desk with a hand on each of two chains.

    Parameters
    ----------
    settings
        Of the population.
    number
        Of the desk, for its draws.
    seed
        Seed of the run.

    Attributes
    ----------
    hands : tuple of Hand
        On the two chains; :meth:`settle_in` gives them to the desk.
    routes : tuple of CashRoute
        From each of the two chains to the other.
    executions : Waits
        How long it took until both legs were in blocks.
    """

    CONSTANTS: ClassVar[tuple[str, ...]] = ("settings", "aversion", "stops", "hands", "lead")

    def __init__(self, settings: CrossChainArbitrageurSettings, number: int, seed: int) -> None:
        self.settings = settings
        key = np.uint64(stream_key(seed, "cross_chain_arbitrageurs"))
        spread = settings.risk_aversion_spread * draw_normal(key, number, _AVERSION)
        self.aversion = settings.risk_aversion_per_usd * math.exp(spread)
        self.place = float(draw_uniform(key, number, _PLACE))  # of its access point among those that both chains have
        self.executions = Waits()
        self.variance = 0.0  # of the log price, per second
        self.income_usd_per_s = 0.0
        self.looks = 0
        self.last_ns, self.last_price = 0, 0.0
        self.shortfall = 0.0  # by what pairs have earned less than they promised, as a share of their notional
        self.lessons = 0
        # Of the pair on its way: when it was decided, in ns, its notional and what it promises in dollars, and lots on
        # the first chain and micro-dollars on both before it.
        self.pair: list[float] = []
        self.missed_usd = [0.0, 0.0]  # worth of what cannot be had now for want of equity, by where it would buy
        self.forgone_usd = [0.0, 0.0]  # all of that since cash was sent there last, by where equity is missing
        # Totals for whoever studies the run.
        self.pairs = 0
        self.mended = 0
        self.volume_usd = 0.0

    def settle_in(self, stops: tuple[Hand, ...], routes: tuple[CashRoute, CashRoute]) -> None:
        """Take hands, on the two chains and on what lies between them in order, and the routes along them."""
        self.stops, self.routes = stops, routes
        self.hands = hands = stops[0], stops[-1]
        self.lead = hands[int(_block_time_s(hands[1]) > _block_time_s(hands[0]))]

    # Looking.

    def look(self, hand: Hand) -> None:
        """Take in what is visible; trade, mend or send cash if it is the moment for it."""
        now = max(self.last_ns, hand.decision_ns)
        for stop in self.stops:
            stop.peek(now)
        for route in self.routes:
            route.advance(now)
        if hand is not self.lead:
            return
        self._learn(now, hand.external_price)
        if not all(own.has_settled() for own in self.hands):
            return
        if self._mend(now):
            return
        self._close_pair()
        if any(route.is_leaving for route in self.routes):
            return
        best = self.best_offer()
        if best is not None:
            self._send(best, now)
        else:
            self._move_cash(now)

    def _learn(self, now: int, price: float) -> None:
        """Update the desk's own estimate of volatility, and let its income fade."""
        self.looks += 1
        elapsed = (now - self.last_ns) / NS
        if self.looks > 1 and elapsed > 0.0:
            weight = max(1.0 - math.exp(-elapsed / self.settings.memory_s), 1.0 / self.looks)
            self.variance += weight * (math.log(price / self.last_price) ** 2 / elapsed - self.variance)
            self.income_usd_per_s -= weight * self.income_usd_per_s
            self.shortfall -= weight * self.shortfall
        self.last_ns, self.last_price = now, price

    # What a trade is worth.

    def usual_execution_s(self) -> npt.NDArray[np.float64]:
        """How long it takes until both legs are in blocks: as seen, or a block of the slower chain by the rules."""
        return self.executions.seen(_block_time_s(self.lead))

    def experience(self) -> Experience:
        """What the desk goes by at this moment."""
        executions = self.usual_execution_s()
        usual = float(executions.mean())
        evened_out = int(sum(hand.equity_usd for hand in self.hands) / 4.0 * MICRO_DOLLARS)  # at the most
        return Experience(
            executions,
            np.concatenate([route.slow_waits_s(self.last_ns) for route in self.routes]),
            np.concatenate([route.quick_waits_s(usual) for route in self.routes]),
            sum(route.fee_share(self.last_ns, evened_out) for route in self.routes) / 2.0,
        )

    def position_price_usd(self, notional_usd: npt.ArrayLike, known: Experience) -> npt.NDArray[np.float64]:
        """Dollars that it would be worth not to hold a position of this notional on both chains, for want of a way.

        Either leg may be the one that loses, so that the waits of both ways count; and cash comes slowly for nothing
        or quickly for a fee on what the position ties up, whichever is less.
        """
        notional = np.abs(np.asarray(notional_usd, dtype=float))
        price = risk_price_usd(known.slow_s, notional, self.variance, self.aversion)
        if math.isfinite(known.fee_share):
            quickly = risk_price_usd(known.quick_s, notional, self.variance, self.aversion)
            price = np.minimum(price, quickly + known.fee_share * notional / self.settings.largest_leverage)
        return price

    def worth_usd(
        self, sizes: npt.NDArray[np.float64], earned_usd: npt.NDArray[np.float64], buys_on: int, known: Experience
    ) -> npt.NDArray[np.float64]:
        """What it is worth to buy sizes (units) on one chain and sell them on the other, for what that earns."""
        price = self.last_price
        exposed = risk_price_usd(known.executions_s, sizes * price, self.variance, self.aversion)
        hand = self.hands[buys_on]
        position = hand.lots * hand.lot_size
        held = self.position_price_usd(np.append(position + sizes, position) * price, known)
        return earned_usd - self.shortfall * sizes * price - exposed - (held[:-1] - held[-1])

    def best_offer(self) -> Offer | None:
        """Pair of trades that is worth most, if any is worth something; what equity does not allow is noted."""
        books = [(hand.levels("bid"), hand.levels("ask")) for hand in self.hands]
        known: Experience | None = None
        best: Offer | None = None
        for buys_on in (0, 1):
            asks, bids = books[buys_on][1], books[1 - buys_on][0]
            missed, place = 0.0, buys_on
            if len(asks) and len(bids) and (self.hands[buys_on].lots < 0 or self._gains(asks, bids, buys_on)):
                known = known or self.experience()
                offer, missed, place = self._offer(asks, bids, buys_on, known)
                if offer is not None and (best is None or offer.worth_usd > best.worth_usd):
                    best = offer
            self._note_missed(buys_on, place, missed)
        return best

    def _gains(self, asks: npt.NDArray[np.float64], bids: npt.NDArray[np.float64], buys_on: int) -> bool:
        """Whether the best prices are apart by more than the fees: without that only a smaller position is of use."""
        got = bids[0, 0] * (1.0 - self.hands[1 - buys_on].taker_fee)
        return bool(got > asks[0, 0] * (1.0 + self.hands[buys_on].taker_fee))

    def _offer(
        self, asks: npt.NDArray[np.float64], bids: npt.NDArray[np.float64], buys_on: int, known: Experience
    ) -> tuple[Offer | None, float, int]:
        """Best pair of trades that buys on one chain, what is missed for want of equity, and on which chain that is."""
        buyer, seller = self.hands[buys_on], self.hands[1 - buys_on]
        rooms = self._room(buyer, 1), self._room(seller, -1)
        place = buys_on if rooms[0] <= rooms[1] else 1 - buys_on
        sizes = np.append(sizes_to_try(asks, bids, math.inf), sizes_to_try(asks, bids, min(rooms)))
        sizes = np.unique(np.floor(sizes / buyer.lot_size + 1e-9)) * buyer.lot_size
        sizes = sizes[sizes > 0.0]
        if not len(sizes):
            return None, 0.0, place
        gas = sum(hand.order_gas_usd(self.last_price) for hand in self.hands)
        got, paid = cost_of(bids, sizes), cost_of(asks, sizes)
        earned = got * (1.0 - seller.taker_fee) - paid * (1.0 + buyer.taker_fee) - gas
        worth = np.maximum(self.worth_usd(sizes, earned, buys_on, known), 0.0)
        allowed = np.where(sizes <= min(rooms) + 1e-9, worth, 0.0)
        best = int(np.argmax(allowed))
        possible = float(allowed[best])
        missed = float(worth.max()) - possible
        if possible <= 0.0:
            return None, missed, place
        worst = _worst(asks, sizes[best]), _worst(bids, sizes[best])
        return Offer(buys_on, float(sizes[best]), possible, float(earned[best]), worst), missed, place

    def _note_missed(self, buys_on: int, place: int, missed_usd: float) -> None:
        """Add up what is forgone for want of equity; the same opportunity counts once, however often it is seen."""
        self.forgone_usd[place] += max(missed_usd - self.missed_usd[buys_on], 0.0)
        self.missed_usd[buys_on] = missed_usd

    def _room(self, hand: Hand, side: int) -> float:
        """Units that may be bought (side +1) or sold on a chain, by its margin and by the desk's own leverage."""
        mark, instrument = hand.mark_usd, hand.world.feeds[0]["terms"][hand.instrument]
        if mark <= 0.0:
            return 0.0
        share = max(float(instrument["initial_margin"]), 1.0 / self.settings.largest_leverage)
        against = max(-side * hand.lots, 0) * hand.lot_size  # which it may close whatever it owns
        kept = max(side * hand.lots, 0) * hand.lot_size
        per_unit = mark * (share + hand.taker_fee) + abs(self.last_price - mark)
        return against + max((hand.equity_usd - share * kept * mark) / per_unit, 0.0)

    def _usual_move(self) -> float:
        """What the price does in the time that an execution takes, as a share of it."""
        return math.sqrt(self.variance * float(self.usual_execution_s().mean()))

    # Acting.

    def _send(self, offer: Offer, now: int) -> None:
        patience = int(self.settings.patience_s * NS)
        lots = round(offer.size / self.lead.lot_size)
        sides = ((offer.buys_on, 1), (1 - offer.buys_on, -1))
        move = self._usual_move()  # both books may move meanwhile, and a leg alone is worth nothing
        for (place, side), worst in zip(sides, offer.worst_usd, strict=True):
            self.hands[place].send_order(side, worst * (1.0 + side * move), lots, patience)
        self._open_pair(now, offer.size * self.last_price, offer.income_usd)

    def _open_pair(self, now: int, notional_usd: float, income_usd: float) -> None:
        cash = float(sum(hand.cash for hand in self.hands))
        self.pair = [float(now), notional_usd, income_usd, float(self.hands[0].lots), cash]

    def _mend(self, now: int) -> bool:
        """If the legs do not match, trade the difference where that costs least; returns whether they do not."""
        surplus = self.hands[0].lots + self.hands[1].lots
        if surplus == 0:
            return False
        if not self.pair:
            self._open_pair(now, 0.0, 0.0)
        side, book = (-1, "bid") if surplus > 0 else (1, "ask")
        units = abs(surplus) * self.lead.lot_size
        choices = []
        for hand in self.hands:
            levels = hand.levels(book)
            there = min(units, float(levels[:, 1].sum()))
            if there > 0.0:
                price = float(cost_of(levels, np.array([there]))[0]) / there
                choices.append((side * price * (1.0 + side * hand.taker_fee), _worst(levels, there), hand))
        if choices:
            _, worst, hand = min(choices, key=lambda choice: choice[0])
            limit = worst * (1.0 + side * self._usual_move())
            hand.send_order(side, limit, abs(surplus), int(self.settings.patience_s * NS))
            self.mended += 1
        return True

    def _close_pair(self) -> None:
        """Learn from a pair whose legs match: how long it took, and what it earned."""
        if not self.pair:
            return
        decided, notional, promised, lots, cash = self.pair
        self.pair = []
        self.executions.add(max((max(hand.included_ns for hand in self.hands) - decided) / NS, 0.0))
        units = abs(self.hands[0].lots - lots) * self.lead.lot_size
        if units > 0.0:
            self.pairs += 1
            self.volume_usd += 2.0 * units * self.last_price
        if notional > 0.0 and not any(route.is_busy for route in self.routes):
            # What both legs, mended or not, have brought in cash; the position is the same on both sides.
            gas = sum(hand.order_gas_usd(self.last_price) for hand in self.hands)
            earned = (sum(hand.cash for hand in self.hands) - cash) / MICRO_DOLLARS - gas
            self.lessons += 1
            weight = max(1.0 / (self.lessons + FIRST_LESSONS), 1.0 / REMEMBERED)
            self.shortfall += weight * ((promised - earned) / notional - self.shortfall)
            self.income_usd_per_s += earned / self.settings.memory_s

    def _move_cash(self, now: int) -> None:
        """Even out equity between the chains once what was forgone for want of it is what that costs."""
        equities = [hand.equity_usd for hand in self.hands]
        target = int(self.forgone_usd[1] > self.forgone_usd[0])
        route = self.routes[1 - target]
        amount = int((equities[1 - target] - equities[target]) / 2.0 * MICRO_DOLLARS)
        if amount <= 0 or route.is_busy or self.forgone_usd[target] <= 0.0:
            return
        rate = max(self.income_usd_per_s, 0.0) / max(sum(equities), 1.0)
        if self.forgone_usd[target] >= route.cost_usd(now, amount, rate, self.last_price):
            self.forgone_usd[target] = 0.0
            route.send(now, amount, rate)


def _block_time_s(hand: Hand) -> float:
    return float(hand.world.scenario.chain.block_time_s)


def _worst(levels: npt.NDArray[np.float64], size: float) -> float:
    """Price of the last level that a size reaches."""
    place = int(np.searchsorted(np.cumsum(levels[:, 1]), size - 1e-9))
    return float(levels[min(place, len(levels) - 1), 0])
