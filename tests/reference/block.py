"""The block: planned with a heap of what is ready, in the order of the policy, and bundles around their targets."""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from typing import Any

from .constants import ANYWHERE, BEFORE_TARGET, INSIDE, PUBLIC, SMALLEST_GAS, TO_PRODUCER
from .ordering import POLICIES, WITHOUT_TIPS


class Block:
    def __init__(self, number, time, base_fee, producer, gas_limit, byte_limit, ordering="priority_fee"):
        self.number = number
        self.time = time  # ns
        self.base_fee = base_fee
        self.producer = producer
        self.maker = producer  # who gets the tips: the producer, or a builder
        self.route = TO_PRODUCER  # what the maker sees beside what everybody sees
        self.bundles_offered = False
        self.protects_on_demand = False
        self.bid = 0  # wei that a builder pays to the producer
        self.gas_limit = gas_limit
        self.byte_limit = byte_limit
        self.score = POLICIES[ordering]
        self.tips_count = ordering not in WITHOUT_TIPS
        self.gas_used = 0
        self.clear()

    def clear(self):
        self.transactions = []
        self.gas_reserved = 0
        self.bytes = 0
        self.full = False
        self.marginal_tip = 0

    def sees(self, transaction):
        return transaction.route in (PUBLIC, self.route)

    def arrival(self, transaction):
        return transaction.decided + (0 if transaction.access == INSIDE else self.producer.latency[transaction.access])

    def can_enter(self, transaction):
        """Whether a transaction has arrived and can pay."""
        return self.arrival(transaction) <= self.time and transaction.max_fee >= self.base_fee

    def entry(self, transaction) -> tuple[int, int, int, int, Any] | None:
        """Place in the heap, or None if it is not seen or cannot enter: score, arrival, tie-break."""
        if not self.sees(transaction) or not self.can_enter(transaction):
            return None
        score = self.score(transaction, self.base_fee)
        return -score, self.arrival(transaction), transaction.tie, transaction.sequence, transaction

    def fill(self, mempool):
        """Plan the block and take what was picked."""
        self.plan(mempool)
        self.take(mempool)

    def take(self, mempool):
        """Take what was picked out of the mempool."""
        for transaction in self.transactions:
            mempool.take(transaction)

    def plan(self, mempool):
        """Pick from a mempool until gas or bytes run out; what does not fit is passed over."""
        self.clear()
        bundles = self.bundles(mempool)
        candidates = (one for one in mempool.pending.values() if one.placement == ANYWHERE and mempool.is_next(one))
        heap = [entry for entry in map(self.entry, candidates) if entry]
        heapify(heap)
        tips = []
        while heap and self.gas_reserved + SMALLEST_GAS <= self.gas_limit:
            transaction = heappop(heap)[-1]
            if not self.has_room([transaction]):
                if transaction.gas <= self.gas_limit and transaction.bytes <= self.byte_limit:
                    self.full = True
                continue
            before, after = self.best_bundle(transaction, bundles[transaction.sequence].values())
            self.put([*before, transaction, *after])
            tips.append(transaction.effective_tip(self.base_fee))
            following = mempool.following(transaction)
            entry = following and self.entry(following)
            if entry:
                heappush(heap, entry)
        if heap:
            self.full = True
        if self.full and self.tips_count:
            self.marginal_tip = max(min(tips, default=0), 0)

    def bundles(self, mempool):
        """What each sender wants to have before and after each target: the last that it sent for the place."""
        bundles = defaultdict(dict)
        for one in sorted(mempool.pending.values(), key=lambda one: one.sequence):
            if self.bundles_offered and one.placement != ANYWHERE and self.sees(one):
                before_and_after = bundles[one.target].setdefault(one.sender, [[], []])
                before_and_after[0 if one.placement == BEFORE_TARGET else 1] = [one]
        return bundles

    def best_bundle(self, target, bundles):
        """The bundle that pays most of those that can enter as a whole; ties by the draw."""
        fitting = [
            (before, after)
            for before, after in bundles
            if all(map(self.can_enter, before + after)) and self.has_room([*before, target, *after])
        ]
        return min(fitting, key=lambda pair: self.rank_of_bundle(*pair), default=([], []))

    def rank_of_bundle(self, before, after):
        pays = sum(float(one.effective_tip(self.base_fee)) * float(one.gas) for one in before + after)
        first = (before + after)[0]
        return -pays, first.tie, first.sequence

    def put(self, transactions):
        self.transactions += transactions
        self.gas_reserved += sum(one.gas for one in transactions)
        self.bytes += sum(one.bytes for one in transactions)

    def has_room(self, transactions):
        enough_gas = self.gas_reserved + sum(one.gas for one in transactions) <= self.gas_limit
        return enough_gas and self.bytes + sum(one.bytes for one in transactions) <= self.byte_limit
