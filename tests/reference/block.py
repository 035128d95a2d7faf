"""The block: filled from a heap of what is ready, in the order of the policy."""

from heapq import heapify, heappop, heappush
from typing import Any

from .constants import INSIDE, SMALLEST_GAS
from .ordering import POLICIES, WITHOUT_TIPS


class Block:
    def __init__(self, number, time, base_fee, producer, gas_limit, byte_limit, ordering="priority_fee"):
        self.number = number
        self.time = time  # ns
        self.base_fee = base_fee
        self.producer = producer
        self.gas_limit = gas_limit
        self.byte_limit = byte_limit
        self.score = POLICIES[ordering]
        self.tips_count = ordering not in WITHOUT_TIPS
        self.transactions = []
        self.gas_reserved = 0
        self.gas_used = 0
        self.bytes = 0
        self.full = False
        self.marginal_tip = 0

    def entry(self, transaction) -> tuple[int, int, int, int, Any] | None:
        """Place in the heap, or None if it has not arrived or cannot pay: score, arrival, tie-break."""
        inside = transaction.access == INSIDE
        arrival = transaction.decided + (0 if inside else self.producer.latency[transaction.access])
        if arrival > self.time or transaction.max_fee < self.base_fee:
            return None
        score = self.score(transaction, self.base_fee)
        return -score, arrival, transaction.tie, transaction.sequence, transaction

    def fill(self, mempool):
        """Pick from a mempool until gas or bytes run out; what does not fit is passed over."""
        entries = (self.entry(one) for one in mempool.pending.values() if mempool.is_next(one))
        heap = [entry for entry in entries if entry]
        heapify(heap)
        while heap and self.gas_reserved + SMALLEST_GAS <= self.gas_limit:
            transaction = heappop(heap)[-1]
            if not self.has_room(transaction):
                if transaction.gas <= self.gas_limit and transaction.bytes <= self.byte_limit:
                    self.full = True
                continue
            self.transactions.append(transaction)
            self.gas_reserved += transaction.gas
            self.bytes += transaction.bytes
            following = mempool.take(transaction)
            entry = following and self.entry(following)
            if entry:
                heappush(heap, entry)
        if heap:
            self.full = True
        if self.full and self.tips_count:
            tips = [transaction.effective_tip(self.base_fee) for transaction in self.transactions]
            self.marginal_tip = max(min(tips, default=0), 0)

    def has_room(self, transaction):
        enough_gas = self.gas_reserved + transaction.gas <= self.gas_limit
        return enough_gas and self.bytes + transaction.bytes <= self.byte_limit
