"""Beliefs about the best rival bid, and the smoothed best response to them."""

import math

BINS = 40
BLUR = 0.14
IN_PRIOR = 0.1


def edge(number):
    return math.sin(0.5 * math.pi * number / BINS) ** 2


class Belief:
    """Chances of what the best rival bids: ``None`` for nothing, ``"usual"``, or the number of a bin."""

    def __init__(self):
        self.rival = {None: 0.5, "usual": 0.0} | dict.fromkeys(range(BINS), 0.5 / BINS)
        self.same_best = 0.5
        self.last_best = None
        self.races = 0

    @staticmethod
    def outcome(share):
        if share is None:
            return None
        if share == 0.0:
            return "usual"
        return min(int(math.asin(math.sqrt(min(share, 1.0))) * (2.0 * BINS / math.pi)), BINS - 1)

    def pace(self, rate):
        return max(rate, 1.0 / (self.races + 2.0))

    def learn(self, rate, bidder, best, second):
        """Learn from the two best bids of a race, each a share of what there was to bid for, or None."""
        pace = self.pace(rate)
        self.races += 1
        if best is not None:
            self.same_best += pace * (float(bidder == self.last_best) - self.same_best)
            self.last_best = bidder
        for outcome in self.rival:
            self.rival[outcome] -= pace * self.rival[outcome]
        self.rival[self.outcome(best)] += pace * (1.0 - self.same_best)
        self.rival[self.outcome(second)] += pace * self.same_best

    def choose(self, rate, prize, cost, room, losers_pay, choice, place):
        """Share of ``room`` to bid, or None to stay out."""
        expected = {}
        best, at_stake = 0.0, prize
        beaten = self.rival[None]
        for outcome in ("usual", *range(BINS)):
            chance = beaten + 0.5 * self.rival[outcome]
            beaten += self.rival[outcome]
            share = 0.0 if outcome == "usual" else 0.5 * (edge(outcome) + edge(outcome + 1))
            paid = cost + share * room
            expected[outcome] = chance * prize - paid if losers_pay else chance * (prize - paid)
            if expected[outcome] > best:
                best = expected[outcome]
                if not losers_pay:
                    at_stake = prize - paid
        blur = BLUR * math.sqrt(self.pace(rate)) * (1.0 - self.rival[None]) * at_stake
        blur = max(blur, 1e-9 * prize)
        weights = {None: (1.0 - IN_PRIOR) * math.exp(-best / blur)}
        total = weights[None]
        for outcome, earned in expected.items():
            weights[outcome] = IN_PRIOR / (BINS + 1) * math.exp((earned - best) / blur)
            total += weights[outcome]
        left = choice * total
        outcomes = list(weights)
        while len(outcomes) > 1 and left >= weights[outcomes[0]]:
            left -= weights[outcomes.pop(0)]
        outcome = outcomes[0]
        if outcome is None:
            return None
        if outcome == "usual":
            return 0.0
        return edge(outcome) + place * (edge(outcome + 1) - edge(outcome))
