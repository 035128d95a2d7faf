"""The mempool: pending transactions in a dictionary, and those of one sender in a queue by nonce."""

from collections import defaultdict, deque
from dataclasses import dataclass

from .constants import ANYWHERE, PUBLIC
from .draws import draw_bits


@dataclass(eq=False, slots=True)
class Transaction:
    kind: int
    sender: int
    access: int
    decided: int  # ns
    expires: int  # ns
    max_fee: int  # wei per gas
    tip: int  # wei per gas
    gas: int
    bytes: int
    instrument: int = 0
    side: int = 0
    price: int = 0
    size: int = 0
    style: int = 0
    handle: int = 0
    ladder: tuple[int, ...] = ()  # bid prices, then ask prices; 0 for none
    pool: int | None = None
    amount: int = 0
    bound: int = 0
    range: tuple[int, int] = (0, 0)  # ticks of the pool
    legs: tuple[tuple[int, int], ...] = ()  # instrument and lots per unit of a combination
    independent: bool = False  # nonces do not bind
    route: int = PUBLIC
    placement: int = ANYWHERE
    target: int = 0  # sequence number of the transaction to be next to
    protected: bool = False  # asks to be left out rather than to fail
    copy: int = 0  # number of this copy of an order just sent
    nonce: int = 0
    sequence: int = 0
    tie: int = 0
    status: int = 0
    gas_used: int = 0
    filled: int = 0

    def effective_tip(self, base_fee):
        return min(self.tip, self.max_fee - base_fee)


class Mempool:
    def __init__(self, capacity, tie_key):
        self.capacity = capacity
        self.tie_key = tie_key
        self.pending = {}  # by sequence number
        self.queues = defaultdict(deque)  # by sender, in the order of nonces
        self.next_nonce = defaultdict(int)
        self.routes = {}  # of the wallets that do not send to everybody, by sender
        self.protected = set()  # senders all of whose transactions ask for protection
        self.entry_fee = None  # what a full pool asks to be exceeded, until it changes
        self.submitted = 0
        self.refused = 0
        self.balked = 0
        self.evicted = 0
        self.expired = 0

    def submit(self, transaction):
        """Take a transaction in, unless the pool is full and it offers too little."""
        self.submitted += 1
        if transaction.route == PUBLIC:
            transaction.route = self.routes.get(transaction.sender, PUBLIC)
        in_bundle = transaction.placement != ANYWHERE
        transaction.independent = transaction.independent or in_bundle
        transaction.protected = transaction.protected or in_bundle or transaction.sender in self.protected
        if len(self.pending) >= self.capacity and not self.make_room(transaction.max_fee):
            self.refused += 1
            return False
        transaction.sequence = self.submitted
        key = (self.tie_key + transaction.copy) % 2**64
        transaction.tie = draw_bits(key, transaction.sender, transaction.decided) % 2**32
        self.pending[transaction.sequence] = transaction
        if not transaction.independent:
            transaction.nonce = self.next_nonce[transaction.sender]
            self.next_nonce[transaction.sender] += 1
            self.queues[transaction.sender].append(transaction)
        return True

    def make_room(self, offer):
        """Evict the eighth that offers least, if ``offer`` exceeds them all."""
        if self.entry_fee is None:
            fees = sorted(transaction.max_fee for transaction in self.pending.values())
            self.entry_fee = fees[len(fees) // 8]
        if offer <= self.entry_fee:
            return False
        self.evicted += self.drop_all(lambda transaction: transaction.max_fee <= self.entry_fee)
        self.entry_fee = None
        return True

    def expire(self, time):
        """Drop what no block from ``time`` on may include."""
        self.entry_fee = None
        self.expired += self.drop_all(lambda transaction: transaction.expires < time)

    def drop_all(self, unwanted):
        """Drop transactions, and with each the later ones of its sender, whose nonces it blocks; how many."""
        before = len(self.pending)
        for transaction in [one for one in self.pending.values() if unwanted(one)]:
            if transaction.sequence in self.pending:
                self.drop(transaction)
        return before - len(self.pending)

    def drop(self, transaction):
        if transaction.independent:
            del self.pending[transaction.sequence]
            return
        queue = self.queues[transaction.sender]
        last = None
        while last is not transaction:
            last = queue.pop()
            del self.pending[last.sequence]
        self.next_nonce[transaction.sender] = transaction.nonce

    def is_next(self, transaction):
        """Whether no earlier transaction of the same sender is pending."""
        return transaction.independent or self.queues[transaction.sender][0] is transaction

    def following(self, transaction):
        """The next transaction of the same sender, if nonces bind it and there is one."""
        if transaction.independent:
            return None
        queue = self.queues[transaction.sender]
        place = queue.index(transaction) + 1
        return queue[place] if place < len(queue) else None

    def take(self, transaction):
        """Take a transaction out for a block."""
        del self.pending[transaction.sequence]
        if not transaction.independent:
            assert self.queues[transaction.sender].popleft() is transaction
