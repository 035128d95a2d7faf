"""Builders: plan the block, bid a share of what it is worth to them, and learn what share."""

from itertools import accumulate

from blockspace.network.draws import stream_key

from .constants import PUBLIC
from .draws import draw_bits, draw_uniform

STEPS = 512


def exclusive_ends(settings):
    """Ends of the intervals of (0, 1) that say which builder a wallet sends to alone."""
    sizes = [float(rank) ** -settings.concentration for rank in range(1, settings.count + 1)]
    return [settings.exclusive_share * end for end in accumulate(size / sum(sizes) for size in sizes)]


def route_of(ends, key, entity, index):
    """Route of a wallet: public, or the number of the builder that it sends to alone."""
    drawn = draw_uniform(key, entity, index)
    return next((number for number, end in enumerate(ends, start=1) if drawn < end), PUBLIC)


class Builder:
    def __init__(self, model, settings, number, seed):
        self.account = model.open_account("builder")
        self.everybody_is_protected = model.settings.chain.revert_protection
        self.route = number + 1
        self.key = stream_key(seed, f"builders/{number}")
        self.learning_rate = settings.learning_rate
        self.needed = [0.0] * (STEPS + 1)  # weight of past blocks by the least step that would have won them
        self.step = STEPS - 1
        self.promised = self.paid = 0.0
        self.protected = self.value = self.bid = 0.0
        self.wins = 0

    def tie(self, number):
        return draw_bits(self.key, number, 0)

    def is_protected(self, transaction):
        return self.everybody_is_protected or transaction.protected

    def plan(self, block, mempool):
        """Plan the block from what this builder sees, and bid."""
        block.route = self.route
        block.plan(mempool)
        plain = self.protected = 0.0
        for transaction in block.transactions:
            tips = float(transaction.effective_tip(block.base_fee)) * float(transaction.gas)
            if self.is_protected(transaction):
                self.protected += tips
            else:
                plain += tips
        share = self.paid / self.promised if self.promised > 0.0 else 1.0
        self.value = plain + share * self.protected
        self.bid = self.value * self.step / STEPS

    def learn(self, block, promised, rival_bid):
        """See what protected transactions paid, and which bid would have won; choose what would have earned most."""
        self.wins += block.maker is self
        if promised > 0.0:
            paid = 0.0
            for transaction in filter(self.is_protected, block.transactions):
                paid += float(transaction.effective_tip(block.base_fee)) * float(transaction.gas_used)
            self.promised += self.learning_rate * (promised - self.promised)
            self.paid += self.learning_rate * (paid - self.paid)
        if self.value <= 0.0:
            return
        needed = 0
        if rival_bid > 0.0:
            needed = min(int(rival_bid / self.value * STEPS + 1e-9), STEPS - 1) + 1
        faded = [weight * (1.0 - self.learning_rate) for weight in self.needed]
        self.needed = [weight if weight > 1e-6 else 0.0 for weight in faded]
        self.needed[needed] += self.learning_rate
        chances = accumulate(self.needed[:STEPS])
        earned = [chance * (STEPS - step) for step, chance in enumerate(chances)]
        self.step = max(range(STEPS), key=lambda step: (earned[step], step))
