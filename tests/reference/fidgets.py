"""Agents of one's own for both markets, who use everything that agents in plain Python can do."""

import random

from blockspace.agents.trader import Trader

from .trader import Trader as ReferenceTrader


class Fidget:
    """Places, moves and cancels orders of every style in turn, around what it sees."""

    turn = 0
    placed = (0, 1.0, 1.0)

    def act(self):
        self.turn += 1
        slot = self.turn % 4
        side = ("buy", "sell")[self.turn // 2 % 2]
        near, across = self.best_bid() or self.external_price, self.best_ask() or self.external_price
        if side == "sell":
            near, across = across, near
        away = round(near * (0.999 if side == "buy" else 1.001), 2)
        size = 0.1 + self.turn % 5 * self.account % 7 * 0.3
        match (self.turn + self.account) % 7:
            case 0:
                self.submit(side, away, size, style="limit", slot=slot)
                self.placed = slot, away, size
            case 1:
                self.submit(side, across if self.account % 2 else near, size, style="post_only", slot=slot)
            case 2:
                self.replace(slot, away, size)
            case 3:
                self.cancel(slot)
            case 4:
                self.submit(side, near * (1.002 if side == "buy" else 0.998), size)
            case 5:
                self.submit(side, near, size, style="market")
            case 6:
                slot, price, size = self.placed
                self.replace(slot, price, size / 2)


class CompiledFidget(Fidget, Trader):
    pass


class PlainFidget(Fidget, ReferenceTrader):
    pass


class OptionFidget:
    """Trades options at random around what it sees: quotes that rest, orders that take, and combinations."""

    def __init__(self, model):
        super().__init__(model)
        self.dice = random.Random(self.account)

    def act(self):
        dice, listed = self.dice, self.options()
        option = dice.choice(listed)
        size, side = dice.randint(1, 30) * 0.1, dice.choice(["buy", "sell"])
        towards = 1 if side == "buy" else -1
        match dice.randint(0, 9):
            case 0 | 1 | 2 | 3 | 4:
                price = max(option.mark_usd * (1 + towards * dice.uniform(-0.1, 0.05)), 0.1)
                style = dice.choice(["limit", "post_only"])
                self.submit(side, price, size, style=style, slot=dice.randint(0, 14), instrument=option.instrument)
            case 5 | 6:
                price = max(option.mark_usd * (1 + towards * 0.1), 0.1)
                self.submit(side, price, size, instrument=option.instrument)
            case 7:
                self.cancel(dice.randint(0, 14), option.instrument)
            case _:
                legs = self.straddle_on(option, dice.random() < 0.5)
                value = {one.instrument: one.mark_usd for one in listed} | {0: self.external_price}
                worth = sum(ratio * value[number] for number, ratio in legs)
                self.combination(legs, worth + 2.0 * dice.random(), size)

    def straddle_on(self, option, hedged):
        both = [one for one in self.options() if (one.expiry_s, one.strike_usd) == (option.expiry_s, option.strike_usd)]
        sign = 1.0 if hedged else -1.0
        return [(one.instrument, sign) for one in both] + ([(0, 0.5)] if hedged else [])


class CompiledOptionFidget(OptionFidget, Trader):
    pass


class PlainOptionFidget(OptionFidget, ReferenceTrader):
    pass
